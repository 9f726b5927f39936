// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Hooks of a rollout: "before" a host gets its slot (drain), "after" it has given it back
 * (uncordon). That one is due is in the rollout's document before it is called, and until it
 * has ended well: a coordinator that takes over calls it again. One that is due counts like
 * a slot against the number of hosts that may be changing.
 */
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator-private.h"

#define AGAIN_MS	10000
#define AGAIN_MAX_MS	(5 * 60 * 1000)

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, *text ? json_object_new_string(text) : NULL);
}

static struct json_object *labels_of(const char *labels)
{
	struct json_object *o = json_object_new_object();
	char text[DOC_LABELS_MAX], *at = text, *name, *value;

	snprintf(text, sizeof(text), "%s", labels);
	while ((value = strsep(&at, ","))) {
		name = strsep(&value, "=");
		if (value)
			add_text(o, name, value);
	}
	return o;
}

/* What the program gets on its standard input; NULL without memory. */
static char *document(const struct coordinator *c, const struct doc_hook *hook,
		      const struct host *host)
{
	struct json_object *o = json_object_new_object();
	const char *text;
	char *copy;

	add_text(o, "schema", "iommucfg/fleet-hook/1");
	add_text(o, "hook", hook->after ? "after" : "before");
	add_text(o, "pool", c->pool);
	add_text(o, "host", hook->host);
	add_text(o, "machine", hook->machine);
	add_text(o, "rollout", c->rollout.id);
	json_object_object_add(o, "generation", json_object_new_int64(c->rollout.generation));
	add_text(o, "policy", c->rollout.policy);
	json_object_object_add(o, "labels", labels_of(host->status.labels));
	add_text(o, "end", hook->end ? doc_end_name(hook->end) : "");
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE);
	copy = text ? strdup(text) : NULL;
	json_object_put(o);
	return copy;
}

static bool call(struct coordinator *c, const struct doc_hook *hook, struct host *host,
		 struct step *step)
{
	step->kind = STEP_HOOK;
	step->what = hook->after ? "after" : "before";
	step->rev = hook->serial;
	snprintf(step->key, sizeof(step->key), "%s", hook->host);
	step->value = document(c, hook, host);
	return step->value;
}

/* The host is not taken; it is put back into service where there is a hook for that. */
static bool withdraw(struct coordinator *c, const struct host *host, bool refused,
		     struct step *step)
{
	struct doc_rollout next;
	char machine[DOC_MACHINE_MAX + 1];
	bool ok = true;

	if (!doc_rollout_copy(&next, &c->rollout))
		return false;
	memcpy(machine, doc_hook_of(&next, host->name)->machine, sizeof(machine));
	doc_hook_remove(&next, host->name);
	if (refused) {
		next.ended[END_REFUSED]++;
		next.leg_refused++;
		ok = doc_failure_add(&next, host->name, END_REFUSED, host->hook_why);
	}
	if (ok && c->has_after)
		ok = doc_hook_add(&next, host->name, machine, true,
				  refused ? END_REFUSED : END_NONE);
	if (ok)
		return coordinator_put(c, &next, refused ? "refuse" : "withdraw", step);
	doc_rollout_clear(&next);
	return false;
}

static bool before(struct coordinator *c, const struct doc_hook *hook, struct host *host,
		   int64_t now, struct step *step)
{
	bool running = c->rollout.state == STATE_RUNNING && !c->doc.paused;

	/* What it is at comes to its end. */
	if (host->hook == HOOK_RUNS)
		return true;
	if (host->hook == HOOK_NO)
		return withdraw(c, host, true, step);
	if (!running || host->status_bad || host->grant_bad || host_silent(host, now) ||
	    strcmp(host->status.machine, hook->machine) ||
	    host->status.phase == PHASE_CHANGING || host->status.phase == PHASE_UNCONFIRMED)
		return withdraw(c, host, false, step);
	if (host->hook == HOOK_OK || !c->has_before)
		return coordinator_take(c, host, step);
	return call(c, hook, host, step);
}

static bool after(struct coordinator *c, const struct doc_hook *hook, struct host *host,
		  int64_t now, struct step *step)
{
	struct doc_rollout next;
	char key[STEP_KEY_MAX];

	if (!c->has_after) {
		coordinator_rollout_key(c, key);
		coordinator_say(c, key, host->name, "it waits for a hook \"after\", and there is none here");
		return true;
	}
	if (host->hook == HOOK_RUNS)
		return true;
	if (host->hook == HOOK_OK) {
		if (!doc_rollout_copy(&next, &c->rollout))
			return false;
		doc_hook_remove(&next, host->name);
		return coordinator_put(c, &next, "in service", step);
	}
	if (now >= host->hook_at)
		return call(c, hook, host, step);
	if (host->hook_at - now < step->wait_ms)
		step->wait_ms = host->hook_at - now;
	return true;
}

bool coordinator_hooks(struct coordinator *c, int64_t now, struct step *step)
{
	const struct doc_hook *hook;
	struct host *host;
	size_t i;
	bool ok;

	for (i = 0; i < c->rollout.hook_count && step->kind == STEP_WAIT; i++) {
		hook = &c->rollout.hooks[i];
		host = host_find(c, hook->host, NULL);
		/* Nothing is known of it yet. */
		if (!host)
			continue;
		ok = hook->after ? after(c, hook, host, now, step) :
				   before(c, hook, host, now, step);
		if (!ok)
			return false;
	}
	return true;
}

bool coordinator_begin_hook(struct coordinator *c, struct host *host, struct step *step)
{
	struct doc_rollout next;

	if (!doc_rollout_copy(&next, &c->rollout))
		return false;
	if (doc_hook_add(&next, host->name, host->status.machine, false, END_NONE))
		return coordinator_put(c, &next, "prepare", step);
	doc_rollout_clear(&next);
	return false;
}

void coordinator_hooked(struct coordinator *c, const char *name, int64_t serial, bool ok,
			const char *why, int64_t now)
{
	const struct doc_hook *hook = doc_hook_of(&c->rollout, name);
	struct host *host = host_find(c, name, NULL);
	char key[STEP_KEY_MAX];
	int64_t wait = AGAIN_MS;
	int i;

	if (!hook || !host || hook->serial != serial)
		return;
	host->hook_serial = serial;
	host->hook = ok ? HOOK_OK : HOOK_NO;
	snprintf(host->hook_why, sizeof(host->hook_why), "the hook \"%s\": %s",
		 hook->after ? "after" : "before", why);
	if (ok)
		return;
	for (i = 0; i < host->hook_tries && wait < AGAIN_MAX_MS; i++)
		wait *= 2;
	host->hook_tries++;
	host->hook_at = now + (wait < AGAIN_MAX_MS ? wait : AGAIN_MAX_MS);
	coordinator_rollout_key(c, key);
	coordinator_say(c, key, name, host->hook_why);
}

void coordinator_unhook(struct coordinator *c)
{
	size_t i;

	for (i = 0; i < c->count; i++) {
		if (c->hosts[i]->hook == HOOK_RUNS)
			c->hosts[i]->hook = HOOK_IDLE;
	}
}
