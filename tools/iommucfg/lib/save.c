// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The current types as a policy. A rule for each group, matching by the way
 * down to its devices and by what they are: neither changes when buses and
 * groups are numbered anew, and another card in the same slot does not match.
 * What is not PCI has a name for a way, which is its own on its bus alone.
 *
 * Two devices can have one way: virtual functions, whose numbers run on into
 * further buses. They are matched by their addresses where that makes a difference.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "internal.h"

struct saving {
	const struct iommucfg_topology *topology;
	struct iommucfg_device **by_path;	/* all that are in a group */
};

static int compare_paths(const void *a, const void *b)
{
	struct iommucfg_device *const *x = a, *const *y = b;

	return strcmp(iommucfg_device_path(*x), iommucfg_device_path(*y));
}

static bool same_bus(const struct iommucfg_device *a, const struct iommucfg_device *b)
{
	return a->bus && b->bus ? !strcmp(a->bus, b->bus) : a->bus == b->bus;
}

/*
 * The next of the other devices with the same way as @device, or NULL. @from: an index into
 * the list, 0 at first.
 */
static struct iommucfg_device *next_twin(const struct saving *s, struct iommucfg_device *device,
					 size_t *from)
{
	struct iommucfg_device **found, *other;
	size_t n = s->topology->num_devices;

	if (!*from) {
		found = bsearch(&device, s->by_path, n, sizeof(*s->by_path), compare_paths);
		while (found && found > s->by_path && !compare_paths(found - 1, &device))
			found--;
		*from = found ? (size_t)(found - s->by_path) : n;
	}
	while (*from < n && !compare_paths(&s->by_path[*from], &device)) {
		other = s->by_path[(*from)++];
		if (other != device && same_bus(other, device))
			return other;
	}
	return NULL;
}

static bool shares_its_way(const struct saving *s, struct iommucfg_device *device)
{
	size_t from = 0;

	return next_twin(s, device, &from);
}

/* Would another device meet the rule of this one's group, and want another type? */
static bool needs_address(const struct saving *s, struct iommucfg_device *device)
{
	struct iommucfg_device *other;
	size_t from = 0;

	while ((other = next_twin(s, device, &from)))
		if (other->group->type != device->group->type &&
		    iommucfg_device_vendor(other) == iommucfg_device_vendor(device) &&
		    iommucfg_device_id(other) == iommucfg_device_id(device))
			return true;
	return false;
}

static bool group_needs_address(const struct saving *s, const struct iommucfg_group *group)
{
	size_t i;

	for (i = 0; i < group->num_devices; i++)
		if (needs_address(s, group->devices[i]))
			return true;
	return false;
}

static void put_addresses(FILE *f, const struct iommucfg_group *group)
{
	size_t i;

	fputs(" device = [ ", f);
	for (i = 0; i < group->num_devices; i++) {
		fputs(i ? ", " : "", f);
		ic_put_word(f, group->devices[i]->name, true);
	}
	fputs(" ];", f);
}

static void put_paths(FILE *f, const struct iommucfg_group *group)
{
	size_t i;

	fputs("path = [ ", f);
	for (i = 0; i < group->num_devices; i++) {
		fputs(i ? ", " : "", f);
		ic_put_word(f, iommucfg_device_path(group->devices[i]), true);
	}
	fputs(" ];", f);
}

/* Each number once. Left out where a device has none: nothing would match. */
static void put_ids(FILE *f, const struct iommucfg_group *group, const char *key,
		    long (*get)(struct iommucfg_device *device))
{
	size_t i, j;

	for (i = 0; i < group->num_devices; i++)
		if (get(group->devices[i]) < 0)
			return;
	fprintf(f, " %s = [ ", key);
	for (i = 0; i < group->num_devices; i++) {
		for (j = 0; j < i; j++)
			if (get(group->devices[j]) == get(group->devices[i]))
				break;
		if (j == i)
			fprintf(f, "%s0x%04lx", i ? ", " : "", get(group->devices[i]));
	}
	fputs(" ];", f);
}

/* Each bus once. Left out where all is PCI, and where a device has none. */
static void put_buses(FILE *f, const struct iommucfg_group *group)
{
	struct iommucfg_device **d = group->devices;
	bool other = false;
	size_t i, j;

	for (i = 0; i < group->num_devices; i++) {
		if (!d[i]->bus)
			return;
		other |= strcmp(d[i]->bus, "pci") != 0;
	}
	if (!other)
		return;
	fputs(" bus = [ ", f);
	for (i = 0; i < group->num_devices; i++) {
		for (j = 0; j < i && strcmp(d[j]->bus, d[i]->bus); j++)
			;
		if (j < i)
			continue;
		fputs(i ? ", " : "", f);
		ic_put_word(f, d[i]->bus, false);
	}
	fputs(" ];", f);
}

/* No two rules have one name, and another bus may have a device of this one's. */
static int put_name(FILE *f, const struct saving *s, const struct iommucfg_group *group)
{
	const struct iommucfg_topology *topology = s->topology;
	struct iommucfg_device *device = group->devices[0], *other;
	const char *path = iommucfg_device_path(device);
	char *name = NULL;
	int n = 0;

	other = iommucfg_topology_find_device(topology, device->name);
	if (other != device || iommucfg_topology_next_device(topology, other))
		n = device->bus ? asprintf(&name, "%s/%s", device->bus, path) :
				  asprintf(&name, "group %u/%s", group->number, path);
	else if (shares_its_way(s, device))
		n = asprintf(&name, "%s %s", path, device->name);
	if (n < 0)
		return -ENOMEM;
	ic_put_word(f, name ? name : path, false);
	free(name);
	return 0;
}

/* A comment ends with its line, and what follows would be a rule. */
static void put_plain(FILE *f, const char *before, const char *text)
{
	size_t n;

	if (!text)
		return;
	fputs(before, f);
	for (; *text; text += n ? n : 1) {
		n = ic_control(text);
		fputc(n ? '?' : *text, f);
	}
}

/* Why the way down to a device may be another one after a reboot, or NULL. */
static const char *what_moves(const struct saving *s, struct iommucfg_device *device)
{
	const char *path = iommucfg_device_path(device);
	size_t length = strlen(path);

	if (needs_address(s, device))
		return "another device has the same way down, so this one is matched by its address";
	if (device->bus && !strcmp(device->bus, "pci"))
		return ic_pci_path_moves(path) ? "firmware may number its root bus anew" : NULL;
	if (length > 5 && !strcmp(path + length - 5, ".auto"))
		return "its name has a number that the kernel gave it as it came";
	return NULL;
}

static int tell_moving(const struct saving *s, const struct iommucfg_group *group,
		       struct iommucfg_problems *problems)
{
	struct ic_where where = { .line = -1, .group = group->number };
	const char *why;
	size_t i;
	int ret = 0;

	for (i = 0; i < group->num_devices && !ret; i++) {
		why = what_moves(s, group->devices[i]);
		where.device = group->devices[i]->name;
		if (why)
			ret = ic_problem(problems, IOMMUCFG_WARNING, "unstable", &where,
					 "group %u: the rule for %s may meet nothing, or another device, after a change of hardware: %s",
					 group->number, group->devices[i]->name, why);
	}
	return ret;
}

static void put_comment(FILE *f, const struct saving *s, struct iommucfg_device *device)
{
	put_plain(f, "  // ", device->name);
	put_plain(f, " (", device->driver);
	fputs(device->driver ? ")" : "", f);
	put_plain(f, ": ", iommucfg_device_vendor_name(device));
	put_plain(f, " ", iommucfg_device_device_name(device));
	fputc('\n', f);
	if (what_moves(s, device))
		fprintf(f, "  // Not stable: %s.\n", what_moves(s, device));
}

static int put_group(FILE *f, const struct saving *s, const struct iommucfg_group *group,
		     bool first)
{
	size_t i;
	int ret;

	fputs(first ? "" : ",\n", f);
	for (i = 0; i < group->num_devices; i++)
		put_comment(f, s, group->devices[i]);
	fputs("  { name = ", f);
	ret = put_name(f, s, group);
	fputs(";\n    match = { ", f);
	put_paths(f, group);
	if (group_needs_address(s, group))
		put_addresses(f, group);
	put_buses(f, group);
	put_ids(f, group, "vendor", iommucfg_device_vendor);
	put_ids(f, group, "device_id", iommucfg_device_id);
	/* That a device is not where it was shall not go unnoticed. */
	fprintf(f, " };\n    type = \"%s\"; required = true; }", iommucfg_type_name(group->type));
	return ret;
}

int iommucfg_save(struct iommucfg_topology *topology, char **text, size_t *num_rules,
		  struct iommucfg_problems *problems)
{
	struct saving saving = { .topology = topology };
	const struct iommucfg_group *group;
	char date[64] = "";
	size_t i, n = 0, length;
	time_t now = time(NULL);
	struct tm tm;
	int ret = 0;
	FILE *f;

	saving.by_path = calloc(topology->num_devices + 1, sizeof(*saving.by_path));
	f = saving.by_path ? open_memstream(text, &length) : NULL;
	if (!f) {
		free(saving.by_path);
		return -ENOMEM;
	}
	for (i = 0; i < topology->num_devices; i++)
		saving.by_path[i] = topology->by_path[i];
	qsort(saving.by_path, topology->num_devices, sizeof(*saving.by_path), compare_paths);
	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fprintf(f, "// The types of all IOMMU groups, saved by iommucfg %s at %s.\n",
		iommucfg_version(), date);
	fputs("// Devices are matched by the way down to them and by what they are,\n"
	      "// not by numbers that change at a reboot. Where that cannot be it is said.\n\n"
	      "rules = (\n", f);
	for (i = 0; i < topology->num_groups && !ret; i++) {
		group = topology->groups[i];
		if (!group->num_devices)
			continue;
		if (iommucfg_group_type(group) == IOMMUCFG_TYPE_OTHER) {
			iommucfg_problems_add(problems, IOMMUCFG_WARNING, "type", 0,
					      "group %u is left out: its type \"%s\" cannot be asked for",
					      group->number, iommucfg_group_type_text(group));
			continue;
		}
		ret = put_group(f, &saving, group, !n++);
		if (!ret)
			ret = tell_moving(&saving, group, problems);
	}
	free(saving.by_path);
	fputs("\n);\n\ndefault = \"keep\";\n", f);
	*num_rules = n;
	if (fclose(f) || ret) {
		free(*text);
		return -ENOMEM;
	}
	return 0;
}
