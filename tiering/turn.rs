// SPDX-License-Identifier: GPL-2.0

//! A turn: which pages it processes, and how it processes a slice of them.

use super::{
    ages::{
        Ages,
        Oldest, //
    },
    schedule::Due,
    settings::{
        AutoRecompress,
        AutoWriteback, //
    },
    TieringStat,
    TurnEnd,
    TurnStat, //
};
use crate::{
    abstractions::{
        alloc::Gfp,
        page::OwnedPage,
        sched::{
            available_pages,
            cond_resched,
            totalram_pages, //
        },
    },
    backing::share::MAX_SHARES,
    comp::Priority,
    recompress,
    select::Sorter,
    slot::SlotGuard,
    store::Store,
    turn::Kind,
    writeback::{
        self,
        budget::Budget,
        compact,
        group::{
            GroupEnd,
            SetAside, //
        },
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Maximum number of pages of a slice: 1 MiB of them.
const SLICE: usize = (1 << 20) / PAGE_SIZE;

/// Maximum number of slots that a slice looks at.
const SLICE_SLOTS: usize = 16 * 1024;

/// What a slice needs, so that it needs no free memory.
pub(super) struct Tools {
    ages: KBox<Ages>,
    group: Sorter,
    copy: OwnedPage,
    set_aside: SetAside,
}

impl Tools {
    /// Allocates it. May sleep; `ENOMEM` if there is no memory.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            ages: KBox::new(Ages::new(), GFP_KERNEL)?,
            group: Sorter::new(SLICE, Gfp::KERNEL)?,
            copy: OwnedPage::new(Gfp::KERNEL)?,
            set_aside: SetAside::new()?,
        })
    }
}

/// What a turn does.
#[derive(Clone, Copy)]
pub(super) enum Task {
    Recompress {
        what: AutoRecompress,
        priority: Priority,
    },
    /// Write back pages; if `pressed` is set, because the machine has little available memory.
    Writeback { what: AutoWriteback, pressed: bool },
}

impl Task {
    /// Returns the counters of the turns of this kind.
    pub(super) fn stat<'a>(&self, stat: &'a mut TieringStat) -> &'a mut TurnStat {
        match self {
            Task::Recompress { .. } => &mut stat.recompress,
            Task::Writeback { .. } => &mut stat.writeback,
        }
    }

    /// Returns what users call the turns of this kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Task::Recompress { .. } => Kind::AutoRecompress,
            Task::Writeback { .. } => Kind::AutoWriteback,
        }
    }

    /// Returns what the schedule calls it.
    pub(super) fn due(&self) -> Due {
        match self {
            Task::Recompress { .. } => Due::Recompress,
            Task::Writeback { pressed: false, .. } => Due::Writeback,
            Task::Writeback { pressed: true, .. } => Due::Pressed,
        }
    }

    /// Returns the maximum number of pages.
    fn max(&self) -> usize {
        match self {
            Task::Recompress { what, .. } => what.max,
            Task::Writeback { what, .. } => what.max,
        }
    }

    /// Returns whether the page in a slot is to be processed that was last used `age` seconds ago.
    fn wants(&self, slot: &SlotGuard<'_>, age: u32) -> bool {
        match *self {
            Task::Recompress { what, priority } => {
                age > what.age
                    && recompress::is_worth_trying(slot, priority)
                    && slot.tried() < priority
                    && slot.object_size().unwrap_or(0) >= what.threshold
            }
            Task::Writeback { what, pressed } => match pressed {
                // A page that is being used would come back at once.
                true => age > 0,
                false => {
                    age > what.age
                        || what.huge_age.is_some_and(|huge_age| age > huge_age) && slot.is_huge()
                }
            },
        }
    }
}

/// What the next slice of a turn does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first slice.
    Begin,
    /// Pack pages of sparse blocks of the backing device anew.
    Compact,
    /// Count pages by their ages.
    Count,
    /// Process pages.
    Process,
}

/// A turn in progress.
pub(super) struct Turn {
    pub(super) task: Task,
    /// When the turn began, in seconds since boot.
    began: u32,
    phase: Phase,
    /// The next slot to look at.
    next: usize,
    oldest: Oldest,
    /// How many more pages may be processed, or moved on the backing device.
    left: usize,
    /// Number of pages that were processed.
    pub(super) pages: u64,
    /// Number of pages that were moved on the backing device.
    moved: u64,
    /// Bytes that were written to the backing device, or that recompression has freed.
    bytes: u64,
    /// Nanoseconds that the worker spent.
    pub(super) nanoseconds: u64,
    /// The store that the turn has begun on, by its number.
    store: Option<u64>,
    /// What has failed, if something did.
    error: Option<Error>,
}

impl Turn {
    /// Begins a turn at `began`. Any context.
    pub(super) fn new(task: Task, began: u32) -> Self {
        Self {
            task,
            began,
            phase: Phase::Begin,
            next: 0,
            oldest: Oldest::NONE,
            left: task.max(),
            pages: 0,
            moved: 0,
            bytes: 0,
            nanoseconds: 0,
            store: None,
            error: None,
        }
    }

    /// Returns the number of blocks of the backing device that were written. Any context.
    pub(super) fn blocks(&self) -> u64 {
        match self.task {
            Task::Recompress { .. } => 0,
            Task::Writeback { .. } => self.bytes / PAGE_SIZE as u64,
        }
    }

    /// Returns the number of the error that ended the turn, negative; 0 if none did. Any context.
    pub(super) fn errno(&self) -> i32 {
        self.error.map_or(0, Error::to_errno)
    }

    /// Returns whether the turn has done a slice. Any context.
    pub(super) fn has_begun(&self) -> bool {
        self.store.is_some()
    }

    /// Returns whether the turn has begun on this store, or has something to do with it. Any
    /// context.
    pub(super) fn is_ready(&self, store: &Store) -> bool {
        if let Some(number) = self.store {
            return number == store.number();
        }
        match self.task {
            Task::Recompress { what, priority } => {
                what.threshold < store.pool().huge_size() && store.streams.get(priority).is_some()
            }
            Task::Writeback { what, pressed } => {
                store.backing().is_some() && (pressed || is_above(&what, store))
            }
        }
    }

    /// Adds the turn, which has ended, to the counters. Any context.
    pub(super) fn count(&self, end: TurnEnd, stat: &mut TieringStat) {
        let stat = self.task.stat(stat);
        stat.turns += 1;
        stat.pages += self.pages;
        stat.moved += self.moved;
        stat.bytes += self.bytes;
        stat.nanoseconds += self.nanoseconds;
        if let Some(count) = stat.ends.get_mut(end as usize) {
            *count += 1;
        }
    }

    /// Returns the age of the page in a slot if the page is to be processed.
    fn age(&self, slot: &SlotGuard<'_>) -> Option<u32> {
        slot.object_size()?;
        let age = self.began.saturating_sub(slot.last_access());
        self.task.wants(slot, age).then_some(age)
    }

    /// Does the next slice, and returns why the turn has ended if it has.
    ///
    /// # Context
    ///
    /// A worker, with the right to post-process the disk. May sleep, but not for memory.
    pub(super) fn slice(
        &mut self,
        store: &Store,
        budget: &Budget,
        tools: &mut Tools,
    ) -> Option<TurnEnd> {
        self.store = Some(store.number());
        if self.phase == Phase::Begin {
            // Fewer pages than a block can have might take as many blocks as they free.
            self.phase = match (self.task, store.backing()) {
                (Task::Writeback { .. }, Some(backing))
                    if self.left >= MAX_SHARES && writeback::is_short(store, backing) =>
                {
                    Phase::Compact
                }
                _ => Phase::Count,
            };
        }
        match self.phase {
            Phase::Compact => self.compact(store, budget, tools),
            Phase::Begin | Phase::Count => self.count_ages(store, tools),
            Phase::Process => self.process(store, budget, tools),
        }
    }

    /// Processes the pages of some slots.
    fn process(&mut self, store: &Store, budget: &Budget, tools: &mut Tools) -> Option<TurnEnd> {
        if let Task::Writeback { what, pressed } = self.task {
            let enough = match pressed {
                true => !is_pressed(&what),
                false => !is_above(&what, store),
            };
            if enough {
                return Some(TurnEnd::Enough);
            }
            if budget.blocks() == 0 {
                return Some(TurnEnd::Limit);
            }
        }
        self.collect(store, &mut tools.group);
        let end = match self.task {
            _ if tools.group.is_empty() => None,
            Task::Recompress { what, priority } => {
                self.recompress_group(store, what.threshold, priority, tools)
            }
            Task::Writeback { pressed, .. } => self.write_group(store, budget, tools, pressed),
        };
        if end.is_some() {
            return end;
        }
        match self.next >= store.table.len() {
            true if self.oldest.all => Some(TurnEnd::Done),
            true => Some(TurnEnd::Max),
            false if self.left == 0 => Some(TurnEnd::Max),
            false => None,
        }
    }

    /// Packs pages of some slots anew that are in sparse blocks of the backing device.
    fn compact(&mut self, store: &Store, budget: &Budget, tools: &mut Tools) -> Option<TurnEnd> {
        let (Some(backing), Task::Writeback { pressed, .. }) = (store.backing(), self.task) else {
            return Some(TurnEnd::Stopped);
        };
        if budget.blocks() == 0 {
            return Some(TurnEnd::Limit);
        }
        let before = store.stats.bd_writes.get();
        let end = self.next.saturating_add(SLICE_SLOTS).min(store.table.len());
        let mut slice = compact::Slice {
            slots: self.next..end,
            max: self.left,
            urgent: pressed,
        };
        let (group, set_aside) = (&mut tools.group, &mut tools.set_aside);
        let result = compact::slice(store, backing, budget, &mut slice, group, set_aside);
        self.next = slice.slots.start;
        self.bytes += (store.stats.bd_writes.get() - before) * PAGE_SIZE as u64;
        let moved = pages_on_device(store, group);
        self.moved += moved;
        self.left = self.left.saturating_sub(moved as usize);
        if self.left == 0 {
            return Some(TurnEnd::Max);
        }
        match result {
            Ok(()) if self.next < store.table.len() => return None,
            Err(EINTR | ERESTARTSYS) => return Some(TurnEnd::Stopped),
            // Writeback tells whether the limit or the device is the reason, and needs no free
            // memory.
            _ => (),
        }
        self.phase = Phase::Count;
        self.next = 0;
        None
    }

    /// Counts the pages in question in some slots by their ages.
    fn count_ages(&mut self, store: &Store, tools: &mut Tools) -> Option<TurnEnd> {
        if self.next == 0 {
            tools.ages.clear();
        }
        let end = self.next.saturating_add(SLICE_SLOTS);
        store.table.for_each(self.next..end, |_index, slot| {
            if let Some(age) = self.age(&slot) {
                tools.ages.count(age);
            }
            true
        });
        self.next = end;
        if end < store.table.len() {
            return None;
        }
        self.phase = Phase::Process;
        self.next = 0;
        self.oldest = tools.ages.oldest(self.left);
        tools.ages.is_empty().then_some(TurnEnd::Done)
    }

    /// Selects slots of the oldest pages, from some slots, as the group of the slice.
    fn collect(&mut self, store: &Store, group: &mut Sorter) {
        group.clear();
        let max = group.room().min(self.left);
        let range = self.next..self.next.saturating_add(SLICE_SLOTS);
        let mut next = range.end;
        store.table.for_each(range, |index, mut slot| {
            if group.len() == max {
                next = index;
                return false;
            }
            if let (Some(age), Some(size)) = (self.age(&slot), slot.object_size()) {
                if self.oldest.take(age) {
                    slot.set_selected(true);
                    group.add(index, size);
                }
            }
            true
        });
        self.next = next;
    }

    /// Writes back the group of a slice.
    fn write_group(
        &mut self,
        store: &Store,
        budget: &Budget,
        tools: &mut Tools,
        urgent: bool,
    ) -> Option<TurnEnd> {
        let Some(backing) = store.backing() else {
            // It was there when the turn began.
            for index in tools.group.slots() {
                store.table.deselect(index);
            }
            return Some(TurnEnd::Stopped);
        };
        let before = store.stats.bd_writes.get();
        let (group, set_aside) = (&mut tools.group, &mut tools.set_aside);
        let end = writeback::group::run(store, backing, budget, group, set_aside, urgent);
        // Only the task with the right to post-process the disk writes to the device.
        self.bytes += (store.stats.bd_writes.get() - before) * PAGE_SIZE as u64;
        let pages = pages_on_device(store, group);
        self.pages += pages;
        self.left = self.left.saturating_sub(pages as usize);
        match end {
            GroupEnd::Written => None,
            GroupEnd::Limit => Some(TurnEnd::Limit),
            GroupEnd::Full => Some(TurnEnd::Full),
            GroupEnd::Failed(error) => {
                self.error = Some(error);
                Some(TurnEnd::Failed)
            }
            GroupEnd::Stopped => Some(TurnEnd::Stopped),
        }
    }

    /// Recompresses the group of a slice.
    fn recompress_group(
        &mut self,
        store: &Store,
        threshold: usize,
        priority: Priority,
        tools: &mut Tools,
    ) -> Option<TurnEnd> {
        let size = |index| {
            let slot = store.table.lock(index);
            slot.and_then(|slot| slot.object_size())
        };
        let mut end = None;
        for (index, before) in tools.group.sizes() {
            if end.is_some() {
                store.table.deselect(index);
                continue;
            }
            let page = tools.copy.as_page();
            match recompress::page(store, index, priority, threshold, page, None) {
                Ok(true) => {
                    let after = size(index).unwrap_or(before);
                    self.pages += 1;
                    self.bytes += before.saturating_sub(after) as u64;
                    self.left = self.left.saturating_sub(1);
                }
                Ok(false) => (),
                Err(error) => {
                    store.table.deselect(index);
                    // A page that is broken does not end the turn.
                    if error == ENOMEM {
                        self.error = Some(error);
                        end = Some(TurnEnd::Failed);
                    }
                }
            }
            if store.check_stop(kernel::current!()).is_err() {
                end = Some(TurnEnd::Stopped);
            }
            cond_resched();
        }
        end
    }
}

/// Returns how many pages of a group are on the backing device.
fn pages_on_device(store: &Store, group: &Sorter) -> u64 {
    let on_device = |index: &usize| {
        let slot = store.table.lock(*index);
        slot.is_some_and(|slot| slot.is_written_back())
    };
    group.slots().filter(on_device).count() as u64
}

/// Returns whether the machine has less available memory than the user wants.
pub(super) fn is_pressed(what: &AutoWriteback) -> bool {
    what.available
        .is_some_and(|percent| available_pages() * 100 < totalram_pages() * usize::from(percent))
}

/// Returns whether the disk uses so much memory that pages are to be written back.
fn is_above(what: &AutoWriteback, store: &Store) -> bool {
    what.above.is_none_or(|percent| {
        let whole = store.limit().unwrap_or_else(totalram_pages);
        store.pool().pages() * 100 > whole * usize::from(percent)
    })
}
