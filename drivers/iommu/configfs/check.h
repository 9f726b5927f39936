/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_CHECK_H
#define _ICFG_CHECK_H

#include "run.h"

/* Who asks for a rollback: it decides what stops it. */
enum icfg_asker {
	ICFG_BY_HAND,		/* guards refuse, a stale group refuses */
	ICFG_BY_HAND_AGAIN,	/* in ICFG_FAILED: guards refuse, stale is left */
	ICFG_BY_TIMER,		/* nobody is there to be refused */
};

__printf(4, 5)
void icfg_refuse(struct icfg_target *t, struct icfg_dev *d, int err,
		 const char *fmt, ...);
void icfg_refuse_errno(struct icfg_run *run, int err);

int icfg_check_commit(struct icfg_run *run);
int icfg_check_rollback(struct icfg_run *run, struct icfg_run *undo,
			enum icfg_asker asker);

#endif /* _ICFG_CHECK_H */
