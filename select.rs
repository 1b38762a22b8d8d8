// SPDX-License-Identifier: GPL-2.0

//! Which slots to post-process, and in which order: the largest objects first.
//!
//! Among slots of about the same size, those with higher numbers come first, as in C zram: which
//! pages are taken when there is not room for all is something that users can see.
//!
//! First all slots in question are looked at, marked as selected, and counted by size. Then those
//! that are still marked are handed out in batches, from the largest sizes down. The fewer slots
//! there are, or the more memory is free, the fewer times the table is walked; but selecting never
//! waits for memory, which it is to help free: a small batch is part of the selector, and a larger
//! one is allocated when there is free memory, be it later on.

use crate::{
    abstractions::{
        alloc::Gfp,
        table::ZeroedTable, //
    },
    slot::{
        SlotGuard,
        Table, //
    },
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// How many different sizes there are: what is counted by size is on the stack, however large pages
/// are.
const BUCKETS: usize = 64 + 1;

/// Which sizes are as good as each other, in bytes.
const BUCKET_SIZE: usize = PAGE_SIZE / (BUCKETS - 1);

/// How many slots a batch has when there is plenty of memory, and when there is none.
const BATCH: usize = 128 * 1024;
const SMALL_BATCH: usize = 32;

fn bucket(size: usize) -> usize {
    (size / BUCKET_SIZE).min(BUCKETS - 1)
}

/// How many slots there are of each size.
struct Histogram([usize; BUCKETS]);

impl Histogram {
    fn count(&mut self, size: usize) {
        if let Some(count) = self.0.get_mut(bucket(size)) {
            *count += 1;
        }
    }

    fn of(&self, bucket: usize) -> usize {
        self.0.get(bucket).copied().unwrap_or(0)
    }

    /// Returns the buckets with the largest sizes that make up a batch of at most `max` slots: as
    /// many as fit, but one at least. Returns `None` if all are empty.
    fn top(&self, max: usize) -> Option<Range<usize>> {
        let top = self.0.iter().rposition(|&count| count > 0)?;
        let mut low = top;
        let mut sum = self.of(top);
        while low > 0 && sum + self.of(low - 1) <= max {
            low -= 1;
            sum += self.of(low);
        }
        Some(low..top + 1)
    }
}

/// Slots that were selected, and are handed out batch by batch.
///
/// Slots that nobody has used since are marked until whoever gets them takes the mark away. The
/// marks that are left are taken away when this is dropped; if there are none, [`done`](Self::done)
/// saves the time.
pub(crate) struct Selector<'a> {
    table: &'a Table,
    ranges: &'a [Range<usize>],
    /// The end of the slots that [`new`](Self::new) has walked: no others are marked.
    end: usize,
    histogram: Histogram,
    /// How many slots a batch may have.
    max: usize,
    batch: Option<ZeroedTable<usize>>,
    small_batch: [usize; SMALL_BATCH],
    /// A bucket that is larger than a batch, and the last slot that is still to be handed out.
    resume: Option<(usize, usize)>,
    /// Whether there may be marks left.
    marks: bool,
}

impl<'a> Selector<'a> {
    /// Selects the slots in `ranges`, which must be in order and apart from each other, that have
    /// an object in memory and that `wanted` agrees to.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// What `check_stop` fails with, which is asked now and then. Then no slot is selected.
    pub(crate) fn new(
        table: &'a Table,
        ranges: &'a [Range<usize>],
        wanted: impl Fn(&SlotGuard<'_>) -> bool,
        check_stop: impl Fn() -> Result,
    ) -> Result<Self> {
        let mut this = Self {
            table,
            ranges,
            end: 0,
            histogram: Histogram([0; BUCKETS]),
            max: BATCH,
            batch: None,
            small_batch: [0; SMALL_BATCH],
            resume: None,
            marks: true,
        };
        let mut result = Ok(());
        for range in ranges {
            table.for_each(range.clone(), |index, mut slot| {
                this.end = index + 1;
                if let Some(size) = slot.object_size() {
                    if wanted(&slot) {
                        slot.set_selected(true);
                        this.histogram.count(size);
                    }
                }
                if index % 1024 == 0 {
                    result = check_stop();
                }
                result.is_ok()
            });
            // Those that were selected are let go of when `this` is dropped.
            result?;
        }
        Ok(this)
    }

    /// Allocates a larger batch than there is, if there are slots and free memory for it.
    fn grow(&mut self) {
        let len = self.batch.as_ref().map_or(SMALL_BATCH, |batch| batch.len());
        let mut more = self.len().min(self.max);
        // Less than twice as much is not worth the time.
        while more >= 2 * len {
            if let Ok(batch) = ZeroedTable::new(more, Gfp::NOWAIT) {
                self.batch = Some(batch);
                return;
            }
            more /= 2;
        }
    }

    /// Returns how many slots are selected and not handed out. Any context.
    pub(crate) fn len(&self) -> usize {
        self.histogram.0.iter().sum()
    }

    /// Returns the next slots, the largest first, or `None` when there are no more. Some of them
    /// may not be marked any more.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    pub(crate) fn next_batch(&mut self) -> Option<&[usize]> {
        self.grow();
        let batch = match &mut self.batch {
            Some(batch) => &mut batch[..],
            None => &mut self.small_batch[..],
        };
        let buckets = self.histogram.top(batch.len())?;
        // A place for each bucket in the batch, the largest sizes first.
        let mut places = [0; BUCKETS];
        let mut end = 0;
        for bucket in buckets.clone().rev() {
            if let Some(place) = places.get_mut(bucket) {
                *place = end;
            }
            end += self.histogram.of(bucket);
        }
        // Slots that are not marked any more leave their places empty.
        batch.fill(usize::MAX);

        let resume = self.resume.take();
        // Slots of the same size are looked at once each, however many batches they make up.
        let end = match resume {
            Some((partial, last)) if buckets == (partial..partial + 1) => last + 1,
            _ => usize::MAX,
        };
        let mut full = None;
        for range in self.ranges.iter().rev() {
            if full.is_some() {
                break;
            }
            let range = range.start..range.end.min(end);
            self.table.for_each_rev(range, |index, slot| {
                let Some(size) = slot.object_size().filter(|_| slot.is_selected()) else {
                    return true;
                };
                let bucket = bucket(size);
                if !buckets.contains(&bucket)
                    || resume.is_some_and(|(partial, last)| bucket == partial && index > last)
                {
                    return true;
                }
                let Some(place) = places.get_mut(bucket) else {
                    return true;
                };
                let Some(entry) = batch.get_mut(*place) else {
                    full = Some((bucket, index));
                    return false;
                };
                *entry = index;
                *place += 1;
                true
            });
        }
        for bucket in buckets {
            if let Some(left) = self.histogram.0.get_mut(bucket) {
                // Only a bucket that fills a batch by itself has anything left.
                *left = full.map_or(0, |_| left.saturating_sub(batch.len()));
            }
        }
        self.resume = full;
        Some(batch)
    }

    /// Lets go of the slots when all of them were handed out, and whoever got them has taken the
    /// marks away. Any context.
    pub(crate) fn done(mut self) {
        self.marks = self.len() != 0;
    }
}

impl Drop for Selector<'_> {
    fn drop(&mut self) {
        if !self.marks {
            return;
        }
        for range in self.ranges {
            let range = range.start..range.end.min(self.end);
            self.table.for_each(range, |_index, mut slot| {
                slot.set_selected(false);
                true
            });
        }
    }
}

#[kunit_tests(zram_rs_select)]
mod tests {
    use super::*;
    use crate::{
        abstractions::page::Node,
        comp::Priority,
        slot::Content,
        zspool::Pool, //
    };
    use core::cell::Cell;

    #[test]
    fn top_buckets_fit() {
        let mut histogram = Histogram([0; BUCKETS]);
        assert_eq!(histogram.top(10), None);
        for size in [0, BUCKET_SIZE - 1, BUCKET_SIZE, PAGE_SIZE - 1, PAGE_SIZE] {
            histogram.count(size);
        }
        assert_eq!(histogram.of(0), 2);
        assert_eq!(histogram.of(1), 1);
        assert_eq!(histogram.top(100), Some(0..BUCKETS));
        assert_eq!(histogram.top(4), Some(1..BUCKETS));
        assert_eq!(histogram.top(2), Some(2..BUCKETS));
        assert_eq!(histogram.top(1), Some(BUCKETS - 1..BUCKETS));
        histogram.0 = [0; BUCKETS];
        // One bucket at least, even if it does not fit.
        histogram.0[5] = 1000;
        assert_eq!(histogram.top(10), Some(5..6));
        assert_eq!(histogram.top(1000), Some(0..6));
    }

    /// A table whose slot `i` has an object of size `sizes[i]`, in 4096ths of a page.
    fn table(sizes: &[usize]) -> Result<Pin<KBox<Table>>> {
        let pool = Pool::new(c"zram_rs_kunit")?;
        let table = KBox::try_pin_init(Table::new(sizes.len(), pool), GFP_KERNEL)?;
        for (index, &size) in sizes.iter().enumerate() {
            let size = size * (PAGE_SIZE / 4096);
            let _ = table.lock(index).ok_or(EINVAL)?.replace(Content::Stored {
                object: table.pool().alloc(size, Node::LOCAL, Gfp::KERNEL)?,
                priority: Priority::PRIMARY,
            });
        }
        Ok(table)
    }

    /// Walks through a selector as post-processing does, and returns the order of slots.
    fn order(selector: &mut Selector<'_>, table: &Table) -> Result<KVec<usize>> {
        let mut order = KVec::new();
        while let Some(batch) = selector.next_batch() {
            for &index in batch {
                let Some(mut slot) = table.lock(index) else {
                    continue;
                };
                assert!(slot.is_selected());
                slot.set_selected(false);
                order.push(index, GFP_KERNEL)?;
            }
        }
        Ok(order)
    }

    #[test]
    fn largest_first() -> Result {
        let sizes = [100, 4000, 70, 2000, 3999, 1, 2010];
        let table = table(&sizes)?;
        let ranges = [0..7];
        let mut selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
        assert_eq!(selector.len(), 7);
        // The last of the table first where sizes are in the same bucket.
        let order = order(&mut selector, &table)?;
        assert_eq!(order[..], [4, 1, 6, 3, 2, 0, 5]);
        selector.done();
        Ok(())
    }

    #[test]
    fn small_batches() -> Result {
        // More of one size than there is room for in a batch, and some of others.
        let mut sizes = KVec::new();
        for index in 0..5 * SMALL_BATCH {
            let size = match index % 5 {
                0 => 3000,
                1 => 10,
                _ => 1000,
            };
            sizes.push(size, GFP_KERNEL)?;
        }
        let table = table(&sizes)?;
        // A batch of the 1000s begins in the last range, one in the middle of the first.
        let ranges = [0..4 * SMALL_BATCH, 4 * SMALL_BATCH..sizes.len()];
        let mut selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
        selector.max = SMALL_BATCH;
        let order = order(&mut selector, &table)?;
        assert_eq!(order.len(), sizes.len());
        for pair in order.windows(2) {
            let sizes = (sizes[pair[0]], sizes[pair[1]]);
            assert!(sizes.0 > sizes.1 || (sizes.0 == sizes.1 && pair[0] > pair[1]));
        }
        drop(selector);
        Ok(())
    }

    #[test]
    fn batches_grow() -> Result {
        // Batches end within a size, and go on there when there is memory for a larger one.
        let mut sizes = KVec::new();
        for index in 0..20 * SMALL_BATCH {
            sizes.push(if index % 3 == 0 { 3000 } else { 1000 }, GFP_KERNEL)?;
        }
        let table = table(&sizes)?;
        let ranges = [0..sizes.len()];
        let mut selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
        selector.max = SMALL_BATCH;
        let mut order = KVec::new();
        while let Some(batch) = selector.next_batch() {
            for &index in batch.iter().filter(|&&index| index < sizes.len()) {
                table.lock(index).ok_or(EINVAL)?.set_selected(false);
                order.push(index, GFP_KERNEL)?;
            }
            selector.max *= 2;
        }
        assert_eq!(order.len(), sizes.len());
        for pair in order.windows(2) {
            let sizes = (sizes[pair[0]], sizes[pair[1]]);
            assert!(sizes.0 > sizes.1 || (sizes.0 == sizes.1 && pair[0] > pair[1]));
        }
        selector.done();
        Ok(())
    }

    #[test]
    fn ranges_and_filter() -> Result {
        let table = table(&[500; 20])?;
        for index in [3, 4, 12] {
            table.lock(index).ok_or(EINVAL)?.set_idle(true);
        }
        let ranges = [2..4, 10..15];
        let mut selector = Selector::new(&table, &ranges, |slot| slot.is_idle(), || Ok(()))?;
        // Whoever uses a page takes it out of the selection.
        table.lock(12).ok_or(EINVAL)?.touch(1);
        let order = order(&mut selector, &table)?;
        assert_eq!(order[..], [3]);
        drop(selector);
        Ok(())
    }

    #[test]
    fn marks_are_taken_away() -> Result {
        let table = table(&[500; 8])?;
        let ranges = [1..3, 5..6];
        let selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
        for index in 0..8 {
            let selected = table.lock(index).ok_or(EINVAL)?.is_selected();
            assert_eq!(selected, matches!(index, 1 | 2 | 5));
        }
        drop(selector);
        for index in 0..8 {
            assert!(!table.lock(index).ok_or(EINVAL)?.is_selected());
        }
        // Also if some were handed out, to somebody who did not take them; or all, and asked again.
        for times in 1..4 {
            let mut selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
            for _ in 0..times {
                let _ = selector.next_batch();
            }
            drop(selector);
            for index in 0..8 {
                assert!(!table.lock(index).ok_or(EINVAL)?.is_selected());
            }
        }
        Ok(())
    }

    #[test]
    fn ends_when_told() -> Result {
        let table = table(&[500; 8])?;
        // The selector calls `check_stop` at the first slot.
        let ranges = [0..3, 5..6];
        let result = Selector::new(&table, &ranges, |_| true, || Err(ENOSPC)).map(drop);
        assert_eq!(result, Err(ENOSPC));
        for index in 0..8 {
            assert!(!table.lock(index).ok_or(EINVAL)?.is_selected());
        }
        // Deselects no slot that it has not walked: these marks are not from the selector.
        for index in [1, 5] {
            table.lock(index).ok_or(EINVAL)?.set_selected(true);
        }
        let result = Selector::new(&table, &ranges, |_| true, || Err(ENOSPC)).map(drop);
        assert_eq!(result, Err(ENOSPC));
        for index in 0..8 {
            let selected = table.lock(index).ok_or(EINVAL)?.is_selected();
            assert_eq!(selected, matches!(index, 1 | 5));
        }
        Ok(())
    }

    #[test]
    fn ends_in_the_second_range() -> Result {
        let table = table(&KVec::from_elem(50, 1027, GFP_KERNEL)?)?;
        // Slots 0 and 1024 are those at which the selector calls `check_stop`.
        let ranges = [0..3, 1023..1027];
        table.lock(1026).ok_or(EINVAL)?.set_selected(true);
        let calls = Cell::new(0);
        let check_stop = || {
            calls.set(calls.get() + 1);
            if calls.get() < 2 {
                Ok(())
            } else {
                Err(ENOSPC)
            }
        };
        let result = Selector::new(&table, &ranges, |_| true, check_stop).map(drop);
        assert_eq!(result, Err(ENOSPC));
        for index in 0..1027 {
            let selected = table.lock(index).ok_or(EINVAL)?.is_selected();
            assert_eq!(selected, index == 1026);
        }
        Ok(())
    }
}
