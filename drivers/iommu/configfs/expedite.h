/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_EXPEDITE_H
#define _ICFG_EXPEDITE_H

/*
 * A driver's remove() waits for one grace period of RCU after the other, that of
 * NVMe for six: nearly all the time that it takes, and the device serves nobody
 * meanwhile. So they are expedited for as long as drivers are away, as they are
 * around suspend for the same reason. That interrupts other CPUs, but not those
 * that run user space without a tick; rcupdate.rcu_normal=1 forbids it. A
 * remove() or probe() that hangs keeps it so, as it keeps the commit.
 */
#include <linux/cleanup.h>
#include <linux/rcupdate_wait.h>

#include "icfg.h"

#ifndef ICFG_HAVE_RCU_EXPEDITE
/* Stock kernels export them, and declare them in kernel/rcu/rcu.h. */
#ifdef CONFIG_TINY_RCU
static inline void rcu_expedite_gp(void) { }
static inline void rcu_unexpedite_gp(void) { }
#else
void rcu_expedite_gp(void);
void rcu_unexpedite_gp(void);
#endif
#endif

/*
 * When a link goes with its supplier's driver, device_links_driver_cleanup()
 * writes to it once more after it was dropped. All that keeps it there so long
 * is a grace period, which had better be a slow one.
 */
static inline bool icfg_expedite(const struct icfg_plan *plan)
{
	if (plan->links_go)
		return false;

	rcu_expedite_gp();
	return true;
}

static inline void icfg_unexpedite(bool expedited)
{
	if (expedited)
		rcu_unexpedite_gp();
}

DEFINE_LOCK_GUARD_1(icfg_expedite, struct icfg_plan,
		    _T->expedited = icfg_expedite(_T->lock),
		    icfg_unexpedite(_T->expedited), bool expedited)

#endif /* _ICFG_EXPEDITE_H */
