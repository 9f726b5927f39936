// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The transactions of a run. Groups whose disks are held or mounted go in one of their
 * own: the kernel's word "block", which they need, holds for all of a transaction, and
 * another group's disk that is opened meanwhile would go as well.
 */
#include <errno.h>

#include "run.h"

/* What the plan alone leads to, before anything is staged. */
int ic_run_judge(const struct iommucfg_run *run)
{
	const struct iommucfg_problems *problems = iommucfg_plan_problems(run->plan);

	if (iommucfg_problems_count(iommucfg_plan_conflicts(run->plan)) ||
	    iommucfg_problems_at_least(problems, IOMMUCFG_ERROR))
		return IOMMUCFG_RUN_ERROR;
	if (iommucfg_problems_at_least(problems, IOMMUCFG_REFUSED))
		return IOMMUCFG_RUN_REFUSED;
	return IOMMUCFG_RUN_DONE;
}

int ic_run_refused(struct iommucfg_run *run, const char *what, int ret)
{
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "kernel", -ret, "%s: %s", what,
			      iommucfg_txn_refusal(ret));
	return IOMMUCFG_RUN_REFUSED;
}

static int set_up(struct iommucfg_run *run, struct iommucfg_txn *txn, bool blocks)
{
	int words = run->options.allow_in_use, ret;

	ret = iommucfg_txn_set_generation(txn, run->generation);
	if (!ret)
		ret = iommucfg_txn_set_allow_in_use(txn, blocks ? words :
							 words & ~IC_WORDS_BLOCK);
	if (!ret)
		ret = iommucfg_txn_set_disruption(txn, run->plan->options.disruption);
	if (!ret)
		ret = iommucfg_txn_set_confirm_timeout(txn, run->plan->options.confirm_timeout);
	return ret ? ic_run_refused(run, "the transaction cannot be set up", ret) :
		     IOMMUCFG_RUN_DONE;
}

/* Makes a transaction, with its part of the plan in it, and has the kernel check it. */
static int stage_part(struct iommucfg_run *run, const char *name, bool blocks,
		      struct iommucfg_txn **txn)
{
	int ret;

	ret = iommucfg_txn_create(run->ctx, name, txn, run->problems);
	if (ret)
		return ret == -EEXIST ? IOMMUCFG_RUN_REFUSED : IOMMUCFG_RUN_ERROR;
	if (run->command)
		ic_creator_write(run->ctx, iommucfg_txn_name(*txn), run->command, NULL);
	ic_run_say(run, IOMMUCFG_RUN_DEBUG, "transaction \"%s\", generation %llu",
		   iommucfg_txn_name(*txn), (unsigned long long)run->generation);
	ret = set_up(run, *txn, blocks);
	if (ret)
		return ret;
	if (iommucfg_txn_stage_part(*txn, run->plan, blocks, run->problems) < 0)
		return IOMMUCFG_RUN_REFUSED;
	ret = iommucfg_plan_check(run->plan, *txn);
	if (!ret)
		return IOMMUCFG_RUN_DONE;
	ic_run_say(run, IOMMUCFG_RUN_DEBUG, "check: %s", strerror(-ret));
	if (ret == -EACCES) {
		iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "system", EACCES,
				      "the kernel does not let this process change groups: CAP_SYS_ADMIN and CAP_SYS_RAWIO are needed in the initial user namespace");
		return IOMMUCFG_RUN_ERROR;
	}
	ret = ic_run_judge(run);
	return ret == IOMMUCFG_RUN_DONE ? IOMMUCFG_RUN_REFUSED : ret;
}

static void forget(struct iommucfg_run *run, struct iommucfg_txn *txn)
{
	enum iommucfg_state state;

	if (!txn)
		return;
	state = iommucfg_txn_state(txn);
	if (state != IOMMUCFG_STATE_UNCONFIRMED && state != IOMMUCFG_STATE_FAILED &&
	    state != IOMMUCFG_STATE_UNKNOWN && (!run->result || strcmp(run->result, "left")))
		iommucfg_txn_forget(txn);
	iommucfg_txn_unref(txn);
}

static size_t count_part(const struct iommucfg_run *run, bool blocks)
{
	size_t i, n = 0;

	for (i = 0; i < run->plan->changes.n; i++)
		n += run->plan->changes.v[i]->blocks == blocks;
	return n;
}

/* "NAME-block", within what a name may have. */
static void second_name(const struct iommucfg_run *run, char *buf, size_t size)
{
	static const char suffix[] = "-block";

	snprintf(buf, size, "%.*s%s", (int)(IOMMUCFG_TXN_NAME_MAX - strlen(suffix)), run->name,
		 suffix);
}

static void link_parts(struct iommucfg_run *run)
{
	const char *first = iommucfg_txn_name(run->txn), *second = iommucfg_txn_name(run->second);

	ic_creator_write(run->ctx, first, run->command, &(struct ic_part){ second, true });
	ic_creator_write(run->ctx, second, run->command, &(struct ic_part){ first, false });
}

int ic_run_stage_parts(struct iommucfg_run *run)
{
	char name[IOMMUCFG_TXN_NAME_MAX + 1];
	int code = IOMMUCFG_RUN_DONE;

	if (count_part(run, false))
		code = stage_part(run, run->name, false, &run->txn);
	/* The check may have found some that are to go in the other one. */
	if (!code && run->txn && !count_part(run, false))
		ic_run_forget(run);
	if (!code && !run->txn && count_part(run, true)) {
		code = stage_part(run, run->name, true, &run->txn);
	} else if (!code && count_part(run, true)) {
		if (run->name)
			second_name(run, name, sizeof(name));
		code = stage_part(run, run->name ? name : NULL, true, &run->second);
		/* Or have left out what is in use. */
		if (!code && !count_part(run, true)) {
			forget(run, run->second);
			run->second = NULL;
		}
		if (!code && run->second)
			link_parts(run);
	}
	run->working = run->txn;
	if (run->txn)
		snprintf(run->transaction, sizeof(run->transaction), "%s",
			 iommucfg_txn_name(run->txn));
	return code;
}

/* Removes what was made; what is unconfirmed or failed stays. */
void ic_run_forget(struct iommucfg_run *run)
{
	forget(run, run->txn);
	forget(run, run->second);
	run->txn = NULL;
	run->second = NULL;
	run->working = NULL;
}
