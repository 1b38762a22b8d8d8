// SPDX-License-Identifier: GPL-2.0

//! Time, scheduling, signals.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;
use kernel::prelude::*;

/// Lets others run if they have been waiting for this CPU.
///
/// May sleep.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: May be called from any context that may sleep.
    unsafe { bindings::zram_rs_cond_resched() };
}

/// Lets others run who want this CPU, whether it is their turn or not: for what is done in time
/// that nobody else needs.
///
/// May sleep.
pub(crate) fn give_way() {
    // SAFETY: May be called from any context that may sleep.
    unsafe { kernel::bindings::yield_() };
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

/// Turns the `EINTR` of something that can be done again into what has the system call do that once
/// the signal was dealt with: if it was for stopping or freezing the task, or its handler wants it
/// so. Otherwise user space still gets `EINTR`.
///
/// For the context of a system call.
pub(crate) fn restartable(error: Error) -> Error {
    // Without a signal nobody would ever look at that error.
    if error == EINTR && interrupted() {
        ERESTARTSYS
    } else {
        error
    }
}

/// Returns how many pages of memory the machine has.
///
/// Any context.
pub(crate) fn total_pages() -> usize {
    // SAFETY: Reads a number, no requirements.
    unsafe { bindings::zram_rs_total_pages() }
}

/// Returns how many processors there are to run on, for the moment.
///
/// Any context.
pub(crate) fn online_processors() -> u32 {
    // SAFETY: Reads a number, no requirements.
    unsafe { bindings::zram_rs_online_processors() }
}
