// SPDX-License-Identifier: GPL-2.0-only
/*
 * The quiesce engine's hands: release the drivers, switch the groups, probe
 * the devices again, each of the three side by side on all devices of a plan.
 * Which devices, when, and what to do about a failure is apply.c's business.
 *
 * Owns no data of its own. A step writes to its own device or group only, sets
 * plan->abort, and adds to the report; a group that finds newcomers while it is
 * switched adds them to the plan under plan->lock.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "core.h"
#include "icfg.h"
#include "trace.h"

/* How often a group is released anew when somebody binds in between. */
#define SWITCH_TRIES	5
#define RETRY_MS	20

/* How long a probe that defers is tried again, and how often. */
#define DEFER_FOR	(10 * HZ)
#define DEFER_POLL_MS	50
#define DEFER_POLL_MAX	500

/*
 * How long a PCI reset of the group is waited for, there and back; and back, for
 * memory as well.
 */
#define PATIENCE	(10 * HZ)
#define PATIENCE_BACK	(60 * HZ)

/* How long a device that is being deleted takes to be gone. */
#define GONE_LOOKS	50
#define GONE_LOOK_MS	20

/*
 * Report a problem of a step. On the way there it turns the plan around; on the
 * way back it marks the group, and the others go on.
 */
static __printf(5, 6)
void step_failed(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		 enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, icfg_plan_phase(pg->plan, phase), err, "%pV", &vaf);
	va_end(args);

	if (pg->plan->reverting)
		WRITE_ONCE(pg->failed, true);
	else
		WRITE_ONCE(pg->plan->abort, true);
}

static void slow_release(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	icfg_plan_report(d->group, d, icfg_plan_phase(d->group->plan, ICFG_RELEASE),
			 -ETIMEDOUT, "waiting for over 10 s for driver %s to let go",
		     d->drv_name ?: "-");
}

static void slow_probe(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	icfg_plan_report(d->group, d, icfg_plan_phase(d->group->plan, ICFG_PROBE),
			 -ETIMEDOUT, "waiting for over 10 s for driver %s to probe",
		     d->drv_name ?: "-");
}

static void slow_switch(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);

	icfg_plan_report(pg, NULL, icfg_plan_phase(pg->plan, ICFG_SWITCH), -ETIMEDOUT,
			 "waiting for over 10 s for the domain to be attached");
}

/* Takes the driver away, whichever it is by now. */
static void release_driver(struct icfg_plan_dev *d)
{
	struct device *dev = d->dev;
	struct device *parent = NULL;

	if (dev->type && dev->type->need_parent_lock)
		parent = dev->parent;
	if (parent)
		device_lock(parent);
	device_release_driver(dev);
	if (parent)
		device_unlock(parent);
}

/* On the way back: this one keeps its driver, so its group keeps its type. */
static void pin_dev(struct icfg_plan_dev *d)
{
	WRITE_ONCE(d->pinned, true);
	if (d->member && d->group->reverted) {
		WRITE_ONCE(d->group->pinned, true);
		WRITE_ONCE(d->group->failed, true);
	}
}

/*
 * A driver that somebody bound meanwhile, and that is not ours to release: on
 * the way there any, on the way back one whose release may never end, since it
 * gave the device to user space.
 */
static bool has_foreign_driver(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(d->dev->driver);
	if (!drv || drv == d->drv)
		return false;
	return !plan->reverting || drv->suppress_bind_attrs ||
	       icfg_driver_manages_dma(drv);
}

static void release_dev(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	struct icfg_plan_group *pg = d->group;
	unsigned int allow = plan->allow;
	char why[ICFG_WHY];

	if (!plan->reverting && READ_ONCE(plan->abort))
		return;
	if (READ_ONCE(pg->pinned) && !d->dependent) {
		pin_dev(d);
		return;
	}
	/* Releasing a supplier would release its consumers after all. */
	if (icfg_step_has_dep(&d->step, icfg_step_is_pinned)) {
		step_failed(pg, d, ICFG_RELEASE, -EBUSY,
			    "left as it is: a device that goes before it is in use");
		pin_dev(d);
		return;
	}

	if (has_foreign_driver(plan, d)) {
		step_failed(pg, d, ICFG_RELEASE, -EBUSY,
			    "got another driver than %s meanwhile", d->drv_name);
		if (plan->reverting)
			pin_dev(d);
		return;
	}

	/* It was free a moment ago; look again where it matters. */
	if (plan->reverting)
		allow |= ICFG_ALLOW_NET;
	if (icfg_inuse_driver(d, why) ||
	    (!d->port && icfg_inuse(d, allow, why))) {
		step_failed(pg, d, ICFG_RELEASE, -EBUSY, "%s", why);
		if (plan->reverting)
			pin_dev(d);
		return;
	}

	/* A group whose member only goes along is not touched by that. */
	if (plan->reverting ? pg->reverted : pg->method == ICFG_METHOD_REBIND)
		WRITE_ONCE(pg->modified, true);
	release_driver(d);
	d->released = true;
	trace_icfg_release(pg, d, 0);
}

static void release_step(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	release_dev(d->group->plan, d);
}

/**
 * icfg_rebind_release - release the drivers of a plan
 * @plan: the plan
 * @selected: of which devices
 */
void icfg_rebind_release(struct icfg_plan *plan,
			 bool (*selected)(const struct icfg_plan_dev *d))
{
	struct icfg_sched steps = {
		.fn	= release_step,
		.slow	= slow_release,
		.done	= &plan->txn->done,
	};
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		d->step.selected = selected(d);
	icfg_sched_run(&steps, &plan->devs);
}

/*
 * Release whoever came or came back since the group was released. Returns 0,
 * -ENODEV where no device is left, or -EBUSY, which is reported.
 */
static int release_added(struct icfg_plan *plan, struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;
	int ret;

	scoped_guard(mutex, &plan->lock)
		ret = icfg_plan_members(plan, pg);
	if (ret) {
		step_failed(pg, NULL, ICFG_SWITCH, ret, "no memory");
		return -EBUSY;
	}
	if (!pg->members)
		return -ENODEV;

	icfg_for_each_member(d, pg) {
		if (d->released && READ_ONCE(d->dev->driver))
			d->released = false;
		ret = icfg_plan_get_driver(plan, d);
		if (ret) {
			step_failed(pg, d, ICFG_SWITCH, ret, ret == -EBUSY ?
				    "the module of its driver is being removed" :
				    "no memory");
			return -EBUSY;
		}
		if (!icfg_dev_is_bound(d))
			continue;
		/* Too late to find out in which order these would go. */
		if (icfg_deps_has_consumers(d)) {
			step_failed(pg, d, ICFG_SWITCH, -EBUSY,
				    "was bound meanwhile, and has consumers by now");
			return -EBUSY;
		}
		release_dev(plan, d);
		if (!d->released)
			return -EBUSY;
		/* Its probe was not foreseen. */
		atomic_inc(&plan->txn->total);
	}
	return 0;
}

/*
 * Where the core cannot set a device up for a translated domain it says so in the
 * kernel log only, and leaves the device with DMA that the domain would stop. One
 * that was so before is no worse off.
 */
static bool dma_setup_fails(struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;

	if (!icfg_group_is_translated(pg))
		return false;

	icfg_for_each_member(d, pg)
		if (!icfg_dev_has_dma_ops(d) && !d->no_dma_ops && !icfg_dev_is_gone(d))
			return true;
	return false;
}

/*
 * Returns 0, -ECANCELED for a failure that is reported already, or the errno
 * to report; with t->now what the group has then.
 */
static int set_type(struct icfg_plan *plan, struct icfg_plan_group *pg,
		    enum icfg_type type)
{
	unsigned long patience = jiffies + (plan->reverting ? PATIENCE_BACK :
							     PATIENCE);
	bool in_place = pg->method == ICFG_METHOD_IN_PLACE && !plan->reverting;
	int tries = 0;
	int ret, err;

	for (;;) {
		ret = icfg_should_fail() ? -ENOMEM :
					   icfg_core_set_type(pg->staged->group, type);
		pg->cur = icfg_core_type(pg->staged->group);
		/* A new domain, though perhaps one of the same type as before. */
		if (!ret && !in_place) {
			pg->dma_setup_failed = dma_setup_fails(pg);
			if (pg->dma_setup_failed)
				ret = -ENOMEM;
		}
		if ((ret == -EBUSY || (ret == -ENOMEM && plan->reverting)) &&
		    time_before(jiffies, patience)) {
			msleep(RETRY_MS);
			continue;
		}
		/* -EINVAL is what a group without devices answers as well. */
		if (in_place || (ret != -EPERM && ret != -EINVAL) ||
		    tries++ == SWITCH_TRIES)
			return ret;

		msleep(RETRY_MS * (tries - 1));
		err = release_added(plan, pg);
		if (err)
			return err == -ENODEV ? err : -ECANCELED;
		if (ret == -EINVAL)
			return ret;
	}
}

static void switch_group(struct icfg_plan *plan, struct icfg_plan_group *pg)
{
	enum icfg_type type = plan->reverting ? pg->old : pg->new;
	int ret;

	if (!plan->reverting && READ_ONCE(plan->abort))
		return;

	WRITE_ONCE(pg->modified, true);
	ret = set_type(plan, pg, type);
	if (!ret && type != ICFG_AUTO && pg->cur != type)
		ret = -EOPNOTSUPP;
	trace_icfg_switch(pg, type, ret);

	switch (ret) {
	case 0:
	case -ECANCELED:
		break;
	case -ENODEV:
		/* Nobody is left for whom there would be a way back. */
		if (!plan->reverting)
			step_failed(pg, NULL, ICFG_SWITCH, ret,
				    "every device of the group is gone");
		break;
	case -EPERM:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "a driver or a user space owner took the group and kept it");
		break;
	case -EOPNOTSUPP:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "%s was asked for and accepted, but the group has %s",
			    icfg_type_word(type), icfg_type_word(pg->cur));
		break;
	default:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "the IOMMU core refused %s", icfg_type_word(type));
	}
}

static void switch_step(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);

	switch_group(pg->plan, pg);
}

/**
 * icfg_rebind_switch - switch groups
 * @plan: the plan, the drivers of these groups released (but in place)
 * @selected: which groups
 */
void icfg_rebind_switch(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_group *pg))
{
	struct icfg_sched steps = {
		.fn	= switch_step,
		.slow	= slow_switch,
	};
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		pg->step.selected = selected(pg);
	icfg_sched_run(&steps, &plan->group_steps);
}

static bool driver_matches(struct icfg_plan_dev *d)
{
	const struct bus_type *bus = d->drv->bus;

	return !bus->match || bus->match(d->dev, d->drv) > 0;
}

/* Once: 0, -EAGAIN where the probe wants to be tried later, or why not. */
static int probe_once(struct icfg_plan_dev *d)
{
	int ret;

	if (!device_is_registered(d->dev))
		return -ENODEV;
	if (!driver_matches(d))
		return -EINVAL;

	ret = device_driver_attach(d->drv, d->dev);
	if (ret == -EBUSY && READ_ONCE(d->dev->driver) == d->drv)
		ret = 0;
	return ret;
}

/* Is a probe that answered this worth another try, a little later? */
static bool is_transient(const struct icfg_plan *plan, int err)
{
	return err == -EAGAIN || (err == -ENOMEM && plan->reverting);
}

static int probe_retry(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	unsigned long end = jiffies + DEFER_FOR;
	unsigned int ms = DEFER_POLL_MS;
	int ret;

	for (;;) {
		ret = probe_once(d);
		if (!is_transient(plan, ret))
			return ret;
		if (!plan->reverting && READ_ONCE(plan->abort))
			return -EPROBE_DEFER;
		if (time_after(jiffies, end))
			break;
		msleep(ms);
		ms = min(ms * 2, DEFER_POLL_MAX);
	}

	if (ret == -ENOMEM)
		return ret;
	/* Leave it to the driver core, which keeps it in mind. */
	if (plan->reverting && device_attach(d->dev) == 1 &&
	    READ_ONCE(d->dev->driver) == d->drv)
		return 0;
	return -EPROBE_DEFER;
}

/*
 * Did a probe fail for want of a device? The driver core answers ENODEV from
 * the moment at which somebody begins to delete it, and so do drivers that do
 * not like what they see: give the former a moment.
 */
static bool is_unplugged(struct icfg_plan_dev *d, int err)
{
	int poll;

	for (poll = 0; !icfg_dev_is_gone(d); poll++) {
		if (err != -ENODEV || poll == GONE_LOOKS)
			return false;
		msleep(GONE_LOOK_MS);
	}
	return true;
}

static void probe_dev(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	struct icfg_plan_group *pg = d->group;
	int ret;

	/* The way back probes it, with the domain that it had. */
	if (!plan->reverting && READ_ONCE(plan->abort))
		return;

	ret = probe_retry(plan, d);
	trace_icfg_probe(pg, d, ret);
	if (!ret) {
		d->released = false;
		return;
	}

	if (is_unplugged(d, ret)) {
		d->released = false;
		/*
		 * Gone is gone: no failure to restore. One that its parent's
		 * remove deletes and its probe makes anew is not even missed.
		 */
		if (d->below)
			return;
		if (d->member && !plan->reverting)
			step_failed(pg, d, ICFG_PROBE, -ENODEV,
				    "was unplugged meanwhile");
		else if (d->member)
			icfg_plan_report(pg, d, ICFG_RESTORE, -ENODEV,
					 "was unplugged meanwhile");
		return;
	}

	step_failed(pg, d, ICFG_PROBE, ret, "driver %s did not bind again%s",
		    d->drv_name,
		    READ_ONCE(d->dev->driver) ? ": another one was there first" : "");
}

static void probe_step(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	probe_dev(d->group->plan, d);
}

/**
 * icfg_rebind_probe - bring back every driver that the plan has released
 * @plan: the plan
 */
void icfg_rebind_probe(struct icfg_plan *plan)
{
	struct icfg_sched steps = {
		.fn		= probe_step,
		.slow		= slow_probe,
		.done		= &plan->txn->done,
		.reverting	= true,
	};
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		d->step.selected = d->released && d->drv;
	icfg_sched_run(&steps, &plan->devs);
}
