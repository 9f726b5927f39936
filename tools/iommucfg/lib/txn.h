/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IOMMUCFG_TXN_H
#define IOMMUCFG_TXN_H

#include "internal.h"

/* As a message has it. */
#define IC_TXN_NAMES	"1 to 64 of A-Z a-z 0-9 . _ -, not \"standing\", \"abi\" or \"generation\""

struct json_object;

struct iommucfg_txn {
	unsigned int refs;
	struct iommucfg *ctx;
	char *name;
	int fd;			/* its directory */
	int lock;		/* held by its maker while it is staged, or -1 */
};

#define OWN_PREFIX "iommucfg-"

/* txn.c */
enum iommucfg_disruption ic_txn_disruption(const struct iommucfg_txn *txn);
bool ic_txn_has_word(const struct iommucfg_txn *txn, const char *word);

/* txn-creator.c */
/* A transaction that is the part of a change. */
struct ic_part {
	const char *other;	/* name of the other part, or NULL: it is all of it */
	bool first;		/* is committed before it */
};

void ic_creator_write(struct iommucfg *ctx, const char *name, char *const *command,
		      const struct ic_part *part);
void ic_creator_set(struct iommucfg *ctx, const char *name, const char *key,
		    struct json_object *value);
struct json_object *ic_creator_read(const struct iommucfg_txn *txn);
void ic_creator_remove(struct iommucfg *ctx, const char *name);

/* run-self.c */
#define SELF_CONFIRMING	"self-confirming"

bool ic_txn_is_judged(struct iommucfg_txn *txn);
bool ic_txn_any_judged(struct iommucfg *ctx);

/* txn-pending.c */
int ic_txn_pending(struct iommucfg *ctx, enum iommucfg_severity severity, bool judged,
		   struct iommucfg_problems *problems);

/* txn-report.c */
int ic_report_lines(struct iommucfg_problems *problems, enum iommucfg_severity severity,
		    char *text, size_t from, bool *full);

#endif
