// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/zram/zram<id>/block_state`: the state of each page of a disk that holds data.

use crate::{
    abstractions::{
        debugfs::{
            Dir,
            File,
            ReadFile, //
        },
        sched::check_signals, //
    },
    comp::Priority,
    device::ConfigHandle,
    slot::{
        SlotGuard,
        View, //
    },
    store::Store,
};
use core::fmt::Write;
use kernel::{
    fs::file,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter,
    sync::Arc,
    uaccess::UserSliceWriter, //
};

/// Maximum length of a line: a number, a time, six zeroes, and marks.
const MAX_LINE: usize = 64;

/// Maximum number of pages to examine, and of bytes to collect, before copying to the reader with
/// no lock held.
const PAGES: usize = 16 * 1024;
const BYTES: usize = 4096;

/// The directory of all disks.
pub(crate) struct Root(Option<Arc<Dir>>);

impl Root {
    /// Creates the directory; if that fails, disks have no files in debugfs. May sleep.
    pub(crate) fn new() -> Self {
        Self(Dir::new(c"zram").ok())
    }
}

/// The directory of a disk.
///
/// Dropping it removes the directory; this may sleep, because it waits for reads in progress.
pub(crate) struct Directory {
    _block_state: File<BlockState>,
}

impl Directory {
    /// Creates the directory `name` of a disk, with its file `block_state`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(root: &Root, name: &CStr, config: ConfigHandle) -> Result<Self> {
        let dir = root.0.as_ref().ok_or(ENOMEM)?.subdir(name)?;
        Ok(Self {
            _block_state: File::new(dir, c"block_state", BlockState(config))?,
        })
    }
}

/// The file `block_state`: one line for each page that holds data.
///
/// A file offset is the number of a page; a read returns whole lines only.
struct BlockState(ConfigHandle);

impl ReadFile for BlockState {
    type Module = crate::LocalModule;

    fn read(&self, writer: &mut UserSliceWriter, offset: &mut file::Offset) -> Result<usize> {
        let mut index = usize::try_from(*offset)?;
        let mut lines = KVec::with_capacity(BYTES, GFP_KERNEL)?;
        let mut written = 0;
        loop {
            lines.clear();
            let max = BYTES.min(writer.len());
            let Some(next) = self
                .0
                .with_store(|store| describe(store, index, &mut lines, max))
            else {
                if written == 0 {
                    return Err(EINVAL);
                }
                break;
            };
            writer.write_slice(&lines)?;
            written += lines.len();
            let done = next == index;
            index = next;
            *offset = index as file::Offset;
            if done {
                break;
            }
            if let Err(error) = check_signals(kernel::current!()) {
                if written == 0 {
                    return Err(error);
                }
                break;
            }
        }
        Ok(written)
    }
}

/// Appends the lines of the pages from `first` on and returns the first page that it did not reach.
///
/// It appends as many lines as fit, with a NUL, into `max` bytes.
fn describe(store: &Store, first: usize, lines: &mut KVec<u8>, max: usize) -> usize {
    let mut next = first;
    let end = store.table.len().min(first.saturating_add(PAGES));
    store.table.for_each(first..end, |index, slot| {
        let mut line = [0; MAX_LINE];
        let len = write_line(index, &slot, &mut line);
        // As many lines as with C zram, whose buffer also holds the NUL of the formatted string.
        if len > 0 {
            let fits = lines.len() + len < max;
            if !fits || lines.extend_from_slice(&line[..len], GFP_NOWAIT).is_err() {
                return false;
            }
        }
        next = index + 1;
        true
    });
    next
}

/// Writes the line of a slot and returns its length, 0 if the slot is empty.
fn write_line(index: usize, slot: &SlotGuard<'_>, line: &mut [u8; MAX_LINE]) -> usize {
    let (same, written_back, huge) = match slot.view() {
        View::Empty => return 0,
        View::Same(_) => (true, false, false),
        View::Stored { .. } => (false, false, false),
        View::Huge { .. } => (false, false, true),
        View::WrittenBack { location, .. } => (false, true, location.size() == PAGE_SIZE),
    };
    let mark = |on, letter| if on { letter } else { '.' };
    let mut out = Formatter::new(line);
    // The line fits: see `MAX_LINE`.
    let _ = writeln!(
        out,
        "{index:12} {:12}.000000 {}{}{}{}{}{}",
        slot.last_access(),
        mark(same, 's'),
        mark(written_back, 'w'),
        mark(huge, 'h'),
        mark(slot.is_idle(), 'i'),
        mark(slot.priority() > Priority::PRIMARY, 'r'),
        mark(slot.is_incompressible(), 'n'),
    );
    out.bytes_written().min(MAX_LINE)
}
