// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is unbound with what, and in which order: children before their parents, and
 * consumers before the suppliers that they have a managed device link to. The
 * driver core unbinds the consumers of a supplier on any bus and does not report it,
 * so a commit has to know them beforehand.
 *
 * In: a plan whose devices and drivers are known. Out: edges between the steps of
 * its devices, and the dependents that had to be added. Called by validate.c and
 * apply.c from the thread that drives the plan, and from a switch for one device.
 *
 * The driver core does not export its lists of links, but each link is also a
 * device of the class "devlink", and a reference to that device keeps both ends.
 * Owns the pointer to the class, set once when the module loads; the class
 * lives as long as the kernel. Owns the list of releases that are under way, which
 * with plan->unasked is protected by release_lock, taken inside of all other locks.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>

#include "deps.h"
#include "icfg.h"

static const struct class *link_class;

static DEFINE_SPINLOCK(release_lock);
static LIST_HEAD(releases);

/**
 * icfg_release_begin - this thread is going to unbind a device
 * @release: to be kept until icfg_release_end()
 * @d: the device
 *
 * What the driver core unbinds with it is noted for icfg_deps_add_unasked().
 */
void icfg_release_begin(struct icfg_release *release, struct icfg_plan_dev *d)
{
	release->task = current;
	release->d = d;
	spin_lock(&release_lock);
	list_add(&release->node, &releases);
	spin_unlock(&release_lock);
}

void icfg_release_end(struct icfg_release *release)
{
	spin_lock(&release_lock);
	list_del(&release->node);
	spin_unlock(&release_lock);
}

/* What this thread unbinds, or NULL. */
static struct icfg_plan_dev *released_here(void)
{
	struct icfg_plan_dev *d = NULL;
	struct icfg_release *release;

	spin_lock(&release_lock);
	list_for_each_entry(release, &releases, node)
		if (release->task == current)
			d = release->d;
	spin_unlock(&release_lock);
	return d;
}

/* @dev, whose lock is held, is unbound because @supplier is. */
static void note_unasked(struct icfg_plan_dev *supplier, struct device *dev)
{
	struct icfg_plan_group *pg = supplier->group;
	struct device_driver *drv = dev->driver;
	struct icfg_plan_dev *d;

	d = icfg_plan_new_dev(pg, dev);
	if (d)
		d->drv_name = kstrdup_const(drv->name, icfg_plan_gfp(pg->plan));
	if (!d || !d->drv_name) {
		icfg_plan_report(pg, supplier, icfg_plan_phase(pg->plan, ICFG_RELEASE),
				 -ENOMEM,
				 "no memory to bind %s again, which is unbound with it",
				 dev_name(dev));
		WRITE_ONCE(pg->failed, true);
		icfg_plan_stop(pg->plan, ICFG_STOP);
	} else if (try_module_get(drv->owner)) {
		d->drv = drv;
		d->supplier = supplier;
		scoped_guard(spinlock, &release_lock)
			list_add_tail(&d->step.node, &pg->plan->unasked);
		return;
	}
	/* A driver whose module is being removed does not bind again. */
	if (d)
		icfg_plan_free_dev(d);
}

/* The driver core tells the bus before it calls the remove of the driver. */
static int on_unbind(struct notifier_block *nb, unsigned long action, void *data)
{
	struct icfg_plan_dev *d;

	if (action != BUS_NOTIFY_UNBIND_DRIVER)
		return NOTIFY_DONE;
	d = released_here();
	if (d && d->dev != data)
		note_unasked(d, data);
	return NOTIFY_DONE;
}

static struct notifier_block unbind_blocks[ICFG_BUSES_MAX];

/* The entry of @plan for what @unasked is about, or NULL where it is not needed. */
static struct icfg_plan_dev *merge_unasked(struct icfg_plan *plan,
					   struct icfg_plan_dev *unasked)
{
	struct icfg_plan_dev *d = icfg_plan_find(plan, unasked->dev);

	/* A child is deleted by the remove of its parent. */
	if (!icfg_dev_is_registered(unasked->dev) || READ_ONCE(unasked->dev->driver)) {
		icfg_plan_free_dev(unasked);
		return NULL;
	}
	if (!d) {
		icfg_plan_insert(unasked);
		return unasked;
	}
	if (!d->drv) {
		swap(d->drv, unasked->drv);
		swap(d->drv_name, unasked->drv_name);
	}
	icfg_plan_free_dev(unasked);
	return d;
}

/**
 * icfg_deps_add_unasked - take into a plan what was unbound without being in it
 * @plan: the plan
 *
 * A consumer can bind, and so make a link to a supplier, after the order was found
 * and before the supplier is unbound. The driver core unbinds it then: it is bound
 * again with the devices of the plan.
 */
void icfg_deps_add_unasked(struct icfg_plan *plan)
{
	struct icfg_plan_dev *d, *next, *supplier;
	LIST_HEAD(unasked);

	guard(mutex)(&plan->lock);
	scoped_guard(spinlock, &release_lock) {
		list_for_each_entry_safe(d, next, &plan->unasked, step.node)
			/* Its own remove may be what hangs. */
			if (!icfg_step_is_left(&d->supplier->step) &&
			    !icfg_step_is_left(&d->group->step))
				list_move_tail(&d->step.node, &unasked);
	}

	list_for_each_entry_safe(d, next, &unasked, step.node) {
		list_del(&d->step.node);
		supplier = d->supplier;
		d = merge_unasked(plan, d);
		if (!d)
			continue;
		d->state = ICFG_DEV_UNBOUND;
		d->dependent = true;
		/* Without memory for the order its probe defers to the supplier's. */
		icfg_step_add_dep(&d->step, &supplier->step, icfg_plan_gfp(plan));
		icfg_plan_count_steps(plan, 1);
	}
}

/*
 * The class of device links is not exported: make a link between two devices of our
 * own and look at it. Returns 0 or a negative errno.
 */
static int learn_link_class(void)
{
	struct device *supplier, *consumer;
	struct device_link *link;
	int ret = 0;

	supplier = root_device_register("iommu-configfs-supplier");
	if (IS_ERR(supplier))
		return PTR_ERR(supplier);

	consumer = root_device_register("iommu-configfs-consumer");
	if (IS_ERR(consumer)) {
		ret = PTR_ERR(consumer);
		goto out_supplier;
	}

	link = device_link_add(consumer, supplier, DL_FLAG_STATELESS);
	if (link) {
		link_class = link->link_dev.class;
		device_link_del(link);
	} else {
		ret = -ENOMEM;
	}

	root_device_unregister(consumer);
out_supplier:
	root_device_unregister(supplier);
	return ret;
}

int icfg_deps_init(void)
{
	return learn_link_class() ?:
	       icfg_buses_watch(unbind_blocks, on_unbind, 0);
}

void icfg_deps_exit(void)
{
	icfg_buses_unwatch(unbind_blocks);
}

static int count_link(struct device *dev, void *data)
{
	(*(size_t *)data)++;
	return 0;
}

struct link_list {
	struct icfg_links *links;
	size_t room;
};

static int list_link(struct device *dev, void *data)
{
	struct device_link *link = container_of(dev, struct device_link,
						link_dev);
	u32 flags = READ_ONCE(link->flags);
	struct link_list *list = data;
	struct icfg_link *next;

	/* These do not unbind the consumer with the supplier. */
	if (!(flags & DL_FLAG_MANAGED) || (flags & DL_FLAG_SYNC_STATE_ONLY))
		return 0;
	if (list->links->count == list->room)
		return -EAGAIN;

	next = &list->links->links[list->links->count++];
	next->supplier = get_device(link->supplier);
	next->consumer = get_device(link->consumer);
	next->goes = flags & DL_FLAG_AUTOREMOVE_SUPPLIER;
	return 0;
}

static int by_supplier(const void *a, const void *b)
{
	const struct icfg_link *first = a, *second = b;

	return first->supplier < second->supplier ? -1 :
	       first->supplier > second->supplier;
}

/**
 * icfg_links_list - list the managed device links of the machine
 * @links: filled in; free with icfg_links_free()
 * @gfp: GFP_KERNEL, and whether it may fail
 *
 * Returns 0 or -ENOMEM. A link that comes while the list is made may be in it
 * or not.
 */
int icfg_links_list(struct icfg_links *links, gfp_t gfp)
{
	struct link_list list = { .links = links };
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(icfg_links_list, links, gfp);

	*links = (struct icfg_links){};

	do {
		icfg_links_free(links);
		list.room = 0;
		class_for_each_device(link_class, NULL, &list.room, count_link);
		/* Some room for those that come before the second look. */
		list.room += 16;
		links->links = kvcalloc(list.room, sizeof(*links->links), gfp);
		if (!links->links)
			return -ENOMEM;
		ret = class_for_each_device(link_class, NULL, &list, list_link);
	} while (ret == -EAGAIN);

	sort(links->links, links->count, sizeof(*links->links), by_supplier,
	     NULL);
	return ret;
}

/* The first link to a supplier; @count is how many there are, one after the other. */
static const struct icfg_link *links_of(const struct icfg_links *links,
					const struct device *supplier,
					size_t *count)
{
	size_t first = 0, end = links->count, middle;

	while (first < end) {
		middle = first + (end - first) / 2;
		if (links->links[middle].supplier < supplier)
			first = middle + 1;
		else
			end = middle;
	}
	while (end < links->count && links->links[end].supplier == supplier)
		end++;

	*count = end - first;
	return links->links + first;
}

void icfg_links_free(struct icfg_links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		put_device(links->links[i].supplier);
		put_device(links->links[i].consumer);
	}
	kvfree(links->links);
	*links = (struct icfg_links){};
}

/* One device whose release takes others with it. */
struct order {
	struct icfg_plan *plan;
	struct icfg_plan_dev *top;
	const struct icfg_links *links;
	bool more;
	int err;
};

/* @consumer is unbound before @order->top. */
static int order_consumer(struct order *order, struct device *consumer)
{
	struct icfg_plan_dev *d;
	int ret;

	if (READ_ONCE(consumer->driver)) {
		d = icfg_plan_add_dev(order->plan, order->top->group, consumer);
		if (!d)
			return -ENOMEM;

		ret = icfg_plan_get_driver(order->plan, d);
		if (ret && ret != -EBUSY)
			return ret;

		/* The walk may be past it already. */
		if (!d->dependent && d != order->top) {
			d->dependent = true;
			order->more = true;
		}
	} else {
		/* One that we have released is still to be probed after it. */
		d = icfg_plan_find(order->plan, consumer);
		if (!d || d->state != ICFG_DEV_UNBOUND)
			return 0;
	}
	return icfg_step_add_dep(&d->step, &order->top->step,
				 icfg_plan_gfp(order->plan));
}

/* @dev is @order->top or hangs below it: what is unbound before it? */
static int order_below(struct device *dev, void *data)
{
	struct order *order = data;
	gfp_t gfp = icfg_plan_gfp(order->plan);
	const struct icfg_link *link;
	struct icfg_plan_dev *d;
	size_t left;

	if (dev != order->top->dev) {
		d = icfg_plan_find(order->plan, dev);
		if (d) {
			/* The remove of a port does not delete what is below. */
			d->below |= !order->top->port;
			order->err = icfg_step_add_dep(&d->step,
						       &order->top->step, gfp);
		}
	}
	/* Nor does it unbind what is below, or that has a link to it. */
	if (order->top->port)
		return order->err;

	link = links_of(order->links, dev, &left);
	for (; left && !order->err; left--, link++) {
		order->plan->links_go |= link->goes;
		order->err = order_consumer(order, link->consumer);
	}
	return order->err;
}

/**
 * icfg_deps_order - find the dependents of devices, and the order of all of them
 * @plan: the plan, its drivers known
 * @selected: which devices are to be unbound
 *
 * Adds the managed consumers of these devices, however deep, and of what hangs
 * below them, and marks them as dependent. Returns 0 or -ENOMEM; a revert that has
 * an order keeps it instead, where there is no memory to look at the links.
 */
int icfg_deps_order(struct icfg_plan *plan,
		    bool (*selected)(const struct icfg_plan_dev *d))
{
	struct icfg_links links;
	struct order order = { .plan = plan, .links = &links };
	struct icfg_visit visit = { order_below, &order };
	struct icfg_plan_dev *d;

	order.err = icfg_links_list(&links, icfg_plan_gfp(plan));
	/* The last order serves; what came since, icfg_deps_add_unasked() sees. */
	if (order.err && plan->reverting && plan->ordered)
		return 0;
	if (order.err)
		return order.err;

	guard(mutex)(&plan->lock);

	icfg_for_each_dev(d, plan) {
		d->dependent = false;
		/* One that was deleted is not found below its parent any more. */
		d->below &= !icfg_dev_is_registered(d->dev);
	}
	do {
		order.more = false;
		icfg_for_each_dev(d, plan) {
			if (!selected(d) && !d->dependent &&
			    d->state != ICFG_DEV_UNBOUND)
				continue;
			order.top = d;
			if (!order_below(d->dev, &order))
				icfg_walk_below(d->dev, &visit);
			if (order.err)
				break;
		}
	} while (order.more && !order.err);

	icfg_links_free(&links);
	plan->ordered |= !order.err;
	return order.err;
}

/* Is anything bound that would be unbound with @dev, or would a link be deleted? */
bool icfg_links_have_consumer(const struct icfg_links *links,
			      struct device *dev)
{
	const struct icfg_link *link;
	size_t left;

	link = links_of(links, dev, &left);
	for (; left; left--, link++)
		if (link->goes || READ_ONCE(link->consumer->driver))
			return true;
	return false;
}

/**
 * icfg_deps_has_consumers - would others be unbound with a device?
 * @d: the device
 *
 * Also true where there is no memory to find out, and where a link would be
 * deleted: grace periods are expedited by then, see apply.c.
 */
bool icfg_deps_has_consumers(struct icfg_plan_dev *d)
{
	struct icfg_links links;
	bool has;

	if (icfg_links_list(&links, GFP_KERNEL))
		return true;
	has = icfg_links_have_consumer(&links, d->dev);
	icfg_links_free(&links);
	return has;
}

/*
 * Is the device of a step bound, and left out of this round? So is one whose probe
 * hangs: to unbind its supplier would wait for that.
 */
static bool is_bound_and_left_out(const struct icfg_step *step)
{
	const struct icfg_plan_dev *d =
		container_of(step, struct icfg_plan_dev, step);

	if (icfg_step_is_left(step))
		return true;
	return READ_ONCE(d->dev->driver) &&
	       (icfg_dev_is_left_out(d) || d->locked || d->driver_leaving);
}

/* Is the device of a step not bound (yet), and left out of this round? */
static bool is_unbound_and_left_out(const struct icfg_step *step)
{
	const struct icfg_plan_dev *d =
		container_of(step, struct icfg_plan_dev, step);

	return icfg_step_is_left(step) ||
	       (READ_ONCE(d->state) == ICFG_DEV_UNBOUND &&
		icfg_group_is_waiting(d->group));
}

/**
 * icfg_deps_wait - does a device have to wait for one that is left out?
 * @d: the device, in a revert
 * @unbind: it is to be unbound, not probed
 */
bool icfg_deps_wait(const struct icfg_plan_dev *d, bool unbind)
{
	if (unbind)
		return icfg_step_has_dep(&d->step, is_bound_and_left_out);
	return icfg_dev_is_unbound(d) &&
	       icfg_step_has_dependent(&d->step, is_unbound_and_left_out);
}
