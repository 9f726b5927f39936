// SPDX-License-Identifier: GPL-2.0
/* iommucfg clean: remove transactions that are over or were left */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "cli.h"

/* A transaction that is made by hand, in several steps, takes a person some minutes. */
#define BY_HAND_SECONDS	(10 * 60)

static int refuse(struct cli *cli, struct iommucfg_txn *txn, const char *why)
{
	const char *name = iommucfg_txn_name(txn);

	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "transaction \"%s\" (%s) is not removed: %s", name,
			      iommucfg_state_name(iommucfg_txn_state(txn)), why);
	return EXIT_REFUSED;
}

/* Is it over, or left, so that it goes without being named? */
static bool is_left(struct iommucfg_txn *txn, enum iommucfg_state state)
{
	long age;

	if (iommucfg_txn_held(txn))
		return false;
	if (state != IOMMUCFG_STATE_STAGED && state != IOMMUCFG_STATE_COMMITTED &&
	    state != IOMMUCFG_STATE_ROLLED_BACK)
		return false;
	if (iommucfg_txn_by_hand(txn, &age))
		return state == IOMMUCFG_STATE_ROLLED_BACK || age >= BY_HAND_SECONDS;
	/* The library's own are held as long as their process is there. */
	return true;
}

static int remove_it(struct cli *cli, struct iommucfg_txn *txn, struct json_object *removed)
{
	enum iommucfg_state state = iommucfg_txn_state(txn);
	const char *name = iommucfg_txn_name(txn);
	struct recorder by = cli_recorder(cli);
	struct json_object *o;
	int ret;

	ret = iommucfg_txn_forget(txn);
	/* It was removed meanwhile. */
	if (ret == -ENOENT)
		return EXIT_DONE;
	if (ret)
		return refuse(cli, txn, ret == -EBUSY ? "it is not over" : strerror(-ret));
	cli_note(cli, "transaction \"%s\" (%s) removed%s", name, iommucfg_state_name(state),
		 state == IOMMUCFG_STATE_COMMITTED ?
		 ": its change stays, and \"iommucfg rollback\" cannot undo it any more" : "");
	record_removed(&by, NULL, name, state);
	o = json_object_new_object();
	json_object_object_add(o, "name", json_text(name));
	json_object_object_add(o, "state", json_text(iommucfg_state_name(state)));
	json_object_array_add(removed, o);
	return EXIT_DONE;
}

static int by_name(struct cli *cli, const char *name, struct json_object *removed)
{
	struct iommucfg_txn *txn;
	char why[160];
	int code;

	if (iommucfg_txn_open(cli->ctx, name, &txn)) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no transaction \"%s\"", name);
		return EXIT_BAD;
	}
	switch (iommucfg_txn_state(txn)) {
	case IOMMUCFG_STATE_UNCONFIRMED:
		snprintf(why, sizeof(why),
			 "\"iommucfg confirm %s\" keeps its change, \"iommucfg rollback %s\" undoes it",
			 name, name);
		code = refuse(cli, txn, why);
		break;
	case IOMMUCFG_STATE_FAILED:
		snprintf(why, sizeof(why),
			 "it knows what could not be restored; \"iommucfg rollback %s\" tries again",
			 name);
		code = refuse(cli, txn, why);
		break;
	case IOMMUCFG_STATE_STAGED:
		code = iommucfg_txn_held(txn) ? refuse(cli, txn, "a process is at work with it") :
						remove_it(cli, txn, removed);
		break;
	default:
		code = remove_it(cli, txn, removed);
	}
	iommucfg_txn_unref(txn);
	return code;
}

static int all(struct cli *cli, struct json_object *removed)
{
	struct iommucfg_txn *txn;
	int n, i, code = EXIT_DONE;
	char **names;

	n = iommucfg_txn_list(cli->ctx, &names);
	if (n < 0) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -n,
				      "the transactions cannot be listed: %s", strerror(-n));
		return EXIT_BAD;
	}
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		if (is_left(txn, iommucfg_txn_state(txn)))
			code = cli_worse(code, remove_it(cli, txn, removed));
		iommucfg_txn_unref(txn);
	}
	iommucfg_txn_list_free(names);
	return code;
}

int cmd_clean(struct cli *cli, int argc, char **argv)
{
	struct json_object *removed, *o;
	struct recorder by;
	int code;
	bool any;

	code = cli_plain_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc - optind > 1)
		return cli_usage(cli, "clean takes one name");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = cli_worse(cli_need_kernel(cli), cli_need_root(cli));
	removed = json_object_new_array();
	if (!code) {
		by = cli_recorder(cli);
		json_object_put(record_killed(&by));
		code = argv[optind] ? by_name(cli, argv[optind], removed) : all(cli, removed);
	}
	any = json_object_array_length(removed);
	cli_tell(cli);
	if (!code && !any)
		cli_note(cli, "there is nothing to remove");
	if (!cli->json) {
		json_object_put(removed);
		return code;
	}
	o = json_document(cli);
	json_object_object_add(o, "removed", removed);
	json_object_object_add(o, "result", json_text(code == EXIT_REFUSED ? "refused" :
						      code ? "error" :
						      any ? "removed" : "nothing-to-do"));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	return json_print(o, true) ? cli_worse(code, EXIT_BAD) : code;
}
