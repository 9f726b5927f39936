/* SPDX-License-Identifier: GPL-2.0 */
/* The journal of what was done, /var/lib/iommucfg/history. */
#ifndef IOMMUCFG_HISTORY_H
#define IOMMUCFG_HISTORY_H

#include "cli.h"

/* history-file.c */
int history_append(struct iommucfg *ctx, struct json_object *entry);
int history_import(struct iommucfg *ctx);
struct json_object *history_read(struct cli *cli);
long history_id(struct json_object *entry);

/* state.c: /var/lib/iommucfg itself */
int state_open(struct iommucfg *ctx, bool create);
int state_make_run(struct iommucfg *ctx);
char *state_read(int dirfd, const char *name, int *error);

/* record.c: what goes into it */
struct record;
struct record *record_begin(struct cli *cli, struct iommucfg_txn *txn);
void record_end(struct record *record, const char *name, const char *result, int code);
void record_other(struct cli *cli, const char *result, int code);
void record_run(struct run *run, const char *result, int code);

#endif
