// SPDX-License-Identifier: GPL-2.0

//! Recompression: compresses pages again, with a slower algorithm that compresses better.
//!
//! With the slot locked, the page is decompressed to a copy. The copy is compressed with no slot
//! locked, and the new object replaces the old one unless the slot was accessed meanwhile. A page
//! that no algorithm could make smaller is marked as incompressible: it is not recompressed again,
//! and writeback can select it.
//!
//! Readers of other pages may wait for the stream that compresses. So while it holds the stream,
//! recompression allocates the new object from free memory only.

use crate::{
    abstractions::{
        alloc::Gfp,
        page::{
            OwnedPage,
            PageRef, //
        },
        parse::{
            kstrtoint,
            kstrtouint,
            kstrtoull,
            Args, //
        },
        sched::cond_resched, //
    },
    comp::{
        CompConfig,
        Priority, //
    },
    select::Selector,
    slot::{
        Content,
        SlotGuard, //
    },
    store::Store,
    zspool::Object, //
};
use kernel::{
    prelude::*,
    str::CString, //
};

/// A request to recompress pages, as written to `recompress`.
#[derive(Debug)]
pub(crate) struct RecompressRequest {
    /// Whether only idle pages are recompressed.
    idle: bool,
    /// Whether only incompressible pages are recompressed.
    huge: bool,
    /// Maximum number of pages to compress.
    max_pages: u64,
    /// Objects below this size, in bytes, are not recompressed; new objects must be below it. 0 for
    /// no threshold.
    threshold: usize,
    priority: Option<i32>,
    algorithm: Option<CString>,
}

impl RecompressRequest {
    /// Parses the text that was written to `recompress`.
    ///
    /// The text is a list of `type=<idle, huge or huge_idle>`, `max_pages=<n>`,
    /// `threshold=<bytes>`, `algo=<name>` and `priority=<n>`. Other names are ignored, as in C
    /// zram.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a word has no value, or an invalid one.
    /// - `ERANGE`: a number is too large.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr) -> Result<Self> {
        let mut this = Self {
            idle: false,
            huge: false,
            max_pages: u64::MAX,
            threshold: 0,
            priority: None,
            algorithm: None,
        };
        let mut args = Args::new(text)?;
        while let Some((name, value)) = args.next_pair()? {
            match name.to_bytes() {
                b"type" => {
                    (this.idle, this.huge) = match value.to_bytes() {
                        b"idle" => (true, false),
                        b"huge" => (false, true),
                        b"huge_idle" => (true, true),
                        // As in C zram: an unknown type is an error, unless a known one came
                        // before it.
                        _ if this.idle || this.huge => (this.idle, this.huge),
                        _ => return Err(EINVAL),
                    }
                }
                b"max_pages" => this.max_pages = kstrtoull(value, 10)?,
                b"threshold" => this.threshold = kstrtouint(value, 10)? as usize,
                b"algo" => this.algorithm = Some(CString::try_from(value)?),
                b"priority" => this.priority = Some(kstrtoint(value, 10)?),
                _ => (),
            }
        }
        Ok(this)
    }

    /// Returns whether the request has a maximum number of pages.
    fn is_limited(&self) -> bool {
        self.max_pages != u64::MAX
    }

    /// Returns the priority of the algorithm that the request names.
    ///
    /// # Context
    ///
    /// Any context; does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the disk has no such algorithm.
    pub(crate) fn find(&self, config: &CompConfig) -> Result<Priority> {
        config.find(
            self.priority,
            self.algorithm.as_deref(),
            Priority::SECONDARY,
        )
    }

    /// Returns whether the page in a slot is to be recompressed with the algorithm of `priority`.
    fn accepts(&self, slot: &SlotGuard<'_>, priority: Priority) -> bool {
        (!self.idle || slot.is_idle())
            && (!self.huge || slot.is_huge())
            && is_worth_trying(slot, priority)
    }
}

/// Returns whether the algorithm of `priority` may make the page in a slot smaller. Any context.
pub(crate) fn is_worth_trying(slot: &SlotGuard<'_>, priority: Priority) -> bool {
    !slot.is_incompressible() && slot.priority() < priority
}

/// Recompresses pages with the algorithm of a priority, the largest first.
///
/// A page that cannot be read or compressed keeps its compressed data, and does not count towards
/// the maximum number of pages.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// The last error of a page, after all others have been attempted; or one of these, which end the
/// recompression:
///
/// - `EINVAL`: there is no such algorithm, or no object can be as large as the threshold.
/// - `ENOMEM`: there is no memory.
/// - Those of [`Store::check_stop`]. If the request has a maximum number of pages, `EINTR` replaces
///   `ERESTARTSYS` once the first batch is selected: a restarted system call would compress more
///   pages than the maximum.
pub(crate) fn run(store: &Store, request: &RecompressRequest, priority: Priority) -> Result {
    if request.threshold >= store.pool().huge_size() || store.streams.get(priority).is_none() {
        return Err(EINVAL);
    }
    let copy = OwnedPage::new(Gfp::KERNEL)?;
    let check_stop = || store.check_stop(kernel::current!());
    let all = 0..store.table.len();
    let ranges = core::slice::from_ref(&all);
    let mut selector = Selector::new(
        &store.table,
        ranges,
        |slot| request.accepts(slot, priority),
        check_stop,
    )?;
    let mut left = request.max_pages;
    let mut result = Ok(());
    while let Some(batch) = selector.next_batch() {
        for &index in batch.slots {
            if left == 0 {
                return result;
            }
            check_stop().map_err(|error| match error {
                ERESTARTSYS if request.is_limited() => EINTR,
                _ => error,
            })?;
            let page = copy.as_page();
            match self::page(
                store,
                index,
                priority,
                request.threshold,
                page,
                Some(Gfp::NOIO),
            ) {
                Ok(true) => left -= 1,
                Ok(false) => (),
                Err(ENOMEM) => return Err(ENOMEM),
                Err(error) => {
                    store.table.deselect(index);
                    result = Err(error);
                }
            }
            cond_resched();
        }
    }
    selector.done();
    result
}

/// The outcome of compressing a page.
enum Shrunk<'a> {
    /// The new object would not take less memory, or would not be below the threshold.
    Not,
    /// The page is in this object.
    To(Object<'a>),
    /// There was no free memory for an object of so many bytes.
    NoMemory(usize),
}

/// Recompresses a page if its slot is still selected, and returns whether the page was compressed,
/// even if its slot keeps the old object.
///
/// The page is copied to `copy`. The object comes from free memory, or else from what `patient`
/// finds.
///
/// # Context
///
/// May sleep, for memory only with `patient`.
///
/// # Errors
///
/// - `ENOMEM`: there is no memory for the object.
/// - Those of decompression and compression.
///
/// The slot keeps its object.
pub(crate) fn page(
    store: &Store,
    index: usize,
    priority: Priority,
    threshold: usize,
    copy: PageRef<'_>,
    patient: Option<Gfp>,
) -> Result<bool> {
    let mut slot = match store.table.lock(index) {
        Some(slot) if slot.is_selected() => slot,
        _ => return Ok(false),
    };
    let page = copy.map();
    let old_size = slot.object_size().unwrap_or(0);
    if old_size < threshold || !store.read_object(&slot, index, &page)? {
        slot.set_selected(false);
        return Ok(false);
    }
    slot.set_idle(false);
    drop(slot);

    let streams = store.streams.get(priority).ok_or(EINVAL)?;
    let pool = store.pool();
    let shrink = |spare: Option<_>| {
        streams.with(|stream| {
            let Some(bytes) = stream.compress(&page, pool.huge_size())? else {
                return Ok::<_, Error>(Shrunk::Not);
            };
            let size = bytes.len();
            if pool.class(size) >= pool.class(old_size) || (threshold != 0 && size >= threshold) {
                return Ok(Shrunk::Not);
            }
            let object = match spare {
                Some(object) if Object::size(&object) == size => Ok(object),
                _ => pool.alloc(size, copy.node(), Gfp::NOWAIT),
            };
            let Ok(mut object) = object else {
                return Ok(Shrunk::NoMemory(size));
            };
            object.write(bytes);
            Ok(Shrunk::To(object))
        })
    };
    let mut shrunk = shrink(None)?;
    if let (Shrunk::NoMemory(size), Some(gfp)) = (&shrunk, patient) {
        let object = pool.alloc(*size, copy.node(), gfp)?;
        shrunk = shrink(Some(object))?;
    }
    let object = match shrunk {
        Shrunk::Not => None,
        Shrunk::To(object) => Some(object),
        Shrunk::NoMemory(_) => return Err(ENOMEM),
    };

    let mut slot = match store.table.lock(index) {
        Some(slot) if slot.is_selected() => slot,
        _ => return Ok(true),
    };
    match object {
        Some(object) => {
            let content = Content::Stored { object, priority };
            let new = content.footprint();
            let old = slot.recompress(content);
            store.stats.count(old.footprint(), new);
            drop(slot);
            store.dispose(old);
        }
        None => {
            slot.set_selected(false);
            slot.set_tried(priority);
            if store.streams.is_last(priority) {
                slot.set_incompressible();
            }
        }
    }
    Ok(true)
}

#[kunit_tests(zram_rs_recompress)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it() -> Result {
        let request = RecompressRequest::parse(
            c" type=huge_idle max_pages=7 threshold=3000\talgo=zstd priority=2 colour=blue\n",
        )?;
        assert!(request.idle && request.huge);
        assert_eq!(request.max_pages, 7);
        assert_eq!(request.threshold, 3000);
        assert_eq!(request.priority, Some(2));
        assert_eq!(request.algorithm.as_deref(), Some(c"zstd"));
        Ok(())
    }

    #[test]
    fn none_of_it() -> Result {
        for text in [c"", c"\n", c"colour=blue"] {
            let request = RecompressRequest::parse(text)?;
            assert!(!request.idle && !request.huge);
            assert_eq!(request.max_pages, u64::MAX);
            assert_eq!(request.threshold, 0);
            assert_eq!(request.priority, None);
            assert!(request.algorithm.is_none());
        }
        Ok(())
    }

    #[test]
    fn kinds() -> Result {
        let kind = |text| -> Result<(bool, bool)> {
            let request = RecompressRequest::parse(text)?;
            Ok((request.idle, request.huge))
        };
        assert_eq!(kind(c"type=idle"), Ok((true, false)));
        assert_eq!(kind(c"type=huge"), Ok((false, true)));
        assert_eq!(kind(c"type=huge type=idle"), Ok((true, false)));
        assert_eq!(kind(c"type=huge type=nonsense"), Ok((false, true)));
        assert_eq!(kind(c"type=nonsense"), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn errors() {
        let errors = [
            (c"idle", EINVAL),
            (c"type=", EINVAL),
            (c"max_pages=x", EINVAL),
            (c"max_pages=99999999999999999999999", ERANGE),
            (c"threshold=-1", EINVAL),
            (c"threshold=4294967296", ERANGE),
            (c"priority=1x", EINVAL),
            (c"algo", EINVAL),
        ];
        for (text, error) in errors {
            assert!(matches!(RecompressRequest::parse(text), Err(e) if e == error));
        }
    }
}
