// SPDX-License-Identifier: GPL-2.0

//! The slots of a batch, which are taken so that their pages fill blocks.
//!
//! The next page of a block is the largest that is certain to fit into what is left of the block.
//! How large the object of a slot is, the packer knows to the width of a bucket of the
//! [selector](crate::select). The time to find a slot depends on the number of buckets only.

use super::engine::Source;
use crate::select::{
    Batch,
    BUCKETS,
    BUCKET_SIZE, //
};
use kernel::{
    page::PAGE_SIZE,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// The slots of a batch, from which the submitter and its helper take the next one that fits.
///
/// # Context
///
/// Any context; does not sleep.
pub(super) struct Packer<'a> {
    batch: Batch<'a>,
    /// Number of slots that were taken from each bucket; may be larger than the bucket.
    taken: [Atomic<u32>; BUCKETS],
}

impl<'a> Packer<'a> {
    /// Creates a packer.
    pub(super) fn new(batch: Batch<'a>) -> Self {
        Self {
            batch,
            taken: [const { Atomic::new(0) }; BUCKETS],
        }
    }

    /// Takes a slot of a bucket, if there is one left.
    fn take(&self, bucket: usize) -> Option<usize> {
        let (taken, slots) = (self.taken.get(bucket)?, self.batch.bucket(bucket));
        // Most buckets are empty most of the time: do not write to them.
        if taken.load(Relaxed) as usize >= slots.len() {
            return None;
        }
        slots.get(taken.fetch_add(1, Relaxed) as usize).copied()
    }
}

/// Returns how many buckets have only objects of at most `room` bytes.
fn buckets_within(room: usize) -> usize {
    match room {
        // The last bucket has objects of `PAGE_SIZE` bytes.
        PAGE_SIZE.. => BUCKETS,
        _ => (room + 1) / BUCKET_SIZE,
    }
}

impl Source for &Packer<'_> {
    fn next(&mut self, room: usize) -> Option<usize> {
        (0..buckets_within(room))
            .rev()
            .find_map(|bucket| self.take(bucket))
    }
}
