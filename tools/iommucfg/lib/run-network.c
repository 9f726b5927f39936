// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The network, and mounts, before and after a change: looked at before the commit, compared and put
 * back after it, and after the change went back.
 */
#include <errno.h>

#include <json-c/json.h>

#include "net-snapshot.h"
#include "run.h"

/* How often it is looked at while a change is unconfirmed. */
#define AGAIN_MSEC	3000

/* In which devices must be back, and what nothing manages. */
long ic_run_settle_seconds(const struct iommucfg_run *run)
{
	return run->settle < 0 ? IC_NET_SECONDS : run->settle;
}

/* In which a network manager must bring its interfaces back. */
static long manager_seconds(const struct iommucfg_run *run)
{
	long half = run->plan->options.confirm_timeout / 2;

	if (run->settle >= 0)
		return run->settle;
	return !half || half > IC_NET_MANAGER_SECONDS ? IC_NET_MANAGER_SECONDS : half;
}

/* How long settle may take. Another root has no network of this machine's. */
long ic_run_settle_limit(const struct iommucfg_run *run)
{
	long own = ic_run_settle_seconds(run), manager = manager_seconds(run);

	return *run->ctx->root || manager < own ? own : manager;
}

/* Right before the commit. */
void ic_run_network_take(struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	unsigned int *groups;
	size_t i;
	int ret = -ENOMEM;

	ic_run_network_free(run);
	run->network_same = false;
	/* The end of the run may tell of them. */
	iommucfg_plan_num_losses(run->plan);
	groups = calloc(changes->n + 1, sizeof(*groups));
	for (i = 0; groups && i < changes->n; i++)
		groups[i] = changes->v[i]->group->number;
	if (groups)
		ret = ic_run_mounts_take(run);
	if (groups && !ret)
		ret = iommucfg_network_new(run->ctx, groups, changes->n, &run->network);
	free(groups);
	if (!ret)
		ret = ic_run_legs_take(run);
	if (!ret)
		return;
	iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "settle", -ret,
			      "addresses and routes cannot be read (%s): whether they are there after the change is not known, and none is put back",
			      strerror(-ret));
	ic_problem_cure(run->problems, "network-unread", NULL);
}

/* Puts back what can be put back at once; for a run that does not wait. */
void ic_run_network_put(struct iommucfg_run *run)
{
	if (run->network)
		ic_net_put_back(run->network);
}

/*
 * While a change is unconfirmed what is on the interfaces may be changed by others: a rollback
 * puts back what there was right before it. Not where something is still missing.
 */
void ic_run_network_again(struct iommucfg_run *run, bool now)
{
	struct iommucfg_network *again = NULL;
	enum iommucfg_state state;

	if (!run->network || !run->network_same ||
	    (!now && ic_run_elapsed_msec(run) - run->network_looked < AGAIN_MSEC))
		return;
	run->network_looked = ic_run_elapsed_msec(run);
	if (ic_net_snapshot_again(run->network, &again) || !again)
		return;
	/* A rollback may have begun meanwhile. */
	if (ic_run_state(run, &state) || (state != IOMMUCFG_STATE_UNCONFIRMED &&
					  state != IOMMUCFG_STATE_COMMITTED)) {
		iommucfg_network_unref(again);
		return;
	}
	iommucfg_network_unref(run->network);
	run->network = again;
}

static enum ic_net_outcome look(struct iommucfg_run *run, bool refuse)
{
	struct ic_net_limits limits = { ic_run_settle_seconds(run), manager_seconds(run) };
	bool cancelled = ic_run_cancelled(run) || (refuse && ic_run_is_late(run));
	enum ic_net_outcome outcome = IC_NET_SAME;

	/* A request to stop, or the end of the confirm timeout, ends the waiting. */
	if (cancelled)
		limits = (struct ic_net_limits){ 0 };
	if (run->network)
		outcome = ic_net_settle(run->network, ic_run_elapsed(run), &limits, refuse,
					run->problems);
	if (cancelled && outcome != IC_NET_SAME)
		ic_run_forget_cancel(run);
	if (outcome != IC_NET_AGAIN)
		run->differs = ic_run_mounts_missing(run) || outcome != IC_NET_SAME;
	return outcome;
}

/* Part of IC_PHASE_SETTLE, once the devices are back: DONE, AGAIN, or begins a rollback. */
int ic_run_network_settle(struct iommucfg_run *run)
{
	switch (look(run, true)) {
	case IC_NET_AGAIN:
		return IOMMUCFG_RUN_AGAIN;
	case IC_NET_VITAL:
		return ic_run_roll_back(run);
	default:
		run->network_same = !run->differs;
		if (run->network_same && run->watcher)
			ic_creator_set(run->ctx, run->transaction, "settled",
				       json_object_new_boolean(true));
		return IOMMUCFG_RUN_DONE;
	}
}

/* The change went back, with the outcome @code, which is returned when the network is back. */
int ic_run_network_restore(struct iommucfg_run *run, int code)
{
	run->differs = false;
	if (!run->network && !run->mounts.n && !run->num_whole)
		return code;
	ic_run_forget_cancel(run);
	run->gone_back = code;
	run->settled = false;
	run->legs_looked = 0;
	ic_run_enter(run, IC_PHASE_RESTORE);
	return IOMMUCFG_RUN_AGAIN;
}

/* IC_PHASE_RESTORE */
int ic_run_network_step(struct iommucfg_run *run)
{
	if (!run->settled && look(run, false) == IC_NET_AGAIN)
		return IOMMUCFG_RUN_AGAIN;
	run->settled = true;
	switch (ic_run_legs_wait(run)) {
	case 1:
		return IOMMUCFG_RUN_AGAIN;
	case 0:
		return run->gone_back;
	default:
		run->differs = true;
		/* The earlier leg is the only one now. */
		return ic_run_has_earlier(run) ? IOMMUCFG_RUN_FAILED : run->gone_back;
	}
}

void ic_run_network_free(struct iommucfg_run *run)
{
	iommucfg_network_unref(run->network);
	run->network = NULL;
	ic_run_mounts_free(run);
	ic_run_legs_free(run);
}
