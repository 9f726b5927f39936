// SPDX-License-Identifier: GPL-2.0
/* iommucfg apply */
#include <errno.h>
#include <string.h>

#include "cli.h"

int cmd_apply(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { NULL, 0, NULL, 0 }
	};
	int opt, code, ret, allow_set = 0, timeout_set = 0, settle_set = 0;
	struct run run = { .cli = cli, .settle = DEFAULT_SETTLE };
	struct iommucfg_policy *policy;

	while ((opt = getopt_long(argc, argv, ":" CLI_SHORT, options, NULL)) != -1) {
		code = run_option(&run, cli, opt, &allow_set, &timeout_set, &settle_set);
		if (code > 0)
			return EXIT_BAD;
		if (code < 0 && (code = cli_option(cli, opt, argv, options)) >= 0)
			return code;
	}
	code = cli_open(cli);
	if (code >= 0)
		return code;
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
		code = run_judge(&run, code);
	}
	code = run_finish(&run, code);
	iommucfg_policy_free(policy);
	return code;
}
