// SPDX-License-Identifier: GPL-2.0

//! What is counted of a disk.

use crate::slot::Content;
use kernel::{
    page::PAGE_SIZE,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number that goes up and down. Any context.
pub(crate) struct Counter(Atomic<i64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds to the number.
    pub(crate) fn add(&self, n: usize) {
        self.0.add(n as i64, Relaxed);
    }

    /// Subtracts from the number.
    fn sub(&self, n: usize) {
        self.0.add(-(n as i64), Relaxed);
    }

    /// Returns the number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed) as u64
    }
}

/// The counters of a disk. They start at zero, and end when the disk is reset.
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

    /// Counts something that is about to be put into a slot.
    pub(crate) fn count(&self, content: &Content) {
        match content {
            Content::Empty => return,
            Content::Same(_) => self.same_pages.add(1),
            Content::Stored { size, .. } => self.stored_bytes.add(*size),
            Content::Huge { .. } => {
                self.stored_bytes.add(PAGE_SIZE);
                self.huge_pages.add(1);
                self.huge_pages_since.add(1);
            }
            Content::WrittenBack { .. } => self.bd_count.add(1),
        }
        self.pages_stored.add(1);
    }

    /// Counts a page that moved from memory to the backing device.
    pub(crate) fn count_written_back(&self, from: &Content) {
        self.pages_stored.add(1);
        self.bd_count.add(1);
        self.discount(from);
    }

    /// Counts something that was taken out of a slot.
    pub(crate) fn discount(&self, content: &Content) {
        match content {
            Content::Empty => return,
            Content::Same(_) => self.same_pages.sub(1),
            Content::Stored { size, .. } => self.stored_bytes.sub(*size),
            Content::Huge { .. } => {
                self.stored_bytes.sub(PAGE_SIZE);
                self.huge_pages.sub(1);
            }
            Content::WrittenBack { .. } => self.bd_count.sub(1),
        }
        self.pages_stored.sub(1);
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
