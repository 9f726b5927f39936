// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a policy, or a list of targets, would change. For each device the rule
 * of highest priority wins, among equals the first; of a group's winners those
 * of highest priority count, and they must agree.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"
#include "plan-losses.h"

int ic_change_add(struct ic_changes *changes, struct iommucfg_change *change)
{
	if (IC_GROW(changes->v, changes->n, changes->cap))
		return -ENOMEM;
	changes->v[changes->n++] = change;
	return 0;
}

/* Takes a change out of the list, without freeing it. */
void ic_change_drop(struct ic_changes *changes, size_t index)
{
	changes->n--;
	memmove(&changes->v[index], &changes->v[index + 1],
		(changes->n - index) * sizeof(*changes->v));
}

/* What a group shall be, and who says so. */
struct wish {
	enum iommucfg_type to;
	const struct iommucfg_rule *rule;
	bool is_default, by_hand;
	const char *file;
	int line;
};

/* Why a group cannot take a type, as far as it can be told; NULL if it can. */
static char *cannot_take(const struct iommucfg_group *group, enum iommucfg_type to,
			 const char **device, int *error)
{
	const char *need;
	char *why = NULL;
	size_t i;
	int n = 0;

	*device = NULL;
	if (!group->num_devices) {
		*error = ENODEV;
		return strdup("it has no device");
	}
	if (iommucfg_group_type(group) == IOMMUCFG_TYPE_OTHER) {
		*error = EOPNOTSUPP;
		n = asprintf(&why, "its present type \"%s\" could not be put back",
			     iommucfg_group_type_text(group));
	}
	for (i = 0; !why && i < group->num_devices && to != IOMMUCFG_TYPE_AUTO; i++) {
		need = group->devices[i]->required;
		if (!need || !strcmp(need, "any") || !strcmp(need, iommucfg_type_name(to)))
			continue;
		*error = EINVAL;
		*device = group->devices[i]->name;
		n = asprintf(&why, "the IOMMU driver of %s insists on %s", *device, need);
	}
	return n < 0 ? NULL : why;
}

static int refuse_type(struct iommucfg_plan *plan, const struct iommucfg_group *group,
		       const struct wish *wish, const char *why, const char *device, int error)
{
	struct ic_where where = {
		.file = wish->file, .line = wish->line, .group = group->number,
		.rule = wish->rule ? wish->rule->name : NULL, .device = device, .error = error,
	};

	if (wish->is_default)
		return ic_problem(plan->problems, IOMMUCFG_WARNING, "type", &where,
				  "group %u is left as it is (%s), as it cannot take the default %s: %s",
				  group->number, iommucfg_group_type_text(group),
				  iommucfg_type_name(wish->to), why);
	if (wish->rule)
		return ic_problem(plan->problems, IOMMUCFG_ERROR, "type", &where,
				  "rule \"%s\": group %u cannot take %s: %s", wish->rule->name,
				  group->number, iommucfg_type_name(wish->to), why);
	return ic_problem(plan->problems, IOMMUCFG_REFUSED, "type", &where,
			  "group %u cannot take %s: %s", group->number,
			  iommucfg_type_name(wish->to), why);
}

/* What a change of type may bring along, that a person should know before. */
static int warn_about(struct iommucfg_plan *plan, const struct iommucfg_group *group,
		      enum iommucfg_type to, unsigned long long memory_end)
{
	struct iommucfg_device *device;
	struct ic_where where = { .line = -1, .group = group->number };
	int bits, ret = 0;
	size_t i;

	for (i = 0; i < group->num_devices && !ret; i++) {
		device = group->devices[i];
		where.device = device->name;
		if ((to == IOMMUCFG_TYPE_IDENTITY || to == IOMMUCFG_TYPE_DMA_FQ) &&
		    !device->required && iommucfg_device_removable(device))
			ret = ic_problem(plan->problems, IOMMUCFG_WARNING, "untrusted", &where,
					 "group %u: %s is removable: a kernel that does not trust it insists on DMA",
					 group->number, device->name);
		/* A driver sets the mask, so without one it says nothing. */
		if (ret || to != IOMMUCFG_TYPE_IDENTITY || !memory_end || !device->driver ||
		    iommucfg_device_manages_dma(device))
			continue;
		bits = iommucfg_device_dma_mask_bits(device);
		if (bits > 0 && bits < 64 && (memory_end - 1) >> bits)
			ret = ic_problem(plan->problems, IOMMUCFG_WARNING, "bounce", &where,
					 "group %u: %s reaches %d address bits, less than this machine's memory: under identity it goes through bounce buffers",
					 group->number, device->name, bits);
	}
	return ret;
}

static int add_wish(struct iommucfg_plan *plan, struct iommucfg_group *group,
		    const struct wish *wish, unsigned long long memory_end)
{
	struct iommucfg_change *change;
	const char *device;
	int error = 0, ret;
	char *why;

	if (wish->to == group->type || wish->to == IOMMUCFG_TYPE_NONE) {
		plan->unchanged++;
		return 0;
	}
	why = cannot_take(group, wish->to, &device, &error);
	if (why) {
		plan->unchanged += wish->is_default;
		ret = refuse_type(plan, group, wish, why, device, error);
		free(why);
		return ret;
	}
	change = calloc(1, sizeof(*change));
	if (!change)
		return -ENOMEM;
	change->group = group;
	change->to = wish->to;
	/* Unless the kernel says more. */
	change->in_place = group->type == IOMMUCFG_TYPE_DMA && wish->to == IOMMUCFG_TYPE_DMA_FQ;
	change->rule = wish->rule;
	change->is_default = wish->is_default;
	change->file = wish->file;
	change->line = wish->line;
	ret = ic_change_add(&plan->changes, change);
	if (ret) {
		free(change);
		return ret;
	}
	return warn_about(plan, group, wish->to, memory_end);
}

static struct iommucfg_plan *plan_new(struct iommucfg_topology *topology,
				      const struct iommucfg_policy *policy,
				      const struct iommucfg_plan_options *options)
{
	struct iommucfg_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->refs = 1;
	plan->topology = iommucfg_topology_ref(topology);
	/* Its rules are what changes refer to. */
	if (policy)
		plan->policy = iommucfg_policy_ref((struct iommucfg_policy *)policy);
	if (options)
		plan->options = *options;
	plan->conflicts = iommucfg_problems_new();
	plan->problems = iommucfg_problems_new();
	plan->losses = ic_losses_new();
	if (!plan->conflicts || !plan->problems || !plan->losses) {
		iommucfg_plan_unref(plan);
		return NULL;
	}
	return plan;
}

struct iommucfg_plan *iommucfg_plan_ref(struct iommucfg_plan *plan)
{
	plan->refs++;
	return plan;
}

void iommucfg_plan_unref(struct iommucfg_plan *plan)
{
	size_t i;

	if (!plan || --plan->refs)
		return;
	for (i = 0; i < plan->changes.n; i++)
		free(plan->changes.v[i]);
	for (i = 0; i < plan->skipped.n; i++)
		free(plan->skipped.v[i]);
	free(plan->changes.v);
	free(plan->skipped.v);
	free(plan->counts);
	iommucfg_problems_unref(plan->conflicts);
	iommucfg_problems_unref(plan->problems);
	ic_losses_free(plan->losses);
	free(plan->sets);
	iommucfg_policy_unref(plan->policy);
	iommucfg_topology_unref(plan->topology);
	free(plan);
}

/* Rules of higher priority first, and earlier ones before later ones. */
static int by_weight(const void *a, const void *b)
{
	const struct iommucfg_rule *const *x = a, *const *y = b;

	if ((*x)->priority != (*y)->priority)
		return (*x)->priority < (*y)->priority ? 1 : -1;
	return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

struct ranking {
	const struct iommucfg_rule **rules;
	size_t n;
};

/* The rule that wins for a device, or NULL. Counts those that match. */
static int winner(struct iommucfg_plan *plan, const struct ranking *ranking,
		  struct iommucfg_device *device, const struct iommucfg_rule **out)
{
	const struct iommucfg_rule *rule, *won = NULL;
	size_t i;
	int ret;

	for (i = 0; i < ranking->n; i++) {
		rule = ranking->rules[i];
		ret = iommucfg_rule_match(rule, device);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		plan->counts[rule->order].matched++;
		if (won)
			continue;
		won = rule;
		plan->counts[rule->order].won++;
	}
	*out = won;
	return 0;
}

static int conflict(struct iommucfg_plan *plan, const struct iommucfg_group *group,
		    const struct iommucfg_rule *a, const struct iommucfg_device *da,
		    const struct iommucfg_rule *b, const struct iommucfg_device *db)
{
	struct ic_where where = {
		.file = b->file, .line = b->line, .rule = b->name, .group = group->number,
		.device = db->name, .error = EINVAL,
	};

	return ic_problem(plan->conflicts, IOMMUCFG_ERROR, "conflict", &where,
			  "conflict in group %u: rule \"%s\" (%s:%d) wants %s for %s, rule \"%s\" (%s:%d) wants %s for %s; all of a group gets one type: a higher priority for one of them decides",
			  group->number, a->name, a->file, a->line, ic_policy_type_name(a->type),
			  da->name, b->name, b->file, b->line, ic_policy_type_name(b->type),
			  db->name);
}

/* 1 where the group's rules agree on @wish, 0 where there is none, or error. */
static int judge_group(struct iommucfg_plan *plan, const struct ranking *ranking,
		       const struct iommucfg_group *group, struct wish *wish, bool *clash)
{
	const struct iommucfg_rule **won, *first = NULL;
	bool told[IOMMUCFG_TYPE_OTHER + 1] = { false };
	size_t i, at = 0;
	int ret = 0;

	if (!group->num_devices)
		return 0;
	won = calloc(group->num_devices, sizeof(*won));
	if (!won)
		return -ENOMEM;
	for (i = 0; i < group->num_devices && !ret; i++) {
		ret = winner(plan, ranking, group->devices[i], &won[i]);
		if (!ret && won[i] && (!first || by_weight(&won[i], &first) < 0)) {
			first = won[i];
			at = i;
		}
	}
	for (i = 0; i < group->num_devices && !ret && first; i++) {
		if (!won[i] || won[i]->priority != first->priority ||
		    won[i]->type == first->type || told[won[i]->type])
			continue;
		told[won[i]->type] = true;
		*clash = true;
		ret = conflict(plan, group, first, group->devices[at], won[i],
			       group->devices[i]);
	}
	free(won);
	if (ret || !first)
		return ret;
	wish->to = first->type;
	wish->rule = first;
	wish->file = first->file;
	wish->line = first->line;
	return 1;
}

static int judge(struct iommucfg_plan *plan, const struct iommucfg_policy *policy,
		 const struct ranking *ranking)
{
	unsigned long long memory_end = ic_memory_end(plan->topology->ctx);
	struct iommucfg_group *group;
	struct wish wish;
	bool clash;
	size_t i;
	int ret;

	for (i = 0; i < plan->topology->num_groups; i++) {
		group = plan->topology->groups[i];
		wish = (struct wish){ .line = -1 };
		clash = false;
		ret = judge_group(plan, ranking, group, &wish, &clash);
		if (ret < 0)
			return ret;
		if (clash)
			continue;
		if (!ret) {
			if (policy->def == IOMMUCFG_TYPE_NONE) {
				plan->unchanged++;
				continue;
			}
			wish.to = policy->def;
			wish.is_default = true;
			wish.file = policy->def_file;
			wish.line = policy->def_line;
		}
		ret = add_wish(plan, group, &wish, memory_end);
		if (ret)
			return ret;
	}
	return 0;
}

/* Tells of the rules that no device meets, unless they may be for devices to come. */
static int judge_unmatched(struct iommucfg_plan *plan)
{
	const struct iommucfg_rule *rule;
	size_t i;
	int ret = 0;

	for (i = 0; i < plan->num_counts && !ret; i++) {
		rule = plan->counts[i].rule;
		struct ic_where where = {
			.file = rule->file, .line = rule->line, .rule = rule->name, .group = -1,
			.error = ENODEV,
		};

		if (plan->counts[i].matched || rule->optional)
			continue;
		if (rule->required)
			ret = ic_problem(plan->problems, IOMMUCFG_ERROR, "required", &where,
					 "rule \"%s\" is required, but no device meets its match",
					 rule->name);
		else
			ret = ic_problem(plan->problems, plan->options.strict ? IOMMUCFG_ERROR :
					 IOMMUCFG_WARNING, "unmatched", &where,
					 "rule \"%s\" matches nothing: no device that is in a group meets it; \"required = false\" says that this may be so",
					 rule->name);
	}
	return ret;
}

int iommucfg_plan_policy(struct iommucfg_topology *topology, const struct iommucfg_policy *policy,
			 const struct iommucfg_plan_options *options, struct iommucfg_plan **out)
{
	struct ranking ranking = { .n = policy->num_rules };
	struct iommucfg_plan *plan;
	int ret = -ENOMEM;

	plan = plan_new(topology, policy, options);
	ranking.rules = calloc(ranking.n + 1, sizeof(*ranking.rules));
	if (plan)
		plan->counts = calloc(ranking.n + 1, sizeof(*plan->counts));
	if (!plan || !ranking.rules || !plan->counts)
		goto out;
	for (; plan->num_counts < ranking.n; plan->num_counts++)
		plan->counts[plan->num_counts].rule = policy->rules[plan->num_counts];
	if (ranking.n) {
		memcpy(ranking.rules, policy->rules, ranking.n * sizeof(*ranking.rules));
		qsort(ranking.rules, ranking.n, sizeof(*ranking.rules), by_weight);
	}
	ret = judge(plan, policy, &ranking);
	if (!ret)
		ret = judge_unmatched(plan);
	if (!ret)
		ret = ic_plan_ask_methods(plan);
	if (!ret)
		ret = ic_plan_guards(plan);
out:
	free(ranking.rules);
	if (ret)
		iommucfg_plan_unref(plan);
	else
		*out = plan;
	return ret;
}

static int by_group(const void *a, const void *b)
{
	const struct iommucfg_target *x = a, *y = b;

	return (x->group->number > y->group->number) - (x->group->number < y->group->number);
}

int iommucfg_plan_targets(struct iommucfg_topology *topology,
			  const struct iommucfg_target *targets, size_t count,
			  const struct iommucfg_plan_options *options, struct iommucfg_plan **out)
{
	unsigned long long memory_end = ic_memory_end(topology->ctx);
	struct iommucfg_target *sorted;
	struct iommucfg_plan *plan;
	bool bad = false;
	int ret = -ENOMEM;
	size_t i;

	plan = plan_new(topology, NULL, options);
	sorted = calloc(count + 1, sizeof(*sorted));
	if (!plan || !sorted)
		goto out;
	/* An entry of the history may have changed nothing: then there is no list. */
	if (count)
		memcpy(sorted, targets, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_group);
	ret = 0;
	for (i = 0; i < count && !ret; i++) {
		struct wish wish = { .to = sorted[i].type, .by_hand = true, .line = -1 };

		if (i && sorted[i].group == sorted[i - 1].group) {
			struct ic_where where = {
				.line = -1, .group = sorted[i].group->number, .error = EINVAL,
			};

			if (sorted[i].type == sorted[i - 1].type)
				continue;
			bad = true;
			ret = ic_problem(plan->problems, IOMMUCFG_ERROR, "usage", &where,
					 "group %u is asked to be both %s and %s",
					 sorted[i].group->number,
					 iommucfg_type_name(sorted[i - 1].type),
					 iommucfg_type_name(sorted[i].type));
			continue;
		}
		ret = add_wish(plan, sorted[i].group, &wish, memory_end);
	}
	if (!ret)
		ret = ic_plan_ask_methods(plan);
	if (!ret)
		ret = ic_plan_guards(plan);
out:
	free(sorted);
	if (ret) {
		iommucfg_plan_unref(plan);
		return ret;
	}
	*out = plan;
	return bad ? -EINVAL : 0;
}
