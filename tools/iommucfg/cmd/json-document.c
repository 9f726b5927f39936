// SPDX-License-Identifier: GPL-2.0
/* The documents of --json, put together from the library's parts. */
#include <json-c/json.h>

#include "cli.h"

struct json_object *json_document(struct cli *cli)
{
	struct json_object *document = json_object_new_object();
	char schema[64];

	snprintf(schema, sizeof(schema), "iommucfg/%s/1",
		 cli->document ? cli->document : cli->command);
	json_object_object_add(document, "schema", json_object_new_string(schema));
	return document;
}

/* The document of plan, assert, apply and set; @plan may be NULL. */
struct json_object *json_plan(struct cli *cli, const struct iommucfg_plan *plan,
			      const char *transaction, const char *result)
{
	struct json_object *o = json_document(cli), *changes, *skipped, *problems;
	size_t i;

	changes = json_object_new_array();
	for (i = 0; plan && i < iommucfg_plan_num_changes(plan); i++)
		json_object_array_add(changes, json_change(plan, iommucfg_plan_change(plan, i)));
	skipped = json_object_new_array();
	for (i = 0; plan && i < iommucfg_plan_num_skipped(plan); i++)
		json_object_array_add(skipped, json_change(plan, iommucfg_plan_skipped(plan, i)));
	problems = json_problems(cli->problems);
	if (plan)
		json_add_problems(problems, iommucfg_plan_problems(plan));
	json_object_object_add(o, "changes", changes);
	json_object_object_add(o, "skipped", skipped);
	json_object_object_add(o, "unchanged",
			       json_object_new_int64(plan ? iommucfg_plan_unchanged(plan) : 0));
	json_object_object_add(o, "conflicts",
			       json_problems(plan ? iommucfg_plan_conflicts(plan) : NULL));
	json_object_object_add(o, "problems", json_worst_first(problems));
	json_object_object_add(o, "rules", json_rules(plan));
	json_object_object_add(o, "losses", json_losses(plan));
	json_object_object_add(o, "transaction", json_text(transaction));
	json_object_object_add(o, "result", json_text(result));
	return o;
}

/* Prints and releases it. */
int json_print(struct json_object *document, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text;
	int ret = 0;

	flags |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
			  JSON_C_TO_STRING_PLAIN;
	text = json_object_to_json_string_ext(document, flags);
	if (!text || puts(text) == EOF || fflush(stdout))
		ret = -1;
	json_object_put(document);
	return ret;
}
