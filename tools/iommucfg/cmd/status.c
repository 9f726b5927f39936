// SPDX-License-Identifier: GPL-2.0
/* iommucfg status */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum {
	COL_NAME, COL_STATE, COL_REMAINING, COL_AGE, COL_PROGRESS, COL_PID, COL_UID, COL_COMMAND,
	COL_GROUP, COL_TYPE, COL_CURRENT, COL_STATUS, COL_METHOD,
};

static const struct column columns[] = {
	[COL_NAME] = { "NAME", .tree = true },
	[COL_STATE] = { "STATE" },
	[COL_REMAINING] = { "REMAINING", .right = true },
	[COL_AGE] = { "AGE", .right = true },
	[COL_PROGRESS] = { "PROGRESS" },
	[COL_PID] = { "PID", .right = true },
	[COL_UID] = { "UID", .right = true },
	[COL_COMMAND] = { "COMMAND", .cut = 2 },
	[COL_GROUP] = { "GROUP", .right = true },
	[COL_TYPE] = { "TYPE" },
	[COL_CURRENT] = { "CURRENT" },
	[COL_STATUS] = { "STATUS" },
	[COL_METHOD] = { "METHOD" },
};

static const char *state_color(enum iommucfg_state state)
{
	return state == IOMMUCFG_STATE_FAILED ? "red" :
	       state == IOMMUCFG_STATE_UNCONFIRMED ? "yellow" :
	       state == IOMMUCFG_STATE_COMMITTED ? "green" : NULL;
}

static void cell(struct table *t, struct libscols_line *line, size_t column,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
static void cell(struct table *t, struct libscols_line *line, size_t column,
		 const char *format, ...)
{
	char buf[64];
	va_list args;

	va_start(args, format);
	vsnprintf(buf, sizeof(buf), format, args);
	va_end(args);
	table_set(t, line, column, buf);
}

static const char *word(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

static void command_cell(struct table *t, struct libscols_line *line, struct json_object *words)
{
	char *text = NULL;
	size_t i, length;
	FILE *f = open_memstream(&text, &length);

	for (i = 0; f && i < json_object_array_length(words); i++)
		fprintf(f, "%s%s", i ? " " : "",
			json_object_get_string(json_object_array_get_idx(words, i)));
	if (f && !fclose(f))
		table_set(t, line, COL_COMMAND, text);
	free(text);
}

static void txn_cells(struct table *t, struct libscols_line *line, struct iommucfg_txn *txn)
{
	struct json_object *creator, *words;
	unsigned long done, all;
	long remaining, age;

	if (!iommucfg_txn_remaining(txn, &remaining) && remaining)
		cell(t, line, COL_REMAINING, "%ld s", remaining);
	if (!iommucfg_txn_progress(txn, &done, &all))
		cell(t, line, COL_PROGRESS, "%lu/%lu", done, all);
	creator = json_creator(txn, &age);
	if (age >= 0)
		cell(t, line, COL_AGE, "%ld s", age);
	if (creator) {
		table_set(t, line, COL_PID, word(creator, "pid"));
		table_set(t, line, COL_UID, word(creator, "uid"));
		if (json_object_object_get_ex(creator, "command", &words))
			command_cell(t, line, words);
	}
	json_object_put(creator);
}

static void group_line(struct table *t, struct libscols_line *parent, struct iommucfg_txn *txn,
		       unsigned int group, const char *state)
{
	struct libscols_line *line = table_line(t, parent);
	char number[16], value[64];

	snprintf(number, sizeof(number), "%u", group);
	table_set(t, line, COL_NAME, table_flat(t) ? iommucfg_txn_name(txn) : number);
	if (table_flat(t)) {
		table_set(t, line, COL_STATE, state);
		txn_cells(t, line, txn);
	}
	table_set(t, line, COL_GROUP, number);
	if (!iommucfg_txn_group_attr(txn, group, "type", value, sizeof(value)))
		table_set(t, line, COL_TYPE, value);
	if (!iommucfg_txn_group_attr(txn, group, "current_type", value, sizeof(value)))
		table_set(t, line, COL_CURRENT, value);
	if (!iommucfg_txn_group_attr(txn, group, "status", value, sizeof(value)))
		table_set(t, line, COL_STATUS, value);
	if (!iommucfg_txn_group_attr(txn, group, "method", value, sizeof(value)))
		table_set(t, line, COL_METHOD, value);
}

static void txn_lines(struct table *t, struct iommucfg_txn *txn)
{
	enum iommucfg_state state = iommucfg_txn_state(txn);
	struct libscols_line *line = NULL;
	unsigned int *groups = NULL;
	int n, i;

	n = iommucfg_txn_groups(txn, &groups);
	if (!table_flat(t) || n <= 0) {
		line = table_line(t, NULL);
		table_set(t, line, COL_NAME, iommucfg_txn_name(txn));
		table_set(t, line, COL_STATE, iommucfg_state_name(state));
		table_color(t, line, COL_STATE, state_color(state));
		txn_cells(t, line, txn);
	}
	for (i = 0; i < n; i++)
		group_line(t, line, txn, groups[i], iommucfg_state_name(state));
	free(groups);
}

static struct json_object *attr(struct iommucfg_txn *txn, unsigned int group, const char *name)
{
	char value[64];

	if (iommucfg_txn_group_attr(txn, group, name, value, sizeof(value)))
		return NULL;
	return json_text(value);
}

static struct json_object *report_of(struct iommucfg_txn *txn)
{
	struct iommucfg_problems *report = iommucfg_problems_new();
	struct json_object *array;

	if (report)
		iommucfg_txn_report(txn, IOMMUCFG_WARNING, report);
	array = json_report(report);
	iommucfg_problems_unref(report);
	return array;
}

static struct json_object *json_txn(struct iommucfg_txn *txn)
{
	struct json_object *o = json_object_new_object(), *array = json_object_new_array(), *g;
	unsigned int *groups = NULL;
	int n, i;

	n = iommucfg_txn_groups(txn, &groups);
	for (i = 0; i < n; i++) {
		g = json_object_new_object();
		json_object_object_add(g, "group", json_number(groups[i]));
		json_object_object_add(g, "type", attr(txn, groups[i], "type"));
		json_object_object_add(g, "current_type", attr(txn, groups[i], "current_type"));
		json_object_object_add(g, "status", attr(txn, groups[i], "status"));
		json_object_object_add(g, "method", attr(txn, groups[i], "method"));
		json_object_array_add(array, g);
	}
	free(groups);
	json_object_object_add(o, "name", json_text(iommucfg_txn_name(txn)));
	json_object_object_add(o, "state",
			       json_text(iommucfg_state_name(iommucfg_txn_state(txn))));
	json_add_txn(o, txn);
	json_object_object_add(o, "groups", array);
	json_object_object_add(o, "report", report_of(txn));
	return o;
}

static void print_reports(struct cli *cli, char **names, int n)
{
	struct iommucfg_problems *report;
	struct iommucfg_txn *txn;
	size_t j;
	int i;

	for (i = 0; i < n; i++) {
		report = iommucfg_problems_new();
		if (!report || iommucfg_txn_open(cli->ctx, names[i], &txn)) {
			iommucfg_problems_unref(report);
			continue;
		}
		if (iommucfg_txn_report(txn, IOMMUCFG_WARNING, report) > 0)
			printf("\nReport of %s:\n", names[i]);
		for (j = 0; j < iommucfg_problems_count(report); j++) {
			fputs("  ", stdout);
			cli_put(stdout, iommucfg_problem_message(iommucfg_problems_get(report, j)));
			putchar('\n');
		}
		iommucfg_problems_unref(report);
		iommucfg_txn_unref(txn);
	}
}

/* One that goes while we look is not an error, unless it was asked for. */
static int print_all(struct cli *cli, char **names, int n)
{
	struct json_object *array = cli->json ? json_object_new_array() : NULL, *o;
	struct iommucfg_txn *txn;
	struct table *t = NULL;
	int i, ret;

	if (!cli->json) {
		t = table_new(cli, columns, sizeof(columns) / sizeof(*columns),
			      "NAME,STATE,REMAINING,TYPE,CURRENT,STATUS",
			      "NAME,STATE,REMAINING,GROUP,TYPE,CURRENT,STATUS");
		if (!t)
			return EXIT_BAD;
	}
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		if (t)
			txn_lines(t, txn);
		else
			json_object_array_add(array, json_txn(txn));
		iommucfg_txn_unref(txn);
	}
	if (t) {
		ret = table_print(t);
		if (!n)
			cli_note(cli, "there is no transaction");
		if (!cli->raw && !cli->noheadings)
			print_reports(cli, names, n);
	} else {
		o = json_document(cli);
		json_object_object_add(o, "transactions", array);
		json_object_object_add(o, "problems", json_problems(cli->problems));
		ret = json_print(o, true);
	}
	return ret ? EXIT_BAD : EXIT_DONE;
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
	char **names = NULL, *one[2] = { NULL, NULL }, **which;
	struct iommucfg_txn *txn = NULL;
	int code, n = 0;

	code = cli_table_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc - optind > 1)
		return cli_usage(cli, "status takes one name");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = cli_need_kernel(cli);
	which = one;
	if (!code && argv[optind]) {
		one[0] = argv[optind];
		n = 1;
		if (iommucfg_txn_open(cli->ctx, one[0], &txn)) {
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
					      "there is no transaction \"%s\"", one[0]);
			code = EXIT_BAD;
			n = 0;
		}
		iommucfg_txn_unref(txn);
	} else if (!code) {
		n = iommucfg_txn_list(cli->ctx, &names);
		which = names;
		if (n < 0) {
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -n,
					      "the transactions cannot be listed: %s",
					      strerror(-n));
			code = EXIT_BAD;
			n = 0;
		}
	}
	cli_tell(cli);
	if (!code || cli->json)
		code = cli_worse(code, print_all(cli, which, n));
	iommucfg_txn_list_free(names);
	return code;
}
