// SPDX-License-Identifier: GPL-2.0
/* iommucfg apply */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"

/* Only the group of the device that has come, if one is named. */
static int restrict_to(struct run *run, const char *device)
{
	struct iommucfg_group *group;

	if (!device || !run->plan)
		return EXIT_DONE;
	group = cli_find_group(run->cli, run->topology, device);
	if (!group)
		return EXIT_BAD;
	iommucfg_plan_restrict(run->plan, group);
	return EXIT_DONE;
}

/* What the system's own policy came to is what devices get that come later. */
static void note_in_force(struct run *run, const struct iommucfg_policy *policy, int code)
{
	char *text;

	if ((code != EXIT_DONE && code != EXIT_CHANGE) || !run_result(run) ||
	    !strcmp(run_result(run), "unconfirmed") ||
	    iommucfg_policy_text(policy, &text))
		return;
	boot_in_force(run->cli, text);
	free(text);
}

/* What the command line says, beside the options of a run. */
struct asked {
	const char *only;
	const char *by_hand;	/* something that makes no sense at boot */
	bool boot;
	long tries;
	int allow_set, timeout_set, settle_set;
};

/* An option of apply alone: 0 if taken, 1 if wrong, -1 if not one. */
static int own_option(struct asked *asked, struct cli *cli, int opt)
{
	switch (opt) {
	case OPT_BOOT:
		asked->boot = true;
		return 0;
	case OPT_ONLY:
		asked->only = optarg;
		asked->by_hand = "--only";
		return 0;
	case OPT_TRIES:
		return cli_number(cli, "--tries", optarg, 1, 100, &asked->tries) ? 1 : 0;
	default:
		return -1;
	}
}

/* -1 to go on, else the exit code. */
static int read_options(struct run *run, struct asked *asked, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { "boot", no_argument, NULL, OPT_BOOT },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "tries", required_argument, NULL, OPT_TRIES }, { NULL, 0, NULL, 0 }
	};
	struct cli *cli = run->cli;
	int opt, code;

	while ((opt = getopt_long(argc, argv, ":" CLI_SHORT, options, NULL)) != -1) {
		code = run_option(run, cli, opt, &asked->allow_set, &asked->timeout_set,
				  &asked->settle_set);
		if (!code && opt != OPT_YES && opt != OPT_SKIP_IN_USE)
			asked->by_hand = "the options of a change by hand";
		if (code < 0)
			code = own_option(asked, cli, opt);
		if (code > 0)
			return EXIT_BAD;
		if (!code)
			continue;
		code = cli_option(cli, opt, argv, options);
		if (code >= 0)
			return code;
	}
	if (argv[optind])
		asked->by_hand = "a FILE";
	if (asked->boot && asked->by_hand)
		return cli_usage(cli, "--boot goes with the system's policy, not with %s",
				 asked->by_hand);
	if (asked->tries && !asked->boot)
		return cli_usage(cli, "--tries goes with --boot");
	return -1;
}

/* Plans and carries out what has been read. */
static int carry_out(struct run *run, const struct asked *asked, struct iommucfg_policy *policy)
{
	int code;

	if (!asked->allow_set && iommucfg_policy_allow_in_use(policy) >= 0)
		run->options.allow_in_use = iommucfg_policy_allow_in_use(policy);
	if (!asked->timeout_set && iommucfg_policy_confirm_timeout(policy) >= 0)
		run->options.confirm_timeout = iommucfg_policy_confirm_timeout(policy);
	if (!asked->settle_set && iommucfg_policy_settle(policy) >= 0)
		run->settle = iommucfg_policy_settle(policy);
	code = run_plan_policy(run, policy);
	return run_judge(run, cli_worse(code, restrict_to(run, asked->only)));
}

/*
 * Under the lock, as files may change while another one is at work. What comes from
 * standard input may take its time, and is no newer later.
 */
static int read_policy(struct run *run, struct iommucfg_policy *policy, int argc, char **argv)
{
	bool input = false;
	int i, ret, code = EXIT_DONE;

	for (i = 0; i < argc; i++)
		input |= !strcmp(argv[i], "-");
	if (!input)
		code = run_lock(run);
	if (code)
		return code;
	ret = cli_read_policy(run->cli, policy, argc, argv);
	if (ret == -EINTR)
		return run_interrupted(run);
	if (ret)
		return EXIT_BAD;
	return input ? run_lock(run) : EXIT_DONE;
}

int cmd_apply(struct cli *cli, int argc, char **argv)
{
	struct run run = { .cli = cli, .settle = DEFAULT_SETTLE };
	struct iommucfg_policy *policy;
	struct asked asked = { 0 };
	int code;

	code = read_options(&run, &asked, argc, argv);
	if (code < 0)
		code = cli_open(cli);
	if (code >= 0)
		return code;
	signals_catch();
	if (asked.boot)
		return apply_boot(&run, asked.tries ? asked.tries : BOOT_TRIES);
	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	code = read_policy(&run, policy, argc - optind, argv + optind);
	if (!code) {
		code = carry_out(&run, &asked, policy);
		/* A part of the groups is none of the policy, and a FILE is not the system's. */
		if (optind != argc) {
			cli_debug(cli, "the policy for devices to come stays that of the system: a FILE is applied");
		} else if (!asked.only) {
			run_standing(&run, policy, code);
			note_in_force(&run, policy, code);
		}
	}
	code = run_finish(&run, code);
	iommucfg_policy_free(policy);
	return code;
}
