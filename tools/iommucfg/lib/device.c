// SPDX-License-Identifier: LGPL-2.1-or-later
/* What one device is; attributes that few ask for are read on demand. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

static ssize_t read_own(struct iommucfg_device *device, const char *attr, char *buf, size_t size)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", device->syspath, attr) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return ic_read_attr(device->ctx->sysfd, path, buf, size);
}

static long read_hex(struct iommucfg_device *device, const char *attr)
{
	unsigned long value;
	char buf[32];

	if (read_own(device, attr, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 16, 0xffffff, &value))
		return -1;
	return value;
}

static void read_ids(struct iommucfg_device *device)
{
	if (device->ids_read)
		return;
	device->ids_read = true;
	if (device->class < 0)
		device->class = read_hex(device, "class");
	if (device->vendor < 0)
		device->vendor = read_hex(device, "vendor");
	if (device->device < 0)
		device->device = read_hex(device, "device");
	if (device->subvendor < 0)
		device->subvendor = read_hex(device, "subsystem_vendor");
	if (device->subdevice < 0)
		device->subdevice = read_hex(device, "subsystem_device");
}

struct iommucfg_group *iommucfg_device_group(const struct iommucfg_device *device)
{
	return device->group;
}

const char *iommucfg_device_name(const struct iommucfg_device *device)
{
	return device->name;
}

const char *iommucfg_device_bus(const struct iommucfg_device *device)
{
	return device->bus;
}

const char *iommucfg_device_driver(const struct iommucfg_device *device)
{
	return device->driver;
}

const char *iommucfg_device_syspath(const struct iommucfg_device *device)
{
	return device->syspath;
}

const char *iommucfg_device_path(struct iommucfg_device *device)
{
	if (!device->path && device->bus && !strcmp(device->bus, "pci"))
		device->path = ic_pci_path(device->syspath);
	return device->path ? device->path : device->name;
}

long iommucfg_device_class(struct iommucfg_device *device)
{
	read_ids(device);
	return device->class;
}

long iommucfg_device_vendor(struct iommucfg_device *device)
{
	read_ids(device);
	return device->vendor;
}

long iommucfg_device_id(struct iommucfg_device *device)
{
	read_ids(device);
	return device->device;
}

long iommucfg_device_subsystem_vendor(struct iommucfg_device *device)
{
	read_ids(device);
	return device->subvendor;
}

long iommucfg_device_subsystem_device(struct iommucfg_device *device)
{
	read_ids(device);
	return device->subdevice;
}

const char *iommucfg_device_driver_override(struct iommucfg_device *device)
{
	char buf[256];

	if (!device->override_read) {
		device->override_read = true;
		if (read_own(device, "driver_override", buf, sizeof(buf)) > 0 &&
		    strcmp(buf, "(null)"))
			device->override = strdup(buf);
	}
	return device->override;
}

const char *iommucfg_device_modalias(struct iommucfg_device *device)
{
	char buf[1024];

	if (!device->modalias_read) {
		device->modalias_read = true;
		if (read_own(device, "modalias", buf, sizeof(buf)) > 0)
			device->modalias = strdup(buf);
	}
	return device->modalias;
}

long iommucfg_device_silent(const struct iommucfg_device *device)
{
	return device->silent;
}

bool iommucfg_device_removable(struct iommucfg_device *device)
{
	char buf[32];

	if (!device->removable_read) {
		device->removable_read = true;
		device->removable = read_own(device, "removable", buf, sizeof(buf)) > 0 &&
				    !strcmp(buf, "removable");
	}
	return device->removable;
}

/* Is a bridge above it removable, or an external port? Of ports the device tree alone tells. */
static bool below_external(const struct iommucfg_device *device)
{
	char path[PATH_MAX], attr[PATH_MAX + 32], buf[32], *slash;

	snprintf(path, sizeof(path), "%s", device->syspath);
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		snprintf(attr, sizeof(attr), "%s/removable", path);
		if (ic_read_attr(device->ctx->sysfd, attr, buf, sizeof(buf)) > 0 &&
		    !strcmp(buf, "removable"))
			return true;
		snprintf(attr, sizeof(attr), "%s/of_node/external-facing", path);
		if (!faccessat(device->ctx->sysfd, attr, F_OK, 0))
			return true;
	}
	return false;
}

bool iommucfg_device_untrusted(struct iommucfg_device *device)
{
	if (device->required && !strcmp(device->required, "DMA"))
		return true;
	if (!device->untrusted_read) {
		device->untrusted_read = true;
		device->untrusted = iommucfg_device_removable(device) || below_external(device);
	}
	return device->untrusted;
}

int iommucfg_device_dma_mask_bits(struct iommucfg_device *device)
{
	unsigned long value;
	char buf[32];

	if (read_own(device, "dma_mask_bits", buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 10, 64, &value))
		return -1;
	return value;
}

const char *iommucfg_device_required_type(const struct iommucfg_device *device)
{
	return device->required;
}

/* The drivers with driver_managed_dma: the core switches below them. */
bool iommucfg_device_manages_dma(const struct iommucfg_device *device)
{
	const char *d = device->driver;

	return d && (!strcmp(d, "pcieport") || !strcmp(d, "pci-stub") ||
		     !strncmp(d, "vfio-", 5) || !strncmp(d, "vfio_", 5) ||
		     strstr(d, "vfio-pci") || strstr(d, "vfio_pci"));
}

const char *iommucfg_device_vendor_name(struct iommucfg_device *device)
{
	ic_names_read(device);
	return device->vendor_name;
}

const char *iommucfg_device_device_name(struct iommucfg_device *device)
{
	ic_names_read(device);
	return device->device_name;
}

const char *iommucfg_device_class_name(struct iommucfg_device *device)
{
	ic_names_read(device);
	return device->class_name;
}

size_t iommucfg_device_num_uses(const struct iommucfg_device *device)
{
	return device->num_uses;
}

const struct iommucfg_use *iommucfg_device_use(const struct iommucfg_device *device,
					       size_t index)
{
	return &device->uses[index];
}

/*
 * Where the machine's memory ends, to tell whose DMA mask does not reach
 * there. 0 where that cannot be told. /proc/iomem hides addresses from
 * everybody but root, the memory blocks do not.
 */
unsigned long long ic_memory_end(struct iommucfg *ctx)
{
	unsigned long size, index, last = 0;
	bool any = false;
	char buf[32];
	struct dirent *e;
	DIR *dir;

	if (ic_read_attr(ctx->sysfd, "devices/system/memory/block_size_bytes", buf,
			 sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 16, ~0UL, &size))
		return 0;
	dir = ic_opendirat(ctx->sysfd, "devices/system/memory");
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "memory", 6) ||
		    ic_parse_number(e->d_name + 6, 10, ~0UL, &index))
			continue;
		any = true;
		if (index > last)
			last = index;
	}
	closedir(dir);
	return any ? (last + 1ULL) * size : 0;
}
