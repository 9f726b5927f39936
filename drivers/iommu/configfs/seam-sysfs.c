// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seam on a stock kernel, whose IOMMU core exports no way to set a default
 * domain: the store and show methods of the group's own sysfs file `type`,
 * called in place. No path is looked up, so it does not matter what is mounted
 * where, or in which mount namespace somebody wrote.
 *
 * Owns struct icfg_seat, and leave_sem, which is taken outside of the group's
 * mutex; the core takes that.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "seam-sysfs.h"

/*
 * Held while DMA-FQ is asked for. The core looks whether there is a default domain
 * before it takes the group's mutex, and uses it after, for DMA-FQ only: the last
 * device must not leave the group in between.
 */
static DECLARE_RWSEM(leave_sem);

struct icfg_seat {
	struct iommu_group *group;	/* pins @kobj in sysfs */
	struct kobject *kobj;
	struct kernfs_node *type;
};

/* /sys/kernel/iommu_groups/<id>, which the caller keeps; with a reference. */
static struct kobject *group_kobject(int id)
{
	struct kobject *kobj = NULL;
	struct kernfs_node *dir, *node;
	char name[12];

	dir = kernfs_find_and_get(kernel_kobj->sd, "iommu_groups");
	if (!dir)
		return NULL;

	/* By its directory: the set of groups is a list, and can be long. */
	snprintf(name, sizeof(name), "%d", id);
	node = kernfs_find_and_get(dir, name);
	if (node) {
		kobj = kobject_get(node->priv);
		kernfs_put(node);
	}
	kernfs_put(dir);
	return kobj;
}

struct icfg_seat *icfg_seat_get(struct iommu_group *group)
{
	struct icfg_seat *seat;

	seat = kzalloc(sizeof(*seat), GFP_KERNEL);
	if (!seat)
		return ERR_PTR(-ENOMEM);

	seat->kobj = group_kobject(iommu_group_id(group));
	if (!seat->kobj)
		goto err_free;

	seat->type = sysfs_get_dirent(seat->kobj->sd, "type");
	if (!seat->type)
		goto err_put_kobj;

	seat->group = iommu_group_ref_get(group);
	return seat;

err_put_kobj:
	kobject_put(seat->kobj);
err_free:
	kfree(seat);
	return ERR_PTR(-ENOENT);
}

void icfg_seat_put(struct icfg_seat *seat)
{
	sysfs_put(seat->type);
	kobject_put(seat->kobj);
	iommu_group_put(seat->group);
	kfree(seat);
}

int icfg_seat_read(struct icfg_seat *seat, char *buf)
{
	const struct sysfs_ops *ops = get_ktype(seat->kobj)->sysfs_ops;
	struct attribute *attr = seat->type->priv;
	ssize_t len;
	char *page;

	/* sysfs_emit() insists on a page; a way back must not want for it. */
	page = (char *)get_zeroed_page(GFP_KERNEL | __GFP_NOFAIL);
	len = ops->show(seat->kobj, attr, page);
	if (len >= ICFG_SEAT_WORD)
		len = -EOVERFLOW;
	strscpy(buf, len > 0 ? page : "unknown\n", ICFG_SEAT_WORD);
	free_page((unsigned long)page);
	return len < 0 ? len : 0;
}

enum icfg_type icfg_seat_type(struct icfg_seat *seat)
{
	char word[ICFG_SEAT_WORD];
	enum icfg_type type;

	icfg_seat_read(seat, word);
	type = icfg_type_from_word(word, strlen(word));
	return type == ICFG_AUTO ? ICFG_OTHER : type;
}

/* A device that begins to leave its group now waits until no DMA-FQ is being set. */
void icfg_seat_let_leave(void)
{
	down_write(&leave_sem);
	up_write(&leave_sem);
}

/*
 * Will @dev be here until leave_sem is let go? device_del() removes this file
 * before it tells anybody that the device is removed, and so before it gets to
 * icfg_seat_let_leave(). With the group's mutex held, which keeps a member's
 * directory.
 */
static int stays(struct device *dev, void *data)
{
	struct kernfs_node *node = kernfs_find_and_get(dev->kobj.sd, "uevent");

	kernfs_put(node);
	return !!node;
}

static int set_type(struct icfg_seat *seat, enum icfg_type type)
{
	const struct sysfs_ops *ops = get_ktype(seat->kobj)->sysfs_ops;
	struct attribute *attr = seat->type->priv;
	const char *word = icfg_type_word(type);
	ssize_t ret;

	ret = ops->store(seat->kobj, attr, word, strlen(word));
	return ret < 0 ? ret : 0;
}

int icfg_seat_set(struct icfg_seat *seat, enum icfg_type type)
{
	if (type != ICFG_DMA_FQ)
		return set_type(seat, type);

	guard(rwsem_read)(&leave_sem);

	/* What the core answers for a group that is left without device. */
	if (!iommu_group_for_each_dev(seat->group, NULL, stays))
		return -EINVAL;
	return set_type(seat, type);
}
