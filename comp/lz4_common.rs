// SPDX-License-Identifier: GPL-2.0

//! The code that the LZ4 and LZ4HC backends share: their compressed formats are the same.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)
#![cfg(any(zram_rs_lz4, zram_rs_lz4hc))]

use crate::{
    abstractions::{
        fs::file::FileContents,
        page::MappedPage, //
    },
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Decompresses a page, with the dictionary with which it was compressed.
///
/// # Context
///
/// Any context.
///
/// # Errors
///
/// `EINVAL`: `src` is not a compressed page.
pub(super) fn decompress(
    src: &[u8],
    dst: &MappedPage<'_>,
    dictionary: Option<&FileContents>,
) -> Result {
    let (from, to) = (src.as_ptr().cast(), dst.as_ptr().cast());
    let (len, room) = (src.len() as c_int, PAGE_SIZE as c_int);
    let len = match dictionary {
        // SAFETY: The source and the page have the sizes that are given, which LZ4 checks.
        None => unsafe { bindings::LZ4_decompress_safe(from, to, len, room) },
        // SAFETY: The source, the page and the dictionary have the sizes that are given, which LZ4
        // checks.
        Some(dictionary) => unsafe {
            bindings::LZ4_decompress_safe_usingDict(
                from,
                to,
                len,
                room,
                dictionary.as_ptr().cast(),
                dictionary.len() as c_int,
            )
        },
    };
    if len == room {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Converts the result of an LZ4 compressor to a size, or `None` if the buffer was too small.
///
/// # Context
///
/// Any context.
pub(super) fn compressed(len: c_int) -> Option<usize> {
    usize::try_from(len).ok().filter(|&len| len > 0)
}
