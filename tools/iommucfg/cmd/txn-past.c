// SPDX-License-Identifier: GPL-2.0
/* What became of a transaction that is gone, by the history of this boot. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

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
		if (!strcmp(history_text(p, "severity"), "refused") && *history_text(p, "message"))
			iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction",
					      ECANCELED, "%s", history_text(p, "message"));
	}
}

/* @tells: why, where it went back. EXIT_DONE: kept; EXIT_RESTORED: undone; EXIT_BROKEN; -1 where that is not known. */
int txn_past(struct cli *cli, const char *name, bool tells)
{
	struct json_object *last = history_last(cli->ctx, name);
	char *boot_id = state_boot_id(cli->ctx);
	const char *result = history_text(last, "result");
	int code = -1;

	if (boot_id && !strcmp(history_text(last, "boot_id"), boot_id))
		code = !strcmp(result, "committed") ? EXIT_DONE :
		       !strcmp(result, "restored") || !strcmp(result, "rolled-back") ?
		       EXIT_RESTORED : !strcmp(result, "failed") ? EXIT_BROKEN : -1;
	if (tells && code > 0)
		tell_why(cli, last);
	free(boot_id);
	json_object_put(last);
	return code;
}
