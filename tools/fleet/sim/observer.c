// SPDX-License-Identifier: GPL-2.0
/* The observer of the simulator: what must hold at each write to the store. */
#include "sim.h"

static struct sim_host *host_of_key(const char *key, const char *kind)
{
	char prefix[64];
	size_t i;

	snprintf(prefix, sizeof(prefix), PREFIX "/%s/" POOL "/", kind);
	if (strncmp(key, prefix, strlen(prefix)))
		return NULL;
	for (i = 0; i < sim.count; i++) {
		if (!strcmp(sim.hosts[i].name, key + strlen(prefix)))
			return &sim.hosts[i];
	}
	return NULL;
}

static void observe_rollout(const struct store_item *item)
{
	struct doc_rollout next;
	char why[DOC_REASON_MAX];
	size_t i, taken = 0;
	long limit;

	if (!doc_rollout_parse(&next, item->value, item->size, why)) {
		violated("a rollout that cannot be read: %s", why);
		return;
	}
	for (i = 0; i < next.changing_count; i++)
		taken += !doc_slot_of(&sim.rollout, next.changing[i].host);
	if (taken && sim.rollout.max_refused &&
	    sim.rollout.leg_refused >= sim.rollout.max_refused)
		violated("3: a slot was taken after %ld refusals", sim.rollout.leg_refused);
	limit = next.wave == 0 && next.wave_count > 1 ? 1 : next.max_failures;
	if (taken && (next.state != STATE_RUNNING || sim.rollout.state != STATE_RUNNING ||
		      sim.rollout.leg_failures >= limit))
		violated("3: a slot was taken in a rollout that is %s with %ld failures",
			 doc_state_name(sim.rollout.state), sim.rollout.leg_failures);
	for (i = 0; i < sim.count; i++) {
		if (sim.hosts[i].changing && !sim.hosts[i].dead &&
		    !doc_slot_of(&next, sim.hosts[i].name))
			violated("1: %s changes without a slot", sim.hosts[i].name);
	}
	if ((long)next.changing_count > next.max_changing)
		violated("1: %zu slots are taken", next.changing_count);
	/* What came during a pause is judged by the next one that writes after it. */
	if (next.leg_failures >= limit && next.state == STATE_RUNNING &&
	    sim.rollout.state != STATE_PAUSED)
		violated("3: %ld failures do not halt", next.leg_failures);
	doc_rollout_clear(&sim.rollout);
	sim.rollout = next;
}

static void observe_status(struct sim_host *host, const struct store_item *item)
{
	struct doc_status status;
	char why[DOC_REASON_MAX];
	long changing = 0;
	size_t i;
	bool was = host->changing;

	if (!doc_status_parse(&status, item->value, item->size, why)) {
		if (host->liar)
			return;
		violated("a status that cannot be read: %s", why);
		return;
	}
	if (host->liar)
		return;
	host->changing = status.phase == PHASE_CHANGING || status.phase == PHASE_UNCONFIRMED;
	for (i = 0; i < sim.count; i++)
		changing += sim.hosts[i].changing;
	if (changing > sim.rollout.max_changing)
		violated("1: %ld hosts are changing", changing);
	if (host->changing && !host->dead && !doc_slot_of(&sim.rollout, host->name))
		violated("1: %s changes without a slot", host->name);
	if (host->changing && !was &&
	    (!host->grant.live || host->grant.attempt != status.attempt ||
	     strcmp(host->grant.machine, status.machine)))
		violated("6: %s began without a grant", host->name);
}

static void observe_grant(struct sim_host *host, const struct store_item *item)
{
	struct doc_grant grant;
	char why[DOC_REASON_MAX];

	if (!doc_grant_parse(&grant, item->value, item->size, why)) {
		violated("a grant that cannot be read: %s", why);
		return;
	}
	if (grant.attempt < host->grant.attempt)
		violated("the attempt of %s went from %" PRId64 " to %" PRId64, host->name,
			 host->grant.attempt, grant.attempt);
	if (grant.attempt == host->grant.attempt && grant.live && !host->grant.live)
		violated("a grant of %s came back to life", host->name);
	host->grant = grant;
}

void observe(void)
{
	struct store_item item;
	struct sim_host *host;

	while (!store_watch_next(sim.observer, 0, &item)) {
		say("  store: %s %s", item.key, item.value ? item.value : "deleted");
		if (!strncmp(item.key, PREFIX "/rollout/", strlen(PREFIX "/rollout/")))
			observe_rollout(&item);
		host = host_of_key(item.key, "status");
		if (host)
			observe_status(host, &item);
		host = host_of_key(item.key, "grant");
		if (host)
			observe_grant(host, &item);
		store_item_clear(&item);
	}
}
