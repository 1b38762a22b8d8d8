// SPDX-License-Identifier: GPL-2.0

//! Compaction of the backing device: packs blocks anew that are not full.
//!
//! Compaction walks the slot table once, after the [plan] has. It reads the pages that are worth
//! moving back into memory, a group at a time, and writes each group back like any other pages
//! before it reads the next one. So at no time is a page in two places, and what ends a compaction
//! early leaves at most one group of pages in memory.
//!
//! A worker compacts in slices of one group, of some slots each, and without a plan: it moves the
//! pages of blocks of which at most half is live.

use super::{
    budget::Budget,
    engine::{
        Engine,
        Job,
        Quota,
        Role, //
    },
    group::{
        SetAside,
        REQUESTS, //
    },
    packer::Packer,
    plan, //
};
use crate::{
    abstractions::{
        alloc::Gfp,
        block::bdev::{
            WriteRequest,
            Writer, //
        },
        page::Node,
        sched::{
            cond_resched,
            totalram_pages, //
        },
    },
    backing::{
        blocks::PinnedBlock,
        share::{
            Location,
            HALF, //
        },
        Backing, //
    },
    select::Sorter,
    slot::View,
    stats::Footprint,
    store::Store, //
};
use core::ops::Range;
use kernel::prelude::*;

/// Maximum number of pages in a group.
const GROUP: usize = 256;

/// Number of pages in a group for which the device may have no free block: reading a group back to
/// memory frees some, but not always as many as there are pages.
const GROUP_WITHOUT_BLOCKS: usize = 32;

/// Maximum number of blocks that are read at a time.
const READS: usize = 32;

/// The page that a block is read for.
struct Fetch {
    slot: usize,
    location: Location,
    /// `None` if the block is not being read.
    block: Option<PinnedBlock>,
}

type Request = Pin<KBox<WriteRequest<Fetch>>>;

/// Packs pages anew where that frees blocks.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long. Its memory is allocated with `gfp`,
/// but that of the pages from free memory only.
///
/// # Errors
///
/// The last error of a page that could not be read, after all others have been attempted; or one of
/// these, which end the compaction:
///
/// - `EIO`: the limit of writeback is reached, or the device failed to write a block.
/// - `ENOSPC`: no block is free.
/// - `ENOMEM`: there is no free memory for a page.
/// - Those of [`Store::check_stop`].
pub(crate) fn run(
    store: &Store,
    backing: &Backing,
    budget: &Budget,
    batch_size: u32,
    gfp: Gfp,
) -> Result {
    let job = Job {
        store,
        backing,
        budget,
        submitter: kernel::current!(),
    };
    let heaviest = plan::heaviest_worth_moving(&job, gfp)?;
    if heaviest == 0 {
        return Ok(());
    }
    let device = backing.source.device();
    let quota = Quota::new(batch_size, GROUP, totalram_pages());
    Writer::with(device, gfp, |reader| {
        let mut fetcher = Fetcher::new(&job, reader, batch_size, heaviest, gfp)?;
        let mut group = Sorter::new(GROUP, gfp)?;
        Writer::with(device, gfp, |writer| {
            let mut engine = Engine::new(&job, Role::Submitter, writer, quota)?;
            let mut end = Ok(());
            let mut slots = 0..store.table.len();
            while end.is_ok() {
                end = move_group(&mut fetcher, &mut engine, &mut slots, &mut group, GROUP);
                if group.is_empty() {
                    break;
                }
            }
            engine.finish(end).and(fetcher.result)
        })
    })
}

/// What a slice of a compaction may do.
pub(crate) struct Slice {
    /// The slots to look at; those that were looked at are taken from it.
    pub(crate) slots: Range<usize>,
    /// Maximum number of pages to move; at least 1.
    pub(crate) max: usize,
    /// Whether the requests are not of the idle class.
    pub(crate) urgent: bool,
}

/// Packs the next group of pages anew, in the background. `group` is that group afterwards.
///
/// # Context
///
/// May sleep, but not for memory. The caller has the right to post-process the disk.
///
/// # Errors
///
/// Those of [`run`], or `ENOMEM`: there is no free memory to read pages. An error of a page that
/// could not be read comes at once.
pub(crate) fn slice(
    store: &Store,
    backing: &Backing,
    budget: &Budget,
    slice: &mut Slice,
    group: &mut Sorter,
    set_aside: &mut SetAside,
) -> Result {
    let job = Job {
        store,
        backing,
        budget,
        submitter: kernel::current!(),
    };
    group.clear();
    Writer::with(backing.source.device(), Gfp::NOWAIT, |reader| {
        if !slice.urgent {
            reader.set_idle();
        }
        let mut fetcher = Fetcher::new(&job, reader, REQUESTS, HALF, Gfp::NOWAIT)?;
        let (end, result) = set_aside.with_engine(&job, GROUP, slice.urgent, |engine| {
            move_group(&mut fetcher, engine, &mut slice.slots, group, slice.max)
        })?;
        end.and(result).and(fetcher.result)
    })
}

/// Reads the next group of pages of these slots, at most `max`, to memory and writes it back
/// packed. `group` is empty if there was no such page, and its slots are not selected any more.
///
/// # Errors
///
/// Those of [`run`] that end the compaction, or of a page that could not be written.
fn move_group(
    fetcher: &mut Fetcher<'_, '_>,
    engine: &mut Engine<'_, '_>,
    slots: &mut Range<usize>,
    group: &mut Sorter,
    max: usize,
) -> Result {
    let job = fetcher.job;
    // As many pages as can be written back again, whatever their sizes.
    let blocks = (job.backing.blocks.without_owner()).max(GROUP_WITHOUT_BLOCKS);
    let max = max.min(GROUP).min(blocks);
    group.clear();
    let mut end = match job.budget.blocks() {
        0 => Err(EIO),
        allowed => fetcher.fetch_group(slots, group, max.min(allowed)),
    };
    if group.is_empty() {
        return end;
    }
    let written = engine.write(&Packer::new(group.batch()));
    end = end.and(written).and(engine.drain());
    if end.is_err() {
        // Those that were not written stay in memory.
        for slot in group.slots() {
            job.store.table.deselect(slot);
        }
    }
    end
}

/// Reads pages from the backing device to memory, several at a time.
struct Fetcher<'a, 'w> {
    job: &'a Job<'a>,
    reader: &'a mut Writer<'w, Fetch>,
    /// The largest weight of the blocks whose pages are worth moving.
    heaviest: usize,
    /// The requests that are not in flight.
    free: KVec<Request>,
    /// The last error of a page.
    result: Result,
}

impl<'a, 'w> Fetcher<'a, 'w> {
    /// Creates a fetcher with at least one request.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    fn new(
        job: &'a Job<'a>,
        reader: &'a mut Writer<'w, Fetch>,
        batch_size: u32,
        heaviest: usize,
        gfp: Gfp,
    ) -> Result<Self> {
        let requests = (batch_size as usize).clamp(1, READS);
        let mut free = KVec::with_capacity(requests, gfp.for_collections())?;
        for number in 0..requests {
            let gfp = if number == 0 { gfp } else { Gfp::NOWAIT };
            let fetch = Fetch {
                slot: 0,
                location: Location::from_parts(0, 0),
                block: None,
            };
            match WriteRequest::new(1, fetch, gfp) {
                Ok(request) => free.push(request, GFP_NOWAIT)?,
                Err(error) if number == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Self {
            job,
            reader,
            heaviest,
            free,
            result: Ok(()),
        })
    }

    /// Reads at most `max` pages of these slots that are worth moving to memory, selects their
    /// slots, and adds these to `group`. What is left of `slots` is for the next group.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no free memory for a page.
    /// - Those of [`Job::check_stop`].
    fn fetch_group(&mut self, slots: &mut Range<usize>, group: &mut Sorter, max: usize) -> Result {
        let mut end = Ok(());
        let mut left = group.room().min(max);
        while left > 0 && end.is_ok() {
            let Some(slot) = slots.next() else {
                break;
            };
            if slot % 1024 == 0 {
                end = self.job.check_stop();
                cond_resched();
            }
            let Some((location, block)) = self.pin(slot) else {
                continue;
            };
            left -= 1;
            while self.free.is_empty() {
                self.complete_one(group);
            }
            end = end.and(self.job.check_stop());
            if let Err(ENOMEM) = self.result {
                end = Err(ENOMEM);
            }
            self.read(slot, location, block);
        }
        while self.complete_one(group) {}
        end
    }

    /// Pins the block of a slot's page if it is worth moving, and returns where the page is.
    fn pin(&self, slot: usize) -> Option<(Location, PinnedBlock)> {
        let store = self.job.store;
        let slot = store.table.lock(slot)?;
        let View::WrittenBack { location, .. } = slot.view() else {
            return None;
        };
        if store.sharing().weight_of(location.block()) > self.heaviest {
            return None;
        }
        let block = self.job.backing.blocks.pin(location.block())?;
        Some((location, block))
    }

    /// Begins to read the block of a page.
    fn read(&mut self, slot: usize, location: Location, block: PinnedBlock) {
        let Some(mut request) = self.free.pop() else {
            self.job.backing.blocks.unpin(block);
            return;
        };
        *request.as_mut().data() = Fetch {
            slot,
            location,
            block: Some(block),
        };
        self.job.store.stats.bd_reads.add(1);
        self.reader.read(request, 0..1, location.block());
    }

    /// Waits for a read, and adds its slot to `group`; returns `false` if none is in flight.
    fn complete_one(&mut self, group: &mut Sorter) -> bool {
        let Some(mut request) = self.reader.wait() else {
            return false;
        };
        let status = request.status();
        if let Err(error) = status {
            let store = self.job.store;
            store.stats.bd_failed_reads.add(1);
            store.events().device_failed(error);
        }
        let result = status.and_then(|()| self.keep(&mut request));
        let fetch = request.as_mut().data();
        match result {
            Ok(true) => group.add(fetch.slot, fetch.location.size()),
            Ok(false) => (),
            Err(error) => self.result = Err(error),
        }
        if let Some(block) = fetch.block.take() {
            self.job.backing.blocks.unpin(block);
        }
        // There is room: the request was taken from here.
        let _ = self.free.push_within_capacity(request);
        true
    }

    /// Puts the page that a request has read into memory, selects its slot, and returns `true`; or
    /// returns `false` if the page is not in the block any more.
    ///
    /// The block has been pinned since the slot had it, so it holds no other page.
    fn keep(&self, request: &mut Request) -> Result<bool> {
        let store = self.job.store;
        let &mut Fetch { slot, location, .. } = request.as_mut().data();
        let page = request.page(0).ok_or(EIO)?;
        let size = location.size();
        // The object is in memory for a moment only, so that the limit does not count.
        let mut object = store.pool().alloc(size, Node::LOCAL, Gfp::NOWAIT)?;
        if !object.write_page(&page.map(), location.offset()) {
            return Err(EIO);
        }
        store.stats.note_used_pages(store.pool().pages());
        let Some(mut slot) = store.table.lock(slot) else {
            return Ok(false);
        };
        let Some(old) = slot.fetch(location, object) else {
            return Ok(false);
        };
        slot.set_selected(true);
        let new = match slot.is_huge() {
            true => Footprint::HUGE,
            false => Footprint::compressed(size),
        };
        store.stats.count(old.footprint(), new);
        drop(slot);
        store.dispose(old);
        Ok(true)
    }
}
