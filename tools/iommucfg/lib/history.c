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
 *
 * An entry is there before the kernel is asked for anything, in a file begun.N of its
 * own, N being its number. It says that the command was killed; when the command ends
 * the line with what came of it takes its place. Whose file nobody holds locked any
 * more, and has no line, was killed, and the next command that changes something finds
 * out what came of it.
 */
#include <dirent.h>
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
#include "internal.h"
#include "json.h"
#include "state.h"

#define HISTORY		"history"
#define HISTORY_MAX	(1024 * 1024)
#define HISTORY_OLD	4
#define BEGUN		"begun."
/* A line may come after those of later commands that ended before: so many are looked at. */
#define LINES_BACK	32
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

/* The highest number of the last entries of a text, or 0. */
static long last_id(const char *text)
{
	size_t length = strlen(text), start;
	struct json_object *o;
	long id = 0;
	int lines = 0;

	while (length && (!id || lines < LINES_BACK)) {
		/* Back over the newline, then to the one before. */
		length -= text[length - 1] == '\n';
		for (start = length; start && text[start - 1] != '\n'; start--)
			;
		o = parse(text + start, length - start);
		if (o && history_id(o) > id)
			id = history_id(o);
		lines++;
		json_object_put(o);
		length = start;
	}
	return id;
}

/*
 * To be closed. Not of the history's directory, nor of a file in it that everybody can
 * read: these everybody can lock.
 */
static int take_lock(struct iommucfg *ctx, int dirfd)
{
	int fd, i, ret, run;

	run = state_open_run(ctx);
	fd = openat(run < 0 ? dirfd : run, run < 0 ? "lock" : "history.lock",
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	ret = -errno;
	if (run >= 0)
		close(run);
	if (fd < 0)
		return ret;
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

	fd = ic_open_file(dirfd, HISTORY, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
	if (fd < 0)
		return fd;
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

static long begun_id(const char *name)
{
	char *end;
	long id;

	if (strncmp(name, BEGUN, strlen(BEGUN)) || !name[strlen(BEGUN)])
		return -1;
	id = strtol(name + strlen(BEGUN), &end, 10);
	return *end ? -1 : id;
}

static int by_begun_id(const struct dirent **a, const struct dirent **b)
{
	long x = begun_id((*a)->d_name), y = begun_id((*b)->d_name);

	return (x > y) - (x < y);
}

static int is_begun(const struct dirent *e)
{
	return begun_id(e->d_name) > 0;
}

/* The number of a new entry. */
static long next_id(int dirfd, long id)
{
	struct dirent **names = NULL;
	int n, i;

	n = scandirat(dirfd, ".", &names, is_begun, by_begun_id);
	if (n > 0 && begun_id(names[n - 1]->d_name) > id)
		id = begun_id(names[n - 1]->d_name);
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return id + 1;
}

/* As it is in a line. */
static const char *line_of(struct json_object *entry)
{
	return json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}

static int write_begun(int dirfd, struct json_object *entry, const char *name)
{
	const char *text = line_of(entry);
	int fd, ret = 0;

	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) || write(fd, text, strlen(text)) !=
	    (ssize_t)strlen(text) || fsync(fd) || fsync(dirfd)) {
		ret = errno ? -errno : -ENOSPC;
		unlinkat(dirfd, name, 0);
		close(fd);
	}
	return ret ? ret : fd;
}

/*
 * Gives @entry its number and writes it for the case that the command is killed. Returns
 * a file descriptor that keeps others from taking it for killed, or a negative errno.
 */
int history_begin(struct iommucfg *ctx, struct json_object *entry)
{
	int dirfd, lock, ret;
	char name[32];
	size_t size;
	bool torn;
	long id;

	dirfd = state_open(ctx, true);
	if (dirfd < 0)
		return dirfd;
	lock = take_lock(ctx, dirfd);
	ret = lock;
	if (lock >= 0) {
		id = next_id(dirfd, look_back(dirfd, &size, &torn));
		json_object_object_add(entry, "id", json_object_new_int64(id));
		snprintf(name, sizeof(name), BEGUN "%ld", id);
		ret = write_begun(dirfd, entry, name);
		close(lock);
	}
	close(dirfd);
	return ret;
}

/* An entry that was begun, if nobody holds it, or @held is not asked for. */
static struct json_object *read_begun(int dirfd, const char *name, bool held)
{
	struct json_object *o;
	bool free_of_holder;
	char *text;
	int error, fd;

	/* Readers need not be root. */
	if (!held) {
		fd = ic_open_file(dirfd, name, O_RDONLY | O_NOFOLLOW);
		free_of_holder = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);
		if (fd >= 0)
			close(fd);
		if (!free_of_holder)
			return NULL;
	}
	text = state_read(dirfd, name, &error);
	o = text ? parse(text, strlen(text)) : NULL;
	/* A power cut has left it empty, or torn. */
	if (!held && text && !o)
		unlinkat(dirfd, name, 0);
	free(text);
	return o;
}

/* The entries that were begun and have not ended; those alone of killed commands. */
static struct json_object *read_all_begun(int dirfd, bool held)
{
	struct json_object *entries = json_object_new_array(), *o;
	struct dirent **names = NULL;
	int n, i;

	n = scandirat(dirfd, ".", &names, is_begun, by_begun_id);
	for (i = 0; i < n; i++) {
		o = read_begun(dirfd, names[i]->d_name, held);
		if (o)
			json_object_array_add(entries, o);
		free(names[i]);
	}
	free(names);
	return entries;
}

/* The entry of the first line of a text, NULL for what is none; @text goes on to the next. */
static struct json_object *take_line(const char **text)
{
	const char *line = *text;
	size_t length = strcspn(line, "\n");

	*text += length + (line[length] == '\n');
	return parse(line, length);
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
	const char *rest = text;
	struct json_object *o;
	unsigned int line;

	for (line = 1; *rest; line++, text = rest) {
		o = take_line(&rest);
		if (o)
			json_object_array_add(entries, o);
		else if (*text != '\n')
			bad_line(ctx, problems, name, line, rest[-1] != '\n');
	}
}

/* The entries that have ended. NULL after a problem; empty is none. */
static struct json_object *read_ended(struct iommucfg *ctx, int dirfd,
				      struct iommucfg_problems *problems)
{
	struct json_object *entries = json_object_new_array();
	char name[32], *text;
	int age, error;

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
			return NULL;
		}
	}
	return entries;
}

static bool has_entry(struct json_object *entries, long id)
{
	size_t i = entries ? json_object_array_length(entries) : 0;

	while (i--)
		if (history_id(json_object_array_get_idx(entries, i)) == id)
			return true;
	return false;
}

/* The entries of commands that were killed; NULL where there is none. */
struct json_object *history_killed(struct iommucfg *ctx)
{
	struct json_object *begun, *ended, *killed, *o;
	int dirfd = state_open(ctx, false);
	char name[32];
	size_t i;

	if (dirfd < 0)
		return NULL;
	begun = read_all_begun(dirfd, false);
	killed = json_object_new_array();
	ended = json_object_array_length(begun) ? read_ended(ctx, dirfd, NULL) : NULL;
	for (i = 0; i < json_object_array_length(begun); i++) {
		o = json_object_array_get_idx(begun, i);
		if (has_entry(ended, history_id(o))) {
			/* A power cut has left it, although its line has taken its place. */
			snprintf(name, sizeof(name), BEGUN "%ld", history_id(o));
			unlinkat(dirfd, name, 0);
		} else {
			json_object_array_add(killed, json_object_get(o));
		}
	}
	json_object_put(ended);
	json_object_put(begun);
	close(dirfd);
	if (json_object_array_length(killed))
		return killed;
	json_object_put(killed);
	return NULL;
}

/* What was begun has ended, and cannot be written down. */
void history_drop(struct iommucfg *ctx, long id)
{
	int dirfd = state_open(ctx, false);
	char name[32];

	if (dirfd < 0)
		return;
	snprintf(name, sizeof(name), BEGUN "%ld", id);
	unlinkat(dirfd, name, 0);
	close(dirfd);
}

/* Is there a directory for it? Where that cannot be told, what is written next will say why. */
bool history_is_begun(struct iommucfg *ctx)
{
	int dirfd = state_open(ctx, false);

	if (dirfd >= 0)
		close(dirfd);
	return dirfd != -ENOENT;
}

/*
 * Gives @entry its number, which may be that of one that was begun, and writes it. 0 or a
 * negative errno.
 */
int history_append(struct iommucfg *ctx, struct json_object *entry)
{
	char begun[32] = "";
	const char *text;
	size_t size;
	char *line;
	int dirfd, lock, ret, n;
	bool torn;
	long id;

	dirfd = state_open(ctx, true);
	if (dirfd < 0)
		return dirfd;
	lock = take_lock(ctx, dirfd);
	ret = lock < 0 ? lock : 0;
	if (ret)
		goto out;
	id = look_back(dirfd, &size, &torn);
	if (history_id(entry) > 0)
		snprintf(begun, sizeof(begun), BEGUN "%ld", history_id(entry));
	else
		json_object_object_add(entry, "id", json_object_new_int64(next_id(dirfd, id)));
	text = line_of(entry);
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
	if (!ret && *begun)
		unlinkat(dirfd, begun, 0);
out:
	if (lock >= 0)
		close(lock);
	close(dirfd);
	return ret;
}

/* Writes the end of a transaction into the entry that says only that it was unconfirmed. */
static bool set_end(struct json_object *o, const struct history_end *end)
{
	struct json_object *name, *result;

	if (!end || !json_object_object_get_ex(o, "transaction", &name) || !name ||
	    strcmp(json_object_get_string(name), end->transaction) ||
	    !json_object_object_get_ex(o, "result", &result) || !result ||
	    strcmp(json_object_get_string(result), "unconfirmed"))
		return false;
	json_object_object_add(o, "result", json_object_new_string(end->result));
	json_object_object_add(o, "exit", json_object_new_int(end->code));
	return true;
}

/*
 * What was done in the initramfs, whose /var is gone, is kept in /run until it
 * can be written. @end: what became of a transaction since, or NULL. Returns 1 where
 * an entry has that now, else 0 or a negative errno.
 */
int history_import(struct iommucfg *ctx, const struct history_end *end)
{
	bool known = false;
	char *text = NULL;
	struct json_object *o;
	int fd, ret = 0;
	const char *rest;

	fd = state_open_run(ctx);
	if (fd < 0)
		return 0;
	text = state_read(fd, HISTORY, &ret);
	ret = 0;
	rest = text;
	while (rest && *rest && !ret) {
		o = take_line(&rest);
		/* Its number was another history's. */
		if (o) {
			json_object_object_add(o, "id", NULL);
			known |= set_end(o, end);
			ret = history_append(ctx, o);
		}
		json_object_put(o);
	}
	if (text && !ret)
		unlinkat(fd, HISTORY, 0);
	free(text);
	close(fd);
	return ret ? ret : known;
}

static int by_id(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	long i = history_id(*x), j = history_id(*y);

	return (i > j) - (i < j);
}

/* Every entry, the oldest first. NULL after a problem; empty is none. */
struct json_object *history_read(struct iommucfg *ctx, struct iommucfg_problems *problems)
{
	int dirfd = state_open(ctx, false);
	struct json_object *begun, *entries, *o;
	size_t i;

	if (dirfd == -ENOENT)
		return json_object_new_array();
	/* What ends meanwhile is in one of both, or in both. */
	begun = read_all_begun(dirfd, true);
	entries = read_ended(ctx, dirfd, problems);
	for (i = 0; entries && i < json_object_array_length(begun); i++) {
		o = json_object_array_get_idx(begun, i);
		if (!has_entry(entries, history_id(o)))
			json_object_array_add(entries, json_object_get(o));
	}
	json_object_put(begun);
	if (dirfd >= 0)
		close(dirfd);
	if (entries)
		json_object_array_sort(entries, by_id);
	return entries;
}

/* A string of an entry; "" where there is none. */
const char *history_text(struct json_object *o, const char *key)
{
	struct json_object *value;
	const char *string = NULL;

	if (json_object_object_get_ex(o, key, &value))
		string = json_object_get_string(value);
	return string ? string : "";
}

/*
 * The last entry that says what became of a transaction, to be released by
 * json_object_put(); NULL where there is none.
 */
struct json_object *history_last(struct iommucfg *ctx, const char *transaction)
{
	struct json_object *entries = history_read(ctx, NULL), *entry, *last = NULL;
	size_t i = entries ? json_object_array_length(entries) : 0;
	const char *result;

	while (i-- && !last) {
		entry = json_object_array_get_idx(entries, i);
		result = history_text(entry, "result");
		if (!strcmp(history_text(entry, "transaction"), transaction) &&
		    strcmp(result, "refused") && strcmp(result, "error"))
			last = json_object_get(entry);
	}
	json_object_put(entries);
	return last;
}
