/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_FAULT_H
#define _ICFG_FAULT_H

#include <linux/types.h>

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
void icfg_fault_init(void);
void icfg_fault_exit(void);
bool icfg_should_fail(void);
#else
static inline void icfg_fault_init(void) {}
static inline void icfg_fault_exit(void) {}
static inline bool icfg_should_fail(void) { return false; }
#endif

#endif /* _ICFG_FAULT_H */
