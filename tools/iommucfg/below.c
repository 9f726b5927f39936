// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What hangs off which device. A block device or an interface belongs to the
 * grouped device whose directory it is in. Two things go across: the heads of
 * NVMe multipath, which hang off a subsystem, and managed device links, as the
 * kernel releases consumers before their supplier.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

/* A chain of links longer than this is a circle. */
#define MAX_DEPTH	16

static int read_link(struct iommucfg_topology *topology, int dirfd, const char *name)
{
	char *supplier = NULL, *consumer = NULL;
	char path[PATH_MAX], status[64], *base;
	int ret = 0;

	/* The kernel keeps no status for links that it does not manage. */
	snprintf(path, sizeof(path), "%s/status", name);
	if (ic_read_attr(dirfd, path, status, sizeof(status)) <= 0 ||
	    !strcmp(status, "not tracked"))
		return 0;
	base = ic_sys_link(dirfd, name, "class/devlink");
	if (!base)
		return 0;
	snprintf(path, sizeof(path), "%s/supplier", name);
	supplier = ic_sys_link(dirfd, path, base);
	snprintf(path, sizeof(path), "%s/consumer", name);
	consumer = ic_sys_link(dirfd, path, base);
	free(base);
	if (supplier && consumer) {
		ret = IC_GROW(topology->links, topology->num_links, topology->cap_links);
		if (!ret) {
			topology->links[topology->num_links].supplier = supplier;
			topology->links[topology->num_links++].consumer = consumer;
			return 0;
		}
	}
	free(supplier);
	free(consumer);
	return ret;
}

int ic_links_read(struct iommucfg_topology *topology)
{
	struct dirent *e;
	DIR *dir;
	int ret = 0;

	if (topology->links_read)
		return 0;
	topology->links_read = true;
	dir = ic_opendirat(topology->ctx->sysfd, "class/devlink");
	if (!dir)
		return errno == ENOMEM ? -ENOMEM : 0;
	while (!ret && (e = readdir(dir)))
		if (*e->d_name != '.')
			ret = read_link(topology, dirfd(dir), e->d_name);
	closedir(dir);
	return ret;
}

void ic_links_free(struct iommucfg_topology *topology)
{
	size_t i;

	for (i = 0; i < topology->num_links; i++) {
		free(topology->links[i].supplier);
		free(topology->links[i].consumer);
	}
	free(topology->links);
}

static int add(struct ic_devices *devices, struct iommucfg_device *device)
{
	size_t i;
	int ret;

	for (i = 0; i < devices->n; i++)
		if (devices->v[i] == device)
			return 0;
	ret = IC_GROW(devices->v, devices->n, devices->cap);
	if (!ret)
		devices->v[devices->n++] = device;
	return ret;
}

static bool is_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	return !strncmp(path, top, length) && (path[length] == '/' || !path[length]);
}

static int above(const struct iommucfg_topology *topology, const char *syspath,
		 struct ic_devices *devices, int depth);

/* "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1": by its controllers */
static int above_head(const struct iommucfg_topology *topology, const char *syspath,
		      struct ic_devices *devices, int depth)
{
	char *subsystem, *controller, *slash;
	struct dirent *e;
	DIR *dir;
	int ret = 0;

	subsystem = strdup(syspath);
	if (!subsystem)
		return -ENOMEM;
	slash = strstr(subsystem, "/nvme-subsystem/");
	slash = strchr(slash + strlen("/nvme-subsystem/"), '/');
	if (slash)
		*slash = '\0';
	dir = ic_opendirat(topology->ctx->sysfd, subsystem);
	if (!dir) {
		free(subsystem);
		return 0;
	}
	while (!ret && (e = readdir(dir))) {
		if (strncmp(e->d_name, "nvme", 4))
			continue;
		controller = ic_sys_link(dirfd(dir), e->d_name, subsystem);
		if (controller)
			ret = above(topology, controller, devices, depth + 1);
		free(controller);
	}
	closedir(dir);
	free(subsystem);
	return ret;
}

static int above(const struct iommucfg_topology *topology, const char *syspath,
		 struct ic_devices *devices, int depth)
{
	struct iommucfg_device *device;
	size_t i;
	int ret = 0;

	if (depth > MAX_DEPTH)
		return 0;
	device = ic_device_at(topology, syspath);
	if (device)
		ret = add(devices, device);
	else if (strstr(syspath, "/nvme-subsystem/"))
		ret = above_head(topology, syspath, devices, depth);
	for (i = 0; i < topology->num_links && !ret; i++)
		if (is_below(syspath, topology->links[i].consumer))
			ret = above(topology, topology->links[i].supplier, devices, depth + 1);
	return ret;
}

/* Adds every device whose release would take away what is at @syspath. */
int ic_devices_above(const struct iommucfg_topology *topology, const char *syspath,
		     struct ic_devices *devices)
{
	return above(topology, syspath, devices, 0);
}
