// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which modules a modalias names, by libkmod. */
#include <errno.h>
#include <libkmod.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "internal.h"

static void no_log(void *data, int priority, const char *file, int line, const char *fn,
		   const char *format, va_list args)
{
	(void)data, (void)priority, (void)file, (void)line, (void)fn, (void)format, (void)args;
}

/* libkmod would wait for the other end of a pipe. */
static bool has_pipes(const char *path)
{
	struct dirent *e;
	bool found = false;
	struct stat st;
	DIR *dir;

	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)))
		found = !fstatat(dirfd(dir), e->d_name, &st, 0) && S_ISFIFO(st.st_mode);
	if (dir)
		closedir(dir);
	return found;
}

static struct kmod_ctx *context(struct iommucfg *ctx)
{
	static const char *const where[] = { "etc", "run", "usr/local/lib", "usr/lib", "lib" };
	char *config[sizeof(where) / sizeof(*where) + 1] = { NULL };
	char release[128], *dir = NULL;
	bool pipes;
	size_t i;

	if (ctx->kmod_tried)
		return ctx->kmod;
	ctx->kmod_tried = true;
	if (ic_release(ctx, release, sizeof(release)))
		return NULL;
	if (asprintf(&dir, "%s/lib/modules/%s", ctx->root, release) < 0)
		return NULL;
	pipes = has_pipes(dir);
	for (i = 0; i < sizeof(where) / sizeof(*where); i++) {
		if (asprintf(&config[i], "%s/%s/modprobe.d", ctx->root, where[i]) < 0) {
			config[i] = NULL;
			goto out;
		}
		pipes |= has_pipes(config[i]);
	}
	ctx->kmod = pipes ? NULL : kmod_new(dir, (const char *const *)config);
	if (ctx->kmod) {
		kmod_set_log_fn(ctx->kmod, no_log, NULL);
		/* Only makes lookups faster; without it they open the files. */
		kmod_load_resources(ctx->kmod);
	}
out:
	for (i = 0; config[i]; i++)
		free(config[i]);
	free(dir);
	return ctx->kmod;
}

/* An array ended by NULL; empty where nothing is known, NULL without memory. */
char **ic_modalias_modules(struct iommucfg *ctx, const char *modalias)
{
	struct kmod_list *list = NULL, *item;
	struct kmod_ctx *kmod = context(ctx);
	struct kmod_module *module;
	char **names;
	size_t n = 0;

	if (kmod && modalias && kmod_module_new_from_lookup(kmod, modalias, &list) < 0)
		list = NULL;
	kmod_list_foreach(item, list)
		n++;
	names = calloc(n + 1, sizeof(*names));
	n = 0;
	kmod_list_foreach(item, list) {
		module = kmod_module_get_module(item);
		if (names)
			names[n] = strdup(kmod_module_get_name(module));
		kmod_module_unref(module);
		if (names && names[n])
			n++;
	}
	kmod_module_unref_list(list);
	return names;
}

void ic_modalias_free(struct iommucfg *ctx)
{
	if (ctx->kmod)
		kmod_unref(ctx->kmod);
}
