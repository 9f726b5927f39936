/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A deterministic automaton for each object, as by the kernel's header of this name
 * with RV_MON_PER_OBJ, for the one monitor that there is here. Reports are those
 * of its printk reactor.
 */
#ifndef _RV_DA_MONITOR_H
#define _RV_DA_MONITOR_H

#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>

static struct rv_monitor rv_this;

/*
 * What is watched: as many objects as tests have at a time. Nothing is allocated, and the
 * lock is a raw one, since the monitor calls this with a raw lock held.
 */
static struct da_object {
	unsigned long id;	/* 0: free */
	unsigned int state;
} da_objects[512];

static DEFINE_RAW_SPINLOCK(da_lock);

static struct da_object *da_find(unsigned long id)
{
	size_t i;

	lockdep_assert_held(&da_lock);

	for (i = 0; i < ARRAY_SIZE(da_objects); i++)
		if (da_objects[i].id == id)
			return &da_objects[i];
	return NULL;
}

static void da_handle(struct da_object *object, enum events_iommu_txn event)
{
	unsigned int next = automaton_iommu_txn.function[object->state][event];

	if (next == INVALID_STATE) {
		pr_warn("rv: monitor %s does not allow event %s on state %s\n",
			rv_this.name, automaton_iommu_txn.event_names[event],
			automaton_iommu_txn.state_names[object->state]);
		object->id = 0;
	} else {
		object->state = next;
	}
}

static void da_handle_event(unsigned long id, monitor_target target,
			    enum events_iommu_txn event)
{
	struct da_object *object;

	guard(raw_spinlock_irqsave)(&da_lock);

	object = da_find(id);
	if (object)
		da_handle(object, event);
}

static void da_handle_start_run_event(unsigned long id, monitor_target target,
				      enum events_iommu_txn event)
{
	struct da_object *object;

	guard(raw_spinlock_irqsave)(&da_lock);

	object = da_find(id);
	if (!object) {
		/* One that finds no room is not watched. */
		object = da_find(0);
		if (!object)
			return;
		object->id = id;
		object->state = automaton_iommu_txn.initial_state;
	}
	da_handle(object, event);
}

static void da_destroy_storage(unsigned long id)
{
	struct da_object *object;

	guard(raw_spinlock_irqsave)(&da_lock);

	object = da_find(id);
	if (object)
		object->id = 0;
}

static void da_monitor_reset_all(void)
{
	guard(raw_spinlock_irqsave)(&da_lock);

	memset(da_objects, 0, sizeof(da_objects));
}

static int da_monitor_init(void)
{
	return 0;
}

static void da_monitor_destroy(void)
{
	tracepoint_synchronize_unregister();
	da_monitor_reset_all();
}

#endif
