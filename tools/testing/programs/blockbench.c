// SPDX-License-Identifier: GPL-2.0
/*
 * blockbench: allocates blocks of a disk's backing device, frees them, and prints how long each
 * takes.
 *
 * usage: blockbench fill DISK FIRST COUNT
 *        blockbench scatter DISK COUNT STEP
 *        blockbench measure DISK FIRST COUNT
 *
 * "fill" writes COUNT pages of the disk, from page FIRST on, and writes them back, some at a time,
 * so that it needs little memory. "scatter" discards every STEPth of the first COUNT pages.
 * "measure" writes pages and prints how many nanoseconds the writeback takes for each page, and the
 * discard, which frees the block of the page. DISK is the name of the disk, as in /dev and
 * /sys/block.
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define BULK		256UL		/* pages in one write */
#define PORTION		65536UL		/* pages in one writeback of "fill" */

static int disk, writeback;
static uint64_t *buffer;	/* BULK pages */

static int open_file(const char *format, const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), format, name);
	fd = open(path, flags);
	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

/* Pages of which little is left when they are compressed, and no two are the same. */
static void write_pages(uint64_t first, uint64_t count)
{
	uint64_t i, n, at;

	for (i = 0; i < count; i += n) {
		n = count - i < BULK ? count - i : BULK;
		for (at = 0; at < n; at++)
			buffer[at * PAGE / sizeof(uint64_t)] = first + i + at + 1;
		if (pwrite(disk, buffer, n * PAGE, (first + i) * PAGE) != (ssize_t)(n * PAGE))
			err(2, "write of page %lu", first + i);
	}
}

static void write_back(uint64_t first, uint64_t count)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "page_indexes=%lu-%lu", first, first + count - 1);

	if (write(writeback, text, length) != length)
		err(2, "writeback of pages from %lu", first);
}

static void discard(uint64_t first, uint64_t count)
{
	uint64_t range[2] = { first * PAGE, count * PAGE };

	if (ioctl(disk, BLKDISCARD, range))
		err(2, "discard of page %lu", first);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoul(text, &end, 10);

	if (*end || !*text)
		errx(2, "'%s' is not a number", text);
	return n;
}

int main(int argc, char **argv)
{
	uint64_t first, count, i, n, began, written, discarded;

	if (argc != 5)
		errx(2, "usage: blockbench fill | scatter | measure DISK NUMBER NUMBER");
	buffer = aligned_alloc(PAGE, BULK * PAGE);
	if (!buffer)
		err(2, "no memory");
	memset(buffer, 0, BULK * PAGE);
	disk = open_file("/dev/%s", argv[2], O_RDWR | O_DIRECT);
	writeback = open_file("/sys/block/%s/writeback", argv[2], O_WRONLY);
	first = number(argv[3]);
	count = number(argv[4]);
	if (!strcmp(argv[1], "fill")) {
		for (i = 0; i < count; i += n) {
			n = count - i < PORTION ? count - i : PORTION;
			write_pages(first + i, n);
			write_back(first + i, n);
		}
	} else if (!strcmp(argv[1], "scatter")) {
		for (i = 0; i < first; i += count)
			discard(i, 1);
	} else if (!strcmp(argv[1], "measure") && count) {
		write_pages(first, count);
		began = now();
		write_back(first, count);
		written = now();
		discard(first, count);
		discarded = now();
		printf("%lu %lu\n", (written - began) / count, (discarded - written) / count);
	} else {
		errx(2, "what is '%s'?", argv[1]);
	}
	return 0;
}
