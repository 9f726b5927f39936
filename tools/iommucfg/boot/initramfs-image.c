// SPDX-License-Identifier: GPL-2.0
/*
 * Is the initramfs image of a kernel older than what it has copies of: the policy, the
 * last confirmed one, and the count of the tries when there is none left? By the dates
 * alone: to look into an image takes the tools that built it. Directories count,
 * too, as a file that is gone leaves its date there.
 */
#include <glob.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "initramfs-image.h"

static bool is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* The release of the running kernel; a saved tree's own, where it has one. */
int image_release(const char *root, char *buf, size_t size)
{
	struct utsname uts;
	char path[4096];
	int ret = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/sys/kernel/osrelease", root);
	f = fopen(path, "re");
	if (f) {
		ret = fgets(buf, size, f) ? 0 : -1;
		fclose(f);
	}
	if (ret && !uname(&uts)) {
		snprintf(buf, size, "%s", uts.release);
		ret = 0;
	}
	if (!ret)
		buf[strcspn(buf, "\n")] = '\0';
	/* It becomes part of names and patterns. */
	return ret || !*buf || strpbrk(buf, "/*?[\\") ? -1 : 0;
}

/* Takes the newest one that the pattern finds. */
static void look(struct image *image, const char *pattern, bool uki)
{
	struct statfs fs;
	struct stat st;
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		if (stat(found.gl_pathv[i], &st) || !S_ISREG(st.st_mode) ||
		    (image->path && !is_newer(&st.st_mtim, &image->time)))
			continue;
		free(image->path);
		image->path = strdup(found.gl_pathv[i]);
		image->time = st.st_mtim;
		image->uki = uki;
		image->coarse = !statfs(found.gl_pathv[i], &fs) && fs.f_type == MSDOS_SUPER_MAGIC;
	}
	globfree(&found);
}

/* The image of a kernel; of several the newest. */
void image_find(const char *root, const char *release, struct image *image)
{
	/* Debian and its kin; Fedora, SUSE, Arch */
	static const char *const plain[] = {
		"initrd.img-%s", "initramfs-%s.img", "initrd-%s", "initramfs-%s",
	};
	/* Below the boot partition: what kernel-install and dracut name */
	static const char *const below[] = { "*/%s/initrd", "*/%s/initramfs" };
	static const char *const ukis[] = {
		"EFI/Linux/*-%s.efi", "EFI/Linux/*-%s+*.efi", "EFI/Linux/*-%s-*.efi",
	};
	static const char *const partitions[] = { "/boot", "/efi", "/boot/efi" };
	char pattern[4096], name[512];
	size_t i, j;

	*image = (struct image){ .path = NULL };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	for (i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		snprintf(name, sizeof(name), plain[i], release);
		snprintf(pattern, sizeof(pattern), "%s/boot/%s", root, name);
		look(image, pattern, false);
	}
	for (i = 0; i < sizeof(partitions) / sizeof(*partitions); i++) {
		for (j = 0; j < sizeof(below) / sizeof(*below); j++) {
			snprintf(name, sizeof(name), below[j], release);
			snprintf(pattern, sizeof(pattern), "%s%s/%s", root, partitions[i], name);
			look(image, pattern, false);
		}
		for (j = 0; j < sizeof(ukis) / sizeof(*ukis); j++) {
			snprintf(name, sizeof(name), ukis[j], release);
			snprintf(pattern, sizeof(pattern), "%s%s/%s", root, partitions[i], name);
			look(image, pattern, true);
		}
	}
#pragma GCC diagnostic pop
}

/* What is newest of what is looked at. */
struct newest {
	const struct image *image;
	struct timespec time;
	char *path;
};

static void offer(struct newest *newest, const char *path, bool follow)
{
	struct timespec time;
	struct stat st;

	if (follow ? stat(path, &st) : lstat(path, &st))
		return;
	time = st.st_mtim;
	if (newest->image->coarse) {
		time.tv_sec &= ~1L;
		time.tv_nsec = 0;
	}
	if (!is_newer(&time, &newest->image->time) ||
	    (newest->path && !is_newer(&time, &newest->time)))
		return;
	free(newest->path);
	newest->path = strdup(path);
	newest->time = time;
}

/* The names of the policy's files, to be released with globfree(). */
static void policy_files(const char *root, glob_t *found)
{
	char pattern[4096];

	memset(found, 0, sizeof(*found));
	snprintf(pattern, sizeof(pattern), "%s/etc/iommucfg.conf", root);
	/* A link to nothing is a policy that is missing, not one less. */
	glob(pattern, 0, NULL, found);
	snprintf(pattern, sizeof(pattern), "%s/etc/iommucfg.d/*.conf", root);
	glob(pattern, found->gl_pathc ? GLOB_APPEND : 0, NULL, found);
}

bool image_has_policy_files(const char *root)
{
	glob_t found;
	bool any;

	policy_files(root, &found);
	any = found.gl_pathc;
	globfree(&found);
	return any;
}

static void offer_policy(struct newest *newest, const char *root)
{
	char path[4096];
	glob_t found;
	size_t i;

	policy_files(root, &found);
	/* Of a link both count, where it leads and the link. */
	for (i = 0; i < found.gl_pathc; i++) {
		offer(newest, found.gl_pathv[i], true);
		offer(newest, found.gl_pathv[i], false);
	}
	globfree(&found);
	snprintf(path, sizeof(path), "%s/etc/iommucfg.d", root);
	offer(newest, path, true);
}

/* The newest file of the policy that is newer than the image, to be freed, or NULL. */
char *image_newer_policy(const char *root, const struct image *image)
{
	struct newest newest = { .image = image };

	offer_policy(&newest, root);
	return newest.path;
}

/* Are the tries of the policy on trial used up? The count of other boots does not matter. */
static bool used_up(const char *path)
{
	struct json_object *o = json_object_from_file(path), *left;
	bool up = json_object_is_type(o, json_type_object) &&
		  json_object_object_get_ex(o, "tries_left", &left) &&
		  json_object_is_type(left, json_type_int) && !json_object_get_int64(left);

	json_object_put(o);
	return up;
}

/* The same of all that the image has copies of. */
char *image_newer(const char *root, const struct image *image)
{
	struct newest newest = { .image = image };
	char path[4096];

	offer_policy(&newest, root);
	snprintf(path, sizeof(path), "%s/var/lib/iommucfg/good.conf", root);
	offer(&newest, path, true);
	snprintf(path, sizeof(path), "%s/var/lib/iommucfg/boot", root);
	if (used_up(path))
		offer(&newest, path, true);
	return newest.path;
}
