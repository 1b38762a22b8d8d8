// SPDX-License-Identifier: GPL-2.0

//! CPUs: hotplug, and an object for each.

pub(crate) mod cpuhp;
pub(crate) mod percpu;
