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
        bdev::PageRead,
        bio::Part,
        gendisk::Held,
        page::{
            BouncePage,
            PageRef, //
        },
        sched::boottime_seconds,
    },
    backing::PinnedBlock,
    device::Device,
    io::{
        Form,
        Found, //
    },
};
use kernel::prelude::*;

/// What a page that was read is for.
pub(crate) enum Purpose {
    /// It is what the reader wants: it is read to where the reader wants it.
    Whole,
    /// The reader wants a part of it, or wants it in pieces.
    Copy(BouncePage),
    /// The writer replaces a part of it.
    Merge(BouncePage),
}

/// A page that is being read from the backing device.
pub(crate) struct Read {
    part: Part,
    purpose: Purpose,
    /// Where the page is.
    block: PinnedBlock,
    form: Form,
    // The last to be dropped: it keeps the disk.
    pages: Held<Device>,
}

impl Read {
    /// Begins to read a page, which `part` of a bio is about. The rest of it happens by itself. May
    /// sleep.
    pub(crate) fn start(
        mut part: Part,
        purpose: Purpose,
        block: PinnedBlock,
        form: Form,
        pages: Held<Device>,
    ) {
        let Some(source) = pages.backing().map(|backing| backing.source.clone()) else {
            // There are no blocks without a device.
            part.fail(EIO);
            return;
        };
        pages.stats.bd_reads.add(1);
        source.read(
            block.number(),
            Self {
                part,
                purpose,
                block,
                form,
                pages,
            },
        );
    }

    /// Makes of the page that was read what it is for; says where the page is if it has been
    /// written elsewhere since, and a part is to be written to it.
    fn deliver(&self) -> Result<Found> {
        let page = self.page().ok_or(EIO)?;
        if let Form::Compressed { size, priority } = self.form {
            self.pages
                .decompress_in_place(&page.map(), size, priority)?;
        }
        let chunk = self.part.chunk();
        match self.purpose {
            Purpose::Whole => page.flush_dcache(),
            Purpose::Copy(_) => chunk.copy_from(&page.map())?,
            Purpose::Merge(_) => {
                chunk.copy_to(&page.map())?;
                let now = boottime_seconds();
                if !self
                    .pages
                    .write_merged(chunk.index, page, &self.block, now)?
                {
                    return self.pages.write_part(chunk, page, now);
                }
            }
        }
        Ok(Found::Here)
    }
}

impl PageRead for Read {
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

    fn finish(mut self, result: Result) {
        // What the device says is passed on; to others than us, all the rest is an I/O error.
        let delivered = result.and_then(|()| self.deliver().map_err(|_| EIO));
        if let Err(error) = delivered {
            let stats = &self.pages.stats;
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
        let Self {
            part,
            purpose,
            block,
            pages,
            ..
        } = self;
        if let Some(backing) = pages.backing() {
            backing.blocks.unpin(block);
        }
        if let Ok(Found::There(block, form)) = delivered {
            Self::start(part, purpose, block, form, pages);
            return;
        }
        drop(purpose);
        // The disk must not go before the bio is complete.
        drop(part);
        drop(pages);
    }
}
