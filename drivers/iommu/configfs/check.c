// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a commit and a rollback verify before they touch anything, and how they
 * are refused: every problem is reported, and the errno is that of the problem
 * that the ABI names first.
 *
 * Owns no data and takes no lock but run->lock around a look at the members.
 */
#include <linux/delay.h>
#include <linux/device.h>
#ifdef CONFIG_TEGRA_HOST1X_CONTEXT_BUS
#include <linux/host1x_context_bus.h>
#endif
#include <linux/slab.h>
#include <linux/string.h>

#include "check.h"
#include "guard.h"
#include "lookup.h"
#include "trace.h"

/* A disk below that is open this many looks on end is in use. */
#define OPEN_LOOKS	(ICFG_OPEN_FOR_MS / ICFG_OPEN_POLL_MS)

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

/* Refuse the run with @err, unless something that comes first did already. */
void icfg_refuse_errno(struct icfg_run *run, int err)
{
	if (!run->refusal || precedence(err) < precedence(run->refusal))
		run->refusal = err;
}

/**
 * icfg_refuse - report why a run cannot begin
 * @t: the group
 * @d: the device, or NULL
 * @err: a negative errno
 * @fmt: what and why
 */
void icfg_refuse(struct icfg_target *t, struct icfg_dev *d, int err,
		 const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_problem(t, d, ICFG_CHECK, err, "%pV", &vaf);
	va_end(args);
	icfg_refuse_errno(t->run, err);
}

/* What is wanted of @t against what its devices and its IOMMU allow. */
static void check_type(struct icfg_target *t)
{
	const struct icfg_rules *rules = &t->rules;
	enum icfg_type goal = t->wanted;

	if (t->wanted == ICFG_NONE) {
		icfg_refuse(t, NULL, -EINVAL, "no type was written for this group");
		return;
	}
	/* Unless it turns out below that nothing has to change. */
	t->way = ICFG_WAY_RELEASE;
	if (rules->contradiction) {
		icfg_refuse(t, NULL, -EINVAL,
			    "a device that is not trusted needs DMA, and device %s needs identity",
			    rules->forced_by ? dev_name(rules->forced_by) : "-");
		return;
	}
	if (goal == ICFG_AUTO) {
		goal = icfg_auto_type(rules);
	} else if (rules->forced != ICFG_NONE && goal != rules->forced) {
		icfg_refuse(t, icfg_run_find(t->run, rules->forced_by), -EINVAL,
			    "%s is ruled out: the device needs %s",
			    icfg_type_word(goal), icfg_type_word(rules->forced));
		return;
	}

	if (goal == t->now) {
		t->way = ICFG_WAY_NONE;
		return;
	}

	if (t->now == ICFG_OTHER)
		icfg_refuse(t, NULL, -EOPNOTSUPP,
			    "its present type could not be put back");
	if (goal == ICFG_IDENTITY && rules->identity == ICFG_NO)
		icfg_refuse(t, NULL, -EOPNOTSUPP,
			    "its IOMMU has no identity domain");
}

/* Once the drivers are known: is there lazy invalidation, and in place? */
static void check_fq(struct icfg_target *t)
{
	if (t->way != ICFG_WAY_RELEASE || t->wanted != ICFG_DMA_FQ)
		return;
	if (t->rules.fq == ICFG_NO)
		icfg_refuse(t, NULL, -EOPNOTSUPP,
			    "its IOMMU cannot defer invalidation, which DMA-FQ needs");
	else if (t->rules.fq == ICFG_YES && t->now == ICFG_DMA)
		t->way = ICFG_WAY_IN_PLACE;
	/* From DMA the core would bring up a queue in place, and ask nobody. */
	else if (t->now == ICFG_DMA)
		icfg_refuse(t, NULL, -EOPNOTSUPP,
			    "it cannot be told whether its IOMMU can defer invalidation");
}

static bool goes_in_place(const struct icfg_dev *d)
{
	return icfg_dev_is_bound(d) && d->target->way == ICFG_WAY_IN_PLACE &&
	       !d->target->run->backwards;
}

/* In place releases nothing, but a timer that takes it back would. */
static bool may_be_released(const struct icfg_dev *d)
{
	return icfg_dev_goes_forwards(d) ||
	       (d->target->run->confirm && goes_in_place(d));
}

/*
 * Ask the guards about every device that @due picks. Disks that are merely
 * open get time to be closed, all of them the same two seconds.
 */
static void check_guards(struct icfg_run *run,
			 bool (*due)(const struct icfg_dev *d),
			 unsigned int allow)
{
	char why[ICFG_WHY];
	struct icfg_dev *d;
	bool open = false;
	int look, err;

	icfg_for_each_dev(d, run) {
		d->open = false;
		/*
		 * In place nothing is released, but the way back would: it is
		 * to be there.
		 */
		if ((due(d) || goes_in_place(d)) && icfg_guard_driver(d, why))
			icfg_refuse(d->target, d, -EBUSY, "%s", why);
		if (!due(d) || d->port)
			continue;
		if (!(allow & ICFG_ALLOW_NET) && icfg_guard_net(d->dev, why))
			icfg_refuse(d->target, d, -EBUSY, "%s", why);
		if (allow & ICFG_ALLOW_BLOCK)
			continue;
		err = icfg_guard_block(d->dev, why);
		if (err == -EBUSY)
			icfg_refuse(d->target, d, -EBUSY, "%s", why);
		d->open = err == -EAGAIN;
		open |= d->open;
	}

	for (look = 0; open && look < OPEN_LOOKS; look++) {
		msleep(ICFG_OPEN_POLL_MS);
		open = false;
		icfg_for_each_dev(d, run) {
			if (!d->open)
				continue;
			err = icfg_guard_block(d->dev, why);
			if (err == -EBUSY)
				icfg_refuse(d->target, d, -EBUSY, "%s", why);
			d->open = err == -EAGAIN;
			if (d->open && look == OPEN_LOOKS - 1)
				icfg_refuse(d->target, d, -EBUSY,
					    "%s and stays open", why);
			open |= d->open;
		}
	}
}

static void check_leaving(struct icfg_run *run)
{
	struct icfg_dev *d;

	icfg_for_each_dev(d, run)
		if (d->leaving)
			icfg_refuse(d->target, d, -EBUSY,
				    "the module of its driver is being removed");
}

static void check_owner(struct icfg_target *t)
{
	if (icfg_guard_owner(t))
		icfg_refuse(t, NULL, -EBUSY,
			    "the group is owned by user space (VFIO, iommufd)");
}

/*
 * Is a device of this bus freed though somebody has a reference?
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

/**
 * icfg_check_commit - verify what can be verified without touching anything
 * @run: a new run
 *
 * Reports every problem. Afterwards each group's way is known, and the drivers
 * of the groups that have to change are pinned. Returns 0 or the errno to
 * refuse with.
 */
int icfg_check_commit(struct icfg_run *run)
{
	struct icfg_target *t;
	struct icfg_dev *d;
	int ret;

	if (!run->nr_targets) {
		icfg_report_add(&run->txn->report, ICFG_NO_GROUP, NULL,
				ICFG_CHECK, -EINVAL, "nothing is staged");
		icfg_refuse_errno(run, -EINVAL);
		return run->refusal;
	}

	icfg_for_each_target(t, run) {
		scoped_guard(mutex, &run->lock)
			ret = icfg_run_members(run, t);
		if (ret)
			return ret;
		t->was = icfg_seat_type(t->group->seat);
		t->now = t->was;
		icfg_for_each_member(d, t) {
			d->no_ops = icfg_target_is_translated(t) &&
				    !icfg_dev_has_ops(d);
			if (frees_at_once(d->dev->bus))
				icfg_refuse(t, d, -EOPNOTSUPP,
					    "bus %s frees its devices without asking who has them",
					    d->dev->bus->name);
		}
		if (!t->members) {
			icfg_refuse(t, NULL, -ENODEV, "the group has no device");
			if (t->wanted != ICFG_NONE)
				continue;
		}
		check_type(t);
	}

	icfg_for_each_dev(d, run) {
		if (d->target->way == ICFG_WAY_NONE || d->target->taken)
			continue;
		ret = icfg_run_pin(run, d);
		if (ret && ret != -EBUSY)
			return ret;
	}
	icfg_for_each_target(t, run)
		check_fq(t);

	ret = icfg_run_order(run, may_be_released);
	if (ret)
		return ret;
	check_leaving(run);

	icfg_for_each_target(t, run)
		if (t->way != ICFG_WAY_NONE && !t->taken)
			check_owner(t);
	check_guards(run, may_be_released, run->allow);

	/* What a timer might release is not what the commit does. */
	if (run->confirm) {
		ret = icfg_run_order(run, icfg_dev_goes_forwards);
		if (ret)
			return ret;
	}

	icfg_for_each_target(t, run)
		trace_icfg_check(t, t->wanted, run->refusal);
	return run->refusal;
}

/*
 * A device that had a driver when the commit began, compared with now. A
 * driver that we could not bring back then is tried again; what somebody
 * changed on purpose is left alone.
 */
static int compare_dev(struct icfg_run *run, struct icfg_target *t,
		       struct icfg_dev *old)
{
	const struct device_driver *now;
	const char *name = NULL;
	struct icfg_dev *d;
	bool same = false;

	if (!old->drv_name || old->managed)
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
			icfg_problem(t, old, ICFG_RESTORE, -EEXIST,
				     "has driver %s since, which it keeps instead of %s",
				     name ?: "of another name", old->drv_name);
		kfree(name);
		return 0;
	}
	if (icfg_dev_is_gone(old))
		return 0;
	if (!old->released) {
		icfg_problem(t, old, ICFG_RESTORE, -ENOENT,
			     "has lost driver %s since, and stays without",
			     old->drv_name);
		return 0;
	}

	scoped_guard(mutex, &run->lock)
		d = icfg_run_add_dev(run, t, old->dev);
	if (!d)
		return -ENOMEM;

	if (old->member)
		icfg_run_join(d, t);
	d->drv_name = kstrdup_const(old->drv_name, GFP_KERNEL);
	if (!d->drv_name)
		return -ENOMEM;
	d->drv = icfg_driver_get(old->dev->bus, old->drv_name);
	d->released = true;
	/* Of a group that needs no type back there is this to restore. */
	if (!icfg_target_needs_back(t))
		t->touched = true;
	if (!d->drv)
		icfg_problem(t, old, ICFG_RESTORE, -ENOENT,
			     "driver %s is gone, it stays without",
			     old->drv_name);
	return 0;
}

static int check_target_back(struct icfg_run *run, struct icfg_target *t,
			     struct icfg_target *old, enum icfg_asker asker)
{
	int ret;

	t->was = old->was;
	t->way = old->way;
	t->now = icfg_seat_type(t->group->seat);
	t->touched = old->touched;
	t->left_out = old->left_out;
	scoped_guard(mutex, &run->lock)
		ret = icfg_run_members(run, t);
	if (ret)
		return ret;

	/* The core forgets the type of a group that is left without device. */
	if (!t->members)
		t->now = t->was;
	if (!t->members || !t->touched)
		return 0;
	/* What could not be read then is nobody else's doing. */
	if (t->now == old->now || old->now == ICFG_OTHER) {
		t->touched = icfg_target_needs_back(t);
		return 0;
	}

	if (asker == ICFG_BY_HAND) {
		icfg_refuse(t, NULL, -ESTALE,
			    "somebody else changed the type from %s to %s",
			    icfg_type_word(old->now), icfg_type_word(t->now));
	} else {
		icfg_problem(t, NULL, ICFG_RESTORE, -ESTALE,
			     "left alone: somebody else changed the type from %s to %s",
			     icfg_type_word(old->now), icfg_type_word(t->now));
		t->was = t->now;
		t->touched = false;
	}
	return 0;
}

static bool may_go_back(const struct icfg_dev *d)
{
	return icfg_dev_goes_along(d) ||
	       (icfg_dev_is_bound(d) && d->target->touched &&
		icfg_target_needs_back(d->target));
}

/**
 * icfg_check_rollback - verify what can be verified before a rollback
 * @run: a new run
 * @undo: the run of the commit
 * @asker: who asks
 *
 * Returns 0 or the errno to refuse with; the timer is refused only for want of
 * memory.
 */
int icfg_check_rollback(struct icfg_run *run, struct icfg_run *undo,
			enum icfg_asker asker)
{
	struct icfg_dev *d, *again;
	struct icfg_target *t, *old;
	int ret;

	/* Both were made from the same list, which did not change since. */
	icfg_for_each_target(t, run) {
		old = undo->targets + (t - run->targets);
		ret = check_target_back(run, t, old, asker);
		if (ret)
			return ret;
	}
	icfg_for_each_dev(d, undo) {
		t = run->targets + (d->target - undo->targets);
		again = icfg_run_find(run, d->dev);
		if (again)
			again->no_ops = d->no_ops;
		ret = compare_dev(run, t, d);
		if (ret)
			return ret;
	}
	if (asker == ICFG_BY_TIMER)
		return 0;

	icfg_for_each_dev(d, run) {
		if (d->target->taken || !d->target->touched ||
		    !icfg_target_needs_back(d->target))
			continue;
		ret = icfg_run_pin(run, d);
		if (ret && ret != -EBUSY)
			return ret;
	}
	ret = icfg_run_order(run, may_go_back);
	if (ret)
		return ret;
	check_leaving(run);

	icfg_for_each_target(t, run)
		if (t->touched && icfg_target_needs_back(t) && !t->taken)
			check_owner(t);
	check_guards(run, may_go_back, run->allow);
	return run->refusal;
}
