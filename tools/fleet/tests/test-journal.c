// SPDX-License-Identifier: GPL-2.0
/* The agent's journal on the disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "journal.h"

static char dir[] = "/tmp/fleet-journal.XXXXXX";
static char path[64], new[64];

static const struct doc_journal journal = {
	.phase = JOURNAL_APPLY, .rollout = "r1", .policy = "abc", .attempt = 7, .boot = "b",
	.confirm_timeout = 180, .why = "a probe says no",
};

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_first(void **state)
{
	char why[DOC_REASON_MAX];
	struct doc_journal read;

	(void)state;
	assert_int_equal(journal_load(path, &read, why), 0);
	assert_int_equal(read.phase, JOURNAL_IDLE);
	assert_int_equal(read.attempt, 0);
	/* Nothing has happened yet: that can be written as well. */
	assert_int_equal(journal_save(path, &read), 0);
	assert_int_equal(journal_load(path, &read, why), 0);
	assert_int_equal(read.phase, JOURNAL_IDLE);
}

static void test_again(void **state)
{
	char why[DOC_REASON_MAX];
	struct doc_journal read;

	(void)state;
	assert_int_equal(journal_save(path, &journal), 0);
	assert_int_equal(journal_load(path, &read, why), 0);
	assert_int_equal(read.phase, JOURNAL_APPLY);
	assert_int_equal(read.attempt, 7);
	assert_string_equal(read.rollout, "r1");
	assert_string_equal(read.why, "a probe says no");
	assert_int_equal(access(new, F_OK), -1);
}

/* What cannot be read is not taken for a new host's. */
static void test_broken(void **state)
{
	char why[DOC_REASON_MAX];
	struct doc_journal read;

	(void)state;
	write_file("");
	assert_int_equal(journal_load(path, &read, why), -EBADMSG);
	write_file("{\"phase\":\"apply\",\"attempt\":1,\"confirm_timeout\":90}");
	assert_int_equal(journal_load(path, &read, why), -EBADMSG);
	assert_non_null(strstr(why, "\"rollout\""));
	write_file("{\"phase\":\"end\",\"rollout\":\"r\",\"policy\":\"p\",\"boot\":\"b\","
		   "\"attempt\":1,\"confirm_timeout\":90}");
	assert_int_equal(journal_load(path, &read, why), -EBADMSG);
}

/* Of an agent that installed in a step after the confirm; what there is to do now is the same. */
static void test_older(void **state)
{
	char why[DOC_REASON_MAX];
	struct doc_journal read;

	(void)state;
	write_file("{\"phase\":\"install\",\"rollout\":\"r\",\"policy\":\"p\",\"boot\":\"b\","
		   "\"attempt\":1,\"confirm_timeout\":90}");
	assert_int_equal(journal_load(path, &read, why), 0);
	assert_int_equal(read.phase, JOURNAL_CONFIRM);
}

/* One that cannot be written leaves the one that is there. */
static void test_no_room(void **state)
{
	char why[DOC_REASON_MAX];
	struct doc_journal read;

	(void)state;
	assert_int_equal(journal_save(path, &journal), 0);
	assert_int_equal(symlink("/dev/full", new), 0);
	read = journal;
	read.phase = JOURNAL_END;
	read.end = END_DONE;
	assert_true(journal_save(path, &read) < 0);
	assert_int_equal(journal_load(path, &read, why), 0);
	assert_int_equal(read.phase, JOURNAL_APPLY);
	assert_int_equal(journal_save("/none/journal", &journal), -ENOENT);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/journal", dir);
	snprintf(new, sizeof(new), "%s/journal.new", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	unlink(new);
	return rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests_name("journal", tests, set_up, tear_down);
}
