/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_ELIGIBLE_H
#define _ICFG_ELIGIBLE_H

#include <linux/device.h>

#include "words.h"

enum icfg_maybe {
	ICFG_NO,
	ICFG_YES,
	ICFG_MAYBE,	/* shows only when tried */
};

/**
 * struct icfg_rules - what the devices of a group allow it to be
 * @forced: the only type that they take, or ICFG_NONE where any will do
 * @untrusted: there is a device that is not trusted
 * @contradiction: a device that is not trusted, in a group that its IOMMU
 *	driver forces to identity: the core takes no type at all
 * @forced_by: a device that forces it; a reference is held, or NULL
 * @identity: does the IOMMU have an identity domain?
 * @fq: does the IOMMU take lazy invalidation?
 */
struct icfg_rules {
	enum icfg_type forced;
	bool untrusted;
	bool contradiction;
	struct device *forced_by;
	enum icfg_maybe identity;
	enum icfg_maybe fq;
};

void icfg_rules_init(struct icfg_rules *rules);
void icfg_rules_free(struct icfg_rules *rules);
void icfg_rules_add(struct icfg_rules *rules, struct device *dev);

enum icfg_type icfg_required_type(struct device *dev);
enum icfg_maybe icfg_domain_defers(struct device *dev);
enum icfg_type icfg_auto_type(const struct icfg_rules *rules);

#endif /* _ICFG_ELIGIBLE_H */
