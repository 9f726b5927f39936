// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the state machine: each way from one state to another, and in
 * each state everything that is refused there, with its errno.
 */
#include <kunit/test.h>
#include <linux/cred.h>

#include "../icfg.h"
#include "fake.h"

/* A commit that fails, and cannot bring everything back. */
static void commit_failed(struct fake *fake, struct icfg_txn *txn)
{
	fake->devs[1]->broken = true;
	KUNIT_ASSERT_EQ(fake->test, fake_write(fake_dir(txn), "commit", "1"),
			-EIO);
	KUNIT_ASSERT_EQ(fake->test, txn->state, ICFG_FAILED);
}

static struct icfg_staged *first_group(struct icfg_txn *txn)
{
	return list_first_entry(&txn->groups, struct icfg_staged, node);
}

/* Everything that one can write to a transaction, with what comes of it. */
struct answers {
	int check, commit, confirm, rollback;
	int type, mkdir, generation, allow, timeout, no_timeout;
};

/* 1: not tried here, because it would be done. */
#define DOES	1

static void expect_write(struct fake *fake, struct config_item *item,
			 const char *file, const char *text, int ret)
{
	if (ret == DOES)
		return;
	KUNIT_EXPECT_EQ_MSG(fake->test, fake_write(item, file, text), ret,
			    "\"%s\" to %s", text, file);
}

/* Take a file's capabilities away while it is written to. */
static int write_unprivileged(struct config_item *item, const char *file,
			      const char *text, kernel_cap_t keep)
{
	const struct cred *old;
	struct cred *cred = prepare_creds();
	int ret;

	if (!cred)
		return -ENOMEM;
	cred->cap_effective = cap_intersect(cred->cap_effective, keep);
	old = override_creds(cred);
	ret = fake_write(item, file, text);
	put_cred(revert_creds(old));
	return ret;
}

static void expect_answers(struct fake *fake, struct icfg_txn *txn,
			   const struct answers *answers)
{
	enum icfg_state state = txn->state;
	struct config_item *dir = fake_dir(txn), *item;
	const char *report = fake_read(fake, dir, "report");
	int depends = atomic_read(&fake->depends);
	int touched = atomic_read(&fake->modified);
	char name[12];

	expect_write(fake, dir, "check", "1", answers->check);
	expect_write(fake, dir, "commit", "1", answers->commit);
	expect_write(fake, dir, "confirm", "1\n", answers->confirm);
	expect_write(fake, dir, "rollback", "1", answers->rollback);
	expect_write(fake, dir, "expected_generation", "0",
		     answers->generation);
	expect_write(fake, dir, "allow_in_use", "\n", answers->allow);
	expect_write(fake, dir, "confirm_timeout", FAKE_LONG, answers->timeout);
	expect_write(fake, dir, "confirm_timeout", "0", answers->no_timeout);
	expect_write(fake, &first_group(txn)->item, "type", "identity",
		     answers->type);

	snprintf(name, sizeof(name), "%d",
		 iommu_group_id(fake->groups[2].group));
	item = fake_mkdir(txn, name);
	if (answers->mkdir) {
		KUNIT_EXPECT_PTR_EQ(fake->test, item, ERR_PTR(answers->mkdir));
	} else {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(fake->test, item);
		fake_rmdir(container_of(item, struct icfg_staged, item));
	}
	/* What comes before the state: the name, and after it: the group. */
	KUNIT_EXPECT_PTR_EQ(fake->test, fake_mkdir(txn, "05"),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(fake->test, fake_mkdir(txn, "4294967295"),
			    ERR_PTR(answers->mkdir ?: -ENOENT));

	/* No word, in any state, without the capabilities. */
	expect_write(fake, dir, "check", "2", -EINVAL);
	expect_write(fake, dir, "commit", "", -EINVAL);
	expect_write(fake, dir, "confirm", "yes", -EINVAL);
	expect_write(fake, dir, "rollback", "1 ", -EINVAL);
	expect_write(fake, dir, "expected_generation", "-1", -EINVAL);
	expect_write(fake, dir, "allow_in_use", "disk", -EINVAL);
	expect_write(fake, dir, "confirm_timeout", "604801", -EINVAL);
	expect_write(fake, &first_group(txn)->item, "type", "none", -EINVAL);

	/* None of that changed anything. */
	KUNIT_EXPECT_EQ(fake->test, txn->state, state);
	if (answers->check)
		KUNIT_EXPECT_STREQ(fake->test, fake_read(fake, dir, "report"),
				   report);
	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->depends), depends);
	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->modified), touched);
}

static const struct answers in_staged = {
	.check = 0, .commit = DOES, .confirm = -EBUSY, .rollback = -EBUSY,
	.type = 0, .mkdir = 0, .generation = 0, .allow = 0, .timeout = 0,
	.no_timeout = 0,
};

static const struct answers in_committed = {
	.check = -EBUSY, .commit = -EBUSY, .confirm = -EBUSY, .rollback = DOES,
	.type = -EBUSY, .mkdir = -EBUSY, .generation = -EBUSY, .allow = 0,
	.timeout = -EBUSY, .no_timeout = -EBUSY,
};

static const struct answers in_unconfirmed = {
	.check = -EBUSY, .commit = -EBUSY, .confirm = DOES, .rollback = DOES,
	.type = -EBUSY, .mkdir = -EBUSY, .generation = -EBUSY, .allow = 0,
	.timeout = 0, .no_timeout = -EBUSY,
};

static const struct answers in_failed = {
	.check = -EBUSY, .commit = -EBUSY, .confirm = -EBUSY, .rollback = DOES,
	.type = -EBUSY, .mkdir = -EBUSY, .generation = -EBUSY, .allow = 0,
	.timeout = -EBUSY, .no_timeout = -EBUSY,
};

/* Committing, rolling back, and rolled back: nothing at all. */
static const struct answers in_none = {
	.check = -EBUSY, .commit = -EBUSY, .confirm = -EBUSY,
	.rollback = -EBUSY, .type = -EBUSY, .mkdir = -EBUSY,
	.generation = -EBUSY, .allow = -EBUSY, .timeout = -EBUSY,
	.no_timeout = -EBUSY,
};

static void while_staged(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_expect_state(fake, txn, "staged");
	fake_expect_status(fake, txn, "staged\n");
	fake_expect_read(fake, &first_group(txn)->item, "type", "identity\n");
	expect_answers(fake, txn, &in_staged);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

static void committed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	u64 generation = icfg_generation();

	fake_commit(fake, txn);
	fake_expect_state(fake, txn, "committed");
	fake_expect_status(fake, txn, "changed\n");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	KUNIT_EXPECT_EQ(test, fake->devs[0]->removes, 1);
	KUNIT_EXPECT_EQ(test, fake->devs[2]->removes, 0);
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation + 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 0);
	fake_expect_read(fake, fake_dir(txn), "progress", "4 4\n");
	fake_expect_read(fake, fake_dir(txn), "report", "");
	expect_answers(fake, txn, &in_committed);

	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_status(fake, txn, "restored\n");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation + 2);
	expect_answers(fake, txn, &in_none);
	fake_txn_end(fake, txn);
}

static void confirmed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int pins = fake_pins();

	fake_commit_unconfirmed(fake, txn);
	fake_expect_state(fake, txn, "unconfirmed");
	fake_expect_status(fake, txn, "changed\n");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 1);
	expect_answers(fake, txn, &in_unconfirmed);

	fake_expect_write(fake, fake_dir(txn), "confirm", "1", 0);
	fake_expect_state(fake, txn, "committed");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&txn->timer));
	KUNIT_EXPECT_EQ(test, fake_pins(), pins);
	expect_answers(fake, txn, &in_committed);

	/* A committed transaction is still one that can be undone. */
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	fake_txn_end(fake, txn);
}

static void timed_out(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int pins = fake_pins();

	fake_commit_unconfirmed(fake, txn);
	fake_expire(fake, txn);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_status(fake, txn, "restored\n");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&txn->timer));
	KUNIT_EXPECT_EQ(test, fake_pins(), pins);
	expect_answers(fake, txn, &in_none);
	fake_txn_end(fake, txn);
}

static void unconfirmed_rolled_back(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake_commit_unconfirmed(fake, txn);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_state(fake, txn, "rolled-back");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&txn->timer));
	expect_answers(fake, txn, &in_none);
	fake_txn_end(fake, txn);
}

/* Tried, and everything is as before: it can be tried again. */
static void canceled(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	u64 generation = icfg_generation();

	fake->groups[1].gives = ICFG_DMA;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->groups[1].gives = ICFG_NONE;
	fake_expect_state(fake, txn, "staged");
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	KUNIT_EXPECT_EQ(test, icfg_generation(), generation + 1);
	fake_expect_read(fake, &first_group(txn)->item, "status",
			 "restored\n");
	KUNIT_EXPECT_NOT_NULL(test,
			      strstr(fake_read(fake, fake_dir(txn), "report"),
				     " switch EOPNOTSUPP "));

	/* A type that is written makes it staged again. */
	expect_answers(fake, txn, &in_staged);
	fake_expect_read(fake, &first_group(txn)->item, "status", "staged\n");
	fake_commit(fake, txn);
	fake_expect_state(fake, txn, "committed");
	fake_expect_status(fake, txn, "changed\n");
	fake_expect_types(fake, ICFG_IDENTITY, ICFG_IDENTITY);
	fake_txn_end(fake, txn);
}

static void failed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	struct icfg_staged *second;
	char expected[96];

	commit_failed(fake, txn);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 0);
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	KUNIT_EXPECT_PTR_EQ(test, fake->devs[0]->dev.driver, &fake_driver);
	KUNIT_EXPECT_NULL(test, fake->devs[1]->dev.driver);
	fake_expect_read(fake, &first_group(txn)->item, "status",
			 "restored\n");
	second = list_last_entry(&txn->groups, struct icfg_staged, node);
	snprintf(expected, sizeof(expected), "%u %s restore EIO ", second->id,
		 dev_name(&fake->devs[1]->dev));
	KUNIT_EXPECT_NOT_NULL(test,
			      strstr(fake_read(fake, &second->item, "status"),
				     expected));
	expect_answers(fake, txn, &in_failed);

	/* It failed for good ... */
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
	fake_expect_state(fake, txn, "failed");
	expect_answers(fake, txn, &in_failed);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);

	/* ... until it is mended. */
	fake->devs[1]->broken = false;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_state(fake, txn, "rolled-back");
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
	expect_answers(fake, txn, &in_none);
	fake_txn_end(fake, txn);
}

/* A rollback that cannot bring everything back, by hand and by the timer. */
static void rollback_failed(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int by_timer;

	for (by_timer = 0; by_timer < 2; by_timer++) {
		fake->devs[0]->broken = false;
		if (by_timer) {
			txn = fake_txn(fake);
			fake_stage(fake, txn, &fake->groups[0], "identity");
			fake_stage(fake, txn, &fake->groups[1], "identity");
		}
		fake_commit_unconfirmed(fake, txn);
		fake->devs[0]->broken = true;
		if (by_timer)
			fake_expire(fake, txn);
		else
			fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EIO);
		fake_expect_state(fake, txn, "failed");
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 0);
		KUNIT_EXPECT_FALSE(test, delayed_work_pending(&txn->timer));
		fake_expect_types(fake, ICFG_DMA, ICFG_DMA);
		expect_answers(fake, txn, &in_failed);

		fake->devs[0]->broken = false;
		fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
		fake_expect_state(fake, txn, "rolled-back");
		KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
		fake_txn_end(fake, txn);
	}
}

/* A rollback by hand that is refused leaves the state as it was. */
static void rollback_refused(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	int touched;

	fake_commit_unconfirmed(fake, txn);
	touched = atomic_read(&fake->modified);

	fake->busy = BIT(FAKE_BLOCK);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EBUSY);
	fake_expect_state(fake, txn, "unconfirmed");
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&txn->timer));
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->depends), 1);

	fake->busy = BIT(FAKE_PM);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EBUSY);
	fake_expect_state(fake, txn, "unconfirmed");

	fake->busy = 0;
	fake_expect_write(fake, fake_dir(txn), "confirm", "1", 0);
	fake->busy = BIT(FAKE_NET);
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -EBUSY);
	fake->busy = 0;
	fake_expect_state(fake, txn, "committed");

	/* Somebody else changed a type: whose work is this to undo? */
	fake->groups[0].type = ICFG_DMA_FQ;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", -ESTALE);
	fake_expect_state(fake, txn, "committed");
	/* The word is left alone; what follows it says why. */
	KUNIT_EXPECT_EQ(test, first_group(txn)->status, ICFG_S_CHANGED);
	KUNIT_EXPECT_NOT_NULL(test,
			      strstr(fake_read(fake, &first_group(txn)->item,
					       "status"), " check ESTALE "));
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->modified), touched);
	fake_txn_end(fake, txn);
}

/* What runs in each type that is set: the middle of a commit or rollback. */
static void expect_nothing_works(struct fake *fake)
{
	struct icfg_txn *txn = fake->txn;

	fake_expect_read(fake, fake_dir(txn), "state", fake->word);
	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->depends), 1);
	expect_answers(fake, txn, &in_none);
	fake->seen++;
}

static void under_way(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);

	fake->during = expect_nothing_works;
	fake->txn = txn;
	fake->word = "committing\n";
	fake_commit(fake, txn);
	KUNIT_EXPECT_EQ(test, fake->seen, 2);

	fake->word = "rolling-back\n";
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	KUNIT_EXPECT_EQ(test, fake->seen, 4);
	fake->during = NULL;
	fake_expect_state(fake, txn, "rolled-back");
	fake_txn_end(fake, txn);
}

/* Without the capabilities nothing is done, whatever else is wrong. */
static void unprivileged(struct kunit *test)
{
	static const char * const files[] = {
		"check", "commit", "confirm", "rollback",
	};
	static const char * const options[] = {
		"expected_generation", "allow_in_use", "confirm_timeout",
	};
	kernel_cap_t less[] = {
		CAP_EMPTY_SET, CAP_FULL_SET, CAP_FULL_SET,
	};
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_staged(fake);
	const char *report;
	int i, j;

	cap_lower(less[1], CAP_SYS_ADMIN);
	cap_lower(less[2], CAP_SYS_RAWIO);

	for (i = 0; i < ARRAY_SIZE(less); i++) {
		for (j = 0; j < ARRAY_SIZE(files); j++) {
			KUNIT_EXPECT_EQ(test,
					write_unprivileged(fake_dir(txn),
							   files[j], "1",
							   less[i]), -EACCES);
			KUNIT_EXPECT_EQ(test,
					write_unprivileged(fake_dir(txn),
							   files[j], "junk",
							   less[i]), -EACCES);
		}
		/* In staged the permissions of the file will do. */
		for (j = 0; j < ARRAY_SIZE(options); j++)
			KUNIT_EXPECT_EQ(test,
					write_unprivileged(fake_dir(txn),
							   options[j], "junk",
							   less[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, write_unprivileged(fake_dir(txn),
							 "allow_in_use", "net",
							 less[i]), 0);
	}
	fake_expect_state(fake, txn, "staged");

	commit_failed(fake, txn);
	report = fake_read(fake, fake_dir(txn), "report");
	for (i = 0; i < ARRAY_SIZE(less); i++) {
		for (j = 0; j < ARRAY_SIZE(options); j++)
			KUNIT_EXPECT_EQ(test,
					write_unprivileged(fake_dir(txn),
							   options[j], "junk",
							   less[i]), -EACCES);
		KUNIT_EXPECT_EQ(test, write_unprivileged(fake_dir(txn),
							 "rollback", "1",
							 less[i]), -EACCES);
	}
	KUNIT_EXPECT_STREQ(test, fake_read(fake, fake_dir(txn), "report"),
			   report);
	fake->devs[1]->broken = false;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_txn_end(fake, txn);
}

static struct kunit_case txn_cases[] = {
	KUNIT_CASE(while_staged),
	KUNIT_CASE(committed),
	KUNIT_CASE(confirmed),
	KUNIT_CASE(timed_out),
	KUNIT_CASE(unconfirmed_rolled_back),
	KUNIT_CASE(canceled),
	KUNIT_CASE(failed),
	KUNIT_CASE(rollback_failed),
	KUNIT_CASE(rollback_refused),
	KUNIT_CASE(under_way),
	KUNIT_CASE(unprivileged),
	{}
};

static struct kunit_suite txn_suite = {
	.name		= "iommu-configfs-transaction",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= txn_cases,
};

kunit_test_suite(txn_suite);
