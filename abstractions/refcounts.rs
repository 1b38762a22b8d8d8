// SPDX-License-Identifier: GPL-2.0

//! A table of reference counts.

use super::table::{
    AtomicEntry,
    ZeroedTable, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Relaxed,
        Release, //
    },
};

/// Many reference counts. They start at zero.
///
/// Indices beyond the end of the table count as objects that do not exist: they have no references
/// and cannot get any. All methods but [`new`](Self::new) are for any context.
pub(crate) struct RefCounts(ZeroedTable<AtomicEntry<i32>>);

impl RefCounts {
    /// How many references an object can have.
    const MAX: i32 = i16::MAX as i32;

    /// Makes `len` counts. Fails with `ENOMEM`, also if `len` is 0. May sleep.
    pub(crate) fn new(len: usize) -> Result<Self> {
        Ok(Self(ZeroedTable::new(len)?))
    }

    /// Returns whether there are no references. Then what was done before the last one was given
    /// back has happened.
    pub(crate) fn is_zero(&self, index: usize) -> bool {
        self.0
            .get(index)
            .is_none_or(|count| count.0.load(Acquire) == 0)
    }

    /// Takes a reference, and returns whether that was possible: there must not be too many.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> bool {
        self.change(index, 1, |before| before < Self::MAX)
    }

    /// Gives back a reference, if there is one, and returns whether there was.
    #[inline]
    pub(crate) fn put(&self, index: usize) -> bool {
        self.change(index, -1, |before| before > 0)
    }

    /// Changes a count, takes that back if it must not be, and returns whether it may. No count
    /// gets near the end of its type, however many do that at the same time.
    #[inline]
    fn change(&self, index: usize, by: i32, may: impl FnOnce(i32) -> bool) -> bool {
        let Some(AtomicEntry(count)) = self.0.get(index) else {
            return false;
        };
        let may = may(count.fetch_add(by, Release));
        if !may {
            count.add(-by, Relaxed);
        }
        may
    }
}

#[kunit_tests(zram_rs_refcounts)]
mod tests {
    use super::*;

    #[test]
    fn counts() -> Result {
        let counts = RefCounts::new(2)?;
        assert!(counts.is_zero(0) && !counts.put(0));
        assert!(counts.get(0) && counts.get(0));
        assert!(!counts.is_zero(0));
        assert!(counts.put(0));
        assert!(!counts.is_zero(0));
        assert!(counts.put(0));
        assert!(counts.is_zero(0) && !counts.put(0));
        // The neighbour does not notice, and there is no third.
        assert!(counts.get(1) && counts.is_zero(0));
        assert!(counts.is_zero(2) && !counts.get(2) && !counts.put(2));
        Ok(())
    }

    #[test]
    fn does_not_overflow() -> Result {
        let counts = RefCounts::new(1)?;
        for _ in 0..RefCounts::MAX {
            assert!(counts.get(0));
        }
        assert!(!counts.get(0));
        assert!(counts.put(0));
        assert!(counts.get(0));
        for _ in 0..RefCounts::MAX {
            assert!(!counts.is_zero(0) && counts.put(0));
        }
        assert!(counts.is_zero(0));
        Ok(())
    }
}
