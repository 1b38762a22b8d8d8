// SPDX-License-Identifier: GPL-2.0

//! Compression: the algorithms, and one stream for each CPU.
//!
//! A stream is what a CPU needs to compress or decompress a page: the algorithm's working memory
//! and two buffers. A disk has one for each CPU that is online, behind a mutex that is taken for
//! one page at a time.

mod lz4;
mod lzo;
mod zstd;

use crate::abstractions::{
    cpuhp::{
        self,
        Instance,
        Registered, //
    },
    page::MappedPage,
    parse::sysfs_streq,
    percpu::PerCpu, //
};
use kernel::{
    cpu::CpuId,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// A way to compress pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    /// LZO with run-length encoding.
    #[cfg(CONFIG_LZO_COMPRESS)]
    LzoRle,
    /// LZO.
    #[cfg(CONFIG_LZO_COMPRESS)]
    Lzo,
    /// LZ4.
    #[cfg(CONFIG_LZ4_COMPRESS)]
    Lz4,
    /// Zstandard.
    #[cfg(CONFIG_ZSTD_COMPRESS)]
    Zstd,
}

impl Algorithm {
    /// All that this kernel has, in the order in which they are shown.
    pub(crate) const ALL: &'static [Self] = &[
        #[cfg(CONFIG_LZO_COMPRESS)]
        Self::LzoRle,
        #[cfg(CONFIG_LZO_COMPRESS)]
        Self::Lzo,
        #[cfg(CONFIG_LZ4_COMPRESS)]
        Self::Lz4,
        #[cfg(CONFIG_ZSTD_COMPRESS)]
        Self::Zstd,
    ];

    /// Returns the name by which users know the algorithm.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            #[cfg(CONFIG_LZO_COMPRESS)]
            Self::LzoRle => c"lzo-rle",
            #[cfg(CONFIG_LZO_COMPRESS)]
            Self::Lzo => c"lzo",
            #[cfg(CONFIG_LZ4_COMPRESS)]
            Self::Lz4 => c"lz4",
            #[cfg(CONFIG_ZSTD_COMPRESS)]
            Self::Zstd => c"zstd",
        }
    }

    /// Finds an algorithm by its name, which a newline may follow.
    pub(crate) fn find(name: &CStr) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| sysfs_streq(name, algorithm.name()))
    }
}

impl Default for Algorithm {
    /// The one that the kernel's configuration chose for zram; else the first.
    fn default() -> Self {
        match () {
            #[cfg(all(CONFIG_ZRAM_DEF_COMP_LZ4, CONFIG_LZ4_COMPRESS))]
            () => Self::Lz4,
            #[cfg(all(CONFIG_ZRAM_DEF_COMP_ZSTD, CONFIG_ZSTD_COMPRESS))]
            () => Self::Zstd,
            #[cfg(all(CONFIG_ZRAM_DEF_COMP_LZO, CONFIG_LZO_COMPRESS))]
            () => Self::Lzo,
            #[allow(unreachable_patterns)]
            () => const { Self::ALL[0] },
        }
    }
}

/// The working memory of an algorithm.
enum Context {
    #[cfg(CONFIG_LZO_COMPRESS)]
    Lzo(lzo::Context),
    #[cfg(CONFIG_LZ4_COMPRESS)]
    Lz4(lz4::Context),
    #[cfg(CONFIG_ZSTD_COMPRESS)]
    Zstd(zstd::Context),
}

impl Context {
    fn new(algorithm: Algorithm) -> Result<Self> {
        Ok(match algorithm {
            #[cfg(CONFIG_LZO_COMPRESS)]
            Algorithm::LzoRle => Self::Lzo(lzo::Context::new(true)?),
            #[cfg(CONFIG_LZO_COMPRESS)]
            Algorithm::Lzo => Self::Lzo(lzo::Context::new(false)?),
            #[cfg(CONFIG_LZ4_COMPRESS)]
            Algorithm::Lz4 => Self::Lz4(lz4::Context::new()?),
            #[cfg(CONFIG_ZSTD_COMPRESS)]
            Algorithm::Zstd => Self::Zstd(zstd::Context::new()?),
        })
    }

    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut Buffer) -> Result<usize> {
        match self {
            #[cfg(CONFIG_LZO_COMPRESS)]
            Self::Lzo(context) => context.compress(src, dst),
            #[cfg(CONFIG_LZ4_COMPRESS)]
            Self::Lz4(context) => context.compress(src, dst),
            #[cfg(CONFIG_ZSTD_COMPRESS)]
            Self::Zstd(context) => context.compress(src, dst),
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
        match self {
            #[cfg(CONFIG_LZO_COMPRESS)]
            Self::Lzo(context) => context.decompress(src, dst),
            #[cfg(CONFIG_LZ4_COMPRESS)]
            Self::Lz4(context) => context.decompress(src, dst),
            #[cfg(CONFIG_ZSTD_COMPRESS)]
            Self::Zstd(context) => context.decompress(src, dst),
        }
    }
}

/// Room for the result of compressing a page: what cannot be compressed becomes larger, but never
/// as large as this, with any algorithm.
type Buffer = [u8; 2 * PAGE_SIZE];

/// What one CPU needs to compress and decompress.
pub(crate) struct Stream {
    context: Context,
    buffer: VBox<Buffer>,
    scratch: VBox<[u8; PAGE_SIZE]>,
}

impl Stream {
    fn new(algorithm: Algorithm) -> Result<Self> {
        Ok(Self {
            context: Context::new(algorithm)?,
            buffer: VBox::zeroed(GFP_KERNEL)?,
            scratch: VBox::zeroed(GFP_KERNEL)?,
        })
    }

    /// Compresses a page. The result is valid until the stream is used again.
    pub(crate) fn compress(&mut self, page: &MappedPage<'_>) -> Result<&[u8]> {
        let len = self.context.compress(page, &mut self.buffer)?;
        self.buffer.get(..len).ok_or(EIO)
    }

    /// Splits off a page of scratch memory; the other half decompresses.
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut [u8; PAGE_SIZE]) {
        (Decompressor(&mut self.context), &mut self.scratch)
    }
}

/// The part of a [`Stream`] that decompresses.
pub(crate) struct Decompressor<'a>(&'a mut Context);

impl Decompressor<'_> {
    /// Decompresses a page. Fails if `bytes` are not a compressed page; what is in `page` then may
    /// be anything.
    pub(crate) fn decompress(&mut self, bytes: &[u8], page: &MappedPage<'_>) -> Result {
        self.0.decompress(bytes, page)
    }
}

/// Streams for one algorithm, one for each CPU that is online.
pub(crate) struct Streams {
    algorithm: Algorithm,
    streams: PerCpu<Mutex<Option<Stream>>>,
}

/// The state in the life of a CPU at which its streams are made.
pub(crate) type HotplugState = cpuhp::State<Streams>;

/// Takes the state in the life of a CPU that the kernel reserves for zram.
///
/// Fails with `EBUSY` if another driver for zram has it. May sleep.
pub(crate) fn hotplug_state() -> Result<HotplugState> {
    HotplugState::new(
        kernel::bindings::cpuhp_state_CPUHP_ZCOMP_PREPARE,
        c"block/zram:prepare",
    )
}

impl Streams {
    /// Makes the streams for an algorithm. May sleep.
    pub(crate) fn new(algorithm: Algorithm, state: &Arc<HotplugState>) -> Result<Registered<Self>> {
        let streams = PerCpu::new(|| new_mutex!(None, "zram_rs stream"))?;
        state.register::<Error>(Ok(Self { algorithm, streams }))
    }

    /// Calls `f` with a stream, most likely that of this CPU. May sleep.
    ///
    /// `f` must not take a slot lock: streams are below slots in the order of locks.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Stream) -> R) -> R {
        loop {
            // Between finding out which CPU this is and locking its stream, this task may have been
            // moved, and the CPU may have gone offline. Then there is a stream elsewhere.
            if let Some(stream) = &mut *self.streams.current().lock() {
                return f(stream);
            }
        }
    }
}

impl Instance for Streams {
    fn prepare(&self, cpu: CpuId) -> Result {
        // Allocate before locking: reclaim may want to swap to this disk.
        let stream = Stream::new(self.algorithm).inspect_err(|_| {
            pr_err!(
                "Can't allocate a compression stream for CPU {}\n",
                cpu.as_u32()
            )
        })?;
        *self.streams.get(cpu).lock() = Some(stream);
        Ok(())
    }

    fn dead(&self, cpu: CpuId) {
        let stream = self.streams.get(cpu).lock().take();
        drop(stream);
    }
}
