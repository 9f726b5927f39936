// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mirrors of LVM and multipath maps. Which of their legs are healthy is in no file: on the
 * running system device mapper is asked. In a saved tree a mirror is taken for healthy, and a
 * path by the state of its SCSI device.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "use.h"

/* The status of a map's only target; false where it cannot be had. */
static bool ask(const struct ic_block *block, char type[DM_MAX_TYPE_NAME], char *status,
		size_t size)
{
	union {
		struct dm_ioctl dm;
		char bytes[8192];
	} buf = { 0 };
	struct dm_target_spec *spec;
	bool ok = false;
	int fd;

	fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	buf.dm.version[0] = DM_VERSION_MAJOR;
	buf.dm.data_size = sizeof(buf);
	buf.dm.data_start = sizeof(buf.dm);
	buf.dm.dev = ((uint64_t)major(block->number) << 8) | (minor(block->number) & 0xff) |
		     ((uint64_t)(minor(block->number) & ~0xffU) << 12);
	if (!ioctl(fd, DM_TABLE_STATUS, &buf) && buf.dm.target_count == 1 &&
	    !(buf.dm.flags & DM_BUFFER_FULL_FLAG)) {
		spec = (struct dm_target_spec *)(buf.bytes + buf.dm.data_start);
		snprintf(type, DM_MAX_TYPE_NAME, "%.*s", DM_MAX_TYPE_NAME - 1, spec->target_type);
		snprintf(status, size, "%s", (char *)(spec + 1));
		ok = true;
	}
	close(fd);
	return ok;
}

/* The letters of health, "AA" where every leg is alive and in sync. */
static bool all_alive(const char *type, const char *status)
{
	char word[128] = "";
	int skip;

	/* "raid1 2 AA 128/128 idle", "2 253:1 253:2 100/100 1 AA ..." */
	if (!strcmp(type, "raid")) {
		if (sscanf(status, "%*s %*s %127s", word) != 1)
			return false;
	} else if (!strcmp(type, "mirror")) {
		if (sscanf(status, "%d", &skip) != 1)
			return false;
		for (skip += 3; skip > 0 && *status; skip--) {
			status += strcspn(status, " ");
			status += strspn(status, " ");
		}
		if (sscanf(status, "%127s", word) != 1)
			return false;
	}
	return *word && word[strspn(word, "A")] == '\0';
}

/* "lv_rimage_0" and "lv_mimage_0" are its images, "lv_rmeta_0" is what raid0 has none of. */
static size_t count_slaves(struct ic_scan *scan, const struct ic_set *set, const char *mark)
{
	const struct ic_block *slave;
	size_t i, n = 0;

	for (i = 0; i < set->num_legs; i++) {
		slave = ic_block_by_name(&scan->blocks, set->legs[i].name);
		n += slave && slave->dm_name && strstr(slave->dm_name, mark);
	}
	return n;
}

/* Journals and metadata are no legs of their own. */
static void keep_images(struct ic_scan *scan, struct ic_set *set)
{
	const struct ic_block *slave;
	size_t i, n = 0;

	for (i = 0; i < set->num_legs; i++) {
		slave = ic_block_by_name(&scan->blocks, set->legs[i].name);
		if (slave && slave->dm_name && (strstr(slave->dm_name, "_rimage_") ||
						strstr(slave->dm_name, "_mimage_"))) {
			set->legs[n++] = set->legs[i];
			continue;
		}
		free(set->legs[i].name);
		free(set->legs[i].devices.v);
	}
	set->num_legs = n;
}

static int read_mirror(struct ic_scan *scan, struct ic_block *block, struct ic_set *set)
{
	char type[DM_MAX_TYPE_NAME] = "", status[1024] = "";
	size_t i;

	set->kind = "mirror";
	set->degraded = ic_is_live(scan) && (!ask(block, type, status, sizeof(status)) ||
					     !strncmp(status, "raid0", 5) ||
					     !all_alive(type, status));
	/* A level that is not known may be one that can miss one leg only. */
	set->may_miss = strcmp(type, "mirror") && strncmp(status, "raid1 ", 6);
	keep_images(scan, set);
	for (i = 0; i < set->num_legs; i++)
		set->legs[i].healthy = true;
	block->set = set;
	return 0;
}

/* "... 8:16 A 0 1 8:32 F 2 1": dm has found a path to fail. */
static bool has_failed(const char *status, dev_t number)
{
	char key[32];
	const char *p;

	snprintf(key, sizeof(key), " %u:%u ", major(number), minor(number));
	p = strstr(status, key);
	return !p || p[strlen(key)] != 'A';
}

static int read_multipath(struct ic_scan *scan, struct ic_block *block, struct ic_set *set)
{
	char type[DM_MAX_TYPE_NAME], status[4096], path[PATH_MAX], word[32];
	bool asked = ic_is_live(scan) && ask(block, type, status, sizeof(status));
	const struct ic_block *slave;
	size_t i;

	for (i = 0; i < set->num_legs; i++) {
		slave = ic_block_by_name(&scan->blocks, set->legs[i].name);
		snprintf(path, sizeof(path), "class/block/%s/device/state", set->legs[i].name);
		set->legs[i].healthy =
			ic_read_attr(scan->topology->ctx->sysfd, path, word, sizeof(word)) > 0 &&
			(!strcmp(word, "running") || !strcmp(word, "live"));
		if (ic_is_live(scan) && (!asked || !slave || has_failed(status, slave->number)))
			set->legs[i].healthy = false;
	}
	block->set = set;
	return 0;
}

/* A map that turns out to be neither leaves the list again. */
static int read_map(struct ic_scan *scan, struct ic_block *block)
{
	struct iommucfg_topology *topology = scan->topology;
	char path[PATH_MAX], uuid[256] = "";
	struct ic_set *set;
	size_t images;
	int ret;

	snprintf(path, sizeof(path), "%s/dm/uuid", block->syspath);
	ic_read_attr(topology->ctx->sysfd, path, uuid, sizeof(uuid));
	set = ic_set_new(&topology->sets, &topology->num_sets, &topology->cap_sets, "multipath",
			 block->name);
	if (!set)
		return -ENOMEM;
	set->word = IOMMUCFG_WORD_BLOCK;
	ret = ic_set_legs(scan, set, block);
	if (ret)
		return ret;
	if (!strncmp(uuid, "mpath-", 6))
		return read_multipath(scan, block, set);
	images = count_slaves(scan, set, "_rimage_");
	if (count_slaves(scan, set, "_mimage_") > 1 ||
	    (images > 1 && images == count_slaves(scan, set, "_rmeta_")))
		return read_mirror(scan, block, set);
	topology->num_sets--;
	ic_set_free(set);
	return 0;
}

int ic_sets_read_dm(struct ic_scan *scan)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->blocks.n && !ret; i++)
		if (!strncmp(scan->blocks.v[i].name, "dm-", 3))
			ret = read_map(scan, &scan->blocks.v[i]);
	return ret;
}
