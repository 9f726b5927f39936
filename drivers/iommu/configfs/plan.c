// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a plan works on: the groups of the transaction, their members, the
 * managed consumers that would be unbound with them, the driver of each, and
 * the order in which they go.
 *
 * Owns struct icfg_plan. plan->lock protects its list of devices, which grows
 * while groups are switched side by side; everything else is set up by the one
 * thread that drives the plan.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/hash.h>
#include <linux/iommu-dma.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>

#include "core.h"
#include "icfg.h"

/* How long the locks of all devices of a plan are waited for, together. */
#define LOCK_WAIT	(10 * HZ)

/* How long a device may not answer before it counts as unplugged. */
#define ANSWER_LOOKS	50
#define ANSWER_LOOK_MS	20

/*
 * -ENOMEM refuses a check and aborts a commit, but should not fail a revert. What
 * that needs is some bytes for a device: try hard, but not for ever.
 */
static gfp_t revert_gfp(bool revert)
{
	return revert ? GFP_KERNEL | __GFP_RETRY_MAYFAIL : GFP_KERNEL;
}

gfp_t icfg_plan_gfp(const struct icfg_plan *plan)
{
	return revert_gfp(plan->rollback || icfg_plan_is_reverting(plan));
}

/**
 * icfg_plan_new - begin a plan over the groups of a transaction
 * @txn: the transaction, locked
 *
 * Returns the plan, or NULL without memory.
 */
struct icfg_plan *icfg_plan_new(struct icfg_txn *txn)
{
	/* A check or a commit begins in no other state. */
	bool rollback = txn->state != ICFG_STAGED;
	gfp_t gfp = revert_gfp(rollback);
	struct icfg_staged *group;
	struct icfg_plan_group *pg;
	struct icfg_plan *plan;

	KUNIT_STATIC_STUB_REDIRECT(icfg_plan_new, txn);

	lockdep_assert_held(&txn->lock);

	plan = kzalloc(sizeof(*plan), gfp);
	if (!plan)
		return NULL;

	kref_init(&plan->ref);
	plan->txn = txn;
	plan->rollback = rollback;
	plan->expected = txn->expected_generation;
	plan->allow = txn->allow;
	plan->disruption = txn->disruption;
	plan->confirm = txn->confirm_timeout;
	plan->step_limit = (unsigned long)txn->step_timeout * HZ;
	plan->lock_until = jiffies + LOCK_WAIT;
	init_waitqueue_head(&plan->wait);
	mutex_init(&plan->lock);
	INIT_LIST_HEAD(&plan->node);
	INIT_LIST_HEAD(&plan->devs);
	INIT_LIST_HEAD(&plan->unasked);
	INIT_LIST_HEAD(&plan->group_steps);

	list_for_each_entry(group, &txn->groups, node)
		plan->nr_groups++;
	plan->groups = kvcalloc(plan->nr_groups, sizeof(*plan->groups), gfp);
	if (!plan->groups && plan->nr_groups)
		goto err_free;

	/* A group has some devices; a plan of many groups has many. */
	plan->by_dev_bits = order_base_2(plan->nr_groups) + 2;
	plan->by_dev = kvcalloc(1UL << plan->by_dev_bits, sizeof(*plan->by_dev),
				gfp);
	if (!plan->by_dev)
		goto err_free;

	pg = plan->groups;
	list_for_each_entry(group, &txn->groups, node) {
		icfg_step_init(&pg->step);
		list_add_tail(&pg->step.node, &plan->group_steps);
		pg->plan = plan;
		pg->staged = group;
		config_item_get(&group->item);
		pg->new = group->new;
		icfg_types_init(&pg->types);
		INIT_LIST_HEAD(&pg->devs);
		pg++;
	}
	return plan;

err_free:
	kvfree(plan->groups);
	kfree(plan);
	return NULL;
}

static void put_driver(struct icfg_plan_dev *d)
{
	if (d->drv)
		module_put(d->drv->owner);
	d->drv = NULL;
}

/**
 * icfg_plan_put_drivers - release the driver modules of a plan
 * @plan: the plan; it remembers the drivers by name
 *
 * But for those of groups that still wait to be restored.
 */
void icfg_plan_put_drivers(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d;

	icfg_for_each_dev(d, plan)
		if (d->group->revert != ICFG_REVERT_WAITING)
			put_driver(d);
}

/* A port has its driver again, or does not get it back: end the enable of our own. */
void icfg_dev_disable_port(struct icfg_plan_dev *d)
{
	if (d->enabled)
		pci_disable_device(to_pci_dev(d->dev));
	d->enabled = false;
}

void icfg_plan_free_dev(struct icfg_plan_dev *d)
{
	put_driver(d);
	icfg_dev_disable_port(d);
	kfree_const(d->drv_name);
	put_device(d->dev);
	kfree(d);
}

static void plan_release(struct kref *ref)
{
	struct icfg_plan *plan = container_of(ref, struct icfg_plan, ref);
	struct icfg_plan_dev *d, *next;
	struct icfg_plan_group *pg;

	icfg_step_free_deps(&plan->devs);
	list_splice(&plan->unasked, &plan->devs);
	list_for_each_entry_safe(d, next, &plan->devs, step.node)
		icfg_plan_free_dev(d);
	icfg_for_each_group(pg, plan) {
		icfg_types_free(&pg->types);
		config_item_put(&pg->staged->item);
	}
	kvfree(plan->by_dev);
	kvfree(plan->groups);
	mutex_destroy(&plan->lock);
	kfree(plan);
}

struct icfg_plan *icfg_plan_get(struct icfg_plan *plan)
{
	kref_get(&plan->ref);
	return plan;
}

void icfg_plan_put(struct icfg_plan *plan)
{
	if (plan)
		kref_put(&plan->ref, plan_release);
}

static struct hlist_head *by_dev_head(struct icfg_plan *plan, struct device *dev)
{
	return &plan->by_dev[hash_ptr(dev, plan->by_dev_bits)];
}

struct icfg_plan_dev *icfg_plan_find(struct icfg_plan *plan, struct device *dev)
{
	struct icfg_plan_dev *d;

	hlist_for_each_entry(d, by_dev_head(plan, dev), hash)
		if (d->dev == dev)
			return d;
	return NULL;
}

/* A device that is not in the plan yet, for the sake of @group; or NULL. */
struct icfg_plan_dev *icfg_plan_new_dev(struct icfg_plan_group *group,
					struct device *dev)
{
	struct icfg_plan_dev *d;

	d = kzalloc(sizeof(*d), icfg_plan_gfp(group->plan));
	if (!d)
		return NULL;

	icfg_step_init(&d->step);
	d->group = group;
	d->dev = get_device(dev);
	d->newcomer = icfg_plan_is_reverting(group->plan);
	return d;
}

/* Take it into the plan, which is locked. */
void icfg_plan_insert(struct icfg_plan_dev *d)
{
	struct icfg_plan *plan = d->group->plan;

	lockdep_assert_held(&plan->lock);

	hlist_add_head(&d->hash, by_dev_head(plan, d->dev));
	list_add_tail(&d->step.node, &plan->devs);
}

/**
 * icfg_plan_add_dev - take a device into a plan
 * @plan: the plan, locked
 * @group: the group for whose sake
 * @dev: the device; a reference is taken
 *
 * Returns the entry, which may have been there already, or NULL without
 * memory.
 */
struct icfg_plan_dev *icfg_plan_add_dev(struct icfg_plan *plan,
					struct icfg_plan_group *group,
				  struct device *dev)
{
	struct icfg_plan_dev *d;

	KUNIT_STATIC_STUB_REDIRECT(icfg_plan_add_dev, plan, group, dev);

	lockdep_assert_held(&plan->lock);

	d = icfg_plan_find(plan, dev);
	if (d)
		return d;

	d = icfg_plan_new_dev(group, dev);
	if (d)
		icfg_plan_insert(d);
	return d;
}

/* @d is a member of @group, and not just a consumer of one. */
void icfg_plan_join(struct icfg_plan_dev *d, struct icfg_plan_group *group)
{
	if (d->member)
		return;

	d->member = true;
	d->group = group;
	list_add_tail(&d->in_group, &group->devs);
}

/* Called with the group's mutex held: no lock of a device here. */
static int add_member(struct device *dev, void *data)
{
	struct icfg_plan_group *group = data;
	struct icfg_plan_dev *d;

	d = icfg_plan_add_dev(group->plan, group, dev);
	if (!d)
		return -ENOMEM;

	icfg_plan_join(d, group);
	group->members++;
	icfg_types_add(&group->types, dev);
	return 0;
}

/**
 * icfg_plan_members - look which devices are in a group now
 * @plan: the plan, locked
 * @group: the group
 *
 * Members that the plan does not know yet are added to it, none is taken out.
 * Returns 0 or -ENOMEM.
 */
int icfg_plan_members(struct icfg_plan *plan, struct icfg_plan_group *group)
{
	lockdep_assert_held(&plan->lock);

	icfg_types_free(&group->types);
	icfg_types_init(&group->types);
	group->members = 0;
	return iommu_group_for_each_dev(group->staged->group, group,
					add_member);
}

/*
 * Can the core restore the type with drivers bound? A member that it could not set
 * up for the new domain needs another domain, and a probe.
 */
bool icfg_group_reverts_in_place(const struct icfg_plan_group *pg)
{
	return !pg->dma_setup_failed && icfg_core_in_place(pg->cur, pg->old);
}

/*
 * Acquire the lock of a device, which a probe or a remove holds. Each device is
 * tried, but all of a plan together wait no longer than plan->lock_until; what
 * reverts does not wait here, but tries again.
 */
static bool lock_dev(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	unsigned int ms = 1;

	while (!device_trylock(d->dev)) {
		if (icfg_plan_is_reverting(plan) ||
		    time_after(jiffies, READ_ONCE(plan->lock_until)))
			return false;
		msleep(ms);
		ms = min(ms * 2, 50U);
	}
	return true;
}

/**
 * icfg_plan_get_driver - note the driver of a device, and keep it from going away
 * @plan: the plan
 * @d: a device whose driver is not known yet; others are left alone
 *
 * Returns 0 (also where there is no driver), -EBUSY with d->locked set where its
 * lock could not be acquired in time, or with d->driver_leaving set where the
 * driver's module is being removed, or -ENOMEM.
 */
int icfg_plan_get_driver(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	const struct device_driver *drv;
	struct icfg_plan_group *pg = d->group;
	int ret = 0;

	KUNIT_STATIC_STUB_REDIRECT(icfg_plan_get_driver, plan, d);

	if (d->drv || d->state == ICFG_DEV_UNBOUND)
		return 0;

	d->locked = !lock_dev(plan, d);
	if (d->locked)
		return -EBUSY;
	drv = d->dev->driver;
	d->driver_leaving = drv && !try_module_get(drv->owner);
	if (d->driver_leaving) {
		ret = -EBUSY;
	} else if (drv) {
		d->drv = (struct device_driver *)drv;
		d->managed = d->member && icfg_driver_manages_dma(drv);
		d->port = d->managed && icfg_keeps_msi(d->dev);
		if (d->port)
			d->managed = false;
		d->can_pause = d->member && !d->managed &&
			       icfg_core_can_pause(drv);
		if (d->member && !d->managed &&
		    pg->types.fq == ICFG_SUPPORT_UNKNOWN)
			pg->types.fq = icfg_domain_defers(d->dev);
	}
	device_unlock(d->dev);

	kfree_const(d->drv_name);
	d->drv_name = NULL;
	if (d->drv) {
		d->drv_name = kstrdup_const(d->drv->name, icfg_plan_gfp(plan));
		if (!d->drv_name) {
			put_driver(d);
			ret = -ENOMEM;
		}
	}
	return ret;
}

/* Why icfg_plan_get_driver() said -EBUSY of a device; NULL where it did not. */
const char *icfg_dev_is_held(const struct icfg_plan_dev *d)
{
	if (d->locked)
		return "a probe or remove of it is under way";
	return d->driver_leaving ? "the module of its driver is being removed" : NULL;
}

/**
 * icfg_plan_stop - a commit begins no more steps, and is to be reverted
 * @plan: the plan of a commit; ICFG_STOP_NOW is not taken back
 * @stop: ICFG_STOP, or ICFG_STOP_NOW to wait for no running step either
 */
void icfg_plan_stop(struct icfg_plan *plan, enum icfg_stop stop)
{
	enum icfg_stop now = READ_ONCE(plan->stop);

	/*
	 * A step may fail while the timer comes due: the higher one counts, whichever is
	 * written last. Pairs with step_end(): what was written before is seen with it.
	 */
	while (now < stop && !try_cmpxchg(&plan->stop, &now, stop))
		;
	wake_up(&plan->wait);
}

/**
 * icfg_plan_report - report something about a group of a plan
 * @pg: the group
 * @d: the device, or NULL
 * @phase: when it happened
 * @err: a negative errno
 * @fmt: what and why
 */
void icfg_plan_report(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		      enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_report_add(&pg->plan->txn->report, pg->staged->id,
			d ? dev_name(d->dev) : NULL, phase, err, "%pV", &vaf);
	va_end(args);
}

/**
 * icfg_plan_leave_type - report that a revert leaves a group the type that it has
 * @pg: the group
 * @last: the type that it had when the plan last read it
 * @now: the type that another process has set since
 */
void icfg_plan_leave_type(struct icfg_plan_group *pg, enum icfg_type last,
			  enum icfg_type now)
{
	icfg_plan_report(pg, NULL, ICFG_RESTORE, -ESTALE,
			 "left alone: another process changed the type from %s to %s",
			 icfg_type_word(last), icfg_type_word(now));
	pg->old = now;
	pg->cur = now;
	/* That was another domain. */
	pg->dma_setup_failed = false;
}

/**
 * icfg_plan_copy_group - take over what became of a group in another plan
 * @to: the group here
 * @from: the group there
 */
void icfg_plan_copy_group(struct icfg_plan_group *to,
			  const struct icfg_plan_group *from)
{
	to->old = from->old;
	to->cur = READ_ONCE(from->cur);
	to->modified = from->modified;
	to->failed = from->failed;
	to->dma_setup_failed = READ_ONCE(from->dma_setup_failed);
}

/**
 * icfg_plan_carry_over - note in a later plan what a take-back did
 * @plan: the plan of the take-back
 * @later: a rollback of the same transaction that left these groups alone
 */
void icfg_plan_carry_over(struct icfg_plan *plan, struct icfg_plan *later)
{
	struct icfg_plan_group *pg, *to;
	struct icfg_plan_dev *d, *other;

	icfg_for_each_group(pg, plan) {
		/* Both were made from the same list of groups. */
		to = later->groups + (pg - plan->groups);
		if (pg->revert != ICFG_REVERT_DONE ||
		    to->revert != ICFG_REVERT_ELSEWHERE)
			continue;
		to->revert = ICFG_REVERT_DONE;
		icfg_plan_copy_group(to, pg);
		icfg_for_each_dev(d, plan) {
			other = icfg_plan_find(later, d->dev);
			if (d->group == pg && other && other->group == to)
				other->state = d->state;
		}
	}
}

/**
 * icfg_plan_warn - write about a group of a plan to the kernel log
 * @pg: the group
 * @d: the device, or NULL
 * @fmt: what and why; the report cannot be read when the network is what went
 */
void icfg_plan_warn(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		    const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	pr_warn("transaction %s, group %u%s%s: %pV\n",
		icfg_txn_name(pg->plan->txn), pg->staged->id,
		d ? ", device " : "", d ? dev_name(d->dev) : "", &vaf);
	va_end(args);
}

/* What icfg_plan_report() and icfg_plan_warn() do, with the same text. */
void icfg_plan_report_warn(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
			   enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_plan_report(pg, d, phase, err, "%pV", &vaf);
	va_end(args);
	va_start(args, fmt);
	icfg_plan_warn(pg, d, "%pV", &vaf);
	va_end(args);
}

/* Is it set up for DMA through a domain that translates? */
bool icfg_dev_has_dma_ops(const struct icfg_plan_dev *d)
{
	return use_dma_iommu(d->dev);
}

#ifdef CONFIG_PCI
/* It is not going to answer any more. */
static bool pci_dev_is_lost(struct pci_dev *pdev)
{
	return !icfg_dev_is_registered(&pdev->dev) ||
	       READ_ONCE(pdev->error_state) == pci_channel_io_perm_failure;
}

/*
 * A device that sleeps, or whose port does, reads as if it were not there: wake
 * both before asking.
 */
static bool pci_is_gone(struct pci_dev *pdev)
{
	bool present;
	int poll = 0;

	pm_runtime_get_sync(&pdev->dev);
	/* One that comes out of a reset does not answer for a moment. */
	while (!(present = pci_device_is_present(pdev)) &&
	       !pci_dev_is_lost(pdev) && poll++ < ANSWER_LOOKS)
		msleep(ANSWER_LOOK_MS);
	pm_runtime_put(&pdev->dev);
	return !present;
}
#else
static bool pci_is_gone(struct pci_dev *pdev)
{
	return false;
}
#endif

/**
 * icfg_dev_is_gone - was a device unplugged, or has it left its group?
 * @d: the device, not bound: one that is bound is there
 *
 * Wakes the device and reads its configuration space, so only a step may ask.
 */
bool icfg_dev_is_gone(struct icfg_plan_dev *d)
{
	struct iommu_group *group;
	bool gone;

	gone = !icfg_dev_is_registered(d->dev);
	if (!gone && d->member) {
		group = iommu_group_get(d->dev);
		gone = group != d->group->staged->group;
		iommu_group_put(group);
	}
	if (!gone && dev_is_pci(d->dev))
		gone = pci_is_gone(to_pci_dev(d->dev));
	return gone;
}
