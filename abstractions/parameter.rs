// SPDX-License-Identifier: GPL-2.0

//! The parameters of the module.
//!
//! A parameter of the `module!` macro can be set only once; see `helpers.c`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use crate::bindings;

/// Returns the maximum number of CPUs that help with a large bio, which may change at any time.
///
/// # Context
///
/// Any context.
pub(crate) fn helpers() -> u32 {
    // SAFETY: The function only returns a number.
    unsafe { bindings::zram_rs_helpers() }
}

/// Returns the number of disks that the module creates when it is loaded.
///
/// # Context
///
/// Any context.
pub(crate) fn num_devices() -> u32 {
    // SAFETY: The function only returns a number.
    unsafe { bindings::zram_rs_num_devices() }
}
