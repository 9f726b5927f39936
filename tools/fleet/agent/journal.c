// SPDX-License-Identifier: LGPL-2.1-or-later
/* The agent's journal on the disk: a new file is synced, takes the name, and the name is. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"

#define JOURNAL_MAX 4096

int journal_load(const char *path, struct doc_journal *journal, char *why)
{
	char text[JOURNAL_MAX];
	ssize_t size;
	int fd, error;

	*journal = (struct doc_journal){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	size = read(fd, text, sizeof(text));
	error = errno;
	close(fd);
	if (size < 0)
		return -error;
	return doc_journal_parse(journal, text, size, why) ? 0 : -EBADMSG;
}

static int write_synced(int dir, const char *name, const char *text)
{
	size_t size = strlen(text);
	int fd, error = 0;
	ssize_t n;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, text, size);
	if (n < 0 || fsync(fd))
		error = -errno;
	else if ((size_t)n < size)
		error = -ENOSPC;
	if (close(fd) && !error)
		error = -errno;
	return error;
}

int journal_save(const char *path, const struct doc_journal *journal)
{
	char *text = doc_journal_print(journal), copy[PATH_MAX], name[NAME_MAX + 1];
	char new[NAME_MAX + 5];
	int dir, error;

	if (!text)
		return -ENOMEM;
	snprintf(copy, sizeof(copy), "%s", path);
	snprintf(name, sizeof(name), "%s", basename(copy));
	snprintf(copy, sizeof(copy), "%s", path);
	snprintf(new, sizeof(new), "%s.new", name);
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		error = -errno;
		goto out;
	}
	error = write_synced(dir, new, text);
	if (!error && (renameat(dir, new, dir, name) || fsync(dir)))
		error = -errno;
	if (error)
		unlinkat(dir, new, 0);
	close(dir);
out:
	free(text);
	return error;
}
