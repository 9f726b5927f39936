// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A list for people: where many problems differ in the group and the device
 * alone, the first is kept, and says which groups the others are about.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/* Fewer stay as they are. */
#define MIN_ALIKE	4
#define MAX_RANGES	8

struct entry {
	const struct iommucfg_problem *problem;
	size_t index;
	char *template;		/* the message without group and device */
	bool folded;
};

/* The message with "#" for the number of its group and the name of its device. */
static char *template_of(const struct iommucfg_problem *p)
{
	const char *text = p->message, *device = p->device && *p->device ? p->device : NULL;
	size_t length = device ? strlen(device) : 0, n, size;
	char group[32], *copy = NULL;
	FILE *f;

	n = snprintf(group, sizeof(group), "group %ld", p->group);
	f = open_memstream(&copy, &size);
	if (!f)
		return NULL;
	while (*text) {
		if (!strncmp(text, group, n) && !(text[n] >= '0' && text[n] <= '9')) {
			fputs("group #", f);
			text += n;
		} else if (device && !strncmp(text, device, length)) {
			fputc('#', f);
			text += length;
		} else {
			fputc(*text++, f);
		}
	}
	if (fclose(f)) {
		free(copy);
		return NULL;
	}
	return copy;
}

static int compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* 0 for what can be one line. */
static int compare_kinds(const struct entry *a, const struct entry *b)
{
	const struct iommucfg_problem *x = a->problem, *y = b->problem;
	int order = strcmp(a->template, b->template);

	if (!order)
		order = compare_texts(x->file, y->file);
	if (!order)
		order = compare_texts(x->rule, y->rule);
	if (!order)
		order = (x->line > y->line) - (x->line < y->line);
	return order ? order : (int)x->severity - (int)y->severity;
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = compare_kinds(x, y);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static int by_number(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* "101-131, 140" */
static char *ranges_of(const struct entry *entries, size_t n)
{
	long *groups = calloc(n, sizeof(*groups));
	size_t i, k, size, ranges = 0;
	char *text = NULL;
	FILE *f;

	f = groups ? open_memstream(&text, &size) : NULL;
	if (!f) {
		free(groups);
		return NULL;
	}
	for (i = 0; i < n; i++)
		groups[i] = entries[i].problem->group;
	qsort(groups, n, sizeof(*groups), by_number);
	for (i = 0; i < n; i = k, ranges++) {
		for (k = i + 1; k < n && groups[k] <= groups[k - 1] + 1; k++)
			;
		if (ranges == MAX_RANGES) {
			fputs(", ...", f);
			break;
		}
		fprintf(f, groups[k - 1] == groups[i] ? "%s%ld" : "%s%ld-%ld", i ? ", " : "",
			groups[i], groups[k - 1]);
	}
	free(groups);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* @messages: gets the line of the first of each kind; the others are marked. */
static int fold(struct entry *entries, size_t n, char **messages)
{
	size_t i, j, k;
	char *ranges;
	int ret = 0;

	for (i = 0; i < n && ret >= 0; i = k) {
		for (k = i + 1; k < n && !compare_kinds(&entries[i], &entries[k]); k++)
			;
		if (k - i < MIN_ALIKE || entries[i].problem->group < 0)
			continue;
		ranges = ranges_of(&entries[i + 1], k - i - 1);
		if (!ranges)
			return -ENOMEM;
		ret = asprintf(&messages[entries[i].index], "%s; the same for %zu more: groups %s",
			       entries[i].problem->message, k - i - 1, ranges);
		free(ranges);
		if (ret < 0)
			messages[entries[i].index] = NULL;
		for (j = i + 1; j < k; j++)
			entries[j].folded = true;
	}
	return ret < 0 ? -ENOMEM : 0;
}

int iommucfg_problems_fold(const struct iommucfg_problems *problems, size_t from,
			   struct iommucfg_problems **out)
{
	size_t i, all = iommucfg_problems_count(problems), n = all > from ? all - from : 0;
	struct iommucfg_problems *list = iommucfg_problems_new();
	struct entry *entries = calloc(n + 1, sizeof(*entries));
	char **messages = calloc(n + 1, sizeof(*messages));
	int ret = list && entries && messages ? 0 : -ENOMEM;

	for (i = 0; i < n && !ret; i++) {
		entries[i].problem = &problems->v[from + i];
		entries[i].index = i;
		entries[i].template = template_of(entries[i].problem);
		ret = entries[i].template ? 0 : -ENOMEM;
	}
	if (!ret) {
		qsort(entries, n, sizeof(*entries), compare);
		ret = fold(entries, n, messages);
		qsort(entries, n, sizeof(*entries), by_index);
	}
	for (i = 0; i < n && !ret; i++) {
		if (entries[i].folded)
			continue;
		ret = ic_problems_copy(list, entries[i].problem);
		if (!ret && messages[i]) {
			free(ic_problem_last(list)->message);
			ic_problem_last(list)->message = messages[i];
			messages[i] = NULL;
		}
	}
	for (i = 0; i < n && entries; i++)
		free(entries[i].template);
	for (i = 0; i < n && messages; i++)
		free(messages[i]);
	free(entries);
	free(messages);
	if (ret)
		iommucfg_problems_unref(list);
	else
		*out = list;
	return ret;
}
