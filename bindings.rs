// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of `bindings/bindings_helper.h`: the C functions that `kernel::bindings`
//! lacks. Only `abstractions/`, `zspool.rs` and `comp/` use it.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports,
    rustdoc::all
)]

use kernel::bindings::*;
use kernel::ffi;

include!(concat!(env!("ZRAM_RS_OBJ"), "/bindings_generated.rs"));
