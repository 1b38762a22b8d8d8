// SPDX-License-Identifier: GPL-2.0

//! Gauges: compare what an initialised disk uses with its limit and its marks.
//!
//! Each page that is stored compares the memory in use with one number, which is the limit or, if
//! it is lower, the mark. Above the mark, the number is 0, and each page that is stored looks
//! whether the memory in use has fallen, so that the mark can be crossed again. So marks cost
//! nothing as long as there are none, and nothing below the mark; pages that are freed never look.

use crate::{
    events::{
        Event,
        Events, //
    },
    marks::Mark, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        SpinLock, //
    },
};

/// What the memory in use is compared with, in pages.
struct Bounds {
    /// The limit; `usize::MAX` for none.
    limit: usize,
    mark: Option<Mark>,
    /// Whether the memory in use is above the mark.
    above: bool,
}

/// The gauges of a disk, from its initialisation to its reset.
///
/// # Context
///
/// All methods: any context but interrupts, and do not sleep.
#[pin_data]
pub(crate) struct Gauges {
    /// The use of memory up to which it is neither above the limit nor about to cross the mark.
    quiet: Atomic<usize>,
    /// The use of memory above which nothing changes below the limit: the lower mark, if memory is
    /// above the mark, otherwise `usize::MAX`. Valid with a value of `quiet` that was stored later.
    calm: Atomic<usize>,
    /// The limit, as in `bounds`.
    limit: Atomic<usize>,
    #[pin]
    bounds: SpinLock<Bounds>,
    /// Whether the blocks in use are above the mark.
    device_above: Atomic<bool>,
    events: Arc<Events>,
}

impl Gauges {
    /// Creates gauges without a limit and without marks.
    pub(crate) fn new(events: Arc<Events>) -> impl PinInit<Self> {
        let bounds = Bounds {
            limit: usize::MAX,
            mark: None,
            above: false,
        };
        pin_init!(Self {
            quiet: Atomic::new(usize::MAX),
            calm: Atomic::new(usize::MAX),
            limit: Atomic::new(usize::MAX),
            bounds <- new_spinlock!(bounds, "zram_rs gauges"),
            device_above: Atomic::new(false),
            events,
        })
    }

    /// Returns the events of the disk.
    #[inline]
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Sets the limit and the mark, both in pages of memory, of which `used` are in use now.
    ///
    /// A mark that `is_new` is crossed at once if the memory in use is above it. One that has moved
    /// because the machine's memory has changed is crossed only if the memory in use was not above
    /// it.
    pub(crate) fn set_bounds(
        &self,
        limit: Option<usize>,
        mark: Option<Mark>,
        used: usize,
        is_new: bool,
    ) {
        let mut bounds = self.bounds.lock();
        bounds.limit = limit.unwrap_or(usize::MAX);
        bounds.above &= !is_new || bounds.mark == mark;
        bounds.mark = mark;
        self.look(&mut bounds, used);
    }

    /// Returns whether `used` pages of memory are within the limit, and looks whether they cross
    /// the mark.
    #[inline(always)]
    pub(crate) fn allow(&self, used: usize) -> bool {
        used <= self.quiet.load(Relaxed) || self.allow_above(used)
    }

    #[cold]
    #[inline(never)]
    fn allow_above(&self, used: usize) -> bool {
        // Above the mark, each page that is stored comes here.
        if used <= self.quiet.load(Acquire) {
            return true;
        }
        if used > self.calm.load(Relaxed) && used <= self.limit.load(Relaxed) {
            return true;
        }
        let mut bounds = self.bounds.lock();
        self.look(&mut bounds, used);
        let allowed = used <= bounds.limit;
        drop(bounds);
        if !allowed {
            self.events.memory_full();
        }
        allowed
    }

    /// Compares the memory in use with the mark, and returns whether it is above it.
    pub(crate) fn is_memory_above(&self, used: usize) -> bool {
        let mut bounds = self.bounds.lock();
        self.look(&mut bounds, used);
        bounds.above
    }

    fn look(&self, bounds: &mut Bounds, used: usize) {
        let before = bounds.above;
        let is_above = |mark: Mark| mark.is_above(used, before);
        bounds.above = bounds.mark.is_some_and(is_above);
        let (quiet, calm) = match bounds.mark {
            Some(mark) if bounds.above => (0, mark.low),
            Some(mark) => (mark.high.min(bounds.limit), usize::MAX),
            None => (bounds.limit, usize::MAX),
        };
        self.limit.store(bounds.limit, Relaxed);
        self.calm.store(calm, Relaxed);
        self.quiet.store(quiet, Release);
        if bounds.above && !before {
            self.events.happened(Event::Memory);
        }
    }

    /// Compares the blocks in use of a device of `all` blocks with the mark, and returns whether
    /// they are above it.
    pub(crate) fn is_device_above(&self, used: impl FnOnce() -> usize, all: usize) -> bool {
        let Some(mark) = self.events.marks().device(all) else {
            self.device_above.store(false, Relaxed);
            return false;
        };
        let before = self.device_above.load(Relaxed);
        let above = mark.is_above(used(), before);
        self.device_above.store(above, Relaxed);
        if above && !before {
            self.events.happened(Event::Device);
        }
        above
    }
}

#[kunit_tests(zram_rs_gauges)]
mod tests {
    use super::*;

    fn gauges() -> Result<Pin<KBox<Gauges>>> {
        let events = Arc::new(Events::new(0), GFP_KERNEL)?;
        KBox::pin_init(Gauges::new(events), GFP_KERNEL)
    }

    #[test]
    fn limit_without_a_mark() -> Result {
        let gauges = gauges()?;
        assert!(gauges.allow(usize::MAX));
        gauges.set_bounds(Some(10), None, 0, true);
        assert!(gauges.allow(10) && !gauges.allow(11) && gauges.allow(10));
        gauges.set_bounds(None, None, 0, true);
        assert!(gauges.allow(11));
        Ok(())
    }

    #[test]
    fn mark_is_crossed_once() -> Result {
        let gauges = gauges()?;
        let count = || gauges.events().count(Event::Memory);
        gauges.set_bounds(Some(100), Some(Mark { high: 80, low: 75 }), 0, true);
        for _ in 0..1000 {
            // Up to the mark, nothing but the limit is looked at.
            assert!(gauges.allow(80) && gauges.allow(81) && gauges.allow(76));
        }
        assert_eq!(count(), 1);
        assert!(gauges.allow(75) && gauges.allow(80));
        assert_eq!(count(), 1);
        assert!(gauges.allow(100) && !gauges.allow(101));
        assert_eq!(count(), 2);
        // Above a new mark, from the beginning on.
        gauges.set_bounds(None, None, 90, true);
        gauges.set_bounds(None, Some(Mark { high: 80, low: 75 }), 90, true);
        assert_eq!(count(), 3);
        // The same mark, another one, and one that is not reached yet.
        gauges.set_bounds(Some(99), Some(Mark { high: 80, low: 75 }), 90, true);
        assert_eq!(count(), 3);
        gauges.set_bounds(None, Some(Mark { high: 85, low: 75 }), 90, true);
        assert_eq!(count(), 4);
        gauges.set_bounds(None, Some(Mark { high: 91, low: 75 }), 90, true);
        assert_eq!(count(), 4);
        assert!(gauges.allow(92));
        assert_eq!(count(), 5);
        // A mark that moves, and one that moves above the memory in use.
        gauges.set_bounds(None, Some(Mark { high: 85, low: 75 }), 90, false);
        assert_eq!(count(), 5);
        gauges.set_bounds(None, Some(Mark { high: 99, low: 95 }), 90, false);
        gauges.set_bounds(None, Some(Mark { high: 85, low: 75 }), 90, false);
        assert_eq!(count(), 6);
        Ok(())
    }

    #[test]
    fn quiet_is_what_pages_compare_with() -> Result {
        let gauges = gauges()?;
        let quiet = || gauges.quiet.load(Relaxed);
        let mark = Some(Mark { high: 80, low: 75 });
        assert_eq!(quiet(), usize::MAX);
        gauges.set_bounds(None, mark, 0, true);
        assert_eq!(quiet(), 80);
        gauges.set_bounds(Some(50), mark, 0, true);
        assert_eq!(quiet(), 50);
        gauges.set_bounds(Some(90), mark, 85, true);
        assert_eq!(quiet(), 0);
        gauges.set_bounds(Some(90), None, 85, true);
        assert_eq!(quiet(), 90);
        Ok(())
    }
}
