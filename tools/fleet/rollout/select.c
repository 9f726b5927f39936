// SPDX-License-Identifier: LGPL-2.1-or-later
/* Selectors of hosts by their labels. */
#include <stdio.h>
#include <string.h>

#include "doc.h"

/* The next "NAME=VALUE" or "NAME!=VALUE" of @text; false at its end, or where it is none. */
static bool next_term(const char **text, char *name, char *value, bool *not)
{
	size_t length = strcspn(*text, ","), at = strcspn(*text, "=!");

	*not = (*text)[at] == '!';
	if (!length || length > DOC_HOST_MAX || at + *not + 1 >= length || (*text)[at + *not] != '=')
		return false;
	snprintf(name, DOC_HOST_MAX + 1, "%.*s", (int)at, *text);
	at += *not + 1;
	snprintf(value, DOC_HOST_MAX + 1, "%.*s", (int)(length - at), *text + at);
	*text += length + ((*text)[length] == ',' && (*text)[length + 1]);
	return doc_is_host(name) && doc_is_host(value);
}

bool doc_is_selector(const char *selector)
{
	char name[DOC_HOST_MAX + 1], value[DOC_HOST_MAX + 1];
	bool not;

	while (*selector) {
		if (!next_term(&selector, name, value, &not))
			return false;
	}
	return true;
}

static bool has_label(const char *labels, const char *name, const char *value)
{
	char is_name[DOC_HOST_MAX + 1], is[DOC_HOST_MAX + 1];
	bool not;

	while (*labels && next_term(&labels, is_name, is, &not)) {
		if (!strcmp(name, is_name))
			return !strcmp(value, is);
	}
	return false;
}

bool doc_selects(const char *selector, const char *labels)
{
	char name[DOC_HOST_MAX + 1], value[DOC_HOST_MAX + 1];
	bool not;

	while (*selector && next_term(&selector, name, value, &not)) {
		if (has_label(labels, name, value) == not)
			return false;
	}
	return true;
}
