// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Transactions, as the kernel has them in configfs. What they do to groups is
 * the kernel's; this makes directories, and reads and writes attributes.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "txn.h"

bool iommucfg_txn_name_valid(const char *name)
{
	size_t length = strlen(name);

	/* The last two are attributes of the directory that transactions are in. */
	return length && length <= IOMMUCFG_TXN_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
			length &&
	       strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "standing") &&
	       strcmp(name, "abi") && strcmp(name, "generation");
}

static int txn_new(struct iommucfg *ctx, const char *name, struct iommucfg_txn **out)
{
	struct iommucfg_txn *txn;
	char *path;
	int ret = 0;

	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn->refs = 1;
	txn->ctx = iommucfg_ref(ctx);
	txn->fd = txn->lock = -1;
	txn->name = strdup(name);
	if (!txn->name || asprintf(&path, CONFIGFS_DIR "/%s", name) < 0) {
		ret = -ENOMEM;
	} else {
		txn->fd = openat(ctx->rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (txn->fd < 0)
			ret = -errno;
		free(path);
	}
	if (ret)
		iommucfg_txn_unref(txn);
	else
		*out = txn;
	return ret;
}

static int make_directory(struct iommucfg *ctx, const char *name)
{
	char *path;
	int ret;

	if (asprintf(&path, CONFIGFS_DIR "/%s", name) < 0)
		return -ENOMEM;
	ret = mkdirat(ctx->rootfd, path, 0755) ? -errno : 0;
	free(path);
	return ret;
}

/* What is there by the name that was wanted. */
static void name_is_taken(struct iommucfg_txn *other, struct iommucfg_problems *problems)
{
	enum iommucfg_state state = iommucfg_txn_state(other);
	const char *root = iommucfg_root(other->ctx);
	unsigned int *groups = NULL;
	char *inside = NULL;

	if (state != IOMMUCFG_STATE_STAGED) {
		iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "transaction", EEXIST,
				      "there is a transaction \"%s\" already, in state %s; once it is over \"iommucfg rollback --forget %s\" removes it",
				      other->name, iommucfg_state_name(state), other->name);
		return;
	}
	/* Whoever made one by hand has no lock: there is no telling whether it is abandoned. */
	if (iommucfg_txn_groups(other, &groups) > 0 &&
	    asprintf(&inside, "%s/" CONFIGFS_DIR "/%s/*/ ", root, other->name) < 0)
		inside = NULL;
	iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "transaction", EEXIST,
			      "there is a transaction \"%s\" already, staged: nothing of it has been committed; if it is not in use any more \"rmdir %s%s/" CONFIGFS_DIR "/%s\" removes it",
			      other->name, inside ? inside : "", root, other->name);
	free(inside);
	free(groups);
}

static int create_failed(struct iommucfg *ctx, const char *name, int ret,
			 struct iommucfg_problems *problems)
{
	struct iommucfg_txn *other = NULL;

	if (ret == -EEXIST && !iommucfg_txn_open(ctx, name, &other)) {
		name_is_taken(other, problems);
		iommucfg_txn_unref(other);
	} else if (ret == -ENOENT) {
		iommucfg_kernel_probe(ctx, problems);
	} else {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR,
				      ret == -EINVAL ? "usage" : "system", -ret,
				      ret == -EINVAL ?
				      "\"%s\" cannot name a transaction: " IC_TXN_NAMES :
				      "transaction \"%s\" cannot be made: %s",
				      name, strerror(-ret));
	}
	return ret;
}

/* Of what only root can open, as anybody could lock the directory. */
static int open_lock(const struct iommucfg_txn *txn)
{
	return ic_open_file(txn->fd, "commit", O_WRONLY);
}

int iommucfg_txn_create(struct iommucfg *ctx, const char *name, struct iommucfg_txn **out,
			struct iommucfg_problems *problems)
{
	char own[IOMMUCFG_TXN_NAME_MAX + 1];
	unsigned int n = 1;
	int ret;

	if (name) {
		ret = iommucfg_txn_name_valid(name) ? make_directory(ctx, name) : -EINVAL;
	} else {
		/* Another name space may have used our PID. */
		do {
			snprintf(own, sizeof(own), OWN_PREFIX "%ld-%u", (long)getpid(), n);
			ret = make_directory(ctx, own);
		} while (ret == -EEXIST && n++ < 10000);
		name = own;
	}
	if (ret)
		return create_failed(ctx, name, ret, problems);
	ret = txn_new(ctx, name, out);
	if (ret)
		return create_failed(ctx, name, ret, problems);
	/* See iommucfg_txn_abandoned(). A file system without locks is no error. */
	(*out)->lock = open_lock(*out);
	if ((*out)->lock >= 0)
		flock((*out)->lock, LOCK_EX | LOCK_NB);
	return 0;
}

int iommucfg_txn_open(struct iommucfg *ctx, const char *name, struct iommucfg_txn **txn)
{
	/* No such name can be there, and ".." would lead elsewhere. */
	if (!iommucfg_txn_name_valid(name))
		return -ENOENT;
	return txn_new(ctx, name, txn);
}

struct iommucfg_txn *iommucfg_txn_ref(struct iommucfg_txn *txn)
{
	txn->refs++;
	return txn;
}

void iommucfg_txn_unref(struct iommucfg_txn *txn)
{
	if (!txn || --txn->refs)
		return;
	if (txn->fd >= 0)
		close(txn->fd);
	if (txn->lock >= 0)
		close(txn->lock);
	free(txn->name);
	iommucfg_unref(txn->ctx);
	free(txn);
}

static int is_transaction(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
	       strcmp(e->d_name, "standing");
}

int iommucfg_txn_list(struct iommucfg *ctx, char ***names)
{
	return ic_list_directories(ctx->rootfd, CONFIGFS_DIR, is_transaction, names);
}

void iommucfg_txn_list_free(char **names)
{
	ic_free_names(names);
}

const char *iommucfg_txn_name(const struct iommucfg_txn *txn)
{
	return txn->name;
}

static const char *const state_names[] = {
	[IOMMUCFG_STATE_GONE] = "gone",
	[IOMMUCFG_STATE_STAGED] = "staged",
	[IOMMUCFG_STATE_COMMITTING] = "committing",
	[IOMMUCFG_STATE_UNCONFIRMED] = "unconfirmed",
	[IOMMUCFG_STATE_COMMITTED] = "committed",
	[IOMMUCFG_STATE_ROLLING_BACK] = "rolling-back",
	[IOMMUCFG_STATE_ROLLED_BACK] = "rolled-back",
	[IOMMUCFG_STATE_FAILED] = "failed",
};

#define NUM_STATES	(sizeof(state_names) / sizeof(*state_names))

const char *iommucfg_state_name(enum iommucfg_state state)
{
	return (size_t)state < NUM_STATES ? state_names[state] : "unknown";
}

static bool is_there(const struct iommucfg_txn *txn)
{
	bool there = true;
	char *path;

	if (asprintf(&path, CONFIGFS_DIR "/%s", txn->name) < 0)
		return true;
	if (faccessat(txn->ctx->rootfd, path, F_OK, 0))
		there = errno != ENOENT;
	free(path);
	return there;
}

int iommucfg_txn_read_state(struct iommucfg_txn *txn, enum iommucfg_state *state)
{
	char word[32];
	ssize_t n;
	size_t i;

	*state = IOMMUCFG_STATE_UNKNOWN;
	n = ic_read_attr(txn->fd, "state", word, sizeof(word));
	/* Removed under us: the open directory is empty then, or stale. */
	if (n == -ENOENT || n == -ENODEV || (n == -ESTALE && !is_there(txn)))
		*state = IOMMUCFG_STATE_GONE;
	else if (n < 0)
		return n;
	for (i = IOMMUCFG_STATE_STAGED; n >= 0 && i < NUM_STATES; i++)
		if (!strcmp(word, state_names[i]))
			*state = i;
	return *state == IOMMUCFG_STATE_UNKNOWN ? -EPROTO : 0;
}

enum iommucfg_state iommucfg_txn_state(struct iommucfg_txn *txn)
{
	enum iommucfg_state state;

	iommucfg_txn_read_state(txn, &state);
	return state;
}

bool iommucfg_txn_abandoned(struct iommucfg_txn *txn)
{
	enum iommucfg_state state;
	unsigned int pid, n;
	int end = 0, fd;
	bool unheld;

	if (sscanf(txn->name, OWN_PREFIX "%u-%u%n", &pid, &n, &end) != 2 || txn->name[end])
		return false;
	state = iommucfg_txn_state(txn);
	if (state != IOMMUCFG_STATE_STAGED && state != IOMMUCFG_STATE_COMMITTED &&
	    state != IOMMUCFG_STATE_ROLLED_BACK)
		return false;
	/*
	 * Both signs are needed: in another PID name space the maker may run
	 * though its PID is not here, and it may not have the lock yet.
	 */
	if (!kill(pid, 0) || errno != ESRCH)
		return false;
	fd = open_lock(txn);
	if (fd < 0)
		return false;
	unheld = !flock(fd, LOCK_EX | LOCK_NB);
	close(fd);
	return unheld;
}

int iommucfg_txn_set_generation(struct iommucfg_txn *txn, uint64_t generation)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%" PRIu64 "\n", generation);
	return ic_write_attr(txn->fd, "expected_generation", buf);
}

/*
 * The kernel has words of its own: it knows no routes, and nothing of what is mounted.
 * One that does not know "other" looks at nothing that it would permit.
 */
int iommucfg_txn_set_allow_in_use(struct iommucfg_txn *txn, int words)
{
	const int net = IOMMUCFG_WORD_NET | IOMMUCFG_WORD_DEFAULT_ROUTE;
	const int block = IOMMUCFG_WORD_BLOCK | IOMMUCFG_WORD_MOUNTED;
	char buf[32];
	size_t n;
	int ret;

	n = snprintf(buf, sizeof(buf), "%s%s%s", words & net ? "net " : "",
		     words & block ? "block " : "", words & IOMMUCFG_WORD_OTHER ? "other " : "");
	buf[n ? n - 1 : 0] = '\n';
	buf[n ? n : 1] = '\0';
	ret = ic_write_attr(txn->fd, "allow_in_use", buf);
	if (ret == -EINVAL && words & IOMMUCFG_WORD_OTHER)
		ret = iommucfg_txn_set_allow_in_use(txn, words & ~IOMMUCFG_WORD_OTHER);
	return ret;
}

static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);
	const char *p;

	for (p = words; (p = strstr(p, word)); p += length)
		if ((p == words || p[-1] == ' ') && (!p[length] || p[length] == ' '))
			return true;
	return false;
}

bool ic_txn_has_word(const struct iommucfg_txn *txn, const char *word)
{
	char words[64];

	return ic_read_attr(txn->fd, "allow_in_use", words, sizeof(words)) > 0 &&
	       has_word(words, word);
}

int iommucfg_txn_add_allow_in_use(struct iommucfg_txn *txn, const char *word)
{
	char words[64], line[96];
	ssize_t n;

	n = ic_read_attr(txn->fd, "allow_in_use", words, sizeof(words));
	if (n < 0)
		return n;
	if (has_word(words, word))
		return 0;
	snprintf(line, sizeof(line), "%s%s%s\n", words, n ? " " : "", word);
	return ic_write_attr(txn->fd, "allow_in_use", line);
}

void iommucfg_txn_allow_way_back(struct iommucfg_txn *txn)
{
	iommucfg_txn_add_allow_in_use(txn, "net");
	iommucfg_txn_add_allow_in_use(txn, "other");
}

int iommucfg_txn_set_confirm_timeout(struct iommucfg_txn *txn, long seconds)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%ld\n", seconds);
	return ic_write_attr(txn->fd, "confirm_timeout", buf);
}

int iommucfg_txn_set_disruption(struct iommucfg_txn *txn, enum iommucfg_disruption disruption)
{
	char buf[16];

	if (faccessat(txn->fd, "disruption", F_OK, 0) && errno == ENOENT)
		return disruption == IOMMUCFG_DISRUPTION_REBIND ? 0 : -EOPNOTSUPP;
	snprintf(buf, sizeof(buf), "%s\n", iommucfg_disruption_name(disruption));
	return ic_write_attr(txn->fd, "disruption", buf);
}

/* The limit that was set, or that of a module which knows none. */
enum iommucfg_disruption ic_txn_disruption(const struct iommucfg_txn *txn)
{
	char word[16];
	int parsed = -1;

	if (ic_read_attr(txn->fd, "disruption", word, sizeof(word)) > 0)
		parsed = iommucfg_disruption_parse(word);
	return parsed < 0 ? IOMMUCFG_DISRUPTION_REBIND : (enum iommucfg_disruption)parsed;
}

int iommucfg_txn_stage(struct iommucfg_txn *txn, unsigned int group, enum iommucfg_type type)
{
	char path[32], word[32];
	bool made;
	int ret;

	snprintf(path, sizeof(path), "%u", group);
	made = !mkdirat(txn->fd, path, 0755);
	if (!made && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%u/type", group);
	snprintf(word, sizeof(word), "%s\n", iommucfg_type_name(type));
	ret = ic_write_attr(txn->fd, path, word);
	if (ret && made)
		iommucfg_txn_unstage(txn, group);
	return ret;
}

int iommucfg_txn_unstage(struct iommucfg_txn *txn, unsigned int group)
{
	char path[32];

	snprintf(path, sizeof(path), "%u", group);
	return unlinkat(txn->fd, path, AT_REMOVEDIR) ? -errno : 0;
}

static int stage_change(struct iommucfg_txn *txn, const struct iommucfg_change *change,
			struct iommucfg_problems *problems)
{
	int ret = iommucfg_txn_stage(txn, change->group->number, change->to);
	struct ic_where where = {
		.file = change->file, .line = change->line,
		.rule = change->rule ? change->rule->name : NULL,
		.group = change->group->number, .error = -ret,
	};

	if (ret)
		ic_problem(problems, IOMMUCFG_REFUSED, "transaction", &where,
			   "group %u cannot be staged: %s", change->group->number,
			   ret == -ENOENT ? "it is not there any more" : strerror(-ret));
	return ret;
}

int iommucfg_txn_stage_plan(struct iommucfg_txn *txn, const struct iommucfg_plan *plan,
			    struct iommucfg_problems *problems)
{
	size_t i;
	int ret = iommucfg_txn_set_disruption(txn, plan->options.disruption);

	for (i = 0; i < plan->changes.n && !ret; i++)
		ret = stage_change(txn, plan->changes.v[i], problems);
	return ret;
}

int iommucfg_txn_stage_part(struct iommucfg_txn *txn, const struct iommucfg_plan *plan,
			    enum iommucfg_part part, struct iommucfg_problems *problems)
{
	size_t i;
	int n = 0, ret;

	ret = iommucfg_txn_set_disruption(txn, ic_plan_limit(plan, part));
	if (ret)
		iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "transaction", -ret,
				      "the limit of disruption cannot be set: %s", strerror(-ret));
	for (i = 0; i < plan->changes.n && !ret; i++) {
		if (plan->changes.v[i]->part != part)
			continue;
		ret = stage_change(txn, plan->changes.v[i], problems);
		n++;
	}
	return ret ? ret : n;
}

int iommucfg_txn_check(struct iommucfg_txn *txn)
{
	return ic_write_attr(txn->fd, "check", "1\n");
}

int iommucfg_txn_commit(struct iommucfg_txn *txn)
{
	return ic_write_attr(txn->fd, "commit", "1\n");
}

const char *iommucfg_txn_refusal(int error)
{
	return error == -ESTALE ? "another process changed a group meanwhile; try again" :
				  strerror(-error);
}

int iommucfg_txn_confirm(struct iommucfg_txn *txn)
{
	return ic_write_attr(txn->fd, "confirm", "1\n");
}

int iommucfg_txn_rollback(struct iommucfg_txn *txn)
{
	return ic_write_attr(txn->fd, "rollback", "1\n");
}

int iommucfg_txn_forget(struct iommucfg_txn *txn)
{
	unsigned int *groups = NULL;
	enum iommucfg_state state;
	int n, i, ret;
	char *path;

	ret = iommucfg_txn_read_state(txn, &state);
	/* A directory of a saved tree is no transaction, and has none. */
	if (ret)
		return ret;
	/* The kernel says the same, but only after its groups are out of sight. */
	if (state == IOMMUCFG_STATE_COMMITTING || state == IOMMUCFG_STATE_UNCONFIRMED ||
	    state == IOMMUCFG_STATE_ROLLING_BACK)
		return -EBUSY;
	n = iommucfg_txn_groups(txn, &groups);
	for (i = 0; i < n; i++)
		iommucfg_txn_unstage(txn, groups[i]);
	free(groups);
	if (asprintf(&path, CONFIGFS_DIR "/%s", txn->name) < 0)
		return -ENOMEM;
	ret = unlinkat(txn->ctx->rootfd, path, AT_REMOVEDIR) ? -errno : 0;
	free(path);
	if (!ret || ret == -ENOENT)
		ic_creator_remove(txn->ctx, txn->name);
	return ret;
}

bool iommucfg_txn_held(struct iommucfg_txn *txn)
{
	int fd = open_lock(txn);
	bool held = false;

	if (fd < 0)
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB))
		held = errno == EWOULDBLOCK;
	close(fd);
	return held;
}

int iommucfg_txn_progress(struct iommucfg_txn *txn, unsigned long *done, unsigned long *all)
{
	char buf[64];
	ssize_t n;

	n = ic_read_attr(txn->fd, "progress", buf, sizeof(buf));
	if (n < 0)
		return n;
	return sscanf(buf, "%lu %lu", done, all) == 2 ? 0 : -EPROTO;
}

static int by_value(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int iommucfg_txn_groups(struct iommucfg_txn *txn, unsigned int **out)
{
	size_t n = 0, cap = 0;
	unsigned int *groups = NULL, number;
	struct dirent *e;
	DIR *dir;
	int fd;

	fd = openat(txn->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(dir))) {
		if (!ic_canonical_decimal(e->d_name, &number))
			continue;
		if (IC_GROW(groups, n, cap)) {
			free(groups);
			closedir(dir);
			return -ENOMEM;
		}
		groups[n++] = number;
	}
	closedir(dir);
	if (n)
		qsort(groups, n, sizeof(*groups), by_value);
	*out = groups;
	return n;
}

int iommucfg_txn_group_attr(struct iommucfg_txn *txn, unsigned int group, const char *attr,
			    char *value, size_t size)
{
	char path[64], buf[4097];
	ssize_t n;

	snprintf(path, sizeof(path), "%u/%s", group, attr);
	n = ic_read_attr(txn->fd, path, buf, sizeof(buf));
	if (n < 0)
		return n;
	buf[strcspn(buf, "\n")] = '\0';
	snprintf(value, size, "%s", buf);
	return 0;
}
