// SPDX-License-Identifier: GPL-2.0

//! Users of block devices: opening a device, writing pages to it, and reading pages from it.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/bio.h`](srctree/include/linux/bio.h)

mod read;
mod run;
mod write;

pub(crate) use read::{
    AfterWork,
    PageRead,
    ReadDevice,
    ReadSlab, //
};
pub(crate) use run::ReadRun;
pub(crate) use write::{
    WriteRequest,
    Writer,
    WriterMemory, //
};

use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// A block device that this object has opened exclusively.
///
/// # Invariants
///
/// `file` is an open file of a block device, which this object owns, and `bdev` is that device.
///
/// # Context
///
/// Any context, and the methods do not sleep, unless they say otherwise. Dropping may sleep.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::block::bdev::BlockDevice;
/// # use kernel::page::PAGE_SIZE;
///
/// let device = BlockDevice::open(c"/dev/sda")?;
/// if device.is_read_only() {
///     return Err(EROFS);
/// }
/// let pages = device.size() / PAGE_SIZE as u64;
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct BlockDevice {
    file: NonNull<kernel::bindings::file>,
    bdev: NonNull<kernel::bindings::block_device>,
}

// SAFETY: Any thread may use and close an open file, and use its device.
unsafe impl Send for BlockDevice {}
// SAFETY: An open file and its device may be used by several threads at the same time.
unsafe impl Sync for BlockDevice {}

impl BlockDevice {
    /// Opens the block device at `path` exclusively, for reading and writing.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `ENOTBLK`: the file is not a block device.
    /// - `EBUSY`: the device has an exclusive user.
    /// - Those of opening a file.
    pub(crate) fn open(path: &CStr) -> Result<Self> {
        const FLAGS: u32 =
            kernel::bindings::O_RDWR | kernel::bindings::O_LARGEFILE | kernel::bindings::O_EXCL;
        // SAFETY: `path` is a C string.
        let file = from_err_ptr(unsafe {
            kernel::bindings::filp_open(path.as_char_ptr(), FLAGS as c_int, 0)
        })?;
        // SAFETY: The file is open.
        if !unsafe { bindings::zram_rs_file_is_bdev(file) } {
            // SAFETY: The file is open, and is not used after this call.
            unsafe { kernel::bindings::filp_close(file, ptr::null_mut()) };
            return Err(ENOTBLK);
        }
        // SAFETY: The file is an open file of a block device.
        let bdev = unsafe { kernel::bindings::file_bdev(file) };
        // INVARIANT: The file is newly opened, is that of a block device, and `bdev` is the device.
        Ok(Self {
            // SAFETY: `filp_open` returns an error or a file, never null.
            file: unsafe { NonNull::new_unchecked(file) },
            // SAFETY: `file_bdev` does not return null for the file of a block device.
            bdev: unsafe { NonNull::new_unchecked(bdev) },
        })
    }

    /// Returns the size of the device in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: By the type invariants the file is an open file of a block device.
        unsafe { bindings::zram_rs_file_bdev_bytes(self.file.as_ptr()) }
    }

    /// Returns the major number of the whole device, which its driver has.
    pub(super) fn major(&self) -> c_int {
        // SAFETY: By the type invariants the device is open, which keeps its disk. The number does
        // not change after the disk has been added.
        unsafe { (*(*self.bdev.as_ptr()).bd_disk).major }
    }

    /// Returns whether the device is read-only at the moment.
    pub(crate) fn is_read_only(&self) -> bool {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_read_only(self.bdev.as_ptr()) }
    }

    /// Returns whether the device is zoned; some zones can only be written sequentially.
    pub(crate) fn is_zoned(&self) -> bool {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_is_zoned(self.bdev.as_ptr()) }
    }

    /// Returns the logical block size of the device, in bytes.
    pub(crate) fn logical_block_size(&self) -> usize {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_logical_block_size(self.bdev.as_ptr()) as usize }
    }

    /// Returns the largest request of the device, in pages; a larger one is split.
    ///
    /// A user may change it. It can be 0, if pages are larger than requests.
    pub(crate) fn max_request_pages(&self) -> usize {
        // SAFETY: By the type invariants the device is open.
        let sectors = unsafe { bindings::zram_rs_bdev_max_sectors(self.bdev.as_ptr()) };
        sectors as usize / (PAGE_SIZE >> kernel::block::SECTOR_SHIFT)
    }

    /// Writes the path of the device's file to `buffer`, and returns it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`: the path does not fit into `buffer`.
    pub(crate) fn path<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a CStr> {
        let len = c_int::try_from(buffer.len())?;
        // SAFETY: The file is open by the type invariants, and `buffer` has `len` bytes.
        let path = from_err_ptr(unsafe {
            kernel::bindings::file_path(self.file.as_ptr(), buffer.as_mut_ptr().cast(), len)
        })?;
        // SAFETY: `file_path` returns a C string within the buffer.
        Ok(unsafe { CStr::from_char_ptr(path) })
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the file is open and this object owns it, so that it is
        // not used after this call.
        unsafe { kernel::bindings::filp_close(self.file.as_ptr(), ptr::null_mut()) };
    }
}

/// Returns the first sector of a page on a device.
fn sector(page: usize) -> u64 {
    page as u64 * (PAGE_SIZE as u64 >> kernel::block::SECTOR_SHIFT)
}

/// Converts the status of a bio to a result.
#[inline]
fn result_of(status: kernel::bindings::blk_status_t) -> Result {
    // The common case, without a call.
    if status == 0 {
        return Ok(());
    }
    // SAFETY: The function has no requirements.
    to_result(unsafe { kernel::bindings::blk_status_to_errno(status) })
}
