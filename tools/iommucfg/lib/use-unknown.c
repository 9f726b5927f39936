// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What could not be read while looking for what is in use. "Not there" is an
 * answer, "cannot be read" is none: what it may have hidden counts like a use.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

/* Is it not there? It may have gone between two looks: then the kernel has other words. */
bool ic_is_gone(int error)
{
	return error == -ENOENT || error == -ENODEV || error == -ESRCH;
}

static int add(struct iommucfg_topology *topology, struct iommucfg_device *device, int maybe,
	       int error, const char *why)
{
	struct ic_unread unread = { .device = device, .maybe = maybe, .error = -error };

	unread.why = strdup(why);
	if (!unread.why ||
	    IC_GROW(topology->unreads, topology->num_unreads, topology->cap_unreads)) {
		free(unread.why);
		return -ENOMEM;
	}
	topology->unreads[topology->num_unreads++] = unread;
	return 0;
}

static int add_all(struct iommucfg_topology *topology, const struct ic_devices *only, int maybe,
		   int error, const char *why)
{
	size_t i;
	int ret = 0;

	if (!only)
		return add(topology, NULL, maybe, error, why);
	for (i = 0; i < only->n && !ret; i++)
		ret = add(topology, only->v[i], maybe, error, why);
	return ret;
}

/*
 * Takes down that a file could not be read, with a negative errno, unless it is not
 * there. @only: the devices that it can concern, NULL for all. @maybe: see IC_MAYBE_*.
 */
int ic_unread(struct iommucfg_topology *topology, const struct ic_devices *only, int maybe,
	      int error, const char *format, ...)
{
	va_list args;
	char *file, *why;
	int n, ret = -ENOMEM;

	if (ic_is_gone(error))
		return 0;
	va_start(args, format);
	n = vasprintf(&file, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	if (asprintf(&why, "%s/%s cannot be read: %s", topology->ctx->root, file,
		     strerror(-error)) >= 0) {
		ret = add_all(topology, only, maybe, error, why);
		free(why);
	}
	free(file);
	return ret;
}

/* Takes down, as a sentence, what no file tells. */
int ic_unknown(struct iommucfg_topology *topology, const struct ic_devices *only, int maybe,
	       const char *format, ...)
{
	va_list args;
	char *why;
	int n, ret;

	va_start(args, format);
	n = vasprintf(&why, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	ret = add_all(topology, only, maybe, 0, why);
	free(why);
	return ret;
}

static bool is_same(const struct ic_unread *a, const struct ic_unread *b)
{
	return !strcmp(a->why, b->why);
}

/* A command that only looks has to tell as well. Once, however many devices it is about. */
int ic_unread_warn(const struct iommucfg_topology *topology, struct iommucfg_problems *problems)
{
	const struct ic_unread *u;
	size_t i;
	int ret = 0;

	for (i = 0; i < topology->num_unreads && !ret; i++) {
		u = &topology->unreads[i];
		if (i && is_same(u, u - 1))
			continue;
		ret = iommucfg_problems_add(problems, IOMMUCFG_WARNING, "system", u->error,
					    "%s is not known for certain: %s",
					    u->maybe ? "what is in use" :
						       "what addresses there are", u->why);
	}
	return ret;
}

/* How to permit a change that what it may have hidden would refuse; NULL if that would not. */
static const char *refuses(const struct iommucfg_plan_options *options, const struct ic_unread *u)
{
	int allowed = options->allow_in_use;
	bool net = u->maybe & IC_MAYBE_NET &&
		   !(allowed & (IOMMUCFG_WORD_NET | IOMMUCFG_WORD_DEFAULT_ROUTE));
	bool block = u->maybe & IC_MAYBE_BLOCK &&
		     !(allowed & (IOMMUCFG_WORD_BLOCK | IOMMUCFG_WORD_MOUNTED));

	if (u->maybe & IC_MAYBE_NEVER ||
	    (u->maybe & IC_MAYBE_MOUNTED && !(allowed & IOMMUCFG_WORD_MOUNTED)))
		return "";
	if (u->maybe & IC_MAYBE_OTHER && !(allowed & IOMMUCFG_WORD_OTHER))
		return "; --allow-in-use other permits it";
	if (net || block)
		return net && block ? "; --allow-in-use net,block permits it" :
		       net ? "; --allow-in-use net permits it" :
			     "; --allow-in-use block permits it";
	if (u->maybe & IC_MAYBE_DEFAULT_ROUTE && !options->confirm_timeout &&
	    !(allowed & IOMMUCFG_WORD_DEFAULT_ROUTE))
		return "; a confirm timeout permits it";
	return NULL;
}

/* Can what is not known be about the group of @change? */
static bool concerns(const struct ic_unread *u, const struct iommucfg_change *change)
{
	return !u->device || (u->device->group == change->group && ic_is_released(u->device));
}

/* Is it not known of the group whether it is in use in a way that is not permitted? */
bool ic_unread_hides(const struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	const struct iommucfg_topology *topology = plan->topology;
	size_t i;

	for (i = 0; i < topology->num_unreads; i++)
		if (concerns(&topology->unreads[i], change) &&
		    refuses(&plan->options, &topology->unreads[i]))
			return true;
	return false;
}

/*
 * Returns if it cannot be told whether the group of @change is in use: an error, or a
 * warning where it is left out because of that.
 */
int ic_unread_judge(struct iommucfg_plan *plan, const struct iommucfg_change *change)
{
	const struct iommucfg_topology *topology = plan->topology;
	const struct ic_unread *u, *last = NULL;
	const char *hint;
	size_t i;
	int ret;

	for (i = 0; i < topology->num_unreads; i++) {
		u = &topology->unreads[i];
		if (!concerns(u, change))
			continue;
		hint = refuses(&plan->options, u);
		if (!hint || (last && is_same(last, u)))
			continue;
		struct ic_where where = {
			.file = change->file, .line = change->line,
			.rule = change->rule ? change->rule->name : NULL,
			.group = change->group->number,
			.device = u->device ? u->device->name : NULL, .error = u->error,
		};
		ret = ic_problem(plan->problems, plan->options.skip_in_use ? IOMMUCFG_WARNING :
				 IOMMUCFG_ERROR, "system", &where,
				 "group %u may be in use%s: %s%s%s", change->group->number,
				 plan->options.skip_in_use ? ", and is left out" : "", u->why,
				 hint, ic_way_back_text(plan, change));
		if (ret)
			return ret;
		last = u;
	}
	return !!last;
}

void ic_unread_free(struct iommucfg_topology *topology)
{
	size_t i;

	for (i = 0; i < topology->num_unreads; i++)
		free(topology->unreads[i].why);
	free(topology->unreads);
}
