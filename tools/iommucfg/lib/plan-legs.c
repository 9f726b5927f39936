// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Legs of one set, and what rules keep apart, are changed one after the other: each change of a
 * plan gets the number of its step, the first one that has no other leg of its sets. Each step
 * is a transaction that is judged and final before the next one.
 */
#include <errno.h>

#include "internal.h"

/* A change that takes a leg away. */
struct taken {
	struct iommucfg_change *change;
	size_t leg;
};

struct sets {
	struct ic_set **v;
	size_t n, cap;
};

static int match_apart(struct ic_set *set, const struct iommucfg_rule *rule,
		       struct iommucfg_topology *topology)
{
	struct ic_leg *leg;
	size_t i;
	int ret;

	for (i = 0; i < topology->num_devices; i++) {
		ret = iommucfg_rule_match(rule, topology->by_path[i]);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		leg = ic_set_leg(set, topology->by_path[i]->name);
		ret = leg ? ic_devices_add(&leg->devices, topology->by_path[i]) : -ENOMEM;
		if (ret)
			return ret;
	}
	return 0;
}

/* What the policy's rules keep apart; every device is a leg. */
static int read_apart(const struct iommucfg_plan *plan, struct sets *sets)
{
	const struct iommucfg_rule *rule;
	struct ic_set *set;
	size_t i, j;
	int ret = 0;

	for (i = 0; plan->policy && i < plan->policy->num_rules && !ret; i++) {
		rule = plan->policy->rules[i];
		if (!rule->apart)
			continue;
		for (j = 0; j < sets->n && strcmp(sets->v[j]->name, rule->apart); j++)
			;
		set = j < sets->n ? sets->v[j] : ic_set_new(&sets->v, &sets->n, &sets->cap, "apart",
							    rule->apart);
		ret = set ? match_apart(set, rule, plan->topology) : -ENOMEM;
	}
	return ret;
}

/* Or would be by the kernel's timer. */
static bool is_rebound(const struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	return ic_change_needs(change, plan->options.confirm_timeout) ==
	       IOMMUCFG_DISRUPTION_REBIND;
}

/* The changes that take legs of the set, once for each leg. */
static int take_legs(const struct iommucfg_plan *plan, const struct ic_set *set,
		     struct taken **out, size_t *n)
{
	struct iommucfg_change *change;
	size_t i, j, cap = 0;

	*out = NULL;
	*n = 0;
	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		for (j = 0; j < set->num_legs && is_rebound(plan, change); j++) {
			if (!ic_leg_is_of(&set->legs[j], change->group))
				continue;
			if (IC_GROW(*out, *n, cap))
				return -ENOMEM;
			(*out)[(*n)++] = (struct taken){ change, j };
		}
	}
	return 0;
}

static int name_set(struct iommucfg_plan *plan, const struct ic_set *set)
{
	char *text;

	if (asprintf(&text, "%s%s%s", plan->sets ? plan->sets : "", plan->sets ? ", " : "",
		     set->name) < 0)
		return -ENOMEM;
	free(plan->sets);
	plan->sets = text;
	return 0;
}

/*
 * Moves the later of two groups with different legs on, until none are left in one step. Steps
 * only grow, so that this ends. 1 where something was moved.
 */
static int separate(const struct taken *taken, size_t n, bool *several)
{
	size_t i, j;
	int moved = 0;

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++) {
			if (taken[i].change == taken[j].change || taken[i].leg == taken[j].leg)
				continue;
			*several = true;
			if (taken[i].change->step != taken[j].change->step)
				continue;
			taken[i].change->step++;
			moved = 1;
		}
	return moved;
}

/* Without a bitmap what comes back has to be copied anew as a whole. */
static int no_bitmap(struct iommucfg_plan *plan, const struct ic_set *set)
{
	int ret;

	ret = iommucfg_problems_add(plan->problems, IOMMUCFG_REFUSED, "in-use", EBUSY,
				    "%s has no write-intent bitmap, so its legs cannot be changed one after the other: each would be copied anew as a whole",
				    set->name);
	if (!ret)
		ic_problem_cure(plan->problems, "no-bitmap",
				"mdadm --grow --bitmap=internal /dev/%s", set->name);
	return ret;
}

static int walk(struct iommucfg_plan *plan, const struct ic_set *set, bool judge, int *moved)
{
	struct taken *taken;
	bool several = false;
	size_t n;
	int ret;

	ret = take_legs(plan, set, &taken, &n);
	if (!ret) {
		*moved |= separate(taken, n, &several);
		if (several && judge)
			ret = name_set(plan, set);
		if (several && judge && set->no_bitmap && !ret)
			ret = no_bitmap(plan, set);
	}
	free(taken);
	return ret;
}

static int walk_all(struct iommucfg_plan *plan, const struct sets *apart, bool judge, int *moved)
{
	size_t i;
	int ret = 0;

	*moved = 0;
	for (i = 0; i < plan->topology->num_sets && !ret; i++)
		ret = walk(plan, plan->topology->sets[i], judge, moved);
	for (i = 0; i < apart->n && !ret; i++)
		ret = walk(plan, apart->v[i], judge, moved);
	return ret;
}

static int choose(struct iommucfg_plan *plan, bool judge)
{
	struct sets apart = { 0 };
	int ret, moved = 1;
	size_t i;

	for (i = 0; i < plan->changes.n; i++)
		plan->changes.v[i]->step = 0;
	ret = read_apart(plan, &apart);
	while (!ret && moved)
		ret = walk_all(plan, &apart, false, &moved);
	if (!ret && judge)
		ret = walk_all(plan, &apart, true, &moved);
	plan->num_steps = 0;
	for (i = 0; i < plan->changes.n; i++)
		if (plan->changes.v[i]->step >= plan->num_steps)
			plan->num_steps = plan->changes.v[i]->step + 1;
	ic_sets_free(apart.v, apart.n);
	return ret;
}

int ic_plan_choose_steps(struct iommucfg_plan *plan)
{
	return choose(plan, false);
}

/* Each step is final before the next, so that there is nothing to confirm afterwards. */
static int refuse_timeout(struct iommucfg_plan *plan)
{
	int ret;

	ret = iommucfg_problems_add(plan->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
				    "the legs of %s are changed one after the other, each final before the next: that does not go with a confirm timeout; without one, or \"apply --only\" for each of them, it does",
				    plan->sets);
	if (!ret)
		ic_problem_cure(plan->problems, "legs", NULL);
	return ret;
}

/* After the guards, which may have left out groups. */
int ic_plan_judge_steps(struct iommucfg_plan *plan)
{
	size_t i = 0;
	int ret;

	free(plan->sets);
	plan->sets = NULL;
	ret = choose(plan, true);
	if (ret || plan->num_steps < 2 || !plan->options.confirm_timeout)
		return ret;
	if (!plan->options.skip_in_use)
		return refuse_timeout(plan);
	while (i < plan->changes.n && !ret) {
		if (!plan->changes.v[i]->step) {
			i++;
			continue;
		}
		ret = ic_change_add(&plan->skipped, plan->changes.v[i]);
		if (!ret)
			ic_change_drop(&plan->changes, i);
	}
	plan->num_steps = 1;
	return ret;
}

unsigned int iommucfg_plan_num_steps(const struct iommucfg_plan *plan)
{
	return plan->num_steps;
}

const char *iommucfg_plan_sets(const struct iommucfg_plan *plan)
{
	return plan->sets;
}

unsigned int iommucfg_change_step(const struct iommucfg_change *change)
{
	return change->step;
}
