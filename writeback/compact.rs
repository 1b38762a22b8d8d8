// SPDX-License-Identifier: GPL-2.0

//! Compaction of the backing device: packs sparse blocks anew.
//!
//! A block is sparse if less than half of it is live. Compaction walks the slot table once. It reads
//! the pages that are in sparse blocks back into memory, a group at a time, and writes each group
//! back like any other pages. So at no time is a page in two places, and what ends a compaction
//! early leaves at most one group of pages in memory.

use super::{
    budget::Budget,
    engine::{
        Engine,
        Job,
        Quota,
        Role, //
    },
    packer::Packer,
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
        share::Location,
        Backing, //
    },
    select::Sorter,
    slot::View,
    stats::Footprint,
    store::Store, //
};
use kernel::prelude::*;

/// Maximum number of pages in a group.
const GROUP: usize = 256;

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

/// Packs the sparse blocks of the backing device anew.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// The last error of a page, after all others have been attempted; or one of these, which end the
/// compaction:
///
/// - `EIO`: the limit of writeback is reached.
/// - `ENOSPC`: no block is free.
/// - `ENOMEM`: there is no memory for a group of pages.
/// - Those of [`Store::check_stop`].
pub(crate) fn run(store: &Store, backing: &Backing, budget: &Budget, batch_size: u32) -> Result {
    // A single block has none to be packed with.
    if store.sharing.stat().sparse < 2 {
        return Ok(());
    }
    let job = Job {
        store,
        backing,
        budget,
        submitter: kernel::current!(),
    };
    let device = backing.source.device();
    let quota = Quota::new(batch_size, GROUP, totalram_pages());
    Writer::with(device, Gfp::KERNEL, |reader| {
        let mut fetcher = Fetcher::new(&job, reader, batch_size)?;
        let mut sorter = Sorter::new(GROUP)?;
        Writer::with(device, Gfp::KERNEL, |writer| {
            let mut engine = Engine::new(&job, Role::Submitter, writer, quota)?;
            let mut end = Ok(());
            let mut next = 0;
            while end.is_ok() {
                // Pages that cannot be written back again stay where they are.
                end = match budget.is_used_up() {
                    true => Err(EIO),
                    false => fetcher.fetch_group(&mut next, &mut sorter),
                };
                if sorter.is_empty() {
                    break;
                }
                let written = engine.write(&Packer::new(sorter.batch()));
                end = end.and(written);
                if written.is_err() {
                    // These stay in memory.
                    for slot in sorter.slots() {
                        store.table.deselect(slot);
                    }
                }
                sorter.clear();
            }
            engine.finish(end).and(fetcher.result)
        })
    })
}

/// Reads pages from the backing device to memory, several at a time.
struct Fetcher<'a, 'w> {
    job: &'a Job<'a>,
    reader: &'a mut Writer<'w, Fetch>,
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
    fn new(job: &'a Job<'a>, reader: &'a mut Writer<'w, Fetch>, batch_size: u32) -> Result<Self> {
        let requests = (batch_size as usize).clamp(1, READS);
        let mut free = KVec::with_capacity(requests, GFP_KERNEL)?;
        for number in 0..requests {
            let gfp = if number == 0 {
                Gfp::KERNEL
            } else {
                Gfp::NOWAIT
            };
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
            free,
            result: Ok(()),
        })
    }

    /// Reads pages in sparse blocks to memory, selects their slots, and adds these to `group` until
    /// it is full; `next` is the first slot to look at, and then the first for the next group.
    ///
    /// # Errors
    ///
    /// Those of [`Job::check_stop`].
    fn fetch_group(&mut self, next: &mut usize, group: &mut Sorter) -> Result {
        let mut end = Ok(());
        let len = self.job.store.table.len();
        let mut left = group.room();
        while left > 0 && *next < len && end.is_ok() {
            let slot = *next;
            *next += 1;
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
        if !store.sharing.is_worth_moving(location) {
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
        let result = request.status().and_then(|()| self.keep(&mut request));
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
        let mut object = store.pool().alloc(size, Node::LOCAL, Gfp::NOIO)?;
        object.write_page(&page.map(), location.offset());
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
