// SPDX-License-Identifier: GPL-2.0
/*
 * swapcheck: fills anonymous memory with data that can be checked, has it swapped out, and verifies
 * every page that is swapped in.
 *
 * usage: swapcheck [-m MIB] [-j PROCESSES] [-p PASSES] [-s SEED] [-w FILE]
 *
 * The index of a page, the seed and the pass that wrote it last determine its contents, so the
 * program needs no copy to verify it. Pages are of five kinds, as in the memory of real programs:
 * text, binary records, random (does not compress), one repeated word, and zeros.
 *
 * The first pass writes all pages, each later one a third of them, so that both fresh and old swap
 * entries are read back.
 *
 * With -w, the program stops twice when the first pass is paged out, so that a script can work on
 * the swapped pages. First it waits until FILE exists, and then uses the first half of its pages
 * (of each process), but not the second; then it waits until FILE is gone. It prints:
 *
 *	swapcheck: cold=N, waiting for FILE
 *	swapcheck: one half is in use, waiting for the end of FILE
 *
 * where "cold" counts the pages of the unused half that can only be read from the swap device: they
 * are in swap, the swap cache does not hold them, and they are neither zero nor one repeated word,
 * which the driver does not write to a disk.
 *
 * The last line of output is for scripts:
 *
 *	swapcheck: pages=N out=N in=N mismatches=N seconds=S
 *
 * where "out" counts the pages found swapped out after the request to page them out, "in" those
 * that were out when they were verified, over all processes and passes. Exit status: 0 if all pages
 * were right, 1 if one was not, 2 if the check could not be made.
 */

#define _GNU_SOURCE
#include <stdbool.h>
#include <sys/wait.h>

#include "common.h"

#define BATCH		256	/* pages whose swap state is looked up at once */
#define PM_SWAP		(1ULL << 62)
#define MAX_PROCESSES	64

enum kind { TEXT, RECORDS, RANDOM, SAME, ZERO };

static const char * const kind_name[] = { "text", "records", "random", "same", "zero" };

/* One per process, in memory that the parent shares. */
struct progress {
	volatile uint64_t done;		/* pages written and verified, all passes */
	volatile int waits;		/* how often it stopped */
	volatile uint64_t cold;		/* set before it stops */
	uint64_t out, in, mismatches;
};

static size_t page_size;
static uint64_t seed = 1;
static const char *file;

static enum kind kind_of(uint64_t index)
{
	unsigned int dice = splitmix(index ^ seed) % 100;

	if (dice < 40)
		return TEXT;
	if (dice < 65)
		return RECORDS;
	if (dice < 75)
		return RANDOM;
	if (dice < 85)
		return SAME;
	return ZERO;
}

/* The pass in which a page was last written. */
static unsigned int written_in(uint64_t index, unsigned int pass)
{
	while (pass && splitmix(~index) % 3 != pass % 3)
		pass--;
	return pass;
}

static void fill_text(unsigned char *page, uint64_t state)
{
	/* Half are single words, half are what gets said over and over. */
	static const char words[32][32] = {
		"the ", "page ", "of ", "memory ", "is ", "small ", "and ", "stored ", "in ", "a ", "pool ",
		"with ", "handle ", "by ", "slot ", "so\n",
		"reads the page of the device ", "when it is asked to swap in, ", "is kept in compressed memory; ",
		"[info] request completed in ", "GET /index.html HTTP/1.1 200 ", "the quick brown fox jumps ",
		"static int __init module_init(", "return -ENOMEM;\n\t}\n\n\tif (!", "<div class=\"item\"><a href=\"",
		"</a></div>\n", "the user of the kernel which ", "Content-Type: text/plain\r\n",
		"\n * that was written back to ", "Sat Nov 21 2026 ", "to be or not to be, that is ",
		"struct page *page = NULL;\n",
	};
	size_t used = 0;
	uint64_t bits = 0;

	while (used + 32 <= page_size) {
		const char *word;

		bits = bits >> 5 ? bits >> 5 : xorshift(&state);
		word = words[bits & 31];
		memcpy(page + used, word, 32);
		used += strnlen(word, 32);
	}
	memset(page + used, '.', page_size - used);
}

static void fill_records(unsigned char *page, uint64_t state)
{
	uint64_t *word = (uint64_t *)page, base = 0x7f0000000000 | (xorshift(&state) & 0xfffff000);
	size_t i;

	/* What a heap looks like: pointers into one region, small numbers, flags, padding. */
	for (i = 0; i < page_size / 8; i += 4) {
		uint64_t r = xorshift(&state);

		word[i] = base + (r & 0xff8);
		word[i + 1] = (r >> 16) & 0x3f;
		word[i + 2] = r >> 24 & 7 ? 0x100000001 : r >> 32;
		word[i + 3] = 0;
	}
}

static void fill(unsigned char *page, uint64_t index, unsigned int generation)
{
	uint64_t state = splitmix(splitmix(index + seed * 0x100000001b3) + generation) | 1;
	uint64_t *word = (uint64_t *)page;
	size_t i;

	switch (kind_of(index)) {
	case TEXT:
		fill_text(page, state);
		break;
	case RECORDS:
		fill_records(page, state);
		break;
	case RANDOM:
		for (i = 0; i < page_size / 8; i++)
			word[i] = xorshift(&state);
		break;
	case SAME:
		for (i = 0; i < page_size / 8; i++)
			word[i] = state;
		break;
	case ZERO:
		memset(page, 0, page_size);
		break;
	}
}

static uint64_t swapped(int pagemap, unsigned char *start, size_t pages)
{
	uint64_t entry[BATCH], count = 0;
	size_t i, n;

	for (; pages; pages -= n, start += n * page_size) {
		n = pages < BATCH ? pages : BATCH;
		if (pread(pagemap, entry, n * 8, (uintptr_t)start / page_size * 8) !=
		    (ssize_t)(n * 8))
			err(2, "/proc/self/pagemap");
		for (i = 0; i < n; i++)
			count += !!(entry[i] & PM_SWAP);
	}
	return count;
}

static void complain(const unsigned char *page, const unsigned char *wanted, uint64_t index)
{
	size_t i = 0;

	while (page[i] == wanted[i])
		i++;
	fprintf(stderr, "swapcheck: page %llu (%s): byte %zu is %02x, should be %02x\n",
		(unsigned long long)index, kind_name[kind_of(index)], i, page[i], wanted[i]);
}

/*
 * Of pages that begin with the one that has this index, those that have to be read from the swap
 * device before they can be used.
 */
static uint64_t only_on_device(int pagemap, unsigned char *start, size_t pages, uint64_t index)
{
	unsigned char resident[BATCH];
	uint64_t entry[BATCH], count = 0;
	size_t i, n;

	for (; pages; pages -= n, start += n * page_size, index += n) {
		n = pages < BATCH ? pages : BATCH;
		if (pread(pagemap, entry, n * 8, (uintptr_t)start / page_size * 8) !=
		    (ssize_t)(n * 8))
			err(2, "/proc/self/pagemap");
		/* Of a page in swap, it says whether the swap cache has it. */
		if (mincore(start, n * page_size, resident))
			err(2, "mincore");
		for (i = 0; i < n; i++) {
			enum kind kind = kind_of(index + i);

			count += (entry[i] & PM_SWAP) && !(resident[i] & 1) &&
				 kind != SAME && kind != ZERO;
		}
	}
	return count;
}

/*
 * Keeps khugepaged from collapsing the pages around this address into a huge page: it would swap in
 * the missing pages, in a range of which one half is used and the other is not.
 */
static void stay_small(uintptr_t address, uintptr_t start, uintptr_t end)
{
	const uintptr_t huge = 2 << 20;
	uintptr_t from = address & -huge, to = from + huge;

	from = from < start ? start : from;
	to = to > end ? end : to;
	/* A kernel that has no huge pages does not know what this is. */
	if (madvise((void *)from, to - from, MADV_NOHUGEPAGE) && errno != EINVAL)
		err(2, "MADV_NOHUGEPAGE");
}

/* Stops until the file is there, then until it is not. */
static void wait_twice(struct progress *progress, int pagemap, unsigned char *memory, size_t pages,
		       uint64_t first)
{
	volatile unsigned char sum = 0;
	size_t i, half = pages / 2;

	progress->cold = only_on_device(pagemap, memory + half * page_size, pages - half,
					first + half);
	progress->waits = 1;
	while (access(file, F_OK))
		usleep(20000);
	for (i = 0; i < half; i++)
		sum += memory[i * page_size];
	progress->waits = 2;
	while (!access(file, F_OK))
		usleep(20000);
}

static int run(struct progress *progress, uint64_t first, size_t pages, unsigned int passes)
{
	unsigned char *memory, *wanted = aligned_alloc(page_size, page_size);
	int pagemap = open_file("/proc/self/pagemap", O_RDONLY);
	unsigned int pass;
	size_t i, j, n;

	memory = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || !wanted)
		err(2, "no memory");

	if (file)
		stay_small((uintptr_t)(memory + pages / 2 * page_size), (uintptr_t)memory,
			   (uintptr_t)(memory + pages * page_size));
	for (pass = 0; pass < passes; pass++) {
		for (i = 0; i < pages; i++) {
			if (written_in(first + i, pass) == pass)
				fill(memory + i * page_size, first + i, pass);
			progress->done++;
		}
		if (madvise(memory, pages * page_size, MADV_PAGEOUT))
			err(2, "MADV_PAGEOUT");
		progress->out += swapped(pagemap, memory, pages);
		if (file && !pass)
			wait_twice(progress, pagemap, memory, pages, first);

		for (i = 0; i < pages; i += n) {
			n = pages - i < BATCH ? pages - i : BATCH;
			progress->in += swapped(pagemap, memory + i * page_size, n);
			for (j = i; j < i + n; j++) {
				fill(wanted, first + j, written_in(first + j, pass));
				if (memcmp(memory + j * page_size, wanted, page_size)) {
					if (progress->mismatches++ < 5)
						complain(memory + j * page_size, wanted, first + j);
				}
				progress->done++;
			}
		}
	}
	return progress->mismatches ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned long mib = 256, processes = 1, passes = 1, i;
	uint64_t pages, total, cold = 0, out = 0, in = 0, mismatches = 0;
	struct progress *progress;
	int option, status, worst = 0, shown = 0, waits = 0;
	size_t left;
	uint64_t start = now_ns();

	while ((option = getopt(argc, argv, "m:j:p:s:w:")) != -1) {
		switch (option) {
		case 'm':
			mib = parse_number(optarg, 1, ULONG_MAX);
			break;
		case 'j':
			processes = parse_number(optarg, 1, MAX_PROCESSES);
			break;
		case 'p':
			passes = parse_number(optarg, 1, ULONG_MAX);
			break;
		case 's':
			seed = parse_number(optarg, 1, ULONG_MAX);
			break;
		case 'w':
			file = optarg;
			break;
		default:
			errx(2, "usage: swapcheck [-m MIB] [-j PROCESSES] [-p PASSES] [-s SEED] [-w FILE]");
		}
	}

	page_size = sysconf(_SC_PAGESIZE);
	pages = (mib << 20) / page_size / processes;
	total = pages * processes;
	progress = alloc_shared(processes * sizeof(*progress));

	for (i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(2, "fork");
		if (!pid)
			_exit(run(&progress[i], i * pages, pages, passes));
	}

	for (left = processes; left;) {
		uint64_t done = 0;
		int fewest = 2;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			left--;
			if (!WIFEXITED(status)) {
				fprintf(stderr, "swapcheck: a process was killed by signal %d\n",
					WTERMSIG(status));
				worst = 2;
			} else if (WEXITSTATUS(status) > worst) {
				worst = WEXITSTATUS(status);
			}
		}
		for (i = 0; i < processes; i++) {
			done += progress[i].done;
			if (progress[i].waits < fewest)
				fewest = progress[i].waits;
		}
		if (waits < fewest) {
			waits = fewest;
			if (waits == 1) {
				for (i = 0; i < processes; i++)
					cold += progress[i].cold;
				printf("swapcheck: cold=%llu, waiting for %s\n",
				       (unsigned long long)cold, file);
			} else {
				printf("swapcheck: one half is in use, waiting for the end of %s\n",
				       file);
			}
			fflush(stdout);
		}
		/* A sign of life at every tenth of the way. */
		while (total && (int)(done * 10 / (2 * total * passes)) > shown) {
			shown++;
			printf("swapcheck: %3d%% of %lu MiB, %lu pass%s\n", shown * 10, mib, passes,
			       passes == 1 ? "" : "es");
			fflush(stdout);
		}
		if (left)
			usleep(50000);
	}

	for (i = 0; i < processes; i++) {
		out += progress[i].out;
		in += progress[i].in;
		mismatches += progress[i].mismatches;
	}
	printf("swapcheck: pages=%llu out=%llu in=%llu mismatches=%llu seconds=%.2f\n",
	       (unsigned long long)total, (unsigned long long)out, (unsigned long long)in,
	       (unsigned long long)mismatches, (now_ns() - start) / 1e9);
	return worst;
}
