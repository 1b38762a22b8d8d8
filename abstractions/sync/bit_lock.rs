// SPDX-License-Identifier: GPL-2.0

//! Tables of small values, each with a lock of one bit.
//!
//! An entry of a [`LockedTable`] takes two machine words. One word contains the lock bit, a bit for
//! waiters, a tag, and bits that the owner of the lock may use; the other contains a value. The
//! value and the tag are the packed form of what the entry holds: see [`Packed`]. A task that waits
//! for the lock sleeps in one of the kernel's shared wait queues. lockdep checks the locks.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use crate::{
    abstractions::{
        alloc::{
            table::ZeroedTable,
            Gfp, //
        },
        sched::cond_resched, //
    },
    bindings, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        LockClassKey, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// A type of values that can be packed into a word and a tag.
///
/// Data that all values of a table share, such as the allocator of their memory, is not packed. The
/// table owns it as its context.
///
/// # Context
///
/// Any context; the methods must not sleep.
///
/// # Safety
///
/// - `unpack` and `borrow` must be sound when called with a word and a tag that `pack` returned for
///   the same context, or with zeroes.
/// - `pack` must return a tag of at most [`TAG_BITS`](Self::TAG_BITS) bits.
pub(crate) unsafe trait Packed: 'static {
    /// The data that all values of a table share.
    type Context: Send + Sync;

    /// A value, which may borrow from the context.
    type Value<'a>: Send;

    /// A borrowed value.
    type Ref<'a>;

    /// Width of a tag, in bits.
    const TAG_BITS: u32;

    /// Converts a value to its packed form: a word and a tag.
    fn pack(context: &Self::Context, value: Self::Value<'_>) -> (usize, usize);

    /// Converts a packed form back to its value.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack) with the same context and must not have
    /// been unpacked before, or both must be zero.
    unsafe fn unpack(context: &Self::Context, word: usize, tag: usize) -> Self::Value<'_>;

    /// Borrows a value from its packed form.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack) with the same context and must not be
    /// unpacked before the end of `'a`, or both must be zero.
    unsafe fn borrow<'a>(context: &'a Self::Context, word: usize, tag: usize) -> Self::Ref<'a>;
}

/// The lockdep class of the locks of one table.
#[pin_data]
struct LockdepMap {
    #[pin]
    map: Opaque<kernel::bindings::lockdep_map>,
    // After `map`, which refers to it.
    #[pin]
    key: LockClassKey,
}

// SAFETY: Only lockdep uses the map and the key, and does its own locking.
unsafe impl Send for LockdepMap {}
// SAFETY: Only lockdep uses the map and the key, and does its own locking.
unsafe impl Sync for LockdepMap {}

impl LockdepMap {
    /// Creates a lock class called `name`.
    ///
    /// # Context
    ///
    /// May sleep.
    fn new(name: &'static CStr) -> impl PinInit<Self> {
        pin_init!(&this in Self {
            key <- LockClassKey::new_dynamic(),
            // SAFETY: `key` is registered before this, and is unregistered after the last use of
            // `map`: both are fields of one pinned object. `name` is static.
            map <- Opaque::ffi_init(|slot| unsafe {
                let key = (&raw mut (*this.as_ptr()).key).cast();
                bindings::zram_rs_lockdep_init_map(slot, name.as_char_ptr(), key)
            }),
        })
    }
}

/// An entry of a [`LockedTable`].
///
/// # Invariants
///
/// While the lock is not held, `value` and the tag in `word` are a packed form that
/// [`Packed::pack`] returned for the context of the table and that was not unpacked, or zero.
#[repr(C)]
struct Entry<P: Packed> {
    /// Bit 0: the lock. Bit 1: a task may be waiting. Then the tag. The remaining bits belong to
    /// the owner of the lock.
    word: UnsafeCell<usize>,
    value: UnsafeCell<usize>,
    _value: PhantomData<P>,
}

const LOCK: usize = 1 << 0;
const TAG_SHIFT: u32 = 2;

// SAFETY: An entry owns its value, which is `Send`.
unsafe impl<P: Packed> Send for Entry<P> {}
// SAFETY: Only the thread that owns the lock has access to the value, which is `Send`.
unsafe impl<P: Packed> Sync for Entry<P> {}

// SAFETY: With all bits zero the lock is not held, and the type invariants allow a value and a tag
// of zero.
unsafe impl<P: Packed> Zeroable for Entry<P> {}

impl<P: Packed> Entry<P> {
    /// Takes out the packed form of the value and leaves zeroes, or returns `None` if the entry is
    /// locked.
    ///
    /// The entry is locked if its [`Guard`] was forgotten instead of dropped. The tag of the value
    /// is then lost, and the value leaks.
    ///
    /// # Context
    ///
    /// Any context.
    fn take(&mut self) -> Option<(usize, usize)> {
        let word = core::mem::take(self.word.get_mut());
        // INVARIANT: `value` and the tag in `word` are zero.
        let value = core::mem::take(self.value.get_mut());
        (word & LOCK == 0).then_some((value, Guard::<P>::tag_of(word)))
    }
}

/// A table of values, each with a lock, that initially are what zeroes are unpacked to.
///
/// # Invariants
///
/// `context` does not change.
///
/// # Examples
///
/// ```
/// use crate::abstractions::sync::bit_lock::{
///     LockedTable,
///     Packed, //
/// };
///
/// /// A number in memory of its own, or none.
/// struct Number;
///
/// // SAFETY: `pack` returns the address of a `KBox`, which `unpack` converts back and `borrow`
/// // dereferences; zeroes stand for `None`. The tag is zero.
/// unsafe impl Packed for Number {
///     type Context = ();
///     type Value<'a> = Option<KBox<u64>>;
///     type Ref<'a> = Option<&'a u64>;
///     const TAG_BITS: u32 = 0;
///
///     fn pack(_: &(), value: Option<KBox<u64>>) -> (usize, usize) {
///         (value.map_or(0, |number| KBox::into_raw(number) as usize), 0)
///     }
///
///     unsafe fn unpack(_: &(), word: usize, _: usize) -> Option<KBox<u64>> {
///         // SAFETY: By the safety requirements `word` is from `pack`, and is unpacked once.
///         (word != 0).then(|| unsafe { KBox::from_raw(word as *mut u64) })
///     }
///
///     unsafe fn borrow<'a>(_: &'a (), word: usize, _: usize) -> Option<&'a u64> {
///         // SAFETY: By the safety requirements `word` is zero, or from `pack` and not unpacked
///         // during `'a`.
///         unsafe { (word as *const u64).as_ref() }
///     }
/// }
///
/// let table = LockedTable::<Number>::new(1024, (), c"my_driver number");
/// let table = KBox::try_pin_init(table, GFP_KERNEL)?;
/// let mut entry = table.lock(7).ok_or(EINVAL)?;
/// assert!(entry.replace(Some(KBox::new(42, GFP_KERNEL)?)).is_none());
/// entry.set_bits(1);
/// drop(entry);
/// assert_eq!(table.lock(7).ok_or(EINVAL)?.value(), Some(&42));
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub(crate) struct LockedTable<P: Packed> {
    entries: ZeroedTable<Entry<P>>,
    #[pin]
    lockdep: LockdepMap,
    // Dropped after the entries, whose values borrow from it.
    context: P::Context,
}

impl<P: Packed> LockedTable<P> {
    /// Creates a table of `len` entries; lockdep reports call their locks `name`.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the table, which drops all values.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory, or `len` is 0.
    pub(crate) fn new(
        len: usize,
        context: P::Context,
        name: &'static CStr,
    ) -> impl PinInit<Self, Error> {
        const { assert!(size_of::<Entry<P>>() == 2 * size_of::<usize>()) };
        // INVARIANT: No method changes the context.
        try_pin_init!(Self {
            entries: ZeroedTable::new(len, Gfp::RETRY_MAYFAIL)?,
            lockdep <- LockdepMap::new(name),
            context,
        })
    }

    /// Returns the number of entries.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the data that all values share.
    ///
    /// # Context
    ///
    /// Any context.
    #[inline]
    pub(crate) fn context(&self) -> &P::Context {
        &self.context
    }

    /// Returns the tag of an entry; or `None` if it is not locked and its tag and its other bits
    /// are zero, or if `index` is beyond the end of the table.
    ///
    /// This does not lock the entry, which may change at any time.
    ///
    /// # Context
    ///
    /// Any context.
    #[inline]
    pub(crate) fn peek(&self, index: usize) -> Option<usize> {
        let entry = self.entries.get(index)?;
        // SAFETY: The word is valid and aligned, and lives as long as the table. While others have
        // a reference to the table, all accesses to the word are atomic.
        let word = unsafe { Atomic::<usize>::from_ptr(entry.word.get()) };
        let word = word.load(Relaxed);
        (word != 0).then(|| Guard::<P>::tag_of(word))
    }

    /// Locks an entry, or returns `None` if `index` is beyond the end of the table.
    ///
    /// # Context
    ///
    /// May sleep. Signals do not interrupt the wait.
    #[inline]
    pub(crate) fn lock(&self, index: usize) -> Option<Guard<'_, P>> {
        let entry = self.entries.get(index)?;
        let map = self.lockdep.map.get();
        // SAFETY: The word and the map are valid, and live as long as the table.
        let word = unsafe { bindings::zram_rs_bit_lock(entry.word.get(), map) };
        // SAFETY: This thread now owns the lock of `entry`, which is an entry of this table, and
        // `word` is its word.
        Some(unsafe { Guard::new(self, entry, word) })
    }

    /// Locks an entry, or returns `None` if it is locked or `index` is beyond the end of the table.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    #[inline]
    pub(crate) fn try_lock(&self, index: usize) -> Option<Guard<'_, P>> {
        let entry = self.entries.get(index)?;
        let map = self.lockdep.map.get();
        // SAFETY: The word and the map are valid, and live as long as the table.
        let word = unsafe { bindings::zram_rs_bit_trylock(entry.word.get(), map) };
        // SAFETY: A word other than zero means that this thread now owns the lock of `entry`, which
        // is an entry of this table; `word` is the word of the entry.
        (word != 0).then(|| unsafe { Guard::new(self, entry, word) })
    }
}

/// A [`LockedTable`] that nothing else uses, whose values tasks take without locks.
///
/// # Invariants
///
/// Only this object uses the table during `'a`.
///
/// # Context
///
/// Any context; [`take`](Self::take) does not sleep.
pub(crate) struct Drain<'a, P: Packed> {
    table: &'a LockedTable<P>,
    _exclusive: PhantomData<&'a mut LockedTable<P>>,
}

impl<P: Packed> LockedTable<P> {
    /// Returns what takes values out of the table, which has no other user meanwhile.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn drain(self: Pin<&mut Self>) -> Drain<'_, P> {
        // INVARIANT: The exclusive reference is borrowed for as long as the object exists.
        Drain {
            table: self.into_ref().get_ref(),
            _exclusive: PhantomData,
        }
    }
}

impl<P: Packed> Drain<'_, P> {
    /// Takes the value of an entry out, and leaves zeroes, if `f` returns `true` for its tag.
    ///
    /// Returns `None` if the entry is beyond the end of the table, if all of it is zero, if another
    /// task has taken its value, or if its [`Guard`] was forgotten instead of dropped.
    #[inline]
    pub(crate) fn take(&self, index: usize, f: impl FnOnce(usize) -> bool) -> Option<P::Value<'_>> {
        let entry = self.table.entries.get(index)?;
        // SAFETY: The word is valid and aligned, and lives as long as the table. By the type
        // invariants only this function accesses it, and does so atomically.
        let word = unsafe { Atomic::<usize>::from_ptr(entry.word.get()) };
        let old = word.load(Relaxed);
        if old == 0 || old & LOCK != 0 || !f(Guard::<P>::tag_of(old)) {
            return None;
        }
        word.cmpxchg(old, 0, Relaxed).ok()?;
        // INVARIANT: `value` and the tag are zero when this function returns.
        // SAFETY: By the type invariants only this function accesses `value`, and of the tasks that
        // call it only the one that has cleared the word comes here.
        let value = unsafe { core::mem::take(&mut *entry.value.get()) };
        // SAFETY: The entry was not locked, so that by its invariants this is a packed form that
        // was not unpacked. The word and the value are zero now.
        Some(unsafe { P::unpack(&self.table.context, value, Guard::<P>::tag_of(old)) })
    }
}

#[pinned_drop]
impl<P: Packed> PinnedDrop for LockedTable<P> {
    /// Drops all values.
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        for (index, entry) in this.entries.iter_mut().enumerate() {
            if let Some((value, tag)) = entry.take() {
                // SAFETY: The lock was not held, so that by the invariants of `Entry` this is a
                // packed form that was not unpacked. `take` has left zeroes in the entry.
                drop(unsafe { P::unpack(this.context, value, tag) });
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }
}

/// A locked entry of a [`LockedTable`], which is unlocked when dropped.
///
/// # Invariants
///
/// `entry` is an entry of `table`, and the thread that has the guard owns its lock. `value` of the
/// entry and the tag in `word` are a packed form that [`Packed::pack`] returned for the context of
/// the table and that was not unpacked, or zero.
///
/// # Context
///
/// Any context; neither the methods nor dropping sleep.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct Guard<'a, P: Packed> {
    table: &'a LockedTable<P>,
    entry: &'a Entry<P>,
    /// The new word of the entry, which is written on unlock.
    word: usize,
    _not_send: NotThreadSafe,
}

impl<'a, P: Packed> Guard<'a, P> {
    const TAG_MASK: usize = ((1 << P::TAG_BITS) - 1) << TAG_SHIFT;
    const BITS_SHIFT: u32 = TAG_SHIFT + P::TAG_BITS;

    /// Number of bits beside the value that the owner of the lock may use.
    pub(crate) const BITS: u32 = usize::BITS - Self::BITS_SHIFT;

    /// Creates the guard of an entry that the calling thread has locked.
    ///
    /// # Safety
    ///
    /// `entry` must be an entry of `table` whose lock the calling thread owns, and `word` must be
    /// its word.
    #[inline]
    unsafe fn new(table: &'a LockedTable<P>, entry: &'a Entry<P>, word: usize) -> Self {
        // INVARIANT: The thread owns the lock by the safety requirements. The value and the tag
        // are from `pack`, or zero, by the invariants of `Entry`: the lock was not held before.
        Self {
            table,
            entry,
            word,
            _not_send: NotThreadSafe,
        }
    }

    #[inline]
    fn tag_of(word: usize) -> usize {
        (word & Self::TAG_MASK) >> TAG_SHIFT
    }

    /// Returns the index of the entry.
    pub(crate) fn index(&self) -> usize {
        // By construction the entry is one of this table.
        let entries: *const Entry<P> = self.table.entries.as_ptr();
        (core::ptr::from_ref(self.entry).addr() - entries.addr()) / size_of::<Entry<P>>()
    }

    /// Returns the bits beside the value.
    #[inline]
    pub(crate) fn bits(&self) -> usize {
        self.word >> Self::BITS_SHIFT
    }

    /// Sets the [`BITS`](Self::BITS) bits beside the value.
    #[inline]
    pub(crate) fn set_bits(&mut self, bits: usize) {
        debug_assert!(bits >> Self::BITS == 0);
        // INVARIANT: The tag does not change.
        self.word = (bits << Self::BITS_SHIFT) | (self.word & (LOCK | Self::TAG_MASK));
    }

    /// Borrows the value.
    #[inline]
    pub(crate) fn value(&self) -> P::Ref<'_> {
        // SAFETY: By the type invariants this thread owns the lock, so that no other thread changes
        // `value`; it and the tag are from `pack`, or zero. Only methods that take `&mut self`
        // unpack the value.
        unsafe {
            P::borrow(
                &self.table.context,
                *self.entry.value.get(),
                Self::tag_of(self.word),
            )
        }
    }

    /// Replaces the value and returns the old one.
    #[inline]
    pub(crate) fn replace(&mut self, value: P::Value<'_>) -> P::Value<'a> {
        let (new, tag) = P::pack(&self.table.context, value);
        debug_assert!(tag >> P::TAG_BITS == 0);
        // SAFETY: By the type invariants this thread owns the lock, so that no other thread
        // accesses `value`.
        let old = unsafe { core::mem::replace(&mut *self.entry.value.get(), new) };
        let old_tag = Self::tag_of(self.word);
        // INVARIANT: `value` and the tag are the packed form of the new value.
        self.word = (self.word & !Self::TAG_MASK) | tag << TAG_SHIFT;
        // SAFETY: By the type invariants this is a packed form from `pack` that was not unpacked,
        // or zeroes. It was overwritten above, so it is not unpacked again.
        unsafe { P::unpack(&self.table.context, old, old_tag) }
    }
}

impl<P: Packed> Drop for Guard<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants this thread owns the lock, and `word` contains the tag of
        // the value.
        unsafe {
            bindings::zram_rs_bit_unlock(
                self.entry.word.get(),
                self.word,
                self.table.lockdep.map.get(),
            )
        };
    }
}

#[kunit_tests(zram_rs_bit_lock)]
mod tests {
    use super::*;
    use crate::abstractions::{
        kunit::Tasks,
        workqueue::with_scoped_work, //
    };
    use kernel::time::{
        delay::fsleep,
        Delta,
        Msecs, //
    };

    struct Numbers;

    // SAFETY: Any number is a value, and owns nothing.
    unsafe impl Packed for Numbers {
        type Context = ();
        type Value<'a> = usize;
        type Ref<'a> = usize;
        const TAG_BITS: u32 = 0;

        fn pack(_context: &(), number: usize) -> (usize, usize) {
            (number, 0)
        }

        unsafe fn unpack(_context: &(), number: usize, _tag: usize) -> usize {
            number
        }

        unsafe fn borrow<'a>(_context: &'a (), number: usize, _tag: usize) -> Self::Ref<'a> {
            number
        }
    }

    /// A lock that many tasks want at the same time.
    #[pin_data]
    struct Crowd {
        /// An entry that counts the turns.
        #[pin]
        table: LockedTable<Numbers>,
        /// How many tasks have asked for the lock.
        coming: Atomic<usize>,
    }

    impl Crowd {
        const TASKS: usize = 16;
        const TIMEOUT: Msecs = 120_000;

        fn new() -> impl PinInit<Self, Error> {
            try_pin_init!(Self {
                table <- LockedTable::new(1, (), c"zram_rs_kunit"),
                coming: Atomic::new(0),
            }? Error)
        }

        fn take_turns(tasks: &Tasks<Self>, turns: usize) {
            tasks.coming.add(1, Relaxed);
            for turn in 0..turns {
                let Some(mut guard) = tasks.table.lock(0) else {
                    return;
                };
                let count = guard.value();
                if count == 0 {
                    // The first owner unlocks when all others have fallen asleep.
                    while tasks.coming.load(Relaxed) < Self::TASKS && !tasks.are_over() {
                        fsleep(Delta::from_millis(1));
                    }
                    fsleep(Delta::from_millis(20));
                } else if turn % 16 == 15 {
                    // Long enough for the others to fall asleep again.
                    fsleep(Delta::from_micros(50));
                }
                let _ = guard.replace(count + 1);
            }
        }
    }

    /// Tasks that drain a table at the same time get each value once, and those that they want.
    #[test]
    fn each_value_is_taken_once() -> Result {
        const LEN: usize = 4096;
        let table = LockedTable::<Numbers>::new(LEN, (), c"zram_rs_kunit");
        let mut table = KBox::try_pin_init(table, GFP_KERNEL)?;
        for index in (0..LEN).step_by(2) {
            let mut guard = table.lock(index).ok_or(EINVAL)?;
            let _ = guard.replace(index + 1);
            guard.set_bits(1);
        }
        let drain = table.as_mut().drain();
        assert!((0..LEN).all(|index| drain.take(index, |_| false).is_none()));
        // As if another task took the value when this one has looked at the entry.
        let mut first = None;
        let second = drain.take(0, |_| {
            first = drain.take(0, |_| true);
            true
        });
        assert_eq!((first, second), (Some(1), None));
        let (sum, count) = (Atomic::new(0), Atomic::new(0));
        let take_all = || {
            for index in 0..=LEN {
                if let Some(value) = drain.take(index, |tag| tag == 0) {
                    sum.add(value, Relaxed);
                    count.add(1, Relaxed);
                }
                cond_resched();
            }
        };
        let mut help = take_all;
        with_scoped_work(1, &mut help, take_all);
        assert_eq!(count.load(Relaxed), LEN / 2 - 1);
        let wanted = (2..LEN).step_by(2).map(|index| index + 1).sum();
        assert_eq!(sum.load(Relaxed), wanted);
        for index in 0..LEN {
            assert_eq!(table.peek(index), None);
            assert_eq!(table.lock(index).ok_or(EINVAL)?.value(), 0);
        }
        Ok(())
    }

    /// All tasks but the first sleep when the first one unlocks. With one turn each, no other task
    /// comes that could wake them: each has to wake the next.
    #[test]
    fn many_tasks_take_turns() -> Result {
        for turns in [1, 1, 1, 1, 64, 512] {
            let crowd = Tasks::new(Crowd::new())?;
            for _ in 0..Crowd::TASKS {
                crowd.spawn(move |crowd| Crowd::take_turns(crowd, turns))?;
            }
            // A task that is not woken sleeps on, and keeps what it sleeps on.
            assert_eq!(crowd.wait(Crowd::TIMEOUT), 0);
            let guard = crowd.table.try_lock(0).ok_or(EBUSY)?;
            assert_eq!(guard.value(), Crowd::TASKS * turns);
        }
        Ok(())
    }
}
