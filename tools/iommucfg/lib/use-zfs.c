// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The disks of ZFS pools. The kernel tells of none of them; udev's records have the labels.
 * A volume of a pool is a block device, "zd16", that nothing links to the pool's disks.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "use.h"

bool ic_is_zvol(const struct ic_block *block)
{
	return !strncmp(block->name, "zd", 2) && isdigit((unsigned char)block->name[2]);
}

/* Adds the members of a pool, of any pool where @pool is NULL. */
int ic_zfs_members(struct ic_scan *scan, const char *pool, size_t length,
		   struct ic_stack *members)
{
	const char *type, *label;
	struct ic_block *block;
	size_t i, n;
	int ret = 0;

	for (i = 0; i < scan->blocks.n && !ret; i++) {
		block = &scan->blocks.v[i];
		type = ic_block_udev(scan, block, "E:ID_FS_TYPE=", &n);
		if (!type || n != 10 || strncmp(type, "zfs_member", 10))
			continue;
		label = pool ? ic_block_udev(scan, block, "E:ID_FS_LABEL=", &n) : NULL;
		if (!pool || (label && n == length && !strncmp(label, pool, n)))
			ret = ic_stack_add(members, block);
	}
	return ret;
}

/* Adds the disks of the pool that a volume is in; of all pools if it is not known in which. */
int ic_zvol_members(struct ic_scan *scan, struct ic_block *volume, struct ic_stack *members)
{
	const char *link;
	size_t length;
	int ret = 0;

	/* "S:zvol/tank/vm/disk0" */
	link = ic_block_udev(scan, volume, "S:zvol/", &length);
	if (link)
		ret = ic_zfs_members(scan, link, strcspn(link, "/\n"), members);
	return ret || members->n ? ret : ic_zfs_members(scan, NULL, 0, members);
}

static int is_visible(const struct dirent *e)
{
	return *e->d_name != '.';
}

/* A pool that is imported holds its disks, also where nothing of it is mounted. */
int ic_use_pools(struct ic_scan *scan)
{
	struct ic_stack members = { 0 };
	char **pools = NULL, detail[300];
	int n, i, ret = 0;
	size_t k;

	n = ic_list_directories(scan->topology->ctx->rootfd, "proc/spl/kstat/zfs", is_visible,
				&pools);
	if (n < 0)
		return ic_unread(scan->topology, NULL, IC_MAYBE_BLOCK, n, "proc/spl/kstat/zfs");
	for (i = 0; i < n && !ret; i++) {
		members.n = 0;
		ret = ic_zfs_members(scan, pools[i], strlen(pools[i]), &members);
		snprintf(detail, sizeof(detail), "ZFS pool %.255s", pools[i]);
		for (k = 0; k < members.n && !ret; k++)
			ret = ic_tell(scan, members.v[k], "holder", IOMMUCFG_WORD_BLOCK, detail);
	}
	free(members.v);
	ic_free_names(pools);
	return ret;
}
