// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Right before a commit: is everything still as it was planned? Between the plan and the
 * commit disks are mounted, drivers are bound, interfaces come up. The kernel looks at
 * some of this again; of mounts it knows nothing.
 */
#include <errno.h>

#include "run.h"

/* Before the second commit the groups of the first one have their types already. */
static bool is_second(const struct iommucfg_run *run)
{
	return run->second && run->working == run->second;
}

/* The changes of the plan that are not made yet, for the groups that are there now. */
static struct iommucfg_target *targets_of(const struct iommucfg_run *run,
					  const struct iommucfg_topology *topology, size_t *n)
{
	const struct ic_changes *changes = &run->plan->changes;
	struct iommucfg_target *targets;
	struct iommucfg_group *group;
	size_t i;

	*n = 0;
	targets = calloc(changes->n + 1, sizeof(*targets));
	for (i = 0; targets && i < changes->n; i++) {
		if (is_second(run) && changes->v[i]->part != run->second_part)
			continue;
		group = iommucfg_topology_find_group(topology, changes->v[i]->group->number);
		if (group)
			targets[(*n)++] = (struct iommucfg_target){ group, changes->v[i]->to };
	}
	return targets;
}

static int differs(struct iommucfg_run *run)
{
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", ESTALE,
			      "a group of the plan has other devices, drivers or another type by now: nothing was touched; try again");
	ic_problem_cure(run->problems, "plan-differs", NULL);
	return IOMMUCFG_RUN_REFUSED;
}

/* What has come into use since, and is not permitted. */
static int judge(struct iommucfg_run *run, const struct iommucfg_plan *now)
{
	const struct iommucfg_problem *p;
	int code = IOMMUCFG_RUN_DONE;
	size_t i;

	for (i = 0; i < now->problems->n; i++) {
		p = &now->problems->v[i];
		if (p->severity < IOMMUCFG_REFUSED)
			continue;
		ic_problems_copy(run->problems, p);
		code = IOMMUCFG_RUN_REFUSED;
	}
	return code;
}

static int compare(struct iommucfg_run *run, const struct iommucfg_plan *now)
{
	char *then = ic_plan_outline(run->plan, is_second(run) ? (int)run->second_part : -1);
	char *text = ic_plan_outline(now, -1);
	bool same = then && text && !strcmp(then, text);

	free(then);
	free(text);
	return same ? judge(run, now) : differs(run);
}

/* DONE, or REFUSED with what has changed. */
int ic_run_look_again(struct iommucfg_run *run)
{
	struct iommucfg_plan_options options = run->plan->options;
	struct iommucfg_problems *unread = iommucfg_problems_new();
	struct iommucfg_topology *topology = NULL;
	struct iommucfg_target *targets = NULL;
	struct iommucfg_plan *now = NULL;
	int code = IOMMUCFG_RUN_REFUSED;
	size_t n;

	/* What is in use now is not left out any more. */
	options.skip_in_use = false;
	options.only_look = false;
	options.default_timeout = 0;
	options.methods_of = run->plan;
	if (iommucfg_topology_scan(run->ctx, &topology, run->problems))
		goto out;
	/* What cannot be read was said before; what could have been found counts. */
	if (!iommucfg_topology_scan_use(topology, unread))
		targets = targets_of(run, topology, &n);
	if (targets)
		iommucfg_plan_targets(topology, targets, n, &options, &now);
	if (now)
		code = compare(run, now);
	else
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "system", ENOMEM,
				      "what is in use cannot be found out again: nothing was touched");
out:
	free(targets);
	iommucfg_plan_unref(now);
	iommucfg_topology_unref(topology);
	iommucfg_problems_unref(unread);
	return code;
}
