// SPDX-License-Identifier: GPL-2.0

//! Decides which blocks of a packed device a compaction packs anew.
//!
//! The plan counts the pages of all blocks that are not nearly full, by the weight of the block and
//! by size, and packs these numbers as the packer would pack the pages. So it knows before any I/O
//! how many blocks a compaction frees: pages of more than half a block gain nothing if there are no
//! small ones to go along with them.

use super::{
    engine::Job,
    packer::buckets_within, //
};
use crate::{
    abstractions::{
        alloc::Gfp,
        sched::cond_resched, //
    },
    backing::share::{
        Layout,
        MAX_MOVED, //
    },
    select::{
        BUCKETS,
        BUCKET_SIZE, //
    },
    slot::View,
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// How many blocks a compaction may write for each block that it frees.
const WRITES: usize = 8;

/// The number of pages in each bucket of sizes.
type Histogram = [u32; BUCKETS];

/// The blocks of one weight, and the pages in them.
#[derive(Clone, Copy)]
struct Class {
    blocks: usize,
    pages: Histogram,
}

impl Class {
    const EMPTY: Self = Self {
        blocks: 0,
        pages: [0; BUCKETS],
    };

    /// Counts a page of `size` bytes.
    fn count(&mut self, size: usize) {
        let bucket = (size / BUCKET_SIZE).min(BUCKETS - 1);
        if let Some(number) = self.pages.get_mut(bucket) {
            *number = number.saturating_add(1);
        }
    }
}

/// Returns the largest weight of the blocks that a compaction is to pack anew; 0 if it would not
/// free enough blocks.
///
/// Pages may come and go meanwhile, so the weight is that of a moment.
///
/// # Context
///
/// May sleep, but not for memory unless `gfp` allows it.
///
/// # Errors
///
/// - `ENOMEM`: `gfp` finds no memory.
/// - Those of [`Job::check_stop`].
pub(super) fn heaviest_worth_moving(job: &Job<'_>, gfp: Gfp) -> Result<usize> {
    let (store, sharing) = (job.store, job.store.sharing());
    let mut classes = KVec::from_elem(Class::EMPTY, MAX_MOVED, gfp.for_collections())?;
    for number in 0..job.backing.blocks.len() {
        breathe(job, number)?;
        if let Some(class) = class_of(&mut classes, sharing.weight_of(number)) {
            class.blocks += 1;
        }
    }
    for index in 0..store.table.len() {
        breathe(job, index)?;
        let Some(slot) = store.table.lock(index) else {
            continue;
        };
        if let View::WrittenBack { location, .. } = slot.view() {
            if let Some(class) = class_of(&mut classes, sharing.weight_of(location.block())) {
                class.count(location.size());
            }
        }
    }
    Ok(best(&classes))
}

/// Lets others have the CPU now and then, and checks whether the compaction must stop.
fn breathe(job: &Job<'_>, number: usize) -> Result {
    if number % 1024 == 0 {
        cond_resched();
        job.check_stop()?;
    }
    Ok(())
}

/// Returns the class of the blocks of this weight, if they may be packed anew.
fn class_of(classes: &mut [Class], weight: usize) -> Option<&mut Class> {
    classes.get_mut(weight.checked_sub(1)?)
}

/// Returns the largest weight of the blocks that are packed anew such that the compaction gains
/// most, where `classes` are the blocks of weight 1, 2 and so on; 0 if no weight gains anything.
fn best(classes: &[Class]) -> usize {
    let mut best = 0;
    let mut most = 0;
    let mut before = 0;
    let mut pages = [0u32; BUCKETS];
    for (class, weight) in classes.iter().zip(1..) {
        before += class.blocks;
        for (sum, number) in pages.iter_mut().zip(class.pages) {
            *sum = sum.saturating_add(number);
        }
        let after = blocks_for(pages);
        // Freed blocks count, less what it costs to write the others.
        let gain = (before.saturating_sub(after) * WRITES).saturating_sub(after);
        if gain > most {
            (best, most) = (weight, gain);
        }
    }
    best
}

/// Returns how many blocks the packer makes of so many pages of each size, nearly.
fn blocks_for(mut left: Histogram) -> usize {
    let mut blocks = 0;
    loop {
        // How many of the pages of a block are from each bucket.
        let mut taken: Histogram = [0; BUCKETS];
        let mut layout = Layout::EMPTY;
        loop {
            let buckets = left.iter().zip(&mut taken).enumerate();
            let fitting = buckets.take(buckets_within(layout.room()));
            let largest = fitting.filter(|(_, (left, taken))| **taken < **left).last();
            let Some((bucket, (_, taken))) = largest else {
                break;
            };
            // The size in the middle of the bucket, which has room.
            let size = (bucket * BUCKET_SIZE + BUCKET_SIZE / 2).min(PAGE_SIZE);
            if !layout.add(size) {
                break;
            }
            *taken += 1;
        }
        // As many blocks are alike as there are pages for: what follows takes no longer than there
        // are buckets.
        let alike = left.iter().zip(&taken);
        let alike = alike.filter_map(|(left, taken)| left.checked_div(*taken));
        let Some(times) = alike.min() else {
            return blocks;
        };
        for (left, taken) in left.iter_mut().zip(&taken) {
            *left -= taken * times;
        }
        blocks += times as usize;
    }
}

#[kunit_tests(zram_rs_plan)]
mod tests {
    use super::*;

    /// The number of a bucket with pages of so many 64ths of a block, less a bit.
    const fn below(part: usize) -> usize {
        part - 1
    }

    fn pages(numbers: &[(usize, u32)]) -> Histogram {
        let mut pages = [0; BUCKETS];
        for &(bucket, number) in numbers {
            pages[bucket] = number;
        }
        pages
    }

    #[test]
    fn packs_numbers_like_pages() {
        assert_eq!(blocks_for([0; BUCKETS]), 0);
        assert_eq!(blocks_for(pages(&[(BUCKETS - 1, 7)])), 7);
        // Two of the half, and a block for the last.
        assert_eq!(blocks_for(pages(&[(below(32), 1001)])), 501);
        // A large and a small one, until one of them ends.
        let (large, small) = (below(40), below(24));
        assert_eq!(blocks_for(pages(&[(large, 1000), (small, 1000)])), 1000);
        assert_eq!(blocks_for(pages(&[(large, 1000), (small, 10)])), 1000);
        assert_eq!(blocks_for(pages(&[(large, 10), (small, 1010)])), 510);
        // No two of these go along.
        assert_eq!(blocks_for(pages(&[(large, 10), (below(25), 10)])), 15);
        // No more than 14 are in a block.
        assert_eq!(blocks_for(pages(&[(0, 140)])), 10);
        assert_eq!(blocks_for(pages(&[(0, 141)])), 11);
        assert_eq!(
            blocks_for(pages(&[(0, u32::MAX)])),
            u32::MAX as usize / 14 + 1
        );
        // As many pages of each size.
        let blocks = blocks_for([1000; BUCKETS]);
        let bytes = 1000 * (PAGE_SIZE + PAGE_SIZE / 2 * (BUCKETS - 1));
        assert!(blocks * PAGE_SIZE >= bytes && blocks * PAGE_SIZE * 100 <= bytes * 103);
    }

    fn class(blocks: usize, numbers: &[(usize, u32)]) -> Class {
        Class {
            blocks,
            pages: pages(numbers),
        }
    }

    #[test]
    fn moves_what_frees_blocks() {
        const NONE: Class = Class::EMPTY;
        assert_eq!(best(&[]), 0);
        assert_eq!(best(&[NONE; MAX_MOVED]), 0);
        // One block is not worth it, and two of an eighth are.
        assert_eq!(best(&[class(1, &[(below(8), 1)])]), 0);
        assert_eq!(best(&[class(2, &[(below(8), 2)])]), 1);
        // Blocks that are full to three quarters, of three pages each.
        let full = class(100, &[(below(16), 300)]);
        assert_eq!(best(&[NONE, NONE, NONE, NONE, NONE, full]), 6);
        // Pages of five eighths: no two of them go along.
        let large = class(100, &[(below(40), 100)]);
        assert_eq!(best(&[NONE, NONE, NONE, NONE, large]), 0);
        // With as many small ones they do; with few it is cheaper to pack those by themselves.
        let small = class(100, &[(below(24), 100)]);
        assert_eq!(best(&[NONE, NONE, small, NONE, large]), 5);
        let small = class(4, &[(below(24), 4)]);
        assert_eq!(best(&[NONE, NONE, small, NONE, large]), 3);
    }

    #[test]
    fn counts_pages_by_size() {
        let mut class = Class::EMPTY;
        for size in [1, BUCKET_SIZE - 1, BUCKET_SIZE, PAGE_SIZE - 1, PAGE_SIZE] {
            class.count(size);
        }
        let wanted = pages(&[(0, 2), (1, 1), (BUCKETS - 2, 1), (BUCKETS - 1, 1)]);
        assert!(class.pages == wanted);
        let mut classes = [Class::EMPTY; MAX_MOVED];
        assert!(class_of(&mut classes, 0).is_none());
        assert!(class_of(&mut classes, MAX_MOVED).is_some());
        assert!(class_of(&mut classes, MAX_MOVED + 1).is_none());
    }
}
