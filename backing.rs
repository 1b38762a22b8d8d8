// SPDX-License-Identifier: GPL-2.0

//! The backing device of a disk, and its blocks.
//!
//! A block has room for a page. It is free, or has references: one of the slot whose page is in it,
//! or of the writeback that is about to put one there, and one of each read that is under way. It
//! is not given to anybody else before the last of them is gone. Finding a free block takes as long
//! on a large device as on a small one, and on a full one as on an empty one.

use crate::{
    abstractions::{
        bdev::{
            BlockDevice,
            ReadDevice, //
        },
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
        Mutex, //
    },
};

/// A reference to a block. Dropping it leaks the block; see [`Blocks::release`]. All methods are
/// for any context.
#[must_use = "a block that is dropped is never free again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Block(usize);

impl Block {
    /// Returns which block it is.
    pub(crate) fn number(&self) -> usize {
        self.0
    }

    /// Keeps the reference as a number.
    pub(crate) fn into_number(self) -> usize {
        self.0
    }

    /// Takes a reference back that was kept as a number.
    pub(crate) fn from_number(number: usize) -> Self {
        Self(number)
    }
}

/// How many blocks there are in a group, and groups in a zone.
const FAN_OUT: usize = 512;

/// The blocks of a device.
#[pin_data]
pub(crate) struct Blocks {
    counts: RefCounts,
    /// How many blocks of each group of [`FAN_OUT`] blocks are free. Somewhat late: a block becomes
    /// free first, and is counted then. It can even be taken in between, so this may be negative
    /// for a moment.
    groups: KVVec<Atomic<i32>>,
    /// The same for each zone of [`FAN_OUT`] groups.
    zones: KVVec<Atomic<i32>>,
    /// Where to look for a free block next: right behind the last that was taken, so that blocks
    /// that are taken one after the other are next to each other.
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
            counts: RefCounts::new(len)?,
            groups: counters(FAN_OUT)?,
            zones: counters(FAN_OUT * FAN_OUT)?,
            cursor <- new_mutex!(0, "zram_rs blocks"),
        })
    }

    /// Takes some blocks next to each other, at most `max`. Returns `None` if no block is free. May
    /// sleep.
    ///
    /// Each block of the run is a reference that is to be released.
    pub(crate) fn reserve(&self, max: usize) -> Option<Range<usize>> {
        if max == 0 {
            return None;
        }
        let mut cursor = self.cursor.lock();
        let len = self.counts.len();
        let first = self
            .claim_in(*cursor..len)
            .or_else(|| self.claim_in(0..*cursor))?;
        let mut end = first + 1;
        while end - first < max && self.claim(end) {
            end += 1;
        }
        *cursor = if end < len { end } else { 0 };
        Some(first..end)
    }

    /// Takes a reference to a block to which there is one already, which keeps it from becoming
    /// free. Fails if there are too many. Any context.
    pub(crate) fn pin(&self, number: usize) -> Option<Block> {
        self.counts.get(number).then_some(Block(number))
    }

    /// Gives a reference back. With the last one the block becomes free. Any context.
    pub(crate) fn release(&self, block: Block) {
        let Block(number) = block;
        if self.counts.put(number) {
            self.count_free(number, 1);
        }
    }

    /// Takes the first free block of a range.
    fn claim_in(&self, range: Range<usize>) -> Option<usize> {
        let mut number = range.start;
        while number < range.end {
            let group = number / FAN_OUT;
            let zone = group / FAN_OUT;
            let next_group = (group + 1) * FAN_OUT;
            if group % FAN_OUT == 0 && number % FAN_OUT == 0 && !has_free(&self.zones, zone) {
                number = (zone + 1) * FAN_OUT * FAN_OUT;
            } else if !has_free(&self.groups, group) {
                number = next_group;
            } else {
                let end = next_group.min(range.end);
                if let Some(number) = (number..end).find(|&number| self.claim(number)) {
                    return Some(number);
                }
                number = next_group;
            }
        }
        None
    }

    /// Takes a block if it is free.
    fn claim(&self, number: usize) -> bool {
        let claimed = self.counts.claim(number);
        if claimed {
            self.count_free(number, -1);
        }
        claimed
    }

    fn count_free(&self, number: usize, change: i32) {
        let group = number / FAN_OUT;
        if let Some(free) = self.groups.get(group) {
            free.add(change, Relaxed);
        }
        if let Some(free) = self.zones.get(group / FAN_OUT) {
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
    pub(crate) source: Arc<ReadDevice<Read>>,
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
                source: Arc::pin_init(ReadDevice::new(device, queue), GFP_KERNEL)?,
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
        let blocks = blocks(3000)?;
        assert_eq!(blocks.reserve(0), None);
        assert_eq!(blocks.reserve(1), Some(0..1));
        assert_eq!(blocks.reserve(32), Some(1..33));
        // Across the border of a group, and up to the end.
        assert_eq!(blocks.reserve(1000), Some(33..1033));
        assert_eq!(blocks.reserve(usize::MAX), Some(1033..3000));
        assert_eq!(blocks.reserve(1), None);
        Ok(())
    }

    #[test]
    fn what_is_released_is_found() -> Result {
        const LEN: usize = 3 * FAN_OUT * FAN_OUT + 7;
        let blocks = blocks(LEN)?;
        assert_eq!(blocks.reserve(LEN), Some(0..LEN));
        assert_eq!(blocks.reserve(1), None);
        for number in [0, 1, 511, 512, FAN_OUT * FAN_OUT - 1, LEN / 2, LEN - 1] {
            release(&blocks, number..number + 1);
            assert_eq!(blocks.reserve(3), Some(number..number + 1));
            assert_eq!(blocks.reserve(1), None);
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
    fn pins_keep_blocks() -> Result {
        let blocks = blocks(1)?;
        // There is nothing to be pinned.
        assert_eq!(blocks.pin(0), None);
        assert_eq!(blocks.reserve(1), Some(0..1));
        let first = blocks.pin(0).ok_or(EINVAL)?;
        let second = blocks.pin(0).ok_or(EINVAL)?;
        blocks.release(Block(0));
        assert_eq!(blocks.reserve(1), None);
        blocks.release(first);
        assert_eq!(blocks.reserve(1), None);
        blocks.release(second);
        assert_eq!(blocks.reserve(1), Some(0..1));
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
        const LEN: usize = 4 * FAN_OUT;
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
