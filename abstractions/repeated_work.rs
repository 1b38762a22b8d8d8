// SPDX-License-Identifier: GPL-2.0

//! Work that a worker does again and again in the background.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    container_of,
    prelude::*,
    static_lock_class,
    sync::Arc,
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// A workqueue for work that can wait, with a rescuer that makes progress when memory is short.
///
/// Its work stands still while the machine is suspended, and its workers may run on any CPU. The
/// directory `/sys/devices/virtual/workqueue/<name>` has their nice value and their CPUs.
///
/// # Invariants
///
/// `queue` is a valid workqueue that this object owns.
pub(crate) struct Background {
    queue: NonNull<kernel::bindings::workqueue_struct>,
}

// SAFETY: A workqueue may be used and destroyed from any thread.
unsafe impl Send for Background {}
// SAFETY: A workqueue does its own locking.
unsafe impl Sync for Background {}

impl Background {
    /// Creates a workqueue with a name that no other workqueue in sysfs has.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the workqueue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory, or the name is in use.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which the function copies.
        let queue = unsafe { bindings::zram_rs_background_workqueue(name.as_char_ptr()) };
        // INVARIANT: The workqueue is new, and only this object has its address.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the workqueue. It has no work: each
        // `RepeatedWork` has a reference to this object, and ends its work before it drops that.
        unsafe { kernel::bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// What a worker does again and again.
pub(crate) trait Repeat: Send + Sync + 'static {
    /// Does a piece of work, and returns after how many milliseconds a worker calls this again; or
    /// returns `None` if only [`RepeatedWork::wake`] is to have it called again.
    ///
    /// # Context
    ///
    /// A worker; may sleep. There is one call at a time. Suspending the machine and dropping the
    /// [`RepeatedWork`] wait for the call, so that it should return soon.
    fn run(&self) -> Option<u32>;
}

/// Work that a worker does again and again until this object is dropped.
///
/// # Invariants
///
/// `work` is initialised, is queued on `queue` only, and is not queued any more when the drop of
/// this object has ended.
///
/// # Context
///
/// Dropping it may sleep: it waits for a call of [`Repeat::run`], which must not drop it.
///
/// # Examples
///
/// ```
/// use crate::abstractions::repeated_work::{
///     Background,
///     Repeat,
///     RepeatedWork, //
/// };
/// # use kernel::sync::{atomic::{Atomic, Relaxed}, Arc, Completion};
///
/// struct Countdown {
///     left: Atomic<u32>,
///     done: Arc<Completion>,
/// }
///
/// impl Repeat for Countdown {
///     fn run(&self) -> Option<u32> {
///         if self.left.fetch_sub(1, Relaxed) > 1 {
///             return Some(0);
///         }
///         self.done.complete_all();
///         None
///     }
/// }
///
/// let done = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
/// let countdown = Countdown { left: Atomic::new(3), done: done.clone() };
/// let queue = Arc::new(Background::new(c"my_driver")?, GFP_KERNEL)?;
/// let work = KBox::pin_init(RepeatedWork::new(queue, countdown), GFP_KERNEL)?;
/// work.wake(0);
/// done.wait_for_completion();
/// assert_eq!(work.data().left.load(Relaxed), 0);
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub(crate) struct RepeatedWork<T: Repeat> {
    #[pin]
    work: Opaque<kernel::bindings::delayed_work>,
    queue: Arc<Background>,
    data: T,
}

// SAFETY: Any thread may queue and end the work; `T` is `Send`.
unsafe impl<T: Repeat> Send for RepeatedWork<T> {}
// SAFETY: Work does its own locking, and `T` is `Sync`.
unsafe impl<T: Repeat> Sync for RepeatedWork<T> {}

impl<T: Repeat> RepeatedWork<T> {
    /// Creates work that no worker does yet. Any context.
    pub(crate) fn new(queue: Arc<Background>, data: T) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: The work is initialised, and not queued yet.
            work <- Opaque::ffi_init(|slot: *mut kernel::bindings::delayed_work| {
                // SAFETY: The slot is valid and pinned; the name and the class are static.
                unsafe {
                    kernel::bindings::init_work_with_key(
                        &raw mut (*slot).work,
                        Some(Self::run),
                        false,
                        c"zram_rs repeated work".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                };
                // SAFETY: As above. This function is the one for the timer of delayed work, whose
                // timers have these flags.
                unsafe {
                    kernel::bindings::timer_init_key(
                        &raw mut (*slot).timer,
                        Some(kernel::bindings::delayed_work_timer_fn),
                        kernel::bindings::TIMER_IRQSAFE,
                        c"zram_rs repeated work".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                };
            }),
            queue,
            data,
        })
    }

    /// Returns the data of the work. Any context; does not sleep.
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// Has a worker call [`Repeat::run`] after so many milliseconds, whenever it was to do so. Any
    /// context; does not sleep.
    pub(crate) fn wake(&self, milliseconds: u32) {
        // SAFETY: By the type invariants the work is initialised and is queued on this queue only;
        // only `new` makes such an object, which pins it, and the drop ends the work before it is
        // freed. The workqueue is valid.
        // INVARIANT: The drop disables the work, which dequeues it.
        unsafe {
            kernel::bindings::mod_delayed_work_on(
                kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                self.queue.queue.as_ptr(),
                self.work.get(),
                msecs_to_jiffies(milliseconds),
            )
        };
    }

    /// Calls [`Repeat::run`], and queues the work again. The work function.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a pinned `RepeatedWork<T>` that a worker of its queue is running.
    unsafe extern "C" fn run(work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements the work is that of a `RepeatedWork<T>`, whose drop
        // waits for this function.
        let this = unsafe {
            let work = container_of!(work, kernel::bindings::delayed_work, work);
            &*container_of!(Opaque::cast_from(work).cast_mut(), Self, work)
        };
        let Some(milliseconds) = this.data.run() else {
            return;
        };
        // SAFETY: As in `wake`. This does nothing if the work is queued already, so that a `wake`
        // during the call counts, or if the drop has disabled it.
        unsafe {
            kernel::bindings::queue_delayed_work_on(
                kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                this.queue.queue.as_ptr(),
                this.work.get(),
                msecs_to_jiffies(milliseconds),
            )
        };
    }
}

#[pinned_drop]
impl<T: Repeat> PinnedDrop for RepeatedWork<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the work is initialised. The function dequeues it, waits
        // for the worker that runs it, and keeps it from being queued again.
        unsafe { kernel::bindings::disable_delayed_work_sync(self.work.get()) };
    }
}

#[kunit_tests(zram_rs_repeated_work)]
mod tests {
    use super::*;
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Completion, //
    };

    /// Counts its calls, which end when there were `max`.
    struct Calls {
        count: Atomic<u32>,
        max: u32,
        delay: u32,
        reached: Arc<Completion>,
    }

    impl Repeat for Calls {
        fn run(&self) -> Option<u32> {
            let count = self.count.fetch_add(1, Relaxed) + 1;
            if count >= self.max {
                self.reached.complete_all();
            }
            (count != self.max).then_some(self.delay)
        }
    }

    fn calls(max: u32, delay: u32) -> Result<(Pin<KBox<RepeatedWork<Calls>>>, Arc<Completion>)> {
        let reached = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let data = Calls {
            count: Atomic::new(0),
            max,
            delay,
            reached: reached.clone(),
        };
        let queue = Arc::new(Background::new(c"zram_rs_kunit")?, GFP_KERNEL)?;
        let work = KBox::pin_init(RepeatedWork::new(queue, data), GFP_KERNEL)?;
        Ok((work, reached))
    }

    #[test]
    fn runs_until_it_says_so() -> Result {
        let (work, reached) = calls(5, 1)?;
        work.wake(0);
        reached.wait_for_completion();
        assert_eq!(work.data().count.load(Relaxed), 5);
        // `wake` has it called again.
        work.wake(0);
        while work.data().count.load(Relaxed) < 7 {
            crate::abstractions::sched::yield_now();
        }
        Ok(())
    }

    #[test]
    fn wake_does_not_wait_for_the_delay() -> Result {
        let (work, reached) = calls(1, 0)?;
        work.wake(u32::MAX);
        work.wake(0);
        reached.wait_for_completion();
        Ok(())
    }

    #[test]
    fn drop_ends_it() -> Result {
        for delay in [0, 1, 1_000_000] {
            let (work, reached) = calls(3, delay)?;
            work.wake(0);
            if delay < 2 {
                reached.wait_for_completion();
            }
            drop(work);
        }
        Ok(())
    }
}
