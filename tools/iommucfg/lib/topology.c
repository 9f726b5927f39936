// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Groups and devices as sysfs has them. One pass reads what every command
 * needs (type, name, path, bus, driver, ids); the rest waits until asked for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

#define GROUPS_DIR	"kernel/iommu_groups"

/* "8086:10D3" after KEY, or "C0330" for one number; true where the line has it. */
static bool parse_ids(const char *line, const char *key, long *first, long *second)
{
	size_t length = strlen(key);
	unsigned long a, b = 0;
	char *end;

	if (strncmp(line, key, length))
		return false;
	errno = 0;
	a = strtoul(line + length, &end, 16);
	if (end == line + length || (second && *end != ':'))
		return false;
	if (second)
		b = strtoul(end + 1, &end, 16);
	if (errno || a > UINT_MAX || b > UINT_MAX)
		return false;
	*first = a;
	if (second)
		*second = b;
	return true;
}

/* uevent is one read for what takes six otherwise. */
static int parse_uevent(struct iommucfg_device *device, char *text)
{
	char *line, *save;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "MODALIAS=", 9)) {
			free(device->modalias);
			if (ic_strdup(&device->modalias, line + 9))
				return -ENOMEM;
			device->modalias_read = true;
		} else if (!parse_ids(line, "PCI_CLASS=", &device->class, NULL) &&
			   !parse_ids(line, "PCI_ID=", &device->vendor, &device->device)) {
			parse_ids(line, "PCI_SUBSYS_ID=", &device->subvendor, &device->subdevice);
		}
	}
	device->ids_read = device->class >= 0 && device->vendor >= 0 && device->subvendor >= 0;
	return 0;
}

/*
 * @link is the entry in the group's devices directory. In a tree that was
 * saved without links it is a directory, then the bus knows the way.
 */
static char *device_syspath(struct iommucfg *ctx, int dirfd, const char *name,
			    unsigned int group)
{
	char *syspath, *link, *path, base[64];
	struct dirent *e;
	DIR *dir;
	int base_fd;

	snprintf(base, sizeof(base), GROUPS_DIR "/%u/devices", group);
	syspath = ic_sys_link(dirfd, name, base);
	if (syspath)
		return syspath;
	dir = ic_opendirat(ctx->sysfd, "bus");
	while (dir && !syspath && (e = readdir(dir))) {
		if (*e->d_name == '.' || asprintf(&link, "bus/%s/devices/%s", e->d_name, name) < 0)
			continue;
		link[strlen(link) - strlen(name) - 1] = '\0';
		base_fd = openat(ctx->sysfd, link, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (base_fd >= 0) {
			syspath = ic_sys_link(base_fd, name, link);
			close(base_fd);
		}
		free(link);
	}
	if (dir)
		closedir(dir);
	if (syspath)
		return syspath;
	if (asprintf(&path, GROUPS_DIR "/%u/devices/%s", group, name) < 0)
		return NULL;
	return path;
}

static void device_free(struct iommucfg_device *device)
{
	size_t i;

	if (!device)
		return;
	ic_uses_free(device);
	ic_device_names_free(device);
	for (i = 0; device->modules && device->modules[i]; i++)
		free(device->modules[i]);
	free(device->modules);
	free(device->name);
	free(device->syspath);
	free(device->bus);
	free(device->driver);
	free(device->override);
	free(device->modalias);
	free(device->path);
	free(device->vendor_name);
	free(device->device_name);
	free(device->class_name);
	free(device);
}

/* The last part of where a link in the device's directory points to. */
static char *link_name(int fd, const char *link)
{
	char *target, *name;

	target = ic_sys_link(fd, link, NULL);
	if (!target)
		return NULL;
	name = strdup(ic_basename(target));
	free(target);
	return name;
}

/* Says what of a group, or of a device in it, cannot be read, unless that has just gone. */
static int unreadable(const struct iommucfg_topology *topology, struct iommucfg_problems *problems,
		      const char *path, const struct iommucfg_group *group, const char *device,
		      int error)
{
	struct ic_where where = {
		.line = -1, .group = group->number, .device = device, .error = -error,
	};

	if (ic_is_gone(error))
		return 0;
	ic_problem(problems, IOMMUCFG_ERROR, "system", &where, "%s/sys/%s cannot be read: %s",
		   topology->ctx->root, path, strerror(-error));
	return error;
}

static int read_device(struct iommucfg_topology *topology, struct iommucfg_group *group,
		       int dirfd, const char *name, struct iommucfg_problems *problems)
{
	struct iommucfg *ctx = topology->ctx;
	struct iommucfg_device *device;
	char buf[4096];
	int ret, fd;

	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->ctx = ctx;
	device->topology = topology;
	device->group = group;
	device->class = device->vendor = device->device = -1;
	device->subvendor = device->subdevice = -1;
	device->name = strdup(name);
	device->syspath = device_syspath(ctx, dirfd, name, group->number);
	if (!device->name || !device->syspath) {
		ret = -ENOMEM;
		goto fail;
	}
	fd = openat(ctx->sysfd, device->syspath, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		/* Unplugged since, perhaps: the group's list was read before. */
		ret = unreadable(topology, problems, device->syspath, group, name, -errno);
		goto fail;
	}
	device->bus = link_name(fd, "subsystem");
	device->driver = link_name(fd, "driver");
	ret = ic_read_attr(fd, "uevent", buf, sizeof(buf)) > 0 ? parse_uevent(device, buf) : 0;
	close(fd);
	if (!ret && !device->bus && strstr(device->syspath, "/pci")) {
		device->bus = strdup("pci");
		if (!device->bus)
			ret = -ENOMEM;
	}
	if (!ret)
		ret = IC_GROW(group->devices, group->num_devices, group->cap_devices);
	if (ret)
		goto fail;
	group->devices[group->num_devices++] = device;
	return 0;
fail:
	device_free(device);
	return ret;
}

static int compare_devices(const void *a, const void *b)
{
	const struct iommucfg_device *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int read_devices(struct iommucfg_topology *topology, struct iommucfg_group *group,
			struct iommucfg_problems *problems)
{
	int ret = 0, error = 0;
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), GROUPS_DIR "/%u/devices", group->number);
	dir = ic_opendirat(topology->ctx->sysfd, path);
	if (!dir)
		return unreadable(topology, problems, path, group, NULL, -errno);
	while (!ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = read_device(topology, group, dirfd(dir), e->d_name, problems);
	closedir(dir);
	if (!ret && error)
		ret = unreadable(topology, problems, path, group, NULL, error);
	if (group->num_devices)
		qsort(group->devices, group->num_devices, sizeof(*group->devices),
		      compare_devices);
	return ret;
}

static int read_group(struct iommucfg_topology *topology, unsigned int number,
		      struct iommucfg_problems *problems)
{
	struct iommucfg_group *group;
	char path[64], buf[64];
	int ret;

	ret = IC_GROW(topology->groups, topology->num_groups, topology->cap_groups);
	if (ret)
		return ret;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	topology->groups[topology->num_groups++] = group;
	group->number = number;
	snprintf(path, sizeof(path), GROUPS_DIR "/%u/type", number);
	ret = ic_read_attr(topology->ctx->sysfd, path, buf, sizeof(buf));
	if (ret < 0 && unreadable(topology, problems, path, group, NULL, ret))
		return ret;
	group->type = IOMMUCFG_TYPE_NONE;
	if (ret >= 0) {
		group->type = iommucfg_type_parse(buf);
		if (group->type == IOMMUCFG_TYPE_AUTO)
			group->type = IOMMUCFG_TYPE_OTHER;
		group->type_text = strdup(buf);
		if (!group->type_text)
			return -ENOMEM;
	}
	return read_devices(topology, group, problems);
}

static int compare_groups(const void *a, const void *b)
{
	const struct iommucfg_group *const *x = a, *const *y = b;

	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static int compare_paths(const void *a, const void *b)
{
	const struct iommucfg_device *const *x = a, *const *y = b;

	return strcmp((*x)->syspath, (*y)->syspath);
}

/* Those of one name stand in an order of their own, the same each time. */
static int compare_names(const void *a, const void *b)
{
	int order = compare_devices(a, b);

	return order ? order : compare_paths(a, b);
}

static int index_devices(struct iommucfg_topology *topology)
{
	size_t i, j, n = 0;

	for (i = 0; i < topology->num_groups; i++)
		n += topology->groups[i]->num_devices;
	topology->by_name = calloc(n + 1, sizeof(*topology->by_name));
	topology->by_path = calloc(n + 1, sizeof(*topology->by_path));
	if (!topology->by_name || !topology->by_path)
		return -ENOMEM;
	for (i = 0; i < topology->num_groups; i++)
		for (j = 0; j < topology->groups[i]->num_devices; j++)
			topology->by_name[topology->num_devices++] =
				topology->groups[i]->devices[j];
	memcpy(topology->by_path, topology->by_name, n * sizeof(*topology->by_path));
	if (n) {
		qsort(topology->by_name, n, sizeof(*topology->by_name), compare_names);
		qsort(topology->by_path, n, sizeof(*topology->by_path), compare_paths);
	}
	return 0;
}

static int read_groups(struct iommucfg_topology *topology, struct iommucfg_problems *problems)
{
	size_t told = iommucfg_problems_count(problems);
	int ret = 0, error = 0;
	unsigned int number;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(topology->ctx->sysfd, GROUPS_DIR);
	/* A kernel without IOMMU support has none. */
	if (!dir && (errno == ENOENT || errno == ENOTDIR || topology->ctx->sysfd < 0))
		return 0;
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (ic_canonical_decimal(e->d_name, &number))
			ret = read_group(topology, number, problems);
	if (dir)
		closedir(dir);
	ret = ret ? ret : error;
	if (ret && iommucfg_problems_count(problems) == told)
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", -ret,
				      "%s/sys/" GROUPS_DIR " cannot be read: %s",
				      topology->ctx->root, strerror(-ret));
	return ret;
}

int iommucfg_topology_scan(struct iommucfg *ctx, struct iommucfg_topology **out,
			   struct iommucfg_problems *problems)
{
	struct iommucfg_topology *topology;
	char release[128] = "?";
	size_t i;
	int ret;

	topology = calloc(1, sizeof(*topology));
	if (!topology)
		return -ENOMEM;
	topology->refs = 1;
	topology->ctx = iommucfg_ref(ctx);
	ret = read_groups(topology, problems);
	if (ret)
		goto fail;
	if (!topology->num_groups) {
		ret = -ENODEV;
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", ENODEV,
				      "no IOMMU: %s/sys/" GROUPS_DIR " has no group; is it turned off in firmware or on the kernel's command line?",
				      ctx->root);
		goto fail;
	}
	ret = -EOPNOTSUPP;
	for (i = 0; i < topology->num_groups; i++)
		if (topology->groups[i]->type_text)
			ret = 0;
	if (ret) {
		ic_release(ctx, release, sizeof(release));
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", EOPNOTSUPP,
				      "this kernel (%s) is too old: its IOMMU groups have no type; 6.12 or later is needed",
				      release);
		goto fail;
	}
	qsort(topology->groups, topology->num_groups, sizeof(*topology->groups), compare_groups);
	ret = index_devices(topology);
	if (ret)
		goto fail;
	*out = topology;
	return 0;
fail:
	iommucfg_topology_unref(topology);
	return ret;
}

struct iommucfg_topology *iommucfg_topology_ref(struct iommucfg_topology *topology)
{
	topology->refs++;
	return topology;
}

void iommucfg_topology_unref(struct iommucfg_topology *topology)
{
	size_t i, j;

	if (!topology || --topology->refs)
		return;
	for (i = 0; i < topology->num_groups; i++) {
		for (j = 0; j < topology->groups[i]->num_devices; j++)
			device_free(topology->groups[i]->devices[j]);
		free(topology->groups[i]->devices);
		free(topology->groups[i]->type_text);
		free(topology->groups[i]);
	}
	ic_links_free(topology);
	ic_sets_free(topology->sets, topology->num_sets);
	ic_slots_free(topology);
	ic_unread_free(topology);
	free(topology->groups);
	free(topology->by_name);
	free(topology->by_path);
	iommucfg_unref(topology->ctx);
	free(topology);
}

size_t iommucfg_topology_num_groups(const struct iommucfg_topology *topology)
{
	return topology->num_groups;
}

struct iommucfg_group *iommucfg_topology_group(const struct iommucfg_topology *topology,
					       size_t index)
{
	return topology->groups[index];
}

struct iommucfg_group *iommucfg_topology_find_group(const struct iommucfg_topology *topology,
						    unsigned int number)
{
	struct iommucfg_group key = { .number = number }, *k = &key, **found;

	found = bsearch(&k, topology->groups, topology->num_groups, sizeof(*topology->groups),
			compare_groups);
	return found ? *found : NULL;
}

/* Where those of a name begin in topology->by_name, or NULL. */
static struct iommucfg_device **first_of_name(const struct iommucfg_topology *topology,
					      const char *name)
{
	struct iommucfg_device key, *k = &key, **found;

	key.name = (char *)name;
	found = bsearch(&k, topology->by_name, topology->num_devices,
			sizeof(*topology->by_name), compare_devices);
	while (found && found > topology->by_name && !compare_devices(found - 1, found))
		found--;
	return found;
}

struct iommucfg_device *iommucfg_topology_find_device(const struct iommucfg_topology *topology,
						      const char *name)
{
	struct iommucfg_device **found;
	char full[64];

	if (ic_is_short_pci(name) && strlen(name) < 32) {
		snprintf(full, sizeof(full), "0000:%s", name);
		name = full;
	}
	found = first_of_name(topology, name);
	return found ? *found : NULL;
}

struct iommucfg_device *iommucfg_topology_next_device(const struct iommucfg_topology *topology,
						      const struct iommucfg_device *device)
{
	struct iommucfg_device **end = topology->by_name + topology->num_devices, **found;

	found = first_of_name(topology, device->name);
	while (found && found < end && *found != device)
		found++;
	if (!found || end - found < 2 || compare_devices(found, found + 1))
		return NULL;
	return found[1];
}

/* The device whose directory @syspath is in: the nearest one above. */
struct iommucfg_device *ic_device_at(const struct iommucfg_topology *topology,
				     const char *syspath)
{
	struct iommucfg_device key, *k = &key, **found = NULL;
	char path[2 * PATH_MAX], *slash;

	/* Links, which it was made of, are shorter. */
	snprintf(path, sizeof(path), "%s", syspath);
	key.syspath = path;
	do {
		found = bsearch(&k, topology->by_path, topology->num_devices,
				sizeof(*topology->by_path), compare_paths);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (!found && slash);
	return found ? *found : NULL;
}

unsigned int iommucfg_group_number(const struct iommucfg_group *group)
{
	return group->number;
}

enum iommucfg_type iommucfg_group_type(const struct iommucfg_group *group)
{
	return group->type == IOMMUCFG_TYPE_NONE ? IOMMUCFG_TYPE_OTHER : group->type;
}

const char *iommucfg_group_type_text(const struct iommucfg_group *group)
{
	return group->type_text ? group->type_text : "unknown";
}

size_t iommucfg_group_num_devices(const struct iommucfg_group *group)
{
	return group->num_devices;
}

struct iommucfg_device *iommucfg_group_device(const struct iommucfg_group *group, size_t index)
{
	return group->devices[index];
}
