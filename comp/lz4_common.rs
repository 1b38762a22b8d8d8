// SPDX-License-Identifier: GPL-2.0

//! Decompressing what LZ4 has made, with any of its compressors.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)
#![cfg(any(zram_rs_lz4, zram_rs_lz4hc))]

use crate::{
    abstractions::{
        file::FileContents,
        page::MappedPage, //
    },
    bindings, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Decompresses a page, which may have been compressed with a dictionary. Fails with `EINVAL` if a
/// page is not what comes out. Any context.
pub(super) fn decompress(
    src: &[u8],
    dst: &MappedPage<'_>,
    dictionary: Option<&FileContents>,
) -> Result {
    let (from, to) = (src.as_ptr().cast(), dst.as_ptr().cast());
    let (len, room) = (src.len() as c_int, PAGE_SIZE as c_int);
    let len = match dictionary {
        // SAFETY: Source and page have the sizes that are given, which are not exceeded.
        None => unsafe { bindings::LZ4_decompress_safe(from, to, len, room) },
        // SAFETY: The same, and so has the dictionary.
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

/// Turns what a compressor has returned into a size; it is 0 if there was not enough room.
/// Any context.
pub(super) fn compressed(len: c_int) -> Option<usize> {
    usize::try_from(len).ok().filter(|&len| len > 0)
}
