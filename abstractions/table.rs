// SPDX-License-Identifier: GPL-2.0

//! Large tables of zeroed entries.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use super::alloc::Gfp;
use crate::bindings;
use core::{
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::AllocError,
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    },
};

/// An atomic variable that can be an entry.
#[repr(transparent)]
pub(crate) struct AtomicEntry<T: AtomicType>(pub(crate) Atomic<T>);

// SAFETY: An atomic variable has the bits of its value, which can be zero.
unsafe impl<T: AtomicType + Zeroable> Zeroable for AtomicEntry<T> {}

/// A table that begins as all zeroes.
///
/// Unlike a zeroed [`VVec`] it can be allocated without the OOM killer, which a size that a user
/// chooses must not call, and without reclaim.
///
/// # Invariants
///
/// `ptr` is a vmalloc allocation of this object with `len` initialised entries.
pub(crate) struct ZeroedTable<T: Zeroable> {
    ptr: NonNull<T>,
    len: usize,
}

// SAFETY: The table owns its entries.
unsafe impl<T: Zeroable + Send> Send for ZeroedTable<T> {}
// SAFETY: A shared table gives shared access to its entries.
unsafe impl<T: Zeroable + Sync> Sync for ZeroedTable<T> {}

impl<T: Zeroable> ZeroedTable<T> {
    /// Allocates a table of `len` entries.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Fails if what `gfp` allows does not find the memory, or if `len` is 0 or beyond any memory.
    pub(crate) fn new(len: usize, gfp: Gfp) -> Result<Self, AllocError> {
        const {
            assert!(size_of::<T>() > 0 && !core::mem::needs_drop::<T>());
            // `vmalloc` aligns to a page.
            assert!(align_of::<T>() <= PAGE_SIZE);
        };
        let size = len
            .checked_mul(size_of::<T>())
            .filter(|&size| size > 0 && isize::try_from(size).is_ok())
            .ok_or(AllocError)?;
        let flags = gfp.as_raw() | bindings::ZRAM_RS_GFP_ZERO;
        // SAFETY: Allocating has no requirements but the context, which the flags are made for.
        let ptr = unsafe { bindings::__vmalloc_noprof(size, flags) };
        // INVARIANT: The allocation is large enough, aligned to a page, and zeroed.
        NonNull::new(ptr.cast::<T>())
            .map(|ptr| Self { ptr, len })
            .ok_or(AllocError)
    }
}

impl<T: Zeroable> Deref for ZeroedTable<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariants.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> DerefMut for ZeroedTable<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type invariants.
        unsafe { core::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> Drop for ZeroedTable<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the allocation is ours. Its entries need no drop.
        unsafe { bindings::vfree(self.ptr.as_ptr().cast()) };
    }
}
