// SPDX-License-Identifier: GPL-2.0
/*
 * test-golden DIR: every DIR/NAME.conf is read, and what is said about it must
 * be what DIR/NAME.err has. With UPDATE=1 in the environment it is written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "unit.h"

static const char *dir;

static char *read_file(const char *name, const char *suffix, size_t *length)
{
	char path[4096], *text;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	assert_int_equal(ic_slurp(fd, 1 << 20, &text, length), 0);
	close(fd);
	return text;
}

static void test_file(void **state)
{
	char name[300], path[4096], *text, *expected, *found;
	const char *base = *state;
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_policy *policy;
	struct iommucfg *ctx;
	size_t length;
	int ret;

	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	assert_int_equal(iommucfg_policy_new(ctx, &policy), 0);
	text = read_file(base, ".conf", &length);
	assert_non_null(text);
	snprintf(name, sizeof(name), "%s.conf", base);
	ret = iommucfg_policy_read_buffer(policy, name, text, length, problems);
	found = text_of(problems);
	if (getenv("UPDATE")) {
		snprintf(path, sizeof(path), "%s/%s.err", dir, base);
		assert_int_equal(iommucfg_write_atomic(path, found, strlen(found)), 0);
	}
	expected = read_file(base, ".err", &length);
	assert_non_null(expected);
	assert_string_equal(found, expected);
	/* Something is said just where something is wrong. */
	assert_int_equal(ret, *found ? -EINVAL : 0);
	assert_int_equal(!strncmp(base, "good", 4), !*found);
	free(text);
	free(found);
	free(expected);
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[128] = { 0 };
	struct dirent **entries;
	int n, i, count = 0, ret;

	if (argc != 2)
		return 2;
	dir = argv[1];
	n = scandir(dir, &entries, NULL, alphasort);
	for (i = 0; i < n && count < 128; i++) {
		char *dot = strrchr(entries[i]->d_name, '.');

		if (!dot || strcmp(dot, ".conf"))
			continue;
		*dot = '\0';
		tests[count].name = entries[i]->d_name;
		tests[count].initial_state = entries[i]->d_name;
		tests[count++].test_func = test_file;
	}
	if (!count)
		return 2;
	ret = _cmocka_run_group_tests("golden", tests, count, NULL, NULL);
	for (i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return ret;
}
