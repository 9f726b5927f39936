// SPDX-License-Identifier: LGPL-2.1-or-later
/* Transactions that hold up a change. */
#include <errno.h>

#include "txn.h"

static void add_pending(struct iommucfg_txn *txn, enum iommucfg_state state,
			enum iommucfg_severity severity, struct iommucfg_problems *problems)
{
	const char *name = iommucfg_txn_name(txn);
	char *more = iommucfg_txn_describe(txn);
	bool any = more && *more;

	iommucfg_problems_add(problems, severity, "transaction", EBUSY,
			      state == IOMMUCFG_STATE_FAILED ?
			      "transaction \"%s\" failed and could not be restored in full%s%s%s: see \"iommucfg status %s\", then \"iommucfg rollback %s\"" :
			      "transaction \"%s\" is unconfirmed%s%s%s: \"iommucfg confirm %s\" keeps it, \"iommucfg rollback %s\" undoes it",
			      name, any ? " (" : "", any ? more : "", any ? ")" : "", name, name);
	if (state == IOMMUCFG_STATE_FAILED)
		ic_problem_cure(problems, "transaction-failed", "iommucfg rollback %s", name);
	else
		ic_problem_cure(problems, "transaction-unconfirmed", "iommucfg confirm %s", name);
	free(more);
}

/* The state is read last: one that its own run confirms meanwhile is over. */
static bool is_undecided(struct iommucfg_txn *txn, bool judged)
{
	return (judged || !ic_txn_is_judged(txn)) &&
	       iommucfg_txn_state(txn) == IOMMUCFG_STATE_UNCONFIRMED;
}

/*
 * Transactions that have to be decided about first. @judged: also those that are unconfirmed
 * only until their verdict.
 */
int ic_txn_pending(struct iommucfg *ctx, enum iommucfg_severity severity, bool judged,
		   struct iommucfg_problems *problems)
{
	enum iommucfg_state state;
	struct iommucfg_txn *txn;
	int n, i, ret, found = 0;
	char **names;

	n = iommucfg_txn_list(ctx, &names);
	if (n < 0)
		return 0;
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(ctx, names[i], &txn))
			continue;
		ret = iommucfg_txn_read_state(txn, &state);
		if (ret) {
			found++;
			iommucfg_problems_add(problems, severity, "transaction", -ret,
					      "the state of transaction \"%s\" cannot be read, so there may be something to decide about it first: %s",
					      names[i], strerror(-ret));
			ic_problem_cure(problems, "state-unreadable", NULL);
		}
		if ((state == IOMMUCFG_STATE_UNCONFIRMED && is_undecided(txn, judged)) ||
		    state == IOMMUCFG_STATE_FAILED) {
			found++;
			add_pending(txn, state, severity, problems);
		}
		iommucfg_txn_unref(txn);
	}
	iommucfg_txn_list_free(names);
	return found;
}

int iommucfg_txn_pending(struct iommucfg *ctx, enum iommucfg_severity severity,
			 struct iommucfg_problems *problems)
{
	return ic_txn_pending(ctx, severity, true, problems);
}
