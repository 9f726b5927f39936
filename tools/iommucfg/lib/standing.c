// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel's standing rules, and how they come to be what a policy says. New
 * ones are made whole before any of them gets a type, and those that are not
 * wanted go last: whatever fails on the way leaves the old ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "standing.h"
#include "txn.h"

#define STANDING_DIR	CONFIGFS_DIR "/standing"
#define RUN_DIR		"run/iommucfg"
#define LOCK_FILE	RUN_DIR "/standing.lock"

/* How long another command may have the lock: this often, so many milliseconds each. */
#define LOCK_TRIES	100
#define LOCK_PAUSE	50

/* A file that a rule has, and what is to be in it. */
struct field {
	const char *file, *value;
};

/* How many names a rule can have, so that one which is to go need not go first. */
#define NUM_NAMES	4

/* The order in which they are written; type, which makes it count, is not among them. */
#define NUM_FIELDS	6

static void fields_of(const struct ic_standing *s, struct field *fields)
{
	fields[0] = (struct field){ "bus", s->bus };
	fields[1] = (struct field){ "device", s->device };
	fields[2] = (struct field){ "modalias", s->modalias };
	fields[3] = (struct field){ "removable", s->removable };
	fields[4] = (struct field){ "priority", s->priority };
	fields[5] = (struct field){ "order", s->order };
}

static int has(int fd, const char *file, const char *value)
{
	char buf[IC_PATTERNS_MAX + 3];
	ssize_t n;

	n = ic_read_attr(fd, file, buf, sizeof(buf));
	return n < 0 ? n : !strcmp(buf, value);
}

static int put(int fd, const char *file, const char *value)
{
	char line[IC_PATTERNS_MAX + 2];

	snprintf(line, sizeof(line), "%s\n", value);
	return ic_write_attr(fd, file, line);
}

/* Says which step failed, and hands on why. No @name: not even the first one. */
static int failed(const char *name, const char *file, int ret, struct iommucfg_problems *problems)
{
	struct ic_where where = IC_NOWHERE;

	where.error = -ret;
	ic_problem(problems, IOMMUCFG_WARNING, "standing", &where,
		   "devices to come do not get their types by the policy: the standing rules%s%s%s%s: %s",
		   name ? ", " : "", name ? name : "", file ? "/" : "", file ? file : "",
		   strerror(-ret));
	return ret;
}

/* Has it all that it is to have, but for the type? */
static int is_same(int fd, const struct ic_standing *s)
{
	struct field fields[NUM_FIELDS];
	int i, ret = 1;

	fields_of(s, fields);
	for (i = 0; i < NUM_FIELDS && ret > 0; i++)
		ret = has(fd, fields[i].file, fields[i].value);
	return ret;
}

/* Writes what is not in its files yet. It does not count, as it has no type. */
static int write_fields(int fd, const struct ic_standing *s, struct iommucfg_problems *problems)
{
	struct field fields[NUM_FIELDS];
	int i, ret;

	fields_of(s, fields);
	for (i = 0; i < NUM_FIELDS; i++) {
		ret = has(fd, fields[i].file, fields[i].value);
		if (!ret)
			ret = put(fd, fields[i].file, fields[i].value);
		if (ret < 0)
			return failed(s->name, fields[i].file, ret, problems);
	}
	return 0;
}

static int open_rule(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_among(char **names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static bool is_wanted(const struct ic_standings *wanted, const char *name,
		      const struct ic_standing *but)
{
	size_t i;

	for (i = 0; i < wanted->n; i++)
		if (&wanted->v[i] != but && !strcmp(wanted->v[i].name, name))
			return true;
	return false;
}

/*
 * Can the rule of that name become what @s is? Not one that counts and has been
 * changed by hand: while its files are written it would be neither the one nor the
 * other, and if that fails, none. One that was left half made has no type.
 */
static int is_usable(int dirfd, const struct ic_standing *s)
{
	int fd = open_rule(dirfd, s->name), ret;

	if (fd < 0)
		return fd;
	ret = is_same(fd, s);
	if (!ret)
		ret = has(fd, "type", "none");
	close(fd);
	return ret;
}

/*
 * Finds a rule that is there for @s, or else a name that is not taken: instead of
 * one that has been changed by hand it is made anew. The hash at the end of the
 * name is counted on for that.
 */
static int choose_name(int dirfd, const struct ic_standings *wanted, struct ic_standing *s,
		       char **names, struct iommucfg_problems *problems)
{
	char *digits = s->name + strlen(s->name) - IC_HASH_DIGITS;
	uint32_t first = strtoul(digits, NULL, 16), fresh = 0;
	int n, ret, found = 0;

	for (n = 0; n < NUM_NAMES; n++) {
		snprintf(digits, IC_HASH_DIGITS + 1, "%0*x", IC_HASH_DIGITS, first + n);
		if (is_among(names, s->name)) {
			ret = n && is_wanted(wanted, s->name, s) ? 0 : is_usable(dirfd, s);
			if (ret < 0)
				return failed(s->name, NULL, ret, problems);
			if (ret)
				return 0;
		} else if (!found && !(n && is_wanted(wanted, s->name, s))) {
			found = 1;
			fresh = first + n;
		}
	}
	if (!found)
		return failed(s->name, NULL, -EEXIST, problems);
	snprintf(digits, IC_HASH_DIGITS + 1, "%0*x", IC_HASH_DIGITS, fresh);
	return 0;
}

static int fill(int dirfd, const struct ic_standing *s, struct iommucfg_problems *problems)
{
	int fd = open_rule(dirfd, s->name), ret;

	if (fd < 0)
		return failed(s->name, NULL, fd, problems);
	ret = is_same(fd, s);
	if (ret < 0)
		failed(s->name, NULL, ret, problems);
	else
		ret = ret ? 0 : write_fields(fd, s, problems);
	close(fd);
	return ret;
}

/* Makes all that are missing and fills those half made, or leaves none that is new. */
static int make_missing(int dirfd, const struct ic_standings *wanted, char **names,
			struct iommucfg_problems *problems)
{
	const struct ic_standing *s;
	size_t i;
	int ret;

	for (i = 0; i < wanted->n; i++) {
		s = &wanted->v[i];
		/* What came up since the list was made is somebody else's. */
		if (!is_among(names, s->name) && mkdirat(dirfd, s->name, 0755)) {
			ret = failed(s->name, NULL, -errno, problems);
			goto undo;
		}
		ret = fill(dirfd, s, problems);
		if (ret) {
			i++;
			goto undo;
		}
	}
	return 0;
undo:
	while (i-- > 0)
		if (!is_among(names, wanted->v[i].name))
			unlinkat(dirfd, wanted->v[i].name, AT_REMOVEDIR);
	return ret;
}

/* 1 where the type had to be written. */
static int settle(int dirfd, const struct ic_standing *s, struct iommucfg_problems *problems)
{
	int fd, ret;

	fd = open_rule(dirfd, s->name);
	if (fd < 0)
		return failed(s->name, NULL, fd, problems);
	ret = has(fd, "type", s->type);
	if (ret > 0) {
		ret = 0;
	} else if (!ret) {
		ret = put(fd, "type", s->type);
		if (!ret)
			ret = 1;
	}
	close(fd);
	return ret < 0 ? failed(s->name, "type", ret, problems) : ret;
}

/* A rule that is to go. */
struct old {
	const char *name;
	unsigned long priority, order;
};

static unsigned long number(int dirfd, const char *name, const char *attr)
{
	char path[NAME_MAX + 16], buf[24];
	unsigned long n;

	snprintf(path, sizeof(path), "%s/%s", name, attr);
	if (ic_read_attr(dirfd, path, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 10, UINT32_MAX, &n))
		return 0;
	return n;
}

/* What counts last goes first. */
static int compare(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->order < y->order) - (x->order > y->order);
}

static int disable(int dirfd, const char *name)
{
	char path[NAME_MAX + 16];

	snprintf(path, sizeof(path), "%s/type", name);
	return put(dirfd, path, "none");
}

/*
 * All new rules count by now. While the old ones go, those that are left are the
 * upper ones: what they say of a device is what they all said, so that it has the
 * type of the old policy or of the new one, and never that of an old rule which
 * another old one was to overrule.
 */
static int remove_old(int dirfd, const struct ic_standings *wanted, char **names,
		      struct iommucfg_problems *problems)
{
	int removed = 0, error = 0;
	size_t i, n = 0;
	struct old *old;
	char **name;

	for (name = names; *name; name++)
		n++;
	old = calloc(n + 1, sizeof(*old));
	if (!old)
		return failed(NULL, NULL, -ENOMEM, problems);
	for (n = 0, name = names; *name; name++) {
		if (is_wanted(wanted, *name, NULL))
			continue;
		old[n].name = *name;
		old[n].priority = number(dirfd, *name, "priority");
		old[n++].order = number(dirfd, *name, "order");
	}
	qsort(old, n, sizeof(*old), compare);
	for (i = 0; i < n; i++) {
		if (!unlinkat(dirfd, old[i].name, AT_REMOVEDIR)) {
			removed++;
		} else if (errno != ENOENT) {
			error = failed(old[i].name, NULL, -errno, problems);
			/* What overrules it has to stay with it, if it counts. */
			if (disable(dirfd, old[i].name))
				break;
		}
	}
	free(old);
	return error ? error : removed;
}

static int sync_all(int dirfd, struct ic_standings *wanted, char **names,
		    struct iommucfg_problems *problems)
{
	int ret = 0, changed = 0;
	size_t i;

	for (i = 0; i < wanted->n && !ret; i++)
		ret = choose_name(dirfd, wanted, &wanted->v[i], names, problems);
	if (!ret)
		ret = make_missing(dirfd, wanted, names, problems);
	for (i = 0; i < wanted->n && ret >= 0; i++) {
		ret = settle(dirfd, &wanted->v[i], problems);
		changed += ret > 0;
	}
	if (ret >= 0)
		ret = remove_old(dirfd, wanted, names, problems);
	return ret < 0 ? ret : changed + ret;
}

static int is_rule(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

int iommucfg_standing_list(struct iommucfg *ctx, char ***names)
{
	return ic_list_directories(ctx->rootfd, STANDING_DIR, is_rule, names);
}

void iommucfg_standing_list_free(char **names)
{
	ic_free_names(names);
}

static int poll_lock(int fd, const sigset_t *mask)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE * 1000000L };
	int tries;

	for (tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
			return -errno;
		if (ppoll(NULL, 0, &pause, mask) < 0)
			return -errno;
	}
	return 0;
}

/*
 * A signal ends the wait, and a holder that does not get on as well. Signals come
 * in the pauses alone: none is lost between two of them.
 */
static int wait_for_lock(int fd)
{
	sigset_t all, mask;
	int ret;

	sigfillset(&all);
	ret = pthread_sigmask(SIG_BLOCK, &all, &mask);
	if (ret)
		return -ret;
	ret = poll_lock(fd, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return ret;
}

/*
 * Of two commands that do this at once the second one's policy stays, as a whole.
 * Not by a lock on the rules' directory, which everybody can open. To be closed.
 */
static int take_lock(const struct iommucfg *ctx, struct iommucfg_problems *problems)
{
	struct ic_where where = IC_NOWHERE;
	int fd = -1, ret = 0;

	/* Of a /run that is full the open would only say that the directory is not there. */
	if (mkdirat(ctx->rootfd, RUN_DIR, 0755) && errno != EEXIST)
		ret = -errno;
	if (!ret) {
		fd = openat(ctx->rootfd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		ret = fd < 0 ? -errno : wait_for_lock(fd);
	}
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	where.error = -ret;
	ic_problem(problems, IOMMUCFG_WARNING, "standing", &where,
		   "devices to come do not get their types by the policy: the lock %s/" LOCK_FILE ": %s",
		   ctx->root, ret == -EWOULDBLOCK ? "another command has it" : strerror(-ret));
	return ret;
}

int iommucfg_standing_sync(const struct iommucfg_policy *policy,
			   struct iommucfg_problems *problems)
{
	struct ic_standings wanted = { 0 };
	char **names = NULL;
	int fd, lock, ret;

	fd = openat(policy->ctx->rootfd, STANDING_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -EOPNOTSUPP :
		       failed(NULL, NULL, -errno, problems);
	lock = take_lock(policy->ctx, problems);
	if (lock < 0) {
		close(fd);
		return lock;
	}
	ret = ic_standing_translate(policy, &wanted, problems);
	if (!ret)
		ret = iommucfg_standing_list(policy->ctx, &names);
	if (ret >= 0)
		ret = sync_all(fd, &wanted, names, problems);
	else
		failed(NULL, NULL, ret, problems);
	ic_free_names(names);
	ic_standings_clear(&wanted);
	close(lock);
	close(fd);
	return ret;
}

int iommucfg_standing_attr(struct iommucfg *ctx, const char *name, const char *attr, char **value)
{
	size_t length;
	char *path;
	int ret;

	if (strchr(name, '/') || asprintf(&path, STANDING_DIR "/%s/%s", name, attr) < 0)
		return strchr(name, '/') ? -ENOENT : -ENOMEM;
	*value = ic_read_text(ctx->rootfd, path, &ret);
	free(path);
	if (!*value)
		return ret;
	length = strlen(*value);
	while (length && ((*value)[length - 1] == '\n' || (*value)[length - 1] == ' '))
		(*value)[--length] = '\0';
	return 0;
}

int iommucfg_standing_report(struct iommucfg *ctx, enum iommucfg_severity severity,
			     struct iommucfg_problems *problems)
{
	size_t from = iommucfg_problems_count(problems);
	bool full;
	char *text;
	int ret;

	text = ic_read_text(ctx->rootfd, STANDING_DIR "/report", &ret);
	if (!text)
		return ret;
	ret = ic_report_lines(problems, severity, text, from, &full);
	free(text);
	return ret ? ret : (int)(iommucfg_problems_count(problems) - from);
}
