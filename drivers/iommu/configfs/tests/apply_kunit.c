// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of all or nothing: each call of a stub fails in turn, on the way
 * forward, in a rollback, and in the revert of a commit that failed; and
 * after each run, everything is new, or as before, or said to have failed.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "../icfg.h"
#include "fake.h"

/**
 * struct world - a machine and a transaction on it
 * @fake: the machine
 * @txn: the transaction
 * @supplier: the device that two others depend on
 * @from: the first group of the transaction
 * @to: the one behind its last
 * @pause: drivers can be paused
 * @failed_as: everything that was made to fail so far, as bits of enum fake_call
 */
struct world {
	struct fake *fake;
	struct icfg_txn *txn;
	struct fake_dev *supplier;
	unsigned int from, to;
	bool pause;
	unsigned long failed_as;
};

/**
 * struct kind - how a test is run
 * @desc: its name
 * @side_by_side: steps run beside each other, not in turn
 * @no_way_back: the core does not go from DMA-FQ to DMA in place
 * @pause: drivers can be paused
 */
struct kind {
	const char *desc;
	bool side_by_side;
	bool no_way_back;
	bool pause;
};

static const enum icfg_type types_before[] = {
	ICFG_DMA, ICFG_IDENTITY, ICFG_DMA_FQ, ICFG_DMA, ICFG_IDENTITY,
	ICFG_DMA_FQ,
};

static const char * const types_wanted[] = {
	"identity", "DMA", "DMA", "DMA-FQ", "identity", "auto",
};

static const enum icfg_type types_after[] = {
	ICFG_IDENTITY, ICFG_DMA, ICFG_DMA, ICFG_DMA_FQ, ICFG_IDENTITY,
	ICFG_DMA_FQ,
};

#define GROUPS	ARRAY_SIZE(types_before)

/* What is called where drivers can be paused. */
#define PAUSE_CALLS	(BIT(FAKE_PAUSE) | BIT(FAKE_MAPPED) | BIT(FAKE_RESUME))

/* What a group is rebound for instead. */
#define FALL_BACKS	(BIT(FAKE_PAUSE) | BIT(FAKE_MAPPED))

/* The group that gets a new domain of the type that it had. */
#define ANEW	5

/*
 * Five groups, of which two go in place, or one where there is no way back from
 * DMA-FQ, and one has its type already; and ANEW, which is no part of the
 * transaction where it is not asked for. In the others: a parent and its child, a
 * consumer in another group, a consumer in none, and a device that has no driver.
 * Where drivers can be paused there is no consumer in another group, and all groups
 * that would be rebound are paused but that which has the supplier.
 */
static void make_world(struct kunit *test, struct world *w)
{
	struct fake *fake = test->priv;
	const struct kind *kind = test->param_value;
	struct fake_dev *parent, *child, *supplier, *consumer;
	struct device_driver *drv;
	unsigned int i;

	if (kind && kind->side_by_side)
		fake_side_by_side(fake);
	fake->no_way_back = kind && kind->no_way_back;
	w->pause |= kind && kind->pause;
	drv = w->pause ? &fake_pause_driver : &fake_driver;
	if (!w->pause)
		fake->never |= PAUSE_CALLS;
	w->fake = fake;
	for (i = 0; i < GROUPS; i++)
		fake_group_add(fake, types_before[i]);
	fake->groups[ANEW].system = ICFG_DMA_FQ;

	parent = fake_dev_add(fake, &fake->groups[0], drv, NULL);
	child = fake_dev_add(fake, &fake->groups[0],
			     w->pause ? drv : &fake_other_driver, parent);
	supplier = fake_dev_add(fake, &fake->groups[1], drv, NULL);
	fake_dev_add(fake, &fake->groups[1], NULL, NULL);
	fake_dev_add(fake, &fake->groups[2], drv, NULL);
	fake_dev_add(fake, &fake->groups[3], drv, NULL);
	fake_dev_add(fake, &fake->groups[4], drv, NULL);
	fake_dev_add(fake, &fake->groups[ANEW], drv, NULL);
	consumer = fake_dev_add(fake, NULL, &fake_other_driver, NULL);
	if (!w->pause)
		fake_link(supplier, child);
	fake_link(supplier, consumer);
	w->supplier = supplier;
	w->from = 0;
	w->to = ANEW;
}

/*
 * For what goes back: consumers would wait ten seconds for a supplier that does
 * not come back. Another test has that.
 */
static void make_patient_world(struct kunit *test, struct world *w)
{
	make_world(test, w);
	w->supplier->solid = true;
}

static void new_txn(struct world *w, const char *timeout)
{
	struct fake *fake = w->fake;
	unsigned int i;

	w->txn = fake_txn(fake);
	for (i = w->from; i < w->to; i++)
		fake_stage(fake, w->txn, &fake->groups[i], types_wanted[i]);
	fake_expect_write(fake, fake_dir(w->txn), "confirm_timeout", timeout,
			  0);
}

static void end_txn(struct world *w)
{
	fake_txn_end(w->fake, w->txn);
	w->txn = NULL;
}

static bool has_types(struct world *w, const enum icfg_type *types)
{
	unsigned int i;

	for (i = w->from; i < w->to; i++)
		if (w->fake->groups[i].type != types[i])
			return false;
	return true;
}

static const char *report(struct world *w)
{
	struct icfg_report *report = &w->txn->report;
	static char page[ICFG_TEXT_MAX + 1];

	page[icfg_report_show(report, ICFG_NO_GROUP, page, 0)] = '\0';
	return page;
}

/* Say where a test stands when it fails. */
static void explain(struct world *w, int ret)
{
	struct fake *fake = w->fake;
	unsigned int i;

	kunit_err(fake->test, "errno %d, state %s, failed:", ret,
		  icfg_state_word(w->txn->state));
	for (i = 0; i < ARRAY_SIZE(fake->fail); i++)
		if (fake->fail[i])
			kunit_err(fake->test, "  call %d (%s)", fake->fail[i],
				  fake_call_word(fake->failed_as[i]));
	for (i = 0; i < GROUPS; i++)
		kunit_err(fake->test, "  group %d has %s",
			  iommu_group_id(fake->groups[i].group),
			  icfg_type_word(fake->groups[i].type));
	for (i = 0; i < fake->nr_devs; i++)
		if (fake->devs[i]->dev.driver != fake->devs[i]->drv)
			kunit_err(fake->test, "  %s has %s",
				  dev_name(&fake->devs[i]->dev),
				  fake->devs[i]->dev.driver ? "another driver" :
							      "no driver");
	kunit_err(fake->test, "%s", report(w));
}

static void expect_fact(struct world *w, int ret, bool holds, const char *fact)
{
	if (holds)
		return;
	KUNIT_FAIL(w->fake->test, "not so: %s", fact);
	explain(w, ret);
}

/* A fact that has to hold, or the plan is explained. */
#define expect(w, ret, fact)	expect_fact(w, ret, fact, #fact)

static bool is_refusal(int ret)
{
	return ret == -ENOENT || ret == -ENOMEM || ret == -EBUSY ||
	       ret == -EOPNOTSUPP;
}

static int failed(struct world *w)
{
	struct fake *fake = w->fake;
	int count = atomic_read(&fake->failed), i;

	for (i = 0; i < count; i++)
		__set_bit(fake->failed_as[i], &w->failed_as);
	return count;
}

/* Everything has the type and the driver that it had, and nothing waits. */
static void expect_as_before(struct world *w, int ret)
{
	expect(w, ret, has_types(w, types_before));
	expect(w, ret, fake_all_bound(w->fake));
	expect(w, ret, fake_all_set_up(w->fake));
	expect(w, ret, !atomic_read(&w->fake->depends));
}

static void expect_new(struct world *w, int ret)
{
	expect(w, ret, has_types(w, types_after));
	expect(w, ret, fake_all_bound(w->fake));
	expect(w, ret, fake_all_set_up(w->fake));
}

/* Groups that did not fail are restored, and those that did are named. */
static void expect_failed_is_said(struct world *w, int ret)
{
	struct icfg_staged *group;
	unsigned int named = 0, i;
	char name[32];

	list_for_each_entry(group, &w->txn->groups, node) {
		struct fake_group *fg;

		fg = iommu_group_get_iommudata(group->group);
		i = fg - w->fake->groups;
		snprintf(name, sizeof(name), "%u ", group->id);
		if (group->status == ICFG_S_FAILED) {
			expect(w, ret, strstr(report(w), name));
			named++;
			continue;
		}
		expect(w, ret, fg->type == types_before[i]);
	}
	expect(w, ret, named);
}

/* What a commit that returned @ret has to leave. */
static void expect_after_commit(struct world *w, int ret)
{
	struct fake *fake = w->fake;
	enum icfg_state done = w->txn->confirm_timeout ? ICFG_UNCONFIRMED :
							 ICFG_COMMITTED;

	switch (ret) {
	case 0:
		expect(w, ret, w->txn->state == done);
		expect_new(w, ret);
		break;
	case -ECANCELED:
		expect(w, ret, w->txn->state == ICFG_STAGED);
		expect(w, ret, report(w)[0]);
		expect_as_before(w, ret);
		break;
	case -EIO:
		/* Only where the revert was made to fail as well. */
		expect(w, ret, atomic_read(&fake->failed) == 2);
		expect(w, ret, w->txn->state == ICFG_FAILED);
		expect(w, ret, report(w)[0]);
		expect(w, ret, !atomic_read(&fake->depends));
		expect_failed_is_said(w, ret);
		break;
	default:
		expect(w, ret, is_refusal(ret));
		expect(w, ret, w->txn->state == ICFG_STAGED);
		expect(w, ret, !atomic_read(&fake->modified));
		expect_as_before(w, ret);
	}
}

static int commit_with(struct world *w, int first, int second)
{
	int ret;

	fake_fail(w->fake, first, second);
	ret = fake_write(fake_dir(w->txn), "commit", "1");
	expect_after_commit(w, ret);
	return ret;
}

/* Undo what there is to undo, with nothing in the way, and begin anew. */
static void start_over(struct world *w, const char *timeout)
{
	int ret;

	fake_fail(w->fake, 0, 0);
	if (w->txn->state != ICFG_STAGED && w->txn->state != ICFG_ROLLED_BACK) {
		ret = fake_write(fake_dir(w->txn), "rollback", "1");
		expect(w, ret, !ret);
		expect(w, ret, w->txn->state == ICFG_ROLLED_BACK);
	}
	expect_as_before(w, 0);
	if (w->txn->state == ICFG_STAGED)
		return;
	end_txn(w);
	new_txn(w, timeout);
}

/* Side by side, what is rare may not have had its turn. */
static void expect_all_failed(struct world *w)
{
	int call;

	for (call = 0; call < FAKE_HANG && !w->fake->wq; call++)
		if (!(w->fake->never & BIT(call)))
			KUNIT_EXPECT_TRUE_MSG(w->fake->test,
					      w->failed_as & BIT(call),
					      "%s did not fail",
					      fake_call_word(call));
}

/* What follows a failure of the test says nothing new. */
static bool is_lost(struct kunit *test)
{
	return READ_ONCE(test->status) == KUNIT_FAILURE;
}

/* Was a group rebound because it could not be paused, and is that reported? */
static bool fell_back(struct world *w)
{
	return BIT(w->fake->failed_as[0]) & FALL_BACKS &&
	       strstr(report(w), " pause ");
}

/* Each call of a commit. */
static void commits(struct kunit *test, const char *timeout)
{
	struct world w = {};
	int ret, n, pins = fake_pins();
	bool canceled = false;

	make_world(test, &w);
	new_txn(&w, timeout);
	for (n = 1; !is_lost(test); n++) {
		ret = commit_with(&w, n, 0);
		if (!failed(&w))
			break;
		/*
		 * No call may fail without a word, but for an odd type that is
		 * read again right after; and what cannot be paused is rebound.
		 */
		expect(&w, ret, ret || w.fake->failed_as[0] == FAKE_READ ||
		       fell_back(&w));
		canceled |= ret == -ECANCELED;
		start_over(&w, timeout);
		expect(&w, ret, fake_pins() == pins);
	}
	expect(&w, ret, !ret);
	KUNIT_EXPECT_TRUE(test, canceled);
	expect_all_failed(&w);
	kunit_info(test, "%d calls", n - 1);
	start_over(&w, timeout);
	expect(&w, 0, fake_pins() == pins);
	end_txn(&w);
}

static void commit(struct kunit *test)
{
	commits(test, "0");
}

static void commit_to_confirm(struct kunit *test)
{
	commits(test, FAKE_LONG);
}

/* Each call of a commit that has begun, and then each of the revert. */
static void ways_back(struct kunit *test, unsigned int from, unsigned int to)
{
	int ret, n, m, runs = 0, failures = 0;
	struct world w = {};

	make_patient_world(test, &w);
	w.from = from;
	w.to = to;
	/* What is wrong besides is not to be told from a type that reads odd. */
	w.fake->never = BIT(FAKE_READ) | BIT(FAKE_HANG);
	new_txn(&w, "0");
	for (n = 1; !is_lost(test); n++) {
		ret = commit_with(&w, n, 0);
		if (!failed(&w))
			break;
		start_over(&w, "0");
		/* Refused: nothing was touched. */
		if (ret != -ECANCELED)
			continue;
		for (m = 1; !is_lost(test); m++) {
			ret = commit_with(&w, n, n + m);
			if (failed(&w) < 2)
				break;
			expect(&w, ret, ret == -ECANCELED || ret == -EIO);
			failures += ret == -EIO;
			runs++;
			start_over(&w, "0");
		}
		start_over(&w, "0");
	}
	expect(&w, ret, !ret);
	start_over(&w, "0");
	end_txn(&w);
	KUNIT_EXPECT_GT(test, failures, 0);
	kunit_info(test, "%d ways back, of which %d failed", runs, failures);
}

static void commit_and_back(struct kunit *test)
{
	ways_back(test, 0, ANEW);
}

/* A group whose type does not tell whether it has its old domain. */
static void anew_and_back(struct kunit *test)
{
	ways_back(test, ANEW, GROUPS);
}

/* A rollback that returned @ret, or that the timer did. */
static void expect_after_rollback(struct world *w, int ret,
				  enum icfg_state from)
{
	struct fake *fake = w->fake;

	switch (ret) {
	case 0:
		expect(w, ret, w->txn->state == ICFG_ROLLED_BACK);
		expect_as_before(w, ret);
		break;
	case -EIO:
		expect(w, ret, atomic_read(&fake->failed));
		expect(w, ret, w->txn->state == ICFG_FAILED);
		expect(w, ret, !atomic_read(&fake->depends));
		expect_failed_is_said(w, ret);
		break;
	default:
		expect(w, ret, atomic_read(&fake->failed));
		expect(w, ret, w->txn->state == from);
		expect(w, ret, !atomic_read(&fake->modified));
		expect(w, ret, atomic_read(&fake->depends) ==
			       (from == ICFG_UNCONFIRMED));
		if (from != ICFG_FAILED)
			expect_new(w, ret);
	}
}

/* Get to the state that a rollback begins in. */
static void get_to(struct world *w, enum icfg_state from)
{
	/* One that is probed: the consumer, where others are paused. */
	struct fake_dev *d = w->fake->devs[w->pause ? w->fake->nr_devs - 1 : 0];
	bool fail = from == ICFG_FAILED;
	int ret;

	fake_fail(w->fake, 0, 0);
	d->broken = fail;
	ret = fake_write(fake_dir(w->txn), "commit", "1");
	d->broken = false;
	expect(w, ret, ret == (fail ? -EIO : 0));
	expect(w, ret, w->txn->state == from);
}

/* Each call of a rollback, by hand. */
static void rollbacks(struct kunit *test, enum icfg_state from,
		      const char *timeout)
{
	bool refused = false, failures = false;
	int ret, n, pins = fake_pins();
	struct world w = {};

	make_patient_world(test, &w);
	new_txn(&w, timeout);
	get_to(&w, from);
	for (n = 1; !is_lost(test); n++) {
		fake_fail(w.fake, n, 0);
		ret = fake_write(fake_dir(w.txn), "rollback", "1");
		expect_after_rollback(&w, ret, from);
		if (!failed(&w))
			break;
		failures |= ret == -EIO;
		refused |= ret && ret != -EIO;
		/* Refused, it can be tried again. */
		if (w.txn->state == from && from != ICFG_FAILED)
			continue;
		start_over(&w, timeout);
		expect(&w, ret, fake_pins() == pins);
		get_to(&w, from);
	}
	expect(&w, ret, !ret);
	expect(&w, ret, fake_pins() == pins);
	KUNIT_EXPECT_TRUE(test, refused);
	KUNIT_EXPECT_TRUE(test, failures);
	/* What was a commit that failed is put back, but for its driver. */
	if (from != ICFG_FAILED)
		expect_all_failed(&w);
	kunit_info(test, "%d calls", n - 1);
	end_txn(&w);
}

static void roll_back(struct kunit *test)
{
	rollbacks(test, ICFG_COMMITTED, "0");
}

static void roll_back_unconfirmed(struct kunit *test)
{
	rollbacks(test, ICFG_UNCONFIRMED, FAKE_LONG);
}

static void roll_back_failed(struct kunit *test)
{
	rollbacks(test, ICFG_FAILED, "0");
}

/* What the operator does with groups that were left alone. */
static void put_types_back(struct world *w)
{
	unsigned int i;

	for (i = 0; i < GROUPS; i++)
		fake_set_type(&w->fake->groups[i], types_before[i]);
}

/*
 * Each call of what the timer does. It is never refused for good: where it does
 * not go on, it comes again.
 */
static void time_out(struct kunit *test)
{
	int ret, n, pins = fake_pins();
	bool again = false, failures = false;
	struct world w = {};

	make_patient_world(test, &w);
	new_txn(&w, FAKE_LONG);
	get_to(&w, ICFG_UNCONFIRMED);
	for (n = 1; !is_lost(test); n++) {
		fake_fail(w.fake, n, 0);
		fake_expire(w.fake, w.txn);
		ret = w.txn->state == ICFG_FAILED ? -EIO :
		      w.txn->state == ICFG_ROLLED_BACK ? 0 : -ENOMEM;
		if (!ret && !has_types(&w, types_before)) {
			/*
			 * A type that reads odd is for the operator to put
			 * back.
			 */
			expect(&w, ret, w.fake->failed_as[0] == FAKE_READ);
			expect(&w, ret, strstr(report(&w), " ESTALE "));
			put_types_back(&w);
		}
		expect_after_rollback(&w, ret, ICFG_UNCONFIRMED);
		expect(&w, ret, delayed_work_pending(&w.txn->timer) ==
				(w.txn->state == ICFG_UNCONFIRMED));
		if (!failed(&w))
			break;
		failures |= ret == -EIO;
		again |= ret == -ENOMEM;
		if (w.txn->state == ICFG_UNCONFIRMED)
			continue;
		start_over(&w, FAKE_LONG);
		expect(&w, ret, fake_pins() == pins);
		get_to(&w, ICFG_UNCONFIRMED);
	}
	expect(&w, ret, !ret);
	expect(&w, ret, fake_pins() == pins);
	KUNIT_EXPECT_TRUE(test, again);
	KUNIT_EXPECT_TRUE(test, failures);
	kunit_info(test, "%d calls", n - 1);
	end_txn(&w);
}

/* The way back, of whatever kind, needs no memory from its first touch on. */
static void starve(struct kunit *test)
{
	struct world w = {};
	int ret, n, backs = 0;

	make_patient_world(test, &w);
	w.fake->starve = true;
	new_txn(&w, FAKE_LONG);
	for (n = 1; !is_lost(test); n++) {
		ret = commit_with(&w, n, 0);
		if (!failed(&w))
			break;
		backs += ret == -ECANCELED;
		start_over(&w, FAKE_LONG);
	}
	expect(&w, ret, !ret);
	KUNIT_EXPECT_GT(test, backs, 8);
	start_over(&w, FAKE_LONG);

	get_to(&w, ICFG_UNCONFIRMED);
	fake_fail(w.fake, 0, 0);
	fake_expire(w.fake, w.txn);
	expect(&w, 0, w.txn->state == ICFG_ROLLED_BACK);
	start_over(&w, FAKE_LONG);

	get_to(&w, ICFG_FAILED);
	start_over(&w, FAKE_LONG);
	end_txn(&w);
	kunit_info(test, "%d ways back", backs);
}

/* A supplier that stays away takes its consumers with it, until it is mended. */
static void supplier_away(struct kunit *test)
{
	struct world w = {};
	int ret;

	make_world(test, &w);
	fake_side_by_side(w.fake);
	new_txn(&w, "0");
	w.supplier->broken = true;
	fake_fail(w.fake, 0, 0);
	ret = fake_write(fake_dir(w.txn), "commit", "1");
	expect(&w, ret, ret == -EIO);
	expect(&w, ret, w.txn->state == ICFG_FAILED);
	expect(&w, ret, has_types(&w, types_before));
	expect(&w, ret, !fake_all_bound(w.fake));
	expect(&w, ret, strstr(report(&w), " restore EPROBE_DEFER "));

	w.supplier->broken = false;
	ret = fake_write(fake_dir(w.txn), "rollback", "1");
	expect(&w, ret, !ret);
	expect_as_before(&w, ret);
	end_txn(&w);
}

/*
 * The take-back of what has returned: the state stays until it is rolled back. The
 * tests of what hangs run their steps in turn: side by side, a step that a busy host
 * delays for longer than the limit would be given up on before it is made to hang.
 */
static void take_back(struct world *w)
{
	fake_let_go(w->fake);
	while (fake_take_back(w->fake, w->txn))
		;
	expect(w, 0, w->txn->state == ICFG_FAILED);
}

/* What a step that hangs has to leave, while it hangs and after. */
static void expect_taken_back(struct world *w, int ret, u64 generation)
{
	struct fake *fake = w->fake;
	struct icfg_staged *group;

	expect(w, ret, ret == -EIO);
	expect(w, ret, w->txn->state == ICFG_FAILED);
	expect(w, ret, strstr(report(w), " ETIMEDOUT "));
	expect(w, ret, atomic_read(&fake->depends) == 1);
	expect_failed_is_said(w, ret);

	/* A rollback meanwhile waits for nothing, and says what it left. */
	ret = fake_write(fake_dir(w->txn), "rollback", "1");
	expect(w, ret, ret == -EIO);
	expect(w, ret, w->txn->state == ICFG_FAILED);
	expect(w, ret, strstr(report(w), " restore ETIMEDOUT "));
	expect(w, ret, atomic_read(&fake->depends) == 1);
	expect_failed_is_said(w, ret);
	expect(w, ret, icfg_generation() == generation);

	take_back(w);
	expect_as_before(w, ret);
	expect(w, ret, icfg_generation() == generation);
	list_for_each_entry(group, &w->txn->groups, node)
		expect(w, ret, group->status != ICFG_S_FAILED);

	ret = fake_write(fake_dir(w->txn), "rollback", "1");
	expect(w, ret, !ret);
	expect(w, ret, w->txn->state == ICFG_ROLLED_BACK);
	expect(w, ret, icfg_generation() == generation);
}

/* Each step of a commit hangs in turn, and returns in the end. */
static void commit_hangs(struct kunit *test)
{
	int ret, n, pins = fake_pins();
	struct world w = {};

	make_world(test, &w);
	w.fake->never = ~BIT(FAKE_HANG);
	new_txn(&w, "0");
	for (n = 1; !is_lost(test); n++) {
		fake_fail(w.fake, n, 0);
		ret = fake_write(fake_dir(w.txn), "commit", "1");
		if (!failed(&w))
			break;
		expect_taken_back(&w, ret, icfg_generation());
		start_over(&w, "0");
		expect(&w, ret, fake_pins() == pins);
	}
	expect(&w, ret, !ret);
	KUNIT_EXPECT_GT(test, n, 8);
	kunit_info(test, "%d steps", n - 1);
	start_over(&w, "0");
	end_txn(&w);
}

/* Each step of a rollback hangs in turn: by hand, and by the timer. */
static void rollbacks_hang(struct kunit *test, bool by_timer)
{
	enum icfg_state from = by_timer ? ICFG_UNCONFIRMED : ICFG_COMMITTED;
	const char *timeout = by_timer ? FAKE_LONG : "0";
	int ret, n, pins = fake_pins();
	struct world w = {};

	make_world(test, &w);
	w.fake->never = ~BIT(FAKE_HANG);
	new_txn(&w, timeout);
	get_to(&w, from);
	for (n = 1; !is_lost(test); n++) {
		fake_fail(w.fake, n, 0);
		if (by_timer)
			fake_expire(w.fake, w.txn);
		else
			fake_write(fake_dir(w.txn), "rollback", "1");
		ret = w.txn->state == ICFG_FAILED ? -EIO : 0;
		if (!failed(&w))
			break;
		expect_taken_back(&w, ret, icfg_generation());
		start_over(&w, timeout);
		expect(&w, ret, fake_pins() == pins);
		get_to(&w, from);
	}
	expect(&w, ret, !ret);
	KUNIT_EXPECT_GT(test, n, 8);
	kunit_info(test, "%d steps", n - 1);
	end_txn(&w);
}

static void rollback_hangs(struct kunit *test)
{
	rollbacks_hang(test, false);
}

static void timer_hangs(struct kunit *test)
{
	rollbacks_hang(test, true);
}

/* A probe fails, and then each step of the revert hangs in turn. */
static void revert_hangs(struct kunit *test)
{
	struct world w = {};
	int ret, n;

	make_world(test, &w);
	w.fake->never = ~BIT(FAKE_HANG);
	new_txn(&w, "0");
	for (n = 1; !is_lost(test); n++) {
		/* It fails once: the type of its group is not what was asked for. */
		w.fake->groups[0].gives = ICFG_DMA_FQ;
		w.fake->gives_once = true;
		fake_fail(w.fake, n, 0);
		ret = fake_write(fake_dir(w.txn), "commit", "1");
		w.fake->groups[0].gives = ICFG_NONE;
		if (!failed(&w))
			break;
		expect_taken_back(&w, ret, icfg_generation());
		start_over(&w, "0");
	}
	expect(&w, ret, ret == -ECANCELED);
	expect_as_before(&w, ret);
	KUNIT_EXPECT_GT(test, n, 8);
	kunit_info(test, "%d steps", n - 1);
	end_txn(&w);
}

/* Called for each switch: the second one hangs, and returns in the round of a revert. */
static void second_switch_hangs(struct fake *fake)
{
	switch (++fake->seen) {
	case 1:
		fake->never = ~BIT(FAKE_HANG);
		fake_fail(fake, 1, 0);
		break;
	case 3:
		fake_let_go(fake);
		break;
	}
}

/*
 * A switch hangs while another fails, and returns when the groups of the first round
 * have been chosen: the next round restores its group.
 */
static void returns_in_round(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_txn(fake);
	int i;

	for (i = 0; i < 3; i++) {
		fake_group_add(fake, ICFG_DMA);
		fake_dev_add(fake, &fake->groups[i], &fake_driver, NULL);
		fake_stage(fake, txn, &fake->groups[i], "identity");
	}
	fake->groups[2].gives = ICFG_DMA;
	fake->during = second_switch_hangs;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -ECANCELED);
	fake->during = NULL;
	fake_fail(fake, 0, 0);
	KUNIT_EXPECT_GE(test, fake->seen, 3);
	while (fake_take_back(fake, txn))
		;
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, fake->groups[i].type, ICFG_DMA);
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

/*
 * A PCIe port that is unbound as the consumer of another device, and cannot be bound
 * again at first: the next rollback tries again.
 */
static void port_comes_back(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct icfg_txn *txn = fake_txn(fake);
	struct fake_dev *devs[2];
	int i;

	for (i = 0; i < 2; i++) {
		fake_group_add(fake, ICFG_DMA);
		devs[i] = fake_dev_add(fake, &fake->groups[i], &fake_driver, NULL);
		fake_stage(fake, txn, &fake->groups[i], "identity");
	}
	fake_link(devs[0], devs[1]);
	devs[1]->broken = true;
	fake_expect_write(fake, fake_dir(txn), "commit", "1", -EIO);
	fake_expect_state(fake, txn, "failed");

	/* No driver of this machine is one that manages DMA itself. */
	icfg_plan_find(txn->undo, &devs[1]->dev)->managed = true;
	devs[1]->broken = false;
	fake_expect_write(fake, fake_dir(txn), "rollback", "1", 0);
	fake_expect_state(fake, txn, "rolled-back");
	KUNIT_EXPECT_TRUE(test, fake_all_bound(fake));
	fake_txn_end(fake, txn);
}

static void paused_hangs(struct kunit *test)
{
	struct world w = { .pause = true };
	int ret, n;

	make_world(test, &w);
	w.fake->never = ~BIT(FAKE_HANG);
	new_txn(&w, "0");
	for (n = 1; !is_lost(test); n++) {
		fake_fail(w.fake, n, 0);
		ret = fake_write(fake_dir(w.txn), "commit", "1");
		if (!failed(&w))
			break;
		expect_taken_back(&w, ret, icfg_generation());
		start_over(&w, "0");
	}
	expect(&w, ret, !ret);
	KUNIT_EXPECT_GT(test, n, 6);
	start_over(&w, "0");
	end_txn(&w);
}

static const struct kind kinds[] = {
	{ "in turn" },
	{ "side by side, no way back in place", .side_by_side = true,
	  .no_way_back = true },
	{ "paused, in turn, no way back in place", .no_way_back = true,
	  .pause = true },
	{ "paused, side by side", .side_by_side = true, .pause = true },
};

KUNIT_ARRAY_PARAM_DESC(kind, kinds, desc);

static struct kunit_case apply_cases[] = {
	KUNIT_CASE_PARAM(commit, kind_gen_params),
	KUNIT_CASE_PARAM(commit_to_confirm, kind_gen_params),
	KUNIT_CASE_PARAM(commit_and_back, kind_gen_params),
	KUNIT_CASE_PARAM(anew_and_back, kind_gen_params),
	KUNIT_CASE_PARAM(roll_back, kind_gen_params),
	KUNIT_CASE_PARAM(roll_back_unconfirmed, kind_gen_params),
	KUNIT_CASE_PARAM(roll_back_failed, kind_gen_params),
	KUNIT_CASE_PARAM(time_out, kind_gen_params),
	KUNIT_CASE_PARAM(starve, kind_gen_params),
	KUNIT_CASE_SLOW(commit_hangs),
	KUNIT_CASE_SLOW(revert_hangs),
	KUNIT_CASE_SLOW(rollback_hangs),
	KUNIT_CASE_SLOW(timer_hangs),
	KUNIT_CASE_SLOW(returns_in_round),
	KUNIT_CASE_SLOW(paused_hangs),
	KUNIT_CASE_SLOW(supplier_away),
	KUNIT_CASE(port_comes_back),
	{}
};

static struct kunit_suite apply_suite = {
	.name		= "iommu-configfs-apply",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= apply_cases,
};

kunit_test_suite(apply_suite);
