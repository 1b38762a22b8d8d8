// SPDX-License-Identifier: GPL-2.0

//! DEFLATE, by the kernel's zlib.
//!
//! C header: [`include/linux/zlib.h`](srctree/include/linux/zlib.h)
#![cfg(zram_rs_deflate)]

use super::{
    gfp_nowarn,
    Backend,
    Params, //
};
use crate::{
    abstractions::page::MappedPage,
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};

/// Without a header, and with a window of 2 KiB, which is what the crypto API uses.
const DEFAULT_WINBITS: c_int = -11;

/// The level, and the size of the window in bits; negative for data without a header.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    level: c_int,
    winbits: c_int,
}

/// One of zlib's streams.
///
/// # Invariants
///
/// `stream` was initialised, with `memory` as its working memory. zlib's state, which is there,
/// refers to the stream.
struct ZStream {
    stream: Pin<KBox<Opaque<bindings::z_stream>>>,
    _memory: VVec<u8>,
}

// SAFETY: Plain memory, which belongs to this object.
unsafe impl Send for ZStream {}

impl ZStream {
    /// # Safety
    ///
    /// `init` must initialise a stream that has `size` bytes of working memory, and must not use
    /// anything else.
    unsafe fn new(
        size: c_int,
        init: impl FnOnce(*mut bindings::z_stream) -> c_int,
    ) -> Result<Self> {
        let mut memory = VVec::<u8>::zeroed(size.try_into()?, gfp_nowarn())?;
        // zlib's state refers to the stream, which therefore stays where it is.
        let stream = KBox::pin_init(Opaque::<bindings::z_stream>::zeroed(), GFP_KERNEL)?;
        // SAFETY: Zeroes are a valid stream, which nobody else has yet.
        unsafe { (*stream.get()).workspace = memory.as_mut_ptr().cast() };
        if init(stream.get()) != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        // INVARIANT: Just initialised. A vector does not move what it holds when it moves itself.
        Ok(Self {
            stream,
            _memory: memory,
        })
    }

    /// Sets what the next call is to work on: `src_len` bytes at `src`, and `dst_len` at `dst`.
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

    /// Returns how many bytes came out since the stream was last reset.
    fn total_out(&self) -> usize {
        // SAFETY: By the type invariants the stream is valid; zlib does not use it between calls.
        unsafe { (*self.stream.get()).total_out }
    }
}

/// The streams of one CPU.
pub(super) struct Deflate {
    compressor: ZStream,
    decompressor: ZStream,
}

impl Backend for Deflate {
    type Setup = Setup;

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
        // SAFETY: No requirements.
        let size = unsafe { bindings::zlib_deflate_workspacesize(winbits, memory_level) };
        let init = |stream| {
            // SAFETY: Called for a stream that has memory of just this size.
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
        // SAFETY: See there.
        let compressor = unsafe { ZStream::new(size, init)? };
        // SAFETY: No requirements.
        let size = unsafe { bindings::zlib_inflate_workspacesize() };
        let init = |stream| {
            // SAFETY: Called for a stream that has memory of just this size.
            unsafe { bindings::zlib_inflateInit2(stream, winbits) }
        };
        // SAFETY: See there.
        let decompressor = unsafe { ZStream::new(size, init)? };
        Ok(Self {
            compressor,
            decompressor,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let zlib = &mut self.compressor;
        // SAFETY: By the type invariants.
        if unsafe { bindings::zlib_deflateReset(zlib.stream.get()) } != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        zlib.aim(src.as_ptr(), PAGE_SIZE, dst.as_mut_ptr(), dst.len());
        let all = bindings::Z_FINISH as c_int;
        // SAFETY: By the type invariants; page and buffer have the sizes that were set. The page is
        // copied before anything but its checksum is made of it, so it may change.
        let status = unsafe { bindings::zlib_deflate(zlib.stream.get(), all) };
        match u32::try_from(status) {
            Ok(bindings::Z_STREAM_END) => Ok(Some(zlib.total_out())),
            // It has more to say.
            Ok(bindings::Z_OK) => Ok(None),
            _ => Err(EINVAL),
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let zlib = &mut self.decompressor;
        // SAFETY: By the type invariants.
        if unsafe { bindings::zlib_inflateReset(zlib.stream.get()) } != bindings::Z_OK as c_int {
            return Err(EINVAL);
        }
        zlib.aim(src.as_ptr(), src.len(), dst.as_ptr(), PAGE_SIZE);
        let all = bindings::Z_SYNC_FLUSH as c_int;
        // SAFETY: By the type invariants; source and page have the sizes that were set.
        let status = unsafe { bindings::zlib_inflate(zlib.stream.get(), all) };
        if status == bindings::Z_STREAM_END as c_int && zlib.total_out() == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
