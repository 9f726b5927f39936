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

static void put_name(FILE *f, const char *name, size_t *n, size_t most)
{
	if (most && *n >= most)
		return;
	fprintf(f, "%s%s", *n ? "," : "", name);
	++*n;
}

/* Interfaces and disks, at most so many of them, or all with 0; NULL for none. */
char *describe_names(struct iommucfg_device *device, size_t most)
{
	size_t i, length, shown = 0, interfaces = iommucfg_device_num_interfaces(device);
	size_t disks = iommucfg_device_num_disks(device);
	char *text = NULL;
	FILE *f;

	if (!interfaces && !disks)
		return NULL;
	f = open_memstream(&text, &length);
	if (!f)
		return NULL;
	for (i = 0; i < interfaces; i++)
		put_name(f, iommucfg_device_interface(device, i), &shown, most);
	for (i = 0; i < disks; i++)
		put_name(f, iommucfg_device_disk(device, i), &shown, most);
	if (shown < interfaces + disks)
		fprintf(f, " +%zu", interfaces + disks - shown);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Addresses and the like stand below each other: a table has little width. */
static void put_detail(FILE *f, const char *detail)
{
	const char *comma;

	char *part;

	while ((comma = strstr(detail, ", "))) {
		part = strndup(detail, comma - detail);
		if (part)
			cli_put_line(f, part);
		free(part);
		fputs("\n  ", f);
		detail = comma + 2;
	}
	cli_put_line(f, detail);
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
		fputs(i ? "\n" : "", f);
		cli_put_line(f, iommucfg_use_name(use));
		if (!strcmp(iommucfg_use_kind(use), "swap"))
			fputs(": swap", f);
		else if (!strcmp(iommucfg_use_kind(use), "mount") && fputs(": mounted on ", f) >= 0)
			cli_put_line(f, iommucfg_use_detail(use));
		else if (fputs(": ", f) >= 0)
			put_detail(f, iommucfg_use_detail(use));
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* A policy's word for a type. */
const char *describe_policy_type(enum iommucfg_type type)
{
	return type == IOMMUCFG_TYPE_NONE ? "keep" : iommucfg_type_name(type);
}

/* "1 group", "2 groups" */
char *describe_plural(size_t n, const char *one)
{
	char *text;

	return asprintf(&text, "%zu %s%s", n, one, n == 1 ? "" : "s") < 0 ? NULL : text;
}
