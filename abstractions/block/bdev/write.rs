// SPDX-License-Identifier: GPL-2.0

//! Writes to a block device, with many requests in flight.

use super::{
    result_of,
    sector,
    BlockDevice, //
};
use crate::{
    abstractions::{
        alloc::Gfp,
        page::{
            OwnedPage,
            PageRef, //
        },
    },
    bindings,
};
use core::{
    ops::Range,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    container_of,
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

/// A request to write pages to a device, with private data of the driver.
///
/// A request owns its pages and its bio. It can be submitted any number of times: see [`Writer`].
///
/// # Invariants
///
/// `vecs` has `max` elements, and `pages` has at most as many.
///
/// # Context
///
/// Any context, and the methods do not sleep, unless they say otherwise.
#[pin_data]
pub(crate) struct WriteRequest<T> {
    #[pin]
    bio: Opaque<kernel::bindings::bio>,
    vecs: KVec<kernel::bindings::bio_vec>,
    pages: KVec<OwnedPage>,
    /// Maximum number of pages.
    max: usize,
    /// The next request of the list that the request is on.
    next: *mut Self,
    /// The list to which `end_io` adds the request.
    completed: Option<Arc<CompletedList<T>>>,
    /// The private data of the driver.
    data: T,
}

// SAFETY: The request owns its pages, its bio and its data, which is `Send`. Only the owner of the
// list that the request is on uses `next`. The list that `completed` refers to is an atomic pointer
// and a wait queue, which any thread may use.
unsafe impl<T: Send> Send for WriteRequest<T> {}

impl<T: Send> WriteRequest<T> {
    /// Creates a request with one page that can [grow](Self::grow) to `max` pages.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(max: usize, data: T, gfp: Gfp) -> Result<Pin<KBox<Self>>> {
        let flags = gfp.for_collections();
        // A bio cannot have more segments.
        let max = max.clamp(1, kernel::bindings::BIO_MAX_VECS as usize);
        let mut pages = KVec::with_capacity(max, flags)?;
        pages.push(OwnedPage::new(gfp)?, flags)?;
        let mut vecs = KVec::with_capacity(max, flags)?;
        for _ in 0..max {
            vecs.push(pin_init::zeroed(), flags)?;
        }
        // INVARIANT: `vecs` has `max` elements, and `grow` adds pages up to `max`.
        KBox::try_pin_init(
            try_pin_init!(Self {
                bio <- Opaque::zeroed(),
                vecs,
                pages,
                max,
                next: ptr::null_mut(),
                completed: None,
                data,
            }),
            flags,
        )
    }

    /// Adds pages up to the maximum, as long as there is free memory.
    ///
    /// # Context
    ///
    /// Any context but interrupts; does not sleep.
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

    /// Frees all pages but one. Any context but interrupts; does not sleep.
    pub(crate) fn shrink(self: Pin<&mut Self>) {
        self.project().pages.truncate(1);
    }

    /// Returns the number of pages that the request has.
    pub(crate) fn capacity(&self) -> usize {
        self.pages.len()
    }

    /// Returns a page of the request, to fill it.
    pub(crate) fn page(&self, index: usize) -> Option<PageRef<'_>> {
        self.pages.get(index).map(OwnedPage::as_page)
    }

    /// Returns the private data of the driver.
    pub(crate) fn data(self: Pin<&mut Self>) -> &mut T {
        self.project().data
    }

    /// Returns the result of the last submission.
    ///
    /// # Errors
    ///
    /// The error of the device, or `EIO` if the request had none of the submitted pages.
    pub(crate) fn status(&self) -> Result {
        // SAFETY: The device does not use the bio: the caller has a reference to the request, which
        // `Writer` owns while it is in flight.
        result_of(unsafe { (*self.bio.get()).bi_status })
    }
}

/// A list of completed requests, the last one first.
///
/// # Invariants
///
/// `head` is null, or the first request of a list which is linked by `next` and ends with null. All
/// requests of the list are completed, and the list owns them.
struct CompletedList<T> {
    head: Atomic<*mut WriteRequest<T>>,
    wait: Pin<KBox<WaitQueue>>,
}

/// A wait queue of the kernel.
#[pin_data]
struct WaitQueue {
    #[pin]
    head: Opaque<kernel::bindings::wait_queue_head>,
}

// SAFETY: A wait queue does its own locking, and any thread may use it.
unsafe impl Send for WaitQueue {}
// SAFETY: A wait queue does its own locking.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// Creates a wait queue without waiters.
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid and pinned; the name and the class are static.
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

/// Writes to a device, with several requests in flight.
///
/// A writer exists only during [`with`](Self::with), which returns after all requests have
/// completed.
///
/// # Invariants
///
/// - `taken` is null, or the first request of a list which is linked by `next` and ends with null.
///   All requests of the list are completed, and the writer owns them.
/// - `in_flight` is the number of requests that were submitted and not returned to the user.
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::{
///     alloc::Gfp,
///     block::bdev::{
///         BlockDevice,
///         WriteRequest,
///         Writer, //
///     },
/// };
///
/// fn clear_page(device: &BlockDevice, index: usize) -> Result {
///     Writer::with(device, Gfp::KERNEL, |writer| {
///         let request = WriteRequest::new(1, (), Gfp::KERNEL)?;
///         request.page(0).ok_or(EINVAL)?.map().fill(0);
///         writer.submit(request, 0..1, index);
///         writer.wait().ok_or(EIO)?.status()
///     })
/// }
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct Writer<'a, T: Send> {
    device: &'a BlockDevice,
    completed: Arc<CompletedList<T>>,
    /// Requests that were taken from `completed`, the first one first.
    taken: *mut WriteRequest<T>,
    in_flight: usize,
    /// The I/O priority of the requests; 0 for that of the task.
    priority: u16,
}

/// The memory of a [`Writer`], to be set aside for a time without free memory.
pub(crate) struct WriterMemory<T>(Arc<CompletedList<T>>);

impl<T: Send> WriterMemory<T> {
    /// Allocates the memory of a writer.
    ///
    /// # Context
    ///
    /// May sleep, unless `gfp` is [`Gfp::NOWAIT`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new(gfp: Gfp) -> Result<Self> {
        let flags = gfp.for_collections();
        // INVARIANT: The list is empty.
        let completed = CompletedList {
            head: Atomic::new(ptr::null_mut()),
            wait: KBox::pin_init(WaitQueue::new(), flags)?,
        };
        Ok(Self(Arc::new(completed, flags)?))
    }
}

impl<T: Send> Writer<'_, T> {
    /// Calls `f` with a writer, waits for the requests that are still in flight, and returns the
    /// result of `f`.
    ///
    /// `f` only borrows the writer. A user that owned it could forget it, and close the device with
    /// requests in flight.
    ///
    /// # Context
    ///
    /// May sleep. The memory of the writer is allocated with `gfp`.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the writer; `f` is not called.
    /// - Those of `f`.
    pub(crate) fn with<R>(
        device: &BlockDevice,
        gfp: Gfp,
        f: impl FnOnce(&mut Writer<'_, T>) -> Result<R>,
    ) -> Result<R> {
        Self::with_memory(device, &mut WriterMemory::new(gfp)?, f)
    }

    /// Calls `f` with a writer in this memory; in all else it is like [`with`](Self::with).
    ///
    /// # Context
    ///
    /// May sleep, but not for memory.
    pub(crate) fn with_memory<R>(
        device: &BlockDevice,
        memory: &mut WriterMemory<T>,
        f: impl FnOnce(&mut Writer<'_, T>) -> R,
    ) -> R {
        // INVARIANT: The list is empty, and no request was submitted: this function has the memory
        // to itself, and each call of it takes all requests from the list.
        let mut writer = Writer {
            device,
            completed: memory.0.clone(),
            taken: ptr::null_mut(),
            in_flight: 0,
            priority: 0,
        };
        let result = f(&mut writer);
        while writer.wait().is_some() {}
        result
    }

    /// Gives the requests that are submitted from now on the idle I/O class: they let all other
    /// requests go first, if the scheduler of the device knows classes. Any context.
    pub(crate) fn set_idle(&mut self) {
        let class = kernel::bindings::IOPRIO_CLASS_IDLE as u16;
        self.priority = class << kernel::bindings::IOPRIO_CLASS_SHIFT;
    }

    /// Submits a request, which writes the pages with these indices to the device from page `to`
    /// on.
    ///
    /// If `pages` is empty, or not within the pages of the request, the request completes
    /// immediately with an error.
    ///
    /// # Context
    ///
    /// May sleep until the queue of the device has room. Does not wait for the request.
    pub(crate) fn submit(
        &mut self,
        request: Pin<KBox<WriteRequest<T>>>,
        pages: Range<usize>,
        to: usize,
    ) {
        self.start(request, pages, to, kernel::bindings::req_op_REQ_OP_WRITE);
    }

    /// Submits a request that reads the pages with these indices from the device, where they begin
    /// at page `from`.
    ///
    /// In all else it is like [`submit`](Self::submit).
    ///
    /// # Context
    ///
    /// May sleep until the queue of the device has room. Does not wait for the request.
    pub(crate) fn read(
        &mut self,
        request: Pin<KBox<WriteRequest<T>>>,
        pages: Range<usize>,
        from: usize,
    ) {
        self.start(request, pages, from, kernel::bindings::req_op_REQ_OP_READ);
    }

    /// Submits a request for this operation on pages of the device from page `at` on.
    fn start(
        &mut self,
        request: Pin<KBox<WriteRequest<T>>>,
        pages: Range<usize>,
        at: usize,
        operation: u32,
    ) {
        // SAFETY: The request is not moved: it stays in the same allocation.
        let request = KBox::into_raw(unsafe { Pin::into_inner_unchecked(request) });
        // SAFETY: The request is valid, and this function owns it until it is submitted.
        let fields = unsafe { &mut *request };
        let bio = fields.bio.get();
        // INVARIANT: The request is submitted, or completed, below.
        self.in_flight += 1;
        let pages = fields.pages.get(pages).unwrap_or_default();
        if pages.is_empty() {
            // SAFETY: The device does not use the bio.
            unsafe { (*bio).bi_status = bindings::ZRAM_RS_BLK_STS_IOERR };
            // INVARIANT: The request is completed, and becomes the first of the list.
            fields.next = self.taken;
            self.taken = request;
            return;
        }
        fields.completed = Some(self.completed.clone());
        fields.next = ptr::null_mut();
        // SAFETY: The request is pinned, the device does not use it, and by its type invariants it
        // has at least as many vectors as pages. The device stays open until the request completes:
        // `with` borrows the device and waits for all requests.
        unsafe {
            kernel::bindings::bio_init(
                bio,
                self.device.bdev.as_ptr(),
                fields.vecs.as_mut_ptr(),
                fields.vecs.len() as u16,
                operation,
            );
            (*bio).bi_iter.bi_sector = sector(at);
            (*bio).bi_ioprio = self.priority;
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
        // SAFETY: The bio is set up. `end_io` gets the request, which is not used after this call.
        unsafe { kernel::bindings::submit_bio(bio) };
    }

    /// Waits for a request to complete and returns it, or returns `None` if none is in flight.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn wait(&mut self) -> Option<Pin<KBox<WriteRequest<T>>>> {
        if self.in_flight == 0 {
            return None;
        }
        if self.taken.is_null() {
            // SAFETY: The wait queue and the pointer are valid as long as `self.completed`.
            // `end_io` wakes the queue after it has changed the pointer.
            unsafe {
                bindings::zram_rs_wait_not_null(
                    self.completed.wait.head.get(),
                    self.completed.head.as_ptr().cast(),
                )
            };
        }
        self.try_next()
    }

    /// Returns the request that completed first, or `None` if none has completed.
    ///
    /// # Context
    ///
    /// Any context but interrupts; does not sleep.
    pub(crate) fn try_next(&mut self) -> Option<Pin<KBox<WriteRequest<T>>>> {
        if self.taken.is_null() {
            self.take();
        }
        let request = NonNull::new(self.taken)?;
        // INVARIANT: The request is returned.
        self.in_flight -= 1;
        // SAFETY: By the type invariants the request is completed, and the writer owns it. `submit`
        // got its address from a pinned box.
        // INVARIANT: The rest of the list remains.
        unsafe {
            self.taken = request.as_ref().next;
            Some(Pin::new_unchecked(KBox::from_raw(request.as_ptr())))
        }
    }

    /// Moves all requests of `completed` to `taken`, in reverse order.
    fn take(&mut self) {
        // INVARIANT: `completed` is empty, and this function owns the requests of `head`.
        let mut head = self.completed.head.xchg(ptr::null_mut(), Acquire);
        while let Some(mut request) = NonNull::new(head) {
            // SAFETY: By the invariants of `CompletedList` the request is valid, and this function
            // owns it.
            let next = unsafe { &mut request.as_mut().next };
            // INVARIANT: The request is completed, and becomes the first of the list.
            head = core::mem::replace(next, self.taken);
            self.taken = request.as_ptr();
        }
    }

    /// Completes a request: adds it to the list of its writer. The `bi_end_io` of its bio.
    ///
    /// # Context
    ///
    /// Any context, including hard interrupts; does not sleep.
    ///
    /// # Safety
    ///
    /// `bio` must be the bio of a request that [`start`](Self::start) has submitted and that the
    /// device does not use any more.
    unsafe extern "C" fn end_io(bio: *mut kernel::bindings::bio) {
        let bio = Opaque::cast_from(bio).cast_mut();
        // SAFETY: By the safety requirements the bio is a field of a request.
        let request = unsafe { container_of!(bio, WriteRequest<T>, bio) };
        // SAFETY: The device has given the request back, so that this function owns it. The
        // reference to the list is taken out, because the writer may free the request as soon as it
        // is on the list.
        let Some(completed) = (unsafe { (*request).completed.take() }) else {
            return;
        };
        let mut head = completed.head.load(Relaxed);
        loop {
            // SAFETY: This function owns the request until it is on the list.
            unsafe { (*request).next = head };
            // INVARIANT: The request is completed, and becomes the first of the list.
            match completed.head.cmpxchg(head, request, Release) {
                Ok(_) => break,
                Err(current) => head = current,
            }
        }
        // SAFETY: The wait queue is valid as long as `completed`. Dropping the last reference frees
        // memory, but no requests: the writer has waited for all of them.
        unsafe { bindings::zram_rs_wake_up(completed.wait.head.get()) };
    }
}
