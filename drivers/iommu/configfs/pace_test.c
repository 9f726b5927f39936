// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of which probes begin first.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "fake_test.h"
#include "pace.h"

#define DEVS	6

/* Devices of two drivers by turns, each in a group of its own. */
static void make_devs(struct fake *fake, struct icfg_txn *txn)
{
	struct fake_group *group;
	unsigned int i;

	for (i = 0; i < DEVS; i++) {
		group = fake_group_add(fake, ICFG_DMA);
		fake_dev_add(fake, group,
			     i % 2 ? &fake_other_driver : &fake_driver, NULL);
		fake_stage(fake, txn, group, "identity");
	}
}

/* Was each device of @first probed before each of the others? */
static void expect_first(struct fake *fake, const struct device_driver *first)
{
	unsigned int i, j;

	for (i = 0; i < DEVS; i++)
		for (j = 0; j < DEVS; j++)
			if (fake->devs[i]->drv == first &&
			    fake->devs[j]->drv != first)
				KUNIT_EXPECT_LT(fake->test,
						fake->devs[i]->probed,
						fake->devs[j]->probed);
}

static void slow_first(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_txn(fake);

	make_devs(fake, txn);
	fake->slow = &fake_other_driver;
	fake_commit(fake, txn);
	expect_first(fake, &fake_other_driver);

	fake->slow = &fake_driver;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	expect_first(fake, &fake_driver);
	fake_txn_end(fake, txn);
}

/* A commit notes how long its probes took, and no more than an unsigned int holds. */
static void noted(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_txn(fake);

	kunit_deactivate_static_stub(test, icfg_pace_of);
	icfg_pace_note(&fake_driver, -1);
	KUNIT_EXPECT_EQ(test, icfg_pace_of(&fake_driver), 0);
	icfg_pace_note(&fake_other_driver, (s64)UINT_MAX + 1);
	icfg_pace_note(&fake_driver, (s64)UINT_MAX + 1);
	KUNIT_EXPECT_EQ(test, icfg_pace_of(&fake_driver), UINT_MAX);

	make_devs(fake, txn);
	fake_commit(fake, txn);
	KUNIT_EXPECT_NE(test, icfg_pace_of(&fake_driver), UINT_MAX);
	KUNIT_EXPECT_NE(test, icfg_pace_of(&fake_other_driver), UINT_MAX);
	fake_txn_end(fake, txn);
}

static struct kunit_case pace_cases[] = {
	KUNIT_CASE(slow_first),
	KUNIT_CASE(noted),
	{}
};

static struct kunit_suite pace_suite = {
	.name		= "iommu-configfs-pace",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= pace_cases,
};

kunit_test_suite(pace_suite);
