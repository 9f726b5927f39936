// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A change without a confirm timeout of the caller's has the kernel's timer all the same, and
 * is confirmed by this process when the verdict is good: where that is killed, the change goes
 * back. /run/iommucfg/txn/NAME says "self-confirming": other runs wait for it as for the
 * lock, instead of being refused for an unconfirmed transaction.
 */
#include <json-c/json.h>

#include "run.h"

/* Beside what the verdict may take. */
#define SPARE_SECONDS	30
#define EXTEND_SECONDS	5

/*
 * 0 where it stays final at once: nothing is unbound or paused, or a group goes in place whose
 * way back would unbind its drivers.
 */
static long timeout_of(const struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	bool any = false;
	size_t i;

	if (run->plan->options.confirm_timeout)
		return 0;
	for (i = 0; i < changes->n; i++) {
		if (changes->v[i]->in_place && !changes->v[i]->reverts_in_place)
			return 0;
		any |= !changes->v[i]->in_place;
	}
	if (!any)
		return 0;
	return ic_run_settle_limit(run) + (run->check_command ? run->check_timeout : 0) +
	       HOOK_SECONDS * (long)run->hooks_done + SPARE_SECONDS;
}

static int set_timer(struct iommucfg_run *run, struct iommucfg_txn *txn)
{
	return iommucfg_txn_set_confirm_timeout(txn, run->self_timeout);
}

/* Once all is staged. */
int ic_run_self_stage(struct iommucfg_run *run)
{
	int ret;

	run->self_timeout = run->txn ? timeout_of(run) : 0;
	if (!run->self_timeout)
		return IOMMUCFG_RUN_DONE;
	ret = set_timer(run, run->txn);
	if (!ret && run->second)
		ret = set_timer(run, run->second);
	if (ret)
		return ic_run_refused(run, "the transaction cannot be set up", ret);
	ic_creator_set(run->ctx, iommucfg_txn_name(run->txn), SELF_CONFIRMING,
		       json_object_new_boolean(true));
	if (run->second)
		ic_creator_set(run->ctx, iommucfg_txn_name(run->second), SELF_CONFIRMING,
			       json_object_new_boolean(true));
	ic_run_say(run, IOMMUCFG_RUN_DEBUG, "goes back in %ld seconds unless the verdict is good",
		   run->self_timeout);
	return IOMMUCFG_RUN_DONE;
}

/* Starts the timer anew: the commit takes what it takes. */
void ic_run_self_extend(struct iommucfg_run *run)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!run->self_timeout || !run->txn || now.tv_sec - run->extended < EXTEND_SECONDS)
		return;
	run->extended = now.tv_sec;
	set_timer(run, run->txn);
	if (run->second)
		set_timer(run, run->second);
}

/* The verdict begins. */
void ic_run_self_committed(struct iommucfg_run *run)
{
	run->extended = 0;
	ic_run_self_extend(run);
}

static bool is_self_confirming(struct iommucfg_txn *txn)
{
	struct json_object *o = ic_creator_read(txn);
	bool self = o && json_object_get_boolean(json_object_object_get(o, SELF_CONFIRMING));

	json_object_put(o);
	return self;
}

/* Is it unconfirmed only until its verdict? The process that made it may be gone. */
bool ic_txn_is_judged(struct iommucfg_txn *txn)
{
	return iommucfg_txn_state(txn) == IOMMUCFG_STATE_UNCONFIRMED && is_self_confirming(txn);
}

bool ic_txn_any_judged(struct iommucfg *ctx)
{
	struct iommucfg_txn *txn;
	bool any = false;
	char **names;
	int n, i;

	n = iommucfg_txn_list(ctx, &names);
	for (i = 0; i < n && !any; i++) {
		if (iommucfg_txn_open(ctx, names[i], &txn))
			continue;
		any = ic_txn_is_judged(txn);
		iommucfg_txn_unref(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
	return any;
}
