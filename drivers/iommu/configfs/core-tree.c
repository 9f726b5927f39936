// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module asks of the IOMMU core, by the functions that the core has for
 * it. The core blocks all DMA of the group while its domain changes and lets
 * neither a driver nor VFIO take it meanwhile.
 *
 * Takes no lock; the core takes the group's mutex.
 */
#include <linux/array_size.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "core.h"

int icfg_core_init(void)
{
	return 0;
}

void icfg_core_exit(void)
{
}

struct iommu_group *icfg_core_group_by_id(unsigned int id)
{
	struct iommu_group *group;

	KUNIT_STATIC_STUB_REDIRECT(icfg_core_group_by_id, id);

	group = iommu_group_get_by_id(id);
	/* One that has lost its last device is only waiting to be forgotten. */
	if (group && iommu_group_default_type(group) < 0) {
		iommu_group_put(group);
		return NULL;
	}
	return group;
}

/* What the core calls the types that can be asked for; 0 leaves it to the core. */
static const unsigned int domain_types[] = {
	[ICFG_AUTO]	= 0,
	[ICFG_IDENTITY]	= IOMMU_DOMAIN_IDENTITY,
	[ICFG_DMA]	= IOMMU_DOMAIN_DMA,
	[ICFG_DMA_FQ]	= IOMMU_DOMAIN_DMA_FQ,
};

static enum icfg_type from_domain_type(int domain_type)
{
	enum icfg_type type;

	for (type = ICFG_IDENTITY; type < ARRAY_SIZE(domain_types); type++)
		if (domain_type == domain_types[type])
			return type;
	return ICFG_OTHER;
}

/* The words of the group's sysfs file "type". */
static const char *type_word(int domain_type)
{
	enum icfg_type type = from_domain_type(domain_type);

	if (type == ICFG_OTHER && domain_type == IOMMU_DOMAIN_BLOCKED)
		return "blocked";
	if (type == ICFG_OTHER && domain_type == IOMMU_DOMAIN_UNMANAGED)
		return "unmanaged";
	return icfg_type_word(type);
}

int icfg_core_read_type(struct iommu_group *group, char *buf)
{
	int type = iommu_group_default_type(group);

	snprintf(buf, ICFG_TYPE_WORD, "%s\n", type_word(type));
	return 0;
}

enum icfg_type icfg_core_type(struct iommu_group *group)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_type, group);

	return from_domain_type(iommu_group_default_type(group));
}

bool icfg_core_in_place(enum icfg_type from, enum icfg_type to)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_in_place, from, to);

	return (from == ICFG_DMA && to == ICFG_DMA_FQ) ||
	       (from == ICFG_DMA_FQ && to == ICFG_DMA);
}

int icfg_core_set_type(struct iommu_group *group, enum icfg_type type)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_set_type, group, type);

	if (type == ICFG_NONE || type >= ARRAY_SIZE(domain_types))
		return -EINVAL;
	return iommu_group_set_default_type(group, domain_types[type]);
}

bool icfg_core_can_pause(const struct device_driver *drv)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_can_pause, drv);

	return drv->dma_pause && drv->dma_resume;
}

int icfg_core_pause(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_pause, dev);

	return dev->driver->dma_pause(dev);
}

int icfg_core_resume(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_resume, dev);

	return dev->driver->dma_resume(dev);
}

long icfg_core_mappings(struct iommu_group *group)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_mappings, group);

	return iommu_group_mappings(group);
}

int icfg_core_set_paused_type(struct iommu_group *group, enum icfg_type type,
			      unsigned int drivers, enum icfg_type *now)
{
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(icfg_core_set_paused_type, group, type,
				   drivers, now);

	if (type == ICFG_NONE || type >= ARRAY_SIZE(domain_types))
		return -EINVAL;
	ret = iommu_group_set_paused_type(group, domain_types[type], drivers);
	if (ret < 0)
		return ret;
	*now = from_domain_type(ret);
	return 0;
}

bool icfg_core_reaches_memory(struct device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_core_reaches_memory, dev);

	return iommu_dma_mask_covers_memory(dev);
}
