// SPDX-License-Identifier: GPL-2.0

//! The hot path: reading, writing and discarding one page.
//!
//! A page is compressed before its slot is locked, and what was in the slot is freed after it is
//! unlocked: what happens under the lock is the exchange of the two.

use crate::{
    abstractions::{
        alloc::Gfp,
        bdev::ReadDevice,
        bio::{
            Bio,
            PageSegment,
            SegmentCompletion,
            SinglePageBio, //
        },
        gendisk::QueueEntered,
        page::{
            BouncePage,
            MappedPage,
            Node,
            PageRef, //
        },
        ratelimit::pr_err_ratelimited,
        sched::{
            boottime_seconds,
            check_signals,
            cond_resched, //
        },
    },
    backing::{
        blocks::{
            Block,
            PinnedBlock, //
        },
        read::{
            DeviceRead,
            ReadTarget,
            StoredForm, //
        },
        Backing, //
    },
    comp::{
        AllStreams,
        Priority, //
    },
    slot::{
        Content,
        SlotGuard,
        Table,
        View, //
    },
    stats::{
        Footprint,
        Stats, //
    },
    zspool::{
        Object,
        ObjectRef,
        Pool, //
    },
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The pages of an initialised disk.
#[pin_data]
pub(crate) struct Pages {
    /// What is known of each page.
    #[pin]
    pub(crate) table: Table,
    pub(crate) streams: AllStreams,
    /// What is counted.
    pub(crate) stats: Stats,
    /// How many pages of memory may be used; 0 for any number.
    limit: Atomic<usize>,
    /// Where pages can be written back to.
    backing: Option<Arc<Backing>>,
    /// Whether they are written back as they are in memory.
    compressed: bool,
    /// Whether post-processing is to end.
    stopping: Atomic<bool>,
}

/// How far a read of a page has come.
pub(crate) enum ReadOutcome {
    /// The page was in memory, and the read is done.
    Done,
    /// The page is in this block of the backing device.
    OnDevice(PinnedBlock, StoredForm),
}

impl Pages {
    /// Makes the pages of a disk, all of them empty. May sleep.
    pub(crate) fn new(
        pages: usize,
        pool: Pool,
        streams: AllStreams,
        limit: usize,
        backing: Option<Arc<Backing>>,
        compressed: bool,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- Table::new(pages, pool),
            streams,
            stats: Stats::new(),
            limit: Atomic::new(limit),
            backing,
            compressed,
            stopping: Atomic::new(false),
        })
    }

    /// Returns where objects are. Any context.
    #[inline]
    pub(crate) fn pool(&self) -> &Pool {
        self.table.pool()
    }

    /// Returns the backing device.
    pub(crate) fn backing(&self) -> Option<&Arc<Backing>> {
        self.backing.as_ref()
    }

    /// Fails if a walk through all pages that a task asked for is to end.
    ///
    /// # Context
    ///
    /// Any but NMI. The task is in the system call that asked for the walk.
    ///
    /// # Errors
    ///
    /// `EINTR` if the disk is being reset, and what [`check_signals`] fails with.
    pub(crate) fn check_stop(&self, asker: &Task) -> Result {
        if self.stopping.load(Relaxed) {
            return Err(EINTR);
        }
        check_signals(asker)
    }

    /// Ends what walks through all pages, for ever. It goes on for a moment. Any context.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Sets how many pages of memory may be used; 0 for any number. Any context.
    pub(crate) fn set_limit(&self, pages: usize) {
        self.limit.store(pages, Relaxed);
    }

    /// Reads what a bio asks for. May sleep.
    pub(crate) fn read_bio(this: &QueueEntered<'_, Self>, mut bio: Bio) {
        bio.start_accounting();
        let now = boottime_seconds();
        let mut bio = match bio.into_single_page() {
            Ok(single) => return Self::read_single(this, single, now),
            Err(bio) => bio,
        };
        let result = bio.page_segments().try_for_each(|chunk| {
            if let Some((purpose, block, form)) = Self::read_chunk(this, &chunk, now)? {
                Self::read_back(this, chunk.completion(), purpose, block, form);
            }
            Ok::<(), Error>(())
        });
        if result.is_err() {
            this.stats.failed_reads.add(1);
            bio.fail();
        }
    }

    /// The same for a bio of a single chunk: what is still to be read is all of it, so that nobody
    /// has to count who completes it.
    #[inline(always)]
    fn read_single(this: &QueueEntered<'_, Self>, mut bio: SinglePageBio, now: u32) {
        match Self::read_chunk(this, bio.segment(), now) {
            Ok(None) => (),
            Ok(Some((purpose, block, form))) => {
                Self::read_back(this, bio.into_completion(), purpose, block, form);
            }
            Err(_) => {
                this.stats.failed_reads.add(1);
                bio.fail();
            }
        }
    }

    /// Writes what a bio brings. May sleep.
    pub(crate) fn write_bio(this: &QueueEntered<'_, Self>, bio: &mut Bio) {
        bio.start_accounting();
        let now = boottime_seconds();
        if bio
            .page_segments()
            .try_for_each(|chunk| Self::write_chunk(this, &chunk, now))
            .is_err()
        {
            this.stats.failed_writes.add(1);
            bio.fail();
        }
    }

    /// Frees the pages that lie within the range of a bio; those that it touches only in part keep
    /// what they have. May sleep.
    pub(crate) fn discard_bio(&self, bio: &Bio) {
        let (start, len) = bio.range();
        let end = (start + len as u64) >> PAGE_SHIFT;
        let start = start.div_ceil(PAGE_SIZE as u64);
        for index in start..end {
            if let Some(mut slot) = self.table.lock(index as usize) {
                let old = slot.replace(Content::Empty);
                drop(slot);
                self.free(old);
                self.stats.notify_free.add(1);
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }

    /// Frees a page that swap does not need any more, if it can be done without waiting. Atomic
    /// context.
    pub(crate) fn free_notify(&self, index: usize) {
        self.stats.notify_free.add(1);
        match self.table.try_lock(index) {
            Some(mut slot) => {
                let old = slot.replace(Content::Empty);
                drop(slot);
                self.free(old);
            }
            None => self.stats.miss_free.add(1),
        }
    }

    /// Reads a chunk of a bio, if the page is in memory; otherwise says what is to be read from the
    /// backing device, and what for. May sleep.
    #[inline(always)]
    fn read_chunk(
        this: &Self,
        chunk: &PageSegment<'_>,
        now: u32,
    ) -> Result<Option<(ReadTarget, PinnedBlock, StoredForm)>> {
        if let Some(page) = chunk.whole_page() {
            return Ok(match this.read(chunk.index, page, now)? {
                ReadOutcome::Done => {
                    page.flush_dcache();
                    None
                }
                ReadOutcome::OnDevice(block, form) => Some((ReadTarget::Page, block, form)),
            });
        }
        let bounce = BouncePage::new(Gfp::NOIO)?;
        match this.read(chunk.index, bounce.as_page(), now)? {
            ReadOutcome::Done => {
                let page = bounce.as_page();
                let page = page.map();
                chunk.copy_from(&page).map(|()| None)
            }
            ReadOutcome::OnDevice(block, form) => Ok(Some((ReadTarget::Copy(bounce), block, form))),
        }
    }

    /// Begins to read a page from the backing device, which `part` of a bio is about. May sleep.
    ///
    /// [`readback`](crate::readback) does the rest.
    fn read_back(
        this: &QueueEntered<'_, Self>,
        part: SegmentCompletion,
        purpose: ReadTarget,
        block: PinnedBlock,
        form: StoredForm,
    ) {
        this.stats.bd_reads.add(1);
        ReadDevice::read(
            this.queue_ref(),
            block.number(),
            DeviceRead {
                completion: part,
                target: purpose,
                block,
                form,
            },
        );
    }

    fn write_chunk(this: &QueueEntered<'_, Self>, chunk: &PageSegment<'_>, now: u32) -> Result {
        if let Some(page) = chunk.whole_page() {
            return this.write(chunk.index, page, now);
        }
        let bounce = BouncePage::new(Gfp::NOIO)?;
        if chunk.covers_page() {
            let page = bounce.as_page();
            chunk.copy_to(&page.map())?;
            return this.write(chunk.index, page, now);
        }
        if let ReadOutcome::OnDevice(block, form) = this.write_part(chunk, bounce.as_page(), now)? {
            let purpose = ReadTarget::Merge(bounce);
            Self::read_back(this, chunk.completion(), purpose, block, form);
        }
        Ok(())
    }

    /// Reads a page of the disk, if it is in memory; otherwise says where it is. `now` is the time
    /// of the access, in seconds since boot. May sleep.
    fn read(&self, index: usize, page: PageRef<'_>, now: u32) -> Result<ReadOutcome> {
        Ok(self.read_locked(index, page, now)?.0)
    }

    /// The same, and nobody else changes the page before the guard is dropped.
    #[inline(always)]
    fn read_locked(
        &self,
        index: usize,
        page: PageRef<'_>,
        now: u32,
    ) -> Result<(ReadOutcome, SlotGuard<'_>)> {
        loop {
            let mut slot = self.table.lock(index).ok_or(EIO)?;
            slot.touch(now);
            match slot.view() {
                View::Empty => page.map().fill(0),
                View::Same(word) => page.map().fill(word),
                View::Huge { object } => object.read_page(&page.map()),
                View::Stored { object, priority } => {
                    self.decompress(object, priority, &page.map(), index)?;
                }
                View::WrittenBack {
                    block,
                    size,
                    priority,
                } => {
                    let form = if self.compressed && size < PAGE_SIZE {
                        StoredForm::Compressed {
                            size: size as u32,
                            priority,
                        }
                    } else {
                        StoredForm::Raw
                    };
                    if let Some(block) = self.backing().ok_or(EIO)?.blocks.pin(block) {
                        return Ok((ReadOutcome::OnDevice(block, form), slot));
                    }
                    // More readers want this one page than can be counted. Some will be done soon.
                    drop(slot);
                    fsleep(Delta::from_millis(1));
                    continue;
                }
            }
            return Ok((ReadOutcome::Done, slot));
        }
    }

    /// Decompresses an object into a page. May sleep.
    fn decompress(
        &self,
        object: ObjectRef<'_>,
        priority: Priority,
        page: &MappedPage<'_>,
        index: usize,
    ) -> Result {
        self.streams
            .get(priority)
            .ok_or(EIO)?
            .with(|stream| {
                let (mut decompressor, scratch) = stream.split();
                object.read(scratch, |bytes| decompressor.decompress(bytes, page))
            })
            .inspect_err(|error| {
                // Any user who can write to the disk can make such a page, and read it again and
                // again: see "What is left to trust" in soundness.rst.
                pr_err_ratelimited!("Decompression failed! err={error:?}, page={index}\n");
            })
    }

    /// Decompresses a page that begins with the `size` bytes that it was compressed to. May sleep.
    pub(crate) fn decompress_in_place(
        &self,
        page: &MappedPage<'_>,
        size: usize,
        priority: Priority,
    ) -> Result {
        self.streams.get(priority).ok_or(EIO)?.with(|stream| {
            let (mut decompressor, scratch) = stream.split();
            let bytes = scratch.get_mut(..size).ok_or(EIO)?;
            page.read(bytes);
            decompressor.decompress(bytes, page)
        })
    }

    /// Writes a page of the disk. If that fails, the disk keeps what it has. `now` is the time of
    /// the access, in seconds since boot. May sleep.
    pub(crate) fn write(&self, index: usize, page: PageRef<'_>, now: u32) -> Result {
        let node = page.node();
        let page = page.map();
        let content = match self.shrink(&page, node)? {
            Some(content) => content,
            None if self.rewrite_huge(index, &page, now) => return Ok(()),
            None => self.keep_whole(&page, node)?,
        };
        let slot = self.table.lock(index).ok_or(EIO)?;
        self.put(slot, content, now);
        Ok(())
    }

    /// Puts something into a slot that is locked, in the place of what was there.
    #[inline(always)]
    fn put(&self, mut slot: SlotGuard<'_>, content: Content<'_>, now: u32) {
        let new = content.footprint();
        let old = slot.replace(content);
        slot.touch(now);
        self.stats.count(old.footprint(), new);
        drop(slot);
        self.dispose(old);
    }

    /// Puts a page that cannot be compressed in the place of another such one, if that is what the
    /// slot has; otherwise returns `false`. May sleep.
    fn rewrite_huge(&self, index: usize, page: &MappedPage<'_>, now: u32) -> bool {
        // Where memory is limited, a page that is written takes memory before it gives any back.
        if self.limit.load(Relaxed) != 0 {
            return false;
        }
        let Some(mut slot) = self.table.lock(index).filter(SlotGuard::is_huge) else {
            return false;
        };
        let mut content = slot.replace(Content::Empty);
        if let Content::Huge { object } = &mut content {
            object.write_page(page);
        }
        // Of an empty slot nothing is to be freed.
        let _ = slot.replace(content);
        slot.touch(now);
        drop(slot);
        self.stats.count(Footprint::HUGE, Footprint::HUGE);
        // As if there had been both for a moment, which is how C zram counts.
        self.stats.note_used_pages(self.pool().pages() + 1);
        true
    }

    /// Writes a part of a page, put together in `page`, if the rest of it is in memory; otherwise
    /// says where that is. If that fails, the disk keeps what it has. May sleep.
    ///
    /// Others who write to parts of the page at the same time come before that or after it: the
    /// slot is locked from reading the page to replacing it.
    pub(crate) fn write_part(
        &self,
        chunk: &PageSegment<'_>,
        page: PageRef<'_>,
        now: u32,
    ) -> Result<ReadOutcome> {
        let (found, slot) = self.read_locked(chunk.index, page, now)?;
        if let ReadOutcome::Done = found {
            let node = page.node();
            let page = page.map();
            chunk.copy_to(&page)?;
            self.put(slot, self.compress(&page, node)?, now);
        }
        Ok(found)
    }

    /// Writes a page that has been put together of a part and what is in `block`. Returns `false`
    /// if the page is not there any more. If that fails, the disk keeps what it has. May sleep.
    ///
    /// The block must be pinned since the slot was seen to have it: nobody can have put another
    /// page there since.
    pub(crate) fn write_merged(
        &self,
        index: usize,
        page: PageRef<'_>,
        block: &PinnedBlock,
        now: u32,
    ) -> Result<bool> {
        let content = self.compress(&page.map(), page.node())?;
        let slot = self
            .table
            .lock(index)
            .filter(|slot| slot.is_in(block.number()));
        let Some(slot) = slot else { return Ok(false) };
        self.put(slot, content, now);
        Ok(true)
    }

    /// Marks pages in memory as idle: all of them, or those that were not used since `cutoff`, in
    /// seconds since boot, while the others become used.
    ///
    /// # Context
    ///
    /// That of a system call, which returns the error. May sleep, for long.
    ///
    /// # Errors
    ///
    /// What [`check_stop`](Self::check_stop) fails with.
    pub(crate) fn mark_idle(&self, cutoff: Option<u32>) -> Result {
        let mut result = Ok(());
        self.table.for_each(0..self.table.len(), |index, mut slot| {
            if slot.object_size().is_some() {
                let idle = cutoff.is_none_or(|cutoff| cutoff > slot.last_access());
                slot.set_idle(idle);
            }
            if index % 1024 == 0 {
                result = self.check_stop(kernel::current!());
            }
            result.is_ok()
        });
        result
    }

    /// Copies a page that was selected for writeback to where it is written from, compressed if
    /// that is how pages are written back.
    ///
    /// Returns `false` if the page is not selected any more. If copying fails, it is not any more
    /// after that. May sleep.
    pub(crate) fn copy_for_writeback(&self, index: usize, page: PageRef<'_>) -> Result<bool> {
        let Some(mut slot) = self.table.lock(index).filter(SlotGuard::is_selected) else {
            return Ok(false);
        };
        let page = page.map();
        let result = match slot.view() {
            View::Stored { object, .. } if self.compressed => {
                object.read_page(&page);
                Ok(true)
            }
            _ => self.read_object(&slot, index, &page),
        };
        if !matches!(result, Ok(true)) {
            slot.set_selected(false);
        }
        result
    }

    /// Copies a page that is in memory and not same-filled, decompressed; returns `false` if it is
    /// not so. May sleep.
    pub(crate) fn read_object(
        &self,
        slot: &SlotGuard<'_>,
        index: usize,
        page: &MappedPage<'_>,
    ) -> Result<bool> {
        match slot.view() {
            View::Huge { object } => object.read_page(page),
            View::Stored { object, priority } => self.decompress(object, priority, page, index)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Puts the block that a page was written to in the place of the object in memory, unless the
    /// page is not selected any more. That it was written is counted by the caller, for all of a
    /// request at once. May sleep.
    pub(crate) fn written_back(&self, index: usize, block: Block, backing: &Backing) {
        let Some(mut slot) = self.table.lock(index).filter(SlotGuard::is_selected) else {
            backing.blocks.release(block);
            return;
        };
        match slot.write_back(block) {
            Ok(old) => {
                self.stats.count(old.footprint(), Footprint::ON_DEVICE);
                drop(slot);
                self.dispose(old);
            }
            Err(block) => {
                slot.set_selected(false);
                drop(slot);
                backing.blocks.release(block);
            }
        }
    }

    /// Returns whether a page was selected, and not used or freed since. May sleep.
    pub(crate) fn is_selected(&self, index: usize) -> bool {
        self.table
            .lock(index)
            .is_some_and(|slot| slot.is_selected())
    }

    /// Takes a page out of the selection. May sleep.
    pub(crate) fn deselect(&self, index: usize) {
        if let Some(mut slot) = self.table.lock(index) {
            slot.set_selected(false);
        }
    }

    /// Makes of a page what a slot can hold. May sleep.
    fn compress(&self, page: &MappedPage<'_>, node: Node) -> Result<Content<'_>> {
        match self.shrink(page, node)? {
            Some(content) => Ok(content),
            None => self.keep_whole(page, node),
        }
    }

    /// Makes of a page what a slot can hold, or returns `None` if the page cannot be compressed to
    /// good use. May sleep.
    #[inline(always)]
    fn shrink(&self, page: &MappedPage<'_>, node: Node) -> Result<Option<Content<'_>>> {
        if let Some(word) = page.same_filled() {
            return Ok(Some(Content::Same(word)));
        }
        let streams = self.streams.get(Priority::PRIMARY).ok_or(EIO)?;
        streams.with(|stream| {
            let Some(bytes) = stream.compress(page, self.pool().huge_size())? else {
                return Ok(None);
            };
            let mut object = self.alloc(bytes.len(), node)?;
            object.write(bytes);
            Ok(Some(Content::Stored {
                object,
                priority: Priority::PRIMARY,
            }))
        })
    }

    /// Keeps a page as it is. May sleep.
    fn keep_whole(&self, page: &MappedPage<'_>, node: Node) -> Result<Content<'_>> {
        let mut object = self.alloc(PAGE_SIZE, node)?;
        object.write_page(page);
        Ok(Content::Huge { object })
    }

    /// Allocates an object, unless the memory that may be used is used up.
    fn alloc(&self, size: usize, node: Node) -> Result<Object<'_>> {
        let object = self.pool().alloc(size, node, Gfp::NOIO)?;
        let used = self.pool().pages();
        self.stats.note_used_pages(used);
        let limit = self.limit.load(Relaxed);
        if limit != 0 && used > limit {
            return Err(ENOMEM);
        }
        Ok(object)
    }

    /// Frees what was taken out of a slot. Any context but interrupts.
    pub(crate) fn free(&self, content: Content<'_>) {
        self.stats.count(content.footprint(), Footprint::EMPTY);
        self.dispose(content);
    }

    /// Frees what was taken out of a slot and is not counted any more. Any context but interrupts.
    pub(crate) fn dispose(&self, content: Content<'_>) {
        // An object frees itself.
        if let Content::WrittenBack { block, .. } = content {
            if let Some(backing) = self.backing() {
                backing.blocks.release(block);
            }
        }
    }
}
