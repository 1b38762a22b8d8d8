// SPDX-License-Identifier: GPL-2.0

//! Block I/O requests, as a bio-based driver receives them.
//!
//! A driver gets each bio as a [`Bio`], which is completed when the driver's function has returned.
//! A driver that deals with the disk page by page walks through [`PageSegment`]s; it can complete a
//! segment later than the rest of the bio with a [`SegmentCompletion`].
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use crate::{
    abstractions::page::{
        MappedPage,
        PageRef, //
    },
    bindings, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    block::SECTOR_SHIFT,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The operation that a bio requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `REQ_OP_READ`
    Read,
    /// `REQ_OP_WRITE`
    Write,
    /// `REQ_OP_DISCARD`: the contents of the range are no longer needed.
    Discard,
    /// `REQ_OP_WRITE_ZEROES`: the range reads as zeroes afterwards.
    WriteZeroes,
    /// Any other operation; the block layer sends these only to disks that announce support.
    Other,
}

/// A bio during the call of the driver's function for it; dropping this completes the bio.
///
/// # Invariants
///
/// `bio` points to a bio that was handed to this driver. Unless `is_taken`, this object owns one of
/// the references that `bio_endio` counts, so the bio has not been completed.
///
/// # Context
///
/// All methods, and dropping it: any context.
pub(in crate::abstractions) struct Submission<'a> {
    bio: NonNull<kernel::bindings::bio>,
    /// When accounting began, in jiffies, if it did and has not ended.
    start: Cell<Option<c_ulong>>,
    /// Whether a completion has the reference now.
    is_taken: Cell<bool>,
    is_outlived: &'a Atomic<bool>,
}

impl<'a> Submission<'a> {
    /// Takes ownership of a bio.
    ///
    /// Sets `is_outlived` before the bio can be completed during the call of the driver's function.
    ///
    /// # Safety
    ///
    /// The block layer must have handed `bio` to this driver, and the caller must not use it
    /// afterwards.
    pub(in crate::abstractions) unsafe fn new(
        bio: NonNull<kernel::bindings::bio>,
        is_outlived: &'a Atomic<bool>,
    ) -> Self {
        // INVARIANT: By the safety requirements the bio is the driver's, and only the new object
        // completes it.
        Self {
            bio,
            start: Cell::new(None),
            is_taken: Cell::new(false),
            is_outlived,
        }
    }

    /// Returns the bio.
    ///
    /// # Safety
    ///
    /// Must be called once only.
    pub(in crate::abstractions) unsafe fn bio(&self) -> Bio<'_> {
        // INVARIANT: By the safety requirements this is the only `Bio`, so `is_taken` is not set.
        Bio { submission: self }
    }

    /// Ends the accounting of the bio, if it was started.
    ///
    /// # Safety
    ///
    /// `is_taken` must not be set.
    #[inline]
    unsafe fn end_accounting(&self) {
        if let Some(start) = self.start.take() {
            let bio = self.bio.as_ptr();
            // SAFETY: By the safety requirements and the type invariants the bio is valid; its
            // accounting began at `start`.
            unsafe { kernel::bindings::bio_end_io_acct_remapped(bio, start, (*bio).bi_bdev) };
        }
    }
}

impl Drop for Submission<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_taken.get() {
            return;
        }
        // SAFETY: `is_taken` is not set.
        unsafe { self.end_accounting() };
        // SAFETY: By the type invariants the reference that `bio_endio` drops belongs to this
        // object.
        unsafe { kernel::bindings::bio_endio(self.bio.as_ptr()) };
    }
}

/// A bio that this driver has been given.
///
/// It is completed after the driver's function has returned, with the status of the last
/// [`fail`](Self::fail), [`fail_no_space`](Self::fail_no_space) or
/// [`fail_unsupported`](Self::fail_unsupported), or else with success.
///
/// # Invariants
///
/// `submission` has no other `Bio`, and its `is_taken` is not set. The memory that the vector of
/// the bio describes stays valid until the bio is completed.
///
/// # Context
///
/// All methods: any context.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::block::{
///     bio::{
///         Bio,
///         Operation, //
///     },
///     gendisk::QueueEntered, //
/// };
/// # use crate::abstractions::page::{OwnedPage, PageRef};
///
/// # struct Memory(KVec<OwnedPage>);
/// #
/// # impl Memory {
/// #     fn page(&self, index: usize) -> Result<PageRef<'_>> {
/// #         self.0.get(index).map(OwnedPage::as_page).ok_or(EIO)
/// #     }
/// # }
/// #
/// fn submit_bio(memory: QueueEntered<'_, Memory>, mut bio: Bio<'_>) {
///     bio.start_accounting();
///     let result = match bio.operation() {
///         Operation::Read => (bio.page_segments())
///             .try_for_each(|segment| segment.copy_from(&memory.page(segment.index)?.map())),
///         Operation::Write => (bio.page_segments())
///             .try_for_each(|segment| segment.copy_to(&memory.page(segment.index)?.map())),
///         _ => return bio.fail_unsupported(),
///     };
///     if result.is_err() {
///         bio.fail();
///     }
/// }
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct Bio<'a> {
    submission: &'a Submission<'a>,
}

impl<'a> Bio<'a> {
    #[inline]
    fn as_ptr(&self) -> *mut kernel::bindings::bio {
        self.submission.bio.as_ptr()
    }

    /// Returns the operation that the bio requests.
    pub(crate) fn operation(&self) -> Operation {
        const MASK: u32 = (1 << kernel::bindings::REQ_OP_BITS) - 1;
        // SAFETY: By the type invariants the bio is valid.
        let flags = unsafe { (*self.as_ptr()).bi_opf };
        match flags & MASK {
            kernel::bindings::req_op_REQ_OP_READ => Operation::Read,
            kernel::bindings::req_op_REQ_OP_WRITE => Operation::Write,
            kernel::bindings::req_op_REQ_OP_DISCARD => Operation::Discard,
            kernel::bindings::req_op_REQ_OP_WRITE_ZEROES => Operation::WriteZeroes,
            _ => Operation::Other,
        }
    }

    /// Returns the range of the disk that the bio covers: offset and length, in bytes.
    pub(crate) fn range(&self) -> (u64, usize) {
        // SAFETY: By the type invariants the bio is valid.
        let iter = unsafe { &raw const (*self.as_ptr()).bi_iter };
        // SAFETY: `iter` is part of the valid bio. The structure is packed, so its fields may be
        // unaligned.
        let (sector, size) = unsafe {
            (
                (&raw const (*iter).bi_sector).read_unaligned(),
                (&raw const (*iter).bi_size).read_unaligned(),
            )
        };
        (sector << SECTOR_SHIFT, size as usize)
    }

    /// Starts to account the bio in the disk's statistics; completing the bio ends it.
    pub(crate) fn start_accounting(&mut self) {
        // SAFETY: By the type invariants the bio is valid.
        let start = unsafe { kernel::bindings::bio_start_io_acct(self.as_ptr()) };
        self.submission.start.set(Some(start));
    }

    /// Sets the status of the bio to an I/O error.
    pub(crate) fn fail(&mut self) {
        self.set_status(bindings::ZRAM_RS_BLK_STS_IOERR);
    }

    /// Sets the status of the bio to a lack of space.
    pub(crate) fn fail_no_space(&mut self) {
        self.set_status(bindings::ZRAM_RS_BLK_STS_NOSPC);
    }

    /// Sets the status of the bio to an unsupported operation.
    pub(crate) fn fail_unsupported(&mut self) {
        self.set_status(bindings::ZRAM_RS_BLK_STS_NOTSUPP);
    }

    fn set_status(&mut self, status: kernel::bindings::blk_status_t) {
        // SAFETY: By the type invariants the bio is valid. Only its `SegmentCompletion`s may write
        // the status concurrently; the writes are volatile, of one byte, and each is an error.
        unsafe { (&raw mut (*self.as_ptr()).bi_status).write_volatile(status) };
    }

    /// Converts a read or write that lies within one page of the disk.
    ///
    /// Returns the bio unchanged if it is of another kind, or spans several pages.
    #[inline]
    pub(crate) fn into_single_page(self) -> Result<SinglePageBio<'a>, Self> {
        let segments = self.page_segments();
        match segments.first() {
            Some(segment) if segment.len as usize == segments.left => {
                // SAFETY: The segment moves into the same object as the `Bio`, during whose life
                // the bio is not completed.
                let segment = unsafe { segment.detach() };
                // INVARIANT: The segment has all bytes of the bio.
                Ok(SinglePageBio { bio: self, segment })
            }
            _ => Err(self),
        }
    }

    /// Iterates over the pages of the disk that a read or write touches, in ascending order.
    ///
    /// Bios of other kinds carry no memory and have no segments.
    pub(crate) fn page_segments(&self) -> PageSegments<'_> {
        // SAFETY: By the type invariants the bio is valid.
        let iter = unsafe { &raw const (*self.as_ptr()).bi_iter };
        #[cfg(zram_rs_compat)]
        let iter = crate::abstractions::compat::bvec_iter(iter);
        // SAFETY: `iter` is part of the valid bio. The structure is packed, so its fields may be
        // unaligned.
        let (index, offset) = unsafe {
            (
                (&raw const (*iter).bi_idx).read_unaligned(),
                (&raw const (*iter).bi_offset).read_unaligned(),
            )
        };
        let (pos, size) = self.range();
        // The size of a discard is the size of the range, although it has no memory.
        let has_memory = matches!(self.operation(), Operation::Read | Operation::Write);
        // INVARIANT: The iterator of a read or write describes `size` bytes of memory that begin
        // at `index` and `offset`; `left` is zero for a bio without memory.
        PageSegments {
            pos,
            left: if has_memory { size } else { 0 },
            cursor: Cursor {
                bio: self.submission.bio,
                index,
                offset,
                _bio: PhantomData,
            },
        }
    }
}

/// A read or write that lies within one page of the disk.
///
/// # Invariants
///
/// `segment` has all bytes of `bio`, and is dropped together with it.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct SinglePageBio<'a> {
    bio: Bio<'a>,
    segment: PageSegment<'static>,
}

impl SinglePageBio<'_> {
    /// Returns the only segment of the bio.
    #[inline]
    pub(crate) fn segment(&self) -> &PageSegment<'_> {
        &self.segment
    }

    /// Sets the status of the bio to an I/O error.
    pub(crate) fn fail(&mut self) {
        self.bio.fail();
    }

    /// Converts the bio into the completion of its only segment, and ends its accounting.
    ///
    /// The completion takes over the bio's own reference, so it need not count another.
    pub(crate) fn into_completion(self) -> SegmentCompletion {
        let Submission {
            is_taken,
            is_outlived,
            ..
        } = self.bio.submission;
        is_outlived.store(true, Relaxed);
        // SAFETY: By the type invariants of `Bio`, `is_taken` is not set.
        unsafe { self.bio.submission.end_accounting() };
        // INVARIANT: The only `Bio` ends here. The reference of the submission becomes that of the
        // new object.
        is_taken.set(true);
        SegmentCompletion {
            segment: self.segment,
        }
    }
}

/// A share in the completion of a bio, for one of its segments.
///
/// The bio is completed when the driver's function has returned and all its `SegmentCompletion`s
/// have been dropped. See [`PageSegment::completion`] and [`SinglePageBio::into_completion`].
///
/// # Invariants
///
/// The object owns one of the references that `bio_endio` counts, so the bio of `segment` is not
/// completed before the object is dropped.
///
/// # Context
///
/// All methods, and dropping it: any context.
pub(crate) struct SegmentCompletion {
    segment: PageSegment<'static>,
}

// SAFETY: The block layer allows any thread, in any context, to access and complete a bio.
unsafe impl Send for SegmentCompletion {}

impl SegmentCompletion {
    /// Returns the segment of the bio that this completes.
    pub(crate) fn segment(&self) -> &PageSegment<'_> {
        &self.segment
    }

    /// Returns the flags of the bio that other bios, submitted on its behalf, inherit.
    pub(in crate::abstractions) fn inherited_flags(&self) -> u32 {
        const INHERITED: u32 = bindings::ZRAM_RS_REQ_INHERITED;
        // SAFETY: By the type invariants the bio is valid.
        unsafe { (*self.segment.cursor.bio.as_ptr()).bi_opf & INHERITED }
    }

    /// Sets the status of the bio to `error`, or to an I/O error if block devices do not have it.
    pub(crate) fn fail(&mut self, error: Error) {
        // SAFETY: `errno_to_blk_status` accepts any number.
        let status = unsafe { kernel::bindings::errno_to_blk_status(error.to_errno()) };
        // SAFETY: By the type invariants the bio is valid. Its `Bio` and other completions may
        // write the status concurrently; the writes are volatile, of one byte, and each is an
        // error.
        unsafe { (&raw mut (*self.segment.cursor.bio.as_ptr()).bi_status).write_volatile(status) };
    }
}

impl Drop for SegmentCompletion {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the bio is valid, and the reference that `bio_endio` drops
        // belongs to this object.
        unsafe { kernel::bindings::bio_endio(self.segment.cursor.bio.as_ptr()) };
    }
}

/// A position in the memory of a bio.
///
/// # Invariants
///
/// `bio` is valid and not completed during `'a`. The position is within its memory or at its end.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bio: NonNull<kernel::bindings::bio>,
    /// Index of the current element of the bio's vector.
    index: u32,
    /// Bytes of that element that precede the position.
    offset: u32,
    _bio: PhantomData<&'a ()>,
}

// SAFETY: The block layer allows any thread to access the memory of a bio that a driver owns.
unsafe impl Send for Cursor<'_> {}

impl<'a> Cursor<'a> {
    /// Returns the element of the bio's vector at this position.
    ///
    /// # Safety
    ///
    /// The position must be before the end of the bio's memory.
    #[inline]
    unsafe fn element(&self) -> &'a kernel::bindings::bio_vec {
        // SAFETY: By the type invariants the bio is valid, and by the safety requirements it has an
        // element at this index. The vector does not change while a driver owns the bio.
        unsafe { &*(*self.bio.as_ptr()).bi_io_vec.add(self.index as usize) }
    }

    /// Returns the page at this position, the offset into the page, and the number of bytes that
    /// follow contiguously in the page.
    ///
    /// # Safety
    ///
    /// The position must be before the end of the bio's memory.
    #[inline]
    unsafe fn segment(&self) -> (PageRef<'a>, usize, usize) {
        // SAFETY: By the safety requirements the position is before the end.
        let element = unsafe { self.element() };
        let start = element.bv_offset as usize + self.offset as usize;
        let offset = start % PAGE_SIZE;
        let len = ((element.bv_len - self.offset) as usize).min(PAGE_SIZE - offset);
        // SAFETY: The pages of an element are contiguous (see `struct bio_vec`), and `start` is
        // within the element, as no element of a bio is empty.
        let page = unsafe { element.bv_page.add(start / PAGE_SIZE) };
        // SAFETY: Each element of a bio's vector has a page. The page stays valid, and lent to the
        // driver, until the bio is completed, which does not happen during `'a`.
        let page = unsafe { PageRef::from_raw(NonNull::new_unchecked(page)) };
        (page, offset, len)
    }

    /// Moves the position forward.
    ///
    /// # Safety
    ///
    /// At least `bytes` bytes of the bio's memory must follow the position.
    #[inline]
    unsafe fn advance(&mut self, bytes: u32) {
        self.offset += bytes;
        while self.offset > 0 {
            // SAFETY: `offset` bytes, which is not zero, of the bio's memory follow the start of
            // the element at this index, so there is such an element.
            let len = unsafe { self.element() }.bv_len;
            if self.offset < len {
                break;
            }
            self.offset -= len;
            self.index += 1;
        }
    }
}

/// An iterator over the [`PageSegment`]s of a bio; see [`Bio::page_segments`].
///
/// # Invariants
///
/// `left` bytes of the bio's memory follow `cursor`.
#[derive(Clone)]
pub(crate) struct PageSegments<'a> {
    /// Offset of the next segment on the disk, in bytes.
    pos: u64,
    left: usize,
    cursor: Cursor<'a>,
}

impl<'a> PageSegments<'a> {
    /// Returns the number of segments that are left.
    #[inline]
    pub(crate) fn count_left(&self) -> usize {
        match self.left {
            0 => 0,
            left => (self.pos as usize % PAGE_SIZE + left).div_ceil(PAGE_SIZE),
        }
    }

    /// Returns an iterator over the next segments, at most `count`, and advances this one to what
    /// follows them.
    pub(crate) fn split_first(&mut self, count: usize) -> PageSegments<'a> {
        let offset = self.pos as usize % PAGE_SIZE;
        let bytes = count
            .saturating_mul(PAGE_SIZE)
            .saturating_sub(offset)
            .min(self.left);
        // INVARIANT: `bytes` is at most `left`, so that as many bytes follow the cursor.
        let first = PageSegments {
            pos: self.pos,
            left: bytes,
            cursor: self.cursor,
        };
        // SAFETY: By the type invariants `left` bytes follow the cursor.
        unsafe { self.cursor.advance(bytes as u32) };
        self.pos += bytes as u64;
        // INVARIANT: The cursor has moved by as many bytes as `left` shrinks by.
        self.left -= bytes;
        first
    }

    /// Returns the next segment, without advancing the iterator.
    #[inline]
    fn first(&self) -> Option<PageSegment<'a>> {
        if self.left == 0 {
            return None;
        }
        let offset = self.pos as usize % PAGE_SIZE;
        let len = self.left.min(PAGE_SIZE - offset);
        // INVARIANT: `len` is not zero, at most `PAGE_SIZE - offset`, and at most `left`.
        Some(PageSegment {
            index: (self.pos >> PAGE_SHIFT) as usize,
            offset: offset as u32,
            len: len as u32,
            cursor: self.cursor,
        })
    }
}

impl<'a> Iterator for PageSegments<'a> {
    type Item = PageSegment<'a>;

    #[inline]
    fn next(&mut self) -> Option<PageSegment<'a>> {
        let segment = self.first()?;
        // SAFETY: By the type invariants `left` bytes follow the cursor, and `len` is at most that.
        unsafe { self.cursor.advance(segment.len) };
        self.pos += u64::from(segment.len);
        // INVARIANT: The cursor has moved by as many bytes as `left` shrinks by.
        self.left -= segment.len as usize;
        Some(segment)
    }
}

/// The part of a bio that concerns one page of the disk.
///
/// # Invariants
///
/// `len` is not zero, at most `PAGE_SIZE - offset`, and `len` bytes of the bio's memory follow
/// `cursor`.
///
/// # Context
///
/// All methods: any context.
///
/// # Examples
///
/// Completes the bio after its last page has been written, in whichever order that happens:
///
/// ```no_run
/// use crate::abstractions::block::bio::Bio;
/// # use crate::abstractions::{
/// #     alloc::Gfp,
/// #     block::bio::SegmentCompletion,
/// #     page::{OwnedPage, PageRef},
/// # };
///
/// # struct Device;
/// #
/// # impl Device {
/// #     fn write(&self, _to: usize, _page: PageRef<'_>, _completion: SegmentCompletion) {}
/// #     fn write_copy(&self, _to: usize, _copy: OwnedPage, _completion: SegmentCompletion) {}
/// # }
/// #
/// fn write(device: &Device, bio: &Bio<'_>) -> Result {
///     for segment in bio.page_segments() {
///         match segment.whole_page() {
///             Some(page) => device.write(segment.index, page, segment.completion()),
///             None => {
///                 let copy = OwnedPage::new(Gfp::NOIO)?;
///                 segment.copy_to(&copy.as_page().map())?;
///                 device.write_copy(segment.index, copy, segment.completion());
///             }
///         }
///     }
///     Ok(())
/// }
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct PageSegment<'a> {
    /// Index of the page on the disk.
    pub(crate) index: usize,
    /// Offset of the segment in that page, in bytes.
    offset: u32,
    /// Length of the segment, in bytes.
    len: u32,
    cursor: Cursor<'a>,
}

impl<'a> PageSegment<'a> {
    /// Returns the page of memory that corresponds to the whole page of the disk.
    ///
    /// Returns `None` if the segment covers only a part of the page of the disk, or if its memory
    /// does not begin at the start of a page.
    #[inline]
    pub(crate) fn whole_page(&self) -> Option<PageRef<'a>> {
        // SAFETY: By the type invariants `len` bytes, which is not zero, follow the cursor.
        let (page, _, len) = unsafe { self.cursor.segment() };
        (len == PAGE_SIZE && self.covers_page()).then_some(page)
    }

    /// Creates a completion for this segment; the bio is not completed before that is dropped.
    pub(crate) fn completion(&self) -> SegmentCompletion {
        // SAFETY: By the type invariants the bio is valid and has not been completed.
        unsafe { bindings::zram_rs_bio_inc_remaining(self.cursor.bio.as_ptr()) };
        // SAFETY: The reference that was just taken keeps the bio from being completed, until the
        // completion that owns the detached segment is dropped.
        let segment = unsafe { self.detach() };
        // INVARIANT: The object owns the reference that was just taken.
        SegmentCompletion { segment }
    }

    /// Returns a copy of this segment that does not borrow the bio.
    ///
    /// # Safety
    ///
    /// The bio must not be completed while the returned object lives.
    #[inline]
    unsafe fn detach(&self) -> PageSegment<'static> {
        // INVARIANT: The bytes and the cursor are those of `self`, and by the safety requirements
        // the bio is valid during the lifetime of the returned object.
        PageSegment {
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

    /// Returns whether the segment covers the whole page of the disk.
    pub(crate) fn covers_page(&self) -> bool {
        self.len as usize == PAGE_SIZE
    }

    /// Copies the segment's memory to its place in `page`, a copy of the page of the disk.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the bio is malformed.
    pub(crate) fn copy_to(&self, page: &MappedPage<'_>) -> Result {
        self.for_each_piece(|offset, piece, piece_offset, len| {
            page.copy_from(offset, &piece.map(), piece_offset, len)
        })
    }

    /// Copies the segment's bytes from `page`, a copy of the page of the disk, to its memory.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the bio is malformed.
    pub(crate) fn copy_from(&self, page: &MappedPage<'_>) -> Result {
        self.for_each_piece(|offset, piece, piece_offset, len| {
            piece.map().copy_from(piece_offset, page, offset, len)?;
            piece.flush_dcache();
            Ok(())
        })
    }

    /// Calls `f` with each piece of the segment that is contiguous in one page of memory.
    ///
    /// The arguments are the offset into the page of the disk, the page of memory, the offset into
    /// that, and the length.
    fn for_each_piece(
        &self,
        mut f: impl FnMut(usize, PageRef<'a>, usize, usize) -> Result,
    ) -> Result {
        let mut cursor = self.cursor;
        let mut done = 0;
        let (offset, all) = (self.offset as usize, self.len as usize);
        while done < all {
            // SAFETY: By the type invariants `len` bytes follow the segment's cursor, and fewer
            // than that have been passed.
            let (page, page_offset, available) = unsafe { cursor.segment() };
            let len = available.min(all - done);
            f(offset + done, page, page_offset, len)?;
            // SAFETY: `len` is at most `all - done`, which is what follows the cursor.
            unsafe { cursor.advance(len as u32) };
            done += len;
        }
        Ok(())
    }
}

/// Calls `f` with the segments of a bio that writes `pages` pages to the start of a disk, all from
/// the same page of memory.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`: there is no memory.
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) fn with_test_segments<R>(
    pages: u16,
    f: impl FnOnce(PageSegments<'_>) -> R,
) -> Result<R> {
    use crate::abstractions::{
        alloc::Gfp,
        page::OwnedPage, //
    };
    use core::mem::MaybeUninit;

    let page = OwnedPage::new(Gfp::KERNEL)?;
    let mut table = KVVec::<MaybeUninit<kernel::bindings::bio_vec>>::new();
    for _ in 0..pages {
        table.push(MaybeUninit::uninit(), GFP_KERNEL)?;
    }
    let raw = KBox::new(
        kernel::types::Opaque::<kernel::bindings::bio>::uninit(),
        GFP_KERNEL,
    )?;
    // SAFETY: The bio and the table are valid for writes, and outlive `bio`. The table has an
    // element for each page.
    unsafe {
        kernel::bindings::bio_init(
            raw.get(),
            core::ptr::null_mut(),
            table.as_mut_ptr().cast(),
            pages,
            kernel::bindings::req_op_REQ_OP_WRITE,
        );
        for _ in 0..pages {
            let page = page.as_page().as_ptr();
            kernel::bindings::__bio_add_page(raw.get(), page, PAGE_SIZE as u32, 0);
        }
    }
    let bio = NonNull::new(raw.get()).ok_or(EINVAL)?;
    let is_outlived = Atomic::new(false);
    // SAFETY: `bio_init` has initialised the bio. It is not completed, as the object is not
    // dropped.
    let submission = core::mem::ManuallyDrop::new(unsafe { Submission::new(bio, &is_outlived) });
    // SAFETY: The first and only call.
    let result = f(unsafe { submission.bio() }.page_segments());
    // SAFETY: The bio is initialised, and not used any more.
    unsafe { kernel::bindings::bio_uninit(raw.get()) };
    Ok(result)
}

#[kunit_tests(zram_rs_bio)]
mod tests {
    use super::*;
    #[cfg(zram_rs_compat)]
    use crate::abstractions::compat::kernel::prelude::*;
    use core::sync::atomic::{
        AtomicU32,
        Ordering, //
    };
    use kernel::types::Opaque;

    /// Order, and number, of the contiguous pages of a [`Run`].
    const ORDER: u32 = 2;
    const PAGES: usize = 1 << ORDER;
    const RUN_BYTES: usize = PAGES * PAGE_SIZE;

    /// The largest number of elements of a [`TestBio`].
    const MAX_ELEMENTS: usize = 4;

    /// The values of bytes outside of a bio, and outside of a segment; [`pattern`] returns neither.
    const OUTSIDE_BIO: u8 = 0xfe;
    const OUTSIDE_SEGMENT: u8 = 0xfd;

    /// Returns the value of byte `i` of a bio; the period has no factor in common with a page.
    fn pattern(i: usize) -> u8 {
        (i % 251) as u8
    }

    /// Physically contiguous pages.
    ///
    /// # Invariants
    ///
    /// The object owns the `PAGES` pages that begin with the one `self` points to.
    struct Run(NonNull<kernel::bindings::page>);

    impl Run {
        fn new() -> Result<Self> {
            // SAFETY: A test may sleep, which is all that these flags require.
            let page = unsafe { kernel::bindings::alloc_pages(bindings::ZRAM_RS_GFP_NOIO, ORDER) };
            // INVARIANT: The pages were just allocated.
            NonNull::new(page).map(Self).ok_or(ENOMEM)
        }

        fn page(&self, n: usize) -> PageRef<'_> {
            // SAFETY: By the type invariants the run has `PAGES` pages, and they belong to `self`.
            unsafe { PageRef::from_raw(self.0.add(n % PAGES)) }
        }

        fn write(&self, bytes: &[u8]) {
            for (n, bytes) in bytes.chunks(PAGE_SIZE).enumerate() {
                self.page(n).map().write(0, bytes);
            }
        }

        fn read(&self, bytes: &mut [u8]) {
            for (n, bytes) in bytes.chunks_mut(PAGE_SIZE).enumerate() {
                self.page(n).map().read(0, bytes);
            }
        }
    }

    impl Drop for Run {
        fn drop(&mut self) {
            // SAFETY: By the type invariants the pages belong to `self`.
            unsafe { kernel::bindings::__free_pages(self.0.as_ptr(), ORDER) };
        }
    }

    /// A bio over pages of its own, which is never submitted.
    struct TestBio {
        bio: KBox<Opaque<kernel::bindings::bio>>,
        _table: KBox<Opaque<[kernel::bindings::bio_vec; MAX_ELEMENTS]>>,
        /// How many times the bio was completed.
        completed: KBox<AtomicU32>,
        /// Whether the bio can be completed during the call of the driver's function.
        is_outlived: Atomic<bool>,
        /// The memory of the elements, one run each.
        runs: KVec<Run>,
        /// The place of each remaining byte of the bio, in the concatenation of the runs.
        places: KVVec<usize>,
    }

    impl TestBio {
        /// Creates a bio that begins at `sector` with the elements `(offset, len)`, of which the
        /// first `skip` bytes are done already.
        fn new(op: u32, sector: u64, elements: &[(usize, usize)], skip: usize) -> Result<Self> {
            if elements.len() > MAX_ELEMENTS {
                return Err(EINVAL);
            }
            let bio = KBox::new(Opaque::<kernel::bindings::bio>::uninit(), GFP_KERNEL)?;
            let table = KBox::new(
                Opaque::<[kernel::bindings::bio_vec; MAX_ELEMENTS]>::uninit(),
                GFP_KERNEL,
            )?;
            let completed = KBox::new(AtomicU32::new(0), GFP_KERNEL)?;
            let mut runs = KVec::new();
            let (mut places, mut size) = (KVVec::new(), 0);
            for (n, &(offset, len)) in elements.iter().enumerate() {
                if len == 0 || offset + len > RUN_BYTES {
                    return Err(EINVAL);
                }
                runs.push(Run::new()?, GFP_KERNEL)?;
                for at in 0..len {
                    if size + at >= skip {
                        places.push(n * RUN_BYTES + offset + at, GFP_KERNEL)?;
                    }
                }
                size += len;
            }
            if skip > size {
                return Err(EINVAL);
            }

            let raw = bio.get();
            // SAFETY: Bio and table are valid for writes, and live as long as the `TestBio`. The
            // table has an element for each call of `__bio_add_page`, and `skip` is at most the
            // size of the bio.
            unsafe {
                kernel::bindings::bio_init(
                    raw,
                    core::ptr::null_mut(),
                    table.get().cast(),
                    MAX_ELEMENTS as u16,
                    op,
                );
                (*raw).bi_iter.bi_sector = sector;
                (*raw).bi_end_io = Some(Self::end_io);
                (*raw).bi_private = (&raw const *completed).cast_mut().cast();
                for (run, &(offset, len)) in runs.iter().zip(elements) {
                    let (len, offset) = (len as u32, offset as u32);
                    kernel::bindings::__bio_add_page(raw, run.0.as_ptr(), len, offset);
                }
                kernel::bindings::__bio_advance(raw, skip as u32);
            }
            Ok(Self {
                bio,
                _table: table,
                completed,
                is_outlived: Atomic::new(false),
                runs,
                places,
            })
        }

        /// # Safety
        ///
        /// Called by `bio_endio` with the bio of a `TestBio`.
        unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
            // SAFETY: `new` has set this to a counter that lives as long as the bio.
            let completed = unsafe { &*(*bio).bi_private.cast::<AtomicU32>() };
            completed.fetch_add(1, Ordering::Relaxed);
        }

        /// Returns the bio as the block layer would hand it to a driver.
        ///
        /// # Safety
        ///
        /// Must be called once only. What is made of the bio must not outlive `self`.
        unsafe fn submit(&self) -> Submission<'_> {
            // SAFETY: The bio is initialised, and by the safety requirements the caller is the only
            // user of it.
            unsafe { Submission::new(NonNull::new_unchecked(self.bio.get()), &self.is_outlived) }
        }

        fn completed(&self) -> u32 {
            self.completed.load(Ordering::Relaxed)
        }

        fn status(&self) -> kernel::bindings::blk_status_t {
            // SAFETY: The bio is initialised, and the tests have a single thread.
            unsafe { (*self.bio.get()).bi_status }
        }

        /// Returns the expected contents of all runs: the pattern within the bio.
        fn memory(&self) -> Result<KVVec<u8>> {
            let mut memory =
                KVVec::from_elem(OUTSIDE_BIO, self.runs.len() * RUN_BYTES, GFP_KERNEL)?;
            for (i, &place) in self.places.iter().enumerate() {
                *memory.get_mut(place).ok_or(EINVAL)? = pattern(i);
            }
            Ok(memory)
        }
    }

    impl Drop for TestBio {
        fn drop(&mut self) {
            // SAFETY: The bio is initialised, and not used afterwards.
            unsafe { kernel::bindings::bio_uninit(self.bio.get()) };
        }
    }

    /// A segment: index, offset, length, and whether it is a whole page.
    type Found = (usize, u32, u32, bool);

    /// Copies a bio's memory to the pages of a disk; returns its segments, or `EILSEQ` if a byte
    /// went to a wrong place.
    fn write(sector: u64, elements: &[(usize, usize)], skip: usize) -> Result<KVec<Found>> {
        let test = TestBio::new(
            kernel::bindings::req_op_REQ_OP_WRITE,
            sector,
            elements,
            skip,
        )?;
        for (run, bytes) in test.runs.iter().zip(test.memory()?.chunks(RUN_BYTES)) {
            run.write(bytes);
        }
        // SAFETY: The first and only call; the submission is dropped before `test`.
        let submission = unsafe { test.submit() };
        // SAFETY: The first and only call.
        let bio = unsafe { submission.bio() };
        let (mut found, mut done) = (KVec::new(), 0);
        let copy = Run::new()?;
        let mut bytes = KVVec::from_elem(OUTSIDE_SEGMENT, PAGE_SIZE, GFP_KERNEL)?;
        let mut left = bio.page_segments();
        // The same segments, but the first two at a time.
        let pairs = core::iter::from_fn(|| Some(left.split_first(2)).filter(|pair| pair.left > 0));
        for segment in pairs.flatten() {
            bytes.fill(OUTSIDE_SEGMENT);
            copy.write(&bytes);
            segment.copy_to(&copy.page(0).map())?;
            copy.read(&mut bytes);
            let (start, len) = (segment.offset as usize, segment.len as usize);
            for (at, &byte) in bytes.iter().enumerate() {
                let expected = if (start..start + len).contains(&at) {
                    pattern(done + at - start)
                } else {
                    OUTSIDE_SEGMENT
                };
                if byte != expected {
                    return Err(EILSEQ);
                }
            }
            let whole = segment.whole_page();
            if let Some(page) = whole {
                let place = *test.places.get(done).ok_or(EILSEQ)?;
                let run = test.runs.get(place / RUN_BYTES).ok_or(EILSEQ)?;
                if page.as_ptr() != run.page(place / PAGE_SIZE).as_ptr() {
                    return Err(EILSEQ);
                }
            }
            let whole = whole.is_some();
            found.push(
                (segment.index, segment.offset, segment.len, whole),
                GFP_KERNEL,
            )?;
            done += len;
        }
        if done != test.places.len() {
            return Err(EILSEQ);
        }
        Ok(found)
    }

    /// Copies the pages of a disk to a bio's memory; returns its segments, or `EILSEQ` if a byte
    /// went to a wrong place.
    fn read(sector: u64, elements: &[(usize, usize)], skip: usize) -> Result<KVec<Found>> {
        let test = TestBio::new(kernel::bindings::req_op_REQ_OP_READ, sector, elements, skip)?;
        let mut memory = test.memory()?;
        let outside = KVVec::from_elem(OUTSIDE_BIO, RUN_BYTES, GFP_KERNEL)?;
        for run in &test.runs {
            run.write(&outside);
        }
        // SAFETY: The first and only call; the submission is dropped before `test`.
        let submission = unsafe { test.submit() };
        // SAFETY: The first and only call.
        let bio = unsafe { submission.bio() };
        let (mut found, mut done) = (KVec::new(), 0);
        let copy = Run::new()?;
        let mut bytes = KVVec::from_elem(OUTSIDE_SEGMENT, PAGE_SIZE, GFP_KERNEL)?;
        for segment in bio.page_segments() {
            let (start, len) = (segment.offset as usize, segment.len as usize);
            bytes.fill(OUTSIDE_SEGMENT);
            for (i, byte) in bytes.iter_mut().skip(start).take(len).enumerate() {
                *byte = pattern(done + i);
            }
            copy.write(&bytes);
            segment.copy_from(&copy.page(0).map())?;
            let whole = segment.whole_page().is_some();
            found.push(
                (segment.index, segment.offset, segment.len, whole),
                GFP_KERNEL,
            )?;
            done += len;
        }
        if bio.page_segments().count_left() != found.len() {
            return Err(EILSEQ);
        }
        for (run, expected) in test.runs.iter().zip(memory.chunks_mut(RUN_BYTES)) {
            let mut bytes = KVVec::from_elem(0, RUN_BYTES, GFP_KERNEL)?;
            run.read(&mut bytes);
            if bytes.as_slice() != expected {
                return Err(EILSEQ);
            }
        }
        Ok(found)
    }

    const PAGE: u32 = PAGE_SIZE as u32;

    #[test]
    fn whole_pages() -> Result {
        let sector = 7 * (PAGE_SIZE >> SECTOR_SHIFT) as u64;
        // Elements of one page and of several, at the start of a run of pages and within it.
        for elements in [
            &[(0, PAGE_SIZE), (PAGE_SIZE, PAGE_SIZE), (0, PAGE_SIZE)][..],
            &[(0, 3 * PAGE_SIZE)],
            &[(PAGE_SIZE, 3 * PAGE_SIZE)],
            &[(2 * PAGE_SIZE, PAGE_SIZE), (PAGE_SIZE, 2 * PAGE_SIZE)],
        ] {
            let expected = [(7, 0, PAGE, true), (8, 0, PAGE, true), (9, 0, PAGE, true)];
            assert_eq!(write(sector, elements, 0)?.as_slice(), expected);
            assert_eq!(read(sector, elements, 0)?.as_slice(), expected);
        }
        Ok(())
    }

    #[test]
    fn pages_in_pieces() -> Result {
        // Across the borders of pages of memory, and of elements.
        for elements in [
            &[(512, 2 * PAGE_SIZE)][..],
            &[(PAGE_SIZE + 1536, 2 * PAGE_SIZE)],
            &[(0, 512), (512, PAGE_SIZE), (PAGE_SIZE, PAGE_SIZE - 512)],
            &[(PAGE_SIZE - 512, 1024), (512, 2 * PAGE_SIZE - 1024)],
            &[(3, 7), (11, PAGE_SIZE - 14), (0, 7), (1, PAGE_SIZE)],
        ] {
            let expected = [(0, 0, PAGE, false), (1, 0, PAGE, false)];
            assert_eq!(write(0, elements, 0)?.as_slice(), expected);
            assert_eq!(read(0, elements, 0)?.as_slice(), expected);
        }
        // The second page is in one piece, the first is not.
        let elements = [(512, 512), (0, PAGE_SIZE - 512), (PAGE_SIZE, PAGE_SIZE)];
        let expected = [(0, 0, PAGE, false), (1, 0, PAGE, true)];
        assert_eq!(write(0, &elements, 0)?.as_slice(), expected);
        assert_eq!(read(0, &elements, 0)?.as_slice(), expected);
        Ok(())
    }

    #[test]
    fn partial_first_and_last_pages() -> Result {
        let sector = (PAGE_SIZE >> SECTOR_SHIFT) as u64 + 3;
        for elements in [
            // The memory begins at the start of a page, at the same offset as on the disk, and at
            // another offset.
            &[(0, 2 * PAGE_SIZE)][..],
            &[(1536, 2 * PAGE_SIZE)],
            &[(512, PAGE_SIZE), (1024, PAGE_SIZE)],
        ] {
            let whole = elements.first() == Some(&(1536, 2 * PAGE_SIZE));
            let expected = [
                (1, 1536, PAGE - 1536, false),
                (2, 0, PAGE, whole),
                (3, 0, 1536, false),
            ];
            assert_eq!(write(sector, elements, 0)?.as_slice(), expected);
            assert_eq!(read(sector, elements, 0)?.as_slice(), expected);
        }
        // Within a single page, at its end.
        let sector = (PAGE_SIZE >> SECTOR_SHIFT) as u64 - 2;
        let expected = [(0, PAGE - 1024, 1024, false)];
        assert_eq!(
            write(sector, &[(0, 512), (512, 512)], 0)?.as_slice(),
            expected
        );
        assert_eq!(
            read(sector, &[(0, 512), (512, 512)], 0)?.as_slice(),
            expected
        );
        Ok(())
    }

    #[test]
    fn positions_beyond_32_bits() -> Result {
        let expected = [(
            (1 << 33) >> (PAGE_SHIFT as u32 - SECTOR_SHIFT),
            0,
            PAGE,
            true,
        )];
        assert_eq!(write(1 << 33, &[(0, PAGE_SIZE)], 0)?.as_slice(), expected);
        Ok(())
    }

    #[test]
    fn bios_that_are_done_in_part() -> Result {
        let page = (PAGE_SIZE >> SECTOR_SHIFT) as u64;
        let elements = [(512, 1024), (0, 3 * PAGE_SIZE), (PAGE_SIZE, 2 * PAGE_SIZE)];
        // Within the first and within a later page of an element, at the ends of elements, and on
        // the borders of pages of the disk and of pages of memory.
        let first = page as usize * 0x123 << SECTOR_SHIFT;
        for skip in [
            0,
            512,
            1024,
            1536,
            1024 + PAGE_SIZE,
            1024 + 2 * PAGE_SIZE + 512,
            1024 + 3 * PAGE_SIZE,
            1024 + 3 * PAGE_SIZE + 512,
            1024 + 4 * PAGE_SIZE,
            1024 + 5 * PAGE_SIZE - 512,
        ] {
            let mut expected = KVec::new();
            let (mut pos, end) = (first + skip, first + 1024 + 5 * PAGE_SIZE);
            while pos < end {
                let len = (PAGE_SIZE - pos % PAGE_SIZE).min(end - pos);
                let offset = (pos % PAGE_SIZE) as u32;
                // Memory and disk differ by 1024 modulo the size of a page.
                expected.push((pos / PAGE_SIZE, offset, len as u32, false), GFP_KERNEL)?;
                pos += len;
            }
            let sector = 0x123 * page;
            assert_eq!(
                write(sector, &elements, skip)?.as_slice(),
                expected.as_slice()
            );
            assert_eq!(
                read(sector, &elements, skip)?.as_slice(),
                expected.as_slice()
            );
        }
        // The rest of the bio is whole pages.
        let expected = [(0, 0, PAGE, true), (1, 0, PAGE, true)];
        let elements = [(PAGE_SIZE - 1024, PAGE_SIZE + 1024), (0, PAGE_SIZE)];
        let sector = (1 << 20) * page - 2;
        let found = write(sector, &elements, 1024)?;
        let expected =
            expected.map(|(index, offset, len, whole)| ((1 << 20) + index, offset, len, whole));
        assert_eq!(found.as_slice(), expected);
        assert_eq!(read(sector, &elements, 1024)?.as_slice(), expected);
        // There is no rest.
        assert_eq!(
            write(sector, &elements, 1024 + 2 * PAGE_SIZE)?.as_slice(),
            []
        );
        Ok(())
    }

    #[test]
    fn discards_have_no_segments() -> Result {
        let test = TestBio::new(
            kernel::bindings::req_op_REQ_OP_DISCARD,
            0,
            &[(0, PAGE_SIZE)],
            0,
        )?;
        // SAFETY: The first and only call; the submission is dropped before `test`.
        let submission = unsafe { test.submit() };
        // SAFETY: The first and only call.
        let bio = unsafe { submission.bio() };
        assert!(bio.operation() == Operation::Discard);
        assert_eq!(bio.range(), (0, PAGE_SIZE));
        assert_eq!(bio.page_segments().count(), 0);
        let bio = bio.into_single_page();
        assert!(bio.is_err());
        assert_eq!(test.completed(), 0);
        drop(submission);
        assert_eq!((test.completed(), test.status()), (1, 0));
        Ok(())
    }

    #[test]
    fn the_last_completion_completes_the_bio() -> Result {
        let elements = [(0, 2 * PAGE_SIZE)];
        let test = TestBio::new(kernel::bindings::req_op_REQ_OP_READ, 0, &elements, 0)?;
        // SAFETY: The first and only call; all that is made of the bio is dropped before `test`.
        let submission = unsafe { test.submit() };
        // SAFETY: The first and only call.
        let bio = unsafe { submission.bio() };
        let Err(bio) = bio.into_single_page() else {
            return Err(EINVAL);
        };
        let mut completions = KVec::new();
        for segment in bio.page_segments() {
            completions.push(segment.completion(), GFP_KERNEL)?;
        }
        drop(submission);
        assert_eq!(completions.len(), 2);
        assert_eq!(test.completed(), 0);
        let mut last = completions.pop().ok_or(EINVAL)?;
        assert_eq!((last.segment().index, last.segment().len), (1, PAGE));
        drop(completions);
        assert_eq!((test.completed(), test.status()), (0, 0));
        // Block devices have no such error.
        last.fail(ENOENT);
        drop(last);
        assert_eq!(test.completed(), 1);
        assert_eq!(test.status(), bindings::ZRAM_RS_BLK_STS_IOERR);
        Ok(())
    }

    #[test]
    fn a_single_page_is_completed_once() -> Result {
        for later in [false, true] {
            // A part of a page, in two pieces.
            let elements = [(0, 512), (0, 512)];
            let test = TestBio::new(kernel::bindings::req_op_REQ_OP_READ, 1, &elements, 0)?;
            // SAFETY: The first and only call; all that is made of the bio is dropped before
            // `test`.
            let submission = unsafe { test.submit() };
            // SAFETY: The first and only call.
            let bio = unsafe { submission.bio() };
            let Ok(mut single) = bio.into_single_page() else {
                return Err(EINVAL);
            };
            let segment = single.segment();
            assert_eq!((segment.index, segment.offset, segment.len), (0, 512, 1024));
            if later {
                assert!(!test.is_outlived.load(Relaxed));
                let completion = single.into_completion();
                assert_eq!(test.completed(), 0);
                assert!(test.is_outlived.load(Relaxed));
                drop(completion);
                assert_eq!((test.completed(), test.status()), (1, 0));
                drop(submission);
                assert_eq!(test.completed(), 1);
            } else {
                single.fail();
                assert_eq!(test.completed(), 0);
                drop(submission);
                assert_eq!(test.completed(), 1);
                assert!(!test.is_outlived.load(Relaxed));
                assert_eq!(test.status(), bindings::ZRAM_RS_BLK_STS_IOERR);
            }
        }
        Ok(())
    }
}
