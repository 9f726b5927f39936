// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a commit did: by which method each group was changed, and for how long each device
 * was paused. The kernel's files have the methods. The times are in a trace event alone, so
 * a trace instance is made for the commit, and removed after it.
 */
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "trace-instance.h"

#define EVENT		"iommu_configfs/icfg_resume"
#define PREFIX		"iommucfg-"

static bool any_paused(const struct iommucfg_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->changes.n; i++)
		if (!strcmp(plan->changes.v[i]->method, "pause"))
			return true;
	return false;
}

/* Before a commit. Where it cannot be watched the times are not known. */
void ic_run_watch_pauses(struct iommucfg_run *run)
{
	if (any_paused(run->plan))
		ic_instance_make(run->ctx, PREFIX, EVENT, run->instance, sizeof(run->instance));
}

static struct iommucfg_device *find_device(const struct iommucfg_plan *plan, unsigned int group,
					   const char *name)
{
	const struct iommucfg_group *g;
	size_t i, j;

	for (i = 0; i < plan->changes.n; i++) {
		g = plan->changes.v[i]->group;
		for (j = 0; g->number == group && j < g->num_devices; j++)
			if (!strcmp(g->devices[j]->name, name))
				return g->devices[j];
	}
	return NULL;
}

static bool is_ours(const struct iommucfg_run *run, const char *transaction)
{
	return (run->txn && !strcmp(transaction, run->txn->name)) ||
	       (run->second && !strcmp(transaction, run->second->name));
}

/* "... icfg_resume: transaction=T group=G device=D driver=NAME silent_us=N err=E" */
static void read_event(struct iommucfg_run *run, const char *line)
{
	char transaction[IOMMUCFG_TXN_NAME_MAX + 1], name[128];
	struct iommucfg_device *device;
	const char *event, *silent;
	unsigned int group;
	long us;

	event = strstr(line, "icfg_resume: ");
	silent = event ? strstr(event, " silent_us=") : NULL;
	if (!silent || sscanf(event, "icfg_resume: transaction=%64s group=%u device=%127s",
			      transaction, &group, name) != 3 ||
	    sscanf(silent, " silent_us=%ld", &us) != 1 || us < 0 || !is_ours(run, transaction))
		return;
	device = find_device(run->plan, group, name);
	/* Paused in vain, it may be paused again. */
	if (device)
		device->silent += us;
}

static void read_events(struct iommucfg_run *run)
{
	char path[128], *text, *line, *save;

	if (!*run->instance)
		return;
	snprintf(path, sizeof(path), TRACING "/instances/%s/trace", run->instance);
	text = ic_read_text(run->ctx->rootfd, path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		read_event(run, line);
	free(text);
}

/* Groups that were to be paused, and had to be rebound: the report says why. */
static void tell_not_paused(struct iommucfg_run *run, struct iommucfg_txn *txn)
{
	struct iommucfg_problems *report = iommucfg_problems_new();
	size_t i;

	if (!report)
		return;
	iommucfg_txn_report(txn, IOMMUCFG_WARNING, report);
	for (i = 0; i < report->n; i++) {
		if (!report->v[i].phase || strcmp(report->v[i].phase, "pause") ||
		    (report->v[i].error_word && !strcmp(report->v[i].error_word, "EINPROGRESS")) ||
		    ic_problems_copy(run->problems, &report->v[i]))
			continue;
		ic_problem_cure(run->problems, "not-paused", NULL);
	}
	iommucfg_problems_unref(report);
}

/* After a commit that came to @ret. What failed is told elsewhere. */
void ic_run_note_methods(struct iommucfg_run *run, int ret)
{
	struct iommucfg_txn *const txns[] = { run->txn, run->second };
	size_t i;

	for (i = 0; i < sizeof(txns) / sizeof(*txns); i++) {
		if (!txns[i])
			continue;
		ic_plan_read_methods(run->plan, txns[i]);
		if (!ret)
			tell_not_paused(run, txns[i]);
	}
	read_events(run);
	ic_run_unwatch(run);
}

void ic_run_unwatch(struct iommucfg_run *run)
{
	if (*run->instance)
		ic_instance_remove(run->ctx, run->instance);
	*run->instance = '\0';
}
