// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Block devices of sysfs, found by name, by number, or by the source of a
 * mount. ic_tell() adds a use to the devices that a block device stands on.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "use.h"

#define MAX_LINKS	8
#define ROOT		"/dev/root"

#define unread(scan, only, error, ...) \
	ic_unread((scan)->topology, only, IC_MAYBE_NEVER, error, __VA_ARGS__)

static int read_block(struct ic_scan *scan, int dirfd, const char *name)
{
	struct ic_blocks *blocks = &scan->blocks;
	unsigned int major, minor;
	char path[PATH_MAX], buf[256];
	struct ic_block *added;
	ssize_t n;
	int ret;

	ret = IC_GROW(blocks->v, blocks->n, blocks->cap);
	if (ret)
		return ret;
	added = &blocks->v[blocks->n];
	memset(added, 0, sizeof(*added));
	added->syspath = ic_sys_link(dirfd, name, "class/block");
	if (!added->syspath)
		return errno == EINVAL ? 0 :
		       unread(scan, NULL, -errno, "sys/class/block/%s", name);
	blocks->n++;
	added->name = strdup(name);
	if (!added->name)
		return -ENOMEM;
	if (!strncmp(name, "dm-", 3)) {
		snprintf(path, sizeof(path), "%s/dm/name", name);
		if (ic_read_attr(dirfd, path, buf, sizeof(buf)) > 0 &&
		    ic_strdup(&added->dm_name, buf))
			return -ENOMEM;
	}
	snprintf(path, sizeof(path), "%s/dev", name);
	n = ic_read_attr(dirfd, path, buf, sizeof(buf));
	if (n > 0 && sscanf(buf, "%u:%u", &major, &minor) == 2)
		added->number = makedev(major, minor);
	ret = ic_devices_above(scan->topology, added->syspath, &added->above);
	/* "ubiblock0_1": read-only, on a volume of UBI */
	if (!ret && sscanf(name, "ubiblock%u_", &major) == 1)
		ret = ic_ubi_above(scan, major, &added->above);
	/* Without a number, mounts of this block device cannot be found. */
	if (!ret && n < 0)
		ret = unread(scan, added->above.n ? &added->above : NULL, n,
			     "sys/class/block/%s", path);
	return ret;
}

static int compare_names(const void *a, const void *b)
{
	const struct ic_block *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_numbers(const void *a, const void *b)
{
	const struct ic_block *const *x = a, *const *y = b;

	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static int index_blocks(struct ic_blocks *blocks)
{
	size_t i;

	blocks->by_name = calloc(blocks->n + 1, sizeof(*blocks->by_name));
	blocks->by_number = calloc(blocks->n + 1, sizeof(*blocks->by_number));
	if (!blocks->by_name || !blocks->by_number)
		return -ENOMEM;
	for (i = 0; i < blocks->n; i++) {
		blocks->by_name[i] = &blocks->v[i];
		blocks->by_number[i] = &blocks->v[i];
	}
	qsort(blocks->by_name, blocks->n, sizeof(*blocks->by_name), compare_names);
	qsort(blocks->by_number, blocks->n, sizeof(*blocks->by_number), compare_numbers);
	return 0;
}

int ic_blocks_read(struct ic_scan *scan)
{
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->sysfd, "class/block");
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = read_block(scan, dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (!ret && error)
		ret = unread(scan, NULL, error, "sys/class/block");
	return ret ? ret : index_blocks(&scan->blocks);
}

void ic_blocks_free(struct ic_blocks *blocks)
{
	size_t i;

	for (i = 0; i < blocks->n; i++) {
		free(blocks->v[i].name);
		free(blocks->v[i].syspath);
		free(blocks->v[i].dm_name);
		free(blocks->v[i].udev);
		ic_block_remote_free(&blocks->v[i]);
		free(blocks->v[i].above.v);
	}
	free(blocks->v);
	free(blocks->by_name);
	free(blocks->by_number);
}

struct ic_block *ic_block_by_number(const struct ic_blocks *blocks, dev_t number)
{
	struct ic_block key = { .number = number }, *k = &key, **found;

	found = number ? bsearch(&k, blocks->by_number, blocks->n, sizeof(*blocks->by_number),
				 compare_numbers) : NULL;
	return found ? *found : NULL;
}

struct ic_block *ic_block_by_name(const struct ic_blocks *blocks, const char *name)
{
	struct ic_block key = { .name = (char *)name }, *k = &key, **found;

	found = bsearch(&k, blocks->by_name, blocks->n, sizeof(*blocks->by_name), compare_names);
	return found ? *found : NULL;
}

/*
 * A value from udev's record of a block: the text behind @key ("E:ID_FS_TYPE=",
 * "S:disk/by-uuid/x"), or NULL. Saved trees may contain these records.
 */
const char *ic_block_udev(struct ic_scan *scan, struct ic_block *block, const char *key,
			  size_t *length)
{
	size_t key_length = strlen(key);
	char path[64];
	const char *p;

	if (!block->udev_read) {
		block->udev_read = true;
		snprintf(path, sizeof(path), "run/udev/data/b%u:%u", major(block->number),
			 minor(block->number));
		block->udev = ic_read_text(scan->topology->ctx->rootfd, path, NULL);
	}
	for (p = block->udev; p && *p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, key, key_length))
			continue;
		*length = strcspn(p + key_length, "\n");
		return p + key_length;
	}
	return NULL;
}

/* Of "mapper/x" and "vg/x" below /dev, whose volume is "vg-x": hyphens in the parts are doubled. */
void ic_dm_name(const char *path, char *name, size_t size)
{
	const char *end = name + size;

	if (!strncmp(path, "mapper/", 7)) {
		snprintf(name, size, "%s", path + 7);
		return;
	}
	for (; *path && name < end - 2; path++) {
		if (*path == '-')
			*name++ = '-';
		*name++ = *path == '/' ? '-' : *path;
	}
	*name = '\0';
}

static struct ic_block *by_dm_name(const struct ic_blocks *blocks, const char *path)
{
	char name[2 * NAME_MAX + 2];
	size_t i;

	ic_dm_name(path, name, sizeof(name));
	for (i = 0; i < blocks->n; i++)
		if (blocks->v[i].dm_name && !strcmp(blocks->v[i].dm_name, name))
			return &blocks->v[i];
	return NULL;
}

/* "/dev/disk/by-uuid/x": udev's records list the links that it made. */
static struct ic_block *by_link(struct ic_scan *scan, const char *path)
{
	size_t length, i;
	char *key;

	if (asprintf(&key, "S:%s", path) < 0)
		return NULL;
	for (i = 0; i < scan->blocks.n; i++)
		if (ic_block_udev(scan, &scan->blocks.v[i], key, &length) && !length)
			break;
	free(key);
	return i < scan->blocks.n ? &scan->blocks.v[i] : NULL;
}

static struct ic_block *by_command_line(struct ic_scan *scan);

/*
 * The block device that a path in /dev means, or NULL. Links are resolved by their text,
 * because a saved tree can be in any directory, and may have no /dev.
 */
struct ic_block *ic_block_by_source(struct ic_scan *scan, const char *source)
{
	char path[PATH_MAX], target[PATH_MAX], kernel[PATH_MAX], *p;
	int rootfd = scan->topology->ctx->rootfd, links;
	struct ic_block *block;
	struct stat st;
	ssize_t n;

	if (!source || strncmp(source, "/dev/", 5) || strlen(source) >= PATH_MAX)
		return NULL;
	snprintf(path, sizeof(path), "%s", source + 1);
	for (links = 0; links < MAX_LINKS; links++) {
		n = readlinkat(rootfd, path, target, sizeof(target) - 1);
		if (n <= 0)
			break;
		target[n] = '\0';
		/* The last link ends in the name of the block device. */
		snprintf(path, sizeof(path), "dev/%s", ic_basename(target));
	}
	snprintf(kernel, sizeof(kernel), "%s", path + 4);
	for (p = kernel; (p = strchr(p, '/')); )
		*p = '!';
	block = ic_block_by_name(&scan->blocks, kernel);
	if (!block && strchr(source + 5, '/'))
		block = by_dm_name(&scan->blocks, source + 5);
	if (!block && ic_is_live(scan) && !stat(source, &st) && S_ISBLK(st.st_mode))
		block = ic_block_by_number(&scan->blocks, st.st_rdev);
	if (!block)
		block = by_link(scan, source + 5);
	return block || strcmp(source, ROOT) ? block : by_command_line(scan);
}

/* "/dev/root" is what the command line of the kernel says in "root=". */
static struct ic_block *by_command_line(struct ic_scan *scan)
{
	static const struct {
		const char *word, *directory;
	} links[] = {
		{ "UUID=", "disk/by-uuid" }, { "PARTUUID=", "disk/by-partuuid" },
		{ "LABEL=", "disk/by-label" }, { "PARTLABEL=", "disk/by-partlabel" },
	};
	char *text, *root, path[PATH_MAX] = "";
	size_t i, length;

	text = ic_read_text(scan->topology->ctx->rootfd, "proc/cmdline", NULL);
	root = text ? strstr(text, "root=") : NULL;
	while (root && root != text && root[-1] != ' ')
		root = strstr(root + 1, "root=");
	if (root) {
		root += strlen("root=");
		root[strcspn(root, "\n ")] = '\0';
		snprintf(path, sizeof(path), "%s", root);
		for (i = 0; i < sizeof(links) / sizeof(*links); i++) {
			length = strlen(links[i].word);
			if (!strncmp(root, links[i].word, length))
				snprintf(path, sizeof(path), "/dev/%s/%s", links[i].directory,
					 root + length);
		}
	}
	free(text);
	return strcmp(path, ROOT) ? ic_block_by_source(scan, path) : NULL;
}

int ic_stack_add(struct ic_stack *stack, struct ic_block *block)
{
	size_t i;
	int ret;

	for (i = 0; i < stack->n; i++)
		if (stack->v[i] == block)
			return 0;
	ret = IC_GROW(stack->v, stack->n, stack->cap);
	if (!ret)
		stack->v[stack->n++] = block;
	return ret;
}

struct tale {
	const char *kind, *detail;
	enum iommucfg_word word;
	const struct ic_set *sets[IC_MAX_SETS];	/* on the way down to here */
	size_t num_sets;
	const struct ic_block *block;		/* that it is told of */
	const struct tale *above;		/* of what stands on that */
};

static int tell(struct ic_scan *scan, struct ic_block *block, const struct tale *tale,
		const struct ic_block *via);

/* Adds the use to all that is in the directory "slaves" of a volume. */
static int tell_slaves(struct ic_scan *scan, const char *syspath, const struct tale *tale,
		       const struct ic_block *via)
{
	struct ic_block *slave;
	int ret = 0, error = 0;
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/slaves", syspath);
	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return unread(scan, NULL, -errno, "sys/%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		slave = *e->d_name == '.' ? NULL : ic_block_by_name(&scan->blocks, e->d_name);
		if (slave)
			ret = tell(scan, slave, tale, via);
	}
	closedir(dir);
	return ret || !error ? ret : unread(scan, NULL, error, "sys/%s", path);
}

/* The disk of a partition, or NULL for a disk. */
struct ic_block *ic_block_whole(struct ic_scan *scan, const struct ic_block *block)
{
	const char *end = ic_basename(block->syspath), *name;
	char disk[NAME_MAX + 1];

	for (name = end - 1; name > block->syspath && name[-1] != '/'; name--)
		;
	snprintf(disk, sizeof(disk), "%.*s", name < end ? (int)(end - name - 1) : 0, name);
	return ic_block_by_name(&scan->blocks, disk);
}

/* What it may be in use by, where that it leads to is not known. */
static int maybe_of(const struct tale *tale)
{
	return tale->word == IOMMUCFG_WORD_NEVER ? IC_MAYBE_NEVER :
	       tale->word == IOMMUCFG_WORD_MOUNTED ? IC_MAYBE_MOUNTED : IC_MAYBE_BLOCK;
}

static bool is_above(const struct tale *tale, const struct ic_block *block)
{
	while (tale && tale->block != block)
		tale = tale->above;
	return tale;
}

/* The file system of a mount; NULL if it is on what stands on this block device itself. */
static const struct ic_fs *fs_below(const struct ic_scan *scan, const struct ic_mount *mount,
				    const struct tale *tale)
{
	const struct ic_fs *fs = mount->fs < scan->num_fs ? &scan->fs[mount->fs] : NULL;
	size_t i;

	for (i = 0; fs && i < fs->blocks.n; i++)
		if (!is_above(tale, fs->blocks.v[i]))
			return fs;
	return fs && fs->devices.n ? fs : NULL;
}

static int tell_fs(struct ic_scan *scan, const struct ic_block *block, const struct ic_fs *fs,
		   const struct tale *tale)
{
	size_t i;
	int ret = 0;

	/* That it is mounted says enough but for these. */
	if (tale->word != IOMMUCFG_WORD_NEVER)
		return 0;
	for (i = 0; i < fs->blocks.n && !ret; i++)
		ret = tell(scan, fs->blocks.v[i], tale, block);
	for (i = 0; i < fs->devices.n && !ret; i++)
		ret = ic_use_add(fs->devices.v[i], tale->kind, block->name, tale->word, false,
				 "%s", tale->detail);
	return ret;
}

/* The file behind a loop device. Its mount can be hidden, or be in another namespace alone. */
static int tell_file(struct ic_scan *scan, const struct ic_block *block, const char *file,
		     const struct tale *tale)
{
	struct ic_mount *mount = ic_mount_at(&scan->mounts, file, NULL), *m;
	size_t length = mount ? strlen(mount->target) : 1, i;
	const struct ic_fs *fs;
	bool found = false;
	int ret = 0;

	for (i = 0; i < scan->mounts.n && !ret; i++) {
		m = &scan->mounts.v[i];
		if (!m->owner || strlen(m->target) <= length || !ic_mount_has(m, file))
			continue;
		fs = fs_below(scan, m, tale);
		found |= !!fs;
		ret = fs ? tell_fs(scan, block, fs, tale) : 0;
	}
	fs = mount ? fs_below(scan, mount, tale) : NULL;
	if (fs) {
		found = true;
		if (!ret)
			ret = tell_fs(scan, block, fs, tale);
	} else if (mount && mount->fs >= scan->num_fs && strcmp(mount->type, "overlay")) {
		/* In memory, or over a network. */
		found = true;
		if (tale->word == IOMMUCFG_WORD_NEVER && !mount->never)
			mount->never = "a loop device";
	}
	return ret || found ? ret :
	       ic_disks_unknown(scan, maybe_of(tale),
				"which disks the file %s of %s (%s) is on cannot be told", file,
				block->name, tale->detail);
}

/* The disk, or the file, behind a loop device or zram. */
static int tell_backing(struct ic_scan *scan, const struct ic_block *block, const char *attr,
			const struct tale *tale)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct ic_block *below;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", block->syspath, attr);
	ret = ic_read_attr(scan->topology->ctx->sysfd, path, file, sizeof(file));
	if (ret < 0)
		return ic_is_gone(ret) || ret == -ENOTDIR ? 0 :
		       unread(scan, NULL, ret, "sys/%s", path);
	if (*file != '/')
		return 0;
	below = ic_block_by_source(scan, file);
	return below ? tell(scan, below, tale, block) : tell_file(scan, block, file, tale);
}

/* The disks of the pool that a volume of ZFS is in. */
static int tell_pool(struct ic_scan *scan, struct ic_block *volume, const struct tale *tale)
{
	struct ic_stack members = { 0 };
	int ret = ic_zvol_members(scan, volume, &members);
	size_t i;

	for (i = 0; i < members.n && !ret; i++)
		ret = tell(scan, members.v[i], tale, volume);
	if (!ret && !members.n)
		ret = ic_disks_unknown(scan, maybe_of(tale),
				       "which disks the ZFS volume %s (%s) stands on cannot be told",
				       volume->name, tale->detail);
	free(members.v);
	return ret;
}

/*
 * Adds a use to the devices that @block is below. A volume is below none: then
 * this goes down to all that the volume consists of.
 */
static int tell(struct ic_scan *scan, struct ic_block *block, const struct tale *tale,
		const struct ic_block *via)
{
	const char *dm = via ? via->dm_name : NULL;
	const struct ic_set *last;
	struct tale over = *tale;
	struct ic_block *disk;
	size_t i;
	int ret = 0;

	if (block->set && over.num_sets < IC_MAX_SETS)
		over.sets[over.num_sets++] = block->set;
	/* Reached two ways it is redundant by neither. */
	last = over.num_sets ? over.sets[over.num_sets - 1] : NULL;
	if (block->told == scan->tale) {
		if (!block->told_over || block->told_over == last)
			return 0;
		over.num_sets = 0;
		last = NULL;
	}
	block->told = scan->tale;
	block->told_over = last;
	over.block = block;
	over.above = tale;
	tale = &over;
	for (i = 0; i < block->above.n && !ret; i++) {
		ret = ic_use_add(block->above.v[i], tale->kind, block->name, tale->word, false,
				 "%s%s%s%s%s%s", tale->detail, via ? " over " : "",
				 via ? via->name : "", dm ? " (" : "", dm ? dm : "", dm ? ")" : "");
		if (!ret)
			ic_use_comes_over(block->above.v[i], tale->sets, tale->num_sets);
	}
	if (ret || block->above.n)
		return ret;
	ret = tell_slaves(scan, block->syspath, tale, block);
	if (!ret && !strncmp(block->name, "loop", 4))
		ret = tell_backing(scan, block, "loop/backing_file", tale);
	if (!ret && !strncmp(block->name, "zram", 4))
		ret = tell_backing(scan, block, "backing_dev", tale);
	if (!ret && ic_is_zvol(block) && !ic_block_whole(scan, block))
		ret = tell_pool(scan, block, tale);
	if (ret)
		return ret;
	/* What a partition of a volume stands on is said at the volume. */
	disk = ic_block_whole(scan, block);
	return disk ? tell(scan, disk, tale, via ? via : block) :
		      ic_tell_remote(scan, block, tale->kind, tale->word == IOMMUCFG_WORD_NEVER,
				     tale->detail);
}

int ic_tell(struct ic_scan *scan, struct ic_block *block, const char *kind,
	    enum iommucfg_word word, const char *detail)
{
	struct tale tale = { .kind = kind, .word = word, .detail = detail };

	/* Volumes can share what they stand on: visit each block device once. */
	scan->tale++;
	return tell(scan, block, &tale, NULL);
}
