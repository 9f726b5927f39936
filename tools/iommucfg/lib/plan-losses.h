/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plan takes off interfaces. */
#ifndef IOMMUCFG_PLAN_LOSSES_H
#define IOMMUCFG_PLAN_LOSSES_H

#include "internal.h"

struct iommucfg_loss {
	const struct iommucfg_device *device;
	char *interface, *master;
	struct ic_names addresses, routes;
	int manager;		/* enum ic_manager */
};

/* Of a plan, found when they are asked for. */
struct ic_losses {
	struct iommucfg_loss *v;
	size_t n, cap;
	bool found;
};

struct ic_losses *ic_losses_new(void);
void ic_losses_free(struct ic_losses *losses);

#endif
