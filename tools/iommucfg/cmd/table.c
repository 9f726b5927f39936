// SPDX-License-Identifier: GPL-2.0
/* Tables on standard output, by libsmartcols. */
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli.h"

#define MAX_COLUMNS	24

struct table {
	struct cli *cli;
	struct libscols_table *scols;
	const struct column *columns;
	size_t num_columns;
	struct libscols_column *by_id[MAX_COLUMNS];	/* NULL: not shown */
	bool flat;
};

static int find_column(struct table *t, const char *word)
{
	const char *names[MAX_COLUMNS + 1], *near;
	size_t i;

	for (i = 0; i < t->num_columns; i++) {
		if (!strcasecmp(t->columns[i].name, word))
			return i;
		names[i] = t->columns[i].name;
	}
	names[i] = NULL;
	near = iommucfg_suggest(word, names);
	if (near)
		cli_usage(t->cli, "unknown column \"%s\"; did you mean \"%s\"?", word, near);
	else
		cli_usage(t->cli, "unknown column \"%s\"", word);
	return -1;
}

static int add_columns(struct table *t, const char *list)
{
	char *copy, *word, *save;
	const struct column *c;
	int id = 0, flags;

	copy = strdup(list);
	if (!copy)
		return -1;
	for (word = strtok_r(copy, ", ", &save); word && id >= 0;
	     word = strtok_r(NULL, ", ", &save)) {
		id = find_column(t, word);
		if (id < 0 || t->by_id[id])
			continue;
		c = &t->columns[id];
		flags = (c->tree && !t->flat ? SCOLS_FL_TREE : 0) |
			(c->right ? SCOLS_FL_RIGHT : 0) | (c->wrap ? SCOLS_FL_WRAP : 0) |
			(c->cut ? SCOLS_FL_TRUNC : 0);
		t->by_id[id] = scols_table_new_column(t->scols, c->name, c->whint, flags);
		if (c->wrap && t->by_id[id] && !t->cli->raw)
			scols_column_set_safechars(t->by_id[id], "\n");
		if (c->wrap && t->by_id[id] && !t->cli->raw)
			scols_column_set_wrapfunc(t->by_id[id], scols_wrapnl_chunksize,
						  scols_wrapnl_nextchunk, NULL);
	}
	free(copy);
	return id < 0 ? -1 : 0;
}

static void table_free(struct table *t)
{
	scols_unref_table(t->scols);
	free(t);
}

/* NULL after a message. */
struct table *table_new(struct cli *cli, const struct column *columns, size_t n,
			const char *tree_default, const char *list_default)
{
	struct table *t = calloc(1, sizeof(*t));
	const char *usual;
	int ret = 0;

	if (t)
		t->scols = scols_new_table();
	if (!t || !t->scols) {
		free(t);
		cli_nomem();
		return NULL;
	}
	t->cli = cli;
	t->columns = columns;
	t->num_columns = n;
	t->flat = cli->list || cli->raw;
	usual = t->flat ? list_default : tree_default;
	if (!cli->columns || *cli->columns == '+')
		ret = add_columns(t, usual);
	if (!ret && cli->columns)
		ret = add_columns(t, cli->columns + (*cli->columns == '+'));
	if (ret) {
		table_free(t);
		return NULL;
	}
	scols_table_enable_raw(t->scols, cli->raw);
	scols_table_enable_noheadings(t->scols, cli->noheadings);
	scols_table_enable_colors(t->scols, cli_color(cli, stdout));
	/* What is read by a program or kept in a file is not cut. */
	if (!isatty(STDOUT_FILENO)) {
		scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_NEVER);
		scols_table_enable_nowrap(t->scols, 0);
	}
	return t;
}

struct libscols_line *table_line(struct table *t, struct libscols_line *parent)
{
	struct libscols_line *line;
	size_t i;

	line = scols_table_new_line(t->scols, t->flat ? NULL : parent);
	/* A program that splits at spaces needs a word in each field. */
	for (i = 0; line && t->cli->raw && i < t->num_columns; i++)
		if (t->by_id[i])
			scols_line_set_column_data(line, t->by_id[i], "-");
	return line;
}

void table_set(struct table *t, struct libscols_line *line, size_t column, const char *text)
{
	if (line && t->by_id[column] && text && *text)
		scols_line_set_column_data(line, t->by_id[column], text);
}

void table_color(struct table *t, struct libscols_line *line, size_t column, const char *color)
{
	if (line && t->by_id[column] && color)
		scols_cell_set_color(scols_line_get_column_cell(line, t->by_id[column]), color);
}

bool table_has(const struct table *t, size_t column)
{
	return t->by_id[column];
}

bool table_flat(const struct table *t)
{
	return t->flat;
}

/* Prints and releases it. */
int table_print(struct table *t)
{
	int ret;

	ret = scols_print_table(t->scols);
	table_free(t);
	return ret;
}

const char *type_color(const char *type)
{
	if (!strcmp(type, "identity"))
		return "yellow";
	if (!strcmp(type, "DMA"))
		return "green";
	if (!strcmp(type, "DMA-FQ"))
		return "cyan";
	return "red";
}
