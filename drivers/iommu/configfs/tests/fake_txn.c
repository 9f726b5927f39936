// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transactions of the KUnit tests: what mkdir, rmdir, read and write would
 * do with configfs, done with the item types that configfs would use.
 */
#include <kunit/test.h>
#include <linux/configfs.h>

#include "../icfg.h"
#include "fake.h"

static const struct configfs_group_operations *root_ops(void)
{
	return icfg_subsys.su_group.cg_item.ci_type->ct_group_ops;
}

static const struct configfs_group_operations *txn_ops(struct icfg_txn *txn)
{
	return fake_dir(txn)->ci_type->ct_group_ops;
}

struct icfg_txn *fake_txn(struct fake *fake)
{
	struct config_group *dir;
	char name[16];

	snprintf(name, sizeof(name), "kunit-%u", ++fake->txns);
	dir = root_ops()->make_group(&icfg_subsys.su_group, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(fake->test, dir);
	return container_of(dir, struct icfg_txn, dir);
}

/* What rmdir of its groups, and then of itself, does. */
void fake_txn_end(struct fake *fake, struct icfg_txn *txn)
{
	struct icfg_staged *group, *next;

	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->depends), 0);
	list_for_each_entry_safe(group, next, &txn->groups, node)
		if (!group->hidden)
			fake_rmdir(group);
	KUNIT_EXPECT_EQ_MSG(fake->test,
			    kref_read(&fake_dir(txn)->ci_kref), 1,
			    "somebody keeps the transaction");
	root_ops()->drop_item(&icfg_subsys.su_group, fake_dir(txn));
}

/* Returns the item or an ERR_PTR. */
struct config_item *fake_mkdir(struct icfg_txn *txn, const char *name)
{
	return txn_ops(txn)->make_item(&txn->dir, name);
}

/* @type: to write, or NULL */
struct icfg_staged *fake_stage(struct fake *fake, struct icfg_txn *txn,
			       struct fake_group *group, const char *type)
{
	struct config_item *item;
	char name[12];

	snprintf(name, sizeof(name), "%d", iommu_group_id(group->group));
	item = fake_mkdir(txn, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(fake->test, item);
	if (type)
		KUNIT_ASSERT_EQ(fake->test, fake_write(item, "type", type), 0);
	return container_of(item, struct icfg_staged, item);
}

void fake_rmdir(struct icfg_staged *group)
{
	txn_ops(group->txn)->drop_item(&group->txn->dir, &group->item);
}

static const struct configfs_attribute *find_file(struct config_item *item,
						  const char *name)
{
	struct configfs_attribute **attr;

	for (attr = item->ci_type->ct_attrs; *attr; attr++)
		if (!strcmp((*attr)->ca_name, name))
			return *attr;
	return NULL;
}

/* Returns 0 or a negative errno. */
int fake_write(struct config_item *item, const char *file, const char *text)
{
	const struct configfs_attribute *attr = find_file(item, file);
	size_t count = strlen(text);
	ssize_t ret;

	ret = attr ? attr->store(item, text, count) : -ENXIO;
	return ret == count ? 0 : ret < 0 ? ret : -ENODATA;
}

/* Returns what a read gives, until the end of the test. */
const char *fake_read(struct fake *fake, struct config_item *item,
		      const char *file)
{
	const struct configfs_attribute *attr = find_file(item, file);
	char *page = kunit_kzalloc(fake->test, ICFG_TEXT_MAX + 1, GFP_KERNEL);
	ssize_t ret;

	KUNIT_ASSERT_NOT_NULL(fake->test, page);
	KUNIT_ASSERT_NOT_NULL(fake->test, attr);
	ret = attr->show(item, page);
	KUNIT_EXPECT_GE(fake->test, ret, 0);
	KUNIT_EXPECT_LE(fake->test, ret, ICFG_TEXT_MAX);
	KUNIT_EXPECT_EQ(fake->test, ret, strlen(page));
	return page;
}

/* @ret: what a write of @text has to return */
void fake_expect_write(struct fake *fake, struct config_item *item,
		       const char *file, const char *text, int ret)
{
	KUNIT_EXPECT_EQ_MSG(fake->test, fake_write(item, file, text), ret,
			    "\"%s\" to %s", text, file);
}

/* @text: what a read has to give */
void fake_expect_read(struct fake *fake, struct config_item *item,
		      const char *file, const char *text)
{
	KUNIT_EXPECT_STREQ_MSG(fake->test, fake_read(fake, item, file), text,
			       "%s", file);
}

/* The time to confirm is over: what the timer does, in this thread. */
void fake_expire(struct fake *fake, struct icfg_txn *txn)
{
	/* The reference that the pending work had is that of this call. */
	KUNIT_ASSERT_TRUE(fake->test, cancel_delayed_work_sync(&txn->timer));
	mutex_lock(&txn->lock);
	/* Long ago; 0 is that nothing counts down. */
	txn->deadline = 1;
	mutex_unlock(&txn->lock);
	txn->timer.work.func(&txn->timer.work);
}

struct icfg_txn *fake_staged(struct fake *fake)
{
	struct icfg_txn *txn;
	int i;

	for (i = 0; i < 3; i++)
		fake_dev_add(fake, fake_group_add(fake, ICFG_DMA), &fake_driver,
			     NULL);
	txn = fake_txn(fake);
	fake_stage(fake, txn, &fake->groups[0], "identity");
	fake_stage(fake, txn, &fake->groups[1], "identity\n");
	return txn;
}

void fake_commit(struct fake *fake, struct icfg_txn *txn)
{
	KUNIT_ASSERT_EQ(fake->test, fake_write(fake_dir(txn), "commit", "1"),
			0);
}

void fake_commit_unconfirmed(struct fake *fake, struct icfg_txn *txn)
{
	KUNIT_ASSERT_EQ(fake->test, fake_write(fake_dir(txn), "confirm_timeout",
					       FAKE_LONG), 0);
	fake_commit(fake, txn);
	KUNIT_ASSERT_EQ(fake->test, txn->state, ICFG_UNCONFIRMED);
}

/* The types of the first two groups; the third is not in the transaction. */
void fake_expect_types(struct fake *fake, enum icfg_type first,
		       enum icfg_type second)
{
	KUNIT_EXPECT_EQ(fake->test, fake->groups[0].type, first);
	KUNIT_EXPECT_EQ(fake->test, fake->groups[1].type, second);
	KUNIT_EXPECT_EQ(fake->test, fake->groups[2].type, ICFG_DMA);
}

/* What `status` reads in each group. */
void fake_expect_status(struct fake *fake, struct icfg_txn *txn,
			const char *text)
{
	struct icfg_staged *group;

	list_for_each_entry(group, &txn->groups, node)
		fake_expect_read(fake, &group->item, "status", text);
}
