// SPDX-License-Identifier: LGPL-2.1-or-later
/* The documents. */
#include <json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

static const char *const phases[] = { "idle", "changing", "unconfirmed", "ended", NULL };
static const char *const ends[] = {
	"none", "done", "nothing", "reverted", "refused", "failed", "lost", NULL,
};
static const char *const states[] = {
	"running", "soaking", "paused", "halted", "complete", "superseded", NULL,
};

static const char *const journals[] = {
	"idle", "begin", "apply", "confirm", "install", "end", NULL,
};

bool doc_is_host(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789.-_");

	return length && length <= DOC_HOST_MAX && !name[length];
}

const char *doc_phase_name(enum doc_phase phase)
{
	return phases[phase];
}

const char *doc_end_name(enum doc_end end)
{
	return ends[end];
}

const char *doc_state_name(enum doc_state state)
{
	return states[state];
}

/* One document that is read; the first thing that is wrong with it stays in @why. */
struct reader {
	struct json_object *object;
	char *why;
	bool wrong;
};

static void __attribute__((format(printf, 2, 3))) wrong(struct reader *r, const char *format, ...)
{
	va_list ap;

	if (r->wrong)
		return;
	r->wrong = true;
	va_start(ap, format);
	vsnprintf(r->why, DOC_REASON_MAX, format, ap);
	va_end(ap);
}

static struct json_object *member(struct reader *r, const char *name, enum json_type type,
				  bool needed)
{
	struct json_object *value;

	if (!json_object_object_get_ex(r->object, name, &value)) {
		if (needed)
			wrong(r, "there is no \"%s\"", name);
		return NULL;
	}
	if (!json_object_is_type(value, type)) {
		wrong(r, "\"%s\" is no %s", name, json_type_to_name(type));
		return NULL;
	}
	return value;
}

static void take_host(struct reader *r, char *to)
{
	struct json_object *value = member(r, "host", json_type_string, true);

	to[0] = '\0';
	if (!value)
		return;
	if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value) ||
	    !doc_is_host(json_object_get_string(value)))
		wrong(r, "\"host\" is no name of a host");
	else
		strcpy(to, json_object_get_string(value));
}

/* Text of at most @max bytes, none of which could end a line, a path or a key. */
static void take_text(struct reader *r, const char *name, char *to, size_t max, bool needed)
{
	struct json_object *value = member(r, name, json_type_string, needed);
	const char *text;
	size_t i, length;

	to[0] = '\0';
	if (!value)
		return;
	text = json_object_get_string(value);
	length = json_object_get_string_len(value);
	if (length > max) {
		wrong(r, "\"%s\" is longer than %zu", name, max);
		return;
	}
	for (i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] > '~' || strchr("/\"\\", text[i])) {
			wrong(r, "\"%s\" has a character that is not allowed", name);
			return;
		}
	}
	if (needed && !length)
		wrong(r, "\"%s\" is empty", name);
	memcpy(to, text, length);
	to[length] = '\0';
}

static int64_t take_number(struct reader *r, const char *name, int64_t min, int64_t max,
			   bool needed, int64_t otherwise)
{
	struct json_object *value = member(r, name, json_type_int, needed);
	int64_t number;

	if (!value)
		return otherwise;
	number = json_object_get_int64(value);
	if (number < min || number > max) {
		wrong(r, "\"%s\" is out of range", name);
		return otherwise;
	}
	return number;
}

static bool take_bool(struct reader *r, const char *name, bool needed)
{
	struct json_object *value = member(r, name, json_type_boolean, needed);

	return value && json_object_get_boolean(value);
}

static int take_word(struct reader *r, const char *name, const char *const *words, bool needed)
{
	struct json_object *value = member(r, name, json_type_string, needed);
	int i;

	if (!value)
		return 0;
	for (i = 0; words[i]; i++) {
		if (!strcmp(words[i], json_object_get_string(value)))
			return i;
	}
	wrong(r, "\"%s\" has a word that is not known", name);
	return 0;
}

static bool open_document(struct reader *r, const char *text, size_t size, char *why)
{
	struct json_tokener *tokener = size <= INT_MAX ? json_tokener_new_ex(8) : NULL;

	*r = (struct reader){ .why = why };
	if (!tokener) {
		wrong(r, "out of memory");
		return false;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	r->object = json_tokener_parse_ex(tokener, text, size);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		wrong(r, "no JSON: %s",
		      json_tokener_error_desc(json_tokener_get_error(tokener)));
	else if (!json_object_is_type(r->object, json_type_object))
		wrong(r, "no JSON object");
	json_tokener_free(tokener);
	return !r->wrong;
}

static bool close_document(struct reader *r)
{
	json_object_put(r->object);
	return !r->wrong;
}

bool doc_grant_parse(struct doc_grant *grant, const char *text, size_t size, char *why)
{
	struct reader r;

	*grant = (struct doc_grant){ 0 };
	if (open_document(&r, text, size, why)) {
		take_text(&r, "rollout", grant->rollout, DOC_ID_MAX, true);
		take_text(&r, "policy", grant->policy, DOC_HASH_MAX, true);
		take_text(&r, "machine", grant->machine, DOC_MACHINE_MAX, true);
		grant->attempt = take_number(&r, "attempt", 1, DOC_ATTEMPT_MAX, true, 0);
		grant->live = take_bool(&r, "live", true);
		grant->revoked = take_bool(&r, "revoked", false);
		grant->confirm_timeout = take_number(&r, "confirm_timeout", 90, 604800, true, 0);
		if (grant->live && grant->revoked)
			wrong(&r, "it is live and revoked");
	}
	return close_document(&r);
}

/* Those that fit; what is no label is left out. */
static void take_labels(struct reader *r, char *to)
{
	struct json_object *labels = member(r, "labels", json_type_object, false);
	const char *value;
	size_t n = 0;
	int length;

	to[0] = '\0';
	if (!labels)
		return;
	json_object_object_foreach(labels, name, each) {
		value = json_object_is_type(each, json_type_string) ?
			json_object_get_string(each) : "";
		if (!doc_is_host(name) || !doc_is_host(value))
			continue;
		length = snprintf(to + n, DOC_LABELS_MAX - n, "%s%s=%s", n ? "," : "", name, value);
		if (length < 0 || n + length >= DOC_LABELS_MAX) {
			to[n] = '\0';
			return;
		}
		n += length;
	}
}

/* Whether "agent" has no DOC_GRANT_SCHEMA in its "schemas"; without an "agent" it is not said. */
static bool is_too_old(struct reader *r)
{
	struct json_object *agent = member(r, "agent", json_type_object, false), *schemas, *each;
	size_t i;

	if (!agent)
		return false;
	if (!json_object_object_get_ex(agent, "schemas", &schemas) ||
	    !json_object_is_type(schemas, json_type_array))
		return true;
	for (i = 0; i < json_object_array_length(schemas); i++) {
		each = json_object_array_get_idx(schemas, i);
		if (json_object_is_type(each, json_type_string) &&
		    !strcmp(json_object_get_string(each), DOC_GRANT_SCHEMA))
			return false;
	}
	return true;
}

bool doc_status_parse(struct doc_status *status, const char *text, size_t size, char *why)
{
	struct reader r;

	*status = (struct doc_status){ 0 };
	if (open_document(&r, text, size, why)) {
		take_text(&r, "machine", status->machine, DOC_MACHINE_MAX, true);
		take_text(&r, "boot", status->boot, DOC_MACHINE_MAX, true);
		take_text(&r, "rollout", status->rollout, DOC_ID_MAX, false);
		status->attempt = take_number(&r, "attempt", 0, DOC_ATTEMPT_MAX, true, 0);
		status->phase = take_word(&r, "phase", phases, true);
		status->end = take_word(&r, "end", ends, false);
		take_text(&r, "policy_in_force", status->policy_in_force, DOC_HASH_MAX, false);
		take_labels(&r, status->labels);
		status->too_old = is_too_old(&r);
		if ((status->phase == PHASE_ENDED) != (status->end != END_NONE) ||
		    status->end == END_LOST)
			wrong(&r, "\"phase\" and \"end\" do not fit");
	}
	return close_document(&r);
}

bool doc_journal_parse(struct doc_journal *journal, const char *text, size_t size, char *why)
{
	struct reader r;
	bool needed;

	*journal = (struct doc_journal){ 0 };
	if (open_document(&r, text, size, why)) {
		journal->phase = take_word(&r, "phase", journals, true);
		needed = journal->phase != JOURNAL_IDLE;
		take_text(&r, "rollout", journal->rollout, DOC_ID_MAX, needed);
		take_text(&r, "policy", journal->policy, DOC_HASH_MAX, needed);
		take_text(&r, "boot", journal->boot, DOC_MACHINE_MAX, needed);
		journal->attempt = take_number(&r, "attempt", needed, DOC_ATTEMPT_MAX, true, 0);
		journal->end = take_word(&r, "end", ends, false);
		journal->confirm_timeout = take_number(&r, "confirm_timeout", 0, 604800, true, 0);
		if (journal->phase == JOURNAL_END &&
		    (journal->end == END_NONE || journal->end == END_LOST))
			wrong(&r, "\"phase\" and \"end\" do not fit");
	}
	return close_document(&r);
}

/* Shown to people: whatever it is, it fits, and is one line of ASCII. */
static void take_line(struct reader *r, const char *name, char *to, size_t size)
{
	struct json_object *value = member(r, name, json_type_string, false);
	char *c;

	snprintf(to, size, "%s", value ? json_object_get_string(value) : "");
	for (c = to; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

static void take_audit(struct reader *r, struct doc_audit *audit)
{
	struct json_object *array = member(r, "audit", json_type_array, false);
	struct reader each = { .why = r->why };
	struct doc_act act;
	size_t i;

	for (i = 0; array && i < json_object_array_length(array) && !r->wrong; i++) {
		each.object = json_object_array_get_idx(array, i);
		if (!json_object_is_type(each.object, json_type_object)) {
			wrong(r, "an entry of \"audit\" is no object");
			return;
		}
		take_line(&each, "at", act.at, sizeof(act.at));
		take_line(&each, "who", act.who, sizeof(act.who));
		take_line(&each, "what", act.what, sizeof(act.what));
		take_line(&each, "why", act.why, sizeof(act.why));
		r->wrong = each.wrong;
		doc_audit_add(audit, act.at, act.who, act.what, act.why);
	}
}

bool doc_pool_parse(struct doc_pool *pool, const char *text, size_t size, char *why)
{
	struct reader r;

	*pool = (struct doc_pool){ 0 };
	if (open_document(&r, text, size, why)) {
		take_text(&r, "rollout", pool->rollout, DOC_ID_MAX, false);
		take_text(&r, "policy", pool->policy, DOC_HASH_MAX, false);
		take_text(&r, "previous", pool->previous, DOC_HASH_MAX, false);
		pool->generation = take_number(&r, "generation", 0, INT64_MAX, true, 0);
		take_audit(&r, &pool->audit);
	}
	return close_document(&r);
}

static void take_waves(struct reader *r, struct doc_rollout *rollout)
{
	struct json_object *array = member(r, "waves", json_type_array, true), *value;
	size_t i, count = array ? json_object_array_length(array) : 0;
	long number;
	char *end;

	if (array && (!count || count > DOC_WAVES_MAX))
		wrong(r, "\"waves\" are none, or too many");
	for (i = 0; i < count && !r->wrong; i++) {
		value = json_object_array_get_idx(array, i);
		if (json_object_is_type(value, json_type_int)) {
			number = json_object_get_int64(value);
			if (number < 1 || number > 1000000)
				wrong(r, "a wave is out of range");
			rollout->waves[i] = number;
			continue;
		}
		number = json_object_is_type(value, json_type_string) ?
			 strtol(json_object_get_string(value), &end, 10) : 0;
		if (number < 1 || number > 100 || strcmp(end, "%"))
			wrong(r, "a wave is a number or a percentage");
		rollout->waves[i] = -number;
	}
	rollout->wave_count = count;
}

static void take_slots(struct reader *r, struct doc_rollout *rollout)
{
	struct json_object *array = member(r, "changing", json_type_array, true);
	struct reader each = { .why = r->why };
	struct doc_slot slot;
	size_t i;

	for (i = 0; array && i < json_object_array_length(array) && !r->wrong; i++) {
		each.object = json_object_array_get_idx(array, i);
		if (!json_object_is_type(each.object, json_type_object)) {
			wrong(r, "a slot is no object");
			return;
		}
		take_host(&each, slot.host);
		take_text(&each, "machine", slot.machine, DOC_MACHINE_MAX, true);
		slot.attempt = take_number(&each, "attempt", 1, DOC_ATTEMPT_MAX, true, 0);
		slot.lost = take_bool(&each, "lost", false);
		r->wrong = each.wrong;
		if (r->wrong)
			return;
		if (doc_slot_of(rollout, slot.host))
			wrong(r, "a host has two slots");
		else if (!doc_slot_add(rollout, slot.host, slot.machine, slot.attempt))
			wrong(r, "out of memory");
		else
			rollout->changing[rollout->changing_count - 1].lost = slot.lost;
	}
}

static void take_failures(struct reader *r, struct doc_rollout *rollout)
{
	struct json_object *array = member(r, "failures", json_type_array, true);
	struct reader each = { .why = r->why };
	char host[DOC_HOST_MAX + 1];
	enum doc_end end;
	size_t i;

	for (i = 0; array && i < json_object_array_length(array) && !r->wrong; i++) {
		each.object = json_object_array_get_idx(array, i);
		if (!json_object_is_type(each.object, json_type_object)) {
			wrong(r, "a failure is no object");
			return;
		}
		take_host(&each, host);
		end = take_word(&each, "end", ends, true);
		r->wrong = each.wrong;
		if (!r->wrong && !doc_failure_add(rollout, host, end))
			wrong(r, "out of memory");
	}
}

static void take_ended(struct reader *r, struct doc_rollout *rollout)
{
	struct reader each = { .why = r->why };
	int i;

	each.object = member(r, "ended", json_type_object, true);
	for (i = 1; each.object && i < DOC_ENDS; i++)
		rollout->ended[i] = take_number(&each, ends[i], 0, LONG_MAX, false, 0);
	r->wrong |= each.wrong;
}

bool doc_rollout_parse(struct doc_rollout *rollout, const char *text, size_t size, char *why)
{
	struct reader r;

	*rollout = (struct doc_rollout){ 0 };
	if (open_document(&r, text, size, why)) {
		take_text(&r, "id", rollout->id, DOC_ID_MAX, true);
		take_text(&r, "policy", rollout->policy, DOC_HASH_MAX, true);
		rollout->generation = take_number(&r, "generation", 1, INT64_MAX, true, 0);
		take_line(&r, "selector", rollout->selector, sizeof(rollout->selector));
		if (!doc_is_selector(rollout->selector))
			wrong(&r, "\"selector\" is none");
		take_waves(&r, rollout);
		rollout->wave = take_number(&r, "wave", 0, DOC_WAVES_MAX - 1, true, 0);
		if (rollout->wave >= rollout->wave_count)
			wrong(&r, "\"wave\" is out of range");
		rollout->max_changing = take_number(&r, "max_changing", 1, 100000, true, 1);
		rollout->max_failures = take_number(&r, "max_failures", 1, 100000, true, 1);
		rollout->max_lost = take_number(&r, "max_lost", 1, 100000, true, 1);
		rollout->attempts = take_number(&r, "attempts", 1, 10, true, 1);
		rollout->confirm_timeout = take_number(&r, "confirm_timeout", 90, 604800, true,
						       90);
		rollout->soak = take_number(&r, "soak", 0, 604800, true, 0);
		rollout->allow_empty_canary = take_bool(&r, "allow_empty_canary", false);
		rollout->state = take_word(&r, "state", states, true);
		rollout->now = take_bool(&r, "now", false);
		take_line(&r, "reason", rollout->reason, sizeof(rollout->reason));
		rollout->leg_failures = take_number(&r, "leg_failures", 0, LONG_MAX, true, 0);
		rollout->leg_lost = take_number(&r, "leg_lost", 0, LONG_MAX, true, 0);
		take_ended(&r, rollout);
		take_slots(&r, rollout);
		take_failures(&r, rollout);
		take_audit(&r, &rollout->audit);
	}
	if (close_document(&r))
		return true;
	doc_rollout_clear(rollout);
	return false;
}

/* Printing: an object that could not be made is NULL all the way up. */

static void add(struct json_object *o, const char *name, struct json_object *value)
{
	if (json_object_object_add(o, name, value))
		json_object_put(value);
}

static void add_text(struct json_object *o, const char *name, const char *text)
{
	if (*text)
		add(o, name, json_object_new_string(text));
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
	add_number(o, "confirm_timeout", grant->confirm_timeout);
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
	add_number(o, "attempt", status->attempt);
	add_text(o, "phase", phases[status->phase]);
	if (status->end)
		add_text(o, "end", ends[status->end]);
	add_text(o, "policy_in_force", status->policy_in_force);
	add_facts(o, facts);
	return print(o);
}

char *doc_journal_print(const struct doc_journal *journal)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "phase", journals[journal->phase]);
	add_text(o, "rollout", journal->rollout);
	add_text(o, "policy", journal->policy);
	add_text(o, "boot", journal->boot);
	add_number(o, "attempt", journal->attempt);
	if (journal->end)
		add_text(o, "end", ends[journal->end]);
	add_number(o, "confirm_timeout", journal->confirm_timeout);
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
	add_audit(o, &pool->audit);
	return print(o);
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
	add_number(o, "attempts", rollout->attempts);
	add_number(o, "confirm_timeout", rollout->confirm_timeout);
	add_number(o, "soak", rollout->soak);
	if (rollout->allow_empty_canary)
		add_bool(o, "allow_empty_canary", true);
	add_text(o, "state", states[rollout->state]);
	if (rollout->now)
		add_bool(o, "now", true);
	add_text(o, "reason", rollout->reason);
	add_number(o, "leg_failures", rollout->leg_failures);
	add_number(o, "leg_lost", rollout->leg_lost);
	each = json_object_new_object();
	for (i = 1; i < DOC_ENDS; i++) {
		if (rollout->ended[i])
			add_number(each, ends[i], rollout->ended[i]);
	}
	add(o, "ended", each);
	list = json_object_new_array();
	for (i = 0; i < rollout->changing_count; i++) {
		each = json_object_new_object();
		add_text(each, "host", rollout->changing[i].host);
		add_text(each, "machine", rollout->changing[i].machine);
		add_number(each, "attempt", rollout->changing[i].attempt);
		if (rollout->changing[i].lost)
			add_bool(each, "lost", true);
		json_object_array_add(list, each);
	}
	add(o, "changing", list);
	list = json_object_new_array();
	for (i = 0; i < rollout->failure_count; i++) {
		each = json_object_new_object();
		add_text(each, "host", rollout->failures[i].host);
		add_text(each, "end", ends[rollout->failures[i].end]);
		json_object_array_add(list, each);
	}
	add(o, "failures", list);
	add_audit(o, &rollout->audit);
	return print(o);
}

void doc_audit_add(struct doc_audit *audit, const char *at, const char *who, const char *what,
		   const char *why)
{
	struct doc_act *act;

	if (audit->count == DOC_AUDIT_MAX)
		memmove(audit->acts, audit->acts + 1, --audit->count * sizeof(*audit->acts));
	act = &audit->acts[audit->count++];
	snprintf(act->at, sizeof(act->at), "%s", at ? at : "");
	snprintf(act->who, sizeof(act->who), "%s", who ? who : "");
	snprintf(act->what, sizeof(act->what), "%s", what ? what : "");
	snprintf(act->why, sizeof(act->why), "%s", why ? why : "");
}

/* The next "NAME=VALUE" or "NAME!=VALUE" of @text; false at its end, or where it is none. */
static bool next_term(const char **text, char *name, char *value, bool *not)
{
	size_t length = strcspn(*text, ","), at = strcspn(*text, "=!");

	*not = (*text)[at] == '!';
	if (!length || length > DOC_HOST_MAX || at + *not + 1 >= length || (*text)[at + *not] != '=')
		return false;
	snprintf(name, DOC_HOST_MAX + 1, "%.*s", (int)at, *text);
	at += *not + 1;
	snprintf(value, DOC_HOST_MAX + 1, "%.*s", (int)(length - at), *text + at);
	*text += length + ((*text)[length] == ',' && (*text)[length + 1]);
	return doc_is_host(name) && doc_is_host(value);
}

bool doc_is_selector(const char *selector)
{
	char name[DOC_HOST_MAX + 1], value[DOC_HOST_MAX + 1];
	bool not;

	while (*selector) {
		if (!next_term(&selector, name, value, &not))
			return false;
	}
	return true;
}

static bool has_label(const char *labels, const char *name, const char *value)
{
	char is_name[DOC_HOST_MAX + 1], is[DOC_HOST_MAX + 1];
	bool not;

	while (*labels && next_term(&labels, is_name, is, &not)) {
		if (!strcmp(name, is_name))
			return !strcmp(value, is);
	}
	return false;
}

bool doc_selects(const char *selector, const char *labels)
{
	char name[DOC_HOST_MAX + 1], value[DOC_HOST_MAX + 1];
	bool not;

	while (*selector && next_term(&selector, name, value, &not)) {
		if (has_label(labels, name, value) == not)
			return false;
	}
	return true;
}

void doc_rollout_clear(struct doc_rollout *rollout)
{
	free(rollout->changing);
	free(rollout->failures);
	rollout->changing = NULL;
	rollout->failures = NULL;
	rollout->changing_count = rollout->failure_count = 0;
}

struct doc_slot *doc_slot_of(const struct doc_rollout *rollout, const char *host)
{
	size_t i;

	for (i = 0; i < rollout->changing_count; i++) {
		if (!strcmp(rollout->changing[i].host, host))
			return &rollout->changing[i];
	}
	return NULL;
}

bool doc_slot_add(struct doc_rollout *rollout, const char *host, const char *machine,
		  int64_t attempt)
{
	struct doc_slot *slots = realloc(rollout->changing,
					 (rollout->changing_count + 1) * sizeof(*slots));
	struct doc_slot *slot;

	if (!slots)
		return false;
	rollout->changing = slots;
	slot = &slots[rollout->changing_count++];
	*slot = (struct doc_slot){ .attempt = attempt };
	snprintf(slot->host, sizeof(slot->host), "%s", host);
	snprintf(slot->machine, sizeof(slot->machine), "%s", machine);
	return true;
}

void doc_slot_remove(struct doc_rollout *rollout, const char *host)
{
	struct doc_slot *slot = doc_slot_of(rollout, host);

	if (slot)
		*slot = rollout->changing[--rollout->changing_count];
}

bool doc_failure_add(struct doc_rollout *rollout, const char *host, enum doc_end end)
{
	struct doc_failure *failures = realloc(rollout->failures,
					       (rollout->failure_count + 1) * sizeof(*failures));

	if (!failures)
		return false;
	rollout->failures = failures;
	failures = &failures[rollout->failure_count++];
	*failures = (struct doc_failure){ .end = end };
	snprintf(failures->host, sizeof(failures->host), "%s", host);
	return true;
}

bool doc_rollout_forget(struct doc_rollout *rollout, const char *host)
{
	if (!doc_failure_add(rollout, host, END_LOST))
		return false;
	rollout->ended[END_LOST]++;
	doc_slot_remove(rollout, host);
	return true;
}
