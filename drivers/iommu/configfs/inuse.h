/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_INUSE_H
#define _ICFG_INUSE_H

#include "icfg.h"

/* Room for the reason why something is in use. */
#define ICFG_WHY	192

/* How long a disk has to be open, on end, to count as in use: udev looks in. */
#define ICFG_OPEN_FOR_MS	2000
#define ICFG_OPEN_POLL_MS	100

/* Called for a use, with -EBUSY, or -EAGAIN where it may end soon, and the reason. */
typedef void icfg_inuse_fn(struct icfg_plan_dev *d, int err, const char *why);

int icfg_inuse_below(struct icfg_plan_dev *d, unsigned int words, char *why,
		     icfg_inuse_fn *fn);
int icfg_inuse_driver(const struct icfg_plan_dev *d, char *why);
int icfg_inuse_owner(struct icfg_plan_group *group, struct icfg_plan_dev **dev,
		     char *why);
int icfg_inuse_enter(struct icfg_plan_dev *d, unsigned int allow, char *why);
#ifdef CONFIG_BLOCK
void icfg_inuse_leave(const struct icfg_plan_dev *d);
#else
static inline void icfg_inuse_leave(const struct icfg_plan_dev *d) {}
#endif

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
