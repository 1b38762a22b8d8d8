// SPDX-License-Identifier: GPL-2.0

//! When turns are due.

use super::Settings;
use kernel::prelude::*;

/// How often the machine's available memory is looked at, in milliseconds.
const CHECK_AVAILABLE: u32 = 1000;

/// The longest time until a worker looks at the clock again, in milliseconds: timers stand still
/// while the machine is suspended.
const LONGEST_WAIT: u32 = 3_600_000;

/// The turn that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Recompress,
    Writeback,
    /// Writeback because little memory is available.
    Pressed,
}

/// When turns are due, in seconds since boot; 0 for those that are off.
///
/// # Context
///
/// All methods: any context.
#[derive(Clone, Copy, Default)]
pub(super) struct Schedule {
    recompress: u32,
    writeback: u32,
    /// Not before this time does a turn begin because little memory is available.
    pressed: u32,
    /// The turns that have become due; that of recompression comes first.
    recompress_is_due: bool,
    writeback_is_due: bool,
    /// Whether the last turn was one because of little available memory.
    was_pressed: bool,
}

impl Schedule {
    /// Plans the next turns after a change of the settings.
    ///
    /// A turn that was planned before, or is due, is not put off, however often the settings
    /// change.
    pub(super) fn replan(&mut self, settings: &Settings, now: u32) {
        let plan = |planned: u32, every: Option<u32>| match (every, planned) {
            (None, _) => 0,
            (Some(every), 0) => now.saturating_add(every),
            (Some(every), planned) => planned.min(now.saturating_add(every)),
        };
        *self = Self {
            recompress: plan(self.recompress, settings.recompress.map(|what| what.every)),
            writeback: plan(self.writeback, settings.writeback.map(|what| what.every)),
            pressed: now,
            recompress_is_due: self.recompress_is_due && settings.recompress.is_some(),
            writeback_is_due: self.writeback_is_due && settings.writeback.is_some(),
            was_pressed: self.was_pressed,
        };
    }

    /// Notes that a turn which was due has not begun, so that it stays due.
    pub(super) fn has_not_begun(&mut self, due: Due) {
        match due {
            Due::Recompress => self.recompress_is_due = true,
            Due::Writeback => self.writeback_is_due = true,
            Due::Pressed => self.pressed = 0,
        }
    }

    /// Returns the turn that is due now, which the caller begins or leaves out.
    ///
    /// `is_pressed` tells whether little memory is available. A turn because of that goes first,
    /// but not twice before another one that is due.
    pub(super) fn next(
        &mut self,
        settings: &Settings,
        now: u32,
        is_pressed: impl FnOnce() -> bool,
    ) -> Option<Due> {
        self.advance(settings, now);
        let is_other_due = self.recompress_is_due || self.writeback_is_due;
        let may_be_pressed = !(is_other_due && self.was_pressed);
        self.was_pressed = false;
        if let Some(what) = settings.writeback.filter(|_| may_be_pressed) {
            if what.available.is_some() && now >= self.pressed && is_pressed() {
                self.pressed = now.saturating_add(what.every);
                self.was_pressed = true;
                return Some(Due::Pressed);
            }
        }
        if core::mem::take(&mut self.recompress_is_due) {
            return Some(Due::Recompress);
        }
        core::mem::take(&mut self.writeback_is_due).then_some(Due::Writeback)
    }

    /// Notes that a turn because of little available memory wrote something: the next one may
    /// begin at once.
    pub(super) fn pressed_turn_helped(&mut self, now: u32) {
        self.pressed = now;
    }

    /// Notes which turns have become due.
    ///
    /// Recompression also comes before each writeback: a page that becomes old enough for both is
    /// to be written back in its smaller form.
    fn advance(&mut self, settings: &Settings, now: u32) {
        if let Some(what) = settings.writeback {
            if now >= self.writeback && !self.writeback_is_due {
                self.writeback = now.saturating_add(what.every);
                self.writeback_is_due = true;
                self.recompress_is_due = settings.recompress.is_some();
            }
        }
        if let Some(what) = settings.recompress {
            // Once before a writeback that is due.
            if now >= self.recompress && !self.writeback_is_due {
                self.recompress_is_due = true;
            }
            if self.recompress_is_due {
                self.recompress = now.saturating_add(what.every);
            }
        }
    }

    /// Returns after how many milliseconds a turn may be due again.
    pub(super) fn wait(&self, settings: &Settings, now: u32) -> u32 {
        let mut wait = LONGEST_WAIT;
        let mut until = |time: u32| {
            wait = wait.min(time.saturating_sub(now).saturating_mul(1000));
        };
        if settings.recompress.is_some() {
            until(self.recompress);
        }
        if settings.writeback.is_some() {
            until(self.writeback);
        }
        if settings
            .writeback
            .is_some_and(|what| what.available.is_some())
        {
            until(self.pressed);
            wait = wait.max(CHECK_AVAILABLE);
        }
        wait.max(1)
    }
}

#[kunit_tests(zram_rs_schedule)]
mod tests {
    use super::*;
    use crate::tiering::settings::{
        AutoRecompress,
        AutoWriteback, //
    };

    fn settings(writeback: &CStr, recompress: &CStr) -> Result<Settings> {
        Ok(Settings {
            writeback: AutoWriteback::parse(writeback)?,
            recompress: AutoRecompress::parse(recompress)?,
            serial: 0,
        })
    }

    /// Returns the turns that begin now.
    fn turns(schedule: &mut Schedule, settings: &Settings, now: u32) -> Result<KVec<Due>> {
        let mut turns = KVec::new();
        while let Some(due) = schedule.next(settings, now, || false) {
            turns.push(due, GFP_KERNEL)?;
        }
        Ok(turns)
    }

    #[test]
    fn turns_come_regularly() -> Result {
        let settings = settings(c"age=0 every=10", c"age=0 every=4")?;
        let mut schedule = Schedule::default();
        schedule.replan(&settings, 1000);
        let mut begun = KVec::new();
        for now in 1000..1021 {
            for due in turns(&mut schedule, &settings, now)? {
                begun.push((now, due), GFP_KERNEL)?;
            }
        }
        // Recompression also comes before writeback.
        assert_eq!(
            begun[..],
            [
                (1004, Due::Recompress),
                (1008, Due::Recompress),
                (1010, Due::Recompress),
                (1010, Due::Writeback),
                (1014, Due::Recompress),
                (1018, Due::Recompress),
                (1020, Due::Recompress),
                (1020, Due::Writeback),
            ]
        );
        assert_eq!(schedule.wait(&settings, 1020), 4000);
        // After a long sleep, one turn of each.
        let late = turns(&mut schedule, &settings, 1_000_000)?;
        assert_eq!(late[..], [Due::Recompress, Due::Writeback]);
        Ok(())
    }

    #[test]
    fn slow_recompression_does_not_starve_writeback() -> Result {
        let settings = settings(c"age=0 every=1", c"age=0 every=1")?;
        let mut schedule = Schedule::default();
        schedule.replan(&settings, 0);
        for now in (5..100).step_by(10) {
            let first = schedule.next(&settings, now, || false);
            let second = schedule.next(&settings, now + 5, || false);
            assert_eq!(
                (first, second),
                (Some(Due::Recompress), Some(Due::Writeback))
            );
        }
        Ok(())
    }

    #[test]
    fn changes_do_not_put_turns_off() -> Result {
        let settings = settings(c"age=0 every=10", c"off")?;
        let mut schedule = Schedule::default();
        let mut count = 0;
        for now in 0..100 {
            schedule.replan(&settings, now);
            count += turns(&mut schedule, &settings, now)?.len();
        }
        assert_eq!(count, 9);
        Ok(())
    }

    #[test]
    fn changes_do_not_cancel_turns_that_are_due() -> Result {
        let both = settings(c"age=0 every=60", c"age=0 every=60")?;
        let mut schedule = Schedule::default();
        schedule.replan(&both, 0);
        assert_eq!(schedule.next(&both, 60, || false), Some(Due::Recompress));
        schedule.replan(&both, 61);
        assert_eq!(schedule.next(&both, 61, || false), Some(Due::Writeback));
        // One that waits for other post-processing, and has not begun.
        schedule.has_not_begun(Due::Writeback);
        schedule.replan(&both, 62);
        assert_eq!(schedule.next(&both, 62, || false), Some(Due::Writeback));
        // Turned off.
        schedule.has_not_begun(Due::Writeback);
        let one = settings(c"off", c"age=0 every=60")?;
        schedule.replan(&one, 63);
        assert_eq!(schedule.next(&one, 63, || false), None);
        Ok(())
    }

    #[test]
    fn pressure_does_not_starve_others() -> Result {
        let settings = settings(c"age=0 every=60 available=5%", c"age=0 every=60")?;
        let mut schedule = Schedule::default();
        schedule.replan(&settings, 0);
        let mut counts = [0; 3];
        for now in 1..=600 {
            if let Some(due) = schedule.next(&settings, now, || true) {
                if let Some(count) = counts.get_mut(due as usize) {
                    *count += 1;
                }
            }
            schedule.pressed_turn_helped(now);
        }
        // The last writeback waits for the turn after recompression.
        assert_eq!(counts, [10, 9, 581]);
        Ok(())
    }

    #[test]
    fn turns_under_pressure() -> Result {
        let settings = settings(c"age=0 every=60 available=5%", c"off")?;
        let mut schedule = Schedule::default();
        schedule.replan(&settings, 100);
        assert_eq!(schedule.next(&settings, 101, || false), None);
        assert_eq!(schedule.wait(&settings, 101), CHECK_AVAILABLE);
        assert_eq!(schedule.next(&settings, 102, || true), Some(Due::Pressed));
        // A turn that did not help is not repeated at once.
        assert_eq!(schedule.next(&settings, 103, || true), None);
        assert_eq!(schedule.wait(&settings, 103), 57_000);
        assert_eq!(
            schedule.next(&settings, 160, || false),
            Some(Due::Writeback)
        );
        assert_eq!(schedule.next(&settings, 162, || true), Some(Due::Pressed));
        schedule.pressed_turn_helped(163);
        assert_eq!(schedule.next(&settings, 163, || true), Some(Due::Pressed));
        Ok(())
    }
}
