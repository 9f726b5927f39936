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

	if ((code != EXIT_DONE && code != EXIT_CHANGE) || !strcmp(run->result, "unconfirmed") ||
	    iommucfg_policy_text(policy, &text))
		return;
	boot_in_force(run->cli, text);
	free(text);
}

int cmd_apply(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { "boot", no_argument, NULL, OPT_BOOT },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "tries", required_argument, NULL, OPT_TRIES }, { NULL, 0, NULL, 0 }
	};
	int opt, code, ret, allow_set = 0, timeout_set = 0, settle_set = 0;
	struct run run = { .cli = cli, .settle = DEFAULT_SETTLE };
	const char *only = NULL, *other = NULL;
	struct iommucfg_policy *policy;
	bool boot = false;
	long tries = 0;

	while ((opt = getopt_long(argc, argv, ":" CLI_SHORT, options, NULL)) != -1) {
		code = run_option(&run, cli, opt, &allow_set, &timeout_set, &settle_set);
		if (code > 0)
			return EXIT_BAD;
		if (!code && !(opt == OPT_YES || opt == OPT_SKIP_IN_USE))
			other = "the options of a change by hand";
		if (opt == OPT_BOOT) {
			boot = true;
			continue;
		}
		if (opt == OPT_ONLY) {
			only = optarg;
			continue;
		}
		if (opt == OPT_TRIES) {
			if (cli_number(cli, "--tries", optarg, 100, &tries))
				return EXIT_BAD;
			continue;
		}
		if (code < 0 && (code = cli_option(cli, opt, argv, options)) >= 0)
			return code;
	}
	if (boot && (other || only || argv[optind]))
		return cli_usage(cli, "--boot goes with the system's policy, not with %s",
				 other ? other : only ? "--only" : "a FILE");
	if (tries && !boot)
		return cli_usage(cli, "--tries goes with --boot");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	if (boot) {
		signals_catch();
		return apply_boot(&run, tries ? tries : BOOT_TRIES);
	}
	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	signals_catch();
	ret = cli_read_policy(cli, policy, argc - optind, argv + optind);
	if (ret == -EINTR) {
		code = run_interrupted(&run);
	} else if (ret) {
		code = EXIT_BAD;
	} else {
		if (!allow_set && iommucfg_policy_allow_in_use(policy) >= 0)
			run.options.allow_in_use = iommucfg_policy_allow_in_use(policy);
		if (!timeout_set && iommucfg_policy_confirm_timeout(policy) >= 0)
			run.options.confirm_timeout = iommucfg_policy_confirm_timeout(policy);
		if (!settle_set && iommucfg_policy_settle(policy) >= 0)
			run.settle = iommucfg_policy_settle(policy);
		code = run_prepare(&run);
		ret = 0;
		if (run.topology)
			ret = iommucfg_plan_policy(run.topology, policy, &run.options, &run.plan);
		if (ret) {
			iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
					      "no plan could be made: %s", strerror(-ret));
			code = EXIT_BAD;
		}
		code = cli_worse(code, restrict_to(&run, only));
		code = run_judge(&run, code);
		if (!only && optind == argc)
			note_in_force(&run, policy, code);
	}
	code = run_finish(&run, code);
	iommucfg_policy_free(policy);
	return code;
}
