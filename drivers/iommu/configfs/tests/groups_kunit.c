// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what becomes of the groups of a transaction, apart from its
 * states.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/workqueue.h>

#include "../icfg.h"
#include "fake.h"

static struct icfg_staged *first_group(struct icfg_txn *txn)
{
	return list_first_entry(&txn->groups, struct icfg_staged, node);
}

static void rmdir_first(struct fake *fake)
{
	if (!fake->seen++)
		fake_rmdir(first_group(fake->txn));
}

/* rmdir of a group: it leaves what is staged, and goes out of sight later. */
static void removed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_rmdir(list_last_entry(&txn->groups, struct icfg_staged, node));
	fake_commit_unconfirmed(fake, txn);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_DMA);
	fake_rmdir(first_group(txn));
	KUNIT_EXPECT_TRUE(test, list_is_singular(&txn->groups));
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);

	/* After a commit that was restored it is out of the transaction. */
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], "identity");
	fake_stage(fake, txn, &fake->groups[1], "identity");
	fake->during = rmdir_first;
	fake->txn = txn;
	fake->groups[1].gives = ICFG_DMA;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	KUNIT_EXPECT_NE(test, fake->seen, 0);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&txn->groups));
	KUNIT_EXPECT_PTR_EQ(test, first_group(txn)->group,
			    fake->groups[1].group);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

/* Two transactions, one group: the second one is told of the first. */
static void taken(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *first = fake_staged(fake), *second = fake_txn(fake);
	char expected[96];

	fake_stage(fake, second, &fake->groups[1], "DMA-FQ");
	fake_expect_write(fake, fake_dir(second), "check", "1", 0);

	fake_commit_unconfirmed(fake, first);
	fake_expect_write(fake, fake_dir(second), "check", "1", -EBUSY);
	fake_expect_write(fake, fake_dir(second), "commit", "1", -EBUSY);
	snprintf(expected, sizeof(expected),
		 "%d - check EBUSY transaction %s has this group\n",
		 iommu_group_id(fake->groups[1].group), icfg_txn_name(first));
	fake_expect_read(fake, fake_dir(second), "report", expected);
	fake_expect_state(fake, second, "staged");

	fake_expire(fake, first);
	fake_expect_state(fake, first, "rolled-back");
	fake_commit(fake, second);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA_FQ);
	fake_txn_end(fake, first);
	fake_txn_end(fake, second);
}

/* Another transaction has got a group of one that failed: a rollback leaves that alone. */
static void taken_since(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *first = fake_staged(fake), *second = fake_txn(fake);
	char expected[96];

	fake->devs[0]->broken = true;
	fake->devs[1]->broken = true;
	fake_expect_write(fake, fake_dir(first), "commit", "1", -EIO);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_stage(fake, second, &fake->groups[1], "DMA");
	fake_commit_unconfirmed(fake, second);

	fake->devs[0]->broken = false;
	fake->devs[1]->broken = false;
	fake_expect_write(fake, fake_dir(first), "rollback", "1", -EIO);
	snprintf(expected, sizeof(expected),
		 "%d - check EBUSY transaction %s has this group\n",
		 iommu_group_id(fake->groups[1].group), icfg_txn_name(second));
	fake_expect_read(fake, fake_dir(first), "report", expected);
	fake_expect_state(fake, first, "failed");
	KUNIT_EXPECT_NOT_NULL(test, fake->devs[0]->dev.driver);
	KUNIT_EXPECT_NULL(test, fake->devs[1]->dev.driver);

	/* What was restored is for another transaction, too. */
	fake_expect_write(fake, fake_dir(second), "confirm", "1", 0);
	fake_expect_write(fake, fake_dir(first), "rollback", "1", 0);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, first);
	fake_txn_end(fake, second);
}

/* The same where it was bound by hand: its consumer, which is, stays bound as well. */
static void bound_and_taken(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *first = fake_staged(fake), *second = fake_txn(fake);

	fake_link(fake->devs[1], fake->devs[0]);
	fake->devs[1]->broken = true;
	fake_expect_write(fake, fake_dir(first), "commit", "1", -EIO);
	fake->devs[1]->broken = false;
	KUNIT_EXPECT_EQ(test, device_attach(&fake->devs[1]->dev), 1);
	KUNIT_EXPECT_EQ(test, device_attach(&fake->devs[0]->dev), 1);
	fake_stage(fake, second, &fake->groups[1], "DMA");
	fake_commit_unconfirmed(fake, second);

	fake_expect_write(fake, fake_dir(first), "rollback", "1", -EIO);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_expect_write(fake, fake_dir(second), "confirm", "1", 0);
	fake_expect_write(fake, fake_dir(first), "rollback", "1", 0);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, first);
	fake_txn_end(fake, second);
}

static void run_take_backs(struct fake *fake, struct icfg_txn *txn)
{
	while (fake_take_back(fake, txn))
		;
}

/* What hung returns, and its group is taken back. */
static void take_back(struct fake *fake, struct icfg_txn *txn)
{
	fake_let_go(fake);
	run_take_backs(fake, txn);
	KUNIT_EXPECT_TRUE(fake->test, fake_all_bound(fake));
}

/* From now on, let the @first and the @second step hang; 0: none. */
static void let_hang(struct fake *fake, int first, int second)
{
	fake->never = ~BIT(FAKE_HANG);
	fake_fail(fake, first, second);
}

/* Another transaction that would have nothing to do in a group, for its check. */
static struct icfg_txn *other_txn(struct fake *fake, struct fake_group *group)
{
	struct icfg_txn *txn = fake_txn(fake);

	fake_stage(fake, txn, group, "DMA");
	return txn;
}

static void roll_back_rest(struct fake *fake, struct icfg_txn *txn)
{
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_txn_end(fake, txn);
}

/* Another process changes the type of a group whose step hangs: the type stays. */
static void changed_since(struct kunit *test, bool roll_back)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	char expected[128];

	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake_set_type(&fake->groups[0], ICFG_DMA_FQ);
	if (roll_back)
		fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	take_back(fake, txn);
	snprintf(expected, sizeof(expected),
		 "\n%d - restore ESTALE left alone: another process changed the type from DMA to DMA-FQ\n",
		 iommu_group_id(fake->groups[0].group));
	KUNIT_EXPECT_NOT_NULL(test, strstr(fake_read(fake, fake_dir(txn), "report"),
					   expected));
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA);
	roll_back_rest(fake, txn);
	fake_expect_types(fake, ICFG_DMA_FQ, ICFG_DMA);
}

static void changed_since_commit(struct kunit *test)
{
	changed_since(test, false);
}

static void changed_since_rollback(struct kunit *test)
{
	changed_since(test, true);
}

/* A take-back that runs beside the commit. */
struct beside {
	struct work_struct work;
	struct workqueue_struct *wq;
	struct completion done;
	struct icfg_txn *txn;
	struct kunit *test;
};

static void take_back_beside(struct work_struct *work)
{
	struct beside *beside = container_of(work, struct beside, work);
	struct work_struct *take_back = &beside->txn->take_back.work;

	current->kunit_test = beside->test;
	take_back->func(take_back);
	current->kunit_test = NULL;
	complete(&beside->done);
}

/* What hung returns now, and its take-back has run, or waits, before the commit goes on. */
static void queue_beside(struct icfg_txn *txn, unsigned long delay)
{
	struct kunit *test = kunit_get_current_test();
	struct fake *fake = test->priv;
	struct beside *beside = fake->data;

	if (beside->txn)
		return;
	beside->txn = txn;
	fake_let_go(fake);
	config_item_get(fake_dir(txn));
	queue_work(beside->wq, &beside->work);
	wait_for_completion_timeout(&beside->done, HZ / 5);
}

/* What hung returns in the last moment of the commit, and is taken back all the same. */
static void returned_at_the_end(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct beside beside = { .test = test };

	INIT_WORK_ONSTACK(&beside.work, take_back_beside);
	init_completion(&beside.done);
	beside.wq = alloc_workqueue("icfg-beside", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(test, beside.wq);
	fake->data = &beside;
	kunit_activate_static_stub(test, icfg_txn_queue_take_back, queue_beside);
	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	destroy_workqueue(beside.wq);
	destroy_work_on_stack(&beside.work);
	fake->data = NULL;

	KUNIT_EXPECT_TRUE(test, list_empty(&txn->waiting));
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	roll_back_rest(fake, txn);
}

/*
 * A switch back hangs, and another process binds the unbound devices meanwhile. They
 * are unbound once more.
 */
static void bound_since(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct fake_dev *consumer;

	consumer = fake_dev_add(fake, NULL, &fake_other_driver, NULL);
	fake_link(fake->devs[0], consumer);
	fake->groups[1].gives = ICFG_DMA;
	/* Three drivers are released, two groups switched. */
	let_hang(fake, 6, 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_DMA);
	KUNIT_EXPECT_EQ(test, device_attach(&fake->devs[0]->dev), 1);
	KUNIT_EXPECT_EQ(test, device_attach(&consumer->dev), 1);
	take_back(fake, txn);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	roll_back_rest(fake, txn);
}

/*
 * A group that the commit has restored but for a driver hangs in the rollback: the
 * take-back of the commit's own group does not give it up.
 */
static void waited_for_again(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_txn *other = other_txn(fake, &fake->groups[1]);

	fake->devs[1]->broken = true;
	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake->devs[1]->broken = false;
	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);

	fake_let_one_go(fake);
	run_take_backs(fake, txn);
	fake_expect_write(fake, fake_dir(other), "check", "1", -EBUSY);
	take_back(fake, txn);
	fake_expect_write(fake, fake_dir(other), "check", "1", 0);
	roll_back_rest(fake, txn);
	fake_txn_end(fake, other);
}

/* A rollback that is refused has no more groups than the transaction had before. */
static void refused_while_waiting(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_txn *hangs = other_txn(fake, &fake->groups[0]);
	struct icfg_txn *restored = other_txn(fake, &fake->groups[1]);

	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake->never = ~BIT(FAKE_DEV);
	fake_fail(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -ENOMEM);
	fake_expect_state(fake, txn, "failed");
	let_hang(fake, 0, 0);
	fake_expect_write(fake, fake_dir(hangs), "check", "1", -EBUSY);
	fake_expect_write(fake, fake_dir(restored), "check", "1", 0);
	take_back(fake, txn);
	fake_expect_write(fake, fake_dir(hangs), "check", "1", 0);
	roll_back_rest(fake, txn);
	fake_txn_end(fake, hangs);
	fake_txn_end(fake, restored);
}

/*
 * What hung has returned, but its device is locked now. What depends on that waits
 * for nothing that would take it back.
 */
static void locked_since(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_link(fake->devs[1], fake->devs[0]);
	fake_commit(fake, txn);
	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);

	device_lock(&fake->devs[0]->dev);
	take_back(fake, txn);
	device_unlock(&fake->devs[0]->dev);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_TRUE(test, list_empty(&txn->waiting));
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	take_back(fake, txn);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

/*
 * One device of a group comes into use at its release, another one hangs. The
 * take-back asks again, and does not say that the group is restored before it is.
 */
static void in_use_then(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_dev_add(fake, &fake->groups[0], &fake_driver, NULL);
	fake_commit_unconfirmed(fake, txn);
	/* Three are looked at; the first release hangs, the second asks again. */
	fake->never = ~(BIT(FAKE_HANG) | BIT(FAKE_BLOCK));
	fake_fail(fake, 4, 6);
	fake_expire(fake, txn);
	KUNIT_ASSERT_EQ(test, atomic_read(&fake->failed), 2);
	fake_expect_state(fake, txn, "failed");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_DMA);

	let_hang(fake, 0, 0);
	take_back(fake, txn);
	KUNIT_EXPECT_EQ(test, first_group(txn)->status, ICFG_S_RESTORED);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	roll_back_rest(fake, txn);
}

/*
 * A group that failed is between two that hang, by links that were made since. It is
 * not restored by what the take-back does to the others.
 */
static void failed_between(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *failed = list_last_entry(&txn->groups,
						     struct icfg_staged, node);

	fake_stage(fake, txn, &fake->groups[2], "identity");
	fake_dev_add(fake, &fake->groups[1], &fake_driver, NULL);
	fake_commit(fake, txn);
	fake->devs[3]->broken = true;
	let_hang(fake, 1, 4);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	KUNIT_ASSERT_EQ(test, atomic_read(&fake->hangs), 2);
	KUNIT_EXPECT_EQ(test, failed->status, ICFG_S_FAILED);
	fake_link(fake->devs[0], fake->devs[1]);
	fake_link(fake->devs[1], fake->devs[2]);

	fake_let_one_go(fake);
	run_take_backs(fake, txn);
	KUNIT_EXPECT_PTR_EQ(test, fake->devs[1]->dev.driver, &fake_driver);
	KUNIT_EXPECT_EQ(test, fake->groups[0].type, ICFG_IDENTITY);
	fake_let_go(fake);
	run_take_backs(fake, txn);
	KUNIT_EXPECT_EQ(test, failed->status, ICFG_S_FAILED);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_PTR_EQ(test, fake->devs[1]->dev.driver, &fake_driver);

	fake->devs[3]->broken = false;
	roll_back_rest(fake, txn);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
}

/*
 * A device of a group that failed hangs when it is unbound with a supplier. The group is
 * the transaction's as long as that lasts, and has failed after it as well.
 */
static void failed_hangs(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_txn *other = other_txn(fake, &fake->groups[1]);
	struct icfg_staged *failed = list_last_entry(&txn->groups,
						     struct icfg_staged, node);

	fake_dev_add(fake, &fake->groups[1], &fake_driver, NULL);
	fake_commit(fake, txn);
	fake->devs[3]->broken = true;
	let_hang(fake, 1, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	KUNIT_EXPECT_EQ(test, failed->status, ICFG_S_FAILED);
	fake_expect_write(fake, fake_dir(other), "check", "1", 0);

	fake_link(fake->devs[0], fake->devs[1]);
	let_hang(fake, 1, 0);
	fake_let_one_go(fake);
	run_take_backs(fake, txn);
	KUNIT_ASSERT_EQ(test, atomic_read(&fake->hangs), 1);
	fake_expect_write(fake, fake_dir(other), "check", "1", -EBUSY);

	let_hang(fake, 0, 0);
	fake_let_go(fake);
	run_take_backs(fake, txn);
	KUNIT_EXPECT_EQ(test, failed->status, ICFG_S_FAILED);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_PTR_EQ(test, fake->devs[1]->dev.driver, &fake_driver);
	fake_expect_write(fake, fake_dir(other), "check", "1", 0);

	fake->devs[3]->broken = false;
	roll_back_rest(fake, txn);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, other);
}

/*
 * Device links in a chain over three groups of one device each: device 0 is a consumer of
 * device 1, and device 1 is a consumer of device 2. One step hangs: the remove of device 0
 * in the rollback, or the probe of device 2. The other two groups wait for it and are in the
 * report. They are restored when that step has returned.
 */
static void chain_hangs(struct kunit *test, int step, bool released)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *group;
	const char *report;
	int i;

	fake_stage(fake, txn, &fake->groups[2], "identity");
	fake_link(fake->devs[2], fake->devs[1]);
	fake_link(fake->devs[1], fake->devs[0]);
	fake_commit(fake, txn);
	let_hang(fake, step, 0);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	KUNIT_ASSERT_EQ(test, atomic_read(&fake->hangs), 1);
	report = fake_read(fake, fake_dir(txn), "report");
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_NOT_NULL(test, strstr(report, dev_name(&fake->devs[i]->dev)));
		KUNIT_EXPECT_EQ(test, fake->devs[i]->removes, 1 + released);
	}
	KUNIT_EXPECT_NULL(test, strstr(report, "EPROBE_DEFER"));
	list_for_each_entry(group, &txn->groups, node)
		KUNIT_EXPECT_EQ(test, group->status, ICFG_S_FAILED);

	take_back(fake, txn);
	list_for_each_entry(group, &txn->groups, node)
		KUNIT_EXPECT_EQ(test, group->status, ICFG_S_RESTORED);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, fake->groups[i].type, ICFG_DMA);
	roll_back_rest(fake, txn);
}

static void chain_hangs_in_release(struct kunit *test)
{
	chain_hangs(test, 1, false);
}

/* Three releases and three switches go before the probe of the supplier. */
static void chain_hangs_in_probe(struct kunit *test)
{
	chain_hangs(test, 7, true);
}

static void has_it_already(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	u64 generation = icfg_generation();
	struct icfg_staged *group;

	list_for_each_entry(group, &txn->groups, node)
		KUNIT_EXPECT_EQ(test, fake_write(&group->item, "type", "DMA"),
				0);
	fake_commit(fake, txn);
	fake_expect_state(fake, txn, "committed");
	fake_expect_status(fake, txn, "unchanged\n");
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->modified), 3);
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation);

	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_status(fake, txn, "unchanged\n");
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation);
	fake_txn_end(fake, txn);
}

/* The name of a driver is never cut, and a blank in it does not end the word. */
static void driver_names(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *group = first_group(txn);
	struct device *dev = &fake->devs[0]->dev;
	struct device_driver *drv = dev->driver, named = *drv;
	char *name = kunit_kzalloc(test, ICFG_TEXT_MAX, GFP_KERNEL);
	char *expected = kunit_kzalloc(test, ICFG_TEXT_MAX, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, name);
	KUNIT_ASSERT_NOT_NULL(test, expected);
	named.name = name;
	WRITE_ONCE(dev->driver, &named);

	memcpy(name, "a b", 3);
	memset(name + 3, 'c', 400);
	snprintf(expected, ICFG_TEXT_MAX, "%s %s a\\040b%s any\n",
		 dev_bus_name(dev), dev_name(dev), name + 3);
	fake_expect_read(fake, &group->item, "devices", expected);

	/* One that does not fit is counted. */
	memset(name, ' ', ICFG_TEXT_MAX / 4);
	fake_expect_read(fake, &group->item, "devices",
			 "... 1 more devices left out\n");

	WRITE_ONCE(dev->driver, drv);
	fake_txn_end(fake, txn);
}

static struct kunit_case groups_cases[] = {
	KUNIT_CASE(driver_names),
	KUNIT_CASE(removed),
	KUNIT_CASE(taken),
	KUNIT_CASE(taken_since),
	KUNIT_CASE(bound_and_taken),
	KUNIT_CASE_SLOW(changed_since_commit),
	KUNIT_CASE_SLOW(changed_since_rollback),
	KUNIT_CASE_SLOW(returned_at_the_end),
	KUNIT_CASE_SLOW(bound_since),
	KUNIT_CASE_SLOW(waited_for_again),
	KUNIT_CASE_SLOW(refused_while_waiting),
	KUNIT_CASE_SLOW(locked_since),
	KUNIT_CASE_SLOW(in_use_then),
	KUNIT_CASE_SLOW(failed_between),
	KUNIT_CASE_SLOW(failed_hangs),
	KUNIT_CASE_SLOW(chain_hangs_in_release),
	KUNIT_CASE_SLOW(chain_hangs_in_probe),
	KUNIT_CASE(has_it_already),
	{}
};

static struct kunit_suite groups_suite = {
	.name		= "iommu-configfs-groups",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= groups_cases,
};

kunit_test_suite(groups_suite);
