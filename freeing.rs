// SPDX-License-Identifier: GPL-2.0

//! Frees pages: those of a discard, those that swap does not need any more, and all at a reset.
//!
//! Most of the time of freeing a page is that of `zs_free`, which waits for memory: for the object,
//! its zspage and the descriptor of its page. Only other processors can do something meanwhile.
//! Tasks share the objects by their size class, so that none waits for the lock of another's class.

use crate::{
    abstractions::{
        block::bio::Bio,
        sched::{
            cond_resched,
            num_online_cpus, //
        },
        workqueue::with_scoped_work, //
    },
    slot::{
        Content,
        Peek,
        UnusedSlots, //
    },
    stats::FootprintSum,
    store::Store,
    zspool::Pool, //
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Number of slots after which a task counts what it has freed, and lets other tasks run.
const PART: usize = 512;
/// Number of slots that are worth a task of their own: they take about 2 ms.
const SLOTS_OF_TASK: usize = 8192;
/// Maximum number of tasks that help to free a range: each looks at all slots.
const MAX_HELPERS: usize = 3;
/// Number of shares of a range for each task, so that none waits for long for the last one.
const SHARES_OF_TASK: usize = 2;
/// Number of bytes by which objects in neighbouring size classes differ at least.
const STEP: usize = PAGE_SIZE / 512;

/// Calls `during`, and calls `f` with each number below `shares`, once.
///
/// This task and up to `helpers` workers take the numbers by turns. This task calls `during` first;
/// the workers do not wait for it. All calls have ended when this function returns.
///
/// # Context
///
/// May sleep, but not for memory.
fn share_out<R>(
    shares: usize,
    helpers: usize,
    during: impl FnOnce() -> R,
    f: impl Fn(usize) + Sync,
) -> R {
    let next = Atomic::new(0);
    let work = || loop {
        let share = next.fetch_add(1, Relaxed);
        if share >= shares {
            break;
        }
        f(share);
    };
    with_helpers(helpers, &work, || {
        let result = during();
        work();
        result
    })
}

/// Calls `f` while up to `helpers` workers call `help`, and returns the result of `f`.
fn with_helpers<H, F, R>(helpers: usize, help: &H, f: F) -> R
where
    H: Fn() + Sync,
    F: FnOnce() -> R,
{
    if helpers == 0 {
        return f();
    }
    with_scoped_work(helpers as u32, &mut || help(), || {
        with_helpers(helpers - 1, help, f)
    })
}

/// Returns how many workers are to help to free `slots` slots.
fn helpers_for(slots: usize) -> usize {
    (slots / SLOTS_OF_TASK)
        .saturating_sub(1)
        .min(MAX_HELPERS)
        .min(num_online_cpus() as usize - 1)
}

/// The division of what there is to free into shares.
///
/// Tasks that free objects of the same size class would wait for the lock of that class. So each
/// share consists of some classes.
struct Shares {
    count: usize,
    /// The share of the objects of a size, by the size in steps. Each task looks at all slots. It
    /// must not ask zsmalloc for the class of each object.
    of_size: [u8; PAGE_SIZE / STEP + 1],
}

impl Shares {
    /// Divides what `helpers` and a task free.
    fn new(pool: &Pool, helpers: usize) -> Self {
        let count = (helpers + 1) * SHARES_OF_TASK;
        let mut of_size = [0; PAGE_SIZE / STEP + 1];
        for (step, share) in of_size.iter_mut().enumerate() {
            *share = (pool.class(step * STEP) as usize % count) as u8;
        }
        Self { count, of_size }
    }

    /// Returns whether a share has what there is to free in a slot.
    fn has(&self, share: usize, peek: Peek) -> bool {
        match peek {
            Peek::Object(size) => self
                .of_size
                .get(size.div_ceil(STEP))
                .is_none_or(|&of| usize::from(of) == share),
            _ => share == 0,
        }
    }
}

/// Frees what there is in `len` slots, as far as `is_mine` returns `true` for it.
fn free_each(slots: &UnusedSlots<'_>, len: usize, is_mine: impl Fn(Peek) -> bool) {
    for start in (0..len).step_by(PART) {
        for index in start..len.min(start + PART) {
            slots.free(index, &is_mine);
        }
        cond_resched();
    }
}

impl Store {
    /// Frees the pages that lie within the range of a bio; pages that the range covers in part stay
    /// as they are.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn discard_bio(&self, bio: &Bio<'_>) {
        let (start, len) = bio.range();
        let end = (start + len as u64) >> PAGE_SHIFT;
        let start = start.div_ceil(PAGE_SIZE as u64) as usize;
        let end = self.table.len().min(end as usize);
        let slots = end.saturating_sub(start);
        // First, so that a reader who finds the memory of the pages free finds them counted, too.
        self.stats.notify_free.add(slots);
        self.free_range(start..end, helpers_for(slots), || ());
    }

    /// Frees all pages, and returns the result of `during`, which this task calls meanwhile.
    ///
    /// A page that is written during the call may stay. `sleeps` tells whether `during` may sleep
    /// for long.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn free_all<R>(&self, sleeps: bool, during: impl FnOnce() -> R) -> R {
        let slots = self.table.len();
        // Without another processor, a helper makes use of the time that `during` sleeps.
        let helpers = helpers_for(slots).max(usize::from(sleeps && slots > SLOTS_OF_TASK));
        self.free_range(0..slots, helpers, during)
    }

    /// Frees the pages of a store that nothing else uses, without locks and without counting.
    ///
    /// Few pages, for which there is no helper, are left to dropping the store.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn free_unused(self: Pin<&mut Self>) {
        let len = self.table.len();
        let helpers = helpers_for(len);
        if helpers == 0 {
            return;
        }
        let shares = Shares::new(self.pool(), helpers);
        let slots = self.unused_slots();
        share_out(
            shares.count,
            helpers,
            || (),
            |share| {
                free_each(&slots, len, |peek| shares.has(share, peek));
            },
        );
    }

    /// Frees the pages of a range of slots with some helpers, and returns the result of `during`.
    fn free_range<R>(&self, range: Range<usize>, helpers: usize, during: impl FnOnce() -> R) -> R {
        if helpers == 0 {
            let result = during();
            self.free_slots(range, |_| true);
            return result;
        }
        let shares = Shares::new(self.pool(), helpers);
        let result = share_out(shares.count, helpers, during, |share| {
            self.free_slots(range.clone(), |peek| shares.has(share, peek));
        });
        // What was recompressed meanwhile may have escaped all of them.
        self.free_slots(range, |_| true);
        result
    }

    /// Frees a page that swap does not need any more, unless its slot is locked.
    ///
    /// # Context
    ///
    /// Atomic context.
    pub(crate) fn free_notify(&self, index: usize) {
        self.stats.notify_free.add(1);
        match self.table.try_lock(index) {
            Some(mut slot) => {
                let old = slot.replace(Content::Empty);
                drop(slot);
                self.free(old);
            }
            None => self.stats.miss_free.add(1),
        }
    }

    /// Frees the pages of those slots of a range for which `is_mine` returns `true`.
    ///
    /// The counters change once for a part of the range.
    fn free_slots(&self, range: Range<usize>, is_mine: impl Fn(Peek) -> bool) {
        for start in range.clone().step_by(PART) {
            let mut freed = FootprintSum::default();
            for index in start..range.end.min(start + PART) {
                let peek = self.table.peek(index);
                if peek == Peek::Pristine || !is_mine(peek) {
                    continue;
                }
                let Some(mut slot) = self.table.lock(index) else {
                    break;
                };
                let old = slot.replace(Content::Empty);
                drop(slot);
                freed.add(old.footprint());
                self.dispose(old);
            }
            self.stats.uncount(&freed);
            cond_resched();
        }
    }
}

#[kunit_tests(zram_rs_freeing)]
mod tests {
    use super::*;
    use kernel::time::{
        delay::fsleep,
        Delta, //
    };

    #[test]
    fn each_share_is_taken_once() {
        const MAX: usize = 8;
        for (shares, helpers) in [(0, 0), (0, 1), (1, 0), (1, 1), (4, 1), (MAX, 3), (MAX, 7)] {
            let takers = [const { Atomic::new(0_usize) }; MAX];
            let result = share_out(
                shares,
                helpers,
                || 42,
                |share| {
                    if let Some(taker) = takers.get(share) {
                        taker.add(1, Relaxed);
                    }
                    assert!(share < shares);
                    cond_resched();
                },
            );
            assert_eq!(result, 42);
            for (share, taker) in takers.iter().enumerate() {
                assert_eq!(taker.load(Relaxed), usize::from(share < shares));
            }
        }
    }

    /// Helpers begin while the task does something else.
    #[test]
    fn helpers_do_not_wait() {
        let taken = Atomic::new(0);
        let before = share_out(
            2,
            1,
            || {
                for _ in 0..60_000 {
                    if taken.load(Relaxed) == 2 {
                        break;
                    }
                    fsleep(Delta::from_millis(1));
                }
                taken.load(Relaxed)
            },
            |_| taken.add(1, Relaxed),
        );
        assert_eq!(before, 2);
    }

    #[test]
    fn few_slots_get_no_helper() {
        assert_eq!(helpers_for(0), 0);
        assert_eq!(helpers_for(2 * SLOTS_OF_TASK - 1), 0);
        assert!(helpers_for(usize::MAX) <= MAX_HELPERS);
    }
}
