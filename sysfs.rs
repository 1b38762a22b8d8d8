// SPDX-License-Identifier: GPL-2.0

//! The attributes of disks and of the class in sysfs.
//!
//! This module defines their names and formats, and parses what users write to them;
//! [`device`](crate::device) and [`control`](crate::control) do everything else.

use crate::{
    abstractions::{
        block::gendisk::{
            DiskAttribute,
            GenDisk, //
        },
        device::{
            class::ClassAttribute,
            sysfs::{
                AttributeList,
                Show,
                Store, //
            },
        },
        parse::{
            kstrtoint,
            kstrtou16,
            kstrtouint,
            kstrtoull,
            memparse,
            sysfs_streq,
            Args, //
        },
    },
    comp::{
        Algorithm,
        ParamsUpdate,
        Priority, //
    },
    control::Control,
    device::Device,
    marks::Marks,
    recompress::RecompressRequest,
    report,
    tiering::settings::{
        AutoRecompress,
        AutoWriteback, //
    },
    writeback::{
        period::Rate,
        selection::Selection, //
    },
};
use kernel::{
    fmt::Write,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    str::{
        kstrtobool,
        CString,
        Formatter, //
    },
};

type Disk = GenDisk<Device>;

/// The length from which on a name of an algorithm is too long.
const MAX_ALGORITHM_NAME: usize = 128;

/// The attributes in `/sys/class/zram-control/`.
pub(crate) struct ControlDirectory;

impl AttributeList for ControlDirectory {
    type Attribute = ClassAttribute<Control>;

    const ATTRIBUTES: &'static [Self::Attribute] = &[
        ClassAttribute::read_only::<HotAdd>(c"hot_add", 0o400),
        ClassAttribute::write_only::<HotRemove>(c"hot_remove", 0o200),
    ];
}

/// The attributes in `/sys/block/zram<id>/`.
pub(crate) struct DiskDirectory;

impl AttributeList for DiskDirectory {
    type Attribute = DiskAttribute<Device>;

    const ATTRIBUTES: &'static [Self::Attribute] = &[
        DiskAttribute::read_write::<DiskSize>(c"disksize"),
        DiskAttribute::read_only::<InitState>(c"initstate"),
        DiskAttribute::write_only::<Reset>(c"reset"),
        DiskAttribute::write_only::<Compact>(c"compact"),
        DiskAttribute::write_only::<MemLimit>(c"mem_limit"),
        DiskAttribute::write_only::<MemUsedMax>(c"mem_used_max"),
        DiskAttribute::write_only::<Idle>(c"idle"),
        DiskAttribute::read_write::<CompAlgorithm>(c"comp_algorithm"),
        DiskAttribute::read_only::<BdStatFile>(c"bd_stat"),
        DiskAttribute::read_write::<BackingDev>(c"backing_dev"),
        DiskAttribute::write_only::<Writeback>(c"writeback"),
        DiskAttribute::read_write::<WritebackLimit>(c"writeback_limit"),
        DiskAttribute::read_write::<WritebackLimitEnable>(c"writeback_limit_enable"),
        DiskAttribute::read_write::<WritebackBudget>(c"writeback_budget"),
        DiskAttribute::read_write::<WritebackBatchSize>(c"writeback_batch_size"),
        DiskAttribute::read_write::<CompressedWriteback>(c"compressed_writeback"),
        DiskAttribute::read_write::<PackedWriteback>(c"packed_writeback"),
        DiskAttribute::read_only::<BdPackStatFile>(c"bd_pack_stat"),
        DiskAttribute::read_only::<IoStatFile>(c"io_stat"),
        DiskAttribute::read_only::<MmStatFile>(c"mm_stat"),
        DiskAttribute::read_only::<DebugStat>(c"debug_stat"),
        DiskAttribute::read_write::<RecompAlgorithm>(c"recomp_algorithm"),
        DiskAttribute::write_only::<Recompress>(c"recompress"),
        DiskAttribute::write_only::<AlgorithmParams>(c"algorithm_params"),
        DiskAttribute::read_write::<AutoWritebackFile>(c"auto_writeback"),
        DiskAttribute::read_write::<AutoRecompressFile>(c"auto_recompress"),
        DiskAttribute::read_write::<EventMarks>(c"event_marks"),
        DiskAttribute::private::<StatsFile>(c"stats"),
    ];
}

/// `hot_add`: a read adds a disk and returns its id.
struct HotAdd;

impl Show<Control> for HotAdd {
    fn show(control: &Control, out: &mut Formatter<'_>) -> Result {
        let id = control.add()?;
        writeln!(out, "{id}")?;
        Ok(())
    }
}

/// `hot_remove`: writing the id of a disk removes the disk.
struct HotRemove;

impl Store<Control> for HotRemove {
    fn store(control: &Control, input: &CStr) -> Result {
        control.remove(kstrtoint(input, 10)?.try_into()?)
    }
}

/// `disksize`: the size of the disk in bytes; a write initialises the disk.
struct DiskSize;

impl Show<Disk> for DiskSize {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", disk.data().size())?;
        Ok(())
    }
}

impl Store<Disk> for DiskSize {
    fn store(disk: &Disk, input: &CStr) -> Result {
        Device::initialise(disk, memparse(input).unwrap_or(0))
    }
}

/// `initstate`: 1 if the disk is initialised, else 0.
struct InitState;

impl Show<Disk> for InitState {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", u32::from(disk.data().is_initialised()))?;
        Ok(())
    }
}

/// `reset`: writing a number other than 0 resets the disk.
struct Reset;

impl Store<Disk> for Reset {
    fn store(disk: &Disk, input: &CStr) -> Result {
        if kstrtou16(input, 10)? == 0 {
            return Err(EINVAL);
        }
        Device::reset(disk)
    }
}

/// `compact`: writing any text compacts the memory of the disk.
struct Compact;

impl Store<Disk> for Compact {
    fn store(disk: &Disk, _input: &CStr) -> Result {
        disk.data()
            .config
            .with_store(|store| store.pool().compact())
            .ok_or(EINVAL)
    }
}

/// `mem_limit`: the maximum of memory that the disk may use, in bytes; 0 for no limit.
struct MemLimit;

impl Store<Disk> for MemLimit {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let bytes = memparse(input).ok_or(EINVAL)?;
        disk.data().set_memory_limit(bytes);
        Ok(())
    }
}

/// `mem_used_max`: writing 0 resets the maximum of the memory used to the memory in use.
struct MemUsedMax;

impl Store<Disk> for MemUsedMax {
    fn store(disk: &Disk, input: &CStr) -> Result {
        if kstrtoull(input, 10) != Ok(0) {
            return Err(EINVAL);
        }
        disk.data()
            .config
            .with_store(|store| store.stats.reset_used_pages(store.pool().pages()));
        Ok(())
    }
}

/// Prints a line with the names of all algorithms, the one in use in brackets.
fn show_algorithms(used: Algorithm, out: &mut Formatter<'_>) -> Result {
    for &algorithm in Algorithm::ALL {
        if algorithm == used {
            out.write_fmt(fmt!("[{}] ", algorithm.name()))?;
        } else {
            out.write_fmt(fmt!("{} ", algorithm.name()))?;
        }
    }
    writeln!(out)?;
    Ok(())
}

/// Returns the algorithm with a name.
///
/// # Errors
///
/// `E2BIG` if the name is too long, `EINVAL` if there is no such algorithm.
fn find_algorithm(name: &CStr) -> Result<Algorithm> {
    if name.count_bytes() >= MAX_ALGORITHM_NAME {
        return Err(E2BIG);
    }
    Algorithm::find(name).ok_or(EINVAL)
}

/// `comp_algorithm`: the available algorithms; writing a name selects the primary one.
struct CompAlgorithm;

impl Show<Disk> for CompAlgorithm {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        match disk.data().algorithm(Priority::PRIMARY) {
            Some(used) => show_algorithms(used, out),
            None => Ok(()),
        }
    }
}

impl Store<Disk> for CompAlgorithm {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let algorithm = find_algorithm(input)?;
        disk.data().set_algorithm(Priority::PRIMARY, algorithm)
    }
}

/// `recomp_algorithm`: the algorithms for recompression, one line for each priority.
///
/// Writing `algo=<name> priority=<n>` selects one.
struct RecompAlgorithm;

impl Show<Disk> for RecompAlgorithm {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        for priority in Priority::SECONDARY.and_above() {
            if let Some(used) = disk.data().algorithm(priority) {
                write!(out, "#{}: ", priority.number())?;
                show_algorithms(used, out)?;
            }
        }
        Ok(())
    }
}

impl Store<Disk> for RecompAlgorithm {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let mut algorithm = None;
        let mut priority = Some(Priority::SECONDARY);
        let mut args = Args::new(input)?;
        while let Some((name, value)) = args.next_pair()? {
            match name.to_bytes() {
                b"algo" => algorithm = Some(CString::try_from(value)?),
                b"priority" => priority = Priority::from_user(kstrtoint(value, 10)?),
                _ => (),
            }
        }
        let algorithm = algorithm.ok_or(EINVAL)?;
        let priority = priority
            .filter(|&priority| priority >= Priority::SECONDARY)
            .ok_or(EINVAL)?;
        disk.data()
            .set_algorithm(priority, find_algorithm(&algorithm)?)
    }
}

/// `algorithm_params`: a write sets the parameters of an algorithm; see [`ParamsUpdate::parse`].
struct AlgorithmParams;

impl Store<Disk> for AlgorithmParams {
    fn store(disk: &Disk, input: &CStr) -> Result {
        disk.data().set_params(&ParamsUpdate::parse(input)?)
    }
}

/// `recompress`: a write recompresses the pages that it selects; see [`RecompressRequest::parse`].
struct Recompress;

impl Store<Disk> for Recompress {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let request = RecompressRequest::parse(input)?;
        disk.data().recompress(&request)
    }
}

/// `idle`: writing `all` marks all pages that take memory as idle.
///
/// Writing a number marks those of them that were not accessed for that many seconds.
struct Idle;

impl Store<Disk> for Idle {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let age = if sysfs_streq(input, c"all") {
            None
        } else {
            Some(kstrtouint(input, 0).map_err(|_| EINVAL)?)
        };
        disk.data().mark_idle(age)
    }
}

/// `backing_dev`: the path of the backing device, or `none`.
struct BackingDev;

impl Show<Disk> for BackingDev {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        // A page is too large for the stack.
        let mut buffer = KVec::from_elem(0, PAGE_SIZE - 1, GFP_KERNEL)?;
        let path = disk.data().backing_path(&mut buffer)?;
        let path = path.unwrap_or(c"none");
        match path.to_str() {
            Ok(path) => writeln!(out, "{path}")?,
            // A path that is not UTF-8 is shown with escape sequences.
            Err(_) => out.write_fmt(fmt!("{}\n", path))?,
        }
        Ok(())
    }
}

impl Store<Disk> for BackingDev {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let bytes = input.to_bytes();
        let mut path = KVec::new();
        path.extend_from_slice(bytes.strip_suffix(b"\n").unwrap_or(bytes), GFP_KERNEL)?;
        path.push(0, GFP_KERNEL)?;
        let path = CStr::from_bytes_with_nul(&path).map_err(|_| EINVAL)?;
        Device::set_backing(disk, path)
    }
}

/// `compressed_writeback`: 1 if pages are written back compressed, as they are in memory.
struct CompressedWriteback;

impl Show<Disk> for CompressedWriteback {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", u32::from(disk.data().compressed_writeback()))?;
        Ok(())
    }
}

impl Store<Disk> for CompressedWriteback {
    fn store(disk: &Disk, input: &CStr) -> Result {
        disk.data().set_compressed_writeback(kstrtobool(input)?)
    }
}

/// `packed_writeback`: 1 if compressed pages share blocks of the backing device.
struct PackedWriteback;

impl Show<Disk> for PackedWriteback {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", u32::from(disk.data().packed_writeback()))?;
        Ok(())
    }
}

impl Store<Disk> for PackedWriteback {
    fn store(disk: &Disk, input: &CStr) -> Result {
        disk.data().set_packed_writeback(kstrtobool(input)?)
    }
}

/// `writeback`: a write writes the pages back that it selects; see [`Selection::parse`]. Writing
/// `compact` packs the blocks of the backing device anew that are not full.
struct Writeback;

impl Store<Disk> for Writeback {
    fn store(disk: &Disk, input: &CStr) -> Result {
        if sysfs_streq(input, c"compact") {
            return disk.data().compact_backing();
        }
        disk.data()
            .write_back(|pages| Selection::parse(input, pages))
    }
}

/// `writeback_limit`: the amount that may still be written back, in units of 4 KiB.
struct WritebackLimit;

impl Show<Disk> for WritebackLimit {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", disk.data().budget.units())?;
        Ok(())
    }
}

impl Store<Disk> for WritebackLimit {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let units = kstrtoull(input, 10).map_err(|_| EINVAL)?;
        disk.data().budget.set_units(units)
    }
}

/// `writeback_limit_enable`: 1 if the limit is enforced.
struct WritebackLimitEnable;

impl Show<Disk> for WritebackLimitEnable {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", u32::from(disk.data().budget.is_enabled()))?;
        Ok(())
    }
}

impl Store<Disk> for WritebackLimitEnable {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let enable = kstrtoull(input, 10).map_err(|_| EINVAL)?;
        disk.data().budget.set_enabled(enable != 0)
    }
}

/// `writeback_budget`: how much may be written back in any period of a length; see [`Rate::parse`].
struct WritebackBudget;

impl Show<Disk> for WritebackBudget {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        match disk.data().budget.rate() {
            Some(rate) => out.write_fmt(fmt!("{rate}\n"))?,
            None => writeln!(out, "off")?,
        }
        Ok(())
    }
}

impl Store<Disk> for WritebackBudget {
    fn store(disk: &Disk, input: &CStr) -> Result {
        disk.data().budget.set_rate(Rate::parse(input)?)
    }
}

/// `auto_writeback`: when and which pages are written back by themselves; see
/// [`AutoWriteback::parse`].
struct AutoWritebackFile;

impl Show<Disk> for AutoWritebackFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        match disk.data().tiering.writeback() {
            Some(settings) => out.write_fmt(fmt!("{settings}\n"))?,
            None => writeln!(out, "off")?,
        }
        Ok(())
    }
}

impl Store<Disk> for AutoWritebackFile {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let settings = AutoWriteback::parse(input)?;
        disk.data().tiering.set_writeback(settings)
    }
}

/// `auto_recompress`: when and which pages are recompressed by themselves; see
/// [`AutoRecompress::parse`].
struct AutoRecompressFile;

impl Show<Disk> for AutoRecompressFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        match disk.data().tiering.recompress() {
            Some(settings) => out.write_fmt(fmt!("{settings}\n"))?,
            None => writeln!(out, "off")?,
        }
        Ok(())
    }
}

impl Store<Disk> for AutoRecompressFile {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let settings = AutoRecompress::parse(input)?;
        disk.data().tiering.set_recompress(settings)
    }
}

/// `writeback_batch_size`: the maximum number of writeback requests in flight.
struct WritebackBatchSize;

impl Show<Disk> for WritebackBatchSize {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "{}", disk.data().batch_size())?;
        Ok(())
    }
}

impl Store<Disk> for WritebackBatchSize {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let requests = kstrtouint(input, 10).map_err(|_| EINVAL)?;
        disk.data().set_batch_size(requests)
    }
}

/// `bd_stat`: blocks of the backing device in use, reads from it, and writes to it, in units of
/// 4 KiB.
struct BdStatFile;

impl Show<Disk> for BdStatFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        let stat = disk.data().bd_stat();
        let units = |blocks: u64| blocks << (PAGE_SHIFT - 12);
        writeln!(
            out,
            "{:8} {:8} {:8}",
            units(stat.blocks),
            units(stat.reads),
            units(stat.writes)
        )?;
        Ok(())
    }
}

/// `bd_pack_stat`: pages on the backing device, bytes of their data, blocks in use, and blocks of
/// which less than half is live; blocks and pages in units of 4 KiB.
struct BdPackStatFile;

impl Show<Disk> for BdPackStatFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        let stat = disk.data().bd_pack_stat();
        let units = |blocks: u64| blocks << (PAGE_SHIFT - 12);
        writeln!(
            out,
            "{:8} {:8} {:8} {:8}",
            units(stat.pages),
            stat.pack.bytes,
            units(stat.blocks),
            units(stat.pack.sparse as u64)
        )?;
        Ok(())
    }
}

/// `io_stat`: failed reads, failed writes, 0, and pages freed on request.
struct IoStatFile;

impl Show<Disk> for IoStatFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        let (reads, writes, frees) = disk
            .data()
            .config
            .with_store(|store| {
                let stats = &store.stats;
                (
                    stats.failed_reads.get(),
                    stats.failed_writes.get(),
                    stats.notify_free.get(),
                )
            })
            .unwrap_or_default();
        writeln!(out, "{reads:8} {writes:8} 0 {frees:8}")?;
        Ok(())
    }
}

/// `mm_stat`: memory use, in bytes; see [`MmStat`](crate::device::MmStat).
struct MmStatFile;

impl Show<Disk> for MmStatFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        let stat = disk.data().mm_stat();
        writeln!(
            out,
            "{:8} {:8} {:8} {:8} {:8} {:8} {:8} {:8} {:8}",
            stat.pages_stored << PAGE_SHIFT,
            stat.stored_bytes,
            stat.used_pages << PAGE_SHIFT,
            stat.limit_pages << PAGE_SHIFT,
            stat.max_used_pages << PAGE_SHIFT,
            stat.same_pages,
            stat.pages_compacted,
            stat.huge_pages,
            stat.huge_pages_since,
        )?;
        Ok(())
    }
}

/// `debug_stat`: the version of this file, 0, and the number of pages that a request failed to
/// free.
struct DebugStat;

impl Show<Disk> for DebugStat {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        let misses = disk
            .data()
            .config
            .with_store(|store| store.stats.miss_free.get())
            .unwrap_or(0);
        writeln!(out, "version: 1\n0 {misses:8}")?;
        Ok(())
    }
}

/// `event_marks`: what wakes tasks that poll `mm_stat`, `bd_stat` and `writeback_limit`; see
/// [`Marks::parse`].
struct EventMarks;

impl Show<Disk> for EventMarks {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        disk.data().marks().show(out)
    }
}

impl Store<Disk> for EventMarks {
    fn store(disk: &Disk, input: &CStr) -> Result {
        Device::set_marks(disk, Marks::parse(input)?)
    }
}

/// `stats`: a line with a name and a number for each thing that is counted; see [`report`].
///
/// Writing `latency=<boolean>` sets whether requests to the backing device are measured.
struct StatsFile;

impl Show<Disk> for StatsFile {
    fn show(disk: &Disk, out: &mut Formatter<'_>) -> Result {
        report::write(disk.data(), out)
    }
}

impl Store<Disk> for StatsFile {
    fn store(disk: &Disk, input: &CStr) -> Result {
        let mut args = Args::new(input)?;
        let Some((name, value)) = args.next_pair()? else {
            return Err(EINVAL);
        };
        if name.to_bytes() != b"latency" {
            return Err(EINVAL);
        }
        let is_on = kstrtobool(value)?;
        if args.next().is_some() {
            return Err(EINVAL);
        }
        disk.data().events().latency.set_on(is_on);
        Ok(())
    }
}
