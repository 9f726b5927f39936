// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was done, as one JSON document a line in /var/lib/iommucfg/history.
 *
 * A line is written by one write() to a file opened with O_APPEND, under a lock that
 * only root can take, and synced before the command ends. A power cut leaves the
 * line whole, not there, or torn; a torn one is the last, and stays alone on
 * its line, as the next write begins with a newline. When the file grows too
 * long it becomes history.1, history.1 becomes history.2, and so on: renames
 * from the oldest on, so that between two of them only a number is missing,
 * and no line is twice there or lost but those of the oldest file.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"
#include "json.h"
#include "state.h"

#define HISTORY		"history"
#define HISTORY_MAX	(1024 * 1024)
#define HISTORY_OLD	4
/* Nobody holds the lock for longer than it takes to write a line. */
#define LOCK_TRIES	50

static void file_name(char *buf, size_t size, int age)
{
	if (age)
		snprintf(buf, size, HISTORY ".%d", age);
	else
		snprintf(buf, size, HISTORY);
}

/* -1 for what is no entry. */
long history_id(struct json_object *entry)
{
	struct json_object *id;

	if (!json_object_is_type(entry, json_type_object) ||
	    !json_object_object_get_ex(entry, "id", &id) ||
	    !json_object_is_type(id, json_type_int) || json_object_get_int64(id) < 1)
		return -1;
	return json_object_get_int64(id);
}

/* A whole document and nothing else, else NULL. json-c takes any bytes, and prints them. */
static struct json_object *parse(const char *line, size_t length)
{
	struct json_tokener *tokener;
	struct json_object *o = NULL;

	tokener = json_is_utf8(line, length) ? json_tokener_new() : NULL;
	if (!tokener)
		return NULL;
	o = json_tokener_parse_ex(tokener, line, length);
	if (o && (json_tokener_get_error(tokener) != json_tokener_success ||
		  json_tokener_get_parse_end(tokener) != length || history_id(o) < 0)) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(tokener);
	return o;
}

/* The number of the last entry of a text, or 0. */
static long last_id(const char *text)
{
	size_t length = strlen(text), start;
	struct json_object *o;
	long id = 0;

	while (length && !id) {
		/* Back over the newline, then to the one before. */
		length -= text[length - 1] == '\n';
		for (start = length; start && text[start - 1] != '\n'; start--)
			;
		o = parse(text + start, length - start);
		if (o)
			id = history_id(o);
		json_object_put(o);
		length = start;
	}
	return id;
}

/* To be closed. Not of the directory, which everybody can open and lock. */
static int take_lock(int dirfd)
{
	int fd, i, ret;

	fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
			ret = -errno;
			close(fd);
			return ret;
		}
		poll(NULL, 0, 100);
	}
	return fd;
}

static void rotate(int dirfd)
{
	char from[32], to[32];
	int age;

	for (age = HISTORY_OLD - 1; age >= 0; age--) {
		file_name(from, sizeof(from), age);
		file_name(to, sizeof(to), age + 1);
		renameat(dirfd, from, dirfd, to);
	}
	fsync(dirfd);
}

/* The line goes in as a whole, or the file stays as long as it was. */
static int put_line(int dirfd, const char *line, size_t length)
{
	struct stat st;
	ssize_t n;
	int fd, ret = 0;

	fd = openat(dirfd, HISTORY, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		ret = -errno;
	} else {
		n = write(fd, line, length);
		if (n < 0 || (size_t)n < length) {
			ret = n < 0 ? -errno : -ENOSPC;
			if (ftruncate(fd, st.st_size))
				ret = ret ? ret : -errno;
		} else if (fsync(fd)) {
			ret = -errno;
		}
	}
	close(fd);
	/* It may be new. */
	if (!ret && !st.st_size)
		fsync(dirfd);
	return ret;
}

/* Looks at what is there: the number to go on with, and whether it ends torn. */
static long look_back(int dirfd, size_t *size, bool *torn)
{
	char name[32], *text;
	int age, error;
	long id = 0;

	*size = 0;
	*torn = false;
	for (age = 0; age <= HISTORY_OLD && !id; age++) {
		file_name(name, sizeof(name), age);
		text = state_read(dirfd, name, &error);
		if (!text)
			continue;
		if (!age) {
			*size = strlen(text);
			*torn = *size && text[*size - 1] != '\n';
		}
		id = last_id(text);
		free(text);
	}
	return id;
}

/* Gives @entry its number and writes it. 0 or a negative errno. */
int history_append(struct iommucfg *ctx, struct json_object *entry)
{
	const char *text;
	size_t size;
	char *line;
	int dirfd, lock, ret, n;
	bool torn;

	dirfd = state_open(ctx, true);
	if (dirfd < 0)
		return dirfd;
	lock = take_lock(dirfd);
	ret = lock < 0 ? lock : 0;
	if (ret)
		goto out;
	json_object_object_add(entry, "id",
			       json_object_new_int64(look_back(dirfd, &size, &torn) + 1));
	text = json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (size && size + strlen(text) > HISTORY_MAX) {
		rotate(dirfd);
		torn = false;
	}
	n = asprintf(&line, "%s%s\n", torn ? "\n" : "", text);
	if (n < 0) {
		ret = -ENOMEM;
		goto out;
	}
	ret = put_line(dirfd, line, n);
	free(line);
out:
	if (lock >= 0)
		close(lock);
	close(dirfd);
	return ret;
}

/*
 * What was done in the initramfs, whose /var is gone, is kept in /run until it
 * can be written.
 */
int history_import(struct iommucfg *ctx)
{
	char *path, *text = NULL;
	struct json_object *o;
	int fd, ret = 0;
	size_t length;
	const char *p;

	if (asprintf(&path, "%s/run/iommucfg", iommucfg_root(ctx)) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return 0;
	text = state_read(fd, HISTORY, &ret);
	ret = 0;
	for (p = text; p && *p && !ret; p += length + (p[length] == '\n')) {
		length = strcspn(p, "\n");
		o = parse(p, length);
		if (o)
			ret = history_append(ctx, o);
		json_object_put(o);
	}
	if (text && !ret)
		unlinkat(fd, HISTORY, 0);
	free(text);
	close(fd);
	return ret;
}

static void bad_line(struct iommucfg *ctx, struct iommucfg_problems *problems, const char *name,
		     unsigned int line, bool torn)
{
	iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", EINVAL,
			      "%s/var/lib/iommucfg/%s:%u: %s: left out", iommucfg_root(ctx),
			      name, line,
			      torn ? "the last line is torn, as a power cut leaves it" :
				     "this line is no entry");
}

static void read_text(struct iommucfg *ctx, struct iommucfg_problems *problems, const char *name,
		      const char *text, struct json_object *entries)
{
	struct json_object *o;
	unsigned int line;
	size_t length;

	for (line = 1; *text; line++) {
		length = strcspn(text, "\n");
		o = parse(text, length);
		if (o)
			json_object_array_add(entries, o);
		else if (length)
			bad_line(ctx, problems, name, line, !text[length]);
		text += length + (text[length] == '\n');
	}
}

/* Every entry, the oldest first. NULL after a problem; empty is none. */
struct json_object *history_read(struct iommucfg *ctx, struct iommucfg_problems *problems)
{
	struct json_object *entries = json_object_new_array();
	char name[32], *text;
	int dirfd, age, error;

	dirfd = state_open(ctx, false);
	if (dirfd == -ENOENT)
		return entries;
	for (age = HISTORY_OLD; age >= 0; age--) {
		file_name(name, sizeof(name), age);
		error = dirfd;
		text = dirfd < 0 ? NULL : state_read(dirfd, name, &error);
		if (text) {
			read_text(ctx, problems, name, text, entries);
			free(text);
		} else if (error != -ENOENT) {
			iommucfg_problems_add(problems, IOMMUCFG_ERROR, "history", -error,
					      "%s/var/lib/iommucfg/%s: %s",
					      iommucfg_root(ctx), name, strerror(-error));
			json_object_put(entries);
			entries = NULL;
			break;
		}
	}
	if (dirfd >= 0)
		close(dirfd);
	return entries;
}
