// SPDX-License-Identifier: GPL-2.0

//! Helpers: workers on idle CPUs that do a part of a task's work while the task does the rest.
//!
//! The works are allocated in advance, and a task that has work to share never waits for a worker
//! to be created or to run: what no helper has begun, it does itself. Modules cannot find out
//! whether another CPU is idle. So a helper finds out itself, when it runs, and goes away if its
//! CPU has something else to do; then it is not asked again for a while.
//!
//! C headers: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h),
//! [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::{
    abstractions::sched::{
        is_alone,
        num_online_cpus, //
    },
    bindings, //
};
use core::{
    hint::spin_loop,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    container_of,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Completion, //
    },
    types::Opaque, //
};
use pin_init::stack_pin_init;

/// The largest number of helpers of a job: [`Claims`] has a bit for each.
const MAX_HELPERS: u32 = u64::BITS;

/// How often a task looks whether its helpers have ended, before it sleeps until then.
///
/// To sleep and to be woken takes longer than what a helper has left to do, as a rule.
const SPINS: usize = 1000;

/// After so many requests in a row that were in vain, the pause does not grow any more: it is
/// `2^MAX_MISSES` jobs.
const MAX_MISSES: u32 = 6;

/// Returns whether a CPU is online, and is not one that kernel workers must leave alone
/// (`isolcpus`, `nohz_full`). It may go offline at any time.
fn may_disturb(cpu: CpuId) -> bool {
    // SAFETY: A `CpuId` is the number of a possible CPU.
    unsafe { bindings::zram_rs_may_disturb_cpu(cpu.as_u32()) }
}

/// What a task shares with its helpers.
///
/// # Invariants
///
/// - `data` points to a value that `help` takes, and that threads may share.
/// - `users` counts the task, and the helpers that have a pointer to the job, or whose `job` is
///   one. The job is valid until the count is zero, and then until `done` is completed if it was a
///   helper that made it zero.
#[pin_data]
struct Job<'a> {
    help: unsafe fn(*const c_void) -> bool,
    data: *const c_void,
    users: Atomic<i32>,
    #[pin]
    done: Completion,
    _data: PhantomData<&'a ()>,
}

/// Calls the closure that `data` points to.
///
/// # Safety
///
/// `data` must point to a valid `F`.
unsafe fn call<F: Fn() -> bool + Sync>(data: *const c_void) -> bool {
    // SAFETY: By the safety requirements `data` points to a valid closure, which is `Sync`, so that
    // any thread may call it.
    unsafe { (*data.cast::<F>())() }
}

/// The work of a CPU, and the job that it is to help with.
///
/// # Invariants
///
/// `job` is null (the helper is free), [`BUSY`] (a worker runs it), or points to a [`Job`] that
/// counts the helper among its users.
#[pin_data]
struct Helper {
    #[pin]
    work: Opaque<kernel::bindings::work_struct>,
    job: Atomic<*mut c_void>,
    /// The number of requests in a row that were in vain.
    misses: Atomic<u32>,
    /// The number of jobs that follow without a request.
    pause: Atomic<u32>,
}

/// The `job` of a helper that a worker runs: an address that no job has.
const BUSY: *mut c_void = ptr::without_provenance_mut(1);

impl Helper {
    fn new() -> impl PinInit<Self, Error> {
        // INVARIANT: The helper is free.
        try_pin_init!(Self {
            // SAFETY: The slot is valid and pinned; the name and the class are static.
            work <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::init_work_with_key(
                    slot,
                    Some(Self::run),
                    false,
                    c"zram_rs helper".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                )
            }),
            job: Atomic::new(ptr::null_mut()),
            misses: Atomic::new(0),
            pause: Atomic::new(0),
        })
    }

    /// Helps with the job, unless the task has withdrawn it. The work function.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a `Helper` that is valid until this function returns, and a
    /// worker must be running it.
    unsafe extern "C" fn run(work: *mut kernel::bindings::work_struct) {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: By the safety requirements the work is a field of a valid `Helper`.
        let this: &Self = unsafe { &*container_of!(work, Self, work) };
        let job = this.job.xchg(BUSY, Full).cast::<Job<'_>>();
        if !job.is_null() {
            // SAFETY: By the type invariants the job, which was not `BUSY` as works do not run
            // concurrently with themselves, counts this helper, and is valid until it is released.
            this.learn(unsafe { Job::help(job) });
        }
        // INVARIANT: The helper is free: the job does not count it any more.
        this.job.store(ptr::null_mut(), Release);
    }

    /// Returns whether the helper has no pause, which ends a job earlier than before.
    fn is_ready(&self) -> bool {
        let pause = self.pause.load(Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Relaxed);
        }
        pause == 0
    }

    /// Notes whether a request was of use.
    fn learn(&self, helped: bool) {
        let misses = match helped {
            true => 0,
            false => (self.misses.load(Relaxed) + 1).min(MAX_MISSES),
        };
        self.misses.store(misses, Relaxed);
        self.pause.store((1 << misses) - 1, Relaxed);
    }
}

impl Job<'_> {
    /// Does a part of the work if the CPU has nothing else to do, and releases the job; returns
    /// whether it did.
    ///
    /// # Safety
    ///
    /// `this` must point to a job that counts the caller among its users.
    unsafe fn help(this: *mut Self) -> bool {
        // SAFETY: By the safety requirements the job is valid until the count goes down below.
        let job = unsafe { &*this };
        // SAFETY: By the type invariants `data` points to what `help` takes.
        let helped = is_alone() && unsafe { (job.help)(job.data) };
        if job.users.fetch_add(-1, Full) == 1 {
            // The task waits for this, and frees the job not before `complete_all` has released
            // the lock of the completion.
            job.done.complete_all();
        }
        helped
    }
}

/// Works for helpers, and the workqueue that they run on.
///
/// # Invariants
///
/// `queue` is a valid workqueue that this object owns. Only works of `helpers` are on it. A helper
/// is for the CPU of its index.
///
/// # Examples
///
/// ```
/// use crate::abstractions::helpers::Helpers;
/// # use kernel::sync::atomic::{Atomic, Relaxed};
///
/// let helpers = Helpers::new(c"my_driver")?;
/// let (next, sum) = (Atomic::new(0), Atomic::new(0));
/// // Whichever task comes first takes the next number, until none is left.
/// let add_numbers = || {
///     let mut added = false;
///     loop {
///         let number: usize = next.fetch_add(1, Relaxed);
///         if number >= 1000 {
///             break added;
///         }
///         sum.add(number, Relaxed);
///         added = true;
///     }
/// };
/// helpers.share(1, &add_numbers, || add_numbers());
/// assert_eq!(sum.load(Relaxed), 499_500);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct Helpers {
    queue: NonNull<kernel::bindings::workqueue_struct>,
    helpers: Pin<KVBox<[Helper]>>,
    /// The number of tasks in [`share`](Self::share).
    tasks: Atomic<i32>,
}

// SAFETY: A workqueue and works may be used and destroyed from any thread.
unsafe impl Send for Helpers {}
// SAFETY: A workqueue does its own locking, and the atomic `job` of a helper tells who may use it.
unsafe impl Sync for Helpers {}

/// The helpers that were asked to help with a job.
struct Claims {
    /// The CPU from which on they were looked for.
    from: u32,
    /// By the distance of their CPU from `from`.
    helpers: u64,
}

impl Helpers {
    /// Creates a helper for each CPU, and a workqueue called `name`.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the helpers.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let count = nr_cpu_ids() as usize;
        let helpers = KVBox::pin_slice(|_| Helper::new(), count, GFP_KERNEL)?;
        // SAFETY: `name` is a C string, which the function copies.
        let queue = unsafe { bindings::zram_rs_helper_workqueue(name.as_char_ptr()) };
        // INVARIANT: The workqueue is new, and only this object has its address.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
            helpers,
            tasks: Atomic::new(0),
        })
    }

    /// Calls `own`, while up to `wanted` workers on idle CPUs call `help`; returns the result of
    /// `own`.
    ///
    /// `help` returns whether it has done a part of the work. It should return soon if its CPU has
    /// something else to do (see [`is_alone`]). Workers that have not called it yet when `own` has
    /// returned do not call it, and none is calling it when this function has returned.
    ///
    /// A helper that did not come in time, or whose CPU was busy, is not asked for the next jobs.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory, nor for a worker that has not begun. The workers do not own
    /// the locks of the calling task: `help` must not wait for these.
    pub(crate) fn share<F, R>(&self, wanted: u32, help: &F, own: impl FnOnce() -> R) -> R
    where
        F: Fn() -> bool + Sync,
    {
        let closure = ptr::from_ref(help).cast();
        // INVARIANT: The count is that of the task. `help` is `Sync`, and outlives the job.
        stack_pin_init!(let job = pin_init!(Job {
            help: call::<F>,
            data: closure,
            users: Atomic::new(1),
            done <- Completion::new(),
            _data: PhantomData,
        }));
        let job = job.into_ref();
        // Each of these tasks keeps a CPU busy, which to ask for help would only interrupt.
        let busy = self.tasks.fetch_add(1, Relaxed) as u32 + 1;
        let claims = self.claim(&job, wanted.min(num_online_cpus().saturating_sub(busy)));
        let result = own();
        self.tasks.add(-1, Relaxed);
        self.withdraw(&job, claims);
        job.wait();
        result
    }

    /// Calls `f` with the helpers of the CPUs that follow `from`, and with their distance from it,
    /// until `f` returns `false`.
    fn for_each(&self, from: u32, mut f: impl FnMut(u32, CpuId, &Helper) -> bool) {
        let count = self.helpers.len() as u32;
        for distance in 1..count.min(MAX_HELPERS) {
            let cpu = (from + distance) % count;
            let helper = self.helpers.get(cpu as usize);
            let (Some(helper), Some(cpu)) = (helper, CpuId::from_u32(cpu)) else {
                return;
            };
            if !f(distance, cpu, helper) {
                return;
            }
        }
    }

    /// Has up to `wanted` free helpers help with a job.
    fn claim(&self, job: &Job<'_>, wanted: u32) -> Claims {
        let mut claims = Claims {
            from: CpuId::current().as_u32(),
            helpers: 0,
        };
        let pointer = ptr::from_ref(job).cast_mut().cast::<c_void>();
        self.for_each(claims.from, |distance, cpu, helper| {
            if claims.helpers.count_ones() >= wanted {
                return false;
            }
            if !helper.job.load(Relaxed).is_null() || !may_disturb(cpu) || !helper.is_ready() {
                return true;
            }
            // INVARIANT: The job counts the helper before the helper has the job.
            job.users.add(1, Relaxed);
            if helper
                .job
                .cmpxchg(ptr::null_mut(), pointer, Release)
                .is_err()
            {
                job.users.add(-1, Relaxed);
                return true;
            }
            claims.helpers |= 1 << distance;
            // The work may be queued already, for a job that was withdrawn; then it takes this one.
            // If the CPU goes offline, another CPU runs it.
            // SAFETY: The workqueue is valid by the type invariants. The work is initialised, and
            // valid until the workqueue is destroyed. The CPU was online, and so has workers.
            unsafe {
                kernel::bindings::queue_work_on(
                    cpu.as_u32() as c_int,
                    self.queue.as_ptr(),
                    helper.work.get(),
                )
            };
            true
        });
        claims
    }

    /// Takes the job from those helpers that have not begun.
    fn withdraw(&self, job: &Job<'_>, claims: Claims) {
        if claims.helpers == 0 {
            return;
        }
        let pointer = ptr::from_ref(job).cast_mut().cast::<c_void>();
        self.for_each(claims.from, |distance, _, helper| {
            // INVARIANT: A helper that still has the job will not use it, and is not counted any
            // more. No other job has this address while this one is valid.
            if claims.helpers >> distance & 1 != 0
                && helper
                    .job
                    .cmpxchg(pointer, ptr::null_mut(), Relaxed)
                    .is_ok()
            {
                job.users.add(-1, Relaxed);
                helper.learn(false);
            }
            true
        });
    }
}

impl Job<'_> {
    /// Waits until no helper uses the job.
    ///
    /// The calling task must be the one that created the job, and must have withdrawn it.
    fn wait(&self) {
        for _ in 0..SPINS {
            // INVARIANT: Only the task is left.
            if self.users.load(Acquire) == 1 {
                return;
            }
            spin_loop();
        }
        if self.users.fetch_add(-1, Full) != 1 {
            self.done.wait_for_completion();
        }
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the workqueue, and does not use it after
        // this call, which waits for all works.
        unsafe { kernel::bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

#[kunit_tests(zram_rs_helpers)]
mod tests {
    use super::*;
    use crate::abstractions::sched::cond_resched;

    /// The number of jobs after which a helper has come, unless all CPUs are busy.
    const PATIENCE: usize = 100_000;

    fn end_pauses(helpers: &Helpers) {
        for helper in helpers.helpers.iter() {
            helper.pause.store(0, Relaxed);
        }
    }

    #[test]
    fn helpers_have_ended() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        let running = Atomic::new(0);
        for _ in 0..1000 {
            let help = || {
                running.add(1, Relaxed);
                cond_resched();
                running.add(-1, Relaxed);
                true
            };
            end_pauses(&helpers);
            helpers.share(MAX_HELPERS, &help, cond_resched);
            assert_eq!(running.load(Relaxed), 0);
            assert!(helpers.helpers.iter().all(|helper| {
                let job = helper.job.load(Relaxed);
                job.is_null() || job == BUSY
            }));
        }
        Ok(())
    }

    #[test]
    fn help_comes_from_other_cpus() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        if num_online_cpus() == 1 {
            return Ok(());
        }
        let (helped, own) = (Atomic::new(0), current!().pid());
        let help = || {
            assert!(current!().pid() != own);
            helped.add(1, Relaxed);
            true
        };
        for _ in 0..PATIENCE {
            end_pauses(&helpers);
            helpers.share(1, &help, || {
                for _ in 0..SPINS {
                    spin_loop();
                }
            });
            if helped.load(Relaxed) > 10 {
                break;
            }
            cond_resched();
        }
        assert!(helped.load(Relaxed) > 10);
        Ok(())
    }

    #[test]
    fn cpus_of_other_tasks_are_left_alone() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        let helped = Atomic::new(0);
        let help = || {
            helped.add(1, Relaxed);
            true
        };
        // As if a task on each other CPU shared work, too.
        helpers.tasks.store(num_online_cpus() as i32 - 1, Relaxed);
        for _ in 0..1000 {
            end_pauses(&helpers);
            helpers.share(MAX_HELPERS, &help, || {
                for _ in 0..SPINS {
                    spin_loop();
                }
            });
        }
        assert_eq!(helped.load(Relaxed), 0);
        assert_eq!(helpers.tasks.load(Relaxed), num_online_cpus() as i32 - 1);
        Ok(())
    }

    #[test]
    fn misses_make_pauses() -> Result {
        let helper = KBox::try_pin_init(Helper::new(), GFP_KERNEL)?;
        assert!(helper.is_ready());
        for misses in 1..=MAX_MISSES + 2 {
            helper.learn(false);
            for _ in 0..(1 << misses.min(MAX_MISSES)) - 1 {
                assert!(!helper.is_ready());
            }
            assert!(helper.is_ready());
        }
        helper.learn(true);
        assert!(helper.is_ready());
        helper.learn(false);
        assert!(!helper.is_ready());
        assert!(helper.is_ready());
        Ok(())
    }
}
