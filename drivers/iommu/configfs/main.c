// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading. Every directory of a transaction pins the module, so
 * by the time of the exit nothing runs but the tail of a timer, which touches
 * no group any more; destroying its workqueue waits for it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/array_size.h>
#include <linux/crash_dump.h>
#include <linux/module.h>

#include "core.h"
#include "deps.h"
#include "icfg.h"
#include "pause.h"
#include "rules/rules.h"

struct part {
	int (*init)(void);
	void (*exit)(void);
};

/* What is set up when the module is loaded, in this order, and undone in reverse. */
static const struct part parts[] = {
	{ icfg_deps_init, icfg_deps_exit },
	{ icfg_core_init, icfg_core_exit },
	{ icfg_txn_init, icfg_txn_exit },
	/* Undone before the timers, which a step that returns may queue. */
	{ icfg_sched_init, icfg_sched_exit },
	{ icfg_pm_init, icfg_pm_exit },
	{ icfg_hotplug_init, icfg_hotplug_exit },
	{ icfg_configfs_init, icfg_configfs_exit },
};

static void exit_parts(size_t count)
{
	while (count--)
		parts[count].exit();
}

static int __init icfg_init(void)
{
	size_t i;
	int ret;

	/*
	 * A kernel that saves a crash dump attaches devices late, with the DMA
	 * of the crashed kernel still going on: not the time to switch domains.
	 */
	if (is_kdump_kernel())
		return -EPERM;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		ret = parts[i].init();
		if (ret)
			goto err_exit;
	}
	icfg_fault_init();
#ifndef ICFG_HAVE_PAGE_POOL_UNMAP
	/* Since Linux 6.12.34 and 6.16 they are unmapped before the driver is gone. */
	if (IS_ENABLED(CONFIG_PAGE_POOL))
		pr_warn_once("this kernel unmaps received data that a socket holds only after the domain has changed: change no groups with network interfaces, or update to Linux 6.12.34\n");
#endif
	return 0;

err_exit:
	exit_parts(i);
	return ret;
}

static void __exit icfg_exit(void)
{
	icfg_fault_exit();
	exit_parts(ARRAY_SIZE(parts));
	icfg_pause_exit();
	icfg_ownership_exit();
}

module_init(icfg_init);
module_exit(icfg_exit);

MODULE_DESCRIPTION("Change the default domain of IOMMU groups through configfs");
MODULE_LICENSE("GPL");
