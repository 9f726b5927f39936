// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on demand, for tests: debugfs has fail_iommu_configfs, with the knobs
 * of Documentation/fault-injection, and where it says so the IOMMU core is not
 * asked to switch a group but counts as having answered -ENOMEM.
 *
 * Owns the attribute and its directory, made when the module loads.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fault-inject.h>

#include "icfg.h"

static DECLARE_FAULT_ATTR(fail_switch);
static struct dentry *fault_dir;

/* Should the switch of a group that is about to be done fail? */
bool icfg_should_fail(void)
{
	return should_fail(&fail_switch, 1);
}

/* Only tests need it: a failure is ignored. */
void icfg_fault_init(void)
{
	fault_dir = fault_create_debugfs_attr("fail_iommu_configfs", NULL,
					      &fail_switch);
}

void icfg_fault_exit(void)
{
	if (!IS_ERR(fault_dir))
		debugfs_remove_recursive(fault_dir);
}
