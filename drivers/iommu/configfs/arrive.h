/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_ARRIVE_H
#define _ICFG_ARRIVE_H

#include <linux/types.h>

bool icfg_arrive_wanted(void);
int icfg_arrive_init(void);
void icfg_arrive_exit(void);
ssize_t icfg_arrive_report(char *page);

#endif /* _ICFG_ARRIVE_H */
