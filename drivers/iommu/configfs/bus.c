// SPDX-License-Identifier: GPL-2.0-only
/*
 * The buses whose devices the IOMMU core probes, as in iommu.c: no others can be
 * in a group with a default domain.
 *
 * Owns the list, which never changes, and takes no lock but the buses' own.
 */
#include <linux/amba/bus.h>
#include <linux/cdx/cdx_bus.h>
#include <linux/fsl/mc.h>
#ifdef CONFIG_TEGRA_HOST1X_CONTEXT_BUS
#include <linux/host1x_context_bus.h>
#endif
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/string.h>

#include "icfg.h"

static const struct bus_type * const iommu_buses[] = {
	&platform_bus_type,
#ifdef CONFIG_PCI
	&pci_bus_type,
#endif
#ifdef CONFIG_ARM_AMBA
	&amba_bustype,
#endif
#ifdef CONFIG_FSL_MC_BUS
	&fsl_mc_bus_type,
#endif
#ifdef CONFIG_TEGRA_HOST1X_CONTEXT_BUS
	&host1x_context_device_bus_type,
#endif
#ifdef CONFIG_CDX_BUS
	&cdx_bus_type,
#endif
};

static_assert(ARRAY_SIZE(iommu_buses) <= ICFG_BUSES_MAX);

/**
 * icfg_bus_by_name - one of the buses
 * @name: its name, without a NUL
 * @len: bytes in @name
 *
 * Returns NULL for a bus that this kernel does not have, or that has no groups.
 */
const struct bus_type *icfg_bus_by_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(iommu_buses); i++)
		if (len == strlen(iommu_buses[i]->name) &&
		    !memcmp(iommu_buses[i]->name, name, len))
			return iommu_buses[i];
	return NULL;
}

/* Visit the devices of all of them. */
void icfg_buses_visit(int (*fn)(struct device *dev, void *data), void *data)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(iommu_buses); i++)
		bus_for_each_dev(iommu_buses[i], NULL, data, fn);
}

/**
 * icfg_buses_watch - have a function called for what happens on the buses
 * @blocks: ICFG_BUSES_MAX of them, for this module to keep
 * @fn: called with a BUS_NOTIFY_* and the device
 * @priority: the IOMMU core's is 0; a higher one is called before it
 *
 * Returns 0, or a negative errno with nothing watched.
 */
int icfg_buses_watch(struct notifier_block *blocks, notifier_fn_t fn,
		     int priority)
{
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(iommu_buses); i++) {
		blocks[i] = (struct notifier_block){
			.notifier_call	= fn,
			.priority	= priority,
		};
		ret = bus_register_notifier(iommu_buses[i], &blocks[i]);
		if (ret)
			goto err_unregister;
	}
	return 0;

err_unregister:
	while (i--)
		bus_unregister_notifier(iommu_buses[i], &blocks[i]);
	return ret;
}

/* No call is under way when it returns. */
void icfg_buses_unwatch(struct notifier_block *blocks)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(iommu_buses); i++)
		bus_unregister_notifier(iommu_buses[i], &blocks[i]);
}
