// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Block devices in use: mounts, swaps, and what stands on them (dm, md). A
 * mount on a volume is told of each device that the volume stands on.
 */
#include <dirent.h>
#include <errno.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

struct block {
	char *name;
	char *syspath;
	dev_t number;
	struct ic_devices above;
};

struct blocks {
	struct iommucfg_topology *topology;
	struct block *v;
	size_t n, cap;
};

#define MAX_STACK	16	/* of dm on md on dm ... */

#define unread(blocks, only, error, ...) \
	ic_unread((blocks)->topology, only, IC_MAYBE_BLOCK, error, __VA_ARGS__)

static int read_block(struct blocks *blocks, int dirfd, const char *name)
{
	struct block block = { 0 };
	unsigned int major, minor;
	char path[PATH_MAX], buf[32];
	struct block *added;
	ssize_t n;
	int ret;

	ret = IC_GROW(blocks->v, blocks->n, blocks->cap);
	if (ret)
		return ret;
	block.syspath = ic_sys_link(dirfd, name, "class/block");
	if (!block.syspath)
		return errno == EINVAL ? 0 :
		       unread(blocks, NULL, -errno, "sys/class/block/%s", name);
	block.name = strdup(name);
	snprintf(path, sizeof(path), "%s/dev", name);
	n = ic_read_attr(dirfd, path, buf, sizeof(buf));
	if (n > 0 && sscanf(buf, "%u:%u", &major, &minor) == 2)
		block.number = makedev(major, minor);
	blocks->v[blocks->n++] = block;
	if (!block.name)
		return -ENOMEM;
	added = &blocks->v[blocks->n - 1];
	ret = ic_devices_above(blocks->topology, block.syspath, &added->above);
	/* Without its number what is mounted is not known to be on it. */
	if (!ret && n < 0)
		ret = unread(blocks, added->above.n ? &added->above : NULL, n,
			     "sys/class/block/%s", path);
	return ret;
}

static int read_blocks(struct blocks *blocks)
{
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(blocks->topology->ctx->sysfd, "class/block");
	if (!dir)
		return unread(blocks, NULL, -errno, "sys/class/block");
	while (!ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = read_block(blocks, dirfd(dir), e->d_name);
	closedir(dir);
	return ret || !error ? ret : unread(blocks, NULL, error, "sys/class/block");
}

static const struct block *by_number(const struct blocks *blocks, dev_t number)
{
	size_t i;

	for (i = 0; number && i < blocks->n; i++)
		if (blocks->v[i].number == number)
			return &blocks->v[i];
	return NULL;
}

static const struct block *by_name(const struct blocks *blocks, const char *name)
{
	size_t i;

	for (i = 0; i < blocks->n; i++)
		if (!strcmp(blocks->v[i].name, name))
			return &blocks->v[i];
	return NULL;
}

/* "/dev/mapper/x" is a link to "../dm-0", "/dev/cciss/c0d0" is "cciss!c0d0". */
static const struct block *by_source(const struct blocks *blocks, const char *source)
{
	char path[PATH_MAX], target[PATH_MAX], *p;
	ssize_t n;

	if (!source || strncmp(source, "/dev/", 5))
		return NULL;
	snprintf(path, sizeof(path), "%s", source + 1);
	n = readlinkat(blocks->topology->ctx->rootfd, path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		return by_name(blocks, ic_basename(target));
	}
	for (p = path + 4; (p = strchr(p, '/')); )
		*p = '!';
	return by_name(blocks, path + 4);
}

/* " (vg-home)" for a dm device, so that a person knows it by sight. */
static void dm_label(const struct blocks *blocks, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX], label[256];

	snprintf(path, sizeof(path), "class/block/%s/dm/name", name);
	if (ic_read_attr(blocks->topology->ctx->sysfd, path, label, sizeof(label)) > 0)
		snprintf(buf, size, "%s (%s)", name, label);
	else
		snprintf(buf, size, "%s", name);
}

/*
 * Tells of a use of @block: of the block itself where it hangs off a device,
 * else of each one that it stands on, all the way down.
 */
static int tell(const struct blocks *blocks, const struct block *block, const char *kind,
		enum iommucfg_word word, const char *detail, const char *via, int depth)
{
	char path[PATH_MAX], label[512];
	const struct block *slave;
	int ret = 0, error = 0;
	struct dirent *e;
	size_t i;
	DIR *dir;

	for (i = 0; i < block->above.n && !ret; i++)
		ret = ic_use_add(block->above.v[i], kind, block->name, word, false,
				 "%s%s%s", detail, via ? " over " : "", via ? via : "");
	if (ret || block->above.n || depth > MAX_STACK)
		return ret;
	snprintf(path, sizeof(path), "%s/slaves", block->syspath);
	dir = ic_opendirat(blocks->topology->ctx->sysfd, path);
	if (!dir)
		return unread(blocks, NULL, -errno, "sys/%s", path);
	dm_label(blocks, block->name, label, sizeof(label));
	while (!ret && (e = ic_readdir(dir, &error))) {
		slave = *e->d_name == '.' ? NULL : by_name(blocks, e->d_name);
		if (slave)
			ret = tell(blocks, slave, kind, word, detail, label, depth + 1);
	}
	closedir(dir);
	return ret || !error ? ret : unread(blocks, NULL, error, "sys/%s", path);
}

/* 1 for a file that can be read, all of it: libmount does not say what it could not. */
static int is_readable(const struct blocks *blocks, const char *path)
{
	char *text;
	int ret;

	text = ic_read_text(blocks->topology->ctx->rootfd, path, &ret);
	free(text);
	return text ? 1 : unread(blocks, NULL, ret, "%s", path);
}

static int use_mounts(const struct blocks *blocks)
{
	struct iommucfg *ctx = blocks->topology->ctx;
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	const struct block *block;
	const char *target;
	char *path;
	int ret;

	ret = is_readable(blocks, "proc/self/mountinfo");
	if (ret <= 0)
		return ret;
	if (asprintf(&path, "%s/proc/self/mountinfo", ctx->root) < 0)
		return -ENOMEM;
	table = mnt_new_table_from_file(path);
	free(path);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	ret = table && iter ? 0 : -ENOMEM;
	while (!ret && !mnt_table_next_fs(table, iter, &fs)) {
		/* btrfs mounts have a number of their own */
		block = by_number(blocks, mnt_fs_get_devno(fs));
		if (!block)
			block = by_source(blocks, mnt_fs_get_source(fs));
		target = mnt_fs_get_target(fs);
		if (block && target)
			ret = tell(blocks, block, "mount", IOMMUCFG_WORD_MOUNTED, target, NULL, 0);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return ret;
}

static int use_swaps(const struct blocks *blocks)
{
	struct iommucfg *ctx = blocks->topology->ctx;
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	const struct block *block;
	char *path;
	int ret;

	ret = is_readable(blocks, "proc/swaps");
	if (ret <= 0)
		return ret;
	if (asprintf(&path, "%s/proc/swaps", ctx->root) < 0)
		return -ENOMEM;
	table = mnt_new_table();
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	ret = table && iter && !mnt_table_parse_swaps(table, path) ? 0 : -ENOMEM;
	free(path);
	while (!ret && !mnt_table_next_fs(table, iter, &fs)) {
		block = by_source(blocks, mnt_fs_get_source(fs));
		if (block)
			ret = tell(blocks, block, "swap", IOMMUCFG_WORD_MOUNTED, "swap", NULL, 0);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return ret;
}

static int use_holders(const struct blocks *blocks, const struct block *block)
{
	char path[PATH_MAX], label[512];
	int ret = 0, error = 0;
	struct dirent *e;
	const char *kind;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/holders", block->syspath);
	dir = ic_opendirat(blocks->topology->ctx->sysfd, path);
	if (!dir)
		return unread(blocks, &block->above, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		kind = !strncmp(e->d_name, "dm-", 3) ? "dm" :
		       !strncmp(e->d_name, "md", 2) ? "md" : "holder";
		dm_label(blocks, e->d_name, label, sizeof(label));
		ret = tell(blocks, block, kind, IOMMUCFG_WORD_BLOCK, label, NULL, 0);
	}
	closedir(dir);
	return ret || !error ? ret : unread(blocks, &block->above, error, "sys/%s", path);
}

int ic_use_block(struct iommucfg_topology *topology)
{
	struct blocks blocks = { .topology = topology };
	size_t i;
	int ret;

	ret = read_blocks(&blocks);
	if (!ret)
		ret = use_mounts(&blocks);
	if (!ret)
		ret = use_swaps(&blocks);
	for (i = 0; i < blocks.n && !ret; i++)
		if (blocks.v[i].above.n)
			ret = use_holders(&blocks, &blocks.v[i]);
	for (i = 0; i < blocks.n; i++) {
		free(blocks.v[i].name);
		free(blocks.v[i].syspath);
		free(blocks.v[i].above.v);
	}
	free(blocks.v);
	return ret;
}
