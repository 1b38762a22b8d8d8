// SPDX-License-Identifier: GPL-2.0

//! Zstandard.
//!
//! C header: [`include/linux/zstd.h`](srctree/include/linux/zstd.h)
#![cfg(zram_rs_zstd)]

use super::{
    gfp_nowarn,
    Backend,
    Params, //
};
use crate::{
    abstractions::{
        file::FileContents,
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

/// How zstd allocates memory for what it makes of a dictionary.
const ALLOCATOR: bindings::zstd_custom_mem = bindings::zstd_custom_mem {
    customAlloc: Some(bindings::zram_rs_zstd_alloc),
    customFree: Some(bindings::zram_rs_zstd_free),
    opaque: ptr::null_mut(),
};

/// What zstd makes of a dictionary.
///
/// # Invariants
///
/// `compression` and `decompression` are valid, belong to this object, and refer to `contents`.
pub(super) struct Dictionary {
    compression: NonNull<bindings::zstd_cdict>,
    decompression: NonNull<bindings::zstd_ddict>,
    _contents: Arc<FileContents>,
}

// SAFETY: Plain memory, which any thread can free.
unsafe impl Send for Dictionary {}
// SAFETY: Both parts are only read once they exist.
unsafe impl Sync for Dictionary {}

impl Dictionary {
    fn new(
        contents: Arc<FileContents>,
        parameters: bindings::zstd_compression_parameters,
    ) -> Result<Self> {
        let (bytes, len) = (contents.as_ptr().cast(), contents.len());
        // SAFETY: The dictionary has this length; the allocator is one.
        let ddict = unsafe { bindings::zstd_create_ddict_byreference(bytes, len, ALLOCATOR) };
        let decompression = NonNull::new(ddict).ok_or(EINVAL)?;
        // SAFETY: The same, and the parameters are valid.
        let compression = NonNull::new(unsafe {
            bindings::zstd_create_cdict_byreference(bytes, len, parameters, ALLOCATOR)
        });
        let Some(compression) = compression else {
            // SAFETY: It was just made.
            unsafe { bindings::zstd_free_ddict(decompression.as_ptr()) };
            return Err(EINVAL);
        };
        // INVARIANT: Both were just made.
        Ok(Self {
            compression,
            decompression,
            _contents: contents,
        })
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
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
    /// How much memory compression takes, in bytes.
    size: usize,
}

/// The contexts of one CPU.
///
/// # Invariants
///
/// `compressor` and `decompressor` are valid, and live in `_memory`.
pub(super) struct Zstd {
    setup: Setup,
    compressor: NonNull<bindings::zstd_cctx>,
    decompressor: NonNull<bindings::zstd_dctx>,
    /// A vector does not move what it holds when it is moved itself.
    _memory: [VVec<u8>; 2],
}

// SAFETY: The contexts are plain memory, which this object owns.
unsafe impl Send for Zstd {}

impl Backend for Zstd {
    type Setup = Setup;

    fn setup(params: &Params) -> Result<Setup> {
        // SAFETY: No requirements.
        let (default, min, max) = unsafe {
            (
                bindings::zstd_default_clevel(),
                bindings::zstd_min_clevel(),
                bindings::zstd_max_clevel(),
            )
        };
        let level = params.level_within(c"zstd", default, min, max)?;
        // SAFETY: No requirements.
        let parameters = unsafe { bindings::zstd_get_params(level, PAGE_SIZE as u64) };
        let mut used = parameters.cParams;
        let dictionary = match &params.dictionary {
            None => None,
            Some(contents) => {
                let len = contents.len();
                // SAFETY: No requirements.
                used = unsafe { bindings::zstd_get_cparams(level, PAGE_SIZE as u64, len) };
                Some(Arc::new(
                    Dictionary::new(contents.clone(), used)?,
                    GFP_KERNEL,
                )?)
            }
        };
        // SAFETY: The parameters are valid.
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
        // SAFETY: The memory has this size.
        let compressor = unsafe { bindings::zstd_init_cctx(memory.as_mut_ptr().cast(), size) };

        // SAFETY: No requirements.
        let size = unsafe { bindings::zstd_dctx_workspace_bound() };
        let mut other = VVec::<u8>::zeroed(size, gfp_nowarn())?;
        // SAFETY: The memory has this size.
        let decompressor = unsafe { bindings::zstd_init_dctx(other.as_mut_ptr().cast(), size) };

        // INVARIANT: Both were just set up in the memory that is kept along with them.
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
            // SAFETY: By the type invariants; page and buffer have the sizes that are given. The
            // algorithm copes with a page that changes under it.
            None => unsafe {
                let parameters = &self.setup.parameters;
                bindings::zstd_compress_cctx(context, to, room, from, PAGE_SIZE, parameters)
            },
            // SAFETY: The same; and the dictionary is valid by its type's invariants.
            Some(dictionary) => unsafe {
                let dictionary = dictionary.compression.as_ptr();
                bindings::zstd_compress_using_cdict(context, to, room, from, PAGE_SIZE, dictionary)
            },
        };
        // SAFETY: No requirements.
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
            // SAFETY: By the type invariants; source and page have the sizes that are given.
            None => unsafe { bindings::zstd_decompress_dctx(context, to, PAGE_SIZE, from, len) },
            // SAFETY: The same; and the dictionary is valid by its type's invariants.
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

/// Tells a length from an error code.
fn check(len: usize) -> Result<usize> {
    // SAFETY: No requirements.
    if unsafe { bindings::zstd_is_error(len) } != 0 {
        Err(EINVAL)
    } else {
        Ok(len)
    }
}
