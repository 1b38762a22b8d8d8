// SPDX-License-Identifier: GPL-2.0

//! A large table of bits.

use super::table::{
    AtomicEntry,
    ZeroedTable, //
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

const WORD: usize = u64::BITS as usize;

/// Many bits, each of which is set and cleared by itself. They start out clear.
///
/// Other than `kernel::bitmap` this can have any length that there is memory for, and says what a
/// bit was. Bits beyond the end cannot be changed, and count as set. All methods but
/// [`new`](Self::new) are for any context.
pub(crate) struct Bits {
    /// In each the lowest bit is the first.
    words: ZeroedTable<AtomicEntry<u64>>,
    len: usize,
}

impl Bits {
    /// Makes `len` bits. Fails with `ENOMEM`, also if `len` is 0. May sleep.
    pub(crate) fn new(len: usize) -> Result<Self> {
        Ok(Self {
            words: ZeroedTable::new(len.div_ceil(WORD))?,
            len,
        })
    }

    /// Returns how many bits there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether a bit is set. If not, what was done before it was cleared has happened.
    pub(crate) fn get(&self, index: usize) -> bool {
        self.word(index)
            .is_none_or(|(word, bit)| word.load(Acquire) & bit != 0)
    }

    /// Sets a bit.
    pub(crate) fn set(&self, index: usize) {
        self.change(index, |word, bit| word | bit);
    }

    /// Clears a bit, and returns whether it was set.
    pub(crate) fn clear(&self, index: usize) -> bool {
        self.change(index, |word, bit| word & !bit)
    }

    /// Returns the first bit of a range that is clear. Others may set it meanwhile.
    pub(crate) fn first_clear(&self, range: Range<usize>) -> Option<usize> {
        let mut index = range.start;
        while index < range.end {
            let (word, bit) = self.word(index)?;
            // The bits before this one do not count.
            let clear = !word.load(Relaxed) & bit.wrapping_neg();
            let first = index / WORD * WORD;
            if clear != 0 {
                let found = first + clear.trailing_zeros() as usize;
                return (found < range.end.min(self.len)).then_some(found);
            }
            index = first + WORD;
        }
        None
    }

    fn word(&self, index: usize) -> Option<(&Atomic<u64>, u64)> {
        let word = self.words.get(index / WORD).filter(|_| index < self.len)?;
        Some((&word.0, 1 << (index % WORD)))
    }

    /// Changes the word of a bit, and returns whether that has changed the bit.
    fn change(&self, index: usize, f: impl Fn(u64, u64) -> u64) -> bool {
        let Some((word, bit)) = self.word(index) else {
            return false;
        };
        let mut now = word.load(Relaxed);
        loop {
            let new = f(now, bit);
            match word.cmpxchg(now, new, Release) {
                Ok(_) => return now != new,
                Err(other) => now = other,
            }
        }
    }
}

#[kunit_tests(zram_rs_bits)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_by_themselves() -> Result {
        let bits = Bits::new(130)?;
        assert_eq!(bits.len(), 130);
        for index in [0, 63, 64, 129] {
            assert!(!bits.get(index) && !bits.clear(index));
            bits.set(index);
            bits.set(index);
            assert!(bits.get(index));
        }
        assert!(!bits.get(1) && !bits.get(62) && !bits.get(65) && !bits.get(128));
        assert!(bits.clear(63) && !bits.clear(63));
        assert!(bits.get(0) && !bits.get(63) && bits.get(64));
        Ok(())
    }

    #[test]
    fn nothing_is_beyond_the_end() -> Result {
        let bits = Bits::new(70)?;
        bits.set(70);
        assert!(bits.get(70) && bits.get(127) && bits.get(128) && bits.get(usize::MAX));
        assert!(!bits.clear(70) && !bits.clear(1000));
        assert_eq!(bits.first_clear(69..1000), Some(69));
        assert_eq!(bits.first_clear(70..1000), None);
        assert!(Bits::new(0).is_err());
        Ok(())
    }

    #[test]
    fn the_first_that_is_clear() -> Result {
        let bits = Bits::new(300)?;
        for index in 0..300 {
            bits.set(index);
        }
        assert_eq!(bits.first_clear(0..300), None);
        for index in [5, 63, 64, 200, 299] {
            bits.clear(index);
        }
        assert_eq!(bits.first_clear(0..300), Some(5));
        assert_eq!(bits.first_clear(5..6), Some(5));
        assert_eq!(bits.first_clear(6..63), None);
        assert_eq!(bits.first_clear(6..300), Some(63));
        assert_eq!(bits.first_clear(64..300), Some(64));
        assert_eq!(bits.first_clear(65..200), None);
        assert_eq!(bits.first_clear(65..300), Some(200));
        assert_eq!(bits.first_clear(201..300), Some(299));
        assert_eq!(bits.first_clear(7..7), None);
        Ok(())
    }
}
