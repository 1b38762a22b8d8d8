// SPDX-License-Identifier: GPL-2.0

//! The hot path: reads and writes pages.
//!
//! A page is compressed before its slot is locked, and the old content of the slot is freed after
//! the slot is unlocked: with the lock held, the two are exchanged.

use crate::{
    abstractions::{
        alloc::Gfp,
        block::{
            bio::{
                Bio,
                PageSegment,
                SinglePageBio, //
            },
            gendisk::QueueEntered, //
        },
        page::{
            MappedPage,
            OwnedPage,
            PageRef, //
        },
        sched::boottime_seconds,
        tracepoint, //
    },
    backing::{
        blocks::PinnedBlock,
        read::{
            ReadTarget,
            StoredForm, //
        },
    },
    comp::{
        HelpMarks,
        Priority, //
    },
    gather::{
        Found,
        Gathered, //
    },
    slot::{
        Content,
        SlotGuard,
        View, //
    },
    spread::{
        self,
        Outcome, //
    },
    stats::Footprint,
    store::Store, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// The outcome of reading a page.
pub(crate) enum ReadOutcome {
    /// The page was in memory, and the read is done.
    Done,
    /// The page is in this block of the backing device, in this form.
    OnDevice(PinnedBlock, StoredForm),
    /// The page is on the backing device, in a block that has as many reads as can be counted, or
    /// there is no bounce page for it.
    Busy,
}

/// Bios and pages.
///
/// # Context
///
/// Methods may sleep unless they say otherwise. A time is that of the access, in seconds since
/// boot.
impl Store {
    /// Reads the pages that a bio asks for.
    pub(crate) fn read_bio(this: &QueueEntered<'_, Self>, mut bio: Bio<'_>) {
        bio.start_accounting();
        let now = boottime_seconds();
        let mut bio = match bio.into_single_page() {
            Ok(single) => return Self::read_single_page(this, single, now),
            Err(bio) => bio,
        };
        let mut gathered = Gathered::new();
        let (start, len) = bio.range();
        let last = (start + len as u64).saturating_sub(1) >> PAGE_SHIFT;
        let mut read = |segment: &PageSegment<'_>| {
            if let Some((target, found)) = Self::read_segment(this, segment, now)? {
                let more = (last as usize).saturating_sub(segment.index);
                gathered.add(this, segment.completion(), target, found, more);
            }
            Ok(())
        };
        let is_shared = spread::is_large(len, HelpMarks::LEAST.decompress)
            && this
                .mark_for_reading((start >> PAGE_SHIFT) as usize)
                .is_some_and(|mark| len >= mark);
        let result = if is_shared {
            let store: &Self = this;
            let own = |segment: &PageSegment<'_>| store.read_from_memory(segment, now, false);
            let help = |segment: &PageSegment<'_>| store.read_from_memory(segment, now, true);
            spread::for_each_page(&this.helpers, bio.page_segments(), own, help, read)
        } else {
            bio.page_segments().try_for_each(|segment| read(&segment))
        };
        gathered.submit(this);
        if result.is_err() {
            this.stats.failed_reads.add(1);
            bio.fail();
        }
    }

    /// Reads the only page that a bio asks for: the bio becomes the completion, so that no one has
    /// to be counted.
    #[inline(always)]
    fn read_single_page(this: &QueueEntered<'_, Self>, mut bio: SinglePageBio<'_>, now: u32) {
        match Self::read_segment(this, bio.segment(), now) {
            Ok(None) => (),
            Ok(Some((target, found))) => {
                Self::read_back(this, bio.into_completion(), target, found);
            }
            Err(_) => {
                this.stats.failed_reads.add(1);
                bio.fail();
            }
        }
    }

    /// Writes the pages of a bio.
    pub(crate) fn write_bio(this: &QueueEntered<'_, Self>, bio: &mut Bio<'_>) {
        bio.start_accounting();
        let now = boottime_seconds();
        let (_, len) = bio.range();
        let is_shared = spread::is_large(len, HelpMarks::LEAST.compress)
            && this.mark_for_writing().is_some_and(|mark| len >= mark);
        let result = if is_shared {
            Self::write_large_bio(this, bio, now)
        } else {
            bio.page_segments()
                .try_for_each(|segment| Self::write_segment(this, &segment, now))
        };
        if let Err(error) = result {
            this.stats.failed_writes.add(1);
            match error {
                // The limit is reached, which a file system bears better than an I/O error.
                ENOSPC => bio.fail_no_space(),
                _ => bio.fail(),
            }
        }
    }

    /// Writes the pages of a large bio.
    #[inline(never)]
    fn write_large_bio(this: &QueueEntered<'_, Self>, bio: &Bio<'_>, now: u32) -> Result {
        let mut segments = bio.page_segments();
        let write = |segment: &PageSegment<'_>| Self::write_segment(this, segment, now);
        // The order of the pages decides which of them still fit into the limit.
        if this.is_near_limit(segments.count_left()) {
            return segments.try_for_each(|segment| write(&segment));
        }
        let own = |segment: &PageSegment<'_>| write(segment).map(|()| Outcome::Done);
        let (store, gfp): (&Self, _) = (this, Gfp::for_helper());
        let help = |segment: &PageSegment<'_>| store.help_write(segment, now, gfp);
        spread::for_each_page(&this.helpers, segments, own, help, write)
    }

    /// Writes a segment of a bio if it is a whole page, with memory that `gfp` finds, and without
    /// waiting for another task.
    fn help_write(&self, segment: &PageSegment<'_>, now: u32, gfp: Gfp) -> Result<Outcome> {
        let Some(page) = segment.whole_page() else {
            return Ok(Outcome::Left);
        };
        match self.write_with(segment.index, page, now, gfp, true) {
            Ok(()) => Ok(Outcome::Done),
            Err(EAGAIN | ENOMEM | ENOSPC) => Ok(Outcome::Ended),
            Err(error) => Err(error),
        }
    }

    /// Reads a segment of a bio if it is a whole page that is in memory; `at_once`, without waiting
    /// for another task.
    #[inline(always)]
    fn read_from_memory(
        &self,
        segment: &PageSegment<'_>,
        now: u32,
        at_once: bool,
    ) -> Result<Outcome> {
        let Some(page) = segment.whole_page() else {
            return Ok(Outcome::Left);
        };
        let mut slot = match self.lock_slot(segment.index, at_once) {
            Err(EAGAIN) => return Ok(Outcome::Left),
            slot => slot?,
        };
        if let View::WrittenBack { .. } = slot.view() {
            return Ok(Outcome::Left);
        }
        match self.read_slot(&slot, segment.index, page, at_once) {
            Err(EAGAIN) => return Ok(Outcome::Ended),
            result => result?,
        };
        slot.touch(now);
        drop(slot);
        page.flush_dcache();
        Ok(Outcome::Done)
    }

    /// Returns from how many bytes on it pays to share a write.
    fn mark_for_writing(&self) -> Option<usize> {
        let streams = self.streams.get(Priority::PRIMARY)?;
        Some(streams.help_marks().compress)
    }

    /// Returns from how many bytes on it pays to share a read whose first page has this index, or
    /// `None` if that page is not in memory or not compressed. The others often are like it.
    fn mark_for_reading(&self, first: usize) -> Option<usize> {
        let slot = self.table.lock(first)?;
        let View::Stored { priority, .. } = slot.view() else {
            return None;
        };
        let streams = self.streams.get(priority)?;
        Some(streams.help_marks().decompress)
    }

    /// Reads a segment of a bio from memory, or returns what must be read from the backing device,
    /// and to where.
    #[inline(always)]
    fn read_segment(
        this: &Self,
        segment: &PageSegment<'_>,
        now: u32,
    ) -> Result<Option<(ReadTarget, Found)>> {
        if let Some(page) = segment.whole_page() {
            let found = match this.read(segment.index, page, now)? {
                ReadOutcome::Done => {
                    page.flush_dcache();
                    return Ok(None);
                }
                ReadOutcome::OnDevice(block, form) => Some((block, form)),
                ReadOutcome::Busy => None,
            };
            return Ok(Some((ReadTarget::Page, found)));
        }
        let copy = OwnedPage::new(Gfp::NOIO)?;
        match this.read(segment.index, copy.as_page(), now)? {
            ReadOutcome::Done => {
                let page = copy.as_page();
                let page = page.map();
                segment.copy_from(&page).map(|()| None)
            }
            ReadOutcome::OnDevice(block, form) => {
                Ok(Some((ReadTarget::Copy(copy), Some((block, form)))))
            }
            ReadOutcome::Busy => Ok(Some((ReadTarget::Copy(copy), None))),
        }
    }

    /// Writes a segment of a bio; the backing device must be read first if the segment is a part of
    /// a page that is there.
    fn write_segment(this: &QueueEntered<'_, Self>, segment: &PageSegment<'_>, now: u32) -> Result {
        if let Some(page) = segment.whole_page() {
            return this.write(segment.index, page, now);
        }
        let copy = OwnedPage::new(Gfp::NOIO)?;
        if segment.covers_page() {
            let page = copy.as_page();
            segment.copy_to(&page.map())?;
            return this.write(segment.index, page, now);
        }
        let found = match this.write_part(segment, copy.as_page(), now)? {
            ReadOutcome::Done => return Ok(()),
            ReadOutcome::OnDevice(block, form) => Some((block, form)),
            ReadOutcome::Busy => None,
        };
        Self::read_back(this, segment.completion(), ReadTarget::Merge(copy), found);
        Ok(())
    }

    /// Reads a page from memory, or returns where it is.
    pub(crate) fn read(&self, index: usize, page: PageRef<'_>, now: u32) -> Result<ReadOutcome> {
        let (outcome, mut slot) = self.read_locked(index, page)?;
        slot.touch(now);
        Ok(outcome)
    }

    /// Reads a page from memory, or returns where it is, and keeps its slot locked.
    #[inline(always)]
    fn read_locked(&self, index: usize, page: PageRef<'_>) -> Result<(ReadOutcome, SlotGuard<'_>)> {
        let slot = self.table.lock(index).ok_or(EIO)?;
        let outcome = self.read_slot(&slot, index, page, false)?;
        Ok((outcome, slot))
    }

    /// Locks a slot; `at_once`, without waiting for another task, or `EAGAIN`.
    #[inline(always)]
    fn lock_slot(&self, index: usize, at_once: bool) -> Result<SlotGuard<'_>> {
        match at_once {
            true => self.table.try_lock(index).ok_or(EAGAIN),
            false => self.table.lock(index).ok_or(EIO),
        }
    }

    /// Reads the page of a locked slot from memory, or returns where it is; `at_once`, without
    /// waiting for another task, or `EAGAIN`.
    #[inline(always)]
    fn read_slot(
        &self,
        slot: &SlotGuard<'_>,
        index: usize,
        page: PageRef<'_>,
        at_once: bool,
    ) -> Result<ReadOutcome> {
        match slot.view() {
            View::Empty => page.map().fill(0),
            View::Same(word) => page.map().fill(word),
            View::Huge { object } => object.read_page(&page.map()),
            View::Stored { object, priority } => {
                self.decompress(object, priority, &page.map(), index, at_once)?;
            }
            View::WrittenBack { location, priority } => {
                let form = self.stored_form(location, priority);
                let outcome = match self.backing().ok_or(EIO)?.blocks.pin(location.block()) {
                    Some(block) => ReadOutcome::OnDevice(block, form),
                    None => ReadOutcome::Busy,
                };
                return Ok(outcome);
            }
        }
        tracepoint::slot_read(|| {
            let size = slot.object_size().unwrap_or(0) as u32;
            (self.events().dev(), slot.index(), size)
        });
        Ok(ReadOutcome::Done)
    }

    /// Writes a page; if that fails, the slot keeps its content.
    fn write(&self, index: usize, page: PageRef<'_>, now: u32) -> Result {
        self.write_with(index, page, now, Gfp::NOIO, false)
    }

    /// Writes a page, with memory that `gfp` finds; `at_once`, without waiting for another task, or
    /// `EAGAIN`. If that fails, the slot keeps its content.
    #[inline(always)]
    fn write_with(
        &self,
        index: usize,
        page: PageRef<'_>,
        now: u32,
        gfp: Gfp,
        at_once: bool,
    ) -> Result {
        let node = page.node();
        let page = page.map();
        let content = match self.shrink(&page, node, gfp, at_once)? {
            Some(content) => content,
            None if self.rewrite_huge(index, &page, now, at_once)? => return Ok(()),
            None => self.keep_whole(&page, node, gfp)?,
        };
        let slot = self.lock_slot(index, at_once)?;
        self.put(slot, content, now);
        Ok(())
    }

    /// Writes an incompressible page over another one in the object of the latter and returns
    /// `true`, or returns `false` if the slot has no such page; `at_once`, without waiting for
    /// another task, or `EAGAIN`.
    fn rewrite_huge(
        &self,
        index: usize,
        page: &MappedPage<'_>,
        now: u32,
        at_once: bool,
    ) -> Result<bool> {
        // With a limit, a write allocates before it frees.
        if self.is_limited() {
            return Ok(false);
        }
        let mut slot = self.lock_slot(index, at_once)?;
        if !slot.is_huge() {
            return Ok(false);
        }
        let mut content = slot.replace(Content::Empty);
        if let Content::Huge { object } = &mut content {
            object.write_page(page, 0);
        }
        // The slot was empty meanwhile.
        let _ = slot.replace(content);
        slot.touch(now);
        tracepoint::slot_write(|| (self.events().dev(), index, PAGE_SIZE as u32));
        drop(slot);
        self.stats.count(Footprint::HUGE, Footprint::HUGE);
        // C zram allocates the new object before it frees the old one, and counts both.
        self.stats.note_used_pages(self.pool().pages() + 1);
        Ok(true)
    }

    /// Writes a part of a page, merged in `page`, if the rest is in memory; otherwise returns where
    /// the rest is. If that fails, the slot keeps its content.
    ///
    /// The slot is locked from reading the page to replacing it, so that writes of other parts of
    /// the page come before or after.
    pub(crate) fn write_part(
        &self,
        segment: &PageSegment<'_>,
        page: PageRef<'_>,
        now: u32,
    ) -> Result<ReadOutcome> {
        let (outcome, slot) = self.read_locked(segment.index, page)?;
        if let ReadOutcome::Done = outcome {
            let node = page.node();
            let page = page.map();
            segment.copy_to(&page)?;
            self.put(slot, self.compress(&page, node)?, now);
        }
        Ok(outcome)
    }

    /// Writes a page that was merged from a part and `block` and returns `true`, or returns `false`
    /// if the page is not in that block any more. If that fails, the slot keeps its content.
    ///
    /// The block has been pinned since the slot had it, so it holds no other page.
    pub(crate) fn write_merged(
        &self,
        index: usize,
        page: PageRef<'_>,
        block: &PinnedBlock,
        now: u32,
    ) -> Result<bool> {
        let content = self.compress(&page.map(), page.node())?;
        let slot = self
            .table
            .lock(index)
            .filter(|slot| slot.is_in(block.number()));
        let Some(slot) = slot else { return Ok(false) };
        self.put(slot, content, now);
        Ok(true)
    }
}

#[kunit_tests(zram_rs_io)]
mod tests {
    use super::*;
    use crate::{
        abstractions::{
            block::bio::with_test_segments,
            cpu::cpuhp::PrepareState,
            helpers::Helpers,
            kunit::Tasks, //
        },
        comp::{
            Algorithm,
            AllStreams,
            CompConfig,
            HotplugState, //
        },
        events::Events,
        store::Parts,
        zspool::Pool, //
    };
    use kernel::{
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        time::Msecs, //
    };

    const PAGES: usize = 8;
    const TIMEOUT: Msecs = 20_000;

    /// A kind of page.
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Same,
        Compressible,
        Incompressible,
    }

    const KINDS: [Kind; 3] = [Kind::Same, Kind::Compressible, Kind::Incompressible];

    impl Kind {
        fn fill(self, page: &MappedPage<'_>) {
            page.fill(0);
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            for at in (0..PAGE_SIZE).step_by(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                match self {
                    Kind::Same => (),
                    Kind::Compressible => page.write(at, &[1, 2, 3, (at / 512) as u8]),
                    Kind::Incompressible => page.write(at, &state.to_ne_bytes()),
                }
            }
        }
    }

    /// Creates a store that compresses with an algorithm.
    fn new_store(algorithm: Algorithm) -> Result<impl PinInit<Store, Error>> {
        let mut config = CompConfig::default();
        config.set_algorithm(Priority::PRIMARY, algorithm);
        let hotplug = HotplugState::new(PrepareState::Dynamic, c"zram_rs_kunit")?;
        let parts = Parts {
            pool: Pool::new(c"zram_rs_kunit")?,
            streams: AllStreams::new(&config, &Arc::new(hotplug, GFP_KERNEL)?)?,
            helpers: Arc::new(Helpers::new(c"zram_rs_kunit")?, GFP_KERNEL)?,
            events: Arc::new(Events::new(0), GFP_KERNEL)?,
        };
        Ok(Store::new(PAGES, parts, false, false))
    }

    /// Calls `f` with the segments of a bio of as many pages as a store has. All of them have the
    /// same memory.
    fn with_segments(f: impl FnMut(&PageSegment<'_>, PageRef<'_>) -> Result) -> Result {
        let mut f = f;
        with_test_segments(PAGES as u16, |segments| {
            for segment in segments {
                f(&segment, segment.whole_page().ok_or(EINVAL)?)?;
            }
            Ok(())
        })?
    }

    /// A store whose pages a task processes as a helper does.
    #[pin_data]
    struct Helped {
        #[pin]
        store: Store,
        /// How many outcomes were the expected ones.
        right: Atomic<usize>,
        /// How many were others.
        wrong: Atomic<usize>,
    }

    impl Helped {
        fn new() -> Result<Arc<Tasks<Self>>> {
            let store = new_store(Algorithm::default())?;
            Tasks::new(try_pin_init!(Self {
                store <- store,
                right: Atomic::new(0),
                wrong: Atomic::new(0),
            }? Error))
        }

        fn note(&self, expectation: bool) {
            let count = if expectation {
                &self.right
            } else {
                &self.wrong
            };
            count.add(1, Relaxed);
        }
    }

    #[test]
    fn helpers_do_not_wait_for_slots() -> Result {
        const BUSY: usize = 3;
        let tasks = Helped::new()?;
        let slot = tasks.store.table.lock(BUSY).ok_or(EINVAL)?;
        tasks.spawn(|tasks| {
            let store = &tasks.store;
            let result = with_segments(|segment, page| {
                // Twice, so that each kind of page also replaces one of its own.
                for kind in [KINDS, KINDS].as_flattened() {
                    let (written, read) = match segment.index {
                        BUSY => (Outcome::Ended, Outcome::Left),
                        _ => (Outcome::Done, Outcome::Done),
                    };
                    for _ in 0..2 {
                        kind.fill(&page.map());
                        tasks.note(store.help_write(segment, 0, Gfp::NOIO)? == written);
                        tasks.note(store.read_from_memory(segment, 0, true)? == read);
                    }
                }
                Ok(())
            });
            tasks.note(result.is_ok());
        })?;
        let left = tasks.wait(TIMEOUT);
        drop(slot);
        assert_eq!((left, tasks.wait(TIMEOUT)), (0, 0));
        assert_eq!(tasks.wrong.load(Relaxed), 0);
        assert_eq!(tasks.right.load(Relaxed), PAGES * 2 * KINDS.len() * 4 + 1);
        Ok(())
    }

    /// A task that has the stream of its CPU stands for two tasks. It may move to another CPU
    /// before it asks for a stream again, and gets one then.
    #[test]
    fn helpers_do_not_wait_for_streams() -> Result {
        let tasks = Helped::new()?;
        tasks.spawn(|tasks| {
            let store = &tasks.store;
            let result = with_segments(|segment, page| {
                let streams = store.streams.get(Priority::PRIMARY).ok_or(EINVAL)?;
                Kind::Compressible.fill(&page.map());
                store.write(segment.index, page, 0)?;
                let is_busy = |f: &dyn Fn() -> Result<bool>| -> Result {
                    for _ in 0..1000 {
                        if streams.with(|_| f())? {
                            tasks.note(true);
                            return Ok(());
                        }
                    }
                    tasks.note(false);
                    Ok(())
                };
                is_busy(&|| Ok(store.read_from_memory(segment, 0, true)? == Outcome::Ended))?;
                let to = page.map();
                is_busy(&|| {
                    let done = store.decompress_from(&to, 0, 1, Priority::PRIMARY, &to, true);
                    Ok(matches!(done, Ok(false)))
                })?;
                for kind in [Kind::Compressible, Kind::Incompressible] {
                    kind.fill(&to);
                    is_busy(&|| Ok(store.help_write(segment, 0, Gfp::NOIO)? == Outcome::Ended))?;
                }
                Ok(())
            });
            tasks.note(result.is_ok());
        })?;
        assert_eq!(tasks.wait(TIMEOUT), 0);
        assert_eq!(tasks.wrong.load(Relaxed), 0);
        assert_eq!(tasks.right.load(Relaxed), PAGES * 4 + 1);
        Ok(())
    }

    /// Helpers take part in reads of compressed pages only, from the mark of the algorithm on.
    #[test]
    fn reads_are_shared_if_that_pays() -> Result {
        for &algorithm in Algorithm::ALL {
            let store = KBox::try_pin_init(new_store(algorithm)?, GFP_KERNEL)?;
            with_segments(|segment, page| {
                let Some(kind) = KINDS.get(segment.index) else {
                    return Ok(());
                };
                kind.fill(&page.map());
                store.write(segment.index, page, 0)
            })?;
            let marks = algorithm.help_marks();
            assert!(marks.compress >= HelpMarks::LEAST.compress);
            assert!(marks.decompress >= HelpMarks::LEAST.decompress);
            for index in 0..PAGES {
                let is_compressed = KINDS.get(index) == Some(&Kind::Compressible);
                let mark = store.mark_for_reading(index);
                assert_eq!(mark, is_compressed.then_some(marks.decompress));
            }
        }
        Ok(())
    }
}
