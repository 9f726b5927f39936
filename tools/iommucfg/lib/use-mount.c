// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Uses by mounts and swap, with the word that each needs. A disk can have
 * thousands of mounts: all are judged, then a few are listed and the rest is counted.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "use.h"

/* The contract's table: what these stand on is never released. */
static const char *const never_taken[] = {
	"/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc", "/sysroot",
};

/* These names count in PID 1's namespace only. */
void ic_mark_targets(struct ic_mounts *mounts)
{
	struct ic_mount *m;
	size_t i, k;

	for (i = 0; i < mounts->n; i++) {
		m = &mounts->v[i];
		for (k = 0; k < sizeof(never_taken) / sizeof(*never_taken); k++)
			if (!m->owner && !strcmp(m->target, never_taken[k]))
				m->never = never_taken[k];
	}
}

/* Marks the mount that contains the program of PID 1. */
static int mark_program(struct ic_scan *scan)
{
	char path[PATH_MAX];
	struct ic_mount *m;
	ssize_t n;

	n = readlinkat(scan->topology->ctx->rootfd, "proc/1/exe", path, sizeof(path) - 1);
	/* Users other than root cannot read it. */
	if (n < 0)
		return 0;
	path[n] = '\0';
	m = ic_mount_at(&scan->mounts, path, NULL);
	if (m && !m->never)
		m->never = "the program of PID 1";
	return 0;
}

static bool has_layers(const struct ic_mount *m)
{
	return !strcmp(m->type, "overlay") || !strcmp(m->type, "ecryptfs");
}

/* Marks the mount that contains the path of a layer; false if it is not visible. */
static bool mark_path(struct ic_mounts *mounts, const struct ic_mount *above, const char *path)
{
	struct ic_mount *m = *path == '/' ? ic_mount_at(mounts, path, above) : NULL;

	/* The mount of a layer can be hidden below the mount of / itself. */
	if (!m || m->number == above->number)
		return false;
	if (!m->never)
		m->never = above->never;
	return true;
}

/* Marks the layers of an overlay or eCryptfs. @seen becomes false if one is not visible. */
static int mark_layers(struct ic_mounts *mounts, const struct ic_mount *above, bool *seen)
{
	static const char *const keys[] = {
		"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir",
	};
	const char *options = above->options;
	char *value, *path, *save;
	struct ic_option option;
	bool is_layer;
	size_t i;

	if (!strcmp(above->type, "ecryptfs")) {
		*seen = mark_path(mounts, above, above->source);
		return 0;
	}
	while (ic_option_next(&options, &option)) {
		for (i = 0, is_layer = false; i < sizeof(keys) / sizeof(*keys); i++)
			is_layer |= ic_option_is(&option, keys[i]);
		if (!is_layer)
			continue;
		value = strndup(option.value, option.length);
		if (!value)
			return -ENOMEM;
		for (path = strtok_r(value, ":", &save); path; path = strtok_r(NULL, ":", &save))
			*seen &= mark_path(mounts, above, path);
		free(value);
	}
	return 0;
}

/* Marks the layers of all mounts that are marked. */
static int mark_stacks(struct ic_mounts *mounts)
{
	const struct ic_mount *m;
	bool seen = true, *done;
	size_t i, k;
	int ret = 0;

	done = calloc(mounts->n + 1, sizeof(*done));
	if (!done)
		return -ENOMEM;
	for (i = 0; i < mounts->n && !ret; i++) {
		m = &mounts->v[i];
		if (!m->never || done[i] || !has_layers(m))
			continue;
		done[i] = true;
		ret = mark_layers(mounts, m, &seen);
		/* A mount earlier in the table may have been marked: begin again. */
		i = SIZE_MAX;
	}
	free(done);
	/* A layer that is not visible can be on any of the mounted disks. */
	for (k = 0; k < mounts->n && !ret && !seen; k++)
		if (!mounts->v[k].owner && !mounts->v[k].never)
			mounts->v[k].never = "a layer of /";
	return ret;
}

static int tell_all(struct ic_scan *scan, const struct ic_fs *fs, const char *kind,
		    enum iommucfg_word word, const char *detail)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < fs->blocks.n && !ret; i++)
		ret = ic_tell(scan, fs->blocks.v[i], kind, word, detail);
	for (i = 0; i < fs->devices.n && !ret; i++)
		ret = ic_use_add(fs->devices.v[i], kind, fs->devices.v[i]->name, word, false, "%s",
				 detail);
	return ret;
}

static int tell_mount(struct ic_scan *scan, const struct ic_fs *fs, const struct ic_mount *m)
{
	char *detail;
	int n, ret;

	if (m->owner)
		n = asprintf(&detail, "%s in the mount namespace of %s", m->target, m->owner);
	else if (m->never && strcmp(m->never, m->target))
		n = asprintf(&detail, "%s with %s", m->target, m->never);
	else
		n = asprintf(&detail, "%s", m->target);
	if (n < 0)
		return -ENOMEM;
	ret = tell_all(scan, fs, "mount", m->never ? IOMMUCFG_WORD_NEVER : IOMMUCFG_WORD_MOUNTED,
		       detail);
	free(detail);
	return ret;
}

/* First the marked ones, then a few of the others, then how many are left. */
static int tell_mounts(struct ic_scan *scan, const struct ic_fs *fs)
{
	const struct ic_mount *m;
	size_t i, told[2] = { 0 }, left[2] = { 0 };
	char detail[64];
	int never, ret = 0;

	for (never = 1; never >= 0; never--) {
		for (i = 0; i < fs->num_mounts && !ret; i++) {
			m = &scan->mounts.v[fs->mounts[i]];
			if (!!m->never != never)
				continue;
			if (told[never] == (never ? 8 : IC_MAX_TOLD)) {
				left[never]++;
				continue;
			}
			told[never]++;
			ret = tell_mount(scan, fs, m);
		}
	}
	for (never = 1; never >= 0 && !ret; never--) {
		if (!left[never])
			continue;
		snprintf(detail, sizeof(detail), "%zu more mount points", left[never]);
		ret = tell_all(scan, fs, "mount", never ? IOMMUCFG_WORD_NEVER :
			       IOMMUCFG_WORD_MOUNTED, detail);
	}
	return ret;
}

/* Takes down, as a sentence, that it is not known which of the disks something stands on. */
int ic_disks_unknown(struct ic_scan *scan, int maybe, const char *format, ...)
{
	struct ic_devices disks = { 0 };
	char *why = NULL;
	va_list args;
	size_t i, k;
	int ret;

	va_start(args, format);
	ret = vasprintf(&why, format, args) < 0 ? -ENOMEM : 0;
	va_end(args);
	for (i = 0; i < scan->blocks.n && !ret; i++)
		for (k = 0; k < scan->blocks.v[i].above.n && !ret; k++)
			ret = ic_devices_add(&disks, scan->blocks.v[i].above.v[k]);
	if (!ret)
		ret = ic_unknown(scan->topology, &disks, maybe, "%s", why);
	free(why);
	free(disks.v);
	return ret;
}

/* The devices of this file system are not known: each disk can be one of them. */
static int tell_unknown(struct ic_scan *scan, const struct ic_fs *fs)
{
	const struct ic_mount *m = &scan->mounts.v[fs->mounts[0]];
	int maybe = IC_MAYBE_MOUNTED;
	size_t i;

	for (i = 0; i < fs->num_mounts; i++)
		if (scan->mounts.v[fs->mounts[i]].never)
			maybe = IC_MAYBE_NEVER;
	return ic_disks_unknown(scan, maybe,
				"which disks the %s file system on %s (%s) stands on cannot be told",
				m->type, m->target, m->source);
}

int ic_use_mounts(struct ic_scan *scan)
{
	struct ic_fs *fs;
	size_t i;
	int ret;

	ret = mark_program(scan);
	if (!ret)
		ret = mark_stacks(&scan->mounts);
	for (i = 0; i < scan->mounts.n && !ret; i++) {
		fs = scan->mounts.v[i].fs < scan->num_fs ? &scan->fs[scan->mounts.v[i].fs] : NULL;
		if (!fs || fs->told)
			continue;
		fs->told = true;
		ret = fs->blocks.n || fs->devices.n ? tell_mounts(scan, fs) :
						      tell_unknown(scan, fs);
	}
	return ret;
}

static int use_swap(struct ic_scan *scan, char *name, const char *kind)
{
	static const char deleted[] = " (deleted)";
	struct ic_block *block;
	struct ic_mount *mount;
	char *end, *detail;
	int ret;

	/* The node, or the file, was removed since. */
	end = name + strlen(name) - strlen(deleted);
	if (end > name && !strcmp(end, deleted))
		*end = '\0';
	block = ic_block_by_source(scan, name);
	if (block)
		return ic_tell(scan, block, "swap", IOMMUCFG_WORD_NEVER, "swap");
	/* zram is memory, unless it has a disk behind it, which only its directory says. */
	if (!strcmp(kind, "partition") && strncmp(ic_basename(name), "zram", 4))
		return ic_disks_unknown(scan, IC_MAYBE_NEVER,
					"which disks the swap %s is on cannot be told", name);
	mount = ic_mount_at(&scan->mounts, name, NULL);
	/* It may come over a network. */
	if (mount && mount->fs >= scan->num_fs)
		mount->never = "a swap file";
	if (!mount || mount->fs >= scan->num_fs)
		return 0;
	if (asprintf(&detail, "swap file %s", name) < 0)
		return -ENOMEM;
	ret = tell_all(scan, &scan->fs[mount->fs], "swap", IOMMUCFG_WORD_NEVER, detail);
	free(detail);
	return ret;
}

/* After the first line: "/dev/dm-5   partition 8388604 0 -2" */
int ic_use_swaps(struct ic_scan *scan)
{
	char *text, *line, *save, kind[16];
	int ret;

	text = ic_read_text(scan->topology->ctx->rootfd, "proc/swaps", &ret);
	if (!text)
		return ic_unread(scan->topology, NULL, IC_MAYBE_NEVER, ret, "proc/swaps");
	line = strtok_r(text, "\n", &save);
	while (!ret && (line = strtok_r(NULL, "\n", &save))) {
		if (sscanf(line, "%*s %15s", kind) != 1)
			*kind = '\0';
		line[strcspn(line, " \t")] = '\0';
		ic_unescape(line);
		ret = use_swap(scan, line, kind);
	}
	free(text);
	return ret;
}
