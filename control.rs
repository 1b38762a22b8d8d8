// SPDX-License-Identifier: GPL-2.0

//! The disks that there are: `/sys/class/zram-control`.

use crate::{
    abstractions::{
        bdev::ReadSlab,
        class::{
            ClassAttribute,
            ClassData, //
        },
        gendisk::{
            Disk,
            Major, //
        },
        workqueue::HighPriority, //
    },
    comp,
    debugfs,
    device::{
        Device,
        Shared, //
    },
    readback::Read,
    sysfs, //
};
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
    /// The disk `zram<id>` is at index `id`.
    #[pin]
    disks: Mutex<KVec<Option<Entry>>>,
    // After the disks, which use both.
    debugfs: debugfs::Root,
    major: Major,
    shared: Shared,
    _reads: ReadSlab<Read>,
}

/// A disk, and what can be seen of it.
struct Entry {
    // Before the disk: it goes first.
    _directory: Option<debugfs::Directory>,
    disk: Disk<Device>,
}

impl ClassData for Control {
    const NAME: &'static CStr = c"zram-control";
    const ATTRIBUTES: &'static [ClassAttribute<Self>] = sysfs::CONTROL_ATTRIBUTES;
}

impl Control {
    /// Takes what there is one of in the system. May sleep.
    ///
    /// Fails with `EBUSY`, and a line in the log, if another driver for zram has it.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            disks <- new_mutex!(KVec::new(), "zram_rs disks"),
            shared: {
                let hotplug = comp::hotplug_state().inspect_err(|&error| {
                    if error == EBUSY {
                        pr_err!("another zram driver is loaded; unload it first ('rmmod zram')\n");
                    }
                })?;
                Shared {
                    hotplug: Arc::new(hotplug, GFP_KERNEL)?,
                    queue: Arc::new(HighPriority::new(c"zram_rs")?, GFP_KERNEL)?,
                }
            },
            major: Major::new(c"zram")
                .inspect_err(|_| pr_err!("cannot get a major number for block devices\n"))?,
            _reads: ReadSlab::new()?,
            // When it is clear that there is no other driver, whose directory has this name, too.
            debugfs: debugfs::Root::new(),
        })
    }

    /// Adds a disk and returns its id, which is the lowest that is free. May sleep.
    pub(crate) fn add(&self) -> Result<u32> {
        let mut disks = self.disks.lock();
        let id = match disks.iter().position(Option::is_none) {
            Some(id) => id,
            None => {
                disks.push(None, GFP_KERNEL)?;
                disks.len() - 1
            }
        };
        let disk =
            Device::add(id as u32, &self.major, self.shared.clone()).inspect_err(|error| {
                pr_err!("cannot add device zram{id} ({error:?}); is the name in use?\n")
            })?;
        // Without memory for it there is nothing to be seen, and a disk all the same.
        let directory =
            debugfs::Directory::new(&self.debugfs, disk.name(), disk.data().pages.clone()).ok();
        if let Some(place) = disks.get_mut(id) {
            *place = Some(Entry {
                _directory: directory,
                disk,
            });
        }
        pr_info!("Added device: zram{id}\n");
        Ok(id as u32)
    }

    /// Removes a disk.
    ///
    /// Fails with `ENODEV` if there is no such disk, with `EBUSY` if somebody has it open. May
    /// sleep.
    pub(crate) fn remove(&self, id: u32) -> Result {
        let mut disks = self.disks.lock();
        let place = disks.get_mut(id as usize).ok_or(ENODEV)?;
        place.as_ref().ok_or(ENODEV)?.disk.retire()?;
        drop(place.take());
        pr_info!("Removed device: zram{id}\n");
        Ok(())
    }
}
