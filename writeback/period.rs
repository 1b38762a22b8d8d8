// SPDX-License-Identifier: GPL-2.0

//! A budget for each period of time: how much may be written in any period of that length.
//!
//! What was written is counted by slices of the period. It becomes available again when its slice
//! has left the period that ends now. So the sum over any period, wherever it begins, is at most
//! the budget; a budget that fills up steadily would allow twice that: a full one at first, and
//! what is added meanwhile.

use crate::abstractions::parse::{
    kstrtouint,
    memsize, //
};
use core::num::NonZeroU32;
use kernel::{
    fmt,
    prelude::*,
    str::CString, //
};

/// Size of a unit, in bytes.
pub(super) const UNIT: u64 = 4096;

/// Maximum number of slices in a period.
const SLICES: u32 = 64;

/// Seconds in a day.
const DAY: u32 = 24 * 60 * 60;

/// How much may be written in a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    /// In units of 4 KiB; at least one block.
    units: u64,
    /// The length of the period, at least 1.
    seconds: u32,
}

impl Rate {
    /// Parses `<bytes>/<seconds>` or `<bytes>/day`, or returns `None` for `off`.
    ///
    /// The bytes are rounded down to whole units.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a line in the log: the text is malformed, or allows less than a page.
    pub(crate) fn parse(text: &CStr) -> Result<Option<Self>> {
        let bytes = text.to_bytes().trim_ascii();
        if bytes == b"off" {
            return Ok(None);
        }
        match Self::parse_rate(bytes) {
            Ok(rate) => Ok(Some(rate)),
            Err(ENOMEM) => Err(ENOMEM),
            Err(_) => {
                pr_err!("writeback_budget: need <bytes>/<seconds>, <bytes>/day or off\n");
                Err(EINVAL)
            }
        }
    }

    /// Returns the rate of so many blocks in so many seconds.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn for_blocks(blocks: u64, seconds: u32) -> Self {
        Self {
            units: blocks * super::budget::UNITS,
            seconds,
        }
    }

    /// Parses a text other than `off`.
    fn parse_rate(bytes: &[u8]) -> Result<Self> {
        let slash = bytes.iter().position(|&c| c == b'/').ok_or(EINVAL)?;
        let part = |bytes: &[u8]| -> Result<CString> {
            CString::try_from_fmt(fmt!("{}", kernel::str::BStr::from_bytes(bytes)))
        };
        let amount = part(bytes.get(..slash).ok_or(EINVAL)?)?;
        let period = part(bytes.get(slash + 1..).ok_or(EINVAL)?)?;
        let units = memsize(&amount).ok_or(EINVAL)? / UNIT;
        let seconds = match period.to_bytes() {
            b"day" => DAY,
            _ => kstrtouint(&period, 10)?,
        };
        if units < super::budget::UNITS || seconds == 0 {
            return Err(EINVAL);
        }
        Ok(Self { units, seconds })
    }

    /// Returns the length of the slices of a period, in seconds.
    fn slice(self) -> NonZeroU32 {
        NonZeroU32::new(self.seconds.div_ceil(SLICES)).unwrap_or(NonZeroU32::MIN)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.units * UNIT)?;
        match self.seconds {
            DAY => write!(f, "day"),
            seconds => write!(f, "{seconds}"),
        }
    }
}

/// What was written in the last period.
///
/// Times are in seconds since boot, with time asleep.
///
/// # Context
///
/// All methods: any context.
pub(super) struct Period {
    rate: Rate,
    /// The length of a slice, in seconds.
    slice: NonZeroU32,
    /// How many slices are counted: at most `SLICES + 1`.
    slices: NonZeroU32,
    /// The number of the newest slice, counted since boot.
    newest: u32,
    /// The units that were written in each slice; that with number `n` is at `n` modulo `slices`.
    ///
    /// A period ends within a slice and begins within another, so that there is one more than the
    /// slices that make a period.
    used: [u64; SLICES as usize + 1],
}

impl Period {
    /// Creates a period in which `used` units have been written at its end, `now`.
    pub(super) fn new(rate: Rate, now: u32, used: u64) -> Self {
        let slice = rate.slice();
        let mut this = Self {
            rate,
            slice,
            slices: NonZeroU32::MIN.saturating_add(rate.seconds.div_ceil(slice.get())),
            newest: now / slice,
            used: [0; SLICES as usize + 1],
        };
        let newest = this.newest;
        if let Some(entry) = this.entry(newest) {
            *entry = used;
        }
        this
    }

    /// Returns the budget.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns the counter of a slice.
    fn entry(&mut self, slice: u32) -> Option<&mut u64> {
        let place = slice % self.slices;
        self.used.get_mut(place as usize)
    }

    /// Forgets the slices that have left the period that ends `now`.
    fn advance(&mut self, now: u32) {
        let newest = now / self.slice;
        let passed = newest.saturating_sub(self.newest).min(self.slices.get());
        // The clock does not go back.
        self.newest = self.newest.max(newest);
        for number in 0..passed {
            let slice = self.newest.wrapping_sub(number);
            if let Some(entry) = self.entry(slice) {
                *entry = 0;
            }
        }
    }

    /// Returns how many units were written in the period that ends `now`.
    pub(super) fn used(&mut self, now: u32) -> u64 {
        self.advance(now);
        self.used
            .iter()
            .fold(0, |sum, &units| sum.saturating_add(units))
    }

    /// Returns how many units may be written `now`.
    pub(super) fn left(&mut self, now: u32) -> u64 {
        let used = self.used(now);
        self.rate.units.saturating_sub(used)
    }

    /// Counts units as written `now`, and returns the number of the slice that counts them.
    pub(super) fn charge(&mut self, now: u32, units: u64) -> u32 {
        self.advance(now);
        let newest = self.newest;
        if let Some(entry) = self.entry(newest) {
            *entry = entry.saturating_add(units);
        }
        newest
    }

    /// Takes units back from the slice that counted them, if the slice is still counted.
    pub(super) fn refund(&mut self, slice: u32, units: u64) {
        if self.newest.wrapping_sub(slice) < self.slices.get() {
            if let Some(entry) = self.entry(slice) {
                *entry = entry.saturating_sub(units);
            }
        }
    }
}

#[kunit_tests(zram_rs_period)]
mod tests {
    use super::*;

    #[test]
    fn rates() -> Result {
        let parse = |text| Rate::parse(text);
        assert_eq!(parse(c"off")?, None);
        assert_eq!(parse(c" off\n")?, None);
        let rate = |text, units, seconds, shown: &CStr| -> Result {
            let rate = Rate::parse(text)?.ok_or(EINVAL)?;
            assert_eq!(rate, Rate { units, seconds });
            let text = CString::try_from_fmt(fmt!("{rate}"))?;
            assert_eq!(text.to_bytes(), shown.to_bytes());
            Ok(())
        };
        rate(c"1M/60\n", 256, 60, c"1048576/60")?;
        rate(c"2G/day", 2 << 18, DAY, c"2147483648/day")?;
        rate(c"2G/86400", 2 << 18, DAY, c"2147483648/day")?;
        rate(c"100000/1", 24, 1, c"98304/1")?;
        Ok(())
    }

    #[test]
    fn rates_that_are_refused() {
        for text in [
            c"",
            c"\n",
            c"on",
            c"1M",
            c"1M/",
            c"/60",
            c"1M/0",
            c"1M/x",
            c"x/60",
            c"1M/-1",
            c"0/60",
            c"4095/60",
            c"1M/60/60",
            c"1M /60",
            c"1M/ 60",
            c"1Mx/60",
            c"-1M/60",
            c"1M/4294967296",
        ] {
            assert_eq!(Rate::parse(text), Err(EINVAL));
        }
    }

    /// Writes as much as it may at each of `times`, and checks that no period has more.
    fn check(rate: Rate, times: &[u32]) -> Result<u64> {
        let mut period = Period::new(rate, 1000, 0);
        let mut writes = KVec::<(u32, u64)>::new();
        for &time in times {
            let now = 1000 + time;
            let left = period.left(now);
            period.charge(now, left);
            assert_eq!(period.left(now), 0);
            writes.push((now, left), GFP_KERNEL)?;
            let recent = |&&(then, _): &&(u32, u64)| now - then < rate.seconds;
            let sum: u64 = writes.iter().filter(recent).map(|&(_, units)| units).sum();
            assert!(sum <= rate.units);
        }
        Ok(writes.iter().map(|&(_, units)| units).sum())
    }

    #[test]
    fn no_period_exceeds_the_budget() -> Result {
        let mut each = KVec::new();
        for time in 0..1000 {
            each.push(time, GFP_KERNEL)?;
        }
        for seconds in [1, 2, 3, 10, 63, 64, 65, 100, 129, 500] {
            let rate = Rate {
                units: 1000,
                seconds,
            };
            let sum = check(rate, &each)?;
            // What was written is available again soon after the period.
            let longest = u64::from(seconds + 2 * seconds.div_ceil(SLICES));
            assert!(sum >= 1000 * (1000 / longest));
            check(rate, &[0, 5, 6, 7, 63, 64, 65, 130, 131, 900])?;
        }
        Ok(())
    }

    #[test]
    fn slices_leave_one_by_one() {
        let rate = Rate {
            units: 100,
            seconds: 10,
        };
        let mut period = Period::new(rate, 50, 0);
        for now in 50..60 {
            period.charge(now, 10);
        }
        assert_eq!(period.left(59), 0);
        assert_eq!(period.left(60), 0);
        assert_eq!(period.left(61), 10);
        assert_eq!(period.left(65), 50);
        // A clock that stands, or goes back, does not add anything.
        assert_eq!(period.left(60), 50);
        // After a long sleep everything is available.
        assert_eq!(period.left(1_000_000), 100);
        assert_eq!(period.left(u32::MAX), 100);
    }

    #[test]
    fn refunds_go_to_their_slice() {
        let rate = Rate {
            units: 100,
            seconds: 10,
        };
        let mut period = Period::new(rate, 50, 40);
        assert_eq!(period.left(50), 60);
        let early = period.charge(50, 30);
        let late = period.charge(55, 30);
        period.refund(early, 10);
        assert_eq!(period.left(55), 10);
        period.refund(late, 5);
        assert_eq!(period.left(55), 15);
        // A slice that has left the period counts nothing that could be taken back.
        assert_eq!(period.left(61), 75);
        period.refund(early, 20);
        assert_eq!(period.left(61), 75);
    }
}
