// SPDX-License-Identifier: GPL-2.0
/* Is the policy in the initramfs image the one in /etc? For iommucfg check. */
#include <stdlib.h>

#include "cli.h"
#include "initramfs-image.h"

/* Warns where the image of the running kernel is older than the policy. */
void image_check(struct cli *cli)
{
	const char *root = iommucfg_root(cli->ctx);
	struct image image;
	char release[128], *newer;

	if (image_release(root, release, sizeof(release)))
		return;
	image_find(root, release, &image);
	newer = image.path ? image_newer_policy(root, &image) : NULL;
	if (newer)
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", 0,
				      "%s is older than %s: build it anew (update-initramfs -u, or dracut -f), or the next boot begins with the policy that is in it",
				      image.path, newer);
	free(newer);
	free(image.path);
}
