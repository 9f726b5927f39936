// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a transaction, the confirm timer, and the take-back of what
 * returns late.
 *
 * In: the actions that user space writes, the timer, and steps that return. Out:
 * the state, the statuses and methods of groups, uevents. Called by configfs.c;
 * apply.c does what is done to the hardware.
 *
 * Owns txn->state and the timer, which txn->lock protects. A plan runs without
 * that lock: txn->state alone excludes other plans, and while it is not
 * ICFG_STAGED the list of groups does not change. txn->busy is taken outside of
 * txn->lock.
 *
 * While a transaction runs or waits to be confirmed, configfs is told that
 * something depends on its directory. rmdir then answers EBUSY at once; without
 * that it would wait for our store method with the inodes locked, and every
 * reader with it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/kobject.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "core.h"
#include "icfg.h"
#include "trace.h"

static struct workqueue_struct *timer_wq;

int icfg_txn_init(void)
{
	/*
	 * Not the steps' queue: a rollback waits for steps. It has to begin
	 * without memory, too.
	 */
	timer_wq = alloc_workqueue("iommu-configfs-timer",
				   WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return timer_wq ? 0 : -ENOMEM;
}

void icfg_txn_exit(void)
{
	destroy_workqueue(timer_wq);
}

/* The capabilities that the core asks of a writer of `type`. */
bool icfg_capable(void)
{
	return capable(CAP_SYS_ADMIN) && capable(CAP_SYS_RAWIO);
}

static void set_state(struct icfg_txn *txn, enum icfg_state state)
{
	enum icfg_state old = txn->state;

	lockdep_assert_held(&txn->lock);

	/* Shown without the lock. */
	WRITE_ONCE(txn->state, state);
	trace_icfg_state(txn, old);
}

static void begin_report(struct icfg_txn *txn)
{
	icfg_report_clear(&txn->report);
	atomic_set(&txn->done, 0);
	atomic_set(&txn->total, 0);
}

/* Tell user space of every member of the groups that @plan changed. */
static void send_uevents(struct icfg_plan *plan)
{
	char type[ICFG_TYPE_WORD + 16];
	struct icfg_plan_group *pg;
	struct icfg_plan_dev *d;
	char *name, *envp[3] = { type };

	name = kasprintf(GFP_KERNEL, "IOMMU_TRANSACTION=%s",
			 icfg_txn_name(plan->txn));
	/* Without memory the event goes out without its name. */
	envp[1] = name;

	icfg_for_each_dev(d, plan) {
		pg = d->group;
		if (!d->member || d->state == ICFG_DEV_GONE || pg->failed ||
		    (plan->reverting ? !pg->modified ||
				       pg->revert == ICFG_REVERT_ELSEWHERE :
				       pg->method == ICFG_METHOD_UNCHANGED))
			continue;
		snprintf(type, sizeof(type), "IOMMU_TYPE=%s",
			 icfg_type_word(pg->cur));
		kobject_uevent_env(&d->dev->kobj, KOBJ_CHANGE, envp);
	}
	kfree(name);
}

static enum icfg_status revert_status(const struct icfg_plan_group *pg)
{
	if (pg->failed)
		return ICFG_S_FAILED;
	return pg->modified ? ICFG_S_RESTORED : ICFG_S_UNCHANGED;
}

static enum icfg_status commit_status(const struct icfg_plan_group *pg)
{
	switch (pg->method) {
	case ICFG_METHOD_PAUSE:
	case ICFG_METHOD_REBIND:
		return ICFG_S_CHANGED;
	case ICFG_METHOD_IN_PLACE:
		return ICFG_S_IN_PLACE;
	default:
		return ICFG_S_UNCHANGED;
	}
}

static void set_statuses(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan)
		pg->staged->status = plan->reverting ? revert_status(pg) :
						       commit_status(pg);
}

/* What an earlier try left does not hold any more. */
static void reset_statuses(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan)
		pg->staged->status = ICFG_S_STAGED;
}

/* Start the countdown, or start it anew. */
static void arm_timer(struct icfg_txn *txn)
{
	lockdep_assert_held(&txn->lock);

	/* The work holds a reference; one that is pending keeps the one it has. */
	txn->deadline = icfg_pm_clock() + (u64)txn->confirm_timeout * HZ;
	config_item_get(&txn->dir.cg_item);
	if (mod_delayed_work(timer_wq, &txn->timer,
			     (unsigned long)txn->confirm_timeout * HZ))
		config_item_put(&txn->dir.cg_item);
}

/* Let the timer's work run later; it keeps the reference that it has. */
static void timer_again(struct icfg_txn *txn, unsigned long delay)
{
	if (!queue_delayed_work(timer_wq, &txn->timer, delay))
		config_item_put(&txn->dir.cg_item);
}

static void disarm_timer(struct icfg_txn *txn)
{
	lockdep_assert_held(&txn->lock);

	txn->deadline = 0;
	/* Work that is running already finds another state. */
	if (cancel_delayed_work(&txn->timer))
		config_item_put(&txn->dir.cg_item);
}

/**
 * icfg_txn_remaining - until a commit that is not confirmed is reverted
 * @txn: the transaction
 *
 * In seconds, rounded up; 0 where nothing counts down, or it is due.
 */
unsigned int icfg_txn_remaining(struct icfg_txn *txn)
{
	u64 now;

	guard(mutex)(&txn->lock);

	if (!txn->deadline || (txn->state != ICFG_COMMITTING &&
			       txn->state != ICFG_UNCONFIRMED))
		return 0;
	now = icfg_pm_clock();
	return time_before64(now, txn->deadline) ?
	       DIV_ROUND_UP_ULL(txn->deadline - now, HZ) : 0;
}

/* Restore later what a step keeps from being restored that has not returned. */
VISIBLE_IF_KUNIT void icfg_txn_queue_take_back(struct icfg_txn *txn,
					       unsigned long delay)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_txn_queue_take_back, txn, delay);

	config_item_get(&txn->dir.cg_item);
	if (!queue_delayed_work(timer_wq, &txn->take_back, delay))
		config_item_put(&txn->dir.cg_item);
}

/* A step that was left has returned: its group can be restored, if it waits. */
static void step_returned(struct icfg_plan *plan)
{
	icfg_txn_queue_take_back(plan->txn, 0);
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

/* Exclude suspend and reboot, with a new plan and an empty report; or report why not. */
static int new_plan(struct icfg_txn *txn, struct icfg_plan **plan)
{
	enum icfg_pm pm = icfg_pm_enter();

	lockdep_assert_held(&txn->lock);

	if (pm != ICFG_PM_RUNNING) {
		begin_report(txn);
		icfg_report_add(&txn->report, ICFG_NO_GROUP, NULL, ICFG_CHECK, -EBUSY,
				pm == ICFG_PM_SUSPEND ?
				"the system is being suspended" :
				"the system is going down");
		return -EBUSY;
	}

	*plan = icfg_plan_new(txn);
	if (!*plan) {
		icfg_pm_leave();
		return -ENOMEM;
	}

	(*plan)->step_returned = step_returned;
	begin_report(txn);
	return 0;
}

/* The states in which a check or a commit begins, and a rollback. */
static bool can_commit(enum icfg_state state)
{
	return state == ICFG_STAGED;
}

static bool can_roll_back(enum icfg_state state)
{
	return state == ICFG_UNCONFIRMED || state == ICFG_COMMITTED ||
	       state == ICFG_FAILED;
}

/*
 * Wait for a check, which takes seconds, or for a take-back, which takes as long
 * as a step may: not so that the hung task detector reports the writer, and not
 * in a state that refuses it anyway.
 */
static bool lock_busy(struct icfg_txn *txn, bool (*can)(enum icfg_state state))
{
	while (can(READ_ONCE(txn->state))) {
		if (mutex_trylock(&txn->busy))
			return true;
		schedule_timeout_uninterruptible(HZ / 50);
	}
	return false;
}

/* What begins in ICFG_STAGED: a commit, or a check, for which @state stays that. */
static int begin_staged(struct icfg_txn *txn, struct icfg_plan **plan,
			enum icfg_state state)
{
	int ret;

	guard(mutex)(&txn->lock);

	if (!can_commit(txn->state))
		return -EBUSY;

	ret = new_plan(txn, plan);
	if (!ret)
		set_state(txn, state);
	return ret;
}

/* Returns the errno to refuse @plan with, or 0. */
static int check_generation(struct icfg_plan *plan)
{
	u64 generation = icfg_generation();

	if (!plan->expected || plan->expected == generation)
		return 0;

	icfg_report_add(&plan->txn->report, ICFG_NO_GROUP, NULL, ICFG_CHECK,
			-ESTALE, "the generation is %llu, expected was %llu",
			generation, plan->expected);
	icfg_refuse_errno(plan, -ESTALE);
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
	struct icfg_plan *plan;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	if (!lock_busy(txn, can_commit)) {
		icfg_txn_undepend(txn);
		return -EBUSY;
	}
	ret = begin_staged(txn, &plan, ICFG_STAGED);
	if (!ret) {
		check_generation(plan);
		icfg_own_check(plan);
		ret = icfg_validate_commit(plan);
		icfg_plan_put(plan);
		icfg_pm_leave();
	}
	mutex_unlock(&txn->busy);

	icfg_txn_undepend(txn);
	return ret;
}

/* Everything up to the first touch. Returns 0 or the errno to refuse with. */
static int prepare_commit(struct icfg_plan *plan)
{
	int ret;

	check_generation(plan);
	/* Claimed before they are looked at, so that what is seen holds. */
	icfg_own(plan, false);
	ret = icfg_validate_commit(plan);
	if (ret || !icfg_apply_has_work(plan))
		return ret;

	/* Compared and raised under one lock: the first of two gets it. */
	if (icfg_generation_raise(plan->expected))
		return 0;
	return check_generation(plan);
}

/*
 * Groups of @plan wait for a step that was given up on: keep the plan, and for it
 * the transaction's directory and groups, until the step has returned.
 */
static bool keep_waiting(struct icfg_txn *txn, struct icfg_plan *plan)
{
	lockdep_assert_held(&txn->lock);

	if (!icfg_apply_is_waiting(plan))
		return false;

	list_add_tail(&icfg_plan_get(plan)->node, &txn->waiting);
	icfg_pm_enter_hanging();
	/* It may have returned before it was in the list. */
	icfg_txn_queue_take_back(txn, 0);
	return true;
}

/* The first touch: from now on the timer may interrupt the commit. */
static void begin_countdown(struct icfg_txn *txn, struct icfg_plan *plan)
{
	guard(mutex)(&txn->lock);

	txn->plan = plan;
	if (plan->confirm)
		arm_timer(txn);
}

/* The commit is over: note what became of it. @ret is what it returns. */
static void end_commit(struct icfg_txn *txn, struct icfg_plan *plan, int ret)
{
	bool expired;

	guard(mutex)(&txn->lock);

	txn->plan = NULL;
	expired = READ_ONCE(plan->stop) == ICFG_STOP_NOW;
	if (ret && expired)
		icfg_report_add(&txn->report, ICFG_NO_GROUP, NULL, ICFG_RESTORE,
				-ETIMEDOUT, "confirm_timeout ran out");
	if (ret)
		disarm_timer(txn);

	/* Before the state says so; a racing rmdir waits for the lock. */
	if (ret == -EIO ? !keep_waiting(txn, plan) : ret || !plan->confirm)
		icfg_txn_undepend(txn);
	if (ret == -EIO) {
		icfg_txn_keep_undo(txn, plan);
		set_state(txn, ICFG_FAILED);
	} else if (ret) {
		icfg_txn_drop_hidden(txn);
		set_state(txn, ICFG_STAGED);
	} else if (plan->confirm) {
		icfg_txn_keep_undo(txn, plan);
		set_state(txn, ICFG_UNCONFIRMED);
		/* It came due when there was nothing left to interrupt. */
		if (expired) {
			config_item_get(&txn->dir.cg_item);
			timer_again(txn, 0);
		} else if (!txn->deadline) {
			arm_timer(txn);
		}
	} else {
		icfg_txn_keep_undo(txn, plan);
		set_state(txn, ICFG_COMMITTED);
	}
}

static void warn_failed(struct icfg_txn *txn, const char *what)
{
	pr_warn("transaction %s: %s failed, not everything could be restored: see its report\n",
		icfg_txn_name(txn), what);
}

/**
 * icfg_txn_commit - commit, all or nothing
 * @txn: the transaction
 *
 * Blocks until done or given up on; signals do not stop it. Returns 0 when done,
 * -ECANCELED when it was tried and everything is as before, -EIO when something
 * could not be restored (yet), anything else when it was refused and nothing was
 * touched.
 */
int icfg_txn_commit(struct icfg_txn *txn)
{
	struct icfg_plan *plan;
	unsigned int noio;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	ret = -EBUSY;
	if (lock_busy(txn, can_commit)) {
		ret = begin_staged(txn, &plan, ICFG_COMMITTING);
		mutex_unlock(&txn->busy);
	}
	if (ret) {
		icfg_txn_undepend(txn);
		return ret;
	}

	ret = prepare_commit(plan);
	/* Memory must not be reclaimed through a device that is unbound, or stays so. */
	noio = memalloc_noio_save();
	if (!ret) {
		reset_statuses(plan);
		if (icfg_apply_has_work(plan)) {
			begin_countdown(txn, plan);
			ret = icfg_apply_commit(plan);
		}
		set_statuses(plan);
	}
	if (ret == -EIO)
		warn_failed(txn, "a commit");

	if (ret || !plan->confirm) {
		icfg_plan_put_drivers(plan);
		icfg_disown(plan);
	}
	end_commit(txn, plan, ret);
	memalloc_noio_restore(noio);
	icfg_pm_leave();

	if (!ret)
		send_uevents(plan);
	icfg_plan_put(plan);
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
	icfg_plan_put_drivers(txn->undo);
	icfg_disown(txn->undo);
	icfg_txn_undepend(txn);
	set_state(txn, ICFG_COMMITTED);
	return 0;
}

/* The rollback is over, or refused: @from is the state that it began in. */
static void end_rollback(struct icfg_txn *txn, struct icfg_plan *plan, int ret,
			 bool refused, enum icfg_state from,
			 enum icfg_trigger trigger)
{
	bool keeps_dir = refused && from == ICFG_UNCONFIRMED;

	guard(mutex)(&txn->lock);

	if (refused) {
		set_state(txn, from);
		/*
		 * One by hand: the timer may have come due in vain meanwhile. One by the
		 * timer, refused for lack of memory: it does not give up.
		 */
		if (from == ICFG_UNCONFIRMED && !delayed_work_pending(&txn->timer)) {
			config_item_get(&txn->dir.cg_item);
			timer_again(txn, trigger == ICFG_BY_TIMER ? HZ : 0);
		}
	} else {
		keeps_dir = keep_waiting(txn, plan);
		disarm_timer(txn);
		icfg_txn_keep_undo(txn, plan);
		set_state(txn, ret ? ICFG_FAILED : ICFG_ROLLED_BACK);
	}
	if (!keeps_dir)
		icfg_txn_undepend(txn);
	/* What has returned meanwhile was left for later. */
	if (!list_empty(&txn->waiting))
		icfg_txn_queue_take_back(txn, 0);
}

/*
 * The rollback itself: in ICFG_ROLLING_BACK, with suspend excluded and the
 * directory depended upon. @from is the state to return to when refused.
 */
static int roll_back(struct icfg_txn *txn, struct icfg_plan *plan,
		     enum icfg_trigger trigger, enum icfg_state from)
{
	bool refused;
	int ret;

	/* Of what failed, a group that is not had does not keep the others. */
	icfg_own(plan, trigger == ICFG_BY_HAND_AGAIN);
	ret = icfg_validate_rollback(plan, txn->undo, trigger);
	refused = ret;
	if (!refused) {
		if (icfg_apply_has_modified(plan))
			icfg_generation_raise(0);
		ret = icfg_apply_rollback(plan);
		set_statuses(plan);
	}
	if (ret == -EIO)
		warn_failed(txn, "a rollback");

	icfg_plan_put_drivers(plan);
	/* Refused, an unconfirmed commit, or what waits, keeps what it has. */
	if (refused)
		icfg_disown_new(plan);
	else
		icfg_disown(plan);
	end_rollback(txn, plan, ret, refused, from, trigger);
	icfg_pm_leave();

	if (!ret)
		send_uevents(plan);
	icfg_plan_put(plan);
	return ret;
}

static int begin_rollback(struct icfg_txn *txn, struct icfg_plan **plan,
			  enum icfg_state *from)
{
	int ret;

	guard(mutex)(&txn->lock);

	*from = txn->state;
	if (!can_roll_back(*from))
		return -EBUSY;

	ret = new_plan(txn, plan);
	if (!ret)
		set_state(txn, ICFG_ROLLING_BACK);
	return ret;
}

/**
 * icfg_txn_rollback - undo the commit, by hand
 * @txn: the transaction
 *
 * Waits for a take-back that is running. Returns 0; -EIO when something could not
 * be restored (yet), which can be tried again; anything else when it was refused
 * and nothing was touched.
 */
int icfg_txn_rollback(struct icfg_txn *txn)
{
	struct icfg_plan *plan;
	enum icfg_state from;
	unsigned int noio;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	/* Not through a device whose new domain is what the rollback is for. */
	noio = memalloc_noio_save();
	ret = -EBUSY;
	if (lock_busy(txn, can_roll_back)) {
		ret = begin_rollback(txn, &plan, &from);
		mutex_unlock(&txn->busy);
	}
	/* An unconfirmed commit is depended upon already: once is enough. */
	if (ret || from == ICFG_UNCONFIRMED)
		icfg_txn_undepend(txn);
	if (!ret)
		ret = roll_back(txn, plan, from == ICFG_FAILED ?
				ICFG_BY_HAND_AGAIN : ICFG_BY_HAND, from);
	memalloc_noio_restore(noio);
	return ret;
}

/*
 * The timer came due. Returns the plan of the rollback that begins; or NULL where
 * there is none, and then the work keeps its reference only if it is queued again.
 */
static struct icfg_plan *begin_timer(struct icfg_txn *txn)
{
	u64 now = icfg_pm_clock();
	struct icfg_plan *plan;
	enum icfg_pm pm;

	lockdep_assert_held(&txn->lock);

	/* Was it started anew while this work was on its way, or was there a suspend? */
	if (time_before64(now, txn->deadline)) {
		timer_again(txn, txn->deadline - now);
		return NULL;
	}

	/* What runs goes on to its end, for which the reboot waits. */
	if (txn->state == ICFG_COMMITTING && !icfg_pm_is_reboot()) {
		txn->plan->expired_at = jiffies;
		icfg_plan_stop(txn->plan, ICFG_STOP_NOW);
		pr_notice("transaction %s is not done within confirm_timeout, taking it back\n",
			  icfg_txn_name(txn));
		config_item_put(&txn->dir.cg_item);
		return NULL;
	}

	pm = icfg_pm_enter();
	if (pm == ICFG_PM_REBOOT) {
		config_item_put(&txn->dir.cg_item);
		return NULL;
	}
	/* A suspend that begins: this will be after the resume. */
	plan = pm == ICFG_PM_RUNNING ? icfg_plan_new(txn) : NULL;
	if (!plan) {
		if (pm == ICFG_PM_RUNNING)
			icfg_pm_leave();
		timer_again(txn, HZ);
		return NULL;
	}

	pr_notice("transaction %s was not confirmed within %u s, rolling it back\n",
		  icfg_txn_name(txn), txn->confirm_timeout);
	plan->step_returned = step_returned;
	begin_report(txn);
	set_state(txn, ICFG_ROLLING_BACK);
	return plan;
}

static void timer_work(struct work_struct *work)
{
	struct icfg_txn *txn = container_of(to_delayed_work(work),
					    struct icfg_txn, timer);
	struct icfg_plan *plan = NULL;
	unsigned int noio;
	bool waits;

	/* Not through a device whose new domain is what the rollback is for. */
	noio = memalloc_noio_save();
	scoped_guard(mutex, &txn->lock) {
		/* Of a commit that ended while this was on its way there is no deadline. */
		waits = txn->deadline && (txn->state == ICFG_UNCONFIRMED ||
			(txn->state == ICFG_COMMITTING && txn->plan));
		if (waits)
			plan = begin_timer(txn);
	}

	if (plan)
		roll_back(txn, plan, ICFG_BY_TIMER, ICFG_UNCONFIRMED);
	memalloc_noio_restore(noio);
	/* Else begin_timer() has put it, or queued the work again with it. */
	if (plan || !waits)
		config_item_put(&txn->dir.cg_item);
}

/* Note what a take-back did to the groups that waited until then. */
static void note_taken_back(struct icfg_txn *txn, struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	lockdep_assert_held(&txn->lock);

	icfg_for_each_group(pg, plan) {
		if (pg->revert != ICFG_REVERT_DONE)
			continue;
		pg->staged->status = revert_status(pg);
		pr_notice("transaction %s, group %u: what hung has returned, the group is %s\n",
			  icfg_txn_name(txn), pg->staged->id,
			  icfg_status_word(pg->staged->status));
	}
	/* A rollback that was tried meanwhile is the record of what there is to undo. */
	if (txn->undo && txn->undo != plan)
		icfg_plan_carry_over(plan, txn->undo);
}

/* Restore the groups of @plan whose steps have returned. */
static void take_back_plan(struct icfg_txn *txn, struct icfg_plan *plan)
{
	unsigned int noio = memalloc_noio_save();
	struct icfg_plan_group *pg;
	bool waits;

	icfg_for_each_group(pg, plan)
		if (pg->revert == ICFG_REVERT_DONE)
			pg->revert = ICFG_REVERT_NOTED;
	icfg_apply_take_back(plan);
	memalloc_noio_restore(noio);
	icfg_plan_put_drivers(plan);
	icfg_disown(plan);

	scoped_guard(mutex, &txn->lock) {
		note_taken_back(txn, plan);
		waits = icfg_apply_is_waiting(plan);
		if (!waits) {
			list_del_init(&plan->node);
			icfg_txn_undepend(txn);
		}
	}
	if (!waits) {
		icfg_pm_leave_hanging();
		icfg_plan_put(plan);
	}
}

static void take_back(struct icfg_txn *txn)
{
	struct icfg_plan *plan, *next;
	enum icfg_pm pm;
	bool waits;

	lockdep_assert_held(&txn->busy);

	/*
	 * A rollback that is running looks again at its end. A commit that ends has queued
	 * this just before it is in ICFG_FAILED: the lock waits for that.
	 */
	scoped_guard(mutex, &txn->lock)
		waits = txn->state == ICFG_FAILED && !list_empty(&txn->waiting);
	if (!waits)
		return;

	pm = icfg_pm_enter();
	if (pm == ICFG_PM_SUSPEND)
		icfg_txn_queue_take_back(txn, HZ);
	if (pm != ICFG_PM_RUNNING)
		return;

	list_for_each_entry_safe(plan, next, &txn->waiting, node)
		take_back_plan(txn, plan);
	icfg_pm_leave();
}

static void take_back_work(struct work_struct *work)
{
	struct icfg_txn *txn = container_of(to_delayed_work(work),
					    struct icfg_txn, take_back);

	scoped_guard(mutex, &txn->busy)
		take_back(txn);
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

	switch (txn->state) {
	case ICFG_STAGED:
		break;
	case ICFG_COMMITTING:
		/* Too late where it is due already. */
		if (!seconds || !txn->confirm_timeout ||
		    (txn->plan && READ_ONCE(txn->plan->stop) == ICFG_STOP_NOW))
			return -EBUSY;
		break;
	case ICFG_UNCONFIRMED:
		if (!seconds)
			return -EBUSY;
		break;
	default:
		return -EBUSY;
	}

	txn->confirm_timeout = seconds;
	if (txn->deadline)
		arm_timer(txn);
	return 0;
}

void icfg_txn_init_work(struct icfg_txn *txn)
{
	INIT_DELAYED_WORK(&txn->timer, timer_work);
	INIT_DELAYED_WORK(&txn->take_back, take_back_work);
}
