// SPDX-License-Identifier: GPL-2.0

//! How many pages have which age, and from which age on so many pages are the oldest.
//!
//! Pages are counted by classes of ages, four to each power of two, so that the memory for it does
//! not depend on the number of pages.

use kernel::prelude::*;

/// Number of classes of each power of two.
const STEPS: u32 = 4;

/// Number of classes: the highest is that of `u32::MAX`.
const CLASSES: usize = (u32::BITS * STEPS) as usize - 4;

/// Returns the class of an age. Older ages have the same or a higher class.
fn class(age: u32) -> usize {
    match age.checked_ilog2() {
        // Each of these ages has a class.
        None | Some(0..=2) => age as usize,
        Some(power) => {
            let step = (age >> (power - 2)) & (STEPS - 1);
            ((power - 1) * STEPS + step) as usize
        }
    }
}

/// The number of pages of each class of ages.
///
/// # Context
///
/// All methods: any context.
pub(super) struct Ages([usize; CLASSES]);

impl Ages {
    /// Returns counters of zero.
    pub(super) const fn new() -> Self {
        Self([0; CLASSES])
    }

    /// Sets all counters to zero.
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Counts a page.
    pub(super) fn count(&mut self, age: u32) {
        if let Some(count) = self.0.get_mut(class(age)) {
            *count += 1;
        }
    }

    /// Returns which pages are the `max` oldest.
    pub(super) fn oldest(&self, max: usize) -> Oldest {
        let mut left = max;
        for (class, &count) in self.0.iter().enumerate().rev() {
            if count > left {
                return Oldest {
                    class,
                    left,
                    all: false,
                };
            }
            left -= count;
        }
        Oldest {
            class: 0,
            left: usize::MAX,
            all: true,
        }
    }

    /// Returns whether no page was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&count| count == 0)
    }
}

/// The oldest pages: all of the classes above one, and some of that class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Oldest {
    class: usize,
    /// How many more of the class belong to the oldest.
    left: usize,
    /// Whether all pages that were counted are among the oldest.
    pub(super) all: bool,
}

impl Oldest {
    /// No page.
    pub(super) const NONE: Self = Self {
        class: CLASSES,
        left: 0,
        all: true,
    };

    /// Returns whether a page of this age is among the oldest, and counts it if so. Any context.
    pub(super) fn take(&mut self, age: u32) -> bool {
        match class(age).cmp(&self.class) {
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Less => false,
            core::cmp::Ordering::Equal => {
                let taken = self.left > 0;
                self.left = self.left.saturating_sub(1);
                taken
            }
        }
    }
}

#[kunit_tests(zram_rs_ages)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order() {
        let mut last = 0;
        for index in 0..200_000_u32 {
            // All of the small ages, and then ages up to the largest.
            let age = match index.checked_sub(100_000) {
                None => index,
                Some(index) => 100_000 + index * 42_948,
            };
            let class = class(age);
            assert!(class >= last);
            assert!(class < CLASSES);
            last = class;
        }
        assert_eq!(class(u32::MAX), CLASSES - 1);
        // No class is left out, and small ages have classes of their own.
        for age in 0..16 {
            assert!(class(age + 1) - class(age) <= 1);
        }
        assert_eq!(class(7), 7);
        assert_eq!(class(8), 8);
        assert_eq!(class(10), 9);
    }

    #[test]
    fn oldest_are_taken() {
        let mut ages = Ages::new();
        assert!(ages.is_empty());
        let all = [5, 5, 5, 100, 100, 3000, 4_000_000];
        for age in all {
            ages.count(age);
        }
        assert!(!ages.is_empty());
        for max in 0..10 {
            let mut oldest = ages.oldest(max);
            let taken = all.iter().filter(|&&age| oldest.take(age)).count();
            assert_eq!(taken, max.min(all.len()));
            assert_eq!(oldest.all, max >= all.len());
        }
        let mut oldest = ages.oldest(3);
        assert!(!oldest.take(5));
        assert!(oldest.take(3000));
        assert!(oldest.take(100));
        assert!(!oldest.take(100));
        assert!(oldest.take(4_000_000));
        // An age that was not counted, of a page that was used meanwhile.
        assert!(!oldest.take(0));
        ages.clear();
        assert!(ages.is_empty());
        let mut none = Oldest::NONE;
        assert!(!none.take(u32::MAX));
    }
}
