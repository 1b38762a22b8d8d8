// SPDX-License-Identifier: GPL-2.0

//! One object for each CPU.
//!
//! The objects are meant to be locked or atomic: nothing here keeps a thread on its CPU, and with a
//! lock that nobody else wants, being on the wrong CPU costs little.

use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*,
};

/// Keeps the objects of different CPUs out of each other's cache lines.
#[repr(align(64))]
#[pin_data]
struct Padded<T> {
    #[pin]
    object: T,
}

/// An object for each CPU that the machine can have.
///
/// # Invariants
///
/// There are `nr_cpu_ids()` objects.
pub(crate) struct PerCpu<T> {
    // Machines with very many CPUs need more than there may be in one piece.
    objects: Pin<KVBox<[Padded<T>]>>,
}

impl<T> PerCpu<T> {
    /// Makes the objects. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new<I: PinInit<T>>(mut init: impl FnMut() -> I) -> Result<Self> {
        // `nr_cpu_ids` is settled before the first module or initcall runs.
        // INVARIANT: As many objects as there are possible ids.
        Ok(Self {
            objects: KVBox::pin_slice::<_, _, Error>(
                |_| {
                    let object = init();
                    try_pin_init!(Padded { object <- object })
                },
                nr_cpu_ids() as usize,
                GFP_KERNEL,
            )?,
        })
    }

    /// Returns the object of a CPU. Any context.
    #[inline]
    pub(crate) fn get(&self, cpu: CpuId) -> &T {
        // SAFETY: A `CpuId` is less than `nr_cpu_ids()`, which by the type invariants is the number
        // of objects.
        unsafe { &self.objects.get_unchecked(cpu.as_u32() as usize).object }
    }

    /// Returns the object of the CPU that this runs on, or ran on a moment ago. Any context.
    #[inline]
    pub(crate) fn current(&self) -> &T {
        self.get(CpuId::current())
    }
}
