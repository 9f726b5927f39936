// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulation from seeds: a random machine, random transactions on it, random
 * failures, and what others do meanwhile (devices come and go, types and drivers
 * are changed, disks are in use, steps hang, the timer comes due). After each action
 * every group is new, or as before, or named in the report, as the ABI has it.
 *
 * A seed determines a run. The one that fails is printed with what was done; with
 * iommu_configfs.sim_seed=N iommu_configfs.sim_runs=1 (and the same sim_waits) it runs
 * again.
 */
#include <kunit/test.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "simulation.h"

static ulong sim_seed = 1;
module_param(sim_seed, ulong, 0444);
MODULE_PARM_DESC(sim_seed, "simulation: the first seed");

static ulong sim_runs = 50;
module_param(sim_runs, ulong, 0444);
MODULE_PARM_DESC(sim_runs, "simulation: how many seeds, from the first one on");

static bool sim_waits;
module_param(sim_waits, bool, 0444);
MODULE_PARM_DESC(sim_waits, "simulation: also what waits for ten seconds");

#define ACTIONS		40

static const char * const type_words[] = { "identity", "DMA", "DMA-FQ", "auto" };

/* What others do. */

static void plug(struct sim *sim)
{
	sim_note(sim, " a device comes\n");
	sim_add_dev(sim, &sim->fake->groups[sim_pick(sim, sim->fake->nr_groups)], false);
}

/* Without sim_waits not below others, whose remove might have deleted it. */
static void unplug(struct sim *sim)
{
	unsigned int i = sim_pick(sim, sim->fake->nr_devs), k;
	struct fake_dev *d = sim->fake->devs[i];
	unsigned long never;

	if (!sim_is_there(sim, i) || (!sim->waits && d->dev.parent))
		return;
	/* In the middle of an action its consumers would be unbound with it. */
	if (sim->acts && sim->suppliers & BIT(i))
		return;
	/* Parents go after their children. */
	for (k = 0; k < sim->fake->nr_devs; k++)
		if (sim->fake->devs[k]->dev.parent == &d->dev && sim_is_there(sim, k))
			return;
	sim_note(sim, " device %u is unplugged\n", i);
	/* Its consumers stay unbound. */
	sim->unbound |= sim->suppliers & BIT(i);
	never = sim_begin_quiet(sim->fake);
	fake_dev_unplug(d);
	sim->fake->never = never;
}

static void expire_now(struct sim *sim)
{
	if (!delayed_work_pending(&sim->now->txn->timer))
		return;
	sim_note(sim, " the timer comes due\n");
	fake_expire(sim->fake, sim->now->txn);
}

/* Only where nothing runs. */
static void change_type(struct sim *sim)
{
	static const enum icfg_type types[] = { ICFG_IDENTITY, ICFG_DMA, ICFG_DMA_FQ };
	struct fake_group *group = &sim->fake->groups[sim_pick(sim, sim->fake->nr_groups)];
	unsigned long never = sim_begin_quiet(sim->fake);

	fake_set_type(group, types[sim_pick(sim, ARRAY_SIZE(types))]);
	sim->fake->never = never;
	sim_note(sim, " somebody gives group %td %s\n", group - sim->fake->groups,
		 icfg_type_word(group->type));
}

static void change_driver(struct sim *sim)
{
	unsigned int i = sim_pick(sim, sim->fake->nr_devs);
	struct device *dev = &sim->fake->devs[i]->dev;
	unsigned long never;

	if (!sim_is_there(sim, i))
		return;
	/* Consumers have to do without it. */
	sim->deferred = true;
	sim->unbound |= BIT(i);
	sim_note(sim, " somebody %s device %u\n", dev->driver ? "unbinds" : "binds", i);
	never = sim_begin_quiet(sim->fake);
	if (dev->driver)
		device_release_driver(dev);
	else if (device_attach(dev) < 0)
		sim_note(sim, "  in vain\n");
	sim->fake->never = never;
}

static void change_use(struct sim *sim)
{
	static const enum fake_call uses[] = { FAKE_NET, FAKE_BLOCK, FAKE_PM, FAKE_OWNER };
	enum fake_call use = uses[sim_pick(sim, ARRAY_SIZE(uses))];

	sim->fake->busy = sim->fake->busy ? 0 : BIT(use);
	sim_note(sim, " in use: %s\n", sim->fake->busy ? fake_call_word(use) : "nothing");
}

static void break_or_mend(struct sim *sim)
{
	struct fake_dev *d = sim->fake->devs[sim_pick(sim, sim->fake->nr_devs)];

	if (d->solid)
		return;
	d->broken = !d->broken;
	sim_note(sim, " %s %s\n", dev_name(&d->dev), d->broken ? "breaks" : "is mended");
}

/* A type is being set. */
static void during(struct fake *fake)
{
	struct sim *sim = fake->data;
	void (*surprise)(struct sim *sim) = sim->surprise;

	if (!surprise || --fake->seen > 0)
		return;
	sim->surprise = NULL;
	sim->acts = true;
	surprise(sim);
	sim->acts = false;
}

/* What may go wrong in the action to come. */
static void choose_failures(struct sim *sim)
{
	static void (* const surprises[])(struct sim *sim) = {
		plug, unplug, expire_now,
	};
	struct fake *fake = sim->fake;
	int first = 0, second = 0;
	unsigned int i;
	bool hangs;

	/* The machine knows of one transaction that waits for what hangs. */
	hangs = !sim->hanger && sim_chance(sim, 20);
	if (hangs)
		sim->hanger = sim->now;
	/* In a rollback, what is wrong besides is not told from a type that reads odd. */
	fake->never = BIT(FAKE_READ);
	if (!hangs)
		fake->never |= BIT(FAKE_HANG);
	if (!sim->waits)
		fake->never |= BIT(FAKE_LEAVING);
	if (sim_chance(sim, 50)) {
		first = 1 + sim_pick(sim, sim_chance(sim, 50) ? 100 : 30);
		if (sim_chance(sim, 50))
			second = first + 1 + sim_pick(sim, 60);
	}
	fake_fail(fake, first, second);
	fake->starve = sim_chance(sim, 10);
	sim->surprise = NULL;
	fake->seen = 0;
	if (sim_chance(sim, 15)) {
		sim->surprise = surprises[sim_pick(sim, ARRAY_SIZE(surprises))];
		fake->seen = 1 + sim_pick(sim, 3);
	}
	sim->quiet = !first && !sim->surprise && !sim->unbound;
	for (i = 0; i < fake->nr_devs; i++)
		sim->quiet &= !fake->devs[i]->broken;
}

static void note_failures(struct sim *sim, const char *action, int ret)
{
	struct fake *fake = sim->fake;
	int i, count = atomic_read(&fake->failed);

	sim_note(sim, " %s of %td: %d, %s%s", action, sim->now - sim->txns, ret,
		 icfg_state_word(sim->now->txn->state), fake->starve ? ", no memory" : "");
	for (i = 0; i < ARRAY_SIZE(fake->fail); i++)
		if (fake->fail[i] && i < count)
			sim_note(sim, ", %s fails", fake_call_word(fake->failed_as[i]));
	sim_note(sim, "\n");
}

/* The actions. */

/* What was before it, for what has to hold after it. */
static void begin_action(struct sim *sim)
{
	sim->page[0] = '\0';
	sim_shoot(sim, &sim->shot);
	fake_fail(sim->fake, 0, 0);
}

static int write_txn(struct sim *sim, const char *file, const char *text)
{
	return fake_write(fake_dir(sim->now->txn), file, text);
}

static void set_state(struct sim *sim, enum icfg_state state)
{
	sim->now->state = state;
}

/* The confirm timer that tests let come due must not do so by itself. */
static void rearm(struct sim *sim)
{
	struct icfg_txn *txn = sim->now->txn;

	if (txn->state != ICFG_UNCONFIRMED)
		return;
	mutex_lock(&txn->lock);
	txn->deadline = 1;
	mutex_unlock(&txn->lock);
	sim_expect(sim, 0, !write_txn(sim, "confirm_timeout", "604800"));
}

/* What the commit left, for its rollback. */
static void note_commit(struct sim *sim, int ret)
{
	struct sim_txn *t = sim->now;
	struct icfg_staged *group;
	unsigned int i;

	t->before = sim->shot;
	t->modified = 0;
	list_for_each_entry(group, &t->txn->groups, node) {
		i = sim_index_of(sim, group);
		t->cur[i] = sim->fake->groups[i].type;
		if (ret ? t->cur[i] != t->before.type[i] :
			  group->status != ICFG_S_UNCHANGED)
			t->modified |= BIT(i);
	}
}

static void do_check(struct sim *sim)
{
	int ret, due;

	choose_failures(sim);
	due = sim_due_refusal(sim, sim->now);
	ret = write_txn(sim, "check", "1");
	note_failures(sim, "check", ret);
	sim_read_report(sim);
	sim_expect(sim, ret, !ret || sim_is_refusal(ret));
	sim_expect_untouched(sim, ret);
	sim_expect_quiet(sim, ret, due);
}

static void do_commit(struct sim *sim)
{
	struct sim_txn *t = sim->now;
	bool confirm = t->txn->confirm_timeout;
	bool touched;
	int ret, due;

	choose_failures(sim);
	due = sim_due_refusal(sim, t);
	ret = write_txn(sim, "commit", "1");
	touched = atomic_read(&sim->fake->modified);
	note_failures(sim, "commit", ret);
	sim_read_report(sim);
	sim_expect_quiet(sim, ret, due);
	sim_expect_others_untouched(sim, ret);

	switch (ret) {
	case 0:
		set_state(sim, confirm ? ICFG_UNCONFIRMED : ICFG_COMMITTED);
		sim_expect_all(sim, ret, true);
		note_commit(sim, ret);
		break;
	case -ECANCELED:
		sim_expect(sim, ret, sim->page[0]);
		sim_expect_all(sim, ret, false);
		break;
	case -EIO:
		set_state(sim, ICFG_FAILED);
		sim_expect_named(sim, ret, &sim->shot);
		note_commit(sim, ret);
		break;
	default:
		sim_expect(sim, ret, sim_is_refusal(ret));
		sim_expect_untouched(sim, ret);
	}
	if (!sim_is_refusal(ret))
		sim_expect(sim, ret, icfg_generation() - sim->shot.generation ==
				 (touched || ret));
}

static void do_confirm(struct sim *sim)
{
	bool due = sim->now->state == ICFG_UNCONFIRMED;
	int ret = write_txn(sim, "confirm", "1");

	sim_note(sim, " confirm of %td: %d\n", sim->now - sim->txns, ret);
	sim_expect(sim, ret, ret == (due ? 0 : -EBUSY));
	if (due)
		set_state(sim, ICFG_COMMITTED);
	sim_expect_untouched(sim, ret);
}

/* Has another process changed the type of a group that the commit changed? */
static bool is_stale(struct sim *sim, struct sim_txn *t)
{
	unsigned int i;

	for (i = 0; i < sim->fake->nr_groups; i++)
		if (t->modified & BIT(i) && sim_has_members(sim, &sim->fake->groups[i]) &&
		    sim->fake->groups[i].type != t->cur[i])
			return true;
	return false;
}

/* A type that another process has set since is reported, and is not restored later. */
static void note_left_alone(struct sim *sim)
{
	struct sim_txn *t = sim->now;
	struct icfg_staged *group;
	unsigned int i;

	list_for_each_entry(group, &t->txn->groups, node) {
		i = sim_index_of(sim, group);
		/* Without a device there is nothing to restore: it counts as restored. */
		if (!sim_has_members(sim, &sim->fake->groups[i]))
			continue;
		if (group->status != ICFG_S_FAILED || sim_is_left_alone(sim, group))
			t->before.type[i] = sim->fake->groups[i].type;
	}
}

/* What has come since the commit, and was unbound by this rollback, is bound by the next. */
static void note_newcomers(struct sim *sim)
{
	struct shot *before = &sim->now->before;
	unsigned int i;

	for (i = 0; i < sim->fake->nr_devs; i++)
		if (!before->drv[i])
			before->drv[i] = sim->shot.drv[i];
}

/* By hand, or by the timer: @ret is what it returned, or what the state says of it. */
static void expect_rolled_back(struct sim *sim, int ret)
{
	struct sim_txn *t = sim->now;

	sim_expect_others_untouched(sim, ret);
	sim_expect_owned_untouched(sim, ret);
	switch (ret) {
	case 0:
		sim_expect(sim, ret, !sim_count_waiting(t));
		set_state(sim, ICFG_ROLLED_BACK);
		sim_expect_restored(sim, ret);
		break;
	case -EIO:
		set_state(sim, ICFG_FAILED);
		sim_expect_named(sim, ret, &t->before);
		note_left_alone(sim);
		note_newcomers(sim);
		break;
	default:
		sim_expect(sim, ret, sim_is_refusal(ret));
		sim_expect_untouched(sim, ret);
	}
	if (!sim_is_refusal(ret))
		sim_expect(sim, ret, icfg_generation() - sim->shot.generation <= 1);
}

static void do_rollback(struct sim *sim)
{
	struct sim_txn *t = sim->now;
	enum icfg_state from = t->state;
	bool may, stale, owned;
	int ret;

	may = from == ICFG_UNCONFIRMED || from == ICFG_COMMITTED || from == ICFG_FAILED;
	stale = from != ICFG_FAILED && is_stale(sim, t);
	owned = sim_any_owned(sim, t, false);
	choose_failures(sim);
	ret = write_txn(sim, "rollback", "1");
	note_failures(sim, "rollback", ret);
	sim_read_report(sim);
	expect_rolled_back(sim, ret);
	if (!may)
		sim_expect(sim, ret, ret == -EBUSY ||
			   (ret == -ENOENT && !sim->quiet));
	else if (sim->quiet && sim->fake->busy & BIT(FAKE_PM))
		sim_expect(sim, ret, ret == -EBUSY);
	else if (sim->quiet && stale)
		sim_expect(sim, ret, ret == -ESTALE);
	else if (sim->quiet && owned)
		sim_expect(sim, ret, from == ICFG_FAILED ? !ret || ret == -EIO :
							   ret == -EBUSY);
	else if (sim->quiet && !sim->fake->busy && !sim_any_owned(sim, t, true))
		sim_expect(sim, ret, !ret || (ret == -EIO && sim_count_waiting(t)));
}

static void do_expire(struct sim *sim)
{
	enum icfg_state state;

	if (sim->now->state != ICFG_UNCONFIRMED)
		return;
	choose_failures(sim);
	fake_expire(sim->fake, sim->now->txn);
	state = sim->now->txn->state;
	note_failures(sim, "timer", 0);
	sim_read_report(sim);
	/* It does not give up. */
	sim_expect(sim, 0, state == ICFG_ROLLED_BACK || state == ICFG_FAILED ||
		   state == ICFG_UNCONFIRMED);
	sim_expect(sim, 0, state != ICFG_UNCONFIRMED || !sim->quiet ||
		   sim->fake->busy & BIT(FAKE_PM));
	expect_rolled_back(sim, state == ICFG_ROLLED_BACK ? 0 :
			   state == ICFG_FAILED ? -EIO : -ENOMEM);
	rearm(sim);
}

/* Whatever hung has returned, or nothing did. */
static void settle_hanger(struct sim *sim)
{
	struct sim_txn *t = sim->hanger;

	if (t && !sim_count_waiting(t) && !atomic_read(&sim->fake->hangs) &&
	    !atomic_read(&sim->fake->take_backs))
		sim->hanger = NULL;
}

static void take_back(struct sim *sim)
{
	struct sim_txn *t = sim->hanger;
	struct icfg_staged *group;
	unsigned int i;

	sim->now = t;
	begin_action(sim);
	/* In a suspend it is only queued again. */
	while (fake_take_back(sim->fake, t->txn) &&
	       !(sim->fake->busy & BIT(FAKE_PM)))
		;
	sim_note(sim, " take-back of %td: %u wait\n", t - sim->txns,
		 sim_count_waiting(t));
	sim_read_report(sim);
	sim_expect(sim, 0, icfg_generation() == sim->shot.generation);
	list_for_each_entry(group, &t->txn->groups, node) {
		i = sim_index_of(sim, group);
		if (group->status == ICFG_S_RESTORED &&
		    sim->shot.status[i] == ICFG_S_FAILED &&
		    sim_has_members(sim, &sim->fake->groups[i]))
			sim_expect(sim, 0, sim->fake->groups[i].type == t->before.type[i] ||
				   (sim->fake->groups[i].type == sim->shot.type[i] &&
				    sim_is_left_alone(sim, group)));
	}
	note_left_alone(sim);
}

/* What hangs returns, if anything does, or its take-back runs before that. */
static void let_go(struct sim *sim)
{
	if (!sim->hanger)
		return;
	if (sim_chance(sim, 80)) {
		sim_note(sim, " what hangs returns\n");
		fake_let_go(sim->fake);
	}
	if (sim_chance(sim, 80))
		take_back(sim);
}

static void stage(struct sim *sim)
{
	unsigned int i = sim_pick(sim, sim->fake->nr_groups);
	struct fake_group *group = &sim->fake->groups[i];
	struct sim_txn *t = sim->now;
	const char *type = type_words[sim_pick(sim, ARRAY_SIZE(type_words))];
	struct icfg_staged *staged = sim_find_group(sim, t, i);
	bool may = t->state == ICFG_STAGED;
	struct config_item *item;
	char name[12];
	int ret = 0;

	snprintf(name, sizeof(name), "%d", iommu_group_id(group->group));
	if (!staged) {
		item = fake_mkdir(t->txn, name);
		ret = PTR_ERR_OR_ZERO(item);
		sim_expect(sim, ret, ret == (may ? 0 : -EBUSY));
		staged = ret ? NULL : container_of(item, struct icfg_staged, item);
	}
	if (staged && !staged->hidden && sim_chance(sim, 95)) {
		ret = fake_write(&staged->item, "type", type);
		sim_expect(sim, ret, ret == (may ? 0 : -EBUSY));
	}
	sim_note(sim, " group %u of %td to be %s: %d\n", i, t - sim->txns, type, ret);
}

static void unstage(struct sim *sim)
{
	unsigned int i = sim_pick(sim, sim->fake->nr_groups);
	struct icfg_staged *group = sim_find_group(sim, sim->now, i);

	if (!group || group->hidden)
		return;
	sim_note(sim, " rmdir of group %u of %td\n", i, sim->now - sim->txns);
	fake_rmdir(group);
	sim_expect(sim, 0, !sim_find_group(sim, sim->now, i) == (sim->now->state == ICFG_STAGED));
}

static void set_option(struct sim *sim)
{
	static const char * const words[] = { "none", "pause", "rebind" };
	struct sim_txn *t = sim->now;
	bool may = t->state == ICFG_STAGED;
	const char *file, *text;
	char number[24];
	int ret;

	switch (sim_pick(sim, 4)) {
	case 0:
		file = "disruption";
		text = words[sim_pick(sim, ARRAY_SIZE(words))];
		break;
	case 1:
		file = "confirm_timeout";
		text = sim_chance(sim, 70) ? "604800" : "0";
		may |= t->state == ICFG_UNCONFIRMED && text[0] != '0';
		break;
	case 2:
		file = "expected_generation";
		snprintf(number, sizeof(number), "%llu",
			 icfg_generation() + sim_pick(sim, 2));
		text = sim_chance(sim, 70) ? number : "0";
		break;
	default:
		file = "allow_in_use";
		text = sim_chance(sim, 50) ? "net block" : "\n";
		may |= t->state != ICFG_ROLLED_BACK;
	}
	ret = write_txn(sim, file, text);
	sim_note(sim, " %s of %td: %s: %d\n", file, t - sim->txns, text, ret);
	sim_expect(sim, ret, ret == (may ? 0 : -EBUSY));
}

/* mkdir, or rmdir with its groups where the ABI lets it. */
static void begin_txn(struct sim *sim)
{
	sim->now->txn = fake_txn(sim->fake);
	sim->now->state = ICFG_STAGED;
	sim->now->modified = 0;
	sim_note(sim, " mkdir of %td\n", sim->now - sim->txns);
}

static void end_txn(struct sim *sim)
{
	struct sim_txn *t = sim->now;
	struct icfg_staged *group, *next;
	unsigned int i;

	if (t->state == ICFG_UNCONFIRMED || sim_count_waiting(t) ||
	    sim->hanger == t)
		return;
	sim_note(sim, " rmdir of %td\n", t - sim->txns);
	/* What it has not bound again is bound by no rollback any more. */
	for (i = 0; t->state == ICFG_FAILED && i < sim->fake->nr_devs; i++)
		if (t->before.drv[i] && !sim->fake->devs[i]->dev.driver)
			sim->unbound |= BIT(i);
	list_for_each_entry_safe(group, next, &t->txn->groups, node)
		if (!group->hidden)
			fake_rmdir(group);
	sim_expect(sim, 0, kref_read(&fake_dir(t->txn)->ci_kref) == 1);
	icfg_subsys.su_group.cg_item.ci_type->ct_group_ops->drop_item(&icfg_subsys.su_group,
								      fake_dir(t->txn));
	t->txn = NULL;
	t->state = ICFG_STAGED;
	sim_shoot(sim, &sim->shot);
}

/* With how many chances each of them comes. */
static const struct action {
	void (*act)(struct sim *sim);
	unsigned int chances;
} actions[] = {
	{ stage, 40 }, { unstage, 3 }, { set_option, 12 },
	{ do_check, 6 }, { do_commit, 24 }, { do_confirm, 3 }, { do_rollback, 12 },
	{ do_expire, 6 }, { end_txn, 6 }, { let_go, 8 },
	{ plug, 2 }, { unplug, 2 }, { change_type, 2 }, { change_driver, 2 },
	{ change_use, 4 }, { break_or_mend, 3 },
};

static void act(struct sim *sim)
{
	unsigned int i, sum = 0, left;

	sim->now = &sim->txns[sim_pick(sim, TXNS)];
	begin_action(sim);
	if (!sim->now->txn)
		begin_txn(sim);
	for (i = 0; i < ARRAY_SIZE(actions); i++)
		sum += actions[i].chances;
	left = sim_pick(sim, sum);
	for (i = 0; left >= actions[i].chances; i++)
		left -= actions[i].chances;
	actions[i].act(sim);
	sim->surprise = NULL;
	settle_hanger(sim);
	sim_expect_always(sim, 0);
}

static void last_rollback(struct sim *sim, unsigned int i)
{
	int ret;

	sim->now = &sim->txns[i];
	if (sim->failed || sim->now->state != ICFG_FAILED)
		return;
	begin_action(sim);
	ret = write_txn(sim, "rollback", "1");
	sim_note(sim, " last rollback of %u: %d\n", i, ret);
	sim_read_report(sim);
	expect_rolled_back(sim, ret);
	sim_expect(sim, ret, !ret || ret == -EIO);
}

/* Nothing fails any more: everything can be put back, and let go. */
static void end_run(struct sim *sim)
{
	struct fake *fake = sim->fake;
	unsigned int i;

	fake->never = ~0UL;
	fake->starve = false;
	fake->busy = 0;
	sim->surprise = NULL;
	for (i = 0; i < fake->nr_devs; i++) {
		struct fake_dev *d = fake->devs[i];

		d->broken = false;
		/* With its consumers. */
		if (sim->unbound && sim_is_there(sim, i) && !d->dev.driver)
			if (device_attach(&d->dev) < 0)
				sim_note(sim, " device %u stays without\n", i);
	}
	if (sim->hanger) {
		sim_note(sim, " what hangs returns in the end\n");
		fake_let_go(fake);
		take_back(sim);
	}
	settle_hanger(sim);
	sim_expect(sim, 0, !sim->hanger);
	for (i = 0; i < TXNS; i++) {
		sim->now = &sim->txns[i];
		begin_action(sim);
		if (sim->now->state == ICFG_UNCONFIRMED)
			do_confirm(sim);
	}
	/* One may have to bind a supplier for which devices of another wait. */
	for (i = 0; i < TXNS * TXNS; i++)
		last_rollback(sim, i % TXNS);
	for (i = 0; i < TXNS; i++)
		sim_expect(sim, 0, sim->txns[i].state != ICFG_FAILED);
	for (i = 0; i < fake->nr_devs; i++)
		sim_expect(sim, 0, !fake->devs[i]->paused || sim->lost & BIT(i));
	for (i = 0; i < TXNS; i++) {
		sim->now = &sim->txns[i];
		if (sim->now->txn)
			end_txn(sim);
	}
}

static void run_seed(struct sim *sim, unsigned long seed)
{
	struct fake *fake = sim->fake;
	int i, pins = fake_pins();

	memset(sim, 0, sizeof(*sim));
	sim->fake = fake;
	sim->waits = sim_waits;
	sim->deferred = sim_waits;
	sim->seed = seed;
	prandom_seed_state(&sim->rnd, seed);
	fake->data = sim;
	fake->during = during;
	fake->never = ~0UL;
	sim_note(sim, " a machine%s\n", sim->waits ? "" : ", without what waits");
	sim_make_machine(sim);
	for (i = 0; i < ACTIONS && !sim->failed; i++)
		act(sim);
	/* What is wrong already may not end. */
	if (sim->failed)
		return;
	end_run(sim);
	if (sim->failed)
		return;
	fake->during = NULL;
	fake_clear(fake);
	sim_expect(sim, 0, fake_pins() == pins);
}

static void simulate(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct sim *sim = kvzalloc(sizeof(*sim), GFP_KERNEL);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, sim);
	sim->fake = fake;
	for (i = 0; i < sim_runs && !sim->failed; i++) {
		run_seed(sim, sim_seed + i);
		cond_resched();
		if (READ_ONCE(test->status) == KUNIT_FAILURE && !sim->failed)
			sim_expect_fact(sim, 0, false, "the machine is as it was");
	}
	kunit_info(test, "%lu seeds from %lu on", i, sim_seed);
	kvfree(sim);
}

static struct kunit_case simulation_cases[] = {
	KUNIT_CASE_SLOW(simulate),
	{}
};

static struct kunit_suite simulation_suite = {
	.name		= "iommu-configfs-simulation",
	.suite_init	= fake_bus_init,
	.suite_exit	= fake_bus_exit,
	.init		= fake_init,
	.exit		= fake_exit,
	.test_cases	= simulation_cases,
};

kunit_test_suite(simulation_suite);
