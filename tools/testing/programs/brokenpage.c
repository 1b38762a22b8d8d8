// SPDX-License-Identifier: GPL-2.0
/*
 * brokenpage: makes a page of a disk that cannot be decompressed, as any user who can write to the
 * disk can.
 *
 * usage: brokenpage [-S SEED] [-a ATTEMPTS] DISK INDEX
 *        brokenpage -r READS DISK INDEX
 *
 * DISK is the path of the disk. Writes the page INDEX by direct I/O from memory that another thread
 * changes meanwhile, until a read fails: DEFLATE with a header and 842 store a checksum of the
 * page, and the data that they compress may differ from the data that the checksum covers. About
 * three quarters of the page cannot be compressed. The exit status is 4 if no read failed after
 * ATTEMPTS writes (a million by default).
 *
 * With -r, reads the page READS times; each read must fail with EIO.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common.h"

static atomic_bool stop;
static atomic_ulong *page;
static uint64_t seed = 1;

/* Changes one word after the other, in the part of the page that is random. */
static void *change(void *unused)
{
	uint64_t state = seed_state(seed);

	(void)unused;
	while (!stop)
		atomic_store_explicit(&page[next_random(&state) >> 32 & 255],
				      next_random(&state), memory_order_relaxed);
	return NULL;
}

static bool readable(int fd, off_t offset)
{
	static void *buffer;
	ssize_t length;

	if (!buffer)
		buffer = alloc_aligned(PAGE);
	length = pread(fd, buffer, PAGE, offset);
	if (length == (ssize_t)PAGE)
		return true;
	if (length >= 0 || errno != EIO)
		err(2, "read");
	return false;
}

int main(int argc, char **argv)
{
	unsigned long attempts = 1000000, reads = 0, i;
	uint64_t state;
	pthread_t thread;
	off_t offset;
	int option, fd;

	while ((option = getopt(argc, argv, "S:a:r:")) != -1) {
		if (option == 'S')
			seed = parse_ulong(optarg);
		else if (option == 'a')
			attempts = parse_ulong(optarg);
		else if (option == 'r')
			reads = parse_ulong(optarg);
		else
			return 2;
	}
	if (optind + 2 != argc)
		errx(2, "usage: brokenpage [-S SEED] [-a ATTEMPTS] [-r READS] DISK INDEX");
	fd = open_file(argv[optind], O_RDWR | O_DIRECT);
	offset = parse_ulong(argv[optind + 1]) * PAGE;

	if (reads) {
		for (i = 0; i < reads; i++) {
			if (readable(fd, offset))
				errx(1, "page %s can be read", argv[optind + 1]);
		}
		return 0;
	}

	page = alloc_aligned(PAGE);
	state = seed_state(~seed);
	for (i = 0; i < WORDS; i++)
		page[i] = i < WORDS / 4 * 3 ? next_random(&state) : seed;
	errno = pthread_create(&thread, NULL, change, NULL);
	if (errno)
		err(2, "thread");
	for (i = 0; i < attempts; i++) {
		if (pwrite(fd, (void *)page, PAGE, offset) != (ssize_t)PAGE)
			err(2, "write");
		if (!readable(fd, offset))
			break;
	}
	stop = true;
	pthread_join(thread, NULL);
	if (i == attempts) {
		printf("page %s can be read after %lu writes (seed %lu)\n", argv[optind + 1],
		       attempts, seed);
		return 4;
	}
	printf("page %s cannot be read after %lu writes (seed %lu)\n", argv[optind + 1], i + 1,
	       seed);
	return 0;
}
