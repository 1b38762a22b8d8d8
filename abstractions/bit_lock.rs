// SPDX-License-Identifier: GPL-2.0

//! Values that are locked by one bit, for tables of many small entries.
//!
//! A [`BitLocked`] takes two machine words: one holds the lock bit, a tag bit and bits that the
//! owner of the lock may use as it likes, the other a value. The lock sleeps, using the kernel's
//! bit-wait queues, and lockdep sees it.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    prelude::*,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// A type whose values fit into a word and a bit.
///
/// # Safety
///
/// - `unpack` and `borrow` must be sound when called with what `pack` returned.
/// - `(0, false)` must be the packed form of a value.
pub(crate) unsafe trait Packed: Sized {
    /// A borrowed value.
    type Ref<'a>;

    /// Gives up a value for its packed form.
    fn pack(self) -> (usize, bool);

    /// Gets the value back.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack), and may be unpacked once.
    unsafe fn unpack(word: usize, tag: bool) -> Self;

    /// Borrows the value from its packed form.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack), and not be unpacked during `'a`.
    unsafe fn borrow<'a>(word: usize, tag: bool) -> Self::Ref<'a>;
}

/// What lockdep knows of the locks of one table. Making it and dropping it may sleep.
#[pin_data]
pub(crate) struct LockdepMap {
    #[pin]
    map: Opaque<kernel::bindings::lockdep_map>,
    // After `map`, which refers to it.
    #[pin]
    key: LockClassKey,
}

// SAFETY: lockdep's own state, which it protects itself.
unsafe impl Send for LockdepMap {}
// SAFETY: The same.
unsafe impl Sync for LockdepMap {}

impl LockdepMap {
    /// Makes a lock class of its own, called `name`.
    pub(crate) fn new(name: &'static CStr) -> impl PinInit<Self> {
        pin_init!(&this in Self {
            key <- LockClassKey::new_dynamic(),
            // SAFETY: `key` was registered just before and is unregistered after the last use of
            // `map`, as both live in the same pinned object. `name` lives forever.
            map <- Opaque::ffi_init(|slot| unsafe {
                let key = (&raw mut (*this.as_ptr()).key).cast();
                bindings::zram_rs_lockdep_init_map(slot, name.as_char_ptr(), key)
            }),
        })
    }
}

/// A value and some bits behind a lock.
///
/// Dropping it does not drop the value: whoever owns the table takes the values out first.
///
/// # Invariants
///
/// While the lock is not held, `value` and the tag bit of `word` are the packed form of a `V`.
#[repr(C)]
pub(crate) struct BitLocked<V: Packed> {
    /// Bit 0: the lock. Bit 1: somebody may be waiting. Bit 2: the tag of the value. The others
    /// belong to the owner of the lock.
    word: UnsafeCell<usize>,
    value: UnsafeCell<usize>,
    _value: PhantomData<V>,
}

const LOCK: usize = 1 << 0;
const TAG: usize = 1 << 2;
const BITS_SHIFT: u32 = 3;

/// How many bits beside the value the owner of a lock may use.
pub(crate) const BITS: u32 = usize::BITS - BITS_SHIFT;

// SAFETY: The lock makes sure that one thread at a time has access to the value.
unsafe impl<V: Packed + Send> Send for BitLocked<V> {}
// SAFETY: The same.
unsafe impl<V: Packed + Send> Sync for BitLocked<V> {}

// SAFETY: All zeroes is an unlocked lock and, by the requirements of `Packed`, a value.
unsafe impl<V: Packed> Zeroable for BitLocked<V> {}

impl<V: Packed> BitLocked<V> {
    /// Locks. May sleep, and is not woken by signals.
    #[inline]
    pub(crate) fn lock<'a>(&'a self, map: &'a LockdepMap) -> Guard<'a, V> {
        // SAFETY: The word is valid, and both it and the map live for `'a`.
        let word = unsafe { bindings::zram_rs_bit_lock(self.word.get(), map.map.get()) };
        // SAFETY: This thread now owns the lock.
        unsafe { Guard::new(self, map, word) }
    }

    /// Takes out the value, and leaves all zeroes, bits included, without locking: there is nobody
    /// else.
    ///
    /// Should somebody have forgotten a guard instead of dropping it, what it knew of the value is
    /// lost: the value is leaked, and what `(0, false)` stands for is returned. Any context.
    pub(crate) fn take(&mut self) -> V {
        let word = core::mem::take(self.word.get_mut());
        let value = core::mem::take(self.value.get_mut());
        let (value, word) = if word & LOCK == 0 {
            (value, word)
        } else {
            (0, 0)
        };
        // SAFETY: If the lock is not held, by the type invariants this is a packed value, and it
        // was just overwritten with one; otherwise it is one by the requirements of `Packed`.
        unsafe { V::unpack(value, word & TAG != 0) }
    }

    /// Locks unless somebody else has the lock. Any context that does not interrupt an owner that
    /// it then waits for: that is, any.
    #[inline]
    pub(crate) fn try_lock<'a>(&'a self, map: &'a LockdepMap) -> Option<Guard<'a, V>> {
        // SAFETY: The word is valid, and both it and the map live for `'a`.
        let word = unsafe { bindings::zram_rs_bit_trylock(self.word.get(), map.map.get()) };
        // SAFETY: A word that is not zero says that this thread owns the lock.
        (word != 0).then(|| unsafe { Guard::new(self, map, word) })
    }
}

/// The proof of having locked a [`BitLocked`], which unlocks it when dropped. Neither that nor any
/// method sleeps.
///
/// # Invariants
///
/// The thread that has the guard owns the lock. `value` of the lock and the tag bit in `word` are
/// the packed form of a `V`.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct Guard<'a, V: Packed> {
    lock: &'a BitLocked<V>,
    map: &'a LockdepMap,
    /// What the lock's word is to be; written back on unlock.
    word: usize,
    _not_send: NotThreadSafe,
}

impl<'a, V: Packed> Guard<'a, V> {
    /// # Safety
    ///
    /// The calling thread must own the lock, and `word` must be its word.
    #[inline]
    unsafe fn new(lock: &'a BitLocked<V>, map: &'a LockdepMap, word: usize) -> Self {
        // INVARIANT: By the safety requirements and the type invariants of `BitLocked`.
        Self {
            lock,
            map,
            word,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the bits beside the value.
    #[inline]
    pub(crate) fn bits(&self) -> usize {
        self.word >> BITS_SHIFT
    }

    /// Sets the bits beside the value, of which there are [`BITS`].
    #[inline]
    pub(crate) fn set_bits(&mut self, bits: usize) {
        debug_assert!(bits >> BITS == 0);
        // INVARIANT: The tag bit stays as it is.
        self.word = (bits << BITS_SHIFT) | (self.word & (LOCK | TAG));
    }

    /// Borrows the value.
    #[inline]
    pub(crate) fn value(&self) -> V::Ref<'_> {
        // SAFETY: By the type invariants, and the value is only unpacked with `&mut self`.
        unsafe { V::borrow(*self.lock.value.get(), self.word & TAG != 0) }
    }

    /// Puts in another value and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&mut self, value: V) -> V {
        let (new, tag) = value.pack();
        // SAFETY: By the type invariants this thread owns the lock, so nobody else looks at
        // `value`.
        let old = unsafe { core::mem::replace(&mut *self.lock.value.get(), new) };
        // SAFETY: By the type invariants this is a packed value, and it was just overwritten.
        let old = unsafe { V::unpack(old, self.word & TAG != 0) };
        // INVARIANT: `value` and the tag are the packed form of the new value.
        self.word = (self.word & !TAG) | if tag { TAG } else { 0 };
        old
    }
}

impl<V: Packed> Drop for Guard<'_, V> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants this thread owns the lock, and the packed value is whole.
        unsafe {
            bindings::zram_rs_bit_unlock(self.lock.word.get(), self.word, self.map.map.get())
        };
    }
}
