// SPDX-License-Identifier: GPL-2.0

//! Readback: completing reads from the backing device.
//!
//! A [`DeviceRead`] carries what the slot said about the page when the read began, and a pin on the
//! block. The pin keeps the page in the block until it has been read, even if the slot changes
//! meanwhile. A page that is stored raw is delivered in the completion interrupt. A workqueue of
//! high priority decompresses other pages, and merges and writes pages that a bio writes in part.

use crate::{
    abstractions::{
        block::{
            bdev::{
                AfterWork,
                PageRead,
                ReadDevice, //
            },
            bio::SegmentCompletion,
            gendisk::QueueRef, //
        },
        page::PageRef,
        sched::boottime_seconds,
        tracepoint, //
    },
    backing::read::{
        DeviceRead,
        ReadTarget,
        StoredForm, //
    },
    io::ReadOutcome,
    store::Store, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How long to wait before a block that cannot be read yet is looked at again.
const PIN_WAIT: Delta = Delta::from_millis(1);

impl DeviceRead {
    /// Delivers the page that was read to the bio.
    ///
    /// The page is not delivered if the block was not pinned, or if a bio writes a part of the page
    /// and the page is in another block now: the outcome is then that of [`Store::read`] or
    /// [`Store::write_part`]. With `at_once`, it is `Busy` if a stream has to be waited for.
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
    fn deliver(
        &self,
        store: &Store,
        shared: Option<PageRef<'_>>,
        at_once: bool,
    ) -> Result<ReadOutcome> {
        let Some(block) = &self.block else {
            return self.find(store);
        };
        if let (ReadTarget::Page, StoredForm::Raw) = (&self.target, self.form) {
            // The device has read the page into the bio's memory.
            return Ok(ReadOutcome::Done);
        }
        let segment = self.completion.segment();
        let own = self.page();
        let from = shared.or(own).ok_or(EIO)?;
        let page = match self.target {
            ReadTarget::Bounce(_) | ReadTarget::Shared => segment.whole_page(),
            _ => own,
        };
        let page = page.ok_or(EIO)?;
        if let StoredForm::Compressed {
            offset,
            size,
            priority,
        } = self.form
        {
            let (offset, size) = (offset as usize, size as usize);
            let from = from.map();
            let to = page.map();
            if !store.decompress_from(&from, offset, size, priority, &to, at_once)? {
                return Ok(ReadOutcome::Busy);
            }
        }
        match self.target {
            ReadTarget::Page | ReadTarget::Bounce(_) | ReadTarget::Shared => page.flush_dcache(),
            ReadTarget::Copy(_) => segment.copy_from(&page.map())?,
            ReadTarget::Merge(_) => {
                segment.copy_to(&page.map())?;
                let now = boottime_seconds();
                if !store.write_merged(segment.index, page, block, now)? {
                    return store.write_part(segment, page, now);
                }
            }
        }
        Ok(ReadOutcome::Done)
    }

    /// Begins anew with a page that could not be read yet, and delivers it if it is in memory now.
    fn find(&self, store: &Store) -> Result<ReadOutcome> {
        let segment = self.completion.segment();
        let now = boottime_seconds();
        let page = match &self.target {
            ReadTarget::Merge(page) => return store.write_part(segment, page.as_page(), now),
            ReadTarget::Copy(page) => page.as_page(),
            ReadTarget::Page | ReadTarget::Bounce(_) | ReadTarget::Shared => {
                segment.whole_page().ok_or(EIO)?
            }
        };
        let outcome = store.read(segment.index, page, now)?;
        if let ReadOutcome::Done = outcome {
            match self.target {
                ReadTarget::Copy(_) => segment.copy_from(&page.map())?,
                _ => page.flush_dcache(),
            }
        }
        Ok(outcome)
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
            ReadTarget::Bounce(page) => Some(page.as_page()),
            ReadTarget::Copy(page) | ReadTarget::Merge(page) => Some(page.as_page()),
            ReadTarget::Shared => None,
        }
    }

    fn completion(&self) -> &SegmentCompletion {
        &self.completion
    }

    fn needs_work(&self) -> bool {
        self.form.is_compressed() || matches!(self.target, ReadTarget::Merge(_))
    }

    fn finish(self, store: &QueueRef<Store>, result: Result) {
        // A read that failed or needs no work is not followed by another.
        let _ = self.end(store, result, None, false);
    }

    fn work(self, store: &QueueRef<Store>) -> AfterWork<Self> {
        let next = self.end(store, Ok(()), None, false);
        if let AfterWork::Again(_) = next {
            // The reads of the block may need this worker; they get it after this.
            fsleep(PIN_WAIT);
        }
        next
    }

    fn work_sharing(self, page: PageRef<'_>, store: &QueueRef<Store>) {
        // A read whose block is pinned, and that is not for a partial write, is not followed by
        // another.
        let _ = self.end(store, Ok(()), Some(page), false);
    }

    fn work_at_once(
        self,
        shared: Option<PageRef<'_>>,
        store: &QueueRef<Store>,
    ) -> Result<(), Self> {
        // Others lock a slot.
        if self.block.is_none() || matches!(self.target, ReadTarget::Merge(_)) {
            return Err(self);
        }
        match self.end(store, Ok(()), shared, true) {
            AfterWork::Done => Ok(()),
            AfterWork::Read(_, read) | AfterWork::Again(read) => Err(read),
        }
    }
}

impl DeviceRead {
    /// Delivers the page that was read, from `shared` if another read has read its block there,
    /// unpins its block, and returns what follows. With `at_once`, it does not wait for a stream.
    fn end(
        mut self,
        store: &QueueRef<Store>,
        result: Result,
        shared: Option<PageRef<'_>>,
        at_once: bool,
    ) -> AfterWork<Self> {
        if let Err(error) = result {
            store.stats.bd_failed_reads.add(1);
            store.events().device_failed(error);
        }
        // The bio gets the device's errors as they are, a lack of space if the limit is reached,
        // and an I/O error for all others.
        let delivered = result.and_then(|()| {
            self.deliver(store, shared, at_once)
                .map_err(|error| match error {
                    ENOSPC => ENOSPC,
                    _ => EIO,
                })
        });
        if at_once && matches!(delivered, Ok(ReadOutcome::Busy)) {
            return AfterWork::Again(self);
        }
        if let Some(block) = self.block.take() {
            tracepoint::slot_readback(|| {
                let error = delivered.as_ref().err().map_or(0, |error| error.to_errno());
                let index = self.completion.segment().index;
                (store.events().dev(), index, block.number(), error)
            });
            store.unpin(block);
        }
        let latency = &store.events().latency;
        match delivered {
            Ok(ReadOutcome::Done) => {
                latency.end(self.began, &latency.readback);
                AfterWork::Done
            }
            Ok(ReadOutcome::OnDevice(block, form)) => {
                let mut found = Some((block, form));
                if let ReadTarget::Page | ReadTarget::Bounce(_) | ReadTarget::Shared = self.target {
                    (self.target, found) = store.target(found);
                }
                let Some((block, form)) = found else {
                    return AfterWork::Again(self);
                };
                store.stats.bd_reads.add(1);
                let from = block.number();
                self.block = Some(block);
                self.form = form;
                AfterWork::Read(from, self)
            }
            Ok(ReadOutcome::Busy) => AfterWork::Again(self),
            Err(error) => {
                latency.end(self.began, &latency.readback);
                let stats = &store.stats;
                match &self.target {
                    ReadTarget::Merge(_) => stats.failed_writes.add(1),
                    ReadTarget::Copy(_) => stats.failed_reads.add(1),
                    ReadTarget::Page | ReadTarget::Bounce(_) | ReadTarget::Shared => {
                        // The reader must not see what the device or the decompressor left there.
                        if let Some(page) = self.completion.segment().whole_page() {
                            page.map().fill(0);
                        }
                        stats.failed_reads.add(1);
                    }
                }
                self.completion.fail(error);
                AfterWork::Done
            }
        }
    }
}
