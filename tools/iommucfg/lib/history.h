/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of what was done, /var/lib/iommucfg/history; for the library and the
 * command, not installed.
 */
#ifndef IOMMUCFG_HISTORY_H
#define IOMMUCFG_HISTORY_H

#include "iommucfg.h"

struct json_object;

/* history.c */
int history_begin(struct iommucfg *ctx, struct json_object *entry);
struct json_object *history_killed(struct iommucfg *ctx);
void history_drop(struct iommucfg *ctx, long id);
bool history_is_begun(struct iommucfg *ctx);
int history_append(struct iommucfg *ctx, struct json_object *entry);
/* What became of a transaction after its entry was written. */
struct history_end {
	const char *transaction, *result;
	int code;
};

int history_import(struct iommucfg *ctx, const struct history_end *end);
struct json_object *history_read(struct iommucfg *ctx, struct iommucfg_problems *problems);
struct json_object *history_last(struct iommucfg *ctx, const char *transaction);
long history_id(struct json_object *entry);
const char *history_text(struct json_object *o, const char *key);

/* record.c: what goes into it */

/* For whom an entry is written. */
struct recorder {
	struct iommucfg *ctx;
	struct iommucfg_problems *problems;	/* go into the entry; get what fails */
	char *const *command;			/* as it was given, ended by NULL */
	const char *action;
	long undoes;				/* an entry, or 0 */
};

struct record;
struct record *record_begin(const struct recorder *by, struct iommucfg_txn *txn, bool blocks);
long record_end(struct record *record, const char *name, const char *result, int code);
void record_drop(struct record *record);
long record_other(const struct recorder *by, const char *result, int code);
int record_plan_begin(const struct recorder *by, const struct iommucfg_plan *plan,
		      const char *transaction, long *id);
long record_plan_end(const struct recorder *by, const struct iommucfg_plan *plan,
		     const char *transaction, const char *result, int code, long id);
struct json_object *record_killed(const struct recorder *by);
void record_removed(const struct recorder *by, struct json_object *killed,
		    const char *transaction, enum iommucfg_state state);

/* journal.c */
void journal_entry(struct iommucfg *ctx, struct json_object *entry);

#endif
