// SPDX-License-Identifier: GPL-2.0

//! Readback: completing reads from the backing device.
//!
//! A [`DeviceRead`] carries what the slot said about the page when the read began, and a pin on the
//! block. The pin keeps the page in the block until it has been read, even if the slot changes
//! meanwhile. A page that is stored raw is delivered in the completion interrupt. A workqueue of
//! high priority decompresses other pages, and merges and writes pages that a bio writes in part.

use crate::{
    abstractions::{
        bdev::{
            PageRead,
            ReadDevice, //
        },
        bio::SegmentCompletion,
        gendisk::QueueRef,
        page::PageRef,
        sched::boottime_seconds,
    },
    backing::read::{
        DeviceRead,
        ReadTarget,
        StoredForm, //
    },
    io::ReadOutcome,
    store::Store, //
};
use kernel::prelude::*;

impl DeviceRead {
    /// Delivers the page that was read to the bio.
    ///
    /// Returns [`ReadOutcome::OnDevice`] if a partial write was to be merged into the page, and the
    /// page has been written to another block since: the read must be repeated there.
    ///
    /// # Context
    ///
    /// Any context for a read that needs no work (see [`PageRead::needs_work`]), otherwise may
    /// sleep.
    ///
    /// # Errors
    ///
    /// Those of decompressing and writing a page.
    #[inline]
    fn deliver(&self, store: &Store) -> Result<ReadOutcome> {
        if let (ReadTarget::Page, StoredForm::Raw) = (&self.target, self.form) {
            // The device has read the page into the bio's memory.
            return Ok(ReadOutcome::Done);
        }
        let page = self.page().ok_or(EIO)?;
        if let StoredForm::Compressed { size, priority } = self.form {
            store.decompress_in_place(&page.map(), size as usize, priority)?;
        }
        let segment = self.completion.segment();
        match self.target {
            ReadTarget::Page => page.flush_dcache(),
            ReadTarget::Copy(_) => segment.copy_from(&page.map())?,
            ReadTarget::Merge(_) => {
                segment.copy_to(&page.map())?;
                let now = boottime_seconds();
                if !store.write_merged(segment.index, page, &self.block, now)? {
                    return store.write_part(segment, page, now);
                }
            }
        }
        Ok(ReadOutcome::Done)
    }
}

impl PageRead for DeviceRead {
    type Ready = Store;

    fn device(store: &Store) -> Option<&ReadDevice<Self>> {
        store.backing().map(|backing| &backing.source)
    }

    fn page(&self) -> Option<PageRef<'_>> {
        match &self.target {
            ReadTarget::Page => self.completion.segment().whole_page(),
            ReadTarget::Copy(page) | ReadTarget::Merge(page) => Some(page.as_page()),
        }
    }

    fn completion(&self) -> &SegmentCompletion {
        &self.completion
    }

    fn needs_work(&self) -> bool {
        matches!(self.form, StoredForm::Compressed { .. })
            || matches!(self.target, ReadTarget::Merge(_))
    }

    fn finish(self, store: &QueueRef<Store>, result: Result) {
        // What was not read, or needs no work, is not to be merged with anything.
        let _ = self.end(store, result);
    }

    fn work(self, store: &QueueRef<Store>) -> Option<(usize, Self)> {
        self.end(store, Ok(()))
    }
}

impl DeviceRead {
    /// Delivers what was read, and unpins its block. Returns what is to be read instead, if the
    /// page has moved to another block and a part is to be written to it.
    fn end(mut self, store: &QueueRef<Store>, result: Result) -> Option<(usize, Self)> {
        // The bio gets the device's errors as they are, and an I/O error for all others.
        let delivered = result.and_then(|()| self.deliver(store).map_err(|_| EIO));
        if let Err(error) = delivered {
            let stats = &store.stats;
            match (&self.target, self.page()) {
                (ReadTarget::Merge(_), _) => stats.failed_writes.add(1),
                (ReadTarget::Page, Some(page)) => {
                    // The reader must not see what the device or the decompressor left there.
                    page.map().fill(0);
                    stats.failed_reads.add(1);
                }
                _ => stats.failed_reads.add(1),
            }
            self.completion.fail(error);
        }
        if let Some(backing) = store.backing() {
            backing.blocks.unpin(self.block);
        }
        let Ok(ReadOutcome::OnDevice(block, form)) = delivered else {
            return None;
        };
        store.stats.bd_reads.add(1);
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
