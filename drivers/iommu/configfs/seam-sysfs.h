/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_SEAM_SYSFS_H
#define _ICFG_SEAM_SYSFS_H

#include "seam.h"

void icfg_seat_let_leave(void);

#endif /* _ICFG_SEAM_SYSFS_H */
