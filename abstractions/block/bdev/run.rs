// SPDX-License-Identifier: GPL-2.0

//! Reads of several pages from a block device with one request.

use super::{
    read::{
        AfterWork,
        PageRead,
        ReadDevice, //
    },
    result_of,
    sector, //
};
use crate::abstractions::{
    alloc::Gfp,
    block::gendisk::QueueRef,
    sched::is_preemptible_task, //
};
use core::{
    mem,
    ptr::NonNull, //
};
use kernel::{
    container_of,
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// Reads of pages that lie one behind the other on a device, which one request reads.
///
/// A run is made of free memory only: without any, its user reads each page by itself. If the
/// device fails the request, a worker reads each page again by itself, in the memory of the run, so
/// that the reads of a page fail only if the device cannot read that page.
///
/// # Invariants
///
/// - `vecs` has as many elements as `reads` has room for, at least one and at most
///   [`MAX`](Self::MAX).
/// - Bit `i` of `leaders` tells whether read `i` is the first of those of its page of the device;
///   the bit of the first read is set. `pages` is the number of these bits, and not higher than the
///   number of reads.
/// - `device` points to the device that [`PageRead::device`] returned for the data that `disk`
///   gives access to.
/// - From the submission of `bio` to its completion only the device uses the run, and while `work`
///   is queued only the worker does.
///
/// # Examples
///
/// See [`ReadDevice`] for `MyRead`.
#[pin_data]
pub(crate) struct ReadRun<R: PageRead> {
    #[pin]
    work: Opaque<kernel::bindings::work_struct>,
    #[pin]
    bio: Opaque<kernel::bindings::bio>,
    vecs: KVec<kernel::bindings::bio_vec>,
    reads: KVec<R>,
    leaders: u32,
    /// The first page of the device.
    from: usize,
    /// The number of pages of the device.
    pages: usize,
    /// Whether the user submits more runs for the same bio.
    more: bool,
    device: NonNull<ReadDevice<R>>,
    disk: QueueRef<R::Ready>,
}

impl<R: PageRead> ReadRun<R> {
    /// Maximum number of reads.
    pub(crate) const MAX: usize = u32::BITS as usize;

    /// Creates a run with room for so many reads, from page `from` of the disk's device on.
    ///
    /// # Context
    ///
    /// Any context but hard interrupts; does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory; `EIO`: the disk has no device.
    pub(crate) fn new(
        disk: QueueRef<R::Ready>,
        from: usize,
        room: usize,
    ) -> Result<Pin<KBox<Self>>> {
        let flags = Gfp::NOWAIT.for_collections();
        let room = room.clamp(1, Self::MAX);
        let device = NonNull::from(R::device(&disk).ok_or(EIO)?);
        let mut vecs = KVec::with_capacity(room, flags)?;
        for _ in 0..room {
            vecs.push(pin_init::zeroed(), flags)?;
        }
        let reads = KVec::with_capacity(room, flags)?;
        // INVARIANT: `vecs` has `room` elements, there is no read, and the run is not submitted.
        KBox::try_pin_init(
            try_pin_init!(Self {
                work <- Opaque::zeroed(),
                bio <- Opaque::zeroed(),
                vecs,
                reads,
                leaders: 0,
                from,
                pages: 0,
                more: false,
                device,
                disk,
            }),
            flags,
        )
    }

    /// Adds a read of the page of the device that follows those of the run.
    ///
    /// Its [work](PageRead::work) must end with [`AfterWork::Done`]; otherwise the read fails with
    /// `EIO`.
    ///
    /// # Errors
    ///
    /// There is no room, or no page to read into: returns the read.
    pub(crate) fn push(self: Pin<&mut Self>, read: R) -> Result<(), R> {
        if read.page().is_none() {
            return Err(read);
        }
        let this = self.project();
        let bit = 1u32.checked_shl(this.reads.len() as u32).unwrap_or(0);
        // A vector may have room for more than it was asked for.
        if this.reads.len() >= this.vecs.len() {
            return Err(read);
        }
        this.reads
            .push_within_capacity(read)
            .map_err(|error| error.0)?;
        // INVARIANT: The new read is the first of another page.
        *this.leaders |= bit;
        *this.pages += 1;
        Ok(())
    }

    /// Adds a read of the same page of the device as the read before it, which lends the memory
    /// that the page is read into.
    ///
    /// # Errors
    ///
    /// There is no room, or no read before it: returns the read.
    pub(crate) fn push_sharing(self: Pin<&mut Self>, read: R) -> Result<(), R> {
        let this = self.project();
        if this.reads.is_empty() || this.reads.len() >= this.vecs.len() {
            return Err(read);
        }
        // INVARIANT: The new read is not the first of its page, so it has no bit.
        this.reads
            .push_within_capacity(read)
            .map_err(|error| error.0)
    }

    /// Submits the request. With `more`, others follow for the same bio.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    pub(crate) fn submit(run: Pin<KBox<Self>>, more: bool) {
        // SAFETY: The run is not moved: it stays in the same allocation.
        let run = KBox::into_raw(unsafe { Pin::into_inner_unchecked(run) });
        // SAFETY: The run is valid, not submitted, and this function owns it.
        unsafe {
            let pages = (*run).pages;
            (*run).more = more;
            Self::start(run, 0, (*run).from, pages, Self::end_io);
        }
    }

    /// Submits a request to read `pages` pages of the device from page `from` on into the pages of
    /// the reads from `first` on.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    ///
    /// # Safety
    ///
    /// `run` must be valid and not submitted. The caller must own it, and must not use it after the
    /// call. `end_io` must be a function for the completion of the bio of a run.
    unsafe fn start(
        run: *mut Self,
        first: usize,
        from: usize,
        pages: usize,
        end_io: unsafe extern "C" fn(*mut kernel::bindings::bio),
    ) {
        // SAFETY: By the safety requirements this function owns the run until it is submitted.
        let this = unsafe { &mut *run };
        let bio = this.bio.get();
        let leaders = this.leaders >> first;
        let reads = this.reads.get(first..).unwrap_or_default();
        let flags = reads
            .first()
            .map_or(0, |read| read.completion().inherited_flags());
        let bdev = this.device().device().bdev.as_ptr();
        // SAFETY: The run is pinned and not submitted. The device stays open as long as the run
        // refers to the disk. The vectors stay in the run, as do the reads, whose pages are valid
        // that long.
        unsafe {
            kernel::bindings::bio_init(
                bio,
                bdev,
                this.vecs.as_mut_ptr(),
                this.vecs.len() as u16,
                kernel::bindings::req_op_REQ_OP_READ | flags,
            );
            (*bio).bi_iter.bi_sector = sector(from);
            (*bio).bi_end_io = Some(end_io);
        }
        let leading = (reads.iter().enumerate())
            .filter(|(i, _)| leaders >> i & 1 != 0)
            .take(pages);
        let mut added = 0;
        for page in leading.map_while(|(_, read)| read.page()) {
            // SAFETY: The bio is initialised, and has as many vectors as there are reads.
            unsafe { kernel::bindings::__bio_add_page(bio, page.as_ptr(), PAGE_SIZE as c_uint, 0) };
            added += 1;
        }
        if added == 0 || added != pages {
            // SAFETY: The bio is initialised, and this function owns the run.
            unsafe {
                (*bio).bi_status = crate::bindings::ZRAM_RS_BLK_STS_IOERR;
                kernel::bindings::bio_endio(bio);
            }
            return;
        }
        // SAFETY: The bio is set up. `end_io` gets the run, which is not used after this call.
        unsafe { kernel::bindings::submit_bio(bio) };
    }

    /// Returns the run that contains a bio.
    ///
    /// # Safety
    ///
    /// `bio` must be the bio of a run.
    unsafe fn of_bio(bio: *mut kernel::bindings::bio) -> *mut Self {
        let bio = Opaque::cast_from(bio).cast_mut();
        // SAFETY: By the safety requirements the bio is a field of a run.
        unsafe { container_of!(bio, Self, bio) }
    }

    /// Ends the reads of a run, or queues the work. The `bi_end_io` of a request of all pages.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// `bio` must be the bio of a run that [`start`](Self::start) was called for, and which the
    /// device does not use any more.
    unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
        // SAFETY: By the safety requirements this function owns the run of the bio.
        let (run, result) = unsafe { (Self::of_bio(bio), result_of((*bio).bi_status)) };
        if result.is_err() {
            // SAFETY: This function owns the run, and does not use it after this call.
            return unsafe { Self::queue_work(run, Self::work_after_failure) };
        }
        // SAFETY: This function owns the run.
        let this = unsafe { &mut *run };
        let shared = this.pages != this.reads.len();
        let done = if !shared && !this.reads.iter().any(PageRead::needs_work) {
            for read in mem::take(&mut this.reads) {
                read.finish(&this.disk, Ok(()));
            }
            true
        } else if is_preemptible_task() && !this.is_for_worker() {
            this.end_pages(true)
        } else {
            false
        };
        if done {
            // SAFETY: This function owns the run, which came from a box.
            drop(unsafe { KBox::from_raw(run) });
        } else {
            // SAFETY: This function owns the run, and does not use it after this call.
            unsafe { Self::queue_work(run, Self::work) };
        }
    }

    /// Returns the number of reads that there is room for, which does not change.
    fn room(&self) -> usize {
        self.vecs.len()
    }

    /// Returns whether a worker should end the reads, while this task submits more of them.
    fn is_for_worker(&self) -> bool {
        self.more && self.device().has_room_at_workers(self.room())
    }

    /// Returns the device.
    fn device(&self) -> &ReadDevice<R> {
        // SAFETY: By the type invariants the device is part of the data of the disk, which is valid
        // and does not move as long as the run refers to the disk.
        unsafe { self.device.as_ref() }
    }

    /// Queues work of a run.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// `run` must be valid, and its work not queued. The caller must own it, and must not use it
    /// after the call. `function` must be a function for the work of a run, which calls
    /// [`ReadDevice::run_is_done`].
    unsafe fn queue_work(
        run: *mut Self,
        function: unsafe extern "C" fn(*mut kernel::bindings::work_struct),
    ) {
        // SAFETY: By the safety requirements the run is valid, and its work is not queued. It is
        // valid until its function is called.
        unsafe {
            kernel::bindings::init_work_with_key(
                (*run).work.get(),
                Some(function),
                false,
                c"zram_rs run".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            (*run).device().queue_run((*run).room(), (*run).work.get());
        }
    }

    /// Returns the run whose work a worker runs.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a run.
    unsafe fn of_work(work: *mut kernel::bindings::work_struct) -> *mut Self {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: By the safety requirements the work is a field of a run.
        unsafe { container_of!(work, Self, work) }
    }

    /// Ends all reads. A work function.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a run that [`queue_work`](Self::queue_work) has queued, and a
    /// worker must be running it.
    unsafe extern "C" fn work(work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements this function owns the run, which came from a box.
        let mut run = unsafe { KBox::from_raw(Self::of_work(work)) };
        run.end_pages(false);
        run.device().run_is_done(run.room());
    }

    /// Begins to read each page again by itself. A work function.
    ///
    /// # Safety
    ///
    /// As for [`work`](Self::work).
    unsafe extern "C" fn work_after_failure(work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements this function owns the run, and does not use it after
        // this call.
        unsafe { Self::read_last_page(Self::of_work(work)) };
    }

    /// Reads the last page of a run again, or frees a run without reads. A part of a work function.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    ///
    /// # Safety
    ///
    /// `run` must be valid, not submitted, and come from a box. The caller must own it, and must
    /// not use it after the call.
    unsafe fn read_last_page(run: *mut Self) {
        // SAFETY: By the safety requirements this function owns the run.
        let this = unsafe { &*run };
        this.device().run_is_done(this.room());
        match this.last_leader() {
            Some(last) => {
                let from = this.from + this.pages - 1;
                // SAFETY: This function owns the run, and does not use it after this call.
                unsafe { Self::start(run, last, from, 1, Self::end_io_of_page) };
            }
            // SAFETY: This function owns the run, which came from a box.
            None => drop(unsafe { KBox::from_raw(run) }),
        }
    }

    /// Queues the work of a page that was read again. The `bi_end_io` of a request of one page.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// As for [`end_io`](Self::end_io).
    unsafe extern "C" fn end_io_of_page(bio: *mut kernel::bindings::bio) {
        // SAFETY: By the safety requirements this function owns the run, and does not use it after
        // this call.
        unsafe { Self::queue_work(Self::of_bio(bio), Self::work_of_page) };
    }

    /// Ends the reads of the last page, and reads the page before it again. A work function.
    ///
    /// # Safety
    ///
    /// As for [`work`](Self::work).
    unsafe extern "C" fn work_of_page(work: *mut kernel::bindings::work_struct) {
        // SAFETY: By the safety requirements this function owns the run, whose bio has completed,
        // and does not use it after the last of these calls.
        unsafe {
            let run = Self::of_work(work);
            let result = result_of((*(*run).bio.get()).bi_status);
            (*run).end_last_page(result, false);
            Self::read_last_page(run);
        }
    }

    /// Returns the index of the first read of the last page.
    fn last_leader(&self) -> Option<usize> {
        self.leaders.checked_ilog2().map(|last| last as usize)
    }

    /// Ends all reads, whose pages were read, and returns `true`; or returns `false` if that must
    /// not wait and a read has to.
    fn end_pages(&mut self, at_once: bool) -> bool {
        while self.pages > 0 {
            if !self.end_last_page(Ok(()), at_once) {
                return false;
            }
        }
        true
    }

    /// Ends the reads of the last page with the result of reading it, and returns `true`; or
    /// returns `false` if that must not wait and a read has to.
    ///
    /// The memory that a page was read into belongs to the first of its reads, which ends last.
    fn end_last_page(&mut self, result: Result, at_once: bool) -> bool {
        let Some(last) = self.last_leader() else {
            return true;
        };
        while let Some(read) = self.reads.pop() {
            let shares = self.reads.len() > last;
            let lent = self.reads.get(last).and_then(R::page);
            let disk = &self.disk;
            let kept = match (result, lent) {
                (Err(_), _) => {
                    read.finish(disk, result);
                    None
                }
                (Ok(()), None) if shares => {
                    read.finish(disk, Err(EIO));
                    None
                }
                (Ok(()), _) if !shares && !read.needs_work() => {
                    read.finish(disk, Ok(()));
                    None
                }
                (Ok(()), lent) if at_once => read.work_at_once(lent, disk).err(),
                (Ok(()), Some(page)) => {
                    read.work_sharing(page, disk);
                    None
                }
                (Ok(()), None) => {
                    if let AfterWork::Read(_, read) | AfterWork::Again(read) = read.work(disk) {
                        read.finish(disk, Err(EIO));
                    }
                    None
                }
            };
            if let Some(read) = kept {
                if let Err(error) = self.reads.push_within_capacity(read) {
                    error.0.finish(&self.disk, Err(EIO));
                }
                return false;
            }
            if !shares {
                break;
            }
        }
        // INVARIANT: The reads of the last page are gone.
        self.leaders &= !(1 << last);
        self.pages -= 1;
        true
    }
}
