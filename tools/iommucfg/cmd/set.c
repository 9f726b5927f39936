// SPDX-License-Identifier: GPL-2.0
/* iommucfg set */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

static int parse_type(struct cli *cli, const char *word, enum iommucfg_type *type)
{
	static const char *const words[] = { "identity", "DMA", "DMA-FQ", "auto", NULL };
	const char *near;
	size_t i;

	/* By hand in any case; a policy is read by others, so there it is exact. */
	for (i = 0; words[i]; i++)
		if (!strcasecmp(word, words[i])) {
			*type = iommucfg_type_parse(words[i]);
			return 0;
		}
	near = iommucfg_suggest(word, words);
	cli_usage(cli, "unknown type \"%s\"%s%s%s", word,
		  near ? "; did you mean \"" : "; known are identity, DMA, DMA-FQ, auto",
		  near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

/* What the command line asks for; a word may mean several groups. */
struct asked {
	enum iommucfg_type *types;
	int n;
	char **argv;
	struct iommucfg_target *targets;
	size_t count;
};

static int ask_for(struct asked *asked, struct iommucfg_group *const *groups, size_t n,
		   enum iommucfg_type type)
{
	struct iommucfg_target *v;
	size_t i;

	v = reallocarray(asked->targets, asked->count + n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	asked->targets = v;
	for (i = 0; i < n; i++)
		v[asked->count++] = (struct iommucfg_target){ .group = groups[i], .type = type };
	return 0;
}

static int make_plan(struct run *run, bool again)
{
	struct asked *asked = run->make_data;
	struct iommucfg_group **groups;
	int code = EXIT_DONE, i, ret = 0;
	size_t found;

	(void)again;
	asked->count = 0;
	for (i = 0; i < asked->n && !ret; i++) {
		if (iommucfg_topology_find_target(run->topology, asked->argv[2 * i], &groups,
						  &found, run->cli->problems)) {
			code = EXIT_BAD;
			continue;
		}
		ret = ask_for(asked, groups, found, asked->types[i]);
		free(groups);
	}
	if (ret)
		return cli_nomem();
	return code ? code : run_plan_targets(run, asked->targets, asked->count);
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
	enum iommucfg_type *types;
	int code, i, n;

	code = cli_options(cli, argc, argv, ":" RUN_DRY_SHORT CLI_SHORT, options, run_option,
			   &run);
	if (code >= 0)
		return code;
	argc -= optind;
	argv += optind;
	if (!argc || argc % 2)
		return cli_usage(cli, argc ? "\"%s\" has no type: set takes pairs of TARGET and TYPE" :
				 "set takes pairs of TARGET and TYPE", argc ? argv[argc - 1] : "");
	n = argc / 2;
	types = calloc(n, sizeof(*types));
	if (!types)
		return cli_nomem();
	for (i = 0, code = -1; i < n && code < 0; i++)
		if (parse_type(cli, argv[2 * i + 1], &types[i]))
			code = EXIT_BAD;
	if (code < 0)
		code = cli_open(cli);
	run_default_timeout(&run);
	asked = (struct asked){ .types = types, .n = n, .argv = argv };
	if (code < 0 && run.dry) {
		code = plan_dry(&run);
	} else if (code < 0) {
		signals_catch();
		run_find_hooks(&run);
		code = run_plans_twice(&run) ? EXIT_DONE : run_lock(&run);
		if (!code) {
			code = run_prepare(&run);
			if (run.topology)
				code = cli_worse(code, make_plan(&run, false));
			code = run_judge(&run, code);
		}
		code = run_finish(&run, code);
	}
	free(asked.targets);
	free(types);
	return code;
}
