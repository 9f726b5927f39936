// SPDX-License-Identifier: GPL-2.0
/*
 * SIGINT, SIGTERM and SIGHUP, counted, and made visible to poll(). Without
 * SA_RESTART, so that reading a policy from a terminal ends as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t seen, last;
static int fds[2] = { -1, -1 };

static void on_signal(int number)
{
	int saved = errno;

	seen++;
	last = number;
	/* Where the pipe is full poll() wakes anyway. */
	(void)!write(fds[1], "", 1);
	errno = saved;
}

void signals_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }, old;
	size_t i;

	if (fds[0] >= 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return;
	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		/* nohup, and shells for background jobs, ask to ignore it. */
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(numbers[i], &action, NULL);
	}
}

int signals_seen(void)
{
	return seen;
}

int signals_last(void)
{
	return last;
}

/* What came so far has been dealt with. */
void signals_forget(void)
{
	signals_drain();
	seen = 0;
}

int signals_fd(void)
{
	return fds[0];
}

void signals_drain(void)
{
	char buf[16];

	while (read(fds[0], buf, sizeof(buf)) > 0)
		;
}

/* Waits; true if a signal comes. */
bool signals_wait(int milliseconds)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	if (poll(&p, 1, milliseconds) == 0)
		return false;
	signals_drain();
	return seen;
}
