// SPDX-License-Identifier: GPL-2.0

//! The LZ4 backend.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)
#![cfg(zram_rs_lz4)]

use super::{
    gfp_nowarn,
    lz4_common,
    Backend,
    HelpMarks,
    Params, //
};
#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::{
    abstractions::{
        fs::file::FileContents,
        page::MappedPage, //
    },
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

const STREAM_SIZE: usize = size_of::<bindings::LZ4_stream_t>();

/// A stream with a loaded dictionary, which is copied for each page.
///
/// # Invariants
///
/// `stream` is a valid `LZ4_stream_t` that points into `dictionary`.
pub(super) struct Primed {
    stream: VVec<u8>,
    dictionary: Arc<FileContents>,
}

impl Primed {
    /// Loads a dictionary into a new stream, and logs a dictionary of an invalid size.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the dictionary has less than 8 bytes or more than 64 KiB.
    /// - `ENOMEM`: there is no memory.
    fn new(dictionary: Arc<FileContents>) -> Result<Self> {
        let mut stream = VVec::<u8>::zeroed(STREAM_SIZE, gfp_nowarn())?;
        // SAFETY: `stream` has the size of an `LZ4_stream_t`, for which zeroes are valid;
        // `dictionary` is valid for reads of its length, which is far below `c_int::MAX`.
        let used = unsafe {
            bindings::LZ4_loadDict(
                stream.as_mut_ptr().cast(),
                dictionary.as_ptr().cast(),
                dictionary.len() as c_int,
            )
        };
        if used as usize != dictionary.len() {
            pr_err!("lz4: a dictionary must have at least 8 bytes, and at most 64 KiB\n");
            return Err(EINVAL);
        }
        // INVARIANT: `LZ4_loadDict` has made the stream point into the dictionary.
        Ok(Self { stream, dictionary })
    }
}

/// The acceleration, which trades size for speed, and the dictionary.
#[derive(Clone)]
pub(super) struct Setup {
    acceleration: c_int,
    primed: Option<Arc<Primed>>,
}

/// The working memory of one CPU.
///
/// # Invariants
///
/// `memory` has the size of an `LZ4_stream_t`.
pub(super) struct Lz4 {
    setup: Setup,
    memory: VVec<u8>,
}

impl Backend for Lz4 {
    type Setup = Setup;

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 64 << 10,
        decompress: 256 << 10,
    };

    fn setup(params: &Params) -> Result<Setup> {
        let default = bindings::LZ4_ACCELERATION_DEFAULT as c_int;
        let acceleration = params.level_within(c"lz4", default, default, c_int::MAX)?;
        let primed = match &params.dictionary {
            None => None,
            Some(dictionary) => Some(Arc::new(Primed::new(dictionary.clone())?, GFP_KERNEL)?),
        };
        Ok(Setup {
            acceleration,
            primed,
        })
    }

    fn new(setup: &Setup) -> Result<Self> {
        // INVARIANT: `memory` is allocated with the size of an `LZ4_stream_t`.
        Ok(Self {
            setup: setup.clone(),
            memory: VVec::zeroed(STREAM_SIZE, gfp_nowarn())?,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let acceleration = self.setup.acceleration;
        let (from, to) = (src.as_ptr().cast(), dst.as_mut_ptr().cast());
        let (len, room) = (PAGE_SIZE as c_int, dst.len() as c_int);
        let Some(primed) = &self.setup.primed else {
            let memory = self.memory.as_mut_ptr().cast();
            // SAFETY: The page and the buffer have the sizes that are given, and by the type
            // invariants `memory` has the size of a stream. LZ4 stays within these sizes even if
            // the page changes meanwhile.
            return Ok(lz4_common::compressed(unsafe {
                bindings::LZ4_compress_fast(from, to, len, room, acceleration, memory)
            }));
        };
        // `copy_from_slice` could panic, in a function that objtool does not know to never return.
        for (to, &from) in self.memory.iter_mut().zip(&*primed.stream) {
            *to = from;
        }
        let stream = self.memory.as_mut_ptr().cast();
        // SAFETY: The page and the buffer have the sizes that are given; LZ4 stays within these
        // even if the page changes meanwhile. `stream` is a copy of a stream that is valid by the
        // invariants of `Primed`, and `primed` keeps the dictionary that it points into.
        Ok(lz4_common::compressed(unsafe {
            bindings::LZ4_compress_fast_continue(stream, from, to, len, room, acceleration)
        }))
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let primed = self.setup.primed.as_ref();
        lz4_common::decompress(src, dst, primed.map(|primed| &*primed.dictionary))
    }
}
