// SPDX-License-Identifier: GPL-2.0

//! File systems.

pub(crate) mod file;
