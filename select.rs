// SPDX-License-Identifier: GPL-2.0

//! Selects slots for post-processing and orders them: the largest objects first, or by their
//! indices.
//!
//! If the largest come first, then among slots of about the same size those with higher indices do,
//! as in C zram: users can see which pages a limited writeback or recompression takes.
//!
//! The selector first walks all slots in question, marks the wanted ones as selected, and counts
//! them by size. Then it returns the slots that are still marked in batches. From the largest sizes
//! down, each batch takes one walk, so that larger batches mean fewer walks. The selector never
//! waits for memory, because post-processing is meant to free memory: it contains a small batch,
//! and allocates a larger one as soon as there is free memory.

use crate::{
    abstractions::alloc::{
        table::ZeroedTable,
        Gfp, //
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

/// Number of buckets of the histogram, which is on the stack: the same for any page size.
pub(crate) const BUCKETS: usize = 64 + 1;

/// Width of a histogram bucket, in bytes.
pub(crate) const BUCKET_SIZE: usize = PAGE_SIZE / (BUCKETS - 1);

/// Maximum number of slots in a batch.
const BATCH: usize = 128 * 1024;

/// Number of slots in the batch that needs no allocation.
const SMALL_BATCH: usize = 32;

/// Returns the histogram bucket of a size in bytes.
fn bucket(size: usize) -> usize {
    (size / BUCKET_SIZE).min(BUCKETS - 1)
}

/// Number of slots of each size.
struct Histogram([usize; BUCKETS]);

impl Histogram {
    /// Adds a slot whose object has `size` bytes.
    fn count(&mut self, size: usize) {
        if let Some(count) = self.0.get_mut(bucket(size)) {
            *count += 1;
        }
    }

    /// Returns the number of slots in a bucket.
    fn of(&self, bucket: usize) -> usize {
        self.0.get(bucket).copied().unwrap_or(0)
    }

    /// Returns the buckets of the next batch, or `None` if all buckets are empty.
    ///
    /// These are the buckets of the largest sizes: as many as have at most `max` slots together,
    /// but at least one that is not empty.
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

/// A batch of slots, in the order of their sizes: the largest first.
///
/// It can contain slots that are no longer selected, and indices beyond the end of the table.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    /// The indices of the slots.
    pub(crate) slots: &'a [usize],
    /// Where the slots of each bucket begin, from the smallest sizes on. Those of a bucket end
    /// where those of the bucket below it begin.
    starts: &'a [u32; BUCKETS],
}

impl<'a> Batch<'a> {
    /// Returns the slots whose objects had a size in this bucket. Any context.
    pub(crate) fn bucket(&self, bucket: usize) -> &'a [usize] {
        let start = |bucket: usize| self.starts.get(bucket).map_or(0, |&start| start as usize);
        let end = match bucket {
            0 => self.slots.len(),
            _ => start(bucket - 1),
        };
        self.slots.get(start(bucket)..end).unwrap_or_default()
    }
}

/// Slots that their user collects, to be sorted into a batch.
///
/// # Context
///
/// Any context, except for [`new`](Self::new) and dropping, which may sleep.
pub(crate) struct Sorter {
    /// The index of each slot, and the size of its object.
    unsorted: KVec<(usize, usize)>,
    sorted: KVec<usize>,
    starts: [u32; BUCKETS],
}

impl Sorter {
    /// Creates a sorter for at most `max` slots.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(max: usize, gfp: Gfp) -> Result<Self> {
        let gfp = gfp.for_collections();
        Ok(Self {
            unsorted: KVec::with_capacity(max, gfp)?,
            sorted: KVec::from_elem(usize::MAX, max, gfp)?,
            starts: [0; BUCKETS],
        })
    }

    /// Returns how many slots can be added.
    pub(crate) fn room(&self) -> usize {
        self.sorted.len() - self.unsorted.len()
    }

    /// Adds a slot whose object has `size` bytes, if there is room.
    pub(crate) fn add(&mut self, slot: usize, size: usize) {
        if self.room() > 0 {
            let _ = self.unsorted.push_within_capacity((slot, size));
        }
    }

    /// Returns how many slots were added.
    pub(crate) fn len(&self) -> usize {
        self.unsorted.len()
    }

    /// Returns whether no slot was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.unsorted.is_empty()
    }

    /// Removes all slots.
    pub(crate) fn clear(&mut self) {
        self.unsorted.clear();
    }

    /// Returns the slots in the order in which they were added.
    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.unsorted.iter().map(|&(slot, _)| slot)
    }

    /// Returns the slots and the sizes of their objects, in the order in which they were added.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.unsorted.iter().copied()
    }

    /// Sorts the slots into a batch.
    pub(crate) fn batch(&mut self) -> Batch<'_> {
        let mut histogram = Histogram([0; BUCKETS]);
        for &(_, size) in &self.unsorted {
            histogram.count(size);
        }
        let mut places = [0; BUCKETS];
        let mut end = 0;
        for (bucket, place) in places.iter_mut().enumerate().rev() {
            *place = end;
            if let Some(start) = self.starts.get_mut(bucket) {
                *start = end as u32;
            }
            end += histogram.of(bucket);
        }
        for &(slot, size) in &self.unsorted {
            if let Some(place) = places.get_mut(bucket(size)) {
                if let Some(entry) = self.sorted.get_mut(*place) {
                    *entry = slot;
                }
                *place += 1;
            }
        }
        Batch {
            slots: self.sorted.get(..end).unwrap_or_default(),
            starts: &self.starts,
        }
    }
}

/// An iterator over the selected slots of a disk, in batches.
///
/// A selected slot stays marked until it is accessed or its user clears the mark. Dropping the
/// selector walks the slots and clears the remaining marks. If there are none,
/// [`done`](Self::done) avoids that walk.
///
/// # Context
///
/// May sleep, as may dropping, unless a method says otherwise.
pub(crate) struct Selector<'a> {
    table: &'a Table,
    ranges: &'a [Range<usize>],
    /// The end of the slots that [`new`](Self::new) has walked: no others are marked.
    end: usize,
    /// The slots that are selected and not in a batch yet.
    histogram: Histogram,
    /// Maximum number of slots in a batch.
    max: usize,
    /// The allocated batch, which replaces `small_batch`.
    batch: Option<ZeroedTable<usize>>,
    small_batch: [usize; SMALL_BATCH],
    /// Where each bucket begins in the batch.
    starts: [u32; BUCKETS],
    /// A bucket that did not fit into a batch, and the slot at which the next batch continues.
    resume: Option<(usize, usize)>,
    /// The slot at which the next batch in ascending order begins.
    next: usize,
    /// Whether slots may be marked.
    marks: bool,
}

impl<'a> Selector<'a> {
    /// Selects the slots in `ranges` that have an object in memory and for which `wanted` returns
    /// `true`.
    ///
    /// The ranges must be in ascending order and must not overlap.
    ///
    /// # Errors
    ///
    /// Those of `check_stop`, which is called now and then; no slot is selected after an error.
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
            starts: [0; BUCKETS],
            resume: None,
            next: 0,
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
            // On an error, dropping `this` deselects the slots.
            result?;
        }
        Ok(this)
    }

    /// Allocates a larger batch if there are enough slots, and free memory.
    fn grow(&mut self) {
        let len = self.batch.as_ref().map_or(SMALL_BATCH, |batch| batch.len());
        let mut more = self.len().min(self.max);
        // A batch of less than twice the size is not worth the allocation.
        while more >= 2 * len {
            if let Ok(batch) = ZeroedTable::new(more, Gfp::NOWAIT) {
                self.batch = Some(batch);
                return;
            }
            more /= 2;
        }
    }

    /// Returns the number of slots that are selected and not in a batch yet. Any context; does not
    /// sleep.
    pub(crate) fn len(&self) -> usize {
        self.histogram.0.iter().sum()
    }

    /// Returns the next batch of slots, the largest first, or `None` if there are no more.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    pub(crate) fn next_batch(&mut self) -> Option<Batch<'_>> {
        self.grow();
        let batch = match &mut self.batch {
            Some(batch) => &mut batch[..],
            None => &mut self.small_batch[..],
        };
        let buckets = self.histogram.top(batch.len())?;
        // The position of each bucket in the batch, the largest sizes first.
        let mut places = [0; BUCKETS];
        let mut end = 0;
        for (bucket, start) in self.starts.iter_mut().enumerate().rev() {
            *start = end.min(batch.len()) as u32;
            if buckets.contains(&bucket) {
                if let Some(place) = places.get_mut(bucket) {
                    *place = end;
                }
                end += self.histogram.of(bucket);
            }
        }
        // Slots that are no longer selected leave gaps.
        batch.fill(usize::MAX);

        let resume = self.resume.take();
        // A batch that continues a bucket starts its walk where the last batch stopped.
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
                // Only a bucket that does not fit into a batch has slots left.
                *left = full.map_or(0, |_| left.saturating_sub(batch.len()));
            }
        }
        self.resume = full;
        Some(Batch {
            slots: batch,
            starts: &self.starts,
        })
    }

    /// Returns the next batch of slots in ascending order, or `None` if there are no more.
    ///
    /// All batches take one walk. The user calls either this or [`next_batch`](Self::next_batch).
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    pub(crate) fn next_ascending(&mut self) -> Option<&[usize]> {
        if self.len() == 0 {
            return None;
        }
        self.grow();
        let batch = match &mut self.batch {
            Some(batch) => &mut batch[..],
            None => &mut self.small_batch[..],
        };
        let mut len = 0;
        for range in self.ranges {
            if len == batch.len() {
                break;
            }
            let range = range.start.max(self.next)..range.end.min(self.end);
            self.table.for_each(range, |index, slot| {
                let Some(entry) = batch.get_mut(len) else {
                    return false;
                };
                self.next = index + 1;
                if let Some(size) = slot.object_size().filter(|_| slot.is_selected()) {
                    *entry = index;
                    len += 1;
                    if let Some(left) = self.histogram.0.get_mut(bucket(size)) {
                        *left = left.saturating_sub(1);
                    }
                }
                true
            });
        }
        if len == 0 {
            // Those that are counted still are no longer selected.
            self.histogram.0 = [0; BUCKETS];
            return None;
        }
        batch.get(..len)
    }

    /// Drops the selector without a walk if all slots were in a batch. Any context; does not sleep
    /// then.
    ///
    /// The user must have cleared the marks of the slots in all batches.
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
        // At least one bucket, even if it does not fit.
        histogram.0[5] = 1000;
        assert_eq!(histogram.top(10), Some(5..6));
        assert_eq!(histogram.top(1000), Some(0..6));
    }

    /// Creates a table whose slot `i` has an object of size `sizes[i]`, in 4096ths of a page.
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

    /// Takes all batches of a selector as post-processing does, and returns the order of the slots.
    fn order(selector: &mut Selector<'_>, table: &Table) -> Result<KVec<usize>> {
        let mut order = KVec::new();
        while let Some(batch) = selector.next_batch() {
            for &index in batch.slots {
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
        // Of one bucket, the slots with the highest indices come first.
        let order = order(&mut selector, &table)?;
        assert_eq!(order[..], [4, 1, 6, 3, 2, 0, 5]);
        selector.done();
        Ok(())
    }

    #[test]
    fn ascending() -> Result {
        let mut sizes = KVec::new();
        for index in 0..3 * SMALL_BATCH + 5 {
            sizes.push(1 + index * 37 % 4096, GFP_KERNEL)?;
        }
        let table = table(&sizes)?;
        let ranges = [
            1..7,
            7..8,
            10..2 * SMALL_BATCH,
            2 * SMALL_BATCH + 3..sizes.len(),
        ];
        // In small batches, and in one.
        for max in [SMALL_BATCH, BATCH] {
            let mut selector = Selector::new(&table, &ranges, |_| true, || Ok(()))?;
            selector.max = max;
            // An access deselects the slot.
            table.lock(20).ok_or(EINVAL)?.touch(1);
            let mut wanted = ranges
                .iter()
                .cloned()
                .flatten()
                .filter(|&index| index != 20);
            while let Some(batch) = selector.next_ascending() {
                assert!(batch.len() >= 1 && batch.len() <= max);
                for &index in batch {
                    assert_eq!(Some(index), wanted.next());
                    table.lock(index).ok_or(EINVAL)?.set_selected(false);
                }
            }
            assert_eq!(wanted.next(), None);
            assert_eq!(selector.len(), 0);
            selector.done();
        }
        Ok(())
    }

    #[test]
    fn small_batches() -> Result {
        // More slots of one size than a batch can have, and slots of other sizes.
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
        // Of the batches of size 1000, one begins in the last range, one within the first range.
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
        // A batch ends within a size, and a larger batch continues there.
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
            for &index in batch.slots.iter().filter(|&&index| index < sizes.len()) {
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
        // An access deselects the slot.
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
        // Also after batches that were not used: one, all, and a call beyond the last batch.
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
