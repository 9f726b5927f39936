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

struct scan {
	struct iommucfg_topology *topology;
	struct ic_devices candidates;	/* with a driver of VFIO's */
	bool told;
};

/*
 * Of one process for all: who cannot read one cannot read many. That others' are
 * closed to somebody who is not root is as it should be, and he changes nothing.
 */
static int unread(struct scan *scan, int error, const char *path)
{
	if (scan->told || ((error == -EACCES || error == -EPERM) && geteuid()))
		return 0;
	scan->told = !ic_is_gone(error);
	return ic_unread(scan->topology, &scan->candidates, IC_MAYBE_NEVER, error, "proc%s%s",
			 *path ? "/" : "", path);
}

/* Does /dev/vfio/devices/<cdev> belong to the device? */
static bool has_cdev(const struct iommucfg_device *device, const char *cdev)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/vfio-dev/%s", device->syspath, cdev);
	return !faccessat(device->ctx->sysfd, path, F_OK, 0);
}

static int owned(const struct scan *scan, const char *file, const char *pid, const char *comm)
{
	const char *what = file + strlen("/dev/vfio/");
	struct iommucfg_device *device;
	unsigned int number;
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->candidates.n && !ret; i++) {
		device = scan->candidates.v[i];
		if (!strncmp(what, "devices/", 8) ?
		    has_cdev(device, what + 8) :
		    ic_canonical_decimal(strncmp(what, "noiommu-", 8) ? what : what + 8,
					 &number) && number == device->group->number)
			ret = ic_use_add(device, "vfio", file, IOMMUCFG_WORD_NEVER, false,
					 "PID %s (%s)", pid, comm);
	}
	return ret;
}

static int look_at_process(struct scan *scan, int procfd, const char *pid)
{
	char path[64], name[64], link[PATH_MAX], comm[64] = "?";
	int ret = 0, error = 0;
	struct dirent *e;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	dir = ic_opendirat(procfd, path);
	if (!dir)
		return unread(scan, -errno, path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		n = *e->d_name == '.' ? 0 :
		    readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
		if (n < 0 && errno != EINVAL)
			error = ic_is_gone(-errno) ? error : -errno;
		if (n <= 10 || strncmp(link, "/dev/vfio/", 10))
			continue;
		link[n] = '\0';
		snprintf(name, sizeof(name), "%.20s/comm", pid);
		ic_read_attr(procfd, name, comm, sizeof(comm));
		ret = owned(scan, link, pid, comm);
	}
	closedir(dir);
	return ret || !error ? ret : unread(scan, error, path);
}

int ic_use_vfio(struct iommucfg_topology *topology)
{
	struct scan scan = { .topology = topology };
	struct ic_devices *found = &scan.candidates;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir = NULL;
	size_t i;

	for (i = 0; i < topology->num_devices && !ret; i++) {
		if (!has_vfio(topology->by_path[i]))
			continue;
		ret = IC_GROW(found->v, found->n, found->cap);
		if (!ret)
			found->v[found->n++] = topology->by_path[i];
	}
	/* Going through all processes takes long, and is seldom needed. */
	if (!ret && found->n) {
		dir = ic_opendirat(topology->ctx->rootfd, "proc");
		if (!dir)
			error = -errno;
	}
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name >= '1' && *e->d_name <= '9')
			ret = look_at_process(&scan, dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (!ret && error)
		ret = unread(&scan, error, "");
	free(found->v);
	return ret;
}
