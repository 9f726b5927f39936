// SPDX-License-Identifier: GPL-2.0
/* iommucfg show */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum {
	COL_NAME, COL_GROUP, COL_TYPE, COL_DEVICE, COL_BUS, COL_DRIVER, COL_REQUIRED, COL_PATH,
	COL_IDS, COL_CLASS, COL_VENDOR, COL_MODEL, COL_DESCRIPTION, COL_REMOVABLE, COL_NAMES,
	COL_IN_USE,
};

static const struct column columns[] = {
	[COL_NAME] = { "NAME", .tree = true },
	[COL_GROUP] = { "GROUP", .right = true },
	[COL_TYPE] = { "TYPE" },
	[COL_DEVICE] = { "DEVICE" },
	[COL_BUS] = { "BUS" },
	[COL_DRIVER] = { "DRIVER" },
	[COL_REQUIRED] = { "REQUIRED" },
	[COL_PATH] = { "PATH" },
	[COL_IDS] = { "IDS" },
	[COL_CLASS] = { "CLASS" },
	[COL_VENDOR] = { "VENDOR", .cut = 2 },
	[COL_MODEL] = { "MODEL", .cut = 2 },
	[COL_DESCRIPTION] = { "DESCRIPTION", .drop = 1, .cut = 1 },
	[COL_REMOVABLE] = { "REMOVABLE" },
	[COL_NAMES] = { "NAMES", .cut = 2 },
	[COL_IN_USE] = { "IN-USE", .wrap = true, .cut = 1 },
};

static void device_line(struct table *t, struct libscols_line *parent,
			struct iommucfg_device *device)
{
	const struct iommucfg_group *group = iommucfg_device_group(device);
	struct libscols_line *line = table_line(t, parent);
	char ids[32], number[16], *text;

	snprintf(number, sizeof(number), "%u", iommucfg_group_number(group));
	table_set(t, line, COL_NAME, iommucfg_device_name(device));
	table_set(t, line, COL_DEVICE, iommucfg_device_name(device));
	table_set(t, line, COL_GROUP, number);
	if (table_flat(t)) {
		table_set(t, line, COL_TYPE, iommucfg_group_type_text(group));
		table_color(t, line, COL_TYPE, type_color(iommucfg_group_type_text(group)));
	}
	table_set(t, line, COL_BUS, iommucfg_device_bus(device));
	table_set(t, line, COL_DRIVER, iommucfg_device_driver(device));
	table_set(t, line, COL_REQUIRED, iommucfg_device_required_type(device));
	table_set(t, line, COL_PATH, iommucfg_device_path(device));
	if (iommucfg_device_vendor(device) >= 0 && iommucfg_device_id(device) >= 0) {
		snprintf(ids, sizeof(ids), "%04lx:%04lx", iommucfg_device_vendor(device),
			 iommucfg_device_id(device));
		table_set(t, line, COL_IDS, ids);
	}
	if (table_has(t, COL_CLASS))
		table_set(t, line, COL_CLASS, iommucfg_device_class_name(device));
	if (table_has(t, COL_VENDOR))
		table_set(t, line, COL_VENDOR, iommucfg_device_vendor_name(device));
	if (table_has(t, COL_MODEL))
		table_set(t, line, COL_MODEL, iommucfg_device_device_name(device));
	if (table_has(t, COL_DESCRIPTION)) {
		text = describe_device(device);
		table_set(t, line, COL_DESCRIPTION, text);
		free(text);
	}
	if (table_has(t, COL_REMOVABLE))
		table_set(t, line, COL_REMOVABLE,
			  iommucfg_device_removable(device) ? "yes" : "no");
	if (table_has(t, COL_NAMES)) {
		text = describe_names(device, table_flat(t) ? 0 : 3);
		table_set(t, line, COL_NAMES, text);
		free(text);
	}
	text = describe_uses(device);
	table_set(t, line, COL_IN_USE, text);
	table_color(t, line, COL_IN_USE, text ? "magenta" : NULL);
	free(text);
}

/* What is shown, and what is left out. */
struct shown {
	bool all;
	size_t groups, devices, bridges;
};

/* A bridge moves no data of its own, unless it has a driver that does. */
static bool is_idle_bridge(struct iommucfg_device *device)
{
	return iommucfg_device_class(device) >> 16 == 0x06 &&
	       (!iommucfg_device_driver(device) || iommucfg_device_manages_dma(device)) &&
	       !iommucfg_device_num_uses(device);
}

static void group_lines(struct table *t, const struct iommucfg_group *group, struct shown *shown)
{
	size_t i, n = iommucfg_group_num_devices(group), bridges = 0;
	struct libscols_line *line = NULL;
	char number[16];

	for (i = 0; i < n && !shown->all; i++)
		bridges += is_idle_bridge(iommucfg_group_device(group, i));
	shown->bridges += bridges;
	if (bridges && bridges == n)
		return;
	shown->groups++;
	shown->devices += n - bridges;

	/* A flat table has a line for each device, and for an empty group. */
	if (!table_flat(t) || !iommucfg_group_num_devices(group)) {
		line = table_line(t, NULL);
		snprintf(number, sizeof(number), "%u", iommucfg_group_number(group));
		table_set(t, line, COL_NAME, number);
		table_set(t, line, COL_GROUP, number);
		table_set(t, line, COL_TYPE, iommucfg_group_type_text(group));
		table_color(t, line, COL_TYPE, type_color(iommucfg_group_type_text(group)));
	}
	for (i = 0; i < n; i++)
		if (!bridges || !is_idle_bridge(iommucfg_group_device(group, i)))
			device_line(t, line, iommucfg_group_device(group, i));
}

static struct json_object *json_device(struct iommucfg_device *device)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_text(iommucfg_device_name(device)));
	json_object_object_add(o, "bus", json_text(iommucfg_device_bus(device)));
	json_object_object_add(o, "driver", json_text(iommucfg_device_driver(device)));
	json_object_object_add(o, "required_type",
			       json_text(iommucfg_device_required_type(device)));
	json_object_object_add(o, "path", json_text(iommucfg_device_path(device)));
	json_object_object_add(o, "vendor_name", json_text(iommucfg_device_vendor_name(device)));
	json_object_object_add(o, "device_name", json_text(iommucfg_device_device_name(device)));
	json_add_ids(o, device);
	json_object_object_add(o, "in_use", json_uses(device));
	return o;
}

static struct json_object *json_group(const struct iommucfg_group *group)
{
	struct json_object *o = json_object_new_object(), *devices = json_object_new_array();
	size_t i;

	for (i = 0; i < iommucfg_group_num_devices(group); i++)
		json_object_array_add(devices, json_device(iommucfg_group_device(group, i)));
	json_object_object_add(o, "group", json_number(iommucfg_group_number(group)));
	json_object_object_add(o, "type", json_text(iommucfg_group_type_text(group)));
	json_object_object_add(o, "devices", devices);
	return o;
}

/* Marks the groups to show. */
static int choose(struct cli *cli, struct iommucfg_topology *topology, bool *chosen, int argc,
		  char **argv)
{
	size_t i, n = iommucfg_topology_num_groups(topology);
	struct iommucfg_group **groups;
	int code = EXIT_DONE, a;
	size_t j, found;

	for (i = 0; i < n && !argc; i++)
		chosen[i] = true;
	for (a = 0; a < argc; a++) {
		if (iommucfg_topology_find_target(topology, argv[a], &groups, &found,
						  cli->problems)) {
			code = EXIT_BAD;
			continue;
		}
		for (i = 0; i < n; i++)
			for (j = 0; j < found; j++)
				if (iommucfg_topology_group(topology, i) == groups[j])
					chosen[i] = true;
		free(groups);
	}
	return code;
}

static void print_footer(const struct cli *cli, const struct shown *shown)
{
	char *groups, *devices, *bridges;

	if (cli->raw || cli->noheadings)
		return;
	groups = describe_plural(shown->groups, "group");
	devices = describe_plural(shown->devices, "device");
	bridges = describe_plural(shown->bridges, "bridge");
	if (groups && devices && bridges) {
		printf("\n%s, %s", groups, devices);
		if (shown->bridges)
			printf("; %s without a driver that uses DMA left out: --all", bridges);
		puts("");
	}
	free(groups);
	free(devices);
	free(bridges);
}

static int print_table(struct cli *cli, struct iommucfg_topology *topology, const bool *chosen,
		       bool all)
{
	/* A program cannot read the footer. */
	struct shown shown = { .all = all || cli->raw };
	struct table *t;
	size_t i;
	int ret;

	t = table_new(cli, columns, sizeof(columns) / sizeof(*columns),
		      "NAME,TYPE,DRIVER,NAMES,IN-USE,DESCRIPTION",
		      "GROUP,TYPE,DEVICE,DRIVER,NAMES,IN-USE,DESCRIPTION");
	if (!t)
		return EXIT_BAD;
	/* Asking the kernel makes a transaction for a moment: only if wanted. */
	if (table_has(t, COL_REQUIRED))
		iommucfg_topology_scan_required(topology);
	for (i = 0; i < iommucfg_topology_num_groups(topology); i++)
		if (chosen[i])
			group_lines(t, iommucfg_topology_group(topology, i), &shown);
	ret = table_print(t) ? EXIT_BAD : EXIT_DONE;
	print_footer(cli, &shown);
	return ret;
}

static int print_json(struct cli *cli, struct iommucfg_topology *topology, const bool *chosen)
{
	struct json_object *document = json_document(cli), *groups = json_object_new_array();
	size_t i;

	if (topology)
		iommucfg_topology_scan_required(topology);
	for (i = 0; topology && i < iommucfg_topology_num_groups(topology); i++)
		if (chosen[i])
			json_object_array_add(groups,
					      json_group(iommucfg_topology_group(topology, i)));
	json_object_object_add(document, "groups", groups);
	json_object_object_add(document, "problems", json_problems(cli->problems));
	return json_print(document, true) ? EXIT_BAD : EXIT_DONE;
}

static int own_option(struct cli *cli, int opt, void *all)
{
	if (opt != 'a')
		return cli_table_option(cli, opt, NULL);
	*(bool *)all = true;
	return 0;
}

/* -1 to go on. */
static int read_options(struct cli *cli, int argc, char **argv, bool *all)
{
	static const struct option options[] = {
		CLI_LONG, CLI_TABLE_LONG, { "all", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 }
	};

	int code = cli_options(cli, argc, argv, ":a" CLI_SHORT CLI_TABLE_SHORT, options,
			       own_option, all);

	if (code >= 0)
		return code;
	/* Who names a bridge wants to see it. */
	*all |= optind < argc;
	return -1;
}

int cmd_show(struct cli *cli, int argc, char **argv)
{
	struct iommucfg_topology *topology = NULL;
	int code, ret = EXIT_DONE;
	bool *chosen = NULL, all = false;

	code = read_options(cli, argc, argv, &all);
	if (code < 0)
		code = cli_open(cli);
	if (code >= 0)
		return code;
	code = EXIT_DONE;
	if (iommucfg_topology_scan(cli->ctx, &topology, cli->problems)) {
		code = EXIT_BAD;
	} else {
		code = cli_scan_use(cli, topology);
		chosen = calloc(iommucfg_topology_num_groups(topology), sizeof(*chosen));
		if (!chosen)
			code = cli_nomem();
		else
			code = cli_worse(code, choose(cli, topology, chosen, argc - optind,
						      argv + optind));
	}
	cli_tell(cli);
	if (cli->json)
		ret = print_json(cli, chosen ? topology : NULL, chosen);
	else if (chosen)
		ret = print_table(cli, topology, chosen, all);
	free(chosen);
	iommucfg_topology_unref(topology);
	return cli_worse(code, ret);
}
