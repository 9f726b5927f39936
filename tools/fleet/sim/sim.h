/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the simulator share; see sim.c. */
#ifndef FLEET_SIM_H
#define FLEET_SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "coordinator.h"
#include "memory.h"

#define PREFIX "/fleet"
#define POOL "pool"
#define COORDINATORS 2

enum variant {
	NOT_BROKEN, BLIND_GRANT, BLIND_TAKE, BLIND_REVOKE, BLIND_BEGIN, SLOT_LEASE,
	OLD_CONNECTION, NO_JOURNAL, CONFIRM_UNPROVEN, HOOK_LATER, FORGET_AT_ONCE,
};

struct sim_host {
	char name[32], machine[32], boot[24];
	int boots;
	struct agent *agent;
	struct doc_journal disk;
	struct agent_action action;
	bool acting, applying, dead, liar;
	bool forgotten;			/* while it was dead */
	int64_t wake, report_at;
	int64_t grant_seen;		/* revision at which it began to wait */

	/* What kind of host it is. */
	bool cut, nothing, refuses, unwell, apply_fails, pre_fails;
	bool ready;			/* by its own hooks, which outlive a reboot here */

	/* The kernel. Types and file: is it the new policy? */
	bool types, file;
	enum agent_txn txn;
	int64_t attempt, done_at, deadline;

	/* Taken out of service by the hook "before", and not put back yet. */
	bool prepared;

	/* The observer's. */
	bool changing, proven;
	int64_t commits_attempt;
	struct doc_grant grant;
};

struct sim_coordinator {
	struct coordinator *c;
	struct store_watch *watch;
	struct step step;
	bool acting;
	struct sim_hook *hooks;
};

/* A hook that a coordinator has started. */
struct sim_hook {
	struct sim_hook *next;
	struct sim_host *host;
	bool after, ok;
	int64_t serial, done_at;
};

/* A write that comes late. */
struct late {
	struct late *next;
	struct step step;
	int64_t at;
};

struct sim {
	uint64_t random;
	int64_t now;
	enum variant variant;
	bool verbose, faults, hooks;
	int leader;			/* the coordinator that may call hooks */
	size_t count;
	struct sim_host *hosts;
	struct sim_coordinator coordinators[COORDINATORS];
	struct store_memory *memory;
	struct store *store;
	struct store_watch *observer;
	struct late *late;
	struct doc_rollout rollout;
	char why[256];			/* what was violated; "": nothing */
};

extern struct sim sim;

/* An invariant does not hold; the first one counts. */
void violated(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With -v. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* 0 to @sides - 1 */
uint64_t roll(uint64_t sides);
bool fault(uint64_t one_in);
void must(bool ok);

/* observer.c: looks at what was written to the store since the last time. */
void observe(void);

/* faults.c: one step at the store, with what may go wrong there; and late writes. */
enum store_result at_store(struct step *step, bool reachable, struct store_item *item);
void late_writes(void);

/* hooks.c: programs that take hosts out of service and put them back. */
void hook_start(struct sim_coordinator *s);
void hook_step(struct sim_coordinator *s);
/* Those at work are killed, where they are. */
void hook_stop(struct sim_coordinator *s);

/* host.c: a host's boot, what its kernel does by itself, and one step of its agent. */
void boot(struct sim_host *host);
void kernel(struct sim_host *host);
void host_step(struct sim_host *host);

#endif
