// SPDX-License-Identifier: GPL-2.0

//! The parameters of the module.
//!
//! A parameter of the `module!` macro can be set only once, and is not a text; see `helpers.c`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use crate::bindings;
use kernel::prelude::*;

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

/// Returns `auto_writeback` of new disks, as text. Any context.
pub(crate) fn auto_writeback() -> &'static CStr {
    // SAFETY: The function returns a C string, which stays until the module is unloaded: the
    // parameter has no file that could be written.
    unsafe { CStr::from_char_ptr(bindings::zram_rs_auto_writeback()) }
}

/// Returns `auto_recompress` of new disks, as text. Any context.
pub(crate) fn auto_recompress() -> &'static CStr {
    // SAFETY: As for `auto_writeback`.
    unsafe { CStr::from_char_ptr(bindings::zram_rs_auto_recompress()) }
}

/// Returns `writeback_budget` of new disks, as text. Any context.
pub(crate) fn writeback_budget() -> &'static CStr {
    // SAFETY: As for `auto_writeback`.
    unsafe { CStr::from_char_ptr(bindings::zram_rs_writeback_budget()) }
}

/// Returns `compressed_writeback` of new disks. Any context.
pub(crate) fn compressed_writeback() -> bool {
    // SAFETY: The function only returns a value.
    unsafe { bindings::zram_rs_compressed_writeback() }
}

/// Returns `packed_writeback` of new disks. Any context.
pub(crate) fn packed_writeback() -> bool {
    // SAFETY: The function only returns a value.
    unsafe { bindings::zram_rs_packed_writeback() }
}
