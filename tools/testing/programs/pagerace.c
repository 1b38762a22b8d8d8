// SPDX-License-Identifier: GPL-2.0
/*
 * pagerace: uses the pages of a disk from many threads at once, while they are written back and
 * read back, and knows at any time which contents every page may have.
 *
 * usage: pagerace [-e] [-t SECONDS] [-n PAGES] [-S SEED] [-m MOST]
 *                 [-r N] [-w N] [-b N] [-c N] [-s N] [-l N] [-k N] DISK
 *
 * DISK is the name of the disk, as in /dev and /sys/block. Uses its first PAGES pages, all of which
 * are empty at the start. The other options give the number of threads of each role:
 *
 *   -r  read pages, one or several with one read
 *   -w  overwrite and discard them
 *   -b  mark pages as idle and write them back: by kind, by index, by range
 *   -c  compact the blocks of the backing device, which pages share
 *   -s  read the statistics
 *   -l  set the limits and the batch size of writeback
 *   -k  try to reset and to remove the disk, which must fail, since it is in use
 *
 * and -m gives the largest batch size to set (default 4294967295). With -e, system calls may fail,
 * because another program injects failures until shortly before the end; a page whose write failed
 * may have its old or its new contents.
 *
 * Each page carries its index and its generation, which determine all of its bytes, so all data
 * that is read identifies its origin. A page has one writer at a time. The generation that was
 * complete when a read began is the oldest that it may see, the one whose write had begun when it
 * ended is the latest. At the end, when no thread runs, every page must have the data that was
 * written last.
 *
 * The first line of output says that all threads run; the last one is for scripts:
 *
 *	pagerace: reads=N writes=N discards=N writebacks=N compactions=N foreign=N old=N torn=N
 *	errors=N full=N limited=N busy=N slowest=MS undisturbed=MS
 *
 * (in one line), where "foreign" counts pages with another page's data, "old" those with data that
 * was overwritten before the read began, "torn" those with data that was never written; "errors"
 * counts failed system calls, except writebacks that found no free block ("full"), reached the
 * limit while limits are set ("limited"), or found another one in progress ("busy"); "slowest" is
 * the longest time that a read of statistics took, and "undisturbed" the same for a file that waits
 * for no operation, at the same time. Exit status: 0 if all pages were right and nothing failed, 1
 * if not, 2 if the check could not be made, 3 if an operation hangs.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>

#include "data.h"

#define RUN		8		/* pages in one read or write, at most */
#define MAX_THREADS	256
#define GRACE		90		/* seconds that the threads have to come to an end */
#define MAGIC		0xb5UL		/* what the first word of a page begins with */

static struct page *pages;
static uint64_t page_count = 512;
static unsigned int most_requests = 4294967295;

static const char *disk;
static int control;		/* hot_remove */
static atomic_bool stop;
static bool limits;
static bool packs;		/* the disk has files about packing */
static bool forgiving;	/* errors are expected */
static atomic_int complaints;

/* What happened. */
static atomic_ulong reads, writes, discards, writebacks, compactions, verdicts[VERDICTS];
static atomic_ulong errors, full, limited, busy, slowest, undisturbed;

struct worker {
	uint64_t random;
	int fd;			/* the disk */
	unsigned char *buffer;	/* RUN pages */
};

static uint64_t dice(struct worker *worker, uint64_t limit)
{
	return random_below(&worker->random, limit);
}

static void complain(const char *format, ...)
{
	char line[256];
	va_list args;

	/* The first few tell as much as all of them. */
	if (atomic_fetch_add(&complaints, 1) >= 10)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("pagerace: %s: %s\n", disk, line);
}

static void failed(const char *what, uint64_t index)
{
	errors++;
	if (!forgiving)
		complain("%s, page %lu: %s", what, index, strerror(errno));
}

/* --- Pages ------------------------------------------------------------------------------------ */

static void fill(uint64_t *to, uint64_t index, uint64_t generation)
{
	fill_labelled(to, make_label(MAGIC, index, generation), 0);
}

static void check(struct worker *worker, uint64_t first, size_t count)
{
	uint64_t oldest[RUN];
	ssize_t done;
	size_t i;

	/* What an earlier read left behind must not pass for an answer. */
	memset(worker->buffer, 0x77, count * PAGE);
	for (i = 0; i < count; i++)
		oldest[i] = pages[first + i].ended;
	reads++;
	done = pread(worker->fd, worker->buffer, count * PAGE, first * PAGE);
	if (done != (ssize_t)(count * PAGE)) {
		if (done >= 0)
			errno = ENODATA;
		failed("read", first);
		return;
	}
	for (i = 0; i < count; i++) {
		const uint64_t *got = (uint64_t *)(worker->buffer + i * PAGE);
		enum verdict verdict = judge(&pages[first + i], got, MAGIC, first + i, 0,
					     oldest[i]);

		verdicts[verdict]++;
		if (verdict == RIGHT)
			continue;
		complain("page %lu is %s: begins with %016lx, page %lu generation %lu; it was at %lu",
			 first + i, verdict_names[verdict], got[0], index_of(got[0]),
			 got[0] & GENERATION, oldest[i]);
	}
}

/* --- Roles ------------------------------------------------------------------------------------ */

static void read_pages(struct worker *worker)
{
	size_t count = dice(worker, 4) ? 1 : RUN;

	check(worker, dice(worker, page_count - count + 1), count);
}

static void change_pages(struct worker *worker)
{
	static const enum kind kinds[] = {
		DISCARDED, DISCARDED, SAME, TEXT, TEXT, TEXT, RANDOM, RANDOM
	};
	enum kind kind = kinds[dice(worker, ARRAY_SIZE(kinds))];
	size_t i, count = dice(worker, 4) ? 1 : RUN;
	uint64_t first = dice(worker, page_count - count + 1);
	bool done;

	for (i = 0; i < count && !atomic_exchange(&pages[first + i].owned, true); i++) {
		uint64_t generation = begin_generation(&pages[first + i], kind);

		fill((uint64_t *)(worker->buffer + i * PAGE), first + i, generation);
	}
	count = i;
	if (!count)
		return;

	if (kind == DISCARDED) {
		discards++;
		done = !discard_pages(worker->fd, first, count);
	} else {
		writes++;
		done = pwrite(worker->fd, worker->buffer, count * PAGE, first * PAGE) ==
		       (ssize_t)(count * PAGE);
	}
	if (!done)
		failed(kind == DISCARDED ? "discard" : "write", first);
	for (i = 0; i < count; i++) {
		struct page *page = &pages[first + i];

		if (done)
			page->ended = page->begun;
		page->owned = false;
	}
}

static int open_attribute(const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/%s", disk, name);
	while ((fd = open(path, flags)) < 0) {
		if (!forgiving)
			err(2, "%s", path);
		usleep(1000);
	}
	return fd;
}

static bool store(int fd, const char *format, ...)
{
	char text[128];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return write(fd, text, length) == length;
}

/* Judges the result of a write to the file writeback. */
static void judge_writeback(bool done, uint64_t index)
{
	if (done)
		return;
	if (errno == ENOSPC)
		full++;
	else if (errno == EIO && limits)
		limited++;
	else if (errno == EAGAIN || errno == EBUSY)
		busy++;
	else
		failed("writeback", index);
}

static void write_back(struct worker *worker)
{
	static __thread int idle, writeback;
	uint64_t low = dice(worker, page_count);
	uint64_t high = low + dice(worker, page_count - low);
	bool done;

	if (!writeback) {
		idle = open_attribute("idle", O_WRONLY);
		writeback = open_attribute("writeback", O_WRONLY);
	}
	switch (dice(worker, 6)) {
	case 0:
		if (!store(idle, "all"))
			failed("idle", 0);
		done = store(writeback, "idle");
		break;
	case 1:
		if (!store(idle, "%lu", dice(worker, 3)))
			failed("idle by age", 0);
		done = store(writeback, "type=huge");
		break;
	case 2:
		done = store(writeback, "page_index=%lu page_indexes=%lu-%lu page_index=%lu", high,
			     low, high, low);
		break;
	default:
		done = store(writeback, "page_indexes=%lu-%lu", low, high);
		break;
	}
	writebacks++;
	judge_writeback(done, low);
}

static void compact_blocks(struct worker *worker)
{
	static __thread int writeback;

	if (!writeback)
		writeback = open_attribute("writeback", O_WRONLY);
	judge_writeback(store(writeback, "compact"), 0);
	compactions++;
	usleep(1000 * dice(worker, 50));
}

/* Reads an attribute, and takes note of how long that took if it took longer than all before. */
static void read_timed(int file, const char *name, atomic_ulong *slowest)
{
	unsigned long took, most = *slowest;
	uint64_t from;
	char text[512];
	ssize_t length;

	from = now_ns();
	length = pread(file, text, sizeof(text), 0);
	took = (now_ns() - from) / 1000000;
	if (length <= 0 || text[length - 1] != '\n')
		failed(name, 0);
	while (took > most && !atomic_compare_exchange_weak(slowest, &most, took))
		;
}

static void read_statistics(struct worker *worker)
{
	static const char * const names[] = {
		"mm_stat", "bd_stat", "io_stat", "debug_stat", "writeback_limit", "backing_dev",
		"bd_pack_stat"
	};
	static __thread int files[ARRAY_SIZE(names)], size;
	/* C zram lacks the last one. */
	size_t i = dice(worker, ARRAY_SIZE(names) - !packs);

	/* The open may wait for a task that adds or removes files. */
	if (!files[i])
		files[i] = open_attribute(names[i], O_RDONLY);
	if (!size)
		size = open_attribute("size", O_RDONLY);
	read_timed(files[i], names[i], &slowest);
	/* The block layer's own: what that takes is what the machine takes. */
	read_timed(size, "size", &undisturbed);
	usleep(1000 * dice(worker, 20));
}

static void set_limits(struct worker *worker)
{
	const unsigned int sizes[] = { 1, 2, 3, 32, 1000, most_requests };
	static __thread int limit, enable, batch;
	bool done;

	if (!limit) {
		limit = open_attribute("writeback_limit", O_WRONLY);
		enable = open_attribute("writeback_limit_enable", O_WRONLY);
		batch = open_attribute("writeback_batch_size", O_WRONLY);
	}
	switch (dice(worker, 3)) {
	case 0:
		done = store(limit, "%lu", dice(worker, 2 * page_count));
		break;
	case 1:
		done = store(enable, "%lu", dice(worker, 2));
		break;
	default:
		done = store(batch, "%u", sizes[dice(worker, ARRAY_SIZE(sizes))]);
		break;
	}
	if (!done)
		failed("limits", 0);
	usleep(1000 * dice(worker, 50));
}

static void kick(struct worker *worker)
{
	static __thread int reset;
	const char *what;
	bool done;

	if (!reset)
		reset = open_attribute("reset", O_WRONLY);
	if (dice(worker, 2)) {
		what = "reset";
		done = store(reset, "1");
	} else {
		what = "hot_remove";
		done = store(control, "%s", disk + strlen("zram"));
	}
	if (done || errno != EBUSY) {
		if (done)
			errno = 0;
		failed(what, 0);
	}
	usleep(1000 * dice(worker, 100));
}

struct role {
	char option;
	void (*act)(struct worker *worker);
	unsigned long threads;
};

static struct role roles[] = {
	{ 'r', read_pages, 0 },
	{ 'w', change_pages, 0 },
	{ 'b', write_back, 0 },
	{ 'c', compact_blocks, 0 },
	{ 's', read_statistics, 0 },
	{ 'l', set_limits, 0 },
	{ 'k', kick, 0 },
};

/* --- Main ------------------------------------------------------------------------------------- */

static struct worker *new_worker(uint64_t seed)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", disk);
	if (!worker)
		err(2, "no memory");
	worker->random = seed_state(seed);
	worker->buffer = alloc_aligned(RUN * PAGE);
	worker->fd = open_file(path, O_RDWR | O_DIRECT);
	return worker;
}

struct task {
	pthread_t thread;
	const struct role *role;
	struct worker *worker;
};

static void *play(void *data)
{
	struct task *task = data;

	while (!stop)
		task->role->act(task->worker);
	return NULL;
}

static void report(void)
{
	printf("pagerace: reads=%lu writes=%lu discards=%lu writebacks=%lu compactions=%lu foreign=%lu old=%lu torn=%lu errors=%lu full=%lu limited=%lu busy=%lu slowest=%lu undisturbed=%lu\n",
	       reads, writes, discards, writebacks, compactions, verdicts[FOREIGN],
	       verdicts[OLD] + verdicts[LOST], verdicts[TORN] + verdicts[FUTURE], errors, full,
	       limited, busy, slowest, undisturbed);
}

static void hangs(int signal)
{
	(void)signal;
	/* Not quite what a handler may do, but there is nothing to lose. */
	printf("pagerace: %s: something hangs\n", disk);
	report();
	fflush(stdout);
	_exit(3);
}

int main(int argc, char **argv)
{
	static struct task tasks[MAX_THREADS];
	unsigned long seconds = 10, seed = 1, count = 0, i, j;
	struct worker *worker;
	int option;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "et:n:S:m:r:w:b:c:s:l:k:")) != -1) {
		if (option == 'e')
			forgiving = true;
		else if (option == 't')
			seconds = parse_number(optarg, 0, 1000000);
		else if (option == 'n')
			page_count = parse_number(optarg, RUN, MAX_INDEX);
		else if (option == 'S')
			seed = parse_ulong(optarg);
		else if (option == 'm')
			most_requests = parse_number(optarg, 0, 4294967295);
		for (i = 0; i < ARRAY_SIZE(roles); i++) {
			if (roles[i].option == option)
				roles[i].threads = parse_number(optarg, 0, MAX_THREADS);
		}
		if (option == '?')
			return 2;
	}
	if (optind + 1 != argc || strncmp(argv[optind], "zram", 4))
		errx(2, "usage: pagerace [-e] [-t SECONDS] [-n PAGES] [-S SEED] [-m MOST] [-r N] [-w N] [-b N] [-c N] [-s N] [-l N] [-k N] DISK");
	disk = argv[optind];
	control = open_file(HOT_REMOVE, O_WRONLY);
	packs = !access(attribute(atoi(disk + strlen("zram")), "bd_pack_stat"), F_OK);
	pages = calloc(page_count, sizeof(*pages));
	if (!pages)
		err(2, "no memory");

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		if (roles[i].act == set_limits)
			limits = roles[i].threads;
		for (j = 0; j < roles[i].threads; j++) {
			if (count == MAX_THREADS)
				errx(2, "at most %d threads", MAX_THREADS);
			tasks[count].role = &roles[i];
			tasks[count].worker = new_worker(seed * MAX_THREADS + count);
			count++;
		}
	}
	worker = new_worker(seed);
	for (i = 0; i < count; i++) {
		errno = pthread_create(&tasks[i].thread, NULL, play, &tasks[i]);
		if (errno)
			err(2, "thread");
	}
	printf("pagerace: %s: %lu threads run\n", disk, count);
	sleep(seconds);
	signal(SIGALRM, hangs);
	alarm(GRACE);
	stop = true;
	for (i = 0; i < count; i++)
		pthread_join(tasks[i].thread, NULL);

	for (i = 0; i + RUN <= page_count; i += RUN)
		check(worker, i, RUN);
	for (; i < page_count; i++)
		check(worker, i, 1);
	report();
	for (i = RIGHT + 1; i < VERDICTS; i++)
		errors += verdicts[i];
	return !!errors;
}
