// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg confirm [NAME] --install DEST: what was confirmed becomes a file of the system's
 * policy. The caller has written DEST.new before. Never changes a group; repeated after a
 * crash it does what is left. Without NAME nothing is confirmed: after a reboot the
 * transaction is gone, and the file is still to be installed, or emptied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"

static int failed(struct cli *cli, const char *path, int error)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", error, "%s: %s", path,
			      strerror(error));
	return EXIT_BAD;
}

int confirm_install_check(struct cli *cli, const char *dest)
{
	char *new;
	int code = EXIT_DONE;

	if (asprintf(&new, "%s.new", dest) < 0)
		return cli_nomem();
	if (access(new, R_OK) && access(dest, R_OK))
		code = failed(cli, new, errno);
	free(new);
	return code;
}

static int sync_path(const char *path, int flags)
{
	int fd, error = 0;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
	if (fd < 0)
		return errno;
	/* Some file systems cannot sync a directory, and lose nothing by it. */
	if (fsync(fd) && !(errno == EINVAL && flags & O_DIRECTORY))
		error = errno;
	close(fd);
	return error;
}

/* Without DEST.new an earlier call came as far as this. */
static int install(struct cli *cli, const char *dest)
{
	char *new, *dir = strdup(dest), *slash = dir ? strrchr(dir, '/') : NULL;
	int error, code = EXIT_DONE;

	if (!dir || asprintf(&new, "%s.new", dest) < 0) {
		free(dir);
		return cli_nomem();
	}
	error = sync_path(new, 0);
	if (!error && rename(new, dest))
		error = errno;
	if (error && (error != ENOENT || access(dest, R_OK)))
		code = failed(cli, new, error);
	if (slash)
		slash[slash == dir] = '\0';
	error = code ? 0 : sync_path(slash ? dir : ".", O_DIRECTORY);
	if (error)
		code = failed(cli, dest, error);
	free(new);
	free(dir);
	return code;
}

/* 0: all groups are as @policy says; 1: not all; or a negative errno. */
static int differs(struct cli *cli, const struct iommucfg_policy *policy)
{
	struct iommucfg_plan_options *options = iommucfg_plan_options_new();
	struct iommucfg_topology *topology = NULL;
	struct iommucfg_plan *plan = NULL;
	int ret = -ENOMEM;

	if (options) {
		iommucfg_plan_options_set_only_look(options, true);
		ret = iommucfg_topology_scan(cli->ctx, &topology, cli->problems);
	}
	if (!ret)
		ret = iommucfg_plan_policy(topology, policy, options, &plan);
	if (!ret)
		ret = iommucfg_plan_num_changes(plan) || iommucfg_plan_num_skipped(plan) ||
		      iommucfg_problems_count(iommucfg_plan_conflicts(plan)) ||
		      iommucfg_problems_at_least(iommucfg_plan_problems(plan), IOMMUCFG_ERROR);
	iommucfg_plan_unref(plan);
	iommucfg_topology_unref(topology);
	iommucfg_plan_options_unref(options);
	return ret;
}

/* Devices to come are under the policy if the groups that are there are. */
static int enforce(struct cli *cli)
{
	struct iommucfg_policy *policy = NULL;
	char *text = NULL;
	int ret;

	ret = iommucfg_policy_new(cli->ctx, &policy);
	if (!ret)
		ret = iommucfg_policy_read_system(policy, cli->problems);
	if (!ret)
		ret = differs(cli, policy);
	if (!ret)
		ret = iommucfg_policy_text(policy, &text);
	if (!ret) {
		iommucfg_standing_sync(policy, cli->problems);
		boot_in_force(cli, text);
	} else if (ret > 0) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "policy", 0,
				      "not all groups are as the system's policy says: the policy for devices to come stays as it is");
		iommucfg_problems_cure(cli->problems, "not-in-force", "iommucfg plan");
	}
	free(text);
	iommucfg_policy_unref(policy);
	return ret > 0 ? EXIT_CHANGE : ret ? EXIT_BAD : EXIT_DONE;
}

int confirm_install(struct cli *cli, const char *dest, bool confirmed)
{
	struct iommucfg_run *run;
	int code;

	/* Another run may read the files, and tell the kernel of devices to come. */
	if (iommucfg_run_new(cli->ctx, cli->problems, &run))
		return cli_nomem();
	code = iommucfg_run_begin(run);
	/* Groups that may go back prove nothing about the policy. */
	if (!code && !confirmed && iommucfg_txn_pending(cli->ctx, IOMMUCFG_REFUSED, cli->problems))
		code = EXIT_REFUSED;
	if (!code)
		code = install(cli, dest);
	if (!code)
		code = enforce(cli);
	iommucfg_run_unref(run);
	return code;
}
