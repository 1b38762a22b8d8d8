// SPDX-License-Identifier: GPL-2.0

//! Compressed objects in memory: zsmalloc, safely.
//!
//! An object is an owned value: an [`Object`] frees itself when it is dropped. To be kept in a slot
//! it is turned into a [`Handle`], which only the pool that it came from can turn back.
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    abstractions::{
        bit_lock::Packed,
        page::MappedPage, //
    },
    bindings, //
};
use core::{
    marker::PhantomData,
    num::NonZeroUsize,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*, //
};

/// A pool of objects of any size up to a page, packed into as few pages as possible.
///
/// # Invariants
///
/// `pool` is a valid pool that belongs to this object.
pub(crate) struct Pool {
    pool: NonNull<bindings::zs_pool>,
    huge_size: usize,
}

// SAFETY: zsmalloc does its own locking.
unsafe impl Send for Pool {}
// SAFETY: The same.
unsafe impl Sync for Pool {}

impl Pool {
    /// Makes an empty pool, which zsmalloc's statistics call `name`. Fails with `ENOMEM`. May
    /// sleep.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which zsmalloc copies.
        let pool = unsafe { bindings::zs_create_pool(name.as_char_ptr()) };
        let pool = NonNull::new(pool).ok_or(ENOMEM)?;
        // SAFETY: The pool is valid.
        let huge_size = unsafe { bindings::zs_huge_class_size(pool.as_ptr()) };
        // INVARIANT: Just made.
        Ok(Self { pool, huge_size })
    }

    /// From this size on, in bytes, an object takes a page of its own. Any context.
    pub(crate) fn huge_size(&self) -> usize {
        self.huge_size
    }

    /// Returns the class of objects of `size` bytes: the objects of a class take the same memory,
    /// and those of a lower class take less. Any context.
    pub(crate) fn class(&self, size: usize) -> u32 {
        // SAFETY: By the type invariants.
        unsafe { bindings::zs_lookup_class_index(self.pool.as_ptr(), size as c_uint) }
    }

    /// Returns how many pages the pool has. Any context.
    pub(crate) fn pages(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::zs_get_total_pages(self.pool.as_ptr()) }
    }

    /// Returns how many pages compaction has freed so far. Any context.
    pub(crate) fn pages_compacted(&self) -> u64 {
        let mut stats = bindings::zs_pool_stats::default();
        // SAFETY: By the type invariants; `stats` is valid for writes.
        unsafe { bindings::zs_pool_stats(self.pool.as_ptr(), &mut stats) };
        stats.pages_compacted.counter as u64
    }

    /// Moves objects together and frees the pages that become empty. May sleep.
    pub(crate) fn compact(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::zs_compact(self.pool.as_ptr()) };
    }

    /// Allocates an object of `size` bytes, preferably on NUMA node `nid`.
    ///
    /// Fails with `ENOMEM`, without recursing into I/O. May sleep.
    pub(crate) fn alloc(&self, size: usize, nid: i32) -> Result<Object<'_>> {
        // SAFETY: By the type invariants.
        let handle = unsafe {
            bindings::zs_malloc(self.pool.as_ptr(), size, bindings::ZRAM_RS_GFP_OBJECT, nid)
        };
        // Errors are what pointers use for them: the last page of the address space.
        from_err_ptr(handle as *mut c_void)?;
        // INVARIANT: Just allocated from this pool.
        Ok(Object {
            pool: self,
            handle: Handle(NonZeroUsize::new(handle).ok_or(ENOMEM)?),
            size,
        })
    }

    /// Takes an object back whose handle was kept. Dropping it frees it.
    ///
    /// The handle must be from this pool; a disk has one pool, and its handles do not leave its
    /// slots.
    pub(crate) fn adopt(&self, handle: Handle) -> Object<'_> {
        // INVARIANT: A handle exists once, and it came from this pool.
        Object {
            pool: self,
            handle,
            size: 0,
        }
    }

    /// Copies an object that takes a page of its own into a page. May sleep.
    pub(crate) fn read_page(&self, handle: HandleRef<'_>, page: &MappedPage<'_>) {
        let pool = self.pool.as_ptr();
        // SAFETY: The handle is that of a live object of this pool: of the pool of the disk whose
        // slot it is in. An object of a page has a zspage of its own and begins at its beginning,
        // so there is nothing to put together.
        let bytes = unsafe {
            bindings::zs_obj_read_begin(pool, handle.0.get(), PAGE_SIZE, core::ptr::null_mut())
        };
        // SAFETY: zsmalloc returns a page, which stays valid until `zs_obj_read_end`.
        unsafe { page.write_page(bytes.cast()) };
        // SAFETY: This ends what was begun above.
        unsafe { bindings::zs_obj_read_end(pool, handle.0.get(), PAGE_SIZE, bytes) };
    }

    /// Copies an object to the start of a page, and fills the rest with zeroes.
    ///
    /// `size` is the size that the object was allocated with. May sleep.
    pub(crate) fn read_padded(&self, handle: HandleRef<'_>, size: usize, page: &MappedPage<'_>) {
        let size = size.min(PAGE_SIZE);
        let (pool, to) = (self.pool.as_ptr(), page.as_ptr());
        // SAFETY: The handle is that of a live object of this pool: of the pool of the disk whose
        // slot it is in, where its size is, too. An object that lies across two pages is put
        // together in the page, which has room for any object.
        let bytes = unsafe { bindings::zs_obj_read_begin(pool, handle.0.get(), size, to.cast()) };
        if bytes.cast() != to {
            // SAFETY: zsmalloc returns `size` bytes that stay valid, and unchanged, until
            // `zs_obj_read_end`. These are not in the page.
            page.write(unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), size) });
        }
        // SAFETY: This ends what was begun above.
        unsafe { bindings::zs_obj_read_end(pool, handle.0.get(), size, bytes) };
        page.clear_from(size);
    }

    /// Replaces what is in an object that takes a page of its own. May sleep.
    pub(crate) fn rewrite_page(&self, handle: &mut Handle, page: &MappedPage<'_>) {
        // SAFETY: The handle is that of a live object of this pool, as in `adopt`; nobody else has
        // it. Only objects of a page are in slots as such.
        unsafe {
            bindings::zs_obj_write(
                self.pool.as_ptr(),
                handle.0.get(),
                page.as_ptr().cast(),
                PAGE_SIZE,
            )
        };
    }

    /// Calls `f` with the bytes of an object.
    ///
    /// `size` is the size that the object was allocated with; `scratch` is where objects that lie
    /// across two pages are put together, and as large as a page. `f` must not sleep for long: the
    /// object cannot be moved meanwhile. May sleep.
    pub(crate) fn read<R>(
        &self,
        handle: HandleRef<'_>,
        size: usize,
        scratch: &mut [u8; PAGE_SIZE],
        f: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let size = size.min(PAGE_SIZE);
        let pool = self.pool.as_ptr();
        // SAFETY: The handle is that of a live object of this pool: of the pool of the disk whose
        // slot it is in, where its size is, too. The scratch buffer is as large as any object.
        let bytes = unsafe {
            bindings::zs_obj_read_begin(pool, handle.0.get(), size, scratch.as_mut_ptr().cast())
        };
        // SAFETY: zsmalloc returns `size` bytes that stay valid, and unchanged, until
        // `zs_obj_read_end`: to write to an object takes a handle that is in no slot.
        let result = f(unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), size) });
        // SAFETY: This ends what was begun above.
        unsafe { bindings::zs_obj_read_end(pool, handle.0.get(), size, bytes) };
        result
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::zs_destroy_pool(self.pool.as_ptr()) };
    }
}

/// An object in a [`Pool`], freed when dropped. That, and all methods, are for any context but
/// interrupts.
///
/// # Invariants
///
/// `handle` is that of an object of `pool`.
pub(crate) struct Object<'a> {
    pool: &'a Pool,
    handle: Handle,
    /// How many bytes may be written; none to an object that is in use already.
    size: usize,
}

impl Object<'_> {
    /// Sets the contents of a new object; what does not fit is left out.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // SAFETY: The source is valid for this many bytes.
        unsafe { self.write_raw(bytes.as_ptr(), bytes.len()) };
    }

    /// Sets the contents of a new object to a page.
    pub(crate) fn write_page(&mut self, page: &MappedPage<'_>) {
        // SAFETY: A page is valid for reads of `PAGE_SIZE` bytes.
        unsafe { self.write_raw(page.as_ptr(), PAGE_SIZE) };
    }

    /// # Safety
    ///
    /// `src` must be valid for reads of `len` bytes.
    unsafe fn write_raw(&mut self, src: *const u8, len: usize) {
        let len = len.min(self.size);
        if len == 0 {
            return;
        }
        // SAFETY: By the type invariants the object is live, and `len` is within its size.
        unsafe {
            bindings::zs_obj_write(
                self.pool.pool.as_ptr(),
                self.handle.0.get(),
                src.cast_mut().cast(),
                len,
            )
        };
    }

    /// Keeps the object: it stays allocated until its handle is given back to the pool.
    pub(crate) fn into_handle(self) -> Handle {
        let handle = Handle(self.handle.0);
        // The object is now the handle's.
        core::mem::forget(self);
        handle
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the object is live, and this is the only owner.
        unsafe { bindings::zs_free(self.pool.pool.as_ptr(), self.handle.0.get()) };
    }
}

/// The right to an object in a pool. It exists once, and dropping it leaks the object.
#[must_use = "a handle that is dropped leaks its object"]
pub(crate) struct Handle(NonZeroUsize);

/// A borrowed [`Handle`].
#[derive(Clone, Copy)]
pub(crate) struct HandleRef<'a>(NonZeroUsize, PhantomData<&'a Handle>);

/// What a slot's word holds.
#[must_use]
pub(crate) enum Value {
    /// A plain number.
    Number(usize),
    /// An object.
    Handle(Handle),
}

/// What a slot's word holds, borrowed.
pub(crate) enum ValueRef<'a> {
    /// A plain number.
    Number(usize),
    /// An object.
    Handle(HandleRef<'a>),
}

// SAFETY: The tag tells numbers and handles apart, and handles are not zero. `(0, false)` is a
// number.
unsafe impl Packed for Value {
    type Ref<'a> = ValueRef<'a>;

    #[inline]
    fn pack(self) -> (usize, bool) {
        match self {
            Value::Number(number) => (number, false),
            Value::Handle(handle) => (handle.0.get(), true),
        }
    }

    #[inline]
    unsafe fn unpack(word: usize, tag: bool) -> Self {
        match NonZeroUsize::new(word) {
            Some(handle) if tag => Value::Handle(Handle(handle)),
            _ => Value::Number(word),
        }
    }

    #[inline]
    unsafe fn borrow<'a>(word: usize, tag: bool) -> ValueRef<'a> {
        match NonZeroUsize::new(word) {
            Some(handle) if tag => ValueRef::Handle(HandleRef(handle, PhantomData)),
            _ => ValueRef::Number(word),
        }
    }
}
