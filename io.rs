// SPDX-License-Identifier: GPL-2.0

//! The hot path: reading, writing and discarding one page.
//!
//! A page is compressed before its slot is locked, and what was in the slot is freed after it is
//! unlocked: what happens under the lock is the exchange of the two.

use crate::{
    abstractions::{
        bio::{
            Bio,
            Chunk, //
        },
        cpuhp::Registered,
        page::{
            BouncePage,
            PageRef, //
        },
        sched::cond_resched, //
    },
    comp::Streams,
    slot::{
        Content,
        Table,
        View, //
    },
    stats::Stats,
    zspool::{
        Object,
        Pool, //
    },
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The pages of an initialised disk.
#[pin_data(PinnedDrop)]
pub(crate) struct Pages {
    #[pin]
    table: Table,
    streams: Registered<Streams>,
    /// Where compressed pages are.
    pub(crate) pool: Pool,
    /// What is counted.
    pub(crate) stats: Stats,
    /// How many pages of memory may be used; 0 for any number.
    limit: Atomic<usize>,
}

#[pinned_drop]
impl PinnedDrop for Pages {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        this.table.drain(|handle| drop(this.pool.adopt(handle)));
    }
}

/// What is to be put into a slot, while it can still be given up.
enum Fresh<'a> {
    Same(usize),
    Stored { object: Object<'a>, size: usize },
    Huge { object: Object<'a> },
}

impl From<Fresh<'_>> for Content {
    fn from(fresh: Fresh<'_>) -> Self {
        match fresh {
            Fresh::Same(word) => Content::Same(word),
            Fresh::Stored { object, size } => Content::Stored {
                handle: object.into_handle(),
                size,
            },
            Fresh::Huge { object } => Content::Huge {
                handle: object.into_handle(),
            },
        }
    }
}

impl Pages {
    /// Makes the pages of a disk, all of them empty. May sleep.
    pub(crate) fn new(
        pages: usize,
        pool: Pool,
        streams: Registered<Streams>,
        limit: usize,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- Table::new(pages),
            streams,
            pool,
            stats: Stats::new(),
            limit: Atomic::new(limit),
        })
    }

    /// Sets how many pages of memory may be used; 0 for any number. Any context.
    pub(crate) fn set_limit(&self, pages: usize) {
        self.limit.store(pages, Relaxed);
    }

    /// Reads what a bio asks for. May sleep.
    pub(crate) fn read_bio(&self, bio: &mut Bio) {
        bio.start_accounting();
        if let Err(error) = bio.chunks().try_for_each(|chunk| self.read_chunk(&chunk)) {
            self.stats.failed_reads.add(1);
            pr_err!("Read failed: {:?}\n", error);
            bio.fail();
        }
    }

    /// Writes what a bio brings. May sleep.
    pub(crate) fn write_bio(&self, bio: &mut Bio) {
        bio.start_accounting();
        if bio
            .chunks()
            .try_for_each(|chunk| self.write_chunk(&chunk))
            .is_err()
        {
            self.stats.failed_writes.add(1);
            bio.fail();
        }
    }

    /// Frees the pages that lie within the range of a bio; those that it touches only in part keep
    /// what they have. May sleep.
    pub(crate) fn discard_bio(&self, bio: &Bio) {
        let (start, len) = bio.range();
        let end = (start + len as u64) >> PAGE_SHIFT;
        let start = start.div_ceil(PAGE_SIZE as u64);
        for index in start..end {
            if let Some(mut slot) = self.table.lock(index as usize) {
                let old = slot.replace(Content::Empty);
                drop(slot);
                self.free(old);
                self.stats.notify_free.add(1);
            }
            if index % 1024 == 0 {
                cond_resched();
            }
        }
    }

    /// Frees a page that swap does not need any more, if it can be done without waiting. Atomic
    /// context.
    pub(crate) fn free_notify(&self, index: usize) {
        self.stats.notify_free.add(1);
        match self.table.try_lock(index) {
            Some(mut slot) => {
                let old = slot.replace(Content::Empty);
                drop(slot);
                self.free(old);
            }
            None => self.stats.miss_free.add(1),
        }
    }

    fn read_chunk(&self, chunk: &Chunk<'_>) -> Result {
        if let Some(page) = chunk.whole_page() {
            self.read(chunk.index, page)?;
            page.flush_dcache();
            return Ok(());
        }
        let bounce = BouncePage::new()?;
        let page = bounce.as_page();
        self.read(chunk.index, page)?;
        let page = page.map();
        chunk.copy_from(&page)
    }

    fn write_chunk(&self, chunk: &Chunk<'_>) -> Result {
        if let Some(page) = chunk.whole_page() {
            return self.write(chunk.index, page);
        }
        let bounce = BouncePage::new()?;
        let page = bounce.as_page();
        if !chunk.covers_page() {
            self.read(chunk.index, page)?;
        }
        chunk.copy_to(&page.map())?;
        self.write(chunk.index, page)
    }

    /// Reads a page of the disk.
    fn read(&self, index: usize, page: PageRef<'_>) -> Result {
        let page = page.map();
        let slot = self.table.lock(index).ok_or(EIO)?;
        match slot.view() {
            View::Empty => page.fill(0),
            View::Same(word) => page.fill(word),
            View::Huge { handle } => self.pool.read_page(handle, &page),
            View::Stored { handle, size } => self.streams.with(|stream| {
                let (mut decompressor, scratch) = stream.split();
                self.pool.read(handle, size, scratch, |bytes| {
                    decompressor.decompress(bytes, &page)
                })
            })?,
        }
        Ok(())
    }

    /// Writes a page of the disk. If that fails, the disk keeps what it has.
    fn write(&self, index: usize, page: PageRef<'_>) -> Result {
        let content = Content::from(self.compress(page)?);
        self.stats.count(&content);
        let old = match self.table.lock(index) {
            Some(mut slot) => slot.replace(content),
            // There is no such page: what was to go there goes instead.
            None => content,
        };
        self.free(old);
        Ok(())
    }

    /// Turns a page into what is to be put into a slot.
    fn compress(&self, page: PageRef<'_>) -> Result<Fresh<'_>> {
        let nid = page.nid();
        let page = page.map();
        if let Some(word) = page.same_filled() {
            return Ok(Fresh::Same(word));
        }
        let stored = self.streams.with(|stream| {
            let bytes = stream.compress(&page)?;
            let size = bytes.len();
            if size >= self.pool.huge_size() {
                return Ok::<_, Error>(None);
            }
            let mut object = self.alloc(size, nid)?;
            object.write(bytes);
            Ok(Some(Fresh::Stored { object, size }))
        })?;
        if let Some(stored) = stored {
            return Ok(stored);
        }
        let mut object = self.alloc(PAGE_SIZE, nid)?;
        object.write_page(&page);
        Ok(Fresh::Huge { object })
    }

    /// Allocates an object, unless the memory that may be used is used up.
    fn alloc(&self, size: usize, nid: i32) -> Result<Object<'_>> {
        let object = self.pool.alloc(size, nid)?;
        let used = self.pool.pages();
        self.stats.note_used_pages(used);
        let limit = self.limit.load(Relaxed);
        if limit != 0 && used > limit {
            return Err(ENOMEM);
        }
        Ok(object)
    }

    /// Frees what was taken out of a slot. Any context.
    fn free(&self, content: Content) {
        self.stats.discount(&content);
        if let Content::Stored { handle, .. } | Content::Huge { handle } = content {
            drop(self.pool.adopt(handle));
        }
    }
}
