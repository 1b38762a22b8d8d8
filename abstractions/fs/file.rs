// SPDX-License-Identifier: GPL-2.0

//! Reading whole files by path.
//!
//! C header: [`include/linux/kernel_read_file.h`](srctree/include/linux/kernel_read_file.h)

#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::bindings;
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The contents of a file at the time of the read.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::fs::file::FileContents;
///
/// let contents = FileContents::read(c"/etc/my_driver.conf", 64 << 10)?;
/// pr_info!("the file has {} bytes\n", contents.len());
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct FileContents(VVec<u8>);

impl FileContents {
    /// Reads a file of at most `max` bytes.
    ///
    /// Security modules see this as the read of a policy (`READING_POLICY`).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the file is empty or not a regular file.
    /// - `EFBIG`: the file has more than `max` bytes.
    /// - `ENOMEM`: there is no memory for the contents.
    /// - `ENOENT`, `EACCES`, and all others with which opening or reading a file fails.
    pub(crate) fn read(path: &CStr, max: usize) -> Result<Self> {
        let mut size = 0;
        read(path, &mut [0], Some(&mut size))?;
        if size > max {
            return Err(EFBIG);
        }
        // The kernel would allocate the buffer itself, but without `__GFP_NOWARN`.
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

/// Reads a file to `bytes` and returns how many bytes were read.
///
/// With `size`, sets `size` to the size of the file, and reads only as much as fits into `bytes`.
///
/// # Errors
///
/// - `EFBIG`: there is no `size`, and the file does not fit into `bytes`.
/// - All others with which opening or reading a file fails.
fn read(path: &CStr, bytes: &mut [u8], size: Option<&mut usize>) -> Result<usize> {
    let mut buffer = bytes.as_mut_ptr().cast::<c_void>();
    // SAFETY: `path` is a C string, `buffer` is valid for writes of the length that is given, and
    // `size` is null or valid for writes.
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
    // `len` is at most `bytes.len()`, or a negative errno.
    to_result(len.min(0) as c_int)?;
    Ok(len as usize)
}
