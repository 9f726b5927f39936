// SPDX-License-Identifier: GPL-2.0
/* How the stand-in changes groups: methods, the limit of disruption, paused drivers. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "standin.h"

const char *const disruptions[] = { "none", "pause", "rebind", NULL };

static int in_place(const char *from, const char *to)
{
	char unused[8];

	if (!strcmp(from, "DMA") && !strcmp(to, "DMA-FQ"))
		return 1;
	return !strcmp(from, "DMA-FQ") && !strcmp(to, "DMA") &&
	       slurp(unused, sizeof(unused), "control/%s", "both-ways") >= 0;
}

/* Each group's method. */
void choose_methods(struct txn *txn)
{
	char lines[4096] = "", type[64], number[32], method[16], *p;
	int i;

	slurp(lines, sizeof(lines), "control/%s", "method");
	for (i = 0; i < txn->n; i++) {
		type_of(txn->groups[i].number, type, sizeof(type));
		strcpy(txn->groups[i].method, !strcmp(type, txn->groups[i].type) ? "unchanged" :
		       in_place(type, txn->groups[i].type) ? "in-place" : "rebind");
		for (p = lines; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : "")
			if (sscanf(p, "%31s %15s", number, method) == 2 &&
			    !strcmp(number, txn->groups[i].number))
				strcpy(txn->groups[i].method, method);
	}
}

/*
 * Does each group get by with the method that `disruption` allows? With a confirm timeout
 * the revert has to, too.
 */
int check_disruption(struct txn *txn)
{
	int i, ret = 0, needed, ceiling = 0;
	char type[64];

	while (disruptions[ceiling] && strcmp(disruptions[ceiling], txn->disruption))
		ceiling++;
	for (i = 0; i < txn->n; i++) {
		for (needed = 2; needed && strcmp(disruptions[needed], txn->groups[i].method); needed--)
			;
		type_of(txn->groups[i].number, type, sizeof(type));
		if (!strcmp(txn->groups[i].method, "in-place") && txn->timeout &&
		    !in_place(txn->groups[i].type, type))
			needed = 2;
		if (needed <= ceiling)
			continue;
		ret = -EOPNOTSUPP;
		snprintf(txn->report + strlen(txn->report),
			 sizeof(txn->report) - strlen(txn->report),
			 "%s - check EOPNOTSUPP the group needs disruption \"%s\"\n",
			 txn->groups[i].number, disruptions[needed]);
	}
	return ret;
}

/* Groups that cannot be paused after all are rebound, where that is allowed. */
int pause_groups(struct txn *txn)
{
	char numbers[256] = "", *word, *save;
	int i;

	slurp(numbers, sizeof(numbers), "control/%s", "unpausable");
	for (word = strtok_r(numbers, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		for (i = 0; i < txn->n; i++) {
			if (strcmp(txn->groups[i].number, word) ||
			    strcmp(txn->groups[i].method, "pause"))
				continue;
			snprintf(txn->report + strlen(txn->report),
				 sizeof(txn->report) - strlen(txn->report),
				 "%s - pause EBUSY a driver is paused and has 3 mappings left\n",
				 word);
			if (strcmp(txn->disruption, "rebind"))
				return -ECANCELED;
			strcpy(txn->groups[i].method, "rebind");
		}
	}
	return 0;
}

/* What the tracepoints have, in each instance that is there. */
void write_trace(void)
{
	char text[4096], path[4096];
	const struct dirent *e;
	DIR *dir;
	FILE *f;

	if (slurp(text, sizeof(text), "control/%s", "silent") < 0)
		return;
	snprintf(path, sizeof(path), "%s/sys/kernel/tracing/instances", tree);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/sys/kernel/tracing/instances/%s/trace", tree,
			 e->d_name);
		f = fopen(path, "w");
		if (f) {
			fputs(text, f);
			fclose(f);
		}
	}
	if (dir)
		closedir(dir);
}
