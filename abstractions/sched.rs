// SPDX-License-Identifier: GPL-2.0

//! Scheduling, signals, time, and the size of the machine.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;
use kernel::{
    prelude::*,
    task::Task, //
};

/// Lets another task run if the scheduler asks for it.
///
/// # Context
///
/// May sleep.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: The function has no requirement but a context that may sleep.
    unsafe { bindings::zram_rs_cond_resched() };
}

/// Lets the other runnable tasks of this CPU run first, even if the scheduler does not ask for it.
///
/// This is for work that must not delay other tasks.
///
/// # Context
///
/// May sleep.
pub(crate) fn yield_now() {
    // SAFETY: The function has no requirement but a context that may sleep.
    unsafe { kernel::bindings::yield_() };
}

/// Returns whether the calling task is the only one that its CPU has to run.
///
/// # Context
///
/// Any context; does not sleep.
#[inline]
pub(crate) fn is_alone() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_single_task_running() }
}

/// Returns whether this is a task that nothing keeps from being preempted, as far as the kernel can
/// tell: without `CONFIG_PREEMPT_COUNT` it does not know about spinlocks.
///
/// # Context
///
/// Any context.
pub(crate) fn is_preemptible_task() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_is_preemptible_task() }
}

/// Returns the seconds since boot, including time in suspend; wraps after 136 years.
///
/// # Context
///
/// Any context; does not sleep.
#[inline]
pub(crate) fn boottime_seconds() -> u32 {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_boottime_seconds() }
}

/// Checks whether a task must leave its system call early.
///
/// It must if the task is being frozen, or if a signal is pending that kills or stops the task or
/// has a handler without `SA_RESTART`. Task work, and signals that are ignored or have a handler
/// with `SA_RESTART`, wait until the system call ends: otherwise a periodic timer would restart the
/// system call forever.
///
/// # Context
///
/// Any context but NMI; does not sleep. `task` need not be the current task, but must stay in its
/// system call for the result to be of use: a worker may check the task that waits for it.
///
/// # Errors
///
/// `ERESTARTSYS`: the system call must return this error. User space sees `EINTR` if a handler
/// without `SA_RESTART` ran; after a stop or a freeze the kernel restarts the system call. The
/// signal stays pending until then, as the kernel requires for `ERESTARTSYS`.
///
/// # Examples
///
/// ```
/// use crate::abstractions::sched::{
///     check_signals,
///     cond_resched, //
/// };
///
/// fn sum(items: &[u64]) -> Result<u64> {
///     let mut sum = 0;
///     for item in items {
///         check_signals(current!())?;
///         sum += item;
///         cond_resched();
///     }
///     Ok(sum)
/// }
///
/// assert_eq!(sum(&[1, 2, 3])?, 6);
/// # Ok::<(), Error>(())
/// ```
pub(crate) fn check_signals(task: &Task) -> Result {
    // SAFETY: The reference keeps the task valid. The function accesses the sighand of the task
    // under RCU, which keeps its memory, and with the siglock held after checking that the task
    // still uses it.
    if unsafe { bindings::zram_rs_signal_ends_syscall(task.as_ptr()) } {
        Err(ERESTARTSYS)
    } else {
        Ok(())
    }
}

/// Returns the number of pages of memory that the machine has.
///
/// # Context
///
/// Any context; does not sleep.
pub(crate) fn totalram_pages() -> usize {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_totalram_pages() }
}

/// Returns the number of pages of memory that tasks can get without swapping, as an estimate.
///
/// # Context
///
/// Any context; does not sleep.
pub(crate) fn available_pages() -> usize {
    // SAFETY: The function has no requirements.
    unsafe { kernel::bindings::si_mem_available() }.max(0) as usize
}

/// Returns the number of CPUs that are online; it may change at any time.
///
/// # Context
///
/// Any context; does not sleep.
pub(crate) fn num_online_cpus() -> u32 {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_num_online_cpus() }
}
