/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the programs here: arguments, time, memory, random numbers, files, and disks.
 *
 * A function that says so ends the program with status 2, which means that a check could not be
 * made.
 */

#ifndef ZRAM_TESTING_COMMON_H
#define ZRAM_TESTING_COMMON_H

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof(*(x)))

/* The unit of most programs; that of others is the page of this machine: page_size. */
#ifndef PAGE
#define PAGE		4096UL
#else
static unsigned long page_size;

static void __attribute__((constructor)) find_page_size(void)
{
	page_size = sysconf(_SC_PAGESIZE);
}

#endif
#define WORDS		(PAGE / sizeof(uint64_t))

#define HOT_REMOVE	"/sys/class/zram-control/hot_remove"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* --- Arguments, time, memory ------------------------------------------------------------------ */

/* Parses a decimal argument. Ends the program if it is not between @least and @most. */
static inline unsigned long parse_number(const char *text, unsigned long least, unsigned long most)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end || !*text || errno || n < least || n > most)
		errx(2, "'%s' is not a number from %lu to %lu.", text, least, most);
	return n;
}

static inline unsigned long parse_ulong(const char *text)
{
	return parse_number(text, 0, ULONG_MAX);
}

/* In nanoseconds; 0 if there is no such clock. */
static inline uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Memory for direct I/O. Ends the program if there is none. */
static inline void *alloc_aligned(size_t size)
{
	void *memory = aligned_alloc(PAGE, (size + PAGE - 1) & -PAGE);

	if (!memory)
		errx(2, "There is no memory.");
	return memory;
}

/* Zeroed memory that child processes share. Ends the program if there is none. */
static inline void *alloc_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "no memory");
	return memory;
}

/* --- Random numbers --------------------------------------------------------------------------- */

/* 2^64 divided by the golden ratio, by which Weyl sequences advance. */
#define GOLDEN	0x9e3779b97f4a7c15ULL

/* The finaliser of MurmurHash3. */
static inline uint64_t murmur_mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/* The output of SplitMix64 for a state, which the caller then advances by GOLDEN. */
static inline uint64_t splitmix(uint64_t state)
{
	uint64_t x = state + GOLDEN;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The state of the generators below for a seed: any but 0. */
static inline uint64_t seed_state(uint64_t seed)
{
	return seed * GOLDEN | 1;
}

static inline uint64_t xorshift(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Like xorshift(), with better low bits. */
static inline uint64_t next_random(uint64_t *state)
{
	return xorshift(state) * 0x2545f4914f6cdd1d;
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return (next_random(state) >> 16) % limit;
}

/* --- Files ------------------------------------------------------------------------------------ */

/* Ends the program if the file cannot be opened. */
static inline int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

/* The path is valid until the next call. */
static inline const char *attribute(int id, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", id, name);
	return path;
}

/* Makes one write, as echo does. Returns 0 or an error number, which is also in errno. */
static inline int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	if (error)
		errno = error;
	return error;
}

/* Makes one read. Returns the length, or a negative error number, which is also in errno. */
static inline ssize_t get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	text[0] = 0;
	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		length = -errno;
	close(fd);
	text[length < 0 ? 0 : length] = 0;
	if (length < 0)
		errno = -length;
	return length;
}

/* Prints where in the kernel a process is. */
static inline void print_stack(pid_t pid)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	if (get(path, text, sizeof(text)) > 0)
		fputs(text, stdout);
}

/* --- Disks ------------------------------------------------------------------------------------ */

/* Returns the number of the new disk; -1 with errno if there is none. */
static inline int hot_add(void)
{
	char text[16];
	ssize_t length = get("/sys/class/zram-control/hot_add", text, sizeof(text));

	return length <= 0 ? -1 : atoi(text);
}

/* Returns 0 or an error number. */
static inline int hot_remove(int id)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", id);
	return put(HOT_REMOVE, text);
}

/* Retries an operation on a disk for seconds, while it fails because the disk is open. */
static inline int retry_busy(int (*what)(int id), int id)
{
	int i, error = 0;

	for (i = 0; i < 1000; i++) {
		error = what(id);
		if (error != EBUSY)
			break;
		usleep(5000);
	}
	return error;
}

static inline int open_id(int id, int flags)
{
	char path[32];
	int i, fd;

	snprintf(path, sizeof(path), "/dev/zram%d", id);
	/* A kernel thread makes the file of a new disk. */
	for (i = 0; i < 500; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			break;
		usleep(10000);
	}
	return fd;
}

/* Returns 0, or -1 with errno. */
static inline int discard_pages(int fd, uint64_t first, uint64_t count)
{
	uint64_t range[2] = { first * PAGE, count * PAGE };

	return ioctl(fd, BLKDISCARD, range);
}

/* Fills a page with the header of a swap area, as mkswap does. */
static inline void fill_swap_header(void *page, uint64_t pages)
{
	uint32_t *info = (uint32_t *)((char *)page + 1024);

	memset(page, 0, PAGE);
	info[0] = 1;		/* version */
	info[1] = pages - 1;	/* last page */
	memcpy((char *)page + PAGE - 10, "SWAPSPACE2", 10);
}

/*
 * Appends to @names the files of a disk in the directory @below that have a bit of @mode set; not
 * uevent, if they are to be written, as a write makes an event. Returns the new number of names.
 */
static inline int find_attributes(int id, const char *below, mode_t mode, char **names, int count,
				  int most)
{
	DIR *dir = opendir(attribute(id, below));
	struct dirent *entry;
	struct stat stat;
	char path[300];

	if (!dir)
		err(2, "%s", attribute(id, below));
	while ((entry = readdir(dir)) && count < most) {
		snprintf(path, sizeof(path), "%s%s", below, entry->d_name);
		if (lstat(attribute(id, path), &stat) || !S_ISREG(stat.st_mode) ||
		    !(stat.st_mode & mode) || ((mode & 0222) && !strcmp(path, "uevent")))
			continue;
		names[count] = strdup(path);
		if (!names[count++])
			errx(2, "There is no memory.");
	}
	closedir(dir);
	return count;
}

#endif
