// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of the driver.
//!
//! `kernel::tracepoint` calls tracepoints of the kernel only, for which `kernel::bindings` has what
//! a call needs. Those of a driver differ in nothing else.
//!
//! C header: [`bindings/zram_rs_trace.h`](srctree/drivers/block/zram_rs/bindings/zram_rs_trace.h)

/// Defines a safe function for each of the tracepoints with these names.
///
/// While a tracepoint is off, a call costs an instruction that the kernel patches when the
/// tracepoint is turned on, and nothing if the kernel has no tracepoints. So the arguments, which
/// are those of `TP_PROTO` in C, come from a closure that is called only while it is on.
macro_rules! tracepoints {
    ($($(#[$attr:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?);)*) => {$(
        $(#[$attr])*
        ///
        /// # Context
        ///
        /// Any context; does not sleep.
        #[inline(always)]
        pub(crate) fn $name(args: impl FnOnce() -> ($($type,)*)) {
            #[cfg(CONFIG_TRACEPOINTS)]
            kernel::macros::paste! {
                // SAFETY: C defines the key in the tracepoint, and it may be read at any time.
                let is_on = unsafe {
                    kernel::jump_label::static_branch_unlikely!(
                        crate::bindings::[<__tracepoint_zram_ $name>],
                        kernel::bindings::tracepoint,
                        key
                    )
                };
                if is_on {
                    let ($($arg,)*) = args();
                    // SAFETY: The function takes numbers of any value, in any context.
                    unsafe { crate::bindings::[<rust_do_trace_zram_ $name>]($($arg),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            {
                let _ = args;
            }
        }
    )*};
}

tracepoints! {
    /// A page was written to memory, where it takes `size` bytes.
    fn slot_write(dev: u32, index: usize, size: u32);

    /// A page was read from memory, where it takes `size` bytes.
    fn slot_read(dev: u32, index: usize, size: u32);

    /// A page that took `size` bytes of memory is in `block` of the backing device now.
    fn slot_writeback(dev: u32, index: usize, block: usize, size: u32);

    /// The read of a page from `block` of the backing device ended with `error`, 0 for none.
    fn slot_readback(dev: u32, index: usize, block: usize, error: i32);

    /// Post-processing of a disk begins.
    fn turn_begin(dev: u32, kind: u32);

    /// Post-processing of a disk ended with `error`, 0 for none, and wrote `written` blocks.
    fn turn_end(dev: u32, kind: u32, written: usize, error: i32);
}
