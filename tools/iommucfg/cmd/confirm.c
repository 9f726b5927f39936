// SPDX-License-Identifier: GPL-2.0
/* iommucfg confirm and rollback */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"

/* Is it what was committed after another one that is still there, as the rest of one change? */
bool txn_is_second(struct cli *cli, const char *name)
{
	struct iommucfg_txn *txn, *other;
	bool first = true;

	if (iommucfg_txn_open(cli->ctx, name, &txn))
		return false;
	if (!iommucfg_txn_open_other(txn, &other, &first))
		iommucfg_txn_unref(other);
	iommucfg_txn_unref(txn);
	return !first;
}

/* Where a change is two transactions, its name is that of the first one. */
static struct iommucfg_txn *first_of(struct iommucfg_txn *txn)
{
	struct iommucfg_txn *other;
	bool first;

	if (iommucfg_txn_open_other(txn, &other, &first))
		return txn;
	iommucfg_txn_unref(first ? other : txn);
	return first ? txn : other;
}

/* The transaction that is named, or the only one. NULL after a problem. */
struct iommucfg_txn *txn_find(struct cli *cli, const char *name)
{
	struct iommucfg_txn *txn = NULL;
	char **names = NULL;
	int n = 0, count;

	if (!name) {
		n = iommucfg_txn_list(cli->ctx, &names);
		count = n == 2 && (txn_is_second(cli, names[0]) || txn_is_second(cli, names[1])) ?
			1 : n;
		if (count != 1) {
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage",
					      n > 0 ? EINVAL : ENOENT,
					      n > 0 ? "there are %d transactions: name one; \"iommucfg status\" lists them" :
					      "there is no transaction", n);
			if (n >= 0)
				iommucfg_txn_list_free(names);
			return NULL;
		}
		name = names[0];
	}
	if (iommucfg_txn_open(cli->ctx, name, &txn))
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no transaction \"%s\"", name);
	if (names)
		iommucfg_txn_list_free(names);
	return txn ? first_of(txn) : NULL;
}

/* Waits for the kernel to finish what it does now. */
enum iommucfg_state txn_settled(struct iommucfg_txn *txn)
{
	enum iommucfg_state state;

	while ((state = iommucfg_txn_state(txn)) == IOMMUCFG_STATE_ROLLING_BACK ||
	       state == IOMMUCFG_STATE_COMMITTING)
		poll(NULL, 0, 100);
	return state;
}

static int refused(struct cli *cli, struct iommucfg_txn *txn, const char *what, int ret)
{
	if (iommucfg_txn_report(txn, IOMMUCFG_REFUSED, cli->problems) > 0 && ret != -EACCES)
		return EXIT_REFUSED;
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "kernel", -ret,
			      "%s of transaction \"%s\" (%s) refused: %s", what,
			      iommucfg_txn_name(txn),
			      iommucfg_state_name(iommucfg_txn_state(txn)), strerror(-ret));
	return EXIT_REFUSED;
}

static void tell_undone(struct cli *cli, const char *name)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", ETIMEDOUT,
			      "transaction \"%s\" was undone before: it was not confirmed in time, or was rolled back by another command",
			      name);
}

int txn_too_late(struct cli *cli, struct iommucfg_txn *txn)
{
	tell_undone(cli, iommucfg_txn_name(txn));
	iommucfg_problems_cure(cli->problems, "not-confirmed", NULL);
	return EXIT_RESTORED;
}

int txn_broken(struct cli *cli, struct iommucfg_txn *txn)
{
	iommucfg_txn_report(txn, IOMMUCFG_REFUSED, cli->problems);
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EIO,
			      "transaction \"%s\" could not be restored in full and needs a person; \"iommucfg rollback %s\" tries again",
			      iommucfg_txn_name(txn), iommucfg_txn_name(txn));
	return EXIT_BROKEN;
}

int txn_not_committed(struct cli *cli, struct iommucfg_txn *txn)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "transaction \"%s\" is staged: nothing of it has been committed; what made it has to commit it, or to remove its directory",
			      iommucfg_txn_name(txn));
	return EXIT_REFUSED;
}

/* What was asked for failed with @error, and what came of it cannot be read. */
static int not_known(struct cli *cli, struct iommucfg_txn *txn, int error)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", -error,
			      "the state of transaction \"%s\" cannot be read, so whether its change stands is not known (%s): see \"iommucfg status %s\"",
			      iommucfg_txn_name(txn), strerror(-error), iommucfg_txn_name(txn));
	return EXIT_BROKEN;
}

static int confirm(struct cli *cli, struct iommucfg_txn *txn, int allow)
{
	int ret;

	(void)allow;
	ret = iommucfg_txn_confirm(txn);
	if (!ret)
		return EXIT_DONE;
	if (ret != -EBUSY && ret != -ENOENT)
		return refused(cli, txn, "the confirmation", ret);
	switch (txn_settled(txn)) {
	case IOMMUCFG_STATE_COMMITTED:
		return EXIT_DONE;
	case IOMMUCFG_STATE_UNCONFIRMED:
		/* It was committing, or the machine goes to sleep. */
		ret = iommucfg_txn_confirm(txn);
		return ret ? refused(cli, txn, "the confirmation", ret) : EXIT_DONE;
	case IOMMUCFG_STATE_ROLLED_BACK:
	case IOMMUCFG_STATE_GONE:
		return txn_too_late(cli, txn);
	case IOMMUCFG_STATE_FAILED:
		return txn_broken(cli, txn);
	case IOMMUCFG_STATE_UNKNOWN:
		return not_known(cli, txn, ret);
	default:
		return txn_not_committed(cli, txn);
	}
}

static int in_the_way(struct cli *cli, struct iommucfg_txn *txn)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EBUSY,
			      "transaction \"%s\" is not undone, and nothing was touched: devices in it are in use; stop what is named above, then \"iommucfg rollback %s\" again",
			      iommucfg_txn_name(txn), iommucfg_txn_name(txn));
	return EXIT_BROKEN;
}

/* @allow: a mask of enum iommucfg_guard, which the rollback may take away besides. */
static int rollback(struct cli *cli, struct iommucfg_txn *txn, int allow)
{
	enum iommucfg_state state = txn_settled(txn);
	int ret;

	if (state == IOMMUCFG_STATE_ROLLED_BACK)
		return EXIT_DONE;
	if (state == IOMMUCFG_STATE_STAGED)
		return txn_not_committed(cli, txn);
	iommucfg_txn_allow_way_back(txn);
	if (allow & (IOMMUCFG_WORD_BLOCK | IOMMUCFG_WORD_MOUNTED))
		iommucfg_txn_add_allow_in_use(txn, "block");
	ret = iommucfg_txn_rollback(txn);
	if (!ret)
		return EXIT_DONE;
	/* The timer may have been faster. */
	state = txn_settled(txn);
	if (state == IOMMUCFG_STATE_ROLLED_BACK || state == IOMMUCFG_STATE_GONE)
		return EXIT_DONE;
	if (ret == -EIO)
		return txn_broken(cli, txn);
	if (state == IOMMUCFG_STATE_UNKNOWN)
		return not_known(cli, txn, ret);
	/* Refused for what is in use, which the report names; and not for its state, or sleep. */
	if (ret == -EBUSY && state != IOMMUCFG_STATE_STAGED &&
	    iommucfg_txn_report(txn, IOMMUCFG_REFUSED, cli->problems) > 0)
		return in_the_way(cli, txn);
	return refused(cli, txn, "the rollback", ret);
}

static int forget(struct cli *cli, struct iommucfg_txn *txn, int allow)
{
	int ret;

	(void)allow;
	/* It is not over: its process may be about to commit it. */
	if (iommucfg_txn_state(txn) == IOMMUCFG_STATE_STAGED && !iommucfg_txn_abandoned(txn))
		return txn_not_committed(cli, txn);
	ret = iommucfg_txn_forget(txn);
	if (!ret)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", -ret,
			      "transaction \"%s\" (%s) cannot be removed: %s",
			      iommucfg_txn_name(txn),
			      iommucfg_state_name(iommucfg_txn_state(txn)),
			      ret == -EBUSY ? "it is not over" : strerror(-ret));
	return EXIT_REFUSED;
}

static const char *result_of(int code, const char *done)
{
	return code == EXIT_DONE ? done : code == EXIT_REFUSED ? "refused" :
	       code == EXIT_RESTORED ? "restored" : code == EXIT_BROKEN ? "failed" : "error";
}

/* A confirmation that comes after the end; -1 where there is nothing to be known of it. */
static int too_late_to_confirm(struct cli *cli, const char *name)
{
	int code = txn_past(cli, name, true);

	if (code == EXIT_RESTORED)
		tell_undone(cli, name);
	if (code == EXIT_BROKEN)
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EIO,
				      "transaction \"%s\" could not be restored in full, and is gone",
				      name);
	return code;
}

static struct json_object *document_of(struct cli *cli, const char *name,
				       enum iommucfg_state state, const char *result, long entry)
{
	struct json_object *o;

	/* A plan otherwise. */
	if (!strcmp(cli->command, "undo")) {
		o = json_plan(cli, NULL, name, result);
	} else {
		o = json_document(cli);
		json_object_object_add(o, "transaction", json_text(name));
		json_object_object_add(o, "state",
				       name ? json_text(iommucfg_state_name(state)) : NULL);
		json_object_object_add(o, "result", json_text(result));
		json_object_object_add(o, "problems", json_problems(cli->problems));
	}
	json_object_object_add(o, "entry", json_number(entry ? entry : -1));
	return o;
}

/* It is over, and this command has said so. */
static void forget_if_over(struct iommucfg_txn *txn, int code)
{
	enum iommucfg_state state = iommucfg_txn_state(txn);

	if ((state == IOMMUCFG_STATE_COMMITTED && code == EXIT_DONE) ||
	    state == IOMMUCFG_STATE_ROLLED_BACK)
		iommucfg_txn_forget(txn);
}

/*
 * A confirmation begins with the one whose time is over first. One that is over already
 * keeps nothing from being done to the other one.
 */
static int call_on_both(struct cli *cli, struct iommucfg_txn *txn,
		       int (*action)(struct cli *cli, struct iommucfg_txn *txn, int allow),
		       int allow, struct iommucfg_txn *other)
{
	int code = action(cli, txn, allow);

	if (other && (code == EXIT_DONE || action == rollback))
		code = cli_worse(code, action(cli, other, allow));
	return code;
}

/* What is on the interfaces of both; NULL where nothing is, or it cannot be known. */
static struct iommucfg_network *network_of(struct cli *cli, struct iommucfg_txn *txn,
					   struct iommucfg_txn *other)
{
	unsigned int *groups = NULL, *more = NULL, *all;
	struct iommucfg_network *network = NULL;
	int n = iommucfg_txn_groups(txn, &groups), m = 0;

	if (other)
		m = iommucfg_txn_groups(other, &more);
	n = n > 0 ? n : 0;
	m = m > 0 ? m : 0;
	all = calloc(n + m + 1, sizeof(*all));
	if (all) {
		if (n)
			memcpy(all, groups, n * sizeof(*all));
		if (m)
			memcpy(all + n, more, m * sizeof(*all));
		iommucfg_network_new(cli->ctx, all, n + m, &network);
	}
	free(groups);
	free(more);
	free(all);
	return network;
}

/* A rollback unbinds drivers as a change does: what comes off by it is put back. */
static int act_on_both(struct cli *cli, struct iommucfg_txn *txn,
		       int (*action)(struct cli *cli, struct iommucfg_txn *txn, int allow),
		       int allow, struct iommucfg_txn *other)
{
	struct iommucfg_network *network = action == rollback ? network_of(cli, txn, other) : NULL;
	int code = call_on_both(cli, txn, action, allow, other);

	if (network && (code == EXIT_DONE || code == EXIT_BROKEN))
		iommucfg_network_restore(network, cli->problems);
	iommucfg_network_unref(network);
	return code;
}

/*
 * Before it is kept: have the devices of an unconfirmed change had IOMMU faults? Of one that
 * went back they are told as well, as they may be the reason.
 */
static bool has_faulted(struct cli *cli, struct iommucfg_txn *txn, struct iommucfg_txn *other)
{
	enum iommucfg_state state = iommucfg_txn_state(txn);
	bool faulted;

	if (state != IOMMUCFG_STATE_UNCONFIRMED && state != IOMMUCFG_STATE_ROLLED_BACK)
		return false;
	faulted = iommucfg_txn_faulted(txn, cli->problems);
	if (other)
		faulted |= iommucfg_txn_faulted(other, cli->problems);
	return faulted && state == IOMMUCFG_STATE_UNCONFIRMED;
}

/* The rollback that was begun for a fault came to @code. As in a run, 5 where it was refused. */
static int faulted(struct cli *cli, struct iommucfg_txn *txn, int code)
{
	const char *name = iommucfg_txn_name(txn);
	char command[IOMMUCFG_TXN_NAME_MAX + 32];

	if (code == EXIT_DONE)
		return EXIT_RESTORED;
	snprintf(command, sizeof(command), "iommucfg rollback %s", name);
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "transaction", EIO,
			      "transaction \"%s\" is %s: its rollback did not succeed", name,
			      iommucfg_state_name(iommucfg_txn_state(txn)));
	iommucfg_problems_cure(cli->problems, "rollback-failed", command);
	return EXIT_BROKEN;
}

/* @install: where the policy goes that was confirmed, or NULL. */
static int act(struct cli *cli, const char *name,
	       int (*action)(struct cli *cli, struct iommucfg_txn *txn, int allow), int allow,
	       const char *done, const char *install)
{
	enum iommucfg_state state = IOMMUCFG_STATE_GONE;
	char found[IOMMUCFG_TXN_NAME_MAX + 1] = "", number[32] = "";
	struct iommucfg_txn *txn = NULL, *other = NULL;
	struct record *record;
	const char *result;
	struct recorder by;
	long entry = 0;
	int code;

	code = cli_worse(cli_need_kernel(cli), cli_need_root(cli));
	if (!code && install)
		code = confirm_install_check(cli, install);
	by = cli_recorder(cli);
	if (!code) {
		json_object_put(record_killed(&by));
		if (name && action == confirm && iommucfg_txn_name_valid(name) &&
		    iommucfg_txn_open(cli->ctx, name, &txn)) {
			code = too_late_to_confirm(cli, name);
			if (code >= 0)
				snprintf(found, sizeof(found), "%s", name);
		}
		iommucfg_txn_unref(txn);
		txn = *found ? NULL : txn_find(cli, name);
	}
	if (txn) {
		snprintf(found, sizeof(found), "%s", iommucfg_txn_name(txn));
		/* To forget one changes nothing. */
		record = action == forget ? NULL : record_begin(&by, txn, action == rollback);
		iommucfg_txn_open_other(txn, &other, NULL);
		iommucfg_txn_set_ending(txn, action == rollback);
		if (action == confirm && has_faulted(cli, txn, other)) {
			iommucfg_txn_set_ending(txn, true);
			code = faulted(cli, txn, act_on_both(cli, txn, rollback, allow, other));
		} else {
			code = act_on_both(cli, txn, action, allow, other);
		}
		state = iommucfg_txn_state(txn);
		entry = record_end(record, found, result_of(code, done), code);
		if (other)
			forget_if_over(other, code);
		forget_if_over(txn, code);
		iommucfg_txn_unref(other);
		iommucfg_txn_unref(txn);
	} else if (!*found) {
		code = EXIT_BAD;
	}
	result = result_of(code, done);
	if (install && code == EXIT_DONE)
		code = confirm_install(cli, install, true);
	cli_tell(cli);
	if (entry)
		snprintf(number, sizeof(number), " (entry %ld)", entry);
	if (!strcmp(result, done))
		cli_note(cli, "transaction \"%s\": %s%s", found, done, number);
	if (cli->json && json_print(document_of(cli, *found ? found : NULL, state, result, entry),
				    true))
		code = cli_worse(code, EXIT_BAD);
	return code;
}

/* iommucfg undo, while a change is unconfirmed. */
int undo_unconfirmed(struct cli *cli, const char *name, int allow)
{
	return act(cli, name, rollback, allow, "rolled-back", NULL);
}

/* No transaction is named: the file alone. */
static int install_alone(struct cli *cli, const char *dest)
{
	int code = cli_worse(cli_need_kernel(cli), cli_need_root(cli));
	const char *result;

	if (!code)
		code = confirm_install_check(cli, dest);
	if (!code)
		code = confirm_install(cli, dest, false);
	result = code == EXIT_CHANGE ? "installed" : result_of(code, "installed");
	cli_tell(cli);
	if (cli->json &&
	    json_print(document_of(cli, NULL, IOMMUCFG_STATE_GONE, result, 0), true))
		code = cli_worse(code, EXIT_BAD);
	return code;
}

/* What confirm is asked for. */
struct confirm_asked {
	bool boot;
	const char *install;
};

static int confirm_option(struct cli *cli, int opt, void *data)
{
	struct confirm_asked *asked = data;

	(void)cli;
	if (opt == OPT_BOOT)
		asked->boot = true;
	else if (opt == OPT_INSTALL)
		asked->install = optarg;
	else
		return -1;
	return 0;
}

int cmd_confirm(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, { "boot", no_argument, NULL, OPT_BOOT },
		{ "install", required_argument, NULL, OPT_INSTALL }, { NULL, 0, NULL, 0 }
	};
	struct confirm_asked asked = { 0 };
	int code;

	code = cli_options(cli, argc, argv, ":" CLI_SHORT, options, confirm_option, &asked);
	if (code >= 0)
		return code;
	if (asked.boot && (argv[optind] || asked.install))
		return cli_usage(cli, "confirm takes a name or --boot, not both");
	if (asked.boot)
		return confirm_boot(cli);
	if (argc - optind > 1)
		return cli_usage(cli, "confirm takes one name");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	if (asked.install && !argv[optind])
		return install_alone(cli, asked.install);
	return act(cli, argv[optind], confirm, 0, "committed", asked.install);
}

/* What rollback is asked for. */
struct asked {
	struct run *run;
	bool forget, runs;	/* runs: with an option of a plan */
	const char *to;
};

static int rollback_option(struct cli *cli, int opt, void *data)
{
	struct asked *asked = data;
	int code;

	switch (opt) {
	case OPT_FORGET:
		asked->forget = true;
		return 0;
	case OPT_TO:
		asked->to = optarg;
		return 0;
	default:
		code = run_option(cli, opt, asked->run);
		asked->runs |= !code && opt != OPT_ALLOW_IN_USE;
		return code;
	}
}

int cmd_rollback(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { "forget", no_argument, NULL, OPT_FORGET },
		{ "to", required_argument, NULL, OPT_TO }, { NULL, 0, NULL, 0 }
	};
	struct run run = { .cli = cli, .settle = DEFAULT_SETTLE };
	struct asked asked = { .run = &run };
	int code;

	code = cli_options(cli, argc, argv, ":" RUN_DRY_SHORT CLI_SHORT, options,
			   rollback_option, &asked);
	if (code >= 0)
		return code;
	if (asked.to && (asked.forget || argv[optind]))
		return cli_usage(cli, "rollback takes a name or --to, not both");
	if (asked.to)
		return rollback_to(&run, asked.to);
	if (asked.runs)
		return cli_usage(cli, "only rollback --to makes a plan and takes its options; by name --allow-in-use alone");
	if (argc - optind > 1)
		return cli_usage(cli, "rollback takes one name");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	return act(cli, argv[optind], asked.forget ? forget : rollback, run.options.allow_in_use,
		   asked.forget ? "forgotten" : "rolled-back", NULL);
}
