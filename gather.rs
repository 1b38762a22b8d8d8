// SPDX-License-Identifier: GPL-2.0

//! Reads of the backing device on behalf of a bio, as few requests as there can be.
//!
//! The pages of a bio that are on the device are gathered, and sorted by their blocks: neighbours
//! of a bio may lie apart from each other, or in another order. Pages in one block, or in blocks
//! that follow one another, are a run, and become one request. Gathering takes free memory only:
//! without any, each page is a request.

use crate::{
    abstractions::{
        alloc::{
            pages::PagePool,
            Gfp, //
        },
        block::{
            bdev::{
                ReadDevice,
                ReadRun, //
            },
            bio::SegmentCompletion,
            gendisk::QueueEntered, //
        },
    },
    backing::{
        blocks::PinnedBlock,
        read::{
            DeviceRead,
            ReadTarget,
            StoredForm, //
        },
    },
    store::Store, //
};
use kernel::prelude::*;

/// The pinned block that a page is in, and the form of the page there; `None` if it cannot be read
/// yet.
pub(crate) type Found = Option<(PinnedBlock, StoredForm)>;

/// Maximum number of reads that are gathered at a time, a power of two.
const WINDOW: usize = 256;

/// Reads of the backing device that have not been submitted.
///
/// Their blocks are pinned. Those that need bounce pages do not have them yet.
pub(crate) struct Gathered {
    /// The reads; `None` if it was submitted.
    reads: KVec<Option<DeviceRead>>,
    /// For each read, the number of its block, and in the lowest bits its index, in ascending
    /// order.
    order: KVec<usize>,
}

/// # Context
///
/// Methods may sleep.
impl Gathered {
    pub(crate) fn new() -> Self {
        Self {
            reads: KVec::new(),
            order: KVec::new(),
        }
    }

    /// Adds the read of a page, which `completion` waits for, or submits it at once. The bio has
    /// `more` pages, which may be on the device, too.
    pub(crate) fn add(
        &mut self,
        this: &QueueEntered<'_, Store>,
        completion: SegmentCompletion,
        target: ReadTarget,
        found: Found,
        more: usize,
    ) {
        let Some((block, form)) = found else {
            // This may wait for a read that waits until one of these blocks is unpinned.
            self.submit(this);
            return Store::read_back(this, completion, target, None);
        };
        if self.reads.len() == WINDOW {
            self.submit(this);
        }
        let read = DeviceRead {
            completion,
            target,
            block: Some(block),
            form,
            began: this.events().latency.begin(),
        };
        if self.order.capacity() == 0 && more > 0 {
            let (room, flags) = ((1 + more).min(WINDOW), Gfp::NOWAIT.for_collections());
            self.reads = KVec::with_capacity(room, flags).unwrap_or_default();
            self.order = KVec::with_capacity(room, flags).unwrap_or_default();
        }
        let key = key(number(&read), self.reads.len());
        let at = self.order.partition_point(|&other| other < key);
        // With memory for one of them only, there is no room in the other.
        if self.reads.len() == self.reads.capacity()
            || self.order.insert_within_capacity(at, key).is_err()
        {
            self.submit(this);
            return Store::submit_read(this, read);
        }
        if let Err(error) = self.reads.push_within_capacity(Some(read)) {
            if let Some(read) = error.0 {
                Store::submit_read(this, read);
            }
        }
    }

    /// Submits all reads.
    ///
    /// Those without memory to read into come last: they may wait for reads that wait until the
    /// blocks of the others are unpinned and their bounce pages are free.
    pub(crate) fn submit(&mut self, this: &QueueEntered<'_, Store>) {
        let device = this.backing().map(|backing| backing.source.device());
        let max_blocks = device.map_or(1, |device| device.max_request_pages());
        let mut at = 0;
        while let Some(len) = self.run_at(at, max_blocks) {
            if len == 1 || !self.submit_run(this, at, len) {
                for at in at..at + len {
                    if let Some(read) = self.take(at) {
                        match Store::with_memory(this, read) {
                            Ok(read) => Store::submit_ready(this, read),
                            Err(read) => self.put_back(at, read),
                        }
                    }
                }
            }
            at += len;
        }
        self.order.clear();
        for read in &mut self.reads {
            if let Some(read) = read.take() {
                ReadDevice::find(this.queue_ref(), read);
            }
        }
        self.reads.clear();
    }

    /// Returns the place of a read, by its place in the order.
    fn place(&mut self, at: usize) -> Option<&mut Option<DeviceRead>> {
        let index = self.order.get(at)? % WINDOW;
        self.reads.get_mut(index)
    }

    /// Takes a read that has a block, by its place in the order.
    fn take(&mut self, at: usize) -> Option<DeviceRead> {
        self.place(at)?.take_if(|read| read.block.is_some())
    }

    /// Puts back a read that does not have a block any more, by its place in the order.
    fn put_back(&mut self, at: usize, read: DeviceRead) {
        if let Some(place) = self.place(at) {
            *place = Some(read);
        }
    }

    /// Returns the number of reads of a run that begins at this place in the order and has at most
    /// `max_blocks` blocks, or `None` at the end.
    fn run_at(&self, at: usize, max_blocks: usize) -> Option<usize> {
        let order = self.order.get(at..)?;
        length_of_run(order, max_blocks, |index| self.shares_block(index))
    }

    /// Returns whether a read may get the memory of another one of the same block.
    fn shares_block(&self, index: usize) -> bool {
        let read = self.reads.get(index).and_then(Option::as_ref);
        read.is_some_and(|read| read.form.is_compressed())
    }

    /// Submits the `len` reads at this place in the order as a run, and returns `true`, as far as
    /// there is memory for that.
    fn submit_run(&mut self, this: &QueueEntered<'_, Store>, at: usize, len: usize) -> bool {
        let Some(key) = self.order.get(at) else {
            return false;
        };
        let mut last = key / WINDOW;
        let Ok(mut run) = ReadRun::new(this.queue_ref(), last, len) else {
            return false;
        };
        let mut blocks = 0;
        let mut all = true;
        for at in at..at + len {
            let Some(mut read) = self.take(at) else { break };
            let block = number(&read);
            let pushed = if blocks > 0 && block == last {
                if let ReadTarget::Page = read.target {
                    read.target = ReadTarget::Shared;
                }
                run.as_mut().push_sharing(read)
            } else {
                match Store::with_memory(this, read) {
                    Ok(read) => {
                        blocks += 1;
                        run.as_mut().push(read)
                    }
                    Err(read) => {
                        self.put_back(at, read);
                        all = false;
                        break;
                    }
                }
            };
            if let Err(read) = pushed {
                Store::submit_read(this, read);
                all = false;
                break;
            }
            last = block;
        }
        if blocks > 0 {
            this.stats.bd_reads.add(blocks);
            ReadRun::submit(run, at + len < self.order.len());
        }
        all
    }
}

/// Returns what orders a read by the number of its block, and then by its index.
fn key(number: usize, index: usize) -> usize {
    number * WINDOW + index
}

/// Returns how many of these keys, which ascend, are the first run, of at most `max_blocks` blocks;
/// or `None` if there are none.
///
/// A read may be in the block of the read before it if `shares_block` returns `true` for its index.
fn length_of_run(
    keys: &[usize],
    max_blocks: usize,
    shares_block: impl Fn(usize) -> bool,
) -> Option<usize> {
    let first = keys.first()? / WINDOW;
    let mut last = first;
    let follows = |key: &&usize| {
        let number = *key / WINDOW;
        let follows = match number - last {
            0 => shares_block(*key % WINDOW),
            distance => distance == 1 && number - first < max_blocks,
        };
        last = number;
        follows
    };
    let most = ReadRun::<DeviceRead>::MAX - 1;
    Some(1 + keys.iter().skip(1).take(most).take_while(follows).count())
}

/// Returns the number of the block of a read that was gathered.
fn number(read: &DeviceRead) -> usize {
    read.block.as_ref().map_or(0, PinnedBlock::number)
}

/// Single reads.
///
/// # Context
///
/// Methods may sleep unless they say otherwise.
impl Store {
    /// Submits the read of a page from the backing device, which `completion` waits for.
    ///
    /// [`readback`](crate::readback) does the rest. It also waits until a block can be pinned that
    /// was not, and until there is a bounce page. This task must not wait: the reads that it has
    /// submitted begin when it has returned, and may be those that it would wait for.
    pub(crate) fn read_back(
        this: &QueueEntered<'_, Self>,
        completion: SegmentCompletion,
        target: ReadTarget,
        found: Found,
    ) {
        let (block, form) = match found {
            Some((block, form)) => (Some(block), form),
            None => (None, StoredForm::Raw),
        };
        let read = DeviceRead {
            completion,
            target,
            block,
            form,
            began: this.events().latency.begin(),
        };
        Self::submit_read(this, read);
    }

    /// Submits a read, or leaves it to a worker that finds its block, or waits for memory.
    fn submit_read(this: &QueueEntered<'_, Self>, read: DeviceRead) {
        match Self::with_memory(this, read) {
            Ok(read) => Self::submit_ready(this, read),
            Err(read) => ReadDevice::find(this.queue_ref(), read),
        }
    }

    /// Submits a read of a pinned block that has the memory to read into.
    fn submit_ready(this: &QueueEntered<'_, Self>, read: DeviceRead) {
        this.stats.bd_reads.add(1);
        ReadDevice::read(this.queue_ref(), number(&read), read);
    }

    /// Returns a read with the memory to read into.
    ///
    /// # Errors
    ///
    /// Its block is not pinned, or there is no memory: returns the read without a block.
    #[inline(always)]
    fn with_memory(
        this: &QueueEntered<'_, Self>,
        mut read: DeviceRead,
    ) -> Result<DeviceRead, DeviceRead> {
        if let ReadTarget::Page | ReadTarget::Shared = read.target {
            let found = read.block.take().map(|block| (block, read.form));
            let (target, found) = this.target(found);
            read.target = target;
            read.block = found.map(|(block, _)| block);
        }
        match read.block {
            Some(_) => Ok(read),
            None => Err(read),
        }
    }

    /// Returns what a block is read to for a bio that reads a whole page, along with the block.
    ///
    /// A packed block needs a bounce page. Without one, the block is unpinned, and left to be found
    /// again. Does not sleep.
    #[inline(always)]
    pub(crate) fn target(&self, found: Found) -> (ReadTarget, Found) {
        match (self.bounces(), found) {
            (Some(bounces), Some((block, form))) if form.is_compressed() => {
                match PagePool::alloc(bounces) {
                    Some(page) => (ReadTarget::Bounce(page), Some((block, form))),
                    None => {
                        self.unpin(block);
                        (ReadTarget::Page, None)
                    }
                }
            }
            (_, found) => (ReadTarget::Page, found),
        }
    }
}

#[kunit_tests(zram_rs_gather)]
mod tests {
    use super::*;

    const MAX: usize = ReadRun::<DeviceRead>::MAX;

    /// Returns the lengths of the runs that reads of these blocks are divided into, as a device
    /// gets them that takes `max_blocks` at a time. Reads with an odd index may share a block.
    fn runs(blocks: impl Iterator<Item = usize>, max_blocks: usize) -> Result<KVec<usize>> {
        let mut keys = KVec::new();
        for (index, number) in blocks.enumerate() {
            keys.push(key(number, index), GFP_KERNEL)?;
        }
        keys.sort_unstable();
        let mut runs = KVec::new();
        let mut left = keys.as_slice();
        while let Some(length) = length_of_run(left, max_blocks, |index| index % 2 != 0) {
            runs.push(length, GFP_KERNEL)?;
            left = left.get(length..).ok_or(EINVAL)?;
        }
        Ok(runs)
    }

    fn runs_of(blocks: &[usize], max_blocks: usize) -> Result<KVec<usize>> {
        runs(blocks.iter().copied(), max_blocks)
    }

    #[test]
    fn neighbours_are_one_run() -> Result {
        assert_eq!(runs_of(&[], MAX)?.as_slice(), &[] as &[usize]);
        assert_eq!(runs_of(&[0], MAX)?.as_slice(), &[1]);
        assert_eq!(runs_of(&[7, 8, 9, 10], MAX)?.as_slice(), &[4]);
        // In any order of the pages on the disk.
        assert_eq!(runs_of(&[10, 7, 9, 8], MAX)?.as_slice(), &[4]);
        Ok(())
    }

    #[test]
    fn a_hole_ends_a_run() -> Result {
        assert_eq!(runs_of(&[1, 2, 4, 5, 6], MAX)?.as_slice(), &[2, 3]);
        assert_eq!(runs_of(&[1, 3, 5], MAX)?.as_slice(), &[1, 1, 1]);
        assert_eq!(runs_of(&[9, 2, 1, 8], MAX)?.as_slice(), &[2, 2]);
        Ok(())
    }

    #[test]
    fn a_run_is_no_larger_than_the_device_takes() -> Result {
        assert_eq!(runs(0..7, 3)?.as_slice(), &[3, 3, 1]);
        assert_eq!(runs(0..4, 4)?.as_slice(), &[4]);
        assert_eq!(runs(0..3, 1)?.as_slice(), &[1, 1, 1]);
        // Pages in one block count once.
        assert_eq!(runs_of(&[5, 5, 6, 6, 7], 2)?.as_slice(), &[4, 1]);
        Ok(())
    }

    #[test]
    fn a_run_has_at_most_as_many_reads_as_fit() -> Result {
        assert_eq!(runs(0..MAX, usize::MAX)?.as_slice(), &[MAX]);
        assert_eq!(runs(0..2 * MAX + 1, usize::MAX)?.as_slice(), &[MAX, MAX, 1]);
        let halves = (0..2 * MAX).map(|index| index / 2);
        assert_eq!(runs(halves, usize::MAX)?.as_slice(), &[MAX, MAX]);
        Ok(())
    }

    #[test]
    fn pages_share_a_block_if_they_may() -> Result {
        assert_eq!(runs_of(&[3, 3], MAX)?.as_slice(), &[2]);
        // The second of these, and the fourth.
        assert_eq!(runs_of(&[3, 3, 3, 3], MAX)?.as_slice(), &[2, 2]);
        assert_eq!(runs_of(&[2, 3, 4, 4], MAX)?.as_slice(), &[4]);
        assert_eq!(runs_of(&[2, 3, 3, 4], MAX)?.as_slice(), &[2, 2]);
        Ok(())
    }

    #[test]
    fn keys_have_room_for_all_reads_of_a_window() {
        for number in [0, 1, usize::MAX / WINDOW] {
            for index in [0, 1, WINDOW - 1] {
                assert_eq!(key(number, index) / WINDOW, number);
                assert_eq!(key(number, index) % WINDOW, index);
            }
        }
    }
}
