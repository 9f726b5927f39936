// SPDX-License-Identifier: GPL-2.0
/* The directory where this command keeps what must outlive it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"

#define STATE_PARENT	"/var/lib"
#define STATE_NAME	"iommucfg"
/* Far above what is written here. */
#define STATE_FILE_MAX	(64 << 20)

/*
 * The directory, or a negative errno. Only the last part of the path is made:
 * where there is no /var/lib nothing would be kept.
 */
int state_open(struct iommucfg *ctx, bool create)
{
	int parent, fd, ret;
	char *path;

	if (asprintf(&path, "%s" STATE_PARENT, iommucfg_root(ctx)) < 0)
		return -ENOMEM;
	parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = parent < 0 ? -errno : 0;
	free(path);
	if (ret)
		return ret;
	if (create && !mkdirat(parent, STATE_NAME, 0755))
		fsync(parent);
	fd = openat(parent, STATE_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 ? -errno : fd;
	close(parent);
	return ret;
}

/* The text of a file in it; NULL with *@error set where there is none. */
char *state_read(int dirfd, const char *name, int *error)
{
	size_t have = 0, cap = 0;
	char *text = NULL, *p;
	ssize_t n = 0;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*error = -errno;
		return NULL;
	}
	*error = 0;
	do {
		have += n;
		if (have + 1 >= cap) {
			cap = cap ? cap * 2 : 4096;
			p = cap > STATE_FILE_MAX ? NULL : realloc(text, cap);
			if (!p) {
				*error = cap > STATE_FILE_MAX ? -EFBIG : -ENOMEM;
				goto fail;
			}
			text = p;
		}
		n = read(fd, text + have, cap - have - 1);
	} while (n > 0 || (n < 0 && errno == EINTR && !(n = 0)));
	if (n < 0) {
		*error = -errno;
		goto fail;
	}
	close(fd);
	text[have] = '\0';
	return text;
fail:
	close(fd);
	free(text);
	return NULL;
}
