// SPDX-License-Identifier: GPL-2.0
/* Calls of "iommucfgd --run": started, waited for, and what they came to. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon.h"

void attempt_name(const struct doc_journal *journal, char *name)
{
	snprintf(name, NAME_MAX_TXN, "fleet-%s-%lld", journal->rollout,
		 (long long)journal->attempt);
}

static void start(struct daemon *d, const char *action, const char *name)
{
	char unit[128];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Does not end with this process, and has none of its connections. */
	setsid();
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (d->runner) {
		execlp(d->runner, d->runner, action, name, NULL);
	} else if (sd_booted() > 0 && !*d->host.root) {
		snprintf(unit, sizeof(unit), "iommucfg-fleet-%s@%s.service", action, name);
		execlp("systemctl", "systemctl", "start", unit, NULL);
	} else {
		execl("/proc/self/exe", "iommucfgd", "--run", action, name, NULL);
	}
	fprintf(stderr, "<3>%s: %m\n", d->runner ? d->runner : "systemctl");
	_exit(127);
}

/* False: it still runs, and we are to end. */
static bool wait_for(pid_t pid)
{
	struct pollfd fd = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status;
	pid_t done;

	for (;;) {
		done = waitpid(pid, &status, WNOHANG);
		if (done || stopping())
			break;
		alive();
		poll(&fd, fd.fd >= 0, fd.fd >= 0 ? 5000 : 100);
	}
	if (fd.fd >= 0)
		close(fd.fd);
	return done;
}

static int result_of(struct daemon *d, const char *action, const char *name,
		     struct json_object **document)
{
	struct json_object *o, *value;
	char path[PATH_MAX];
	int code = -1;

	host_state(&d->host, path, "result");
	o = json_object_from_file(path);
	if (json_object_object_get_ex(o, "action", &value) &&
	    !strcmp(json_object_get_string(value), action) &&
	    json_object_object_get_ex(o, "name", &value) &&
	    !strcmp(json_object_get_string(value), name) &&
	    json_object_object_get_ex(o, "exit", &value))
		code = json_object_get_int(value);
	if (document && code >= 0 && json_object_object_get_ex(o, "document", &value))
		*document = json_object_get(value);
	json_object_put(o);
	return code;
}

int act(struct daemon *d, const char *action, struct json_object **document)
{
	char name[NAME_MAX_TXN], path[PATH_MAX];
	pid_t pid;
	int code = -1;

	if (document)
		*document = NULL;
	attempt_name(agent_journal(d->agent), name);
	host_state(&d->host, path, "result");
	if (unlink(path) && errno != ENOENT) {
		note("<3>", "%s: %m", path);
		return -1;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		start(d, action, name);
	if (pid > 0 && wait_for(pid))
		code = result_of(d, action, name, document);
	note("<7>", "%s %s: %d", action, name, code);
	return code;
}
