// SPDX-License-Identifier: GPL-2.0
/*
 * parallel: jobs that read, write or discard a zram disk of either driver at the same time, while
 * tools/perf/sharing records what they do.
 *
 * usage: parallel ALGORITHM KIND PATTERN JOBS PAGES
 *
 * PATTERN is read-4k, write-1m, discard-1m, ...: an operation and the size of a request. Each job
 * has a CPU, a region of PAGES pages, its own file descriptor, and its own copy of the data: what
 * jobs share is the disk. Before a discard, a job writes what it discards.
 *
 * "zbench prepare" has made the data, in $ZBENCH_DATA. The program prints "begin" when all jobs
 * have passed over their regions, and goes on until it is killed. It marks the beginning of what is
 * to be recorded, and each request, by instructions that have no effect: see sharing_plugin.c.
 * After a request, a CPU pauses, so that QEMU goes on with the next one.
 */

#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "common.h"

#define MAX_JOBS	64UL
#define SKEW		37	/* pages of data between those of neighbouring jobs */

/* A long NOP, whose displacement is the mark. */
static __always_inline void make_mark(int number)
{
#ifdef __x86_64__
	asm volatile(".byte 0x0f, 0x1f, 0x80\n\t.long %c0" : : "i"(number) : "memory");
#else
	(void)number;
#endif
}

static void pause_cpu(void)
{
#ifdef __x86_64__
	asm volatile("pause" : : : "memory");
#endif
}

enum { START = 0x5a524d01, BEGIN, END };

enum operation { READ, WRITE, DISCARD };

static const char * const operations[] = { "read-", "write-", "discard-" };

static struct {
	enum operation operation;
	uint64_t step;			/* pages of a request */
	uint64_t jobs, pages;
} task;

static int id = -1;
static uint64_t *ready;			/* jobs that have passed over their regions */
static unsigned char *data;		/* data_pages, and the first ones of them again */
static uint64_t data_pages;

static void parse_pattern(const char *text)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++) {
		size_t length = strlen(operations[i]);
		char *end;

		if (strncmp(text, operations[i], length))
			continue;
		task.operation = i;
		task.step = strtoul(text + length, &end, 10) * (*end == 'm' ? 1024 : 1) / 4;
		if (task.step && !(task.pages % task.step))
			return;
	}
	errx(2, "'%s' is no pattern for regions of %lu pages.", text, task.pages);
}

/* A copy of its own, as a page that several jobs write has a count that they share. */
static void load_data(const char *kind)
{
	const char *dir = getenv("ZBENCH_DATA");
	char path[PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "/tmp", kind);
	fd = open_file(path, O_RDONLY);
	if (fstat(fd, &st) || st.st_size < (off_t)(task.step * PAGE))
		errx(2, "%s is too small.", path);
	data_pages = st.st_size / PAGE;
	data = alloc_aligned((data_pages + task.step) * PAGE);
	if (read(fd, data, data_pages * PAGE) != (ssize_t)(data_pages * PAGE))
		err(2, "%s", path);
	memcpy(data + data_pages * PAGE, data, task.step * PAGE);
	close(fd);
}

static void add_disk(const char *algorithm)
{
	char size[32];

	id = hot_add();
	snprintf(size, sizeof(size), "%lu", task.jobs * task.pages * PAGE);
	if (id < 0 || put(attribute(id, "comp_algorithm"), algorithm) ||
	    put(attribute(id, "disksize"), size))
		err(2, "There is no disk with %s", algorithm);
}

static void write_request(int fd, uint64_t page, uint64_t content)
{
	ssize_t size = task.step * PAGE;

	if (pwrite(fd, data + content % data_pages * PAGE, size, page * PAGE) != size)
		err(2, "write of page %lu", page);
}

static void request(int fd, uint64_t page, uint64_t content, void *buffer)
{
	ssize_t size = task.step * PAGE;

	if (task.operation == DISCARD)
		write_request(fd, page, content);
	make_mark(BEGIN);
	switch (task.operation) {
	case READ:
		if (pread(fd, buffer, size, page * PAGE) != size)
			err(2, "read of page %lu", page);
		break;
	case WRITE:
		write_request(fd, page, content);
		break;
	case DISCARD:
		if (discard_pages(fd, page, task.step))
			err(2, "discard of page %lu", page);
		break;
	}
	make_mark(END);
	pause_cpu();
}

static void fill(int fd, uint64_t first, uint64_t content)
{
	for (uint64_t page = 0; page < task.pages; page += task.step)
		write_request(fd, first + page, content + page);
}

static void work(uint64_t job, const char *kind)
{
	uint64_t first = job * task.pages;
	uint64_t content = job * SKEW;
	cpu_set_t cpus;
	void *buffer;
	int fd;

	CPU_ZERO(&cpus);
	CPU_SET(job, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(2, "There is no CPU %lu", job);
	load_data(kind);
	buffer = alloc_aligned(task.step * PAGE);
	memset(buffer, 1, task.step * PAGE);
	fd = open_id(id, O_RDWR | O_DIRECT);
	if (fd < 0)
		err(2, "/dev/zram%d", id);
	fill(fd, first, content);
	for (uint64_t pass = 1;; pass++) {
		for (uint64_t page = 0; page < task.pages; page += task.step)
			request(fd, first + page, content + pass * 7 + page, buffer);
		if (pass == 1)
			__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
		if (!job && __atomic_load_n(ready, __ATOMIC_SEQ_CST) == task.jobs) {
			__atomic_store_n(ready, 0, __ATOMIC_SEQ_CST);
			puts("begin");
			fflush(stdout);
			make_mark(START);
		}
	}
}

int main(int argc, char **argv)
{
	int status;

	if (argc != 6)
		errx(2, "usage: see the head of parallel.c");
	task.jobs = parse_number(argv[4], 1, MAX_JOBS);
	task.pages = parse_number(argv[5], 1, 1 << 20);
	parse_pattern(argv[3]);
	add_disk(argv[1]);
	ready = alloc_shared(PAGE);
	for (uint64_t job = 0; job < task.jobs; job++) {
		pid_t child = fork();

		if (child < 0)
			err(2, "fork");
		if (!child)
			work(job, argv[2]);
	}
	/* A job ends only if it fails. */
	wait(&status);
	return 2;
}
