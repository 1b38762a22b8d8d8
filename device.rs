// SPDX-License-Identifier: GPL-2.0

//! One disk: its life from being added to being removed, and the way of a bio into it.
//!
//! A disk is uninitialised until a size is set, and again after a reset. Its configuration is
//! changed while it is uninitialised, but for the limits.

use crate::{
    abstractions::{
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
        mutex::lock_interruptible,
        rwsem::RwSemaphore,
        sched::boottime_seconds,
        sysfs::AttributeGroups,
        workqueue::HighPriority, //
    },
    backing::Backing,
    comp::{
        Algorithm,
        AllStreams,
        CompConfig,
        HotplugState,
        ParamsUpdate,
        Priority, //
    },
    idle,
    recompress::{
        self,
        RecompressRequest, //
    },
    store::Store,
    writeback::{
        self,
        budget::Budget,
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

/// The unit in which a disk can be addressed, in bytes, with pages of any size.
const LOGICAL_BLOCK_SIZE: usize = if cfg!(zram_rs_small_blocks) {
    512
} else {
    4096
};

/// The data of a disk.
#[pin_data]
pub(crate) struct Device {
    /// The configuration, and the store of the disk while it is initialised.
    pub(crate) config: ConfigHandle,
    /// Held by the one who post-processes, who may have a reference to the pages as long.
    #[pin]
    post_processing: Mutex<()>,
    /// The same for the one who marks pages as idle.
    #[pin]
    marking: Mutex<()>,
    /// How much may be written back.
    #[pin]
    pub(crate) budget: Budget,
    batch_size: Atomic<u32>,
    shared: DriverResources,
}

/// The files of a disk.
pub(crate) type DiskAttributes = AttributeGroups<DiskAttribute<Device>>;

/// What all disks share.
#[derive(Clone)]
pub(crate) struct DriverResources {
    /// Calls for each CPU that comes and goes.
    pub(crate) hotplug: Arc<HotplugState>,
    /// Where pages that were read back are decompressed.
    pub(crate) queue: Arc<HighPriority>,
}

/// A reference to the configuration of a disk, which may outlive the disk.
#[derive(Clone)]
pub(crate) struct ConfigHandle(Arc<RwSemaphore<Config>>);

impl ConfigHandle {
    fn new() -> Result<Self> {
        let config = RwSemaphore::new(Config::default(), c"zram_rs config", static_lock_class!());
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

/// What is set for a disk.
#[derive(Default)]
struct Config {
    algorithms: CompConfig,
    limit_pages: usize,
    backing: Option<Arc<Backing>>,
    compressed_writeback: bool,
    ready: Option<Ready>,
}

/// What an initialised disk has.
struct Ready {
    size: u64,
    store: Arc<Store>,
}

/// The numbers of `mm_stat`; zero for an uninitialised disk, but for the limit.
#[derive(Default)]
pub(crate) struct MmStat {
    /// Store that have a content.
    pub(crate) pages_stored: u64,
    /// Bytes of compressed and incompressible pages.
    pub(crate) stored_bytes: u64,
    /// Store of memory in use.
    pub(crate) used_pages: u64,
    /// Store of memory that may be used; 0 for any number.
    pub(crate) limit_pages: u64,
    /// The largest number of pages of memory that were used.
    pub(crate) max_used_pages: u64,
    /// Store that consist of one word.
    pub(crate) same_pages: u64,
    /// Store of memory that compaction freed.
    pub(crate) pages_compacted: u64,
    /// Incompressible pages.
    pub(crate) huge_pages: u64,
    /// Incompressible pages since the disk was initialised.
    pub(crate) huge_pages_since: u64,
}

impl Operations for Device {
    type Ready = Store;
    type Module = crate::LocalModule;

    fn submit_bio(store: QueueEntered<'_, Store>, mut bio: Bio) {
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
        drop(self.end_post_processing());
    }
}

impl Device {
    /// Adds the disk `zram<id>`, uninitialised, to the system. Fails with `ENOMEM`, and with what
    /// [`DiskRegistration::new`] fails with. May sleep.
    pub(crate) fn add(
        id: u32,
        major: &Major,
        attributes: &DiskAttributes,
        shared: DriverResources,
    ) -> Result<DiskRegistration<Self>> {
        let limits = Limits {
            logical_block_size: LOGICAL_BLOCK_SIZE as u32,
            physical_block_size: PAGE_SIZE as u32,
            io_min: PAGE_SIZE as u32,
            io_opt: PAGE_SIZE as u32,
            max_discard_sectors: u32::MAX,
            // Parts of pages are not discarded, and would not read as zeroes.
            max_write_zeroes_sectors: if PAGE_SIZE == LOGICAL_BLOCK_SIZE {
                u32::MAX
            } else {
                0
            },
            stable_writes: true,
            synchronous: true,
        };
        let data = try_pin_init!(Self {
            config: ConfigHandle::new()?,
            post_processing <- new_mutex!((), "zram_rs post-processing"),
            marking <- new_mutex!((), "zram_rs marking"),
            budget <- Budget::new(),
            batch_size: Atomic::new(DEFAULT_BATCH_SIZE),
            shared,
        });
        DiskRegistration::new(fmt!("zram{id}"), major, id, limits, attributes, data)
    }

    /// Initialises the disk with a size in bytes, which is rounded up to whole pages.
    ///
    /// Fails with `EINVAL` if there can be no such size, `EBUSY` if the disk is initialised
    /// already, with what is wrong with the algorithms' parameters (`EINVAL`, `EOPNOTSUPP`), and
    /// `ENOMEM`. May sleep.
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

        let pool = Pool::new(disk.name())?;
        let streams = AllStreams::new(&config.algorithms, &device.shared.hotplug)?;
        let store = Store::new(
            count,
            pool,
            streams,
            config.limit_pages,
            config.backing.clone(),
            config.compressed_writeback,
        );
        let store = Arc::pin_init(store, GFP_KERNEL)?;
        disk.activate(store.clone(), size >> SECTOR_SHIFT)?;
        config.ready = Some(Ready { size, store });
        Ok(())
    }

    /// Makes the disk uninitialised: what was on it, and what was set for it, is gone, but for what
    /// concerns writeback in general.
    ///
    /// A writeback or recompression that is under way ends early. Fails with `EBUSY` if somebody
    /// has the disk open. May sleep.
    pub(crate) fn reset(disk: &GenDisk<Self>) -> Result {
        let claim = disk.claim()?;
        let device = disk.data();
        let _turn = device.end_post_processing();
        let mut config = device.config().write();
        drop(claim.deactivate());
        *config = Config {
            compressed_writeback: config.compressed_writeback,
            ..Config::default()
        };
        drop(config);
        Ok(())
    }

    /// Ends a writeback, recompression or marking of idle pages that is under way, and keeps others
    /// from beginning. May sleep.
    fn end_post_processing(&self) -> [MutexGuard<'_, ()>; 2] {
        self.config.with_store(Store::stop);
        [self.post_processing.lock(), self.marking.lock()]
    }

    /// Returns whether the disk is initialised. May sleep.
    pub(crate) fn is_initialised(&self) -> bool {
        self.config().read().ready.is_some()
    }

    /// Returns the size of the disk in bytes; 0 if it is uninitialised. May sleep.
    pub(crate) fn size(&self) -> u64 {
        self.config()
            .read()
            .ready
            .as_ref()
            .map_or(0, |ready| ready.size)
    }

    /// Returns the algorithm with a priority. May sleep.
    pub(crate) fn algorithm(&self, priority: Priority) -> Option<Algorithm> {
        self.config().read().algorithms.algorithm(priority)
    }

    /// Sets the algorithm with a priority, which loses its parameters.
    ///
    /// Fails with `EBUSY` if the disk is initialised. May sleep.
    pub(crate) fn set_algorithm(&self, priority: Priority, algorithm: Algorithm) -> Result {
        let mut config = self.config().write();
        if config.ready.is_some() {
            pr_info!("Can't change algorithm for initialized device\n");
            return Err(EBUSY);
        }
        config.algorithms.set_algorithm(priority, algorithm);
        Ok(())
    }

    /// Sets how an algorithm is to work.
    ///
    /// Fails with `EBUSY` if the disk is initialised, and with what [`CompConfig::set_params`] and
    /// [`ParamsUpdate::read_dictionary`] fail with. May sleep.
    pub(crate) fn set_params(&self, request: &ParamsUpdate) -> Result {
        let check = |config: &Config| {
            if config.ready.is_some() {
                pr_info!("Can't change algorithm parameters for initialized device\n");
                return Err(EBUSY);
            }
            config.algorithms.find_params(request)
        };
        check(&self.config().read())?;
        // Not with the lock: reading the file may need it, if the file is one of this disk's.
        let dictionary = request.read_dictionary()?;
        let mut config = self.config().write();
        check(&config)?;
        config.algorithms.set_params(request, dictionary)
    }

    /// Sets how much memory may be used, in bytes, rounded up to whole pages; 0 for any amount. May
    /// sleep.
    pub(crate) fn set_memory_limit(&self, bytes: u64) {
        // As in C, what is too large to be rounded up is no limit at all.
        let pages = bytes
            .checked_next_multiple_of(PAGE_SIZE as u64)
            .map_or(0, |bytes| (bytes >> PAGE_SHIFT) as usize);
        let mut config = self.config().write();
        config.limit_pages = pages;
        if let Some(ready) = &config.ready {
            ready.store.set_limit(pages);
        }
    }

    fn config(&self) -> &RwSemaphore<Config> {
        &self.config.0
    }

    /// Returns the path of the backing device's file, put together in `buffer`; `None` if there is
    /// no backing device. Fails with `ENAMETOOLONG` if there is no room for it. May sleep.
    pub(crate) fn backing_path<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a CStr>> {
        let config = self.config().read();
        let Some(backing) = &config.backing else {
            return Ok(None);
        };
        backing.source.device().path(buffer).map(Some)
    }

    /// Sets the backing device.
    ///
    /// Fails with `EBUSY` if the disk is initialised, and with what [`Backing::open`] fails with;
    /// then the backing device stays what it is. May sleep.
    pub(crate) fn set_backing(&self, path: &CStr) -> Result {
        let check = |config: &Config| {
            if config.ready.is_some() {
                pr_info!("Can't setup backing device for initialized device\n");
                return Err(EBUSY);
            }
            Ok(())
        };
        check(&self.config().read())?;
        // Not with the lock: the path can be one that takes for ever to be opened.
        let backing = Backing::open(path, self.shared.queue.clone())?;
        let mut config = self.config().write();
        check(&config)?;
        config.backing = Some(backing);
        pr_info!("setup backing device {}\n", path);
        Ok(())
    }

    /// Returns whether pages are written back as they are in memory. May sleep.
    pub(crate) fn compressed_writeback(&self) -> bool {
        self.config().read().compressed_writeback
    }

    /// Sets whether pages are written back as they are in memory.
    ///
    /// Fails with `EBUSY` if the disk is initialised. May sleep.
    pub(crate) fn set_compressed_writeback(&self, compressed: bool) -> Result {
        let mut config = self.config().write();
        if config.ready.is_some() {
            return Err(EBUSY);
        }
        config.compressed_writeback = compressed;
        Ok(())
    }

    /// Returns how many requests of a writeback are under way at most. Any context.
    pub(crate) fn batch_size(&self) -> u32 {
        self.batch_size.load(Relaxed)
    }

    /// Sets how many requests of a writeback are under way at most.
    ///
    /// Fails with `EINVAL` if there would be none. Any context.
    pub(crate) fn set_batch_size(&self, requests: u32) -> Result {
        if requests == 0 {
            return Err(EINVAL);
        }
        self.batch_size.store(requests, Relaxed);
        Ok(())
    }

    /// Writes pages back, as [`Selection::parse`] understands it.
    ///
    /// # Context
    ///
    /// That of a system call, which returns the error. May sleep, for long. Waits for its turn.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the disk is not initialised, `ENODEV` if it has no backing device, `ERESTARTSYS`
    /// if a signal arrives before its turn comes, and what [`Selection::parse`] and
    /// [`writeback::run`] fail with.
    pub(crate) fn write_back(&self, select: impl FnOnce(usize) -> Result<Selection>) -> Result {
        let _turn = lock_interruptible(&self.post_processing)?;
        // It may take long, and the disk's configuration is not locked meanwhile.
        let store = match &self.config().read().ready {
            Some(ready) => ready.store.clone(),
            None => return Err(EINVAL),
        };
        let backing = store.backing().ok_or(ENODEV)?;
        let selection = select(store.table.len())?;
        writeback::run(&store, backing, &self.budget, self.batch_size(), &selection)
    }

    /// Recompresses pages.
    ///
    /// # Context
    ///
    /// That of a system call, which returns the error. May sleep, for long. Waits for its turn.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the disk is not initialised, or has no such algorithm, `ERESTARTSYS` if a signal
    /// arrives before its turn comes, and what [`recompress::run`] fails with.
    pub(crate) fn recompress(&self, request: &RecompressRequest) -> Result {
        let _turn = lock_interruptible(&self.post_processing)?;
        let (store, priority) = {
            let config = self.config().read();
            let ready = config.ready.as_ref().ok_or(EINVAL)?;
            (ready.store.clone(), request.find(&config.algorithms)?)
        };
        recompress::run(&store, request, priority)
    }

    /// Marks pages as idle: all, or those that were not used for `age` seconds.
    ///
    /// If the system was not up for `age` seconds, nothing is done, and nothing is wrong.
    ///
    /// # Context
    ///
    /// That of a system call, which returns the error. May sleep, for long. Waits for its turn.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the disk is not initialised, `ERESTARTSYS` if a signal arrives before its turn
    /// comes, and what [`idle::mark`] fails with.
    pub(crate) fn mark_idle(&self, age: Option<u32>) -> Result {
        let cutoff = match age {
            None => None,
            // Nothing was unused for longer than since boot.
            Some(age) => match boottime_seconds().checked_sub(age) {
                None | Some(0) => return Ok(()),
                cutoff => cutoff,
            },
        };
        let _turn = lock_interruptible(&self.marking)?;
        // As with writeback: the disk's configuration is not locked meanwhile.
        let store = match &self.config().read().ready {
            Some(ready) => ready.store.clone(),
            None => return Err(EINVAL),
        };
        idle::mark(&store, cutoff)
    }

    /// Returns the numbers of `mm_stat`. May sleep.
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
