// SPDX-License-Identifier: GPL-2.0

//! Time, scheduling, signals.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;
use kernel::{
    prelude::*,
    task::Task, //
};

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
pub(crate) fn yield_now() {
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

/// Fails if a task is to leave the system call that it is in.
///
/// A signal that kills or stops the task, or has a handler without `SA_RESTART`, makes it leave,
/// and so does freezing it. Signals that are ignored or have a handler with `SA_RESTART`, and task
/// work, do not: a timer that ticks all the time must not make the task begin again all the time.
/// They wait until the system call ends.
///
/// # Context
///
/// Any but NMI. The task may be another one than the current one. What is said about it is worth
/// something for as long as it is in a system call: a worker may ask for the task that waits for
/// it.
///
/// # Errors
///
/// `ERESTARTSYS`, which the system call is to return. It is `EINTR` for user space if a handler
/// without `SA_RESTART` ran; after a stop or a freeze the system call is done again. The task has
/// a signal pending until it returns, as the kernel wants of a task that returns `ERESTARTSYS`.
pub(crate) fn check_signals(task: &Task) -> Result {
    // SAFETY: The reference keeps the task. The function takes the siglock of the task's sighand,
    // whose memory RCU keeps, and leaves the sighand alone if the task has given it up, which a
    // task does only when it exits or executes another program.
    if unsafe { bindings::zram_rs_signal_ends_syscall(task.as_ptr()) } {
        Err(ERESTARTSYS)
    } else {
        Ok(())
    }
}

/// Returns how many pages of memory the machine has.
///
/// Any context.
pub(crate) fn totalram_pages() -> usize {
    // SAFETY: Reads a number, no requirements.
    unsafe { bindings::zram_rs_totalram_pages() }
}

/// Returns how many processors there are to run on, for the moment.
///
/// Any context.
pub(crate) fn num_online_cpus() -> u32 {
    // SAFETY: Reads a number, no requirements.
    unsafe { bindings::zram_rs_num_online_cpus() }
}
