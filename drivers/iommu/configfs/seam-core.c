// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seam, by the functions that the IOMMU core has for it. The core blocks all
 * DMA of the group while its domain changes and lets nobody in between: neither
 * a driver nor VFIO.
 *
 * A seat is the group itself, of which it is a reference. Takes no lock; the
 * core takes the group's mutex.
 */
#include <linux/array_size.h>
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

int icfg_seat_read(struct icfg_seat *seat, char *buf)
{
	int type = iommu_group_default_type(to_group(seat));

	snprintf(buf, ICFG_SEAT_WORD, "%s\n", type_word(type));
	return 0;
}

enum icfg_type icfg_seat_type(struct icfg_seat *seat)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_seat_type, seat);

	return from_domain_type(iommu_group_default_type(to_group(seat)));
}

int icfg_seat_set(struct icfg_seat *seat, enum icfg_type type)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_seat_set, seat, type);

	if (type == ICFG_NONE || type >= ARRAY_SIZE(domain_types))
		return -EINVAL;
	return iommu_group_set_default_type(to_group(seat), domain_types[type]);
}

MODULE_IMPORT_NS("IOMMU_CONFIGFS");
