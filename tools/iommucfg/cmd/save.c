// SPDX-License-Identifier: GPL-2.0
/* iommucfg save */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int print_json(struct cli *cli, const char *file, const char *text, size_t rules, int code)
{
	struct json_object *o = json_document(cli);

	json_object_object_add(o, "file", json_text(file));
	json_object_object_add(o, "rules", json_number(rules));
	json_object_object_add(o, "policy", json_text(text));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	json_object_object_add(o, "result", json_text(code ? "error" : "saved"));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

static int save(struct cli *cli, const char *file, char **text, size_t *rules)
{
	struct iommucfg_topology *topology;
	int ret;

	if (iommucfg_topology_scan(cli->ctx, &topology, cli->problems))
		return EXIT_BAD;
	ret = iommucfg_save(topology, text, rules, cli->problems);
	iommucfg_topology_unref(topology);
	if (ret) {
		*text = NULL;
		return cli_nomem();
	}
	if (!*rules) {
		/* Never an empty policy over a full one. */
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", ENODATA,
				      "no group has a type that could be saved%s%s%s",
				      file ? "; " : "", file ? file : "",
				      file ? " is left as it is" : "");
		return EXIT_BAD;
	}
	if (!file)
		return EXIT_DONE;
	ret = iommucfg_write_atomic(file, *text, strlen(*text));
	if (ret) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
				      "%s is left as it is: %s", file, strerror(-ret));
		return EXIT_BAD;
	}
	return EXIT_DONE;
}

int cmd_save(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, { "output", required_argument, NULL, 'o' }, { NULL, 0, NULL, 0 }
	};
	const char *file = NULL;
	size_t rules = 0;
	char *text = NULL;
	int code;

	code = cli_options(cli, argc, argv, ":" CLI_SHORT "o:", options, cli_file_option, &file);
	if (code >= 0)
		return code;
	if (argc > optind)
		return cli_usage(cli, "save takes no argument; -o %s writes a file", argv[optind]);
	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = save(cli, file, &text, &rules);
	cli_tell(cli);
	if (cli->json)
		code = cli_worse(code, print_json(cli, file, code ? NULL : text, rules, code));
	else if (!code && !file && fputs(text, stdout) == EOF)
		code = EXIT_BAD;
	else if (!code && file)
		cli_note(cli, "%zu rule%s saved in %s", rules, rules == 1 ? "" : "s", file);
	free(text);
	return code;
}
