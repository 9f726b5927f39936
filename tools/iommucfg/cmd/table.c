// SPDX-License-Identifier: GPL-2.0
/* Tables on standard output, by libsmartcols. */
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "cli.h"

#define MAX_COLUMNS	24

struct table {
	struct cli *cli;
	struct libscols_table *scols;
	const struct column *columns;
	size_t num_columns;
	struct libscols_column *by_id[MAX_COLUMNS];	/* NULL: not shown */
	bool asked[MAX_COLUMNS];	/* for by name */
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

static int add_columns(struct table *t, const char *list, bool asked)
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
		if (id >= 0)
			t->asked[id] |= asked;
		if (id < 0 || t->by_id[id])
			continue;
		c = &t->columns[id];
		flags = (c->tree && !t->flat ? SCOLS_FL_TREE : 0) |
			(c->right ? SCOLS_FL_RIGHT : 0) | (c->wrap ? SCOLS_FL_WRAP : 0);
		t->by_id[id] = scols_table_new_column(t->scols, c->name, 0, flags);
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
		ret = add_columns(t, usual, false);
	if (!ret && cli->columns)
		ret = add_columns(t, cli->columns + (*cli->columns == '+'), true);
	if (ret) {
		table_free(t);
		return NULL;
	}
	scols_table_enable_raw(t->scols, cli->raw);
	scols_table_enable_noheadings(t->scols, cli->noheadings);
	scols_table_enable_colors(t->scols, cli_color(cli, stdout));
	/* table_print() makes it fit. */
	scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_nowrap(t->scols, 0);
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

/* The columns of a terminal, or of what may be read on one. */
int terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	int n;

	if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	n = columns ? atoi(columns) : 0;
	return n > 0 ? n : 80;
}

/* The cells of a terminal that one character takes; its bytes in *@length. */
static int cells(const char *text, size_t *length)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n;

	*length = 1;
	if ((unsigned char)*text < 0x80)
		return 1;
	/* Of what follows only a character is looked at: a table can be long. */
	n = mbrtowc(&wide, text, strnlen(text, MB_CUR_MAX), &state);
	if (n == 0 || n > MB_CUR_MAX)
		return 1;
	*length = n;
	return wcwidth(wide) < 0 ? 1 : wcwidth(wide);
}

/* The widest line of a text. */
static int width_of(const char *text)
{
	int width = 0, widest = 0;
	size_t n;

	for (; *text; text += n) {
		if (*text == '\n') {
			width = 0;
			n = 1;
			continue;
		}
		width += cells(text, &n);
		if (width > widest)
			widest = width;
	}
	return widest;
}

/* The table as it would be printed without colours; NULL where that fails. */
static char *table_text(struct table *t)
{
	char *text = NULL;

	scols_table_enable_colors(t->scols, 0);
	if (scols_print_table_to_string(t->scols, &text)) {
		free(text);
		text = NULL;
	}
	scols_table_enable_colors(t->scols, cli_color(t->cli, stdout));
	return text;
}

/* Each line of a text, where it is longer, to @width cells with an ellipsis at the end. */
static char *shorten(const char *text, int width)
{
	const char *ellipsis = MB_CUR_MAX > 1 ? "\u2026" : "...", *end, *p;
	int room = width - (MB_CUR_MAX > 1 ? 1 : 3), used, w;
	size_t n, size;
	char *out;
	FILE *f;

	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		for (p = text, used = 0; p < end; p += n)
			used += cells(p, &n);
		if (used > width) {
			for (p = text, used = 0; (w = cells(p, &n)) + used <= room; p += n)
				used += w;
			fprintf(f, "%.*s%s", (int)(p - text), text, ellipsis);
		} else {
			fwrite(text, 1, end - text, f);
		}
		fputs(*end ? "\n" : "", f);
	}
	return fclose(f) ? NULL : out;
}

/* Of the texts in a column, with the lines of the tree. */
static int column_width(struct table *t, struct libscols_column *column)
{
	struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
	bool tree = scols_column_is_tree(column);
	struct libscols_line *line;
	int width = 0, w;
	const char *data;

	while (iter && !scols_table_next_line(t->scols, iter, &line)) {
		data = scols_line_get_column_data(line, column);
		w = data ? width_of(data) : 0;
		if (tree && scols_line_get_parent(line))
			w += 2;
		if (w > width)
			width = w;
	}
	scols_free_iter(iter);
	return width;
}

static void cut_column(struct table *t, struct libscols_column *column, int width)
{
	struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
	struct libscols_line *line;
	const char *data;
	char *text;

	while (iter && !scols_table_next_line(t->scols, iter, &line)) {
		data = scols_line_get_column_data(line, column);
		text = data && width_of(data) > width ? shorten(data, width) : NULL;
		if (text)
			scols_line_set_column_data(line, column, text);
		free(text);
	}
	scols_free_iter(iter);
}

/* Cuts the widest column of a step, halfway if another one can give as well; by how much. */
static int cut_widest(struct table *t, int step, int excess)
{
	int id = -1, width = 0, room = 0, n = 0, w, least;
	size_t i;

	for (i = 0; i < t->num_columns; i++) {
		if (!t->by_id[i] || t->columns[i].cut != step ||
		    scols_column_is_hidden(t->by_id[i]))
			continue;
		/* Its heading and a few letters stay. */
		least = strlen(t->columns[i].name);
		least = least < 6 ? 6 : least;
		w = column_width(t, t->by_id[i]);
		n += w > least;
		if (w <= least || w <= width)
			continue;
		id = i;
		width = w;
		room = w - least;
	}
	if (id < 0)
		return 0;
	excess = n > 1 ? (excess + 1) / 2 : excess;
	excess = excess < room ? excess : room;
	cut_column(t, t->by_id[id], width - excess);
	return excess;
}

/* With its heading. */
static int whole_width(struct table *t, size_t id)
{
	int width = column_width(t, t->by_id[id]), heading = strlen(t->columns[id].name);

	return width > heading ? width : heading;
}

/* Leaves a column out. Returns how much narrower the table is, with the blank between. */
static int hide_column(struct table *t, size_t id)
{
	scols_column_set_flags(t->by_id[id], SCOLS_FL_HIDDEN |
			       scols_column_get_flags(t->by_id[id]));
	return whole_width(t, id) + 1;
}

/* Of the table, by its columns. */
static int sum_of_widths(struct table *t)
{
	int sum = -1;
	size_t i;

	for (i = 0; i < t->num_columns; i++)
		if (t->by_id[i] && !scols_column_is_hidden(t->by_id[i]))
			sum += whole_width(t, i) + 1;
	return sum;
}

/* Takes @excess cells out of the table, if it can; false where nothing was left to take. */
static bool narrow(struct table *t, int excess)
{
	int before = excess, step, cut;
	size_t i;

	for (step = 1; step <= 2; step++)
		for (i = 0; i < t->num_columns && excess > 0; i++)
			if (t->by_id[i] && t->columns[i].drop == step && !t->asked[i] &&
			    !scols_column_is_hidden(t->by_id[i]))
				excess -= hide_column(t, i);
	for (step = 1; step <= 3; step++)
		while (excess > 0 && (cut = cut_widest(t, step, excess)) > 0)
			excess -= cut;
	return excess < before;
}

/*
 * Only the printed table tells its width for certain, and to print a long one takes its time:
 * the sum of its columns comes first. Returns the text that fits, or what was printed last.
 */
static char *fit(struct table *t, int width)
{
	char *text;
	int excess;

	do {
		excess = sum_of_widths(t) - width;
	} while (excess > 0 && narrow(t, excess));
	for (;;) {
		text = table_text(t);
		excess = text ? width_of(text) - width : 0;
		if (excess <= 0 || !narrow(t, excess))
			return text;
		free(text);
	}
}

/* Prints and releases it. */
int table_print(struct table *t)
{
	char *text = NULL;
	int ret = 0;

	/* What is for a program has all that there is. */
	if (!t->cli->raw)
		text = fit(t, terminal_width(STDOUT_FILENO));
	if (!text || cli_color(t->cli, stdout))
		ret = scols_print_table(t->scols);
	else if (*text)
		ret = puts(text) == EOF;
	free(text);
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
