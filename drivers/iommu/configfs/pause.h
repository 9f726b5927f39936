/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_PAUSE_H
#define _ICFG_PAUSE_H

#include "icfg.h"

/* pausable.c */
/* Does the driver of a member have to be paused? */
static inline bool icfg_has_to_pause(const struct icfg_plan_dev *d)
{
	return d->drv && !d->managed && d->state == ICFG_DEV_IDLE;
}

bool icfg_pause_possible(struct icfg_plan_group *pg, enum icfg_type type);
bool icfg_pause_back_possible(struct icfg_plan_group *pg);
unsigned int icfg_pause_count(const struct icfg_plan_group *pg);
bool icfg_pause_was_seen(const char *name, bool caught);
void icfg_pause_note(const char *name, bool caught);
void icfg_pause_exit(void);

/* pause.c */
void icfg_pause_switch(struct icfg_plan *plan,
		       bool (*selected)(const struct icfg_plan_group *pg));
void icfg_pause_note_method(struct icfg_plan_group *pg, enum icfg_method method);

#endif /* _ICFG_PAUSE_H */
