/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - the kernel's transactions, and whether all came back after one
 *
 * Included by iommucfg.h, which has the conventions.
 */
#ifndef LIBIOMMUCFG_TXN_H
#define LIBIOMMUCFG_TXN_H

#include "iommucfg.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Transactions ----------------------------------------------------------- */

/**
 * iommucfg_txn_name_valid() - may a transaction have this name?
 *
 * Return: true for 1 to IOMMUCFG_TXN_NAME_MAX of A-Z a-z 0-9 . _ -, but not for
 * ".", ".." and what the kernel's directory has besides transactions: "standing", "abi" and
 * "generation". Whether it is taken shows when it is made.
 */
bool iommucfg_txn_name_valid(const char *name);

/**
 * iommucfg_txn_create() - make a transaction
 * @ctx: context
 * @name: its name, or NULL for "iommucfg-<pid>-<n>" with the first free n
 * @txn: where to store it
 * @problems: says what is wrong
 *
 * Until iommucfg_txn_unref() the object holds a lock on the directory by which
 * iommucfg_txn_abandoned() tells it from one that a killed process left.
 *
 * Return: 0, -EINVAL for a bad name, -EEXIST for one that is taken, -EACCES,
 * -ENOENT where the module is not loaded.
 */
int iommucfg_txn_create(struct iommucfg *ctx, const char *name, struct iommucfg_txn **txn,
			struct iommucfg_problems *problems);

/**
 * iommucfg_txn_open() - take hold of a transaction that is there
 *
 * Return: 0, or -ENOENT.
 */
int iommucfg_txn_open(struct iommucfg *ctx, const char *name, struct iommucfg_txn **txn);

/** iommucfg_txn_ref() - one more holder of the object; returns it */
struct iommucfg_txn *iommucfg_txn_ref(struct iommucfg_txn *txn);

/** iommucfg_txn_unref() - one holder of the object less; the kernel's transaction stays */
void iommucfg_txn_unref(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_list() - the names of all transactions, sorted
 * @ctx: context
 * @names: set to an array ended by NULL, to be released with
 *	iommucfg_txn_list_free()
 *
 * Return: how many, or a negative errno.
 */
int iommucfg_txn_list(struct iommucfg *ctx, char ***names);

/** iommucfg_txn_list_free() - release what iommucfg_txn_list() gave */
void iommucfg_txn_list_free(char **names);

/** iommucfg_txn_name() - its name */
const char *iommucfg_txn_name(const struct iommucfg_txn *txn);

/**
 * enum iommucfg_state - the states of a transaction
 *
 * GONE: it is not there any more. UNKNOWN: that cannot be told, as its state cannot
 * be read or is no word that this library knows.
 */
enum iommucfg_state {
	IOMMUCFG_STATE_GONE		= 0,
	IOMMUCFG_STATE_STAGED		= 1,
	IOMMUCFG_STATE_COMMITTING	= 2,
	IOMMUCFG_STATE_UNCONFIRMED	= 3,
	IOMMUCFG_STATE_COMMITTED	= 4,
	IOMMUCFG_STATE_ROLLING_BACK	= 5,
	IOMMUCFG_STATE_ROLLED_BACK	= 6,
	IOMMUCFG_STATE_FAILED		= 7,
	IOMMUCFG_STATE_UNKNOWN		= 255,
};

/**
 * iommucfg_txn_read_state() - its state now, and why it is not known
 *
 * Return: 0, or what reading it failed with (*@state is UNKNOWN then). That the
 * transaction is gone is no error.
 */
int iommucfg_txn_read_state(struct iommucfg_txn *txn, enum iommucfg_state *state);

/** iommucfg_txn_state() - its state now; UNKNOWN where it cannot be read */
enum iommucfg_state iommucfg_txn_state(struct iommucfg_txn *txn);

/** iommucfg_state_name() - the kernel's word for it, "gone", or "unknown" */
const char *iommucfg_state_name(enum iommucfg_state state);

/**
 * iommucfg_txn_abandoned() - did a process make it, and nobody remove it?
 *
 * True for a transaction named by iommucfg_txn_create() that is staged,
 * committed or rolled back, whose maker no longer runs and which no process
 * holds. There is nothing left to decide about it: iommucfg_txn_forget().
 */
bool iommucfg_txn_abandoned(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_pending() - transactions that somebody has to decide about first
 * @problems: gets one with @severity for each that is unconfirmed or failed
 *
 * Return: how many.
 */
int iommucfg_txn_pending(struct iommucfg *ctx, enum iommucfg_severity severity,
			 struct iommucfg_problems *problems);

/** iommucfg_txn_set_generation() - refuse the commit unless it is this; 0: any */
int iommucfg_txn_set_generation(struct iommucfg_txn *txn, uint64_t generation);

/** iommucfg_txn_set_allow_in_use() - mask of enum iommucfg_word */
int iommucfg_txn_set_allow_in_use(struct iommucfg_txn *txn, int words);

/**
 * iommucfg_txn_add_allow_in_use() - allow one word more
 * @word: "net", "block" or "other"; -EINVAL where the kernel does not know it
 *
 * For a rollback: also in the states unconfirmed, committed and failed.
 */
int iommucfg_txn_add_allow_in_use(struct iommucfg_txn *txn, const char *word);

/**
 * iommucfg_txn_allow_way_back() - allow what must not hold up a rollback
 *
 * An interface that has come up since, or a device that a program has opened, as
 * neither holds up the kernel's timer. Disks do. Where this cannot be written the
 * rollback's own report says more.
 */
void iommucfg_txn_allow_way_back(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_set_confirm_timeout() - undo the commit unless confirmed
 * @seconds: 0 for a final commit, at most IOMMUCFG_CONFIRM_TIMEOUT_MAX; while
 *	unconfirmed a number above 0 starts the countdown anew
 */
int iommucfg_txn_set_confirm_timeout(struct iommucfg_txn *txn, long seconds);

/**
 * iommucfg_txn_set_disruption() - the most disruptive method that the commit may use
 *
 * Return: 0; -EOPNOTSUPP where the kernel's module has no such limit, and @disruption is
 * not IOMMUCFG_DISRUPTION_REBIND.
 */
int iommucfg_txn_set_disruption(struct iommucfg_txn *txn, enum iommucfg_disruption disruption);

/** iommucfg_txn_stage() - add a group, or change its type */
int iommucfg_txn_stage(struct iommucfg_txn *txn, unsigned int group, enum iommucfg_type type);

/** iommucfg_txn_unstage() - take a group out again */
int iommucfg_txn_unstage(struct iommucfg_txn *txn, unsigned int group);

/**
 * iommucfg_txn_stage_plan() - stage every change of a plan
 * @problems: names the group that could not be staged
 */
int iommucfg_txn_stage_plan(struct iommucfg_txn *txn, const struct iommucfg_plan *plan,
			    struct iommucfg_problems *problems);

/**
 * iommucfg_txn_stage_part() - stage some changes of a plan
 * @part: which
 *
 * Sets the limit of disruption as well; of the words of allow_in_use "block" is for
 * IOMMUCFG_PART_BLOCK alone, without which no disk of a transaction is guarded.
 *
 * Return: how many were staged, or a negative errno after a problem.
 */
int iommucfg_txn_stage_part(struct iommucfg_txn *txn, const struct iommucfg_plan *plan,
			    enum iommucfg_part part, struct iommucfg_problems *problems);

/**
 * iommucfg_txn_open_other() - the other part of a change that is two transactions
 * @txn: one of them
 * @other: where to store the other one; NULL is stored where it cannot be had
 * @first: set to whether @txn is the one that was committed first, whose name the
 *	change has; or NULL
 *
 * Return: 0; -ENOENT where there is none, or none any more; or a negative errno.
 */
int iommucfg_txn_open_other(struct iommucfg_txn *txn, struct iommucfg_txn **other, bool *first);

/**
 * iommucfg_txn_set_ending() - this process confirms it, or rolls it back
 *
 * @restores: it is a rollback, after which this process puts the network back
 *
 * It writes the history as well, so that a process that watches the transaction does neither.
 */
void iommucfg_txn_set_ending(struct iommucfg_txn *txn, bool restores);

/** iommucfg_txn_check() - all that a commit verifies beforehand; touches nothing */
int iommucfg_txn_check(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_commit() - carry it out; blocks until the kernel is done
 *
 * Signals do not stop it. To watch iommucfg_txn_progress() meanwhile call it
 * from a child process or a thread with a txn object of its own.
 *
 * Return: 0 done; -ECANCELED tried, failed, everything is as before; -EIO
 * could not be restored in full; anything else: refused, nothing was touched.
 */
int iommucfg_txn_commit(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_refusal() - what an errno of a check or a commit means
 * @error: negative, as it was returned
 *
 * For where the report has no line that says more.
 *
 * Return: words for a person; constant, or as strerror().
 */
const char *iommucfg_txn_refusal(int error);

/**
 * iommucfg_txn_faulted() - have its devices had IOMMU faults since the commit?
 * @problems: gets a problem that quotes the kernel's log, and warnings
 *
 * Return: true where there is reason to undo it. What a run has not made is not known.
 */
bool iommucfg_txn_faulted(struct iommucfg_txn *txn, struct iommucfg_problems *problems);

/** iommucfg_txn_confirm() - keep an unconfirmed commit; -EBUSY in other states */
int iommucfg_txn_confirm(struct iommucfg_txn *txn);

/** iommucfg_txn_rollback() - undo a commit; blocks; -EIO, -EBUSY, -ESTALE */
int iommucfg_txn_rollback(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_forget() - remove the transaction and its undo record
 *
 * Changes no group's type.
 *
 * Return: 0; -EBUSY while it is committing, unconfirmed or rolling back;
 * -ENOENT.
 */
int iommucfg_txn_forget(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_remaining() - seconds until the transaction goes back by itself
 * @seconds: set to them; 0 where nothing counts down
 *
 * Return: 0; -ENOENT where the kernel's module is too old to say.
 */
int iommucfg_txn_remaining(struct iommucfg_txn *txn, long *seconds);

/** iommucfg_txn_held() - is a process at work with it that has made it? */
bool iommucfg_txn_held(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_by_hand() - was it made by other means than this library?
 * @age: set to the seconds since it was made, or a group was added; -1 where that
 *	is not known
 */
bool iommucfg_txn_by_hand(struct iommucfg_txn *txn, long *age);

/**
 * iommucfg_txn_describe() - its age, who made it, when it goes back, how far it is
 *
 * Return: words for a sentence, possibly none, to be released with free(), or NULL.
 */
char *iommucfg_txn_describe(struct iommucfg_txn *txn);

/** iommucfg_txn_progress() - device steps done, and in all */
int iommucfg_txn_progress(struct iommucfg_txn *txn, unsigned long *done, unsigned long *all);

/**
 * iommucfg_txn_report() - what the last action had to say
 * @problems: gets one per line, of kind "kernel" and severity @severity
 *
 * Where the kernel's page was full, the groups' own lists are read besides.
 *
 * Return: how many were added, or a negative errno.
 */
int iommucfg_txn_report(struct iommucfg_txn *txn, enum iommucfg_severity severity,
			struct iommucfg_problems *problems);

/**
 * iommucfg_problem_phase() - the kernel's phase in a problem out of a report
 *
 * Return: "check", "release", "pause", "switch", "resume", "probe", "verify",
 * "restore" or NULL.
 */
const char *iommucfg_problem_phase(const struct iommucfg_problem *problem);

/** iommucfg_txn_groups() - numbers of its groups, ascending; free() @groups */
int iommucfg_txn_groups(struct iommucfg_txn *txn, unsigned int **groups);

/**
 * iommucfg_txn_group_attr() - one word of a group in it
 * @attr: "type", "current_type" or "status": the first line is read
 * @value: where to store it, at most @size bytes with the NUL
 */
int iommucfg_txn_group_attr(struct iommucfg_txn *txn, unsigned int group, const char *attr,
			    char *value, size_t size);

/* Verification ----------------------------------------------------------- */

struct iommucfg_witness;	/* what was there before a change */

/**
 * iommucfg_witness_new() - remember drivers, block devices and interfaces
 * @plan: of all devices in groups that it changes
 */
int iommucfg_witness_new(struct iommucfg_plan *plan, struct iommucfg_witness **witness);

/** iommucfg_witness_ref() - one more holder of a witness; returns it */
struct iommucfg_witness *iommucfg_witness_ref(struct iommucfg_witness *witness);

/** iommucfg_witness_unref() - one holder of it less */
void iommucfg_witness_unref(struct iommucfg_witness *witness);

/**
 * iommucfg_witness_missing() - look again, from outside
 * @problems: gets one of kind "settle" for each type, driver, block device or
 *	interface that is not as it should be after the change; devices are
 *	counted below each device, as their names may change
 *
 * Return: how many are missing, or a negative errno.
 */
int iommucfg_witness_missing(struct iommucfg_witness *witness,
			     struct iommucfg_problems *problems);

/**
 * iommucfg_witness_unmade() - do all groups have their former types again?
 *
 * Groups changed to "auto" do not count; false where there are no others.
 */
bool iommucfg_witness_unmade(struct iommucfg_witness *witness);

struct iommucfg_network;	/* what was on interfaces before drivers go */

/**
 * iommucfg_network_new() - remember addresses, routes, masters, MTU, up
 * @groups: numbers of the groups whose drivers go
 * @network: set to NULL where none has an interface, or the root is not /
 *
 * A run does this by itself; this is for a rollback that is asked for by name.
 */
int iommucfg_network_new(struct iommucfg *ctx, const unsigned int *groups, size_t count,
			 struct iommucfg_network **network);

/** iommucfg_network_ref() - one more holder of it; returns it */
struct iommucfg_network *iommucfg_network_ref(struct iommucfg_network *network);

/** iommucfg_network_unref() - one holder of it less */
void iommucfg_network_unref(struct iommucfg_network *network);

/**
 * iommucfg_network_restore() - put back what nothing manages, and wait for the rest
 * @problems: gets a warning of kind "settle" for each interface on which something is
 *	missing in the end
 *
 * Return: 0 where all is there again, 1 where not, or a negative errno.
 */
int iommucfg_network_restore(struct iommucfg_network *network,
			     struct iommucfg_problems *problems);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOMMUCFG_TXN_H */
