// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers; see edu_lab.h for what they can be asked to do.
 *
 * edu_lab takes edu devices by itself. By driver_override each of the three takes
 * any PCI device (and leaves its DMA alone where it is no edu): edu_lab_fixed
 * forbids unbinding through sysfs, edu_lab_managed minds its own DMA domain. So does
 * edu_lab_pause, see there.
 */
#include <linux/auxiliary_bus.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "edu_lab.h"

static bool is_edu(const struct pci_dev *pdev)
{
	return pdev->vendor == EDU_VENDOR && pdev->device == EDU_DEVICE;
}

static void edu_child_release(struct device *dev)
{
	kfree(to_auxiliary_dev(dev));
}

static struct auxiliary_device *edu_child_add(struct pci_dev *pdev)
{
	struct auxiliary_device *child = kzalloc(sizeof(*child), GFP_KERNEL);
	int ret;

	if (!child)
		return ERR_PTR(-ENOMEM);
	child->name = "child";
	child->id = pci_dev_id(pdev);
	child->dev.parent = &pdev->dev;
	child->dev.release = edu_child_release;
	ret = auxiliary_device_init(child);
	if (ret) {
		kfree(child);
		return ERR_PTR(ret);
	}
	ret = auxiliary_device_add(child);
	if (ret) {
		auxiliary_device_uninit(child);
		return ERR_PTR(ret);
	}
	return child;
}

static int edu_start(struct pci_dev *pdev, struct edu_knobs *knobs)
{
	struct pci_driver *drv = to_pci_driver(pdev->dev.driver);
	struct auxiliary_device *child;
	struct gendisk *disk;
	char supplier[sizeof(knobs->supplier)];
	int ret;

	edu_pause(knobs->probe_delay_ms, &knobs->probe_hold);
	if (edu_use_up(&knobs->probe_defers))
		return -EPROBE_DEFER;
	if (edu_use_up(&knobs->probe_errors))
		return -(int)knobs->probe_errno;
	edu_knobs_supplier(knobs, supplier, sizeof(supplier));
	if (supplier[0]) {
		ret = edu_link_supplier(&pdev->dev, supplier);
		if (ret)
			return ret;
	}
	if (is_edu(pdev)) {
		ret = pcim_enable_device(pdev);
		if (ret)
			return ret;
	}
	if (is_edu(pdev) && knobs->dma && !drv->driver_managed_dma) {
		ret = edu_dma_check(pdev, knobs->stray);
		if (ret)
			return ret;
	}
#ifdef EDU_HAVE_PAUSE
	if (drv == &edu_pause_driver) {
		ret = edu_pause_start(pdev, knobs);
		if (ret)
			return ret;
	}
#endif
	if (knobs->disk) {
		disk = edu_disk_add(pdev);
		if (IS_ERR(disk))
			return PTR_ERR(disk);
		knobs->gendisk = disk;
	}
	if (knobs->child) {
		child = edu_child_add(pdev);
		if (IS_ERR(child))
			return PTR_ERR(child);
		pci_set_drvdata(pdev, child);
	}
	return 0;
}

int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu_knobs *knobs = edu_knobs_get(pci_name(pdev));
	int ret;

	if (!knobs)
		return -ENOMEM;
	edu_event(&pdev->dev, "probe", 0);
	knobs->probe_noio = !!(current->flags & PF_MEMALLOC_NOIO);
	WRITE_ONCE(knobs->doing, "probe");
	ret = edu_start(pdev, knobs);
	WRITE_ONCE(knobs->doing, "-");
	edu_event(&pdev->dev, "probed", ret);
	if (!ret)
		atomic_inc(&knobs->probes);
	return ret;
}

void edu_remove(struct pci_dev *pdev)
{
	struct edu_knobs *knobs = edu_knobs_get(pci_name(pdev));
	struct auxiliary_device *child = pci_get_drvdata(pdev);

	edu_event(&pdev->dev, "remove", 0);
	knobs->remove_noio = !!(current->flags & PF_MEMALLOC_NOIO);
	WRITE_ONCE(knobs->doing, "remove");
	if (child) {
		auxiliary_device_delete(child);
		auxiliary_device_uninit(child);
	}
	edu_pause(knobs->remove_delay_ms, &knobs->remove_hold);
	if (knobs->gendisk)
		edu_disk_del(knobs->gendisk);
	knobs->gendisk = NULL;
	edu_page_free(&pdev->dev, knobs);
	WRITE_ONCE(knobs->doing, "-");
	atomic_inc(&knobs->removes);
	edu_event(&pdev->dev, "removed", 0);
}

/* Not for modprobe: a test loads the module when it wants it. */
static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{ }
};

static struct pci_driver edu_driver = {
	.name = "edu_lab",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static struct pci_driver edu_fixed_driver = {
	.name = "edu_lab_fixed",
	.probe = edu_probe,
	.remove = edu_remove,
	.driver.suppress_bind_attrs = true,
};

static struct pci_driver edu_managed_driver = {
	.name = "edu_lab_managed",
	.probe = edu_probe,
	.remove = edu_remove,
	.driver_managed_dma = true,
};

static int edu_child_probe(struct auxiliary_device *adev, const struct auxiliary_device_id *id)
{
	edu_event(&adev->dev, "probed", 0);
	return 0;
}

static void edu_child_remove(struct auxiliary_device *adev)
{
	edu_event(&adev->dev, "removed", 0);
}

static const struct auxiliary_device_id edu_child_ids[] = {
	{ .name = "edu_lab.child" },
	{ }
};

static struct auxiliary_driver edu_child_driver = {
	.name = "child",
	.id_table = edu_child_ids,
	.probe = edu_child_probe,
	.remove = edu_child_remove,
};

static struct pci_driver *const edu_drivers[] = {
#ifdef EDU_HAVE_PAUSE
	&edu_pause_driver,
#endif
	&edu_fixed_driver, &edu_managed_driver, &edu_driver,
};

static int __init edu_init(void)
{
	struct pci_dev *pdev = NULL;
	int i = 0, ret;

	ret = edu_knobs_init();
	if (ret)
		return ret;
	edu_links_init();
	edu_lock_init();
	edu_reach_init();
	/* A test turns knobs before the first probe: echo 0 > drivers_autoprobe. */
	while ((pdev = pci_get_device(EDU_VENDOR, EDU_DEVICE, pdev)))
		edu_knobs_get(pci_name(pdev));

	ret = auxiliary_driver_register(&edu_child_driver);
	if (ret)
		goto out_knobs;
	for (; i < ARRAY_SIZE(edu_drivers); i++) {
		ret = pci_register_driver(edu_drivers[i]);
		if (ret)
			goto out_drivers;
	}
	return 0;

out_drivers:
	while (i--)
		pci_unregister_driver(edu_drivers[i]);
	auxiliary_driver_unregister(&edu_child_driver);
out_knobs:
	edu_knobs_exit();
	return ret;
}
module_init(edu_init);

static void __exit edu_exit(void)
{
	/* Before the drivers: theirs may be the lock. */
	edu_lock_exit();
	edu_reach_exit();
	for (int i = ARRAY_SIZE(edu_drivers); i--;)
		pci_unregister_driver(edu_drivers[i]);
	auxiliary_driver_unregister(&edu_child_driver);
	edu_knobs_exit();
}
module_exit(edu_exit);

MODULE_DESCRIPTION("Test driver for QEMU's edu device");
MODULE_LICENSE("GPL");
