// SPDX-License-Identifier: GPL-2.0

//! What a disk tells those who watch it.

/// The events of a disk, from its addition to its removal.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct Events {
    /// The device number of the disk.
    dev: u32,
}

impl Events {
    /// Creates the events of the disk with a device number.
    pub(crate) fn new(dev: u32) -> Self {
        Self { dev }
    }

    /// Returns the device number of the disk.
    #[inline]
    pub(crate) fn dev(&self) -> u32 {
        self.dev
    }
}
