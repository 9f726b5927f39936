// SPDX-License-Identifier: GPL-2.0-only
/*
 * What types a group can have: what the IOMMU driver forces, what it cannot
 * give, and what "auto" will come to where that is certain beforehand. The
 * rules are those of iommu_get_default_domain_type() in the core.
 *
 * Owns struct icfg_types. What looks into dev->iommu is called under the
 * group's mutex (from iommu_group_for_each_dev()), since nothing else keeps
 * that structure; it takes no lock itself.
 */
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#ifdef ICFG_HAVE_GENERIC_PT
#include <linux/generic_pt/iommu.h>
#endif

#include "icfg.h"

static const struct iommu_ops *device_ops(struct device *dev)
{
	if (!dev->iommu || !dev->iommu->iommu_dev)
		return NULL;
	return dev->iommu->iommu_dev->ops;
}

static enum icfg_type from_domain_type(unsigned int type)
{
	switch (type) {
	case 0:
		return ICFG_NONE;
	case IOMMU_DOMAIN_IDENTITY:
		return ICFG_IDENTITY;
	case IOMMU_DOMAIN_DMA:
		return ICFG_DMA;
	default:
		return ICFG_OTHER;
	}
}

static bool is_untrusted(struct device *dev)
{
	return dev_is_pci(dev) && to_pci_dev(dev)->untrusted;
}

/* What the IOMMU driver insists on for @dev. */
static enum icfg_type driver_type(struct device *dev)
{
	const struct iommu_ops *ops = device_ops(dev);

	if (!ops)
		return ICFG_NONE;
	if (ops->default_domain)
		return from_domain_type(ops->default_domain->type);
	return from_domain_type(ops->def_domain_type ?
				ops->def_domain_type(dev) : 0);
}

/**
 * icfg_required_type - the only type that a device takes
 * @dev: a device, with its group's mutex held
 *
 * Returns ICFG_NONE where any will do.
 */
enum icfg_type icfg_required_type(struct device *dev)
{
	return is_untrusted(dev) ? ICFG_DMA : driver_type(dev);
}

static enum icfg_support has_identity(struct device *dev)
{
	const struct iommu_ops *ops = device_ops(dev);

	if (!ops)
		return ICFG_UNSUPPORTED;
	if (ops->identity_domain)
		return ICFG_SUPPORTED;
#ifdef ICFG_HAVE_ALLOC_IDENTITY
	return ops->domain_alloc_identity ? ICFG_SUPPORT_UNKNOWN : ICFG_UNSUPPORTED;
#else
	return ops->domain_alloc ? ICFG_SUPPORT_UNKNOWN : ICFG_UNSUPPORTED;
#endif
}

/*
 * From 6.19 on, the IOMMU drivers that use the generic page table no longer
 * report the capability, since all of their paging domains can do it.
 */
static enum icfg_support domain_grants_fq(struct iommu_domain *domain)
{
#ifdef ICFG_HAVE_GENERIC_PT
	if (!domain || !(domain->type & __IOMMU_DOMAIN_PAGING))
		return ICFG_SUPPORT_UNKNOWN;
	return iommupt_from_domain(domain) ? ICFG_SUPPORTED : ICFG_UNSUPPORTED;
#else
	return ICFG_UNSUPPORTED;
#endif
}

static enum icfg_support has_fq(struct device *dev)
{
	if (device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH))
		return ICFG_SUPPORTED;
#if defined(ICFG_HAVE_DRIVER_DOMAIN)
	return domain_grants_fq(iommu_driver_get_domain_for_dev(dev));
#elif defined(ICFG_HAVE_GENERIC_PT)
	/* Not to be had here; see icfg_domain_defers(). */
	return ICFG_SUPPORT_UNKNOWN;
#else
	return ICFG_UNSUPPORTED;
#endif
}

/**
 * icfg_domain_defers - does the paging domain of a device grant DMA-FQ?
 * @dev: a device whose lock is held, without its group's mutex
 *
 * For kernels that do not tell it for the asking under the group's mutex. The
 * domain is safe to look at only while a driver has the device: the core does
 * not exchange it below one.
 */
enum icfg_support icfg_domain_defers(struct device *dev)
{
	if (!dev->driver)
		return ICFG_SUPPORT_UNKNOWN;
	return domain_grants_fq(iommu_get_domain_for_dev(dev));
}

void icfg_types_init(struct icfg_types *rules)
{
	*rules = (struct icfg_types){
		.identity = ICFG_SUPPORTED,
		.fq = ICFG_SUPPORTED,
	};
}

void icfg_types_free(struct icfg_types *rules)
{
	put_device(rules->forced_by);
	rules->forced_by = NULL;
}

static void force(struct icfg_types *rules, enum icfg_type type,
		  struct device *dev)
{
	put_device(rules->forced_by);
	rules->forced_by = get_device(dev);
	rules->forced = type;
}

static enum icfg_support weaker(enum icfg_support a, enum icfg_support b)
{
	if (a == ICFG_UNSUPPORTED || b == ICFG_UNSUPPORTED)
		return ICFG_UNSUPPORTED;
	return a == ICFG_SUPPORT_UNKNOWN ? a : b;
}

/**
 * icfg_types_add - take another member of the group into account
 * @rules: the rules so far
 * @dev: the member, with the group's mutex held
 */
void icfg_types_add(struct icfg_types *rules, struct device *dev)
{
	enum icfg_type type = driver_type(dev);
	bool untrusted = is_untrusted(dev);

	rules->identity = weaker(rules->identity, has_identity(dev));
	rules->fq = weaker(rules->fq, has_fq(dev));

	if (untrusted && type == ICFG_NONE)
		type = ICFG_DMA;
	if (untrusted)
		rules->untrusted = true;
	/* Where members want different types, identity takes precedence. */
	if (type != ICFG_NONE &&
	    (rules->forced == ICFG_NONE || type == ICFG_IDENTITY))
		force(rules, type, dev);
	if (rules->untrusted && rules->forced != ICFG_DMA)
		rules->contradiction = true;
}

/**
 * icfg_auto_type - the type that "auto" comes to, where that is certain
 * @rules: of the group
 *
 * Without a forced type the core takes the system's default, and of that a
 * module can learn only whether it is pass-through. Returns ICFG_NONE where
 * nothing is certain.
 */
enum icfg_type icfg_auto_type(const struct icfg_types *rules)
{
	if (rules->forced != ICFG_NONE)
		return rules->forced;
	return iommu_default_passthrough() ? ICFG_IDENTITY : ICFG_NONE;
}
