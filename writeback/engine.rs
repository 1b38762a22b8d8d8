// SPDX-License-Identifier: GPL-2.0

//! The engine of writeback: copies pages into requests, submits them, and completes them.

use super::{
    budget::{
        Budget,
        Charge, //
    },
    REQUEST_BLOCKS,
};
use crate::{
    abstractions::{
        alloc::Gfp,
        block::bdev::{
            WriteRequest,
            Writer, //
        },
        page::PageRef,
        sched::{
            cond_resched,
            num_online_cpus,
            yield_now, //
        },
        tracepoint, //
    },
    backing::{
        blocks::{
            Block,
            NoBlock, //
        },
        share::{
            Layout,
            Share,
            MAX_SHARES, //
        },
        Backing, //
    },
    latency::Began,
    slot::{
        SlotGuard,
        View, //
    },
    stats::Footprint,
    store::Store, //
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Minimum number of pages for which a helper is asked for.
pub(super) const MIN_HELPED: usize = 2 * REQUEST_BLOCKS;

/// The fraction of the machine's memory that the pages of requests may take, as its denominator.
const MEMORY_SHARE: usize = 256;

/// How long to wait before looking again for a block when all free ones are being read.
const BUSY_WAIT: Delta = Delta::from_millis(1);

/// The slots that are written back, one by one.
pub(super) trait Source {
    /// Returns the next slot, whose object fits into `room` bytes unless pages have blocks of their
    /// own. The index may be beyond the end of the table.
    fn next(&mut self, room: usize) -> Option<usize>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn next(&mut self, room: usize) -> Option<usize> {
        (**self).next(room)
    }
}

/// The slots of an iterator, for pages that have blocks of their own.
pub(super) struct Each<I>(pub(super) I);

impl<I: Iterator<Item = usize>> Source for Each<I> {
    fn next(&mut self, _room: usize) -> Option<usize> {
        self.0.next()
    }
}

/// A page in a request.
#[derive(Clone, Copy)]
struct Item {
    /// The index of the slot.
    slot: usize,
    /// Where the page begins, in bytes from the start of the request.
    position: u32,
    /// The size of the object in the slot, in bytes.
    size: u32,
}

impl Item {
    /// Returns the block of the request that has the page.
    fn block(&self) -> usize {
        self.position as usize >> PAGE_SHIFT
    }

    /// Returns where the page begins in the block and its size in memory, both in bytes.
    fn part(&self) -> (usize, usize) {
        let offset = self.position as usize & (PAGE_SIZE - 1);
        (offset, self.size as usize)
    }
}

/// What belongs to a request of writeback.
pub(super) struct RequestData {
    /// The pages in the request, in the order of their positions.
    items: KVec<Item>,
    /// Number of blocks of the request.
    blocks: usize,
    /// The first of the blocks of the device that are written to.
    first: usize,
    charge: Charge,
    /// The block that is being written alone, after writing all of them failed.
    single: Option<usize>,
    /// When the write that is in flight began.
    began: Began,
}

impl RequestData {
    /// Returns the pages in a block of the request.
    fn items_of(&self, block: usize) -> &[Item] {
        let start = self.items.partition_point(|item| item.block() < block);
        let end = self.items.partition_point(|item| item.block() <= block);
        self.items.get(start..end).unwrap_or_default()
    }
}

type Request = Pin<KBox<WriteRequest<RequestData>>>;

/// A writeback in progress, which the submitter and its helper share.
pub(super) struct Job<'a> {
    pub(super) store: &'a Store,
    pub(super) backing: &'a Backing,
    pub(super) budget: &'a Budget,
    /// The task that asked for the writeback.
    pub(super) submitter: &'a Task,
}

impl Job<'_> {
    /// Checks whether the writeback must stop, as [`Store::check_stop`] does. Any context but NMI.
    pub(super) fn check_stop(&self) -> Result {
        // The submitter waits for its helper in the system call.
        self.store.check_stop(self.submitter)
    }

    /// Returns whether the limit and the free blocks are enough to write back so many pages, each
    /// to a block of its own.
    ///
    /// Then their order does not decide which of them are written.
    pub(super) fn has_room_for(&self, pages: usize) -> bool {
        pages
            <= self
                .budget
                .blocks()
                .min(self.backing.blocks.without_owner())
    }

    /// Returns whether a helper would speed up the writeback of so many pages.
    ///
    /// The helper changes the order in which pages are written. So there must be room for all of
    /// them, even if both have reserved blocks that they do not need.
    pub(super) fn is_helped(&self, pages: usize) -> bool {
        pages >= MIN_HELPED
            && num_online_cpus() > 1
            && !self.budget.is_enabled()
            && self.backing.blocks.without_owner() >= pages + REQUEST_BLOCKS
    }

    /// Writes back slots in a helper.
    ///
    /// Does nothing if there is no free memory for a writer and a request. An error of single pages
    /// goes to `result`.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::write`].
    pub(super) fn help(&self, slots: impl Source, quota: Quota, result: &mut Result) -> Result {
        let mut end = Ok(());
        let device = self.backing.source.device();
        let _ = Writer::with(device, Role::Worker.gfp(), |writer| {
            let mut engine = Engine::new(self, Role::Worker, writer, quota)?;
            end = engine.write(slots);
            *result = result.and(engine.finish(end));
            Ok(())
        });
        end
    }

    /// Copies the page of a selected slot to a block, in the form in which it is written back, and
    /// returns the size of its object; or returns `None` if the slot is not selected any more. The
    /// slot is deselected if its page was not copied.
    ///
    /// The page is added to the layout of the block.
    fn copy(&self, index: usize, block: PageRef<'_>, layout: &mut Layout) -> Result<Option<usize>> {
        let Some(mut slot) = (self.store.table.lock(index)).filter(SlotGuard::is_selected) else {
            return Ok(None);
        };
        let Some(size) = slot.object_size() else {
            slot.set_selected(false);
            return Ok(None);
        };
        let before = *layout;
        let compressed = self.store.stores_compressed(size);
        // A page that does not fit stays in memory.
        let result = match layout.add(if compressed { size } else { PAGE_SIZE }) {
            false => Ok(false),
            true => {
                let block = block.map();
                match slot.view() {
                    View::Stored { object, .. } if compressed => {
                        Ok(object.copy_to(&block, before.used()))
                    }
                    _ => self.store.read_object(&slot, index, &block),
                }
            }
        };
        if !matches!(result, Ok(true)) {
            *layout = before;
            slot.set_selected(false);
        }
        result.map(|copied| copied.then_some(size))
    }

    /// Replaces the object of a slot by the share of the block that its page was written to, or
    /// releases the share if the slot is not selected any more.
    ///
    /// The caller counts the write, for all blocks of a request at once.
    fn exchange(&self, index: usize, share: Share) {
        let Some(mut slot) = (self.store.table.lock(index)).filter(SlotGuard::is_selected) else {
            self.store.release_share(share);
            return;
        };
        let location = share.location();
        match slot.write_back(share) {
            Ok(old) => {
                tracepoint::slot_writeback(|| {
                    let (block, size) = (location.block(), location.size() as u32);
                    (self.store.events().dev(), index, block, size)
                });
                self.store
                    .stats
                    .count(old.footprint(), Footprint::ON_DEVICE);
                drop(slot);
                self.store.dispose(old);
            }
            Err(share) => {
                slot.set_selected(false);
                drop(slot);
                self.store.release_share(share);
            }
        }
    }
}

/// The part of a task in a writeback.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The task asked for the writeback.
    Submitter,
    /// The task is a worker, which leaves its CPU to others and does not wait for memory.
    Worker,
}

impl Role {
    /// Returns the flags by which the first request is allocated.
    pub(super) fn gfp(self) -> Gfp {
        match self {
            Role::Submitter => Gfp::KERNEL,
            Role::Worker => Gfp::NOWAIT,
        }
    }
}

/// Maximum number and size of the requests of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quota {
    requests: usize,
    /// Blocks of each request.
    each: usize,
}

impl Quota {
    /// Returns the quota for writing back `pages` pages, on a machine with `total` pages of memory.
    pub(super) fn new(batch_size: u32, pages: usize, total: usize) -> Self {
        let pages = pages.min((total / MEMORY_SHARE).max(REQUEST_BLOCKS)).max(1);
        let requests = (batch_size as usize).clamp(1, pages);
        let each = pages.checked_div(requests).unwrap_or(1);
        Self {
            requests,
            each: each.clamp(1, REQUEST_BLOCKS),
        }
    }

    /// Returns the quotas of the submitter and its helper, or `None` if one would have no request.
    pub(super) fn halves(self) -> Option<(Self, Self)> {
        let half = |requests| Self { requests, ..self };
        let small = self.requests / 2;
        (small > 0).then(|| (half(self.requests - small), half(small)))
    }
}

/// Allocates a request of one block that may grow to `max` blocks, which pages share if `packed` is
/// set.
///
/// # Errors
///
/// `ENOMEM`: `gfp` finds no memory.
fn allocate(max: usize, packed: bool, gfp: Gfp) -> Result<Request> {
    let items = match packed {
        true => max * MAX_SHARES,
        false => max,
    };
    let data = RequestData {
        items: KVec::with_capacity(items, gfp.for_collections())?,
        blocks: 0,
        first: 0,
        charge: Charge::NONE,
        single: None,
        began: Began::NOT,
    };
    WriteRequest::new(max, data, gfp)
}

/// Requests that are not in flight.
///
/// # Invariants
///
/// There is at least one, and there is room for one without an allocation.
pub(super) struct Requests(KVVec<Request>);

impl Requests {
    /// Allocates a request for any disk, of at most [`REQUEST_BLOCKS`] blocks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: `gfp` finds no memory.
    pub(super) fn new(gfp: Gfp) -> Result<Self> {
        Self::with_quota(REQUEST_BLOCKS, true, gfp)
    }

    /// Allocates a request of at most `max` blocks, which pages share if `packed` is set.
    fn with_quota(max: usize, packed: bool, gfp: Gfp) -> Result<Self> {
        let mut requests = KVVec::with_capacity(1, gfp.for_collections())?;
        requests.push(allocate(max, packed, gfp)?, GFP_NOWAIT)?;
        // INVARIANT: There is a request.
        Ok(Self(requests))
    }
}

/// The requests of one task, and what it does with them.
///
/// # Context
///
/// All methods may sleep.
///
/// # Invariants
///
/// There is at least one request, free or in flight, which is enough to write back all pages.
pub(super) struct Engine<'a, 'w> {
    job: &'a Job<'a>,
    role: Role,
    writer: &'a mut Writer<'w, RequestData>,
    quota: Quota,
    /// Number of requests.
    requests: usize,
    /// The requests that are not in flight.
    free: KVVec<Request>,
    /// The last error of a page.
    result: Result,
    /// Why pages that were in a request were not written back.
    stop: Result,
}

impl<'a, 'w> Engine<'a, 'w> {
    /// Creates an engine with one request.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the flags of the role find no memory.
    pub(super) fn new(
        job: &'a Job<'a>,
        role: Role,
        writer: &'a mut Writer<'w, RequestData>,
        quota: Quota,
    ) -> Result<Self> {
        let packed = job.store.sharing().is_packed();
        let requests = Requests::with_quota(quota.each, packed, role.gfp())?;
        Ok(Self::with_requests(job, role, writer, quota, requests))
    }

    /// Creates an engine with these requests.
    pub(super) fn with_requests(
        job: &'a Job<'a>,
        role: Role,
        writer: &'a mut Writer<'w, RequestData>,
        quota: Quota,
        requests: Requests,
    ) -> Self {
        let free = requests.0;
        // INVARIANT: By the invariants of `Requests`, `free` has a request.
        Self {
            job,
            role,
            writer,
            quota,
            requests: free.len(),
            free,
            result: Ok(()),
            stop: Ok(()),
        }
    }

    /// Takes a request to be filled: a free one, or a new one within the quota if there is free
    /// memory.
    fn take(&mut self) -> Option<Request> {
        let mut request = match self.free.pop() {
            Some(request) => request,
            None if self.requests < self.quota.requests => {
                let packed = self.job.store.sharing().is_packed();
                let request = allocate(self.quota.each, packed, Gfp::NOWAIT).ok()?;
                self.requests += 1;
                request
            }
            None => return None,
        };
        request.as_mut().grow();
        Some(request)
    }

    /// Returns whether a helper would have something to do: a request is free, so that the device
    /// is fast enough, and there was free memory for all of its pages.
    pub(super) fn could_use_help(&mut self) -> bool {
        self.free.last_mut().is_some_and(|request| {
            request.as_mut().grow();
            request.capacity() == self.quota.each
        })
    }

    /// Waits for all requests.
    ///
    /// # Errors
    ///
    /// The last error of a page so far, or why pages that were in a request were not written back.
    pub(super) fn drain(&mut self) -> Result {
        while let Some(request) = self.writer.wait() {
            self.complete(request);
        }
        self.stop.and(self.result)
    }

    /// Waits for all requests and returns the result of the writeback, of which
    /// [`write`](Self::write) returned `end`.
    pub(super) fn finish(self, end: Result) -> Result {
        self.finish_with_requests(end).0
    }

    /// Does what [`finish`](Self::finish) does, and returns one of the requests, too.
    pub(super) fn finish_with_requests(mut self, end: Result) -> (Result, Requests) {
        if end.is_err() {
            self.result = end;
        }
        let _ = self.drain();
        let result = match end {
            Err(EINTR | ERESTARTSYS) => end,
            _ => self.stop.and(self.result),
        };
        self.free.truncate(1);
        if let Some(request) = self.free.last_mut() {
            request.as_mut().shrink();
        }
        // INVARIANT: By the type invariants a request is free, now that none is in flight.
        (result, Requests(self.free))
    }

    /// Writes back slots; returns when all of their pages have been submitted.
    ///
    /// # Errors
    ///
    /// The rest is not written back after these; errors of single pages are kept for
    /// [`finish`](Self::finish).
    ///
    /// - `EIO`: the limit is reached.
    /// - `ENOSPC`: no block is free.
    /// - Those of [`Job::check_stop`].
    pub(super) fn write(&mut self, mut slots: impl Source) -> Result {
        let mut next = slots.next(PAGE_SIZE);
        while let Some(index) = next {
            self.job.check_stop()?;
            // A slot that is not selected any more needs neither budget nor a block.
            if !self.job.store.table.is_selected(index) {
                next = slots.next(PAGE_SIZE);
                continue;
            }
            while let Some(request) = self.writer.try_next() {
                self.complete(request);
            }
            let Some(mut request) = self.take() else {
                // By the type invariants a request is in flight. Its completion frees memory, which
                // may be enough for another request.
                if let Some(request) = self.writer.wait() {
                    self.complete(request);
                }
                continue;
            };

            let charge = self.job.budget.charge(request.capacity());
            if charge.blocks == 0 {
                self.put_back(request);
                return Err(EIO);
            }
            let run = match self.job.backing.blocks.reserve(charge.blocks) {
                Ok(run) => run,
                Err(reason) => {
                    self.job.budget.refund(charge, charge.blocks);
                    self.put_back(request);
                    match reason {
                        NoBlock::Full => {
                            self.job.store.events().device_full();
                            return Err(ENOSPC);
                        }
                        // Neither the end of a read, in an interrupt, nor a stop wakes this task.
                        NoBlock::Busy => fsleep(BUSY_WAIT),
                    }
                    continue;
                }
            };
            let filled = self.fill(&mut request, &mut next, &mut slots, run.len());
            for number in run.start + filled..run.end {
                self.job.backing.blocks.release(Block::from_number(number));
            }
            self.job.budget.refund(charge, charge.blocks - filled);
            if next.is_none() {
                next = slots.next(PAGE_SIZE);
            }
            if filled == 0 {
                self.put_back(request);
                continue;
            }
            let data = request.as_mut().data();
            data.blocks = filled;
            data.first = run.start;
            data.charge = charge;
            data.single = None;
            data.began = self.job.store.events().latency.begin();
            self.writer.submit(request, 0..filled, run.start);
            // A device that completes a bio when it is submitted never makes this task wait.
            match self.role {
                Role::Submitter => cond_resched(),
                Role::Worker => yield_now(),
            }
        }
        Ok(())
    }

    /// Copies pages into at most `max` blocks of a request and returns the number of blocks.
    ///
    /// The first slot is `next`, if there is one.
    fn fill(
        &mut self,
        request: &mut Request,
        next: &mut Option<usize>,
        slots: &mut impl Source,
        max: usize,
    ) -> usize {
        request.as_mut().data().items.clear();
        let mut filled = 0;
        while filled < max {
            let used = self.fill_block(request, filled, next, slots);
            let Some(page) = request.page(filled).filter(|_| used > 0) else {
                break;
            };
            page.map().clear_from(used);
            filled += 1;
        }
        filled
    }

    /// Copies pages into one block of a request and returns how many bytes of it are used.
    fn fill_block(
        &mut self,
        request: &mut Request,
        block: usize,
        next: &mut Option<usize>,
        slots: &mut impl Source,
    ) -> usize {
        let packed = self.job.store.sharing().is_packed();
        let mut layout = Layout::EMPTY;
        loop {
            let items = &request.as_mut().data().items;
            let room = match layout.used() {
                _ if items.len() == items.capacity() => 0,
                0 => PAGE_SIZE,
                _ if packed => layout.room(),
                _ => 0,
            };
            if room == 0 {
                break;
            }
            let Some(page) = request.page(block) else {
                break;
            };
            let Some(slot) = next.take().or_else(|| slots.next(room)) else {
                break;
            };
            let position = block * PAGE_SIZE + layout.used();
            match self.job.copy(slot, page, &mut layout) {
                Ok(None) => (),
                Ok(Some(size)) => {
                    let item = Item {
                        slot,
                        position: position as u32,
                        size: size as u32,
                    };
                    // There is room for the item.
                    let _ = request.as_mut().data().items.push_within_capacity(item);
                }
                Err(error) => self.result = Err(error),
            }
        }
        layout.used()
    }

    /// Completes a request that the device is done with, or submits what is left of it.
    fn complete(&mut self, mut request: Request) {
        let status = request.status();
        let data = request.as_mut().data();
        let (first, len) = (data.first, data.blocks);
        let done = match data.single {
            Some(block) => block..block + 1,
            None => 0..len,
        };
        let latency = &self.job.store.events().latency;
        latency.end(data.began, &latency.writeback);
        data.began = Began::NOT;
        let stop = self.job.check_stop();
        if status.is_err() && done.len() > 1 && stop.is_ok() {
            // Write the blocks one by one, to find the one that fails.
            data.single = Some(0);
            self.writer.submit(request, 0..1, first);
            return;
        }
        let stats = &self.job.store.stats;
        match status {
            Ok(()) => stats.bd_writes.add(done.len()),
            Err(error) => {
                stats.bd_failed_writes.add(done.len());
                self.job.store.events().device_failed(error);
            }
        }
        // Also before, for blocks that were freed since.
        self.job.store.is_device_above();
        self.complete_blocks(data, done.clone(), status);
        self.job.store.is_device_above();
        if stop.is_err() {
            // Each of the other blocks may take the device long to fail.
            if done.end < len {
                self.complete_blocks(data, done.end..len, stop);
                self.stop = stop;
            }
        } else if done.end < len {
            data.single = Some(done.end);
            self.writer
                .submit(request, done.end..done.end + 1, first + done.end);
            return;
        }
        self.put_back(request);
    }

    /// Completes blocks of a request, which were written with this status.
    fn complete_blocks(&mut self, data: &RequestData, blocks: Range<usize>, status: Result) {
        for number in blocks {
            let block = Block::from_number(data.first + number);
            let items = data.items_of(number);
            let exchange = |item: &Item, share| self.job.exchange(item.slot, share);
            let divided = match status {
                Ok(()) => {
                    let sharing = self.job.store.sharing();
                    let divided = sharing.divide(block, items, Item::part, exchange);
                    divided.map_err(|block| (block, EIO))
                }
                Err(error) => Err((block, error)),
            };
            if let Err((block, error)) = divided {
                self.result = Err(error);
                for item in items {
                    self.job.store.table.deselect(item.slot);
                }
                self.job.backing.blocks.release(block);
                self.job.budget.refund(data.charge, 1);
            }
        }
    }

    /// Keeps a request for the next use, or frees it if there is no memory to keep it.
    fn put_back(&mut self, request: Request) {
        // INVARIANT: The vector has had room for one request since `new`, so the last one is kept.
        if self.free.push(request, GFP_NOWAIT).is_err() {
            self.requests -= 1;
        }
    }
}

#[kunit_tests(zram_rs_writeback)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_bounded() {
        let quota = |batch, pages, total| {
            let Quota { requests, each } = Quota::new(batch, pages, total);
            (requests, each)
        };
        const PLENTY: usize = 1 << 24;
        assert_eq!(quota(32, 1 << 20, PLENTY), (32, REQUEST_BLOCKS));
        assert_eq!(quota(1, 1 << 20, PLENTY), (1, REQUEST_BLOCKS));
        // No more than the pages need.
        assert_eq!(quota(32, 1, PLENTY), (1, 1));
        assert_eq!(quota(32, 64, PLENTY), (32, 2));
        assert_eq!(quota(0, 0, PLENTY), (1, 1));
        // At most a share of the memory of the machine, but at least what one request takes.
        assert_eq!(quota(u32::MAX, 1 << 20, 1 << 18), (1 << 10, 1));
        assert_eq!(quota(32, 1 << 20, 1 << 17), (32, 16));
        assert_eq!(quota(32, 1 << 20, 1), (REQUEST_BLOCKS, 1));
    }

    #[test]
    fn quota_is_halved() {
        let halves = |requests| {
            let (own, share) = Quota { requests, each: 7 }.halves()?;
            assert_eq!((own.each, share.each), (7, 7));
            Some((own.requests, share.requests))
        };
        assert_eq!(halves(1), None);
        assert_eq!(halves(2), Some((1, 1)));
        assert_eq!(halves(33), Some((17, 16)));
    }
}
