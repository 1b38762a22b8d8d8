// SPDX-License-Identifier: GPL-2.0

//! The slot table: what is known of each page of a disk.
//!
//! A slot takes 16 bytes and has a lock of its own. It is looked at and changed only through a
//! [`SlotGuard`], as a [`View`] or a [`Content`].

use crate::{
    abstractions::{
        bit_lock::{
            BitLocked,
            Guard,
            LockdepMap,
            BITS, //
        },
        sched::cond_resched,
        table::ZeroedTable, //
    },
    zspool::{
        Handle,
        HandleRef,
        Value,
        ValueRef, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// What a page of the disk consists of.
#[must_use]
pub(crate) enum Content {
    /// Nothing was written, or it was discarded: the page reads as zeroes.
    Empty,
    /// The page consists of copies of this word; no memory is used.
    Same(usize),
    /// The page is a compressed object of `size` bytes.
    Stored {
        /// Where the object is.
        handle: Handle,
        /// Its size in bytes, at least 1, less than a page.
        size: usize,
    },
    /// The page could not be compressed to good use, and is an object of `PAGE_SIZE` bytes.
    Huge {
        /// Where the object is.
        handle: Handle,
    },
}

/// A [`Content`], borrowed.
pub(crate) enum View<'a> {
    /// See [`Content::Empty`].
    Empty,
    /// See [`Content::Same`].
    Same(usize),
    /// See [`Content::Stored`].
    Stored {
        /// Where the object is.
        handle: HandleRef<'a>,
        /// Its size in bytes.
        size: usize,
    },
    /// See [`Content::Huge`].
    Huge {
        /// Where the object is.
        handle: HandleRef<'a>,
    },
}

/// The bits that a slot keeps beside its value.
#[derive(Clone, Copy)]
struct Bits(usize);

impl Bits {
    const EMPTY: usize = 0;
    const SAME: usize = 1;
    const STORED: usize = 2;
    const HUGE: usize = 3;

    const KIND_MASK: usize = 0b11;
    const SIZE_SHIFT: u32 = 2;
    const SIZE_MASK: usize = 2 * PAGE_SIZE - 1;

    const fn new(kind: usize, size: usize) -> Self {
        Self(kind | (size & Self::SIZE_MASK) << Self::SIZE_SHIFT)
    }

    const fn kind(self) -> usize {
        self.0 & Self::KIND_MASK
    }

    const fn size(self) -> usize {
        (self.0 >> Self::SIZE_SHIFT) & Self::SIZE_MASK
    }
}

impl Content {
    fn encode(self) -> (Value, Bits) {
        match self {
            Content::Empty => (Value::Number(0), Bits::new(Bits::EMPTY, 0)),
            Content::Same(word) => (Value::Number(word), Bits::new(Bits::SAME, 0)),
            Content::Stored { handle, size } => {
                (Value::Handle(handle), Bits::new(Bits::STORED, size))
            }
            Content::Huge { handle } => (Value::Handle(handle), Bits::new(Bits::HUGE, PAGE_SIZE)),
        }
    }

    fn decode(value: Value, bits: Bits) -> Self {
        match value {
            Value::Handle(handle) if bits.kind() == Bits::HUGE => Content::Huge { handle },
            Value::Handle(handle) => Content::Stored {
                handle,
                size: bits.size(),
            },
            Value::Number(word) if bits.kind() == Bits::SAME => Content::Same(word),
            Value::Number(_) => Content::Empty,
        }
    }
}

type Slot = BitLocked<Value>;

const _: () = {
    // Two words for each page of the disk, and room for the bits beside the lock.
    assert!(size_of::<Slot>() == 2 * size_of::<usize>());
    assert!(Bits::SIZE_MASK << Bits::SIZE_SHIFT < 1 << BITS);
};

/// The slots of a disk.
#[pin_data]
pub(crate) struct Table {
    slots: ZeroedTable<Slot>,
    #[pin]
    lockdep: LockdepMap,
}

impl Table {
    /// Makes a table of `pages` empty slots. May sleep.
    pub(crate) fn new(pages: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            slots: ZeroedTable::new(pages)?,
            lockdep <- LockdepMap::new(c"zram_rs slot"),
        })
    }

    /// Locks a slot. Returns `None` if the table has no such slot. May sleep.
    #[inline]
    pub(crate) fn lock(&self, index: usize) -> Option<SlotGuard<'_>> {
        let slot = self.slots.get(index)?;
        Some(SlotGuard(slot.lock(&self.lockdep)))
    }

    /// Locks a slot, unless it is locked already or there is no such slot. Atomic context.
    #[inline]
    pub(crate) fn try_lock(&self, index: usize) -> Option<SlotGuard<'_>> {
        let slot = self.slots.get(index)?;
        slot.try_lock(&self.lockdep).map(SlotGuard)
    }

    /// Empties all slots, and passes on the objects that were in them. May sleep.
    pub(crate) fn drain(self: Pin<&mut Self>, mut f: impl FnMut(Handle)) {
        for (index, slot) in self.project().slots.iter_mut().enumerate() {
            if let Value::Handle(handle) = slot.take() {
                f(handle);
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }
}

/// A slot that is locked, until this is dropped.
pub(crate) struct SlotGuard<'a>(Guard<'a, Value>);

impl SlotGuard<'_> {
    /// Looks at what is in the slot.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        let bits = Bits(self.0.bits());
        match self.0.value() {
            ValueRef::Handle(handle) if bits.kind() == Bits::HUGE => View::Huge { handle },
            ValueRef::Handle(handle) => View::Stored {
                handle,
                size: bits.size(),
            },
            ValueRef::Number(word) if bits.kind() == Bits::SAME => View::Same(word),
            ValueRef::Number(_) => View::Empty,
        }
    }

    /// Puts something else into the slot, and returns what was in it.
    #[inline]
    pub(crate) fn replace(&mut self, content: Content) -> Content {
        let old_bits = Bits(self.0.bits());
        let (value, bits) = content.encode();
        self.0.set_bits(bits.0);
        Content::decode(self.0.replace(value), old_bits)
    }
}

#[kunit_tests(zram_rs_slot)]
mod tests {
    use super::*;
    use crate::zspool::Pool;

    fn table(pages: usize) -> Result<Pin<KBox<Table>>> {
        KBox::try_pin_init(Table::new(pages), GFP_KERNEL)
    }

    /// Locks a slot twice, so that what the second time sees has been through the slot's words.
    fn put(table: &Table, index: usize, content: Content) -> Option<Content> {
        Some(table.lock(index)?.replace(content))
    }

    #[test]
    fn starts_empty() -> Result {
        let table = table(3)?;
        for index in 0..3 {
            assert!(matches!(
                table.lock(index).ok_or(EINVAL)?.view(),
                View::Empty
            ));
        }
        assert!(table.lock(3).is_none());
        assert!(table.lock(usize::MAX).is_none());
        assert!(table.try_lock(3).is_none());
        Ok(())
    }

    #[test]
    fn size_is_checked() {
        assert!(table(0).is_err());
        assert!(table(usize::MAX).is_err());
        assert!(table(usize::MAX / size_of::<Slot>()).is_err());
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
                // The neighbour does not notice.
                assert!(matches!(table.lock(1).ok_or(EINVAL)?.view(), View::Empty));
            }
        }
        // Zeroes that were written are not the same as nothing.
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
        let pool = Pool::new(c"zram_rs_kunit")?;
        let table = table(1)?;
        for size in 1..PAGE_SIZE {
            let handle = pool.alloc(16, 0)?.into_handle();
            let _ = put(&table, 0, Content::Stored { handle, size });
            assert!(matches!(
                table.lock(0).ok_or(EINVAL)?.view(),
                View::Stored { size: s, .. } if s == size
            ));
            match put(&table, 0, Content::Empty) {
                Some(Content::Stored { handle, size: s }) => {
                    assert_eq!(s, size);
                    drop(pool.adopt(handle));
                }
                _ => return Err(EINVAL),
            }
        }
        assert_eq!(pool.pages(), 0);
        Ok(())
    }

    #[test]
    fn kinds_follow_each_other() -> Result {
        let pool = Pool::new(c"zram_rs_kunit")?;
        let make = |kind: usize| -> Result<Content> {
            Ok(match kind {
                0 => Content::Empty,
                1 => Content::Same(usize::MAX),
                2 => Content::Stored {
                    handle: pool.alloc(100, 0)?.into_handle(),
                    size: 100,
                },
                _ => Content::Huge {
                    handle: pool.alloc(PAGE_SIZE, 0)?.into_handle(),
                },
            })
        };
        let kind = |content: &Content| match content {
            Content::Empty => 0,
            Content::Same(usize::MAX) => 1,
            Content::Stored { size: 100, .. } => 2,
            Content::Huge { .. } => 3,
            _ => 4,
        };
        let table = table(1)?;
        for from in 0..4 {
            for to in 0..4 {
                let _ = put(&table, 0, make(from)?);
                let old = put(&table, 0, make(to)?).ok_or(EINVAL)?;
                assert_eq!(kind(&old), from);
                let new = put(&table, 0, Content::Empty).ok_or(EINVAL)?;
                assert_eq!(kind(&new), to);
                for content in [old, new] {
                    if let Content::Stored { handle, .. } | Content::Huge { handle } = content {
                        drop(pool.adopt(handle));
                    }
                }
            }
        }
        assert_eq!(pool.pages(), 0);
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

    #[test]
    fn drain_finds_all_objects() -> Result {
        let pool = Pool::new(c"zram_rs_kunit")?;
        let mut table = table(100)?;
        for index in 0..30 {
            let handle = pool.alloc(index + 1, 0)?.into_handle();
            let size = index + 1;
            let _ = put(&table, index * 3, Content::Stored { handle, size });
            let _ = put(&table, index * 3 + 1, Content::Same(index));
        }
        let mut objects = 0;
        table.as_mut().drain(|handle| {
            objects += 1;
            drop(pool.adopt(handle));
        });
        assert_eq!(objects, 30);
        assert_eq!(pool.pages(), 0);
        table.as_mut().drain(|_handle| objects += 1);
        assert_eq!(objects, 30);
        Ok(())
    }
}
