// SPDX-License-Identifier: GPL-2.0
/*
 * One run at a time, from reading the policy to telling the kernel of devices to come.
 * The kernel keeps two commits apart and refuses the one whose plan is of before the
 * other, but of two policies it does not know the newer one: who reads first and ends
 * last would leave the older one's standing rules, or its types. And while one waits
 * for its devices to settle it would take another's change for its own gone wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* A change takes about as long as its slowest driver, and settles for ten seconds. */
#define WAIT_SECONDS	30
#define WAIT_PAUSE	100

/* Only root can open it, so that only root can hold anybody up. */
static int open_lock(struct cli *cli)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/run/iommucfg/change.lock", iommucfg_root(cli->ctx)) < 0)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = -errno;
	free(path);
	return fd;
}

/* Who has it, as he has written; 0 if that cannot be told. */
static long holder(int fd)
{
	char buf[32];
	ssize_t n;

	n = pread(fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	return strtol(buf, NULL, 10);
}

static void write_holder(int fd)
{
	char buf[32];
	int n;

	n = snprintf(buf, sizeof(buf), "%ld\n", (long)getpid());
	/* For messages only. */
	if (!ftruncate(fd, 0))
		(void)!pwrite(fd, buf, n, 0);
}

static int busy(struct run *run, int fd)
{
	char who[48] = "";

	if (holder(fd) > 0)
		snprintf(who, sizeof(who), " (process %ld)", holder(fd));
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "another iommucfg%s is changing groups, for more than %d seconds now: nothing was touched; try again later",
			      who, WAIT_SECONDS);
	return EXIT_REFUSED;
}

static int wait_for(struct run *run, int fd)
{
	struct timespec now, start;
	struct cli *cli = run->cli;

	cli_note(cli, "another iommucfg is changing groups: waiting for it, up to %d seconds",
		 WAIT_SECONDS);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		/* It waits for somebody's word, and that may take its time. */
		if (cli_pending(cli, IOMMUCFG_REFUSED))
			return EXIT_REFUSED;
		if (signals_seen() || signals_wait(WAIT_PAUSE))
			return run_interrupted(run);
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return EXIT_DONE;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < WAIT_SECONDS);
	return busy(run, fd);
}

/*
 * EXIT_REFUSED after a problem. run_finish() lets it go. Where there can be no lock there
 * is a warning, and the run goes on: a machine whose /run is full shall boot. A child that
 * commits keeps the lock when this process is gone.
 */
int run_lock(struct run *run)
{
	struct cli *cli = run->cli;
	int fd, ret, code = EXIT_DONE;

	run->lock = -1;
	/* It will say so; nothing is to be left in a tree that is only looked at. */
	if (iommucfg_kernel_probe(cli->ctx, NULL) || geteuid())
		return EXIT_DONE;
	ret = state_make_run(cli->ctx);
	if (ret == -ENOENT) {
		cli_debug(cli, "without /run no other iommucfg is kept from changing groups meanwhile");
		return EXIT_DONE;
	}
	fd = ret ? ret : open_lock(cli);
	ret = fd < 0 ? fd : 0;
	if (!ret && flock(fd, LOCK_EX | LOCK_NB))
		ret = -errno;
	if (ret == -EWOULDBLOCK) {
		code = wait_for(run, fd);
	} else if (ret) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "system", -ret,
				      "no other iommucfg is kept from changing groups meanwhile: %s/run/iommucfg/change.lock: %s",
				      iommucfg_root(cli->ctx), strerror(-ret));
	}
	if (code || (ret && ret != -EWOULDBLOCK)) {
		if (fd >= 0)
			close(fd);
		return code;
	}
	write_holder(fd);
	run->lock = fd;
	return EXIT_DONE;
}

void run_unlock(struct run *run)
{
	if (run->lock >= 0)
		close(run->lock);
	run->lock = -1;
}
