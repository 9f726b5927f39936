// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a transaction: who may do what when, the confirm timer,
 * and what is left of a commit afterwards. What happens to the hardware is
 * engine.c's business.
 *
 * Owns txn->state and the timer, which txn->lock protects. A run is driven
 * without it: txn->state alone keeps others away, and while it is not
 * ICFG_STAGED the list of groups does not change.
 *
 * While a transaction runs or waits to be confirmed, configfs is told that
 * something depends on its directory. rmdir then answers EBUSY at once; without
 * that it would wait for our store method with the inodes locked, and every
 * reader with it.
 */
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/kobject.h>
#include <linux/slab.h>

#include "check.h"
#include "claim.h"
#include "engine.h"
#include "face.h"
#include "gate.h"
#include "kunit.h"
#include "run.h"
#include "txn.h"

static struct workqueue_struct *timer_wq;

int icfg_txn_init(void)
{
	/* Not the steps' queue: a rollback waits for steps. */
	timer_wq = alloc_workqueue("iommu-configfs-timer", WQ_UNBOUND, 0);
	return timer_wq ? 0 : -ENOMEM;
}

void icfg_txn_exit(void)
{
	destroy_workqueue(timer_wq);
}

/* What the core asks for itself, of whoever writes. */
bool icfg_capable(void)
{
	return capable(CAP_SYS_ADMIN) && capable(CAP_SYS_RAWIO);
}

static void set_state(struct icfg_txn *txn, enum icfg_state state)
{
	lockdep_assert_held(&txn->lock);

	/* Shown without the lock. */
	WRITE_ONCE(txn->state, state);
}

static void begin_report(struct icfg_txn *txn)
{
	icfg_report_clear(&txn->report);
	atomic_set(&txn->done, 0);
	atomic_set(&txn->total, 0);
}

/*
 * Pass the gate, or report why not. Without a run there is no group to name.
 */
static int enter_gate(struct icfg_txn *txn)
{
	enum icfg_gate gate = icfg_gate_enter();

	if (gate == ICFG_GATE_OPEN)
		return 0;

	begin_report(txn);
	icfg_report_add(&txn->report, ICFG_NO_GROUP, NULL, ICFG_CHECK, -EBUSY,
			gate == ICFG_GATE_SUSPEND ?
			"the system is being suspended" :
			"the system is going down");
	return -EBUSY;
}

/* Tell user space of every member of the groups that @run changed. */
static void send_uevents(struct icfg_run *run)
{
	char type[ICFG_SEAT_WORD + 16];
	struct icfg_target *t;
	struct icfg_dev *d;
	char *name, *envp[3] = { type };

	name = kasprintf(GFP_KERNEL, "IOMMU_TRANSACTION=%s",
			 icfg_txn_name(run->txn));
	/* Without memory the event goes out without its name. */
	envp[1] = name;

	icfg_for_each_dev(d, run) {
		t = d->target;
		if (!d->member || d->gone || t->failed ||
		    (run->backwards ? !t->touched : t->way == ICFG_WAY_NONE))
			continue;
		snprintf(type, sizeof(type), "IOMMU_TYPE=%s",
			 icfg_type_word(t->now));
		kobject_uevent_env(&d->dev->kobj, KOBJ_CHANGE, envp);
	}
	kfree(name);
}

static void set_statuses(struct icfg_run *run)
{
	struct icfg_target *t;

	guard(mutex)(&run->txn->lock);

	icfg_for_each_target(t, run) {
		enum icfg_status *status = &t->group->status;

		if (!run->backwards)
			*status = t->way == ICFG_WAY_NONE ? ICFG_S_UNCHANGED :
				  t->way == ICFG_WAY_IN_PLACE ? ICFG_S_IN_PLACE :
				  ICFG_S_CHANGED;
		else if (t->failed)
			*status = ICFG_S_FAILED;
		else
			*status = t->touched ? ICFG_S_RESTORED :
					       ICFG_S_UNCHANGED;
	}
}

/* What an earlier try left does not hold any more. */
static void reset_statuses(struct icfg_run *run)
{
	struct icfg_target *t;

	guard(mutex)(&run->txn->lock);

	icfg_for_each_target(t, run)
		t->group->status = ICFG_S_STAGED;
}

static void arm_timer(struct icfg_txn *txn)
{
	lockdep_assert_held(&txn->lock);

	/* The work holds a reference; one that is pending keeps the one it has. */
	txn->deadline = icfg_gate_clock() + (u64)txn->confirm_timeout * HZ;
	config_item_get(&txn->dir.cg_item);
	if (mod_delayed_work(timer_wq, &txn->timer,
			     (unsigned long)txn->confirm_timeout * HZ))
		config_item_put(&txn->dir.cg_item);
}

static void disarm_timer(struct icfg_txn *txn)
{
	lockdep_assert_held(&txn->lock);

	/* One that is on its way already finds another state. */
	if (cancel_delayed_work(&txn->timer))
		config_item_put(&txn->dir.cg_item);
}

/* Keeps rmdir away until icfg_txn_undepend(). */
VISIBLE_IF_KUNIT int icfg_txn_depend(struct icfg_txn *txn)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_txn_depend, txn);

	/* ENOENT: rmdir was first. */
	return configfs_depend_item_unlocked(&icfg_subsys, &txn->dir.cg_item);
}

VISIBLE_IF_KUNIT void icfg_txn_undepend(struct icfg_txn *txn)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_txn_undepend, txn);

	configfs_undepend_item_unlocked(&txn->dir.cg_item);
}

/* Pass the gate with a new run and an empty report, or not at all. */
static int new_run(struct icfg_txn *txn, struct icfg_run **run)
{
	int ret;

	lockdep_assert_held(&txn->lock);

	ret = enter_gate(txn);
	if (ret)
		return ret;

	*run = icfg_run_new(txn);
	if (!*run) {
		icfg_gate_leave();
		return -ENOMEM;
	}

	begin_report(txn);
	return 0;
}

static int begin_check(struct icfg_txn *txn, struct icfg_run **run)
{
	guard(mutex)(&txn->lock);

	return txn->state == ICFG_STAGED ? new_run(txn, run) : -EBUSY;
}

static int begin_commit(struct icfg_txn *txn, struct icfg_run **run)
{
	int ret;

	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_STAGED)
		return -EBUSY;

	ret = new_run(txn, run);
	if (!ret)
		set_state(txn, ICFG_COMMITTING);
	return ret;
}

/* Returns the errno to refuse @run with, or 0. */
static int check_generation(struct icfg_run *run)
{
	u64 generation = icfg_generation();

	if (!run->expected || run->expected == generation)
		return 0;

	icfg_report_add(&run->txn->report, ICFG_NO_GROUP, NULL, ICFG_CHECK,
			-ESTALE, "the generation is %llu, expected was %llu",
			generation, run->expected);
	icfg_refuse_errno(run, -ESTALE);
	return -ESTALE;
}

/**
 * icfg_txn_check - all that a commit verifies before it touches anything
 * @txn: the transaction
 *
 * Returns 0 or the errno that a commit would be refused with now.
 */
int icfg_txn_check(struct icfg_txn *txn)
{
	struct icfg_run *run;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	/* A commit waits for the check, which is a matter of seconds. */
	mutex_lock(&txn->checking);
	ret = begin_check(txn, &run);
	if (!ret) {
		check_generation(run);
		icfg_claim_look(run);
		ret = icfg_check_commit(run);
		icfg_run_put(run);
		icfg_gate_leave();
	}
	mutex_unlock(&txn->checking);

	icfg_txn_undepend(txn);
	return ret;
}

/* Everything up to the first touch. Returns 0 or the errno to refuse with. */
static int prepare_commit(struct icfg_run *run)
{
	int ret;

	check_generation(run);
	/* Claimed before they are looked at, so that what is seen holds. */
	icfg_claim(run);
	ret = icfg_check_commit(run);
	if (ret || !icfg_engine_has_work(run))
		return ret;

	/* Compared and raised under one lock: the first of two gets it. */
	if (icfg_generation_raise(run->expected))
		return 0;
	return check_generation(run);
}

/* The commit is through: note what became of it. @ret is what it returns. */
static void end_commit(struct icfg_txn *txn, struct icfg_run *run, int ret)
{
	guard(mutex)(&txn->lock);

	/* Before the state says so; a racing rmdir waits for the lock. */
	if (ret || !run->confirm)
		icfg_txn_undepend(txn);
	if (ret == -EIO) {
		icfg_txn_keep_undo(txn, run);
		set_state(txn, ICFG_FAILED);
	} else if (ret) {
		icfg_txn_drop_hidden(txn);
		set_state(txn, ICFG_STAGED);
	} else if (run->confirm) {
		icfg_txn_keep_undo(txn, run);
		set_state(txn, ICFG_UNCONFIRMED);
		arm_timer(txn);
	} else {
		icfg_txn_keep_undo(txn, run);
		set_state(txn, ICFG_COMMITTED);
	}
}

/**
 * icfg_txn_commit - commit, all or nothing
 * @txn: the transaction
 *
 * Blocks until done; signals do not stop it. Returns 0 when done, -ECANCELED
 * when it was tried and everything is as before, -EIO when something could not
 * be put back, anything else when it was refused and nothing was touched.
 */
int icfg_txn_commit(struct icfg_txn *txn)
{
	struct icfg_run *run;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	scoped_guard(mutex, &txn->checking)
		ret = begin_commit(txn, &run);
	if (ret) {
		icfg_txn_undepend(txn);
		return ret;
	}

	ret = prepare_commit(run);
	if (!ret) {
		reset_statuses(run);
		if (icfg_engine_has_work(run))
			ret = icfg_engine_commit(run);
		set_statuses(run);
	}

	if (ret || !run->confirm) {
		icfg_run_unpin(run);
		icfg_unclaim(txn);
	}
	end_commit(txn, run, ret);
	icfg_gate_leave();

	if (!ret)
		send_uevents(run);
	icfg_run_put(run);
	return ret;
}

/**
 * icfg_txn_confirm - keep an unconfirmed commit
 * @txn: the transaction
 *
 * Returns 0 or -EBUSY where there is nothing to confirm (any more).
 */
int icfg_txn_confirm(struct icfg_txn *txn)
{
	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_UNCONFIRMED)
		return -EBUSY;

	disarm_timer(txn);
	icfg_run_unpin(txn->undo);
	icfg_unclaim(txn);
	icfg_txn_undepend(txn);
	set_state(txn, ICFG_COMMITTED);
	return 0;
}

/*
 * The rollback itself: in ICFG_ROLLING_BACK, inside the gate, with the
 * directory depended upon. @from is the state to return to when refused.
 */
static int roll_back(struct icfg_txn *txn, struct icfg_run *run,
		     enum icfg_asker asker, enum icfg_state from)
{
	bool refused, rests;
	int ret;

	icfg_claim(run);
	ret = icfg_check_rollback(run, txn->undo, asker);
	refused = ret;
	if (!refused) {
		if (icfg_engine_has_touched(run))
			icfg_generation_raise(0);
		ret = icfg_engine_rollback(run);
		set_statuses(run);
	}

	/* Refused, an unconfirmed commit waits on and keeps what it has. */
	rests = !refused || from != ICFG_UNCONFIRMED;
	icfg_run_unpin(run);
	if (rests)
		icfg_unclaim(txn);

	scoped_guard(mutex, &txn->lock) {
		if (rests)
			icfg_txn_undepend(txn);
		if (refused) {
			set_state(txn, from);
		} else {
			icfg_txn_keep_undo(txn, run);
			set_state(txn, ret ? ICFG_FAILED : ICFG_ROLLED_BACK);
		}
	}
	icfg_gate_leave();

	if (!refused)
		send_uevents(run);
	icfg_run_put(run);
	return ret;
}

static int begin_rollback(struct icfg_txn *txn, struct icfg_run **run,
			  enum icfg_state *from)
{
	int ret;

	guard(mutex)(&txn->lock);

	*from = txn->state;
	if (*from != ICFG_UNCONFIRMED && *from != ICFG_COMMITTED &&
	    *from != ICFG_FAILED)
		return -EBUSY;

	ret = new_run(txn, run);
	if (!ret)
		set_state(txn, ICFG_ROLLING_BACK);
	return ret;
}

/* Come back later; the work keeps its reference. */
static void timer_again(struct icfg_txn *txn, unsigned long delay)
{
	if (!queue_delayed_work(timer_wq, &txn->timer, delay))
		config_item_put(&txn->dir.cg_item);
}

/* A rollback by hand is over: what is left for the timer to do? */
static void settle_timer(struct icfg_txn *txn)
{
	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_UNCONFIRMED) {
		disarm_timer(txn);
	} else if (!delayed_work_pending(&txn->timer)) {
		/* It came due in vain while the rollback was being refused. */
		config_item_get(&txn->dir.cg_item);
		timer_again(txn, 0);
	}
}

/**
 * icfg_txn_rollback - undo the commit, by hand
 * @txn: the transaction
 *
 * Returns 0; -EIO when something could not be put back, which can be tried
 * again; anything else when it was refused and nothing was touched.
 */
int icfg_txn_rollback(struct icfg_txn *txn)
{
	struct icfg_run *run;
	enum icfg_state from;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	ret = begin_rollback(txn, &run, &from);
	/* An unconfirmed commit is depended upon already: once is enough. */
	if (ret || from == ICFG_UNCONFIRMED)
		icfg_txn_undepend(txn);
	if (ret)
		return ret;

	ret = roll_back(txn, run, from == ICFG_FAILED ? ICFG_BY_HAND_AGAIN :
							ICFG_BY_HAND, from);
	if (from == ICFG_UNCONFIRMED)
		settle_timer(txn);
	return ret;
}

/*
 * Begin to roll back, or arrange for another try. Returns the run, or NULL where
 * there is nothing to do now; the work keeps its reference only if it is queued
 * again.
 */
static struct icfg_run *begin_timer(struct icfg_txn *txn)
{
	u64 now = icfg_gate_clock();
	enum icfg_gate gate;
	struct icfg_run *run;

	lockdep_assert_held(&txn->lock);

	/* Started anew while this work was on its way, or was there a suspend? */
	if (time_before64(now, txn->deadline)) {
		timer_again(txn, txn->deadline - now);
		return NULL;
	}

	gate = icfg_gate_enter();
	if (gate == ICFG_GATE_REBOOT) {
		config_item_put(&txn->dir.cg_item);
		return NULL;
	}
	/* A suspend that begins: this will be after the resume. */
	run = gate == ICFG_GATE_OPEN ? icfg_run_new(txn) : NULL;
	if (!run) {
		if (gate == ICFG_GATE_OPEN)
			icfg_gate_leave();
		timer_again(txn, HZ);
		return NULL;
	}

	begin_report(txn);
	set_state(txn, ICFG_ROLLING_BACK);
	return run;
}

static void timer_work(struct work_struct *work)
{
	struct icfg_txn *txn = container_of(to_delayed_work(work),
					    struct icfg_txn, timer);
	struct icfg_run *run = NULL;
	bool waits;

	scoped_guard(mutex, &txn->lock) {
		waits = txn->state == ICFG_UNCONFIRMED;
		if (waits)
			run = begin_timer(txn);
	}
	if (waits && !run)
		return;

	if (run && roll_back(txn, run, ICFG_BY_TIMER, ICFG_UNCONFIRMED)) {
		scoped_guard(mutex, &txn->lock) {
			/* Refused for want of memory: it does not give up. */
			waits = txn->state == ICFG_UNCONFIRMED;
			if (waits)
				timer_again(txn, HZ);
		}
		if (waits)
			return;
	}
	config_item_put(&txn->dir.cg_item);
}

/**
 * icfg_txn_set_confirm_timeout - how long a commit waits to be confirmed
 * @txn: the transaction, locked
 * @seconds: 0 to ICFG_CONFIRM_MAX
 *
 * Starts the countdown anew where it runs. Returns 0, or -EBUSY in a state in
 * which it cannot be set.
 */
int icfg_txn_set_confirm_timeout(struct icfg_txn *txn, unsigned int seconds)
{
	lockdep_assert_held(&txn->lock);

	if (txn->state != ICFG_STAGED &&
	    (txn->state != ICFG_UNCONFIRMED || !seconds))
		return -EBUSY;

	txn->confirm_timeout = seconds;
	if (txn->state == ICFG_UNCONFIRMED)
		arm_timer(txn);
	return 0;
}

void icfg_txn_init_timer(struct icfg_txn *txn)
{
	INIT_DELAYED_WORK(&txn->timer, timer_work);
}
