// SPDX-License-Identifier: GPL-2.0
/* iommucfg confirm --boot: the policy of this boot is good. */
#include <json-c/json.h>

#include "boot.h"

int confirm_boot(struct cli *cli)
{
	struct json_object *o;
	struct recorder by;
	long entry;
	const char *result;
	int code;

	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = cli_need_root(cli);
	if (!code)
		code = boot_confirm(cli);
	result = code == EXIT_DONE ? "committed" : code == EXIT_REFUSED ? "refused" : "error";
	by = cli_recorder(cli);
	entry = record_other(&by, result, code);
	cli_tell(cli);
	if (!cli->json)
		return code;
	o = json_document(cli);
	json_object_object_add(o, "transaction", NULL);
	json_object_object_add(o, "state", NULL);
	json_object_object_add(o, "result", json_text(result));
	json_object_object_add(o, "entry", json_number(entry ? entry : -1));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	return json_print(o, true) ? cli_worse(code, EXIT_BAD) : code;
}
