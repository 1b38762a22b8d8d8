// SPDX-License-Identifier: GPL-2.0

//! Interruptible locking of a mutex.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        Mutex,
        MutexGuard, //
    },
};

/// Locks a mutex, or stops waiting for it when a signal arrives.
///
/// # Context
///
/// A system call, which returns the error and can be restarted. May sleep.
///
/// # Errors
///
/// `ERESTARTSYS`: the mutex is locked, and any signal or task work is pending.
///
/// # Examples
///
/// ```
/// use crate::abstractions::sync::mutex::lock_interruptible;
/// use kernel::new_mutex;
///
/// let users = KBox::pin_init(new_mutex!(0), GFP_KERNEL)?;
/// *lock_interruptible(&users)? += 1;
/// assert_eq!(*users.lock(), 1);
/// # Ok::<(), Error>(())
/// ```
pub(crate) fn lock_interruptible<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    // `Lock` is `repr(C)` and starts with the C lock. `Lock::from_raw` relies on that, too.
    let raw = core::ptr::from_ref(mutex).cast::<kernel::bindings::mutex>();
    // SAFETY: `raw` is the C mutex of `mutex`, which is initialised.
    to_result(unsafe { bindings::zram_rs_mutex_lock_interruptible(raw.cast_mut()) })
        .map_err(|_| ERESTARTSYS)?;
    // SAFETY: This thread has just locked the mutex, and no other guard exists.
    Ok(unsafe { MutexGuard::new(mutex, ()) })
}
