// SPDX-License-Identifier: GPL-2.0

//! The marks of a disk: what users ask to be told of, and gauges that find out.

use crate::abstractions::parse::{
    percent,
    sysfs_streq,
    Args, //
};
use kernel::{
    fmt::Write,
    prelude::*,
    str::{
        kstrtobool,
        Formatter, //
    },
};

/// How far below a mark a share falls before it can cross the mark again, in percent of the whole,
/// unless the user sets another value.
const DEFAULT_HYSTERESIS: u8 = 5;

/// The marks of a disk, as written to `event_marks`.
///
/// # Context
///
/// All methods: any context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marks {
    /// The share of memory that is a mark, in percent; 0 for none.
    memory: u8,
    /// The share of the blocks of the backing device that is a mark, in percent; 0 for none.
    device: u8,
    /// See [`DEFAULT_HYSTERESIS`].
    hysteresis: u8,
    /// Whether the end of the limit of writeback is an event.
    pub(crate) budget: bool,
    /// Whether an error of the backing device is an event.
    pub(crate) errors: bool,
}

impl Marks {
    /// No marks.
    pub(crate) const OFF: Self = Self {
        memory: 0,
        device: 0,
        hysteresis: 0,
        budget: false,
        errors: false,
    };

    /// Parses the text that was written to `event_marks`; see [`Words`] for the words.
    ///
    /// Logs what is wrong.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the text is not valid.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr) -> Result<Self> {
        if sysfs_streq(text, c"off") {
            return Ok(Self::OFF);
        }
        let mut words = Words::default();
        let mut args = Args::new(text)?;
        while let Some((name, value)) = args.next() {
            let value = value.unwrap_or(c"");
            words.take(name, value).ok_or_else(|| {
                pr_info!("event_marks: '{}' cannot be '{}'\n", name, value);
                EINVAL
            })?;
        }
        words.marks().map_err(|why| {
            pr_info!("event_marks: {why}\n");
            EINVAL
        })
    }

    /// Writes the marks as they can be written to `event_marks`.
    pub(crate) fn show(&self, out: &mut Formatter<'_>) -> Result {
        if *self == Self::OFF {
            out.write_str("off\n")?;
            return Ok(());
        }
        let mut space = "";
        for (name, percent) in [
            ("memory", self.memory),
            ("device", self.device),
            ("hysteresis", self.hysteresis),
        ] {
            if percent != 0 {
                out.write_fmt(fmt!("{space}{name}={percent}%"))?;
                space = " ";
            }
        }
        for (name, is_on) in [("budget", self.budget), ("errors", self.errors)] {
            if is_on {
                out.write_fmt(fmt!("{space}{name}=1"))?;
                space = " ";
            }
        }
        out.write_str("\n")?;
        Ok(())
    }

    /// Returns the marks as a number, for [`from_bits`](Self::from_bits).
    pub(crate) fn into_bits(self) -> u64 {
        u64::from_le_bytes([
            self.memory,
            self.device,
            self.hysteresis,
            self.budget.into(),
            self.errors.into(),
            0,
            0,
            0,
        ])
    }

    /// Returns the marks that [`into_bits`](Self::into_bits) made a number of.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let [memory, device, hysteresis, budget, errors, ..] = bits.to_le_bytes();
        Self {
            memory,
            device,
            hysteresis,
            budget: budget != 0,
            errors: errors != 0,
        }
    }

    /// Returns the mark in memory of which at most `whole` units can be used.
    pub(crate) fn memory(&self, whole: usize) -> Option<Mark> {
        Mark::new(self.memory, self.hysteresis, whole)
    }

    /// Returns the mark on a device with `whole` blocks.
    pub(crate) fn device(&self, whole: usize) -> Option<Mark> {
        Mark::new(self.device, self.hysteresis, whole)
    }
}

/// The words of `event_marks`.
///
/// - `memory=<percent>%`, `device=<percent>%`: the marks, 2 to 100 percent
/// - `hysteresis=<percent>%`: less than each mark
/// - `budget=<boolean>`, `errors=<boolean>`
#[derive(Default)]
struct Words {
    memory: Option<u8>,
    device: Option<u8>,
    hysteresis: Option<u8>,
    budget: bool,
    errors: bool,
}

impl Words {
    /// Takes a word, or returns `None` if it is not valid.
    fn take(&mut self, name: &CStr, value: &CStr) -> Option<()> {
        match name.to_bytes() {
            b"memory" => self.memory = Some(share(value, 2)?),
            b"device" => self.device = Some(share(value, 2)?),
            b"hysteresis" => self.hysteresis = Some(share(value, 1)?),
            b"budget" => self.budget = kstrtobool(value).ok()?,
            b"errors" => self.errors = kstrtobool(value).ok()?,
            _ => return None,
        }
        Some(())
    }

    /// Returns the marks, or why there are none.
    fn marks(self) -> Result<Marks, &'static str> {
        let lowest = [self.memory, self.device].into_iter().flatten().min();
        let hysteresis = match (lowest, self.hysteresis) {
            (None, None) => 0,
            (None, Some(_)) => return Err("a hysteresis needs a mark"),
            (Some(lowest), None) => DEFAULT_HYSTERESIS.min(lowest - 1),
            (Some(lowest), Some(hysteresis)) if hysteresis < lowest => hysteresis,
            _ => return Err("the hysteresis must be less than each mark"),
        };
        let marks = Marks {
            memory: self.memory.unwrap_or(0),
            device: self.device.unwrap_or(0),
            hysteresis,
            budget: self.budget,
            errors: self.errors,
        };
        if marks == Marks::OFF {
            return Err("there is no mark; 'off' turns all off");
        }
        Ok(marks)
    }
}

/// Parses a share in percent, `least` to 100.
fn share(text: &CStr, least: u8) -> Option<u8> {
    percent(text).filter(|&share| share >= least)
}

/// A mark, with a second one below it: a value crosses the mark when it rises above it, and can
/// cross it again after it was not above the second.
///
/// # Context
///
/// All methods: any context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// The largest value that is not above the mark.
    pub(crate) high: usize,
    /// The largest value from which on the mark can be crossed; less than `high`, unless that is 0.
    pub(crate) low: usize,
}

impl Mark {
    /// Returns the mark that a value crosses when it reaches a share of `whole`, in percent, or
    /// `None` if the share is 0.
    fn new(share: u8, hysteresis: u8, whole: usize) -> Option<Self> {
        if share == 0 {
            return None;
        }
        let part = |share: u8| {
            let share = usize::from(share);
            whole / 100 * share + whole % 100 * share / 100
        };
        let high = part(share).saturating_sub(1);
        let low = part(share.saturating_sub(hysteresis));
        Some(Self {
            high,
            low: low.min(high.saturating_sub(1)),
        })
    }

    /// Returns whether `value` is above the mark, if the value before it was above or not.
    pub(crate) fn is_above(&self, value: usize, above: bool) -> bool {
        value > if above { self.low } else { self.high }
    }
}

#[kunit_tests(zram_rs_marks)]
mod tests {
    use super::*;

    #[test]
    fn text_and_marks() -> Result {
        for (text, shown) in [
            (c"off\n", "off\n"),
            (c"memory=80%", "memory=80% hysteresis=5%\n"),
            (c"memory=3%\n", "memory=3% hysteresis=2%\n"),
            (
                c" device=100%  memory=2% hysteresis=1%",
                "memory=2% device=100% hysteresis=1%\n",
            ),
            (c"budget=y errors=on", "budget=1 errors=1\n"),
            (
                c"errors=1 device=50% errors=0",
                "device=50% hysteresis=5%\n",
            ),
        ] {
            let marks = Marks::parse(text)?;
            assert_eq!(Marks::from_bits(marks.into_bits()), marks);
            let mut buffer = [0; 64];
            let mut out = Formatter::new(&mut buffer);
            marks.show(&mut out)?;
            let len = out.bytes_written();
            assert_eq!(buffer[..len], *shown.as_bytes());
        }
        Ok(())
    }

    #[test]
    fn text_that_is_wrong() {
        for text in [
            c"",
            c"on",
            c"memory",
            c"memory=",
            c"memory=80",
            c"memory=%",
            c"memory=1%",
            c"memory=101%",
            c"memory=300%",
            c"memory=+8%",
            c"memory=80%x",
            c"device=0%",
            c"hysteresis=5%",
            c"memory=80% hysteresis=0%",
            c"memory=80% hysteresis=80%",
            c"memory=80% device=7% hysteresis=7%",
            c"budget=maybe",
            c"budget=0",
            c"colour=blue",
            c"off off",
        ] {
            assert_eq!(Marks::parse(text), Err(EINVAL));
        }
    }

    #[test]
    fn mark_has_hysteresis() {
        let mark = Mark { high: 80, low: 75 };
        assert_eq!(Mark::new(81, 6, 100), Some(mark));
        let mut above = false;
        for (value, want) in [
            (80, false),
            (81, true),
            (80, true),
            (76, true),
            (75, false),
            (80, false),
            (100, true),
        ] {
            above = mark.is_above(value, above);
            assert_eq!(above, want);
        }
    }

    #[test]
    fn mark_of_a_small_whole() {
        // The two marks differ, so that a value that changes by nothing crosses none.
        assert_eq!(Mark::new(50, 5, 4), Some(Mark { high: 1, low: 0 }));
        assert_eq!(Mark::new(100, 5, 4), Some(Mark { high: 3, low: 2 }));
        assert_eq!(Mark::new(2, 1, 10), Some(Mark { high: 0, low: 0 }));
        assert_eq!(Mark::new(0, 5, 100), None);
        let huge = Mark::new(100, 1, usize::MAX);
        assert_eq!(huge.map(|mark| mark.high), Some(usize::MAX - 1));
    }
}
