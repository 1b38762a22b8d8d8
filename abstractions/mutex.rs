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

/// Locks a mutex. Fails with `EINTR` if a signal arrives first. May sleep.
pub(crate) fn lock_interruptible<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    // `Lock` is `repr(C)`, with the state of the C lock first, on which `Lock::from_raw` relies,
    // too.
    let raw = core::ptr::from_ref(mutex).cast::<kernel::bindings::mutex>();
    // SAFETY: The mutex was initialised when it was made.
    to_result(unsafe { bindings::zram_rs_mutex_lock_interruptible(raw.cast_mut()) })?;
    // SAFETY: Just locked by this thread.
    Ok(unsafe { MutexGuard::new(mutex, ()) })
}
