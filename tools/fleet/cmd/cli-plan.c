// SPDX-License-Identifier: GPL-2.0
/* iommucfg fleet plan, drift and history. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, text && *text ? json_object_new_string(text) : NULL);
}

struct json_object *cli_json_host(const struct fleet_host *host)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "host", host->name);
	add_text(o, "phase", host->bad ? NULL : doc_phase_name(host->status.phase));
	add_text(o, "end", host->status.end ? doc_end_name(host->status.end) : NULL);
	add_text(o, "rollout", host->status.rollout);
	json_object_object_add(o, "attempt", json_object_new_int64(host->status.attempt));
	add_text(o, "policy_in_force", host->status.policy_in_force);
	add_text(o, "labels", host->status.labels);
	add_text(o, "kernel", host->kernel);
	add_text(o, "module", host->module);
	json_object_object_add(o, "drift", host->drift < 0 ? NULL :
			       json_object_new_int64(host->drift));
	add_text(o, "problem", host->problem);
	return o;
}

void cli_plan_count(const struct fleet_hosts *hosts, const char *policy, struct plan_count *count)
{
	const char *would, *why;
	size_t i;

	*count = (struct plan_count){ 0 };
	for (i = 0; i < hosts->count; i++) {
		would = cli_would(&hosts->hosts[i], policy, &why);
		if (!strcmp(would, "change"))
			count->change++;
		else if (!strcmp(would, "nothing"))
			count->nothing++;
		else
			count->cannot++;
		count->too_old += hosts->hosts[i].status.too_old;
	}
}

const char *cli_plan_text(const struct plan_count *count, char *text)
{
	char hosts[COUNT_MAX];

	snprintf(text, PLAN_TEXT_MAX, "%s would change, %zu %s it, %zu cannot",
		 cli_count(hosts, count->change, "host"), count->nothing,
		 count->nothing == 1 ? "has" : "have", count->cannot);
	return text;
}

static void plan_json(const struct fleet_options *options, const struct fleet_hosts *hosts,
		      const char *policy, const char *fingerprint)
{
	struct json_object *o = json_object_new_object(), *array = json_object_new_array(), *each;
	const char *would, *why;
	struct plan_count count;
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		would = cli_would(&hosts->hosts[i], policy, &why);
		each = cli_json_host(&hosts->hosts[i]);
		add_text(each, "would", would);
		add_text(each, "why", why);
		json_object_object_add(each, "in_use", json_object_get(hosts->hosts[i].in_use));
		json_object_object_add(each, "in_use_more",
				       json_object_new_int64(hosts->hosts[i].in_use_more));
		json_object_array_add(array, each);
	}
	cli_plan_count(hosts, policy, &count);
	add_text(o, "schema", "iommucfg/fleet-plan/1");
	add_text(o, "pool", options->pool);
	add_text(o, "policy", policy);
	add_text(o, "selector", options->rollout.selector);
	add_text(o, "fingerprint", fingerprint);
	json_object_object_add(o, "change", json_object_new_int64(count.change));
	json_object_object_add(o, "nothing", json_object_new_int64(count.nothing));
	json_object_object_add(o, "cannot", json_object_new_int64(count.cannot));
	json_object_object_add(o, "hosts", array);
	cli_print(o);
}

/* What a host that would change has in use, whatever the policy asks for. */
static void print_in_use(const struct fleet_host *host)
{
	struct json_object *each;
	char text[COUNT_MAX];
	size_t i;

	for (i = 0; host->in_use && i < json_object_array_length(host->in_use); i++) {
		each = json_object_array_get_idx(host->in_use, i);
		printf("         in use: group %lld, %s: %s (%s)\n",
		       (long long)json_object_get_int64(json_object_object_get(each, "group")),
		       json_object_get_string(json_object_object_get(each, "device")),
		       json_object_get_string(json_object_object_get(each, "what")),
		       json_object_get_string(json_object_object_get(each, "words")));
	}
	if (host->in_use_more)
		printf("         in use: %s more\n",
		       cli_count(text, host->in_use_more, "group"));
}

static void plan_text(const struct fleet_hosts *hosts, const char *policy, const char *fingerprint)
{
	const char *would, *why;
	struct plan_count count;
	char text[PLAN_TEXT_MAX];
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		would = cli_would(&hosts->hosts[i], policy, &why);
		if (strcmp(would, "nothing"))
			printf("%-8s %s%s%s\n", would, hosts->hosts[i].name, *why ? ": " : "", why);
		if (!strcmp(would, "change"))
			print_in_use(&hosts->hosts[i]);
	}
	cli_plan_count(hosts, policy, &count);
	printf("policy %.16s: %s\n", policy, cli_plan_text(&count, text));
	printf("fingerprint %.16s\n", fingerprint);
}

int cmd_plan(struct conf *conf, const struct fleet_options *options, const char *file)
{
	char name[DOC_HASH_MAX + 1], fingerprint[DOC_HASH_MAX + 1], *text;
	struct fleet_hosts hosts = { 0 };
	struct plan_count count;
	int code;

	text = cli_policy(file, name);
	if (!text)
		return EXIT_ERROR;
	free(text);
	code = cli_hosts(conf, options, &hosts);
	if (!code) {
		cli_fingerprint(&hosts, name, fingerprint);
		if (options->json)
			plan_json(options, &hosts, name, fingerprint);
		else
			plan_text(&hosts, name, fingerprint);
		cli_plan_count(&hosts, name, &count);
		code = count.change ? EXIT_DIFFERS : EXIT_DONE;
	}
	cli_hosts_clear(&hosts);
	return code;
}

/* Rules with the number of groups over all hosts. */
static struct json_object *drift_rules(const struct fleet_hosts *hosts)
{
	struct json_object *all = json_object_new_object(), *drift, *rules, *sum;
	int64_t number;
	char name[65];
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		if (hosts->hosts[i].drift <= 0 ||
		    !json_object_object_get_ex(hosts->hosts[i].facts, "drift", &drift) ||
		    !json_object_object_get_ex(drift, "rules", &rules) ||
		    !json_object_is_type(rules, json_type_object))
			continue;
		json_object_object_foreach(rules, rule, groups) {
			/* Whatever a host has written. */
			number = json_object_get_int64(groups);
			if (number < 0 || number > GROUPS_MAX)
				continue;
			snprintf(name, sizeof(name), "%s", rule);
			doc_line(name);
			sum = NULL;
			json_object_object_get_ex(all, name, &sum);
			json_object_object_add(all, name, json_object_new_int64(
				json_object_get_int64(sum) + number));
		}
	}
	return all;
}

int cmd_drift(struct conf *conf, const struct fleet_options *options)
{
	struct json_object *o, *array, *rules;
	struct fleet_hosts hosts;
	char text[COUNT_MAX];
	size_t i, count = 0;
	int code;

	code = cli_hosts(conf, options, &hosts);
	if (!code)
		code = cli_pool_exists(conf, options, &hosts);
	if (code) {
		cli_hosts_clear(&hosts);
		return code;
	}
	rules = drift_rules(&hosts);
	array = json_object_new_array();
	for (i = 0; i < hosts.count; i++) {
		if (hosts.hosts[i].drift <= 0)
			continue;
		count++;
		json_object_array_add(array, cli_json_host(&hosts.hosts[i]));
		if (!options->json)
			printf("%s: not as its policy says: %s\n", hosts.hosts[i].name,
			       cli_count(text, hosts.hosts[i].drift, "group"));
	}
	if (options->json) {
		o = json_object_new_object();
		add_text(o, "schema", "iommucfg/fleet-drift/1");
		add_text(o, "pool", options->pool);
		json_object_object_add(o, "rules", json_object_get(rules));
		json_object_object_add(o, "hosts", json_object_get(array));
		cli_print(o);
	} else {
		json_object_object_foreach(rules, rule, groups) {
			printf("rule \"%s\": %s\n", rule,
			       cli_count(text, json_object_get_int64(groups), "group"));
		}
		printf("drift: %zu of %s\n", count, cli_count(text, hosts.count, "host"));
	}
	json_object_put(array);
	json_object_put(rules);
	cli_hosts_clear(&hosts);
	return count ? EXIT_DIFFERS : EXIT_DONE;
}

static int by_generation(const void *a, const void *b)
{
	const struct doc_rollout *x = a, *y = b;

	return x->generation < y->generation ? -1 : x->generation > y->generation;
}

int cli_rollouts(struct conf *conf, const char *pool, struct doc_rollout **rollouts, size_t *count)
{
	char key[STEP_KEY_MAX], why[DOC_REASON_MAX];
	enum store_result result;
	struct store_list list;
	size_t i;

	*count = 0;
	cli_key(conf, key, "rollout", pool, "");
	result = store_list(conf->store, key, &list);
	if (result)
		return cli_failed(conf, key, result);
	*rollouts = calloc(list.count + 1, sizeof(**rollouts));
	for (i = 0; *rollouts && i < list.count; i++) {
		if (doc_rollout_parse(&(*rollouts)[*count], list.items[i].value, list.items[i].size,
				      why))
			(*count)++;
		else
			cli_say("%.200s: %s", list.items[i].key, why);
	}
	store_list_clear(&list);
	if (!*rollouts)
		return EXIT_ERROR;
	qsort(*rollouts, *count, sizeof(**rollouts), by_generation);
	return EXIT_DONE;
}

void cli_rollouts_free(struct doc_rollout *rollouts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		doc_rollout_clear(&rollouts[i]);
	free(rollouts);
}

static void history_text(const struct doc_rollout *r)
{
	const struct doc_act *act;
	size_t i;

	printf("generation %lld  %s  policy %.16s  %s%s%s\n", (long long)r->generation, r->id,
	       r->policy, doc_state_name(r->state), *r->reason ? ": " : "", r->reason);
	for (i = 1; i < DOC_ENDS; i++) {
		if (r->ended[i])
			printf("    %ld %s\n", r->ended[i], doc_end_name(i));
	}
	for (i = 0; i < r->audit.count; i++) {
		act = &r->audit.acts[i];
		printf("    %-20s %-10s %s%s%s\n", act->at, act->what, act->who,
		       *act->why ? ": " : "", act->why);
	}
}

/* Which policy took the place of which, also where a rollout is gone by now. */
static void audit_text(const struct doc_pool *pool)
{
	const struct doc_act *act;
	size_t i;

	if (pool->audit.count)
		puts("policies:");
	for (i = 0; i < pool->audit.count; i++) {
		act = &pool->audit.acts[i];
		printf("    %-20s %-10s %s: from %.16s to %.16s, %s\n", act->at, act->what,
		       act->who, *act->from ? act->from : "none", act->to, act->why);
	}
}

/* An array, as the pool's document has it; or NULL. */
static struct json_object *audit_of(const struct doc_pool *pool)
{
	char *text = doc_pool_print(pool);
	struct json_object *o = text ? json_tokener_parse(text) : NULL;
	struct json_object *audit = json_object_get(json_object_object_get(o, "audit"));

	json_object_put(o);
	free(text);
	return audit;
}

int cmd_history(struct conf *conf, const struct fleet_options *options)
{
	struct json_object *o, *array, *each;
	struct doc_rollout *rollouts = NULL;
	struct fleet_pool pool;
	size_t i, count;
	char *text;
	int code;

	code = cli_rollouts(conf, options->pool, &rollouts, &count);
	if (code)
		return code;
	code = cli_read(conf, options->pool, &pool);
	if (options->json) {
		o = json_object_new_object();
		array = json_object_new_array();
		for (i = 0; i < count; i++) {
			text = doc_rollout_print(&rollouts[i]);
			each = text ? json_tokener_parse(text) : NULL;
			free(text);
			json_object_array_add(array, each);
		}
		add_text(o, "schema", "iommucfg/fleet-history/1");
		add_text(o, "pool", options->pool);
		json_object_object_add(o, "rollouts", array);
		json_object_object_add(o, "audit", audit_of(&pool.pool));
		cli_print(o);
	} else {
		for (i = 0; i < count; i++)
			history_text(&rollouts[i]);
		audit_text(&pool.pool);
		if (!count)
			puts("no rollout yet");
	}
	cli_rollouts_free(rollouts, count);
	doc_rollout_clear(&pool.rollout);
	return code;
}
