// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg apply --boot: in the initramfs, and again when the root file system
 * can be written. There is no user to ask, and nothing in use is taken away. An
 * error leaves the machine as it is, and says so where it will be seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"

/* 1 where there is no policy, which alone is no problem here. */
int read_system_policy(struct cli *cli, struct iommucfg_policy *policy)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	size_t n;
	int ret;

	if (!problems)
		return -ENOMEM;
	ret = iommucfg_policy_read_system(policy, problems);
	n = iommucfg_problems_count(problems);
	/* A file that is missing has a name, a policy that is missing has none. */
	if (ret == -ENOENT && n == 1 && !iommucfg_problem_file(iommucfg_problems_get(problems, 0)))
		ret = 1;
	else
		iommucfg_problems_append(cli->problems, problems);
	iommucfg_problems_unref(problems);
	return ret;
}

static void loud_list(struct cli *cli, const struct iommucfg_problems *problems)
{
	const struct iommucfg_problem *p;
	const char *file;
	size_t i;

	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		file = iommucfg_problem_file(p);
		if (file)
			kmsg(cli, iommucfg_problem_severity(p) == IOMMUCFG_WARNING ?
			     KMSG_WARNING : KMSG_ERROR, "%s:%d: %s", file,
			     iommucfg_problem_line(p), iommucfg_problem_message(p));
		else
			kmsg(cli, iommucfg_problem_severity(p) == IOMMUCFG_WARNING ?
			     KMSG_WARNING : KMSG_ERROR, "%s", iommucfg_problem_message(p));
	}
}

static void loud_skipped(struct run *run)
{
	const struct iommucfg_change *change;
	const struct iommucfg_group *group;
	bool limit;
	size_t i;

	for (i = 0; run->plan && i < iommucfg_plan_num_skipped(run->plan); i++) {
		change = iommucfg_plan_skipped(run->plan, i);
		group = iommucfg_change_group(change);
		limit = iommucfg_change_over_limit(change);
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_WARNING,
				      limit ? "disruption" : "in-use", limit ? EOPNOTSUPP : EBUSY,
				      "group %u %s and stays %s: the policy wants %s",
				      iommucfg_group_number(group),
				      limit ? "needs more than the policy's disruption" : "is in use",
				      iommucfg_group_type_text(group),
				      iommucfg_type_name(iommucfg_change_to(change)));
	}
}

/* All that went wrong, into the kernel's log. */
static void loud(struct run *run, int code)
{
	struct cli *cli = run->cli;

	loud_skipped(run);
	loud_list(cli, cli->problems);
	if (run->plan) {
		loud_list(cli, iommucfg_plan_conflicts(run->plan));
		loud_list(cli, iommucfg_plan_problems(run->plan));
	}
	if (code == EXIT_BROKEN)
		kmsg(cli, KMSG_ERROR, "the policy could not be applied, nor undone in full: see \"iommucfg status\"");
	else if (code && code != EXIT_CHANGE)
		kmsg(cli, KMSG_ERROR, "the policy was NOT applied: all groups keep the types that they have");
	else if (run->plan && iommucfg_plan_num_changes(run->plan))
		kmsg(cli, KMSG_NOTICE, "groups changed by the policy: %zu",
		     iommucfg_plan_num_changes(run->plan));
}

static void say_fallback(struct cli *cli, bool asked, bool there)
{
	if (asked && there)
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", 0,
				      "iommucfg=good: the last confirmed policy is applied");
	else if (asked)
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", ENOENT,
				      "iommucfg=good: no policy was ever confirmed, so none is applied");
	else
		iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "boot", ECANCELED,
				      "no boot with the policy was confirmed, and its tries are used up: %s; change the policy, or remove %s/var/lib/iommucfg/boot to try it again",
				      there ? "the last confirmed one is applied instead" :
					      "no policy is applied, as none was ever confirmed",
				      iommucfg_root(cli->ctx));
}

static bool is_wrong(const struct iommucfg_plan *plan)
{
	return !plan || iommucfg_problems_count(iommucfg_plan_conflicts(plan)) ||
	       iommucfg_problems_at_least(iommucfg_plan_problems(plan), IOMMUCFG_ERROR);
}

/* What would change. Returns an exit code, with which it is to be carried out. */
static int make_plan(struct run *run, const struct iommucfg_policy *policy)
{
	/*
	 * What is in use keeps its type where the policy's words do not allow to take it,
	 * and so does what cannot be told to be free. That is a warning: an error would
	 * keep the policy from all other groups as well, and at boot no person can decide
	 * to go on.
	 */
	run->options = (struct run_options){
		.skip_in_use = true, .confirm_timeout = run->detach ? EARLY_TIMEOUT : 0,
	};
	if (iommucfg_policy_allow_in_use(policy) >= 0)
		run->options.allow_in_use = iommucfg_policy_allow_in_use(policy);
	/* Before drivers are bound there is nothing to disturb. */
	if (!run->detach && iommucfg_policy_disruption(policy) >= 0)
		run->options.disruption = iommucfg_policy_disruption(policy);
	run->faults_warn = iommucfg_policy_faults(policy) == IOMMUCFG_FAULTS_WARN;
	if (iommucfg_policy_settle(policy) >= 0)
		run->settle = iommucfg_policy_settle(policy);
	return run_plan_policy(run, policy);
}

/* @text is the policy's. In the initramfs it is in force once root is there. */
static int carry_out(struct run *run, const struct iommucfg_policy *policy, const char *text,
		     int code)
{
	bool early = run->detach, unconfirmed;

	if (early && !code)
		early_begin(run, text);
	code = run_judge(run, code);
	unconfirmed = run_result(run) && !strcmp(run_result(run), "unconfirmed");
	if (early && !unconfirmed)
		early_end(run->cli);
	if (early && code != EXIT_DONE && code != EXIT_CHANGE)
		boot_initramfs_is_over(run->cli);
	run_standing(run, policy, code);
	if ((code == EXIT_DONE || code == EXIT_CHANGE) && !unconfirmed)
		boot_in_force(run->cli, text);
	return code;
}

/*
 * The initramfs has tried it, and it went back, or could not: no second commit in this
 * boot. @text is that of the system's policy, or NULL.
 */
static int stay_back(struct run *run, const char *text, enum boot_choice choice, long tries,
		     enum early early)
{
	boot_out_of_force(run->cli);
	if (text && boot_began_with_other(run->cli, text))
		boot_image_is_old(run->cli);
	else if (text && choice == BOOT_TRIAL)
		boot_try(run->cli, text, tries);
	return early == EARLY_BROKEN ? EXIT_BROKEN : EXIT_RESTORED;
}

/*
 * Not half of the policy @text and half of the one that the initramfs had: what is in
 * use would keep its type, and what the new one says nothing of, too. Says so.
 */
static bool must_wait(struct run *run, const char *text)
{
	if (is_wrong(run->plan) || !boot_began_with_other(run->cli, text))
		return false;
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_WARNING, "boot", EBUSY,
			      "this boot stays with the policy that it began with: the initramfs image has another one than %s/etc, which is applied by the next boot whose image has it",
			      iommucfg_root(run->cli->ctx));
	boot_image_is_old(run->cli);
	run_nothing(run);
	return true;
}

/* The confirmed policy, or none. */
static int fall_back(struct run *run, struct iommucfg_policy **policy, const char *text,
		     bool asked)
{
	struct cli *cli = run->cli;
	int code = EXIT_DONE;
	char *name;

	say_fallback(cli, asked, text);
	iommucfg_policy_unref(*policy);
	*policy = NULL;
	if (iommucfg_policy_new(cli->ctx, policy))
		return cli_nomem();
	/* What was in force is what is given up. */
	boot_out_of_force(cli);
	if (!text) {
		run_nothing(run);
		/* The initramfs may have tried it, and left its rules. */
		run_standing(run, *policy, EXIT_CHANGE);
		return EXIT_CHANGE;
	}
	if (asprintf(&name, "%s/var/lib/iommucfg/good.conf", iommucfg_root(cli->ctx)) < 0)
		return cli_nomem();
	if (iommucfg_policy_read_buffer(*policy, name, text, strlen(text), cli->problems))
		code = EXIT_BAD;
	free(name);
	if (!code)
		code = carry_out(run, *policy, text, make_plan(run, *policy));
	/* What the policy in /etc says is not so. */
	return cli_worse(code, EXIT_CHANGE);
}

static int try_policy(struct run *run, struct iommucfg_policy **policy, bool good, long tries,
		      enum early early)
{
	struct cli *cli = run->cli;
	enum boot_choice choice;
	char *text, *fallback;
	int code;

	/* With a policy that is wrong the good one must still be had. */
	text = NULL;
	if (!good && iommucfg_policy_text(*policy, &text))
		return cli_nomem();
	choice = boot_choose(cli, text, good, &fallback);
	if (early == EARLY_WENT_BACK || early == EARLY_BROKEN) {
		code = stay_back(run, text, choice, tries, early);
		goto out;
	}
	if (choice == BOOT_FALLBACK) {
		code = fall_back(run, policy, fallback, good);
		goto out;
	}
	code = make_plan(run, *policy);
	if (!code && must_wait(run, text)) {
		code = EXIT_CHANGE;
	} else {
		/* Counted before it can do any harm. */
		if (choice == BOOT_TRIAL && !code && !is_wrong(run->plan)) {
			code = boot_try(cli, text, tries);
			if (code)
				boot_out_of_force(cli);
		}
		code = carry_out(run, *policy, text, code);
		if (code == EXIT_DONE || code == EXIT_CHANGE)
			boot_applied(cli, text);
	}
out:
	free(fallback);
	free(text);
	return code;
}

int apply_boot(struct run *run, long tries, long limit)
{
	enum boot_word word = boot_word(run->cli);
	struct iommucfg_policy *policy = NULL;
	enum early early = EARLY_NONE;
	struct cli *cli = run->cli;
	const char *why;
	int code, ret;

	/* There is no user to be asked. */
	run->yes = true;
	if (cli_need_root(cli))
		return run_finish(run, EXIT_BAD);
	if (word == BOOT_WORD_OFF || boot_is_kdump(cli)) {
		why = word == BOOT_WORD_OFF ? "iommucfg=off" : "a kernel that saves a crash";
		kmsg(cli, KMSG_NOTICE, "%s: the policy is ignored", why);
		cli_note(cli, "%s: the policy is ignored", why);
		run_nothing(run);
		return run_finish(run, EXIT_DONE);
	}
	if (!limit && early_is_initramfs(cli))
		limit = EARLY_LIMIT;
	if (limit) {
		code = early_bounded(cli, limit);
		if (code >= 0)
			return code;
		run->name = EARLY_TXN;
		run->detach = run->early = true;
	} else {
		early = early_confirm(cli);
		if (early == EARLY_KEPT)
			boot_take_over(cli);
	}
	history_import(cli->ctx, NULL);
	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	code = run_lock(run);
	ret = code || word == BOOT_WORD_GOOD ? 0 : read_system_policy(cli, policy);
	if (code) {
		cli_debug(cli, "the policy is not looked at");
	} else if (ret > 0) {
		cli_note(cli, "there is no policy");
		run_nothing(run);
		/* There may have been one, in the initramfs for instance. */
		boot_out_of_force(cli);
		run_standing(run, policy, code);
	} else if (ret) {
		code = EXIT_BAD;
	} else {
		code = try_policy(run, &policy, word == BOOT_WORD_GOOD, tries, early);
	}
	if (early == EARLY_BROKEN)
		code = EXIT_BROKEN;
	if (!limit)
		boot_initramfs_is_over(cli);
	loud(run, code);
	code = run_finish(run, code);
	iommucfg_policy_unref(policy);
	return code;
}
