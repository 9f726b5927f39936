// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a commit and a rollback verify before they touch anything, and how they
 * are refused: every problem is reported, and the errno is that of the problem
 * that the ABI names first.
 *
 * Owns no data and takes no lock but plan->lock around a look at the members.
 */
#include <linux/delay.h>
#include <linux/device.h>
#ifndef ICFG_HAVE_CONTEXT_RELEASE
#ifdef CONFIG_TEGRA_HOST1X_CONTEXT_BUS
#include <linux/host1x_context_bus.h>
#endif
#endif
#include <linux/slab.h>
#include <linux/string.h>

#include "core.h"
#include "deps.h"
#include "icfg.h"
#include "inuse.h"
#include "pause.h"
#include "trace.h"

/* A use that may end soon counts when it lasts for this many polls. */
#define POLLS	(ICFG_OPEN_FOR_MS / ICFG_OPEN_POLL_MS)

/* Which of two errors a refusal returns: the one that the ABI names first. */
static int precedence(int err)
{
	static const int order[] = {
		-ENOMEM, -ESTALE, -EINVAL, -ENODEV, -EOPNOTSUPP, -EBUSY,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i] == err)
			return i;
	return i;
}

/* Refuse the plan with @err, unless something that comes first did already. */
void icfg_refuse_errno(struct icfg_plan *plan, int err)
{
	if (!plan->refusal || precedence(err) < precedence(plan->refusal))
		plan->refusal = err;
}

/**
 * icfg_refuse - report why a plan cannot begin
 * @pg: the group
 * @d: the device, or NULL
 * @err: a negative errno
 * @fmt: what and why
 */
void icfg_refuse(struct icfg_plan_group *pg, struct icfg_plan_dev *d, int err,
		 const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, ICFG_CHECK, err, "%pV", &vaf);
	va_end(args);
	icfg_refuse_errno(pg->plan, err);
	if (!pg->refusal)
		pg->refusal = err;
}

static bool check_has_type(struct icfg_plan_group *pg)
{
	if (pg->new == ICFG_NONE)
		icfg_refuse(pg, NULL, -EINVAL, "no type was written for this group");
	return pg->new != ICFG_NONE;
}

/* Compare the type that a group is to get with what its devices and its IOMMU allow. */
static void check_type(struct icfg_plan_group *pg)
{
	const struct icfg_types *types = &pg->types;
	enum icfg_type goal = pg->new;

	if (!check_has_type(pg))
		return;
	/* Unless it turns out below that nothing has to change. */
	pg->method = ICFG_METHOD_REBIND;
	if (types->contradiction) {
		icfg_refuse(pg, NULL, -EINVAL,
			    "a device that is not trusted needs DMA, and device %s needs identity",
			    types->forced_by ? dev_name(types->forced_by) : "-");
		return;
	}
	if (goal == ICFG_AUTO) {
		goal = icfg_auto_type(types);
	} else if (types->forced != ICFG_NONE && goal != types->forced) {
		icfg_refuse(pg, icfg_plan_find(pg->plan, types->forced_by), -EINVAL,
			    "%s is ruled out: the device needs %s",
			    icfg_type_word(goal), icfg_type_word(types->forced));
		return;
	}

	if (goal == pg->cur) {
		pg->method = ICFG_METHOD_UNCHANGED;
		return;
	}

	if (pg->cur == ICFG_OTHER)
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its present type could not be put back");
	/* Where no device needs it, the core takes another one for "auto". */
	if (goal == ICFG_IDENTITY && types->identity == ICFG_UNSUPPORTED &&
	    (pg->new == ICFG_IDENTITY || types->forced == ICFG_IDENTITY))
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its IOMMU has no identity domain");
}

/* Once the drivers are known: is there lazy invalidation, and in place? */
static void check_fq(struct icfg_plan_group *pg)
{
	bool in_place = icfg_core_in_place(pg->cur, pg->new);

	if (pg->method != ICFG_METHOD_REBIND)
		return;
	if (pg->new == ICFG_DMA_FQ && pg->types.fq == ICFG_UNSUPPORTED)
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its IOMMU cannot defer invalidation, which DMA-FQ needs");
	/* From DMA the core would start a flush queue in place, without a check. */
	else if (in_place && pg->new == ICFG_DMA_FQ &&
		 pg->types.fq == ICFG_SUPPORT_UNKNOWN)
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "it cannot be told whether its IOMMU can defer invalidation");
	else if (in_place)
		pg->method = ICFG_METHOD_IN_PLACE;
}

/* Which groups that would be rebound can be paused instead? */
static int check_pause(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_links links;
	struct icfg_plan_dev *d;
	bool any = false;
	int ret;

	icfg_for_each_group(pg, plan) {
		if (pg->method != ICFG_METHOD_REBIND || pg->refusal ||
		    !icfg_pause_possible(pg, pg->new))
			continue;
		pg->method = ICFG_METHOD_PAUSE;
		any = true;
	}
	if (!any)
		return 0;

	/* Consumers use what the driver provides, and are not paused. */
	ret = icfg_links_list(&links, GFP_KERNEL);
	if (ret)
		return ret;
	icfg_for_each_dev(d, plan)
		if (d->can_pause && d->group->method == ICFG_METHOD_PAUSE &&
		    icfg_links_have_consumer(&links, d->dev))
			d->group->method = ICFG_METHOD_REBIND;
	icfg_links_free(&links);
	return 0;
}

/*
 * A group with a member that is unbound, or deleted, with a device of another group
 * is rebound. Returns true if there was one: look again for members of others that
 * are unbound with it.
 */
static bool rebind_dependents(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;
	bool any = false;

	icfg_for_each_dev(d, plan) {
		if (!d->member || (!d->dependent && !d->below) ||
		    d->group->method != ICFG_METHOD_PAUSE)
			continue;
		d->group->method = ICFG_METHOD_REBIND;
		any = true;
	}
	return any;
}

/* Bound, and not unbound by the commit, but perhaps by the revert of it? */
static bool only_revert_unbinds(const struct icfg_plan_dev *d)
{
	const struct icfg_plan_group *pg = d->group;

	return icfg_dev_is_bound(d) && pg->method == ICFG_METHOD_IN_PLACE &&
	       !icfg_core_in_place(pg->new, pg->old);
}

/* The confirm timer would revert the commit. */
static bool may_be_released(const struct icfg_plan_dev *d)
{
	return icfg_dev_is_selected(d) ||
	       (d->group->plan->confirm && only_revert_unbinds(d));
}

/* Find the order in which drivers are released, and what goes with them. */
static int order_commit(struct icfg_plan *plan)
{
	int ret;

	do
		ret = icfg_deps_order(plan, may_be_released);
	while (!ret && rebind_dependents(plan));
	return ret;
}

/* Is the least disruptive method that is possible allowed? */
static void check_disruption(struct icfg_plan_group *pg)
{
	if (pg->plan->disruption == ICFG_DISRUPT_REBIND || pg->refusal)
		return;
	if (pg->method == ICFG_METHOD_REBIND)
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its drivers would have to be unbound, which disruption rules out");
	else if (pg->method == ICFG_METHOD_PAUSE &&
		 pg->plan->disruption == ICFG_DISRUPT_NONE)
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its drivers would have to be paused, which disruption rules out");
	else if (pg->method == ICFG_METHOD_IN_PLACE && pg->plan->confirm &&
		 !icfg_core_in_place(pg->new, pg->old))
		icfg_refuse(pg, NULL, -EOPNOTSUPP,
			    "its drivers would have to be unbound to take it back if it is not confirmed, which disruption rules out");
}

static void note_use(struct icfg_plan_dev *d, int err, const char *why)
{
	if (d->use != -EAGAIN)
		d->use = err;
}

static void refuse_use(struct icfg_plan_dev *d, int err, const char *why)
{
	/* Where another one lasted as long, it is not known that this one did. */
	if (err != -EAGAIN || d->use == -EAGAIN)
		icfg_refuse(d->group, d, -EBUSY, "%s", why);
}

/*
 * Is a device in use that @selected picks? What may end soon, such as a disk
 * that is open, gets time for that: the same two seconds for all.
 */
static void check_inuse(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_dev *d),
			unsigned int allow)
{
	unsigned int words = ICFG_ALL_WORDS & ~allow;
	char why[ICFG_WHY];
	struct icfg_plan_dev *d;
	bool retry = true;
	int poll;

	icfg_for_each_dev(d, plan) {
		/* The revert has to be possible. */
		if ((selected(d) || only_revert_unbinds(d)) &&
		    icfg_inuse_driver(d, why))
			icfg_refuse(d->group, d, -EBUSY, "%s", why);
		d->use = selected(d) && !d->port ? -EAGAIN : 0;
	}
	for (poll = 0; retry && poll <= POLLS; poll++) {
		if (poll)
			msleep(ICFG_OPEN_POLL_MS);
		retry = false;
		icfg_for_each_dev(d, plan) {
			if (d->use != -EAGAIN)
				continue;
			d->use = 0;
			icfg_inuse_below(d, words, why, note_use);
			retry |= d->use == -EAGAIN;
		}
	}

	icfg_for_each_dev(d, plan)
		if (d->use)
			icfg_inuse_below(d, words, why, refuse_use);
}

/* Devices whose driver could not be noted. */
static void check_drivers(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan) {
		if (d->driver_leaving)
			icfg_refuse(d->group, d, -EBUSY,
				    "the module of its driver is being removed");
		if (d->locked)
			icfg_refuse(d->group, d, -EBUSY,
				    "a probe or remove of %s is under way",
				    dev_name(d->dev));
	}
}

/* Does user space own a group that @selected picks? */
static void check_owners(struct icfg_plan *plan,
			 bool (*selected)(const struct icfg_plan_group *pg))
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	char why[ICFG_WHY];

	icfg_for_each_group(pg, plan)
		if (selected(pg) && icfg_inuse_owner(pg, &d, why))
			icfg_refuse(pg, d, -EBUSY, "%s", why);
}

#ifndef ICFG_HAVE_CONTEXT_RELEASE
/*
 * Is a device of this bus freed while it is referenced?
 * host1x_memory_context_list_free() does so when it has unregistered its contexts.
 */
static bool frees_at_once(const struct bus_type *bus)
{
#ifdef CONFIG_TEGRA_HOST1X_CONTEXT_BUS
	return bus == &host1x_context_device_bus_type;
#else
	return false;
#endif
}
#endif

/* Note what check, commit and the files of the group tell. */
static void note_methods(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan)
		pg->staged->method = pg->unknown ? ICFG_METHOD_NONE : pg->method;
}

/* Which devices are in the group, which type does it have, and which can it have? */
static int look_at_group(struct icfg_plan *plan, struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;
	int ret;

	scoped_guard(mutex, &plan->lock)
		ret = icfg_plan_members(plan, pg);
	if (ret)
		return ret;

	pg->old = icfg_core_type(pg->staged->group);
	pg->cur = pg->old;
	icfg_for_each_member(d, pg) {
		d->no_dma_ops = icfg_group_is_translated(pg) &&
				!icfg_dev_has_dma_ops(d);
#ifndef ICFG_HAVE_CONTEXT_RELEASE
		if (frees_at_once(d->dev->bus))
			icfg_refuse(pg, d, -EOPNOTSUPP,
				    "bus %s frees its devices while they are referenced",
				    d->dev->bus->name);
#endif
	}
	if (!pg->members)
		icfg_refuse(pg, NULL, -ENODEV, "the group has no device");
	if (pg->members || pg->new == ICFG_NONE)
		check_type(pg);
	return 0;
}

/**
 * icfg_validate_commit - verify what can be verified without touching anything
 * @plan: a new plan
 *
 * Reports every problem. Afterwards the method of each group is known, and the
 * drivers of the groups that have to change are pinned. Groups of another
 * transaction are not judged. Returns 0 or the errno to refuse with.
 */
int icfg_validate_commit(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	int ret;

	if (!plan->nr_groups) {
		icfg_report_add(&plan->txn->report, ICFG_NO_GROUP, NULL,
				ICFG_CHECK, -EINVAL, "nothing is staged");
		icfg_refuse_errno(plan, -EINVAL);
		return plan->refusal;
	}

	icfg_for_each_group(pg, plan) {
		if (pg->owned) {
			check_has_type(pg);
			continue;
		}
		ret = look_at_group(plan, pg);
		if (ret)
			return ret;
	}

	icfg_for_each_dev(d, plan) {
		if (d->group->method != ICFG_METHOD_REBIND)
			continue;
		ret = icfg_plan_get_driver(plan, d);
		if (ret && ret != -EBUSY)
			return ret;
	}
	icfg_for_each_group(pg, plan)
		check_fq(pg);
	ret = check_pause(plan);
	if (ret)
		return ret;
	icfg_for_each_group(pg, plan)
		pg->unknown = pg->refusal;

	ret = order_commit(plan);
	if (ret)
		return ret;
	icfg_for_each_group(pg, plan)
		check_disruption(pg);
	check_drivers(plan);

	check_owners(plan, icfg_group_is_to_change);
	check_inuse(plan, may_be_released, plan->allow);

	/* What a timer might unbind is not what the commit does. */
	if (plan->confirm) {
		ret = icfg_deps_order(plan, icfg_dev_is_selected);
		if (ret)
			return ret;
	}

	note_methods(plan);
	icfg_for_each_group(pg, plan)
		trace_icfg_check(pg, pg->new, pg->refusal);
	return plan->refusal;
}

/* A device of an earlier plan, with the name of its driver; NULL without memory. */
static struct icfg_plan_dev *copy_dev(struct icfg_plan *plan, struct icfg_plan_group *pg,
				      struct icfg_plan_dev *old)
{
	struct icfg_plan_dev *d;

	scoped_guard(mutex, &plan->lock)
		d = icfg_plan_add_dev(plan, pg, old->dev);
	if (!d)
		return NULL;

	if (old->member)
		icfg_plan_join(d, pg);
	d->drv_name = kstrdup_const(old->drv_name, icfg_plan_gfp(plan));
	return d->drv_name || !old->drv_name ? d : NULL;
}

/*
 * A device that had a driver when the commit began, compared with now. A
 * driver that we could not bring back then is tried again; what was
 * changed since is left alone.
 */
static int revert_dev(struct icfg_plan *plan, struct icfg_plan_group *pg,
		      struct icfg_plan_dev *old)
{
	const struct device_driver *now;
	const char *name = NULL;
	struct icfg_plan_dev *d;
	bool same = false;

	/* One that manages DMA itself is unbound as another's consumer alone. */
	if (!old->drv_name || (old->managed && old->state != ICFG_DEV_UNBOUND))
		return 0;

	scoped_guard(rcu) {
		now = READ_ONCE(old->dev->driver);
		if (now)
			same = !strcmp(now->name, old->drv_name);
		if (now && !same)
			name = kstrdup(now->name, GFP_NOWAIT);
	}
	if (now) {
		if (!same)
			icfg_plan_report(pg, old, ICFG_RESTORE, -EEXIST,
					 "has driver %s since, which it keeps instead of %s",
				     name ?: "of another name", old->drv_name);
		kfree(name);
		return 0;
	}
	if (!icfg_dev_is_registered(old->dev))
		return 0;
	if (old->state != ICFG_DEV_UNBOUND) {
		icfg_plan_report(pg, old, ICFG_RESTORE, -ENOENT,
				 "has lost driver %s since, and stays without",
			     old->drv_name);
		return 0;
	}

	d = copy_dev(plan, pg, old);
	if (!d)
		return -ENOMEM;
	d->drv = icfg_driver_get(old->dev->bus, old->drv_name);
	d->state = ICFG_DEV_UNBOUND;
	/* Of a group that needs no type back there is this to restore. */
	if (!icfg_group_needs_revert(pg))
		pg->modified = true;
	if (!d->drv)
		icfg_plan_report(pg, old, ICFG_RESTORE, -ENOENT,
				 "driver %s is gone, it stays without",
			     old->drv_name);
	return 0;
}

static int check_group_revert(struct icfg_plan *plan, struct icfg_plan_group *pg,
			      struct icfg_plan_group *old, enum icfg_trigger trigger)
{
	int ret;

	pg->old = old->old;
	pg->method = old->method;
	pg->cur = icfg_core_type(pg->staged->group);
	pg->modified = old->modified;
	pg->dma_setup_failed = old->dma_setup_failed;
	scoped_guard(mutex, &plan->lock)
		ret = icfg_plan_members(plan, pg);
	if (ret)
		return ret;

	/* The core forgets the type of a group that is left without device. */
	if (!pg->members)
		pg->cur = pg->old;
	if (!pg->members || !pg->modified)
		return 0;
	/* What could not be read then was not changed since. */
	if (pg->cur == old->cur || old->cur == ICFG_OTHER) {
		pg->modified = icfg_group_needs_revert(pg);
		return 0;
	}

	if (trigger == ICFG_BY_HAND) {
		icfg_refuse(pg, NULL, -ESTALE,
			    "another process changed the type from %s to %s",
			    icfg_type_word(old->cur), icfg_type_word(pg->cur));
	} else {
		icfg_plan_leave_type(pg, old->cur, pg->cur);
		pg->modified = false;
	}
	return 0;
}

/* Does a revert unbind the drivers of a group? */
static bool revert_unbinds(const struct icfg_plan_group *pg)
{
	return pg->modified && icfg_group_needs_revert(pg) &&
	       !icfg_group_reverts_in_place(pg);
}

static bool may_be_reverted(const struct icfg_plan_dev *d)
{
	return icfg_dev_is_dependent(d) ||
	       (icfg_dev_is_bound(d) && revert_unbinds(d->group));
}

/* The same without what is paused, unless it turns out that it cannot be. */
static bool is_unbound_back(const struct icfg_plan_dev *d)
{
	return may_be_reverted(d) && (d->dependent || !d->group->pause_back);
}

/* The group of an earlier plan that @pg is, if that still waits for a step. */
static struct icfg_plan_group *waiting_group(struct icfg_plan_group *pg)
{
	struct icfg_plan *plan = pg->plan, *earlier;
	struct icfg_plan_group *old;

	/* All plans were made from the same list of groups. */
	list_for_each_entry(earlier, &plan->txn->waiting, node) {
		old = earlier->groups + (pg - plan->groups);
		if (old->revert == ICFG_REVERT_WAITING)
			return old;
	}
	return NULL;
}

/* The device that a group waits for, or one of the group. */
static struct icfg_plan_dev *waiting_dev(struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d, *any = NULL;

	icfg_for_each_dev(d, pg->plan) {
		if (d->group != pg)
			continue;
		if (icfg_step_is_left(&d->step))
			return d;
		any = any ?: d;
	}
	return icfg_step_is_left(&pg->step) ? NULL : any;
}

/* This plan does not touch a group: it hands on what the last one knew of it. */
static void leave_elsewhere(struct icfg_plan_group *pg,
			    struct icfg_plan_group *old)
{
	pg->revert = ICFG_REVERT_ELSEWHERE;
	pg->method = old->method;
	icfg_plan_copy_group(pg, old);
}

/*
 * A group with a step that was given up on is restored by the earlier plan, when
 * the step has returned.
 */
static void leave_waiting(struct icfg_plan_group *pg,
			  struct icfg_plan_group *waiting,
			  struct icfg_plan_group *old)
{
	leave_elsewhere(pg, old);
	pg->failed = true;
	icfg_plan_report(pg, waiting_dev(waiting), ICFG_RESTORE, -ETIMEDOUT,
			 "not touched: what was given up on has not returned");
}

/* Remember a device of such a group. */
static int leave_dev(struct icfg_plan *plan, struct icfg_plan_group *pg,
		     struct icfg_plan_dev *old)
{
	struct icfg_plan_dev *d = copy_dev(plan, pg, old);

	if (!d)
		return -ENOMEM;
	d->state = old->state;
	/* Another process has bound it, so no consumer waits for it. */
	if (pg->owned && d->state == ICFG_DEV_UNBOUND && READ_ONCE(d->dev->driver))
		d->state = ICFG_DEV_IDLE;
	d->managed = old->managed;
	return 0;
}

/* The rollback takes over the ports that the commit kept enabled. */
static void take_over_ports(struct icfg_plan *plan, struct icfg_plan *undo)
{
	struct icfg_plan_dev *d, *old;

	icfg_for_each_dev(old, undo) {
		d = old->enabled ? icfg_plan_find(plan, old->dev) : NULL;
		if (!d || d->state != ICFG_DEV_UNBOUND)
			continue;
		d->enabled = true;
		old->enabled = false;
	}
}

static enum icfg_method revert_method(const struct icfg_plan_group *pg)
{
	if (!pg->modified)
		return ICFG_METHOD_UNCHANGED;
	if (icfg_group_reverts_in_place(pg))
		return ICFG_METHOD_IN_PLACE;
	return pg->pause_back ? ICFG_METHOD_PAUSE : ICFG_METHOD_REBIND;
}

static void note_revert_methods(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan)
		if (pg->revert != ICFG_REVERT_ELSEWHERE)
			pg->staged->method = revert_method(pg);
}

/*
 * Find the order in which drivers are released, while there is memory for it: a
 * refusal for lack of that can be tried again.
 */
static int order_revert(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	int ret;

	icfg_for_each_dev(d, plan) {
		if (d->group->owned ||
		    d->group->revert == ICFG_REVERT_ELSEWHERE ||
		    !revert_unbinds(d->group))
			continue;
		ret = icfg_plan_get_driver(plan, d);
		if (ret && ret != -EBUSY)
			return ret;
	}
	ret = icfg_deps_order(plan, may_be_reverted);
	if (ret)
		return ret;

	icfg_for_each_group(pg, plan)
		pg->pause_back = !pg->owned && revert_unbinds(pg) &&
				 icfg_pause_back_possible(pg);
	return 0;
}

static bool is_to_revert(const struct icfg_plan_group *pg)
{
	return pg->modified && icfg_group_needs_revert(pg) && !pg->owned;
}

/* What a rollback by hand is refused for. */
static int check_revert(struct icfg_plan *plan)
{
	check_drivers(plan);
	check_owners(plan, is_to_revert);
	check_inuse(plan, is_unbound_back, plan->allow);
	return plan->refusal;
}

/**
 * icfg_validate_rollback - verify what can be verified before a rollback
 * @plan: a new plan
 * @undo: the plan of the commit, or of the rollback that failed
 * @trigger: what asks for the rollback
 *
 * Returns 0 or the errno to refuse with. The timer, and a rollback of what failed
 * before, are refused for lack of memory alone: groups that cannot be restored do
 * not keep the others from it.
 */
int icfg_validate_rollback(struct icfg_plan *plan, struct icfg_plan *undo,
			   enum icfg_trigger trigger)
{
	struct icfg_plan_group *pg, *old, *waiting;
	struct icfg_plan_dev *d, *again;
	int ret = 0;

	/* There was none to claim the groups. */
	if (plan->refusal == -ENOMEM)
		return -ENOMEM;

	/* Both were made from the same list, which did not change since. */
	icfg_for_each_group(pg, plan) {
		old = undo->groups + (pg - plan->groups);
		waiting = waiting_group(pg);
		if (waiting)
			leave_waiting(pg, waiting, old);
		else if (pg->owned && trigger == ICFG_BY_HAND_AGAIN)
			leave_elsewhere(pg, old);
		else
			ret = check_group_revert(plan, pg, old, trigger);
		if (ret)
			return ret;
	}
	icfg_for_each_dev(d, undo) {
		pg = plan->groups + (d->group - undo->groups);
		if (pg->revert == ICFG_REVERT_ELSEWHERE) {
			ret = leave_dev(plan, pg, d);
		} else {
			again = icfg_plan_find(plan, d->dev);
			if (again)
				again->no_dma_ops = d->no_dma_ops;
			ret = revert_dev(plan, pg, d);
		}
		if (ret)
			return ret;
	}

	if (trigger == ICFG_BY_TIMER)
		plan->allow |= ICFG_ALLOW_NET;
	/* Only by hand a device lock is waited for here. */
	plan->reverting = trigger != ICFG_BY_HAND;
	ret = order_revert(plan);
	if (!ret && trigger == ICFG_BY_HAND)
		ret = check_revert(plan);
	if (ret)
		return ret;

	take_over_ports(plan, undo);
	note_revert_methods(plan);
	return 0;
}
