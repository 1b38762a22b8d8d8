// SPDX-License-Identifier: GPL-2.0

//! Objects that exist once per CPU.
//!
//! Access to such an object does not disable preemption or migration. Each object must therefore
//! synchronise its users itself, by a lock or atomics. This costs little, as there is hardly any
//! contention.

use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*,
};

/// An object with cache lines of its own.
#[repr(align(64))]
#[pin_data]
struct Padded<T> {
    #[pin]
    object: T,
}

/// One object for each possible CPU.
///
/// # Invariants
///
/// There are `nr_cpu_ids()` objects.
///
/// # Context
///
/// Any context, except for [`new`](Self::new).
///
/// # Examples
///
/// ```
/// use crate::abstractions::cpu::percpu::PerCpu;
/// use kernel::new_mutex;
///
/// let counts = PerCpu::new(|| new_mutex!(0))?;
/// *counts.current().lock() += 1;
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct PerCpu<T> {
    // With very many CPUs, this is too large for a physically contiguous allocation.
    objects: Pin<KVBox<[Padded<T>]>>,
}

impl<T> PerCpu<T> {
    /// Creates the objects by calling `init` once for each CPU.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory.
    pub(crate) fn new<I: PinInit<T>>(mut init: impl FnMut() -> I) -> Result<Self> {
        // INVARIANT: The slice has `nr_cpu_ids()` objects. This number does not change after the
        // first module or initcall runs.
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

    /// Returns the object of a CPU.
    #[inline]
    pub(crate) fn get(&self, cpu: CpuId) -> &T {
        // SAFETY: A `CpuId` is less than `nr_cpu_ids()`, which by the type invariants is the number
        // of objects.
        unsafe { &self.objects.get_unchecked(cpu.as_u32() as usize).object }
    }

    /// Returns the object of the current CPU, from which the task may migrate at any time.
    #[inline]
    pub(crate) fn current(&self) -> &T {
        self.get(CpuId::current())
    }
}
