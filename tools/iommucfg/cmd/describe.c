// SPDX-License-Identifier: GPL-2.0
/* Devices and their uses in words. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

char *describe_device(struct iommucfg_device *device)
{
	const char *vendor = iommucfg_device_vendor_name(device);
	const char *name = iommucfg_device_device_name(device);
	const char *class = iommucfg_device_class_name(device);
	char *text = NULL;
	int n;

	if (vendor && name)
		n = asprintf(&text, "%s %s", vendor, name);
	else if (vendor || class)
		n = asprintf(&text, "%s%s%s", vendor ? vendor : "", vendor && class ? " " : "",
			     class ? class : "");
	else
		return NULL;
	return n < 0 ? NULL : text;
}

/* Addresses and the like stand below each other: a table has little width. */
static void put_detail(FILE *f, const char *detail)
{
	const char *comma;

	while ((comma = strstr(detail, ", "))) {
		fprintf(f, "%.*s\n  ", (int)(comma - detail), detail);
		detail = comma + 2;
	}
	fputs(detail, f);
}

/* A line for each use, or more; NULL for none. */
char *describe_uses(const struct iommucfg_device *device)
{
	size_t i, length, n = iommucfg_device_num_uses(device);
	const struct iommucfg_use *use;
	char *text = NULL;
	FILE *f;

	if (!n)
		return NULL;
	f = open_memstream(&text, &length);
	if (!f)
		return NULL;
	for (i = 0; i < n; i++) {
		use = iommucfg_device_use(device, i);
		fprintf(f, "%s%s", i ? "\n" : "", iommucfg_use_name(use));
		if (!strcmp(iommucfg_use_kind(use), "swap"))
			fputs(": swap", f);
		else if (!strcmp(iommucfg_use_kind(use), "mount"))
			fprintf(f, ": mounted on %s", iommucfg_use_detail(use));
		else if (fputs(": ", f) >= 0)
			put_detail(f, iommucfg_use_detail(use));
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* "1 group", "2 groups" */
char *describe_plural(size_t n, const char *one)
{
	char *text;

	return asprintf(&text, "%zu %s%s", n, one, n == 1 ? "" : "s") < 0 ? NULL : text;
}
