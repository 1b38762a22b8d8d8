// SPDX-License-Identifier: GPL-2.0

//! Workqueues that a driver owns, and work that is scoped to a function call.
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

/// Stands for the CPU that queues work.
const THIS_CPU: c_int = kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;

/// Returns the CPU that follows this CPU as the `nth`, of those that workers may run on.
///
/// The CPUs of this node come first. After the last CPU comes this one, for which this returns
/// [`THIS_CPU`], and then all of them again.
///
/// A workqueue for work on any CPU takes it as a hint. Without one, its workers are those of the
/// CPUs that share a cache with this one. In many virtual machines that is this CPU alone, so that
/// the worker would wait until the task sleeps.
///
/// # Context
///
/// Any context; does not sleep.
fn near_cpu(nth: u32) -> c_int {
    // SAFETY: The function only returns a number.
    unsafe { bindings::zram_rs_near_cpu(nth) }
}

/// A workqueue of high priority, whose rescuer makes progress when memory is short.
///
/// It has two parts: one runs work on the CPU that it is queued for, the other one on any CPU.
///
/// # Examples
///
/// ```
/// use crate::abstractions::workqueue::HighPriority;
///
/// let queue = HighPriority::new(c"my_driver", 0)?;
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct HighPriority {
    of_cpus: Owned,
    anywhere: Owned,
}

/// A workqueue.
///
/// # Invariants
///
/// The pointer is that of a valid workqueue, which this object owns.
struct Owned(NonNull<kernel::bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed from any thread.
unsafe impl Send for Owned {}
// SAFETY: A workqueue does its own locking.
unsafe impl Sync for Owned {}

impl HighPriority {
    /// Creates a workqueue each of whose parts runs at most `max_active` works on each CPU; 0
    /// stands for the kernel's default.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the workqueue, which waits for all work.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(name: &CStr, max_active: c_int) -> Result<Self> {
        let make = |unbound| {
            // SAFETY: `name` is a C string, which the function copies.
            let queue = unsafe {
                bindings::zram_rs_highpri_workqueue(name.as_char_ptr(), unbound, max_active)
            };
            // INVARIANT: The workqueue is new, and only this object has its address.
            NonNull::new(queue).map(Owned).ok_or(ENOMEM)
        };
        Ok(Self {
            of_cpus: make(false)?,
            anywhere: make(true)?,
        })
    }

    /// Queues work for this CPU.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    ///
    /// # Safety
    ///
    /// `work` must be initialised and not queued, and must stay valid until its function is called.
    pub(super) unsafe fn enqueue(&self, work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements.
        unsafe { self.of_cpus.enqueue(THIS_CPU, work) };
    }

    /// Queues work for the CPU that follows this CPU as the `nth`. It wakes no worker if one is
    /// running on that CPU: that one does the work later.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    ///
    /// # Safety
    ///
    /// As for [`enqueue`](Self::enqueue).
    pub(super) unsafe fn enqueue_near(&self, nth: u32, work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements.
        unsafe { self.of_cpus.enqueue(near_cpu(nth), work) };
    }

    /// Queues work for any CPU, preferably for the one that follows this CPU as the `nth`.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    ///
    /// # Safety
    ///
    /// As for [`enqueue`](Self::enqueue).
    pub(super) unsafe fn enqueue_anywhere(
        &self,
        nth: u32,
        work: *mut kernel::bindings::work_struct,
    ) {
        // SAFETY: By the safety requirements.
        unsafe { self.anywhere.enqueue(near_cpu(nth), work) };
    }
}

impl Owned {
    /// Queues work for a CPU.
    ///
    /// # Safety
    ///
    /// As for [`HighPriority::enqueue`].
    unsafe fn enqueue(&self, cpu: c_int, work: *mut kernel::bindings::work_struct) {
        // SAFETY: The workqueue is valid by the type invariants, and the work can be queued by the
        // safety requirements.
        unsafe { kernel::bindings::queue_work_on(cpu, self.0.as_ptr(), work) };
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the workqueue, and does not use it after
        // this call, which waits for all work.
        unsafe { kernel::bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// A closure that a worker calls, along with its work.
///
/// # Invariants
///
/// While `work` is queued or runs, only the worker uses `function`.
#[pin_data]
struct ScopedWork<'a, W> {
    #[pin]
    work: Opaque<kernel::bindings::work_struct>,
    function: UnsafeCell<&'a mut W>,
}

/// Calls `f` while a worker calls `function`, and returns the result of `f`.
///
/// The worker preferably runs on the CPU that follows this CPU as the `nth`. `function` is called
/// at most once, and not any more when this function returns. The worker may start late, or not at
/// all: without free memory for the work, only `f` is called.
///
/// # Context
///
/// May sleep, but not for memory. The worker does not own the locks of the calling task, and does
/// not get its signals.
///
/// # Examples
///
/// ```
/// use crate::abstractions::workqueue::with_scoped_work;
/// # use kernel::sync::atomic::{Atomic, Relaxed};
///
/// let (next, sum) = (Atomic::new(0), Atomic::new(0));
/// // Whichever task comes first takes the next number, until none is left.
/// let add_numbers = || loop {
///     let number: usize = next.fetch_add(1, Relaxed);
///     if number >= 1000 {
///         break;
///     }
///     sum.add(number, Relaxed);
/// };
/// let mut help = add_numbers;
/// with_scoped_work(1, &mut help, add_numbers);
/// assert_eq!(sum.load(Relaxed), 499_500);
/// # Ok::<(), Error>(())
/// ```
pub(crate) fn with_scoped_work<W, R>(nth: u32, function: &mut W, f: impl FnOnce() -> R) -> R
where
    W: FnMut() + Send,
{
    let work = KBox::pin_init(
        pin_init!(ScopedWork {
            // SAFETY: The slot is valid and pinned; the name and the class are static.
            work <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::init_work_with_key(
                    slot,
                    Some(ScopedWork::<W>::run),
                    false,
                    c"zram_rs scoped work".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                )
            }),
            // INVARIANT: The work is not queued yet.
            function: UnsafeCell::new(function),
        }),
        GFP_NOWAIT,
    );
    let Ok(work) = work else {
        return f();
    };
    // SAFETY: The work is initialised, pinned, and not queued. It is valid until after the call of
    // `cancel_work_sync` below, which is reached because the kernel does not unwind.
    unsafe {
        kernel::bindings::queue_work_on(
            near_cpu(nth),
            kernel::bindings::system_dfl_long_wq,
            work.work.get(),
        )
    };
    let result = f();
    // Cancel the work: flushing it could wait until there is memory for a worker.
    // SAFETY: The work is initialised, and the context may sleep.
    unsafe { kernel::bindings::cancel_work_sync(work.work.get()) };
    result
}

impl<W: FnMut() + Send> ScopedWork<'_, W> {
    /// Calls the closure. The work function.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a `ScopedWork<W>` that is valid until this function returns, and
    /// a worker must be running it.
    unsafe extern "C" fn run(work: *mut kernel::bindings::work_struct) {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: By the safety requirements the work is a field of a `ScopedWork<W>`.
        let this = unsafe { container_of!(work, Self, work) };
        // SAFETY: The object is valid by the safety requirements, and only this worker uses the
        // closure by the type invariants. The closure is `Send`, so that a worker may call it.
        unsafe { (*(*this).function.get())() };
    }
}

#[kunit_tests(zram_rs_workqueue)]
mod tests {
    use super::*;
    use crate::abstractions::sched::{
        cond_resched,
        num_online_cpus, //
    };
    use kernel::{
        cpu::CpuId,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Completion, //
        },
    };

    const PATIENCE: usize = 1000;

    /// Each other CPU comes once, then this CPU, and then all of them again.
    ///
    /// This task may move to another CPU meanwhile; then it looks again.
    #[test]
    fn near_cpus_come_by_turns() -> Result {
        let mut is_right = false;
        for _ in 0..PATIENCE {
            let here = CpuId::current().as_u32() as c_int;
            let mut cpus = KVec::new();
            for nth in 1.. {
                match near_cpu(nth) {
                    THIS_CPU => break,
                    cpu => cpus.push(cpu, GFP_KERNEL)?,
                }
            }
            let turn = cpus.len() as u32 + 1;
            let come_again = (1..)
                .zip(&cpus)
                .all(|(nth, &cpu)| near_cpu(nth + turn) == cpu);
            cpus.push(here, GFP_KERNEL)?;
            cpus.sort_unstable();
            let come_once = cpus.is_sorted_by(|a, b| a < b);
            // Tests run where no CPU is isolated.
            is_right = come_again && come_once && turn == num_online_cpus();
            if is_right {
                break;
            }
            cond_resched();
        }
        assert!(is_right);
        Ok(())
    }

    #[test]
    fn scoped_work_runs_once() -> Result {
        let called = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        let mut calls = 0;
        let mut function = || {
            calls += 1;
            called.complete_all();
        };
        let result = with_scoped_work(1, &mut function, || {
            called.wait_for_completion();
            7
        });
        assert_eq!((calls, result), (1, 7));
        Ok(())
    }

    #[test]
    fn scoped_work_has_ended() {
        let running = Atomic::new(false);
        for _ in 0..1000 {
            let mut function = || {
                running.store(true, Relaxed);
                cond_resched();
                running.store(false, Relaxed);
            };
            with_scoped_work(1, &mut function, cond_resched);
            assert!(!running.load(Relaxed));
        }
    }
}
