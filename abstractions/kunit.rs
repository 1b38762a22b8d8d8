// SPDX-License-Identifier: GPL-2.0

//! Tasks for KUnit tests.
//!
//! C header: [`include/kunit/test.h`](srctree/include/kunit/test.h)
#![cfg(CONFIG_KUNIT = "y")]

use core::ops::Deref;
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    workqueue, //
};

/// Tasks of a test, and the data that they share.
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
    #[pin]
    left: Mutex<usize>,
    #[pin]
    ended: CondVar,
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
                left <- new_mutex!(0),
                ended <- new_condvar!(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Starts a task that calls `task`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for the task.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl FnOnce(&Self) + Send + 'static) -> Result {
        let this = self.clone();
        *self.left.lock() += 1;
        let spawned = workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
            task(&this);
            *this.left.lock() -= 1;
            this.ended.notify_all();
        });
        if spawned.is_err() {
            *self.left.lock() -= 1;
        }
        Ok(spawned?)
    }

    /// Waits until all tasks have ended, at most for `timeout`; returns how many have not ended.
    pub(crate) fn wait(&self, timeout: Msecs) -> usize {
        let mut left = self.left.lock();
        let mut jiffies = msecs_to_jiffies(timeout);
        while *left > 0 {
            match self.ended.wait_interruptible_timeout(&mut left, jiffies) {
                CondVarTimeoutResult::Woken { jiffies: rest } => jiffies = rest,
                _ => break,
            }
        }
        self.end();
        *left
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
