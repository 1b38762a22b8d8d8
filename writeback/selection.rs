// SPDX-License-Identifier: GPL-2.0

//! Which pages a user wants to be written back.

use crate::{
    abstractions::parse::{
        kstrtoull,
        Args, //
    },
    slot::SlotGuard,
};
use core::ops::Range;
use kernel::{
    prelude::*,
    str::CString, //
};

/// Properties of the pages to write back: a page must have all that are set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Filter {
    idle: bool,
    huge: bool,
    incompressible: bool,
}

impl Filter {
    /// Parses the name of a kind of pages.
    fn parse(text: &CStr) -> Result<Self> {
        let (idle, huge, incompressible) = match text.to_bytes() {
            b"idle" => (true, false, false),
            b"huge" => (false, true, false),
            b"huge_idle" => (true, true, false),
            b"incompressible" => (false, false, true),
            _ => return Err(EINVAL),
        };
        Ok(Self {
            idle,
            huge,
            incompressible,
        })
    }

    /// Returns whether the page of a slot has these properties.
    pub(super) fn accepts(self, slot: &SlotGuard<'_>) -> bool {
        (!self.idle || slot.is_idle())
            && (!self.huge || slot.is_huge())
            && (!self.incompressible || slot.is_incompressible())
    }
}

/// The pages that a user wants to be written back.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Selection {
    pub(super) filter: Filter,
    /// Ranges of pages, in ascending order, which do not overlap.
    pub(super) ranges: KVec<Range<usize>>,
}

impl Selection {
    /// Parses what a user writes to `writeback` of a disk of `len` pages.
    ///
    /// This is a list of pages and ranges of pages, `page_index=<n>` and
    /// `page_indexes=<low>-<high>`, or a kind of pages, `type=<kind>`, or just `<kind>`. A kind
    /// ends the list; it is ignored if pages are listed before it. Other names are ignored, as in C
    /// zram.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the text is malformed.
    /// - `ERANGE`: the disk has no such page.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr, len: usize) -> Result<Self> {
        let mut args = Args::new(text)?;
        let mut ranges = KVec::<Range<usize>>::new();
        let add = |ranges: &mut KVec<Range<usize>>, range: Range<usize>| -> Result {
            let place = ranges.partition_point(|other| other.start <= range.start);
            ranges.reserve(1, GFP_KERNEL)?;
            ranges
                .insert_within_capacity(place, range)
                .map_err(|_| ENOMEM)
        };
        let mut filter = Filter::default();
        while let Some((name, value)) = args.next() {
            let value = value.filter(|value| !value.is_empty());
            match (name.to_bytes(), value) {
                (_, None) | (b"type", _) => {
                    filter = Filter::parse(value.unwrap_or(name))?;
                    if ranges.is_empty() {
                        add(&mut ranges, 0..len)?;
                    } else {
                        filter = Filter::default();
                    }
                    break;
                }
                (b"page_index", Some(value)) => {
                    let index = parse_index(value, len)?;
                    add(&mut ranges, index..index + 1)?;
                }
                (b"page_indexes", Some(value)) => {
                    add(&mut ranges, parse_range(value, len)?)?;
                }
                _ => (),
            }
        }
        let mut end = 0;
        for range in &mut ranges {
            range.start = range.start.max(end);
            end = end.max(range.end);
        }
        ranges.retain(|range| range.start < range.end);
        Ok(Self { filter, ranges })
    }
}

/// Parses the index of a page, which must be less than `len`.
fn parse_index(text: &CStr, len: usize) -> Result<usize> {
    usize::try_from(kstrtoull(text, 10)?)
        .ok()
        .filter(|&index| index < len)
        .ok_or(ERANGE)
}

/// Parses an inclusive range of pages `<low>-<high>`, which must be less than `len`.
fn parse_range(text: &CStr, len: usize) -> Result<Range<usize>> {
    let bytes = text.to_bytes();
    let dash = bytes.iter().position(|&c| c == b'-').ok_or(EINVAL)?;
    let part = |bytes: &[u8]| -> Result<usize> {
        let part = CString::try_from_fmt(fmt!("{}", kernel::str::BStr::from_bytes(bytes)))?;
        parse_index(&part, len)
    };
    let low = part(bytes.get(..dash).ok_or(EINVAL)?)?;
    let high = part(bytes.get(dash + 1..).ok_or(EINVAL)?)?;
    if low > high {
        return Err(ERANGE);
    }
    Ok(low..high + 1)
}

#[kunit_tests(zram_rs_selection)]
mod tests {
    use super::*;

    fn parse(text: &CStr) -> Result<(Filter, KVec<Range<usize>>)> {
        let selection = Selection::parse(text, 100)?;
        Ok((selection.filter, selection.ranges))
    }

    #[test]
    fn kinds() -> Result {
        let kinds = [
            (c"idle", true, false, false),
            (c"huge\n", false, true, false),
            (c" huge_idle ", true, true, false),
            (c"incompressible", false, false, true),
            (c"type=idle", true, false, false),
            (c"type=huge", false, true, false),
            (c"type=huge_idle\n", true, true, false),
            (c"type=incompressible", false, false, true),
            // What follows is not looked at.
            (c"type=idle page_index=1000", true, false, false),
        ];
        for (text, idle, huge, incompressible) in kinds {
            let (filter, ranges) = parse(text)?;
            assert_eq!(
                filter,
                Filter {
                    idle,
                    huge,
                    incompressible
                }
            );
            assert_eq!(ranges[..], [0..100]);
        }
        Ok(())
    }

    #[test]
    fn pages() -> Result {
        let (filter, ranges) = parse(c"page_index=5")?;
        assert_eq!(filter, Filter::default());
        assert_eq!(ranges[..], [5..6]);
        let (_, ranges) = parse(c"page_indexes=0-99\n")?;
        assert_eq!(ranges[..], [0..100]);
        let (_, ranges) = parse(c"page_index=9 page_indexes=3-5 page_index=0 page_indexes=5-9")?;
        assert_eq!(ranges[..], [0..1, 3..6, 6..10]);
        let (_, ranges) = parse(c"page_indexes=1-9 page_indexes=2-3 page_index=9")?;
        assert_eq!(ranges[..], [1..10]);
        // A kind does not add anything to pages.
        let (filter, ranges) = parse(c"page_index=5 type=idle")?;
        assert_eq!(filter, Filter::default());
        assert_eq!(ranges[..], [5..6]);
        Ok(())
    }

    #[test]
    fn nothing() -> Result {
        for text in [c"", c"\n", c"   ", c"colour=blue"] {
            assert!(parse(text)?.1.is_empty());
        }
        Ok(())
    }

    #[test]
    fn errors() {
        let errors = [
            (c"idles", EINVAL),
            (c"type=", EINVAL),
            (c"type=all", EINVAL),
            (c"page_index", EINVAL),
            (c"page_index=", EINVAL),
            (c"page_index=x", EINVAL),
            (c"page_index=-1", EINVAL),
            (c"page_index=1x", EINVAL),
            (c"page_index=100", ERANGE),
            (c"page_index=99999999999999999999999", ERANGE),
            (c"page_indexes=5", EINVAL),
            (c"page_indexes=-5", EINVAL),
            (c"page_indexes=5-", EINVAL),
            (c"page_indexes=5-x", EINVAL),
            (c"page_indexes=6-5", ERANGE),
            (c"page_indexes=5-100", ERANGE),
            (c"page_indexes=100-101", ERANGE),
            (c"page_index=1 page_index=x", EINVAL),
            (c"page_index=1 nonsense", EINVAL),
        ];
        for (text, error) in errors {
            assert_eq!(parse(text), Err(error));
        }
    }
}
