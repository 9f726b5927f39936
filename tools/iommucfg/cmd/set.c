// SPDX-License-Identifier: GPL-2.0
/* iommucfg set */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int parse_type(struct cli *cli, const char *word, enum iommucfg_type *type)
{
	static const char *const words[] = { "identity", "DMA", "DMA-FQ", "auto", NULL };
	const char *near;

	*type = iommucfg_type_parse(word);
	if (*type != IOMMUCFG_TYPE_OTHER)
		return 0;
	near = iommucfg_suggest(word, words);
	cli_usage(cli, "unknown type \"%s\"%s%s%s", word,
		  near ? "; did you mean \"" : "; known are identity, DMA, DMA-FQ, auto",
		  near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

struct asked {
	struct iommucfg_target *targets;
	int n;
	char **argv;
};

static int make_plan(struct run *run, bool again)
{
	struct asked *asked = run->make_data;
	int code = EXIT_DONE, i;

	(void)again;
	for (i = 0; i < asked->n; i++) {
		asked->targets[i].group = cli_find_group(run->cli, run->topology,
							 asked->argv[2 * i]);
		if (!asked->targets[i].group)
			code = EXIT_BAD;
	}
	if (code)
		return code;
	return run_plan_targets(run, asked->targets, asked->n);
}

int cmd_set(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { NULL, 0, NULL, 0 }
	};
	struct asked asked = { 0 };
	struct run run = {
		.cli = cli, .settle = DEFAULT_SETTLE, .make = make_plan,
		.make_data = &asked,
	};
	struct iommucfg_target *targets;
	int opt, code, i, n, unused = 0;

	while ((opt = getopt_long(argc, argv, ":" CLI_SHORT, options, NULL)) != -1) {
		code = run_option(&run, cli, opt, &unused, &unused, &unused);
		if (code > 0)
			return EXIT_BAD;
		if (code < 0 && (code = cli_option(cli, opt, argv, options)) >= 0)
			return code;
	}
	argc -= optind;
	argv += optind;
	if (!argc || argc % 2)
		return cli_usage(cli, argc ? "\"%s\" has no type: set takes pairs of TARGET and TYPE" :
				 "set takes pairs of TARGET and TYPE", argc ? argv[argc - 1] : "");
	n = argc / 2;
	targets = calloc(n, sizeof(*targets));
	if (!targets)
		return cli_nomem();
	for (i = 0, code = -1; i < n && code < 0; i++)
		if (parse_type(cli, argv[2 * i + 1], &targets[i].type))
			code = EXIT_BAD;
	if (code < 0)
		code = cli_open(cli);
	if (code < 0) {
		asked = (struct asked){ .targets = targets, .n = n, .argv = argv };
		signals_catch();
		code = run_asks(&run) ? EXIT_DONE : run_lock(&run);
		if (!code) {
			code = run_prepare(&run);
			if (run.topology)
				code = cli_worse(code, make_plan(&run, false));
			code = run_judge(&run, code);
		}
		code = run_finish(&run, code);
	}
	free(targets);
	return code;
}
