// SPDX-License-Identifier: GPL-2.0

//! The LZ4HC backend: LZ4 with a slower compressor, whose results are smaller.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)
#![cfg(zram_rs_lz4hc)]

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

/// Maximum size of a dictionary, in bytes; the algorithm would ignore the rest.
const MAX_DICTIONARY: usize = 64 << 10;

/// The level and the dictionary.
#[derive(Clone)]
pub(super) struct Setup {
    level: c_int,
    dictionary: Option<Arc<FileContents>>,
}

/// The working memory of one CPU.
///
/// # Invariants
///
/// `memory` has the size of an `LZ4_streamHC_t`.
pub(super) struct Lz4hc {
    setup: Setup,
    memory: VVec<u8>,
}

impl Backend for Lz4hc {
    type Setup = Setup;

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 16 << 10,
        decompress: 256 << 10,
    };

    fn setup(params: &Params) -> Result<Setup> {
        let level = params.level_within(
            c"lz4hc",
            bindings::LZ4HC_DEFAULT_CLEVEL as c_int,
            // `LZ4HC_MIN_CLEVEL` is only a recommendation.
            1,
            bindings::LZ4HC_MAX_CLEVEL as c_int,
        )?;
        let dictionary = params.dictionary.clone();
        if dictionary
            .as_ref()
            .is_some_and(|dictionary| dictionary.len() > MAX_DICTIONARY)
        {
            pr_err!("lz4hc: a dictionary must have at most 64 KiB\n");
            return Err(EINVAL);
        }
        Ok(Setup { level, dictionary })
    }

    fn new(setup: &Setup) -> Result<Self> {
        // INVARIANT: `memory` is allocated with the size of an `LZ4_streamHC_t`.
        Ok(Self {
            setup: setup.clone(),
            memory: VVec::zeroed(size_of::<bindings::LZ4_streamHC_t>(), gfp_nowarn())?,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let level = self.setup.level;
        let (from, to) = (src.as_ptr().cast(), dst.as_mut_ptr().cast());
        let (len, room) = (PAGE_SIZE as c_int, dst.len() as c_int);
        let Some(dictionary) = &self.setup.dictionary else {
            let memory = self.memory.as_mut_ptr().cast();
            // SAFETY: The page and the buffer have the sizes that are given, and by the type
            // invariants `memory` has the size of a stream. LZ4 stays within these sizes even if
            // the page changes meanwhile.
            let len = unsafe { bindings::LZ4_compress_HC(from, to, len, room, level, memory) };
            return Ok(lz4_common::compressed(len));
        };
        let stream = self.memory.as_mut_ptr().cast();
        // Compression makes the stream point to the page, so the dictionary is loaded anew for each
        // page.
        // SAFETY: The page, the buffer and the dictionary have the sizes that are given, and by the
        // type invariants `memory` has the size of a stream. LZ4 stays within these sizes even if
        // the page changes meanwhile. `self` keeps the dictionary.
        let len = unsafe {
            bindings::LZ4_resetStreamHC(stream, level);
            let used = bindings::LZ4_loadDictHC(
                stream,
                dictionary.as_ptr().cast(),
                dictionary.len() as c_int,
            );
            if used as usize != dictionary.len() {
                return Err(EINVAL);
            }
            bindings::LZ4_compress_HC_continue(stream, from, to, len, room)
        };
        Ok(lz4_common::compressed(len))
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        lz4_common::decompress(src, dst, self.setup.dictionary.as_deref())
    }
}
