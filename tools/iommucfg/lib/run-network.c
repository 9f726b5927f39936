// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The network before and after a change: looked at before the commit, compared and put
 * back after it, and after the change went back.
 */
#include <errno.h>

#include "run.h"

#define DEFAULT_SETTLE	10

/* In which devices must be back. */
long ic_run_settle_seconds(const struct iommucfg_run *run)
{
	return run->settle < 0 ? DEFAULT_SETTLE : run->settle;
}

/* Right before the commit. */
void ic_run_network_take(struct iommucfg_run *run)
{
	(void)run;
}

/* Puts back what can be put back at once; for a run that does not wait. */
void ic_run_network_put(struct iommucfg_run *run)
{
	(void)run;
}

/* Part of IC_PHASE_SETTLE, once the devices are back: DONE, AGAIN, or begins a rollback. */
int ic_run_network_settle(struct iommucfg_run *run)
{
	(void)run;
	return IOMMUCFG_RUN_DONE;
}

/* The change went back, with the outcome @code, which is returned when the network is back. */
int ic_run_network_restore(struct iommucfg_run *run, int code)
{
	(void)run;
	return code;
}

/* IC_PHASE_RESTORE */
int ic_run_network_step(struct iommucfg_run *run)
{
	return run->gone_back;
}

void ic_run_network_free(struct iommucfg_run *run)
{
	(void)run;
}
