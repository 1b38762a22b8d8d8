// SPDX-License-Identifier: GPL-2.0

//! Turns: what post-processing of a disk does from its beginning to its end.

use crate::{
    abstractions::tracepoint,
    store::Store, //
};
use kernel::prelude::*;

/// What post-processing does; `ZRAM_RS_TURN_KINDS` in C has the names.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Writes pages back.
    Writeback = 0,
    /// Recompresses pages.
    Recompress = 1,
    /// Packs the blocks of the backing device anew.
    Compact = 2,
}

/// Calls `f`, which post-processes the pages of `store`, between two tracepoints.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// Those of `f`.
pub(crate) fn run(store: &Store, kind: Kind, f: impl FnOnce() -> Result) -> Result {
    let dev = store.events().dev();
    let written = || store.stats.bd_writes.get() as usize;
    let before = written();
    tracepoint::turn_begin(dev, kind as u32);
    let result = f();
    let error = result.map_or_else(Error::to_errno, |()| 0);
    tracepoint::turn_end(dev, kind as u32, written().saturating_sub(before), error);
    result
}
