// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds all block devices of each mounted file system, with those of its log
 * or journal. The table of mounts has one of them only.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "use.h"

static bool is_btrfs(const struct ic_mount *mount)
{
	return !strcmp(mount->type, "btrfs");
}

static bool is_bcachefs(const struct ic_mount *mount)
{
	return !strcmp(mount->type, "bcachefs");
}

static int add_source(struct ic_scan *scan, struct ic_fs *fs, const char *source)
{
	struct ic_block *block = ic_block_by_source(scan, source);

	return block ? ic_stack_add(&fs->blocks, block) : 0;
}

/* "logdev=/dev/x" of XFS, "journal_path=" of ext4, "device=" of EROFS... */
static int add_options(struct ic_scan *scan, struct ic_fs *fs, const char *options)
{
	static const char *const keys[] = {
		"logdev", "rtdev", "journal_path", "jdev", "device",
	};
	struct ic_option option;
	struct ic_block *block;
	unsigned long number;
	char *value;
	size_t i;
	int ret = 0;

	while (!ret && ic_option_next(&options, &option)) {
		value = strndup(option.value, option.length);
		if (!value)
			return -ENOMEM;
		for (i = 0; i < sizeof(keys) / sizeof(*keys) && !ret; i++)
			if (ic_option_is(&option, keys[i]))
				ret = add_source(scan, fs, value);
		/* The kernel's new_encode_dev(): the low 8 bits of minor are below the major. */
		if (!ret && ic_option_is(&option, "journal_dev") &&
		    !ic_parse_number(value, 0, UINT_MAX, &number)) {
			block = ic_block_by_number(&scan->blocks,
						   makedev(number >> 8 & 0xfff,
							   (number & 0xff) |
							   (number >> 12 & 0xfff00)));
			if (block)
				ret = ic_stack_add(&fs->blocks, block);
		}
		free(value);
	}
	return ret;
}

/* "/dev/a:/dev/b", as bcachefs is mounted */
static int add_sources(struct ic_scan *scan, struct ic_fs *fs, const char *sources)
{
	char *copy = strdup(sources), *source, *save;
	int ret = copy ? 0 : -ENOMEM;

	for (source = copy ? strtok_r(copy, ":", &save) : NULL; source && !ret;
	     source = strtok_r(NULL, ":", &save))
		ret = add_source(scan, fs, source);
	free(copy);
	return ret;
}

/* Reads the members of a mounted btrfs or bcachefs from its directory in sysfs. */
static int read_members(struct ic_scan *scan, const char *path, bool bcachefs,
			struct ic_stack *members)
{
	int ret = 0, error = 0;
	struct ic_block *block;
	struct dirent *e;
	char *link, name[NAME_MAX + 16];
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return ic_unread(scan->topology, NULL, IC_MAYBE_MOUNTED, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.' || (bcachefs && strncmp(e->d_name, "dev-", 4)))
			continue;
		snprintf(name, sizeof(name), "%s/block", e->d_name);
		link = bcachefs ? ic_sys_link(dirfd(dir), name, NULL) : NULL;
		block = bcachefs && !link ? NULL :
			ic_block_by_name(&scan->blocks, link ? ic_basename(link) : e->d_name);
		free(link);
		if (block)
			ret = ic_stack_add(members, block);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_MOUNTED, error, "sys/%s", path);
}

static bool have_common(const struct ic_stack *a, const struct ic_stack *b)
{
	size_t i, j;

	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++)
			if (a->v[i] == b->v[j])
				return true;
	return false;
}

static int add_all(struct ic_stack *stack, const struct ic_stack *from)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < from->n && !ret; i++)
		ret = ic_stack_add(stack, from->v[i]);
	return ret;
}

static struct ic_fs *new_fs(struct ic_scan *scan)
{
	if (IC_GROW(scan->fs, scan->num_fs, scan->cap_fs))
		return NULL;
	memset(&scan->fs[scan->num_fs], 0, sizeof(*scan->fs));
	return &scan->fs[scan->num_fs++];
}

/*
 * Adds the members that a directory in sys/fs/btrfs or sys/fs/bcachefs lists to their file
 * system: to the one that has one of them already, or is mounted by this UUID; else to all
 * of this type of which no device is known.
 */
static int give_members(struct ic_scan *scan, const char *type, const char *uuid,
			const struct ic_stack *members)
{
	bool taken = false, lost = false;
	const struct ic_mount *mount;
	struct ic_fs *fs;
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->num_fs && !ret; i++) {
		fs = &scan->fs[i];
		mount = &scan->mounts.v[fs->mounts[0]];
		if (strcmp(mount->type, type) || (!have_common(&fs->blocks, members) &&
						  strcmp(ic_basename(mount->source), uuid)))
			continue;
		taken = true;
		ret = add_all(&fs->blocks, members);
	}
	for (i = 0; i < scan->num_fs && !ret && !taken; i++) {
		fs = &scan->fs[i];
		mount = &scan->mounts.v[fs->mounts[0]];
		if (strcmp(mount->type, type) || (fs->blocks.n && !fs->guessed))
			continue;
		lost = true;
		fs->guessed = true;
		ret = add_all(&fs->blocks, members);
	}
	/* It is mounted, but in no table that was read. */
	for (i = 0; i < members->n && !ret && !taken && !lost; i++)
		ret = ic_tell(scan, members->v[i], "mount", IOMMUCFG_WORD_MOUNTED, type);
	return ret;
}

static int add_members(struct ic_scan *scan, const char *type)
{
	bool bcachefs = !strcmp(type, "bcachefs");
	struct ic_stack members = { 0 };
	char path[PATH_MAX], sub[PATH_MAX];
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "fs/%s", type);
	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error))) {
		/* "features" is no UUID. */
		if (*e->d_name == '.' || !strchr(e->d_name, '-'))
			continue;
		members.n = 0;
		snprintf(sub, sizeof(sub), "fs/%.16s/%.255s%s", type, e->d_name,
			 bcachefs ? "" : "/devices");
		ret = read_members(scan, sub, bcachefs, &members);
		if (!ret)
			ret = give_members(scan, type, e->d_name, &members);
	}
	if (dir)
		closedir(dir);
	free(members.v);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_MOUNTED, error, "sys/%s", path);
}

static bool has_journal(const struct ic_fs *fs, const char *name)
{
	size_t length;

	if (!fs->blocks.n)
		return false;
	length = strlen(fs->blocks.v[0]->name);
	return !strncmp(name, fs->blocks.v[0]->name, length) && name[length] == '-';
}

/*
 * proc/fs/jbd2 has an entry "sda1-8" for a journal inside of the file system on sda1, and
 * "sdb" for an external journal on sdb. An external journal is added to all file systems
 * that have no journal inside.
 */
static int add_journals(struct ic_scan *scan)
{
	char **names = NULL;
	int ret = 0, n;
	const struct ic_mount *mount;
	struct ic_block *block;
	size_t i, k, m;

	n = ic_list_directories(scan->topology->ctx->rootfd, "proc/fs/jbd2", NULL, &names);
	if (n < 0)
		return ic_unread(scan->topology, NULL, IC_MAYBE_MOUNTED, n, "proc/fs/jbd2");
	for (k = 0; k < (size_t)n && !ret; k++) {
		block = ic_block_by_name(&scan->blocks, names[k]);
		if (!block)
			continue;
		ret = ic_tell(scan, block, "journal", IOMMUCFG_WORD_MOUNTED,
			      "journal of a mounted file system");
		for (i = 0; i < scan->num_fs && !ret; i++) {
			mount = &scan->mounts.v[scan->fs[i].mounts[0]];
			if (strncmp(mount->type, "ext", 3))
				continue;
			for (m = 0; m < (size_t)n && !has_journal(&scan->fs[i], names[m]); m++)
				;
			if (m == (size_t)n)
				ret = ic_stack_add(&scan->fs[i].blocks, block);
		}
	}
	ic_free_names(names);
	return ret;
}

/* virtiofs and 9p use a virtio device. Of several with the driver, all are added. */
static int add_virtio(struct ic_scan *scan, struct ic_fs *fs, const char *driver)
{
	static const char path[] = "bus/virtio/devices";
	char bound[NAME_MAX + 16], *syspath, *link;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		snprintf(bound, sizeof(bound), "%s/driver", e->d_name);
		link = ic_sys_link(dirfd(dir), bound, NULL);
		syspath = link && !strcmp(ic_basename(link), driver) ?
			  ic_sys_link(dirfd(dir), e->d_name, path) : NULL;
		if (syspath)
			ret = ic_devices_above(scan->topology, syspath, &fs->devices);
		free(syspath);
		free(link);
	}
	if (dir)
		closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_MOUNTED, error, "sys/%s", path);
}

/* JFFS2, UBIFS and others that use flash memory without a block device. */
static bool is_flash(const struct ic_mount *mount)
{
	return !strncmp(mount->source, "mtd", 3) || !strncmp(mount->source, "ubi", 3) ||
	       !strncmp(mount->source, "/dev/ubi", 8);
}

/* File systems that stand on devices without having the number of one. */
static bool needs_devices(const struct ic_mount *mount)
{
	return is_btrfs(mount) || is_bcachefs(mount) || !strcmp(mount->type, "zfs");
}

static int read_fs(struct ic_scan *scan, const struct ic_mount *mount, struct ic_fs *fs)
{
	struct ic_block *block;
	int ret = 0;

	if (!strcmp(mount->type, "zfs")) {
		fs->pool = strndup(mount->source, strcspn(mount->source, "/@"));
		return fs->pool ? ic_zfs_members(scan, fs->pool, strlen(fs->pool), &fs->blocks) :
				  -ENOMEM;
	}
	if (!strcmp(mount->type, "virtiofs"))
		return add_virtio(scan, fs, "virtiofs");
	if (!strcmp(mount->type, "9p"))
		return strstr(mount->options, "trans=virtio") ?
		       add_virtio(scan, fs, "9pnet_virtio") : 0;
	block = ic_block_by_number(&scan->blocks, mount->number);
	if (block)
		ret = ic_stack_add(&fs->blocks, block);
	/* The number of a btrfs, for one, is not that of a device. */
	else if (is_flash(mount))
		ret = ic_flash_above(scan, mount->source, &fs->devices);
	else if (is_bcachefs(mount))
		ret = add_sources(scan, fs, mount->source);
	else
		ret = add_source(scan, fs, mount->source);
	if (!ret && (fs->blocks.n || needs_devices(mount)))
		ret = add_options(scan, fs, mount->options);
	return ret;
}

static int by_number(const void *a, const void *b, void *context)
{
	const struct ic_mount *mounts = context;
	size_t i = *(const size_t *)a, k = *(const size_t *)b;

	if (mounts[i].number != mounts[k].number)
		return mounts[i].number > mounts[k].number ? 1 : -1;
	return (i > k) - (i < k);
}

/* Each dataset of a ZFS pool has a number; all have the same devices. */
static struct ic_fs *same_pool(struct ic_scan *scan, const struct ic_mount *mount)
{
	size_t i, length = strcspn(mount->source, "/@");

	for (i = 0; i < scan->num_fs && !strcmp(mount->type, "zfs"); i++)
		if (scan->fs[i].pool && strlen(scan->fs[i].pool) == length &&
		    !strncmp(scan->fs[i].pool, mount->source, length))
			return &scan->fs[i];
	return NULL;
}

/*
 * The number is that of a device which sysfs does not know. A disk that was pulled out
 * while it was mounted has one too, so that this counts where it must never be.
 */
static bool is_lost(const struct ic_mount *mount)
{
	return major(mount->number) && mount->never;
}

/* Finds or makes the file system of a mount; leaves it out if it stands on no device. */
static int place_mount(struct ic_scan *scan, size_t index)
{
	struct ic_mount *mount = &scan->mounts.v[index];
	struct ic_fs *fs = mount->fs < scan->num_fs ? &scan->fs[mount->fs] :
						      same_pool(scan, mount);
	int ret = 0;

	if (!fs) {
		fs = new_fs(scan);
		if (!fs)
			return -ENOMEM;
		ret = read_fs(scan, mount, fs);
		if (!fs->blocks.n && !fs->devices.n && !needs_devices(mount) &&
		    !is_lost(mount)) {
			free(fs->pool);
			free(fs->blocks.v);
			scan->num_fs--;
			return ret;
		}
	}
	mount->fs = fs - scan->fs;
	if (IC_GROW(fs->mounts, fs->num_mounts, fs->cap_mounts))
		return -ENOMEM;
	fs->mounts[fs->num_mounts++] = index;
	return ret;
}

int ic_fs_read(struct ic_scan *scan)
{
	struct ic_mounts *mounts = &scan->mounts;
	size_t *order, i;
	int ret = 0;

	order = calloc(mounts->n + 1, sizeof(*order));
	if (!order)
		return -ENOMEM;
	ic_mark_targets(mounts);
	for (i = 0; i < mounts->n; i++)
		order[i] = i;
	/* Then mounts of one file system follow each other. */
	qsort_r(order, mounts->n, sizeof(*order), by_number, mounts->v);
	for (i = 0; i < mounts->n && !ret; i++) {
		if (i && mounts->v[order[i]].number &&
		    mounts->v[order[i]].number == mounts->v[order[i - 1]].number) {
			mounts->v[order[i]].fs = mounts->v[order[i - 1]].fs;
			if (mounts->v[order[i]].fs == SIZE_MAX && !is_lost(&mounts->v[order[i]]))
				continue;
		}
		ret = place_mount(scan, order[i]);
	}
	free(order);
	if (!ret)
		ret = add_members(scan, "btrfs");
	if (!ret)
		ret = add_members(scan, "bcachefs");
	return ret ? ret : add_journals(scan);
}

void ic_fs_free(struct ic_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->num_fs; i++) {
		free(scan->fs[i].blocks.v);
		free(scan->fs[i].devices.v);
		free(scan->fs[i].pool);
		free(scan->fs[i].mounts);
	}
	free(scan->fs);
}
