// SPDX-License-Identifier: LGPL-2.1-or-later
/* In which state the transaction of a run is, or both where it has two. */
#include <errno.h>
#include <string.h>

#include "run.h"

/* How long a state that cannot be read is tried again. */
#define STATE_SECONDS	5

/*
 * The state of a transaction; AGAIN where it cannot be read now. That may pass, as
 * -ENOMEM does; where it does not there is a problem, the state is UNKNOWN, and
 * must not be taken for gone.
 */
int ic_run_state_of(struct iommucfg_run *run, struct iommucfg_txn *txn,
		    enum iommucfg_state *state)
{
	int ret = iommucfg_txn_read_state(txn, state);
	const char *name = iommucfg_txn_name(txn);

	if (!ret) {
		run->unread = -1;
		return IOMMUCFG_RUN_DONE;
	}
	if (run->unread < 0)
		run->unread = ic_run_elapsed(run);
	if (!run->lost && ic_run_elapsed(run) - run->unread < STATE_SECONDS)
		return IOMMUCFG_RUN_AGAIN;
	if (!run->lost) {
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", -ret,
				      "the state of transaction \"%s\" cannot be read (%s), so whether its change stands is not known: see \"iommucfg status %s\"",
				      name, strerror(-ret), name);
		ic_problem_cure(run->problems, "state-unreadable", "iommucfg status %s", name);
	}
	run->lost = true;
	return IOMMUCFG_RUN_DONE;
}

/* Are two transactions committed, or was that begun, and is the second not given up? */
bool ic_run_is_split(const struct iommucfg_run *run)
{
	return run->second && run->working == run->second && !run->after;
}

/* Of two states the one that decides what is to be done. */
static int weight(enum iommucfg_state state)
{
	static const int weights[] = {
		[IOMMUCFG_STATE_GONE] = 0, [IOMMUCFG_STATE_STAGED] = 1,
		[IOMMUCFG_STATE_COMMITTED] = 2, [IOMMUCFG_STATE_ROLLED_BACK] = 3,
		[IOMMUCFG_STATE_UNCONFIRMED] = 4, [IOMMUCFG_STATE_COMMITTING] = 5,
		[IOMMUCFG_STATE_ROLLING_BACK] = 6, [IOMMUCFG_STATE_FAILED] = 7,
	};

	return (size_t)state < sizeof(weights) / sizeof(*weights) ? weights[state] : 8;
}

int ic_run_state(struct iommucfg_run *run, enum iommucfg_state *state)
{
	enum iommucfg_state second;
	int code = ic_run_state_of(run, run->txn, state);

	if (code || !ic_run_is_split(run))
		return code;
	code = ic_run_state_of(run, run->second, &second);
	if (!code && weight(second) > weight(*state))
		*state = second;
	return code;
}

/*
 * Is it kept? Where another process has confirmed the transaction and removed it, the types
 * tell.
 */
bool ic_run_is_kept(const struct iommucfg_run *run, enum iommucfg_state state)
{
	return state == IOMMUCFG_STATE_COMMITTED ||
	       (state == IOMMUCFG_STATE_GONE && !iommucfg_witness_unmade(run->witness));
}

/*
 * The verdict is a no: is there nothing left that could be rolled back, while the change
 * stands? Then that is said, and nothing is asked any more.
 */
bool ic_run_is_final(struct iommucfg_run *run)
{
	enum iommucfg_state state;

	if (run->final || run->after || ic_run_state(run, &state) || state != IOMMUCFG_STATE_GONE ||
	    !ic_run_is_kept(run, state))
		return run->final;
	run->final = true;
	iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "transaction", ENOENT,
			      "another process has confirmed and removed transaction \"%s\" meanwhile: there is nothing to roll back, and the change stands",
			      run->transaction);
	return true;
}

/* Has one of the two gone back, and the other one not? */
bool ic_run_is_mixed(struct iommucfg_run *run)
{
	enum iommucfg_state a, b;

	if (!ic_run_is_split(run))
		return false;
	a = iommucfg_txn_state(run->txn);
	b = iommucfg_txn_state(run->second);
	return (a == IOMMUCFG_STATE_COMMITTED && b == IOMMUCFG_STATE_ROLLED_BACK) ||
	       (b == IOMMUCFG_STATE_COMMITTED && a == IOMMUCFG_STATE_ROLLED_BACK);
}

/* What the kernel has to say; how many lines that is. */
int ic_run_report(struct iommucfg_run *run)
{
	int n = iommucfg_txn_report(run->txn, IOMMUCFG_REFUSED, run->problems), m = 0;

	if (ic_run_is_split(run))
		m = iommucfg_txn_report(run->second, IOMMUCFG_REFUSED, run->problems);
	return (n > 0 ? n : 0) + (m > 0 ? m : 0);
}
