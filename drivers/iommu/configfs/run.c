// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a run works on: the groups of the transaction, their members, the
 * managed consumers that would be unbound with them, the driver of each, and
 * the order in which they go.
 *
 * Owns struct icfg_run. run->lock protects its list of devices, which grows
 * while groups are switched side by side; everything else is set up by the one
 * thread that drives the run.
 */
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

#include "kunit.h"
#include "links.h"
#include "lookup.h"
#include "run.h"

/* When somebody hears of a device lock that is not to be had. */
#define LOCK_SLOW	(10 * HZ)

/* How long a device may not answer before it counts as unplugged. */
#define ANSWER_LOOKS	50
#define ANSWER_LOOK_MS	20

/*
 * Want of memory refuses a run, and turns one around, but the way back does not
 * give up for it: what it needs is some bytes for a device.
 */
static gfp_t run_gfp(const struct icfg_run *run)
{
	return run->backwards ? GFP_KERNEL | __GFP_NOFAIL : GFP_KERNEL;
}

/**
 * icfg_run_new - begin a run over the groups of a transaction
 * @txn: the transaction, locked
 *
 * Returns the run, or NULL without memory.
 */
struct icfg_run *icfg_run_new(struct icfg_txn *txn)
{
	struct icfg_group *group;
	struct icfg_target *t;
	struct icfg_run *run;

	KUNIT_STATIC_STUB_REDIRECT(icfg_run_new, txn);

	lockdep_assert_held(&txn->lock);

	run = kzalloc(sizeof(*run), GFP_KERNEL);
	if (!run)
		return NULL;

	kref_init(&run->ref);
	run->txn = txn;
	run->expected = txn->expected_generation;
	run->allow = txn->allow;
	run->confirm = txn->confirm_timeout;
	mutex_init(&run->lock);
	INIT_LIST_HEAD(&run->devs);
	INIT_LIST_HEAD(&run->target_steps);

	list_for_each_entry(group, &txn->groups, node)
		run->nr_targets++;
	run->targets = kvcalloc(run->nr_targets, sizeof(*run->targets),
				GFP_KERNEL);
	if (!run->targets && run->nr_targets)
		goto err_free;

	/* A group has some devices; a run of many groups has many. */
	run->by_dev_bits = order_base_2(run->nr_targets) + 2;
	run->by_dev = kvcalloc(1UL << run->by_dev_bits, sizeof(*run->by_dev),
			       GFP_KERNEL);
	if (!run->by_dev)
		goto err_free;

	t = run->targets;
	list_for_each_entry(group, &txn->groups, node) {
		icfg_step_init(&t->step);
		list_add_tail(&t->step.node, &run->target_steps);
		t->run = run;
		t->group = group;
		config_item_get(&group->item);
		t->wanted = group->wanted;
		icfg_rules_init(&t->rules);
		INIT_LIST_HEAD(&t->devs);
		t++;
	}
	return run;

err_free:
	kvfree(run->targets);
	kfree(run);
	return NULL;
}

static void unpin(struct icfg_dev *d)
{
	if (d->drv)
		module_put(d->drv->owner);
	d->drv = NULL;
}

/**
 * icfg_run_unpin - let the driver modules of a run go
 * @run: the run; it remembers the drivers by name
 */
void icfg_run_unpin(struct icfg_run *run)
{
	struct icfg_dev *d;

	icfg_for_each_dev(d, run)
		unpin(d);
}

static void run_release(struct kref *ref)
{
	struct icfg_run *run = container_of(ref, struct icfg_run, ref);
	struct icfg_dev *d, *next;
	struct icfg_target *t;

	icfg_step_free_order(&run->devs);
	list_for_each_entry_safe(d, next, &run->devs, step.node) {
		unpin(d);
		kfree_const(d->drv_name);
		put_device(d->dev);
		kfree(d);
	}
	icfg_for_each_target(t, run) {
		icfg_rules_free(&t->rules);
		config_item_put(&t->group->item);
	}
	kvfree(run->by_dev);
	kvfree(run->targets);
	mutex_destroy(&run->lock);
	kfree(run);
}

struct icfg_run *icfg_run_get(struct icfg_run *run)
{
	kref_get(&run->ref);
	return run;
}

void icfg_run_put(struct icfg_run *run)
{
	if (run)
		kref_put(&run->ref, run_release);
}

static struct hlist_head *by_dev_head(struct icfg_run *run, struct device *dev)
{
	return &run->by_dev[hash_ptr(dev, run->by_dev_bits)];
}

struct icfg_dev *icfg_run_find(struct icfg_run *run, struct device *dev)
{
	struct icfg_dev *d;

	hlist_for_each_entry(d, by_dev_head(run, dev), hash)
		if (d->dev == dev)
			return d;
	return NULL;
}

/**
 * icfg_run_add_dev - take a device into a run
 * @run: the run, locked
 * @target: the group for whose sake
 * @dev: the device; a reference is taken
 *
 * Returns the entry, which may have been there already, or NULL without
 * memory.
 */
struct icfg_dev *icfg_run_add_dev(struct icfg_run *run,
				  struct icfg_target *target,
				  struct device *dev)
{
	struct icfg_dev *d;

	KUNIT_STATIC_STUB_REDIRECT(icfg_run_add_dev, run, target, dev);

	lockdep_assert_held(&run->lock);

	d = icfg_run_find(run, dev);
	if (d)
		return d;

	d = kzalloc(sizeof(*d), run_gfp(run));
	if (!d)
		return NULL;

	icfg_step_init(&d->step);
	d->target = target;
	d->dev = get_device(dev);
	hlist_add_head(&d->hash, by_dev_head(run, dev));
	list_add_tail(&d->step.node, &run->devs);
	return d;
}

/* @d is a member of @target, and not just a consumer of one. */
void icfg_run_join(struct icfg_dev *d, struct icfg_target *target)
{
	if (d->member)
		return;

	d->member = true;
	d->target = target;
	list_add_tail(&d->in_target, &target->devs);
}

/* Called with the group's mutex held: no lock of a device here. */
static int add_member(struct device *dev, void *data)
{
	struct icfg_target *target = data;
	struct icfg_dev *d;

	d = icfg_run_add_dev(target->run, target, dev);
	if (!d)
		return -ENOMEM;

	icfg_run_join(d, target);
	target->members++;
	icfg_rules_add(&target->rules, dev);
	return 0;
}

/**
 * icfg_run_members - look at who is in a group now
 * @run: the run, locked
 * @target: the group
 *
 * Members that the run does not know yet are added to it, none is taken out.
 * Returns 0 or -ENOMEM.
 */
int icfg_run_members(struct icfg_run *run, struct icfg_target *target)
{
	lockdep_assert_held(&run->lock);

	icfg_rules_free(&target->rules);
	icfg_rules_init(&target->rules);
	target->members = 0;
	return iommu_group_for_each_dev(target->group->group, target,
					add_member);
}

/**
 * icfg_device_lock - take the lock of a device, and tell when that takes long
 * @run: the run
 * @d: the device
 *
 * A remove() that hangs holds the lock of its device: the report says for
 * which device the run waits.
 */
void icfg_device_lock(struct icfg_run *run, struct icfg_dev *d)
{
	unsigned long slow = jiffies + LOCK_SLOW;
	unsigned int ms = 1;
	bool told = false;

	while (!device_trylock(d->dev)) {
		if (!told && time_after(jiffies, slow)) {
			icfg_problem(d->target, d, icfg_run_phase(run, ICFG_CHECK),
				     -ETIMEDOUT,
				     "waiting for over 10 s for a probe or remove that is under way");
			told = true;
		}
		msleep(ms);
		ms = min(ms * 2, 50U);
	}
}

/**
 * icfg_run_pin - note the driver of a device, and keep it from going away
 * @run: the run
 * @d: a device whose driver is not known yet; others are left alone
 *
 * Waits for the device's lock, which a probe or a remove may hold for long;
 * that is reported. Returns 0 (also where there is no driver), -EBUSY with
 * d->leaving set where the driver's module is being removed, or -ENOMEM.
 */
int icfg_run_pin(struct icfg_run *run, struct icfg_dev *d)
{
	const struct device_driver *drv;
	struct icfg_target *t = d->target;
	int ret = 0;

	KUNIT_STATIC_STUB_REDIRECT(icfg_run_pin, run, d);

	if (d->drv || d->released)
		return 0;

	icfg_device_lock(run, d);
	drv = d->dev->driver;
	d->leaving = drv && !try_module_get(drv->owner);
	if (d->leaving) {
		ret = -EBUSY;
	} else if (drv) {
		d->drv = (struct device_driver *)drv;
		d->managed = d->member && icfg_driver_manages_dma(drv);
		d->port = d->managed && icfg_keeps_msi(d->dev);
		if (d->port)
			d->managed = false;
		if (d->member && !d->managed && t->rules.fq == ICFG_MAYBE)
			t->rules.fq = icfg_domain_defers(d->dev);
	}
	device_unlock(d->dev);

	kfree_const(d->drv_name);
	d->drv_name = NULL;
	if (d->drv) {
		d->drv_name = kstrdup_const(d->drv->name, run_gfp(run));
		if (!d->drv_name)
			ret = -ENOMEM;
	}
	return ret;
}

/* One device whose release takes others with it. */
struct order {
	struct icfg_run *run;
	struct icfg_dev *top;
	const struct icfg_links *links;
	bool more;
	int err;
};

/* @consumer goes before @order->top: take it along. */
static int order_consumer(struct order *order, struct device *consumer)
{
	struct icfg_dev *d;
	int ret;

	if (READ_ONCE(consumer->driver)) {
		d = icfg_run_add_dev(order->run, order->top->target, consumer);
		if (!d)
			return -ENOMEM;

		ret = icfg_run_pin(order->run, d);
		if (ret && ret != -EBUSY)
			return ret;

		/* The walk may be past it already. */
		if (!d->along && d != order->top) {
			d->along = true;
			order->more = true;
		}
	} else {
		/* One that we have released is still to be probed after it. */
		d = icfg_run_find(order->run, consumer);
		if (!d || !d->released)
			return 0;
	}
	return icfg_step_order(&d->step, &order->top->step,
			       run_gfp(order->run));
}

/* @dev is @order->top or hangs below it: who goes before it? */
static int order_below(struct device *dev, void *data)
{
	struct order *order = data;
	gfp_t gfp = run_gfp(order->run);
	const struct icfg_link *link;
	struct icfg_dev *d;
	size_t left;

	if (dev != order->top->dev) {
		d = icfg_run_find(order->run, dev);
		if (d) {
			d->below = true;
			order->err = icfg_step_order(&d->step,
						     &order->top->step, gfp);
		}
	}

	link = icfg_links_of(order->links, dev, &left);
	for (; left && !order->err; left--, link++) {
		order->run->links_go |= link->goes;
		order->err = order_consumer(order, link->consumer);
	}
	return order->err;
}

/**
 * icfg_run_order - find who else goes when a driver does, and who goes first
 * @run: the run, its drivers pinned
 * @due: of which devices the driver will be released
 *
 * Adds the managed consumers of these devices, however deep, and of what hangs
 * below them, and marks them to go along. Children go before parents, consumers
 * before suppliers. Returns 0 or -ENOMEM.
 */
int icfg_run_order(struct icfg_run *run, bool (*due)(const struct icfg_dev *d))
{
	struct icfg_links links;
	struct order order = { .run = run, .links = &links };
	struct icfg_visit visit = { order_below, &order };
	struct icfg_dev *d;

	order.err = icfg_links_list(&links, run_gfp(run));
	if (order.err)
		return order.err;

	guard(mutex)(&run->lock);

	icfg_for_each_dev(d, run) {
		d->along = false;
		d->below = false;
	}
	do {
		order.more = false;
		icfg_for_each_dev(d, run) {
			if (d->port || (!due(d) && !d->along && !d->released))
				continue;
			order.top = d;
			if (!order_below(d->dev, &order))
				icfg_walk_below(d->dev, &visit);
			if (order.err)
				break;
		}
	} while (order.more && !order.err);

	icfg_links_free(&links);
	return order.err;
}

static bool has_consumer(const struct icfg_links *links, struct device *dev)
{
	const struct icfg_link *link;
	size_t left;

	link = icfg_links_of(links, dev, &left);
	for (; left; left--, link++)
		if (link->goes || READ_ONCE(link->consumer->driver))
			return true;
	return false;
}

/**
 * icfg_run_has_consumers - would others be unbound with a device?
 * @d: the device
 *
 * Also where this cannot be told, for want of memory, and where a link would go,
 * for which it is too late to do without expedited grace periods.
 */
bool icfg_run_has_consumers(struct icfg_dev *d)
{
	struct icfg_links links;
	bool has;

	if (icfg_links_list(&links, GFP_KERNEL))
		return true;
	has = has_consumer(&links, d->dev);
	icfg_links_free(&links);
	return has;
}

/**
 * icfg_problem - report something about a group of a run
 * @t: the group
 * @d: the device, or NULL
 * @phase: when it happened
 * @err: a negative errno
 * @fmt: what and why
 */
void icfg_problem(struct icfg_target *t, struct icfg_dev *d,
		  enum icfg_phase phase, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_report_add(&t->run->txn->report, t->group->id,
			d ? dev_name(d->dev) : NULL, phase, err, "%pV", &vaf);
	va_end(args);
}

/* Is it set up for DMA through a domain that translates? */
bool icfg_dev_has_ops(const struct icfg_dev *d)
{
	return !IS_ENABLED(CONFIG_IOMMU_DMA) || use_dma_iommu(d->dev);
}

#ifdef CONFIG_PCI
/* Nobody expects an answer of it any more. */
static bool pci_dev_is_lost(struct pci_dev *pdev)
{
	return !device_is_registered(&pdev->dev) ||
	       READ_ONCE(pdev->error_state) == pci_channel_io_perm_failure;
}

/*
 * A device that sleeps, or whose port does, reads as if it were not there: wake
 * both before asking.
 */
static bool pci_is_gone(struct pci_dev *pdev)
{
	bool present;
	int look = 0;

	pm_runtime_get_sync(&pdev->dev);
	/* One that comes out of a reset does not answer for a moment. */
	while (!(present = pci_device_is_present(pdev)) &&
	       !pci_dev_is_lost(pdev) && look++ < ANSWER_LOOKS)
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
 */
bool icfg_dev_is_gone(struct icfg_dev *d)
{
	struct iommu_group *group;

	d->gone = !device_is_registered(d->dev);
	if (!d->gone && d->member) {
		group = iommu_group_get(d->dev);
		d->gone = group != d->target->group->group;
		iommu_group_put(group);
	}
	if (!d->gone && dev_is_pci(d->dev))
		d->gone = pci_is_gone(to_pci_dev(d->dev));
	return d->gone;
}
