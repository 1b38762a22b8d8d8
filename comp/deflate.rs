// SPDX-License-Identifier: GPL-2.0

//! The DEFLATE backend, which uses the kernel's zlib.
//!
//! C header: [`include/linux/zlib.h`](srctree/include/linux/zlib.h)
#![cfg(zram_rs_deflate)]

use super::{
    gfp_nowarn,
    Backend,
    HelpMarks,
    Params, //
};
#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::{
    abstractions::page::MappedPage,
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};

/// The `windowBits` of the crypto API: a window of 2 KiB and no header.
const DEFAULT_WINBITS: c_int = -11;

/// The level and the `windowBits`: the size of the window in bits, negative for no header.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    level: c_int,
    winbits: c_int,
}

/// A zlib stream and its working memory.
///
/// # Invariants
///
/// `stream` is initialised, and `_memory` is its working memory. zlib's state in that memory points
/// to `stream`.
struct ZStream {
    stream: Pin<KBox<Opaque<bindings::z_stream>>>,
    _memory: VVec<u8>,
}

// SAFETY: The stream and its memory belong to this object, and zlib keeps no per-thread state.
unsafe impl Send for ZStream {}

impl ZStream {
    /// Allocates `size` bytes of working memory and calls `init` to initialise a stream.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - `EINVAL`: `init` fails.
    ///
    /// # Safety
    ///
    /// `init` must initialise the stream that it is called with, must use no more than `size` bytes
    /// of the stream's working memory, and must not use any other memory.
    unsafe fn new(
        size: c_int,
        init: impl FnOnce(*mut bindings::z_stream) -> c_int,
    ) -> Result<Self> {
        let mut memory = VVec::<u8>::zeroed(size.try_into()?, gfp_nowarn())?;
        // zlib's state points to the stream, so the stream is pinned.
        let stream = KBox::pin_init(Opaque::<bindings::z_stream>::zeroed(), GFP_KERNEL)?;
        // SAFETY: `stream` points to a zeroed, thus valid, `z_stream` that is not shared yet.
        unsafe { (*stream.get()).workspace = memory.as_mut_ptr().cast() };
        if init(stream.get()) != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        // INVARIANT: `init` has initialised the stream with this memory. The addresses of both
        // stay the same: the stream is pinned, and moving a vector does not move its elements.
        Ok(Self {
            stream,
            _memory: memory,
        })
    }

    /// Sets the input and the output buffer of the next call of zlib.
    fn aim(&mut self, src: *const u8, src_len: usize, dst: *mut u8, dst_len: usize) {
        let stream = self.stream.get();
        // SAFETY: By the type invariants the stream is valid; zlib does not use it between calls.
        unsafe {
            (*stream).next_in = src;
            (*stream).avail_in = src_len;
            (*stream).next_out = dst;
            (*stream).avail_out = dst_len;
        }
    }

    /// Returns the size of the output since the last reset of the stream, in bytes.
    fn total_out(&self) -> usize {
        // SAFETY: By the type invariants the stream is valid; zlib does not use it between calls.
        unsafe { (*self.stream.get()).total_out }
    }
}

/// The zlib streams of one CPU.
///
/// # Invariants
///
/// `compressor` is initialised for `zlib_deflate`, and `decompressor` for `zlib_inflate`.
pub(super) struct Deflate {
    compressor: ZStream,
    decompressor: ZStream,
}

impl Backend for Deflate {
    type Setup = Setup;

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 16 << 10,
        decompress: 32 << 10,
    };

    fn setup(params: &Params) -> Result<Setup> {
        params.refuse_dictionary(c"deflate")?;
        let default = bindings::Z_DEFAULT_COMPRESSION;
        let most = bindings::Z_BEST_COMPRESSION as c_int;
        let level = params.level_within(c"deflate", default, default, most)?;
        let winbits = params.winbits.unwrap_or(DEFAULT_WINBITS);
        if !matches!(winbits, -15..=-9 | 9..=15) {
            pr_err!("deflate: invalid winbits {winbits}\n");
            return Err(EINVAL);
        }
        Ok(Setup { level, winbits })
    }

    fn new(&Setup { level, winbits }: &Setup) -> Result<Self> {
        let memory_level = bindings::MAX_MEM_LEVEL as c_int;
        // SAFETY: `setup` has checked `winbits`, and `memory_level` is a valid one.
        let size = unsafe { bindings::zlib_deflate_workspacesize(winbits, memory_level) };
        let init = |stream| {
            // SAFETY: `ZStream::new` calls this for a valid stream with `size` bytes of memory.
            unsafe {
                bindings::zlib_deflateInit2(
                    stream,
                    level,
                    bindings::Z_DEFLATED as c_int,
                    winbits,
                    memory_level,
                    bindings::Z_DEFAULT_STRATEGY as c_int,
                )
            }
        };
        // SAFETY: `init` initialises the stream, with the parameters for which `size` was computed.
        let compressor = unsafe { ZStream::new(size, init)? };
        // SAFETY: The function returns a constant.
        let size = unsafe { bindings::zlib_inflate_workspacesize() };
        let init = |stream| {
            // SAFETY: `ZStream::new` calls this for a valid stream with `size` bytes of memory.
            unsafe { bindings::zlib_inflateInit2(stream, winbits) }
        };
        // SAFETY: `init` initialises the stream, and `size` is enough for any parameters.
        let decompressor = unsafe { ZStream::new(size, init)? };
        // INVARIANT: `zlib_deflateInit2` and `zlib_inflateInit2` have initialised the streams.
        Ok(Self {
            compressor,
            decompressor,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let zlib = &mut self.compressor;
        // SAFETY: By the type invariants the stream is initialised for `zlib_deflate`.
        if unsafe { bindings::zlib_deflateReset(zlib.stream.get()) } != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        zlib.aim(src.as_ptr(), PAGE_SIZE, dst.as_mut_ptr(), dst.len());
        let all = bindings::Z_FINISH as c_int;
        // SAFETY: By the type invariants the stream is initialised for `zlib_deflate`; the page and
        // the buffer have the sizes that `aim` was given. The page may change meanwhile: zlib
        // copies it to its window, compresses the copy, and otherwise only computes the checksum.
        let status = unsafe { bindings::zlib_deflate(zlib.stream.get(), all) };
        match u32::try_from(status) {
            Ok(bindings::Z_STREAM_END) => Ok(Some(zlib.total_out())),
            // zlib has more output than `dst` has room.
            Ok(bindings::Z_OK) => Ok(None),
            _ => Err(EINVAL),
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let zlib = &mut self.decompressor;
        // SAFETY: By the type invariants the stream is initialised for `zlib_inflate`.
        if unsafe { bindings::zlib_inflateReset(zlib.stream.get()) } != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        zlib.aim(src.as_ptr(), src.len(), dst.as_ptr(), PAGE_SIZE);
        let all = bindings::Z_SYNC_FLUSH as c_int;
        // SAFETY: By the type invariants the stream is initialised for `zlib_inflate`; the source
        // and the page have the sizes that `aim` was given.
        let status = unsafe { bindings::zlib_inflate(zlib.stream.get(), all) };
        if status == bindings::Z_STREAM_END as c_int && zlib.total_out() == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
