// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the coordinator knows of the store: hosts, and what was read or came by a watch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator-private.h"

struct coordinator *coordinator_new(const struct coordinator_options *options)
{
	struct coordinator *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	snprintf(c->prefix, sizeof(c->prefix), "%s", options->prefix);
	snprintf(c->pool, sizeof(c->pool), "%s", options->pool);
	c->lost_after_ms = options->lost_after_ms;
	c->has_before = options->has_before;
	c->has_after = options->has_after;
	c->soak_since = c->waits_since = -1;
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

void coordinator_at(struct coordinator *c, const char *at)
{
	snprintf(c->at, sizeof(c->at), "%s", at);
}

const struct doc_rollout *coordinator_rollout(const struct coordinator *c)
{
	return *c->rollout.id ? &c->rollout : NULL;
}

size_t coordinator_hosts(const struct coordinator *c, enum doc_phase phase)
{
	size_t i, n = 0;

	for (i = 0; i < c->count; i++)
		n += c->hosts[i]->status_rev && !c->hosts[i]->status_bad &&
		     c->hosts[i]->status.phase == phase;
	return n;
}

size_t coordinator_silent(const struct coordinator *c, int64_t now)
{
	size_t i, n = 0;

	for (i = 0; i < c->count; i++)
		n += c->hosts[i]->status_rev && !c->hosts[i]->status_bad &&
		     host_silent(c->hosts[i], now);
	return n;
}

const char *coordinator_message(const struct coordinator *c)
{
	return c->message;
}

void coordinator_say(struct coordinator *c, const char *key, const char *what, const char *why)
{
	snprintf(c->about, sizeof(c->about), "%s", key);
	snprintf(c->message, sizeof(c->message), "%.60s: %s", what, why);
}

/* There is another revision of it. */
static void say_no_more(struct coordinator *c, const char *key)
{
	if (!strcmp(key, c->about))
		c->message[0] = c->about[0] = '\0';
}

/* Keys */

void coordinator_pool_key(const struct coordinator *c, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/pool/%s", c->prefix, c->pool);
}

void coordinator_rollout_key(const struct coordinator *c, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/rollout/%s/%s", c->prefix, c->pool, c->doc.rollout);
}

void coordinator_key(const struct coordinator *c, const char *kind, const char *host, char *key)
{
	snprintf(key, STEP_KEY_MAX, "%s/%s/%s/%s", c->prefix, kind, c->pool, host);
}

/* The host of a key of this kind, or NULL. Other names could not be in a document. */
static const char *host_of(const struct coordinator *c, const char *kind, const char *key)
{
	char prefix[STEP_KEY_MAX];
	size_t length;

	coordinator_key(c, kind, "", prefix);
	length = strlen(prefix);
	if (strncmp(key, prefix, length) || !doc_is_host(key + length))
		return NULL;
	return key + length;
}

/* Hosts */

struct host *host_find(const struct coordinator *c, const char *name, size_t *place)
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

struct host *coordinator_host(const struct coordinator *c, const char *kind, const char *key)
{
	const char *name = host_of(c, kind, key);

	return name ? host_find(c, name, NULL) : NULL;
}

/* A place in the order of the rollout that no rack or naming scheme decides. */
static void host_order(const struct coordinator *c, struct host *host)
{
	char text[DOC_ID_MAX + DOC_MACHINE_MAX + 2];

	snprintf(text, sizeof(text), "%s %s", c->rollout.id, host->status.machine);
	SHA256((unsigned char *)text, strlen(text), host->order);
}

/* What is seen */

static void see_boot(struct host *host, const struct doc_status *was, int64_t now)
{
	if (!*was->boot || strcmp(was->machine, host->status.machine) ||
	    !strcmp(was->boot, host->status.boot))
		return;
	memmove(host->boots + 1, host->boots, sizeof(host->boots) - sizeof(*host->boots));
	host->boots[0] = now;
}

bool host_flaps(const struct host *host, int64_t now)
{
	int64_t first = host->boots[BOOTS_MAX - 1];

	return first && now - first < BOOTS_MS;
}

int64_t coordinator_lost_after(const struct coordinator *c)
{
	/* One that is cut off cannot be heard before. */
	int64_t back = (c->rollout.settle + c->rollout.confirm_timeout) * 1000LL + BACK_MS;

	return back > c->lost_after_ms ? back : c->lost_after_ms;
}

bool host_silent(const struct host *host, int64_t now)
{
	return now - host->reported > 3000LL * host->status.report_interval + SILENT_MS;
}

/* What came of a call counts for the hook that it was of. */
static void see_hooks(struct coordinator *c)
{
	const struct doc_hook *hook;
	struct host *host;
	size_t i;

	for (i = 0; i < c->count; i++) {
		host = c->hosts[i];
		if (!host->hook_serial)
			continue;
		hook = doc_hook_of(&c->rollout, host->name);
		if (hook && hook->serial == host->hook_serial)
			continue;
		host->hook_serial = 0;
		host->hook = HOOK_IDLE;
		host->hook_tries = 0;
		host->hook_at = 0;
	}
}

static void see_pool(struct coordinator *c, const struct store_item *item)
{
	char why[DOC_REASON_MAX], key[STEP_KEY_MAX];
	struct doc_pool doc = { 0 };

	if (c->pool_known && item->rev < c->pool_rev)
		return;
	say_no_more(c, item->key);
	if (item->value && !doc_pool_parse(&doc, item->value, item->size, why))
		coordinator_say(c, item->key, item->key, why);
	if (strcmp(doc.rollout, c->doc.rollout)) {
		coordinator_rollout_key(c, key);
		say_no_more(c, key);
		doc_rollout_clear(&c->rollout);
		c->rollout_known = c->rollout_bad = false;
		c->rollout_rev = 0;
	}
	c->doc = doc;
	c->pool_rev = item->rev;
	c->pool_known = true;
}

static void see_slot(const struct coordinator *c, struct host *host, const struct doc_slot *slot,
		     int64_t now)
{
	bool another = host->slot_attempt != slot->attempt;

	host->has_slot = true;
	host->slot_attempt = slot->attempt;
	if (slot->lost && (another || !host->slot_lost))
		/* It is, until it writes again, whatever the clock says here. */
		host->slot_since = now - coordinator_lost_after(c);
	else if (another)
		host->slot_since = now;
	host->slot_lost = slot->lost;
}

static bool see_rollout(struct coordinator *c, const struct store_item *item, int64_t now)
{
	struct doc_rollout doc;
	char why[DOC_REASON_MAX];
	struct host *host;
	bool another;
	size_t i;

	if (item->rev && item->rev < c->rollout_rev)
		return true;
	c->rollout_known = true;
	if (item->rev == c->rollout_rev && !c->rollout_bad && item->rev)
		return true;
	say_no_more(c, item->key);
	c->rollout_rev = item->rev;
	c->rollout_bad = true;
	snprintf(why, sizeof(why), "it does not exist");
	if (!item->value || !doc_rollout_parse(&doc, item->value, item->size, why)) {
		coordinator_say(c, item->key, item->key, why);
		return true;
	}
	c->rollout_bad = false;
	if (doc.state != STATE_SOAKING)
		c->soak_since = -1;
	else if (c->soak_since < 0 || doc.wave != c->rollout.wave)
		c->soak_since = now;
	another = strcmp(doc.id, c->rollout.id);
	if (another)
		c->waits_since = -1;
	doc_rollout_clear(&c->rollout);
	c->rollout = doc;
	see_hooks(c);
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
		host->failures += doc.failures[i].attempts;
		host->given_up |= doc.failures[i].end == END_LOST ||
				  (doc.failures[i].end == END_REFUSED && !doc.failures[i].earlier);
	}
	for (i = 0; i < doc.hook_count; i++) {
		host = host_get(c, doc.hooks[i].host);
		if (!host)
			return false;
		host->has_slot = true;
	}
	for (i = 0; i < doc.changing_count; i++) {
		host = host_get(c, doc.changing[i].host);
		if (!host)
			return false;
		see_slot(c, host, &doc.changing[i], now);
	}
	return true;
}

/* Older than what was seen. That there is no such key was read now. */
static bool is_old(const struct store_item *item, int64_t *seen)
{
	if (item->rev && item->rev < *seen)
		return true;
	if (item->rev)
		*seen = item->rev;
	return false;
}

static void see_grant(struct coordinator *c, struct host *host, const struct store_item *item)
{
	char why[DOC_REASON_MAX];

	if (is_old(item, &host->grant_seen))
		return;
	say_no_more(c, item->key);
	host->grant_rev = item->value ? item->rev : 0;
	host->grant = (struct doc_grant){ 0 };
	host->grant_bad = item->value &&
			  !doc_grant_parse(&host->grant, item->value, item->size, why);
	if (host->grant_bad)
		coordinator_say(c, item->key, item->key, why);
}

static void see_status(struct coordinator *c, struct host *host, const struct store_item *item,
		       int64_t now)
{
	int64_t rev = item->value ? item->rev : 0;
	struct doc_status was = host->status;
	const struct doc_slot *slot;
	char why[DOC_REASON_MAX];
	bool first = !host->status_seen;

	if (is_old(item, &host->status_seen))
		return;
	say_no_more(c, item->key);
	slot = host->has_slot ? doc_slot_of(&c->rollout, host->name) : NULL;
	host->status = (struct doc_status){ 0 };
	host->status_bad = item->value &&
			   !doc_status_parse(&host->status, item->value, item->size, why);
	if (host->status_bad)
		coordinator_say(c, item->key, item->key, why);
	if (rev != host->status_rev)
		host->reported = now;
	/*
	 * Another machine of this name says nothing of the one that has the slot; nor does what was
	 * there when this coordinator began.
	 */
	if (rev != host->status_rev && !first && slot &&
	    !strcmp(slot->machine, host->status.machine))
		host->slot_since = now;
	host->status_rev = rev;
	if (strcmp(was.machine, host->status.machine))
		host_order(c, host);
	see_boot(host, &was, now);
}

bool coordinator_see(struct coordinator *c, const struct store_item *item, int64_t now)
{
	char key[STEP_KEY_MAX];
	struct host *host;
	const char *name;

	coordinator_pool_key(c, key);
	if (!strcmp(item->key, key)) {
		see_pool(c, item);
		return true;
	}
	coordinator_rollout_key(c, key);
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

void coordinator_forget(struct coordinator *c, const char *key)
{
	char name[STEP_KEY_MAX];
	struct host *host;

	coordinator_pool_key(c, name);
	if (!strcmp(key, name))
		c->pool_known = false;
	coordinator_rollout_key(c, name);
	if (!strcmp(key, name))
		c->rollout_known = false;
	host = coordinator_host(c, "grant", key);
	if (host)
		host->grant_dirty = true;
	host = coordinator_host(c, "status", key);
	if (host)
		host->status_dirty = true;
}
