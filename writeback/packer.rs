// SPDX-License-Identifier: GPL-2.0

//! The slots of a batch, which are taken so that their pages fill blocks.
//!
//! The next page of a block is the largest that is certain to fit into what is left of the block.
//! How large the object of a slot is, the packer knows to the width of a bucket of the
//! [selector](crate::select). A bit for each bucket tells whether it has slots left, so that the
//! time to find a slot depends neither on their number nor on that of the buckets.

use super::engine::Source;
use crate::select::{
    Batch,
    BUCKETS,
    BUCKET_SIZE, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Number of buckets for each word of [`Packer::left`].
const PER_WORD: usize = u64::BITS as usize;

/// The slots of a batch, from which the submitter and its helper take the next one that fits.
///
/// # Context
///
/// Any context; does not sleep.
pub(super) struct Packer<'a> {
    batch: Batch<'a>,
    /// Number of slots that were taken from each bucket; may be larger than the bucket.
    taken: [Atomic<u32>; BUCKETS],
    /// A bit for each bucket that has slots left, the smallest sizes in the lowest bits.
    left: [Atomic<u64>; BUCKETS.div_ceil(PER_WORD)],
}

impl<'a> Packer<'a> {
    /// Creates a packer.
    pub(super) fn new(batch: Batch<'a>) -> Self {
        let bits = |word| {
            let buckets = PER_WORD * word..BUCKETS.min(PER_WORD * (word + 1));
            let full = buckets.filter(|&bucket| !batch.bucket(bucket).is_empty());
            full.fold(0, |bits, bucket| bits | 1 << (bucket % PER_WORD))
        };
        Self {
            batch,
            taken: [const { Atomic::new(0) }; BUCKETS],
            left: core::array::from_fn(|word| Atomic::new(bits(word))),
        }
    }

    /// Returns the number of slots.
    pub(super) fn len(&self) -> usize {
        self.batch.slots.len()
    }

    /// Returns the bucket of the largest sizes that has slots left, of the first `len` buckets.
    fn largest(&self, len: usize) -> Option<usize> {
        (0..len.div_ceil(PER_WORD)).rev().find_map(|word| {
            let others = PER_WORD.saturating_sub(len - PER_WORD * word);
            let bits = self.left.get(word)?.load(Relaxed) & (u64::MAX >> others);
            Some(PER_WORD * word + bits.checked_ilog2()? as usize)
        })
    }

    /// Takes a slot of a bucket, if there is one left.
    fn take(&self, bucket: usize) -> Option<usize> {
        let slots = self.batch.bucket(bucket);
        let number = self.taken.get(bucket)?.fetch_add(1, Relaxed) as usize;
        if number + 1 == slots.len() {
            // One task takes the last slot, and takes away the bit, which is set until then.
            let bit = 1u64 << (bucket % PER_WORD);
            (self.left.get(bucket / PER_WORD)?).add(bit.wrapping_neg(), Relaxed);
        }
        slots.get(number).copied()
    }
}

/// Returns how many buckets have only objects of at most `room` bytes. Any context.
pub(super) fn buckets_within(room: usize) -> usize {
    match room {
        // The last bucket has objects of `PAGE_SIZE` bytes.
        PAGE_SIZE.. => BUCKETS,
        _ => (room + 1) / BUCKET_SIZE,
    }
}

impl Source for &Packer<'_> {
    fn next(&mut self, room: usize) -> Option<usize> {
        let mut len = buckets_within(room);
        loop {
            let bucket = self.largest(len)?;
            if let Some(slot) = self.take(bucket) {
                return Some(slot);
            }
            // The other task has taken the last slot just now.
            len = bucket;
        }
    }
}

#[kunit_tests(zram_rs_packer)]
mod tests {
    use super::*;
    use crate::{
        abstractions::alloc::Gfp,
        backing::share::Layout,
        select::Sorter, //
    };

    /// Packs objects of these sizes as the engine does, and returns the number of blocks.
    ///
    /// Checks that each object is in one block, where it overlaps no other.
    fn pack(sizes: &[usize]) -> Result<usize> {
        let mut sorter = Sorter::new(sizes.len(), Gfp::KERNEL)?;
        for (slot, &size) in sizes.iter().enumerate() {
            sorter.add(slot, size);
        }
        let packer = Packer::new(sorter.batch());
        let mut source = &packer;
        let mut packed = KVec::from_elem(false, sizes.len(), GFP_KERNEL)?;
        let mut blocks = 0;
        while let Some(first) = source.next(PAGE_SIZE) {
            let mut layout = Layout::EMPTY;
            let mut next = Some(first);
            while let Some(slot) = next {
                let before = layout.used();
                // The object fits, and begins where the last one ends.
                assert!(layout.add(sizes[slot]));
                assert!(layout.used() == before + sizes[slot] && layout.used() <= PAGE_SIZE);
                assert!(!packed[slot]);
                packed[slot] = true;
                next = match layout.room() {
                    0 => None,
                    room => source.next(room),
                };
            }
            blocks += 1;
        }
        assert!(packed.iter().all(|&packed| packed));
        Ok(blocks)
    }

    /// Returns the least number of blocks that have room for objects of these sizes.
    fn optimum(sizes: &[usize], blocks: &mut [usize], used: usize) -> usize {
        let Some((&size, rest)) = sizes.split_first() else {
            return used;
        };
        let mut least = usize::MAX;
        // In one of the blocks in use, or in the next one.
        for block in 0..=used {
            if blocks[block] + size <= PAGE_SIZE {
                blocks[block] += size;
                least = least.min(optimum(rest, blocks, used.max(block + 1)));
                blocks[block] -= size;
            }
        }
        least
    }

    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (*state >> 33) as usize
    }

    #[test]
    fn nearly_the_least_number_of_blocks() -> Result {
        const PAGES: usize = 7;
        let mut state = 1;
        let (mut sum, mut least) = (0, 0);
        for _ in 0..500 {
            let mut sizes = [0; PAGES];
            for size in &mut sizes {
                *size = 1 + random(&mut state) % PAGE_SIZE;
            }
            let (blocks, optimum) = (pack(&sizes)?, optimum(&sizes, &mut [0; PAGES + 1], 0));
            assert!(blocks >= optimum && blocks <= optimum + 1);
            sum += blocks;
            least += optimum;
        }
        // Best fit, with sizes that are known to a 64th of a page.
        assert!(sum * 100 <= least * 103);
        Ok(())
    }

    #[test]
    fn many_pages_leave_no_gaps() -> Result {
        const PAGES: usize = 2000;
        let mut state = 2;
        // Of all magnitudes.
        for max in [PAGE_SIZE, PAGE_SIZE / 2, PAGE_SIZE / 4] {
            let mut sizes = KVec::new();
            for _ in 0..PAGES {
                sizes.push(1 + random(&mut state) % max, GFP_KERNEL)?;
            }
            let bytes: usize = sizes.iter().sum();
            let blocks = pack(&sizes)?;
            assert!(blocks * PAGE_SIZE * 100 <= bytes * 108);
        }
        Ok(())
    }

    #[test]
    fn largest_that_fits() -> Result {
        // The sizes are those of whole buckets less a byte, so that all of them fit exactly.
        let size = |buckets| buckets * BUCKET_SIZE - 1;
        assert_eq!(pack(&[size(64)])?, 1);
        assert_eq!(pack(&[PAGE_SIZE])?, 1);
        assert_eq!(pack(&[PAGE_SIZE, 1])?, 2);
        assert_eq!(pack(&[size(40), size(24)])?, 1);
        assert_eq!(pack(&[size(40), size(25)])?, 2);
        assert_eq!(pack(&[size(30), size(40), size(24), size(34)])?, 2);
        // More pages than a block can have.
        assert_eq!(pack(&[1; 14])?, 1);
        assert_eq!(pack(&[1; 15])?, 2);
        Ok(())
    }
}
