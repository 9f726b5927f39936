/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_LOOKUP_H
#define _ICFG_LOOKUP_H

#include <linux/device.h>

/**
 * struct icfg_visit - what to do with the devices of a walk
 * @fn: returns 0 to go on; anything else ends the walk
 * @data: passed on to @fn
 */
struct icfg_visit {
	int (*fn)(struct device *dev, void *data);
	void *data;
};

bool icfg_driver_manages_dma(const struct device_driver *drv);
bool icfg_keeps_msi(struct device *dev);
struct device_driver *icfg_driver_get(const struct bus_type *bus,
				      const char *name);
int icfg_walk_below(struct device *dev, struct icfg_visit *visit);

#endif /* _ICFG_LOOKUP_H */
