/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The documents, as JSON: grants, statuses, pools and rollouts in the store, and the
 * agent's journal on its disk. A document that lacks
 * what is needed, or has it in another type or out of range, is refused with a reason;
 * members that are not known are ignored.
 */
#ifndef FLEET_DOC_H
#define FLEET_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOC_ID_MAX	40	/* of a rollout: letters, digits, "-" */
#define DOC_HOST_MAX	253	/* a DNS name */
#define DOC_HASH_MAX	64	/* SHA-256 in hexadecimal digits */
#define DOC_MACHINE_MAX	36	/* a machine or boot id */
#define DOC_REASON_MAX	160
#define DOC_GRANT_SCHEMA "iommucfg/fleet-grant/1"
/* What a commit must have left of its confirm timeout to be worth a proof. */
#define DOC_PROOF_SECONDS 45
/* "NAME=VALUE,NAME=VALUE": as many and as long as an agent takes of its configuration */
#define DOC_LABEL_MAX	63
#define DOC_LABELS	16
#define DOC_LABELS_MAX	(DOC_LABELS * (2 * DOC_LABEL_MAX + 2))
#define DOC_SELECT_MAX	256
#define DOC_AUDIT_MAX	20
#define DOC_WHY_MAX	100	/* of a host's end */
#define DOC_AT_MAX	24	/* a time, for people alone */
#define DOC_WHO_MAX	64
#define DOC_WORDS_MAX	64	/* "WORD,WORD" */
#define DOC_USE_MAX	48	/* a device of a group that is in use, and what uses it */
#define DOC_REPORT_SECONDS 600	/* between two reports of a host that does not say */
/* In the place of a policy: what the fleet has installed is taken back. */
#define DOC_NO_POLICY	"none"
#define DOC_ATTEMPT_MAX	(1LL << 53)	/* what a JSON number holds exactly */

/**
 * struct doc_grant - a coordinator's word to one host
 * @live: the host may begin, and may confirm
 * @generation: of the pool; 0: not said
 * @revoked: it had not begun and never will; unlike a grant that is only no longer live,
 *	whose host may have begun
 * @settle: seconds; 0: as the policy says
 * @allow_in_use: words of the policy's option of that name, in its place; "": as the policy says
 * @requires: what this version does not have; a host refuses that. "": nothing
 */
struct doc_grant {
	char rollout[DOC_ID_MAX + 1];
	char policy[DOC_HASH_MAX + 1];
	char machine[DOC_MACHINE_MAX + 1];
	int64_t attempt, generation;
	bool live, revoked;
	long confirm_timeout;	/* seconds */
	long settle;
	char allow_in_use[DOC_WORDS_MAX];
	char requires[DOC_WHY_MAX];
};

enum doc_phase { PHASE_IDLE, PHASE_CHANGING, PHASE_UNCONFIRMED, PHASE_ENDED };

/* How an attempt ended. LOST: a person gave its slot back; no host reports that. */
enum doc_end {
	END_NONE, END_DONE, END_NOTHING, END_REVERTED, END_REFUSED, END_FAILED, END_LOST,
};

#define DOC_ENDS (END_LOST + 1)

struct doc_status {
	char machine[DOC_MACHINE_MAX + 1];
	char boot[DOC_MACHINE_MAX + 1];
	char rollout[DOC_ID_MAX + 1];	/* of the attempt; "" before the first one */
	int64_t attempt, generation;
	int64_t seq;			/* counts what this host has written */
	enum doc_phase phase;
	enum doc_end end;		/* in PHASE_ENDED */
	char policy_in_force[DOC_HASH_MAX + 1];
	/* What the host says of itself; read, never written. */
	char labels[DOC_LABELS_MAX];
	char problem[DOC_WHY_MAX];	/* the first one */
	long report_interval;		/* seconds; it may take half as much again */
	bool too_old;			/* its agent lacks DOC_GRANT_SCHEMA */
	bool no_module;			/* its agent says that there is no module */
};

/* What was done to a pool (@from and @to: policies) or to a rollout (states). */
struct doc_act {
	char at[DOC_AT_MAX], who[DOC_WHO_MAX], what[24], why[DOC_REASON_MAX];
	char from[DOC_HASH_MAX + 1], to[DOC_HASH_MAX + 1];
};

struct doc_audit {
	struct doc_act acts[DOC_AUDIT_MAX];	/* the oldest first */
	size_t count;
};

/* What a pool is to be. Without a rollout there is nothing to do; paused, no host is taken. */
struct doc_pool {
	char rollout[DOC_ID_MAX + 1];
	char policy[DOC_HASH_MAX + 1];
	char previous[DOC_HASH_MAX + 1];
	int64_t generation;
	bool paused;
	struct doc_audit audit;
};

/* Where an agent is in its attempt; written before the step that it names. */
enum doc_journal_phase {
	JOURNAL_IDLE,		/* nothing is under way */
	JOURNAL_PLAN,		/* a grant is taken, and there is no plan yet; never saved */
	JOURNAL_BEGIN,		/* the store may have been told that the host changes */
	JOURNAL_APPLY,		/* it has been told; the commit may have been started */
	JOURNAL_CONFIRM,	/* proven; it may be confirmed, and the file be written */
	JOURNAL_END,		/* over; the end may have been reported */
};

struct doc_journal {
	enum doc_journal_phase phase;
	char rollout[DOC_ID_MAX + 1];
	char policy[DOC_HASH_MAX + 1];	/* "": not known, a journal before this one was lost */
	int64_t attempt, generation;
	enum doc_end end;		/* in JOURNAL_END */
	char boot[DOC_MACHINE_MAX + 1];
	long confirm_timeout;
	char why[DOC_REASON_MAX];	/* of the end, one line; "" where there is no reason */
	bool hooked;			/* the host's hooks may have been called for a change */
};

/*
 * A slot that is taken. @hooked: its end is followed by the hook "after". @forgotten: a person
 * gave it back, when the host's status had the number @seq; it is free once the grant is not live.
 */
struct doc_slot {
	char host[DOC_HOST_MAX + 1];
	char machine[DOC_MACHINE_MAX + 1];
	char since[DOC_AT_MAX];
	int64_t attempt, seq;
	bool lost, hooked, forgotten;
};

/*
 * A host of which @attempts ended badly, the last one in @end. @earlier: before the rollout was
 * resumed from a halt, so that it is tried again.
 */
struct doc_failure {
	char host[DOC_HOST_MAX + 1];
	char why[DOC_WHY_MAX];
	enum doc_end end;
	long attempts;
	bool earlier;
};

/*
 * A hook that has to be called: before a slot is taken, or after it came back by @end. No two
 * of a rollout have one @serial.
 */
struct doc_hook {
	char host[DOC_HOST_MAX + 1];
	char machine[DOC_MACHINE_MAX + 1];
	int64_t serial;
	bool after;
	enum doc_end end;		/* END_NONE: it has not begun */
};

enum doc_state {
	STATE_PLANNED, STATE_RUNNING, STATE_SOAKING, STATE_PAUSED, STATE_HALTED, STATE_COMPLETE,
	STATE_SUPERSEDED,
};

#define DOC_WAVES_MAX 16
/*
 * What is in the lists of a rollout has to leave room for what a person or the coordinator
 * writes into it besides: together they stay below STORE_VALUE_MAX.
 */
#define DOC_SLOTS_MAX 1000	/* and hooks */
#define DOC_FAILURES_MAX (500 * 1024)	/* bytes, about */

/**
 * struct doc_rollout
 * @selector: hosts that it is for, see doc_selects(); "": all of the pool
 * @waves: how many hosts are done when a wave is over: a number, or of all hosts the
 *	percentage (negative)
 * @reason: why it is halted, or who was left out of what is complete
 * @now: what has not begun is revoked (paused, halted), what has begun rolls back (halted)
 * @max_refused: 0: any number
 * @leg_failures, @leg_lost, @leg_refused: hosts, since the rollout began or was resumed from a halt
 * @settle, @allow_in_use: of its grants
 * @unlisted: entries that @failures had no room for
 * @hooks: hosts that are prepared for a change, or are not back in service yet
 * @fingerprint: of the plan that it was started with
 * @ended: attempts that came to each end
 */
struct doc_rollout {
	char id[DOC_ID_MAX + 1];
	char policy[DOC_HASH_MAX + 1];
	int64_t generation;
	char selector[DOC_SELECT_MAX];
	int waves[DOC_WAVES_MAX];
	size_t wave_count, wave;
	long max_changing, max_failures, max_lost, max_refused;
	long attempts, confirm_timeout, settle, soak;
	char allow_in_use[DOC_WORDS_MAX];
	bool allow_empty_canary;
	enum doc_state state;
	bool now;
	char reason[DOC_REASON_MAX];
	long leg_failures, leg_lost, leg_refused, unlisted;
	long ended[DOC_ENDS];
	struct doc_slot *changing;
	size_t changing_count;
	struct doc_failure *failures;
	size_t failure_count;
	struct doc_hook *hooks;
	size_t hook_count;
	int64_t hook_serial;		/* the last one */
	char by[DOC_WHO_MAX], fingerprint[DOC_HASH_MAX + 1];
	struct doc_audit audit;
};

/* A name that a host can have: letters, digits, ".", "-", "_". */
bool doc_is_host(const char *name);

/* Makes one line of ASCII of it, in place. */
char *doc_line(char *text);

const char *doc_phase_name(enum doc_phase phase);
const char *doc_end_name(enum doc_end end);
const char *doc_state_name(enum doc_state state);
const char *doc_journal_name(enum doc_journal_phase phase);

/*
 * Each parses @size bytes; false with the reason in @why (DOC_REASON_MAX bytes), and then the
 * document is all zero.
 */
bool doc_grant_parse(struct doc_grant *grant, const char *text, size_t size, char *why);
bool doc_status_parse(struct doc_status *status, const char *text, size_t size, char *why);
bool doc_journal_parse(struct doc_journal *journal, const char *text, size_t size, char *why);
bool doc_pool_parse(struct doc_pool *pool, const char *text, size_t size, char *why);
bool doc_rollout_parse(struct doc_rollout *rollout, const char *text, size_t size, char *why);

/* Each returns the text, to be freed; NULL without memory. */
char *doc_grant_print(const struct doc_grant *grant);
/* @facts: members of a JSON object that are in the status as well, or NULL. */
char *doc_status_print(const struct doc_status *status, const char *facts);
char *doc_journal_print(const struct doc_journal *journal);
char *doc_pool_print(const struct doc_pool *pool);
char *doc_rollout_print(const struct doc_rollout *rollout);

/* One more entry, over the oldest one where there are too many. */
void doc_audit_add(struct doc_audit *audit, const struct doc_act *act);

/* A selector: "NAME=VALUE,NAME!=VALUE", of which all have to hold. */
bool doc_is_selector(const char *selector);
bool doc_selects(const char *selector, const char *labels);

void doc_rollout_clear(struct doc_rollout *rollout);

/* All of it; false without memory, and then there is nothing to clear. */
bool doc_rollout_copy(struct doc_rollout *to, const struct doc_rollout *from);

struct doc_slot *doc_slot_of(const struct doc_rollout *rollout, const char *host);
/* NULL without memory, as below. */
struct doc_slot *doc_slot_add(struct doc_rollout *rollout, const char *host, const char *machine,
			      int64_t attempt);
void doc_slot_remove(struct doc_rollout *rollout, const char *host);
/* The last one in the list comes first. */
struct doc_failure *doc_failure_of(const struct doc_rollout *rollout, const char *host);
/* One more entry, all zero. */
struct doc_failure *doc_failure_append(struct doc_rollout *rollout);
/*
 * One more attempt of @host, whose entry is the last one then; where there is no room for a new
 * one it is only counted. False without memory.
 */
bool doc_failure_add(struct doc_rollout *rollout, const char *host, enum doc_end end,
		     const char *why);
struct doc_hook *doc_hook_of(const struct doc_rollout *rollout, const char *host);
struct doc_hook *doc_hook_add(struct doc_rollout *rollout, const char *host, const char *machine,
			      bool after, enum doc_end end);
void doc_hook_remove(struct doc_rollout *rollout, const char *host);
/*
 * Marks the slot of a host that is known to be off, or drops its hook. @seq: of its status as it
 * is read now; 0: none. False: there is nothing to do.
 */
bool doc_rollout_forget(struct doc_rollout *rollout, const char *host, int64_t seq);
/* Goes on after a pause or a halt. After a halt nothing that has failed counts any more. */
void doc_rollout_resume(struct doc_rollout *rollout);

#endif
