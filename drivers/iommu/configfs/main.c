// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading. Every directory of a transaction pins the module, so
 * by the time of the exit nothing runs but the tail of a timer, which touches
 * no group any more; destroying its workqueue waits for it.
 */
#include <linux/crash_dump.h>
#include <linux/module.h>

#include "arrive.h"
#include "claim.h"
#include "face.h"
#include "fault.h"
#include "gate.h"
#include "links.h"
#include "seam.h"
#include "steps.h"
#include "txn.h"

static int __init icfg_init(void)
{
	int ret;

	/*
	 * A kernel that saves a crash dump attaches devices late, with the DMA
	 * of the crashed kernel still going on: not the time to switch domains.
	 */
	if (is_kdump_kernel())
		return -EPERM;

	ret = icfg_links_init();
	if (ret)
		return ret;
	ret = icfg_seam_init();
	if (ret)
		return ret;
	ret = icfg_steps_init();
	if (ret)
		goto err_seam;
	ret = icfg_txn_init();
	if (ret)
		goto err_steps;
	ret = icfg_gate_init();
	if (ret)
		goto err_txn;
	ret = icfg_arrive_init();
	if (ret)
		goto err_gate;
	ret = icfg_face_init();
	if (ret)
		goto err_arrive;
	icfg_fault_init();
	return 0;

err_arrive:
	icfg_arrive_exit();
err_gate:
	icfg_gate_exit();
err_txn:
	icfg_txn_exit();
err_steps:
	icfg_steps_exit();
err_seam:
	icfg_seam_exit();
	return ret;
}

static void __exit icfg_exit(void)
{
	icfg_fault_exit();
	icfg_face_exit();
	icfg_arrive_exit();
	icfg_gate_exit();
	icfg_txn_exit();
	icfg_steps_exit();
	icfg_seam_exit();
	icfg_claim_exit();
}

module_init(icfg_init);
module_exit(icfg_exit);

MODULE_DESCRIPTION("Change the default domain of IOMMU groups through configfs");
MODULE_LICENSE("GPL");
