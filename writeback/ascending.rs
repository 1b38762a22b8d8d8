// SPDX-License-Identifier: GPL-2.0

//! The slots of a batch in ascending order, which the submitter and its helper take from the front.
//!
//! Both take pieces of neighbours, and claim blocks at about the same time, so that what one of
//! them writes lies beside what the other one writes.

use super::{
    window::WINDOW,
    REQUEST_BLOCKS, //
};
use crate::select::Ascending;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The slots of a batch, in pieces.
///
/// # Context
///
/// Any context.
pub(super) struct Pieces<'a> {
    slots: Ascending<'a>,
    /// Maximum number of slots in a piece.
    max: usize,
    /// Number of slots that were taken.
    taken: Atomic<usize>,
}

impl<'a> Pieces<'a> {
    /// Creates pieces of what a request can take, each page in a block of its own.
    pub(super) fn of_pages(slots: Ascending<'a>) -> Self {
        Self::new(slots, REQUEST_BLOCKS)
    }

    /// Creates pieces whose pages share blocks.
    pub(super) fn of_windows(slots: Ascending<'a>) -> Self {
        Self::new(slots, WINDOW)
    }

    fn new(slots: Ascending<'a>, max: usize) -> Self {
        Self {
            slots,
            max,
            taken: Atomic::new(0),
        }
    }

    /// Returns the number of slots, taken or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns an iterator over the slots, until all have been taken.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        core::iter::from_fn(|| self.take()).flat_map(Ascending::slots)
    }

    /// Takes a piece, if there is one left.
    pub(super) fn take(&self) -> Option<Ascending<'a>> {
        let mut from = self.taken.load(Relaxed);
        while from < self.slots.len() {
            let to = self.end(from);
            match self.taken.cmpxchg(from, to, Relaxed) {
                Ok(_) => return Some(self.slots.part(from..to)),
                Err(now) => from = now,
            }
        }
        None
    }

    /// Returns the end of the piece that begins at `from`.
    ///
    /// It ends where large reads of the disk do, at a multiple of its size, unless that makes it
    /// less than half as long.
    fn end(&self, from: usize) -> usize {
        let most = self.slots.len().min(from + self.max);
        let Some((next, _)) = self.slots.get(most) else {
            return most;
        };
        let border = self.slots.count_below(next - next % self.max);
        match border > from + self.max / 2 {
            true => border,
            false => most,
        }
    }
}

#[kunit_tests(zram_rs_ascending)]
mod tests {
    use super::*;
    use crate::{
        abstractions::workqueue::with_scoped_work,
        select::with_test_slots, //
    };

    /// Returns the first slot and the length of each piece of these slots.
    fn pieces(indices: impl Iterator<Item = usize>) -> Result<KVec<(usize, usize)>> {
        with_test_slots(indices.map(|index| (index, 0)), |slots| {
            let pieces = Pieces::of_pages(slots);
            let mut taken = KVec::new();
            while let Some(piece) = pieces.take() {
                let (first, _) = piece.get(0).ok_or(EINVAL)?;
                taken.push((first, piece.len()), GFP_KERNEL)?;
            }
            Ok(taken)
        })?
    }

    #[test]
    fn pieces_end_at_multiples() -> Result {
        const MAX: usize = REQUEST_BLOCKS;
        assert_eq!(pieces(0..0)?[..], []);
        assert_eq!(pieces(5..6)?[..], [(5, 1)]);
        assert_eq!(pieces(0..2 * MAX)?[..], [(0, MAX), (MAX, MAX)]);
        // Less than half of a piece is before the border, and more than half.
        assert_eq!(
            pieces(MAX - 3..3 * MAX)?[..],
            [(MAX - 3, MAX), (2 * MAX - 3, MAX), (3 * MAX - 3, 3)]
        );
        assert_eq!(pieces(3..2 * MAX)?[..], [(3, MAX - 3), (MAX, MAX)]);
        // Slots that are far apart.
        let far = (0..MAX + 1).map(|number| 1000 * number);
        assert_eq!(pieces(far)?[..], [(0, MAX), (1000 * MAX, 1)]);
        Ok(())
    }

    #[test]
    fn pieces_give_each_slot_to_one() -> Result {
        const LEN: usize = 10_000;
        let mut times = KVec::new();
        for _ in 0..LEN {
            times.push(Atomic::new(0), GFP_KERNEL)?;
        }
        with_test_slots((0..LEN).map(|index| (index, 0)), |slots| {
            let pieces = Pieces::of_pages(slots);
            let take = || {
                for index in pieces.slots() {
                    times[index].add(1, Relaxed);
                }
            };
            with_scoped_work(&mut || take(), take);
        })?;
        assert!(times.iter().all(|times| times.load(Relaxed) == 1));
        Ok(())
    }
}
