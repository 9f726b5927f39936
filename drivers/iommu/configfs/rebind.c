// SPDX-License-Identifier: GPL-2.0-only
/*
 * One device, one group: release a driver, switch a group, probe a device, each of
 * the three side by side on all selected devices of a plan.
 *
 * In: a plan in its order. Out: the state of each device, the type of each group,
 * lines in the report. Called by apply.c, which decides which devices, when, and
 * what to do about a failure.
 *
 * Owns no data. A step writes to its own device or group only, stops the plan, and
 * adds to the report. A group that has got members since its devices were released
 * adds them to the plan under plan->lock. A step that was left running (see
 * sched.c) begins nothing more and reports nothing.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "core.h"
#include "deps.h"
#include "icfg.h"
#include "inuse.h"
#include "rebind.h"
#include "trace.h"

/* How often a group is released again when a driver was bound in between. */
#define SWITCH_TRIES	5
#define RETRY_MS	20

/* How long a probe that defers is tried again, and how often. */
#define DEFER_FOR	(10 * HZ)
#define DEFER_POLL_MS	50
#define DEFER_POLL_MAX	500

/* How long a PCI reset of the group, or memory, is waited for. */
#define BUSY_WAIT	(10 * HZ)

/* How long a device that is being deleted takes to be gone. */
#define GONE_LOOKS	50
#define GONE_LOOK_MS	20

/* How long devices that their parent makes anew are waited for. */
#define ANEW_WAIT	(10 * HZ)
#define ANEW_POLL_MS	50

/* Nothing may follow on what it is doing now: its plan no longer waits for it. */
static bool is_left(struct icfg_plan_group *pg, struct icfg_plan_dev *d)
{
	return icfg_step_is_left(&pg->step) || (d && icfg_step_is_left(&d->step));
}

/* Nor may it begin anything. In this order: see icfg_plan_is_reverting(). */
static bool is_over(struct icfg_plan_group *pg, struct icfg_plan_dev *d)
{
	return icfg_plan_is_stopped(pg->plan) || is_left(pg, d);
}

/*
 * Report a problem of a step. It stops a commit; a revert goes on with the other
 * groups.
 */
static __printf(5, 6)
void step_failed(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		 enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	if (is_left(pg, d))
		return;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, icfg_plan_phase(pg->plan, phase), err, "%pV", &vaf);
	va_end(args);

	if (!icfg_plan_is_reverting(pg->plan)) {
		icfg_plan_stop(pg->plan, ICFG_STOP);
		return;
	}
	/* The report cannot be read when the network is what went. */
	va_start(args, fmt);
	icfg_plan_warn(pg, d, "not restored: %pV", &vaf);
	va_end(args);
	WRITE_ONCE(pg->failed, true);
}

static const char *dev_action(const struct icfg_plan_dev *d)
{
	return READ_ONCE(d->state) == ICFG_DEV_UNBOUND ? "probe" : "remove";
}

static enum icfg_phase dev_phase(const struct icfg_plan_dev *d)
{
	if (d->step.reverting)
		return ICFG_RESTORE;
	return READ_ONCE(d->state) == ICFG_DEV_UNBOUND ? ICFG_PROBE :
							 ICFG_RELEASE;
}

static void slow_dev(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	icfg_plan_report_warn(d->group, d, dev_phase(d), -EINPROGRESS,
			      "waiting for over 10 s for the %s of driver %s",
			      dev_action(d), d->drv_name ?: "-");
}

/* What the step of a group is doing, for the report if it does not return. */
void icfg_rebind_note_phase(struct icfg_plan_group *pg, enum icfg_phase phase,
			    struct icfg_plan_dev *d)
{
	WRITE_ONCE(pg->busy, d);
	WRITE_ONCE(pg->phase, phase);
}

/* What the step of a group is doing, and when that is. */
static const char *group_action(const struct icfg_plan_group *pg)
{
	switch (READ_ONCE(pg->phase)) {
	case ICFG_PAUSE:
		return "the driver to be paused";
	case ICFG_RESUME:
		return "the driver to be resumed";
	case ICFG_RELEASE:
		return "the driver to be unbound";
	default:
		return "the domain to be attached";
	}
}

static enum icfg_phase group_phase(const struct icfg_plan_group *pg)
{
	enum icfg_phase phase = READ_ONCE(pg->phase);

	if (pg->step.reverting)
		return ICFG_RESTORE;
	return phase == ICFG_CHECK ? ICFG_SWITCH : phase;
}

static void slow_group(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);
	struct icfg_plan_dev *d = READ_ONCE(pg->busy);

	icfg_plan_report_warn(pg, d, group_phase(pg), -EINPROGRESS,
			      "waiting for over 10 s for %s", group_action(pg));
}

/* The commit goes back; a revert goes on without this group. */
static void give_up(struct icfg_plan_group *pg)
{
	WRITE_ONCE(pg->failed, true);
	if (!pg->plan->reverting)
		icfg_plan_stop(pg->plan, ICFG_STOP);
}

static void late_dev(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	icfg_plan_report(d->group, d, dev_phase(d), -ETIMEDOUT,
			 "given up on: the %s of driver %s has not returned; its group is restored when it does",
			 dev_action(d), d->drv_name ?: "-");
	icfg_plan_warn(d->group, d,
		       "given up on: the %s of driver %s has not returned; an orderly reboot may hang on it (sysrq-b or a hardware watchdog does not)",
		       dev_action(d), d->drv_name ?: "-");
	/* A mount that waits for the remove goes on. */
	icfg_inuse_leave(d);
	give_up(d->group);
}

static void late_group(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);
	struct icfg_plan_dev *d = READ_ONCE(pg->busy);

	icfg_plan_report(pg, d, group_phase(pg), -ETIMEDOUT,
			 "given up on waiting for %s; the group is restored when that is done",
			 group_action(pg));
	/* A pause or a resume has the locks that device_shutdown() takes. */
	icfg_plan_warn(pg, d, "given up on waiting for %s%s", group_action(pg),
		       !d ? "" :
		       "; an orderly reboot may hang on it (sysrq-b or a hardware watchdog does not)");
	/* A mount that waits for the remove goes on. */
	if (d)
		icfg_inuse_leave(d);
	give_up(pg);
}

/**
 * icfg_rebind_watch_dev - report a step of a device that was left
 * @d: the device
 * @until: until when its step may take, in jiffies
 *
 * Returns true if it is given up on.
 */
bool icfg_rebind_watch_dev(struct icfg_plan_dev *d, unsigned long until)
{
	return icfg_step_watch(&d->step, until, slow_dev, late_dev);
}

/* The same for the switch of a group. */
bool icfg_rebind_watch_group(struct icfg_plan_group *pg, unsigned long until)
{
	return icfg_step_watch(&pg->step, until, slow_group, late_group);
}

/* A step that is left running keeps its plan and transaction. Under a spinlock. */
static void leave_step(struct icfg_plan *plan)
{
	icfg_plan_get(plan);
	config_item_get(&plan->txn->dir.cg_item);
}

static void leave_dev(struct icfg_step *step)
{
	leave_step(to_plan_dev(step)->group->plan);
}

static void leave_group(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);
	enum icfg_phase phase = READ_ONCE(pg->phase);

	/* A pause, or a resume, that is given up on is done as far as progress goes. */
	if (!pg->plan->taking_back && READ_ONCE(pg->busy) &&
	    (phase == ICFG_PAUSE || phase == ICFG_RESUME))
		atomic_inc(&pg->plan->txn->done);
	leave_step(pg->plan);
}

static void step_returned(struct icfg_plan *plan)
{
	struct icfg_txn *txn = plan->txn;

	wake_up(&plan->wait);
	plan->step_returned(plan);
	icfg_plan_put(plan);
	config_item_put(&txn->dir.cg_item);
}

static void dev_returned(struct icfg_step *step)
{
	step_returned(to_plan_dev(step)->group->plan);
}

static void group_returned(struct icfg_step *step)
{
	step_returned(to_plan_group(step)->plan);
}

/* A run over devices, @fn for each; it reports nothing as slow, and counts nothing. */
static struct icfg_sched devs_sched(struct icfg_plan *plan,
				    void (*fn)(struct icfg_step *step))
{
	return (struct icfg_sched){
		.fn		= fn,
		.late		= late_dev,
		.leave		= leave_dev,
		.returned	= dev_returned,
		.limit		= plan->step_limit,
		.stop		= plan->reverting ? NULL : &plan->stop,
		.wait		= &plan->wait,
		.reverting	= plan->reverting,
	};
}

static void run_devs(struct icfg_plan *plan, struct icfg_sched *sched,
		     bool (*selected)(const struct icfg_plan_dev *d))
{
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		d->step.selected = selected(d);
	icfg_sched_run(sched, &plan->devs);
}

/* Release, or in the other order probe, the selected devices. */
static void run_counted(struct icfg_plan *plan, bool probing,
			void (*fn)(struct icfg_step *step),
			bool (*selected)(const struct icfg_plan_dev *d))
{
	struct icfg_sched sched = devs_sched(plan, fn);

	sched.slow = slow_dev;
	sched.done = plan->taking_back ? NULL : &plan->txn->done;
	sched.reverse = probing;
	run_devs(plan, &sched, selected);
}

/* Takes the driver away, whichever it is by now. */
void icfg_rebind_release_driver(struct icfg_plan_dev *d)
{
	struct device *dev = d->dev;
	struct device *parent = NULL;
	struct icfg_release release;

	if (dev->type && dev->type->need_parent_lock)
		parent = dev->parent;
	if (parent)
		device_lock(parent);
	icfg_release_begin(&release, d);
	device_release_driver(dev);
	icfg_release_end(&release);
	if (parent)
		device_unlock(parent);
}

/* In a revert: this device keeps its driver, so its group keeps its type. */
static void pin_dev(struct icfg_plan_dev *d)
{
	WRITE_ONCE(d->state, ICFG_DEV_PINNED);
	if (d->member && d->group->switched_back) {
		WRITE_ONCE(d->group->pinned, true);
		WRITE_ONCE(d->group->failed, true);
	}
}

/*
 * Was another driver bound meanwhile that must not be released? A commit releases
 * no driver that it has not seen; a revert none that may have given the device to
 * user space, since its remove() may never return.
 */
static bool has_foreign_driver(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(d->dev->driver);
	if (!drv || drv == d->drv)
		return false;
	return !icfg_plan_is_reverting(plan) || drv->suppress_bind_attrs ||
	       icfg_driver_manages_dma(drv);
}

/* The same, and then it is reported, and left as it is. */
static bool is_foreign(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	if (!has_foreign_driver(plan, d))
		return false;

	step_failed(d->group, d, ICFG_RELEASE, -EBUSY,
		    "got another driver than %s meanwhile", d->drv_name);
	if (icfg_plan_is_reverting(plan))
		pin_dev(d);
	return true;
}

/*
 * The remove of pcieport disables the port, and with it the DMA of all devices
 * below that stay bound. One more enable keeps it as it is.
 */
static void keep_port_enabled(struct icfg_plan_dev *d)
{
	if (dev_is_pci(d->dev) && pci_is_bridge(to_pci_dev(d->dev)) &&
	    !d->enabled)
		d->enabled = !pci_enable_device(to_pci_dev(d->dev));
}

/*
 * It was not in use a moment ago; look again where it matters. Returns true, and
 * what icfg_inuse_leave() ends, if it is to be released.
 */
static bool enter_unused(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	char why[ICFG_WHY];
	int ret;

	ret = icfg_inuse_driver(d, why);
	if (!ret && !d->port)
		ret = icfg_inuse_enter(d, READ_ONCE(plan->allow), why);
	if (ret) {
		step_failed(d->group, d, ICFG_RELEASE, ret, "%s", why);
		if (icfg_plan_is_reverting(plan))
			pin_dev(d);
		return false;
	}

	/* The look may have slept, and another driver have been bound meanwhile. */
	if (is_over(d->group, d) || is_foreign(plan, d)) {
		icfg_inuse_leave(d);
		return false;
	}
	return true;
}

static void release_dev(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	struct icfg_plan_group *pg = d->group;

	if (is_over(pg, d))
		return;
	if (READ_ONCE(pg->pinned) && !d->dependent) {
		pin_dev(d);
		return;
	}
	/* The driver core would unbind what hangs, or waits for that, with this one. */
	if (icfg_deps_wait(d, true)) {
		icfg_dev_leave_out(d);
		return;
	}
	/* Releasing a supplier would release its consumers after all. */
	if (icfg_step_has_dep(&d->step, icfg_step_is_pinned)) {
		step_failed(pg, d, ICFG_RELEASE, -EBUSY,
			    "left as it is: a device that goes before it is in use");
		pin_dev(d);
		return;
	}

	if (is_foreign(plan, d) || !enter_unused(plan, d))
		return;
	/* A group whose member is only a dependent is not modified by that. */
	if (icfg_plan_is_reverting(plan) ? pg->switched_back :
					   pg->method == ICFG_METHOD_REBIND)
		WRITE_ONCE(pg->modified, true);
	keep_port_enabled(d);
	icfg_rebind_release_driver(d);
	icfg_inuse_leave(d);
	WRITE_ONCE(d->state, ICFG_DEV_UNBOUND);
	trace_icfg_release(pg, d, 0);
}

static void release_step(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);

	release_dev(d->group->plan, d);
}

/**
 * icfg_rebind_release - release the drivers of devices
 * @plan: the plan
 * @selected: of which devices
 */
void icfg_rebind_release(struct icfg_plan *plan,
			 bool (*selected)(const struct icfg_plan_dev *d))
{
	run_counted(plan, false, release_step, selected);
	icfg_deps_add_unasked(plan);
}

/*
 * Release what was bound since the group was released. Returns 0, -ENODEV where no
 * device is left, or -EBUSY, which is reported.
 */
static int release_added(struct icfg_plan *plan, struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;
	int ret;

	scoped_guard(mutex, &plan->lock) {
		/* The devices of a plan stay as they are once it is left. */
		if (icfg_step_is_left(&pg->step))
			return -EBUSY;
		ret = icfg_plan_members(plan, pg);
	}
	if (ret) {
		step_failed(pg, NULL, ICFG_SWITCH, ret, "no memory");
		return -EBUSY;
	}
	if (!pg->members)
		return -ENODEV;

	icfg_for_each_member(d, pg) {
		if (d->state == ICFG_DEV_UNBOUND && READ_ONCE(d->dev->driver))
			d->state = ICFG_DEV_IDLE;
		ret = icfg_plan_get_driver(plan, d);
		if (ret) {
			step_failed(pg, d, ICFG_SWITCH, ret, "%s",
				    icfg_dev_is_held(d) ?: "no memory");
			return -EBUSY;
		}
		if (!icfg_dev_is_bound(d))
			continue;
		/* Too late to find out in which order these would be unbound. */
		if (icfg_deps_has_consumers(d)) {
			step_failed(pg, d, ICFG_SWITCH, -EBUSY,
				    "was bound meanwhile, and has consumers by now");
			return -EBUSY;
		}
		icfg_rebind_note_phase(pg, ICFG_RELEASE, d);
		release_dev(plan, d);
		icfg_rebind_note_phase(pg, ICFG_SWITCH, NULL);
		if (d->state != ICFG_DEV_UNBOUND)
			return -EBUSY;
		/* Its probe was not foreseen. */
		icfg_plan_count_steps(plan, 1);
	}
	return 0;
}

/*
 * Where the core cannot set a device up for a translated domain it says so in the
 * kernel log only, and leaves the device with DMA that the domain would stop. One
 * that was so before is no worse off.
 */
bool icfg_rebind_setup_fails(struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;

	if (!icfg_group_is_translated(pg))
		return false;

	icfg_for_each_member(d, pg)
		if (!icfg_dev_has_dma_ops(d) && !d->no_dma_ops &&
		    !icfg_dev_is_gone(d))
			return true;
	return false;
}

/*
 * Returns 0, -ECANCELED for a failure that is reported already, or the errno
 * to report; with pg->cur what the group has then.
 */
static int set_type(struct icfg_plan *plan, struct icfg_plan_group *pg,
		    enum icfg_type type)
{
	bool in_place = icfg_group_is_in_place(pg);
	unsigned long end = icfg_plan_wait_end(plan, BUSY_WAIT);
	int tries = 0;
	int ret, err;

	for (;;) {
		ret = icfg_should_fail() ?
		      -ENOMEM : icfg_core_set_type(pg->staged->group, type);
		WRITE_ONCE(pg->cur, icfg_core_type(pg->staged->group));
		/* A new domain, though perhaps one of the same type as before. */
		if (!ret && !in_place) {
			WRITE_ONCE(pg->dma_setup_failed,
				   icfg_rebind_setup_fails(pg));
			if (pg->dma_setup_failed)
				ret = -ENOMEM;
		}
		if (is_over(pg, NULL))
			return ret;
		/*
		 * A PCI reset passes. So does a lack of memory, which in place
		 * would unbind drivers without having asked for what is in use.
		 */
		if ((ret == -EBUSY ||
		     (ret == -ENOMEM &&
		      (in_place || icfg_plan_is_reverting(plan)))) &&
		    time_before(jiffies, end)) {
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

static void switch_step(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);
	struct icfg_plan *plan = pg->plan;
	enum icfg_type type = icfg_plan_is_reverting(plan) ? pg->old : pg->new;
	int ret;

	if (is_over(pg, NULL))
		return;

	WRITE_ONCE(pg->modified, true);
	icfg_staged_freeze(pg->staged);
	ret = set_type(plan, pg, type);
	icfg_staged_thaw(pg->staged);
	if (!ret && type != ICFG_AUTO && pg->cur != type)
		ret = -EOPNOTSUPP;
	trace_icfg_switch(pg, type, ret);

	switch (ret) {
	case 0:
	case -ECANCELED:
		break;
	case -ENODEV:
		/* There is no device left to restore anything for. */
		if (!icfg_plan_is_reverting(plan))
			step_failed(pg, NULL, ICFG_SWITCH, ret,
				    "every device of the group is gone");
		break;
	case -EPERM:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "a driver or a user space owner took the group and kept it");
		break;
	case -EOPNOTSUPP:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "%s was asked for, but the group has %s",
			    icfg_type_word(type), icfg_type_word(pg->cur));
		break;
	default:
		step_failed(pg, NULL, ICFG_SWITCH, ret,
			    "the IOMMU core refused %s", icfg_type_word(type));
	}
}

/**
 * icfg_rebind_run_groups - run a step of each group
 * @plan: the plan
 * @selected: which groups
 * @width: how many at a time; 0: all of them
 * @fn: does the work of a step
 */
void icfg_rebind_run_groups(struct icfg_plan *plan,
			    bool (*selected)(const struct icfg_plan_group *pg),
			    unsigned int width,
			    void (*fn)(struct icfg_step *step))
{
	struct icfg_sched sched = {
		.fn		= fn,
		.slow		= slow_group,
		.late		= late_group,
		.leave		= leave_group,
		.returned	= group_returned,
		.limit		= plan->step_limit,
		.width		= width,
		.stop		= plan->reverting ? NULL : &plan->stop,
		.wait		= &plan->wait,
		.reverting	= plan->reverting,
	};
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		pg->step.selected = selected(pg);
	icfg_sched_run(&sched, &plan->group_steps);

	/* It takes plan->lock: a switch that was left is out of icfg_plan_members(). */
	icfg_deps_add_unasked(plan);
}

/**
 * icfg_rebind_switch - switch groups
 * @plan: the plan, the drivers of these groups released (but in place)
 * @selected: which groups
 */
void icfg_rebind_switch(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_group *pg))
{
	icfg_rebind_run_groups(plan, selected, 0, switch_step);
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

	if (!icfg_dev_is_registered(d->dev))
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
	return err == -EAGAIN ||
	       (err == -ENOMEM && icfg_plan_is_reverting(plan));
}

/* Returns 0, -ECANCELED where the plan stopped meanwhile, or why not. */
static int probe_retry(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	unsigned long end = icfg_plan_wait_end(plan, DEFER_FOR);
	unsigned int ms = DEFER_POLL_MS;
	int ret;

	for (;;) {
		ret = probe_once(d);
		if (!is_transient(plan, ret))
			return ret;
		if (is_over(d->group, d))
			return -ECANCELED;
		if (time_after(jiffies, end))
			break;
		msleep(ms);
		ms = min(ms * 2, DEFER_POLL_MAX);
	}

	if (ret == -ENOMEM)
		return ret;
	/* From here on the driver core tries again, for as long as it takes. */
	if (icfg_plan_is_reverting(plan) && device_attach(d->dev) == 1 &&
	    READ_ONCE(d->dev->driver) == d->drv)
		return 0;
	return -EPROBE_DEFER;
}

/*
 * Did a probe fail because the device is not there any more? The driver core
 * answers ENODEV from the moment at which the device begins to be deleted, and
 * so do drivers that reject what they see: give the former a moment.
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

static void probe_step(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);
	struct icfg_plan_group *pg = d->group;
	struct icfg_plan *plan = pg->plan;
	int ret;

	/* The revert probes it, with the domain that it had. */
	if (is_over(pg, d))
		return;
	/* Its parent or supplier hangs, or waits: it could only be deferred. */
	if (icfg_deps_wait(d, false)) {
		WRITE_ONCE(pg->revert, ICFG_REVERT_WAITING);
		return;
	}

	ret = probe_retry(plan, d);
	trace_icfg_probe(pg, d, ret);
	if (!ret) {
		icfg_dev_disable_port(d);
		WRITE_ONCE(d->state, ICFG_DEV_IDLE);
		return;
	}
	/* Cut short: the failure is that of another step. */
	if (ret == -ECANCELED)
		return;

	if (is_unplugged(d, ret)) {
		WRITE_ONCE(d->state, ICFG_DEV_GONE);
		/*
		 * An unplugged device does not fail the rollback. One that the
		 * remove of its parent deletes, and the probe makes anew, is
		 * looked for when everything is bound.
		 */
		if (d->below)
			return;
		if (d->member && !icfg_plan_is_reverting(plan))
			step_failed(pg, d, ICFG_PROBE, -ENODEV,
				    "was unplugged meanwhile");
		else if (d->member && !is_left(pg, d))
			icfg_plan_report(pg, d, ICFG_RESTORE, -ENODEV,
					 "was unplugged meanwhile");
		return;
	}

	step_failed(pg, d, ICFG_PROBE, ret, "driver %s did not bind again%s",
		    d->drv_name,
		    READ_ONCE(d->dev->driver) ? ": another one was there first" : "");
}

/**
 * icfg_rebind_probe - bind devices to the drivers that the plan released
 * @plan: the plan
 * @selected: which devices
 */
void icfg_rebind_probe(struct icfg_plan *plan,
		       bool (*selected)(const struct icfg_plan_dev *d))
{
	run_counted(plan, true, probe_step, selected);
}

/* How many devices below @parent have a driver of this name? */
struct count_driver {
	const char *name;
	unsigned int count;
};

static int count_driver(struct device *dev, void *data)
{
	struct count_driver *count = data;

	count->count += icfg_has_driver(dev, count->name);
	return 0;
}

/* The nearest ancestor of a device that the plan has, too. */
static struct icfg_plan_dev *plan_parent(struct icfg_plan *plan,
					 struct icfg_plan_dev *d)
{
	struct device *dev;
	struct icfg_plan_dev *parent;

	for (dev = d->dev->parent; dev; dev = dev->parent) {
		parent = icfg_plan_find(plan, dev);
		if (parent)
			return parent;
	}
	return NULL;
}

/*
 * A device that the remove of its parent deleted: is it there again, by its name,
 * or where names change as many with this driver as there were?
 */
static bool is_made_anew(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	struct count_driver count = { .name = d->drv_name };
	struct icfg_visit visit = { count_driver, &count };
	struct icfg_plan_dev *parent, *other;
	unsigned int before = 0;
	struct device *dev;
	bool found = false;

	dev = bus_find_device_by_name(d->dev->bus, NULL, dev_name(d->dev));
	if (dev) {
		found = icfg_has_driver(dev, d->drv_name);
		put_device(dev);
	}
	if (found)
		return true;

	parent = plan_parent(plan, d);
	if (!parent)
		return false;
	icfg_for_each_dev(other, plan)
		if (other->below && !other->newcomer && other->drv_name &&
		    plan_parent(plan, other) == parent &&
		    !strcmp(other->drv_name, d->drv_name))
			before++;
	icfg_walk_below(parent->dev, &visit);
	return count.count >= before;
}

static void verify_step(struct icfg_step *step)
{
	struct icfg_plan_dev *d = to_plan_dev(step);
	struct icfg_plan_group *pg = d->group;
	struct icfg_plan *plan = pg->plan;
	unsigned long end = icfg_plan_wait_end(plan, ANEW_WAIT);

	if (d->below && !icfg_dev_is_registered(d->dev)) {
		if (!d->member || !d->drv_name || d->newcomer)
			return;
		while (!is_made_anew(plan, d)) {
			if (is_over(pg, d))
				return;
			if (time_after(jiffies, end)) {
				step_failed(pg, d, ICFG_VERIFY, -ENODEV,
					    "was not made anew with driver %s by its parent",
					    d->drv_name);
				return;
			}
			msleep(ANEW_POLL_MS);
		}
		return;
	}

	if (READ_ONCE(d->dev->driver) || !icfg_dev_is_gone(d)) {
		/* It had none, or one that stays. */
		if (!d->drv || (d->managed && !d->dependent))
			return;
		step_failed(pg, d, ICFG_VERIFY, -ENODEV,
			    "does not have driver %s again", d->drv_name);
	} else if (d->member && !d->below) {
		step_failed(pg, d, ICFG_VERIFY, -ENODEV,
			    "was unplugged meanwhile");
	}
}

/**
 * icfg_rebind_verify - does each device have its driver back?
 * @plan: the plan
 * @selected: which devices; those that seem to lack it
 */
void icfg_rebind_verify(struct icfg_plan *plan,
			bool (*selected)(const struct icfg_plan_dev *d))
{
	struct icfg_sched sched = devs_sched(plan, verify_step);

	run_devs(plan, &sched, selected);
}
