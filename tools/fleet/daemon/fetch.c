// SPDX-License-Identifier: GPL-2.0
/* Policies of the store, and what the fleet may ask of this host. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#define POLICY_MAX	(256 * 1024)
/* Each byte of the text takes at most six in JSON. */
#define DOCUMENT_MAX	(6 * POLICY_MAX + 4096)

static bool is_named(const char *name, const char *value, size_t size)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char text[2 * SHA256_DIGEST_LENGTH + 1];
	size_t i;

	SHA256((const unsigned char *)value, size, hash);
	for (i = 0; i < sizeof(hash); i++)
		sprintf(text + 2 * i, "%02x", hash[i]);
	return !strcmp(text, name);
}

/* The text in a document, to be freed; NULL: the reason is in d->problem. */
static char *text_of(struct daemon *d, const char *value, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(8);
	struct json_object *o = NULL, *requires, *text;
	char *copy = NULL;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, value, size);
	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "text", &text) ||
	    !json_object_is_type(text, json_type_string) ||
	    strlen(json_object_get_string(text)) != (size_t)json_object_get_string_len(text)) {
		snprintf(d->problem, sizeof(d->problem), "the policy is no document with a text");
	} else if (json_object_get_string_len(text) > POLICY_MAX) {
		snprintf(d->problem, sizeof(d->problem), "the policy has more than %d kB",
			 POLICY_MAX / 1024);
	} else if (json_object_object_get_ex(o, "requires", &requires) &&
		   (!json_object_is_type(requires, json_type_array) ||
		    json_object_array_length(requires))) {
		/* There is no word yet that this version knows. */
		snprintf(d->problem, sizeof(d->problem),
			 "the policy requires what this agent does not have: %.80s",
			 json_object_to_json_string(requires));
	} else {
		copy = strdup(json_object_get_string(text));
	}
	json_object_put(o);
	json_tokener_free(tokener);
	return copy;
}

char *policy_fetch(struct daemon *d, const char *name, int *code)
{
	char key[STEP_KEY_MAX], *text = NULL;
	enum store_result result;
	struct store_item item;

	snprintf(key, sizeof(key), "%s/policy/%s", d->conf.prefix, name);
	result = store_get(d->conf.store, key, &item);
	*code = PLAN_REFUSED;
	/* What cannot be had now is asked for at the pace of a store that is away. */
	d->connected = !result;
	if (result) {
		snprintf(d->problem, sizeof(d->problem), "%.50s: %.100s", key,
			 store_message(d->conf.store));
		*code = result == STORE_DENIED ? PLAN_BLOCKED : PLAN_AGAIN;
	} else if (!item.value) {
		snprintf(d->problem, sizeof(d->problem), "there is no policy %.20s", name);
	} else if (item.size > DOCUMENT_MAX) {
		snprintf(d->problem, sizeof(d->problem), "the policy is too large: %zu bytes",
			 item.size);
	} else if (!is_named(name, item.value, item.size)) {
		snprintf(d->problem, sizeof(d->problem),
			 "the policy is not what its name says (SHA-256)");
	} else {
		text = text_of(d, item.value, item.size);
	}
	store_item_clear(&item);
	return text;
}

bool policy_is_way_back(const struct daemon *d)
{
	return !strcmp(agent_journal(d->agent)->policy, DOC_NO_POLICY);
}

static bool refuse(struct daemon *d, const char *what)
{
	snprintf(d->problem, sizeof(d->problem), "not within \"limits\" of this host: %s", what);
	return false;
}

static bool types_allowed(struct daemon *d, const struct iommucfg_policy *policy)
{
	enum iommucfg_type type = iommucfg_policy_default(policy);
	char what[80];
	size_t i = 0, count = iommucfg_policy_num_rules(policy);

	do {
		if (type != IOMMUCFG_TYPE_NONE && !(d->settings.types & 1U << type)) {
			snprintf(what, sizeof(what), "type %s", iommucfg_type_name(type));
			return refuse(d, what);
		}
		if (i < count)
			type = iommucfg_rule_type(iommucfg_policy_rule(policy, i));
	} while (i++ < count);
	return true;
}

static bool options_allowed(struct daemon *d, const struct iommucfg_policy *policy)
{
	int words = iommucfg_policy_allow_in_use(policy);
	int granted, disruption = iommucfg_policy_disruption(policy);

	/* An empty one as well: it would take the place of the host's own. */
	if (iommucfg_policy_check_command(policy)) {
		snprintf(d->problem, sizeof(d->problem),
			 "the policy has a check_command, and no program comes from the store");
		return false;
	}
	if (!words_parse(agent_grant(d->agent)->allow_in_use, &granted)) {
		snprintf(d->problem, sizeof(d->problem),
			 "the grant has a word in allow_in_use that is not known here: %s",
			 agent_grant(d->agent)->allow_in_use);
		return false;
	}
	/* The policy's words count as well: it is installed. */
	words = (words > 0 ? words : 0) | (granted > 0 ? granted : 0);
	if (words & ~d->settings.allow_in_use)
		return refuse(d, "allow_in_use");
	/* The lower, the more it may do. */
	if (disruption >= 0 && disruption < (int)d->settings.disruption)
		return refuse(d, "disruption");
	if (iommucfg_policy_faults(policy) == IOMMUCFG_FAULTS_WARN && !d->settings.faults_warn)
		return refuse(d, "faults");
	if (agent_journal(d->agent)->confirm_timeout < d->settings.confirm_timeout_min)
		return refuse(d, "confirm_timeout");
	return true;
}

bool policy_allowed(struct daemon *d, const char *text)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_policy *policy = NULL;
	const struct iommucfg_problem *p;
	bool ok = false;

	snprintf(d->problem, sizeof(d->problem), "out of memory");
	if (!problems || iommucfg_policy_new(d->host.ctx, &policy))
		goto out;
	if (iommucfg_policy_read_buffer(policy, "policy", text, strlen(text), problems)) {
		p = iommucfg_problems_count(problems) ? iommucfg_problems_get(problems, 0) : NULL;
		if (p)
			snprintf(d->problem, sizeof(d->problem), "the policy, line %d: %.120s",
				 iommucfg_problem_line(p), iommucfg_problem_message(p));
		goto out;
	}
	d->problem[0] = '\0';
	/* What the types were before is for the host to say, not for the fleet. */
	ok = (policy_is_way_back(d) || types_allowed(d, policy)) && options_allowed(d, policy);
out:
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
	return ok;
}
