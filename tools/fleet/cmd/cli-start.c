// SPDX-License-Identifier: GPL-2.0
/* iommucfg fleet start and rollback. */
#include <json.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <iommucfg.h>

#include "cli.h"

#define POLICY_MAX (256 * 1024)
#define CONFIRM_TIMEOUT 180

/* Whether it comes out of the document as it was; a byte of 0 ends the text there. */
static bool is_utf8(const char *text, size_t size)
{
	struct json_object *o = json_object_new_string_len(text, size), *again;
	struct json_tokener *tokener = json_tokener_new();
	const char *json = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	bool ok;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	again = json_tokener_parse_ex(tokener, json, strlen(json) + 1);
	ok = again && strlen(text) == size;
	json_object_put(o);
	json_object_put(again);
	json_tokener_free(tokener);
	return ok;
}

/* The text of @file, checked as a host would; NULL: the reason was printed. */
static char *read_policy(const char *file, size_t *size)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_policy *policy = NULL;
	const struct iommucfg_problem *p;
	struct iommucfg *ctx = NULL;
	char *text = malloc(POLICY_MAX + 1);
	FILE *f = fopen(file, "re");
	bool ok = false;
	size_t i;

	if (!f || !text || !problems) {
		cli_say("%s: %m", file);
		goto out;
	}
	*size = fread(text, 1, POLICY_MAX + 1, f);
	if (ferror(f) || *size > POLICY_MAX) {
		cli_say("%s: it cannot be read, or has more than %d kB",
			file, POLICY_MAX / 1024);
		goto out;
	}
	text[*size] = '\0';
	if (!is_utf8(text, *size)) {
		cli_say("%s: it is no text in UTF-8, and hosts would refuse it", file);
		goto out;
	}
	if (iommucfg_new(&ctx, NULL) || iommucfg_policy_new(ctx, &policy))
		goto out;
	ok = !iommucfg_policy_read_buffer(policy, file, text, *size, problems);
	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		cli_say("%s:%d: %s", file, iommucfg_problem_line(p), iommucfg_problem_message(p));
	}
out:
	if (f)
		fclose(f);
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
	if (ok)
		return text;
	free(text);
	return NULL;
}

char *cli_policy(const char *file, char name[DOC_HASH_MAX + 1])
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	struct json_object *o;
	char *policy, *copy;
	const char *text;
	size_t i, size;

	policy = read_policy(file, &size);
	if (!policy)
		return NULL;
	o = json_object_new_object();
	json_object_object_add(o, "schema", json_object_new_string("iommucfg/fleet-policy/1"));
	json_object_object_add(o, "text", json_object_new_string_len(policy, size));
	json_object_object_add(o, "requires", json_object_new_array());
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE);
	SHA256((const unsigned char *)text, strlen(text), hash);
	for (i = 0; i < sizeof(hash); i++)
		sprintf(name + 2 * i, "%02x", hash[i]);
	copy = strdup(text);
	json_object_put(o);
	free(policy);
	return copy;
}

/* Stores a policy under its name. */
static int store_policy(struct conf *conf, const char *text, const char *name)
{
	struct store_put put = { .value = text, .size = strlen(text) };
	char key[STEP_KEY_MAX];
	enum store_result result = STORE_UNKNOWN;
	int i;

	cli_key(conf, key, "policy", name, NULL);
	put.key = key;
	for (i = 0; i < 3 && result == STORE_UNKNOWN; i++)
		result = store_put(conf->store, &put, NULL);
	/* There already: the name says that it is the same. */
	if (!result || result == STORE_CONFLICT)
		return EXIT_DONE;
	return cli_failed(conf, key, result);
}

/* One document; the answer is certain. */
static enum store_result put_document(struct conf *conf, const char *key, char *text, int64_t rev,
				      int64_t *new_rev)
{
	struct store_put put = { .key = key, .value = text, .rev = rev };
	enum store_result result = STORE_NOMEM;
	struct store_item item = { 0 };

	if (text) {
		put.size = strlen(text);
		result = store_put(conf->store, &put, new_rev);
	}
	if (result == STORE_UNKNOWN) {
		/* It was done, if this is there: no other command writes the same. */
		/* It stays unknown where that cannot be read, or is not there yet. */
		if (!store_get(conf->store, key, &item) && item.value &&
		    !strcmp(item.value, text)) {
			result = STORE_OK;
			if (new_rev)
				*new_rev = item.rev;
		}
		store_item_clear(&item);
	}
	free(text);
	return result;
}

/* When it was started, as far as its audit says. */
static const char *since_of(const struct doc_rollout *r)
{
	return r->audit.count ? r->audit.acts[0].at : "";
}

static bool is_over(const struct fleet_pool *old)
{
	return !old->has_rollout || old->rollout.state == STATE_COMPLETE ||
	       old->rollout.state == STATE_SUPERSEDED;
}

/* A rollout that is under way must be over, or halted with no host in the middle of it. */
static int may_replace(const struct fleet_pool *old)
{
	const struct doc_rollout *r = &old->rollout;
	size_t busy = r->changing_count + r->hook_count;
	char hosts[COUNT_MAX];

	if (is_over(old) || (r->state == STATE_HALTED && !busy))
		return EXIT_DONE;
	cli_say("rollout %s, begun%s%s, is %s, %s with a slot or a hook to come; "
		"halt it, and wait for these, or forget them", r->id,
		*since_of(r) ? " at " : " earlier", since_of(r), doc_state_name(r->state),
		cli_count(hosts, busy, "host"));
	return EXIT_REFUSED;
}

/* Another command was first: say which rollout that is, since when, and its state. */
static void say_other(struct conf *conf, const char *name)
{
	struct fleet_pool pool;
	const struct doc_rollout *r = &pool.rollout;

	if (!cli_read(conf, name, &pool) && pool.has_rollout)
		cli_say("pool %s: rollout %s was started meanwhile%s%s%s%s, it is %s", name, r->id,
			*r->by ? " by " : "", r->by, *since_of(r) ? " at " : "", since_of(r),
			doc_state_name(r->state));
	else
		cli_say("pool %s: another rollout was started meanwhile; "
			"see \"iommucfg fleet status\"", name);
	doc_rollout_clear(&pool.rollout);
}

/*
 * After this nobody can resume the old rollout. It comes before the write to the pool, as
 * coordinators serve only the rollout that the pool names: hosts of an old one that was
 * resumed in between would keep their slots for ever.
 */
static int supersede(struct conf *conf, const char *pool, struct fleet_pool *old)
{
	struct doc_rollout *r = &old->rollout;
	char key[STEP_KEY_MAX];
	enum store_result result;

	if (is_over(old))
		return EXIT_DONE;
	r->state = STATE_SUPERSEDED;
	cli_key(conf, key, "rollout", pool, r->id);
	result = put_document(conf, key, doc_rollout_print(r), old->rollout_rev, NULL);
	if (result == STORE_CONFLICT) {
		cli_say("rollout %s has changed meanwhile", r->id);
		return EXIT_REFUSED;
	}
	return result ? cli_failed(conf, key, result) : EXIT_DONE;
}

static void defaults(struct doc_rollout *r, size_t hosts)
{
	static const int waves[] = { 1, -1, -10, -100 };

	if (!r->wave_count) {
		r->wave_count = sizeof(waves) / sizeof(*waves);
		memcpy(r->waves, waves, sizeof(waves));
	}
	if (!r->max_changing)
		r->max_changing = 1;
	if (!r->max_failures)
		r->max_failures = hosts / 100 > 2 ? hosts / 100 : 2;
	if (!r->max_lost)
		r->max_lost = r->max_changing;
	if (!r->max_refused)
		r->max_refused = hosts / 100 > 10 ? hosts / 100 : 10;
	if (!r->attempts)
		r->attempts = 2;
	if (!r->confirm_timeout)
		r->confirm_timeout = CONFIRM_TIMEOUT;
}

/* What a host waits for its devices must not take the time of the proof. */
static bool is_timely(const struct doc_rollout *r)
{
	long timeout = r->confirm_timeout ? r->confirm_timeout : CONFIRM_TIMEOUT;

	if (r->settle + DOC_PROOF_SECONDS <= timeout)
		return true;
	cli_say("--settle %ld leaves no time for a proof within --confirm-timeout %ld: at most %ld",
		r->settle, timeout, timeout - DOC_PROOF_SECONDS);
	return false;
}

/* What the plan is now; it must be what was asked for, or seen before the question. */
static int judge_plan(struct conf *conf, const struct fleet_options *options, const char *policy,
		      char fingerprint[DOC_HASH_MAX + 1], struct plan_count *count)
{
	struct fleet_hosts hosts;
	char now[DOC_HASH_MAX + 1];
	int code;

	code = cli_hosts(conf, options, &hosts);
	if (code)
		return code;
	cli_fingerprint(&hosts, policy, now);
	cli_plan_count(&hosts, policy, count);
	cli_hosts_clear(&hosts);
	/* Any number of its digits, as plan prints some. */
	if (*fingerprint && strncmp(now, fingerprint, strlen(fingerprint))) {
		cli_say("the plan is not what it was: see \"iommucfg fleet plan\"");
		return EXIT_REFUSED;
	}
	memcpy(fingerprint, now, sizeof(now));
	return EXIT_DONE;
}

/* @text_of_policy is what is stored under the name @policy, after the question; NULL: it is there. */
static int begin(struct conf *conf, const struct fleet_options *options, struct fleet_pool *old,
		 const char *policy, const char *text_of_policy)
{
	char fingerprint[DOC_HASH_MAX + 1] = "";
	struct doc_act act = { .to = "planned" };
	struct plan_count count;
	struct doc_rollout next = options->rollout;
	struct doc_pool pool = old->pool;
	char rollout_key[STEP_KEY_MAX], pool_key[STEP_KEY_MAX], question[256], text[PLAN_TEXT_MAX];
	enum store_result result;
	uint32_t random = 0;
	int64_t rev = 0;
	int code;

	if (!is_timely(&next))
		return EXIT_ERROR;
	snprintf(fingerprint, sizeof(fingerprint), "%s",
		 options->fingerprint ? options->fingerprint : "");
	code = judge_plan(conf, options, policy, fingerprint, &count);
	if (code)
		return code;
	if (count.too_old && !options->skip_incapable) {
		cli_say("%s with an agent that is too old, see \"iommucfg fleet plan\"; --skip-incapable leaves them out",
			cli_count(text, count.too_old, "host"));
		return EXIT_REFUSED;
	}
	defaults(&next, count.change + count.nothing + count.cannot);
	next.generation = pool.generation + 1;
	snprintf(next.policy, sizeof(next.policy), "%s", policy);
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return EXIT_ERROR;
	snprintf(next.id, sizeof(next.id), "g%lld-%08x", (long long)next.generation, random);
	snprintf(question, sizeof(question),
		 "Roll %.16s out: %s; at most %ld at once?", policy, cli_plan_text(&count, text),
		 next.max_changing);
	if (!cli_ask(options, question))
		return EXIT_REFUSED;
	code = judge_plan(conf, options, policy, fingerprint, &count);
	if (code)
		return code;
	conf_now(act.at);
	cli_who(act.who);
	snprintf(act.what, sizeof(act.what), "%s", options->back ? "rollback" : "start");
	snprintf(act.why, sizeof(act.why), "%s", options->why ? options->why : "");
	memcpy(next.by, act.who, sizeof(next.by));
	memcpy(next.fingerprint, fingerprint, sizeof(next.fingerprint));
	next.state = STATE_PLANNED;
	doc_audit_add(&next.audit, &act);
	snprintf(act.why, sizeof(act.why), "%s", next.id);
	memcpy(act.from, pool.policy, sizeof(act.from));
	snprintf(act.to, sizeof(act.to), "%s", policy);
	doc_audit_add(&pool.audit, &act);
	code = may_replace(old);
	if (!code && text_of_policy)
		code = store_policy(conf, text_of_policy, policy);
	if (code)
		return code;
	/* What may go wrong goes wrong while the one before can still be resumed. */
	cli_key(conf, rollout_key, "rollout", options->pool, next.id);
	result = put_document(conf, rollout_key, doc_rollout_print(&next), 0, &rev);
	if (result)
		return cli_failed(conf, rollout_key, result);
	code = supersede(conf, options->pool, old);
	if (code) {
		store_delete(conf->store, rollout_key, rev);
		return code;
	}

	/* Another rollback is not to bring back what this one has withdrawn. */
	if (!options->back)
		memcpy(pool.previous, old->pool.policy, sizeof(pool.previous));
	snprintf(pool.policy, sizeof(pool.policy), "%s", policy);
	memcpy(pool.rollout, next.id, sizeof(pool.rollout));
	pool.generation = next.generation;
	cli_key(conf, pool_key, "pool", options->pool, NULL);
	result = put_document(conf, pool_key, doc_pool_print(&pool), old->pool_rev, NULL);
	if (result == STORE_CONFLICT) {
		store_delete(conf->store, rollout_key, rev);
		say_other(conf, options->pool);
		return EXIT_REFUSED;
	}
	if (result) {
		code = cli_failed(conf, pool_key, result);
		if (result == STORE_UNKNOWN)
			return code;
		store_delete(conf->store, rollout_key, rev);
		if (old->has_rollout && old->rollout.state == STATE_SUPERSEDED)
			cli_say("%s; rollout %s is superseded, and nothing has taken its place: "
				"start or roll back again", store_result_name(result),
				old->rollout.id);
		return code;
	}
	if (options->json)
		cli_done(options, next.id, "started");
	else
		printf("%s\n", next.id);
	return EXIT_DONE;
}

int cmd_start(struct conf *conf, const struct fleet_options *options, const char *file)
{
	char name[DOC_HASH_MAX + 1] = "", *text;
	struct fleet_pool old;
	int code;

	text = cli_policy(file, name);
	if (!text)
		return EXIT_ERROR;
	code = cli_read(conf, options->pool, &old);
	/* There is nothing to be gone on with, and another one may begin. */
	if (code && old.rollout_gone)
		code = EXIT_DONE;
	if (!code)
		code = begin(conf, options, &old, name, text);
	free(text);
	doc_rollout_clear(&old.rollout);
	return code;
}

/*
 * The policy of a generation of the pool. A rollout that is planned, and not the one that the pool
 * names, is what a start has left that did not come to its end.
 */
static int policy_of(struct conf *conf, const struct fleet_options *options,
		     const struct doc_pool *pool, long generation, char policy[DOC_HASH_MAX + 1])
{
	struct doc_rollout *rollouts = NULL;
	size_t i, count;
	int code;

	/* Before the first one nothing was there. */
	snprintf(policy, DOC_HASH_MAX + 1, "%s", generation ? "" : DOC_NO_POLICY);
	if (!generation)
		return EXIT_DONE;
	code = cli_rollouts(conf, options->pool, &rollouts, &count);
	if (code)
		return code;
	for (i = 0; i < count; i++) {
		if (rollouts[i].generation == generation &&
		    (rollouts[i].state != STATE_PLANNED || !strcmp(rollouts[i].id, pool->rollout)))
			memcpy(policy, rollouts[i].policy, sizeof(rollouts[i].policy));
	}
	cli_rollouts_free(rollouts, count);
	if (*policy)
		return EXIT_DONE;
	cli_say("pool %s has had no generation %ld, see \"iommucfg fleet history\"",
		options->pool, generation);
	return EXIT_REFUSED;
}

/* Hosts would refuse it, each of them. */
static int policy_exists(struct conf *conf, const char *policy)
{
	char key[STEP_KEY_MAX];
	bool exists;
	int code;

	if (!strcmp(policy, DOC_NO_POLICY))
		return EXIT_DONE;
	cli_key(conf, key, "policy", policy, NULL);
	code = cli_exists(conf, key, &exists);
	if (code || exists)
		return code;
	cli_say("the policy %.16s is not in the store any more; start it from its file", policy);
	return EXIT_REFUSED;
}

int cmd_rollback(struct conf *conf, const struct fleet_options *options)
{
	char policy[DOC_HASH_MAX + 1] = "";
	struct fleet_options all = *options;
	struct fleet_pool old;
	int code;

	code = cli_read(conf, options->pool, &old);
	if (!code && !*old.pool.rollout) {
		cli_say("pool %s: there was no rollout yet", options->pool);
		code = EXIT_REFUSED;
	}
	if (!code && options->to >= 0)
		code = policy_of(conf, options, &old.pool, options->to, policy);
	else if (!code)
		snprintf(policy, sizeof(policy), "%s",
			 *old.pool.previous ? old.pool.previous : DOC_NO_POLICY);
	if (!code)
		code = policy_exists(conf, policy);
	if (!all.rollout.wave_count) {
		all.rollout.wave_count = 1;
		all.rollout.waves[0] = -100;
	}
	all.back = true;
	if (!code)
		code = begin(conf, &all, &old, policy, NULL);
	doc_rollout_clear(&old.rollout);
	return code;
}
