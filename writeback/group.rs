// SPDX-License-Identifier: GPL-2.0

//! Writeback of a group of pages in the background, with memory that was set aside.

use super::{
    budget::Budget,
    engine::{
        Engine,
        Job,
        Quota,
        RequestData,
        Requests,
        Role, //
    },
    packer::Packer,
    Each,
};
use crate::{
    abstractions::{
        alloc::Gfp,
        block::bdev::{
            Writer,
            WriterMemory, //
        },
        sched::totalram_pages, //
    },
    backing::Backing,
    select::Sorter,
    store::Store, //
};
use kernel::prelude::*;

/// Maximum number of requests in flight: few, as the device has other users.
pub(super) const REQUESTS: u32 = 4;

/// What it takes to write back pages without free memory.
pub(crate) struct SetAside {
    memory: WriterMemory<RequestData>,
    /// `None` only while a group is being written.
    requests: Option<Requests>,
}

impl SetAside {
    /// Allocates it. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            memory: WriterMemory::new(Gfp::KERNEL)?,
            requests: Some(Requests::new(Gfp::KERNEL)?),
        })
    }

    /// Has `write` write back at most `pages` pages with an engine whose requests are of the idle
    /// class, unless they are urgent, and returns its result and that of the engine.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the memory is in use, which never happens.
    pub(super) fn with_engine(
        &mut self,
        job: &Job<'_>,
        pages: usize,
        urgent: bool,
        write: impl FnOnce(&mut Engine<'_, '_>) -> Result,
    ) -> Result<(Result, Result)> {
        let requests = self.requests.take().ok_or(ENOMEM)?;
        let quota = Quota::new(REQUESTS, pages, totalram_pages());
        let device = job.backing.source.device();
        let (end, result, requests) = Writer::with_memory(device, &mut self.memory, |writer| {
            if !urgent {
                writer.set_idle();
            }
            let mut engine = Engine::with_requests(job, Role::Worker, writer, quota, requests);
            let end = write(&mut engine);
            let (result, requests) = engine.finish_with_requests(end);
            (end, result, requests)
        });
        self.requests = Some(requests);
        Ok((end, result))
    }
}

/// Why the writeback of a group ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GroupEnd {
    /// All of its pages were attempted.
    Written,
    /// The limit is reached.
    Limit,
    /// No block is free.
    Full,
    /// The disk is being reset.
    Stopped,
    /// The device failed to write a page, or a page could not be read.
    Failed(Error),
}

/// Writes back the pages of a group whose slots are selected, with requests of the idle class
/// unless it is `urgent`.
///
/// None of the slots is selected any more when this returns.
///
/// # Context
///
/// May sleep, but not for memory. The caller has the right to post-process the disk.
pub(crate) fn run(
    store: &Store,
    backing: &Backing,
    budget: &Budget,
    group: &mut Sorter,
    set_aside: &mut SetAside,
    urgent: bool,
) -> GroupEnd {
    let job = Job {
        store,
        backing,
        budget,
        submitter: kernel::current!(),
    };
    let deselect_all = |group: &Sorter| {
        for index in group.slots() {
            store.table.deselect(index);
        }
    };
    let pages = group.len();
    let written = set_aside.with_engine(&job, pages, urgent, |engine| {
        if store.sharing().is_packed() {
            engine.write(&Packer::new(group.batch()))
        } else if job.has_room_for(pages) {
            // In the order in which the turn has found them.
            engine.write(Each(group.slots()))
        } else {
            engine.write(Each(group.batch().slots.iter().copied()))
        }
    });
    let (end, result) = match written {
        Ok(results) => results,
        Err(error) => {
            deselect_all(group);
            return GroupEnd::Failed(error);
        }
    };
    if end.is_err() {
        deselect_all(group);
    }
    match (end, result) {
        (Err(ENOSPC), _) => GroupEnd::Full,
        (Err(EINTR | ERESTARTSYS), _) | (_, Err(EINTR | ERESTARTSYS)) => GroupEnd::Stopped,
        (Err(_), _) => GroupEnd::Limit,
        // A page that cannot be read, and stays in memory.
        (Ok(()), Ok(()) | Err(EINVAL)) => GroupEnd::Written,
        (Ok(()), Err(error)) => GroupEnd::Failed(error),
    }
}
