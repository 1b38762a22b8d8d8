// SPDX-License-Identifier: GPL-2.0

//! Zstandard.
//!
//! C header: [`include/linux/zstd.h`](srctree/include/linux/zstd.h)
#![cfg(CONFIG_ZSTD_COMPRESS)]

use super::Buffer;
use crate::{
    abstractions::page::MappedPage,
    bindings, //
};
use core::ptr::NonNull;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// # Invariants
///
/// `compressor` and `decompressor` are valid, and live in `_memory`.
pub(super) struct Context {
    parameters: bindings::zstd_parameters,
    compressor: NonNull<bindings::zstd_cctx>,
    decompressor: NonNull<bindings::zstd_dctx>,
    /// A vector does not move what it holds when it is moved itself.
    _memory: [VVec<u8>; 2],
}

// SAFETY: The contexts are plain memory, which this object owns.
unsafe impl Send for Context {}

impl Context {
    pub(super) fn new() -> Result<Self> {
        // SAFETY: No requirements.
        let parameters =
            unsafe { bindings::zstd_get_params(bindings::zstd_default_clevel(), PAGE_SIZE as u64) };
        // SAFETY: The parameters are valid.
        let size = unsafe { bindings::zstd_cctx_workspace_bound(&parameters.cParams) };
        let mut memory = VVec::<u8>::zeroed(size, GFP_KERNEL)?;
        // SAFETY: The memory has this size.
        let compressor = unsafe { bindings::zstd_init_cctx(memory.as_mut_ptr().cast(), size) };

        // SAFETY: No requirements.
        let size = unsafe { bindings::zstd_dctx_workspace_bound() };
        let mut other = VVec::<u8>::zeroed(size, GFP_KERNEL)?;
        // SAFETY: The memory has this size.
        let decompressor = unsafe { bindings::zstd_init_dctx(other.as_mut_ptr().cast(), size) };

        // INVARIANT: Both were just set up in the memory that is kept along with them.
        Ok(Self {
            parameters,
            compressor: NonNull::new(compressor).ok_or(EINVAL)?,
            decompressor: NonNull::new(decompressor).ok_or(EINVAL)?,
            _memory: [memory, other],
        })
    }

    pub(super) fn compress(&mut self, src: &MappedPage<'_>, dst: &mut Buffer) -> Result<usize> {
        // SAFETY: By the type invariants; page and buffer have the sizes that are given.
        let len = unsafe {
            bindings::zstd_compress_cctx(
                self.compressor.as_ptr(),
                dst.as_mut_ptr().cast(),
                dst.len(),
                src.as_ptr().cast(),
                PAGE_SIZE,
                &self.parameters,
            )
        };
        check(len)
    }

    pub(super) fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        // SAFETY: By the type invariants; source and page have the sizes that are given.
        let len = unsafe {
            bindings::zstd_decompress_dctx(
                self.decompressor.as_ptr(),
                dst.as_ptr().cast(),
                PAGE_SIZE,
                src.as_ptr().cast(),
                src.len(),
            )
        };
        if check(len)? == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}

/// Tells a length from an error code.
fn check(len: usize) -> Result<usize> {
    // SAFETY: No requirements.
    if unsafe { bindings::zstd_is_error(len) } != 0 {
        Err(EINVAL)
    } else {
        Ok(len)
    }
}
