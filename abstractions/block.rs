// SPDX-License-Identifier: GPL-2.0

//! Block devices and their I/O.

pub(crate) mod bdev;
pub(crate) mod bio;
pub(crate) mod gendisk;
