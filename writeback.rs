// SPDX-License-Identifier: GPL-2.0

//! Writeback: moving pages to the backing device, many at a time.
//!
//! One task does it, from start to end: it takes the selected slots in their order, copies pages
//! into requests, and submits them. A request takes as many pages as there are free blocks next to
//! each other. When requests come back, the task puts the blocks into those slots that have not
//! been used meanwhile, and frees the memory.
//!
//! Writeback is asked for when memory is short. So the task begins with a single request, which may
//! be of a single page, and that is enough to go on to the end. It allocates others when all that
//! it has are under way, from memory that is free: it never waits for memory that it is about to
//! free.
//!
//! Where there is much to do, and room for all of it, a worker on another processor does the same
//! with up to half of the requests, for what is left when it gets there.
//!
//! No lock is held while a request is under way but the one that keeps others from post-processing
//! the same disk.

use crate::{
    abstractions::{
        alloc::Gfp,
        bdev::{
            WriteRequest,
            Writer, //
        },
        parse::{
            kstrtoull,
            Args, //
        },
        sched::{
            cond_resched,
            give_way,
            online_processors,
            total_pages, //
        },
        workqueue::with_help, //
    },
    backing::{
        blocks::{
            Block,
            NoBlock, //
        },
        Backing, //
    },
    io::Pages,
    select::Selector,
    slot::SlotGuard, //
};
use core::ops::Range;
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How many requests are under way at most, unless the user says otherwise.
pub(crate) const DEFAULT_BATCH_SIZE: u32 = 32;

/// How many pages a request can take.
const REQUEST_PAGES: usize = 32;

/// From how many pages on it is worth while to ask for help.
const WORTH_HELP: usize = 2 * REQUEST_PAGES;

/// Which share of the machine's memory the pages in requests may take.
const MEMORY_SHARE: usize = 256;

/// How long to wait before blocks that were all being read are looked at again.
const BUSY_WAIT: Delta = Delta::from_millis(1);

/// How many units of the limit a page is worth.
const UNITS: u64 = PAGE_SIZE as u64 / 4096;

// --- What is to be written back ---------------------------------------------------------------

/// Pages of which kind are to be written back: those that have all of these properties.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Filter {
    idle: bool,
    huge: bool,
    incompressible: bool,
}

impl Filter {
    fn parse(text: &CStr) -> Result<Self> {
        let (idle, huge, incompressible) = match text.to_bytes() {
            b"idle" => (true, false, false),
            b"huge" => (false, true, false),
            b"huge_idle" => (true, true, false),
            b"incompressible" => (false, false, true),
            _ => return Err(EINVAL),
        };
        Ok(Self {
            idle,
            huge,
            incompressible,
        })
    }

    fn accepts(self, slot: &SlotGuard<'_>) -> bool {
        (!self.idle || slot.is_idle())
            && (!self.huge || slot.is_huge())
            && (!self.incompressible || slot.is_incompressible())
    }
}

/// What a user asked to be written back.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Selection {
    filter: Filter,
    /// In order, and apart from each other.
    ranges: KVec<Range<usize>>,
}

impl Selection {
    /// Parses what was written to `writeback`, for a disk of `len` pages.
    ///
    /// This is a list of pages and ranges of pages, `page_index=<n>` and
    /// `page_indexes=<low>-<high>`, or a kind of pages, `type=<kind>`, or just `<kind>`. A kind
    /// ends the list, and does not add anything to pages that were listed before. Other names are
    /// ignored, as C zram does.
    ///
    /// Fails with `EINVAL` if the text is wrong, `ERANGE` if there is no such page, and `ENOMEM`.
    /// May sleep.
    pub(crate) fn parse(text: &CStr, len: usize) -> Result<Self> {
        let mut args = Args::new(text)?;
        let mut ranges = KVec::<Range<usize>>::new();
        let add = |ranges: &mut KVec<Range<usize>>, range: Range<usize>| -> Result {
            let place = ranges.partition_point(|other| other.start <= range.start);
            ranges.reserve(1, GFP_KERNEL)?;
            ranges
                .insert_within_capacity(place, range)
                .map_err(|_| ENOMEM)
        };
        let mut filter = Filter::default();
        while let Some((name, value)) = args.next() {
            let value = value.filter(|value| !value.is_empty());
            match (name.to_bytes(), value) {
                (_, None) | (b"type", _) => {
                    filter = Filter::parse(value.unwrap_or(name))?;
                    if ranges.is_empty() {
                        add(&mut ranges, 0..len)?;
                    } else {
                        filter = Filter::default();
                    }
                    break;
                }
                (b"page_index", Some(value)) => {
                    let index = parse_index(value, len)?;
                    add(&mut ranges, index..index + 1)?;
                }
                (b"page_indexes", Some(value)) => {
                    add(&mut ranges, parse_range(value, len)?)?;
                }
                _ => (),
            }
        }
        let mut end = 0;
        for range in &mut ranges {
            range.start = range.start.max(end);
            end = end.max(range.end);
        }
        ranges.retain(|range| range.start < range.end);
        Ok(Self { filter, ranges })
    }
}

/// Parses the index of a page of `len`.
fn parse_index(text: &CStr, len: usize) -> Result<usize> {
    usize::try_from(kstrtoull(text, 10)?)
        .ok()
        .filter(|&index| index < len)
        .ok_or(ERANGE)
}

/// Parses a range of pages of `len`, of the form `<low>-<high>`, both included.
fn parse_range(text: &CStr, len: usize) -> Result<Range<usize>> {
    let bytes = text.to_bytes();
    let dash = bytes.iter().position(|&c| c == b'-').ok_or(EINVAL)?;
    let part = |bytes: &[u8]| -> Result<usize> {
        let part = CString::try_from_fmt(fmt!("{}", kernel::str::BStr::from_bytes(bytes)))?;
        parse_index(&part, len)
    };
    let low = part(bytes.get(..dash).ok_or(EINVAL)?)?;
    let high = part(bytes.get(dash + 1..).ok_or(EINVAL)?)?;
    if low > high {
        return Err(ERANGE);
    }
    Ok(low..high + 1)
}

// --- How much may be written back -------------------------------------------------------------

/// The limit of writeback, in units of 4 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limit {
    enabled: bool,
    units: u64,
    /// Changed along with the limit by users, so that nothing is refunded to another limit than the
    /// one that was charged.
    generation: u32,
}

/// Some pages that were charged to the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Charge {
    pages: usize,
    /// Of which limit, if there was one.
    generation: Option<u32>,
}

impl Limit {
    /// Charges for at most `pages` pages.
    fn charge(&mut self, pages: usize) -> Charge {
        if !self.enabled {
            return Charge {
                pages,
                generation: None,
            };
        }
        let pages = pages.min(usize::try_from(self.units / UNITS).unwrap_or(usize::MAX));
        self.units -= pages as u64 * UNITS;
        Charge {
            pages,
            generation: Some(self.generation),
        }
    }

    /// Takes back what was charged for `pages` pages.
    fn refund(&mut self, charge: Charge, pages: usize) {
        if charge.generation == Some(self.generation) {
            self.units += pages as u64 * UNITS;
        }
    }
}

/// How much a user lets be written back.
#[pin_data]
pub(crate) struct Budget {
    #[pin]
    limit: Mutex<Limit>,
}

impl Budget {
    /// No limit. Any context.
    pub(crate) fn new() -> impl PinInit<Self> {
        let limit = Limit {
            enabled: false,
            units: 0,
            generation: 0,
        };
        pin_init!(Self {
            limit <- new_mutex!(limit, "zram_rs budget"),
        })
    }

    /// Returns whether the limit is in force. May sleep.
    pub(crate) fn is_enabled(&self) -> bool {
        self.limit.lock().enabled
    }

    /// Puts the limit in force, or not. May sleep.
    pub(crate) fn set_enabled(&self, enabled: bool) {
        self.limit.lock().enabled = enabled;
    }

    /// Returns how much may still be written back, in units of 4 KiB. May sleep.
    pub(crate) fn units(&self) -> u64 {
        self.limit.lock().units
    }

    /// Sets how much may be written back, in units of 4 KiB, rounded down to whole pages. May
    /// sleep.
    pub(crate) fn set_units(&self, units: u64) {
        let mut limit = self.limit.lock();
        limit.units = units & !(UNITS - 1);
        limit.generation = limit.generation.wrapping_add(1);
    }

    fn charge(&self, pages: usize) -> Charge {
        self.limit.lock().charge(pages)
    }

    fn refund(&self, charge: Charge, pages: usize) {
        self.limit.lock().refund(charge, pages);
    }
}

// --- The engine -------------------------------------------------------------------------------

/// What goes along with a request.
struct Batch {
    /// The slots whose pages are in the request.
    slots: KVec<usize>,
    /// The first block that they go to.
    first: usize,
    charge: Charge,
    /// Which page is being written by itself, after all together failed.
    single: Option<usize>,
}

type Request = Pin<KBox<WriteRequest<Batch>>>;

/// A writeback that is under way: what all who take part in it share.
struct Job<'a> {
    pages: &'a Pages,
    backing: &'a Backing,
    budget: &'a Budget,
    /// Whoever asked for it.
    asker: &'a Task,
}

impl Job<'_> {
    /// Fails if writing is to end, with what [`Pages::check_stop`] fails with. Any context but NMI.
    fn check_stop(&self) -> Result {
        // The asker does not return before those who help have ended.
        self.pages.check_stop(self.asker)
    }

    /// Returns whether so many pages are better written back by two than by one. If they are, it
    /// does not matter in which order: there is room for all of them, whatever one of the two has
    /// set aside before it knows how much it needs.
    fn needs_help(&self, pages: usize) -> bool {
        pages >= WORTH_HELP
            && online_processors() > 1
            && !self.budget.is_enabled()
            && self.backing.blocks.without_owner() >= pages + REQUEST_PAGES
    }

    /// Writes back what is in a queue from its back on, beside the asker.
    ///
    /// Without free memory for a writer and a request, it does nothing.
    ///
    /// # Errors
    ///
    /// Fails if it has to end before all was attempted; if something went wrong, `result` says
    /// what.
    fn help(&self, queue: &Queue<'_>, quota: Quota, result: &mut Result) -> Result {
        let mut end = Ok(());
        let device = self.backing.source.device();
        let _ = Writer::with(device, Role::Helper.gfp(), |writer| {
            let mut engine = Engine::new(self, Role::Helper, writer, quota)?;
            end = engine.write(queue.pieces(End::Back));
            *result = result.and(engine.finish(end));
            Ok(())
        });
        end
    }
}

/// Slots that are to be written back, in pieces of what a request can take.
struct Queue<'a> {
    slots: &'a [usize],
    /// How many pieces were taken.
    taken: Atomic<usize>,
}

/// From which end slots are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The largest first.
    Front,
    /// The smallest first. Two who meet in the middle do not wait for each other on the way: the
    /// allocator has a lock for each size.
    Back,
}

impl<'a> Queue<'a> {
    fn new(slots: &'a [usize]) -> Self {
        Self {
            slots,
            taken: Atomic::new(0),
        }
    }

    /// Returns the pieces in order from one end, until all have been taken, by whomever. Nobody
    /// else must take them from that end.
    fn pieces(&self, end: End) -> impl Iterator<Item = &'a [usize]> + '_ {
        let count = self.slots.len().div_ceil(REQUEST_PAGES);
        (0..count).map_while(move |number| {
            // All that were taken are at the two ends: there is one between them if not all were.
            if self.taken.fetch_add(1, Relaxed) >= count {
                return None;
            }
            let start = REQUEST_PAGES
                * match end {
                    End::Front => number,
                    End::Back => count - 1 - number,
                };
            self.slots
                .get(start..self.slots.len().min(start + REQUEST_PAGES))
        })
    }
}

/// What brings somebody to take part in a writeback.
#[derive(Clone, Copy)]
enum Role {
    /// It was asked for.
    Asker,
    /// There is a processor that nobody else needs, as long as nobody does.
    Helper,
}

impl Role {
    /// Returns how hard to try for what it takes to begin at all.
    fn gfp(self) -> Gfp {
        match self {
            Role::Asker => Gfp::KERNEL,
            Role::Helper => Gfp::NOWAIT,
        }
    }
}

/// How many requests there may be, and how large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quota {
    requests: usize,
    /// Pages in each.
    each: usize,
}

impl Quota {
    /// Returns the quota for `pages` pages in all, of a machine with so many pages of memory.
    fn new(batch_size: u32, pages: usize, total: usize) -> Self {
        let pages = pages.min((total / MEMORY_SHARE).max(REQUEST_PAGES)).max(1);
        let requests = (batch_size as usize).clamp(1, pages);
        Self {
            requests,
            each: (pages / requests).clamp(1, REQUEST_PAGES),
        }
    }

    /// Returns two halves, or `None` if one of them would have no request.
    fn halves(self) -> Option<(Self, Self)> {
        let half = |requests| Self { requests, ..self };
        let small = self.requests / 2;
        (small > 0).then(|| (half(self.requests - small), half(small)))
    }
}

/// One who takes part in a writeback.
///
/// # Invariants
///
/// There is at least one request, idle or under way: all can be written with that.
struct Engine<'a, 'w> {
    job: &'a Job<'a>,
    role: Role,
    writer: &'a mut Writer<'w, Batch>,
    quota: Quota,
    /// How many requests there are.
    requests: usize,
    /// Those that are not under way.
    idle: KVVec<Request>,
    /// What to tell the user in the end: the last thing that went wrong.
    result: Result,
}

/// Writes back what was selected.
///
/// # Context
///
/// That of a system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// With an error, the rest was attempted all the same, unless it is `EIO` since the limit was
/// reached, `ENOSPC` since no block is free, `ENOMEM` since there was no memory for a single
/// request, or what [`Pages::check_stop`] fails with.
pub(crate) fn run(
    pages: &Pages,
    backing: &Backing,
    budget: &Budget,
    batch_size: u32,
    selection: &Selection,
) -> Result {
    let job = Job {
        pages,
        backing,
        budget,
        asker: kernel::current!(),
    };
    let mut selector = Selector::new(
        &pages.table,
        &selection.ranges,
        |slot| selection.filter.accepts(slot),
        || job.check_stop(),
    )?;
    if selector.len() == 0 {
        return Ok(());
    }
    let quota = Quota::new(batch_size, selector.len(), total_pages());
    let halves = quota.halves().filter(|_| job.needs_help(selector.len()));
    let own = halves.map_or(quota, |(own, _)| own);
    Writer::with(backing.source.device(), Role::Asker.gfp(), |writer| {
        let mut engine = Engine::new(&job, Role::Asker, writer, own)?;
        let mut end = Ok(());
        let mut helped = Ok(());
        while let Some(batch) = selector.next_batch() {
            let queue = Queue::new(batch);
            // A worker's thread may have to be made first, and that does wait for memory.
            let share = halves.filter(|_| batch.len() >= WORTH_HELP && engine.could_use_help());
            let mut write = || engine.write(queue.pieces(End::Front));
            end = match share {
                None => write(),
                Some((_, share)) => {
                    let mut helper_end = Ok(());
                    let mut help = || helper_end = job.help(&queue, share, &mut helped);
                    with_help(&mut help, write).and(helper_end)
                }
            };
            if end.is_err() {
                break;
            }
        }
        let result = engine.finish(end).and(helped);
        if end.is_ok() {
            selector.done();
        }
        result
    })
}

/// Allocates a request that may grow to `max` pages, and has one.
///
/// # Errors
///
/// Fails with `ENOMEM` if what `gfp` allows does not find the memory.
fn allocate(max: usize, gfp: Gfp) -> Result<Request> {
    let batch = Batch {
        slots: KVec::with_capacity(max, gfp.for_collections())?,
        first: 0,
        charge: Charge {
            pages: 0,
            generation: None,
        },
        single: None,
    };
    WriteRequest::new(max, batch, gfp)
}

impl<'a, 'w> Engine<'a, 'w> {
    /// Makes an engine with one request, for which it tries as hard as its role deserves.
    ///
    /// # Errors
    ///
    /// Fails with `ENOMEM`.
    fn new(
        job: &'a Job<'a>,
        role: Role,
        writer: &'a mut Writer<'w, Batch>,
        quota: Quota,
    ) -> Result<Self> {
        let gfp = role.gfp();
        let mut idle = KVVec::with_capacity(1, gfp.for_collections())?;
        idle.push(allocate(quota.each, gfp)?, GFP_NOWAIT)?;
        // INVARIANT: That is the one.
        Ok(Self {
            job,
            role,
            writer,
            quota,
            requests: 1,
            idle,
            result: Ok(()),
        })
    }

    /// Returns a request to be filled: an idle one, or another one if there may be more and there
    /// is free memory.
    fn take(&mut self) -> Option<Request> {
        let mut request = match self.idle.pop() {
            Some(request) => request,
            None if self.requests < self.quota.requests => {
                let request = allocate(self.quota.each, Gfp::NOWAIT).ok()?;
                self.requests += 1;
                request
            }
            None => return None,
        };
        // One that had to begin with few pages is as good as any when there is memory.
        request.as_mut().grow();
        Some(request)
    }

    /// Returns whether a request is idle, so that the device is not what is waited for, and there
    /// was free memory for all of its pages.
    fn could_use_help(&mut self) -> bool {
        self.idle.last_mut().is_some_and(|request| {
            request.as_mut().grow();
            request.capacity() == self.quota.each
        })
    }

    /// Waits for all requests. Returns what to tell the user, if writing ended like this.
    fn finish(mut self, end: Result) -> Result {
        if end.is_err() {
            self.result = end;
        }
        while let Some(request) = self.writer.wait() {
            self.complete(request);
        }
        match end {
            Err(EINTR | ERESTARTSYS) => end,
            _ => self.result,
        }
    }

    /// Writes back some slots, and returns when all have been submitted.
    fn write<'s>(&mut self, slots: impl Iterator<Item = &'s [usize]>) -> Result {
        let mut slots = slots.flatten().copied().peekable();
        while let Some(&next) = slots.peek() {
            self.job.check_stop()?;
            // Whether there is room or budget is asked only for pages that need it.
            if !self.job.pages.is_selected(next) {
                slots.next();
                continue;
            }
            while let Some(request) = self.writer.try_next() {
                self.complete(request);
            }
            let Some(mut request) = self.take() else {
                // By the type invariants there is one. What it frees may do for another one.
                if let Some(request) = self.writer.wait() {
                    self.complete(request);
                }
                continue;
            };

            let charge = self.job.budget.charge(request.capacity());
            if charge.pages == 0 {
                self.put_back(request);
                return Err(EIO);
            }
            let run = match self.job.backing.blocks.reserve(charge.pages) {
                Ok(run) => run,
                Err(reason) => {
                    self.job.budget.refund(charge, charge.pages);
                    self.put_back(request);
                    match reason {
                        NoBlock::Full => return Err(ENOSPC),
                        // A read ends in an interrupt, and a stop does not wake: so this polls.
                        NoBlock::Busy => fsleep(BUSY_WAIT),
                    }
                    continue;
                }
            };
            let filled = self.fill(&mut request, &mut slots, run.len());
            for number in run.start + filled..run.end {
                self.job.backing.blocks.release(Block::from_number(number));
            }
            self.job.budget.refund(charge, charge.pages - filled);
            if filled == 0 {
                self.put_back(request);
                continue;
            }
            let batch = request.as_mut().data();
            batch.first = run.start;
            batch.charge = charge;
            batch.single = None;
            self.writer.submit(request, 0..filled, run.start);
            // A device that is done when it has been asked is never waited for.
            match self.role {
                Role::Asker => cond_resched(),
                Role::Helper => give_way(),
            }
        }
        Ok(())
    }

    /// Copies the pages of at most `max` slots into a request, and returns of how many.
    fn fill(
        &mut self,
        request: &mut Request,
        slots: &mut impl Iterator<Item = usize>,
        max: usize,
    ) -> usize {
        request.as_mut().data().slots.clear();
        let mut filled = 0;
        while filled < max {
            let Some(index) = slots.next() else { break };
            let Some(page) = request.page(filled) else {
                break;
            };
            match self.job.pages.copy_for_writeback(index, page) {
                Ok(true) => (),
                Ok(false) => continue,
                Err(error) => {
                    self.result = Err(error);
                    continue;
                }
            }
            if let Err(error) = request.as_mut().data().slots.push_within_capacity(index) {
                self.job.pages.deselect(index);
                self.result = Err(error.into());
                break;
            }
            filled += 1;
        }
        filled
    }

    /// Deals with a request that is done.
    fn complete(&mut self, mut request: Request) {
        let status = request.status();
        let batch = request.as_mut().data();
        let (first, len) = (batch.first, batch.slots.len());
        let done = match batch.single {
            Some(page) => page..page + 1,
            None => 0..len,
        };
        let stop = self.job.check_stop();
        if status.is_err() && done.len() > 1 && stop.is_ok() {
            // Something among these pages, or among these blocks, is bad. Find out which.
            batch.single = Some(0);
            self.writer.submit(request, 0..1, first);
            return;
        }
        if status.is_ok() {
            self.job.pages.stats.bd_writes.add(done.len());
        }
        for page in done.clone() {
            self.settle(batch, page, status);
        }
        // One after the other, whatever becomes of them; but each may take long to fail.
        if stop.is_err() {
            for page in done.end..len {
                self.settle(batch, page, stop);
            }
        } else if done.end < len {
            batch.single = Some(done.end);
            self.writer
                .submit(request, done.end..done.end + 1, first + done.end);
            return;
        }
        self.put_back(request);
    }

    /// Deals with one page of a request, which was written, or not.
    fn settle(&mut self, batch: &Batch, page: usize, status: Result) {
        let Some(&index) = batch.slots.get(page) else {
            return;
        };
        let block = Block::from_number(batch.first + page);
        match status {
            Ok(()) => self.job.pages.written_back(index, block, self.job.backing),
            Err(error) => {
                self.result = Err(error);
                self.job.pages.deselect(index);
                self.job.backing.blocks.release(block);
                self.job.budget.refund(batch.charge, 1);
            }
        }
    }

    /// Keeps a request for the next use, or frees it if memory is too short even for its place.
    fn put_back(&mut self, request: Request) {
        // INVARIANT: There is a place for the only one: since `new`, the vector has room for one.
        if self.idle.push(request, GFP_NOWAIT).is_err() {
            self.requests -= 1;
        }
    }
}

#[kunit_tests(zram_rs_writeback)]
mod tests {
    use super::*;

    fn parse(text: &CStr) -> Result<(Filter, KVec<Range<usize>>)> {
        let selection = Selection::parse(text, 100)?;
        Ok((selection.filter, selection.ranges))
    }

    #[test]
    fn kinds() -> Result {
        let kinds = [
            (c"idle", true, false, false),
            (c"huge\n", false, true, false),
            (c" huge_idle ", true, true, false),
            (c"incompressible", false, false, true),
            (c"type=idle", true, false, false),
            (c"type=huge", false, true, false),
            (c"type=huge_idle\n", true, true, false),
            (c"type=incompressible", false, false, true),
            // What follows is not looked at.
            (c"type=idle page_index=1000", true, false, false),
        ];
        for (text, idle, huge, incompressible) in kinds {
            let (filter, ranges) = parse(text)?;
            assert_eq!(
                filter,
                Filter {
                    idle,
                    huge,
                    incompressible
                }
            );
            assert_eq!(ranges[..], [0..100]);
        }
        Ok(())
    }

    #[test]
    fn pages() -> Result {
        let (filter, ranges) = parse(c"page_index=5")?;
        assert_eq!(filter, Filter::default());
        assert_eq!(ranges[..], [5..6]);
        let (_, ranges) = parse(c"page_indexes=0-99\n")?;
        assert_eq!(ranges[..], [0..100]);
        let (_, ranges) = parse(c"page_index=9 page_indexes=3-5 page_index=0 page_indexes=5-9")?;
        assert_eq!(ranges[..], [0..1, 3..6, 6..10]);
        let (_, ranges) = parse(c"page_indexes=1-9 page_indexes=2-3 page_index=9")?;
        assert_eq!(ranges[..], [1..10]);
        // A kind does not add anything to pages.
        let (filter, ranges) = parse(c"page_index=5 type=idle")?;
        assert_eq!(filter, Filter::default());
        assert_eq!(ranges[..], [5..6]);
        Ok(())
    }

    #[test]
    fn nothing() -> Result {
        for text in [c"", c"\n", c"   ", c"colour=blue"] {
            assert!(parse(text)?.1.is_empty());
        }
        Ok(())
    }

    #[test]
    fn errors() {
        let errors = [
            (c"idles", EINVAL),
            (c"type=", EINVAL),
            (c"type=all", EINVAL),
            (c"page_index", EINVAL),
            (c"page_index=", EINVAL),
            (c"page_index=x", EINVAL),
            (c"page_index=-1", EINVAL),
            (c"page_index=1x", EINVAL),
            (c"page_index=100", ERANGE),
            (c"page_index=99999999999999999999999", ERANGE),
            (c"page_indexes=5", EINVAL),
            (c"page_indexes=-5", EINVAL),
            (c"page_indexes=5-", EINVAL),
            (c"page_indexes=5-x", EINVAL),
            (c"page_indexes=6-5", ERANGE),
            (c"page_indexes=5-100", ERANGE),
            (c"page_indexes=100-101", ERANGE),
            (c"page_index=1 page_index=x", EINVAL),
            (c"page_index=1 nonsense", EINVAL),
        ];
        for (text, error) in errors {
            assert_eq!(parse(text), Err(error));
        }
    }

    /// What is left in a queue of `len` slots for the front, after so many pieces for the back.
    fn front_after_back(len: usize, back: usize) -> Result<KVec<usize>> {
        let mut slots = KVec::new();
        for index in 0..len {
            slots.push(index, GFP_KERNEL)?;
        }
        let queue = Queue::new(&slots);
        let mut end = len;
        for piece in queue.pieces(End::Back).take(back) {
            assert_eq!(piece.last(), Some(&(end - 1)));
            end = piece[0];
        }
        let mut front = KVec::new();
        for piece in queue.pieces(End::Front) {
            front.extend_from_slice(piece, GFP_KERNEL)?;
        }
        assert_eq!(front[..], slots[..end]);
        // There is no more for anybody.
        assert!(queue.pieces(End::Back).next().is_none());
        Ok(front)
    }

    #[test]
    fn queue_has_two_ends() -> Result {
        const PIECE: usize = REQUEST_PAGES;
        assert_eq!(front_after_back(0, 0)?.len(), 0);
        assert_eq!(front_after_back(1, 0)?.len(), 1);
        assert_eq!(front_after_back(1, 1)?.len(), 0);
        assert_eq!(front_after_back(3 * PIECE, 1)?.len(), 2 * PIECE);
        // The last piece may be shorter.
        assert_eq!(front_after_back(3 * PIECE + 1, 0)?.len(), 3 * PIECE + 1);
        assert_eq!(front_after_back(3 * PIECE + 1, 2)?.len(), 2 * PIECE);
        assert_eq!(front_after_back(3 * PIECE + 1, 9)?.len(), 0);
        Ok(())
    }

    #[test]
    fn queue_gives_each_slot_to_one() -> Result {
        const LEN: usize = 10_000;
        let mut slots = KVec::new();
        let mut times = KVec::new();
        for index in 0..LEN {
            slots.push(index, GFP_KERNEL)?;
            times.push(Atomic::new(0), GFP_KERNEL)?;
        }
        let queue = Queue::new(&slots);
        let take = |end| {
            for &index in queue.pieces(end).flatten() {
                times[index].add(1, Relaxed);
            }
        };
        with_help(&mut || take(End::Back), || take(End::Front));
        assert!(times.iter().all(|times| times.load(Relaxed) == 1));
        Ok(())
    }

    #[test]
    fn quota_is_bounded() {
        let quota = |batch, pages, total| {
            let Quota { requests, each } = Quota::new(batch, pages, total);
            (requests, each)
        };
        const PLENTY: usize = 1 << 24;
        assert_eq!(quota(32, 1 << 20, PLENTY), (32, REQUEST_PAGES));
        assert_eq!(quota(1, 1 << 20, PLENTY), (1, REQUEST_PAGES));
        // No more than there is to write.
        assert_eq!(quota(32, 1, PLENTY), (1, 1));
        assert_eq!(quota(32, 64, PLENTY), (32, 2));
        assert_eq!(quota(0, 0, PLENTY), (1, 1));
        // A share of the machine's memory, but for a request's worth.
        assert_eq!(quota(u32::MAX, 1 << 20, 1 << 18), (1 << 10, 1));
        assert_eq!(quota(32, 1 << 20, 1 << 17), (32, 16));
        assert_eq!(quota(32, 1 << 20, 1), (REQUEST_PAGES, 1));
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

    #[test]
    fn budget() {
        let mut limit = Limit {
            enabled: false,
            units: 10 * UNITS,
            generation: 0,
        };
        // Not in force: nothing is charged, nor refunded.
        let free = limit.charge(1000);
        assert_eq!(free.pages, 1000);
        assert_eq!(limit.units, 10 * UNITS);
        limit.enabled = true;
        limit.refund(free, 1000);
        assert_eq!(limit.units, 10 * UNITS);

        let most = limit.charge(7);
        assert_eq!((most.pages, limit.units), (7, 3 * UNITS));
        let rest = limit.charge(7);
        assert_eq!((rest.pages, limit.units), (3, 0));
        assert_eq!(limit.charge(1).pages, 0);
        limit.refund(most, 2);
        assert_eq!(limit.charge(5).pages, 2);

        // What was charged to an old limit is not refunded to a new one.
        limit.generation += 1;
        limit.refund(rest, 3);
        assert_eq!(limit.units, 0);

        limit.units = u64::MAX & !(UNITS - 1);
        let all = limit.charge(usize::MAX);
        limit.refund(all, all.pages);
        assert_eq!(limit.units, u64::MAX & !(UNITS - 1));
    }
}
