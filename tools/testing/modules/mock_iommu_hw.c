// SPDX-License-Identifier: GPL-2.0
/*
 * The mock IOMMU towards the core: three units, one of each kind, which differ in what
 * they offer. A device names its unit by a firmware node, as it would with devicetree or
 * ACPI, so that a real IOMMU beside it is none of its business.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mock_iommu.h"

struct mock_iommu {
	struct iommu_device iommu;
	struct software_node node;
	struct platform_device *pdev;
};

const char * const mock_unit_names[MOCK_UNITS] = {
	[MOCK_FULL] = "full",
	[MOCK_NO_IDENTITY] = "noidentity",
	[MOCK_DYNAMIC] = "dynamic",
};

static struct mock_iommu mock_units[MOCK_UNITS] = {
	[MOCK_FULL].node.name = "mock-iommu-full",
	[MOCK_NO_IDENTITY].node.name = "mock-iommu-noidentity",
	[MOCK_DYNAMIC].node.name = "mock-iommu-dynamic",
};

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_DEFERRED_FLUSH:
		if (mock_read(mdev, MOCK_FQ_BREAKS) && READ_ONCE(mdev->lazy))
			return false;
		return !mock_read(mdev, MOCK_NO_FQ);
	default:
		return false;
	}
}

static struct iommu_device *mock_probe_device(struct device *dev)
{
	return &mock_units[to_mock_dev(dev)->unit].iommu;
}

static void mock_release_device(struct device *dev)
{
	mock_hw_detach(to_mock_dev(dev));
}

/* The group that another member has already, else a new one. */
static struct iommu_group *mock_device_group(struct device *dev)
{
	struct mock_dev *mdev = to_mock_dev(dev);
	struct iommu_group *group = NULL;
	struct mock_dev *other;

	guard(mutex)(&mock_lock);
	list_for_each_entry(other, &mdev->group->devs, in_group) {
		if (other != mdev)
			group = iommu_group_get(&other->pdev->dev);
		if (group)
			return group;
	}
	return iommu_group_alloc();
}

static void mock_get_resv_regions(struct device *dev, struct list_head *list)
{
	struct iommu_resv_region *region;

	if (!mock_read(to_mock_dev(dev), MOCK_DIRECT))
		return;
	region = iommu_alloc_resv_region(page_to_phys(mock_direct_page), PAGE_SIZE,
					 IOMMU_READ | IOMMU_WRITE, IOMMU_RESV_DIRECT, GFP_KERNEL);
	if (region)
		list_add_tail(&region->list, list);
}

static int mock_def_domain_type(struct device *dev)
{
	return mock_read(to_mock_dev(dev), MOCK_FORCE);
}

#define MOCK_OPS						\
	.owner = THIS_MODULE,					\
	.capable = mock_capable,				\
	.probe_device = mock_probe_device,			\
	.release_device = mock_release_device,			\
	.device_group = mock_device_group,			\
	.get_resv_regions = mock_get_resv_regions,		\
	.def_domain_type = mock_def_domain_type,		\
	.domain_alloc_paging = mock_paging_alloc,		\
	.blocked_domain = &mock_blocked_domain,			\
	.default_domain_ops = &mock_paging_ops

#ifndef MOCK_HAVE_ALLOC_IDENTITY
static struct iommu_domain *mock_domain_alloc(unsigned int type)
{
	return type == IOMMU_DOMAIN_IDENTITY ? mock_identity_alloc(NULL) : ERR_PTR(-EOPNOTSUPP);
}
#endif

static const struct iommu_ops mock_ops[MOCK_UNITS] = {
	[MOCK_FULL] = {
		MOCK_OPS,
		.identity_domain = &mock_identity_domain,
	},
	[MOCK_NO_IDENTITY] = {
		MOCK_OPS,
	},
	[MOCK_DYNAMIC] = {
		MOCK_OPS,
#ifdef MOCK_HAVE_ALLOC_IDENTITY
		.domain_alloc_identity = mock_identity_alloc,
#else
		.domain_alloc = mock_domain_alloc,
#endif
	},
};

/**
 * mock_fwspec_init - put a device behind a unit
 * @dev: not added yet
 * @unit: which one
 *
 * What iommu_fwspec_init() does; but that one is for callers inside the core,
 * which hold its lock. Nobody else knows of this device so far.
 */
int mock_fwspec_init(struct device *dev, enum mock_unit unit)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(mock_units[unit].iommu.fwnode);
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

/* What the hardware does with the address; 0 is a fault. */
static phys_addr_t translate(struct mock_dev *mdev, dma_addr_t addr)
{
	unsigned int type = IOMMU_DOMAIN_BLOCKED;
	phys_addr_t phys = 0;
	unsigned long flags;

	spin_lock_irqsave(&mock_hw_lock, flags);
	/* The core may change it in place. */
	if (mdev->domain)
		type = READ_ONCE(mdev->domain->type);
	if (type == IOMMU_DOMAIN_IDENTITY)
		phys = addr;
	else if (type != IOMMU_DOMAIN_BLOCKED)
		phys = mock_paging_translate(mdev->domain, addr);
	spin_unlock_irqrestore(&mock_hw_lock, flags);
	return phys;
}

/**
 * mock_hw_copy - let a device do DMA
 * @mdev: the device
 * @addr: what its driver gave it
 * @buf: the device's own memory
 * @len: how much
 * @write: from @buf to memory, not the other way around
 *
 * Returns 0, or -EFAULT where an address does not lead to memory.
 */
int mock_hw_copy(struct mock_dev *mdev, dma_addr_t addr, void *buf, size_t len, bool write)
{
	while (len) {
		size_t chunk = min_t(size_t, len, SZ_4K - addr % SZ_4K);
		phys_addr_t phys = translate(mdev, addr);

		if (!phys || !pfn_valid(PHYS_PFN(phys)) ||
		    PageReserved(pfn_to_page(PHYS_PFN(phys))))
			return -EFAULT;
		if (write)
			memcpy(phys_to_virt(phys), buf, chunk);
		else
			memcpy(buf, phys_to_virt(phys), chunk);
		addr += chunk;
		buf += chunk;
		len -= chunk;
	}
	return 0;
}

/* How many unmappings of its domain were left to a later flush. */
unsigned int mock_hw_queued(struct mock_dev *mdev)
{
	unsigned int queued = 0;
	unsigned long flags;

	spin_lock_irqsave(&mock_hw_lock, flags);
	if (mdev->domain &&
	    READ_ONCE(mdev->domain->type) & __IOMMU_DOMAIN_PAGING)
		queued = mock_paging_queued(mdev->domain);
	spin_unlock_irqrestore(&mock_hw_lock, flags);
	return queued;
}

/* What is attached to the device. */
const char *mock_hw_type(struct mock_dev *mdev)
{
	unsigned int type = UINT_MAX;
	unsigned long flags;

	spin_lock_irqsave(&mock_hw_lock, flags);
	if (mdev->domain)
		type = READ_ONCE(mdev->domain->type);
	spin_unlock_irqrestore(&mock_hw_lock, flags);

	switch (type) {
	case UINT_MAX:
		return "-";
	case IOMMU_DOMAIN_BLOCKED:
		return "blocked";
	case IOMMU_DOMAIN_IDENTITY:
		return "identity";
	case IOMMU_DOMAIN_UNMANAGED:
		return "unmanaged";
	case IOMMU_DOMAIN_DMA:
		return "DMA";
	case IOMMU_DOMAIN_DMA_FQ:
		return "DMA-FQ";
	default:
		return "unknown";
	}
}

static void unit_remove(struct mock_iommu *unit)
{
	iommu_device_unregister(&unit->iommu);
	iommu_device_sysfs_remove(&unit->iommu);
	platform_device_unregister(unit->pdev);
	software_node_unregister(&unit->node);
}

static int unit_add(struct mock_iommu *unit, const struct iommu_ops *ops)
{
	struct platform_device_info info = { .name = "mock_iommu", .id = unit - mock_units };
	int ret;

	ret = software_node_register(&unit->node);
	if (ret)
		return ret;
	info.fwnode = software_node_fwnode(&unit->node);
	unit->pdev = platform_device_register_full(&info);
	if (IS_ERR(unit->pdev)) {
		ret = PTR_ERR(unit->pdev);
		goto err_node;
	}
	ret = iommu_device_sysfs_add(&unit->iommu, &unit->pdev->dev, NULL, "%s", unit->node.name);
	if (ret)
		goto err_pdev;
	ret = iommu_device_register(&unit->iommu, ops, &unit->pdev->dev);
	if (ret)
		goto err_sysfs;
	return 0;

err_sysfs:
	iommu_device_sysfs_remove(&unit->iommu);
err_pdev:
	platform_device_unregister(unit->pdev);
err_node:
	software_node_unregister(&unit->node);
	return ret;
}

int mock_hw_init(void)
{
	int i, ret;

	mock_direct_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!mock_direct_page)
		return -ENOMEM;
	for (i = 0; i < MOCK_UNITS; i++) {
		ret = unit_add(&mock_units[i], &mock_ops[i]);
		if (ret)
			goto err;
	}
	return 0;

err:
	while (i--)
		unit_remove(&mock_units[i]);
	__free_page(mock_direct_page);
	return ret;
}

void mock_hw_exit(void)
{
	for (int i = 0; i < MOCK_UNITS; i++)
		unit_remove(&mock_units[i]);
	__free_page(mock_direct_page);
}
