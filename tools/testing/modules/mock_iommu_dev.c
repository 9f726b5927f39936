// SPDX-License-Identifier: GPL-2.0
/*
 * Groups and devices of the mock IOMMU: made and destroyed at run time. See
 * mock_iommu.h.
 *
 * mock_make_lock is held while devices come and go, mock_lock only to find them: a
 * probe that hangs must not keep anybody from turning the knob that ends it.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "mock_iommu.h"

/* Who makes or destroys; taken before mock_lock. */
static DEFINE_MUTEX(mock_make_lock);

/* What there is; taken in callbacks of the IOMMU core. */
DEFINE_MUTEX(mock_lock);

/* By number; both change under mock_lock. */
DEFINE_XARRAY(mock_devs);
DEFINE_XARRAY(mock_groups);

/* The next numbers to give out; mock_make_lock. */
static unsigned int next_dev, next_group;

struct mock_dev *to_mock_dev(struct device *dev)
{
	return *(struct mock_dev **)dev_get_platdata(dev);
}

/* What nobody asks for otherwise. */
void mock_spec_init(struct mock_spec *spec)
{
	*spec = (struct mock_spec){
		.knobs = {
			[MOCK_PROBE_ERRNO] = EIO,
			[MOCK_DMA] = 1,
			[MOCK_SUPPLIER] = -1,
			[MOCK_LINK_FLAGS] = DL_FLAG_AUTOREMOVE_CONSUMER,
			[MOCK_ATTACH_ERRNO] = EIO,
			[MOCK_ALLOC_ERRNO] = ENOMEM,
		},
	};
}

static void dev_free(struct mock_dev *mdev)
{
	platform_device_put(mdev->pdev);
	kfree(mdev);
}

static struct mock_dev *dev_alloc(struct mock_group *group, unsigned int id,
				  const struct mock_spec *spec)
{
	struct mock_dev *mdev;
	int i;

	mdev = kzalloc(sizeof(*mdev), GFP_KERNEL);
	if (!mdev)
		return NULL;
	mdev->id = id;
	mdev->group = group;
	mdev->unit = spec->unit;
	mdev->dma = "-";
	INIT_LIST_HEAD(&mdev->in_group);
	INIT_LIST_HEAD(&mdev->in_domain);
	for (i = 0; i < MOCK_DEV_KNOBS; i++)
		atomic_set(&mdev->knobs[i], spec->knobs[i]);

	mdev->pdev = platform_device_alloc(mock_driver_names[spec->driver], mdev->id);
	if (!mdev->pdev) {
		kfree(mdev);
		return NULL;
	}
	if (platform_device_add_data(mdev->pdev, &mdev, sizeof(mdev))) {
		dev_free(mdev);
		return NULL;
	}
	return mdev;
}

/* No device that comes from now on gets into its group by looking at this one. */
static void leave_group(struct mock_dev *mdev)
{
	guard(mutex)(&mock_lock);
	list_del_init(&mdev->in_group);
	mdev->live = false;
}

/* Nobody finds it any more. */
static void forget(struct mock_dev *mdev)
{
	scoped_guard(mutex, &mock_lock)
		xa_erase(&mock_devs, mdev->id);
	mock_add(MOCK_DEVICES, -1);
	dev_free(mdev);
}

static int dev_add(struct mock_group *group, unsigned int id, const struct mock_spec *spec,
		   struct mock_dev *parent)
{
	struct mock_dev *mdev = dev_alloc(group, id, spec);
	int ret;

	if (!mdev)
		return -ENOMEM;
	if (parent)
		mdev->pdev->dev.parent = &parent->pdev->dev;
	ret = mock_fwspec_init(&mdev->pdev->dev, mdev->unit);
	if (ret) {
		dev_free(mdev);
		return ret;
	}
	scoped_guard(mutex, &mock_lock) {
		ret = xa_err(xa_store(&mock_devs, mdev->id, mdev, GFP_KERNEL));
		if (ret) {
			dev_free(mdev);
			return ret;
		}
		/* Those without a parent are last, where destroy_group() begins. */
		if (parent)
			list_add(&mdev->in_group, &group->devs);
		else
			list_add_tail(&mdev->in_group, &group->devs);
		mock_add(MOCK_DEVICES, 1);
	}

	ret = platform_device_add(mdev->pdev);
	/* The driver core does not say that the IOMMU core would not have it. */
	if (!ret && !device_iommu_mapped(&mdev->pdev->dev)) {
		platform_device_del(mdev->pdev);
		ret = -ENXIO;
	}
	if (ret) {
		leave_group(mdev);
		forget(mdev);
		return ret;
	}
	scoped_guard(mutex, &mock_lock)
		mdev->live = true;
	if (parent) {
		mdev->parent = parent;
		parent->child = mdev;
	}
	return 0;
}

/* From a probe; what else comes and goes does not matter to it. */
int mock_child_add(struct mock_dev *parent)
{
	unsigned int names = mock_read(parent, MOCK_CHILD) == 2 ? atomic_read(&parent->probes) : 0;
	struct mock_spec spec;

	if (!mock_read(parent, MOCK_CHILD) || mock_use_up(parent, MOCK_CHILD_SKIPS))
		return 0;
	mock_spec_init(&spec);
	spec.unit = parent->unit;
	return dev_add(parent->group, parent->id + 10000 * (names + 1), &spec, parent);
}

void mock_child_del(struct mock_dev *parent)
{
	struct mock_dev *child = parent->child;

	if (!child)
		return;
	parent->child = NULL;
	leave_group(child);
	platform_device_del(child->pdev);
	forget(child);
}

static void disown(struct mock_group *group)
{
	if (!group->owned)
		return;
	iommu_group_release_dma_owner(group->owned);
	iommu_group_put(group->owned);
	group->owned = NULL;
}

/* An empty group is none. mock_make_lock is held. */
static void group_put(struct mock_group *group)
{
	scoped_guard(mutex, &mock_lock) {
		if (!list_empty(&group->devs))
			return;
		xa_erase(&mock_groups, group->index);
		mock_add(MOCK_GROUPS, -1);
	}
	kfree(group);

	if (xa_empty(&mock_groups)) {
		next_group = 0;
		next_dev = 0;
	}
}

static int group_add(unsigned int devices, const struct mock_spec *spec)
{
	struct mock_group *group;
	int ret = 0;
	int i;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return -ENOMEM;
	group->index = next_group++;
	INIT_LIST_HEAD(&group->devs);
	for (i = MOCK_DEV_KNOBS; i < MOCK_KNOBS; i++)
		atomic_set(&group->knobs[i - MOCK_DEV_KNOBS], spec->knobs[i]);
	scoped_guard(mutex, &mock_lock)
		ret = xa_err(xa_store(&mock_groups, group->index, group, GFP_KERNEL));
	if (ret) {
		kfree(group);
		return ret;
	}
	mock_add(MOCK_GROUPS, 1);

	while (devices-- && !ret)
		ret = dev_add(group, next_dev++, spec, NULL);
	group_put(group);
	return ret;
}

/* Unplugs the device; mock_make_lock is held. */
static int dev_destroy(struct mock_dev *mdev)
{
	struct mock_group *group = mdev->group;

	/* What has an owner is not to be emptied below him. */
	disown(group);
	leave_group(mdev);
	/* Its remove may wait for a knob, so that it has to be found all the while. */
	platform_device_del(mdev->pdev);
	forget(mdev);
	group_put(group);
	return 0;
}

int mock_destroy(unsigned int id)
{
	struct mock_dev *mdev;

	guard(mutex)(&mock_make_lock);
	/* Only who holds mock_make_lock takes anything away. */
	mdev = xa_load(&mock_devs, id);
	return mdev && mdev->live && !mdev->parent ? dev_destroy(mdev) : -ENODEV;
}

static int destroy_group(unsigned int index)
{
	struct mock_group *group = xa_load(&mock_groups, index);
	struct mock_dev *mdev;

	if (!group)
		return -ENODEV;
	/* The group goes with the last of them, and a child with its parent. */
	do {
		mdev = list_last_entry(&group->devs, struct mock_dev, in_group);
		dev_destroy(mdev);
		group = xa_load(&mock_groups, index);
	} while (group);
	return 0;
}

int mock_destroy_group(unsigned int index)
{
	guard(mutex)(&mock_make_lock);
	return destroy_group(index);
}

static void destroy_from(unsigned int first)
{
	struct mock_group *group;
	unsigned long index;

	xa_for_each_start(&mock_groups, index, group, first)
		destroy_group(index);
}

void mock_destroy_all(void)
{
	guard(mutex)(&mock_make_lock);
	destroy_from(0);
}

/**
 * mock_create - make groups
 * @groups: how many
 * @devices: how many in each
 * @spec: what they are like
 *
 * Returns 0; or an error, and then none of them is left.
 */
int mock_create(unsigned int groups, unsigned int devices, const struct mock_spec *spec)
{
	unsigned int first;
	int ret = 0;

	if (!groups || !devices)
		return -EINVAL;
	guard(mutex)(&mock_make_lock);
	first = next_group;
	while (groups-- && !ret)
		ret = fatal_signal_pending(current) ? -EINTR : group_add(devices, spec);
	if (ret)
		destroy_from(first);
	return ret;
}

/* One more device for the group, as if plugged in. */
int mock_join(unsigned int index, const struct mock_spec *spec)
{
	struct mock_group *group;

	guard(mutex)(&mock_make_lock);
	group = xa_load(&mock_groups, index);
	return group ? dev_add(group, next_dev++, spec, NULL) : -ENODEV;
}

/* The core's group of one of ours, with a reference. */
static struct iommu_group *core_group(struct mock_group *group)
{
	struct mock_dev *mdev = list_first_entry(&group->devs, struct mock_dev, in_group);

	return iommu_group_get(&mdev->pdev->dev);
}

/* Takes the group as VFIO would, or gives it back. */
int mock_own(unsigned int index, bool own)
{
	struct mock_group *group;
	struct iommu_group *core;
	int ret;

	guard(mutex)(&mock_make_lock);
	group = xa_load(&mock_groups, index);
	if (!group)
		return -ENODEV;
	if (!own || group->owned) {
		if (!own)
			disown(group);
		return 0;
	}
	core = core_group(group);
	ret = iommu_group_claim_dma_owner(core, group);
	if (ret) {
		iommu_group_put(core);
		return ret;
	}
	group->owned = core;
	return 0;
}

/*
 * A device of ours is nearly gone. Called after those with the same priority that were
 * registered before, and ahead of the IOMMU core, which has priority 0.
 */
static int on_bus(struct notifier_block *nb, unsigned long action, void *data)
{
	struct platform_device *pdev = to_platform_device(data);

	if (action != BUS_NOTIFY_REMOVED_DEVICE ||
	    match_string(mock_driver_names, MOCK_DRIVERS, pdev->name) < 0)
		return NOTIFY_DONE;
	mock_add(MOCK_LEAVING, 1);
	mock_wait(to_mock_dev(&pdev->dev), MOCK_LEAVE_HOLD);
	mock_add(MOCK_LEAVING, -1);
	return NOTIFY_DONE;
}

static struct notifier_block bus_block = { .notifier_call = on_bus, .priority = 1 };

static int __init mock_init(void)
{
	int ret;

	ret = mock_hw_init();
	if (ret)
		return ret;
	ret = mock_drivers_init();
	if (ret)
		goto err_hw;
	ret = bus_register_notifier(&platform_bus_type, &bus_block);
	if (ret)
		goto err_drivers;
	ret = mock_files_init();
	if (ret)
		goto err_bus;
	return 0;

err_bus:
	bus_unregister_notifier(&platform_bus_type, &bus_block);
err_drivers:
	mock_drivers_exit();
err_hw:
	mock_hw_exit();
	return ret;
}
module_init(mock_init);

static void __exit mock_exit(void)
{
	mock_files_exit();
	/* Each device pins the module, so that none is left. */
	bus_unregister_notifier(&platform_bus_type, &bus_block);
	mock_drivers_exit();
	mock_hw_exit();
}
module_exit(mock_exit);

MODULE_DESCRIPTION("An IOMMU that exists in memory only, for tests");
MODULE_LICENSE("GPL");
