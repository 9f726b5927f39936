// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What stands against the changes of a plan: groups that are in use, and methods that are
 * more disruptive than is allowed.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/*
 * Does the change unbind no driver, as it is in place, but its rollback at the end of the
 * confirm timeout would?
 */
static bool only_reverts_by_rebind(const struct iommucfg_plan *plan,
				   const struct iommucfg_change *change)
{
	return change->in_place &&
	       ic_change_needs(change, plan->options.confirm_timeout) == IOMMUCFG_DISRUPTION_REBIND;
}

/* What a refusal of the change ends with. */
const char *ic_way_back_text(const struct iommucfg_plan *plan,
			     const struct iommucfg_change *change)
{
	return only_reverts_by_rebind(plan, change) ?
	       "; the change itself is in place, only going back when it is not confirmed would unbind drivers: --confirm-timeout 0 leaves that out" :
	       "";
}

/* Tells of every use that refuses the change, where @tell; returns if any. */
static int examine(struct iommucfg_plan *plan, const struct iommucfg_change *change, bool tell)
{
	const struct iommucfg_group *group = change->group;
	const char *kind, *hint, *left;
	const struct iommucfg_use *use;
	const struct ic_set *set;
	size_t i, j;
	int any = 0;

	for (i = 0; i < group->num_devices; i++) {
		for (j = 0; j < group->devices[i]->num_uses; j++) {
			if (!ic_use_counts(group->devices[i], j))
				continue;
			struct ic_where where = {
				.file = change->file, .line = change->line,
				.rule = change->rule ? change->rule->name : NULL,
				.group = group->number, .device = group->devices[i]->name,
				.error = EBUSY,
			};

			use = &group->devices[i]->uses[j];
			if (ic_word_permits(&plan->options, group->devices[i], use))
				continue;
			any = 1;
			hint = ic_word_hint(&plan->options, group->devices[i], use);
			kind = use->default_route && plan->options.allow_in_use &
			       IOMMUCFG_WORD_NET ? "default-route" : "in-use";
			set = use->is_leg ? NULL : use->sets[0];
			left = !set ? "" : set->foreign ? " (what leaves " :
			       set->may_miss ? " (too few healthy legs of " :
					       " (no other healthy leg of ";
			if (tell && ic_problem(plan->problems, IOMMUCFG_REFUSED, kind, &where,
					       "group %u is in use: %s: %s %s: %s%s%s%s; %s%s",
					       group->number, group->devices[i]->name, use->kind,
					       use->name, use->detail, left,
					       set ? set->name : "", !set ? "" : set->foreign ?
					       " is for its own tools to put back)" :
					       " would be left)",
					       hint, ic_way_back_text(plan, change)))
				return -ENOMEM;
			if (tell && use->fix)
				ic_problem_cure(plan->problems, NULL, "%s", use->fix);
			if (tell && set)
				ic_problem_cure(plan->problems, "last-leg", NULL);
		}
	}
	return any;
}

/* Does it take the kernel's word "block", by which a transaction gives up its claim on disks? */
static bool needs_block(const struct iommucfg_change *change)
{
	const struct iommucfg_group *group = change->group;
	size_t i, j;

	for (i = 0; i < group->num_devices; i++)
		for (j = 0; j < group->devices[i]->num_uses; j++)
			if (ic_use_counts(group->devices[i], j) &&
			    group->devices[i]->uses[j].word & IC_WORDS_BLOCK)
				return true;
	return false;
}

/* Does the driver of an interface or a disk go away by it? */
static bool unbinds(const struct iommucfg_change *change)
{
	const struct iommucfg_group *group = change->group;
	size_t i;

	if (ic_change_needs(change, false) != IOMMUCFG_DISRUPTION_REBIND)
		return false;
	for (i = 0; i < group->num_devices; i++)
		if (ic_is_released(group->devices[i]) &&
		    (iommucfg_device_num_interfaces(group->devices[i]) ||
		     iommucfg_device_num_disks(group->devices[i])))
			return true;
	return false;
}

static bool is_too_disruptive(const struct iommucfg_plan *plan,
			      const struct iommucfg_change *change, bool confirm_timeout)
{
	/* Of what the kernel refuses for its type, it says that. */
	return !change->ruled_out &&
	       ic_change_needs(change, confirm_timeout) < plan->options.disruption;
}

/*
 * Takes the default timeout where it is of use. Not where a group that goes in place would be
 * refused because of it, or would need a separate step.
 */
int ic_plan_choose_timeout(struct iommucfg_plan *plan)
{
	const struct iommucfg_change *change;
	bool any = false;
	size_t i;
	int ret;

	if (plan->options.confirm_timeout || !plan->options.default_timeout ||
	    plan->num_steps > 1)
		return 0;
	for (i = 0; i < plan->changes.n && !any; i++)
		any = unbinds(plan->changes.v[i]) &&
		      !is_too_disruptive(plan, plan->changes.v[i], false);
	if (!any)
		return 0;
	plan->options.confirm_timeout = plan->options.default_timeout;
	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		if (!change->in_place || change->reverts_in_place)
			continue;
		ret = is_too_disruptive(plan, change, true) ? 1 : examine(plan, change, false);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		plan->options.confirm_timeout = 0;
		plan->no_way_back = true;
		break;
	}
	/* With it what goes in place may be legs that cannot go back together. */
	ret = ic_plan_choose_steps(plan);
	if (ret || plan->num_steps < 2)
		return ret;
	plan->options.confirm_timeout = 0;
	plan->no_way_back = true;
	return ic_plan_choose_steps(plan);
}

static int refuse_disruption(struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	const char *word = iommucfg_disruption_name(plan->options.disruption);
	struct ic_where where = {
		.file = change->file, .line = change->line,
		.rule = change->rule ? change->rule->name : NULL,
		.group = change->group->number, .error = EOPNOTSUPP,
	};
	const char *what = "its drivers would be unbound and bound again";

	if (ic_change_needs(change, false) == IOMMUCFG_DISRUPTION_PAUSE)
		what = "its drivers would be paused";
	return ic_problem(plan->problems, IOMMUCFG_REFUSED, "disruption", &where,
			  "group %u needs more than disruption \"%s\": %s%s%s",
			  change->group->number, word, what, *change->method ? "" :
			  ", as far as it can be told without asking the kernel",
			  ic_way_back_text(plan, change));
}

static int no_limit(struct iommucfg_plan *plan)
{
	int ret;

	if (plan->options.disruption == IOMMUCFG_DISRUPTION_REBIND || !plan->no_disruption)
		return 0;
	ret = iommucfg_problems_add(plan->problems, IOMMUCFG_ERROR, "disruption", EOPNOTSUPP,
				    "the kernel's module iommu-configfs has no limit of disruption: only \"rebind\" can be asked for");
	if (!ret)
		ic_problem_cure(plan->problems, "no-disruption-limit", NULL);
	return ret;
}

/* 1 where the group is in use, or may be, and that is not permitted. */
static int judge_uses(struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	int ret, unknown = 0;

	/* What stays bound may be in use. */
	if (ic_change_needs(change, plan->options.confirm_timeout) != IOMMUCFG_DISRUPTION_REBIND)
		return 0;
	ret = examine(plan, change, !plan->options.skip_in_use);
	/* Who only looks has been warned. But what is left out is so in a plan, too. */
	if (plan->options.skip_in_use ? !ret : !plan->options.only_look)
		unknown = ic_unread_judge(plan, change);
	return ret < 0 || unknown < 0 ? (ret < 0 ? ret : unknown) : ret | unknown;
}

static int judge(struct iommucfg_plan *plan, struct iommucfg_change *change)
{
	int ret = 1;

	if (plan->no_disruption ||
	    !is_too_disruptive(plan, change, plan->options.confirm_timeout))
		return judge_uses(plan, change);
	change->over_limit = plan->options.skip_in_use;
	if (!change->over_limit)
		ret = refuse_disruption(plan, change);
	return ret < 0 ? ret : 1;
}

/*
 * The guards do not concern a group whose drivers stay bound. With a confirm timeout they
 * do if the group changes in place, but its revert would unbind the drivers.
 */
int ic_plan_guards(struct iommucfg_plan *plan)
{
	struct iommucfg_change *change;
	size_t i = 0;
	int ret;

	ret = no_limit(plan);
	if (!ret)
		ret = ic_plan_choose_steps(plan);
	if (!ret)
		ret = ic_plan_choose_timeout(plan);
	if (ret)
		return ret;
	while (i < plan->changes.n) {
		change = plan->changes.v[i];
		ret = judge(plan, change);
		if (ret < 0)
			return ret;
		if (ret && plan->options.skip_in_use) {
			ret = ic_change_add(&plan->skipped, change);
			if (ret)
				return ret;
			ic_change_drop(&plan->changes, i);
			continue;
		}
		if (ic_change_needs(change, plan->options.confirm_timeout) ==
		    IOMMUCFG_DISRUPTION_REBIND && needs_block(change))
			change->part = IOMMUCFG_PART_BLOCK;
		i++;
	}
	ret = ic_plan_judge_steps(plan);
	if (!ret)
		ic_plan_choose_parts(plan);
	return ret;
}

size_t iommucfg_plan_num_changes(const struct iommucfg_plan *plan)
{
	return plan->changes.n;
}

const struct iommucfg_change *iommucfg_plan_change(const struct iommucfg_plan *plan, size_t index)
{
	return plan->changes.v[index];
}

size_t iommucfg_plan_num_skipped(const struct iommucfg_plan *plan)
{
	return plan->skipped.n;
}

const struct iommucfg_change *iommucfg_plan_skipped(const struct iommucfg_plan *plan, size_t index)
{
	return plan->skipped.v[index];
}

long iommucfg_plan_confirm_timeout(const struct iommucfg_plan *plan)
{
	return plan->options.confirm_timeout;
}

bool iommucfg_plan_no_way_back(const struct iommucfg_plan *plan)
{
	return plan->no_way_back;
}

size_t iommucfg_plan_unchanged(const struct iommucfg_plan *plan)
{
	return plan->unchanged;
}

const struct iommucfg_problems *iommucfg_plan_conflicts(const struct iommucfg_plan *plan)
{
	return plan->conflicts;
}

struct iommucfg_problems *iommucfg_plan_problems(const struct iommucfg_plan *plan)
{
	return plan->problems;
}

struct iommucfg_group *iommucfg_change_group(const struct iommucfg_change *change)
{
	return change->group;
}

enum iommucfg_type iommucfg_change_to(const struct iommucfg_change *change)
{
	return change->to;
}

bool iommucfg_change_in_place(const struct iommucfg_change *change)
{
	return change->in_place;
}

size_t iommucfg_plan_num_rules(const struct iommucfg_plan *plan)
{
	return plan->num_counts;
}

const struct iommucfg_rule *iommucfg_plan_rule(const struct iommucfg_plan *plan, size_t index)
{
	return plan->counts[index].rule;
}

size_t iommucfg_plan_rule_matched(const struct iommucfg_plan *plan, size_t index)
{
	return plan->counts[index].matched;
}

size_t iommucfg_plan_rule_won(const struct iommucfg_plan *plan, size_t index)
{
	return plan->counts[index].won;
}

bool iommucfg_plan_follows(const struct iommucfg_plan *plan, const struct iommucfg_change *change,
			   struct iommucfg_device *device)
{
	size_t i;

	for (i = 0; i < plan->num_counts && change->rule; i++)
		if (iommucfg_rule_match(plan->counts[i].rule, device) > 0)
			return false;
	return change->rule;
}

enum iommucfg_disruption iommucfg_change_needs(const struct iommucfg_plan *plan,
					       const struct iommucfg_change *change)
{
	return ic_change_needs(change, plan->options.confirm_timeout);
}

bool iommucfg_change_over_limit(const struct iommucfg_change *change)
{
	return change->over_limit;
}

const char *iommucfg_change_method(const struct iommucfg_change *change)
{
	return *change->method ? change->method : NULL;
}

const struct iommucfg_rule *iommucfg_change_rule(const struct iommucfg_change *change)
{
	return change->rule;
}

const char *iommucfg_change_origin(const struct iommucfg_change *change, const char **file,
				   int *line)
{
	if (file)
		*file = change->file;
	if (line)
		*line = change->line;
	return change->rule ? change->rule->name : change->is_default ? "default" : NULL;
}
