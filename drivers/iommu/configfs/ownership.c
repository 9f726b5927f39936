// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which transaction has which group, and the generation: what transactions
 * know of each other.
 *
 * owner_lock protects both; it is taken inside of all other locks, for moments
 * only. Claiming waits for a standing rule that is applied to a group, for ten
 * seconds at most.
 */
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "icfg.h"

/* How long a standing rule that is applied to a group is waited for. */
#define RULE_WAIT	(10 * HZ)

/* In place of a transaction: a standing rule is applied to the group. */
#define STANDING_RULE	xa_mk_value(0)

static DEFINE_MUTEX(owner_lock);
/* The running or unconfirmed transaction that has a group, by its number. */
static DEFINE_XARRAY(owners);
static DECLARE_WAIT_QUEUE_HEAD(rule_applied);
/* Raised when a commit or rollback begins to touch groups. */
static u64 generation = 1;

static bool has_rule(unsigned int id)
{
	return xa_is_value(xa_load(&owners, id));
}

static bool any_has_rule(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	icfg_for_each_group(pg, plan)
		if (has_rule(pg->staged->id))
			return true;
	return false;
}

static void refuse_owned(struct icfg_plan_group *pg, struct icfg_txn *other)
{
	if (xa_is_value(other))
		icfg_refuse(pg, NULL, -EBUSY,
			    "a standing rule is being applied to this group");
	else
		icfg_refuse(pg, NULL, -EBUSY, "transaction %s has this group",
			    icfg_txn_name(other));
}

/*
 * Reports every group that another transaction has, and refuses the plan for it. With
 * @free, which is of a rollback that is tried again, only those with something to do.
 */
static bool none_owned(struct icfg_plan *plan, bool free)
{
	struct icfg_plan_group *pg;
	struct icfg_txn *other;
	bool none = true;

	lockdep_assert_held(&owner_lock);

	icfg_for_each_group(pg, plan) {
		other = xa_load(&owners, pg->staged->id);
		if (!other || other == plan->txn)
			continue;
		if (!free || pg->staged->status == ICFG_S_FAILED)
			refuse_owned(pg, other);
		pg->owned = true;
		none = false;
	}
	return none;
}

/**
 * icfg_own_check - could the groups of a plan be claimed now?
 * @plan: the plan; it is refused for each group that another transaction has
 */
void icfg_own_check(struct icfg_plan *plan)
{
	wait_event_timeout(rule_applied, !any_has_rule(plan), RULE_WAIT);

	guard(mutex)(&owner_lock);

	none_owned(plan, false);
}

/**
 * icfg_own - claim every group of a plan for its transaction, or none
 * @plan: the plan; it is refused for each group that another transaction has
 * @free: claim those groups that no other transaction has; @plan is a rollback of what
 *	failed before
 *
 * Claims that the transaction has already are kept. Afterwards pg->owned says of a
 * group that another transaction has it.
 */
void icfg_own(struct icfg_plan *plan, bool free)
{
	struct icfg_plan_group *pg;
	bool room = true;

	wait_event_timeout(rule_applied, !any_has_rule(plan), RULE_WAIT);

	guard(mutex)(&owner_lock);

	if (!none_owned(plan, free) && !free)
		return;
	icfg_for_each_group(pg, plan) {
		if (pg->owned || !xa_reserve(&owners, pg->staged->id, GFP_KERNEL))
			continue;
		icfg_refuse(pg, NULL, -ENOMEM, "no memory");
		room = false;
		break;
	}
	icfg_for_each_group(pg, plan) {
		if (pg->owned)
			continue;
		/* Claims that the transaction had before are kept. */
		if (!room) {
			xa_release(&owners, pg->staged->id);
			continue;
		}
		pg->claimed = !xa_load(&owners, pg->staged->id);
		xa_store(&owners, pg->staged->id, plan->txn, GFP_KERNEL);
	}
}

/*
 * Does a group still wait, or is its claim not that of this plan? What was done before a
 * take-back was released then; a later rollback may have claimed it, and wait for it.
 */
static bool is_kept(const struct icfg_plan_group *pg)
{
	return pg->revert == ICFG_REVERT_WAITING ||
	       pg->revert == ICFG_REVERT_NOTED ||
	       pg->revert == ICFG_REVERT_ELSEWHERE;
}

/**
 * icfg_disown - release the groups of a plan
 * @plan: the plan; its transaction keeps those that still wait to be restored
 */
void icfg_disown(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&owner_lock);

	icfg_for_each_group(pg, plan) {
		if (!is_kept(pg) &&
		    xa_load(&owners, pg->staged->id) == plan->txn)
			xa_erase(&owners, pg->staged->id);
		/* It was done, and released, before a step of it hung again. */
		if (pg->revert == ICFG_REVERT_WAITING)
			xa_cmpxchg(&owners, pg->staged->id, NULL, plan->txn,
				   GFP_KERNEL);
	}
}

/**
 * icfg_disown_new - undo icfg_own()
 * @plan: a rollback that is refused; its transaction keeps what it had before
 */
void icfg_disown_new(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&owner_lock);

	icfg_for_each_group(pg, plan)
		if (pg->claimed)
			xa_erase(&owners, pg->staged->id);
}

/**
 * icfg_own_for_rule - claim a group for a standing rule
 * @id: the group's number
 * @who: ICFG_OWNER_NAME bytes for the name of the transaction that has it
 *
 * Waits for a rule that is applied because of another device of the group. Returns 0,
 * and then icfg_disown_for_rule() has to follow; -EBUSY where a transaction has the
 * group; -ETIMEDOUT where the other rule is applied still after ten seconds; or -ENOMEM.
 */
int icfg_own_for_rule(unsigned int id, char *who)
{
	struct icfg_txn *owner;

	do {
		if (!wait_event_timeout(rule_applied, !has_rule(id), RULE_WAIT))
			return -ETIMEDOUT;
		scoped_guard(mutex, &owner_lock) {
			owner = xa_cmpxchg(&owners, id, NULL, STANDING_RULE,
					   GFP_KERNEL);
			if (owner && !xa_is_err(owner) && !xa_is_value(owner))
				strscpy(who, icfg_txn_name(owner), ICFG_OWNER_NAME);
		}
	} while (xa_is_value(owner));

	if (xa_is_err(owner))
		return xa_err(owner);
	return owner ? -EBUSY : 0;
}

void icfg_disown_for_rule(unsigned int id)
{
	scoped_guard(mutex, &owner_lock)
		xa_erase(&owners, id);
	wake_up_all(&rule_applied);
}

u64 icfg_generation(void)
{
	guard(mutex)(&owner_lock);

	return generation;
}

/**
 * icfg_generation_raise - begin to touch groups
 * @expected: what the generation has to be, or 0 where any will do
 *
 * Returns false, with the generation as it was, if it is another one.
 */
bool icfg_generation_raise(u64 expected)
{
	guard(mutex)(&owner_lock);

	if (expected && expected != generation)
		return false;
	generation++;
	return true;
}

void icfg_ownership_exit(void)
{
	xa_destroy(&owners);
}
