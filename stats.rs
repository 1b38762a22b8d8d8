// SPDX-License-Identifier: GPL-2.0

//! What is counted of a disk.

use crate::slot::Content;
use core::mem::discriminant;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number that goes up and down. All methods are for any context.
pub(crate) struct Counter(Atomic<i64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds to the number.
    pub(crate) fn add(&self, n: usize) {
        self.0.add(n as i64, Relaxed);
    }

    /// Adds to the number, or subtracts from it. Most that is counted does not change, which costs
    /// nothing.
    fn change(&self, by: i64) {
        if by != 0 {
            self.0.add(by, Relaxed);
        }
    }

    /// Returns the number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed) as u64
    }
}

/// What is counted of what is in a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing: the slot is empty.
    Nothing,
    /// A page that consists of one word.
    Same,
    /// A page that takes so many bytes of memory.
    Compressed(usize),
    /// A page that takes one of memory.
    Huge,
    /// A page on the backing device.
    Block,
}

impl Kept {
    fn bytes(self) -> usize {
        match self {
            Kept::Compressed(size) => size,
            Kept::Huge => PAGE_SIZE,
            Kept::Nothing | Kept::Same | Kept::Block => 0,
        }
    }
}

impl From<&Content<'_>> for Kept {
    fn from(content: &Content<'_>) -> Self {
        match content {
            Content::Empty => Kept::Nothing,
            Content::Same(_) => Kept::Same,
            Content::Stored { object, .. } => Kept::Compressed(object.size()),
            Content::Huge { .. } => Kept::Huge,
            Content::WrittenBack { .. } => Kept::Block,
        }
    }
}

/// The counters of a disk. They start at zero, and end when the disk is reset. All methods are for
/// any context.
pub(crate) struct Stats {
    /// Bytes of compressed and incompressible pages in memory.
    pub(crate) stored_bytes: Counter,
    /// Pages that have a content, whichever.
    pub(crate) pages_stored: Counter,
    /// Pages that consist of one word.
    pub(crate) same_pages: Counter,
    /// Pages that are stored as they are.
    pub(crate) huge_pages: Counter,
    /// Pages that were ever stored as they are.
    pub(crate) huge_pages_since: Counter,
    /// Reads that failed.
    pub(crate) failed_reads: Counter,
    /// Writes that failed.
    pub(crate) failed_writes: Counter,
    /// Pages that were discarded, or that swap said it does not need any more.
    pub(crate) notify_free: Counter,
    /// Those of the latter that could not be freed, since they were just being used.
    pub(crate) miss_free: Counter,
    /// Pages that are on the backing device.
    pub(crate) bd_count: Counter,
    /// Reads of pages from the backing device.
    pub(crate) bd_reads: Counter,
    /// Writes of pages to the backing device.
    pub(crate) bd_writes: Counter,
    /// The largest number of pages of memory that were ever used.
    max_used_pages: Atomic<usize>,
}

impl Stats {
    /// All zero.
    pub(crate) const fn new() -> Self {
        Self {
            stored_bytes: Counter::new(),
            pages_stored: Counter::new(),
            same_pages: Counter::new(),
            huge_pages: Counter::new(),
            huge_pages_since: Counter::new(),
            failed_reads: Counter::new(),
            failed_writes: Counter::new(),
            notify_free: Counter::new(),
            miss_free: Counter::new(),
            bd_count: Counter::new(),
            bd_reads: Counter::new(),
            bd_writes: Counter::new(),
            max_used_pages: Atomic::new(0),
        }
    }

    /// Counts a change in a slot: what is in it now instead of what was.
    pub(crate) fn count(&self, old: Kept, new: Kept) {
        let difference = |of: fn(Kept) -> usize| of(new) as i64 - of(old) as i64;

        if new == Kept::Huge {
            self.huge_pages_since.add(1);
        }
        self.stored_bytes.change(difference(Kept::bytes));
        if discriminant(&old) == discriminant(&new) {
            return;
        }
        self.pages_stored
            .change(difference(|kept| (kept != Kept::Nothing).into()));
        self.same_pages
            .change(difference(|kept| (kept == Kept::Same).into()));
        self.huge_pages
            .change(difference(|kept| (kept == Kept::Huge).into()));
        self.bd_count
            .change(difference(|kept| (kept == Kept::Block).into()));
    }

    /// Takes note of how many pages of memory are used.
    pub(crate) fn note_used_pages(&self, pages: usize) {
        let mut max = self.max_used_pages.load(Relaxed);
        while pages > max {
            match self.max_used_pages.cmpxchg(max, pages, Relaxed) {
                Ok(_) => return,
                Err(now) => max = now,
            }
        }
    }

    /// Starts anew with the largest number of used pages.
    pub(crate) fn reset_used_pages(&self, pages: usize) {
        self.max_used_pages.store(pages, Relaxed);
    }

    /// Returns the largest number of used pages.
    pub(crate) fn max_used_pages(&self) -> usize {
        self.max_used_pages.load(Relaxed)
    }
}

#[kunit_tests(zram_rs_stats)]
mod tests {
    use super::*;

    const KINDS: [Kept; 6] = [
        Kept::Nothing,
        Kept::Same,
        Kept::Compressed(1),
        Kept::Compressed(3000),
        Kept::Huge,
        Kept::Block,
    ];

    /// What is counted must be what there is in so many slots.
    fn assert_counts(stats: &Stats, slots: &[Kept]) {
        let count =
            |what: fn(Kept) -> bool| slots.iter().filter(|&&kept| what(kept)).count() as u64;

        let bytes: usize = slots.iter().map(|kept| kept.bytes()).sum();
        assert_eq!(stats.stored_bytes.get(), bytes as u64);
        assert_eq!(
            stats.pages_stored.get(),
            count(|kept| kept != Kept::Nothing)
        );
        assert_eq!(stats.same_pages.get(), count(|kept| kept == Kept::Same));
        assert_eq!(stats.huge_pages.get(), count(|kept| kept == Kept::Huge));
        assert_eq!(stats.bd_count.get(), count(|kept| kept == Kept::Block));
    }

    #[test]
    fn every_change_is_counted() {
        for old in KINDS {
            for new in KINDS {
                let stats = Stats::new();
                // Beside another slot, so that nothing comes to less than zero by mistake.
                stats.count(Kept::Nothing, Kept::Compressed(100));
                stats.count(Kept::Nothing, old);
                assert_counts(&stats, &[Kept::Compressed(100), old]);
                stats.count(old, new);
                assert_counts(&stats, &[Kept::Compressed(100), new]);
                stats.count(new, Kept::Nothing);
                assert_counts(&stats, &[Kept::Compressed(100)]);
                let huge = u64::from(old == Kept::Huge) + u64::from(new == Kept::Huge);
                assert_eq!(stats.huge_pages_since.get(), huge);
            }
        }
    }
}
