// SPDX-License-Identifier: GPL-2.0
/*
 * What apply and set do alike: the library's run with the options of the command
 * line, questions and progress at the terminal, and what is printed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Words with commas between them. */
static int parse_allow(struct cli *cli, const char *text, int *mask)
{
	char *copy = strdup(text), *name, *save;
	enum iommucfg_word word;
	const char *near;
	int ret = 0;

	if (!copy)
		return cli_nomem();
	*mask = 0;
	for (name = strtok_r(copy, ", ", &save); name && !ret; name = strtok_r(NULL, ", ", &save)) {
		word = iommucfg_word_parse(name);
		*mask |= word;
		if (word != IOMMUCFG_WORD_NEVER)
			continue;
		near = iommucfg_suggest(name, iommucfg_word_names());
		ret = cli_usage(cli, "--allow-in-use takes net, default-route, block, mounted and other, not \"%s\"%s%s%s",
				name, near ? "; did you mean \"" : "", near ? near : "",
				near ? "\"?" : "");
	}
	free(copy);
	return ret;
}

static int parse_disruption(struct cli *cli, const char *text,
			    enum iommucfg_disruption *disruption)
{
	const char *near = iommucfg_suggest(text, iommucfg_disruption_names());
	int parsed = iommucfg_disruption_parse(text);

	if (parsed < 0)
		return cli_usage(cli, "--disruption takes none, pause or rebind, not \"%s\"%s%s%s",
				 text, near ? "; did you mean \"" : "", near ? near : "",
				 near ? "\"?" : "");
	*disruption = parsed;
	return 0;
}

/* An option of apply, set, plan, undo and rollback. */
int run_option(struct cli *cli, int opt, void *data)
{
	struct run *run = data;

	switch (opt) {
	case OPT_ALLOW_IN_USE:
		run->allow_set = true;
		return parse_allow(cli, optarg, &run->options.allow_in_use) ? 1 : 0;
	case OPT_CONFIRM_TIMEOUT:
		run->timeout_set = true;
		return cli_number(cli, "--confirm-timeout", optarg, 0,
				  IOMMUCFG_CONFIRM_TIMEOUT_MAX, &run->options.confirm_timeout) ? 1 : 0;
	case OPT_DISRUPTION:
		run->disruption_set = true;
		return parse_disruption(cli, optarg, &run->options.disruption) ? 1 : 0;
	case OPT_SETTLE:
		run->settle_set = true;
		return cli_number(cli, "--settle", optarg, 0, 3600, &run->settle) ? 1 : 0;
	case 'n':
		run->dry = true;
		return 0;
	case OPT_STRICT:
		run->options.strict = true;
		return 0;
	case OPT_SKIP_IN_USE:
		run->options.skip_in_use = true;
		return 0;
	case OPT_YES:
		run->yes = true;
		return 0;
	case OPT_DETACH:
		run->detach = true;
		return 0;
	case OPT_NAME:
		/* Also where nothing gets as far as to make one. */
		if (!iommucfg_txn_name_valid(optarg))
			return cli_usage(cli, "\"%s\" cannot name a transaction: 1 to 64 of A-Z a-z 0-9 . _ -, not \"standing\", \"abi\" or \"generation\"",
					 optarg);
		run->name = optarg;
		return 0;
	case OPT_CHECK_COMMAND:
		if (*optarg && *optarg != '/')
			return cli_usage(cli, "--check-command takes an absolute path, not \"%s\"",
					 optarg);
		run->check_set = true;
		run->check_path[0] = *optarg ? optarg : NULL;
		run->check_command = run->check_path;
		return 0;
	default:
		return -1;
	}
}

static void show_progress(struct iommucfg_run *r, unsigned long done, unsigned long all,
			  void *data)
{
	struct run *run = data;

	(void)r;
	ask_close();
	progress_show(run->cli, done, all);
}

static void message(struct iommucfg_run *r, enum iommucfg_run_level level, const char *text,
		    void *data)
{
	struct run *run = data;

	(void)r;
	ask_close();
	progress_clear();
	if (level == IOMMUCFG_RUN_NOTE)
		cli_note(run->cli, "%s", text);
	else
		cli_debug(run->cli, "%s", text);
}

static unsigned int cancelled(struct iommucfg_run *r, void *data)
{
	(void)r, (void)data;
	signals_drain();
	return signals_seen();
}

static enum iommucfg_run_answer keep(struct iommucfg_run *r, long seconds, void *data)
{
	(void)r, (void)data;
	return ask_to_keep(seconds);
}

/* A person who is there can answer; what cannot be reached any more goes back. */
void run_default_timeout(struct run *run)
{
	if (!run->timeout_set && !run->detach && !run->cli->json && ask_possible())
		run->options.default_timeout = DEFAULT_TIMEOUT;
}

/* How the policy wants a change to be judged. */
void run_verdict_options(struct run *run, const struct iommucfg_policy *policy)
{
	if (!run->check_set)
		run->check_command = iommucfg_policy_check_command(policy);
	run->faults_warn = iommucfg_policy_faults(policy) == IOMMUCFG_FAULTS_WARN;
	if (iommucfg_policy_check_timeout(policy) > 0)
		run->check_timeout = iommucfg_policy_check_timeout(policy);
}

/* What the command line leaves open is as the policy says. */
void run_policy_options(struct run *run, const struct iommucfg_policy *policy)
{
	if (!run->allow_set && iommucfg_policy_allow_in_use(policy) >= 0)
		run->options.allow_in_use = iommucfg_policy_allow_in_use(policy);
	if (!run->timeout_set && iommucfg_policy_confirm_timeout(policy) >= 0)
		run->options.confirm_timeout = iommucfg_policy_confirm_timeout(policy);
	else
		run_default_timeout(run);
	if (!run->disruption_set && iommucfg_policy_disruption(policy) >= 0)
		run->options.disruption = iommucfg_policy_disruption(policy);
	if (iommucfg_policy_strict(policy) > 0)
		run->options.strict = true;
}

/* To be released by the caller; NULL after a message. */
struct iommucfg_plan_options *run_plan_options(const struct run *run)
{
	struct iommucfg_plan_options *options = iommucfg_plan_options_new();

	if (!options) {
		cli_nomem();
		return NULL;
	}
	iommucfg_plan_options_set_confirm_timeout(options, run->options.confirm_timeout);
	iommucfg_plan_options_set_default_timeout(options, run->options.default_timeout);
	iommucfg_plan_options_set_allow_in_use(options, run->options.allow_in_use);
	iommucfg_plan_options_set_skip_in_use(options, run->options.skip_in_use);
	iommucfg_plan_options_set_only_look(options, run->options.only_look);
	iommucfg_plan_options_set_disruption(options, run->options.disruption);
	iommucfg_plan_options_set_strict(options, run->options.strict);
	return options;
}

/* The library's, with all that it is to know. */
static int make(struct run *run)
{
	struct iommucfg_plan_options *options;
	struct cli *cli = run->cli;

	if (!run->run) {
		if (iommucfg_run_new(cli->ctx, cli->problems, &run->run) ||
		    iommucfg_run_set_command(run->run, cli->argv, cli->command))
			return cli_nomem();
		iommucfg_run_on_progress(run->run, show_progress, run);
		iommucfg_run_on_message(run->run, message, run);
		iommucfg_run_on_cancel(run->run, cancelled, signals_fd(), run);
		if (ask_possible())
			iommucfg_run_on_question(run->run, keep, STDIN_FILENO, run);
	}
	if (iommucfg_run_set_name(run->run, run->name))
		return cli_nomem();
	options = run_plan_options(run);
	if (!options)
		return EXIT_BAD;
	iommucfg_run_set_options(run->run, options);
	iommucfg_plan_options_unref(options);
	iommucfg_run_set_settle(run->run, run->settle);
	iommucfg_run_set_detach(run->run, run->detach);
	iommucfg_run_set_faults(run->run, run->faults_warn ? IOMMUCFG_FAULTS_WARN :
							     IOMMUCFG_FAULTS_ROLLBACK);
	/* In an initramfs nothing outlives the command. */
	iommucfg_run_set_watched(run->run, !run->early);
	if (iommucfg_run_set_check(run->run, run->check_command, run->check_timeout))
		return cli_nomem();
	return EXIT_DONE;
}

int run_lock(struct run *run)
{
	int code = make(run);

	if (!code)
		code = iommucfg_run_begin(run->run);
	run->locked = !code;
	return code;
}

/* What is there; run->topology has it, in many cases also after an error. */
int run_prepare(struct run *run)
{
	int code = run->dry ? EXIT_DONE : make(run);

	if (code || run->dry)
		return code;
	code = iommucfg_run_scan(run->run);
	run->topology = iommucfg_run_topology(run->run);
	return code;
}

/* The plan alone, of a policy or of targets. */
static int dry_plan(struct run *run, const struct iommucfg_policy *policy,
		    const struct iommucfg_target *targets, size_t n)
{
	struct iommucfg_plan_options *options = run_plan_options(run);
	int ret;

	if (!options)
		return EXIT_BAD;
	ret = policy ? iommucfg_plan_policy(run->topology, policy, options, &run->plan) :
		       iommucfg_plan_targets(run->topology, targets, n, options, &run->plan);
	iommucfg_plan_options_unref(options);
	if (ret == -ENOMEM)
		return cli_nomem();
	return ret ? EXIT_BAD : EXIT_DONE;
}

int run_plan_policy(struct run *run, const struct iommucfg_policy *policy)
{
	int code = run_prepare(run);

	if (run->dry)
		return dry_plan(run, policy, NULL, 0);
	if (run->topology)
		code = iommucfg_run_plan_policy(run->run, policy);
	run->plan = iommucfg_run_plan(run->run);
	return code;
}

int run_plan_targets(struct run *run, const struct iommucfg_target *targets, size_t n)
{
	int code;

	if (run->dry)
		return dry_plan(run, NULL, targets, n);
	code = iommucfg_run_plan_targets(run->run, targets, n);
	run->plan = iommucfg_run_plan(run->run);
	return code;
}

/* There is nothing that this run is to do. */
void run_nothing(struct run *run)
{
	if (make(run))
		return;
	iommucfg_run_nothing(run->run);
	run->plan = NULL;
}

/* The entry of the history that it takes back; a dry run writes none. */
void run_undoes(struct run *run, long entry)
{
	if (!run->dry && !make(run))
		iommucfg_run_set_undoes(run->run, entry);
}

const char *run_result(const struct run *run)
{
	return run->run ? iommucfg_run_result(run->run) : NULL;
}

int run_interrupted(struct run *run)
{
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "interrupted", EINTR,
			      "interrupted before the change: nothing was touched");
	return EXIT_REFUSED;
}

/* Is there a terminal to ask at before the change? */
bool run_asks(const struct run *run)
{
	return !run->yes && ask_possible();
}

/* Once more under the lock, which nothing that may take long is to hold. */
bool run_plans_twice(const struct run *run)
{
	return run_asks(run) || run->hooks;
}

void run_find_hooks(struct run *run)
{
	run->hooks = !run->dry && iommucfg_hooks_any(run->cli->ctx);
}

/*
 * An output that cannot be written has to be noticed before the change. Nothing
 * can tell beforehand of a disk that will be full.
 */
static int need_output(struct run *run)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
	struct cli *cli = run->cli;
	int error = 0;

	if (cli->quiet && !cli->json && !run->detach)
		return EXIT_DONE;
	errno = 0;
	if (fflush(stdout) || ferror(stdout) || write(STDOUT_FILENO, "", 0) < 0)
		error = errno ? errno : EIO;
	else if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)))
		error = EPIPE;
	if (!error)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", error,
			      "standard output cannot be written (%s): nothing was touched",
			      strerror(error));
	return EXIT_BAD;
}

static int ask(struct run *run)
{
	size_t n = iommucfg_plan_num_changes(run->plan);
	char question[160];
	int answer;

	snprintf(question, sizeof(question), "Change %zu group%s now%s?", n, n == 1 ? "" : "s",
		 iommucfg_plan_no_way_back(run->plan) ?
		 ", with no confirm timeout, as that would unbind what goes in place" : "");
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

/* A second signal: this process goes, the kernel does not stop. */
static void __attribute__((noreturn)) leave(struct run *run)
{
	const char *name = iommucfg_run_transaction(run->run);

	progress_clear();
	fprintf(stderr, "iommucfg: leaving while the kernel works on transaction \"%s\": see \"iommucfg status %s\"\n",
		name, name);
	iommucfg_run_end(run->run, 128 + signals_last());
	_exit(128 + signals_last());
}

static bool is_nothing(const struct run *run)
{
	const char *result = iommucfg_run_result(run->run);

	return result && !strcmp(result, "nothing-to-do");
}

static int stage(struct run *run, int code)
{
	code = iommucfg_run_stage(run->run, code);
	return !code && run->accept ? run->accept(run) : code;
}

/*
 * Takes the lock, which was not held during the question, and plans anew: it has to
 * come out as what was shown, else the library refuses it.
 */
static int lock_and_plan_again(struct run *run)
{
	struct iommucfg_problems *told = run->cli->problems;
	int code;

	code = run_lock(run);
	if (code)
		return code;
	/* What was found wrong the first time is not to be said twice. */
	run->cli->problems = iommucfg_problems_new();
	iommucfg_run_set_problems(run->run, run->cli->problems);
	iommucfg_run_again(run->run);
	run->plan = NULL;
	code = iommucfg_run_scan(run->run);
	run->topology = iommucfg_run_topology(run->run);
	if (run->topology)
		code = cli_worse(code, run->make(run, true));
	code = stage(run, code);
	if (code)
		iommucfg_problems_append(told, run->cli->problems);
	iommucfg_problems_unref(run->cli->problems);
	run->cli->problems = told;
	iommucfg_run_set_problems(run->run, told);
	return code;
}

/* The system's hooks, before the change; they get what "plan --json" prints. */
static int call_hooks(struct run *run)
{
	const char *document = run->cli->document;
	struct json_object *o;
	const char *text;
	int code;

	run->cli->document = "plan";
	o = json_plan(run->cli, run->plan, iommucfg_run_transaction(run->run), "planned");
	run->cli->document = document;
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	code = text ? iommucfg_run_before(run->run, text) : cli_nomem();
	json_object_put(o);
	return code;
}

/* The plan is good: shows it, and asks. */
static int show_and_ask(struct run *run)
{
	int code;

	if (!run->cli->json && !run->cli->quiet)
		plan_print(run->cli, run->plan);
	code = need_output(run);
	if (!code && run_asks(run))
		code = ask(run);
	return code;
}

/*
 * Carries out run->plan, unless @code, what preparing it came to, or the plan
 * itself stand against it. Returns the exit code.
 */
int run_judge(struct run *run, int code)
{
	code = stage(run, code);
	if (!code && !is_nothing(run))
		code = show_and_ask(run);
	if (!code && run->hooks && !is_nothing(run))
		code = call_hooks(run);
	if (!code && !run->locked && run_plans_twice(run))
		code = lock_and_plan_again(run);
	if (!code)
		code = iommucfg_run_commit(run->run);
	progress_clear();
	if (!code)
		code = iommucfg_run_settle(run->run);
	if (!code)
		code = iommucfg_run_confirm(run->run);
	ask_close();
	progress_clear();
	if (code == IOMMUCFG_RUN_LEFT)
		leave(run);
	if (!code && run->plan && iommucfg_plan_num_skipped(run->plan))
		code = EXIT_CHANGE;
	return code;
}

/* By which methods, and the longest that a device was silent; -v has each of them. */
static void print_methods(struct run *run)
{
	size_t i, j, n = iommucfg_plan_num_changes(run->plan), in_place = 0, paused = 0;
	struct iommucfg_device *device, *worst = NULL;
	const struct iommucfg_change *change;
	const struct iommucfg_group *group;
	const char *method;
	char text[256] = "";
	int length = 0;

	for (i = 0; i < n; i++) {
		change = iommucfg_plan_change(run->plan, i);
		method = iommucfg_change_method(change);
		group = iommucfg_change_group(change);
		if (!method)
			continue;
		in_place += !strcmp(method, "in-place");
		paused += !strcmp(method, "pause");
		cli_debug(run->cli, "group %u: %s", iommucfg_group_number(group), method);
		for (j = 0; j < iommucfg_group_num_devices(group); j++) {
			device = iommucfg_group_device(group, j);
			if (!iommucfg_device_silent(device))
				continue;
			cli_debug(run->cli, "group %u: %s was silent for %.1f ms",
				  iommucfg_group_number(group), iommucfg_device_name(device),
				  iommucfg_device_silent(device) / 1000.0);
			if (!worst || iommucfg_device_silent(device) > iommucfg_device_silent(worst))
				worst = device;
		}
	}
	if (!in_place && !paused)
		return;
	n -= in_place + paused;
	if (in_place)
		length = snprintf(text, sizeof(text), "%zu in place", in_place);
	if (paused)
		length += snprintf(text + length, sizeof(text) - length, "%s%zu with paused drivers",
				   length ? ", " : "", paused);
	if (n)
		length += snprintf(text + length, sizeof(text) - length, ", %zu with drivers unbound",
				   n);
	if (worst)
		snprintf(text + length, sizeof(text) - length, "; silent for %.1f ms at most: %.64s",
			 iommucfg_device_silent(worst) / 1000.0, iommucfg_device_name(worst));
	cli_note(run->cli, "%s", text);
}

static void print_end(struct run *run, const char *result, int code)
{
	const char *name = iommucfg_run_transaction(run->run);
	struct cli *cli = run->cli;
	char *n = describe_plural(run->plan ? iommucfg_plan_num_changes(run->plan) : 0, "group");
	long timeout = run->plan ? iommucfg_plan_confirm_timeout(run->plan) : 0;
	long entry = iommucfg_run_entry(run->run);
	char number[32] = "";

	/* It is what "iommucfg undo" takes. */
	if (entry)
		snprintf(number, sizeof(number), " (entry %ld)", entry);

	if (!strcmp(result, "nothing-to-do")) {
		if (run->plan && !cli->json && !cli->quiet)
			plan_print(cli, run->plan);
	} else if (!strcmp(result, "committed")) {
		cli_note(cli, "%s changed%s", n, number);
		print_methods(run);
	} else if (!strcmp(result, "unconfirmed")) {
		cli_note(cli, "%s changed%s, unconfirmed: \"iommucfg confirm %s\" within %ld second%s keeps it",
			 n, number, name, timeout, timeout == 1 ? "" : "s");
		print_methods(run);
	} else if (code == EXIT_RESTORED) {
		cli_note(cli, iommucfg_run_as_before(run->run) ? "everything is as before" :
			 "drivers and types are as before, but not all of the network");
	} else if (code == EXIT_BROKEN) {
		fprintf(stderr, "iommucfg: transaction \"%s\" could not be undone in full: see \"iommucfg status %s\"\n",
			name, name);
	}
	free(n);
}

/* Says how it ended, prints the document, releases everything. */
int run_finish(struct run *run, int code)
{
	const char *result, *name;
	struct cli *cli = run->cli;
	struct json_object *o;

	if (make(run))
		return EXIT_BAD;
	iommucfg_run_end(run->run, code);
	result = code == EXIT_REFUSED ? "refused" : iommucfg_run_result(run->run);
	name = iommucfg_run_transaction(run->run);
	cli_tell(cli);
	if (run->plan) {
		cli_tell_list(cli, iommucfg_plan_conflicts(run->plan));
		cli_tell_list(cli, iommucfg_plan_problems(run->plan));
	}
	print_end(run, result, code);
	if (cli->json) {
		o = json_plan(cli, run->plan, name, result);
		json_object_object_add(o, "entry", json_number(iommucfg_run_entry(run->run) ?
							       iommucfg_run_entry(run->run) : -1));
		if (json_print(o, true))
			code = cli_worse(code, EXIT_BAD);
	} else if (run->detach && name && (code == EXIT_DONE || code == EXIT_CHANGE) &&
		   strcmp(result, "nothing-to-do")) {
		puts(name);
	}
	iommucfg_run_unref(run->run);
	return code;
}
