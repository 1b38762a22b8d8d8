// SPDX-License-Identifier: GPL-2.0

//! Disks of bio-based drivers.
//!
//! A disk has data that lives as long as the disk (the driver's type), and data that I/O works on
//! ([`Operations::Ready`]), which comes and goes: [`GenDisk::activate`] gives the disk a capacity,
//! and [`Claim::deactivate`] takes it away again, when nobody has the disk open. I/O is passed to
//! the driver with the latter in hand, without a lock.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::{
    bio::Bio,
    sysfs::{
        self,
        AttributeGroups,
        RawAttribute,
        Show,
        Store, //
    },
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
            Release, //
        },
        Arc,
        Completion,
        Mutex, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// What a bio-based driver does.
pub(crate) trait Operations: Sized + Send + Sync + 'static {
    /// What I/O works on, while the disk has a capacity.
    type Ready: Send + Sync + 'static;

    /// The module that a disk in use keeps from being unloaded.
    type Module: ModuleMetadata;

    /// Does the I/O that a bio asks for. May sleep, must not recurse into I/O on memory allocation.
    fn submit_bio(ready: QueueEntered<'_, Self::Ready>, bio: Bio);

    /// Takes note that swap does not need page `index` of the disk any more. Atomic context.
    fn slot_free_notify(ready: &Self::Ready, index: usize);

    /// Ends whatever users of the disk's files are waiting for, as the disk is about to be removed.
    /// May sleep.
    fn stop(&self);
}

/// What I/O works on, for the time of a call of [`Operations::submit_bio`].
///
/// # Invariants
///
/// The caller is in `queue`, the queue of a disk that was activated with `ready`.
pub(crate) struct QueueEntered<'a, R> {
    queue: NonNull<bindings::request_queue>,
    ready: &'a R,
}

impl<R> QueueEntered<'_, R> {
    /// Takes a reference to the queue, with which I/O can go on when the call has returned. Any
    /// context.
    pub(crate) fn queue_ref(&self) -> QueueRef<R> {
        // SAFETY: By the type invariants this is called within the queue.
        unsafe { crate::bindings::zram_rs_queue_get(self.queue.as_ptr()) };
        // INVARIANT: `deactivate` freezes the queue, as does `del_gendisk`, after which alone the
        // disk can be freed; both take until the reference is given back.
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

/// A reference to the queue of a disk, and what I/O works on: the disk is not deactivated as long
/// as this lives.
///
/// # Invariants
///
/// The object has a reference to `queue`, the queue of a disk that was activated with `ready`.
pub(crate) struct QueueRef<R> {
    queue: NonNull<bindings::request_queue>,
    ready: NonNull<R>,
}

// SAFETY: The reference may be given back anywhere; what I/O works on can be shared.
unsafe impl<R: Sync> Send for QueueRef<R> {}

impl<R> core::ops::Deref for QueueRef<R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        // SAFETY: By the type invariants.
        unsafe { self.ready.as_ref() }
    }
}

impl<R> Drop for QueueRef<R> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants there is a reference to give back. Any context.
        unsafe { crate::bindings::zram_rs_queue_put(self.queue.as_ptr()) };
    }
}

/// A block major number, given back when dropped.
pub(crate) struct Major {
    number: u32,
    name: &'static CStr,
}

impl Major {
    /// Gets a free major number. Fails with `EBUSY` if there is none, and with `ENOMEM`. May sleep.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: `name` is a C string that lives as long as the module.
        let number = unsafe { bindings::__register_blkdev(0, name.as_char_ptr(), None) };
        to_result(number)?;
        Ok(Self {
            number: number as u32,
            name,
        })
    }
}

impl Drop for Major {
    fn drop(&mut self) {
        // SAFETY: The number was registered under this name by `new`.
        unsafe { bindings::unregister_blkdev(self.number, self.name.as_char_ptr()) };
    }
}

/// The properties of a new disk. What is left at zero is the block layer's default; see
/// `struct queue_limits`.
#[derive(Default)]
pub(crate) struct Limits {
    /// The smallest unit of I/O, in bytes.
    pub(crate) logical_block_size: u32,
    /// The unit that the disk works with, in bytes.
    pub(crate) physical_block_size: u32,
    /// The smallest I/O that makes sense, in bytes.
    pub(crate) io_min: u32,
    /// The best size of I/O, in bytes.
    pub(crate) io_opt: u32,
    /// How much can be discarded at once, in sectors.
    pub(crate) max_discard_sectors: u32,
    /// How much can be zeroed at once, in sectors.
    pub(crate) max_write_zeroes_sectors: u32,
    /// Pages must not change while they are written.
    pub(crate) stable_writes: bool,
    /// I/O is done when it has been submitted.
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

/// Who keeps a disk from being opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// Nobody.
    No,
    /// Somebody, for a time.
    Yes,
    /// Somebody, for ever: the disk is being removed.
    Removing,
}

/// What hangs on a disk's `private_data`.
#[pin_data(PinnedDrop)]
struct Private<T: Operations> {
    /// The driver's data.
    #[pin]
    data: T,
    /// An `Arc` in foreign form, or null.
    ready: Atomic<*mut c_void>,
    /// Protected by the disk's `open_mutex`.
    claimed: UnsafeCell<Claimed>,
    /// Completed when this object is gone.
    released: Arc<Completion>,
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Private<T> {
    fn drop(self: Pin<&mut Self>) {
        let ready = self.ready.load(Acquire);
        if !ready.is_null() {
            // SAFETY: The pointer came from `into_foreign`, and this is the last use of it.
            drop(unsafe { Arc::<T::Ready>::from_foreign(ready) });
        }
    }
}

/// A disk.
///
/// Wraps the kernel's `struct gendisk`.
///
/// # Invariants
///
/// `private_data` is a [`Private<T>`] in foreign form, as long as the disk can be reached.
#[repr(transparent)]
pub(crate) struct GenDisk<T: Operations> {
    disk: Opaque<bindings::gendisk>,
    _data: PhantomData<T>,
}

// SAFETY: All that is done with a `gendisk` here may be done from any thread.
unsafe impl<T: Operations> Send for GenDisk<T> {}
// SAFETY: The same.
unsafe impl<T: Operations> Sync for GenDisk<T> {}

impl<T: Operations> GenDisk<T> {
    /// # Safety
    ///
    /// `disk` must be a disk that was made by [`Disk::<T>::new`], and live for `'a`.
    unsafe fn from_raw<'a>(disk: *mut bindings::gendisk) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*disk.cast() }
    }

    fn private(&self) -> &Private<T> {
        // SAFETY: By the type invariants.
        unsafe { &*(*self.disk.get()).private_data.cast() }
    }

    fn queue(&self) -> NonNull<bindings::request_queue> {
        // SAFETY: A disk has a queue, which lives at least as long.
        unsafe { NonNull::new_unchecked((*self.disk.get()).queue) }
    }

    /// Returns the driver's data. Any context.
    pub(crate) fn data(&self) -> &T {
        &self.private().data
    }

    /// Returns the name of the disk. Any context.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: The name is a C string and does not change once the disk is added.
        unsafe { CStr::from_char_ptr((*self.disk.get()).disk_name.as_ptr()) }
    }

    /// Gives the disk a capacity of `sectors`, and `ready` for its I/O to work on.
    ///
    /// Fails with `EBUSY` if it is active already. May sleep.
    pub(crate) fn activate(&self, ready: Arc<T::Ready>, sectors: u64) -> Result {
        let ready = ready.into_foreign();
        if let Err(_other) = self
            .private()
            .ready
            .cmpxchg(ptr::null_mut(), ready, Release)
        {
            // SAFETY: The pointer came from `into_foreign` just before and went nowhere.
            drop(unsafe { Arc::<T::Ready>::from_foreign(ready) });
            return Err(EBUSY);
        }
        // SAFETY: The disk is valid.
        unsafe { bindings::set_capacity_and_notify(self.disk.get(), sectors) };
        Ok(())
    }

    /// Claims the disk: nobody has it open, and nobody can open it until the claim is dropped.
    ///
    /// Fails with `EBUSY` if somebody has it open, or claimed. May sleep.
    pub(crate) fn claim(&self) -> Result<Claim<'_, T>> {
        self.with_claimed(|claimed, openers| {
            if openers > 0 || *claimed != Claimed::No {
                return Err(EBUSY);
            }
            *claimed = Claimed::Yes;
            // INVARIANT: Nobody has the disk open, and `open` sees that it is claimed.
            Ok(Claim { disk: self })
        })
    }

    fn with_claimed<R>(&self, f: impl FnOnce(&mut Claimed, u32) -> R) -> R {
        let disk = self.disk.get();
        // SAFETY: The disk is valid, and its mutex initialised.
        let open_mutex = unsafe { Mutex::from_raw(&raw mut (*disk).open_mutex) };
        let _guard = open_mutex.lock();
        // SAFETY: The disk is valid.
        let openers = unsafe { crate::bindings::zram_rs_disk_openers(disk) };
        // SAFETY: `claimed` is protected by `open_mutex`.
        f(unsafe { &mut *self.private().claimed.get() }, openers)
    }

    /// Calls `f` with what I/O works on, if there is such.
    ///
    /// # Safety
    ///
    /// [`Claim::deactivate`] must not get past its wait while this runs: the caller must be within
    /// the disk's queue, or know that somebody has the disk open.
    #[inline]
    unsafe fn with_ready<R>(&self, f: impl FnOnce(QueueEntered<'_, T::Ready>) -> R) -> Option<R> {
        let ready = self.private().ready.load(Acquire);
        if ready.is_null() {
            return None;
        }
        // SAFETY: The pointer came from `Arc::into_foreign`, and `from_foreign` is called only by
        // `deactivate`, which by the safety requirements does not get so far, and when the disk is
        // freed, for which `del_gendisk` has frozen its queue, and whoever has it open has let go.
        let ready = unsafe { Arc::<T::Ready>::borrow(ready) };
        // INVARIANT: By the safety requirements; see `slot_free_notify` for the other case.
        Some(f(QueueEntered {
            queue: self.queue(),
            ready: &ready,
        }))
    }
}

/// A disk that nobody has open, and nobody can open.
///
/// # Invariants
///
/// Nobody has the disk open, and the disk is claimed.
pub(crate) struct Claim<'a, T: Operations> {
    disk: &'a GenDisk<T>,
}

impl<T: Operations> Claim<'_, T> {
    /// Takes the disk's capacity away, waits until no I/O is under way any more, and returns what
    /// the I/O worked on, if it was active. The disk's statistics start anew.
    ///
    /// May sleep.
    pub(crate) fn deactivate(&self) -> Option<Arc<T::Ready>> {
        let disk = self.disk.disk.get();
        // SAFETY: The disk is valid. What a last writer left behind is written out.
        unsafe { bindings::sync_blockdev((*disk).part0) };
        // SAFETY: The disk is valid.
        unsafe { bindings::set_capacity_and_notify(disk, 0) };

        let ready = self.disk.private().ready.xchg(ptr::null_mut(), Acquire);
        // All that found the pointer before it was cleared did so in the queue, or on behalf of
        // somebody who has the disk open, of whom by the type invariants there are none. Nothing is
        // allocated while the queue is frozen, so there is no recursion into its I/O.
        // SAFETY: The queue is valid as long as the disk is.
        unsafe {
            let queue = self.disk.queue().as_ptr();
            bindings::blk_mq_freeze_queue_nomemsave(queue);
            bindings::blk_mq_unfreeze_queue_nomemrestore(queue);
        }
        // SAFETY: The disk is valid.
        unsafe { crate::bindings::zram_rs_clear_disk_stats(disk) };
        if ready.is_null() {
            return None;
        }
        // SAFETY: The pointer came from `into_foreign`, and nobody else has it any more.
        Some(unsafe { Arc::from_foreign(ready) })
    }
}

impl<T: Operations> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.disk.with_claimed(|claimed, _| {
            // It stays claimed if it is to be removed meanwhile.
            if *claimed == Claimed::Yes {
                *claimed = Claimed::No;
            }
        });
    }
}

/// A disk that has been added to the system, and is removed when dropped.
///
/// # Invariants
///
/// The disk is valid, was added, and has not been removed.
pub(crate) struct Disk<T: Operations> {
    disk: NonNull<GenDisk<T>>,
}

// SAFETY: The handle is no more than the right to remove the disk.
unsafe impl<T: Operations> Send for Disk<T> {}
// SAFETY: Shared, it gives access to a `GenDisk`, which may be shared.
unsafe impl<T: Operations> Sync for Disk<T> {}

impl<T: Operations> Disk<T> {
    const OPERATIONS: &'static bindings::block_device_operations = &{
        let mut operations: bindings::block_device_operations = pin_init::zeroed();
        operations.submit_bio = Some(Self::submit_bio);
        operations.open = Some(Self::open);
        operations.swap_slot_free_notify = Some(Self::slot_free_notify);
        operations.free_disk = Some(Self::free_disk);
        operations.owner = T::Module::THIS_MODULE.as_ptr();
        operations
    };

    /// Makes a disk without a capacity and adds it to the system.
    ///
    /// It can be used before this returns. Fails with what `data` and adding a disk fail with:
    /// `ENOMEM`, `EEXIST` if the name is taken. May sleep.
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
                claimed: UnsafeCell::new(Claimed::No),
                released: Arc::pin_init(Completion::new(), GFP_KERNEL)?,
            }? Error),
            GFP_KERNEL,
        )?;

        let mut limits = limits.into();
        // SAFETY: The limits and the lock class are valid.
        let disk = from_err_ptr(unsafe {
            bindings::__blk_alloc_disk(
                &mut limits,
                bindings::NUMA_NO_NODE,
                static_lock_class!().as_ptr(),
            )
        })?;

        let private = private.into_foreign();
        let result = (|| {
            // SAFETY: The disk is valid, and nobody else knows it yet.
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
            // SAFETY: The disk is valid and complete, the attributes are static.
            to_result(unsafe {
                bindings::device_add_disk(ptr::null_mut(), disk, attributes.as_ptr())
            })
        })();
        if let Err(error) = result {
            // SAFETY: The disk is valid, and this is the last reference. Nobody can reach it, and
            // since it was not added `free_disk` will not be called.
            unsafe { bindings::put_disk(disk) };
            // SAFETY: `private` came from `into_foreign`, and the disk that used it is gone.
            drop(unsafe { Pin::<KBox<Private<T>>>::from_foreign(private) });
            return Err(error);
        }
        // INVARIANT: Just added.
        Ok(Self {
            // SAFETY: Not null, as `from_err_ptr` has checked that it is no error, and the kernel
            // returns no null pointer here.
            disk: unsafe { NonNull::new_unchecked(disk.cast()) },
        })
    }

    /// Makes sure that the disk is not in use and cannot be opened any more, for its removal.
    ///
    /// Fails with `EBUSY` if somebody has it open. May sleep.
    pub(crate) fn retire(&self) -> Result {
        self.with_claimed(|claimed, openers| {
            if openers > 0 {
                return Err(EBUSY);
            }
            *claimed = Claimed::Removing;
            Ok(())
        })
    }

    /// # Safety
    ///
    /// Called by the block layer for a disk of this type.
    unsafe extern "C" fn open(disk: *mut bindings::gendisk, _mode: bindings::blk_mode_t) -> c_int {
        // SAFETY: The block layer keeps the disk valid during the call.
        let disk = unsafe { GenDisk::<T>::from_raw(disk) };
        // SAFETY: `claimed` is protected by `open_mutex`, with which `bdev_open` calls this.
        match unsafe { *disk.private().claimed.get() } {
            Claimed::No => 0,
            Claimed::Yes | Claimed::Removing => EBUSY.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by the block layer for a disk of this type, from within its queue.
    unsafe extern "C" fn submit_bio(bio: *mut bindings::bio) {
        // SAFETY: The bio is valid, and its disk is one of ours and valid while it is in the queue.
        let disk = unsafe { GenDisk::<T>::from_raw((*(*bio).bi_bdev).bd_disk) };
        // SAFETY: The block layer hands over a valid bio.
        let bio = unsafe { Bio::from_raw(NonNull::new_unchecked(bio)) };
        let mut bio = Some(bio);
        // SAFETY: This is called with a reference to the queue, which `deactivate` waits for.
        unsafe {
            disk.with_ready(|ready| {
                if let Some(bio) = bio.take() {
                    T::submit_bio(ready, bio);
                }
            })
        };
        // A disk without a capacity: only what was under way when it lost it gets here.
        if let Some(mut bio) = bio {
            bio.fail();
        }
    }

    /// # Safety
    ///
    /// Called by swap for a disk of this type that it has open. Atomic context.
    unsafe extern "C" fn slot_free_notify(bdev: *mut bindings::block_device, index: c_ulong) {
        // SAFETY: The device is valid and its disk is one of ours.
        let disk = unsafe { GenDisk::<T>::from_raw((*bdev).bd_disk) };
        // SAFETY: Swap has the disk open.
        unsafe { disk.with_ready(|ready| T::slot_free_notify(&ready, index)) };
    }

    /// # Safety
    ///
    /// Called by the block layer with the last reference to a disk of this type that had been
    /// added.
    unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: By the type invariants of `GenDisk` this came from `into_foreign`; nobody uses
        // the disk any more.
        let private = unsafe { Pin::<KBox<Private<T>>>::from_foreign((*disk).private_data) };
        let released = private.released.clone();
        drop(private);
        released.complete_all();
    }
}

impl<T: Operations> core::ops::Deref for Disk<T> {
    type Target = GenDisk<T>;

    fn deref(&self) -> &GenDisk<T> {
        // SAFETY: By the type invariants.
        unsafe { self.disk.as_ref() }
    }
}

impl<T: Operations> Drop for Disk<T> {
    fn drop(&mut self) {
        let released = self.private().released.clone();
        let disk = self.disk.as_ptr().cast();
        self.data().stop();
        // SAFETY: By the type invariants the disk was added and has not been removed. This waits
        // for I/O, and for those who use the disk's files.
        unsafe { bindings::del_gendisk(disk) };
        // SAFETY: Gives up the reference of `new`.
        unsafe { bindings::put_disk(disk) };
        // Somebody who just closed the disk may have the last reference. Wait, so that the module,
        // which may be about to be unloaded, is there to free the data.
        released.wait_for_completion();
    }
}

/// A file in the directory of a disk.
#[repr(transparent)]
pub(crate) struct DiskAttribute<T>(bindings::device_attribute, PhantomData<fn(T)>);

// SAFETY: Never written, and the pointers in it are to statics.
unsafe impl<T> Sync for DiskAttribute<T> {}

// SAFETY: That is the first field of a `struct device_attribute`.
unsafe impl<T: 'static> RawAttribute for DiskAttribute<T> {}

const _: () = assert!(offset_of!(bindings::device_attribute, attr) == 0);

impl<T: Operations> DiskAttribute<T> {
    /// A file that anybody can read.
    pub(crate) const fn read_only<A: Show<GenDisk<T>>>(name: &'static CStr) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, 0o444);
        attribute.__bindgen_anon_1.show = Some(show::<T, A>);
        Self(attribute, PhantomData)
    }

    /// A file that root can write.
    pub(crate) const fn write_only<A: Store<GenDisk<T>>>(name: &'static CStr) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, 0o200);
        attribute.__bindgen_anon_2.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }

    /// A file that anybody can read and root can write.
    pub(crate) const fn read_write<A: Show<GenDisk<T>> + Store<GenDisk<T>>>(
        name: &'static CStr,
    ) -> Self {
        let mut attribute: bindings::device_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, 0o644);
        attribute.__bindgen_anon_1.show = Some(show::<T, A>);
        attribute.__bindgen_anon_2.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }
}

/// # Safety
///
/// `dev` must be the device of a valid disk that was made by [`Disk::<T>::new`].
unsafe fn to_disk<'a, T: Operations>(dev: *mut bindings::device) -> &'a GenDisk<T> {
    // SAFETY: The device of a disk is part of the block device of the whole disk.
    unsafe {
        let bdev = container_of!(dev, bindings::block_device, bd_device);
        GenDisk::from_raw((*bdev).bd_disk)
    }
}

/// # Safety
///
/// Called by sysfs for the device of a disk of this type. `buf` has `PAGE_SIZE` bytes.
unsafe extern "C" fn show<T: Operations, A: Show<GenDisk<T>>>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: sysfs keeps the disk from being removed during the call.
    unsafe { sysfs::show::<_, A>(to_disk::<T>(dev), buf) }
}

/// # Safety
///
/// Called by sysfs for the device of a disk of this type. `buf` is a C string.
unsafe extern "C" fn store<T: Operations, A: Store<GenDisk<T>>>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: sysfs keeps the disk from being removed during the call.
    unsafe { sysfs::store::<_, A>(to_disk::<T>(dev), buf, count) }
}
