// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seam, by the functions that the IOMMU core has for it. The core blocks all
 * DMA of the group while its domain changes and lets nobody in between: neither
 * a driver nor VFIO.
 *
 * A seat is the group itself, of which it is a reference. Takes no lock; the
 * core takes the group's mutex.
 */
#include <linux/err.h>
#include <linux/module.h>

#include "../iommu-priv.h"
#include "kunit.h"
#include "seam.h"

static struct iommu_group *to_group(struct icfg_seat *seat)
{
	return (struct iommu_group *)seat;
}

int icfg_seam_init(void)
{
	return 0;
}

void icfg_seam_exit(void)
{
}

struct iommu_group *icfg_group_by_id(unsigned int id)
{
	struct iommu_group *group;

	KUNIT_STATIC_STUB_REDIRECT(icfg_group_by_id, id);

	group = iommu_group_get_by_id(id);
	/* One that has lost its last device is only waiting to be forgotten. */
	if (group && iommu_group_default_type(group) < 0) {
		iommu_group_put(group);
		return NULL;
	}
	return group;
}

struct icfg_seat *icfg_seat_get(struct iommu_group *group)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_seat_get, group);

	return (struct icfg_seat *)iommu_group_ref_get(group);
}

void icfg_seat_put(struct icfg_seat *seat)
{
	iommu_group_put(to_group(seat));
}

/* The words of the group's sysfs file "type". */
static const char *type_word(int type)
{
	switch (type) {
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

int icfg_seat_read(struct icfg_seat *seat, char *buf)
{
	int type = iommu_group_default_type(to_group(seat));

	snprintf(buf, ICFG_SEAT_WORD, "%s\n", type_word(type));
	return 0;
}

enum icfg_type icfg_seat_type(struct icfg_seat *seat)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_seat_type, seat);

	switch (iommu_group_default_type(to_group(seat))) {
	case IOMMU_DOMAIN_IDENTITY:
		return ICFG_IDENTITY;
	case IOMMU_DOMAIN_DMA:
		return ICFG_DMA;
	case IOMMU_DOMAIN_DMA_FQ:
		return ICFG_DMA_FQ;
	default:
		return ICFG_OTHER;
	}
}

int icfg_seat_set(struct icfg_seat *seat, enum icfg_type type)
{
	unsigned int domain_type;

	KUNIT_STATIC_STUB_REDIRECT(icfg_seat_set, seat, type);

	switch (type) {
	case ICFG_AUTO:
		domain_type = 0;
		break;
	case ICFG_IDENTITY:
		domain_type = IOMMU_DOMAIN_IDENTITY;
		break;
	case ICFG_DMA:
		domain_type = IOMMU_DOMAIN_DMA;
		break;
	case ICFG_DMA_FQ:
		domain_type = IOMMU_DOMAIN_DMA_FQ;
		break;
	default:
		return -EINVAL;
	}
	return iommu_group_set_default_type(to_group(seat), domain_type);
}

MODULE_IMPORT_NS("IOMMU_CONFIGFS");
