// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes the reading of policies, and what a policy that was read does: its
 * rules are matched against a device, a plan is made. Includes are refused by
 * the parser itself, so no file is opened.
 */
#include <assert.h>

#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct iommucfg_device *fake_device(struct iommucfg *ctx, struct iommucfg_group *group)
{
	struct iommucfg_device *d = calloc(1, sizeof(*d));

	assert(d);
	d->ctx = ctx;
	d->group = group;
	d->name = (char *)"0000:01:00.0";
	d->syspath = (char *)"devices/pci0000:00/0000:00:1c.4/0000:01:00.0";
	d->bus = (char *)"pci";
	d->driver = (char *)"nvme";
	d->class = 0x010802;
	d->vendor = 0x144d;
	d->device = 0xa80a;
	d->subvendor = d->subdevice = 1;
	d->ids_read = d->removable_read = d->override_read = d->modalias_read = true;
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct iommucfg_plan_options options;
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_group group = { .number = 1, .type = IOMMUCFG_TYPE_DMA };
	struct iommucfg_group *groups[] = { &group };
	/* One reference more than is put: nothing of it was allocated. */
	struct iommucfg_topology topology = { .refs = 1, .groups = groups, .num_groups = 1 };
	struct iommucfg_device *device;
	struct iommucfg_policy *policy;
	struct iommucfg_plan *plan;
	struct iommucfg *ctx;
	int ret;

	assert(!iommucfg_new(&ctx, "/proc/self/fdinfo"));
	assert(!iommucfg_policy_new(ctx, &policy));
	ret = iommucfg_policy_read_buffer(policy, "fuzz", (const char *)data, size, problems);
	/* Whatever is refused is explained, and only that. */
	assert(!ret == !iommucfg_problems_count(problems));
	if (!ret) {
		device = fake_device(ctx, &group);
		group.devices = &device;
		group.num_devices = 1;
		topology.ctx = ctx;
		assert(!iommucfg_plan_policy(&topology, policy, &options, &plan));
		iommucfg_plan_unref(plan);
		free(device->path);
		free(device);
	}
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
	return 0;
}
