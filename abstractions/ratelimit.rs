// SPDX-License-Identifier: GPL-2.0

//! Rate limit for messages that a user can cause.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings;

/// Returns whether the rate limit allows another message, and counts it.
///
/// All callers share one limit, which is that of `pr_err_ratelimited` in C: ten messages in five
/// seconds. The first call after that period logs the number of suppressed messages.
///
/// # Context
///
/// Any context; does not sleep.
pub(crate) fn may_log() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::zram_rs_may_log() }
}

/// Prints an error-level message (level 3) like [`kernel::pr_err!`], unless the rate limit of
/// [`may_log`] suppresses it.
///
/// # Context
///
/// Any context; does not sleep.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::ratelimit::pr_err_ratelimited;
///
/// # let (error, index) = (EIO.to_errno(), 7);
/// pr_err_ratelimited!("Decompression failed! err={}, page={}\n", error, index);
/// # Ok::<(), Error>(())
/// ```
macro_rules! pr_err_ratelimited {
    ($($arg:tt)*) => {
        if $crate::abstractions::ratelimit::may_log() {
            ::kernel::pr_err!($($arg)*);
        }
    };
}
pub(crate) use pr_err_ratelimited;
