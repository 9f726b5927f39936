/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_PACE_H
#define _ICFG_PACE_H

#include <linux/types.h>

struct device_driver;

void icfg_pace_note(const struct device_driver *drv, s64 us);
unsigned int icfg_pace_of(const struct device_driver *drv);

#endif /* _ICFG_PACE_H */
