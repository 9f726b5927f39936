/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program that is run for a bounded time, and what it said last. */
#ifndef IOMMUCFG_CHILD_H
#define IOMMUCFG_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#define IC_CHILD_TAIL	400

struct ic_child {
	pid_t pid;		/* and its process group; 0: none runs */
	pid_t killed;		/* an earlier one that had not ended yet, or 0 */
	int fd;			/* its output, or -1 */
	int copy_to;		/* gets the output as well, or -1 */
	struct timespec end;	/* on CLOCK_MONOTONIC */
	long limit;		/* seconds, for messages */
	bool timed_out, kill_rest;
	int error;		/* why its end is not known, or 0 */
	int status;		/* as waitpid() gives it */
	char tail[IC_CHILD_TAIL];	/* the last bytes of the output */
	size_t tail_length;
};

/* What to start; @input and @dir may be -1 and NULL. */
struct ic_program {
	char *const *argv;	/* argv[0] is a path, or a name */
	bool in_path;		/* looks for a name in $PATH */
	char *const *env;	/* NULL: this process's */
	const char *dir;	/* working directory */
	int input;		/* standard input; -1: /dev/null */
	int copy_to;
	bool kill_rest;		/* what it leaves of its process group, when it ends */
	long limit;		/* seconds */
};

/* @child is 0 before the first time. */
int ic_child_start(struct ic_child *child, const struct ic_program *program);
bool ic_child_runs(struct ic_child *child);
void ic_child_wait(const struct ic_child *child);
void ic_child_limit(struct ic_child *child, long seconds);
void ic_child_kill(struct ic_child *child);
bool ic_child_failed(const struct ic_child *child);
char *ic_child_describe(const struct ic_child *child);

#endif
