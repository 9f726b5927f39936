// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block devices: is a disk in use, and the claim that keeps mount() away from it
 * while a driver is unbound.
 *
 * icfg_inuse_block() is a row of the table in inuse.c and takes no lock. A claim
 * is made right before the driver is unbound, and ended right after that, or
 * when the step is given up on; claims_lock protects the list of them.
 */
#include <linux/blkdev.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/slab.h>

#include "inuse.h"

/**
 * struct claim - a disk that is claimed for an owner
 * @node: in claims
 * @disk: the device of the whole disk, with a reference
 * @owner: for what it is claimed
 * @held: this one has the claim of the block layer, which has one for each disk
 */
struct claim {
	struct list_head node;
	struct device *disk;
	const void *owner;
	bool held;
};

static LIST_HEAD(claims);
static DEFINE_MUTEX(claims_lock);	/* protects claims; not held while waiting */

static bool is_disk(const struct device *dev)
{
	return icfg_inuse_is_class(dev, "block") &&
	       !bdev_is_partition(dev_to_bdev((struct device *)dev));
}

static int part_in_use(struct device *dev, void *why)
{
	struct block_device *bdev = dev_to_bdev(dev);

	if (!icfg_inuse_is_class(dev, "block") || !READ_ONCE(bdev->bd_holder))
		return 0;
	/* Most file systems want to be told when their disk goes. */
	snprintf(why, ICFG_WHY, READ_ONCE(bdev->bd_holder_ops) ?
		 "block device %s is mounted: unmount it first" :
		 "block device %s is held (swap, dm, md or btrfs): stop that first",
		 dev_name(dev));
	return -EBUSY;
}

static int disk_in_use(struct device *disk, char *why)
{
	/*
	 * The holder of a partition also holds the disk. Look at the partitions
	 * first, so that the reason names the partition.
	 */
	if (device_for_each_child(disk, why, part_in_use) ||
	    part_in_use(disk, why))
		return -EBUSY;
	if (!disk_openers(dev_to_bdev(disk)->bd_disk))
		return 0;
	snprintf(why, ICFG_WHY, "block device %s is open: close it first", dev_name(disk));
	return -EAGAIN;
}

/*
 * Get the disk that users open, with a reference. The disk of one path of a
 * multipath NVMe namespace, for example nvme0c1n1, is hidden and never opened:
 * users open the head, nvme0n1, which is a child of the subsystem. Returns NULL
 * where the head is not found.
 */
static struct device *get_open_disk(struct device *disk)
{
	unsigned int subsys, ctrl, ns;
	char name[32];

	if (!(dev_to_bdev(disk)->bd_disk->flags & GENHD_FL_HIDDEN))
		return get_device(disk);
	if (sscanf(dev_name(disk), "nvme%uc%un%u", &subsys, &ctrl, &ns) != 3)
		return NULL;
	snprintf(name, sizeof(name), "nvme%un%u", subsys, ns);
	return class_find_device_by_name(disk->class, name);
}

/*
 * A disk that is mounted, swap, or held by dm or md is in use; one that is only
 * open may be closed soon.
 */
int icfg_inuse_block(struct device *dev, char *why)
{
	struct device *disk;
	int ret;

	if (!is_disk(dev))
		return 0;

	disk = get_open_disk(dev);
	if (!disk) {
		snprintf(why, ICFG_WHY,
			 "block device %s is a path of a disk that is not found",
			 dev_name(dev));
		return -EBUSY;
	}
	ret = disk_in_use(disk, why);
	put_device(disk);
	return ret;
}

/* Any owner's if @owner is NULL. */
static struct claim *find_claim(const struct device *disk, const void *owner)
{
	struct claim *claim;

	list_for_each_entry(claim, &claims, node)
		if (claim->disk == disk && (!owner || claim->owner == owner))
			return claim;
	return NULL;
}

/*
 * Give the claim of the block layer to another owner that has the disk claimed,
 * or end it.
 */
static void pass_on(struct device *disk)
{
	struct claim *other;

	lockdep_assert_held(&claims_lock);

	other = find_claim(disk, NULL);
	if (other)
		other->held = true;
	else
		bd_abort_claiming(dev_to_bdev(disk), &claims);
}

static void end_claim(struct claim *claim)
{
	list_del(&claim->node);
	if (claim->held)
		pass_on(claim->disk);
	put_device(claim->disk);
	kfree(claim);
}

/*
 * Two paths of an NVMe disk may be unbound side by side, and both claim the head.
 * The second does not wait for the first: the head stays for as long as one of
 * the paths does.
 */
static int claim_disk(struct device *disk, const void *owner, char *why)
{
	struct claim *claim;
	int ret;

	claim = kzalloc(sizeof(*claim), GFP_KERNEL | __GFP_NOWARN);
	if (!claim) {
		snprintf(why, ICFG_WHY, "no memory to claim %s", dev_name(disk));
		return -ENOMEM;
	}
	claim->disk = get_device(disk);
	claim->owner = owner;
	scoped_guard(mutex, &claims_lock) {
		bool claimed = find_claim(disk, NULL);

		list_add(&claim->node, &claims);
		if (claimed)
			return 0;
	}

	/* Waits for an exclusive open that has begun, but for nothing else. */
	ret = bd_prepare_to_claim(dev_to_bdev(disk), &claims, NULL);
	if (ret && disk_in_use(disk, why) != -EBUSY)
		snprintf(why, ICFG_WHY, "block device %s was mounted meanwhile",
			 dev_name(disk));

	guard(mutex)(&claims_lock);

	claim = find_claim(disk, owner);
	if (ret) {
		if (claim)
			end_claim(claim);
		return -EBUSY;
	}
	/* Ended meanwhile, because the step was given up on. */
	if (!claim) {
		pass_on(disk);
		snprintf(why, ICFG_WHY, "given up on");
		return -ECANCELED;
	}
	claim->held = true;
	return 0;
}

struct claim_walk {
	const void *owner;
	char *why;
};

static int claim_below(struct device *dev, void *data)
{
	struct claim_walk *walk = data;
	struct device *disk;
	int ret;

	if (!is_disk(dev))
		return 0;
	disk = get_open_disk(dev);
	if (!disk)
		return 0;
	ret = claim_disk(disk, walk->owner, walk->why);
	put_device(disk);
	return ret;
}

/**
 * icfg_inuse_claim - keep exclusive opens away from the disks below a device
 * @dev: the device
 * @owner: what ends the claims
 * @why: ICFG_WHY bytes, for the reason
 *
 * An exclusive open, which every mount begins with, waits until the claim is
 * ended. It then fails with -ENXIO if the disk is gone. Opens that are not
 * exclusive are not kept away. Returns 0, -EBUSY where a disk is in use,
 * -ENOMEM, or -ECANCELED where the claims were ended meanwhile. Whatever it
 * returns, claims may have been made.
 */
int icfg_inuse_claim(struct device *dev, const void *owner, char *why)
{
	struct claim_walk walk = { owner, why };
	struct icfg_visit visit = { claim_below, &walk };

	return icfg_walk_below(dev, &visit);
}

/**
 * icfg_inuse_leave - end the claims that icfg_inuse_enter() made
 * @d: the device, which may have none
 *
 * May be called from another thread than the one that claims.
 */
void icfg_inuse_leave(const struct icfg_plan_dev *d)
{
	struct claim *claim, *next;

	guard(mutex)(&claims_lock);

	list_for_each_entry_safe(claim, next, &claims, node)
		if (claim->owner == d)
			end_claim(claim);
}
