// SPDX-License-Identifier: GPL-2.0

//! Pages that somebody else owns, and their contents.
//!
//! A page that takes part in block I/O may be written by its owner at any time (a program that does
//! direct I/O from memory that another of its threads changes, say). There are therefore no
//! references to its contents: all access is by raw pointers, through C functions and volatile
//! reads.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/highmem.h`](srctree/include/linux/highmem.h)

use super::alloc::Gfp;
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    alloc::AllocError,
    page::PAGE_SIZE,
    prelude::*,
    types::NotThreadSafe, //
};

/// A NUMA node to allocate memory on.
///
/// [`kernel::alloc::NumaNode`] does not tell its number.
///
/// # Invariants
///
/// The number is that of a node that exists, or `NUMA_NO_NODE`.
#[derive(Clone, Copy)]
pub(crate) struct Node(i32);

impl Node {
    /// The node of the CPU that allocates.
    // INVARIANT: Allowed.
    #[allow(dead_code, reason = "only tests use it so far")]
    pub(crate) const LOCAL: Self = Self(kernel::bindings::NUMA_NO_NODE);

    /// Returns the number of the node. Any context.
    #[inline]
    pub(crate) fn id(self) -> i32 {
        self.0
    }
}

/// A page that stays allocated for `'a`. All methods are for any context.
///
/// # Invariants
///
/// `page` points to a valid `struct page` for `'a`, whose contents the owner has lent for I/O.
#[derive(Clone, Copy)]
pub(crate) struct PageRef<'a> {
    page: NonNull<kernel::bindings::page>,
    _lent: PhantomData<&'a ()>,
}

impl PageRef<'_> {
    /// Creates a reference to a page from a pointer.
    ///
    /// # Safety
    ///
    /// `page` must be valid for `'a`, and its contents must be lent to the caller for reading, and
    /// for writing if that is what the caller does.
    #[inline]
    pub(super) unsafe fn from_raw(page: NonNull<kernel::bindings::page>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            page,
            _lent: PhantomData,
        }
    }

    /// Returns the page's address. It is valid as long as the page is.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut kernel::bindings::page {
        self.page.as_ptr()
    }

    /// Returns the NUMA node that the page is on.
    #[inline]
    pub(crate) fn node(&self) -> Node {
        // SAFETY: `page` is valid by the type invariants.
        // INVARIANT: A page is on a node that exists.
        Node(unsafe { kernel::bindings::page_to_nid(self.page.as_ptr()) })
    }

    /// Maps the page into the kernel's address space.
    ///
    /// Mappings of one thread must be dropped in the reverse order of their creation, which local
    /// variables are.
    #[inline]
    pub(crate) fn map(&self) -> MappedPage<'_> {
        // SAFETY: `page` is valid by the type invariants.
        let ptr = unsafe { kernel::bindings::kmap_local_page(self.page.as_ptr()) };
        MappedPage {
            // SAFETY: `kmap_local_page` does not fail.
            // INVARIANT: The mapping has `PAGE_SIZE` bytes until it is undone by `drop`.
            ptr: unsafe { NonNull::new_unchecked(ptr.cast()) },
            _page: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Tells architectures with aliasing caches that the kernel has written to the page.
    #[inline]
    pub(crate) fn flush_dcache(&self) {
        // SAFETY: `page` is valid by the type invariants.
        unsafe { bindings::zram_rs_flush_dcache_page(self.page.as_ptr()) };
    }
}

/// A page of memory that is mapped for access by this thread. All methods are for any context.
///
/// # Invariants
///
/// `ptr` points to `PAGE_SIZE` bytes, aligned to a page, that are valid for reads and writes for
/// the lifetime of the object, although others may write to them at the same time.
pub(crate) struct MappedPage<'a> {
    ptr: NonNull<u8>,
    _page: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl MappedPage<'_> {
    /// Returns the address of the page, which is valid as long as the mapping is.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Returns the word that the whole page consists of, if it does consist of a single one.
    pub(crate) fn same_filled(&self) -> Option<usize> {
        const WORDS: usize = PAGE_SIZE / size_of::<usize>();
        let words = self.ptr.as_ptr().cast::<usize>();
        // SAFETY: `i` is below `WORDS` in all calls; the page is aligned and valid for reads, and a
        // volatile read takes whatever is there.
        let read = |i: usize| unsafe { words.add(i).read_volatile() };

        // What the compiler makes one piece of code without a loop of.
        const STEP: usize = 8;
        const { assert!(WORDS % STEP == 0) };

        let word = read(0);
        // Most pages differ at their ends already: look there before walking through all of it.
        let same = word == read(WORDS - 1)
            && (0..WORDS / STEP).all(|step| (0..STEP).all(|i| read(STEP * step + i) == word));
        same.then_some(word)
    }

    /// Fills the page with copies of a word.
    pub(crate) fn fill(&self, word: usize) {
        // SAFETY: The page is aligned and valid for writes of `PAGE_SIZE` bytes.
        unsafe {
            bindings::zram_rs_fill_words(
                self.ptr.as_ptr().cast(),
                word,
                PAGE_SIZE / size_of::<usize>(),
            )
        };
    }

    /// Copies bytes from the start of the page to all of `bytes`, which may be as long as a page.
    pub(crate) fn read(&self, bytes: &mut [u8]) {
        // SAFETY: The page is valid for reads, `bytes` for writes, of at least this length.
        unsafe {
            kernel::bindings::memcpy(
                bytes.as_mut_ptr().cast(),
                self.ptr.as_ptr().cast(),
                bytes.len().min(PAGE_SIZE),
            )
        };
    }

    /// Fills what is behind the first `len` bytes with zeroes.
    pub(crate) fn clear_from(&self, len: usize) {
        let len = len.min(PAGE_SIZE);
        // SAFETY: The page is valid for writes of `PAGE_SIZE` bytes.
        unsafe { kernel::bindings::memset(self.ptr.as_ptr().add(len).cast(), 0, PAGE_SIZE - len) };
    }

    /// Copies `bytes` to the start of the page; what does not fit is left out.
    pub(crate) fn write(&self, bytes: &[u8]) {
        // SAFETY: `bytes` is valid for reads, the page for writes, of at least this length.
        unsafe {
            kernel::bindings::memcpy(
                self.ptr.as_ptr().cast(),
                bytes.as_ptr().cast(),
                bytes.len().min(PAGE_SIZE),
            )
        };
    }

    /// Copies a whole page.
    ///
    /// # Safety
    ///
    /// `src` must be aligned to a page, and valid for reads of `PAGE_SIZE` bytes.
    pub(crate) unsafe fn write_page(&self, src: *const u8) {
        // SAFETY: By the safety requirements, and the page is aligned and valid for writes.
        unsafe { bindings::zram_rs_copy_page(self.ptr.as_ptr().cast(), src.cast()) };
    }

    /// Copies a part of another page into this one: `len` bytes from `src_offset` there to `offset`
    /// here.
    ///
    /// Fails with `EINVAL` if either part reaches beyond its page.
    pub(crate) fn copy_from(
        &self,
        offset: usize,
        src: &MappedPage<'_>,
        src_offset: usize,
        len: usize,
    ) -> Result {
        if len > PAGE_SIZE || offset > PAGE_SIZE - len || src_offset > PAGE_SIZE - len {
            return Err(EINVAL);
        }
        // SAFETY: Both ranges are within their pages, as was just checked; `memmove` does not mind
        // if the pages are one and the same.
        unsafe {
            kernel::bindings::memmove(
                self.ptr.as_ptr().add(offset).cast(),
                src.ptr.as_ptr().add(src_offset).cast(),
                len,
            )
        };
        Ok(())
    }
}

impl Drop for MappedPage<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `ptr` came from `kmap_local_page` in this thread and is unmapped once.
        unsafe { kernel::bindings::kunmap_local(self.ptr.as_ptr().cast()) };
    }
}

/// A page of our own for use on the I/O path.
///
/// # Invariants
///
/// `page` is a page that was allocated by [`OwnedPage::new`] and belongs to this object.
pub(crate) struct OwnedPage {
    page: NonNull<kernel::bindings::page>,
}

// SAFETY: The page belongs to the object, wherever that goes.
unsafe impl Send for OwnedPage {}
// SAFETY: A shared page gives access to a `PageRef`, whose users do not take references to its
// contents.
unsafe impl Sync for OwnedPage {}

impl OwnedPage {
    /// Allocates a page.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`]; the I/O path passes [`Gfp::NOIO`].
    ///
    /// # Errors
    ///
    /// Fails if no page is found by what `gfp` allows.
    pub(crate) fn new(gfp: Gfp) -> Result<Self, AllocError> {
        // SAFETY: Allocating has no requirements but the context, which the flags are made for.
        let page = unsafe { kernel::bindings::alloc_pages(gfp.as_raw(), 0) };
        // INVARIANT: Just allocated.
        NonNull::new(page)
            .map(|page| Self { page })
            .ok_or(AllocError)
    }

    /// Borrows the page. Any context, as for dropping it.
    pub(crate) fn as_page(&self) -> PageRef<'_> {
        // SAFETY: The page is valid until `drop` and nobody else has it.
        unsafe { PageRef::from_raw(self.page) }
    }
}

impl Drop for OwnedPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the page is ours, and nobody has borrowed it any more.
        unsafe { kernel::bindings::__free_pages(self.page.as_ptr(), 0) };
    }
}
