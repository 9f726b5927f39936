// SPDX-License-Identifier: GPL-2.0
/*
 * What the initramfs does to groups, until the root file system is there to keep it.
 *
 * A change that takes away the way to the root file system must go back by itself: the
 * commit in the initramfs has the kernel's confirm timer, and "iommucfg apply --boot"
 * confirms it when root is mounted. Between the two a process in the background starts
 * the countdown anew, as the user may have to type a passphrase first. It ends when the
 * initramfs has found its root, or has given up on it: its scripts remove a file then.
 *
 * In /run/iommucfg:
 *
 *   initramfs		the policy that the initramfs went by, as one text
 *   waiting-for-root	there while root is waited for
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"

#define EXTEND_EVERY	60
/* A root that has not come by then may be away because of the change. */
#define EXTEND_FOR	1800
#define WAITING		"waiting-for-root"

/* Milliseconds; they stand still during suspend, as the kernel's timer does. */
static long ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Is this an initramfs? dracut's, and those of systemd's kind, say so. */
bool early_is_initramfs(struct cli *cli)
{
	bool is = false;
	char *path;

	if (asprintf(&path, "%s/etc/initrd-release", iommucfg_root(cli->ctx)) >= 0) {
		is = !access(path, F_OK);
		free(path);
	}
	return is;
}

/*
 * The run goes on in a child process. For the child -1; for this one, after @limit
 * seconds at most, the exit code: what hangs must not keep the machine from booting.
 */
int early_bounded(struct cli *cli, long limit)
{
	struct timespec start;
	bool asked = false;
	pid_t pid;
	int status;

	fflush(NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid <= 0)
		return -1;
	while (!waitpid(pid, &status, WNOHANG)) {
		if (!asked && ms_since(&start) >= limit * 1000) {
			kmsg(cli, KMSG_ERROR, "applying the policy takes longer than %ld second%s: the boot goes on without waiting for it",
			     limit, limit == 1 ? "" : "s");
			/* Before the commit this ends it. A commit ends, or goes back. */
			kill(pid, SIGTERM);
			asked = true;
		}
		if (asked && ms_since(&start) >= limit * 1000 + 2000)
			return EXIT_REFUSED;
		sleep_ms(20);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BROKEN;
}

static void __attribute__((noreturn)) extend(struct cli *cli, int fd)
{
	struct iommucfg_txn *txn = NULL;
	struct iommucfg_txn *other = NULL;
	struct iommucfg *ctx;
	struct timespec start, last;
	enum iommucfg_state state;
	bool waiting = true;
	int null, run;

	setsid();
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	/* The lock, for one, is not for us to hold. */
	run = dup3(fd, 3, O_CLOEXEC) < 0 ? fd : 3;
	close_range(run + 1, ~0U, 0);
	if (iommucfg_new(&ctx, iommucfg_root(cli->ctx)))
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	clock_gettime(CLOCK_MONOTONIC, &start);
	last = start;
	/* What is opened now can be reached when the root directory is another one. */
	while (iommucfg_txn_open(ctx, EARLY_TXN, &txn) && ms_since(&start) < 60000 &&
	       !faccessat(run, WAITING, F_OK, 0))
		sleep_ms(20);
	while (txn && waiting && ms_since(&start) < EXTEND_FOR * 1000) {
		sleep_ms(200);
		waiting = !faccessat(run, WAITING, F_OK, 0);
		if (!other)
			iommucfg_txn_open_other(txn, &other, NULL);
		if (waiting && ms_since(&last) < EXTEND_EVERY * 1000)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &last);
		iommucfg_txn_read_state(txn, &state);
		if (state != IOMMUCFG_STATE_COMMITTING && state != IOMMUCFG_STATE_UNCONFIRMED &&
		    state != IOMMUCFG_STATE_STAGED && state != IOMMUCFG_STATE_UNKNOWN)
			break;
		iommucfg_txn_set_confirm_timeout(txn, EARLY_TIMEOUT);
		if (other)
			iommucfg_txn_set_confirm_timeout(other, EARLY_TIMEOUT);
	}
	_exit(0);
}

/* Before the commit of @policy in the initramfs. */
void early_begin(struct run *run, const char *policy)
{
	struct cli *cli = run->cli;
	pid_t pid;
	int fd;

	if (state_make_run(cli->ctx))
		return;
	state_write(cli->ctx, "run/iommucfg/initramfs", policy);
	if (!run->plan || !iommucfg_plan_num_changes(run->plan))
		return;
	state_write(cli->ctx, "run/iommucfg/" WAITING, "");
	fd = state_open_run(cli->ctx);
	pid = fd < 0 ? -1 : fork();
	if (!pid)
		extend(cli, fd);
	if (pid < 0)
		cli_debug(cli, "no process starts the countdown anew");
	if (fd >= 0)
		close(fd);
}

/* It was not committed, so nothing is waited for. */
void early_end(struct cli *cli)
{
	int fd = state_open_run(cli->ctx);

	if (fd < 0)
		return;
	unlinkat(fd, WAITING, 0);
	close(fd);
}

static enum early decide(struct cli *cli, struct iommucfg_txn *txn)
{
	enum iommucfg_state state;
	int ret = 0;

	for (;;) {
		switch (iommucfg_txn_state(txn)) {
		case IOMMUCFG_STATE_COMMITTING:
		case IOMMUCFG_STATE_ROLLING_BACK:
			sleep_ms(100);
			continue;
		case IOMMUCFG_STATE_UNCONFIRMED:
			ret = iommucfg_txn_confirm(txn);
			if (!ret || iommucfg_txn_read_state(txn, &state) ||
			    state != IOMMUCFG_STATE_UNCONFIRMED)
				continue;
			iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "kernel", -ret,
					      "what the initramfs changed cannot be confirmed, and will go back: %s",
					      strerror(-ret));
			return EARLY_BROKEN;
		case IOMMUCFG_STATE_COMMITTED:
			return EARLY_KEPT;
		case IOMMUCFG_STATE_ROLLED_BACK:
			iommucfg_txn_report(txn, IOMMUCFG_WARNING, cli->problems);
			iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "boot", ETIMEDOUT,
					      "what the initramfs changed has gone back, as root was not reached in time: this boot stays without the policy");
			return EARLY_WENT_BACK;
		case IOMMUCFG_STATE_FAILED:
			iommucfg_txn_report(txn, IOMMUCFG_REFUSED, cli->problems);
			return EARLY_BROKEN;
		case IOMMUCFG_STATE_UNKNOWN:
			iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "boot", EIO,
					      "what became of the initramfs's change cannot be read: see \"iommucfg status "
					      EARLY_TXN "\"");
			return EARLY_BROKEN;
		default:
			return EARLY_NONE;
		}
	}
}

/* By half is not applied: what is kept of it is undone where the rest has gone back. */
static enum early decide_both(struct cli *cli, struct iommucfg_txn *txn,
			      struct iommucfg_txn *other)
{
	enum early a = decide(cli, txn), b = other ? decide(cli, other) : EARLY_NONE;

	if (!other || b == EARLY_NONE || a == b)
		return a;
	if (a == EARLY_BROKEN || b == EARLY_BROKEN)
		return EARLY_BROKEN;
	iommucfg_txn_allow_way_back(a == EARLY_KEPT ? txn : other);
	return iommucfg_txn_rollback(a == EARLY_KEPT ? txn : other) ? EARLY_BROKEN :
								     EARLY_WENT_BACK;
}

static struct history_end end_of(enum early early)
{
	struct history_end end = { .transaction = EARLY_TXN };

	switch (early) {
	case EARLY_KEPT:
		end.result = "committed";
		end.code = EXIT_DONE;
		break;
	case EARLY_WENT_BACK:
		end.result = "restored";
		end.code = EXIT_RESTORED;
		break;
	default:
		end.result = "failed";
		end.code = EXIT_BROKEN;
		break;
	}
	return end;
}

/* What became of the initramfs's change; one that waits for it is confirmed. */
enum early early_confirm(struct cli *cli)
{
	struct iommucfg_txn *txn, *other = NULL;
	struct history_end end;
	struct recorder by = cli_recorder(cli);
	struct record *record;
	enum early early;

	if (iommucfg_txn_open(cli->ctx, EARLY_TXN, &txn))
		return EARLY_NONE;
	iommucfg_txn_open_other(txn, &other, NULL);
	early = decide_both(cli, txn, other);
	end = end_of(early);
	/* The entry that was made in the initramfs, if there is one. */
	if (early != EARLY_NONE && history_import(cli->ctx, &end) != 1) {
		record = record_begin(&by, txn, false);
		record_end(record, EARLY_TXN, end.result, end.code);
	}
	if (early != EARLY_BROKEN && other)
		iommucfg_txn_forget(other);
	if (early != EARLY_BROKEN)
		iommucfg_txn_forget(txn);
	iommucfg_txn_unref(other);
	iommucfg_txn_unref(txn);
	return early;
}
