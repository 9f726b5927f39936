// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Trace instances of this library: the kernel's trace events for one reader, which take
 * nothing from others. Their names end in the process that has made them, so that what a
 * killed process has left can be removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace-instance.h"

void ic_instance_remove(struct iommucfg *ctx, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "/instances/%.64s", name);
	unlinkat(ctx->rootfd, path, AT_REMOVEDIR);
}

/* Those of processes that were killed. */
static void remove_left(struct iommucfg *ctx, const char *prefix)
{
	DIR *dir = ic_opendirat(ctx->rootfd, TRACING "/instances");
	const struct dirent *e;
	unsigned long pid;

	while (dir && (e = readdir(dir)))
		if (!strncmp(e->d_name, prefix, strlen(prefix)) &&
		    !ic_parse_number(e->d_name + strlen(prefix), 10, INT_MAX, &pid) &&
		    kill(pid, 0) && errno == ESRCH)
			ic_instance_remove(ctx, e->d_name);
	if (dir)
		closedir(dir);
}

/* Makes one, with its name in @name, in which @event ("system/name") is on; false if not. */
bool ic_instance_make(struct iommucfg *ctx, const char *prefix, const char *event, char *name,
		      size_t size)
{
	char path[192];

	*name = '\0';
	snprintf(path, sizeof(path), TRACING "/events/%s", event);
	if (faccessat(ctx->rootfd, path, F_OK, 0))
		return false;
	remove_left(ctx, prefix);
	snprintf(name, size, "%s%ld", prefix, (long)getpid());
	snprintf(path, sizeof(path), TRACING "/instances/%s", name);
	if (mkdirat(ctx->rootfd, path, 0700)) {
		*name = '\0';
		return false;
	}
	snprintf(path, sizeof(path), TRACING "/instances/%s/events/%s/enable", name, event);
	ic_write_attr(ctx->rootfd, path, "1\n");
	return true;
}
