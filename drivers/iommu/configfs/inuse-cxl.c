// SPDX-License-Identifier: GPL-2.0-only
/*
 * A row of the table in inuse.c: CXL memory that belongs to a region. The region
 * goes when the driver of one of its memory devices is unbound, whether its
 * memory is online or not.
 *
 * The structs of the CXL core are private to it, so that this asks its sysfs: the
 * endpoint port of a memory device has a link "uport" to it, and each decoder of
 * that port an attribute "region".
 */
#include <linux/device.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/sysfs.h>

#include "inuse.h"

/* Does the link @name of @dev point to @target? */
static bool has_link_to(const struct device *dev, const char *name,
			const struct device *target)
{
	struct kernfs_node *link;
	bool same;

	if (!dev->kobj.sd)
		return false;
	link = kernfs_find_and_get(dev->kobj.sd, name);
	if (!link)
		return false;
	same = kernfs_type(link) == KERNFS_LINK &&
	       link->symlink.target_kn == target->kobj.sd;
	kernfs_put(link);
	return same;
}

static struct device_attribute *find_attribute(const struct device *dev,
					       const char *name)
{
	const struct attribute_group **group;
	struct attribute **attr;

	for (group = dev->type->groups; group && *group; group++)
		for (attr = (*group)->attrs; attr && *attr; attr++)
			if (!strcmp((*attr)->name, name))
				return container_of(*attr, struct device_attribute,
						    attr);
	return NULL;
}

struct search {
	const struct device *memdev;
	char *region;	/* a page */
};

static int find_region(struct device *dev, void *data)
{
	struct device_attribute *attr;
	struct search *search = data;
	ssize_t len;

	if (!icfg_inuse_is_type(dev, "cxl_decoder_endpoint") || !dev->parent ||
	    !has_link_to(dev->parent, "uport", search->memdev))
		return 0;
	attr = find_attribute(dev, "region");
	if (!attr || !attr->show)
		return 0;
	len = attr->show(dev, attr, search->region);
	/* Without a region it is an empty line. */
	return len < 0 || len > 1;
}

int icfg_inuse_cxl(struct device *dev, char *why)
{
	struct search search = { .memdev = dev };
	bool found;

	if (!icfg_inuse_is_type(dev, "cxl_memdev"))
		return 0;
	search.region = (char *)get_zeroed_page(GFP_KERNEL);
	if (!search.region) {
		snprintf(why, ICFG_WHY, "no memory to look at CXL device %s",
			 dev_name(dev));
		return -EBUSY;
	}
	found = bus_for_each_dev(dev->bus, NULL, &search, find_region);
	if (found)
		snprintf(why, ICFG_WHY,
			 "CXL memory %s belongs to %.20s: take its memory offline and destroy the region first",
			 dev_name(dev), strim(search.region));
	free_page((unsigned long)search.region);
	return found ? -EBUSY : 0;
}
