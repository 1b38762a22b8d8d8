// SPDX-License-Identifier: GPL-2.0

//! Lines for the kernel log that a user can cause at will, and that must not fill it.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings;

/// Returns whether one more line may be logged now.
///
/// All callers share one limit, which is that of `pr_err_ratelimited` in C: ten lines in five
/// seconds. When that time is over, the next call logs how many lines were suppressed.
///
/// # Context
///
/// Any context.
pub(crate) fn may_log() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_may_log() }
}

/// Prints an error-level message (level 3), like [`kernel::pr_err!`], unless there were too many
/// such messages of late (see [`may_log`]).
macro_rules! pr_err_ratelimited {
    ($($arg:tt)*) => {
        if $crate::abstractions::ratelimit::may_log() {
            ::kernel::pr_err!($($arg)*);
        }
    };
}
pub(crate) use pr_err_ratelimited;
