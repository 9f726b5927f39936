// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the order of steps, on the queue that commits run on.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "../icfg.h"

#define STEPS		48
/* For what has to come sooner or later; a test that waits that long fails. */
#define LONG		(60 * HZ)

struct fixture;

/**
 * struct test_step - a step that remembers when it ran
 * @step: the step
 * @f: the fixture
 * @runs: how often it ran
 * @began: when, as a number of @f->clock
 * @ended: the same
 * @waits_for: does not end before this one began, or NULL
 * @running: it began
 * @waited_in_vain: @waits_for did not begin
 * @hangs: does not end before @let_go
 * @let_go: ends one that hangs
 * @stops: stops the run
 * @late: it was reported as late, as a number of @f->clock
 * @left: it was left running
 * @returned: it returned after that
 */
struct test_step {
	struct icfg_step step;
	struct fixture *f;
	atomic_t runs;
	int began;
	int ended;
	struct test_step *waits_for;
	struct completion running;
	bool waited_in_vain;
	bool hangs;
	struct completion let_go;
	enum icfg_stop stops;
	int late;
	bool left;
	struct completion returned;
};

struct fixture {
	atomic_t clock;
	atomic_t done;
	atomic_t running;
	atomic_t too_many;
	unsigned long limit;
	unsigned int width;
	enum icfg_stop stop;
	wait_queue_head_t wait;
	struct list_head list;
	struct test_step steps[STEPS];
};

static void test_fn(struct icfg_step *step)
{
	struct test_step *s = container_of(step, struct test_step, step);

	s->began = atomic_inc_return(&s->f->clock);
	if (atomic_inc_return(&s->f->running) > s->f->width)
		atomic_inc(&s->f->too_many);
	complete_all(&s->running);
	if (s->waits_for &&
	    !wait_for_completion_timeout(&s->waits_for->running, LONG))
		s->waited_in_vain = true;
	if (s->stops != ICFG_GO_ON) {
		WRITE_ONCE(s->f->stop, s->stops);
		wake_up(&s->f->wait);
	}
	if (s->hangs && !wait_for_completion_timeout(&s->let_go, LONG))
		s->waited_in_vain = true;
	atomic_inc(&s->runs);
	atomic_dec(&s->f->running);
	s->ended = atomic_inc_return(&s->f->clock);
}

static void test_late(struct icfg_step *step)
{
	struct test_step *s = container_of(step, struct test_step, step);

	s->late = atomic_inc_return(&s->f->clock);
}

static void test_leave(struct icfg_step *step)
{
	container_of(step, struct test_step, step)->left = true;
}

static void test_returned(struct icfg_step *step)
{
	complete(&container_of(step, struct test_step, step)->returned);
}

/* Run what is selected, to its end or until the run is stopped. */
static void start_run(struct kunit *test, bool reverse)
{
	struct fixture *f = test->priv;
	struct icfg_sched sched = {
		.fn		= test_fn,
		.leave		= test_leave,
		.returned	= test_returned,
		.late		= test_late,
		.limit		= f->limit,
		.width		= f->width,
		.stop		= &f->stop,
		.wait		= &f->wait,
		.done		= &f->done,
		.reverse	= reverse,
	};
	struct test_step *s;

	list_for_each_entry(s, &f->list, step.node) {
		atomic_set(&s->runs, 0);
		s->began = 0;
		s->ended = 0;
		s->waited_in_vain = false;
		s->late = 0;
		s->left = false;
		reinit_completion(&s->running);
		reinit_completion(&s->let_go);
		reinit_completion(&s->returned);
	}
	atomic_set(&f->done, 0);
	atomic_set(&f->running, 0);
	atomic_set(&f->too_many, 0);
	f->stop = ICFG_GO_ON;

	icfg_sched_run(&sched, &f->list);
}

/* Run all that is selected, once. */
static void run_steps(struct kunit *test, bool reverse)
{
	struct fixture *f = test->priv;
	struct test_step *s;
	int selected = 0;

	start_run(test, reverse);
	list_for_each_entry(s, &f->list, step.node)
		selected += s->step.selected;
	list_for_each_entry(s, &f->list, step.node) {
		KUNIT_EXPECT_EQ(test, atomic_read(&s->runs), s->step.selected);
		KUNIT_EXPECT_FALSE(test, s->waited_in_vain);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&f->done), selected);
}

static int sched_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	int i;

	if (!f)
		return -ENOMEM;
	INIT_LIST_HEAD(&f->list);
	init_waitqueue_head(&f->wait);
	f->limit = LONG;
	for (i = 0; i < STEPS; i++) {
		f->steps[i].f = f;
		init_completion(&f->steps[i].running);
		init_completion(&f->steps[i].let_go);
		init_completion(&f->steps[i].returned);
		icfg_step_init(&f->steps[i].step);
	}
	test->priv = f;
	return 0;
}

static void sched_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	icfg_step_free_deps(&f->list);
}

/* Put the first @count steps into the list, all of them due. */
static struct test_step *use(struct kunit *test, int count)
{
	struct fixture *f = test->priv;
	int i;

	for (i = 0; i < count; i++) {
		f->steps[i].step.selected = true;
		list_add_tail(&f->steps[i].step.node, &f->list);
	}
	return f->steps;
}

static void before(struct kunit *test, struct test_step *first,
		   struct test_step *second)
{
	KUNIT_ASSERT_EQ(test, 0, icfg_step_add_dep(&first->step, &second->step,
						   GFP_KERNEL));
}

#define expect_after(test, first, second)				\
	KUNIT_EXPECT_LT(test, (first)->ended, (second)->began)

static void nothing(struct kunit *test)
{
	struct test_step *s;

	run_steps(test, false);

	s = use(test, 2);
	s[0].step.selected = false;
	s[1].step.selected = false;
	before(test, &s[0], &s[1]);
	run_steps(test, false);
	run_steps(test, true);
}

static void diamond(struct kunit *test)
{
	struct test_step *s = use(test, 4);

	before(test, &s[0], &s[1]);
	before(test, &s[0], &s[2]);
	before(test, &s[1], &s[3]);
	before(test, &s[2], &s[3]);
	/* The two in the middle are under way at the same time. */
	s[1].waits_for = &s[2];
	s[2].waits_for = &s[1];

	run_steps(test, false);
	expect_after(test, &s[0], &s[1]);
	expect_after(test, &s[0], &s[2]);
	expect_after(test, &s[1], &s[3]);
	expect_after(test, &s[2], &s[3]);
	run_steps(test, true);
	expect_after(test, &s[3], &s[1]);
	expect_after(test, &s[3], &s[2]);
	expect_after(test, &s[1], &s[0]);
	expect_after(test, &s[2], &s[0]);
}

/* Steps without an order do not wait for each other, however many. */
static void side_by_side(struct kunit *test)
{
	struct test_step *s = use(test, STEPS);
	int i;

	for (i = 0; i < STEPS; i++)
		s[i].waits_for = &s[(i + 1) % STEPS];
	run_steps(test, false);
	run_steps(test, true);
}

/* A short chain does not wait for the first step of a long one. */
static void two_chains(struct kunit *test)
{
	struct test_step *s = use(test, 4);

	before(test, &s[0], &s[1]);
	before(test, &s[2], &s[3]);
	s[0].waits_for = &s[3];
	run_steps(test, false);
	expect_after(test, &s[2], &s[3]);
	expect_after(test, &s[0], &s[1]);
}

static void not_due(struct kunit *test)
{
	struct test_step *s = use(test, 3);

	before(test, &s[0], &s[1]);
	before(test, &s[1], &s[2]);
	s[1].step.selected = false;
	/* What it would have kept apart is not: each sees the other begin. */
	s[0].waits_for = &s[2];
	s[2].waits_for = &s[0];
	run_steps(test, false);
	run_steps(test, true);

	/* It was passed over, not forgotten. */
	s[0].waits_for = NULL;
	s[2].waits_for = NULL;
	s[1].step.selected = true;
	run_steps(test, false);
	expect_after(test, &s[0], &s[1]);
	expect_after(test, &s[1], &s[2]);
}

static void circle(struct kunit *test)
{
	struct test_step *s = use(test, 6);
	bool reverse = false;
	int i;

	for (i = 0; i < 3; i++)
		before(test, &s[i], &s[(i + 1) % 3]);
	before(test, &s[3], &s[0]);
	before(test, &s[4], &s[3]);
	/* All of the circle at once. */
	for (i = 0; i < 3; i++)
		s[i].waits_for = &s[(i + 1) % 3];

	do {
		run_steps(test, reverse);
		/* The last one has nothing to do with it, and goes first. */
		for (i = 0; i < 3; i++)
			expect_after(test, &s[5], &s[i]);
		if (reverse)
			break;
		for (i = 0; i < 3; i++)
			expect_after(test, &s[3], &s[i]);
		expect_after(test, &s[4], &s[3]);
		reverse = true;
	} while (true);
}

static void asked_twice(struct kunit *test)
{
	struct test_step *s = use(test, 3);

	before(test, &s[0], &s[0]);
	before(test, &s[0], &s[1]);
	before(test, &s[0], &s[1]);
	before(test, &s[1], &s[2]);
	before(test, &s[0], &s[1]);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&s[0].step.dependents));
	KUNIT_EXPECT_TRUE(test, list_is_singular(&s[1].step.deps));
	KUNIT_EXPECT_TRUE(test, list_empty(&s[0].step.deps));

	run_steps(test, false);
	expect_after(test, &s[0], &s[1]);
	expect_after(test, &s[1], &s[2]);
}

static bool is_due(const struct icfg_step *step)
{
	return step->selected;
}

static void has_before(struct kunit *test)
{
	struct test_step *s = use(test, 3);

	before(test, &s[0], &s[1]);
	before(test, &s[1], &s[2]);
	s[0].step.selected = true;
	s[1].step.selected = false;
	KUNIT_EXPECT_FALSE(test, icfg_step_has_dep(&s[0].step, is_due));
	KUNIT_EXPECT_TRUE(test, icfg_step_has_dep(&s[1].step, is_due));
	/* Right before it, and not any further. */
	KUNIT_EXPECT_FALSE(test, icfg_step_has_dep(&s[2].step, is_due));
}

static void forgotten(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, 3);

	before(test, &s[0], &s[1]);
	before(test, &s[1], &s[2]);
	before(test, &s[2], &s[0]);
	icfg_step_free_deps(&f->list);
	s[0].waits_for = &s[1];
	s[1].waits_for = &s[2];
	s[2].waits_for = &s[0];
	run_steps(test, false);
	KUNIT_EXPECT_FALSE(test, icfg_step_has_dep(&s[1].step, is_due));
}

/* Whatever the order is, it is kept, and every step that is due runs once. */
static void any_order(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct rnd_state rnd;
	struct test_step *s;
	DECLARE_BITMAP(edges, STEPS * STEPS);
	int seed, i, j;

	s = use(test, STEPS);
	for (seed = 1; seed <= 40; seed++) {
		prandom_seed_state(&rnd, seed);
		bitmap_zero(edges, STEPS * STEPS);
		icfg_step_free_deps(&f->list);
		for (i = 0; i < STEPS; i++) {
			s[i].step.selected = prandom_u32_state(&rnd) % 4;
			for (j = i + 1; j < STEPS; j++) {
				/* From a few edges to many. */
				if (prandom_u32_state(&rnd) % 400 > seed)
					continue;
				before(test, &s[i], &s[j]);
				__set_bit(i * STEPS + j, edges);
			}
		}
		run_steps(test, seed & 1);
		for_each_set_bit(i, edges, STEPS * STEPS) {
			struct test_step *a = &s[i / STEPS];
			struct test_step *b = &s[i % STEPS];

			if (!a->step.selected || !b->step.selected)
				continue;
			if (seed & 1)
				expect_after(test, b, a);
			else
				expect_after(test, a, b);
		}
	}
}

/* Three at a time: that many are under way at once, and never more. */
static void three_at_a_time(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, STEPS);
	int i;

	f->width = 3;
	for (i = 0; i < 3; i++)
		s[i].waits_for = &s[(i + 1) % 3];
	/* What waits for others comes after what is ready. */
	before(test, &s[5], &s[4]);
	run_steps(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->too_many), 0);
	expect_after(test, &s[5], &s[4]);

	/* Those of a circle, too. */
	for (i = 0; i < 3; i++)
		s[i].waits_for = NULL;
	f->width = 2;
	before(test, &s[4], &s[5]);
	run_steps(test, true);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->too_many), 0);
}

/* A step that was left returns, and not before it is released. */
static void let_go(struct kunit *test, struct test_step *s)
{
	KUNIT_EXPECT_TRUE(test, s->left);
	KUNIT_EXPECT_TRUE(test, icfg_step_is_left(&s->step));
	KUNIT_EXPECT_FALSE(test, completion_done(&s->returned));
	complete(&s->let_go);
	KUNIT_ASSERT_NE(test, 0, wait_for_completion_timeout(&s->returned, LONG));
	KUNIT_EXPECT_FALSE(test, icfg_step_is_left(&s->step));
	KUNIT_EXPECT_FALSE(test, s->waited_in_vain);
}

/*
 * A step that outlasts its limit is left, after it was reported and before those
 * that wait for it begin; the run ends without it.
 */
static void outlasts(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, 4);

	f->limit = HZ / 4;
	s[0].hangs = true;
	before(test, &s[0], &s[1]);
	before(test, &s[1], &s[2]);
	start_run(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[0].runs), 0);
	KUNIT_EXPECT_GT(test, s[0].late, s[0].began);
	KUNIT_EXPECT_GT(test, s[1].began, s[0].late);
	expect_after(test, &s[1], &s[2]);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[3].runs), 1);
	KUNIT_EXPECT_FALSE(test, s[3].left);
	/* One that is given up on counts as done. */
	KUNIT_EXPECT_EQ(test, atomic_read(&f->done), 4);
	let_go(test, &s[0]);
}

/* A step that is left is not one of those that run. */
static void outlasts_one_at_a_time(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, 3);

	f->limit = HZ / 4;
	f->width = 1;
	s[0].hangs = true;
	start_run(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[0].runs), 0);
	KUNIT_EXPECT_GT(test, s[1].began, s[0].late);
	expect_after(test, &s[1], &s[2]);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->done), 3);
	let_go(test, &s[0]);
}

/* One that was left is none of a later run, whatever it may have done already. */
static void left_before(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, 2);

	f->limit = HZ / 4;
	s[0].hangs = true;
	start_run(test, false);
	KUNIT_EXPECT_TRUE(test, s[0].left);

	start_run(test, false);
	KUNIT_EXPECT_EQ(test, s[0].began, 0);
	KUNIT_EXPECT_FALSE(test, s[0].left);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[1].runs), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->done), 1);
	/* By the run before. */
	s[0].left = true;
	let_go(test, &s[0]);
}

/* One that is ready and may not run yet does not begin when the run is stopped. */
static void stopped_one_at_a_time(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct test_step *s = use(test, 3);

	f->width = 1;
	s[0].stops = ICFG_STOP;
	s[0].hangs = true;
	start_run(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[1].runs), 0);
	let_go(test, &s[0]);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[1].runs), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[2].runs), 0);
}

/* No step begins when the run is stopped; those that run have a moment. */
static void stopped(struct kunit *test)
{
	struct test_step *s = use(test, 4);

	s[0].stops = ICFG_STOP;
	s[0].waits_for = &s[2];
	before(test, &s[0], &s[1]);
	s[2].hangs = true;
	before(test, &s[2], &s[3]);
	start_run(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[0].runs), 1);
	KUNIT_EXPECT_FALSE(test, s[0].left);
	KUNIT_EXPECT_EQ(test, s[2].late, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[3].runs), 0);
	let_go(test, &s[2]);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[3].runs), 0);
}

/* Nor is any waited for when it is to stop at once. */
static void stopped_now(struct kunit *test)
{
	struct test_step *s = use(test, 3);

	s[0].stops = ICFG_STOP_NOW;
	s[0].hangs = true;
	s[1].hangs = true;
	s[0].waits_for = &s[1];
	before(test, &s[1], &s[2]);
	start_run(test, false);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[2].runs), 0);
	let_go(test, &s[0]);
	let_go(test, &s[1]);
	KUNIT_EXPECT_EQ(test, atomic_read(&s[2].runs), 0);
}

static struct kunit_case sched_cases[] = {
	KUNIT_CASE(nothing),
	KUNIT_CASE(diamond),
	KUNIT_CASE(side_by_side),
	KUNIT_CASE(two_chains),
	KUNIT_CASE(not_due),
	KUNIT_CASE(circle),
	KUNIT_CASE(asked_twice),
	KUNIT_CASE(has_before),
	KUNIT_CASE(forgotten),
	KUNIT_CASE(any_order),
	KUNIT_CASE(three_at_a_time),
	KUNIT_CASE(outlasts),
	KUNIT_CASE(outlasts_one_at_a_time),
	KUNIT_CASE(left_before),
	KUNIT_CASE(stopped),
	KUNIT_CASE(stopped_now),
	KUNIT_CASE(stopped_one_at_a_time),
	{}
};

static struct kunit_suite sched_suite = {
	.name		= "iommu-configfs-sched",
	.init		= sched_test_init,
	.exit		= sched_test_exit,
	.test_cases	= sched_cases,
};

kunit_test_suite(sched_suite);
