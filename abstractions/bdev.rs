// SPDX-License-Identifier: GPL-2.0

//! Block devices as their users see them: opening one, and doing I/O to it.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/bio.h`](srctree/include/linux/bio.h)

use super::{
    alloc::Gfp,
    bio::SegmentCompletion,
    gendisk::QueueRef,
    page::{
        OwnedPage,
        PageRef, //
    },
    workqueue::HighPriority, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        offset_of,
        MaybeUninit, //
    },
    ops::Range,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    container_of,
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    types::Opaque,
};

/// A block device that this driver alone has open.
///
/// # Invariants
///
/// `file` is an open file of a block device, which belongs to this object, and `bdev` is that
/// device.
pub(crate) struct BlockDevice {
    file: NonNull<kernel::bindings::file>,
    bdev: NonNull<kernel::bindings::block_device>,
}

// SAFETY: An open file and its device may be used from any thread.
unsafe impl Send for BlockDevice {}
// SAFETY: The same.
unsafe impl Sync for BlockDevice {}

impl BlockDevice {
    /// Opens the block device at `path`, for reading and writing, exclusively.
    ///
    /// Fails with `ENOTBLK` if it is something else, `EBUSY` if somebody else has it exclusively,
    /// and with what opening a file fails with. May sleep.
    pub(crate) fn open(path: &CStr) -> Result<Self> {
        const FLAGS: u32 =
            kernel::bindings::O_RDWR | kernel::bindings::O_LARGEFILE | kernel::bindings::O_EXCL;
        // SAFETY: `path` is a C string.
        let file = from_err_ptr(unsafe {
            kernel::bindings::filp_open(path.as_char_ptr(), FLAGS as c_int, 0)
        })?;
        // SAFETY: The file is open.
        if !unsafe { bindings::zram_rs_file_is_bdev(file) } {
            // SAFETY: The file is open, and not used any more.
            unsafe { kernel::bindings::filp_close(file, ptr::null_mut()) };
            return Err(ENOTBLK);
        }
        // SAFETY: The file is that of a block device.
        let bdev = unsafe { kernel::bindings::file_bdev(file) };
        // INVARIANT: Just opened, and checked.
        Ok(Self {
            // SAFETY: `filp_open` returns no null pointer.
            file: unsafe { NonNull::new_unchecked(file) },
            // SAFETY: The file of a block device has one.
            bdev: unsafe { NonNull::new_unchecked(bdev) },
        })
    }

    /// Returns the size of the device in bytes. Any context.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: By the type invariants.
        unsafe { bindings::zram_rs_file_bdev_bytes(self.file.as_ptr()) }
    }

    /// Returns whether the device refuses all writes at the moment. Any context.
    pub(crate) fn is_read_only(&self) -> bool {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_read_only(self.bdev.as_ptr()) }
    }

    /// Returns whether the device has zones, some of which can only be written from their beginning
    /// on. Any context.
    pub(crate) fn is_zoned(&self) -> bool {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_is_zoned(self.bdev.as_ptr()) }
    }

    /// Returns the smallest unit of I/O to the device, in bytes. Any context.
    pub(crate) fn logical_block_size(&self) -> usize {
        // SAFETY: By the type invariants the device is open.
        unsafe { bindings::zram_rs_bdev_logical_block_size(self.bdev.as_ptr()) as usize }
    }

    /// Returns the path of the device's file, put together in `buffer`.
    ///
    /// Fails with `ENAMETOOLONG` if there is no room for it. May sleep.
    pub(crate) fn path<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a CStr> {
        let len = c_int::try_from(buffer.len())?;
        // SAFETY: By the type invariants; the buffer has this length.
        let path = from_err_ptr(unsafe {
            kernel::bindings::file_path(self.file.as_ptr(), buffer.as_mut_ptr().cast(), len)
        })?;
        // SAFETY: `file_path` returns a C string within the buffer.
        Ok(unsafe { CStr::from_char_ptr(path) })
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the file is open, and nobody uses it any more.
        unsafe { kernel::bindings::filp_close(self.file.as_ptr(), ptr::null_mut()) };
    }
}

/// The place of a page on a device, in sectors.
fn sector(page: usize) -> u64 {
    page as u64 * (PAGE_SIZE as u64 >> kernel::block::SECTOR_SHIFT)
}

/// Returns how a bio ended that has this status.
#[inline]
fn result_of(status: kernel::bindings::blk_status_t) -> Result {
    // Mostly.
    if status == 0 {
        return Ok(());
    }
    // SAFETY: No requirements.
    to_result(unsafe { kernel::bindings::blk_status_to_errno(status) })
}

// --- Writing ----------------------------------------------------------------------------------

/// A request to write some pages to a device, and data of the driver's that goes with it.
///
/// It is made in advance, used as often as needed, and goes to the device and comes back as a
/// whole: see [`Writer`]. All methods but [`new`](Self::new) are for any context.
///
/// # Invariants
///
/// `vecs` has at least as many elements as `pages` has room for.
#[pin_data]
pub(crate) struct WriteRequest<T> {
    #[pin]
    bio: Opaque<kernel::bindings::bio>,
    vecs: KVec<kernel::bindings::bio_vec>,
    pages: KVec<OwnedPage>,
    /// How many pages the request may have.
    max: usize,
    /// The next on the list of those that are done.
    next: *mut Self,
    /// Where to go when done.
    done: Option<Arc<DoneList<T>>>,
    /// The driver's data.
    data: T,
}

// SAFETY: The request owns its pages, its bio and its data. `next` is used only by whoever has the
// list that the request is on, and what `done` refers to is an atomic pointer and a wait queue,
// which may be used from all sides.
unsafe impl<T: Send> Send for WriteRequest<T> {}

impl<T: Send> WriteRequest<T> {
    /// Makes a request of one page that may [grow](Self::grow) to `max` pages.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`].
    ///
    /// # Errors
    ///
    /// Fails with `ENOMEM` if what `gfp` allows does not find the memory.
    pub(crate) fn new(max: usize, data: T, gfp: Gfp) -> Result<Pin<KBox<Self>>> {
        let flags = gfp.for_collections();
        // What a bio can have.
        let max = max.clamp(1, kernel::bindings::BIO_MAX_VECS as usize);
        let mut pages = KVec::with_capacity(max, flags)?;
        pages.push(OwnedPage::new(gfp)?, flags)?;
        let mut vecs = KVec::with_capacity(max, flags)?;
        for _ in 0..max {
            vecs.push(pin_init::zeroed(), flags)?;
        }
        // INVARIANT: There is a vector for each of `max` pages, and `grow` adds no more than that.
        KBox::try_pin_init(
            try_pin_init!(Self {
                bio <- Opaque::zeroed(),
                vecs,
                pages,
                max,
                next: ptr::null_mut(),
                done: None,
                data,
            }),
            flags,
        )
    }

    /// Adds the pages that the request may still have, as long as there is free memory.
    ///
    /// # Context
    ///
    /// Any but interrupts.
    pub(crate) fn grow(self: Pin<&mut Self>) {
        let this = self.project();
        while this.pages.len() < *this.max {
            let Ok(page) = OwnedPage::new(Gfp::NOWAIT) else {
                return;
            };
            if this.pages.push_within_capacity(page).is_err() {
                return;
            }
        }
    }

    /// Returns how many pages the request can take.
    pub(crate) fn capacity(&self) -> usize {
        self.pages.len()
    }

    /// Returns a page, for it to be filled.
    pub(crate) fn page(&self, index: usize) -> Option<PageRef<'_>> {
        self.pages.get(index).map(OwnedPage::as_page)
    }

    /// Returns the driver's data.
    pub(crate) fn data(self: Pin<&mut Self>) -> &mut T {
        self.project().data
    }

    /// Returns how the last use of the request ended: fails with what the device failed with.
    pub(crate) fn status(&self) -> Result {
        // SAFETY: The bio is not in use, as somebody else than the device has the request.
        result_of(unsafe { (*self.bio.get()).bi_status })
    }
}

/// Requests that are done.
struct DoneList<T> {
    head: Atomic<*mut WriteRequest<T>>,
    wait: Pin<KBox<WaitQueue>>,
}

/// Where somebody waits.
#[pin_data]
struct WaitQueue {
    #[pin]
    head: Opaque<kernel::bindings::wait_queue_head>,
}

// SAFETY: Wait queues are made to be used from all sides.
unsafe impl Send for WaitQueue {}
// SAFETY: The same.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid and pinned, the name and the class are static.
            head <- Opaque::ffi_init(|slot| unsafe {
                kernel::bindings::__init_waitqueue_head(
                    slot,
                    c"zram_rs writer".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                )
            }),
        })
    }
}

/// One who writes to a device, with several requests under way.
///
/// Nobody has one but for the time of [`with`](Self::with), which does not return before all of
/// them are back.
pub(crate) struct Writer<'a, T: Send> {
    device: &'a BlockDevice,
    done: Arc<DoneList<T>>,
    /// Requests that were taken from the list, a list of their own.
    taken: *mut WriteRequest<T>,
    /// How many requests are at the device or on a list.
    under_way: usize,
}

impl<T: Send> Writer<'_, T> {
    /// Calls `f` with a writer, waits for the requests that are under way after that, and returns
    /// what `f` returned.
    ///
    /// The writer is lent, and there is no other way to get one: it cannot be forgotten, which
    /// would leave its requests at a device that may be closed.
    ///
    /// # Context
    ///
    /// May sleep. `gfp` says how hard to try for the writer's own memory.
    ///
    /// # Errors
    ///
    /// Fails with what `f` fails with, and with `ENOMEM` if what `gfp` allows does not find the
    /// memory; `f` is not called then.
    pub(crate) fn with<R>(
        device: &BlockDevice,
        gfp: Gfp,
        f: impl FnOnce(&mut Writer<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let flags = gfp.for_collections();
        let done = DoneList {
            head: Atomic::new(ptr::null_mut()),
            wait: KBox::pin_init(WaitQueue::new(), flags)?,
        };
        let mut writer = Writer {
            device,
            done: Arc::new(done, flags)?,
            taken: ptr::null_mut(),
            under_way: 0,
        };
        let result = f(&mut writer);
        while writer.wait().is_some() {}
        result
    }

    /// Writes the pages of `request` that are in `pages` to the device, where they go to as many
    /// pages from page `to` on. Returns at once, or when the device's queue has room. May sleep.
    ///
    /// If the request has no such pages, it is done at once, with an error.
    pub(crate) fn submit(
        &mut self,
        request: Pin<KBox<WriteRequest<T>>>,
        pages: Range<usize>,
        to: usize,
    ) {
        // SAFETY: The request stays where it is, in memory that it owns.
        let request = KBox::into_raw(unsafe { Pin::into_inner_unchecked(request) });
        // SAFETY: The request is valid, and ours alone until it is submitted.
        let fields = unsafe { &mut *request };
        let bio = fields.bio.get();
        self.under_way += 1;
        let pages = fields.pages.get(pages).unwrap_or_default();
        if pages.is_empty() {
            // SAFETY: The request is not in use.
            unsafe { (*bio).bi_status = bindings::ZRAM_RS_BLK_STS_IOERR };
            fields.next = self.taken;
            self.taken = request;
            return;
        }
        fields.done = Some(self.done.clone());
        fields.next = ptr::null_mut();
        // SAFETY: The request is pinned and not in use, and by its type invariants there are no
        // fewer vectors than pages. The device stays open until the request is back, which `with`
        // waits for.
        unsafe {
            kernel::bindings::bio_init(
                bio,
                self.device.bdev.as_ptr(),
                fields.vecs.as_mut_ptr(),
                fields.vecs.len() as u16,
                kernel::bindings::req_op_REQ_OP_WRITE,
            );
            (*bio).bi_iter.bi_sector = sector(to);
            (*bio).bi_end_io = Some(Self::end_io);
            for page in pages {
                kernel::bindings::__bio_add_page(
                    bio,
                    page.as_page().as_ptr(),
                    PAGE_SIZE as c_uint,
                    0,
                );
            }
        }
        // SAFETY: The bio is complete. From here on the request belongs to `end_io`.
        unsafe { kernel::bindings::submit_bio(bio) };
    }

    /// Returns a request that is done, after waiting for one if need be; `None` if there is none
    /// under way. May sleep.
    pub(crate) fn wait(&mut self) -> Option<Pin<KBox<WriteRequest<T>>>> {
        if self.under_way == 0 {
            return None;
        }
        if self.taken.is_null() {
            // SAFETY: The wait queue and the pointer are valid; whoever changes the pointer wakes
            // us.
            unsafe {
                bindings::zram_rs_wait_not_null(
                    self.done.wait.head.get(),
                    self.done.head.as_ptr().cast(),
                )
            };
        }
        self.try_next()
    }

    /// Returns a request that is done, if there is one; of several, the one that was done first.
    /// Does not sleep.
    pub(crate) fn try_next(&mut self) -> Option<Pin<KBox<WriteRequest<T>>>> {
        if self.taken.is_null() {
            self.take();
        }
        let request = NonNull::new(self.taken)?;
        self.under_way -= 1;
        // SAFETY: The request was put on the list by `end_io`, and is ours now.
        unsafe {
            self.taken = request.as_ref().next;
            Some(Pin::new_unchecked(KBox::from_raw(request.as_ptr())))
        }
    }

    /// Takes those that are done, of which the last is at the head of the list.
    fn take(&mut self) {
        let mut head = self.done.head.xchg(ptr::null_mut(), Acquire);
        while let Some(mut request) = NonNull::new(head) {
            // SAFETY: The request was put on the list by `end_io`, and is ours now.
            let next = unsafe { &mut request.as_mut().next };
            head = core::mem::replace(next, self.taken);
            self.taken = request.as_ptr();
        }
    }

    /// Hands a request that is done to the writer. Hard interrupt context.
    ///
    /// # Safety
    ///
    /// Called by the block layer with the bio of a request that was submitted.
    unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
        let bio = Opaque::cast_from(bio).cast_mut();
        // SAFETY: The bio is part of a request, which is ours again.
        let request = unsafe { container_of!(bio, WriteRequest<T>, bio) };
        // SAFETY: The same. The list is kept by us beyond the point at which the writer may free
        // it.
        let Some(done) = (unsafe { (*request).done.take() }) else {
            return;
        };
        let mut head = done.head.load(Relaxed);
        loop {
            // SAFETY: The request is ours until it is on the list.
            unsafe { (*request).next = head };
            match done.head.cmpxchg(head, request, Release) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // SAFETY: The wait queue is valid. Dropping the list here, should it be the last reference,
        // frees memory, but no requests: the writer has waited for them.
        unsafe { bindings::zram_rs_wake_up(done.wait.head.get()) };
    }
}

// --- Reading ----------------------------------------------------------------------------------

/// A page that is to be read from a device, on behalf of I/O to a disk.
pub(crate) trait PageRead: Send + Sized + 'static {
    /// What I/O to the disk works on.
    type Ready: Send + Sync + 'static;

    /// Returns the device that pages are read from, if the disk has one. Any context.
    fn device(ready: &Self::Ready) -> Option<&ReadDevice<Self>>;

    /// Returns the page to read into; there must be one. Any context.
    fn page(&self) -> Option<PageRef<'_>>;

    /// Returns the part of a bio on whose behalf the page is read. Any context.
    fn completion(&self) -> &SegmentCompletion;

    /// Returns whether the page, once it was read, needs work that may sleep. Any context.
    fn needs_work(&self) -> bool;

    /// Ends the read of a page that was read and needs no work, or could not be read.
    ///
    /// # Context
    ///
    /// Any, hard interrupts included.
    fn finish(self, disk: &QueueRef<Self::Ready>, result: Result);

    /// Does the work that a page needs which was read. Returns what is to be read instead, and from
    /// which page of the device, or `None` when all is done.
    ///
    /// # Context
    ///
    /// A workqueue of high priority. May sleep, but not for other reads: all of its workers may be
    /// here.
    fn work(self, disk: &QueueRef<Self::Ready>) -> Option<(usize, Self)>;
}

/// A read that is under way, allocated together with its bio.
///
/// # Invariants
///
/// Between being submitted and being done, all fields are initialised but for `work`. `device` is
/// what [`PageRead::device`] returned for what `disk` gives access to.
#[repr(C)]
struct ReadRequest<R: PageRead> {
    work: Opaque<kernel::bindings::work_struct>,
    device: UnsafeCell<MaybeUninit<NonNull<ReadDevice<R>>>>,
    disk: UnsafeCell<MaybeUninit<QueueRef<R::Ready>>>,
    data: UnsafeCell<MaybeUninit<R>>,
    bio: Opaque<kernel::bindings::bio>,
}

/// A set of bios for reads.
///
/// # Invariants
///
/// `set` is an initialised set, whose bios have a [`ReadRequest<R>`] around them.
#[pin_data(PinnedDrop)]
struct ReadBios<R: PageRead> {
    #[pin]
    set: Opaque<kernel::bindings::bio_set>,
    _reads: PhantomData<fn(R)>,
}

// SAFETY: A bio set is used from all sides.
unsafe impl<R: PageRead> Send for ReadBios<R> {}
// SAFETY: The same.
unsafe impl<R: PageRead> Sync for ReadBios<R> {}

impl<R: PageRead> ReadBios<R> {
    /// Makes a set that has so many bios in reserve. Fails with `ENOMEM`. May sleep.
    fn new(reserve: c_uint, flags: u32) -> impl PinInit<Self, Error> {
        const { assert!(align_of::<R>() <= align_of::<kernel::bindings::bio>()) };
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(move |slot: *mut kernel::bindings::bio_set| {
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write_bytes(0, 1) };
                // SAFETY: The slot is zeroed, as this wants it, and pinned.
                to_result(unsafe {
                    kernel::bindings::bioset_init(
                        slot,
                        reserve,
                        offset_of!(ReadRequest<R>, bio) as c_uint,
                        (kernel::bindings::BIOSET_NEED_BVECS | flags) as c_int,
                    )
                })
            }),
            _reads: PhantomData,
        })
    }
}

#[pinned_drop]
impl<R: PageRead> PinnedDrop for ReadBios<R> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the set is initialised. Each read that is under way keeps
        // this object, so there is none.
        unsafe { kernel::bindings::bioset_exit(self.set.get()) };
    }
}

/// As long as this lives, all [`ReadDevice<R>`]s have their bios from one slab, which is not made
/// and destroyed with each of them: the latter takes a quarter of a second.
pub(crate) struct ReadSlab<R: PageRead> {
    _bios: Pin<KBox<ReadBios<R>>>,
}

impl<R: PageRead> ReadSlab<R> {
    /// Makes the slab. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // A set cannot be without any reserve.
        Ok(Self {
            _bios: KBox::try_pin_init(ReadBios::new(1, 0), GFP_KERNEL)?,
        })
    }
}

/// A device that pages are read from, with a reserve for when memory is short.
#[pin_data]
pub(crate) struct ReadDevice<R: PageRead> {
    device: BlockDevice,
    queue: Arc<HighPriority>,
    #[pin]
    bios: ReadBios<R>,
}

impl<R: PageRead> ReadDevice<R> {
    /// How many reads can be under way whatever else uses the memory.
    const RESERVE: c_uint = if cfg!(zram_rs_small_blocks) { 1 } else { 64 };

    /// Takes over a device, with a queue for pages that need work. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new(device: BlockDevice, queue: Arc<HighPriority>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device,
            queue,
            // Reads are submitted on the way of other I/O, where those that were submitted before
            // are held back: when the reserve is used up, somebody else has to submit them, or they
            // would never come back. That is the rescuer.
            // Each CPU keeps some that were used, for the next reads.
            bios <- ReadBios::new(
                Self::RESERVE,
                kernel::bindings::BIOSET_NEED_RESCUER | kernel::bindings::BIOSET_PERCPU_CACHE,
            ),
        })
    }

    /// Returns the device. Any context.
    pub(crate) fn device(&self) -> &BlockDevice {
        &self.device
    }

    /// Reads page `from` of the disk's device into the page of `data`, and lets `data` know. If
    /// there is no such device, it lets `data` know at once.
    ///
    /// # Context
    ///
    /// May sleep, also until another read is done: not for [`PageRead::work`]. Does not fail for
    /// lack of memory.
    pub(crate) fn read(disk: QueueRef<R::Ready>, from: usize, data: R) {
        let Some(this) = R::device(&disk) else {
            return data.finish(&disk, Err(EIO));
        };
        let device = NonNull::from(this);
        let flags = kernel::bindings::req_op_REQ_OP_READ | data.completion().inherited_flags();
        // SAFETY: The set is initialised. With these flags the allocation waits until it succeeds.
        let bio = unsafe {
            kernel::bindings::bio_alloc_bioset(
                this.device.bdev.as_ptr(),
                1,
                flags,
                Gfp::NOIO.as_raw(),
                this.bios.set.get(),
            )
        };
        let request = Self::request(bio);
        // SAFETY: The request and the bio are new, and ours until the bio is submitted.
        unsafe {
            (*(*request).device.get()).write(device);
            (*(*request).disk.get()).write(disk);
            Self::submit(request, from, data);
        }
    }

    /// Begins to read page `from` of the device into the page of `data`.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    ///
    /// # Safety
    ///
    /// `request` must belong to the caller, who must not use it any more. All of its fields must be
    /// initialised but for `work` and `data`, and its bio must have no pages.
    unsafe fn submit(request: *mut ReadRequest<R>, from: usize, data: R) {
        // SAFETY: By the safety requirements. The page is kept by the data, which stays in the
        // request until the bio is done.
        unsafe {
            let bio = (*request).bio.get();
            let data = (*(*request).data.get()).write(data);
            let Some(page) = data.page() else {
                return Self::finish(request, Err(EIO));
            };
            (*bio).bi_iter.bi_sector = sector(from);
            (*bio).bi_end_io = Some(Self::end_io);
            kernel::bindings::__bio_add_page(bio, page.as_ptr(), PAGE_SIZE as c_uint, 0);
            kernel::bindings::submit_bio(bio);
        }
    }

    /// Returns the request that is around a bio of a set of this type.
    fn request(bio: *mut kernel::bindings::bio) -> *mut ReadRequest<R> {
        bio.wrapping_byte_sub(offset_of!(ReadRequest<R>, bio))
            .cast()
    }

    /// Hard interrupt context.
    ///
    /// # Safety
    ///
    /// Called by the block layer with the bio of a request that was submitted.
    unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
        let request = Self::request(bio);
        // SAFETY: The bio is done, and its request ours again.
        let result = result_of(unsafe { (*bio).bi_status });
        // SAFETY: By the type invariants the data is there.
        let data = unsafe { (*(*request).data.get()).assume_init_ref() };
        if result.is_err() || !data.needs_work() {
            // SAFETY: The request is ours, not used any more, and its fields are there.
            unsafe { Self::finish(request, result) };
            return;
        }
        // SAFETY: By the type invariants the device is there. It lives in what the disk gives
        // access to, which stays where it is as long as the request has the disk.
        let device = unsafe { (*(*request).device.get()).assume_init_ref().as_ref() };
        // SAFETY: The request stays until its work is done.
        unsafe {
            kernel::bindings::init_work_with_key(
                (*request).work.get(),
                Some(Self::work),
                false,
                c"zram_rs read".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            device.queue.enqueue((*request).work.get());
        }
    }

    /// # Safety
    ///
    /// Called by the workqueue with the work of a request that has been read.
    unsafe extern "C" fn work(work: *mut kernel::bindings::work_struct) {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: The work is that of a request.
        let request = unsafe { container_of!(work, ReadRequest<R>, work) };
        // SAFETY: By the type invariants the data is there. It is taken out here, and not used
        // again before `submit` puts other data in its place.
        let data = unsafe { (*(*request).data.get()).assume_init_read() };
        // SAFETY: By the type invariants the disk is there.
        let disk = unsafe { (*(*request).disk.get()).assume_init_ref() };
        let Some((from, data)) = data.work(disk) else {
            // SAFETY: The request is ours, not used any more, and its data was taken out.
            return unsafe { Self::put(request) };
        };
        // Whoever waits for a bio may wait for this one, so a worker must not wait for another one.
        let flags = kernel::bindings::req_op_REQ_OP_READ | data.completion().inherited_flags();
        // SAFETY: The bio is done, and ours. The device is there, as in `end_io`. `bio_reset`
        // leaves the bio with the pool that it came from, room for a page, and no pages; the other
        // fields of the request are as they were.
        unsafe {
            let device = (*(*request).device.get()).assume_init_ref().as_ref();
            let bio = (*request).bio.get();
            kernel::bindings::bio_reset(bio, device.device.bdev.as_ptr(), flags);
            Self::submit(request, from, data);
        }
    }

    /// Tells the data of a request, and gives the request back.
    ///
    /// # Context
    ///
    /// Any, hard interrupts included.
    ///
    /// # Safety
    ///
    /// `request` must belong to the caller, who must not use it any more, with all fields
    /// initialised but for `work`.
    unsafe fn finish(request: *mut ReadRequest<R>, result: Result) {
        // SAFETY: By the safety requirements both are there. The data is taken out once.
        unsafe {
            let data = (*(*request).data.get()).assume_init_read();
            data.finish((*(*request).disk.get()).assume_init_ref(), result);
            Self::put(request);
        }
    }

    /// Gives a request back whose data was taken out.
    ///
    /// # Context
    ///
    /// Any, hard interrupts included.
    ///
    /// # Safety
    ///
    /// `request` must belong to the caller, who must not use it any more, with the disk in it.
    unsafe fn put(request: *mut ReadRequest<R>) {
        // SAFETY: By the safety requirements the disk is there, and is taken out once.
        let disk = unsafe { (*(*request).disk.get()).assume_init_read() };
        // SAFETY: The bio is ours, and goes back to its set along with the request around it. The
        // set is there, since we have the disk.
        unsafe { kernel::bindings::bio_put((*request).bio.get()) };
        drop(disk);
    }
}
