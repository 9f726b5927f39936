// SPDX-License-Identifier: GPL-2.0
/*
 * Is the policy in the initramfs image the one in /etc? By the dates alone: to
 * look into an image takes the tools of whoever built it. Directories count,
 * too, as a file that is gone leaves its date there.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "cli.h"

struct newest {
	struct timespec time;
	char *path;
};

static bool is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Keeps @path if it is newer than what there was; takes it over. */
static void offer(struct newest *newest, char *path, bool follow)
{
	struct stat st;

	if (!path)
		return;
	if ((follow ? stat(path, &st) : lstat(path, &st)) ||
	    (newest->path && !is_newer(&st.st_mtim, &newest->time))) {
		free(path);
		return;
	}
	free(newest->path);
	newest->path = path;
	newest->time = st.st_mtim;
}

static char *join(const char *a, const char *b)
{
	char *path;

	return asprintf(&path, "%s%s", a, b) < 0 ? NULL : path;
}

static void offer_policy(struct newest *newest, const char *root)
{
	char *dir = join(root, "/etc/iommucfg.d"), *path;
	struct dirent *e;
	size_t length;
	DIR *d;

	offer(newest, join(root, "/etc/iommucfg.conf"), true);
	offer(newest, join(root, "/etc/iommucfg.conf"), false);
	d = dir ? opendir(dir) : NULL;
	while (d && (e = readdir(d))) {
		length = strlen(e->d_name);
		if (*e->d_name == '.' || length <= 5 || strcmp(e->d_name + length - 5, ".conf") ||
		    asprintf(&path, "%s/%s", dir, e->d_name) < 0)
			continue;
		offer(newest, join(path, ""), true);
		offer(newest, path, false);
	}
	if (d)
		closedir(d);
	offer(newest, dir, true);
}

static int release(struct cli *cli, char *buf, size_t size)
{
	char *path = join(iommucfg_root(cli->ctx), "/proc/sys/kernel/osrelease");
	FILE *f = path ? fopen(path, "re") : NULL;
	struct utsname uts;
	int ret = -1;

	free(path);
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
	return ret;
}

/* Warns where the image of the running kernel is older than the policy. */
void image_check(struct cli *cli)
{
	/* Debian and its kin; Fedora, SUSE, Arch; and what kernel-install names */
	static const char *const names[][2] = {
		{ "initrd.img-", "" }, { "initramfs-", ".img" }, { "initrd-", "" },
		{ "initramfs-", "" },
	};
	struct newest policy = { .path = NULL }, image = { .path = NULL };
	const char *root = iommucfg_root(cli->ctx);
	char kernel[128], name[160];
	size_t i;

	offer_policy(&policy, root);
	if (!policy.path || release(cli, kernel, sizeof(kernel)) || strchr(kernel, '/'))
		goto out;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(name, sizeof(name), "/boot/%s%s%s", names[i][0], kernel, names[i][1]);
		offer(&image, join(root, name), true);
	}
	if (image.path && is_newer(&policy.time, &image.time))
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", 0,
				      "%s is older than %s: build it anew (update-initramfs -u, or dracut -f), or the next boot begins with the policy that is in it",
				      image.path, policy.path);
out:
	free(policy.path);
	free(image.path);
}
