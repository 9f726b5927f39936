// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine: what a commit and a rollback do to the hardware, and in which
 * order.
 *
 * The way there is all or nothing: the first problem sets plan->abort, no step
 * begins any more, and the same run goes back. The way back is for each group
 * on its own: a group that cannot be put back does not keep the others.
 *
 * Owns no data. One thread drives a plan; no lock is held while steps run.
 */
#include <linux/delay.h>
#include <linux/device.h>

#include "expedite.h"
#include "core.h"
#include "icfg.h"
#include "trace.h"

/* How long an rmmod that is under way is waited for on the way back. */
#define LEAVE_LOOKS	20
#define LEAVE_LOOK_MS	100

/* Is there a group that does not have its type yet? */
bool icfg_apply_has_work(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (pg->method != ICFG_METHOD_NONE)
			return true;
	return false;
}

/* Is there a group that the commit changed, for a rollback to change back? */
bool icfg_apply_has_modified(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (pg->modified)
			return true;
	return false;
}

static bool is_reverted(const struct icfg_plan_dev *d)
{
	return !d->pinned && (icfg_dev_is_dependent(d) ||
			    (icfg_dev_is_bound(d) && d->group->reverted &&
			     !d->group->pinned));
}

static void count_steps(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_dev *d), int each)
{
	struct icfg_plan_dev *d;
	int count = 0;

	icfg_for_each_dev(d, plan)
		if (selected(d))
			count += each;
	atomic_add(count, &plan->txn->total);
}

static bool is_released(const struct icfg_plan_dev *d)
{
	return d->released && d->drv;
}

static bool method_is_rebind(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_REBIND;
}

static bool method_is_in_place(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_IN_PLACE;
}

static bool is_group_reverted(const struct icfg_plan_group *pg)
{
	return pg->reverted && !pg->pinned;
}

/* What has a driver is there, and is not to be woken up to be asked. */
static bool is_there(struct icfg_plan_dev *d)
{
	return READ_ONCE(d->dev->driver) || !icfg_dev_is_gone(d);
}

/* Every group that was switched has its type, every device its driver. */
static void verify(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	int err;

	icfg_for_each_group(pg, plan) {
		if (pg->method != ICFG_METHOD_REBIND)
			continue;
		pg->cur = icfg_core_type(pg->staged->group);
		err = 0;
		if (pg->new != ICFG_AUTO && pg->cur != pg->new) {
			err = -EOPNOTSUPP;
			icfg_plan_report(pg, NULL, ICFG_VERIFY, -EOPNOTSUPP,
					 "%s was asked for, the group has %s",
				     icfg_type_word(pg->new),
				     icfg_type_word(pg->cur));
			plan->abort = true;
		}
		trace_icfg_verify(pg, pg->new, err);
	}

	icfg_for_each_dev(d, plan) {
		if ((d->drv && icfg_dev_is_bound_again(d)) ||
		    (!d->dependent && d->group->method != ICFG_METHOD_REBIND))
			continue;
		if (is_there(d)) {
			/* It had none, or one that was none of our business. */
			if (!d->drv || (d->managed && !d->dependent))
				continue;
			icfg_plan_report(d->group, d, ICFG_VERIFY, -ENODEV,
					 "does not have driver %s again",
				     d->drv_name);
		} else {
			if (!d->member || d->below)
				continue;
			icfg_plan_report(d->group, d, ICFG_VERIFY, -ENODEV,
					 "was unplugged meanwhile");
		}
		plan->abort = true;
	}
}

static bool apply_forward(struct icfg_plan *plan)
{
	guard(icfg_expedite)(plan);

	count_steps(plan, icfg_dev_is_selected, 2);
	icfg_rebind_release(plan, icfg_dev_is_selected);
	if (!plan->abort)
		icfg_rebind_switch(plan, method_is_rebind);
	if (!plan->abort)
		icfg_rebind_probe(plan);
	if (!plan->abort)
		verify(plan);
	/*
	 * Last what needs no release: when anything else fails, these groups
	 * need no way back, which would release their drivers after all.
	 */
	if (!plan->abort)
		icfg_rebind_switch(plan, method_is_in_place);
	return !plan->abort;
}

/* On the way back: @pg stays as it is, because of @d where that is not NULL. */
static void pin(struct icfg_plan_group *pg, struct icfg_plan_dev *d, const char *why)
{
	icfg_plan_report(pg, d, ICFG_RESTORE, -EBUSY, "left as it is: %s", why);
	pg->failed = true;
	if (d)
		d->pinned = true;
	if (!d || d->member)
		pg->pinned = pg->reverted;
}

/*
 * What may not be released holds its suppliers and parents, and these hold the
 * rest of their groups, and so on.
 */
static void spread_pins(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;
	bool more;

	do {
		more = false;
		icfg_for_each_dev(d, plan) {
			if (!is_reverted(d) ||
			    !icfg_step_has_dep(&d->step,
						  icfg_step_is_pinned))
				continue;
			pin(d->group, d, "a device that goes before it is in use");
			more = true;
		}
	} while (more);
}

/*
 * Somebody may have taken a driver away that was back already, or bound
 * another one: everything is to be as it was before the commit.
 */
static void rebind_lost(struct icfg_plan_dev *d)
{
	struct icfg_plan_group *pg = d->group;

	if (pg->method != ICFG_METHOD_REBIND && !pg->reverted)
		return;
	if (!icfg_dev_is_bound(d) || icfg_dev_is_bound_again(d) ||
	    icfg_dev_is_gone(d))
		return;

	if (!READ_ONCE(d->dev->driver)) {
		d->released = true;
	} else if (!pg->reverted) {
		icfg_plan_report(pg, d, ICFG_RESTORE, -EBUSY,
				 "somebody bound another driver than %s meanwhile",
			     d->drv_name);
		pg->failed = true;
	}
}

/* An rmmod that was under way when we looked is over in a moment. */
static bool module_is_gone(struct icfg_plan_dev *d)
{
	int poll;

	for (poll = 0; poll < LEAVE_LOOKS; poll++) {
		if (!READ_ONCE(d->dev->driver))
			return true;
		msleep(LEAVE_LOOK_MS);
	}
	return false;
}

/* In which order do they go, and who goes along? */
static void order_revert(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	if (!icfg_deps_order(plan, is_reverted))
		return;
	icfg_for_each_group(pg, plan)
		if (is_group_reverted(pg))
			pin(pg, NULL, "no memory");
}

static bool any_pinned(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		if (d->pinned || d->group->pinned)
			return true;
	return false;
}

/* Which groups need their type back, and may they be touched for it? */
static void prepare_revert(struct icfg_plan *plan)
{
	char why[ICFG_WHY];
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	int err;

	icfg_for_each_group(pg, plan) {
		/* The way back is the way to release, also from in place. */
		pg->reverted = pg->modified && icfg_group_needs_revert(pg);
		if (!pg->reverted)
			continue;
		scoped_guard(mutex, &plan->lock)
			err = icfg_plan_members(plan, pg);
		if (err)
			pin(pg, NULL, "no memory");
		else if (!pg->members)
			pg->reverted = false;
	}

	icfg_for_each_dev(d, plan) {
		if (d->group->modified)
			rebind_lost(d);
		if (!d->group->reverted)
			continue;
		err = icfg_plan_get_driver(plan, d);
		if (err && err != -EBUSY)
			pin(d->group, d, "no memory");
	}
	order_revert(plan);

	icfg_for_each_dev(d, plan)
		if (d->driver_leaving && !module_is_gone(d))
			pin(d->group, d, "the module of its driver is being removed");
	icfg_for_each_group(pg, plan)
		if (is_group_reverted(pg) && icfg_inuse_owner(pg))
			pin(pg, NULL, "it is owned by user space (VFIO, iommufd)");
	/* A disk that is merely open is asked about again right before. */
	icfg_for_each_dev(d, plan)
		if (is_reverted(d) &&
		    (icfg_inuse_driver(d, why) ||
		     (!d->port && !(plan->allow & ICFG_ALLOW_BLOCK) &&
		      icfg_inuse_block(d->dev, why) == -EBUSY)))
			pin(d->group, d, why);
	spread_pins(plan);
	/* What would have gone along with those that stay does not go. */
	if (any_pinned(plan))
		order_revert(plan);
}

/*
 * The way back: release what is bound in the groups that have another type by
 * now, switch these, and bring back every driver that we took. Returns 0, or
 * -EIO where something could not be put back.
 */
static int revert(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	int ret = 0;

	plan->reverting = true;
	/* What was left of the way there is not done any more. */
	atomic_set(&plan->txn->total, atomic_read(&plan->txn->done));
	prepare_revert(plan);

	guard(icfg_expedite)(plan);

	count_steps(plan, is_reverted, 2);
	count_steps(plan, is_released, 1);
	icfg_rebind_release(plan, is_reverted);
	icfg_rebind_switch(plan, is_group_reverted);
	icfg_rebind_probe(plan);

	icfg_for_each_dev(d, plan)
		if (is_released(d) && !d->gone)
			d->group->failed = true;

	icfg_for_each_group(pg, plan) {
		if (!pg->modified && !pg->failed)
			continue;
		if (pg->failed)
			ret = -EIO;
		trace_icfg_restore(pg, pg->old, pg->failed ? -EIO : 0);
	}
	return ret;
}

/**
 * icfg_apply_commit - do what was checked
 * @plan: the plan, checked and not refused
 *
 * Returns 0; -ECANCELED where something failed and everything is as before;
 * -EIO where something could not be put back.
 */
int icfg_apply_commit(struct icfg_plan *plan)
{
	if (apply_forward(plan))
		return 0;
	return revert(plan) ?: -ECANCELED;
}

/**
 * icfg_apply_rollback - go back
 * @plan: the plan, checked by icfg_validate_rollback()
 *
 * Returns 0, or -EIO where something could not be put back.
 */
int icfg_apply_rollback(struct icfg_plan *plan)
{
	return revert(plan);
}
