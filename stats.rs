// SPDX-License-Identifier: GPL-2.0

//! The statistics of a disk.

use crate::slot::Content;
use core::mem::offset_of;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A counter that goes up and down.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct Counter(Atomic<i64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Increases the counter by `n`.
    pub(crate) fn add(&self, n: usize) {
        self.0.add(n as i64, Relaxed);
    }

    /// Changes the counter by `by`, without an atomic operation if that is zero.
    fn change(&self, by: i64) {
        if by != 0 {
            self.0.add(by, Relaxed);
        }
    }

    /// Returns the value of the counter.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed) as u64
    }
}

/// What the content of a slot adds to the statistics of a disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Bytes of memory that the page takes.
    bytes: u32,
    /// Which counters of pages include the page: a mask of the constants below.
    counters: u32,
}

impl Footprint {
    const PAGES_STORED: u32 = 1 << 0;
    const SAME_PAGES: u32 = 1 << 1;
    const HUGE_PAGES: u32 = 1 << 2;
    const BD_COUNT: u32 = 1 << 3;

    /// The footprint of an empty slot.
    pub(crate) const EMPTY: Self = Self {
        bytes: 0,
        counters: 0,
    };

    /// The footprint of a same-filled page.
    pub(crate) const SAME: Self = Self {
        bytes: 0,
        counters: Self::PAGES_STORED | Self::SAME_PAGES,
    };

    /// The footprint of a page that is stored uncompressed.
    pub(crate) const HUGE: Self = Self {
        bytes: PAGE_SIZE as u32,
        counters: Self::PAGES_STORED | Self::HUGE_PAGES,
    };

    /// The footprint of a page on the backing device.
    pub(crate) const ON_DEVICE: Self = Self {
        bytes: 0,
        counters: Self::PAGES_STORED | Self::BD_COUNT,
    };

    /// Returns the footprint of a page that is stored compressed, in `bytes` bytes.
    pub(crate) const fn compressed(bytes: usize) -> Self {
        Self {
            bytes: bytes as u32,
            counters: Self::PAGES_STORED,
        }
    }

    /// Returns the bytes of memory that the page takes.
    #[inline]
    pub(crate) const fn bytes(self) -> u32 {
        self.bytes
    }

    /// Returns what the footprint adds to a counter of pages: 0 or 1.
    const fn count(self, counter: u32) -> i64 {
        (self.counters & counter != 0) as i64
    }
}

impl Content<'_> {
    /// Returns what the content adds to the statistics.
    #[inline]
    pub(crate) fn footprint(&self) -> Footprint {
        match self {
            Content::Empty => Footprint::EMPTY,
            Content::Same(_) => Footprint::SAME,
            Content::Stored { object, .. } => Footprint::compressed(object.size()),
            Content::Huge { .. } => Footprint::HUGE,
            Content::WrittenBack { .. } => Footprint::ON_DEVICE,
        }
    }
}

/// The sum of the footprints of several pages.
#[derive(Default)]
pub(crate) struct FootprintSum {
    bytes: i64,
    pages_stored: i64,
    same_pages: i64,
    huge_pages: i64,
    bd_count: i64,
}

impl FootprintSum {
    /// Adds the footprint of a page.
    pub(crate) fn add(&mut self, footprint: Footprint) {
        self.bytes += i64::from(footprint.bytes);
        self.pages_stored += footprint.count(Footprint::PAGES_STORED);
        self.same_pages += footprint.count(Footprint::SAME_PAGES);
        self.huge_pages += footprint.count(Footprint::HUGE_PAGES);
        self.bd_count += footprint.count(Footprint::BD_COUNT);
    }
}

/// The counters of a disk, from its initialisation to its reset.
///
/// Any CPU changes some of the first eight for each page that it writes, frees or reads back. They
/// have a cache line of their own, so that all CPUs keep in their caches what they only read.
///
/// # Context
///
/// All methods: any context.
#[repr(C, align(64))]
pub(crate) struct Stats {
    /// Bytes of the compressed and the huge pages in memory.
    pub(crate) stored_bytes: Counter,
    /// Pages that are not empty, in memory or on the backing device.
    pub(crate) pages_stored: Counter,
    /// Same-filled pages.
    pub(crate) same_pages: Counter,
    /// Huge pages: those that are stored uncompressed.
    pub(crate) huge_pages: Counter,
    /// Huge pages that were stored since the disk was initialised.
    pub(crate) huge_pages_since: Counter,
    /// Pages that were discarded or freed by swap.
    pub(crate) notify_free: Counter,
    /// Pages on the backing device.
    pub(crate) bd_count: Counter,
    /// Pages read from the backing device.
    pub(crate) bd_reads: Counter,
    /// The largest number of pages of memory in use so far, which each allocation reads.
    max_used_pages: Atomic<usize>,
    /// Pages written to the backing device.
    pub(crate) bd_writes: Counter,
    /// Reads that failed.
    pub(crate) failed_reads: Counter,
    /// Writes that failed.
    pub(crate) failed_writes: Counter,
    /// Pages that swap freed, but whose slot was locked.
    pub(crate) miss_free: Counter,
    /// Reads of blocks of the backing device that failed.
    pub(crate) bd_failed_reads: Counter,
    /// Writes of blocks of the backing device that failed.
    pub(crate) bd_failed_writes: Counter,
}

// The first eight fill a cache line, which has 64 bytes on most machines.
const _: () = assert!(offset_of!(Stats, max_used_pages) == align_of::<Stats>());

impl Stats {
    /// Returns counters that are all zero.
    pub(crate) const fn new() -> Self {
        Self {
            stored_bytes: Counter::new(),
            pages_stored: Counter::new(),
            same_pages: Counter::new(),
            huge_pages: Counter::new(),
            huge_pages_since: Counter::new(),
            notify_free: Counter::new(),
            bd_count: Counter::new(),
            bd_reads: Counter::new(),
            max_used_pages: Atomic::new(0),
            bd_writes: Counter::new(),
            failed_reads: Counter::new(),
            failed_writes: Counter::new(),
            miss_free: Counter::new(),
            bd_failed_reads: Counter::new(),
            bd_failed_writes: Counter::new(),
        }
    }

    /// Counts that a slot whose content had the footprint `old` now has one with `new`.
    ///
    /// Counters that do not change are not touched.
    pub(crate) fn count(&self, old: Footprint, new: Footprint) {
        let difference = |counter| new.count(counter) - old.count(counter);

        if new.count(Footprint::HUGE_PAGES) != 0 {
            self.huge_pages_since.add(1);
        }
        self.stored_bytes
            .change(i64::from(new.bytes) - i64::from(old.bytes));
        // Most writes replace a page by another of the same kind.
        if old.counters == new.counters {
            return;
        }
        self.pages_stored
            .change(difference(Footprint::PAGES_STORED));
        self.same_pages.change(difference(Footprint::SAME_PAGES));
        self.huge_pages.change(difference(Footprint::HUGE_PAGES));
        self.bd_count.change(difference(Footprint::BD_COUNT));
    }

    /// Counts that a slot whose content had the footprint `old` is empty now.
    #[inline]
    pub(crate) fn count_freed(&self, old: Footprint) {
        // Most pages are compressed.
        if old.counters != Footprint::PAGES_STORED {
            return self.count(old, Footprint::EMPTY);
        }
        self.stored_bytes.change(-i64::from(old.bytes));
        self.pages_stored.change(-1);
    }

    /// Counts that slots whose contents had the footprints of `sum` are empty now.
    pub(crate) fn uncount(&self, sum: &FootprintSum) {
        self.stored_bytes.change(-sum.bytes);
        self.pages_stored.change(-sum.pages_stored);
        self.same_pages.change(-sum.same_pages);
        self.huge_pages.change(-sum.huge_pages);
        self.bd_count.change(-sum.bd_count);
    }

    /// Raises the largest number of used pages to `pages`, if it is less.
    pub(crate) fn note_used_pages(&self, pages: usize) {
        let mut max = self.max_used_pages.load(Relaxed);
        while pages > max {
            match self.max_used_pages.cmpxchg(max, pages, Relaxed) {
                Ok(_) => return,
                Err(now) => max = now,
            }
        }
    }

    /// Sets the largest number of used pages to `pages`.
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
    use crate::{
        backing::share::{
            Location,
            Share, //
        },
        comp::Priority, //
    };

    /// A slot's content, written down independently of [`Footprint`].
    #[derive(Clone, Copy)]
    struct Expected {
        footprint: Footprint,
        bytes: usize,
        pages: u64,
        same: u64,
        huge: u64,
        on_device: u64,
    }

    const fn expected(
        footprint: Footprint,
        bytes: usize,
        [pages, same, huge, on_device]: [u64; 4],
    ) -> Expected {
        Expected {
            footprint,
            bytes,
            pages,
            same,
            huge,
            on_device,
        }
    }

    const EMPTY: Expected = expected(Footprint::EMPTY, 0, [0, 0, 0, 0]);
    const OTHER: Expected = expected(Footprint::compressed(100), 100, [1, 0, 0, 0]);
    const KINDS: [Expected; 6] = [
        EMPTY,
        expected(Footprint::SAME, 0, [1, 1, 0, 0]),
        expected(Footprint::compressed(1), 1, [1, 0, 0, 0]),
        expected(Footprint::compressed(3000), 3000, [1, 0, 0, 0]),
        expected(Footprint::HUGE, PAGE_SIZE, [1, 0, 1, 0]),
        expected(Footprint::ON_DEVICE, 0, [1, 0, 0, 1]),
    ];

    /// Returns whether the counters are the sums over `slots`.
    fn counts(stats: &Stats, slots: &[Expected]) -> bool {
        let sum = |of: fn(&Expected) -> u64| slots.iter().map(of).sum::<u64>();

        stats.stored_bytes.get() == sum(|slot| slot.bytes as u64)
            && stats.pages_stored.get() == sum(|slot| slot.pages)
            && stats.same_pages.get() == sum(|slot| slot.same)
            && stats.huge_pages.get() == sum(|slot| slot.huge)
            && stats.bd_count.get() == sum(|slot| slot.on_device)
    }

    #[test]
    fn every_change_is_counted() {
        for old in KINDS {
            for new in KINDS {
                let stats = Stats::new();
                // With another slot, no counter can reach a right value by wrapping below zero.
                stats.count(EMPTY.footprint, OTHER.footprint);
                stats.count(EMPTY.footprint, old.footprint);
                assert!(counts(&stats, &[OTHER, old]));
                stats.count(old.footprint, new.footprint);
                assert!(counts(&stats, &[OTHER, new]));
                stats.count(new.footprint, EMPTY.footprint);
                assert!(counts(&stats, &[OTHER]));
                assert_eq!(stats.huge_pages_since.get(), old.huge + new.huge);
            }
        }
    }

    #[test]
    fn sums_are_uncounted() {
        let stats = Stats::new();
        let mut sum = FootprintSum::default();
        stats.count(EMPTY.footprint, OTHER.footprint);
        for slot in [KINDS, KINDS].as_flattened() {
            stats.count(EMPTY.footprint, slot.footprint);
            sum.add(slot.footprint);
        }
        stats.uncount(&sum);
        assert!(counts(&stats, &[OTHER]));
    }

    #[test]
    fn contents_have_their_footprint() {
        assert!(Content::Empty.footprint() == Footprint::EMPTY);
        for word in [0, 1, usize::MAX] {
            assert!(Content::Same(word).footprint() == Footprint::SAME);
        }
        let content = Content::WrittenBack {
            share: Share::from_location(Location::from_parts(PAGE_SIZE, 3000)),
            priority: Priority::PRIMARY,
        };
        assert!(content.footprint() == Footprint::ON_DEVICE);
    }
}
