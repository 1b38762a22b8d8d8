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
#include "common.h"

#define BULK		256UL		/* pages in one write */
#define PORTION		65536UL		/* pages in one writeback of "fill" */

static int disk, writeback;
static uint64_t *buffer;	/* BULK pages */

/* Pages of which little is left when they are compressed, and no two are the same. */
static void write_pages(uint64_t first, uint64_t count)
{
	uint64_t i, n, at;

	for (i = 0; i < count; i += n) {
		n = count - i < BULK ? count - i : BULK;
		for (at = 0; at < n; at++)
			buffer[at * WORDS] = first + i + at + 1;
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
	if (discard_pages(disk, first, count))
		err(2, "discard of page %lu", first);
}

int main(int argc, char **argv)
{
	uint64_t first, count, i, n, began, written, discarded;
	int id;

	if (argc != 5)
		errx(2, "usage: blockbench fill | scatter | measure DISK NUMBER NUMBER");
	buffer = alloc_aligned(BULK * PAGE);
	memset(buffer, 0, BULK * PAGE);
	if (strncmp(argv[2], "zram", 4))
		errx(2, "'%s' is not the name of a zram disk.", argv[2]);
	id = parse_number(argv[2] + 4, 0, INT_MAX);
	disk = open_id(id, O_RDWR | O_DIRECT);
	if (disk < 0)
		err(2, "/dev/zram%d", id);
	writeback = open_file(attribute(id, "writeback"), O_WRONLY);
	first = parse_ulong(argv[3]);
	count = parse_ulong(argv[4]);
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
		began = now_ns();
		write_back(first, count);
		written = now_ns();
		discard(first, count);
		discarded = now_ns();
		printf("%lu %lu\n", (written - began) / count, (discarded - written) / count);
	} else {
		errx(2, "what is '%s'?", argv[1]);
	}
	return 0;
}
