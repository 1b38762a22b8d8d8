// SPDX-License-Identifier: GPL-2.0

//! Pages of block I/O, and access to their contents.
//!
//! The owner of a page may write to it during I/O: for example, a program may do direct I/O from a
//! buffer that another of its threads changes. So there are no Rust references to the contents of a
//! page: all access is by raw pointers, C functions and volatile reads.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/highmem.h`](srctree/include/linux/highmem.h)

use crate::{
    abstractions::alloc::Gfp,
    bindings, //
};
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
/// The number of a [`kernel::alloc::NumaNode`] is private.
///
/// # Invariants
///
/// The number is that of an existing node, or `NUMA_NO_NODE`.
#[derive(Clone, Copy)]
pub(crate) struct Node(i32);

impl Node {
    /// The node of the CPU that allocates.
    // INVARIANT: This is `NUMA_NO_NODE`.
    pub(crate) const LOCAL: Self = Self(kernel::bindings::NUMA_NO_NODE);

    /// Returns the number of the node. Any context; does not sleep.
    #[inline]
    pub(crate) fn id(self) -> i32 {
        self.0
    }
}

/// A reference to a page whose contents are lent for I/O.
///
/// # Invariants
///
/// `page` points to a `struct page` that is valid for `'a`, and its owner has lent the contents for
/// I/O.
///
/// # Context
///
/// Any context; the methods do not sleep.
///
/// # Examples
///
/// ```
/// # use crate::abstractions::alloc::Gfp;
/// use crate::abstractions::page::OwnedPage;
///
/// # let (page, copy) = (OwnedPage::new(Gfp::KERNEL)?, OwnedPage::new(Gfp::KERNEL)?);
/// # let (page, copy) = (page.as_page(), copy.as_page());
/// # page.map().fill(7);
/// # copy.map().fill(0);
/// let mapped = page.map();
/// if let Some(word) = mapped.same_filled() {
///     copy.map().fill(word);
///     copy.flush_dcache();
/// }
/// # assert_eq!(copy.map().same_filled(), Some(7));
/// # Ok::<(), Error>(())
/// ```
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
    /// `page` must be valid for `'a`. Its owner must have lent the contents for reading, and also
    /// for writing if the caller writes to it.
    #[inline]
    pub(super) unsafe fn from_raw(page: NonNull<kernel::bindings::page>) -> Self {
        // INVARIANT: The page is valid and lent by the safety requirements.
        Self {
            page,
            _lent: PhantomData,
        }
    }

    /// Returns the address of the `struct page`.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut kernel::bindings::page {
        self.page.as_ptr()
    }

    /// Returns the NUMA node that the page is on.
    #[inline]
    pub(crate) fn node(&self) -> Node {
        // SAFETY: `page` is valid by the type invariants.
        // INVARIANT: The node of a page exists.
        Node(unsafe { kernel::bindings::page_to_nid(self.page.as_ptr()) })
    }

    /// Maps the page into the kernel's address space.
    ///
    /// A thread must drop its mappings in the reverse order of their creation, as happens to local
    /// variables.
    #[inline]
    pub(crate) fn map(&self) -> MappedPage<'_> {
        // SAFETY: `page` is valid by the type invariants.
        let ptr = unsafe { kernel::bindings::kmap_local_page(self.page.as_ptr()) };
        MappedPage {
            // SAFETY: `kmap_local_page` does not fail.
            // INVARIANT: `PAGE_SIZE` bytes stay mapped until `drop` unmaps them.
            ptr: unsafe { NonNull::new_unchecked(ptr.cast()) },
            _page: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Flushes the data cache after writes to the page, on architectures with aliasing caches.
    #[inline]
    pub(crate) fn flush_dcache(&self) {
        // SAFETY: `page` is valid by the type invariants.
        unsafe { bindings::zram_rs_flush_dcache_page(self.page.as_ptr()) };
    }
}

/// A mapping of a page into the kernel's address space, which belongs to one thread.
///
/// # Invariants
///
/// `ptr` points to `PAGE_SIZE` bytes, aligned to a page, that are valid for reads and writes during
/// the lifetime of the object. Other threads and devices may write to them at the same time.
///
/// # Context
///
/// Any context; neither the methods nor dropping sleep.
pub(crate) struct MappedPage<'a> {
    ptr: NonNull<u8>,
    _page: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl MappedPage<'_> {
    /// Returns the address of the mapped contents.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Returns the word that fills the whole page, if there is one.
    pub(crate) fn same_filled(&self) -> Option<usize> {
        const WORDS: usize = PAGE_SIZE / size_of::<usize>();
        let words = self.ptr.as_ptr().cast::<usize>();
        // SAFETY: `i` is below `WORDS` in all calls. By the type invariants the page is aligned and
        // valid for reads; a volatile read may race with writes.
        let read = |i: usize| unsafe { words.add(i).read_volatile() };

        // The compiler unrolls a loop over so many words.
        const STEP: usize = 8;
        const { assert!(WORDS % STEP == 0) };

        let word = read(0);
        // The first and the last word of most pages differ: compare these two first.
        let same = word == read(WORDS - 1)
            && (0..WORDS / STEP).all(|step| (0..STEP).all(|i| read(STEP * step + i) == word));
        same.then_some(word)
    }

    /// Fills the page with copies of a word.
    pub(crate) fn fill(&self, word: usize) {
        // SAFETY: By the type invariants the page is aligned and valid for writes of `PAGE_SIZE`
        // bytes.
        unsafe {
            bindings::zram_rs_fill_words(
                self.ptr.as_ptr().cast(),
                word,
                PAGE_SIZE / size_of::<usize>(),
            )
        };
    }

    /// Copies the page from byte `offset` on to `bytes`: as many bytes as both have.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        let offset = offset.min(PAGE_SIZE);
        // SAFETY: The page is valid for reads by the type invariants, and `bytes` for writes, of at
        // least this length.
        unsafe {
            kernel::bindings::memcpy(
                bytes.as_mut_ptr().cast(),
                self.ptr.as_ptr().add(offset).cast(),
                bytes.len().min(PAGE_SIZE - offset),
            )
        };
    }

    /// Zeroes the page from byte `len` on.
    pub(crate) fn clear_from(&self, len: usize) {
        let len = len.min(PAGE_SIZE);
        // SAFETY: By the type invariants the page is valid for writes of `PAGE_SIZE` bytes.
        unsafe { kernel::bindings::memset(self.ptr.as_ptr().add(len).cast(), 0, PAGE_SIZE - len) };
    }

    /// Copies `bytes` to the page from byte `offset` on: as many bytes as both have.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let offset = offset.min(PAGE_SIZE);
        // SAFETY: `bytes` is valid for reads, and the page for writes by the type invariants, of at
        // least this length.
        unsafe {
            kernel::bindings::memcpy(
                self.ptr.as_ptr().add(offset).cast(),
                bytes.as_ptr().cast(),
                bytes.len().min(PAGE_SIZE - offset),
            )
        };
    }

    /// Copies a whole page from `src` to this page.
    ///
    /// # Safety
    ///
    /// `src` must be aligned to a page, and valid for reads of `PAGE_SIZE` bytes.
    pub(crate) unsafe fn write_page(&self, src: *const u8) {
        // SAFETY: `src` is aligned and valid for reads by the safety requirements, and the page is
        // aligned and valid for writes by the type invariants.
        unsafe { bindings::zram_rs_copy_page(self.ptr.as_ptr().cast(), src.cast()) };
    }

    /// Copies `len` bytes at `src_offset` of another page to `offset` of this page.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a range reaches beyond the end of its page.
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
        // SAFETY: Both ranges are within their pages, which are valid by the type invariants, and
        // `memmove` allows them to overlap.
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
        // SAFETY: This thread got `ptr` from `kmap_local_page`, as the object is not `Send`, and
        // unmaps it once.
        unsafe { kernel::bindings::kunmap_local(self.ptr.as_ptr().cast()) };
    }
}

/// A page that this object owns.
///
/// # Invariants
///
/// `page` was allocated by [`OwnedPage::new`], and this object owns it.
///
/// # Examples
///
/// ```
/// use crate::abstractions::{
///     alloc::Gfp,
///     page::OwnedPage, //
/// };
///
/// let page = OwnedPage::new(Gfp::NOIO)?;
/// page.as_page().map().fill(0);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct OwnedPage {
    page: NonNull<kernel::bindings::page>,
}

// SAFETY: The object owns the page, which any thread may use and free.
unsafe impl Send for OwnedPage {}
// SAFETY: A shared reference only gives a `PageRef`, through which threads access the contents
// without Rust references to them.
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
    /// `AllocError`: `gfp` does not allow the kernel to find a page.
    pub(crate) fn new(gfp: Gfp) -> Result<Self, AllocError> {
        // SAFETY: The function has no requirement but a context that suits the flags.
        let page = unsafe { kernel::bindings::alloc_pages(gfp.as_raw(), 0) };
        // INVARIANT: The page is new, and only this object has its address.
        NonNull::new(page)
            .map(|page| Self { page })
            .ok_or(AllocError)
    }

    /// Borrows the page. Any context, also for dropping it; does not sleep.
    pub(crate) fn as_page(&self) -> PageRef<'_> {
        // SAFETY: By the type invariants the page is valid until `drop`, and the object, which owns
        // it, lends it for reading and writing.
        unsafe { PageRef::from_raw(self.page) }
    }
}

impl Drop for OwnedPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the page, and no `PageRef` outlives it.
        unsafe { kernel::bindings::__free_pages(self.page.as_ptr(), 0) };
    }
}
