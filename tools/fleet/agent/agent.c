// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The agent's state machine. See agent.h.
 *
 * What is done when, and what a crash between two steps leaves behind, is decided in one
 * place: resume(). A step that went as it should leads to the next one directly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

/* No proof by then, and the agent takes the change back before the kernel does. */
#define LAST_PROOF_MS	15000
/* How old a proof may be when the change is confirmed. */
#define PROOF_GOOD_MS	5000
#define POLL_MS		60000
#define RETRY_MS	1000
/* What goes on failing is tried after 2, 4, ... 32 s. */
#define RETRY_SHIFT_MAX	5
/* So long a plan may be blocked; well below the time after which a host counts as lost. */
#define BLOCKED_MS	300000

enum state {
	RESUME,			/* find out where the attempt is */
	READ_STATUS, READ_GRANT, REPORT,
	PLAN,
	SAVE,			/* then @after_save */
	PRE, BEGIN, APPLY, LOOK_APPLIED, PROBE, LOOK_TIME, READ_GRANT_ANEW, PROVE, CONFIRM,
	INSTALL,		/* confirmed before */
	ROLLBACK, POST, PUBLISH,
	PAUSE,			/* a moment, then @after_pause */
};

struct agent {
	char prefix[STEP_KEY_MAX / 2];
	char pool[64];
	char host[DOC_HOST_MAX + 1];
	char machine[DOC_MACHINE_MAX + 1];
	char boot[DOC_MACHINE_MAX + 1];
	struct doc_journal journal;
	enum state state, after_save, after_pause;
	int64_t pause_ms;
	bool paused;

	bool status_known;		/* nothing that was sent may still change it unseen */
	struct doc_status status;
	int64_t status_rev;
	bool grant_known;
	struct doc_grant grant;
	int64_t grant_rev;

	char *facts;
	bool want_report, just_applied;
	int tries;			/* of a plan, or of an installation, that have failed */
	int64_t blocked_at;		/* when a plan was blocked first; -1: none was */
	int64_t limit_ms;		/* for what a proof takes at the store */
	int64_t proven_at;		/* when its first write was answered; -1: never */
	const char *rolls_back;		/* why, until the transaction is gone; or NULL */
	char message[DOC_REASON_MAX + 64];
};

struct agent *agent_new(const struct agent_options *options, const struct doc_journal *journal)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	snprintf(a->prefix, sizeof(a->prefix), "%s", options->prefix);
	snprintf(a->pool, sizeof(a->pool), "%s", options->pool);
	snprintf(a->host, sizeof(a->host), "%s", options->host);
	snprintf(a->machine, sizeof(a->machine), "%s", options->machine);
	snprintf(a->boot, sizeof(a->boot), "%s", options->boot);
	a->journal = *journal;
	a->proven_at = a->blocked_at = -1;
	return a;
}

void agent_free(struct agent *a)
{
	if (a)
		free(a->facts);
	free(a);
}

bool agent_report(struct agent *a, const char *facts)
{
	char *copy = strdup(facts);

	if (!copy)
		return false;
	free(a->facts);
	a->facts = copy;
	a->want_report = true;
	return true;
}

const struct doc_journal *agent_journal(const struct agent *a)
{
	return &a->journal;
}

void agent_explain(struct agent *a, const char *why)
{
	snprintf(a->journal.why, sizeof(a->journal.why), "%s", why);
	doc_line(a->journal.why);
}

const struct doc_grant *agent_grant(const struct agent *a)
{
	return &a->grant;
}

int64_t agent_grant_rev(const struct agent *a)
{
	return a->grant_rev;
}

const char *agent_rolls_back(const struct agent *a)
{
	return a->rolls_back;
}

const char *agent_message(const struct agent *a)
{
	return a->message;
}

static void pause_for(struct agent *a, int64_t ms, enum state after)
{
	a->state = PAUSE;
	a->pause_ms = ms;
	a->after_pause = after;
	a->paused = false;
}

static int64_t retry_ms(const struct agent *a)
{
	return RETRY_MS << (a->tries < RETRY_SHIFT_MAX ? a->tries : RETRY_SHIFT_MAX);
}

/* Later and later; what is wrong is reported in between. */
static void retry(struct agent *a)
{
	a->tries++;
	if (a->want_report)
		a->state = a->status_known ? REPORT : READ_STATUS;
	else
		pause_for(a, retry_ms(a), RESUME);
}

static void save(struct agent *a, enum doc_journal_phase phase, enum state after)
{
	a->journal.phase = phase;
	a->state = SAVE;
	a->after_save = after;
}

static void end(struct agent *a, enum doc_end end)
{
	a->rolls_back = NULL;
	a->journal.end = end;
	save(a, JOURNAL_END, a->journal.hooked ? POST : PUBLISH);
}

static void roll_back(struct agent *a, const char *why)
{
	a->state = ROLLBACK;
	a->rolls_back = why;
}

static bool rebooted(const struct agent *a)
{
	return strcmp(a->journal.boot, a->boot);
}

/* The status says that this attempt has begun. */
static bool has_begun(const struct agent *a)
{
	return a->status.attempt == a->journal.attempt &&
	       !strcmp(a->status.rollout, a->journal.rollout) &&
	       !strcmp(a->status.machine, a->machine) && a->status.phase != PHASE_IDLE;
}

static bool grant_holds(const struct agent *a)
{
	return a->grant_known && a->grant.live && a->grant.attempt == a->journal.attempt &&
	       !strcmp(a->grant.rollout, a->journal.rollout) &&
	       !strcmp(a->grant.machine, a->machine);
}

/* After a start, or after an answer that was lost. */
static void resume(struct agent *a)
{
	if (a->journal.phase <= JOURNAL_BEGIN) {
		if (!a->status_known)
			a->state = READ_STATUS;
		else if (a->journal.phase != JOURNAL_BEGIN || !has_begun(a))
			a->state = READ_GRANT;
		else if (a->status.phase != PHASE_CHANGING)
			save(a, JOURNAL_IDLE, READ_GRANT);
		else if (rebooted(a) || !a->journal.hooked)
			/* It came late, when the host was back in service already. */
			end(a, END_REVERTED);
		else
			save(a, JOURNAL_APPLY, APPLY);
	} else if (a->journal.phase == JOURNAL_END) {
		a->state = a->journal.hooked ? POST : PUBLISH;
	} else {
		a->state = LOOK_APPLIED;
	}
}

/* Where the kernel is, for an attempt that was applied, or may have been. */
static void looked(struct agent *a, const struct agent_result *result)
{
	switch (result->code) {
	case TXN_RUNNING:
		pause_for(a, RETRY_MS, LOOK_APPLIED);
		break;
	case TXN_UNCONFIRMED:
		/* It could not be run, and a host that seems well by now has not been so. */
		if (a->rolls_back) {
			pause_for(a, RETRY_MS, ROLLBACK);
			break;
		}
		/* Whatever was proven before a restart counts no more. */
		a->proven_at = -1;
		a->state = PROBE;
		if (a->just_applied && result->remaining_ms < DOC_PROOF_SECONDS * 1000)
			roll_back(a, "the commit has left no time for a proof");
		a->just_applied = false;
		break;
	case TXN_KEPT:
		if (rebooted(a) && result->installed)
			end(a, END_DONE);
		else if (a->journal.phase == JOURNAL_CONFIRM)
			a->state = INSTALL;
		else
			end(a, END_FAILED);	/* by a person, without a proof */
		break;
	case TXN_NONE:
		end(a, END_REVERTED);
		break;
	default:
		end(a, END_FAILED);
	}
}

static void take_status(struct agent *a, const struct agent_result *result)
{
	const struct store_item *item = result->item;
	char why[DOC_REASON_MAX];

	if (result->store) {
		pause_for(a, RETRY_MS, a->journal.phase == JOURNAL_END ? PUBLISH :
			  a->journal.phase >= JOURNAL_APPLY ? LOOK_TIME : RESUME);
		return;
	}
	a->status_known = true;
	a->status_rev = item->rev;
	a->status = (struct doc_status){ 0 };
	/* What cannot be read is written over; its attempt is then only in the journal. */
	if (item->value && !doc_status_parse(&a->status, item->value, item->size, why))
		snprintf(a->message, sizeof(a->message), "the own status: %s", why);
	if (a->journal.phase == JOURNAL_END)
		a->state = PUBLISH;
	else
		a->state = a->journal.phase >= JOURNAL_APPLY ? LOOK_TIME : RESUME;
}

static bool take_grant(struct agent *a, const struct agent_result *result)
{
	const struct store_item *item = result->item;
	char why[DOC_REASON_MAX];

	/* What was read before is compared at the next write in any case. */
	if (result->store)
		return false;
	a->grant_known = false;
	a->grant_rev = item->rev;
	a->grant = (struct doc_grant){ 0 };
	if (!item->value)
		return true;
	a->message[0] = '\0';
	a->grant_known = doc_grant_parse(&a->grant, item->value, item->size, why);
	if (!a->grant_known)
		snprintf(a->message, sizeof(a->message), "the grant: %s", why);
	return true;
}

/* The status says that this host is in the middle of an attempt that its journal does not have. */
static bool is_journal_lost(const struct agent *a)
{
	return !strcmp(a->status.machine, a->machine) && a->status.attempt > a->journal.attempt &&
	       (a->status.phase == PHASE_CHANGING || a->status.phase == PHASE_UNCONFIRMED);
}

/*
 * A journal as it may have been. Its attempt has begun, so that it needs an end: the kernel
 * has its transaction, or after a reboot the files decide. Without its grant the policy is not
 * known, and a change that is not confirmed goes back.
 */
static void take_up_lost(struct agent *a)
{
	struct doc_journal *j = &a->journal;

	*j = (struct doc_journal){
		.attempt = a->status.attempt, .generation = a->status.generation, .hooked = true,
	};
	memcpy(j->rollout, a->status.rollout, sizeof(j->rollout));
	memcpy(j->boot, a->status.boot, sizeof(j->boot));
	agent_explain(a, "the agent's journal was lost in the middle of it");
	if (a->grant_known && a->grant.attempt == j->attempt &&
	    !strcmp(a->grant.rollout, j->rollout) && !strcmp(a->grant.machine, a->machine)) {
		memcpy(j->policy, a->grant.policy, sizeof(j->policy));
		j->confirm_timeout = a->grant.confirm_timeout;
	}
	save(a, JOURNAL_APPLY, LOOK_APPLIED);
}

/* Whether there is something to do. */
static void look_at_grant(struct agent *a, const struct agent_result *result)
{
	bool again;

	if (!take_grant(a, result)) {
		pause_for(a, RETRY_MS, RESUME);
		return;
	}
	if (is_journal_lost(a)) {
		take_up_lost(a);
		return;
	}
	/* Taken, and not begun as far as is known: the attempt may still be used. */
	again = a->journal.phase != JOURNAL_IDLE && grant_holds(a);
	if (a->grant_known && a->grant.live && !strcmp(a->grant.machine, a->machine) &&
	    a->grant.attempt > a->status.attempt &&
	    (again || a->grant.attempt > a->journal.attempt)) {
		a->journal.attempt = a->grant.attempt;
		memcpy(a->journal.rollout, a->grant.rollout, sizeof(a->grant.rollout));
		memcpy(a->journal.policy, a->grant.policy, sizeof(a->grant.policy));
		memcpy(a->journal.boot, a->boot, sizeof(a->boot));
		a->journal.generation = a->grant.generation;
		a->journal.confirm_timeout = a->grant.confirm_timeout;
		a->journal.why[0] = '\0';
		if (!again) {
			a->journal.phase = JOURNAL_PLAN;
			a->tries = 0;
			a->blocked_at = -1;
		}
		a->state = PLAN;
		return;
	}
	/* It was prepared for an attempt that does not begin. */
	if (a->journal.hooked) {
		a->state = POST;
		return;
	}
	a->tries = 0;
	if (a->want_report)
		a->state = REPORT;
	else
		pause_for(a, POLL_MS, RESUME);
}

static void planned(struct agent *a, const struct agent_result *result, int64_t now)
{
	switch (result->code) {
	case PLAN_CHANGES:
		a->tries = 0;
		a->journal.hooked = true;
		save(a, JOURNAL_BEGIN, PRE);
		break;
	case PLAN_BLOCKED:
		if (a->blocked_at < 0)
			a->blocked_at = now;
		if (now - a->blocked_at >= BLOCKED_MS) {
			end(a, END_REFUSED);
			break;
		}
		retry(a);
		break;
	case PLAN_AGAIN:
		retry(a);
		break;
	default:
		end(a, result->code == PLAN_NOTHING ? END_NOTHING : END_REFUSED);
	}
}

static void applied(struct agent *a, const struct agent_result *result)
{
	static const enum doc_end ends[] = {
		[APPLIED_NOTHING] = END_NOTHING, [APPLIED_REFUSED] = END_REFUSED,
		[APPLIED_REVERTED] = END_REVERTED, [APPLIED_FAILED] = END_FAILED,
	};

	a->just_applied = result->code == APPLIED_UNCONFIRMED;
	if (a->just_applied || result->code == APPLIED_UNKNOWN)
		a->state = LOOK_APPLIED;
	else
		end(a, ends[result->code]);
}

/* How much time the kernel leaves, before each proof. */
static void looked_at_time(struct agent *a, const struct agent_result *result)
{
	a->limit_ms = result->remaining_ms - LAST_PROOF_MS + 1;
	if (result->code != TXN_UNCONFIRMED)
		looked(a, result);
	else if (result->remaining_ms < LAST_PROOF_MS)
		roll_back(a, "store unreachable: nothing was proven before the timer's end");
	else if (!a->status_known)
		a->state = READ_STATUS;
	else if (!a->grant_known)
		a->state = READ_GRANT_ANEW;
	else if (!grant_holds(a))
		roll_back(a, "the grant was taken back before it was confirmed");
	else
		a->state = PROVE;
}

static void wrote(struct agent *a, const struct agent_result *result)
{
	char why[DOC_REASON_MAX];

	if (!result->store) {
		a->status_rev = result->item->rev;
		doc_status_parse(&a->status, result->item->value, result->item->size, why);
	} else if (result->store != STORE_UNREACHABLE) {
		/* Grant or status are not as they were, or may not be. */
		a->status_known = a->grant_known = false;
	}
}

static void reported(struct agent *a, const struct agent_result *result)
{
	wrote(a, result);
	a->want_report = result->store;
	pause_for(a, result->store ? RETRY_MS : a->tries ? retry_ms(a) : POLL_MS, RESUME);
}

static void began(struct agent *a, const struct agent_result *result)
{
	wrote(a, result);
	if (!result->store)
		save(a, JOURNAL_APPLY, APPLY);
	else
		pause_for(a, result->store == STORE_CONFLICT ? 0 : RETRY_MS, RESUME);
}

static void proved(struct agent *a, const struct agent_result *result, int64_t now)
{
	wrote(a, result);
	if (!result->store) {
		a->proven_at = now - result->age_ms;
		save(a, JOURNAL_CONFIRM, CONFIRM);
	} else {
		/* "halt --now" is heard even where a proof cannot be had. */
		pause_for(a, result->store == STORE_CONFLICT ? 0 : RETRY_MS, READ_GRANT_ANEW);
	}
}

static void confirmed(struct agent *a, const struct agent_result *result)
{
	if (result->code == CONFIRM_KEPT)
		end(a, END_DONE);
	else if (a->state == INSTALL)
		retry(a);
	else
		pause_for(a, RETRY_MS, result->code == CONFIRM_AGAIN ? LOOK_TIME : LOOK_APPLIED);
}

static void published(struct agent *a, const struct agent_result *result)
{
	wrote(a, result);
	if (!result->store)
		save(a, JOURNAL_IDLE, RESUME);
	else
		pause_for(a, RETRY_MS, PUBLISH);
}

void agent_done(struct agent *a, const struct agent_action *action,
		const struct agent_result *result, int64_t now)
{
	(void)action;
	switch (a->state) {
	case READ_STATUS:
		take_status(a, result);
		break;
	case READ_GRANT:
		look_at_grant(a, result);
		break;
	case REPORT:
		reported(a, result);
		break;
	case PLAN:
		planned(a, result, now);
		break;
	case SAVE:
		a->state = a->after_save;
		break;
	case PRE:
		if (result->code)
			a->state = BEGIN;
		else
			end(a, END_REFUSED);
		break;
	case POST:
		a->journal.hooked = false;
		save(a, a->journal.phase, RESUME);
		break;
	case BEGIN:
		began(a, result);
		break;
	case APPLY:
		applied(a, result);
		break;
	case LOOK_APPLIED:
		looked(a, result);
		break;
	case PROBE:
		a->state = LOOK_TIME;
		if (!result->code)
			roll_back(a, "a probe says no");
		break;
	case LOOK_TIME:
		looked_at_time(a, result);
		break;
	case READ_GRANT_ANEW:
		if (take_grant(a, result) && !grant_holds(a))
			roll_back(a, "the grant was taken back before it was confirmed");
		else
			pause_for(a, a->grant_known ? 0 : RETRY_MS, LOOK_TIME);
		break;
	case PROVE:
		proved(a, result, now);
		break;
	case CONFIRM:
	case INSTALL:
		confirmed(a, result);
		break;
	case ROLLBACK:
		if (result->code)
			a->state = LOOK_APPLIED;
		else
			end(a, END_FAILED);
		break;
	case PUBLISH:
		published(a, result);
		break;
	case PAUSE:
	case RESUME:
		a->paused = true;
		break;
	}
}

static void status_key(const struct agent *a, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/status/%s/%s", a->prefix, a->pool, a->host);
}

static void grant_key(const struct agent *a, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/grant/%s/%s", a->prefix, a->pool, a->host);
}

static void get(struct agent_action *action, const char *what)
{
	action->what = AGENT_STORE;
	action->step.kind = STEP_GET;
	action->step.what = what;
}

static bool write_status(const struct agent *a, struct doc_status *status, const char *what,
			 struct agent_action *action)
{
	struct step *step = &action->step;

	memcpy(status->machine, a->machine, sizeof(a->machine));
	memcpy(status->boot, a->boot, sizeof(a->boot));
	status->seq = a->status.seq + 1;
	action->what = AGENT_STORE;
	step->kind = STEP_PUT;
	step->what = what;
	status_key(a, step->key);
	step->rev = a->status_rev;
	step->value = doc_status_print(status, a->facts);
	return step->value;
}

static bool put_status(const struct agent *a, enum doc_phase phase, const char *what,
		       struct agent_action *action)
{
	struct doc_status status = {
		.attempt = a->journal.attempt, .phase = phase,
		.generation = a->journal.generation,
		.end = phase == PHASE_ENDED ? a->journal.end : END_NONE,
	};

	memcpy(status.rollout, a->journal.rollout, sizeof(a->journal.rollout));
	if (phase != PHASE_ENDED) {
		grant_key(a, action->step.guard);
		action->step.guard_rev = a->grant_rev;
	}
	return write_status(a, &status, what, action);
}

/*
 * The status as it is but for the facts. Of another machine of this name the attempt alone
 * stays, so that no number comes twice. Where status and grant are older than the journal
 * the store went back in time, and learns from the status which numbers are used up.
 */
static bool put_report(const struct agent *a, struct agent_action *action)
{
	struct doc_status status = { .attempt = a->status.attempt };

	if (!strcmp(a->status.machine, a->machine))
		status = a->status;
	if (status.attempt < a->journal.attempt && a->grant.attempt < a->journal.attempt)
		status = (struct doc_status){
			.attempt = a->journal.attempt, .seq = a->status.seq,
		};
	status.policy_in_force[0] = '\0';
	return write_status(a, &status, "report", action);
}

/* The end was reported, or there is nothing left to report it for. */
static bool is_published(const struct agent *a)
{
	return (has_begun(a) && a->status.phase == PHASE_ENDED) ||
	       a->status.attempt > a->journal.attempt;
}

bool agent_next(struct agent *a, int64_t now, struct agent_action *action)
{
	*action = (struct agent_action){ .what = AGENT_WAIT };
again:
	switch (a->state) {
	case RESUME:
		resume(a);
		goto again;
	case PAUSE:
		if (a->pause_ms && !a->paused) {
			action->wait_ms = a->pause_ms;
			return true;
		}
		a->state = a->after_pause;
		goto again;
	case READ_STATUS:
		get(action, "read the own status");
		if (a->journal.phase == JOURNAL_APPLY || a->journal.phase == JOURNAL_CONFIRM)
			action->step.limit_ms = a->limit_ms;
		status_key(a, action->step.key);
		return true;
	case READ_GRANT:
	case READ_GRANT_ANEW:
		get(action, "read the grant");
		if (a->state == READ_GRANT_ANEW)
			action->step.limit_ms = a->limit_ms;
		grant_key(a, action->step.key);
		return true;
	case REPORT:
		return put_report(a, action);
	case PLAN:
		action->what = AGENT_PLAN;
		return true;
	case SAVE:
		action->what = AGENT_SAVE;
		return true;
	case PRE:
		action->what = AGENT_PRE;
		return true;
	case POST:
		action->what = AGENT_POST;
		return true;
	case BEGIN:
		return put_status(a, PHASE_CHANGING, "begin", action);
	case APPLY:
		action->what = AGENT_APPLY;
		return true;
	case LOOK_APPLIED:
	case LOOK_TIME:
		action->what = AGENT_LOOK;
		return true;
	case PROBE:
		action->what = AGENT_PROBE;
		return true;
	case PROVE:
		action->step.fresh = true;
		action->step.limit_ms = a->limit_ms;
		return put_status(a, PHASE_UNCONFIRMED, "prove", action);
	case CONFIRM:
		if (a->proven_at < 0 || now - a->proven_at > PROOF_GOOD_MS) {
			a->state = LOOK_TIME;
			goto again;
		}
		action->what = AGENT_CONFIRM;
		return true;
	case INSTALL:
		action->what = AGENT_CONFIRM;
		return true;
	case ROLLBACK:
		action->what = AGENT_ROLLBACK;
		return true;
	case PUBLISH:
		if (!a->status_known) {
			a->state = READ_STATUS;
			goto again;
		}
		if (is_published(a)) {
			save(a, JOURNAL_IDLE, RESUME);
			goto again;
		}
		return put_status(a, PHASE_ENDED, "report the end", action);
	}
	return false;
}
