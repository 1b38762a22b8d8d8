// SPDX-License-Identifier: GPL-2.0

//! The list of disks; adds and removes disks for `/sys/class/zram-control`.

use crate::{
    abstractions::{
        block::{
            bdev::ReadSlab,
            gendisk::{
                DiskRegistration,
                Major, //
            },
        },
        helpers::Helpers,
        workqueue::HighPriority, //
    },
    backing::read::DeviceRead,
    comp, debugfs,
    device::{
        Defaults,
        Device,
        DiskAttributes,
        DriverResources, //
    },
    tiering::Workers,
};
use core::mem;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// All disks of the driver, and the resources that they share.
///
/// # Context
///
/// All methods may sleep.
#[pin_data]
pub(crate) struct Control {
    /// Not held while a disk is added or removed: the removal waits for tasks that use the disk's
    /// attributes, and such a task may be about to take this lock.
    #[pin]
    disks: Mutex<Disks>,
    // Dropped after the disks, which use these fields.
    debugfs: debugfs::Root,
    major: Major,
    attributes: DiskAttributes,
    shared: DriverResources,
    _reads: ReadSlab<DeviceRead>,
}

/// The disks by their ids.
struct Disks {
    /// The disk `zram<id>` is at index `id`.
    places: KVec<Place>,
    /// Whether [`Control::publish`] was called, so that disks have their files in debugfs.
    published: bool,
}

/// The state of an id.
enum Place {
    /// No disk has the id.
    Free,
    /// A task is adding or removing the disk, and owns the id meanwhile.
    Busy,
    /// A disk has the id.
    Taken(Entry),
}

/// A disk, and its directory in debugfs.
struct Entry {
    // Dropped before the disk.
    directory: Option<debugfs::Directory>,
    disk: DiskRegistration<Device>,
}

impl Entry {
    /// Creates the files of the disk in debugfs, if there is memory for them; may sleep.
    fn publish(&mut self, root: &debugfs::Root) {
        // A disk that could not be removed has kept its files.
        if self.directory.is_none() {
            let config = self.disk.data().config.clone();
            // Without memory for them, the disk works without files in debugfs.
            self.directory = debugfs::Directory::new(root, self.disk.name(), config).ok();
        }
    }
}

/// Maximum number of workers of each CPU for reads from backing devices; 0 for the default of
/// workqueues.
const READERS: c_int = if cfg!(zram_rs_small_blocks) { 1 } else { 0 };

impl Control {
    /// Acquires the driver's system-wide resources, for disks with these attributes and settings.
    ///
    /// # Errors
    ///
    /// `EBUSY`, with a line in the log, if another zram driver has them; `ENOMEM`.
    pub(crate) fn new(attributes: DiskAttributes, defaults: Defaults) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            disks <- new_mutex!(Disks { places: KVec::new(), published: false }, "zram_rs disks"),
            shared: {
                let hotplug = comp::hotplug_state().inspect_err(|&error| {
                    if error == EBUSY {
                        pr_err!("another zram driver is loaded; unload it first ('rmmod zram')\n");
                    }
                })?;
                DriverResources {
                    hotplug: Arc::new(hotplug, GFP_KERNEL)?,
                    helpers: Arc::new(Helpers::new(c"zram_rs_helpers")?, GFP_KERNEL)?,
                    queue: Arc::new(HighPriority::new(c"zram_rs", READERS)?, GFP_KERNEL)?,
                    workers: Arc::pin_init(Workers::new(), GFP_KERNEL)?,
                    defaults,
                }
            },
            major: Major::new(c"zram")
                .inspect_err(|_| pr_err!("cannot get a major number for block devices\n"))?,
            attributes,
            _reads: ReadSlab::new()?,
            // After the CPU hotplug state: another zram driver has a directory of the same name.
            debugfs: debugfs::Root::new(),
        })
    }

    /// Creates the files of all disks in debugfs, and from now on those of each new disk.
    ///
    /// The module's init must not fail after that. An open file of debugfs keeps a module from
    /// being unloaded, but not from being freed when its init fails.
    ///
    /// # Context
    ///
    /// The last step of the module's init.
    pub(crate) fn publish(&self) {
        let mut disks = self.disks.lock();
        disks.published = true;
        // `put` creates the files of disks that are being added now.
        for place in &mut disks.places {
            if let Place::Taken(entry) = place {
                entry.publish(&self.debugfs);
            }
        }
    }

    /// Adds a disk and returns its id, the lowest free one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or another error of adding a disk, with a line in the log.
    pub(crate) fn add(&self) -> Result<u32> {
        let id = self.reserve()?;
        let (place, result) = match self.make(id) {
            Ok(entry) => (Place::Taken(entry), Ok(id)),
            Err(error) => (Place::Free, Err(error)),
        };
        self.put(id, place);
        match result {
            Ok(_) => pr_info!("Added device: zram{id}\n"),
            Err(ENOMEM) => pr_err!("cannot add device zram{id}: no memory\n"),
            Err(EEXIST | EBUSY) => pr_err!("cannot add device zram{id}: the name is in use\n"),
            Err(error) => pr_err!("cannot add device zram{id}: {error:?}\n"),
        }
        result
    }

    /// Removes a disk.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no such disk; `EBUSY` if another task is adding or removing it; and
    /// those of [`DiskRegistration::retire`].
    pub(crate) fn remove(&self, id: u32) -> Result {
        let entry = self.take(id)?;
        if let Err(error) = entry.disk.retire() {
            self.put(id, Place::Taken(entry));
            return Err(error);
        }
        drop(entry);
        self.put(id, Place::Free);
        pr_info!("Removed device: zram{id}\n");
        Ok(())
    }

    /// Reserves the lowest free id and returns it.
    fn reserve(&self) -> Result<u32> {
        let places = &mut self.disks.lock().places;
        let free = |place: &Place| matches!(place, Place::Free);
        let id = match places.iter().position(free) {
            Some(id) => id,
            None => {
                places.push(Place::Free, GFP_KERNEL)?;
                places.len() - 1
            }
        };
        if let Some(place) = places.get_mut(id) {
            *place = Place::Busy;
        }
        Ok(id as u32)
    }

    /// Takes a disk out of the list, and reserves its id.
    fn take(&self, id: u32) -> Result<Entry> {
        let mut disks = self.disks.lock();
        let place = disks.places.get_mut(id as usize).ok_or(ENODEV)?;
        match mem::replace(place, Place::Busy) {
            Place::Taken(entry) => Ok(entry),
            Place::Busy => Err(EBUSY),
            Place::Free => {
                *place = Place::Free;
                Err(ENODEV)
            }
        }
    }

    /// Sets the state of a reserved id.
    fn put(&self, id: u32, mut what: Place) {
        let mut disks = self.disks.lock();
        // Before `publish`, which then finds the disk in the list, or after it.
        if let (true, Place::Taken(entry)) = (disks.published, &mut what) {
            entry.publish(&self.debugfs);
        }
        if let Some(place) = disks.places.get_mut(id as usize) {
            *place = what;
        }
    }

    /// Makes a disk.
    fn make(&self, id: u32) -> Result<Entry> {
        Ok(Entry {
            directory: None,
            disk: Device::add(id, &self.major, &self.attributes, self.shared.clone())?,
        })
    }
}
