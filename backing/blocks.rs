// SPDX-License-Identifier: GPL-2.0

//! The blocks of a backing device.
//!
//! A block has the size of a page. Each block has a count of users: its owner, which is the slot
//! whose page is in the block or a writeback that is about to write the page, and each read in
//! flight. A block without users is free. A block that loses its owner while it is being read is
//! therefore not overwritten before the last read completes, and no other block is held up.
//!
//! The time to find a free block depends neither on the size of the device nor on how full it is.

use crate::abstractions::sync::refcounts::RefCounts;
use core::ops::Range;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Mutex,
        MutexGuard, //
    },
};

/// The ownership of a block.
///
/// Dropping it leaks the block; see [`Blocks::release`].
///
/// # Context
///
/// All methods: any context.
#[must_use = "a block that is dropped is never free again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Block(usize);

impl Block {
    /// Converts the ownership into the number of the block.
    pub(crate) fn into_number(self) -> usize {
        self.0
    }

    /// Converts a number that [`into_number`](Self::into_number) returned back into the ownership.
    pub(crate) fn from_number(number: usize) -> Self {
        Self(number)
    }
}

/// A pin of a block, which keeps it from being overwritten during a read.
///
/// Dropping it leaks the block; see [`Blocks::unpin`].
///
/// # Context
///
/// All methods: any context.
#[must_use = "a block that stays pinned is never free again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct PinnedBlock(usize);

impl PinnedBlock {
    /// Returns the number of the block.
    pub(crate) fn number(&self) -> usize {
        self.0
    }
}

/// The reason why no block is free.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NoBlock {
    /// All blocks have an owner.
    Full,
    /// All blocks without an owner are still being read.
    Busy,
}

/// The number of blocks in a group.
const GROUP: usize = 4096;

/// The number of blocks in a zone.
const ZONE: usize = 64 * GROUP;

/// The number of free blocks from which on a group is roomy, and preferred: three in four.
const ROOMY: i32 = (GROUP / 4 * 3) as i32;

/// The locked position at which the search for a free block continues.
type Cursor<'a> = MutexGuard<'a, usize>;

/// The blocks of a backing device.
///
/// # Context
///
/// All methods: any context, unless stated otherwise.
#[pin_data]
pub(crate) struct Blocks {
    /// The number of users of each block.
    users: RefCounts,
    /// The number of free blocks in each group of [`GROUP`] blocks.
    ///
    /// A block becomes free before it is counted, and may be claimed in between, so a count may
    /// briefly be negative.
    groups: KVVec<Atomic<i32>>,
    /// The number of blocks without an owner in each zone of [`ZONE`] blocks.
    ///
    /// A block is counted here before it is counted in its group.
    zones: KVVec<Atomic<i32>>,
    /// The number of groups with at least [`ROOMY`] free blocks; it lags behind `groups`.
    roomy: Atomic<i32>,
    /// The block at which the search for a free block continues.
    ///
    /// This is the block behind the last that was claimed, so that successive claims are
    /// contiguous. From the end of a group it moves to the first roomy group, so that the written
    /// part of the device, which may be a sparse file or memory, grows with the number of blocks in
    /// use and not with time.
    #[pin]
    cursor: Mutex<usize>,
}

impl Blocks {
    /// Creates `len` free blocks.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: out of memory.
    pub(crate) fn new(len: usize) -> impl PinInit<Self, Error> {
        let counters = move |size: usize| -> Result<KVVec<Atomic<i32>>> {
            let mut counters = KVVec::with_capacity(len.div_ceil(size), GFP_KERNEL | __GFP_NOWARN)?;
            for start in (0..len).step_by(size) {
                let free = size.min(len - start) as i32;
                counters.push(Atomic::new(free), GFP_KERNEL)?;
            }
            Ok(counters)
        };
        try_pin_init!(Self {
            users: RefCounts::new(len)?,
            groups: counters(GROUP)?,
            zones: counters(ZONE)?,
            roomy: Atomic::new(((len + GROUP - ROOMY as usize) / GROUP) as i32),
            cursor <- new_mutex!(0, "zram_rs blocks"),
        })
    }

    /// Returns the number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Claims a run of at most `max` contiguous free blocks.
    ///
    /// The caller owns each block of the run and must [`release`](Self::release) it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// See [`NoBlock`].
    pub(crate) fn reserve(&self, max: usize) -> Result<Range<usize>, NoBlock> {
        let mut cursor = self.cursor.lock();
        let len = self.users.len();
        let group_end = (*cursor / GROUP + 1) * GROUP;
        // First the rest of this group, then the first roomy group, then any other group.
        let first = self
            .claim_in(*cursor..group_end.min(len), &cursor)
            .or_else(|| self.claim_in(self.roomy_group()?..len, &cursor))
            .or_else(|| self.claim_in(*cursor..len, &cursor))
            .or_else(|| self.claim_in(0..*cursor, &cursor));
        let Some(first) = first else {
            return Err(match self.without_owner() {
                0 => NoBlock::Full,
                _ => NoBlock::Busy,
            });
        };
        let mut end = first + 1;
        while end - first < max && self.claim(end, &cursor) {
            end += 1;
        }
        let leaves_group = end / GROUP > first / GROUP;
        let roomy = leaves_group.then(|| self.roomy_group()).flatten();
        let next = roomy.unwrap_or(end);
        *cursor = if next < len { next } else { 0 };
        Ok(first..end)
    }

    /// Returns the first block of the first roomy group.
    fn roomy_group(&self) -> Option<usize> {
        if self.roomy.load(Relaxed) <= 0 {
            return None;
        }
        let is_roomy = |free: &Atomic<i32>| free.load(Relaxed) >= ROOMY;
        let of_zones = self.groups.chunks(ZONE / GROUP);
        (self.zones.iter().zip(of_zones).enumerate())
            .filter(|(_, (zone, _))| is_roomy(zone))
            .find_map(|(zone, (_, groups))| {
                let group = groups.iter().position(is_roomy)?;
                Some(zone * ZONE + group * GROUP)
            })
    }

    /// Returns the number of blocks without an owner: free blocks, and those that become free when
    /// their reads complete.
    ///
    /// The number may be out of date when it is returned.
    pub(crate) fn without_owner(&self) -> usize {
        let count = |zone: &Atomic<i32>| usize::try_from(zone.load(Relaxed)).unwrap_or(0);
        self.zones.iter().map(count).sum()
    }

    /// Pins a block that has an owner.
    ///
    /// Returns `None` if the block has no owner, or the count of its reads is at its maximum.
    #[inline]
    pub(crate) fn pin(&self, number: usize) -> Option<PinnedBlock> {
        self.users.get(number).then_some(PinnedBlock(number))
    }

    /// Unpins a block, which becomes free if that was its last user.
    pub(crate) fn unpin(&self, pin: PinnedBlock) {
        let PinnedBlock(number) = pin;
        if self.users.put(number) == Some(0) {
            self.count_free(number, 1);
        }
    }

    /// Releases the ownership of a block, which becomes free when its reads have completed.
    pub(crate) fn release(&self, block: Block) {
        let Block(number) = block;
        self.count_without_owner(number, 1);
        match self.users.put(number) {
            Some(0) => self.count_free(number, 1),
            Some(_) => (),
            // The block had no owner: it was released before.
            None => self.count_without_owner(number, -1),
        }
    }

    /// Claims the first free block of a range.
    ///
    /// Skips groups without a free block, and zones in which all blocks have an owner. At most one
    /// group at each end of the range is searched without success.
    fn claim_in(&self, range: Range<usize>, cursor: &Cursor<'_>) -> Option<usize> {
        let mut number = range.start;
        while number < range.end {
            if number % ZONE == 0 && !is_positive(&self.zones, number / ZONE) {
                number += ZONE;
                continue;
            }
            let end = (number / GROUP + 1) * GROUP;
            if is_positive(&self.groups, number / GROUP) {
                let free = self.users.first_unused(number..end.min(range.end));
                if let Some(free) = free.filter(|&free| self.claim(free, cursor)) {
                    return Some(free);
                }
            }
            number = end;
        }
        None
    }

    /// Claims a block if it is free.
    ///
    /// The locked cursor keeps other tasks from claiming it concurrently.
    fn claim(&self, number: usize, _: &Cursor<'_>) -> bool {
        let free = self.users.claim(number);
        if free {
            self.count_free(number, -1);
            self.count_without_owner(number, -1);
        }
        free
    }

    /// Adds `change` to the number of free blocks in the group of a block.
    fn count_free(&self, number: usize, change: i32) {
        if let Some(free) = self.groups.get(number / GROUP) {
            let before = free.fetch_add(change, Release);
            match (before >= ROOMY, before + change >= ROOMY) {
                (false, true) => self.roomy.add(1, Relaxed),
                (true, false) => self.roomy.add(-1, Relaxed),
                _ => (),
            }
        }
    }

    /// Adds `change` to the number of blocks without an owner in the zone of a block.
    fn count_without_owner(&self, number: usize, change: i32) {
        if let Some(count) = self.zones.get(number / ZONE) {
            count.add(change, Relaxed);
        }
    }
}

/// Returns whether counter `index` exists and is positive.
fn is_positive(counters: &[Atomic<i32>], index: usize) -> bool {
    counters
        .get(index)
        .is_some_and(|count| count.load(Acquire) > 0)
}

#[kunit_tests(zram_rs_blocks)]
mod tests {
    use super::*;

    fn blocks(len: usize) -> Result<Pin<KBox<Blocks>>> {
        KBox::try_pin_init(Blocks::new(len), GFP_KERNEL)
    }

    fn release(blocks: &Blocks, run: Range<usize>) {
        for number in run {
            blocks.release(Block(number));
        }
    }

    #[test]
    fn runs_are_contiguous() -> Result {
        const LEN: usize = 3 * GROUP;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(1), Ok(0..1));
        assert_eq!(blocks.reserve(32), Ok(1..33));
        // Across the border of a group, and up to the end of the device.
        assert_eq!(blocks.reserve(GROUP), Ok(33..33 + GROUP));
        assert_eq!(blocks.reserve(usize::MAX), Ok(33 + GROUP..LEN));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
        Ok(())
    }

    #[test]
    fn what_is_released_is_found() -> Result {
        const LEN: usize = 3 * ZONE + 7;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.without_owner(), LEN);
        assert_eq!(blocks.reserve(LEN), Ok(0..LEN));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
        for number in [0, 1, GROUP - 1, GROUP, ZONE - 1, LEN / 2, LEN - 1] {
            release(&blocks, number..number + 1);
            assert_eq!(blocks.without_owner(), 1);
            assert_eq!(blocks.reserve(3), Ok(number..number + 1));
            assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
            assert_eq!(blocks.without_owner(), 0);
        }
        // The search goes on from the last claimed block, and wraps around at the end.
        release(&blocks, 10..13);
        assert_eq!(blocks.reserve(2), Ok(10..12));
        release(&blocks, 5..6);
        assert_eq!(blocks.reserve(2), Ok(12..13));
        assert_eq!(blocks.reserve(2), Ok(5..6));
        assert_eq!(blocks.reserve(2), Err(NoBlock::Full));
        Ok(())
    }

    #[test]
    fn roomy_groups_are_used_again() -> Result {
        const LEN: usize = 2 * ZONE + GROUP / 2;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(3 * GROUP), Ok(0..3 * GROUP));
        // The current group is used up first, then the first group that has become roomy.
        release(&blocks, 2 * GROUP..3 * GROUP);
        assert_eq!(blocks.reserve(2), Ok(3 * GROUP..3 * GROUP + 2));
        assert_eq!(blocks.reserve(GROUP - 2), Ok(3 * GROUP + 2..4 * GROUP));
        assert_eq!(blocks.reserve(2), Ok(2 * GROUP..2 * GROUP + 2));
        // A group with one free block less is not roomy.
        release(&blocks, GROUP..GROUP + ROOMY as usize - 1);
        assert_eq!(blocks.reserve(GROUP - 2), Ok(2 * GROUP + 2..3 * GROUP));
        assert_eq!(blocks.reserve(GROUP), Ok(4 * GROUP..5 * GROUP));
        release(&blocks, 2 * GROUP - 1..2 * GROUP);
        assert_eq!(blocks.reserve(GROUP), Ok(5 * GROUP..6 * GROUP));
        assert_eq!(blocks.reserve(8), Ok(GROUP..GROUP + 8));
        // Roomy groups are found in other zones, too.
        let rest = blocks.without_owner();
        let mut taken = 0;
        while taken < rest {
            taken += blocks.reserve(LEN).map_err(|_| EINVAL)?.len();
        }
        assert_eq!((taken, blocks.reserve(1)), (rest, Err(NoBlock::Full)));
        assert_eq!(blocks.roomy.load(Relaxed), 0);
        release(&blocks, ZONE + 5 * GROUP..ZONE + 6 * GROUP);
        release(&blocks, 2 * ZONE..LEN);
        assert_eq!(blocks.roomy.load(Relaxed), 1);
        assert_eq!(blocks.without_owner(), GROUP + GROUP / 2);
        release(&blocks, 0..LEN);
        assert_eq!(blocks.roomy.load(Relaxed) as usize, LEN / GROUP);
        Ok(())
    }

    #[test]
    fn reads_keep_their_block() -> Result {
        let blocks = blocks(1)?;
        // A block without an owner cannot be read.
        assert_eq!(blocks.pin(0), None);
        assert_eq!(blocks.reserve(1), Ok(0..1));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
        let first = blocks.pin(0).ok_or(EINVAL)?;
        let second = blocks.pin(0).ok_or(EINVAL)?;
        blocks.unpin(first);
        assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
        blocks.release(Block(0));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Busy));
        blocks.unpin(second);
        assert_eq!(blocks.reserve(1), Ok(0..1));
        Ok(())
    }

    #[test]
    fn reads_keep_no_other_block() -> Result {
        const LEN: usize = 2 * GROUP;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(LEN), Ok(0..LEN));
        let mut pins = KVVec::new();
        for number in 0..GROUP {
            pins.push(blocks.pin(number).ok_or(EINVAL)?, GFP_KERNEL)?;
        }
        // All blocks of the first group are being read, and have no owner.
        release(&blocks, 0..GROUP);
        assert_eq!(blocks.without_owner(), GROUP);
        assert_eq!(blocks.reserve(1), Err(NoBlock::Busy));
        release(&blocks, GROUP..LEN);
        assert_eq!(blocks.reserve(LEN), Ok(GROUP..LEN));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Busy));
        blocks.unpin(pins.pop().ok_or(EINVAL)?);
        assert_eq!(blocks.reserve(2), Ok(GROUP - 1..GROUP));
        for pin in pins {
            blocks.unpin(pin);
        }
        assert_eq!(blocks.reserve(LEN), Ok(0..GROUP - 1));
        assert_eq!(blocks.reserve(1), Err(NoBlock::Full));
        Ok(())
    }

    #[test]
    fn released_twice_is_free_once() -> Result {
        let blocks = blocks(2)?;
        assert_eq!(blocks.reserve(2), Ok(0..2));
        // No caller does this; if one did, no block would be claimed twice.
        release(&blocks, 0..1);
        release(&blocks, 0..1);
        assert_eq!(blocks.reserve(2), Ok(0..1));
        assert_eq!(blocks.reserve(2), Err(NoBlock::Full));
        Ok(())
    }

    #[test]
    fn every_other_block() -> Result {
        const LEN: usize = 4 * GROUP;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(LEN), Ok(0..LEN));
        for number in (0..LEN).step_by(2) {
            release(&blocks, number..number + 1);
        }
        for number in (0..LEN).step_by(2) {
            assert_eq!(blocks.reserve(8), Ok(number..number + 1));
        }
        assert_eq!(blocks.reserve(8), Err(NoBlock::Full));
        Ok(())
    }
}
