// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of the devices is in use, as far as it shows from user space. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "internal.h"

int ic_use_add(struct iommucfg_device *device, const char *kind, const char *name,
	       enum iommucfg_word word, bool default_route, const char *format, ...)
{
	struct iommucfg_use use = { .kind = kind, .word = word, .default_route = default_route };
	va_list args;
	size_t i;
	int n;

	va_start(args, format);
	n = vasprintf(&use.detail, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	/* A file system may be mounted many times, a device reached two ways. */
	for (i = 0; i < device->num_uses; i++)
		if (!strcmp(device->uses[i].kind, kind) && !strcmp(device->uses[i].name, name) &&
		    !strcmp(device->uses[i].detail, use.detail)) {
			free(use.detail);
			return 0;
		}
	use.name = strdup(name);
	if (!use.name || IC_GROW(device->uses, device->num_uses, device->cap_uses)) {
		free(use.name);
		free(use.detail);
		return -ENOMEM;
	}
	device->uses[device->num_uses++] = use;
	return 0;
}

static int use_vfs(struct iommucfg_topology *topology, struct iommucfg_device *device)
{
	struct ic_devices only = { .v = &device, .n = 1 };
	char path[PATH_MAX], buf[32];
	unsigned long n;
	int ret;

	if (!device->bus || strcmp(device->bus, "pci") || !device->driver)
		return 0;
	snprintf(path, sizeof(path), "%s/sriov_numvfs", device->syspath);
	ret = ic_read_attr(device->ctx->sysfd, path, buf, sizeof(buf));
	if (ret < 0)
		return ic_unread(topology, &only, IC_MAYBE_NEVER, ret, "sys/%s", path);
	if (!ret || ic_parse_number(buf, 10, ULONG_MAX, &n) || !n)
		return 0;
	return ic_use_add(device, "vfs", device->name, IOMMUCFG_WORD_NEVER, false,
			  "%lu virtual function%s enabled", n, n == 1 ? "" : "s");
}

static int scan(struct iommucfg_topology *topology)
{
	size_t i;
	int ret;

	ret = ic_links_read(topology);
	if (!ret)
		ret = ic_use_block(topology);
	if (!ret)
		ret = ic_use_net(topology);
	if (!ret)
		ret = ic_use_vfio(topology);
	for (i = 0; i < topology->num_devices && !ret; i++)
		ret = use_vfs(topology, topology->by_path[i]);
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
	default:
		return IOMMUCFG_GUARD_NEVER;
	}
}

bool iommucfg_use_default_route(const struct iommucfg_use *use)
{
	return use->default_route;
}
