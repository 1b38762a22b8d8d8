// SPDX-License-Identifier: GPL-2.0

//! Tiering: recompresses and writes back pages that were not used for long, without being asked.
//!
//! A turn recompresses, or writes back, the pages of some ages. It first counts the pages by their
//! ages, to find which are the oldest, if it may not take all. Then it walks the slots once more,
//! and processes the pages in slices of at most 1 MiB.
//!
//! If the backing device has packed pages and few free blocks, a turn of writeback first compacts
//! it, in such slices, too.
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
mod schedule;
pub(crate) mod settings;
mod turn;
mod worker;

use crate::{
    abstractions::repeated_work::{
        Background,
        RepeatedWork, //
    },
    comp::{
        Algorithm,
        Priority, //
    },
    events::Events,
    store::Store,
    writeback::budget::Budget, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};
use post_processing::PostProcessing;
use settings::{
    AutoRecompress,
    AutoWriteback, //
};
use worker::{
    Shared,
    Worker, //
};

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
    /// Number of pages that were moved on the backing device, to free blocks.
    pub(crate) moved: u64,
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
        events: Arc<Events>,
        (writeback, recompress): (Option<AutoWriteback>, Option<AutoRecompress>),
    ) -> Result<impl PinInit<Self>> {
        let stat = new_mutex!(TieringStat::default(), "zram_rs tiering stat");
        let shared = Shared {
            post_processing,
            budget,
            events,
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
                false => Some(Worker::start(disk.clone(), &shared, &workers, settings)?),
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
        let mut ended = None;
        if settings.is_off() {
            ended = state.work.take();
        } else if let Some(work) = &state.work {
            work.data().set(settings);
            work.wake(0);
        } else {
            let disk = self.disk.clone();
            let work = Worker::start(disk, &self.shared, &self.workers, settings)?;
            state.work = Some(work);
        }
        state.settings = settings;
        drop(state);
        // Ends the turn in progress. That waits for the device, but readers of the settings do not.
        drop(ended);
        Ok(())
    }

    /// Ends tiering for good: the disk is being removed.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        let ended = state.work.take();
        drop(state);
        drop(ended);
    }
}
