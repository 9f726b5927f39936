// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The commit. A child does the write that blocks, so that this process can
 * show the progress, and leave on a second request while the kernel works on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* The second one first. What one of them comes to does not keep the other one. */
static int roll_back(struct iommucfg_run *run)
{
	int ret = 0, first;

	if (ic_run_is_split(run)) {
		iommucfg_txn_allow_way_back(run->second);
		ret = iommucfg_txn_rollback(run->second);
	}
	iommucfg_txn_allow_way_back(run->txn);
	first = iommucfg_txn_rollback(run->txn);
	return ret ? ret : first;
}

/* The parent is gone: without it the second commit does not come, so the first goes back. */
static void give_up_first(struct iommucfg_run *run, pid_t parent)
{
	if (!run->second || run->working == run->second || getppid() == parent)
		return;
	iommucfg_txn_allow_way_back(run->txn);
	iommucfg_txn_rollback(run->txn);
}

static void __attribute__((noreturn)) child(struct iommucfg_run *run, int fd, bool reverts,
					    pid_t parent)
{
	sigset_t all;
	int ret, null;

	/* Neither ^C nor the end of the terminal is for it, and no handler of the caller's. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
	/* A reader of this process's output must not wait for the child. */
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	ret = reverts ? roll_back(run) : iommucfg_txn_commit(run->working);
	if (write(fd, &ret, sizeof(ret)) < 0)
		null = -1;
	if (!ret && !reverts)
		give_up_first(run, parent);
	_exit(null < 0);
}

/* Has a child commit, or roll back. 0 or a negative errno. */
static int start_child(struct iommucfg_run *run, bool reverts)
{
	pid_t parent = getpid();
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	/* What is in a buffer of stdio's would be written twice. */
	fflush(NULL);
	run->child = fork();
	if (run->child < 0) {
		ret = -errno;
		close(fds[0]);
		close(fds[1]);
		return ret;
	}
	if (!run->child)
		child(run, fds[1], reverts, parent);
	close(fds[1]);
	run->child_fd = fds[0];
	run->child_reverts = reverts;
	run->child_over = false;
	run->told = false;
	return 0;
}

/* The child was killed: the kernel finishes all the same, and says how. 1: not yet. */
static int from_state(struct iommucfg_run *run, int *ret)
{
	enum iommucfg_state state;
	char word[32];
	size_t i;

	*ret = -EINTR;
	if (run->child_reverts ? ic_run_state(run, &state) :
				 ic_run_state_of(run, run->working, &state))
		return 1;
	switch (state) {
	case IOMMUCFG_STATE_COMMITTING:
	case IOMMUCFG_STATE_ROLLING_BACK:
		return 1;
	case IOMMUCFG_STATE_COMMITTED:
	case IOMMUCFG_STATE_UNCONFIRMED:
		if (!run->child_reverts)
			*ret = 0;
		return 0;
	case IOMMUCFG_STATE_FAILED:
	case IOMMUCFG_STATE_UNKNOWN:
		*ret = -EIO;
		return 0;
	case IOMMUCFG_STATE_ROLLED_BACK:
		*ret = run->child_reverts ? 0 : -ECANCELED;
		return 0;
	case IOMMUCFG_STATE_GONE:
		if (!run->child_reverts)
			*ret = iommucfg_witness_unmade(run->witness) ? -ECANCELED : 0;
		return 0;
	default:
		break;
	}
	for (i = 0; i < iommucfg_plan_num_changes(run->plan); i++)
		if (!iommucfg_txn_group_attr(run->working,
				iommucfg_group_number(iommucfg_change_group(
					iommucfg_plan_change(run->plan, i))),
				"status", word, sizeof(word)) && !strcmp(word, "restored"))
			*ret = -ECANCELED;
	return 0;
}

/* What the kernel said to the child; 1: nothing yet. */
static int look_at_child(struct iommucfg_run *run, int *ret)
{
	ssize_t n = 0;

	if (!run->child_over && run->child_fd >= 0) {
		n = read(run->child_fd, &run->child_ret, sizeof(run->child_ret));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 1;
		close(run->child_fd);
		run->child_fd = -1;
		/* The caller may have waited for it already. */
		waitpid(run->child, NULL, 0);
		run->child_over = n == sizeof(run->child_ret);
	}
	if (!run->child_over)
		run->child_over = !from_state(run, &run->child_ret);
	*ret = run->child_ret;
	return !run->child_over;
}

/* What had a device of the plan in use before the commit; "" for none that is known. */
static void holders_of(struct iommucfg_run *run, const char *name, char *buf, size_t size)
{
	const struct iommucfg_group *group;
	const struct iommucfg_device *device;
	size_t i, j, k, n = 0;

	*buf = '\0';
	for (i = 0; i < run->plan->changes.n; i++) {
		group = run->plan->changes.v[i]->group;
		for (j = 0; j < group->num_devices; j++) {
			device = group->devices[j];
			if (strcmp(device->name, name))
				continue;
			for (k = 0; k < device->num_uses && n < size; k++)
				n += snprintf(buf + n, size - n, "%s%s %s: %s", n ? ", " : "",
					      device->uses[k].kind, device->uses[k].name,
					      device->uses[k].detail);
		}
	}
}

static bool is_told(const struct iommucfg_problems *problems, const char *message)
{
	size_t i;

	for (i = 0; i < problems->n; i++)
		if (!strcmp(problems->v[i].message, message))
			return true;
	return false;
}

/* The kernel reports a step that takes longer than ten seconds: says which, once. */
static void look_for_hanging(struct iommucfg_run *run)
{
	struct iommucfg_problems *report;
	const struct iommucfg_problem *p;
	char holders[512];
	size_t i;

	if (ic_run_elapsed(run) == run->looked)
		return;
	run->looked = ic_run_elapsed(run);
	report = iommucfg_problems_new();
	if (!run->hanging)
		run->hanging = iommucfg_problems_new();
	if (report && run->hanging)
		iommucfg_txn_report(run->working, IOMMUCFG_WARNING, report);
	for (i = 0; report && run->hanging && i < report->n; i++) {
		p = &report->v[i];
		if (!p->error_word || strcmp(p->error_word, "EINPROGRESS") ||
		    is_told(run->hanging, p->message))
			continue;
		ic_problems_copy(run->hanging, p);
		holders_of(run, p->device ? p->device : "", holders, sizeof(holders));
		ic_run_say(run, IOMMUCFG_RUN_NOTE, "the kernel still waits: %s%s%s%s; \"dmesg\" may say why",
			   p->message, *holders ? " (in use: " : "", holders, *holders ? ")" : "");
	}
	iommucfg_problems_unref(report);
}

/* While the kernel is at work. LEFT where the caller does not want to wait for it. */
static int meanwhile(struct iommucfg_run *run)
{
	unsigned long done = 0, all = 0, more = 0, more_all = 0;
	unsigned int cancelled = ic_run_cancelled(run);

	if (cancelled > 1)
		return IOMMUCFG_RUN_LEFT;
	ic_run_faults_meanwhile(run);
	if (!run->child_reverts)
		ic_run_self_extend(run);
	if (run->progress && !iommucfg_txn_progress(run->txn, &done, &all) &&
	    run->second && !iommucfg_txn_progress(run->second, &more, &more_all)) {
		done += more;
		all += more_all;
	}
	if (run->progress && all)
		run->progress(run, done, all, run->progress_data);
	look_for_hanging(run);
	if (cancelled && !run->told) {
		run->told = true;
		ic_run_say(run, IOMMUCFG_RUN_NOTE,
			   "the kernel finishes what it began; once more leaves at once");
	}
	return IOMMUCFG_RUN_AGAIN;
}

int ic_run_commit_start(struct iommucfg_run *run)
{
	int ret;

	ic_run_watch_pauses(run);
	ret = start_child(run, false);
	if (ret) {
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "system", -ret,
				      "no process can be made for the commit: %s",
				      strerror(-ret));
		return IOMMUCFG_RUN_REFUSED;
	}
	ic_run_enter(run, IC_PHASE_COMMIT);
	return IOMMUCFG_RUN_AGAIN;
}

/* The second one came to @code: the first one does not stay without it. */
static int first_goes_back(struct iommucfg_run *run, int code)
{
	run->after = code;
	return ic_run_roll_back(run);
}

static int commit_second(struct iommucfg_run *run)
{
	int ret;

	run->working = run->second;
	/* The first commit has raised it by one. */
	ret = iommucfg_txn_set_generation(run->second, run->generation + 1);
	if (ret)
		return first_goes_back(run, ic_run_refused(run, "the transaction cannot be set up",
							   ret));
	if (ic_run_look_again(run))
		return first_goes_back(run, IOMMUCFG_RUN_REFUSED);
	ret = start_child(run, false);
	if (ret)
		return first_goes_back(run, ic_run_refused(run, "no process can be made for the commit",
							   ret));
	return IOMMUCFG_RUN_AGAIN;
}

int ic_run_commit_step(struct iommucfg_run *run)
{
	int ret, code;

	if (look_at_child(run, &ret))
		return meanwhile(run);
	ic_run_say(run, IOMMUCFG_RUN_DEBUG, "commit: %s", ret ? strerror(-ret) : "done");
	if (!ret && run->second && run->working != run->second)
		return commit_second(run);
	ic_run_note_methods(run, ret);
	if (!ret)
		return IOMMUCFG_RUN_DONE;
	if (iommucfg_txn_report(run->working, IOMMUCFG_REFUSED, run->problems) <= 0)
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "kernel", -ret,
				      "the commit: %s", iommucfg_txn_refusal(ret));
	code = ret == -ECANCELED ? IOMMUCFG_RUN_RESTORED :
	       ret == -EIO ? IOMMUCFG_RUN_FAILED : IOMMUCFG_RUN_REFUSED;
	return run->working == run->second ? first_goes_back(run, code) : code;
}

/*
 * Drivers are bound, but disks and interfaces may appear a moment later. One
 * that does not is reason to go back.
 */
int ic_run_settle_step(struct iommucfg_run *run)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	int n, code = IOMMUCFG_RUN_DONE;
	enum iommucfg_state state;

	n = iommucfg_witness_missing(run->witness, problems);
	/* What is not known to be there is not there. */
	if (n < 0)
		iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "settle", -n,
				      "whether the devices are back is not known: %s",
				      strerror(-n));
	if (ic_run_state(run, &state)) {
		code = IOMMUCFG_RUN_AGAIN;
	} else if (state != IOMMUCFG_STATE_UNCONFIRMED && !ic_run_is_kept(run, state)) {
		ic_run_enter(run, IC_PHASE_END);
		code = IOMMUCFG_RUN_AGAIN;
	} else if (ic_run_faulted(run)) {
		code = ic_run_roll_back(run);
	} else if (n) {
		code = IOMMUCFG_RUN_AGAIN;
		/* Who does not want to wait gets the answer of now. */
		if (ic_run_elapsed(run) >= ic_run_settle_seconds(run) || ic_run_is_late(run) ||
		    ic_run_cancelled(run)) {
			ic_run_forget_cancel(run);
			iommucfg_problems_append(run->problems, problems);
			code = ic_run_roll_back(run);
		}
	} else {
		code = ic_run_network_settle(run);
	}
	iommucfg_problems_unref(problems);
	return code;
}

/* Undoes the commit at once. */
int ic_run_roll_back(struct iommucfg_run *run)
{
	ic_run_network_again(run, true);
	ic_run_enter(run, IC_PHASE_ROLLBACK);
	if (start_child(run, true)) {
		/* Without a child there is no progress to show. */
		run->child_ret = roll_back(run);
		run->child_over = run->child_reverts = true;
	}
	return IOMMUCFG_RUN_AGAIN;
}

int ic_run_rollback_step(struct iommucfg_run *run)
{
	enum iommucfg_state state;
	int ret;

	if (look_at_child(run, &ret))
		return meanwhile(run);
	if (!ret)
		return run->after == IOMMUCFG_RUN_FAILED ? IOMMUCFG_RUN_FAILED :
							   IOMMUCFG_RUN_RESTORED;
	/* The timer, or another process, may have undone it before. */
	if (ic_run_state(run, &state))
		return IOMMUCFG_RUN_AGAIN;
	if (ic_run_is_final(run))
		return ic_run_after_rest(run);
	if (state == IOMMUCFG_STATE_ROLLING_BACK || state == IOMMUCFG_STATE_ROLLED_BACK ||
	    state == IOMMUCFG_STATE_GONE) {
		ic_run_enter(run, IC_PHASE_END);
		return IOMMUCFG_RUN_AGAIN;
	}
	if (!ic_run_report(run))
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "kernel", -ret,
				      "the rollback: %s", strerror(-ret));
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", -ret,
			      "transaction \"%s\" is %s: its rollback did not succeed (%s)",
			      run->transaction, iommucfg_state_name(state), strerror(-ret));
	ic_problem_cure(run->problems, "rollback-failed", "iommucfg rollback %s",
			run->transaction);
	/* Still committed: keep the kernel's record that undoes it. */
	if (state == IOMMUCFG_STATE_COMMITTED || state == IOMMUCFG_STATE_UNKNOWN) {
		iommucfg_txn_unref(run->txn);
		iommucfg_txn_unref(run->second);
		run->txn = run->second = run->working = NULL;
	}
	return IOMMUCFG_RUN_FAILED;
}
