// SPDX-License-Identifier: GPL-2.0

//! What a disk tells those who watch it: wakes tasks that poll its files, and writes to the log.

use crate::{
    abstractions::{
        device::sysfs::FileNode,
        sched::boottime_seconds, //
    },
    latency::Latency,
    marks::Marks, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SetOnce, //
    },
};

/// The time after a line in the log before the next line of the same kind, in seconds.
///
/// Users who may write to a disk can fill it again and again.
const LOG_INTERVAL: u32 = 600;

/// What a task can wait for.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// The memory in use has crossed its mark.
    Memory = 0,
    /// The blocks in use have crossed their mark.
    Device = 1,
    /// The limit of writeback is used up.
    Budget = 2,
    /// The backing device has failed to read or write a block.
    Error = 3,
}

impl Event {
    /// Number of events.
    const COUNT: usize = 4;
}

/// The files on which tasks wait for events.
pub(crate) struct Files {
    /// The file for [`Event::Memory`].
    pub(crate) memory: FileNode,
    /// The file for [`Event::Device`] and [`Event::Error`].
    pub(crate) device: FileNode,
    /// The file for [`Event::Budget`].
    pub(crate) budget: FileNode,
}

/// The last turn of post-processing that has ended.
///
/// A reader that comes while a turn ends may get numbers of two turns.
pub(crate) struct LastTurn {
    /// Number of turns so far.
    pub(crate) turns: Atomic<u64>,
    /// What it did: the number of a kind in `turn.rs`.
    pub(crate) kind: Atomic<u64>,
    /// When it ended, in seconds since boot.
    pub(crate) ended: Atomic<u64>,
    /// How long it took, in milliseconds.
    pub(crate) millis: Atomic<u64>,
    /// Number of blocks of the backing device that were written meanwhile.
    pub(crate) written: Atomic<u64>,
    /// The number of its error; 0 for none.
    pub(crate) error: Atomic<u64>,
}

impl LastTurn {
    const fn new() -> Self {
        Self {
            turns: Atomic::new(0),
            kind: Atomic::new(0),
            ended: Atomic::new(0),
            millis: Atomic::new(0),
            written: Atomic::new(0),
            error: Atomic::new(0),
        }
    }
}

/// A line in the log that is not repeated soon.
struct Line {
    /// When the line may be repeated, in seconds since boot.
    again: Atomic<u32>,
}

impl Line {
    const fn new() -> Self {
        Self {
            again: Atomic::new(0),
        }
    }

    /// Returns whether the line may be written at `now`, in seconds since boot, and counts it.
    fn is_due(&self, now: u32) -> bool {
        let again = self.again.load(Relaxed);
        now >= again
            && self
                .again
                .cmpxchg(again, now.saturating_add(LOG_INTERVAL), Relaxed)
                .is_ok()
    }
}

/// The events of a disk, from its addition to its removal.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct Events {
    /// The device number of the disk.
    dev: u32,
    /// The [`Marks`], as a number.
    marks: Atomic<u64>,
    /// Missing until the first marks are set.
    files: SetOnce<Files>,
    /// How often each event has happened.
    counts: [Atomic<u64>; Event::COUNT],
    /// Whether the limit of writeback was used up when a writeback last ended.
    spent: Atomic<bool>,
    /// How long requests to the backing device take.
    pub(crate) latency: Latency,
    /// The last turn of post-processing that has ended.
    pub(crate) last_turn: LastTurn,
    full: Line,
    device_full: Line,
    failing: Line,
}

impl Events {
    /// Creates the events of the disk with a device number.
    pub(crate) fn new(dev: u32) -> Self {
        Self {
            dev,
            marks: Atomic::new(Marks::OFF.into_bits()),
            files: SetOnce::new(),
            counts: [const { Atomic::new(0) }; Event::COUNT],
            spent: Atomic::new(false),
            latency: Latency::new(),
            last_turn: LastTurn::new(),
            full: Line::new(),
            device_full: Line::new(),
            failing: Line::new(),
        }
    }

    /// Returns the device number of the disk.
    #[inline]
    pub(crate) fn dev(&self) -> u32 {
        self.dev
    }

    /// Returns the number of the disk.
    fn id(&self) -> u32 {
        self.dev & ((1 << 20) - 1)
    }

    /// Returns the marks.
    pub(crate) fn marks(&self) -> Marks {
        Marks::from_bits(self.marks.load(Relaxed))
    }

    /// Sets the marks, and calls `files` if that has not been done before.
    ///
    /// # Errors
    ///
    /// `ENODEV`: `files` has found none.
    pub(crate) fn set_marks(&self, marks: Marks, files: impl FnOnce() -> Option<Files>) -> Result {
        if marks != Marks::OFF && self.files.as_ref().is_none() {
            // If another task was faster, its files are the same.
            self.files.populate(files().ok_or(ENODEV)?);
        }
        self.marks.store(marks.into_bits(), Relaxed);
        Ok(())
    }

    /// Counts an event, and wakes tasks that wait for it.
    pub(crate) fn happened(&self, event: Event) {
        if let Some(count) = self.counts.get(event as usize) {
            count.add(1, Relaxed);
        }
        if let Some(files) = self.files.as_ref() {
            match event {
                Event::Memory => files.memory.notify(),
                Event::Device | Event::Error => files.device.notify(),
                Event::Budget => files.budget.notify(),
            }
        }
    }

    /// Returns how often an event has happened.
    pub(crate) fn count(&self, event: Event) -> u64 {
        self.counts
            .get(event as usize)
            .map_or(0, |count| count.load(Relaxed))
    }

    /// Notes at the beginning and the end of a writeback whether the limit is used up.
    pub(crate) fn note_budget(&self, is_spent: bool) {
        let before = self.spent.load(Relaxed);
        self.spent.store(is_spent, Relaxed);
        if is_spent && !before && self.marks().budget {
            self.happened(Event::Budget);
        }
    }

    /// Notes that a write to the disk has failed because of the limit.
    pub(crate) fn memory_full(&self) {
        if self.full.is_due(boottime_seconds()) {
            pr_warn!(
                "zram{}: full: mem_limit is reached, so that writes fail\n",
                self.id()
            );
        }
    }

    /// Notes that a page was not written back because no block is free.
    pub(crate) fn device_full(&self) {
        if self.device_full.is_due(boottime_seconds()) {
            pr_warn!("zram{}: the backing device is full\n", self.id());
        }
    }

    /// Notes that the backing device has failed to read or write a block.
    pub(crate) fn device_failed(&self, error: Error) {
        if self.marks().errors {
            self.happened(Event::Error);
        }
        if self.failing.is_due(boottime_seconds()) {
            pr_warn!(
                "zram{}: the backing device is failing: {error:?}\n",
                self.id()
            );
        }
    }
}

#[kunit_tests(zram_rs_events)]
mod tests {
    use super::*;

    #[test]
    fn line_is_not_repeated_soon() {
        let line = Line::new();
        assert!(line.is_due(0));
        assert!(!line.is_due(0) && !line.is_due(LOG_INTERVAL - 1));
        assert!(line.is_due(LOG_INTERVAL) && !line.is_due(LOG_INTERVAL + 1));
        assert!(line.is_due(u32::MAX));
    }

    #[test]
    fn budget_is_used_up_once() -> Result {
        let events = Events::new(0);
        let note = |is_spent| {
            events.note_budget(is_spent);
            events.count(Event::Budget)
        };
        assert_eq!(note(true), 0);
        assert_eq!(note(false), 0);
        events
            .marks
            .store(Marks::parse(c"budget=1")?.into_bits(), Relaxed);
        assert_eq!((note(true), note(true)), (1, 1));
        assert_eq!((note(false), note(true)), (1, 2));
        Ok(())
    }
}
