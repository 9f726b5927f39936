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
	"planned", "running", "soaking", "paused", "halted", "complete", "superseded", NULL,
};

/* The last one was written between confirm and install, when these were two steps. */
static const char *const journals[] = {
	"idle", "plan", "begin", "apply", "confirm", "end", "install", NULL,
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

const char *doc_journal_name(enum doc_journal_phase phase)
{
	return journals[phase];
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

/* An id becomes part of the names of transactions and units. */
static void take_id(struct reader *r, const char *name, char *to, bool needed)
{
	take_text(r, name, to, DOC_ID_MAX, needed);
	if (to[strspn(to, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")])
		wrong(r, "\"%s\" has a character that is not allowed", name);
}

char *doc_line(char *text)
{
	char *c;

	for (c = text; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return text;
}

/* Shown to people: whatever it is, it fits. */
static void copy_line(struct json_object *value, char *to, size_t size)
{
	snprintf(to, size, "%s", value ? json_object_get_string(value) : "");
	doc_line(to);
}

/* Copies of words that this version does not know, which are all that there may be. */
static void take_requires(struct reader *r, char *to, size_t size)
{
	struct json_object *array = member(r, "requires", json_type_array, false);

	if (array && json_object_array_length(array))
		copy_line(array, to, size);
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

/* Nothing is left in @document, of @size bytes, where something was wrong. */
static bool close_document(struct reader *r, void *document, size_t size)
{
	json_object_put(r->object);
	if (r->wrong)
		memset(document, 0, size);
	return !r->wrong;
}

/* There is one alone; the others are of versions after this one. */
static void take_mode(struct reader *r, char *to, size_t size)
{
	struct json_object *mode = member(r, "mode", json_type_string, false);

	if (mode && strcmp(json_object_get_string(mode), "apply"))
		copy_line(mode, to, size);
}

bool doc_grant_parse(struct doc_grant *grant, const char *text, size_t size, char *why)
{
	struct reader r;

	*grant = (struct doc_grant){ 0 };
	if (open_document(&r, text, size, why)) {
		take_id(&r, "rollout", grant->rollout, true);
		take_text(&r, "policy", grant->policy, DOC_HASH_MAX, true);
		take_text(&r, "machine", grant->machine, DOC_MACHINE_MAX, true);
		grant->attempt = take_number(&r, "attempt", 1, DOC_ATTEMPT_MAX, true, 0);
		grant->live = take_bool(&r, "live", true);
		grant->revoked = take_bool(&r, "revoked", false);
		grant->generation = take_number(&r, "generation", 0, INT64_MAX, false, 0);
		grant->confirm_timeout = take_number(&r, "confirm_timeout", 90, 604800, true, 0);
		grant->settle = take_number(&r, "settle", 1, 3600, false, 0);
		take_text(&r, "allow_in_use", grant->allow_in_use, DOC_WORDS_MAX - 1, false);
		take_requires(&r, grant->requires, sizeof(grant->requires));
		take_mode(&r, grant->requires, sizeof(grant->requires));
		if (grant->live && grant->revoked)
			wrong(&r, "it is live and revoked");
	}
	return close_document(&r, grant, sizeof(*grant));
}

static void take_line(struct reader *r, const char *name, char *to, size_t size)
{
	copy_line(member(r, name, json_type_string, false), to, size);
}

static void take_problem(struct reader *r, char *to)
{
	struct json_object *problems = NULL, *first = NULL;

	if (json_object_object_get_ex(r->object, "problems", &problems) &&
	    json_object_is_type(problems, json_type_array) && json_object_array_length(problems))
		first = json_object_array_get_idx(problems, 0);
	copy_line(json_object_is_type(first, json_type_string) ? first : NULL, to, DOC_WHY_MAX);
}

/* What is no label is left out. With some of them a selector would take hosts that it excludes. */
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
			wrong(r, "\"labels\" are longer than %d", DOC_LABELS_MAX - 1);
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

/* Whether "agent" is there, and no "module". */
static bool lacks_module(struct reader *r)
{
	struct json_object *module;

	return json_object_object_get_ex(r->object, "agent", NULL) &&
	       !(json_object_object_get_ex(r->object, "module", &module) &&
		 json_object_get_string_len(module));
}

bool doc_status_parse(struct doc_status *status, const char *text, size_t size, char *why)
{
	struct reader r;

	*status = (struct doc_status){ 0 };
	if (open_document(&r, text, size, why)) {
		take_text(&r, "machine", status->machine, DOC_MACHINE_MAX, true);
		take_text(&r, "boot", status->boot, DOC_MACHINE_MAX, true);
		/* An agent takes up from it what its journal has lost. */
		take_id(&r, "rollout", status->rollout, false);
		status->attempt = take_number(&r, "attempt", 0, DOC_ATTEMPT_MAX, true, 0);
		status->generation = take_number(&r, "generation", 0, INT64_MAX, false, 0);
		status->seq = take_number(&r, "seq", 0, DOC_ATTEMPT_MAX, false, 0);
		status->phase = take_word(&r, "phase", phases, true);
		status->end = take_word(&r, "end", ends, false);
		take_text(&r, "policy_in_force", status->policy_in_force, DOC_HASH_MAX, false);
		take_labels(&r, status->labels);
		take_problem(&r, status->problem);
		status->report_interval = take_number(&r, "report_interval", 1, 86400, false,
						      DOC_REPORT_SECONDS);
		status->too_old = is_too_old(&r);
		status->no_module = lacks_module(&r);
		if ((status->phase == PHASE_ENDED) != (status->end != END_NONE) ||
		    status->end == END_LOST)
			wrong(&r, "\"phase\" and \"end\" do not fit");
		if ((status->phase == PHASE_CHANGING || status->phase == PHASE_UNCONFIRMED) &&
		    !*status->rollout)
			wrong(&r, "there is a change, and no \"rollout\"");
	}
	return close_document(&r, status, sizeof(*status));
}

bool doc_journal_parse(struct doc_journal *journal, const char *text, size_t size, char *why)
{
	struct reader r;
	bool needed;
	int phase;

	*journal = (struct doc_journal){ 0 };
	if (open_document(&r, text, size, why)) {
		phase = take_word(&r, "phase", journals, true);
		journal->phase = phase > JOURNAL_END ? JOURNAL_CONFIRM : phase;
		needed = journal->phase != JOURNAL_IDLE;
		take_text(&r, "rollout", journal->rollout, DOC_ID_MAX, needed);
		take_text(&r, "policy", journal->policy, DOC_HASH_MAX, false);
		take_text(&r, "boot", journal->boot, DOC_MACHINE_MAX, needed);
		journal->attempt = take_number(&r, "attempt", needed, DOC_ATTEMPT_MAX, true, 0);
		journal->generation = take_number(&r, "generation", 0, INT64_MAX, false, 0);
		journal->end = take_word(&r, "end", ends, false);
		journal->confirm_timeout = take_number(&r, "confirm_timeout", 0, 604800, true, 0);
		take_line(&r, "why", journal->why, sizeof(journal->why));
		journal->hooked = take_bool(&r, "hooked", false);
		if (journal->phase == JOURNAL_END &&
		    (journal->end == END_NONE || journal->end == END_LOST))
			wrong(&r, "\"phase\" and \"end\" do not fit");
	}
	return close_document(&r, journal, sizeof(*journal));
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
		take_line(&each, "from", act.from, sizeof(act.from));
		take_line(&each, "to", act.to, sizeof(act.to));
		r->wrong = each.wrong;
		doc_audit_add(audit, &act);
	}
}

static void refuse_required(struct reader *r)
{
	char words[DOC_WHY_MAX] = "";

	take_requires(r, words, sizeof(words));
	if (*words)
		wrong(r, "it requires what this version does not have: %s", words);
}

bool doc_pool_parse(struct doc_pool *pool, const char *text, size_t size, char *why)
{
	struct reader r;

	*pool = (struct doc_pool){ 0 };
	if (open_document(&r, text, size, why)) {
		refuse_required(&r);
		take_id(&r, "rollout", pool->rollout, false);
		take_text(&r, "policy", pool->policy, DOC_HASH_MAX, false);
		take_text(&r, "previous", pool->previous, DOC_HASH_MAX, false);
		pool->generation = take_number(&r, "generation", 0, INT64_MAX, true, 0);
		pool->paused = take_bool(&r, "paused", false);
		take_audit(&r, &pool->audit);
	}
	return close_document(&r, pool, sizeof(*pool));
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

/* The entry of an array, as a reader of its own; false: it is wrong, or there is no more. */
static bool next_entry(struct reader *r, struct json_object *array, size_t i, struct reader *each)
{
	*each = (struct reader){ .why = r->why };
	if (!array || i >= json_object_array_length(array) || r->wrong)
		return false;
	each->object = json_object_array_get_idx(array, i);
	if (!json_object_is_type(each->object, json_type_object))
		wrong(r, "an entry of a list is no object");
	return !r->wrong;
}

static void take_slots(struct reader *r, struct doc_rollout *rollout)
{
	struct json_object *array = member(r, "changing", json_type_array, true);
	struct doc_slot slot, *to;
	struct reader each;
	size_t i;

	for (i = 0; next_entry(r, array, i, &each); i++) {
		take_host(&each, slot.host);
		take_text(&each, "machine", slot.machine, DOC_MACHINE_MAX, true);
		slot.attempt = take_number(&each, "attempt", 1, DOC_ATTEMPT_MAX, true, 0);
		slot.lost = take_bool(&each, "lost", false);
		slot.hooked = take_bool(&each, "hooked", false);
		slot.forgotten = take_bool(&each, "forgotten", false);
		slot.seq = take_number(&each, "seq", 0, DOC_ATTEMPT_MAX, false, 0);
		take_line(&each, "since", slot.since, sizeof(slot.since));
		r->wrong = each.wrong;
		if (r->wrong)
			return;
		if (doc_slot_of(rollout, slot.host)) {
			wrong(r, "a host has two slots");
			return;
		}
		to = doc_slot_add(rollout, slot.host, slot.machine, slot.attempt);
		if (to)
			*to = slot;
		else
			wrong(r, "out of memory");
	}
}

static void take_failures(struct reader *r, struct doc_rollout *rollout)
{
	struct json_object *array = member(r, "failures", json_type_array, true);
	struct doc_failure failure, *to;
	struct reader each;
	size_t i;

	for (i = 0; next_entry(r, array, i, &each); i++) {
		take_host(&each, failure.host);
		failure.end = take_word(&each, "end", ends, true);
		failure.attempts = take_number(&each, "attempts", 1, 1000, false, 1);
		failure.earlier = take_bool(&each, "earlier", false);
		take_line(&each, "why", failure.why, sizeof(failure.why));
		r->wrong = each.wrong;
		to = r->wrong ? NULL : doc_failure_append(rollout);
		if (to)
			*to = failure;
		else
			wrong(r, "out of memory");
	}
}

static void take_hooks(struct reader *r, struct doc_rollout *rollout)
{
	static const char *const words[] = { "before", "after", NULL };
	struct json_object *array = member(r, "hooks", json_type_array, false);
	char machine[DOC_MACHINE_MAX + 1], host[DOC_HOST_MAX + 1];
	struct doc_hook *hook = NULL;
	struct reader each;
	int64_t serial, last;
	enum doc_end end;
	bool after;
	size_t i;

	last = take_number(r, "hook_serial", 0, DOC_ATTEMPT_MAX, false, 0);
	for (i = 0; next_entry(r, array, i, &each); i++) {
		take_host(&each, host);
		take_text(&each, "machine", machine, DOC_MACHINE_MAX, true);
		after = take_word(&each, "hook", words, true);
		end = take_word(&each, "end", ends, false);
		serial = take_number(&each, "serial", 1, last, true, 0);
		r->wrong = each.wrong;
		if (!r->wrong && (doc_slot_of(rollout, host) || doc_hook_of(rollout, host)))
			wrong(r, "a host has a hook twice, or besides a slot");
		hook = r->wrong ? NULL : doc_hook_add(rollout, host, machine, after, end);
		if (hook)
			hook->serial = serial;
		else
			wrong(r, "out of memory");
	}
	rollout->hook_serial = last;
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
		refuse_required(&r);
		take_id(&r, "id", rollout->id, true);
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
		rollout->max_refused = take_number(&r, "max_refused", 0, 100000, false, 0);
		rollout->attempts = take_number(&r, "attempts", 1, 10, true, 1);
		rollout->confirm_timeout = take_number(&r, "confirm_timeout", 90, 604800, true,
						       90);
		rollout->settle = take_number(&r, "settle", 1, 3600, false, 0);
		take_text(&r, "allow_in_use", rollout->allow_in_use, DOC_WORDS_MAX - 1, false);
		rollout->soak = take_number(&r, "soak", 0, 604800, true, 0);
		rollout->allow_empty_canary = take_bool(&r, "allow_empty_canary", false);
		rollout->state = take_word(&r, "state", states, true);
		rollout->now = take_bool(&r, "now", false);
		take_line(&r, "reason", rollout->reason, sizeof(rollout->reason));
		rollout->leg_failures = take_number(&r, "leg_failures", 0, LONG_MAX, true, 0);
		rollout->leg_lost = take_number(&r, "leg_lost", 0, LONG_MAX, true, 0);
		rollout->leg_refused = take_number(&r, "leg_refused", 0, LONG_MAX, false, 0);
		rollout->unlisted = take_number(&r, "unlisted", 0, LONG_MAX, false, 0);
		take_ended(&r, rollout);
		take_slots(&r, rollout);
		take_failures(&r, rollout);
		take_hooks(&r, rollout);
		take_line(&r, "by", rollout->by, sizeof(rollout->by));
		take_line(&r, "fingerprint", rollout->fingerprint, sizeof(rollout->fingerprint));
		take_audit(&r, &rollout->audit);
	}
	if (r.wrong)
		doc_rollout_clear(rollout);
	return close_document(&r, rollout, sizeof(*rollout));
}
