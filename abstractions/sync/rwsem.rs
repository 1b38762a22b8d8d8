// SPDX-License-Identifier: GPL-2.0

//! Read-write semaphores.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    prelude::*,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// Data that a `struct rw_semaphore` protects, for many readers or one writer at a time.
///
/// # Context
///
/// Locking may sleep. [`new`](Self::new) and unlocking are for any context.
///
/// # Examples
///
/// ```
/// use crate::abstractions::sync::rwsem::RwSemaphore;
/// use kernel::static_lock_class;
///
/// let limit = KBox::pin_init(
///     RwSemaphore::new(0, c"my_driver limit", static_lock_class!()),
///     GFP_KERNEL,
/// )?;
/// *limit.write() = 4096;
/// assert_eq!(*limit.read(), 4096);
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub(crate) struct RwSemaphore<T> {
    #[pin]
    semaphore: Opaque<kernel::bindings::rw_semaphore>,
    data: UnsafeCell<T>,
}

// SAFETY: A semaphore is not tied to a thread, and the data is `Send`.
unsafe impl<T: Send> Send for RwSemaphore<T> {}
// SAFETY: Readers share the data, for which it is `Sync`; writers have exclusive access from any
// thread, for which it is `Send`.
unsafe impl<T: Send + Sync> Sync for RwSemaphore<T> {}

impl<T> RwSemaphore<T> {
    /// Creates a semaphore that protects `data`; lockdep reports call it `name`.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid and pinned; `name` and `key` are static.
            semaphore <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Locks the semaphore for reading.
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: `new` has initialised the semaphore.
        unsafe { kernel::bindings::down_read(self.semaphore.get()) };
        // INVARIANT: `down_read` has locked the semaphore.
        ReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }

    /// Locks the semaphore for writing.
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: `new` has initialised the semaphore.
        unsafe { kernel::bindings::down_write(self.semaphore.get()) };
        // INVARIANT: `down_write` has locked the semaphore.
        WriteGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }
}

/// Shared access to the data of an [`RwSemaphore`].
///
/// # Invariants
///
/// The thread has locked the semaphore for reading.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct ReadGuard<'a, T> {
    lock: &'a RwSemaphore<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants the semaphore is locked for reading: there is no writer.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the semaphore is locked for reading.
        unsafe { kernel::bindings::up_read(self.lock.semaphore.get()) };
    }
}

/// Exclusive access to the data of an [`RwSemaphore`].
///
/// # Invariants
///
/// The thread has locked the semaphore for writing.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct WriteGuard<'a, T> {
    lock: &'a RwSemaphore<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants the semaphore is locked for writing: no other thread has
        // access to the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariants the semaphore is locked for writing: no other thread has
        // access to the data.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the semaphore is locked for writing.
        unsafe { kernel::bindings::up_write(self.lock.semaphore.get()) };
    }
}

// With PREEMPT_RT, a semaphore does not tell whether a task waits for it.
#[kunit_tests(zram_rs_rwsem)]
#[cfg(not(CONFIG_PREEMPT_RT))]
mod tests {
    use super::*;
    use crate::abstractions::{
        kunit::Tasks,
        sched::cond_resched, //
    };
    use kernel::{
        io::poll::read_poll_timeout,
        static_lock_class,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        time::{
            Delta,
            Msecs, //
        },
    };

    const TIMEOUT: Msecs = 20_000;

    /// A number, and what a task has found it to be.
    #[pin_data]
    struct Number {
        #[pin]
        number: RwSemaphore<usize>,
        found: Atomic<usize>,
    }

    impl Number {
        fn new() -> Result<Arc<Tasks<Self>>> {
            Tasks::new(try_pin_init!(Self {
                number <- RwSemaphore::new(0, c"zram_rs_kunit", static_lock_class!()),
                found: Atomic::new(usize::MAX),
            }? Error))
        }

        fn read(tasks: &Tasks<Self>) {
            tasks.found.store(*tasks.number.read(), Relaxed);
        }

        fn write(tasks: &Tasks<Self>) {
            let mut number = tasks.number.write();
            tasks.found.store(*number, Relaxed);
            *number += 1;
        }

        /// Waits until a task has found a number, and returns it.
        fn wait_for_reader(&self) -> Result<usize> {
            read_poll_timeout(
                || Ok(self.found.load(Relaxed)),
                |&found| found != usize::MAX,
                Delta::from_millis(1),
                Delta::from_millis(TIMEOUT.into()),
            )
        }

        /// Waits until a task is queued for the lock.
        fn wait_for_waiter(&self) -> Result {
            let semaphore = self.number.semaphore.get();
            read_poll_timeout(
                // SAFETY: `self` keeps the semaphore, which `new` has initialised, alive. The read
                // is volatile, as it races with the writes of other tasks. That is harmless: the
                // pointer is only compared with null, as in `rwsem_is_contended`, which has
                // `data_race` there.
                || Ok(unsafe { (&raw const (*semaphore).first_waiter).read_volatile() }),
                |waiter| !waiter.is_null(),
                Delta::from_millis(1),
                Delta::from_millis(TIMEOUT.into()),
            )?;
            Ok(())
        }
    }

    #[test]
    fn readers_share() -> Result {
        let tasks = Number::new()?;
        let number = tasks.number.read();
        tasks.spawn(Number::read)?;
        let found = tasks.wait_for_reader();
        drop(number);
        assert_eq!(found, Ok(0));
        assert_eq!(tasks.wait(TIMEOUT), 0);
        Ok(())
    }

    #[test]
    fn a_reader_waits_for_a_writer() -> Result {
        let tasks = Number::new()?;
        let mut number = tasks.number.write();
        tasks.spawn(Number::read)?;
        let waited = tasks.wait_for_waiter();
        *number = 7;
        drop(number);
        assert_eq!(waited, Ok(()));
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert_eq!(tasks.found.load(Relaxed), 7);
        Ok(())
    }

    #[test]
    fn a_writer_waits_for_a_writer() -> Result {
        let tasks = Number::new()?;
        let mut number = tasks.number.write();
        tasks.spawn(Number::write)?;
        let waited = tasks.wait_for_waiter();
        *number = 7;
        drop(number);
        assert_eq!(waited, Ok(()));
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert_eq!(tasks.found.load(Relaxed), 7);
        assert_eq!(*tasks.number.read(), 8);
        Ok(())
    }

    #[test]
    fn a_writer_waits_for_a_reader() -> Result {
        let tasks = Number::new()?;
        let number = tasks.number.read();
        tasks.spawn(Number::write)?;
        let waited = tasks.wait_for_waiter();
        let unchanged = *number == 0;
        drop(number);
        assert_eq!(waited, Ok(()));
        assert!(unchanged);
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert_eq!(*tasks.number.read(), 1);
        Ok(())
    }

    /// Two numbers that are equal, unless a writer has the lock.
    #[pin_data]
    struct Pair {
        #[pin]
        numbers: RwSemaphore<(usize, usize)>,
        /// How many times a task found them to differ.
        differed: Atomic<usize>,
    }

    impl Pair {
        const TURNS: usize = 500;

        fn read(tasks: &Tasks<Self>) {
            for _ in 0..Self::TURNS {
                let numbers = tasks.numbers.read();
                let first = numbers.0;
                cond_resched();
                tasks.count(first == numbers.1);
            }
        }

        fn write(tasks: &Tasks<Self>) {
            for _ in 0..Self::TURNS {
                let mut numbers = tasks.numbers.write();
                tasks.count(numbers.0 == numbers.1);
                numbers.0 += 1;
                cond_resched();
                numbers.1 += 1;
            }
        }

        fn count(&self, equal: bool) {
            self.differed.add(usize::from(!equal), Relaxed);
        }
    }

    #[test]
    fn readers_and_writers_take_turns() -> Result {
        const PAIRS: usize = 4;
        let tasks = Tasks::new(try_pin_init!(Pair {
            numbers <- RwSemaphore::new((0, 0), c"zram_rs_kunit", static_lock_class!()),
            differed: Atomic::new(0),
        }? Error))?;
        for _ in 0..PAIRS {
            tasks.spawn(Pair::read)?;
            tasks.spawn(Pair::write)?;
        }
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert_eq!(tasks.differed.load(Relaxed), 0);
        assert_eq!(
            *tasks.numbers.read(),
            (PAIRS * Pair::TURNS, PAIRS * Pair::TURNS)
        );
        Ok(())
    }
}
