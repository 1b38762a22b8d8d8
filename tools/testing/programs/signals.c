// SPDX-License-Identifier: GPL-2.0
/*
 * signals: one system call on a file, with signals meanwhile.
 *
 * usage: signals MODE FILE [TEXT]
 *
 * Writes TEXT and a newline to FILE with one write(2), or, without TEXT, reads from it with one
 * read(2), which may return no data. Prints OK, or the name of the error.
 *
 * MODE selects the signals:
 *
 *	restart		SIGALRM every 5 ms, whose handler was installed with SA_RESTART
 *	interrupt	the same without SA_RESTART
 *	default		no signals, and SIGINT has its default action
 *
 * With the first two, SIGINT has a handler without SA_RESTART, even if the shell ignores SIGINT.
 *
 * Prints to stderr how often the handler of SIGALRM ran. It runs about once if the system call
 * continues after such a signal. A system call that restarts each time would never end, so the
 * timer stops after LIMIT signals, and the result is "LIVELOCK".
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>

#include "common.h"

#define PERIOD	5000	/* microseconds */
#define LIMIT	50

static volatile sig_atomic_t ticks;

static void every(suseconds_t microseconds)
{
	struct itimerval timer = {
		.it_interval.tv_usec = microseconds,
		.it_value.tv_usec = microseconds,
	};

	if (setitimer(ITIMER_REAL, &timer, NULL))
		err(2, "setitimer");
}

static void tick(int signal)
{
	(void)signal;
	if (++ticks == LIMIT)
		every(0);
}

static void interrupt(int signal)
{
	(void)signal;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	if (sigaction(signal, &action, NULL))
		err(2, "sigaction");
}

int main(int argc, char **argv)
{
	static char text[1 << 16];
	bool restart, timer;
	ssize_t length;
	int fd, error;

	if (argc < 3 || argc > 4)
		errx(2, "usage: signals restart|interrupt|default FILE [TEXT]");
	restart = !strcmp(argv[1], "restart");
	timer = restart || !strcmp(argv[1], "interrupt");
	if (!timer && strcmp(argv[1], "default"))
		errx(2, "there is no mode '%s'", argv[1]);
	fd = open(argv[2], argc > 3 ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		err(2, "%s", argv[2]);

	handle(SIGALRM, tick, restart ? SA_RESTART : 0);
	handle(SIGINT, timer ? interrupt : SIG_DFL, 0);
	if (timer)
		every(PERIOD);
	if (argc > 3) {
		length = snprintf(text, sizeof(text), "%s\n", argv[3]);
		length = write(fd, text, length);
	} else {
		length = read(fd, text, sizeof(text));
	}
	error = length < 0 ? errno : 0;
	every(0);

	fprintf(stderr, "%d\n", (int)ticks);
	puts(ticks >= LIMIT ? "LIVELOCK" : error ? strerrorname_np(error) : "OK");
	return 0;
}
