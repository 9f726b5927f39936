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
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/xarray.h>

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

	mutex_init(&txn->busy);
	mutex_init(&txn->lock);
	INIT_LIST_HEAD(&txn->groups);
	INIT_LIST_HEAD(&txn->waiting);
	txn->disruption = ICFG_DISRUPT_REBIND;
	txn->step_timeout = ICFG_STEP_TIMEOUT;
	icfg_txn_init_work(txn);
	icfg_report_init(&txn->report);
	return txn;
}

/* The last reference is gone, and so is the directory. */
void icfg_txn_free(struct icfg_txn *txn)
{
	icfg_report_clear(&txn->report);
	mutex_destroy(&txn->lock);
	mutex_destroy(&txn->busy);
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

/*
 * What is known of a group while its domain is being switched: a switch that hangs
 * holds the group's mutex, for which neither a reader nor a mkdir may wait.
 */
struct frozen {
	struct iommu_group *group;
	char type[ICFG_TYPE_WORD];
	char devices[];
};

/* Protects @frozen_groups, for moments only. */
static DEFINE_MUTEX(frozen_lock);
/* struct frozen by the number of the group. */
static DEFINE_XARRAY(frozen_groups);

/* Returns a reference, or NULL where there is no such group with a type. */
static struct iommu_group *find_group(unsigned int id)
{
	struct iommu_group *group;
	struct frozen *frozen;
	char word[ICFG_TYPE_WORD];

	scoped_guard(mutex, &frozen_lock) {
		frozen = xa_load(&frozen_groups, id);
		if (frozen)
			return iommu_group_ref_get(frozen->group);
	}
	group = icfg_core_group_by_id(id);
	/* The core shows no type for a group that nothing can translate for. */
	if (group && icfg_core_read_type(group, word) == -ENOENT) {
		iommu_group_put(group);
		return NULL;
	}
	return group;
}

struct icfg_staged *icfg_staged_new(unsigned int id)
{
	struct icfg_staged *group;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return ERR_PTR(-ENOMEM);

	INIT_LIST_HEAD(&group->node);
	group->id = id;
	group->group = find_group(id);
	if (!group->group) {
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

/* Room kept for the line that counts the devices left out. */
#define DEVICES_TAIL	48

struct devices_page {
	char *page;
	size_t at;
	unsigned int left;
};

/* Called with the group's mutex held. A line that does not fit is overwritten. */
static int show_device(struct device *dev, void *data)
{
	enum icfg_type required = icfg_required_type(dev);
	struct devices_page *out = data;
	char *line = out->page + out->at;
	size_t room = ICFG_TEXT_MAX - DEVICES_TAIL - out->at;
	const struct device_driver *drv;
	size_t len;

	/* A driver's module is freed only a grace period after its unbinding. */
	scoped_guard(rcu) {
		drv = READ_ONCE(dev->driver);
		len = snprintf(line, room, "%s %s ", dev_bus_name(dev),
			       dev_name(dev));
		if (len < room)
			len += string_escape_str(drv ? drv->name : "-",
						 line + len, room - len,
						 ESCAPE_OCTAL, " ");
	}
	if (len < room)
		len += snprintf(line + len, room - len, " %s\n",
				required == ICFG_NONE ? "any" :
							icfg_type_word(required));

	if (out->left || len >= room)
		out->left++;
	else
		out->at += len;
	return 0;
}

static ssize_t read_devices(struct icfg_staged *group, char *page)
{
	struct devices_page out = { .page = page };

	iommu_group_for_each_dev(group->group, &out, show_device);
	if (out.left)
		out.at += sprintf(page + out.at, "... %u more devices left out\n",
				  out.left);
	return out.at;
}

/**
 * icfg_staged_freeze - keep what the files of a group show, before its switch
 * @group: the group
 *
 * Where there is no memory for it they wait for the switch.
 */
void icfg_staged_freeze(struct icfg_staged *group)
{
	char *page = kmalloc(ICFG_TEXT_MAX, GFP_KERNEL | __GFP_NORETRY);
	struct frozen *frozen = NULL;
	ssize_t len;

	if (page) {
		len = read_devices(group, page);
		frozen = kmalloc(struct_size(frozen, devices, len + 1),
				 GFP_KERNEL | __GFP_NORETRY);
	}
	if (frozen) {
		memcpy(frozen->devices, page, len);
		frozen->devices[len] = '\0';
		icfg_core_read_type(group->group, frozen->type);
		/* Its plan has a reference until after the switch. */
		frozen->group = group->group;
		scoped_guard(mutex, &frozen_lock)
			if (xa_err(xa_store(&frozen_groups, group->id, frozen,
					    GFP_NOWAIT)))
				kfree(frozen);
	}
	kfree(page);
}

/* The switch is over: the files show what there is. */
void icfg_staged_thaw(struct icfg_staged *group)
{
	guard(mutex)(&frozen_lock);

	kfree(xa_erase(&frozen_groups, group->id));
}

ssize_t icfg_staged_show_type(struct icfg_staged *group, char *page)
{
	char word[ICFG_TYPE_WORD];
	struct frozen *frozen;
	int ret;

	scoped_guard(mutex, &frozen_lock) {
		frozen = xa_load(&frozen_groups, group->id);
		if (frozen)
			return sprintf(page, "%s", frozen->type);
	}
	ret = icfg_core_read_type(group->group, word);
	return ret ?: sprintf(page, "%s", word);
}

ssize_t icfg_staged_show_devices(struct icfg_staged *group, char *page)
{
	struct frozen *frozen;

	scoped_guard(mutex, &frozen_lock) {
		frozen = xa_load(&frozen_groups, group->id);
		if (frozen)
			return sprintf(page, "%s", frozen->devices);
	}
	return read_devices(group, page);
}

/**
 * icfg_txn_add - stage a group
 * @txn: the transaction
 * @group: the group; the list takes another reference
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
	group->method = ICFG_METHOD_NONE;
	group->status = ICFG_S_STAGED;
	return 0;
}
