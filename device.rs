// SPDX-License-Identifier: GPL-2.0

//! A disk: its state from adding to removal, and the entry point of its bios.
//!
//! A disk is uninitialised until its size is set, and again after a reset. Most of its
//! configuration can be changed only while the disk is uninitialised; the limits and the batch size
//! can be changed at any time.

use crate::{
    abstractions::{
        alloc::Gfp,
        block::{
            bio::{
                Bio,
                Operation, //
            },
            gendisk::{
                DiskAttribute,
                DiskRegistration,
                GenDisk,
                Limits,
                Major,
                Operations,
                QueueEntered, //
            },
        },
        device::sysfs::AttributeGroups,
        helpers::Helpers,
        sched::boottime_seconds,
        sync::{
            mutex::lock_interruptible,
            rwsem::RwSemaphore, //
        },
        workqueue::HighPriority, //
    },
    backing::{
        share::PackStat,
        Backing, //
    },
    comp::{
        Algorithm,
        AllStreams,
        CompConfig,
        HotplugState,
        ParamsUpdate,
        Priority, //
    },
    events::{
        Events,
        Files, //
    },
    idle,
    marks::Marks,
    recompress::{
        self,
        RecompressRequest, //
    },
    store::{
        Parts,
        Store, //
    },
    tiering::{
        self,
        post_processing::PostProcessing,
        settings::{
            AutoRecompress,
            AutoWriteback, //
        },
        Tiering,
        Workers, //
    },
    turn,
    writeback::{
        self,
        budget::Budget,
        period::Rate,
        selection::Selection,
        DEFAULT_BATCH_SIZE, //
    },
    zspool::Pool, //
};
use kernel::{
    block::SECTOR_SHIFT,
    new_mutex,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        MutexGuard, //
    },
};

/// Logical block size of a disk, in bytes, for any page size.
const LOGICAL_BLOCK_SIZE: usize = if cfg!(zram_rs_small_blocks) {
    512
} else {
    4096
};

/// The private data of a disk.
///
/// # Context
///
/// Methods may sleep unless they say otherwise.
#[pin_data]
pub(crate) struct Device {
    /// The configuration, and the store of the disk while it is initialised.
    pub(crate) config: ConfigHandle,
    /// Serialises writeback and recompression; the owner may keep a reference to the store.
    post_processing: Arc<PostProcessing>,
    /// Serialises the marking of idle pages; the owner may keep a reference to the store.
    #[pin]
    marking: Mutex<()>,
    /// The limit of writeback.
    pub(crate) budget: Arc<Budget>,
    /// Writeback and recompression that nothing asks for.
    #[pin]
    pub(crate) tiering: Tiering<ConfigHandle>,
    /// Maximum number of writeback requests in flight.
    batch_size: Atomic<u32>,
    events: Arc<Events>,
    resources: DriverResources,
}

/// The sysfs attributes of a disk.
pub(crate) type DiskAttributes = AttributeGroups<DiskAttribute<Device>>;

/// Resources of the driver that all disks share.
#[derive(Clone)]
pub(crate) struct DriverResources {
    /// The CPU hotplug state, which allocates and frees the memory of a CPU's streams.
    pub(crate) hotplug: Arc<HotplugState>,
    /// The workers that help with large bios.
    pub(crate) helpers: Arc<Helpers>,
    /// The workqueue that decompresses pages which were read from a backing device.
    pub(crate) queue: Arc<HighPriority>,
    /// The workqueue of tiering.
    pub(crate) workers: Arc<Workers>,
    /// The settings of new disks.
    pub(crate) defaults: Defaults,
}

/// The settings of new disks that a user can choose.
#[derive(Clone, Copy, Default)]
pub(crate) struct Defaults {
    pub(crate) auto_writeback: Option<AutoWriteback>,
    pub(crate) auto_recompress: Option<AutoRecompress>,
    pub(crate) writeback_budget: Option<Rate>,
    pub(crate) compressed_writeback: bool,
    pub(crate) packed_writeback: bool,
}

/// A reference to the configuration of a disk, which may outlive the disk.
#[derive(Clone)]
pub(crate) struct ConfigHandle(Arc<RwSemaphore<Config>>);

impl ConfigHandle {
    /// Creates the configuration of a new disk.
    fn new(defaults: &Defaults) -> Result<Self> {
        let config = Config {
            compressed_writeback: defaults.compressed_writeback,
            packed_writeback: defaults.packed_writeback,
            ..Config::default()
        };
        let config = RwSemaphore::new(config, c"zram_rs config", static_lock_class!());
        Ok(Self(Arc::pin_init(config, GFP_KERNEL)?))
    }

    /// Calls `f` with the store of the disk, or returns `None` if the disk is not initialised.
    ///
    /// The configuration is read-locked during the call.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn with_store<R>(&self, f: impl FnOnce(&Store) -> R) -> Option<R> {
        Some(f(&self.0.read().ready.as_ref()?.store))
    }
}

impl tiering::Disk for ConfigHandle {
    fn store(&self) -> Option<Arc<Store>> {
        Some(self.0.read().ready.as_ref()?.store.clone())
    }

    fn find_priority(
        &self,
        number: Option<Priority>,
        algorithm: Option<Algorithm>,
    ) -> Option<Priority> {
        let number = number.map(|priority| priority.number() as i32);
        let name = algorithm.map(Algorithm::name);
        let algorithms = &self.0.read().algorithms;
        algorithms.find(number, name, Priority::SECONDARY).ok()
    }
}

/// The configuration of a disk, and its store while it is initialised.
#[derive(Default)]
struct Config {
    algorithms: CompConfig,
    /// Maximum number of pages that the pool may use; 0 for no maximum.
    limit_pages: usize,
    backing: Option<Arc<Backing>>,
    /// Whether compressed pages stay compressed on the backing device.
    compressed_writeback: bool,
    /// Whether compressed pages share blocks of the backing device.
    packed_writeback: bool,
    /// `None` while the disk is uninitialised.
    ready: Option<Ready>,
}

/// The state of an initialised disk.
struct Ready {
    /// In bytes.
    size: u64,
    store: Arc<Store>,
}

/// The columns of `mm_stat`; all but the limit are zero for an uninitialised disk.
#[derive(Default)]
pub(crate) struct MmStat {
    /// Number of slots that are not empty.
    pub(crate) pages_stored: u64,
    /// Total size of the objects in the pool, in bytes.
    pub(crate) stored_bytes: u64,
    /// Number of pages that the pool uses.
    pub(crate) used_pages: u64,
    /// Maximum number of pages that the pool may use; 0 for no maximum.
    pub(crate) limit_pages: u64,
    /// Largest number of pages that the pool has used.
    pub(crate) max_used_pages: u64,
    /// Number of pages that consist of one repeated word.
    pub(crate) same_pages: u64,
    /// Number of pages that compaction of the pool has freed.
    pub(crate) pages_compacted: u64,
    /// Number of incompressible pages.
    pub(crate) huge_pages: u64,
    /// Number of incompressible pages that were written since the disk was initialised.
    pub(crate) huge_pages_since: u64,
}

/// The columns of `bd_stat`, in pages.
#[derive(Default)]
pub(crate) struct BdStat {
    /// Number of blocks of the backing device in use.
    pub(crate) blocks: u64,
    /// Number of blocks read.
    pub(crate) reads: u64,
    /// Number of blocks written.
    pub(crate) writes: u64,
}

/// The columns of `bd_pack_stat`.
#[derive(Default)]
pub(crate) struct BdPackStat {
    /// Number of pages on the backing device.
    pub(crate) pages: u64,
    /// Number of blocks in use.
    pub(crate) blocks: u64,
    /// The bytes of data, and the sparse blocks.
    pub(crate) pack: PackStat,
}

impl Operations for Device {
    type Ready = Store;
    type Module = crate::LocalModule;

    fn submit_bio(store: QueueEntered<'_, Store>, mut bio: Bio<'_>) {
        match bio.operation() {
            Operation::Read => Store::read_bio(&store, bio),
            Operation::Write => Store::write_bio(&store, &mut bio),
            Operation::Discard | Operation::WriteZeroes => store.discard_bio(&bio),
            Operation::Other => bio.fail_unsupported(),
        }
    }

    fn slot_free_notify(store: &Store, index: usize) {
        store.free_notify(index);
    }

    fn stop(&self) {
        // A slice in progress ends early.
        self.config.with_store(Store::stop);
        self.tiering.stop();
        drop(self.end_post_processing());
        self.config.with_store(|store| store.free_all(false, || ()));
    }
}

impl Device {
    /// Adds the disk `zram<id>`, uninitialised, to the system.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - Those of [`DiskRegistration::new`].
    pub(crate) fn add(
        id: u32,
        major: &Major,
        attributes: &DiskAttributes,
        resources: DriverResources,
    ) -> Result<DiskRegistration<Self>> {
        let limits = Limits {
            logical_block_size: LOGICAL_BLOCK_SIZE as u32,
            physical_block_size: PAGE_SIZE as u32,
            io_min: PAGE_SIZE as u32,
            io_opt: PAGE_SIZE as u32,
            max_discard_sectors: u32::MAX,
            // Discarding leaves partial pages as they are, so that they would not read as zeroes.
            max_write_zeroes_sectors: if PAGE_SIZE == LOGICAL_BLOCK_SIZE {
                u32::MAX
            } else {
                0
            },
            stable_writes: true,
            synchronous: true,
        };
        let defaults = resources.defaults;
        let config = ConfigHandle::new(&defaults)?;
        let post_processing = Arc::pin_init(PostProcessing::new(), GFP_KERNEL)?;
        let budget = Arc::pin_init(Budget::new(), GFP_KERNEL)?;
        budget.set_rate(defaults.writeback_budget)?;
        let events = Arc::new(Events::new(major.device_number(id)), GFP_KERNEL)?;
        let tiering = Tiering::new(
            config.clone(),
            resources.workers.clone(),
            post_processing.clone(),
            budget.clone(),
            events.clone(),
            (defaults.auto_writeback, defaults.auto_recompress),
        )?;
        let data = try_pin_init!(Self {
            tiering <- tiering,
            config,
            post_processing,
            marking <- new_mutex!((), "zram_rs marking"),
            budget,
            batch_size: Atomic::new(DEFAULT_BATCH_SIZE),
            events,
            resources,
        });
        DiskRegistration::new(fmt!("zram{id}"), major, id, limits, attributes, data)
    }

    /// Initialises the disk with a size in bytes, which is rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the size is 0 or too large, or an algorithm rejects its parameters.
    /// - `EOPNOTSUPP`: an algorithm does not support its parameters.
    /// - `EBUSY`: the disk is initialised.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn initialise(disk: &GenDisk<Self>, size: u64) -> Result {
        if size == 0 {
            return Err(EINVAL);
        }
        let device = disk.data();
        let mut config = device.config().write();
        if config.ready.is_some() {
            pr_info!("Cannot change disksize for initialized device\n");
            return Err(EBUSY);
        }
        let size = size
            .checked_next_multiple_of(PAGE_SIZE as u64)
            .ok_or(EINVAL)?;
        let count = usize::try_from(size >> PAGE_SHIFT)?;

        let store = Store::new(
            count,
            Parts {
                pool: Pool::new(disk.name())?,
                streams: AllStreams::new(&config.algorithms, &device.resources.hotplug)?,
                helpers: device.resources.helpers.clone(),
                events: device.events.clone(),
            },
            config.compressed_writeback,
            config.packed_writeback,
        );
        let store = Arc::pin_init(store, GFP_KERNEL)?;
        store.set_limit(config.limit_pages);
        if let Some(backing) = &config.backing {
            store.attach(backing.clone())?;
        }
        disk.activate(store.clone(), size >> SECTOR_SHIFT)?;
        config.ready = Some(Ready { size, store });
        Ok(())
    }

    /// Makes the disk uninitialised: discards its data and its configuration.
    ///
    /// The mode, the limit and the batch size of writeback stay. Post-processing in progress stops
    /// early.
    ///
    /// # Context
    ///
    /// A system call, which returns the error.
    ///
    /// # Errors
    ///
    /// Those of [`GenDisk::claim`].
    pub(crate) fn reset(disk: &GenDisk<Self>) -> Result {
        let claim = disk.claim()?;
        let device = disk.data();
        let _guards = device.end_post_processing();
        let mut config = device.config().write();
        match &config.ready {
            // It waits for the end of I/O, which takes as long as freeing many pages.
            Some(ready) if claim.waits() => {
                drop(ready.store.free_all(true, || claim.deactivate()));
            }
            _ => {
                let store = claim.deactivate();
                config.ready = None;
                // Nothing else has the store: I/O and post-processing, which would, have ended.
                if let Some(mut store) = store.and_then(Arc::into_unique_or_drop) {
                    store.as_mut().free_unused();
                }
            }
        }
        *config = Config {
            compressed_writeback: config.compressed_writeback,
            packed_writeback: config.packed_writeback,
            ..Config::default()
        };
        drop(config);
        Ok(())
    }

    /// Stops writeback, recompression and marking of idle pages, and returns the locks that keep
    /// them from starting again.
    fn end_post_processing(&self) -> [MutexGuard<'_, ()>; 2] {
        self.config.with_store(Store::stop);
        [self.post_processing.lock(), self.marking.lock()]
    }

    /// Returns whether the disk is initialised.
    pub(crate) fn is_initialised(&self) -> bool {
        self.config().read().ready.is_some()
    }

    /// Returns the size of the disk in bytes; 0 if it is uninitialised.
    pub(crate) fn size(&self) -> u64 {
        self.config()
            .read()
            .ready
            .as_ref()
            .map_or(0, |ready| ready.size)
    }

    /// Returns the algorithm with a priority, if there is one.
    pub(crate) fn algorithm(&self, priority: Priority) -> Option<Algorithm> {
        self.config().read().algorithms.algorithm(priority)
    }

    /// Sets the algorithm with a priority, and resets the parameters of that priority.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the disk is initialised.
    pub(crate) fn set_algorithm(&self, priority: Priority, algorithm: Algorithm) -> Result {
        let mut config = self.config().write();
        if config.ready.is_some() {
            pr_info!("Can't change algorithm for initialized device\n");
            return Err(EBUSY);
        }
        config.algorithms.set_algorithm(priority, algorithm);
        Ok(())
    }

    /// Sets the parameters of an algorithm.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk is initialised.
    /// - Those of [`CompConfig::set_params`] and [`ParamsUpdate::read_dictionary`].
    pub(crate) fn set_params(&self, update: &ParamsUpdate) -> Result {
        let check = |config: &Config| {
            if config.ready.is_some() {
                pr_info!("Can't change algorithm parameters for initialized device\n");
                return Err(EBUSY);
            }
            config.algorithms.find_params(update)
        };
        check(&self.config().read())?;
        // Without the lock: reading the file takes it if the file is an attribute of this disk.
        let dictionary = update.read_dictionary()?;
        let mut config = self.config().write();
        check(&config)?;
        config.algorithms.set_params(update, dictionary)
    }

    /// Sets the maximum amount of memory that the pool may use, in bytes; 0 for no maximum.
    ///
    /// It is rounded up to whole pages.
    pub(crate) fn set_memory_limit(&self, bytes: u64) {
        // As in C zram, a limit that overflows when it is rounded up is no limit.
        let pages = bytes
            .checked_next_multiple_of(PAGE_SIZE as u64)
            .map_or(0, |bytes| (bytes >> PAGE_SHIFT) as usize);
        let mut config = self.config().write();
        config.limit_pages = pages;
        if let Some(ready) = &config.ready {
            ready.store.set_limit(pages);
        }
    }

    /// Returns the events of the disk. Any context; does not sleep.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Returns the marks. Any context; does not sleep.
    pub(crate) fn marks(&self) -> Marks {
        self.events.marks()
    }

    /// Sets the marks, which apply at once and after each reset.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the disk is being removed.
    pub(crate) fn set_marks(disk: &GenDisk<Self>, marks: Marks) -> Result {
        let device = disk.data();
        let config = device.config().write();
        device.events.set_marks(marks, || {
            Some(Files {
                memory: disk.file(c"mm_stat")?,
                device: disk.file(c"bd_stat")?,
                budget: disk.file(c"writeback_limit")?,
            })
        })?;
        if let Some(ready) = &config.ready {
            ready.store.apply_marks(true);
        }
        Ok(())
    }

    /// Returns the lock of the configuration. Any context; does not sleep.
    fn config(&self) -> &RwSemaphore<Config> {
        &self.config.0
    }

    /// Writes the path of the backing device to `buffer` and returns it, or `None` if the disk has
    /// no backing device.
    ///
    /// # Errors
    ///
    /// Those of [`BlockDevice::path`](crate::abstractions::block::bdev::BlockDevice::path).
    pub(crate) fn backing_path<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a CStr>> {
        let config = self.config().read();
        let Some(backing) = &config.backing else {
            return Ok(None);
        };
        backing.source.device().path(buffer).map(Some)
    }

    /// Opens a backing device and replaces the current one; keeps the current one on failure.
    ///
    /// An initialised disk without a backing device can get one, and then keeps it.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the disk is initialised and has a backing device.
    /// - `EINVAL`: the disk is initialised, and the device is a disk of this driver.
    /// - Those of [`Backing::open`] and [`Store::attach`].
    pub(crate) fn set_backing(disk: &GenDisk<Self>, path: &CStr) -> Result {
        let device = disk.data();
        let check = |config: &Config| {
            if config.ready.is_some() && config.backing.is_some() {
                pr_info!("Can't setup backing device for initialized device\n");
                return Err(EBUSY);
            }
            Ok(())
        };
        check(&device.config().read())?;
        // Without the lock: opening some files never returns.
        let backing = Backing::open(path, device.resources.queue.clone())?;
        let mut config = device.config().write();
        check(&config)?;
        if let Some(ready) = &config.ready {
            // It may be this disk. Two disks that back each other could never be reset.
            if disk.has_driver_of(backing.source.device()) {
                pr_err!("cannot use {path} as backing device: it is a zram device\n");
                return Err(EINVAL);
            }
            ready.store.attach(backing.clone())?;
        }
        config.backing = Some(backing);
        pr_info!("setup backing device {}\n", path);
        Ok(())
    }

    /// Returns whether compressed pages stay compressed on the backing device.
    pub(crate) fn compressed_writeback(&self) -> bool {
        self.config().read().compressed_writeback
    }

    /// Sets whether compressed pages stay compressed on the backing device.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the disk is initialised.
    pub(crate) fn set_compressed_writeback(&self, compressed: bool) -> Result {
        let mut config = self.config().write();
        if config.ready.is_some() {
            return Err(EBUSY);
        }
        config.compressed_writeback = compressed;
        Ok(())
    }

    /// Returns whether compressed pages share blocks of the backing device.
    pub(crate) fn packed_writeback(&self) -> bool {
        self.config().read().packed_writeback
    }

    /// Sets whether compressed pages share blocks of the backing device.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the disk is initialised.
    pub(crate) fn set_packed_writeback(&self, packed: bool) -> Result {
        let mut config = self.config().write();
        if config.ready.is_some() {
            return Err(EBUSY);
        }
        config.packed_writeback = packed;
        Ok(())
    }

    /// Returns the maximum number of writeback requests in flight. Any context; does not sleep.
    pub(crate) fn batch_size(&self) -> u32 {
        self.batch_size.load(Relaxed)
    }

    /// Sets the maximum number of writeback requests in flight. Any context; does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `requests` is 0.
    pub(crate) fn set_batch_size(&self, requests: u32) -> Result {
        if requests == 0 {
            return Err(EINVAL);
        }
        self.batch_size.store(requests, Relaxed);
        Ok(())
    }

    /// Writes back the pages that `select` returns for a disk of so many pages.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep, for long. Waits for other writeback and
    /// for recompression of the disk.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the disk is not initialised.
    /// - `ENODEV`: the disk has no backing device.
    /// - `ERESTARTSYS`: a signal interrupted the wait.
    /// - Those of `select` and [`writeback::run`].
    pub(crate) fn write_back(&self, select: impl FnOnce(usize) -> Result<Selection>) -> Result {
        let _guard = self.post_processing.lock_interruptible()?;
        // Take a reference: the configuration must not be locked during the writeback.
        let store = match &self.config().read().ready {
            Some(ready) => ready.store.clone(),
            None => return Err(EINVAL),
        };
        let backing = store.backing().ok_or(ENODEV)?;
        let selection = select(store.table.len())?;
        self.events.note_budget(self.budget.is_used_up());
        let result = turn::run(&store, turn::Kind::Writeback, || {
            writeback::run(&store, backing, &self.budget, self.batch_size(), &selection)
        });
        self.events.note_budget(self.budget.is_used_up());
        result
    }

    /// Recompresses pages.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep, for long. Waits for writeback and for
    /// other recompression of the disk.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the disk is not initialised, or has no such algorithm.
    /// - `ERESTARTSYS`: a signal interrupted the wait.
    /// - Those of [`recompress::run`].
    pub(crate) fn recompress(&self, request: &RecompressRequest) -> Result {
        let _guard = self.post_processing.lock_interruptible()?;
        let (store, priority) = {
            let config = self.config().read();
            let ready = config.ready.as_ref().ok_or(EINVAL)?;
            (ready.store.clone(), request.find(&config.algorithms)?)
        };
        turn::run(&store, turn::Kind::Recompress, || {
            recompress::run(&store, request, priority)
        })
    }

    /// Marks pages as idle: all, or those that were not accessed for `age` seconds.
    ///
    /// Succeeds and marks no page if the system has been up for less than `age` seconds.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep, for long. Waits for other marking of the
    /// disk's pages.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the disk is not initialised.
    /// - `ERESTARTSYS`: a signal interrupted the wait.
    /// - Those of [`idle::mark`].
    pub(crate) fn mark_idle(&self, age: Option<u32>) -> Result {
        let cutoff = match age {
            None => None,
            // Every access was after boot.
            Some(age) => match boottime_seconds().checked_sub(age) {
                None | Some(0) => return Ok(()),
                cutoff => cutoff,
            },
        };
        let _guard = lock_interruptible(&self.marking)?;
        // Take a reference: the configuration must not be locked during the marking.
        let store = match &self.config().read().ready {
            Some(ready) => ready.store.clone(),
            None => return Err(EINVAL),
        };
        idle::mark(&store, cutoff)
    }

    /// Packs the blocks of the backing device anew that are not full, where that frees blocks.
    ///
    /// # Context
    ///
    /// A system call, which returns the error. May sleep, for long. Waits for writeback and for
    /// recompression of the disk.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the disk is not initialised, or does not pack pages.
    /// - `ENODEV`: the disk has no backing device.
    /// - `ERESTARTSYS`: a signal interrupted the wait.
    /// - Those of [`writeback::compact::run`].
    pub(crate) fn compact_backing(&self) -> Result {
        let _guard = self.post_processing.lock_interruptible()?;
        // Take a reference: the configuration must not be locked during the compaction.
        let store = match &self.config().read().ready {
            Some(ready) => ready.store.clone(),
            None => return Err(EINVAL),
        };
        let backing = store.backing().ok_or(ENODEV)?;
        if !store.sharing().is_packed() {
            return Err(EINVAL);
        }
        let batch_size = self.batch_size();
        self.events.note_budget(self.budget.is_used_up());
        let result = turn::run(&store, turn::Kind::Compact, || {
            writeback::compact::run(&store, backing, &self.budget, batch_size, Gfp::KERNEL)
        });
        self.events.note_budget(self.budget.is_used_up());
        result
    }

    /// Returns the columns of `bd_stat`, in pages; zeroes for an uninitialised disk.
    pub(crate) fn bd_stat(&self) -> BdStat {
        let stat = |store: &Store| BdStat {
            blocks: store.blocks_in_use() as u64,
            reads: store.stats.bd_reads.get(),
            writes: store.stats.bd_writes.get(),
        };
        self.config.with_store(stat).unwrap_or_default()
    }

    /// Returns the columns of `bd_pack_stat`; zeroes for an uninitialised disk.
    pub(crate) fn bd_pack_stat(&self) -> BdPackStat {
        let stat = |store: &Store| BdPackStat {
            pages: store.stats.bd_count.get(),
            blocks: store.blocks_in_use() as u64,
            pack: store.sharing().stat(),
        };
        self.config.with_store(stat).unwrap_or_default()
    }

    /// Returns the columns of `mm_stat`.
    pub(crate) fn mm_stat(&self) -> MmStat {
        let config = self.config().read();
        let limit_pages = config.limit_pages as u64;
        let Some(Ready { store, .. }) = &config.ready else {
            return MmStat {
                limit_pages,
                ..MmStat::default()
            };
        };
        let stats = &store.stats;
        MmStat {
            pages_stored: stats.pages_stored.get(),
            stored_bytes: stats.stored_bytes.get(),
            used_pages: store.pool().pages() as u64,
            limit_pages,
            max_used_pages: stats.max_used_pages() as u64,
            same_pages: stats.same_pages.get(),
            pages_compacted: store.pool().pages_compacted(),
            huge_pages: stats.huge_pages.get(),
            huge_pages_since: stats.huge_pages_since.get(),
        }
    }
}
