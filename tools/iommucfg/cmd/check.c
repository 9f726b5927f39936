// SPDX-License-Identifier: GPL-2.0
/* iommucfg check */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "cli.h"

static struct json_object *json_rule(const struct iommucfg_rule *rule)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_text(iommucfg_rule_name(rule)));
	json_object_object_add(o, "file", json_text(iommucfg_rule_file(rule)));
	json_object_object_add(o, "line", json_number(iommucfg_rule_line(rule)));
	json_object_object_add(o, "type",
			       json_text(describe_policy_type(iommucfg_rule_type(rule))));
	json_object_object_add(o, "priority",
			       json_object_new_int64(iommucfg_rule_priority(rule)));
	json_object_object_add(o, "required",
			       json_object_new_boolean(iommucfg_rule_required(rule)));
	return o;
}

static struct json_object *json_words(char *const *words)
{
	struct json_object *array = words ? json_object_new_array() : NULL;

	for (; words && *words; words++)
		json_object_array_add(array, json_text(*words));
	return array;
}

static struct json_object *json_options(const struct iommucfg_policy *policy)
{
	struct json_object *o = json_object_new_object(), *allow = NULL;
	int mask = iommucfg_policy_allow_in_use(policy);
	const char *const *word;

	if (mask >= 0) {
		allow = json_object_new_array();
		for (word = iommucfg_word_names(); *word; word++)
			if (mask & iommucfg_word_parse(*word))
				json_object_array_add(allow, json_text(*word));
	}
	json_object_object_add(o, "confirm_timeout",
			       json_number(iommucfg_policy_confirm_timeout(policy)));
	json_object_object_add(o, "allow_in_use", allow);
	json_object_object_add(o, "settle", json_number(iommucfg_policy_settle(policy)));
	json_object_object_add(o, "disruption", iommucfg_policy_disruption(policy) < 0 ? NULL :
			       json_text(iommucfg_disruption_name(
					 iommucfg_policy_disruption(policy))));
	json_object_object_add(o, "check_command",
			       json_words(iommucfg_policy_check_command(policy)));
	json_object_object_add(o, "check_timeout",
			       json_number(iommucfg_policy_check_timeout(policy)));
	json_object_object_add(o, "faults", iommucfg_policy_faults(policy) < 0 ? NULL :
			       json_text(iommucfg_policy_faults(policy) ==
					 IOMMUCFG_FAULTS_WARN ? "warn" : "rollback"));
	json_object_object_add(o, "strict", iommucfg_policy_strict(policy) < 0 ? NULL :
			       json_object_new_boolean(iommucfg_policy_strict(policy)));
	return o;
}

static int print_json(struct cli *cli, const struct iommucfg_policy *policy, bool good)
{
	struct json_object *o = json_document(cli), *rules = json_object_new_array();
	enum iommucfg_type def = iommucfg_policy_default(policy);
	size_t i;

	/* Of a policy with errors no half is shown as if it were whole. */
	for (i = 0; good && i < iommucfg_policy_num_rules(policy); i++)
		json_object_array_add(rules, json_rule(iommucfg_policy_rule(policy, i)));
	json_object_object_add(o, "rules", rules);
	json_object_object_add(o, "default",
			       json_text(describe_policy_type(def)));
	json_object_object_add(o, "options", json_options(policy));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	json_object_object_add(o, "result", json_text(good ? "ok" : "error"));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

static int data_option(struct cli *cli, int opt, void *data_only)
{
	(void)cli;
	if (opt != OPT_DATA_ONLY)
		return -1;
	*(bool *)data_only = true;
	return 0;
}

/* A policy from elsewhere may choose types, and not what is run here. */
static int refuse_programs(struct cli *cli, const struct iommucfg_policy *policy)
{
	char *const *command = iommucfg_policy_check_command(policy);
	const char *file;
	int line;

	if (!command || !*command)
		return EXIT_DONE;
	file = iommucfg_policy_check_origin(policy, &line);
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "policy", EPERM,
			      "%s:%d: the policy runs a program, \"%s\", and is to be data only",
			      file, line, *command);
	iommucfg_problems_cure(cli->problems, "data-only", NULL);
	return EXIT_BAD;
}

int cmd_check(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, { "data-only", no_argument, NULL, OPT_DATA_ONLY }, { NULL, 0, NULL, 0 }
	};
	struct iommucfg_policy *policy;
	bool data_only = false;
	char *rules;
	int code;

	code = cli_options(cli, argc, argv, ":" CLI_SHORT, options, data_option, &data_only);
	if (code >= 0)
		return code;
	code = cli_open(cli);
	if (code >= 0)
		return code;
	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	code = cli_read_policy(cli, policy, argc - optind, argv + optind) ? EXIT_BAD : EXIT_DONE;
	if (data_only)
		code = cli_worse(code, refuse_programs(cli, policy));
	/* Files that are named need not be those that are in the image. */
	if (optind == argc)
		image_check(cli);
	cli_tell(cli);
	if (cli->json) {
		code = cli_worse(code, print_json(cli, policy, !code));
	} else if (!code) {
		rules = describe_plural(iommucfg_policy_num_rules(policy), "rule");
		cli_note(cli, "the policy is right: %s", rules ? rules : "");
		free(rules);
	}
	iommucfg_policy_unref(policy);
	return code;
}
