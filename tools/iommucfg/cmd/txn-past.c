// SPDX-License-Identifier: GPL-2.0
/* What became of a transaction that is gone, by the history of this boot. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *value;
	const char *string = NULL;

	if (json_object_object_get_ex(o, key, &value))
		string = json_object_get_string(value);
	return string ? string : "";
}

/* Why it went back, as the entry has it. */
static void tell_why(struct cli *cli, struct json_object *entry)
{
	struct json_object *problems, *p;
	size_t i;

	if (!json_object_object_get_ex(entry, "problems", &problems) ||
	    !json_object_is_type(problems, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(problems); i++) {
		p = json_object_array_get_idx(problems, i);
		if (!strcmp(text(p, "severity"), "refused") && *text(p, "message"))
			iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction",
					      ECANCELED, "%s", text(p, "message"));
	}
}

/* @tells: why, where it went back. EXIT_DONE: kept; EXIT_RESTORED: undone; EXIT_BROKEN; -1 where that is not known. */
int txn_past(struct cli *cli, const char *name, bool tells)
{
	struct json_object *entries = history_read(cli->ctx, NULL), *e;
	size_t i = entries ? json_object_array_length(entries) : 0;
	char *boot_id = state_boot_id(cli->ctx);
	const char *result;
	int code = -1;

	while (i-- && boot_id) {
		e = json_object_array_get_idx(entries, i);
		result = text(e, "result");
		if (strcmp(text(e, "transaction"), name) || strcmp(text(e, "boot_id"), boot_id) ||
		    !strcmp(result, "refused") || !strcmp(result, "error"))
			continue;
		code = !strcmp(result, "committed") ? EXIT_DONE :
		       !strcmp(result, "restored") || !strcmp(result, "rolled-back") ?
		       EXIT_RESTORED : !strcmp(result, "failed") ? EXIT_BROKEN : -1;
		if (tells && code > 0)
			tell_why(cli, e);
		break;
	}
	free(boot_id);
	json_object_put(entries);
	return code;
}
