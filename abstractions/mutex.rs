// SPDX-License-Identifier: GPL-2.0

//! Waiting for a mutex in a way that a signal ends.
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

/// Locks a mutex, unless a signal arrives first.
///
/// # Context
///
/// That of a system call, which returns the error. May sleep.
///
/// # Errors
///
/// `ERESTARTSYS` if any signal is pending, or task work: the system call can be done again, as
/// nothing was done yet.
pub(crate) fn lock_interruptible<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    // `Lock` is `repr(C)`, with the state of the C lock first, on which `Lock::from_raw` relies,
    // too.
    let raw = core::ptr::from_ref(mutex).cast::<kernel::bindings::mutex>();
    // SAFETY: The mutex was initialised when it was made.
    to_result(unsafe { bindings::zram_rs_mutex_lock_interruptible(raw.cast_mut()) })
        .map_err(|_| ERESTARTSYS)?;
    // SAFETY: Just locked by this thread.
    Ok(unsafe { MutexGuard::new(mutex, ()) })
}
