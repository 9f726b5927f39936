// SPDX-License-Identifier: GPL-2.0
/* What became of a transaction that is gone, by the history of this boot. */
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

/* EXIT_DONE: kept; EXIT_RESTORED: undone; EXIT_BROKEN; -1 where that is not known. */
int txn_past(struct cli *cli, const char *name)
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
		break;
	}
	free(boot_id);
	json_object_put(entries);
	return code;
}
