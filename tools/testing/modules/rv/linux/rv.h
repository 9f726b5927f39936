/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a monitor sees of the kernel's runtime verification, for kernels without
 * it: a monitor that is registered is enabled.
 */
#ifndef _LINUX_RV_H
#define _LINUX_RV_H

#include <linux/types.h>

struct rv_monitor {
	const char *name;
	const char *description;
	bool enabled;
	int (*enable)(void);
	void (*disable)(void);
	void (*reset)(void);
};

static inline int rv_register_monitor(struct rv_monitor *monitor,
				      struct rv_monitor *parent)
{
	return monitor->enable();
}

static inline void rv_unregister_monitor(struct rv_monitor *monitor)
{
	monitor->disable();
}

#endif
