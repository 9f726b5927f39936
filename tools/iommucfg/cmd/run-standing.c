// SPDX-License-Identifier: GPL-2.0
/*
 * What the policy says of devices to come, told to the kernel. Only once it is
 * in force: an unconfirmed change that is undone must not live on in them. That
 * this fails is worth a warning, the groups that are there have their types.
 */
#include <errno.h>
#include <string.h>

#include "cli.h"

static bool has_standing(struct cli *cli)
{
	char **names;

	if (iommucfg_standing_list(cli->ctx, &names) < 0)
		return false;
	iommucfg_standing_list_free(names);
	return true;
}

/* @code is what the run came to. */
void run_standing(struct run *run, const struct iommucfg_policy *policy, int code)
{
	struct cli *cli = run->cli;
	int n;

	if (code != EXIT_DONE && code != EXIT_CHANGE)
		return;
	if (iommucfg_run_overtaken(run->run)) {
		cli_note(cli, "another process changed groups while you were asked: devices to come are left to that; \"iommucfg apply\" takes this policy for them");
		return;
	}
	if (run_result(run) && !strcmp(run_result(run), "unconfirmed")) {
		if (has_standing(cli))
			cli_note(cli, "the standing rules for devices to come stay as they are: the next \"iommucfg apply\" after the confirmation fills them");
		return;
	}
	n = iommucfg_standing_sync(policy, cli->problems);
	if (n == -EOPNOTSUPP)
		cli_debug(cli, "the kernel module has no standing rules for devices to come: it is not loaded with standing=1");
	else if (n >= 0)
		cli_debug(cli, "standing rules for devices to come that were made, changed or removed: %d",
			  n);
}
