// SPDX-License-Identifier: LGPL-2.1-or-later
/* Small helpers: reading attributes, numbers, growing arrays. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* Makes room for one more element after the first @n. */
int ic_grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want;
	void *p;

	if (n < *cap)
		return 0;
	want = *cap ? *cap * 2 : 4;
	p = reallocarray(*array, want, size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

int ic_strdup(char **copy, const char *text)
{
	*copy = text ? strdup(text) : NULL;
	return text && !*copy ? -ENOMEM : 0;
}

/* A directory below another one; NULL with errno where it cannot be read. */
DIR *ic_opendirat(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0) {
		close(fd);
		errno = ENOMEM;
	}
	return dir;
}

/* The next entry; NULL at the end, and where it cannot be read, then with *@error set. */
struct dirent *ic_readdir(DIR *dir, int *error)
{
	struct dirent *e;

	errno = 0;
	e = readdir(dir);
	if (!e && errno)
		*error = -errno;
	return e;
}

#define FILE_FLAGS (O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* 0 for a regular file, as attributes are in sysfs, procfs and configfs, too. */
static int must_be_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode))
		return 0;
	return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
}

/*
 * Opens a regular file. In a tree that others have saved a pipe may be in its place, and to
 * open that would wait for its other end. Returns a negative errno for what is none: of a
 * directory EISDIR, else ENXIO, which the kernel has for a socket. What is made, by O_CREAT,
 * only its owner can write.
 */
int ic_open_file(int dirfd, const char *path, int flags)
{
	int fd = openat(dirfd, path, flags | FILE_FLAGS, 0644), ret;

	if (fd < 0)
		return -errno;
	ret = must_be_file(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/*
 * Reads a small attribute, without the newline at its end. What does not fit
 * is left out: callers give room for the longest value that means anything.
 * A plan of a large machine reads some ten thousand of them, so what kind of
 * file it is gets asked only where nothing came: a pipe without a writer is
 * empty, and one with a writer fails with EAGAIN.
 */
ssize_t ic_read_attr(int dirfd, const char *path, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n = 0;
	int fd;

	fd = openat(dirfd, path, O_RDONLY | FILE_FLAGS);
	if (fd < 0)
		return -errno;
	while (have < size - 1) {
		n = read(fd, buf + have, size - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += n;
	}
	if (n < 0)
		n = -errno;
	else if (!have)
		n = must_be_file(fd);
	close(fd);
	if (n < 0)
		return n;
	while (have && (buf[have - 1] == '\n' || buf[have - 1] == ' '))
		have--;
	buf[have] = '\0';
	return have;
}

/* In one write: the kernel takes each write for a whole value. */
int ic_write_attr(int dirfd, const char *path, const char *text)
{
	size_t length = strlen(text);
	ssize_t n;
	int fd, ret = 0;

	fd = ic_open_file(dirfd, path, O_WRONLY);
	if (fd < 0)
		return fd;
	n = write(fd, text, length);
	if (n < 0)
		ret = -errno;
	else if ((size_t)n != length)
		ret = -EPROTO;
	close(fd);
	return ret;
}

/* Reads the rest of @fd, but fails with -EFBIG above @max bytes. */
int ic_slurp(int fd, size_t max, char **text, size_t *length)
{
	size_t have = 0, cap = 0;
	char *buf = NULL, *p;
	ssize_t n;

	for (;;) {
		if (have + 1 >= cap) {
			cap = cap ? cap * 2 : 4096;
			p = realloc(buf, cap);
			if (!p) {
				free(buf);
				return -ENOMEM;
			}
			buf = p;
		}
		n = read(fd, buf + have, cap - have - 1);
		if (n < 0) {
			/* A handler that wants us to go on uses SA_RESTART. */
			n = -errno;
			free(buf);
			return n;
		}
		if (!n)
			break;
		have += n;
		if (have > max) {
			free(buf);
			return -EFBIG;
		}
	}
	buf[have] = '\0';
	*text = buf;
	*length = have;
	return 0;
}

/* Reads a whole file of the system, NULL where that is not possible. */
char *ic_read_text(int dirfd, const char *path, int *error)
{
	char *text = NULL;
	size_t length;
	int fd, ret;

	fd = ic_open_file(dirfd, path, O_RDONLY);
	if (fd < 0) {
		if (error)
			*error = fd;
		return NULL;
	}
	ret = ic_slurp(fd, 64 << 20, &text, &length);
	close(fd);
	if (error)
		*error = ret;
	return ret ? NULL : text;
}

int ic_parse_number(const char *text, int base, unsigned long max, unsigned long *value)
{
	unsigned long n;
	char *end;

	if (*text == '-' || *text == '+' || *text == ' ' || *text == '\t')
		return -EINVAL;
	errno = 0;
	n = strtoul(text, &end, base);
	if (end == text || *end)
		return -EINVAL;
	if (errno || n > max)
		return -ERANGE;
	*value = n;
	return 0;
}

bool ic_canonical_decimal(const char *text, unsigned int *value)
{
	unsigned long n;

	if (*text < '0' || *text > '9' || (*text == '0' && text[1]))
		return false;
	if (ic_parse_number(text, 10, INT_MAX, &n))
		return false;
	*value = n;
	return true;
}

/* Replaces \ooo, as the kernel escapes blanks and backslashes, by the byte. */
void ic_unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
		    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*to++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

const char *ic_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * Where a link in sysfs points to, as a path below /sys. Its text climbs from
 * @base, the directory below /sys that it is in, to what both have in common,
 * and goes down from there: no walk is needed, and a saved tree may stand
 * anywhere. Without @base only the last part of the result is good.
 */
char *ic_sys_link(int dirfd, const char *path, const char *base)
{
	char target[PATH_MAX], *text;
	const char *p = target, *up;
	size_t length;
	ssize_t n;

	n = readlinkat(dirfd, path, target, sizeof(target) - 1);
	if (n < 0)
		return NULL;
	target[n] = '\0';
	up = strstr(target, "/sys/devices/");
	if (up)
		return strdup(up + strlen("/sys/"));
	length = base ? strlen(base) : 0;
	for (; !strncmp(p, "../", 3); p += 3) {
		while (length && base[length - 1] != '/')
			length--;
		if (length)
			length--;
	}
	if (asprintf(&text, "%.*s%s%s", (int)length, base ? base : "", length ? "/" : "", p) < 0)
		return NULL;
	return text;
}

/* The directories in another one that @wanted() takes, sorted; or a negative errno. */
int ic_list_directories(int dirfd, const char *path, int (*wanted)(const struct dirent *e),
			char ***out)
{
	struct dirent **entries = NULL;
	char **names;
	struct stat st;
	int fd, n, i, kept = 0;

	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = scandirat(fd, ".", &entries, wanted, alphasort);
	if (n < 0) {
		n = -errno;
		close(fd);
		return n;
	}
	names = calloc(n + 1, sizeof(*names));
	for (i = 0; i < n; i++) {
		if (names && !fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISDIR(st.st_mode)) {
			names[kept] = strdup(entries[i]->d_name);
			kept += !!names[kept];
		}
		free(entries[i]);
	}
	free(entries);
	close(fd);
	if (!names)
		return -ENOMEM;
	*out = names;
	return kept;
}

/* Releases an array that ends in NULL, and its strings. */
void ic_free_names(char **names)
{
	size_t i;

	for (i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

/* NULL if there is no memory. */
char **ic_copy_names(char *const *names)
{
	char **copy;
	size_t n, i;

	for (n = 0; names[n]; n++)
		;
	copy = calloc(n + 1, sizeof(*copy));
	for (i = 0; copy && i < n; i++) {
		if (!ic_strdup(&copy[i], names[i]))
			continue;
		ic_free_names(copy);
		return NULL;
	}
	return copy;
}
