// SPDX-License-Identifier: GPL-2.0-only
/*
 * Switches groups with their drivers paused instead of unbound: pause, prove that
 * nothing is mapped any more, switch, resume, the groups side by side and each for
 * itself, so that a group is silent for no longer than its own drivers take. As many
 * groups as there are CPUs go at a time: more would share them while they are silent.
 *
 * In: a plan whose drivers are known. Out: the type of each group; or
 * pg->fell_back, where a group is as it was before and has to be rebound. Called
 * by apply.c and, for what is possible, by validate.c.
 *
 * The promise of a driver that it has unmapped everything is not believed: the
 * core counts what is mapped in the default domain. Where that does not translate
 * there is nothing to count; see pausable.c.
 *
 * One step does the whole of a group, in one thread, which holds the locks of its
 * devices and of those on a bus below them from before the pause until after the
 * resume: nothing is bound, unbound or removed meanwhile. These locks are tried,
 * and all of them given back where one is not had, so their order does not matter.
 *
 * Owns no data.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

#include "core.h"
#include "icfg.h"
#include "pause.h"
#include "rebind.h"
#include "trace.h"

/* How long the pause, or the resume, of one device may take. */
#define PAUSE_LIMIT	(10 * HZ)

/* How long the locks of a group's devices are waited for, and how often tried. */
#define LOCK_WAIT	(10 * HZ)
#define LOCK_POLL_MS	2

/* How many they may be: lockdep can follow 48 locks of one thread. */
#define LOCKS_MAX	32

/*
 * How long a PCI reset, a lack of memory or another process that works on the group is
 * waited for, with drivers paused.
 */
#define BUSY_WAIT	HZ
#define BUSY_POLL_MS	20

/**
 * struct pause - a group that is being paused
 * @pg: the group
 * @devs: the members whose drivers are to be paused, in that order
 * @since: when each of these drivers was paused
 * @nr_devs: how many they are
 * @nr_paused: how many of them are paused now
 * @locks: devices whose locks are to be held, each with a reference
 * @nr_locks: how many they are
 * @too_many: there are more than that
 * @translates_msi: interrupts are mapped in the group's domain
 */
struct pause {
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *devs[LOCKS_MAX];
	ktime_t since[LOCKS_MAX];
	unsigned int nr_devs;
	unsigned int nr_paused;
	struct device *locks[LOCKS_MAX];
	unsigned int nr_locks;
	bool too_many;
	bool translates_msi;
};

/* Show in the files of a group how it is changed, where that was not planned. */
void icfg_pause_note_method(struct icfg_plan_group *pg, enum icfg_method method)
{
	guard(mutex)(&pg->plan->txn->lock);

	pg->staged->method = method;
}

static bool is_left(const struct icfg_plan_group *pg)
{
	return icfg_step_is_left(&pg->step);
}

/* From here on the step's limit is that of @phase, which begins now. */
static void begin_phase(struct icfg_plan_group *pg, enum icfg_phase phase,
			struct icfg_plan_dev *d)
{
	icfg_rebind_note_phase(pg, phase, d);
	icfg_step_begin_part(&pg->step, phase == ICFG_PAUSE ||
			     phase == ICFG_RESUME ? PAUSE_LIMIT : 0);
}

/* A commit is to be reverted. */
static __printf(5, 6)
void fail(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
	  enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	if (is_left(pg))
		return;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, icfg_plan_phase(pg->plan, phase), err, "%pV",
			 &vaf);
	va_end(args);
	if (!icfg_plan_is_reverting(pg->plan))
		icfg_plan_stop(pg->plan, ICFG_STOP);
}

/* The group is as it was before, and has to be rebound to get its type. */
static __printf(4, 5)
void fall_back(struct icfg_plan_group *pg, struct icfg_plan_dev *d, int err,
	       const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	pg->no_pause = true;
	pg->fell_back = true;
	if (is_left(pg))
		return;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, icfg_plan_phase(pg->plan, ICFG_PAUSE), err,
			 "%pV", &vaf);
	va_end(args);
}

/* Devices. */

static int depth(const struct device *dev)
{
	int depth = 0;

	for (; dev->parent; dev = dev->parent)
		depth++;
	return depth;
}

static bool is_storage(const struct device *dev)
{
	return dev_is_pci(dev) &&
	       to_pci_dev(dev)->class >> 16 == PCI_BASE_CLASS_STORAGE;
}

/* Which of two devices is paused first, and resumed last? */
static bool goes_before(const struct device *dev, const struct device *other)
{
	/*
	 * A disk goes last: to pause another driver a lock may be waited for,
	 * such as the RTNL, whose holder waits for the disk. No other member is
	 * below one.
	 */
	if (is_storage(dev) != is_storage(other))
		return is_storage(other);
	/* Children go before their parents, as in a suspend. */
	return depth(dev) > depth(other);
}

static void add_dev(struct pause *p, struct icfg_plan_dev *d)
{
	unsigned int at;

	if (p->nr_devs == LOCKS_MAX) {
		p->too_many = true;
		return;
	}
	for (at = p->nr_devs++; at; at--) {
		if (!goes_before(d->dev, p->devs[at - 1]->dev))
			break;
		p->devs[at] = p->devs[at - 1];
	}
	p->devs[at] = d;
}

/* Devices of a class alone have no driver, and need no lock. */
static bool is_locked(const struct pause *p, const struct device *dev)
{
	unsigned int i;

	for (i = 0; i < p->nr_locks; i++)
		if (p->locks[i] == dev)
			return true;
	return !dev->bus;
}

static int add_lock(struct device *dev, void *data)
{
	struct pause *p = data;

	if (is_locked(p, dev))
		return 0;
	if (p->nr_locks == LOCKS_MAX)
		p->too_many = true;
	else
		p->locks[p->nr_locks++] = get_device(dev);
	return p->too_many;
}

/* With the locks: is there a device below that has come since? */
static int find_unlocked(struct device *dev, void *data)
{
	return !is_locked(data, dev);
}

/* Returns 0, -ECANCELED where the plan stops, or -EBUSY with the device. */
static int lock_devs(struct pause *p, struct device **busy)
{
	unsigned long end = icfg_plan_wait_end(p->pg->plan, LOCK_WAIT);
	unsigned int i;

	for (;;) {
		for (i = 0; i < p->nr_locks; i++)
			if (!device_trylock(p->locks[i]))
				break;
		if (i == p->nr_locks)
			return 0;
		*busy = p->locks[i];
		while (i--)
			device_unlock(p->locks[i]);
		if (icfg_plan_is_stopped(p->pg->plan) || is_left(p->pg))
			return -ECANCELED;
		if (time_after(jiffies, end))
			return -EBUSY;
		msleep(LOCK_POLL_MS);
	}
}

static void unlock_devs(struct pause *p)
{
	unsigned int i;

	for (i = p->nr_locks; i--; )
		device_unlock(p->locks[i]);
}

static void put_devs(struct pause *p)
{
	unsigned int i;

	for (i = 0; i < p->nr_locks; i++)
		put_device(p->locks[i]);
}

/* With all locks: has each member the driver that the plan knows of? */
static struct icfg_plan_dev *has_other_driver(struct icfg_plan_group *pg)
{
	struct icfg_plan_dev *d;

	icfg_for_each_member(d, pg)
		if (!d->managed && d->state == ICFG_DEV_IDLE &&
		    d->dev->driver != d->drv)
			return d;
	return NULL;
}

/*
 * Which drivers are to be paused, and which devices locked? Returns false where that
 * cannot be told, which is reported.
 */
static bool look_at_members(struct pause *p)
{
	struct icfg_visit visit = { add_lock, p };
	struct icfg_plan_group *pg = p->pg;
	struct icfg_plan *plan = pg->plan;
	struct icfg_plan_dev *d;
	bool pci = false;
	int ret;

	scoped_guard(mutex, &plan->lock) {
		/* The devices of a plan stay as they are once it is left. */
		ret = is_left(pg) ? -EBUSY : icfg_plan_members(plan, pg);
	}
	/* A revert does without a member that is new: the core counts its driver. */
	if (ret == -ENOMEM && icfg_plan_is_reverting(plan))
		ret = 0;
	icfg_for_each_member(d, pg)
		ret = ret ?: icfg_plan_get_driver(plan, d);
	if (ret) {
		fall_back(pg, NULL, ret, "its drivers could not be looked at");
		return false;
	}
	icfg_for_each_member(d, pg) {
		if (d->managed || d->state != ICFG_DEV_IDLE)
			continue;
		add_lock(d->dev, p);
		if (!icfg_has_to_pause(d))
			continue;
		add_dev(p, d);
		pci |= dev_is_pci(d->dev);
		icfg_walk_below(d->dev, &visit);
	}
	if (p->too_many) {
		fall_back(pg, NULL, -E2BIG,
			  "it has more than %u devices to keep still", LOCKS_MAX);
		return false;
	}
	/* Before the pause: who has the group's mutex may wait for a disk of it. */
	p->translates_msi = pci && icfg_translates_msi(pg->staged->group);
	return true;
}

static void step_done(struct icfg_plan_group *pg)
{
	if (!READ_ONCE(pg->plan->taking_back) && !is_left(pg))
		atomic_inc(&pg->plan->txn->done);
}

/* A device whose runtime PM is disabled is awake. */
static int wake(struct device *dev)
{
	int ret = pm_runtime_get_sync(dev);

	return ret == -EACCES ? 0 : min(ret, 0);
}

/* The device is awake until it is resumed. */
static int pause_dev(struct icfg_plan_dev *d, ktime_t *since)
{
	int ret;

	begin_phase(d->group, ICFG_PAUSE, d);
	ret = wake(d->dev);
	*since = ktime_get();
	if (!ret)
		ret = icfg_should_fail() ? -ENOMEM : icfg_core_pause(d->dev);
	trace_icfg_pause(d->group, d, ktime_us_delta(ktime_get(), *since), ret);
	if (ret)
		pm_runtime_put(d->dev);
	else
		WRITE_ONCE(d->state, ICFG_DEV_PAUSED);
	step_done(d->group);
	return ret;
}

/* One that fails is still in ICFG_DEV_PAUSED: release_failed() unbinds it. */
static void resume_dev(struct icfg_plan_dev *d, ktime_t since)
{
	struct icfg_plan_group *pg = d->group;
	ktime_t begun, now;
	int ret;

	begin_phase(pg, ICFG_RESUME, d);
	begun = ktime_get();
	ret = icfg_should_fail() ? -ENOMEM : icfg_core_resume(d->dev);
	now = ktime_get();
	trace_icfg_resume(pg, d, ktime_us_delta(now, begun),
			  ktime_us_delta(now, since), ret);
	pm_runtime_put(d->dev);
	step_done(pg);
	if (ret)
		fail(pg, d, ICFG_RESUME, ret,
		     "driver %s could not resume, it is unbound and bound again",
		     d->drv_name);
	else
		WRITE_ONCE(d->state, ICFG_DEV_IDLE);
}

/* Pause all, or none: then returns false, which is reported. */
static bool pause_devs(struct pause *p)
{
	struct icfg_plan_group *pg = p->pg;
	struct icfg_plan_dev *d;
	int ret;

	while (p->nr_paused < p->nr_devs) {
		if (icfg_plan_is_stopped(pg->plan) || is_left(pg))
			return false;
		d = p->devs[p->nr_paused];
		ret = pause_dev(d, &p->since[p->nr_paused]);
		if (ret) {
			fall_back(pg, d, ret, "driver %s could not be paused",
				  d->drv_name);
			return false;
		}
		p->nr_paused++;
	}
	return true;
}

/* In the reverse order. */
static void resume_devs(struct pause *p)
{
	while (p->nr_paused) {
		p->nr_paused--;
		resume_dev(p->devs[p->nr_paused], p->since[p->nr_paused]);
	}
	begin_phase(p->pg, ICFG_SWITCH, NULL);
}

/*
 * Unbind the drivers that could not be resumed, with no lock held. The revert binds
 * them again; another process may have taken one away meanwhile.
 */
static void release_failed(struct pause *p)
{
	struct icfg_plan_dev *d;
	unsigned int i;

	for (i = 0; i < p->nr_devs; i++) {
		d = p->devs[i];
		if (d->state != ICFG_DEV_PAUSED)
			continue;
		begin_phase(p->pg, ICFG_RELEASE, d);
		if (icfg_dev_is_bound_again(d))
			icfg_rebind_release_driver(d);
		WRITE_ONCE(d->state, ICFG_DEV_UNBOUND);
	}
}

/* Groups. */

/* The drivers that may have @count mappings: those that were never seen to have none. */
static void report_mapped(struct pause *p, long count)
{
	struct icfg_plan_dev *d;
	bool all_passed = true;
	unsigned int i;

	for (i = 0; i < p->nr_devs; i++)
		all_passed &= icfg_pause_was_seen(p->devs[i]->drv_name, false);
	for (i = 0; i < p->nr_devs; i++) {
		d = p->devs[i];
		if (!all_passed && icfg_pause_was_seen(d->drv_name, false))
			continue;
		fall_back(p->pg, d, -EBUSY,
			  "driver %s%s is paused and has %ld mapping%s left",
			  d->drv_name,
			  p->nr_devs > 1 ? " or another of the group" : "",
			  count, count == 1 ? "" : "s");
	}
	for (i = 0; i < p->nr_devs; i++) {
		d = p->devs[i];
		if (all_passed || !icfg_pause_was_seen(d->drv_name, false))
			icfg_pause_note(d->drv_name, true);
	}
}

/* With all paused: is nothing mapped, by DMA or for interrupts? Else it is reported. */
static bool prove(struct pause *p)
{
	unsigned long end = icfg_plan_wait_end(p->pg->plan, BUSY_WAIT);
	struct icfg_plan_group *pg = p->pg;
	struct icfg_plan_dev *d;
	unsigned int i;
	long count;

	begin_phase(pg, ICFG_SWITCH, NULL);
	for (i = 0; i < p->nr_devs; i++) {
		d = p->devs[i];
		if (!p->translates_msi || !icfg_has_msi(d->dev))
			continue;
		fall_back(pg, d, -EBUSY,
			  "driver %s is paused and keeps its interrupts, whose address is the old domain's",
			  d->drv_name);
		return false;
	}
	while ((count = icfg_core_mappings(pg->staged->group)) == -EBUSY &&
	       time_before(jiffies, end))
		msleep(BUSY_POLL_MS);
	trace_icfg_prove(pg, count);
	if (count == -EBUSY) {
		fall_back(pg, NULL, -EBUSY,
			  "another process works on the group, perhaps reading reserved_regions");
		return false;
	}
	if (count && count != -ENODATA) {
		report_mapped(p, count);
		return false;
	}
	for (i = 0; count != -ENODATA && i < p->nr_devs; i++)
		icfg_pause_note(p->devs[i]->drv_name, false);
	return true;
}

static int set_type(struct pause *p, enum icfg_type type)
{
	struct icfg_plan_group *pg = p->pg;
	unsigned long end = icfg_plan_wait_end(p->pg->plan, BUSY_WAIT);
	enum icfg_type now;
	int ret;

	for (;;) {
		ret = icfg_should_fail() ? -ENOMEM :
		      icfg_core_set_paused_type(pg->staged->group, type,
						p->nr_devs, &now);
		if ((ret != -EBUSY && ret != -ENOMEM) ||
		    time_after(jiffies, end))
			break;
		msleep(BUSY_POLL_MS);
	}
	/* A new domain, though perhaps one of the same type as before. */
	if (!ret) {
		WRITE_ONCE(pg->cur, now);
		WRITE_ONCE(pg->dma_setup_failed, icfg_rebind_setup_fails(pg));
		if (pg->dma_setup_failed)
			ret = -ENOMEM;
	}
	if (!ret && type != ICFG_AUTO && pg->cur != type)
		ret = -EOPNOTSUPP;
	return ret;
}

/* With all paused. Where it fails the group has its old type again, if possible. */
static void switch_paused(struct pause *p, enum icfg_type type)
{
	struct icfg_plan_group *pg = p->pg;
	enum icfg_type before = pg->cur;
	int ret;

	ret = set_type(p, type);
	trace_icfg_switch(pg, type, ret);
	if (!ret)
		return;

	if (pg->cur != before || pg->dma_setup_failed)
		set_type(p, before);
	/* Mapped since the proof: count again, and report which drivers it may be. */
	if (ret == -ENOTEMPTY && !prove(p))
		return;
	if (ret == -EPERM || ret == -ENOTEMPTY ||
	    icfg_plan_is_reverting(pg->plan))
		fall_back(pg, NULL, ret,
			  "the IOMMU core refused %s with its drivers paused",
			  icfg_type_word(type));
	else
		fail(pg, NULL, ICFG_SWITCH, ret,
		     "%s was asked for, the group has %s",
		     icfg_type_word(type), icfg_type_word(pg->cur));
}

/* With all locks. */
static void pause_locked(struct pause *p, enum icfg_type type)
{
	struct icfg_visit visit = { find_unlocked, p };
	struct icfg_plan_group *pg = p->pg;
	struct icfg_plan_dev *d;
	unsigned int i;

	d = has_other_driver(pg);
	if (d) {
		fall_back(pg, d, -EBUSY, "got another driver than %s meanwhile",
			  d->drv_name ?: "none");
		return;
	}
	/* Virtual functions are made with the lock held. */
	if (!icfg_pause_possible(pg, type)) {
		fall_back(pg, NULL, -EOPNOTSUPP, "it cannot be paused any more");
		return;
	}
	for (i = 0; i < p->nr_devs; i++) {
		if (!icfg_walk_below(p->devs[i]->dev, &visit))
			continue;
		fall_back(pg, p->devs[i], -EBUSY, "got devices below it meanwhile");
		return;
	}

	WRITE_ONCE(pg->modified, true);
	icfg_staged_freeze(pg->staged);
	if (pause_devs(p) && prove(p) && !icfg_plan_is_stopped(pg->plan) &&
	    !is_left(pg))
		switch_paused(p, type);
	icfg_staged_thaw(pg->staged);
	resume_devs(p);
}

static void pause_group(struct icfg_plan *plan, struct icfg_plan_group *pg)
{
	enum icfg_type type = icfg_plan_is_reverting(plan) ? pg->old : pg->new;
	struct pause p = { .pg = pg };
	struct device *busy;

	if (icfg_plan_is_stopped(plan) || is_left(pg))
		return;

	if (look_at_members(&p)) {
		switch (lock_devs(&p, &busy)) {
		case 0:
			pause_locked(&p, type);
			unlock_devs(&p);
			release_failed(&p);
			break;
		case -EBUSY:
			/* Nor could it be unbound; what reverts has to try. */
			if (icfg_plan_is_reverting(plan))
				fall_back(pg, NULL, -EBUSY,
					  "a probe or remove of %s is under way",
					  dev_name(busy));
			else
				fail(pg, NULL, ICFG_PAUSE, -EBUSY,
				     "a probe or remove of %s is under way",
				     dev_name(busy));
		}
	}
	put_devs(&p);
}

static void pause_step(struct icfg_step *step)
{
	struct icfg_plan_group *pg = to_plan_group(step);

	pause_group(pg->plan, pg);
	begin_phase(pg, ICFG_SWITCH, NULL);
}

/**
 * icfg_pause_switch - switch groups with their drivers paused
 * @plan: the plan
 * @selected: which groups
 *
 * Afterwards pg->fell_back says of a group that it was not switched, is as it was
 * before, and that this is reported.
 */
void icfg_pause_switch(struct icfg_plan *plan,
		       bool (*selected)(const struct icfg_plan_group *pg))
{
	icfg_rebind_run_groups(plan, selected, num_online_cpus(), pause_step);
}
