// SPDX-License-Identifier: GPL-2.0

//! Compression: the algorithms, and one stream for each CPU.
//!
//! A stream is what a CPU needs to compress or decompress a page: the algorithm's working memory
//! and two buffers. A disk has one for each CPU that is online, behind a mutex that is taken for
//! one page at a time.

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
    cpuhp::{
        self,
        Instance,
        PrepareState,
        Registered, //
    },
    page::MappedPage,
    parse::sysfs_streq,
    percpu::PerCpu, //
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

/// How working memory is allocated: that there is none is told by whoever asked for it.
fn gfp_nowarn() -> Flags {
    GFP_KERNEL | __GFP_NOWARN
}

/// Which of a disk's algorithms: the primary one, for pages that are written, or one of those that
/// pages are recompressed with. The higher, the better it is thought to compress. All methods are
/// for any context.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Priority(u8);

impl Priority {
    /// How many bits a priority takes.
    pub(crate) const BITS: u32 = 2;
    /// How many priorities there are.
    pub(crate) const COUNT: usize = 1 << Self::BITS;
    /// Of the algorithm for pages that are written.
    pub(crate) const PRIMARY: Self = Self(0);
    /// The lowest of the algorithms for recompression.
    pub(crate) const SECONDARY: Self = Self(1);

    /// Returns the priority that a user calls `number`, if there is one.
    pub(crate) fn from_user(number: i32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|&number| usize::from(number) < Self::COUNT)
            .map(Self)
    }

    /// Returns the priority that the lowest bits of a number stand for.
    #[inline]
    pub(crate) const fn from_bits(bits: usize) -> Self {
        Self((bits & (Self::COUNT - 1)) as u8)
    }

    /// Returns the number of the priority, which is below [`COUNT`](Self::COUNT).
    #[inline]
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// Returns this priority, and those above it.
    pub(crate) fn and_above(self) -> impl Iterator<Item = Self> {
        (self.number()..Self::COUNT).map(Self::from_bits)
    }
}

/// How pages are compressed and decompressed with an algorithm: the working memory that this takes.
trait Backend: Sized {
    /// What all streams of a disk have in common: parameters that were checked, and what was
    /// prepared from a dictionary.
    type Setup: Send + Sync;

    /// Checks the parameters. Fails with `EINVAL` if there is no such level, say, and with
    /// `EOPNOTSUPP` if the algorithm knows no levels, and says so in the log. May sleep.
    fn setup(params: &Params) -> Result<Self::Setup>;

    /// Allocates working memory. Fails with `ENOMEM`. May sleep.
    fn new(setup: &Self::Setup) -> Result<Self>;

    /// Compresses a page, whose owner may change it meanwhile, and returns the size of the result
    /// in bytes; `None` if there is not enough room for it in `dst`, or may not be: see [`MARGIN`].
    /// Fails if the algorithm does, with `EINVAL` as a rule. May sleep.
    fn compress(&mut self, src: &MappedPage<'_>, dst: &mut [u8]) -> Result<Option<usize>>;

    /// Decompresses a page. Fails if that is not what comes out of `src`, with `EINVAL` as a rule.
    /// May sleep.
    fn decompress(&mut self, src: &[u8], dst: &MappedPage<'_>) -> Result;
}

/// Defines the algorithms, each with its name, its backend, the condition for being there, and that
/// for being the default. The order is that in which they are shown.
macro_rules! algorithms {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $name:literal, $backend:ty, if $have:ident, default if $default:ident;
    )*) => {
        /// A way to compress pages. All methods are for any context.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Algorithm {
            $(
                $(#[doc = $doc])*
                #[cfg($have)]
                $variant,
            )*
        }

        impl Algorithm {
            /// All that there are, in the order in which they are shown.
            pub(crate) const ALL: &'static [Self] = &[
                $( #[cfg($have)] Self::$variant, )*
            ];

            /// The one that the kernel's configuration chose; else the first.
            const DEFAULT: Self = {
                let candidates = [
                    $( #[cfg(all($have, $default))] Self::$variant, )*
                    Self::ALL[0],
                ];
                candidates[0]
            };

            /// Returns the name by which users know the algorithm.
            pub(crate) const fn name(self) -> &'static CStr {
                match self {
                    $( #[cfg($have)] Self::$variant => $name, )*
                }
            }
        }

        /// What all streams of a disk have in common.
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

        /// The working memory of an algorithm.
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
    /// LZ4, slower to compress, and smaller.
    Lz4hc = c"lz4hc", lz4hc::Lz4hc, if zram_rs_lz4hc, default if zram_rs_default_lz4hc;
    /// Zstandard.
    Zstd = c"zstd", zstd::Zstd, if zram_rs_zstd, default if zram_rs_default_zstd;
    /// DEFLATE, as in zlib.
    Deflate = c"deflate", deflate::Deflate, if zram_rs_deflate, default if zram_rs_default_deflate;
    /// 842, which some processors do in hardware; this is the one in software.
    Sw842 = c"842", sw842::Sw842, if zram_rs_842, default if zram_rs_default_842;
}

impl Algorithm {
    /// Finds an algorithm by its name, which a newline may follow.
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

/// How much more room an algorithm may want to see than its result takes in the end, in bytes. They
/// look ahead by a few.
const MARGIN: usize = 64;

/// Room for the result of compressing a page: what cannot be compressed becomes larger, but never
/// as large as this, with any algorithm.
type Buffer = [u8; 2 * PAGE_SIZE];

/// What one CPU needs to compress and decompress.
pub(crate) struct Stream {
    context: Context,
    buffer: VBox<Buffer>,
    /// Whether the last page could not be compressed, which makes it likely for the next one.
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

    /// Compresses a page to less than `limit` bytes, which are valid until the stream is used
    /// again. Returns `None` if that is not possible.
    ///
    /// An algorithm that is short of room gives up early, and does not copy what it cannot
    /// compress, but is slower otherwise. So it gets all the room there is, until it has failed.
    /// The result is the same.
    ///
    /// Fails if the algorithm does, with `EINVAL` as a rule. May sleep.
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

    /// Splits off a page of scratch memory; the other half decompresses. Any context.
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut [u8; PAGE_SIZE]) {
        (Decompressor(&mut self.context), &mut self.scratch)
    }
}

/// The part of a [`Stream`] that decompresses.
pub(crate) struct Decompressor<'a>(&'a mut Context);

impl Decompressor<'_> {
    /// Decompresses a page. Fails if `bytes` are not a compressed page, with `EINVAL` as a rule;
    /// what is in `page` then may be anything. May sleep.
    pub(crate) fn decompress(&mut self, bytes: &[u8], page: &MappedPage<'_>) -> Result {
        self.0.decompress(bytes, page)
    }
}

/// The streams of a disk, for each algorithm that it uses.
pub(crate) struct AllStreams([Option<Registered<Streams>>; Priority::COUNT]);

impl AllStreams {
    /// Makes the streams for the algorithms that were chosen.
    ///
    /// Fails with what is wrong with the parameters (`EINVAL`, `EOPNOTSUPP`), or with `ENOMEM`, and
    /// says so in the log. May sleep.
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

    /// Returns the streams for the algorithm with this priority, if there is one. Any context.
    #[inline]
    pub(crate) fn get(&self, priority: Priority) -> Option<&Streams> {
        self.0.get(priority.number())?.as_deref()
    }

    /// Returns whether there is no algorithm above this priority. Any context.
    pub(crate) fn is_last(&self, priority: Priority) -> bool {
        self.0
            .iter()
            .skip(priority.number() + 1)
            .all(Option::is_none)
    }
}

/// Streams for one algorithm, one for each CPU that is online.
pub(crate) struct Streams {
    setup: Setup,
    streams: PerCpu<Mutex<Option<Stream>>>,
}

/// The state in the life of a CPU at which its streams are made.
pub(crate) type HotplugState = cpuhp::State<Streams>;

/// Takes the state in the life of a CPU that the kernel reserves for zram.
///
/// Fails with `EBUSY` if another driver for zram has it. May sleep.
pub(crate) fn hotplug_state() -> Result<HotplugState> {
    HotplugState::new(PrepareState::Zcomp, c"block/zram:prepare")
}

impl Streams {
    /// Makes the streams for an algorithm.
    ///
    /// Fails with what is wrong with the parameters (`EINVAL`, `EOPNOTSUPP`), or with `ENOMEM`. May
    /// sleep.
    fn new(
        algorithm: Algorithm,
        params: &Params,
        state: &Arc<HotplugState>,
    ) -> Result<Registered<Self>> {
        let setup = Setup::new(algorithm, params)?;
        let streams = PerCpu::new(|| new_mutex!(None, "zram_rs stream"))?;
        state.register::<Error>(Ok(Self { setup, streams }))
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
        page::BouncePage, //
    };

    /// Bytes that cannot be compressed, `loose` of them, and nothing but zeroes behind.
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
        let copy = BouncePage::new(Gfp::KERNEL)?;
        let copy = copy.as_page();
        let page = copy.map();
        for &algorithm in Algorithm::ALL {
            let setup = Setup::new(algorithm, &Params::default())?;
            let mut stream = Stream::new(&setup)?;
            let (mut fit, mut failed) = (0, 0);
            for loose in (LIMIT - LIMIT / 4..LIMIT + LIMIT / 8).step_by(3) {
                page.write(&contents(loose)?);
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
            // On both sides of the limit.
            assert!(fit > 0 && failed > 0);
        }
        Ok(())
    }
}
