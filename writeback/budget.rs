// SPDX-License-Identifier: GPL-2.0

//! The limit of writeback.

use super::period::{
    Period,
    Rate, //
};
use crate::abstractions::sched::boottime_seconds;
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex, //
};

/// Number of units of the limit, of 4 KiB each, that a block is charged.
pub(super) const UNITS: u64 = PAGE_SIZE as u64 / 4096;

/// The limit, in units of 4 KiB.
///
/// Times are in seconds since boot, with time asleep.
struct Limit {
    enabled: bool,
    units: u64,
    /// Changes with each limit that a user sets, so that what was charged to one limit is not
    /// refunded to another.
    generation: u32,
    /// The budget for a period, which replaces the other fields while it is in force.
    ///
    /// It stays when the user turns it off, and counts what is written, so that turning it off and
    /// on does not allow more.
    period: Option<KBox<Period>>,
    /// Whether the budget for a period is in force.
    periodic: bool,
}

/// Blocks that were charged to the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Charge {
    /// Number of blocks.
    pub(super) blocks: usize,
    /// Whether they were charged to the units of the limit.
    limit: bool,
    /// The number of the slice of a period that counts them.
    slice: Option<u32>,
    /// The generation of both.
    generation: u32,
}

impl Charge {
    /// No blocks.
    pub(super) const NONE: Self = Self {
        blocks: 0,
        limit: false,
        slice: None,
        generation: 0,
    };
}

impl Limit {
    /// A limit that is not in force.
    const NONE: Self = Self {
        enabled: false,
        units: 0,
        generation: 0,
        period: None,
        periodic: false,
    };

    /// Returns the period whose budget is in force.
    fn period(&mut self) -> Option<&mut Period> {
        self.period.as_deref_mut().filter(|_| self.periodic)
    }

    /// Returns how many units the limit allows.
    fn left(&mut self, now: u32) -> u64 {
        let units = self.units;
        self.period().map_or(units, |period| period.left(now))
    }

    /// Returns whether any limit is in force.
    fn is_enforced(&self) -> bool {
        self.enabled || self.periodic
    }

    /// Charges at most `blocks` blocks.
    fn charge(&mut self, now: u32, mut blocks: usize) -> Charge {
        if self.is_enforced() {
            blocks = blocks.min(usize::try_from(self.left(now) / UNITS).unwrap_or(usize::MAX));
        }
        let units = (blocks as u64).saturating_mul(UNITS);
        let limit = self.enabled && !self.periodic;
        if limit {
            self.units -= units;
        }
        // A budget that is not in force counts, too.
        let period = self.period.as_deref_mut();
        Charge {
            blocks,
            limit,
            slice: period.map(|period| period.charge(now, units)),
            generation: self.generation,
        }
    }

    /// Refunds `blocks` blocks of a charge.
    fn refund(&mut self, charge: Charge, blocks: usize) {
        if charge.generation != self.generation {
            return;
        }
        let units = blocks as u64 * UNITS;
        if charge.limit {
            self.units += units;
        }
        if let (Some(slice), Some(period)) = (charge.slice, self.period.as_deref_mut()) {
            period.refund(slice, units);
        }
    }

    /// Sets the budget for a period, with `spare` as memory for it; `None` turns it off.
    ///
    /// What was written in the period so far counts as written now, unless only the budget was
    /// turned off and on again.
    fn set_rate(&mut self, now: u32, rate: Option<Rate>, spare: Option<KBox<Period>>) {
        self.periodic = rate.is_some();
        let (Some(rate), Some(mut spare)) = (rate, spare) else {
            return;
        };
        if let Some(period) = self.period.as_deref_mut() {
            if period.rate() == rate {
                return;
            }
            *spare = Period::new(rate, now, period.used(now));
        }
        self.period = Some(spare);
        self.generation = self.generation.wrapping_add(1);
    }
}

/// The limit of writeback of a disk.
///
/// # Context
///
/// All methods but [`new`](Self::new) may sleep.
#[pin_data]
pub(crate) struct Budget {
    #[pin]
    limit: Mutex<Limit>,
}

impl Budget {
    /// Creates a limit that is not in force. Any context.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            limit <- new_mutex!(Limit::NONE, "zram_rs budget"),
        })
    }

    /// Returns whether a limit is in force.
    pub(crate) fn is_enabled(&self) -> bool {
        self.limit.lock().is_enforced()
    }

    /// Enables or disables the limit.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a budget for a period is in force, which is the limit.
    pub(crate) fn set_enabled(&self, enabled: bool) -> Result {
        let mut limit = self.limit.lock();
        if limit.periodic {
            return Err(EBUSY);
        }
        limit.enabled = enabled;
        Ok(())
    }

    /// Returns the limit, in units of 4 KiB: with a budget for a period, what may be written now.
    pub(crate) fn units(&self) -> u64 {
        self.limit.lock().left(boottime_seconds())
    }

    /// Sets the limit, in units of 4 KiB, rounded down to whole blocks.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a budget for a period is in force, which is the limit.
    pub(crate) fn set_units(&self, units: u64) -> Result {
        let mut limit = self.limit.lock();
        if limit.periodic {
            return Err(EBUSY);
        }
        limit.units = units & !(UNITS - 1);
        limit.generation = limit.generation.wrapping_add(1);
        Ok(())
    }

    /// Returns the budget for a period, if one is in force.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.limit.lock().period().map(|period| period.rate())
    }

    /// Sets the budget for a period, or turns it off.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for it.
    pub(crate) fn set_rate(&self, rate: Option<Rate>) -> Result {
        let now = boottime_seconds();
        let spare = match rate {
            Some(rate) => Some(KBox::new(Period::new(rate, now, 0), GFP_KERNEL)?),
            None => None,
        };
        self.limit.lock().set_rate(now, rate, spare);
        Ok(())
    }

    /// Returns whether the limit is in force and allows no block.
    pub(crate) fn is_used_up(&self) -> bool {
        self.blocks() == 0
    }

    /// Returns how many blocks the limit allows.
    pub(crate) fn blocks(&self) -> usize {
        let mut limit = self.limit.lock();
        match limit.is_enforced() {
            true => usize::try_from(limit.left(boottime_seconds()) / UNITS).unwrap_or(usize::MAX),
            false => usize::MAX,
        }
    }

    /// Charges at most `blocks` blocks.
    pub(super) fn charge(&self, blocks: usize) -> Charge {
        self.limit.lock().charge(boottime_seconds(), blocks)
    }

    /// Refunds `blocks` blocks of a charge.
    pub(super) fn refund(&self, charge: Charge, blocks: usize) {
        self.limit.lock().refund(charge, blocks);
    }
}

#[kunit_tests(zram_rs_budget)]
mod tests {
    use super::*;

    #[test]
    fn budget() {
        let mut limit = Limit {
            units: 10 * UNITS,
            ..Limit::NONE
        };
        // A limit that is not in force is neither charged nor refunded.
        let free = limit.charge(0, 1000);
        assert_eq!(free.blocks, 1000);
        assert_eq!(limit.units, 10 * UNITS);
        limit.enabled = true;
        limit.refund(free, 1000);
        assert_eq!(limit.units, 10 * UNITS);

        let most = limit.charge(0, 7);
        assert_eq!((most.blocks, limit.units), (7, 3 * UNITS));
        let rest = limit.charge(0, 7);
        assert_eq!((rest.blocks, limit.units), (3, 0));
        assert_eq!(limit.charge(0, 1).blocks, 0);
        limit.refund(most, 2);
        assert_eq!(limit.charge(0, 5).blocks, 2);

        // A charge to an old limit is not refunded to a new one.
        limit.generation += 1;
        limit.refund(rest, 3);
        assert_eq!(limit.units, 0);

        limit.units = u64::MAX & !(UNITS - 1);
        let all = limit.charge(0, usize::MAX);
        limit.refund(all, all.blocks);
        assert_eq!(limit.units, u64::MAX & !(UNITS - 1));
    }

    #[test]
    fn period_is_the_limit() -> Result {
        let spare = |rate| Ok::<_, Error>(Some(KBox::new(Period::new(rate, 0, 0), GFP_KERNEL)?));
        let mut limit = Limit {
            enabled: true,
            units: 3 * UNITS,
            ..Limit::NONE
        };
        let before = limit.charge(0, 1);
        let ten = Rate::for_blocks(10, 100);
        limit.set_rate(0, Some(ten), spare(ten)?);
        assert_eq!(limit.left(0), 10 * UNITS);
        // What was charged to the limit is not refunded to the budget.
        limit.refund(before, 1);
        assert_eq!(limit.left(0), 10 * UNITS);
        let charge = limit.charge(5, 8);
        assert_eq!(limit.charge(6, 8).blocks, 2);
        assert_eq!(limit.charge(7, 1).blocks, 0);
        limit.refund(charge, 3);
        assert_eq!(limit.left(8), 3 * UNITS);

        // Turning it off and on does not allow more.
        limit.set_rate(8, None, None);
        assert_eq!(limit.left(8), 2 * UNITS);
        limit.set_rate(9, Some(ten), spare(ten)?);
        assert_eq!(limit.left(9), 3 * UNITS);
        // Nor does what is written meanwhile, with a limit or without.
        let before = limit.left(9);
        limit.set_rate(9, None, None);
        assert_eq!(limit.charge(9, 1).blocks, 1);
        limit.enabled = false;
        let free = limit.charge(9, 1000);
        assert_eq!(free.blocks, 1000);
        limit.refund(free, 999);
        limit.set_rate(9, Some(ten), spare(ten)?);
        assert_eq!(limit.left(9), before - 2 * UNITS);
        limit.refund(free, 1);
        assert_eq!(limit.left(9), before - UNITS);
        // Nor does another budget: what was written counts from now on.
        let twelve = Rate::for_blocks(12, 50);
        limit.set_rate(10, Some(twelve), spare(twelve)?);
        assert_eq!(limit.left(10), 4 * UNITS);
        limit.refund(charge, 5);
        assert_eq!(limit.left(10), 4 * UNITS);
        assert_eq!(limit.left(60), 4 * UNITS);
        assert_eq!(limit.left(62), 12 * UNITS);
        Ok(())
    }
}
