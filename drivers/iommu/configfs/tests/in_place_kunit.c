// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of groups that are switched with their drivers bound: between DMA and
 * DMA-FQ, on kernels that can do so both ways and on those that cannot go back.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/string.h>

#include "../icfg.h"
#include "fake.h"

static void wish(struct fake *fake, struct icfg_txn *txn, const char *type)
{
	struct icfg_staged *group;

	list_for_each_entry(group, &txn->groups, node)
		fake_expect_write(fake, &group->item, "type", type, 0);
}

static void expect_methods(struct fake *fake, struct icfg_txn *txn,
			   const char *word)
{
	struct icfg_staged *group;

	list_for_each_entry(group, &txn->groups, node)
		fake_expect_read(fake, &group->item, "method", word);
}

static void expect_removes(struct fake *fake, int first, int second)
{
	KUNIT_EXPECT_EQ(fake->test, fake->devs[0]->removes, first);
	KUNIT_EXPECT_EQ(fake->test, fake->devs[1]->removes, second);
	KUNIT_EXPECT_TRUE(fake->test, fake_all_bound(fake));
}

/* What keeps a driver from being unbound. */
#define IN_USE	(BIT(FAKE_NET) | BIT(FAKE_BLOCK) | BIT(FAKE_DRIVER))

/* There and back, and nothing that is in use keeps it from that. */
static void there_and_back(struct fake *fake, enum icfg_type from,
			   enum icfg_type to)
{
	struct icfg_txn *txn = fake_staged(fake);
	u64 generation;

	fake_set_type(&fake->groups[0], from);
	fake_set_type(&fake->groups[1], from);
	fake->busy = IN_USE;
	wish(fake, txn, icfg_type_word(to));
	fake_expect_write(fake, fake_dir(txn), "disruption", "none", 0);
	fake_expect_write(fake, fake_dir(txn), "confirm_timeout", FAKE_LONG, 0);
	fake_expect_write(fake, fake_dir(txn), "check", "1", 0);
	expect_methods(fake, txn, "in-place\n");
	generation = icfg_generation();

	/* The confirm timer, */
	fake_commit_unconfirmed(fake, txn);
	fake_expect_status(fake, txn, "in-place\n");
	fake_expect_types(fake, to, to);
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_read(fake, fake_dir(txn), "report", "");
	fake_expect_status(fake, txn, "restored\n");
	expect_methods(fake, txn, "in-place\n");
	fake_expect_types(fake, from, from);
	KUNIT_EXPECT_EQ(fake->test, icfg_generation(), generation + 2);
	fake_txn_end(fake, txn);

	/* and a rollback by hand. */
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], icfg_type_word(to));
	fake_commit(fake, txn);
	fake_expect_types(fake, to, from);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_status(fake, txn, "restored\n");
	expect_methods(fake, txn, "in-place\n");
	fake_expect_types(fake, from, from);
	expect_removes(fake, 0, 0);

	/* VFIO keeps what it has. */
	fake->busy = BIT(FAKE_OWNER);
	fake_txn_end(fake, txn);
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], icfg_type_word(to));
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EBUSY);
	fake->busy = 0;
	fake_txn_end(fake, txn);
}

static void to_fq_and_back(struct kunit *test)
{
	there_and_back(test->priv, ICFG_DMA, ICFG_DMA_FQ);
}

static void from_fq_and_back(struct kunit *test)
{
	there_and_back(test->priv, ICFG_DMA_FQ, ICFG_DMA);
}

/* A commit that fails goes back in place as well. */
static void commit_fails(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_set_type(&fake->groups[0], ICFG_DMA_FQ);
	fake_set_type(&fake->groups[1], ICFG_DMA_FQ);
	wish(fake, txn, "DMA");
	fake->groups[1].gives = ICFG_IDENTITY;
	fake->gives_once = true;
	fake->busy = BIT(FAKE_BLOCK);
	/* The second one cannot go back in place: it is in use. */
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake_expect_state(fake, txn, "failed");
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_IDENTITY);
	expect_removes(fake, 0, 0);

	fake->busy = 0;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA_FQ);
	expect_removes(fake, 0, 1);
	fake_txn_end(fake, txn);
}

/* What went by rebind goes back in place where the types allow it. */
static void only_back(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	if (iommu_default_passthrough())
		kunit_skip(test, "started with iommu.passthrough=1");
	fake_set_type(&fake->groups[0], ICFG_DMA_FQ);
	fake_set_type(&fake->groups[1], ICFG_DMA_FQ);
	wish(fake, txn, "auto");
	fake_commit_unconfirmed(fake, txn);
	expect_methods(fake, txn, "rebind\n");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	expect_removes(fake, 1, 1);

	fake->busy = IN_USE;
	fake_expire(fake, txn);
	fake->busy = 0;
	fake_expect_state(fake, txn, "rolled-back");
	expect_methods(fake, txn, "in-place\n");
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA_FQ);
	expect_removes(fake, 1, 1);
	fake_txn_end(fake, txn);
}

/* A driver that another process unbinds meanwhile is not brought back. */
static void lost_driver(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	wish(fake, txn, "DMA-FQ");
	fake_commit_unconfirmed(fake, txn);
	device_release_driver(&fake->devs[0]->dev);
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_NULL(test, fake->devs[0]->dev.driver);
	KUNIT_EXPECT_NOT_NULL(test, fake->devs[1]->dev.driver);
	KUNIT_EXPECT_NOT_NULL(test,
			      strstr(fake_read(fake, fake_dir(txn), "report"),
				     " restore ENOENT has lost driver "));
	fake_txn_end(fake, txn);
}

/* The kernels whose core only goes one of the two ways in place. */
static void one_way(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake->no_way_back = true;
	wish(fake, txn, "DMA-FQ");
	/* What is not released is not asked whether it is in use. */
	fake->busy = BIT(FAKE_NET) | BIT(FAKE_BLOCK);
	fake_commit(fake, txn);
	fake->busy = 0;
	fake_expect_state(fake, txn, "committed");
	fake_expect_status(fake, txn, "in-place\n");
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA_FQ);
	expect_removes(fake, 0, 0);

	/* The revert releases. */
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	expect_methods(fake, txn, "rebind\n");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	expect_removes(fake, 1, 1);
	fake_txn_end(fake, txn);

	/* A commit whose timer would release asks, although it does not. */
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], "DMA-FQ");
	fake_expect_write(fake, fake_dir(txn), "confirm_timeout", FAKE_LONG, 0);
	fake->busy = BIT(FAKE_BLOCK);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EBUSY);
	fake->busy = 0;
	fake_expect_write(fake, fake_dir(txn), "disruption", "none", 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EOPNOTSUPP);
	fake_txn_end(fake, txn);

	/* From DMA-FQ to DMA it unbinds drivers, which asks the guards. */
	fake_set_type(&fake->groups[0], ICFG_DMA_FQ);
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], "DMA");
	fake->busy = BIT(FAKE_BLOCK);
	fake_expect_write(fake, fake_dir(txn), "check", "1", -EBUSY);
	expect_methods(fake, txn, "rebind\n");
	fake->busy = 0;
	fake_txn_end(fake, txn);
}

static struct kunit_case in_place_cases[] = {
	KUNIT_CASE(to_fq_and_back),
	KUNIT_CASE(from_fq_and_back),
	KUNIT_CASE(commit_fails),
	KUNIT_CASE(only_back),
	KUNIT_CASE(lost_driver),
	KUNIT_CASE(one_way),
	{}
};

static struct kunit_suite in_place_suite = {
	.name		= "iommu-configfs-in-place",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= in_place_cases,
};

kunit_test_suite(in_place_suite);
