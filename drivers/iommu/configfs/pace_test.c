// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of which probes begin first.
 */
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
	struct icfg_txn *txn;

	icfg_pace_note(&fake_driver, 0);
	icfg_pace_note(&fake_other_driver, USEC_PER_SEC);
	if (icfg_pace_of(&fake_driver))
		kunit_skip(test, "the two drivers share a slot");

	txn = fake_txn(fake);
	make_devs(fake, txn);
	fake_commit(fake, txn);
	expect_first(fake, &fake_other_driver);
	/* A fake probe takes no time to speak of. */
	KUNIT_EXPECT_LT(test, icfg_pace_of(&fake_other_driver), USEC_PER_SEC);

	icfg_pace_note(&fake_driver, USEC_PER_SEC);
	icfg_pace_note(&fake_other_driver, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	expect_first(fake, &fake_driver);
	fake_txn_end(fake, txn);
}

/* What no unsigned int holds is long enough all the same, or no time at all. */
static void bounds(struct kunit *test)
{
	icfg_pace_note(&fake_driver, (s64)UINT_MAX + 1);
	KUNIT_EXPECT_EQ(test, icfg_pace_of(&fake_driver), UINT_MAX);
	icfg_pace_note(&fake_driver, -1);
	KUNIT_EXPECT_EQ(test, icfg_pace_of(&fake_driver), 0);
}

static struct kunit_case pace_cases[] = {
	KUNIT_CASE(slow_first),
	KUNIT_CASE(bounds),
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
