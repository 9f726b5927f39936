// SPDX-License-Identifier: GPL-2.0
/* The documents of the store: what is read, and what is refused for which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "doc.h"
#include "store.h"

#define GRANT "{\"rollout\":\"r1\",\"policy\":\"abc\",\"machine\":\"m\",\"attempt\":3," \
	"\"live\":true,\"generation\":7,\"mode\":\"apply\",\"confirm_timeout\":180," \
	"\"settle\":30,\"allow_in_use\":\"net,block\"}"
#define STATUS "{\"machine\":\"m\",\"boot\":\"b\",\"rollout\":\"r1\"," \
	"\"generation\":7,\"attempt\":3,\"phase\":\"ended\",\"end\":\"done\"," \
	"\"policy_in_force\":\"abc\",\"seq\":9}"
#define ROLLOUT "{\"id\":\"r1\",\"policy\":\"abc\",\"generation\":7,\"selector\":\"a=1,b!=2\",\"waves\":[1,\"10%\"]," \
	"\"wave\":1,\"max_changing\":5,\"max_failures\":2,\"max_lost\":5,\"max_refused\":9,\"attempts\":2," \
	"\"confirm_timeout\":180,\"settle\":30,\"allow_in_use\":\"net\",\"soak\":60,\"allow_empty_canary\":true," \
	"\"state\":\"halted\",\"now\":true,\"reason\":\"2 of the hosts failed\"," \
	"\"leg_failures\":2,\"leg_lost\":1,\"leg_refused\":3,\"ended\":{\"done\":4,\"reverted\":1,\"lost\":1}," \
	"\"changing\":[{\"host\":\"h1\",\"machine\":\"m1\",\"attempt\":2," \
	"\"since\":\"noon\",\"hooked\":true},{\"host\":\"h2\"," \
	"\"machine\":\"m2\",\"attempt\":1,\"lost\":true,\"forgotten\":true,\"seq\":4}],\"failures\":[{\"host\":\"h3\"," \
	"\"end\":\"reverted\",\"why\":\"a probe\",\"attempts\":2,\"earlier\":true}],\"unlisted\":6,\"hook_serial\":5,\"hooks\":[{\"host\":\"h4\"," \
	"\"machine\":\"m4\",\"hook\":\"after\",\"serial\":4,\"end\":\"done\"},{\"host\":\"h5\",\"machine\":\"m5\"," \
	"\"hook\":\"before\",\"serial\":5}],\"by\":\"me\",\"fingerprint\":\"f\",\"audit\":[{\"at\":\"today\",\"who\":\"me\",\"what\":\"halt\"," \
	"\"why\":\"x y\",\"from\":\"running\",\"to\":\"halted\"}]}"

/* Each document is written as it was read. */
static void test_again(void **state)
{
	struct doc_rollout rollout;
	struct doc_status status;
	struct doc_journal journal;
	struct doc_grant grant;
	struct doc_pool pool;
	char why[DOC_REASON_MAX], *text;
	static const char pools[] = "{\"rollout\":\"r1\",\"policy\":\"abc\","
				    "\"previous\":\"def\",\"generation\":7,"
				    "\"paused\":true}";
	static const char journals[] = "{\"phase\":\"end\",\"rollout\":\"r1\","
				       "\"policy\":\"abc\",\"boot\":\"b\","
				       "\"generation\":7,\"attempt\":3,"
				       "\"end\":\"done\",\"confirm_timeout\":180}";

	(void)state;
	assert_true(doc_grant_parse(&grant, GRANT, strlen(GRANT), why));
	text = doc_grant_print(&grant);
	assert_string_equal(text, GRANT);
	free(text);
	assert_true(doc_status_parse(&status, STATUS, strlen(STATUS), why));
	text = doc_status_print(&status, NULL);
	assert_string_equal(text, STATUS);
	free(text);
	assert_true(doc_pool_parse(&pool, pools, strlen(pools), why));
	text = doc_pool_print(&pool);
	assert_string_equal(text, pools);
	free(text);
	assert_true(doc_journal_parse(&journal, journals, strlen(journals), why));
	text = doc_journal_print(&journal);
	assert_string_equal(text, journals);
	free(text);
	assert_true(doc_rollout_parse(&rollout, ROLLOUT, strlen(ROLLOUT), why));
	text = doc_rollout_print(&rollout);
	assert_string_equal(text, ROLLOUT);
	free(text);
	doc_rollout_clear(&rollout);
}

/* A character that was cut, and others that are no text. */
static void test_what_programs_say(void **state)
{
	char why[DOC_REASON_MAX], *text;
	struct doc_rollout rollout;
	struct doc_act act = { .what = "halt", .why = "\xff\n" };

	(void)state;
	assert_true(doc_rollout_parse(&rollout, ROLLOUT, strlen(ROLLOUT), why));
	assert_true(doc_failure_add(&rollout, "h9", END_REFUSED, "exit 1; caf\xc3"));
	doc_audit_add(&rollout.audit, &act);
	text = doc_rollout_print(&rollout);
	doc_rollout_clear(&rollout);
	if (!doc_rollout_parse(&rollout, text, strlen(text), why))
		fail_msg("%s: %s", text, why);
	assert_string_equal(rollout.failures[rollout.failure_count - 1].why, "exit 1; caf?");
	assert_string_equal(rollout.audit.acts[rollout.audit.count - 1].why, "??");
	doc_rollout_clear(&rollout);
	free(text);
}

static void refused(const char *text, const char *reason)
{
	struct doc_grant grant;
	char why[DOC_REASON_MAX] = "it was read";

	if (doc_grant_parse(&grant, text, strlen(text), why) || !strstr(why, reason))
		fail_msg("%s: \"%s\" instead of \"%s\"", text, why, reason);
	/* And nothing is taken from it. */
	assert_string_equal(grant.rollout, "");
	assert_int_equal(grant.attempt, 0);
	assert_false(grant.live);
}

/* GRANT with one member in another way. */
static char *with(const char *member, const char *instead)
{
	static char text[1024];
	const char *at = strstr(GRANT, member);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - GRANT), GRANT, instead,
		 at + strlen(member));
	return text;
}

static void test_refused(void **state)
{
	struct doc_grant grant;
	char why[DOC_REASON_MAX], *text;

	(void)state;
	refused("", "no JSON");
	refused("[]", "no JSON object");
	refused("{", "no JSON");
	refused("{}", "there is no \"rollout\"");
	refused("[[[[[[[[[[[[", "no JSON");
	refused(GRANT "x", "no JSON");
	refused(with("\"r1\"", "1"), "\"rollout\" is no string");
	refused(with("\"r1\"", "\"\""), "\"rollout\" is empty");
	refused(with("r1", "a/b"), "not allowed");
	refused(with("r1", "a\\u0000b"), "not allowed");
	refused(with("r1", "a\\nb"), "not allowed");
	refused(with("r1", "\xff"), "no JSON");
	refused(with("r1", "12345678901234567890123456789012345678901"), "longer than 40");
	refused(with("true", "\"yes\""), "\"live\" is no boolean");
	refused(with(":3", ":0"), "\"attempt\" is out of range");
	refused(with(":3", ":-1"), "\"attempt\" is out of range");
	refused(with(":3", ":9223372036854775808"), "\"attempt\" is out of range");
	refused(with(":3", ":3.5"), "\"attempt\" is no int");
	refused(with("r1", "r*1"), "not allowed");
	refused(with("r1", "r.1"), "not allowed");
	refused(with("\"apply\"", "7"), "\"mode\" is no string");
	refused(with("\"live\"", "\"requires\":7,\"live\""), "\"requires\" is no array");
	refused(with("180", "89"), "\"confirm_timeout\" is out of range");
	refused(with("30", "3601"), "\"settle\" is out of range");
	refused(with("net,block", "net, block"), "\"allow_in_use\" has a character");
	refused(with("\"live\":true", "\"live\":true,\"revoked\":true"), "live and revoked");

	/* What is not known is of a later version. */
	text = with("\"live\"", "\"later\":{\"a\":[1]},\"live\"");
	assert_true(doc_grant_parse(&grant, text, strlen(text), why));
	assert_int_equal(grant.attempt, 3);
	assert_string_equal(grant.requires, "");
	/* The host has to say that it refuses it. */
	text = with("\"apply\"", "\"dry\"");
	assert_true(doc_grant_parse(&grant, text, strlen(text), why));
	assert_string_equal(grant.requires, "dry");
	text = with("\"live\"", "\"requires\":[\"magic\"],\"live\"");
	assert_true(doc_grant_parse(&grant, text, strlen(text), why));
	assert_non_null(strstr(grant.requires, "magic"));
	text = with("\"live\"", "\"requires\":[],\"live\"");
	assert_true(doc_grant_parse(&grant, text, strlen(text), why));
	assert_string_equal(grant.requires, "");
}

static void rollout_refused(const char *member, const char *instead, const char *reason)
{
	struct doc_rollout rollout;
	char text[2048], why[DOC_REASON_MAX] = "it was read";
	const char *at = strstr(ROLLOUT, member);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - ROLLOUT), ROLLOUT, instead,
		 at + strlen(member));
	if (doc_rollout_parse(&rollout, text, strlen(text), why) || !strstr(why, reason))
		fail_msg("%s: \"%s\" instead of \"%s\"", instead, why, reason);
}

static void test_rollout_refused(void **state)
{
	(void)state;
	rollout_refused("[1,\"10%\"]", "[]", "\"waves\"");
	rollout_refused("[1,\"10%\"]", "[1,\"101%\"]", "a wave");
	rollout_refused("[1,\"10%\"]", "[1,\"x\"]", "a wave");
	rollout_refused("[1,\"10%\"]", "[1]", "\"wave\" is out of range");
	rollout_refused("a=1,b!=2", "a", "\"selector\"");
	rollout_refused("a=1,b!=2", "a=1,,b=2", "\"selector\"");
	rollout_refused("{\"at\":\"today\"", "{\"at\":7", "\"at\" is no string");
	rollout_refused("\"halted\"", "\"odd\"", "a word that is not known");
	rollout_refused("\"h2\"", "\"h1\"", "two slots");
	rollout_refused("\"h2\"", "\"a b\"", "no name of a host");
	rollout_refused("\"h2\"", "\"\"", "no name of a host");
	rollout_refused("\"h2\"", "7", "\"host\" is no string");
	rollout_refused("{\"host\":\"h3\"", "7,{\"host\":\"h3\"", "is no object");
	rollout_refused("\"h5\"", "\"h4\"", "a hook twice");
	rollout_refused("\"h5\"", "\"h1\"", "besides a slot");
	rollout_refused("\"serial\":5", "\"serial\":6", "\"serial\" is out of range");
	rollout_refused("\"before\"", "\"during\"", "a word that is not known");
	rollout_refused("\"done\":4", "\"done\":-1", "\"done\" is out of range");
	rollout_refused("\"wave\"", "\"requires\":[\"magic\"],\"wave\"", "it requires");
	rollout_refused("\"id\":\"r1\"", "\"id\":\"r*1\"", "not allowed");
}

/* Each host of a large pool has refused, and had much to say. */
static void test_many_failures(void **state)
{
	struct doc_rollout rollout, read;
	char why[DOC_REASON_MAX], host[DOC_HOST_MAX + 1], *text;
	struct doc_slot *slot;
	int i, listed;

	(void)state;
	assert_true(doc_rollout_parse(&rollout, ROLLOUT, strlen(ROLLOUT), why));
	memset(why, 'x', DOC_WHY_MAX - 1);
	why[DOC_WHY_MAX - 1] = '\0';
	for (i = 0; i < 10000; i++) {
		snprintf(host, sizeof(host), "node-%05d.row-12.cluster.example.com", i);
		assert_true(doc_failure_add(&rollout, host, END_REFUSED, why));
	}
	/* They have all been resumed, and as many have slots as can have. */
	for (i = 0; i < (int)rollout.failure_count; i++) {
		rollout.failures[i].earlier = true;
		rollout.failures[i].attempts = 10;
	}
	for (i = rollout.changing_count; i < DOC_SLOTS_MAX; i++) {
		snprintf(host, sizeof(host), "%0*d", DOC_HOST_MAX, i);
		slot = doc_slot_add(&rollout, host, "0123456789abcdef0123456789abcdef",
				    DOC_ATTEMPT_MAX);
		assert_non_null(slot);
		slot->lost = slot->hooked = true;
		assert_true(doc_rollout_forget(&rollout, host, DOC_ATTEMPT_MAX));
		snprintf(slot->since, sizeof(slot->since), "2026-12-01T00:00:00Z");
	}
	text = doc_rollout_print(&rollout);
	assert_non_null(text);
	/* With an audit that has much to say. */
	assert_true(strlen(text) + 20 * 1024 < STORE_VALUE_MAX);
	assert_true(doc_rollout_parse(&read, text, strlen(text), why));
	listed = read.failure_count;
	assert_int_equal(listed + read.unlisted, 10001 + 6);
	assert_true(listed > 4000);
	assert_string_equal(read.failures[listed - 1].why, rollout.failures[listed - 1].why);
	assert_string_equal(read.failures[listed - 101].why, "");
	/* One that is listed stays so. */
	assert_true(doc_failure_add(&read, "h3", END_REFUSED, "once more"));
	assert_int_equal(read.failure_count, listed);
	assert_string_equal(read.failures[listed - 1].why, "once more");
	assert_int_equal(read.failures[listed - 1].attempts, 11);
	assert_ptr_equal(doc_failure_of(&read, "h3"), &read.failures[listed - 1]);
	free(text);
	doc_rollout_clear(&read);
	doc_rollout_clear(&rollout);
}

static void test_selector(void **state)
{
	static const char labels[] = "rack=r1,zone=a.b";

	(void)state;
	assert_true(doc_selects("", "") && doc_selects("", labels));
	assert_true(doc_selects("rack=r1", labels) && doc_selects("rack=r1,zone=a.b", labels));
	assert_false(doc_selects("rack=r1,zone=a", labels) || doc_selects("rack=r", labels));
	assert_true(doc_selects("rack!=r2", labels) && doc_selects("row!=1", labels));
	assert_false(doc_selects("rack!=r1", labels) || doc_selects("row=1", labels));
	assert_true(doc_is_selector("a=1") && doc_is_selector("") && doc_is_selector("a!=1,b=2"));
	assert_false(doc_is_selector("a") || doc_is_selector("=1") || doc_is_selector("a=") ||
		     doc_is_selector("a=1,") || doc_is_selector("a=1;b=2"));
}

static void test_labels_and_audit(void **state)
{
	static const char text[] = "{\"machine\":\"m\",\"boot\":\"b\",\"attempt\":0,"
		"\"phase\":\"idle\",\"labels\":{\"rack\":\"r1\",\"odd\":7,\"x y\":\"z\",\"n\":\"a,b\","
		"\"zone\":\"2\"}}";
	struct doc_audit audit = { 0 };
	struct doc_act act = { .who = "me" };
	struct doc_status status;
	char why[DOC_REASON_MAX], long_ones[4096];
	int i, j, n;

	(void)state;
	assert_true(doc_status_parse(&status, text, strlen(text), why));
	assert_string_equal(status.labels, "rack=r1,zone=2");
	/* As many as an agent may have; with one more nothing is known of the host. */
	for (i = 0; i <= DOC_LABELS; i++) {
		n = snprintf(long_ones, sizeof(long_ones), "{\"machine\":\"m\",\"boot\":\"b\","
			     "\"attempt\":1,\"phase\":\"idle\",\"labels\":{");
		for (j = 0; j <= i; j++)
			n += snprintf(long_ones + n, sizeof(long_ones) - n, "%s\"%0*d\":\"%0*d\"",
				      j ? "," : "", DOC_LABEL_MAX, j, DOC_LABEL_MAX, j);
		snprintf(long_ones + n, sizeof(long_ones) - n, "}}");
		assert_int_equal(doc_status_parse(&status, long_ones, strlen(long_ones), why),
				 i < DOC_LABELS);
	}
	assert_non_null(strstr(why, "longer"));
	assert_string_equal(status.machine, "");
	assert_false(status.too_old);
	for (i = 0; i < 4; i++) {
		static const char *const agents[] = {
			"{\"schemas\":[\"x\",\"" DOC_GRANT_SCHEMA "\"]}", "{\"schemas\":[7,\"x\"]}",
			"{\"schemas\":7}", "{}",
		};
		char with[256];

		snprintf(with, sizeof(with), "{\"machine\":\"m\",\"boot\":\"b\",\"attempt\":0,"
			 "\"phase\":\"idle\",\"agent\":%s}", agents[i]);
		assert_true(doc_status_parse(&status, with, strlen(with), why));
		assert_int_equal(status.too_old, i > 0);
	}
	for (i = 0; i < DOC_AUDIT_MAX + 3; i++) {
		snprintf(act.what, sizeof(act.what), "%d", i);
		doc_audit_add(&audit, &act);
	}
	assert_int_equal(audit.count, DOC_AUDIT_MAX);
	assert_string_equal(audit.acts[0].what, "3");
	assert_string_equal(audit.acts[DOC_AUDIT_MAX - 1].what, "22");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_what_programs_say),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rollout_refused),
		cmocka_unit_test(test_many_failures),
		cmocka_unit_test(test_selector),
		cmocka_unit_test(test_labels_and_audit),
	};

	return cmocka_run_group_tests_name("documents", tests, NULL, NULL);
}
