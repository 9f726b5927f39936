// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The transactions of a run. Groups whose disks are held or mounted go in one of their
 * own: the kernel's word "block", which they need, holds for all of a transaction, and
 * another group's disk that is opened meanwhile would go as well. So do groups that are in
 * use and may be paused, but not rebound, where others are rebound.
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

static int set_up(struct iommucfg_run *run, struct iommucfg_txn *txn, enum iommucfg_part part)
{
	int words = run->options.allow_in_use, ret;

	ret = iommucfg_txn_set_generation(txn, run->generation);
	if (!ret)
		ret = iommucfg_txn_set_allow_in_use(txn, part == IOMMUCFG_PART_BLOCK ? words :
							 words & ~IC_WORDS_BLOCK);
	if (!ret)
		ret = iommucfg_txn_set_confirm_timeout(txn, run->plan->options.confirm_timeout);
	return ret ? ic_run_refused(run, "the transaction cannot be set up", ret) :
		     IOMMUCFG_RUN_DONE;
}

/* Makes a transaction, with its part of the plan in it, and has the kernel check it. */
static int stage_part(struct iommucfg_run *run, const char *name, enum iommucfg_part part,
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
	ret = set_up(run, *txn, part);
	if (ret)
		return ret;
	if (iommucfg_txn_stage_part(*txn, run->plan, part, run->problems) < 0)
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

void ic_run_forget_txn(struct iommucfg_run *run, struct iommucfg_txn *txn)
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

/* "NAME-block", within what a name may have. */
static void second_name(const struct iommucfg_run *run, enum iommucfg_part part, char *buf,
			size_t size)
{
	const char *suffix = part == IOMMUCFG_PART_BLOCK ? "-block" : "-pause";

	snprintf(buf, size, "%.*s%s", (int)(IOMMUCFG_TXN_NAME_MAX - strlen(suffix)), run->name,
		 suffix);
}

static int too_many(struct iommucfg_run *run)
{
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", E2BIG,
			      "groups that are in use and can only be paused, disks in use that go away, and other groups that are rebound do not go in one change: change some of them first, by \"iommucfg set\"");
	ic_problem_cure(run->problems, "too-many-parts", NULL);
	return IOMMUCFG_RUN_REFUSED;
}

static void link_parts(struct iommucfg_run *run)
{
	const char *first = iommucfg_txn_name(run->txn), *second = iommucfg_txn_name(run->second);

	ic_creator_write(run->ctx, first, run->command, &(struct ic_part){ second, true });
	ic_creator_write(run->ctx, second, run->command, &(struct ic_part){ first, false });
}

/* A part with changes in it: one more transaction, unless its check leaves none of them. */
static int add_part(struct iommucfg_run *run, enum iommucfg_part part)
{
	char name[IOMMUCFG_TXN_NAME_MAX + 1];
	struct iommucfg_txn **txn = run->txn ? &run->second : &run->txn;
	int code;

	if (run->second)
		return too_many(run);
	if (run->txn)
		run->second_part = part;
	if (run->txn && run->name)
		second_name(run, part, name, sizeof(name));
	code = stage_part(run, run->txn && run->name ? name : run->name, part, txn);
	/* It may have found that all are to go in a later one, or left out what is in use. */
	if (!code && !ic_plan_count_part(run->plan, part)) {
		ic_run_forget_txn(run, *txn);
		*txn = NULL;
	}
	return code;
}

int ic_run_stage_parts(struct iommucfg_run *run)
{
	static const enum iommucfg_part parts[] = {
		IOMMUCFG_PART_MAIN, IOMMUCFG_PART_BLOCK, IOMMUCFG_PART_PAUSE,
	};
	int code = IOMMUCFG_RUN_DONE;
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(*parts) && !code; i++)
		if (ic_plan_count_part(run->plan, parts[i]))
			code = add_part(run, parts[i]);
	if (!code && run->second)
		link_parts(run);
	run->working = run->txn;
	if (run->txn)
		snprintf(run->transaction, sizeof(run->transaction), "%s",
			 iommucfg_txn_name(run->txn));
	return code ? code : ic_run_self_stage(run);
}

/* Removes what was made; what is unconfirmed or failed stays. */
void ic_run_forget(struct iommucfg_run *run)
{
	ic_run_forget_txn(run, run->txn);
	ic_run_forget_txn(run, run->second);
	run->txn = NULL;
	run->second = NULL;
	run->working = NULL;
	ic_run_forget_steps(run);
}
