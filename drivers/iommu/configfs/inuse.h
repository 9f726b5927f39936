/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_INUSE_H
#define _ICFG_INUSE_H

#include "icfg.h"

/*
 * The tests of the table in inuse.c. Each gets a device of the class or bus of its
 * row, and ICFG_WHY bytes for the reason and for what to do about it. It returns
 * 0, -EBUSY, or -EAGAIN for a use that may end soon.
 */
int icfg_inuse_9p(struct device *dev, char *why);
int icfg_inuse_block(struct device *dev, char *why);
int icfg_inuse_cxl(struct device *dev, char *why);
int icfg_inuse_dma(struct device *dev, char *why);
int icfg_inuse_drm(struct device *dev, char *why);
int icfg_inuse_lone_watchdog(struct device *dev, char *why);
int icfg_inuse_mtd(struct device *dev, char *why);
int icfg_inuse_net(struct device *dev, char *why);
int icfg_inuse_rdma_storage(struct device *dev, char *why);
int icfg_inuse_subfunction(struct device *dev, char *why);
int icfg_inuse_vfio(struct device *dev, char *why);
int icfg_inuse_virtiofs(struct device *dev, char *why);
int icfg_inuse_watchdog(struct device *dev, char *why);

bool icfg_inuse_is_class(const struct device *dev, const char *name);
bool icfg_inuse_is_type(const struct device *dev, const char *name);

/* inuse-block.c */
#ifdef CONFIG_BLOCK
int icfg_inuse_claim(struct device *dev, const void *owner, char *why);
#else
static inline int icfg_inuse_claim(struct device *dev, const void *owner,
				   char *why)
{
	return 0;
}
#endif

#endif /* _ICFG_INUSE_H */
