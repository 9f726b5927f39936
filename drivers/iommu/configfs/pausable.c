// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which groups can be switched with their drivers paused instead of unbound?
 *
 * In: a group, the drivers of whose members are known. Out: yes or no. Called by
 * validate.c before anything is touched, and by apply.c and pause.c again.
 *
 * A driver declares that it can be paused. In a domain that translates the core
 * counts what is mapped then. In one that does not there is nothing to count, and a
 * driver that had something mapped at an earlier pause is not paused.
 *
 * Owns the list of drivers that were paused, which seen_lock protects.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "core.h"
#include "icfg.h"
#include "pause.h"

static bool allowed = true;
module_param_named(pause, allowed, bool, 0644);
MODULE_PARM_DESC(pause, "Pause drivers instead of unbinding them, where they can be paused");

/* A driver that was seen to be paused, and whether it had something mapped then. */
struct seen {
	struct list_head node;
	bool caught;
	char name[];
};

static DEFINE_MUTEX(seen_lock);
static LIST_HEAD(seen_drivers);

static struct seen *find_seen(const char *name)
{
	struct seen *seen;

	lockdep_assert_held(&seen_lock);

	list_for_each_entry(seen, &seen_drivers, node)
		if (!strcmp(seen->name, name))
			return seen;
	return NULL;
}

/*
 * Was a driver paused since the module was loaded, and had it ever something mapped
 * then, if @caught, or never?
 */
bool icfg_pause_was_seen(const char *name, bool caught)
{
	struct seen *seen;

	guard(mutex)(&seen_lock);

	seen = find_seen(name);
	return seen && seen->caught == caught;
}

/* Without memory for it the next pause finds out again. */
void icfg_pause_note(const char *name, bool caught)
{
	struct seen *seen;

	guard(mutex)(&seen_lock);

	seen = find_seen(name);
	if (!seen) {
		seen = kzalloc(struct_size(seen, name, strlen(name) + 1),
			       GFP_KERNEL | __GFP_NORETRY);
		if (!seen)
			return;
		memcpy(seen->name, name, strlen(name));
		list_add(&seen->node, &seen_drivers);
	}
	seen->caught |= caught;
}

/* Forget which drivers were seen. */
void icfg_pause_exit(void)
{
	struct seen *seen, *next;

	guard(mutex)(&seen_lock);

	list_for_each_entry_safe(seen, next, &seen_drivers, node) {
		list_del(&seen->node);
		kfree(seen);
	}
}

static bool has_vfs(struct device *dev)
{
	return dev_is_pci(dev) && pci_num_vf(to_pci_dev(dev));
}

static bool dev_can_pause(const struct icfg_plan_dev *d, enum icfg_type type)
{
	const struct icfg_plan_group *pg = d->group;

	if (!d->can_pause || has_vfs(d->dev))
		return false;
	if ((type == ICFG_IDENTITY || type == ICFG_AUTO) &&
	    !icfg_core_reaches_memory(d->dev))
		return false;
	return icfg_group_is_translated(pg) ||
	       !icfg_pause_was_seen(d->drv_name, true);
}

/**
 * icfg_pause_possible - can a group be switched with its drivers paused?
 * @pg: the group, the drivers of its members known
 * @type: the type that it is to get
 *
 * Also false where it has no driver that would be paused.
 */
bool icfg_pause_possible(struct icfg_plan_group *pg, enum icfg_type type)
{
	struct icfg_plan_dev *d;
	bool any = false;

	if (pg->no_pause || !READ_ONCE(allowed))
		return false;
	icfg_for_each_member(d, pg) {
		if (!icfg_has_to_pause(d))
			continue;
		if (!dev_can_pause(d, type))
			return false;
		any = true;
	}
	return any;
}

static bool is_dependent(const struct icfg_step *step)
{
	return container_of(step, struct icfg_plan_dev, step)->dependent;
}

/* Is it deleted by the remove of a device of another group? */
static bool is_deleted(const struct icfg_plan_dev *d)
{
	const struct icfg_plan_dev *above;
	struct device *dev;

	if (!d->below)
		return false;
	for (dev = d->dev->parent; dev; dev = dev->parent) {
		above = icfg_plan_find(d->group->plan, dev);
		if (above && above->group != d->group)
			return true;
	}
	return false;
}

/**
 * icfg_pause_back_possible - can a group be reverted with its drivers paused?
 * @pg: the group, the drivers of its members known
 *
 * What is unbound with what is known from the last order of the plan. Consumers use
 * what the driver provides, and are not paused.
 */
bool icfg_pause_back_possible(struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;

	icfg_for_each_member(d, pg)
		if (icfg_has_to_pause(d) &&
		    (is_deleted(d) ||
		     icfg_step_has_dep(&d->step, is_dependent)))
			return false;
	return icfg_pause_possible(pg, pg->old);
}

/* How many drivers of a group have to be paused. */
unsigned int icfg_pause_count(const struct icfg_plan_group *pg)
{
	const struct icfg_plan_dev *d;
	unsigned int count = 0;

	icfg_for_each_member(d, pg)
		count += icfg_has_to_pause(d);
	return count;
}
