// SPDX-License-Identifier: GPL-2.0
/*
 * The coordinator's hooks as processes: each in a process group, with the document on its
 * standard input, for a bounded time. Of what it prints the last line is kept for people.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fleet.h"

/* Between SIGTERM and SIGKILL. */
#define GRACE_MS	5000

struct hook_run {
	struct hook_run *next;
	struct pool *pool;
	char host[DOC_HOST_MAX + 1];
	bool after;
	int64_t serial;
	pid_t pid;
	int output;
	int64_t until;
	bool late;
	char line[DOC_WHY_MAX];
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
	struct hook_config *hooks = data;
	config_setting_t *timeout = config_lookup(config, "hooks.timeout");

	(void)conf;
	hooks->timeout = HOOK_SECONDS;
	if (!take_path(config, file, "hooks.before", &hooks->before) ||
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

static void __attribute__((noreturn)) child(const char *program, const char *word, const char *host, int input,
					    int output)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	/* It does not go on beside the call of the next coordinator. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execl(program, program, word, host, NULL);
	printf("%s: %m\n", program);
	fflush(stdout);
	_exit(127);
}

static bool run(struct hook_run *run, const char *program, const char *text)
{
	const char *word = run->after ? "after" : "before";
	int input = input_of(text), fds[2] = { -1, -1 };

	run->pid = -1;
	if (input >= 0 && !pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
		fflush(NULL);
		run->pid = fork();
		if (!run->pid)
			child(program, word, run->host, input, fds[1]);
		/* Also here, so that it is a group before it is ended. */
		if (run->pid > 0)
			setpgid(run->pid, run->pid);
		close(fds[1]);
	}
	if (input >= 0)
		close(input);
	run->output = fds[0];
	return run->pid > 0;
}

static void end(struct hook_run **at)
{
	struct hook_run *run = *at;

	kill(-run->pid, SIGKILL);
	waitpid(run->pid, NULL, 0);
	close(run->output);
	*at = run->next;
	free(run);
}

void hooks_start(struct hook_run **runs, const struct hook_config *config, struct pool *pool,
		 const struct step *step, int64_t now)
{
	bool after = !strcmp(step->what, "after");
	struct hook_run *new, **at = runs;

	while (*at) {
		if ((*at)->pool != pool || strcmp((*at)->host, step->key)) {
			at = &(*at)->next;
			continue;
		}
		if ((*at)->serial == step->rev)
			return;
		/* The one before it is not waited for any more, and would work against it. */
		end(at);
	}
	new = calloc(1, sizeof(*new));
	if (!new) {
		coordinator_hooked(pool->coordinator, step->key, step->rev, false, "out of memory",
				   now);
		return;
	}
	*new = (struct hook_run){
		.pool = pool, .after = after, .serial = step->rev, .until = now + config->timeout * 1000LL,
	};
	snprintf(new->host, sizeof(new->host), "%.*s", DOC_HOST_MAX, step->key);
	if (!run(new, after ? config->after : config->before, step->value)) {
		coordinator_hooked(pool->coordinator, step->key, step->rev, false, strerror(errno),
				   now);
		if (new->output >= 0)
			close(new->output);
		free(new);
		return;
	}
	fprintf(stderr, SD_INFO "%s: hook %s of %s\n", pool->name, step->what, step->key);
	new->next = *runs;
	*runs = new;
}

/* Keeps the last line that is not empty. */
static void read_output(struct hook_run *run)
{
	char text[4096], *line, *at;
	ssize_t n;

	while ((n = read(run->output, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		for (at = text; (line = strsep(&at, "\n"));) {
			if (*line)
				snprintf(run->line, sizeof(run->line), "%s", line);
		}
	}
}

static void over(struct hook_run *run, int status, int64_t now)
{
	char why[DOC_WHY_MAX + 40];

	if (run->late)
		snprintf(why, sizeof(why), "not over within its time; %s", run->line);
	else if (WIFEXITED(status))
		snprintf(why, sizeof(why), "exit %d; %s", WEXITSTATUS(status), run->line);
	else
		snprintf(why, sizeof(why), "signal %d; %s", WTERMSIG(status), run->line);
	if (status)
		fprintf(stderr, SD_WARNING "%s: hook %s of %s: %s\n", run->pool->name,
			run->after ? "after" : "before", run->host, why);
	coordinator_hooked(run->pool->coordinator, run->host, run->serial, !status && !run->late,
			   why, now);
}

void hooks_collect(struct hook_run **runs, int64_t now)
{
	struct hook_run **at = runs, *run;
	int status = 0;

	while ((run = *at)) {
		read_output(run);
		if (!waitpid(run->pid, &status, WNOHANG)) {
			if (now >= run->until) {
				kill(-run->pid, run->late ? SIGKILL : SIGTERM);
				run->until = now + GRACE_MS;
				run->late = true;
			}
			at = &run->next;
			continue;
		}
		read_output(run);
		/* What it has left behind does not go on beside the next call. */
		kill(-run->pid, SIGKILL);
		over(run, status, now);
		close(run->output);
		*at = run->next;
		free(run);
	}
}

void hooks_stop(struct hook_run **runs, const struct pool *pool)
{
	while (*runs) {
		if (pool && (*runs)->pool != pool)
			runs = &(*runs)->next;
		else
			end(runs);
	}
}
