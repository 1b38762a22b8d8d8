// SPDX-License-Identifier: GPL-2.0

//! A read of a page from the backing device, while it is under way.
//!
//! [`readback`](crate::readback) says what happens when it is done.

use super::blocks::PinnedBlock;
use crate::{
    abstractions::{
        bio::Part,
        page::BouncePage, //
    },
    comp::Priority, //
};

/// How a page is stored on the backing device.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As it is.
    Raw,
    /// Compressed.
    Compressed {
        /// To how many bytes.
        size: u32,
        /// With which algorithm.
        priority: Priority,
    },
}

/// What a page is read for.
pub(crate) enum Purpose {
    /// A bio asks for the whole page, and has a page of memory for it, into which it is read.
    Whole,
    /// A bio asks for a part of the page, or has memory in pieces: they are copied from this page.
    Copy(BouncePage),
    /// A bio writes a part of the page: it is copied to this page, which is then written.
    Merge(BouncePage),
}

/// A page that is being read from the backing device.
pub(crate) struct Read {
    /// What of a bio the page is read for.
    pub(crate) part: Part,
    pub(crate) purpose: Purpose,
    /// Where the page is.
    pub(crate) block: PinnedBlock,
    pub(crate) form: Form,
}
