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
bool icfg_rebind_waits(const struct icfg_plan_dev *d, bool unbind);
bool icfg_rebind_watch_dev(struct icfg_plan_dev *d, unsigned long until);
bool icfg_rebind_watch_group(struct icfg_plan_group *pg, unsigned long until);

/* In a revert: is a group not touched in this round? */
static inline bool icfg_group_is_waiting(const struct icfg_plan_group *pg)
{
	enum icfg_revert revert = READ_ONCE(pg->revert);

	return revert == ICFG_REVERT_WAITING || revert == ICFG_REVERT_ELSEWHERE;
}

static inline bool icfg_dev_is_left_out(const struct icfg_plan_dev *d)
{
	return READ_ONCE(d->left_out) || icfg_group_is_waiting(d->group);
}

/*
 * In a revert: @d is not touched in this round, and so is no device of its group. A
 * group that is done already stays that, as long as nothing is to be restored of @d.
 */
static inline void icfg_dev_leave_out(struct icfg_plan_dev *d)
{
	enum icfg_revert revert = READ_ONCE(d->group->revert);
	bool done = revert == ICFG_REVERT_DONE || revert == ICFG_REVERT_NOTED;

	if (done && d->state != ICFG_DEV_UNBOUND && !icfg_step_is_left(&d->step))
		WRITE_ONCE(d->left_out, true);
	else
		WRITE_ONCE(d->group->revert, ICFG_REVERT_WAITING);
}

/* What pause.c has in common with it. */
void icfg_rebind_release_driver(struct icfg_plan_dev *d);
bool icfg_rebind_setup_fails(struct icfg_plan_group *pg);
void icfg_rebind_run_groups(struct icfg_plan *plan,
			    bool (*selected)(const struct icfg_plan_group *pg),
			    unsigned int width,
			    void (*fn)(struct icfg_step *step));

#endif /* _ICFG_REBIND_H */
