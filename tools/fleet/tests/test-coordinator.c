// SPDX-License-Identifier: GPL-2.0
/* The coordinator's state machine over the store in memory, one step after the other. */
#include "backend.h"
#include "coordinator.h"
#include "store-test.h"

#define STEPS_MAX 50

static struct store_memory *memory;
static struct store *store;
static struct store_watch *watch;
static struct coordinator *coordinator;
static int64_t now;

static void put(const char *key, const char *value)
{
	const struct store_put write = {
		.key = key, .value = value, .size = strlen(value), .rev = STORE_ANY,
	};

	assert_int_equal(store_put(store, &write, NULL), STORE_OK);
}

static void put_rollout(struct doc_rollout *rollout)
{
	char *text = doc_rollout_print(rollout);

	assert_non_null(text);
	put("/f/rollout/p/r1", text);
	free(text);
}

static void put_host(const char *name, const char *more)
{
	char key[64], value[256];

	snprintf(key, sizeof(key), "/f/status/p/%s", name);
	snprintf(value, sizeof(value), "{\"machine\":\"m-%s\",\"boot\":\"b\",\"attempt\":0,"
		 "\"phase\":\"idle\"%s}", name, more);
	put(key, value);
}

static void delete(const char *key)
{
	struct store_item item;

	assert_int_equal(store_get(store, key, &item), STORE_OK);
	assert_int_equal(store_delete(store, key, item.rev), STORE_OK);
	store_item_clear(&item);
}

/* What the coordinator's watch brings. */
static void follow(void)
{
	struct store_item item;

	while (!store_watch_next(watch, 0, &item)) {
		assert_true(coordinator_see(coordinator, &item, now));
		store_item_clear(&item);
	}
}

/* Until there is nothing left to do; that must come. */
static void work(void)
{
	enum store_result result;
	struct store_item item;
	struct step step;
	int i;

	for (i = 0; i < STEPS_MAX; i++) {
		assert_true(coordinator_next(coordinator, now, &step));
		if (step.kind == STEP_WAIT) {
			step_clear(&step);
			return;
		}
		result = step_run(store, &step, &item);
		assert_true(coordinator_done(coordinator, &step, result, &item, now));
		store_item_clear(&item);
		step_clear(&step);
	}
	fail_msg("still at work after %d steps", STEPS_MAX);
}

static const struct doc_rollout one_wave = {
	.id = "r1", .policy = "new", .generation = 1, .waves = { -100 }, .wave_count = 1,
	.max_changing = 1, .max_failures = 1, .max_lost = 1, .attempts = 2, .confirm_timeout = 90,
	.state = STATE_RUNNING,
};

static int set_up(void **state)
{
	const struct coordinator_options options = {
		.prefix = "/f", .pool = "p", .lost_after_ms = 900000,
	};
	struct doc_rollout rollout = one_wave;

	(void)state;
	now = 1000;
	memory = store_memory_new();
	store = store_memory_open(memory);
	coordinator = coordinator_new(&options);
	assert_non_null(coordinator);
	assert_int_equal(store_watch(store, "/f/", false, 1, &watch), STORE_OK);
	put("/f/pool/p", "{\"rollout\":\"r1\",\"policy\":\"new\",\"generation\":1}");
	put_rollout(&rollout);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	coordinator_free(coordinator);
	store_watch_free(watch);
	store_free(store);
	store_memory_unref(memory);
	return 0;
}

static void grant_of(const char *name, struct doc_grant *grant)
{
	char key[64], why[DOC_REASON_MAX];
	struct store_item item;

	snprintf(key, sizeof(key), "/f/grant/p/%s", name);
	*grant = (struct doc_grant){ 0 };
	assert_int_equal(store_get(store, key, &item), STORE_OK);
	if (item.value)
		assert_true(doc_grant_parse(grant, item.value, item.size, why));
	store_item_clear(&item);
}

static void rollout_is(enum doc_state state, size_t slots)
{
	struct doc_rollout rollout;
	char why[DOC_REASON_MAX];
	struct store_item item;

	assert_int_equal(store_get(store, "/f/rollout/p/r1", &item), STORE_OK);
	assert_true(doc_rollout_parse(&rollout, item.value, item.size, why));
	assert_string_equal(doc_state_name(rollout.state), doc_state_name(state));
	assert_int_equal(rollout.changing_count, slots);
	doc_rollout_clear(&rollout);
	store_item_clear(&item);
}

/* Of a host that was removed, and came back under its name. */
static void test_deleted_grant(void **state)
{
	struct doc_grant grant;

	(void)state;
	put("/f/grant/p/a", "{\"rollout\":\"r0\",\"policy\":\"old\",\"machine\":\"m\","
	    "\"attempt\":3,\"live\":false,\"confirm_timeout\":90}");
	follow();
	delete("/f/grant/p/a");
	put_host("a", "");
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
	assert_int_equal(grant.attempt, 1);
	rollout_is(STATE_RUNNING, 1);
}

/* What it has said is not known any more, until it says it again. */
static void test_deleted_status(void **state)
{
	struct doc_rollout rollout;
	struct doc_grant grant;
	char why[DOC_REASON_MAX];
	struct store_item item;

	(void)state;
	put_host("a", "");
	follow();
	work();
	delete("/f/status/p/a");
	assert_int_equal(store_get(store, "/f/rollout/p/r1", &item), STORE_OK);
	assert_true(doc_rollout_parse(&rollout, item.value, item.size, why));
	store_item_clear(&item);
	rollout.state = STATE_HALTED;
	rollout.now = true;
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
	rollout_is(STATE_HALTED, 1);
	put_host("a", "");
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.revoked);
	rollout_is(STATE_HALTED, 0);
}

/* Not before the watch says so: the next write does not go. */
static void test_deleted_rollout(void **state)
{
	struct doc_rollout rollout = one_wave;

	(void)state;
	put_host("a", "");
	follow();
	delete("/f/rollout/p/r1");
	work();
	assert_non_null(strstr(coordinator_message(coordinator), "does not exist"));
	follow();
	work();
	/* It is put back. */
	put_rollout(&rollout);
	follow();
	work();
	rollout_is(STATE_RUNNING, 1);
}

/* A percentage is of the hosts that there are. */
static void test_deleted_host(void **state)
{
	struct doc_rollout rollout = one_wave;
	char key[32], name[16];
	int i;

	(void)state;
	rollout.waves[0] = -50;
	rollout.waves[1] = -100;
	rollout.wave_count = 2;
	rollout.max_changing = 10;
	put_rollout(&rollout);
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "host-%d", i);
		put_host(name, "");
	}
	follow();
	for (i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "/f/status/p/host-%d", i);
		delete(key);
	}
	follow();
	work();
	rollout_is(STATE_RUNNING, 2);
}

/* There is no host that could be the canary. */
static void test_emptied_pool(void **state)
{
	struct doc_rollout rollout = one_wave;

	(void)state;
	rollout.waves[0] = -50;
	rollout.waves[1] = -100;
	rollout.wave_count = 2;
	put_rollout(&rollout);
	put_host("a", "");
	follow();
	delete("/f/status/p/a");
	follow();
	work();
	rollout_is(STATE_HALTED, 0);
}

static void test_no_module(void **state)
{
	static const char *const agent =
		",\"agent\":{\"version\":\"1\",\"schemas\":[\"iommucfg/fleet-grant/1\"]}";
	struct doc_rollout rollout = one_wave;
	struct doc_grant grant;
	char more[128];

	(void)state;
	put_host("a", agent);
	follow();
	work();
	grant_of("a", &grant);
	assert_int_equal(grant.attempt, 0);
	rollout_is(STATE_COMPLETE, 0);
	assert_string_equal(coordinator_rollout(coordinator)->reason,
			    "left out: 1 without the module");
	put_rollout(&rollout);
	snprintf(more, sizeof(more), "%s,\"module\":\"1\"", agent);
	put_host("a", more);
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
}

/* The rollout as it is in the store; for doc_rollout_clear(). */
static void read_rollout(struct doc_rollout *rollout)
{
	char why[DOC_REASON_MAX];
	struct store_item item;

	assert_int_equal(store_get(store, "/f/rollout/p/r1", &item), STORE_OK);
	assert_true(doc_rollout_parse(rollout, item.value, item.size, why));
	store_item_clear(&item);
}

/* How the attempt of the first slot ends, and what its host says of that. */
static void end_first(const char *end, const char *problem)
{
	const struct doc_slot *slot = coordinator_rollout(coordinator)->changing;
	char key[DOC_HOST_MAX + 64], value[1024];

	snprintf(key, sizeof(key), "/f/status/p/%s", slot->host);
	snprintf(value, sizeof(value), "{\"machine\":\"m-%s\",\"boot\":\"b\",\"rollout\":\"r1\","
		 "\"attempt\":%d,\"phase\":\"ended\",\"end\":\"%s\",\"problems\":[\"%s\"]}",
		 slot->host, (int)slot->attempt, end, problem);
	put(key, value);
}

/* Each host that gets a slot ends so, until none gets one. */
static void all_end(const char *end)
{
	int i;

	for (i = 0; i < STEPS_MAX; i++) {
		follow();
		work();
		if (!coordinator_rollout(coordinator)->changing_count)
			return;
		end_first(end, "");
	}
	fail_msg("still at work after %d hosts", STEPS_MAX);
}

/* A host that was off when its slot was given back does not begin when it is on again. */
static void test_forgotten_host(void **state)
{
	struct doc_rollout rollout;
	struct doc_grant grant;

	(void)state;
	put_host("a", "");
	put_host("b", "");
	follow();
	work();
	read_rollout(&rollout);
	assert_int_equal(rollout.changing_count, 1);
	assert_true(doc_rollout_forget(&rollout, rollout.changing[0].host, 0));
	assert_false(doc_rollout_forget(&rollout, rollout.changing[0].host, 0));
	put_rollout(&rollout);
	follow();
	work();
	grant_of(rollout.changing[0].host, &grant);
	assert_int_equal(grant.attempt, 1);
	assert_false(grant.live);
	/* Only then the slot is another one's. */
	grant_of(*rollout.changing[0].host == 'a' ? "b" : "a", &grant);
	assert_true(grant.live);
	doc_rollout_clear(&rollout);
	read_rollout(&rollout);
	assert_int_equal(rollout.changing_count, 1);
	assert_int_equal(rollout.ended[END_LOST], 1);
	doc_rollout_clear(&rollout);
	rollout_is(STATE_RUNNING, 1);
}

/* Its grant was not written yet, and another coordinator may be about to. */
static void test_forgotten_before_its_grant(void **state)
{
	struct doc_rollout rollout = one_wave;
	struct doc_grant grant;

	(void)state;
	put_host("a", "");
	assert_non_null(doc_slot_add(&rollout, "a", "m-a", 1));
	assert_true(doc_rollout_forget(&rollout, "a", 0));
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	follow();
	work();
	grant_of("a", &grant);
	assert_int_equal(grant.attempt, 1);
	assert_false(grant.live);
	rollout_is(STATE_COMPLETE, 0);
}

/* It came back, and began, before its grant was ended: the slot stays until its end. */
static void test_forgotten_host_is_on(void **state)
{
	static const char begun[] = "{\"machine\":\"m-a\",\"boot\":\"b\",\"rollout\":\"r1\","
		"\"attempt\":1,\"phase\":\"changing\",\"seq\":5}";
	struct doc_rollout rollout;
	struct doc_grant grant;

	(void)state;
	put_host("a", ",\"seq\":4");
	follow();
	work();
	read_rollout(&rollout);
	assert_true(doc_rollout_forget(&rollout, "a", 4));
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	follow();
	put("/f/status/p/a", begun);
	/* The watch has not said so: the grant is ended only with the status as it was. */
	work();
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
	rollout_is(STATE_RUNNING, 1);
	assert_false(coordinator_rollout(coordinator)->changing[0].forgotten);
	/* Asked again, with what it has written last. */
	read_rollout(&rollout);
	assert_true(doc_rollout_forget(&rollout, "a", 5));
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	follow();
	work();
	grant_of("a", &grant);
	assert_false(grant.live);
	rollout_is(STATE_COMPLETE, 0);
}

/* One that is off, or has another name or pool by now; its status stays for ever. */
static void test_silent_host(void **state)
{
	struct doc_grant grant;

	(void)state;
	put("/f/pool/p", "{\"rollout\":\"r1\",\"policy\":\"new\",\"generation\":1,"
	    "\"paused\":true}");
	put_host("off", "");
	put_host("slow", ",\"report_interval\":3600");
	put_host("on", ",\"seq\":1");
	follow();
	work();
	now += 1800000;
	put_host("on", ",\"seq\":2");
	follow();
	now += 121000;
	assert_int_equal(coordinator_silent(coordinator, now), 1);
	put("/f/pool/p", "{\"rollout\":\"r1\",\"policy\":\"new\",\"generation\":1}");
	all_end("done");
	grant_of("off", &grant);
	assert_int_equal(grant.attempt, 0);
	rollout_is(STATE_COMPLETE, 0);
	assert_string_equal(coordinator_rollout(coordinator)->reason, "left out: 1 silent");
}

/* A host that fails again and again is one host, and the others come first. */
static void test_one_bad_host(void **state)
{
	struct doc_rollout rollout = one_wave;
	char bad[DOC_HOST_MAX + 1];

	(void)state;
	rollout.max_failures = 2;
	put_rollout(&rollout);
	put_host("a", "");
	put_host("b", "");
	follow();
	work();
	snprintf(bad, sizeof(bad), "%s", coordinator_rollout(coordinator)->changing[0].host);
	end_first("reverted", "first");
	follow();
	work();
	rollout_is(STATE_RUNNING, 1);
	assert_string_not_equal(coordinator_rollout(coordinator)->changing[0].host, bad);
	end_first("done", "");
	follow();
	work();
	assert_string_equal(coordinator_rollout(coordinator)->changing[0].host, bad);
	end_first("reverted", "second");
	follow();
	work();
	read_rollout(&rollout);
	assert_int_equal(rollout.leg_failures, 1);
	assert_int_equal(rollout.ended[END_REVERTED], 2);
	assert_int_equal(rollout.failure_count, 1);
	assert_int_equal(rollout.failures[0].attempts, 2);
	assert_string_equal(rollout.failures[0].why, "second");
	doc_rollout_clear(&rollout);
	rollout_is(STATE_COMPLETE, 0);
}

/* Different ones are more than one. */
static void test_two_bad_hosts(void **state)
{
	struct doc_rollout rollout = one_wave;

	(void)state;
	rollout.max_failures = 2;
	put_rollout(&rollout);
	put_host("a", "");
	put_host("b", "");
	put_host("c", "");
	all_end("reverted");
	rollout_is(STATE_HALTED, 0);
	assert_int_equal(coordinator_rollout(coordinator)->ended[END_REVERTED], 2);
}

/* The machine that has the slot is silent, and another one of its name reports. */
static void test_replaced_host(void **state)
{
	int i;

	(void)state;
	put_host("a", "");
	follow();
	work();
	rollout_is(STATE_RUNNING, 1);
	for (i = 0; i < 3; i++) {
		now += 300000;
		put("/f/status/p/a", "{\"machine\":\"new\",\"boot\":\"b\",\"attempt\":0,"
		    "\"phase\":\"idle\"}");
		follow();
		rollout_is(STATE_RUNNING, 1);
		work();
	}
	rollout_is(STATE_HALTED, 1);
	/* It was not that. */
	put_host("a", "");
	follow();
	work();
	rollout_is(STATE_HALTED, 1);
	assert_false(coordinator_rollout(coordinator)->changing[0].lost);
}

/* A coordinator that takes over has heard nothing of the host either. */
static void test_lost_stays_lost(void **state)
{
	const struct coordinator_options options = {
		.prefix = "/f", .pool = "p", .lost_after_ms = 900000,
	};
	struct doc_rollout rollout = one_wave;

	(void)state;
	rollout.max_lost = 2;
	put_rollout(&rollout);
	put_host("a", "");
	follow();
	work();
	now += 900000;
	work();
	assert_true(coordinator_rollout(coordinator)->changing[0].lost);
	coordinator_free(coordinator);
	coordinator = coordinator_new(&options);
	assert_non_null(coordinator);
	store_watch_free(watch);
	now += 1000;
	assert_int_equal(store_watch(store, "/f/", false, 1, &watch), STORE_OK);
	work();
	follow();
	work();
	assert_true(coordinator_rollout(coordinator)->changing[0].lost);
	now += 900000;
	work();
	assert_int_equal(coordinator_rollout(coordinator)->leg_lost, 1);
	put_host("a", "");
	follow();
	work();
	assert_false(coordinator_rollout(coordinator)->changing[0].lost);
	/* Then it is so once more. */
	now += 900000;
	work();
	assert_int_equal(coordinator_rollout(coordinator)->leg_lost, 2);
	rollout_is(STATE_HALTED, 1);
}

/* Cut off by its change, it is back when the kernel's timer has run off. */
static void test_long_confirm_timeout(void **state)
{
	struct doc_rollout rollout = one_wave;

	(void)state;
	rollout.confirm_timeout = 3600;
	rollout.settle = 30;
	put_rollout(&rollout);
	put_host("a", "");
	follow();
	work();
	now += 3630000;
	work();
	rollout_is(STATE_RUNNING, 1);
	now += 120000;
	work();
	rollout_is(STATE_HALTED, 1);
}

/* What was wrong with a document goes with it; that of another one does not. */
static void test_message_ends(void **state)
{
	(void)state;
	put("/f/status/p/a", "{");
	follow();
	assert_non_null(strstr(coordinator_message(coordinator), "/f/status/p/a: "));
	put_host("b", "");
	follow();
	work();
	assert_non_null(strstr(coordinator_message(coordinator), "/f/status/p/a: "));
	put_host("a", "");
	follow();
	assert_string_equal(coordinator_message(coordinator), "");
	put("/f/grant/p/a", "{");
	follow();
	assert_non_null(strstr(coordinator_message(coordinator), "/f/grant/p/a: "));
	delete("/f/grant/p/a");
	follow();
	assert_string_equal(coordinator_message(coordinator), "");
	put("/f/rollout/p/r1", "{");
	follow();
	assert_non_null(strstr(coordinator_message(coordinator), "/f/rollout/p/r1: "));
	put("/f/pool/p", "{\"rollout\":\"r2\",\"policy\":\"new\",\"generation\":2}");
	follow();
	assert_string_equal(coordinator_message(coordinator), "");
}

static void person(enum doc_state state)
{
	struct doc_rollout rollout;

	read_rollout(&rollout);
	if (state == STATE_RUNNING)
		doc_rollout_resume(&rollout);
	rollout.state = state;
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	follow();
	work();
}

/* What failed during a pause counts when it is over; after a halt nothing does. */
static void test_failed_while_paused(void **state)
{
	(void)state;
	put_host("a", "");
	put_host("b", "");
	follow();
	work();
	person(STATE_PAUSED);
	end_first("failed", "");
	follow();
	work();
	rollout_is(STATE_PAUSED, 0);
	person(STATE_RUNNING);
	rollout_is(STATE_HALTED, 0);
	assert_int_equal(coordinator_rollout(coordinator)->leg_failures, 1);
	person(STATE_RUNNING);
	rollout_is(STATE_RUNNING, 1);
	assert_int_equal(coordinator_rollout(coordinator)->leg_failures, 0);
}

/* A policy that no host takes does not ask each of them. */
static void test_refused(void **state)
{
	struct doc_rollout rollout = one_wave;
	char name[16];
	int i;

	(void)state;
	rollout.waves[0] = 1;
	rollout.waves[1] = -100;
	rollout.wave_count = 2;
	rollout.max_refused = 3;
	put_rollout(&rollout);
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "host-%d", i);
		put_host(name, "");
	}
	for (i = 0; i < 3; i++) {
		follow();
		work();
		rollout_is(STATE_RUNNING, 1);
		end_first("refused", "outside of the limits");
	}
	follow();
	work();
	rollout_is(STATE_HALTED, 0);
	assert_string_equal(coordinator_rollout(coordinator)->reason,
			    "3 of the hosts refused: outside of the limits");
	/* Those are tried again, after the others. */
	person(STATE_RUNNING);
	rollout_is(STATE_RUNNING, 1);
	assert_int_equal(coordinator_rollout(coordinator)->leg_refused, 0);
	all_end("done");
	rollout_is(STATE_COMPLETE, 0);
	assert_int_equal(coordinator_rollout(coordinator)->ended[END_DONE], 8);
	assert_int_equal(coordinator_rollout(coordinator)->ended[END_REFUSED], 3);
}

/* One that was not listed would be tried for ever. */
static void test_refused_and_not_listed(void **state)
{
	struct doc_rollout rollout = one_wave;
	struct doc_failure *failure;
	int i;

	(void)state;
	for (i = 0; i < DOC_FAILURES_MAX / 64; i++) {
		failure = doc_failure_append(&rollout);
		assert_non_null(failure);
		snprintf(failure->host, sizeof(failure->host), "other-%d", i);
		failure->end = END_REFUSED;
		failure->attempts = 1;
	}
	put_rollout(&rollout);
	doc_rollout_clear(&rollout);
	put_host("a", "");
	all_end("refused");
	rollout_is(STATE_COMPLETE, 0);
	assert_int_equal(coordinator_rollout(coordinator)->ended[END_REFUSED], 1);
	assert_int_equal(coordinator_rollout(coordinator)->unlisted, 1);
}

static void boot_often(const char *name)
{
	static int boots;
	char key[64], value[128];
	int i;

	snprintf(key, sizeof(key), "/f/status/p/%s", name);
	for (i = 0; i < 5; i++) {
		snprintf(value, sizeof(value), "{\"machine\":\"m-%s\",\"boot\":\"b%d\",\"attempt\":0,"
			 "\"phase\":\"idle\"}", name, boots++);
		put(key, value);
	}
	follow();
	work();
}

/* It is taken when that is over. */
static void test_flapping_host(void **state)
{
	struct doc_grant grant;

	(void)state;
	boot_often("a");
	rollout_is(STATE_RUNNING, 0);
	now += 1800000;
	put_host("a", "");
	follow();
	work();
	rollout_is(STATE_RUNNING, 0);
	now += 1800000;
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
	rollout_is(STATE_RUNNING, 1);
}

/* And not waited for for ever. */
static void test_flapping_for_ever(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		boot_often("a");
		rollout_is(STATE_RUNNING, 0);
		now += 900000;
	}
	boot_often("a");
	rollout_is(STATE_COMPLETE, 0);
	assert_string_equal(coordinator_rollout(coordinator)->reason,
			    "left out: 1 booted too often");
}

/* Nothing of it counts. */
static void test_pool_of_a_later_version(void **state)
{
	struct doc_grant grant;

	(void)state;
	put("/f/pool/p", "{\"rollout\":\"r1\",\"policy\":\"new\",\"generation\":1,"
	    "\"requires\":[\"magic\"]}");
	put_host("a", "");
	follow();
	work();
	assert_non_null(strstr(coordinator_message(coordinator), "magic"));
	grant_of("a", &grant);
	assert_int_equal(grant.attempt, 0);
	rollout_is(STATE_RUNNING, 0);
}

static void test_what_a_grant_has(void **state)
{
	struct doc_rollout rollout = one_wave;
	struct doc_grant grant;

	(void)state;
	rollout.settle = 30;
	snprintf(rollout.allow_in_use, sizeof(rollout.allow_in_use), "net,block");
	put_rollout(&rollout);
	put_host("a", "");
	follow();
	work();
	grant_of("a", &grant);
	assert_true(grant.live);
	assert_int_equal(grant.confirm_timeout, 90);
	assert_int_equal(grant.settle, 30);
	assert_string_equal(grant.allow_in_use, "net,block");
}

/* Each of the coordinator's calls has the limit that was set for all. */
static void test_limit_stays(void **state)
{
	struct step step = { .kind = STEP_GET, .key = "/f/pool/p" };
	struct store_item item;

	(void)state;
	store_set_limit(store, 5000);
	assert_int_equal(step_run(store, &step, &item), STORE_OK);
	store_item_clear(&item);
	assert_int_equal(store->limit_ms, 5000);
	step.limit_ms = 100;
	assert_int_equal(step_run(store, &step, &item), STORE_OK);
	store_item_clear(&item);
	assert_int_equal(store->limit_ms, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deleted_grant, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_rollout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_emptied_pool, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_module, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten_before_its_grant, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten_host_is_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_bad_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_bad_hosts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost_stays_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_confirm_timeout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_while_paused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_and_not_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flapping_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flapping_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_message_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaced_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pool_of_a_later_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_a_grant_has, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit_stays, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
