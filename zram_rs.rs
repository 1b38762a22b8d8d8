// SPDX-License-Identifier: GPL-2.0

//! zram_rs: the compressed RAM block device of Linux, in Rust.
//!
//! A disk `/dev/zram<id>` keeps what is written to it compressed in memory. It is used for swap,
//! and for file systems of things that are not meant to last.
//!
//! # The rooms of this crate
//!
//! Each uses what is below it in this list, and none what is above; but a read that [`io`] has
//! begun is finished by [`readback`], and [`device`] and [`control`] name the tables of their
//! files.
//!
//! - [`sysfs`], [`debugfs`]: the files by which users set and see things
//! - [`control`]: the disks that there are, adding and removing them
//! - [`device`]: one disk, its life, and the way of a bio into it
//! - [`writeback`]: moving pages to the backing device, many at a time
//! - [`recompress`]: compressing pages once more, with other algorithms
//! - [`select`]: which slots to post-process, and in which order
//! - [`io`]: reading, writing and discarding one page
//! - [`readback`]: answering reads of pages that are on the backing device
//! - [`stats`]: what is counted
//! - [`slot`]: what is known of each page: the slot table
//! - [`backing`]: the backing device and its blocks
//! - [`zspool`]: compressed objects in memory
//! - [`comp`]: the algorithms, and a compression stream for each CPU
//!
//! Beneath them is [`abstractions`]: what the `kernel` crate lacks. That, and the thin edges
//! `zspool` and `comp`, is where `unsafe` code is.
//!
//! # Locks, in their order
//!
//! 1. `Control::disks`: the list of disks
//! 2. `Device::post_processing`: whose turn it is to write back or recompress; `Device::marking`:
//!    whose turn it is to mark pages as idle
//! 3. `Device::config`: what is set for a disk
//! 4. the `open_mutex` of a disk: claims take it for a moment, with none of our locks beneath; the
//!    block layer does I/O with it
//! 5. the lock of a slot
//! 6. a compression stream
//! 7. `Blocks::cursor`, `Budget::limit`, zsmalloc's own
//!
//! Why, and what else there is to know of contexts, is in `Documentation/soundness.rst`.

mod abstractions;
mod backing;
mod bindings;
mod comp;
mod control;
mod debugfs;
mod device;
mod io;
mod readback;
mod recompress;
mod select;
mod slot;
mod stats;
mod sysfs;
mod writeback;
mod zspool;

use abstractions::{
    class::Class,
    sysfs::AttributeGroups, //
};
use control::Control;
use kernel::prelude::*;

#[cfg(not(CONFIG_64BIT))]
compile_error!("a slot has no room for its bits in 32-bit words");

module! {
    type: ZramModule,
    name: "zram_rs",
    authors: ["The zram_rs developers"],
    description: "Compressed RAM block device",
    license: "GPL",
}

struct ZramModule {
    _control: Pin<KBox<Class<Control>>>,
}

impl kernel::Module for ZramModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let class = Class::new(
            c"zram-control",
            AttributeGroups::new::<sysfs::ControlDirectory>(),
            Control::new(AttributeGroups::new::<sysfs::DiskDirectory>()),
        );
        let control = KBox::try_pin_init(class, GFP_KERNEL).inspect_err(|&error| {
            if error == EEXIST {
                pr_err!("the class 'zram-control' is taken; unload the driver that has it\n");
            }
        })?;
        for _ in 0..abstractions::parameter::num_devices() {
            control.add()?;
        }
        // Nothing can fail any more.
        control.publish();
        Ok(Self { _control: control })
    }
}
