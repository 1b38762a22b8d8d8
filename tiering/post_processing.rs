// SPDX-License-Identifier: GPL-2.0

//! Who may post-process the pages of a disk: one task at a time.
//!
//! A mutex alone would let a worker that unlocks and locks it again go before a task that waits.
//! So the tasks that wait are counted, and a worker lets them go first.

use crate::abstractions::sync::mutex::lock_interruptible;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex,
        MutexGuard, //
    },
};

/// The right to post-process the pages of a disk; the owner may keep a reference to the store.
#[pin_data]
pub(crate) struct PostProcessing {
    #[pin]
    mutex: Mutex<()>,
    /// Number of tasks that wait for the mutex, or are about to lock it.
    waiting: Atomic<u32>,
}

impl PostProcessing {
    /// Creates the right, which no task has. Any context.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            mutex <- new_mutex!((), "zram_rs post-processing"),
            waiting: Atomic::new(0),
        })
    }

    /// Waits until no other task has the right. May sleep.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.waiting.add(1, Relaxed);
        let guard = self.mutex.lock();
        self.waiting.fetch_sub(1, Relaxed);
        guard
    }

    /// Waits until no other task has the right, or until a signal arrives.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS`: a signal interrupted the wait.
    pub(crate) fn lock_interruptible(&self) -> Result<MutexGuard<'_, ()>> {
        self.waiting.add(1, Relaxed);
        let guard = lock_interruptible(&self.mutex);
        self.waiting.fetch_sub(1, Relaxed);
        guard
    }

    /// Returns the right, or `None` if a task has it or waits for it. Any context; does not sleep.
    pub(crate) fn give_way_or_lock(&self) -> Option<MutexGuard<'_, ()>> {
        match self.waiting.load(Relaxed) {
            0 => self.mutex.try_lock(),
            _ => None,
        }
    }
}

#[kunit_tests(zram_rs_post_processing)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_task_goes_first() -> Result {
        let right = KBox::pin_init(PostProcessing::new(), GFP_KERNEL)?;
        drop(right.give_way_or_lock().ok_or(EINVAL)?);
        let guard = right.lock();
        assert!(right.give_way_or_lock().is_none());
        drop(guard);
        // A task that is about to lock the mutex, or that an unlock has just woken.
        right.waiting.add(1, Relaxed);
        assert!(right.give_way_or_lock().is_none());
        right.waiting.fetch_sub(1, Relaxed);
        // Those that have locked it, or have given up, do not count.
        drop(right.lock());
        drop(right.lock_interruptible()?);
        assert!(right.give_way_or_lock().is_some());
        Ok(())
    }
}
