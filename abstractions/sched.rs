// SPDX-License-Identifier: GPL-2.0

//! Scheduling.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// Lets others run if they have been waiting for this CPU.
///
/// May sleep.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: May be called from any context that may sleep.
    unsafe { bindings::zram_rs_cond_resched() };
}
