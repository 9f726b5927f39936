/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - a change from beginning to end
 *
 * A run is what "iommucfg apply" does: one at a time on a machine, it takes the
 * lock, reads what is there, plans, stages a transaction, commits it, waits until
 * devices have come back, has the change confirmed, and writes into the history
 * what came of it. The library prints nothing and asks nothing: callbacks do.
 *
 *	iommucfg_run_new()
 *	iommucfg_run_begin()		takes the lock
 *	iommucfg_run_plan_policy()	or iommucfg_run_plan_targets()
 *	iommucfg_run_stage()		the kernel checks it; nothing is touched yet
 *	iommucfg_run_before()		where the system's hooks are to be called
 *	iommucfg_run_commit()
 *	iommucfg_run_settle()
 *	iommucfg_run_confirm()
 *	iommucfg_run_end()		in any case: removes, records, lets the lock go
 *	iommucfg_run_unref()
 *
 * Each step returns an outcome. Go on after IOMMUCFG_RUN_DONE; after any other the
 * run is over, and iommucfg_run_end() is what is left to call. Where there turns
 * out to be nothing to do the steps that follow do nothing and are done.
 *
 * Included by iommucfg.h, which has the conventions.
 */
#ifndef LIBIOMMUCFG_RUN_H
#define LIBIOMMUCFG_RUN_H

#include "iommucfg.h"

#ifdef __cplusplus
extern "C" {
#endif

struct iommucfg_plan_options;
struct iommucfg_run;
struct iommucfg_target;
struct pollfd;

/**
 * enum iommucfg_run_outcome - what a step, or a run, came to
 * @IOMMUCFG_RUN_DONE: as it should be
 * @IOMMUCFG_RUN_ERROR: policy, input or system are wrong; nothing was touched
 * @IOMMUCFG_RUN_CHANGE: for callers: something is left to change
 * @IOMMUCFG_RUN_REFUSED: refused; nothing was touched
 * @IOMMUCFG_RUN_RESTORED: tried, failed, everything is as before
 * @IOMMUCFG_RUN_FAILED: could not be restored in full: needs a person
 * @IOMMUCFG_RUN_LEFT: asked to stop twice while the kernel was at work, which
 *	it still is
 * @IOMMUCFG_RUN_AGAIN: not over yet, see iommucfg_run_set_nonblocking()
 *
 * The first six are exit statuses of the command, too.
 */
enum iommucfg_run_outcome {
	IOMMUCFG_RUN_DONE	= 0,
	IOMMUCFG_RUN_ERROR	= 1,
	IOMMUCFG_RUN_CHANGE	= 2,
	IOMMUCFG_RUN_REFUSED	= 3,
	IOMMUCFG_RUN_RESTORED	= 4,
	IOMMUCFG_RUN_FAILED	= 5,
	IOMMUCFG_RUN_LEFT	= 6,
	IOMMUCFG_RUN_AGAIN	= 255,
};

/** iommucfg_run_worse() - of two outcomes the one that counts: 5, 4, 1, 3, 2, 0 */
int iommucfg_run_worse(int a, int b);

/**
 * iommucfg_run_new() - make a run; nothing is done yet
 * @ctx: context
 * @problems: gets what goes wrong, besides what the plan has
 * @run: where to store it
 *
 * Return: 0 or -ENOMEM.
 */
int iommucfg_run_new(struct iommucfg *ctx, struct iommucfg_problems *problems,
		     struct iommucfg_run **run);

/** iommucfg_run_ref() - one more holder; returns @run */
struct iommucfg_run *iommucfg_run_ref(struct iommucfg_run *run);

/**
 * iommucfg_run_unref() - one holder less; the last one releases run, plan and
 * topology. A transaction that iommucfg_run_end() has not seen stays.
 */
void iommucfg_run_unref(struct iommucfg_run *run);

/** iommucfg_run_set_problems() - another list for what goes wrong from now on */
void iommucfg_run_set_problems(struct iommucfg_run *run, struct iommucfg_problems *problems);

/* What is asked for; before the step that it is for. */

/** iommucfg_run_set_options() - how plans are to be carried out; copied, NULL: all off */
void iommucfg_run_set_options(struct iommucfg_run *run,
			      const struct iommucfg_plan_options *options);

/** iommucfg_run_set_name() - name of the transaction; NULL: the library finds one */
int iommucfg_run_set_name(struct iommucfg_run *run, const char *name);

/**
 * iommucfg_run_set_settle() - seconds in which devices, and what a network manager
 * brings back, must be there; 0 does not wait
 *
 * A negative number, as before the call: 10 for devices, and for network managers 60, or
 * half the confirm timeout where that is less.
 */
void iommucfg_run_set_settle(struct iommucfg_run *run, long seconds);

/**
 * iommucfg_run_set_detach() - leave an unconfirmed change to others
 *
 * Then iommucfg_run_confirm() does not wait, and the result is "unconfirmed".
 */
void iommucfg_run_set_detach(struct iommucfg_run *run, bool detach);

/**
 * iommucfg_run_set_command() - for whom the history has the entry
 * @command: words as they were given, ended by NULL; copied
 * @action: one word, such as "apply"; copied
 */
int iommucfg_run_set_command(struct iommucfg_run *run, char *const *command, const char *action);

/**
 * iommucfg_run_set_check() - a program that says whether the change is good
 * @command: a path and arguments, ended by NULL; copied; NULL or no word: none
 * @seconds: how long it may take; 0: 30
 *
 * iommucfg_run_settle() runs it once. It has no standard input. Where its exit status is not
 * 0, or it takes longer, the change is undone.
 */
int iommucfg_run_set_check(struct iommucfg_run *run, char *const *command, long seconds);

/**
 * iommucfg_check_run() - the same outside of a run, waiting for its end
 *
 * Return: DONE, or REFUSED with a problem that quotes it.
 */
int iommucfg_check_run(char *const *command, long seconds, struct iommucfg_problems *problems);

/**
 * iommucfg_run_set_faults() - what IOMMU faults of the changed devices lead to
 *
 * IOMMUCFG_FAULTS_ROLLBACK, as before the call: one that the kernel's log has between the
 * commit and the end of the run undoes the change.
 */
void iommucfg_run_set_faults(struct iommucfg_run *run, enum iommucfg_faults faults);

/**
 * iommucfg_run_set_watched() - have a process stay for what outlives the caller
 *
 * It is made before the commit of a change that can go back by itself. Where the caller is
 * killed, or leaves the change unconfirmed, it waits for the end, rolls back for IOMMU
 * faults, puts the network back after a rollback, and writes the history.
 */
void iommucfg_run_set_watched(struct iommucfg_run *run, bool watched);

/** iommucfg_watch() - the same in the calling process; returns an outcome when it is over */
int iommucfg_watch(struct iommucfg *ctx, const char *name, struct iommucfg_problems *problems);

/** iommucfg_run_set_undoes() - the entry of the history that this run takes back; 0: none */
void iommucfg_run_set_undoes(struct iommucfg_run *run, long entry);

/* Callbacks: called by the steps, in the thread that calls these. */

/** iommucfg_run_progress_fn - device steps done, and in all, while the kernel is at work */
typedef void (*iommucfg_run_progress_fn)(struct iommucfg_run *run, unsigned long done,
					 unsigned long all, void *data);

/** iommucfg_run_on_progress() - set it, or NULL */
void iommucfg_run_on_progress(struct iommucfg_run *run, iommucfg_run_progress_fn progress,
			      void *data);

/** enum iommucfg_run_answer - what came of the question whether to keep a change */
enum iommucfg_run_answer {
	IOMMUCFG_RUN_NO		= 0,
	IOMMUCFG_RUN_YES	= 1,
	IOMMUCFG_RUN_NO_ANSWER	= 2,	/* ask again a moment later */
};

/** iommucfg_run_question_fn - keep it? Must not wait. Undone by itself in @seconds */
typedef enum iommucfg_run_answer (*iommucfg_run_question_fn)(struct iommucfg_run *run,
							     long seconds, void *data);

/**
 * iommucfg_run_on_question() - who answers whether an unconfirmed change stays
 * @question: called at least twice a second until it has an answer, or the change
 *	is confirmed or undone elsewhere. NULL: nobody here, wait for that
 * @fd: readable when there may be an answer; -1 for none
 */
void iommucfg_run_on_question(struct iommucfg_run *run, iommucfg_run_question_fn question,
			      int fd, void *data);

/**
 * iommucfg_run_cancel_fn - how often the caller has been asked to stop, so far
 *
 * Once: before the commit nothing is touched; while the kernel is at work it
 * finishes; an unconfirmed change is undone. Twice while the kernel is at work:
 * IOMMUCFG_RUN_LEFT.
 */
typedef unsigned int (*iommucfg_run_cancel_fn)(struct iommucfg_run *run, void *data);

/**
 * iommucfg_run_on_cancel() - set it, or NULL
 * @fd: readable when the number has grown, until the callback was called; or -1
 */
void iommucfg_run_on_cancel(struct iommucfg_run *run, iommucfg_run_cancel_fn cancel, int fd,
			    void *data);

/** enum iommucfg_run_level - for whom a message is */
enum iommucfg_run_level {
	IOMMUCFG_RUN_NOTE	= 0,	/* a person who waits */
	IOMMUCFG_RUN_DEBUG	= 1,
};

/** iommucfg_run_message_fn - a line for a person, without newline */
typedef void (*iommucfg_run_message_fn)(struct iommucfg_run *run, enum iommucfg_run_level level,
					const char *message, void *data);

/** iommucfg_run_on_message() - set it, or NULL */
void iommucfg_run_on_message(struct iommucfg_run *run, iommucfg_run_message_fn message,
			     void *data);

/* In a program with an event loop. */

/**
 * iommucfg_run_set_nonblocking() - steps do not wait
 *
 * Where a step would wait it returns IOMMUCFG_RUN_AGAIN: wait for what
 * iommucfg_run_poll_fds() says, then call the same step again.
 */
void iommucfg_run_set_nonblocking(struct iommucfg_run *run, bool nonblocking);

/**
 * iommucfg_run_poll_fds() - what the step that is not over waits for
 * @fds: room for @count of them; there are never more than 3
 * @timeout: set to the milliseconds after which to call the step in any case
 *
 * Return: how many were stored.
 */
size_t iommucfg_run_poll_fds(const struct iommucfg_run *run, struct pollfd *fds, size_t count,
			     int *timeout);

/* The steps. */

/**
 * iommucfg_run_begin() - wait for another run to end, and keep others out
 *
 * Return: DONE, also where no lock can be had because there is no /run, with a
 * warning; REFUSED where the other one takes longer than 30 seconds.
 */
int iommucfg_run_begin(struct iommucfg_run *run);

/**
 * iommucfg_run_scan() - read what is there; done by the plan where it is not called
 *
 * Removes transactions that killed processes left. Refuses where one is
 * unconfirmed or failed. Then iommucfg_run_topology() has the groups, in many cases
 * also where the outcome is another than DONE, for a plan to show.
 */
int iommucfg_run_scan(struct iommucfg_run *run);

/** iommucfg_run_plan_policy() - plan what a policy wants */
int iommucfg_run_plan_policy(struct iommucfg_run *run, const struct iommucfg_policy *policy);

/** iommucfg_run_plan_targets() - plan what a list wants */
int iommucfg_run_plan_targets(struct iommucfg_run *run, const struct iommucfg_target *targets,
			      size_t count);

/**
 * iommucfg_run_stage() - judge the plan, make the transaction, have the kernel check it
 * @outcome: what the steps before, and the caller, came to; nothing is staged
 *	after another one than DONE, but a plan that is worse counts
 */
int iommucfg_run_stage(struct iommucfg_run *run, int outcome);

/**
 * iommucfg_run_again() - plan anew, and have it come out the same
 *
 * Who asks a person whether to carry out a plan does so without the lock: scan, plan,
 * stage, ask; then begin, again, scan, plan, stage. What was staged first is removed,
 * the plan and the topology are released. Where the new plan has other changes, groups
 * or drivers iommucfg_run_stage() refuses it.
 */
void iommucfg_run_again(struct iommucfg_run *run);

/** iommucfg_hooks_any() - are there programs in /etc/iommucfg/hooks.d? */
bool iommucfg_hooks_any(struct iommucfg *ctx);

/**
 * iommucfg_run_before() - call the hooks, which may refuse the change
 * @document: the plan as JSON, which they get on standard input
 *
 * To be called without the lock, between two plans, see iommucfg_run_again(). Only then
 * iommucfg_run_settle() calls them after the change, and iommucfg_run_end() where it does
 * not stand. Their output goes to standard error.
 */
int iommucfg_run_before(struct iommucfg_run *run, const char *document);

/** iommucfg_run_commit() - carry it out */
int iommucfg_run_commit(struct iommucfg_run *run);

/**
 * iommucfg_run_settle() - wait until devices are back, then have the change judged
 *
 * Undoes it where one stays away, has IOMMU faults, or the check command says no.
 */
int iommucfg_run_settle(struct iommucfg_run *run);

/**
 * iommucfg_run_confirm() - where there is a confirm timeout: ask, or wait for others
 *
 * The lock is free while the question is open: until the answer the unconfirmed
 * transaction keeps others out. See iommucfg_run_overtaken().
 */
int iommucfg_run_confirm(struct iommucfg_run *run);

/** iommucfg_run_nothing() - drop the plan: the result is "nothing-to-do" */
void iommucfg_run_nothing(struct iommucfg_run *run);

/**
 * iommucfg_run_end() - the run is over
 * @status: what it came to, for the history; an outcome, or a status of the caller's
 *
 * Removes the transaction, unless it is unconfirmed or failed. Writes the history's
 * entry where there was something to do. Lets the lock go.
 */
void iommucfg_run_end(struct iommucfg_run *run, int status);

/* What came of it. */

/** iommucfg_run_topology() - the groups, or NULL; the run's */
struct iommucfg_topology *iommucfg_run_topology(const struct iommucfg_run *run);

/** iommucfg_run_plan() - the plan, or NULL; the run's */
struct iommucfg_plan *iommucfg_run_plan(const struct iommucfg_run *run);

/** iommucfg_run_transaction() - name of the transaction, or NULL */
const char *iommucfg_run_transaction(const struct iommucfg_run *run);

/**
 * iommucfg_run_as_before() - after a change that went back: is the network as before?
 *
 * Return: false where an address, a route or an interface is missing; problems say which.
 */
bool iommucfg_run_as_before(const struct iommucfg_run *run);

/**
 * iommucfg_run_overtaken() - has another run come before the end of the question?
 *
 * Then what the policy says of devices to come is older than that run's.
 */
bool iommucfg_run_overtaken(const struct iommucfg_run *run);

/** iommucfg_run_entry() - number of the entry that iommucfg_run_end() wrote, or 0 */
long iommucfg_run_entry(const struct iommucfg_run *run);

/**
 * iommucfg_run_result() - in one word what it came to so far
 *
 * Return: "nothing-to-do", "committed", "unconfirmed", "refused", "restored",
 * "failed", "error", "left"; NULL where that is still open.
 */
const char *iommucfg_run_result(const struct iommucfg_run *run);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOMMUCFG_RUN_H */
