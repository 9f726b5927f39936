/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_GUARD_H
#define _ICFG_GUARD_H

#include "run.h"

/* Room for the reason why something is in use. */
#define ICFG_WHY	192

/* How long a disk has to be open, on end, to count as in use: udev looks in. */
#define ICFG_OPEN_FOR_MS	2000
#define ICFG_OPEN_POLL_MS	100

int icfg_guard_net(struct device *dev, char *why);
int icfg_guard_block(struct device *dev, char *why);
int icfg_guard_driver(const struct icfg_dev *d, char *why);
int icfg_guard_owner(struct icfg_target *target);
int icfg_guard_in_use(struct icfg_dev *d, unsigned int allow, char *why);

#endif /* _ICFG_GUARD_H */
