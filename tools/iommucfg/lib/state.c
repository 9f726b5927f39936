// SPDX-License-Identifier: LGPL-2.1-or-later
/* The directory of what must outlive a process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "state.h"

/* Far above what is written here. */
#define STATE_FILE_MAX	(64 << 20)

/* /var/lib/iommucfg, made where it is not there; or a negative errno. */
int state_open(struct iommucfg *ctx, bool create)
{
	static const char *const parts[] = { "var", "lib", "iommucfg" };
	int fd, next, ret;
	char *path;
	size_t i;

	if (asprintf(&path, "%s/", iommucfg_root(ctx)) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return -errno;
	for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		/* A name that the disk has not got would take the file with it. */
		if (create && !mkdirat(fd, parts[i], 0755))
			fsync(fd);
		next = openat(fd, parts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ret = -errno;
		close(fd);
		if (next < 0)
			return ret;
		fd = next;
	}
	return fd;
}

/* /run/iommucfg, or a negative errno. */
int state_open_run(struct iommucfg *ctx)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/run/iommucfg", iommucfg_root(ctx)) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return fd < 0 ? -errno : fd;
}

/*
 * Makes /run/iommucfg, of what is so until the machine goes down. -ENOENT where there is
 * no /run, and then only: on one that is full the directory may be missing as well.
 */
int state_make_run(struct iommucfg *ctx)
{
	char *path;
	int ret = 0;

	if (asprintf(&path, "%s/run/iommucfg", iommucfg_root(ctx)) < 0)
		return -ENOMEM;
	if (mkdir(path, 0755) && errno != EEXIST)
		ret = -errno;
	free(path);
	return ret;
}

/*
 * Replaces a file below the root by @text. A file keeps its mode, but not that others
 * may write it, as versions that made it under an open mask left it.
 */
int state_write(struct iommucfg *ctx, const char *name, const char *text)
{
	struct stat st;
	char *path;
	int ret;

	if (asprintf(&path, "%s/%s", iommucfg_root(ctx), name) < 0)
		return -ENOMEM;
	if (!stat(path, &st) && (st.st_mode & 022))
		chmod(path, st.st_mode & 07755);
	ret = iommucfg_write_atomic(path, text, strlen(text));
	free(path);
	return ret;
}

/* The text of a file in /var/lib/iommucfg; NULL with *@error set where there is none. */
char *state_read(int dirfd, const char *name, int *error)
{
	size_t have = 0, cap = 0;
	char *text = NULL, *p;
	ssize_t n = 0;
	int fd;

	fd = ic_open_file(dirfd, name, O_RDONLY);
	if (fd < 0) {
		*error = fd;
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
	/*
	 * Some file systems have zeros where a power cut kept the data from the disk: what
	 * follows is still there, and this is a byte that no text of ours has, either.
	 */
	for (p = text; p < text + have; p++)
		if (!*p)
			*p = '\1';
	return text;
fail:
	close(fd);
	free(text);
	return NULL;
}

/* The boot that we are in, to be released with free(); "" where there is no telling. */
char *state_boot_id(struct iommucfg *ctx)
{
	char *path, *text = NULL;
	int error;

	if (asprintf(&path, "%s/proc/sys/kernel/random/boot_id", iommucfg_root(ctx)) < 0)
		return NULL;
	text = state_read(AT_FDCWD, path, &error);
	free(path);
	if (!text)
		return strdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}
