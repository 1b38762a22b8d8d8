// SPDX-License-Identifier: GPL-2.0

//! Reading files.
//!
//! C header: [`include/linux/kernel_read_file.h`](srctree/include/linux/kernel_read_file.h)

use crate::bindings;
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// What was in a file when it was read.
pub(crate) struct FileContents(VVec<u8>);

impl FileContents {
    /// Reads a file of at most `max` bytes, as a policy that user space hands to the kernel.
    ///
    /// Fails with `ENOENT`, `EACCES` and whatever opening a file fails with, `EINVAL` if it is
    /// empty or no regular file, `EFBIG` if it is too large, and `ENOMEM`. May sleep.
    pub(crate) fn read(path: &CStr, max: usize) -> Result<Self> {
        let mut size = 0;
        read(path, &mut [0], Some(&mut size))?;
        if size > max {
            return Err(EFBIG);
        }
        // The kernel would allocate the memory itself, but complain loudly if there is none.
        let mut bytes = VVec::zeroed(size, GFP_KERNEL | __GFP_NOWARN)?;
        let len = read(path, &mut bytes, None)?;
        bytes.truncate(len);
        Ok(Self(bytes))
    }
}

impl core::ops::Deref for FileContents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads the beginning of a file, if `size` wants to know how large the file is; else all of it.
/// Fails with `EFBIG` if that is more than fits.
fn read(path: &CStr, bytes: &mut [u8], size: Option<&mut usize>) -> Result<usize> {
    let mut buffer = bytes.as_mut_ptr().cast::<c_void>();
    // SAFETY: The path is a C string, the buffer has the length that is given, and `size` is null
    // or valid for writes.
    let len = unsafe {
        bindings::kernel_read_file_from_path(
            path.as_char_ptr(),
            0,
            &mut buffer,
            bytes.len(),
            size.map_or(ptr::null_mut(), ptr::from_mut),
            bindings::kernel_read_file_id_READING_POLICY,
        )
    };
    // At most `bytes.len()`, or a small negative number.
    to_result(len.min(0) as c_int)?;
    Ok(len as usize)
}
