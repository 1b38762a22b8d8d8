// SPDX-License-Identifier: GPL-2.0

//! LZ4.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)
#![cfg(CONFIG_LZ4_COMPRESS)]

use super::Buffer;
use crate::{
    abstractions::page::MappedPage,
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The fastest of the levels, which is the algorithm's default.
const ACCELERATION: c_int = 1;

pub(super) struct Context {
    memory: VVec<u8>,
}

impl Context {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            memory: VVec::zeroed(bindings::ZRAM_RS_LZ4_MEM_COMPRESS, GFP_KERNEL)?,
        })
    }

    pub(super) fn compress(&mut self, src: &MappedPage<'_>, dst: &mut Buffer) -> Result<usize> {
        // SAFETY: The page, the buffer and the working memory have the sizes that are given, or
        // that the algorithm asks for; it copes with a page that changes under it.
        let len = unsafe {
            bindings::LZ4_compress_fast(
                src.as_ptr().cast(),
                dst.as_mut_ptr().cast(),
                PAGE_SIZE as c_int,
                dst.len() as c_int,
                ACCELERATION,
                self.memory.as_mut_ptr().cast(),
            )
        };
        match usize::try_from(len) {
            Ok(len) if len > 0 => Ok(len),
            _ => Err(EINVAL),
        }
    }

    pub(super) fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        // SAFETY: Source and page have the sizes that are given, which are not exceeded.
        let len = unsafe {
            bindings::LZ4_decompress_safe(
                src.as_ptr().cast(),
                dst.as_ptr().cast(),
                src.len() as c_int,
                PAGE_SIZE as c_int,
            )
        };
        if len == PAGE_SIZE as c_int {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
