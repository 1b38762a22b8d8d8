// SPDX-License-Identifier: GPL-2.0

//! A table of small reference counts.

use super::table::ZeroedTable;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
};

/// A reference count of one byte.
#[repr(transparent)]
struct Count(Atomic<i8>);

// SAFETY: A count of zero is a count.
unsafe impl Zeroable for Count {}

/// Many reference counts, of one byte each. They start at zero.
///
/// Indices beyond the end of the table count as objects that do not exist: they have no references
/// and cannot get any. All methods but [`new`](Self::new) are for any context.
pub(crate) struct RefCounts(ZeroedTable<Count>);

impl RefCounts {
    /// How many references an object can have.
    const MAX: i8 = i8::MAX;

    /// Makes `len` counts. Fails with `ENOMEM`, also if `len` is 0. May sleep.
    pub(crate) fn new(len: usize) -> Result<Self> {
        Ok(Self(ZeroedTable::new(len)?))
    }

    /// Returns how many counts there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the first reference, and returns whether there was none before.
    ///
    /// What was done before the last reference was given back has happened.
    pub(crate) fn claim(&self, index: usize) -> bool {
        self.0
            .get(index)
            .is_some_and(|count| count.0.cmpxchg(0, 1, Acquire).is_ok())
    }

    /// Takes one more reference, and returns whether that was possible: there must be one already,
    /// and not be too many.
    pub(crate) fn get(&self, index: usize) -> bool {
        self.change(index, |count| {
            (count > 0 && count < Self::MAX).then(|| count + 1)
        })
        .is_some()
    }

    /// Gives back a reference, and returns whether it was the last.
    pub(crate) fn put(&self, index: usize) -> bool {
        self.change(index, |count| (count > 0).then(|| count - 1)) == Some(0)
    }

    /// Changes a count to what `f` makes of it, and returns that.
    fn change(&self, index: usize, f: impl Fn(i8) -> Option<i8>) -> Option<i8> {
        let count = &self.0.get(index)?.0;
        let mut now = count.load(Relaxed);
        loop {
            let new = f(now)?;
            match count.cmpxchg(now, new, Release) {
                Ok(_) => return Some(new),
                Err(other) => now = other,
            }
        }
    }
}

#[kunit_tests(zram_rs_refcounts)]
mod tests {
    use super::*;

    #[test]
    fn counts() -> Result {
        let counts = RefCounts::new(2)?;
        assert!(!counts.get(0) && !counts.put(0));
        assert!(counts.claim(0));
        assert!(!counts.claim(0));
        assert!(counts.get(0));
        assert!(!counts.put(0));
        assert!(!counts.claim(0));
        assert!(counts.put(0));
        assert!(!counts.put(0));
        assert!(counts.claim(0));
        // The neighbour does not notice, and there is no third.
        assert!(counts.claim(1));
        assert!(!counts.claim(2) && !counts.get(2) && !counts.put(2));
        Ok(())
    }

    #[test]
    fn does_not_overflow() -> Result {
        let counts = RefCounts::new(1)?;
        assert!(counts.claim(0));
        for _ in 1..RefCounts::MAX {
            assert!(counts.get(0));
        }
        assert!(!counts.get(0));
        assert!(!counts.put(0));
        assert!(counts.get(0));
        for _ in 1..RefCounts::MAX {
            assert!(!counts.put(0));
        }
        assert!(counts.put(0));
        Ok(())
    }
}
