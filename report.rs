// SPDX-License-Identifier: GPL-2.0

//! The file `stats`: what else is known of a disk, a line for each number.

use crate::{
    abstractions::sched::{
        boottime_seconds,
        check_signals, //
    },
    comp::Priority,
    device::{
        ConfigHandle,
        Device, //
    },
    events::Event,
    latency::Histogram,
    slot::{
        SlotGuard,
        View, //
    },
    store::Store,
    tiering::{
        TieringStat,
        TurnEnd, //
    },
};
use kernel::{
    fmt::Write,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter,
    sync::atomic::Relaxed, //
};

/// Number of pages to count with one lock of the configuration.
const PAGES: usize = 16 << 10;

/// The classes of ages: their names, and the seconds since the last access that they end with.
const AGES: [(&str, u32); 6] = [
    ("1m", 60),
    ("10m", 600),
    ("1h", 3600),
    ("6h", 6 * 3600),
    ("1d", 24 * 3600),
    ("more", u32::MAX),
];

/// The number of pages of each kind.
#[derive(Default, PartialEq, Eq, Debug)]
struct Census {
    /// Compressed pages in memory, by the priority of their algorithm.
    compressed: [u64; Priority::COUNT],
    huge: u64,
    same: u64,
    on_device: u64,
    /// Pages that take memory, by their age.
    ages: [u64; AGES.len()],
}

impl Census {
    /// Counts the pages of a disk; all are 0 if it is not initialised.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep, for long.
    ///
    /// # Errors
    ///
    /// - `EINTR`: the disk was reset.
    /// - Those of [`check_signals`].
    fn take(config: &ConfigHandle) -> Result<Self> {
        let mut this = Self::default();
        let mut first = 0;
        let mut counted = None;
        loop {
            let count = |store: &Store| {
                let same = *counted.get_or_insert(core::ptr::from_ref(store).addr());
                let end = store.table.len().min(first + PAGES);
                let now = boottime_seconds();
                store.table.for_each(first..end, |_, slot| {
                    this.add(&slot, now);
                    true
                });
                first = end;
                (
                    same == core::ptr::from_ref(store).addr(),
                    end == store.table.len(),
                )
            };
            match config.with_store(count) {
                Some((true, true)) => return Ok(this),
                Some((true, false)) => check_signals(kernel::current!())?,
                None if first == 0 => return Ok(this),
                _ => return Err(EINTR),
            }
        }
    }

    /// Counts a page.
    fn add(&mut self, slot: &SlotGuard<'_>, now: u32) {
        match slot.view() {
            View::Empty => return,
            View::Same(_) => return self.same += 1,
            View::WrittenBack { .. } => return self.on_device += 1,
            View::Huge { .. } => self.huge += 1,
            View::Stored { priority, .. } => {
                if let Some(count) = self.compressed.get_mut(priority.number()) {
                    *count += 1;
                }
            }
        }
        let age = now.saturating_sub(slot.last_access());
        if let Some(count) = self.ages.get_mut(class_of(age)) {
            *count += 1;
        }
    }
}

/// Returns the number of the class of an age in seconds.
fn class_of(age: u32) -> usize {
    (AGES.iter())
        .position(|&(_, end)| age < end)
        .unwrap_or(AGES.len() - 1)
}

/// Writes the contents of `stats`.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// - `EINTR`: the disk was reset meanwhile.
/// - Those of [`check_signals`].
pub(crate) fn write(device: &Device, out: &mut Formatter<'_>) -> Result {
    let census = Census::take(&device.config)?;
    let mut line = |name: core::fmt::Arguments<'_>, value: u64| {
        out.write_fmt(name)?;
        out.write_fmt(fmt!(" {value}\n"))
    };

    // An algorithm can have several priorities.
    let algorithm = |priority: Priority| device.algorithm(priority);
    for priority in Priority::PRIMARY.and_above() {
        let Some(own) = algorithm(priority) else {
            continue;
        };
        let with_it = || {
            let is_same = |&other: &Priority| algorithm(other) == Some(own);
            Priority::PRIMARY.and_above().filter(is_same)
        };
        if with_it().next() == Some(priority) {
            let count = |priority: Priority| census.compressed.get(priority.number());
            let pages = with_it().filter_map(count).sum();
            line(fmt!("pages_{}", own.name()), pages)?;
        }
    }
    line(fmt!("pages_huge"), census.huge)?;
    line(fmt!("pages_same"), census.same)?;
    line(fmt!("pages_device"), census.on_device)?;
    for ((name, _), pages) in AGES.iter().zip(census.ages) {
        line(fmt!("pages_age_{name}"), pages)?;
    }

    let counters = device.config.with_store(|store| {
        let stats = &store.stats;
        store.apply_marks(false);
        [
            store.blocks_in_use() as u64 * PAGE_SIZE as u64,
            stats.failed_reads.get(),
            stats.failed_writes.get(),
            stats.bd_failed_reads.get(),
            stats.bd_failed_writes.get(),
            store.is_memory_above().into(),
            store.is_device_above().into(),
        ]
    });
    let names = [
        "device_bytes",
        "failed_reads",
        "failed_writes",
        "failed_device_reads",
        "failed_device_writes",
        "above_memory_mark",
        "above_device_mark",
    ];
    for (name, value) in names.iter().zip(counters.unwrap_or_default()) {
        line(fmt!("{name}"), value)?;
    }
    let events = device.events();
    for (name, event) in [
        ("events_memory", Event::Memory),
        ("events_device", Event::Device),
        ("events_budget", Event::Budget),
        ("events_errors", Event::Error),
    ] {
        line(fmt!("{name}"), events.count(event))?;
    }

    let last = &events.last_turn;
    let turns = last.turns.load(Relaxed);
    line(fmt!("turns"), turns)?;
    if turns > 0 {
        let age = u64::from(boottime_seconds()).saturating_sub(last.ended.load(Relaxed));
        line(fmt!("last_turn_kind"), last.kind.load(Relaxed))?;
        line(fmt!("last_turn_seconds_ago"), age)?;
        line(fmt!("last_turn_milliseconds"), last.millis.load(Relaxed))?;
        line(fmt!("last_turn_blocks"), last.written.load(Relaxed))?;
        line(fmt!("last_turn_error"), last.error.load(Relaxed))?;
    }

    let TieringStat {
        writeback,
        recompress,
    } = device.tiering.stat();
    for (name, stat) in [("writeback", writeback), ("recompress", recompress)] {
        line(fmt!("auto_{name}_turns"), stat.turns)?;
        line(fmt!("auto_{name}_pages"), stat.pages)?;
        if name == "writeback" {
            line(fmt!("auto_{name}_moved"), stat.moved)?;
        }
        line(fmt!("auto_{name}_bytes"), stat.bytes)?;
        line(
            fmt!("auto_{name}_milliseconds"),
            stat.nanoseconds / 1_000_000,
        )?;
        for (end, count) in TurnEnd::ALL.iter().zip(stat.ends) {
            line(fmt!("auto_{name}_ends_{}", end.name()), count)?;
        }
    }

    let latency = &events.latency;
    line(fmt!("latency"), latency.is_on().into())?;
    if latency.is_on() {
        let mut classes = |name: &str, histogram: &Histogram| {
            histogram
                .classes()
                .try_for_each(|(limit, count)| match limit {
                    Some(limit) => line(fmt!("{name}_{limit}us"), count),
                    None => line(fmt!("{name}_more"), count),
                })
        };
        classes("readback", &latency.readback)?;
        classes("writeback", &latency.writeback)?;
    }
    Ok(())
}

#[kunit_tests(zram_rs_report)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_classes() {
        for (age, class) in [
            (0, 0),
            (59, 0),
            (60, 1),
            (3599, 2),
            (3600, 3),
            (86399, 4),
            (86400, 5),
            (u32::MAX, 5),
        ] {
            assert_eq!(class_of(age), class);
        }
    }
}
