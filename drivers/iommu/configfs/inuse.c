// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is something in use that would be lost when a driver is unbound?
 *
 * validate.c asks before anything is touched, apply.c before a revert, and
 * rebind.c right before it unbinds a driver, because the answer may change at
 * any moment. There is one table, and one walk over what is below a device.
 * Managed consumers are devices of the plan themselves, and are asked about as
 * such. What else has a driver open, such as character devices, the kernel cannot
 * tell in general.
 *
 * Owns no data. The walk takes no lock but, for the rows that say so, that of the
 * bound device above the one that it looks at, and does not wait for that.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/pci.h>

#include "core.h"
#include "icfg.h"
#include "inuse.h"

/**
 * struct row - a kind of device that can be in use
 * @class: the name of the class, or NULL
 * @bus: the name of the bus, or NULL; without either, every bound device
 * @driver: on that bus, only devices with this driver, or NULL
 * @test: is this device in use? NULL: it is, as long as it is there
 * @why: the reason, with a %s for the name of the device, where there is no @test
 * @word: the word of allow_in_use that allows it, or ICFG_NO_WORD
 * @locked: what @test reads belongs to the driver of a device above
 */
struct row {
	const char *class;
	const char *bus;
	const char *driver;
	int (*test)(struct device *dev, char *why);
	const char *why;
	unsigned int word;
	bool locked;
};

/* Classes and buses go by name: their modules need not be there. */
static const struct row rows[] = {
	{ .bus = "cxl", .test = icfg_inuse_cxl, .word = ICFG_NO_WORD },
	{ .class = "vfio-dev", .test = icfg_inuse_vfio, .word = ICFG_NO_WORD },
	{ .bus = "mdev", .word = ICFG_NO_WORD,
	  .why = "mediated device %s would be destroyed: remove it first" },
	{ .bus = "vdpa", .word = ICFG_NO_WORD,
	  .why = "vDPA device %s would be destroyed: remove it first (vdpa dev del)" },
	{ .bus = "auxiliary", .test = icfg_inuse_subfunction,
	  .word = ICFG_NO_WORD },
	{ .class = "watchdog", .test = icfg_inuse_watchdog,
	  .word = ICFG_NO_WORD, .locked = true },
#if IS_ENABLED(CONFIG_WATCHDOG_CORE) && defined(CONFIG_NET)
	{ .test = icfg_inuse_lone_watchdog, .word = ICFG_NO_WORD },
#endif
#ifdef CONFIG_BLOCK
	{ .class = "block", .test = icfg_inuse_block, .word = ICFG_ALLOW_BLOCK },
#endif
	{ .bus = "virtio", .driver = "virtiofs", .test = icfg_inuse_virtiofs,
	  .word = ICFG_ALLOW_BLOCK },
	{ .bus = "virtio", .driver = "9pnet_virtio", .test = icfg_inuse_9p,
	  .word = ICFG_ALLOW_BLOCK },
	{ .class = "ubi", .word = ICFG_ALLOW_BLOCK,
	  .why = "UBI device %s is attached: detach it first" },
	{ .class = "mtd", .test = icfg_inuse_mtd, .word = ICFG_ALLOW_BLOCK,
	  .locked = true },
	{ .class = "fc_host", .word = ICFG_ALLOW_BLOCK,
	  .why = "storage may go through Fibre Channel host %s" },
	{ .class = "infiniband", .test = icfg_inuse_rdma_storage,
	  .word = ICFG_ALLOW_BLOCK },
	/* Its users in user space have no interface that could be down. */
	{ .class = "infiniband", .word = ICFG_ALLOW_NET,
	  .why = "InfiniBand device %s is there, and its users are not known" },
	{ .class = "net", .test = icfg_inuse_net, .word = ICFG_ALLOW_NET },
	{ .class = "drm", .test = icfg_inuse_drm, .word = ICFG_ALLOW_OTHER,
	  .locked = true },
	{ .class = "accel", .test = icfg_inuse_drm, .word = ICFG_ALLOW_OTHER,
	  .locked = true },
	{ .class = "dma", .test = icfg_inuse_dma, .word = ICFG_ALLOW_OTHER,
	  .locked = true },
};

bool icfg_inuse_is_class(const struct device *dev, const char *name)
{
	return dev->class && !strcmp(dev->class->name, name);
}

bool icfg_inuse_is_type(const struct device *dev, const char *name)
{
	return dev->type && dev->type->name && !strcmp(dev->type->name, name);
}

static bool row_matches(const struct row *row, const struct device *dev)
{
	if (row->class)
		return icfg_inuse_is_class(dev, row->class);
	if (!row->bus)
		return READ_ONCE(dev->driver);
	return dev->bus && !strcmp(dev->bus->name, row->bus) &&
	       (!row->driver || icfg_has_driver(dev, row->driver));
}

static int test_row(const struct row *row, struct device *dev, char *why)
{
	if (row->test)
		return row->test(dev, why);
	snprintf(why, ICFG_WHY, row->why, dev_name(dev));
	return -EBUSY;
}

/*
 * A remove() holds the lock of its device. With the lock of the bound device
 * above, the driver that made @dev stays for as long as the test lasts.
 */
static int test_locked(const struct row *row, struct device *dev, char *why)
{
	struct device *bound = dev->parent;
	int ret = 0;

	while (bound && !READ_ONCE(bound->driver))
		bound = bound->parent;
	if (!bound)
		return 0;
	if (!device_trylock(bound)) {
		snprintf(why, ICFG_WHY, "a probe or remove of %s is under way",
			 dev_name(bound));
		return -EAGAIN;
	}
	if (icfg_dev_is_registered(dev))
		ret = row->test(dev, why);
	device_unlock(bound);
	return ret;
}

struct walk {
	struct icfg_plan_dev *d;
	unsigned int words;
	char *why;
	icfg_inuse_fn *fn;
	int ret;
};

static int test_device(struct device *dev, void *data)
{
	const struct row *row;
	struct walk *walk = data;
	int ret;

	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (!(row->word & walk->words) || !row_matches(row, dev))
			continue;
		ret = row->locked ? test_locked(row, dev, walk->why) :
				    test_row(row, dev, walk->why);
		if (!ret)
			continue;
		walk->ret = ret;
		if (walk->fn)
			walk->fn(walk->d, ret, walk->why);
		else if (ret == -EBUSY)
			return 1;
	}
	return 0;
}

/**
 * icfg_inuse_below - is something below a device in use?
 * @d: the device
 * @words: for which words of allow_in_use to ask, ICFG_NO_WORD included
 * @why: ICFG_WHY bytes, for the reason
 * @fn: called for each use; or NULL, and the first that does not end soon is enough
 *
 * Returns 0, -EBUSY, or -EAGAIN where all uses may end soon; with @fn not zero for
 * any use.
 */
int icfg_inuse_below(struct icfg_plan_dev *d, unsigned int words, char *why,
		     icfg_inuse_fn *fn)
{
	struct walk walk = { .d = d, .words = words, .why = why, .fn = fn };
	struct icfg_visit visit = { test_device, &walk };

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_below, d, words, why, fn);

	if (words && !test_device(d->dev, &walk))
		icfg_walk_below(d->dev, &visit);
	return walk.ret;
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

/* With the driver that it has now. */
static bool uses_default_domain(struct device *dev)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(dev->driver);
	return drv && !icfg_driver_manages_dma(drv);
}

/* The member through whose driver user space has the group, as far as is known. */
static struct icfg_plan_dev *owner_dev(struct icfg_plan_group *group)
{
	struct icfg_plan_dev *d;

	icfg_for_each_member(d, group)
		if (d->managed && d->drv_name)
			return d;
	return NULL;
}

/**
 * icfg_inuse_owner - is a group owned by user space (VFIO, iommufd)?
 * @group: the group
 * @dev: set to the device through which it is owned, or NULL
 * @why: ICFG_WHY bytes, for the reason
 *
 * The core counts users of the default domain and owners together, but a group
 * has either the one or the other: where no driver uses the default domain and
 * there is a user all the same, it is an owner. Returns 0 or -EBUSY.
 */
int icfg_inuse_owner(struct icfg_plan_group *group, struct icfg_plan_dev **dev,
		     char *why)
{
	struct icfg_plan_dev *d;

	KUNIT_STATIC_STUB_REDIRECT(icfg_inuse_owner, group, dev, why);

	icfg_for_each_member(d, group)
		if (uses_default_domain(d->dev))
			return 0;
	if (!iommu_group_dma_owner_claimed(group->staged->group))
		return 0;

	*dev = owner_dev(group);
	snprintf(why, ICFG_WHY,
		 "the group is owned by user space (VFIO, iommufd)%s%s",
		 *dev ? " through driver " : "", *dev ? (*dev)->drv_name : "");
	return -EBUSY;
}

/**
 * icfg_inuse_enter - make sure that a driver can be unbound now
 * @d: the device
 * @allow: ICFG_ALLOW_*, what not to ask for
 * @why: ICFG_WHY bytes, for the reason
 *
 * Waits up to two seconds for uses that may end soon. From here to
 * icfg_inuse_leave() the disks below are claimed, unless ICFG_ALLOW_BLOCK is
 * given. Returns 0, or -EBUSY, -ENOMEM or -ECANCELED with nothing claimed; for
 * lack of memory a revert goes on without the claim.
 */
int icfg_inuse_enter(struct icfg_plan_dev *d, unsigned int allow, char *why)
{
	int waited = 0;
	int ret = 0;

	if (!(allow & ICFG_ALLOW_BLOCK))
		ret = icfg_inuse_claim(d->dev, d, why);
	if (ret == -ENOMEM && icfg_plan_is_reverting(d->group->plan))
		ret = 0;

	while (!ret) {
		ret = icfg_inuse_below(d, ICFG_ALL_WORDS & ~allow, why, NULL);
		if (ret != -EAGAIN)
			break;
		ret = waited < ICFG_OPEN_FOR_MS ? 0 : -EBUSY;
		if (!ret)
			msleep(ICFG_OPEN_POLL_MS);
		waited += ICFG_OPEN_POLL_MS;
	}
	if (ret)
		icfg_inuse_leave(d);
	return ret;
}
