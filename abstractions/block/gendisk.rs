// SPDX-License-Identifier: GPL-2.0

//! Disks of bio-based drivers.
//!
//! A disk has two kinds of data: the driver's type, which lives as long as the disk, and
//! [`Operations::Ready`], which exists while the disk has a capacity. [`GenDisk::activate`] sets
//! the latter together with the capacity; [`Claim::deactivate`] removes both while the disk is not
//! open. Each bio reaches the driver with a reference to that data, for which no lock is taken.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::abstractions::{
    block::{
        bdev::BlockDevice,
        bio::{
            Bio,
            Submission, //
        },
    },
    device::sysfs::{
        self,
        AttributeGroups,
        FileNode,
        RawAttribute,
        Show,
        Store, //
    },
    sched::check_signals,
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::offset_of,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings, container_of,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::{
        self,
        Write, //
    },
    module::ModuleMetadata,
    prelude::*,
    static_lock_class,
    str::NullTerminatedFormatter,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Completion,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// The operations of a bio-based driver.
///
/// # Examples
///
/// A disk that keeps its data in memory; `Memory`, the type that stores it, is left out:
///
/// ```no_run
/// use crate::abstractions::block::{
///     bio::Bio,
///     gendisk::{
///         DiskRegistration,
///         Limits,
///         Major,
///         Operations,
///         QueueEntered, //
///     },
/// };
/// # use crate::abstractions::{
/// #     block::gendisk::DiskAttribute,
/// #     device::sysfs::{AttributeGroups, AttributeList},
/// #     page::OwnedPage,
/// # };
/// # use kernel::{
/// #     block::SECTOR_SHIFT,
/// #     page::{PAGE_SHIFT, PAGE_SIZE},
/// #     sync::Arc,
/// # };
///
/// # struct Memory(KVec<OwnedPage>);
/// #
/// # impl Memory {
/// #     fn new(_pages: usize) -> Result<Self> {
/// #         Ok(Self(KVec::new()))
/// #     }
/// #
/// #     fn transfer(&self, _bio: &Bio<'_>) -> Result {
/// #         Ok(())
/// #     }
/// #
/// #     fn try_free(&self, _index: usize) {}
/// # }
/// #
/// # struct Files;
/// #
/// # impl AttributeList for Files {
/// #     type Attribute = DiskAttribute<RamDisk>;
/// #
/// #     const ATTRIBUTES: &'static [Self::Attribute] = &[];
/// # }
/// #
/// struct RamDisk;
///
/// impl Operations for RamDisk {
///     type Ready = Memory;
///     type Module = crate::LocalModule;
///
///     fn submit_bio(memory: QueueEntered<'_, Memory>, mut bio: Bio<'_>) {
///         bio.start_accounting();
///         if memory.transfer(&bio).is_err() {
///             bio.fail();
///         }
///     }
///
///     fn slot_free_notify(memory: &Memory, index: usize) {
///         memory.try_free(index);
///     }
///
///     fn stop(&self) {}
/// }
///
/// let attributes = AttributeGroups::new::<Files>();
/// let major = Major::new(c"ramdisk")?;
/// let limits = Limits {
///     logical_block_size: PAGE_SIZE as u32,
///     physical_block_size: PAGE_SIZE as u32,
///     synchronous: true,
///     ..Default::default()
/// };
/// let disk = DiskRegistration::new(fmt!("ram0"), &major, 0, limits, &attributes, Ok(RamDisk))?;
/// let pages = 1024;
/// let memory = Arc::new(Memory::new(pages)?, GFP_KERNEL)?;
/// disk.activate(memory, (pages << PAGE_SHIFT >> SECTOR_SHIFT) as u64)?;
///
/// // Later, while the disk is not open:
/// let memory = disk.claim()?.deactivate();
/// # Ok::<(), Error>(())
/// ```
pub(crate) trait Operations: Sized + Send + Sync + 'static {
    /// The data that I/O needs, which exists while the disk has a capacity.
    type Ready: Send + Sync + 'static;

    /// The module that cannot be unloaded while a disk is open.
    type Module: ModuleMetadata;

    /// Processes a bio, which is completed afterwards.
    ///
    /// # Context
    ///
    /// May sleep. Memory reclaim may depend on the bio, so allocations must not start I/O
    /// (`GFP_NOIO`).
    fn submit_bio(ready: QueueEntered<'_, Self::Ready>, bio: Bio<'_>);

    /// Frees page `index` of the disk, which swap no longer needs.
    ///
    /// # Context
    ///
    /// Atomic; must not sleep.
    fn slot_free_notify(ready: &Self::Ready, index: usize);

    /// Makes long-running accesses to the disk's files return, so that the disk can be removed.
    ///
    /// # Context
    ///
    /// May sleep.
    fn stop(&self);
}

/// The data that I/O needs, during a call of [`Operations::submit_bio`].
///
/// # Invariants
///
/// `queue` is the queue of a disk that was activated with `ready`, and `is_outlived` is that of the
/// disk. While the object exists the disk is open, or the queue is entered and `is_outlived` set.
///
/// # Context
///
/// All methods: any context.
pub(crate) struct QueueEntered<'a, R> {
    queue: NonNull<bindings::request_queue>,
    ready: &'a R,
    is_outlived: &'a Atomic<bool>,
}

impl<R> QueueEntered<'_, R> {
    /// Takes a reference to the queue, with which I/O can go on after the call has returned.
    pub(crate) fn queue_ref(&self) -> QueueRef<R> {
        self.is_outlived.store(true, Relaxed);
        // SAFETY: By the type invariants the disk is in use, so its queue is valid.
        unsafe { crate::bindings::zram_rs_queue_get(self.queue.as_ptr()) };
        // INVARIANT: The reference was just taken. Until it is dropped it blocks `deactivate`, as
        // `is_outlived` is set, and also `del_gendisk`, without which the disk is not freed: both
        // freeze the queue.
        QueueRef {
            queue: self.queue,
            ready: NonNull::from(self.ready),
        }
    }
}

impl<R> core::ops::Deref for QueueEntered<'_, R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        self.ready
    }
}

/// A reference to the queue of a disk, which gives access to the data that I/O needs.
///
/// The disk is not deactivated while this exists.
///
/// # Invariants
///
/// The object owns a reference to `queue`, the queue of a disk that was activated with `ready`, and
/// whose `is_outlived` is set.
///
/// # Context
///
/// All methods, and dropping it: any context.
pub(crate) struct QueueRef<R> {
    queue: NonNull<bindings::request_queue>,
    ready: NonNull<R>,
}

// SAFETY: Any thread may drop the reference, and may use `ready`, as `R` is `Sync`.
unsafe impl<R: Sync> Send for QueueRef<R> {}

impl<R> core::ops::Deref for QueueRef<R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        // SAFETY: By the type invariants the disk was activated with `ready`, which is freed only
        // after a freeze of the queue; that waits for the reference of this object.
        unsafe { self.ready.as_ref() }
    }
}

impl<R> Drop for QueueRef<R> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the object owns a reference to the queue.
        unsafe { crate::bindings::zram_rs_queue_put(self.queue.as_ptr()) };
    }
}

/// A block major number; dropping it unregisters the number.
pub(crate) struct Major {
    number: u32,
    name: &'static CStr,
}

impl Major {
    /// Registers a free major number under `name`.
    ///
    /// # Context
    ///
    /// May sleep, as may dropping the number.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: no major number is free.
    /// - `ENOMEM`: out of memory.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: `name` is a static C string; a missing `probe` function is allowed.
        let number = unsafe { bindings::__register_blkdev(0, name.as_char_ptr(), None) };
        to_result(number)?;
        Ok(Self {
            number: number as u32,
            name,
        })
    }

    /// Returns the device number of the disk with this minor number.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn device_number(&self, minor: u32) -> u32 {
        self.number << 20 | minor
    }
}

impl Drop for Major {
    fn drop(&mut self) {
        // SAFETY: The number was registered under this name by `new`.
        unsafe { bindings::unregister_blkdev(self.number, self.name.as_char_ptr()) };
    }
}

/// The properties of a new disk.
///
/// A value of zero selects the block layer's default; see `struct queue_limits`.
#[derive(Default)]
pub(crate) struct Limits {
    /// The smallest unit that the disk can address, in bytes.
    pub(crate) logical_block_size: u32,
    /// The smallest unit that the disk writes without a read, in bytes.
    pub(crate) physical_block_size: u32,
    /// The preferred minimum size of I/O, in bytes.
    pub(crate) io_min: u32,
    /// The optimal size of I/O, in bytes.
    pub(crate) io_opt: u32,
    /// The largest discard, in sectors.
    pub(crate) max_discard_sectors: u32,
    /// The largest write of zeroes, in sectors.
    pub(crate) max_write_zeroes_sectors: u32,
    /// Whether pages must not change while they are under writeback.
    pub(crate) stable_writes: bool,
    /// Whether bios are usually completed before `submit_bio` returns.
    pub(crate) synchronous: bool,
}

impl From<Limits> for bindings::queue_limits {
    fn from(limits: Limits) -> Self {
        let mut raw: bindings::queue_limits = pin_init::zeroed();
        raw.logical_block_size = limits.logical_block_size;
        raw.physical_block_size = limits.physical_block_size;
        raw.io_min = limits.io_min;
        raw.io_opt = limits.io_opt;
        raw.max_hw_discard_sectors = limits.max_discard_sectors;
        raw.max_write_zeroes_sectors = limits.max_write_zeroes_sectors;
        if limits.stable_writes {
            raw.features |= crate::bindings::ZRAM_RS_BLK_FEAT_STABLE_WRITES;
        }
        if limits.synchronous {
            raw.features |= crate::bindings::ZRAM_RS_BLK_FEAT_SYNCHRONOUS;
        }
        raw
    }
}

/// The time from one look at the openers, or at the claim, to the next.
///
/// The callback `release` could end the wait at once, but would cost each close of the disk a call.
const POLL: Delta = Delta::from_millis(1);

/// How often a claim looks whether the openers of the disk have left: for a second.
///
/// udev needs some milliseconds, in an emulated machine more than 200. On a busy machine a claim
/// waits longer, as the openers need longer.
const LOOKS: u32 = 1000;

/// For how many of these looks a waiting claim lets others open the disk.
///
/// A program that opens it again and again leaves gaps as a rule, and the claim takes the first.
/// After that, openers get an error.
const GENTLE_LOOKS: u32 = 100;

/// How long an opener waits for a claim to end, from the beginning of the claim.
const PATIENCE: Delta = Delta::from_millis(200);

/// What keeps a disk from being opened, besides a [`Claim`].
struct Gate {
    /// Whether the disk is being removed; this is permanent.
    retired: bool,
    /// The number of tasks that wait for the openers to leave, and have others refused.
    closing: u32,
    /// The time of the last claim.
    claimed_at: Instant<Monotonic>,
}

/// How a disk is open.
enum Openers {
    /// The disk is not open.
    None,
    /// It is open, and all who have it open share it.
    Sharing,
    /// It has an exclusive user: it is mounted, in use as swap, or open with `O_EXCL`.
    Exclusive,
}

/// The private data of a disk (`private_data`).
#[pin_data(PinnedDrop)]
struct Private<T: Operations> {
    /// The driver's data.
    #[pin]
    data: T,
    /// An `Arc<T::Ready>` as a foreign pointer, or null.
    ready: Atomic<*mut c_void>,
    /// Whether a user of `ready` may be left when the bio is complete for which it uses it.
    ///
    /// It is set before that bio completes, and is cleared when there is none left.
    is_outlived: Atomic<bool>,
    /// Whether a [`Claim`] exists. Set with the disk's `open_mutex` held, and cleared without.
    claimed: Atomic<bool>,
    /// Protected by the disk's `open_mutex`.
    gate: UnsafeCell<Gate>,
    /// Completed after this object has been freed.
    released: Arc<Completion>,
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Private<T> {
    fn drop(self: Pin<&mut Self>) {
        let ready = self.ready.load(Acquire);
        if !ready.is_null() {
            // SAFETY: The pointer came from `into_foreign`, and this object, its last user, is
            // being dropped.
            drop(unsafe { Arc::<T::Ready>::from_foreign(ready) });
        }
    }
}

/// A disk: the kernel's `struct gendisk`.
///
/// # Invariants
///
/// `private_data` is a `Pin<KBox<Private<T>>>` as a foreign pointer, while the disk can be reached.
#[repr(transparent)]
pub(crate) struct GenDisk<T: Operations> {
    disk: Opaque<bindings::gendisk>,
    _data: PhantomData<T>,
}

// SAFETY: The methods call functions that any thread may call; `T` and `T::Ready` are `Send`.
unsafe impl<T: Operations> Send for GenDisk<T> {}
// SAFETY: The methods take the locks that they need; `T` and `T::Ready` are `Sync`.
unsafe impl<T: Operations> Sync for GenDisk<T> {}

impl<T: Operations> GenDisk<T> {
    /// Creates a reference to a disk from a pointer.
    ///
    /// # Safety
    ///
    /// `disk` must be a disk that [`DiskRegistration::<T>::new`] created, and valid for `'a`.
    unsafe fn from_raw<'a>(disk: *mut bindings::gendisk) -> &'a Self {
        // SAFETY: By the safety requirements the disk is valid; the type is transparent.
        unsafe { &*disk.cast() }
    }

    fn private(&self) -> &Private<T> {
        // SAFETY: By the type invariants `private_data` points to a pinned `Private<T>`, which is
        // freed only when the disk can no longer be reached.
        unsafe { &*(*self.disk.get()).private_data.cast() }
    }

    fn queue(&self) -> NonNull<bindings::request_queue> {
        // SAFETY: A disk has a reference to its queue.
        unsafe { NonNull::new_unchecked((*self.disk.get()).queue) }
    }

    /// Returns the driver's data.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn data(&self) -> &T {
        &self.private().data
    }

    /// Returns the name of the disk.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: The name is a C string and does not change after the disk has been added.
        unsafe { CStr::from_char_ptr((*self.disk.get()).disk_name.as_ptr()) }
    }

    /// Returns whether a block device is a disk of the same driver, by its major number.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn has_driver_of(&self, device: &BlockDevice) -> bool {
        // SAFETY: The major number does not change after the disk has been added.
        device.major() == unsafe { (*self.disk.get()).major }
    }

    /// Returns a file in the directory of the disk, or `None` if there is no such file, or if the
    /// disk is being removed.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn file(&self, name: &CStr) -> Option<FileNode> {
        let (disk, name) = (self.disk.get(), name.as_char_ptr());
        // SAFETY: The disk is valid. Its directory stays while a file of the disk is accessed, and
        // until `del_gendisk`, which are the only times that there is a reference to the disk.
        let node = unsafe { crate::bindings::zram_rs_disk_file(disk, name) };
        // SAFETY: The function has returned a reference to the node of a file, or null.
        NonNull::new(node).map(|node| unsafe { FileNode::from_raw(node) })
    }

    /// Sets the data that I/O needs to `ready`, and the capacity of the disk to `sectors`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the disk is active already.
    pub(crate) fn activate(&self, ready: Arc<T::Ready>, sectors: u64) -> Result {
        let ready = ready.into_foreign();
        if let Err(_other) = self
            .private()
            .ready
            .cmpxchg(ptr::null_mut(), ready, Release)
        {
            // SAFETY: The pointer came from `into_foreign` just before, and was not stored.
            drop(unsafe { Arc::<T::Ready>::from_foreign(ready) });
            return Err(EBUSY);
        }
        // SAFETY: `self` is a valid disk.
        unsafe { bindings::set_capacity_and_notify(self.disk.get(), sectors) };
        Ok(())
    }

    /// Claims the disk, which cannot be opened until the claim is dropped.
    ///
    /// Waits for a moment (see [`LOOKS`]) for openers to leave, unless one is an exclusive user.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep; takes the disk's `open_mutex`.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk is open, claimed already, or being removed.
    /// - Those of [`check_signals`].
    pub(crate) fn claim(&self) -> Result<Claim<'_, T>> {
        self.without_openers(|gate| {
            let claimed = &self.private().claimed;
            if claimed.load(Acquire) {
                return Err(EBUSY);
            }
            gate.claimed_at = Instant::now();
            claimed.store(true, Release);
            // INVARIANT: The disk has no openers, and `open` does not succeed now that it is
            // claimed.
            Ok(Claim { disk: self })
        })
    }

    /// Calls `f` under `open_mutex` as soon as the disk is not open.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk is being removed, has an exclusive user, or is open at all [`LOOKS`].
    /// - Those of `f` and [`check_signals`].
    fn without_openers<R>(&self, f: impl Fn(&mut Gate) -> Result<R>) -> Result<R> {
        let mut looks = 0;
        let mut closing = false;
        loop {
            let signals = check_signals(current!());
            let result = self.with_gate(|gate, openers| {
                let result = match openers {
                    _ if gate.retired => Some(Err(EBUSY)),
                    Openers::None => Some(f(gate)),
                    Openers::Exclusive => Some(Err(EBUSY)),
                    Openers::Sharing if looks >= LOOKS => Some(Err(EBUSY)),
                    Openers::Sharing => signals.err().map(Err),
                };
                let close = result.is_none() && looks >= GENTLE_LOOKS;
                match (closing, close) {
                    (false, true) => gate.closing += 1,
                    (true, false) => gate.closing -= 1,
                    _ => (),
                }
                closing = close;
                result
            });
            if let Some(result) = result {
                return result;
            }
            looks += 1;
            fsleep(POLL);
        }
    }

    /// Calls `f` with what keeps the disk from being opened, and who has it open, under
    /// `open_mutex`.
    fn with_gate<R>(&self, f: impl FnOnce(&mut Gate, Openers) -> R) -> R {
        let disk = self.disk.get();
        // SAFETY: The disk is valid, and `__blk_alloc_disk` has initialised its mutex.
        let open_mutex = unsafe { Mutex::from_raw(&raw mut (*disk).open_mutex) };
        let _guard = open_mutex.lock();
        // SAFETY: `self` is a valid disk.
        let openers = match unsafe { crate::bindings::zram_rs_disk_openers(disk) } {
            0 => Openers::None,
            // SAFETY: The disk is valid and has its `part0`. The block layer sets and clears the
            // holder with `open_mutex` held.
            _ if unsafe { (*(*disk).part0).bd_holder.is_null() } => Openers::Sharing,
            _ => Openers::Exclusive,
        };
        // SAFETY: `open_mutex` is held and protects the gate, so this is the only reference.
        f(unsafe { &mut *self.private().gate.get() }, openers)
    }

    /// Calls `f` with the data that I/O needs, or returns `None` if the disk is not active.
    ///
    /// # Safety
    ///
    /// During the call, the disk must be open, or the caller must have entered the disk's queue and
    /// `is_outlived` must be set: each keeps [`Claim::deactivate`] from freeing the data.
    #[inline]
    unsafe fn with_ready<R>(&self, f: impl FnOnce(QueueEntered<'_, T::Ready>) -> R) -> Option<R> {
        let ready = self.private().ready.load(Acquire);
        if ready.is_null() {
            return None;
        }
        // SAFETY: The pointer came from `Arc::into_foreign`. Two functions call `from_foreign`:
        // `deactivate`, which by the safety requirements does not reach the call, and the
        // destructor of the private data, which runs only after `del_gendisk` has frozen the queue
        // and the last opener has closed the disk.
        let ready = unsafe { Arc::<T::Ready>::borrow(ready) };
        // INVARIANT: By the safety requirements.
        Some(f(QueueEntered {
            queue: self.queue(),
            ready: &ready,
            is_outlived: &self.private().is_outlived,
        }))
    }
}

/// A disk that is not open, and cannot be opened until this is dropped.
///
/// # Invariants
///
/// The disk has no openers, and is claimed.
///
/// # Context
///
/// All methods, and dropping it: may sleep.
pub(crate) struct Claim<'a, T: Operations> {
    disk: &'a GenDisk<T>,
}

impl<T: Operations> Claim<'_, T> {
    /// Returns whether [`deactivate`](Self::deactivate) waits for an RCU grace period.
    pub(crate) fn waits(&self) -> bool {
        self.disk.private().is_outlived.load(Relaxed)
    }

    /// Sets the capacity of the disk to zero, waits for its I/O, ends the claim, and returns the
    /// data that the I/O needed.
    ///
    /// To drop the data may take longer than openers wait for the end of a claim. Returns `None` if
    /// the disk was not active. Resets the statistics of the disk.
    ///
    /// The disk has no incomplete bio: a file system, swap or another driver that submits one keeps
    /// the disk open until the bio completes, and the last close waits for the page cache. What can
    /// be left is the rest of a function that has completed its bio, or of a worker that has: for
    /// these, `is_outlived` is set.
    pub(crate) fn deactivate(self) -> Option<Arc<T::Ready>> {
        let disk = self.disk.disk.get();
        let private = self.disk.private();
        // SAFETY: The disk is valid. This writes out the dirty pages of the last writer.
        unsafe { bindings::sync_blockdev((*disk).part0) };
        // SAFETY: The disk is valid, as the claim borrows it.
        unsafe { bindings::set_capacity_and_notify(disk, 0) };

        let ready = private.ready.xchg(ptr::null_mut(), Acquire);
        // The load sees the store, which precedes the end of the bio, and with it the closing of
        // the disk under `open_mutex`.
        if private.is_outlived.load(Relaxed) {
            // Freezing the queue waits for those who have entered it. It takes an RCU grace period,
            // so it is left out if it can be. Nothing is allocated while the queue is frozen, so
            // memory reclaim does not recurse into its I/O.
            // SAFETY: The disk is valid, and has a reference to its queue.
            unsafe {
                let queue = self.disk.queue().as_ptr();
                bindings::blk_mq_freeze_queue_nomemsave(queue);
                bindings::blk_mq_unfreeze_queue_nomemrestore(queue);
            }
            private.is_outlived.store(false, Relaxed);
        }
        // SAFETY: The disk is valid, as the claim borrows it.
        unsafe { crate::bindings::zram_rs_clear_disk_stats(disk) };
        if ready.is_null() {
            return None;
        }
        // SAFETY: The pointer came from `into_foreign`, and it has no other users: by the type
        // invariants the disk is not open, and there is none left that has entered the queue.
        Some(unsafe { Arc::from_foreign(ready) })
    }
}

impl<T: Operations> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        // Not under `open_mutex`: an opener may hold it, and wait for this.
        self.disk.private().claimed.store(false, Release);
    }
}

/// The registration of a disk; dropping it removes the disk from the system.
///
/// # Invariants
///
/// The disk is valid, has been added, and has not been removed.
///
/// # Context
///
/// All methods, and dropping it: may sleep.
pub(crate) struct DiskRegistration<T: Operations> {
    disk: NonNull<GenDisk<T>>,
}

// SAFETY: Any thread may remove a disk, and `GenDisk` is `Send`.
unsafe impl<T: Operations> Send for DiskRegistration<T> {}
// SAFETY: A shared reference gives access to no more than the `GenDisk`, which is `Sync`.
unsafe impl<T: Operations> Sync for DiskRegistration<T> {}

impl<T: Operations> DiskRegistration<T> {
    const OPERATIONS: &'static bindings::block_device_operations = &{
        let mut operations: bindings::block_device_operations = pin_init::zeroed();
        operations.submit_bio = Some(Self::submit_bio);
        operations.open = Some(Self::open);
        operations.swap_slot_free_notify = Some(Self::slot_free_notify);
        operations.free_disk = Some(Self::free_disk);
        operations.owner = T::Module::THIS_MODULE.as_ptr();
        operations
    };

    /// Creates a disk without a capacity and adds it to the system.
    ///
    /// The disk and its files can be in use before this returns.
    ///
    /// # Errors
    ///
    /// - Those of initialising `data`.
    /// - `EEXIST`: the name is in use.
    /// - `EINVAL`: the name is too long.
    /// - `ENOMEM`: out of memory.
    pub(crate) fn new(
        name: fmt::Arguments<'_>,
        major: &Major,
        minor: u32,
        limits: Limits,
        attributes: &AttributeGroups<DiskAttribute<T>>,
        data: impl PinInit<T, Error>,
    ) -> Result<Self> {
        let private = KBox::try_pin_init(
            try_pin_init!(Private {
                data <- data,
                ready: Atomic::new(ptr::null_mut()),
                is_outlived: Atomic::new(false),
                claimed: Atomic::new(false),
                gate: UnsafeCell::new(Gate {
                    retired: false,
                    closing: 0,
                    claimed_at: Instant::now(),
                }),
                released: Arc::pin_init(Completion::new(), GFP_KERNEL)?,
            }? Error),
            GFP_KERNEL,
        )?;

        let mut limits = limits.into();
        // SAFETY: The limits are valid for reads, and the lock class is static.
        let disk = from_err_ptr(unsafe {
            bindings::__blk_alloc_disk(
                &mut limits,
                bindings::NUMA_NO_NODE,
                static_lock_class!().as_ptr(),
            )
        })?;

        let private = private.into_foreign();
        let result = (|| {
            // SAFETY: The disk is valid, and has no other users before it is added.
            let fields = unsafe { &mut *disk };
            fields.major = major.number as c_int;
            fields.first_minor = minor as c_int;
            fields.minors = 1;
            fields.flags |= bindings::GENHD_FL_NO_PART as c_int;
            fields.fops = Self::OPERATIONS;
            fields.private_data = private;
            NullTerminatedFormatter::new(&mut fields.disk_name)
                .ok_or(EINVAL)?
                .write_fmt(name)?;
            // SAFETY: The disk is valid and all its fields are set; the attributes are static.
            to_result(unsafe {
                bindings::device_add_disk(ptr::null_mut(), disk, attributes.as_ptr())
            })
        })();
        if let Err(error) = result {
            // SAFETY: The disk is valid, and the reference to drop is the one that
            // `__blk_alloc_disk` returned.
            unsafe { bindings::put_disk(disk) };
            // SAFETY: `private` came from `into_foreign`. The disk no longer uses it: it was not
            // added, for which reason `free_disk` is not called either.
            drop(unsafe { Pin::<KBox<Private<T>>>::from_foreign(private) });
            return Err(error);
        }
        // INVARIANT: `device_add_disk` has added the disk.
        Ok(Self {
            // SAFETY: `__blk_alloc_disk` returns an error pointer, which `from_err_ptr` has checked
            // for, or a pointer that is not null.
            disk: unsafe { NonNull::new_unchecked(disk.cast()) },
        })
    }

    /// Permanently prevents the disk from being opened, so that it can be removed.
    ///
    /// Waits for a moment (see [`LOOKS`]) for openers to leave, unless one is an exclusive user.
    ///
    /// # Context
    ///
    /// A system call, which returns the error.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk is open.
    /// - Those of [`check_signals`].
    pub(crate) fn retire(&self) -> Result {
        self.without_openers(|gate| {
            gate.retired = true;
            Ok(())
        })
    }

    /// Implements `block_device_operations::open`.
    ///
    /// # Safety
    ///
    /// Must be called by the block layer for a disk of this type, with `open_mutex` held.
    unsafe extern "C" fn open(disk: *mut bindings::gendisk, _mode: bindings::blk_mode_t) -> c_int {
        // SAFETY: By the safety requirements the disk is of this type; the block layer keeps it
        // valid during the call.
        let disk = unsafe { GenDisk::<T>::from_raw(disk) };
        let private = disk.private();
        // SAFETY: The gate is protected by `open_mutex`, which `bdev_open` holds during the call.
        let gate = unsafe { &*private.gate.get() };
        // The error of opening a disk after its removal: udev ignores it.
        if gate.retired {
            return ENXIO.to_errno();
        }
        if gate.closing > 0 {
            return EBUSY.to_errno();
        }
        // The disk is not open, and what ends the claim does not need `open_mutex`. The wait is
        // short, as others wait for that mutex.
        while private.claimed.load(Acquire) {
            if gate.claimed_at.elapsed() >= PATIENCE {
                return EBUSY.to_errno();
            }
            fsleep(POLL);
        }
        0
    }

    /// Implements `block_device_operations::submit_bio`.
    ///
    /// # Safety
    ///
    /// Must be called by the block layer with a bio for a disk of this type, whose queue it has
    /// entered, and which is open until the bio completes.
    unsafe extern "C" fn submit_bio(bio: *mut bindings::bio) {
        // SAFETY: By the safety requirements the bio is valid, and its disk is of this type; the
        // disk stays valid while its queue is entered.
        let disk = unsafe { GenDisk::<T>::from_raw((*(*bio).bi_bdev).bd_disk) };
        // SAFETY: By the safety requirements the block layer hands the bio to this driver.
        let submission = unsafe {
            let bio = NonNull::new_unchecked(bio);
            Submission::new(bio, &disk.private().is_outlived)
        };
        // SAFETY: The first and only call.
        let mut bio = Some(unsafe { submission.bio() });
        // SAFETY: By the safety requirements the queue is entered, and the disk is open until the
        // bio completes. `submission` completes it after the call, or sets `is_outlived` before.
        unsafe {
            disk.with_ready(|ready| {
                if let Some(bio) = bio.take() {
                    T::submit_bio(ready, bio);
                }
            })
        };
        // The disk is not active: the bio has passed the check of the capacity before that was set
        // to zero.
        if let Some(mut bio) = bio {
            bio.fail();
        }
    }

    /// Implements `block_device_operations::swap_slot_free_notify`.
    ///
    /// # Context
    ///
    /// Atomic.
    ///
    /// # Safety
    ///
    /// Must be called by swap for a disk of this type that it has open.
    unsafe extern "C" fn slot_free_notify(bdev: *mut bindings::block_device, index: c_ulong) {
        // SAFETY: By the safety requirements the device is valid, and its disk is of this type.
        let disk = unsafe { GenDisk::<T>::from_raw((*bdev).bd_disk) };
        // SAFETY: By the safety requirements the disk is open.
        unsafe { disk.with_ready(|ready| T::slot_free_notify(&ready, index)) };
    }

    /// Implements `block_device_operations::free_disk`.
    ///
    /// # Safety
    ///
    /// Must be called by the block layer when the last reference to a disk of this type, which had
    /// been added, is dropped.
    unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: By the type invariants of `GenDisk` the pointer came from `into_foreign`; by the
        // safety requirements the disk has no other users.
        let private = unsafe { Pin::<KBox<Private<T>>>::from_foreign((*disk).private_data) };
        let released = private.released.clone();
        drop(private);
        released.complete_all();
    }
}

impl<T: Operations> core::ops::Deref for DiskRegistration<T> {
    type Target = GenDisk<T>;

    fn deref(&self) -> &GenDisk<T> {
        // SAFETY: By the type invariants the disk is valid.
        unsafe { self.disk.as_ref() }
    }
}

impl<T: Operations> Drop for DiskRegistration<T> {
    fn drop(&mut self) {
        let released = self.private().released.clone();
        let disk = self.disk.as_ptr().cast();
        self.data().stop();
        // SAFETY: By the type invariants the disk was added and has not been removed. The call
        // waits for I/O, and for accesses to the disk's files.
        unsafe { bindings::del_gendisk(disk) };
        // SAFETY: The reference is the one that `__blk_alloc_disk` returned to `new`.
        unsafe { bindings::put_disk(disk) };
        // A task that is just closing the disk may hold the last reference. Its last step frees the
        // private data with code of this module, which may be about to be unloaded, so wait for it.
        released.wait_for_completion();
    }
}

/// A sysfs file in the directory of a disk.
#[repr(transparent)]
pub(crate) struct DiskAttribute<T>(bindings::device_attribute, PhantomData<fn(T)>);

// SAFETY: The attribute is never written, and its pointers are to statics.
unsafe impl<T> Sync for DiskAttribute<T> {}

// SAFETY: `attr`, the first field of a `struct device_attribute`, is a `struct attribute`, and this
// type is transparent.
unsafe impl<T: 'static> RawAttribute for DiskAttribute<T> {}

const _: () = assert!(offset_of!(bindings::device_attribute, attr) == 0);

impl<T: Operations> DiskAttribute<T> {
    /// Creates a file that all users can read (mode 0444).
    pub(crate) const fn read_only<A: Show<GenDisk<T>>>(name: &'static CStr) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, 0o444);
        attribute.__bindgen_anon_1.show = Some(show::<T, A>);
        Self(attribute, PhantomData)
    }

    /// Creates a file that root can write (mode 0200).
    pub(crate) const fn write_only<A: Store<GenDisk<T>>>(name: &'static CStr) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, 0o200);
        attribute.__bindgen_anon_2.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }

    /// Creates a file that all users can read and root can write (mode 0644).
    pub(crate) const fn read_write<A: Show<GenDisk<T>> + Store<GenDisk<T>>>(
        name: &'static CStr,
    ) -> Self {
        Self::with_mode::<A>(name, 0o644)
    }

    /// Creates a file that root can read and write (mode 0600).
    pub(crate) const fn private<A: Show<GenDisk<T>> + Store<GenDisk<T>>>(
        name: &'static CStr,
    ) -> Self {
        Self::with_mode::<A>(name, 0o600)
    }

    const fn with_mode<A: Show<GenDisk<T>> + Store<GenDisk<T>>>(
        name: &'static CStr,
        mode: u16,
    ) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, mode);
        attribute.__bindgen_anon_1.show = Some(show::<T, A>);
        attribute.__bindgen_anon_2.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }
}

/// Returns the disk that a device belongs to.
///
/// # Safety
///
/// `dev` must be the device of a disk that [`DiskRegistration::<T>::new`] created, which is valid
/// for `'a`.
unsafe fn to_disk<'a, T: Operations>(dev: *mut bindings::device) -> &'a GenDisk<T> {
    // SAFETY: The device of a disk is embedded in the block device of the whole disk, which by the
    // safety requirements is valid and of this type.
    unsafe {
        let bdev = container_of!(dev, bindings::block_device, bd_device);
        GenDisk::from_raw((*bdev).bd_disk)
    }
}

/// Implements `device_attribute::show`.
///
/// # Safety
///
/// Must be called by sysfs for the device of a disk of this type, with a `buf` of `PAGE_SIZE`
/// bytes.
unsafe extern "C" fn show<T: Operations, A: Show<GenDisk<T>>>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: By the safety requirements `buf` has `PAGE_SIZE` bytes and the disk is of this type;
    // the disk is not removed before the last access to its files ends.
    unsafe { sysfs::show::<_, A>(to_disk::<T>(dev), buf) }
}

/// Implements `device_attribute::store`.
///
/// # Safety
///
/// Must be called by sysfs for the device of a disk of this type, with a C string as `buf`.
unsafe extern "C" fn store<T: Operations, A: Store<GenDisk<T>>>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the safety requirements `buf` is a C string and the disk is of this type; the disk
    // is not removed before the last access to its files ends.
    unsafe { sysfs::store::<_, A>(to_disk::<T>(dev), buf, count) }
}
