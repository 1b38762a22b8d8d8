// SPDX-License-Identifier: GPL-2.0

//! Marking pages as idle.

use crate::store::Store;
use kernel::prelude::*;

/// Marks pages in memory as idle: all of them, or those that were last accessed before `cutoff`, in
/// seconds since boot; the others become not idle.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// Those of [`Store::check_stop`].
pub(crate) fn mark(store: &Store, cutoff: Option<u32>) -> Result {
    let mut result = Ok(());
    store
        .table
        .for_each(0..store.table.len(), |index, mut slot| {
            if slot.object_size().is_some() {
                let idle = cutoff.is_none_or(|cutoff| cutoff > slot.last_access());
                slot.set_idle(idle);
            }
            if index % 1024 == 0 {
                result = store.check_stop(kernel::current!());
            }
            result.is_ok()
        });
    result
}
