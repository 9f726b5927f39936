// SPDX-License-Identifier: LGPL-2.1-or-later
/* Replacing a file as a whole, so that a crash leaves the old or the new. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static int write_all(int fd, const char *text, size_t length)
{
	ssize_t n;

	while (length) {
		n = write(fd, text, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= n;
	}
	return fsync(fd) ? -errno : 0;
}

static int sync_directory(const char *path)
{
	int fd, ret;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) ? -errno : 0;
	close(fd);
	/* Some file systems cannot, and lose nothing by it. */
	return ret == -EINVAL ? 0 : ret;
}

/*
 * A new file beside @real, its name in @path, to be released with free(). Not
 * by mkostemp(): for the mode that umask leaves, one would have to change the
 * mask, which is the whole process's.
 */
static int open_beside(const char *real, mode_t mode, char **path)
{
	unsigned int n;
	int fd, ret;

	for (n = 0; n < 1000; n++) {
		if (asprintf(path, "%s.%ld-%u", real, (long)getpid(), n) < 0)
			break;
		fd = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd >= 0)
			return fd;
		ret = -errno;
		free(*path);
		if (ret != -EEXIST) {
			*path = NULL;
			return ret;
		}
	}
	*path = NULL;
	return n < 1000 ? -ENOMEM : -EEXIST;
}

/* Mode and owner of the file that is replaced. */
static int take_after(int fd, const struct stat *old)
{
	if (fchown(fd, old->st_uid, old->st_gid) && errno != EPERM)
		return -errno;
	return fchmod(fd, old->st_mode & 07777) ? -errno : 0;
}

int iommucfg_write_atomic(const char *path, const char *text, size_t length)
{
	/* Whatever the mask: what root goes by is for root alone to write. */
	return iommucfg_write_atomic_mode(path, text, length, 0644);
}

int iommucfg_write_atomic_mode(const char *path, const char *text, size_t length, mode_t mode)
{
	char real[PATH_MAX], *temporary = NULL, *directory = NULL, *slash;
	bool there;
	struct stat st;
	int fd, ret;

	/* Behind a link it is the file that is replaced, not the link. */
	if (!realpath(path, real)) {
		if (errno != ENOENT || snprintf(real, sizeof(real), "%s", path) >= PATH_MAX)
			return -errno;
	}
	there = !stat(real, &st);
	if (there && !S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	directory = strdup(real);
	if (!directory)
		return -ENOMEM;
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	fd = open_beside(real, there ? 0600 : mode, &temporary);
	if (fd < 0) {
		ret = fd;
		goto out;
	}
	ret = there ? take_after(fd, &st) : 0;
	if (!ret)
		ret = write_all(fd, text, length);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && rename(temporary, real))
		ret = -errno;
	if (ret)
		unlink(temporary);
	else
		ret = sync_directory(slash ? directory : ".");
out:
	free(temporary);
	free(directory);
	return ret;
}
