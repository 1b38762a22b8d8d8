// SPDX-License-Identifier: GPL-2.0

//! Writeback: writes pages to the backing device, with many bios in flight.
//!
//! The submitter, which is the task that wrote to the file, does all of it: it takes the selected
//! slots in their order, copies their pages into requests, and submits these. A request has as many
//! blocks as are free next to each other. When a request completes, the submitter puts the shares
//! of the blocks into those slots that were not accessed meanwhile, and frees their objects.
//!
//! Users ask for writeback when memory is short. So the submitter begins with one request, which
//! may have a single page, and which is enough to write back all pages. It allocates others while
//! all that it has are in flight, from free memory only: it never waits for memory that it is about
//! to free.
//!
//! If there is room for all pages, and they share no blocks, they are written in ascending order of
//! their slots, so that neighbours on the disk are neighbours on the device. If there is room for
//! many pages, a helper takes part: a worker on another CPU, with up to half of the requests.
//!
//! The only lock that is held while requests are in flight is the one that serialises
//! post-processing of the disk.

pub(crate) mod budget;
pub(crate) mod compact;
mod engine;
pub(crate) mod group;
mod packer;
pub(crate) mod period;
mod pieces;
mod plan;
pub(crate) mod selection;

use crate::{
    abstractions::{
        alloc::Gfp,
        block::bdev::Writer,
        sched::totalram_pages,
        workqueue::with_scoped_work, //
    },
    backing::Backing,
    select::Selector,
    store::Store, //
};
use budget::Budget;
use engine::{
    Each,
    Engine,
    Job,
    Quota,
    Role,
    Source,
    MIN_HELPED, //
};
use kernel::prelude::*;
use packer::Packer;
use pieces::Pieces;
use selection::Selection;

/// Maximum number of requests in flight, unless the user sets another.
pub(crate) const DEFAULT_BATCH_SIZE: u32 = 32;

/// Maximum number of blocks in a request.
const REQUEST_BLOCKS: usize = 32;

/// Returns whether a device has few free blocks, and so many sparse ones that compaction is worth
/// it.
///
/// May sleep.
pub(crate) fn is_short(store: &Store, backing: &Backing) -> bool {
    let blocks = backing.blocks.len();
    store.sharing().is_packed()
        && backing.blocks.without_owner() < blocks / SHORT
        && store.sharing().stat().sparse > blocks / WORTH
}

/// The fraction of the blocks of a device below which its free blocks are few, as its denominator.
const SHORT: usize = 8;

/// The fraction of the blocks of a device from which on sparse ones are many, as its denominator.
const WORTH: usize = 64;

/// The order in which the slots of a batch are written back.
#[allow(clippy::large_enum_variant, reason = "it is on the stack once")]
enum Order<'a> {
    /// In the order of the batch, each to a block of its own.
    Batch(Pieces<'a>),
    /// Those that fill blocks.
    Packed(Packer<'a>),
}

impl Order<'_> {
    /// Returns the number of slots.
    fn len(&self) -> usize {
        match self {
            Order::Batch(pieces) => pieces.len(),
            Order::Packed(packer) => packer.len(),
        }
    }

    /// Calls `write` with the slots that a task takes.
    fn take<T>(&self, write: impl FnOnce(&mut dyn Source) -> T) -> T {
        match self {
            Order::Batch(pieces) => write(&mut Each(pieces.slots())),
            Order::Packed(packer) => write(&mut &*packer),
        }
    }
}

/// Writes back the pages of a selection: in ascending order of their slots if there is room for all
/// of them and each has a block of its own, otherwise the largest first.
///
/// # Context
///
/// A system call, which returns the error. May sleep, for long.
///
/// # Errors
///
/// The last error of a page, after all others have been attempted; or one of these, which end the
/// writeback:
///
/// - `EIO`: the limit is reached.
/// - `ENOSPC`: no block is free.
/// - `ENOMEM`: there is no memory for a single request.
/// - Those of [`Store::check_stop`].
pub(crate) fn run(
    store: &Store,
    backing: &Backing,
    budget: &Budget,
    batch_size: u32,
    selection: &Selection,
) -> Result {
    let job = Job {
        store,
        backing,
        budget,
        submitter: kernel::current!(),
    };
    let mut selector = Selector::new(
        &store.table,
        &selection.ranges,
        |slot| selection.filter.accepts(slot),
        || job.check_stop(),
    )?;
    if selector.len() == 0 {
        return Ok(());
    }
    if is_short(store, backing) {
        // Without free memory for it, the writeback goes first.
        let compacted = compact::run(store, backing, budget, batch_size, Gfp::NOWAIT);
        if let Err(error @ (EINTR | ERESTARTSYS)) = compacted {
            return Err(error);
        }
    }
    let packed = store.sharing().is_packed();
    let in_order = !packed && job.has_room_for(selector.len());
    let quota = Quota::new(batch_size, selector.len(), totalram_pages());
    let halves = quota.halves().filter(|_| job.is_helped(selector.len()));
    let own = halves.map_or(quota, |(own, _)| own);
    Writer::with(backing.source.device(), Role::Submitter.gfp(), |writer| {
        let mut engine = Engine::new(&job, Role::Submitter, writer, own)?;
        let mut end = Ok(());
        let mut helped = Ok(());
        loop {
            let order = if in_order {
                (selector.next_ascending()).map(|slots| Order::Batch(Pieces::new(slots)))
            } else if packed {
                selector.next_batch().map(Packer::new).map(Order::Packed)
            } else {
                (selector.next_batch()).map(|batch| Order::Batch(Pieces::new(batch.slots)))
            };
            let Some(order) = order else { break };
            // The workqueue may have to create a worker, and reclaims memory for it.
            let share = halves.filter(|_| order.len() >= MIN_HELPED && engine.could_use_help());
            let mut write = || order.take(|slots| engine.write(slots));
            end = match share {
                None => write(),
                Some((_, share)) => {
                    let mut helper_end = Ok(());
                    let mut help = || {
                        helper_end = order.take(|slots| job.help(slots, share, &mut helped));
                    };
                    with_scoped_work(1, &mut help, write).and(helper_end)
                }
            };
            if end.is_err() {
                break;
            }
        }
        let result = engine.finish(end).and(helped);
        if end.is_ok() {
            selector.done();
        }
        result
    })
}
