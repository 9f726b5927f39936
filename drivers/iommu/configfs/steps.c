// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running steps side by side: each as soon as those that go before it are
 * through, so that a run takes as long as its slowest chain and not as the sum.
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

#include "kunit.h"
#include "steps.h"

/* How long a step may take before somebody hears of it. */
#define SLOW	(10 * HZ)

struct icfg_edge {
	struct list_head in_first;	/* in first->afters */
	struct list_head in_second;	/* in second->befores */
	struct icfg_step *first;
	struct icfg_step *second;
};

static struct workqueue_struct *steps_wq;

int icfg_steps_init(void)
{
	steps_wq = alloc_workqueue("iommu-configfs", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return steps_wq ? 0 : -ENOMEM;
}

void icfg_steps_exit(void)
{
	destroy_workqueue(steps_wq);
}

/* The steps of a KUnit test run in its own threads. */
VISIBLE_IF_KUNIT void icfg_step_queue(struct icfg_step *step)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_step_queue, step);

	queue_work(steps_wq, &step->work);
}

static void start_step(struct icfg_steps *steps, struct icfg_step *step)
{
	if (atomic_xchg(&step->started, 1))
		return;

	step->steps = steps;
	atomic_inc(&steps->running);
	icfg_step_queue(step);
}

static void steps_put(struct icfg_steps *steps)
{
	if (atomic_dec_and_test(&steps->running))
		complete(&steps->idle);
}

/* @step is done: start what waited for it alone. */
static void start_next(struct icfg_steps *steps, struct icfg_step *step)
{
	struct icfg_edge *edge;

	if (steps->backwards) {
		list_for_each_entry(edge, &step->befores, in_second)
			if (edge->first->due &&
			    atomic_dec_and_test(&edge->first->pending))
				start_step(steps, edge->first);
	} else {
		list_for_each_entry(edge, &step->afters, in_first)
			if (edge->second->due &&
			    atomic_dec_and_test(&edge->second->pending))
				start_step(steps, edge->second);
	}
}

static void step_work(struct work_struct *work)
{
	struct icfg_step *step = container_of(work, struct icfg_step, work);
	struct icfg_steps *steps = step->steps;

	WRITE_ONCE(step->since, jiffies | 1);
	steps->fn(step);
	WRITE_ONCE(step->since, 0);

	if (steps->done)
		atomic_inc(steps->done);
	start_next(steps, step);
	atomic_dec(&steps->remaining);
	steps_put(steps);
}

void icfg_step_init(struct icfg_step *step)
{
	INIT_LIST_HEAD(&step->befores);
	INIT_LIST_HEAD(&step->afters);
	INIT_WORK(&step->work, step_work);
}

/**
 * icfg_step_order - make one step go before another
 * @first: goes before @second when steps run forwards
 * @second: the other one
 * @gfp: GFP_KERNEL, and whether it may fail
 *
 * Returns 0 or -ENOMEM. Asking twice does no harm.
 */
int icfg_step_order(struct icfg_step *first, struct icfg_step *second,
		    gfp_t gfp)
{
	struct icfg_edge *edge;

	KUNIT_STATIC_STUB_REDIRECT(icfg_step_order, first, second, gfp);

	if (first == second)
		return 0;
	list_for_each_entry(edge, &first->afters, in_first)
		if (edge->second == second)
			return 0;

	edge = kmalloc(sizeof(*edge), gfp);
	if (!edge)
		return -ENOMEM;

	edge->first = first;
	edge->second = second;
	list_add_tail(&edge->in_first, &first->afters);
	list_add_tail(&edge->in_second, &second->befores);
	return 0;
}

/* Does any of the steps right before @step pass the test? */
bool icfg_step_has_before(const struct icfg_step *step,
			  bool (*test)(const struct icfg_step *before))
{
	struct icfg_edge *edge;

	list_for_each_entry(edge, &step->befores, in_second)
		if (test(edge->first))
			return true;
	return false;
}

/* Forget every order among the steps of @list. */
void icfg_step_free_order(struct list_head *list)
{
	struct icfg_edge *edge, *next;
	struct icfg_step *step;

	list_for_each_entry(step, list, node) {
		list_for_each_entry_safe(edge, next, &step->afters, in_first) {
			list_del(&edge->in_first);
			list_del(&edge->in_second);
			kfree(edge);
		}
	}
}

/* How many steps of this run @step waits for. */
static int count_waits(const struct icfg_steps *steps,
		       const struct icfg_step *step)
{
	struct icfg_edge *edge;
	int count = 0;

	if (steps->backwards) {
		list_for_each_entry(edge, &step->afters, in_first)
			count += edge->second->due;
	} else {
		list_for_each_entry(edge, &step->befores, in_second)
			count += edge->first->due;
	}
	return count;
}

static void wait_idle(struct icfg_steps *steps, struct list_head *list)
{
	struct icfg_step *step;

	/*
	 * Waking up now and then keeps the hung task detector quiet too: a
	 * device that takes minutes is the operator's business, not a bug.
	 */
	while (!wait_for_completion_timeout(&steps->idle, SLOW)) {
		list_for_each_entry(step, list, node) {
			unsigned long since = READ_ONCE(step->since);

			if (!step->due || step->told || !since ||
			    time_before(jiffies, since + SLOW))
				continue;
			step->told = true;
			if (steps->slow)
				steps->slow(step);
		}
	}
}

/**
 * icfg_steps_run - run the steps that are due, and wait for all of them
 * @steps: what to do
 * @list: the steps; those not due are passed over, and so is their order
 *
 * Where steps wait for each other in a circle, they and all that come after them
 * are started together once nothing else is left.
 */
void icfg_steps_run(struct icfg_steps *steps, struct list_head *list)
{
	struct icfg_step *step;
	int due = 0;

	list_for_each_entry(step, list, node) {
		if (!step->due)
			continue;
		due++;
		step->told = false;
		step->since = 0;
		atomic_set(&step->started, 0);
		/* One more, so that nobody starts it while others are counted. */
		atomic_set(&step->pending, count_waits(steps, step) + 1);
	}
	if (!due)
		return;

	atomic_set(&steps->remaining, due);
	init_completion(&steps->idle);

	/* Held while starting, so that it cannot come to rest half-started. */
	atomic_set(&steps->running, 1);
	list_for_each_entry(step, list, node)
		if (step->due && atomic_dec_and_test(&step->pending))
			start_step(steps, step);
	steps_put(steps);
	wait_idle(steps, list);

	if (!atomic_read(&steps->remaining))
		return;

	reinit_completion(&steps->idle);
	atomic_set(&steps->running, 1);
	list_for_each_entry(step, list, node)
		if (step->due)
			start_step(steps, step);
	steps_put(steps);
	wait_idle(steps, list);
}
