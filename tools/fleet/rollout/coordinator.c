// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The coordinator's state machine.
 *
 * The rollout's list of slots ("changing") says which hosts may be changing: to take a slot
 * is one write that compares the rollout's revision, so there are never more than its
 * limit. The grant follows, and compares the revision that it had when the slot was seen;
 * else a coordinator that stood still in between could wake an old one. A slot comes back
 * when the host has reported its end, or by way of a revoked grant: revoked means that
 * grant and status were both as seen, and that the host had not begun. In a grant that is
 * no longer live without being revoked, the host may have. That is enough where a person
 * says that the host is off: it does not begin with such a grant when it comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator-private.h"

/* Steps */

static bool step_get(struct step *step)
{
	step->kind = STEP_GET;
	step->what = "read";
	return true;
}

/* Takes over @next. */
bool coordinator_put(struct coordinator *c, struct doc_rollout *next, const char *what,
		     struct step *step)
{
	step->kind = STEP_PUT;
	coordinator_rollout_key(c, step->key);
	step->rev = c->rollout_rev;
	step->value = doc_rollout_print(next);
	step->what = what;
	doc_rollout_clear(next);
	return step->value;
}

static bool put_grant(struct coordinator *c, const struct doc_slot *slot, const struct host *host,
		      bool live, bool revoked, const char *what, struct step *step)
{
	struct doc_grant grant = {
		.attempt = slot->attempt, .live = live, .revoked = revoked,
		.generation = c->rollout.generation,
		.confirm_timeout = c->rollout.confirm_timeout,
		.settle = c->rollout.settle,
	};

	memcpy(grant.rollout, c->rollout.id, sizeof(grant.rollout));
	memcpy(grant.policy, c->rollout.policy, sizeof(grant.policy));
	memcpy(grant.machine, slot->machine, sizeof(grant.machine));
	memcpy(grant.allow_in_use, c->rollout.allow_in_use, sizeof(grant.allow_in_use));
	step->kind = STEP_PUT;
	coordinator_key(c, "grant", host->name, step->key);
	step->rev = host->grant_rev;
	if (revoked) {
		coordinator_key(c, "status", host->name, step->guard);
		step->guard_rev = host->status_rev;
	}
	step->value = doc_grant_print(&grant);
	step->what = what;
	return step->value;
}

/* Where a host is with the attempt of its slot. A status from another machine says nothing. */
static bool same_attempt(const struct coordinator *c, const struct doc_slot *slot,
			 const struct host *host)
{
	return !host->status_bad && host->status.attempt == slot->attempt &&
	       !strcmp(host->status.machine, slot->machine) &&
	       !strcmp(host->status.rollout, c->rollout.id);
}

static bool has_ended(const struct coordinator *c, const struct doc_slot *slot,
		      const struct host *host)
{
	return same_attempt(c, slot, host) && host->status.phase == PHASE_ENDED;
}

/* A status that was deleted may have said that it has. */
static bool not_begun(const struct doc_slot *slot, const struct host *host)
{
	return host->status_rev && !host->status_bad && host->status.attempt < slot->attempt;
}

static bool granted(const struct doc_slot *slot, const struct host *host)
{
	return !host->grant_bad && host->grant.attempt == slot->attempt;
}

static bool is_revoked(const struct doc_slot *slot, const struct host *host)
{
	return granted(slot, host) && host->grant.revoked;
}

/* It has written of this attempt after a person said that it is off. */
static bool is_on(const struct coordinator *c, const struct doc_slot *slot,
		  const struct host *host)
{
	return same_attempt(c, slot, host) && host->status.seq != slot->seq;
}

/* The host cannot begin the attempt of its slot any more. */
static bool cannot_begin(const struct doc_slot *slot, const struct host *host)
{
	return !host->grant_bad && (host->grant.attempt > slot->attempt ||
				    (granted(slot, host) && !host->grant.live));
}

static bool is_canary(const struct doc_rollout *rollout)
{
	return rollout->wave == 0 && rollout->wave_count > 1;
}

static void halt(const struct coordinator *c, struct doc_rollout *rollout, const char *reason)
{
	struct doc_act act = { .who = "coordinator", .what = "halt", .to = "halted" };

	snprintf(act.from, sizeof(act.from), "%s", doc_state_name(rollout->state));
	memcpy(act.at, c->at, sizeof(act.at));
	snprintf(act.why, sizeof(act.why), "%s", reason);
	rollout->state = STATE_HALTED;
	rollout->now = false;
	doc_audit_add(&rollout->audit, &act);
	snprintf(rollout->reason, sizeof(rollout->reason), "%s", reason);
}

/* Whether the host has changed and is not as it is to be. */
static bool is_bad(enum doc_end end)
{
	return end == END_REVERTED || end == END_FAILED;
}

/* What the last of those that @failed, or refused, said, if it did. */
static const char *last_why(const struct doc_rollout *rollout, bool failed)
{
	const struct doc_failure *failure;
	size_t i = rollout->failure_count;

	while (i-- && !rollout->failures[i].earlier) {
		failure = &rollout->failures[i];
		if (failed ? is_bad(failure->end) : failure->end == END_REFUSED)
			return failure->why;
	}
	return "";
}

/* Whether a rule says that the rollout has to halt, and why. */
static bool must_halt(const struct doc_rollout *rollout, char reason[DOC_REASON_MAX])
{
	long limit = is_canary(rollout) ? 1 : rollout->max_failures;
	const char *why;

	if (rollout->state != STATE_RUNNING && rollout->state != STATE_SOAKING)
		return false;
	if (rollout->leg_failures >= limit) {
		why = last_why(rollout, true);
		snprintf(reason, DOC_REASON_MAX, "%ld of the hosts failed%s%s",
			 rollout->leg_failures, *why ? ": " : "", why);
		return true;
	}
	/* They are as they were; but it is the policy, or a hook, when so many do. */
	if (rollout->max_refused && rollout->leg_refused >= rollout->max_refused) {
		why = last_why(rollout, false);
		snprintf(reason, DOC_REASON_MAX, "%ld of the hosts refused%s%s",
			 rollout->leg_refused, *why ? ": " : "", why);
		return true;
	}
	snprintf(reason, DOC_REASON_MAX, "%ld of the hosts became silent", rollout->leg_lost);
	return rollout->leg_lost >= rollout->max_lost;
}

/* The rules, in the same write as what they are about. */
static void judge(const struct coordinator *c, struct doc_rollout *rollout)
{
	char reason[DOC_REASON_MAX];

	if (must_halt(rollout, reason))
		halt(c, rollout, reason);
}

/* An attempt that has ended, in the rollout that is written next. */
static bool count_end(const struct doc_slot *slot, const struct doc_status *status,
		      struct doc_rollout *next)
{
	const struct doc_failure *before = doc_failure_of(next, slot->host);
	enum doc_end end = status->end;
	bool bad = is_bad(end);

	next->ended[end]++;
	next->leg_refused += end == END_REFUSED;
	/* Its second attempt says no more of the policy. */
	next->leg_failures += bad && (!before || before->earlier);
	return (!bad && end != END_REFUSED) ||
	       doc_failure_add(next, slot->host, end, status->problem);
}

/* The slot is free again, and the host is to be put back into service. */
static bool give_back(const struct doc_slot *slot, enum doc_end end, struct doc_rollout *next)
{
	doc_slot_remove(next, slot->host);
	return !slot->hooked || end == END_FAILED ||
	       doc_hook_add(next, slot->host, slot->machine, true, end);
}

/*
 * Slots that come back, and hosts that are lost or heard again. @changed: any of it. @next
 * is for doc_rollout_clear() in any case.
 */
static bool collect(struct coordinator *c, int64_t now, struct doc_rollout *next, bool *changed)
{
	const struct doc_slot *slot;
	const struct host *host;
	int64_t lost_after = coordinator_lost_after(c);
	bool lost, ended, forgotten, on, ok;
	size_t i;

	*changed = false;
	*next = (struct doc_rollout){ 0 };
	for (i = 0; i < c->rollout.changing_count; i++) {
		slot = &c->rollout.changing[i];
		host = host_find(c, slot->host, NULL);
		if (!host)
			continue;
		ended = has_ended(c, slot, host);
		lost = now - host->slot_since >= lost_after;
		on = slot->forgotten && is_on(c, slot, host);
		forgotten = slot->forgotten && !on && cannot_begin(slot, host);
		if (!ended && !on && !forgotten && !is_revoked(slot, host) && lost == slot->lost)
			continue;
		/* Mostly there is nothing; a long list is not copied for that. */
		if (!*changed && !doc_rollout_copy(next, &c->rollout))
			return false;
		*changed = true;
		if (ended) {
			ok = count_end(slot, &host->status, next) &&
			     give_back(slot, host->status.end, next);
		} else if (forgotten) {
			next->ended[END_LOST]++;
			ok = doc_failure_add(next, slot->host, END_LOST, "");
			doc_slot_remove(next, slot->host);
		} else if (is_revoked(slot, host)) {
			ok = give_back(slot, END_NONE, next);
		} else {
			doc_slot_of(next, slot->host)->forgotten &= !on;
			doc_slot_of(next, slot->host)->lost = lost;
			next->leg_lost += lost && !slot->lost;
			ok = true;
		}
		if (!ok)
			return false;
	}
	if (*changed)
		judge(c, next);
	return true;
}

/* The grant of a slot: written, revoked or ended. @step stays as it is if there is nothing. */
static bool serve_slot(struct coordinator *c, const struct doc_slot *slot, struct step *step)
{
	const struct doc_rollout *r = &c->rollout;
	bool stopped = r->state == STATE_PAUSED || r->state == STATE_HALTED;
	struct host *host = host_find(c, slot->host, NULL);

	if (!host)
		return true;
	/* A grant that cannot be read is written over: no host acts on it. */
	if (slot->forgotten)
		return is_on(c, slot, host) || cannot_begin(slot, host) ||
		       put_grant(c, slot, host, false, not_begun(slot, host), "forget", step);
	if (host->grant_bad)
		return true;
	if (host->grant.attempt < slot->attempt) {
		/* Its writer has not come to it, or died. */
		if (!stopped)
			return put_grant(c, slot, host, true, false, "grant", step);
		if (not_begun(slot, host))
			return put_grant(c, slot, host, false, true, "revoke", step);
		return true;
	}
	if (!stopped || !r->now || !granted(slot, host) || host->grant.revoked)
		return true;
	if (not_begun(slot, host))
		return put_grant(c, slot, host, false, true, "revoke", step);
	if (r->state == STATE_HALTED && host->grant.live && same_attempt(c, slot, host))
		return put_grant(c, slot, host, false, false, "tell to roll back", step);
	return true;
}

/* Whether a host can be taken; of those that cannot, only some are missed in the end. */
enum fit {
	FIT, FIT_NOT,	/* not meant, at it, or over */
	FIT_UNREADABLE, FIT_OLD, FIT_MODULE, FIT_BUSY, FIT_SILENT, FIT_FLAPS,
	FITS
};

static const char *const fit_words[FITS] = {
	[FIT_UNREADABLE] = "unreadable", [FIT_OLD] = "with too old an agent",
	[FIT_MODULE] = "without the module", [FIT_BUSY] = "in the middle of another change",
	[FIT_SILENT] = "silent", [FIT_FLAPS] = "booted too often",
};

static enum fit fit_of(const struct coordinator *c, const struct host *host, int64_t now)
{
	const struct doc_status *s = &host->status;

	if (!host->status_rev || !doc_selects(c->rollout.selector, s->labels) ||
	    host->has_slot || host->given_up || host->failures >= c->rollout.attempts)
		return FIT_NOT;
	if (host->status_bad || host->grant_bad || !*s->machine)
		return FIT_UNREADABLE;
	/* How often is not known of one that has failed and was not listed. */
	if (!strcmp(s->rollout, c->rollout.id) && s->phase == PHASE_ENDED &&
	    ((s->end != END_REVERTED && s->end != END_REFUSED) || !host->failures))
		return FIT_NOT;
	/* It says so itself, and there would be no number for the next one. */
	if (s->attempt >= DOC_ATTEMPT_MAX || host->grant.attempt >= DOC_ATTEMPT_MAX)
		return FIT_UNREADABLE;
	if (host_silent(host, now))
		return FIT_SILENT;
	if (s->too_old)
		return FIT_OLD;
	if (s->no_module)
		return FIT_MODULE;
	/* It is at an attempt that has no slot here: of a rollout before this one. */
	if (s->phase == PHASE_CHANGING || s->phase == PHASE_UNCONFIRMED)
		return FIT_BUSY;
	return host_flaps(host, now) ? FIT_FLAPS : FIT;
}

static bool is_before(const struct host *one, const struct host *other)
{
	/* Second attempts come last. */
	if (one->failures != other->failures)
		return one->failures < other->failures;
	return memcmp(one->order, other->order, sizeof(one->order)) < 0;
}

/* The first in the order of the rollout, and how many there are of each kind. */
static struct host *pick(const struct coordinator *c, int64_t now, size_t fits[FITS])
{
	struct host *best = NULL;
	enum fit fit;
	size_t i;

	memset(fits, 0, FITS * sizeof(*fits));
	for (i = 0; i < c->count; i++) {
		fit = fit_of(c, c->hosts[i], now);
		fits[fit]++;
		if (fit == FIT && (!best || is_before(c->hosts[i], best)))
			best = c->hosts[i];
	}
	return best;
}

/* Those that were never asked, at the end of @reason. */
static void add_left_out(const size_t fits[FITS], char reason[DOC_REASON_MAX])
{
	const char *before = *reason ? "; left out: " : "left out: ";
	size_t length;
	enum fit fit;

	for (fit = FIT_UNREADABLE; fit < FITS; fit++) {
		if (!fits[fit])
			continue;
		length = strlen(reason);
		snprintf(reason + length, DOC_REASON_MAX - length, "%s%zu %s", before, fits[fit],
			 fit_words[fit]);
		before = ", ";
	}
}

/* How many hosts are done when the wave is over. */
static long wave_target(const struct coordinator *c)
{
	long wave = c->rollout.waves[c->rollout.wave];
	long hosts = 0;
	size_t i;

	if (wave > 0)
		return wave;
	for (i = 0; i < c->count; i++)
		hosts += c->hosts[i]->status_rev != 0 &&
			 doc_selects(c->rollout.selector, c->hosts[i]->status.labels);
	/* Of no host it is one, too: a wave without any is not over, and no canary has been well. */
	return hosts ? (hosts * -wave + 99) / 100 : 1;
}

static bool end_wave(struct coordinator *c, bool soaked, int64_t now, struct step *step)
{
	struct doc_rollout next;
	size_t fits[FITS];

	if (!doc_rollout_copy(&next, &c->rollout))
		return false;
	if (next.wave + 1 == next.wave_count) {
		next.state = STATE_COMPLETE;
		pick(c, now, fits);
		add_left_out(fits, next.reason);
		return coordinator_put(c, &next, "complete", step);
	}
	if (next.soak && !soaked) {
		next.state = STATE_SOAKING;
		return coordinator_put(c, &next, "soak", step);
	}
	next.wave++;
	next.state = STATE_RUNNING;
	return coordinator_put(c, &next, "next wave", step);
}

bool coordinator_take(struct coordinator *c, struct host *host, struct step *step)
{
	int64_t attempt = host->grant.attempt > host->status.attempt ?
			  host->grant.attempt : host->status.attempt;
	struct doc_rollout next;
	struct doc_slot *slot;

	/* The attempt must be a new one: what was seen by a watch may be old. */
	if (!host->grant_read) {
		coordinator_key(c, "grant", host->name, step->key);
		return step_get(step);
	}
	if (!host->status_read) {
		coordinator_key(c, "status", host->name, step->key);
		return step_get(step);
	}
	host->grant_read = host->status_read = false;
	if (!doc_rollout_copy(&next, &c->rollout))
		return false;
	doc_hook_remove(&next, host->name);
	slot = doc_slot_add(&next, host->name, host->status.machine, attempt + 1);
	if (!slot) {
		doc_rollout_clear(&next);
		return false;
	}
	slot->hooked = c->has_after;
	memcpy(slot->since, c->at, sizeof(slot->since));
	return coordinator_put(c, &next, "take", step);
}

/* For hosts that are only not taken just now; for ever would be too long. */
static bool waits(struct coordinator *c, int64_t now, struct step *step)
{
	int64_t left;

	if (c->waits_since < 0)
		c->waits_since = now;
	left = c->waits_since + BOOTS_MS - now;
	if (left > 0 && left < step->wait_ms)
		step->wait_ms = left;
	return left > 0;
}

static bool run(struct coordinator *c, int64_t now, struct step *step)
{
	const struct doc_rollout *r = &c->rollout;
	/* Hosts that are out of service for the rollout, and those of them that have an end to come. */
	long busy = r->changing_count + r->hook_count, coming = r->changing_count;
	long target = wave_target(c);
	bool last = r->wave + 1 == r->wave_count;
	struct doc_rollout next;
	size_t i, fits[FITS];
	struct host *host;
	char reason[DOC_REASON_MAX];

	for (i = 0; i < r->hook_count; i++)
		coming += !r->hooks[i].after;
	host = pick(c, now, fits);
	if (r->ended[END_DONE] >= target && !last)
		return busy || end_wave(c, false, now, step);
	if (host || busy)
		c->waits_since = -1;
	if (host) {
		if (busy >= r->max_changing || busy >= DOC_SLOTS_MAX ||
		    (r->ended[END_DONE] + coming >= target && !last))
			return true;
		return c->has_before ? coordinator_begin_hook(c, host, step) :
				       coordinator_take(c, host, step);
	}
	if (busy || (fits[FIT_FLAPS] && waits(c, now, step)))
		return true;
	if (is_canary(r) && !r->ended[END_DONE] && !r->allow_empty_canary) {
		if (!doc_rollout_copy(&next, r))
			return false;
		snprintf(reason, sizeof(reason), "no canary had anything to change%s%.80s",
			 r->leg_refused ? ": " : "", last_why(r, false));
		add_left_out(fits, reason);
		halt(c, &next, reason);
		return coordinator_put(c, &next, "halt", step);
	}
	return end_wave(c, false, now, step);
}

/* Reads what is not known, or was written with an answer that is not known. */
static bool read_first(struct coordinator *c, struct step *step)
{
	struct host *host;
	size_t i;

	if (!c->pool_known) {
		coordinator_pool_key(c, step->key);
		return step_get(step);
	}
	if (*c->doc.rollout && !c->rollout_known) {
		coordinator_rollout_key(c, step->key);
		return step_get(step);
	}
	for (i = 0; i < c->count; i++) {
		host = c->hosts[i];
		if (!host->grant_dirty && !host->status_dirty)
			continue;
		coordinator_key(c, host->grant_dirty ? "grant" : "status", host->name, step->key);
		return step_get(step);
	}
	return true;
}

bool coordinator_next(struct coordinator *c, int64_t now, struct step *step)
{
	int64_t lost_after = coordinator_lost_after(c);
	char reason[DOC_REASON_MAX];
	struct doc_rollout next;
	bool changed;
	size_t i;

	*step = (struct step){ .kind = STEP_WAIT, .wait_ms = 60000 };
	if (!read_first(c, step) || step->kind != STEP_WAIT)
		return step->kind != STEP_WAIT;
	if (!*c->doc.rollout || c->rollout_bad || c->rollout.state == STATE_COMPLETE ||
	    c->rollout.state == STATE_SUPERSEDED)
		return true;
	if (!collect(c, now, &next, &changed)) {
		doc_rollout_clear(&next);
		return false;
	}
	if (changed)
		return coordinator_put(c, &next, "collect", step);
	doc_rollout_clear(&next);
	/* What came while it was paused; before any grant. */
	if (must_halt(&c->rollout, reason)) {
		if (!doc_rollout_copy(&next, &c->rollout))
			return false;
		halt(c, &next, reason);
		return coordinator_put(c, &next, "halt", step);
	}
	for (i = 0; i < c->rollout.changing_count; i++) {
		if (!serve_slot(c, &c->rollout.changing[i], step))
			return false;
		if (step->kind != STEP_WAIT)
			return true;
	}
	if (!coordinator_hooks(c, now, step))
		return false;
	if (step->kind != STEP_WAIT)
		return true;
	/* Until the first of them may be lost. */
	if (c->rollout.changing_count)
		step->wait_ms = lost_after < 60000 ? lost_after : 60000;
	if (c->rollout.state == STATE_PLANNED) {
		if (!doc_rollout_copy(&next, &c->rollout))
			return false;
		next.state = STATE_RUNNING;
		return coordinator_put(c, &next, "begin", step);
	}
	if (c->doc.paused)
		return true;
	if (c->rollout.state == STATE_RUNNING)
		return run(c, now, step);
	if (c->rollout.state == STATE_SOAKING) {
		int64_t left = c->soak_since + c->rollout.soak * 1000 - now;

		if (left <= 0)
			return end_wave(c, true, now, step);
		if (left < step->wait_ms)
			step->wait_ms = left;
	}
	return true;
}

bool coordinator_halt(struct coordinator *c, const char *reason, struct step *step)
{
	enum doc_state state;
	struct doc_rollout next;

	*step = (struct step){ .kind = STEP_WAIT };
	if (!read_first(c, step) || step->kind != STEP_WAIT)
		return step->kind != STEP_WAIT;
	state = c->rollout.state;
	if (!*c->doc.rollout || c->rollout_bad || state == STATE_HALTED ||
	    state == STATE_COMPLETE || state == STATE_SUPERSEDED)
		return true;
	if (!doc_rollout_copy(&next, &c->rollout))
		return false;
	halt(c, &next, reason);
	return coordinator_put(c, &next, "halt", step);
}

bool coordinator_done(struct coordinator *c, const struct step *step, enum store_result result,
		      const struct store_item *item, int64_t now)
{
	struct host *host;

	if (step->kind == STEP_HOOK) {
		host = host_find(c, step->key, NULL);
		if (host) {
			host->hook_serial = step->rev;
			host->hook = HOOK_RUNS;
		}
		return true;
	}
	if (result) {
		if (step->kind == STEP_PUT && result != STORE_UNREACHABLE) {
			coordinator_forget(c, step->key);
			if (*step->guard)
				coordinator_forget(c, step->guard);
		}
		return true;
	}
	if (!coordinator_see(c, item, now))
		return false;
	if (step->kind != STEP_GET)
		return true;
	host = coordinator_host(c, "grant", step->key);
	if (host) {
		host->grant_dirty = false;
		host->grant_read = true;
	}
	host = coordinator_host(c, "status", step->key);
	if (host) {
		host->status_dirty = false;
		host->status_read = true;
	}
	return true;
}
