// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is not the command and makes a change by the library's run, in an
 * event loop of its own.
 *
 *	agent ROOT GROUP TYPE [WORD...]
 *
 * Words: timeout=S, settle=S, detach; blocking: no event loop; ask=yes|no|none: how it
 * answers, and where there is nobody; after=N: after how many times of asking, or of
 * being told of progress; stop=N: it is asked to stop N times, then. Prints what it was
 * told, a line each, and last the outcome and the result.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommucfg.h"

static long timeout, settle = 1, after, calls;
static unsigned int stops, stopped;
static bool blocking, detach;
static unsigned int asked;
static const char *answer = "none";
static int wakeup[2];

static void step_of(void)
{
	if (++calls < after || stopped == stops)
		return;
	stopped = stops;
	/* As from a signal handler, or another thread. */
	if (write(wakeup[1], "", 1) != 1)
		abort();
}

static void progress(struct iommucfg_run *run, unsigned long done, unsigned long all, void *data)
{
	static unsigned long last = -1;

	(void)run, (void)data;
	if (done != last)
		printf("progress %lu %lu\n", done, all);
	last = done;
	step_of();
}

static enum iommucfg_run_answer question(struct iommucfg_run *run, long seconds, void *data)
{
	(void)run, (void)data;
	if (!asked++)
		printf("question %s\n", seconds > 0 && seconds <= timeout ? "in time" : "late");
	step_of();
	if (calls < after)
		return IOMMUCFG_RUN_NO_ANSWER;
	return !strcmp(answer, "yes") ? IOMMUCFG_RUN_YES :
	       !strcmp(answer, "no") ? IOMMUCFG_RUN_NO : IOMMUCFG_RUN_NO_ANSWER;
}

static unsigned int cancel(struct iommucfg_run *run, void *data)
{
	char buf[8];

	(void)run, (void)data;
	while (read(wakeup[0], buf, sizeof(buf)) > 0)
		;
	return stopped;
}

static void message(struct iommucfg_run *run, enum iommucfg_run_level level, const char *text,
		    void *data)
{
	(void)run, (void)data;
	if (level == IOMMUCFG_RUN_NOTE)
		printf("note %s\n", text);
	fflush(stdout);
}

/* Calls a step until it is over. */
static int drive(struct iommucfg_run *run, int (*step)(struct iommucfg_run *run))
{
	struct pollfd fds[3];
	int code, wait;
	size_t n;

	while ((code = step(run)) == IOMMUCFG_RUN_AGAIN) {
		if (blocking)
			abort();
		n = iommucfg_run_poll_fds(run, fds, 3, &wait);
		if (n > 3 || wait < 0 || wait > 1000)
			abort();
		poll(fds, n, wait);
		fflush(stdout);
	}
	return code;
}

static void word(const char *text)
{
	if (!strncmp(text, "timeout=", 8))
		timeout = atol(text + 8);
	else if (!strncmp(text, "settle=", 7))
		settle = atol(text + 7);
	else if (!strncmp(text, "ask=", 4))
		answer = text + 4;
	else if (!strncmp(text, "after=", 6))
		after = atol(text + 6);
	else if (!strncmp(text, "stop=", 5))
		stops = atol(text + 5);
	else if (!strcmp(text, "blocking"))
		blocking = true;
	else if (!strcmp(text, "detach"))
		detach = true;
	else
		abort();
}

static int change(struct iommucfg_run *run, const char *group, const char *type)
{
	struct iommucfg_target target = { .type = iommucfg_type_parse(type) };
	int code;

	code = drive(run, iommucfg_run_begin);
	if (code)
		return code;
	code = iommucfg_run_scan(run);
	if (iommucfg_run_topology(run)) {
		target.group = iommucfg_topology_find_group(iommucfg_run_topology(run),
							    strtoul(group, NULL, 10));
		code = iommucfg_run_plan_targets(run, &target, 1);
	}
	code = iommucfg_run_stage(run, code);
	if (!code)
		code = drive(run, iommucfg_run_commit);
	if (!code)
		code = drive(run, iommucfg_run_settle);
	if (!code)
		code = drive(run, iommucfg_run_confirm);
	return code;
}

int main(int argc, char **argv)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_plan_options *options = iommucfg_plan_options_new();
	struct iommucfg_run *run;
	struct iommucfg *ctx;
	int i, code;
	size_t n;

	for (i = 4; i < argc; i++)
		word(argv[i]);
	if (argc < 4 || !problems || !options || pipe2(wakeup, O_NONBLOCK) || iommucfg_new(&ctx, argv[1]) ||
	    iommucfg_run_new(ctx, problems, &run))
		return 1;
	/* The run holds what it was made of. */
	iommucfg_unref(ctx);
	iommucfg_plan_options_set_confirm_timeout(options, timeout);
	iommucfg_run_set_options(run, options);
	iommucfg_plan_options_unref(options);
	iommucfg_run_set_settle(run, settle);
	iommucfg_run_set_detach(run, detach);
	if (iommucfg_run_set_command(run, argv, "agent"))
		return 1;
	iommucfg_run_on_progress(run, progress, NULL);
	if (strcmp(answer, "none"))
		iommucfg_run_on_question(run, question, -1, NULL);
	iommucfg_run_on_cancel(run, cancel, wakeup[0], NULL);
	iommucfg_run_on_message(run, message, NULL);
	iommucfg_run_set_nonblocking(run, !blocking);

	/* Who holds it keeps it. */
	iommucfg_run_unref(iommucfg_run_ref(run));
	code = change(run, argv[2], argv[3]);
	iommucfg_run_end(run, code);
	for (n = 0; n < iommucfg_problems_count(problems); n++)
		printf("problem %s\n",
		       iommucfg_problem_message(iommucfg_problems_get(problems, n)));
	printf("%d %s\n", code, iommucfg_run_result(run));
	iommucfg_run_unref(run);
	iommucfg_problems_unref(problems);
	return 0;
}
