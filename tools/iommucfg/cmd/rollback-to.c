// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg rollback --to ENTRY: the types from before an entry of the history.
 *
 * Of every device whose group this entry or a later one has changed, the type
 * before the first of these changes is what its group shall have again. It is
 * found by the way down to it and by what it is: groups may have other numbers
 * by now, and another card in the same slot is another device. Where devices
 * that were in different groups are in one now and want different types, the
 * plan says so, and nothing is guessed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct search {
	struct run *run;
	struct iommucfg_target *targets;
	size_t n, cap;
	struct json_object *seen;	/* a key for each device met already */
	int missing;
};

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	const char *value = json_object_get_string(get(o, key));

	return value ? value : "";
}

static long number(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_int64(value) : -1;
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static bool is_it(struct iommucfg_device *device, struct json_object *o)
{
	const char *bus = iommucfg_device_bus(device);

	return !strcmp(bus ? bus : "", text(o, "bus")) &&
	       !strcmp(iommucfg_device_path(device), text(o, "path")) &&
	       iommucfg_device_vendor(device) == number(o, "vendor") &&
	       iommucfg_device_id(device) == number(o, "device");
}

static struct iommucfg_group *find_group(struct search *search, struct json_object *device)
{
	const struct iommucfg_topology *topology = search->run->topology;
	struct iommucfg_group *group;
	size_t i, j;

	for (i = 0; i < iommucfg_topology_num_groups(topology); i++) {
		group = iommucfg_topology_group(topology, i);
		for (j = 0; j < iommucfg_group_num_devices(group); j++)
			if (is_it(iommucfg_group_device(group, j), device))
				return group;
	}
	return NULL;
}

static int add_target(struct search *search, struct iommucfg_group *group,
		      enum iommucfg_type type)
{
	struct iommucfg_target *p;

	if (search->n == search->cap) {
		search->cap = search->cap ? search->cap * 2 : 16;
		p = reallocarray(search->targets, search->cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		search->targets = p;
	}
	search->targets[search->n].group = group;
	search->targets[search->n++].type = type;
	return 0;
}

/* A device of an entry: the first time that it is met counts. */
static int take_device(struct search *search, struct json_object *device, const char *from,
		       long id)
{
	struct iommucfg_problems *problems = search->run->cli->problems;
	enum iommucfg_type type = iommucfg_type_parse(from);
	struct iommucfg_group *group;
	int ret = 0;
	char *key;

	if (asprintf(&key, "%s %s %ld %ld", text(device, "bus"), text(device, "path"),
		     number(device, "vendor"), number(device, "device")) < 0)
		return -ENOMEM;
	if (get(search->seen, key))
		goto out;
	json_object_object_add(search->seen, key, json_object_new_boolean(true));
	group = find_group(search, device);
	if (!group) {
		search->missing++;
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", ENODEV,
				      "entry %ld has a device that is not there now, so its group is left as it is: %s (%s)",
				      id, text(device, "path"), text(device, "name"));
	} else if (type == IOMMUCFG_TYPE_OTHER) {
		search->missing++;
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", EOPNOTSUPP,
				      "group %u is left as it is: its type before entry %ld, \"%s\", cannot be asked for",
				      iommucfg_group_number(group), id, from);
	} else {
		ret = add_target(search, group, type);
	}
out:
	free(key);
	return ret;
}

/* Has it changed a group, or may it have? */
static bool changed(struct json_object *entry)
{
	static const char *const words[] = {
		"committed", "unconfirmed", "rolled-back", "failed", "left", NULL
	};
	const char *result = text(entry, "result");
	size_t i;

	for (i = 0; words[i]; i++)
		if (!strcmp(result, words[i]))
			return true;
	return false;
}

static int take_entry(struct search *search, struct json_object *entry)
{
	struct json_object *changes = get(get(entry, "plan"), "changes"), *c, *devices;
	size_t i, j;
	int ret = 0;

	for (i = 0; changed(entry) && i < length(changes) && !ret; i++) {
		c = json_object_array_get_idx(changes, i);
		devices = get(c, "devices");
		for (j = 0; j < length(devices) && !ret; j++)
			ret = take_device(search, json_object_array_get_idx(devices, j),
					  text(c, "from"), history_id(entry));
	}
	return ret;
}

static int make_plan(struct search *search, struct json_object *entries, long to)
{
	struct run *run = search->run;
	size_t i, n = length(entries);
	int ret = 0;

	for (i = 0; i < n && history_id(json_object_array_get_idx(entries, i)) != to; i++)
		;
	if (i == n) {
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no entry %ld: \"iommucfg history\" lists them", to);
		return EXIT_BAD;
	}
	for (; i < n && !ret; i++)
		ret = take_entry(search, json_object_array_get_idx(entries, i));
	if (ret) {
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "system", -ret,
				      "no plan could be made: %s", strerror(-ret));
		return EXIT_BAD;
	}
	return run_plan_targets(run, search->targets, search->n);
}

int rollback_to(struct run *run, const char *entry)
{
	struct search search = { .run = run };
	struct cli *cli = run->cli;
	struct json_object *entries;
	char *end;
	long to;
	int code;

	to = strtol(entry, &end, 10);
	if (*entry < '1' || *entry > '9' || *end)
		return cli_usage(cli, "--to takes the number of an entry, not \"%s\"", entry);
	code = cli_open(cli);
	if (code >= 0)
		return code;
	/* Another document than that of a rollback by name: that of a plan. */
	cli->document = "rollback-to";
	signals_catch();
	code = run_lock(run);
	if (code)
		return run_finish(run, code);
	code = run_prepare(run);
	if (run->topology) {
		entries = history_read(cli->ctx, cli->problems);
		search.seen = json_object_new_object();
		code = cli_worse(code, entries ? make_plan(&search, entries, to) : EXIT_BAD);
		json_object_put(search.seen);
		json_object_put(entries);
	}
	code = run_judge(run, code);
	/* As when something is skipped: the rest is done. */
	if (!code && search.missing)
		code = EXIT_CHANGE;
	code = run_finish(run, code);
	free(search.targets);
	return code;
}
