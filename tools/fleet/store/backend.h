/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a backend of the store provides; store.c calls it. See store.h for what each does. */
#ifndef FLEET_STORE_BACKEND_H
#define FLEET_STORE_BACKEND_H

#include "store.h"

struct store_ops {
	void (*free)(struct store *store);
	enum store_result (*get)(struct store *store, const char *key, struct store_item *item);
	enum store_result (*list)(struct store *store, const char *prefix,
				  struct store_list *list);
	enum store_result (*put)(struct store *store, const struct store_put *put, int64_t *rev);
	enum store_result (*delete)(struct store *store, const char *key, int64_t rev);
	enum store_result (*watch)(struct store *store, const char *prefix, bool exact,
				   int64_t from, struct store_watch **watch);
	enum store_result (*watch_next)(struct store_watch *watch, int timeout_ms,
					struct store_item *item);
	void (*watch_free)(struct store_watch *watch);
	enum store_result (*lead)(struct store *store, const char *key, const char *value,
				  int ttl, struct store_lead **lead);
	enum store_result (*lead_keep)(struct store_lead *lead);
	enum store_result (*lead_leave)(struct store_lead *lead);
};

/* The first member of each backend's own struct. */
struct store {
	const struct store_ops *ops;
	uint64_t cluster;
	int64_t rev;
	int64_t limit_ms;	/* of each call; 0: none */
	char message[256];
};

struct store_watch {
	const struct store_ops *ops;
	bool alive;
	char message[256];
};

struct store_lead {
	const struct store_ops *ops;
};

/* Sets the message and returns @result. */
enum store_result store_fail(struct store *store, enum store_result result,
			     const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copies; false without memory. @value NULL: the key does not exist. */
bool store_item_set(struct store_item *item, const char *key, size_t key_size,
		    const void *value, size_t size, int64_t rev);

/* One more item at the end of @list, all zero; NULL without memory. */
struct store_item *store_list_add(struct store_list *list);

#endif
