// SPDX-License-Identifier: GPL-2.0
/* The agent's state machine, one step after the other; what the store says is made up. */
#include "agent.h"
#include "store-test.h"

#define IDLE "{\"machine\":\"m\",\"boot\":\"b\",\"attempt\":0,\"phase\":\"idle\"}"
#define BEGUN "{\"machine\":\"m\",\"boot\":\"b\",\"rollout\":\"r1\",\"attempt\":1,\"phase\":\"changing\"}"
#define BEGUN_BEFORE "{\"machine\":\"m\",\"boot\":\"a\",\"rollout\":\"r1\",\"attempt\":1,\"phase\":\"changing\"}"
#define GRANT(live) "{\"rollout\":\"r1\",\"policy\":\"p\",\"machine\":\"m\",\"attempt\":1,\"live\":" live \
	",\"confirm_timeout\":180}"

static struct agent *agent;
static int64_t now, waits;

static int set_up_with(const struct doc_journal *journal)
{
	const struct agent_options options = {
		.prefix = "/f", .pool = "p", .host = "h", .machine = "m", .boot = "b",
	};

	now = 0;
	agent = agent_new(&options, journal);
	assert_non_null(agent);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_with(&(struct doc_journal){ 0 });
}

static int set_up_confirmed(void **state)
{
	(void)state;
	return set_up_with(&(struct doc_journal){
		.phase = JOURNAL_CONFIRM, .rollout = "r1", .policy = "p", .boot = "b", .attempt = 1,
	});
}

static int tear_down(void **state)
{
	(void)state;
	agent_free(agent);
	return 0;
}

/* The next step is this one, and that comes of it. */
static void step(enum agent_do what, const char *name, struct agent_result result)
{
	struct agent_action action;

	assert_true(agent_next(agent, now, &action));
	assert_int_equal(action.what, what);
	if (name)
		assert_string_equal(action.step.what, name);
	if (what == AGENT_WAIT)
		waits = action.wait_ms;
	agent_done(agent, &action, &result, now);
	step_clear(&action.step);
}

static void reads(const char *name, const char *value, int64_t rev)
{
	const struct store_item item = {
		.key = (char *)"k", .value = (char *)value, .size = strlen(value), .rev = rev,
	};

	step(AGENT_STORE, name, (struct agent_result){ .item = &item });
}

static void does(enum agent_do what, int code)
{
	step(what, NULL, (struct agent_result){ .code = code });
}

static void test_policy_comes_later(void **state)
{
	(void)state;
	reads("read the own status", IDLE, 1);
	reads("read the grant", GRANT("true"), 2);
	does(AGENT_PLAN, PLAN_AGAIN);
	does(AGENT_WAIT, 0);
	reads("read the grant", GRANT("true"), 2);
	does(AGENT_PLAN, PLAN_AGAIN);
	does(AGENT_WAIT, 0);
	/* It was taken back meanwhile. */
	reads("read the grant", GRANT("false"), 3);
	does(AGENT_WAIT, 0);
}

/* It is said, tried later and later, and given up. */
static void test_plan_blocked(void **state)
{
	int64_t waited = 0;
	int reports = 0;

	(void)state;
	reads("read the own status", IDLE, 1);
	reads("read the grant", GRANT("true"), 2);
	for (now = 0; now < 300000; now += waits) {
		/* What the host says of itself has changed. */
		if (reports < 2)
			assert_true(agent_report(agent, "{}"));
		does(AGENT_PLAN, PLAN_BLOCKED);
		if (reports++ < 2)
			reads("report", IDLE, 3);
		does(AGENT_WAIT, 0);
		assert_true(waits >= waited && waits <= 60000);
		waited = waits;
		reads("read the grant", GRANT("true"), 2);
	}
	assert_true(reports < 20);
	does(AGENT_PLAN, PLAN_BLOCKED);
	does(AGENT_SAVE, 0);
	assert_int_equal(agent_journal(agent)->end, END_REFUSED);
	step(AGENT_STORE, "report the end", (struct agent_result){ .store = STORE_UNREACHABLE });
}

/* Kept by the kernel, and the file cannot be written: that is said as well. */
static void test_install_fails(void **state)
{
	int i;

	(void)state;
	assert_true(agent_report(agent, "{}"));
	for (i = 0; i < 3; i++) {
		does(AGENT_LOOK, TXN_KEPT);
		does(AGENT_CONFIRM, CONFIRM_UNKNOWN);
		if (!i) {
			/* After a restart the status has to be read first. */
			reads("read the own status", BEGUN, 1);
			continue;
		}
		if (i == 1)
			reads("report", BEGUN, 2);
		does(AGENT_WAIT, 0);
		assert_int_equal(waits, 2000 << i);
	}
	does(AGENT_LOOK, TXN_KEPT);
	does(AGENT_CONFIRM, CONFIRM_KEPT);
	does(AGENT_SAVE, 0);
	assert_int_equal(agent_journal(agent)->end, END_DONE);
}

/* A rollback that could not be run is run again, whatever the probes would say by then. */
static void test_rollback_is_kept(void **state)
{
	const struct agent_result unconfirmed = {
		.code = TXN_UNCONFIRMED, .remaining_ms = 100000,
	};

	(void)state;
	step(AGENT_LOOK, NULL, unconfirmed);
	does(AGENT_PROBE, 0);
	does(AGENT_ROLLBACK, 1);
	step(AGENT_LOOK, NULL, unconfirmed);
	does(AGENT_WAIT, 0);
	does(AGENT_ROLLBACK, 1);
	assert_string_equal(agent_rolls_back(agent), "a probe says no");
	does(AGENT_LOOK, TXN_RUNNING);
	does(AGENT_WAIT, 0);
	does(AGENT_LOOK, TXN_NONE);
	does(AGENT_SAVE, 0);
	assert_int_equal(agent_journal(agent)->end, END_REVERTED);
}

/* Over several interfaces: what was proven first may be too old when the last one is. */
static void test_proof_is_old(void **state)
{
	const struct agent_result unconfirmed = {
		.code = TXN_UNCONFIRMED, .remaining_ms = 100000,
	};
	const struct store_item item = {
		.key = (char *)"k", .value = (char *)BEGUN, .size = strlen(BEGUN), .rev = 3,
	};

	(void)state;
	now = 60000;
	step(AGENT_LOOK, NULL, unconfirmed);
	does(AGENT_PROBE, 1);
	step(AGENT_LOOK, NULL, unconfirmed);
	reads("read the own status", BEGUN, 1);
	step(AGENT_LOOK, NULL, unconfirmed);
	reads("read the grant", GRANT("true"), 2);
	step(AGENT_LOOK, NULL, unconfirmed);
	step(AGENT_STORE, "prove", (struct agent_result){ .item = &item, .age_ms = 5001 });
	does(AGENT_SAVE, 0);
	step(AGENT_LOOK, NULL, unconfirmed);
	step(AGENT_STORE, "prove", (struct agent_result){ .item = &item, .age_ms = 4000 });
	does(AGENT_SAVE, 0);
	does(AGENT_CONFIRM, CONFIRM_KEPT);
}

/* The answer to "begin" is lost, and it is done when the host is back in service. */
static void test_begin_comes_late(void **state)
{
	(void)state;
	reads("read the own status", IDLE, 1);
	reads("read the grant", GRANT("true"), 2);
	does(AGENT_PLAN, PLAN_CHANGES);
	does(AGENT_SAVE, 0);
	does(AGENT_PRE, 1);
	step(AGENT_STORE, "begin", (struct agent_result){ .store = STORE_UNKNOWN });
	does(AGENT_WAIT, 0);
	reads("read the own status", IDLE, 1);
	reads("read the grant", GRANT("false"), 4);
	does(AGENT_POST, 0);
	does(AGENT_SAVE, 0);
	assert_true(agent_report(agent, "{}"));
	reads("read the grant", GRANT("false"), 4);
	step(AGENT_STORE, "report", (struct agent_result){ .store = STORE_CONFLICT });
	does(AGENT_WAIT, 0);
	reads("read the own status", BEGUN, 3);
	does(AGENT_SAVE, 0);
	assert_int_equal(agent_journal(agent)->phase, JOURNAL_END);
	assert_int_equal(agent_journal(agent)->end, END_REVERTED);
	step(AGENT_STORE, "report the end", (struct agent_result){ .store = STORE_UNREACHABLE });
}

/* The host has begun, and its journal does not know of it. */
static void loses_journal(const char *status, enum agent_txn txn, enum doc_end end)
{
	const struct doc_journal *journal = agent_journal(agent);

	assert_true(agent_report(agent, "{}"));
	reads("read the own status", status, 1);
	reads("read the grant", GRANT("true"), 2);
	does(AGENT_SAVE, 0);
	assert_int_equal(journal->phase, JOURNAL_APPLY);
	assert_string_equal(journal->policy, "p");
	does(AGENT_LOOK, txn);
	does(AGENT_SAVE, 0);
	assert_int_equal(journal->phase, JOURNAL_END);
	assert_int_equal(journal->end, end);
	assert_int_equal(journal->attempt, 1);
	assert_non_null(strstr(journal->why, "journal was lost"));
	does(AGENT_POST, 0);
	does(AGENT_SAVE, 0);
	step(AGENT_STORE, "report the end", (struct agent_result){ .store = STORE_UNREACHABLE });
}

static void test_journal_lost(void **state)
{
	(void)state;
	loses_journal(BEGUN, TXN_ODD, END_FAILED);
}

static void test_journal_lost_and_rebooted(void **state)
{
	(void)state;
	loses_journal(BEGUN_BEFORE, TXN_NONE, END_REVERTED);
}

/* It is not confirmed: it goes on where its grant is still there. */
static void test_journal_lost_unconfirmed(void **state)
{
	const struct agent_result unconfirmed = {
		.code = TXN_UNCONFIRMED, .remaining_ms = 100000,
	};

	(void)state;
	reads("read the own status", BEGUN, 1);
	reads("read the grant", GRANT("false"), 2);
	does(AGENT_SAVE, 0);
	step(AGENT_LOOK, NULL, unconfirmed);
	does(AGENT_PROBE, 1);
	step(AGENT_LOOK, NULL, unconfirmed);
	does(AGENT_ROLLBACK, 1);
	does(AGENT_LOOK, TXN_NONE);
	does(AGENT_SAVE, 0);
	assert_int_equal(agent_journal(agent)->end, END_REVERTED);
}

/* Another machine of this name is in the middle of it. */
static void test_status_of_another(void **state)
{
	(void)state;
	reads("read the own status", "{\"machine\":\"n\",\"boot\":\"b\",\"rollout\":\"r1\","
	      "\"attempt\":1,\"phase\":\"changing\"}", 1);
	reads("read the grant", GRANT("true"), 2);
	does(AGENT_WAIT, 0);
}

/* It becomes part of the journal, and of the names of units. */
static void test_status_with_odd_rollout(void **state)
{
	static const char *const rollouts[] = { "\"rollout\":\"r$1\",", "\"rollout\":\"\",", "" };
	char status[128];
	size_t i;

	for (i = 0; i < sizeof(rollouts) / sizeof(*rollouts); i++) {
		tear_down(state);
		set_up(state);
		snprintf(status, sizeof(status), "{\"machine\":\"m\",\"boot\":\"b\",%s"
			 "\"attempt\":1,\"phase\":\"changing\"}", rollouts[i]);
		reads("read the own status", status, 1);
		reads("read the grant", GRANT("false"), 2);
		does(AGENT_WAIT, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_policy_comes_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_plan_blocked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_install_fails, set_up_confirmed, tear_down),
		cmocka_unit_test_setup_teardown(test_rollback_is_kept, set_up_confirmed, tear_down),
		cmocka_unit_test_setup_teardown(test_proof_is_old, set_up_confirmed, tear_down),
		cmocka_unit_test_setup_teardown(test_begin_comes_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_lost_and_rebooted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_lost_unconfirmed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status_of_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status_with_odd_rollout, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
