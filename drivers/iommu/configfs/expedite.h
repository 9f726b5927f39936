/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_EXPEDITE_H
#define _ICFG_EXPEDITE_H

/*
 * A driver's remove() waits for one grace period of RCU after the other, that of
 * NVMe for six: nearly all the time that it takes, and the device serves nobody
 * meanwhile. So they are expedited for as long as drivers are away, as they are
 * around suspend for the same reason. That interrupts other CPUs, but not those
 * that run user space without a tick; rcupdate.rcu_normal=1 forbids it.
 */
#include <linux/cleanup.h>
#include <linux/rcupdate_wait.h>

#ifndef ICFG_HAVE_RCU_EXPEDITE
/* Stock kernels export them, and declare them in kernel/rcu/rcu.h. */
void rcu_expedite_gp(void);
void rcu_unexpedite_gp(void);
#endif

DEFINE_LOCK_GUARD_0(icfg_expedite, rcu_expedite_gp(), rcu_unexpedite_gp())

#endif /* _ICFG_EXPEDITE_H */
