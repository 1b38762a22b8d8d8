// SPDX-License-Identifier: GPL-2.0

//! The slots of a batch, which the submitter and its helper take in pieces, from the front.
//!
//! If the slots are in ascending order, both take pieces of neighbours, and claim blocks at about
//! the same time, so that what one of them writes lies beside what the other one writes. If the
//! largest objects come first, there is no helper: the order decides which pages are written.

use super::REQUEST_BLOCKS;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The slots of a batch, in pieces of what a request can take.
///
/// # Context
///
/// Any context.
pub(super) struct Pieces<'a> {
    slots: &'a [usize],
    /// Number of pieces that were taken.
    taken: Atomic<usize>,
}

impl<'a> Pieces<'a> {
    /// Creates the pieces.
    pub(super) fn new(slots: &'a [usize]) -> Self {
        Self {
            slots,
            taken: Atomic::new(0),
        }
    }

    /// Returns the number of slots, taken or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns an iterator over the slots, until all have been taken.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        core::iter::from_fn(|| self.take()).flatten().copied()
    }

    /// Takes a piece, if there is one left.
    fn take(&self) -> Option<&'a [usize]> {
        // A task calls this once more after the last piece, so that the number does not wrap.
        let number = self.taken.fetch_add(1, Relaxed);
        self.slots.chunks(REQUEST_BLOCKS).nth(number)
    }
}

#[kunit_tests(zram_rs_pieces)]
mod tests {
    use super::*;
    use crate::abstractions::workqueue::with_scoped_work;

    #[test]
    fn pieces_are_neighbours() {
        const LEN: usize = 2 * REQUEST_BLOCKS + 3;
        let slots: [usize; LEN] = core::array::from_fn(|number| 7 * number);
        let pieces = Pieces::new(&slots);
        assert_eq!(pieces.len(), LEN);
        // What two tasks take by turns.
        let (mut one, mut other) = (pieces.slots(), pieces.slots());
        for number in 0..REQUEST_BLOCKS {
            assert_eq!(one.next(), Some(slots[number]));
            assert_eq!(other.next(), Some(slots[REQUEST_BLOCKS + number]));
        }
        assert!(other.eq(slots[2 * REQUEST_BLOCKS..].iter().copied()));
        assert_eq!(one.next(), None);
        assert_eq!(Pieces::new(&[]).slots().next(), None);
    }

    #[test]
    fn pieces_give_each_slot_to_one() -> Result {
        const LEN: usize = 10_000;
        let mut slots = KVec::new();
        let mut times = KVec::new();
        for index in 0..LEN {
            slots.push(index, GFP_KERNEL)?;
            times.push(Atomic::new(0), GFP_KERNEL)?;
        }
        let pieces = Pieces::new(&slots);
        let take = || {
            for index in pieces.slots() {
                times[index].add(1, Relaxed);
            }
        };
        with_scoped_work(1, &mut || take(), take);
        assert!(times.iter().all(|times| times.load(Relaxed) == 1));
        Ok(())
    }
}
