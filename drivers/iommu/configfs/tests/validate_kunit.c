// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of refusals: what is refused with which errno, and which of two
 * comes first.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "../icfg.h"
#include "../inuse.h"
#include "fake.h"

/* As in the ABI: the first one that applies is the one that is returned. */
static const int rows[] = {
	-ESTALE, -EINVAL, -ENODEV, -EOPNOTSUPP, -EBUSY,
};

static void errnos(struct kunit *test)
{
	struct icfg_plan *plan = kunit_kzalloc(test, sizeof(*plan), GFP_KERNEL);
	int i, j, k;

	KUNIT_ASSERT_NOT_NULL(test, plan);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (j = 0; j < ARRAY_SIZE(rows); j++) {
			for (k = 0; k < ARRAY_SIZE(rows); k++) {
				plan->refusal = 0;
				icfg_refuse_errno(plan, rows[i]);
				icfg_refuse_errno(plan, rows[j]);
				icfg_refuse_errno(plan, rows[k]);
				KUNIT_EXPECT_EQ(test, plan->refusal,
						rows[min3(i, j, k)]);
			}
		}
		/* Without memory it is not known what else is wrong. */
		plan->refusal = 0;
		icfg_refuse_errno(plan, rows[i]);
		icfg_refuse_errno(plan, -ENOMEM);
		icfg_refuse_errno(plan, rows[i]);
		KUNIT_EXPECT_EQ(test, plan->refusal, -ENOMEM);
	}
}

/**
 * struct reason - something to refuse a commit for
 * @ret: with which errno
 * @line: what the report says of it
 * @spoil: make it so, for group @i of the machine, staged as @group; or NULL
 * @busy: the stub that makes it so otherwise
 */
struct reason {
	int ret;
	const char *line;
	void (*spoil)(struct fake *fake, struct icfg_txn *txn,
		      struct icfg_staged *group, int i);
	enum fake_call busy;
};

static void spoil_generation(struct fake *fake, struct icfg_txn *txn,
			     struct icfg_staged *group, int i)
{
	fake_expect_write(fake, fake_dir(txn), "expected_generation",
			  "18446744073709551615", 0);
}

#define SPOIL(name, how)						\
static void spoil_##name(struct fake *fake, struct icfg_txn *txn,	\
			 struct icfg_staged *group, int i)		\
{									\
	how;								\
}

SPOIL(type, group->new = ICFG_NONE)
SPOIL(forced, fake->devs[i]->forced = IOMMU_DOMAIN_DMA)
SPOIL(members, fake_dev_unplug(fake->devs[i]))
SPOIL(identity, fake->devs[i]->ops.identity_domain = NULL)
SPOIL(present, fake->groups[i].type = ICFG_OTHER)
SPOIL(leaving, fake->devs[i]->leaving = true)
/* It was bound by hand, and would not bind again. */
SPOIL(driver, fake->devs[i]->drv = &fake_other_driver)

static void spoil_taken(struct fake *fake, struct icfg_txn *txn,
			struct icfg_staged *group, int i)
{
	struct icfg_txn *other = fake_txn(fake);

	fake_stage(fake, other, &fake->groups[i], "identity");
	/* In place, and waiting to be confirmed. */
	fake_commit_unconfirmed(fake, other);
	fake->groups[i].type = ICFG_DMA;
	fake->txn = other;
}

static const struct reason reasons[] = {
	{ -ESTALE, "- - check ESTALE the generation is ", spoil_generation },
	{ -EINVAL, " check EINVAL no type was written", spoil_type },
	{ -EINVAL, " check EINVAL identity is ruled out: the device needs DMA",
	  spoil_forced },
	{ -ENODEV, " check ENODEV the group has no device", spoil_members },
	{ -EOPNOTSUPP, " check EOPNOTSUPP its IOMMU has no identity domain",
	  spoil_identity },
	{ -EOPNOTSUPP, " check EOPNOTSUPP its present type could not be put",
	  spoil_present },
	{ -EBUSY, " check EBUSY transaction kunit-", spoil_taken },
	{ -EBUSY, " check EBUSY driver icfg-fake would not bind again",
	  spoil_driver },
	{ -EBUSY, " check EBUSY the group is owned by user space",
	  NULL, FAKE_OWNER },
	{ -EBUSY, " check EBUSY the module of its driver is being removed",
	  spoil_leaving },
	{ -EBUSY, " check EBUSY network interface fake0 is up",
	  NULL, FAKE_NET },
	{ -EBUSY, " check EBUSY block device fake1 is mounted",
	  NULL, FAKE_BLOCK },
};

static void spoil(const struct reason *reason, struct fake *fake,
		  struct icfg_txn *txn, struct icfg_staged *group, int i)
{
	if (reason->spoil)
		reason->spoil(fake, txn, group, i);
	else
		fake->busy |= BIT(reason->busy);
}

/*
 * Two reasons, each in a group of its own, as far as it has to do with one: the
 * errno is that of the first row, every problem is in the report, and nothing
 * was touched.
 */
static void refuse(struct kunit *test, const struct reason *first,
		   const struct reason *second)
{
	struct fake *fake = test->priv;
	struct icfg_staged *groups[3];
	const char *report;
	struct icfg_txn *txn;
	u64 generation;
	int i, row = 0, ret, checked;

	for (i = 0; i < 3; i++)
		fake_dev_add(fake, fake_group_add(fake, ICFG_DMA), &fake_driver,
			     NULL);
	txn = fake_txn(fake);
	for (i = 0; i < 3; i++)
		groups[i] = fake_stage(fake, txn, &fake->groups[i], "identity");
	/* While another commit is possible. */
	if (second->spoil == spoil_taken)
		swap(first, second);
	spoil(first, fake, txn, groups[0], 0);
	if (second != first)
		spoil(second, fake, txn, groups[1], 1);
	while (rows[row] != first->ret && rows[row] != second->ret)
		row++;

	fake_fail(fake, 0, 0);
	generation = icfg_generation();
	checked = fake_write(fake_dir(txn), "check", "1");
	ret = fake_write(fake_dir(txn), "commit", "1");
	report = fake_read(fake, fake_dir(txn), "report");
	KUNIT_EXPECT_TRUE_MSG(test, checked == rows[row] && ret == rows[row] &&
			      strstr(report, first->line) &&
			      strstr(report, second->line),
			      "\"%s\", \"%s\": %d, %d, %s", first->line,
			      second->line, checked, ret, report);
	KUNIT_EXPECT_EQ(test, txn->state, ICFG_STAGED);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->modified), 0);
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation);

	fake->busy = 0;
	if (fake->txn) {
		fake_expect_write(fake, fake_dir(fake->txn), "confirm", "1", 0);
		fake_txn_end(fake, fake->txn);
		fake->txn = NULL;
	}
	fake_txn_end(fake, txn);
	fake_clear(fake);
}

static void alone(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		refuse(test, &reasons[i], &reasons[i]);
}

static void pairs(struct kunit *test)
{
	int i, j;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		for (j = 0; j < ARRAY_SIZE(reasons); j++)
			if (i != j)
				refuse(test, &reasons[i], &reasons[j]);
}

static void nothing_staged(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_txn(fake);

	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EINVAL);
	fake_expect_read(fake, fake_dir(txn), "report",
			 "- - check EINVAL nothing is staged\n");
	fake_expect_write(fake, fake_dir(txn), "expected_generation",
			  "18446744073709551615", 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ESTALE);
	fake_txn_end(fake, txn);
}

/* The generation that was read is the one that is expected. */
static void generation(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	char number[24];

	snprintf(number, sizeof(number), "%llu", icfg_generation() + 1);
	fake_expect_write(fake, fake_dir(txn), "expected_generation", number,
			  0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ESTALE);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);

	snprintf(number, sizeof(number), "%llu", icfg_generation());
	fake_expect_write(fake, fake_dir(txn), "expected_generation", number,
			  0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", 0);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	fake_txn_end(fake, txn);
}

/* What may be taken away is not asked about, the rest is. */
static void allowed(struct kunit *test)
{
	static const struct {
		const char *allow;
		int net, block;
	} cases[] = {
		{ "\n", -EBUSY, -EBUSY },
		{ "net", 0, -EBUSY },
		{ "block", -EBUSY, 0 },
		{ "net block", 0, 0 },
	};
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_expect_write(fake, fake_dir(txn), "allow_in_use",
				  cases[i].allow, 0);
		fake->busy = BIT(FAKE_NET);
		fake_expect_write(fake, fake_dir(txn), "check", "1",
				  cases[i].net);
		fake->busy = BIT(FAKE_BLOCK);
		fake_expect_write(fake, fake_dir(txn), "check", "1",
				  cases[i].block);
	}
	/* Nothing overrides these. */
	fake->busy = BIT(FAKE_OWNER);
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EBUSY);
	fake->busy = BIT(FAKE_DRIVER);
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EBUSY);
	fake->busy = 0;
	fake_txn_end(fake, txn);
}

/* Everything that is in use is reported, below one device and below several. */
static void each_use(struct kunit *test)
{
	static const struct class ubi = { .name = "ubi" };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct device *devs[3];
	const char *report;
	char name[16];
	int i;

	kunit_deactivate_static_stub(test, icfg_inuse_below);
	if (class_register(&ubi))
		kunit_skip(test, "there is a class ubi");
	for (i = 0; i < ARRAY_SIZE(devs); i++) {
		devs[i] = device_create(&ubi, &fake->devs[i / 2]->dev, 0, NULL, "kunit-ubi%d", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, devs[i]);
	}
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EBUSY);
	report = fake_read(fake, fake_dir(txn), "report");
	for (i = 0; i < ARRAY_SIZE(devs); i++) {
		snprintf(name, sizeof(name), "kunit-ubi%d ", i);
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(report, name), "%s", report);
		device_unregister(devs[i]);
	}
	class_unregister(&ubi);
	fake_txn_end(fake, txn);
}

/* What is forced decides what "auto" comes to, and who is in the way. */
static void forced(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *first;
	char line[96];

	first = list_first_entry(&txn->groups, struct icfg_staged, node);
	fake->devs[0]->forced = IOMMU_DOMAIN_DMA;
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EINVAL);
	snprintf(line, sizeof(line),
		 "%u %s check EINVAL identity is ruled out: the device needs DMA\n",
		 first->id, dev_name(&fake->devs[0]->dev));
	fake_expect_read(fake, fake_dir(txn), "report", line);
	fake_expect_write(fake, &first->item, "type", "DMA-FQ", 0);
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EINVAL);

	/* It has what it is forced to have: it is not touched. */
	fake_expect_write(fake, &first->item, "type", "auto", 0);
	fake_fail(fake, 0, 0);
	fake_commit(fake, txn);
	fake_expect_read(fake, &first->item, "status", "unchanged\n");
	KUNIT_EXPECT_EQ(test, fake->devs[0]->removes, 0);
	KUNIT_EXPECT_EQ(test, fake->devs[1]->removes, 1);
	fake_txn_end(fake, txn);
}

/* Without a type that is forced, "auto" is what the core says afterwards. */
static void automatic(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *group;

	if (iommu_default_passthrough())
		kunit_skip(test, "started with iommu.passthrough=1");
	list_for_each_entry(group, &txn->groups, node)
		fake_expect_write(fake, &group->item, "type", "auto", 0);
	fake->groups[0].system = ICFG_DMA_FQ;
	fake->groups[1].system = ICFG_DMA;
	fake_commit(fake, txn);
	fake_expect_status(fake, txn, "changed\n");
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA);
	KUNIT_EXPECT_EQ(test, fake->devs[1]->removes, 1);
	fake_txn_end(fake, txn);
}

static struct kunit_case check_cases[] = {
	KUNIT_CASE(errnos),
	KUNIT_CASE(alone),
	KUNIT_CASE(pairs),
	KUNIT_CASE(nothing_staged),
	KUNIT_CASE(generation),
	KUNIT_CASE(allowed),
	KUNIT_CASE(each_use),
	KUNIT_CASE(forced),
	KUNIT_CASE(automatic),
	{}
};

static struct kunit_suite check_suite = {
	.name		= "iommu-configfs-check",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= check_cases,
};

kunit_test_suite(check_suite);
