// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Devices of classes whose users cannot be told, or have no node in /dev: Fibre Channel
 * hosts, InfiniBand and RoCE devices, CXL memory, UBI on flash memory. The kernel's module
 * refuses for the same ones.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "use.h"

/* Calls @each for the links in a directory below /sys, with what they point to. */
static int each_device(struct ic_scan *scan, const char *path, int maybe,
		       int (*each)(struct ic_scan *scan, const char *name, const char *syspath))
{
	int ret = 0, error = 0;
	struct dirent *e;
	char *syspath;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return ic_unread(scan->topology, NULL, maybe, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		syspath = *e->d_name == '.' ? NULL : ic_sys_link(dirfd(dir), e->d_name, path);
		if (syspath)
			ret = each(scan, e->d_name, syspath);
		free(syspath);
	}
	closedir(dir);
	return ret || !error ? ret : ic_unread(scan->topology, NULL, maybe, error, "sys/%s", path);
}

static int tell_above(struct ic_scan *scan, const char *syspath, const char *kind,
		      const char *name, enum iommucfg_word word, const char *detail)
{
	struct ic_devices devices = { 0 };
	size_t i;
	int ret = ic_devices_above(scan->topology, syspath, &devices);

	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], kind, name, word, false, "%s", detail);
	free(devices.v);
	return ret;
}

static int fc_host(struct ic_scan *scan, const char *name, const char *syspath)
{
	return tell_above(scan, syspath, "fc", name, IOMMUCFG_WORD_BLOCK,
			  "storage may go through this Fibre Channel host");
}

/* The module by which storage may go over RDMA, or NULL. */
static const char *rdma_storage(struct ic_scan *scan)
{
	static const char *const modules[] = {
		"nvme_rdma", "rpcrdma", "rtrs_client", "rtrs_server", "nvmet_rdma", "ib_isert",
		"ib_srpt", NULL,
	};
	char path[64];
	size_t i;

	for (i = 0; modules[i]; i++) {
		snprintf(path, sizeof(path), "module/%s", modules[i]);
		if (!faccessat(scan->topology->ctx->sysfd, path, F_OK, 0))
			break;
	}
	return modules[i];
}

static int rdma(struct ic_scan *scan, const char *name, const char *syspath)
{
	const char *module = rdma_storage(scan);
	char detail[96];
	int ret;

	ret = tell_above(scan, syspath, "rdma", name, IOMMUCFG_WORD_NET,
			 "the users of this InfiniBand or RoCE device are not known");
	if (ret || !module)
		return ret;
	snprintf(detail, sizeof(detail), "storage may go through it, as module %s is loaded", module);
	return tell_above(scan, syspath, "rdma", name, IOMMUCFG_WORD_BLOCK, detail);
}

/* The decoder of a memory device's port: "…/endpoint3/decoder3.0". */
static int cxl(struct ic_scan *scan, const char *name, const char *syspath)
{
	int sysfd = scan->topology->ctx->sysfd;
	char path[PATH_MAX], region[64], detail[96], *port, *memory;
	int ret = 0;

	port = strndup(syspath, ic_basename(syspath) - syspath - 1);
	if (!port)
		return -ENOMEM;
	if (strncmp(name, "decoder", 7) || strncmp(ic_basename(port), "endpoint", 8))
		goto out;
	snprintf(path, sizeof(path), "%s/region", syspath);
	if (ic_read_attr(sysfd, path, region, sizeof(region)) <= 0)
		goto out;
	snprintf(detail, sizeof(detail), "its memory is in %s", region);
	snprintf(path, sizeof(path), "%s/uport", port);
	memory = ic_sys_link(sysfd, path, port);
	if (memory)
		ret = tell_above(scan, memory, "cxl", ic_basename(memory), IOMMUCFG_WORD_NEVER,
				 detail);
	free(memory);
out:
	free(port);
	return ret;
}

/* Adds the devices above "mtd3". */
int ic_mtd_above(struct ic_scan *scan, unsigned int number, struct ic_devices *devices)
{
	char path[64], *syspath;
	int ret = 0;

	snprintf(path, sizeof(path), "class/mtd/mtd%u", number);
	syspath = ic_sys_link(scan->topology->ctx->sysfd, path, "class/mtd");
	if (syspath)
		ret = ic_devices_above(scan->topology, syspath, devices);
	free(syspath);
	return ret;
}

/* Adds the devices above the flash memory that "ubi0" is attached to. */
int ic_ubi_above(struct ic_scan *scan, unsigned int number, struct ic_devices *devices)
{
	unsigned long mtd;
	char path[64], buf[32];

	snprintf(path, sizeof(path), "class/ubi/ubi%u/mtd_num", number);
	if (ic_read_attr(scan->topology->ctx->sysfd, path, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 10, UINT_MAX, &mtd))
		return 0;
	return ic_mtd_above(scan, mtd, devices);
}

/* What a file system on flash memory calls its device: "ubi0:root", "ubi:root", "mtd3", "mtd:x". */
int ic_flash_above(struct ic_scan *scan, const char *source, struct ic_devices *devices)
{
	char path[64], name[64];
	unsigned int number = 0;

	if (!strncmp(source, "/dev/", 5))
		source += 5;
	if (!strncmp(source, "ubi", 3)) {
		sscanf(source, "ubi%u", &number);
		return ic_ubi_above(scan, number, devices);
	}
	if (sscanf(source, "mtd%u", &number) == 1)
		return ic_mtd_above(scan, number, devices);
	for (; !strncmp(source, "mtd:", 4); number++) {
		snprintf(path, sizeof(path), "class/mtd/mtd%u/name", number);
		if (ic_read_attr(scan->topology->ctx->sysfd, path, name, sizeof(name)) < 0)
			break;
		if (!strcmp(name, source + 4))
			return ic_mtd_above(scan, number, devices);
	}
	return 0;
}

static int ubi(struct ic_scan *scan, const char *name, const char *syspath)
{
	struct ic_devices devices = { 0 };
	unsigned int number;
	size_t i;
	int ret;

	(void)syspath;
	/* "ubi0_1" is a volume of it. */
	if (strncmp(name, "ubi", 3) || !ic_canonical_decimal(name + 3, &number))
		return 0;
	ret = ic_ubi_above(scan, number, &devices);
	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], "ubi", name, IOMMUCFG_WORD_BLOCK, false,
				 "attached to its flash memory");
	free(devices.v);
	return ret;
}

int ic_use_classes(struct ic_scan *scan)
{
	int ret;

	ret = each_device(scan, "class/fc_host", IC_MAYBE_BLOCK, fc_host);
	if (!ret)
		ret = each_device(scan, "class/infiniband", IC_MAYBE_NET | IC_MAYBE_BLOCK, rdma);
	if (!ret)
		ret = each_device(scan, "bus/cxl/devices", IC_MAYBE_NEVER, cxl);
	return ret ? ret : each_device(scan, "class/ubi", IC_MAYBE_BLOCK, ubi);
}
