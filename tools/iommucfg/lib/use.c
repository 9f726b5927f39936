// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of the devices is in use, as far as it shows from user space. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "netinfo.h"
#include "use.h"

#define MAX_ALIKE	8

static void use_clear(struct iommucfg_use *use)
{
	free(use->name);
	free(use->detail);
	free(use->fix);
}

/*
 * What people may name as they like, such as mount points and processes, must not reach a
 * terminal with control bytes, nor JSON with what is no UTF-8.
 */
int ic_use_add(struct iommucfg_device *device, const char *kind, const char *name,
	       enum iommucfg_word word, bool default_route, const char *format, ...)
{
	struct iommucfg_use use = { .kind = kind, .word = word, .default_route = default_route };
	va_list args;
	char *raw;
	size_t i;
	int n;

	va_start(args, format);
	n = vasprintf(&raw, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	use.detail = ic_printable(raw);
	free(raw);
	use.name = ic_printable(name);
	if (!use.name || !use.detail)
		goto nomem;
	/* A file system may be mounted many times, a device reached two ways. */
	for (i = 0; i < device->num_uses; i++)
		if (!strcmp(device->uses[i].kind, kind) &&
		    !strcmp(device->uses[i].name, use.name) &&
		    !strcmp(device->uses[i].detail, use.detail))
			break;
	device->last_use = i;
	device->last_is_new = i == device->num_uses;
	if (i < device->num_uses) {
		use_clear(&use);
		return 0;
	}
	if (IC_GROW(device->uses, device->num_uses, device->cap_uses))
		goto nomem;
	device->uses[device->num_uses++] = use;
	return 0;
nomem:
	use_clear(&use);
	return -ENOMEM;
}

/* Is anything released by a change of the device's group? A port keeps its driver. */
bool ic_is_released(const struct iommucfg_device *device)
{
	return device->driver && strcmp(device->driver, "pcieport");
}

/*
 * Can a change of the device's group take away what is used? Not where nothing is released,
 * except where user space has the group itself.
 */
bool ic_use_counts(const struct iommucfg_device *device, size_t index)
{
	return ic_is_released(device) || !strcmp(device->uses[index].kind, "vfio");
}

/* Gives the use that was added last a line for sh that ends it. Without one it stays NULL. */
void ic_use_fix(struct iommucfg_device *device, const char *fix)
{
	if (device->num_uses && fix && !device->uses[device->num_uses - 1].fix)
		device->uses[device->num_uses - 1].fix = strdup(fix);
}

void ic_uses_free(struct iommucfg_device *device)
{
	size_t i;

	for (i = 0; i < device->num_uses; i++)
		use_clear(&device->uses[i]);
	free(device->uses);
}

static bool is_alike(const struct iommucfg_use *a, const struct iommucfg_use *b)
{
	return a->word == b->word && !memcmp(a->sets, b->sets, sizeof(a->sets)) && a->default_route == b->default_route && !a->fix && !b->fix &&
	       !strcmp(a->kind, b->kind);
}

/*
 * A disk can have hundreds of volumes in use, each by itself: of those that need the same
 * word for the same reason the first are kept, and the rest is counted.
 */
static int fold_uses(struct iommucfg_device *device)
{
	size_t i, k, n = 0, alike, *left;
	char *detail;

	left = calloc(device->num_uses + 1, sizeof(*left));
	if (!left)
		return -ENOMEM;
	for (i = 0; i < device->num_uses; i++) {
		for (k = 0, alike = 0; k < n && alike < MAX_ALIKE; k++)
			alike += is_alike(&device->uses[k], &device->uses[i]);
		if (alike < MAX_ALIKE) {
			left[n] = 0;
			device->uses[n++] = device->uses[i];
			continue;
		}
		left[k - 1]++;
		use_clear(&device->uses[i]);
	}
	device->num_uses = n;
	for (i = 0; i < n; i++) {
		if (!left[i])
			continue;
		if (asprintf(&detail, "%s, and %zu more", device->uses[i].detail, left[i]) < 0) {
			free(left);
			return -ENOMEM;
		}
		free(device->uses[i].detail);
		device->uses[i].detail = detail;
	}
	free(left);
	return 0;
}

static int use_vfs(struct iommucfg_topology *topology, struct iommucfg_device *device)
{
	struct ic_devices only = { .v = &device, .n = 1 }, devices = { 0 };
	char path[PATH_MAX], buf[32];
	char fix[128];
	unsigned long n;
	size_t i;
	int ret;

	if (!device->bus || strcmp(device->bus, "pci") || !device->driver)
		return 0;
	snprintf(path, sizeof(path), "%s/sriov_numvfs", device->syspath);
	ret = ic_read_attr(device->ctx->sysfd, path, buf, sizeof(buf));
	if (ret < 0)
		return ic_unread(topology, &only, IC_MAYBE_NEVER, ret, "sys/%s", path);
	if (!ret || ic_parse_number(buf, 10, ULONG_MAX, &n) || !n)
		return 0;
	ret = ic_devices_above(topology, device->syspath, &devices);
	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], "vfs", device->name, IOMMUCFG_WORD_NEVER, false,
				 "%lu virtual function%s enabled", n, n == 1 ? "" : "s");
	snprintf(fix, sizeof(fix), "echo 0 >/sys/bus/pci/devices/%s/sriov_numvfs", device->name);
	for (i = 0; i < devices.n && !ret; i++)
		ic_use_fix(devices.v[i], fix);
	free(devices.v);
	return ret;
}

static int scan_all(struct ic_scan *scan)
{
	struct iommucfg_topology *topology = scan->topology;
	static int (*const steps[])(struct ic_scan *scan) = {
		ic_blocks_read, ic_sets_read, ic_nodes_read, ic_opens_read, ic_fs_read, ic_use_mounts,
		ic_use_swaps, ic_use_holders, ic_use_pools, ic_use_exports, ic_use_open,
		ic_use_nodes, ic_use_classes, ic_use_remote, ic_use_net,
	};
	size_t i;
	int ret;

	ret = ic_links_read(topology);
	if (!ret) {
		scan->net = ic_netinfo_read(topology);
		ret = scan->net ? 0 : -ENOMEM;
	}
	for (i = 0; i < sizeof(steps) / sizeof(*steps) && !ret; i++)
		ret = steps[i](scan);
	for (i = 0; i < topology->num_devices && !ret; i++)
		ret = use_vfs(topology, topology->by_path[i]);
	for (i = 0; i < topology->num_devices && !ret; i++)
		ret = fold_uses(topology->by_path[i]);
	if (!ret)
		ic_sets_judge(topology);
	return ret;
}

static int scan(struct iommucfg_topology *topology)
{
	struct ic_scan scan = { .topology = topology };
	int ret;

	ret = scan_all(&scan);
	ic_netinfo_free(scan.net);
	ic_fs_free(&scan);
	ic_opens_free(&scan.opens);
	ic_mounts_free(&scan.mounts);
	ic_nodes_free(&scan.nodes);
	ic_blocks_free(&scan.blocks);
	return ret;
}

int iommucfg_topology_scan_use(struct iommucfg_topology *topology,
			       struct iommucfg_problems *problems)
{
	/* What is known in part only is not known, also when asked again. */
	if (topology->use_read)
		return topology->use_error;
	topology->use_read = true;
	topology->use_error = scan(topology);
	return topology->use_error ? topology->use_error : ic_unread_warn(topology, problems);
}

const char *iommucfg_use_kind(const struct iommucfg_use *use)
{
	return use->kind;
}

const char *iommucfg_use_name(const struct iommucfg_use *use)
{
	return use->name;
}

const char *iommucfg_use_detail(const struct iommucfg_use *use)
{
	return use->detail;
}

const char *iommucfg_use_fix(const struct iommucfg_use *use)
{
	return use->fix;
}

enum iommucfg_word iommucfg_use_word(const struct iommucfg_use *use)
{
	return use->word;
}

enum iommucfg_guard iommucfg_use_guard(const struct iommucfg_use *use)
{
	switch (use->word) {
	case IOMMUCFG_WORD_NET:
	case IOMMUCFG_WORD_DEFAULT_ROUTE:
		return IOMMUCFG_GUARD_NET;
	case IOMMUCFG_WORD_BLOCK:
	case IOMMUCFG_WORD_MOUNTED:
		return IOMMUCFG_GUARD_BLOCK;
	case IOMMUCFG_WORD_OTHER:
		return IOMMUCFG_GUARD_OTHER;
	default:
		return IOMMUCFG_GUARD_NEVER;
	}
}

bool iommucfg_use_default_route(const struct iommucfg_use *use)
{
	return use->default_route;
}
