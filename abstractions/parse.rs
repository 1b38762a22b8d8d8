// SPDX-License-Identifier: GPL-2.0

//! Parsers for what users write to sysfs files.
//!
//! These call the kernel's C parsers, and thus accept exactly what C drivers accept. Any context,
//! except for [`Args::new`], which may sleep.
//!
//! C headers: [`include/linux/kstrtox.h`](srctree/include/linux/kstrtox.h),
//! [`include/linux/string.h`](srctree/include/linux/string.h)

use kernel::{
    error::to_result,
    prelude::*, //
};

macro_rules! kstrto {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        ///
        /// With `base` 0, the prefix of the text selects the base (`0x`: 16, `0`: 8, none: 10).
        /// Ignores one newline at the end.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the text is not a number.
        /// - `ERANGE`: the number does not fit into the type.
        pub(crate) fn $name(text: &CStr, base: u32) -> Result<$type> {
            let mut value = 0;
            // SAFETY: `text` is a C string, and `value` is valid for writes.
            to_result(unsafe { kernel::bindings::$name(text.as_char_ptr(), base, &mut value) })?;
            Ok(value)
        }
    };
}

kstrto!(
    /// Parses a `u16`.
    kstrtou16,
    u16
);
kstrto!(
    /// Parses an `i32`.
    kstrtoint,
    i32
);
kstrto!(
    /// Parses a `u32`.
    kstrtouint,
    u32
);
kstrto!(
    /// Parses a `u64`.
    kstrtoull,
    u64
);

/// Parses a size, or returns `None` if the text does not begin with a number.
///
/// The size may have a suffix (`K`, `M`, `G`, `T`, `P`, `E`, in either case). Ignores all text that
/// follows the size.
pub(crate) fn memparse(text: &CStr) -> Option<u64> {
    let begin = text.as_char_ptr();
    let mut end = core::ptr::null_mut();
    // SAFETY: `text` is a C string, and `end` is valid for writes.
    let size = unsafe { kernel::bindings::memparse(begin, &mut end) };
    (!core::ptr::eq(begin, end)).then_some(size)
}

/// Parses a size as [`memparse`] does, or returns `None` if the text is not just a size.
///
/// Ignores one newline at the end.
pub(crate) fn memsize(text: &CStr) -> Option<u64> {
    let begin = text.as_char_ptr();
    let mut end = core::ptr::null_mut();
    // SAFETY: `text` is a C string, and `end` is valid for writes.
    let size = unsafe { kernel::bindings::memparse(begin, &mut end) };
    let bytes = text.to_bytes();
    let rest = bytes.get(end as usize - begin as usize..)?;
    let is_digit = bytes.first()?.is_ascii_digit();
    (is_digit && matches!(rest, b"" | b"\n")).then_some(size)
}

/// Parses a percentage from `0%` to `100%`, or returns `None` if the text is none.
pub(crate) fn percent(text: &CStr) -> Option<u8> {
    let digits = text.to_bytes().strip_suffix(b"%")?;
    if !matches!(digits.len(), 1..=3) {
        return None;
    }
    let add = |number: u16, &digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        Some(10 * number + digit)
    };
    let number = digits.iter().try_fold(0, add)?;
    u8::try_from(number).ok().filter(|&percent| percent <= 100)
}

/// Returns whether two texts are equal, ignoring a newline at the end of either.
pub(crate) fn sysfs_streq(a: &CStr, b: &CStr) -> bool {
    // SAFETY: `a` and `b` are C strings.
    unsafe { kernel::bindings::sysfs_streq(a.as_char_ptr(), b.as_char_ptr()) }
}

/// A parser for a line of words and `name=value` pairs, as on the kernel's command line.
///
/// White space separates the parts of the line. Values may be quoted.
///
/// # Examples
///
/// ```
/// use crate::abstractions::parse::Args;
///
/// let mut args = Args::new(c"type=idle size=\"4 K\" force")?;
/// assert_eq!(args.next(), Some((c"type", Some(c"idle"))));
/// assert_eq!(args.next_pair(), Ok(Some((c"size", c"4 K"))));
/// assert_eq!(args.next(), Some((c"force", None)));
/// assert_eq!(args.next(), None);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct Args {
    line: KVec<u8>,
    pos: usize,
}

impl Args {
    /// Creates a parser for a copy of `line`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for the copy.
    pub(crate) fn new(line: &CStr) -> Result<Self> {
        let mut copy = KVec::new();
        copy.extend_from_slice(line.to_bytes_with_nul(), GFP_KERNEL)?;
        // SAFETY: `line` is a C string; the returned pointer points into it.
        let begin = unsafe { kernel::bindings::skip_spaces(line.as_char_ptr()) };
        let pos = begin as usize - line.as_char_ptr() as usize;
        Ok(Self { line: copy, pos })
    }

    /// Returns the next name, with its value if a `=` follows the name; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<(&CStr, Option<&CStr>)> {
        let rest = self.line.get_mut(self.pos..)?;
        if *rest.first()? == 0 {
            return None;
        }
        let begin = rest.as_mut_ptr().cast::<c_char>();
        let mut name = core::ptr::null_mut();
        let mut value = core::ptr::null_mut();
        // SAFETY: The rest of the line is a C string, which `rest` borrows exclusively.
        let end = unsafe { kernel::bindings::next_arg(begin, &mut name, &mut value) };
        self.pos += end as usize - begin as usize;
        // SAFETY: `next_arg` has set `name` to a C string in the line, which the result borrows.
        let name = unsafe { CStr::from_char_ptr(name) };
        // SAFETY: Unless null, `value` is a C string in the line, which the result borrows.
        let value = (!value.is_null()).then(|| unsafe { CStr::from_char_ptr(value) });
        Some((name, value))
    }

    /// Returns the next name and its value, or `None` at the end.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the name has no value, or an empty one.
    pub(crate) fn next_pair(&mut self) -> Result<Option<(&CStr, &CStr)>> {
        match self.next() {
            None => Ok(None),
            Some((name, Some(value))) if !value.is_empty() => Ok(Some((name, value))),
            Some(_) => Err(EINVAL),
        }
    }
}

#[kunit_tests(zram_rs_parse)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(kstrtou16(c"1", 10), Ok(1));
        assert_eq!(kstrtou16(c"65535\n", 10), Ok(65535));
        assert_eq!(kstrtou16(c"65536", 10), Err(ERANGE));
        assert_eq!(kstrtou16(c"-1", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c"", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c" 1", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c"1 ", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c"1\n\n", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c"0x10", 10), Err(EINVAL));
        assert_eq!(kstrtou16(c"0x10", 0), Ok(16));
        assert_eq!(kstrtoint(c"-7", 10), Ok(-7));
        assert_eq!(kstrtoint(c"2147483648", 10), Err(ERANGE));
        assert_eq!(kstrtoull(c"18446744073709551615", 10), Ok(u64::MAX));
        assert_eq!(kstrtoull(c"18446744073709551616", 10), Err(ERANGE));
    }

    #[test]
    fn sizes() {
        assert_eq!(memparse(c"0"), Some(0));
        assert_eq!(memparse(c"4096\n"), Some(4096));
        assert_eq!(memparse(c"64K"), Some(64 << 10));
        assert_eq!(memparse(c"64m"), Some(64 << 20));
        assert_eq!(memparse(c"2G\n"), Some(2 << 30));
        assert_eq!(memparse(c"1T"), Some(1 << 40));
        assert_eq!(memparse(c"0x10K"), Some(16 << 10));
        assert_eq!(memparse(c"7 apples"), Some(7));
        assert_eq!(memparse(c"apples"), None);
        assert_eq!(memparse(c""), None);
    }

    #[test]
    fn sizes_and_nothing_else() {
        assert_eq!(memsize(c"0"), Some(0));
        assert_eq!(memsize(c"64K\n"), Some(64 << 10));
        assert_eq!(memsize(c"2g"), Some(2 << 30));
        for text in [
            c"",
            c"K",
            c"-1",
            c" 1",
            c"1 ",
            c"1KB",
            c"1K\n\n",
            c"7 apples",
        ] {
            assert_eq!(memsize(text), None);
        }
    }

    #[test]
    fn percentages() {
        assert_eq!(percent(c"0%"), Some(0));
        assert_eq!(percent(c"7%"), Some(7));
        assert_eq!(percent(c"007%"), Some(7));
        assert_eq!(percent(c"100%"), Some(100));
        for text in [
            c"", c"%", c"7", c"101%", c"256%", c"999%", c"0007%", c"7%%", c"7 %", c"-1%", c"+1%",
            c"1.5%",
        ] {
            assert_eq!(percent(text), None);
        }
    }

    #[test]
    fn args() -> Result {
        let mut args = Args::new(c"  type=idle  huge page_index=7\tname=\"a b\" x= \n")?;
        assert_eq!(args.next(), Some((c"type", Some(c"idle"))));
        assert_eq!(args.next(), Some((c"huge", None)));
        assert_eq!(args.next(), Some((c"page_index", Some(c"7"))));
        assert_eq!(args.next(), Some((c"name", Some(c"a b"))));
        assert_eq!(args.next(), Some((c"x", Some(c""))));
        assert_eq!(args.next(), None);
        assert_eq!(args.next(), None);
        assert_eq!(Args::new(c"")?.next(), None);
        assert_eq!(Args::new(c" \n ")?.next(), None);

        let mut args = Args::new(c"a=1 b")?;
        assert_eq!(args.next_pair(), Ok(Some((c"a", c"1"))));
        assert_eq!(args.next_pair(), Err(EINVAL));
        assert_eq!(Args::new(c"a=")?.next_pair(), Err(EINVAL));
        assert_eq!(Args::new(c" ")?.next_pair(), Ok(None));
        Ok(())
    }

    #[test]
    fn words() {
        assert!(sysfs_streq(c"lz4", c"lz4"));
        assert!(sysfs_streq(c"lz4\n", c"lz4"));
        assert!(!sysfs_streq(c"lz4hc", c"lz4"));
        assert!(!sysfs_streq(c"lz4\n\n", c"lz4"));
        assert!(!sysfs_streq(c" lz4", c"lz4"));
        assert!(!sysfs_streq(c"", c"lz4"));
    }
}
