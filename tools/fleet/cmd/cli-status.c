// SPDX-License-Identifier: GPL-2.0
/* iommucfg fleet status, and what a person changes in a rollout that is under way. */
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int exit_of(const struct fleet_pool *pool)
{
	const struct doc_rollout *r = &pool->rollout;
	size_t i;

	if (!pool->has_rollout)
		return EXIT_DONE;
	if (r->ended[END_FAILED] || r->ended[END_LOST])
		return EXIT_PERSON;
	for (i = 0; i < r->changing_count; i++) {
		if (r->changing[i].lost)
			return EXIT_PERSON;
	}
	if (r->state == STATE_HALTED)
		return EXIT_REVERTED;
	return r->state == STATE_COMPLETE ? EXIT_DONE : EXIT_DIFFERS;
}

static void print_json(const char *name, const struct fleet_pool *pool, size_t hosts)
{
	struct json_object *o = json_object_new_object(), *rollout = NULL;
	char *text = pool->has_rollout ? doc_rollout_print(&pool->rollout) : NULL;

	if (text)
		rollout = json_tokener_parse(text);
	free(text);
	json_object_object_add(o, "schema", json_object_new_string("iommucfg/fleet-status/1"));
	json_object_object_add(o, "pool", json_object_new_string(name));
	json_object_object_add(o, "generation", json_object_new_int64(pool->pool.generation));
	json_object_object_add(o, "policy", json_object_new_string(pool->pool.policy));
	json_object_object_add(o, "hosts", json_object_new_int64(hosts));
	json_object_object_add(o, "rollout", rollout);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print_text(const char *name, const struct fleet_pool *pool, size_t hosts)
{
	const struct doc_rollout *r = &pool->rollout;
	size_t i;

	printf("pool %s, %zu hosts, generation %lld\n", name, hosts,
	       (long long)pool->pool.generation);
	if (!pool->has_rollout) {
		puts("no rollout yet");
		return;
	}
	printf("policy   %.16s\n", r->policy);
	printf("rollout  %s is %s%s%s%s\n", r->id, doc_state_name(r->state), r->now ? " now" : "",
	       *r->reason && r->state == STATE_HALTED ? ": " : "",
	       r->state == STATE_HALTED ? r->reason : "");
	printf("wave     %zu of %zu, %zu of at most %ld hosts changing\n", r->wave + 1,
	       r->wave_count, r->changing_count, r->max_changing);
	printf("ended   ");
	for (i = 1; i < DOC_ENDS; i++)
		printf(" %ld %s%s", r->ended[i], doc_end_name(i), i + 1 < DOC_ENDS ? "," : "\n");
	for (i = 0; i < r->changing_count; i++)
		printf("changing %s, attempt %lld%s\n", r->changing[i].host,
		       (long long)r->changing[i].attempt, r->changing[i].lost ? ", silent" : "");
	for (i = 0; i < r->failure_count; i++)
		printf("%-8s %s\n", doc_end_name(r->failures[i].end), r->failures[i].host);
}

int cmd_status(struct conf *conf, const struct fleet_options *options)
{
	struct fleet_pool pool;
	size_t hosts = 0;
	int code;

	code = cli_read(conf, options->pool, &pool);
	if (!code)
		code = cli_count_hosts(conf, options->pool, &hosts);
	if (!code) {
		if (options->json)
			print_json(options->pool, &pool, hosts);
		else
			print_text(options->pool, &pool, hosts);
		code = exit_of(&pool);
	}
	doc_rollout_clear(&pool.rollout);
	return code;
}

/* What @verb makes of the rollout; false: it does not go, the reason was printed. */
static bool change(struct doc_rollout *r, const struct fleet_options *options, const char *verb,
		   const char *host, bool *changed)
{
	enum doc_state to = !strcmp(verb, "pause") ? STATE_PAUSED :
			    !strcmp(verb, "halt") ? STATE_HALTED : STATE_RUNNING;
	bool stopped = r->state == STATE_PAUSED || r->state == STATE_HALTED;

	*changed = true;
	if (host) {
		if (!doc_slot_of(r, host)) {
			fprintf(stderr, "iommucfg fleet: %s has no slot\n", host);
			return false;
		}
		return doc_rollout_forget(r, host);
	}
	if (r->state == STATE_COMPLETE || r->state == STATE_SUPERSEDED ||
	    (to == STATE_PAUSED && r->state == STATE_HALTED)) {
		fprintf(stderr, "iommucfg fleet: rollout %s is %s\n", r->id,
			doc_state_name(r->state));
		return false;
	}
	if (to == STATE_RUNNING) {
		*changed = stopped;
		if (!stopped)
			return true;
		r->leg_failures = r->leg_lost = 0;
		r->reason[0] = '\0';
		r->now = false;
		r->allow_empty_canary |= options->rollout.allow_empty_canary;
	} else {
		*changed = r->state != to || (options->now && !r->now);
		r->now |= options->now;
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
	char key[STEP_KEY_MAX], question[DOC_HOST_MAX + 64];
	enum store_result result = STORE_CONFLICT;
	struct fleet_pool pool;
	bool changed, ok;
	char *text;
	int tries, code;

	if (host) {
		snprintf(question, sizeof(question), "Is %s off, or its change over?", host);
		if (!cli_ask(options, question))
			return EXIT_REFUSED;
	}
	/* Coordinators write as well. What was done, though no answer came, is seen then. */
	for (tries = 0; tries < 20; tries++) {
		code = cli_read(conf, options->pool, &pool);
		if (code || !pool.has_rollout) {
			if (!code)
				fprintf(stderr, "iommucfg fleet: there is no rollout\n");
			doc_rollout_clear(&pool.rollout);
			return EXIT_ERROR;
		}
		ok = change(&pool.rollout, options, verb, host, &changed);
		if (!ok || !changed) {
			doc_rollout_clear(&pool.rollout);
			/* A forget whose answer was lost. */
			return ok || result == STORE_UNKNOWN ? EXIT_DONE : EXIT_REFUSED;
		}
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
		if (!result)
			return EXIT_DONE;
		if (result != STORE_CONFLICT && result != STORE_UNKNOWN)
			break;
	}
	return cli_failed(conf, key, result);
}
