// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which transaction has which group, and the generation: what transactions
 * know of each other.
 *
 * claim_lock protects both; it is taken inside of everything else, and nothing
 * sleeps for long under it. Whoever claims waits for a standing rule that is just
 * being fulfilled.
 */
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "check.h"
#include "claim.h"
#include "standing.h"

static DEFINE_MUTEX(claim_lock);
/* The running or unconfirmed transaction that has a group, by its number. */
static DEFINE_XARRAY(claims);
/* Raised when a commit or rollback begins to touch groups. */
static u64 generation = 1;

/* Refuses the run for every group that another transaction has. */
static bool all_free(struct icfg_run *run)
{
	struct icfg_target *t;
	struct icfg_txn *other;
	bool is_free = true;

	lockdep_assert_held(&claim_lock);

	icfg_for_each_target(t, run) {
		other = xa_load(&claims, t->group->id);
		if (!other || other == run->txn)
			continue;
		icfg_refuse(t, NULL, -EBUSY, "transaction %s has this group",
			    icfg_txn_name(other));
		t->taken = true;
		is_free = false;
	}
	return is_free;
}

/**
 * icfg_claim_look - could the groups of a run be claimed now?
 * @run: the run; it is refused for each group that another transaction has
 */
void icfg_claim_look(struct icfg_run *run)
{
	guard(mutex)(&claim_lock);

	all_free(run);
}

/**
 * icfg_claim - claim every group of a run for its transaction, or none
 * @run: the run; it is refused for each group that another transaction has
 *
 * Claims that the transaction has already are kept.
 */
void icfg_claim(struct icfg_run *run)
{
	struct icfg_target *t;

	/* No standing rule is being fulfilled; see icfg_claimed(). */
	guard(mutex)(&icfg_standing_lock);
	scoped_guard(mutex, &claim_lock) {
		if (!all_free(run))
			return;
		icfg_for_each_target(t, run) {
			if (!xa_err(xa_store(&claims, t->group->id, run->txn,
					     GFP_KERNEL)))
				continue;
			icfg_refuse(t, NULL, -ENOMEM, "no memory");
			break;
		}
	}
	if (run->refusal == -ENOMEM)
		icfg_unclaim(run->txn);
}

/* Give back every group of @txn. */
void icfg_unclaim(struct icfg_txn *txn)
{
	struct icfg_txn *owner;
	unsigned long id;

	guard(mutex)(&claim_lock);

	xa_for_each(&claims, id, owner)
		if (owner == txn)
			xa_erase(&claims, id);
}

/**
 * icfg_claimed - has a transaction claimed a group?
 * @id: the group's number
 * @who: ICFG_CLAIM_WHO bytes for the name of the transaction, if there is one
 *
 * The caller holds icfg_standing_lock, without which nobody claims: a group that
 * is free stays free until it lets go.
 */
bool icfg_claimed(unsigned int id, char *who)
{
	struct icfg_txn *owner;

	lockdep_assert_held(&icfg_standing_lock);

	guard(mutex)(&claim_lock);

	owner = xa_load(&claims, id);
	if (owner)
		strscpy(who, icfg_txn_name(owner), ICFG_CLAIM_WHO);
	return owner;
}

u64 icfg_generation(void)
{
	guard(mutex)(&claim_lock);

	return generation;
}

/**
 * icfg_generation_raise - begin to touch groups
 * @expected: what the generation has to be, or 0 where nobody minds
 *
 * Returns false, with the generation as it was, if it is another one.
 */
bool icfg_generation_raise(u64 expected)
{
	guard(mutex)(&claim_lock);

	if (expected && expected != generation)
		return false;
	generation++;
	return true;
}

void icfg_claim_exit(void)
{
	xa_destroy(&claims);
}
