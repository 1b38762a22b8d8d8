// SPDX-License-Identifier: GPL-2.0
/*
 * failnth: makes the first allocation of an operation fail, then the second, and so on until the
 * operation has no further allocation, and checks the disk each time.
 *
 * usage: failnth list
 *        failnth [-v] [-s SEED] BACKING DICTIONARY NAME
 *
 * "list" prints the names of all operations. -s selects a sample: the first allocations, and fewer
 * of the later ones; SEED determines which. BACKING is a block device of at least 1 MiB that stores
 * data, DICTIONARY a file with a dictionary for compression. The module is loaded, except for the
 * operations whose names begin with "load" or "unload", which get its path as BACKING.
 *
 * An operation may fail with ENOMEM, or with another error that its entry allows, or succeed all
 * the same. The state after that must be the state before the operation, or the one after its
 * success: the data of the disk is unchanged, and the same operation succeeds without an injected
 * failure.
 *
 * The last line of output is for scripts:
 *
 *	failnth: NAME: injected=N refused=N
 *
 * Exit status: 0 if all checks passed, 1 if one failed, 2 if the check could not be made.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "common.h"

#define PAGES		96UL
#define MAX_NTH		20000
#define DENSE		8U	/* of a sample, where nothing is left out */

static const char *backing, *dictionary;
static bool verbose;
static bool sample;
static int id = -1;			/* of the disk */
static int fail_nth;			/* /proc/self/task/<tid>/fail-nth */
static uint64_t *buffer, *expected;	/* PAGES pages */
static unsigned int seed;		/* of what is on the disk */
static unsigned int nth, injected, refused, problems;

static void problem(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# allocation %u: ", nth);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	problems++;
}

/* --- Injection ------------------------------------------------------------------------------- */

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth, text, len, 0) != len)
		err(2, "fail-nth");
}

/* Returns whether it has happened. */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 0)
		err(2, "fail-nth");
	arm(0);
	return atoi(text) == 0;
}

/* --- Files ----------------------------------------------------------------------------------- */

/*
 * One write, of which only the call itself may fail by injection; 0 or an error number. With n 0
 * nothing is injected, else *hit says whether it was.
 */
static int put_nth(const char *path, const char *text, unsigned int n, bool *hit)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (n)
		arm(n);
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	if (n)
		*hit = disarm();
	close(fd);
	return error;
}

static void must(const char *name, const char *text)
{
	if (put(attribute(id, name), text))
		err(2, "'%s' to %s", text, attribute(id, name));
}

static int get_nth(const char *path, char *text, size_t size, unsigned int n, bool *hit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;
	int error = 0;

	if (fd < 0)
		return errno;
	if (n)
		arm(n);
	len = read(fd, text, size - 1);
	if (len < 0)
		error = errno;
	if (n)
		*hit = disarm();
	close(fd);
	text[len < 0 ? 0 : len] = 0;
	return error;
}

static int count_disks(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/sys/block");
	int count = 0;

	if (!dir)
		err(2, "/sys/block");
	while ((entry = readdir(dir)))
		count += !strncmp(entry->d_name, "zram", 4);
	closedir(dir);
	return count;
}

/* --- The disk -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	return x;
}

/* A third of pages is the same word all over, a third is compressible, a third is not. */
static void fill(uint64_t *page, unsigned long index, unsigned int s)
{
	uint64_t state = mix(index + ((uint64_t)s << 32)) | 1;
	unsigned long i;

	for (i = 0; i < WORDS; i++) {
		switch (index % 3) {
		case 0:
			page[i] = state;
			break;
		case 1:
			page[i] = i % 16 ? state + i % 7 : mix(state + i);
			break;
		default:
			page[i] = mix(state + i * GOLDEN);
		}
	}
}

static void write_all(void)
{
	unsigned long i;
	int fd = open_id(id, O_WRONLY | O_DIRECT);

	seed++;
	for (i = 0; i < PAGES; i++)
		fill(buffer + i * WORDS, i, seed);
	if (fd < 0 || pwrite(fd, buffer, PAGES * PAGE, 0) != PAGES * PAGE)
		err(2, "writing to the disk");
	close(fd);
}

/* What is on the disk must be what was written with this seed, or with the other. */
static void check(unsigned int one, unsigned int other)
{
	unsigned long i, bad = 0;
	int fd = open_id(id, O_RDONLY | O_DIRECT);

	if (fd < 0) {
		problem("the disk cannot be opened: %s", strerror(errno));
		return;
	}
	memset(buffer, 0x55, PAGES * PAGE);
	if (pread(fd, buffer, PAGES * PAGE, 0) != PAGES * PAGE)
		problem("the disk cannot be read: %s", strerror(errno));
	close(fd);
	for (i = 0; i < PAGES; i++) {
		fill(expected, i, one);
		if (!memcmp(buffer + i * WORDS, expected, PAGE))
			continue;
		fill(expected, i, other);
		bad += !!memcmp(buffer + i * WORDS, expected, PAGE);
	}
	if (bad)
		problem("%lu pages are not what was written", bad);
}

/* --- The operations -------------------------------------------------------------------------- */

struct operation {
	const char *name;
	/* Makes what it is done to. */
	void (*before)(const struct operation *op);
	/* Does it, with the nth allocation failing if n is not 0; 0 or an error number. */
	int (*act)(const struct operation *op, unsigned int n, bool *hit);
	/* Looks whether all is as it should be, after it succeeded or failed. */
	void (*after)(const struct operation *op, bool done);
	/* Takes all of it away. */
	void (*end)(const struct operation *op);
	const char *file, *text;	/* what is written, and where to */
	const char *config[6];		/* pairs of what is written, and where to, before */
	int allowed;			/* an error number beside ENOMEM */
	unsigned int stride;		/* of a sample, at most, where it must not get larger */
};

static void end_disk(const struct operation *op)
{
	int error = retry_busy(hot_remove, id);

	(void)op;
	if (error)
		problem("the disk cannot be removed: %s", strerror(error));
	id = -1;
}

static void configure(const struct operation *op)
{
	char text[256];
	size_t i;

	id = hot_add();
	if (id < 0)
		err(2, "hot_add");
	for (i = 0; i + 1 < ARRAY_SIZE(op->config) && op->config[i]; i += 2) {
		snprintf(text, sizeof(text), op->config[i + 1], dictionary);
		must(op->config[i], text);
	}
}

static void with_data(const struct operation *op)
{
	configure(op);
	if (strcmp(op->config[0] ?: "", "backing_dev"))
		must("backing_dev", backing);
	must("disksize", "2M");
	write_all();
}

static void with_backing(const struct operation *op)
{
	configure(op);
	must("backing_dev", backing);
}

static void with_data_in_memory(const struct operation *op)
{
	configure(op);
	must("disksize", "2M");
	write_all();
}

/* The pages can be written back to a device that was accepted. Another one has left nothing. */
static void after_later(const struct operation *op, bool done)
{
	char text[256] = "";

	(void)op;
	check(seed, seed);
	get(attribute(id, "backing_dev"), text, sizeof(text));
	if (!strncmp(text, "none", 4) == done)
		problem("backing_dev is %s", text);
	if (!done)
		return;
	must("idle", "all");
	must("writeback", "idle");
	check(seed, seed);
}

static void with_idle_data(const struct operation *op)
{
	with_data(op);
	must("idle", "all");
}

static void with_data_written_back(const struct operation *op)
{
	with_idle_data(op);
	must("writeback", "idle");
}

/*
 * Of the pages that share blocks, only every fourth stays in its block. Which pages these are does
 * not matter, since all pages are written again as they are.
 */
static void with_sparse_blocks(const struct operation *op)
{
	unsigned long i, pages, bytes, blocks, sparse;
	char text[128] = "";
	int fd;

	with_data_written_back(op);
	fd = open_id(id, O_WRONLY | O_DIRECT);
	for (i = 0; i < PAGES; i++) {
		if (i % 3 != 1 || i % 12 == 1)
			continue;
		fill(buffer, i, seed);
		if (fd < 0 || pwrite(fd, buffer, PAGE, i * PAGE) != PAGE)
			err(2, "writing to the disk");
	}
	close(fd);
	get(attribute(id, "bd_pack_stat"), text, sizeof(text));
	if (sscanf(text, "%lu %lu %lu %lu", &pages, &bytes, &blocks, &sparse) != 4 || sparse < 2)
		errx(2, "there is nothing to compact: bd_pack_stat is %s", text);
}

static int act_put(const struct operation *op, unsigned int n, bool *hit)
{
	char text[256];

	if (!strcmp(op->file, "backing_dev"))
		snprintf(text, sizeof(text), "%s", backing);
	else
		snprintf(text, sizeof(text), op->text, dictionary);
	return put_nth(attribute(id, op->file), text, n, hit);
}

static int act_get(const struct operation *op, unsigned int n, bool *hit)
{
	char path[600], text[4096];

	if (*op->file == '/')
		snprintf(path, sizeof(path), "%szram%d/block_state", op->file, id);
	else
		snprintf(path, sizeof(path), "%s", attribute(id, op->file));
	return get_nth(path, text, sizeof(text), n, hit);
}

static void after_config(const struct operation *op, bool done)
{
	(void)op;
	if (!done)
		return;
	/* It can be initialised, and used. */
	must("disksize", "2M");
	write_all();
	check(seed, seed);
}

static void after_disksize(const struct operation *op, bool done)
{
	char text[32];

	(void)op;
	get(attribute(id, "initstate"), text, sizeof(text));
	if (atoi(text) != done)
		problem("initstate is %d", atoi(text));
	if (done) {
		write_all();
		check(seed, seed);
	}
}

static void after_use(const struct operation *op, bool done)
{
	(void)op;
	(void)done;
	check(seed, seed);
}

/* Nothing may be lost when all pages are on the backing device, and none may be left there. */
static void after_compaction(const struct operation *op, bool done)
{
	unsigned long counts[4] = { 1, 1, 1, 1 };
	uint64_t range[2] = { 0, PAGES * PAGE };
	char text[128] = "";
	int fd;

	check(seed, seed);
	/* The operation may be repeated. */
	if (!done)
		return;
	must("idle", "all");
	must("writeback", "idle");
	check(seed, seed);
	fd = open_id(id, O_RDWR);
	if (fd < 0 || ioctl(fd, BLKDISCARD, range))
		err(2, "discarding all");
	close(fd);
	get(attribute(id, "bd_pack_stat"), text, sizeof(text));
	if (sscanf(text, "%lu %lu %lu %lu", counts, counts + 1, counts + 2, counts + 3) != 4 ||
	    counts[0] || counts[1] || counts[2] || counts[3])
		problem("when all is discarded, bd_pack_stat is %s", text);
	(void)op;
}

static void after_reset(const struct operation *op, bool done)
{
	char text[32];

	(void)op;
	get(attribute(id, "initstate"), text, sizeof(text));
	if (atoi(text) == done)
		problem("initstate is %d", atoi(text));
	if (!done)
		check(seed, seed);
}

static int disks_before;

static void before_add(const struct operation *op)
{
	(void)op;
	disks_before = count_disks();
}

static int act_add(const struct operation *op, unsigned int n, bool *hit)
{
	char text[16];
	int error;

	(void)op;
	error = get_nth("/sys/class/zram-control/hot_add", text, sizeof(text), n, hit);
	if (!error)
		id = atoi(text);
	return error;
}

static void after_add(const struct operation *op, bool done)
{
	int disks = count_disks() - disks_before;

	(void)op;
	if (disks != done)
		problem("%d disks were added", disks);
	if (done)
		after_config(op, true);
}

static void end_add(const struct operation *op)
{
	if (id >= 0)
		end_disk(op);
}

static int act_remove(const struct operation *op, unsigned int n, bool *hit)
{
	char text[16];
	int i, error;

	(void)op;
	snprintf(text, sizeof(text), "%d", id);
	for (i = 0; i < 200; i++) {
		error = put_nth(HOT_REMOVE, text, n, hit);
		if (error != EBUSY)
			break;
		usleep(10000);
	}
	return error;
}

static void after_remove(const struct operation *op, bool done)
{
	(void)op;
	if (!done)
		check(seed, seed);
	else
		id = -1;
}

static int act_open(const struct operation *op, unsigned int n, bool *hit)
{
	char path[32];
	int fd, error = 0;

	(void)op;
	snprintf(path, sizeof(path), "/dev/zram%d", id);
	if (n)
		arm(n);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		error = errno;
	if (n)
		*hit = disarm();
	if (fd >= 0)
		close(fd);
	return error;
}

/* For I/O: the text says whether it is direct. */
static int act_write(const struct operation *op, unsigned int n, bool *hit)
{
	bool direct = !strcmp(op->text, "direct");
	int fd = open_id(id, O_RDWR | (direct ? O_DIRECT : 0));
	int error = 0;
	unsigned long i;
	ssize_t len;

	if (fd < 0)
		return errno;
	for (i = 0; i < PAGES; i++)
		fill(buffer + i * WORDS, i, seed + 1);
	if (n)
		arm(n);
	len = pwrite(fd, buffer, PAGES * PAGE, 0);
	if (len < 0 || (!direct && fsync(fd)))
		error = errno;
	else if (len != PAGES * PAGE)
		error = ENOMEM;
	if (n)
		*hit = disarm();
	close(fd);
	return error;
}

static void after_write(const struct operation *op, bool done)
{
	(void)op;
	check(done ? seed + 1 : seed, seed + 1);
}

static int act_read(const struct operation *op, unsigned int n, bool *hit)
{
	bool direct = !strcmp(op->text, "direct");
	int fd = open_id(id, O_RDONLY | (direct ? O_DIRECT : 0));
	int error = 0;
	unsigned long i;
	ssize_t len;

	if (fd < 0)
		return errno;
	memset(buffer, 0x55, PAGES * PAGE);
	if (n)
		arm(n);
	len = pread(fd, buffer, PAGES * PAGE, 0);
	if (len < 0)
		error = errno;
	else if (len != PAGES * PAGE)
		error = ENOMEM;
	if (n)
		*hit = disarm();
	close(fd);
	for (i = 0; !error && i < PAGES; i++) {
		fill(expected, i, seed);
		if (memcmp(buffer + i * WORDS, expected, PAGE))
			problem("page %lu was not read as it was written", i);
	}
	return error;
}

/* Discards the upper half; the text says how. */
static int act_discard(const struct operation *op, unsigned int n, bool *hit)
{
	uint64_t range[2] = { PAGES / 2 * PAGE, PAGES / 2 * PAGE };
	int fd = open_id(id, O_RDWR);
	int error = 0;

	if (fd < 0)
		return errno;
	if (n)
		arm(n);
	if (ioctl(fd, strcmp(op->text, "discard") ? BLKZEROOUT : BLKDISCARD, range))
		error = errno;
	if (n)
		*hit = disarm();
	close(fd);
	return error;
}

static void after_discard(const struct operation *op, bool done)
{
	int fd = open_id(id, O_RDONLY | O_DIRECT);
	unsigned long i;

	(void)op;
	if (fd < 0 || pread(fd, buffer, PAGES * PAGE, 0) != PAGES * PAGE)
		problem("the disk cannot be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	for (i = 0; i < PAGES; i++) {
		bool zero = !buffer[i * WORDS] && !memcmp(buffer + i * WORDS,
							  buffer + i * WORDS + 1, PAGE - 8);

		fill(expected, i, seed);
		if (i >= PAGES / 2 && zero)
			continue;
		if ((i >= PAGES / 2 && done) || memcmp(buffer + i * WORDS, expected, PAGE))
			problem("page %lu is not what it should be", i);
	}
}

#define AUTO_WRITEBACK "age=1000000 every=100000"
#define OTHERS "writeback_budget=1M/60 packed_writeback=1 auto_recompress=age=9"
#define DEFAULTS "num_devices=2 " OTHERS " auto_writeback=\"" AUTO_WRITEBACK "\""

/* Loads the module with the parameters that the text has. */
static int act_load(const struct operation *op, unsigned int n, bool *hit)
{
	int fd = open(backing, O_RDONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (n)
		arm(n);
	if (syscall(SYS_finit_module, fd, op->text, 0))
		error = errno;
	if (n)
		*hit = disarm();
	close(fd);
	return error;
}

/*
 * Opens block_state of the first disk as soon as there is one, and keeps it open, until it is told
 * to stop: a module whose init fails is freed all the same.
 */
static volatile bool watching;
static bool spared;	/* Nothing was made to fail. */

static void *watch(void *unused)
{
	int fd = -1;

	(void)unused;
	while (watching && fd < 0)
		fd = open("/sys/kernel/debug/zram/zram0/block_state", O_RDONLY | O_CLOEXEC);
	while (watching)
		usleep(1000);
	return (void *)(intptr_t)fd;
}

static int act_load_watched(const struct operation *op, unsigned int n, bool *hit)
{
	pthread_t watcher;
	void *result;
	int error;

	watching = true;
	errno = pthread_create(&watcher, NULL, watch, NULL);
	if (errno)
		err(2, "pthread_create");
	error = act_load(op, n, hit);
	spared = !n || !*hit;
	watching = false;
	errno = pthread_join(watcher, &result);
	if (errno)
		err(2, "pthread_join");
	if ((intptr_t)result >= 0) {
		if (error)
			problem("block_state was there before it was certain that the module stays");
		close((intptr_t)result);
	}
	return error;
}

static int unload(unsigned int n, bool *hit)
{
	int i, error;

	for (i = 0; i < 500; i++) {
		error = 0;
		if (n)
			arm(n);
		if (syscall(SYS_delete_module, "zram_rs", O_NONBLOCK))
			error = errno;
		if (n)
			*hit = disarm();
		if (error != EWOULDBLOCK && error != EBUSY)
			break;
		usleep(10000);
	}
	return error;
}

static int act_unload(const struct operation *op, unsigned int n, bool *hit)
{
	(void)op;
	return unload(n, hit);
}

static void before_unload(const struct operation *op)
{
	bool hit;

	if (act_load(op, 0, &hit))
		err(2, "%s", backing);
}

static void after_load(const struct operation *op, bool done)
{
	int disks = count_disks();

	(void)op;
	if (disks != (done ? 2 : 0))
		problem("there are %d disks", disks);
}

/* The disks have the settings that the parameters give them. */
static void after_load_with_defaults(const struct operation *op, bool done)
{
	char text[128];
	int i, error;

	after_load(op, done);
	for (i = 0; done && i < 2; i++) {
		error = get_nth(attribute(i, "auto_writeback"), text, sizeof(text), 0, NULL);
		if (error || strncmp(text, AUTO_WRITEBACK " ", strlen(AUTO_WRITEBACK) + 1))
			problem("auto_writeback of disk %d is '%s' (%s)", i, text, strerror(error));
	}
}

/* Disks that were added while nothing was certain have all their files in the end. */
static void after_load_watched(const struct operation *op, bool done)
{
	char path[64];
	int i;

	after_load(op, done);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/zram/zram%d/block_state", i);
		if (!access(path, F_OK)) {
			if (!done)
				problem("%s is there", path);
		} else if (done && spared) {
			/* Without memory there is none. */
			problem("%s is not there", path);
		}
	}
}

static void after_unload(const struct operation *op, bool done)
{
	after_load(op, !done);
}

static void end_load(const struct operation *op)
{
	(void)op;
	if (count_disks() && unload(0, NULL))
		problem("the module cannot be unloaded: %s", strerror(errno));
}

static void nothing(const struct operation *op)
{
	(void)op;
}

#define CONFIG(name_, file_, text_, ...)					\
	{ .name = name_, .before = configure, .act = act_put, .after = after_config,	\
	  .end = end_disk, .file = file_, .text = text_, .config = { __VA_ARGS__ } }
#define DISKSIZE(name_, allowed_, ...)						\
	{ .name = name_, .before = configure, .act = act_put, .after = after_disksize,	\
	  .end = end_disk, .file = "disksize", .text = "2M", .allowed = allowed_,	\
	  .config = { __VA_ARGS__ } }
#define USE(name_, before_, file_, text_, ...)					\
	{ .name = name_, .before = before_, .act = act_put, .after = after_use,	\
	  .end = end_disk, .file = file_, .text = text_, .config = { __VA_ARGS__ } }
#define GET(name_, before_, file_)						\
	{ .name = name_, .before = before_, .act = act_get, .after = after_use,	\
	  .end = end_disk, .file = file_ }
#define IO(name_, before_, act_, after_, text_, ...)				\
	{ .name = name_, .before = before_, .act = act_, .after = after_,		\
	  .end = end_disk, .text = text_, .allowed = EIO, .config = { __VA_ARGS__ } }

static const struct operation operations[] = {
	/* The block layer does not notice at once that it could not give a disk a name. */
	{ .name = "hot_add", .before = before_add, .act = act_add, .after = after_add,
	  .end = end_add, .allowed = EINVAL },
	{ .name = "hot_remove", .before = with_data_written_back, .act = act_remove,
	  .after = after_remove, .end = end_add },
	CONFIG("comp_algorithm", "comp_algorithm", "lz4"),
	CONFIG("recomp_algorithm", "recomp_algorithm", "algo=zstd priority=1"),
	CONFIG("algorithm_params", "algorithm_params", "dict=%s level=3", "comp_algorithm", "zstd"),
	CONFIG("backing_dev", "backing_dev", ""),
	{ .name = "backing_dev later", .before = with_data_in_memory, .act = act_put,
	  .after = after_later, .end = end_disk, .file = "backing_dev" },
	{ .name = "backing_dev later packed", .before = with_data_in_memory, .act = act_put,
	  .after = after_later, .end = end_disk, .file = "backing_dev",
	  .config = { "packed_writeback", "1" } },
	CONFIG("packed_writeback", "packed_writeback", "1"),
	CONFIG("mem_limit", "mem_limit", "64M"),
	CONFIG("writeback_budget", "writeback_budget", "64M/day"),
	CONFIG("auto_writeback", "auto_writeback", "age=3600 every=60 max=1M available=1%%"),
	CONFIG("auto_recompress", "auto_recompress", "age=3600 algo=zstd threshold=100"),
	{ .name = "hot_remove with automatic turns", .before = with_data_written_back,
	  .act = act_remove, .after = after_remove, .end = end_add,
	  .config = { "auto_writeback", "age=0 every=1" } },
	CONFIG("event_marks", "event_marks", "memory=90%% device=50%% errors=1"),
	DISKSIZE("disksize lzo-rle", 0, "comp_algorithm", "lzo-rle"),
	DISKSIZE("disksize lz4", 0, "comp_algorithm", "lz4"),
	DISKSIZE("disksize lz4hc", 0, "comp_algorithm", "lz4hc"),
	DISKSIZE("disksize zstd", 0, "comp_algorithm", "zstd"),
	DISKSIZE("disksize deflate", 0, "comp_algorithm", "deflate"),
	DISKSIZE("disksize 842", 0, "comp_algorithm", "842"),
	DISKSIZE("disksize with two algorithms", 0, "comp_algorithm", "lz4",
		 "recomp_algorithm", "algo=zstd"),
	DISKSIZE("disksize lz4 with a dictionary", 0, "comp_algorithm", "lz4",
		 "algorithm_params", "dict=%s"),
	DISKSIZE("disksize lz4hc with a dictionary", 0, "comp_algorithm", "lz4hc",
		 "algorithm_params", "dict=%s"),
	/* zstd does not say why it can make nothing of a dictionary. */
	DISKSIZE("disksize zstd with a dictionary", EINVAL, "comp_algorithm", "zstd",
		 "algorithm_params", "dict=%s"),
	{ .name = "disksize packed", .before = with_backing, .act = act_put,
	  .after = after_disksize, .end = end_disk, .file = "disksize", .text = "2M",
	  .config = { "packed_writeback", "1" } },
	USE("idle", with_data, "idle", "all"),
	USE("writeback idle", with_idle_data, "writeback", "idle"),
	USE("writeback huge", with_data, "writeback", "type=huge"),
	USE("writeback pages", with_data, "writeback",
	    "page_index=1 page_indexes=4-40 page_index=2 page_indexes=50-80"),
	USE("writeback compressed", with_idle_data, "writeback", "idle",
	    "compressed_writeback", "1"),
	USE("writeback packed", with_idle_data, "writeback", "idle", "packed_writeback", "1"),
	{ .name = "compaction of blocks", .before = with_sparse_blocks, .act = act_put,
	  .after = after_compaction, .end = end_disk, .file = "writeback", .text = "compact",
	  .config = { "packed_writeback", "1" } },
	USE("recompress", with_data, "recompress", "threshold=0", "comp_algorithm", "lz4",
	    "recomp_algorithm", "algo=zstd"),
	USE("compact", with_data, "compact", "1"),
	USE("mem_used_max", with_data, "mem_used_max", "0"),
	{ .name = "reset", .before = with_data_written_back, .act = act_put, .after = after_reset,
	  .end = end_disk, .file = "reset", .text = "1" },
	GET("mm_stat", with_data, "mm_stat"),
	GET("stats", with_data, "stats"),
	GET("backing_dev shown", with_data, "backing_dev"),
	GET("bd_pack_stat", with_data, "bd_pack_stat"),
	GET("block_state", with_data, "/sys/kernel/debug/zram/"),
	{ .name = "open", .before = with_data, .act = act_open, .after = after_use,
	  .end = end_disk },
	IO("write", with_data, act_write, after_write, "direct"),
	IO("write buffered", with_data, act_write, after_write, "buffered"),
	IO("write over what was written back", with_data_written_back, act_write, after_write,
	   "direct"),
	IO("read", with_data, act_read, after_use, "direct"),
	IO("read buffered", with_data, act_read, after_use, "buffered"),
	IO("read back", with_data_written_back, act_read, after_use, "direct"),
	IO("read back compressed", with_data_written_back, act_read, after_use, "direct",
	   "compressed_writeback", "1"),
	IO("read back packed", with_data_written_back, act_read, after_use, "direct",
	   "packed_writeback", "1"),
	IO("write over what was written back packed", with_data_written_back, act_write,
	   after_write, "direct", "packed_writeback", "1"),
	IO("discard", with_data, act_discard, after_discard, "discard"),
	IO("discard what was written back", with_data_written_back, act_discard, after_discard,
	   "discard"),
	IO("zeroout", with_data, act_discard, after_discard, "zeroout"),
	{ .name = "load", .before = nothing, .act = act_load, .after = after_load,
	  .end = end_load, .text = "num_devices=2", .allowed = EINVAL },
	{ .name = "load with defaults of disks", .before = nothing, .act = act_load,
	  .after = after_load_with_defaults, .end = end_load,
	  .text = DEFAULTS,
	  .allowed = EINVAL, .stride = 100 },
	{ .name = "load watched", .before = nothing, .act = act_load_watched,
	  .after = after_load_watched, .end = end_load, .text = "num_devices=2",
	  .allowed = EINVAL, .stride = 40 },
	{ .name = "unload", .before = before_unload, .act = act_unload, .after = after_unload,
	  .end = end_load, .text = "num_devices=2" },
};

/* How far it is to the next allocation that is to fail. */
static unsigned int step(const struct operation *op)
{
	if (!sample || nth < DENSE)
		return 1;
	return 1 + random() % (op->stride ? op->stride : nth / 2);
}

static void sweep(const struct operation *op)
{
	time_t said = time(NULL);
	bool hit = true;

	for (nth = 1; hit; nth += step(op)) {
		int error;

		if (nth > MAX_NTH)
			errx(2, "there is no end to its allocations");
		op->before(op);
		error = op->act(op, nth, &hit);
		injected += hit;
		if (time(NULL) >= said + 60) {
			said = time(NULL);
			printf("# %s: has come to allocation %u\n", op->name, nth);
		}
		if (verbose)
			printf("# allocation %u: %s\n", nth, error ? strerrorname_np(error) : "ok");
		if (error) {
			refused++;
			if (!hit)
				problem("%s, though nothing was made to fail", strerror(error));
			else if (error != ENOMEM && error != op->allowed)
				problem("refused with %s", strerror(error));
		}
		op->after(op, !error);
		if (error) {
			bool unused;

			error = op->act(op, 0, &unused);
			if (error)
				problem("then refused for ever: %s", strerror(error));
			op->after(op, !error);
		}
		op->end(op);
		if (problems > 20)
			break;
	}
}

int main(int argc, char **argv)
{
	char path[64];
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (i = 0; i < ARRAY_SIZE(operations); i++)
			puts(operations[i].name);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "-v")) {
		verbose = true;
		argv++;
		argc--;
	}
	if (argc > 2 && !strcmp(argv[1], "-s")) {
		sample = true;
		srandom(atoi(argv[2]));
		argv += 2;
		argc -= 2;
	}
	if (argc != 4)
		errx(2, "usage: failnth list | [-v] [-s SEED] BACKING DICTIONARY NAME");
	backing = argv[1];
	dictionary = argv[2];
	buffer = alloc_aligned(PAGES * PAGE);
	expected = alloc_aligned(PAGE);
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	fail_nth = open(path, O_RDWR | O_CLOEXEC);
	if (!buffer || !expected || fail_nth < 0)
		err(2, "%s", path);
	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		if (strcmp(operations[i].name, argv[3]))
			continue;
		sweep(&operations[i]);
		printf("failnth: %s: injected=%u refused=%u\n", argv[3], injected, refused);
		return problems ? 1 : 0;
	}
	errx(2, "there is no operation '%s'", argv[3]);
}
