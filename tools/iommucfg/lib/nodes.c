// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds watchdogs, mediated devices, vDPA devices, subfunctions, and devices
 * whose interfaces are in another network namespace. The running system has
 * directories that list them. In a saved tree these links may be missing: there
 * all directories below the devices are read, which finds character devices too.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "use.h"

static int add(struct ic_scan *scan, enum ic_node_kind kind, const char *syspath,
	       const char *file)
{
	struct ic_nodes *nodes = &scan->nodes;
	struct ic_node *node;
	int ret;

	ret = IC_GROW(nodes->v, nodes->n, nodes->cap);
	if (ret)
		return ret;
	node = &nodes->v[nodes->n];
	node->kind = kind;
	node->file = NULL;
	node->syspath = strdup(syspath);
	if (!node->syspath)
		return -ENOMEM;
	nodes->n++;
	return ic_strdup(&node->file, file);
}

/* "watchdog0", "vdpa3" */
static bool is_numbered(const char *name, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(name, word, length) && isdigit((unsigned char)name[length]);
}

/* "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" */
static bool is_uuid(const char *name)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == '-' ? name[i] != '-' : !isxdigit((unsigned char)name[i]))
			return false;
	return !name[i];
}

/* What a directory is by its name and its bus; -1 for nothing of interest. */
static int kind_of(const char *name, const char *bus)
{
	if (is_numbered(name, "watchdog"))
		return IC_NODE_WATCHDOG;
	if (!strcmp(bus, "mdev") || (!*bus && is_uuid(name)))
		return IC_NODE_MDEV;
	if (!strcmp(bus, "vdpa") || (!*bus && is_numbered(name, "vdpa")))
		return IC_NODE_VDPA;
	/* mlx5_core and others use this name for subfunctions that a user created. */
	if (!strcmp(bus, "auxiliary") && strstr(name, ".sf."))
		return IC_NODE_SUBFUNCTION;
	return -1;
}

/* Walking a tree -------------------------------------------------------------- */

static int walk(struct ic_scan *scan, const char *syspath);

/* These directories are large and contain no device. */
static bool is_dull(const char *name)
{
	static const char *const names[] = {
		"power", "msi_irqs", "statistics", "queues", "mq", "holders", "slaves", NULL,
	};
	size_t i;

	for (i = 0; names[i]; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* The path below /dev, "dri/card0" or "bus/usb/001/004"; it can differ from sysfs's name. */
static char *device_file(DIR *dir, const char *name)
{
	char buf[4096], *p, *file;
	unsigned int minor;
	int at = 0;

	if (ic_read_attr(dirfd(dir), "uevent", buf, sizeof(buf)) > 0) {
		p = strstr(buf, "DEVNAME=");
		if (p && (p == buf || p[-1] == '\n'))
			return strndup(p + 8, strcspn(p + 8, "\n"));
	}
	/* 189 is USB's: 128 minors for each bus. */
	if (ic_read_attr(dirfd(dir), "dev", buf, sizeof(buf)) > 0 &&
	    sscanf(buf, "189:%u", &minor) == 1)
		return asprintf(&file, "bus/usb/%03u/%03u", minor / 128 + 1, minor % 128 + 1) < 0 ?
		       NULL : file;
	/* "dvb0.frontend0" */
	if (sscanf(name, "dvb%u.%n", &minor, &at) == 1 && at)
		return asprintf(&file, "dvb/adapter%u/%s", minor, name + at) < 0 ? NULL : file;
	file = strdup(name);
	for (p = file; p && (p = strchr(p, '!')); )
		*p = '/';
	return file;
}

static int look(struct ic_scan *scan, DIR *dir, const char *syspath, bool has_dev,
		const char *parent)
{
	const char *name = ic_basename(syspath);
	const struct iommucfg_device *device;
	char *bus, *file;
	int kind, ret = 0;

	device = ic_device_at(scan->topology, syspath);
	/* Of a device in a group its bus is known; there are thousands. */
	if (device && !strcmp(device->syspath, syspath)) {
		kind = kind_of(name, device->bus ? device->bus : "");
	} else {
		bus = ic_sys_link(dirfd(dir), "subsystem", NULL);
		kind = kind_of(name, bus ? ic_basename(bus) : "");
		free(bus);
	}
	/* Only in a directory "watchdog" is it one. */
	if (kind == IC_NODE_WATCHDOG && strcmp(parent, "watchdog"))
		kind = -1;
	if (kind >= 0)
		ret = add(scan, kind, syspath, NULL);
	if (ret || !has_dev)
		return ret;
	file = device_file(dir, name);
	ret = file ? add(scan, IC_NODE_CHAR, syspath, file) : -ENOMEM;
	free(file);
	return ret;
}

static int walk_into(struct ic_scan *scan, const char *syspath, const char *name)
{
	char *path;
	int ret;

	if (asprintf(&path, "%s/%s", syspath, name) < 0)
		return -ENOMEM;
	ret = walk(scan, path);
	free(path);
	return ret;
}

static int walk(struct ic_scan *scan, const char *syspath)
{
	bool has_dev = false, is_empty = true;
	char *parent = NULL;
	int ret = 0, error = 0;
	struct dirent *e;
	size_t length;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, syspath);
	if (!dir)
		return ic_unread(scan->topology, NULL, IC_MAYBE_OTHER, -errno, "sys/%s", syspath);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		is_empty = false;
		if (!strcmp(e->d_name, "dev") && e->d_type != DT_DIR)
			has_dev = true;
		/* Links are not followed, and below a disk there are its partitions alone. */
		else if (e->d_type == DT_DIR && !is_dull(e->d_name) &&
			 !ic_block_by_name(&scan->blocks, e->d_name))
			ret = walk_into(scan, syspath, e->d_name);
	}
	length = strlen(syspath) - strlen(ic_basename(syspath));
	parent = strndup(syspath, length ? length - 1 : 0);
	if (!parent)
		ret = -ENOMEM;
	if (!ret && is_empty && !strcmp(ic_basename(syspath), "net"))
		ret = add(scan, IC_NODE_NET_AWAY, parent, NULL);
	else if (!ret)
		ret = look(scan, dir, syspath, has_dev, ic_basename(parent));
	free(parent);
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_OTHER, error, "sys/%s", syspath);
}

static int walk_devices(struct ic_scan *scan)
{
	struct iommucfg_device **v = scan->topology->by_path;
	size_t i, length = 0, top = 0;
	int ret = 0;

	for (i = 0; i < scan->topology->num_devices && !ret; i++) {
		/* Below the last one that was walked, so it has been walked too. */
		if (length && !strncmp(v[i]->syspath, v[top]->syspath, length) &&
		    v[i]->syspath[length] == '/')
			continue;
		top = i;
		length = strlen(v[i]->syspath);
		ret = walk(scan, v[i]->syspath);
	}
	/* The nodes of NVMe multipath are not below a device. */
	return ret ? ret : walk(scan, "devices/virtual/nvme-subsystem");
}

/* The lists of the running system --------------------------------------------- */

static int list(struct ic_scan *scan, const char *path, const char *bus)
{
	int ret = 0, error = 0, kind;
	struct dirent *e;
	char *syspath;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return ic_unread(scan->topology, NULL, IC_MAYBE_NEVER, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		kind = *e->d_name == '.' ? -1 : kind_of(e->d_name, bus);
		syspath = kind < 0 ? NULL : ic_sys_link(dirfd(dir), e->d_name, path);
		if (syspath)
			ret = add(scan, kind, syspath, NULL);
		free(syspath);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_NEVER, error, "sys/%s", path);
}

static bool is_empty_directory(int dirfd, const char *path)
{
	struct dirent *e;
	bool empty = true;
	DIR *dir;

	dir = ic_opendirat(dirfd, path);
	if (!dir)
		return false;
	while (empty && (e = readdir(dir)))
		empty = *e->d_name == '.';
	closedir(dir);
	return empty;
}

/* The directory "net" exists as long as there are interfaces, in whichever namespace. */
static int list_away(struct ic_scan *scan, const char *path)
{
	char net[NAME_MAX + 8], *syspath;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return ic_unread(scan->topology, NULL, IC_MAYBE_NET, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		snprintf(net, sizeof(net), "%s/net", e->d_name);
		if (*e->d_name == '.' || !is_empty_directory(dirfd(dir), net))
			continue;
		syspath = ic_sys_link(dirfd(dir), e->d_name, path);
		if (syspath)
			ret = add(scan, IC_NODE_NET_AWAY, syspath, NULL);
		free(syspath);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_NET, error, "sys/%s", path);
}

static int list_all_away(struct ic_scan *scan)
{
	int ret = 0, error = 0;
	struct dirent *e;
	char *path;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, "bus");
	if (!dir)
		return ic_unread(scan->topology, NULL, IC_MAYBE_NET, -errno, "sys/bus");
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		if (asprintf(&path, "bus/%s/devices", e->d_name) < 0) {
			ret = -ENOMEM;
			break;
		}
		ret = list_away(scan, path);
		free(path);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_NET, error, "sys/bus");
}

int ic_nodes_read(struct ic_scan *scan)
{
	int ret;

	if (!ic_is_live(scan))
		return walk_devices(scan);
	ret = list(scan, "class/watchdog", "");
	if (!ret)
		ret = list(scan, "bus/mdev/devices", "mdev");
	if (!ret)
		ret = list(scan, "bus/vdpa/devices", "vdpa");
	if (!ret)
		ret = list(scan, "bus/auxiliary/devices", "auxiliary");
	return ret ? ret : list_all_away(scan);
}

void ic_nodes_free(struct ic_nodes *nodes)
{
	size_t i;

	for (i = 0; i < nodes->n; i++) {
		free(nodes->v[i].syspath);
		free(nodes->v[i].file);
	}
	free(nodes->v);
}
