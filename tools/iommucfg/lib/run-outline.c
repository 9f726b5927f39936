// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a plan changes, as a text to be compared with another plan's. */
#include <stdio.h>

#include "run.h"

/* @part: an enum iommucfg_part, or -1 for all of it. */
char *ic_plan_outline(const struct iommucfg_plan *plan, int part)
{
	const struct iommucfg_change *c;
	const struct iommucfg_group *group;
	struct iommucfg_device *device;
	size_t i, j, length;
	const char *driver;
	char *text = NULL;
	FILE *f;

	f = open_memstream(&text, &length);
	if (!f)
		return NULL;
	for (i = 0; plan && i < iommucfg_plan_num_changes(plan); i++) {
		c = iommucfg_plan_change(plan, i);
		if (part >= 0 && c->part != (enum iommucfg_part)part)
			continue;
		group = iommucfg_change_group(c);
		fprintf(f, "%u %s %s %s", iommucfg_group_number(group),
			iommucfg_group_type_text(group), iommucfg_type_name(iommucfg_change_to(c)),
			*c->method ? c->method : "-");
		for (j = 0; j < iommucfg_group_num_devices(group); j++) {
			device = iommucfg_group_device(group, j);
			driver = iommucfg_device_driver(device);
			fprintf(f, " %s=%s", iommucfg_device_name(device), driver ? driver : "");
		}
		fputc('\n', f);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
