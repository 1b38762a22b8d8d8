// SPDX-License-Identifier: GPL-2.0

//! Abstractions that the `kernel` crate lacks.
//!
//! Each file is written in the style of `rust/kernel/`, in the directory that it would have there,
//! and could go upstream by itself: no file uses the policy of zram. Only [`parameter`], whose
//! parameter is that of zram, [`tracepoint`], whose events are, and
//! [`cpu::cpuhp::PrepareState::Zcomp`], which the kernel reserves for zram, would stay with the
//! driver. All of the driver's `unsafe` code is here, in [`bindings`](crate::bindings), and in the
//! thin wrappers [`zspool`](crate::zspool) and [`comp`](crate::comp).

pub(crate) mod alloc;
pub(crate) mod block;
#[cfg(zram_rs_compat)]
pub(crate) mod compat;
pub(crate) mod cpu;
pub(crate) mod debugfs;
pub(crate) mod device;
pub(crate) mod fs;
pub(crate) mod helpers;
pub(crate) mod kunit;
pub(crate) mod page;
pub(crate) mod parameter;
pub(crate) mod parse;
pub(crate) mod ratelimit;
pub(crate) mod repeated_work;
pub(crate) mod sched;
pub(crate) mod sync;
pub(crate) mod tracepoint;
pub(crate) mod workqueue;
