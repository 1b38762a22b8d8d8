// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz: sends to disks and their files all that user space can send, at random, from many processes
 * at once.
 *
 * usage: fuzz [-a] [-t SECONDS] [-S SEED] BACKING BACKING BACKING BACKING BACKING
 *
 * BACKING are block devices of 256 pages or more that store data and are not in use. There are five
 * disks, each with one of them:
 *
 * - Three, one for each form of writeback, are written and read, in every way: any offset, length
 *   and alignment, vectors, flags, bad addresses, direct, buffered, synchronous, asynchronous and
 *   mapped I/O, by io_uring (linked, polled, with fixed buffers), beyond the end, discards of all
 *   kinds, and random ioctls; by
 *   several processes, each of which has its own pages and knows their data, byte by byte. Three
 *   more processes write from memory that changes meanwhile, so their data is unknown.
 * - Two more are targets of writes to all files in sysfs: random bytes, and valid text with a few
 *   changes; long, in parts, by several processes. These processes also write to the files of the
 *   first three disks, whose data must not change.
 *
 * With -a, direct I/O uses whole, aligned pages of memory, and some checks of files are left out,
 * as C zram requires.
 *
 * Before and during the run, memory is filled with a pattern and freed: no read of a disk, of its
 * files, or of the backing devices may return that pattern. At the end, each object on a backing
 * device that zstd compressed must be followed by others or by zeros only, and all five disks are
 * reset, configured and used as before.
 *
 * The last line is for scripts:
 *
 *	fuzz: io=N errors=N attributes=N accepted=N stale=N problems=N
 *
 * where "errors" is the number of I/O operations that failed, "accepted" the number of writes to
 * files that succeeded, and "stale" how often the pattern was found. Exit status: 0 if no problem
 * was found, 1 if one was, 2 if the check could not be made, 3 if an operation hangs.
 */

#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE page_size
#include "common.h"

#define BLOCK		4096UL		/* what direct I/O takes; pages may be larger */
#define SHARE		48UL		/* pages of each process */
#define SHARES		3UL		/* on each disk; the last is of unknown contents */
#define DISK		(SHARE * SHARES * PAGE)
#define USED		3		/* disks that are read and written */
#define DISKS		5
#define WRITERS		3		/* to attributes */
#define MOST		(SHARE * PAGE)	/* of one read or write: idle CPUs help */
#define USUAL		(16 * PAGE)
#define GRACE		150		/* seconds */

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES	0x80
#endif

static const uint64_t canary = 0xa55ec4e7c0ffee5bULL;

struct shared {
	atomic_bool stop;
	atomic_int problems;
	atomic_ulong io, errors, attributes, accepted, stale, rings;
};

static struct shared *shared;
static const char *backings[DISKS];
static int ids[DISKS];
static bool aligned;			/* memory of user space is */
static uint64_t state;

static uint64_t next(void)
{
	return next_random(&state);
}

static uint64_t dice(uint64_t limit)
{
	return random_below(&state, limit);
}

static void problem(const char *format, ...)
{
	char line[400];
	va_list args;

	/* The first few tell as much as all of them. */
	if (atomic_fetch_add(&shared->problems, 1) >= 20)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("# %s\n", line);
}

static bool look_for_canary(const void *where, size_t length, const char *what)
{
	if (!memmem(where, length, &canary, sizeof(canary)))
		return false;
	shared->stale++;
	problem("stale memory in %s", what);
	return true;
}

/* Fills memory, and gives it back as it is. */
static void sow(size_t length)
{
	uint64_t *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	size_t i;

	if (memory == MAP_FAILED)
		return;
	for (i = 0; i < length / sizeof(*memory); i++)
		memory[i] = canary;
	munmap(memory, length);
}

/* The same for memory that the kernel has for itself, which is elsewhere: by pipes, 1 MiB each. */
static void sow_pipes(int count)
{
	static uint64_t block[65536 / sizeof(uint64_t)];
	int pipes[64][2], i, n = 0;

	for (i = 0; i < (int)ARRAY_SIZE(block); i++)
		block[i] = canary;
	for (; n < count && n < 64 && !pipe2(pipes[n], O_NONBLOCK | O_CLOEXEC); n++) {
		fcntl(pipes[n][1], F_SETPIPE_SZ, 1 << 20);
		while (write(pipes[n][1], block, sizeof(block)) > 0)
			;
	}
	while (n--) {
		close(pipes[n][0]);
		close(pipes[n][1]);
	}
}

static int set(int id, const char *name, const char *text)
{
	return put(attribute(id, name), text);
}

static int reset(int id)
{
	return set(id, "reset", "1");
}

static const struct form {
	const char *algorithm, *second;
	bool compressed, packed;
} forms[DISKS] = {
	{ "lz4", "algo=zstd priority=1", false, false },
	{ "zstd", "algo=lz4 priority=1", true, false },
	/* So that each object is a frame of zstd; see look_at_backing(). */
	{ "zstd", "algo=zstd priority=1", false, true },
	{ "lz4", "algo=zstd priority=1", true, false },
	{ "zstd", "algo=lz4 priority=1", false, true },
};

static bool packs(int i)
{
	/* C zram does not. */
	return forms[i].packed && !access(attribute(ids[i], "packed_writeback"), F_OK);
}

static int configure(int i)
{
	char text[32];
	int error = 0;

	set(ids[i], "comp_algorithm", forms[i].algorithm);
	set(ids[i], "recomp_algorithm", forms[i].second);
	error = error ?: set(ids[i], "compressed_writeback", forms[i].compressed ? "1" : "0");
	if (!access(attribute(ids[i], "packed_writeback"), F_OK))
		error = error ?: set(ids[i], "packed_writeback", forms[i].packed ? "1" : "0");
	error = error ?: set(ids[i], "backing_dev", backings[i]);
	snprintf(text, sizeof(text), "%lu", DISK);
	return error ?: set(ids[i], "disksize", text);
}

/* --- Input and output ------------------------------------------------------------------------- */

static struct {
	int direct, buffered, sync, nonblock;
	int disk;
	uint64_t from;			/* what belongs to this process */
	unsigned char *model;		/* what is on it: SHARE pages */
	unsigned char *buffer;		/* of the user, MOST bytes and a page */
	unsigned char *fresh;		/* what is to be written, MOST bytes */
	unsigned char *scratch;	/* MOST bytes and two pages */
	unsigned char *zero;		/* MOST bytes */
	aio_context_t aio;
} io;

static int some_file(void)
{
	const int files[] = { io.direct, io.direct, io.direct, io.buffered, io.buffered, io.sync,
			      io.nonblock };

	return files[dice(ARRAY_SIZE(files))];
}

/* Takes away all limits of writeback. */
static void unlimited(int i)
{
	set(ids[i], "writeback_budget", "off");
	set(ids[i], "writeback_limit_enable", "0");
}

/* A range of one's own; mostly in whole pages, which is what direct I/O takes. */
static void some_range(uint64_t *from, size_t *length)
{
	size_t unit;

	if (dice(3)) {
		*from = dice(SHARE) * PAGE;
		*length = (1 + dice(dice(3) ? 4 : dice(2) ? 16 : SHARE)) * PAGE;
	} else if (dice(2)) {
		unit = dice(2) ? 512 : BLOCK;
		*from = dice(SHARE * PAGE / unit) * unit;
		*length = (1 + dice(64)) * unit;
	} else {
		*from = dice(SHARE * PAGE);
		*length = dice(USUAL);
	}
	if (*from + *length > SHARE * PAGE)
		*length = SHARE * PAGE - *from;
	if (*length > MOST)
		*length = MOST;
}

static void some_data(unsigned char *to, size_t length)
{
	size_t i, run;

	while (length) {
		run = 1 + dice(2 * PAGE);
		if (run > length)
			run = length;
		switch (dice(4)) {
		case 0:
			memset(to, 0, run);
			break;
		case 1:
			memset(to, dice(256), run);
			break;
		case 2:
			for (i = 0; i < run; i++)
				to[i] = "all the king's horses and all the king's men "[i % 45];
			break;
		default:
			for (i = 0; i < run; i++)
				to[i] = next() >> 24;
		}
		to += run;
		length -= run;
	}
}

/*
 * Not RWF_DONTCACHE: Linux 7.3 dereferences a null pointer in filemap_dontcache_kick_writeback() if
 * the inode of a block device has no wb at that moment.
 */
#define DONTCACHE 0x80

static int some_flags(void)
{
	static const int flags[] = { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, 0x20,
				     0x40 };

	if (dice(3))
		return 0;
	if (!dice(8))
		return next() & ~DONTCACHE;
	return flags[dice(ARRAY_SIZE(flags))] | (dice(4) ? 0 : flags[dice(ARRAY_SIZE(flags))]);
}

/* Several vectors for @length bytes at @buffer; perhaps one of them leads nowhere. */
static int some_vectors(struct iovec *vectors, int most, unsigned char *buffer, size_t length,
			bool *bad)
{
	const size_t units[] = { 1, 512, PAGE };
	size_t unit = aligned ? PAGE : units[dice(ARRAY_SIZE(units))];
	int count = 0;

	*bad = !dice(30);
	while (count < most - 1 && length) {
		size_t part = dice(2) ? length : dice(length / unit + 1) * unit;

		if (part > length)
			part = length;
		vectors[count].iov_base = buffer;
		vectors[count++].iov_len = part;
		buffer += part;
		length -= part;
	}
	if (length) {
		vectors[count].iov_base = buffer;
		vectors[count++].iov_len = length;
	}
	if (*bad && count)
		vectors[dice(count)].iov_base = (void *)(dice(2) ? 16UL : -PAGE);
	return count;
}

static unsigned char *some_buffer(void)
{
	static const size_t offsets[] = { 0, 0, 0, 512, 1024, 3584, 4, 8, 1 };

	return io.buffer + (aligned ? 0 : offsets[dice(ARRAY_SIZE(offsets))]);
}

/* What was done last, to be told when something turns out to be wrong. */
static struct step {
	const char *what, *file;
	uint64_t from, length;
	long result, more;
} steps[16384];
static unsigned long step_count;

static const char *file_name(int fd)
{
	if (fd == io.direct)
		return "direct";
	if (fd == io.buffered)
		return "buffered";
	return fd == io.sync ? "sync" : "nonblock";
}

static void did(const char *what, int fd, uint64_t from, uint64_t length, long result, long more)
{
	steps[step_count++ % ARRAY_SIZE(steps)] = (struct step){
		what, file_name(fd), from, length, result < 0 ? -errno : result, more
	};
}

static void tell_steps(uint64_t from, size_t length)
{
	unsigned long i = step_count > ARRAY_SIZE(steps) ? step_count - ARRAY_SIZE(steps) : 0;

	from &= -PAGE;
	for (; i < step_count; i++) {
		const struct step *step = &steps[i % ARRAY_SIZE(steps)];

		if (step->from < from + length && from < step->from + step->length)
			printf("#   %lu: %s, %s, %lu bytes at %lu: %ld (%lx)\n", i, step->what,
			       step->file, step->length, io.from + step->from, step->result,
			       step->more);
	}
}

static void tell(const char *what, uint64_t from, size_t length, const char *how)
{
	problem("%s of %zu bytes at %lu of disk %d: %s", what, length, io.from + from, io.disk,
		how);
}

/* Whether an error is one that the request may well have earned. */
static void judge_error(const char *what, uint64_t from, size_t length, int error)
{
	shared->errors++;
	if (error == EIO || error == ENOMEM || error == ENODEV || error == ENXIO || error == EBUSY)
		tell(what, from, length, strerror(error));
}

/* Where a page differs, and what the driver says of it. */
static void tell_difference(const unsigned char *got, uint64_t page)
{
	unsigned long i, first = PAGE, last = 0, different = 0, zeros = 0, index;
	char path[64], line[100];
	FILE *file;

	for (i = 0; i < PAGE; i++) {
		if (got[i] == io.model[page + i])
			continue;
		first = first < i ? first : i;
		last = i;
		different++;
		zeros += !got[i];
	}
	printf("# %lu bytes are different, %lu of them zero, the first at %lu, the last at %lu\n",
	       different, zeros, first, last);
	for (i = 0; i < SHARE * PAGE; i += PAGE)
		if (!memcmp(got, io.model + i, PAGE))
			printf("# it is what should be at %lu\n", io.from + i);
	snprintf(path, sizeof(path), "/sys/kernel/debug/zram/zram%d/block_state", ids[io.disk]);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		index = strtoul(line, NULL, 10);
		if (index == (io.from + page) / PAGE)
			printf("# block_state: %s", line);
	}
	if (file)
		fclose(file);
}

/* What is on the disk must be what was there, or @fresh if it is given; that is what it is then. */
static void reconcile(const char *what, uint64_t from, size_t length, const unsigned char *fresh)
{
	uint64_t low = from & -PAGE, high = (from + length + PAGE - 1) & -PAGE, i;
	unsigned char *got = io.scratch;

	memset(got, 0x77, high - low);
	if (pread(io.direct, got, high - low, io.from + low) != (ssize_t)(high - low)) {
		tell("reading again", low, high - low, strerror(errno));
		return;
	}
	look_for_canary(got, high - low, "what was read");
	for (i = low; i < high; i++) {
		bool inside = fresh && i >= from && i < from + length;

		if (got[i - low] == io.model[i])
			continue;
		if (inside && got[i - low] == fresh[i - from]) {
			io.model[i] = got[i - low];
			continue;
		}
		tell(what, i, 1, "the disk is not what it should be afterwards");
		tell_difference(got + (i & -PAGE) - low, i & -PAGE);
		tell_steps(i, 1);
		memcpy(io.model + low, got, high - low);
		return;
	}
}

static void compare(const char *what, uint64_t from, size_t length, const unsigned char *got)
{
	size_t i = 0;
	char how[100];

	if (!memcmp(got, io.model + from, length))
		return;
	look_for_canary(got, length, what);
	while (got[i] == io.model[from + i])
		i++;
	snprintf(how, sizeof(how), "byte %zu is %02x, not %02x", i, got[i], io.model[from + i]);
	tell(what, from, length, how);
	tell_steps(from + i, 1);
	reconcile("that", from, length, NULL);
}

static void do_read(void)
{
	struct iovec vectors[6];
	unsigned char *buffer = some_buffer();
	int fd = some_file(), flags = some_flags(), count;
	uint64_t from;
	ssize_t done;
	size_t length;
	bool bad;

	some_range(&from, &length);
	memset(io.buffer, 0x77, MOST + PAGE);
	count = some_vectors(vectors, ARRAY_SIZE(vectors), buffer, length, &bad);
	done = preadv2(fd, vectors, count, io.from + from, flags);
	did("read", fd, from, length, done, flags);
	if (done < 0)
		judge_error("read", from, length, errno);
	else if (!bad)
		compare("read", from, done, buffer);
	else
		look_for_canary(io.buffer, MOST + PAGE, "a read to nowhere");
}

static void do_write(void)
{
	struct iovec vectors[6];
	unsigned char *buffer = some_buffer();
	int fd = some_file(), flags = some_flags(), count;
	uint64_t from;
	ssize_t done;
	size_t length;
	bool bad;

	some_range(&from, &length);
	some_data(buffer, length);
	memcpy(io.fresh, buffer, length);
	count = some_vectors(vectors, ARRAY_SIZE(vectors), buffer, length, &bad);
	done = pwritev2(fd, vectors, count, io.from + from, flags);
	did("write", fd, from, length, done, flags);
	if (done == (ssize_t)length) {
		memcpy(io.model + from, io.fresh, length);
		return;
	}
	if (done < 0)
		judge_error("write", from, length, errno);
	reconcile("a write", from, length, io.fresh);
}

/* Several at once, from and to different pages. */
static void do_aio(void)
{
	struct iocb requests[8], *list[8];
	struct io_event events[8];
	uint64_t from[8];
	int i, count, got;

	for (i = 0; i < 8; i++) {
		from[i] = (dice(SHARE / 8) + i * (SHARE / 8)) * PAGE;
		memset(&requests[i], 0, sizeof(requests[i]));
		requests[i].aio_fildes = io.direct;
		requests[i].aio_lio_opcode = dice(2) ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
		requests[i].aio_buf = (uintptr_t)(io.buffer + i * PAGE);
		requests[i].aio_nbytes = PAGE;
		requests[i].aio_offset = io.from + from[i];
		requests[i].aio_data = i;
		list[i] = &requests[i];
		if (requests[i].aio_lio_opcode == IOCB_CMD_PWRITE)
			some_data(io.buffer + i * PAGE, PAGE);
		else
			memset(io.buffer + i * PAGE, 0x77, PAGE);
	}
	count = syscall(SYS_io_submit, io.aio, 8, list);
	if (count < 0) {
		judge_error("io_submit", 0, 0, errno);
		return;
	}
	got = syscall(SYS_io_getevents, io.aio, count, count, events, NULL);
	if (got != count) {
		problem("%d of %d requests were completed", got, count);
		return;
	}
	/*
	 * After asynchronous direct I/O the block layer does not look whether the page cache has
	 * something older. (Seen with C zram, too.)
	 */
	posix_fadvise(io.buffered, io.from, SHARE * PAGE, POSIX_FADV_DONTNEED);
	for (i = 0; i < got; i++) {
		int n = events[i].data;

		did(requests[n].aio_lio_opcode == IOCB_CMD_PREAD ? "aio read" : "aio write",
		    io.direct, from[n], PAGE, events[i].res, 0);
		if (events[i].res != (long)PAGE)
			tell("asynchronous I/O", from[n], PAGE, strerror(-events[i].res));
		else if (requests[n].aio_lio_opcode == IOCB_CMD_PWRITE)
			memcpy(io.model + from[n], io.buffer + n * PAGE, PAGE);
		else
			compare("asynchronous read", from[n], PAGE, io.buffer + n * PAGE);
	}
}

/* Rings for io_uring, the second of which is polled. Guests do not have the library for them. */
static struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} rings[2] = { { .fd = -1 }, { .fd = -1 } };

static void *map_ring(int fd, size_t length, off_t what)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	if (map == MAP_FAILED)
		err(2, "io_uring");
	return map;
}

static void prepare_ring(struct ring *ring, unsigned int flags)
{
	struct iovec buffers[] = { { io.fresh, MOST }, { io.buffer, MOST + PAGE } };
	struct io_uring_params params = { .flags = flags };
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, 32, &params);
	if (ring->fd < 0)
		err(2, "io_uring_setup");
	sq = map_ring(ring->fd, params.sq_off.array + params.sq_entries * sizeof(*ring->sq_array),
		      IORING_OFF_SQ_RING);
	cq = map_ring(ring->fd, params.cq_off.cqes + params.cq_entries * sizeof(*ring->cqes),
		      IORING_OFF_CQ_RING);
	ring->sqes = map_ring(ring->fd, params.sq_entries * sizeof(*ring->sqes), IORING_OFF_SQES);
	ring->sq_tail = (void *)(sq + params.sq_off.tail);
	ring->sq_mask = (void *)(sq + params.sq_off.ring_mask);
	ring->sq_array = (void *)(sq + params.sq_off.array);
	ring->cq_head = (void *)(cq + params.cq_off.head);
	ring->cq_tail = (void *)(cq + params.cq_off.tail);
	ring->cq_mask = (void *)(cq + params.cq_off.ring_mask);
	ring->cqes = (void *)(cq + params.cq_off.cqes);
	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, buffers, 2))
		err(2, "IORING_REGISTER_BUFFERS");
}

/* One more request, for the memory of @slot; @data is what comes back with its result. */
static void ring_add(struct ring *ring, int fd, bool writes, uint64_t from, size_t length,
		     int slot, unsigned int flags, uint64_t data)
{
	unsigned int tail = *ring->sq_tail, at = tail & *ring->sq_mask;
	unsigned char *memory = (writes ? io.fresh : io.buffer) + slot * 2 * PAGE;
	struct io_uring_sqe *sqe = &ring->sqes[at];
	bool fixed = dice(2);

	memset(sqe, 0, sizeof(*sqe));
	if (fixed)
		sqe->opcode = writes ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	else
		sqe->opcode = writes ? IORING_OP_WRITE : IORING_OP_READ;
	sqe->buf_index = fixed && !writes;
	sqe->flags = flags;
	sqe->fd = fd;
	sqe->off = io.from + from;
	sqe->addr = (uintptr_t)memory;
	sqe->len = length;
	sqe->user_data = data;
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* Submits @count requests, and waits for all of their results. */
static bool ring_run(struct ring *ring, unsigned int count, long *results)
{
	unsigned int head = *ring->cq_head, submit = count, done = 0;

	while (done < count) {
		int taken = syscall(SYS_io_uring_enter, ring->fd, submit, count - done,
				    IORING_ENTER_GETEVENTS, NULL, 0);

		if (taken < 0 && errno != EINTR) {
			problem("io_uring_enter: %s", strerror(errno));
			return false;
		}
		submit -= taken > 0 ? taken : 0;
		while (head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
			const struct io_uring_cqe *cqe = &ring->cqes[head++ & *ring->cq_mask];

			results[cqe->user_data] = cqe->res;
			done++;
		}
		__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
	}
	return true;
}

/* Whether a request that did not do all of it had a reason. */
static void judge_result(const char *what, uint64_t from, size_t length, long result, bool refused)
{
	if (refused)
		shared->errors++;
	else
		tell(what, from, length, result < 0 ? strerror(-result) : "not all of it");
}

/* Several at once, to different pages; some are written, and read when that is done. */
static void do_ring(void)
{
	static const unsigned int flags[] = { 0, 0, 0, IOSQE_ASYNC, IOSQE_IO_DRAIN };
	bool polled = !dice(4);
	struct ring *ring = &rings[polled];
	struct {
		bool writes, reads;
		uint64_t from;
		size_t length;
		int fd;
	} slots[8], *slot;
	unsigned int count = 0;
	long results[16], result;
	int i;

	for (i = 0; i < 8; i++) {
		unsigned int kind = dice(3), flag = polled ? 0 : flags[dice(ARRAY_SIZE(flags))];

		slot = &slots[i];
		slot->writes = kind > 0;
		slot->reads = kind < 2;
		slot->from = (i * (SHARE / 8) + dice(SHARE / 8 - 1)) * PAGE;
		slot->length = (1 + dice(2)) * PAGE;
		slot->fd = polled ? io.direct : some_file();
		if (slot->writes) {
			some_data(io.fresh + i * 2 * PAGE, slot->length);
			ring_add(ring, slot->fd, true, slot->from, slot->length, i,
				 flag | (slot->reads ? IOSQE_IO_LINK : 0), i);
			count++;
		}
		if (slot->reads) {
			memset(io.buffer + i * 2 * PAGE, 0x77, slot->length);
			ring_add(ring, slot->fd, false, slot->from, slot->length, i, flag, 8 + i);
			count++;
		}
	}
	if (!ring_run(ring, count, results))
		return;
	shared->rings++;
	/* As after do_aio(). */
	posix_fadvise(io.buffered, io.from, SHARE * PAGE, POSIX_FADV_DONTNEED);
	for (i = 0; i < 8; i++) {
		bool failed = false;

		slot = &slots[i];
		if (slot->writes) {
			const unsigned char *fresh = io.fresh + i * 2 * PAGE;

			result = results[i];
			errno = -result;
			did("ring write", slot->fd, slot->from, slot->length, result, polled);
			failed = result != (long)slot->length;
			if (failed) {
				judge_result("a ring's write", slot->from, slot->length, result,
					     polled && result == -EOPNOTSUPP);
				reconcile("a ring's write", slot->from, slot->length, fresh);
			} else {
				memcpy(io.model + slot->from, fresh, slot->length);
			}
		}
		if (slot->reads) {
			result = results[8 + i];
			errno = -result;
			did("ring read", slot->fd, slot->from, slot->length, result, polled);
			if (result == (long)slot->length)
				compare("a ring's read", slot->from, result,
					io.buffer + i * 2 * PAGE);
			else
				judge_result("a ring's read", slot->from, slot->length, result,
					     (polled && result == -EOPNOTSUPP) ||
					     (failed && result == -ECANCELED));
		}
	}
}

static void do_discard(void)
{
	static const unsigned long requests[] = {
		BLKDISCARD, BLKDISCARD, BLKZEROOUT, BLKSECDISCARD
	};
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE | FALLOC_FL_NO_HIDE_STALE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_WRITE_ZEROES, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE, 0
	};
	int fd = some_file(), result;
	uint64_t range[2], from, first, end;
	unsigned long request;
	size_t length;

	some_range(&from, &length);
	range[0] = io.from + from;
	range[1] = length;
	first = from;
	end = from + length;
	/*
	 * The block layer empties the page cache before it finds that a range of 512 bytes is too
	 * short for this disk. So nothing may be there only, and nothing may stay there.
	 */
	fsync(io.buffered);
	if (dice(2)) {
		request = requests[dice(ARRAY_SIZE(requests))];
		result = ioctl(fd, request, range);
	} else {
		request = modes[dice(ARRAY_SIZE(modes))];
		result = fallocate(fd, request, range[0], range[1]);
	}
	did("discard", fd, from, length, result, request);
	if (result) {
		judge_error("discard", from, length, errno);
		posix_fadvise(io.buffered, io.from + (from & -PAGE), length + 2 * PAGE,
			      POSIX_FADV_DONTNEED);
		reconcile("a discard", from, length, io.zero);
		return;
	}
	if (request == BLKDISCARD && (from | length) % PAGE) {
		/*
		 * Where pages are larger than blocks, a disk keeps what it has in the parts of
		 * pages at both ends. The page cache has zeros there.
		 */
		posix_fadvise(io.buffered, io.from + (from & -PAGE), length + 2 * PAGE,
			      POSIX_FADV_DONTNEED);
		first = (from + PAGE - 1) & -PAGE;
		end = (from + length) & -PAGE;
	}
	if (first < end)
		memset(io.model + first, 0, end - first);
	reconcile("a discard", from, length, NULL);
}

/* None of it is about what others own. */
static void do_beyond(void)
{
	const uint64_t ends[] = { 1UL << 31, 1UL << 32, 1UL << 40, 1UL << 62, -1UL >> 1, -1UL,
				  -PAGE, 1UL << 63 };
	uint64_t from = dice(4) ? DISK + dice(64 * PAGE) : ends[dice(ARRAY_SIZE(ends))];
	uint64_t range[2] = { from, dice(2) ? dice(16) * PAGE : ends[dice(ARRAY_SIZE(ends))] };
	ssize_t done;

	switch (dice(5)) {
	case 0:
		done = pread(some_file(), some_buffer(), dice(MOST), from);
		break;
	case 1:
		done = pwrite(some_file(), some_buffer(), dice(MOST), from);
		break;
	case 2:
		done = ioctl(some_file(), BLKDISCARD, range) ? -1 : (ssize_t)range[1];
		break;
	case 3:
		done = ioctl(some_file(), BLKZEROOUT, range) ? -1 : (ssize_t)range[1];
		break;
	default:
		done = fallocate(some_file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range[0],
				 range[1]) ? -1 : (ssize_t)range[1];
		/* It is cut at the end, and what is beyond is empty then. */
		if (range[0] >= DISK)
			done = -1;
	}
	if (done > 0)
		problem("%zd bytes at %lu, beyond the end", done, from);
	shared->errors += done < 0;
}

static void do_map(void)
{
	uint64_t from = dice(SHARE) * PAGE, i;
	size_t length = (1 + dice(8)) * PAGE;
	unsigned char *map;

	if (from + length > SHARE * PAGE)
		length = SHARE * PAGE - from;
	map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, io.buffered, io.from + from);
	if (map == MAP_FAILED) {
		tell("mmap", from, length, strerror(errno));
		return;
	}
	did("map", io.buffered, from, length, 0, 0);
	if (dice(2))
		compare("mapped memory", from, length, map);
	for (i = dice(4); i; i--) {
		uint64_t at = dice(length);
		size_t part = 1 + dice(length - at);

		some_data(io.model + from + at, part);
		memcpy(map + at, io.model + from + at, part);
		did("change map", io.buffered, from + at, part, 0, 0);
	}
	if (dice(2) && msync(map, length, dice(2) ? MS_SYNC : MS_ASYNC))
		tell("msync", from, length, strerror(errno));
	if (dice(2))
		madvise(map, length, MADV_DONTNEED);
	compare("mapped memory", from, length, map);
	munmap(map, length);
	if (fsync(io.buffered))
		tell("fsync", from, length, strerror(errno));
}

/* Whatever block devices answer to, but what destroys data, or makes the disk read-only. */
static void do_ioctl(void)
{
	static const unsigned int types[] = { 0x12, 0x12, 0x12, 0x12, 0x02, 0x03, 0x22, 0x53, 'p' };
	static unsigned char argument[65536];
	unsigned int type = types[dice(ARRAY_SIZE(types))], number = dice(256);
	unsigned long request = type << 8 | number;
	void *to = argument;

	if (type == 0x12 && (number == 93 || number == 119 || number == 125 || number == 127))
		return;
	/* BLKRASET and BLKFRASET: see main(). */
	if (type == 0x12 && (number == 98 || number == 100))
		return;
	if (dice(2))
		request |= dice(4) << 30 | dice(dice(2) ? 64 : 16384) << 16;
	some_data(argument, sizeof(argument));
	if (!dice(10))
		to = (void *)(dice(2) ? 0 : -PAGE);
	ioctl(some_file(), request, to);
	look_for_canary(argument, sizeof(argument), "an ioctl's answer");
}

static void do_rest(void)
{
	int pipes[2];
	uint64_t from;
	loff_t offset;
	size_t length;
	ssize_t done;

	some_range(&from, &length);
	did("rest", io.buffered, from, length, 0, 0);
	switch (dice(7)) {
	case 0:
		fsync(some_file());
		break;
	case 1:
		fdatasync(some_file());
		break;
	case 2:
		posix_fadvise(io.buffered, io.from + from, length, dice(7));
		break;
	case 3:
		sync_file_range(io.buffered, io.from + from, length, dice(8));
		break;
	case 4:
		readahead(io.buffered, io.from + from, length);
		break;
	case 5:
		lseek(io.buffered, io.from + from, dice(5));
		break;
	default:
		if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
			break;
		offset = io.from + from;
		done = splice(some_file(), &offset, pipes[1], NULL, length, SPLICE_F_NONBLOCK);
		if (done > 0) {
			length = read(pipes[0], io.buffer, done);
			if ((ssize_t)length > 0)
				compare("a splice", from, length, io.buffer);
		}
		close(pipes[0]);
		close(pipes[1]);
	}
}

static void prepare_io(int disk, int share)
{
	io.disk = disk;
	io.from = share * SHARE * PAGE;
	io.direct = open_id(ids[disk], O_RDWR | O_DIRECT);
	io.buffered = open_id(ids[disk], O_RDWR);
	io.sync = open_id(ids[disk], O_RDWR | O_SYNC);
	io.nonblock = open_id(ids[disk], O_RDWR | O_DIRECT | O_NONBLOCK | O_DSYNC);
	io.model = alloc_aligned(SHARE * PAGE);
	io.buffer = alloc_aligned(MOST + PAGE);
	io.fresh = alloc_aligned(MOST);
	io.scratch = alloc_aligned(MOST + 2 * PAGE);
	io.zero = alloc_aligned(MOST);
	if (io.direct < 0 || io.buffered < 0 || io.sync < 0 || io.nonblock < 0)
		err(2, "zram%d", ids[disk]);
	memset(io.model, 0, SHARE * PAGE);
	memset(io.zero, 0, MOST);
	if (syscall(SYS_io_setup, 16, &io.aio))
		io.aio = 0;
}

/*
 * A kernel worker unmaps the ring of a context that its process has left behind, while the process
 * ends; on User Mode Linux lockdep complains about that.
 */
static void end_aio(void)
{
	if (io.aio)
		syscall(SYS_io_destroy, io.aio);
	io.aio = 0;
}

static void use_disk(int disk, int share)
{
	uint64_t from;

	prepare_io(disk, share);
	prepare_ring(&rings[0], 0);
	prepare_ring(&rings[1], IORING_SETUP_IOPOLL);
	while (!shared->stop) {
		shared->io++;
		switch (dice(21)) {
		case 0 ... 5:
			do_read();
			break;
		case 6 ... 11:
			do_write();
			break;
		case 12 ... 13:
			do_discard();
			break;
		case 14:
			do_beyond();
			break;
		case 15:
			do_map();
			break;
		case 16:
			do_ioctl();
			break;
		case 17:
			if (io.aio)
				do_aio();
			break;
		case 18:
			do_ring();
			break;
		default:
			do_rest();
		}
	}
	for (from = 0; from < SHARE * PAGE; from += MOST)
		reconcile("all of it", from, MOST, NULL);
	end_aio();
}

/* Direct writes from memory that another process changes: their data is unknown. */
static void scribble(int disk)
{
	uint64_t *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	pid_t child;

	prepare_io(disk, SHARES - 1);
	end_aio();
	if (memory == MAP_FAILED)
		err(2, "no memory");
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			size_t i = dice(8 * PAGE / sizeof(*memory));

			memory[i] = dice(2) ? next() : memory[dice(8 * PAGE / sizeof(*memory))];
		}
	}
	while (!shared->stop) {
		uint64_t from = io.from + dice(SHARE - 8) * PAGE;

		shared->io++;
		if (pwrite(io.direct, memory, 8 * PAGE, from) < 0)
			shared->errors++;
		/* A read of it may fail, but must not return another page's data. */
		memset(io.buffer, 0x77, 8 * PAGE);
		if (pread(io.direct, io.buffer, 8 * PAGE, from) < 0)
			shared->errors++;
		look_for_canary(io.buffer, 8 * PAGE, "what was scribbled");
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* --- Attributes ------------------------------------------------------------------------------- */

static const char * const valid[] = {
	"1M", "0", "1", "2", "all", "idle", "huge", "huge_idle", "incompressible", "type=idle",
	"type=huge", "page_index=1", "page_indexes=0-100", "page_indexes=3-3 page_index=7",
	"lz4", "lzo", "lzo-rle", "lz4hc", "zstd", "deflate", "842", "algo=zstd priority=1",
	"algo=lz4 priority=2", "algo=deflate priority=3", "priority=1 level=3", "algo=zstd level=8",
	"level=1 deflate.winbits=12", "dict=/tmp/fuzz.dictionary",
	"algo=lz4 dict=/tmp/fuzz.dictionary",
	"type=idle threshold=3000", "threshold=100 max_pages=20", "type=huge algo=zstd",
	"type=huge_idle priority=1", "none", "/dev/null", "/tmp/fuzz.dictionary", "/", "/dev/zram0",
	"32", "4096", "1", "86400", "BACKING", "1000000", "compact",
	"off", "age=1", "age=0 every=1", "age=0 every=1 available=100%", "age=1 above=50% max=1M",
	"age=2 huge_age=0 every=1", "age=0 every=1 algo=zstd threshold=100", "1M/60", "64K/1", "1G/day",
	"memory=90% device=80% budget=1 errors=1", "memory=2% hysteresis=1%", "device=50%",
	"latency=1", "latency=0",
};

static const char * const words[] = {
	"type", "algo", "priority", "level", "dict", "threshold", "max_pages", "page_index",
	"page_indexes", "deflate.winbits", "=", "=", "-", " ", " ", "\n", "\t", ",", "\"", "'", "\\",
	"idle", "huge", "compact", "lz4", "zstd", "none", "all", "0", "1", "-1", "+1", "0x10",
	"010", "1k", "1E",
	"4294967295", "4294967296", "2147483648", "18446744073709551615", "18446744073709551616",
	"9223372036854775807", "9223372036854775808", "99999999999999999999999999",
	"-9223372036854775808",
	"age", "huge_age", "every", "max", "above", "available", "off", "day", "/", "%",
	"memory", "device", "budget", "errors", "hysteresis", "latency", "100%", "2%",
	"1P", "16E", "1KK", "%s%n", "../..", "/dev/", "\xff\xfe", "\xc3\xa9", "\x7f", "\x01",
};

#define INPUT		(3 * PAGE)	/* of one write, at most */

static char *input;

static size_t append(size_t length, const char *text, size_t more)
{
	if (length + more > INPUT)
		more = INPUT - length;
	memcpy(input + length, text, more);
	return length + more;
}

static size_t some_valid(int i)
{
	const char *text = valid[dice(ARRAY_SIZE(valid))];

	if (!strcmp(text, "BACKING"))
		text = backings[i];
	return append(0, text, strlen(text));
}

static size_t some_input(int disk)
{
	const size_t lengths[] = { 0, 1, 2, 16, 63, 64, 65, 255, 256, PAGE - 2, PAGE - 1, PAGE,
				   PAGE + 1, 2 * PAGE, INPUT };
	size_t length = 0, i, n;
	const char *word;

	switch (dice(8)) {
	case 0:		/* anything */
		length = dice(2) ? dice(24) : lengths[dice(ARRAY_SIZE(lengths))];
		for (i = 0; i < length; i++)
			input[i] = next() >> 24;
		break;
	case 1:		/* the same again and again */
		length = lengths[dice(ARRAY_SIZE(lengths))];
		memset(input, "1a =/\n\0-"[dice(8)], length);
		if (dice(2) && length > 40)
			some_valid(disk);
		break;
	case 2:
	case 3:		/* words */
		for (n = 1 + dice(dice(8) ? 8 : 600); n; n--) {
			word = words[dice(ARRAY_SIZE(words))];
			length = append(length, word, strlen(word));
		}
		break;
	case 4:		/* as it should be */
		length = some_valid(disk);
		break;
	default:	/* nearly */
		length = some_valid(disk);
		for (n = 1 + dice(3); n && length && length < PAGE; n--) {
			i = dice(length);
			switch (dice(5)) {
			case 0:
				input[i] = next() >> 24;
				break;
			case 1:
				memmove(input + i, input + i + 1, --length - i);
				break;
			case 2:
				memmove(input + i + 1, input + i, length++ - i);
				break;
			case 3:
				word = words[dice(ARRAY_SIZE(words))];
				length = append(i, word, strnlen(word, 3));
				break;
			default:
				input[i] ^= 1 << dice(8);
			}
		}
	}
	if (dice(2) && length < INPUT)
		input[length++] = '\n';
	return length;
}

/* Of all files of a disk that can be written; those of the block layer are in queue/. */
static char *names[100];
static int name_count, mode_count;

static void look_at_file(const char *path, const char *name)
{
	char text[2 * PAGE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length, i;

	if (fd < 0)
		return;
	length = dice(2) ? read(fd, text, sizeof(text)) : pread(fd, text, dice(100), dice(100));
	close(fd);
	if (length <= 0)
		return;
	look_for_canary(text, length, name);
	/* C zram has lines with zeros between them. */
	if (aligned)
		return;
	/* A path may have any characters. */
	for (i = 0; strcmp(name, "backing_dev") && i < length; i++) {
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~')) {
			problem("%s has a byte %02x", name, (unsigned char)text[i]);
			return;
		}
	}
}

static void write_attribute(void)
{
	int i = dice(DISKS), id = ids[i], n = dice(dice(4) ? mode_count : name_count), fd;
	size_t length = some_input(i), part;
	struct iovec vectors[2];
	char path[600];
	ssize_t done;

	/* The data of disks in use must survive: but it may not when memory is limited. */
	if (i < USED && (n >= mode_count || !strcmp(names[n], "mem_limit")))
		return;
	snprintf(path, sizeof(path), "%s", attribute(id, names[n]));
	if (!dice(4)) {
		look_at_file(path, names[n]);
		return;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	part = length ? dice(length) : 0;
	switch (dice(4)) {
	case 0:		/* in parts */
		done = write(fd, input, part);
		done = write(fd, input + part, length - part);
		break;
	case 1:
		vectors[0].iov_base = input;
		vectors[0].iov_len = part;
		vectors[1].iov_base = input + part;
		vectors[1].iov_len = length - part;
		done = writev(fd, vectors, 2);
		break;
	case 2:
		done = pwrite(fd, input, length, dice(2) ? dice(PAGE) : next() >> 1);
		break;
	default:
		done = write(fd, input, length);
	}
	close(fd);
	shared->attributes++;
	shared->accepted += done > 0;
	if (done > (ssize_t)length)
		problem("%zd of %zu bytes were written to %s", done, length, names[n]);
}

/* Anything but the numbers of disks that are needed. */
static void write_hot_remove(void)
{
	size_t length = some_input(0);
	int fd = open(HOT_REMOVE, O_WRONLY | O_CLOEXEC), i;

	input[length < INPUT ? length : INPUT - 1] = 0;
	for (i = 0; i < DISKS; i++) {
		if (strtol(input, NULL, 10) == ids[i])
			length = 0;
	}
	shared->attributes++;
	if (write(fd, input, length) > 0)
		shared->accepted++;
	close(fd);
}

/* In between, what is as it should be, so that random input finds disks in all states. */
static void write_sense(void)
{
	int i = dice(DISKS);

	switch (dice(8)) {
	case 0:
		i = USED + dice(DISKS - USED);
		set(ids[i], "reset", "1");
		if (dice(4))
			configure(i);
		break;
	case 1:
		set(ids[i], "idle", "all");
		set(ids[i], "writeback", "idle");
		break;
	case 2:
		set(ids[i], "writeback", "page_indexes=0-200");
		set(ids[i], "writeback", "compact");
		break;
	case 3:
		set(ids[i], "recompress", "threshold=0 priority=1");
		break;
	case 4:
		unlimited(i);
		set(ids[i], "compact", "1");
		break;
	case 5:
		set(ids[i], "writeback_batch_size", "32");
		break;
	default:
		/* Something is to be on disks that can be reset. */
		i = USED + dice(DISKS - USED);
		i = open_id(ids[i], O_RDWR | O_NONBLOCK);
		if (i >= 0) {
			some_data((unsigned char *)input, INPUT);
			if (pwrite(i, input, INPUT, dice(40) * PAGE) < 0)
				shared->errors++;
			close(i);
		}
	}
}

static void write_attributes(void)
{
	while (!shared->stop) {
		if (dice(12))
			write_attribute();
		else if (dice(4))
			write_sense();
		else
			write_hot_remove();
	}
}

/* --- In the end ------------------------------------------------------------------------------- */

/*
 * Where what zstd has made of a page ends, which begins at @block; 0 if it is no such thing, or
 * ends after @most bytes.
 */
static size_t end_of_frame(const unsigned char *block, size_t most)
{
	static const unsigned char magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const unsigned char dictionary[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
	size_t at = sizeof(magic), size;
	unsigned int flags, header;

	if (memcmp(block, magic, sizeof(magic)))
		return 0;
	flags = block[at++];
	at += flags & 0x20 ? !(flags >> 6) : 1;
	at += dictionary[flags & 3] + content[flags >> 6];
	do {
		if (at + 3 > most)
			return 0;
		header = block[at] | block[at + 1] << 8 | block[at + 2] << 16;
		/* A repeated byte is there once. */
		size = (header >> 1 & 3) == 1 ? 1 : header >> 3;
		at += 3 + size;
	} while (!(header & 1));
	at += flags & 4 ? 4 : 0;
	return at > most ? 0 : at;
}

static void look_at_backing(int i)
{
	int fd = open(backings[i], O_RDONLY | O_CLOEXEC);
	unsigned char *block = io.scratch;
	unsigned long blocks = 0, used = 0, frames = 0, shared_blocks = 0;
	size_t end, more;

	if (fd < 0) {
		problem("%s: %s", backings[i], strerror(errno));
		return;
	}
	while (read(fd, block, PAGE) == (ssize_t)PAGE) {
		blocks++;
		used += block[0] || memcmp(block, block + 1, PAGE - 1);
		if (look_for_canary(block, PAGE, backings[i]))
			printf("# that is in block %lu\n", blocks - 1);
		end = end_of_frame(block, PAGE);
		frames += !!end;
		more = end && packs(i) ? end_of_frame(block + end, PAGE - end) : 0;
		shared_blocks += !!more;
		for (; more; more = end_of_frame(block + end, PAGE - end)) {
			frames++;
			end += more;
		}
		/* Nothing but zeros is behind it, whatever was in memory there. */
		while (end && end < PAGE && !block[end])
			end++;
		if (end && end < PAGE)
			problem("block %lu of %s has %02x at %zu, behind its objects", blocks - 1,
				backings[i], block[end], end);
	}
	close(fd);
	printf("# of %lu blocks of the backing device of disk %d, %lu were written, with %lu frames of zstd\n",
	       blocks, i, used, frames);
	if (!used || (forms[i].compressed && !frames) || (packs(i) && !shared_blocks))
		problem("nothing was written to %s", backings[i]);
}

/* What all processes rely on; see main(). */
static void must_not_read_ahead(int i)
{
	char text[32] = "";

	if (get(attribute(ids[i], "queue/read_ahead_kb"), text, sizeof(text)) <= 0 || atoi(text))
		problem("disk %d reads ahead: %s", i, text);
}

/* The disk must still do all that it has to do. */
static void must_work(int i)
{
	unsigned char *pages = io.buffer, *got = io.fresh;
	int fd, error;

	error = retry_busy(reset, ids[i]);
	if (error)
		problem("disk %d cannot be reset: %s", i, strerror(error));
	error = configure(i);
	if (error)
		problem("disk %d cannot be configured: %s", i, strerror(error));
	fd = open_id(ids[i], O_RDWR | O_DIRECT);
	some_data(pages, MOST);
	if (fd < 0 || pwrite(fd, pages, MOST, 0) != (ssize_t)MOST)
		problem("disk %d cannot be written: %s", i, strerror(errno));
	unlimited(i);
	error = set(ids[i], "writeback", "page_indexes=0-7");
	if (error)
		problem("disk %d cannot be written back: %s", i, strerror(error));
	error = packs(i) ? set(ids[i], "writeback", "compact") : 0;
	if (error)
		problem("blocks of disk %d cannot be compacted: %s", i, strerror(error));
	error = set(ids[i], "recompress", "threshold=0 priority=1");
	if (error)
		problem("disk %d cannot be recompressed: %s", i, strerror(error));
	if (fd < 0 || pread(fd, got, MOST, 0) != (ssize_t)MOST)
		problem("disk %d cannot be read: %s", i, strerror(errno));
	else if (memcmp(pages, got, MOST))
		problem("disk %d does not give what was written", i);
	close(fd);
	error = set(ids[i], "reset", "1");
	if (error)
		problem("disk %d cannot be reset in the end: %s", i, strerror(error));
	error = hot_remove(ids[i]);
	if (error)
		problem("disk %d cannot be removed: %s", i, strerror(error));
}

/* --- Processes -------------------------------------------------------------------------------- */

static pid_t children[32];
static int child_count;

static void start(void (*what)(int one, int other), int one, int other, uint64_t seed)
{
	pid_t pid = fork();

	if (pid < 0)
		err(2, "fork");
	if (pid) {
		children[child_count++] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* No operation is in progress, so there is nothing to wait for. */
	signal(SIGPIPE, SIG_IGN);
	state = seed_state(seed);
	what(one, other);
	exit(0);
}

static void scribbles(int disk, int unused)
{
	(void)unused;
	scribble(disk);
}

static void attributes(int one, int other)
{
	(void)one;
	(void)other;
	write_attributes();
}

/*
 * Right after that memory was given back it is taken for writeback. There must be more requests
 * than pages: in a request that is used again is what it wrote before, first of all the pages that
 * cannot be compressed.
 */
static void sows(int one, int other)
{
	unsigned char *blocks = alloc_aligned(256 * PAGE);
	int i, fd[USED];
	char all[40];

	(void)one;
	(void)other;
	snprintf(all, sizeof(all), "page_indexes=0-%lu", DISK / PAGE - 1);
	for (i = 0; i < USED; i++)
		fd[i] = open_file(backings[i], O_RDONLY | O_DIRECT);
	while (!shared->stop) {
		sow(16 << 20);
		for (i = 0; i < USED; i++) {
			ssize_t length;

			unlimited(i);
			set(ids[i], "writeback_batch_size", "1000");
			sow_pipes(12);
			set(ids[i], "writeback", all);
			length = pread(fd[i], blocks, 256 * PAGE, 0);
			if (length > 0)
				look_for_canary(blocks, length, backings[i]);
		}
		usleep(100000);
	}
}

static void hangs(int signal)
{
	int i;

	(void)signal;
	/* Not quite what a handler may do, but there is nothing to lose. */
	for (i = 0; i < child_count; i++) {
		if (kill(children[i], 0))
			continue;
		printf("# process %d of %d hangs:\n", i, child_count);
		print_stack(children[i]);
	}
	/* Who waits for what, for the kernel's log. */
	put("/proc/sysrq-trigger", "w");
	printf("# something hangs\n");
	fflush(stdout);
	_exit(3);
}

int main(int argc, char **argv)
{
	unsigned long seconds = 30;
	uint64_t seed = 1;
	int option, i, j, n, status, fd, held[USED];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "at:S:")) != -1) {
		if (option == 'a')
			aligned = true;
		else if (option == 't')
			seconds = parse_number(optarg, 1, INT_MAX);
		else if (option == 'S')
			seed = parse_ulong(optarg);
		else
			return 2;
	}
	if (argc - optind != DISKS)
		errx(2, "usage: fuzz [-a] [-t SECONDS] [-S SEED] BACKING BACKING BACKING BACKING BACKING");
	state = seed_state(seed);
	shared = alloc_shared(sizeof(*shared));
	input = alloc_aligned(INPUT);
	sow(256 << 20);
	sow_pipes(64);
	fd = open("/tmp/fuzz.dictionary", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (i = 0; i < 100; i++)
		dprintf(fd, "What all pages have in common is in here: %d.\n", i * i * i);
	close(fd);
	for (i = 0; i < DISKS; i++) {
		backings[i] = argv[optind + i];
		ids[i] = hot_add();
		if (ids[i] < 0)
			errx(2, "there is no disk");
		n = configure(i);
		if (n)
			errx(2, "zram%d with %s: %s", ids[i], backings[i], strerror(n));
		/* This keeps them in use. */
		if (i < USED) {
			/*
			 * What a process reads ahead of its own pages may come to be in the page
			 * cache while their owner writes them with asynchronous direct I/O, after
			 * which the block layer does not look for them there.
			 */
			set(ids[i], "queue/read_ahead_kb", "0");
			/* Exclusively, so that none of them becomes another's backing device. */
			held[i] = open_id(ids[i], O_RDONLY | O_EXCL);
			if (held[i] < 0)
				err(2, "zram%d", ids[i]);
		}
	}
	mode_count = find_attributes(ids[0], "", 0222, names, 0, ARRAY_SIZE(names));
	name_count = find_attributes(ids[0], "queue/", 0222, names, mode_count, ARRAY_SIZE(names));

	n = seed * 100;
	for (i = 0; i < USED; i++) {
		for (j = 0; j < (int)SHARES - 1; j++)
			start(use_disk, i, j, ++n);
		start(scribbles, i, 0, ++n);
	}
	for (i = 0; i < WRITERS; i++)
		start(attributes, 0, 0, ++n);
	start(sows, 0, 0, ++n);

	signal(SIGALRM, hangs);
	alarm(seconds + GRACE);
	for (i = 0; i < (int)seconds; i++) {
		sleep(1);
		if (i % 60 == 59)
			printf("# %d s: %lu I/O, %lu attributes, %d problems\n", i + 1, shared->io,
			       shared->attributes, shared->problems);
	}
	shared->stop = true;
	for (i = 0; i < child_count; i++) {
		waitpid(children[i], &status, 0);
		if (status)
			problem("process %d ended with status %x", i, status);
		children[i] = 0;
	}
	prepare_io(0, 0);
	end_aio();
	for (i = 0; i < USED; i++) {
		look_at_backing(i);
		must_not_read_ahead(i);
	}
	close(io.direct);
	close(io.buffered);
	close(io.sync);
	close(io.nonblock);
	for (i = 0; i < USED; i++)
		close(held[i]);
	for (i = 0; i < DISKS; i++)
		must_work(i);
	printf("# %lu times several requests by io_uring\n", shared->rings);
	if (!shared->rings)
		problem("nothing was done by io_uring");
	printf("fuzz: io=%lu errors=%lu attributes=%lu accepted=%lu stale=%lu problems=%d\n",
	       shared->io, shared->errors, shared->attributes, shared->accepted, shared->stale,
	       shared->problems);
	return !!shared->problems;
}
