// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs a program without a shell, in a new session and process group, for a bounded time. Its
 * output and errors go into one pipe, of which the last bytes are kept to be quoted. Called in
 * steps, so that the caller can watch other things meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "internal.h"

/* How long a killed process is waited for, and how often it is looked for. */
#define KILL_MSEC	1000
#define KILL_PAUSE	10

static int spawn(struct ic_child *child, const struct ic_program *program, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	ret = posix_spawn_file_actions_init(&actions);
	if (ret)
		return -ret;
	ret = posix_spawnattr_init(&attr);
	if (ret) {
		posix_spawn_file_actions_destroy(&actions);
		return -ret;
	}
	sigemptyset(&none);
	sigfillset(&all);
	/* No signal that is blocked or ignored here is so there. */
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	if (program->input >= 0)
		ret = posix_spawn_file_actions_adddup2(&actions, program->input, 0);
	else
		ret = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&actions, output, 1);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&actions, output, 2);
	/* A lock that the caller has handed to us would outlive us in a program that stays. */
	if (!ret)
		ret = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	if (!ret && program->dir)
		ret = posix_spawn_file_actions_addchdir_np(&actions, program->dir);
	if (!ret)
		ret = (program->in_path ? posix_spawnp : posix_spawn)
			(&child->pid, program->argv[0], &actions, &attr, program->argv,
			 program->env ? program->env : environ);
	if (ret)
		child->pid = 0;
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

/* One that was killed earlier, if it has ended by now. */
static void reap(struct ic_child *child)
{
	if (child->killed && waitpid(child->killed, NULL, WNOHANG))
		child->killed = 0;
}

/* 0, or a negative errno where it cannot be run. */
int ic_child_start(struct ic_child *child, const struct ic_program *program)
{
	int fds[2], ret;

	reap(child);
	*child = (struct ic_child){ .fd = -1, .killed = child->killed, .copy_to = program->copy_to,
				   .kill_rest = program->kill_rest };
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	ret = spawn(child, program, fds[1]);
	close(fds[1]);
	if (ret) {
		close(fds[0]);
		return ret;
	}
	child->fd = fds[0];
	ic_child_limit(child, program->limit);
	return 0;
}

/* From now on. */
void ic_child_limit(struct ic_child *child, long seconds)
{
	clock_gettime(CLOCK_MONOTONIC, &child->end);
	child->end.tv_sec += seconds;
	child->limit = seconds;
}

static void keep_tail(struct ic_child *child, const char *text, size_t n)
{
	size_t old;

	if (n > IC_CHILD_TAIL) {
		text += n - IC_CHILD_TAIL;
		n = IC_CHILD_TAIL;
	}
	old = child->tail_length + n > IC_CHILD_TAIL ? IC_CHILD_TAIL - n : child->tail_length;
	memmove(child->tail, child->tail + child->tail_length - old, old);
	memcpy(child->tail + old, text, n);
	child->tail_length = old + n;
}

/* What is there now. A program that writes without end must not keep this one here. */
static void read_output(struct ic_child *child)
{
	char buf[4096];
	ssize_t n = 1;
	int times;

	for (times = 0; child->fd >= 0 && times < 64; times++) {
		n = read(child->fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		keep_tail(child, buf, n);
		/* For a person to see; that it cannot be written changes nothing. */
		if (child->copy_to >= 0 && write(child->copy_to, buf, n) < 0)
			child->copy_to = -1;
	}
	if (child->fd >= 0 && !n) {
		close(child->fd);
		child->fd = -1;
	}
}

static void over(struct ic_child *child)
{
	read_output(child);
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	child->pid = 0;
}

/*
 * Kills the whole process group. What waits inside the kernel, for a disk that has gone, ends
 * only when it comes back from there: no rollback can wait for that.
 */
void ic_child_kill(struct ic_child *child)
{
	int pauses = 0;

	reap(child);
	if (!child->pid)
		return;
	kill(-child->pid, SIGKILL);
	while (!waitpid(child->pid, &child->status, WNOHANG)) {
		if (pauses++ == KILL_MSEC / KILL_PAUSE) {
			child->killed = child->pid;
			child->status = SIGKILL;
			break;
		}
		poll(NULL, 0, KILL_PAUSE);
	}
	over(child);
}

static bool is_late(const struct ic_child *child)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > child->end.tv_sec ||
	       (now.tv_sec == child->end.tv_sec && now.tv_nsec >= child->end.tv_nsec);
}

/* Looks after it; false once it has ended. */
bool ic_child_runs(struct ic_child *child)
{
	siginfo_t info = { 0 };

	if (!child->pid)
		return false;
	read_output(child);
	/* While it is not waited for no other process group can have its number. */
	if (waitid(P_PID, child->pid, &info, WEXITED | WNOHANG | WNOWAIT) && errno != EINTR) {
		/* The caller has waited for it. */
		child->error = errno;
		over(child);
		return false;
	}
	if (info.si_pid == child->pid) {
		if (child->kill_rest)
			kill(-child->pid, SIGKILL);
		waitpid(child->pid, &child->status, 0);
		over(child);
		return false;
	}
	if (!is_late(child))
		return true;
	child->timed_out = true;
	ic_child_kill(child);
	return false;
}

/* For a moment, or until there is something to read. */
void ic_child_wait(const struct ic_child *child)
{
	struct pollfd p = { .fd = child->fd, .events = POLLIN };

	poll(&p, 1, 100);
}

bool ic_child_failed(const struct ic_child *child)
{
	return child->timed_out || child->error || !WIFEXITED(child->status) ||
	       WEXITSTATUS(child->status);
}

/*
 * As one text on one line. Other bytes that are no text are escaped when a message is made
 * of it.
 */
static char *quoted(const char *text, size_t length)
{
	char *copy = malloc(4 * length + 1), *to = copy;
	size_t i;

	for (i = 0; copy && i < length; i++) {
		if (text[i] == '\n')
			to = stpcpy(to, "\\n");
		else if (text[i] == '\t')
			to = stpcpy(to, "\\t");
		else if (!text[i])
			to = stpcpy(to, "\\x00");
		else
			*to++ = text[i];
	}
	if (copy)
		*to = '\0';
	return copy;
}

/* How it ended, with what it said last; NULL if there is no memory. */
char *ic_child_describe(const struct ic_child *child)
{
	size_t length = child->tail_length, size;
	char *text = NULL, *tail;
	FILE *f;

	while (length && strchr("\r\n", child->tail[length - 1]) && child->tail[length - 1])
		length--;
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	if (child->timed_out)
		fprintf(f, "did not end within %ld second%s", child->limit,
			child->limit == 1 ? "" : "s");
	else if (child->error)
		fprintf(f, "ended, how is not known (%s)", strerror(child->error));
	else if (WIFSIGNALED(child->status))
		fprintf(f, "was killed by signal %d (%s)", WTERMSIG(child->status),
			strsignal(WTERMSIG(child->status)));
	else
		fprintf(f, "ended with status %d", WEXITSTATUS(child->status));
	tail = length ? quoted(child->tail, length) : NULL;
	if (tail)
		fprintf(f, ", its output%s: \"%s\"",
			child->tail_length == IC_CHILD_TAIL ? " ended in" : "", tail);
	free(tail);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
