// SPDX-License-Identifier: GPL-2.0
/* The hosts of a pool by their statuses, and what a policy would be to each of them. */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* One line of ASCII, whatever a host has written. */
static void take_line(struct json_object *o, const char *name, char *to, size_t size)
{
	struct json_object *value;

	to[0] = '\0';
	if (json_object_object_get_ex(o, name, &value) &&
	    json_object_is_type(value, json_type_string))
		snprintf(to, size, "%s", json_object_get_string(value));
	doc_line(to);
}

static void take_drift(struct fleet_host *host)
{
	struct json_object *drift, *groups;

	host->drift = -1;
	if (json_object_object_get_ex(host->facts, "drift", &drift) &&
	    json_object_object_get_ex(drift, "groups", &groups) &&
	    json_object_is_type(groups, json_type_int))
		host->drift = json_object_get_int64(groups);
}

static void take_problem(struct fleet_host *host)
{
	struct json_object *problems, *first = NULL;

	if (json_object_object_get_ex(host->facts, "problems", &problems) &&
	    json_object_is_type(problems, json_type_array) && json_object_array_length(problems))
		first = json_object_array_get_idx(problems, 0);
	if (json_object_is_type(first, json_type_string))
		snprintf(host->problem, sizeof(host->problem), "%s", json_object_get_string(first));
	doc_line(host->problem);
}

/* One line of it; false: it is none. Words that are not known may be of a later version. */
static bool take_use(struct json_object *from, struct json_object *to)
{
	static const char *const texts[] = { "device", "words", "what" };
	struct json_object *group;
	char text[DOC_WORDS_MAX];
	size_t i;

	if (!json_object_is_type(from, json_type_object) ||
	    !json_object_object_get_ex(from, "group", &group) ||
	    !json_object_is_type(group, json_type_int))
		return false;
	json_object_object_add(to, "group", json_object_get(group));
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		take_line(from, texts[i], text, sizeof(text));
		json_object_object_add(to, texts[i], json_object_new_string(text));
	}
	return true;
}

/* As many as a host reports; what it writes besides is counted. */
#define IN_USE_MAX 64

static void take_in_use(struct fleet_host *host)
{
	struct json_object *array, *more, *each;
	size_t i;

	if (!json_object_object_get_ex(host->facts, "in_use", &array) ||
	    !json_object_is_type(array, json_type_array))
		return;
	if (json_object_object_get_ex(host->facts, "in_use_more", &more) &&
	    json_object_is_type(more, json_type_int) && json_object_get_int64(more) > 0 &&
	    json_object_get_int64(more) <= GROUPS_MAX)
		host->in_use_more = json_object_get_int64(more);
	host->in_use = json_object_new_array();
	for (i = 0; i < json_object_array_length(array); i++) {
		each = json_object_new_object();
		if (json_object_array_length(host->in_use) < IN_USE_MAX &&
		    take_use(json_object_array_get_idx(array, i), each)) {
			json_object_array_add(host->in_use, each);
		} else {
			json_object_put(each);
			host->in_use_more++;
		}
	}
}

static void take_host(struct fleet_host *host, const struct store_item *item, const char *name)
{
	char why[DOC_REASON_MAX];

	snprintf(host->name, sizeof(host->name), "%s", name);
	host->drift = -1;
	host->bad = !doc_status_parse(&host->status, item->value, item->size, why);
	if (host->bad) {
		snprintf(host->problem, sizeof(host->problem), "its status: %s", why);
		return;
	}
	host->facts = json_tokener_parse(item->value);
	take_line(host->facts, "kernel", host->kernel, sizeof(host->kernel));
	take_line(host->facts, "module", host->module, sizeof(host->module));
	take_drift(host);
	take_problem(host);
	take_in_use(host);
}

static void host_clear(struct fleet_host *host)
{
	json_object_put(host->facts);
	json_object_put(host->in_use);
}

int cli_hosts(struct conf *conf, const struct fleet_options *options, struct fleet_hosts *hosts)
{
	char key[STEP_KEY_MAX];
	enum store_result result;
	struct store_list list;
	struct fleet_host *host;
	size_t i;

	*hosts = (struct fleet_hosts){ 0 };
	cli_key(conf, key, "status", options->pool, "");
	result = store_list(conf->store, key, &list);
	if (result)
		return cli_failed(conf, key, result);
	hosts->hosts = calloc(list.count + 1, sizeof(*hosts->hosts));
	for (i = 0; hosts->hosts && i < list.count; i++) {
		if (!doc_is_host(list.items[i].key + strlen(key)))
			continue;
		host = &hosts->hosts[hosts->count];
		take_host(host, &list.items[i], list.items[i].key + strlen(key));
		if (doc_selects(options->rollout.selector, host->status.labels))
			hosts->count++;
		else
			host_clear(host);
		hosts->hosts[hosts->count] = (struct fleet_host){ 0 };
	}
	store_list_clear(&list);
	return hosts->hosts ? EXIT_DONE : EXIT_ERROR;
}

int cli_pool_exists(struct conf *conf, const struct fleet_options *options,
		    const struct fleet_hosts *hosts)
{
	bool exists = hosts->count || *options->rollout.selector;
	char key[STEP_KEY_MAX];
	int code = EXIT_DONE;
	size_t i;

	for (i = 0; i < conf->pool_count; i++)
		exists |= !strcmp(conf->pools[i], options->pool);
	if (!exists) {
		cli_key(conf, key, "pool", options->pool, NULL);
		code = cli_exists(conf, key, &exists);
	}
	if (code || exists)
		return code;
	cli_say("there is no pool %s: no host of it has reported, and it had no rollout",
		options->pool);
	return EXIT_ERROR;
}

void cli_hosts_clear(struct fleet_hosts *hosts)
{
	size_t i;

	for (i = 0; i < hosts->count; i++)
		host_clear(&hosts->hosts[i]);
	free(hosts->hosts);
	*hosts = (struct fleet_hosts){ 0 };
}

const char *cli_would(const struct fleet_host *host, const char *policy, const char **why)
{
	const struct doc_status *s = &host->status;

	*why = "";
	if (host->bad) {
		*why = host->problem;
		return "cannot";
	}
	if (s->too_old || !json_object_object_get_ex(host->facts, "agent", NULL)) {
		*why = "its agent is too old, or has not reported yet";
		return "cannot";
	}
	if (!*host->module) {
		*why = "the kernel's module is not loaded";
		return "cannot";
	}
	if (s->phase == PHASE_CHANGING || s->phase == PHASE_UNCONFIRMED) {
		*why = "it is in the middle of a change";
		return "cannot";
	}
	if (!strcmp(policy, DOC_NO_POLICY))
		return *s->policy_in_force ? "change" : "nothing";
	if (strcmp(s->policy_in_force, policy))
		return "change";
	if (host->drift > 0) {
		*why = "its groups are not as the policy says";
		return "change";
	}
	return "nothing";
}

void cli_fingerprint(const struct fleet_hosts *hosts, const char *policy,
		     char fingerprint[DOC_HASH_MAX + 1])
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const char *would, *why;
	size_t i;

	EVP_DigestInit_ex(context, EVP_sha256(), NULL);
	EVP_DigestUpdate(context, policy, strlen(policy) + 1);
	for (i = 0; i < hosts->count; i++) {
		would = cli_would(&hosts->hosts[i], policy, &why);
		EVP_DigestUpdate(context, hosts->hosts[i].name, strlen(hosts->hosts[i].name) + 1);
		EVP_DigestUpdate(context, hosts->hosts[i].status.machine,
			      strlen(hosts->hosts[i].status.machine) + 1);
		EVP_DigestUpdate(context, would, strlen(would) + 1);
	}
	EVP_DigestFinal_ex(context, hash, NULL);
	EVP_MD_CTX_free(context);
	for (i = 0; i < sizeof(hash); i++)
		sprintf(fingerprint + 2 * i, "%02x", hash[i]);
}
