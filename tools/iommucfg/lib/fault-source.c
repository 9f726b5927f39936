// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Under which names and numbers an IOMMU reports the faults of a device: its name, its PCI
 * requester id and the aliases that bridges above give it, its stream or endpoint id.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "faults.h"
#include "internal.h"

static bool parse_address(const char *name, uint32_t *segment, uint16_t *requester)
{
	unsigned int bus, device, function;
	const char *devfn;

	if (!ic_pci_address(name, strlen(name), &devfn) ||
	    sscanf(name, "%8x:%2x:%2x.%1x", segment, &bus, &device, &function) != 4)
		return false;
	*requester = bus << 8 | device << 3 | function;
	return true;
}

static ssize_t read_file(const struct iommucfg *ctx, const char *path, void *buf, size_t size)
{
	int fd = ic_open_file(ctx->sysfd, path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size);
	close(fd);
	return n;
}

/* The type of port in the PCI Express capability, -1 for a conventional device. */
static int port_type(const unsigned char *config, size_t size)
{
	unsigned int at, i;

	if (!(config[0x06] & 0x10))
		return -1;
	at = config[0x34] & ~3U;
	for (i = 0; i < 48 && at >= 0x40 && at + 4 <= size; i++) {
		if (config[at] == 0x10)
			return config[at + 2] >> 4;
		at = config[at + 1] & ~3U;
	}
	return -1;
}

static void add_requester(struct ic_source *source, uint16_t requester)
{
	if (source->num_requesters < sizeof(source->requesters) / sizeof(*source->requesters))
		source->requesters[source->num_requesters++] = requester;
}

/* As the kernel's pci_for_each_dma_alias() does it, for one bridge above the device. */
static void add_alias(struct ic_source *source, const struct iommucfg *ctx, const char *bridge)
{
	unsigned char config[256];
	uint32_t segment;
	uint16_t own;
	ssize_t n;
	char *path;

	if (!parse_address(ic_basename(bridge), &segment, &own) ||
	    asprintf(&path, "%s/config", bridge) < 0)
		return;
	n = read_file(ctx, path, config, sizeof(config));
	free(path);
	/* Without root the rest of the 256 bytes cannot be read. */
	if (n < 0x40)
		return;
	switch (port_type(config, n)) {
	case 4: case 5: case 6:		/* root port, upstream, downstream */
		break;
	case 7:				/* to conventional PCI: takes the secondary bus */
		add_requester(source, config[0x19] << 8);
		break;
	default:
		add_requester(source, own);
	}
}

static void add_aliases(struct ic_source *source, const struct iommucfg_device *device)
{
	char *path = strdup(device->syspath), *slash;

	while (path && (slash = strrchr(path, '/'))) {
		*slash = '\0';
		add_alias(source, device->ctx, path);
	}
	free(path);
}

/*
 * Some devices use the number of a function that they do not have (the kernel's
 * dma_alias_mask). A bit for each function of the slot that no device has.
 */
static uint8_t lone_functions(const struct ic_source *source,
			      const struct iommucfg_topology *topology)
{
	uint8_t lone = 0xff;
	uint32_t segment;
	uint16_t other;
	size_t i;

	for (i = 0; i < topology->num_devices; i++)
		if (parse_address(topology->by_name[i]->name, &segment, &other) &&
		    segment == source->segment && other >> 3 == source->requesters[0] >> 3)
			lone &= ~(1 << (other & 7));
	return lone;
}

static bool is_unique(const struct ic_source *source, const struct iommucfg_topology *topology)
{
	uint32_t segment;
	uint16_t other;
	size_t i;

	for (i = 0; i < topology->num_devices; i++)
		if (parse_address(topology->by_name[i]->name, &segment, &other) &&
		    segment != source->segment && other == source->requesters[0])
			return false;
	return true;
}

/* "iommus" of the device tree: a phandle and cells of 32 bits, big-endian. */
static int read_ids(struct ic_source *source, const struct iommucfg_device *device)
{
	unsigned char cells[256];
	ssize_t n, i;
	char *path;

	if (asprintf(&path, "%s/of_node/iommus", device->syspath) < 0)
		return -ENOMEM;
	n = read_file(device->ctx, path, cells, sizeof(cells));
	free(path);
	if (n < 8)
		return 0;
	source->ids = calloc(n / 4, sizeof(*source->ids));
	if (!source->ids)
		return -ENOMEM;
	for (i = 4; i + 4 <= n; i += 4)
		source->ids[source->num_ids++] = (uint32_t)cells[i] << 24 | cells[i + 1] << 16 |
						 cells[i + 2] << 8 | cells[i + 3];
	return 0;
}

/* ".../arm-smmu-v3.0.auto/iommu/smmu3.0x9050000": the device above "iommu". */
static int read_iommu(struct ic_source *source, const struct iommucfg_device *device)
{
	char *path, *link = NULL, *end;
	int ret = 0;

	if (asprintf(&path, "%s/iommu", device->syspath) < 0)
		return -ENOMEM;
	link = ic_sys_link(device->ctx->sysfd, path, device->syspath);
	free(path);
	end = link ? strrchr(link, '/') : NULL;
	if (end && end - link > 6 && !strncmp(end - 6, "/iommu", 6)) {
		end[-6] = '\0';
		ret = ic_strdup(&source->iommu, ic_basename(link));
	}
	free(link);
	return ret;
}

int ic_source_init(struct ic_source *source, const struct iommucfg_device *device)
{
	uint16_t requester;
	int ret;

	*source = (struct ic_source){ 0 };
	ret = ic_strdup(&source->name, device->name);
	if (!ret)
		ret = read_iommu(source, device);
	if (ret)
		return ret;
	source->pci = device->bus && !strcmp(device->bus, "pci") &&
		      parse_address(device->name, &source->segment, &requester);
	if (!source->pci)
		return read_ids(source, device);
	add_requester(source, requester);
	add_aliases(source, device);
	source->unique = is_unique(source, device->topology);
	source->lone = lone_functions(source, device->topology);
	return 0;
}

void ic_source_clear(struct ic_source *source)
{
	free(source->name);
	free(source->iommu);
	free(source->ids);
}

static bool has_requester(const struct ic_source *source, uint16_t requester)
{
	size_t i;

	for (i = 0; i < source->num_requesters; i++)
		if (source->requesters[i] == requester)
			return true;
	return requester >> 3 == source->requesters[0] >> 3 &&
	       source->lone & 1 << (requester & 7);
}

static bool has_id(const struct ic_source *source, uint32_t id)
{
	size_t i;

	for (i = 0; i < source->num_ids; i++)
		if (source->ids[i] == id)
			return true;
	/*
	 * Stream and endpoint ids of PCI devices are requester ids, above which firmware puts
	 * a number for the segment or host bridge as it likes.
	 */
	return source->pci && has_requester(source, id) &&
	       (source->unique || id >> 16 == source->segment);
}

bool ic_source_is(const struct ic_source *source, const struct ic_fault *fault)
{
	switch (fault->by) {
	case IC_FAULT_BY_NAME:
		return !strcmp(source->name, fault->name);
	case IC_FAULT_BY_ID:
		/* Another SMMU has the same numbers for other devices. */
		if (*fault->iommu && source->iommu && strcmp(fault->iommu, source->iommu))
			return false;
		return has_id(source, fault->id);
	case IC_FAULT_BY_PCI:
		break;
	}
	if (!source->pci || !has_requester(source, fault->requester))
		return false;
	if (fault->segment == IC_FAULT_ANY_SEGMENT)
		return source->unique || !source->segment;
	return source->segment == fault->segment;
}
