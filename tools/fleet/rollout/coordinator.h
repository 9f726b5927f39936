/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The coordinator of one pool, without its surroundings: what it sees of the store goes
 * in, the next step at the store comes out. All that it decides on is in the store; what
 * it remembers besides are clocks, which begin anew with it.
 *
 *	coordinator_see()	what a list, a watch or a read brought
 *	coordinator_next()	what is to be done next
 *	coordinator_done()	what became of it
 *
 * What it has seen may be old: each step compares revisions. Several coordinators may work
 * on one pool; they are in each other's way, and do no harm.
 */
#ifndef FLEET_COORDINATOR_H
#define FLEET_COORDINATOR_H

#include "doc.h"
#include "step.h"

struct coordinator;

/**
 * struct coordinator_options
 * @prefix: of all keys, without a "/" at its end
 * @pool: its name
 * @lost_after_ms: a host that changes and is silent for so long counts as lost; longer where
 *	the rollout gives hosts more time to go back by themselves
 * @has_before, @has_after: there is such a hook, for STEP_HOOK
 */
struct coordinator_options {
	const char *prefix;
	const char *pool;
	int64_t lost_after_ms;
	bool has_before, has_after;
};

/* NULL without memory. */
struct coordinator *coordinator_new(const struct coordinator_options *options);
void coordinator_free(struct coordinator *c);

/* @now: milliseconds of a clock that only grows. False without memory. */
bool coordinator_see(struct coordinator *c, const struct store_item *item, int64_t now);

/* @step is for step_clear(). False without memory. */
bool coordinator_next(struct coordinator *c, int64_t now, struct step *step);

/* The next step to halt the rollout for @reason; STEP_WAIT: none is under way. */
bool coordinator_halt(struct coordinator *c, const char *reason, struct step *step);

/* @item: what step_run() gave. False without memory. */
bool coordinator_done(struct coordinator *c, const struct step *step, enum store_result result,
		      const struct store_item *item, int64_t now);

/*
 * What became of a hook that was started, of STEP_HOOK: @name is of its host, @serial was in the
 * step. One that is not over within its time has not ended well.
 */
void coordinator_hooked(struct coordinator *c, const char *name, int64_t serial, bool ok,
			const char *why, int64_t now);

/* Those that were at work are not any more, and came to nothing that is known. */
void coordinator_unhook(struct coordinator *c);

/* The time for people, in what is written from now on; "" at first. */
void coordinator_at(struct coordinator *c, const char *at);

/* The rollout as it was seen last; NULL: none. */
const struct doc_rollout *coordinator_rollout(const struct coordinator *c);
/* Hosts of the pool that have reported to be in this phase. */
size_t coordinator_hosts(const struct coordinator *c, enum doc_phase phase);
/* Hosts of the pool whose reports have ceased. */
size_t coordinator_silent(const struct coordinator *c, int64_t now);

/* What is wrong with the documents, one line, or "". */
const char *coordinator_message(const struct coordinator *c);

#endif
