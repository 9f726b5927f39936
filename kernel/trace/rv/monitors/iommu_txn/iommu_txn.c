// SPDX-License-Identifier: GPL-2.0
/*
 * Each transaction of /sys/kernel/config/iommu has an automaton, which is that of
 * Documentation/admin-guide/iommu_txn.dot. Its events come from tracepoints of
 * iommu-configfs.
 *
 * That may be a module, which must not be pinned by being watched: so its
 * tracepoints are looked up by name when it is loaded.
 */
#include <linux/array_size.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/rv.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include <rv_trace.h>

#include "../../../../../drivers/iommu/configfs/icfg.h"

#define RV_MON_TYPE RV_MON_PER_OBJ
#define monitor_target struct icfg_txn *
#define da_id_type unsigned long
#include "iommu_txn.h"
#include <rv/da_monitor.h>

/* Automata come and go; those of different transactions at the same time. */
static DEFINE_RAW_SPINLOCK(storage_lock);

static da_id_type id_of(struct icfg_txn *txn)
{
	return (da_id_type)txn;
}

/* What led from the state @old to the present one. */
static enum events_iommu_txn event_of(struct icfg_txn *txn, enum icfg_state old)
{
	switch (txn->state) {
	case ICFG_STAGED:
		return old == ICFG_STAGED ? check_iommu_txn :
					    end_staged_iommu_txn;
	case ICFG_COMMITTING:
		return commit_iommu_txn;
	case ICFG_COMMITTED:
		return old == ICFG_UNCONFIRMED ? confirm_iommu_txn :
						 end_committed_iommu_txn;
	case ICFG_UNCONFIRMED:
		return end_unconfirmed_iommu_txn;
	case ICFG_ROLLING_BACK:
		/* User space writes; the confirm timer has a workqueue. */
		return current->flags & PF_WQ_WORKER ? timeout_iommu_txn :
						       rollback_iommu_txn;
	case ICFG_ROLLED_BACK:
		return end_rolled_back_iommu_txn;
	default:
		return end_failed_iommu_txn;
	}
}

static void handle_state(void *data, struct icfg_txn *txn, enum icfg_state old)
{
	enum events_iommu_txn event = event_of(txn, old);

	/* With the first of these a transaction begins to be watched. */
	if (event == check_iommu_txn || event == commit_iommu_txn) {
		raw_spin_lock(&storage_lock);
		da_handle_start_run_event(id_of(txn), txn, event);
		raw_spin_unlock(&storage_lock);
	} else {
		da_handle_event(id_of(txn), txn, event);
	}
}

static void handle_rmdir(void *data, struct icfg_txn *txn)
{
	da_handle_event(id_of(txn), txn, rmdir_iommu_txn);

	raw_spin_lock(&storage_lock);
	da_destroy_storage(id_of(txn));
	raw_spin_unlock(&storage_lock);
}

static void touched(const struct icfg_plan_group *pg)
{
	da_handle_event(id_of(pg->plan->txn), pg->plan->txn, touch_iommu_txn);
}

static void handle_dev(void *data, const struct icfg_plan_group *pg,
		       const struct icfg_plan_dev *d, int err)
{
	touched(pg);
}

static void handle_switch(void *data, const struct icfg_plan_group *pg,
			  enum icfg_type type, int err)
{
	touched(pg);
}

static void handle_pause(void *data, const struct icfg_plan_group *pg,
			 const struct icfg_plan_dev *d, s64 took, int err)
{
	touched(pg);
}

static void handle_resume(void *data, const struct icfg_plan_group *pg,
			  const struct icfg_plan_dev *d, s64 took, s64 silent,
			  int err)
{
	touched(pg);
}

static const struct probe {
	const char *tracepoint;
	void *handler;
} probes[] = {
	{ "icfg_state", handle_state },
	{ "icfg_rmdir", handle_rmdir },
	{ "icfg_release", handle_dev },
	{ "icfg_switch", handle_switch },
	{ "icfg_probe", handle_dev },
	{ "icfg_pause", handle_pause },
	{ "icfg_resume", handle_resume },
};

static void *handler_for(struct tracepoint *tp)
{
	for (int i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tp->name, probes[i].tracepoint))
			return probes[i].handler;
	return NULL;
}

static void attach(struct tracepoint *tp, void *unused)
{
	void *handler = handler_for(tp);

	if (handler)
		WARN_ON_ONCE(tracepoint_probe_register(tp, handler, NULL));
}

static void detach(struct tracepoint *tp, void *unused)
{
	void *handler = handler_for(tp);

	if (handler)
		tracepoint_probe_unregister(tp, handler, NULL);
}

/* Also called for what is loaded when it is registered, and unregistered. */
static int module_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
#ifdef CONFIG_MODULES
	struct module *mod = ((struct tp_module *)data)->mod;
	struct tracepoint *tp;

	for (unsigned int i = 0; i < mod->num_tracepoints; i++) {
		tp = tracepoint_ptr_deref(&mod->tracepoints_ptrs[i]);
		if (event == MODULE_STATE_COMING)
			attach(tp, NULL);
		else if (event == MODULE_STATE_GOING)
			detach(tp, NULL);
	}
#endif
	return NOTIFY_OK;
}

static struct notifier_block module_nb = { .notifier_call = module_event };

static int enable_iommu_txn(void)
{
	int retval;

	retval = da_monitor_init();
	if (retval)
		return retval;

	for_each_kernel_tracepoint(attach, NULL);
	retval = register_tracepoint_module_notifier(&module_nb);
	if (retval) {
		for_each_kernel_tracepoint(detach, NULL);
		da_monitor_destroy();
	}
	return retval;
}

static void disable_iommu_txn(void)
{
	rv_this.enabled = 0;

	unregister_tracepoint_module_notifier(&module_nb);
	for_each_kernel_tracepoint(detach, NULL);

	da_monitor_destroy();
}

static struct rv_monitor rv_this = {
	.name = "iommu_txn",
	.description = "states of a transaction that changes IOMMU default domains.",
	.enable = enable_iommu_txn,
	.disable = disable_iommu_txn,
	.reset = da_monitor_reset_all,
	.enabled = 0,
};

static int __init register_iommu_txn(void)
{
	return rv_register_monitor(&rv_this, NULL);
}

static void __exit unregister_iommu_txn(void)
{
	rv_unregister_monitor(&rv_this);
}

module_init(register_iommu_txn);
module_exit(unregister_iommu_txn);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("iommu_txn: states of a transaction that changes IOMMU default domains.");
