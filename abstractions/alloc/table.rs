// SPDX-License-Identifier: GPL-2.0

//! Large tables that are initially zeroed.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    abstractions::alloc::Gfp,
    bindings, //
};
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

/// An atomic variable as an entry of a [`ZeroedTable`].
#[repr(transparent)]
pub(crate) struct AtomicEntry<T: AtomicType>(pub(crate) Atomic<T>);

// SAFETY: `Atomic<T>` has the representation of `T`, for which zeroes are valid.
unsafe impl<T: AtomicType + Zeroable> Zeroable for AtomicEntry<T> {}

/// A table whose entries are initially zeroed.
///
/// Unlike that of a zeroed [`VVec`], its allocation need not invoke the OOM killer, nor reclaim: a
/// user chooses the size of a table, which may exceed the memory of the machine.
///
/// # Invariants
///
/// `ptr` points to `len` initialised entries in a vmalloc allocation that belongs to this object.
///
/// # Context
///
/// Any context, except that [`new`](Self::new) and dropping may sleep.
///
/// # Examples
///
/// ```
/// use crate::abstractions::alloc::{
///     table::{
///         AtomicEntry,
///         ZeroedTable, //
///     },
///     Gfp, //
/// };
/// # use kernel::sync::atomic::Relaxed;
///
/// let counters = ZeroedTable::<AtomicEntry<u64>>::new(1 << 10, Gfp::RETRY_MAYFAIL)?;
/// let AtomicEntry(counter) = counters.get(7).ok_or(EINVAL)?;
/// counter.add(1, Relaxed);
/// assert_eq!(counter.load(Relaxed), 1);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct ZeroedTable<T: Zeroable> {
    ptr: NonNull<T>,
    len: usize,
}

// SAFETY: The table owns its entries, which are `Send`.
unsafe impl<T: Zeroable + Send> Send for ZeroedTable<T> {}
// SAFETY: A shared reference to the table gives shared access to its entries, which are `Sync`.
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
    /// [`AllocError`]: `gfp` does not find the memory, or `len` is 0.
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
        // SAFETY: `__vmalloc_noprof` takes any size.
        let ptr = unsafe { bindings::__vmalloc_noprof(size, flags) };
        // INVARIANT: The allocation has `size` bytes, is aligned to a page, and is zeroed.
        NonNull::new(ptr.cast::<T>())
            .map(|ptr| Self { ptr, len })
            .ok_or(AllocError)
    }
}

impl<T: Zeroable> Deref for ZeroedTable<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariants `ptr` points to `len` initialised entries.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> DerefMut for ZeroedTable<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type invariants `ptr` points to `len` initialised entries, to which
        // `&mut self` gives exclusive access.
        unsafe { core::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> Drop for ZeroedTable<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the allocation belongs to this object. The entries need
        // no drop, which `new` asserts.
        unsafe { bindings::vfree(self.ptr.as_ptr().cast()) };
    }
}
