// SPDX-License-Identifier: GPL-2.0

//! Compressed objects in memory: zsmalloc, safely.
//!
//! An [`Object`] knows its pool and its size, and frees itself when it is dropped. In a slot there
//! is no room for that: what is kept there is zsmalloc's handle and the size. [`Objects`] are
//! therefore packed for a table that owns their pool, so that what comes out of a slot is an object
//! of that pool again.
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    abstractions::{
        alloc::Gfp,
        bit_lock::Packed,
        page::{
            MappedPage,
            Node, //
        },
    },
    bindings, //
};
use core::{
    mem::ManuallyDrop,
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

    /// Allocates an object of `size` bytes, preferably on a NUMA node, by what `gfp` allows.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and what `zs_malloc` says of a size that no object can have.
    pub(crate) fn alloc(&self, size: usize, node: Node, gfp: Gfp) -> Result<Object<'_>> {
        let flags = gfp.as_raw() | bindings::ZRAM_RS_GFP_OBJECT;
        // SAFETY: By the type invariants of the pool and the node.
        let handle = unsafe { bindings::zs_malloc(self.pool.as_ptr(), size, flags, node.id()) };
        // Errors are what pointers use for them: the last page of the address space.
        from_err_ptr(handle as *mut c_void)?;
        // INVARIANT: Just allocated from this pool, with this size.
        Ok(Object {
            pool: self,
            handle: NonZeroUsize::new(handle).ok_or(ENOMEM)?,
            size,
        })
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
/// `handle` is that of an object of `pool`, which was allocated with `size` and belongs to this
/// value.
pub(crate) struct Object<'a> {
    pool: &'a Pool,
    handle: NonZeroUsize,
    size: usize,
}

impl Object<'_> {
    /// Returns the size of the object in bytes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Sets the contents of the object; what does not fit is left out.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // SAFETY: The source is valid for this many bytes.
        unsafe { self.write_raw(bytes.as_ptr(), bytes.len()) };
    }

    /// Sets the contents of the object to a page; what does not fit is left out.
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
                self.handle.get(),
                src.cast_mut().cast(),
                len,
            )
        };
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the object is live, and belongs to this value.
        unsafe { bindings::zs_free(self.pool.pool.as_ptr(), self.handle.get()) };
    }
}

/// A borrowed [`Object`]. All methods may sleep.
///
/// # Invariants
///
/// `handle` is that of an object of `pool`, which was allocated with `size`, and which is neither
/// written nor freed during `'a`.
#[derive(Clone, Copy)]
pub(crate) struct ObjectRef<'a> {
    pool: &'a Pool,
    handle: NonZeroUsize,
    size: usize,
}

impl ObjectRef<'_> {
    /// Returns the size of the object in bytes.
    #[inline]
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Copies the object to the start of a page, and fills the rest with zeroes.
    pub(crate) fn read_page(self, page: &MappedPage<'_>) {
        let (pool, handle, to) = (
            self.pool.pool.as_ptr(),
            self.handle.get(),
            page.as_ptr().cast::<c_void>(),
        );
        // SAFETY: By the type invariants. An object that lies across two pages is put together in
        // the page, which has room for any object.
        let bytes = unsafe { bindings::zs_obj_read_begin(pool, handle, self.size, to) };
        if self.size == PAGE_SIZE {
            // An object of a page begins at the beginning of one, so it is never put together.
            // SAFETY: zsmalloc returns a page that stays valid until `zs_obj_read_end`.
            unsafe { page.write_page(bytes.cast()) };
        } else {
            if bytes != to {
                // SAFETY: zsmalloc returns as many bytes as the object has, which stay valid, and
                // unchanged, until `zs_obj_read_end`. These are not in the page.
                page.write(unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), self.size) });
            }
            page.clear_from(self.size);
        }
        // SAFETY: This ends what was begun above.
        unsafe { bindings::zs_obj_read_end(pool, handle, self.size, bytes) };
    }

    /// Calls `f` with the bytes of the object.
    ///
    /// `scratch` is where an object that lies across two pages is put together. `f` must not sleep
    /// for long: the object cannot be moved meanwhile.
    pub(crate) fn read<R>(self, scratch: &mut [u8; PAGE_SIZE], f: impl FnOnce(&[u8]) -> R) -> R {
        let (pool, handle) = (self.pool.pool.as_ptr(), self.handle.get());
        // SAFETY: By the type invariants. The scratch buffer has room for any object.
        let bytes = unsafe {
            bindings::zs_obj_read_begin(pool, handle, self.size, scratch.as_mut_ptr().cast())
        };
        // SAFETY: zsmalloc returns as many bytes as the object has, which stay valid until
        // `zs_obj_read_end`, and by the type invariants unchanged.
        let result = f(unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), self.size) });
        // SAFETY: This ends what was begun above.
        unsafe { bindings::zs_obj_read_end(pool, handle, self.size, bytes) };
        result
    }
}

/// What a slot holds.
#[must_use]
pub(crate) enum Value<'a> {
    /// A plain number, and a note of [`Objects::NOTE_BITS`] bits.
    Number(usize, usize),
    /// An object.
    Object(Object<'a>),
}

/// What a slot holds, borrowed.
pub(crate) enum ValueRef<'a> {
    /// A plain number, and a note.
    Number(usize, usize),
    /// An object.
    Object(ObjectRef<'a>),
}

/// The kind of values that are objects of one pool, or plain numbers.
pub(crate) struct Objects;

impl Objects {
    /// How many bits a note has: as many as the size of an object has, up to and including the
    /// largest pages that Linux has.
    pub(crate) const NOTE_BITS: u32 = 17;
    const NOTE_MASK: usize = (1 << Self::NOTE_BITS) - 1;
    /// Of a tag that belongs to an object; the bits above are its size.
    const OBJECT: usize = 1;
}

const _: () = assert!(PAGE_SIZE <= Objects::NOTE_MASK);

// SAFETY: A tag tells objects from numbers. For an object, whose handle is not zero, `pack` returns
// the handle and the size, which fits into a note, as no object is larger than a page; and only if
// the object is of the pool that is the context. Zeroes are a number.
unsafe impl Packed for Objects {
    type Context = Pool;
    type Value<'a> = Value<'a>;
    type Ref<'a> = ValueRef<'a>;

    const TAG_BITS: u32 = 1 + Self::NOTE_BITS;

    #[inline]
    fn pack(pool: &Pool, value: Value<'_>) -> (usize, usize) {
        match value {
            Value::Number(number, note) => (number, (note & Self::NOTE_MASK) << 1),
            Value::Object(object) if core::ptr::eq(object.pool, pool) => {
                let object = ManuallyDrop::new(object);
                (object.handle.get(), object.size << 1 | Self::OBJECT)
            }
            // An object of another pool would be unpacked as one of this pool. It is freed instead.
            Value::Object(_) => (0, 0),
        }
    }

    #[inline]
    unsafe fn unpack(pool: &Pool, word: usize, tag: usize) -> Value<'_> {
        let size = tag >> 1;
        match NonZeroUsize::new(word) {
            // INVARIANT: By the safety requirements `pack` had an object of this pool, which is
            // unpacked once.
            Some(handle) if tag & Self::OBJECT != 0 => Value::Object(Object { pool, handle, size }),
            _ => Value::Number(word, size),
        }
    }

    #[inline]
    unsafe fn borrow<'a>(pool: &'a Pool, word: usize, tag: usize) -> ValueRef<'a> {
        let size = tag >> 1;
        match NonZeroUsize::new(word) {
            // INVARIANT: By the safety requirements `pack` had an object of this pool, which is not
            // unpacked during `'a`: that is what it takes to write to it, or to free it.
            Some(handle) if tag & Self::OBJECT != 0 => {
                ValueRef::Object(ObjectRef { pool, handle, size })
            }
            _ => ValueRef::Number(word, size),
        }
    }
}
