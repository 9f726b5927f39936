// SPDX-License-Identifier: GPL-2.0
/* iommucfg standing */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* A column each, but for the name. */
static const char *const attrs[] = {
	"bus", "device", "modalias", "removable", "priority", "order", "type", "hits",
};

#define NUM_ATTRS	(sizeof(attrs) / sizeof(*attrs))

enum {
	COL_NAME, COL_BUS, COL_DEVICE, COL_MODALIAS, COL_REMOVABLE, COL_PRIORITY, COL_ORDER,
	COL_TYPE, COL_HITS,
};

static const struct column columns[] = {
	[COL_NAME] = { "NAME" },
	[COL_BUS] = { "BUS" },
	[COL_DEVICE] = { "DEVICE", .cut = 2 },
	[COL_MODALIAS] = { "MODALIAS", .cut = 2 },
	[COL_REMOVABLE] = { "REMOVABLE" },
	[COL_PRIORITY] = { "PRIORITY", .right = true },
	[COL_ORDER] = { "ORDER", .right = true },
	[COL_TYPE] = { "TYPE" },
	[COL_HITS] = { "HITS", .right = true },
};

/* Patterns of a page make no table: the first one, and how many more there are. */
static char *shorten(const char *patterns)
{
	size_t first = strcspn(patterns, " "), more = 0;
	const char *p;
	char *text;

	for (p = patterns + first; (p = strchr(p, ' ')); p += strspn(p, " "))
		more++;
	if (!more)
		return strdup(patterns);
	return asprintf(&text, "%.*s +%zu", (int)first, patterns, more) < 0 ? NULL : text;
}

static void rule_line(struct table *t, struct cli *cli, const char *name)
{
	struct libscols_line *line = table_line(t, NULL);
	char *value, *brief;
	size_t i;

	table_set(t, line, COL_NAME, name);
	for (i = 0; i < NUM_ATTRS; i++) {
		if (iommucfg_standing_attr(cli->ctx, name, attrs[i], &value))
			continue;
		brief = (COL_BUS + i == COL_DEVICE || COL_BUS + i == COL_MODALIAS) && !cli->raw ?
			shorten(value) : NULL;
		table_set(t, line, COL_BUS + i, brief ? brief : value);
		if (COL_BUS + i == COL_TYPE)
			table_color(t, line, COL_TYPE, type_color(value));
		free(brief);
		free(value);
	}
}

static struct json_object *words(char *text)
{
	struct json_object *array = json_object_new_array();
	char *word, *save;

	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		json_object_array_add(array, json_text(word));
	return array;
}

static struct json_object *json_rule(struct cli *cli, const char *name)
{
	struct json_object *o = json_object_new_object(), *v;
	char *value;
	size_t i;

	json_object_object_add(o, "name", json_text(name));
	for (i = 0; i < NUM_ATTRS; i++) {
		v = NULL;
		if (!iommucfg_standing_attr(cli->ctx, name, attrs[i], &value)) {
			if (COL_BUS + i == COL_DEVICE || COL_BUS + i == COL_MODALIAS)
				v = words(value);
			else if (columns[COL_BUS + i].right)
				v = json_object_new_int64(strtoll(value, NULL, 10));
			else
				v = json_text(value);
			free(value);
		}
		json_object_object_add(o, attrs[i], v);
	}
	return o;
}

static int print_json(struct cli *cli, char **names, const struct iommucfg_problems *report)
{
	struct json_object *o = json_document(cli), *array = json_object_new_array();

	for (; names && *names; names++)
		json_object_array_add(array, json_rule(cli, *names));
	json_object_object_add(o, "rules", array);
	json_object_object_add(o, "report", json_report(report));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

static int print_table(struct cli *cli, char **names, const struct iommucfg_problems *report)
{
	struct table *t;
	size_t i;
	int ret;

	t = table_new(cli, columns, sizeof(columns) / sizeof(*columns),
		      "NAME,BUS,DEVICE,MODALIAS,REMOVABLE,PRIORITY,ORDER,TYPE,HITS",
		      "NAME,BUS,DEVICE,MODALIAS,REMOVABLE,PRIORITY,ORDER,TYPE,HITS");
	if (!t)
		return EXIT_BAD;
	if (!*names)
		cli_note(cli, "there is no standing rule");
	for (; *names; names++)
		rule_line(t, cli, *names);
	ret = table_print(t);
	if (cli->raw || cli->noheadings)
		return ret ? EXIT_BAD : EXIT_DONE;
	for (i = 0; i < iommucfg_problems_count(report); i++) {
		fputs(i ? "  " : "\nReport:\n  ", stdout);
		cli_put(stdout, iommucfg_problem_message(iommucfg_problems_get(report, i)));
		putchar('\n');
	}
	return ret ? EXIT_BAD : EXIT_DONE;
}

/* The rules, the one that counts first on top; a problem where there can be none. */
static int read_rules(struct cli *cli, char ***names, struct iommucfg_problems *report)
{
	int n;

	if (cli_need_kernel(cli))
		return EXIT_BAD;
	n = iommucfg_standing_list(cli->ctx, names);
	if (n >= 0)
		n = iommucfg_standing_report(cli->ctx, IOMMUCFG_WARNING, report);
	if (n >= 0)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -n,
			      n == -ENOENT ? "the kernel module has no standing rules: it must be loaded with standing=1, and not be older than they are" :
			      "the standing rules cannot be read: %s", strerror(-n));
	return EXIT_BAD;
}

struct ranked {
	char *name;
	unsigned long priority, order;
};

static int compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

static unsigned long number(struct cli *cli, const char *name, const char *attr)
{
	unsigned long n;
	char *value;

	if (iommucfg_standing_attr(cli->ctx, name, attr, &value))
		return 0;
	n = strtoul(value, NULL, 10);
	free(value);
	return n;
}

/* As the kernel looks at them: the highest priority first, then the lowest order. */
static void rank(struct cli *cli, char **names)
{
	struct ranked *list;
	size_t i, n = 0;

	while (names[n])
		n++;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return;
	for (i = 0; i < n; i++)
		list[i] = (struct ranked){
			.name = names[i],
			.priority = number(cli, names[i], "priority"),
			.order = number(cli, names[i], "order"),
		};
	if (n)
		qsort(list, n, sizeof(*list), compare);
	for (i = 0; i < n; i++)
		names[i] = list[i].name;
	free(list);
}

int cmd_standing(struct cli *cli, int argc, char **argv)
{
	struct iommucfg_problems *report;
	char **names = NULL;
	int code;

	code = cli_table_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc != optind)
		return cli_usage(cli, "standing takes no argument");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	report = iommucfg_problems_new();
	if (!report)
		return cli_nomem();
	code = read_rules(cli, &names, report);
	if (names)
		rank(cli, names);
	cli_tell(cli);
	if (cli->json)
		code = cli_worse(code, print_json(cli, names, report));
	else if (!code)
		code = print_table(cli, names, report);
	iommucfg_standing_list_free(names);
	iommucfg_problems_unref(report);
	return code;
}
