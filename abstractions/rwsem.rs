// SPDX-License-Identifier: GPL-2.0

//! A sleeping lock for many readers or one writer.
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

/// Data that many may read or one may write.
///
/// Exposes the kernel's `struct rw_semaphore`. Both ways of locking may sleep.
#[pin_data]
pub(crate) struct RwSemaphore<T> {
    #[pin]
    semaphore: Opaque<kernel::bindings::rw_semaphore>,
    data: UnsafeCell<T>,
}

// SAFETY: The data moves along with the lock.
unsafe impl<T: Send> Send for RwSemaphore<T> {}
// SAFETY: Readers share the data, and a writer takes it as its own.
unsafe impl<T: Send + Sync> Sync for RwSemaphore<T> {}

impl<T> RwSemaphore<T> {
    /// Makes a lock around `data` that lockdep knows as `name`. Any context.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid and pinned, `name` and `key` live forever.
            semaphore <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Locks for reading.
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: The semaphore was initialised by `new`.
        unsafe { kernel::bindings::down_read(self.semaphore.get()) };
        // INVARIANT: Just locked.
        ReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }

    /// Locks for writing.
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: The semaphore was initialised by `new`.
        unsafe { kernel::bindings::down_write(self.semaphore.get()) };
        // INVARIANT: Just locked.
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
        // SAFETY: By the type invariants there is no writer.
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
        // SAFETY: By the type invariants there is nobody else.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariants there is nobody else.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the semaphore is locked for writing.
        unsafe { kernel::bindings::up_write(self.lock.semaphore.get()) };
    }
}
