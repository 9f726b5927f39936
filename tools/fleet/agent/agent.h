/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent of one host, without its surroundings: it says what is to be done next, and is
 * told what became of it. What must outlive it is its journal, which its caller keeps
 * (journal.h): a step AGENT_SAVE is done when the journal is on the disk.
 *
 *	idle -> plan -> hook pre -> begin -> apply -> probes -> proof -> confirm and install
 *	     -> hook post -> end
 *
 * Each arrow that changes something is in the journal before it is gone. No step is
 * decided on a journal alone where the kernel or the store know better.
 */
#ifndef FLEET_AGENT_H
#define FLEET_AGENT_H

#include "doc.h"
#include "step.h"

enum agent_do {
	AGENT_WAIT,	/* until the grant changes, or wait_ms have passed */
	AGENT_STORE,	/* @step */
	AGENT_SAVE,	/* @journal */
	AGENT_PLAN,	/* what would @journal's policy change? result: enum agent_plan */
	AGENT_PRE,	/* the host's hooks before a change; result: 1 well, 0 not */
	AGENT_POST,	/* and after it, also where it was not begun */
	AGENT_APPLY,	/* commit it, with a confirm timeout; result: enum agent_applied */
	AGENT_PROBE,	/* is the host well? result: 0 no, 1 yes */
	AGENT_LOOK,	/* the kernel's transaction; result: enum agent_txn */
	AGENT_CONFIRM,	/* and the policy is the file that the next boot applies: agent_confirmed */
	AGENT_ROLLBACK,	/* result: 1 as before, 0 not */
};

enum agent_plan {
	PLAN_CHANGES, PLAN_NOTHING, PLAN_REFUSED,
	PLAN_AGAIN,	/* the store is away, and the policy with it */
	PLAN_BLOCKED,	/* something of this host is in the way; refused if that lasts */
};

enum agent_applied {
	APPLIED_UNCONFIRMED, APPLIED_NOTHING, APPLIED_REFUSED, APPLIED_REVERTED, APPLIED_FAILED,
	APPLIED_UNKNOWN,	/* its exit status was lost */
};

enum agent_txn {
	TXN_NONE,		/* there is none of this attempt: types are as before */
	TXN_RUNNING,
	TXN_UNCONFIRMED,	/* agent_result has the time that is left */
	TXN_KEPT,		/* confirmed; its types hold */
	TXN_ODD,		/* no transaction, and the types are not as before */
};

enum agent_confirmed {
	CONFIRM_KEPT,		/* the change holds, and its policy is installed */
	CONFIRM_UNKNOWN,	/* not all of that, the kernel knows */
	CONFIRM_AGAIN,		/* it could not be tried now */
};

struct agent_action {
	enum agent_do what;
	struct step step;
	int64_t wait_ms;
};

struct agent_result {
	int code;			/* of those that have a result above */
	int64_t remaining_ms;		/* AGENT_LOOK: of the kernel's timer */
	bool installed;			/* AGENT_LOOK: the file is there, and in force */
	enum store_result store;	/* AGENT_STORE */
	int64_t age_ms;			/* of a proof: since the first of its writes was answered */
	const struct store_item *item;
};

struct agent_options {
	const char *prefix, *pool, *host;
	const char *machine;
	const char *boot;
};

struct agent;

/* @journal: as it was saved last; all zero at first. NULL without memory. */
struct agent *agent_new(const struct agent_options *options, const struct doc_journal *journal);
void agent_free(struct agent *a);

/* What AGENT_SAVE is to save. */
const struct doc_journal *agent_journal(const struct agent *a);

/* Before an end is saved: the reason, which is in the journal with it. */
void agent_explain(struct agent *a, const char *why);

/* @now: milliseconds of a clock that only grows. @action is for step_clear(). */
bool agent_next(struct agent *a, int64_t now, struct agent_action *action);
void agent_done(struct agent *a, const struct agent_action *action,
		const struct agent_result *result, int64_t now);

/*
 * What the host says of itself in each status from now on: a JSON object, see
 * doc_status_print(). When no attempt is under way a status with it is written soon. False
 * without memory.
 */
bool agent_report(struct agent *a, const char *facts);

/* The grant as it was read last; with AGENT_PLAN that of the attempt. */
const struct doc_grant *agent_grant(const struct agent *a);

/* The revision of the grant as it was read last; 0: there was none. */
int64_t agent_grant_rev(const struct agent *a);

/* With AGENT_ROLLBACK: why. */
const char *agent_rolls_back(const struct agent *a);

/* What is wrong, one line, or "". */
const char *agent_message(const struct agent *a);

#endif
