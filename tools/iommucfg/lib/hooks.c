// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Hooks: the programs in /etc/iommucfg/hooks.d, in the order of their names. Before a change,
 * without the lock, each is called with "before" and may refuse it. After it those are called
 * in reverse, with "after", or with "undone" where the change does not stand.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

#define HOOKS_DIR	"etc/iommucfg/hooks.d"
#define HOOK_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* As run-parts(8): no backups, nothing that a package manager has left. */
static int is_hook_name(const struct dirent *e)
{
	static const char known[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	return !e->d_name[strspn(e->d_name, known)];
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A hook runs as root, so only root may write it. */
static bool is_roots(const struct stat *st)
{
	return !st->st_uid && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int not_roots(struct iommucfg_problems *problems, const struct iommucfg *ctx,
		     const char *path)
{
	iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "hook", EPERM,
			      "%s/%s is not root's, or others can write it: no hook is run, and nothing was touched",
			      ctx->root, path);
	ic_problem_cure(problems, "hook-owner", NULL);
	return -EPERM;
}

/* Adds the path of one entry, if it is a hook. */
static int add_hook(struct iommucfg *ctx, const char *name, char **paths, size_t *n,
		    struct iommucfg_problems *problems)
{
	struct stat st;
	char *path;
	int ret = 0;

	if (asprintf(&path, HOOKS_DIR "/%s", name) < 0)
		return -ENOMEM;
	if (!fstatat(ctx->rootfd, path, &st, 0) && S_ISREG(st.st_mode) &&
	    st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) {
		if (!is_roots(&st))
			ret = not_roots(problems, ctx, path);
		else if (asprintf(&paths[*n], "%s/%s", ctx->root, path) < 0)
			ret = -ENOMEM;
		else
			++*n;
	}
	free(path);
	return ret;
}

/* The hooks that there are, ended by NULL. -EPERM after a problem. */
static int find_hooks(struct iommucfg *ctx, char ***out, struct iommucfg_problems *problems)
{
	DIR *dir = ic_opendirat(ctx->rootfd, HOOKS_DIR);
	char **names = NULL, **paths;
	size_t n = 0, found = 0, cap = 0, i;
	struct dirent *e;
	struct stat st;
	int ret = 0;

	*out = NULL;
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	if (!fstat(dirfd(dir), &st) && !is_roots(&st))
		ret = not_roots(problems, ctx, HOOKS_DIR);
	while (!ret && (e = readdir(dir))) {
		if (!is_hook_name(e))
			continue;
		ret = IC_GROW(names, n, cap) ? -ENOMEM : ic_strdup(&names[n], e->d_name);
		n += !ret;
	}
	closedir(dir);
	if (names)
		qsort(names, n, sizeof(*names), by_bytes);
	paths = calloc(n + 1, sizeof(*paths));
	if (!paths)
		ret = -ENOMEM;
	for (i = 0; i < n && !ret; i++)
		ret = add_hook(ctx, names[i], paths, &found, problems);
	while (n)
		free(names[--n]);
	free(names);
	if (!ret && found) {
		*out = paths;
		return 0;
	}
	ic_free_names(paths);
	return ret;
}

bool iommucfg_hooks_any(struct iommucfg *ctx)
{
	char **paths;
	int ret = find_hooks(ctx, &paths, NULL);
	bool any = ret || paths;

	ic_free_names(paths);
	return any;
}

static int set_document(struct iommucfg_run *run, const char *document)
{
	size_t length = strlen(document), at = 0;
	ssize_t n;

	run->hook_input = memfd_create("iommucfg-plan", MFD_CLOEXEC);
	if (run->hook_input < 0)
		return -errno;
	while (at < length) {
		n = write(run->hook_input, document + at, length - at);
		if (n < 0)
			return -errno;
		at += n;
	}
	return 0;
}

static char **environment(const struct iommucfg_run *run, const char *result)
{
	const char *action = run->action ? run->action : "apply";
	char **env = calloc(6, sizeof(*env));

	if (env && (ic_strdup(&env[0], "PATH=" HOOK_PATH) || ic_strdup(&env[1], "LANG=C") ||
		    asprintf(&env[2], "IOMMUCFG_TRANSACTION=%s", run->transaction) < 0 ||
		    asprintf(&env[3], "IOMMUCFG_ACTION=%s", action) < 0 ||
		    asprintf(&env[4], "IOMMUCFG_RESULT=%s", result) < 0)) {
		ic_free_names(env);
		return NULL;
	}
	return env;
}

/* Starts the one at run->hook. */
static int start(struct iommucfg_run *run, const char *what, const char *result, long limit)
{
	char *path = run->hooks[run->hook];
	char *argv[] = { path, (char *)what, NULL };
	struct ic_program program = {
		.argv = argv, .dir = "/", .input = run->hook_input, .copy_to = STDERR_FILENO,
		.limit = limit, .env = environment(run, result),
	};
	int ret = -ENOMEM;

	/* Each reads it from the beginning. */
	lseek(run->hook_input, 0, SEEK_SET);
	if (program.env) {
		ic_run_say(run, IOMMUCFG_RUN_DEBUG, "running \"%s %s\"", path, what);
		ret = ic_child_start(&run->program, &program);
	}
	ic_free_names((char **)program.env);
	return ret;
}

static void add_problem(struct iommucfg_run *run, enum iommucfg_severity severity,
			const char *what, const char *why, int error)
{
	iommucfg_problems_add(run->problems, severity, "hook", error, "the hook \"%s %s\" %s",
			      run->hooks[run->hook], what, why);
}

static void did_not_start(struct iommucfg_run *run, enum iommucfg_severity severity,
			  const char *what, int ret)
{
	char why[128];

	snprintf(why, sizeof(why), "cannot be run: %s", strerror(-ret));
	add_problem(run, severity, what, why, -ret);
}

/* The one that has run ended so; true where it failed. */
static bool failed(struct iommucfg_run *run, enum iommucfg_severity severity, const char *what)
{
	char *why;

	if (!ic_child_failed(&run->program))
		return false;
	why = ic_child_describe(&run->program);
	add_problem(run, severity, what, why ? why : "failed",
		    run->program.timed_out ? ETIMEDOUT : ECANCELED);
	free(why);
	return true;
}

/* Before the change ------------------------------------------------------- */

static int start_before(struct iommucfg_run *run)
{
	int ret;

	if (!run->hooks[run->hook]) {
		if (run->hooks_refresh)
			iommucfg_kernel_generation(run->ctx, &run->generation);
		return IOMMUCFG_RUN_DONE;
	}
	ret = start(run, "before", "planned", HOOK_SECONDS);
	if (ret) {
		did_not_start(run, IOMMUCFG_REFUSED, "before", ret);
		return IOMMUCFG_RUN_REFUSED;
	}
	ic_run_enter(run, IC_PHASE_BEFORE);
	return IOMMUCFG_RUN_AGAIN;
}

int ic_run_before_begin(struct iommucfg_run *run, const char *document)
{
	int ret = find_hooks(run->ctx, &run->hooks, run->problems);
	uint64_t now = 0;

	/* What hooks change elsewhere does not stand against the plan that is made after them. */
	iommucfg_kernel_generation(run->ctx, &now);
	run->hooks_refresh = now == run->generation;
	if (!ret && !run->hooks)
		return IOMMUCFG_RUN_DONE;
	if (!ret)
		ret = set_document(run, document);
	if (!ret)
		return start_before(run);
	if (ret != -EPERM)
		iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "hook", -ret,
				      "the hooks cannot be run: %s", strerror(-ret));
	return IOMMUCFG_RUN_REFUSED;
}

int ic_run_before_step(struct iommucfg_run *run)
{
	if (ic_run_cancelled(run)) {
		ic_child_kill(&run->program);
		return ic_run_interrupted(run);
	}
	if (ic_child_runs(&run->program))
		return IOMMUCFG_RUN_AGAIN;
	if (failed(run, IOMMUCFG_REFUSED, "before"))
		return IOMMUCFG_RUN_REFUSED;
	run->hook++;
	run->hooks_done = run->hook;
	return start_before(run);
}

/* After it ---------------------------------------------------------------- */

static int start_after(struct iommucfg_run *run)
{
	int ret;

	ret = start(run, "after", run->result ? run->result : "committed",
		    ic_run_seconds(run, HOOK_SECONDS));
	if (ret) {
		did_not_start(run, IOMMUCFG_REFUSED, "after", ret);
		return ic_run_roll_back(run);
	}
	ic_run_enter(run, IC_PHASE_AFTER);
	return IOMMUCFG_RUN_AGAIN;
}

/* Those at and above run->hook have been called. */
static int next_after(struct iommucfg_run *run)
{
	if (run->hook) {
		run->hook--;
		return start_after(run);
	}
	ic_run_take_lock_back(run);
	return IOMMUCFG_RUN_DONE;
}

/* A service that a hook starts may need the lock. */
int ic_run_after_begin(struct iommucfg_run *run)
{
	/* Once a run: after the last of its steps. */
	if (!run->hooks_done || run->step + 1 < run->num_steps)
		return IOMMUCFG_RUN_DONE;
	ic_run_lend_lock(run);
	run->hook = run->hooks_done;
	return next_after(run);
}

/* The verdict is a no, but the change stands: those that were not called yet are. */
int ic_run_after_rest(struct iommucfg_run *run)
{
	if (run->hook == run->hooks_done)
		return ic_run_after_begin(run);
	return run->hook || run->lock < 0 ? next_after(run) : IOMMUCFG_RUN_DONE;
}

int ic_run_after_step(struct iommucfg_run *run)
{
	if (ic_run_went_wrong(run))
		return IOMMUCFG_RUN_AGAIN;
	if (ic_child_runs(&run->program))
		return IOMMUCFG_RUN_AGAIN;
	if (failed(run, IOMMUCFG_REFUSED, "after"))
		return ic_run_roll_back(run);
	return next_after(run);
}

/* The change does not stand. Waits for each; whatever they say has no effect. */
void ic_run_undone(struct iommucfg_run *run)
{
	int ret;

	while (run->hooks_done) {
		run->hook = --run->hooks_done;
		ret = start(run, "undone", run->result, HOOK_SECONDS);
		if (ret) {
			did_not_start(run, IOMMUCFG_WARNING, "undone", ret);
			continue;
		}
		while (ic_child_runs(&run->program))
			ic_child_wait(&run->program);
		failed(run, IOMMUCFG_WARNING, "undone");
	}
}
