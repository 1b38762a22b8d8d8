// SPDX-License-Identifier: GPL-2.0

//! A workqueue of our own, and work that a worker shares with its task.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    container_of,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// A workqueue of high priority, with a rescuer, so that it makes progress when memory is short.
///
/// # Invariants
///
/// `queue` is a valid workqueue that belongs to this object.
pub(crate) struct HighPriority {
    queue: NonNull<kernel::bindings::workqueue_struct>,
}

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for HighPriority {}
// SAFETY: The same.
unsafe impl Sync for HighPriority {}

impl HighPriority {
    /// Makes a workqueue of which each CPU has `max_active` workers at most; 0 stands for the
    /// kernel's default.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(name: &CStr, max_active: c_int) -> Result<Self> {
        // SAFETY: `name` is a C string, which is copied.
        let queue = unsafe { bindings::zram_rs_highpri_workqueue(name.as_char_ptr(), max_active) };
        // INVARIANT: Just made.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }

    /// Queues work. Any context.
    ///
    /// # Safety
    ///
    /// `work` must be initialised, not queued already, and stay valid until its function is called.
    pub(super) unsafe fn enqueue(&self, work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements and the type invariants.
        unsafe {
            kernel::bindings::queue_work_on(
                kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                self.queue.as_ptr(),
                work,
            )
        };
    }
}

impl Drop for HighPriority {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. This waits for all work to be done.
        unsafe { kernel::bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// Something that a worker does while the task that asked for it does something else.
///
/// # Invariants
///
/// From when `work` is queued until it is cancelled or done, nobody but the worker uses `help`.
#[pin_data]
struct Help<'a, H> {
    #[pin]
    work: Opaque<kernel::bindings::work_struct>,
    help: UnsafeCell<&'a mut H>,
}

/// Calls `f`, and `help` from a worker, at the same time if a processor is free, and returns what
/// `f` returned.
///
/// `help` may be called late, or not at all: without free memory for its work it is not. It is not
/// called, and not running any more, when this returns.
///
/// # Context
///
/// May sleep, but not for memory. The worker runs with no lock of this task's, and gets none of its
/// signals.
pub(crate) fn with_scoped_work<H, R>(help: &mut H, f: impl FnOnce() -> R) -> R
where
    H: FnMut() + Send,
{
    let work = KBox::pin_init(
        pin_init!(Help {
            // SAFETY: The slot is valid and pinned, the name and the class are static.
            work <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::init_work_with_key(
                    slot,
                    Some(Help::<H>::run),
                    false,
                    c"zram_rs help".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                )
            }),
            help: UnsafeCell::new(help),
        }),
        GFP_NOWAIT,
    );
    let Ok(work) = work else {
        return f();
    };
    // SAFETY: The work is initialised, pinned, and not queued. It stays until it is cancelled or
    // done, below; that is reached, as there is no unwinding.
    unsafe {
        kernel::bindings::queue_work_on(
            kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
            kernel::bindings::system_dfl_long_wq,
            work.work.get(),
        )
    };
    let result = f();
    // Not flushed: that could mean to wait for memory for a worker.
    // SAFETY: The work is initialised. May sleep.
    unsafe { kernel::bindings::cancel_work_sync(work.work.get()) };
    result
}

impl<H: FnMut() + Send> Help<'_, H> {
    /// # Safety
    ///
    /// Called by the workqueue with the work of such an object, which stays until this returns.
    unsafe extern "C" fn run(work: *mut kernel::bindings::work_struct) {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: The work is part of such an object.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: By the type invariants the closure is ours, and it may be called from another
        // thread than the one that made it.
        unsafe { (*(*this).help.get())() };
    }
}

#[kunit_tests(zram_rs_workqueue)]
mod tests {
    use super::*;
    use crate::abstractions::sched::cond_resched;
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Completion, //
    };

    #[test]
    fn help_comes_once() -> Result {
        let came = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        let mut calls = 0;
        let mut help = || {
            calls += 1;
            came.complete_all();
        };
        let result = with_scoped_work(&mut help, || {
            came.wait_for_completion();
            7
        });
        assert_eq!((calls, result), (1, 7));
        Ok(())
    }

    #[test]
    fn help_is_gone_at_the_end() {
        let running = Atomic::new(false);
        for _ in 0..1000 {
            let mut help = || {
                running.store(true, Relaxed);
                cond_resched();
                running.store(false, Relaxed);
            };
            with_scoped_work(&mut help, cond_resched);
            assert!(!running.load(Relaxed));
        }
    }
}
