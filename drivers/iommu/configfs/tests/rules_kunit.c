// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of which standing rule counts for a device.
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../rules/rules.h"

static int bus_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	const char *modalias = dev_get_drvdata(dev);

	/* As PCI does it: not the first, and not the last. */
	return add_uevent_var(env, "MODALIASES=none") ?:
	       (modalias ? add_uevent_var(env, "MODALIAS=%s", modalias) : 0) ?:
	       add_uevent_var(env, "OTHER=1");
}

static const struct bus_type talking_bus = {
	.name	= "standing-test",
	.uevent	= bus_uevent,
};

/* A bus that tells nothing of its devices. */
static const struct bus_type mute_bus = {
	.name	= "standing-mute",
};

struct fixture {
	struct device *dev;
	struct kobj_uevent_env env;
	struct icfg_rule *rules[4];
	unsigned int nr_rules;
};

static void free_device(struct device *dev)
{
	kfree(dev);
}

static int standing_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	f->dev = kzalloc(sizeof(*f->dev), GFP_KERNEL);
	if (!f->dev)
		return -ENOMEM;
	test->priv = f;
	device_initialize(f->dev);
	f->dev->bus = &talking_bus;
	f->dev->release = free_device;
	dev_set_drvdata(f->dev, "test:v0001d0002");
	return dev_set_name(f->dev, "0000:01:00.0");
}

static void standing_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (!f)
		return;
	while (f->nr_rules--) {
		icfg_rule_drop(f->rules[f->nr_rules]);
		icfg_rule_free(f->rules[f->nr_rules]);
	}
	put_device(f->dev);
}

static void set_patterns(struct kunit *test, char ***where, const char *text)
{
	char **split = argv_split(GFP_KERNEL, text, NULL);

	KUNIT_ASSERT_NOT_NULL(test, split);
	argv_free(*where);
	*where = split;
}

/* One more rule, for every device of the bus unless patterns are given. */
static struct icfg_rule *make(struct kunit *test, const char *device,
			      const char *modalias)
{
	struct fixture *f = test->priv;
	struct icfg_rule *rule;

	KUNIT_ASSERT_LT(test, f->nr_rules, ARRAY_SIZE(f->rules));
	rule = icfg_rule_new();
	KUNIT_ASSERT_NOT_NULL(test, rule);
	rule->bus = f->dev->bus;
	rule->type = ICFG_IDENTITY;
	icfg_rule_add(rule);
	f->rules[f->nr_rules++] = rule;
	if (device)
		set_patterns(test, &rule->device, device);
	if (modalias)
		set_patterns(test, &rule->modalias, modalias);
	return rule;
}

static struct icfg_rule *counts(struct kunit *test)
{
	struct fixture *f = test->priv;

	guard(mutex)(&icfg_rules_lock);

	return icfg_rules_match(f->dev, &f->env);
}

static void only_with_a_type(struct kunit *test)
{
	struct icfg_rule *rule = make(test, NULL, NULL);

	KUNIT_EXPECT_TRUE(test, icfg_rules_any());
	KUNIT_EXPECT_PTR_EQ(test, counts(test), rule);
	rule->type = ICFG_NONE;
	KUNIT_EXPECT_NULL(test, counts(test));
	rule->type = ICFG_AUTO;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), rule);
	rule->bus = &mute_bus;
	KUNIT_EXPECT_NULL(test, counts(test));
}

static void pattern_lists(struct kunit *test)
{
	static const struct {
		const char *device;
		const char *modalias;
		bool fits;
	} tries[] = {
		{ "0000:01:00.0", NULL, true },
		{ "0000:01:00", NULL, false },
		{ "0000:0?:*", NULL, true },
		{ "0000:0[2-9]:*", NULL, false },
		{ "none 0000:02:* *.0", NULL, true },
		{ NULL, "test:v0001*", true },
		{ NULL, "test:v0002*", false },
		{ NULL, "x test:v*d0002", true },
		{ NULL, "none", false },
		{ "*.0", "*d0002", true },
		{ "*.1", "*d0002", false },
		{ "*.0", "*d0003", false },
	};
	struct fixture *f = test->priv;
	struct icfg_rule *rule, *selected;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		rule = make(test, tries[i].device, tries[i].modalias);
		selected = tries[i].fits ? rule : NULL;
		KUNIT_EXPECT_PTR_EQ_MSG(test, counts(test), selected, "case %zu", i);
		f->nr_rules--;
		icfg_rule_drop(rule);
		icfg_rule_free(rule);
	}
}

static void no_modalias(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct icfg_rule *rule = make(test, NULL, NULL);

	dev_set_drvdata(f->dev, NULL);
	KUNIT_EXPECT_PTR_EQ(test, counts(test), rule);
	make(test, NULL, "?*")->priority = 1;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), rule);

	f->dev->bus = &mute_bus;
	KUNIT_EXPECT_NULL(test, counts(test));
	rule->bus = &mute_bus;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), rule);
}

static void removable(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct icfg_rule *yes = make(test, NULL, NULL);
	struct icfg_rule *no = make(test, NULL, NULL);

	yes->removable = ICFG_REMOVABLE_YES;
	no->removable = ICFG_REMOVABLE_NO;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), no);
	dev_set_removable(f->dev, DEVICE_FIXED);
	KUNIT_EXPECT_PTR_EQ(test, counts(test), no);
	dev_set_removable(f->dev, DEVICE_REMOVABLE);
	KUNIT_EXPECT_PTR_EQ(test, counts(test), yes);
}

static void order(struct kunit *test)
{
	struct icfg_rule *first = make(test, NULL, NULL);
	struct icfg_rule *second = make(test, NULL, NULL);
	struct icfg_rule *third = make(test, NULL, NULL);

	KUNIT_EXPECT_PTR_EQ(test, counts(test), first);
	second->priority = 1;
	third->priority = 1;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), second);
	third->priority = U32_MAX;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), third);
	third->type = ICFG_NONE;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), second);

	third->type = ICFG_DMA;
	third->priority = 1;
	second->order = 5;
	third->order = 4;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), third);
	third->order = 5;
	KUNIT_EXPECT_PTR_EQ(test, counts(test), second);
}

/* Two devices of a group, and the rule of the first one hangs. */
static void not_waited_for_ever(struct kunit *test)
{
	char who[ICFG_OWNER_NAME];

	KUNIT_EXPECT_EQ(test, icfg_own_for_rule(INT_MAX, who), 0);
	KUNIT_EXPECT_EQ(test, icfg_own_for_rule(INT_MAX, who), -ETIMEDOUT);
	icfg_disown_for_rule(INT_MAX);
	KUNIT_EXPECT_EQ(test, icfg_own_for_rule(INT_MAX, who), 0);
	icfg_disown_for_rule(INT_MAX);
}

static struct kunit_case standing_cases[] = {
	KUNIT_CASE_SLOW(not_waited_for_ever),
	KUNIT_CASE(only_with_a_type),
	KUNIT_CASE(pattern_lists),
	KUNIT_CASE(no_modalias),
	KUNIT_CASE(removable),
	KUNIT_CASE(order),
	{}
};

static struct kunit_suite standing_suite = {
	.name		= "iommu-configfs-standing",
	.init		= standing_init,
	.exit		= standing_exit,
	.test_cases	= standing_cases,
};

kunit_test_suite(standing_suite);
