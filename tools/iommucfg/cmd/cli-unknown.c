// SPDX-License-Identifier: GPL-2.0
/* getopt() has met something that is no option, or not as it must be: what was meant? */
#include <string.h>

#include "cli.h"

static const struct option *by_value(const struct option *options, int value)
{
	for (; options->name; options++)
		if (options->val == value)
			return options;
	return NULL;
}

static const struct option *by_name(const struct option *options, const char *name)
{
	for (; options->name; options++)
		if (!strcmp(options->name, name))
			return options;
	return NULL;
}

static int unknown(struct cli *cli, const char *dashes, const char *word,
		   const struct option *options)
{
	static const struct option table_options[] = { CLI_TABLE_LONG, { NULL, 0, NULL, 0 } };
	const char *names[64], *near;
	size_t n;

	/* show is what runs without a command, but its options need the word. */
	if (!cli->command && (dashes[1] ? by_name(table_options, word) :
			      by_value(table_options, *word)))
		return cli_usage(cli, "option %s%s goes behind a command, as in \"iommucfg show %s%s\"",
				 dashes, word, dashes, word);
	for (n = 0; options[n].name && n < 63; n++)
		names[n] = options[n].name;
	names[n] = NULL;
	near = dashes[1] ? iommucfg_suggest(word, names) : NULL;
	return cli_usage(cli, near ? "unknown option %s%s; did you mean --%s?" :
			 "unknown option %s%s", dashes, word, near);
}

/*
 * optopt is the letter of a short option; for a long one it is what that stands for,
 * or 0 where none has the name. A long one is the last word that was read; a short
 * one may also be in the middle of the next.
 */
int cli_unknown_option(struct cli *cli, char **argv, const struct option *options)
{
	const struct option *known = optopt ? by_value(options, optopt) : NULL;
	const char *arg = argv[optind - 1];
	char word[64];

	if (optopt && (!known || strncmp(arg, "--", 2))) {
		snprintf(word, sizeof(word), "%c", optopt);
		return known ? cli_usage(cli, "option -%s needs an argument", word) :
			       unknown(cli, "-", word, options);
	}
	if (known)
		return cli_usage(cli, known->has_arg ? "option --%s needs an argument" :
				 "option --%s takes no argument", known->name);
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	return unknown(cli, "--", word, options);
}
