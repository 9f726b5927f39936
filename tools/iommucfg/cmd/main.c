// SPDX-License-Identifier: GPL-2.0
/* iommucfg: the table of commands. */
#include <ctype.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "help.h"

static const struct command commands[] = {
	{ "show", "[TARGET...]", "groups, their types, devices, and what is in use",
	  cmd_show, help_show },
	{ "check", "[FILE...]", "is the policy right? (offline)", cmd_check, help_check },
	{ "plan", "[FILE...]", "what a policy would change", cmd_plan, help_plan },
	{ "apply", "[FILE...]", "change it, in one transaction", cmd_apply, help_apply },
	{ "set", "TARGET TYPE [TARGET TYPE...]", "change groups by hand", cmd_set, help_set },
	{ "confirm", "[NAME]", "keep an unconfirmed change", cmd_confirm, help_confirm },
	{ "rollback", "[NAME | --to ENTRY]", "undo a change, or several", cmd_rollback,
	  help_rollback },
	{ "undo", "[ENTRY]", "take back the last change, or one of the history", cmd_undo,
	  help_undo },
	{ "extend", "NAME SECONDS", "more time to confirm a change", cmd_extend, help_extend },
	{ "status", "[NAME]", "the transactions that are there", cmd_status, help_status },
	{ "clean", "[NAME]", "remove transactions that are over or were left", cmd_clean,
	  help_clean },
	{ "standing", "", "the kernel's rules for devices that come later", cmd_standing,
	  help_standing },
	{ "assert", "[FILE...]", "is all as the policy says? (exit status alone)", cmd_assert,
	  help_assert },
	{ "save", "", "the current types as a policy", cmd_save, help_save },
	{ "dump", "-o FILE", "what this command reads of the machine, as a tar file", cmd_dump,
	  help_dump },
	{ "monitor", "", "changes as they happen", cmd_monitor, help_monitor },
	{ "metrics", "", "numbers for node_exporter", cmd_metrics, help_metrics },
	{ "history", "[N]", "what was done, by whom, and what came of it", cmd_history,
	  help_history },
	{ "fleet", "COMMAND...", "one policy over many hosts", cmd_fleet, help_fleet },
	{ "help", "[COMMAND]", "what a command does, and its options", cmd_help, help_help },
	{ "version", "", "the version", cmd_version, help_version },
	{ NULL, NULL, NULL, NULL, NULL }
};

static const struct option options[] = { CLI_LONG, { NULL, 0, NULL, 0 } };

/* The command to run; show is the default, also with what can only be a target. */
static const struct command *find(const struct cli *cli, const char *word)
{
	if (!word || isdigit((unsigned char)*word) || strpbrk(word, ":/"))
		return &commands[0];
	return cli_command(cli, word);
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct command *command;
	int opt, code;

	/* Stops at the command: what follows is that one's to read. */
	while (!(code = cli_getopt(cli, argc, argv, "+" CLI_SHORT, options, &opt)) && opt != -1) {
		code = cli_option(cli, opt, argv, options);
		if (code >= 0)
			return code;
	}
	if (code)
		return code;
	argc -= optind;
	argv += optind;
	command = find(cli, argc ? argv[0] : NULL);
	if (!command)
		return cli_unknown_command(cli, argv[0]);
	cli->command = command->name;
	if (!argc || strcmp(argv[0], command->name)) {
		/* No command: put something there for getopt() to step over. */
		argc++;
		argv--;
	}
	optind = 0;
	return command->run(cli, argc, argv);
}

/*
 * What we were started without, no file that we open may take the place of: it would be read
 * as the policy, or written to. This can be neither read nor written.
 */
static void fill_standard_files(void)
{
	int fd;

	do
		fd = open("/", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct cli cli = { .commands = commands, .root = getenv("IOMMUCFG_ROOT") };
	char **copy;
	int code;

	fill_standard_files();
	setlocale(LC_ALL, "");
	opterr = 0;
	/* A reader that goes away must not kill us in the middle of a change. */
	signal(SIGPIPE, SIG_IGN);
	cli.problems = iommucfg_problems_new();
	/* getopt() changes the order, and the history wants to know. */
	copy = calloc(argc + 1, sizeof(*copy));
	if (!cli.problems || !copy)
		return cli_nomem();
	memcpy(copy, argv, argc * sizeof(*copy));
	cli.argv = copy;
	code = run(&cli, argc, argv);
	cli_tell(&cli);
	iommucfg_problems_unref(cli.problems);
	iommucfg_unref(cli.ctx);
	free(copy);
	if (fflush(stdout) || ferror(stdout)) {
		fputs("iommucfg: standard output cannot be written\n", stderr);
		code = cli_worse(code, EXIT_BAD);
	}
	return code;
}
