/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_REBIND_H
#define _ICFG_REBIND_H

#include "icfg.h"

void icfg_rebind_release(struct icfg_plan *plan,
			 bool (*selected)(const struct icfg_plan_dev *d));
void icfg_rebind_switch(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_group *pg));
void icfg_rebind_probe(struct icfg_plan *plan,
		       bool (*selected)(const struct icfg_plan_dev *d));
void icfg_rebind_verify(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_dev *d));
bool icfg_rebind_watch_dev(struct icfg_plan_dev *d, unsigned long until);
bool icfg_rebind_watch_group(struct icfg_plan_group *pg, unsigned long until);

/* What pause.c has in common with it. */
void icfg_rebind_note_phase(struct icfg_plan_group *pg, enum icfg_phase phase,
			    struct icfg_plan_dev *d);
void icfg_rebind_release_driver(struct icfg_plan_dev *d);
bool icfg_rebind_setup_fails(struct icfg_plan_group *pg);
void icfg_rebind_run_groups(struct icfg_plan *plan,
			    bool (*selected)(const struct icfg_plan_group *pg),
			    unsigned int width,
			    void (*fn)(struct icfg_step *step));

#endif /* _ICFG_REBIND_H */
