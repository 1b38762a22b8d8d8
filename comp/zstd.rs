// SPDX-License-Identifier: GPL-2.0

//! The Zstandard backend.
//!
//! C header: [`include/linux/zstd.h`](srctree/include/linux/zstd.h)
#![cfg(zram_rs_zstd)]

use super::{
    gfp_nowarn,
    Backend,
    HelpMarks,
    Params, //
};
#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::{
    abstractions::{
        fs::file::FileContents,
        page::MappedPage, //
    },
    bindings, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// The allocator for prepared dictionaries.
const ALLOCATOR: bindings::zstd_custom_mem = bindings::zstd_custom_mem {
    customAlloc: Some(bindings::zram_rs_zstd_alloc),
    customFree: Some(bindings::zram_rs_zstd_free),
    opaque: ptr::null_mut(),
};

/// A dictionary, prepared for compression and for decompression.
///
/// # Invariants
///
/// `compression` and `decompression` are valid, belong to this object, and point into `_contents`.
pub(super) struct Dictionary {
    compression: NonNull<bindings::zstd_cdict>,
    decompression: NonNull<bindings::zstd_ddict>,
    _contents: Arc<FileContents>,
}

// SAFETY: By the type invariants both parts belong to this object; zstd keeps no per-thread state,
// and any thread can free them.
unsafe impl Send for Dictionary {}
// SAFETY: zstd only reads the two parts after their creation.
unsafe impl Sync for Dictionary {}

impl Dictionary {
    /// Prepares a dictionary for use with `parameters`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: zstd rejects the dictionary, or there is no memory.
    fn new(
        contents: Arc<FileContents>,
        parameters: bindings::zstd_compression_parameters,
    ) -> Result<Self> {
        let (bytes, len) = (contents.as_ptr().cast(), contents.len());
        // SAFETY: `bytes` is valid for reads of `len` bytes for as long as `contents` is, and the
        // functions of `ALLOCATOR` allocate and free memory.
        let ddict = unsafe { bindings::zstd_create_ddict_byreference(bytes, len, ALLOCATOR) };
        let decompression = NonNull::new(ddict).ok_or(EINVAL)?;
        // SAFETY: `bytes` is valid for reads of `len` bytes for as long as `contents` is, the
        // functions of `ALLOCATOR` allocate and free memory, and `parameters` are from zstd.
        let compression = NonNull::new(unsafe {
            bindings::zstd_create_cdict_byreference(bytes, len, parameters, ALLOCATOR)
        });
        let Some(compression) = compression else {
            // SAFETY: `decompression` was created above and is not used any more.
            unsafe { bindings::zstd_free_ddict(decompression.as_ptr()) };
            return Err(EINVAL);
        };
        // INVARIANT: Both parts were created above from `contents`.
        Ok(Self {
            compression,
            decompression,
            _contents: contents,
        })
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // SAFETY: By the type invariants both parts are valid and belong to this object.
        unsafe {
            bindings::zstd_free_cdict(self.compression.as_ptr());
            bindings::zstd_free_ddict(self.decompression.as_ptr());
        }
    }
}

/// The parameters of the level, and the dictionary.
#[derive(Clone)]
pub(super) struct Setup {
    parameters: bindings::zstd_parameters,
    dictionary: Option<Arc<Dictionary>>,
    /// The size of the working memory for compression, in bytes.
    size: usize,
}

/// The contexts of one CPU.
///
/// # Invariants
///
/// `compressor` and `decompressor` are valid, and are located in `_memory`.
pub(super) struct Zstd {
    setup: Setup,
    compressor: NonNull<bindings::zstd_cctx>,
    decompressor: NonNull<bindings::zstd_dctx>,
    /// Moving a vector does not move its elements.
    _memory: [VVec<u8>; 2],
}

// SAFETY: By the type invariants the contexts are located in memory of this object, and zstd keeps
// no per-thread state.
unsafe impl Send for Zstd {}

impl Backend for Zstd {
    type Setup = Setup;

    const HELP_MARKS: HelpMarks = HelpMarks {
        compress: 16 << 10,
        decompress: 64 << 10,
    };

    fn setup(params: &Params) -> Result<Setup> {
        // SAFETY: These functions return constants.
        let (default, min, max) = unsafe {
            (
                bindings::zstd_default_clevel(),
                bindings::zstd_min_clevel(),
                bindings::zstd_max_clevel(),
            )
        };
        let level = params.level_within(c"zstd", default, min, max)?;
        // SAFETY: The function computes parameters from any numbers.
        let parameters = unsafe { bindings::zstd_get_params(level, PAGE_SIZE as u64) };
        let mut used = parameters.cParams;
        let dictionary = match &params.dictionary {
            None => None,
            Some(contents) => {
                let len = contents.len();
                // SAFETY: The function computes parameters from any numbers.
                used = unsafe { bindings::zstd_get_cparams(level, PAGE_SIZE as u64, len) };
                Some(Arc::new(
                    Dictionary::new(contents.clone(), used)?,
                    GFP_KERNEL,
                )?)
            }
        };
        // SAFETY: `used` points to valid parameters, which zstd has computed.
        let size = unsafe { bindings::zstd_cctx_workspace_bound(&used) };
        Ok(Setup {
            parameters,
            dictionary,
            size,
        })
    }

    fn new(setup: &Setup) -> Result<Self> {
        let size = setup.size;
        let mut memory = VVec::<u8>::zeroed(size, gfp_nowarn())?;
        // SAFETY: `memory` is valid for `size` bytes.
        let compressor = unsafe { bindings::zstd_init_cctx(memory.as_mut_ptr().cast(), size) };

        // SAFETY: The function returns a constant.
        let size = unsafe { bindings::zstd_dctx_workspace_bound() };
        let mut other = VVec::<u8>::zeroed(size, gfp_nowarn())?;
        // SAFETY: `other` is valid for `size` bytes.
        let decompressor = unsafe { bindings::zstd_init_dctx(other.as_mut_ptr().cast(), size) };

        // INVARIANT: Both contexts were initialised above, in the memory that `_memory` keeps.
        Ok(Self {
            setup: setup.clone(),
            compressor: NonNull::new(compressor).ok_or(EINVAL)?,
            decompressor: NonNull::new(decompressor).ok_or(EINVAL)?,
            _memory: [memory, other],
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>> {
        let context = self.compressor.as_ptr();
        let (to, room) = (dst.as_mut_ptr().cast(), dst.len());
        let from = src.as_ptr().cast();
        let len = match &self.setup.dictionary {
            // SAFETY: By the type invariants the context is valid; the page and the buffer have the
            // sizes that are given. zstd stays within these even if the page changes meanwhile.
            None => unsafe {
                let parameters = &self.setup.parameters;
                bindings::zstd_compress_cctx(context, to, room, from, PAGE_SIZE, parameters)
            },
            // SAFETY: By the type invariants the context and the dictionary are valid; the page and
            // the buffer have the sizes that are given. zstd stays within these even if the page
            // changes meanwhile.
            Some(dictionary) => unsafe {
                let dictionary = dictionary.compression.as_ptr();
                bindings::zstd_compress_using_cdict(context, to, room, from, PAGE_SIZE, dictionary)
            },
        };
        // SAFETY: The function takes any number.
        if unsafe { bindings::zstd_get_error_code(len) }
            == bindings::ZSTD_ErrorCode_ZSTD_error_dstSize_tooSmall
        {
            return Ok(None);
        }
        check(len).map(Some)
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        let context = self.decompressor.as_ptr();
        let to = dst.as_ptr().cast();
        let (from, len) = (src.as_ptr().cast(), src.len());
        let len = check(match &self.setup.dictionary {
            // SAFETY: By the type invariants the context is valid; the source and the page have the
            // sizes that are given.
            None => unsafe { bindings::zstd_decompress_dctx(context, to, PAGE_SIZE, from, len) },
            // SAFETY: By the type invariants the context and the dictionary are valid; the source
            // and the page have the sizes that are given.
            Some(dictionary) => unsafe {
                let dictionary = dictionary.decompression.as_ptr();
                bindings::zstd_decompress_using_ddict(context, to, PAGE_SIZE, from, len, dictionary)
            },
        })?;
        if len == PAGE_SIZE {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}

/// Returns a length that zstd returned, or `EINVAL` if it is an error code.
fn check(len: usize) -> Result<usize> {
    // SAFETY: The function takes any number.
    if unsafe { bindings::zstd_is_error(len) } != 0 {
        Err(EINVAL)
    } else {
        Ok(len)
    }
}
