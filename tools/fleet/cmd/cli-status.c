// SPDX-License-Identifier: GPL-2.0
/* iommucfg fleet status, and what a person changes in a rollout that is under way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Whether the pool's policy is in force there, as far as it has said. */
static bool is_in_force(const struct fleet_pool *pool, const struct fleet_host *host)
{
	const struct doc_status *s = &host->status;
	const char *policy = pool->pool.policy;
	bool ended = !strcmp(s->rollout, pool->pool.rollout) &&
		     (s->end == END_DONE || s->end == END_NOTHING);

	if (host->bad)
		return false;
	if (!strcmp(s->policy_in_force, strcmp(policy, DOC_NO_POLICY) ? policy : ""))
		return true;
	/* One that had nothing to change need not have it; others do not say what they have. */
	return ended && (s->end == END_NOTHING ||
			 !json_object_object_get_ex(host->facts, "agent", NULL));
}

/* What is counted of the hosts: those that the rollout is for, and of these with its policy. */
struct counts {
	size_t all, in_force, drift;	/* drift: of the pool */
};

static void count(const struct fleet_pool *pool, const struct fleet_hosts *hosts,
		  struct counts *counts)
{
	const struct fleet_host *host;
	size_t i;

	*counts = (struct counts){ 0 };
	for (i = 0; i < hosts->count; i++) {
		host = &hosts->hosts[i];
		counts->drift += host->drift > 0;
		if (!pool->has_rollout ||
		    !doc_selects(pool->rollout.selector, host->status.labels))
			continue;
		counts->all++;
		counts->in_force += is_in_force(pool, host);
	}
}

static int exit_of(const struct fleet_pool *pool, const struct counts *counts)
{
	const struct doc_rollout *r = &pool->rollout;
	size_t i;

	if (!pool->has_rollout)
		return counts->drift ? EXIT_DIFFERS : EXIT_DONE;
	if (r->ended[END_FAILED] || r->ended[END_LOST])
		return EXIT_PERSON;
	for (i = 0; i < r->changing_count; i++) {
		if (r->changing[i].lost)
			return EXIT_PERSON;
	}
	if (r->state == STATE_HALTED)
		return EXIT_REFUSED;
	return r->state != STATE_COMPLETE || counts->drift || counts->in_force < counts->all ?
	       EXIT_DIFFERS : EXIT_DONE;
}

static void print_json(const struct fleet_options *options, const struct fleet_pool *pool,
		       const struct fleet_hosts *hosts, const struct counts *counts)
{
	struct json_object *o = json_object_new_object(), *rollout = NULL, *array;
	char *text = pool->has_rollout ? doc_rollout_print(&pool->rollout) : NULL;
	size_t i;

	if (text)
		rollout = json_tokener_parse(text);
	free(text);
	json_object_object_add(o, "schema", json_object_new_string("iommucfg/fleet-status/1"));
	json_object_object_add(o, "pool", json_object_new_string(options->pool));
	json_object_object_add(o, "generation", json_object_new_int64(pool->pool.generation));
	json_object_object_add(o, "policy", json_object_new_string(pool->pool.policy));
	json_object_object_add(o, "hosts", json_object_new_int64(hosts->count));
	json_object_object_add(o, "in_force", json_object_new_int64(counts->in_force));
	json_object_object_add(o, "rollout", rollout);
	if (options->hosts) {
		array = json_object_new_array();
		for (i = 0; i < hosts->count; i++)
			json_object_array_add(array, cli_json_host(&hosts->hosts[i]));
		json_object_object_add(o, "host_list", array);
	}
	if (options->watch) {
		/* One document a line. */
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		cli_print(o);
	}
	fflush(stdout);
}

#define BAR 40

static void print_progress(const struct doc_rollout *r, size_t hosts)
{
	size_t done = r->ended[END_DONE] + r->ended[END_NOTHING], filled;

	if (done > hosts)
		done = hosts;
	filled = hosts ? done * BAR / hosts : 0;
	printf("progress [%.*s%.*s] %zu of %zu\n", (int)filled,
	       "########################################", (int)(BAR - filled),
	       "........................................", done, hosts);
}

static void print_hosts(const struct fleet_hosts *hosts)
{
	const struct fleet_host *host;
	int length, width = 0;
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		length = strlen(hosts->hosts[i].name);
		if (length > width)
			width = length;
	}
	for (i = 0; i < hosts->count; i++) {
		host = &hosts->hosts[i];
		printf("%-*s %-11s %-8s %.12s%s%s%s\n", width, host->name,
		       host->bad ? "unreadable" : doc_phase_name(host->status.phase),
		       host->status.end ? doc_end_name(host->status.end) : "-",
		       *host->status.policy_in_force ? host->status.policy_in_force : "-",
		       host->drift > 0 ? " drift" : "", *host->problem ? " " : "", host->problem);
	}
}

static void print_text(const struct fleet_options *options, const struct fleet_pool *pool,
		       const struct fleet_hosts *hosts, const struct counts *counts)
{
	const struct doc_rollout *r = &pool->rollout;
	char text[COUNT_MAX];
	size_t i;

	printf("pool %s, %s, generation %lld\n", options->pool,
	       cli_count(text, hosts->count, "host"), (long long)pool->pool.generation);
	if (pool->has_rollout) {
		printf("policy   %.16s\n", r->policy);
		printf("rollout  %s is %s%s%s%s\n", r->id, doc_state_name(r->state),
		       r->now ? " now" : "",
		       *r->reason ? ": " : "", r->reason);
		printf("wave     %zu of %zu, %zu changing of at most %ld\n", r->wave + 1,
		       r->wave_count, r->changing_count, r->max_changing);
		print_progress(r, counts->all);
		printf("ended   ");
		for (i = 1; i < DOC_ENDS; i++)
			printf(" %ld %s%s", r->ended[i], doc_end_name(i),
			       i + 1 < DOC_ENDS ? "," : "\n");
		for (i = 0; i < r->changing_count; i++)
			printf("changing %s, attempt %lld%s%s%s%s\n", r->changing[i].host,
			       (long long)r->changing[i].attempt,
			       *r->changing[i].since ? ", since " : "", r->changing[i].since,
			       r->changing[i].lost ? ", silent" : "",
			       r->changing[i].forgotten ? ", forgotten" : "");
		for (i = 0; i < r->hook_count; i++)
			printf("hook     %s, %s\n", r->hooks[i].host,
			       r->hooks[i].after ? "after" : "before");
		for (i = 0; i < r->failure_count; i++)
			printf("%-8s %s%s%s\n", doc_end_name(r->failures[i].end),
			       r->failures[i].host, *r->failures[i].why ? ": " : "",
			       r->failures[i].why);
		if (r->unlisted)
			printf("and %ld more that are not listed\n", r->unlisted);
	} else {
		puts("no rollout yet");
	}
	if (pool->has_rollout && r->state == STATE_COMPLETE && counts->in_force < counts->all)
		printf("without  the policy: %zu of %s, see --hosts\n",
		       counts->all - counts->in_force, cli_count(text, counts->all, "host"));
	if (counts->drift)
		printf("drift    %s, see \"iommucfg fleet drift\"\n",
		       cli_count(text, counts->drift, "host"));
	if (options->hosts)
		print_hosts(hosts);
	fflush(stdout);
}

static bool is_over(const struct fleet_pool *pool)
{
	const struct doc_rollout *r = &pool->rollout;

	return !pool->has_rollout || r->state == STATE_COMPLETE || r->state == STATE_SUPERSEDED ||
	       (r->state == STATE_HALTED && !r->changing_count && !r->hook_count);
}

/* @over: nothing more will happen by itself. */
static int show(struct conf *conf, const struct fleet_options *options, bool *over)
{
	struct fleet_hosts hosts = { 0 };
	struct fleet_pool pool;
	struct counts counts;
	int code;

	*over = false;
	code = cli_read(conf, options->pool, &pool);
	if (!code)
		code = cli_hosts(conf, options, &hosts);
	if (!code)
		code = cli_pool_exists(conf, options, &hosts);
	if (!code) {
		count(&pool, &hosts, &counts);
		if (options->json)
			print_json(options, &pool, &hosts, &counts);
		else
			print_text(options, &pool, &hosts, &counts);
		code = exit_of(&pool, &counts);
		*over = is_over(&pool);
	}
	cli_hosts_clear(&hosts);
	doc_rollout_clear(&pool.rollout);
	return code;
}

int cmd_status(struct conf *conf, const struct fleet_options *options)
{
	bool over;
	int code;

	for (;;) {
		if (options->watch && !options->json && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		code = show(conf, options, &over);
		/* A store that does not answer may do so again. */
		if (!options->watch || over || (code == EXIT_ERROR && !cli_unreachable()))
			return code;
		sleep(2);
	}
}

/* The number of what @host has written last; 0: nothing that can be read. */
static int read_seq(struct conf *conf, const char *pool, const char *host, int64_t *seq)
{
	char key[STEP_KEY_MAX], why[DOC_REASON_MAX];
	enum store_result result;
	struct doc_status status;
	struct store_item item;

	cli_key(conf, key, "status", pool, host);
	result = store_get(conf->store, key, &item);
	if (result)
		return cli_failed(conf, key, result);
	*seq = item.value && doc_status_parse(&status, item.value, item.size, why) ? status.seq : 0;
	store_item_clear(&item);
	return EXIT_DONE;
}

/*
 * What @verb makes of the rollout; @host and @seq: of forget. False: it does not go, the reason
 * was printed.
 */
static bool change(struct doc_rollout *r, const struct fleet_options *options, const char *verb,
		   const char *host, int64_t seq, bool *changed)
{
	enum doc_state to = !strcmp(verb, "pause") ? STATE_PAUSED :
			    !strcmp(verb, "halt") ? STATE_HALTED : STATE_RUNNING;
	bool stopped = r->state == STATE_PAUSED || r->state == STATE_HALTED;

	*changed = true;
	if (host) {
		if (!doc_slot_of(r, host) && !doc_hook_of(r, host)) {
			cli_say("%s has no slot", host);
			return false;
		}
		*changed = doc_rollout_forget(r, host, seq);
		return true;
	}
	if (r->state == STATE_COMPLETE || r->state == STATE_SUPERSEDED ||
	    (to == STATE_PAUSED && r->state == STATE_HALTED)) {
		cli_say("rollout %s is %s", r->id,
			doc_state_name(r->state));
		return false;
	}
	if (to == STATE_RUNNING) {
		*changed = stopped;
		if (!stopped)
			return true;
		doc_rollout_resume(r);
		r->allow_empty_canary |= options->rollout.allow_empty_canary;
	} else {
		*changed = r->state != to || (options->now && !r->now);
		/* "now" means less in a pause; and what was said once is not taken back. */
		r->now = options->now || (r->now && r->state == to);
		if (to == STATE_HALTED && r->state != to)
			snprintf(r->reason, sizeof(r->reason), "by a person");
	}
	r->state = to;
	return true;
}

int cmd_change(struct conf *conf, const struct fleet_options *options, const char *verb,
	       const char *host)
{
	struct store_put put = { 0 };
	char key[STEP_KEY_MAX], question[DOC_HOST_MAX + 64], id[DOC_ID_MAX + 1];
	struct doc_act act;
	enum store_result result = STORE_CONFLICT;
	struct fleet_pool pool;
	bool changed, ok;
	char *text;
	int64_t seq = 0;
	int tries, code;

	if (host) {
		snprintf(question, sizeof(question), "Is %s off, or its change over?", host);
		/* As it was before the answer: what the host writes after it says that it is on. */
		code = read_seq(conf, options->pool, host, &seq);
		if (code)
			return code;
		if (!cli_ask(options, question))
			return EXIT_REFUSED;
	}
	/* Coordinators write as well. What was done, though no answer came, is seen then. */
	for (tries = 0; tries < 20; tries++) {
		code = cli_read(conf, options->pool, &pool);
		if (code || !pool.has_rollout) {
			if (!code)
				cli_say("there is no rollout");
			doc_rollout_clear(&pool.rollout);
			return EXIT_ERROR;
		}
		act = (struct doc_act){ 0 };
		snprintf(act.from, sizeof(act.from), "%s", doc_state_name(pool.rollout.state));
		ok = change(&pool.rollout, options, verb, host, seq, &changed);
		memcpy(id, pool.rollout.id, sizeof(id));
		if (!ok || !changed) {
			doc_rollout_clear(&pool.rollout);
			/* A forget whose answer was lost. */
			ok |= result == STORE_UNKNOWN;
			if (ok)
				cli_done(options, id, "unchanged");
			return ok ? EXIT_DONE : EXIT_REFUSED;
		}
		conf_now(act.at);
		cli_who(act.who);
		snprintf(act.what, sizeof(act.what), "%s", verb);
		snprintf(act.to, sizeof(act.to), "%s", doc_state_name(pool.rollout.state));
		snprintf(act.why, sizeof(act.why), "%.60s%s%.90s",
			 host ? host : options->now ? "now" : "",
			 (host || options->now) && options->why ? ": " : "",
			 options->why ? options->why : "");
		doc_audit_add(&pool.rollout.audit, &act);
		text = doc_rollout_print(&pool.rollout);
		cli_key(conf, key, "rollout", options->pool, pool.rollout.id);
		doc_rollout_clear(&pool.rollout);
		if (!text)
			return EXIT_ERROR;
		put = (struct store_put){
			.key = key, .value = text, .size = strlen(text), .rev = pool.rollout_rev,
		};
		result = store_put(conf->store, &put, NULL);
		free(text);
		if (!result) {
			cli_done(options, id, "done");
			return EXIT_DONE;
		}
		if (result != STORE_CONFLICT && result != STORE_UNKNOWN)
			break;
	}
	return cli_failed(conf, key, result);
}
