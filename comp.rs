// SPDX-License-Identifier: GPL-2.0

//! Compression algorithms and per-CPU compression streams.
//!
//! A stream holds what a CPU needs to compress or decompress a page: the working memory of the
//! algorithm and two buffers. For each of its algorithms, a disk has one stream per online CPU. A
//! mutex protects each stream, and is held for one page at a time.

mod config;
mod deflate;
mod lz4;
mod lz4_common;
mod lz4hc;
mod lzo;
mod sw842;
mod zstd;

pub(crate) use config::{
    CompConfig,
    ParamsUpdate, //
};

use crate::abstractions::{
    cpu::{
        cpuhp::{
            self,
            Instance,
            PrepareState,
            Registered, //
        },
        percpu::PerCpu, //
    },
    page::MappedPage,
    parse::sysfs_streq, //
};
use config::Params;
use kernel::{
    alloc::Flags,
    cpu::CpuId,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// Returns the GFP flags for working memory; the caller reports a failed allocation.
fn gfp_nowarn() -> Flags {
    GFP_KERNEL | __GFP_NOWARN
}

/// The priority of one of a disk's algorithms.
///
/// The primary algorithm compresses the pages that are written to the disk; the others recompress
/// them. An algorithm of a higher priority is expected to compress better.
///
/// # Context
///
/// Any context.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Priority(u8);

impl Priority {
    /// Width of a priority, in bits.
    pub(crate) const BITS: u32 = 2;
    /// Number of priorities.
    pub(crate) const COUNT: usize = 1 << Self::BITS;
    /// The priority of the algorithm for pages that are written.
    pub(crate) const PRIMARY: Self = Self(0);
    /// The lowest priority of an algorithm for recompression.
    pub(crate) const SECONDARY: Self = Self(1);

    /// Returns the priority with a number that a user gave, or `None` if there is none.
    pub(crate) fn from_user(number: i32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|&number| usize::from(number) < Self::COUNT)
            .map(Self)
    }

    /// Returns the priority whose number is in the lowest [`BITS`](Self::BITS) of `bits`.
    #[inline]
    pub(crate) const fn from_bits(bits: usize) -> Self {
        Self((bits & (Self::COUNT - 1)) as u8)
    }

    /// Returns the number of the priority, which is less than [`COUNT`](Self::COUNT).
    #[inline]
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// Iterates over this priority and all higher ones, in ascending order.
    pub(crate) fn and_above(self) -> impl Iterator<Item = Self> {
        (self.number()..Self::COUNT).map(Self::from_bits)
    }
}

/// The sizes of requests, in bytes, from which on it pays to have another CPU help: these clearly
/// take less time with two CPUs than with one.
///
/// "Requests of many pages" in `Documentation/performance.rst` has the measurements.
#[derive(Clone, Copy)]
pub(crate) struct HelpMarks {
    /// For pages to compress.
    pub(crate) compress: usize,
    /// For pages to decompress.
    pub(crate) decompress: usize,
}

impl HelpMarks {
    /// The lowest mark for pages to compress, and for pages to decompress, of all algorithms.
    pub(crate) const LEAST: Self = {
        let mut least = Algorithm::ALL[0].help_marks();
        let mut i = 1;
        while i < Algorithm::ALL.len() {
            let marks = Algorithm::ALL[i].help_marks();
            if marks.compress < least.compress {
                least.compress = marks.compress;
            }
            if marks.decompress < least.decompress {
                least.decompress = marks.decompress;
            }
            i += 1;
        }
        least
    };
}

/// The working memory of an algorithm, which compresses and decompresses pages.
///
/// # Context
///
/// All methods may sleep, unless they say otherwise.
trait Backend: Sized {
    /// What all streams of a disk share: checked parameters and the prepared dictionary.
    type Setup: Send + Sync;

    /// From when on it pays to share requests.
    const HELP_MARKS: HelpMarks;

    /// Checks the parameters and prepares the dictionary.
    ///
    /// Logs which parameter is invalid.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a parameter is out of range, or the dictionary cannot be used.
    /// - `EOPNOTSUPP`: the algorithm does not support a parameter that is set.
    /// - `ENOMEM`: there is no memory for the prepared dictionary.
    fn setup(params: &Params) -> Result<Self::Setup>;

    /// Allocates the working memory.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory.
    /// - `EINVAL`: the library rejects the memory or the parameters.
    fn new(setup: &Self::Setup) -> Result<Self>;

    /// Compresses a page and returns the size of the result in bytes, or `None` if `dst` is too
    /// small.
    ///
    /// The owner of the page may change it during the call. The result may also be `None` if it
    /// leaves less than [`MARGIN`] of `dst` unused.
    ///
    /// # Errors
    ///
    /// `EINVAL`, or the error code of the library: the algorithm fails.
    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>>;

    /// Decompresses a page. Does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`, or the error code of the library: `src` is not a compressed page.
    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result;
}

/// Defines the algorithms, in the order in which sysfs lists them.
///
/// Each algorithm has a name, a backend, the condition under which it is built, and the condition
/// under which it is the default.
macro_rules! algorithms {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $name:literal, $backend:ty, if $have:ident, default if $default:ident;
    )*) => {
        /// A compression algorithm.
        ///
        /// # Context
        ///
        /// Any context.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Algorithm {
            $(
                $(#[doc = $doc])*
                #[cfg($have)]
                $variant,
            )*
        }

        impl Algorithm {
            /// All algorithms that are built, in the order in which sysfs lists them.
            pub(crate) const ALL: &'static [Self] = &[
                $( #[cfg($have)] Self::$variant, )*
            ];

            /// The default of the kernel configuration if it is built, else the first algorithm.
            const DEFAULT: Self = {
                let candidates = [
                    $( #[cfg(all($have, $default))] Self::$variant, )*
                    Self::ALL[0],
                ];
                candidates[0]
            };

            /// Returns the name of the algorithm in sysfs.
            pub(crate) const fn name(self) -> &'static CStr {
                match self {
                    $( #[cfg($have)] Self::$variant => $name, )*
                }
            }

            /// Returns [`Backend::HELP_MARKS`].
            pub(crate) const fn help_marks(self) -> HelpMarks {
                match self {
                    $( #[cfg($have)] Self::$variant => <$backend>::HELP_MARKS, )*
                }
            }
        }

        /// The [`Backend::Setup`] of an algorithm.
        enum Setup {
            $( #[cfg($have)] $variant(<$backend as Backend>::Setup), )*
        }

        impl Setup {
            fn new(algorithm: Algorithm, params: &Params) -> Result<Self> {
                match algorithm {
                    $(
                        #[cfg($have)]
                        Algorithm::$variant => {
                            <$backend as Backend>::setup(params).map(Self::$variant)
                        }
                    )*
                }
            }
        }

        /// The [`Backend`] of an algorithm.
        enum Context {
            $( #[cfg($have)] $variant($backend), )*
        }

        impl Context {
            fn new(setup: &Setup) -> Result<Self> {
                match setup {
                    $(
                        #[cfg($have)]
                        Setup::$variant(setup) => {
                            <$backend as Backend>::new(setup).map(Self::$variant)
                        }
                    )*
                }
            }

            fn compress(
                &mut self,
                src: &MappedPage<'_>,
                dst: &mut [u8],
            ) -> Result<Option<usize>> {
                match self {
                    $( #[cfg($have)] Self::$variant(backend) => backend.compress(src, dst), )*
                }
            }

            fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result {
                match self {
                    $( #[cfg($have)] Self::$variant(backend) => backend.decompress(src, dst), )*
                }
            }
        }
    };
}

algorithms! {
    /// LZO with run-length encoding.
    LzoRle = c"lzo-rle", lzo::Lzo<true>, if zram_rs_lzo, default if zram_rs_default_lzorle;
    /// LZO.
    Lzo = c"lzo", lzo::Lzo<false>, if zram_rs_lzo, default if zram_rs_default_lzo;
    /// LZ4.
    Lz4 = c"lz4", lz4::Lz4, if zram_rs_lz4, default if zram_rs_default_lz4;
    /// LZ4 with a slower compressor, whose results are smaller.
    Lz4hc = c"lz4hc", lz4hc::Lz4hc, if zram_rs_lz4hc, default if zram_rs_default_lz4hc;
    /// Zstandard.
    Zstd = c"zstd", zstd::Zstd, if zram_rs_zstd, default if zram_rs_default_zstd;
    /// DEFLATE, implemented by zlib.
    Deflate = c"deflate", deflate::Deflate, if zram_rs_deflate, default if zram_rs_default_deflate;
    /// 842, implemented in software.
    Sw842 = c"842", sw842::Sw842, if zram_rs_842, default if zram_rs_default_842;
}

impl Algorithm {
    /// Finds an algorithm by its name, and ignores a newline after the name.
    pub(crate) fn find(name: &CStr) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| sysfs_streq(name, algorithm.name()))
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Space that an algorithm may require in addition to the size of its result, in bytes.
///
/// Compressors check for space a few bytes ahead of what they write.
const MARGIN: usize = 64;

/// A buffer for a compressed page.
///
/// A page that cannot be compressed becomes larger, but with no algorithm as large as this.
type Buffer = [u8; 2 * PAGE_SIZE];

/// The working memory and the buffers with which one CPU compresses and decompresses.
pub(crate) struct Stream {
    context: Context,
    buffer: VBox<Buffer>,
    /// Whether the last page did not fit, in which case the next one is likely not to fit either.
    gave_up: bool,
    scratch: VBox<[u8; PAGE_SIZE]>,
}

impl Stream {
    fn new(setup: &Setup) -> Result<Self> {
        Ok(Self {
            context: Context::new(setup)?,
            buffer: VBox::zeroed(gfp_nowarn())?,
            gave_up: false,
            scratch: VBox::zeroed(gfp_nowarn())?,
        })
    }

    /// Compresses a page and returns the result, or `None` if it has `limit` bytes or more.
    ///
    /// An algorithm with a small buffer gives up early on a page that cannot be compressed, and
    /// does not copy that page, but is slower on all others. It therefore gets the whole buffer
    /// until a page does not fit. The result does not depend on the size of the buffer.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`, or the error code of the library: the algorithm fails.
    pub(crate) fn compress(
        &mut self,
        page: &MappedPage<'_>,
        limit: usize,
    ) -> Result<Option<&[u8]>> {
        let room = if self.gave_up {
            limit.min(PAGE_SIZE) + MARGIN
        } else {
            self.buffer.len()
        };
        let dst = self.buffer.get_mut(..room).ok_or(EIO)?;
        let len = self.context.compress(page, dst)?;
        let bytes = len
            .filter(|&len| len < limit)
            .and_then(|len| self.buffer.get(..len));
        self.gave_up = bytes.is_none();
        Ok(bytes)
    }

    /// Splits the stream into a decompressor and a page of scratch memory.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut [u8; PAGE_SIZE]) {
        (Decompressor(&mut self.context), &mut self.scratch)
    }
}

/// The part of a [`Stream`] that decompresses.
pub(crate) struct Decompressor<'a>(&'a mut Context);

impl Decompressor<'_> {
    /// Decompresses a page.
    ///
    /// # Context
    ///
    /// Any context but interrupts; does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`, or the error code of the library: `bytes` are not a compressed page. The contents
    /// of `page` are then undefined.
    pub(crate) fn decompress(&mut self, bytes: &[u8], page: &MappedPage<'_>) -> Result {
        self.0.decompress(bytes, page)
    }
}

/// The streams of a disk, by the priority of their algorithm.
pub(crate) struct AllStreams([Option<Registered<Streams>>; Priority::COUNT]);

impl AllStreams {
    /// Creates the streams for all algorithms of a configuration.
    ///
    /// Logs the algorithm that fails.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a parameter is out of range, or a dictionary cannot be used.
    /// - `EOPNOTSUPP`: an algorithm does not support a parameter that is set.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn new(config: &CompConfig, state: &Arc<HotplugState>) -> Result<Self> {
        let mut streams = [const { None }; Priority::COUNT];
        for (priority, place) in Priority::PRIMARY.and_above().zip(&mut streams) {
            if let Some(algorithm) = config.algorithm(priority) {
                let made = Streams::new(algorithm, config.params(priority), state);
                *place = Some(made.inspect_err(|_| {
                    pr_err!(
                        "Cannot initialise {} compressing backend\n",
                        algorithm.name()
                    )
                })?);
            }
        }
        Ok(Self(streams))
    }

    /// Returns the streams for the algorithm with a priority, or `None` if the disk has none.
    ///
    /// # Context
    ///
    /// Any context.
    #[inline]
    pub(crate) fn get(&self, priority: Priority) -> Option<&Streams> {
        self.0.get(priority.number())?.as_deref()
    }

    /// Returns whether the disk has no algorithm with a higher priority.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn is_last(&self, priority: Priority) -> bool {
        self.0
            .iter()
            .skip(priority.number() + 1)
            .all(Option::is_none)
    }
}

/// The streams for one algorithm, one per online CPU.
pub(crate) struct Streams {
    setup: Setup,
    streams: PerCpu<Mutex<Option<Stream>>>,
    help_marks: HelpMarks,
}

/// The CPU hotplug state at which the streams of a CPU are created and freed.
pub(crate) type HotplugState = cpuhp::State<Streams>;

/// Takes the CPU hotplug state that the kernel reserves for zram.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// - `EBUSY`: another zram driver has the state.
pub(crate) fn hotplug_state() -> Result<HotplugState> {
    HotplugState::new(PrepareState::Zcomp, c"block/zram:prepare")
}

impl Streams {
    /// Creates the streams for an algorithm.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// The errors of [`Backend::setup`] and [`Backend::new`].
    fn new(
        algorithm: Algorithm,
        params: &Params,
        state: &Arc<HotplugState>,
    ) -> Result<Registered<Self>> {
        let setup = Setup::new(algorithm, params)?;
        let streams = PerCpu::new(|| new_mutex!(None, "zram_rs stream"))?;
        state.register::<Error>(Ok(Self {
            setup,
            streams,
            help_marks: algorithm.help_marks(),
        }))
    }

    /// Returns from when on it pays to share requests. Any context.
    pub(crate) fn help_marks(&self) -> HelpMarks {
        self.help_marks
    }

    /// Calls `f` with a stream, normally the one of the current CPU.
    ///
    /// # Context
    ///
    /// May sleep. `f` runs with the stream locked, and must not lock a slot: a stream is locked
    /// after a slot.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Stream) -> R) -> R {
        loop {
            // After this task reads the number of its CPU and before it locks the stream, the task
            // may migrate and the CPU may go offline. The task's new CPU then has a stream.
            if let Some(stream) = &mut *self.streams.current().lock() {
                return f(stream);
            }
        }
    }

    /// Calls `f` with the stream of the current CPU, or returns `None` if another task has it.
    ///
    /// # Context
    ///
    /// A task; does not sleep, unless `f` does. `f` must not lock a slot.
    #[inline]
    pub(crate) fn try_with<R>(&self, f: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let stream = &mut *self.streams.current().try_lock()?;
        stream.as_mut().map(f)
    }

    /// Calls `f` as [`with`](Self::with) does, or, `at_once`, as [`try_with`](Self::try_with) does.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`, with `at_once`: another task has the stream.
    /// - Those of `f`.
    #[inline(always)]
    pub(crate) fn with_at_once<R>(
        &self,
        at_once: bool,
        f: impl FnOnce(&mut Stream) -> Result<R>,
    ) -> Result<R> {
        match at_once {
            true => self.try_with(f).unwrap_or(Err(EAGAIN)),
            false => self.with(f),
        }
    }
}

impl Instance for Streams {
    fn prepare(&self, cpu: CpuId) -> Result {
        // Allocate before locking: reclaim may swap to this disk, which locks a stream.
        let stream = Stream::new(&self.setup).inspect_err(|_| {
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

#[kunit_tests(zram_rs_comp)]
mod tests {
    use super::*;
    use crate::abstractions::{
        alloc::Gfp,
        page::OwnedPage, //
    };

    /// Returns `loose` bytes that cannot be compressed.
    fn contents(loose: usize) -> Result<KVVec<u8>> {
        let mut bytes = KVVec::with_capacity(loose, GFP_KERNEL)?;
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..loose {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push((state >> 32) as u8, GFP_KERNEL)?;
        }
        Ok(bytes)
    }

    #[test]
    fn room_does_not_change_the_result() -> Result {
        const LIMIT: usize = PAGE_SIZE / 16 * 13;
        // As many bytes in all, whatever the size of a page.
        const STEP: usize = (PAGE_SIZE / 4096) * (PAGE_SIZE / 4096) * 3;
        let copy = OwnedPage::new(Gfp::KERNEL)?;
        let copy = copy.as_page();
        let page = copy.map();
        for &algorithm in Algorithm::ALL {
            let setup = Setup::new(algorithm, &Params::default())?;
            let mut stream = Stream::new(&setup)?;
            let (mut fit, mut failed) = (0, 0);
            for loose in (LIMIT - LIMIT / 4..LIMIT + LIMIT / 8).step_by(STEP) {
                page.write(0, &contents(loose)?);
                page.clear_from(loose);
                stream.gave_up = false;
                let with_all = stream.compress(&page, LIMIT)?.map(<[u8]>::len);
                stream.gave_up = true;
                let with_little = stream.compress(&page, LIMIT)?.map(<[u8]>::len);
                assert_eq!(with_all, with_little);
                match with_all {
                    Some(_) => fit += 1,
                    None => failed += 1,
                }
            }
            // The sizes lie on both sides of the limit.
            assert!(fit > 0 && failed > 0);
        }
        Ok(())
    }
}
