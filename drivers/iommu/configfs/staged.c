// SPDX-License-Identifier: GPL-2.0-only
/*
 * Staging: transactions and groups as objects, how they come and go with their
 * directories, and what is staged in them.
 *
 * Owns the life of struct icfg_txn and struct icfg_staged; txn->lock protects
 * what struct icfg_txn says. configfs calls most of this under its own locks,
 * so nothing here waits for hardware.
 */
#include <linux/cleanup.h>
#include <linux/slab.h>

#include "core.h"
#include "icfg.h"

/* Groups whose directory went away meanwhile leave the transaction. */
void icfg_txn_drop_hidden(struct icfg_txn *txn)
{
	struct icfg_staged *group, *next;

	lockdep_assert_held(&txn->lock);

	list_for_each_entry_safe(group, next, &txn->groups, node) {
		if (!group->hidden)
			continue;
		list_del_init(&group->node);
		config_item_put(&group->item);
	}
}

/* The commit or rollback of @txn is over, and @plan is what it leaves. */
void icfg_txn_keep_undo(struct icfg_txn *txn, struct icfg_plan *plan)
{
	lockdep_assert_held(&txn->lock);

	icfg_plan_put(txn->undo);
	txn->undo = plan ? icfg_plan_get(plan) : NULL;
}

struct icfg_txn *icfg_txn_new(void)
{
	struct icfg_txn *txn;

	txn = kzalloc(sizeof(*txn), GFP_KERNEL);
	if (!txn)
		return NULL;

	mutex_init(&txn->checking);
	mutex_init(&txn->lock);
	INIT_LIST_HEAD(&txn->groups);
	icfg_txn_init_timer(txn);
	icfg_report_init(&txn->report);
	return txn;
}

/* The last reference is gone, and so is the directory. */
void icfg_txn_free(struct icfg_txn *txn)
{
	icfg_report_clear(&txn->report);
	mutex_destroy(&txn->lock);
	mutex_destroy(&txn->checking);
	kfree(txn);
}

/**
 * icfg_txn_forget - its directory is being removed
 * @txn: the transaction, with no directory of a group left in it
 *
 * Lets the undo record and the groups go that were only out of sight. Changes
 * no group.
 */
void icfg_txn_forget(struct icfg_txn *txn)
{
	guard(mutex)(&txn->lock);

	icfg_txn_keep_undo(txn, NULL);
	icfg_txn_drop_hidden(txn);
}

struct icfg_staged *icfg_staged_new(unsigned int id)
{
	struct icfg_staged *group;
	char word[ICFG_TYPE_WORD];

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return ERR_PTR(-ENOMEM);

	INIT_LIST_HEAD(&group->node);
	group->id = id;
	group->group = icfg_core_group_by_id(id);
	if (!group->group) {
		kfree(group);
		return ERR_PTR(-ENOENT);
	}

	/* The core shows no type for a group that nothing can translate for. */
	if (icfg_core_read_type(group->group, word) == -ENOENT) {
		iommu_group_put(group->group);
		kfree(group);
		return ERR_PTR(-ENOENT);
	}
	return group;
}

void icfg_staged_free(struct icfg_staged *group)
{
	iommu_group_put(group->group);
	kfree(group);
}

/**
 * icfg_txn_add - stage a group
 * @txn: the transaction
 * @group: the group; the list takes a reference of its own
 *
 * Returns 0, or -EBUSY where the transaction is not staged any more.
 */
int icfg_txn_add(struct icfg_txn *txn, struct icfg_staged *group)
{
	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_STAGED)
		return -EBUSY;

	group->txn = txn;
	config_item_get(&group->item);
	list_add_tail(&group->node, &txn->groups);
	return 0;
}

/**
 * icfg_txn_drop - the directory of a group is being removed
 * @txn: the transaction
 * @group: the group
 *
 * In a staged transaction the group leaves it; later it goes out of sight.
 */
void icfg_txn_drop(struct icfg_txn *txn, struct icfg_staged *group)
{
	guard(mutex)(&txn->lock);

	group->hidden = true;
	if (txn->state == ICFG_STAGED)
		icfg_txn_drop_hidden(txn);
}

/**
 * icfg_staged_set_type - stage a type for a group
 * @group: the group
 * @type: the type to commit
 *
 * Returns 0, or -EBUSY where the transaction is not staged any more.
 */
int icfg_staged_set_type(struct icfg_staged *group, enum icfg_type type)
{
	struct icfg_txn *txn = group->txn;

	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_STAGED)
		return -EBUSY;

	group->new = type;
	group->status = ICFG_S_STAGED;
	return 0;
}
