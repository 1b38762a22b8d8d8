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
