// SPDX-License-Identifier: GPL-2.0
/*
 * builtincheck: the first and only process of a kernel with the driver built in.
 *
 * The kernel was started with zram_rs.num_devices=2; no module was loaded. The program passes data
 * through every algorithm and its memory through swap on a device, and adds and removes a device.
 * The results are KTAP, each line in the kernel's log with "builtincheck: " before it.
 *
 * The arguments after "--" on the kernel's command line are the expected default algorithm, and
 * then all expected algorithms, in any order.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/swap.h>

#include "common.h"

#define DISK (8UL << 20)
#define PAGES (DISK / PAGE)

static int kmsg, results;
static bool ok;

/* One line in the kernel's log. */
#define say(...) dprintf(kmsg, "<5>builtincheck: " __VA_ARGS__)

#define expect(is, ...)						\
	do {							\
		if (!(is)) {					\
			say("# " __VA_ARGS__);			\
			say("# the last error was: %m");	\
			ok = false;				\
		}						\
	} while (0)

static void result(const char *name)
{
	say("%s %d - %s", ok ? "ok" : "not ok", ++results, name);
	ok = true;
}

static void store(const char *path, const char *value)
{
	expect(!put(path, value), "'echo %s > %s' failed", value, path);
}

/* What a file holds, without the newline at its end. */
static const char *load(const char *path)
{
	static char text[1024];

	expect(get(path, text, sizeof(text)) >= 0, "reading %s failed", path);
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* Of four kinds: zeros, one word, data that compresses, and data that does not. */
static void fill(uint64_t *page, uint64_t index, uint64_t seed)
{
	uint64_t key = murmur_mix(index ^ murmur_mix(seed)) | 1, i;

	for (i = 0; i < WORDS; i++) {
		switch (index % 4) {
		case 0:
			page[i] = 0;
			break;
		case 1:
			page[i] = key;
			break;
		case 2:
			page[i] = key + i / 16;
			break;
		case 3:
			page[i] = murmur_mix(key + i);
		}
	}
}

static uint64_t wrong_pages(const void *memory, uint64_t pages, uint64_t seed)
{
	static uint64_t page[WORDS];
	uint64_t i, wrong = 0;

	for (i = 0; i < pages; i++) {
		fill(page, i, seed);
		wrong += !!memcmp((const char *)memory + i * PAGE, page, PAGE);
	}
	return wrong;
}

static void *map(void)
{
	void *memory = mmap(NULL, DISK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		say("Bail out! no memory");
		abort();
	}
	return memory;
}

static void test_devices(void)
{
	expect(!access("/sys/block/zram0", F_OK), "there is no zram0");
	expect(!access("/sys/block/zram1", F_OK), "there is no zram1");
	expect(access("/sys/block/zram2", F_OK), "there is a zram2");
	expect(!access("/dev/zram1", F_OK), "there is no /dev/zram1");
	result("as many devices as the kernel's command line says");
}

static void test_hot_add(void)
{
	int id = hot_add();

	expect(id == 2, "the device that was added is %d", id);
	expect(!access("/sys/block/zram2", F_OK), "there is no zram2");
	expect(!hot_remove(2), "zram2 cannot be removed");
	expect(access("/sys/block/zram2", F_OK), "zram2 is still there");
	result("a device is added and removed");
}

static void test_algorithms(char **wanted, int count)
{
	char list[1024], name[64];
	int i;

	snprintf(list, sizeof(list), " %s ", load("/sys/block/zram0/comp_algorithm"));
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), i ? " %s " : "[%s]", wanted[i]);
		expect(strstr(list, name) || (i && !strcmp(wanted[i], wanted[0])),
		       "there is no '%s' in '%s'", name, list);
	}
	for (i = 0, count--; list[i]; i++)
		count -= list[i] != ' ' && list[i + 1] == ' ';
	expect(count == 0, "there are %d more algorithms than there should be in '%s'", -count,
	       list);
	result("the algorithms and the default are those of the configuration");
}

static void test_data(const char *algorithm, uint64_t seed)
{
	unsigned long long original, compressed;
	char *memory = map(), *end;
	char name[80];
	int fd;
	uint64_t i;

	store("/sys/block/zram0/comp_algorithm", algorithm);
	store("/sys/block/zram0/disksize", "8M");
	for (i = 0; i < PAGES; i++)
		fill((uint64_t *)(memory + i * PAGE), i, seed);
	fd = open("/dev/zram0", O_RDWR | O_DIRECT);
	expect(fd >= 0 && pwrite(fd, memory, DISK, 0) == DISK, "writing failed");
	memset(memory, 0x55, DISK);
	expect(fd >= 0 && pread(fd, memory, DISK, 0) == DISK, "reading failed");
	expect(!wrong_pages(memory, PAGES, seed), "there are wrong pages");
	original = strtoull(load("/sys/block/zram0/mm_stat"), &end, 10);
	compressed = strtoull(end, NULL, 10);
	expect(original == DISK, "mm_stat says that %llu bytes are stored", original);
	/* Of four pages one is incompressible, one compresses, and two are same-filled. */
	expect(compressed > DISK / 4 && compressed < DISK / 4 + DISK / 8,
	       "they were compressed to %llu", compressed);
	if (fd >= 0)
		close(fd);
	store("/sys/block/zram0/reset", "1");
	munmap(memory, DISK);
	snprintf(name, sizeof(name), "data goes through %s", algorithm);
	result(name);
}

static void test_swap(void)
{
	static uint64_t header[WORDS];
	unsigned long long stored;
	char *memory = map();
	int fd;
	uint64_t i;

	store("/sys/block/zram1/disksize", "16M");
	fill_swap_header(header, 2 * PAGES);
	fd = open("/dev/zram1", O_WRONLY);
	expect(fd >= 0 && write(fd, header, PAGE) == PAGE && !fsync(fd), "mkswap failed");
	if (fd >= 0)
		close(fd);
	expect(!swapon("/dev/zram1", 0), "swapon failed");
	for (i = 0; i < PAGES; i++)
		fill((uint64_t *)(memory + i * PAGE), i, 99);
	expect(!madvise(memory, DISK, MADV_PAGEOUT), "madvise failed");
	stored = strtoull(load("/sys/block/zram1/mm_stat"), NULL, 10);
	/* Pages of zeros are not given to the device. */
	expect(stored >= DISK / 2, "only %llu bytes were swapped out", stored);
	expect(!wrong_pages(memory, PAGES, 99), "there are wrong pages");
	expect(!swapoff("/dev/zram1"), "swapoff failed");
	store("/sys/block/zram1/reset", "1");
	munmap(memory, DISK);
	result("memory is swapped out and in");
}

int main(int argc, char **argv)
{
	int i;

	if (getpid() != 1) {
		fprintf(stderr, "builtincheck is a kernel's first process\n");
		return 1;
	}
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	kmsg = open("/dev/kmsg", O_WRONLY);
	if (kmsg < 0 || argc < 2)
		abort();
	say("1..%d", argc + 2);
	ok = true;
	test_devices();
	test_hot_add();
	test_algorithms(argv + 1, argc - 1);
	for (i = 2; i < argc; i++)
		test_data(argv[i], i);
	test_swap();
	say("end");
	reboot(RB_POWER_OFF);
	return 1;
}
