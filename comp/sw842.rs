// SPDX-License-Identifier: GPL-2.0

//! The 842 backend, which uses the kernel's software implementation.
//!
//! C header: [`include/linux/sw842.h`](srctree/include/linux/sw842.h)
#![cfg(zram_rs_842)]

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
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The working memory of one CPU.
pub(super) struct Sw842 {
    memory: KVVec<u64>,
}

impl Backend for Sw842 {
    type Setup = ();

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 16 << 10,
        decompress: 32 << 10,
    };

    fn setup(params: &Params) -> Result {
        params.refuse_dictionary(c"842")?;
        params.refuse_level(c"842")
    }

    fn new((): &()) -> Result<Self> {
        let words = (bindings::SW842_MEM_COMPRESS as usize).div_ceil(size_of::<u64>());
        Ok(Self {
            memory: KVVec::zeroed(words, gfp_nowarn())?,
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let mut len = dst.len() as c_uint;
        // SAFETY: The page and the buffer have the sizes that are given, and `memory` has the size
        // that the function requires. It stays within these sizes even if the page changes
        // meanwhile.
        let status = to_result(unsafe {
            bindings::sw842_compress(
                src.as_ptr(),
                PAGE_SIZE as c_uint,
                dst.as_mut_ptr(),
                &mut len,
                self.memory.as_mut_ptr().cast(),
            )
        });
        match status {
            Ok(()) => Ok(Some(len as usize)),
            Err(error) if error == ENOSPC => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let mut len = PAGE_SIZE as c_uint;
        // SAFETY: The source and the page have the sizes that are given, which the function checks.
        to_result(unsafe {
            bindings::sw842_decompress(src.as_ptr(), src.len() as c_uint, dst.as_ptr(), &mut len)
        })?;
        if len as usize == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
