// SPDX-License-Identifier: GPL-2.0
/* iommucfg apply */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"

/* Only the group of the device that has come, if one is named. */
static int restrict_to(struct run *run, const char *target)
{
	struct iommucfg_group **groups;
	size_t n;

	if (!target || !run->plan)
		return EXIT_DONE;
	if (iommucfg_topology_find_target(run->topology, target, &groups, &n,
					  run->cli->problems))
		return EXIT_BAD;
	iommucfg_plan_restrict(run->plan, groups, n);
	free(groups);
	return EXIT_DONE;
}

/* What the system's own policy came to is what devices get that come later. */
static void note_in_force(struct run *run, const struct iommucfg_policy *policy, int code)
{
	char *text;

	if ((code != EXIT_DONE && code != EXIT_CHANGE) || !run_result(run) ||
	    !strcmp(run_result(run), "unconfirmed") || iommucfg_run_overtaken(run->run) ||
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
	long tries, limit;	/* limit: in the initramfs */
	struct run *run;
	const char *plan;	/* file of a plan that was saved */
	struct json_object *saved;
	bool unplanned;		/* with something that a saved plan says itself */
	/* what is applied, and the files that it was read from */
	struct iommucfg_policy *policy;
	bool input;		/* standard input is one of them */
	int num_files;
	char **files, **saved_files;
};

static int own_option(struct cli *cli, int opt, void *data)
{
	struct asked *asked = data;
	int code = run_option(cli, opt, asked->run);

	switch (opt) {
	case OPT_PLAN:
		asked->plan = optarg;
		return 0;
	case OPT_ALLOW_IN_USE:
	case OPT_DISRUPTION:
	case OPT_SKIP_IN_USE:
	case OPT_STRICT:
	case OPT_BOOT:
	case OPT_ONLY:
	case OPT_CHECK_COMMAND:
	case 'n':
		asked->unplanned = true;
	}
	if (!code && opt != OPT_YES && opt != OPT_SKIP_IN_USE)
		asked->by_hand = "the options of a change by hand";
	if (code >= 0)
		return code;
	switch (opt) {
	case OPT_BOOT:
		asked->boot = true;
		return 0;
	case OPT_ONLY:
		asked->only = optarg;
		asked->by_hand = "--only";
		return 0;
	case OPT_INITRAMFS:
		asked->limit = EARLY_LIMIT;
		return optarg && cli_number(cli, "--initramfs", optarg, 1, 3600, &asked->limit);
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
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, RUN_STRICT_LONG,
		{ "boot", no_argument, NULL, OPT_BOOT },
		{ "initramfs", optional_argument, NULL, OPT_INITRAMFS },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "plan", required_argument, NULL, OPT_PLAN },
		{ "tries", required_argument, NULL, OPT_TRIES }, { NULL, 0, NULL, 0 }
	};
	struct cli *cli = run->cli;
	int code;

	asked->run = run;
	code = cli_options(cli, argc, argv, ":" RUN_DRY_SHORT CLI_SHORT, options, own_option,
			   asked);
	if (code >= 0)
		return code;
	if (argv[optind])
		asked->by_hand = "a FILE";
	if (asked->boot && asked->by_hand)
		return cli_usage(cli, "--boot goes with the system's policy, not with %s",
				 asked->by_hand);
	if (asked->plan && (asked->unplanned || argv[optind]))
		return cli_usage(cli, "--plan goes with --yes, --detach, --name, --confirm-timeout and --settle alone: the rest is in the plan");
	if ((asked->tries || asked->limit) && !asked->boot)
		return cli_usage(cli, "%s goes with --boot", asked->tries ? "--tries" :
				 "--initramfs");
	return -1;
}

static int read_files(struct cli *cli, struct asked *asked)
{
	const char *text = asked->saved ? plan_file_policy(asked->saved) : NULL;

	iommucfg_policy_unref(asked->policy);
	asked->policy = NULL;
	if (iommucfg_policy_new(cli->ctx, &asked->policy))
		return cli_nomem();
	/* What was read from standard input is in the plan alone. */
	if (text && asked->input)
		return iommucfg_policy_read_buffer(asked->policy, asked->plan, text, strlen(text),
						   cli->problems) ? EXIT_BAD : EXIT_DONE;
	return cli_read_policy(cli, asked->policy, asked->num_files, asked->files) ? EXIT_BAD :
										      EXIT_DONE;
}

static int is_as_saved(struct run *run)
{
	struct asked *asked = run->make_data;

	return plan_file_compare(run, asked->saved, asked->policy);
}

/* The plan that is to be carried out, and where its policy is from. */
static int load_plan(struct run *run, struct asked *asked)
{
	int i;

	if (plan_file_load(run->cli, asked->plan, &asked->saved))
		return EXIT_BAD;
	asked->num_files = plan_file_files(asked->saved, &asked->saved_files);
	asked->files = asked->saved_files;
	if (asked->num_files < 0)
		return cli_nomem();
	for (i = 0; i < asked->num_files; i++)
		asked->input |= !strcmp(asked->files[i], "-");
	run->accept = is_as_saved;
	return EXIT_DONE;
}

static void take_options(struct run *run, const struct asked *asked)
{
	const struct iommucfg_policy *policy = asked->policy;

	if (!run->settle_set && iommucfg_policy_settle(policy) >= 0)
		run->settle = iommucfg_policy_settle(policy);
	run_verdict_options(run, policy);
	if (asked->saved) {
		plan_file_options(run, asked->saved);
		return;
	}
	run_policy_options(run, policy);
}

static int make_plan(struct run *run, bool again)
{
	struct asked *asked = run->make_data;
	int code = EXIT_DONE;

	/* Files may have changed while the question was open. */
	if (again && (!asked->input || asked->saved))
		code = read_files(run->cli, asked);
	if (code)
		return code;
	take_options(run, asked);
	code = run_plan_policy(run, asked->policy);
	return cli_worse(code, restrict_to(run, asked->only));
}

/* Without a policy devices to come must not stay under the one that there was. */
static void give_up(struct run *run)
{
	struct cli *cli = run->cli;
	struct iommucfg_policy *none;

	if ((!run->locked && run_lock(run)) || !run->locked ||
	    iommucfg_policy_new(cli->ctx, &none))
		return;
	if (read_system_policy(cli, none) == 1) {
		boot_out_of_force(cli);
		iommucfg_standing_sync(none, cli->problems);
	}
	iommucfg_policy_unref(none);
}

/*
 * Under the lock, as files may change while another one is at work; where there will be a
 * question they are read anew after it. What comes from standard input may take its time,
 * and is no newer later.
 */
static int read_policy(struct run *run, struct asked *asked)
{
	bool asks = run_plans_twice(run);
	int i, ret, code = EXIT_DONE;

	for (i = 0; i < asked->num_files; i++)
		asked->input |= !strcmp(asked->files[i], "-");
	if ((!asked->input || asked->saved) && !asks)
		code = run_lock(run);
	if (code || asked->saved)
		return code ? code : read_files(run->cli, asked);
	ret = cli_read_policy(run->cli, asked->policy, asked->num_files, asked->files);
	if (ret == -ENOENT && !asked->num_files)
		give_up(run);
	if (ret == -EINTR)
		return run_interrupted(run);
	if (ret)
		return EXIT_BAD;
	return asked->input && !asks ? run_lock(run) : EXIT_DONE;
}

int cmd_apply(struct cli *cli, int argc, char **argv)
{
	struct asked asked = { 0 };
	struct run run = {
		.cli = cli, .settle = DEFAULT_SETTLE, .make = make_plan,
		.make_data = &asked,
	};
	int code;

	code = read_options(&run, &asked, argc, argv);
	if (code < 0)
		code = cli_open(cli);
	if (code >= 0)
		return code;
	signals_catch();
	if (asked.boot)
		return apply_boot(&run, asked.tries ? asked.tries : BOOT_TRIES, asked.limit);
	if (iommucfg_policy_new(cli->ctx, &asked.policy))
		return cli_nomem();
	asked.num_files = argc - optind;
	asked.files = argv + optind;
	if (asked.plan && load_plan(&run, &asked)) {
		code = run_finish(&run, EXIT_BAD);
		goto out;
	}
	if (run.dry) {
		/* Nothing is locked, changed or written down. */
		code = cli_read_policy(cli, asked.policy, asked.num_files, asked.files) ?
		       plan_end(&run, EXIT_BAD, false) : plan_dry(&run);
		goto out;
	}
	if (!asked.only)
		run_find_hooks(&run);
	code = read_policy(&run, &asked);
	if (!code) {
		take_options(&run, &asked);
		code = run_prepare(&run);
		if (run.topology)
			code = cli_worse(code, make_plan(&run, false));
		code = run_judge(&run, code);
		/* A part of the groups is none of the policy, and a FILE is not the system's. */
		if (asked.num_files) {
			cli_debug(cli, "the policy for devices to come stays that of the system: a FILE is applied");
		} else if (!asked.only) {
			run_standing(&run, asked.policy, code);
			note_in_force(&run, asked.policy, code);
		}
	}
	code = run_finish(&run, code);
out:
	iommucfg_policy_unref(asked.policy);
	json_object_put(asked.saved);
	free(asked.saved_files);
	return code;
}
