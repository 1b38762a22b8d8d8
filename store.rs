// SPDX-License-Identifier: GPL-2.0

//! The data of an initialised disk, and what a slot of it can hold.

use crate::{
    abstractions::{
        alloc::{
            pages::PagePool,
            Gfp, //
        },
        helpers::Helpers,
        page::{
            MappedPage,
            Node, //
        },
        ratelimit::pr_err_ratelimited,
        sched::{
            check_signals,
            totalram_pages, //
        },
        tracepoint, //
    },
    backing::{
        blocks::PinnedBlock,
        read::StoredForm,
        share::{
            Location,
            Share,
            Sharing, //
        },
        Backing, //
    },
    comp::{
        AllStreams,
        Priority,
        Stream, //
    },
    events::Events,
    gauges::Gauges,
    slot::{
        Content,
        SlotGuard,
        Table,
        UnusedSlots,
        View, //
    },
    stats::Stats,
    zspool::{
        Object,
        ObjectRef,
        Pool, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SetOnce, //
    },
    task::Task,
};

/// Number of bounce pages in reserve: so many reads of packed pages can be in flight without any
/// free memory.
const BOUNCE_RESERVE: usize = if cfg!(zram_rs_small_blocks) { 1 } else { 64 };

/// The number of the next store.
static NEXT: Atomic<u64> = Atomic::new(0);

/// What applies while no page is on a backing device.
static EXCLUSIVE: Sharing = Sharing::exclusive();

/// A backing device in use, with what its pages need.
struct Attached {
    backing: Arc<Backing>,
    /// How pages share the blocks of the backing device.
    sharing: Sharing,
    /// The pages that packed blocks are read to.
    bounces: Option<Arc<PagePool>>,
}

/// The data of an initialised disk: its slots, the pool of their objects, and what it takes to fill
/// them.
///
/// # Context
///
/// Methods may sleep unless they say otherwise.
#[pin_data]
pub(crate) struct Store {
    /// The slot of each page.
    #[pin]
    pub(crate) table: Table,
    /// The compression streams of each algorithm.
    pub(crate) streams: AllStreams,
    /// The counters of the disk.
    pub(crate) stats: Stats,
    /// Maximum number of pages that the pool may use; 0 for no maximum.
    limit: Atomic<usize>,
    /// The backing device, from when on the disk has one.
    attached: SetOnce<Attached>,
    /// Whether compressed pages are stored compressed on the backing device.
    compressed_writeback: bool,
    /// Whether they share blocks there.
    packed_writeback: bool,
    /// The workers that help with large bios.
    pub(crate) helpers: Arc<Helpers>,
    /// Whether post-processing has been asked to stop.
    stopping: Atomic<bool>,
    /// The number of the store: no two have the same.
    number: u64,
    #[pin]
    gauges: Gauges,
}

/// What a store compresses with, and where it keeps the result.
pub(crate) struct Parts {
    /// The pool of the objects.
    pub(crate) pool: Pool,
    /// The compression streams of each algorithm.
    pub(crate) streams: AllStreams,
    /// The workers that help with large bios.
    pub(crate) helpers: Arc<Helpers>,
    /// The events of the disk.
    pub(crate) events: Arc<Events>,
}

impl Store {
    /// Creates the data of a disk of `pages` pages, all of which are empty, without a limit and
    /// without a backing device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if `pages` is 0.
    pub(crate) fn new(
        pages: usize,
        parts: Parts,
        compressed_writeback: bool,
        packed_writeback: bool,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- Table::new(pages, parts.pool),
            streams: parts.streams,
            stats: Stats::new(),
            limit: Atomic::new(0),
            attached: SetOnce::new(),
            // A page that is not compressed has no room beside another.
            compressed_writeback: compressed_writeback || packed_writeback,
            packed_writeback,
            helpers: parts.helpers,
            stopping: Atomic::new(false),
            number: NEXT.fetch_add(1, Relaxed),
            gauges <- Gauges::new(parts.events),
        })
    }

    /// Returns the slots of a store that nothing else uses. Any context.
    pub(crate) fn unused_slots(self: Pin<&mut Self>) -> UnusedSlots<'_> {
        self.project().table.unused()
    }

    /// Returns the pool of the objects in the slots. Any context.
    #[inline]
    pub(crate) fn pool(&self) -> &Pool {
        self.table.pool()
    }

    /// Gives the disk a backing device.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk has one.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn attach(&self, backing: Arc<Backing>) -> Result {
        let (sharing, bounces) = match self.packed_writeback {
            true => (
                Sharing::packed(backing.blocks.len())?,
                Some(Arc::new(PagePool::new(BOUNCE_RESERVE)?, GFP_KERNEL)?),
            ),
            false => (Sharing::exclusive(), None),
        };
        let attached = Attached {
            backing,
            sharing,
            bounces,
        };
        match self.attached.populate(attached) {
            true => Ok(()),
            false => Err(EBUSY),
        }
    }

    /// Returns the events of the disk. Any context.
    #[inline]
    pub(crate) fn events(&self) -> &Events {
        self.gauges.events()
    }

    /// Returns the backing device, if the disk has one. Any context.
    #[inline]
    pub(crate) fn backing(&self) -> Option<&Arc<Backing>> {
        self.attached.as_ref().map(|attached| &attached.backing)
    }

    /// Returns how pages share the blocks of the backing device. Any context.
    #[inline]
    pub(crate) fn sharing(&self) -> &Sharing {
        self.attached
            .as_ref()
            .map_or(&EXCLUSIVE, |attached| &attached.sharing)
    }

    /// Returns the pages that packed blocks are read to, if there are any. Any context.
    #[inline]
    pub(crate) fn bounces(&self) -> Option<&Arc<PagePool>> {
        self.attached.as_ref()?.bounces.as_ref()
    }

    /// Returns whether the backing device stores a page compressed that takes `size` bytes of
    /// memory. Any context.
    #[inline]
    pub(crate) fn stores_compressed(&self, size: usize) -> bool {
        self.compressed_writeback && size < PAGE_SIZE
    }

    /// Returns the form of the page at `location`, which the algorithm of `priority` compressed in
    /// memory. Any context.
    #[inline]
    pub(crate) fn stored_form(&self, location: Location, priority: Priority) -> StoredForm {
        if self.stores_compressed(location.size()) {
            StoredForm::Compressed {
                offset: location.offset() as u32,
                size: location.size() as u32,
                priority,
            }
        } else {
            StoredForm::Raw
        }
    }

    /// Returns the number of the store, which no other one has. Any context.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Permanently asks post-processing to stop; does not wait for it. Any context.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Checks whether post-processing that `submitter` asked for must stop.
    ///
    /// # Context
    ///
    /// Any context but NMI. `submitter` is in the system call that asked for it.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the disk is being reset.
    /// - Those of [`check_signals`].
    pub(crate) fn check_stop(&self, submitter: &Task) -> Result {
        if self.stopping.load(Relaxed) {
            return Err(EINTR);
        }
        check_signals(submitter)
    }

    /// Sets the maximum number of pages that the pool may use; 0 for no maximum. Any context.
    pub(crate) fn set_limit(&self, pages: usize) {
        self.limit.store(pages, Relaxed);
        self.apply_marks(true);
    }

    /// Applies the limit and the marks of the disk, which are `new` if the user has just set them.
    /// Any context but interrupts.
    pub(crate) fn apply_marks(&self, new: bool) {
        let limit = self.limit();
        let whole = limit.unwrap_or_else(totalram_pages);
        let mark = self.events().marks().memory(whole);
        self.gauges
            .set_bounds(limit, mark, self.pool().pages(), new);
        self.is_device_above();
    }

    /// Compares the memory in use with its mark, and returns whether it is above it. Any context
    /// but interrupts.
    pub(crate) fn is_memory_above(&self) -> bool {
        self.gauges.is_memory_above(self.pool().pages())
    }

    /// Compares the blocks in use of the backing device with their mark, and returns whether they
    /// are above it. Any context but interrupts.
    pub(crate) fn is_device_above(&self) -> bool {
        let all = self.backing().map_or(0, |backing| backing.blocks.len());
        (self.gauges).is_device_above(|| self.blocks_in_use(), all)
    }

    /// Returns the maximum number of pages that the pool may use, if there is one. Any context.
    pub(crate) fn limit(&self) -> Option<usize> {
        Some(self.limit.load(Relaxed)).filter(|&limit| limit != 0)
    }

    /// Returns whether the pool may use a limited number of pages. Any context.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.load(Relaxed) != 0
    }

    /// Returns whether the pool can reach its limit while so many pages are written. Any context.
    pub(crate) fn is_near_limit(&self, pages: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        limit != 0 && self.pool().pages().saturating_add(pages * Pool::MAX_GROWTH) > limit
    }

    /// Compresses a page to what a slot can hold.
    ///
    /// # Errors
    ///
    /// Those of [`shrink`](Self::shrink) and [`keep_whole`](Self::keep_whole).
    pub(crate) fn compress(&self, page: &MappedPage<'_>, node: Node) -> Result<Content<'_>> {
        match self.shrink(page, node, Gfp::NOIO, false)? {
            Some(content) => Ok(content),
            None => self.keep_whole(page, node, Gfp::NOIO),
        }
    }

    /// Compresses a page to what a slot can hold, or returns `None` if the result would take as
    /// much memory as the page. Takes the memory that `gfp` finds; `at_once`, waits for no stream.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`, with `at_once`: another task has the stream.
    /// - `ENOMEM`: there is no memory for the object.
    /// - `ENOSPC`: the limit is reached.
    /// - Those of the algorithm.
    #[inline(always)]
    pub(crate) fn shrink(
        &self,
        page: &MappedPage<'_>,
        node: Node,
        gfp: Gfp,
        at_once: bool,
    ) -> Result<Option<Content<'_>>> {
        if let Some(word) = page.same_filled() {
            return Ok(Some(Content::Same(word)));
        }
        let streams = self.streams.get(Priority::PRIMARY).ok_or(EIO)?;
        streams.with_at_once(at_once, |stream| {
            let Some(bytes) = stream.compress(page, self.pool().huge_size())? else {
                return Ok(None);
            };
            let mut object = self.alloc(bytes.len(), node, gfp)?;
            object.write(bytes);
            Ok(Some(Content::Stored {
                object,
                priority: Priority::PRIMARY,
            }))
        })
    }

    /// Copies a page to an object of the same size, in memory that `gfp` finds.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the object.
    /// - `ENOSPC`: the limit is reached.
    #[inline(always)]
    pub(crate) fn keep_whole(
        &self,
        page: &MappedPage<'_>,
        node: Node,
        gfp: Gfp,
    ) -> Result<Content<'_>> {
        let mut object = self.alloc(PAGE_SIZE, node, gfp)?;
        object.write_page(page, 0);
        Ok(Content::Huge { object })
    }

    /// Allocates an object within the limit.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - `ENOSPC`: the limit is reached.
    fn alloc(&self, size: usize, node: Node, gfp: Gfp) -> Result<Object<'_>> {
        let object = self.pool().alloc(size, node, gfp)?;
        let used = self.pool().pages();
        self.stats.note_used_pages(used);
        if !self.gauges.allow(used) {
            return Err(ENOSPC);
        }
        Ok(object)
    }

    /// Decompresses an object into a page; `at_once`, waits for no stream.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`, with `at_once`: another task has the stream.
    /// - `EINVAL` as a rule: the object is not a compressed page.
    #[inline]
    pub(crate) fn decompress(
        &self,
        object: ObjectRef<'_>,
        priority: Priority,
        page: &MappedPage<'_>,
        index: usize,
        at_once: bool,
    ) -> Result {
        self.streams
            .get(priority)
            .ok_or(EIO)?
            .with_at_once(at_once, |stream| {
                let (mut decompressor, scratch) = stream.split();
                object.read(scratch, |bytes| decompressor.decompress(bytes, page))
            })
            .inspect_err(|&error| {
                // Any user who can write to the disk can make such a page, and read it again and
                // again: see "What is left to trust" in soundness.rst.
                if error != EAGAIN {
                    pr_err_ratelimited!("Decompression failed! err={error:?}, page={index}\n");
                }
            })
    }

    /// Decompresses to `page` what lies in `block`, which may be the same memory: `size` bytes from
    /// byte `offset` on. Returns `false` if that must be done `at_once` and another task has the
    /// stream.
    ///
    /// # Context
    ///
    /// May sleep. With `at_once`: a task, and does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` as a rule: they are not a compressed page. `EIO`: they are not within the block.
    pub(crate) fn decompress_from(
        &self,
        block: &MappedPage<'_>,
        offset: usize,
        size: usize,
        priority: Priority,
        page: &MappedPage<'_>,
        at_once: bool,
    ) -> Result<bool> {
        let streams = self.streams.get(priority).ok_or(EIO)?;
        let decompress = |stream: &mut Stream| {
            let (mut decompressor, scratch) = stream.split();
            let bytes = scratch.get_mut(..size).ok_or(EIO)?;
            if offset + size > PAGE_SIZE {
                return Err(EIO);
            }
            block.read(offset, bytes);
            decompressor.decompress(bytes, page)
        };
        match at_once {
            true => streams
                .try_with(decompress)
                .transpose()
                .map(|done| done.is_some()),
            false => streams.with(decompress).map(|()| true),
        }
    }

    /// Copies the page of a slot into `page`, decompressed, and returns `true`; or returns `false`
    /// if the slot has no object.
    ///
    /// # Errors
    ///
    /// Those of [`decompress`](Self::decompress).
    pub(crate) fn read_object(
        &self,
        slot: &SlotGuard<'_>,
        index: usize,
        page: &MappedPage<'_>,
    ) -> Result<bool> {
        match slot.view() {
            View::Huge { object } => object.read_page(page),
            View::Stored { object, priority } => {
                self.decompress(object, priority, page, index, false)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Replaces the content of a slot by that of a page written at `now`, in seconds since boot.
    #[inline(always)]
    pub(crate) fn put(&self, mut slot: SlotGuard<'_>, content: Content<'_>, now: u32) {
        let new = content.footprint();
        tracepoint::slot_write(|| (self.events().dev(), slot.index(), new.bytes()));
        let old = slot.replace(content);
        slot.touch(now);
        self.stats.count(old.footprint(), new);
        drop(slot);
        self.dispose(old);
    }

    /// Frees the content of a slot that is empty now. Any context but interrupts.
    #[inline]
    pub(crate) fn free(&self, content: Content<'_>) {
        self.stats.count_freed(content.footprint());
        self.dispose(content);
    }

    /// Frees the content of a slot that the statistics do not count any more. Any context but
    /// interrupts.
    pub(crate) fn dispose(&self, content: Content<'_>) {
        // An object frees itself.
        if let Content::WrittenBack { share, .. } = content {
            self.release_share(share);
        }
    }

    /// Unpins a block of the backing device. Any context.
    pub(crate) fn unpin(&self, block: PinnedBlock) {
        if let Some(backing) = self.backing() {
            backing.blocks.unpin(block);
        }
    }

    /// Returns the number of blocks of the backing device that have an owner. Any context.
    pub(crate) fn blocks_in_use(&self) -> usize {
        match self.backing() {
            // Without packing, each page has a block; the counter leaves out those that writeback
            // has reserved for pages that it still copies.
            Some(backing) if self.sharing().is_packed() => {
                backing.blocks.len() - backing.blocks.without_owner()
            }
            _ => self.stats.bd_count.get() as usize,
        }
    }

    /// Releases a share of a block of the backing device. Any context.
    pub(crate) fn release_share(&self, share: Share) {
        if let (Some(block), Some(backing)) = (self.sharing().release(share), self.backing()) {
            backing.blocks.release(block);
        }
    }
}
