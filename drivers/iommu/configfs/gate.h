/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_GATE_H
#define _ICFG_GATE_H

#include <linux/types.h>

/* Why the gate is shut. */
enum icfg_gate {
	ICFG_GATE_OPEN,
	ICFG_GATE_SUSPEND,
	ICFG_GATE_REBOOT,
};

enum icfg_gate icfg_gate_enter(void);
void icfg_gate_leave(void);
u64 icfg_gate_clock(void);

int icfg_gate_init(void);
void icfg_gate_exit(void);

#endif /* _ICFG_GATE_H */
