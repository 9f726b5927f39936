// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a commit and a rollback do to the hardware, and in which order.
 *
 * In: a plan that was validated. Out: every group new, or restored, or reported as
 * failed. Called by txn.c, in the thread that drives the plan; the work itself is
 * done by the steps of rebind.c.
 *
 * A commit is all or nothing: the first problem stops it, no step begins any more,
 * and the same plan is reverted. A revert is for each group on its own: a group
 * that cannot be restored does not keep the others from it.
 *
 * A revert goes in rounds. A group is left out of a round while a step of it still
 * runs, while the lock of one of its devices is held, and while it depends on a
 * device that is left out; it is tried again until the step has outlasted its
 * limit, or the lock was waited for long enough. What is left then is reported,
 * and icfg_apply_take_back() goes on with it when the step has returned.
 *
 * Owns no data, and holds no lock while steps run. The thread that drives a plan
 * touches no device itself, since a device that hangs would stop everything.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/jiffies.h>

#include "core.h"
#include "deps.h"
#include "icfg.h"
#include "inuse.h"
#include "pause.h"
#include "rebind.h"
#include "trace.h"

/* How long locks of devices are waited for in a revert. */
#define LOCK_WAIT	(10 * HZ)

/* How long an rmmod that is under way is waited for. */
#define LEAVE_WAIT	(2 * HZ)

/* How long a running step goes on when the confirm timer comes due. */
#define EXPIRED_WAIT	(10 * HZ)

/* How often groups that were left out of a round are looked at. */
#define ROUND_POLL	(HZ / 10)

/*
 * The remove() of a driver waits for one grace period of RCU after the other, that
 * of NVMe for six, which is nearly all the time that it takes. So they are
 * expedited while drivers are unbound, as they are around suspend. That interrupts
 * other CPUs, but not those that run user space without a tick;
 * rcupdate.rcu_normal=1 forbids it.
 *
 * Not where a device link is deleted with the driver of its supplier:
 * device_links_driver_cleanup() writes to the link once more after it was
 * dropped, and only a grace period that is not expedited keeps it there so long.
 */
static bool expedite(const struct icfg_plan *plan)
{
	if (plan->links_go)
		return false;

	rcu_expedite_gp();
	return true;
}

static void unexpedite(bool expedited)
{
	if (expedited)
		rcu_unexpedite_gp();
}

DEFINE_LOCK_GUARD_1(expedited, struct icfg_plan,
		    _T->expedited = expedite(_T->lock),
		    unexpedite(_T->expedited), bool expedited)

/* Is there a group that does not have its type yet? */
bool icfg_apply_has_work(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (icfg_group_is_to_change(pg))
			return true;
	return false;
}

/* Is there a group that the commit modified, for a rollback to restore? */
bool icfg_apply_has_modified(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (pg->modified && pg->revert != ICFG_REVERT_ELSEWHERE)
			return true;
	return false;
}

/* A use that may end soon is asked about again right before the release. */
static bool is_inuse(struct icfg_plan_dev *d, char *why)
{
	unsigned int words = ICFG_ALL_WORDS & ~d->group->plan->allow;

	return icfg_inuse_below(d, words, why, NULL) == -EBUSY;
}

static void count_steps(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_dev *d),
			int each)
{
	struct icfg_plan_dev *d;
	int count = 0;

	icfg_for_each_dev(d, plan)
		if (selected(d))
			count += each;
	icfg_plan_count_steps(plan, count);
}

static void count_pauses(struct icfg_plan *plan,
			 bool (*selected)(const struct icfg_plan_group *pg))
{
	struct icfg_plan_group *pg;
	int count = 0;

	icfg_for_each_group(pg, plan)
		if (selected(pg))
			count += 2 * icfg_pause_count(pg);
	icfg_plan_count_steps(plan, count);
}

/* Steps that did not run are not to come any more: a driver is not resumed, for example. */
static void settle_progress(struct icfg_plan *plan)
{
	if (!plan->taking_back)
		atomic_set(&plan->txn->total, atomic_read(&plan->txn->done));
}

static bool method_is_rebind(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_REBIND && !pg->settled;
}

static bool method_is_pause(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_PAUSE;
}

static bool method_is_in_place(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_IN_PLACE;
}

/* Does a device look as if it had not got its driver back? */
static bool lacks_driver(const struct icfg_plan_dev *d)
{
	if (!d->dependent && d->group->method != ICFG_METHOD_REBIND)
		return false;
	return !d->drv || !icfg_dev_is_bound_again(d);
}

/* Every group that was switched has its type, every device its driver. */
static void verify(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
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
			icfg_plan_stop(plan, ICFG_STOP);
		}
		trace_icfg_verify(pg, pg->new, err);
	}
	icfg_rebind_verify(plan, lacks_driver);
}

/* Groups that go by rebind, through to the end. */
static void rebind_groups(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(expedited)(plan);

	count_steps(plan, icfg_dev_is_selected, 2);
	icfg_rebind_release(plan, icfg_dev_is_selected);
	if (!icfg_plan_is_stopped(plan))
		icfg_rebind_switch(plan, method_is_rebind);
	if (!icfg_plan_is_stopped(plan))
		icfg_rebind_probe(plan, icfg_dev_is_unbound);
	if (!icfg_plan_is_stopped(plan))
		verify(plan);
	icfg_for_each_group(pg, plan)
		pg->settled = pg->method == ICFG_METHOD_REBIND;
}

/* May the drivers that could not be paused be unbound? Else the plan stops. */
static void ask_guards(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;
	char why[ICFG_WHY];
	const char *held;

	icfg_for_each_dev(d, plan) {
		/* Its driver is not known, so that it does not count as selected. */
		held = d->group->fell_back ? icfg_dev_is_held(d) : NULL;
		if (!held && (!icfg_dev_is_selected(d) ||
			      (!icfg_inuse_driver(d, why) &&
			       (d->port || !is_inuse(d, why)))))
			continue;
		icfg_plan_report(d->group, d, ICFG_RELEASE, -EBUSY, "%s", held ?: why);
		icfg_plan_stop(plan, ICFG_STOP);
	}
}

/*
 * Groups that could not be paused, which is reported, go by rebind. Returns false
 * where there is none, or they must not.
 */
static bool fall_back(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	bool any = false;

	icfg_for_each_group(pg, plan) {
		if (!pg->fell_back)
			continue;
		any = true;
		icfg_pause_note_method(pg, ICFG_METHOD_REBIND);
		if (plan->disruption == ICFG_DISRUPT_REBIND)
			pg->method = ICFG_METHOD_REBIND;
		else
			icfg_plan_stop(plan, ICFG_STOP);
	}
	if (!any || icfg_plan_is_stopped(plan))
		return false;

	if (icfg_deps_order(plan, icfg_dev_is_selected)) {
		icfg_report_add(&plan->txn->report, ICFG_NO_GROUP, NULL,
				ICFG_RELEASE, -ENOMEM, "no memory");
		icfg_plan_stop(plan, ICFG_STOP);
	} else {
		ask_guards(plan);
	}
	return !icfg_plan_is_stopped(plan);
}

static bool apply_forward(struct icfg_plan *plan)
{
	rebind_groups(plan);
	if (!icfg_plan_is_stopped(plan)) {
		guard(expedited)(plan);

		count_pauses(plan, method_is_pause);
		icfg_pause_switch(plan, method_is_pause);
		settle_progress(plan);
	}
	if (!icfg_plan_is_stopped(plan) && fall_back(plan))
		rebind_groups(plan);
	/*
	 * Last what unbinds nothing: when anything else fails, these groups need
	 * no revert, which would unbind drivers where it cannot be in place.
	 */
	if (!icfg_plan_is_stopped(plan))
		icfg_rebind_switch(plan, method_is_in_place);
	return !icfg_plan_is_stopped(plan);
}

/* In this round of a revert, and to be switched without a pause? */
static bool is_group_reverted(const struct icfg_plan_group *pg)
{
	return pg->revert == ICFG_REVERT_ACTIVE && pg->switched_back &&
	       !pg->pause_back && !pg->pinned;
}

/* In this round of a revert, and to be switched with its drivers paused? */
static bool is_group_paused_back(const struct icfg_plan_group *pg)
{
	return pg->revert == ICFG_REVERT_ACTIVE && pg->switched_back &&
	       pg->pause_back && !pg->pinned;
}

/* In this round of a revert, and to be rebound? */
static bool is_group_unbound(const struct icfg_plan_group *pg)
{
	return is_group_reverted(pg) && !pg->back_in_place;
}

/* Is a device unbound in this round of a revert? */
static bool is_reverted(const struct icfg_plan_dev *d)
{
	if (READ_ONCE(d->state) == ICFG_DEV_PINNED)
		return false;
	if (icfg_dev_is_dependent(d))
		return !icfg_dev_is_left_out(d);
	return icfg_dev_is_bound(d) && is_group_unbound(d->group);
}

/*
 * Is a device probed in this round of a revert? A dependent may be of a group that
 * an earlier round restored.
 */
static bool is_probed(const struct icfg_plan_dev *d)
{
	return icfg_dev_is_unbound(d) &&
	       (d->group->revert == ICFG_REVERT_ACTIVE ||
		(d->dependent && !icfg_group_is_waiting(d->group)));
}

/* In a revert: @pg stays as it is, because of @d where that is not NULL. */
static void pin(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		const char *why)
{
	icfg_plan_report_warn(pg, d, ICFG_RESTORE, -EBUSY, "left as it is: %s", why);
	pg->failed = true;
	if (d)
		d->state = ICFG_DEV_PINNED;
	if (!d || d->member)
		pg->pinned = pg->switched_back;
}

static bool is_lock_held(struct icfg_plan_dev *d)
{
	if (!device_trylock(d->dev))
		return true;
	device_unlock(d->dev);
	return false;
}

/*
 * Another process may have unbound a device that was bound again already, or
 * bound another driver: everything is to be as it was before the commit.
 */
static void rebind_lost(struct icfg_plan_dev *d)
{
	struct icfg_plan_group *pg = d->group;
	bool unbind = pg->switched_back && !pg->back_in_place;

	if (pg->method != ICFG_METHOD_REBIND && !unbind)
		return;
	if (!icfg_dev_is_bound(d) || icfg_dev_is_bound_again(d))
		return;

	if (!icfg_dev_is_registered(d->dev)) {
		d->state = ICFG_DEV_GONE;
	} else if (!READ_ONCE(d->dev->driver)) {
		d->state = ICFG_DEV_UNBOUND;
	} else if (!unbind) {
		icfg_plan_report(pg, d, ICFG_RESTORE, -EBUSY,
				 "another driver than %s was bound meanwhile",
				 d->drv_name);
		pg->failed = true;
	}
}

/*
 * Groups that are tried again: no group waits for a step that has returned before its
 * round, and what was in use is asked about anew.
 */
static void forget_last_round(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;

	icfg_for_each_group(pg, plan)
		pg->step.late &= icfg_step_is_left(&pg->step);
	icfg_for_each_dev(d, plan) {
		if (icfg_step_is_left(&d->step))
			continue;
		d->step.late = false;
		if (d->state == ICFG_DEV_PINNED &&
		    d->group->revert == ICFG_REVERT_ACTIVE)
			d->state = ICFG_DEV_IDLE;
	}
}

/* Groups and devices whose step is still running are left out of the round. */
static void leave_out_running(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;

	icfg_for_each_group(pg, plan)
		if (icfg_step_is_left(&pg->step))
			pg->revert = ICFG_REVERT_WAITING;
	icfg_for_each_dev(d, plan)
		if (icfg_step_is_left(&d->step))
			icfg_dev_leave_out(d);
}

/*
 * A take-back runs any time after the commit. A type that another process has set
 * since stays. ICFG_OTHER is no type that a process can set.
 */
static void keep_changed_type(struct icfg_plan_group *pg)
{
	enum icfg_type now = icfg_core_type(pg->staged->group);

	if (now != pg->cur && now != ICFG_OTHER && pg->cur != ICFG_OTHER)
		icfg_plan_leave_type(pg, pg->cur, now);
}

/* Which groups need their type back, and which drivers have their devices now? */
static void look_at_groups(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;

	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_ACTIVE)
			continue;
		if (plan->taking_back)
			keep_changed_type(pg);
		pg->switched_back = pg->modified && icfg_group_needs_revert(pg);
		pg->back_in_place = pg->switched_back &&
				    icfg_group_reverts_in_place(pg);
		pg->pause_back = false;
		if (!pg->switched_back)
			continue;
		/* Without memory for a new member, the switch looks again. */
		scoped_guard(mutex, &plan->lock)
			if (!icfg_plan_members(plan, pg) && !pg->members)
				pg->switched_back = false;
	}

	icfg_for_each_dev(d, plan) {
		pg = d->group;
		d->locked = false;
		d->left_out = false;
		d->driver_leaving &= !!READ_ONCE(d->dev->driver);
		if (pg->revert != ICFG_REVERT_ACTIVE)
			continue;
		/* It was put if the group was done before. */
		if (d->state == ICFG_DEV_UNBOUND && !d->drv && d->drv_name)
			d->drv = icfg_driver_get(d->dev->bus, d->drv_name);
		if (pg->modified)
			rebind_lost(d);
		if (pg->switched_back && !pg->back_in_place) {
			/*
			 * Another process bound its driver: it is unbound once
			 * more. One that is still being probed may come to be
			 * unbound; and another driver is left to the switch.
			 */
			if (d->state == ICFG_DEV_UNBOUND && d->drv &&
			    !is_lock_held(d) && icfg_dev_is_bound_again(d))
				d->state = ICFG_DEV_IDLE;
			icfg_plan_get_driver(plan, d);
		}
		if ((is_reverted(d) || is_probed(d)) && is_lock_held(d))
			d->locked = true;
	}
	icfg_for_each_dev(d, plan)
		if ((d->locked || d->driver_leaving) &&
		    d->group->revert == ICFG_REVERT_ACTIVE)
			icfg_dev_leave_out(d);
	icfg_for_each_group(pg, plan)
		if (is_group_unbound(pg))
			pg->pause_back = icfg_pause_back_possible(pg);
}

/* In which order are they unbound, and which dependents with them? */
static void order_revert(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	if (!icfg_deps_order(plan, is_reverted))
		return;
	icfg_for_each_group(pg, plan)
		if (is_group_reverted(pg))
			pin(pg, NULL, "no memory");
}

/*
 * A device that must stay bound also pins its suppliers and parents, and all their
 * groups; a device that is left out leaves those out that it is unbound before,
 * and those that are bound after it. Iterate to a fixed point.
 */
static void spread(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;
	bool more;

	do {
		more = false;
		icfg_for_each_dev(d, plan) {
			if (icfg_dev_is_left_out(d))
				continue;
			if (icfg_deps_wait(d, is_reverted(d))) {
				icfg_dev_leave_out(d);
				more = true;
			} else if (is_reverted(d) &&
				   icfg_step_has_dep(&d->step,
						     icfg_step_is_pinned)) {
				pin(d->group, d,
				    "a device that goes before it is in use");
				more = true;
			}
		}
	} while (more);
}

static bool any_pinned(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		if (READ_ONCE(d->state) == ICFG_DEV_PINNED || d->group->pinned)
			return true;
	return false;
}

/* What must not be unbound for the round? */
static void look_at_uses(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	char why[ICFG_WHY];

	icfg_for_each_group(pg, plan)
		if (is_group_reverted(pg) && icfg_inuse_owner(pg, &d, why))
			pin(pg, d, why);
	icfg_for_each_dev(d, plan)
		if (is_reverted(d) &&
		    (icfg_inuse_driver(d, why) ||
		     (!d->port && is_inuse(d, why))))
			pin(d->group, d, why);
}

/* Choose the groups of the next round. Returns true if there are any. */
static bool choose_round(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	bool any = false;

	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_NONE &&
		    pg->revert != ICFG_REVERT_WAITING)
			continue;
		pg->revert = ICFG_REVERT_ACTIVE;
		pg->failed = false;
		pg->pinned = false;
		if (!icfg_step_is_left(&pg->step))
			pg->fell_back = false;
	}
	forget_last_round(plan);

	icfg_deps_add_unasked(plan);
	leave_out_running(plan);
	look_at_groups(plan);
	order_revert(plan);
	/* Groups that are left out are not asked about, nor reported, in each round. */
	spread(plan);
	look_at_uses(plan);
	spread(plan);
	/* The dependents of devices that stay bound stay bound, too. */
	if (any_pinned(plan))
		order_revert(plan);

	icfg_for_each_group(pg, plan)
		any |= pg->revert == ICFG_REVERT_ACTIVE;
	return any;
}

static bool is_made_anew(const struct icfg_plan_dev *d)
{
	return d->group->revert == ICFG_REVERT_ACTIVE && d->below &&
	       d->state == ICFG_DEV_GONE;
}

/* Groups whose drivers can be paused. The next round rebinds those that cannot. */
static void pause_round(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (is_group_paused_back(pg))
			icfg_pause_note_method(pg, ICFG_METHOD_PAUSE);
	count_pauses(plan, is_group_paused_back);
	icfg_pause_switch(plan, is_group_paused_back);
	settle_progress(plan);
	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_ACTIVE || !pg->fell_back)
			continue;
		icfg_pause_note_method(pg, ICFG_METHOD_REBIND);
		pg->revert = ICFG_REVERT_WAITING;
	}
	leave_out_running(plan);
	spread(plan);
}

static bool any_fell_back(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (!icfg_step_is_left(&pg->step) && pg->fell_back &&
		    pg->revert == ICFG_REVERT_WAITING)
			return true;
	return false;
}

/* Restore the groups that were chosen. */
static void run_round(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;

	guard(expedited)(plan);

	pause_round(plan);
	count_steps(plan, is_reverted, 2);
	count_steps(plan, is_probed, 1);
	icfg_rebind_release(plan, is_reverted);
	leave_out_running(plan);
	spread(plan);
	icfg_rebind_switch(plan, is_group_reverted);
	leave_out_running(plan);
	spread(plan);
	icfg_rebind_probe(plan, is_probed);
	leave_out_running(plan);
	icfg_rebind_verify(plan, is_made_anew);
	leave_out_running(plan);

	icfg_for_each_dev(d, plan)
		if (is_probed(d))
			d->group->failed = true;
	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_ACTIVE)
			continue;
		pg->revert = ICFG_REVERT_DONE;
		if (pg->modified || pg->failed)
			trace_icfg_restore(pg, pg->old,
					   pg->failed ? -EIO : 0);
	}
}

/* Until when may a step take that was left running? */
static unsigned long step_end(const struct icfg_plan *plan,
			      const struct icfg_step *step)
{
	unsigned long end = icfg_step_end(step, plan->step_limit);
	unsigned long expired_end;

	/* Pairs with icfg_plan_stop(): the timer notes first when that was. */
	if (smp_load_acquire(&plan->stop) != ICFG_STOP_NOW || step->reverting)
		return end;
	expired_end = plan->expired_at + EXPIRED_WAIT;
	return time_before(expired_end, end) ? expired_end : end;
}

/* Is it worth to wait for what was left out of a round? */
static bool may_wait(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	unsigned long leave_until = plan->lock_until - LOCK_WAIT + LEAVE_WAIT;
	struct icfg_plan_dev *d;
	bool wait = false;

	icfg_for_each_group(pg, plan)
		if (icfg_step_is_left(&pg->step))
			wait |= !icfg_rebind_watch_group(pg, step_end(plan, &pg->step));
	icfg_for_each_dev(d, plan) {
		if (icfg_step_is_left(&d->step))
			wait |= !icfg_rebind_watch_dev(d, step_end(plan, &d->step));
		wait |= d->locked && time_before(jiffies, plan->lock_until);
		wait |= d->driver_leaving && time_before(jiffies, leave_until);
	}
	return wait;
}

/*
 * Report the groups that no round restored. They wait for a step that was given up
 * on, if there is one.
 */
static void report_waiting(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	const char *why;
	bool hangs = false;

	/* Also a step that has returned since the last look. */
	icfg_for_each_group(pg, plan)
		hangs |= pg->step.late && icfg_group_is_waiting(pg);
	icfg_for_each_dev(d, plan)
		hangs |= d->step.late && icfg_group_is_waiting(d->group);

	icfg_for_each_dev(d, plan) {
		pg = d->group;
		if (pg->revert != ICFG_REVERT_WAITING ||
		    icfg_step_is_left(&d->step))
			continue;
		why = icfg_dev_is_held(d);
		if (why) {
			icfg_plan_report_warn(pg, d, ICFG_RESTORE, -EBUSY,
					      "left as it is: %s", why);
		} else if (!pg->waits &&
			   icfg_deps_wait(d, icfg_dev_is_bound(d) &&
					  pg->switched_back &&
					  !pg->back_in_place &&
					  icfg_group_needs_revert(pg))) {
			pg->waits = true;
			icfg_plan_report_warn(pg, d, ICFG_RESTORE, -EBUSY,
					      "left as it is: it depends on a device that is waited for");
		}
	}

	/* What waits for no step is not tried again before a rollback. */
	icfg_for_each_dev(d, plan)
		if ((d->locked || d->driver_leaving) &&
		    d->group->revert == ICFG_REVERT_WAITING) {
			d->group->revert = ICFG_REVERT_DONE;
			d->group->failed = true;
		}
	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_WAITING)
			continue;
		pg->failed = true;
		if (!hangs)
			pg->revert = ICFG_REVERT_DONE;
		trace_icfg_restore(pg, pg->old, -EIO);
	}
}

/* Does a group of @plan wait for a step that was given up on? */
bool icfg_apply_is_waiting(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (pg->revert == ICFG_REVERT_WAITING)
			return true;
	return false;
}

/* Restore each group of @plan that is not restored, as far as that can be done. */
static void revert_groups(struct icfg_plan *plan)
{
	bool last = false;

	WRITE_ONCE(plan->lock_until, jiffies + LOCK_WAIT);

	for (;;) {
		if (choose_round(plan))
			run_round(plan);
		if (!icfg_apply_is_waiting(plan))
			return;
		if (any_fell_back(plan))
			continue;
		if (last)
			break;
		/* One more round for what has returned since the groups were chosen. */
		last = !may_wait(plan);
		if (!last)
			schedule_timeout_uninterruptible(ROUND_POLL);
	}
	report_waiting(plan);
}

/**
 * icfg_apply_rollback - restore what a commit changed
 * @plan: the plan, validated by icfg_validate_rollback(); or that of a commit which
 *	failed
 *
 * Unbinds what is bound in the groups that have another type by now, switches
 * these, and binds every driver again. Returns 0, or -EIO where something could not
 * be restored (yet).
 */
int icfg_apply_rollback(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;
	int ret = 0;

	/* Pairs with icfg_plan_is_reverting(). */
	smp_store_release(&plan->reverting, true);
	/* What was left of the commit is not done any more. */
	settle_progress(plan);
	revert_groups(plan);
	/* Nor are the steps of groups that have to wait. */
	settle_progress(plan);

	icfg_for_each_group(pg, plan)
		if (pg->failed)
			ret = -EIO;
	return ret;
}

/**
 * icfg_apply_commit - do what was validated
 * @plan: the plan, validated and not refused
 *
 * Returns 0; -ECANCELED where something failed and everything is as before;
 * -EIO where something could not be restored, or not yet.
 */
int icfg_apply_commit(struct icfg_plan *plan)
{
	if (apply_forward(plan))
		return 0;

	/* Restoring does not ask whether an interface is up. */
	WRITE_ONCE(plan->allow, plan->allow | ICFG_ALLOW_NET);
	return icfg_apply_rollback(plan) ?: -ECANCELED;
}

/**
 * icfg_apply_take_back - restore groups whose steps have returned
 * @plan: a plan that was reverted, with groups that wait
 *
 * The groups that it restores, or reports as failed for good, do not wait any
 * more.
 */
void icfg_apply_take_back(struct icfg_plan *plan)
{
	/* It is part of the commit, whose progress came to its end. */
	WRITE_ONCE(plan->allow, plan->allow | ICFG_ALLOW_NET);
	WRITE_ONCE(plan->taking_back, true);
	revert_groups(plan);
}
