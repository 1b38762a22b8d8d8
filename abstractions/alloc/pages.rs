// SPDX-License-Identifier: GPL-2.0

//! Pools of pages, some of which are in reserve for when there is no free memory.
//!
//! Pages of the reserve are used first, and again and again: the page allocator may clear a page,
//! which costs more than the rest of its allocation. While there is no free memory, as many pages
//! as the reserve has can be in use in either order.
//!
//! C header: [`include/linux/mempool.h`](srctree/include/linux/mempool.h)

use crate::{
    abstractions::{
        alloc::Gfp,
        page::PageRef, //
    },
    bindings, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A pool of pages.
///
/// # Invariants
///
/// `pool` is a valid pool of pages, which belongs to this object.
///
/// # Examples
///
/// ```
/// use crate::abstractions::alloc::pages::PagePool;
/// use kernel::sync::Arc;
///
/// let pool = Arc::new(PagePool::new(1)?, GFP_KERNEL)?;
/// let page = PagePool::alloc(&pool).ok_or(ENOMEM)?;
/// page.as_page().map().fill(0);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct PagePool {
    pool: NonNull<bindings::mempool_t>,
}

// SAFETY: A pool does its own locking, and any thread can destroy it.
unsafe impl Send for PagePool {}
// SAFETY: A pool does its own locking.
unsafe impl Sync for PagePool {}

impl PagePool {
    /// Creates a pool with `reserve` pages in reserve.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the pool.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(reserve: usize) -> Result<Self> {
        // SAFETY: The function has no requirement but a context that may sleep.
        let pool = unsafe { bindings::zram_rs_page_pool_create(reserve.try_into()?) };
        // INVARIANT: The pool is new, and only this object has its address.
        NonNull::new(pool).map(|pool| Self { pool }).ok_or(ENOMEM)
    }

    /// Takes a page from the reserve, or allocates one from free memory; returns `None` if there is
    /// neither.
    ///
    /// The page contains what an earlier user of the pool has left there.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    pub(crate) fn alloc(this: &Arc<Self>) -> Option<PooledPage> {
        let (pool, gfp) = (this.pool.as_ptr(), Gfp::NOWAIT.as_raw());
        // SAFETY: By the type invariants the pool is valid.
        let page = unsafe { bindings::zram_rs_page_pool_alloc(pool, gfp) };
        // INVARIANT: The page is from the pool, and only this object has its address.
        NonNull::new(page).map(|page| PooledPage {
            page,
            pool: this.clone(),
        })
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the pool is valid and belongs to this object. Each page
        // keeps the pool alive, so that all of them are back.
        unsafe { bindings::mempool_destroy(self.pool.as_ptr()) };
    }
}

/// A page of a pool, which returns there when dropped.
///
/// # Invariants
///
/// `page` was allocated from `pool`, and this object owns it.
///
/// # Context
///
/// Any context; neither the methods nor dropping sleep, unless this is the last reference to the
/// pool.
pub(crate) struct PooledPage {
    page: NonNull<kernel::bindings::page>,
    pool: Arc<PagePool>,
}

// SAFETY: The object owns the page, which any thread may use and free.
unsafe impl Send for PooledPage {}
// SAFETY: A shared reference only gives a `PageRef`, through which threads access the contents
// without Rust references to them.
unsafe impl Sync for PooledPage {}

impl PooledPage {
    /// Borrows the page.
    pub(crate) fn as_page(&self) -> PageRef<'_> {
        // SAFETY: By the type invariants the page is valid until `drop`, and the object, which owns
        // it, lends it for reading and writing.
        unsafe { PageRef::from_raw(self.page) }
    }
}

impl Drop for PooledPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the page, which is from the pool, and no
        // `PageRef` outlives it.
        unsafe { bindings::mempool_free(self.page.as_ptr().cast(), self.pool.pool.as_ptr()) };
    }
}

#[kunit_tests(zram_rs_pages)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_used_again() -> Result {
        let pool = Arc::new(PagePool::new(2)?, GFP_KERNEL)?;
        let alloc = || PagePool::alloc(&pool).ok_or(ENOMEM);
        let addresses = |pages: &[PooledPage]| -> Result<KVec<_>> {
            let mut addresses = KVec::new();
            for page in pages {
                addresses.push(page.page.as_ptr() as usize, GFP_KERNEL)?;
            }
            addresses.sort_unstable();
            Ok(addresses)
        };
        let reserve = addresses(&[alloc()?, alloc()?])?;
        for _ in 0..5 {
            // A page of free memory leaves none of the reserve in its place.
            let pages = [alloc()?, alloc()?, alloc()?];
            let (first, more) = pages.split_at(2);
            assert_eq!(addresses(first)?[..], reserve[..]);
            assert!(!reserve.contains(&addresses(more)?[0]));
            let [one, two, three] = pages;
            drop((one, two));
            drop(three);
        }
        Ok(())
    }

    #[test]
    fn pages_are_apart() -> Result {
        let pool = Arc::new(PagePool::new(2)?, GFP_KERNEL)?;
        let mut pages = KVec::new();
        for word in 1..10 {
            let page = PagePool::alloc(&pool).ok_or(ENOMEM)?;
            page.as_page().map().fill(word);
            pages.push(page, GFP_KERNEL)?;
        }
        // The pages keep the pool.
        drop(pool);
        for (page, word) in pages.iter().zip(1..) {
            assert_eq!(page.as_page().map().same_filled(), Some(word));
        }
        Ok(())
    }
}
