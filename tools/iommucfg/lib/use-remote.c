// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is mounted over a network, told of the devices that its packets leave by. */
#include <errno.h>
#include <libmount/libmount.h>
#include <stdio.h>

#include "remote.h"

/* A system does not survive the loss of these. */
static bool is_vital(const char *target)
{
	static const char *const targets[] = {
		"/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc", "/sysroot",
	};
	size_t i;

	for (i = 0; i < sizeof(targets) / sizeof(*targets); i++)
		if (!strcmp(target, targets[i]))
			return true;
	return false;
}

static int tell(const struct ic_remote *remote, const char *target)
{
	enum iommucfg_word word = is_vital(target) ? IOMMUCFG_WORD_NEVER :
				  remote->rdma ? IOMMUCFG_WORD_MOUNTED :
						 IOMMUCFG_WORD_DEFAULT_ROUTE;
	size_t i;
	int ret = 0;

	for (i = 0; i < remote->devices.n && !ret; i++)
		ret = ic_use_add(remote->devices.v[i], "mount", remote->over, word, false,
				 "%s, %s", target, remote->what);
	return ret;
}

int ic_use_remote(struct iommucfg_topology *topology, const struct ic_netinfo *info)
{
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct ic_remote remote;
	struct libmnt_fs *fs;
	const char *source, *options;
	char *path;
	int ret;

	if (asprintf(&path, "%s/proc/self/mountinfo", topology->ctx->root) < 0)
		return -ENOMEM;
	table = mnt_new_table_from_file(path);
	free(path);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	ret = iter ? 0 : -ENOMEM;
	while (table && !ret && !mnt_table_next_fs(table, iter, &fs)) {
		source = mnt_fs_get_source(fs);
		options = mnt_fs_get_fs_options(fs);
		ret = ic_remote_mount(info, mnt_fs_get_fstype(fs), source ? source : "",
				      options ? options : "", &remote);
		if (ret <= 0)
			continue;
		ret = tell(&remote, mnt_fs_get_target(fs));
		ic_remote_clear(&remote);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return ret;
}
