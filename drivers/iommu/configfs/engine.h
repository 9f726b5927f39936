/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_ENGINE_H
#define _ICFG_ENGINE_H

#include "run.h"

bool icfg_engine_has_work(struct icfg_run *run);
bool icfg_engine_has_touched(struct icfg_run *run);
int icfg_engine_commit(struct icfg_run *run);
int icfg_engine_rollback(struct icfg_run *run);

#endif /* _ICFG_ENGINE_H */
