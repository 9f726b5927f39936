/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of the fleet: what coordinator, agent and command ask of it.
 *
 * A store maps keys to values. Each write gives the store a new revision, and the
 * key that was written has that revision from then on. A key that does not exist
 * has revision 0. Revisions only grow; what they are beyond that is the store's.
 *
 * Backends: memory.h (tests, simulator), etcd.h. A backend fills in struct store_ops
 * (backend.h); nothing outside of store/ knows which one it is.
 *
 * Each write names one key, the revision that this key must have, and at most one
 * other key with the revision that it must have ("guard"). That is all the fleet
 * needs, and it is what a store of objects with one resource version can do where
 * both keys are parts of one object.
 *
 * A call blocks until it has an answer or its time is over. One thread at a time may
 * use a store, its watches and its leads.
 */
#ifndef FLEET_STORE_H
#define FLEET_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum store_result - what a call came to
 * @STORE_OK: done
 * @STORE_CONFLICT: a key did not have the revision that was named; nothing was written
 * @STORE_UNKNOWN: no answer came; the write has been done, or not, or will be done
 *	later. Read the key to find out. Reads never return this.
 * @STORE_UNREACHABLE: nothing was done, no member of the store answered
 * @STORE_DENIED: nothing was done, this client may not do it
 * @STORE_REFUSED: nothing was done, the request is wrong or too large
 * @STORE_GONE: the history that a watch should resume from is no longer kept
 * @STORE_FOREIGN: the answer came from another store than the one known, or from an
 *	older state of it (restored from a backup). Only store_free() is left to call.
 * @STORE_ENDED: a lead is lost
 * @STORE_NOMEM: out of memory
 */
enum store_result {
	STORE_OK,
	STORE_CONFLICT,
	STORE_UNKNOWN,
	STORE_UNREACHABLE,
	STORE_DENIED,
	STORE_REFUSED,
	STORE_GONE,
	STORE_FOREIGN,
	STORE_ENDED,
	STORE_NOMEM,
};

/** store_result_name() - one word for a message */
const char *store_result_name(enum store_result result);

struct store;
struct store_watch;
struct store_lead;

/* The largest value that every backend takes: etcd's own limit for a request is 1.5 MiB. */
#define STORE_VALUE_MAX (1024 * 1024)

/**
 * struct store_item - a key with its value
 * @key: the key, freed by store_item_clear()
 * @value: @size bytes and a NUL behind them; NULL where the key does not exist
 * @rev: revision at which the value was written; 0 where the key does not exist. In
 *	an event of a key that was deleted: the revision of the deletion, with no value.
 */
struct store_item {
	char *key;
	char *value;
	size_t size;
	int64_t rev;
};

struct store_list {
	struct store_item *items;
	size_t count;
	int64_t rev;		/* of the store, when this was true */
};

/* Any revision, or none: the write is done whatever is there. */
#define STORE_ANY (-1)

/**
 * struct store_put - a write
 * @key, @value, @size: what is written
 * @rev: revision that @key must have; 0: it must not exist; or STORE_ANY
 * @guard: another key, or NULL
 * @guard_rev: revision that @guard must have; 0: it must not exist
 * @fresh: send it over a connection that is opened for this write and closed after it
 * @interface: network interface to send it through, or NULL; implies @fresh
 */
struct store_put {
	const char *key;
	const void *value;
	size_t size;
	int64_t rev;
	const char *guard;
	int64_t guard_rev;
	bool fresh;
	const char *interface;
};

void store_item_clear(struct store_item *item);
void store_list_clear(struct store_list *list);

/** store_free() - after its watches and leads */
void store_free(struct store *store);

/** store_message() - what was wrong with the last call that failed, one line */
const char *store_message(const struct store *store);

/**
 * store_identity() - which store this is, and how far it was seen to be
 * @cluster: a number that another store does not have; 0: not known yet
 * @rev: highest revision that was seen
 *
 * To be kept over a restart and given to the backend's open function, so that a store
 * which was replaced or went back in time is noticed.
 */
void store_identity(const struct store *store, uint64_t *cluster, int64_t *rev);

/**
 * store_set_limit() - calls end in time
 * @limit_ms: how long each read or write may take from now on, whatever is tried in it; 0:
 *	as long as the backend takes to try all that it can
 *
 * Return: what it was before.
 */
int64_t store_set_limit(struct store *store, int64_t limit_ms);

/**
 * store_get() - read one key
 *
 * What is read is the newest value: a write that was answered before the call is seen.
 * A key that does not exist is STORE_OK with revision 0.
 */
enum store_result store_get(struct store *store, const char *key, struct store_item *item);

/** store_list() - all keys with this prefix, in the order of their bytes, of one revision */
enum store_result store_list(struct store *store, const char *prefix, struct store_list *list);

/**
 * store_put() - write one key
 * @rev: gets the revision of the write; may be NULL
 *
 * The comparisons and the write are one step.
 */
enum store_result store_put(struct store *store, const struct store_put *put, int64_t *rev);

/** store_delete() - remove a key that has revision @rev */
enum store_result store_delete(struct store *store, const char *key, int64_t rev);

/**
 * store_watch() - follow the keys with a prefix
 * @from: first revision that is wanted: that of a list + 1
 * @exact: @prefix is one whole key
 *
 * Does not wait for the store.
 */
enum store_result store_watch(struct store *store, const char *prefix, bool exact, int64_t from,
			      struct store_watch **watch);

/**
 * store_watch_next() - the next event
 * @timeout_ms: how long to wait for one; 0: do not wait
 * @item: gets key, value and revision; see struct store_item for a deletion
 *
 * Events come in the order of their revisions. None is left out; one may come twice
 * after the connection broke. A broken connection is opened again, to another member
 * if need be, and the events since then follow.
 *
 * A connection over which nothing comes is not taken for one that works: the backend
 * checks by other means, as often as it was told when it was opened.
 *
 * Return: STORE_OK with an event; STORE_UNREACHABLE: none within the time, whatever the
 * reason, go on; STORE_GONE: close this, list, and watch anew; STORE_DENIED,
 * STORE_FOREIGN, STORE_NOMEM: nothing more will come.
 */
enum store_result store_watch_next(struct store_watch *watch, int timeout_ms,
				   struct store_item *item);

/** store_watch_alive() - whether the store was heard since the last broken connection */
bool store_watch_alive(const struct store_watch *watch);

/** store_watch_message() - what was wrong last, one line */
const char *store_watch_message(const struct store_watch *watch);

void store_watch_free(struct store_watch *watch);

/**
 * store_lead() - try to become the leader of a name
 * @key: key that exists while there is a leader
 * @value: what it says
 * @ttl: seconds after which a leader that is silent is none any more
 * @lead: gets what store_lead_keep() and store_lead_leave() take
 *
 * To lead saves work, it does not protect: a leader may learn too late that it is none.
 *
 * Return: STORE_CONFLICT where another one leads.
 */
enum store_result store_lead(struct store *store, const char *key, const char *value, int ttl,
			     struct store_lead **lead);

/**
 * store_lead_keep() - say that the leader is there; call it each @ttl / 3
 *
 * Return: STORE_ENDED where the lead is lost; others: not known, try again.
 */
enum store_result store_lead_keep(struct store_lead *lead);

/** store_lead_leave() - lead no longer; @lead is freed in any case. NULL: nothing */
enum store_result store_lead_leave(struct store_lead *lead);

#endif
