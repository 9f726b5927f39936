// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What hangs off which device. A block device or an interface belongs to the
 * grouped device whose directory it is in. Three things go across: the heads of
 * NVMe multipath, which hang off a subsystem; NVMe over Fibre Channel, which hangs
 * off no device; and managed device links, as the kernel releases consumers before
 * their supplier.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

/* A chain of links longer than this is a circle. */
#define MAX_DEPTH	16

/* Whatever hangs off one device may hang off another one as well. */
static int unread(struct iommucfg_topology *topology, int error, const char *path)
{
	/* In a tree that was saved without links. */
	if (error == -EINVAL)
		return 0;
	return ic_unread(topology, NULL, IC_MAYBE_LINKED, error, "sys/class/devlink%s%s",
			 *path ? "/" : "", path);
}

static int read_link(struct iommucfg_topology *topology, int dirfd, const char *name)
{
	char *supplier = NULL, *consumer = NULL;
	char path[PATH_MAX], status[64], *base;
	int ret;

	/* The kernel keeps no status for links that it does not manage. */
	snprintf(path, sizeof(path), "%s/status", name);
	ret = ic_read_attr(dirfd, path, status, sizeof(status));
	if (ret < 0)
		return unread(topology, ret, path);
	if (!ret || !strcmp(status, "not tracked"))
		return 0;
	base = ic_sys_link(dirfd, name, "class/devlink");
	if (!base)
		return unread(topology, -errno, name);
	snprintf(path, sizeof(path), "%s/supplier", name);
	supplier = ic_sys_link(dirfd, path, base);
	ret = supplier ? 0 : unread(topology, -errno, path);
	if (supplier) {
		snprintf(path, sizeof(path), "%s/consumer", name);
		consumer = ic_sys_link(dirfd, path, base);
		ret = consumer ? 0 : unread(topology, -errno, path);
	}
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
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	if (topology->links_read)
		return 0;
	topology->links_read = true;
	dir = ic_opendirat(topology->ctx->sysfd, "class/devlink");
	if (!dir)
		return unread(topology, -errno, "");
	while (!ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = read_link(topology, dirfd(dir), e->d_name);
	closedir(dir);
	return ret || !error ? ret : unread(topology, error, "");
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

int ic_devices_add(struct ic_devices *devices, struct iommucfg_device *device)
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

static int above(struct iommucfg_topology *topology, const char *syspath,
		 struct ic_devices *devices, int depth);

/* "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1": by its controllers */
static int above_head(struct iommucfg_topology *topology, const char *syspath,
		      struct ic_devices *devices, int depth)
{
	char *subsystem, *controller, *slash;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	subsystem = strdup(syspath);
	if (!subsystem)
		return -ENOMEM;
	slash = strstr(subsystem, "/nvme-subsystem/");
	slash = strchr(slash + strlen("/nvme-subsystem/"), '/');
	if (slash)
		*slash = '\0';
	dir = ic_opendirat(topology->ctx->sysfd, subsystem);
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error))) {
		if (strncmp(e->d_name, "nvme", 4))
			continue;
		controller = ic_sys_link(dirfd(dir), e->d_name, subsystem);
		/* Heads are no links. */
		if (controller)
			ret = above(topology, controller, devices, depth + 1);
		else if (errno != EINVAL)
			error = -errno;
		free(controller);
	}
	if (dir)
		closedir(dir);
	if (!ret && error)
		ret = ic_unread(topology, NULL, IC_MAYBE_BLOCK, error, "sys/%s", subsystem);
	free(subsystem);
	return ret;
}

/* Adds the devices above a Fibre Channel host; with @port only if that is its port's name. */
static int above_fc_host(struct iommucfg_topology *topology, int dirfd, const char *name,
			 const char *port, struct ic_devices *devices, int depth)
{
	char path[NAME_MAX + 16], own[32], *syspath;
	int ret = 0;

	snprintf(path, sizeof(path), "%s/port_name", name);
	if (*port && (ic_read_attr(dirfd, path, own, sizeof(own)) <= 0 || strcmp(own, port)))
		return 0;
	syspath = ic_sys_link(dirfd, name, "class/fc_host");
	if (syspath)
		ret = above(topology, syspath, devices, depth + 1);
	free(syspath);
	return ret;
}

/*
 * "devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1": over Fibre Channel by the host whose port
 * its address names, "…,host_traddr=nn-0x2…:pn-0x1…"; by all of them if it names none.
 */
static int above_fabrics(struct iommucfg_topology *topology, const char *syspath,
			 struct ic_devices *devices, int depth)
{
	static const char ctl[] = "/nvme-fabrics/ctl/";
	const char *controller = strstr(syspath, ctl);
	char path[PATH_MAX], transport[16], address[512] = "", port[32] = "", *p;
	int ret = 0, error = 0, top;
	struct dirent *e;
	DIR *dir;

	if (!controller)
		return 0;
	controller += strlen(ctl);
	top = controller - syspath + strcspn(controller, "/");
	snprintf(path, sizeof(path), "%.*s/transport", top, syspath);
	if (ic_read_attr(topology->ctx->sysfd, path, transport, sizeof(transport)) <= 0 ||
	    strcmp(transport, "fc"))
		return 0;
	snprintf(path, sizeof(path), "%.*s/address", top, syspath);
	ic_read_attr(topology->ctx->sysfd, path, address, sizeof(address));
	p = strstr(address, "host_traddr=");
	p = p ? strstr(p, ":pn-") : NULL;
	if (p)
		sscanf(p, ":pn-%31[0-9a-fx]", port);
	dir = ic_opendirat(topology->ctx->sysfd, "class/fc_host");
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = above_fc_host(topology, dirfd(dir), e->d_name, port, devices, depth);
	if (dir)
		closedir(dir);
	return ret || !error ? ret :
	       ic_unread(topology, NULL, IC_MAYBE_BLOCK, error, "sys/class/fc_host");
}

/*
 * Adds a device, and all that it is below: a root bus of a VMD controller goes with its
 * driver. Which of them are released at all is for ic_use_counts().
 */
static int add_line(struct iommucfg_topology *topology, struct iommucfg_device *device,
		    struct ic_devices *devices)
{
	char *parent, *slash;
	int ret;

	ret = ic_devices_add(devices, device);
	while (!ret && device) {
		parent = strdup(device->syspath);
		if (!parent)
			return -ENOMEM;
		slash = strrchr(parent, '/');
		if (slash)
			*slash = '\0';
		device = slash ? ic_device_at(topology, parent) : NULL;
		free(parent);
		if (device)
			ret = ic_devices_add(devices, device);
	}
	return ret;
}

static int above(struct iommucfg_topology *topology, const char *syspath,
		 struct ic_devices *devices, int depth)
{
	struct iommucfg_device *device;
	size_t i;
	int ret = 0;

	if (depth > MAX_DEPTH)
		return 0;
	device = ic_device_at(topology, syspath);
	if (device)
		ret = add_line(topology, device, devices);
	else if (strstr(syspath, "/nvme-subsystem/"))
		ret = above_head(topology, syspath, devices, depth);
	else
		ret = above_fabrics(topology, syspath, devices, depth);
	for (i = 0; i < topology->num_links && !ret; i++)
		if (is_below(syspath, topology->links[i].consumer))
			ret = above(topology, topology->links[i].supplier, devices, depth + 1);
	return ret;
}

/* Adds every device whose release would take away what is at @syspath. */
int ic_devices_above(struct iommucfg_topology *topology, const char *syspath,
		     struct ic_devices *devices)
{
	return above(topology, syspath, devices, 0);
}
