// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The network before and after a change: looked at before the commit, compared and put
 * back after it, and after the change went back. What a network manager has is left to it,
 * and only waited for.
 */
#include <errno.h>

#include "net-snapshot.h"
#include "run.h"

#define DEFAULT_SETTLE	10
#define MANAGER_SETTLE	60
/* One thing can need another one: a route its address, an address its VLAN. */
#define MAX_PASSES	8

/* In which devices must be back, and what nothing manages. */
long ic_run_settle_seconds(const struct iommucfg_run *run)
{
	return run->settle < 0 ? DEFAULT_SETTLE : run->settle;
}

/* In which a network manager must bring its interfaces back. */
static long manager_seconds(const struct iommucfg_run *run)
{
	long half = run->plan->options.confirm_timeout / 2;

	if (run->settle >= 0)
		return run->settle;
	return !half || half > MANAGER_SETTLE ? MANAGER_SETTLE : half;
}

/* Right before the commit. */
void ic_run_network_take(struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	struct iommucfg_group **groups;
	size_t i;
	int ret = -ENOMEM;

	/* What is below another root is not this machine's. */
	if (*run->ctx->root)
		return;
	ic_run_network_free(run);
	groups = calloc(changes->n + 1, sizeof(*groups));
	for (i = 0; groups && i < changes->n; i++)
		groups[i] = changes->v[i]->group;
	if (groups)
		ret = ic_net_snapshot_take(run->topology, groups, changes->n, &run->network);
	free(groups);
	if (!ret)
		return;
	iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "settle", -ret,
			      "addresses and routes cannot be read (%s): whether they are there after the change is not known, and none is put back",
			      strerror(-ret));
	ic_problem_cure(run->problems, "network-unread", NULL);
}

/* Puts back what can be now; @now is how it is then. On how many interfaces something is missing. */
static int put_back(struct iommucfg_run *run, struct ic_net *now, bool patient)
{
	int ret, passes = 0;
	size_t n;

	do {
		ret = ic_net_read(run->ctx, now);
		if (ret)
			return ret;
		n = ic_net_compare(run->network, now);
		ret = n ? ic_net_restore(run->network, now, patient) : 0;
		if (ret <= 0 || ++passes == MAX_PASSES)
			return ret < 0 ? ret : (int)n;
		ic_net_clear(now);
	} while (true);
}

/* For a run that does not wait. */
void ic_run_network_put(struct iommucfg_run *run)
{
	struct ic_net now;

	if (!run->network)
		return;
	put_back(run, &now, false);
	ic_net_clear(&now);
}

/* Is there time left for anything that is missing? */
static bool may_come(struct iommucfg_run *run, const struct ic_net *now)
{
	const struct ic_net_link *link;
	size_t i;
	long limit;

	for (i = 0; i < run->network->net.num_links; i++) {
		link = &run->network->net.links[i];
		limit = link->manager == IC_MANAGER_NONE ? ic_run_settle_seconds(run) :
							   manager_seconds(run);
		if (ic_run_elapsed(run) < limit && ic_net_is_missing(run->network, now, link))
			return true;
	}
	return false;
}

static bool is_vital(const struct iommucfg_run *run, const struct ic_net *now)
{
	const struct ic_net_link *link;
	size_t i;

	for (i = 0; i < run->network->net.num_links; i++) {
		link = &run->network->net.links[i];
		if (link->vital && ic_net_is_missing(run->network, now, link))
			return true;
	}
	return false;
}

/*
 * Puts back, and waits. AGAIN, or DONE once everything is there or its time is over, then
 * told of; RESTORED where the change has to go back for it.
 */
static int step(struct iommucfg_run *run, bool refuse)
{
	/* udev is given half of the time. */
	bool patient = ic_run_elapsed(run) < (ic_run_settle_seconds(run) + 1) / 2;
	int code = IOMMUCFG_RUN_DONE, n;
	struct ic_net now;

	n = put_back(run, &now, patient);
	if (n && !ic_run_cancelled(run) &&
	    (n < 0 ? ic_run_elapsed(run) < ic_run_settle_seconds(run) : may_come(run, &now))) {
		code = IOMMUCFG_RUN_AGAIN;
	} else if (n < 0) {
		iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "settle", -n,
				      "addresses and routes cannot be read or put back: %s",
				      strerror(-n));
		ic_problem_cure(run->problems, "network-unread", NULL);
		run->differs = true;
	} else {
		if (refuse && n && is_vital(run, &now))
			code = IOMMUCFG_RUN_RESTORED;
		/* Who does not want to wait gets the answer of now. */
		if (n)
			ic_run_forget_cancel(run);
		ic_net_tell(run->network, &now, code, run->problems);
		run->differs = n;
	}
	ic_net_clear(&now);
	return code;
}

/* Part of IC_PHASE_SETTLE, once the devices are back: DONE, AGAIN, or begins a rollback. */
int ic_run_network_settle(struct iommucfg_run *run)
{
	int code = run->network ? step(run, true) : IOMMUCFG_RUN_DONE;

	return code == IOMMUCFG_RUN_RESTORED ? ic_run_roll_back(run) : code;
}

/* The change went back, with the outcome @code, which is returned when the network is back. */
int ic_run_network_restore(struct iommucfg_run *run, int code)
{
	run->differs = false;
	if (!run->network)
		return code;
	ic_run_forget_cancel(run);
	run->gone_back = code;
	ic_run_enter(run, IC_PHASE_RESTORE);
	return IOMMUCFG_RUN_AGAIN;
}

/* IC_PHASE_RESTORE */
int ic_run_network_step(struct iommucfg_run *run)
{
	return step(run, false) == IOMMUCFG_RUN_AGAIN ? IOMMUCFG_RUN_AGAIN : run->gone_back;
}

void ic_run_network_free(struct iommucfg_run *run)
{
	ic_net_snapshot_free(run->network);
	run->network = NULL;
}
