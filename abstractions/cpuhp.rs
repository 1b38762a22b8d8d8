// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug, for objects that keep something for each CPU that is online.
//!
//! C header: [`include/linux/cpuhotplug.h`](srctree/include/linux/cpuhotplug.h)

use core::marker::PhantomData;
use kernel::{
    bindings::cpuhp_state,
    container_of,
    cpu::CpuId,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::Arc,
    types::Opaque,
};

/// An object that wants to know which CPUs are online.
pub(crate) trait Instance: Send + Sync + 'static {
    /// Called for each CPU before it comes online, and for those that are online already when the
    /// object is registered. May sleep; runs on any CPU.
    fn prepare(&self, cpu: CpuId) -> Result;

    /// Called for each CPU after it went offline, and for those that are online when the object's
    /// registration ends. May sleep; runs on any other CPU, or on the CPU itself in the latter
    /// case.
    fn dead(&self, cpu: CpuId);
}

/// The states that can be taken: some of the `PREPARE` section, whose callbacks run while the CPU
/// is down, may sleep, and may fail. Those of other sections run on the CPU itself, some of them
/// with interrupts disabled.
#[repr(i32)]
pub(crate) enum PrepareState {
    /// For the working memory of zram's compressors.
    Zcomp = kernel::bindings::cpuhp_state_CPUHP_ZCOMP_PREPARE,
}

/// A state in the life of a CPU, at which instances of `T` are called.
///
/// # Invariants
///
/// `state` is a [`PrepareState`], whose callbacks are this type's as long as the object lives.
pub(crate) struct State<T: Instance> {
    state: cpuhp_state,
    _instances: PhantomData<fn(T)>,
}

impl<T: Instance> State<T> {
    /// Takes a state of which there is one in the system, and calls it `name`.
    ///
    /// Fails with `EBUSY` if somebody else has it. May sleep.
    pub(crate) fn new(state: PrepareState, name: &'static CStr) -> Result<Self> {
        /// The type that `__cpuhp_setup_state` is declared to take, for all kinds of callbacks.
        type Callback = unsafe extern "C" fn(c_uint) -> c_int;
        /// The type that the callbacks of a state with instances really have.
        type InstanceCallback =
            unsafe extern "C" fn(c_uint, *mut kernel::bindings::hlist_node) -> c_int;

        let state = state as cpuhp_state;
        // SAFETY: Pointers to functions. The state is set up as one with instances, so they are
        // turned back into their real type before they are called; so does
        // `cpuhp_setup_state_multi`.
        let (prepare, dead) = unsafe {
            (
                core::mem::transmute::<InstanceCallback, Callback>(Self::prepare),
                core::mem::transmute::<InstanceCallback, Callback>(Self::dead),
            )
        };
        // SAFETY: The name and the callbacks are valid as long as the module is, and `drop` removes
        // them. They may do what callbacks of a `PrepareState` may.
        to_result(unsafe {
            kernel::bindings::__cpuhp_setup_state(
                state,
                name.as_char_ptr(),
                false,
                Some(prepare),
                Some(dead),
                true,
            )
        })?;
        // INVARIANT: The state is ours now.
        Ok(Self {
            state,
            _instances: PhantomData,
        })
    }

    /// Registers an object, after it was called for each CPU that is online.
    ///
    /// Fails with what making the object or [`Instance::prepare`] fails with, and with `ENOMEM`.
    /// May sleep.
    pub(crate) fn register<E>(self: &Arc<Self>, init: impl PinInit<T, E>) -> Result<Registered<T>>
    where
        Error: From<E>,
    {
        let node = KBox::try_pin_init(
            try_pin_init!(Node {
                node <- Opaque::zeroed(),
                instance <- init,
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: By the type invariants the callbacks expect the node of a `Node<T>`, which is
        // pinned, and leaves the list before it is freed. When this fails it is not on the list.
        to_result(unsafe {
            kernel::bindings::__cpuhp_state_add_instance(self.state, node.node.get(), true)
        })?;
        // INVARIANT: Just added.
        Ok(Registered {
            node,
            state: self.clone(),
        })
    }

    /// # Safety
    ///
    /// `node` must be the node of a registered `Node<T>`, or of one that is about to be.
    unsafe extern "C" fn prepare(cpu: c_uint, node: *mut kernel::bindings::hlist_node) -> c_int {
        // SAFETY: By the safety requirements.
        let instance = unsafe { Node::<T>::instance(node) };
        from_result(|| {
            instance.prepare(CpuId::from_u32(cpu).ok_or(EINVAL)?)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`prepare`](Self::prepare).
    unsafe extern "C" fn dead(cpu: c_uint, node: *mut kernel::bindings::hlist_node) -> c_int {
        // SAFETY: By the safety requirements.
        let instance = unsafe { Node::<T>::instance(node) };
        if let Some(cpu) = CpuId::from_u32(cpu) {
            instance.dead(cpu);
        }
        0
    }
}

impl<T: Instance> Drop for State<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the state is ours. Each instance keeps a reference to this
        // object, so there is none left.
        unsafe { kernel::bindings::__cpuhp_remove_state(self.state, false) };
    }
}

/// An instance with the node by which it is on the list of its state.
#[pin_data]
struct Node<T> {
    #[pin]
    node: Opaque<kernel::bindings::hlist_node>,
    #[pin]
    instance: T,
}

// SAFETY: The node belongs to the CPU hotplug code, which protects it itself.
unsafe impl<T: Send> Send for Node<T> {}
// SAFETY: The same.
unsafe impl<T: Sync> Sync for Node<T> {}

impl<T> Node<T> {
    /// # Safety
    ///
    /// `node` must point into a `Node<T>` that lives for `'a`.
    unsafe fn instance<'a>(node: *mut kernel::bindings::hlist_node) -> &'a T {
        // SAFETY: By the safety requirements.
        unsafe { &(*container_of!(Opaque::cast_from(node), Self, node)).instance }
    }
}

/// A registered object, which is unregistered when dropped. That may sleep.
///
/// # Invariants
///
/// The node is on the list of the state.
pub(crate) struct Registered<T: Instance> {
    node: Pin<KBox<Node<T>>>,
    state: Arc<State<T>>,
}

impl<T: Instance> core::ops::Deref for Registered<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.node.instance
    }
}

impl<T: Instance> Drop for Registered<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the node is on the list. It cannot fail: the state is set
        // up and has instances.
        unsafe {
            kernel::bindings::__cpuhp_state_remove_instance(
                self.state.state,
                self.node.node.get(),
                true,
            )
        };
    }
}
