// SPDX-License-Identifier: LGPL-2.1-or-later
/* Disks in use without a mount: by dm, md, loop devices, exports to other machines. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "use.h"

static int use_holders_of(struct ic_scan *scan, struct ic_block *block)
{
	const struct ic_block *holder;
	char path[PATH_MAX], label[2 * NAME_MAX + 8];
	int ret = 0, error = 0;
	struct dirent *e;
	const char *kind;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/holders", block->syspath);
	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	if (!dir)
		return ic_unread(scan->topology, &block->above, IC_MAYBE_BLOCK, -errno, "sys/%s",
				 path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		kind = !strncmp(e->d_name, "dm-", 3) ? "dm" :
		       !strncmp(e->d_name, "md", 2) ? "md" : "holder";
		holder = ic_block_by_name(&scan->blocks, e->d_name);
		snprintf(label, sizeof(label), holder && holder->dm_name ? "%s (%s)" : "%s",
			 e->d_name, holder && holder->dm_name ? holder->dm_name : "");
		ret = ic_tell(scan, block, kind, IOMMUCFG_WORD_BLOCK, label);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, &block->above, IC_MAYBE_BLOCK, error, "sys/%s", path);
}

/* The cache of bcache has a directory of the set, also while nothing is cached by it. */
static int use_cache(struct ic_scan *scan, struct ic_block *block)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bcache/set", block->syspath);
	return faccessat(scan->topology->ctx->sysfd, path, F_OK, AT_SYMLINK_NOFOLLOW) ? 0 :
	       ic_tell(scan, block, "holder", IOMMUCFG_WORD_BLOCK, "a cache of bcache");
}

/* A disk behind a loop device. */
static int use_loop(struct ic_scan *scan, const struct ic_block *loop)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct ic_block *block;

	snprintf(path, sizeof(path), "%s/loop/backing_file", loop->syspath);
	if (ic_read_attr(scan->topology->ctx->sysfd, path, file, sizeof(file)) <= 0)
		return 0;
	block = ic_block_by_source(scan, file);
	return block ? ic_tell(scan, block, "holder", IOMMUCFG_WORD_BLOCK, loop->name) : 0;
}

int ic_use_holders(struct ic_scan *scan)
{
	struct ic_block *block;
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->blocks.n && !ret; i++) {
		block = &scan->blocks.v[i];
		if (block->above.n) {
			ret = use_holders_of(scan, block);
			if (!ret)
				ret = use_cache(scan, block);
		} else if (!strncmp(block->name, "loop", 4)) {
			ret = use_loop(scan, block);
		}
	}
	return ret;
}

/* @path: of a disk, or of the controller that is passed through */
static int tell_export(struct ic_scan *scan, const char *path, const char *detail)
{
	struct ic_block *block = ic_block_by_source(scan, path);
	struct ic_devices devices = { 0 };
	char *link, *syspath;
	size_t i;
	int ret = 0;

	if (block)
		return ic_tell(scan, block, "export", IOMMUCFG_WORD_BLOCK, detail);
	if (strncmp(path, "/dev/nvme", 9))
		return 0;
	if (asprintf(&link, "class/nvme/%s", path + strlen("/dev/")) < 0)
		return -ENOMEM;
	syspath = ic_sys_link(scan->topology->ctx->sysfd, link, "class/nvme");
	free(link);
	if (syspath)
		ret = ic_devices_above(scan->topology, syspath, &devices);
	free(syspath);
	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], "export", path, IOMMUCFG_WORD_BLOCK, false, "%s",
				 detail);
	free(devices.v);
	return ret;
}

struct export {
	const char *what;	/* for people */
	const char *enable;	/* file that reads 1 where it is exported; below the directory */
	const char *file;	/* file with the path of the disk */
};

/* The word after @key in a text, which is cut off behind it; or NULL. */
static char *behind(char *text, const char *key)
{
	char *p = strstr(text, key);

	if (!p)
		return NULL;
	p += strlen(key);
	p[strcspn(p, "\n ")] = '\0';
	return p;
}

static int use_export(struct ic_scan *scan, const char *parent, int dirfd, const char *name,
		      const struct export *export)
{
	char path[PATH_MAX], disk[PATH_MAX], info[4096], enable[32], detail[2 * NAME_MAX + 64], *p;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", name, export->enable);
	if (ic_read_attr(dirfd, path, enable, sizeof(enable)) <= 0 || *enable != '1')
		return 0;
	snprintf(path, sizeof(path), "%s/%s", name, export->file);
	n = ic_read_attr(dirfd, path, disk, sizeof(disk));
	/* udev_path is optional in LIO; "info" has the name of the disk, or its file. */
	if (n <= 0) {
		snprintf(path, sizeof(path), "%s/info", name);
		if (ic_read_attr(dirfd, path, info, sizeof(info)) <= 0 ||
		    (!(p = behind(info, "iBlock device: ")) && !(p = behind(info, "File: "))))
			return 0;
		snprintf(disk, sizeof(disk), "%s%s", *p == '/' ? "" : "/dev/", p);
	}
	/* "subsystems/NQN/namespaces/1" */
	snprintf(path, sizeof(path), "%s", parent);
	p = strrchr(path, '/');
	if (p && !strcmp(p, "/namespaces")) {
		*p = '\0';
		snprintf(detail, sizeof(detail), "%s %.255s namespace %s", export->what,
			 ic_basename(path), name);
	} else {
		snprintf(detail, sizeof(detail), "%s %s", export->what, name);
	}
	return tell_export(scan, disk, detail);
}

/* Looks at the entries @depth levels below a directory. */
static int use_exports(struct ic_scan *scan, const char *path, int depth,
		       const struct export *export)
{
	int ret = 0, error = 0;
	struct dirent *e;
	char *sub;
	DIR *dir;

	dir = ic_opendirat(scan->topology->ctx->rootfd, path);
	if (!dir)
		return errno == ENOTDIR ? 0 :
		       ic_unread(scan->topology, NULL, IC_MAYBE_BLOCK, -errno, "%s", path);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (*e->d_name == '.')
			continue;
		if (!depth) {
			ret = use_export(scan, path, dirfd(dir), e->d_name, export);
			continue;
		}
		if (asprintf(&sub, "%s/%s", path, e->d_name) < 0) {
			ret = -ENOMEM;
			break;
		}
		ret = use_exports(scan, sub, depth - 1, export);
		free(sub);
	}
	closedir(dir);
	return ret || !error ? ret :
	       ic_unread(scan->topology, NULL, IC_MAYBE_BLOCK, error, "%s", path);
}

int ic_use_exports(struct ic_scan *scan)
{
	static const struct export lio = { "LIO", "enable", "udev_path" };
	static const struct export nvmet = { "nvmet", "enable", "device_path" };
	static const struct export passthru = { "nvmet", "passthru/enable",
						"passthru/device_path" };
	int ret;

	/* core/iblock_0/NAME */
	ret = use_exports(scan, "sys/kernel/config/target/core", 1, &lio);
	/* subsystems/NQN/namespaces/1, subsystems/NQN/passthru */
	if (!ret)
		ret = use_exports(scan, "sys/kernel/config/nvmet/subsystems", 0, &passthru);
	return ret ? ret : use_exports(scan, "sys/kernel/config/nvmet/subsystems", 2, &nvmet);
}
