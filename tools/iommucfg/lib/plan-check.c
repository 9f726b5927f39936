// SPDX-License-Identifier: LGPL-2.1-or-later
/* The kernel's own judgement of a plan, before anything is touched. */
#include <errno.h>
#include <stdio.h>

#include "txn.h"

static bool is_errno(const struct iommucfg_problem *p, const char *name)
{
	return p->error_word && !strcmp(p->error_word, name);
}

static bool rules_type_out(const struct iommucfg_problem *p)
{
	return is_errno(p, "EINVAL") || is_errno(p, "EOPNOTSUPP") || is_errno(p, "ENODEV");
}

/* What the report has about a group: the first line that is of interest. */
struct verdict {
	const struct iommucfg_problem *type;	/* cannot take it */
	const struct iommucfg_problem *disruption;
	const struct iommucfg_problem *busy;
	const struct iommucfg_problem *other;
};

/* Does the kernel refuse the group because its method is ruled out by @limit? */
static bool is_disruption(const struct iommucfg_plan *plan, const struct iommucfg_change *change,
			  const struct iommucfg_problem *p, enum iommucfg_disruption limit)
{
	return is_errno(p, "EOPNOTSUPP") && !change->ruled_out &&
	       ic_change_needs(change, plan->options.confirm_timeout) < limit;
}

static struct verdict verdict_of(const struct iommucfg_plan *plan,
				 const struct iommucfg_change *change,
				 const struct iommucfg_problems *report,
				 enum iommucfg_disruption limit)
{
	const struct iommucfg_problem *p;
	struct verdict v = { 0 };
	size_t i;

	for (i = 0; i < report->n; i++) {
		p = &report->v[i];
		if (p->group != change->group->number)
			continue;
		if (is_disruption(plan, change, p, limit))
			v.disruption = p;
		else if (rules_type_out(p))
			v.type = v.type ? v.type : p;
		else if (is_errno(p, "EBUSY"))
			v.busy = v.busy ? v.busy : p;
		else
			v.other = p;
	}
	return v;
}

/* Takes out what may be left out. Returns how many groups that were. */
static int leave_out(struct iommucfg_plan *plan, struct iommucfg_txn *txn,
		     const struct iommucfg_problems *report)
{
	bool may_block = plan->options.allow_in_use & IC_WORDS_BLOCK &&
			 !ic_txn_has_word(txn, "block");
	enum iommucfg_disruption limit = ic_txn_disruption(txn);
	struct iommucfg_change *change;
	struct verdict v;
	size_t i = 0;
	int n = 0, ret;

	while (i < plan->changes.n) {
		change = plan->changes.v[i];
		v = verdict_of(plan, change, report, limit);
		if (v.type && change->is_default) {
			struct ic_where where = {
				.file = change->file, .line = change->line,
				.group = change->group->number, .device = v.type->device,
			};

			ret = ic_problem(plan->problems, IOMMUCFG_WARNING, "type", &where,
					 "group %u is left as it is (%s), as it cannot take the default %s: %s",
					 change->group->number,
					 iommucfg_group_type_text(change->group),
					 iommucfg_type_name(change->to), v.type->message);
			if (ret)
				return ret;
			plan->unchanged++;
		} else if (v.busy && !v.type && !v.disruption && !v.other && may_block) {
			/* What only the kernel knows of may be a disk. */
			change->part = IOMMUCFG_PART_BLOCK;
			ret = iommucfg_txn_unstage(txn, change->group->number);
			if (ret)
				return ret;
			i++;
			n++;
			continue;
		} else if ((v.busy || v.disruption) && !v.type && !v.other &&
			   plan->options.skip_in_use) {
			change->over_limit = v.disruption;
			ret = ic_change_add(&plan->skipped, change);
			if (ret)
				return ret;
		} else {
			i++;
			continue;
		}
		ret = iommucfg_txn_unstage(txn, change->group->number);
		if (ret)
			return ret;
		ic_change_drop(&plan->changes, i);
		if (v.type)
			free(change);
		n++;
	}
	return n;
}

/* Has the plan said this already of the device, or of the group? */
static bool is_known(const struct iommucfg_plan *plan, const struct iommucfg_problem *p)
{
	const char *kind = is_errno(p, "EBUSY") ? "in-use" : p->kind;
	const struct iommucfg_problem *q;
	size_t i;

	if (strcmp(kind, "in-use") && strcmp(kind, "disruption"))
		return false;
	for (i = 0; i < plan->problems->n; i++) {
		q = &plan->problems->v[i];
		if (q->group == p->group && !strcmp(q->kind, kind) &&
		    (!p->device || !q->device || !strcmp(p->device, q->device)))
			return true;
	}
	return false;
}

static int take_over(struct iommucfg_plan *plan, const struct iommucfg_problems *report,
		     enum iommucfg_disruption limit)
{
	const struct iommucfg_change *change;
	struct iommucfg_problem p;
	size_t i, j;
	int ret = 0;

	for (i = 0; i < report->n && !ret; i++) {
		p = report->v[i];
		for (j = 0; j < plan->changes.n; j++) {
			change = plan->changes.v[j];
			if (change->group->number != p.group)
				continue;
			/* The policy asks for what cannot be had. */
			if (is_disruption(plan, change, &p, limit))
				p.kind = (char *)"disruption";
			else if (change->rule && rules_type_out(&p))
				p.severity = IOMMUCFG_ERROR;
			p.file = (char *)change->file;
			p.line = change->line;
			p.rule = change->rule ? change->rule->name : NULL;
		}
		if (!is_known(plan, &p))
			ret = ic_problems_copy(plan->problems, &p);
	}
	return ret;
}

static bool is_empty(struct iommucfg_txn *txn)
{
	unsigned int *groups = NULL;
	int n = iommucfg_txn_groups(txn, &groups);

	free(groups);
	return !n;
}

int iommucfg_plan_check(struct iommucfg_plan *plan, struct iommucfg_txn *txn)
{
	struct iommucfg_problems *report;
	int ret, left;

	for (;;) {
		if (!plan->changes.n || is_empty(txn))
			return 0;
		ret = iommucfg_txn_check(txn);
		ic_plan_read_methods(plan, txn);
		if (!ret || ret == -EACCES)
			return ret;
		report = iommucfg_problems_new();
		if (!report)
			return -ENOMEM;
		iommucfg_txn_report(txn, IOMMUCFG_REFUSED, report);
		left = leave_out(plan, txn, report);
		if (left <= 0)
			break;
		iommucfg_problems_unref(report);
	}
	if (!left)
		left = take_over(plan, report, ic_txn_disruption(txn));
	if (!left && !report->n)
		left = iommucfg_problems_add(plan->problems, IOMMUCFG_REFUSED, "kernel", -ret,
					     "the kernel would refuse this: %s",
					     iommucfg_txn_refusal(ret));
	iommucfg_problems_unref(report);
	return left ? left : ret;
}
