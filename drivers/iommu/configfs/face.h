/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_FACE_H
#define _ICFG_FACE_H

#include <linux/configfs.h>

extern struct configfs_subsystem icfg_subsys;

int icfg_face_init(void);
void icfg_face_exit(void);

#endif /* _ICFG_FACE_H */
