// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine: what a commit and a rollback do to the hardware, and in which
 * order.
 *
 * The way there is all or nothing: the first problem sets run->abort, no step
 * begins any more, and the same run goes back. The way back is for each group
 * on its own: a group that cannot be put back does not keep the others.
 *
 * Owns no data. One thread drives a run; no lock is held while steps run.
 */
#include <linux/delay.h>
#include <linux/device.h>

#include "check.h"
#include "engine.h"
#include "expedite.h"
#include "guard.h"
#include "quiesce.h"
#include "trace.h"

/* How long an rmmod that is under way is waited for on the way back. */
#define LEAVE_LOOKS	20
#define LEAVE_LOOK_MS	100

/* Is there a group that does not have its type yet? */
bool icfg_engine_has_work(struct icfg_run *run)
{
	struct icfg_target *t;

	icfg_for_each_target(t, run)
		if (t->way != ICFG_WAY_NONE)
			return true;
	return false;
}

/* Is there a group that the commit changed, for a rollback to change back? */
bool icfg_engine_has_touched(struct icfg_run *run)
{
	struct icfg_target *t;

	icfg_for_each_target(t, run)
		if (t->touched)
			return true;
	return false;
}

static bool goes_back(const struct icfg_dev *d)
{
	return !d->held && (icfg_dev_goes_along(d) ||
			    (icfg_dev_is_bound(d) && d->target->back &&
			     !d->target->stuck));
}

static void count_steps(struct icfg_run *run,
			bool (*due)(const struct icfg_dev *d), int each)
{
	struct icfg_dev *d;
	int count = 0;

	icfg_for_each_dev(d, run)
		if (due(d))
			count += each;
	atomic_add(count, &run->txn->total);
}

static bool is_released(const struct icfg_dev *d)
{
	return d->released && d->drv;
}

static bool way_is_release(const struct icfg_target *t)
{
	return t->way == ICFG_WAY_RELEASE;
}

static bool way_is_in_place(const struct icfg_target *t)
{
	return t->way == ICFG_WAY_IN_PLACE;
}

static bool way_is_back(const struct icfg_target *t)
{
	return t->back && !t->stuck;
}

/* What has a driver is there, and is not to be woken up to be asked. */
static bool is_there(struct icfg_dev *d)
{
	return READ_ONCE(d->dev->driver) || !icfg_dev_is_gone(d);
}

/* Every group that was switched has its type, every device its driver. */
static void verify(struct icfg_run *run)
{
	struct icfg_target *t;
	struct icfg_dev *d;
	int err;

	icfg_for_each_target(t, run) {
		if (t->way != ICFG_WAY_RELEASE)
			continue;
		t->now = icfg_seat_type(t->group->seat);
		err = 0;
		if (t->wanted != ICFG_AUTO && t->now != t->wanted) {
			err = -EOPNOTSUPP;
			icfg_problem(t, NULL, ICFG_VERIFY, -EOPNOTSUPP,
				     "%s was asked for, the group has %s",
				     icfg_type_word(t->wanted),
				     icfg_type_word(t->now));
			run->abort = true;
		}
		trace_icfg_verify(t, t->wanted, err);
	}

	icfg_for_each_dev(d, run) {
		if ((d->drv && icfg_dev_is_bound_again(d)) ||
		    (!d->along && d->target->way != ICFG_WAY_RELEASE))
			continue;
		if (is_there(d)) {
			/* It had none, or one that was none of our business. */
			if (!d->drv || (d->managed && !d->along))
				continue;
			icfg_problem(d->target, d, ICFG_VERIFY, -ENODEV,
				     "does not have driver %s again",
				     d->drv_name);
		} else {
			if (!d->member || d->below)
				continue;
			icfg_problem(d->target, d, ICFG_VERIFY, -ENODEV,
				     "was unplugged meanwhile");
		}
		run->abort = true;
	}
}

static bool go_there(struct icfg_run *run)
{
	guard(icfg_expedite)(run);

	count_steps(run, icfg_dev_goes_forwards, 2);
	icfg_release_devs(run, icfg_dev_goes_forwards);
	if (!run->abort)
		icfg_switch_targets(run, way_is_release);
	if (!run->abort)
		icfg_probe_devs(run);
	if (!run->abort)
		verify(run);
	/*
	 * Last what needs no release: when anything else fails, these groups
	 * need no way back, which would release their drivers after all.
	 */
	if (!run->abort)
		icfg_switch_targets(run, way_is_in_place);
	return !run->abort;
}

/* On the way back: @t stays as it is, because of @d where that is not NULL. */
static void stay(struct icfg_target *t, struct icfg_dev *d, const char *why)
{
	icfg_problem(t, d, ICFG_RESTORE, -EBUSY, "left as it is: %s", why);
	t->failed = true;
	if (d)
		d->held = true;
	if (!d || d->member)
		t->stuck = t->back;
}

/*
 * What may not be released holds its suppliers and parents, and these hold the
 * rest of their groups, and so on.
 */
static void spread_holds(struct icfg_run *run)
{
	struct icfg_dev *d;
	bool more;

	do {
		more = false;
		icfg_for_each_dev(d, run) {
			if (!goes_back(d) ||
			    !icfg_step_has_before(&d->step,
						  icfg_step_is_held))
				continue;
			stay(d->target, d, "a device that goes before it is in use");
			more = true;
		}
	} while (more);
}

/*
 * Somebody may have taken a driver away that was back already, or bound
 * another one: everything is to be as it was before the commit.
 */
static void reclaim(struct icfg_dev *d)
{
	struct icfg_target *t = d->target;

	if (t->way != ICFG_WAY_RELEASE && !t->back)
		return;
	if (!icfg_dev_is_bound(d) || icfg_dev_is_bound_again(d) ||
	    icfg_dev_is_gone(d))
		return;

	if (!READ_ONCE(d->dev->driver)) {
		d->released = true;
	} else if (!t->back) {
		icfg_problem(t, d, ICFG_RESTORE, -EBUSY,
			     "somebody bound another driver than %s meanwhile",
			     d->drv_name);
		t->failed = true;
	}
}

/* An rmmod that was under way when we looked is over in a moment. */
static bool has_left(struct icfg_dev *d)
{
	int look;

	for (look = 0; look < LEAVE_LOOKS; look++) {
		if (!READ_ONCE(d->dev->driver))
			return true;
		msleep(LEAVE_LOOK_MS);
	}
	return false;
}

/* In which order do they go, and who goes along? */
static void order_back(struct icfg_run *run)
{
	struct icfg_target *t;

	if (!icfg_run_order(run, goes_back))
		return;
	icfg_for_each_target(t, run)
		if (way_is_back(t))
			stay(t, NULL, "no memory");
}

static bool any_stays(struct icfg_run *run)
{
	struct icfg_dev *d;

	icfg_for_each_dev(d, run)
		if (d->held || d->target->stuck)
			return true;
	return false;
}

/* Which groups need their type back, and may they be touched for it? */
static void prepare_back(struct icfg_run *run)
{
	char why[ICFG_WHY];
	struct icfg_target *t;
	struct icfg_dev *d;
	int err;

	icfg_for_each_target(t, run) {
		/* The way back is the way to release, also from in place. */
		t->back = t->touched && icfg_target_needs_back(t);
		if (!t->back)
			continue;
		scoped_guard(mutex, &run->lock)
			err = icfg_run_members(run, t);
		if (err)
			stay(t, NULL, "no memory");
		else if (!t->members)
			t->back = false;
	}

	icfg_for_each_dev(d, run) {
		if (d->target->touched)
			reclaim(d);
		if (!d->target->back)
			continue;
		err = icfg_run_pin(run, d);
		if (err && err != -EBUSY)
			stay(d->target, d, "no memory");
	}
	order_back(run);

	icfg_for_each_dev(d, run)
		if (d->leaving && !has_left(d))
			stay(d->target, d, "the module of its driver is being removed");
	icfg_for_each_target(t, run)
		if (way_is_back(t) && icfg_guard_owner(t))
			stay(t, NULL, "it is owned by user space (VFIO, iommufd)");
	/* A disk that is merely open is asked about again right before. */
	icfg_for_each_dev(d, run)
		if (goes_back(d) &&
		    (icfg_guard_driver(d, why) ||
		     (!d->port && !(run->allow & ICFG_ALLOW_BLOCK) &&
		      icfg_guard_block(d->dev, why) == -EBUSY)))
			stay(d->target, d, why);
	spread_holds(run);
	/* What would have gone along with those that stay does not go. */
	if (any_stays(run))
		order_back(run);
}

/*
 * The way back: release what is bound in the groups that have another type by
 * now, switch these, and bring back every driver that we took. Returns 0, or
 * -EIO where something could not be put back.
 */
static int go_back(struct icfg_run *run)
{
	struct icfg_target *t;
	struct icfg_dev *d;
	int ret = 0;

	run->backwards = true;
	/* What was left of the way there is not done any more. */
	atomic_set(&run->txn->total, atomic_read(&run->txn->done));
	prepare_back(run);

	guard(icfg_expedite)(run);

	count_steps(run, goes_back, 2);
	count_steps(run, is_released, 1);
	icfg_release_devs(run, goes_back);
	icfg_switch_targets(run, way_is_back);
	icfg_probe_devs(run);

	icfg_for_each_dev(d, run)
		if (is_released(d) && !d->gone)
			d->target->failed = true;

	icfg_for_each_target(t, run) {
		if (!t->touched && !t->failed)
			continue;
		if (t->failed)
			ret = -EIO;
		trace_icfg_restore(t, t->was, t->failed ? -EIO : 0);
	}
	return ret;
}

/**
 * icfg_engine_commit - do what was checked
 * @run: the run, checked and not refused
 *
 * Returns 0; -ECANCELED where something failed and everything is as before;
 * -EIO where something could not be put back.
 */
int icfg_engine_commit(struct icfg_run *run)
{
	if (go_there(run))
		return 0;
	return go_back(run) ?: -ECANCELED;
}

/**
 * icfg_engine_rollback - go back
 * @run: the run, checked by icfg_check_rollback()
 *
 * Returns 0, or -EIO where something could not be put back.
 */
int icfg_engine_rollback(struct icfg_run *run)
{
	return go_back(run);
}
