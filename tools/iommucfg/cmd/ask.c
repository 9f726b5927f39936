// SPDX-License-Identifier: GPL-2.0
/* Questions to a person at a terminal. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

static bool open_question;	/* the cursor stands behind one */

bool ask_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/*
 * What was typed before a question was shown does not answer it.
 * In the background the call would stop this process.
 */
static void forget_typed(void)
{
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcflush(STDIN_FILENO, TCIFLUSH);
}

/* What is printed next begins a line. */
void ask_close(void)
{
	if (open_question)
		fputc('\n', stderr);
	open_question = false;
}

/* 1 yes, 0 no or end of file, -1 no line yet. */
static int read_answer(void)
{
	char line[64];
	ssize_t n;

	n = read(STDIN_FILENO, line, sizeof(line));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return -1;
	/* The terminal has shown the newline that was typed. */
	if (n > 0)
		open_question = false;
	ask_close();
	return n > 0 && (*line == 'y' || *line == 'Y');
}

int ask_once(const char *question)
{
	struct pollfd p[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	int answer;

	forget_typed();
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	open_question = true;
	for (;;) {
		if (signals_seen()) {
			ask_close();
			return -1;
		}
		if (poll(p, 2, -1) < 0 || !p[0].revents)
			continue;
		answer = read_answer();
		if (answer >= 0)
			return answer;
	}
}

/* The answer, if one was typed by now: else -1. */
static int answer_so_far(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) > 0 ? read_answer() : -1;
}

/*
 * Looks whether there is an answer, or shows the seconds that are left: not below an
 * answer that was typed since they were shown last.
 */
enum iommucfg_run_answer ask_to_keep(long seconds)
{
	int answer = -1;

	if (open_question)
		answer = answer_so_far();
	else
		forget_typed();
	if (answer < 0) {
		fprintf(stderr, "\r\033[KKeep these settings? [y/N] (%ld s) ", seconds);
		fflush(stderr);
		open_question = true;
		answer = answer_so_far();
	}
	return answer < 0 ? IOMMUCFG_RUN_NO_ANSWER :
	       answer ? IOMMUCFG_RUN_YES : IOMMUCFG_RUN_NO;
}
