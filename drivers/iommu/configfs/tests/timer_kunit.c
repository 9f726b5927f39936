// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the timer that reverts a commit which was not confirmed.
 * Here it never runs by itself: fake_expire() does what it would do.
 */
#include <kunit/test.h>

#include "fake.h"

/* A timer whose time was set anew finds that it is not due yet. */
static void set_anew(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	u64 deadline;

	fake_commit_unconfirmed(fake, txn);
	deadline = txn->deadline;
	fake_expect_write(fake, fake_dir(txn), "confirm_timeout", "60000", 0);
	KUNIT_EXPECT_GE(test, txn->deadline, deadline + 50000 * HZ);

	KUNIT_ASSERT_TRUE(test, cancel_delayed_work_sync(&txn->timer));
	txn->timer.work.func(&txn->timer.work);
	fake_expect_state(fake, txn, "unconfirmed");
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&txn->timer));
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);

	fake_expect_write(fake, fake_dir(txn), "confirm", "1", 0);
	fake_txn_end(fake, txn);
}

/* Confirmed while the timer was on its way: it has nothing to do. */
static void confirmed_in_time(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_commit_unconfirmed(fake, txn);
	KUNIT_ASSERT_TRUE(test, cancel_delayed_work_sync(&txn->timer));
	fake_expect_write(fake, fake_dir(txn), "confirm", "1", 0);
	txn->timer.work.func(&txn->timer.work);
	fake_expect_state(fake, txn, "committed");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	fake_txn_end(fake, txn);
}

/* The work of an earlier commit's timer, which was on its way when that ended. */
static void timer_comes(struct fake *fake)
{
	config_item_get(&fake->txn->dir.cg_item);
	fake->txn->timer.work.func(&fake->txn->timer.work);
}

/* A commit without confirm_timeout is none of its business. */
static void of_another_commit(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake->txn = txn;
	fake->during = timer_comes;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", 0);
	fake->during = NULL;
	fake_expect_state(fake, txn, "committed");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	fake_txn_end(fake, txn);
}

/* Refused for lack of memory, and while suspended: the timer comes again. */
static void timer_insists(struct kunit *test)
{
	static const enum fake_call reasons[] = {
		FAKE_PM, FAKE_PLAN, FAKE_DEV,
	};
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int i;

	fake_commit_unconfirmed(fake, txn);
	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		fake->busy = BIT(reasons[i]);
		fake_expire(fake, txn);
		fake_expect_state(fake, txn, "unconfirmed");
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 1);
		fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	}
	fake->busy = 0;
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

/* Nobody is there to be refused: it does not ask for the network. */
static void timer_asks_less(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_commit_unconfirmed(fake, txn);
	fake->busy = BIT(FAKE_NET);
	fake_expire(fake, txn);
	fake->busy = 0;
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

/* But what is mounted stays, unless that was allowed. */
static void timer_spares_disks(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int removes;

	fake_commit_unconfirmed(fake, txn);
	removes = fake->devs[0]->removes;
	fake->busy = BIT(FAKE_BLOCK);
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "failed");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_EQ(test, fake->devs[0]->removes, removes);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));

	fake_expect_write(fake, fake_dir(txn), "allow_in_use", "block", 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake->busy = 0;
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/* A group whose type was changed since is left alone, the others not. */
static void timer_passes_over(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_commit_unconfirmed(fake, txn);
	fake->groups[0].type = ICFG_DMA_FQ;
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA);
	KUNIT_EXPECT_NOT_NULL(test,
			      strstr(fake_read(fake, fake_dir(txn), "report"),
				     " restore ESTALE left alone: "));
	fake_txn_end(fake, txn);
}

static struct kunit_case timer_cases[] = {
	KUNIT_CASE(set_anew),
	KUNIT_CASE(confirmed_in_time),
	KUNIT_CASE(of_another_commit),
	KUNIT_CASE(timer_insists),
	KUNIT_CASE(timer_asks_less),
	KUNIT_CASE(timer_spares_disks),
	KUNIT_CASE(timer_passes_over),
	{}
};

static struct kunit_suite timer_suite = {
	.name		= "iommu-configfs-timer",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= timer_cases,
};

kunit_test_suite(timer_suite);
