// SPDX-License-Identifier: GPL-2.0

//! What Linux 7.3 has, for older kernels.
//!
//! All other files are written for Linux 7.3. One that needs something which an older kernel lacks
//! imports [`kernel`] from here, in place of the crate of that name, if `zram_rs_compat` is set.
//! The Makefile looks into the kernel's source for each of these things: it sets `zram_rs_no_*` for
//! what is not there, and `zram_rs_compat` if anything is not.
//!
//! A file with unit tests imports it in the function that needs it: with `use super::*` there,
//! the macros of the tests would find two things named `kernel`.
//!
//! In a kernel tree the driver has neither this file nor the lines that refer to it:
//! `tools/dist/in-tree` leaves out each line `#[cfg(zram_rs_compat)]` with the line that follows.

/// The `kernel` crate, with what it lacks.
pub(crate) mod kernel {
    pub(crate) use ::kernel::*;

    /// The prelude, with what it lacks.
    pub(crate) mod prelude {
        #[cfg(zram_rs_no_eopnotsupp)]
        pub(crate) use super::super::error::*;
        #[cfg(zram_rs_no_zeroed)]
        pub(crate) use super::super::zeroed::ZeroedVec as _;
        pub(crate) use ::kernel::prelude::*;
    }

    #[cfg(zram_rs_no_this_module)]
    pub(crate) use super::module;
}

/// Error codes.
#[cfg(zram_rs_no_eopnotsupp)]
mod error {
    use core::num::NonZeroI32;
    use kernel::prelude::*;

    /// Illegal byte sequence.
    #[allow(dead_code, reason = "only tests use it")]
    pub(crate) const EILSEQ: Error = error(kernel::bindings::EILSEQ);
    /// Operation not supported.
    pub(crate) const EOPNOTSUPP: Error = error(kernel::bindings::EOPNOTSUPP);

    const fn error(number: u32) -> Error {
        match NonZeroI32::new(-(number as i32)) {
            // SAFETY: An `Error` has one field, a `NonZeroI32` with a negative error number, and
            // nothing else: `transmute` requires equal sizes.
            Some(errno) => unsafe { core::mem::transmute::<NonZeroI32, Error>(errno) },
            None => EINVAL,
        }
    }
}

/// Zeroed memory.
#[cfg(zram_rs_no_zeroed)]
mod zeroed {
    use kernel::{
        alloc::{
            AllocError,
            Allocator,
            Flags, //
        },
        prelude::*,
    };

    /// `Vec::zeroed`.
    pub(crate) trait ZeroedVec: Sized {
        /// Allocates `n` zeroed elements.
        fn zeroed(n: usize, flags: Flags) -> Result<Self, AllocError>;
    }

    impl<T: Zeroable, A: Allocator> ZeroedVec for Vec<T, A> {
        fn zeroed(n: usize, flags: Flags) -> Result<Self, AllocError> {
            let mut vec = Self::with_capacity(n, flags | __GFP_ZERO)?;
            // SAFETY: The capacity is at least `n`, the length is 0, and the allocation is zeroed,
            // which is a valid value of `T`.
            unsafe { vec.inc_len(n) };
            Ok(vec)
        }
    }
}

/// The `module` of the `kernel` crate.
#[cfg(zram_rs_no_this_module)]
pub(crate) mod module {
    use kernel::prelude::*;

    /// The metadata of a module.
    pub(crate) trait ModuleMetadata: kernel::ModuleMetadata {
        /// The `THIS_MODULE` of C.
        const THIS_MODULE: &'static ThisModule;
    }

    impl ModuleMetadata for crate::LocalModule {
        const THIS_MODULE: &'static ThisModule = &crate::THIS_MODULE;
    }
}

/// A `bvec_iter` with its field `bi_offset`, which is `bi_bvec_done` in `kernel::bindings`.
#[cfg(zram_rs_no_bi_offset)]
#[repr(C, packed(4))]
pub(crate) struct BvecIter {
    bi_sector: kernel::bindings::sector_t,
    bi_size: u32,
    pub(crate) bi_idx: u32,
    pub(crate) bi_offset: u32,
}

/// Returns `iter` as a pointer to a structure with `bi_offset`.
#[cfg(zram_rs_no_bi_offset)]
pub(crate) const fn bvec_iter(iter: *const kernel::bindings::bvec_iter) -> *const BvecIter {
    use core::mem::offset_of;
    use kernel::bindings::bvec_iter;

    const {
        assert!(size_of::<BvecIter>() == size_of::<bvec_iter>());
        assert!(offset_of!(BvecIter, bi_idx) == offset_of!(bvec_iter, bi_idx));
        assert!(offset_of!(BvecIter, bi_offset) == offset_of!(bvec_iter, bi_bvec_done));
    }
    iter.cast()
}
