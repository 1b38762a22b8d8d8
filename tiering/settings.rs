// SPDX-License-Identifier: GPL-2.0

//! What a user can set: `auto_writeback` and `auto_recompress`.

use crate::{
    abstractions::parse::{
        kstrtoint,
        kstrtouint,
        memsize,
        percent,
        Args, //
    },
    comp::{
        Algorithm,
        Priority, //
    },
};
use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Seconds between turns, unless the user sets another number.
const DEFAULT_EVERY: u32 = 60;

/// Bytes of pages that a turn processes at most, unless the user sets another number.
const DEFAULT_MAX: u64 = 64 << 20;

/// When to write back pages, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AutoWriteback {
    /// Pages that were not used for longer are written back, in seconds.
    pub(super) age: u32,
    /// The same for incompressible pages.
    pub(super) huge_age: Option<u32>,
    /// Seconds between turns; at least 1.
    pub(super) every: u32,
    /// Maximum number of pages of a turn; at least 1.
    pub(super) max: usize,
    /// Percentage of the memory for pages from which on pages are written back.
    pub(super) above: Option<u8>,
    /// Percentage of the machine's memory: if less is available, pages of any age are written back.
    pub(super) available: Option<u8>,
}

/// When to recompress pages, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AutoRecompress {
    /// Pages that were not used for longer are recompressed, in seconds.
    pub(super) age: u32,
    /// Seconds between turns; at least 1.
    pub(super) every: u32,
    /// Maximum number of pages of a turn; at least 1.
    pub(super) max: usize,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) priority: Option<Priority>,
    /// As for `recompress`, in bytes; 0 for no threshold.
    pub(super) threshold: usize,
}

/// Sets a value that was not set yet.
///
/// # Errors
///
/// The reason why the value is refused.
fn set<T>(place: &mut Option<T>, value: Option<T>, otherwise: &'static str) -> Parsed {
    match (&place, value) {
        (Some(_), _) => Err("it is given twice"),
        (None, None) => Err(otherwise),
        (None, value) => {
            *place = value;
            Ok(())
        }
    }
}

/// The result of parsing a word, with the reason why it is refused.
type Parsed = core::result::Result<(), &'static str>;

const NOT_SECONDS: &str = "it is not a number of seconds";
const NOT_POSITIVE: &str = "it is not a number of seconds above 0";
const NOT_BYTES: &str = "it is not a number of bytes that make a page";
const NOT_PERCENT: &str = "it is not a percentage from 0% to 100%";
const UNKNOWN: &str = "there is no such name";

fn seconds(text: &CStr) -> Option<u32> {
    kstrtouint(text, 10).ok()
}

fn positive_seconds(text: &CStr) -> Option<u32> {
    seconds(text).filter(|&seconds| seconds > 0)
}

/// Parses a number of bytes, and returns it in pages.
fn pages(text: &CStr) -> Option<usize> {
    let pages = memsize(text)? / PAGE_SIZE as u64;
    usize::try_from(pages).ok().filter(|&pages| pages > 0)
}

/// Calls `word` with the names and values of a text, or returns `None` if the text is `off`.
///
/// # Errors
///
/// - `EINVAL`, with a line in the log: `word` refuses a value, or the text has something else than
///   names with values.
/// - `ENOMEM`: there is no memory.
fn parse(
    file: &'static str,
    text: &CStr,
    mut word: impl FnMut(&CStr, &CStr) -> Parsed,
) -> Result<Option<()>> {
    if text.to_bytes().trim_ascii() == b"off" {
        return Ok(None);
    }
    let mut args = Args::new(text)?;
    while let Some((name, value)) = args.next() {
        let parsed = match value {
            Some(value) if !value.is_empty() => word(name, value),
            _ => Err("it has no value"),
        };
        if let Err(reason) = parsed {
            pr_err!("{}: {}: {}\n", file, name, reason);
            return Err(EINVAL);
        }
    }
    Ok(Some(()))
}

/// Returns an error, with a line in the log that says why the text is refused.
fn refuse<T>(file: &'static str, reason: &'static str) -> Result<T> {
    pr_err!("{}: {}\n", file, reason);
    Err(EINVAL)
}

impl AutoWriteback {
    /// Parses what a user writes to `auto_writeback`, or returns `None` for `off`.
    ///
    /// This is a list of `age=<seconds>`, `huge_age=<seconds>`, `every=<seconds>`, `max=<bytes>`,
    /// `above=<percent>%` and `available=<percent>%`; all but the first may be left out.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`, with a line in the log: the text is malformed.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr) -> Result<Option<Self>> {
        const FILE: &str = "auto_writeback";
        let (mut age, mut huge_age, mut every, mut max) = (None, None, None, None);
        let (mut above, mut available) = (None, None);
        let parsed = parse(FILE, text, |name, value| match name.to_bytes() {
            b"age" => set(&mut age, seconds(value), NOT_SECONDS),
            b"huge_age" => set(&mut huge_age, seconds(value), NOT_SECONDS),
            b"every" => set(&mut every, positive_seconds(value), NOT_POSITIVE),
            b"max" => set(&mut max, pages(value), NOT_BYTES),
            b"above" => set(&mut above, percent(value), NOT_PERCENT),
            b"available" => set(&mut available, percent(value), NOT_PERCENT),
            _ => Err(UNKNOWN),
        })?;
        if parsed.is_none() {
            return Ok(None);
        }
        let Some(age) = age else {
            return refuse(FILE, "need age=<seconds>, or off");
        };
        if huge_age.is_some_and(|huge_age| huge_age > age) {
            return refuse(FILE, "huge_age must not be above age");
        }
        Ok(Some(Self {
            age,
            huge_age,
            every: every.unwrap_or(DEFAULT_EVERY),
            max: max.unwrap_or(DEFAULT_MAX as usize / PAGE_SIZE),
            above,
            available,
        }))
    }
}

impl fmt::Display for AutoWriteback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "age={}", self.age)?;
        if let Some(age) = self.huge_age {
            write!(f, " huge_age={age}")?;
        }
        write!(f, " every={} max={}", self.every, self.max * PAGE_SIZE)?;
        if let Some(percent) = self.above {
            write!(f, " above={percent}%")?;
        }
        if let Some(percent) = self.available {
            write!(f, " available={percent}%")?;
        }
        Ok(())
    }
}

impl AutoRecompress {
    /// Parses what a user writes to `auto_recompress`, or returns `None` for `off`.
    ///
    /// This is a list of `age=<seconds>`, `every=<seconds>`, `max=<bytes>`, `algo=<name>`,
    /// `priority=<n>` and `threshold=<bytes>`; all but the first may be left out.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`, with a line in the log: the text is malformed.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr) -> Result<Option<Self>> {
        const FILE: &str = "auto_recompress";
        let (mut age, mut every, mut max) = (None, None, None);
        let (mut algorithm, mut priority, mut threshold) = (None, None, None);
        let find = |number| Priority::from_user(number).filter(|&p| p >= Priority::SECONDARY);
        let parsed = parse(FILE, text, |name, value| match name.to_bytes() {
            b"age" => set(&mut age, seconds(value), NOT_SECONDS),
            b"every" => set(&mut every, positive_seconds(value), NOT_POSITIVE),
            b"max" => set(&mut max, pages(value), NOT_BYTES),
            b"algo" => set(
                &mut algorithm,
                Algorithm::find(value),
                "there is no such algorithm",
            ),
            b"priority" => set(
                &mut priority,
                kstrtoint(value, 10).ok().and_then(find),
                "it is not a priority from 1 to 3",
            ),
            b"threshold" => set(
                &mut threshold,
                kstrtouint(value, 10)
                    .ok()
                    .map(|bytes| bytes as usize)
                    .filter(|&bytes| bytes < PAGE_SIZE),
                "it is not a number of bytes below that of a page",
            ),
            _ => Err(UNKNOWN),
        })?;
        if parsed.is_none() {
            return Ok(None);
        }
        let Some(age) = age else {
            return refuse(FILE, "need age=<seconds>, or off");
        };
        Ok(Some(Self {
            age,
            every: every.unwrap_or(DEFAULT_EVERY),
            max: max.unwrap_or(DEFAULT_MAX as usize / PAGE_SIZE),
            algorithm,
            priority,
            threshold: threshold.unwrap_or(0),
        }))
    }
}

impl fmt::Display for AutoRecompress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max * PAGE_SIZE;
        write!(f, "age={} every={} max={max}", self.age, self.every)?;
        if let Some(algorithm) = self.algorithm {
            f.write_fmt(fmt!(" algo={}", algorithm.name()))?;
        }
        if let Some(priority) = self.priority {
            write!(f, " priority={}", priority.number())?;
        }
        if self.threshold != 0 {
            write!(f, " threshold={}", self.threshold)?;
        }
        Ok(())
    }
}

#[kunit_tests(zram_rs_settings)]
mod tests {
    use super::*;
    use kernel::str::CString;

    #[test]
    fn writeback() -> Result {
        assert_eq!(AutoWriteback::parse(c"off\n")?, None);
        let parsed = AutoWriteback::parse(c"age=7\n")?.ok_or(EINVAL)?;
        let simple = AutoWriteback {
            age: 7,
            huge_age: None,
            every: 60,
            max: (64 << 20) / PAGE_SIZE,
            above: None,
            available: None,
        };
        assert_eq!(parsed, simple);
        let text = c" available=5% age=3600 huge_age=60 every=1 above=0% max=1G ";
        let parsed = AutoWriteback::parse(text)?.ok_or(EINVAL)?;
        let full = AutoWriteback {
            age: 3600,
            huge_age: Some(60),
            every: 1,
            max: (1 << 30) / PAGE_SIZE,
            above: Some(0),
            available: Some(5),
        };
        assert_eq!(parsed, full);
        // What is shown can be written.
        for settings in [simple, full] {
            let shown = CString::try_from_fmt(fmt!("{settings}"))?;
            assert_eq!(AutoWriteback::parse(&shown)?, Some(settings));
        }
        Ok(())
    }

    #[test]
    fn writeback_that_is_refused() {
        for text in [
            c"",
            c"\n",
            c"on",
            c"off age=1",
            c"age",
            c"age=",
            c"age=x",
            c"age=-1",
            c"age=1h",
            c"age=4294967296",
            c"age=1 age=2",
            c"every=5",
            c"age=1 every=0",
            c"age=1 every=1 every=1",
            c"age=1 max=0",
            c"age=1 max=1",
            c"age=1 max=1KB",
            c"age=1 max=lots",
            c"age=1 above=50",
            c"age=1 above=101%",
            c"age=1 above=%",
            c"age=1 above=-1%",
            c"age=1 available=5%%",
            c"age=1 huge_age=2",
            c"age=1 huge_age=x",
            c"age=1 colour=blue",
            c"age=1 algo=zstd",
        ] {
            assert_eq!(AutoWriteback::parse(text), Err(EINVAL));
        }
    }

    #[test]
    fn recompress() -> Result {
        assert_eq!(AutoRecompress::parse(c" off ")?, None);
        let simple = AutoRecompress::parse(c"age=0")?.ok_or(EINVAL)?;
        assert_eq!(simple.every, 60);
        assert_eq!(simple.threshold, 0);
        assert_eq!((simple.algorithm, simple.priority), (None, None));
        let algorithm = Algorithm::ALL[0];
        let name = algorithm.name();
        let text = CString::try_from_fmt(fmt!(
            "age=5 every=9 max=1M priority=2 threshold=3000 algo={name}"
        ))?;
        let full = AutoRecompress::parse(&text)?.ok_or(EINVAL)?;
        assert_eq!((full.age, full.every, full.threshold), (5, 9, 3000));
        assert_eq!(full.max, (1 << 20) / PAGE_SIZE);
        assert_eq!(full.algorithm, Some(algorithm));
        assert_eq!(full.priority, Priority::from_user(2));
        for settings in [simple, full] {
            let shown = CString::try_from_fmt(fmt!("{settings}"))?;
            assert_eq!(AutoRecompress::parse(&shown)?, Some(settings));
        }
        Ok(())
    }

    #[test]
    fn recompress_that_is_refused() {
        for text in [
            c"",
            c"zstd",
            c"every=5",
            c"age=",
            c"age=1 age=1",
            c"age=1 every=0",
            c"age=1 max=5",
            c"age=1 algo=",
            c"age=1 algo=lz5",
            c"age=1 priority=0",
            c"age=1 priority=4",
            c"age=1 priority=x",
            c"age=1 threshold=-1",
            c"age=1 threshold=65536",
            c"age=1 huge_age=1",
            c"age=1 above=5%",
            c"age=1 type=idle",
        ] {
            assert_eq!(AutoRecompress::parse(text), Err(EINVAL));
        }
    }
}
