// SPDX-License-Identifier: GPL-2.0

//! How hard the kernel is to try when it allocates memory.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

use crate::bindings;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Flags for an allocation, of which [`kernel::alloc::Flags`] lacks some.
///
/// An allocation with any of them fails without a warning in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gfp(kernel::bindings::gfp_t);

impl Gfp {
    /// Reclaims memory, also by I/O, and calls the OOM killer: a single page is always found.
    pub(crate) const KERNEL: Self = Self(bindings::ZRAM_RS_GFP_KERNEL);

    /// Reclaims memory for as long as it takes, but not by I/O: for the I/O path.
    pub(crate) const NOIO: Self = Self(bindings::ZRAM_RS_GFP_NOIO);

    /// Reclaims memory once, not by I/O, and fails if that was not enough: for what can be done
    /// without.
    pub(crate) const NORETRY: Self = Self(bindings::ZRAM_RS_GFP_NORETRY);

    /// Takes only memory that is free, and wakes the task that reclaims some.
    pub(crate) const NOWAIT: Self = Self(bindings::ZRAM_RS_GFP_NOWAIT);

    /// Reclaims memory, and fails where the OOM killer would be next: for sizes that a user
    /// chooses.
    pub(crate) const RETRY_MAYFAIL: Self = Self(bindings::ZRAM_RS_GFP_RETRY_MAYFAIL);

    /// Returns the flags in C's form.
    ///
    /// # Context
    ///
    /// Any.
    #[inline]
    pub(crate) const fn as_raw(self) -> kernel::bindings::gfp_t {
        self.0
    }

    /// Returns flags for the collections of the `kernel` crate that try as hard as these do, or
    /// else do not wait.
    ///
    /// # Context
    ///
    /// Any.
    pub(crate) fn for_collections(self) -> Flags {
        if self == Self::KERNEL {
            GFP_KERNEL | __GFP_NOWARN
        } else {
            GFP_NOWAIT
        }
    }
}
