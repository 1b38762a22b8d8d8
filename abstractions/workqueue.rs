// SPDX-License-Identifier: GPL-2.0

//! Workqueues of our own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A workqueue of high priority, with a rescuer, so that it makes progress when memory is short.
///
/// # Invariants
///
/// `queue` is a valid workqueue that belongs to this object.
pub(crate) struct HighPriority {
    queue: NonNull<kernel::bindings::workqueue_struct>,
}

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for HighPriority {}
// SAFETY: The same.
unsafe impl Sync for HighPriority {}

impl HighPriority {
    /// Makes a workqueue. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which is copied.
        let queue = unsafe { bindings::zram_rs_highpri_workqueue(name.as_char_ptr()) };
        // INVARIANT: Just made.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }

    /// Queues work. Any context.
    ///
    /// # Safety
    ///
    /// `work` must be initialised, not queued already, and stay valid until its function is called.
    pub(super) unsafe fn enqueue(&self, work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements and the type invariants.
        unsafe {
            kernel::bindings::queue_work_on(
                kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                self.queue.as_ptr(),
                work,
            )
        };
    }
}

impl Drop for HighPriority {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. This waits for all work to be done.
        unsafe { kernel::bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}
