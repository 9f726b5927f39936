// SPDX-License-Identifier: LGPL-2.1-or-later
/* The interfaces and disks of a device: names that people know it by. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

/*
 * The grouped device that something in sysfs belongs to: the nearest one above. A PCI
 * device on the way that is in no group has no part in that of the bridges above it:
 * then NULL, and @ungrouped is where its name begins in @syspath.
 */
struct iommucfg_device *ic_device_owner(const struct iommucfg_topology *topology,
					const char *syspath, const char **ungrouped)
{
	struct iommucfg_device *device = ic_device_at(topology, syspath);
	const char *p = syspath, *devfn;
	size_t length;

	*ungrouped = NULL;
	for (p += device ? strlen(device->syspath) : 0; *p; p += length) {
		p += *p == '/';
		length = strcspn(p, "/");
		if (ic_pci_address(p, length, &devfn))
			*ungrouped = p;
	}
	return *ungrouped ? NULL : device;
}

/*
 * Calls @one for each device that owns what is at @syspath. The heads of NVMe multipath
 * hang off a subsystem, whose controllers own them.
 */
int ic_device_owners(const struct iommucfg_topology *topology, const char *syspath,
		     int (*one)(struct iommucfg_device *device, void *data), void *data)
{
	const char *head = strstr(syspath, "/nvme-subsystem/"), *unused, *end;
	struct iommucfg_device *device;
	char *subsystem, *controller;
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	device = ic_device_owner(topology, syspath, &unused);
	if (device)
		return one(device, data);
	if (!head)
		return 0;
	head += strlen("/nvme-subsystem/");
	end = head + strcspn(head, "/");
	subsystem = strndup(syspath, end - syspath);
	if (!subsystem)
		return -ENOMEM;
	dir = ic_opendirat(topology->ctx->sysfd, subsystem);
	while (dir && !ret && (e = readdir(dir))) {
		controller = strncmp(e->d_name, "nvme", 4) ? NULL :
			     ic_sys_link(dirfd(dir), e->d_name, subsystem);
		device = controller ? ic_device_owner(topology, controller, &unused) : NULL;
		if (device)
			ret = one(device, data);
		free(controller);
	}
	if (dir)
		closedir(dir);
	free(subsystem);
	return ret;
}

struct name {
	const char *name;
	bool disk;
};

static int add_name(struct iommucfg_device *device, void *data)
{
	const struct name *name = data;
	struct ic_names *names = name->disk ? &device->disks : &device->interfaces;

	if (IC_GROW(names->v, names->n, names->cap))
		return -ENOMEM;
	names->v[names->n] = strdup(name->name);
	return names->v[names->n++] ? 0 : -ENOMEM;
}

/* Is it a part of another disk: below it, as a partition is, or a path of NVMe multipath? */
static bool is_part(int dirfd, const char *name, const char *syspath)
{
	char path[NAME_MAX + 16], buf[16];
	const char *end = ic_basename(syspath), *disk;
	unsigned int a, b, c;

	for (disk = end - 1; disk > syspath && disk[-1] != '/'; disk--)
		;
	if (end - disk > 1) {
		snprintf(path, sizeof(path), "%.*s", (int)(end - disk - 1), disk);
		if (!faccessat(dirfd, path, F_OK, 0))
			return true;
	}
	if (sscanf(name, "nvme%uc%un%u", &a, &b, &c) == 3)
		return true;
	snprintf(path, sizeof(path), "%s/hidden", name);
	return ic_read_attr(dirfd, path, buf, sizeof(buf)) > 0 && !strcmp(buf, "1");
}

static int compare(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

static int read_class(struct iommucfg_topology *topology, const char *class, bool disk)
{
	struct name name = { .disk = disk };
	struct dirent *e;
	char *syspath;
	int ret = 0;
	DIR *dir;

	dir = ic_opendirat(topology->ctx->sysfd, class);
	while (dir && !ret && (e = readdir(dir))) {
		syspath = *e->d_name == '.' ? NULL : ic_sys_link(dirfd(dir), e->d_name, class);
		name.name = e->d_name;
		if (syspath && !(disk && is_part(dirfd(dir), e->d_name, syspath)))
			ret = ic_device_owners(topology, syspath, add_name, &name);
		free(syspath);
	}
	if (dir)
		closedir(dir);
	return ret;
}

static void read_names(struct iommucfg_topology *topology)
{
	struct iommucfg_device *device;
	size_t i;

	if (topology->names_read)
		return;
	topology->names_read = true;
	read_class(topology, "class/net", false);
	read_class(topology, "class/block", true);
	for (i = 0; i < topology->num_devices; i++) {
		device = topology->by_path[i];
		if (device->interfaces.n)
			qsort(device->interfaces.v, device->interfaces.n, sizeof(char *), compare);
		if (device->disks.n)
			qsort(device->disks.v, device->disks.n, sizeof(char *), compare);
	}
}

void ic_device_names_free(struct iommucfg_device *device)
{
	size_t i;

	for (i = 0; i < device->interfaces.n; i++)
		free(device->interfaces.v[i]);
	for (i = 0; i < device->disks.n; i++)
		free(device->disks.v[i]);
	free(device->interfaces.v);
	free(device->disks.v);
}

size_t iommucfg_device_num_interfaces(struct iommucfg_device *device)
{
	read_names(device->topology);
	return device->interfaces.n;
}

const char *iommucfg_device_interface(struct iommucfg_device *device, size_t index)
{
	read_names(device->topology);
	return device->interfaces.v[index];
}

size_t iommucfg_device_num_disks(struct iommucfg_device *device)
{
	read_names(device->topology);
	return device->disks.n;
}

const char *iommucfg_device_disk(struct iommucfg_device *device, size_t index)
{
	read_names(device->topology);
	return device->disks.v[index];
}
