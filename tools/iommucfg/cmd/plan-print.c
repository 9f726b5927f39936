// SPDX-License-Identifier: GPL-2.0
/* A plan as a table, and what it means. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum {
	COL_NAME, COL_GROUP, COL_FROM, COL_TO, COL_HOW, COL_DEVICE, COL_BUS, COL_DRIVER,
	COL_DESCRIPTION, COL_IN_USE, COL_RULE, COL_WHERE,
};

static const struct column columns[] = {
	[COL_NAME] = { "NAME", .tree = true },
	[COL_GROUP] = { "GROUP", .right = true },
	[COL_FROM] = { "FROM" },
	[COL_TO] = { "TO" },
	[COL_HOW] = { "HOW" },
	[COL_DEVICE] = { "DEVICE" },
	[COL_BUS] = { "BUS" },
	[COL_DRIVER] = { "DRIVER" },
	[COL_DESCRIPTION] = { "DESCRIPTION", .drop = 1, .cut = 1 },
	[COL_IN_USE] = { "IN-USE", .wrap = true, .cut = 1 },
	[COL_RULE] = { "RULE", .cut = 3 },
	[COL_WHERE] = { "WHERE", .drop = 2, .cut = 2 },
};

enum method {
	UNCHANGED, IN_PLACE, PAUSE, REBIND, NUM_METHODS
};

static const char *const method_words[] = { "unchanged", "in place", "pause", "rebind" };

/* What becomes of a driver. */
static const char *const driver_words[] = { "stays", "stays", "paused", "released" };

/* As the kernel says, or where it was not asked what can be relied on. */
static enum method method_of(const struct iommucfg_change *change)
{
	const char *method = iommucfg_change_method(change);

	if (iommucfg_change_in_place(change))
		return IN_PLACE;
	if (method && !strcmp(method, "pause"))
		return PAUSE;
	return method && !strcmp(method, "unchanged") ? UNCHANGED : REBIND;
}

static void group_cells(struct table *t, struct libscols_line *line,
			const struct iommucfg_change *change)
{
	const struct iommucfg_group *group = iommucfg_change_group(change);
	const char *from = iommucfg_group_type_text(group), *file, *rule;
	const char *to = iommucfg_type_name(iommucfg_change_to(change));
	char number[16], *where = NULL;
	int n;

	snprintf(number, sizeof(number), "%u", iommucfg_group_number(group));
	table_set(t, line, COL_GROUP, number);
	table_set(t, line, COL_FROM, from);
	table_color(t, line, COL_FROM, type_color(from));
	table_set(t, line, COL_TO, to);
	table_color(t, line, COL_TO, type_color(to));
	rule = iommucfg_change_origin(change, &file, &n);
	table_set(t, line, COL_RULE, rule ? rule : "by hand");
	/* The way to the file makes the tree wider than terminals are; a list has it. */
	if (file && !table_flat(t) && strrchr(file, '/'))
		file = strrchr(file, '/') + 1;
	if (file && asprintf(&where, "%s:%d", file, n) > 0) {
		table_set(t, line, COL_WHERE, where);
		free(where);
	}
}

static void device_line(struct table *t, struct libscols_line *parent,
			const struct iommucfg_plan *plan, const struct iommucfg_change *change, struct iommucfg_device *device,
			bool skipped)
{
	struct libscols_line *line = table_line(t, parent);
	const char *driver = iommucfg_device_driver(device), *how;
	char *text;

	if (table_flat(t))
		group_cells(t, line, change);
	/* No rule asks for it: it changes with the others of its group. */
	if (iommucfg_plan_follows(plan, change, device))
		table_set(t, line, COL_RULE, "(follows)");
	table_set(t, line, COL_NAME, iommucfg_device_name(device));
	table_set(t, line, COL_DEVICE, iommucfg_device_name(device));
	table_set(t, line, COL_BUS, iommucfg_device_bus(device));
	table_set(t, line, COL_DRIVER, driver);
	how = skipped ? "skipped" : !driver ? NULL :
	      iommucfg_device_manages_dma(device) ? "stays" : driver_words[method_of(change)];
	table_set(t, line, COL_HOW, how);
	if (table_has(t, COL_DESCRIPTION)) {
		text = describe_device(device);
		table_set(t, line, COL_DESCRIPTION, text);
		free(text);
	}
	text = describe_uses(device);
	table_set(t, line, COL_IN_USE, text);
	table_color(t, line, COL_IN_USE, text ? "magenta" : NULL);
	free(text);
}

static void change_lines(struct table *t, const struct iommucfg_plan *plan,
			 const struct iommucfg_change *change, bool skipped)
{
	const struct iommucfg_group *group = iommucfg_change_group(change);
	struct libscols_line *line = NULL;
	char number[16];
	size_t i;

	if (!table_flat(t)) {
		line = table_line(t, NULL);
		snprintf(number, sizeof(number), "%u", iommucfg_group_number(group));
		table_set(t, line, COL_NAME, number);
		group_cells(t, line, change);
		table_set(t, line, COL_HOW, skipped ? "skipped" :
			  method_words[method_of(change)]);
	}
	for (i = 0; i < iommucfg_group_num_devices(group); i++)
		device_line(t, line, plan, change, iommucfg_group_device(group, i), skipped);
}

/* What the change of a type means for protection. */
static void print_meaning(const struct iommucfg_plan *plan)
{
	bool told[IOMMUCFG_TYPE_OTHER + 1] = { false };
	enum iommucfg_type to;
	size_t i;

	for (i = 0; i < iommucfg_plan_num_changes(plan); i++) {
		to = iommucfg_change_to(iommucfg_plan_change(plan, i));
		if (told[to])
			continue;
		if (!i)
			puts("");
		told[to] = true;
		switch (to) {
		case IOMMUCFG_TYPE_IDENTITY:
			puts("identity: no translation. These devices, and any program that controls them,\n"
			     "          reach all of the machine's memory.");
			break;
		case IOMMUCFG_TYPE_DMA:
			puts("DMA:      full protection. A device reaches a buffer only while it is mapped.");
			break;
		case IOMMUCFG_TYPE_DMA_FQ:
			puts("DMA-FQ:   unmapping is deferred. A device can reach a buffer for some milliseconds\n"
			     "          after it was given back.");
			break;
		default:
			puts("auto:     the kernel chooses; the type shows afterwards.");
			break;
		}
	}
}

/* What each method means for who uses the devices. */
static void print_methods(const struct iommucfg_plan *plan)
{
	static const char *const meanings[] = {
		[IN_PLACE] =
			"in place: drivers stay bound and at work; nothing stops.",
		[PAUSE] =
			"pause:    drivers stay bound. Each device is silent for a\n"
			"          moment, as a rule less than a second; disks stay\n"
			"          mounted, interfaces keep their addresses.",
		[REBIND] =
			"rebind:   drivers are unbound and bound again. Interfaces\n"
			"          and disks go away and come back.",
	};
	size_t i, n = iommucfg_plan_num_changes(plan), count[NUM_METHODS] = { 0 };
	bool asked = false;
	enum method method;

	for (i = 0; i < n; i++) {
		count[method_of(iommucfg_plan_change(plan, i))]++;
		asked |= iommucfg_change_method(iommucfg_plan_change(plan, i)) != NULL;
	}
	for (method = IN_PLACE; method < NUM_METHODS; method++)
		if (count[method])
			puts(meanings[method]);
	if (count[REBIND] && !asked)
		puts("The kernel was not asked how: it may do with less.");
}

/* How many were left out for the limit of disruption. */
static size_t count_over_limit(const struct iommucfg_plan *plan)
{
	size_t i, n = 0;

	for (i = 0; i < iommucfg_plan_num_skipped(plan); i++)
		n += iommucfg_change_over_limit(iommucfg_plan_skipped(plan, i));
	return n;
}

/* Words, in lines that are not longer than the terminal is wide. */
static void print_wrapped(const char *text, size_t columns)
{
	size_t used = 0, length;

	for (; *text; text += length + !!text[length]) {
		length = strcspn(text, " ");
		if (used && used + 1 + length > columns) {
			fputs("\n  ", stdout);
			used = 2;
		} else if (used) {
			putchar(' ');
			used++;
		}
		fwrite(text, 1, length, stdout);
		used += length;
	}
	putchar('\n');
}

/* "eth0 loses 10.0.0.1/24, the route default for a moment; nothing manages it: …" */
static void print_loss(const struct iommucfg_loss *loss)
{
	const char *manager = iommucfg_loss_manager(loss), *sep = " ", *word;
	char *text = NULL;
	size_t i, length;
	FILE *f;

	f = open_memstream(&text, &length);
	if (!f)
		return;
	fprintf(f, "%s loses", iommucfg_loss_interface(loss));
	for (i = 0; (word = iommucfg_loss_address(loss, i)); i++, sep = ", ")
		fprintf(f, "%s%s", sep, word);
	for (i = 0; (word = iommucfg_loss_route(loss, i)); i++, sep = ", ")
		fprintf(f, "%sthe route %s", sep, word);
	if (iommucfg_loss_master(loss))
		fprintf(f, "%sits place in %s", sep, iommucfg_loss_master(loss));
	fputs(" for a moment; ", f);
	if (!manager)
		fputs("nothing manages it: the change puts that back", f);
	else if (!strcmp(manager, "unknown"))
		fputs("what manages it cannot be asked", f);
	else
		fprintf(f, "%s brings that back", manager);
	if (!fclose(f))
		print_wrapped(text, terminal_width(STDOUT_FILENO));
	free(text);
}

static void print_losses(const struct iommucfg_plan *plan)
{
	size_t i;

	for (i = 0; i < iommucfg_plan_num_losses(plan); i++) {
		if (!i)
			puts("");
		print_loss(iommucfg_plan_loss(plan, i));
	}
}

static void print_summary(const struct iommucfg_plan *plan)
{
	size_t i, n = iommucfg_plan_num_changes(plan), count[NUM_METHODS] = { 0 };
	size_t skipped = iommucfg_plan_num_skipped(plan), over = count_over_limit(plan);
	char *text = describe_plural(n, "group");
	const struct iommucfg_change *change;
	bool way_back = false;

	for (i = 0; i < n; i++) {
		change = iommucfg_plan_change(plan, i);
		count[method_of(change)]++;
		way_back |= iommucfg_change_in_place(change) &&
			    iommucfg_change_needs(plan, change) == IOMMUCFG_DISRUPTION_REBIND;
	}
	printf("\n%s to change", text ? text : "");
	if (count[IN_PLACE])
		printf(", %zu of them in place", count[IN_PLACE]);
	if (count[PAUSE])
		printf(", %zu of them by pause", count[PAUSE]);
	if (skipped > over)
		printf(", %zu skipped because in use", skipped - over);
	if (over)
		printf(", %zu skipped because of disruption", over);
	printf(", %zu unchanged.\n", iommucfg_plan_unchanged(plan));
	free(text);
	if (iommucfg_plan_num_steps(plan) > 1)
		printf("In %u steps, one after the other, as legs of one set do not go together: %s.\n",
		       iommucfg_plan_num_steps(plan), iommucfg_plan_sets(plan));
	if (n && iommucfg_plan_confirm_timeout(plan))
		printf("Unless it is confirmed within %ld second%s it goes back%s.\n",
		       iommucfg_plan_confirm_timeout(plan),
		       iommucfg_plan_confirm_timeout(plan) == 1 ? "" : "s",
		       way_back ? ", and drivers of what went in place\nare unbound for that" : "");
	else if (n && iommucfg_plan_no_way_back(plan))
		puts("No confirm timeout: going back would unbind drivers.");
}

int plan_print(struct cli *cli, const struct iommucfg_plan *plan)
{
	struct table *t;
	size_t i;
	int ret;

	t = table_new(cli, columns, sizeof(columns) / sizeof(*columns),
		      "NAME,FROM,TO,HOW,DRIVER,RULE,WHERE,IN-USE,DESCRIPTION",
		      "GROUP,FROM,TO,HOW,DEVICE,DRIVER,RULE,WHERE,IN-USE");
	if (!t)
		return EXIT_BAD;
	for (i = 0; i < iommucfg_plan_num_changes(plan); i++)
		change_lines(t, plan, iommucfg_plan_change(plan, i), false);
	for (i = 0; i < iommucfg_plan_num_skipped(plan); i++)
		change_lines(t, plan, iommucfg_plan_skipped(plan, i), true);
	if (!i && !iommucfg_plan_num_changes(plan)) {
		cli->columns = NULL;
		if (!cli->raw && !cli->noheadings)
			printf("Nothing to change, %zu unchanged.\n",
			       iommucfg_plan_unchanged(plan));
		/* Releases it; an empty table prints nothing. */
		return table_print(t) ? EXIT_BAD : EXIT_DONE;
	}
	ret = table_print(t) ? EXIT_BAD : EXIT_DONE;
	if (!cli->raw && !cli->noheadings) {
		print_meaning(plan);
		print_methods(plan);
		print_losses(plan);
		print_summary(plan);
	}
	return ret;
}

/* The first problem of the highest severity, and how many there are of at least @severity. */
static const struct iommucfg_problem *worst(const struct iommucfg_problems *problems,
					    enum iommucfg_severity severity, size_t *n)
{
	const struct iommucfg_problem *p, *found = NULL;
	size_t i;

	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		if (iommucfg_problem_severity(p) < severity)
			continue;
		++*n;
		if (!found || iommucfg_problem_severity(p) > iommucfg_problem_severity(found))
			found = p;
	}
	return found;
}

/* What apply would come to: the last line of a plan. */
void plan_print_verdict(struct cli *cli, const struct iommucfg_plan *plan)
{
	size_t changes = iommucfg_plan_num_changes(plan), n = 0;
	size_t skipped = iommucfg_plan_num_skipped(plan), i;
	const char *command = strcmp(cli->command, "plan") ? cli->command : "apply";
	const struct iommucfg_problem *why, *other;
	char *groups;

	if (cli->raw || cli->noheadings)
		return;
	other = worst(iommucfg_plan_problems(plan), IOMMUCFG_REFUSED, &n);
	why = worst(iommucfg_plan_conflicts(plan), IOMMUCFG_REFUSED, &n);
	if (!why)
		why = other;
	/* Only a warning for the plan. */
	for (i = 0; i < iommucfg_problems_count(cli->problems) && !why && changes; i++) {
		other = iommucfg_problems_get(cli->problems, i);
		if (!strcmp(iommucfg_problem_kind(other), "transaction"))
			why = other;
	}
	if (why) {
		printf("%s would be refused: %s", command, iommucfg_problem_message(why));
		if (n > 1)
			printf(" (and %zu more)", n - 1);
		puts("");
		return;
	}
	groups = describe_plural(changes, "group");
	if (!changes && !skipped)
		printf("%s would have nothing to do.\n", command);
	else if (skipped)
		printf("%s would change %s and leave out %zu%s.\n", command, groups ? groups : "",
		       skipped, count_over_limit(plan) ? "" : " in use");
	else
		printf("%s would change %s.\n", command, groups ? groups : "");
	free(groups);
}
