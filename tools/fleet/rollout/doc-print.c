// SPDX-License-Identifier: LGPL-2.1-or-later
/* The documents as text. An object that could not be made is NULL all the way up. */
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

/* Of so many failures, the last ones, it is kept what the hosts have said. */
#define WHY_MAX	100

static void add(struct json_object *o, const char *name, struct json_object *value)
{
	if (json_object_object_add(o, name, value))
		json_object_put(value);
}

/* What a hook or a person said may be no UTF-8, and such a document cannot be read. */
static void add_text(struct json_object *o, const char *name, const char *text)
{
	char *line;

	if (!*text)
		return;
	line = strdup(text);
	add(o, name, line ? json_object_new_string(doc_line(line)) : NULL);
	free(line);
}

static void add_number(struct json_object *o, const char *name, int64_t number)
{
	add(o, name, json_object_new_int64(number));
}

static void add_bool(struct json_object *o, const char *name, bool value)
{
	add(o, name, json_object_new_boolean(value));
}

static char *print(struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE);
	char *copy = text ? strdup(text) : NULL;

	json_object_put(o);
	return copy;
}

char *doc_grant_print(const struct doc_grant *grant)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "rollout", grant->rollout);
	add_text(o, "policy", grant->policy);
	add_text(o, "machine", grant->machine);
	add_number(o, "attempt", grant->attempt);
	add_bool(o, "live", grant->live);
	if (grant->revoked)
		add_bool(o, "revoked", true);
	add_number(o, "generation", grant->generation);
	add_text(o, "mode", "apply");
	add_number(o, "confirm_timeout", grant->confirm_timeout);
	if (grant->settle)
		add_number(o, "settle", grant->settle);
	add_text(o, "allow_in_use", grant->allow_in_use);
	return print(o);
}

/* Never over a member that is there. */
static void add_facts(struct json_object *o, const char *text)
{
	struct json_object *facts = text ? json_tokener_parse(text) : NULL;

	if (json_object_is_type(facts, json_type_object)) {
		json_object_object_foreach(facts, name, value) {
			if (!json_object_object_get_ex(o, name, NULL))
				add(o, name, json_object_get(value));
		}
	}
	json_object_put(facts);
}

char *doc_status_print(const struct doc_status *status, const char *facts)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "machine", status->machine);
	add_text(o, "boot", status->boot);
	add_text(o, "rollout", status->rollout);
	add_number(o, "generation", status->generation);
	add_number(o, "attempt", status->attempt);
	add_text(o, "phase", doc_phase_name(status->phase));
	if (status->end)
		add_text(o, "end", doc_end_name(status->end));
	add_text(o, "policy_in_force", status->policy_in_force);
	add_number(o, "seq", status->seq);
	add_facts(o, facts);
	return print(o);
}

char *doc_journal_print(const struct doc_journal *journal)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "phase", doc_journal_name(journal->phase));
	add_text(o, "rollout", journal->rollout);
	add_text(o, "policy", journal->policy);
	add_text(o, "boot", journal->boot);
	add_number(o, "generation", journal->generation);
	add_number(o, "attempt", journal->attempt);
	if (journal->end)
		add_text(o, "end", doc_end_name(journal->end));
	add_number(o, "confirm_timeout", journal->confirm_timeout);
	add_text(o, "why", journal->why);
	if (journal->hooked)
		add_bool(o, "hooked", true);
	return print(o);
}

static void add_audit(struct json_object *o, const struct doc_audit *audit)
{
	struct json_object *list, *each;
	size_t i;

	if (!audit->count)
		return;
	list = json_object_new_array();
	for (i = 0; i < audit->count; i++) {
		each = json_object_new_object();
		add_text(each, "at", audit->acts[i].at);
		add_text(each, "who", audit->acts[i].who);
		add_text(each, "what", audit->acts[i].what);
		add_text(each, "why", audit->acts[i].why);
		add_text(each, "from", audit->acts[i].from);
		add_text(each, "to", audit->acts[i].to);
		json_object_array_add(list, each);
	}
	add(o, "audit", list);
}

char *doc_pool_print(const struct doc_pool *pool)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "rollout", pool->rollout);
	add_text(o, "policy", pool->policy);
	add_text(o, "previous", pool->previous);
	add_number(o, "generation", pool->generation);
	if (pool->paused)
		add_bool(o, "paused", true);
	add_audit(o, &pool->audit);
	return print(o);
}

static void add_lists(struct json_object *o, const struct doc_rollout *rollout)
{
	struct json_object *each, *list = json_object_new_array();
	size_t i;

	for (i = 0; i < rollout->changing_count; i++) {
		each = json_object_new_object();
		add_text(each, "host", rollout->changing[i].host);
		add_text(each, "machine", rollout->changing[i].machine);
		add_number(each, "attempt", rollout->changing[i].attempt);
		add_text(each, "since", rollout->changing[i].since);
		if (rollout->changing[i].lost)
			add_bool(each, "lost", true);
		if (rollout->changing[i].hooked)
			add_bool(each, "hooked", true);
		if (rollout->changing[i].forgotten) {
			add_bool(each, "forgotten", true);
			add_number(each, "seq", rollout->changing[i].seq);
		}
		json_object_array_add(list, each);
	}
	add(o, "changing", list);
	list = json_object_new_array();
	for (i = 0; i < rollout->failure_count; i++) {
		each = json_object_new_object();
		add_text(each, "host", rollout->failures[i].host);
		add_text(each, "end", doc_end_name(rollout->failures[i].end));
		/* A key holds so much, and each write has all of it. */
		if (rollout->failure_count - i <= WHY_MAX)
			add_text(each, "why", rollout->failures[i].why);
		if (rollout->failures[i].attempts > 1)
			add_number(each, "attempts", rollout->failures[i].attempts);
		if (rollout->failures[i].earlier)
			add_bool(each, "earlier", true);
		json_object_array_add(list, each);
	}
	add(o, "failures", list);
	if (rollout->unlisted)
		add_number(o, "unlisted", rollout->unlisted);
	if (rollout->hook_serial)
		add_number(o, "hook_serial", rollout->hook_serial);
	if (!rollout->hook_count)
		return;
	list = json_object_new_array();
	for (i = 0; i < rollout->hook_count; i++) {
		each = json_object_new_object();
		add_text(each, "host", rollout->hooks[i].host);
		add_text(each, "machine", rollout->hooks[i].machine);
		add_text(each, "hook", rollout->hooks[i].after ? "after" : "before");
		add_number(each, "serial", rollout->hooks[i].serial);
		if (rollout->hooks[i].end)
			add_text(each, "end", doc_end_name(rollout->hooks[i].end));
		json_object_array_add(list, each);
	}
	add(o, "hooks", list);
}

char *doc_rollout_print(const struct doc_rollout *rollout)
{
	struct json_object *o = json_object_new_object(), *each, *list;
	char wave[16];
	size_t i;

	add_text(o, "id", rollout->id);
	add_text(o, "policy", rollout->policy);
	add_number(o, "generation", rollout->generation);
	add_text(o, "selector", rollout->selector);
	list = json_object_new_array();
	for (i = 0; i < rollout->wave_count; i++) {
		snprintf(wave, sizeof(wave), "%d%%", -rollout->waves[i]);
		json_object_array_add(list, rollout->waves[i] < 0 ?
				      json_object_new_string(wave) :
				      json_object_new_int(rollout->waves[i]));
	}
	add(o, "waves", list);
	add_number(o, "wave", rollout->wave);
	add_number(o, "max_changing", rollout->max_changing);
	add_number(o, "max_failures", rollout->max_failures);
	add_number(o, "max_lost", rollout->max_lost);
	if (rollout->max_refused)
		add_number(o, "max_refused", rollout->max_refused);
	add_number(o, "attempts", rollout->attempts);
	add_number(o, "confirm_timeout", rollout->confirm_timeout);
	if (rollout->settle)
		add_number(o, "settle", rollout->settle);
	add_text(o, "allow_in_use", rollout->allow_in_use);
	add_number(o, "soak", rollout->soak);
	if (rollout->allow_empty_canary)
		add_bool(o, "allow_empty_canary", true);
	add_text(o, "state", doc_state_name(rollout->state));
	if (rollout->now)
		add_bool(o, "now", true);
	add_text(o, "reason", rollout->reason);
	add_number(o, "leg_failures", rollout->leg_failures);
	add_number(o, "leg_lost", rollout->leg_lost);
	if (rollout->leg_refused)
		add_number(o, "leg_refused", rollout->leg_refused);
	each = json_object_new_object();
	for (i = 1; i < DOC_ENDS; i++) {
		if (rollout->ended[i])
			add_number(each, doc_end_name(i), rollout->ended[i]);
	}
	add(o, "ended", each);
	add_lists(o, rollout);
	add_text(o, "by", rollout->by);
	add_text(o, "fingerprint", rollout->fingerprint);
	add_audit(o, &rollout->audit);
	return print(o);
}
