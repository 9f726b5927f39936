/* SPDX-License-Identifier: GPL-2.0 */
/* Is the initramfs image older than what it has copies of? */
#ifndef IOMMUCFG_INITRAMFS_IMAGE_H
#define IOMMUCFG_INITRAMFS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct image {
	char *path;		/* NULL: there is none of a name that is known */
	struct timespec time;
	bool uki;		/* the kernel is in it, too */
	bool coarse;		/* its file system knows time by two seconds */
};

int image_release(const char *root, char *buf, size_t size);
void image_find(const char *root, const char *release, struct image *image);
bool image_has_policy_files(const char *root);
char *image_newer_policy(const char *root, const struct image *image);
char *image_newer(const char *root, const struct image *image);

#endif
