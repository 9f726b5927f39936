/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_CLAIM_H
#define _ICFG_CLAIM_H

#include "run.h"

void icfg_claim_look(struct icfg_run *run);
void icfg_claim(struct icfg_run *run);
void icfg_unclaim(struct icfg_txn *txn);

/* Room for the name of a transaction. */
#define ICFG_CLAIM_WHO	(ICFG_NAME_MAX + 1)

bool icfg_claimed(unsigned int id, char *who);

u64 icfg_generation(void);
bool icfg_generation_raise(u64 expected);

void icfg_claim_exit(void);

#endif /* _ICFG_CLAIM_H */
