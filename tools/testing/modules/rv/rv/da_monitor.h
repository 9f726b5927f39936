/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A deterministic automaton for each object, as by the kernel's header of this name
 * with RV_MON_PER_OBJ, for the one monitor that there is here. Reports are those
 * of its printk reactor.
 */
#ifndef _RV_DA_MONITOR_H
#define _RV_DA_MONITOR_H

#include <linux/printk.h>
#include <linux/tracepoint.h>
#include <linux/xarray.h>

static struct rv_monitor rv_this;

/* The state of each object that is watched, by its id. */
static DEFINE_XARRAY(da_states);

static void da_handle(unsigned long id, void *state, enum events_iommu_txn event)
{
	unsigned int cur = xa_to_value(state), next;

	lockdep_assert_held(&da_states.xa_lock);

	next = automaton_iommu_txn.function[cur][event];
	if (next == INVALID_STATE) {
		pr_warn("rv: monitor %s does not allow event %s on state %s\n",
			rv_this.name, automaton_iommu_txn.event_names[event],
			automaton_iommu_txn.state_names[cur]);
		__xa_erase(&da_states, id);
	} else if (next != cur) {
		__xa_store(&da_states, id, xa_mk_value(next), GFP_ATOMIC);
	}
}

static void da_handle_event(unsigned long id, monitor_target target,
			    enum events_iommu_txn event)
{
	void *state;

	xa_lock(&da_states);
	state = xa_load(&da_states, id);
	if (state)
		da_handle(id, state, event);
	xa_unlock(&da_states);
}

static void da_handle_start_run_event(unsigned long id, monitor_target target,
				      enum events_iommu_txn event)
{
	void *state;

	xa_lock(&da_states);
	state = xa_load(&da_states, id);
	if (!state) {
		state = xa_mk_value(automaton_iommu_txn.initial_state);
		/* Without memory it is not watched. */
		__xa_store(&da_states, id, state, GFP_ATOMIC);
	}
	da_handle(id, state, event);
	xa_unlock(&da_states);
}

static void da_destroy_storage(unsigned long id)
{
	xa_erase(&da_states, id);
}

static void da_monitor_reset_all(void)
{
	xa_destroy(&da_states);
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
