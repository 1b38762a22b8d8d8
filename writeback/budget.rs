// SPDX-License-Identifier: GPL-2.0

//! The limit of writeback.

use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex, //
};

/// Number of units of the limit, of 4 KiB each, that a block is charged.
const UNITS: u64 = PAGE_SIZE as u64 / 4096;

/// The limit, in units of 4 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limit {
    enabled: bool,
    units: u64,
    /// Changes with each limit that a user sets, so that what was charged to one limit is not
    /// refunded to another.
    generation: u32,
}

/// Blocks that were charged to the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Charge {
    /// Number of blocks.
    pub(super) blocks: usize,
    /// The generation of the limit; `None` if none was in force.
    generation: Option<u32>,
}

impl Charge {
    /// No blocks.
    pub(super) const NONE: Self = Self {
        blocks: 0,
        generation: None,
    };
}

impl Limit {
    /// Charges at most `blocks` blocks.
    fn charge(&mut self, blocks: usize) -> Charge {
        if !self.enabled {
            return Charge {
                blocks,
                generation: None,
            };
        }
        let blocks = blocks.min(usize::try_from(self.units / UNITS).unwrap_or(usize::MAX));
        self.units -= blocks as u64 * UNITS;
        Charge {
            blocks,
            generation: Some(self.generation),
        }
    }

    /// Refunds `blocks` blocks of a charge.
    fn refund(&mut self, charge: Charge, blocks: usize) {
        if charge.generation == Some(self.generation) {
            self.units += blocks as u64 * UNITS;
        }
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
        let limit = Limit {
            enabled: false,
            units: 0,
            generation: 0,
        };
        pin_init!(Self {
            limit <- new_mutex!(limit, "zram_rs budget"),
        })
    }

    /// Returns whether the limit is in force.
    pub(crate) fn is_enabled(&self) -> bool {
        self.limit.lock().enabled
    }

    /// Enables or disables the limit.
    pub(crate) fn set_enabled(&self, enabled: bool) {
        self.limit.lock().enabled = enabled;
    }

    /// Returns the limit, in units of 4 KiB.
    pub(crate) fn units(&self) -> u64 {
        self.limit.lock().units
    }

    /// Sets the limit, in units of 4 KiB, rounded down to whole blocks.
    pub(crate) fn set_units(&self, units: u64) {
        let mut limit = self.limit.lock();
        limit.units = units & !(UNITS - 1);
        limit.generation = limit.generation.wrapping_add(1);
    }

    /// Returns how many blocks the limit allows.
    pub(super) fn blocks(&self) -> usize {
        let limit = self.limit.lock();
        match limit.enabled {
            true => usize::try_from(limit.units / UNITS).unwrap_or(usize::MAX),
            false => usize::MAX,
        }
    }

    /// Charges at most `blocks` blocks.
    pub(super) fn charge(&self, blocks: usize) -> Charge {
        self.limit.lock().charge(blocks)
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
            enabled: false,
            units: 10 * UNITS,
            generation: 0,
        };
        // A limit that is not in force is neither charged nor refunded.
        let free = limit.charge(1000);
        assert_eq!(free.blocks, 1000);
        assert_eq!(limit.units, 10 * UNITS);
        limit.enabled = true;
        limit.refund(free, 1000);
        assert_eq!(limit.units, 10 * UNITS);

        let most = limit.charge(7);
        assert_eq!((most.blocks, limit.units), (7, 3 * UNITS));
        let rest = limit.charge(7);
        assert_eq!((rest.blocks, limit.units), (3, 0));
        assert_eq!(limit.charge(1).blocks, 0);
        limit.refund(most, 2);
        assert_eq!(limit.charge(5).blocks, 2);

        // A charge to an old limit is not refunded to a new one.
        limit.generation += 1;
        limit.refund(rest, 3);
        assert_eq!(limit.units, 0);

        limit.units = u64::MAX & !(UNITS - 1);
        let all = limit.charge(usize::MAX);
        limit.refund(all, all.blocks);
        assert_eq!(limit.units, u64::MAX & !(UNITS - 1));
    }
}
