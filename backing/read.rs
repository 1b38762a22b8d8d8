// SPDX-License-Identifier: GPL-2.0

//! The driver's data of a read that is in flight on the backing device.
//!
//! [`readback`](crate::readback) implements what happens when the device has read the page.

use super::blocks::PinnedBlock;
use crate::{
    abstractions::{
        alloc::pages::PooledPage,
        block::bio::SegmentCompletion,
        page::OwnedPage, //
    },
    comp::Priority,
    latency::Began, //
};

/// The form in which a page is stored on the backing device.
#[derive(Clone, Copy)]
pub(crate) enum StoredForm {
    /// Not compressed.
    Raw,
    /// Compressed.
    Compressed {
        /// Where the compressed data begins in the block, in bytes.
        offset: u32,
        /// The size of the compressed data, in bytes.
        size: u32,
        /// The algorithm that it was compressed with.
        priority: Priority,
    },
}

impl StoredForm {
    /// Returns whether the page is stored compressed. Any context.
    pub(crate) fn is_compressed(self) -> bool {
        matches!(self, Self::Compressed { .. })
    }
}

/// The memory that a page is read into, and what happens to it then.
pub(crate) enum ReadTarget {
    /// The page of a bio that reads the whole page.
    Page,
    /// A page from which the data is decompressed to the page of a bio that reads the whole page.
    ///
    /// A packed block contains other pages, too. They must not appear in the page of the bio, which
    /// may be memory of a user.
    Bounce(PooledPage),
    /// The bounce page of another read of the same packed block, in the same [run].
    ///
    /// [run]: crate::abstractions::block::bdev::ReadRun
    Shared,
    /// A page from which the data is copied to a bio that reads a part of the page, or whose memory
    /// is not one page.
    Copy(OwnedPage),
    /// A page that a bio's partial write is merged into, and that is then written.
    Merge(OwnedPage),
}

/// A read of one page from the backing device.
pub(crate) struct DeviceRead {
    /// The segment of the bio that waits for the read, and its completion.
    pub(crate) completion: SegmentCompletion,
    /// The memory to read into.
    pub(crate) target: ReadTarget,
    /// The block to read; `None` if the page is in a block that cannot be pinned yet.
    pub(crate) block: Option<PinnedBlock>,
    /// The form of the page in that block.
    pub(crate) form: StoredForm,
    /// When the read of the page began.
    pub(crate) began: Began,
}
