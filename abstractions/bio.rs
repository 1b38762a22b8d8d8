// SPDX-License-Identifier: GPL-2.0

//! Block I/O requests as a bio-based driver sees them.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use super::page::{
    MappedPage,
    PageRef, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem,
    ptr::NonNull, //
};
use kernel::{
    block::SECTOR_SHIFT,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
};

/// What a bio asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `REQ_OP_READ`
    Read,
    /// `REQ_OP_WRITE`
    Write,
    /// `REQ_OP_DISCARD`: the contents are not needed any more.
    Discard,
    /// `REQ_OP_WRITE_ZEROES`: what is read afterwards are zeroes.
    WriteZeroes,
    /// Anything else, which a disk gets only if it said that it can do it.
    Other,
}

/// A bio that this driver has been given.
///
/// It is completed exactly once, when it is dropped, with the status of the last
/// [`fail`](Self::fail), or success. All methods, and dropping it, are for any context.
///
/// # Invariants
///
/// `bio` points to a bio that was handed to this driver and has not been completed. Its vector
/// describes memory that stays valid until then.
pub(crate) struct Bio {
    bio: NonNull<kernel::bindings::bio>,
    /// When accounting began, if it did.
    start: Option<c_ulong>,
}

// SAFETY: A bio may be completed by another thread than the one it was given to.
unsafe impl Send for Bio {}

impl Bio {
    /// Takes over a bio.
    ///
    /// # Safety
    ///
    /// `bio` must have been handed to this driver by the block layer, and the caller must not use
    /// it any more.
    pub(super) unsafe fn from_raw(bio: NonNull<kernel::bindings::bio>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { bio, start: None }
    }

    /// Returns what the bio asks for.
    pub(crate) fn operation(&self) -> Operation {
        const MASK: u32 = (1 << kernel::bindings::REQ_OP_BITS) - 1;
        // SAFETY: By the type invariants the bio is valid.
        let flags = unsafe { (*self.bio.as_ptr()).bi_opf };
        match flags & MASK {
            kernel::bindings::req_op_REQ_OP_READ => Operation::Read,
            kernel::bindings::req_op_REQ_OP_WRITE => Operation::Write,
            kernel::bindings::req_op_REQ_OP_DISCARD => Operation::Discard,
            kernel::bindings::req_op_REQ_OP_WRITE_ZEROES => Operation::WriteZeroes,
            _ => Operation::Other,
        }
    }

    /// Returns the first byte of the disk, and the number of bytes, that the bio is about.
    pub(crate) fn range(&self) -> (u64, usize) {
        // SAFETY: By the type invariants the bio is valid.
        let iter = unsafe { &raw const (*self.bio.as_ptr()).bi_iter };
        // SAFETY: The same. The structure is packed, so its fields may be unaligned.
        let (sector, size) = unsafe {
            (
                (&raw const (*iter).bi_sector).read_unaligned(),
                (&raw const (*iter).bi_size).read_unaligned(),
            )
        };
        (sector << SECTOR_SHIFT, size as usize)
    }

    /// Begins to account for this bio in the disk's statistics, until it is completed.
    pub(crate) fn start_accounting(&mut self) {
        // SAFETY: By the type invariants the bio is valid.
        self.start = Some(unsafe { kernel::bindings::bio_start_io_acct(self.bio.as_ptr()) });
    }

    /// Lets the bio complete with an I/O error.
    pub(crate) fn fail(&mut self) {
        self.set_status(bindings::ZRAM_RS_BLK_STS_IOERR);
    }

    /// Lets the bio complete as something that the disk cannot do.
    pub(crate) fn fail_unsupported(&mut self) {
        self.set_status(bindings::ZRAM_RS_BLK_STS_NOTSUPP);
    }

    #[inline]
    fn end_accounting(&mut self) {
        if let Some(start) = self.start.take() {
            let bio = self.bio.as_ptr();
            // SAFETY: By the type invariants the bio is valid; its accounting began at `start`.
            unsafe { kernel::bindings::bio_end_io_acct_remapped(bio, start, (*bio).bi_bdev) };
        }
    }

    fn set_status(&mut self, status: kernel::bindings::blk_status_t) {
        // SAFETY: By the type invariants the bio is valid. Parts of it may set the status at the
        // same time, to one that is as good.
        unsafe { (&raw mut (*self.bio.as_ptr()).bi_status).write_volatile(status) };
    }

    /// Says that the bio is a read or write of one page of the disk, or a part of one. Gives it
    /// back if it is not.
    #[inline]
    pub(crate) fn into_single(self) -> Result<Single, Self> {
        let chunks = self.chunks();
        match chunks.first() {
            Some(chunk) if chunk.len as usize == chunks.left => {
                // SAFETY: The chunk goes where the bio goes.
                let chunk = unsafe { chunk.detach() };
                // INVARIANT: There are no bytes beside those of the chunk.
                Ok(Single { bio: self, chunk })
            }
            _ => Err(self),
        }
    }

    /// Walks through the pages of the disk that a read or write touches, in order. There are none
    /// for bios of other kinds, which have no memory.
    pub(crate) fn chunks(&self) -> Chunks<'_> {
        // SAFETY: By the type invariants the bio is valid.
        let iter = unsafe { &raw const (*self.bio.as_ptr()).bi_iter };
        // SAFETY: The same. The structure is packed, so its fields may be unaligned.
        let (index, offset) = unsafe {
            (
                (&raw const (*iter).bi_idx).read_unaligned(),
                (&raw const (*iter).bi_offset).read_unaligned(),
            )
        };
        let (pos, size) = self.range();
        // The size of a discard is that of the range to discard; no memory goes with it.
        let has_memory = matches!(self.operation(), Operation::Read | Operation::Write);
        Chunks {
            pos,
            left: if has_memory { size } else { 0 },
            // INVARIANT: This is where the bio begins, and `left` bytes follow.
            cursor: Cursor {
                bio: self.bio,
                index,
                offset,
                _bio: PhantomData,
            },
        }
    }
}

impl Drop for Bio {
    fn drop(&mut self) {
        self.end_accounting();
        // SAFETY: By the type invariants the bio is valid and has not been completed. It is not
        // touched after this.
        unsafe { kernel::bindings::bio_endio(self.bio.as_ptr()) };
    }
}

/// A bio that is about one page of the disk, or a part of one. All methods are for any context.
///
/// # Invariants
///
/// `chunk` is all of `bio`, and is dropped with it.
pub(crate) struct Single {
    bio: Bio,
    chunk: Chunk<'static>,
}

impl Single {
    /// Returns the only chunk of the bio.
    #[inline]
    pub(crate) fn chunk(&self) -> &Chunk<'_> {
        &self.chunk
    }

    /// Lets the bio complete with an I/O error.
    pub(crate) fn fail(&mut self) {
        self.bio.fail();
    }

    /// Turns the bio into a part that is all there is of it. Accounting for it ends.
    pub(crate) fn into_part(self) -> Part {
        let Self { mut bio, chunk } = self;
        bio.end_accounting();
        mem::forget(bio);
        // INVARIANT: The bio is completed by the part, when that is dropped.
        Part { chunk }
    }
}

/// A chunk of a bio that is dealt with by itself; see [`Chunk::part`] and [`Single::into_part`].
/// All methods, and dropping it, are for any context.
///
/// # Invariants
///
/// The bio of the chunk is not completed before this part is: the lifetime of the chunk is that of
/// this object.
pub(crate) struct Part {
    chunk: Chunk<'static>,
}

// SAFETY: Parts of a bio may be completed by any thread, and in any context.
unsafe impl Send for Part {}

impl Part {
    /// Returns the chunk that this is about.
    pub(crate) fn chunk(&self) -> &Chunk<'_> {
        &self.chunk
    }

    /// Returns those flags of the bio that other I/O on its behalf should have, too.
    pub(super) fn inherited_flags(&self) -> u32 {
        const INHERITED: u32 = bindings::ZRAM_RS_REQ_INHERITED;
        // SAFETY: By the type invariants the bio is valid.
        unsafe { (*self.chunk.cursor.bio.as_ptr()).bi_opf & INHERITED }
    }

    /// Lets the bio complete with an error: an I/O error, if it is none that block devices have.
    pub(crate) fn fail(&mut self, error: Error) {
        // SAFETY: No requirements.
        let status = unsafe { kernel::bindings::errno_to_blk_status(error.to_errno()) };
        // SAFETY: By the type invariants the bio is valid. Others may set the status at the same
        // time, to one that is as good.
        unsafe { (&raw mut (*self.chunk.cursor.bio.as_ptr()).bi_status).write_volatile(status) };
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the bio is valid, and this part of it is not completed
        // yet.
        unsafe { kernel::bindings::bio_endio(self.chunk.cursor.bio.as_ptr()) };
    }
}

/// A place in the memory of a bio.
///
/// # Invariants
///
/// `bio` is valid, and not complete, during `'a`, and the place is within its memory or just behind
/// it.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bio: NonNull<kernel::bindings::bio>,
    /// Which element of the bio's vector.
    index: u32,
    /// Bytes of that element that have been passed.
    offset: u32,
    _bio: PhantomData<&'a Bio>,
}

impl<'a> Cursor<'a> {
    /// Returns the element of the bio's vector at this place.
    ///
    /// # Safety
    ///
    /// The place must not be behind the bio's memory.
    #[inline]
    unsafe fn element(&self) -> &'a kernel::bindings::bio_vec {
        // SAFETY: By the type invariants the bio is valid, and by the safety requirements there is
        // an element at this index. Nobody changes the vector of a bio that a driver has.
        unsafe { &*(*self.bio.as_ptr()).bi_io_vec.add(self.index as usize) }
    }

    /// Returns the page at this place, the offset into it, and how many of its bytes follow.
    ///
    /// # Safety
    ///
    /// The place must not be behind the bio's memory.
    #[inline]
    unsafe fn segment(&self) -> (PageRef<'a>, usize, usize) {
        // SAFETY: By the safety requirements.
        let element = unsafe { self.element() };
        let start = element.bv_offset as usize + self.offset as usize;
        let offset = start % PAGE_SIZE;
        let len = ((element.bv_len - self.offset) as usize).min(PAGE_SIZE - offset);
        // SAFETY: The pages of an element are contiguous (see `struct bio_vec`), and `start` is
        // within the element, as no element of a bio is empty.
        let page = unsafe { element.bv_page.add(start / PAGE_SIZE) };
        // SAFETY: An element of a bio's vector has a page, which stays valid, and lent to the
        // driver, until the bio is completed, which cannot happen during `'a`.
        let page = unsafe { PageRef::from_raw(NonNull::new_unchecked(page)) };
        (page, offset, len)
    }

    /// Goes forward.
    ///
    /// # Safety
    ///
    /// At least `bytes` bytes of the bio must follow.
    #[inline]
    unsafe fn advance(&mut self, bytes: u32) {
        self.offset += bytes;
        while self.offset > 0 {
            // SAFETY: While there are bytes to pass there is an element at this index.
            let len = unsafe { self.element() }.bv_len;
            if self.offset < len {
                break;
            }
            self.offset -= len;
            self.index += 1;
        }
    }
}

/// An iterator over the pages of the disk that a bio touches; see [`Bio::chunks`].
///
/// # Invariants
///
/// `left` bytes of the bio's memory follow `cursor`.
pub(crate) struct Chunks<'a> {
    pos: u64,
    left: usize,
    cursor: Cursor<'a>,
}

impl<'a> Chunks<'a> {
    /// Returns what will be the next.
    #[inline]
    fn first(&self) -> Option<Chunk<'a>> {
        if self.left == 0 {
            return None;
        }
        let offset = self.pos as usize % PAGE_SIZE;
        let len = self.left.min(PAGE_SIZE - offset);
        // INVARIANT: `len` is not zero, and at most `left`.
        Some(Chunk {
            index: (self.pos >> PAGE_SHIFT) as usize,
            offset: offset as u32,
            len: len as u32,
            cursor: self.cursor,
        })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let chunk = self.first()?;
        // SAFETY: By the type invariants `left` bytes follow, and `len` is not more.
        unsafe { self.cursor.advance(chunk.len) };
        self.pos += u64::from(chunk.len);
        // INVARIANT: The cursor went on by as much.
        self.left -= chunk.len as usize;
        Some(chunk)
    }
}

/// The part of a bio that is about one page of the disk. All methods are for any context.
///
/// # Invariants
///
/// `len` is not zero, at most `PAGE_SIZE - offset`, and `len` bytes of the bio's memory follow
/// `cursor`.
pub(crate) struct Chunk<'a> {
    /// Which page of the disk.
    pub(crate) index: usize,
    /// Where in that page the part begins, in bytes.
    offset: u32,
    /// How many bytes it has.
    len: u32,
    cursor: Cursor<'a>,
}

impl<'a> Chunk<'a> {
    /// Returns the page of memory that holds all of the page of the disk, if there is such a one.
    ///
    /// There is not if the bio is about a part of the page only, or if its memory begins in the
    /// middle of a page.
    #[inline]
    pub(crate) fn whole_page(&self) -> Option<PageRef<'a>> {
        // SAFETY: By the type invariants there are bytes at the cursor.
        let (page, _, len) = unsafe { self.cursor.segment() };
        (len == PAGE_SIZE && self.covers_page()).then_some(page)
    }

    /// Splits off the responsibility for this chunk of its bio, which is not complete before the
    /// part is dropped as well.
    pub(crate) fn part(&self) -> Part {
        // SAFETY: By the type invariants the bio is valid and has not been completed.
        unsafe { bindings::zram_rs_bio_inc_remaining(self.cursor.bio.as_ptr()) };
        // SAFETY: The bio is not completed before the reference that was just taken is given back,
        // which dropping the part does.
        let chunk = unsafe { self.detach() };
        // INVARIANT: The same.
        Part { chunk }
    }

    /// Returns the same chunk, for whoever sees to it that the bio is there by other means.
    ///
    /// # Safety
    ///
    /// The bio must not be completed as long as the returned object lives.
    #[inline]
    unsafe fn detach(&self) -> Chunk<'static> {
        Chunk {
            index: self.index,
            offset: self.offset,
            len: self.len,
            cursor: Cursor {
                bio: self.cursor.bio,
                index: self.cursor.index,
                offset: self.cursor.offset,
                _bio: PhantomData,
            },
        }
    }

    /// Returns whether the bio is about all of the page of the disk.
    pub(crate) fn covers_page(&self) -> bool {
        self.len as usize == PAGE_SIZE
    }

    /// Copies the bio's bytes to where they belong in `page`, which stands for the page of the
    /// disk. Does not fail unless the bio is broken (`EINVAL`).
    pub(crate) fn copy_to(&self, page: &MappedPage<'_>) -> Result {
        self.for_each_segment(|offset, segment, segment_offset, len| {
            page.copy_from(offset, &segment.map(), segment_offset, len)
        })
    }

    /// Copies the bytes that the bio wants from `page`, which stands for the page of the disk. Does
    /// not fail unless the bio is broken (`EINVAL`).
    pub(crate) fn copy_from(&self, page: &MappedPage<'_>) -> Result {
        self.for_each_segment(|offset, segment, segment_offset, len| {
            segment.map().copy_from(segment_offset, page, offset, len)?;
            segment.flush_dcache();
            Ok(())
        })
    }

    fn for_each_segment(
        &self,
        mut f: impl FnMut(usize, PageRef<'a>, usize, usize) -> Result,
    ) -> Result {
        let mut cursor = self.cursor;
        let mut done = 0;
        let (offset, all) = (self.offset as usize, self.len as usize);
        while done < all {
            // SAFETY: By the type invariants `len` bytes follow the chunk's cursor, and less than
            // that have been passed.
            let (page, page_offset, available) = unsafe { cursor.segment() };
            let len = available.min(all - done);
            f(offset + done, page, page_offset, len)?;
            // SAFETY: The same; `len` is not more than what is left.
            unsafe { cursor.advance(len as u32) };
            done += len;
        }
        Ok(())
    }
}
