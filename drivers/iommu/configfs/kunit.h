/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_KUNIT_H
#define _ICFG_KUNIT_H

/*
 * Where KUnit tests step in. A function that begins with
 * KUNIT_STATIC_STUB_REDIRECT() can be replaced, for the threads of one test
 * only; VISIBLE_IF_KUNIT is static in a kernel without KUnit, where the former
 * is nothing at all.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#if IS_ENABLED(CONFIG_KUNIT)
struct icfg_step;
struct icfg_txn;

void icfg_step_queue(struct icfg_step *step);
int icfg_txn_depend(struct icfg_txn *txn);
void icfg_txn_undepend(struct icfg_txn *txn);
#endif

#endif /* _ICFG_KUNIT_H */
