// SPDX-License-Identifier: GPL-2.0

//! The backing device of a disk.

pub(crate) mod blocks;
pub(crate) mod read;
pub(crate) mod share;

use crate::abstractions::{
    block::bdev::{
        BlockDevice,
        ReadDevice, //
    },
    workqueue::HighPriority, //
};
use blocks::Blocks;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};
use read::DeviceRead;

/// A block device that pages are written to and read from.
#[pin_data]
pub(crate) struct Backing {
    /// The device.
    #[pin]
    pub(crate) source: ReadDevice<DeviceRead>,
    /// Its blocks.
    #[pin]
    pub(crate) blocks: Blocks,
}

impl Backing {
    /// Opens the block device at `path`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for a single page on it; `EROFS` if it can only be read, and
    /// `EINVAL` if it has zones, or blocks larger than a page, with a line in the log that says so;
    /// what [`BlockDevice::open`] fails with; and `ENOMEM`.
    pub(crate) fn open(path: &CStr, queue: Arc<HighPriority>) -> Result<Arc<Self>> {
        let device = BlockDevice::open(path)?;
        let len = usize::try_from(device.size() >> PAGE_SHIFT)?;
        // A zram disk that is not initialised has no size: a disk cannot back itself.
        if len == 0 {
            return Err(EINVAL);
        }
        // On such a device every writeback would fail. The error alone does not say why.
        let refuse = |reason: &str, error| {
            pr_err!("cannot use {path} as backing device: {reason}\n");
            Err(error)
        };
        if device.is_read_only() {
            return refuse("it is read-only", EROFS);
        }
        if device.is_zoned() {
            return refuse("it has zones", EINVAL);
        }
        if device.logical_block_size() > PAGE_SIZE {
            return refuse("its logical blocks are larger than a page", EINVAL);
        }
        Arc::pin_init(
            try_pin_init!(Self {
                source <- ReadDevice::new(device, queue),
                blocks <- Blocks::new(len),
            }),
            GFP_KERNEL,
        )
    }
}
