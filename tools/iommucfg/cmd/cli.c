// SPDX-License-Identifier: GPL-2.0
/* What all commands do alike: options, messages, exit codes. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int cli_nomem(void)
{
	fputs("iommucfg: out of memory\n", stderr);
	return EXIT_BAD;
}

/* Of two exit codes the one that counts. */
int cli_worse(int a, int b)
{
	static const int weight[] = {
		[EXIT_DONE] = 0, [EXIT_CHANGE] = 1, [EXIT_REFUSED] = 2, [EXIT_BAD] = 3,
		[EXIT_RESTORED] = 4, [EXIT_BROKEN] = 5,
	};

	return weight[a] >= weight[b] ? a : b;
}

bool cli_color(const struct cli *cli, FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !cli->color_off && !(no && *no) && isatty(fileno(f)) &&
	       term && strcmp(term, "dumb");
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	va_list args;

	fputs("iommucfg: ", stderr);
	va_start(args, format);
	cli_vput(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry \"iommucfg%s%s --help\".\n", cli->command ? " " : "",
		cli->command ? cli->command : "");
	return EXIT_BAD;
}

void cli_note(struct cli *cli, const char *format, ...)
{
	va_list args;

	if (cli->quiet)
		return;
	fputs("iommucfg: ", stderr);
	va_start(args, format);
	cli_vput(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void cli_debug(struct cli *cli, const char *format, ...)
{
	va_list args;

	if (!cli->verbose)
		return;
	fputs("iommucfg: ", stderr);
	va_start(args, format);
	cli_vput(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void tell(struct cli *cli, const struct iommucfg_problem *p)
{
	bool warning = iommucfg_problem_severity(p) == IOMMUCFG_WARNING;
	bool color = cli_color(cli, stderr);

	if (warning && cli->quiet)
		return;
	fputs("iommucfg: ", stderr);
	if (iommucfg_problem_file(p)) {
		cli_put(stderr, iommucfg_problem_file(p));
		if (iommucfg_problem_line(p) > 0)
			fprintf(stderr, ":%d", iommucfg_problem_line(p));
		fputs(": ", stderr);
	}
	if (warning)
		fprintf(stderr, "%swarning:%s ", color ? "\033[33m" : "", color ? "\033[0m" : "");
	else if (color)
		fputs("\033[31m", stderr);
	cli_put(stderr, iommucfg_problem_message(p));
	fputs(color && !warning ? "\033[0m\n" : "\n", stderr);
}

/* From an index on, with one line for what differs in the group alone. */
static void tell_from(struct cli *cli, const struct iommucfg_problems *problems, size_t from)
{
	struct iommucfg_problems *folded;
	size_t i;

	if (iommucfg_problems_fold(problems, from, &folded)) {
		cli_nomem();
		return;
	}
	for (i = 0; i < iommucfg_problems_count(folded); i++)
		tell(cli, iommucfg_problems_get(folded, i));
	iommucfg_problems_free(folded);
}

void cli_tell_list(struct cli *cli, const struct iommucfg_problems *problems)
{
	tell_from(cli, problems, 0);
}

/* Says what was found since the last time. */
void cli_tell(struct cli *cli)
{
	tell_from(cli, cli->problems, cli->told);
	cli->told = iommucfg_problems_count(cli->problems);
}

static const struct command *command_of(const struct cli *cli)
{
	const struct command *c;

	for (c = cli->commands; c->name; c++)
		if (cli->command && !strcmp(c->name, cli->command))
			return c;
	return NULL;
}

static int help(const struct cli *cli)
{
	const struct command *c = command_of(cli);

	if (c) {
		printf("Usage: iommucfg %s [OPTION...]%s%s\n\n%s\n", c->name, *c->args ? " " : "",
		       c->args, c->help);
	} else {
		puts("Usage: iommucfg [OPTION...] [COMMAND] [ARGUMENT...]\n\n"
		     "Shows, plans and changes the default domain types of IOMMU groups.\n\nCommands:");
		for (c = cli->commands; c->name; c++)
			printf("  %-9s %s\n", c->name, c->summary);
		puts("");
	}
	puts("Options of every command:\n"
	     "      --json       print one JSON document\n"
	     "  -q, --quiet      print errors only, and what was asked for\n"
	     "  -v, --verbose    say what is being done\n"
	     "      --no-color   no colours (so does NO_COLOR in the environment)\n"
	     "      --root DIR   look below DIR for everything of the system (so does\n"
	     "                   IOMMUCFG_ROOT)\n"
	     "  -h, --help       this text\n"
	     "      --version    the version");
	if (!command_of(cli))
		puts("\nExit status: 0 done, 1 wrong input or system, 2 something to change,\n"
		     "3 refused (nothing was touched), 4 tried and restored, 5 needs a person.\n"
		     "See iommucfg(8), iommucfg.conf(5), iommucfg-json(5).");
	return fflush(stdout) ? EXIT_BAD : EXIT_DONE;
}

int cli_option(struct cli *cli, int opt, char **argv, const struct option *options)
{
	switch (opt) {
	case 'h':
		return help(cli);
	case 'q':
		cli->quiet = true;
		return -1;
	case 'v':
		cli->verbose++;
		return -1;
	case OPT_JSON:
		cli->json = true;
		return -1;
	case OPT_NO_COLOR:
		cli->color_off = true;
		return -1;
	case OPT_ROOT:
		cli->root = optarg;
		return -1;
	case OPT_VERSION:
		printf("iommucfg %s\n", iommucfg_version());
		return EXIT_DONE;
	default:
		return cli_unknown_option(cli, argv, options);
	}
}

/* An option of tables: 0 if taken, 1 if wrong, -1 if not one. */
int cli_table_option(struct cli *cli, int opt)
{
	switch (opt) {
	case 'o':
		cli->columns = optarg;
		/* A table without columns prints nothing, and says nothing of it. */
		if (!optarg[strspn(optarg, ", ")])
			return cli_usage(cli, "-o takes names of columns, not \"%s\"", optarg);
		return 0;
	case 'l':
		cli->list = true;
		return 0;
	case OPT_RAW:
		cli->raw = true;
		return 0;
	case OPT_NOHEADINGS:
		cli->noheadings = true;
		return 0;
	default:
		return -1;
	}
}

/* The options of a command that prints a table and has none of its own; -1 to go on. */
int cli_table_options(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { CLI_LONG, CLI_TABLE_LONG, { NULL, 0, NULL, 0 } };
	int opt, code;

	while ((opt = getopt_long(argc, argv, ":" CLI_SHORT CLI_TABLE_SHORT, options,
				  NULL)) != -1) {
		code = cli_table_option(cli, opt);
		if (code > 0)
			return EXIT_BAD;
		if (!code)
			continue;
		code = cli_option(cli, opt, argv, options);
		if (code >= 0)
			return code;
	}
	return -1;
}

/* Opens the root that was asked for; -1 to go on. */
int cli_open(struct cli *cli)
{
	int ret;

	ret = iommucfg_new(&cli->ctx, cli->root);
	if (ret == -ENOMEM)
		return cli_nomem();
	if (ret)
		return cli_usage(cli, "--root %s: %s", cli->root ? cli->root : "/",
				 strerror(-ret));
	return -1;
}

int cli_number(struct cli *cli, const char *what, const char *text, long min, long max,
	       long *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n < min || n > max) {
		cli_usage(cli, "%s takes a number from %ld to %ld, not \"%s\"", what, min, max,
			  text);
		return -EINVAL;
	}
	*value = n;
	return 0;
}

int cli_need_kernel(struct cli *cli)
{
	return iommucfg_kernel_probe(cli->ctx, cli->problems) ? EXIT_BAD : EXIT_DONE;
}

int cli_need_root(struct cli *cli)
{
	if (!geteuid())
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", EACCES,
			      "\"iommucfg %s\" needs root (CAP_SYS_ADMIN and CAP_SYS_RAWIO in the initial user namespace)",
			      cli->command);
	return EXIT_BAD;
}

/* The files that are named, or else the system's. */
int cli_read_policy(struct cli *cli, struct iommucfg_policy *policy, int argc, char **argv)
{
	int i, ret, err = 0;

	if (!argc)
		return iommucfg_policy_read_system(policy, cli->problems);
	for (i = 0; i < argc; i++) {
		ret = iommucfg_policy_read_file(policy, argv[i], cli->problems);
		if (ret == -EINTR)
			return ret;
		if (ret)
			err = ret;
	}
	return err;
}

/* What cannot be read is a warning here; whether it holds something up the plan knows. */
int cli_scan_use(struct cli *cli, struct iommucfg_topology *topology)
{
	int ret = iommucfg_topology_scan_use(topology, cli->problems);

	if (!ret)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
			      "what is in use cannot be found out: %s", strerror(-ret));
	return EXIT_BAD;
}

/* Of several groups that have a device of one name none is meant: says which there are. */
static bool ambiguous(struct cli *cli, const struct iommucfg_topology *topology, const char *word,
		      struct iommucfg_device *first)
{
	char *list = NULL;
	const char *bus;
	struct iommucfg_device *d;
	size_t length;
	FILE *f;

	/* In one group the kernel lets no two have the same. */
	if (!iommucfg_topology_next_device(topology, first))
		return false;
	f = open_memstream(&list, &length);
	for (d = first; f && d; d = iommucfg_topology_next_device(topology, d)) {
		bus = iommucfg_device_bus(d);
		fprintf(f, "%s%u (bus %s)", d == first ? "" : ", ",
			iommucfg_group_number(iommucfg_device_group(d)), bus ? bus : "unknown");
	}
	if (f && fclose(f)) {
		free(list);
		list = NULL;
	}
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOTUNIQ,
			      "several groups have a device \"%s\": name one of the groups: %s",
			      word, list ? list : "");
	free(list);
	return true;
}

/*
 * Digits are a group, else it is a device, whose group is meant. NULL after a
 * problem.
 */
struct iommucfg_group *cli_find_group(struct cli *cli, const struct iommucfg_topology *topology,
				      const char *word)
{
	struct iommucfg_group *group = NULL;
	struct iommucfg_device *device;

	if (*word && strspn(word, "0123456789") == strlen(word)) {
		if (strlen(word) < 10)
			group = iommucfg_topology_find_group(topology, strtoul(word, NULL, 10));
		if (!group)
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
					      "there is no group %s", word);
		return group;
	}
	device = iommucfg_topology_find_device(topology, word);
	if (device)
		return ambiguous(cli, topology, word, device) ? NULL :
		       iommucfg_device_group(device);
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
			      "no group has a device \"%s\"", word);
	return NULL;
}

/* For entries of the history: what was asked for, and by which words. */
struct recorder cli_recorder(struct cli *cli)
{
	return (struct recorder){
		.ctx = cli->ctx, .problems = cli->problems,
		.command = cli->argv, .action = cli->command,
	};
}
