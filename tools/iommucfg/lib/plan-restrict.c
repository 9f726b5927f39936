// SPDX-License-Identifier: LGPL-2.1-or-later
/* A plan for one group alone. */
#include "internal.h"

static void drop_others(struct ic_changes *changes, const struct iommucfg_group *group)
{
	size_t i = 0;

	while (i < changes->n) {
		if (changes->v[i]->group == group) {
			i++;
			continue;
		}
		free(changes->v[i]);
		ic_change_drop(changes, i);
	}
}

void iommucfg_plan_restrict(struct iommucfg_plan *plan, const struct iommucfg_group *group)
{
	drop_others(&plan->changes, group);
	drop_others(&plan->skipped, group);
	plan->unchanged = !plan->changes.n && !plan->skipped.n;
	ic_problems_keep(plan->conflicts, group->number);
	ic_problems_keep(plan->problems, group->number);
}
