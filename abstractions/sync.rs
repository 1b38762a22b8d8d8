// SPDX-License-Identifier: GPL-2.0

//! Locks and counts.

pub(crate) mod bit_lock;
pub(crate) mod mutex;
pub(crate) mod refcounts;
pub(crate) mod rwsem;
