// SPDX-License-Identifier: GPL-2.0

//! The LZO backends, with and without run-length encoding.
//!
//! C header: [`include/linux/lzo.h`](srctree/include/linux/lzo.h)
#![cfg(zram_rs_lzo)]

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
    prelude::*, //
};

/// The working memory of one CPU.
pub(super) struct Lzo<const RUN_LENGTH: bool> {
    memory: KVVec<u8>,
}

impl<const RUN_LENGTH: bool> Backend for Lzo<RUN_LENGTH> {
    type Setup = ();

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 64 << 10,
        decompress: 256 << 10,
    };

    fn setup(params: &Params) -> Result {
        let name = if RUN_LENGTH { c"lzo-rle" } else { c"lzo" };
        params.refuse_dictionary(name)?;
        params.refuse_level(name)
    }

    fn new((): &()) -> Result<Self> {
        Ok(Self {
            memory: KVVec::zeroed(bindings::ZRAM_RS_LZO_MEM_COMPRESS, gfp_nowarn())?,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let compress = match (RUN_LENGTH, dst.len() < bindings::ZRAM_RS_LZO_WORST) {
            (false, false) => bindings::lzo1x_1_compress,
            (false, true) => bindings::lzo1x_1_compress_safe,
            (true, false) => bindings::lzorle1x_1_compress,
            (true, true) => bindings::lzorle1x_1_compress_safe,
        };
        let mut len = dst.len();
        // SAFETY: The page and the buffer have the sizes that are given, and `memory` has the size
        // that LZO requires. A function without "safe" in its name is called only with a buffer
        // that has room for any result; the others check the size. `memory` is used as an array of
        // `unsigned short`, for which every allocation is sufficiently aligned. LZO stays within
        // these sizes even if the page changes meanwhile.
        let status = unsafe {
            compress(
                src.as_ptr(),
                PAGE_SIZE,
                dst.as_mut_ptr(),
                &mut len,
                self.memory.as_mut_ptr().cast(),
            )
        };
        match status {
            bindings::ZRAM_RS_LZO_OK => Ok(Some(len)),
            bindings::ZRAM_RS_LZO_OVERRUN => Ok(None),
            _ => Err(EINVAL),
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let mut len = PAGE_SIZE;
        // SAFETY: The source and the page have the sizes that are given, which LZO checks.
        let status = unsafe {
            bindings::lzo1x_decompress_safe(src.as_ptr(), src.len(), dst.as_ptr(), &mut len)
        };
        if status == bindings::ZRAM_RS_LZO_OK && len == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
