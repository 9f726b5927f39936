// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The store in memory: a sorted array of keys, and a log of all writes for watches.
 * A watch is a place in the log.
 */
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "memory.h"

struct lease {
	struct lease *next;
	char *key;
	int64_t rev;		/* of the write that took the lead */
	int64_t ttl_ms, left_ms;
};

struct store_memory {
	unsigned int refs;
	int64_t rev, compacted;
	struct store_list keys;	/* sorted */
	struct store_list log;	/* of revisions above compacted, in their order */
	struct lease *leases;
};

struct memory {
	struct store store;
	struct store_memory *m;
};

struct memory_watch {
	struct store_watch watch;
	struct store_memory *m;
	char *prefix;
	bool exact;
	int64_t next;		/* revision */
};

struct memory_lead {
	struct store_lead lead;
	struct memory *memory;
	char *key;
	int64_t rev;
};

struct store_memory *store_memory_new(void)
{
	struct store_memory *m = calloc(1, sizeof(*m));

	if (m) {
		m->refs = 1;
		m->rev = 1;	/* as a new etcd */
	}
	return m;
}

static void lease_free(struct lease *lease)
{
	free(lease->key);
	free(lease);
}

void store_memory_unref(struct store_memory *m)
{
	struct lease *lease;

	if (!m || --m->refs)
		return;
	while ((lease = m->leases)) {
		m->leases = lease->next;
		lease_free(lease);
	}
	store_list_clear(&m->keys);
	store_list_clear(&m->log);
	free(m);
}

/* Where @key is, or where it belongs. */
static size_t place(const struct store_memory *m, const char *key, bool *found)
{
	size_t low = 0, high = m->keys.count, mid;
	int c;

	*found = false;
	while (low < high) {
		mid = low + (high - low) / 2;
		c = strcmp(m->keys.items[mid].key, key);
		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct store_item *find(const struct store_memory *m, const char *key)
{
	bool found;
	size_t i = place(m, key, &found);

	return found ? &m->keys.items[i] : NULL;
}

static int64_t rev_of(const struct store_memory *m, const char *key)
{
	const struct store_item *item = find(m, key);

	return item ? item->rev : 0;
}

static bool copy(struct store_item *to, const struct store_item *from)
{
	return store_item_set(to, from->key, strlen(from->key), from->value, from->size, from->rev);
}

/* Writes, or deletes where there is no value, as the next revision. */
static bool change(struct store_memory *m, const char *key, const void *value, size_t size)
{
	struct store_item logged, kept = { 0 };
	struct store_item *end;
	size_t i, rest;
	bool found;

	if (!store_item_set(&logged, key, strlen(key), value, size, m->rev + 1))
		return false;
	if (value && !copy(&kept, &logged))
		goto no_memory;
	i = place(m, key, &found);
	if (value && !found) {
		if (!store_list_add(&m->keys))
			goto no_memory;
		rest = m->keys.count - 1 - i;
		memmove(&m->keys.items[i + 1], &m->keys.items[i], rest * sizeof(kept));
		m->keys.items[i] = (struct store_item){ 0 };
	}
	end = store_list_add(&m->log);
	if (!end)
		abort();	/* tests only: the key above cannot be taken back */
	*end = logged;
	m->rev++;
	if (value) {
		store_item_clear(&m->keys.items[i]);
		m->keys.items[i] = kept;
	} else if (found) {
		store_item_clear(&m->keys.items[i]);
		rest = m->keys.count - 1 - i;
		memmove(&m->keys.items[i], &m->keys.items[i + 1], rest * sizeof(kept));
		m->keys.items[--m->keys.count] = (struct store_item){ 0 };
	}
	return true;

no_memory:
	store_item_clear(&logged);
	store_item_clear(&kept);
	return false;
}

void store_memory_compact(struct store_memory *m, int64_t rev)
{
	size_t i, n = 0;

	while (n < m->log.count && m->log.items[n].rev <= rev)
		store_item_clear(&m->log.items[n++]);
	m->compacted = rev;
	if (!n)
		return;
	/* A new list, as room is a matter of its count. */
	struct store_list rest = { 0 };

	for (i = n; i < m->log.count; i++) {
		struct store_item *item = store_list_add(&rest);

		if (!item)
			abort();
		*item = m->log.items[i];
	}
	free(m->log.items);
	m->log = rest;
}

void store_memory_pass(struct store_memory *m, int64_t ms)
{
	struct lease **p = &m->leases, *lease;

	while ((lease = *p)) {
		lease->left_ms -= ms;
		if (lease->left_ms > 0) {
			p = &lease->next;
			continue;
		}
		*p = lease->next;
		if (rev_of(m, lease->key) == lease->rev && !change(m, lease->key, NULL, 0))
			abort();
		lease_free(lease);
	}
}

static struct store_memory *contents(struct store *store)
{
	return ((struct memory *)store)->m;
}

/* Notes how far the store was seen to be. */
static enum store_result seen(struct store *store)
{
	store->cluster = 1;
	store->rev = contents(store)->rev;
	return STORE_OK;
}

static void memory_free(struct store *store)
{
	store_memory_unref(contents(store));
	free(store);
}

static enum store_result memory_get(struct store *store, const char *key, struct store_item *item)
{
	const struct store_item *there = find(contents(store), key);
	bool ok;

	if (there)
		ok = copy(item, there);
	else
		ok = store_item_set(item, key, strlen(key), NULL, 0, 0);
	return ok ? seen(store) : STORE_NOMEM;
}

static enum store_result memory_list(struct store *store, const char *prefix,
				     struct store_list *list)
{
	const struct store_memory *m = contents(store);
	size_t i, length = strlen(prefix);
	struct store_item *item;
	bool found;

	list->rev = m->rev;
	for (i = place(m, prefix, &found); i < m->keys.count; i++) {
		if (strncmp(m->keys.items[i].key, prefix, length))
			break;
		item = store_list_add(list);
		if (!item || !copy(item, &m->keys.items[i]))
			return STORE_NOMEM;
	}
	return seen(store);
}

static enum store_result memory_put(struct store *store, const struct store_put *put, int64_t *rev)
{
	struct store_memory *m = contents(store);

	if ((put->rev != STORE_ANY && rev_of(m, put->key) != put->rev) ||
	    (put->guard && rev_of(m, put->guard) != put->guard_rev)) {
		seen(store);
		return store_fail(store, STORE_CONFLICT, "%s: it has changed", put->key);
	}
	if (!change(m, put->key, put->size ? put->value : "", put->size))
		return STORE_NOMEM;
	*rev = m->rev;
	return seen(store);
}

static enum store_result memory_delete(struct store *store, const char *key, int64_t rev)
{
	struct store_memory *m = contents(store);

	if (!rev || rev_of(m, key) != rev)
		return store_fail(store, STORE_CONFLICT, "%s: it has changed", key);
	if (!change(m, key, NULL, 0))
		return STORE_NOMEM;
	return seen(store);
}

static enum store_result memory_watch(struct store *store, const char *prefix, bool exact,
				      int64_t from, struct store_watch **watch)
{
	struct memory_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return STORE_NOMEM;
	w->prefix = strdup(prefix);
	if (!w->prefix) {
		free(w);
		return STORE_NOMEM;
	}
	w->watch.ops = store->ops;
	w->watch.alive = true;
	w->m = contents(store);
	w->m->refs++;
	w->exact = exact;
	w->next = from;
	*watch = &w->watch;
	return STORE_OK;
}

static enum store_result memory_watch_next(struct store_watch *watch, int timeout_ms,
					   struct store_item *item)
{
	struct memory_watch *w = (struct memory_watch *)watch;
	size_t i, low = 0, high = w->m->log.count;
	const struct store_item *event;

	(void)timeout_ms;	/* nothing happens while this thread waits */
	if (w->next <= w->m->compacted)
		return STORE_GONE;
	while (low < high) {
		i = low + (high - low) / 2;
		if (w->m->log.items[i].rev < w->next)
			low = i + 1;
		else
			high = i;
	}
	for (i = low; i < w->m->log.count; i++) {
		event = &w->m->log.items[i];
		w->next = event->rev + 1;
		if (w->exact ? strcmp(event->key, w->prefix) :
			       strncmp(event->key, w->prefix, strlen(w->prefix)))
			continue;
		return copy(item, event) ? STORE_OK : STORE_NOMEM;
	}
	return STORE_UNREACHABLE;
}

static void memory_watch_free(struct store_watch *watch)
{
	struct memory_watch *w = (struct memory_watch *)watch;

	store_memory_unref(w->m);
	free(w->prefix);
	free(w);
}

static enum store_result memory_lead(struct store *store, const char *key, const char *value,
				     int ttl, struct store_lead **lead)
{
	const struct store_put put = { .key = key, .value = value, .size = strlen(value) };
	struct memory_lead *l = calloc(1, sizeof(*l));
	struct lease *lease = calloc(1, sizeof(*lease));
	enum store_result result = STORE_NOMEM;

	if (!l || !lease)
		goto out;
	l->lead.ops = store->ops;
	l->memory = (struct memory *)store;
	l->key = strdup(key);
	lease->key = strdup(key);
	lease->ttl_ms = lease->left_ms = ttl * 1000LL;
	if (!l->key || !lease->key)
		goto out;
	result = memory_put(store, &put, &l->rev);
	if (result)
		goto out;
	lease->rev = l->rev;
	lease->next = contents(store)->leases;
	contents(store)->leases = lease;
	*lead = &l->lead;
	return STORE_OK;

out:
	if (l)
		free(l->key);
	free(l);
	if (lease)
		lease_free(lease);
	return result;
}

static struct lease **lease_of(struct memory_lead *l)
{
	struct lease **p = &l->memory->m->leases;

	while (*p && (*p)->rev != l->rev)
		p = &(*p)->next;
	return p;
}

static enum store_result memory_lead_keep(struct store_lead *lead)
{
	struct memory_lead *l = (struct memory_lead *)lead;
	struct lease *lease = *lease_of(l);

	if (!lease || rev_of(l->memory->m, l->key) != l->rev)
		return store_fail(&l->memory->store, STORE_ENDED, "%s: the lead is lost", l->key);
	lease->left_ms = lease->ttl_ms;
	return STORE_OK;
}

static enum store_result memory_lead_leave(struct store_lead *lead)
{
	struct memory_lead *l = (struct memory_lead *)lead;
	struct lease **p = lease_of(l), *lease = *p;

	if (lease) {
		*p = lease->next;
		lease_free(lease);
		if (rev_of(l->memory->m, l->key) == l->rev &&
		    !change(l->memory->m, l->key, NULL, 0))
			abort();
	}
	free(l->key);
	free(l);
	return STORE_OK;
}

static const struct store_ops memory_ops = {
	.free = memory_free,
	.get = memory_get,
	.list = memory_list,
	.put = memory_put,
	.delete = memory_delete,
	.watch = memory_watch,
	.watch_next = memory_watch_next,
	.watch_free = memory_watch_free,
	.lead = memory_lead,
	.lead_keep = memory_lead_keep,
	.lead_leave = memory_lead_leave,
};

struct store *store_memory_open(struct store_memory *m)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	memory->store.ops = &memory_ops;
	memory->m = m;
	m->refs++;
	return &memory->store;
}
