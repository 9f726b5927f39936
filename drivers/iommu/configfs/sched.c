// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running steps side by side: each as soon as those that go before it are
 * through, so that a plan takes as long as its slowest chain and not as the sum.
 *
 * Owns the workqueue and the edges between steps. The edges change only while
 * nothing runs; while steps run, their counters are atomic and there is no
 * lock.
 *
 * The queue is not the async one: drivers' probes wait for async work
 * (wait_for_device_probe()), which must not mean waiting for themselves. It is
 * an unbound one, so that a step which never sleeps keeps no other from a CPU.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "icfg.h"

/* How long a step may take before somebody hears of it. */
#define SLOW	(10 * HZ)

struct icfg_edge {
	struct list_head in_first;	/* in first->afters */
	struct list_head in_second;	/* in second->befores */
	struct icfg_step *first;
	struct icfg_step *second;
};

static struct workqueue_struct *sched_wq;

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

static void start_step(struct icfg_sched *sched, struct icfg_step *step)
{
	if (atomic_xchg(&step->started, 1))
		return;

	step->sched = sched;
	atomic_inc(&sched->running);
	icfg_step_queue(step);
}

static void sched_put(struct icfg_sched *sched)
{
	if (atomic_dec_and_test(&sched->running))
		complete(&sched->idle);
}

/* @step is done: start what waited for it alone. */
static void start_next(struct icfg_sched *sched, struct icfg_step *step)
{
	struct icfg_edge *edge;

	if (sched->reverting) {
		list_for_each_entry(edge, &step->deps, in_second)
			if (edge->first->selected &&
			    atomic_dec_and_test(&edge->first->pending))
				start_step(sched, edge->first);
	} else {
		list_for_each_entry(edge, &step->dependents, in_first)
			if (edge->second->selected &&
			    atomic_dec_and_test(&edge->second->pending))
				start_step(sched, edge->second);
	}
}

static void step_work(struct work_struct *work)
{
	struct icfg_step *step = container_of(work, struct icfg_step, work);
	struct icfg_sched *sched = step->sched;

	WRITE_ONCE(step->since, jiffies | 1);
	sched->fn(step);
	WRITE_ONCE(step->since, 0);

	if (sched->done)
		atomic_inc(sched->done);
	start_next(sched, step);
	atomic_dec(&sched->remaining);
	sched_put(sched);
}

void icfg_step_init(struct icfg_step *step)
{
	INIT_LIST_HEAD(&step->deps);
	INIT_LIST_HEAD(&step->dependents);
	INIT_WORK(&step->work, step_work);
}

/**
 * icfg_step_add_dep - make one step go before another
 * @first: goes before @second when steps run forwards
 * @second: the other one
 * @gfp: GFP_KERNEL, and whether it may fail
 *
 * Returns 0 or -ENOMEM. Asking twice does no harm.
 */
int icfg_step_add_dep(struct icfg_step *first, struct icfg_step *second,
		      gfp_t gfp)
{
	struct icfg_edge *edge;

	KUNIT_STATIC_STUB_REDIRECT(icfg_step_add_dep, first, second, gfp);

	if (first == second)
		return 0;
	list_for_each_entry(edge, &first->dependents, in_first)
		if (edge->second == second)
			return 0;

	edge = kmalloc(sizeof(*edge), gfp);
	if (!edge)
		return -ENOMEM;

	edge->first = first;
	edge->second = second;
	list_add_tail(&edge->in_first, &first->dependents);
	list_add_tail(&edge->in_second, &second->deps);
	return 0;
}

/* Does any of the steps right before @step pass the test? */
bool icfg_step_has_dep(const struct icfg_step *step,
		       bool (*test)(const struct icfg_step *before))
{
	struct icfg_edge *edge;

	list_for_each_entry(edge, &step->deps, in_second)
		if (test(edge->first))
			return true;
	return false;
}

/* Forget every order among the steps of @list. */
void icfg_step_free_deps(struct list_head *list)
{
	struct icfg_edge *edge, *next;
	struct icfg_step *step;

	list_for_each_entry(step, list, node) {
		list_for_each_entry_safe(edge, next, &step->dependents, in_first) {
			list_del(&edge->in_first);
			list_del(&edge->in_second);
			kfree(edge);
		}
	}
}

/* How many steps of this plan @step waits for. */
static int count_deps(const struct icfg_sched *sched,
		      const struct icfg_step *step)
{
	struct icfg_edge *edge;
	int count = 0;

	if (sched->reverting) {
		list_for_each_entry(edge, &step->dependents, in_first)
			count += edge->second->selected;
	} else {
		list_for_each_entry(edge, &step->deps, in_second)
			count += edge->first->selected;
	}
	return count;
}

static void wait_idle(struct icfg_sched *sched, struct list_head *list)
{
	struct icfg_step *step;

	/*
	 * Waking up now and then keeps the hung task detector quiet too: a
	 * device that takes minutes is the operator's business, not a bug.
	 */
	while (!wait_for_completion_timeout(&sched->idle, SLOW)) {
		list_for_each_entry(step, list, node) {
			unsigned long since = READ_ONCE(step->since);

			if (!step->selected || step->reported || !since ||
			    time_before(jiffies, since + SLOW))
				continue;
			step->reported = true;
			if (sched->slow)
				sched->slow(step);
		}
	}
}

/**
 * icfg_sched_run - run the steps that are due, and wait for all of them
 * @sched: what to do
 * @list: the steps; those not due are passed over, and so is their order
 *
 * Where steps wait for each other in a circle, they and all that come after them
 * are started together once nothing else is left.
 */
void icfg_sched_run(struct icfg_sched *sched, struct list_head *list)
{
	struct icfg_step *step;
	int selected = 0;

	list_for_each_entry(step, list, node) {
		if (!step->selected)
			continue;
		selected++;
		step->reported = false;
		step->since = 0;
		atomic_set(&step->started, 0);
		/* One more, so that nobody starts it while others are counted. */
		atomic_set(&step->pending, count_deps(sched, step) + 1);
	}
	if (!selected)
		return;

	atomic_set(&sched->remaining, selected);
	init_completion(&sched->idle);

	/* Held while starting, so that it cannot come to rest half-started. */
	atomic_set(&sched->running, 1);
	list_for_each_entry(step, list, node)
		if (step->selected && atomic_dec_and_test(&step->pending))
			start_step(sched, step);
	sched_put(sched);
	wait_idle(sched, list);

	if (!atomic_read(&sched->remaining))
		return;

	reinit_completion(&sched->idle);
	atomic_set(&sched->running, 1);
	list_for_each_entry(step, list, node)
		if (step->selected)
			start_step(sched, step);
	sched_put(sched);
	wait_idle(sched, list);
}
