// SPDX-License-Identifier: GPL-2.0

//! What the `kernel` crate lacks.
//!
//! Each file is written the way `rust/kernel/` is written, knows nothing of zram, and could be sent
//! upstream by itself. All of the driver's `unsafe` code is here and in the two thin edges
//! [`zspool`](crate::zspool) and [`comp`](crate::comp).

pub(crate) mod alloc;
pub(crate) mod bdev;
pub(crate) mod bio;
pub(crate) mod bit_lock;
pub(crate) mod class;
pub(crate) mod cpuhp;
pub(crate) mod debugfs;
pub(crate) mod file;
pub(crate) mod gendisk;
pub(crate) mod mutex;
pub(crate) mod page;
pub(crate) mod parameter;
pub(crate) mod parse;
pub(crate) mod percpu;
pub(crate) mod ratelimit;
pub(crate) mod refcounts;
pub(crate) mod rwsem;
pub(crate) mod sched;
pub(crate) mod sysfs;
pub(crate) mod table;
pub(crate) mod workqueue;
