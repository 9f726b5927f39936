// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks of the simulator: each takes a while, may fail, and may be killed with its
 * coordinator before or after it has done what it is for.
 */
#include "sim.h"

static void effect(struct sim_hook *hook)
{
	hook->host->prepared = !hook->after;
}

void hook_start(struct sim_coordinator *s)
{
	struct sim_hook *hook = calloc(1, sizeof(*hook)), *other, **each;
	size_t i;

	must(hook);
	for (i = 0; i < sim.count && strcmp(sim.hosts[i].name, s->step.key); i++)
		;
	must(i < sim.count);
	hook->host = &sim.hosts[i];
	for (each = &s->hooks; *each; ) {
		other = *each;
		if (other->host != hook->host) {
			each = &other->next;
			continue;
		}
		if (roll(2))
			effect(other);
		*each = other->next;
		free(other);
	}
	hook->after = !strcmp(s->step.what, "after");
	hook->serial = s->step.rev;
	hook->ok = !fault(5);
	hook->done_at = sim.now + roll(60000);
	hook->next = s->hooks;
	s->hooks = hook;
	say("hook %s of %s", s->step.what, s->step.key);
}

void hook_step(struct sim_coordinator *s)
{
	struct sim_hook **at = &s->hooks, *hook;

	while ((hook = *at)) {
		if (sim.now < hook->done_at) {
			at = &hook->next;
			continue;
		}
		if (hook->ok || roll(2))
			effect(hook);
		say("hook %s of %s: %s", hook->after ? "after" : "before", hook->host->name,
		    hook->ok ? "ok" : "failed");
		coordinator_hooked(s->c, hook->host->name, hook->serial, hook->ok, "exit 1",
				   sim.now);
		*at = hook->next;
		free(hook);
	}
}

void hook_stop(struct sim_coordinator *s)
{
	struct sim_hook *hook;

	while ((hook = s->hooks)) {
		if (roll(2))
			effect(hook);
		s->hooks = hook->next;
		free(hook);
	}
}
