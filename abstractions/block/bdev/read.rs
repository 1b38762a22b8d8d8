// SPDX-License-Identifier: GPL-2.0

//! Reads from a block device that make progress when memory is short.

use super::{
    result_of,
    sector,
    BlockDevice,
    ReadRun, //
};
use crate::abstractions::{
    alloc::Gfp,
    block::{
        bio::SegmentCompletion,
        gendisk::QueueRef, //
    },
    page::PageRef,
    sched::{
        is_preemptible_task,
        num_online_cpus, //
    },
    workqueue::HighPriority, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        offset_of,
        MaybeUninit, //
    },
    ptr::NonNull,
};
use kernel::{
    container_of,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// The read of a page from a device, on behalf of I/O to a disk.
///
/// # Context
///
/// Methods are called in any context and must not sleep unless they say otherwise.
pub(crate) trait PageRead: Send + Sized + 'static {
    /// The data that I/O to the disk uses.
    type Ready: Send + Sync + 'static;

    /// Returns the device that pages are read from, or `None` if the disk has none.
    fn device(ready: &Self::Ready) -> Option<&ReadDevice<Self>>;

    /// Returns the page to read into; the read fails without one.
    fn page(&self) -> Option<PageRef<'_>>;

    /// Returns the completion of the bio segment for which the page is read.
    fn completion(&self) -> &SegmentCompletion;

    /// Returns whether the page needs [`work`](Self::work), which may sleep, after it was read.
    fn needs_work(&self) -> bool;

    /// Finishes the read of a page that needs no work or could not be read.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; must not sleep.
    fn finish(self, disk: &QueueRef<Self::Ready>, result: Result);

    /// Does the work that a page needs after it was read, and returns what follows.
    ///
    /// # Context
    ///
    /// A worker of high priority. May sleep, but must not wait for other reads: these may need a
    /// worker, and all workers may be here.
    fn work(self, disk: &QueueRef<Self::Ready>) -> AfterWork<Self>;

    /// Does the work of a read in a [run](super::ReadRun), from the memory that another read of the
    /// same page of the device lends.
    ///
    /// # Context
    ///
    /// As for [`work`](Self::work).
    fn work_sharing(self, page: PageRef<'_>, disk: &QueueRef<Self::Ready>);

    /// Does the work of a read without waiting for anything, or returns the read, whose work is
    /// then done by a worker.
    ///
    /// # Context
    ///
    /// A task. Must not sleep: it may have spinlocks of the device.
    fn work_at_once(
        self,
        shared: Option<PageRef<'_>>,
        disk: &QueueRef<Self::Ready>,
    ) -> Result<(), Self>;
}

/// What follows the work of a read.
pub(crate) enum AfterWork<R> {
    /// The read is finished.
    Done,
    /// This page of the device is read in place of the one that was read.
    Read(usize, R),
    /// The work is done again, after other work that is queued.
    Again(R),
}

/// A read in flight, allocated together with its bio.
///
/// # Invariants
///
/// From submission to completion, and while the work is queued, all fields but `work` are
/// initialised. `device` points to the
/// device that [`PageRead::device`] returned for the data that `disk` gives access to.
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
/// `set` is initialised, and allocates each bio as the last field of a [`ReadRequest<R>`].
#[pin_data(PinnedDrop)]
struct ReadBios<R: PageRead> {
    #[pin]
    set: Opaque<kernel::bindings::bio_set>,
    _reads: PhantomData<fn(R)>,
}

// SAFETY: A bio set does its own locking, and any thread may use and free it.
unsafe impl<R: PageRead> Send for ReadBios<R> {}
// SAFETY: A bio set does its own locking.
unsafe impl<R: PageRead> Sync for ReadBios<R> {}

impl<R: PageRead> ReadBios<R> {
    /// Creates a set with `reserve` bios in reserve.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    fn new(reserve: c_uint, flags: u32) -> impl PinInit<Self, Error> {
        const { assert!(align_of::<R>() <= align_of::<kernel::bindings::bio>()) };
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(move |slot: *mut kernel::bindings::bio_set| {
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write_bytes(0, 1) };
                // SAFETY: The slot is zeroed, as the function requires, and pinned.
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
        // SAFETY: By the type invariants the set is initialised. Each read in flight keeps this
        // object alive, so that none is in flight.
        unsafe { kernel::bindings::bioset_exit(self.set.get()) };
    }
}

/// A reference to the slab from which all [`ReadDevice<R>`]s allocate their bios.
///
/// It keeps the slab from being created and destroyed with each device: destroying it takes a
/// quarter of a second.
pub(crate) struct ReadSlab<R: PageRead> {
    _bios: Pin<KBox<ReadBios<R>>>,
}

impl<R: PageRead> ReadSlab<R> {
    /// Creates the slab.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the reference.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new() -> Result<Self> {
        // A set must have at least one bio in reserve.
        Ok(Self {
            _bios: KBox::try_pin_init(ReadBios::new(1, 0), GFP_KERNEL)?,
        })
    }
}

/// A device that pages are read from, with reserved bios for when memory is short.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::block::bdev::{
///     AfterWork,
///     BlockDevice,
///     PageRead,
///     ReadDevice, //
/// };
/// # use crate::abstractions::{
/// #     alloc::Gfp,
/// #     block::{
/// #         bio::{PageSegment, SegmentCompletion},
/// #         gendisk::{QueueEntered, QueueRef},
/// #     },
/// #     page::{OwnedPage, PageRef},
/// #     workqueue::HighPriority,
/// # };
/// # use kernel::sync::Arc;
///
/// /// What I/O to the disk needs.
/// struct Ready {
///     device: Pin<KBox<ReadDevice<MyRead>>>,
/// }
///
/// /// The read of a page for a part of a bio.
/// struct MyRead {
///     page: OwnedPage,
///     completion: SegmentCompletion,
/// }
///
/// impl PageRead for MyRead {
///     type Ready = Ready;
///
///     fn device(ready: &Ready) -> Option<&ReadDevice<Self>> {
///         Some(&ready.device)
///     }
///
///     fn page(&self) -> Option<PageRef<'_>> {
///         Some(self.page.as_page())
///     }
///
///     fn completion(&self) -> &SegmentCompletion {
///         &self.completion
///     }
///
///     fn needs_work(&self) -> bool {
///         false
///     }
///
///     fn finish(mut self, _disk: &QueueRef<Ready>, result: Result) {
///         let (segment, page) = (self.completion.segment(), self.page.as_page());
///         if let Err(error) = result.and_then(|()| segment.copy_from(&page.map())) {
///             self.completion.fail(error);
///         }
///     }
///
///     fn work(self, _disk: &QueueRef<Ready>) -> AfterWork<Self> {
///         AfterWork::Done
///     }
///
///     fn work_sharing(mut self, page: PageRef<'_>, _disk: &QueueRef<Ready>) {
///         if let Err(error) = self.completion.segment().copy_from(&page.map()) {
///             self.completion.fail(error);
///         }
///     }
///
///     fn work_at_once(
///         self,
///         _shared: Option<PageRef<'_>>,
///         _disk: &QueueRef<Ready>,
///     ) -> Result<(), Self> {
///         Err(self)
///     }
/// }
///
/// fn read(disk: &QueueEntered<'_, Ready>, segment: &PageSegment<'_>) -> Result {
///     let (page, completion) = (OwnedPage::new(Gfp::NOIO)?, segment.completion());
///     ReadDevice::read(disk.queue_ref(), segment.index, MyRead { page, completion });
///     Ok(())
/// }
///
/// let queue = Arc::new(HighPriority::new(c"my_driver", 0)?, GFP_KERNEL)?;
/// let device = ReadDevice::new(BlockDevice::open(c"/dev/sda")?, queue);
/// let ready = Ready {
///     device: KBox::try_pin_init(device, GFP_KERNEL)?,
/// };
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub(crate) struct ReadDevice<R: PageRead> {
    device: BlockDevice,
    queue: Arc<HighPriority>,
    #[pin]
    bios: ReadBios<R>,
    /// The bios of reads that first have to be [found](Self::find). They may wait for reads that
    /// wait for one of `bios`.
    #[pin]
    find_bios: ReadBios<R>,
    /// The number of reads of [runs](ReadRun) that workers have.
    reads_at_workers: Atomic<i32>,
}

impl<R: PageRead> ReadDevice<R> {
    /// Number of bios in reserve: so many reads can be in flight without any free memory.
    const RESERVE: c_uint = if cfg!(zram_rs_small_blocks) { 1 } else { 64 };

    /// Number of reads of a run that are worth waking a worker of their own.
    const MIN_OF_WORKER: usize = 8;

    /// Prepares a device for reads; `queue` runs the work that pages need.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(device: BlockDevice, queue: Arc<HighPriority>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device,
            queue,
            // Reads are submitted from `submit_bio` of the disk, where the block layer queues the
            // bios that a task submits until the function returns. A task that waits for a bio from
            // the reserve would wait for its own queued bios: the rescuer submits these.
            // Each CPU caches some freed bios for the next reads.
            bios <- ReadBios::new(
                Self::RESERVE,
                kernel::bindings::BIOSET_NEED_RESCUER | kernel::bindings::BIOSET_PERCPU_CACHE,
            ),
            // No task has such a bio queued while it waits for another: workers submit them. `find`
            // sees to it that none of them waits for what the task has queued.
            find_bios <- ReadBios::new(1, 0),
            reads_at_workers: Atomic::new(0),
        })
    }

    /// Returns the device. Any context; does not sleep.
    pub(crate) fn device(&self) -> &BlockDevice {
        &self.device
    }

    /// Queues work of a run of so many reads for a worker, of the next CPU if others have work. Any
    /// context; does not sleep.
    ///
    /// # Safety
    ///
    /// As for [`HighPriority::enqueue`]. The work must call [`run_is_done`](Self::run_is_done).
    pub(super) unsafe fn queue_run(&self, reads: usize, work: *mut kernel::bindings::work_struct) {
        let others = self.reads_at_workers.fetch_add(reads as i32, Relaxed) as u32;
        let nth = (others / ReadRun::<R>::MAX as u32).wrapping_add(1);
        // SAFETY: By the safety requirements.
        unsafe {
            if reads < Self::MIN_OF_WORKER {
                self.queue.enqueue_near(nth, work);
            } else {
                self.queue.enqueue_anywhere(nth, work);
            }
        }
    }

    /// Notes that a worker has done the work of a run of so many reads. Any context; does not
    /// sleep.
    pub(super) fn run_is_done(&self, reads: usize) {
        self.reads_at_workers.add(-(reads as i32), Relaxed);
    }

    /// Returns whether the workers of other CPUs have less work than a run for each of them, with
    /// so many reads more. Any context; does not sleep.
    pub(super) fn has_room_at_workers(&self, reads: usize) -> bool {
        let others = num_online_cpus().saturating_sub(1) as usize;
        let queued = self.reads_at_workers.load(Relaxed) as usize;
        queued.saturating_add(reads) <= others * ReadRun::<R>::MAX
    }

    /// Reads page `from` of the disk's device into the page of `data`, which gets the result.
    ///
    /// Does not fail for lack of memory. Without a device, `data` gets `EIO` immediately.
    ///
    /// # Context
    ///
    /// May sleep, also until another read completes; so [`PageRead::work`] must not call this.
    pub(crate) fn read(disk: QueueRef<R::Ready>, from: usize, data: R) {
        let flags = data.completion().inherited_flags();
        match Self::allocate(disk, |this| this.new_bio(&this.bios, flags, Gfp::NOIO)) {
            // SAFETY: The request is new, and this function owns it. Its bio has no pages.
            Ok(request) => unsafe { Self::submit(request, from, data) },
            Err(disk) => data.finish(&disk, Err(EIO)),
        }
    }

    /// Has a worker do the [work](PageRead::work) of `data`, which finds out what has to be read.
    ///
    /// Does not fail for lack of memory. Without a device, `data` gets `EIO` immediately.
    ///
    /// # Context
    ///
    /// May sleep, also until another read completes; so [`PageRead::work`] must not call this.
    pub(crate) fn find(disk: QueueRef<R::Ready>, data: R) {
        let flags = data.completion().inherited_flags();
        let bio = |this: &Self| {
            let bio = this.new_bio(&this.find_bios, flags, Gfp::NOWAIT);
            if !bio.is_null() {
                return bio;
            }
            // This task may have to wait for a read that has the bio in reserve. That read may wait
            // for reads that this task has submitted: they pin its block, or have the memory that
            // it needs. They would begin when the driver's function for the bio has returned.
            let (set, bdev) = (this.bios.set.get(), this.device.bdev.as_ptr());
            // SAFETY: The set is initialised and has a rescuer, and the device is open.
            unsafe { crate::bindings::zram_rs_rescue_bios(set, bdev) };
            this.new_bio(&this.find_bios, flags, Gfp::NOIO)
        };
        match Self::allocate(disk, bio) {
            // SAFETY: The request is new, and this function owns it. Its other fields are
            // initialised.
            Ok(request) => unsafe {
                (*(*request).data.get()).write(data);
                Self::queue_work(request);
            },
            Err(disk) => data.finish(&disk, Err(EIO)),
        }
    }

    /// Creates a request of `new_bio`, the result of [`new_bio`](Self::new_bio) with
    /// [`Gfp::NOIO`]; its work and data are not initialised.
    ///
    /// # Context
    ///
    /// May sleep, also until another read completes.
    ///
    /// # Errors
    ///
    /// There is no device: returns `disk`.
    fn allocate(
        disk: QueueRef<R::Ready>,
        new_bio: impl FnOnce(&Self) -> *mut kernel::bindings::bio,
    ) -> Result<*mut ReadRequest<R>, QueueRef<R::Ready>> {
        let Some(this) = R::device(&disk) else {
            return Err(disk);
        };
        let device = NonNull::from(this);
        let bio = new_bio(this);
        let request = Self::request(bio);
        // SAFETY: The request is new, and this function owns it.
        unsafe {
            (*(*request).device.get()).write(device);
            (*(*request).disk.get()).write(disk);
        }
        Ok(request)
    }

    /// Allocates a bio for a read with these flags, as part of a [`ReadRequest`].
    ///
    /// With [`Gfp::NOIO`], this waits until it succeeds; with [`Gfp::NOWAIT`], it returns null if
    /// there is no free memory.
    fn new_bio(&self, bios: &ReadBios<R>, flags: u32, gfp: Gfp) -> *mut kernel::bindings::bio {
        let flags = kernel::bindings::req_op_REQ_OP_READ | flags;
        let (bdev, set) = (self.device.bdev.as_ptr(), bios.set.get());
        // SAFETY: The set is initialised, and the device is open.
        unsafe { kernel::bindings::bio_alloc_bioset(bdev, 1, flags, gfp.as_raw(), set) }
    }

    /// Submits a request to read page `from` of the device into the page of `data`.
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    ///
    /// # Safety
    ///
    /// The caller must own `request`, and must not use it after the call. All of its fields but
    /// `work` and `data` must be initialised, and its bio must have no pages.
    unsafe fn submit(request: *mut ReadRequest<R>, from: usize, data: R) {
        // SAFETY: By the safety requirements this function owns the request, whose bio is
        // initialised. The page is valid as long as the data, which stays in the request until the
        // bio completes.
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

    /// Returns the request that contains a bio.
    fn request(bio: *mut kernel::bindings::bio) -> *mut ReadRequest<R> {
        bio.wrapping_byte_sub(offset_of!(ReadRequest<R>, bio))
            .cast()
    }

    /// Finishes a read, or queues its work. The `bi_end_io` of its bio.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// `bio` must be the bio of a request that [`submit`](Self::submit) has submitted and that the
    /// device does not use any more.
    unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
        let request = Self::request(bio);
        // SAFETY: The device has given the bio back, so that this function owns its request.
        let result = result_of(unsafe { (*bio).bi_status });
        // SAFETY: By the type invariants the data is initialised.
        let data = unsafe { (*(*request).data.get()).assume_init_ref() };
        if result.is_err() || !data.needs_work() {
            // SAFETY: This function owns the request, whose fields are initialised by the type
            // invariants, and does not use it after this call.
            unsafe { Self::finish(request, result) };
            return;
        }
        if is_preemptible_task() {
            // SAFETY: By the type invariants the data and the disk are initialised. The data is
            // taken out, and is not used before it is put back.
            let (data, disk) = unsafe {
                (
                    (*(*request).data.get()).assume_init_read(),
                    (*(*request).disk.get()).assume_init_ref(),
                )
            };
            match data.work_at_once(None, disk) {
                // SAFETY: This function owns the request, has taken out its data, and does not use
                // it after this call.
                Ok(()) => return unsafe { Self::put(request) },
                // SAFETY: This function owns the request.
                Err(data) => unsafe { (*(*request).data.get()).write(data) },
            };
        }
        // SAFETY: This function owns the request, whose fields are initialised by the type
        // invariants, and does not use it after this call.
        unsafe { Self::queue_work(request) };
    }

    /// Queues the work of a read.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// The caller must own `request`, and must not use it after the call. All of its fields but
    /// `work` must be initialised.
    unsafe fn queue_work(request: *mut ReadRequest<R>) {
        // SAFETY: By the safety requirements the pointer is initialised. The device is part of the
        // data of the disk, which is valid and does not move as long as the request refers to the
        // disk.
        let device = unsafe { (*(*request).device.get()).assume_init_ref().as_ref() };
        // SAFETY: The work is not queued, and the request that contains it is valid until `work` is
        // called.
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

    /// Does the work of a read, and submits the request again if another page has to be read. The
    /// work function.
    ///
    /// # Safety
    ///
    /// `work` must be the work of a request that [`queue_work`](Self::queue_work) has queued, and a
    /// worker must be running it.
    unsafe extern "C" fn work(work: *mut kernel::bindings::work_struct) {
        let work = Opaque::cast_from(work).cast_mut();
        // SAFETY: By the safety requirements the work is a field of a request.
        let request = unsafe { container_of!(work, ReadRequest<R>, work) };
        // SAFETY: By the type invariants the data is initialised. It is taken out here, and is not
        // used before `submit` replaces it.
        let data = unsafe { (*(*request).data.get()).assume_init_read() };
        // SAFETY: By the type invariants the disk is initialised.
        let disk = unsafe { (*(*request).disk.get()).assume_init_ref() };
        // SAFETY: By the type invariants the pointer is initialised; the device is valid for the
        // same reason as in `queue_work`.
        let device = unsafe { (*(*request).device.get()).assume_init_ref().as_ref() };
        let (from, data) = match data.work(disk) {
            AfterWork::Read(from, data) => (from, data),
            // SAFETY: This function owns the request, has taken out its data, and does not use it
            // after this call.
            AfterWork::Done => return unsafe { Self::put(request) },
            // SAFETY: This function owns the request, whose fields are all initialised when the
            // data is. The work is initialised. It is not queued, because this function is running
            // it. The request is valid until the work runs again.
            AfterWork::Again(data) => unsafe {
                (*(*request).data.get()).write(data);
                return device.queue.enqueue(work.cast());
            },
        };
        // Reuse the bio: a worker must not wait for another one, which may depend on this worker.
        let flags = kernel::bindings::req_op_REQ_OP_READ | data.completion().inherited_flags();
        // SAFETY: The bio has completed, or was not submitted, and this function owns it.
        // `bio_reset` keeps the set of the bio and the room for a page, and removes the page. The
        // other fields of the request are still initialised.
        unsafe {
            let bio = (*request).bio.get();
            kernel::bindings::bio_reset(bio, device.device.bdev.as_ptr(), flags);
            Self::submit(request, from, data);
        }
    }

    /// Passes a result to the data of a request, and frees the request.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// The caller must own `request`, and must not use it after the call. All of its fields but
    /// `work` must be initialised.
    unsafe fn finish(request: *mut ReadRequest<R>, result: Result) {
        // SAFETY: By the safety requirements the data and the disk are initialised. The data is
        // taken out once, as the request is not used after this.
        unsafe {
            let data = (*(*request).data.get()).assume_init_read();
            data.finish((*(*request).disk.get()).assume_init_ref(), result);
            Self::put(request);
        }
    }

    /// Frees a request whose data was taken out.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// The caller must own `request`, and must not use it after the call. Its disk must be
    /// initialised.
    unsafe fn put(request: *mut ReadRequest<R>) {
        // SAFETY: By the safety requirements the disk is initialised. It is taken out once, as the
        // request is not used after this.
        let disk = unsafe { (*(*request).disk.get()).assume_init_read() };
        // SAFETY: The caller owns the bio, which returns to its set along with the request. The set
        // is valid, because `disk` keeps the device alive.
        unsafe { kernel::bindings::bio_put((*request).bio.get()) };
        drop(disk);
    }
}
