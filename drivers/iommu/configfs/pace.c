// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long each driver took to probe a device when one was last seen, so that the
 * slow ones begin first: they wait for their hardware while the CPUs are busy with
 * the others, and not after that.
 *
 * Owns a table of hints, without a lock. Drivers share slots and leave theirs to
 * whoever comes to the same address: a hint that is wrong makes the order worse,
 * and nothing else. What waits for a device to be probed does not count for it.
 */
#include <linux/compiler.h>
#include <linux/hash.h>
#include <linux/limits.h>
#include <linux/minmax.h>

#include "kunit.h"
#include "pace.h"

#define PACE_BITS	8

static unsigned int pace[1 << PACE_BITS];

static unsigned int *pace_slot(const struct device_driver *drv)
{
	return &pace[hash_ptr(drv, PACE_BITS)];
}

/* A probe by @drv took @us microseconds. */
void icfg_pace_note(const struct device_driver *drv, s64 us)
{
	WRITE_ONCE(*pace_slot(drv), clamp_t(s64, us, 0, UINT_MAX));
}

/* In microseconds; 0 where it is not known. */
unsigned int icfg_pace_of(const struct device_driver *drv)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_pace_of, drv);

	return READ_ONCE(*pace_slot(drv));
}
