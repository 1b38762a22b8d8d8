// SPDX-License-Identifier: GPL-2.0

//! The device model: classes and their attributes.

pub(crate) mod class;
pub(crate) mod sysfs;
