// SPDX-License-Identifier: GPL-2.0

//! Turns: what post-processing of a disk does from its beginning to its end.

use crate::{
    abstractions::{
        sched::boottime_seconds,
        tracepoint, //
    },
    events::Events,
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
    /// Writes cold pages back, unasked.
    AutoWriteback = 3,
    /// Recompresses cold pages, unasked.
    AutoRecompress = 4,
}

/// Notes that post-processing of a disk begins. Any context.
pub(crate) fn begin(events: &Events, kind: Kind) {
    tracepoint::turn_begin(|| (events.dev(), kind as u32));
}

/// Notes that post-processing of a disk, which took `millis` milliseconds, has ended with `error`,
/// 0 for none, and has written `blocks` blocks. Any context.
pub(crate) fn end(events: &Events, kind: Kind, blocks: u64, millis: u64, error: i32) {
    tracepoint::turn_end(|| (events.dev(), kind as u32, blocks as usize, error));
    let last = &events.last_turn;
    last.kind.store(kind as u64, Relaxed);
    last.ended.store(boottime_seconds().into(), Relaxed);
    last.millis.store(millis, Relaxed);
    last.written.store(blocks, Relaxed);
    last.error.store(error.unsigned_abs().into(), Relaxed);
    last.turns.add(1, Relaxed);
}

/// Calls `f`, which post-processes the pages of `store`, and notes its beginning and its end.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// Those of `f`.
pub(crate) fn run(store: &Store, kind: Kind, f: impl FnOnce() -> Result) -> Result {
    let before = store.stats.bd_writes.get();
    let began = Instant::<Monotonic>::now();
    begin(store.events(), kind);
    let result = f();
    let error = result.map_or_else(Error::to_errno, |()| 0);
    let blocks = store.stats.bd_writes.get().saturating_sub(before);
    let millis = began.elapsed().as_millis().max(0) as u64;
    end(store.events(), kind, blocks, millis, error);
    result
}
