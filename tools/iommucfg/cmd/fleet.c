// SPDX-License-Identifier: GPL-2.0
/* iommucfg fleet: runs iommucfg-fleet-cli, so that this command does not link libcurl. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define PROGRAM "iommucfg-fleet-cli"

/* It is not there, or cannot be run. */
static int without(struct cli *cli, int error, bool json)
{
	struct json_object *o;

	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", error,
			      PROGRAM " cannot be run (%s): it is in the package iommucfg-fleet",
			      strerror(error));
	iommucfg_problems_cure(cli->problems, "no-fleet", NULL);
	if (!json)
		return EXIT_BAD;
	cli->document = "usage";
	o = json_document(cli);
	json_object_object_add(o, "problems", json_problems(cli->problems));
	json_object_object_add(o, "result", json_text("error"));
	json_print(o, true);
	return EXIT_BAD;
}

int cmd_fleet(struct cli *cli, int argc, char **argv)
{
	char **words = calloc(argc + 3, sizeof(*words));
	static char program[] = PROGRAM, option[] = "--json", help[] = "help", name[] = "fleet";
	char *help_fleet[] = { help, name, NULL };
	bool json = cli->json;
	int n = 0, i, error;

	if (!words)
		return cli_nomem();
	words[n++] = program;
	if (cli->json)
		words[n++] = option;
	for (i = 1; i < argc; i++) {
		json |= !strcmp(argv[i], option);
		words[n++] = argv[i];
	}
	execvp(PROGRAM, words);
	error = errno;
	free(words);
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		optind = 0;
		return cmd_help(cli, 2, help_fleet);
	}
	return without(cli, error, json);
}
