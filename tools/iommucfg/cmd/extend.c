// SPDX-License-Identifier: GPL-2.0
/* iommucfg extend: more time to confirm an unconfirmed change */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "cli.h"

static int committed(struct cli *cli, const char *name)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "transaction \"%s\" is committed: nothing counts down", name);
	return EXIT_REFUSED;
}

/* Both, where the change is two transactions. */
static int set_timeout(struct iommucfg_txn *txn, long seconds)
{
	struct iommucfg_txn *other;
	int ret = iommucfg_txn_set_confirm_timeout(txn, seconds);

	if (!ret && !iommucfg_txn_open_other(txn, &other, NULL)) {
		ret = iommucfg_txn_set_confirm_timeout(other, seconds);
		iommucfg_txn_unref(other);
	}
	return ret;
}

static int extend(struct cli *cli, struct iommucfg_txn *txn, long seconds)
{
	const char *name = iommucfg_txn_name(txn);
	enum iommucfg_state state = iommucfg_txn_state(txn);
	int ret = 0;

	if (state == IOMMUCFG_STATE_UNCONFIRMED || state == IOMMUCFG_STATE_COMMITTING) {
		ret = set_timeout(txn, seconds);
		if (!ret)
			return EXIT_DONE;
		state = iommucfg_txn_state(txn);
	}
	switch (state) {
	case IOMMUCFG_STATE_STAGED:
		return txn_not_committed(cli, txn);
	case IOMMUCFG_STATE_COMMITTED:
		return committed(cli, name);
	case IOMMUCFG_STATE_ROLLING_BACK:
	case IOMMUCFG_STATE_ROLLED_BACK:
		return txn_too_late(cli, txn);
	case IOMMUCFG_STATE_GONE:
		return txn_past(cli, name, false) == EXIT_DONE ? committed(cli, name) :
							  txn_too_late(cli, txn);
	case IOMMUCFG_STATE_FAILED:
		return txn_broken(cli, txn);
	default:
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "kernel",
				      ret ? -ret : EBUSY,
				      "the time of transaction \"%s\" (%s) cannot be extended: %s",
				      name, iommucfg_state_name(state),
				      ret == -EBUSY ? "it has no confirm timeout" :
				      strerror(ret ? -ret : EBUSY));
		return EXIT_REFUSED;
	}
}

/* One that is not there, but may have been. */
static int over(struct cli *cli, const char *name)
{
	switch (txn_past(cli, name, false)) {
	case EXIT_DONE:
		return committed(cli, name);
	case EXIT_RESTORED:
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", ETIMEDOUT,
				      "transaction \"%s\" was undone before", name);
		return EXIT_RESTORED;
	default:
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no transaction \"%s\"", name);
		return EXIT_BAD;
	}
}

static int print_json(struct cli *cli, const char *name, struct iommucfg_txn *txn, int code)
{
	struct json_object *o = json_document(cli);
	long remaining = -1;

	if (txn && iommucfg_txn_remaining(txn, &remaining))
		remaining = -1;
	json_object_object_add(o, "transaction", json_text(name));
	json_object_object_add(o, "state", txn ? json_text(iommucfg_state_name(
						 iommucfg_txn_state(txn))) : NULL);
	json_object_object_add(o, "remaining", json_number(remaining));
	json_object_object_add(o, "result", json_text(
			       code == EXIT_DONE ? "unconfirmed" :
			       code == EXIT_REFUSED ? "refused" :
			       code == EXIT_RESTORED ? "restored" :
			       code == EXIT_BROKEN ? "failed" : "error"));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

int cmd_extend(struct cli *cli, int argc, char **argv)
{
	struct iommucfg_txn *txn = NULL;
	const char *name;
	int code;
	long seconds;

	code = cli_plain_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc - optind != 2)
		return cli_usage(cli, "extend takes the name of a transaction, and seconds");
	name = argv[optind];
	if (cli_number(cli, "extend", argv[optind + 1], 1, IOMMUCFG_CONFIRM_TIMEOUT_MAX, &seconds))
		return EXIT_BAD;
	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = cli_worse(cli_need_kernel(cli), cli_need_root(cli));
	if (!code && iommucfg_txn_open(cli->ctx, name, &txn))
		code = over(cli, name);
	else if (!code)
		code = extend(cli, txn, seconds);
	cli_tell(cli);
	if (!code)
		cli_note(cli, "transaction \"%s\" goes back by itself in %ld second%s, unless \"iommucfg confirm %s\" keeps it",
			 name, seconds, seconds == 1 ? "" : "s", name);
	if (cli->json)
		code = cli_worse(code, print_json(cli, name, txn, code));
	iommucfg_txn_unref(txn);
	return code;
}
