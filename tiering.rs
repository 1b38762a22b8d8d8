// SPDX-License-Identifier: GPL-2.0

//! Tiering: recompresses and writes back pages that were not used for long, without being asked.
//!
//! A turn recompresses, or writes back, the pages of some ages. It first counts the pages by their
//! ages, to find which are the oldest, if it may not take all. Then it walks the slots once more,
//! and processes the pages in slices of at most 1 MiB.
//!
//! Each slice is one call of the work function, in which the worker has the right to post-process
//! the disk. Between two slices it does not have it: a task that waits for it goes first, and so
//! does what waits for the work: a reset, a removal, and the freezer, which holds the workqueue.
//! After the freezer the turn goes on.
//!
//! The worker takes no lock that I/O takes, but the lock of a slot while it copies a page. What a
//! slice needs is allocated when tiering is turned on; the rest comes from free memory, so that the
//! worker never waits for memory that it is about to free.

mod ages;
pub(crate) mod post_processing;
pub(crate) mod settings;

use crate::{
    abstractions::{
        alloc::Gfp,
        page::OwnedPage,
        repeated_work::{
            Background,
            Repeat,
            RepeatedWork, //
        },
        sched::{
            available_pages,
            boottime_seconds,
            cond_resched,
            totalram_pages, //
        },
    },
    comp::{
        Algorithm,
        Priority, //
    },
    recompress,
    select::Sorter,
    slot::SlotGuard,
    store::Store,
    writeback::{
        self,
        budget::Budget,
        group::{
            GroupEnd,
            SetAside, //
        },
    },
};
use ages::{
    Ages,
    Oldest, //
};
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};
use post_processing::PostProcessing;
use settings::{
    AutoRecompress,
    AutoWriteback, //
};

/// Maximum number of pages of a slice: 1 MiB of them.
const SLICE: usize = (1 << 20) / PAGE_SIZE;

/// Maximum number of slots that a slice looks at.
const SLICE_SLOTS: usize = 16 * 1024;

/// How long a worker waits for other post-processing before it looks again, in milliseconds.
const GIVE_WAY: u32 = 20;

/// How often the machine's available memory is looked at, in milliseconds.
const CHECK_AVAILABLE: u32 = 1000;

/// The longest time until a worker looks at the clock again, in milliseconds: timers stand still
/// while the machine is suspended.
const LONGEST_WAIT: u32 = 3_600_000;

/// What tiering needs to know of a disk.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Returns the store of the disk, or `None` if the disk is not initialised. May sleep.
    ///
    /// The caller has the right to post-process the disk, and drops the store before the right.
    fn store(&self) -> Option<Arc<Store>>;

    /// Returns the priority with this number, algorithm, or both, or `None` if the disk has none;
    /// with neither, the lowest for recompression. May sleep.
    fn find_priority(
        &self,
        number: Option<Priority>,
        algorithm: Option<Algorithm>,
    ) -> Option<Priority>;
}

/// The workqueue of the driver for tiering, which is made when a disk needs it for the first time.
#[pin_data]
pub(crate) struct Workers {
    #[pin]
    queue: Mutex<Option<Arc<Background>>>,
}

impl Workers {
    /// Creates the place for the workqueue. Any context.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            queue <- new_mutex!(None, "zram_rs workers"),
        })
    }

    /// Returns the workqueue. May sleep; `ENOMEM` if there is no memory for it.
    fn get(&self) -> Result<Arc<Background>> {
        let mut queue = self.queue.lock();
        if let Some(queue) = &*queue {
            return Ok(queue.clone());
        }
        let new = Arc::new(Background::new(c"zram_rs_auto")?, GFP_KERNEL)?;
        *queue = Some(new.clone());
        Ok(new)
    }
}

/// Why a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TurnEnd {
    /// All pages in question were processed.
    Done,
    /// As many pages were processed as a turn may.
    Max,
    /// The limit of writeback is used up.
    Limit,
    /// The backing device has no free block.
    Full,
    /// Enough memory is available, or little enough is in use.
    Enough,
    /// There was no memory, or the backing device failed.
    Failed,
    /// The disk was reset, or another setting was made.
    Stopped,
}

impl TurnEnd {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Done,
        Self::Max,
        Self::Limit,
        Self::Full,
        Self::Enough,
        Self::Failed,
        Self::Stopped,
    ];

    /// Returns the name that users see.
    #[allow(dead_code, reason = "for the file with the statistics")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Max => "max",
            Self::Limit => "limit",
            Self::Full => "full",
            Self::Enough => "enough",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What the turns of one kind did since the disk was added.
#[derive(Clone, Copy, Default)]
pub(crate) struct TurnStat {
    /// Number of turns that have ended.
    pub(crate) turns: u64,
    /// Number of pages that were recompressed or written back.
    pub(crate) pages: u64,
    /// Bytes that were written to the backing device, or that recompression has freed.
    pub(crate) bytes: u64,
    /// Nanoseconds that workers spent.
    pub(crate) nanoseconds: u64,
    /// Number of turns that ended for each reason, in the order of [`TurnEnd::ALL`].
    pub(crate) ends: [u64; TurnEnd::ALL.len()],
}

/// What the turns of a disk did since the disk was added.
#[derive(Clone, Copy, Default)]
pub(crate) struct TieringStat {
    pub(crate) recompress: TurnStat,
    pub(crate) writeback: TurnStat,
}

/// What the user wants.
#[derive(Clone, Copy, Default)]
struct Settings {
    writeback: Option<AutoWriteback>,
    recompress: Option<AutoRecompress>,
    /// Changes with each setting.
    serial: u32,
}

impl Settings {
    fn is_off(&self) -> bool {
        self.writeback.is_none() && self.recompress.is_none()
    }
}

/// What the tiering of a disk and its worker share.
#[derive(Clone)]
struct Shared {
    post_processing: Arc<PostProcessing>,
    budget: Arc<Budget>,
    stat: Arc<Mutex<TieringStat>>,
}

/// The tiering of a disk; a worker exists while it is on.
///
/// # Context
///
/// All methods may sleep, as may dropping it. A change of the settings waits for a slice in
/// progress at most.
#[pin_data]
pub(crate) struct Tiering<D: Disk + Clone> {
    disk: D,
    workers: Arc<Workers>,
    shared: Shared,
    #[pin]
    state: Mutex<TieringState<D>>,
}

struct TieringState<D: Disk> {
    settings: Settings,
    /// `None` while nothing is on.
    work: Option<Pin<KBox<RepeatedWork<Worker<D>>>>>,
    /// Whether the disk is being removed.
    stopped: bool,
}

impl<D: Disk + Clone> Tiering<D> {
    /// Creates the tiering of a disk with these settings.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(
        disk: D,
        workers: Arc<Workers>,
        post_processing: Arc<PostProcessing>,
        budget: Arc<Budget>,
        writeback: Option<AutoWriteback>,
        recompress: Option<AutoRecompress>,
    ) -> Result<impl PinInit<Self>> {
        let stat = new_mutex!(TieringStat::default(), "zram_rs tiering stat");
        let shared = Shared {
            post_processing,
            budget,
            stat: Arc::pin_init(stat, GFP_KERNEL)?,
        };
        let settings = Settings {
            writeback,
            recompress,
            serial: 0,
        };
        let state = TieringState {
            settings,
            work: match settings.is_off() {
                true => None,
                false => Some(Worker::start(&disk, &shared, &workers, settings)?),
            },
            stopped: false,
        };
        Ok(pin_init!(Self {
            disk,
            workers,
            shared,
            state <- new_mutex!(state, "zram_rs tiering"),
        }))
    }

    /// Returns the setting of `auto_writeback`, or `None` if it is off.
    pub(crate) fn writeback(&self) -> Option<AutoWriteback> {
        self.state.lock().settings.writeback
    }

    /// Returns the setting of `auto_recompress`, or `None` if it is off.
    pub(crate) fn recompress(&self) -> Option<AutoRecompress> {
        self.state.lock().settings.recompress
    }

    /// Returns what the turns did so far.
    #[allow(dead_code, reason = "for the file with the statistics")]
    pub(crate) fn stat(&self) -> TieringStat {
        *self.shared.stat.lock()
    }

    /// Sets when to write back pages; `None` turns it off. The next turn is `every` seconds away.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - `ENODEV`: the disk is being removed.
    pub(crate) fn set_writeback(&self, writeback: Option<AutoWriteback>) -> Result {
        self.set(|settings| settings.writeback = writeback)
    }

    /// Sets when to recompress pages, as [`set_writeback`](Self::set_writeback) does.
    ///
    /// # Errors
    ///
    /// Those of [`set_writeback`](Self::set_writeback).
    pub(crate) fn set_recompress(&self, recompress: Option<AutoRecompress>) -> Result {
        self.set(|settings| settings.recompress = recompress)
    }

    /// Changes the settings.
    fn set(&self, change: impl FnOnce(&mut Settings)) -> Result {
        let mut state = self.state.lock();
        if state.stopped {
            return Err(ENODEV);
        }
        let mut settings = state.settings;
        change(&mut settings);
        settings.serial = settings.serial.wrapping_add(1);
        if settings.is_off() {
            // Ends the turn in progress.
            state.work = None;
        } else if let Some(work) = &state.work {
            *work.data().settings.lock() = settings;
            work.wake(0);
        } else {
            let work = Worker::start(&self.disk, &self.shared, &self.workers, settings)?;
            state.work = Some(work);
        }
        state.settings = settings;
        Ok(())
    }

    /// Ends tiering for good: the disk is being removed.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.work = None;
    }
}

/// What a turn does.
#[derive(Clone, Copy)]
enum Task {
    Recompress {
        what: AutoRecompress,
        priority: Priority,
    },
    /// Write back pages; if `pressed` is set, because the machine has little available memory.
    Writeback { what: AutoWriteback, pressed: bool },
}

impl Task {
    /// Returns the counters of the turns of this kind.
    fn stat<'a>(&self, stat: &'a mut TieringStat) -> &'a mut TurnStat {
        match self {
            Task::Recompress { .. } => &mut stat.recompress,
            Task::Writeback { .. } => &mut stat.writeback,
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

/// A turn in progress.
struct Turn {
    task: Task,
    /// When the turn began, in seconds since boot.
    began: u32,
    /// Whether the pages have been counted.
    counted: bool,
    /// The next slot to look at.
    next: usize,
    oldest: Oldest,
    /// How many more pages may be processed.
    left: usize,
    pages: u64,
    bytes: u64,
    nanoseconds: u64,
}

impl Turn {
    fn new(task: Task, began: u32) -> Self {
        Self {
            task,
            began,
            counted: false,
            next: 0,
            oldest: Oldest::NONE,
            left: task.max(),
            pages: 0,
            bytes: 0,
            nanoseconds: 0,
        }
    }

    /// Returns the age of the page in a slot if the page is to be processed.
    fn age(&self, slot: &SlotGuard<'_>) -> Option<u32> {
        slot.object_size()?;
        let age = self.began.saturating_sub(slot.last_access());
        self.task.wants(slot, age).then_some(age)
    }
}

/// When turns are due, in seconds since boot; 0 for those that are off.
#[derive(Clone, Copy, Default)]
struct Schedule {
    recompress: u32,
    writeback: u32,
    /// Not before this time does a turn begin because little memory is available.
    pressed: u32,
    /// The turns that have become due; that of recompression comes first.
    recompress_is_due: bool,
    writeback_is_due: bool,
}

impl Schedule {
    /// Plans the next turns after a change of the settings.
    ///
    /// A turn that was planned before is not put off, however often the settings change.
    fn replan(&mut self, settings: &Settings, now: u32) {
        let plan = |planned: u32, every: Option<u32>| match (every, planned) {
            (None, _) => 0,
            (Some(every), 0) => now.saturating_add(every),
            (Some(every), planned) => planned.min(now.saturating_add(every)),
        };
        *self = Self {
            recompress: plan(self.recompress, settings.recompress.map(|what| what.every)),
            writeback: plan(self.writeback, settings.writeback.map(|what| what.every)),
            pressed: now,
            recompress_is_due: false,
            writeback_is_due: false,
        };
    }

    /// Notes which turns have become due.
    ///
    /// Recompression also comes before each writeback: a page that becomes old enough for both is
    /// to be written back in its smaller form.
    fn advance(&mut self, settings: &Settings, now: u32) {
        if let Some(what) = settings.writeback {
            if now >= self.writeback {
                self.writeback = now.saturating_add(what.every);
                self.writeback_is_due = true;
                self.recompress_is_due = settings.recompress.is_some();
            }
        }
        if let Some(what) = settings.recompress {
            if now >= self.recompress {
                self.recompress_is_due = true;
            }
            if self.recompress_is_due {
                self.recompress = now.saturating_add(what.every);
            }
        }
    }

    /// Returns after how many milliseconds a turn may be due again.
    fn wait(&self, settings: &Settings, now: u32) -> u32 {
        let mut wait = LONGEST_WAIT;
        let mut until = |time: u32| {
            wait = wait.min(time.saturating_sub(now).saturating_mul(1000));
        };
        if settings.recompress.is_some() {
            until(self.recompress);
        }
        if settings.writeback.is_some() {
            until(self.writeback);
        }
        if settings
            .writeback
            .is_some_and(|what| what.available.is_some())
        {
            until(self.pressed);
            wait = wait.max(CHECK_AVAILABLE);
        }
        wait.max(1)
    }
}

/// What a worker needs for a slice, and what it knows between two slices.
struct WorkerState {
    /// The serial number of the settings that the rest belongs to.
    serial: Option<u32>,
    schedule: Schedule,
    turn: Option<Turn>,
    ages: KBox<Ages>,
    group: Sorter,
    copy: OwnedPage,
    set_aside: SetAside,
}

/// The tiering of a disk while it is on.
struct Worker<D: Disk> {
    disk: D,
    shared: Shared,
    settings: Pin<KBox<Mutex<Settings>>>,
    /// Only the worker locks it.
    state: Pin<KBox<Mutex<WorkerState>>>,
}

impl<D: Disk> Worker<D> {
    /// Allocates what a worker needs. May sleep; `ENOMEM` if there is no memory.
    fn new(disk: D, shared: Shared, settings: Settings) -> Result<Self> {
        let state = WorkerState {
            serial: None,
            schedule: Schedule::default(),
            turn: None,
            ages: KBox::new(Ages::new(), GFP_KERNEL)?,
            group: Sorter::new(SLICE, Gfp::KERNEL)?,
            copy: OwnedPage::new(Gfp::KERNEL)?,
            set_aside: SetAside::new()?,
        };
        Ok(Self {
            disk,
            shared,
            settings: KBox::pin_init(new_mutex!(settings, "zram_rs tiering settings"), GFP_KERNEL)?,
            state: KBox::pin_init(new_mutex!(state, "zram_rs tiering worker"), GFP_KERNEL)?,
        })
    }

    /// Has a worker of the driver begin with these settings. May sleep; `ENOMEM` if there is no
    /// memory.
    fn start(
        disk: &D,
        shared: &Shared,
        workers: &Workers,
        settings: Settings,
    ) -> Result<Pin<KBox<RepeatedWork<Self>>>>
    where
        D: Clone,
    {
        let worker = Self::new(disk.clone(), shared.clone(), settings)?;
        let work = KBox::pin_init(RepeatedWork::new(workers.get()?, worker), GFP_KERNEL)?;
        work.wake(0);
        Ok(work)
    }

    /// Returns the next turn that is due.
    fn next_turn(&self, schedule: &mut Schedule, settings: &Settings, now: u32) -> Option<Turn> {
        if let Some(what) = settings.writeback {
            if now >= schedule.pressed && is_pressed(&what) {
                // A turn that achieves something has this set back when it ends.
                schedule.pressed = now.saturating_add(what.every);
                return Some(Turn::new(
                    Task::Writeback {
                        what,
                        pressed: true,
                    },
                    now,
                ));
            }
        }
        schedule.advance(settings, now);
        if core::mem::take(&mut schedule.recompress_is_due) {
            if let Some(what) = settings.recompress {
                if let Some(priority) = self.disk.find_priority(what.priority, what.algorithm) {
                    return Some(Turn::new(Task::Recompress { what, priority }, now));
                }
            }
        }
        if core::mem::take(&mut schedule.writeback_is_due) {
            if let Some(what) = settings.writeback {
                return Some(Turn::new(
                    Task::Writeback {
                        what,
                        pressed: false,
                    },
                    now,
                ));
            }
        }
        None
    }

    /// Counts a turn that has ended.
    fn count(&self, turn: &Turn, end: TurnEnd) {
        let mut stat = self.shared.stat.lock();
        let stat = turn.task.stat(&mut stat);
        stat.turns += 1;
        stat.pages += turn.pages;
        stat.bytes += turn.bytes;
        stat.nanoseconds += turn.nanoseconds;
        if let Some(count) = stat.ends.get_mut(end as usize) {
            *count += 1;
        }
    }

    /// Does the next slice of a turn, and returns why the turn has ended if it has.
    ///
    /// The caller has the right to post-process the disk.
    fn slice(&self, store: &Store, state: &mut WorkerState, turn: &mut Turn) -> Option<TurnEnd> {
        if !turn.counted {
            return self.count_ages(store, state, turn);
        }
        if let Task::Writeback { what, pressed } = turn.task {
            let enough = match pressed {
                true => !is_pressed(&what),
                false => !is_above(&what, store),
            };
            if enough {
                return Some(TurnEnd::Enough);
            }
            if self.shared.budget.blocks() == 0 {
                return Some(TurnEnd::Limit);
            }
        }
        self.collect(store, state, turn);
        let end = match turn.task {
            _ if state.group.is_empty() => None,
            Task::Recompress { what, priority } => {
                recompress_group(store, what.threshold, priority, state, turn)
            }
            Task::Writeback { .. } => self.write_group(store, state, turn),
        };
        if end.is_some() {
            return end;
        }
        match turn.next >= store.table.len() {
            true if turn.oldest.all => Some(TurnEnd::Done),
            true => Some(TurnEnd::Max),
            false if turn.left == 0 => Some(TurnEnd::Max),
            false => None,
        }
    }

    /// Counts the pages in question in some slots by their ages.
    fn count_ages(
        &self,
        store: &Store,
        state: &mut WorkerState,
        turn: &mut Turn,
    ) -> Option<TurnEnd> {
        if turn.next == 0 {
            state.ages.clear();
        }
        let end = turn.next.saturating_add(SLICE_SLOTS);
        store.table.for_each(turn.next..end, |_index, slot| {
            if let Some(age) = turn.age(&slot) {
                state.ages.count(age);
            }
            true
        });
        turn.next = end;
        if end < store.table.len() {
            return None;
        }
        turn.counted = true;
        turn.next = 0;
        turn.oldest = state.ages.oldest(turn.left);
        state.ages.is_empty().then_some(TurnEnd::Done)
    }

    /// Selects slots of the oldest pages, from some slots, as the group of the slice.
    fn collect(&self, store: &Store, state: &mut WorkerState, turn: &mut Turn) {
        let group = &mut state.group;
        group.clear();
        let max = group.room().min(turn.left);
        let range = turn.next..turn.next.saturating_add(SLICE_SLOTS);
        turn.next = range.end;
        let mut count = 0;
        let mut stopped_at = None;
        store.table.for_each(range, |index, mut slot| {
            if count == max {
                stopped_at = Some(index);
                return false;
            }
            if let (Some(age), Some(size)) = (turn.age(&slot), slot.object_size()) {
                if turn.oldest.take(age) {
                    slot.set_selected(true);
                    group.add(index, size);
                    count += 1;
                }
            }
            true
        });
        turn.next = stopped_at.unwrap_or(turn.next);
    }

    /// Writes back the group of a slice.
    fn write_group(
        &self,
        store: &Store,
        state: &mut WorkerState,
        turn: &mut Turn,
    ) -> Option<TurnEnd> {
        let backing = store.backing()?;
        let before = store.stats.bd_writes.get();
        let (group, set_aside) = (&mut state.group, &mut state.set_aside);
        let end = writeback::group::run(store, backing, &self.shared.budget, group, set_aside);
        // Only the task with the right to post-process the disk writes to the device.
        turn.bytes += (store.stats.bd_writes.get() - before) * PAGE_SIZE as u64;
        let on_device = |index: &usize| {
            let slot = store.table.lock(*index);
            slot.is_some_and(|slot| slot.is_written_back())
        };
        let pages = group.slots().filter(on_device).count();
        turn.pages += pages as u64;
        turn.left = turn.left.saturating_sub(pages);
        match end {
            GroupEnd::Written => None,
            GroupEnd::Limit => Some(TurnEnd::Limit),
            GroupEnd::Full => Some(TurnEnd::Full),
            GroupEnd::Failed => Some(TurnEnd::Failed),
            GroupEnd::Stopped => Some(TurnEnd::Stopped),
        }
    }
}

/// Recompresses the group of a slice.
fn recompress_group(
    store: &Store,
    threshold: usize,
    priority: Priority,
    state: &mut WorkerState,
    turn: &mut Turn,
) -> Option<TurnEnd> {
    let size = |index| {
        let slot = store.table.lock(index);
        slot.and_then(|slot| slot.object_size())
    };
    let mut end = None;
    for (index, before) in state.group.sizes() {
        if end.is_some() {
            store.table.deselect(index);
            continue;
        }
        let page = state.copy.as_page();
        match recompress::page(store, index, priority, threshold, page, None) {
            Ok(true) => {
                let after = size(index).unwrap_or(before);
                turn.pages += 1;
                turn.bytes += before.saturating_sub(after) as u64;
                turn.left = turn.left.saturating_sub(1);
            }
            Ok(false) => (),
            Err(error) => {
                store.table.deselect(index);
                // A page that is broken does not end the turn.
                end = (error == ENOMEM).then_some(TurnEnd::Failed);
            }
        }
        if store.check_stop(kernel::current!()).is_err() {
            end = Some(TurnEnd::Stopped);
        }
        cond_resched();
    }
    end
}

/// Returns whether the machine has less available memory than the user wants.
fn is_pressed(what: &AutoWriteback) -> bool {
    what.available
        .is_some_and(|percent| available_pages() * 100 < totalram_pages() * percent as usize)
}

/// Returns whether the disk uses so much memory that pages are to be written back.
fn is_above(what: &AutoWriteback, store: &Store) -> bool {
    what.above.is_none_or(|percent| {
        let whole = store.limit().unwrap_or_else(totalram_pages);
        store.pool().pages() * 100 > whole * percent as usize
    })
}

/// Returns whether a turn has something to do with this store.
fn is_ready(store: &Store, task: &Task) -> bool {
    match task {
        Task::Recompress { what, priority } => {
            what.threshold < store.pool().huge_size() && store.streams.get(*priority).is_some()
        }
        Task::Writeback { what, pressed } => {
            store.backing().is_some() && (*pressed || is_above(what, store))
        }
    }
}

impl<D: Disk> Repeat for Worker<D> {
    fn run(&self) -> Option<u32> {
        let settings = *self.settings.lock();
        let now = boottime_seconds();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.serial != Some(settings.serial) {
            if let Some(turn) = state.turn.take() {
                self.count(&turn, TurnEnd::Stopped);
            }
            state.serial = Some(settings.serial);
            state.schedule.replan(&settings, now);
        }
        let turn = state.turn.take();
        let Some(mut turn) = turn.or_else(|| self.next_turn(&mut state.schedule, &settings, now))
        else {
            return Some(state.schedule.wait(&settings, now));
        };
        let Some(right) = self.shared.post_processing.give_way_or_lock() else {
            state.turn = Some(turn);
            return Some(GIVE_WAY);
        };
        let began = Instant::<Monotonic>::now();
        // A turn that finds nothing to work on is none.
        let end = match self.disk.store() {
            Some(store) if turn.counted || turn.next > 0 || is_ready(&store, &turn.task) => {
                let end = self.slice(&store, state, &mut turn);
                turn.nanoseconds += began.elapsed().as_nanos().max(0) as u64;
                end
            }
            _ => return Some(0),
        };
        drop(right);
        let Some(end) = end else {
            state.turn = Some(turn);
            return Some(0);
        };
        if matches!(turn.task, Task::Writeback { pressed: true, .. }) && turn.pages > 0 {
            state.schedule.pressed = now;
        }
        self.count(&turn, end);
        Some(0)
    }
}
