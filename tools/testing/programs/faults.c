// SPDX-License-Identifier: GPL-2.0
/*
 * faults: makes allocations and requests fail at random for a while.
 *
 * usage: faults [-a] SECONDS KIND=PERCENT...
 *
 * KIND is failslab, fail_page_alloc or fail_make_request. PERCENT of the allocations fail: those of
 * tasks that have a 1 in /proc/self/make-it-fail, or, with -a, those of all tasks and of the kernel
 * itself; of requests, those to block devices that have a 1 in make-it-fail. This is a program that
 * is locked in memory, because a shell would not survive the failures.
 *
 * Prints the number of failures, for each kind and for all of them:
 *
 *	faults: KIND=N ... injected=N
 *
 * Exit status: 0, or 2 if this kernel cannot inject failures.
 */

#define _GNU_SOURCE
#include "common.h"

#define ENDLESS		1000000000L

static void set(const char *kind, const char *name, const char *value)
{
	char path[200];
	int error;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, name);
	error = put(path, value);
	/* Each kind lacks some of them. */
	if (error && error != ENOENT)
		err(2, "%s", path);
}

static long times_left(const char *kind)
{
	char path[200], text[32];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", kind);
	if (get(path, text, sizeof(text)) <= 0)
		err(2, "%s", path);
	return atol(text);
}

int main(int argc, char **argv)
{
	char path[200], *percent[3], text[32];
	const char *kind[3], *all = "Y";
	int fd[3], count = 0, i;
	long sum = 0, seconds;

	if (argc > 1 && !strcmp(argv[1], "-a")) {
		all = "N";
		argc--;
		argv++;
	}
	if (argc < 3 || argc > 2 + (int)ARRAY_SIZE(kind))
		errx(2, "usage: faults [-a] SECONDS KIND=PERCENT...");
	seconds = parse_number(argv[1], 0, INT_MAX);
	for (i = 2; i < argc; i++, count++) {
		kind[count] = strtok(argv[i], "=");
		percent[count] = strtok(NULL, "=");
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/probability", kind[count]);
		fd[count] = open(path, O_WRONLY | O_CLOEXEC);
		if (fd[count] < 0 || !percent[count])
			err(2, "%s", path);
		snprintf(text, sizeof(text), "%ld", ENDLESS);
		set(kind[count], "verbose", "0");
		set(kind[count], "interval", "1");
		set(kind[count], "times", text);
		set(kind[count], "task-filter", strcmp(kind[count], "fail_make_request") ? all : "N");
		set(kind[count], "ignore-gfp-wait", "N");
		set(kind[count], "ignore-gfp-highmem", "N");
		set(kind[count], "min-order", "0");
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(2, "mlockall");
	for (i = 0; i < count; i++) {
		while (write(fd[i], percent[i], strlen(percent[i])) < 0 && errno == ENOMEM)
			;
	}
	sleep(seconds);
	for (i = 0; i < count; i++) {
		while (write(fd[i], "0", 1) < 0 && errno == ENOMEM)
			usleep(1000);
	}
	printf("faults:");
	for (i = 0; i < count; i++) {
		long injected = ENDLESS - times_left(kind[i]);

		printf(" %s=%ld", kind[i], injected);
		sum += injected;
	}
	printf(" injected=%ld\n", sum);
	return 0;
}
