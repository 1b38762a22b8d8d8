// SPDX-License-Identifier: GPL-2.0

//! Tables of small reference counts.

use crate::abstractions::alloc::{
    table::{
        AtomicEntry,
        ZeroedTable, //
    },
    Gfp, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
};

/// Width of a count, in bits.
const BITS: usize = 4;

/// Number of counts in a word.
const PER_WORD: usize = u64::BITS as usize / BITS;

/// The lowest bit of each count.
const LOWEST_BITS: u64 = u64::MAX / ((1 << BITS) - 1);

/// Returns a word in which the highest bit of a byte is set where every other count of `counts`,
/// from the lowest one on, is at least `limit`, which is 1 to 16.
fn at_least(counts: u64, limit: u64) -> u64 {
    const EACH_BYTE: u64 = u64::MAX / 0xff;
    // A byte has room for what a count and 0x80 add up to.
    ((counts & (EACH_BYTE * 0xf)) + EACH_BYTE * (0x80 - limit)) & (EACH_BYTE * 0x80)
}

/// Reference counts of four bits each, which are initially zero.
///
/// [`claim`](Self::claim) takes the first reference to an object, and [`get`](Self::get) further
/// ones. [`put`](Self::put) drops a reference. All of these fail for an index beyond the end of the
/// table.
///
/// # Context
///
/// Any context, except for [`new`](Self::new).
///
/// # Examples
///
/// ```
/// use crate::abstractions::sync::refcounts::RefCounts;
///
/// let counts = RefCounts::new(1024)?;
/// let block = counts.first_unused(0..counts.len()).ok_or(ENOSPC)?;
/// // Fails if another task claims the block first.
/// assert!(counts.claim(block));
/// assert!(counts.get(block));
/// assert_eq!(counts.put(block), Some(1));
/// assert_eq!(counts.put(block), Some(0));
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct RefCounts {
    /// The count with the lowest index is in the lowest bits of a word.
    words: ZeroedTable<AtomicEntry<u64>>,
    len: usize,
}

impl RefCounts {
    /// Maximum number of references to an object.
    pub(crate) const MAX: usize = (1 << BITS) - 1;

    /// Creates a table of `len` counts.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory, or `len` is 0.
    pub(crate) fn new(len: usize) -> Result<Self> {
        Ok(Self {
            words: ZeroedTable::new(len.div_ceil(PER_WORD), Gfp::RETRY_MAYFAIL)?,
            len,
        })
    }

    /// Returns the number of counts.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of references to an object, which may be out of date; 0 beyond the end of
    /// the table.
    pub(crate) fn count(&self, index: usize) -> usize {
        let word = self
            .words
            .get(index / PER_WORD)
            .filter(|_| index < self.len);
        word.map_or(0, |AtomicEntry(word)| {
            (word.load(Relaxed) >> (index % PER_WORD * BITS)) as usize & Self::MAX
        })
    }

    /// Returns how many objects in `range` have references, but fewer than `limit`.
    ///
    /// The number may be out of date. Looks at all counts of a word at once.
    pub(crate) fn count_below(&self, range: Range<usize>, limit: usize) -> usize {
        let end = range.end.min(self.len);
        let limit = limit.clamp(1, Self::MAX + 1) as u64;
        let few = |counts: u64| at_least(counts, 1) & !at_least(counts, limit);
        let mut sum = 0;
        let mut index = range.start;
        while index < end {
            let first = index / PER_WORD * PER_WORD;
            let Some(AtomicEntry(word)) = self.words.get(first / PER_WORD) else {
                break;
            };
            // Ignore the counts that are not in the range.
            let beyond = PER_WORD.saturating_sub(end - first);
            let mask = (u64::MAX << ((index - first) * BITS)) & (u64::MAX >> (beyond * BITS));
            let word = word.load(Relaxed) & mask;
            if word != 0 {
                sum += (few(word) | few(word >> BITS) >> 1).count_ones() as usize;
            }
            index = first + PER_WORD;
        }
        sum
    }

    /// Takes the first reference to an object, or returns `false` if it has references.
    ///
    /// A successful call has ACQUIRE semantics, and is ordered after the last [`put`](Self::put) of
    /// the object.
    pub(crate) fn claim(&self, index: usize) -> bool {
        self.claim_many(index, 1)
    }

    /// Takes the first `references` to an object at once, or returns `false` if it has references,
    /// or if the number is 0 or more than [`MAX`](Self::MAX).
    ///
    /// Ordered as [`claim`](Self::claim) is.
    pub(crate) fn claim_many(&self, index: usize, references: usize) -> bool {
        let possible = references > 0 && references <= Self::MAX;
        let first = |count| (count == 0 && possible).then_some(references);
        self.change(index, first, |word, old, new| {
            word.cmpxchg(old, new, Acquire)
        })
        .is_some()
    }

    /// Takes a further reference to an object, or returns `false` if it has no reference or
    /// [`MAX`](Self::MAX) of them.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> bool {
        let further = |count| (count > 0 && count < Self::MAX).then_some(count + 1);
        self.change(index, further, |word, old, new| {
            word.cmpxchg(old, new, Relaxed)
        })
        .is_some()
    }

    /// Drops a reference to an object and returns how many are left, or `None` if it had none.
    ///
    /// A successful call has RELEASE semantics.
    #[inline]
    pub(crate) fn put(&self, index: usize) -> Option<usize> {
        self.put_many(index, 1)
    }

    /// Drops several references to an object at once and returns how many are left, or `None` if it
    /// had fewer.
    ///
    /// A successful call has RELEASE semantics.
    #[inline]
    pub(crate) fn put_many(&self, index: usize, references: usize) -> Option<usize> {
        let fewer = |count: usize| count.checked_sub(references);
        self.change(index, fewer, |word, old, new| {
            word.cmpxchg(old, new, Release)
        })
    }

    /// Returns the first object in `range` without references, or `None` if all have some.
    ///
    /// Another task may claim the object at any time.
    pub(crate) fn first_unused(&self, range: Range<usize>) -> Option<usize> {
        let end = range.end.min(self.len);
        let mut index = range.start;
        while index < end {
            let AtomicEntry(word) = self.words.get(index / PER_WORD)?;
            let word = word.load(Relaxed);
            let used = word | word >> 1 | word >> 2 | word >> 3;
            // Ignore the counts below `index`, which are not in the range.
            let unused = !used & LOWEST_BITS & (u64::MAX << (index % PER_WORD * BITS));
            let first = index / PER_WORD * PER_WORD;
            if unused != 0 {
                let found = first + unused.trailing_zeros() as usize / BITS;
                return (found < end).then_some(found);
            }
            index = first + PER_WORD;
        }
        None
    }

    /// Replaces a count by the result of `f` and returns the new count; if `f` returns `None`,
    /// changes nothing and returns `None`.
    #[inline]
    fn change(
        &self,
        index: usize,
        f: impl Fn(usize) -> Option<usize>,
        cmpxchg: impl Fn(&Atomic<u64>, u64, u64) -> Result<u64, u64>,
    ) -> Option<usize> {
        let AtomicEntry(word) = self
            .words
            .get(index / PER_WORD)
            .filter(|_| index < self.len)?;
        let shift = index % PER_WORD * BITS;
        let mut old = word.load(Relaxed);
        loop {
            let count = f((old >> shift) as usize & Self::MAX)?;
            let others = old & !((Self::MAX as u64) << shift);
            match cmpxchg(word, old, others | (count as u64) << shift) {
                Ok(_) => return Some(count),
                Err(now) => old = now,
            }
        }
    }
}

#[kunit_tests(zram_rs_refcounts)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted() -> Result {
        let counts = RefCounts::new(2)?;
        assert_eq!(counts.len(), 2);
        // The first reference to an object has to be a claim.
        assert!(!counts.get(0) && counts.put(0).is_none());
        assert!(counts.claim(0) && !counts.claim(0));
        assert!(counts.get(0));
        assert_eq!(counts.put(0), Some(1));
        assert!(!counts.claim(0));
        assert_eq!(counts.put(0), Some(0));
        assert!(counts.put(0).is_none() && counts.claim(0));
        Ok(())
    }

    #[test]
    fn there_is_a_limit() -> Result {
        let counts = RefCounts::new(1)?;
        assert!(counts.claim(0));
        for _ in 1..RefCounts::MAX {
            assert!(counts.get(0));
        }
        assert!(!counts.get(0));
        assert_eq!(counts.put(0), Some(RefCounts::MAX - 1));
        assert!(counts.get(0) && !counts.get(0));
        for left in (0..RefCounts::MAX).rev() {
            assert_eq!(counts.put(0), Some(left));
        }
        Ok(())
    }

    #[test]
    fn many_at_once() -> Result {
        let counts = RefCounts::new(PER_WORD)?;
        assert!(!counts.claim_many(0, 0) && !counts.claim_many(0, RefCounts::MAX + 1));
        assert!(counts.claim_many(0, 1) && !counts.claim_many(0, 1));
        assert!(counts.claim_many(3, RefCounts::MAX) && !counts.get(3));
        assert_eq!((counts.count(3), counts.count(2)), (RefCounts::MAX, 0));
        assert_eq!(counts.put_many(3, 5), Some(RefCounts::MAX - 5));
        assert_eq!(counts.put_many(3, RefCounts::MAX - 4), None);
        assert_eq!(counts.put_many(3, RefCounts::MAX - 5), Some(0));
        assert_eq!((counts.count(3), counts.count(0)), (0, 1));
        Ok(())
    }

    #[test]
    fn few_references_are_counted() -> Result {
        const LEN: usize = 5 * PER_WORD + 3;
        let counts = RefCounts::new(LEN)?;
        // Each number of references at each place of a word.
        for index in 0..LEN {
            let references = index * 7 % (RefCounts::MAX + 1);
            assert_eq!(counts.claim_many(index, references), references > 0);
        }
        let ranges = [
            0..LEN,
            0..usize::MAX,
            0..PER_WORD,
            1..PER_WORD - 1,
            5..6,
            7..7,
            PER_WORD - 1..3 * PER_WORD + 1,
            LEN - 1..LEN + 9,
            LEN..LEN + 9,
        ];
        for range in ranges {
            for limit in 1..=RefCounts::MAX + 1 {
                let few = |&index: &usize| (1..limit).contains(&counts.count(index));
                let wanted = (range.start..range.end.min(LEN)).filter(few).count();
                assert_eq!(counts.count_below(range.clone(), limit), wanted);
            }
        }
        Ok(())
    }

    #[test]
    fn neighbours_are_independent() -> Result {
        const LEN: usize = 3 * PER_WORD;
        let counts = RefCounts::new(LEN)?;
        for index in (0..LEN).step_by(2) {
            assert!(counts.claim(index));
            while counts.get(index) {}
        }
        for index in (1..LEN).step_by(2) {
            assert!(counts.claim(index));
            assert_eq!(counts.put(index), Some(0));
        }
        for index in (0..LEN).step_by(2) {
            assert_eq!(counts.put(index), Some(RefCounts::MAX - 1));
        }
        Ok(())
    }

    #[test]
    fn nothing_is_beyond_the_end() -> Result {
        let counts = RefCounts::new(PER_WORD + 1)?;
        for index in [PER_WORD + 1, 2 * PER_WORD, usize::MAX] {
            assert!(!counts.claim(index) && !counts.get(index) && counts.put(index).is_none());
            assert_eq!(counts.count(index), 0);
        }
        assert_eq!(counts.first_unused(PER_WORD..1000), Some(PER_WORD));
        assert_eq!(counts.first_unused(PER_WORD + 1..1000), None);
        assert!(RefCounts::new(0).is_err());
        Ok(())
    }

    #[test]
    fn the_first_unused_is_found() -> Result {
        const LEN: usize = 100;
        let counts = RefCounts::new(LEN)?;
        for index in 0..LEN {
            assert_eq!(counts.first_unused(0..LEN), Some(index));
            assert!(counts.claim(index));
            // Covers each bit of a count.
            for _ in 0..index % RefCounts::MAX {
                assert!(counts.get(index));
            }
        }
        assert_eq!(counts.first_unused(0..LEN), None);
        for index in [5, 15, 16, 60, 99] {
            while counts.put(index).is_some() {}
        }
        assert_eq!(counts.first_unused(0..LEN), Some(5));
        assert_eq!(counts.first_unused(5..6), Some(5));
        assert_eq!(counts.first_unused(6..15), None);
        assert_eq!(counts.first_unused(6..LEN), Some(15));
        assert_eq!(counts.first_unused(16..LEN), Some(16));
        assert_eq!(counts.first_unused(17..60), None);
        assert_eq!(counts.first_unused(17..LEN), Some(60));
        assert_eq!(counts.first_unused(61..LEN), Some(99));
        assert_eq!(counts.first_unused(7..7), None);
        Ok(())
    }
}
