// SPDX-License-Identifier: GPL-2.0
/*
 * pollpri: waits until files of sysfs have changed.
 *
 * usage: pollpri MILLISECONDS FD...
 *
 * Waits for so long at most until one of the files, which are open as these descriptors, has an
 * event that poll(2) reports as POLLPRI. Prints the descriptors of the files that have one, in the
 * order of the arguments, or "none", and reads these files, so that the next call finds new events
 * only. With 0, says what has happened since a file was last read.
 */

#include <poll.h>

#include "common.h"

#define MAX_FILES	8

int main(int argc, char **argv)
{
	struct pollfd files[MAX_FILES];
	const char *separator = "";
	char contents[PAGE];
	int i, count = argc - 2, ready;

	if (argc < 3 || count > MAX_FILES)
		errx(2, "usage: pollpri MILLISECONDS FD..., with up to %d descriptors", MAX_FILES);
	for (i = 0; i < count; i++) {
		files[i].fd = parse_number(argv[i + 2], 0, 1023);
		files[i].events = POLLPRI;
	}
	ready = poll(files, count, parse_number(argv[1], 0, 600000));
	if (ready < 0)
		err(2, "poll");
	for (i = 0; ready && i < count; i++) {
		if (!(files[i].revents & POLLPRI))
			continue;
		if (lseek(files[i].fd, 0, SEEK_SET) || read(files[i].fd, contents, PAGE) < 0)
			err(2, "descriptor %d", files[i].fd);
		printf("%s%d", separator, files[i].fd);
		separator = " ";
	}
	puts(ready ? "" : "none");
	return 0;
}
