// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One run at a time, from reading the policy to telling the kernel of devices to come.
 * The kernel keeps two commits apart and refuses the one whose plan is of before the
 * other, but of two policies it does not know the newer one: who reads first and ends
 * last would leave the older one's standing rules, or its types. And while one waits
 * for its devices to settle it would take another's change for its own gone wrong.
 * No question is asked under the lock: who does not answer would hold up the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "run.h"
#include "state.h"

/* A change takes about as long as its slowest driver, and settles for ten seconds. */
#define WAIT_SECONDS	30

/* Only root can open it, so that only root can hold anybody up. */
static int open_lock(struct iommucfg *ctx)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/run/iommucfg/change.lock", iommucfg_root(ctx)) < 0)
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

/* The process that has the lock, in words. */
static void who(int fd, char *buf, size_t size)
{
	long pid = holder(fd);

	*buf = '\0';
	if (pid > 0)
		snprintf(buf, size, " (process %ld)", pid);
}

static int busy(struct iommucfg_run *run)
{
	char name[48];

	who(run->lock_wait, name, sizeof(name));
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "another iommucfg%s is changing groups, for more than %d seconds now: nothing was touched; try again later",
			      name, WAIT_SECONDS);
	ic_problem_cure(run->problems, "busy", NULL);
	return IOMMUCFG_RUN_REFUSED;
}

static int take(struct iommucfg_run *run)
{
	write_holder(run->lock_wait);
	run->lock = run->lock_wait;
	run->lock_wait = -1;
	return IOMMUCFG_RUN_DONE;
}

/*
 * Also while a change waits for its verdict, in whose course it has let the lock go, or whose
 * process was killed.
 */
static int try_lock(struct iommucfg_run *run)
{
	if (flock(run->lock_wait, LOCK_EX | LOCK_NB))
		return -errno;
	if (!ic_txn_any_judged(run->ctx))
		return 0;
	flock(run->lock_wait, LOCK_UN);
	return -EWOULDBLOCK;
}

int ic_run_lock_step(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_AGAIN;

	/* The other run waits for a confirmation, which may take long. */
	if (ic_txn_pending(run->ctx, IOMMUCFG_REFUSED, false, run->problems))
		code = IOMMUCFG_RUN_REFUSED;
	else if (ic_run_cancelled(run))
		code = ic_run_interrupted(run);
	else if (!try_lock(run))
		return take(run);
	else if (ic_run_elapsed(run) >= WAIT_SECONDS)
		code = busy(run);
	if (code != IOMMUCFG_RUN_AGAIN) {
		close(run->lock_wait);
		run->lock_wait = -1;
	}
	return code;
}

/*
 * Called by a hook of a change that waits for this hook? To wait for that change would be to
 * wait for each other.
 */
static bool is_in_hook(struct iommucfg_run *run)
{
	const char *name = getenv("IOMMUCFG_TRANSACTION");
	struct iommucfg_txn *txn;
	bool judged;

	if (!name || iommucfg_txn_open(run->ctx, name, &txn))
		return false;
	judged = ic_txn_is_judged(txn);
	iommucfg_txn_unref(txn);
	if (!judged)
		return false;
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", EDEADLK,
			      "transaction \"%s\" is final only when its hooks have ended, and this was called by one of them: nothing was touched",
			      name);
	ic_problem_cure(run->problems, "in-hook", NULL);
	return true;
}

/*
 * REFUSED after a problem, AGAIN where another one has it. Where there can be no lock
 * there is a warning, and the run goes on: a machine whose /run is full shall boot. A
 * child that commits keeps the lock when this process is gone.
 */
int ic_run_lock(struct iommucfg_run *run)
{
	int fd, ret;

	/* It will say so; nothing is to be left in a tree that is only looked at. */
	if (run->lock >= 0 || iommucfg_kernel_probe(run->ctx, NULL) || geteuid())
		return IOMMUCFG_RUN_DONE;
	if (is_in_hook(run))
		return IOMMUCFG_RUN_REFUSED;
	ret = state_make_run(run->ctx);
	if (ret == -ENOENT) {
		ic_run_say(run, IOMMUCFG_RUN_DEBUG,
			   "without /run no other iommucfg is kept from changing groups meanwhile");
		return IOMMUCFG_RUN_DONE;
	}
	fd = ret ? ret : open_lock(run->ctx);
	ret = fd < 0 ? fd : 0;
	run->lock_wait = fd < 0 ? -1 : fd;
	if (!ret)
		ret = try_lock(run);
	if (!ret)
		return take(run);
	if (ret == -EWOULDBLOCK) {
		ic_run_say(run, IOMMUCFG_RUN_NOTE,
			   "another iommucfg is changing groups: waiting for it, up to %d seconds",
			   WAIT_SECONDS);
		ic_run_enter(run, IC_PHASE_LOCK);
		return IOMMUCFG_RUN_AGAIN;
	}
	iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "system", -ret,
			      "no other iommucfg is kept from changing groups meanwhile: %s/run/iommucfg/change.lock: %s",
			      iommucfg_root(run->ctx), strerror(-ret));
	ic_run_unlock(run);
	return IOMMUCFG_RUN_DONE;
}

/*
 * After the lock was let go. False where another process has had
 * it for long, or cannot be kept out.
 */
static bool lock_again(struct iommucfg_run *run)
{
	int fd = open_lock(run->ctx);

	ic_run_enter(run, IC_PHASE_NONE);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		if (run->nonblocking || ic_run_elapsed(run) >= WAIT_SECONDS) {
			close(fd);
			return false;
		}
		poll(NULL, 0, 100);
	}
	if (fd >= 0)
		write_holder(fd);
	run->lock = fd;
	return fd >= 0;
}

/* For as long as something is waited for that may need it, or take long. */
void ic_run_lend_lock(struct iommucfg_run *run)
{
	ic_run_unlock(run);
	iommucfg_kernel_generation(run->ctx, &run->before_lending);
}

void ic_run_take_lock_back(struct iommucfg_run *run)
{
	uint64_t now = 0;

	iommucfg_kernel_generation(run->ctx, &now);
	run->overtaken |= !lock_again(run) || now != run->before_lending;
}

void ic_run_unlock(struct iommucfg_run *run)
{
	if (run->lock >= 0)
		close(run->lock);
	if (run->lock_wait >= 0)
		close(run->lock_wait);
	run->lock = -1;
	run->lock_wait = -1;
}
