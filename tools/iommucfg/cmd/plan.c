// SPDX-License-Identifier: GPL-2.0
/* iommucfg plan; assert, which is the same without the words; and plans of other commands */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "cli.h"

/*
 * Where the module is there, the kernel says what it thinks of the plan: a
 * transaction is staged, checked, and removed. That touches no group.
 */
static void ask_about(struct cli *cli, struct iommucfg_plan *plan,
		      const struct run_options *options, enum iommucfg_part part)
{
	const int block = IOMMUCFG_WORD_BLOCK | IOMMUCFG_WORD_MOUNTED;
	int words = options->allow_in_use, ret;
	struct iommucfg_txn *txn;

	if (iommucfg_txn_create(cli->ctx, NULL, &txn, NULL))
		return;
	/* In a saved tree a new directory is no transaction. */
	if (iommucfg_txn_state(txn) == IOMMUCFG_STATE_STAGED) {
		ret = iommucfg_txn_set_allow_in_use(txn, part == IOMMUCFG_PART_BLOCK ? words :
							 words & ~block);
		if (!ret)
			ret = iommucfg_txn_set_confirm_timeout(txn,
							       iommucfg_plan_confirm_timeout(plan));
		if (!ret)
			ret = iommucfg_txn_stage_part(txn, plan, part,
						      iommucfg_plan_problems(plan));
		if (ret > 0)
			iommucfg_plan_check(plan, txn);
	}
	iommucfg_txn_forget(txn);
	iommucfg_txn_unref(txn);
}

static void ask_kernel(struct cli *cli, struct iommucfg_plan *plan,
		       const struct run_options *options)
{
	if (!iommucfg_plan_num_changes(plan) || iommucfg_kernel_probe(cli->ctx, NULL))
		return;
	/* apply stages the parts in transactions of their own. */
	ask_about(cli, plan, options, IOMMUCFG_PART_MAIN);
	ask_about(cli, plan, options, IOMMUCFG_PART_BLOCK);
	ask_about(cli, plan, options, IOMMUCFG_PART_PAUSE);
}

static int judge(const struct iommucfg_plan *plan)
{
	if (iommucfg_problems_count(iommucfg_plan_conflicts(plan)) ||
	    iommucfg_problems_at_least(iommucfg_plan_problems(plan), IOMMUCFG_ERROR))
		return EXIT_BAD;
	if (iommucfg_plan_num_changes(plan) || iommucfg_plan_num_skipped(plan))
		return EXIT_CHANGE;
	return EXIT_DONE;
}

/* Reads what a plan is made of. Needs neither the module nor root, and no lock. */
static int plan_begin(struct run *run)
{
	struct cli *cli = run->cli;

	run->options.only_look = true;
	if (iommucfg_topology_scan(cli->ctx, &run->topology, cli->problems))
		return EXIT_BAD;
	if (!iommucfg_kernel_probe(cli->ctx, NULL))
		iommucfg_txn_pending(cli->ctx, IOMMUCFG_WARNING, cli->problems);
	if (cli_scan_use(cli, run->topology))
		return EXIT_BAD;
	iommucfg_topology_scan_required(run->topology);
	return EXIT_DONE;
}

int plan_judge(struct run *run, int code)
{
	if (!code && !run->plan)
		code = EXIT_BAD;
	if (!code && judge(run->plan) == EXIT_CHANGE)
		ask_kernel(run->cli, run->plan, &run->options);
	return code ? code : judge(run->plan);
}

/* Tells and prints the plan that was made, if one was, and releases everything. */
int plan_end(struct run *run, int code, bool quiet)
{
	struct iommucfg_plan *plan = run->plan;
	struct cli *cli = run->cli;
	struct json_object *document;
	const char *result;

	cli_tell(cli);
	if (plan) {
		cli_tell_list(cli, iommucfg_plan_conflicts(plan));
		if (!quiet || code == EXIT_BAD)
			cli_tell_list(cli, iommucfg_plan_problems(plan));
	}
	result = code == EXIT_DONE ? "nothing-to-do" : code == EXIT_CHANGE ? "planned" : "error";
	if (cli->json) {
		document = json_plan(cli, plan, NULL, result);
		/* As the document of a change has it. */
		if (run->dry)
			json_object_object_add(document, "entry", NULL);
		if (json_print(document, true))
			code = cli_worse(code, EXIT_BAD);
	} else if (!quiet && plan) {
		code = cli_worse(code, plan_print(cli, plan));
		plan_print_verdict(cli, plan);
	}
	iommucfg_plan_unref(plan);
	iommucfg_topology_unref(run->topology);
	return code;
}

/* What a command would do: its plan, and nothing else. */
int plan_dry(struct run *run)
{
	int code = plan_begin(run);

	if (!code)
		code = run->make(run, false);
	return plan_end(run, plan_judge(run, code), false);
}

/* What plan is asked for. */
struct asked {
	struct run *run;
	const char *save;
};

static int plan_option(struct cli *cli, int opt, void *data)
{
	struct asked *asked = data;
	int code;

	if (opt == OPT_SAVE) {
		asked->save = optarg;
		return 0;
	}
	code = cli_table_option(cli, opt, NULL);
	return code < 0 ? run_option(cli, opt, asked->run) : code;
}

static int plan_or_assert(struct cli *cli, int argc, char **argv, bool quiet)
{
	static const struct option plan_options[] = {
		CLI_LONG, CLI_TABLE_LONG, RUN_LONG, RUN_STRICT_LONG,
		{ "save", required_argument, NULL, OPT_SAVE }, { NULL, 0, NULL, 0 }
	};
	static const struct option assert_options[] = {
		CLI_LONG, RUN_LONG, RUN_STRICT_LONG, { NULL, 0, NULL, 0 }
	};
	struct run run = { .cli = cli };
	struct asked asked = { .run = &run };
	struct iommucfg_plan_options *options;
	struct iommucfg_policy *policy = NULL;
	int code, ret;

	code = quiet ? cli_options(cli, argc, argv, ":" CLI_SHORT, assert_options, run_option,
				   &run) :
		       cli_options(cli, argc, argv, ":" CLI_SHORT CLI_TABLE_SHORT, plan_options,
				   plan_option, &asked);
	if (code < 0)
		code = cli_open(cli);
	if (code >= 0)
		return code;
	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	code = EXIT_BAD;
	if (!cli_read_policy(cli, policy, argc - optind, argv + optind)) {
		run_policy_options(&run, policy);
		code = plan_begin(&run);
	}
	if (!code) {
		options = run_plan_options(&run);
		ret = options ? iommucfg_plan_policy(run.topology, policy, options, &run.plan) :
				-ENOMEM;
		iommucfg_plan_options_unref(options);
		if (ret)
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
					      "no plan could be made: %s", strerror(-ret));
	}
	code = plan_judge(&run, code);
	if (asked.save && code != EXIT_BAD)
		code = cli_worse(code, plan_file_save(&run, asked.save, policy, argc - optind,
						      argv + optind));
	code = plan_end(&run, code, quiet);
	iommucfg_policy_unref(policy);
	return code;
}

int cmd_plan(struct cli *cli, int argc, char **argv)
{
	return plan_or_assert(cli, argc, argv, false);
}

int cmd_assert(struct cli *cli, int argc, char **argv)
{
	return plan_or_assert(cli, argc, argv, true);
}
