// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which changes of a plan go in which transaction, and how disruptive each may be.
 *
 * Where drivers cannot be paused after all the kernel unbinds them instead. It must not do
 * so with what is in use and not permitted. The kernel's own guards keep it from most of
 * that; where they would not, the limit of disruption does. It holds for a whole
 * transaction, so groups of that kind are kept apart from those that have to be rebound.
 */
#include <errno.h>

#include "internal.h"

/* May drivers of the device be unbound, as far as the kernel looks, for @use? */
static bool kernel_lets(struct iommucfg_device *device, const struct iommucfg_use *use, int words)
{
	const int net = IOMMUCFG_WORD_NET | IOMMUCFG_WORD_DEFAULT_ROUTE;

	if (use->word == IOMMUCFG_WORD_OTHER)
		return true;
	/* What comes over an interface is not seen, but the interface is. */
	return iommucfg_device_num_interfaces(device) && words & net;
}

/* Is a group in use, which is not permitted, and not kept by the kernel's guards? */
static int is_exposed(const struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	const struct iommucfg_group *group = change->group;
	struct iommucfg_device *device;
	size_t i, j;

	for (i = 0; i < group->num_devices; i++) {
		device = group->devices[i];
		for (j = 0; j < device->num_uses; j++)
			if (ic_use_counts(device, j) &&
			    !ic_word_permits(&plan->options, device, &device->uses[j]) &&
			    kernel_lets(device, &device->uses[j], plan->options.allow_in_use))
				return true;
	}
	return ic_unread_hides(plan, change);
}

void ic_plan_choose_parts(struct iommucfg_plan *plan)
{
	struct iommucfg_change *change;
	bool rebinds = false;
	size_t i;

	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		rebinds |= change->part == IOMMUCFG_PART_MAIN &&
			   ic_change_needs(change, false) == IOMMUCFG_DISRUPTION_REBIND;
	}
	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		if (ic_change_needs(change, false) != IOMMUCFG_DISRUPTION_PAUSE)
			continue;
		change->keeps_drivers = is_exposed(plan, change);
		if (change->keeps_drivers && rebinds)
			change->part = IOMMUCFG_PART_PAUSE;
	}
}

/* The limit for a transaction with one part of the changes. */
enum iommucfg_disruption ic_plan_limit(const struct iommucfg_plan *plan, enum iommucfg_part part)
{
	const struct iommucfg_change *change;
	size_t i;

	for (i = 0; i < plan->changes.n; i++) {
		change = plan->changes.v[i];
		if (change->part == part && change->keeps_drivers &&
		    plan->options.disruption == IOMMUCFG_DISRUPTION_REBIND)
			return IOMMUCFG_DISRUPTION_PAUSE;
	}
	return plan->options.disruption;
}

size_t ic_plan_count_part(const struct iommucfg_plan *plan, enum iommucfg_part part)
{
	size_t i, n = 0;

	for (i = 0; i < plan->changes.n; i++)
		n += plan->changes.v[i]->part == part;
	return n;
}

enum iommucfg_part iommucfg_change_part(const struct iommucfg_change *change)
{
	return change->part;
}
