// SPDX-License-Identifier: LGPL-2.1-or-later
/* Groups and devices that user space owns through VFIO, and which process. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

static bool has_vfio(const struct iommucfg_device *device)
{
	return device->driver && strstr(device->driver, "vfio");
}

/* Does /dev/vfio/devices/<cdev> belong to the device? */
static bool has_cdev(const struct iommucfg_device *device, const char *cdev)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/vfio-dev/%s", device->syspath, cdev);
	return !faccessat(device->ctx->sysfd, path, F_OK, 0);
}

static int owned(struct iommucfg_topology *topology, const char *file, const char *pid,
		 const char *comm)
{
	const char *what = file + strlen("/dev/vfio/");
	struct iommucfg_device *device;
	unsigned int number;
	size_t i;
	int ret = 0;

	for (i = 0; i < topology->num_devices && !ret; i++) {
		device = topology->by_path[i];
		if (!has_vfio(device))
			continue;
		if (!strncmp(what, "devices/", 8) ?
		    has_cdev(device, what + 8) :
		    ic_canonical_decimal(strncmp(what, "noiommu-", 8) ? what : what + 8,
					 &number) && number == device->group->number)
			ret = ic_use_add(device, "vfio", file, IOMMUCFG_GUARD_NEVER, false,
					 "PID %s (%s)", pid, comm);
	}
	return ret;
}

static int look_at_process(struct iommucfg_topology *topology, int procfd, const char *pid)
{
	char path[64], link[PATH_MAX], comm[64] = "?";
	struct dirent *e;
	ssize_t n;
	DIR *dir;
	int ret = 0;

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	dir = ic_opendirat(procfd, path);
	/* Somebody else's, or gone. */
	if (!dir)
		return 0;
	while (!ret && (e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
		if (n <= 10 || strncmp(link, "/dev/vfio/", 10))
			continue;
		link[n] = '\0';
		snprintf(path, sizeof(path), "%.20s/comm", pid);
		ic_read_attr(procfd, path, comm, sizeof(comm));
		ret = owned(topology, link, pid, comm);
	}
	closedir(dir);
	return ret;
}

int ic_use_vfio(struct iommucfg_topology *topology)
{
	struct dirent *e;
	size_t i;
	DIR *dir;
	int ret = 0;

	/* Going through all processes takes long, and is seldom needed. */
	for (i = 0; i < topology->num_devices; i++)
		if (has_vfio(topology->by_path[i]))
			break;
	if (i == topology->num_devices)
		return 0;
	dir = ic_opendirat(topology->ctx->rootfd, "proc");
	if (!dir)
		return 0;
	while (!ret && (e = readdir(dir)))
		if (*e->d_name >= '1' && *e->d_name <= '9')
			ret = look_at_process(topology, dirfd(dir), e->d_name);
	closedir(dir);
	return ret;
}
