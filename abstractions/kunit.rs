// SPDX-License-Identifier: GPL-2.0

//! Tasks for KUnit tests.
//!
//! C header: [`include/kunit/test.h`](srctree/include/kunit/test.h)
#![cfg(CONFIG_KUNIT = "y")]

use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    io::poll::read_poll_timeout,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::{
        Delta,
        Msecs, //
    },
    workqueue::Queue, //
};

/// Tasks of a test, and the data that they share.
///
/// The module cannot be unloaded from the first [`spawn`](Self::spawn) until
/// [`wait`](Self::wait) returns 0: a task that outlives its test still executes code of the module.
/// So a test that fails before that keeps the module loaded.
///
/// A task that waits for ever keeps its reference to the data.
///
/// # Context
///
/// All methods may sleep, unless they say otherwise.
///
/// # Examples
///
/// ```
/// use crate::abstractions::kunit::Tasks;
/// # use kernel::sync::atomic::{Atomic, Relaxed};
///
/// let tasks = Tasks::new(Ok(Atomic::new(0)))?;
/// for _ in 0..4 {
///     tasks.spawn(|count| count.add(1, Relaxed))?;
/// }
/// assert_eq!(tasks.wait(10_000), 0);
/// assert_eq!(tasks.load(Relaxed), 4);
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub(crate) struct Tasks<T> {
    #[pin]
    data: T,
    /// Whether the test waits no longer.
    over: Atomic<bool>,
    /// How many tasks have not ended.
    left: Atomic<usize>,
    /// Where the tasks run; `None` if there are none.
    #[pin]
    workers: Mutex<Option<Workers>>,
}

impl<T: Send + Sync + 'static> Tasks<T> {
    /// Creates the data for tasks.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the data.
    /// - Those of `data`.
    pub(crate) fn new(data: impl PinInit<T, Error>) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                data <- data,
                over: Atomic::new(false),
                left: Atomic::new(0),
                workers <- new_mutex!(None),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Starts a task that calls `task`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the task.
    /// - `ENODEV`: the module is being unloaded.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl FnOnce(&Self) + Send + 'static) -> Result {
        let mut workers = self.workers.lock();
        if workers.is_none() {
            *workers = Some(Workers::new()?);
        }
        let queue = workers.as_ref().ok_or(ENOMEM)?.queue();
        let this = self.clone();
        self.left.add(1, Relaxed);
        let spawned = queue.try_spawn(GFP_KERNEL, move || {
            task(&this);
            this.left.fetch_sub(1, Relaxed);
        });
        if spawned.is_err() {
            self.left.fetch_sub(1, Relaxed);
        }
        Ok(spawned?)
    }

    /// Waits until all tasks have ended, at most for `timeout`; returns how many have not ended.
    ///
    /// If it returns 0, no task executes code of the module any more, nor has a reference to the
    /// data.
    ///
    /// # Context
    ///
    /// May sleep. The caller must not be one of the tasks, nor own a lock that a task takes.
    pub(crate) fn wait(&self, timeout: Msecs) -> usize {
        // Unlike the wait with a timeout for a `CondVar`, this goes on when a signal arrives.
        let _ = read_poll_timeout(
            || Ok(self.left.load(Relaxed)),
            |&left| left == 0,
            Delta::from_millis(1),
            Delta::from_millis(timeout.into()),
        );
        let left = self.left.load(Relaxed);
        self.end();
        if left == 0 {
            // Unlock before `end`, which waits.
            let workers = self.workers.lock().take();
            if let Some(workers) = workers {
                workers.end();
            }
        }
        left
    }

    /// Asks the tasks to end.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    pub(crate) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    /// Returns whether the tasks should end: [`end`](Self::end) was called, or [`wait`](Self::wait)
    /// has returned.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    pub(crate) fn are_over(&self) -> bool {
        self.over.load(Relaxed)
    }
}

impl<T> Deref for Tasks<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

/// A workqueue for tasks, and a reference to the module, whose code they execute.
///
/// Dropping it leaks both: only [`end`](Self::end) can wait for the tasks, which may themselves
/// drop this.
///
/// # Invariants
///
/// The pointer is to a workqueue that this object owns. If this is a module, the object owns a
/// reference to it.
struct Workers(NonNull<kernel::bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed from any thread.
unsafe impl Send for Workers {}

impl Workers {
    fn new() -> Result<Self> {
        // SAFETY: The name is a C string, which is no format with arguments.
        let queue = unsafe {
            kernel::bindings::alloc_workqueue_noprof(
                c"zram_rs_kunit".as_char_ptr(),
                kernel::bindings::wq_flags_WQ_UNBOUND,
                0,
            )
        };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        #[cfg(MODULE)]
        // SAFETY: The module is there while its code is executed.
        if !unsafe { kernel::bindings::try_module_get(Self::module()) } {
            // SAFETY: The workqueue is new, and not used after this call.
            unsafe { kernel::bindings::destroy_workqueue(queue.as_ptr()) };
            return Err(ENODEV);
        }
        // INVARIANT: The workqueue is new, and `try_module_get` has taken the reference.
        Ok(Self(queue))
    }

    /// Returns the queue of the workers.
    fn queue(&self) -> &Queue {
        // SAFETY: By the type invariants the workqueue is valid for as long as this object.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }

    /// Waits until the tasks have returned to the kernel, and gives up the reference to the module.
    ///
    /// The caller must not be one of the tasks: it would wait for its own end.
    fn end(self) {
        // SAFETY: By the type invariants this object owns the workqueue, and does not use it after
        // this call, which waits until all work functions have returned.
        unsafe { kernel::bindings::destroy_workqueue(self.0.as_ptr()) };
        #[cfg(MODULE)]
        // SAFETY: By the type invariants this object owns a reference to the module.
        unsafe {
            kernel::bindings::module_put(Self::module())
        };
    }

    #[cfg(MODULE)]
    fn module() -> *mut kernel::bindings::module {
        #[cfg(zram_rs_compat)]
        use crate::abstractions::compat::kernel;
        <crate::LocalModule as kernel::module::ModuleMetadata>::THIS_MODULE.as_ptr()
    }
}

#[kunit_tests(zram_rs_tasks)]
mod tests {
    use super::*;
    use kernel::time::delay::fsleep;

    const TIMEOUT: Msecs = 20_000;

    #[test]
    fn a_task_that_goes_on_is_counted() -> Result {
        let tasks = Tasks::new(Ok(()))?;
        tasks.spawn(|tasks| {
            while !tasks.are_over() {
                fsleep(Delta::from_millis(1));
            }
        })?;
        let left = tasks.wait(20);
        // The first wait has told the task to end.
        let left = (left, tasks.wait(TIMEOUT));
        assert_eq!(left, (1, 0));
        Ok(())
    }

    #[test]
    fn a_wait_ends_the_workers() -> Result {
        let tasks = Tasks::new(Ok(()))?;
        tasks.spawn(|_| ())?;
        assert!(tasks.workers.lock().is_some());
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert!(tasks.workers.lock().is_none());
        // The tasks have dropped their references.
        assert!(Arc::into_unique_or_drop(tasks).is_some());
        Ok(())
    }

    #[test]
    fn the_end_of_workers_waits_for_them() -> Result {
        let ended = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let workers = Workers::new()?;
        let task = ended.clone();
        let spawned = workers.queue().try_spawn(GFP_KERNEL, move || {
            fsleep(Delta::from_millis(50));
            task.store(true, Relaxed);
        });
        workers.end();
        spawned?;
        assert!(ended.load(Relaxed));
        // The worker has freed the closure.
        assert!(Arc::into_unique_or_drop(ended).is_some());
        Ok(())
    }
}
