// SPDX-License-Identifier: GPL-2.0

//! The backing device of a disk, and its blocks.
//!
//! A block has room for a page. It is free, or has an owner: the slot whose page is in it, or the
//! writeback that is about to put one there. Reads that are under way pin it: it is not given to
//! anybody else before the last of them is done. Finding a free block takes as long on a large
//! device as on a small one, and on a full one as on an empty one.

use crate::{
    abstractions::{
        bdev::{
            BlockDevice,
            ReadDevice, //
        },
        bits::Bits,
        refcounts::RefCounts,
        workqueue::HighPriority, //
    },
    readback::Read, //
};
use core::ops::Range;
use kernel::{
    new_mutex,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        MutexGuard, //
    },
};

/// A block that one owns. Dropping it leaks the block; see [`Blocks::release`]. All methods are for
/// any context.
#[must_use = "a block that is dropped is never free again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Block(usize);

impl Block {
    /// Keeps the block as a number.
    pub(crate) fn into_number(self) -> usize {
        self.0
    }

    /// Takes a block back that was kept as a number.
    pub(crate) fn from_number(number: usize) -> Self {
        Self(number)
    }
}

/// A block that is being read. Dropping it leaks the block; see [`Blocks::unpin`].
#[must_use = "a block that stays pinned is not given to anybody again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct PinnedBlock(usize);

impl PinnedBlock {
    /// Returns which block it is. Any context.
    pub(crate) fn number(&self) -> usize {
        self.0
    }
}

/// How many blocks there are in a group.
const GROUP: usize = 4096;

/// How many blocks there are in a zone.
const ZONE: usize = 64 * GROUP;

/// From how many free blocks on a group is one to go back to: three in four.
const ROOMY: i32 = (GROUP / 4 * 3) as i32;

/// How many counts of pins there are. On a device that has more blocks than that, some have one in
/// common: then those that are free are not given to anybody, either, while one is being read.
const PINS: usize = 2048;

/// The right to take blocks: where to look for a free one next.
type Cursor<'a> = MutexGuard<'a, usize>;

/// The blocks of a device.
#[pin_data]
pub(crate) struct Blocks {
    /// Which blocks have an owner.
    owned: Bits,
    /// How many reads there are of the blocks whose number has the same remainder.
    pins: RefCounts,
    /// How many blocks of each group of [`GROUP`] blocks have no owner. Somewhat late: a block
    /// becomes free first, and is counted then. It can even be taken in between, so this may be
    /// negative for a moment.
    groups: KVVec<Atomic<i32>>,
    /// The same for each zone of [`ZONE`] blocks.
    zones: KVVec<Atomic<i32>>,
    /// How many groups have at least [`ROOMY`] free blocks. As late as the counts of these.
    roomy: Atomic<i32>,
    /// Where to look for a free block next: right behind the last that was taken, so that blocks
    /// that are taken one after the other are next to each other. From the end of a group it goes
    /// to the first that is roomy, so that what is written to grows with what is in use, not with
    /// time: the device may be a sparse file, or memory.
    #[pin]
    cursor: Mutex<usize>,
}

impl Blocks {
    /// Makes `len` free blocks. Fails with `ENOMEM`. May sleep.
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
            owned: Bits::new(len)?,
            pins: RefCounts::new(len.min(PINS))?,
            groups: counters(GROUP)?,
            zones: counters(ZONE)?,
            roomy: Atomic::new(((len + GROUP - ROOMY as usize) / GROUP) as i32),
            cursor <- new_mutex!(0, "zram_rs blocks"),
        })
    }

    /// Takes some blocks next to each other, at most `max`. Returns `None` if no block is free. May
    /// sleep.
    ///
    /// The caller owns each block of the run, and is to release it.
    pub(crate) fn reserve(&self, max: usize) -> Option<Range<usize>> {
        if max == 0 {
            return None;
        }
        let mut cursor = self.cursor.lock();
        let len = self.owned.len();
        let group_end = (*cursor / GROUP + 1) * GROUP;
        // On in this group, then where there is most room, then wherever there is any.
        let first = self
            .claim_in(*cursor..group_end.min(len), &cursor)
            .or_else(|| self.claim_in(self.roomy_group()?..len, &cursor))
            .or_else(|| self.claim_in(*cursor..len, &cursor))
            .or_else(|| self.claim_in(0..*cursor, &cursor))?;
        let mut end = first + 1;
        while end - first < max && self.claim(end, &cursor) {
            end += 1;
        }
        let leaves_group = end / GROUP > first / GROUP;
        let roomy = leaves_group.then(|| self.roomy_group()).flatten();
        let next = roomy.unwrap_or(end);
        *cursor = if next < len { next } else { 0 };
        Some(first..end)
    }

    /// Returns where the first roomy group begins.
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

    /// Returns how many blocks are free, or were a moment ago. Any context.
    pub(crate) fn free(&self) -> usize {
        let free = |zone: &Atomic<i32>| usize::try_from(zone.load(Relaxed)).unwrap_or(0);
        self.zones.iter().map(free).sum()
    }

    /// Pins a block, which somebody must own meanwhile: this does not look. Fails if there are too
    /// many pins. Any context.
    #[inline]
    pub(crate) fn pin(&self, number: usize) -> Option<PinnedBlock> {
        self.pins.get(number % PINS).then_some(PinnedBlock(number))
    }

    /// Unpins a block. Any context.
    pub(crate) fn unpin(&self, pin: PinnedBlock) {
        let PinnedBlock(number) = pin;
        self.pins.put(number % PINS);
    }

    /// Gives a block back. Any context.
    pub(crate) fn release(&self, block: Block) {
        let Block(number) = block;
        if self.owned.clear(number) {
            self.count_free(number, 1);
        }
    }

    /// Takes the first free block of a range.
    fn claim_in(&self, range: Range<usize>, cursor: &Cursor<'_>) -> Option<usize> {
        let mut number = range.start;
        while number < range.end {
            if number % ZONE == 0 && !has_free(&self.zones, number / ZONE) {
                number += ZONE;
                continue;
            }
            let end = (number / GROUP + 1) * GROUP;
            if has_free(&self.groups, number / GROUP) {
                let end = end.min(range.end);
                while let Some(free) = self.owned.first_clear(number..end) {
                    if self.claim(free, cursor) {
                        return Some(free);
                    }
                    number = free + 1;
                }
            }
            number = end;
        }
        None
    }

    /// Takes a block if it is free. Others cannot take it meanwhile, nor pin it.
    fn claim(&self, number: usize, _: &Cursor<'_>) -> bool {
        // Whoever pinned it did so while it had an owner.
        let free = !self.owned.get(number) && self.pins.is_zero(number % PINS);
        if free {
            self.owned.set(number);
            self.count_free(number, -1);
        }
        free
    }

    fn count_free(&self, number: usize, change: i32) {
        if let Some(free) = self.groups.get(number / GROUP) {
            let before = free.fetch_add(change, Relaxed);
            match (before >= ROOMY, before + change >= ROOMY) {
                (false, true) => self.roomy.add(1, Relaxed),
                (true, false) => self.roomy.add(-1, Relaxed),
                _ => (),
            }
        }
        if let Some(free) = self.zones.get(number / ZONE) {
            free.add(change, Relaxed);
        }
    }
}

fn has_free(counters: &[Atomic<i32>], index: usize) -> bool {
    counters
        .get(index)
        .is_some_and(|free| free.load(Relaxed) > 0)
}

/// A block device that pages are written to and read from.
#[pin_data]
pub(crate) struct Backing {
    /// The device.
    #[pin]
    pub(crate) source: ReadDevice<Read>,
    /// Its blocks.
    #[pin]
    pub(crate) blocks: Blocks,
}

impl Backing {
    /// Opens the block device at `path`.
    ///
    /// Fails with `EINVAL` if there is no room for a single page on it, with what
    /// [`BlockDevice::open`] fails with, and with `ENOMEM`. May sleep.
    pub(crate) fn open(path: &CStr, queue: Arc<HighPriority>) -> Result<Arc<Self>> {
        let device = BlockDevice::open(path)?;
        let len = usize::try_from(device.size() >> PAGE_SHIFT)?;
        // A zram disk that is not initialised has no size: a disk cannot back itself.
        if len == 0 {
            return Err(EINVAL);
        }
        Arc::pin_init(
            try_pin_init!(Self {
                source <- ReadDevice::new(device, queue),
                blocks <- Blocks::new(len),
            }),
            GFP_KERNEL,
        )
    }
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
        assert_eq!(blocks.reserve(0), None);
        assert_eq!(blocks.reserve(1), Some(0..1));
        assert_eq!(blocks.reserve(32), Some(1..33));
        // Across the border of a group, and up to the end.
        assert_eq!(blocks.reserve(GROUP), Some(33..33 + GROUP));
        assert_eq!(blocks.reserve(usize::MAX), Some(33 + GROUP..LEN));
        assert_eq!(blocks.reserve(1), None);
        Ok(())
    }

    #[test]
    fn what_is_released_is_found() -> Result {
        const LEN: usize = 3 * ZONE + 7;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.free(), LEN);
        assert_eq!(blocks.reserve(LEN), Some(0..LEN));
        assert_eq!(blocks.reserve(1), None);
        for number in [0, 1, GROUP - 1, GROUP, ZONE - 1, LEN / 2, LEN - 1] {
            release(&blocks, number..number + 1);
            assert_eq!(blocks.free(), 1);
            assert_eq!(blocks.reserve(3), Some(number..number + 1));
            assert_eq!(blocks.reserve(1), None);
            assert_eq!(blocks.free(), 0);
        }
        // In order from where the last was found, around the end.
        release(&blocks, 10..13);
        assert_eq!(blocks.reserve(2), Some(10..12));
        release(&blocks, 5..6);
        assert_eq!(blocks.reserve(2), Some(12..13));
        assert_eq!(blocks.reserve(2), Some(5..6));
        assert_eq!(blocks.reserve(2), None);
        Ok(())
    }

    #[test]
    fn roomy_groups_are_used_again() -> Result {
        const LEN: usize = 2 * ZONE + GROUP / 2;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(3 * GROUP), Some(0..3 * GROUP));
        // The group that was begun goes on; then comes the first that is free again.
        release(&blocks, 2 * GROUP..3 * GROUP);
        assert_eq!(blocks.reserve(2), Some(3 * GROUP..3 * GROUP + 2));
        assert_eq!(blocks.reserve(GROUP - 2), Some(3 * GROUP + 2..4 * GROUP));
        assert_eq!(blocks.reserve(2), Some(2 * GROUP..2 * GROUP + 2));
        // One block less than that is not enough.
        release(&blocks, GROUP..GROUP + ROOMY as usize - 1);
        assert_eq!(blocks.reserve(GROUP - 2), Some(2 * GROUP + 2..3 * GROUP));
        assert_eq!(blocks.reserve(GROUP), Some(4 * GROUP..5 * GROUP));
        release(&blocks, 2 * GROUP - 1..2 * GROUP);
        assert_eq!(blocks.reserve(GROUP), Some(5 * GROUP..6 * GROUP));
        assert_eq!(blocks.reserve(8), Some(GROUP..GROUP + 8));
        // In another zone, too.
        let rest = blocks.free();
        let mut taken = 0;
        while taken < rest {
            taken += blocks.reserve(LEN).ok_or(EINVAL)?.len();
        }
        assert_eq!((taken, blocks.reserve(1)), (rest, None));
        assert_eq!(blocks.roomy.load(Relaxed), 0);
        release(&blocks, ZONE + 5 * GROUP..ZONE + 6 * GROUP);
        release(&blocks, 2 * ZONE..LEN);
        assert_eq!(blocks.roomy.load(Relaxed), 1);
        assert_eq!(blocks.free(), GROUP + GROUP / 2);
        release(&blocks, 0..LEN);
        assert_eq!(blocks.roomy.load(Relaxed) as usize, LEN / GROUP);
        Ok(())
    }

    #[test]
    fn pins_keep_blocks() -> Result {
        let blocks = blocks(1)?;
        assert_eq!(blocks.reserve(1), Some(0..1));
        let first = blocks.pin(0).ok_or(EINVAL)?;
        let second = blocks.pin(0).ok_or(EINVAL)?;
        blocks.release(Block(0));
        assert_eq!(blocks.reserve(1), None);
        blocks.unpin(first);
        assert_eq!(blocks.reserve(1), None);
        blocks.unpin(second);
        assert_eq!(blocks.reserve(1), Some(0..1));
        Ok(())
    }

    #[test]
    fn pins_may_be_in_common() -> Result {
        const LEN: usize = 2 * PINS + 1;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(LEN), Some(0..LEN));
        let pin = blocks.pin(7).ok_or(EINVAL)?;
        // Of those that are free, one cannot be had now, and does not hide the one behind it.
        release(&blocks, 7 + PINS..9 + PINS);
        assert_eq!(blocks.reserve(2), Some(8 + PINS..9 + PINS));
        assert_eq!(blocks.reserve(1), None);
        blocks.unpin(pin);
        assert_eq!(blocks.reserve(1), Some(7 + PINS..8 + PINS));
        assert_eq!(blocks.reserve(1), None);
        Ok(())
    }

    #[test]
    fn released_twice_is_free_once() -> Result {
        let blocks = blocks(2)?;
        assert_eq!(blocks.reserve(2), Some(0..2));
        // No code does this; if it did, no block would come out twice.
        release(&blocks, 0..1);
        release(&blocks, 0..1);
        assert_eq!(blocks.reserve(2), Some(0..1));
        assert_eq!(blocks.reserve(2), None);
        Ok(())
    }

    #[test]
    fn every_other_block() -> Result {
        const LEN: usize = 4 * GROUP;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(LEN), Some(0..LEN));
        for number in (0..LEN).step_by(2) {
            release(&blocks, number..number + 1);
        }
        for number in (0..LEN).step_by(2) {
            assert_eq!(blocks.reserve(8), Some(number..number + 1));
        }
        assert_eq!(blocks.reserve(8), None);
        Ok(())
    }
}
