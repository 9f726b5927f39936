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
	char *message = NULL;
	va_list args;
	int n;

	va_start(args, format);
	cli_vmessage("iommucfg: ", format, args);
	va_end(args);
	va_start(args, format);
	n = vasprintf(&message, format, args);
	va_end(args);
	if (n < 0)
		return cli_nomem();
	fprintf(stderr, "Try \"iommucfg%s%s --help\".\n", cli->command ? " " : "",
		cli->command ? cli->command : "");
	usage_document(cli, EINVAL, message);
	free(message);
	return EXIT_BAD;
}

void cli_note(struct cli *cli, const char *format, ...)
{
	va_list args;

	if (cli->quiet)
		return;
	va_start(args, format);
	cli_vmessage("iommucfg: ", format, args);
	va_end(args);
}

void cli_debug(struct cli *cli, const char *format, ...)
{
	va_list args;

	if (!cli->verbose)
		return;
	va_start(args, format);
	cli_vmessage("iommucfg: ", format, args);
	va_end(args);
}

static void tell(struct cli *cli, const struct iommucfg_problem *p)
{
	bool warning = iommucfg_problem_severity(p) == IOMMUCFG_WARNING;
	bool color = cli_color(cli, stderr);
	char *text = NULL;
	size_t length;
	FILE *f;

	if (warning && cli->quiet)
		return;
	f = open_memstream(&text, &length);
	if (!f)
		return;
	fputs("iommucfg: ", f);
	if (iommucfg_problem_file(p)) {
		cli_put(f, iommucfg_problem_file(p));
		if (iommucfg_problem_line(p) > 0)
			fprintf(f, ":%d", iommucfg_problem_line(p));
		fputs(": ", f);
	}
	if (warning)
		fprintf(f, "%swarning:%s ", color ? "\033[33m" : "", color ? "\033[0m" : "");
	else if (color)
		fputs("\033[31m", f);
	cli_put(f, iommucfg_problem_message(p));
	fputs(color && !warning ? "\033[0m" : "", f);
	if (!fclose(f))
		cli_put_message(text);
	free(text);
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
	iommucfg_problems_unref(folded);
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

const struct command *cli_command(const struct cli *cli, const char *word)
{
	const struct command *c;

	for (c = cli->commands; c->name; c++)
		if (word && !strcmp(c->name, word))
			return c;
	return NULL;
}

int cli_unknown_command(struct cli *cli, const char *word)
{
	const char *names[64], *near;
	size_t i;

	for (i = 0; cli->commands[i].name && i < 63; i++)
		names[i] = cli->commands[i].name;
	names[i] = NULL;
	near = iommucfg_suggest(word, names);
	if (near)
		return cli_usage(cli, "unknown command \"%s\"; did you mean \"%s\"?", word, near);
	return cli_usage(cli, "unknown command \"%s\"", word);
}

/* Of a command, or with NULL of all. */
static int help(const struct cli *cli, const struct command *c)
{
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
	     "  -V, --version    the version");
	if (!c)
		puts("\nExit status: 0 done, 1 wrong input or system, 2 something to change,\n"
		     "3 refused (nothing was touched), 4 tried and restored, 5 needs a person.\n"
		     "See iommucfg(8), iommucfg.conf(5), iommucfg-json(5).");
	return fflush(stdout) ? EXIT_BAD : EXIT_DONE;
}

static int version(void)
{
	printf("iommucfg %s\n", iommucfg_version());
	return fflush(stdout) ? EXIT_BAD : EXIT_DONE;
}

int cli_option(struct cli *cli, int opt, char **argv, const struct option *options)
{
	switch (opt) {
	case 'h':
		return help(cli, cli_command(cli, cli->command));
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
	case 'V':
		return version();
	default:
		return cli_unknown_option(cli, argv, options);
	}
}

/*
 * getopt_long(), which takes any next word for the value of an option, also where the value
 * was forgotten and the word is an option. Returns 0, or the code to exit with.
 */
int cli_getopt(struct cli *cli, int argc, char **argv, const char *shorts,
	       const struct option *options, int *opt)
{
	optarg = NULL;
	*opt = getopt_long(argc, argv, shorts, options, NULL);
	if (*opt == -1 || !optarg || optarg != argv[optind - 1] || strncmp(optarg, "--", 2))
		return 0;
	return cli_usage(cli, "option %s needs an argument, and \"%s\" is none", argv[optind - 2],
			 optarg);
}

int cli_options(struct cli *cli, int argc, char **argv, const char *shorts,
		const struct option *options, cli_option_fn own, void *data)
{
	int opt, code;

	while (!(code = cli_getopt(cli, argc, argv, shorts, options, &opt)) && opt != -1) {
		code = own ? own(cli, opt, data) : -1;
		if (code > 0)
			return EXIT_BAD;
		if (!code)
			continue;
		code = cli_option(cli, opt, argv, options);
		if (code >= 0)
			return code;
	}
	return code ? code : -1;
}

/* -o of what can be written to a file. "-" is standard output, as it is without it. */
int cli_file_option(struct cli *cli, int opt, void *file)
{
	if (opt != 'o')
		return -1;
	if (!*optarg)
		return cli_usage(cli, "-o takes the name of a file, or \"-\" for standard output");
	*(const char **)file = strcmp(optarg, "-") ? optarg : NULL;
	return 0;
}

/* An option of tables. */
int cli_table_option(struct cli *cli, int opt, void *unused)
{
	(void)unused;
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

	return cli_options(cli, argc, argv, ":" CLI_SHORT CLI_TABLE_SHORT, options,
			   cli_table_option, NULL);
}

/* The options that all commands share, for a command without others; -1 to go on. */
int cli_plain_options(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { CLI_LONG, { NULL, 0, NULL, 0 } };

	return cli_options(cli, argc, argv, ":" CLI_SHORT, options, NULL, NULL);
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	const struct command *c;
	int code;

	code = cli_plain_options(cli, argc, argv);
	if (code >= 0)
		return code;
	argc -= optind;
	argv += optind;
	if (argc > 1)
		return cli_usage(cli, "help takes one COMMAND");
	c = argc ? cli_command(cli, argv[0]) : NULL;
	if (argc && !c)
		return cli_unknown_command(cli, argv[0]);
	return help(cli, c);
}

int cmd_version(struct cli *cli, int argc, char **argv)
{
	int code;

	code = cli_plain_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (optind < argc)
		return cli_usage(cli, "version takes no arguments");
	return version();
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
	iommucfg_problems_cure(cli->problems, "not-root", NULL);
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

/* For entries of the history: what was asked for, and by which words. */
struct recorder cli_recorder(struct cli *cli)
{
	return (struct recorder){
		.ctx = cli->ctx, .problems = cli->problems,
		.command = cli->argv, .action = cli->command,
	};
}
