/* SPDX-License-Identifier: GPL-2.0 */
/* iommucfg monitor */
#ifndef IOMMUCFG_MONITOR_H
#define IOMMUCFG_MONITOR_H

#include <time.h>

#include "cli.h"

struct seen {
	struct seen *next;
	char name[IOMMUCFG_TXN_NAME_MAX + 1];
	enum iommucfg_state state;
	bool there, warned;
};

struct monitor_state {
	struct seen *seen;
	long last_entry;
	struct timespec history;	/* when it was written */
};

/* monitor.c */
int monitor_txn(struct cli *cli, const char *event, const char *name);

/* monitor-txns.c */
int monitor_look(struct cli *cli, struct monitor_state *m, bool first);
void monitor_forget(struct monitor_state *m);

#endif
