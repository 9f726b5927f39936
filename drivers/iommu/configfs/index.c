// SPDX-License-Identifier: GPL-2.0-only
/*
 * A group by its number, on a stock kernel, whose IOMMU core has no function for
 * that: a group can only be had from one of its devices, and looking at every
 * device of a large machine for each group that is staged would take long. So a
 * look at all devices leaves a hint for each group, one of its devices, and
 * devices take their hint with them when they go.
 *
 * index_lock protects the hints; it is taken inside of configfs' locks and
 * around the bus's own, for a look at all devices at the most. Who deletes a
 * device takes it where no I/O may be begun, so no memory is waited for below it.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/xarray.h>

#include "buses.h"
#include "seam-sysfs.h"

static DEFINE_MUTEX(index_lock);
/* A device of a group, with a reference, by the group's number. */
static DEFINE_XARRAY(hints);

static void drop_hint(unsigned int id)
{
	lockdep_assert_held(&index_lock);

	put_device(xa_erase(&hints, id));
}

/* The group that the hint leads to, if it has not changed since. */
static struct iommu_group *follow_hint(unsigned int id)
{
	struct device *dev = xa_load(&hints, id);
	struct iommu_group *group;

	lockdep_assert_held(&index_lock);

	if (!dev)
		return NULL;
	group = iommu_group_get(dev);
	if (group && (unsigned int)iommu_group_id(group) == id)
		return group;
	iommu_group_put(group);
	drop_hint(id);
	return NULL;
}

struct search {
	unsigned int id;
	struct iommu_group *found;
};

static int leave_hint(struct device *dev, void *data)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct search *search = data;
	unsigned int id;

	if (!group)
		return 0;
	id = iommu_group_id(group);

	/* Without memory for it the next one who asks looks again. */
	if (!xa_load(&hints, id) &&
	    !xa_err(xa_store(&hints, id, dev, GFP_NOIO)))
		get_device(dev);

	if (id == search->id && !search->found)
		search->found = group;
	else
		iommu_group_put(group);
	return 0;
}

struct iommu_group *icfg_group_by_id(unsigned int id)
{
	struct search search = { .id = id };

	guard(mutex)(&index_lock);

	search.found = follow_hint(id);
	if (!search.found)
		icfg_buses_visit(leave_hint, &search);
	return search.found;
}

/*
 * Ahead of the IOMMU core, which takes the device out of its group then, unless
 * it has done so before, with the IOMMU itself. The bus has the device no more: a
 * look at all devices will not find it again.
 */
static int forget_device(struct notifier_block *nb, unsigned long action,
			 void *data)
{
	struct device *hint;
	unsigned long id;

	if (action != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;

	icfg_seat_let_leave();

	guard(mutex)(&index_lock);
	xa_for_each(&hints, id, hint)
		if (hint == data)
			drop_hint(id);
	return NOTIFY_DONE;
}

static struct notifier_block forget_blocks[ICFG_BUSES_MAX];

int icfg_seam_init(void)
{
	return icfg_buses_watch(forget_blocks, forget_device, 1);
}

void icfg_seam_exit(void)
{
	struct device *dev;
	unsigned long id;

	icfg_buses_unwatch(forget_blocks);
	xa_for_each(&hints, id, dev)
		put_device(dev);
	xa_destroy(&hints);
}
