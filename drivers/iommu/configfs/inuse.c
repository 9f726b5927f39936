// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guards: is something in use that would be lost when a driver goes?
 *
 * Owns no data and takes no lock. What it reads may change the moment after;
 * that is why the engine asks again right before each release. It looks at
 * block devices and network interfaces below a device. Other users (DRM,
 * sound, plain character devices) cannot be told in general.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/netdevice.h>
#include <linux/pci.h>

#include "core.h"
#include "icfg.h"

struct poll {
	char *why;
	int busy;
};

static bool is_class(const struct device *dev, const char *name)
{
	return dev->class && !strcmp(dev->class->name, name);
}

static int look_at_net(struct device *dev, void *data)
{
	struct poll *poll = data;

	if (!is_class(dev, "net") || !netif_running(to_net_dev(dev)))
		return 0;
	snprintf(poll->why, ICFG_WHY, "network interface %s is up",
		 netdev_name(to_net_dev(dev)));
	poll->busy = -EBUSY;
	return 1;
}

/**
 * icfg_inuse_net - is a network interface below a device running?
 * @dev: the device
 * @why: ICFG_WHY bytes, for the reason
 *
 * Returns 0 or -EBUSY.
 */
int icfg_inuse_net(struct device *dev, char *why)
{
	struct poll poll = { .why = why };
	struct icfg_visit visit = { look_at_net, &poll };

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_net, dev, why);

	icfg_walk_below(dev, &visit);
	return poll.busy;
}

static int look_at_part(struct device *dev, void *data);

static int look_at_bdev(struct block_device *bdev, struct poll *poll)
{
	if (READ_ONCE(bdev->bd_holder)) {
		/* Who holds a partition holds the disk as well: name the former. */
		if (!bdev_is_partition(bdev) &&
		    device_for_each_child(&bdev->bd_device, poll, look_at_part))
			return 1;
		/* Most file systems ask to be told when their disk goes. */
		snprintf(poll->why, ICFG_WHY,
			 READ_ONCE(bdev->bd_holder_ops) ?
			 "block device %s is mounted" :
			 "block device %s is held (swap, dm, md or btrfs)",
			 dev_name(&bdev->bd_device));
		poll->busy = -EBUSY;
		return 1;
	}
	if (!bdev_is_partition(bdev) && disk_openers(bdev->bd_disk)) {
		snprintf(poll->why, ICFG_WHY, "block device %s is open",
			 dev_name(&bdev->bd_device));
		poll->busy = -EAGAIN;
	}
	return 0;
}

static int look_at_part(struct device *dev, void *data)
{
	return is_class(dev, "block") ? look_at_bdev(dev_to_bdev(dev), data) : 0;
}

/*
 * The disk of one path of a multipath NVMe namespace, say nvme0c1n1, is hidden
 * and is never opened: users have nvme0n1, which hangs off the subsystem.
 */
static int look_at_head(struct device *path, struct poll *poll)
{
	unsigned int subsys, ctrl, ns;
	struct device *head = NULL;
	char name[32];
	int ret;

	if (sscanf(dev_name(path), "nvme%uc%un%u", &subsys, &ctrl, &ns) == 3) {
		snprintf(name, sizeof(name), "nvme%un%u", subsys, ns);
		head = class_find_device_by_name(path->class, name);
	}
	if (!head) {
		snprintf(poll->why, ICFG_WHY,
			 "block device %s is a path of a disk that cannot be found",
			 dev_name(path));
		poll->busy = -EBUSY;
		return 1;
	}

	ret = look_at_part(head, poll) ?:
	      device_for_each_child(head, poll, look_at_part);
	put_device(head);
	return ret;
}

static int look_at_block(struct device *dev, void *data)
{
	if (!is_class(dev, "block"))
		return 0;
	if (dev_to_bdev(dev)->bd_disk->flags & GENHD_FL_HIDDEN)
		return look_at_head(dev, data);
	return look_at_part(dev, data);
}

/**
 * icfg_inuse_block - is a block device below a device in use?
 * @dev: the device
 * @why: ICFG_WHY bytes, for the reason
 *
 * Returns 0, -EBUSY where one is mounted, swap, or held by dm or md, -EAGAIN
 * where one is merely open, which may pass.
 */
int icfg_inuse_block(struct device *dev, char *why)
{
	struct poll poll = { .why = why };
	struct icfg_visit visit = { look_at_block, &poll };

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_block, dev, why);

	icfg_walk_below(dev, &visit);
	return poll.busy;
}

static bool is_bridge(struct device *dev)
{
	return dev_is_pci(dev) && pci_is_bridge(to_pci_dev(dev));
}

static bool is_owned(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	bool owned;

	if (!group)
		return false;
	owned = iommu_group_dma_owner_claimed(group);
	iommu_group_put(group);
	return owned;
}

/**
 * icfg_inuse_driver - may the driver of a device be released at all?
 * @d: the device, its driver pinned
 * @why: ICFG_WHY bytes, for the reason
 *
 * Nothing overrides this one. Returns 0 or -EBUSY.
 */
int icfg_inuse_driver(const struct icfg_plan_dev *d, char *why)
{
	const struct bus_type *bus = d->drv->bus;

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_driver, d, why);

	if (d->drv->suppress_bind_attrs) {
		snprintf(why, ICFG_WHY, "driver %s forbids unbinding",
			 d->drv->name);
		return -EBUSY;
	}
	if (dev_is_pci(d->dev) && pci_num_vf(to_pci_dev(d->dev))) {
		snprintf(why, ICFG_WHY, "%d virtual functions are enabled",
			 pci_num_vf(to_pci_dev(d->dev)));
		return -EBUSY;
	}
	/* Bound by hand, through a driver_override or ID that is gone since. */
	if (bus->match && bus->match(d->dev, d->drv) <= 0) {
		snprintf(why, ICFG_WHY,
			 "driver %s would not bind again: it does not match any more",
			 d->drv->name);
		return -EBUSY;
	}
	/* A consumer in VFIO's hands: its remove would wait for user space. */
	if (d->dependent && !is_bridge(d->dev) && icfg_driver_manages_dma(d->drv) &&
	    is_owned(d->dev)) {
		snprintf(why, ICFG_WHY,
			 "driver %s has it for user space", d->drv->name);
		return -EBUSY;
	}
	return 0;
}

/* Asked of the driver that it has now, whoever bound it. */
static bool uses_default_domain(struct device *dev)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(dev->driver);
	return drv && !icfg_driver_manages_dma(drv);
}

/**
 * icfg_inuse_owner - is a group owned by user space (VFIO, iommufd)?
 * @group: the group
 *
 * The core counts users of the default domain and owners together, but a group
 * has either the one or the other: where no driver uses the default domain and
 * there is a user all the same, it is an owner. Returns 0 or -EBUSY.
 */
int icfg_inuse_owner(struct icfg_plan_group *group)
{
	struct icfg_plan_dev *d;

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_owner, group);

	icfg_for_each_member(d, group)
		if (uses_default_domain(d->dev))
			return 0;
	return iommu_group_dma_owner_claimed(group->staged->group) ? -EBUSY : 0;
}

/**
 * icfg_inuse - is a device in use, now and for a while?
 * @d: the device
 * @allow: ICFG_ALLOW_*, what not to ask for
 * @why: ICFG_WHY bytes, for the reason
 *
 * Waits for a disk that is merely open to be closed, for two seconds at the
 * most. Returns 0 or -EBUSY.
 */
int icfg_inuse(struct icfg_plan_dev *d, unsigned int allow, char *why)
{
	int waited = 0;
	int ret;

	if (!(allow & ICFG_ALLOW_NET) && icfg_inuse_net(d->dev, why))
		return -EBUSY;
	if (allow & ICFG_ALLOW_BLOCK)
		return 0;

	while ((ret = icfg_inuse_block(d->dev, why)) == -EAGAIN) {
		if (waited >= ICFG_OPEN_FOR_MS)
			return -EBUSY;
		msleep(ICFG_OPEN_POLL_MS);
		waited += ICFG_OPEN_POLL_MS;
	}
	return ret;
}
