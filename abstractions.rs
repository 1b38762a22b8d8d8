// SPDX-License-Identifier: GPL-2.0

//! Abstractions that the `kernel` crate lacks.
//!
//! Each file is written in the style of `rust/kernel/` and could go upstream by itself: no file
//! uses the policy of zram. Only [`parameter`], whose parameter is that of zram, and
//! [`cpuhp::PrepareState`], whose only state the kernel reserves for zram, would stay with the
//! driver. All of the driver's `unsafe` code is here, in [`bindings`](crate::bindings), and in the
//! thin wrappers [`zspool`](crate::zspool) and [`comp`](crate::comp).

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
