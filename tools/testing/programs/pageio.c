// SPDX-License-Identifier: GPL-2.0
/*
 * pageio: page-sized I/O on a block device, with commands from a shell script.
 *
 * A dd for each page would take too long on uml-debug, so a test starts this program once as a
 * co-process, writes a command to it and reads one line: "ok", or the name of the error, or the
 * difference. A page is described by its kind, its index and a seed, so the script need not store
 * data to compare with.
 *
 *   open PATH [direct]               close
 *   write INDEX COUNT KIND SEED      one pwrite() for each page
 *   bulk INDEX COUNT KIND SEED       one pwrite() for all pages
 *   check INDEX COUNT KIND SEED      reads page by page and compares
 *   bulkcheck INDEX COUNT KIND SEED  the same with one pread()
 *   read BYTE LENGTH OFFSET          one pread() into a buffer OFFSET bytes after a page boundary
 *   put BYTE LENGTH OFFSET           one pwrite() of that buffer
 *   discard BYTE LENGTH              zeroout BYTE LENGTH
 *   sync
 *   shift BYTES                      from now on, I/O buffers start BYTES after a page boundary
 *
 * Kinds: zero; same (one repeated word, not zero); text (compresses well); random (does not); mixed
 * (by index, one of these); hex (lines of digits, some of them twice: the better an algorithm, the
 * smaller).
 */
#define _GNU_SOURCE
#define PAGE page_size
#include "common.h"

#define BULK_PAGES 256UL
#define MEMORY ((BULK_PAGES + 2) * PAGE)
#define CANARY 0x77
#define LINE 64UL

static int fd = -1;
static unsigned char *memory, *buffer, *expected;

static void fill_page(__u64 *page, const char *kind, __u64 index, __u64 seed)
{
	static const char * const kinds[] = { "zero", "same", "text", "random" };
	static const char words[] =
		"A page of prose that any algorithm makes much smaller than it was. ";
	__u64 state = murmur_mix(index + murmur_mix(seed + 1));
	unsigned long i;

	if (!strcmp(kind, "mixed"))
		kind = kinds[state % 4];

	if (!strcmp(kind, "random")) {
		for (i = 0; i < WORDS; i++) {
			state += GOLDEN;
			page[i] = murmur_mix(state);
		}
	} else if (!strcmp(kind, "text")) {
		unsigned char *byte = (unsigned char *)page;

		for (i = 0; i < PAGE; i++)
			byte[i] = words[(i + state) % (sizeof(words) - 1)];
		/* No two of them are the same, and none is same-filled. */
		page[index % WORDS] = state | 1;
	} else if (!strcmp(kind, "hex")) {
		char *byte = (char *)page;
		unsigned long j;

		for (i = 0; i < PAGE; i += LINE) {
			state += GOLDEN;
			if (i && state & 0x10000) {
				memcpy(byte + i, byte + murmur_mix(state) % (i / LINE) * LINE,
				       LINE);
				continue;
			}
			for (j = 0; j < LINE; j++) {
				state += GOLDEN;
				byte[i + j] = "0123456789abcdef"[murmur_mix(state) % 16];
			}
		}
	} else {
		__u64 word = strcmp(kind, "same") ? 0 : state | 1;

		for (i = 0; i < WORDS; i++)
			page[i] = word;
	}
}

static void fill(unsigned char *to, const char *kind, __u64 index, __u64 count, __u64 seed)
{
	__u64 i;

	for (i = 0; i < count; i++)
		fill_page((__u64 *)(to + i * PAGE), kind, index + i, seed);
}

static void answer(const char *text)
{
	puts(text);
	fflush(stdout);
}

static void answer_errno(void)
{
	const char *name = strerrorname_np(errno);

	answer(name ? name : "EUNKNOWN");
}

/* A result of read() or write() that is neither an error nor complete. */
static void answer_transfer(ssize_t done, size_t wanted)
{
	if (done < 0) {
		answer_errno();
	} else if ((size_t)done != wanted) {
		printf("short: %zd of %zu bytes\n", done, wanted);
		fflush(stdout);
	} else {
		answer("ok");
	}
}

static void do_write(__u64 index, __u64 count, const char *kind, __u64 seed, __u64 step)
{
	ssize_t done = 0;
	__u64 i, n = 0;

	for (i = 0; i < count; i += n) {
		n = count - i < step ? count - i : step;
		fill(buffer, kind, index + i, n, seed);
		done = pwrite(fd, buffer, n * PAGE, (index + i) * PAGE);
		if (done != (ssize_t)(n * PAGE))
			break;
	}
	answer_transfer(done, n * PAGE);
}

/* What is in front of the buffer, and one page (less the shift) behind it. */
static int canaries_alive(size_t length)
{
	unsigned char *at, *end = buffer + length;

	for (at = memory; at < buffer; at++)
		if (*at != CANARY)
			return 0;
	for (at = end; at < end + PAGE - (buffer - memory) % PAGE; at++)
		if (*at != CANARY)
			return 0;
	return 1;
}

static void do_check(__u64 index, __u64 count, const char *kind, __u64 seed, __u64 step)
{
	__u64 i, n, at;
	ssize_t done;

	for (i = 0; i < count; i += n) {
		n = count - i < step ? count - i : step;
		/*
		 * So that what an earlier read left in the buffer cannot pass for an answer, and
		 * that it shows when a read writes outside of it.
		 */
		memset(memory, CANARY, (n + 2) * PAGE);
		done = pread(fd, buffer, n * PAGE, (index + i) * PAGE);
		if (done != (ssize_t)(n * PAGE)) {
			answer_transfer(done, n * PAGE);
			return;
		}
		if (!canaries_alive(n * PAGE)) {
			answer("the read wrote outside of its buffer");
			return;
		}
		fill(expected, kind, index + i, n, seed);
		for (at = 0; at < n * PAGE; at++) {
			if (buffer[at] == expected[at])
				continue;
			printf("page %llu differs from byte %llu on\n", index + i + at / PAGE,
			       at % PAGE);
			fflush(stdout);
			return;
		}
	}
	answer("ok");
}

static void do_range(unsigned long request, __u64 byte, __u64 length)
{
	__u64 range[2] = { byte, length };

	if (ioctl(fd, request, range) < 0)
		answer_errno();
	else
		answer("ok");
}

static void do_open(const char *path, const char *how)
{
	if (fd >= 0)
		close(fd);
	fd = open(path, O_RDWR | (strcmp(how, "direct") ? 0 : O_DIRECT));
	if (fd < 0)
		answer_errno();
	else
		answer("ok");
}

static void command(const char *line)
{
	char verb[16] = "", kind[256] = "", how[16] = "";
	__u64 a = 0, b = 0, c = 0;

	if (sscanf(line, "%15s", verb) != 1)
		verb[0] = '\0';
	if (!strcmp(verb, "open") && sscanf(line, "%*s %255s %15s", kind, how) >= 1) {
		do_open(kind, how);
	} else if (!strcmp(verb, "close")) {
		close(fd);
		fd = -1;
		answer("ok");
	} else if (!strcmp(verb, "sync")) {
		answer_transfer(fsync(fd), 0);
	} else if (sscanf(line, "%*s %llu %llu %255[a-z] %llu", &a, &b, kind, &c) == 4) {
		if (!strcmp(verb, "write"))
			do_write(a, b, kind, c, 1);
		else if (!strcmp(verb, "bulk"))
			do_write(a, b, kind, c, BULK_PAGES);
		else if (!strcmp(verb, "check"))
			do_check(a, b, kind, c, 1);
		else if (!strcmp(verb, "bulkcheck"))
			do_check(a, b, kind, c, BULK_PAGES);
		else
			answer("unknown");
	} else if (sscanf(line, "%*s %llu %llu %llu", &a, &b, &c) >= 2 &&
		   b <= BULK_PAGES * PAGE && c < PAGE &&
		   (!strcmp(verb, "read") || !strcmp(verb, "put"))) {
		answer_transfer(verb[0] == 'r' ? pread(fd, buffer + c, b, a) :
						 pwrite(fd, buffer + c, b, a), b);
	} else if (!strcmp(verb, "shift") && sscanf(line, "%*s %llu", &a) == 1 &&
		   a < PAGE && a % 8 == 0) {
		buffer = memory + PAGE + a;
		answer("ok");
	} else if (!strcmp(verb, "discard")) {
		do_range(BLKDISCARD, a, b);
	} else if (!strcmp(verb, "zeroout")) {
		do_range(BLKZEROOUT, a, b);
	} else {
		answer("unknown");
	}
}

int main(void)
{
	char line[512];

	memory = alloc_aligned(MEMORY);
	expected = alloc_aligned(BULK_PAGES * PAGE);
	memset(memory, CANARY, MEMORY);
	buffer = memory + PAGE;
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
