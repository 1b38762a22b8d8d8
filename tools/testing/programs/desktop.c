// SPDX-License-Identifier: GPL-2.0
/*
 * desktop: a load like that of a desktop: several programs, of which a few are in use, and each for
 * a while.
 *
 * usage: desktop [-n PROGRAMS] [-u USED] [-m MIB] [-t SECONDS] [-p PHASE] [-s SEED]
 *
 * PROGRAMS processes (default 8) fill MIB of memory each (default 48). Then, for SECONDS (default
 * 180), USED of them (default 2) are in use at a time, each for PHASE seconds (default 15): the
 * seed determines which. One in use visits all of its pages in a random order, checks them, writes
 * one in 16 anew, and rests for a second. The others sleep.
 *
 * A fifth of the pages are random, and do not compress; the others compress to about a third.
 *
 * Prints "desktop: filled" when all memory has been filled. The last line is for scripts:
 *
 *	desktop: visits=N slowest_us=N over_100ms=N mismatches=N
 *
 * with the number of pages that were visited, the longest visit, and how many took more than 100
 * ms. Exit status: 0 if all pages were right, 1 if one was not, 2 if the check could not be made.
 */

#define _GNU_SOURCE
#include <sys/wait.h>

#include "common.h"

#define MAX_PROGRAMS	64
#define MAX_PAGES	(1UL << 20)

struct program {
	volatile int filled;
	uint64_t visits, slowest, slow, mismatches;
};

static struct program *programs;
static unsigned long count = 8, used = 2, mib = 48, seconds = 180, phase = 15, seed = 1;
static volatile uint64_t *begun;

static uint64_t random_of(uint64_t index, uint64_t generation)
{
	return splitmix(splitmix(splitmix(seed) ^ index) ^ generation) | 1;
}

static void fill(uint64_t *page, uint64_t index, uint64_t generation)
{
	uint64_t state = random_of(index, generation);
	size_t i, random = splitmix(index ^ seed) % 5 ? WORDS / 4 : WORDS;

	for (i = 0; i < random; i++)
		page[i] = next_random(&state);
	for (; i < WORDS; i++)
		page[i] = 0x6b736564202d2061ULL + (i & 7);
	page[WORDS - 1] = generation;
}

/* The first word tells the rest, and the last has the generation. */
static int is_right(const uint64_t *page, uint64_t index)
{
	uint64_t state = random_of(index, page[WORDS - 1]);

	return page[0] == next_random(&state);
}

/* Whether a program is among those in use in a phase. */
static int is_used(uint64_t program, uint64_t number)
{
	uint64_t i, others = 0, mine = splitmix(seed ^ number * MAX_PROGRAMS ^ program << 32);

	for (i = 0; i < count; i++)
		others += splitmix(seed ^ number * MAX_PROGRAMS ^ i << 32) < mine;
	return others < used;
}

static void run(uint64_t number)
{
	struct program *program = &programs[number];
	uint64_t pages = (mib << 20) / PAGE, first = number * MAX_PAGES, now, began, i, step;
	uint64_t *memory, *page, state = seed_state(seed + number), generation = 1;

	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		err(2, "no memory");
	for (i = 0; i < pages; i++)
		fill(memory + i * WORDS, first + i, generation);
	program->filled = 1;
	while (!*begun)
		usleep(10000);

	while ((now = now_ns()) < *begun + seconds * 1000000000) {
		if (!is_used(number, (now - *begun) / 1000000000 / phase)) {
			usleep(100000);
			continue;
		}
		generation++;
		/* Such a step visits each page, if MIB has no other prime factors than 2 and 3. */
		step = random_below(&state, pages) * 6 + 1;
		for (i = 0; i < pages; i++) {
			uint64_t which = (i * step + generation) % pages;

			page = memory + which * WORDS;
			began = now_ns();
			if (!is_right(page, first + which))
				program->mismatches++;
			if (i % 16 == 0)
				fill(page, first + which, generation);
			began = now_ns() - began;
			program->visits++;
			if (program->slowest < began)
				program->slowest = began;
			program->slow += began > 100000000;
		}
		sleep(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t visits = 0, slowest = 0, slow = 0, mismatches = 0, i, filled;
	int option, status, worst = 0;
	void *shared;

	while ((option = getopt(argc, argv, "n:u:m:t:p:s:")) != -1) {
		switch (option) {
		case 'n':
			count = parse_number(optarg, 1, MAX_PROGRAMS);
			break;
		case 'u':
			used = parse_number(optarg, 1, MAX_PROGRAMS);
			break;
		case 'm':
			mib = parse_number(optarg, 1, MAX_PAGES * PAGE >> 20);
			break;
		case 't':
			seconds = parse_number(optarg, 1, 1000000);
			break;
		case 'p':
			phase = parse_number(optarg, 1, 1000000);
			break;
		case 's':
			seed = parse_number(optarg, 1, ULONG_MAX);
			break;
		default:
			errx(2, "usage: desktop [-n PROGRAMS] [-u USED] [-m MIB] [-t SECONDS] [-p PHASE] [-s SEED]");
		}
	}
	shared = alloc_shared(sizeof(*begun) + count * sizeof(*programs));
	begun = shared;
	programs = (void *)(begun + 1);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(2, "fork");
		if (!pid) {
			run(i);
			_exit(programs[i].mismatches ? 1 : 0);
		}
	}
	do {
		usleep(100000);
		for (i = 0, filled = 0; i < count; i++)
			filled += programs[i].filled;
		/* One that was killed does not fill any. */
	} while (filled < count && waitpid(-1, &status, WNOHANG) <= 0);
	printf("desktop: filled\n");
	fflush(stdout);
	*begun = now_ns();
	for (i = 0; i < count; i++) {
		if (wait(&status) < 0)
			break;
		if (!WIFEXITED(status))
			worst = 2;
		else if (WEXITSTATUS(status) > worst)
			worst = WEXITSTATUS(status);
	}
	for (i = 0; i < count; i++) {
		visits += programs[i].visits;
		slow += programs[i].slow;
		mismatches += programs[i].mismatches;
		if (slowest < programs[i].slowest)
			slowest = programs[i].slowest;
	}
	printf("desktop: visits=%llu slowest_us=%llu over_100ms=%llu mismatches=%llu\n",
	       (unsigned long long)visits, (unsigned long long)slowest / 1000,
	       (unsigned long long)slow, (unsigned long long)mismatches);
	return filled < count ? 2 : worst;
}
