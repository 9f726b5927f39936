// SPDX-License-Identifier: LGPL-2.1-or-later
/* A plan for some groups alone. */
#include <errno.h>

#include "internal.h"

static void drop_others(struct ic_changes *changes, struct iommucfg_group *const *groups,
			size_t count)
{
	size_t i = 0, j;

	while (i < changes->n) {
		for (j = 0; j < count && changes->v[i]->group != groups[j]; j++)
			;
		if (j < count) {
			i++;
			continue;
		}
		free(changes->v[i]);
		ic_change_drop(changes, i);
	}
}

void iommucfg_plan_restrict(struct iommucfg_plan *plan, struct iommucfg_group *const *groups,
			    size_t count)
{
	drop_others(&plan->changes, groups, count);
	drop_others(&plan->skipped, groups, count);
	plan->unchanged = count - plan->changes.n - plan->skipped.n;
	ic_problems_keep(plan->conflicts, groups, count);
	ic_problems_keep(plan->problems, groups, count);
	/* One leg alone needs no steps, and can have a confirm timeout. */
	if (ic_plan_judge_steps(plan) || ic_plan_choose_timeout(plan))
		iommucfg_problems_add(plan->problems, IOMMUCFG_ERROR, "system", ENOMEM,
				      "the plan cannot be made: %s", strerror(ENOMEM));
}
