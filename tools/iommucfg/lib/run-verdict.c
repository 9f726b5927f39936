// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The verdict on a commit, once the devices are back: the check command of the policy. It can
 * only say no; then the change goes back.
 */
#include <errno.h>
#include <string.h>

#include "run.h"

/* What still runs so many seconds before the kernel undoes the change has failed. */
#define BEFORE_END	5
/* How long faults are looked for at least, where devices are waited for. */
#define FAULTS_MSEC	200

/* Seconds that are left for a verdict; -1 where nothing counts down. */
static long seconds_left(struct iommucfg_run *run)
{
	enum iommucfg_state state;
	long remaining;

	if (!run->plan->options.confirm_timeout && !run->self_timeout)
		return -1;
	if (iommucfg_txn_remaining(run->txn, &remaining))
		return -1;
	/* Another process may have confirmed it: then nothing counts down either. */
	if (!remaining && !ic_run_state(run, &state) && ic_run_is_kept(run, state))
		return -1;
	return remaining > BEFORE_END ? remaining - BEFORE_END : 0;
}

/* Of @seconds those that there are. */
long ic_run_seconds(struct iommucfg_run *run, long seconds)
{
	long left = seconds_left(run);

	return left >= 0 && left < seconds ? left : seconds;
}

/* With a confirm timeout: is there no time left? */
bool ic_run_is_late(struct iommucfg_run *run)
{
	return !seconds_left(run);
}

static int start_check(struct ic_child *child, char *const *command, long seconds,
		       struct iommucfg_problems *problems)
{
	struct ic_program program = {
		.argv = command, .input = -1, .copy_to = -1, .kill_rest = true, .limit = seconds,
	};
	int ret = ic_child_start(child, &program);

	if (ret)
		iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "check-command", -ret,
				      "the check command \"%s\" cannot be run: %s", command[0],
				      strerror(-ret));
	return ret;
}

/* It has ended: false where it says no. */
static bool check_says_yes(const struct ic_child *child, char *const *command,
			   struct iommucfg_problems *problems)
{
	char *why;

	if (!ic_child_failed(child))
		return true;
	why = ic_child_describe(child);
	iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "check-command",
			      child->timed_out ? ETIMEDOUT : ECANCELED,
			      "the check command \"%s\" %s", command[0], why ? why : "failed");
	free(why);
	return false;
}

int iommucfg_check_run(char *const *command, long seconds, struct iommucfg_problems *problems)
{
	struct ic_child child = { 0 };

	if (start_check(&child, command, seconds > 0 ? seconds : DEFAULT_CHECK_TIMEOUT, problems))
		return IOMMUCFG_RUN_REFUSED;
	while (ic_child_runs(&child))
		ic_child_wait(&child);
	return check_says_yes(&child, command, problems) ? IOMMUCFG_RUN_DONE :
							   IOMMUCFG_RUN_REFUSED;
}

static int begin_check(struct iommucfg_run *run)
{
	ic_run_say(run, IOMMUCFG_RUN_DEBUG, "running \"%s\"", run->check_command[0]);
	if (start_check(&run->program, run->check_command,
			ic_run_seconds(run, run->check_timeout), run->problems))
		return ic_run_roll_back(run);
	ic_run_enter(run, IC_PHASE_CHECK);
	return IOMMUCFG_RUN_AGAIN;
}

/* A fault of the first DMA takes a moment to get into the log. */
static bool is_too_early(const struct iommucfg_run *run)
{
	return run->watch && run->phase == IC_PHASE_SETTLE &&
	       ic_run_elapsed_msec(run) < FAULTS_MSEC;
}

/* After settle, or in its place. DONE, AGAIN, or begins a rollback. */
int ic_run_verdict_begin(struct iommucfg_run *run)
{
	if (is_too_early(run))
		return IOMMUCFG_RUN_AGAIN;
	if (ic_run_faulted(run))
		return ic_run_roll_back(run);
	return run->check_command ? begin_check(run) : ic_run_after_begin(run);
}

/* Did the timer, or another process, end it? Then the phase is another one: 1. */
static int is_over(struct iommucfg_run *run)
{
	enum iommucfg_state state;

	if (ic_run_state(run, &state) || state == IOMMUCFG_STATE_UNCONFIRMED ||
	    ic_run_is_kept(run, state))
		return 0;
	ic_child_kill(&run->program);
	ic_run_enter(run, IC_PHASE_END);
	return 1;
}

/* While a program runs: true where the change goes back, or is over, whatever that says. */
bool ic_run_went_wrong(struct iommucfg_run *run)
{
	bool cancelled;

	if (is_over(run))
		return true;
	/* That was a no already. */
	if (run->final)
		return false;
	cancelled = ic_run_cancelled(run);
	if (cancelled)
		ic_run_forget_cancel(run);
	else if (!ic_run_faulted(run))
		return false;
	if (ic_run_is_final(run))
		return false;
	if (cancelled)
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "interrupted", EINTR,
				      "interrupted before the verdict: the change is undone");
	ic_child_kill(&run->program);
	ic_run_roll_back(run);
	return true;
}

int ic_run_check_step(struct iommucfg_run *run)
{
	if (ic_run_went_wrong(run) || ic_child_runs(&run->program))
		return IOMMUCFG_RUN_AGAIN;
	return check_says_yes(&run->program, run->check_command, run->problems) ?
	       IOMMUCFG_RUN_DONE : ic_run_roll_back(run);
}
