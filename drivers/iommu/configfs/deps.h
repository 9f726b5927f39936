/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_DEPS_H
#define _ICFG_DEPS_H

#include <linux/device.h>
#include <linux/types.h>

#include "icfg.h"

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
