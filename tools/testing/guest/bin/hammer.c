// SPDX-License-Identifier: GPL-2.0
/*
 * hammer SECONDS TRANSACTIONS THREADS GROUP... [-- FILE TEXT...]
 *
 * Threads do whatever they like to a few transactions over the same groups, as
 * fast as they can, and write TEXT to FILE (any number of such pairs) now and
 * then. Prints how often each action ended how, and fails where an errno came
 * back that the interface does not have for the action.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT	"/sys/kernel/config/iommu"
#define ERRNOS	256

enum action {
	MKDIR_TXN, MKDIR_GROUP, RMDIR_TXN, RMDIR_GROUP, TYPE, COMMIT, CONFIRM, ROLLBACK,
	CHECK, TIMEOUT, ALLOW, READ, LIST, OTHER, ACTIONS
};

/*
 * How often an action is taken, of a hundred, and how it may end. ENOENT: another
 * thread's rmdir was first, of which configfs also tells a writer that has the file open.
 */
static const struct {
	const char *name;
	int weight;
	int errnos[8];
} actions[ACTIONS] = {
	[MKDIR_TXN]	= { "mkdir transaction", 6, { EEXIST } },
	[MKDIR_GROUP]	= { "mkdir group", 14, { EEXIST, EBUSY, ENOENT } },
	[RMDIR_TXN]	= { "rmdir transaction", 6, { EBUSY, ENOTEMPTY, ENOENT } },
	[RMDIR_GROUP]	= { "rmdir group", 6, { ENOENT } },
	[TYPE]		= { "type", 18, { EBUSY, ENOENT } },
	[COMMIT]	= { "commit", 16, { EBUSY, EINVAL, ECANCELED, EIO, ENOENT } },
	[CONFIRM]	= { "confirm", 4, { EBUSY, ENOENT } },
	[ROLLBACK]	= { "rollback", 8, { EBUSY, ESTALE, EIO, ENOENT } },
	[CHECK]		= { "check", 2, { EBUSY, EINVAL, ENOENT } },
	[TIMEOUT]	= { "confirm_timeout", 4, { EBUSY, ENOENT } },
	[ALLOW]		= { "allow_in_use", 4, { EBUSY, ENOENT } },
	[READ]		= { "read", 8, { ENOENT } },
	[LIST]		= { "list", 2, { ENOENT } },
	[OTHER]		= { "other file", 2, { 0 } },
};

static const char *const types[] = { "identity\n", "DMA\n", "DMA-FQ\n", "auto\n" };
static const char *const timeouts[] = { "0\n", "0\n", "1\n", "2\n" };
static const char *const guards[] = { "net\n", "block net\n", "\n" };
static const char *const files[] = {
	"state", "progress", "report", "expected_generation", "allow_in_use", "confirm_timeout",
};
static const char *const group_files[] = { "type", "current_type", "devices", "status" };

static atomic_int counts[ACTIONS][ERRNOS];
static atomic_int stop;
static char **groups, **others;
static int ngroups, nothers, ntxns;

#define PICK(list)	((list)[rand_r(seed) / 7 % (sizeof(list) / sizeof((list)[0]))])

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

/* What is read ends in a newline, or is empty. */
static int get(const char *path)
{
	char buf[8192];
	ssize_t n;
	int fd = open(path, O_RDONLY), err = 0;

	if (fd < 0)
		return errno;
	n = read(fd, buf, sizeof(buf));
	if (n < 0)
		err = errno;
	else if (n && buf[n - 1] != '\n')
		err = EPROTO;
	close(fd);
	return err;
}

static int list(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		return errno;
	while (readdir(dir))
		;
	closedir(dir);
	return 0;
}

static int act(enum action action, unsigned int *seed)
{
	char txn[256], group[512], path[768];

	snprintf(txn, sizeof(txn), ROOT "/hammer%d", rand_r(seed) / 7 % ntxns);
	snprintf(group, sizeof(group), "%s/%s", txn, groups[rand_r(seed) / 7 % ngroups]);

	switch (action) {
	case MKDIR_TXN:
		return mkdir(txn, 0755) ? errno : 0;
	case MKDIR_GROUP:
		return mkdir(group, 0755) ? errno : 0;
	case RMDIR_TXN:
		return rmdir(txn) ? errno : 0;
	case RMDIR_GROUP:
		return rmdir(group) ? errno : 0;
	case TYPE:
		snprintf(path, sizeof(path), "%s/type", group);
		return put(path, PICK(types));
	case TIMEOUT:
		snprintf(path, sizeof(path), "%s/confirm_timeout", txn);
		return put(path, PICK(timeouts));
	case ALLOW:
		snprintf(path, sizeof(path), "%s/allow_in_use", txn);
		return put(path, PICK(guards));
	case READ:
		if (rand_r(seed) & 64)
			snprintf(path, sizeof(path), "%s/%s", txn, PICK(files));
		else
			snprintf(path, sizeof(path), "%s/%s", group, PICK(group_files));
		return get(path);
	case LIST:
		return list(txn);
	case OTHER:
		/* How that ends is not ours to judge. */
		if (nothers) {
			int n = rand_r(seed) / 7 % nothers * 2;

			put(others[n], others[n + 1]);
		}
		return 0;
	default:
		snprintf(path, sizeof(path), "%s/%s", txn, actions[action].name);
		return put(path, "1\n");
	}
}

static void *thread(void *arg)
{
	unsigned int seed = 7919 * (unsigned int)(size_t)arg;

	while (!stop) {
		int roll = rand_r(&seed) / 7 % 100, action = 0;

		while (roll >= actions[action].weight)
			roll -= actions[action++].weight;
		counts[action][act(action, &seed) % ERRNOS]++;
	}
	return NULL;
}

static int is_due(int action, int err)
{
	for (int i = 0; i < 8; i++)
		if (actions[action].errnos[i] == err)
			return 1;
	return !err;
}

int main(int argc, char **argv)
{
	int seconds, nthreads, bad = 0, i;
	pthread_t threads[64];

	if (argc < 5 || atoi(argv[3]) > 64) {
		fprintf(stderr, "hammer: SECONDS TRANSACTIONS THREADS GROUP... [-- FILE TEXT...]\n");
		return 2;
	}
	seconds = atoi(argv[1]);
	ntxns = atoi(argv[2]);
	nthreads = atoi(argv[3]);
	groups = argv + 4;
	for (i = 4; i < argc && strcmp(argv[i], "--"); i++)
		ngroups++;
	if (i < argc) {
		others = argv + i + 1;
		nothers = (argc - i - 1) / 2;
	}

	for (i = 0; i < nthreads; i++)
		if (pthread_create(&threads[i], NULL, thread, (void *)(size_t)(i + 1)))
			return 2;
	sleep(seconds);
	stop = 1;
	for (i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);

	for (int action = 0; action < ACTIONS; action++) {
		printf("%s:", actions[action].name);
		for (int err = 0; err < ERRNOS; err++) {
			if (!counts[action][err])
				continue;
			printf(" %s %d", err ? strerrorname_np(err) : "0", counts[action][err]);
			if (!is_due(action, err)) {
				printf(" (not due)");
				bad = 1;
			}
		}
		putchar('\n');
	}
	return bad;
}
