// SPDX-License-Identifier: GPL-2.0

//! Turns: what post-processing of a disk does from its beginning to its end.

use crate::{
    abstractions::{
        sched::boottime_seconds,
        tracepoint, //
    },
    store::Store, //
};
use kernel::{
    prelude::*,
    sync::atomic::Relaxed,
    time::{
        Instant,
        Monotonic, //
    },
};

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

/// Calls `f`, which post-processes the pages of `store`, between two tracepoints, and notes what it
/// has done.
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
    let began = Instant::<Monotonic>::now();
    tracepoint::turn_begin(|| (dev, kind as u32));
    let result = f();
    let error = result.map_or_else(Error::to_errno, |()| 0);
    let blocks = written().saturating_sub(before);
    tracepoint::turn_end(|| (dev, kind as u32, blocks, error));
    let last = &store.events().last_turn;
    let millis = began.elapsed().as_millis();
    last.kind.store(kind as u64, Relaxed);
    last.ended.store(boottime_seconds().into(), Relaxed);
    last.millis.store(millis.max(0) as u64, Relaxed);
    last.written.store(blocks as u64, Relaxed);
    last.error.store(error.unsigned_abs().into(), Relaxed);
    last.turns.add(1, Relaxed);
    result
}
