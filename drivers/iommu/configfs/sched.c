// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs steps side by side: each as soon as those that go before it are done, so
 * that a run takes as long as its slowest chain and not as the sum. A run may have
 * a width: no more steps than that run at a time, and the others begin later.
 *
 * In: a list of steps and the edges between them. Out: each selected step has run
 * once, or was left: a step that outlasts its limit is never cut short, but the
 * run no longer waits for it. Called by rebind.c, from the thread that drives a
 * plan.
 *
 * Owns the workqueue and the edges. Edges change only while none of their steps
 * runs. sched_lock protects the states of all steps and the counters of all
 * runs; a step that was left outlives the struct icfg_sched that it began in, so
 * the lock is not part of that.
 *
 * The queue is not the async one: probes wait for async work
 * (wait_for_device_probe()), and would wait for themselves. It is unbound, so
 * that a step which never sleeps does not keep others from a CPU.
 */
#include <linux/cleanup.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "icfg.h"

/* How long a step runs before it is reported as slow. */
#define SLOW		(10 * HZ)

/* How long running steps are waited for when a run is to stop. */
#define STOP_GRACE	(2 * HZ)

/* How often the running steps are looked at. */
#define POLL		(HZ / 10)

struct icfg_edge {
	struct list_head in_first;	/* in first->dependents */
	struct list_head in_second;	/* in second->deps */
	struct icfg_step *first;
	struct icfg_step *second;
};

static struct workqueue_struct *sched_wq;
static DEFINE_SPINLOCK(sched_lock);

/* For who asks without the lock: what was written before is seen with it. */
static void set_state(struct icfg_step *step, enum icfg_step_state state)
{
	lockdep_assert_held(&sched_lock);

	/* Pairs with icfg_step_is_left() and is_running(). */
	smp_store_release(&step->state, state);
}

int icfg_sched_init(void)
{
	sched_wq = alloc_workqueue("iommu-configfs", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return sched_wq ? 0 : -ENOMEM;
}

void icfg_sched_exit(void)
{
	destroy_workqueue(sched_wq);
}

/* The steps of a KUnit test run in its own threads. */
VISIBLE_IF_KUNIT void icfg_step_queue(struct icfg_step *step)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_step_queue, step);

	queue_work(sched_wq, &step->work);
}

/* @step waits for no other. */
static void make_ready(struct icfg_step *step)
{
	lockdep_assert_held(&sched_lock);

	set_state(step, ICFG_STEP_READY);
	step->sched->waiting--;
	list_add_tail(&step->ready, &step->sched->ready);
}

/* As many as may run: note them in @begin, to be queued without the lock. */
static void begin_ready(struct icfg_sched *sched, struct list_head *begin)
{
	struct icfg_step *step, *next;

	lockdep_assert_held(&sched_lock);

	/* Its time counts from here, and anew once it has a worker. */
	list_for_each_entry_safe(step, next, &sched->ready, ready) {
		if (sched->running >= (sched->width ?: WQ_MAX_ACTIVE))
			break;
		WRITE_ONCE(step->since, jiffies);
		step->limit = 0;
		set_state(step, ICFG_STEP_RUNNING);
		sched->running++;
		list_move_tail(&step->ready, begin);
	}
}

static void queue_steps(struct list_head *begin)
{
	struct icfg_step *step, *next;

	list_for_each_entry_safe(step, next, begin, ready) {
		list_del_init(&step->ready);
		icfg_step_queue(step);
	}
}

static void one_dep_less(struct icfg_step *step)
{
	if (step->state == ICFG_STEP_WAITING && !--step->pending)
		make_ready(step);
}

/* The run does not wait for @step any more: what waited for it alone may begin. */
static void end_step(struct icfg_sched *sched, struct icfg_step *step,
		     struct list_head *begin)
{
	struct icfg_edge *edge;

	lockdep_assert_held(&sched_lock);

	if (sched->done)
		atomic_inc(sched->done);

	if (sched->reverse) {
		list_for_each_entry(edge, &step->deps, in_second)
			one_dep_less(edge->first);
	} else {
		list_for_each_entry(edge, &step->dependents, in_first)
			one_dep_less(edge->second);
	}

	sched->running--;
	begin_ready(sched, begin);
	if (!sched->running)
		wake_up(sched->wait);
}

static void step_work(struct work_struct *work)
{
	struct icfg_step *step = container_of(work, struct icfg_step, work);
	void (*fn)(struct icfg_step *step) = NULL;
	void (*returned)(struct icfg_step *step) = NULL;
	unsigned int noio;
	LIST_HEAD(begin);

	scoped_guard(spinlock, &sched_lock)
		/* It may have been left before it got a worker. */
		if (step->state == ICFG_STEP_RUNNING)
			fn = step->sched->fn;

	if (fn) {
		/* A workqueue divides its workers among the nodes of a large machine. */
		WRITE_ONCE(step->since, jiffies);
		/* Memory must not be reclaimed through a disk that is released. */
		noio = memalloc_noio_save();
		fn(step);
		memalloc_noio_restore(noio);
	}

	scoped_guard(spinlock, &sched_lock) {
		if (step->state == ICFG_STEP_LEFT)
			returned = step->returned;
		else
			end_step(step->sched, step, &begin);
		set_state(step, ICFG_STEP_IDLE);
	}

	/* Nothing may touch @step after this, but for the others in @ready. */
	if (returned)
		returned(step);
	queue_steps(&begin);
}

void icfg_step_init(struct icfg_step *step)
{
	INIT_LIST_HEAD(&step->deps);
	INIT_LIST_HEAD(&step->dependents);
	INIT_LIST_HEAD(&step->ready);
	INIT_WORK(&step->work, step_work);
}

VISIBLE_IF_KUNIT struct icfg_edge *icfg_edge_alloc(gfp_t gfp)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_edge_alloc, gfp);

	return kmalloc(sizeof(struct icfg_edge), gfp);
}

/**
 * icfg_step_add_dep - make one step go before another
 * @first: goes before @second when steps run forward
 * @second: the other one
 * @gfp: GFP_KERNEL, and how hard to try
 *
 * Returns 0 or -ENOMEM. Adding an edge twice is allowed.
 */
int icfg_step_add_dep(struct icfg_step *first, struct icfg_step *second,
		      gfp_t gfp)
{
	struct icfg_edge *edge;

	if (first == second)
		return 0;
	list_for_each_entry(edge, &first->dependents, in_first)
		if (edge->second == second)
			return 0;

	edge = icfg_edge_alloc(gfp);
	if (!edge)
		return -ENOMEM;

	edge->first = first;
	edge->second = second;
	list_add_tail(&edge->in_first, &first->dependents);
	list_add_tail(&edge->in_second, &second->deps);
	return 0;
}

/* Does a step that goes right before @step pass the test? */
bool icfg_step_has_dep(const struct icfg_step *step,
		       bool (*test)(const struct icfg_step *dep))
{
	struct icfg_edge *edge;

	list_for_each_entry(edge, &step->deps, in_second)
		if (test(edge->first))
			return true;
	return false;
}

/* Does a step that goes right after @step pass the test? */
bool icfg_step_has_dependent(const struct icfg_step *step,
			     bool (*test)(const struct icfg_step *dependent))
{
	struct icfg_edge *edge;

	list_for_each_entry(edge, &step->dependents, in_first)
		if (test(edge->second))
			return true;
	return false;
}

/*
 * Is it still running, though its run no longer waits for it? Where it is not any more,
 * all that it has written can be read.
 */
bool icfg_step_is_left(const struct icfg_step *step)
{
	/* Pairs with set_state(). */
	return smp_load_acquire(&step->state) == ICFG_STEP_LEFT;
}

/**
 * icfg_step_begin_part - from here on a step has another limit
 * @step: the step, called from its function
 * @limit: how long this part may take, in jiffies; 0: as long as the run says
 */
void icfg_step_begin_part(struct icfg_step *step, unsigned long limit)
{
	WRITE_ONCE(step->since, jiffies);
	/* Pairs with icfg_step_end(): a new limit does not count from an old start. */
	smp_store_release(&step->limit, limit);
}

/* Until when may it take, where the limit of its run is @limit? */
unsigned long icfg_step_end(const struct icfg_step *step, unsigned long limit)
{
	/* Pairs with icfg_step_begin_part(). */
	unsigned long own = smp_load_acquire(&step->limit);

	return READ_ONCE(step->since) + (own ? min(own, limit) : limit);
}

/* Forget every edge among the steps of @list. */
void icfg_step_free_deps(struct list_head *list)
{
	struct icfg_edge *edge, *next;
	struct icfg_step *step;

	list_for_each_entry(step, list, node) {
		list_for_each_entry_safe(edge, next, &step->dependents,
					 in_first) {
			list_del(&edge->in_first);
			list_del(&edge->in_second);
			kfree(edge);
		}
	}
}

/* How many steps of this run @step waits for. */
static unsigned int count_deps(const struct icfg_sched *sched,
			       const struct icfg_step *step)
{
	unsigned int count = 0;
	struct icfg_edge *edge;

	if (sched->reverse) {
		list_for_each_entry(edge, &step->dependents, in_first)
			count += edge->second->selected;
	} else {
		list_for_each_entry(edge, &step->deps, in_second)
			count += edge->first->selected;
	}
	return count;
}

/**
 * icfg_step_watch - report a running step that takes long, once
 * @step: a step that is running or was left
 * @until: until when it may take, in jiffies
 * @slow: called when it has run for over ten seconds
 * @late: called when it still runs at @until
 *
 * Called by the thread that drives the plan alone. Returns true if @until has
 * passed.
 */
bool icfg_step_watch(struct icfg_step *step, unsigned long until,
		     void (*slow)(struct icfg_step *step),
		     void (*late)(struct icfg_step *step))
{
	unsigned long since = READ_ONCE(step->since);

	if (!step->slow && time_after_eq(jiffies, since + SLOW)) {
		step->slow = true;
		if (slow)
			slow(step);
	}
	if (time_before(jiffies, until))
		return false;
	if (!step->late) {
		step->late = true;
		if (late)
			late(step);
	}
	return true;
}

/* The run no longer waits for @step, which is running. */
static bool leave_step(struct icfg_sched *sched, struct icfg_step *step,
		       struct list_head *begin)
{
	lockdep_assert_held(&sched_lock);

	if (step->state != ICFG_STEP_RUNNING)
		return false;

	step->returned = sched->returned;
	set_state(step, ICFG_STEP_LEFT);
	sched->leave(step);
	end_step(sched, step, begin);
	return true;
}

static bool is_running(struct icfg_step *step)
{
	if (!step->selected)
		return false;
	/* Pairs with set_state(): the limit counts from this run's start. */
	return smp_load_acquire(&step->state) == ICFG_STEP_RUNNING;
}

/* Report what takes long, and leave what has outlasted its limit. */
static void watch_steps(struct icfg_sched *sched, struct list_head *list)
{
	struct icfg_step *step;
	LIST_HEAD(begin);

	list_for_each_entry(step, list, node) {
		/* Noted as late before those that wait for it begin. */
		if (!is_running(step) ||
		    !icfg_step_watch(step, icfg_step_end(step, sched->limit),
				     sched->slow, sched->late))
			continue;
		scoped_guard(spinlock, &sched_lock)
			leave_step(sched, step, &begin);
		queue_steps(&begin);
	}
}

/* No step begins any more; with @now none is waited for either. */
static void stop_steps(struct icfg_sched *sched, struct list_head *list,
		       bool now)
{
	struct icfg_step *step;
	LIST_HEAD(begin);

	spin_lock(&sched_lock);
	list_for_each_entry(step, list, node) {
		if (!step->selected)
			continue;
		if (step->state == ICFG_STEP_WAITING)
			sched->waiting--;
		else if (step->state == ICFG_STEP_READY)
			list_del_init(&step->ready);
		else
			continue;
		set_state(step, ICFG_STEP_IDLE);
	}
	/* When none waits any more, so that none begins. */
	list_for_each_entry(step, list, node)
		if (now && step->selected)
			leave_step(sched, step, &begin);
	spin_unlock(&sched_lock);
}

static enum icfg_stop stop_of(const struct icfg_sched *sched)
{
	return sched->stop ? READ_ONCE(*sched->stop) : ICFG_GO_ON;
}

/* Under the lock: end_step() has one step less for a moment before the next begins. */
static bool is_idle(struct icfg_sched *sched)
{
	bool idle;

	scoped_guard(spinlock, &sched_lock)
		idle = !sched->running;
	return idle;
}

/* Wait until no step of the run is running. */
static void wait_steps(struct icfg_sched *sched, struct list_head *list)
{
	unsigned long stop_at = 0;
	enum icfg_stop stop;

	/*
	 * Waking up now and then keeps the hung task detector quiet: a device
	 * that takes minutes is for the operator, and no bug.
	 */
	while (!wait_event_timeout(*sched->wait, is_idle(sched) ||
				   stop_of(sched) == ICFG_STOP_NOW,
				   POLL) || !is_idle(sched)) {
		stop = stop_of(sched);
		if (stop != ICFG_GO_ON && !stop_at)
			stop_at = jiffies + STOP_GRACE;
		if (stop != ICFG_GO_ON)
			stop_steps(sched, list, stop == ICFG_STOP_NOW ||
				   time_after_eq(jiffies, stop_at));
		watch_steps(sched, list);
	}
}

/**
 * icfg_sched_run - run the selected steps, and wait for them
 * @sched: what to do
 * @list: the steps; those not selected are passed over, and so are their edges
 *
 * Where steps wait for each other in a circle, they and all that come after them
 * are started together once nothing else is left. On return each step has run,
 * was left, or did not begin as the run was to stop.
 */
void icfg_sched_run(struct icfg_sched *sched, struct list_head *list)
{
	struct icfg_step *step;
	LIST_HEAD(begin);
	bool circle;

	sched->running = 0;
	sched->waiting = 0;
	INIT_LIST_HEAD(&sched->ready);

	scoped_guard(spinlock, &sched_lock) {
		/* One that was left runs still, whatever it may have done already. */
		list_for_each_entry(step, list, node)
			if (step->state == ICFG_STEP_LEFT)
				step->selected = false;
		list_for_each_entry(step, list, node) {
			if (!step->selected)
				continue;
			step->sched = sched;
			set_state(step, ICFG_STEP_WAITING);
			step->reverting = sched->reverting;
			step->slow = false;
			step->late = false;
			step->pending = count_deps(sched, step);
			sched->waiting++;
		}
	}

	for (circle = false; sched->waiting; circle = true) {
		scoped_guard(spinlock, &sched_lock) {
			list_for_each_entry(step, list, node)
				if (step->selected &&
				    step->state == ICFG_STEP_WAITING &&
				    (circle || !step->pending))
					make_ready(step);
			begin_ready(sched, &begin);
		}
		queue_steps(&begin);
		wait_steps(sched, list);
	}
}
