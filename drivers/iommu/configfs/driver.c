// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finding things in the driver core: a driver by its name, what hangs below a
 * device, whether a driver manages DMA itself.
 *
 * Owns no data. Every pointer handed out carries a reference.
 */
#include <linux/amba/bus.h>
#include <linux/cdx/cdx_bus.h>
#include <linux/fsl/mc.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "icfg.h"

/**
 * icfg_driver_manages_dma - does a driver keep away from the DMA API?
 * @drv: a driver; the caller holds its module, or the lock of a device that
 *	is bound to it
 *
 * Such a driver (pcieport, vfio-pci and its kind) does not count as a user of
 * the default domain: the core switches the domain below it.
 */
bool icfg_driver_manages_dma(const struct device_driver *drv)
{
	if (drv->bus == &platform_bus_type)
		return to_platform_driver(drv)->driver_managed_dma;
#ifdef CONFIG_PCI
	if (drv->bus == &pci_bus_type)
		return to_pci_driver(drv)->driver_managed_dma;
#endif
#ifdef CONFIG_ARM_AMBA
	if (drv->bus == &amba_bustype)
		return container_of_const(drv, struct amba_driver, drv)->driver_managed_dma;
#endif
#ifdef CONFIG_FSL_MC_BUS
	if (drv->bus == &fsl_mc_bus_type)
		return container_of_const(drv, struct fsl_mc_driver, driver)->driver_managed_dma;
#endif
#ifdef CONFIG_CDX_BUS
	if (drv->bus == &cdx_bus_type)
		return container_of_const(drv, struct cdx_driver, driver)->driver_managed_dma;
#endif
	return false;
}

/* Has it message signaled interrupts at present? Its lock is held. */
bool icfg_has_msi(struct device *dev)
{
	return dev_is_pci(dev) && pci_dev_msi_enabled(to_pci_dev(dev));
}

/**
 * icfg_translates_msi - are interrupts of a group's devices mapped in its domain?
 * @group: the group
 *
 * Where the IOMMU translates the writes that are a device's interrupts, as on
 * Arm, their address was mapped in the domain of the time when the driver
 * asked for them. In another domain such a write goes nowhere, or into a buffer
 * of the device next to it. Waits for who works on the group.
 */
bool icfg_translates_msi(struct iommu_group *group)
{
	struct iommu_resv_region *region, *next;
	bool translated = false;
	LIST_HEAD(regions);

	/* Better once too often than once too few. */
	if (iommu_get_group_resv_regions(group, &regions))
		translated = true;
	list_for_each_entry_safe(region, next, &regions, list) {
		if (region->type == IOMMU_RESV_SW_MSI)
			translated = true;
		kfree(region);
	}
	return translated;
}

/**
 * icfg_keeps_msi - does a device have interrupts in its group's domain?
 * @dev: a device whose lock is held
 *
 * PCIe ports have such interrupts; they come back in the new domain when their
 * driver is probed again. Waits for who works on the group.
 */
bool icfg_keeps_msi(struct device *dev)
{
	struct iommu_group *group = icfg_has_msi(dev) ? iommu_group_get(dev) : NULL;
	bool keeps = group && icfg_translates_msi(group);

	iommu_group_put(group);
	return keeps;
}

/* Is it bound to a driver of this name? */
bool icfg_has_driver(const struct device *dev, const char *name)
{
	const struct device_driver *drv;

	/* A driver's module is freed only a grace period after its unbinding. */
	guard(rcu)();

	drv = READ_ONCE(dev->driver);
	return drv && !strcmp(drv->name, name);
}

struct driver_search {
	const char *name;
	struct device_driver *found;
};

static int match_driver(struct device_driver *drv, void *data)
{
	struct driver_search *search = data;

	if (strcmp(drv->name, search->name) || !try_module_get(drv->owner))
		return 0;
	search->found = drv;
	return 1;
}

/**
 * icfg_driver_get - find a driver by name and pin its module
 * @bus: the bus that both belong to
 * @name: the driver's name
 *
 * Returns the driver, whose module the caller puts, or NULL when it is gone or
 * about to go.
 */
struct device_driver *icfg_driver_get(const struct bus_type *bus,
				      const char *name)
{
	struct driver_search search = { .name = name };

	bus_for_each_drv(bus, NULL, &search, match_driver);
	return search.found;
}

static int visit_below(struct device *dev, void *data)
{
	struct icfg_visit *visit = data;

	return visit->fn(dev, visit->data) ?:
	       device_for_each_child(dev, visit, visit_below);
}

/**
 * icfg_walk_below - visit every descendant of a device
 * @dev: where to start; not visited itself
 * @visit: what to do
 *
 * The walk holds a reference on each device on its way, and no lock: devices
 * may come and go meanwhile. Returns what the last visit returned.
 */
int icfg_walk_below(struct device *dev, struct icfg_visit *visit)
{
	return device_for_each_child(dev, visit, visit_below);
}
