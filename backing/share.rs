// SPDX-License-Identifier: GPL-2.0

//! The shares that pages have in the blocks of a backing device.
//!
//! A page on the backing device owns a share of a block. Without packing, a share is a whole block.
//! With packing, the compressed pages of a block lie one behind the other, and a block is released
//! along with its last share.
//!
//! A block that is packed has a weight of four bits, which is the sum of the weights of its shares.
//! The weight of a share is its size in eighths of a block, rounded so that the weights of the
//! shares of a full block add up to eight, but at least one. So the weight of a block is zero if
//! and only if the block has no share, and tells how much of it is live, to an eighth for each
//! share.

use super::blocks::Block;
use crate::abstractions::{
    sched::cond_resched,
    sync::refcounts::RefCounts, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The weight of a block that is full of live shares, none of which is smaller than an eighth.
const FULL: usize = 8;

/// The size of a unit of weight, in bytes.
const UNIT: usize = PAGE_SIZE / FULL;

/// Maximum weight of a block, and so the maximum number of its shares: as many as the number of
/// reads of a block that can be [counted](super::blocks::Blocks::pin), so that one bio can read all
/// shares of a block.
const MAX_WEIGHT: usize = RefCounts::MAX - 1;

/// Maximum number of shares of a block.
pub(crate) const MAX_SHARES: usize = MAX_WEIGHT;

/// Maximum weight of a block that is sparse: less than half of it is live.
const SPARSE: usize = FULL / 2 - 1;

/// Maximum weight of a block whose pages gain by being moved whatever the others are: half of it is
/// live.
pub(crate) const HALF: usize = FULL / 2;

/// Maximum weight of a block whose pages can be moved to other blocks: three quarters of it are
/// live.
pub(crate) const MAX_MOVED: usize = FULL * 3 / 4;

/// How many blocks are looked at before others may have the CPU.
const SLICE: usize = 64 * 1024;

/// Returns the weight of a share that begins at `offset` of its block and has `size` bytes.
fn weight(offset: usize, size: usize) -> usize {
    ((offset + size) / UNIT - offset / UNIT).max(1)
}

/// The location of a page on the backing device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location {
    /// In bytes from the start of the device.
    position: usize,
    /// The size of the page in memory before writeback, in bytes: `PAGE_SIZE` if it was huge. The
    /// page has that size in the block, too, if it is stored compressed.
    size: usize,
}

impl Location {
    /// Returns the number of the block.
    pub(crate) fn block(self) -> usize {
        self.position >> PAGE_SHIFT
    }

    /// Returns where the page begins in the block, in bytes.
    pub(crate) fn offset(self) -> usize {
        self.position & (PAGE_SIZE - 1)
    }

    /// Returns the size of the page in memory before writeback, in bytes.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Returns the position in bytes from the start of the device, and the size.
    pub(crate) fn into_parts(self) -> (usize, usize) {
        (self.position, self.size)
    }

    /// Returns the location with this position, in bytes from the start of the device, and size.
    pub(crate) fn from_parts(position: usize, size: usize) -> Self {
        Self { position, size }
    }

    fn weight(self) -> usize {
        weight(self.offset(), self.size)
    }
}

/// The ownership of a page's share of a block.
///
/// Dropping it leaks the block; see [`Sharing::release`].
///
/// # Context
///
/// All methods: any context.
#[must_use = "the block of a share that is dropped is never free again"]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Share(Location);

impl Share {
    /// Converts the ownership into the location of the share.
    pub(crate) fn into_location(self) -> Location {
        self.0
    }

    /// Converts a location that [`into_location`](Self::into_location) returned back into the
    /// ownership.
    pub(crate) fn from_location(location: Location) -> Self {
        Self(location)
    }

    /// Returns the location of the share.
    pub(crate) fn location(&self) -> Location {
        self.0
    }
}

/// The layout of a block that is being filled with pages, one behind the other.
///
/// # Invariants
///
/// `used <= PAGE_SIZE`, and `weight <= MAX_WEIGHT` is the sum of the weights of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    used: usize,
    weight: usize,
}

impl Layout {
    /// A block without pages.
    // INVARIANT: The sum over no pages is 0.
    pub(crate) const EMPTY: Self = Self { used: 0, weight: 0 };

    /// Returns how many bytes of the block are used, from its start on.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Returns the size of the largest page that can be [added](Self::add), in bytes.
    pub(crate) fn room(&self) -> usize {
        // A larger page has a weight of more than what is left.
        let left = MAX_WEIGHT - self.weight;
        let weight_allows = match left {
            0 => 0,
            _ => (self.used / UNIT + left + 1) * UNIT - 1 - self.used,
        };
        weight_allows.min(PAGE_SIZE - self.used)
    }

    /// Adds a page of `size` bytes behind the others and returns `true`, or returns `false` if
    /// there is no room for it, or `size` is 0.
    pub(crate) fn add(&mut self, size: usize) -> bool {
        if size == 0 || size > self.room() {
            return false;
        }
        // INVARIANT: `room` allows only what keeps both within their limits.
        self.weight += weight(self.used, size);
        self.used += size;
        true
    }
}

/// What a user wants to know about packing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct PackStat {
    /// Bytes of data in the blocks.
    pub(crate) bytes: u64,
    /// Number of sparse blocks: less than half of each is live.
    pub(crate) sparse: usize,
}

/// The weights of the blocks that are packed.
struct Packed {
    weights: RefCounts,
    /// The sum of the sizes of all shares.
    bytes: Atomic<i64>,
}

/// The rules by which pages share the blocks of a backing device.
///
/// # Context
///
/// All methods: any context, unless stated otherwise.
pub(crate) struct Sharing {
    /// `None` without packing: each block has one share.
    packed: Option<Packed>,
}

impl Sharing {
    /// Creates the rule that no block is shared.
    pub(crate) const fn exclusive() -> Self {
        Self { packed: None }
    }

    /// Creates the rule that pages share blocks, of which there are `len`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn packed(len: usize) -> Result<Self> {
        Ok(Self {
            packed: Some(Packed {
                weights: RefCounts::new(len)?,
                bytes: Atomic::new(0),
            }),
        })
    }

    /// Returns whether pages share blocks.
    #[inline]
    pub(crate) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Divides a block among the pages that were written to it, and calls `give` with the share of
    /// each.
    ///
    /// `part` returns where a page begins in the block and its size in memory, both in bytes.
    ///
    /// # Errors
    ///
    /// The pages cannot share a block, as no [`Layout`] has them: returns the block.
    pub(crate) fn divide<T>(
        &self,
        block: Block,
        pages: &[T],
        part: impl Fn(&T) -> (usize, usize),
        mut give: impl FnMut(&T, Share),
    ) -> Result<(), Block> {
        if let Some(packed) = &self.packed {
            let total = pages.iter().map(&part).map(|(at, size)| weight(at, size));
            let bytes: usize = pages.iter().map(&part).map(|(_, size)| size).sum();
            let number = block.into_number();
            if !packed.weights.claim_many(number, total.sum()) {
                return Err(Block::from_number(number));
            }
            packed.bytes.add(bytes as i64, Relaxed);
            for page in pages {
                let (offset, size) = part(page);
                let position = (number << PAGE_SHIFT) + offset;
                give(page, Share(Location { position, size }));
            }
        } else if let [page] = pages {
            let (_, size) = part(page);
            let position = block.into_number() << PAGE_SHIFT;
            give(page, Share(Location { position, size }));
        } else {
            return Err(block);
        }
        Ok(())
    }

    /// Releases a share, and returns the block if that was its last share.
    pub(crate) fn release(&self, share: Share) -> Option<Block> {
        let Share(location) = share;
        let number = location.block();
        if let Some(packed) = &self.packed {
            packed.bytes.add(-(location.size as i64), Relaxed);
            if packed.weights.put_many(number, location.weight()) != Some(0) {
                return None;
            }
        }
        Some(Block::from_number(number))
    }

    /// Returns the weight of a block: how many eighths of it are live, about; 0 without packing.
    pub(crate) fn weight_of(&self, number: usize) -> usize {
        (self.packed.as_ref()).map_or(0, |packed| packed.weights.count(number))
    }

    /// Returns what a user wants to know about packing; zeroes without packing.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn stat(&self) -> PackStat {
        let Some(packed) = &self.packed else {
            return PackStat::default();
        };
        let mut sparse = 0;
        for first in (0..packed.weights.len()).step_by(SLICE) {
            sparse += packed.weights.count_below(first..first + SLICE, SPARSE + 1);
            cond_resched();
        }
        PackStat {
            bytes: packed.bytes.load(Relaxed) as u64,
            sparse,
        }
    }
}

#[kunit_tests(zram_rs_share)]
mod tests {
    use super::*;

    /// Divides block `number` among pages of these sizes, and returns their shares.
    fn divide(sharing: &Sharing, number: usize, sizes: &[usize]) -> Result<KVec<Share>> {
        let mut pages = KVec::new();
        let mut layout = Layout::EMPTY;
        for &size in sizes {
            pages.push((layout.used(), size), GFP_KERNEL)?;
            assert!(layout.add(size));
        }
        let mut shares = KVec::with_capacity(sizes.len(), GFP_KERNEL)?;
        let give = |_: &_, share| assert!(shares.push_within_capacity(share).is_ok());
        let block = Block::from_number(number);
        let divided = sharing.divide(block, &pages, |&page| page, give);
        divided.map_err(|block| {
            assert_eq!(block.into_number(), number);
            EINVAL
        })?;
        Ok(shares)
    }

    /// Returns whether less than half of a block is live.
    fn is_sparse(sharing: &Sharing, number: usize) -> bool {
        (1..=SPARSE).contains(&sharing.weight_of(number))
    }

    #[test]
    fn a_block_of_its_own() -> Result {
        let sharing = Sharing::exclusive();
        assert!(!sharing.is_packed());
        let mut shares = divide(&sharing, 7, &[100])?;
        let share = shares.pop().ok_or(EINVAL)?;
        let location = share.location();
        assert_eq!((location.block(), location.offset()), (7, 0));
        assert_eq!(location.size(), 100);
        assert!(!is_sparse(&sharing, 7));
        assert_eq!(sharing.release(share), Some(Block::from_number(7)));
        // No layout: two pages in a block that cannot be shared, or no page.
        assert_eq!(divide(&sharing, 7, &[100, 100]).err(), Some(EINVAL));
        assert_eq!(divide(&sharing, 7, &[]).err(), Some(EINVAL));
        assert_eq!(sharing.stat(), PackStat::default());
        Ok(())
    }

    #[test]
    fn the_last_share_releases_the_block() -> Result {
        let sharing = Sharing::packed(2)?;
        assert!(sharing.is_packed());
        let sizes = [PAGE_SIZE / 2, PAGE_SIZE / 3, 1, 70];
        let mut shares = divide(&sharing, 1, &sizes)?;
        let mut offset = 0;
        for (share, size) in shares.iter().zip(sizes) {
            let location = share.location();
            assert_eq!((location.block(), location.offset()), (1, offset));
            assert_eq!(location.size(), size);
            offset += size;
        }
        assert_eq!(sharing.stat().bytes, sizes.iter().sum::<usize>() as u64);
        // The block has shares, and cannot be divided again.
        assert_eq!(divide(&sharing, 1, &[1]).err(), Some(EINVAL));
        assert!(divide(&sharing, 0, &[]).is_err());
        while let Some(share) = shares.pop() {
            let last = shares.is_empty();
            assert_eq!(sharing.release(share).is_some(), last);
        }
        assert_eq!(sharing.stat(), PackStat::default());
        let share = divide(&sharing, 1, &[PAGE_SIZE])?.pop().ok_or(EINVAL)?;
        assert_eq!(sharing.release(share), Some(Block::from_number(1)));
        Ok(())
    }

    #[test]
    fn less_than_half_is_sparse() -> Result {
        let sharing = Sharing::packed(4)?;
        assert!(!is_sparse(&sharing, 3));
        let mut shares = divide(&sharing, 3, &[PAGE_SIZE / 3; 3])?;
        assert!(!is_sparse(&sharing, 3));
        let _ = sharing.release(shares.pop().ok_or(EINVAL)?);
        assert!(!is_sparse(&sharing, 3));
        let _ = sharing.release(shares.pop().ok_or(EINVAL)?);
        assert!(is_sparse(&sharing, 3));
        assert_eq!(sharing.stat().sparse, 1);
        let _ = sharing.release(shares.pop().ok_or(EINVAL)?);
        assert!(!is_sparse(&sharing, 3));
        assert!(!is_sparse(&sharing, 4) && !is_sparse(&sharing, usize::MAX));
        // One page that is just smaller than the half, or just as large.
        for (size, weight) in [(PAGE_SIZE / 2, SPARSE + 1), (PAGE_SIZE / 2 - 1, SPARSE)] {
            let share = divide(&sharing, 0, &[size])?.pop().ok_or(EINVAL)?;
            assert_eq!(sharing.weight_of(0), weight);
            assert_eq!(is_sparse(&sharing, 0), weight == SPARSE);
            let _ = sharing.release(share);
            assert_eq!(sharing.weight_of(0), 0);
        }
        Ok(())
    }

    #[test]
    fn layouts_stay_within_a_block() {
        // Pseudo-random sizes, of all magnitudes.
        let mut random = 1u64;
        let mut next = move || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            (random >> 33) as usize
        };
        for _ in 0..10_000 {
            let mut layout = Layout::EMPTY;
            let (mut used, mut weights, mut pages) = (0, 0, 0);
            let max = 1 << (next() % (PAGE_SHIFT + 1));
            loop {
                let size = 1 + next() % max;
                let room = layout.room();
                let before = layout;
                if !layout.add(size) {
                    assert!(size > room && layout == before);
                    break;
                }
                assert!(size <= room);
                weights += weight(used, size);
                used += size;
                pages += 1;
                assert!(used <= PAGE_SIZE && weights <= MAX_WEIGHT);
                assert_eq!(layout.used(), used);
            }
            assert!(pages > 0 && pages <= MAX_SHARES);
        }
        // A page of any size fits into an empty block.
        assert_eq!(Layout::EMPTY.room(), PAGE_SIZE);
    }

    #[test]
    fn small_pages_fill_the_weight() {
        let mut layout = Layout::EMPTY;
        for _ in 0..MAX_SHARES {
            assert!(layout.add(1));
        }
        assert_eq!((layout.room(), layout.add(1)), (0, false));
        // Large ones leave it to the bytes.
        let mut layout = Layout::EMPTY;
        for _ in 0..FULL {
            assert!(layout.add(UNIT));
        }
        assert_eq!((layout.weight, layout.room()), (FULL, 0));
    }
}
