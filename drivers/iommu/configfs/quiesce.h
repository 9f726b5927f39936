/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_QUIESCE_H
#define _ICFG_QUIESCE_H

#include "run.h"

void icfg_release_devs(struct icfg_run *run,
		       bool (*due)(const struct icfg_dev *d));
void icfg_switch_targets(struct icfg_run *run,
			 bool (*due)(const struct icfg_target *t));
void icfg_probe_devs(struct icfg_run *run);

#endif /* _ICFG_QUIESCE_H */
