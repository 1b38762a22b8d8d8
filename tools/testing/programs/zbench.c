// SPDX-License-Identifier: GPL-2.0
/*
 * zbench: measures a zram disk, of either driver. bench.sh runs it for both drivers in turn.
 *
 * usage: zbench prepare PAGES
 *        zbench io ALGORITHM KIND JOBS PAGES MILLISECONDS
 *        zbench large ALGORITHM KIND JOBS PAGES MILLISECONDS
 *        zbench floor ALGORITHM KIND PAGES MILLISECONDS
 *        zbench swap ALGORITHM KIND PAGES
 *        zbench writeback NAME DEVICE MODE KIND PAGES FEW BATCH...
 *        zbench readback NAME DEVICE MODE KIND PAGES MILLISECONDS
 *        zbench readlarge NAME DEVICE MODE KIND PAGES MILLISECONDS
 *        zbench pack DEVICE ALGORITHM KIND PAGES
 *        zbench stat DEVICE KIND PAGES
 *        zbench blocks DEVICE GIB PAGES SECONDS
 *        zbench memory DEVICE
 *        zbench free ALGORITHM KIND PAGES
 *        zbench folios ALGORITHM KIND KIB PAGES
 *        zbench loop ALGORITHM KIND PATTERN PAGES SECONDS
 *
 * Each prints lines "CELL METRIC VALUE", where less is better. Metrics: "ns", nanoseconds for a
 * page; "cpu", nanoseconds of CPU time for a page, of all tasks that exist at the end of the
 * measurement, without interrupts on an idle CPU (on User Mode Linux its clock has steps of 10 ms,
 * so that only long measurements are precise); "p50" and "p99", quantiles of the nanoseconds for a
 * request of one page; and others, by their names.
 *
 * "loop" measures nothing: it reads or writes for SECONDS, while tools/perf/profile observes it.
 * PATTERN is write-1m, read-4k, ... as in the cells of "io"; or readback-MODE: random reads, 32 at
 * a time, from /dev/ram0; or readlarge-MODE: reads of 1 MiB from there.
 *
 * "prepare" makes the files of page contents that the others use, in $ZBENCH_DATA. Each call adds a
 * disk, with hot_add, and removes it. KIND is text, binary, random, same or mixed. MODE is raw,
 * compressed or packed; a driver that does not pack writes compressed pages instead.
 *
 * Small I/O is submitted 32 requests at a time, with io_submit(2): on User Mode Linux a system call
 * takes longer than a page, and would hide the result.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <ftw.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/swap.h>
#include <sys/syscall.h>

#include "common.h"

#define LARGE		256UL		/* pages of a request of 1 MiB */
#define LARGEST		512UL		/* pages of a request of 2 MiB */
#define DEEP		32UL		/* small requests in flight */
#define MAX_JOBS	16
#define MAX_PASSES	1000
#define SKIPPED		4		/* the exit status where this kernel lacks something */

static int id = -1;			/* of the disk, -1 when there is none */
static int disk_fd = -1;
static unsigned char *data;		/* data_pages, and the first LARGEST ones again */
static uint64_t data_pages;

/* --- Small things ---------------------------------------------------------------------------- */

/* The CPU time of all processes and kernel threads. */
static uint64_t cpu_of_all(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t sum = 0;

	if (!proc)
		err(2, "/proc");
	while ((entry = readdir(proc))) {
		/*
		 * What clock_getcpuclockid(3) makes of a process, which it refuses for some
		 * kernel threads.
		 */
		if (isdigit((unsigned char)entry->d_name[0]))
			sum += read_clock(~(unsigned int)atoi(entry->d_name) << 3 | 2);
	}
	closedir(proc);
	return sum;
}

static void *pages(uint64_t count)
{
	void *p = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		err(2, "memory for %lu pages", count);
	return p;
}

static void result(const char *metric, double value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" %s %.1f\n", metric, value);
	fflush(stdout);
}

/* Every page once, in an order that looks random. */
static uint64_t shuffled(uint64_t i, uint64_t count)
{
	uint64_t bits = 0, l, r, n = i;

	while (count > 1UL << bits)
		bits++;
	bits += bits & 1;
	/* Two halves that are mixed into each other by turns, until it is a number that we have. */
	do {
		l = n >> bits / 2;
		r = n & ((1UL << bits / 2) - 1);
		for (int round = 0; round < 4 && bits; round++) {
			uint64_t f = (r + round + 1) * 0x9e3779b97f4a7c15UL >> (64 - bits / 2);
			uint64_t t = l ^ f;

			l = r;
			r = t;
		}
		n = l << bits / 2 | r;
	} while (n >= count);
	return n;
}

/* --- Contents of pages ----------------------------------------------------------------------- */

static const char *data_path(const char *kind)
{
	static char path[PATH_MAX];
	const char *dir = getenv("ZBENCH_DATA");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "/tmp", kind);
	return path;
}

static bool same_filled(const uint64_t *page)
{
	for (unsigned long i = 1; i < WORDS; i++)
		if (page[i] != page[0])
			return false;
	return true;
}

static struct {
	unsigned char *text, *binary;
	uint64_t texts, binaries, wanted;
} found;

static bool is_text(const unsigned char *page)
{
	unsigned long odd = 0;

	for (unsigned long i = 0; i < PAGE; i++)
		odd += !isprint(page[i]) && !isspace(page[i]);
	return odd < PAGE / 50;
}

/*
 * Takes the whole pages of a file, no more than 256 of them: of many files, rather than of a few.
 */
static int look_at(const char *path, const struct stat *st, int type, struct FTW *where)
{
	unsigned char page[PAGE];
	bool text = false;
	int fd;

	(void)where;
	if (type != FTW_F || !S_ISREG(st->st_mode) || (uint64_t)st->st_size < PAGE)
		return 0;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	for (int i = 0; i < 256 && read(fd, page, PAGE) == (ssize_t)PAGE; i++) {
		if (!i) {
			text = is_text(page);
			if (!text && memcmp(page, "\177ELF", 4))
				break;
		}
		/* What is the same all over is a kind of its own. */
		if (same_filled((uint64_t *)page))
			continue;
		if (text && found.texts < found.wanted)
			memcpy(found.text + found.texts++ * PAGE, page, PAGE);
		else if (!text && found.binaries < found.wanted)
			memcpy(found.binary + found.binaries++ * PAGE, page, PAGE);
	}
	close(fd);
	return found.texts == found.wanted && found.binaries == found.wanted;
}

static void repeat(unsigned char *at, uint64_t have, uint64_t wanted, const char *kind)
{
	if (!have)
		errx(2, "there are no files for pages of kind %s", kind);
	printf("# %s: %lu different pages\n", kind, have);
	for (uint64_t i = have; i < wanted; i++)
		memcpy(at + i * PAGE, at + (i - have) * PAGE, PAGE);
}

static void save(const char *kind, const unsigned char *from, uint64_t count)
{
	int fd = open(data_path(kind), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, from, count * PAGE) != (ssize_t)(count * PAGE) || close(fd))
		err(2, "%s", data_path(kind));
}

static void prepare(uint64_t count)
{
	unsigned char *random = pages(count), *same = pages(count), *mixed = pages(count);
	uint64_t state = 88172645463325252UL, i, j;

	found.text = pages(count);
	found.binary = pages(count);
	found.wanted = count;
	if (nftw("/usr", look_at, 16, FTW_PHYS | FTW_MOUNT) < 0)
		err(2, "/usr");
	repeat(found.text, found.texts, count, "text");
	repeat(found.binary, found.binaries, count, "binary");
	for (i = 0; i < count * WORDS; i++)
		((uint64_t *)random)[i] = xorshift(&state);
	for (i = 0; i < count; i++)
		for (j = 0; j < WORDS; j++)
			((uint64_t *)same)[i * WORDS + j] = i % 4 ? i : 0;
	/* As in the memory of programs, more or less. */
	for (i = 0; i < count; i++) {
		const unsigned char * const from[] = {
			found.text, found.binary, same, found.text, found.binary,
			random, found.binary, found.text, same, found.text,
		};

		memcpy(mixed + i * PAGE, from[i % 10] + i * PAGE, PAGE);
	}
	save("text", found.text, count);
	save("binary", found.binary, count);
	save("random", random, count);
	save("same", same, count);
	save("mixed", mixed, count);
}

static void load_data(const char *kind)
{
	struct stat st;
	int fd = open(data_path(kind), O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", data_path(kind));
	data_pages = st.st_size / PAGE;
	if (data_pages < LARGEST)
		errx(2, "%s is too small", data_path(kind));
	data = pages(data_pages + LARGEST);
	if (read(fd, data, data_pages * PAGE) != (ssize_t)(data_pages * PAGE))
		err(2, "%s", data_path(kind));
	memcpy(data + data_pages * PAGE, data, LARGEST * PAGE);
	close(fd);
}

/*
 * What page INDEX of the disk contains, when everything is moved by SHIFT; as many as LARGEST in a
 * row.
 */
static unsigned char *content(uint64_t index, uint64_t shift)
{
	return data + (index + shift) % data_pages * PAGE;
}

/* --- Disks ----------------------------------------------------------------------------------- */

static void store(const char *which, const char *format, ...)
{
	char value[PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (put(attribute(id, which), value))
		err(2, "'%s' into %s", value, attribute(id, which));
}

static void fetch(const char *path, char *text, size_t size)
{
	if (get(path, text, size) < 0)
		err(2, "%s", path);
}

static void column(const char *which, int at, uint64_t *value)
{
	char text[256], *next = text;

	fetch(attribute(id, which), text, sizeof(text));
	do {
		*value = strtoul(next, &next, 10);
	} while (at--);
}

static void remove_disk(void)
{
	if (disk_fd >= 0)
		close(disk_fd);
	disk_fd = -1;
	if (id >= 0 && retry_busy(hot_remove, id))
		err(2, "zram%d cannot be removed", id);
	id = -1;
}

/* A new disk without a size yet. */
static void add_disk(const char *algorithm)
{
	char text[256], word[64];

	id = hot_add();
	if (id < 0)
		err(2, "hot_add");
	if (!algorithm)
		return;
	fetch(attribute(id, "comp_algorithm"), text, sizeof(text));
	for (char *p = text; *p; p++)
		if (strchr("[]\n", *p))
			*p = ' ';
	snprintf(word, sizeof(word), " %s ", algorithm);
	/* The list has no blank where it begins. */
	if (!strstr(text, word) && strncmp(text, word + 1, strlen(word) - 1)) {
		remove_disk();
		fprintf(stderr, "this driver has no %s here\n", algorithm);
		exit(SKIPPED);
	}
	store("comp_algorithm", "%s", algorithm);
}

static void size_disk(uint64_t count)
{
	store("disksize", "%lu", count * PAGE);
	disk_fd = open_id(id, O_RDWR | O_DIRECT);
	if (disk_fd < 0)
		err(2, "/dev/zram%d", id);
}

static void fill_disk(uint64_t first, uint64_t count, uint64_t shift)
{
	uint64_t n;

	for (uint64_t i = first; i < first + count; i += n) {
		n = first + count - i < LARGE ? first + count - i : LARGE;
		if (pwrite(disk_fd, content(i, shift), n * PAGE, i * PAGE) != (ssize_t)(n * PAGE))
			err(2, "write of page %lu", i);
	}
}

/* --- Asynchronous I/O ------------------------------------------------------------------------ */

struct queue {
	aio_context_t context;
	struct iocb requests[DEEP], *free[DEEP];
	unsigned long free_count;
};

static void queue_init(struct queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	if (syscall(SYS_io_setup, DEEP, &queue->context))
		err(2, "io_setup");
	for (; queue->free_count < DEEP; queue->free_count++)
		queue->free[queue->free_count] = &queue->requests[queue->free_count];
}

static void queue_exit(struct queue *queue)
{
	syscall(SYS_io_destroy, queue->context);
}

/* Waits for at least so many. */
static void queue_reap(struct queue *queue, long least)
{
	struct io_event events[DEEP];
	long n = syscall(SYS_io_getevents, queue->context, least, DEEP, events, NULL);

	if (n < least)
		err(2, "io_getevents");
	for (long i = 0; i < n; i++) {
		if (events[i].res != (int64_t)PAGE)
			errx(2, "a request came to %lld", (long long)events[i].res);
		queue->free[queue->free_count++] = (struct iocb *)events[i].obj;
	}
}

/* --- Cell 1: reading and writing ------------------------------------------------------------- */

struct pattern {
	const char *name;
	bool write, random;
	uint64_t step;		/* pages of a request */
};

/* In this order: what is read is there. */
static const struct pattern patterns[] = {
	{ "write-1m", true, false, LARGE },
	{ "randwrite-4k", true, true, 1 },
	{ "write-4k", true, false, 1 },
	{ "randwrite-1m", true, true, LARGE },
	{ "randread-4k", false, true, 1 },
	{ "read-4k", false, false, 1 },
	{ "randread-1m", false, true, LARGE },
	{ "read-1m", false, false, LARGE },
};

/* Folios of these sizes are what swap writes and reads with one request. */
static const struct pattern large_patterns[] = {
	{ "write-16k", true, false, 4 },
	{ "write-32k", true, false, 8 },
	{ "write-64k", true, false, 16 },
	{ "write-128k", true, false, 32 },
	{ "write-2m", true, false, LARGEST },
	{ "read-32k", false, false, 8 },
	{ "read-64k", false, false, 16 },
	{ "read-128k", false, false, 32 },
	{ "read-2m", false, false, LARGEST },
};

struct job {
	pthread_t thread;
	const struct pattern *pattern;
	uint64_t first, count, shift, began, ended;
	unsigned char *buffer;		/* LARGEST pages */
	uint64_t *order;
	struct queue queue;
};

static pthread_barrier_t start_line;

static void one_by_one(struct job *job, uint64_t shift)
{
	const uint64_t step = job->pattern->step, n = job->count / step;
	ssize_t done;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = job->first + (job->pattern->random ? shuffled(i, n) : i) * step;

		if (job->pattern->write)
			done = pwrite(disk_fd, content(page, shift), step * PAGE, page * PAGE);
		else
			done = pread(disk_fd, job->buffer, step * PAGE, page * PAGE);
		if (done != (ssize_t)(step * PAGE))
			err(2, "page %lu", page);
	}
}

static void many_at_once(struct job *job, uint64_t shift)
{
	struct queue *queue = &job->queue;

	for (uint64_t i = 0; i < job->count; i += DEEP) {
		long n = job->count - i < DEEP ? job->count - i : DEEP;

		for (long k = 0; k < n; k++) {
			struct iocb *request = queue->free[k];
			uint64_t at = job->pattern->random ? job->order[i + k] : i + k;
			uint64_t page = job->first + at;
			bool write = job->pattern->write;
			unsigned char *from = write ? content(page, shift) : job->buffer + k * PAGE;

			*request = (struct iocb) {
				.aio_fildes = disk_fd,
				.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				.aio_buf = (uintptr_t)from,
				.aio_nbytes = PAGE,
				.aio_offset = page * PAGE,
			};
		}
		if (syscall(SYS_io_submit, queue->context, n, queue->free) != n)
			err(2, "io_submit");
		queue->free_count = DEEP - n;
		/* Those that are in use are the first ones, and become the last ones. */
		memmove(queue->free, queue->free + n, queue->free_count * sizeof(queue->free[0]));
		queue_reap(queue, n);
	}
}

static void *work(void *argument)
{
	struct job *job = argument;

	pthread_barrier_wait(&start_line);
	/* Here, because the task that waits for it may run much later. */
	job->began = now_ns();
	if (job->pattern->step == 1)
		many_at_once(job, job->shift * 7);
	else
		one_by_one(job, job->shift * 7);
	job->ended = now_ns();
	return NULL;
}

static struct job *jobs_of(uint64_t count, uint64_t total)
{
	struct job *jobs = calloc(count, sizeof(*jobs));

	if (!jobs || count > MAX_JOBS)
		errx(2, "too many jobs");
	for (uint64_t i = 0; i < count; i++) {
		jobs[i].count = total / count / LARGE * LARGE;
		jobs[i].first = i * jobs[i].count;
		jobs[i].buffer = pages(LARGEST);
		jobs[i].order = calloc(jobs[i].count, sizeof(uint64_t));
		if (!jobs[i].order || !jobs[i].count)
			errx(2, "no memory for the order, or no pages");
		for (uint64_t k = 0; k < jobs[i].count; k++)
			jobs[i].order[k] = shuffled(k, jobs[i].count);
		queue_init(&jobs[i].queue);
	}
	return jobs;
}

/*
 * Each job passes over its part of the disk; how long that took, from the start of the first one to
 * the end of the last one.
 */
static uint64_t run(struct job *jobs, uint64_t count, const struct pattern *pattern,
		    uint64_t shift)
{
	uint64_t began = UINT64_MAX, ended = 0;

	pthread_barrier_init(&start_line, NULL, count);
	for (uint64_t i = 0; i < count; i++) {
		jobs[i].pattern = pattern;
		jobs[i].shift = shift;
		if (i && pthread_create(&jobs[i].thread, NULL, work, &jobs[i]))
			errx(2, "no thread");
	}
	/* The first job is ours: a thread for it would only be one more to be scheduled. */
	work(&jobs[0]);
	for (uint64_t i = 0; i < count; i++) {
		if (i)
			pthread_join(jobs[i].thread, NULL);
		if (jobs[i].began < began)
			began = jobs[i].began;
		if (jobs[i].ended > ended)
			ended = jobs[i].ended;
	}
	pthread_barrier_destroy(&start_line);
	return ended - began;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void bench_io(const char *group, const char *algorithm, const char *kind, uint64_t count,
		     uint64_t total, uint64_t least)
{
	const bool large = !strcmp(group, "large");
	const unsigned int n = large ? ARRAY_SIZE(large_patterns) : ARRAY_SIZE(patterns);
	struct job *jobs;
	uint64_t used;

	load_data(kind);
	add_disk(algorithm);
	size_disk(total);
	fill_disk(0, total, 0);
	if (count == 1 && !large) {
		column("mm_stat", 2, &used);
		result("bytes", (double)used / total, "memory/%s/%s/page", algorithm, kind);
	}
	jobs = jobs_of(count, total);
	if (large && jobs[0].count % LARGEST)
		errx(2, "%lu pages are not divided by requests of %lu", jobs[0].count, LARGEST);
	for (unsigned int i = 0; i < n; i++) {
		const struct pattern *pattern = large ? &large_patterns[i] : &patterns[i];
		uint64_t took[MAX_PASSES], passes, sum = 0, all = count * jobs[0].count, cpu;

		/* The first pass warms up. */
		run(jobs, count, pattern, 1);
		cpu = large ? cpu_of_all() : 0;
		for (passes = 0; passes < MAX_PASSES; passes++) {
			if (passes >= 3 && sum >= least * 1000000)
				break;
			took[passes] = run(jobs, count, pattern, passes + 2);
			sum += took[passes];
		}
		if (large)
			result("cpu", (double)(cpu_of_all() - cpu) / passes / all,
			       "large/%s/%s/j%lu/%s", algorithm, kind, count, pattern->name);
		/*
		 * A pass during which the machine did something else does not count as much as
		 * the others.
		 */
		qsort(took, passes, sizeof(took[0]), by_size);
		result("ns", (double)took[passes / 2] / all, "%s/%s/%s/j%lu/%s", group, algorithm,
		       kind, count, pattern->name);
	}
	remove_disk();
}

/* --- The floor: the compressor alone, by zram_floor.ko --------------------------------------- */

static void bench_floor(const char *algorithm, const char *kind, uint64_t count, uint64_t least)
{
	const char *dir = "/sys/kernel/debug/zram_floor";
	char path[128], text[128];
	uint64_t compress, decompress, bytes;
	int fd;

	load_data(kind);
	snprintf(path, sizeof(path), "%s/pages", dir);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0 && errno == ENOENT) {
		fprintf(stderr, "zram_floor is not loaded\n");
		exit(SKIPPED);
	}
	if (count > data_pages)
		count = data_pages;
	for (uint64_t i = 0; i < count; i++)
		if (fd < 0 || pwrite(fd, data + i * PAGE, PAGE, i * PAGE) != (ssize_t)PAGE)
			err(2, "%s", path);
	close(fd);
	snprintf(path, sizeof(path), "%s/run", dir);
	snprintf(text, sizeof(text), "%s %lu", algorithm, least);
	if (put(path, text)) {
		if (errno != ENOENT)
			err(2, "'%s' into %s", text, path);
		fprintf(stderr, "zram_floor has no %s\n", algorithm);
		exit(SKIPPED);
	}
	fetch(path, text, sizeof(text));
	if (sscanf(text, "%lu %lu %lu", &compress, &decompress, &bytes) != 3)
		errx(2, "%s says '%s'", path, text);
	result("ns", compress / 1000.0, "floor/%s/%s/compress", algorithm, kind);
	result("ns", decompress / 1000.0, "floor/%s/%s/decompress", algorithm, kind);
	result("bytes", bytes, "floor/%s/%s/size", algorithm, kind);
}

/* --- Cell 2: swap ---------------------------------------------------------------------------- */

static void make_swap(uint64_t count)
{
	unsigned char *page = pages(1);

	fill_swap_header(page, count);
	if (pwrite(disk_fd, page, PAGE, 0) != (ssize_t)PAGE)
		err(2, "swap header");
}

static uint64_t swap_free(void)
{
	char text[8192], *at;

	fetch("/proc/meminfo", text, sizeof(text));
	at = strstr(text, "SwapFree:");
	return at ? strtoul(at + 9, NULL, 10) / (PAGE / 1024) : 0;
}

/* Makes a disk the swap of so many pages, and some more; returns its path. */
static const char *add_swap(const char *algorithm, uint64_t count)
{
	uint64_t size = count + count / 4 + 1024;
	static char path[64];

	add_disk(algorithm);
	size_disk(size);
	make_swap(size);
	close(disk_fd);
	disk_fd = -1;
	snprintf(path, sizeof(path), "/dev/zram%d", id);
	if (swapon(path, 0))
		err(2, "swapon %s", path);
	return path;
}

/* Swaps pages out. */
static void page_out(volatile unsigned char *memory, uint64_t count)
{
	if (madvise((void *)memory, count * PAGE, MADV_PAGEOUT))
		err(2, "MADV_PAGEOUT");
}

/* How many of the pages went out, since so much of swap was free. */
static uint64_t went_out(uint64_t before, uint64_t count)
{
	uint64_t out = before - swap_free();

	if (out < count / 10 * 9)
		errx(2, "only %lu of %lu pages went out", out, count);
	return out;
}

static void bench_swap(const char *algorithm, const char *kind, uint64_t count)
{
	uint64_t began, took, cpu, out, sum = 0, before;
	volatile unsigned char *memory;
	const char *path;

	load_data(kind);
	path = add_swap(algorithm, count);
	memory = pages(count);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < count; i++)
			memcpy((void *)(memory + i * PAGE), content(i, round * 7), PAGE);
		before = swap_free();
		cpu = cpu_of_all();
		began = now_ns();
		page_out(memory, count);
		took = now_ns() - began;
		cpu = cpu_of_all() - cpu;
		out = went_out(before, count);
		/* The first time is for getting warm. */
		if (round) {
			result("ns", (double)took / out, "swap/%s/%s/out", algorithm, kind);
			result("cpu", (double)cpu / out, "swap/%s/%s/out", algorithm, kind);
		}
		cpu = cpu_of_all();
		began = now_ns();
		/* In sequence with the kernel's read-ahead, then at random. */
		for (uint64_t i = 0; i < count; i++)
			sum += memory[(round == 2 ? shuffled(i, count) : i) * PAGE];
		took = now_ns() - began;
		cpu = cpu_of_all() - cpu;
		if (round) {
			result("ns", (double)took / out, "swap/%s/%s/%s", algorithm, kind,
			       round == 1 ? "in" : "randin");
			result("cpu", (double)cpu / out, "swap/%s/%s/%s", algorithm, kind,
			       round == 1 ? "in" : "randin");
		}
		for (uint64_t i = 0; i < count; i += 97)
			if (memcmp((void *)(memory + i * PAGE), content(i, round * 7), PAGE))
				errx(2, "page %lu came back as another", i);
	}
	munmap((void *)memory, count * PAGE);
	if (swapoff(path))
		err(2, "swapoff");
	remove_disk();
}

/* --- Cells 3, 4 and 6: writeback and readback ------------------------------------------------ */

static void backed_disk(const char *device, const char *algorithm, const char *mode, uint64_t count)
{
	add_disk(algorithm);
	/* A kernel that is too old for one of them has no such file. */
	if (!strcmp(mode, "packed") && !access(attribute(id, "packed_writeback"), F_OK))
		store("packed_writeback", "1");
	else if (strcmp(mode, "raw"))
		store("compressed_writeback", "1");
	store("backing_dev", "%s", device);
	size_disk(count);
}

static void write_back(uint64_t count)
{
	store("writeback", "page_indexes=0-%lu", count - 1);
}

/* Not in the time of a writeback: the file bd_pack_stat looks at all blocks of the device. */
static void check_written(uint64_t count)
{
	bool packs = !access(attribute(id, "bd_pack_stat"), F_OK);
	uint64_t written;

	/* Blocks are pages where the driver does not pack. */
	column(packs ? "bd_pack_stat" : "bd_stat", 0, &written);
	/* In units of 4 KiB; same-filled pages stay. */
	if (written < count / 10 * 9)
		errx(2, "only %lu of %lu pages were written back", written, count);
}

static void bench_writeback(const char *label, const char *device, const char *mode,
			    const char *kind, uint64_t count, uint64_t few, char **batches)
{
	load_data(kind);
	backed_disk(device, "lz4", mode, count);
	for (int i = 0; batches[i]; i++) {
		/* One request at a time takes a slow device long. */
		uint64_t n = strcmp(batches[i], "1") ? count : few, began, took, cpu;

		fill_disk(0, count, i * 7 + 1);
		store("writeback_batch_size", "%s", batches[i]);
		/* What is left of the last round is not our business. */
		sync();
		cpu = cpu_of_all();
		began = now_ns();
		write_back(n);
		took = now_ns() - began;
		cpu = cpu_of_all() - cpu;
		check_written(n);
		result("ns", (double)took / n, "writeback/%s/%s/%luk/batch-%s", label, mode,
		       count / 1024, batches[i]);
		result("cpu", (double)cpu / n, "writeback/%s/%s/%luk/batch-%s", label, mode,
		       count / 1024, batches[i]);
	}
	remove_disk();
}

/*
 * Reads each of so many pages once, with up to so many requests under way: when some have come
 * back, as many others are submitted, together.
 */
static void read_pages(struct queue *queue, const uint64_t *order, uint64_t count,
		       unsigned long depth, unsigned char *buffer)
{
	struct iocb *batch[DEEP];

	for (uint64_t i = 0; i < count;) {
		long n = 0;

		if (queue->free_count == DEEP - depth)
			queue_reap(queue, 1);
		for (; queue->free_count > DEEP - depth && i < count; i++) {
			struct iocb *request = queue->free[--queue->free_count];

			*request = (struct iocb) {
				.aio_fildes = disk_fd,
				.aio_lio_opcode = IOCB_CMD_PREAD,
				.aio_buf = (uintptr_t)(buffer +
						       (request - queue->requests) * PAGE),
				.aio_nbytes = PAGE,
				.aio_offset = (order ? order[i] : i) * PAGE,
			};
			batch[n++] = request;
		}
		if (syscall(SYS_io_submit, queue->context, n, batch) != n)
			err(2, "io_submit");
	}
	while (queue->free_count < DEEP)
		queue_reap(queue, 1);
}

static uint64_t *random_order(uint64_t count)
{
	uint64_t *order = calloc(count, sizeof(*order));

	if (!order)
		errx(2, "no memory for the order");
	for (uint64_t i = 0; i < count; i++)
		order[i] = shuffled(i, count);
	return order;
}

/* Makes a disk whose pages are all on the device. */
static void written_back_disk(const char *device, const char *mode, const char *kind,
			      uint64_t count)
{
	load_data(kind);
	backed_disk(device, "lz4", mode, count);
	fill_disk(0, count, 0);
	write_back(count);
	check_written(count);
	sync();
}

/* Reads one page, to see that it is there that pages are read from. */
static void check_read_back(unsigned char *buffer)
{
	if (pread(disk_fd, buffer, PAGE, PAGE) != (ssize_t)PAGE ||
	    memcmp(buffer, content(1, 0), PAGE))
		errx(2, "a page came back as another");
}

/* The time of each of many reads of one page. */
static void bench_latency(const char *label, const char *mode, const uint64_t *order, uint64_t n,
			  unsigned char *buffer)
{
	uint64_t *took = calloc(n, sizeof(took[0]));

	if (!took)
		err(2, "calloc");
	for (uint64_t i = 0; i < n; i++) {
		uint64_t began = now_ns();

		if (pread(disk_fd, buffer, PAGE, order[i] * PAGE) != (ssize_t)PAGE)
			err(2, "page %lu", order[i]);
		took[i] = now_ns() - began;
	}
	qsort(took, n, sizeof(took[0]), by_size);
	result("p50", took[n / 2], "readback/%s/%s/page", label, mode);
	result("p99", took[n * 99 / 100], "readback/%s/%s/page", label, mode);
	free(took);
}

static void bench_readback(const char *label, const char *device, const char *mode,
			   const char *kind, uint64_t count, uint64_t least)
{
	uint64_t *shuffle = random_order(count);
	unsigned char *buffer = pages(DEEP);
	struct queue queue;

	written_back_disk(device, mode, kind, count);
	queue_init(&queue);
	for (int i = 0; i < 4; i++) {
		const uint64_t *order = i & 1 ? shuffle : NULL;
		unsigned long depth = i & 2 ? DEEP : 1;
		/* One at a time takes a slow device long. */
		uint64_t n = depth == 1 ? count / 16 : count;
		uint64_t took[MAX_PASSES], passes, sum = 0, cpu;
		char cell[128];

		snprintf(cell, sizeof(cell), "readback/%s/%s/%s-%lu", label, mode,
			 order ? "random" : "sequential", depth);
		/* The first pass warms up. */
		read_pages(&queue, order, n, depth, buffer);
		cpu = cpu_of_all();
		for (passes = 0; passes < MAX_PASSES; passes++) {
			uint64_t began = now_ns();

			if (passes >= 3 && sum >= least * 1000000)
				break;
			read_pages(&queue, order, n, depth, buffer);
			took[passes] = now_ns() - began;
			sum += took[passes];
		}
		cpu = cpu_of_all() - cpu;
		qsort(took, passes, sizeof(took[0]), by_size);
		result("ns", (double)took[passes / 2] / n, "%s", cell);
		result("cpu", (double)cpu / passes / n, "%s", cell);
	}
	/* Waits for RCU, and so for a timer. */
	queue_exit(&queue);
	bench_latency(label, mode, shuffle, count / 4, buffer);
	free(shuffle);
	check_read_back(buffer);
	remove_disk();
}

/* Reads pages in requests of LARGE pages, one after the other. */
static void read_large(uint64_t count, unsigned char *buffer)
{
	for (uint64_t page = 0; page + LARGE <= count; page += LARGE)
		if (pread(disk_fd, buffer, LARGE * PAGE, page * PAGE) != (ssize_t)(LARGE * PAGE))
			err(2, "page %lu", page);
}

/* 1 MiB at a time. */
static void bench_readlarge(const char *label, const char *device, const char *mode,
			    const char *kind, uint64_t count, uint64_t least)
{
	unsigned char *buffer = pages(LARGE);
	uint64_t took[MAX_PASSES], passes, sum = 0, cpu = 0;

	written_back_disk(device, mode, kind, count);
	/* The first pass warms up. */
	for (passes = 0; passes < MAX_PASSES && (passes < 4 || sum < least * 1000000); passes++) {
		uint64_t began = now_ns();

		read_large(count, buffer);
		took[passes] = now_ns() - began;
		if (!passes)
			cpu = cpu_of_all();
		else
			sum += took[passes];
	}
	cpu = cpu_of_all() - cpu;
	passes--;
	qsort(took + 1, passes, sizeof(took[0]), by_size);
	count -= count % LARGE;
	result("ns", (double)took[1 + passes / 2] / count, "readlarge/%s/%s/1m", label, mode);
	result("cpu", (double)cpu / passes / count, "readlarge/%s/%s/1m", label, mode);
	check_read_back(buffer);
	remove_disk();
}

/* Bytes written to the device, by its own counter. */
static uint64_t device_bytes(const char *device)
{
	char path[PATH_MAX], text[256], *next = text;
	uint64_t value = 0;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", strrchr(device, '/') + 1);
	fetch(path, text, sizeof(text));
	/* The seventh column is the number of sectors. */
	for (int i = 0; i < 7; i++)
		value = strtoul(next, &next, 10);
	return value * 512;
}

/*
 * Fills the disk with pages, and notes the size of the object of each: what mm_stat tells of the
 * first time that a page of the data is written. Later ones have the same size.
 */
static uint16_t *fill_and_measure(uint64_t count, uint64_t shift)
{
	uint64_t first = count < data_pages ? count : data_pages, before = 0, after;
	uint16_t *sizes = calloc(count, sizeof(*sizes));

	if (!sizes)
		err(2, "calloc");
	for (uint64_t i = 0; i < first; i++) {
		fill_disk(i, 1, shift);
		column("mm_stat", 1, &after);
		sizes[i] = after - before;
		before = after;
	}
	fill_disk(first, count - first, shift);
	for (uint64_t i = first; i < count; i++)
		sizes[i] = sizes[i - data_pages];
	return sizes;
}

/*
 * No fewer blocks have room for objects of these sizes, in any order: L2 of Martello and Toth. For
 * a limit, an object that leaves less than the limit needs a block of its own; so does one of more
 * than half a block, which leaves room for others; and of those that are left, objects from the
 * limit on need what has room for their bytes. And a block has no more than 14 pages.
 */
static uint64_t least_blocks(const uint64_t *numbers)
{
	/* The number and the bytes of the objects of less than so many bytes. */
	static uint64_t n[PAGE + 2], bytes[PAGE + 2];
	const uint64_t half = PAGE / 2 + 1;
	uint64_t least;

	for (uint64_t size = 1; size <= PAGE; size++) {
		n[size + 1] = n[size] + numbers[size];
		bytes[size + 1] = bytes[size] + numbers[size] * size;
	}
	least = (n[PAGE + 1] + 13) / 14;
	for (uint64_t limit = 1; limit <= PAGE / 2; limit++) {
		uint64_t alone = PAGE - limit + 1, blocks = n[PAGE + 1] - n[half];
		uint64_t room = (n[alone] - n[half]) * PAGE - (bytes[alone] - bytes[half]);
		uint64_t rest = bytes[half] - bytes[limit];

		if (rest > room)
			blocks += (rest - room + PAGE - 1) / PAGE;
		if (blocks > least)
			least = blocks;
	}
	return least;
}

/*
 * How many bytes of the device a page takes: written, and in use after so many percent of the pages
 * have been freed, before and after compaction. The bytes of the data are what compression left;
 * the bound is the least that blocks of whole pages can have.
 */
static void bench_pack(const char *device, const char *algorithm, const char *kind, uint64_t count)
{
	static const unsigned int percents[] = { 20, 50, 80, 95 };
	static uint64_t numbers[PAGE + 1];
	uint64_t before, bytes, blocks, freed = 0;
	uint16_t *sizes;
	bool packs;
	char cell[128];

	load_data(kind);
	backed_disk(device, algorithm, "packed", count);
	packs = !access(attribute(id, "bd_pack_stat"), F_OK);
	sizes = fill_and_measure(count, 1);
	memset(numbers, 0, sizeof(numbers));
	for (uint64_t i = 0; i < count; i++)
		numbers[sizes[i]]++;
	column("mm_stat", 1, &bytes);
	snprintf(cell, sizeof(cell), "pack/%s/%s/%lu", algorithm, kind, count);
	result("bytes", (double)bytes / count, "%s/data", cell);
	if (packs)
		result("bytes", (double)least_blocks(numbers) * PAGE / count, "%s/bound", cell);
	before = device_bytes(device);
	store("writeback", "page_indexes=0-%lu", count - 1);
	result("bytes", (double)(device_bytes(device) - before) / count, "%s/written", cell);
	for (unsigned int i = 0; i < ARRAY_SIZE(percents); i++) {
		uint64_t end = count * percents[i] / 100, left = count - end;

		for (; freed < end; freed++) {
			uint64_t page = shuffled(freed, count), range[] = { page * PAGE, PAGE };

			if (ioctl(disk_fd, BLKDISCARD, range))
				err(2, "discard");
			numbers[sizes[page]]--;
		}
		column("bd_stat", 0, &blocks);
		result("bytes", (double)blocks * PAGE / left, "%s/freed-%u", cell, percents[i]);
		if (!packs)
			continue;
		before = device_bytes(device);
		store("writeback", "compact");
		column("bd_stat", 0, &blocks);
		column("bd_pack_stat", 1, &bytes);
		result("bytes", (double)blocks * PAGE / left, "%s/freed-%u-compacted", cell,
		       percents[i]);
		result("bytes", (double)bytes / left, "%s/freed-%u-data", cell, percents[i]);
		result("bytes", (double)least_blocks(numbers) * PAGE / left, "%s/freed-%u-bound",
		       cell, percents[i]);
		result("bytes", (double)(device_bytes(device) - before) / left,
		       "%s/freed-%u-moved", cell, percents[i]);
	}
	free(sizes);
	remove_disk();
}

static volatile bool written;

static void *write_all(void *count)
{
	write_back(*(uint64_t *)count);
	written = true;
	return NULL;
}

static void bench_stat(const char *device, const char *kind, uint64_t count)
{
	uint64_t worst = 0, sum = 0, n = 0, began;
	pthread_t thread;
	char text[256];

	load_data(kind);
	backed_disk(device, "lz4", "raw", count);
	fill_disk(0, count, 0);
	began = now_ns();
	if (pthread_create(&thread, NULL, write_all, &count))
		errx(2, "no thread");
	while (!written) {
		uint64_t before = now_ns(), took;

		fetch(attribute(id, "mm_stat"), text, sizeof(text));
		took = now_ns() - before;
		if (took > worst)
			worst = took;
		sum += took;
		n++;
		usleep(1000);
	}
	pthread_join(thread, NULL);
	check_written(count);
	/* For comparison: how long there was a writeback at all. */
	printf("# mm_stat was read %lu times during %lu ms of writeback\n", n,
	       (now_ns() - began) / 1000000);
	result("worst-us", worst / 1000.0, "stat/mm_stat");
	result("mean-us", (double)sum / n / 1000, "stat/mm_stat");
	remove_disk();
}

/* --- Cell 5: blocks of a large device -------------------------------------------------------- */

static void measure_blocks(uint64_t first, uint64_t count, const char *cell, int times)
{
	uint64_t range[2] = { first * PAGE, count * PAGE }, began, took;

	/* Once for getting warm. */
	for (int i = 0; i <= times; i++) {
		fill_disk(first, count, i);
		began = now_ns();
		store("writeback", "page_indexes=%lu-%lu", first, first + count - 1);
		took = now_ns() - began;
		if (i)
			result("ns", (double)took / count, "blocks/%s/reserve", cell);
		began = now_ns();
		if (ioctl(disk_fd, BLKDISCARD, range))
			err(2, "discard");
		took = now_ns() - began;
		if (i)
			result("ns", (double)took / count, "blocks/%s/release", cell);
	}
}

/* As far as it gets in that time. */
static uint64_t fill_blocks(uint64_t from, uint64_t to, uint64_t seconds)
{
	uint64_t end = now_ns() + seconds * 1000000000UL, n;

	for (; from < to && now_ns() < end; from += n) {
		n = to - from < 65536 ? to - from : 65536;
		fill_disk(from, n, 0);
		store("writeback", "page_indexes=%lu-%lu", from, from + n - 1);
	}
	return from;
}

/* DEVICE keeps nothing of what is written to it, so it may be as large as it likes. */
static void bench_blocks(const char *device, uint64_t gib, uint64_t count, uint64_t seconds)
{
	uint64_t all = gib << 18, filled = 0, used;

	/* Small pages of no two kinds: it is about blocks. */
	load_data("text");
	add_disk("lz4");
	store("compressed_writeback", "1");
	store("backing_dev", "%s", device);
	size_disk(all + count);
	measure_blocks(all, count, "empty", 2);
	if (seconds) {
		static const struct { const char *name; uint64_t percent; } levels[] = {
			{ "half", 50 }, { "95-percent", 95 },
		};

		for (int i = 0; i < 2; i++) {
			uint64_t want = all / 100 * levels[i].percent;

			filled = fill_blocks(filled, want, seconds);
			column("bd_stat", 0, &used);
			result("gib-in-use", (double)used / (1 << 18), "blocks/%s", levels[i].name);
			measure_blocks(all, count, levels[i].name, 2);
		}
	}
	remove_disk();
}

/* --- Cell 7: memory -------------------------------------------------------------------------- */

static uint64_t free_kib(void)
{
	char text[8192], *at;

	sync();
	put("/proc/sys/vm/drop_caches", "3");
	fetch("/proc/meminfo", text, sizeof(text));
	at = strstr(text, "MemFree:");
	return at ? strtoul(at + 8, NULL, 10) : 0;
}

static uint64_t free_kib_now(void)
{
	char text[256], *at;

	fetch("/proc/meminfo", text, sizeof(text));
	at = strstr(text, "MemFree:");
	return at ? strtoul(at + 8, NULL, 10) : 0;
}

static volatile uint64_t lowest;

static void *watch_memory(void *unused)
{
	(void)unused;
	while (!written) {
		uint64_t kib = free_kib_now();

		if (kib < lowest)
			lowest = kib;
	}
	return NULL;
}

static void bench_memory(const char *device)
{
	const uint64_t slots = 4 << 20, many = 32, batch = 1024;
	uint64_t before, after;
	int ids[32];
	pthread_t thread;

	/* What is needed once is there. */
	add_disk("lz4");
	size_disk(1024);
	remove_disk();

	before = free_kib();
	for (uint64_t i = 0; i < many; i++) {
		add_disk("lz4");
		store("disksize", "%lu", 4 * PAGE);
		ids[i] = id;
	}
	after = free_kib();
	result("bytes", (before - after) * 1024.0 / many, "memory/device");
	for (uint64_t i = 0; i < many; i++) {
		id = ids[i];
		remove_disk();
	}

	add_disk("lz4");
	before = free_kib();
	size_disk(slots);
	after = free_kib();
	result("bytes", (before - after) * 1024.0 / slots, "memory/slot");
	remove_disk();

	/*
	 * What a writeback takes while it is under way, by the lowest that free memory gets.
	 * Pages that do not compress, to a device that keeps nothing, so that memory is only
	 * given back besides. There are as many pages as requests: with more, a request of
	 * zram_rs would have several.
	 */
	load_data("random");
	add_disk("lz4");
	store("backing_dev", "%s", device);
	store("writeback_batch_size", "%lu", batch);
	size_disk(batch);
	fill_disk(0, batch, 0);
	before = free_kib();
	lowest = before;
	written = false;
	if (pthread_create(&thread, NULL, watch_memory, NULL))
		errx(2, "no thread");
	store("writeback", "page_indexes=0-%lu", batch - 1);
	written = true;
	pthread_join(thread, NULL);
	result("bytes", (before - lowest) * 1024.0 / batch, "memory/page-in-flight");
	remove_disk();
}

/* --- Cell 11: freeing ------------------------------------------------------------------------ */

/*
 * Fills the disk in order, or in an order that looks random: then pages that are neighbours on the
 * disk are none in memory.
 */
static void fill_for_free(uint64_t count, bool shuffle, uint64_t shift)
{
	uint64_t page;

	if (!shuffle) {
		fill_disk(0, count, shift);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		page = shuffled(i, count);
		fill_disk(page, 1, shift);
	}
}

static void free_result(uint64_t began, uint64_t cpu, uint64_t count, const char *cell)
{
	uint64_t took = now_ns() - began;

	cpu = cpu_of_all() - cpu;
	result("ns", (double)took / count, "free/%s", cell);
	result("cpu", (double)cpu / count, "free/%s", cell);
}

/* Discards and resets a full disk, in rounds of which the first is for getting warm. */
static void bench_free_disk(const char *algorithm, const char *kind, uint64_t count, bool shuffle)
{
	const char *order = shuffle ? "random" : "sequential";
	uint64_t range[2] = { 0, count * PAGE }, began, cpu;
	char cell[128];

	add_disk(NULL);
	for (int round = 0; round < 4; round++) {
		store("comp_algorithm", "%s", algorithm);
		size_disk(count);
		fill_for_free(count, shuffle, round);
		cpu = cpu_of_all();
		began = now_ns();
		if (ioctl(disk_fd, BLKDISCARD, range))
			err(2, "discard");
		snprintf(cell, sizeof(cell), "%s/%s/discard-%s", algorithm, kind, order);
		if (round)
			free_result(began, cpu, count, cell);
		fill_for_free(count, shuffle, round + 1);
		close(disk_fd);
		disk_fd = -1;
		cpu = cpu_of_all();
		began = now_ns();
		store("reset", "1");
		snprintf(cell, sizeof(cell), "%s/%s/reset-%s", algorithm, kind, order);
		if (round)
			free_result(began, cpu, count, cell);
	}
	remove_disk();
}

/* Unmaps memory that is swapped out. */
static void bench_free_swap(const char *algorithm, const char *kind, uint64_t count)
{
	const char *path = add_swap(algorithm, count);
	uint64_t began, cpu, out, before;
	unsigned char *memory;
	char cell[128];

	for (int round = 0; round < 4; round++) {
		memory = pages(count);
		for (uint64_t i = 0; i < count; i++)
			memcpy(memory + i * PAGE, content(i, round * 7), PAGE);
		before = swap_free();
		page_out(memory, count);
		out = went_out(before, count);
		cpu = cpu_of_all();
		began = now_ns();
		munmap(memory, count * PAGE);
		snprintf(cell, sizeof(cell), "%s/%s/munmap", algorithm, kind);
		if (round)
			free_result(began, cpu, out, cell);
	}
	if (swapoff(path))
		err(2, "swapoff");
	remove_disk();
}

static void bench_free(const char *algorithm, const char *kind, uint64_t count)
{
	load_data(kind);
	bench_free_disk(algorithm, kind, count, false);
	/* One kind will do for what takes long: requests of one page, and swap. */
	if (strcmp(kind, "mixed"))
		return;
	bench_free_disk(algorithm, kind, count / 4, true);
	bench_free_swap(algorithm, kind, count);
}

/* --- Cell 12: swap of large folios ----------------------------------------------------------- */

#define THP		"/sys/kernel/mm/transparent_hugepage"
#define LARGEST_KIB	(LARGEST * PAGE / 1024)

static const char *folio_path(uint64_t kib, const char *which)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), THP "/hugepages-%lukB/%s", kib, which);
	return path;
}

/* Has new memory come in folios of that size and of no other one, or again as after boot if 0. */
static void only_folios(uint64_t kib)
{
	for (uint64_t other = 2 * PAGE / 1024; other <= LARGEST_KIB; other *= 2) {
		const char *value = other == LARGEST_KIB ? "inherit" : "never";

		if (kib)
			value = other == kib ? "always" : "never";
		if (put(folio_path(other, "enabled"), value) && other == kib) {
			fprintf(stderr, "this kernel has no folios of %lu KiB\n", kib);
			exit(SKIPPED);
		}
	}
}

static uint64_t folios_swapped_out(uint64_t kib)
{
	char text[64];

	fetch(folio_path(kib, "stats/swpout"), text, sizeof(text));
	return strtoul(text, NULL, 10);
}

/* Swaps folios out whole, and in. */
static void bench_folios(const char *algorithm, const char *kind, uint64_t kib, uint64_t count)
{
	uint64_t began, took, cpu, folios, sum = 0;
	volatile unsigned char *memory;
	const char *path;
	char cell[128];
	void *all;

	only_folios(kib);
	load_data(kind);
	path = add_swap(algorithm, count);
	all = mmap(NULL, (count + LARGEST) * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		err(2, "memory for %lu pages", count);
	memory = (void *)(((uintptr_t)all + LARGEST * PAGE - 1) & -(LARGEST * PAGE));
	snprintf(cell, sizeof(cell), "folios/%s/%s/%luk", algorithm, kind, kib);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < count; i++)
			memcpy((void *)(memory + i * PAGE), content(i, round * 7), PAGE);
		folios = folios_swapped_out(kib);
		cpu = cpu_of_all();
		began = now_ns();
		page_out(memory, count);
		took = now_ns() - began;
		cpu = cpu_of_all() - cpu;
		folios = folios_swapped_out(kib) - folios;
		if (folios * kib * 1024 < count * PAGE / 10 * 9)
			errx(2, "only %lu folios of %lu KiB went out whole", folios, kib);
		/* The first time is for getting warm. */
		if (round) {
			result("ns", (double)took / count, "%s/out", cell);
			result("cpu", (double)cpu / count, "%s/out", cell);
		}
		cpu = cpu_of_all();
		began = now_ns();
		for (uint64_t i = 0; i < count; i++)
			sum += memory[i * PAGE];
		took = now_ns() - began;
		cpu = cpu_of_all() - cpu;
		if (round) {
			result("ns", (double)took / count, "%s/in", cell);
			result("cpu", (double)cpu / count, "%s/in", cell);
		}
		for (uint64_t i = 0; i < count; i += 97)
			if (memcmp((void *)(memory + i * PAGE), content(i, round * 7), PAGE))
				errx(2, "page %lu came back as another", i);
		/* What came back in folios of another size goes. */
		if (madvise((void *)memory, count * PAGE, MADV_DONTNEED))
			err(2, "MADV_DONTNEED");
	}
	munmap(all, (count + LARGEST) * PAGE);
	if (swapoff(path))
		err(2, "swapoff");
	remove_disk();
	only_folios(0);
}

/* --- For profiles ---------------------------------------------------------------------------- */

/* Pages of each writeback, so that a profile has whole ones. */
#define PROFILE_PAGES 2048

/* One pattern over and over, after a line that says that it begins. */
static void loop(const char *algorithm, const char *kind, const char *name, uint64_t total,
		 uint64_t seconds)
{
	const struct pattern *pattern = patterns, *end = patterns + ARRAY_SIZE(patterns);
	uint64_t ends, *shuffle = NULL;
	unsigned char *buffer = NULL;
	struct job *jobs = NULL;
	struct queue queue;
	bool large = !strncmp(name, "readlarge-", strlen("readlarge-"));
	bool writing = !strncmp(name, "writeback-", strlen("writeback-"));

	while (pattern < end && strcmp(pattern->name, name))
		pattern++;
	load_data(kind);
	if (pattern < end) {
		add_disk(algorithm);
		size_disk(total);
		fill_disk(0, total, 0);
		jobs = jobs_of(1, total);
		run(jobs, 1, pattern, 1);
	} else if (large || !strncmp(name, "readback-", strlen("readback-"))) {
		shuffle = random_order(total);
		buffer = pages(LARGE);
		queue_init(&queue);
		backed_disk("/dev/ram0", algorithm, strchr(name, '-') + 1, total);
		fill_disk(0, total, 0);
		write_back(total);
		check_written(total);
		read_pages(&queue, shuffle, total, DEEP, buffer);
	} else if (writing) {
		backed_disk("/dev/ram0", algorithm, strchr(name, '-') + 1, total);
		fill_disk(0, total, 0);
		sync();
	} else {
		errx(2, "there is no pattern '%s'", name);
	}
	puts("begin");
	fflush(stdout);
	if (writing) {
		for (uint64_t page = 0; page < total; page += PROFILE_PAGES)
			store("writeback", "page_indexes=%lu-%lu", page, page + PROFILE_PAGES - 1);
		remove_disk();
		return;
	}
	ends = now_ns() + seconds * 1000000000;
	for (uint64_t shift = 2; now_ns() < ends; shift++) {
		if (jobs)
			run(jobs, 1, pattern, shift);
		else if (large)
			read_large(total, buffer);
		else
			read_pages(&queue, shuffle, total, DEEP, buffer);
	}
	remove_disk();
}

/* --------------------------------------------------------------------------------------------- */

static bool is(const char *what, int argc, char **argv, int arguments)
{
	return !strcmp(argv[1], what) && argc == arguments + 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: see the head of zbench.c");
	if (is("prepare", argc, argv, 1)) {
		prepare(parse_ulong(argv[2]));
	} else if (is("io", argc, argv, 5) || is("large", argc, argv, 5)) {
		bench_io(argv[1], argv[2], argv[3], parse_ulong(argv[4]), parse_ulong(argv[5]),
			 parse_ulong(argv[6]));
	} else if (is("floor", argc, argv, 4)) {
		bench_floor(argv[2], argv[3], parse_ulong(argv[4]), parse_ulong(argv[5]));
	} else if (is("swap", argc, argv, 3)) {
		bench_swap(argv[2], argv[3], parse_ulong(argv[4]));
	} else if (!strcmp(argv[1], "writeback") && argc > 8) {
		bench_writeback(argv[2], argv[3], argv[4], argv[5], parse_ulong(argv[6]),
				parse_ulong(argv[7]), argv + 8);
	} else if (is("pack", argc, argv, 4)) {
		bench_pack(argv[2], argv[3], argv[4], parse_ulong(argv[5]));
	} else if (is("readback", argc, argv, 6)) {
		bench_readback(argv[2], argv[3], argv[4], argv[5], parse_ulong(argv[6]),
			       parse_ulong(argv[7]));
	} else if (is("readlarge", argc, argv, 6)) {
		bench_readlarge(argv[2], argv[3], argv[4], argv[5], parse_ulong(argv[6]),
				parse_ulong(argv[7]));
	} else if (is("stat", argc, argv, 3)) {
		bench_stat(argv[2], argv[3], parse_ulong(argv[4]));
	} else if (is("blocks", argc, argv, 4)) {
		bench_blocks(argv[2], parse_ulong(argv[3]), parse_ulong(argv[4]),
			     parse_ulong(argv[5]));
	} else if (is("memory", argc, argv, 1)) {
		bench_memory(argv[2]);
	} else if (is("free", argc, argv, 3)) {
		bench_free(argv[2], argv[3], parse_ulong(argv[4]));
	} else if (is("folios", argc, argv, 4)) {
		bench_folios(argv[2], argv[3], parse_ulong(argv[4]), parse_ulong(argv[5]));
	} else if (is("loop", argc, argv, 5)) {
		loop(argv[2], argv[3], argv[4], parse_ulong(argv[5]), parse_ulong(argv[6]));
	} else {
		errx(2, "what is '%s', with %d arguments?", argv[1], argc - 2);
	}
	return 0;
}
