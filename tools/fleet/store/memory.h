/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store in memory, for tests and the simulator. Several clients may share one; all
 * must be used in one thread. Time passes only by store_memory_pass().
 */
#ifndef FLEET_STORE_MEMORY_H
#define FLEET_STORE_MEMORY_H

#include "store.h"

struct store_memory;

/* The contents; freed with the last store that uses them. NULL without memory. */
struct store_memory *store_memory_new(void);
void store_memory_unref(struct store_memory *memory);

/* A client of these contents; NULL without memory. */
struct store *store_memory_open(struct store_memory *memory);

/* Lets @ms milliseconds pass: leads that were not kept end. */
void store_memory_pass(struct store_memory *memory, int64_t ms);

/* Forgets the history up to and including revision @rev. */
void store_memory_compact(struct store_memory *memory, int64_t rev);

#endif
