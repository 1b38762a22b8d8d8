// SPDX-License-Identifier: GPL-2.0

//! Large bios: the task that submits one, and helpers on idle CPUs, share its pages.
//!
//! A large folio reaches the disk as one bio, whose submitter waits for it. The submitter and its
//! helpers take the pages from the front, a few at a time, until all are taken. A helper waits
//! neither for memory nor for what another task has, and does not read from the backing device: it
//! leaves pages that need this to the submitter, which processes them at the end.

use crate::abstractions::{
    block::bio::{
        PageSegment,
        PageSegments, //
    },
    helpers::Helpers,
    parameter,
    sched::{
        is_alone,
        num_online_cpus, //
    },
};
use kernel::{
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
};
use pin_init::stack_pin_init;

/// The number of bytes for which one more CPU takes part.
const BYTES_PER_CPU: usize = 64 << 10;

/// The largest number of pages that a CPU takes at a time.
const MAX_CHUNK: usize = 8;

/// The largest number of pages that are shared at a time; a larger bio is processed in parts.
const MAX_PAGES: usize = 512;

/// What has become of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The page is done.
    Done,
    /// The page is left to the submitter.
    Left,
    /// The page is left to the submitter, and the helper is to take no others.
    Ended,
}

/// A set of pages, by their position in the bio.
struct Pages([Atomic<usize>; MAX_PAGES / BITS]);

const BITS: usize = usize::BITS as usize;

impl Pages {
    const fn new() -> Self {
        Self([const { Atomic::new(0) }; MAX_PAGES / BITS])
    }

    /// Adds a page.
    fn add(&self, page: usize) {
        if let Some(word) = self.0.get(page / BITS) {
            let mut old = word.load(Relaxed);
            while let Err(now) = word.cmpxchg(old, old | 1 << (page % BITS), Relaxed) {
                old = now;
            }
        }
    }

    /// Returns whether the set has a page.
    fn has(&self, page: usize) -> bool {
        let word = self.0.get(page / BITS);
        word.is_some_and(|word| word.load(Relaxed) >> (page % BITS) & 1 != 0)
    }
}

/// The pages that have not been taken yet.
struct Remaining<'a> {
    segments: PageSegments<'a>,
    /// The position of the first of them.
    first: usize,
}

/// The pages of a bio, or of a part of it, which several CPUs process.
#[pin_data]
struct Job<'a> {
    #[pin]
    remaining: SpinLock<Remaining<'a>>,
    /// Those that were taken and are left to the submitter.
    left: Pages,
    /// Whether a page has failed.
    failed: Atomic<bool>,
    cpus: usize,
}

impl<'a> Job<'a> {
    fn new(segments: PageSegments<'a>, cpus: usize) -> impl PinInit<Self> {
        pin_init!(Self {
            remaining <- new_spinlock!(Remaining { segments, first: 0 }, "zram_rs large bio"),
            left: Pages::new(),
            failed: Atomic::new(false),
            cpus,
        })
    }

    /// Takes the next pages, and returns them along with the position of the first one.
    ///
    /// Towards the end there are fewer at a time, so that no CPU has to wait long for another one.
    fn take(&self) -> Option<(usize, PageSegments<'a>)> {
        if self.failed.load(Relaxed) {
            return None;
        }
        let mut remaining = self.remaining.lock();
        let count = remaining.segments.count_left();
        if count == 0 {
            return None;
        }
        let share = count.checked_div(2 * self.cpus).unwrap_or(count);
        let count = share.clamp(1, MAX_CHUNK);
        let first = remaining.first;
        remaining.first += count;
        Some((first, remaining.segments.split_first(count)))
    }

    /// Processes pages until all are taken, or a page fails.
    fn process(&self, f: impl Fn(&PageSegment<'_>) -> Result<Outcome>) -> Result {
        while let Some((first, segments)) = self.take() {
            for (at, segment) in (first..).zip(segments) {
                let outcome = f(&segment).inspect_err(|_| self.failed.store(true, Relaxed))?;
                if outcome != Outcome::Done {
                    self.left.add(at);
                }
            }
        }
        Ok(())
    }

    /// Processes pages until all are taken, a page fails or ends it, or the CPU has something else
    /// to do; returns whether any page was taken.
    fn help(&self, f: impl Fn(&PageSegment<'_>) -> Result<Outcome>) -> bool {
        let mut helped = false;
        while let Some((first, segments)) = self.take() {
            helped = true;
            let mut stop = false;
            for (at, segment) in (first..).zip(segments) {
                let outcome = if stop { Ok(Outcome::Left) } else { f(&segment) };
                match outcome {
                    Ok(Outcome::Done) => continue,
                    Ok(Outcome::Left) => (),
                    Ok(Outcome::Ended) => stop = true,
                    // The submitter finds out itself whether it fails.
                    Err(_) => stop = true,
                }
                self.left.add(at);
            }
            if stop || !is_alone() {
                break;
            }
        }
        helped
    }
}

/// Returns whether the pages of a bio of so many bytes are to be shared, if that pays from `mark`
/// bytes on. Any context.
#[inline]
pub(crate) fn is_large(bytes: usize, mark: usize) -> bool {
    bytes >= mark && bytes > PAGE_SIZE && max_cpus() > 1
}

/// Returns the number of CPUs that may take part.
fn max_cpus() -> u32 {
    num_online_cpus().min(parameter::helpers().saturating_add(1))
}

/// Processes the pages of a large bio: by `own` in the calling task, by `help` in helpers, and by
/// `rest`, in the calling task and in ascending order, those that these have left.
///
/// # Context
///
/// May sleep. The functions are called without locks; `help` must not wait for memory or for
/// another task.
///
/// # Errors
///
/// The first error of `own` and `rest`. Other pages may have been processed then, before and after
/// the one that failed.
pub(crate) fn for_each_page(
    helpers: &Helpers,
    mut segments: PageSegments<'_>,
    own: impl Fn(&PageSegment<'_>) -> Result<Outcome>,
    help: impl Fn(&PageSegment<'_>) -> Result<Outcome> + Sync,
    mut rest: impl FnMut(&PageSegment<'_>) -> Result,
) -> Result {
    loop {
        let part = segments.split_first(MAX_PAGES);
        let count = part.count_left();
        if count == 0 {
            return Ok(());
        }
        let cpus = (count * PAGE_SIZE) / BYTES_PER_CPU;
        let cpus = max_cpus().min(cpus.max(2) as u32);
        stack_pin_init!(let job = Job::new(part.clone(), cpus as usize));
        let job = &*job;
        helpers.share(cpus.saturating_sub(1), &|| job.help(&help), || {
            job.process(&own)
        })?;
        for (at, segment) in part.enumerate() {
            if job.left.has(at) {
                rest(&segment)?;
            }
        }
    }
}

#[kunit_tests(zram_rs_spread)]
mod tests {
    use super::*;
    use crate::abstractions::{
        block::bio::with_test_segments,
        sched::cond_resched, //
    };
    /// Counts for each page of a bio.
    struct Counts(KVec<Atomic<i32>>);

    impl Counts {
        fn new(pages: usize) -> Result<Self> {
            let mut counts = KVec::new();
            for _ in 0..pages {
                counts.push(Atomic::new(0), GFP_KERNEL)?;
            }
            Ok(Self(counts))
        }

        fn add(&self, segment: &PageSegment<'_>) {
            if let Some(count) = self.0.get(segment.index) {
                count.add(1, Relaxed);
            }
        }

        fn are(&self, wanted: impl Fn(usize) -> i32) -> bool {
            (0..)
                .zip(&self.0)
                .all(|(page, count)| count.load(Relaxed) == wanted(page))
        }
    }

    const SIZES: [usize; 8] = [1, 2, 15, 16, 17, 500, 512, 1100];

    #[test]
    fn each_page_once() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        for pages in SIZES {
            let (counts, rests) = (Counts::new(pages)?, Counts::new(pages)?);
            let one = |segment: &PageSegment<'_>| {
                counts.add(segment);
                cond_resched();
                Ok(Outcome::Done)
            };
            with_test_segments(pages as u16, |segments| {
                for_each_page(&helpers, segments, one, one, |segment| {
                    rests.add(segment);
                    Ok(())
                })
            })??;
            assert!(counts.are(|_| 1));
            assert!(rests.are(|_| 0));
        }
        Ok(())
    }

    #[test]
    fn what_is_left_is_done_in_order() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        for pages in SIZES {
            let (counts, rests) = (Counts::new(pages)?, Counts::new(pages)?);
            let own = |segment: &PageSegment<'_>| {
                cond_resched();
                if segment.index % 3 == 0 {
                    return Ok(Outcome::Left);
                }
                counts.add(segment);
                Ok(Outcome::Done)
            };
            let help = |segment: &PageSegment<'_>| match segment.index % 5 {
                4 => Ok(Outcome::Ended),
                _ => own(segment),
            };
            let mut next = 0;
            with_test_segments(pages as u16, |segments| {
                for_each_page(&helpers, segments, own, help, |segment| {
                    rests.add(segment);
                    assert!(segment.index >= next);
                    next = segment.index + 1;
                    Ok(())
                })
            })??;
            for page in 0..pages {
                let all = [&counts, &rests]
                    .map(|counts| counts.0.get(page).map_or(0, |count| count.load(Relaxed)));
                assert_eq!(all[0] + all[1], 1);
            }
        }
        Ok(())
    }

    #[test]
    fn an_error_ends_it() -> Result {
        let helpers = Helpers::new(c"zram_rs_kunit")?;
        for bad in [0, 7, 39] {
            let counts = Counts::new(40)?;
            let own = |segment: &PageSegment<'_>| {
                if segment.index == bad {
                    return Err(EIO);
                }
                counts.add(segment);
                Ok(Outcome::Done)
            };
            // Whether the submitter or a helper takes the page.
            let result = with_test_segments(40, |segments| {
                for_each_page(&helpers, segments, own, own, |segment| {
                    own(segment).map(drop)
                })
            })?;
            assert_eq!(result, Err(EIO));
            assert!(counts.0.iter().all(|count| count.load(Relaxed) <= 1));
        }
        Ok(())
    }
}
