// SPDX-License-Identifier: GPL-2.0
/* After the commit: kept, undone by a person, or undone by the kernel's timer. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static int not_confirmed(struct run *run)
{
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "transaction", ETIMEDOUT,
			      "transaction \"%s\" was not confirmed in time and has been undone",
			      run->transaction);
	return EXIT_RESTORED;
}

/*
 * Waits until the transaction is over, and says how. It may be gone: whoever
 * confirmed it or rolled it back has removed it, then the types tell.
 */
int run_await_end(struct run *run)
{
	for (;;) {
		switch (iommucfg_txn_state(run->txn)) {
		case IOMMUCFG_STATE_COMMITTED:
			return EXIT_DONE;
		case IOMMUCFG_STATE_ROLLED_BACK:
			return not_confirmed(run);
		case IOMMUCFG_STATE_FAILED:
			iommucfg_txn_report(run->txn, IOMMUCFG_REFUSED, run->cli->problems);
			return EXIT_BROKEN;
		case IOMMUCFG_STATE_GONE:
			return iommucfg_witness_unmade(run->witness) ? not_confirmed(run) :
								       EXIT_DONE;
		default:
			/* Also in the kernel's hands a signal ends the waiting. */
			if (!signals_wait(200))
				break;
			signals_forget();
			if (iommucfg_txn_state(run->txn) == IOMMUCFG_STATE_UNCONFIRMED)
				return run_roll_back(run);
		}
	}
}

/* Undoes the commit at once. */
int run_roll_back(struct run *run)
{
	struct cli *cli = run->cli;
	enum iommucfg_state state;
	int ret;

	/*
	 * An interface that has come up since must not hold this up, as it does
	 * not hold up the kernel's timer. Where that cannot be written, the
	 * rollback says more.
	 */
	iommucfg_txn_set_allow_in_use(run->txn,
				      run->options.allow_in_use | IOMMUCFG_GUARD_NET);
	ret = iommucfg_txn_rollback(run->txn);
	if (!ret)
		return EXIT_RESTORED;
	/* The timer, or somebody else, may have come before. */
	state = iommucfg_txn_state(run->txn);
	if (state == IOMMUCFG_STATE_ROLLING_BACK || state == IOMMUCFG_STATE_ROLLED_BACK ||
	    state == IOMMUCFG_STATE_GONE)
		return run_await_end(run);
	if (iommucfg_txn_report(run->txn, IOMMUCFG_REFUSED, cli->problems) <= 0)
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "kernel", -ret,
				      "the rollback: %s", strerror(-ret));
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", -ret,
			      "transaction \"%s\" is %s: its rollback did not succeed (%s)",
			      run->transaction, iommucfg_state_name(state), strerror(-ret));
	/* Still committed: let nobody remove the record that undoes it. */
	if (state == IOMMUCFG_STATE_COMMITTED) {
		iommucfg_txn_free(run->txn);
		run->txn = NULL;
	}
	return EXIT_BROKEN;
}

static int keep(struct run *run)
{
	int ret;

	ret = iommucfg_txn_confirm(run->txn);
	if (!ret)
		return EXIT_DONE;
	if (ret == -EBUSY || ret == -ENOENT)
		return run_await_end(run);
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "kernel", -ret,
			      "the confirmation: %s", strerror(-ret));
	return run_roll_back(run);
}

static long seconds_left(const struct timespec *start, long timeout)
{
	struct timespec now;

	/* Stands still during suspend, as the kernel's timer does. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return timeout - (now.tv_sec - start->tv_sec);
}

/* 1 keep, 0 undo, -1 it is over without an answer. */
static int ask_to_keep(struct run *run)
{
	struct pollfd p[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	struct timespec start;
	char line[64];
	ssize_t n;
	long left;

	/*
	 * What was typed before is no answer: nobody had seen the change. In the
	 * background the call would stop this process.
	 */
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcflush(STDIN_FILENO, TCIFLUSH);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		left = seconds_left(&start, run->options.confirm_timeout);
		fprintf(stderr, "\r\033[KKeep these settings? [y/N] (%ld s) ", left > 0 ? left : 0);
		fflush(stderr);
		poll(p, 2, 500);
		if (signals_seen()) {
			signals_forget();
			fputc('\n', stderr);
			return 0;
		}
		if (p[0].revents) {
			n = read(STDIN_FILENO, line, sizeof(line));
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				fputc('\n', stderr);
			return n > 0 && (*line == 'y' || *line == 'Y');
		}
		if (iommucfg_txn_state(run->txn) != IOMMUCFG_STATE_UNCONFIRMED) {
			fputc('\n', stderr);
			return -1;
		}
	}
}

/* An unconfirmed commit: ask, or wait for somebody else's answer. */
int run_confirm(struct run *run)
{
	int answer;

	if (!ask_possible()) {
		cli_note(run->cli, "waiting %ld seconds for \"iommucfg confirm %s\"",
			 run->options.confirm_timeout, run->transaction);
		return run_await_end(run);
	}
	answer = ask_to_keep(run);
	if (answer < 0)
		return run_await_end(run);
	return answer ? keep(run) : run_roll_back(run);
}
