// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A list for people: where many problems differ in the group and the device
 * alone, the first is kept, and says which groups the others are about. So it is with
 * many rules that match nothing, as in one policy for many kinds of hosts.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/* Fewer stay as they are. */
#define MIN_ALIKE	4
#define MAX_RANGES	8
#define MIN_RULES	10
#define MAX_RULES	40

struct entry {
	const struct iommucfg_problem *problem;
	size_t index;
	char *template;		/* the message without group and device */
	bool folded;
};

static bool is_unmatched(const struct iommucfg_problem *p)
{
	return !strcmp(p->kind, "unmatched");
}

/* The message with "#" for the number of its group and the name of its device. */
static char *template_of(const struct iommucfg_problem *p)
{
	const char *text = p->message, *device = p->device && *p->device ? p->device : NULL;
	size_t length = device ? strlen(device) : 0, n, size;
	char group[32], *copy = NULL;
	FILE *f;

	if (is_unmatched(p))
		return strdup("unmatched");
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

	if (!order && is_unmatched(x))
		return (int)x->severity - (int)y->severity;
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

/* "\"b\" (line 3), \"c\" (x.conf:1), ...": the file where it is not that of the first one. */
static char *rules_of(const struct entry *first, size_t n)
{
	const struct iommucfg_problem *p;
	size_t i, size;
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (i = 1; i <= n && i <= MAX_RULES; i++) {
		p = first[i].problem;
		fprintf(f, "%s\"%s\" (", i > 1 ? ", " : "", p->rule);
		if (compare_texts(p->file, first->problem->file))
			fprintf(f, "%s:%d)", p->file, p->line);
		else
			fprintf(f, "line %d)", p->line);
	}
	if (n > MAX_RULES)
		fprintf(f, ", and %zu more, which --json lists", n - MAX_RULES);
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
	char *others;
	bool rules;
	int ret = 0;

	for (i = 0; i < n && ret >= 0; i = k) {
		for (k = i + 1; k < n && !compare_kinds(&entries[i], &entries[k]); k++)
			;
		rules = is_unmatched(entries[i].problem);
		if (k - i < (rules ? MIN_RULES : MIN_ALIKE) ||
		    (!rules && entries[i].problem->group < 0))
			continue;
		others = rules ? rules_of(&entries[i], k - i - 1) :
				 ranges_of(&entries[i + 1], k - i - 1);
		if (!others)
			return -ENOMEM;
		ret = asprintf(&messages[entries[i].index], "%s; the same for %zu more%s %s",
			       entries[i].problem->message, k - i - 1,
			       rules ? ":" : ": groups", others);
		free(others);
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
