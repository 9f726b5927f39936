// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading. Every directory of a transaction pins the module, so
 * by the time of the exit nothing runs but the tail of a timer, which touches
 * no group any more; destroying its workqueue waits for it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/crash_dump.h>
#include <linux/module.h>

#include "core.h"
#include "icfg.h"
#include "pause.h"
#include "rules/rules.h"

static int __init icfg_init(void)
{
	int ret;

	/*
	 * A kernel that saves a crash dump attaches devices late, with the DMA
	 * of the crashed kernel still going on: not the time to switch domains.
	 */
	if (is_kdump_kernel())
		return -EPERM;

	ret = icfg_deps_init();
	if (ret)
		return ret;
	ret = icfg_core_init();
	if (ret)
		goto err_deps;
	ret = icfg_sched_init();
	if (ret)
		goto err_core;
	ret = icfg_txn_init();
	if (ret)
		goto err_sched;
	ret = icfg_pm_init();
	if (ret)
		goto err_txn;
	ret = icfg_hotplug_init();
	if (ret)
		goto err_pm;
	ret = icfg_configfs_init();
	if (ret)
		goto err_hotplug;
	icfg_fault_init();
#ifndef ICFG_HAVE_PAGE_POOL_UNMAP
	/* Since Linux 6.12.34 and 6.16 they are unmapped before the driver is gone. */
	if (IS_ENABLED(CONFIG_PAGE_POOL))
		pr_warn_once("this kernel unmaps received data that a socket holds only after the domain has changed: change no groups with network interfaces, or update to Linux 6.12.34\n");
#endif
	return 0;

err_hotplug:
	icfg_hotplug_exit();
err_pm:
	icfg_pm_exit();
err_txn:
	icfg_txn_exit();
err_sched:
	icfg_sched_exit();
err_core:
	icfg_core_exit();
err_deps:
	icfg_deps_exit();
	return ret;
}

static void __exit icfg_exit(void)
{
	icfg_fault_exit();
	icfg_configfs_exit();
	icfg_hotplug_exit();
	icfg_pm_exit();
	/* Before the timers, which a step that returns may queue. */
	icfg_sched_exit();
	icfg_pause_exit();
	icfg_txn_exit();
	icfg_core_exit();
	icfg_deps_exit();
	icfg_ownership_exit();
}

module_init(icfg_init);
module_exit(icfg_exit);

MODULE_DESCRIPTION("Change the default domain of IOMMU groups through configfs");
MODULE_LICENSE("GPL");
