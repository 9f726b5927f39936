// SPDX-License-Identifier: GPL-2.0
/* The store of the simulator, with faults, and with what a broken variant does. */
#include "sim.h"

/* What a broken variant does to a step. */
static void break_step(struct step *step)
{
	bool grant = strstr(step->key, "/grant/");

	if (step->kind != STEP_PUT)
		return;
	if (sim.variant == BLIND_GRANT && grant && !*step->guard)
		step->rev = STORE_ANY;
	if (sim.variant == BLIND_REVOKE && grant)
		*step->guard = '\0';
	if (sim.variant == BLIND_TAKE && strstr(step->key, "/rollout/"))
		step->rev = STORE_ANY;
	if (sim.variant == BLIND_BEGIN && strstr(step->key, "/status/"))
		*step->guard = '\0';
}

enum store_result at_store(struct step *step, bool reachable, struct store_item *item)
{
	enum store_result result;
	struct late *late;

	*item = (struct store_item){ 0 };
	break_step(step);
	if (!reachable || fault(25))
		return STORE_UNREACHABLE;
	if (step->kind == STEP_PUT && fault(25)) {
		/* It is done later, when its sender has gone on. */
		late = calloc(1, sizeof(*late));
		must(late);
		late->step = *step;
		late->step.value = strdup(step->value);
		late->at = sim.now + roll(20000);
		late->next = sim.late;
		sim.late = late;
		return STORE_UNKNOWN;
	}
	result = step_run(sim.store, step, item);
	if (step->kind == STEP_PUT && fault(25)) {
		store_item_clear(item);
		return STORE_UNKNOWN;
	}
	return result;
}

void late_writes(void)
{
	struct late **p = &sim.late, *late;
	struct store_item item;

	while ((late = *p)) {
		if (late->at > sim.now) {
			p = &late->next;
			continue;
		}
		*p = late->next;
		say("a late write to %s: %s", late->step.key,
		    store_result_name(step_run(sim.store, &late->step, &item)));
		store_item_clear(&item);
		step_clear(&late->step);
		free(late);
	}
}
