// SPDX-License-Identifier: GPL-2.0
/*
 * lowmemory: locks nearly all memory, starts writeback of a zram disk, and measures it.
 *
 * usage: lowmemory ID DISK KIB end|kill|reset [MS]
 *
 * Locks memory until KIB KiB are free or hold files; then another process writes "huge" to the
 * writeback file of zram<ID>. With "end", waits until that process has ended; with "kill" and
 * "reset", kills that process, or resets the disk, MS milliseconds after the request. All of these
 * processes are locked in memory, as are the files that others have mapped, and exempt from the OOM
 * killer. If the process has not ended LIMIT seconds later, prints where it is, and frees the
 * memory.
 *
 * The last line of output is for scripts, with times by the machine's clock, in microseconds since
 * the request, or -1 for an event that did not happen before the memory was freed:
 *
 *	lowmemory: locked=MIB left=KIB free=KIB first=US written=N end=US result=ERRNO
 *	signal=N more=KIB
 *
 * (in one line), where "first" is the time of the first completed write to DISK (a name, as vda),
 * "written" the number of pages written then, "end" the time when the process was gone, with "kill"
 * and "reset" since that request, and "more" the increase of free memory until then. bd_stat is not
 * used, because with C zram it cannot be read meanwhile. "result" is the result of the write to the
 * file, or -1 if it did not return to user space. Exit status: 0, or 2 if it could not be measured.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "common.h"

#define STEP	(64 * 1024)
#define LIMIT	30

static long long microseconds(void)
{
	return now_ns() / 1000;
}

/* The file from its beginning. */
static const char *text_of(int fd)
{
	static char text[8192];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		err(2, "reading");
	text[len] = 0;
	return text;
}

static long meminfo(int fd, const char *name)
{
	const char *line = strstr(text_of(fd), name);

	if (!line)
		errx(2, "no %s in /proc/meminfo", name);
	return atol(line + strlen(name));
}

/* The memory that is free or can be reclaimed, in KiB. */
static long left(int fd)
{
	return meminfo(fd, "MemFree:") + meminfo(fd, "Active(file):") +
		meminfo(fd, "Inactive(file):");
}

/* How many pages were written to a disk, by its file "stat". */
static long written(int fd)
{
	long sectors;

	if (sscanf(text_of(fd), "%*d %*d %*d %*d %*d %*d %ld", &sectors) != 1)
		errx(2, "stat is '%s'", text_of(fd));
	return sectors / 8;
}

static void stay_in_memory(void)
{
	if (mlockall(MCL_CURRENT))
		err(2, "mlockall");
}

/* What a process has mapped of files, so that it needs no memory to go on. */
static void keep_files_of(const char *pid)
{
	char path[300], line[600];
	unsigned long start, end, offset;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	/* It may have ended, and kernel threads have none. */
	while (maps && fgets(line, sizeof(line), maps)) {
		void *copy;
		int fd;

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %299s", &start, &end, &offset, path) != 4)
			continue;
		fd = path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		copy = mmap(NULL, end - start, PROT_READ, MAP_SHARED, fd, offset);
		/* The last page of a mapping can be beyond the file. */
		if (copy != MAP_FAILED)
			mlock(copy, end - start);
		close(fd);
	}
	if (maps)
		fclose(maps);
}

static void keep_files(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			keep_files_of(entry->d_name);
	if (proc)
		closedir(proc);
}

/*
 * Starts a process that writes a text to a file of zram<ID> after a write to *go; the error goes to
 * *result.
 */
static pid_t prepare(int id, const char *name, const char *text, int *go, volatile int *result)
{
	int ends[2], ready[2], fd = open_file(attribute(id, name), O_WRONLY);
	char byte = 0;
	pid_t pid;

	if (pipe(ends) || pipe(ready))
		err(2, "pipe");
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		stay_in_memory();
		close(ends[1]);
		if (write(ready[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1)
			_exit(2);
		*result = write(fd, text, strlen(text)) < 0 ? errno : 0;
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		err(2, "no process starts");
	close(fd);
	*go = ends[1];
	return pid;
}

static void tell(int go)
{
	if (write(go, "", 1) != 1)
		err(2, "starting");
}

static void nap(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

int main(int argc, char **argv)
{
	long kib, free_before, before, first_pages = 0, more, ms = 0;
	bool kills, resets, asked = false, ended = false, gone = false;
	int id, go, go_reset, info, stack, stat, status = 0;
	long long start, from, first = -1, end = -1;
	size_t locked = 0, most;
	volatile int *result;
	unsigned char *hog;
	char path[100];
	pid_t pid, resetter;

	if (argc < 5 || argc > 6)
		errx(2, "usage: lowmemory ID DISK KIB end|kill|reset [MS]");
	id = parse_number(argv[1], 0, INT_MAX);
	kib = parse_number(argv[3], 0, LONG_MAX);
	kills = !strcmp(argv[4], "kill");
	resets = !strcmp(argv[4], "reset");
	if (argc == 6)
		ms = parse_number(argv[5], 0, LIMIT * 1000);
	if (put("/proc/self/oom_score_adj", "-1000"))
		errx(2, "the OOM killer cannot be kept away");
	info = open_file("/proc/meminfo", O_RDONLY);
	snprintf(path, sizeof(path), "/sys/block/%s/stat", argv[2]);
	stat = open_file(path, O_RDONLY);
	result = alloc_shared(PAGE);
	result[0] = -1;
	pid = prepare(id, "writeback", "huge\n", &go, result);
	resetter = prepare(id, "reset", "1\n", &go_reset, result + 1);
	stay_in_memory();
	keep_files();
	most = meminfo(info, "MemTotal:") * 1024;
	hog = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (hog == MAP_FAILED || mlock2(hog, most, MLOCK_ONFAULT))
		err(2, "no memory");
	madvise(hog, most, MADV_NOHUGEPAGE);
	/* What these need is allocated the first time. */
	text_of(info);
	before = written(stat);
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	stack = open_file(path, O_RDONLY);
	text_of(stack);
	while (left(info) > kib && locked < most) {
		memset(hog + locked, 1, STEP);
		locked += STEP;
	}
	kib = left(info);
	free_before = meminfo(info, "MemFree:");

	start = microseconds();
	from = start;
	tell(go);
	while (!gone && microseconds() - start < LIMIT * 1000000LL) {
		if (first < 0) {
			first_pages = written(stat) - before;
			if (first_pages)
				first = microseconds() - start;
		}
		if ((kills || resets) && !asked && microseconds() - start >= ms * 1000) {
			asked = true;
			from = microseconds();
			if (kills)
				kill(pid, SIGKILL);
			else
				tell(go_reset);
		}
		ended |= waitpid(pid, &status, WNOHANG) == pid;
		gone = ended;
		if (resets)
			gone = asked && ended && waitpid(resetter, NULL, WNOHANG) == resetter;
		if (gone)
			end = microseconds() - from;
		else
			nap();
	}
	more = meminfo(info, "MemFree:") - free_before;
	if (!gone) {
		fputs(text_of(info), stderr);
		fputs(text_of(stack), stderr);
	}
	munmap(hog, most);
	if (!ended && waitpid(pid, &status, 0) != pid)
		err(2, "waiting");
	/* Without this it ends by itself, or was told to. */
	close(go_reset);
	if (resets && result[1])
		errx(2, "reset: %s", strerror(result[1]));
	printf("lowmemory: locked=%zu left=%ld free=%ld first=%lld written=%ld end=%lld result=%d signal=%d more=%ld\n",
	       locked >> 20, kib, free_before, first, first_pages, end, result[0],
	       WIFSIGNALED(status) ? WTERMSIG(status) : 0, more);
	return 0;
}
