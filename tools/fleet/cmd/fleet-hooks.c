// SPDX-License-Identifier: GPL-2.0
/*
 * The coordinator's hooks as processes: each in a process group, with the document on its
 * standard input, for a bounded time. Of what it prints the last line is kept for people.
 * Should this process die, a second one that knows them (the guard) kills them at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "child.h"
#include "fleet.h"
#include "iommucfg.h"

struct hook_run {
	struct hook_run *next;
	struct pool *pool;	/* NULL: it is over, or was killed */
	char host[DOC_HOST_MAX + 1];
	char what[8];		/* "before" or "after" */
	int64_t serial;
	pid_t group;
	struct ic_child child;
};

static bool take_path(config_t *config, const char *file, const char *path, char **to)
{
	const char *value;

	if (!config_lookup(config, path))
		return true;
	if (!config_lookup_string(config, path, &value) || *value != '/') {
		fprintf(stderr, "%s: \"%s\" is no absolute path\n", file, path);
		return false;
	}
	*to = strdup(value);
	return *to;
}

bool hooks_take(struct conf *conf, config_t *config, const char *file, void *data)
{
	static const char *const known[] = { "store", "pools", "hooks", "metrics", NULL };
	static const char *const known_hooks[] = { "before", "after", "timeout", NULL };
	struct hook_config *hooks = data;
	config_setting_t *timeout = config_lookup(config, "hooks.timeout");

	(void)conf;
	hooks->timeout = HOOK_SECONDS;
	/* A "before" that is misspelt would be a rollout without it. */
	if (!conf_only_known(file, config_root_setting(config), known, iommucfg_suggest) ||
	    !conf_only_known(file, config_lookup(config, "store"), conf_store_words,
			     iommucfg_suggest) ||
	    !conf_only_known(file, config_lookup(config, "hooks"), known_hooks,
			     iommucfg_suggest) ||
	    !take_path(config, file, "hooks.before", &hooks->before) ||
	    !take_path(config, file, "hooks.after", &hooks->after) ||
	    !take_path(config, file, "metrics", &hooks->metrics))
		return false;
	if (timeout && (config_setting_type(timeout) != CONFIG_TYPE_INT ||
			config_setting_get_int(timeout) < 1 ||
			config_setting_get_int(timeout) > 86400)) {
		fprintf(stderr, "%s: \"hooks.timeout\" is not 1 to 86400 seconds\n", file);
		return false;
	}
	if (timeout)
		hooks->timeout = config_setting_get_int(timeout);
	return true;
}

void hooks_config_clear(struct hook_config *config)
{
	free(config->before);
	free(config->after);
	free(config->metrics);
	*config = (struct hook_config){ 0 };
}

/* The document as a file that is read from its beginning; -1: errno says why. */
static int input_of(const char *text)
{
	int fd = memfd_create("hook", MFD_CLOEXEC);
	size_t size = strlen(text);

	if (fd < 0)
		return -1;
	if (write(fd, text, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET))
		return fd;
	close(fd);
	return -1;
}

/*
 * The guard: a process that is told of each process group of a hook, and kills those that are
 * left when this one has ended, however that was. Otherwise they would go on beside those that
 * the next coordinator calls.
 */
struct guarded {
	pid_t group;
	bool over;
};

static int guard = -1;

static void __attribute__((noreturn)) guard_all(int fd)
{
	static pid_t groups[1024];
	const size_t room = sizeof(groups) / sizeof(*groups);
	struct guarded told;
	size_t i;

	close_range(0, fd - 1, 0);
	close_range(fd + 1, ~0U, 0);
	/* It ends when the other one does, which may take as long as that needs. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	while (read(fd, &told, sizeof(told)) == sizeof(told)) {
		for (i = 0; i < room && groups[i] != (told.over ? told.group : 0); i++)
			;
		if (i < room)
			groups[i] = told.over ? 0 : told.group;
	}
	for (i = 0; i < room; i++) {
		if (groups[i])
			kill(-groups[i], SIGKILL);
	}
	_exit(0);
}

/* False: there is none; errno says why. */
static bool tell_guard(pid_t group, bool is_over)
{
	const struct guarded told = { group, is_over };
	int fds[2];
	pid_t pid;

	if (guard < 0) {
		if (pipe2(fds, O_CLOEXEC))
			return false;
		pid = fork();
		if (!pid)
			guard_all(fds[0]);
		close(fds[0]);
		if (pid < 0) {
			close(fds[1]);
			return false;
		}
		guard = fds[1];
	}
	if (write(guard, &told, sizeof(told)) == sizeof(told))
		return true;
	/* It was killed: the next hook gets another one. */
	close(guard);
	guard = -1;
	return false;
}

/* False: the reason is in errno. */
static bool run(struct hook_run *run, const struct hook_config *config, const char *text)
{
	char *argv[] = {
		*run->what == 'a' ? config->after : config->before, run->what, run->host, NULL
	};
	/* What it leaves behind does not go on beside the next call. */
	const struct ic_program program = {
		.argv = argv, .input = input_of(text), .copy_to = -1, .kill_rest = true,
		.limit = config->timeout,
	};
	int error = errno;

	if (program.input >= 0) {
		error = -ic_child_start(&run->child, &program);
		close(program.input);
	}
	run->group = error ? 0 : run->child.pid;
	if (!error && !tell_guard(run->group, false)) {
		error = errno;
		ic_child_kill(&run->child);
	}
	errno = error;
	return !error;
}

static void kill_run(struct hook_run *run)
{
	ic_child_kill(&run->child);
	run->pool = NULL;
}

/* There is nothing left of it. */
static void forget_run(struct hook_run *run)
{
	tell_guard(run->group, true);
	free(run);
}

void hooks_start(struct hook_run **runs, const struct hook_config *config, struct pool *pool,
		 const struct step *step, int64_t now)
{
	struct hook_run *new;

	for (new = *runs; new; new = new->next) {
		if (new->pool != pool || strcmp(new->host, step->key))
			continue;
		if (new->serial == step->rev)
			return;
		/* The one before it is not waited for any more, and would work against it. */
		kill_run(new);
	}
	new = calloc(1, sizeof(*new));
	if (!new) {
		coordinator_hooked(pool->coordinator, step->key, step->rev, false, "out of memory",
				   now);
		return;
	}
	*new = (struct hook_run){ .pool = pool, .serial = step->rev };
	snprintf(new->what, sizeof(new->what), "%s", step->what);
	snprintf(new->host, sizeof(new->host), "%.*s", DOC_HOST_MAX, step->key);
	if (!run(new, config, step->value)) {
		coordinator_hooked(pool->coordinator, step->key, step->rev, false, strerror(errno),
				   now);
		free(new);
		return;
	}
	fprintf(stderr, SD_INFO "%s: hook %s of %s\n", pool->name, step->what, step->key);
	new->next = *runs;
	*runs = new;
}

/* Of what it printed the last line that is not empty. */
static void last_line(const struct ic_child *child, char line[DOC_WHY_MAX])
{
	const char *end = child->tail + child->tail_length, *at;

	while (end > child->tail && end[-1] == '\n')
		end--;
	for (at = end; at > child->tail && at[-1] != '\n'; at--)
		;
	snprintf(line, DOC_WHY_MAX, "%.*s", (int)(end - at), at);
	doc_line(line);
}

static void over(struct hook_run *run, int64_t now)
{
	const struct ic_child *child = &run->child;
	char line[DOC_WHY_MAX], why[DOC_WHY_MAX + 40];
	bool ok = !ic_child_failed(child);

	last_line(child, line);
	if (child->timed_out)
		snprintf(why, sizeof(why), "not over within its time; %s", line);
	else if (WIFEXITED(child->status))
		snprintf(why, sizeof(why), "exit %d; %s", WEXITSTATUS(child->status), line);
	else
		snprintf(why, sizeof(why), "signal %d; %s", WTERMSIG(child->status), line);
	if (!ok)
		fprintf(stderr, SD_WARNING "%s: hook %s of %s: %s\n", run->pool->name,
			run->what, run->host, why);
	coordinator_hooked(run->pool->coordinator, run->host, run->serial, ok, why, now);
	run->pool = NULL;
}

void hooks_collect(struct hook_run **runs, int64_t now)
{
	struct hook_run **at = runs, *run;

	while ((run = *at)) {
		if (run->pool && !ic_child_runs(&run->child))
			over(run, now);
		/* One that was killed, and is in the kernel, is waited for later. */
		if (!run->pool)
			ic_child_kill(&run->child);
		if (run->pool || run->child.killed) {
			at = &run->next;
			continue;
		}
		*at = run->next;
		forget_run(run);
	}
}

void hooks_stop(struct hook_run *runs, const struct pool *pool)
{
	for (; runs; runs = runs->next) {
		if (runs->pool == pool)
			kill_run(runs);
	}
}

void hooks_end(struct hook_run *runs)
{
	struct hook_run *next;

	for (; runs; runs = next) {
		next = runs->next;
		ic_child_kill(&runs->child);
		forget_run(runs);
	}
}
