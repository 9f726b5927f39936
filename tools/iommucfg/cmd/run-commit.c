// SPDX-License-Identifier: GPL-2.0
/*
 * The commit. A child does the write that blocks, so that this process can
 * show the progress, and leave on a second signal while the kernel works on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static void __attribute__((noreturn)) child(struct run *run, int fd)
{
	int ret, null;

	/* Neither ^C nor the end of the terminal is for it. */
	setsid();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Whoever waits for the end of our output must not wait for it. */
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	ret = iommucfg_txn_commit(run->txn);
	if (write(fd, &ret, sizeof(ret)) < 0)
		_exit(1);
	_exit(0);
}

/* The child was killed: the kernel finishes all the same, and says how. */
static int from_state(struct run *run)
{
	char word[32];
	size_t i;

	for (;;) {
		switch (iommucfg_txn_state(run->txn)) {
		case IOMMUCFG_STATE_COMMITTING:
		case IOMMUCFG_STATE_ROLLING_BACK:
			poll(NULL, 0, 100);
			continue;
		case IOMMUCFG_STATE_COMMITTED:
		case IOMMUCFG_STATE_UNCONFIRMED:
			return 0;
		case IOMMUCFG_STATE_FAILED:
			return -EIO;
		case IOMMUCFG_STATE_ROLLED_BACK:
			return -ECANCELED;
		case IOMMUCFG_STATE_GONE:
			return iommucfg_witness_unmade(run->witness) ? -ECANCELED : 0;
		default:
			break;
		}
		break;
	}
	for (i = 0; i < iommucfg_plan_num_changes(run->plan); i++)
		if (!iommucfg_txn_group_attr(run->txn,
				iommucfg_group_number(iommucfg_change_group(
					iommucfg_plan_change(run->plan, i))),
				"status", word, sizeof(word)) && !strcmp(word, "restored"))
			return -ECANCELED;
	return -EINTR;
}

/* A second signal: this process goes, the kernel does not stop. */
static void __attribute__((noreturn)) leave(struct run *run)
{
	progress_clear();
	fprintf(stderr, "iommucfg: leaving while the kernel works on transaction \"%s\": see \"iommucfg status %s\"\n",
		run->transaction, run->transaction);
	run_record(run, "left", 128 + signals_last());
	_exit(128 + signals_last());
}

static int await(struct run *run, int fd, pid_t pid)
{
	struct pollfd p[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	bool told = false;
	int ret;

	for (;;) {
		poll(p, 2, 100);
		signals_drain();
		if (p[0].revents)
			break;
		progress_show(run->cli, run->txn);
		if (signals_seen() > 1)
			leave(run);
		if (signals_seen() && !told) {
			told = true;
			progress_clear();
			cli_note(run->cli, "the kernel finishes what it began; once more leaves at once");
		}
	}
	progress_clear();
	if (read(fd, &ret, sizeof(ret)) != sizeof(ret))
		ret = from_state(run);
	waitpid(pid, NULL, 0);
	return ret;
}

int run_commit(struct run *run)
{
	struct cli *cli = run->cli;
	int fds[2], ret;
	pid_t pid;

	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC)) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "system", errno,
				      "no pipe can be made: %s", strerror(errno));
		return EXIT_REFUSED;
	}
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "system", errno,
				      "no process can be made: %s", strerror(errno));
		return EXIT_REFUSED;
	}
	if (!pid)
		child(run, fds[1]);
	close(fds[1]);
	ret = await(run, fds[0], pid);
	close(fds[0]);
	cli_debug(cli, "commit: %s", ret ? strerror(-ret) : "done");
	if (!ret)
		return EXIT_DONE;
	if (iommucfg_txn_report(run->txn, IOMMUCFG_REFUSED, cli->problems) <= 0)
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "kernel", -ret,
				      "the commit: %s", iommucfg_txn_refusal(ret));
	return ret == -ECANCELED ? EXIT_RESTORED : ret == -EIO ? EXIT_BROKEN : EXIT_REFUSED;
}

static bool stands(struct run *run)
{
	enum iommucfg_state state = iommucfg_txn_state(run->txn);

	return state == IOMMUCFG_STATE_UNCONFIRMED || state == IOMMUCFG_STATE_COMMITTED;
}

/*
 * Drivers are bound, but disks and interfaces may appear a moment later. One
 * that does not is reason to go back.
 */
int run_settle(struct run *run)
{
	struct iommucfg_problems *problems = NULL;
	struct timespec now, start;
	int n = 0;

	signals_forget();
	if (!run->settle)
		return EXIT_DONE;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		iommucfg_problems_free(problems);
		problems = iommucfg_problems_new();
		n = iommucfg_witness_missing(run->witness, problems);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (n <= 0 || !stands(run) || now.tv_sec - start.tv_sec >= run->settle)
			break;
		/* Who does not want to wait gets the answer of now. */
		if (signals_wait(100))
			break;
	}
	if (n > 0 && stands(run)) {
		iommucfg_problems_append(run->cli->problems, problems);
		iommucfg_problems_free(problems);
		return run_roll_back(run);
	}
	iommucfg_problems_free(problems);
	if (!stands(run))
		return run_await_end(run);
	return EXIT_DONE;
}
