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
 * no longer live without being revoked, the host may have.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator.h"
#include "doc.h"

struct host {
	char name[DOC_HOST_MAX + 1];
	struct doc_grant grant;
	struct doc_status status;
	int64_t grant_rev, status_rev;
	bool grant_bad, status_bad;	/* there, and not to be read */
	bool grant_dirty, status_dirty;	/* to be read before anything is decided on it */
	bool grant_read, status_read;	/* read for the slot that is about to be taken */
	int64_t changed;		/* when the status changed last, as far as seen */
	int64_t slot_attempt, slot_since;	/* the slot that was seen last, and when first */
	/* What the rollout as it was seen last has of it, so that it need not be looked for. */
	bool has_slot, given_up;
	long failures;
	unsigned char order[SHA256_DIGEST_LENGTH];
};

struct coordinator {
	char prefix[STEP_KEY_MAX / 2];
	char pool[64];
	int64_t lost_after_ms;
	struct doc_pool doc;
	int64_t pool_rev;
	bool pool_known;
	struct doc_rollout rollout;
	int64_t rollout_rev;
	bool rollout_known, rollout_bad;
	struct host **hosts;		/* by name */
	size_t count;
	int64_t soak_since;		/* -1: not soaking, as far as seen */
	char message[DOC_REASON_MAX + 64];
};

struct coordinator *coordinator_new(const struct coordinator_options *options)
{
	struct coordinator *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	snprintf(c->prefix, sizeof(c->prefix), "%s", options->prefix);
	snprintf(c->pool, sizeof(c->pool), "%s", options->pool);
	c->lost_after_ms = options->lost_after_ms;
	c->soak_since = -1;
	return c;
}

void coordinator_free(struct coordinator *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < c->count; i++)
		free(c->hosts[i]);
	free(c->hosts);
	doc_rollout_clear(&c->rollout);
	free(c);
}

const char *coordinator_message(const struct coordinator *c)
{
	return c->message;
}

/* Keys */

static void pool_key(const struct coordinator *c, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/pool/%s", c->prefix, c->pool);
}

static void rollout_key(const struct coordinator *c, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/rollout/%s/%s", c->prefix, c->pool, c->doc.rollout);
}

static void host_key(const struct coordinator *c, const char *kind, const char *host, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/%s/%s/%s", c->prefix, kind, c->pool, host);
}

/* The host of a key of this kind, or NULL. Other names could not be in a document. */
static const char *host_of(const struct coordinator *c, const char *kind, const char *key)
{
	char prefix[STEP_KEY_MAX];
	size_t length;

	host_key(c, kind, "", prefix);
	length = strlen(prefix);
	if (strncmp(key, prefix, length) || !doc_is_host(key + length))
		return NULL;
	return key + length;
}

/* Hosts */

static struct host *host_find(const struct coordinator *c, const char *name, size_t *place)
{
	size_t low = 0, high = c->count, mid;
	int order;

	while (low < high) {
		mid = low + (high - low) / 2;
		order = strcmp(c->hosts[mid]->name, name);
		if (!order)
			return c->hosts[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (place)
		*place = low;
	return NULL;
}

static struct host *host_get(struct coordinator *c, const char *name)
{
	struct host *host, **hosts;
	size_t place = 0;

	host = host_find(c, name, &place);
	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	hosts = realloc(c->hosts, (c->count + 1) * sizeof(struct host *));
	if (hosts)
		c->hosts = hosts;
	if (!host || !hosts) {
		free(host);
		return NULL;
	}
	snprintf(host->name, sizeof(host->name), "%s", name);
	memmove(&hosts[place + 1], &hosts[place], (c->count - place) * sizeof(struct host *));
	hosts[place] = host;
	c->count++;
	return host;
}

/* A place in the order of the rollout that no rack or naming scheme decides. */
static void host_order(const struct coordinator *c, struct host *host)
{
	char text[DOC_ID_MAX + DOC_MACHINE_MAX + 2];

	snprintf(text, sizeof(text), "%s %s", c->rollout.id, host->status.machine);
	SHA256((unsigned char *)text, strlen(text), host->order);
}

/* What is seen */

static void see_pool(struct coordinator *c, const struct store_item *item)
{
	struct doc_pool doc = { 0 };
	char why[DOC_REASON_MAX];

	if (c->pool_known && item->rev < c->pool_rev)
		return;
	if (item->value && !doc_pool_parse(&doc, item->value, item->size, why))
		snprintf(c->message, sizeof(c->message), "%.60s: %s", item->key, why);
	if (strcmp(doc.rollout, c->doc.rollout)) {
		doc_rollout_clear(&c->rollout);
		c->rollout_known = c->rollout_bad = false;
		c->rollout_rev = 0;
	}
	c->doc = doc;
	c->pool_rev = item->rev;
	c->pool_known = true;
}

static bool see_rollout(struct coordinator *c, const struct store_item *item, int64_t now)
{
	struct doc_rollout doc;
	char why[DOC_REASON_MAX];
	struct host *host;
	bool another;
	size_t i;

	if (item->rev < c->rollout_rev)
		return true;
	c->rollout_known = true;
	if (item->rev == c->rollout_rev && !c->rollout_bad && item->rev)
		return true;
	c->rollout_rev = item->rev;
	c->rollout_bad = true;
	snprintf(why, sizeof(why), "it does not exist");
	if (!item->value || !doc_rollout_parse(&doc, item->value, item->size, why)) {
		snprintf(c->message, sizeof(c->message), "%.60s: %s", item->key, why);
		return true;
	}
	c->rollout_bad = false;
	if (doc.state != STATE_SOAKING)
		c->soak_since = -1;
	else if (c->soak_since < 0 || doc.wave != c->rollout.wave)
		c->soak_since = now;
	another = strcmp(doc.id, c->rollout.id);
	doc_rollout_clear(&c->rollout);
	c->rollout = doc;
	for (i = 0; i < c->count; i++) {
		c->hosts[i]->has_slot = c->hosts[i]->given_up = false;
		c->hosts[i]->failures = 0;
		/* What was read for a slot was read for the rollout as it was. */
		c->hosts[i]->grant_read = c->hosts[i]->status_read = false;
		if (another)
			host_order(c, c->hosts[i]);
	}
	for (i = 0; i < doc.failure_count; i++) {
		host = host_get(c, doc.failures[i].host);
		if (!host)
			return false;
		host->failures++;
		host->given_up |= doc.failures[i].end == END_LOST;
	}
	for (i = 0; i < doc.changing_count; i++) {
		host = host_get(c, doc.changing[i].host);
		if (!host)
			return false;
		host->has_slot = true;
		if (host->slot_attempt == doc.changing[i].attempt)
			continue;
		host->slot_attempt = doc.changing[i].attempt;
		host->slot_since = now;
	}
	return true;
}

static void see_grant(struct coordinator *c, struct host *host, const struct store_item *item)
{
	char why[DOC_REASON_MAX];

	if (item->rev < host->grant_rev)
		return;
	host->grant_rev = item->rev;
	host->grant = (struct doc_grant){ 0 };
	host->grant_bad = item->value &&
			  !doc_grant_parse(&host->grant, item->value, item->size, why);
	if (host->grant_bad)
		snprintf(c->message, sizeof(c->message), "%.60s: %s", item->key, why);
}

static void see_status(struct coordinator *c, struct host *host, const struct store_item *item,
		       int64_t now)
{
	char why[DOC_REASON_MAX], machine[DOC_MACHINE_MAX + 1];

	if (item->rev < host->status_rev)
		return;
	if (item->rev != host->status_rev)
		host->changed = now;
	host->status_rev = item->rev;
	memcpy(machine, host->status.machine, sizeof(machine));
	host->status = (struct doc_status){ 0 };
	host->status_bad = item->value &&
			   !doc_status_parse(&host->status, item->value, item->size, why);
	if (host->status_bad)
		snprintf(c->message, sizeof(c->message), "%.60s: %s", item->key, why);
	if (strcmp(machine, host->status.machine))
		host_order(c, host);
}

bool coordinator_see(struct coordinator *c, const struct store_item *item, int64_t now)
{
	char key[STEP_KEY_MAX];
	struct host *host;
	const char *name;

	pool_key(c, key);
	if (!strcmp(item->key, key)) {
		see_pool(c, item);
		return true;
	}
	rollout_key(c, key);
	if (*c->doc.rollout && !strcmp(item->key, key))
		return see_rollout(c, item, now);
	name = host_of(c, "grant", item->key);
	if (name) {
		host = host_get(c, name);
		if (host)
			see_grant(c, host, item);
		return host;
	}
	name = host_of(c, "status", item->key);
	if (name) {
		host = host_get(c, name);
		if (host)
			see_status(c, host, item, now);
		return host;
	}
	return true;
}

/* Steps */

static bool step_get(struct step *step)
{
	step->kind = STEP_GET;
	step->what = "read";
	return true;
}

static bool copy_rollout(const struct doc_rollout *from, struct doc_rollout *to)
{
	size_t i;

	*to = *from;
	to->changing = NULL;
	to->failures = NULL;
	to->changing_count = to->failure_count = 0;
	for (i = 0; i < from->changing_count; i++) {
		if (!doc_slot_add(to, from->changing[i].host, from->changing[i].machine,
				  from->changing[i].attempt))
			goto no_memory;
		to->changing[i].lost = from->changing[i].lost;
	}
	for (i = 0; i < from->failure_count; i++) {
		if (!doc_failure_add(to, from->failures[i].host, from->failures[i].end))
			goto no_memory;
	}
	return true;

no_memory:
	doc_rollout_clear(to);
	return false;
}

/* Takes over @next. */
static bool put_rollout(struct coordinator *c, struct doc_rollout *next, const char *what,
			struct step *step)
{
	step->kind = STEP_PUT;
	rollout_key(c, step->key);
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
		.confirm_timeout = c->rollout.confirm_timeout,
	};

	memcpy(grant.rollout, c->rollout.id, sizeof(grant.rollout));
	memcpy(grant.policy, c->rollout.policy, sizeof(grant.policy));
	memcpy(grant.machine, slot->machine, sizeof(grant.machine));
	step->kind = STEP_PUT;
	host_key(c, "grant", host->name, step->key);
	step->rev = host->grant_rev;
	if (revoked) {
		host_key(c, "status", host->name, step->guard);
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

static bool not_begun(const struct doc_slot *slot, const struct host *host)
{
	return !host->status_bad && host->status.attempt < slot->attempt;
}

static bool granted(const struct doc_slot *slot, const struct host *host)
{
	return !host->grant_bad && host->grant.attempt == slot->attempt;
}

static bool is_canary(const struct doc_rollout *rollout)
{
	return rollout->wave == 0 && rollout->wave_count > 1;
}

static void halt(struct doc_rollout *rollout, const char *reason)
{
	rollout->state = STATE_HALTED;
	rollout->now = false;
	doc_audit_add(&rollout->audit, NULL, "coordinator", "halt", reason);
	snprintf(rollout->reason, sizeof(rollout->reason), "%s", reason);
}

/* The rules, in the same write as what they are about. */
static void judge(struct doc_rollout *rollout)
{
	char reason[DOC_REASON_MAX];
	long limit = is_canary(rollout) ? 1 : rollout->max_failures;

	if (rollout->state != STATE_RUNNING && rollout->state != STATE_SOAKING)
		return;
	if (rollout->leg_failures >= limit) {
		snprintf(reason, sizeof(reason), "%ld of the hosts failed", rollout->leg_failures);
		halt(rollout, reason);
	} else if (rollout->leg_lost >= rollout->max_lost) {
		snprintf(reason, sizeof(reason), "%ld of the hosts became silent",
			 rollout->leg_lost);
		halt(rollout, reason);
	}
}

/*
 * Slots that come back, and hosts that are lost or heard again. @changed: any of it. @next
 * is for doc_rollout_clear() in any case.
 */
static bool collect(struct coordinator *c, int64_t now, struct doc_rollout *next, bool *changed)
{
	const struct doc_slot *slot;
	const struct host *host;
	enum doc_end end;
	int64_t since;
	bool lost;
	size_t i;

	*changed = false;
	if (!copy_rollout(&c->rollout, next))
		return false;
	for (i = 0; i < c->rollout.changing_count; i++) {
		slot = &c->rollout.changing[i];
		host = host_find(c, slot->host, NULL);
		if (!host)
			continue;
		if (has_ended(c, slot, host)) {
			end = host->status.end;
			next->ended[end]++;
			if (end == END_REVERTED || end == END_FAILED) {
				next->leg_failures++;
				if (!doc_failure_add(next, slot->host, end))
					return false;
			}
			doc_slot_remove(next, slot->host);
			*changed = true;
			continue;
		}
		if (granted(slot, host) && host->grant.revoked) {
			doc_slot_remove(next, slot->host);
			*changed = true;
			continue;
		}
		since = host->changed > host->slot_since ? host->changed : host->slot_since;
		lost = now - since >= c->lost_after_ms;
		if (lost != slot->lost) {
			doc_slot_of(next, slot->host)->lost = lost;
			next->leg_lost += lost;
			*changed = true;
		}
	}
	judge(next);
	return true;
}

/* The grant of a slot: written, revoked or ended. @step stays as it is if there is nothing. */
static bool serve_slot(struct coordinator *c, const struct doc_slot *slot, struct step *step)
{
	const struct doc_rollout *r = &c->rollout;
	bool stopped = r->state == STATE_PAUSED || r->state == STATE_HALTED;
	struct host *host = host_find(c, slot->host, NULL);

	if (!host || host->grant_bad)
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

static bool is_candidate(const struct coordinator *c, const struct host *host)
{
	const struct doc_status *s = &host->status;

	if (!host->status_rev || !*s->machine || host->status_bad || host->grant_bad)
		return false;
	if (s->too_old || !doc_selects(c->rollout.selector, s->labels))
		return false;
	/* It says so itself, and there would be no number for the next one. */
	if (s->attempt >= DOC_ATTEMPT_MAX || host->grant.attempt >= DOC_ATTEMPT_MAX)
		return false;
	if (host->has_slot || host->given_up || host->failures >= c->rollout.attempts)
		return false;
	/* It is at an attempt that has no slot here: of a rollout before this one. */
	if (s->phase == PHASE_CHANGING || s->phase == PHASE_UNCONFIRMED)
		return false;
	return strcmp(s->rollout, c->rollout.id) || s->phase != PHASE_ENDED ||
	       s->end == END_REVERTED;
}

/* The first in the order of the rollout; linear in the number of hosts. */
static struct host *pick(const struct coordinator *c)
{
	struct host *best = NULL;
	size_t i;

	for (i = 0; i < c->count; i++) {
		if (is_candidate(c, c->hosts[i]) &&
		    (!best || memcmp(c->hosts[i]->order, best->order, sizeof(best->order)) < 0))
			best = c->hosts[i];
	}
	return best;
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
	return (hosts * -wave + 99) / 100;
}

static bool end_wave(struct coordinator *c, bool soaked, struct step *step)
{
	struct doc_rollout next;

	if (!copy_rollout(&c->rollout, &next))
		return false;
	if (next.wave + 1 == next.wave_count) {
		next.state = STATE_COMPLETE;
		return put_rollout(c, &next, "complete", step);
	}
	if (next.soak && !soaked) {
		next.state = STATE_SOAKING;
		return put_rollout(c, &next, "soak", step);
	}
	next.wave++;
	next.state = STATE_RUNNING;
	return put_rollout(c, &next, "next wave", step);
}

static bool take(struct coordinator *c, struct host *host, struct step *step)
{
	int64_t attempt = host->grant.attempt > host->status.attempt ?
			  host->grant.attempt : host->status.attempt;
	struct doc_rollout next;

	/* The attempt must be a new one: what was seen by a watch may be old. */
	if (!host->grant_read) {
		host_key(c, "grant", host->name, step->key);
		return step_get(step);
	}
	if (!host->status_read) {
		host_key(c, "status", host->name, step->key);
		return step_get(step);
	}
	host->grant_read = host->status_read = false;
	if (!copy_rollout(&c->rollout, &next) ||
	    !doc_slot_add(&next, host->name, host->status.machine, attempt + 1))
		return false;
	return put_rollout(c, &next, "take", step);
}

static bool run(struct coordinator *c, struct step *step)
{
	const struct doc_rollout *r = &c->rollout;
	struct doc_rollout next;
	struct host *host;
	long target;

	target = wave_target(c);
	host = pick(c);
	if (r->ended[END_DONE] >= target && r->wave + 1 < r->wave_count)
		return r->changing_count || end_wave(c, false, step);
	if (host) {
		if ((long)r->changing_count >= r->max_changing ||
		    (r->ended[END_DONE] + (long)r->changing_count >= target &&
		     r->wave + 1 < r->wave_count))
			return true;
		return take(c, host, step);
	}
	if (r->changing_count)
		return true;
	if (is_canary(r) && !r->ended[END_DONE] && !r->allow_empty_canary) {
		if (!copy_rollout(r, &next))
			return false;
		halt(&next, "no canary had anything to change");
		return put_rollout(c, &next, "halt", step);
	}
	return end_wave(c, false, step);
}

/* Reads what is not known, or was written with an answer that is not known. */
static bool read_first(struct coordinator *c, struct step *step)
{
	struct host *host;
	size_t i;

	if (!c->pool_known) {
		pool_key(c, step->key);
		return step_get(step);
	}
	if (*c->doc.rollout && !c->rollout_known) {
		rollout_key(c, step->key);
		return step_get(step);
	}
	for (i = 0; i < c->count; i++) {
		host = c->hosts[i];
		if (!host->grant_dirty && !host->status_dirty)
			continue;
		host_key(c, host->grant_dirty ? "grant" : "status", host->name, step->key);
		return step_get(step);
	}
	return true;
}

bool coordinator_next(struct coordinator *c, int64_t now, struct step *step)
{
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
		return put_rollout(c, &next, "collect", step);
	doc_rollout_clear(&next);
	for (i = 0; i < c->rollout.changing_count; i++) {
		if (!serve_slot(c, &c->rollout.changing[i], step))
			return false;
		if (step->kind != STEP_WAIT)
			return true;
	}
	/* Until the first of them may be lost. */
	if (c->rollout.changing_count)
		step->wait_ms = c->lost_after_ms < 60000 ? c->lost_after_ms : 60000;
	if (c->rollout.state == STATE_RUNNING)
		return run(c, step);
	if (c->rollout.state == STATE_SOAKING) {
		int64_t left = c->soak_since + c->rollout.soak * 1000 - now;

		if (left <= 0)
			return end_wave(c, true, step);
		if (left < step->wait_ms)
			step->wait_ms = left;
	}
	return true;
}

/* A key is to be read again before anything is decided on it. */
static void forget(struct coordinator *c, const char *key)
{
	char name[STEP_KEY_MAX];
	struct host *host;
	const char *h;

	pool_key(c, name);
	if (!strcmp(key, name))
		c->pool_known = false;
	rollout_key(c, name);
	if (!strcmp(key, name))
		c->rollout_known = false;
	h = host_of(c, "grant", key);
	host = h ? host_find(c, h, NULL) : NULL;
	if (host)
		host->grant_dirty = true;
	h = host_of(c, "status", key);
	host = h ? host_find(c, h, NULL) : NULL;
	if (host)
		host->status_dirty = true;
}

bool coordinator_done(struct coordinator *c, const struct step *step, enum store_result result,
		      const struct store_item *item, int64_t now)
{
	struct host *host;
	const char *h;

	if (result) {
		if (step->kind == STEP_PUT && result != STORE_UNREACHABLE) {
			forget(c, step->key);
			if (*step->guard)
				forget(c, step->guard);
		}
		return true;
	}
	if (!coordinator_see(c, item, now))
		return false;
	if (step->kind != STEP_GET)
		return true;
	h = host_of(c, "grant", step->key);
	host = h ? host_find(c, h, NULL) : NULL;
	if (host) {
		host->grant_dirty = false;
		host->grant_read = true;
	}
	h = host_of(c, "status", step->key);
	host = h ? host_find(c, h, NULL) : NULL;
	if (host) {
		host->status_dirty = false;
		host->status_read = true;
	}
	return true;
}
