/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_DEPS_H
#define _ICFG_DEPS_H

#include <linux/device.h>
#include <linux/types.h>

#include "icfg.h"

int icfg_deps_init(void);
void icfg_deps_exit(void);

int icfg_deps_order(struct icfg_plan *plan,
		    bool (*selected)(const struct icfg_plan_dev *d));
bool icfg_deps_has_consumers(struct icfg_plan_dev *d);
void icfg_deps_add_unasked(struct icfg_plan *plan);
bool icfg_deps_wait(const struct icfg_plan_dev *d, bool unbind);

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

	if (done && !icfg_step_is_left(&d->step) && d->state != ICFG_DEV_UNBOUND)
		WRITE_ONCE(d->left_out, true);
	else
		WRITE_ONCE(d->group->revert, ICFG_REVERT_WAITING);
}

/* The device links of the machine, as deps.c lists them. */

/**
 * struct icfg_link - a managed device link, as it was when listed
 * @supplier: with a reference
 * @consumer: unbound by the driver core when @supplier is; with a reference
 * @goes: the link itself goes when @supplier is unbound
 */
struct icfg_link {
	struct device *supplier;
	struct device *consumer;
	bool goes;
};

/**
 * struct icfg_links - the managed device links of the machine
 * @links: the list, those of one supplier together
 * @count: links in it
 */
struct icfg_links {
	struct icfg_link *links;
	size_t count;
};

int icfg_links_list(struct icfg_links *links, gfp_t gfp);
bool icfg_links_have_consumer(const struct icfg_links *links,
			      struct device *dev);
void icfg_links_free(struct icfg_links *links);

/**
 * struct icfg_release - a release of a driver that is under way
 * @node: in a list of deps.c
 * @task: the thread that it runs in
 * @d: the device
 */
struct icfg_release {
	struct list_head node;
	struct task_struct *task;
	struct icfg_plan_dev *d;
};

void icfg_release_begin(struct icfg_release *release, struct icfg_plan_dev *d);
void icfg_release_end(struct icfg_release *release);

#endif /* _ICFG_DEPS_H */
