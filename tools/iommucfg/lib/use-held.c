// SPDX-License-Identifier: LGPL-2.1-or-later
/* Uses by processes that have a node in /dev open, see use-open.c. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "use.h"

static char *held_by(const struct ic_open *o)
{
	char *text;
	int n;

	if (o->num_holders > IC_MAX_TOLD)
		n = asprintf(&text, "held by %s and %zu more", o->holders,
			     o->num_holders - IC_MAX_TOLD);
	else
		n = asprintf(&text, "held by %s", o->holders);
	return n < 0 ? NULL : text;
}

static int tell_devices(const struct ic_devices *devices, const struct ic_open *o,
			const char *kind, enum iommucfg_word word)
{
	char *detail = held_by(o);
	size_t i;
	int ret = detail ? 0 : -ENOMEM;

	for (i = 0; i < devices->n && !ret; i++)
		ret = ic_use_add(devices->v[i], kind, o->path, word, false, "%s", detail);
	free(detail);
	return ret;
}

/* /dev/vfio/N: user space owns group N. The names of its drivers do not matter. */
static int add_group(struct iommucfg_topology *topology, const char *number,
		     struct ic_devices *devices)
{
	struct iommucfg_group *group;
	struct iommucfg_device *device;
	unsigned int n;
	size_t i;
	int ret = 0;

	group = ic_canonical_decimal(number, &n) ? iommucfg_topology_find_group(topology, n) :
						   NULL;
	for (i = 0; group && i < group->num_devices && !ret; i++) {
		device = group->devices[i];
		if (device->driver && strcmp(device->driver, "pcieport"))
			ret = ic_devices_add(devices, device);
	}
	for (i = 0; group && !devices->n && i < group->num_devices && !ret; i++)
		ret = ic_devices_add(devices, group->devices[i]);
	return ret;
}

/* /dev/vfio/devices/NAME */
static int add_vfio_device(struct iommucfg_topology *topology, const char *name,
			   struct ic_devices *devices)
{
	struct iommucfg_device *device;
	char path[PATH_MAX];
	size_t i;
	int ret = 0;

	for (i = 0; i < topology->num_devices && !ret; i++) {
		device = topology->by_path[i];
		snprintf(path, sizeof(path), "%s/vfio-dev/%s", device->syspath, name);
		if (!faccessat(topology->ctx->sysfd, path, F_OK, 0))
			ret = ic_devices_add(devices, device);
	}
	return ret;
}

/* Adds parents whose release would remove a guest's device. */
static int add_releasing(struct iommucfg_topology *topology, struct ic_devices *devices)
{
	struct ic_devices above = { 0 };
	struct iommucfg_device *device;
	size_t i, n = devices->n;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = ic_devices_above(topology, devices->v[i]->syspath, &above);
	for (i = 0; i < above.n && !ret; i++) {
		device = above.v[i];
		if (device->driver && !iommucfg_device_manages_dma(device))
			ret = ic_devices_add(devices, device);
	}
	free(above.v);
	return ret;
}

static int use_vfio(struct ic_scan *scan, const struct ic_open *o)
{
	struct ic_devices devices = { 0 };
	const char *what = o->path + strlen("/dev/vfio/");
	int ret;

	if (!strncmp(what, "devices/", 8))
		ret = add_vfio_device(scan->topology, what + 8, &devices);
	else
		ret = add_group(scan->topology, strncmp(what, "noiommu-", 8) ? what : what + 8,
				&devices);
	if (!ret)
		ret = add_releasing(scan->topology, &devices);
	if (!ret)
		ret = tell_devices(&devices, o, "vfio", IOMMUCFG_WORD_NEVER);
	free(devices.v);
	return ret;
}

/* The nodes of NVIDIA's driver are not in sysfs; its directory in proc has their numbers. */
static int nvidia_minor(struct ic_scan *scan, const struct iommucfg_device *device)
{
	char path[PATH_MAX], text[4096], *p;
	int minor;

	snprintf(path, sizeof(path), "proc/driver/nvidia/gpus/%s/information", device->name);
	if (ic_read_attr(scan->topology->ctx->rootfd, path, text, sizeof(text)) <= 0)
		return -1;
	p = strstr(text, "Device Minor:");
	return p && sscanf(p, "Device Minor: %d", &minor) == 1 ? minor : -1;
}

/* The only ones of these that are numbered as the devices are. */
#define NVIDIA_NODE	"/dev/nvidia"

/*
 * Nodes whose directory in sysfs, where there is one, is not below their device: found by the
 * driver's name. Digits may follow the name of the file.
 */
static const struct driver_node {
	const char *file, *driver;
} driver_nodes[] = {
	{ "/dev/nvidia-nvswitch", "nvidia-nvswitch" }, { NVIDIA_NODE, "nvidia" },
	{ "/dev/nvidia-modeset", "nvidia" }, { "/dev/nvidia-caps/nvidia-cap", "nvidia" },
	{ "/dev/kfd", "amdgpu" }, { "/dev/sev", "ccp" }, { "/dev/hfi1_", "hfi1" },
	{ "/dev/isst_interface", "isst_if_pci" }, { "/dev/isst_interface", "isst_if_mbox_pci" },
	{ "/dev/isst_interface", "intel_vsec" },
	{ "/dev/megaraid_sas_ioctl_node", "megaraid_sas" }, { "/dev/mpt3ctl", "mpt3sas" },
	{ "/dev/mpt2ctl", "mpt3sas" },
};

static int add_all_of_driver(struct ic_scan *scan, const struct driver_node *node,
			     const char *number, struct ic_devices *devices)
{
	struct iommucfg_device *device;
	int ret = 0, minor;
	size_t i;

	for (i = 0; i < scan->topology->num_devices && !ret; i++) {
		device = scan->topology->by_path[i];
		if (!device->driver || strcmp(device->driver, node->driver))
			continue;
		minor = strcmp(node->file, NVIDIA_NODE) ? -1 : nvidia_minor(scan, device);
		if (minor < 0 || !*number || atoi(number) == minor)
			ret = ic_devices_add(devices, device);
	}
	return ret;
}

static int add_by_driver(struct ic_scan *scan, const struct ic_open *o,
			 struct ic_devices *devices)
{
	const char *number;
	size_t k, length;
	int ret = 0;

	for (k = 0; k < sizeof(driver_nodes) / sizeof(*driver_nodes) && !ret; k++) {
		length = strlen(driver_nodes[k].file);
		number = o->path + length;
		if (!strncmp(o->path, driver_nodes[k].file, length) &&
		    !number[strspn(number, "0123456789")])
			ret = add_all_of_driver(scan, &driver_nodes[k], number, devices);
	}
	return ret;
}

/* The path of a character device in sysfs, or NULL. */
static char *find_node(struct ic_scan *scan, const struct ic_open *o)
{
	char path[64];
	size_t i;

	if (ic_is_live(scan)) {
		snprintf(path, sizeof(path), "dev/char/%u:%u", major(o->number),
			 minor(o->number));
		return ic_sys_link(scan->topology->ctx->sysfd, path, "dev/char");
	}
	for (i = 0; i < scan->nodes.n; i++)
		if (scan->nodes.v[i].kind == IC_NODE_CHAR &&
		    !strcmp(scan->nodes.v[i].file, o->path + strlen("/dev/")))
			return strdup(scan->nodes.v[i].syspath);
	for (i = 0; i < scan->nodes.n; i++)
		if (scan->nodes.v[i].kind == IC_NODE_CHAR &&
		    !strcmp(ic_basename(scan->nodes.v[i].file), ic_basename(o->path)))
			return strdup(scan->nodes.v[i].syspath);
	return NULL;
}

static int use_char(struct ic_scan *scan, const struct ic_open *o)
{
	struct ic_devices devices = { 0 };
	const char *kind = "open";
	enum iommucfg_word word = IOMMUCFG_WORD_OTHER;
	char *syspath;
	int ret = 0;

	syspath = find_node(scan, o);
	if (syspath && !ic_is_running_watchdog(scan, syspath, true)) {
		ret = ic_devices_above(scan->topology, syspath, &devices);
		/* A guest uses it. */
		if (!strncmp(ic_basename(syspath), "vhost-vdpa", 10)) {
			kind = "vdpa";
			word = IOMMUCFG_WORD_NEVER;
		/* Flash memory is a disk to the kernel's module, too. */
		} else if (strstr(syspath, "/mtd/mtd")) {
			word = IOMMUCFG_WORD_BLOCK;
		}
	}
	if (!ret && !devices.n)
		ret = add_by_driver(scan, o, &devices);
	free(syspath);
	if (!ret)
		ret = tell_devices(&devices, o, kind, word);
	free(devices.v);
	return ret;
}

int ic_use_open(struct ic_scan *scan)
{
	struct ic_open *o;
	struct ic_block *block;
	char *detail;
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->opens.n && !ret; i++) {
		o = &scan->opens.v[i];
		if (!o->num_holders)
			continue;
		if (!strncmp(o->path, "/dev/vfio/", 10)) {
			ret = use_vfio(scan, o);
			continue;
		}
		block = o->number ? o->is_block ? ic_block_by_number(&scan->blocks, o->number) :
						  NULL :
				    ic_block_by_source(scan, o->path);
		if (!block) {
			ret = o->is_block ? 0 : use_char(scan, o);
			continue;
		}
		detail = held_by(o);
		ret = detail ? ic_tell(scan, block, "open", IOMMUCFG_WORD_BLOCK, detail) : -ENOMEM;
		free(detail);
	}
	return ret;
}
