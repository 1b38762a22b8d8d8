// SPDX-License-Identifier: GPL-2.0
/*
 * zscript: runs a script on a zram driver, and records all that can be observed.
 *
 *   usage: zscript [-t SECONDS] [-n COUNT] [-d] [-s] [-l] [-p] [-h] zram|zram_rs [FILE...]
 *
 * diff.sh runs the same scripts on C zram and on zram_rs, and zdiff.pl compares the transcripts.
 * Each line of a script is a step, and adds a line "<line>| <step> => <result>" to the transcript,
 * and possibly more lines "<line>| : <text>". A transcript must not depend on time or chance:
 * zscript masks such values.
 *
 * A script consists of sections, each of which begins with "=== NAME". Each section starts with a
 * module without devices, and with the same backing devices, and ends with the removal of all that
 * it added. With -t, no section begins after so many seconds, with -n, after so many sections. With
 * -d, statistics and the state of all slots follow each step that names a device; with -s, only
 * statistics. -d also skips a step that would give an initialised device a backing device, which
 * differs on purpose. -l says that one of the drivers is lax (see "needs"). With -p, all devices of
 * zram_rs pack pages, and a compaction of the blocks of the backing device, which nothing in the
 * transcript may show, follows each second step. Only with -h, helpers take a part of large
 * requests.
 *
 * A step is a command and its arguments, words that are separated by spaces; in "quotes", a word
 * may have spaces, and \n, \t, \0, \\, \" and \xHH. A quoted word can be repeated: "ab"*3. " #"
 * begins a comment. The comment "# differs: ID" of a step says that its result differs on purpose,
 * see Documentation/differences.rst, and "# may differ: ID" that it may differ. "each V1 V2 ... :
 * STEP" runs STEP for each V, which replaces % in it.
 *
 * D is the number of a device. ID, PATH and VALUE may contain $driver, $dir, $uptime (seconds since
 * boot) and $uptime-N.
 *
 * Attributes:
 *   hot_add                 hot_remove VALUE         adds and removes devices
 *   set D ATTRIBUTE VALUE...   write(2) of VALUEs, with spaces between them and a newline behind
 *   raw D ATTRIBUTE VALUE      write(2) of VALUE as it is
 *   get D ATTRIBUTE            the contents, byte for byte
 *   words D ATTRIBUTE          the contents without spaces and NULs
 *   ours D ATTRIBUTE [VALUE...]   the same as set, or as get without a VALUE, for an attribute that
 *                              C zram lacks: prints nothing, as it must not change what C zram has
 *   setp PATH VALUE            getp PATH              the same for any file
 *   stats D                    all statistics in one line, times masked
 *   state D                    block_state: ranges of slots that are in the same state; the time of
 *                              the last access as T or 0, but - if recompressed
 *   peek D OFFSET SIZE COUNT   COUNT reads of SIZE bytes of block_state from OFFSET, byte for byte
 *                              but for the times
 *   tree D [DIRECTORY]         all files of the device that C zram has, too, with their modes and
 *                              contents
 *   ls PATH                    the names in a directory, with their modes
 *
 * Data; PLACE is the number of a page, HOW may be direct, single (a call for each page), nosync:
 *   write D PLACE COUNT KIND SEED [HOW...]
 *   read D PLACE COUNT [HOW...]        a hash of all, two letters for each page (.. if zero), and
 *                                      whether it is what was written, where that can be known
 *   rawread D BYTE COUNT [HOW...]      rawwrite D BYTE COUNT SEED [HOW...]
 *   discard D PLACE COUNT              zeroout, punch (fallocate), zerorange (fallocate): the same
 *   rawdiscard D BYTE COUNT            rawzeroout: the same
 *   fsync D
 *
 * Kinds of pages: zero; one (all words 1); same (all words the same, by SEED); text; random; noiseN
 * (N percent random, the rest text); hex (random digits, which only entropy coding makes smaller);
 * mixed (each page one of these, by SEED and PLACE).
 *
 * Devices and files:
 *   open H D HOW...         opens the device as handle H (a digit); HOW is r, w, excl, direct
 *   openp H PATH HOW...     the same for any file
 *   close H                 pwriteh H VALUE          preadh H SIZE
 *   ioctls D                the results of all ioctls about sizes
 *   ioctl D NAME            one of them, or BLKRRPART, BLKFLSBUF
 *   mkswap D                swapon D [discard] [PRIORITY]       swapoff D
 *   file NAME BYTES KIND SEED    a file $dir/NAME
 *   null NAME MEGABYTES [ATTRIBUTE=VALUE...]         a null_blk device /dev/NAME
 *   loop N BYTES            a loop device /dev/loopN on a file
 *   unnull NAME             unloop N
 *   wipe PATH               fills it with zeroes
 *   blocks PATH             hashes of its pages that are not zero, sorted
 *   mount D TYPE            umount D
 *
 * The module:
 *   load [PARAMETERS]       unload                   modinfo (of parameters)
 *   listen                  events                   uevents since then, of zram's
 *   needs WHAT...           ends the section if device 0 lacks an attribute or an algorithm, if
 *                           pages are not of 4 KiB (4K-pages), or if a driver does not check all
 *                           that C zram of Linux 7.3 checks (strict)
 *   sleep MILLISECONDS      tick (until a second of the time since boot begins)
 *
 * There are always the backing devices /dev/zs0 (256 pages), /dev/loop40 (24 pages), /dev/loop41
 * (64 pages) and /dev/loop42 (200 pages), and files with words in them, $dir/small (512 bytes),
 * $dir/dict (4 KiB), $dir/big (100000 bytes), and $dir/empty.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <ftw.h>
#include <linux/falloc.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "common.h"

#define MAX_PAGES 4096UL
#define MAX_DEVICES 16
#define MAX_WORDS 64
#define MAX_LINE 4096
#define DIR_NAME "/tmp/zscript"
#define NULLB "/sys/kernel/config/nullb"

/* A hash that no page has: its content is not known. */
#define UNKNOWN 1

static const char *driver;
static char module_path[PATH_MAX];
static unsigned char *buffer;
static int handles[10];
static int events_fd = -1;
static int detailed, stateless, lax, packing, helpers;
static int line_number;
/* What should be on the devices. */
static __u64 shadow[MAX_DEVICES][MAX_PAGES];
static __u64 zero_hash;

/* A step, taken apart; words may contain any byte. */
struct step {
	int count;
	char *word[MAX_WORDS];
	size_t len[MAX_WORDS];
	char storage[1 << 17];
};

static struct step step;

/* --- Transcript --------------------------------------------------------------------------- */

static const char *error_name(int number)
{
	const char *name = strerrorname_np(number);

	return number ? name ? name : "EUNKNOWN" : "ok";
}

static const char *outcome(long result)
{
	return error_name(result < 0 ? errno : 0);
}

static void put_bytes(const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = bytes[i];

		if (c == '\n')
			printf("\\n");
		else if (c == '\\' || c == '"')
			printf("\\%c", c);
		else if (c < ' ' || c > '~')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

/* A line of its own, that belongs to the step. */
static void more(const char *format, ...)
{
	va_list args;

	printf("\n%d| : ", line_number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

/* --- Small things ------------------------------------------------------------------------- */

static __u64 hash_page(const void *page)
{
	const __u64 *words = page;
	__u64 hash = 7;
	unsigned long i;

	for (i = 0; i < WORDS; i++)
		hash = murmur_mix(hash ^ words[i]) + i;
	return hash | 2;
}

/*
 * The seconds since boot as the drivers see them: by the clock that moves with the timer's tick.
 * The precise one is ahead of it for some milliseconds of each second, in which a driver takes an
 * age of $uptime-1 for one that no page can have, and leaves all marks as they are. There is no
 * coarse clock that counts suspension, but a guest is not suspended.
 */
static long long uptime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

static void sleep_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

static __u64 number(int at)
{
	return at < step.count ? strtoull(step.word[at], NULL, 0) : 0;
}

static int is(int at, const char *text)
{
	return at < step.count && !strcmp(step.word[at], text);
}

/* Is one of the words from @at on this? */
static int has(int at, const char *text)
{
	for (; at < step.count; at++)
		if (is(at, text))
			return 1;
	return 0;
}

static const char *device_path(int at)
{
	static char path[64];

	snprintf(path, sizeof(path), "/dev/zram%s", at < step.count ? step.word[at] : "");
	return path;
}

static const char *attribute_path(const char *device, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/block/zram%s/%s", device, name);
	return path;
}

static int open_device(int at, int flags)
{
	return open(device_path(at), flags | (has(at, "direct") ? O_DIRECT : 0) |
				     (has(at, "excl") ? O_EXCL : 0));
}

/* Reads all of a file by one open, into @to, which is terminated. */
static ssize_t slurp(const char *path, char *to, size_t size)
{
	ssize_t len = 0, got;
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return -1;
	do {
		got = read(fd, to + len, size - 1 - len);
		len += got > 0 ? got : 0;
	} while (got > 0 && len < (ssize_t)size - 1);
	if (got < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	to[len] = '\0';
	close(fd);
	return len;
}

static ssize_t spill(const char *path, const char *from, size_t len)
{
	int fd = open(path, O_WRONLY), error;
	ssize_t done;

	if (fd < 0)
		return -1;
	done = write(fd, from, len);
	error = errno;
	close(fd);
	errno = error;
	return done;
}

/* Both drivers are to be called the same. */
static void rename_driver(char *text)
{
	static const char * const names[] = { "zram_rs", "zram-rs" };
	char *at;
	int i;

	for (i = 0; i < 2; i++)
		while ((at = strstr(text, names[i])))
			memmove(at + 4, at + 7, strlen(at + 7) + 1);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

/* The names in a directory, sorted. */
static int names_in(const char *path, char **names, int max)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return -1;
	while (count < max && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(names, count, sizeof(*names), compare_strings);
	return count;
}

/* --- Pages -------------------------------------------------------------------------------- */

static void fill_page(__u64 *page, const char *kind, __u64 index, __u64 seed)
{
	static const char * const kinds[] = {
		"zero", "same", "text", "random", "noise10", "noise30", "noise60", "noise80", "hex"
	};
	static const char words[] =
		"A page of prose that any algorithm makes much smaller than it was, in all. ";
	__u64 state = murmur_mix(index + murmur_mix(seed + 1));
	unsigned char *byte = (unsigned char *)page;
	unsigned long i, random = 0;

	if (!strcmp(kind, "mixed"))
		kind = kinds[(state >> 40) % ARRAY_SIZE(kinds)];
	if (!strcmp(kind, "zero") || !strcmp(kind, "one") || !strcmp(kind, "same")) {
		__u64 word = *kind == 'z' ? 0 : *kind == 'o' ? 1 : state | 1;

		for (i = 0; i < WORDS; i++)
			page[i] = word;
		return;
	}
	if (!strcmp(kind, "hex")) {
		for (i = 0; i < PAGE; i++) {
			state += GOLDEN;
			byte[i] = "0123456789abcdef"[murmur_mix(state) >> 60];
		}
		return;
	}
	if (!strcmp(kind, "random"))
		random = WORDS;
	else if (!strncmp(kind, "noise", 5))
		random = WORDS * strtoul(kind + 5, NULL, 10) / 100;
	for (i = 0; i < PAGE; i++)
		byte[i] = words[(i + state) % (sizeof(words) - 1)];
	for (i = 0; i < random && i < WORDS; i++) {
		state += GOLDEN;
		page[i] = murmur_mix(state);
	}
	/* No two of them are the same, and none is same-filled. */
	page[index % WORDS] = state | 1;
}

static void set_shadow(int at, __u64 first, __u64 count, __u64 hash)
{
	__u64 device = number(at), i;

	for (i = first; i < first + count && i < MAX_PAGES; i++)
		if (device < MAX_DEVICES)
			shadow[device][i] = hash;
}

static void forget(__u64 device)
{
	__u64 i;

	for (i = 0; i < MAX_PAGES; i++)
		if (device < MAX_DEVICES)
			shadow[device][i] = zero_hash;
}

static void do_write(void)
{
	__u64 place = number(2), count = number(3), seed = number(5), i, j, n = 1, bad = 0;
	int fd, direct = has(6, "direct"), single = has(6, "single");
	const char *kind = step.count > 4 ? step.word[4] : "text";
	char error[64] = "ok";
	ssize_t done;

	if (count > MAX_PAGES)
		count = MAX_PAGES;
	fd = open_device(1, O_WRONLY);
	if (fd < 0) {
		printf("%s", outcome(fd));
		return;
	}
	for (i = 0; i < count; i += n) {
		n = single ? 1 : count;
		for (j = 0; j < n; j++)
			fill_page((__u64 *)(buffer + j * PAGE), kind, place + i + j, seed);
		done = pwrite(fd, buffer, n * PAGE, (place + i) * PAGE);
		if (done == (ssize_t)(n * PAGE)) {
			for (j = 0; j < n; j++)
				set_shadow(1, place + i + j, 1, hash_page(buffer + j * PAGE));
			continue;
		}
		bad++;
		set_shadow(1, place + i, n, UNKNOWN);
		snprintf(error, sizeof(error), "%s", outcome(done));
		if (done >= 0)
			snprintf(error, sizeof(error), "%zd of %llu bytes", done, n * PAGE);
	}
	printf("%s", error);
	if (bad)
		printf(" (%llu times)", bad);
	if (!direct && !has(6, "nosync")) {
		int result = fsync(fd);

		if (result < 0) {
			printf(", fsync %s", outcome(result));
			set_shadow(1, place, count, UNKNOWN);
		}
	}
	close(fd);
}

static void do_read(void)
{
	static const char letters[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	__u64 place = number(2), count = number(3), device = number(1), i, n, hash, all = 3;
	char *codes, *code;
	int fd, single = has(4, "single"), error = 0;
	const char *verdict = "as written";
	ssize_t lacking = 0;

	if (count > MAX_PAGES)
		count = MAX_PAGES;
	fd = open_device(1, O_RDONLY);
	if (fd < 0) {
		printf("%s", outcome(fd));
		return;
	}
	codes = calloc(count + 1, 2);
	code = codes;
	/* What was left by an earlier read cannot pass for an answer. */
	memset(buffer, 0x77, count * PAGE);
	n = single ? 1 : count;
	for (i = 0; i < count; i += n) {
		ssize_t done = pread(fd, buffer + i * PAGE, n * PAGE, (place + i) * PAGE);

		if (done < 0)
			error = errno;
		else
			lacking += n * PAGE - done;
	}
	close(fd);
	if (error) {
		printf("%s", error_name(error));
		free(codes);
		return;
	}
	if (lacking) {
		printf("%zd bytes lacking", lacking);
		free(codes);
		return;
	}
	for (i = 0; i < count; i++) {
		hash = hash_page(buffer + i * PAGE);
		all = murmur_mix(all ^ hash);
		code[0] = hash == zero_hash ? '.' : letters[hash >> 58];
		code[1] = hash == zero_hash ? '.' : letters[hash >> 52 & 63];
		code += 2;
		if (device >= MAX_DEVICES || place + i >= MAX_PAGES)
			continue;
		if (shadow[device][place + i] == UNKNOWN)
			shadow[device][place + i] = hash;
		else if (shadow[device][place + i] != hash)
			verdict = "NOT AS WRITTEN";
	}
	printf("ok %016llx %s %s", all, codes, verdict);
	free(codes);
}

static void do_raw_io(int writes)
{
	__u64 byte = number(2), len = number(3), i;
	int fd = open_device(1, writes ? O_WRONLY : O_RDONLY);
	ssize_t done;

	if (fd < 0 || len > MAX_PAGES * PAGE) {
		printf("%s", outcome(fd));
		return;
	}
	memset(buffer, 0x77, len);
	if (writes) {
		for (i = 0; i <= len / PAGE; i++)
			fill_page((__u64 *)(buffer + i * PAGE), "noise40", i, number(4));
		set_shadow(1, byte / PAGE, len / PAGE + 2, UNKNOWN);
		done = pwrite(fd, buffer, len, byte);
	} else {
		done = pread(fd, buffer, len, byte);
	}
	printf("%s", outcome(done));
	if (done >= 0)
		printf(" %zd bytes", done);
	if (done >= 0 && !writes) {
		__u64 hash = 5;

		for (i = 0; i < (__u64)done; i++)
			hash = murmur_mix(hash ^ buffer[i]);
		printf(" %016llx", hash);
	}
	if (writes && !has(5, "direct") && fsync(fd) < 0)
		printf(", fsync %s", outcome(-1));
	close(fd);
}

static void do_range(int how, __u64 unit)
{
	__u64 range[2] = { number(2) * unit, number(3) * unit };
	int fd = open(device_path(1), O_RDWR), result;

	if (fd < 0) {
		printf("%s", outcome(fd));
		return;
	}
	if (how == FALLOC_FL_PUNCH_HOLE || how == FALLOC_FL_ZERO_RANGE)
		result = fallocate(fd, how | FALLOC_FL_KEEP_SIZE, range[0], range[1]);
	else
		result = ioctl(fd, how, range);
	printf("%s", outcome(result));
	if (result >= 0)
		set_shadow(1, range[0] / PAGE, range[1] / PAGE, zero_hash);
	if (fsync(fd) < 0)
		printf(", fsync %s", outcome(-1));
	close(fd);
}

/* --- Attributes --------------------------------------------------------------------------- */

static ssize_t store(const char *path, const char *value, size_t len)
{
	ssize_t done = spill(path, value, len);

	printf("%s", outcome(done));
	if (done >= 0 && done != (ssize_t)len)
		printf(" %zd of %zu bytes", done, len);
	return done;
}

/* Whether a device has no backing device, but a size, so that zram_rs would accept one. */
static int takes_one_later(const char *device)
{
	char size[32], path[256];

	return slurp(attribute_path(device, "disksize"), size, sizeof(size)) > 0 && atoll(size) &&
	       slurp(attribute_path(device, "backing_dev"), path, sizeof(path)) > 0 &&
	       !strcmp(path, "none\n");
}

static void do_set(int raw)
{
	static char value[1 << 17];
	size_t len = 0;
	ssize_t done;
	int i;

	if (step.count < 3)
		return;
	if (detailed && is(2, "backing_dev") && takes_one_later(step.word[1])) {
		printf("skipped");
		return;
	}
	for (i = 3; i < step.count && len + step.len[i] + 2 < sizeof(value); i++) {
		if (i > 3)
			value[len++] = ' ';
		memcpy(value + len, step.word[i], step.len[i]);
		len += step.len[i];
	}
	if (!raw)
		value[len++] = '\n';
	done = store(attribute_path(step.word[1], step.word[2]), value, len);
	if (done >= 0 && is(2, "reset"))
		forget(number(1));
}

/* Writes or reads an attribute, which need not be there, and tells nothing. */
static void do_ours(const char *path)
{
	static char text[1 << 16];
	size_t len = 0;
	int i;

	if (step.count < 4) {
		slurp(path, text, sizeof(text));
		return;
	}
	for (i = 3; i < step.count && len + step.len[i] + 2 < sizeof(text); i++) {
		if (i > 3)
			text[len++] = ' ';
		memcpy(text + len, step.word[i], step.len[i]);
		len += step.len[i];
	}
	text[len++] = '\n';
	spill(path, text, len);
}

static void do_get(const char *path, int words)
{
	static char text[1 << 16];
	ssize_t len = slurp(path, text, sizeof(text)), i;

	printf("%s", outcome(len));
	if (len >= 0 && words) {
		for (i = 0; i < len; i++)
			if (text[i] && !isspace(text[i]))
				printf("%s%c", !i || !text[i - 1] || isspace(text[i - 1]) ? " " : "",
				       text[i]);
	} else if (len >= 0) {
		if (strlen(text) == (size_t)len) {
			char *number = strstr(text, "DISKSEQ=");

			rename_driver(text);
			len = number ? number + 8 - text : (ssize_t)strlen(text);
		}
		printf(" \"");
		put_bytes(text, len);
		printf("\"");
	}
}

static void do_hot_add(void)
{
	char text[64];
	ssize_t len = slurp("/sys/class/zram-control/hot_add", text, 5);

	if (len < 0) {
		printf("%s", outcome(len));
		return;
	}
	printf("ok \"");
	put_bytes(text, len);
	printf("\"");
	forget(strtoul(text, NULL, 10));
	text[strcspn(text, "\n")] = '\0';
	if (packing && spill(attribute_path(text, "packed_writeback"), "1", 1) != 1) {
		fprintf(stderr, "zscript: zram%s does not pack: %s\n", text, strerror(errno));
		exit(2);
	}
}

/* Compacts the blocks of all backing devices; most have nothing to compact. */
static void compact_blocks(void)
{
	char number[16];
	int i;

	for (i = 0; i < MAX_DEVICES; i++) {
		snprintf(number, sizeof(number), "%d", i);
		if (!access(attribute_path(number, "writeback"), W_OK))
			spill(attribute_path(number, "writeback"), "compact", 7);
	}
}

static void do_hot_remove(void)
{
	char value[MAX_LINE];
	size_t len = step.count > 1 ? step.len[1] : 0;
	ssize_t done;

	if (len > sizeof(value) - 1)
		len = sizeof(value) - 1;
	memcpy(value, step.count > 1 ? step.word[1] : "", len);
	value[len++] = '\n';
	done = store("/sys/class/zram-control/hot_remove", value, len);
	if (done >= 0)
		forget(number(1));
}

/* Numbers of a file with one space between them; columns of @times are masked. */
static void put_numbers(const char *device, const char *name, unsigned int times)
{
	char text[512], *word, *rest = text;
	ssize_t len = slurp(attribute_path(device, name), text, sizeof(text));
	int column = 0;

	printf(" %s:", name);
	if (len < 0) {
		printf(" %s", outcome(len));
		return;
	}
	while ((word = strsep(&rest, "\n ")))
		if (*word)
			printf(" %s", times >> column++ & 1 ? "-" : word);
}

static void put_stats(const char *device)
{
	put_numbers(device, "disksize", 0);
	put_numbers(device, "initstate", 0);
	put_numbers(device, "mm_stat", 0);
	put_numbers(device, "io_stat", 0);
	put_numbers(device, "bd_stat", 0);
	put_numbers(device, "debug_stat", 0);
	put_numbers(device, "writeback_limit", 0);
	/* Milliseconds are in these columns. */
	put_numbers(device, "stat", 1 << 3 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 16);
}

static const char *state_path(const char *device)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/kernel/debug/zram/zram%s/block_state", device);
	return path;
}

/* A line of block_state: 12 places for the slot, 12 for seconds, and the marks. */
static void put_state(const char *device)
{
	static char text[1 << 18];
	char state[16], last[16] = "", again[64] = "", *line, *rest = text;
	unsigned long slot, first = 0, end = 0;
	unsigned int seconds;
	ssize_t len = slurp(state_path(device), text, sizeof(text));

	printf(" state:");
	if (len < 0) {
		printf(" %s", outcome(len));
		return;
	}
	while ((line = strsep(&rest, "\n"))) {
		char marks[16] = "";

		if (!*line)
			continue;
		if (sscanf(line, "%lu %u.000000 %15s", &slot, &seconds, marks) == 3)
			snprintf(again, sizeof(again), "%12lu %12u.000000 %s", slot, seconds,
				 marks);
		if (strcmp(again, line)) {
			printf(" malformed '%s'", line);
			continue;
		}
		snprintf(state, sizeof(state), "%c%.12s", strchr(marks, 'r') ? '-' :
			 seconds ? 'T' : '0', marks);
		if (strcmp(state, last) || slot != end) {
			if (*last)
				printf(" %lu-%lu:%s", first, end - 1, last);
			first = slot;
			strcpy(last, state);
		}
		end = slot + 1;
	}
	if (*last)
		printf(" %lu-%lu:%s", first, end - 1, last);
}

static void do_peek(void)
{
	char *text = malloc(number(3) + 1), *at;
	__u64 i;
	int fd;
	ssize_t len;

	fd = open(state_path(step.word[1]), O_RDONLY);
	printf("%s", outcome(fd));
	if (fd < 0) {
		free(text);
		return;
	}
	more("seek %s", outcome(lseek(fd, number(2), SEEK_SET)));
	for (i = 0; i < number(4); i++) {
		len = read(fd, text, number(3));
		if (len < 0) {
			more("%s", outcome(len));
			continue;
		}
		/* A line has 40 bytes; the time is the second number. */
		text[len] = '\0';
		for (at = text; at + 40 <= text + len; at += 40) {
			if (at[12] != ' ' || at[25] != '.')
				break;
			memcpy(at + 13, atoi(at + 13) ? "           T" : "           0", 12);
		}
		printf("\n%d| : read %zd \"", line_number, len);
		put_bytes(text, len);
		printf("\" then at %lld", (long long)lseek(fd, 0, SEEK_CUR));
	}
	close(fd);
	free(text);
}

/* Lines that differ from boot to boot, or from disk to disk. */
static int is_fleeting(const char *path)
{
	static const char * const names[] = { "/stat", "/diskseq", "/uevent", "/dev" };
	size_t i, len = strlen(path), n;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		n = strlen(names[i]);
		if (len >= n && !strcmp(path + len - n, names[i]))
			return 1;
	}
	return 0;
}

/*
 * Files that only zram_rs has: packed-writeback, event-marks and stats-file in
 * Documentation/differences.rst.
 */
static int is_ours(const char *name)
{
	static const char * const ours[] = {
		"auto_recompress", "auto_writeback", "bd_pack_stat", "event_marks", "packed_writeback",
		"stats", "writeback_budget",
	};
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!strcmp(name, ours[i]))
			return 1;
	return 0;
}

static void put_tree(const char *path, int depth, int recursive)
{
	char *names[256], below[PATH_MAX], target[PATH_MAX];
	static char text[1 << 16];
	int count = names_in(path, names, 256), i;

	if (count < 0) {
		printf("%s", outcome(-1));
		return;
	}
	for (i = 0; i < count; i++) {
		struct stat st;
		ssize_t len;

		if (is_ours(names[i])) {
			free(names[i]);
			continue;
		}
		snprintf(below, sizeof(below), "%s/%s", path, names[i]);
		if (lstat(below, &st) < 0)
			memset(&st, 0, sizeof(st));
		snprintf(text, sizeof(text), "%s", names[i]);
		rename_driver(text);
		more("%*s%o %s", depth, "", st.st_mode & 0177777, text);
		if (S_ISLNK(st.st_mode) && recursive) {
			len = readlink(below, target, sizeof(target) - 1);
			target[len < 0 ? 0 : len] = '\0';
			rename_driver(target);
			printf(" -> %s", target);
		} else if (S_ISDIR(st.st_mode) && recursive && strcmp(names[i], "power")) {
			put_tree(below, depth + 2, 1);
		} else if (S_ISREG(st.st_mode) && recursive && st.st_mode & 0400 &&
			   !is_fleeting(below)) {
			printf(" ");
			do_get(below, 0);
		}
		free(names[i]);
	}
}

static void do_tree(const char *path, int recursive)
{
	char real[PATH_MAX];

	if (!realpath(path, real)) {
		printf("%s", outcome(-1));
		return;
	}
	put_tree(real, 0, recursive);
}

/* --- Devices ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned long request;
	int size;
} ioctls[] = {
	{ "BLKROGET", BLKROGET, 4 }, { "BLKGETSIZE", BLKGETSIZE, 8 },
	{ "BLKRAGET", BLKRAGET, 8 }, { "BLKFRAGET", BLKFRAGET, 8 },
	{ "BLKSECTGET", BLKSECTGET, 2 }, { "BLKSSZGET", BLKSSZGET, 4 },
	{ "BLKBSZGET", BLKBSZGET, 4 }, { "BLKGETSIZE64", BLKGETSIZE64, 8 },
	{ "BLKIOMIN", BLKIOMIN, 4 }, { "BLKIOOPT", BLKIOOPT, 4 },
	{ "BLKALIGNOFF", BLKALIGNOFF, 4 }, { "BLKPBSZGET", BLKPBSZGET, 4 },
	{ "BLKDISCARDZEROES", BLKDISCARDZEROES, 4 }, { "BLKROTATIONAL", BLKROTATIONAL, 2 },
	{ "BLKRRPART", BLKRRPART, 0 }, { "BLKFLSBUF", BLKFLSBUF, 0 },
	{ "HDIO_GETGEO", 0x0301, 0 }, { "CDROM_GET_CAPABILITY", 0x5331, 0 },
	{ "UNKNOWN", 0x12ff, 0 },
};

static void do_ioctls(const char *only)
{
	int fd = open(device_path(1), O_RDONLY), result;
	unsigned long i;

	printf("%s", outcome(fd));
	for (i = 0; i < sizeof(ioctls) / sizeof(*ioctls); i++) {
		__u64 value[8] = { 0 };

		if (only && strcmp(only, ioctls[i].name))
			continue;
		result = ioctl(fd, ioctls[i].request, value);
		more("%s %s", ioctls[i].name, outcome(result));
		if (result >= 0 && ioctls[i].size)
			printf(" %llu", value[0]);
	}
	if (fd >= 0)
		close(fd);
}

static void do_open(const char *path)
{
	unsigned int handle = number(1) % 10;
	int flags = has(3, "w") ? has(3, "r") ? O_RDWR : O_WRONLY : O_RDONLY;

	if (handles[handle] >= 0)
		close(handles[handle]);
	handles[handle] = open(path, flags | (has(3, "excl") ? O_EXCL : 0) |
			       (has(3, "direct") ? O_DIRECT : 0));
	printf("%s", outcome(handles[handle]));
}

static void do_close(unsigned int handle)
{
	printf("%s", outcome(close(handles[handle])));
	handles[handle] = -1;
}

static void do_mkswap(void)
{
	int fd = open(device_path(1), O_WRONLY);
	__u64 size = 0;
	ssize_t done;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0) {
		printf("%s", outcome(-1));
		return;
	}
	fill_swap_header(buffer, size / PAGE);
	done = pwrite(fd, buffer, PAGE, 0);
	printf("%s, fsync %s", outcome(done), outcome(fsync(fd)));
	set_shadow(1, 0, 1, UNKNOWN);
	close(fd);
}

static void do_swapon(void)
{
	int flags = has(2, "discard") ? SWAP_FLAG_DISCARD : 0;
	__u64 priority = number(step.count - 1);

	if (step.count > 2 && isdigit(*step.word[step.count - 1]))
		flags |= SWAP_FLAG_PREFER | (priority & SWAP_FLAG_PRIO_MASK);
	printf("%s", outcome(swapon(device_path(1), flags)));
	set_shadow(1, 0, MAX_PAGES, UNKNOWN);
}

static int make_file(const char *path, __u64 bytes, const char *kind, __u64 seed)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	__u64 at;

	if (fd < 0)
		return -1;
	for (at = 0; kind && at < bytes; at += PAGE) {
		fill_page((__u64 *)buffer, kind, at / PAGE, seed);
		if (pwrite(fd, buffer, bytes - at < PAGE ? bytes - at : PAGE, at) < 0)
			return -1;
	}
	if (ftruncate(fd, bytes) < 0)
		return -1;
	return fd;
}

static int make_loop(unsigned int n, __u64 bytes)
{
	char path[64];
	struct loop_config config = { 0 };
	int control, loop, result;

	snprintf(path, sizeof(path), DIR_NAME "/loop%u", n);
	control = open("/dev/loop-control", O_RDWR);
	if (control < 0)
		return -1;
	result = ioctl(control, LOOP_CTL_ADD, n);
	close(control);
	if (result < 0 && errno != EEXIST)
		return -1;
	config.fd = make_file(path, bytes, NULL, 0);
	if ((int)config.fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/loop%u", n);
	loop = open(path, O_RDWR);
	if (loop < 0)
		return -1;
	result = ioctl(loop, LOOP_CONFIGURE, &config);
	close(config.fd);
	close(loop);
	return result;
}

static int remove_loop(unsigned int n)
{
	char path[64];
	int loop, result;

	snprintf(path, sizeof(path), "/dev/loop%u", n);
	loop = open(path, O_RDWR);
	if (loop < 0)
		return -1;
	result = ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
	return result;
}

/* @settings: name=value, what else than size is to be set. */
static int make_null(const char *name, const char *megabytes, char **settings, int count)
{
	char path[PATH_MAX], *value;
	int i;

	if (access(NULLB, F_OK) < 0)
		mount("configfs", "/sys/kernel/config", "configfs", 0, NULL);
	snprintf(path, sizeof(path), NULLB "/%s", name);
	if (mkdir(path, 0700) < 0)
		return -1;
	snprintf(path, sizeof(path), NULLB "/%s/memory_backed", name);
	if (spill(path, "1\n", 2) < 0)
		return -1;
	snprintf(path, sizeof(path), NULLB "/%s/size", name);
	if (spill(path, megabytes, strlen(megabytes)) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		value = strchr(settings[i], '=');
		if (!value)
			continue;
		*value++ = '\0';
		snprintf(path, sizeof(path), NULLB "/%s/%s", name, settings[i]);
		if (spill(path, value, strlen(value)) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), NULLB "/%s/power", name);
	return spill(path, "1\n", 2) < 0 ? -1 : 0;
}

static int remove_null(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), NULLB "/%s", name);
	return rmdir(path);
}

static int wipe(const char *path)
{
	int fd = open(path, O_WRONLY);
	__u64 size = 0, at;

	if (fd < 0)
		return -1;
	memset(buffer, 0, PAGE);
	size = lseek(fd, 0, SEEK_END);
	for (at = 0; at + PAGE <= size; at += PAGE)
		if (pwrite(fd, buffer, PAGE, at) < 0)
			break;
	return fsync(fd) < 0 || close(fd) < 0 ? -1 : 0;
}

static int compare_hashes(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, since drivers may choose the blocks. */
static void do_blocks(const char *path)
{
	__u64 *hashes = malloc(MAX_PAGES * sizeof(*hashes));
	int fd = open(path, O_RDONLY), count = 0, i;

	printf("%s", outcome(fd));
	while (fd >= 0 && count < (int)MAX_PAGES && read(fd, buffer, PAGE) == (ssize_t)PAGE) {
		hashes[count] = hash_page(buffer);
		count += hashes[count] != zero_hash;
	}
	qsort(hashes, count, sizeof(*hashes), compare_hashes);
	for (i = 0; i < count; i++)
		printf(" %05llx", hashes[i] >> 44);
	free(hashes);
	if (fd >= 0)
		close(fd);
}

/* --- Events ------------------------------------------------------------------------------- */

static void do_listen(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int size = 1 << 20;

	if (events_fd >= 0)
		close(events_fd);
	events_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	setsockopt(events_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	printf("%s", outcome(bind(events_fd, (struct sockaddr *)&address, sizeof(address))));
}

static void do_events(void)
{
	char text[8192], *entries[64], *at;
	ssize_t len;
	int count, i;

	while ((len = recv(events_fd, text, sizeof(text) - 1, 0)) > 0) {
		text[len] = '\0';
		/* The workqueue of a test is not that of a driver. */
		if (!strstr(text, "zram") || strstr(text, "_kunit"))
			continue;
		count = 0;
		for (at = text + strlen(text) + 1; at < text + len && count < 64;
		     at += strlen(at) + 1)
			entries[count++] = at;
		qsort(entries, count, sizeof(*entries), compare_strings);
		printf("\n%d| :", line_number);
		for (i = 0; i < count; i++) {
			if (!strncmp(entries[i], "SEQNUM=", 7) ||
			    !strncmp(entries[i], "DISKSEQ=", 8))
				continue;
			/* Other entries lie behind it, but are not needed any more. */
			at = strdup(entries[i]);
			rename_driver(at);
			printf(" %s", at);
			free(at);
		}
	}
}

/* --- The module --------------------------------------------------------------------------- */

static int is_loaded(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", driver);
	return !access(path, F_OK);
}

static int load(const char *parameters)
{
	int fd = open(module_path, O_RDONLY), result;

	if (fd < 0)
		return -1;
	result = syscall(SYS_finit_module, fd, parameters, 0);
	close(fd);
	/* With helpers, the order in which pages are stored depends on chance, as does memory. */
	if (!result && !helpers)
		spill("/sys/module/zram_rs/parameters/helpers", "0", 1);
	return result;
}

static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;

	(void)st;
	if (type != FTW_F || strcmp(name, strcmp(driver, "zram") ? "zram-rs.ko" : "zram.ko"))
		return 0;
	snprintf(module_path, sizeof(module_path), "%s", path);
	return 1;
}

static int find_module(void)
{
	struct utsname name;
	char path[PATH_MAX];

	uname(&name);
	snprintf(path, sizeof(path), "/usr/lib/modules/%s", name.release);
	return nftw(path, visit, 16, 0) == 1;
}

/* Entries of the module's .modinfo that are about parameters. */
static void do_modinfo(void)
{
	int fd = open(module_path, O_RDONLY);
	__u64 size = lseek(fd, 0, SEEK_END), at;
	char *text = malloc(size + 1), *found[16];
	int count = 0, i;

	if (pread(fd, text, size, 0) != (ssize_t)size)
		size = 0;
	close(fd);
	text[size] = '\0';
	for (at = 1; at < size && count < 16; at++) {
		if (text[at - 1] || text[at] != 'p' || strncmp(text + at, "parm", 4))
			continue;
		if (!strncmp(text + at, "parm=", 5) || !strncmp(text + at, "parmtype=", 9))
			found[count++] = text + at;
	}
	qsort(found, count, sizeof(*found), compare_strings);
	for (i = 0; i < count; i++)
		more("%s", found[i]);
	free(text);
}

/* --- Steps -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

/* Takes a line apart. Returns 0 if there is nothing in it. */
static int parse(const char *line)
{
	char *to = step.storage, *end = step.storage + sizeof(step.storage) - 64;
	const char *at = line;

	step.count = 0;
	while (step.count < MAX_WORDS && to < end) {
		while (*at == ' ' || *at == '\t')
			at++;
		if (!*at || *at == '\n' || *at == '#')
			break;
		step.word[step.count] = to;
		while (*at && *at != ' ' && *at != '\t' && *at != '\n' && to < end) {
			char *from = to;

			if (*at == '$') {
				long long now = uptime();

				if (!strncmp(at, "$driver", 7)) {
					to = stpcpy(to, driver);
					at += 7;
				} else if (!strncmp(at, "$dir", 4)) {
					to = stpcpy(to, DIR_NAME);
					at += 4;
				} else if (!strncmp(at, "$uptime", 7)) {
					at += 7;
					if (*at == '-')
						now -= strtoull(at + 1, (char **)&at, 10);
					to += sprintf(to, "%lld", now);
				} else {
					*to++ = *at++;
				}
				continue;
			}
			if (*at != '"') {
				*to++ = *at++;
				continue;
			}
			at++;
			while (*at && *at != '"' && to < end) {
				if (*at != '\\') {
					*to++ = *at++;
					continue;
				}
				at++;
				if (*at == 'x' && isxdigit(at[1]) && isxdigit(at[2])) {
					*to++ = hex_digit(at[1]) << 4 | hex_digit(at[2]);
					at += 2;
				} else {
					*to++ = *at == 'n' ? '\n' : *at == 't' ? '\t' :
						*at == '0' ? '\0' : *at;
				}
				at += !!*at;
			}
			at += *at == '"';
			if (*at == '*') {
				unsigned long n = strtoul(at + 1, (char **)&at, 10);
				size_t len = to - from;

				for (; n > 1 && to + len < end; n--) {
					memcpy(to, from, len);
					to += len;
				}
				if (!n)
					to = from;
			}
		}
		step.len[step.count] = to - step.word[step.count];
		*to++ = '\0';
		step.count++;
	}
	return step.count;
}

/* Does device 0 have such an attribute, or such an algorithm? */
static int there_is(const char *what)
{
	char text[512], *word, *rest = text;

	if (!strcmp(what, "4K-pages"))
		return sysconf(_SC_PAGESIZE) == 4096;
	if (!strcmp(what, "strict"))
		return !lax;
	if (!access(attribute_path("0", what), F_OK) ||
	    (!strcmp(what, "block_state") && !access(state_path("0"), F_OK)))
		return 1;
	if (slurp(attribute_path("0", "comp_algorithm"), text, sizeof(text)) < 0)
		return 0;
	while ((word = strsep(&rest, "\n []")))
		if (!strcmp(word, what))
			return 1;
	return 0;
}

/* Returns 0 if the section ends here. */
static int run_step(const char *line)
{
	const char *verb = step.word[0], *one = step.count > 1 ? step.word[1] : "";
	char *end;
	int i;

	printf("%d| %.*s => ", line_number, (int)strcspn(line, "\n"), line);
	if (!strcmp(verb, "hot_add")) {
		do_hot_add();
	} else if (!strcmp(verb, "hot_remove")) {
		do_hot_remove();
	} else if (!strcmp(verb, "set") || !strcmp(verb, "raw")) {
		do_set(*verb == 'r');
	} else if (!strcmp(verb, "ours") && step.count > 2) {
		do_ours(attribute_path(one, step.word[2]));
	} else if (!strcmp(verb, "get") || !strcmp(verb, "words")) {
		do_get(attribute_path(one, step.count > 2 ? step.word[2] : ""), *verb == 'w');
	} else if (!strcmp(verb, "setp")) {
		store(one, step.count > 2 ? step.word[2] : "", step.count > 2 ? step.len[2] : 0);
	} else if (!strcmp(verb, "getp")) {
		do_get(one, 0);
	} else if (!strcmp(verb, "stats")) {
		put_stats(one);
	} else if (!strcmp(verb, "state")) {
		put_state(one);
	} else if (!strcmp(verb, "peek")) {
		do_peek();
	} else if (!strcmp(verb, "tree")) {
		do_tree(attribute_path(one, step.count > 2 ? step.word[2] : ""), 1);
	} else if (!strcmp(verb, "ls")) {
		do_tree(one, 0);
	} else if (!strcmp(verb, "write")) {
		do_write();
	} else if (!strcmp(verb, "read")) {
		do_read();
	} else if (!strcmp(verb, "rawread") || !strcmp(verb, "rawwrite")) {
		do_raw_io(verb[3] == 'w');
	} else if (!strcmp(verb, "discard")) {
		do_range(BLKDISCARD, PAGE);
	} else if (!strcmp(verb, "zeroout")) {
		do_range(BLKZEROOUT, PAGE);
	} else if (!strcmp(verb, "rawdiscard")) {
		do_range(BLKDISCARD, 1);
	} else if (!strcmp(verb, "rawzeroout")) {
		do_range(BLKZEROOUT, 1);
	} else if (!strcmp(verb, "punch")) {
		do_range(FALLOC_FL_PUNCH_HOLE, PAGE);
	} else if (!strcmp(verb, "zerorange")) {
		do_range(FALLOC_FL_ZERO_RANGE, PAGE);
	} else if (!strcmp(verb, "fsync")) {
		int fd = open_device(1, O_RDWR);

		printf("%s", outcome(fd < 0 ? fd : fsync(fd)));
		close(fd);
	} else if (!strcmp(verb, "open")) {
		do_open(device_path(2));
	} else if (!strcmp(verb, "openp")) {
		do_open(step.count > 2 ? step.word[2] : "");
	} else if (!strcmp(verb, "close")) {
		do_close(number(1) % 10);
	} else if (!strcmp(verb, "pwriteh")) {
		int fd = handles[number(1) % 10];

		printf("%s", outcome(pwrite(fd, step.word[2], step.len[2], 0)));
	} else if (!strcmp(verb, "preadh")) {
		ssize_t len = pread(handles[number(1) % 10], buffer, number(2), 0);

		printf("%s \"", outcome(len));
		put_bytes((char *)buffer, len < 0 ? 0 : len);
		printf("\"");
	} else if (!strcmp(verb, "ioctls")) {
		do_ioctls(NULL);
	} else if (!strcmp(verb, "ioctl")) {
		do_ioctls(step.count > 2 ? step.word[2] : "");
	} else if (!strcmp(verb, "mkswap")) {
		do_mkswap();
	} else if (!strcmp(verb, "swapon")) {
		do_swapon();
	} else if (!strcmp(verb, "swapoff")) {
		printf("%s", outcome(swapoff(device_path(1))));
	} else if (!strcmp(verb, "file") && step.count > 4) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), DIR_NAME "/%s", one);
		i = make_file(path, number(2), step.word[3], number(4));
		printf("%s", outcome(i));
		close(i);
	} else if (!strcmp(verb, "null") && step.count > 2) {
		printf("%s", outcome(make_null(one, step.word[2], step.word + 3, step.count - 3)));
	} else if (!strcmp(verb, "loop")) {
		printf("%s", outcome(make_loop(number(1), number(2))));
	} else if (!strcmp(verb, "unnull")) {
		printf("%s", outcome(remove_null(one)));
	} else if (!strcmp(verb, "unloop")) {
		printf("%s", outcome(remove_loop(number(1))));
	} else if (!strcmp(verb, "wipe")) {
		printf("%s", outcome(wipe(one)));
	} else if (!strcmp(verb, "blocks")) {
		do_blocks(one);
	} else if (!strcmp(verb, "mount")) {
		mkdir(DIR_NAME "/mnt", 0700);
		printf("%s", outcome(mount(device_path(1), DIR_NAME "/mnt",
					   step.count > 2 ? step.word[2] : "ext4", 0, NULL)));
	} else if (!strcmp(verb, "umount")) {
		printf("%s", outcome(umount(DIR_NAME "/mnt")));
	} else if (!strcmp(verb, "load")) {
		char parameters[MAX_LINE] = "", *to = parameters;

		for (i = 1; i < step.count && step.len[i] < 1024; i++) {
			to = stpcpy(to, step.word[i]);
			*to++ = ' ';
			*to = '\0';
		}
		printf("%s", outcome(load(parameters)));
	} else if (!strcmp(verb, "unload")) {
		printf("%s", outcome(unload(driver)));
	} else if (!strcmp(verb, "modinfo")) {
		do_modinfo();
	} else if (!strcmp(verb, "listen")) {
		do_listen();
	} else if (!strcmp(verb, "events")) {
		do_events();
	} else if (!strcmp(verb, "needs")) {
		for (i = 1; i < step.count; i++) {
			if (there_is(step.word[i]))
				continue;
			printf("no %s\n", step.word[i]);
			return 0;
		}
		printf("ok");
	} else if (!strcmp(verb, "sleep")) {
		sleep_ms(number(1));
		printf("ok");
	} else if (!strcmp(verb, "tick")) {
		long long now = uptime();

		while (uptime() == now)
			sleep_ms(5);
		printf("ok");
	} else {
		/* Found out by both drivers alike, so that it has to fail in another way. */
		printf("there is no such step\n");
		fflush(stdout);
		fprintf(stderr, "zscript: line %d: there is no such step: %s", line_number, line);
		exit(2);
	}
	(void)strtoul(one, &end, 10);
	if (detailed && step.count > 1 && *one && !*end && strcmp(verb, "stats") &&
	    strcmp(verb, "close") && strcmp(verb, "state")) {
		printf("\n%d| :", line_number);
		put_stats(one);
		if (!stateless)
			put_state(one);
	}
	putchar('\n');
	return 1;
}

/* The end of the word that begins @at, with all quotes as they are. */
static const char *word_end(const char *at)
{
	int quoted = 0;

	for (; *at && *at != '\n' && (quoted || *at != ' '); at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	return at;
}

/* Returns 0 if the section ends here. */
static int run_line(const char *line)
{
	static char expanded[1 << 16];
	const char *rest = strstr(line, " : "), *at, *end, *from;
	char *to;

	if (strncmp(line, "each ", 5) || !rest)
		return !parse(line) || run_step(line);
	rest += 3;
	for (at = line + 5; at < rest - 2; at = end + 1) {
		end = word_end(at);
		to = expanded;
		for (from = rest; *from && *from != '\n'; from++) {
			if (*from == '%')
				to = mempcpy(to, at, end - at);
			else
				*to++ = *from;
		}
		*to = '\0';
		if (parse(expanded) && !run_step(expanded))
			return 0;
	}
	return 1;
}

/* --- Sections ----------------------------------------------------------------------------- */

/* Whatever a section left goes away. */
static void clean_up(void)
{
	char *names[256], path[PATH_MAX];
	int i, count, turn;

	for (i = 0; i < 10; i++) {
		if (handles[i] >= 0)
			close(handles[i]);
		handles[i] = -1;
	}
	if (events_fd >= 0)
		close(events_fd);
	events_fd = -1;
	umount(DIR_NAME "/mnt");
	if (!is_loaded() && load("num_devices=0") < 0) {
		fprintf(stderr, "zscript: %s does not load: %s\n", driver, strerror(errno));
		exit(2);
	}
	/* Some may be the backing devices of others. */
	for (turn = 0; turn < 3; turn++) {
		count = names_in("/sys/block", names, 256);
		for (i = 0; i < count; i++) {
			if (!strncmp(names[i], "zram", 4)) {
				snprintf(path, sizeof(path), "/dev/%s", names[i]);
				swapoff(path);
				spill("/sys/class/zram-control/hot_remove", names[i] + 4,
				      strlen(names[i] + 4));
			} else if (!strncmp(names[i], "loop", 4) && atoi(names[i] + 4) > 42) {
				remove_loop(atoi(names[i] + 4));
			}
			free(names[i]);
		}
	}
	count = names_in(NULLB, names, 256);
	for (i = 0; i < count; i++) {
		if (strcmp(names[i], "zs0") && strcmp(names[i], "features"))
			remove_null(names[i]);
		free(names[i]);
	}
	count = names_in("/sys/block", names, 256);
	for (i = 0; i < count; i++) {
		if (!strncmp(names[i], "zram", 4)) {
			fprintf(stderr, "zscript: %s cannot be removed\n", names[i]);
			exit(2);
		}
		free(names[i]);
	}
	for (i = 0; i < MAX_DEVICES; i++)
		forget(i);
}

/* What there always is; it stays for the run on the other driver. */
static void set_up(void)
{
	static const struct {
		unsigned int number, pages;
	} loops[] = { { 40, 24 }, { 41, 64 }, { 42, 200 } };
	unsigned long i;

	mkdir(DIR_NAME, 0700);
	if (access("/dev/zs0", F_OK) < 0 && make_null("zs0", "1", NULL, 0) < 0)
		fprintf(stderr, "zscript: no null_blk: %s\n", strerror(errno));
	for (i = 0; i < sizeof(loops) / sizeof(*loops); i++) {
		char path[64];

		snprintf(path, sizeof(path), DIR_NAME "/loop%u", loops[i].number);
		if (access(path, F_OK) < 0 &&
		    make_loop(loops[i].number, loops[i].pages * PAGE) < 0)
			fprintf(stderr, "zscript: no loop device: %s\n", strerror(errno));
	}
	close(make_file(DIR_NAME "/small", 512, "text", 1));
	close(make_file(DIR_NAME "/dict", PAGE, "noise30", 2));
	close(make_file(DIR_NAME "/big", 100000, "noise30", 3));
	close(make_file(DIR_NAME "/empty", 0, NULL, 0));
}

int main(int argc, char **argv)
{
	static char line[1 << 16];
	long long limit = 0, started = uptime(), sections = -1;
	int option, i;

	while ((option = getopt(argc, argv, "t:n:dslph")) != -1) {
		if (option == 't')
			limit = atoll(optarg);
		else if (option == 'n')
			sections = atoll(optarg);
		else if (option == 'd')
			detailed = 1;
		else if (option == 's')
			stateless = 1;
		else if (option == 'l')
			lax = 1;
		else if (option == 'p')
			packing = 1;
		else if (option == 'h')
			helpers = 1;
		else
			return 2;
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: zscript [-t SECONDS] [-n COUNT] [-d] [-s] [-l] [-p] [-h] zram|zram_rs [FILE...]\n");
		return 2;
	}
	driver = argv[optind++];
	packing = packing && !strcmp(driver, "zram_rs");
	if (!find_module()) {
		fprintf(stderr, "zscript: there is no module of %s\n", driver);
		return 2;
	}
	/* The other one has the same names. */
	unload(strcmp(driver, "zram") ? "zram" : "zram_rs");
	buffer = aligned_alloc(PAGE, (MAX_PAGES + 2) * PAGE);
	memset(buffer, 0, PAGE);
	zero_hash = hash_page(buffer);
	for (i = 0; i < 10; i++)
		handles[i] = -1;
	set_up();
	for (i = optind; i < argc; i++) {
		FILE *file = fopen(argv[i], "r");
		int skipping = 1;

		if (!file) {
			fprintf(stderr, "zscript: %s: %s\n", argv[i], strerror(errno));
			return 2;
		}
		while (fgets(line, sizeof(line), file)) {
			if (!strncmp(line, "=== ", 4)) {
				if ((limit && uptime() - started >= limit) || !sections--)
					break;
				clean_up();
				printf("%s", line);
				line_number = 0;
				skipping = 0;
				continue;
			}
			line_number++;
			if (!skipping)
				skipping = !run_line(line);
			if (packing && line_number % 2)
				compact_blocks();
		}
		fclose(file);
	}
	clean_up();
	return 0;
}
