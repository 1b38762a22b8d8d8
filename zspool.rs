// SPDX-License-Identifier: GPL-2.0

//! A safe interface to zsmalloc, which stores compressed objects in memory.
//!
//! An [`Object`] refers to its pool, has a size, and is freed when dropped. A slot stores only the
//! zsmalloc handle and the size of its object. [`Objects`] packs and unpacks these for a table that
//! owns the pool, which therefore returns every object with its pool.
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    abstractions::{
        alloc::Gfp,
        page::{
            MappedPage,
            Node, //
        },
        sync::bit_lock::Packed, //
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

/// A zsmalloc pool: objects of up to a page, packed into zspages.
///
/// # Invariants
///
/// `pool` is a valid pool that belongs to this object.
///
/// # Context
///
/// Any context, except for [`new`](Self::new), [`compact`](Self::compact), [`alloc`](Self::alloc)
/// and dropping, which may sleep.
pub(crate) struct Pool {
    pool: NonNull<bindings::zs_pool>,
    huge_size: usize,
}

// SAFETY: zsmalloc does its own locking, and any thread can destroy a pool.
unsafe impl Send for Pool {}
// SAFETY: zsmalloc does its own locking.
unsafe impl Sync for Pool {}

impl Pool {
    /// The largest number of pages that the pool allocates for one object: those of a zspage.
    pub(crate) const MAX_GROWTH: usize = 16;

    /// Creates an empty pool, which zsmalloc's statistics call `name`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which zsmalloc copies.
        let pool = unsafe { bindings::zs_create_pool(name.as_char_ptr()) };
        let pool = NonNull::new(pool).ok_or(ENOMEM)?;
        // SAFETY: `pool` is a valid pool, which was created above.
        let huge_size = unsafe { bindings::zs_huge_class_size(pool.as_ptr()) };
        // INVARIANT: `pool` was created above and is not shared.
        Ok(Self { pool, huge_size })
    }

    /// Returns the smallest size in bytes from which on an object takes a whole page.
    pub(crate) fn huge_size(&self) -> usize {
        self.huge_size
    }

    /// Returns the index of the size class for objects of `size` bytes.
    ///
    /// All objects of a class take the same memory; those of a class with a lower index take less.
    pub(crate) fn class(&self, size: usize) -> u32 {
        // SAFETY: By the type invariants the pool is valid.
        unsafe { bindings::zs_lookup_class_index(self.pool.as_ptr(), size as c_uint) }
    }

    /// Returns the number of pages that the pool has allocated.
    pub(crate) fn pages(&self) -> usize {
        // SAFETY: By the type invariants the pool is valid.
        unsafe { bindings::zs_get_total_pages(self.pool.as_ptr()) }
    }

    /// Returns the number of pages that compaction has freed since the creation of the pool.
    pub(crate) fn pages_compacted(&self) -> u64 {
        let mut stats = bindings::zs_pool_stats::default();
        // SAFETY: By the type invariants the pool is valid; `stats` is valid for writes.
        unsafe { bindings::zs_pool_stats(self.pool.as_ptr(), &mut stats) };
        stats.pages_compacted.counter as u64
    }

    /// Moves objects to fewer zspages and frees those that become empty.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn compact(&self) {
        // SAFETY: By the type invariants the pool is valid.
        unsafe { bindings::zs_compact(self.pool.as_ptr()) };
    }

    /// Allocates an object of `size` bytes, preferably on `node`, from memory that `gfp` finds.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`].
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - `EINVAL`: `size` is 0.
    /// - `ENOSPC`: `size` is greater than a page.
    pub(crate) fn alloc(&self, size: usize, node: Node, gfp: Gfp) -> Result<Object<'_>> {
        let flags = gfp.as_raw() | bindings::ZRAM_RS_GFP_OBJECT;
        // SAFETY: By the type invariants the pool is valid, and so is the id of the node.
        let handle = unsafe { bindings::zs_malloc(self.pool.as_ptr(), size, flags, node.id()) };
        // `zs_malloc` returns an error as an error pointer.
        from_err_ptr(handle as *mut c_void)?;
        // INVARIANT: The object was allocated from this pool with `size`, and is not shared.
        Ok(Object {
            pool: self,
            handle: NonZeroUsize::new(handle).ok_or(ENOMEM)?,
            size,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the pool is valid and belongs to this object. Objects
        // borrow the pool, so none of them is in use.
        unsafe { bindings::zs_destroy_pool(self.pool.as_ptr()) };
    }
}

/// An object in a [`Pool`], which is freed when dropped.
///
/// # Invariants
///
/// `handle` is the handle of an object that was allocated from `pool` with `size`, and that belongs
/// to this value.
///
/// # Context
///
/// Any context except interrupts; neither the methods nor dropping sleep.
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

    /// Copies `bytes` to the object, as many as fit.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // SAFETY: A slice is valid for reads of its length.
        unsafe { self.write_raw(bytes.as_ptr(), bytes.len()) };
    }

    /// Fills the object with what a page has from byte `offset` on, and returns `true`; or returns
    /// `false` if the page has less than that.
    pub(crate) fn write_page(&mut self, page: &MappedPage<'_>, offset: usize) -> bool {
        if offset > PAGE_SIZE || self.size > PAGE_SIZE - offset {
            return false;
        }
        // SAFETY: A mapped page is valid for reads of `PAGE_SIZE` bytes.
        unsafe { self.write_raw(page.as_ptr().add(offset), self.size) };
        true
    }

    /// Copies `len` bytes to the object, as many as fit.
    ///
    /// # Safety
    ///
    /// `src` must be valid for reads of `len` bytes.
    unsafe fn write_raw(&mut self, src: *const u8, len: usize) {
        let len = len.min(self.size);
        if len == 0 {
            return;
        }
        // SAFETY: By the type invariants the object is allocated and belongs to this value. `len`
        // is at most its size, and `src` is valid for reads by the safety requirements.
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
        // SAFETY: By the type invariants the object is allocated and belongs to this value.
        unsafe { bindings::zs_free(self.pool.pool.as_ptr(), self.handle.get()) };
    }
}

/// A borrowed [`Object`].
///
/// # Invariants
///
/// `handle` is the handle of an object that was allocated from `pool` with `size`, and that is
/// neither written nor freed during `'a`.
///
/// # Context
///
/// All methods may sleep.
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

    /// Copies the object to the start of a page, and clears the rest of the page.
    pub(crate) fn read_page(self, page: &MappedPage<'_>) {
        if self.size != PAGE_SIZE {
            self.copy_to(page, 0);
            page.clear_from(self.size);
            return;
        }
        let (pool, handle, to) = (
            self.pool.pool.as_ptr(),
            self.handle.get(),
            page.as_ptr().cast::<c_void>(),
        );
        // SAFETY: By the type invariants the object is allocated with this size. An object of
        // `PAGE_SIZE` bytes is page-aligned, so zsmalloc does not copy it to `to`.
        let bytes = unsafe { bindings::zs_obj_read_begin(pool, handle, self.size, to) };
        // SAFETY: `bytes` points to a page, which is valid until `zs_obj_read_end`.
        unsafe { page.write_page(bytes.cast()) };
        // SAFETY: `zs_obj_read_begin` was called above with the same arguments.
        unsafe { bindings::zs_obj_read_end(pool, handle, self.size, bytes) };
    }

    /// Copies the object to a page, from byte `offset` of the page on, and returns `true`; or
    /// returns `false` if it does not fit there.
    pub(crate) fn copy_to(self, page: &MappedPage<'_>, offset: usize) -> bool {
        if offset > PAGE_SIZE || self.size > PAGE_SIZE - offset {
            return false;
        }
        let (pool, handle) = (self.pool.pool.as_ptr(), self.handle.get());
        // SAFETY: `offset` is within the page.
        let to = unsafe { page.as_ptr().add(offset) }.cast::<c_void>();
        // SAFETY: By the type invariants the object is allocated with this size. zsmalloc copies an
        // object that crosses a page boundary to `to`, which has room for it: see above.
        let bytes = unsafe { bindings::zs_obj_read_begin(pool, handle, self.size, to) };
        if bytes != to {
            // SAFETY: `bytes` points to `size` bytes outside of the page, which are valid until
            // `zs_obj_read_end`, and by the type invariants do not change.
            let bytes = unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), self.size) };
            page.write(offset, bytes);
        }
        // SAFETY: `zs_obj_read_begin` was called above with the same arguments.
        unsafe { bindings::zs_obj_read_end(pool, handle, self.size, bytes) };
        true
    }

    /// Calls `f` with the contents of the object.
    ///
    /// An object that crosses a page boundary is copied to `scratch`. `f` must not sleep for long:
    /// compaction cannot move the object meanwhile.
    pub(crate) fn read<R>(self, scratch: &mut [u8; PAGE_SIZE], f: impl FnOnce(&[u8]) -> R) -> R {
        let (pool, handle) = (self.pool.pool.as_ptr(), self.handle.get());
        // SAFETY: By the type invariants the object is allocated with this size. `scratch` has room
        // for any object.
        let bytes = unsafe {
            bindings::zs_obj_read_begin(pool, handle, self.size, scratch.as_mut_ptr().cast())
        };
        // SAFETY: `bytes` points to `size` bytes, which are valid until `zs_obj_read_end`, and by
        // the type invariants do not change.
        let result = f(unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), self.size) });
        // SAFETY: `zs_obj_read_begin` was called above with the same arguments.
        unsafe { bindings::zs_obj_read_end(pool, handle, self.size, bytes) };
        result
    }
}

/// The value of a slot.
#[must_use]
pub(crate) enum Value<'a> {
    /// A number, and a note of [`Objects::NOTE_BITS`] bits.
    Number(usize, usize),
    /// An object.
    Object(Object<'a>),
}

/// The borrowed value of a slot.
pub(crate) enum ValueRef<'a> {
    /// A number, and a note of [`Objects::NOTE_BITS`] bits.
    Number(usize, usize),
    /// An object.
    Object(ObjectRef<'a>),
}

/// The packing of [`Value`]s: objects of one pool, or numbers.
pub(crate) struct Objects;

impl Objects {
    /// Width of a note, in bits: enough for the size of an object where pages have 64 KiB.
    pub(crate) const NOTE_BITS: u32 = 17;
    const NOTE_MASK: usize = (1 << Self::NOTE_BITS) - 1;
    /// The bit of a tag that marks an object; the bits above it are the size of the object.
    const OBJECT: usize = 1;

    /// Returns the size of the object that a tag belongs to, if it is one.
    pub(crate) fn size_of(tag: usize) -> Option<usize> {
        (tag & Self::OBJECT != 0).then_some(tag >> 1)
    }
}

const _: () = assert!(PAGE_SIZE <= Objects::NOTE_MASK);

// SAFETY: The tag has `TAG_BITS` bits: `OBJECT`, and a note or a size, which is at most a page and
// thus fits into a note. `OBJECT` distinguishes objects from numbers. `pack` returns a handle only
// for an object from the pool that is the context. Zeroes are a number.
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
            // `unpack` would return an object from another pool as one from this pool. Free it.
            Value::Object(_) => (0, 0),
        }
    }

    #[inline]
    unsafe fn unpack(pool: &Pool, word: usize, tag: usize) -> Value<'_> {
        let size = tag >> 1;
        match NonZeroUsize::new(word) {
            // INVARIANT: By the safety requirements the handle and the size are from `pack`, which
            // was given an object from this pool, and are unpacked once.
            Some(handle) if tag & Self::OBJECT != 0 => Value::Object(Object { pool, handle, size }),
            _ => Value::Number(word, size),
        }
    }

    #[inline]
    unsafe fn borrow<'a>(pool: &'a Pool, word: usize, tag: usize) -> ValueRef<'a> {
        let size = tag >> 1;
        match NonZeroUsize::new(word) {
            // INVARIANT: By the safety requirements the handle and the size are from `pack`, which
            // was given an object from this pool, and are not unpacked during `'a`. Only an
            // unpacked object can be written or freed.
            Some(handle) if tag & Self::OBJECT != 0 => {
                ValueRef::Object(ObjectRef { pool, handle, size })
            }
            _ => ValueRef::Number(word, size),
        }
    }
}
