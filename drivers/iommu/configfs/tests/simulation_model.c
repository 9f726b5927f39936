// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulation's machine, and its model of the contract: what a commit, a rollback
 * or a check may return, and what has to hold after it. See simulation_kunit.c.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/scatterlist.h>
#include <linux/iommu-dma.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "simulation.h"

unsigned int sim_pick(struct sim *sim, unsigned int count)
{
	return prandom_u32_state(&sim->rnd) % count;
}

bool sim_chance(struct sim *sim, unsigned int percent)
{
	return sim_pick(sim, 100) < percent;
}

__printf(2, 3) void sim_note(struct sim *sim, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	sim->len += vscnprintf(sim->log + sim->len, LOG_SIZE - sim->len, fmt, args);
	va_end(args);
}

/* The first fact that does not hold ends the run. */
void sim_expect_fact(struct sim *sim, int ret, bool holds, const char *fact)
{
	char *line, *rest = sim->log;
	struct fake_dev *d;
	unsigned int i;

	if (holds || sim->failed)
		return;
	sim->failed = true;
	KUNIT_FAIL(sim->fake->test, "seed %lu, sim_waits=%d: errno %d, not so: %s",
		   sim->seed, sim->waits, ret, fact);
	while ((line = strsep(&rest, "\n")))
		kunit_err(sim->fake->test, "%s", line);
	for (i = 0; i < sim->fake->nr_devs; i++) {
		d = sim->fake->devs[i];
		if (d->dev.driver != d->drv || d->paused)
			kunit_err(sim->fake->test, "%s: %s%s", dev_name(&d->dev),
				  d->dev.driver ? d->dev.driver->name : "no driver",
				  d->paused ? ", paused" : "");
	}
	kunit_err(sim->fake->test, "report:\n%s", sim->page);
}

/* The machine. */

int sim_index_of(struct sim *sim, const struct icfg_staged *group)
{
	struct fake_group *found = iommu_group_get_iommudata(group->group);

	return found - sim->fake->groups;
}

bool sim_is_there(struct sim *sim, unsigned int i)
{
	return device_is_registered(&sim->fake->devs[i]->dev);
}

bool sim_has_members(struct sim *sim, struct fake_group *group)
{
	unsigned int i;

	for (i = 0; i < sim->fake->nr_devs; i++)
		if (sim->fake->devs[i]->group == group && sim_is_there(sim, i))
			return true;
	return false;
}

void sim_shoot_dev(struct sim *sim, struct shot *shot, unsigned int i)
{
	struct fake_dev *d = sim->fake->devs[i];

	shot->drv[i] = (struct device_driver *)d->dev.driver;
	shot->set_up[i] = d->group && use_dma_iommu(&d->dev) ==
			  (d->group->type == ICFG_DMA || d->group->type == ICFG_DMA_FQ);
}

void sim_shoot(struct sim *sim, struct shot *shot)
{
	struct icfg_staged *group;
	unsigned int i;

	memset(shot, 0, sizeof(*shot));
	for (i = 0; i < sim->fake->nr_groups; i++)
		shot->type[i] = sim->fake->groups[i].type;
	for (i = 0; i < sim->fake->nr_devs; i++)
		sim_shoot_dev(sim, shot, i);
	if (sim->now && sim->now->txn)
		list_for_each_entry(group, &sim->now->txn->groups, node)
			shot->status[sim_index_of(sim, group)] = group->status;
	shot->generation = icfg_generation();
}

/* What is done to the machine by others does not fail. */
unsigned long sim_begin_quiet(struct fake *fake)
{
	unsigned long never = fake->never;

	fake->never = ~0UL;
	return never;
}

static struct device_driver *any_driver(struct sim *sim)
{
	struct device_driver * const drivers[] = {
		&fake_driver, &fake_other_driver, &fake_pause_driver, NULL,
	};

	return drivers[sim_pick(sim, ARRAY_SIZE(drivers))];
}

/* @group: or NULL; @parent: may get a child */
void sim_add_dev(struct sim *sim, struct fake_group *group, bool parent)
{
	struct fake *fake = sim->fake;
	struct fake_dev *d, *above = NULL;
	unsigned long never;

	if (fake->nr_devs == FAKE_DEVS)
		return;
	if (parent && fake->nr_devs) {
		above = fake->devs[sim_pick(sim, fake->nr_devs)];
		if (!device_is_registered(&above->dev))
			above = NULL;
	}
	never = sim_begin_quiet(fake);
	d = fake_dev_add(fake, group, any_driver(sim), above);
	fake->never = never;
	sim_shoot_dev(sim, &sim->shot, fake->nr_devs - 1);
	/* No member when the action began: whether it can be set up is not judged. */
	sim->shot.set_up[fake->nr_devs - 1] = false;
	sim_note(sim, "  device %u: group %d, driver %s, below %s\n", fake->nr_devs - 1,
		 group ? (int)(group - fake->groups) : -1, d->drv ? d->drv->name : "-",
	     above ? dev_name(&above->dev) : "-");
}

void sim_make_machine(struct sim *sim)
{
	static const enum icfg_type types[] = { ICFG_IDENTITY, ICFG_DMA, ICFG_DMA_FQ };
	static const int forced[] = { IOMMU_DOMAIN_IDENTITY, IOMMU_DOMAIN_DMA };
	struct fake *fake = sim->fake;
	unsigned int i, supplier, consumer;
	struct fake_group *group;

	fake->no_way_back = sim_chance(sim, 50);
	fake->busy = 0;
	fake->starve = false;
	for (i = 1 + sim_pick(sim, 5); i; i--) {
		group = fake_group_add(fake, types[sim_pick(sim, ARRAY_SIZE(types))]);
		group->system = types[sim_pick(sim, ARRAY_SIZE(types))];
		sim_note(sim, "  group %d: %s, auto is %s\n", fake->nr_groups - 1,
			 icfg_type_word(group->type), icfg_type_word(group->system));
	}
	for (i = 0; i < fake->nr_groups; i++)
		sim_add_dev(sim, &fake->groups[i], false);
	for (i = sim_pick(sim, 7); i; i--) {
		group = &fake->groups[sim_pick(sim, fake->nr_groups)];
		sim_add_dev(sim, sim_chance(sim, 80) ? group : NULL,
			    sim_chance(sim, 30));
	}
	/* From a lower to a higher number, as parents are: no circles. */
	for (i = sim_pick(sim, 4); i && fake->nr_devs > 1; i--) {
		supplier = sim_pick(sim, fake->nr_devs - 1);
		consumer = supplier + 1 + sim_pick(sim, fake->nr_devs - supplier - 1);
		if (!fake->devs[supplier]->drv)
			continue;
		fake_link(fake->devs[supplier], fake->devs[consumer]);
		sim->suppliers |= BIT(supplier);
		/* Its consumers would wait ten seconds for it. */
		fake->devs[supplier]->solid = !sim->waits;
		sim_note(sim, "  device %u is a supplier of %u\n", supplier, consumer);
	}
	if (sim_chance(sim, 15)) {
		i = sim_pick(sim, fake->nr_devs);
		fake->devs[i]->forced = forced[sim_pick(sim, ARRAY_SIZE(forced))];
		sim_note(sim, "  device %u insists on %d\n", i, fake->devs[i]->forced);
	}
}

/* What is between transactions. */

struct icfg_staged *sim_find_group(struct sim *sim, struct sim_txn *t, unsigned int i)
{
	struct icfg_staged *group;

	if (t->txn)
		list_for_each_entry(group, &t->txn->groups, node)
			if (sim_index_of(sim, group) == i)
				return group;
	return NULL;
}

/* Has another transaction this group for certain, or perhaps? */
static bool is_owned(struct sim *sim, struct sim_txn *t, unsigned int i, bool perhaps)
{
	struct sim_txn *other;

	for (other = sim->txns; other < sim->txns + TXNS; other++)
		if (other != t && sim_find_group(sim, other, i) &&
		    (other->state == ICFG_UNCONFIRMED ||
		     (perhaps && !list_empty(&other->txn->waiting))))
			return true;
	return false;
}

bool sim_any_owned(struct sim *sim, struct sim_txn *t, bool perhaps)
{
	unsigned int i;

	for (i = 0; i < sim->fake->nr_groups; i++)
		if (sim_find_group(sim, t, i) && is_owned(sim, t, i, perhaps))
			return true;
	return false;
}

/* Does a type go against what a member insists on? */
static bool is_ruled_out(struct sim *sim, unsigned int i, enum icfg_type type)
{
	struct fake_dev *d;
	unsigned int k;

	for (k = 0; k < sim->fake->nr_devs; k++) {
		d = sim->fake->devs[k];
		if (d->group != &sim->fake->groups[i] || !d->forced || !sim_is_there(sim, k))
			continue;
		return type != ICFG_AUTO &&
		       type != (d->forced == IOMMU_DOMAIN_DMA ? ICFG_DMA : ICFG_IDENTITY);
	}
	return false;
}

/*
 * The errno with which a commit has to be refused, 0 where the model has none, or 1
 * where it cannot tell.
 */
int sim_due_refusal(struct sim *sim, struct sim_txn *t)
{
	bool invalid = list_empty(&t->txn->groups), empty = false;
	struct icfg_staged *group;
	bool owned;
	int i;

	if (t->state != ICFG_STAGED || sim->fake->busy & BIT(FAKE_PM))
		return -EBUSY;
	if (t->txn->expected_generation &&
	    t->txn->expected_generation != icfg_generation())
		return -ESTALE;
	list_for_each_entry(group, &t->txn->groups, node) {
		i = sim_index_of(sim, group);
		owned = is_owned(sim, t, i, false);
		/* One that is owned is not judged. */
		if (!owned && is_owned(sim, t, i, true))
			return 1;
		invalid |= group->new == ICFG_NONE ||
			   (!owned && is_ruled_out(sim, i, group->new));
		empty |= !owned && !sim_has_members(sim, &sim->fake->groups[i]);
	}
	if (invalid)
		return -EINVAL;
	return empty ? -ENODEV : 0;
}

bool sim_is_refusal(int ret)
{
	return ret && ret != -ECANCELED && ret != -EIO;
}

/* A check, or a commit, in which nothing goes wrong. */
void sim_expect_quiet(struct sim *sim, int ret, int due)
{
	struct sim_txn *t = sim->now;

	if (!sim->quiet || due > 0)
		return;
	if (due) {
		sim_expect(sim, ret, ret == due);
		return;
	}
	switch (ret) {
	case 0:
		sim_expect(sim, ret, !sim_any_owned(sim, t, false));
		break;
	case -EOPNOTSUPP:
		sim_expect(sim, ret, t->txn->disruption != ICFG_DISRUPT_REBIND);
		break;
	case -EBUSY:
		sim_expect(sim, ret, sim->fake->busy || sim_any_owned(sim, t, true));
		break;
	default:
		sim_expect(sim, ret, sim_is_refusal(ret) && false);
	}
}

/* What holds after each action. */

/* @before: what stands before the word in a line of the report */
static bool is_named(struct sim *sim, char before, const char *word)
{
	size_t len = strlen(word);
	const char *at = sim->page;

	while ((at = strstr(at, word))) {
		if ((at == sim->page ? before == '\n' : at[-1] == before) && at[len] == ' ')
			return true;
		at += len;
	}
	return false;
}

static bool is_group_named(struct sim *sim, const struct icfg_staged *group)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", group->id);
	return is_named(sim, '\n', name);
}

/* Is it reported that a group keeps the type that another process has set? */
bool sim_is_left_alone(struct sim *sim, const struct icfg_staged *group)
{
	char line[48];

	snprintf(line, sizeof(line), "\n%u - restore ESTALE left alone", group->id);
	return !strncmp(sim->page, line + 1, strlen(line + 1)) ||
	       strstr(sim->page, line);
}

static bool any_failed(struct sim *sim)
{
	struct icfg_staged *group;

	list_for_each_entry(group, &sim->now->txn->groups, node)
		if (group->status == ICFG_S_FAILED)
			return true;
	return false;
}

/*
 * Is a device that is not as it was accounted for by the report? One of another group
 * is reported for the group for whose sake it was unbound.
 */
static bool is_dev_named(struct sim *sim, unsigned int i)
{
	struct fake_dev *d = sim->fake->devs[i];
	struct icfg_staged *group = NULL;

	if (is_named(sim, ' ', dev_name(&d->dev)))
		return true;
	if (d->group)
		group = sim_find_group(sim, sim->now, d->group - sim->fake->groups);
	return group ? group->status == ICFG_S_FAILED && is_group_named(sim, group) :
		       any_failed(sim);
}

/* @drv: what it has to have */
static bool has_driver(struct sim *sim, unsigned int i, struct device_driver *drv)
{
	struct fake_dev *d = sim->fake->devs[i];

	if (!sim_is_there(sim, i) || sim->lost & BIT(i))
		return true;
	/* The driver core may have bound it meanwhile, as it does what has deferred. */
	if (sim->deferred && !drv)
		drv = (struct device_driver *)d->dev.driver;
	return d->dev.driver == drv && !d->paused;
}

static bool is_set_up(struct sim *sim, unsigned int i)
{
	struct shot shot = {};

	if (!sim->shot.set_up[i] || !sim_is_there(sim, i))
		return true;
	sim_shoot_dev(sim, &shot, i);
	return shot.set_up[i];
}

/* Nothing was changed. */
void sim_expect_untouched(struct sim *sim, int ret)
{
	struct icfg_staged *group;
	unsigned int i;

	sim_expect(sim, ret, !atomic_read(&sim->fake->modified));
	sim_expect(sim, ret, icfg_generation() == sim->shot.generation);
	for (i = 0; i < sim->fake->nr_groups; i++)
		sim_expect(sim, ret, sim->fake->groups[i].type == sim->shot.type[i]);
	for (i = 0; i < sim->fake->nr_devs; i++)
		sim_expect(sim, ret, has_driver(sim, i, sim->shot.drv[i]));
	list_for_each_entry(group, &sim->now->txn->groups, node)
		sim_expect(sim, ret, group->status == sim->shot.status[sim_index_of(sim, group)]);
}

/* Groups that the transaction has not got keep their types. */
void sim_expect_others_untouched(struct sim *sim, int ret)
{
	unsigned int i;

	for (i = 0; i < sim->fake->nr_groups; i++)
		sim_expect(sim, ret, sim_find_group(sim, sim->now, i) ||
			   sim->fake->groups[i].type == sim->shot.type[i]);
}

/* Nor does it change a group that another transaction has. */
void sim_expect_owned_untouched(struct sim *sim, int ret)
{
	struct icfg_staged *group;
	struct fake_dev *d;
	unsigned int i;

	for (i = 0; i < sim->fake->nr_groups; i++) {
		group = sim_find_group(sim, sim->now, i);
		if (!group || !is_owned(sim, sim->now, i, false))
			continue;
		sim_expect(sim, ret, sim->fake->groups[i].type == sim->shot.type[i]);
		sim_expect(sim, ret, sim->shot.status[i] != ICFG_S_FAILED ||
			   group->status == ICFG_S_FAILED);
	}
	for (i = 0; i < sim->fake->nr_devs; i++) {
		d = sim->fake->devs[i];
		if (d->group &&
		    is_owned(sim, sim->now, d->group - sim->fake->groups, false))
			sim_expect(sim, ret, has_driver(sim, i, sim->shot.drv[i]));
	}
}

/* After a commit: all new, or all as before. */
void sim_expect_all(struct sim *sim, int ret, bool new)
{
	struct icfg_staged *group;
	enum icfg_type type;
	unsigned int i;

	list_for_each_entry(group, &sim->now->txn->groups, node) {
		i = sim_index_of(sim, group);
		type = new ? group->new : sim->shot.type[i];
		if (type != ICFG_AUTO && sim_has_members(sim, &sim->fake->groups[i]))
			sim_expect(sim, ret, sim->fake->groups[i].type == type);
		sim_expect(sim, ret, group->status != ICFG_S_FAILED &&
			   group->status != ICFG_S_STAGED);
		if (new && group->status == ICFG_S_UNCHANGED)
			sim_expect(sim, ret, sim->fake->groups[i].type == sim->shot.type[i]);
	}
	for (i = 0; i < sim->fake->nr_devs; i++) {
		sim_expect(sim, ret, has_driver(sim, i, sim->shot.drv[i]));
		sim_expect(sim, ret, is_set_up(sim, i));
	}
}

/* Another process may have changed what an earlier rollback has restored. */
static bool has_old_type(struct sim *sim, unsigned int i, const struct shot *before)
{
	enum icfg_status status = sim->shot.status[i];
	enum icfg_type type = sim->fake->groups[i].type;

	return type == before->type[i] ||
	       (type == sim->shot.type[i] &&
		(status == ICFG_S_RESTORED || status == ICFG_S_UNCHANGED));
}

/*
 * After -EIO: what did not fail has the type that it had before the commit (@before),
 * and what did is named.
 */
void sim_expect_named(struct sim *sim, int ret, const struct shot *before)
{
	struct icfg_staged *group;
	bool any = false;
	unsigned int i;

	list_for_each_entry(group, &sim->now->txn->groups, node) {
		i = sim_index_of(sim, group);
		if (group->status == ICFG_S_FAILED) {
			sim_expect(sim, ret, is_group_named(sim, group));
			any = true;
		} else if (sim_has_members(sim, &sim->fake->groups[i])) {
			sim_expect(sim, ret, has_old_type(sim, i, before) ||
				   sim_is_left_alone(sim, group));
		}
	}
	sim_expect(sim, ret, any);
	for (i = 0; i < sim->fake->nr_devs; i++)
		sim_expect(sim, ret, has_driver(sim, i, sim->shot.drv[i]) ||
			   has_driver(sim, i, before->drv[i]) ||
				 is_dev_named(sim, i));
}

/* After a rollback that returned 0. */
void sim_expect_restored(struct sim *sim, int ret)
{
	struct sim_txn *t = sim->now;
	struct icfg_staged *group;
	unsigned int i;

	list_for_each_entry(group, &t->txn->groups, node) {
		i = sim_index_of(sim, group);
		sim_expect(sim, ret, group->status == ICFG_S_RESTORED ||
			   group->status == ICFG_S_UNCHANGED);
		if (t->modified & BIT(i) && sim_has_members(sim, &sim->fake->groups[i]))
			sim_expect(sim, ret, has_old_type(sim, i, &t->before) ||
				   sim_is_left_alone(sim, group));
	}
	for (i = 0; i < sim->fake->nr_devs; i++)
		sim_expect(sim, ret, has_driver(sim, i, sim->shot.drv[i]) ||
			   (!sim->shot.drv[i] &&
				  has_driver(sim, i, t->before.drv[i])) ||
				 is_dev_named(sim, i));
}

unsigned int sim_count_waiting(struct sim_txn *t)
{
	return t->txn ? list_count_nodes(&t->txn->waiting) : 0;
}

/* What holds after whatever was done. */
void sim_expect_always(struct sim *sim, int ret)
{
	unsigned int i, depends = 0;
	struct sim_txn *t;

	for (t = sim->txns; t < sim->txns + TXNS; t++) {
		if (!t->txn)
			continue;
		depends += (t->state == ICFG_UNCONFIRMED) + sim_count_waiting(t);
		sim_expect(sim, ret, t->txn->state == t->state);
		sim_expect(sim, ret, atomic_read(&t->txn->done) <= atomic_read(&t->txn->total));
		sim_expect(sim, ret, (t->state == ICFG_UNCONFIRMED) ==
				 delayed_work_pending(&t->txn->timer));
		sim_expect(sim, ret, (t->state == ICFG_UNCONFIRMED) ==
				 !!icfg_txn_remaining(t->txn));
		sim_expect(sim, ret, !sim_count_waiting(t) || t->state == ICFG_FAILED);
	}
	sim_expect(sim, ret, atomic_read(&sim->fake->depends) == depends);
	/* A pause that nothing ends is a device that is lost: it has to be named. */
	for (i = 0; i < sim->fake->nr_devs; i++) {
		if (!sim->fake->devs[i]->paused || !sim_is_there(sim, i)) {
			sim->lost &= ~BIT(i);
			continue;
		}
		sim_expect(sim, ret, sim->lost & BIT(i) ||
			   (sim->now->txn && is_dev_named(sim, i)));
		sim->lost |= BIT(i);
	}
}

/* What the action did to groups, and to what the acting transaction says of them. */
static void note_changes(struct sim *sim)
{
	struct icfg_staged *group;
	unsigned int i;

	for (i = 0; i < sim->fake->nr_groups; i++) {
		group = sim_find_group(sim, sim->now, i);
		if (sim->fake->groups[i].type == sim->shot.type[i] &&
		    (!group || group->status == sim->shot.status[i]))
			continue;
		sim_note(sim, "  group %u: %s%s%s\n", i,
			 icfg_type_word(sim->fake->groups[i].type), group ? ", " : "",
			 group ? icfg_status_word(group->status) : "");
	}
}

void sim_read_report(struct sim *sim)
{
	ssize_t len;

	note_changes(sim);
	len = icfg_report_show(&sim->now->txn->report, ICFG_NO_GROUP, sim->page, 0);
	sim->page[len] = '\0';
	sim_note(sim, "%s", sim->page);
}
