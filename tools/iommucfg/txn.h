/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IOMMUCFG_TXN_H
#define IOMMUCFG_TXN_H

#include "internal.h"

struct iommucfg_txn {
	struct iommucfg *ctx;
	char *name;
	int fd;			/* its directory */
};

#endif
