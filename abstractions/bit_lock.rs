// SPDX-License-Identifier: GPL-2.0

//! Tables of many small values, each of which has a lock of one bit.
//!
//! An entry of a [`LockedTable`] takes two machine words. One holds the lock bit, a tag, and bits
//! that the owner of the lock may use as it likes; the other holds a value. Tag and word together
//! are the packed form of a value: see [`Packed`]. The lock sleeps, using the kernel's bit-wait
//! queues, and lockdep sees it.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use super::{
    alloc::Gfp,
    sched::cond_resched,
    table::ZeroedTable, //
};
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

/// A kind of values that fit into a word and a tag of some bits.
///
/// The values of a table may have something in common that is not packed, such as the allocator
/// that their memory is from: the table owns it as its context.
///
/// # Safety
///
/// - `unpack` and `borrow` must be sound when called with what `pack` returned for the same
///   context, or with zeroes.
/// - `pack` must return a tag of at most [`TAG_BITS`](Self::TAG_BITS) bits.
pub(crate) unsafe trait Packed: 'static {
    /// What all values of a table have in common.
    type Context: Send + Sync;

    /// A value, which may borrow from the context.
    type Value<'a>: Send;

    /// A borrowed value.
    type Ref<'a>;

    /// How many bits a tag has.
    const TAG_BITS: u32;

    /// Gives up a value for its packed form.
    fn pack(context: &Self::Context, value: Self::Value<'_>) -> (usize, usize);

    /// Gets a value back.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack) with the same context, and may be
    /// unpacked once; or both must be zero.
    unsafe fn unpack(context: &Self::Context, word: usize, tag: usize) -> Self::Value<'_>;

    /// Borrows a value from its packed form.
    ///
    /// # Safety
    ///
    /// `word` and `tag` must come from [`pack`](Self::pack) with the same context, and not be
    /// unpacked during `'a`; or both must be zero.
    unsafe fn borrow<'a>(context: &'a Self::Context, word: usize, tag: usize) -> Self::Ref<'a>;
}

/// What lockdep knows of the locks of one table.
#[pin_data]
struct LockdepMap {
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
    /// Makes a lock class of its own, called `name`. May sleep.
    fn new(name: &'static CStr) -> impl PinInit<Self> {
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

/// A lock, a value, and some bits.
///
/// # Invariants
///
/// While the lock is not held, `value` and the tag in `word` are what [`Packed::pack`] returned for
/// the context of the table, and have not been unpacked, or zero.
#[repr(C)]
struct Entry<P: Packed> {
    /// Bit 0: the lock. Bit 1: a task may be waiting. Then the tag; the others belong to the owner
    /// of the lock.
    word: UnsafeCell<usize>,
    value: UnsafeCell<usize>,
    _value: PhantomData<P>,
}

const LOCK: usize = 1 << 0;
const TAG_SHIFT: u32 = 2;

// SAFETY: The lock makes sure that one thread at a time has access to the value, and a value may be
// sent to another thread.
unsafe impl<P: Packed> Send for Entry<P> {}
// SAFETY: As for `Send`.
unsafe impl<P: Packed> Sync for Entry<P> {}

// SAFETY: All zeroes is an unlocked lock, and zeroes are allowed by the type invariants.
unsafe impl<P: Packed> Zeroable for Entry<P> {}

impl<P: Packed> Entry<P> {
    /// Takes out the packed form of the value and leaves all zeroes. Any context.
    ///
    /// A guard that was forgotten instead of dropped took along what it knew of the value: then the
    /// value is leaked.
    fn take(&mut self) -> Option<(usize, usize)> {
        let word = core::mem::take(self.word.get_mut());
        // INVARIANT: Zeroes.
        let value = core::mem::take(self.value.get_mut());
        (word & LOCK == 0).then_some((value, Guard::<P>::tag_of(word)))
    }
}

/// A table of values that start out as all zeroes.
///
/// # Invariants
///
/// `context` stays the same.
#[pin_data(PinnedDrop)]
pub(crate) struct LockedTable<P: Packed> {
    entries: ZeroedTable<Entry<P>>,
    #[pin]
    lockdep: LockdepMap,
    // After the entries, whose values borrow from it.
    context: P::Context,
}

impl<P: Packed> LockedTable<P> {
    /// Makes a table of `len` values, whose locks lockdep knows as `name`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if `len` is 0.
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

    /// Returns how many entries there are. Any context.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns what the values have in common. Any context.
    #[inline]
    pub(crate) fn context(&self) -> &P::Context {
        &self.context
    }

    /// Locks an entry, or returns `None` if there is no such entry.
    ///
    /// # Context
    ///
    /// May sleep, and is not woken by signals.
    #[inline]
    pub(crate) fn lock(&self, index: usize) -> Option<Guard<'_, P>> {
        let entry = self.entries.get(index)?;
        let map = self.lockdep.map.get();
        // SAFETY: The word is valid, and both it and the map live as long as the table.
        let word = unsafe { bindings::zram_rs_bit_lock(entry.word.get(), map) };
        // SAFETY: This thread now owns the lock.
        Some(unsafe { Guard::new(self, entry, word) })
    }

    /// Locks an entry, or returns `None` if it is locked already or there is no such entry.
    ///
    /// # Context
    ///
    /// Any: it does not wait.
    #[inline]
    pub(crate) fn try_lock(&self, index: usize) -> Option<Guard<'_, P>> {
        let entry = self.entries.get(index)?;
        let map = self.lockdep.map.get();
        // SAFETY: The word is valid, and both it and the map live as long as the table.
        let word = unsafe { bindings::zram_rs_bit_trylock(entry.word.get(), map) };
        // SAFETY: A word that is not zero says that this thread owns the lock.
        (word != 0).then(|| unsafe { Guard::new(self, entry, word) })
    }
}

#[pinned_drop]
impl<P: Packed> PinnedDrop for LockedTable<P> {
    /// Drops all values. May sleep.
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        for (index, entry) in this.entries.iter_mut().enumerate() {
            if let Some((value, tag)) = entry.take() {
                // SAFETY: By the invariants of `Entry`, as the lock was not held; `take` has left
                // zeroes.
                drop(unsafe { P::unpack(this.context, value, tag) });
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }
}

/// The proof of having locked an entry, which unlocks it when dropped. Neither that nor any method
/// sleeps.
///
/// # Invariants
///
/// `entry` is an entry of `table`, and the thread that has the guard owns its lock. `value` of the
/// entry and the tag in `word` are what [`Packed::pack`] returned for the context of the table, and
/// have not been unpacked, or zero.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct Guard<'a, P: Packed> {
    table: &'a LockedTable<P>,
    entry: &'a Entry<P>,
    /// What the word of the entry is to be; written back on unlock.
    word: usize,
    _not_send: NotThreadSafe,
}

impl<'a, P: Packed> Guard<'a, P> {
    const TAG_MASK: usize = ((1 << P::TAG_BITS) - 1) << TAG_SHIFT;
    const BITS_SHIFT: u32 = TAG_SHIFT + P::TAG_BITS;

    /// How many bits beside the value the owner of a lock may use.
    pub(crate) const BITS: u32 = usize::BITS - Self::BITS_SHIFT;

    /// # Safety
    ///
    /// `entry` must be an entry of `table` whose lock the calling thread owns, and `word` must be
    /// its word.
    #[inline]
    unsafe fn new(table: &'a LockedTable<P>, entry: &'a Entry<P>, word: usize) -> Self {
        // INVARIANT: By the safety requirements and the type invariants of `Entry`.
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

    /// Returns the bits beside the value.
    #[inline]
    pub(crate) fn bits(&self) -> usize {
        self.word >> Self::BITS_SHIFT
    }

    /// Sets the bits beside the value, of which there are [`BITS`](Self::BITS).
    #[inline]
    pub(crate) fn set_bits(&mut self, bits: usize) {
        debug_assert!(bits >> Self::BITS == 0);
        // INVARIANT: The tag stays as it is.
        self.word = (bits << Self::BITS_SHIFT) | (self.word & (LOCK | Self::TAG_MASK));
    }

    /// Borrows the value.
    #[inline]
    pub(crate) fn value(&self) -> P::Ref<'_> {
        // SAFETY: By the type invariants this thread owns the lock, so that `value` does not
        // change, and the value is only unpacked with `&mut self`.
        unsafe {
            P::borrow(
                &self.table.context,
                *self.entry.value.get(),
                Self::tag_of(self.word),
            )
        }
    }

    /// Puts in another value and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&mut self, value: P::Value<'_>) -> P::Value<'a> {
        let (new, tag) = P::pack(&self.table.context, value);
        debug_assert!(tag >> P::TAG_BITS == 0);
        // SAFETY: By the type invariants this thread owns the lock, so that no other one looks at
        // `value`.
        let old = unsafe { core::mem::replace(&mut *self.entry.value.get(), new) };
        let old_tag = Self::tag_of(self.word);
        // INVARIANT: `value` and the tag are the packed form of the new value.
        self.word = (self.word & !Self::TAG_MASK) | tag << TAG_SHIFT;
        // SAFETY: By the type invariants, and this form of the value was just overwritten.
        unsafe { P::unpack(&self.table.context, old, old_tag) }
    }
}

impl<P: Packed> Drop for Guard<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants this thread owns the lock, and the word has the tag that
        // belongs to the value.
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
    use kernel::{
        new_condvar,
        new_mutex,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc,
            CondVar,
            CondVarTimeoutResult,
            Mutex, //
        },
        time::{
            delay::fsleep,
            msecs_to_jiffies,
            Delta,
            Msecs, //
        },
        workqueue, //
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

    /// Many tasks that want one lock at the same time.
    #[pin_data]
    struct Crowd {
        /// An entry that counts the turns.
        #[pin]
        table: LockedTable<Numbers>,
        /// How many times each task locks.
        turns: usize,
        /// How many tasks have asked for the lock.
        coming: Atomic<usize>,
        /// Whether the test has given up.
        over: Atomic<bool>,
        /// How many tasks have turns left.
        #[pin]
        left: Mutex<usize>,
        #[pin]
        done: CondVar,
    }

    impl Crowd {
        const TASKS: usize = 16;
        const TIMEOUT: Msecs = 120_000;

        fn new(turns: usize) -> impl PinInit<Self, Error> {
            try_pin_init!(Self {
                table <- LockedTable::new(1, (), c"zram_rs_kunit"),
                turns,
                coming: Atomic::new(0),
                over: Atomic::new(false),
                left <- new_mutex!(Self::TASKS),
                done <- new_condvar!(),
            }? Error)
        }

        fn take_part(&self) {
            self.coming.add(1, Relaxed);
            for turn in 0..self.turns {
                let Some(mut guard) = self.table.lock(0) else {
                    return;
                };
                let count = guard.value();
                if count == 0 {
                    // The first owner unlocks when all others have fallen asleep.
                    while self.coming.load(Relaxed) < Self::TASKS && !self.over.load(Relaxed) {
                        fsleep(Delta::from_millis(1));
                    }
                    fsleep(Delta::from_millis(20));
                } else if turn % 16 == 15 {
                    // Long enough for the others to fall asleep again.
                    fsleep(Delta::from_micros(50));
                }
                let _ = guard.replace(count + 1);
            }
            *self.left.lock() -= 1;
            self.done.notify_all();
        }

        /// Waits until all tasks have had their turns; returns how many have not in time.
        fn wait(&self) -> usize {
            let mut left = self.left.lock();
            let mut jiffies = msecs_to_jiffies(Self::TIMEOUT);
            while *left > 0 {
                match self.done.wait_interruptible_timeout(&mut left, jiffies) {
                    CondVarTimeoutResult::Woken { jiffies: rest } => jiffies = rest,
                    _ => break,
                }
            }
            self.over.store(true, Relaxed);
            *left
        }
    }

    /// All tasks but the first sleep when the first one unlocks. With one turn each, no other task
    /// comes that could wake them: each has to wake the next.
    #[test]
    fn many_tasks_take_turns() -> Result {
        for turns in [1, 1, 1, 1, 64, 512] {
            let crowd = Arc::pin_init(Crowd::new(turns), GFP_KERNEL)?;
            for _ in 0..Crowd::TASKS {
                let task = crowd.clone();
                workqueue::system_unbound().try_spawn(GFP_KERNEL, move || task.take_part())?;
            }
            // A task that is not woken sleeps on, and keeps what it sleeps on.
            assert_eq!(crowd.wait(), 0);
            let guard = crowd.table.try_lock(0).ok_or(EBUSY)?;
            assert_eq!(guard.value(), Crowd::TASKS * turns);
        }
        Ok(())
    }
}
