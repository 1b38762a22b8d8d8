// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.
//!
//! Those of the `module!` macro can be given only once; see `helpers.c`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use crate::bindings;

/// Returns how many disks there are to be from the start. Any context.
pub(crate) fn num_devices() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::zram_rs_num_devices() }
}
