// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads /proc once: which processes have a device open, and the tables of all
 * mount namespaces. On the running system a node is identified by its number,
 * because a container can have it under another name; in a saved tree by name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "use.h"

#define DELETED		((ssize_t)strlen(" (deleted)"))

struct walk {
	struct ic_scan *scan;
	int procfd;
	long pid;
	char comm[64];
	char **namespaces;
	size_t num_namespaces, cap_namespaces;
	bool told;
};

/*
 * Reports one process that cannot be read, not all of them. A user other than root
 * cannot read those of others; that is not reported, as such a user changes nothing.
 */
static int unread(struct walk *walk, int error, const char *path)
{
	if (walk->told || ((error == -EACCES || error == -EPERM) && geteuid()))
		return 0;
	walk->told = !ic_is_gone(error);
	return ic_unread(walk->scan->topology, NULL, IC_MAYBE_NEVER, error, "proc%s%s",
			 *path ? "/" : "", path);
}

static const char *comm_of(struct walk *walk)
{
	char path[64];

	if (!*walk->comm) {
		snprintf(path, sizeof(path), "%ld/comm", walk->pid);
		if (ic_read_attr(walk->procfd, path, walk->comm, sizeof(walk->comm)) <= 0)
			strcpy(walk->comm, "?");
	}
	return walk->comm;
}

/* udev opens devices for a short time only. */
static bool is_udev(struct walk *walk)
{
	const char *name = comm_of(walk);

	return !strcmp(name, "(udev-worker)") || !strcmp(name, "systemd-udevd") ||
	       !strcmp(name, "udevd");
}

static int add_holder(struct walk *walk, struct ic_open *o)
{
	char *text;

	if (o->last_pid == walk->pid || is_udev(walk))
		return 0;
	o->last_pid = walk->pid;
	if (o->num_holders++ >= IC_MAX_TOLD)
		return 0;
	if (asprintf(&text, "%s%sPID %ld (%s)", o->holders ? o->holders : "",
		     o->holders ? ", " : "", walk->pid, comm_of(walk)) < 0)
		return -ENOMEM;
	free(o->holders);
	o->holders = text;
	return 0;
}

static int add_open(struct ic_opens *opens, const char *path, dev_t number, bool is_block)
{
	struct ic_open o = { .number = number, .is_block = is_block };

	o.path = strdup(path);
	if (!o.path || IC_GROW(opens->v, opens->n, opens->cap)) {
		free(o.path);
		return -ENOMEM;
	}
	opens->v[opens->n++] = o;
	return 0;
}

/* Adds the process to the holders of a node. There are few nodes, and many processes. */
static int note(struct walk *walk, const char *path, dev_t number, bool is_block)
{
	struct ic_opens *opens = &walk->scan->opens;
	size_t i;
	int ret;

	for (i = 0; i < opens->n; i++)
		if (number ? opens->v[i].number == number && opens->v[i].is_block == is_block :
			     !strcmp(opens->v[i].path, path))
			return add_holder(walk, &opens->v[i]);
	ret = add_open(opens, path, number, is_block);
	return ret ? ret : add_holder(walk, &opens->v[i]);
}

static int look_at_file(struct walk *walk, int fd, const char *name, int *error)
{
	char link[PATH_MAX] = "?";
	bool is_live = ic_is_live(walk->scan);
	struct statx stx;
	dev_t number = 0;
	ssize_t n;

	/*
	 * No server of a network file system is asked: it may not answer. What fails is on one
	 * of these, or on FUSE, which keeps root out.
	 */
	if (is_live) {
		if (statx(fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) ||
		    (!S_ISCHR(stx.stx_mode) && !S_ISBLK(stx.stx_mode)))
			return 0;
		number = makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
	}
	n = readlinkat(fd, name, link, sizeof(link) - 1);
	if (n < 0 && errno != EINVAL && !ic_is_gone(-errno))
		*error = -errno;
	if (n > 0)
		link[n] = '\0';
	/* The node was removed from /dev after it was opened. */
	if (n > DELETED && !strcmp(link + n - DELETED, " (deleted)"))
		link[n - DELETED] = '\0';
	if (!is_live && strncmp(link, "/dev/", 5))
		return 0;
	return note(walk, link, number, is_live && S_ISBLK(stx.stx_mode));
}

static int look_at_files(struct walk *walk)
{
	int ret = 0, error = 0;
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "%ld/fd", walk->pid);
	dir = ic_opendirat(walk->procfd, path);
	if (!dir)
		return unread(walk, -errno, path);
	while (!ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = look_at_file(walk, dirfd(dir), e->d_name, &error);
	closedir(dir);
	return ret || !error ? ret : unread(walk, error, path);
}

/* Is this mount namespace a new one? @text: how the kernel names it. */
static int is_new(struct walk *walk, const char *text)
{
	size_t i;

	for (i = 0; i < walk->num_namespaces; i++)
		if (!strcmp(walk->namespaces[i], text))
			return 0;
	if (IC_GROW(walk->namespaces, walk->num_namespaces, walk->cap_namespaces))
		return -ENOMEM;
	walk->namespaces[walk->num_namespaces] = strdup(text);
	return walk->namespaces[walk->num_namespaces++] ? 1 : -ENOMEM;
}

static int look_at_mounts(struct walk *walk)
{
	char path[64], text[PATH_MAX], *owner;
	ssize_t n;
	int ret;

	/* A process with another root sees a part of its namespace: read another one too. */
	snprintf(path, sizeof(path), "%ld/root", walk->pid);
	n = readlinkat(walk->procfd, path, text, sizeof(text) - 1);
	if (n <= 1) {
		snprintf(path, sizeof(path), "%ld/ns/mnt", walk->pid);
		n = readlinkat(walk->procfd, path, text, sizeof(text) - 1);
		if (n < 0 && ic_is_live(walk->scan))
			return unread(walk, -errno, path);
		text[n > 0 ? n : 0] = '\0';
		ret = n > 0 ? is_new(walk, text) : 1;
		if (ret <= 0)
			return ret;
	}
	snprintf(path, sizeof(path), "proc/%ld/mountinfo", walk->pid);
	if (asprintf(&owner, "PID %ld (%s)", walk->pid, comm_of(walk)) < 0)
		return -ENOMEM;
	ret = ic_mounts_read(walk->scan, path, owner);
	free(owner);
	/* The process has ended. */
	if (ret == -EINVAL)
		return 0;
	return ret && ret != -ENOMEM ? unread(walk, ret, path + 5) : ret;
}

static int by_pid(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int look_at_processes(struct walk *walk)
{
	unsigned int *pids = NULL, pid;
	size_t n = 0, cap = 0, i;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(walk->scan->topology->ctx->rootfd, "proc");
	if (!dir)
		return unread(walk, -errno, "");
	walk->procfd = dirfd(dir);
	while (!ret && (e = ic_readdir(dir, &error))) {
		if (!ic_canonical_decimal(e->d_name, &pid))
			continue;
		ret = IC_GROW(pids, n, cap);
		if (!ret)
			pids[n++] = pid;
	}
	if (n)
		qsort(pids, n, sizeof(*pids), by_pid);
	for (i = 0; i < n && !ret; i++) {
		walk->pid = pids[i];
		*walk->comm = '\0';
		ret = look_at_mounts(walk);
		if (!ret && (!ic_is_live(walk->scan) || walk->pid != getpid()))
			ret = look_at_files(walk);
	}
	free(pids);
	closedir(dir);
	return ret || !error ? ret : unread(walk, error, "");
}

/* Reads the table of PID 1, or of this process if that is not possible. */
static int read_own_mounts(struct walk *walk)
{
	static const char *const who[] = { "1", "self" };
	char path[64], text[PATH_MAX];
	int ret = 0, error = 0;
	ssize_t n;
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "proc/%s/mountinfo", who[i]);
		ret = ic_mounts_read(walk->scan, path, NULL);
		if (!ret)
			break;
		if (ret == -ENOMEM)
			return ret;
		if (!ic_is_gone(ret) && !error)
			error = ret;
	}
	if (ret)
		return error ? ic_unread(walk->scan->topology, NULL, IC_MAYBE_NEVER, error, "%s",
					 path) : 0;
	snprintf(path, sizeof(path), "proc/%s/ns/mnt", who[i]);
	n = readlinkat(walk->scan->topology->ctx->rootfd, path, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	ret = is_new(walk, text);
	return ret < 0 ? ret : 0;
}

/* Fills in the scan's tables of mounts and of what is open. */
int ic_opens_read(struct ic_scan *scan)
{
	struct walk walk = { .scan = scan };
	size_t i;
	int ret;

	ret = read_own_mounts(&walk);
	if (!ret)
		ret = look_at_processes(&walk);
	for (i = 0; i < walk.num_namespaces; i++)
		free(walk.namespaces[i]);
	free(walk.namespaces);
	return ret;
}

void ic_opens_free(struct ic_opens *opens)
{
	size_t i;

	for (i = 0; i < opens->n; i++) {
		free(opens->v[i].path);
		free(opens->v[i].holders);
	}
	free(opens->v);
}
