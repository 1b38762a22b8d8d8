// SPDX-License-Identifier: GPL-2.0

//! Time, scheduling, signals.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;

/// Lets others run if they have been waiting for this CPU.
///
/// May sleep.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: May be called from any context that may sleep.
    unsafe { bindings::zram_rs_cond_resched() };
}

/// Returns the seconds since boot, time in suspend included, as a number that wraps after 136
/// years.
///
/// Any context.
#[inline]
pub(crate) fn boottime_seconds() -> u32 {
    // SAFETY: Reads the clock, no requirements.
    unsafe { bindings::zram_rs_boottime_seconds() }
}

/// Returns whether a signal is waiting for this task, so that it should come to an end.
///
/// Any context; in interrupts it is about the task that was interrupted.
pub(crate) fn interrupted() -> bool {
    kernel::current!().signal_pending()
}

/// Returns how many pages of memory the machine has.
///
/// Any context.
pub(crate) fn total_pages() -> usize {
    // SAFETY: Reads a number, no requirements.
    unsafe { bindings::zram_rs_total_pages() }
}
