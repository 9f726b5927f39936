// SPDX-License-Identifier: GPL-2.0
/* Matching and planning, on the trees of mktree.py. */
#include <errno.h>

#include "unit.h"

struct fixture {
	struct iommucfg *ctx;
	struct iommucfg_topology *topology;
	struct iommucfg_policy *policy;
	struct iommucfg_plan *plan;
};

static struct fixture f;

static int setup(void **state)
{
	const char *name = *state ? *state : "host";

	memset(&f, 0, sizeof(f));
	assert_int_equal(iommucfg_new(&f.ctx, tree(name)), 0);
	assert_int_equal(iommucfg_topology_scan(f.ctx, &f.topology, NULL), 0);
	assert_int_equal(iommucfg_topology_scan_use(f.topology, NULL), 0);
	assert_int_equal(iommucfg_policy_new(f.ctx, &f.policy), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iommucfg_plan_unref(f.plan);
	iommucfg_policy_unref(f.policy);
	iommucfg_topology_unref(f.topology);
	iommucfg_unref(f.ctx);
	return 0;
}

static void policy(const char *text)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	char *said;

	iommucfg_policy_unref(f.policy);
	assert_int_equal(iommucfg_policy_new(f.ctx, &f.policy), 0);
	if (iommucfg_policy_read_buffer(f.policy, "t", text, strlen(text), problems)) {
		said = text_of(problems);
		print_error("%s", said);
		free(said);
		fail();
	}
	iommucfg_problems_unref(problems);
}

/* The names of the devices that `match = { MATCH }` meets. */
static void meets(const char *match, const char *expected)
{
	char text[512], found[1024] = "";
	size_t i, j;
	const struct iommucfg_group *group;

	snprintf(text, sizeof(text),
		 "rules = ( { name = \"r\"; match = { %s }; type = \"DMA\"; } );", match);
	policy(text);
	for (i = 0; i < iommucfg_topology_num_groups(f.topology); i++) {
		group = iommucfg_topology_group(f.topology, i);
		for (j = 0; j < iommucfg_group_num_devices(group); j++)
			if (iommucfg_rule_match(iommucfg_policy_rule(f.policy, 0),
						iommucfg_group_device(group, j)) == 1) {
				strcat(found, *found ? " " : "");
				strcat(found, iommucfg_device_name(iommucfg_group_device(group,
											 j)));
			}
	}
	if (strcmp(found, expected))
		print_error("%s\n", match);
	assert_string_equal(found, expected);
}

static void test_match(void **state)
{
	(void)state;
	meets("device = \"0000:01:00.*\";", "0000:01:00.0 0000:01:00.1");
	meets("device = \"01:00.1\";", "0000:01:00.1");
	meets("device = \"10000:E1:00.0\";", "10000:e1:00.0");
	meets("device = [ \"*.auto\", \"0000:00:02.0\" ];", "0000:00:02.0 arm-smmu.0.auto");
	meets("device = \"ARM-SMMU*\";", "");
	meets("bus = \"platform\";", "arm-smmu.0.auto");
	meets("path = \"0000:00:1c.4/00.0\";", "0000:01:00.0");
	meets("path = \"00:1c.4/*\";", "0000:01:00.0 0000:01:00.1");
	meets("path = \"0000:00:1C.4*\";", "0000:00:1c.4 0000:01:00.0 0000:01:00.1");
	/* Below a controller with a root bus of its own, whatever domain that has got. */
	meets("path = \"0000:00:0e.0/06.0/00.0\";", "10000:e1:00.0");
	meets("path = \"10000:e0:06.0/00.0\";", "");
	meets("path = \"arm-smmu.0.auto\";", "arm-smmu.0.auto");
	meets("vendor = 0x10de;", "0000:01:00.0");
	meets("vendor = 4318;", "0000:01:00.0");
	meets("vendor = \"10de\";", "0000:01:00.0");
	meets("vendor = ( \"0x10DE\", 0x15b3 );", "0000:01:00.0 0000:01:00.1");
	meets("vendor = 0x8086; device_id = 0x2922;", "0000:00:1f.2");
	meets("subsystem_vendor = 0x1af4; subsystem_device = 0x1100; vendor = 0x144d;",
	      "0000:00:02.0 10000:e1:00.0");
	meets("subsystem_vendor = 0x1af5;", "");
	meets("class = \"display\";", "0000:01:00.0");
	meets("class = \"01\";", "0000:00:02.0 0000:00:1f.2 10000:e1:00.0");
	meets("class = \"0108\";", "0000:00:02.0 10000:e1:00.0");
	meets("class = \"010601\";", "0000:00:1f.2");
	meets("class = \"010600\";", "");
	meets("class = \"0C05\";", "0000:00:1f.3");
	meets("class = [ \"storage\", \"display\" ]; driver = \"nvme\";",
	      "0000:00:02.0 10000:e1:00.0");
	meets("driver = \"i801-smbus\";", "0000:00:1f.3");
	meets("driver = \"dmatest\";", "arm-smmu.0.auto");
	meets("driver = \"arm_smmu\";", "");
	meets("removable = true;", "0000:05:00.0");
	meets("removable = false; vendor = 0x8086; device_id = 0x10d3;",
	      "0000:00:03.0 0000:06:00.0 0000:00:04.0");
	/* Bound is what counts, not what could be. */
	meets("driver = \"e1000e\";", "0000:00:03.0");
}

static void make_plan(const char *text, const struct iommucfg_plan_options *options)
{
	static const struct iommucfg_plan_options none;

	iommucfg_plan_unref(f.plan);
	f.plan = NULL;
	policy(text);
	assert_int_equal(iommucfg_plan_policy(f.topology, f.policy, options ? options : &none,
					      &f.plan), 0);
}

#define RULE(name, match, type, more) \
	"{ name = \"" name "\"; match = { " match " }; type = \"" type "\"; " more " }"

static enum iommucfg_type planned(unsigned int number)
{
	size_t i;

	for (i = 0; i < iommucfg_plan_num_changes(f.plan); i++)
		if (iommucfg_group_number(iommucfg_change_group(iommucfg_plan_change(f.plan, i))) ==
		    number)
			return iommucfg_change_to(iommucfg_plan_change(f.plan, i));
	return IOMMUCFG_TYPE_NONE;
}

static const char *said(size_t index)
{
	return iommucfg_problem_message(iommucfg_problems_get(iommucfg_plan_problems(f.plan),
							      index));
}

static void test_priority(void **state)
{
	(void)state;
	/* Among equals the first. */
	make_plan("rules = (" RULE("a", "vendor = 0x10de;", "identity", "") ","
		  RULE("b", "vendor = 0x10de;", "DMA", "") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_IDENTITY);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_conflicts(f.plan)), 0);
	/* A higher one comes first, wherever it stands. */
	make_plan("rules = (" RULE("a", "vendor = 0x10de;", "identity", "") ","
		  RULE("b", "vendor = 0x10de;", "DMA", "priority = 1;") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_DMA);
	/* Below zero is lower than not said. */
	make_plan("rules = (" RULE("a", "vendor = 0x10de;", "identity", "priority = -1;") ","
		  RULE("b", "vendor = 0x10de;", "DMA", "") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_DMA);
}

static void test_conflict(void **state)
{
	const struct iommucfg_problem *p;

	(void)state;
	make_plan("rules = (\n" RULE("a", "vendor = 0x15b3;", "identity", "") ",\n"
		  RULE("b", "vendor = 0x10de;", "DMA", "") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_NONE);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_conflicts(f.plan)), 1);
	p = iommucfg_problems_get(iommucfg_plan_conflicts(f.plan), 0);
	assert_string_equal(iommucfg_problem_message(p),
		"conflict in group 1: rule \"a\" (t:2) wants identity for 0000:01:00.1, rule \"b\" (t:3) wants DMA for 0000:01:00.0; all of a group gets one type: a higher priority for one of them decides");
	/* Two rules that want the same are none. */
	make_plan("rules = (" RULE("a", "vendor = 0x15b3;", "identity", "") ","
		  RULE("b", "vendor = 0x10de;", "identity", "") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_IDENTITY);
	/* Only the highest of a group count: b, though it has lost to no one. */
	make_plan("rules = (" RULE("a", "vendor = 0x15b3;", "identity", "priority = 2;") ","
		  RULE("b", "vendor = 0x10de;", "DMA", "priority = 1;") ");", NULL);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_IDENTITY);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_conflicts(f.plan)), 0);
	/* Three types in one group: two conflicts with the first. */
	make_plan("rules = (" RULE("a", "device = \"00:1f.0\";", "identity", "") ","
		  RULE("b", "device = \"00:1f.2\";", "DMA", "") ","
		  RULE("c", "device = \"00:1f.3\";", "DMA-FQ", "") ");", NULL);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_conflicts(f.plan)), 2);
}

static void test_required(void **state)
{
	(void)state;
	make_plan("rules = (" RULE("a", "vendor = 0xdead;", "DMA", "required = true;") ");", NULL);
	assert_string_equal(said(0), "rule \"a\" is required, but no device meets its match");
	make_plan("rules = (" RULE("w", "vendor = 0x10de;", "DMA-FQ", "priority = 1;") ","
		  RULE("a", "vendor = 0x10de;", "DMA", "required = true;") ");", NULL);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 0);
	make_plan("rules = (" RULE("a", "vendor = 0xdead;", "DMA", "required = false;") ");", NULL);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 0);
}

static void test_default(void **state)
{
	(void)state;
	make_plan("default = \"DMA\"; rules = (" RULE("a", "bus = \"platform\";", "identity", "")
		  ");", NULL);
	assert_int_equal(planned(0), IOMMUCFG_TYPE_DMA);
	assert_int_equal(planned(7), IOMMUCFG_TYPE_NONE);
	assert_int_equal(planned(12), IOMMUCFG_TYPE_NONE);
	assert_int_equal(iommucfg_problems_at_least(iommucfg_plan_problems(f.plan),
						    IOMMUCFG_ERROR), 0);
	make_plan("rules = (" RULE("a", "device = \"0000:00:04.0\";", "DMA", "") ");", NULL);
	assert_string_equal(said(0),
		"rule \"a\": group 12 cannot take DMA: its present type \"blocked\" could not be put back");
}

static void test_guards(void **state)
{
	struct iommucfg_plan_options options = { 0 };
	const char *disk = "rules = (" RULE("a", "device = \"00:02.0\";", "DMA", "") ");";
	const char *route = "rules = (" RULE("a", "device = \"00:03.0\";", "identity", "") ");";
	const char *vm = "rules = (" RULE("a", "device = \"06:00.0\";", "identity", "") ");";
	const char *fq = "rules = (" RULE("a", "device = \"00:03.0\";", "DMA-FQ", "") ");";

	(void)state;
	make_plan(disk, NULL);
	assert_int_equal(iommucfg_problems_at_least(iommucfg_plan_problems(f.plan),
						    IOMMUCFG_REFUSED), 4);
	assert_string_equal(said(0),
		"group 2 is in use: 0000:00:02.0: mount nvme0n1p1: /; that is never overridden");
	options.allow_in_use = IOMMUCFG_WORD_NET;
	make_plan(disk, &options);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 4);
	make_plan(route, &options);
	assert_string_equal(iommucfg_problem_kind(iommucfg_problems_get(
		iommucfg_plan_problems(f.plan), 1)), "default-route");
	options.confirm_timeout = 1;
	make_plan(route, &options);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 1);
	options.confirm_timeout = 0;
	options.allow_in_use = IOMMUCFG_WORD_DEFAULT_ROUTE;
	make_plan(route, &options);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 1);
	options.allow_in_use = IOMMUCFG_WORD_NET | IOMMUCFG_WORD_BLOCK |
			       IOMMUCFG_WORD_MOUNTED | IOMMUCFG_WORD_OTHER;
	make_plan(vm, &options);
	assert_int_equal(iommucfg_problems_at_least(iommucfg_plan_problems(f.plan),
						    IOMMUCFG_REFUSED), 1);
	options.skip_in_use = true;
	make_plan(vm, &options);
	assert_int_equal(iommucfg_plan_num_skipped(f.plan), 1);
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 0);
	/* In place nothing goes away, unless it may have to come back. */
	memset(&options, 0, sizeof(options));
	make_plan(fq, &options);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 0);
	assert_true(iommucfg_change_in_place(iommucfg_plan_change(f.plan, 0)));
	options.confirm_timeout = 1;
	make_plan(fq, &options);
	assert_int_equal(iommucfg_problems_count(iommucfg_plan_problems(f.plan)), 1);
}

/* Where the kernel cannot be asked: what every kernel does, and no more. */
static void test_disruption(void **state)
{
	struct iommucfg_plan_options options = { .disruption = IOMMUCFG_DISRUPTION_NONE };
	const char *unused = "rules = (" RULE("a", "device = \"05:00.0\";", "identity", "") ");";
	const char *fq = "rules = (" RULE("a", "device = \"05:00.0\";", "DMA-FQ", "") ");";
	const struct iommucfg_change *change;

	(void)state;
	make_plan(unused, &options);
	change = iommucfg_plan_change(f.plan, 0);
	assert_null(iommucfg_change_method(change));
	assert_int_equal(iommucfg_change_needs(f.plan, change), IOMMUCFG_DISRUPTION_REBIND);
	assert_string_equal(iommucfg_problem_kind(iommucfg_problems_get(
		iommucfg_plan_problems(f.plan), 1)), "disruption");
	options.skip_in_use = true;
	make_plan(unused, &options);
	assert_int_equal(iommucfg_plan_num_skipped(f.plan), 1);
	assert_true(iommucfg_change_over_limit(iommucfg_plan_skipped(f.plan, 0)));
	make_plan(fq, &options);
	change = iommucfg_plan_change(f.plan, 0);
	assert_int_equal(iommucfg_change_needs(f.plan, change), IOMMUCFG_DISRUPTION_NONE);
	options.confirm_timeout = 1;
	make_plan(fq, &options);
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 0);
	assert_int_equal(iommucfg_change_needs(f.plan, iommucfg_plan_skipped(f.plan, 0)),
			 IOMMUCFG_DISRUPTION_REBIND);
	assert_int_equal(iommucfg_disruption_parse("pause"), IOMMUCFG_DISRUPTION_PAUSE);
	assert_int_equal(iommucfg_disruption_parse("Pause"), -1);
}

/* Each use has the word that permits it. */
static void test_words(void **state)
{
	static const struct {
		const char *device, *kind, *detail;
		enum iommucfg_word word;
	} uses[] = {
		{ "00:02.0", "mount", "/", IOMMUCFG_WORD_NEVER },
		{ "00:02.0", "mount", "/home over dm-0 (vg-home)", IOMMUCFG_WORD_MOUNTED },
		{ "00:02.0", "swap", "swap", IOMMUCFG_WORD_NEVER },
		{ "00:02.0", "dm", "dm-0 (vg-home)", IOMMUCFG_WORD_BLOCK },
		{ "00:03.0", "net", NULL, IOMMUCFG_WORD_DEFAULT_ROUTE },
		{ "00:1f.2", "mount", "/srv/my data", IOMMUCFG_WORD_MOUNTED },
		{ "06:00.0", "vfio", NULL, IOMMUCFG_WORD_NEVER },
		{ "00:04.0", "vfs", NULL, IOMMUCFG_WORD_NEVER },
	};
	const struct iommucfg_use *use = NULL;
	struct iommucfg_device *device;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
		device = iommucfg_topology_find_device(f.topology, uses[i].device);
		for (k = 0; k < iommucfg_device_num_uses(device); k++) {
			use = iommucfg_device_use(device, k);
			if (!strcmp(iommucfg_use_kind(use), uses[i].kind) &&
			    (!uses[i].detail || !strcmp(iommucfg_use_detail(use), uses[i].detail)))
				break;
		}
		assert_true(k < iommucfg_device_num_uses(device));
		assert_int_equal(iommucfg_use_word(use), uses[i].word);
		assert_int_equal(iommucfg_use_default_route(use), !strcmp(uses[i].kind, "net"));
		if (!strcmp(uses[i].kind, "vfs"))
			assert_string_equal(iommucfg_use_fix(use),
					    "echo 0 >/sys/bus/pci/devices/0000:00:04.0/sriov_numvfs");
		else
			assert_null(iommucfg_use_fix(use));
	}
}

static void test_targets(void **state)
{
	static const struct iommucfg_plan_options none;
	struct iommucfg_target targets[3] = {
		{ iommucfg_topology_find_group(f.topology, 5), IOMMUCFG_TYPE_IDENTITY },
		{ iommucfg_topology_find_group(f.topology, 1), IOMMUCFG_TYPE_AUTO },
		{ iommucfg_topology_find_group(f.topology, 5), IOMMUCFG_TYPE_IDENTITY },
	};

	(void)state;
	assert_int_equal(iommucfg_plan_targets(f.topology, targets, 3, &none, &f.plan), 0);
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 2);
	assert_int_equal(planned(1), IOMMUCFG_TYPE_AUTO);
	assert_int_equal(planned(5), IOMMUCFG_TYPE_IDENTITY);
	iommucfg_plan_unref(f.plan);
	f.plan = NULL;
	targets[2].type = IOMMUCFG_TYPE_DMA;
	assert_int_equal(iommucfg_plan_targets(f.topology, targets, 3, &none, &f.plan), -EINVAL);
	assert_non_null(f.plan);
}

static void test_find(void **state)
{
	(void)state;
	assert_non_null(iommucfg_topology_find_device(f.topology, "01:00.0"));
	assert_non_null(iommucfg_topology_find_device(f.topology, "arm-smmu.0.auto"));
	assert_null(iommucfg_topology_find_device(f.topology, "0000:01:00.9"));
	assert_null(iommucfg_topology_find_group(f.topology, 10));
	assert_int_equal(iommucfg_group_number(iommucfg_topology_find_group(f.topology, 12)), 12);
}

static void test_save(void **state)
{
	size_t rules;
	char *text;

	(void)state;
	assert_int_equal(iommucfg_save(f.topology, &text, &rules, NULL), 0);
	assert_int_equal(rules, 9);
	make_plan(text, NULL);
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 0);
	free(text);
}

static void test_large(void **state)
{
	size_t i, devices = 0, rules;
	char *text;

	(void)state;
	assert_int_equal(iommucfg_topology_num_groups(f.topology), 512);
	for (i = 0; i < 512; i++)
		devices += iommucfg_group_num_devices(iommucfg_topology_group(f.topology, i));
	assert_int_equal(devices, 2048);
	make_plan("rules = (" RULE("a", "driver = \"nvme\";", "DMA", "") ");", NULL);
	/* A third of the groups has it, each has an NVMe disk. */
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 341);
	assert_int_equal(iommucfg_plan_unchanged(f.plan), 171);
	assert_int_equal(iommucfg_problems_at_least(iommucfg_plan_problems(f.plan),
						    IOMMUCFG_REFUSED) > 0, 1);
	assert_int_equal(iommucfg_save(f.topology, &text, &rules, NULL), 0);
	assert_int_equal(rules, 512);
	make_plan(text, NULL);
	assert_int_equal(iommucfg_plan_num_changes(f.plan), 0);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A plan holds what it was made of. */
static void test_order_of_release(void **state)
{
	static const struct iommucfg_plan_options none;
	static const char text[] = "rules = ({ name = \"gpu\"; match = { vendor = 0x10de; }; type = \"identity\"; });";
	struct iommucfg_topology *t;
	struct iommucfg_policy *policy;
	struct iommucfg_plan *plan;
	struct iommucfg *c;

	(void)state;
	assert_int_equal(iommucfg_new(&c, tree("host")), 0);
	assert_int_equal(iommucfg_policy_new(c, &policy), 0);
	assert_int_equal(iommucfg_policy_read_buffer(policy, "text", text, strlen(text), NULL), 0);
	assert_int_equal(iommucfg_topology_scan(c, &t, NULL), 0);
	assert_int_equal(iommucfg_plan_policy(t, policy, &none, &plan), 0);
	iommucfg_unref(c);
	iommucfg_topology_unref(t);
	iommucfg_policy_unref(policy);
	assert_ptr_equal(iommucfg_plan_ref(plan), plan);
	iommucfg_plan_unref(plan);
	assert_int_equal(iommucfg_plan_num_changes(plan), 1);
	assert_string_equal(iommucfg_rule_name(iommucfg_change_rule(iommucfg_plan_change(plan, 0))),
			    "gpu");
	assert_string_equal(iommucfg_device_path(iommucfg_group_device(iommucfg_change_group(
			    iommucfg_plan_change(plan, 0)), 0)), "0000:00:1c.4/00.0");
	iommucfg_plan_unref(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_match), TEST(test_priority), TEST(test_conflict), TEST(test_required),
		TEST(test_default), TEST(test_guards), TEST(test_disruption), TEST(test_words), TEST(test_targets),
		TEST(test_find), TEST(test_save),
		cmocka_unit_test(test_order_of_release),
		cmocka_unit_test_prestate_setup_teardown(test_large, setup, teardown, (char *)"large"),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
