// SPDX-License-Identifier: GPL-2.0

//! The slots of a batch, which the submitter and its helper take from the two ends.

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
pub(super) struct Queue<'a> {
    slots: &'a [usize],
    /// Number of pieces that were taken, from both ends.
    taken: Atomic<usize>,
}

/// The end of a queue from which pieces are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The end with the largest objects.
    Front,
    /// The end with the smallest objects. Objects at the two ends are of different size classes,
    /// each of which has a lock in zsmalloc.
    Back,
}

impl<'a> Queue<'a> {
    /// Creates a queue.
    pub(super) fn new(slots: &'a [usize]) -> Self {
        Self {
            slots,
            taken: Atomic::new(0),
        }
    }

    /// Returns the number of slots.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns an iterator over the slots from one end on; see [`pieces`](Self::pieces).
    pub(super) fn slots(&self, end: End) -> impl Iterator<Item = usize> + '_ {
        self.pieces(end).flatten().copied()
    }

    /// Returns an iterator over the pieces from one end on, until all have been taken from either
    /// end.
    ///
    /// One task at a time takes pieces from an end.
    fn pieces(&self, end: End) -> impl Iterator<Item = &'a [usize]> + '_ {
        let count = self.slots.len().div_ceil(REQUEST_BLOCKS);
        (0..count).map_while(move |number| {
            // The pieces that were taken are at the two ends: while there are fewer than `count`,
            // at least one is left between them.
            if self.taken.fetch_add(1, Relaxed) >= count {
                return None;
            }
            let start = REQUEST_BLOCKS
                * match end {
                    End::Front => number,
                    End::Back => count - 1 - number,
                };
            self.slots
                .get(start..self.slots.len().min(start + REQUEST_BLOCKS))
        })
    }
}

#[kunit_tests(zram_rs_queue)]
mod tests {
    use super::*;
    use crate::abstractions::workqueue::with_scoped_work;

    /// Returns what a queue of `len` slots has left for the front after `back` pieces were taken
    /// from the back.
    fn front_after_back(len: usize, back: usize) -> Result<KVec<usize>> {
        let mut slots = KVec::new();
        for index in 0..len {
            slots.push(index, GFP_KERNEL)?;
        }
        let queue = Queue::new(&slots);
        let mut end = len;
        for piece in queue.pieces(End::Back).take(back) {
            assert_eq!(piece.last(), Some(&(end - 1)));
            end = piece[0];
        }
        let mut front = KVec::new();
        for piece in queue.pieces(End::Front) {
            front.extend_from_slice(piece, GFP_KERNEL)?;
        }
        assert_eq!(front[..], slots[..end]);
        // Nothing is left at either end.
        assert!(queue.pieces(End::Back).next().is_none());
        Ok(front)
    }

    #[test]
    fn queue_has_two_ends() -> Result {
        const PIECE: usize = REQUEST_BLOCKS;
        assert_eq!(front_after_back(0, 0)?.len(), 0);
        assert_eq!(front_after_back(1, 0)?.len(), 1);
        assert_eq!(front_after_back(1, 1)?.len(), 0);
        assert_eq!(front_after_back(3 * PIECE, 1)?.len(), 2 * PIECE);
        // The last piece may be shorter.
        assert_eq!(front_after_back(3 * PIECE + 1, 0)?.len(), 3 * PIECE + 1);
        assert_eq!(front_after_back(3 * PIECE + 1, 2)?.len(), 2 * PIECE);
        assert_eq!(front_after_back(3 * PIECE + 1, 9)?.len(), 0);
        Ok(())
    }

    #[test]
    fn queue_gives_each_slot_to_one() -> Result {
        const LEN: usize = 10_000;
        let mut slots = KVec::new();
        let mut times = KVec::new();
        for index in 0..LEN {
            slots.push(index, GFP_KERNEL)?;
            times.push(Atomic::new(0), GFP_KERNEL)?;
        }
        let queue = Queue::new(&slots);
        let take = |end| {
            for &index in queue.pieces(end).flatten() {
                times[index].add(1, Relaxed);
            }
        };
        with_scoped_work(&mut || take(End::Back), || take(End::Front));
        assert!(times.iter().all(|times| times.load(Relaxed) == 1));
        Ok(())
    }
}
