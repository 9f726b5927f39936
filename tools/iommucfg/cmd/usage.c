// SPDX-License-Identifier: GPL-2.0
/* The document of --json for a command line that is wrong: the command's own, empty. */
#include <json-c/json.h>
#include <string.h>

#include "cli.h"

/* What the documents of commands have besides schema, problems and result. */
static const struct {
	const char *command, *members;
	bool has_result;
} shapes[] = {
	{ "show", "{\"groups\":[]}", false },
	{ "status", "{\"transactions\":[]}", false },
	{ "history", "{\"entries\":[]}", false },
	{ "standing", "{\"rules\":[],\"report\":[]}", false },
	{ "check", "{\"rules\":[],\"default\":\"keep\",\"options\":{\"confirm_timeout\":null,\"allow_in_use\":null,\"settle\":null,\"disruption\":null,\"strict\":null,\"check_command\":null,\"check_timeout\":null,\"faults\":null}}", true },
	{ "save", "{\"file\":null,\"rules\":0,\"policy\":null}", true },
	{ "metrics", "{\"file\":null,\"metrics\":[]}", true },
	{ "dump", "{\"file\":null,\"private\":false,\"files\":0}", true },
	{ "confirm", "{\"transaction\":null,\"state\":null,\"entry\":null}", true },
	{ "rollback", "{\"transaction\":null,\"state\":null,\"entry\":null}", true },
	{ "extend", "{\"transaction\":null,\"state\":null,\"remaining\":null}", true },
	{ "clean", "{\"removed\":[]}", true },
};

static const char *const plans[] = { "plan", "assert", "apply", "set", "undo", NULL };

/* Options after the one that is wrong have not been read. */
static bool wants_json(const struct cli *cli)
{
	char **arg;

	for (arg = cli->argv; !cli->json && arg && *arg && strcmp(*arg, "--"); arg++)
		if (!strncmp(*arg, "--j", 3) && !strncmp(*arg, "--json", strlen(*arg)))
			return true;
	return cli->json;
}

static void add_members(struct json_object *o, const char *text)
{
	struct json_object *members = json_tokener_parse(text);

	json_object_object_foreach(members, key, value)
		json_object_object_add(o, key, json_object_get(value));
	json_object_put(members);
}

static struct json_object *document_of(struct cli *cli)
{
	const char *name = cli->document ? cli->document : cli->command ? cli->command : "";
	struct json_object *o;
	size_t i;

	for (i = 0; plans[i] && strcmp(plans[i], name); i++)
		;
	if (plans[i] || !strcmp(name, "rollback-to")) {
		o = json_plan(cli, NULL, NULL, "error");
		if (strcmp(name, "plan") && strcmp(name, "assert"))
			json_object_object_add(o, "entry", NULL);
		return o;
	}
	for (i = 0; i < sizeof(shapes) / sizeof(*shapes) && strcmp(shapes[i].command, name); i++)
		;
	if (i == sizeof(shapes) / sizeof(*shapes))
		cli->document = "usage";
	o = json_document(cli);
	if (i < sizeof(shapes) / sizeof(*shapes))
		add_members(o, shapes[i].members);
	json_object_object_add(o, "problems", json_problems(cli->problems));
	if (i == sizeof(shapes) / sizeof(*shapes) || shapes[i].has_result)
		json_object_object_add(o, "result", json_text("error"));
	return o;
}

/* @message has been printed. */
void usage_document(struct cli *cli, int error, const char *message)
{
	if (!wants_json(cli))
		return;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", error, "%s", message);
	cli->told = iommucfg_problems_count(cli->problems);
	json_print(document_of(cli), true);
}
