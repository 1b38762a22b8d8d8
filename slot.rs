// SPDX-License-Identifier: GPL-2.0

//! The slot table: the state of each page of a disk.
//!
//! A slot takes 16 bytes, including a lock. A [`SlotGuard`] is a locked slot: it reads the slot as
//! a [`View`] and changes it by a [`Content`].

use crate::{
    abstractions::{
        sched::cond_resched,
        sync::bit_lock::{
            Drain,
            Guard,
            LockedTable, //
        },
    },
    backing::share::{
        Location,
        Share, //
    },
    comp::Priority,
    zspool::{
        Object,
        ObjectRef,
        Objects,
        Pool,
        Value,
        ValueRef, //
    },
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The content of a slot.
#[must_use]
pub(crate) enum Content<'a> {
    /// The page was never written, or was discarded, and reads as zeroes.
    Empty,
    /// The page consists of copies of this word, and takes no memory.
    Same(usize),
    /// The page is stored as a compressed object of less than `PAGE_SIZE` bytes.
    Stored {
        /// The object.
        object: Object<'a>,
        /// The priority of the algorithm that compressed it.
        priority: Priority,
    },
    /// The page does not compress well, and is stored as an object of `PAGE_SIZE` bytes.
    Huge {
        /// The object.
        object: Object<'a>,
    },
    /// The page is on the backing device.
    WrittenBack {
        /// The share of a block of the backing device.
        share: Share,
        /// The priority of the algorithm that compressed it in memory.
        priority: Priority,
    },
}

/// A borrowed [`Content`].
pub(crate) enum View<'a> {
    /// See [`Content::Empty`].
    Empty,
    /// See [`Content::Same`].
    Same(usize),
    /// See [`Content::Stored`].
    Stored {
        /// The object.
        object: ObjectRef<'a>,
        /// The priority of the algorithm that compressed it.
        priority: Priority,
    },
    /// See [`Content::Huge`].
    Huge {
        /// The object.
        object: ObjectRef<'a>,
    },
    /// See [`Content::WrittenBack`].
    WrittenBack {
        /// The location of the page on the backing device.
        location: Location,
        /// The priority of the algorithm that compressed it in memory.
        priority: Priority,
    },
}

/// The meaning of the value of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The value is an object, or a number that means that the slot is empty.
    Plain,
    /// The value is the word that fills the page.
    Same,
    /// The value is a position on the backing device; its note is the size of the page in memory.
    WrittenBack,
}

/// The bits that a slot has in addition to its value: kind, priority, marks and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SlotBits(usize);

impl SlotBits {
    const KIND_BITS: u32 = 2;
    const KIND_MASK: usize = (1 << Self::KIND_BITS) - 1;
    const PRIORITY_SHIFT: u32 = Self::KIND_BITS;
    const MARKS_SHIFT: u32 = Self::PRIORITY_SHIFT + Priority::BITS;
    const IDLE: usize = 1 << Self::MARKS_SHIFT;
    const SELECTED: usize = 2 << Self::MARKS_SHIFT;
    const INCOMPRESSIBLE: usize = 4 << Self::MARKS_SHIFT;
    const TRIED_SHIFT: u32 = Self::MARKS_SHIFT + 3;
    const TIME_SHIFT: u32 = Self::TRIED_SHIFT + Priority::BITS;
    const TIME_MASK: usize = u32::MAX as usize;
    const USED: u32 = Self::TIME_SHIFT + u32::BITS;

    /// Returns bits without marks, with a time of 0.
    const fn new(kind: Kind, priority: Priority) -> Self {
        Self(kind as usize | priority.number() << Self::PRIORITY_SHIFT)
    }

    const fn kind(self) -> Kind {
        match self.0 & Self::KIND_MASK {
            1 => Kind::Same,
            2 => Kind::WrittenBack,
            _ => Kind::Plain,
        }
    }

    const fn priority(self) -> Priority {
        Priority::from_bits(self.0 >> Self::PRIORITY_SHIFT)
    }

    /// Returns the highest priority with which recompression did not make the page smaller.
    const fn tried(self) -> Priority {
        Priority::from_bits(self.0 >> Self::TRIED_SHIFT)
    }

    const fn with_tried(self, priority: Priority) -> Self {
        let mask = (1 << Priority::BITS) - 1;
        Self(self.0 & !(mask << Self::TRIED_SHIFT) | priority.number() << Self::TRIED_SHIFT)
    }

    const fn has(self, mark: usize) -> bool {
        self.0 & mark != 0
    }

    /// Returns the bits with a mark set or cleared.
    const fn with(self, mark: usize, on: bool) -> Self {
        Self(if on { self.0 | mark } else { self.0 & !mark })
    }

    /// Returns the time of the last access, in seconds since boot.
    const fn time(self) -> u32 {
        (self.0 >> Self::TIME_SHIFT) as u32
    }

    const fn with_time(self, time: u32) -> Self {
        let others = self.0 & !(Self::TIME_MASK << Self::TIME_SHIFT);
        Self(others | (time as usize) << Self::TIME_SHIFT)
    }
}

impl<'a> Content<'a> {
    /// Splits the content into the value and the bits of a slot.
    fn encode(self) -> (Value<'a>, SlotBits) {
        match self {
            Content::Empty => (
                Value::Number(0, 0),
                SlotBits::new(Kind::Plain, Priority::PRIMARY),
            ),
            Content::Same(word) => (
                Value::Number(word, 0),
                SlotBits::new(Kind::Same, Priority::PRIMARY),
            ),
            Content::Stored { object, priority } => {
                (Value::Object(object), SlotBits::new(Kind::Plain, priority))
            }
            Content::Huge { object } => (
                Value::Object(object),
                SlotBits::new(Kind::Plain, Priority::PRIMARY),
            ),
            Content::WrittenBack { share, priority } => {
                let (position, size) = share.into_location().into_parts();
                (
                    Value::Number(position, size),
                    SlotBits::new(Kind::WrittenBack, priority),
                )
            }
        }
    }

    /// Combines the value and the bits of a slot to a content.
    fn decode(value: Value<'a>, bits: SlotBits) -> Self {
        match (value, bits.kind()) {
            (Value::Object(object), _) if object.size() == PAGE_SIZE => Content::Huge { object },
            (Value::Object(object), _) => Content::Stored {
                object,
                priority: bits.priority(),
            },
            (Value::Number(..), Kind::Plain) => Content::Empty,
            (Value::Number(word, _), Kind::Same) => Content::Same(word),
            (Value::Number(position, size), Kind::WrittenBack) => Content::WrittenBack {
                share: Share::from_location(Location::from_parts(position, size)),
                priority: bits.priority(),
            },
        }
    }
}

// The bits fit into an entry of the table.
const _: () = assert!(SlotBits::USED <= Guard::<Objects>::BITS);

/// What there is to free in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peek {
    /// Nothing: the slot is empty, and was not used since.
    Pristine,
    /// An object of this size.
    Object(usize),
    /// Something else, or nothing.
    Other,
}

/// The slots of a disk, and the pool of their objects.
#[pin_data]
pub(crate) struct Table {
    #[pin]
    slots: LockedTable<Objects>,
}

/// The slots of a disk that nothing else uses.
///
/// # Context
///
/// Any context except interrupts; [`free`](Self::free) does not sleep.
pub(crate) struct UnusedSlots<'a>(Drain<'a, Objects>);

impl UnusedSlots<'_> {
    /// Frees the object in a slot and empties the slot, if `is_mine` returns `true` for what there
    /// is to free.
    ///
    /// A block of the backing device keeps its user: the disk does not use the device any more.
    #[inline]
    pub(crate) fn free(&self, index: usize, is_mine: impl FnOnce(Peek) -> bool) {
        // An object frees itself.
        drop(self.0.take(index, |tag| is_mine(Peek::of(tag))));
    }
}

impl Peek {
    /// Returns what there is to free in a slot with this tag.
    #[inline]
    fn of(tag: usize) -> Self {
        Objects::size_of(tag).map_or(Self::Other, Self::Object)
    }
}

impl Table {
    /// Creates a table of `pages` empty slots for objects of `pool`.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the table, which frees all objects.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory, or `pages` is 0.
    pub(crate) fn new(pages: usize, pool: Pool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            slots <- LockedTable::new(pages, pool, c"zram_rs slot"),
        })
    }

    /// Returns the number of slots.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the pool of the slots' objects.
    ///
    /// # Context
    ///
    /// Any context.
    #[inline]
    pub(crate) fn pool(&self) -> &Pool {
        self.slots.context()
    }

    /// Locks a slot, or returns `None` if `index` is beyond the end of the table.
    ///
    /// # Context
    ///
    /// May sleep.
    #[inline]
    pub(crate) fn lock(&self, index: usize) -> Option<SlotGuard<'_>> {
        self.slots.lock(index).map(SlotGuard)
    }

    /// Locks a slot, or returns `None` if it is locked or `index` is beyond the end of the table.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    #[inline]
    pub(crate) fn try_lock(&self, index: usize) -> Option<SlotGuard<'_>> {
        self.slots.try_lock(index).map(SlotGuard)
    }

    /// Returns whether a slot is selected, and has not been accessed since. May sleep.
    pub(crate) fn is_selected(&self, index: usize) -> bool {
        self.lock(index).is_some_and(|slot| slot.is_selected())
    }

    /// Returns what there is to free in a slot.
    ///
    /// This does not lock the slot, which may change at any time.
    ///
    /// # Context
    ///
    /// Any context.
    #[inline]
    pub(crate) fn peek(&self, index: usize) -> Peek {
        match self.slots.peek(index) {
            None => Peek::Pristine,
            Some(tag) => Peek::of(tag),
        }
    }

    /// Returns the slots as those of a table that nothing else uses. Any context.
    pub(crate) fn unused(self: Pin<&mut Self>) -> UnusedSlots<'_> {
        UnusedSlots(self.project().slots.drain())
    }

    /// Deselects a slot. May sleep.
    pub(crate) fn deselect(&self, index: usize) {
        if let Some(mut slot) = self.lock(index) {
            slot.set_selected(false);
        }
    }

    /// Locks the slots of a range one by one and calls `f` with each, until `f` returns `false`.
    ///
    /// Ignores the part of the range that is beyond the end of the table.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn for_each(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(usize, SlotGuard<'_>) -> bool,
    ) {
        for index in range {
            let Some(slot) = self.lock(index) else { return };
            if !f(index, slot) {
                return;
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }

    /// Locks the slots of a range one by one in descending order and calls `f` with each, until `f`
    /// returns `false`.
    ///
    /// Ignores the part of the range that is beyond the end of the table.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn for_each_rev(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(usize, SlotGuard<'_>) -> bool,
    ) {
        for index in range.rev() {
            let Some(slot) = self.lock(index) else {
                continue;
            };
            if !f(index, slot) {
                return;
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }
}

/// A locked slot, which is unlocked when dropped.
///
/// # Context
///
/// Any context; neither the methods nor dropping sleep.
pub(crate) struct SlotGuard<'a>(Guard<'a, Objects>);

impl<'a> SlotGuard<'a> {
    fn bits(&self) -> SlotBits {
        SlotBits(self.0.bits())
    }

    fn set_bits(&mut self, bits: SlotBits) {
        debug_assert!(bits.0 >> SlotBits::USED == 0);
        self.0.set_bits(bits.0);
    }

    /// Returns the content of the slot.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        let bits = self.bits();
        match (self.0.value(), bits.kind()) {
            (ValueRef::Object(object), _) if object.size() == PAGE_SIZE => View::Huge { object },
            (ValueRef::Object(object), _) => View::Stored {
                object,
                priority: bits.priority(),
            },
            (ValueRef::Number(..), Kind::Plain) => View::Empty,
            (ValueRef::Number(word, _), Kind::Same) => View::Same(word),
            (ValueRef::Number(position, size), Kind::WrittenBack) => View::WrittenBack {
                location: Location::from_parts(position, size),
                priority: bits.priority(),
            },
        }
    }

    /// Replaces the content of the slot and returns the old one.
    ///
    /// Clears all marks and the time of the last access.
    #[inline]
    pub(crate) fn replace(&mut self, content: Content<'_>) -> Content<'a> {
        let old_bits = self.bits();
        let (value, bits) = content.encode();
        self.set_bits(bits);
        Content::decode(self.0.replace(value), old_bits)
    }

    /// Records that the page was read or written at `time`.
    ///
    /// The page is then neither idle nor selected for post-processing.
    #[inline]
    pub(crate) fn touch(&mut self, time: u32) {
        let bits = self.bits().with(SlotBits::IDLE | SlotBits::SELECTED, false);
        self.set_bits(bits.with_time(time));
    }

    /// Replaces the object in the slot by the share to which it was written, and returns the
    /// object.
    ///
    /// The page is then neither idle nor selected.
    ///
    /// # Errors
    ///
    /// The slot has no object of the size of the share: returns `share`.
    pub(crate) fn write_back(&mut self, share: Share) -> Result<Content<'a>, Share> {
        if self.object_size() != Some(share.location().size()) {
            return Err(share);
        }
        let priority = self.priority();
        Ok(self.replace_same_page(Content::WrittenBack { share, priority }))
    }

    /// Replaces the share in the slot by an object with the page, and returns the share; or returns
    /// `None` if the page is not at `location`.
    ///
    /// The caller must read the page from there while it keeps the block pinned.
    pub(crate) fn fetch(&mut self, location: Location, object: Object<'_>) -> Option<Content<'a>> {
        let View::WrittenBack {
            location: now,
            priority,
        } = self.view()
        else {
            return None;
        };
        if now != location {
            return None;
        }
        Some(self.replace_same_page(match object.size() {
            PAGE_SIZE => Content::Huge { object },
            _ => Content::Stored { object, priority },
        }))
    }

    /// Replaces the content of the slot by the same page in another place and returns the old one.
    ///
    /// The page is then neither idle nor selected; what else is known of it stays.
    fn replace_same_page(&mut self, content: Content<'_>) -> Content<'a> {
        let before = self.bits();
        let old = self.replace(content);
        let bits = self.bits().with(
            SlotBits::INCOMPRESSIBLE,
            before.has(SlotBits::INCOMPRESSIBLE),
        );
        self.set_bits(bits.with_tried(before.tried()).with_time(before.time()));
        old
    }

    /// Replaces the object in the slot by the recompressed page, and returns the old object.
    ///
    /// Clears all marks: the page is then neither idle nor selected.
    pub(crate) fn recompress(&mut self, content: Content<'_>) -> Content<'a> {
        let time = self.last_access();
        let old = self.replace(content);
        self.set_bits(self.bits().with_time(time));
        old
    }

    /// Returns the priority of the algorithm that compressed the page, or the primary one if the
    /// page is not compressed.
    pub(crate) fn priority(&self) -> Priority {
        self.bits().priority()
    }

    /// Returns the number of the slot.
    pub(crate) fn index(&self) -> usize {
        self.0.index()
    }

    /// Returns the size of the object in the slot, or `None` if the slot has none.
    pub(crate) fn object_size(&self) -> Option<usize> {
        match self.0.value() {
            ValueRef::Object(object) => Some(object.size()),
            ValueRef::Number(..) => None,
        }
    }

    /// Returns whether the slot has an object of `PAGE_SIZE` bytes.
    pub(crate) fn is_huge(&self) -> bool {
        self.object_size() == Some(PAGE_SIZE)
    }

    /// Returns whether the page is on the backing device.
    pub(crate) fn is_written_back(&self) -> bool {
        matches!(self.view(), View::WrittenBack { .. })
    }

    /// Returns whether the page is on the backing device, in the block with this number.
    pub(crate) fn is_in(&self, number: usize) -> bool {
        matches!(self.view(), View::WrittenBack { location, .. } if location.block() == number)
    }

    /// Returns whether the page was marked as idle and not accessed since.
    pub(crate) fn is_idle(&self) -> bool {
        self.bits().has(SlotBits::IDLE)
    }

    /// Sets or clears the mark for idle pages.
    pub(crate) fn set_idle(&mut self, idle: bool) {
        self.set_bits(self.bits().with(SlotBits::IDLE, idle));
    }

    /// Returns whether the page was marked as incompressible.
    pub(crate) fn is_incompressible(&self) -> bool {
        self.bits().has(SlotBits::INCOMPRESSIBLE)
    }

    /// Returns the highest priority with which recompression did not make the page smaller since it
    /// was written; the primary one if it was not tried.
    pub(crate) fn tried(&self) -> Priority {
        self.bits().tried()
    }

    /// Notes that recompression with this priority did not make the page smaller.
    pub(crate) fn set_tried(&mut self, priority: Priority) {
        self.set_bits(self.bits().with_tried(priority.max(self.tried())));
    }

    /// Marks the page as incompressible: recompression did not make it smaller.
    pub(crate) fn set_incompressible(&mut self) {
        self.set_bits(self.bits().with(SlotBits::INCOMPRESSIBLE, true));
    }

    /// Returns whether the page was selected for post-processing and not accessed or freed since.
    pub(crate) fn is_selected(&self) -> bool {
        self.bits().has(SlotBits::SELECTED)
    }

    /// Sets or clears the mark for pages that post-processing has selected.
    pub(crate) fn set_selected(&mut self, selected: bool) {
        self.set_bits(self.bits().with(SlotBits::SELECTED, selected));
    }

    /// Returns the time of the last access, in seconds since boot.
    pub(crate) fn last_access(&self) -> u32 {
        self.bits().time()
    }
}

#[kunit_tests(zram_rs_slot)]
mod tests {
    use super::*;
    use crate::abstractions::{
        alloc::Gfp,
        kunit::Tasks,
        page::{
            Node, //
            OwnedPage,
        },
    };
    use kernel::{
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
        time::{
            delay::fsleep,
            Delta,
            Instant,
            Monotonic,
            Msecs, //
        },
    };

    fn table(pages: usize) -> Result<Pin<KBox<Table>>> {
        let pool = Pool::new(c"zram_rs_kunit")?;
        KBox::try_pin_init(Table::new(pages, pool), GFP_KERNEL)
    }

    fn stored(table: &Table, size: usize, priority: Priority) -> Result<Content<'_>> {
        let object = table.pool().alloc(size, Node::LOCAL, Gfp::KERNEL)?;
        Ok(Content::Stored { object, priority })
    }

    fn huge(table: &Table) -> Result<Content<'_>> {
        let object = table.pool().alloc(PAGE_SIZE, Node::LOCAL, Gfp::KERNEL)?;
        Ok(Content::Huge { object })
    }

    /// Returns the share of a page of `size` bytes in block `number`.
    fn share(number: usize, size: usize) -> Share {
        Share::from_location(Location::from_parts(number * PAGE_SIZE, size))
    }

    /// Replaces the content of a slot; locks it, so that the old content was packed before.
    fn put<'a>(table: &'a Table, index: usize, content: Content<'_>) -> Option<Content<'a>> {
        Some(table.lock(index)?.replace(content))
    }

    #[test]
    fn starts_empty() -> Result {
        let table = table(3)?;
        assert_eq!(table.len(), 3);
        for index in 0..3 {
            let slot = table.lock(index).ok_or(EINVAL)?;
            assert!(matches!(slot.view(), View::Empty));
            assert!(!slot.is_idle() && !slot.is_selected() && !slot.is_incompressible());
            assert_eq!(slot.last_access(), 0);
            assert_eq!(slot.object_size(), None);
        }
        assert!(table.lock(3).is_none());
        assert!(table.lock(usize::MAX).is_none());
        assert!(table.try_lock(3).is_none());
        Ok(())
    }

    #[test]
    fn peeking_needs_no_lock() -> Result {
        let table = table(1)?;
        assert_eq!(
            (table.peek(0), table.peek(1)),
            (Peek::Pristine, Peek::Pristine)
        );
        let slot = table.lock(0).ok_or(EINVAL)?;
        assert_eq!(table.peek(0), Peek::Other);
        drop(slot);
        assert_eq!(table.peek(0), Peek::Pristine);
        let on_device = Content::WrittenBack {
            share: share(0, 1),
            priority: Priority::PRIMARY,
        };
        for (content, peek) in [
            (Content::Same(0), Peek::Other),
            (on_device, Peek::Other),
            (stored(&table, 1, Priority::PRIMARY)?, Peek::Object(1)),
            (huge(&table)?, Peek::Object(PAGE_SIZE)),
        ] {
            let _ = put(&table, 0, content);
            assert_eq!(table.peek(0), peek);
            let slot = table.lock(0).ok_or(EINVAL)?;
            assert_eq!(table.peek(0), peek);
            drop(slot);
            let _ = put(&table, 0, Content::Empty);
            assert_eq!(table.peek(0), Peek::Pristine);
        }
        table.lock(0).ok_or(EINVAL)?.set_idle(true);
        assert_eq!(table.peek(0), Peek::Other);
        Ok(())
    }

    #[test]
    fn size_is_checked() {
        assert!(table(0).is_err());
        assert!(table(usize::MAX).is_err());
        assert!(table(usize::MAX / (2 * size_of::<usize>())).is_err());
    }

    #[test]
    fn every_word_can_be_a_fill() -> Result {
        let table = table(2)?;
        for shift in 0..usize::BITS {
            for word in [1 << shift, !(1 << shift), usize::MAX >> shift] {
                let _ = put(&table, 0, Content::Same(word));
                assert!(matches!(
                    table.lock(0).ok_or(EINVAL)?.view(),
                    View::Same(w) if w == word
                ));
                // The word is not taken for a block number.
                assert!(!table.lock(0).ok_or(EINVAL)?.is_in(word));
                // The other slot does not change.
                assert!(matches!(table.lock(1).ok_or(EINVAL)?.view(), View::Empty));
            }
        }
        // A page of zeroes is not an empty slot.
        let _ = put(&table, 0, Content::Same(0));
        assert!(matches!(
            put(&table, 0, Content::Empty),
            Some(Content::Same(0))
        ));
        assert!(matches!(table.lock(0).ok_or(EINVAL)?.view(), View::Empty));
        Ok(())
    }

    #[test]
    fn every_size_is_kept() -> Result {
        let table = table(1)?;
        for size in 1..PAGE_SIZE {
            let priority = Priority::from_bits(size);
            let _ = put(&table, 0, stored(&table, size, priority)?);
            let slot = table.lock(0).ok_or(EINVAL)?;
            assert_eq!(slot.object_size(), Some(size));
            assert_eq!(slot.priority(), priority);
            assert!(matches!(
                slot.view(),
                View::Stored { object, priority: p } if object.size() == size && p == priority
            ));
            drop(slot);
            match put(&table, 0, Content::Empty) {
                Some(Content::Stored {
                    object,
                    priority: p,
                }) => assert_eq!((object.size(), p), (size, priority)),
                _ => return Err(EINVAL),
            }
        }
        assert_eq!(table.pool().pages(), 0);
        Ok(())
    }

    #[test]
    fn objects_keep_their_bytes() -> Result {
        let mut bytes = KVec::new();
        for i in 0..PAGE_SIZE {
            bytes.push(i as u8 ^ (i >> 8) as u8, GFP_KERNEL)?;
        }
        let copy = OwnedPage::new(Gfp::KERNEL)?;
        let copy = copy.as_page();
        let copy = copy.map();
        let mut scratch = KBox::new([0; PAGE_SIZE], GFP_KERNEL)?;
        let table = table(64)?;
        // Some of these lie across two pages.
        for index in 0..64 {
            let size = PAGE_SIZE - index * 50;
            let mut object = table.pool().alloc(size, Node::LOCAL, Gfp::KERNEL)?;
            // What does not fit is left out.
            object.write(&bytes);
            let content = if index == 0 {
                Content::Huge { object }
            } else {
                Content::Stored {
                    object,
                    priority: Priority::PRIMARY,
                }
            };
            let _ = put(&table, index, content);
        }
        for index in 0..64 {
            let size = PAGE_SIZE - index * 50;
            let slot = table.lock(index).ok_or(EINVAL)?;
            let (View::Stored { object, .. } | View::Huge { object }) = slot.view() else {
                return Err(EINVAL);
            };
            assert!(object.read(&mut scratch, |read| read == &bytes[..size]));
            copy.fill(usize::MAX);
            object.read_page(&copy);
            copy.read(0, &mut scratch[..]);
            assert!(scratch[..size] == bytes[..size]);
            assert!(scratch[size..].iter().all(|&byte| byte == 0));
        }
        Ok(())
    }

    #[test]
    fn objects_stay_with_their_pool() -> Result {
        let (table, other) = (table(1)?, table(1)?);
        // The table frees the object instead of taking it for one of its own pool.
        let _ = put(&table, 0, huge(&other)?);
        assert!(matches!(table.lock(0).ok_or(EINVAL)?.view(), View::Empty));
        assert_eq!((table.pool().pages(), other.pool().pages()), (0, 0));
        Ok(())
    }

    #[test]
    fn every_location_is_kept() -> Result {
        let table = table(1)?;
        for shift in 0..usize::BITS {
            for (position, size) in [(1 << shift, 1), (usize::MAX >> shift, PAGE_SIZE)] {
                let place = Location::from_parts(position, size);
                let priority = Priority::from_bits(shift as usize);
                let content = Content::WrittenBack {
                    share: Share::from_location(place),
                    priority,
                };
                let _ = put(&table, 0, content);
                let slot = table.lock(0).ok_or(EINVAL)?;
                assert_eq!(slot.priority(), priority);
                assert!(slot.is_in(place.block()));
                assert!(!slot.is_in(place.block() ^ 1));
                assert!(matches!(
                    slot.view(),
                    View::WrittenBack { location, priority: p }
                        if location == place && p == priority
                ));
                assert_eq!(slot.object_size(), None);
                drop(slot);
                match put(&table, 0, Content::Empty) {
                    Some(Content::WrittenBack { share, priority: p }) => {
                        assert_eq!((share.into_location(), p), (place, priority));
                    }
                    _ => return Err(EINVAL),
                }
            }
        }
        Ok(())
    }

    #[test]
    fn marks_do_not_meet() {
        for kind in [Kind::Plain, Kind::Same, Kind::WrittenBack] {
            for (marks, priority) in (0..8).zip((0..4).cycle()) {
                let tried = Priority::from_bits(3 - priority);
                let priority = Priority::from_bits(priority);
                for time in [0, 1, 0x8000_0000, u32::MAX] {
                    let bits = SlotBits::new(kind, priority)
                        .with(SlotBits::IDLE, marks & 1 != 0)
                        .with_time(time)
                        .with(SlotBits::SELECTED, marks & 2 != 0)
                        .with(SlotBits::INCOMPRESSIBLE, marks & 4 != 0)
                        .with_tried(tried);
                    assert_eq!(bits.kind(), kind);
                    assert_eq!(bits.priority(), priority);
                    assert_eq!(bits.has(SlotBits::IDLE), marks & 1 != 0);
                    assert_eq!(bits.has(SlotBits::SELECTED), marks & 2 != 0);
                    assert_eq!(bits.has(SlotBits::INCOMPRESSIBLE), marks & 4 != 0);
                    assert_eq!(bits.tried(), tried);
                    assert_eq!(bits.time(), time);
                    assert_eq!(bits.0 >> SlotBits::USED, 0);
                    // All marks can be cleared again.
                    let plain = bits
                        .with(
                            SlotBits::IDLE | SlotBits::SELECTED | SlotBits::INCOMPRESSIBLE,
                            false,
                        )
                        .with_tried(Priority::PRIMARY)
                        .with_time(0);
                    assert_eq!(plain, SlotBits::new(kind, priority));
                }
            }
        }
    }

    #[test]
    fn use_ends_idleness_and_selection() -> Result {
        let table = table(1)?;
        let _ = put(&table, 0, huge(&table)?);
        let mut slot = table.lock(0).ok_or(EINVAL)?;
        slot.set_idle(true);
        slot.set_selected(true);
        assert!(slot.is_idle() && slot.is_selected() && slot.is_huge());
        slot.touch(7);
        assert!(!slot.is_idle() && !slot.is_selected() && slot.is_huge());
        assert_eq!(slot.last_access(), 7);

        // Writeback also clears the marks, and keeps the size.
        slot.set_idle(true);
        slot.set_selected(true);
        let (place, other) = (share(5, PAGE_SIZE), share(5, 100));
        // The share has to be one for the object in the slot.
        assert!(matches!(slot.write_back(other), Err(share) if share.location().size() == 100));
        assert!(matches!(slot.write_back(place), Ok(Content::Huge { .. })));
        assert!(!slot.is_idle() && !slot.is_selected());
        assert_eq!(slot.last_access(), 7);
        assert!(matches!(
            slot.view(),
            View::WrittenBack { location, priority: Priority::PRIMARY }
                if location.block() == 5 && location.size() == PAGE_SIZE
        ));
        // The slot has no object any more.
        assert!(slot.write_back(share(6, PAGE_SIZE)).is_err());
        let _ = slot.replace(Content::Empty);
        assert_eq!(slot.last_access(), 0);
        drop(slot);
        assert_eq!(table.pool().pages(), 0);
        Ok(())
    }

    #[test]
    fn recompression_is_no_use() -> Result {
        let table = table(1)?;
        let _ = put(&table, 0, huge(&table)?);
        let mut slot = table.lock(0).ok_or(EINVAL)?;
        slot.touch(9);
        slot.set_selected(true);
        slot.set_incompressible();
        let third = Priority::from_bits(2);
        assert_eq!(slot.tried(), Priority::PRIMARY);
        slot.set_tried(third);
        slot.set_tried(Priority::SECONDARY);
        assert_eq!(slot.tried(), third);
        assert!(slot.is_incompressible() && slot.is_selected());
        assert_eq!(slot.priority(), Priority::PRIMARY);
        let old = slot.recompress(stored(&table, 7, Priority::SECONDARY)?);
        assert!(!slot.is_incompressible() && !slot.is_selected() && !slot.is_huge());
        assert_eq!(slot.tried(), Priority::PRIMARY);
        assert_eq!(slot.last_access(), 9);
        assert_eq!(slot.priority(), Priority::SECONDARY);
        assert_eq!(slot.object_size(), Some(7));
        // The written back page must be decompressed with the same algorithm.
        let small = slot.write_back(share(1, 7)).map_err(|_| EINVAL)?;
        assert_eq!(slot.priority(), Priority::SECONDARY);
        assert!(matches!(old, Content::Huge { .. }));
        assert!(matches!(small, Content::Stored { .. }));
        drop((old, small));
        let _ = slot.replace(Content::Empty);
        assert_eq!(slot.priority(), Priority::PRIMARY);
        drop(slot);
        assert_eq!(table.pool().pages(), 0);
        Ok(())
    }

    #[test]
    fn kinds_follow_each_other() -> Result {
        let table = table(1)?;
        let make = |kind: usize| -> Result<Content<'_>> {
            Ok(match kind {
                0 => Content::Empty,
                1 => Content::Same(usize::MAX),
                2 => stored(&table, 100, Priority::SECONDARY)?,
                3 => huge(&table)?,
                _ => Content::WrittenBack {
                    share: share(0, 100),
                    priority: Priority::SECONDARY,
                },
            })
        };
        let kind = |content: &Content<'_>| match content {
            Content::Empty => 0,
            Content::Same(usize::MAX) => 1,
            Content::Stored { object, .. } if object.size() == 100 => 2,
            Content::Huge { .. } => 3,
            Content::WrittenBack { share, .. } if share.location().size() == 100 => 4,
            _ => 5,
        };
        for from in 0..5 {
            for to in 0..5 {
                let _ = put(&table, 0, make(from)?);
                let old = put(&table, 0, make(to)?).ok_or(EINVAL)?;
                assert_eq!(kind(&old), from);
                let new = put(&table, 0, Content::Empty).ok_or(EINVAL)?;
                assert_eq!(kind(&new), to);
            }
        }
        assert_eq!(table.pool().pages(), 0);
        Ok(())
    }

    #[test]
    fn lock_excludes() -> Result {
        let table = table(2)?;
        let guard = table.try_lock(0).ok_or(EINVAL)?;
        assert!(table.try_lock(0).is_none());
        assert!(table.try_lock(1).is_some());
        drop(guard);
        assert!(table.try_lock(0).is_some());
        Ok(())
    }

    /// Two tasks that repeatedly lock one slot at the same time.
    ///
    /// The tasks wait for each other before each round, and then lock the slot a few times: if the
    /// last unlock of a round does not wake the other task, nothing else does.
    #[pin_data]
    struct Contest {
        #[pin]
        table: Table,
        /// How many times a task was ready for a round.
        ready: Atomic<usize>,
        /// Number of tasks that wait for the slot or own its lock.
        coming: Atomic<usize>,
        /// Number of tasks that own the lock.
        inside: Atomic<usize>,
        /// How many times a task found the slot locked.
        met: Atomic<usize>,
        /// How many times both tasks owned the lock.
        clashes: Atomic<usize>,
        /// Total number of turns, after the end.
        turns: Atomic<usize>,
    }

    impl Contest {
        const TASKS: usize = 2;
        const TURNS: usize = 4;
        const DURATION: Delta = Delta::from_millis(500);
        const TIMEOUT: Msecs = 10_000;

        fn take_part(tasks: &Tasks<Self>) {
            let mut turns = 0;
            let mut start = None;
            for round in 1.. {
                if !Self::meet(tasks, round) {
                    break;
                }
                for turn in 0..Self::TURNS {
                    Self::take_turn(tasks, round, turn);
                    turns += 1;
                }
                let start = *start.get_or_insert_with(Instant::<Monotonic>::now);
                if start.elapsed() > Self::DURATION && tasks.met.load(Relaxed) > 0 {
                    tasks.end();
                }
            }
            tasks.turns.add(turns, Relaxed);
        }

        /// Waits until both tasks are ready for a round; returns `false` if there is none.
        fn meet(tasks: &Tasks<Self>, round: usize) -> bool {
            tasks.ready.add(1, Relaxed);
            while tasks.ready.load(Relaxed) < Self::TASKS * round {
                if tasks.are_over() {
                    return false;
                }
                // A sleep would give the slot and the CPU to the other task alone.
                cond_resched();
                core::hint::spin_loop();
            }
            true
        }

        /// Increments the number in the slot with the lock held.
        ///
        /// In some rounds, this holds the lock long enough for the other task to sleep, and in one
        /// turn of such a round until the other task waits for the slot. In all others, it holds
        /// the lock for about as long as it takes to go to sleep.
        fn take_turn(tasks: &Tasks<Self>, round: usize, turn: usize) {
            tasks.coming.add(1, Relaxed);
            tasks.met.add(tasks.inside.load(Relaxed), Relaxed);
            let Some(mut slot) = tasks.table.lock(0) else {
                return;
            };
            tasks
                .clashes
                .add(tasks.inside.fetch_add(1, Relaxed), Relaxed);
            if let View::Same(count) = slot.view() {
                // In the first turn of a round, all turns of the other task are still to come.
                let first = count == Self::TASKS * Self::TURNS * (round - 1);
                let alone = || tasks.coming.load(Relaxed) < Self::TASKS && !tasks.are_over();
                if round % 256 == 1 && (first || turn == 1) {
                    while first && alone() {
                        fsleep(Delta::from_micros(20));
                    }
                    fsleep(Delta::from_micros(20));
                } else {
                    (0..(round + turn) % 64).for_each(|_| core::hint::spin_loop());
                }
                let _ = slot.replace(Content::Same(count + 1));
            }
            tasks.inside.fetch_sub(1, Relaxed);
            // Before the unlock: the owner of the lock sees the other task come, but not leave.
            tasks.coming.fetch_sub(1, Relaxed);
        }
    }

    #[test]
    fn two_tasks_take_turns() -> Result {
        let contest = Tasks::new(try_pin_init!(Contest {
            table <- Table::new(1, Pool::new(c"zram_rs_kunit")?),
            ready: Atomic::new(0),
            coming: Atomic::new(0),
            inside: Atomic::new(0),
            met: Atomic::new(0),
            clashes: Atomic::new(0),
            turns: Atomic::new(0),
        }? Error))?;
        let _ = put(&contest.table, 0, Content::Same(0));
        for _ in 0..Contest::TASKS {
            contest.spawn(Contest::take_part)?;
        }
        // A task that is not woken sleeps for ever, and keeps its reference to the contest.
        assert_eq!(contest.wait(Contest::TIMEOUT), 0);
        assert_eq!(contest.clashes.load(Relaxed), 0);
        let turns = contest.turns.load(Relaxed);
        let slot = contest.table.try_lock(0).ok_or(EBUSY)?;
        assert!(matches!(slot.view(), View::Same(count) if count == turns));
        Ok(())
    }
}
