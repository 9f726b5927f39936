// SPDX-License-Identifier: GPL-2.0
/* Questions to a person at a terminal. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

bool ask_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int ask_once(const char *question)
{
	struct pollfd p[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	char line[64];
	ssize_t n;

	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	for (;;) {
		if (signals_seen()) {
			fputc('\n', stderr);
			return -1;
		}
		if (poll(p, 2, -1) < 0 || !p[0].revents)
			continue;
		n = read(STDIN_FILENO, line, sizeof(line));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fputc('\n', stderr);
		return n > 0 && (*line == 'y' || *line == 'Y');
	}
}
