/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What several of the programs here share: random numbers, files in sysfs, disks, and pages that
 * tell what they are.
 */

#ifndef ZRAM_TESTING_COMMON_H
#define ZRAM_TESTING_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof(*(x)))

#define PAGE		4096UL
#define WORDS		(PAGE / sizeof(uint64_t))

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1d;
}

/* --- Files and disks -------------------------------------------------------------------------- */

/* The path is good until the next call. */
static inline const char *attribute(int id, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", id, name);
	return path;
}

/* One write, as echo does it; 0 or an error number. */
static inline int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* One read. Returns the length, or a negative error number. */
static inline ssize_t get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		length = -errno;
	close(fd);
	text[length < 0 ? 0 : length] = 0;
	return length;
}

/* Returns the number of the new disk; -1 with errno if there is none. */
static inline int hot_add(void)
{
	char text[16];
	ssize_t length = get("/sys/class/zram-control/hot_add", text, sizeof(text));

	if (length <= 0) {
		errno = -length;
		return -1;
	}
	return atoi(text);
}

static inline int open_id(int id, int flags)
{
	char path[32];
	int i, fd;

	snprintf(path, sizeof(path), "/dev/zram%d", id);
	/* devtmpfs is told by another task. */
	for (i = 0; i < 500; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			break;
		usleep(10000);
	}
	return fd;
}

/* --- Pages ------------------------------------------------------------------------------------ */

/* The first word of a page: a number that no other program has, the index, and the generation. */
#define GENERATION	((1UL << 36) - 1)
#define MAX_INDEX	(1UL << 20)

/* The kind of a page is its generation modulo their number. */
enum kind { DISCARDED, SAME, TEXT, RANDOM, KINDS };

static inline uint64_t head_of(uint64_t magic, uint64_t index, uint64_t generation)
{
	return magic << 56 | index << 36 | generation;
}

/* All of a page follows from its head. At least @least of its words are random in any text. */
static inline void fill_page(uint64_t *to, uint64_t head, size_t least)
{
	uint64_t state = head * 0x9e3779b97f4a7c15 | 1;
	size_t i, loose;

	switch ((enum kind)((head & GENERATION) % KINDS)) {
	case TEXT:
		/* The part that cannot be compressed has any length, so sizes differ widely. */
		loose = least + next_random(&state) % (WORDS / 2);
		for (i = 0; i < WORDS; i++)
			to[i] = i < loose ? next_random(&state) : head;
		break;
	case RANDOM:
		for (i = 0; i < WORDS; i++)
			to[i] = next_random(&state);
		break;
	case SAME:
		for (i = 0; i < WORDS; i++)
			to[i] = head;
		break;
	default:
		memset(to, 0, PAGE);
		return;
	}
	to[0] = head;
}

#endif
