// SPDX-License-Identifier: GPL-2.0

//! zram_rs: the compressed RAM block device of Linux, in Rust.
//!
//! A disk `/dev/zram<id>` keeps the pages that are written to it in memory, compressed. It is used
//! for swap, and for file systems with temporary data.
//!
//! # Modules
//!
//! A module uses only modules below it in this list; `tools/test layers` checks that.
//!
//! - [`sysfs`]: attributes of disks and of the class, and parsing what users write to them
//! - [`control`]: the list of disks; adds and removes disks
//! - [`debugfs`]: `block_state`, a line for each page of a disk
//! - [`report`]: the file `stats`, and counting the pages of a disk for it
//! - [`device`]: one disk: its life, its configuration, and its bios
//! - [`tiering`]: recompresses and writes back pages that were not used for long
//! - [`writeback`]: writes pages to the backing device, with many bios in flight
//! - [`recompress`]: compresses pages once more, with other algorithms
//! - [`idle`]: marks pages as idle
//! - [`turn`]: what post-processing does from its beginning to its end
//! - [`readback`]: completes reads of pages from the backing device
//! - [`io`]: reads and writes pages
//! - [`gather`]: makes the pages of a bio that are on the backing device few requests
//! - [`freeing`]: frees pages: discards, resets, and what swap does not need any more
//! - [`spread`]: shares the pages of a large bio with helpers on idle CPUs
//! - [`store`]: the data of an initialised disk
//! - [`select`]: selects slots for writeback and recompression
//! - [`stats`]: the counters of a disk
//! - [`gauges`]: compare what a disk uses with its limit and its marks
//! - [`events`]: what a disk tells those who watch it
//! - [`marks`]: what users ask to be told of
//! - [`slot`]: the slot table: the state of each page
//! - [`backing`]: the backing device, its blocks, and reads in flight
//! - [`latency`]: how long requests to the backing device take
//! - [`zspool`]: compressed objects in memory
//! - [`comp`]: compression algorithms, and a compression stream for each CPU
//! - [`abstractions`]: what the `kernel` crate lacks
//! - [`bindings`]: C functions that `kernel::bindings` lacks
//!
//! `unsafe` code is only in the last two and in the thin edges `zspool` and `comp`; the compiler
//! denies it elsewhere.
//!
//! # Lock order
//!
//! 1. `Control::disks`: the list of disks
//! 2. `Tiering::state`, then `Worker::state` or `Workers::queue`: the settings and the worker of
//!    tiering
//! 3. `PostProcessing`: serialises writeback and recompression of a disk;
//!    `Device::marking`: serialises the marking of idle pages
//! 4. `Device::config`: the configuration of a disk
//! 5. `open_mutex` of a disk: a claim takes it for moments and no other lock of the driver with it;
//!    an opener may wait with it for the end of a claim; the block layer does I/O with it
//! 6. the lock of a slot
//! 7. a compression stream
//! 8. `Blocks::cursor`, `Budget::limit`, the settings and the statistics of a worker, locks of
//!    zsmalloc
//!
//! `Documentation/soundness.rst` gives the reasons, and the contexts of all functions.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod abstractions;
mod backing;
#[allow(unsafe_code)]
mod bindings;
#[allow(unsafe_code)]
mod comp;
mod control;
mod debugfs;
mod device;
mod events;
mod freeing;
mod gather;
mod gauges;
mod idle;
mod io;
mod latency;
mod marks;
mod readback;
mod recompress;
mod report;
mod select;
mod slot;
mod spread;
mod stats;
mod store;
mod sysfs;
mod tiering;
mod turn;
mod writeback;
#[allow(unsafe_code)]
mod zspool;

/// The examples in the documentation of all modules, as tests.
#[cfg(zram_rs_examples)]
mod examples {
    include!(concat!(env!("ZRAM_RS_OBJ"), "/examples_generated.rs"));
}

use abstractions::{
    device::{
        class::Class,
        sysfs::AttributeGroups, //
    },
    parameter, //
};
use control::Control;
use device::Defaults;
use kernel::prelude::*;
use tiering::settings::{
    AutoRecompress,
    AutoWriteback, //
};
use writeback::period::Rate;

#[cfg(not(CONFIG_64BIT))]
compile_error!("zram_rs needs a 64-bit kernel: a slot has no room for its bits in 32-bit words");

#[cfg(CONFIG_CPU_BIG_ENDIAN)]
compile_error!("zram_rs does not support big-endian kernels: none has Rust to test it with");

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
        let defaults = Defaults {
            auto_writeback: AutoWriteback::parse(parameter::auto_writeback())?,
            auto_recompress: AutoRecompress::parse(parameter::auto_recompress())?,
            writeback_budget: Rate::parse(parameter::writeback_budget())?,
            compressed_writeback: parameter::compressed_writeback(),
            packed_writeback: parameter::packed_writeback(),
        };
        let class = Class::new(
            c"zram-control",
            AttributeGroups::new::<sysfs::ControlDirectory>(),
            Control::new(AttributeGroups::new::<sysfs::DiskDirectory>(), defaults),
        );
        let control = KBox::try_pin_init(class, GFP_KERNEL).inspect_err(|&error| {
            if error == EEXIST {
                pr_err!("the class 'zram-control' is taken; unload the driver that has it\n");
            }
        })?;
        for _ in 0..parameter::num_devices() {
            control.add()?;
        }
        // Nothing can fail any more.
        control.publish();
        Ok(Self { _control: control })
    }
}
