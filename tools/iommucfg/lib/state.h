/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where state is kept: /var/lib/iommucfg, /run/iommucfg; not installed. */
#ifndef IOMMUCFG_STATE_H
#define IOMMUCFG_STATE_H

#include "iommucfg.h"

int state_open(struct iommucfg *ctx, bool create);
int state_open_run(struct iommucfg *ctx);
int state_make_run(struct iommucfg *ctx);
int state_write(struct iommucfg *ctx, const char *name, const char *text);
char *state_boot_id(struct iommucfg *ctx);
char *state_read(int dirfd, const char *name, int *error);

#endif
