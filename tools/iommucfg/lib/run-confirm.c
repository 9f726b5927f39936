// SPDX-License-Identifier: LGPL-2.1-or-later
/* After the commit: kept, undone by a person, or undone by the kernel's timer. */
#include <errno.h>
#include <string.h>

#include "run.h"

static int not_confirmed(struct iommucfg_run *run)
{
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", ETIMEDOUT,
			      "transaction \"%s\" was not confirmed in time and has been undone",
			      run->transaction);
	ic_problem_cure(run->problems, "not-confirmed", NULL);
	return IOMMUCFG_RUN_RESTORED;
}

/*
 * Waits until the transaction is over, and says how. It may be gone: whoever
 * confirmed it or rolled it back has removed it, then the types tell.
 */
int ic_run_end_step(struct iommucfg_run *run)
{
	enum iommucfg_state state;

	if (ic_run_state(run, &state))
		return IOMMUCFG_RUN_AGAIN;
	switch (state) {
	case IOMMUCFG_STATE_COMMITTED:
		return IOMMUCFG_RUN_DONE;
	case IOMMUCFG_STATE_ROLLED_BACK:
		/* By half is not as before. */
		if (ic_run_is_mixed(run))
			return ic_run_roll_back(run);
		return run->after == IOMMUCFG_RUN_FAILED ? IOMMUCFG_RUN_FAILED :
							   not_confirmed(run);
	case IOMMUCFG_STATE_FAILED:
		ic_run_report(run);
		return IOMMUCFG_RUN_FAILED;
	case IOMMUCFG_STATE_GONE:
		return iommucfg_witness_unmade(run->witness) ? not_confirmed(run) :
							       IOMMUCFG_RUN_DONE;
	case IOMMUCFG_STATE_UNKNOWN:
		return IOMMUCFG_RUN_FAILED;
	default:
		if (state == IOMMUCFG_STATE_UNCONFIRMED && ic_run_faulted(run))
			return ic_run_roll_back(run);
		if (state == IOMMUCFG_STATE_UNCONFIRMED)
			ic_run_network_again(run, false);
		/* Suspend may have refused the confirmation. */
		if (state == IOMMUCFG_STATE_UNCONFIRMED && run->self_timeout && run->keeping)
			return ic_run_keep(run);
		/* In the kernel's hands a request has no effect. */
		if (!ic_run_cancelled(run))
			break;
		ic_run_forget_cancel(run);
		if (state == IOMMUCFG_STATE_UNCONFIRMED)
			return ic_run_roll_back(run);
	}
	return IOMMUCFG_RUN_AGAIN;
}

/* What the verdict, or a person, says yes to. */
int ic_run_keep(struct iommucfg_run *run)
{
	enum iommucfg_state state;
	int ret;

	run->keeping = true;
	/* Its time is over before that of the second. */
	ret = iommucfg_txn_confirm(run->txn);
	if (!ret && ic_run_is_split(run))
		ret = iommucfg_txn_confirm(run->second);
	if (!ret)
		return IOMMUCFG_RUN_DONE;
	/* Whoever has removed it has confirmed it, or rolled it back. */
	if (ret == -EBUSY || ret == -ENOENT ||
	    (!ic_run_state(run, &state) && state == IOMMUCFG_STATE_GONE)) {
		ic_run_enter(run, IC_PHASE_END);
		return IOMMUCFG_RUN_AGAIN;
	}
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "kernel", -ret,
			      "the confirmation: %s", strerror(-ret));
	return ic_run_roll_back(run);
}

/* An unconfirmed commit, and a caller who knows whom to ask. */
int ic_run_ask_step(struct iommucfg_run *run)
{
	enum iommucfg_run_answer answer = IOMMUCFG_RUN_NO;
	long left = run->plan->options.confirm_timeout - ic_run_elapsed(run);
	enum iommucfg_state state;
	long remaining;

	/* The kernel's clock is the one that counts; "iommucfg extend" may have set it anew. */
	if (!iommucfg_txn_remaining(run->txn, &remaining))
		left = remaining;
	if (ic_run_faulted(run))
		return ic_run_roll_back(run);
	ic_run_network_again(run, false);
	if (ic_run_cancelled(run))
		ic_run_forget_cancel(run);
	else
		answer = run->question(run, left > 0 ? left : 0, run->question_data);
	if (answer == IOMMUCFG_RUN_YES)
		return ic_run_keep(run);
	if (answer == IOMMUCFG_RUN_NO)
		return ic_run_roll_back(run);
	if (!ic_run_state(run, &state) && state != IOMMUCFG_STATE_UNCONFIRMED)
		ic_run_enter(run, IC_PHASE_END);
	return IOMMUCFG_RUN_AGAIN;
}
