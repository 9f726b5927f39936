/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_BUSES_H
#define _ICFG_BUSES_H

#include <linux/device.h>
#include <linux/notifier.h>

/* As many as any kernel has. */
#define ICFG_BUSES_MAX	6

const struct bus_type *icfg_bus_by_name(const char *name, size_t len);
void icfg_buses_visit(int (*fn)(struct device *dev, void *data), void *data);
int icfg_buses_watch(struct notifier_block *blocks, notifier_fn_t fn,
		     int priority);
void icfg_buses_unwatch(struct notifier_block *blocks);

#endif /* _ICFG_BUSES_H */
