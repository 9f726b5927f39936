// SPDX-License-Identifier: GPL-2.0
/* The library's pieces: words, paths, numbers, files, lists. */
#include <errno.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

/*
 * The mask is the whole process's: a library that changes it for a moment has
 * another thread's new file writable by everybody. Nothing here may call this.
 */
static int umask_calls;

mode_t umask(mode_t mask)
{
	umask_calls++;
	return syscall(SYS_umask, mask);
}

static void test_types(void **state)
{
	(void)state;
	assert_int_equal(iommucfg_type_parse("identity"), IOMMUCFG_TYPE_IDENTITY);
	assert_int_equal(iommucfg_type_parse("DMA"), IOMMUCFG_TYPE_DMA);
	assert_int_equal(iommucfg_type_parse("DMA-FQ"), IOMMUCFG_TYPE_DMA_FQ);
	assert_int_equal(iommucfg_type_parse("auto"), IOMMUCFG_TYPE_AUTO);
	assert_int_equal(iommucfg_type_parse("dma"), IOMMUCFG_TYPE_OTHER);
	assert_int_equal(iommucfg_type_parse("none"), IOMMUCFG_TYPE_OTHER);
	assert_int_equal(iommucfg_type_parse("blocked"), IOMMUCFG_TYPE_OTHER);
	assert_string_equal(iommucfg_type_name(IOMMUCFG_TYPE_DMA_FQ), "DMA-FQ");
}

static void test_suggest(void **state)
{
	static const char *const words[] = { "identity", "DMA", "DMA-FQ", "net", NULL };

	(void)state;
	assert_string_equal(iommucfg_suggest("identiy", words), "identity");
	assert_string_equal(iommucfg_suggest("idnetity", words), "identity");
	assert_string_equal(iommucfg_suggest("dma", words), "DMA");
	assert_string_equal(iommucfg_suggest("dmafq", words), "DMA-FQ");
	assert_string_equal(iommucfg_suggest("nte", words), "net");
	assert_null(iommucfg_suggest("elephant", words));
	assert_null(iommucfg_suggest("", words));
	assert_null(iommucfg_suggest("a very long word that nobody ever meant to type", words));
}

static void check_path(const char *syspath, const char *expected)
{
	char *path = ic_pci_path(syspath);

	if (expected) {
		assert_non_null(path);
		assert_string_equal(path, expected);
	} else {
		assert_null(path);
	}
	free(path);
}

static void test_pci_path(void **state)
{
	(void)state;
	check_path("devices/pci0000:00/0000:00:02.0", "0000:00:02.0");
	check_path("devices/pci0000:00/0000:00:1c.4/0000:01:00.0", "0000:00:1c.4/00.0");
	check_path("devices/pci0000:00/0000:00:1c.4/0000:01:00.0/0000:02:03.7",
		   "0000:00:1c.4/00.0/03.7");
	check_path("devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0",
		   "0000:00:0e.0/06.0/00.0");
	check_path("devices/LNXSYSTM:00/PNP0A08:00/pci0001:80/0001:80:01.0", "0001:80:01.0");
	check_path("devices/platform/soc/fd000000.pcie/pci0000:00/0000:00:00.0", "0000:00:00.0");
	check_path("devices/platform/fd000000.gpu", NULL);
	check_path("devices/pci0000:00/0000:00:03.0/virtio0", NULL);
	check_path("", NULL);
}

static void test_short_pci(void **state)
{
	(void)state;
	assert_true(ic_is_short_pci("01:00.0"));
	assert_true(ic_is_short_pci("af:1f.*"));
	assert_true(ic_is_short_pci("00:1c.4/00.0"));
	assert_false(ic_is_short_pci("0000:01:00.0"));
	assert_false(ic_is_short_pci("01:00"));
	assert_false(ic_is_short_pci("1:00.0"));
	assert_false(ic_is_short_pci("*:00.0"));
	assert_false(ic_is_short_pci("gpio:0.0"));
	assert_false(ic_is_short_pci(""));
}

static void test_numbers(void **state)
{
	unsigned long value;
	unsigned int n;

	(void)state;
	assert_int_equal(ic_parse_number("10", 10, 10, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(ic_parse_number("0x1f", 16, 255, &value), 0);
	assert_int_equal(value, 31);
	assert_int_equal(ic_parse_number("11", 10, 10, &value), -ERANGE);
	assert_int_equal(ic_parse_number("-1", 10, 10, &value), -EINVAL);
	assert_int_equal(ic_parse_number("+1", 10, 10, &value), -EINVAL);
	assert_int_equal(ic_parse_number(" 1", 10, 10, &value), -EINVAL);
	assert_int_equal(ic_parse_number("1x", 10, 10, &value), -EINVAL);
	assert_int_equal(ic_parse_number("", 10, 10, &value), -EINVAL);
	assert_true(ic_canonical_decimal("0", &n));
	assert_true(ic_canonical_decimal("42", &n));
	assert_int_equal(n, 42);
	assert_false(ic_canonical_decimal("05", &n));
	assert_false(ic_canonical_decimal("x", &n));
	assert_false(ic_canonical_decimal("99999999999999999999", &n));
}

static void test_atomic(void **state)
{
	char dir[] = "/tmp/iommucfg-unit.XXXXXX", path[64], buf[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	umask(022);
	umask_calls = 0;
	assert_int_equal(iommucfg_write_atomic(path, "one\n", 4), 0);
	assert_int_equal(umask_calls, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(iommucfg_write_atomic(path, "two\n", 4), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(ic_read_attr(-1, path, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "two");
	assert_int_equal(iommucfg_write_atomic(dir, "x", 1), -EISDIR);
	assert_int_equal(iommucfg_write_atomic("/dev/null", "x", 1), -EINVAL);
	assert_int_equal(iommucfg_write_atomic("/nonexistent/a/b", "x", 1), -ENOENT);
	/* Nothing else was left behind. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_problems(void **state)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	const struct iommucfg_problem *p;

	(void)state;
	assert_int_equal(iommucfg_problems_count(NULL), 0);
	assert_int_equal(iommucfg_problems_add(NULL, IOMMUCFG_ERROR, "x", 0, "y"), 0);
	assert_int_equal(iommucfg_problems_add(problems, IOMMUCFG_WARNING, "x", EBUSY, "a %d", 1),
			 0);
	assert_int_equal(iommucfg_problems_add(problems, IOMMUCFG_ERROR, "y", 0, "b"), 0);
	assert_int_equal(iommucfg_problems_at_least(problems, IOMMUCFG_WARNING), 2);
	assert_int_equal(iommucfg_problems_at_least(problems, IOMMUCFG_REFUSED), 1);
	p = iommucfg_problems_get(problems, 0);
	assert_string_equal(iommucfg_problem_message(p), "a 1");
	assert_string_equal(iommucfg_problem_errno(p), "EBUSY");
	assert_int_equal(iommucfg_problem_group(p), -1);
	assert_int_equal(iommucfg_problem_line(p), -1);
	assert_null(iommucfg_problem_errno(iommucfg_problems_get(problems, 1)));
	iommucfg_problems_unref(problems);
}

static void test_roots(void **state)
{
	struct iommucfg *ctx;

	(void)state;
	assert_int_equal(iommucfg_new(&ctx, "/"), 0);
	assert_string_equal(iommucfg_root(ctx), "");
	iommucfg_unref(ctx);
	assert_int_equal(iommucfg_new(&ctx, "/tmp///"), 0);
	assert_string_equal(iommucfg_root(ctx), "/tmp");
	iommucfg_unref(ctx);
	assert_int_equal(iommucfg_new(&ctx, "/nonexistent"), -ENOENT);
	assert_int_equal(iommucfg_new(&ctx, "/dev/null"), -ENOTDIR);
	iommucfg_unref(NULL);
	iommucfg_topology_unref(NULL);
	iommucfg_policy_unref(NULL);
	iommucfg_plan_unref(NULL);
	iommucfg_txn_unref(NULL);
	iommucfg_problems_unref(NULL);
	iommucfg_witness_unref(NULL);
	iommucfg_txn_list_free(NULL);
}

/* What is read from the text of a policy gives the same text. */
static void test_policy_text(void **state)
{
	static const char *const policies[] = {
		"", "default = \"DMA-FQ\";", "options = { disruption = \"none\"; };", "options = { settle = 0; allow_in_use = [ ]; };",
		"rules = ( { name = \"a\\\"\\\\b\\x01\\n\xc3\xa9\"; match = { device = \"01:00.[0-1]\"; "
		"bus = \"pci\"; path = ( \"00:1c.4/*\", \"x\\\\\\\\*\" ); }; type = \"DMA\"; priority = -3; } );",
		"rules = ( { name = \"b\"; match = { vendor = ( \"8086\", 0x10de ); device_id = 0; "
		"subsystem_vendor = 1; subsystem_device = 65535; class = ( \"0108\", \"02\", "
		"\"storage\", \"030200\" ); driver = [ \"a\", \"b\" ]; removable = false; }; "
		"type = \"identity\"; required = true; } ); options = { confirm_timeout = 60; "
		"allow_in_use = [ \"block\", \"net\" ]; };",
		"options = { check_command = [ \"/bin/a b\", \"\", \"\\\"\" ]; check_timeout = 9; "
		"faults = \"warn\"; };", "options = { check_command = [ ]; faults = \"rollback\"; };",
	};
	struct iommucfg_policy *a, *b;
	char *first, *second;
	struct iommucfg *ctx;
	size_t i, n, j;

	(void)state;
	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	for (i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		assert_int_equal(iommucfg_policy_new(ctx, &a), 0);
		assert_int_equal(iommucfg_policy_new(ctx, &b), 0);
		assert_int_equal(iommucfg_policy_read_buffer(a, "a", policies[i],
							     strlen(policies[i]), NULL), 0);
		assert_int_equal(iommucfg_policy_text(a, &first), 0);
		assert_int_equal(iommucfg_policy_read_buffer(b, "b", first, strlen(first), NULL),
				 0);
		assert_int_equal(iommucfg_policy_text(b, &second), 0);
		assert_string_equal(first, second);
		n = iommucfg_policy_num_rules(a);
		assert_int_equal(n, iommucfg_policy_num_rules(b));
		for (j = 0; j < n; j++)
			assert_string_equal(iommucfg_rule_name(iommucfg_policy_rule(a, j)),
					    iommucfg_rule_name(iommucfg_policy_rule(b, j)));
		assert_int_equal(iommucfg_policy_allow_in_use(a), iommucfg_policy_allow_in_use(b));
		assert_int_equal(iommucfg_policy_settle(a), iommucfg_policy_settle(b));
		assert_int_equal(iommucfg_policy_disruption(a), iommucfg_policy_disruption(b));
		free(first);
		free(second);
		iommucfg_policy_unref(a);
		iommucfg_policy_unref(b);
	}
	iommucfg_unref(ctx);
}

/* A caller's thread keeps the locale that it had. */
static void test_locale(void **state)
{
	static const char text[] = "default = \"keep\";", wrong[] = "default = ";
	locale_t mine = newlocale(LC_ALL_MASK, "C", NULL);
	struct iommucfg_policy *policy;
	struct iommucfg *ctx;

	(void)state;
	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	assert_int_equal(iommucfg_policy_new(ctx, &policy), 0);
	uselocale(mine);
	assert_int_equal(iommucfg_policy_read_buffer(policy, "a", text, strlen(text), NULL), 0);
	assert_true(uselocale((locale_t)0) == mine);
	assert_int_equal(iommucfg_policy_read_buffer(policy, "a", wrong, strlen(wrong), NULL),
			 -EINVAL);
	assert_true(uselocale((locale_t)0) == mine);
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(mine);
	iommucfg_policy_unref(policy);
	iommucfg_unref(ctx);
}

/* What strcmp() is where the library calls it (--wrap). */
static size_t compared;

int __real_strcmp(const char *a, const char *b);
int __wrap_strcmp(const char *a, const char *b);

int __wrap_strcmp(const char *a, const char *b)
{
	compared++;
	return __real_strcmp(a, b);
}

/* A name that is there twice is found without comparing each with each. */
static void test_many_rules(void **state)
{
	const size_t rules = 20000;
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_policy *policy;
	struct iommucfg *ctx;
	size_t i, length;
	char *text;
	FILE *f;

	(void)state;
	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	assert_int_equal(iommucfg_policy_new(ctx, &policy), 0);
	f = open_memstream(&text, &length);
	fputs("rules = (", f);
	for (i = 0; i <= rules; i++)
		fprintf(f, "%s{ name = \"rule number %zu\"; match = { vendor = 1; }; type = \"DMA\"; }\n",
			i ? "," : "", i % rules);
	fputs(");", f);
	assert_int_equal(fclose(f), 0);
	compared = 0;
	assert_int_equal(iommucfg_policy_read_buffer(policy, "a", text, length, problems),
			 -EINVAL);
	assert_int_equal(iommucfg_problems_count(problems), 1);
	assert_int_equal(iommucfg_problem_line(iommucfg_problems_get(problems, 0)), rules + 1);
	/* A tree compares a name with some thirty others; the keys of a rule add to that. */
	assert_true(compared >= rules);
	assert_true(compared < rules * 200);
	free(text);
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types), cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_pci_path), cmocka_unit_test(test_short_pci),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_atomic),
		cmocka_unit_test(test_problems), cmocka_unit_test(test_roots),
		cmocka_unit_test(test_policy_text), cmocka_unit_test(test_locale),
		cmocka_unit_test(test_many_rules),
	};

	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
