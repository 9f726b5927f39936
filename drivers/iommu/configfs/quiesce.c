// SPDX-License-Identifier: GPL-2.0-only
/*
 * The quiesce engine's hands: release the drivers, switch the groups, probe
 * the devices again, each of the three side by side on all devices of a run.
 * Which devices, when, and what to do about a failure is engine.c's business.
 *
 * Owns no data of its own. A step writes to its own device or group only, sets
 * run->abort, and adds to the report; a group that finds newcomers while it is
 * switched adds them to the run under run->lock.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "fault.h"
#include "guard.h"
#include "lookup.h"
#include "quiesce.h"
#include "seam.h"
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
 * Report a problem of a step. On the way there it turns the run around; on the
 * way back it marks the group, and the others go on.
 */
static __printf(5, 6)
void step_failed(struct icfg_target *t, struct icfg_dev *d,
		 enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_problem(t, d, icfg_run_phase(t->run, phase), err, "%pV", &vaf);
	va_end(args);

	if (t->run->backwards)
		WRITE_ONCE(t->failed, true);
	else
		WRITE_ONCE(t->run->abort, true);
}

static void slow_release(struct icfg_step *step)
{
	struct icfg_dev *d = to_icfg_dev(step);

	icfg_problem(d->target, d, icfg_run_phase(d->target->run, ICFG_RELEASE),
		     -ETIMEDOUT, "waiting for over 10 s for driver %s to let go",
		     d->drv_name ?: "-");
}

static void slow_probe(struct icfg_step *step)
{
	struct icfg_dev *d = to_icfg_dev(step);

	icfg_problem(d->target, d, icfg_run_phase(d->target->run, ICFG_PROBE),
		     -ETIMEDOUT, "waiting for over 10 s for driver %s to probe",
		     d->drv_name ?: "-");
}

static void slow_switch(struct icfg_step *step)
{
	struct icfg_target *t = to_icfg_target(step);

	icfg_problem(t, NULL, icfg_run_phase(t->run, ICFG_SWITCH), -ETIMEDOUT,
		     "waiting for over 10 s for the domain to be attached");
}

/* Takes the driver away, whichever it is by now. */
static void release_driver(struct icfg_dev *d)
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
static void hold(struct icfg_dev *d)
{
	WRITE_ONCE(d->held, true);
	if (d->member && d->target->back) {
		WRITE_ONCE(d->target->stuck, true);
		WRITE_ONCE(d->target->failed, true);
	}
}

/*
 * A driver that somebody bound meanwhile, and that is not ours to release: on
 * the way there any, on the way back one whose release may never end, since it
 * gave the device to user space.
 */
static bool has_foreign_driver(struct icfg_run *run, struct icfg_dev *d)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(d->dev->driver);
	if (!drv || drv == d->drv)
		return false;
	return !run->backwards || drv->suppress_bind_attrs ||
	       icfg_driver_manages_dma(drv);
}

static void release_dev(struct icfg_run *run, struct icfg_dev *d)
{
	struct icfg_target *t = d->target;
	unsigned int allow = run->allow;
	char why[ICFG_WHY];

	if (!run->backwards && READ_ONCE(run->abort))
		return;
	if (READ_ONCE(t->stuck) && !d->along) {
		hold(d);
		return;
	}
	/* Releasing a supplier would release its consumers after all. */
	if (icfg_step_has_before(&d->step, icfg_step_is_held)) {
		step_failed(t, d, ICFG_RELEASE, -EBUSY,
			    "left as it is: a device that goes before it is in use");
		hold(d);
		return;
	}

	if (has_foreign_driver(run, d)) {
		step_failed(t, d, ICFG_RELEASE, -EBUSY,
			    "got another driver than %s meanwhile", d->drv_name);
		if (run->backwards)
			hold(d);
		return;
	}

	/* It was free a moment ago; look again where it matters. */
	if (run->backwards)
		allow |= ICFG_ALLOW_NET;
	if (icfg_guard_driver(d, why) ||
	    (!d->port && icfg_guard_in_use(d, allow, why))) {
		step_failed(t, d, ICFG_RELEASE, -EBUSY, "%s", why);
		if (run->backwards)
			hold(d);
		return;
	}

	/* A group whose member only goes along is not touched by that. */
	if (run->backwards ? t->back : t->way == ICFG_WAY_RELEASE)
		WRITE_ONCE(t->touched, true);
	release_driver(d);
	d->released = true;
	trace_icfg_release(t, d, 0);
}

static void release_step(struct icfg_step *step)
{
	struct icfg_dev *d = to_icfg_dev(step);

	release_dev(d->target->run, d);
}

/**
 * icfg_release_devs - release the drivers of a run
 * @run: the run
 * @due: of which devices
 */
void icfg_release_devs(struct icfg_run *run,
		       bool (*due)(const struct icfg_dev *d))
{
	struct icfg_steps steps = {
		.fn	= release_step,
		.slow	= slow_release,
		.done	= &run->txn->done,
	};
	struct icfg_dev *d;

	icfg_for_each_dev(d, run)
		d->step.due = due(d);
	icfg_steps_run(&steps, &run->devs);
}

/*
 * Release whoever came or came back since the group was released. Returns 0,
 * -ENODEV where no device is left, or -EBUSY, which is reported.
 */
static int release_newcomers(struct icfg_run *run, struct icfg_target *t)
{
	struct icfg_dev *d;
	int ret;

	scoped_guard(mutex, &run->lock)
		ret = icfg_run_members(run, t);
	if (ret) {
		step_failed(t, NULL, ICFG_SWITCH, ret, "no memory");
		return -EBUSY;
	}
	if (!t->members)
		return -ENODEV;

	icfg_for_each_member(d, t) {
		if (d->released && READ_ONCE(d->dev->driver))
			d->released = false;
		ret = icfg_run_pin(run, d);
		if (ret) {
			step_failed(t, d, ICFG_SWITCH, ret, ret == -EBUSY ?
				    "the module of its driver is being removed" :
				    "no memory");
			return -EBUSY;
		}
		if (!icfg_dev_is_bound(d))
			continue;
		/* Too late to find out in which order these would go. */
		if (icfg_run_has_consumers(d)) {
			step_failed(t, d, ICFG_SWITCH, -EBUSY,
				    "was bound meanwhile, and has consumers by now");
			return -EBUSY;
		}
		release_dev(run, d);
		if (!d->released)
			return -EBUSY;
		/* Its probe was not foreseen. */
		atomic_inc(&run->txn->total);
	}
	return 0;
}

/*
 * Where the core cannot set a device up for a translated domain it says so in the
 * kernel log only, and leaves the device with DMA that the domain would stop. One
 * that was so before is no worse off.
 */
static bool leaves_one_out(struct icfg_target *t)
{
	struct icfg_dev *d;

	if (!icfg_target_is_translated(t))
		return false;

	icfg_for_each_member(d, t)
		if (!icfg_dev_has_ops(d) && !d->no_ops && !icfg_dev_is_gone(d))
			return true;
	return false;
}

/*
 * Returns 0, -ECANCELED for a failure that is reported already, or the errno
 * to report; with t->now what the group has then.
 */
static int set_type(struct icfg_run *run, struct icfg_target *t,
		    enum icfg_type type)
{
	unsigned long patience = jiffies + (run->backwards ? PATIENCE_BACK :
							     PATIENCE);
	bool in_place = t->way == ICFG_WAY_IN_PLACE && !run->backwards;
	int tries = 0;
	int ret, err;

	for (;;) {
		ret = icfg_should_fail() ? -ENOMEM :
					   icfg_seat_set(t->group->seat, type);
		t->now = icfg_seat_type(t->group->seat);
		/* A new domain, though perhaps one of the same type as before. */
		if (!ret && !in_place) {
			t->left_out = leaves_one_out(t);
			if (t->left_out)
				ret = -ENOMEM;
		}
		if ((ret == -EBUSY || (ret == -ENOMEM && run->backwards)) &&
		    time_before(jiffies, patience)) {
			msleep(RETRY_MS);
			continue;
		}
		/* -EINVAL is what a group without devices answers as well. */
		if (in_place || (ret != -EPERM && ret != -EINVAL) ||
		    tries++ == SWITCH_TRIES)
			return ret;

		msleep(RETRY_MS * (tries - 1));
		err = release_newcomers(run, t);
		if (err)
			return err == -ENODEV ? err : -ECANCELED;
		if (ret == -EINVAL)
			return ret;
	}
}

static void switch_target(struct icfg_run *run, struct icfg_target *t)
{
	enum icfg_type type = run->backwards ? t->was : t->wanted;
	int ret;

	if (!run->backwards && READ_ONCE(run->abort))
		return;

	WRITE_ONCE(t->touched, true);
	ret = set_type(run, t, type);
	if (!ret && type != ICFG_AUTO && t->now != type)
		ret = -EOPNOTSUPP;
	trace_icfg_switch(t, type, ret);

	switch (ret) {
	case 0:
	case -ECANCELED:
		break;
	case -ENODEV:
		/* Nobody is left for whom there would be a way back. */
		if (!run->backwards)
			step_failed(t, NULL, ICFG_SWITCH, ret,
				    "every device of the group is gone");
		break;
	case -EPERM:
		step_failed(t, NULL, ICFG_SWITCH, ret,
			    "a driver or a user space owner took the group and kept it");
		break;
	case -EOPNOTSUPP:
		step_failed(t, NULL, ICFG_SWITCH, ret,
			    "%s was asked for and accepted, but the group has %s",
			    icfg_type_word(type), icfg_type_word(t->now));
		break;
	default:
		step_failed(t, NULL, ICFG_SWITCH, ret,
			    "the IOMMU core refused %s", icfg_type_word(type));
	}
}

static void switch_step(struct icfg_step *step)
{
	struct icfg_target *t = to_icfg_target(step);

	switch_target(t->run, t);
}

/**
 * icfg_switch_targets - switch groups
 * @run: the run, the drivers of these groups released (but in place)
 * @due: which groups
 */
void icfg_switch_targets(struct icfg_run *run,
			 bool (*due)(const struct icfg_target *t))
{
	struct icfg_steps steps = {
		.fn	= switch_step,
		.slow	= slow_switch,
	};
	struct icfg_target *t;

	icfg_for_each_target(t, run)
		t->step.due = due(t);
	icfg_steps_run(&steps, &run->target_steps);
}

static bool driver_matches(struct icfg_dev *d)
{
	const struct bus_type *bus = d->drv->bus;

	return !bus->match || bus->match(d->dev, d->drv) > 0;
}

/* Once: 0, -EAGAIN where the probe wants to be tried later, or why not. */
static int probe_once(struct icfg_dev *d)
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
static bool may_pass(const struct icfg_run *run, int err)
{
	return err == -EAGAIN || (err == -ENOMEM && run->backwards);
}

static int probe_patiently(struct icfg_run *run, struct icfg_dev *d)
{
	unsigned long end = jiffies + DEFER_FOR;
	unsigned int ms = DEFER_POLL_MS;
	int ret;

	for (;;) {
		ret = probe_once(d);
		if (!may_pass(run, ret))
			return ret;
		if (!run->backwards && READ_ONCE(run->abort))
			return -EPROBE_DEFER;
		if (time_after(jiffies, end))
			break;
		msleep(ms);
		ms = min(ms * 2, DEFER_POLL_MAX);
	}

	if (ret == -ENOMEM)
		return ret;
	/* Leave it to the driver core, which keeps it in mind. */
	if (run->backwards && device_attach(d->dev) == 1 &&
	    READ_ONCE(d->dev->driver) == d->drv)
		return 0;
	return -EPROBE_DEFER;
}

/*
 * Did a probe fail for want of a device? The driver core answers ENODEV from
 * the moment at which somebody begins to delete it, and so do drivers that do
 * not like what they see: give the former a moment.
 */
static bool is_unplugged(struct icfg_dev *d, int err)
{
	int look;

	for (look = 0; !icfg_dev_is_gone(d); look++) {
		if (err != -ENODEV || look == GONE_LOOKS)
			return false;
		msleep(GONE_LOOK_MS);
	}
	return true;
}

static void probe_dev(struct icfg_run *run, struct icfg_dev *d)
{
	struct icfg_target *t = d->target;
	int ret;

	/* The way back probes it, with the domain that it had. */
	if (!run->backwards && READ_ONCE(run->abort))
		return;

	ret = probe_patiently(run, d);
	trace_icfg_probe(t, d, ret);
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
		if (d->member && !run->backwards)
			step_failed(t, d, ICFG_PROBE, -ENODEV,
				    "was unplugged meanwhile");
		else if (d->member)
			icfg_problem(t, d, ICFG_RESTORE, -ENODEV,
				     "was unplugged meanwhile");
		return;
	}

	step_failed(t, d, ICFG_PROBE, ret, "driver %s did not bind again%s",
		    d->drv_name,
		    READ_ONCE(d->dev->driver) ? ": another one was there first" : "");
}

static void probe_step(struct icfg_step *step)
{
	struct icfg_dev *d = to_icfg_dev(step);

	probe_dev(d->target->run, d);
}

/**
 * icfg_probe_devs - bring back every driver that the run has released
 * @run: the run
 */
void icfg_probe_devs(struct icfg_run *run)
{
	struct icfg_steps steps = {
		.fn		= probe_step,
		.slow		= slow_probe,
		.done		= &run->txn->done,
		.backwards	= true,
	};
	struct icfg_dev *d;

	icfg_for_each_dev(d, run)
		d->step.due = d->released && d->drv;
	icfg_steps_run(&steps, &run->devs);
}
