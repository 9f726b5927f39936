// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of groups that are switched with their drivers paused: nothing is
 * unbound, or the group is rebound where that is allowed, or nothing comes of it.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "../icfg.h"
#include "fake.h"

/* What keeps a driver from being unbound. */
#define IN_USE	(BIT(FAKE_NET) | BIT(FAKE_BLOCK) | BIT(FAKE_DRIVER))

/* A group of two devices, one below the other, that is to go from DMA to identity. */
static struct icfg_txn *staged(struct fake *fake, const char *disruption)
{
	struct fake_group *group = fake_group_add(fake, ICFG_DMA);
	struct icfg_txn *txn = fake_txn(fake);
	struct fake_dev *parent;

	parent = fake_dev_add(fake, group, &fake_pause_driver, NULL);
	fake_dev_add(fake, group, &fake_pause_driver, parent);
	fake_stage(fake, txn, group, "identity");
	fake_expect_write(fake, fake_dir(txn), "disruption", disruption, 0);
	fake_fail(fake, 0, 0);
	return txn;
}

static void expect_method(struct fake *fake, struct icfg_txn *txn,
			  const char *word)
{
	struct icfg_staged *group;

	list_for_each_entry(group, &txn->groups, node)
		fake_expect_read(fake, &group->item, "method", word);
}

/* The type of the group, and how often each driver was paused and unbound. */
static void expect(struct fake *fake, enum icfg_type type, int pauses,
		   int removes)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(fake->test, fake->groups[0].type, type);
	for (i = 0; i < fake->nr_devs; i++) {
		KUNIT_EXPECT_EQ(fake->test, fake->devs[i]->pauses, pauses);
		KUNIT_EXPECT_EQ(fake->test, fake->devs[i]->removes, removes);
	}
	KUNIT_EXPECT_TRUE(fake->test, fake_all_bound(fake));
	KUNIT_EXPECT_TRUE(fake->test, fake_all_set_up(fake));
}

static void expect_reported(struct fake *fake, struct icfg_txn *txn,
			    const char *text)
{
	const char *report = fake_read(fake, fake_dir(txn), "report");

	KUNIT_EXPECT_NOT_NULL_MSG(fake->test, strstr(report, text),
				  "no \"%s\" in:\n%s", text, report);
}

/* There and back, and nothing that is in use keeps it from that. */
static void there_and_back(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "pause");

	fake->busy = IN_USE;
	fake_expect_write(fake, fake_dir(txn), "check", "1", 0);
	expect_method(fake, txn, "pause\n");
	fake_commit(fake, txn);
	expect_method(fake, txn, "pause\n");
	fake_expect_status(fake, txn, "changed\n");
	expect(fake, ICFG_IDENTITY, 1, 0);

	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	expect_method(fake, txn, "pause\n");
	fake_expect_status(fake, txn, "restored\n");
	expect(fake, ICFG_DMA, 2, 0);
	fake->busy = 0;
	fake_txn_end(fake, txn);
}

/* What is mapped is reported, and nothing is unbound where that is ruled out. */
static void mapped(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "pause");

	fake->busy = BIT(FAKE_MAPPED);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->busy = 0;
	expect_method(fake, txn, "rebind\n");
	expect_reported(fake, txn, " pause EBUSY ");
	expect_reported(fake, txn, " 3 mappings left");
	expect_reported(fake, txn, dev_name(&fake->devs[0]->dev));
	expect_reported(fake, txn, dev_name(&fake->devs[1]->dev));
	expect(fake, ICFG_DMA, 1, 0);
	fake_txn_end(fake, txn);
}

/* Where it is not ruled out the group is rebound; and from identity never paused. */
static void falls_back(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "rebind");

	fake->busy = BIT(FAKE_MAPPED);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", 0);
	fake->busy = 0;
	expect_method(fake, txn, "rebind\n");
	expect_reported(fake, txn, " pause EBUSY ");
	expect(fake, ICFG_IDENTITY, 1, 1);

	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	expect_method(fake, txn, "rebind\n");
	expect(fake, ICFG_DMA, 1, 2);
	fake_txn_end(fake, txn);
}

/* A group that is in use is not rebound. */
static void in_use(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "rebind");

	fake->busy = BIT(FAKE_MAPPED) | BIT(FAKE_BLOCK);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->busy = 0;
	expect_reported(fake, txn, " pause EBUSY ");
	expect_reported(fake, txn, " release EBUSY block device ");
	expect(fake, ICFG_DMA, 1, 0);
	fake_txn_end(fake, txn);
}

/* A driver that fails to resume is unbound; the revert probes its device again. */
static void not_resumed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "pause");

	fake->busy = BIT(FAKE_RESUME);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->busy = 0;
	expect_reported(fake, txn, " resume EIO ");
	expect(fake, ICFG_DMA, 1, 1);
	fake_txn_end(fake, txn);
}

/* Another process that works on the group is waited for, with drivers paused... */
static void held_for_a_moment(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "pause");

	fake->held = 3;
	fake_commit(fake, txn);
	KUNIT_EXPECT_EQ(test, fake->held, 0);
	fake_expect_status(fake, txn, "changed\n");
	expect(fake, ICFG_IDENTITY, 1, 0);
	fake_txn_end(fake, txn);
}

/* ... and not for long. */
static void held(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "pause");

	fake->held = UINT_MAX;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->held = 0;
	expect_reported(fake, txn, " pause EBUSY another process works on the group");
	expect(fake, ICFG_DMA, 1, 0);
	fake_txn_end(fake, txn);
}

/* More devices than locks that one thread can hold. */
static void too_many(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged(fake, "rebind");

	while (fake->nr_devs < 33)
		fake_dev_add(fake, &fake->groups[0], &fake_pause_driver, NULL);
	fake_commit(fake, txn);
	expect_reported(fake, txn, " pause E2BIG it has more than 32 devices to keep still");
	expect(fake, ICFG_IDENTITY, 0, 1);
	fake_txn_end(fake, txn);
}

static struct kunit_case pause_cases[] = {
	KUNIT_CASE(there_and_back),
	KUNIT_CASE(mapped),
	KUNIT_CASE(falls_back),
	KUNIT_CASE(in_use),
	KUNIT_CASE(not_resumed),
	KUNIT_CASE(held_for_a_moment),
	KUNIT_CASE(held),
	KUNIT_CASE(too_many),
	{}
};

static struct kunit_suite pause_suite = {
	.name		= "iommu-configfs-pause",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= pause_cases,
};

kunit_test_suite(pause_suite);
