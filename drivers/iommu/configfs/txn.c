// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a transaction: who may do what when, the confirm timer,
 * and what is left of a commit afterwards. What happens to the hardware is
 * apply.c's business.
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

#include "core.h"
#include "icfg.h"

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
 * Pass the gate, or report why not. Without a plan there is no group to name.
 */
static int enter_pm(struct icfg_txn *txn)
{
	enum icfg_pm pm = icfg_pm_enter();

	if (pm == ICFG_PM_RUNNING)
		return 0;

	begin_report(txn);
	icfg_report_add(&txn->report, ICFG_NO_GROUP, NULL, ICFG_CHECK, -EBUSY,
			pm == ICFG_PM_SUSPEND ?
			"the system is being suspended" :
			"the system is going down");
	return -EBUSY;
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
		if (!d->member || d->gone || pg->failed ||
		    (plan->reverting ? !pg->modified : pg->method == ICFG_METHOD_NONE))
			continue;
		snprintf(type, sizeof(type), "IOMMU_TYPE=%s",
			 icfg_type_word(pg->cur));
		kobject_uevent_env(&d->dev->kobj, KOBJ_CHANGE, envp);
	}
	kfree(name);
}

static void set_statuses(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan) {
		enum icfg_status *status = &pg->staged->status;

		if (!plan->reverting)
			*status = pg->method == ICFG_METHOD_NONE ? ICFG_S_UNCHANGED :
				  pg->method == ICFG_METHOD_IN_PLACE ? ICFG_S_IN_PLACE :
				  ICFG_S_CHANGED;
		else if (pg->failed)
			*status = ICFG_S_FAILED;
		else
			*status = pg->modified ? ICFG_S_RESTORED :
					       ICFG_S_UNCHANGED;
	}
}

/* What an earlier try left does not hold any more. */
static void reset_statuses(struct icfg_plan *plan)
{
	struct icfg_plan_group *pg;

	guard(mutex)(&plan->txn->lock);

	icfg_for_each_group(pg, plan)
		pg->staged->status = ICFG_S_STAGED;
}

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
static int new_run(struct icfg_txn *txn, struct icfg_plan **plan)
{
	int ret;

	lockdep_assert_held(&txn->lock);

	ret = enter_pm(txn);
	if (ret)
		return ret;

	*plan = icfg_plan_new(txn);
	if (!*plan) {
		icfg_pm_leave();
		return -ENOMEM;
	}

	begin_report(txn);
	return 0;
}

static int begin_check(struct icfg_txn *txn, struct icfg_plan **plan)
{
	guard(mutex)(&txn->lock);

	return txn->state == ICFG_STAGED ? new_run(txn, plan) : -EBUSY;
}

static int begin_commit(struct icfg_txn *txn, struct icfg_plan **plan)
{
	int ret;

	guard(mutex)(&txn->lock);

	if (txn->state != ICFG_STAGED)
		return -EBUSY;

	ret = new_run(txn, plan);
	if (!ret)
		set_state(txn, ICFG_COMMITTING);
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

	/* A commit waits for the check, which is a matter of seconds. */
	mutex_lock(&txn->checking);
	ret = begin_check(txn, &plan);
	if (!ret) {
		check_generation(plan);
		icfg_own_check(plan);
		ret = icfg_validate_commit(plan);
		icfg_plan_put(plan);
		icfg_pm_leave();
	}
	mutex_unlock(&txn->checking);

	icfg_txn_undepend(txn);
	return ret;
}

/* Everything up to the first touch. Returns 0 or the errno to refuse with. */
static int prepare_commit(struct icfg_plan *plan)
{
	int ret;

	check_generation(plan);
	/* Claimed before they are looked at, so that what is seen holds. */
	icfg_own(plan);
	ret = icfg_validate_commit(plan);
	if (ret || !icfg_apply_has_work(plan))
		return ret;

	/* Compared and raised under one lock: the first of two gets it. */
	if (icfg_generation_raise(plan->expected))
		return 0;
	return check_generation(plan);
}

/* The commit is through: note what became of it. @ret is what it returns. */
static void end_commit(struct icfg_txn *txn, struct icfg_plan *plan, int ret)
{
	guard(mutex)(&txn->lock);

	/* Before the state says so; a racing rmdir waits for the lock. */
	if (ret || !plan->confirm)
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
		arm_timer(txn);
	} else {
		icfg_txn_keep_undo(txn, plan);
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
	struct icfg_plan *plan;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	scoped_guard(mutex, &txn->checking)
		ret = begin_commit(txn, &plan);
	if (ret) {
		icfg_txn_undepend(txn);
		return ret;
	}

	ret = prepare_commit(plan);
	if (!ret) {
		reset_statuses(plan);
		if (icfg_apply_has_work(plan))
			ret = icfg_apply_commit(plan);
		set_statuses(plan);
	}

	if (ret || !plan->confirm) {
		icfg_plan_put_drivers(plan);
		icfg_disown(txn);
	}
	end_commit(txn, plan, ret);
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
	icfg_disown(txn);
	icfg_txn_undepend(txn);
	set_state(txn, ICFG_COMMITTED);
	return 0;
}

/*
 * The rollback itself: in ICFG_ROLLING_BACK, inside the gate, with the
 * directory depended upon. @from is the state to return to when refused.
 */
static int roll_back(struct icfg_txn *txn, struct icfg_plan *plan,
		     enum icfg_trigger trigger, enum icfg_state from)
{
	bool refused, rests;
	int ret;

	icfg_own(plan);
	ret = icfg_validate_rollback(plan, txn->undo, trigger);
	refused = ret;
	if (!refused) {
		if (icfg_apply_has_modified(plan))
			icfg_generation_raise(0);
		ret = icfg_apply_rollback(plan);
		set_statuses(plan);
	}

	/* Refused, an unconfirmed commit waits on and keeps what it has. */
	rests = !refused || from != ICFG_UNCONFIRMED;
	icfg_plan_put_drivers(plan);
	if (rests)
		icfg_disown(txn);

	scoped_guard(mutex, &txn->lock) {
		if (rests)
			icfg_txn_undepend(txn);
		if (refused) {
			set_state(txn, from);
		} else {
			icfg_txn_keep_undo(txn, plan);
			set_state(txn, ret ? ICFG_FAILED : ICFG_ROLLED_BACK);
		}
	}
	icfg_pm_leave();

	if (!refused)
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
	if (*from != ICFG_UNCONFIRMED && *from != ICFG_COMMITTED &&
	    *from != ICFG_FAILED)
		return -EBUSY;

	ret = new_run(txn, plan);
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
	struct icfg_plan *plan;
	enum icfg_state from;
	int ret;

	ret = icfg_txn_depend(txn);
	if (ret)
		return ret;

	ret = begin_rollback(txn, &plan, &from);
	/* An unconfirmed commit is depended upon already: once is enough. */
	if (ret || from == ICFG_UNCONFIRMED)
		icfg_txn_undepend(txn);
	if (ret)
		return ret;

	ret = roll_back(txn, plan, from == ICFG_FAILED ? ICFG_BY_HAND_AGAIN :
							ICFG_BY_HAND, from);
	if (from == ICFG_UNCONFIRMED)
		settle_timer(txn);
	return ret;
}

/*
 * Begin to roll back, or arrange for another try. Returns the plan, or NULL where
 * there is nothing to do now; the work keeps its reference only if it is queued
 * again.
 */
static struct icfg_plan *begin_timer(struct icfg_txn *txn)
{
	u64 now = icfg_pm_clock();
	enum icfg_pm pm;
	struct icfg_plan *plan;

	lockdep_assert_held(&txn->lock);

	/* Started anew while this work was on its way, or was there a suspend? */
	if (time_before64(now, txn->deadline)) {
		timer_again(txn, txn->deadline - now);
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

	begin_report(txn);
	set_state(txn, ICFG_ROLLING_BACK);
	return plan;
}

static void timer_work(struct work_struct *work)
{
	struct icfg_txn *txn = container_of(to_delayed_work(work),
					    struct icfg_txn, timer);
	struct icfg_plan *plan = NULL;
	bool waits;

	scoped_guard(mutex, &txn->lock) {
		waits = txn->state == ICFG_UNCONFIRMED;
		if (waits)
			plan = begin_timer(txn);
	}
	if (waits && !plan)
		return;

	if (plan && roll_back(txn, plan, ICFG_BY_TIMER, ICFG_UNCONFIRMED)) {
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
