// SPDX-License-Identifier: GPL-2.0
/* iommucfg history */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum {
	COL_NAME, COL_ID, COL_TIME, COL_USER, COL_ACTION, COL_RESULT, COL_EXIT, COL_TRANSACTION,
	COL_COMMAND, COL_GROUP, COL_FROM, COL_TO, COL_DEVICES,
};

static const struct column columns[] = {
	[COL_NAME] = { "NAME", .tree = true },
	[COL_ID] = { "ID", .right = true },
	[COL_TIME] = { "TIME" },
	[COL_USER] = { "USER" },
	[COL_ACTION] = { "ACTION" },
	[COL_RESULT] = { "RESULT" },
	[COL_EXIT] = { "EXIT", .right = true },
	[COL_TRANSACTION] = { "TRANSACTION" },
	[COL_COMMAND] = { "COMMAND", .cut = 2 },
	[COL_GROUP] = { "GROUP", .right = true },
	[COL_FROM] = { "FROM" },
	[COL_TO] = { "TO" },
	[COL_DEVICES] = { "DEVICES", .cut = 2 },
};

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, key, &value) ? value : NULL;
}

/* A string as it is, a number in digits; NULL for null. */
static const char *text(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_string(value) : NULL;
}

/* Words with spaces between them; @key picks one of each, if they are objects. */
static char *join(struct json_object *array, const char *key)
{
	size_t i, length, n = json_object_is_type(array, json_type_array) ?
			      json_object_array_length(array) : 0;
	struct json_object *o;
	const char *word;
	char *line = NULL;
	FILE *f;

	f = open_memstream(&line, &length);
	if (!f)
		return NULL;
	for (i = 0; i < n; i++) {
		o = json_object_array_get_idx(array, i);
		word = key ? text(o, key) : json_object_get_string(o);
		fprintf(f, "%s%s", i ? " " : "", word ? word : "-");
	}
	if (fclose(f)) {
		free(line);
		return NULL;
	}
	return line;
}

static void entry_cells(struct table *t, struct libscols_line *line, struct json_object *entry)
{
	const char *user = text(entry, "sudo"), *result = text(entry, "result");
	char *command = join(get(entry, "command"), NULL);

	if (!user)
		user = text(entry, "login");
	table_set(t, line, COL_NAME, text(entry, "id"));
	table_set(t, line, COL_ID, text(entry, "id"));
	table_set(t, line, COL_TIME, text(entry, "time"));
	table_set(t, line, COL_USER, user ? user : text(entry, "user"));
	table_set(t, line, COL_ACTION, text(entry, "action"));
	table_set(t, line, COL_RESULT, result);
	table_color(t, line, COL_RESULT, !result ? NULL : !strcmp(result, "committed") ? "green" :
		    !strcmp(result, "failed") ? "red" : "yellow");
	table_set(t, line, COL_EXIT, text(entry, "exit"));
	table_set(t, line, COL_TRANSACTION, text(entry, "transaction"));
	table_set(t, line, COL_COMMAND, command);
	free(command);
}

static void entry_lines(struct table *t, struct json_object *entry)
{
	struct json_object *changes = get(get(entry, "plan"), "changes"), *c;
	size_t i, n = json_object_is_type(changes, json_type_array) ?
		      json_object_array_length(changes) : 0;
	struct libscols_line *parent = NULL, *line;
	char *devices;

	if (!table_flat(t) || !n) {
		parent = table_line(t, NULL);
		entry_cells(t, parent, entry);
	}
	for (i = 0; i < n; i++) {
		c = json_object_array_get_idx(changes, i);
		line = table_line(t, parent);
		if (table_flat(t))
			entry_cells(t, line, entry);
		else
			table_set(t, line, COL_NAME, text(c, "group"));
		table_set(t, line, COL_GROUP, text(c, "group"));
		table_set(t, line, COL_FROM, text(c, "from"));
		table_set(t, line, COL_TO, text(c, "to"));
		devices = join(get(c, "devices"), "path");
		table_set(t, line, COL_DEVICES, devices);
		free(devices);
	}
}

static int print_table(struct cli *cli, struct json_object *entries, size_t first)
{
	size_t i, n = json_object_array_length(entries);
	struct table *t;

	t = table_new(cli, columns, sizeof(columns) / sizeof(*columns),
		      "NAME,TIME,USER,RESULT,FROM,TO,COMMAND,DEVICES",
		      "ID,TIME,USER,RESULT,GROUP,FROM,TO,COMMAND");
	if (!t)
		return EXIT_BAD;
	for (i = first; i < n; i++)
		entry_lines(t, json_object_array_get_idx(entries, i));
	if (first >= n)
		cli_note(cli, "the history is empty");
	return table_print(t) ? EXIT_BAD : EXIT_DONE;
}

static int print_json(struct cli *cli, struct json_object *entries, size_t first)
{
	struct json_object *o = json_document(cli), *array = json_object_new_array();
	size_t i;

	for (i = first; entries && i < json_object_array_length(entries); i++)
		json_object_array_add(array,
				      json_object_get(json_object_array_get_idx(entries, i)));
	json_object_object_add(o, "entries", array);
	json_object_object_add(o, "problems", json_problems(cli->problems));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

int cmd_history(struct cli *cli, int argc, char **argv)
{
	unsigned long newest = 0;
	struct json_object *entries;
	size_t n, first = 0;
	int code;
	char *end;

	code = cli_table_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc - optind > 1)
		return cli_usage(cli, "history takes one number");
	if (argv[optind]) {
		newest = strtoul(argv[optind], &end, 10);
		if (*argv[optind] < '1' || *argv[optind] > '9' || *end)
			return cli_usage(cli, "history takes a number of entries, not \"%s\"",
					 argv[optind]);
	}
	code = cli_open(cli);
	if (code >= 0)
		return code;
	entries = history_read(cli->ctx, cli->problems);
	code = entries ? EXIT_DONE : EXIT_BAD;
	n = entries ? json_object_array_length(entries) : 0;
	if (newest && newest < n)
		first = n - newest;
	cli_tell(cli);
	if (cli->json)
		code = cli_worse(code, print_json(cli, entries, first));
	else if (entries)
		code = print_table(cli, entries, first);
	json_object_put(entries);
	return code;
}
