// SPDX-License-Identifier: GPL-2.0

//! How long requests to the backing device take.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// Number of classes of a histogram.
const CLASSES: usize = 16;

/// The limit of the first class, in microseconds, as a power of two.
const FIRST: u32 = 5;

/// When a request began, if it is measured.
#[derive(Clone, Copy)]
pub(crate) struct Began(Option<Instant<Monotonic>>);

impl Began {
    /// The beginning of a request that is not measured.
    pub(crate) const NOT: Self = Self(None);
}

/// Numbers of requests by the time that they took.
pub(crate) struct Histogram([Atomic<u64>; CLASSES]);

impl Histogram {
    const fn new() -> Self {
        Self([const { Atomic::new(0) }; CLASSES])
    }

    /// Counts a request that took so many microseconds.
    fn add(&self, micros: u64) {
        let bits = u64::BITS - micros.leading_zeros();
        let class = (bits.saturating_sub(FIRST) as usize).min(CLASSES - 1);
        if let Some(count) = self.0.get(class) {
            count.add(1, Relaxed);
        }
    }

    /// Sets all counts to 0.
    fn clear(&self) {
        for count in &self.0 {
            count.store(0, Relaxed);
        }
    }

    /// Returns the classes: the number of microseconds that a request in it took less than, which
    /// is `None` for the last, and the number of requests.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        self.0.iter().enumerate().map(|(class, count)| {
            let limit = (class + 1 < CLASSES).then(|| 1 << (class + FIRST as usize));
            (limit, count.load(Relaxed))
        })
    }
}

/// The latency of requests to the backing device, if it is measured.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct Latency {
    is_on: Atomic<bool>,
    /// Reads of pages, from their submission until their data is where it is wanted.
    pub(crate) readback: Histogram,
    /// Writes of requests, from their submission until they are completed.
    pub(crate) writeback: Histogram,
}

impl Latency {
    /// Creates histograms of nothing, which are off.
    pub(crate) const fn new() -> Self {
        Self {
            is_on: Atomic::new(false),
            readback: Histogram::new(),
            writeback: Histogram::new(),
        }
    }

    /// Returns whether requests are measured.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Sets whether requests are measured that begin from now on; begins with empty histograms.
    pub(crate) fn set_on(&self, is_on: bool) {
        if is_on && !self.is_on() {
            self.readback.clear();
            self.writeback.clear();
        }
        self.is_on.store(is_on, Relaxed);
    }

    /// Notes that a request begins.
    #[inline]
    pub(crate) fn begin(&self) -> Began {
        Began(self.is_on().then(Instant::now))
    }

    /// Counts a request that has ended, if it was measured.
    #[inline]
    pub(crate) fn end(&self, began: Began, histogram: &Histogram) {
        if let Some(began) = began.0 {
            histogram.add(began.elapsed().as_nanos().max(0) as u64 / 1000);
        }
    }
}

#[kunit_tests(zram_rs_latency)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        let histogram = Histogram::new();
        for micros in [0, 31, 32, 63, 64, (1 << 19) - 1, 1 << 19, u64::MAX] {
            histogram.add(micros);
        }
        let mut classes = histogram.classes();
        assert_eq!(classes.next(), Some((Some(32), 2)));
        assert_eq!(classes.next(), Some((Some(64), 2)));
        assert_eq!(classes.next(), Some((Some(128), 1)));
        assert_eq!(classes.next(), Some((Some(256), 0)));
        assert_eq!(classes.by_ref().skip(10).next(), Some((Some(1 << 19), 1)));
        assert_eq!(classes.next(), Some((None, 2)));
        assert_eq!(classes.next(), None);
    }

    #[test]
    fn only_what_is_measured_counts() {
        let latency = Latency::new();
        let count = || {
            latency
                .readback
                .classes()
                .map(|(_, count)| count)
                .sum::<u64>()
        };
        latency.end(latency.begin(), &latency.readback);
        assert_eq!(count(), 0);
        latency.set_on(true);
        let began = latency.begin();
        latency.end(began, &latency.readback);
        assert_eq!(count(), 1);
        latency.set_on(true);
        assert_eq!(count(), 1);
        latency.set_on(false);
        // A request that began before is counted.
        latency.end(began, &latency.readback);
        latency.end(latency.begin(), &latency.readback);
        assert_eq!(count(), 2);
        latency.set_on(true);
        assert_eq!(count(), 0);
    }
}
