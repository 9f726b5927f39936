// SPDX-License-Identifier: GPL-2.0
/*
 * standin TREE - a stand-in for the kernel's configfs interface, in FUSE
 *
 * Lets the command's own conduct be tested on any machine: what it writes in
 * which order, its exit codes, questions, signals. It keeps the interface's
 * states and errno values, and changes the `type` files of a tree made by
 * mktree.py, on whose sys/kernel/config/iommu it is mounted. That the real
 * module does what it says is for the tests in guests.
 *
 * Files in TREE/control make it fail: `check`, `commit` and `rollback` hold an
 * errno name and lines of report; while there is a `hold`, a commit does not
 * get on; `required` has lines of "<device> <type>"; `hook` is run after a commit,
 * `unhook` after a rollback, `checked` after a check. While `hold` has text it is the report. `opened` has the numbers of groups
 * that are in use for a transaction without the word "block". With `net-up` an interface runs by the time of a
 * rollback, and `disk-up` is the report where a disk is in use by then. `state-error` has the errno name that reading a state fails with, and
 * `drivers` lines of "<device> <driver>", a driver's name being the rest of its line;
 * its blanks are escaped unless there is `raw-drivers`.
 * `method` has lines of "<group> <method>"; a group without one goes in place from DMA to
 * DMA-FQ, and else by rebind. While there is `both-ways` all from DMA-FQ to DMA go in place
 * as well, as on a kernel with patches. `unpausable` has the numbers of groups that turn out
 * to have something mapped when they are paused, and `silent` what is written to a trace
 * instance while a commit runs. `no-disruption` makes it a module without the files disruption, step_timeout,
 * remaining and method.
 *
 * Of the standing rules, `no-standing` makes it a module that has none;
 * `standing-error` has "<mkdir|write|rmdir> <what the path below standing/ has in it>
 * <errno name>" and makes that fail; `standing-report` is the report. Each change is
 * a line in `standing-log`, what is refused is not.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "standin.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct txn txns[MAX_TXNS];
static unsigned long generation = 1;
const char *tree;

static const char *const txn_files[] = {
	"state", "progress", "report", "expected_generation", "allow_in_use", "confirm_timeout",
	"check", "commit", "confirm", "rollback", "disruption", "step_timeout", "remaining", NULL
};
/* Those above that a module without `disruption` has not got. */
#define NEW_TXN_FILES	3
static const char *const group_files[] = {
	"type", "current_type", "devices", "status", "method", NULL
};

int listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return 1;
	return 0;
}

int slurp(char *buf, size_t size, const char *format, const char *name)
{
	char path[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/", tree);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), format, name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	return n;
}

void type_of(const char *group, char *buf, size_t size)
{
	if (slurp(buf, size, "sys/kernel/iommu_groups/%s/type", group) < 0)
		snprintf(buf, size, "unknown");
	buf[strcspn(buf, "\n")] = '\0';
}

static void set_type(const char *group, const char *type)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/type", tree, group);
	f = fopen(path, "w");
	if (f) {
		fprintf(f, "%s\n", !strcmp(type, "auto") ? "DMA-FQ" : type);
		fclose(f);
	}
}

static struct txn *find(const char *name, size_t length)
{
	int i;

	for (i = 0; i < MAX_TXNS; i++)
		if (txns[i].used && strlen(txns[i].name) == length &&
		    !strncmp(txns[i].name, name, length))
			return &txns[i];
	return NULL;
}

/* A module without ceilings and limits of time has fewer files. */
static int is_plain(void)
{
	char buf[8];

	return slurp(buf, sizeof(buf), "control/%s", "no-disruption") >= 0;
}

static int is_new_file(const char *name)
{
	size_t n = sizeof(txn_files) / sizeof(*txn_files) - 1;

	return listed(txn_files + n - NEW_TXN_FILES, name) || !strcmp(name, "method");
}

static int has_file(const char *const *names, const char *name)
{
	return listed(names, name) && !(is_new_file(name) && is_plain());
}

/* "/txn/group/file", each part where there is one */
static int resolve(const char *path, struct txn **txn, struct group **group, const char **file)
{
	const char *p, *slash;
	size_t length;
	int i;

	*txn = NULL;
	*group = NULL;
	*file = NULL;
	/* Open, and removed meanwhile: libfuse has no name for it then. */
	if (!path)
		return -ENOENT;
	p = path + 1;
	if (!*p)
		return 0;
	slash = strchr(p, '/');
	length = slash ? (size_t)(slash - p) : strlen(p);
	*txn = find(p, length);
	if (!*txn) {
		*file = p;
		return slash || (strcmp(p, "abi") && strcmp(p, "generation")) ? -ENOENT : 0;
	}
	if (!slash)
		return 0;
	p = slash + 1;
	slash = strchr(p, '/');
	length = slash ? (size_t)(slash - p) : strlen(p);
	for (i = 0; i < (*txn)->n; i++)
		if (strlen((*txn)->groups[i].number) == length &&
		    !strncmp((*txn)->groups[i].number, p, length))
			*group = &(*txn)->groups[i];
	if (!*group) {
		*file = p;
		return slash || !has_file(txn_files, p) ? -ENOENT : 0;
	}
	if (!slash)
		return 0;
	*file = slash + 1;
	return has_file(group_files, *file) ? 0 : -ENOENT;
}

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	struct group *group;
	struct txn *txn;
	const char *file;
	int ret;

	const char *below = below_standing(path);
	struct standing *s;

	(void)fi;
	pthread_mutex_lock(&lock);
	ret = below ? resolve_standing(below, &s, &file) : resolve(path, &txn, &group, &file);
	pthread_mutex_unlock(&lock);
	if (ret)
		return ret;
	memset(st, 0, sizeof(*st));
	st->st_mode = file ? S_IFREG | 0644 : S_IFDIR | 0755;
	st->st_nlink = file ? 1 : 2;
	st->st_size = file ? 4096 : 0;
	return 0;
}

static int do_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	const char *const *names = NULL;
	struct group *group;
	struct txn *txn;
	const char *file;
	int ret, i;

	(void)offset, (void)fi, (void)flags;
	pthread_mutex_lock(&lock);
	if (below_standing(path)) {
		ret = list_standing(below_standing(path), buf, fill);
		pthread_mutex_unlock(&lock);
		return ret;
	}
	ret = resolve(path, &txn, &group, &file);
	if (!ret) {
		fill(buf, ".", NULL, 0, 0);
		fill(buf, "..", NULL, 0, 0);
		if (group)
			names = group_files;
		else if (txn)
			names = txn_files;
		for (; names && *names; names++)
			if (!is_new_file(*names) || !is_plain())
				fill(buf, *names, NULL, 0, 0);
		for (i = 0; txn && !group && i < txn->n; i++)
			fill(buf, txn->groups[i].number, NULL, 0, 0);
		if (!txn) {
			fill(buf, "abi", NULL, 0, 0);
			fill(buf, "generation", NULL, 0, 0);
			if (!is_old())
				fill(buf, "standing", NULL, 0, 0);
			for (i = 0; i < MAX_TXNS; i++)
				if (txns[i].used)
					fill(buf, txns[i].name, NULL, 0, 0);
		}
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

static int new_txn(const char *name)
{
	int i;

	if (!strcmp(name, "standing"))
		return is_old() ? -EINVAL : -EEXIST;
	if (strlen(name) > 64)
		return -EINVAL;
	for (i = 0; i < MAX_TXNS && txns[i].used; i++)
		;
	if (i == MAX_TXNS)
		return -ENOSPC;
	memset(&txns[i], 0, sizeof(txns[i]));
	txns[i].used = 1;
	strcpy(txns[i].name, name);
	strcpy(txns[i].state, "staged");
	strcpy(txns[i].disruption, "rebind");
	txns[i].step_timeout = 120;
	return 0;
}

static int do_mkdir(const char *path, mode_t mode)
{
	const char *slash = strchr(path + 1, '/');
	char type[64];
	struct txn *txn;
	int ret = 0;

	(void)mode;
	pthread_mutex_lock(&lock);
	if (slash && below_standing(path)) {
		ret = mkdir_standing(below_standing(path));
	} else if (!slash) {
		ret = new_txn(path + 1);
	} else {
		txn = find(path + 1, slash - path - 1);
		type_of(slash + 1, type, sizeof(type));
		if (!txn || !strcmp(type, "unknown"))
			ret = -ENOENT;
		else if (strcmp(txn->state, "staged"))
			ret = -EBUSY;
		else {
			memset(&txn->groups[txn->n], 0, sizeof(txn->groups[0]));
			strcpy(txn->groups[txn->n].number, slash + 1);
			strcpy(txn->groups[txn->n].type, "none");
			strcpy(txn->groups[txn->n].method, "none");
			strcpy(txn->groups[txn->n++].status, "staged");
		}
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

static int do_rmdir(const char *path)
{
	struct group *group;
	struct txn *txn;
	const char *file;
	int ret;

	pthread_mutex_lock(&lock);
	if (below_standing(path)) {
		ret = rmdir_standing(below_standing(path));
		pthread_mutex_unlock(&lock);
		return ret;
	}
	ret = resolve(path, &txn, &group, &file);
	if (!ret && group) {
		*group = txn->groups[--txn->n];
	} else if (!ret && txn) {
		if (!strcmp(txn->state, "committing") || !strcmp(txn->state, "unconfirmed") ||
		    !strcmp(txn->state, "rolling-back"))
			ret = -EBUSY;
		else if (txn->n)
			ret = -ENOTEMPTY;
		else
			txn->used = 0;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/* As the kernel writes a driver's name where blanks separate. */
static void escape(const char *name, char *buf, size_t size)
{
	char unused[8];
	size_t n = 0;
	int raw = slurp(unused, sizeof(unused), "control/%s", "raw-drivers") >= 0;

	for (; *name && n + 5 < size; name++) {
		if (*name == ' ' && !raw)
			n += snprintf(buf + n, size - n, "\\040");
		else
			buf[n++] = *name;
	}
	buf[n] = '\0';
}

static void devices_of(const char *number, char *buf, size_t size)
{
	char path[4096], required[4096] = "", drivers[4096] = "", line[256], word[16], name[64], *p;
	char driver[4096], bus[4096], escaped[128];
	struct dirent *e;
	ssize_t n, m;
	DIR *dir;

	*buf = '\0';
	slurp(required, sizeof(required), "control/%s", "required");
	slurp(drivers, sizeof(drivers), "control/%s", "drivers");
	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/devices", tree, number);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		strcpy(word, "any");
		for (p = required; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
			if (sscanf(p, "%63s %15s", name, line) == 2 && !strcmp(name, e->d_name))
				strcpy(word, line);
		snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/devices/%s/driver",
			 tree, number, e->d_name);
		n = readlink(path, driver, sizeof(driver) - 1);
		driver[n < 0 ? 0 : n] = '\0';
		snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/devices/%s/subsystem",
			 tree, number, e->d_name);
		m = readlink(path, bus, sizeof(bus) - 1);
		bus[m < 0 ? 0 : m] = '\0';
		escape(n < 0 ? "-" : strrchr(driver, '/') + 1, escaped, sizeof(escaped));
		for (p = drivers; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
			if (sscanf(p, "%63s %63[^\n]", name, line) == 2 && !strcmp(name, e->d_name))
				escape(line, escaped, sizeof(escaped));
		snprintf(line, sizeof(line), "%.32s %.64s %.120s %s\n",
			 m < 0 ? "-" : strrchr(bus, '/') + 1, e->d_name, escaped, word);
		if (strlen(buf) + strlen(line) < size)
			strcat(buf, line);
	}
	if (dir)
		closedir(dir);
}

static long remaining(const struct txn *txn)
{
	long left = txn->deadline - time(NULL);

	if (!txn->timeout || (strcmp(txn->state, "unconfirmed") && strcmp(txn->state, "committing")))
		return 0;
	return left > 0 ? left : 0;
}

static int do_read(const char *path, char *out, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	char buf[8192] = "", type[64];
	struct group *group;
	struct txn *txn;
	const char *below = below_standing(path), *file;
	struct standing *s;
	int ret;

	(void)fi;
	pthread_mutex_lock(&lock);
	ret = below ? resolve_standing(below, &s, &file) : resolve(path, &txn, &group, &file);
	if (!ret && !below && txn && !group && file && !strcmp(file, "state") &&
	    slurp(buf, sizeof(buf), "control/%s", "state-error") > 0)
		ret = -errno_of(buf);
	if (ret || !file) {
		pthread_mutex_unlock(&lock);
		return ret ? ret : -EISDIR;
	}
	if (below)
		read_standing(s, file, buf, sizeof(buf));
	else if (group && !strcmp(file, "type"))
		sprintf(buf, "%s\n", group->type);
	else if (group && !strcmp(file, "current_type"))
		type_of(group->number, type, sizeof(type)), sprintf(buf, "%s\n", type);
	else if (group && !strcmp(file, "devices"))
		devices_of(group->number, buf, sizeof(buf));
	else if (group && !strcmp(file, "method"))
		sprintf(buf, "%s\n", group->method);
	else if (group)
		sprintf(buf, "%s\n", group->status);
	else if (!strcmp(file, "abi"))
		strcpy(buf, "1\n");
	else if (!strcmp(file, "generation"))
		sprintf(buf, "%lu\n", generation);
	else if (!strcmp(file, "state"))
		sprintf(buf, "%s\n", txn->state);
	else if (!strcmp(file, "progress"))
		sprintf(buf, "%lu %lu\n", txn->done, txn->all);
	else if (!strcmp(file, "report"))
		strcpy(buf, txn->report);
	else if (!strcmp(file, "allow_in_use"))
		sprintf(buf, "%s\n", txn->allow);
	else if (!strcmp(file, "confirm_timeout"))
		sprintf(buf, "%lu\n", txn->timeout);
	else if (!strcmp(file, "expected_generation"))
		sprintf(buf, "%lu\n", txn->expected);
	else if (!strcmp(file, "disruption"))
		sprintf(buf, "%s\n", txn->disruption);
	else if (!strcmp(file, "step_timeout"))
		sprintf(buf, "%lu\n", txn->step_timeout);
	else if (!strcmp(file, "remaining"))
		sprintf(buf, "%ld\n", remaining(txn));
	pthread_mutex_unlock(&lock);
	if ((size_t)offset >= strlen(buf))
		return 0;
	if (size > strlen(buf) - offset)
		size = strlen(buf) - offset;
	memcpy(out, buf + offset, size);
	return size;
}

int errno_of(const char *name)
{
	static const struct { const char *name; int value; } known[] = {
		{ "ECANCELED", ECANCELED }, { "EIO", EIO }, { "EBUSY", EBUSY },
		{ "EINVAL", EINVAL }, { "ESTALE", ESTALE }, { "EOPNOTSUPP", EOPNOTSUPP },
		{ "ENODEV", ENODEV }, { "EACCES", EACCES }, { "ENOMEM", ENOMEM },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strncmp(known[i].name, name, strlen(known[i].name)))
			return known[i].value;
	return EPROTO;
}

/* What control/NAME asks for: a negative errno, and the lines of the report. */
static int control(struct txn *txn, const char *name)
{
	char buf[4096], *lines, *line, *next, group[32];
	int ret, i, any = 0;

	txn->report[0] = '\0';
	if (slurp(buf, sizeof(buf), "control/%s", name) <= 0)
		return 0;
	ret = -errno_of(buf);
	lines = strchr(buf, '\n');
	/* Only what concerns groups that are in it. */
	for (line = lines ? lines + 1 : NULL; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (sscanf(line, "%31s", group) != 1)
			continue;
		for (i = 0; i < txn->n && strcmp(txn->groups[i].number, group); i++)
			;
		if (i == txn->n && strcmp(group, "-"))
			continue;
		any = 1;
		snprintf(txn->report + strlen(txn->report),
			 sizeof(txn->report) - strlen(txn->report), "%s\n", line);
	}
	return any || !lines || !lines[1] ? ret : 0;
}

static void run_hook(const char *name)
{
	char command[4096];

	snprintf(command, sizeof(command), "test ! -x '%s/control/%s' || '%s/control/%s'", tree,
		 name, tree, name);
	if (system(command))
		fprintf(stderr, "standin: %s failed\n", name);
}

/* Of disks the kernel knows what no file tells. */
static int opened(struct txn *txn)
{
	char numbers[256], *word, *save;
	int i;

	if (slurp(numbers, sizeof(numbers), "control/%s", "opened") < 0)
		return 0;
	for (word = strtok_r(numbers, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		for (i = 0; i < txn->n; i++)
			if (!strcmp(txn->groups[i].number, word)) {
				snprintf(txn->report, sizeof(txn->report),
					 "%s - check EBUSY a disk is open\n", word);
				return -EBUSY;
			}
	return 0;
}

static int check(struct txn *txn)
{
	int i, ret;

	if (strcmp(txn->state, "staged"))
		return -EBUSY;
	if (txn->expected && txn->expected != generation)
		return -ESTALE;
	if (!txn->n)
		return -EINVAL;
	for (i = 0; i < txn->n; i++)
		if (!strcmp(txn->groups[i].type, "none"))
			return -EINVAL;
	choose_methods(txn);
	ret = control(txn, "check");
	if (!ret && !strstr(txn->allow, "block"))
		ret = opened(txn);
	return ret ? ret : check_disruption(txn);
}

/* Unlike the check that a commit begins with. */
static int check_only(struct txn *txn)
{
	int ret = check(txn);

	run_hook("checked");
	return ret;
}

static void restore(struct txn *txn, const char *state)
{
	int i;

	for (i = 0; i < txn->n; i++) {
		if (*txn->groups[i].before)
			set_type(txn->groups[i].number, txn->groups[i].before);
		strcpy(txn->groups[i].status, "restored");
	}
	strcpy(txn->state, state);
}

/* Keeps a commit where it is for as long as a test wants, with the lock let go. */
static void hold(struct txn *txn)
{
	char buf[sizeof(txn->report)];

	while (slurp(buf, sizeof(buf), "control/%s", "hold") >= 0) {
		strcpy(txn->report, buf);
		pthread_mutex_unlock(&lock);
		usleep(10000);
		pthread_mutex_lock(&lock);
	}
}

static int commit(struct txn *txn)
{
	char buf[32];
	int i, ret;

	ret = check(txn);
	if (!ret && slurp(buf, sizeof(buf), "control/%s", "commit") > 0 &&
	    errno_of(buf) != ECANCELED && errno_of(buf) != EIO)
		ret = control(txn, "commit");
	if (ret)
		return ret;
	strcpy(txn->state, "committing");
	generation++;
	txn->deadline = time(NULL) + txn->timeout;
	txn->all = 2 * txn->n;
	for (i = 0; i < txn->n; i++) {
		txn->done++;
		hold(txn);
		type_of(txn->groups[i].number, txn->groups[i].before,
			sizeof(txn->groups[i].before));
		set_type(txn->groups[i].number, txn->groups[i].type);
		strcpy(txn->groups[i].status, !strcmp(txn->groups[i].method, "in-place") ?
		       "in-place" : "changed");
		txn->done++;
	}
	ret = control(txn, "commit");
	if (!ret)
		ret = pause_groups(txn);
	write_trace();
	if (ret == -ECANCELED)
		restore(txn, "staged");
	else if (ret == -EIO)
		strcpy(txn->state, "failed");
	if (ret)
		return ret;
	run_hook("hook");
	strcpy(txn->state, txn->timeout ? "unconfirmed" : "committed");
	return 0;
}

static int rollback(struct txn *txn)
{
	char buf[8];
	int ret;

	if (strcmp(txn->state, "unconfirmed") && strcmp(txn->state, "committed") &&
	    strcmp(txn->state, "failed"))
		return -EBUSY;
	if (slurp(buf, sizeof(buf), "control/%s", "net-up") >= 0 && !strstr(txn->allow, "net"))
		return -EBUSY;
	if (!strstr(txn->allow, "block") &&
	    slurp(txn->report, sizeof(txn->report), "control/%s", "disk-up") > 0)
		return -EBUSY;
	ret = control(txn, "rollback");
	if (ret == -EIO)
		strcpy(txn->state, "failed");
	if (ret)
		return ret;
	restore(txn, "rolled-back");
	run_hook("unhook");
	return 0;
}

static int confirm(struct txn *txn)
{
	if (strcmp(txn->state, "unconfirmed"))
		return -EBUSY;
	strcpy(txn->state, "committed");
	return 0;
}

static int bad_words(const char *words)
{
	static const char *const known[] = { "net", "block", "other", NULL };
	char copy[64], *word, *save;

	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!listed(known, word) || (!strcmp(word, "other") && is_plain()))
			return 1;
	return 0;
}

static int write_option(struct txn *txn, const char *file, const char *word)
{
	int staged = !strcmp(txn->state, "staged"), unconfirmed = !strcmp(txn->state, "unconfirmed");
	unsigned long n = strtoul(word, NULL, 10);

	if (!strcmp(file, "allow_in_use")) {
		if (!staged && !unconfirmed && strcmp(txn->state, "committed") &&
		    strcmp(txn->state, "failed"))
			return -EBUSY;
		if (bad_words(word))
			return -EINVAL;
		snprintf(txn->allow, sizeof(txn->allow), "%s", word);
	} else if (!strcmp(file, "confirm_timeout")) {
		if (n > 604800)
			return -EINVAL;
		if (!staged && !(n && (unconfirmed || (!strcmp(txn->state, "committing") &&
						       txn->timeout))))
			return -EBUSY;
		txn->timeout = n;
		txn->deadline = time(NULL) + n;
	} else if (!staged) {
		return listed(txn_files, file) ? -EBUSY : -EACCES;
	} else if (!strcmp(file, "expected_generation")) {
		txn->expected = n;
	} else if (!strcmp(file, "step_timeout")) {
		if (n < 1 || n > 3600)
			return -EINVAL;
		txn->step_timeout = n;
	} else if (!strcmp(file, "disruption")) {
		if (!listed(disruptions, word))
			return -EINVAL;
		snprintf(txn->disruption, sizeof(txn->disruption), "%.15s", word);
	} else {
		return -EACCES;
	}
	return 0;
}

static int do_write(const char *path, const char *text, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct group *group;
	struct txn *txn;
	const char *file;
	char word[64];
	int ret;

	(void)offset, (void)fi;
	snprintf(word, sizeof(word), "%.*s", (int)size, text);
	word[strcspn(word, "\n")] = '\0';
	pthread_mutex_lock(&lock);
	if (below_standing(path)) {
		ret = write_standing(below_standing(path), text, size);
		pthread_mutex_unlock(&lock);
		return ret;
	}
	ret = resolve(path, &txn, &group, &file);
	if (ret || !txn || !file)
		ret = ret ? ret : -EACCES;
	else if (group)
		ret = strcmp(txn->state, "staged") ? -EBUSY :
		      (snprintf(group->type, sizeof(group->type), "%.15s", word), 0);
	else if (!listed((const char *const[]){ "check", "commit", "confirm", "rollback", NULL },
			 file))
		ret = write_option(txn, file, word);
	else if (strcmp(word, "1"))
		ret = -EINVAL;
	else
		ret = !strcmp(file, "check") ? check_only(txn) : !strcmp(file, "commit") ? commit(txn) :
		      !strcmp(file, "confirm") ? confirm(txn) : rollback(txn);
	pthread_mutex_unlock(&lock);
	return ret ? ret : (int)size;
}

static int do_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)path, (void)size, (void)fi;
	return 0;
}

static int do_open(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	fi->direct_io = 1;
	return 0;
}

static void *timer(void *unused)
{
	int i;

	for (;;) {
		usleep(100000);
		pthread_mutex_lock(&lock);
		for (i = 0; i < MAX_TXNS; i++)
			if (txns[i].used && !strcmp(txns[i].state, "unconfirmed") &&
			    time(NULL) >= txns[i].deadline) {
				strcpy(txns[i].report, "- - restore ETIMEDOUT not confirmed in time\n");
				restore(&txns[i], "rolled-back");
			}
		pthread_mutex_unlock(&lock);
	}
	return unused;
}

static void *do_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	pthread_t thread;

	(void)conn;
	config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
	pthread_create(&thread, NULL, timer, NULL);
	return NULL;
}

static const struct fuse_operations operations = {
	.init = do_init, .getattr = do_getattr, .readdir = do_readdir, .mkdir = do_mkdir,
	.rmdir = do_rmdir, .open = do_open, .read = do_read, .write = do_write,
	.truncate = do_truncate,
};

int main(int argc, char **argv)
{
	char mount[4096];
	char *args[] = { argv[0], "-f", "-o", "allow_other,default_permissions", mount, NULL };

	if (argc != 2)
		return 2;
	tree = realpath(argv[1], NULL);
	snprintf(mount, sizeof(mount), "%s/sys/kernel/config/iommu", tree);
	return fuse_main(5, args, &operations, NULL);
}
