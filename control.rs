// SPDX-License-Identifier: GPL-2.0

//! The disks that there are: `/sys/class/zram-control`.

use crate::{
    abstractions::{
        bdev::ReadSlab,
        gendisk::{
            DiskRegistration,
            Major, //
        },
        workqueue::HighPriority, //
    },
    backing::read::DeviceRead, //
    comp,
    debugfs,
    device::{
        Device,
        DiskAttributes,
        DriverResources, //
    },
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

/// All disks, and what they share.
#[pin_data]
pub(crate) struct Control {
    /// Not held while a disk is added or removed, which waits for those who use the disk's files,
    /// and they may come here.
    #[pin]
    disks: Mutex<Disks>,
    // After the disks, which use both.
    debugfs: debugfs::Root,
    major: Major,
    attributes: DiskAttributes,
    shared: DriverResources,
    _reads: ReadSlab<DeviceRead>,
}

/// The disks by their numbers.
struct Disks {
    /// The disk `zram<id>` is at index `id`.
    places: KVec<Place>,
    /// Whether the module stays, so that disks have their files in debugfs.
    published: bool,
}

/// What there is of a disk.
enum Place {
    /// Nothing.
    Free,
    /// It is being added or removed by somebody, to whom the number belongs meanwhile.
    Busy,
    /// A disk.
    Taken(Entry),
}

/// A disk, and what can be seen of it.
struct Entry {
    // Before the disk: it goes first.
    directory: Option<debugfs::Directory>,
    disk: DiskRegistration<Device>,
}

impl Entry {
    /// Makes the files of the disk in debugfs, if there is memory for them. May sleep.
    fn publish(&mut self, root: &debugfs::Root) {
        // Without memory for it there is nothing to be seen, and a disk all the same.
        self.directory =
            debugfs::Directory::new(root, self.disk.name(), self.disk.data().config.clone()).ok();
    }
}

/// How many workers of each CPU take care of pages that were read back; 0 for as many as the kernel
/// thinks right.
const READERS: c_int = if cfg!(zram_rs_small_blocks) { 1 } else { 0 };

impl Control {
    /// Takes what there is one of in the system, for disks with these files. May sleep.
    ///
    /// Fails with `EBUSY`, and a line in the log, if another driver for zram has it.
    pub(crate) fn new(attributes: DiskAttributes) -> impl PinInit<Self, Error> {
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
                    queue: Arc::new(HighPriority::new(c"zram_rs", READERS)?, GFP_KERNEL)?,
                }
            },
            major: Major::new(c"zram")
                .inspect_err(|_| pr_err!("cannot get a major number for block devices\n"))?,
            attributes,
            _reads: ReadSlab::new()?,
            // When it is clear that there is no other driver, whose directory has this name, too.
            debugfs: debugfs::Root::new(),
        })
    }

    /// Gives the disks their files in debugfs: those that there are at once, others when they are
    /// added.
    ///
    /// The module must not go away by itself after that. An open file of debugfs keeps a module
    /// from being unloaded, but not from being freed when its init fails.
    ///
    /// # Context
    ///
    /// May sleep. The last step of the module's init.
    pub(crate) fn publish(&self) {
        let mut disks = self.disks.lock();
        disks.published = true;
        // Those that are just being added get theirs by `put`.
        for place in &mut disks.places {
            if let Place::Taken(entry) = place {
                entry.publish(&self.debugfs);
            }
        }
    }

    /// Adds a disk and returns its id, which is the lowest that is free. May sleep.
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
    /// Fails with `ENODEV` if there is no such disk, with `EBUSY` if somebody has it open, or is
    /// just adding or removing it. May sleep.
    pub(crate) fn remove(&self, id: u32) -> Result {
        let entry = self.take(id)?;
        drop(entry);
        self.put(id, Place::Free);
        pr_info!("Removed device: zram{id}\n");
        Ok(())
    }

    /// Makes the lowest place that is free busy, and returns its number. May sleep.
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

    /// Takes a disk that nobody has open, for its removal, and makes its place busy. May sleep.
    fn take(&self, id: u32) -> Result<Entry> {
        let mut disks = self.disks.lock();
        let place = disks.places.get_mut(id as usize).ok_or(ENODEV)?;
        match place {
            Place::Free => return Err(ENODEV),
            Place::Busy => return Err(EBUSY),
            Place::Taken(entry) => entry.disk.retire()?,
        }
        match mem::replace(place, Place::Busy) {
            Place::Taken(entry) => Ok(entry),
            _ => Err(ENODEV),
        }
    }

    /// Says what there is from now on at a place that was busy. May sleep.
    fn put(&self, id: u32, mut what: Place) {
        let mut disks = self.disks.lock();
        // Either this is before `publish`, which finds the disk at its place, or after it.
        if let (true, Place::Taken(entry)) = (disks.published, &mut what) {
            entry.publish(&self.debugfs);
        }
        if let Some(place) = disks.places.get_mut(id as usize) {
            *place = what;
        }
    }

    /// Makes a disk. May sleep.
    fn make(&self, id: u32) -> Result<Entry> {
        Ok(Entry {
            directory: None,
            disk: Device::add(id, &self.major, &self.attributes, self.shared.clone())?,
        })
    }
}
