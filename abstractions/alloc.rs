// SPDX-License-Identifier: GPL-2.0

//! Allocation flags: how hard the kernel tries to find memory.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

pub(crate) mod pages;
pub(crate) mod table;

use crate::bindings;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Allocation flags, including some that [`kernel::alloc::Flags`] lacks.
///
/// A failing allocation with any of these flags does not log a warning.
///
/// # Context
///
/// Any context; the methods do not sleep.
///
/// # Examples
///
/// ```
/// use crate::abstractions::{
///     alloc::{
///         table::ZeroedTable,
///         Gfp, //
///     },
///     page::OwnedPage, //
/// };
///
/// let page = OwnedPage::new(Gfp::NOIO)?;
/// let table = ZeroedTable::<usize>::new(1024, Gfp::RETRY_MAYFAIL)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gfp(kernel::bindings::gfp_t);

impl Gfp {
    /// Reclaims memory, also by I/O, and calls the OOM killer.
    ///
    /// Allocating a single page does not fail.
    pub(crate) const KERNEL: Self = Self(bindings::ZRAM_RS_GFP_KERNEL);

    /// Reclaims memory for as long as it takes, but without I/O: for the I/O path.
    pub(crate) const NOIO: Self = Self(bindings::ZRAM_RS_GFP_NOIO);

    /// Takes free memory only, and wakes the task that reclaims memory. Does not sleep.
    pub(crate) const NOWAIT: Self = Self(bindings::ZRAM_RS_GFP_NOWAIT);

    /// Returns flags for a worker that does a part of the calling task's work: they take free
    /// memory only, and the reserves if the calling task may use these. They do not sleep.
    pub(crate) fn for_helper() -> Self {
        // SAFETY: The function has no requirements.
        Self(unsafe { bindings::zram_rs_helper_gfp() })
    }

    /// Reclaims memory, and fails instead of calling the OOM killer: for sizes that a user chooses.
    pub(crate) const RETRY_MAYFAIL: Self = Self(bindings::ZRAM_RS_GFP_RETRY_MAYFAIL);

    /// Returns the flags as C uses them.
    #[inline]
    pub(crate) const fn as_raw(self) -> kernel::bindings::gfp_t {
        self.0
    }

    /// Returns flags for the collections of the `kernel` crate: the same for `KERNEL`, and flags
    /// that take free memory only for all others.
    pub(crate) fn for_collections(self) -> Flags {
        if self == Self::KERNEL {
            GFP_KERNEL | __GFP_NOWARN
        } else {
            GFP_NOWAIT
        }
    }
}
