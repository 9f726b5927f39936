// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How the kernel would change each group of a plan: in place, with its drivers paused, or
 * with its drivers unbound. Only the kernel knows, and tells it of groups that are in a
 * transaction: so one is made, checked, and removed again. That touches no group.
 *
 * Where the kernel cannot be asked (no module, not root, a saved tree) only what all
 * kernels do is relied on: from DMA to DMA-FQ in place, with no way back in place, and
 * everything else by unbinding drivers.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "txn.h"

static bool is_method(const struct iommucfg_change *change, const char *method)
{
	return !strcmp(change->method, method);
}

/* The kernel has told how it changes a group, or has told it anew. */
void ic_change_set_method(struct iommucfg_change *change, const char *method)
{
	if (!strcmp(method, "none"))
		return;
	snprintf(change->method, sizeof(change->method), "%s", method);
	change->in_place = is_method(change, "in-place");
}

/* With a confirm timeout: the kernel's timer has to be able to take it back as well. */
enum iommucfg_disruption ic_change_needs(const struct iommucfg_change *change,
					 bool confirm_timeout)
{
	if (change->in_place)
		return confirm_timeout && !change->reverts_in_place ? IOMMUCFG_DISRUPTION_REBIND :
								      IOMMUCFG_DISRUPTION_NONE;
	if (is_method(change, "pause"))
		return IOMMUCFG_DISRUPTION_PAUSE;
	return is_method(change, "unchanged") ? IOMMUCFG_DISRUPTION_NONE :
						IOMMUCFG_DISRUPTION_REBIND;
}

static int compare_group(const void *group, const void *change)
{
	long a = *(const long *)group, b = (*(struct iommucfg_change *const *)change)->group->number;

	return (a > b) - (a < b);
}

/* The change of a group; changes are sorted by its number. */
static struct iommucfg_change *find(const struct iommucfg_plan *plan, long group)
{
	struct iommucfg_change **found = NULL;

	if (plan->changes.n)
		found = bsearch(&group, plan->changes.v, plan->changes.n,
				sizeof(*plan->changes.v), compare_group);
	return found ? *found : NULL;
}

/* Has the check reported of a group that its type cannot be had? */
static bool rules_out(const struct iommucfg_problem *p)
{
	return p->error_word && (!strcmp(p->error_word, "EINVAL") ||
				 !strcmp(p->error_word, "EOPNOTSUPP") ||
				 !strcmp(p->error_word, "ENODEV"));
}

static int check(struct iommucfg_txn *txn, struct iommucfg_problems **report)
{
	*report = iommucfg_problems_new();
	if (!*report)
		return -ENOMEM;
	if (iommucfg_txn_check(txn))
		iommucfg_txn_report(txn, IOMMUCFG_WARNING, *report);
	return 0;
}

void ic_plan_read_methods(struct iommucfg_plan *plan, struct iommucfg_txn *txn)
{
	struct iommucfg_change *change;
	char method[16];
	size_t i;

	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		if (!iommucfg_txn_group_attr(txn, change->group->number, "method", method,
					     sizeof(method)))
			ic_change_set_method(change, method);
	}
}

/* What is in use does not matter here, and is not waited for where it is permitted. */
static int ask_for_methods(struct iommucfg_plan *plan, struct iommucfg_txn *txn)
{
	struct iommucfg_problems *report;
	struct iommucfg_change *change;
	size_t i;
	int ret;

	iommucfg_txn_set_allow_in_use(txn, IOMMUCFG_WORD_NET | IOMMUCFG_WORD_BLOCK |
				      IOMMUCFG_WORD_OTHER);
	for (i = 0; i < plan->changes.n; i++)
		iommucfg_txn_stage(txn, plan->changes.v[i]->group->number,
				   plan->changes.v[i]->to);
	ret = check(txn, &report);
	if (ret)
		return ret;
	ic_plan_read_methods(plan, txn);
	for (i = 0; i < report->n; i++) {
		change = rules_out(&report->v[i]) ? find(plan, report->v[i].group) : NULL;
		if (change)
			change->ruled_out = true;
	}
	iommucfg_problems_unref(report);
	return 0;
}

/* The kernel refuses a group whose way back unbinds drivers, where nothing may be unbound. */
static int ask_for_way_back(struct iommucfg_plan *plan, struct iommucfg_txn *txn)
{
	struct iommucfg_problems *report;
	struct iommucfg_change *change;
	bool any = false;
	size_t i;
	int ret;

	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		change->reverts_in_place = is_method(change, "in-place") && !change->ruled_out;
		any |= change->reverts_in_place;
	}
	if (!any)
		return 0;
	ret = iommucfg_txn_set_confirm_timeout(txn, 1);
	if (!ret)
		ret = iommucfg_txn_set_disruption(txn, IOMMUCFG_DISRUPTION_NONE);
	if (!ret)
		ret = check(txn, &report);
	if (ret) {
		for (i = 0; i < plan->changes.n; i++)
			plan->changes.v[i]->reverts_in_place = false;
		return ret == -ENOMEM ? ret : 0;
	}
	for (i = 0; i < report->n; i++) {
		change = rules_out(&report->v[i]) ? find(plan, report->v[i].group) : NULL;
		if (change)
			change->reverts_in_place = false;
	}
	iommucfg_problems_unref(report);
	return 0;
}

/* The same groups, right before the commit. */
static void take_over(struct iommucfg_plan *plan, const struct iommucfg_plan *from)
{
	const struct iommucfg_change *old;
	struct iommucfg_change *change;
	size_t i;

	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		old = find(from, change->group->number);
		if (!old)
			continue;
		ic_change_set_method(change, *old->method ? old->method : "none");
		change->reverts_in_place = old->reverts_in_place;
		change->ruled_out = old->ruled_out;
	}
}

int ic_plan_ask_methods(struct iommucfg_plan *plan)
{
	struct iommucfg *ctx = plan->topology->ctx;
	struct iommucfg_txn *txn;
	int ret = 0;

	if (plan->options.methods_of)
		take_over(plan, plan->options.methods_of);
	if (plan->options.methods_of ||
	    (!plan->changes.n && plan->options.disruption == IOMMUCFG_DISRUPTION_REBIND) ||
	    iommucfg_kernel_probe(ctx, NULL) ||
	    faccessat(ctx->rootfd, CONFIGFS_DIR, W_OK, AT_EACCESS) ||
	    iommucfg_txn_create(ctx, NULL, &txn, NULL))
		return 0;
	/* A directory of a saved tree is no transaction. */
	if (iommucfg_txn_state(txn) == IOMMUCFG_STATE_STAGED) {
		plan->no_disruption = iommucfg_txn_set_disruption(txn,
				IOMMUCFG_DISRUPTION_PAUSE) == -EOPNOTSUPP;
		iommucfg_txn_set_disruption(txn, IOMMUCFG_DISRUPTION_REBIND);
		if (!plan->no_disruption && plan->changes.n) {
			ret = ask_for_methods(plan, txn);
			if (!ret)
				ret = ask_for_way_back(plan, txn);
		}
	}
	iommucfg_txn_forget(txn);
	iommucfg_txn_unref(txn);
	return ret;
}
