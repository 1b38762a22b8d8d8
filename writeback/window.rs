// SPDX-License-Identifier: GPL-2.0

//! Windows of neighbouring slots, which are taken so that their pages fill blocks.
//!
//! The blocks of a window lie one behind the other on the device, as far as it has room. So a large
//! read finds all that it needs in a few runs of blocks, and hardly anything else. As with the
//! [packer](super::packer), the next page of a block is the largest that is certain to fit.

use super::{
    ascending::Pieces,
    engine::Source,
    packer::buckets_within, //
};
use crate::select::{
    Ascending,
    BUCKETS, //
};
use kernel::prelude::*;
/// Maximum number of slots in a window, a mebibyte with pages of 4 KiB.
pub(super) const WINDOW: usize = 256;

/// The windows of which a task takes one after the other.
///
/// # Context
///
/// Any context; does not sleep.
pub(super) struct Windows<'a> {
    pieces: &'a Pieces<'a>,
    window: Option<Ascending<'a>>,
    /// For each bucket, the first slot that is left, by its place in the window.
    first: [u16; BUCKETS],
    /// For each slot, the next one of the same bucket.
    next: [u16; WINDOW],
    /// The buckets with a slot, one bit each.
    filled: u128,
}

impl<'a> Windows<'a> {
    /// Creates a source that takes its windows from `pieces`.
    pub(super) fn new(pieces: &'a Pieces<'a>) -> Self {
        const { assert!(BUCKETS <= u128::BITS as usize && WINDOW < NONE as usize) };
        Self {
            pieces,
            window: None,
            first: [NONE; BUCKETS],
            next: [NONE; WINDOW],
            filled: 0,
        }
    }

    /// Takes the next window, once the last one is used up.
    fn refill(&mut self) {
        self.window = self.pieces.take();
        let Some(window) = self.window else { return };
        // From the back, so that the first slots of each bucket come first.
        for at in (0..window.len().min(WINDOW)).rev() {
            let Some((_, bucket)) = window.get(at) else {
                continue;
            };
            if let (Some(first), Some(next)) = (self.first.get_mut(bucket), self.next.get_mut(at)) {
                *next = *first;
                *first = at as u16;
                self.filled |= 1 << bucket;
            }
        }
    }
}

/// The end of a list of slots.
const NONE: u16 = u16::MAX;

impl Source for Windows<'_> {
    fn next(&mut self, room: usize) -> Option<usize> {
        if self.filled == 0 {
            self.refill();
        }
        let fitting = self.filled & ((1 << buckets_within(room)) - 1);
        let bucket = fitting.checked_ilog2()? as usize;
        let first = self.first.get_mut(bucket)?;
        let at = *first;
        *first = *self.next.get(usize::from(at))?;
        if *first == NONE {
            self.filled &= !(1 << bucket);
        }
        self.window?.get(usize::from(at)).map(|(slot, _)| slot)
    }
}

#[kunit_tests(zram_rs_window)]
mod tests {
    use super::*;
    use crate::{
        backing::share::Layout,
        select::with_test_slots, //
    };
    use kernel::page::PAGE_SIZE;

    /// Packs pages of these sizes, each in the slot of its index, as the engine does, and returns
    /// the block of each.
    fn pack(sizes: &[usize]) -> Result<KVVec<usize>> {
        let mut places = KVVec::from_elem(usize::MAX, sizes.len(), GFP_KERNEL)?;
        with_test_slots(sizes.iter().copied().enumerate(), |slots| {
            let pieces = Pieces::of_windows(slots);
            let mut source = Windows::new(&pieces);
            let mut block = 0;
            while let Some(first) = source.next(PAGE_SIZE) {
                let mut layout = Layout::EMPTY;
                let mut next = Some(first);
                while let Some(slot) = next {
                    assert!(layout.add(sizes[slot]));
                    assert_eq!(places[slot], usize::MAX);
                    places[slot] = block;
                    next = match layout.room() {
                        0 => None,
                        room => source.next(room),
                    };
                }
                block += 1;
            }
        })?;
        assert!(places.iter().all(|&place| place != usize::MAX));
        Ok(places)
    }

    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (*state >> 33) as usize
    }

    #[test]
    fn windows_leave_no_gaps() -> Result {
        let mut state = 2;
        // Of all magnitudes.
        for max in [PAGE_SIZE, PAGE_SIZE / 2, PAGE_SIZE / 4] {
            let mut sizes = KVVec::new();
            for _ in 0..8 * WINDOW {
                sizes.push(1 + random(&mut state) % max, GFP_KERNEL)?;
            }
            let bytes: usize = sizes.iter().sum();
            let blocks = 1 + pack(&sizes)?.iter().max().ok_or(EINVAL)?;
            assert!(blocks * PAGE_SIZE * 100 <= bytes * 108);
        }
        Ok(())
    }

    #[test]
    fn a_window_has_neighbouring_blocks() -> Result {
        let mut state = 3;
        let mut sizes = KVVec::new();
        for _ in 0..8 * WINDOW {
            sizes.push(1 + random(&mut state) % PAGE_SIZE, GFP_KERNEL)?;
        }
        let mut end = 0;
        for blocks in pack(&sizes)?.chunks(WINDOW) {
            let first = blocks.iter().min().ok_or(EINVAL)?;
            let last = blocks.iter().max().ok_or(EINVAL)?;
            // Two windows share at most one block.
            assert!(*first + 1 >= end && *first <= end);
            end = last + 1;
        }
        Ok(())
    }

    #[test]
    fn windows_are_taken_by_two() -> Result {
        let slots = (0..4 * WINDOW).map(|index| (index, 1 + index % PAGE_SIZE));
        with_test_slots(slots, |slots| {
            let pieces = Pieces::of_windows(slots);
            let mut sources = [Windows::new(&pieces), Windows::new(&pieces)];
            let mut taken = KVVec::from_elem(false, slots.len(), GFP_KERNEL)?;
            for number in 0..slots.len() {
                let slot = sources[number % 2].next(PAGE_SIZE).ok_or(EINVAL)?;
                // Each has windows of its own.
                assert_eq!(slot / WINDOW % 2, number % 2);
                assert!(!taken[slot]);
                taken[slot] = true;
            }
            assert_eq!(sources[0].next(PAGE_SIZE), None);
            assert_eq!(sources[1].next(PAGE_SIZE), None);
            Ok(())
        })?
    }
}
