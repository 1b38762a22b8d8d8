// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug states with instances: objects with data for each online CPU.
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

/// An object with data for each online CPU.
///
/// # Context
///
/// The methods may sleep. They run with the locks of CPU hotplug held, on any CPU.
pub(crate) trait Instance: Send + Sync + 'static {
    /// Prepares for a CPU that is about to come online.
    ///
    /// Registration calls this for each CPU that is already online.
    ///
    /// # Errors
    ///
    /// Any error keeps the CPU offline, or fails the registration.
    fn prepare(&self, cpu: CpuId) -> Result;

    /// Cleans up after a CPU that went offline.
    ///
    /// The end of the registration calls this for each CPU that is online.
    fn dead(&self, cpu: CpuId);
}

/// A state of the `PREPARE` section, which a driver can take.
///
/// The callbacks of this section run while the CPU is down, may sleep, and may fail. Those of the
/// other sections run on the CPU itself, some of them with interrupts disabled.
#[repr(i32)]
pub(crate) enum PrepareState {
    /// For the working memory of zram's compressors.
    Zcomp = kernel::bindings::cpuhp_state_CPUHP_ZCOMP_PREPARE,
    /// Any free state of the section; the order among these states is not defined.
    #[cfg_attr(
        not(CONFIG_KUNIT = "y"),
        expect(dead_code, reason = "only tests use it so far")
    )]
    Dynamic = kernel::bindings::cpuhp_state_CPUHP_BP_PREPARE_DYN,
}

/// A CPU hotplug state with instances of type `T`.
///
/// # Invariants
///
/// `state` is a [`PrepareState`] that this object has taken, with the callbacks of this type. For
/// [`PrepareState::Dynamic`], it is the number that the kernel has chosen.
///
/// # Examples
///
/// A buffer for each CPU, allocated before the CPU comes online:
///
/// ```
/// use crate::abstractions::cpu::{
///     cpuhp::{
///         Instance,
///         PrepareState,
///         State, //
///     },
///     percpu::PerCpu, //
/// };
/// # use kernel::{cpu::CpuId, new_mutex, sync::{Arc, Mutex}};
///
/// struct Buffers(PerCpu<Mutex<KVec<u8>>>);
///
/// impl Instance for Buffers {
///     fn prepare(&self, cpu: CpuId) -> Result {
///         *self.0.get(cpu).lock() = KVec::with_capacity(64, GFP_KERNEL)?;
///         Ok(())
///     }
///
///     fn dead(&self, cpu: CpuId) {
///         *self.0.get(cpu).lock() = KVec::new();
///     }
/// }
///
/// let state = State::new(PrepareState::Dynamic, c"my_driver:prepare")?;
/// let state = Arc::new(state, GFP_KERNEL)?;
/// let buffers = PerCpu::new(|| new_mutex!(KVec::new()))?;
/// let buffers = state.register::<Error>(Ok(Buffers(buffers)))?;
/// assert!(buffers.0.current().lock().capacity() >= 64);
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct State<T: Instance> {
    state: cpuhp_state,
    _instances: PhantomData<fn(T)>,
}

impl<T: Instance> State<T> {
    /// Takes a state, which debugging interfaces call `name`, until the returned object is dropped.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the state is already taken.
    /// - `ENOSPC`: all dynamic states are taken. The kernel also warns (`WARN`).
    pub(crate) fn new(state: PrepareState, name: &'static CStr) -> Result<Self> {
        /// The type of callbacks in the declaration of `__cpuhp_setup_state`.
        type Callback = unsafe extern "C" fn(c_uint) -> c_int;
        /// The actual type of the callbacks of a state with instances.
        type InstanceCallback =
            unsafe extern "C" fn(c_uint, *mut kernel::bindings::hlist_node) -> c_int;

        let state = state as cpuhp_state;
        // SAFETY: Both types are pointers to functions. The hotplug code casts the callbacks of a
        // state with instances back to their actual type before it calls them;
        // `cpuhp_setup_state_multi` in C has the same cast.
        let (prepare, dead) = unsafe {
            (
                core::mem::transmute::<InstanceCallback, Callback>(Self::prepare),
                core::mem::transmute::<InstanceCallback, Callback>(Self::dead),
            )
        };
        // SAFETY: `name` is static, and `drop` removes the callbacks before the module is unloaded.
        // The callbacks may sleep and fail, as those of a `PrepareState` may.
        let taken = unsafe {
            kernel::bindings::__cpuhp_setup_state(
                state,
                name.as_char_ptr(),
                false,
                Some(prepare),
                Some(dead),
                true,
            )
        };
        to_result(taken)?;
        // INVARIANT: `__cpuhp_setup_state` has succeeded with the callbacks of this type. It has
        // returned the number of a dynamic state, or 0 for any other.
        Ok(Self {
            state: if taken > 0 {
                taken as cpuhp_state
            } else {
                state
            },
            _instances: PhantomData,
        })
    }

    /// Creates an instance and registers it, after calling [`Instance::prepare`] for each online
    /// CPU.
    ///
    /// # Context
    ///
    /// May sleep. Takes the locks of CPU hotplug.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the instance.
    /// - The errors of `init` and of [`Instance::prepare`].
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
        // SAFETY: By the type invariants the callbacks of the state expect the node of a `Node<T>`,
        // which is pinned. `Registered` removes it from the list before it is freed; if this call
        // fails, it is not on the list.
        to_result(unsafe {
            kernel::bindings::__cpuhp_state_add_instance(self.state, node.node.get(), true)
        })?;
        // INVARIANT: `__cpuhp_state_add_instance` has put the node on the list of the state.
        Ok(Registered {
            node,
            state: self.clone(),
        })
    }

    /// Calls [`Instance::prepare`].
    ///
    /// # Safety
    ///
    /// `node` must be the node of a `Node<T>` that is not freed during the call.
    unsafe extern "C" fn prepare(cpu: c_uint, node: *mut kernel::bindings::hlist_node) -> c_int {
        // SAFETY: By the safety requirements `node` is the node of a live `Node<T>`.
        let instance = unsafe { Node::<T>::instance(node) };
        from_result(|| {
            instance.prepare(CpuId::from_u32(cpu).ok_or(EINVAL)?)?;
            Ok(0)
        })
    }

    /// Calls [`Instance::dead`].
    ///
    /// # Safety
    ///
    /// `node` must be the node of a `Node<T>` that is not freed during the call.
    unsafe extern "C" fn dead(cpu: c_uint, node: *mut kernel::bindings::hlist_node) -> c_int {
        // SAFETY: By the safety requirements `node` is the node of a live `Node<T>`.
        let instance = unsafe { Node::<T>::instance(node) };
        if let Some(cpu) = CpuId::from_u32(cpu) {
            instance.dead(cpu);
        }
        0
    }
}

impl<T: Instance> Drop for State<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object has taken the state. It has no instances left,
        // as each of them holds a reference to this object.
        unsafe { kernel::bindings::__cpuhp_remove_state(self.state, false) };
    }
}

/// An instance with its node in the list of its state.
#[pin_data]
struct Node<T> {
    #[pin]
    node: Opaque<kernel::bindings::hlist_node>,
    #[pin]
    instance: T,
}

// SAFETY: Only the CPU hotplug code uses `node`, under its own lock; `instance` is `Send`.
unsafe impl<T: Send> Send for Node<T> {}
// SAFETY: Only the CPU hotplug code uses `node`, under its own lock; `instance` is `Sync`.
unsafe impl<T: Sync> Sync for Node<T> {}

impl<T> Node<T> {
    /// Returns the instance to which a node belongs.
    ///
    /// # Safety
    ///
    /// `node` must be the node of a `Node<T>` that lives for `'a`.
    unsafe fn instance<'a>(node: *mut kernel::bindings::hlist_node) -> &'a T {
        // SAFETY: By the safety requirements `node` is the field of a live `Node<T>`.
        unsafe { &(*container_of!(Opaque::cast_from(node), Self, node)).instance }
    }
}

/// A registered instance, which is unregistered when dropped.
///
/// Dropping it calls [`Instance::dead`] for each online CPU.
///
/// # Invariants
///
/// The node is on the list of the state.
///
/// # Context
///
/// Dropping may sleep, and takes the locks of CPU hotplug.
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
        // SAFETY: By the type invariants the node is on the list of the state. The call cannot
        // fail: the state is valid and has instances.
        unsafe {
            kernel::bindings::__cpuhp_state_remove_instance(
                self.state.state,
                self.node.node.get(),
                true,
            )
        };
    }
}

#[kunit_tests(zram_rs_cpuhp)]
mod tests {
    use super::*;
    use crate::abstractions::{
        cpu::percpu::PerCpu,
        sched::num_online_cpus, //
    };
    use kernel::{
        cpu::nr_cpu_ids,
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
    };

    /// How many times a test instance was called for a CPU.
    #[pin_data]
    struct Calls {
        prepare: Atomic<u32>,
        dead: Atomic<u32>,
    }

    /// The calls for each CPU, which outlive the instance.
    type Log = PerCpu<Calls>;

    fn log() -> Result<Arc<Log>> {
        let calls = || {
            pin_init!(Calls {
                prepare: Atomic::new(0),
                dead: Atomic::new(0),
            })
        };
        Ok(Arc::new(PerCpu::new(calls)?, GFP_KERNEL)?)
    }

    /// Returns the calls for each CPU: of `prepare`, and of `dead`.
    fn calls(log: &Log) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..nr_cpu_ids()).filter_map(CpuId::from_u32).map(|cpu| {
            let calls = log.get(cpu);
            (calls.prepare.load(Relaxed), calls.dead.load(Relaxed))
        })
    }

    /// Returns for how many CPUs there were so many calls.
    fn count(log: &Log, wanted: (u32, u32)) -> u32 {
        calls(log).filter(|&calls| calls == wanted).count() as u32
    }

    struct Logger {
        log: Arc<Log>,
        /// How many CPUs can be prepared.
        room: Atomic<i32>,
    }

    impl Logger {
        fn new(log: &Arc<Log>, room: i32) -> Result<Self> {
            Ok(Self {
                log: log.clone(),
                room: Atomic::new(room),
            })
        }
    }

    impl Instance for Logger {
        fn prepare(&self, cpu: CpuId) -> Result {
            if self.room.fetch_add(-1, Relaxed) <= 0 {
                return Err(ENODEV);
            }
            self.log.get(cpu).prepare.add(1, Relaxed);
            Ok(())
        }

        fn dead(&self, cpu: CpuId) {
            self.log.get(cpu).dead.add(1, Relaxed);
        }
    }

    fn state() -> Result<Arc<State<Logger>>> {
        let state = State::new(PrepareState::Dynamic, c"zram_rs_kunit:prepare")?;
        Ok(Arc::new(state, GFP_KERNEL)?)
    }

    #[test]
    fn each_online_cpu_is_prepared_once() -> Result {
        let (state, log) = (state()?, log()?);
        let (online, offline) = (num_online_cpus(), nr_cpu_ids() - num_online_cpus());
        let registered = state.register(Logger::new(&log, i32::MAX))?;
        assert_eq!(count(&log, (1, 0)), online);
        assert_eq!(count(&log, (0, 0)), offline);
        // The object is that to which the calls were made.
        assert_eq!(registered.room.load(Relaxed), i32::MAX - online as i32);
        drop(registered);
        assert_eq!(count(&log, (1, 1)), online);
        assert_eq!(count(&log, (0, 0)), offline);
        Ok(())
    }

    #[test]
    fn instances_are_independent() -> Result {
        let (state, logs) = (state()?, [log()?, log()?]);
        let online = num_online_cpus();
        let first = state.register(Logger::new(&logs[0], i32::MAX))?;
        let second = state.register(Logger::new(&logs[1], i32::MAX))?;
        drop(first);
        assert_eq!(count(&logs[0], (1, 1)), online);
        assert_eq!(count(&logs[1], (1, 0)), online);
        drop(second);
        assert_eq!(count(&logs[0], (1, 1)), online);
        assert_eq!(count(&logs[1], (1, 1)), online);
        Ok(())
    }

    #[test]
    fn states_are_independent() -> Result {
        let (states, log) = ([state()?, state()?], log()?);
        assert!(states[0].state != states[1].state);
        let registered = states[1].register(Logger::new(&log, i32::MAX))?;
        let [other, _] = states;
        drop(other);
        assert_eq!(count(&log, (1, 0)), num_online_cpus());
        drop(registered);
        assert_eq!(count(&log, (1, 1)), num_online_cpus());
        Ok(())
    }

    #[test]
    fn an_error_undoes_the_registration() -> Result {
        let (state, log) = (state()?, log()?);
        for room in 0..num_online_cpus() {
            let registered = state.register(Logger::new(&log, room as i32));
            assert_eq!(registered.map(drop), Err(ENODEV));
            // As many calls of `dead` as of `prepare`.
            assert!(calls(&log).all(|(prepare, dead)| prepare == dead));
        }
        // The instance is gone.
        assert!(Arc::into_unique_or_drop(log).is_some());
        Ok(())
    }

    #[test]
    fn an_instance_keeps_its_state() -> Result {
        let (state, log) = (state()?, log()?);
        let registered = state.register(Logger::new(&log, i32::MAX))?;
        drop(state);
        drop(registered);
        assert_eq!(count(&log, (1, 1)), num_online_cpus());
        Ok(())
    }
}
