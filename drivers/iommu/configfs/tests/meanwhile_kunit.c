// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what other processes do to a device between two steps of a commit or
 * rollback: they bind its driver, or another one, or something below it.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/string.h>

#include "../icfg.h"
#include "fake.h"

/**
 * struct event - what another process does
 * @at: right before the step of this number, from 1
 * @what: does it
 */
struct event {
	int at;
	void (*what)(struct fake *fake);
};

static void begins(struct fake *fake)
{
	const struct event *event;

	fake->seen++;
	for (event = fake->data; event->what; event++)
		if (event->at == fake->seen)
			event->what(fake);
}

/* From here on count steps, for a list of events that ends in one without @what. */
static void watch(struct fake *fake, const struct event *events)
{
	fake->seen = 0;
	fake->data = (void *)events;
	fake->begins = begins;
}

/* The driver of the first device is @drv. */
static void give_to(struct fake *fake, struct device_driver *drv)
{
	struct fake_dev *d = fake->devs[0];

	device_release_driver(&d->dev);
	d->drv = drv;
	KUNIT_EXPECT_EQ(fake->test, device_attach(&d->dev), 1);
}

static void take_over(struct fake *fake)
{
	give_to(fake, &fake_other_driver);
}

static void bind_again(struct fake *fake)
{
	KUNIT_EXPECT_EQ(fake->test, device_attach(&fake->devs[0]->dev), 1);
}

static void bind_with_consumer(struct fake *fake)
{
	bind_again(fake);
	fake_link(fake->devs[0], fake->devs[2]);
}

static void breaks(struct fake *fake)
{
	fake->devs[1]->broken = true;
}

static void mends(struct fake *fake)
{
	fake->devs[1]->broken = false;
}

static void expect_reported(struct fake *fake, struct icfg_txn *txn, const char *text)
{
	const char *report = fake_read(fake, fake_dir(txn), "report");

	KUNIT_EXPECT_NOT_NULL_MSG(fake->test, strstr(report, text),
				  "no \"%s\" in:\n%s", text, report);
}

/* What failed is tried again, with the driver back that the first device had. */
static void expect_mended(struct fake *fake, struct icfg_txn *txn)
{
	fake->begins = NULL;
	fake_expect_state(fake, txn, "failed");
	give_to(fake, &fake_driver);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(fake->test, fake_all_bound(fake));
}

/* Steps of a commit of two groups: two releases, two switches, two probes. */

static void taken_before_release(struct kunit *test)
{
	static const struct event events[] = { { 1, take_over }, {} };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	watch(fake, events);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	expect_reported(fake, txn, " release EBUSY got another driver than icfg-fake meanwhile");
	/* It is not ours to take away. */
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

/* In a rollback, by a driver that does not let go. */
static void taken_before_revert(struct kunit *test)
{
	static const struct event events[] = { { 1, take_over }, {} };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_commit(fake, txn);
	watch(fake, events);
	fake_other_driver.suppress_bind_attrs = true;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	fake_other_driver.suppress_bind_attrs = false;
	expect_reported(fake, txn, " restore EBUSY got another driver than icfg-fake meanwhile");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	expect_mended(fake, txn);
	fake_txn_end(fake, txn);
}

static void bound_before_switch(struct kunit *test)
{
	static const struct event events[] = { { 3, bind_again }, {} };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	watch(fake, events);
	fake_commit(fake, txn);
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_EQ(test, fake->devs[0]->removes, 2);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake->begins = NULL;
	fake_txn_end(fake, txn);
}

/* It is too late to find out what else would be unbound. */
static void bound_with_consumer(struct kunit *test)
{
	static const struct event events[] = { { 3, bind_with_consumer }, {} };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	watch(fake, events);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	expect_reported(fake, txn, " switch EBUSY was bound meanwhile, and has consumers by now");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_EQ(test, fake->devs[2]->removes, 0);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/* Somebody who binds it each time. */
static void bind_each_time(struct fake *fake)
{
	if (fake->seen++ < 20 && !fake->devs[0]->dev.driver)
		bind_again(fake);
}

static void bound_again_and_again(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake->during = bind_each_time;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->during = NULL;
	expect_reported(fake, txn,
			" switch EPERM a driver or a user space owner took the group and kept it");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/* After it was bound again, in a group that has its old type. */
static void taken_after_probe(struct kunit *test)
{
	static const struct event events[] = {
		{ 6, take_over }, { 6, breaks }, { 8, mends }, {}
	};
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *first = list_first_entry(&txn->groups, struct icfg_staged, node);

	fake_expect_write(fake, &first->item, "type", "auto", 0);
	watch(fake, events);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	expect_reported(fake, txn,
			" restore EBUSY another driver than icfg-fake was bound meanwhile");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	expect_mended(fake, txn);
	fake_txn_end(fake, txn);
}

/* A group that is to be paused: its pause is the first step. */
static struct icfg_txn *staged_to_pause(struct fake *fake)
{
	struct fake_group *group = fake_group_add(fake, ICFG_DMA);
	struct icfg_txn *txn = fake_txn(fake);

	fake_dev_add(fake, group, &fake_pause_driver, NULL);
	fake_stage(fake, txn, group, "identity");
	return txn;
}

static void taken_before_pause(struct kunit *test)
{
	static const struct event events[] = { { 1, take_over }, {} };
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged_to_pause(fake);

	watch(fake, events);
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	expect_reported(fake, txn,
			" pause EBUSY got another driver than icfg-fake-pause meanwhile");
	KUNIT_EXPECT_EQ(test, fake->groups[0].type, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/* The check looks first; then, with the locks, the step. */
static void grow(struct fake *fake)
{
	if (++fake->seen == 2)
		fake_dev_add(fake, NULL, NULL, fake->devs[0]);
}

static void child_before_pause(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged_to_pause(fake);

	fake->looks = grow;
	fake_commit(fake, txn);
	fake->looks = NULL;
	expect_reported(fake, txn, " pause EBUSY got devices below it meanwhile");
	KUNIT_EXPECT_EQ(test, fake->groups[0].type, ICFG_IDENTITY);
	KUNIT_EXPECT_EQ(test, fake->devs[0]->pauses, 0);
	KUNIT_EXPECT_EQ(test, fake->devs[0]->removes, 1);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/* A resume that does not return. */
static void resume_stuck(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = staged_to_pause(fake);
	int i;

	fake_expect_write(fake, fake_dir(txn), "step_timeout", "2", 0);
	fake_side_by_side(fake);
	fake->stuck = true;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	expect_reported(fake, txn,
			" resume ETIMEDOUT given up on waiting for the driver to be resumed");
	WRITE_ONCE(fake->stuck, false);
	for (i = 0; i < 1000 && !atomic_read(&fake->take_backs); i++)
		msleep(20);
	destroy_workqueue(fake->wq);
	fake->wq = NULL;
	KUNIT_EXPECT_TRUE(test, fake_take_back(fake, txn));
	KUNIT_EXPECT_EQ(test, fake->groups[0].type, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

static struct kunit_case meanwhile_cases[] = {
	KUNIT_CASE(taken_before_release),
	KUNIT_CASE(taken_before_revert),
	KUNIT_CASE(bound_before_switch),
	KUNIT_CASE(bound_with_consumer),
	KUNIT_CASE(bound_again_and_again),
	KUNIT_CASE(taken_after_probe),
	KUNIT_CASE(taken_before_pause),
	KUNIT_CASE(child_before_pause),
	KUNIT_CASE_SLOW(resume_stuck),
	{}
};

static struct kunit_suite meanwhile_suite = {
	.name		= "iommu-configfs-meanwhile",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= meanwhile_cases,
};

kunit_test_suite(meanwhile_suite);
