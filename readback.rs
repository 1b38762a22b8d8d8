// SPDX-License-Identifier: GPL-2.0

//! Readback: answering reads of pages that are on the backing device.
//!
//! A read takes along what the slot said about the page at that time, and a pin on the block,
//! so that the block holds this page until it was read, whatever becomes of the slot. Pages that
//! are on the device as they are, are complete in the interrupt that says that they were read;
//! others are decompressed on a workqueue of high priority. So are those of which a writer replaces
//! a part, which are then written.

use crate::{
    abstractions::{
        bdev::{
            PageRead,
            ReadDevice, //
        },
        bio::Part,
        gendisk::QueueRef,
        page::PageRef,
        sched::boottime_seconds,
    },
    backing::read::{
        Form,
        Purpose,
        Read, //
    },
    io::{
        Found,
        Pages, //
    },
};
use kernel::prelude::*;

impl Read {
    /// Makes of the page that was read what it is for; says where the page is if it has been
    /// written elsewhere since, and a part is to be written to it.
    #[inline]
    fn deliver(&self, pages: &Pages) -> Result<Found> {
        if let (Purpose::Whole, Form::Raw) = (&self.purpose, self.form) {
            // The device has put it where it is wanted.
            return Ok(Found::Here);
        }
        let page = self.page().ok_or(EIO)?;
        if let Form::Compressed { size, priority } = self.form {
            pages.decompress_in_place(&page.map(), size as usize, priority)?;
        }
        let chunk = self.part.chunk();
        match self.purpose {
            Purpose::Whole => page.flush_dcache(),
            Purpose::Copy(_) => chunk.copy_from(&page.map())?,
            Purpose::Merge(_) => {
                chunk.copy_to(&page.map())?;
                let now = boottime_seconds();
                if !pages.write_merged(chunk.index, page, &self.block, now)? {
                    return pages.write_part(chunk, page, now);
                }
            }
        }
        Ok(Found::Here)
    }
}

impl PageRead for Read {
    type Ready = Pages;

    fn device(pages: &Pages) -> Option<&ReadDevice<Self>> {
        pages.backing().map(|backing| &backing.source)
    }

    fn page(&self) -> Option<PageRef<'_>> {
        match &self.purpose {
            Purpose::Whole => self.part.chunk().whole_page(),
            Purpose::Copy(page) | Purpose::Merge(page) => Some(page.as_page()),
        }
    }

    fn part(&self) -> &Part {
        &self.part
    }

    fn needs_work(&self) -> bool {
        matches!(self.form, Form::Compressed { .. }) || matches!(self.purpose, Purpose::Merge(_))
    }

    fn finish(self, pages: &QueueRef<Pages>, result: Result) {
        // What was not read, or needs no work, is not to be merged with anything.
        let _ = self.end(pages, result);
    }

    fn work(self, pages: &QueueRef<Pages>) -> Option<(usize, Self)> {
        self.end(pages, Ok(()))
    }
}

impl Read {
    /// Delivers what was read, and unpins its block. Returns what is to be read instead, if the
    /// page has moved to another block and a part is to be written to it.
    fn end(mut self, pages: &QueueRef<Pages>, result: Result) -> Option<(usize, Self)> {
        // What the device says is passed on; to others than us, all the rest is an I/O error.
        let delivered = result.and_then(|()| self.deliver(pages).map_err(|_| EIO));
        if let Err(error) = delivered {
            let stats = &pages.stats;
            match (&self.purpose, self.page()) {
                (Purpose::Merge(_), _) => stats.failed_writes.add(1),
                (Purpose::Whole, Some(page)) => {
                    // What is in the reader's page now is not what it asked for.
                    page.map().fill(0);
                    stats.failed_reads.add(1);
                }
                _ => stats.failed_reads.add(1),
            }
            self.part.fail(error);
        }
        if let Some(backing) = pages.backing() {
            backing.blocks.unpin(self.block);
        }
        let Ok(Found::There(block, form)) = delivered else {
            return None;
        };
        pages.stats.bd_reads.add(1);
        Some((
            block.number(),
            Self {
                block,
                form,
                ..self
            },
        ))
    }
}
