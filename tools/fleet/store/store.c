// SPDX-License-Identifier: LGPL-2.1-or-later
/* The store: calls go to the backend; items and lists. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

const char *store_result_name(enum store_result result)
{
	static const char *const names[] = {
		[STORE_OK] = "ok",
		[STORE_CONFLICT] = "conflict",
		[STORE_UNKNOWN] = "unknown",
		[STORE_UNREACHABLE] = "unreachable",
		[STORE_DENIED] = "denied",
		[STORE_REFUSED] = "refused",
		[STORE_GONE] = "gone",
		[STORE_FOREIGN] = "foreign",
		[STORE_ENDED] = "ended",
		[STORE_NOMEM] = "out-of-memory",
	};

	return names[result];
}

void store_item_clear(struct store_item *item)
{
	free(item->key);
	free(item->value);
	*item = (struct store_item){ 0 };
}

void store_list_clear(struct store_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		store_item_clear(&list->items[i]);
	free(list->items);
	*list = (struct store_list){ 0 };
}

struct store_item *store_list_add(struct store_list *list)
{
	struct store_item *items;

	/* Room for a power of two. */
	if (!(list->count & (list->count - 1))) {
		items = realloc(list->items, (list->count ? list->count * 2 : 1) * sizeof(*items));
		if (!items)
			return NULL;
		list->items = items;
	}
	list->items[list->count] = (struct store_item){ 0 };
	return &list->items[list->count++];
}

bool store_item_set(struct store_item *item, const char *key, size_t key_size,
		    const void *value, size_t size, int64_t rev)
{
	*item = (struct store_item){ .size = value ? size : 0, .rev = rev };
	/* Without a byte there may be no pointer, either. */
	item->key = key_size ? strndup(key, key_size) : strdup("");
	if (!item->key)
		return false;
	if (!value)
		return true;
	item->value = malloc(size + 1);
	if (!item->value) {
		store_item_clear(item);
		return false;
	}
	if (size)
		memcpy(item->value, value, size);
	item->value[size] = '\0';
	return true;
}

enum store_result store_fail(struct store *store, enum store_result result,
			     const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(store->message, sizeof(store->message), format, ap);
	va_end(ap);
	return result;
}

const char *store_message(const struct store *store)
{
	return store->message;
}

void store_identity(const struct store *store, uint64_t *cluster, int64_t *rev)
{
	*cluster = store->cluster;
	*rev = store->rev;
}

int64_t store_set_limit(struct store *store, int64_t limit_ms)
{
	int64_t was = store->limit_ms;

	store->limit_ms = limit_ms;
	return was;
}

void store_free(struct store *store)
{
	if (store)
		store->ops->free(store);
}

enum store_result store_get(struct store *store, const char *key, struct store_item *item)
{
	*item = (struct store_item){ 0 };
	return store->ops->get(store, key, item);
}

enum store_result store_list(struct store *store, const char *prefix, struct store_list *list)
{
	enum store_result result;

	*list = (struct store_list){ 0 };
	result = store->ops->list(store, prefix, list);
	if (result)
		store_list_clear(list);
	return result;
}

enum store_result store_put(struct store *store, const struct store_put *put, int64_t *rev)
{
	int64_t ignored;

	if (put->size > STORE_VALUE_MAX)
		return store_fail(store, STORE_REFUSED, "%s: a value of %zu bytes is too large",
				  put->key, put->size);
	return store->ops->put(store, put, rev ? rev : &ignored);
}

enum store_result store_delete(struct store *store, const char *key, int64_t rev)
{
	return store->ops->delete(store, key, rev);
}

enum store_result store_watch(struct store *store, const char *prefix, bool exact, int64_t from,
			      struct store_watch **watch)
{
	*watch = NULL;
	return store->ops->watch(store, prefix, exact, from, watch);
}

enum store_result store_watch_next(struct store_watch *watch, int timeout_ms,
				   struct store_item *item)
{
	*item = (struct store_item){ 0 };
	return watch->ops->watch_next(watch, timeout_ms, item);
}

bool store_watch_alive(const struct store_watch *watch)
{
	return watch->alive;
}

const char *store_watch_message(const struct store_watch *watch)
{
	return watch->message;
}

void store_watch_free(struct store_watch *watch)
{
	if (watch)
		watch->ops->watch_free(watch);
}

enum store_result store_lead(struct store *store, const char *key, const char *value, int ttl,
			     struct store_lead **lead)
{
	*lead = NULL;
	return store->ops->lead(store, key, value, ttl, lead);
}

enum store_result store_lead_keep(struct store_lead *lead)
{
	return lead->ops->lead_keep(lead);
}

enum store_result store_lead_leave(struct store_lead *lead)
{
	return lead ? lead->ops->lead_leave(lead) : STORE_OK;
}
