// SPDX-License-Identifier: GPL-2.0
/*
 * What apply and set do alike: look whether the way is free, stage, ask,
 * commit, verify, have it confirmed, report. Until the commit begins whatever
 * happens leaves nothing behind but a removed transaction.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Words with commas between them. */
static int parse_allow(struct cli *cli, const char *text, int *mask)
{
	static const char *const words[] = { "net", "block", NULL };
	char *copy = strdup(text), *word, *save;
	const char *near;
	int ret = 0;

	if (!copy)
		return cli_nomem();
	*mask = 0;
	for (word = strtok_r(copy, ", ", &save); word && !ret; word = strtok_r(NULL, ", ", &save)) {
		if (!strcmp(word, "net")) {
			*mask |= IOMMUCFG_GUARD_NET;
		} else if (!strcmp(word, "block")) {
			*mask |= IOMMUCFG_GUARD_BLOCK;
		} else {
			near = iommucfg_suggest(word, words);
			ret = cli_usage(cli, "--allow-in-use takes net and block, not \"%s\"%s%s%s",
					word, near ? "; did you mean \"" : "", near ? near : "",
					near ? "\"?" : "");
		}
	}
	free(copy);
	return ret;
}

/* An option of apply, set, plan: 0 if taken, 1 if wrong, -1 if not one. */
int run_option(struct run *run, struct cli *cli, int opt, int *allow_set, int *timeout_set,
	       int *settle_set)
{
	switch (opt) {
	case OPT_ALLOW_IN_USE:
		*allow_set = 1;
		return parse_allow(cli, optarg, &run->options.allow_in_use) ? 1 : 0;
	case OPT_CONFIRM_TIMEOUT:
		*timeout_set = 1;
		return cli_number(cli, "--confirm-timeout", optarg, 0,
				  IOMMUCFG_CONFIRM_TIMEOUT_MAX, &run->options.confirm_timeout) ? 1 : 0;
	case OPT_SETTLE:
		*settle_set = 1;
		return cli_number(cli, "--settle", optarg, 0, 3600, &run->settle) ? 1 : 0;
	case OPT_SKIP_IN_USE:
		run->options.skip_in_use = true;
		return 0;
	case OPT_YES:
		run->yes = true;
		run->options.default_route_ok = true;
		return 0;
	case OPT_DETACH:
		run->detach = true;
		return 0;
	case OPT_NAME:
		run->name = optarg;
		return 0;
	default:
		return -1;
	}
}

/* Removes what killed processes left, saying so. */
static void sweep(struct cli *cli)
{
	enum iommucfg_state state;
	struct iommucfg_txn *txn;
	char **names;
	int n, i;

	n = iommucfg_txn_list(cli->ctx, &names);
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		state = iommucfg_txn_state(txn);
		if (iommucfg_txn_abandoned(txn) && !iommucfg_txn_forget(txn))
			cli_note(cli, "removed transaction \"%s\" (%s), whose process is gone",
				 names[i], iommucfg_state_name(state));
		iommucfg_txn_free(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
}

/*
 * Before planning: module, root, other transactions, the generation. Reads
 * the topology after it, so that a change in between is noticed.
 */
int run_prepare(struct run *run)
{
	struct cli *cli = run->cli;
	int code, ret;

	code = cli_worse(cli_need_kernel(cli), cli_need_root(cli));
	/* Also where there turns out to be nothing to do. */
	if (run->name && !iommucfg_txn_name_valid(run->name)) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", EINVAL,
				      "\"%s\" cannot name a transaction: 1 to 64 of A-Z a-z 0-9 . _ -, not \"standing\"",
				      run->name);
		code = EXIT_BAD;
	}
	if (!code) {
		sweep(cli);
		ret = iommucfg_kernel_generation(cli->ctx, &run->generation);
		if (ret) {
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
					      "the kernel's generation cannot be read: %s",
					      strerror(-ret));
			code = EXIT_BAD;
		}
		if (cli_pending(cli, IOMMUCFG_REFUSED))
			code = cli_worse(code, EXIT_REFUSED);
	}
	if (iommucfg_topology_scan(cli->ctx, &run->topology, cli->problems))
		return EXIT_BAD;
	code = cli_worse(code, cli_scan_use(cli, run->topology));
	if (!code)
		iommucfg_topology_scan_required(run->topology);
	return code;
}

/* What the plan alone leads to, before anything is staged. */
static int judge(const struct run *run)
{
	const struct iommucfg_problems *problems = iommucfg_plan_problems(run->plan);

	if (iommucfg_problems_count(iommucfg_plan_conflicts(run->plan)) ||
	    iommucfg_problems_at_least(problems, IOMMUCFG_ERROR))
		return EXIT_BAD;
	if (iommucfg_problems_at_least(problems, IOMMUCFG_REFUSED))
		return EXIT_REFUSED;
	return EXIT_DONE;
}

static int refused(struct run *run, const char *what, int ret)
{
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "kernel", -ret, "%s: %s", what,
			      iommucfg_txn_refusal(ret));
	return EXIT_REFUSED;
}

int run_interrupted(struct run *run)
{
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "interrupted", EINTR,
			      "interrupted before the change: nothing was touched");
	return EXIT_REFUSED;
}

/* Makes the transaction, with everything in it, and has the kernel check it. */
static int stage(struct run *run)
{
	struct cli *cli = run->cli;
	int ret;

	ret = iommucfg_txn_create(cli->ctx, run->name, &run->txn, cli->problems);
	if (ret)
		return ret == -EEXIST ? EXIT_REFUSED : EXIT_BAD;
	snprintf(run->transaction, sizeof(run->transaction), "%s", iommucfg_txn_name(run->txn));
	cli_debug(cli, "transaction \"%s\", generation %llu", run->transaction,
		  (unsigned long long)run->generation);
	ret = iommucfg_txn_set_generation(run->txn, run->generation);
	if (!ret)
		ret = iommucfg_txn_set_allow_in_use(run->txn, run->options.allow_in_use);
	if (!ret)
		ret = iommucfg_txn_set_confirm_timeout(run->txn, run->options.confirm_timeout);
	if (ret)
		return refused(run, "the transaction cannot be set up", ret);
	if (iommucfg_txn_stage_plan(run->txn, run->plan, cli->problems))
		return EXIT_REFUSED;
	ret = iommucfg_plan_check(run->plan, run->txn);
	if (!ret)
		return EXIT_DONE;
	cli_debug(cli, "check: %s", strerror(-ret));
	if (ret == -EACCES) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", EACCES,
				      "the kernel does not let this process change groups: CAP_SYS_ADMIN and CAP_SYS_RAWIO are needed in the initial user namespace");
		return EXIT_BAD;
	}
	ret = judge(run);
	return ret == EXIT_DONE ? EXIT_REFUSED : ret;
}

static int ask(struct run *run)
{
	size_t n = iommucfg_plan_num_changes(run->plan);
	char question[64];
	int answer;

	if (run->yes || !ask_possible())
		return EXIT_DONE;
	snprintf(question, sizeof(question), "Change %zu group%s now?", n, n == 1 ? "" : "s");
	fflush(stdout);
	answer = ask_once(question);
	if (answer < 0)
		return run_interrupted(run);
	if (answer)
		return EXIT_DONE;
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "interrupted", ECANCELED,
			      "not confirmed: nothing was touched");
	return EXIT_REFUSED;
}

/* Removes the transaction; what is unconfirmed or failed stays. */
void run_forget(struct run *run)
{
	enum iommucfg_state state;

	if (!run->txn)
		return;
	state = iommucfg_txn_state(run->txn);
	if (state != IOMMUCFG_STATE_UNCONFIRMED && state != IOMMUCFG_STATE_FAILED)
		iommucfg_txn_forget(run->txn);
	iommucfg_txn_free(run->txn);
	run->txn = NULL;
}

static const char *result_of(int code)
{
	switch (code) {
	case EXIT_REFUSED:
		return "refused";
	case EXIT_RESTORED:
		return "restored";
	case EXIT_BROKEN:
		return "failed";
	case EXIT_BAD:
		return "error";
	default:
		return "committed";
	}
}

static int change(struct run *run)
{
	int code;

	code = stage(run);
	if (code)
		return code;
	/* The kernel may have taken out the last one. */
	if (!iommucfg_plan_num_changes(run->plan)) {
		run->result = "nothing-to-do";
		return EXIT_DONE;
	}
	if (!run->cli->json && !run->cli->quiet)
		plan_print(run->cli, run->plan);
	code = ask(run);
	if (code)
		return code;
	if (signals_seen())
		return run_interrupted(run);
	if (iommucfg_witness_new(run->plan, &run->witness))
		return refused(run, "the devices cannot be looked at", -ENOMEM);
	code = run_commit(run);
	if (code)
		return code;
	code = run_settle(run);
	if (code || !run->options.confirm_timeout)
		return code;
	if (run->detach) {
		run->result = "unconfirmed";
		return EXIT_DONE;
	}
	return run_confirm(run);
}

/*
 * Carries out run->plan, unless @code, what preparing it came to, or the plan
 * itself stand against it. Returns the exit code.
 */
int run_judge(struct run *run, int code)
{
	if (run->plan)
		code = cli_worse(code, judge(run));
	if (!code && signals_seen())
		code = run_interrupted(run);
	if (!code && !iommucfg_plan_num_changes(run->plan))
		run->result = "nothing-to-do";
	else if (!code)
		code = change(run);
	if (!run->result || code)
		run->result = result_of(code);
	if (!code && iommucfg_plan_num_skipped(run->plan))
		code = EXIT_CHANGE;
	return code;
}

static void print_end(struct run *run, int code)
{
	struct cli *cli = run->cli;
	char *n = describe_plural(run->plan ? iommucfg_plan_num_changes(run->plan) : 0, "group");

	if (!strcmp(run->result, "nothing-to-do")) {
		if (run->plan && !cli->json && !cli->quiet)
			plan_print(cli, run->plan);
	} else if (!strcmp(run->result, "committed")) {
		cli_note(cli, "%s changed", n);
	} else if (!strcmp(run->result, "unconfirmed")) {
		cli_note(cli, "%s changed, unconfirmed: \"iommucfg confirm %s\" within %ld seconds keeps it",
			 n, run->transaction, run->options.confirm_timeout);
	} else if (code == EXIT_RESTORED) {
		cli_note(cli, "everything is as before");
	} else if (code == EXIT_BROKEN) {
		fprintf(stderr, "iommucfg: transaction \"%s\" could not be undone in full: see \"iommucfg status %s\"\n",
			run->transaction, run->transaction);
	}
	free(n);
}

/* Writes it into the history. */
void run_record(struct run *run, const char *result, int code)
{
	struct recorder by = cli_recorder(run->cli);

	record_plan(&by, run->plan, *run->transaction ? run->transaction : NULL, result, code);
}

/* Says how it ended, prints the document, releases everything. */
int run_finish(struct run *run, int code)
{
	struct cli *cli = run->cli;

	if (!run->result)
		run->result = result_of(code ? code : EXIT_BAD);
	run_forget(run);
	run_record(run, run->result, code);
	cli_tell(cli);
	if (run->plan) {
		cli_tell_list(cli, iommucfg_plan_conflicts(run->plan));
		cli_tell_list(cli, iommucfg_plan_problems(run->plan));
	}
	print_end(run, code);
	if (cli->json) {
		if (json_print(json_plan(cli, run->plan, *run->transaction ? run->transaction : NULL,
					 run->result), true))
			code = cli_worse(code, EXIT_BAD);
	} else if (run->detach && *run->transaction &&
		   (code == EXIT_DONE || code == EXIT_CHANGE) &&
		   strcmp(run->result, "nothing-to-do")) {
		puts(run->transaction);
	}
	iommucfg_witness_free(run->witness);
	iommucfg_plan_free(run->plan);
	iommucfg_topology_free(run->topology);
	run_unlock(run);
	return code;
}
