// SPDX-License-Identifier: GPL-2.0

//! Reading files.
//!
//! C header: [`include/linux/kernel_read_file.h`](srctree/include/linux/kernel_read_file.h)

use crate::bindings;
use core::{
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// What was in a file when it was read.
///
/// # Invariants
///
/// `bytes` points to `len` bytes, which were allocated by `vmalloc`, belong to this object, and are
/// not changed.
pub(crate) struct FileContents {
    bytes: NonNull<u8>,
    len: usize,
}

// SAFETY: Plain memory, which any thread can free.
unsafe impl Send for FileContents {}
// SAFETY: The memory is not changed.
unsafe impl Sync for FileContents {}

impl FileContents {
    /// Reads a file of at most `max` bytes, as a policy that user space hands to the kernel.
    ///
    /// Fails with `ENOENT`, `EACCES` and whatever opening a file fails with, `EINVAL` if it is
    /// empty or no regular file, `EFBIG` if it is too large, and `ENOMEM`. May sleep.
    pub(crate) fn read(path: &CStr, max: usize) -> Result<Self> {
        let mut buffer = ptr::null_mut();
        // SAFETY: The path is a C string, and the buffer a null pointer, which this sets to memory
        // that it allocates.
        let len = unsafe {
            bindings::kernel_read_file_from_path(
                path.as_char_ptr(),
                0,
                &mut buffer,
                max,
                ptr::null_mut(),
                bindings::kernel_read_file_id_READING_POLICY,
            )
        };
        // It is below `max`, or a small negative number.
        to_result(len as c_int)?;
        // INVARIANT: So many bytes were read into memory that was just allocated.
        let this = Self {
            bytes: NonNull::new(buffer.cast()).ok_or(EINVAL)?,
            len: len as usize,
        };
        if this.len == 0 {
            return Err(EINVAL);
        }
        Ok(this)
    }
}

impl core::ops::Deref for FileContents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: By the type invariants.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl Drop for FileContents {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::vfree(self.bytes.as_ptr().cast()) };
    }
}
