// SPDX-License-Identifier: GPL-2.0
/*
 * matrix: runs every operation against every other, and against itself, in loops.
 *
 * usage: matrix [-t SECONDS] [-S SEED] [-o NAMES] [-d MODULE] BACKING...
 *        matrix list
 *
 * Takes SECONDS (default 60) for all pairs of operations together, in several rounds if that leaves
 * more than two seconds for a pair. BACKING are nine unused block devices of at least 1 MiB.
 * "list" prints the names of the operations; -o restricts the run to pairs with one of these NAMES
 * (separated by commas). The module is loaded, as MODULE (zram_rs).
 *
 * The disks, each with a backing device, are three that are read and written (one for each form of
 * writeback), two for swap, two for file systems, and two that are reset all the time. Each
 * operation has two processes, which wait for the turn of a pair.
 *
 * All written data identifies itself: each page carries its number and its generation, which
 * determine all of its bytes. A page has one writer at a time; a read may see the generation that
 * was complete when it began, or a later one. Between two pairs, when no operation runs, one of the
 * disks is checked: every page, its counters, and that a discard of all pages leaves nothing in
 * memory and on the backing device.
 *
 * For scripts, there is one line for each operation, and a last one for all:
 *
 *	row NAME problems=N operations=N with NAME NAME ...
 *	matrix: pairs=N rounds=N operations=N problems=N
 *
 * Exit status: 0 if all checks passed, 1 if one failed, 2 if the check could not be made, 3 if an
 * operation hangs.
 */

#define _GNU_SOURCE
#include <linux/falloc.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE page_size
#include "data.h"

#define UNITS		(PAGE / 4096)	/* of 4 KiB in a page, which files count */
#define RUN		8		/* pages in one read or write, at most */
#define LARGE		160UL		/* the same of a large one, with which idle CPUs help */
#define LEAST_LARGE	4
#define DIRECT		96UL		/* pages that are read and written directly */
#define BUFFERED	32UL		/* those after them, only by way of the page cache */
#define PAGES		(DIRECT + BUFFERED)
#define DISK_PAGES	384UL		/* of any disk, and more than a backing device has */
#define SWAP_PAGES	48UL		/* that are swapped out */
#define FILE_PAGES	12UL
#define GRACE		180		/* seconds that an operation has to come to its end */
#define MIN_PAIR	20		/* milliseconds, at least, of a pair */
#define LONG_PAIR	2000

#define MAGIC		0xb6UL		/* what the first word of a page begins with */
#define LEAST_RANDOM	2		/* random words in any page of text */

enum disk { RAW, COMPRESSED, PACKED, USED, SWAP = USED, FILES = SWAP + 2, OWN = FILES + 2,
	    DISKS = OWN + 2 };

struct shared {
	struct page pages[USED][PAGES];
	atomic_bool stop;
	atomic_int problems;		/* of this pair */
	atomic_bool limited;		/* memory may be short in this pair: writes may fail */
	atomic_ulong generation[2];	/* of the file in each file system */
	char pair[64];
};

struct worker {
	int operation, instance;
	pid_t pid;
	sem_t go, done;
	atomic_ulong operations;
	uint64_t random;
	unsigned char *buffer;		/* LARGE + 1 pages */
	uint64_t *wanted;
	int direct[USED], buffered[USED];
};

static struct shared *shared;
static struct worker *workers;		/* two of each operation */
static int ids[DISKS];
static const char *backings[DISKS];
static const char *module = "zram_rs";

static uint64_t dice(struct worker *worker, uint64_t limit)
{
	return random_below(&worker->random, limit);
}

static void problem(const char *format, ...)
{
	char line[300];
	va_list args;

	/* The first few tell as much as all of them. */
	if (atomic_fetch_add(&shared->problems, 1) >= 8)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("# %s: %s\n", shared->pair, line);
}

/* --- Files ------------------------------------------------------------------------------------ */

static int set(int id, const char *name, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return put(attribute(id, name), text);
}

static int reset(int id)
{
	return set(id, "reset", "1");
}

/* --- Pages ------------------------------------------------------------------------------------ */

static void fill(uint64_t *to, uint64_t index, uint64_t generation)
{
	fill_labelled(to, make_label(MAGIC, index, generation), LEAST_RANDOM);
}

/* What pages of the disks in use carry as their number. */
static uint64_t label(int disk, uint64_t index)
{
	return index + (disk + 1) * 1024;
}

/*
 * The page cache lets a page be read while another task copies into it. Such a read is right if
 * each word is of generation @oldest or of one that was begun since.
 */
static bool copied_into(struct worker *worker, const uint64_t *got, int disk, uint64_t index,
			uint64_t oldest)
{
	uint64_t generation, begun = shared->pages[disk][index].begun;
	bool known[WORDS] = {};
	size_t i, left = WORDS;

	if (index < DIRECT || begun == oldest)
		return false;
	for (generation = oldest; generation <= begun; generation++) {
		fill(worker->wanted, label(disk, index), generation);
		for (i = 0; i < WORDS; i++) {
			if (known[i] || got[i] != worker->wanted[i])
				continue;
			known[i] = true;
			left--;
		}
	}
	return !left;
}

static void check(struct worker *worker, int fd, int disk, uint64_t first, size_t count)
{
	unsigned char *buffer = worker->buffer + 512 * dice(worker, 2);
	uint64_t oldest[LARGE];
	ssize_t done;
	size_t i;

	/* What an earlier read left behind must not pass for an answer. */
	memset(buffer, 0x77, count * PAGE);
	for (i = 0; i < count; i++)
		oldest[i] = shared->pages[disk][first + i].ended;
	done = pread(fd, buffer, count * PAGE, first * PAGE);
	if (done != (ssize_t)(count * PAGE)) {
		problem("read of %zu pages at %lu of disk %d: %s", count, first, disk,
			done < 0 ? strerror(errno) : "too short");
		return;
	}
	for (i = 0; i < count; i++) {
		const uint64_t *got = (uint64_t *)(buffer + i * PAGE);
		struct page *page = &shared->pages[disk][first + i];
		enum verdict verdict = judge(page, got, MAGIC, label(disk, first + i), LEAST_RANDOM,
					     oldest[i]);

		if (verdict != RIGHT && !copied_into(worker, got, disk, first + i, oldest[i]))
			problem("page %lu of disk %d is %s: begins with %016lx, was at %lu of %lu",
				first + i, disk, verdict_names[verdict], got[0], oldest[i],
				(uint64_t)page->begun);
	}
}

/* Makes [first, first + count) new; of which kind, and by which fd, the caller says. */
static void change(struct worker *worker, int fd, int disk, uint64_t first, size_t count,
		   enum kind kind)
{
	unsigned char *buffer = worker->buffer + 512 * dice(worker, 2);
	uint64_t range[2];
	bool done;
	size_t i;

	for (i = 0; i < count; i++) {
		struct page *page = &shared->pages[disk][first + i];
		uint64_t generation;

		if (atomic_exchange(&page->owned, true))
			break;
		generation = begin_generation(page, kind);
		fill((uint64_t *)(buffer + i * PAGE), label(disk, first + i), generation);
	}
	count = i;
	if (!count)
		return;
	range[0] = first * PAGE;
	range[1] = count * PAGE;
	if (kind != DISCARDED) {
		done = pwrite(fd, buffer, count * PAGE, first * PAGE) == (ssize_t)(count * PAGE) &&
		       (first < DIRECT || !fsync(fd));
		if (!done && !shared->limited)
			problem("write of %zu pages at %lu of disk %d: %s", count, first, disk,
				strerror(errno));
	} else {
		/* A disk with larger pages cannot zero: the block layer writes zeros, or fails. */
		switch (PAGE == 4096 ? dice(worker, 4) : 2) {
		case 0:
			done = !ioctl(fd, BLKZEROOUT, range);
			break;
		case 1:
			done = !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range[0],
					  range[1]);
			break;
		default:
			done = !ioctl(fd, BLKDISCARD, range);
		}
		if (!done)
			problem("discard of %zu pages at %lu of disk %d: %s", count, first, disk,
				strerror(errno));
	}
	for (i = 0; i < count; i++) {
		struct page *page = &shared->pages[disk][first + i];

		page->unsure = !done;
		if (done)
			page->ended = page->begun;
		page->owned = false;
	}
}

static enum kind some_kind(struct worker *worker)
{
	static const enum kind kinds[] = { SAME, TEXT, TEXT, TEXT, RANDOM, RANDOM };

	return kinds[dice(worker, ARRAY_SIZE(kinds))];
}

/* --- The operations --------------------------------------------------------------------------- */

static void do_read(struct worker *worker)
{
	size_t count = dice(worker, 3) ? 1 : RUN;
	int disk = dice(worker, USED);

	check(worker, worker->direct[disk], disk, dice(worker, DIRECT - count + 1), count);
}

static void do_write(struct worker *worker)
{
	size_t count = dice(worker, 3) ? 1 : 1 + dice(worker, RUN);
	int disk = dice(worker, USED);

	change(worker, worker->direct[disk], disk, dice(worker, DIRECT - count + 1), count,
	       some_kind(worker));
}

static void do_buffered(struct worker *worker)
{
	size_t count = 1 + dice(worker, RUN);
	int disk = dice(worker, USED);
	uint64_t first = DIRECT + dice(worker, BUFFERED - count + 1);

	switch (dice(worker, 4)) {
	case 0:
		change(worker, worker->buffered[disk], disk, first, count, some_kind(worker));
		break;
	case 1:
		posix_fadvise(worker->buffered[disk], first * PAGE, count * PAGE,
			      POSIX_FADV_DONTNEED);
		break;
	default:
		check(worker, worker->buffered[disk], disk, first, count);
	}
}

static void do_discard(struct worker *worker)
{
	size_t count = dice(worker, 3) ? 1 : 1 + dice(worker, RUN);
	int disk = dice(worker, USED);
	uint64_t first = dice(worker, PAGES - count + 1);

	/* Those at the border are of both sorts. */
	if (first < DIRECT && first + count > DIRECT)
		count = DIRECT - first;
	change(worker, first < DIRECT ? worker->direct[disk] : worker->buffered[disk], disk, first,
	       count, DISCARDED);
}

/* A disk to work on from outside: mostly one of those that are in use. */
static int target(struct worker *worker)
{
	return dice(worker, 2) ? (int)dice(worker, USED) : (int)dice(worker, DISKS);
}

/* Complains about an error, unless it is about a disk that is being reset, or is one of these. */
static void judge_error(int error, int disk, const char *what, int allowed, int also)
{
	if (!error || disk >= OWN || error == allowed || error == also)
		return;
	problem("%s of disk %d: %s", what, disk, strerror(error));
}

static void do_writeback(struct worker *worker)
{
	static const char * const types[] = {
		"idle", "huge", "huge_idle", "incompressible", "type=idle", "type=huge"
	};
	uint64_t low = dice(worker, DISK_PAGES), high = low + dice(worker, DISK_PAGES - low);
	int disk = target(worker), error;

	switch (dice(worker, 4)) {
	case 0:
		set(ids[disk], "idle", "all");
		error = set(ids[disk], "writeback", "idle");
		break;
	case 1:
		error = set(ids[disk], "writeback", "%s",
			    types[dice(worker, ARRAY_SIZE(types))]);
		break;
	case 2:
		error = set(ids[disk], "writeback", "page_index=%lu page_indexes=%lu-%lu", high,
			    low, high);
		break;
	default:
		error = set(ids[disk], "writeback", "page_indexes=%lu-%lu", low, high);
	}
	/* The backing device is smaller than the disk; and limits are told by EIO. */
	judge_error(error, disk, "writeback", ENOSPC, shared->limited ? EIO : 0);
}

/* Which disks pack pages; those that are reset change it. */
static bool packs(int disk)
{
	return disk == PACKED || disk == SWAP + 1 || disk == FILES + 1;
}

/*
 * Columns of a file of statistics, with pages of this machine for units of 4 KiB; a counter below
 * zero shows as a very large one.
 */
static int columns(int id, const char *name, uint64_t *to, int most)
{
	char text[512], *at = text, *end;
	int count = 0;

	if (get(attribute(id, name), text, sizeof(text)) <= 0)
		return 0;
	while (count < most) {
		to[count] = strtoull(at, &end, 10);
		if (end == at)
			break;
		if (*at == '-' || to[count] >> 60)
			problem("%s of zram%d has %s", name, id, at);
		/* The second column of bd_pack_stat has bytes. */
		if (!strncmp(name, "bd_", 3) && (strcmp(name, "bd_pack_stat") || count != 1))
			to[count] /= UNITS;
		at = end;
		count++;
	}
	return count;
}

/* All that is about blocks that pages share. */
static void do_pack(struct worker *worker)
{
	int disk = target(worker), error;
	uint64_t stat[5];

	switch (dice(worker, 4)) {
	case 0:
		if (columns(ids[disk], "bd_pack_stat", stat, 5) != 4)
			problem("bd_pack_stat without all columns");
		else if (stat[0] > DISK_PAGES || stat[1] > DISK_PAGES * PAGE ||
			 stat[2] > DISK_PAGES || stat[3] > DISK_PAGES ||
			 ((stat[1] || stat[3]) && disk < OWN && !packs(disk)))
			problem("bd_pack_stat of disk %d is %lu %lu %lu %lu", disk, stat[0],
				stat[1], stat[2], stat[3]);
		break;
	case 1:
		error = set(ids[disk], "packed_writeback", "%lu", dice(worker, 2));
		if (disk < OWN && error != EBUSY)
			problem("packed_writeback of disk %d in use: %s", disk, strerror(error));
		break;
	default:
		error = set(ids[disk], "writeback", "compact");
		if (disk < OWN && !packs(disk) && error != EINVAL)
			problem("compaction of disk %d, which does not pack: %s", disk,
				strerror(error));
		if (packs(disk))
			judge_error(error, disk, "compaction of blocks", ENOSPC,
				    shared->limited ? EIO : 0);
	}
}

/* C zram does not pack pages. */
static bool has_packing(void)
{
	return !access("/sys/module/zram_rs", F_OK);
}

static void do_recompress(struct worker *worker)
{
	static const char * const types[] = {
		"type=idle", "type=huge", "type=huge_idle", "threshold=1000", "threshold=3000",
		"threshold=0 max_pages=20", "priority=1 max_pages=7", "priority=1"
	};
	int disk = target(worker);

	judge_error(set(ids[disk], "recompress", "%s", types[dice(worker, ARRAY_SIZE(types))]),
		    disk, "recompression", shared->limited ? ENOMEM : 0, 0);
}

static void do_idle(struct worker *worker)
{
	int disk = target(worker);

	judge_error(dice(worker, 2) ? set(ids[disk], "idle", "all") :
		    set(ids[disk], "idle", "%lu", dice(worker, 3)), disk, "idle", 0, 0);
}

static void do_compact(struct worker *worker)
{
	int disk = target(worker);

	judge_error(set(ids[disk], "compact", "1"), disk, "compaction", 0, 0);
}

static void do_limits(struct worker *worker)
{
	static const char * const batches[] = { "1", "2", "3", "32", "1000", "4294967295" };
	static const char * const marks[] = {
		"off", "memory=2%%", "device=50%%", "device=2%% budget=1 errors=1"
	};
	int disk = target(worker), error;

	switch (dice(worker, 7)) {
	case 0:
		/* File systems take it ill when writes fail. */
		if (disk == FILES || disk == FILES + 1)
			return;
		error = set(ids[disk], "mem_limit", "%luK", dice(worker, 3) * 64 * UNITS);
		break;
	case 1:
		error = set(ids[disk], "mem_used_max", "0");
		break;
	case 2:
		error = set(ids[disk], "writeback_limit", "%lu",
			    dice(worker, DISK_PAGES) * UNITS);
		break;
	case 3:
		error = set(ids[disk], "writeback_limit_enable", "%lu", dice(worker, 2));
		break;
	case 4:
		/* While it is set, the limit is busy. C zram does not have it. */
		error = dice(worker, 2) ? set(ids[disk], "writeback_budget", "off") :
			set(ids[disk], "writeback_budget", "%luK/%lu",
			    (64 + dice(worker, 256)) * UNITS, 1 + dice(worker, 3));
		break;
	case 5:
		/* C zram has no such file. */
		error = set(ids[disk], "event_marks", marks[dice(worker, ARRAY_SIZE(marks))]);
		break;
	default:
		error = set(ids[disk], "writeback_batch_size", "%s",
			    batches[dice(worker, ARRAY_SIZE(batches))]);
	}
	judge_error(error, disk, "limits", EBUSY, ENOENT);
}

static void end_limits(void)
{
	int i;

	for (i = 0; i < DISKS; i++) {
		set(ids[i], "mem_limit", "0");
		set(ids[i], "writeback_budget", "off");
		set(ids[i], "writeback_limit_enable", "0");
		set(ids[i], "writeback_batch_size", "32");
		set(ids[i], "event_marks", "off");
	}
}

/* Has the driver write back and recompress by itself, and changes its mind at once. */
static void do_automatic(struct worker *worker)
{
	int disk = target(worker), error;

	switch (dice(worker, 4)) {
	case 0:
		error = set(ids[disk], "auto_writeback", "age=%lu every=1 max=%luK available=%lu%%",
			    dice(worker, 3), (4 + dice(worker, 4096)) * UNITS,
			    dice(worker, 2) * 100);
		break;
	case 1:
		error = set(ids[disk], "auto_recompress", "age=0 every=1 priority=%lu",
			    1 + dice(worker, 3));
		break;
	case 2:
		error = set(ids[disk], "auto_writeback", "off");
		break;
	default:
		error = set(ids[disk], "auto_recompress", "off");
	}
	judge_error(error, disk, "automatic turns", 0, 0);
}

static void end_automatic(void)
{
	int i;

	for (i = 0; i < DISKS; i++) {
		set(ids[i], "auto_writeback", "off");
		set(ids[i], "auto_recompress", "off");
	}
}

/* Configures a disk that is not initialised. */
static int configure(int disk)
{
	static int turn;
	int id = ids[disk], error;
	bool packed = disk < OWN ? packs(disk) : !(turn++ % 2);
	/* The backing device of a disk of one's own comes later half of the time. */
	bool later = disk >= OWN && turn % 4 > 1 && has_packing();

	set(id, "comp_algorithm", disk % 2 ? "zstd" : "lz4");
	error = set(id, "recomp_algorithm", "algo=%s priority=1", disk % 2 ? "lz4" : "zstd");
	if (!error)
		error = set(id, "compressed_writeback", "%d", disk % 2);
	if (!error && has_packing())
		error = set(id, "packed_writeback", "%d", packed);
	if (!error && !later)
		error = set(id, "backing_dev", "%s", backings[disk]);
	if (!error)
		error = set(id, "disksize", "%lu", DISK_PAGES * PAGE);
	if (!error && later)
		error = set(id, "backing_dev", "%s", backings[disk]);
	return error;
}

/* Fills a disk of one's own, or sees whether it is as it was filled. */
static void own_pages(struct worker *worker, int id, uint64_t generation, bool write)
{
	int fd = open_id(id, O_RDWR | O_DIRECT);
	uint64_t i, first, run = dice(worker, 2) ? RUN : 4 * RUN;
	ssize_t size = run * PAGE;

	if (fd < 0) {
		problem("zram%d cannot be opened: %s", id, strerror(errno));
		return;
	}
	for (first = 0; first < 4 * RUN; first += run) {
		for (i = 0; write && i < run; i++)
			fill((uint64_t *)(worker->buffer + i * PAGE), first + i,
			     generation * KINDS + 1 + (first + i) % (KINDS - 1));
		if (write) {
			if (pwrite(fd, worker->buffer, size, first * PAGE) != size &&
			    !shared->limited)
				problem("write to zram%d: %s", id, strerror(errno));
			continue;
		}
		memset(worker->buffer, 0x77, size);
		if (pread(fd, worker->buffer, size, first * PAGE) != size)
			problem("read of zram%d: %s", id, strerror(errno));
		for (i = 0; i < run; i++) {
			fill(worker->wanted, first + i,
			     generation * KINDS + 1 + (first + i) % (KINDS - 1));
			if (shared->limited)
				continue;
			if (memcmp(worker->wanted, worker->buffer + i * PAGE, PAGE))
				problem("page %lu of zram%d is not what was written", first + i,
					id);
		}
	}
	close(fd);
}

/*
 * Writes and reads many pages at a time, of a disk that others reset as soon as it is closed. Both
 * instances have pages of their own, behind those of own_pages().
 */
static void large_before_reset(struct worker *worker)
{
	int fd = open_id(ids[OWN + dice(worker, 2)], O_RDWR | O_DIRECT);
	uint64_t first = 64 + worker->instance * LARGE, generation = dice(worker, 1 << 20), i;
	ssize_t size = LARGE * PAGE;
	uint64_t capacity = 0;

	if (fd < 0) {
		if (errno != EBUSY)
			problem("open of a disk that is reset: %s", strerror(errno));
		return;
	}
	if (ioctl(fd, BLKGETSIZE64, &capacity) || !capacity) {
		close(fd);
		return;
	}
	for (i = 0; i < LARGE; i++)
		fill((uint64_t *)(worker->buffer + i * PAGE), first + i,
		     generation * KINDS + 1 + i % (KINDS - 1));
	if (pwrite(fd, worker->buffer, size, first * PAGE) == size) {
		memset(worker->buffer, 0x77, size);
		if (pread(fd, worker->buffer, size, first * PAGE) != size)
			problem("large read of a disk that is reset: %s", strerror(errno));
		for (i = 0; i < LARGE; i++) {
			fill(worker->wanted, first + i, generation * KINDS + 1 + i % (KINDS - 1));
			if (memcmp(worker->wanted, worker->buffer + i * PAGE, PAGE))
				problem("page %lu of a disk that is reset is wrong", first + i);
		}
	} else if (!shared->limited) {
		problem("large write to a disk that is reset: %s", strerror(errno));
	}
	if (dice(worker, 2) && discard_pages(fd, first, LARGE))
		problem("large discard of a disk that is reset: %s", strerror(errno));
	close(fd);
}

static void do_large(struct worker *worker)
{
	size_t count = LEAST_LARGE + dice(worker, DIRECT - LEAST_LARGE + 1);
	int disk = dice(worker, USED), fd = worker->direct[disk];
	uint64_t first = dice(worker, DIRECT - count + 1);

	switch (dice(worker, 6)) {
	case 0:
	case 1:
		check(worker, fd, disk, first, count);
		break;
	case 2:
		change(worker, fd, disk, first, count, DISCARDED);
		break;
	case 3:
		large_before_reset(worker);
		break;
	default:
		change(worker, fd, disk, first, count, some_kind(worker));
	}
}

static void do_reset(struct worker *worker)
{
	int disk = OWN + worker->instance, id = ids[disk], error;
	uint64_t generation = dice(worker, 1 << 20);
	char text[64];

	if (dice(worker, 3) == 0) {
		error = reset(ids[dice(worker, OWN)]);
		if (error != EBUSY)
			problem("reset of a disk in use: %s", strerror(error));
	}
	own_pages(worker, id, generation, true);
	if (dice(worker, 2))
		set(id, "writeback", "page_indexes=0-%lu", DISK_PAGES - 1);
	own_pages(worker, id, generation, false);
	error = retry_busy(reset, id);
	if (error)
		problem("reset: %s", strerror(error));
	if (get(attribute(id, "initstate"), text, sizeof(text)) < 0 || atoi(text))
		problem("zram%d is initialised after its reset", id);
	error = configure(disk);
	if (error)
		problem("zram%d cannot be configured after its reset: %s", id, strerror(error));
}

static void do_hotplug(struct worker *worker)
{
	uint64_t generation = dice(worker, 1 << 20);
	int id = hot_add(), error;

	if (id < 0) {
		problem("hot_add: %s", strerror(errno));
		return;
	}
	if (dice(worker, 4)) {
		set(id, "comp_algorithm", "lz4");
		error = set(id, "disksize", "%luK", 256 * UNITS);
		if (error)
			problem("disksize of a new disk: %s", strerror(error));
		own_pages(worker, id, generation, true);
		own_pages(worker, id, generation, false);
	}
	error = retry_busy(hot_remove, id);
	if (error)
		problem("hot_remove: %s", strerror(error));
	error = hot_remove(ids[dice(worker, OWN)]);
	if (error != EBUSY)
		problem("hot_remove of a disk in use: %s", strerror(error));
}

static void do_open(struct worker *worker)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_EXCL, O_RDONLY | O_EXCL,
				     O_RDWR | O_DIRECT, O_RDWR | O_NONBLOCK, O_RDWR | O_SYNC };
	int flag = flags[dice(worker, ARRAY_SIZE(flags))];
	int disk = target(worker), fd;
	uint64_t size = 0;

	fd = open_id(ids[disk], flag);
	if (fd < 0) {
		/* Another process has claimed it, or resets it. */
		if (errno != EBUSY)
			problem("open of disk %d: %s", disk, strerror(errno));
		return;
	}
	if (ioctl(fd, BLKGETSIZE64, &size) ||
	    (size != DISK_PAGES * PAGE && !(disk >= OWN && !size)))
		problem("the size of disk %d is %lu", disk, size);
	if (!dice(worker, 4) && ioctl(fd, BLKFLSBUF, 0))
		problem("BLKFLSBUF of disk %d: %s", disk, strerror(errno));
	if (!dice(worker, 4) && flag != O_RDONLY)
		fsync(fd);
	close(fd);
}

static void write_swap_header(struct worker *worker, int id)
{
	int fd = open_id(id, O_RDWR | O_DIRECT);

	fill_swap_header(worker->buffer, DISK_PAGES);
	if (fd < 0 || pwrite(fd, worker->buffer, PAGE, 0) != (ssize_t)PAGE) {
		if (!shared->limited)
			problem("the head of a swap area cannot be written: %s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

static void do_swap(struct worker *worker)
{
	static const int flags[] = { 0, SWAP_FLAG_DISCARD, SWAP_FLAG_DISCARD | 0x10000,
				     SWAP_FLAG_PREFER | 7 };
	int id = ids[SWAP + worker->instance], i, error;
	uint64_t generation = dice(worker, 1 << 20), index;
	uint64_t *memory;
	char path[32];

	snprintf(path, sizeof(path), "/dev/zram%d", id);
	/* Another process may have it open, exclusively. */
	for (i = 0; i < 1000; i++) {
		error = swapon(path, flags[dice(worker, ARRAY_SIZE(flags))]) ? errno : 0;
		if (error != EBUSY)
			break;
		usleep(2000);
	}
	if (error) {
		problem("swapon: %s", strerror(error));
		return;
	}
	memory = mmap(NULL, SWAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED) {
		problem("mmap: %s", strerror(errno));
		goto out;
	}
	for (i = 0; i < 3 && !(i && shared->stop); i++) {
		for (index = 0; index < SWAP_PAGES; index++) {
			if (i && dice(worker, 3))
				continue;
			fill(memory + index * WORDS, index,
			     generation * KINDS + 1 + index % (KINDS - 1));
		}
		if (madvise(memory, SWAP_PAGES * PAGE, MADV_PAGEOUT))
			problem("MADV_PAGEOUT: %s", strerror(errno));
		for (index = 0; index < SWAP_PAGES; index++) {
			if (i < 2 && dice(worker, 2))
				continue;
			fill(worker->wanted, index, generation * KINDS + 1 + index % (KINDS - 1));
			if (memcmp(worker->wanted, memory + index * WORDS, PAGE))
				problem("page %lu was swapped in as it never was", index);
		}
	}
	/* Half of what is swapped out now is given up, the rest comes in again. */
	madvise(memory, SWAP_PAGES * PAGE, MADV_PAGEOUT);
	munmap(memory, SWAP_PAGES / 2 * PAGE);
	if (dice(worker, 2))
		munmap(memory + SWAP_PAGES / 2 * WORDS, SWAP_PAGES / 2 * PAGE);
	else
		index = 0;
out:
	if (swapoff(path))
		problem("swapoff: %s", strerror(errno));
	if (memory == MAP_FAILED || index)
		return;
	for (index = SWAP_PAGES / 2; index < SWAP_PAGES; index++) {
		fill(worker->wanted, index, generation * KINDS + 1 + index % (KINDS - 1));
		if (memcmp(worker->wanted, memory + index * WORDS, PAGE))
			problem("page %lu is not what it was before swapoff", index);
	}
	munmap(memory + SWAP_PAGES / 2 * WORDS, SWAP_PAGES / 2 * PAGE);
}

static void mount_point(char *path, size_t size, int instance, const char *file)
{
	snprintf(path, size, "/tmp/matrix.fs%d%s", instance, file);
}

static void do_mount(struct worker *worker)
{
	atomic_ulong *generation = &shared->generation[worker->instance];
	char device[32], where[64], file[64];
	int i, fd, error = 0;
	uint64_t index;

	snprintf(device, sizeof(device), "/dev/zram%d", ids[FILES + worker->instance]);
	mount_point(where, sizeof(where), worker->instance, "");
	mount_point(file, sizeof(file), worker->instance, "/file");
	for (i = 0; i < 1000; i++) {
		error = mount(device, where, "ext4", MS_NOATIME,
			      dice(worker, 2) ? "discard" : "nodiscard") ? errno : 0;
		if (error != EBUSY)
			break;
		usleep(2000);
	}
	if (error) {
		problem("mount: %s", strerror(error));
		return;
	}
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		problem("%s: %s", file, strerror(errno));
		goto out;
	}
	for (index = 0; *generation && index < FILE_PAGES; index++) {
		fill(worker->wanted, index, *generation * KINDS + 1 + index % (KINDS - 1));
		if (pread(fd, worker->buffer, PAGE, index * PAGE) != (ssize_t)PAGE ||
		    memcmp(worker->wanted, worker->buffer, PAGE))
			problem("page %lu of a file is not what was written", index);
	}
	if (dice(worker, 2) && ftruncate(fd, 0))
		problem("truncation: %s", strerror(errno));
	++*generation;
	for (index = 0; index < FILE_PAGES; index++) {
		fill((uint64_t *)worker->buffer, index,
		     *generation * KINDS + 1 + index % (KINDS - 1));
		if (pwrite(fd, worker->buffer, PAGE, index * PAGE) != (ssize_t)PAGE)
			problem("write to a file: %s", strerror(errno));
	}
	if (dice(worker, 2) && fsync(fd))
		problem("fsync: %s", strerror(errno));
	close(fd);
out:
	for (i = 0; i < 1000 && umount(where); i++) {
		if (errno != EBUSY) {
			problem("umount: %s", strerror(errno));
			break;
		}
		usleep(2000);
	}
}

static char *names[200];		/* of all files of a disk */
static int name_count;

static void do_sysfs(struct worker *worker)
{
	int disk = target(worker), i = dice(worker, name_count);
	uint64_t values[16];
	char text[PAGE];
	ssize_t length;

	if (!dice(worker, 3)) {
		if (columns(ids[disk], "mm_stat", values, 16) != 9 ||
		    columns(ids[disk], "bd_stat", values, 16) != 3 ||
		    columns(ids[disk], "io_stat", values, 16) != 4)
			problem("statistics without all columns");
		return;
	}
	length = get(attribute(ids[disk], names[i]), text, sizeof(text));
	/* Some files of the block layer have nothing to say. */
	if (length < 0 && length != -EINVAL && length != -EOPNOTSUPP && length != -EIO)
		problem("%s of disk %d: %s", names[i], disk, strerror(-length));
}

static void do_block_state(struct worker *worker)
{
	static const size_t sizes[] = { 1, 7, 100, 4096, 65536 };
	size_t size = sizes[dice(worker, ARRAY_SIZE(sizes))];
	int disk = target(worker), fd, i;
	char path[64], text[65536];

	snprintf(path, sizeof(path), "/sys/kernel/debug/zram/zram%d/block_state", ids[disk]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		problem("%s: %s", path, strerror(errno));
		return;
	}
	if (dice(worker, 2))
		lseek(fd, dice(worker, 8192), SEEK_SET);
	for (i = 0; i < 10 && !shared->stop; i++) {
		ssize_t length = read(fd, text, size);

		if (length < 0 && disk < OWN)
			problem("block_state of disk %d: %s", disk, strerror(errno));
		if (length <= 0)
			break;
	}
	close(fd);
}

static void do_compaction(struct worker *worker)
{
	(void)worker;
	put("/proc/sys/vm/compact_memory", "1");
}

static void do_caches(struct worker *worker)
{
	put("/proc/sys/vm/drop_caches", dice(worker, 2) ? "3" : "1");
}

static void do_unload(struct worker *worker)
{
	(void)worker;
	if (!syscall(SYS_delete_module, module, O_NONBLOCK))
		problem("the module was unloaded, though its disks are in use");
	else if (errno != EWOULDBLOCK && errno != EBUSY)
		problem("rmmod: %s", strerror(errno));
	usleep(1000);
}

static const char cpu[] = "/sys/devices/system/cpu/cpu1/online";

static void do_processors(struct worker *worker)
{
	(void)worker;
	put(cpu, "0");
	put(cpu, "1");
}

static bool has_processors(void)
{
	return !access(cpu, W_OK);
}

static bool has_compaction(void)
{
	return !access("/proc/sys/vm/compact_memory", W_OK);
}

static bool has_automatic(void)
{
	/* "list" has no disks. */
	return !access("/sys/module/zram_rs", F_OK);
}

static bool has_block_state(void)
{
	return !access("/sys/kernel/debug/zram", R_OK);
}

static const struct operation {
	const char *name;
	void (*act)(struct worker *worker);
	void (*end)(void);		/* when both are quiet again */
	bool (*there)(void);		/* in this kernel? */
	bool limits;			/* makes memory short */
} operations[] = {
	{ .name = "read", .act = do_read },
	{ .name = "write", .act = do_write },
	{ .name = "buffered", .act = do_buffered },
	{ .name = "discard", .act = do_discard },
	{ .name = "swap", .act = do_swap },
	{ .name = "writeback", .act = do_writeback },
	{ .name = "pack", .act = do_pack, .there = has_packing },
	{ .name = "recompress", .act = do_recompress },
	{ .name = "idle", .act = do_idle },
	{ .name = "compact", .act = do_compact },
	{ .name = "limits", .act = do_limits, .end = end_limits, .limits = true },
	{ .name = "automatic", .act = do_automatic, .end = end_automatic,
	  .there = has_automatic },
	{ .name = "large", .act = do_large },
	{ .name = "reset", .act = do_reset },
	{ .name = "hotplug", .act = do_hotplug },
	{ .name = "open", .act = do_open },
	{ .name = "mount", .act = do_mount },
	{ .name = "sysfs", .act = do_sysfs },
	{ .name = "block_state", .act = do_block_state, .there = has_block_state },
	{ .name = "compaction", .act = do_compaction, .there = has_compaction },
	{ .name = "drop_caches", .act = do_caches },
	{ .name = "unload", .act = do_unload },
	{ .name = "processors", .act = do_processors, .there = has_processors },
};

#define OPERATIONS	((int)ARRAY_SIZE(operations))

/* --- Between two pairs ------------------------------------------------------------------------ */

/* Zsmalloc frees an empty page a moment later, in a work item. */
static void eventually_empty(int id)
{
	uint64_t mm[9] = { 0 };
	int i;

	for (i = 0; i < 500; i++) {
		if (columns(id, "mm_stat", mm, 9) == 9 && !mm[2])
			return;
		usleep(10000);
	}
	problem("%lu bytes of memory are in use by the empty zram%d", mm[2], id);
}

static void must_be_empty(int id)
{
	uint64_t mm[9] = { 0 }, bd[3] = { 0 }, pack[4] = { 0 };

	columns(id, "mm_stat", mm, 9);
	columns(id, "bd_stat", bd, 3);
	columns(id, "bd_pack_stat", pack, 4);
	if (pack[0] || pack[1] || pack[2] || pack[3])
		problem("bd_pack_stat of the empty zram%d is %lu %lu %lu %lu", id, pack[0], pack[1],
			pack[2], pack[3]);
	if (mm[0] || mm[1] || mm[5] || mm[7] || bd[0])
		problem("mm_stat of the empty zram%d has %lu %lu, %lu same, %lu huge, bd_stat %lu",
			id, mm[0], mm[1], mm[5], mm[7], bd[0]);
	eventually_empty(id);
}

static void discard_all(int fd)
{
	if (discard_pages(fd, 0, DISK_PAGES))
		problem("discarding all: %s", strerror(errno));
}

/* One of the disks in use: every page, and what is counted. */
static void look_at(struct worker *worker, int disk)
{
	uint64_t index, stored = 0, same = 0, unsure = 0, mm[9], bd[3], pack[4];
	int fd = worker->direct[disk];

	fsync(worker->buffered[disk]);
	for (index = 0; index < PAGES; index += RUN)
		check(worker, fd, disk, index, RUN);
	for (index = 0; index < PAGES; index++) {
		struct page *page = &shared->pages[disk][index];

		stored += page->ended % KINDS != DISCARDED;
		same += page->ended % KINDS == SAME;
		unsure += page->unsure;
	}
	if (columns(ids[disk], "mm_stat", mm, 9) != 9 || columns(ids[disk], "bd_stat", bd, 3) != 3)
		problem("no statistics");
	mm[0] /= PAGE;
	if (mm[0] > stored + unsure || mm[0] + unsure < stored)
		problem("%lu pages are on disk %d according to mm_stat, should be %lu", mm[0],
			disk, stored);
	if (mm[5] > same + unsure || bd[0] > mm[0] || mm[7] > mm[0] || mm[1] > mm[0] * PAGE ||
	    mm[5] + bd[0] > mm[0] + unsure)
		problem("of %lu pages on disk %d, %lu are the same, %lu huge, %lu written back",
			mm[0], disk, mm[5], mm[7], bd[0]);
	if (packs(disk) && has_packing() &&
	    (columns(ids[disk], "bd_pack_stat", pack, 4) != 4 || pack[2] != bd[0] ||
	     pack[3] > pack[2] || pack[2] > pack[0] || mm[5] + pack[0] > mm[0] + unsure ||
	     pack[1] > pack[2] * PAGE))
		problem("of %lu pages on disk %d and %lu blocks, bd_pack_stat is %lu %lu %lu %lu",
			mm[0], disk, bd[0], pack[0], pack[1], pack[2], pack[3]);
	for (index = 0; index < PAGES; index++) {
		struct page *page = &shared->pages[disk][index];

		page->begun = (page->begun / KINDS + 1) * KINDS + DISCARDED;
		page->discarded = page->begun;
		page->ended = page->begun;
		page->unsure = false;
	}
	discard_all(fd);
	must_be_empty(ids[disk]);
}

/* So that there is something to work on. */
static void replenish(struct worker *worker, int disk, unsigned int count)
{
	uint64_t first;

	while (count--) {
		first = dice(worker, PAGES / RUN) * RUN;
		change(worker, first < DIRECT ? worker->direct[disk] : worker->buffered[disk], disk,
		       first, RUN, some_kind(worker));
	}
}

/* Nothing of swap is left but, in the first page, its head. */
static void look_at_swap(struct worker *worker, int disk)
{
	int fd = open_id(ids[disk], O_RDWR | O_DIRECT);

	if (fd < 0) {
		problem("disk %d cannot be opened: %s", disk, strerror(errno));
		return;
	}
	discard_all(fd);
	must_be_empty(ids[disk]);
	close(fd);
	write_swap_header(worker, ids[disk]);
}

/* --- Pairs ------------------------------------------------------------------------------------ */

static void prepare(struct worker *worker, uint64_t seed)
{
	int i;

	worker->random = seed_state(seed);
	worker->buffer = alloc_aligned((LARGE + 1) * PAGE);
	worker->wanted = alloc_aligned(PAGE);
	for (i = 0; i < USED; i++) {
		worker->direct[i] = open_id(ids[i], O_RDWR | O_DIRECT);
		worker->buffered[i] = open_id(ids[i], O_RDWR);
		if (worker->direct[i] < 0 || worker->buffered[i] < 0)
			err(2, "zram%d", ids[i]);
	}
}

static void serve(struct worker *worker)
{
	int i;

	for (;;) {
		while (sem_wait(&worker->go))
			;
		/* What failed when memory was short is told once by each file: no news. */
		for (i = 0; i < USED; i++)
			fsync(worker->buffered[i]);
		do {
			operations[worker->operation].act(worker);
			worker->operations++;
		} while (!shared->stop);
		sem_post(&worker->done);
	}
}

static void hire(struct worker *worker, int operation, int instance, uint64_t seed)
{
	worker->operation = operation;
	worker->instance = instance;
	sem_init(&worker->go, 1, 0);
	sem_init(&worker->done, 1, 0);
	worker->pid = fork();
	if (worker->pid < 0)
		err(2, "fork");
	if (worker->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prepare(worker, seed);
	serve(worker);
}

static void wait_for(struct worker *worker)
{
	struct timespec until;
	int status;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GRACE;
	while (sem_timedwait(&worker->done, &until)) {
		if (errno == EINTR)
			continue;
		printf("# %s: %s does not come to its end\n", shared->pair,
		       operations[worker->operation].name);
		print_stack(worker->pid);
		/* Who waits for what, for the kernel's log. */
		put("/proc/sysrq-trigger", "w");
		if (waitpid(worker->pid, &status, WNOHANG) == worker->pid)
			printf("# it ended with status %x\n", status);
		exit(3);
	}
}

static uint64_t milliseconds(void)
{
	return now_ns() / 1000000;
}

/* Returns how many operations that were. */
static unsigned long run(int one, int other, uint64_t time)
{
	struct worker *pair[2] = { &workers[2 * one], &workers[2 * other + 1] };
	unsigned long before = pair[0]->operations + pair[1]->operations;
	int i;

	shared->limited = operations[one].limits || operations[other].limits;
	shared->stop = false;
	for (i = 0; i < 2; i++)
		sem_post(&pair[i]->go);
	usleep(time * 1000);
	shared->stop = true;
	for (i = 0; i < 2; i++)
		wait_for(pair[i]);
	if (operations[one].end)
		operations[one].end();
	if (operations[other].end)
		operations[other].end();
	shared->limited = false;
	return pair[0]->operations + pair[1]->operations - before;
}

static bool listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (list) {
		if (!strncmp(list, name, length) && (!list[length] || list[length] == ','))
			return true;
		list = strchr(list, ',');
		list += !!list;
	}
	return false;
}

static void set_up(void)
{
	char command[200], path[64];
	int i;

	for (i = 0; i < DISKS; i++) {
		int error;

		ids[i] = hot_add();
		if (ids[i] < 0)
			err(2, "hot_add");
		error = configure(i);
		if (error)
			errx(2, "zram%d with %s: %s", ids[i], backings[i], strerror(error));
		/* This keeps them in use. */
		if (i < OWN && open_id(ids[i], O_RDONLY) < 0)
			err(2, "zram%d", ids[i]);
	}
	for (i = 0; i < 2; i++) {
		mount_point(path, sizeof(path), i, "");
		mkdir(path, 0700);
		snprintf(command, sizeof(command), "%s /dev/zram%d",
			 "mke2fs -q -t ext4 -b 4096 -N 16 -O ^has_journal", ids[FILES + i]);
		if (system(command))
			errx(2, "there is no file system");
	}
	name_count = find_attributes(ids[RAW], "", 0444, names, 0, ARRAY_SIZE(names));
	name_count = find_attributes(ids[RAW], "queue/", 0444, names, name_count,
				     ARRAY_SIZE(names));
}

/* What the pair is called in messages, and who does it. */
static void begin(int one, int other, uint64_t seed)
{
	int pair[2] = { 2 * one, 2 * other + 1 }, i;

	snprintf(shared->pair, sizeof(shared->pair), "%s and %s", operations[one].name,
		 operations[other].name);
	shared->problems = 0;
	for (i = 0; i < 2; i++) {
		if (!workers[pair[i]].pid)
			hire(&workers[pair[i]], i ? other : one, i, seed * 1000 + pair[i]);
	}
}

static bool wanted(const char *only, int one, int other)
{
	if (operations[one].there && !operations[one].there())
		return false;
	if (operations[other].there && !operations[other].there())
		return false;
	return !only || listed(only, operations[one].name) || listed(only, operations[other].name);
}

int main(int argc, char **argv)
{
	static int problems[ARRAY_SIZE(operations)];
	static unsigned long done[ARRAY_SIZE(operations)];
	static bool ran[ARRAY_SIZE(operations)][ARRAY_SIZE(operations)];
	unsigned long seconds = 60, all = 0, total = 0, pairs = 0, rounds = 0;
	uint64_t seed = 1, start, time, round_time;
	const char *only = NULL;
	struct worker self = { 0 };
	int option, i, j;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (i = 0; i < OPERATIONS; i++) {
			if (!operations[i].there || operations[i].there())
				puts(operations[i].name);
		}
		return 0;
	}
	while ((option = getopt(argc, argv, "t:S:o:d:")) != -1) {
		if (option == 't')
			seconds = parse_number(optarg, 1, INT_MAX);
		else if (option == 'S')
			seed = parse_ulong(optarg);
		else if (option == 'o')
			only = optarg;
		else if (option == 'd')
			module = optarg;
		else
			return 2;
	}
	if (argc - optind != DISKS)
		errx(2, "usage: matrix list | [-t SECONDS] [-S SEED] [-o NAMES] [-d MODULE] BACKING...");
	for (i = 0; i < DISKS; i++)
		backings[i] = argv[optind + i];

	shared = alloc_shared(sizeof(*shared));
	workers = alloc_shared(2 * OPERATIONS * sizeof(*workers));
	snprintf(shared->pair, sizeof(shared->pair), "in the beginning");
	set_up();
	for (i = 0; i < OPERATIONS; i++) {
		for (j = 0; j <= i; j++)
			pairs += wanted(only, i, j);
	}
	if (!pairs)
		errx(2, "there is no such pair");
	prepare(&self, seed);
	for (i = SWAP; i < FILES; i++)
		write_swap_header(&self, ids[i]);
	for (i = 0; i < USED; i++)
		replenish(&self, i, 10);

	start = milliseconds();
	do {
		/* As many rounds as there are in which no pair takes long. */
		time = seconds * 1000 / pairs;
		if (time > LONG_PAIR)
			time = LONG_PAIR;
		if (time < MIN_PAIR)
			time = MIN_PAIR;
		round_time = milliseconds();
		for (i = 0; i < OPERATIONS; i++) {
			for (j = i; j < OPERATIONS; j++) {
				unsigned long count;

				if (!wanted(only, i, j))
					continue;
				begin(i, j, seed);
				count = run(i, j, time);
				look_at(&self, total % USED);
				if (i == j || j == i + 1)
					look_at_swap(&self, SWAP + total % 2);
				replenish(&self, total % USED, 10);
				total++;
				ran[i][j] = true;
				ran[j][i] = true;
				all += count;
				done[i] += count;
				problems[i] += shared->problems;
				if (i != j) {
					done[j] += count;
					problems[j] += shared->problems;
				}
			}
		}
		rounds++;
		printf("# round %lu: %lu pairs of %lu ms, %lu operations so far, %lu s\n", rounds,
		       pairs, time, all, (milliseconds() - start) / 1000);
		round_time = milliseconds() - round_time;
	} while (time == LONG_PAIR && milliseconds() - start + round_time <= seconds * 1000);

	option = 0;
	for (i = 0; i < OPERATIONS; i++) {
		if (!done[i])
			continue;
		printf("row %s problems=%d operations=%lu with", operations[i].name, problems[i],
		       done[i]);
		for (j = 0; j < OPERATIONS; j++) {
			if (ran[i][j])
				printf(" %s", operations[j].name);
		}
		putchar('\n');
		option += problems[i];
	}
	for (i = 0; i < 2 * OPERATIONS; i++) {
		if (workers[i].pid) {
			kill(workers[i].pid, SIGKILL);
			waitpid(workers[i].pid, NULL, 0);
		}
	}
	printf("matrix: pairs=%lu rounds=%lu operations=%lu problems=%d\n", pairs, rounds, all,
	       option);
	return !!option;
}
