// SPDX-License-Identifier: GPL-2.0
/* iommucfg-fleet-cli, which is "iommucfg fleet": options, and what the subcommands share. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char usage[] =
	"usage: iommucfg fleet [OPTION...] COMMAND\n"
	"\n"
	"  status                what becomes of the rollout\n"
	"  start POLICY          roll a policy out over the hosts of the pool\n"
	"  pause                 take no more hosts; --now: nor those that have not begun\n"
	"  halt                  the same, for a policy that is wrong; --now: hosts that are\n"
	"                        not confirmed go back\n"
	"  resume                go on\n"
	"  rollback              a new rollout, of the policy before this one\n"
	"  forget HOST           give back the slot of a host that is off\n"
	"\n"
	"  -c, --config FILE     instead of " CONF_DEFAULT "\n"
	"  -p, --pool POOL       instead of the first one in the configuration\n"
	"      --json            status as JSON\n"
	"      --now             see pause and halt\n"
	"      --yes             do not ask\n"
	"start:\n"
	"      --waves LIST      hosts that are done when each wave is over (1,1%,10%,100%)\n"
	"      --max-changing N  at most so many at once (1)\n"
	"      --max-failures N  halt at so many (2, or a hundredth of the hosts)\n"
	"      --max-lost N      halt when so many are silent (--max-changing)\n"
	"      --attempts N      for each host (2)\n"
	"      --soak SECONDS    between waves (0)\n"
	"      --confirm-timeout SECONDS  after which a host that is cut off goes back (180)\n"
	"      --allow-empty-canary  a first wave in which nothing was to change will do\n";

int cli_failed(struct conf *conf, const char *what, enum store_result result)
{
	fprintf(stderr, "iommucfg fleet: %s: %s: %s\n", what, store_result_name(result),
		result == STORE_NOMEM ? "" : store_message(conf->store));
	return EXIT_ERROR;
}

void cli_key(const struct conf *conf, char *key, const char *kind, const char *first,
	     const char *second)
{
	snprintf(key, STEP_KEY_MAX, "%s/%s/%s%s%s", conf->prefix, kind, first, second ? "/" : "",
		 second ? second : "");
}

static int bad_document(const char *key, const char *why)
{
	fprintf(stderr, "iommucfg fleet: %s: %s\n", key, why);
	return EXIT_ERROR;
}

int cli_read(struct conf *conf, const char *pool, struct fleet_pool *into)
{
	char key[STEP_KEY_MAX], why[DOC_REASON_MAX];
	enum store_result result;
	struct store_item item;
	bool ok;

	*into = (struct fleet_pool){ 0 };
	cli_key(conf, key, "pool", pool, NULL);
	result = store_get(conf->store, key, &item);
	if (result)
		return cli_failed(conf, key, result);
	into->pool_rev = item.rev;
	ok = !item.value || doc_pool_parse(&into->pool, item.value, item.size, why);
	store_item_clear(&item);
	if (!ok)
		return bad_document(key, why);
	if (!*into->pool.rollout)
		return EXIT_DONE;
	cli_key(conf, key, "rollout", pool, into->pool.rollout);
	result = store_get(conf->store, key, &item);
	if (result)
		return cli_failed(conf, key, result);
	into->rollout_rev = item.rev;
	snprintf(why, sizeof(why), "it does not exist");
	ok = item.value && doc_rollout_parse(&into->rollout, item.value, item.size, why);
	into->has_rollout = ok;
	store_item_clear(&item);
	return ok ? EXIT_DONE : bad_document(key, why);
}

int cli_count_hosts(struct conf *conf, const char *pool, size_t *count)
{
	char key[STEP_KEY_MAX];
	enum store_result result;
	struct store_list list;

	cli_key(conf, key, "status", pool, "");
	result = store_list(conf->store, key, &list);
	if (result)
		return cli_failed(conf, key, result);
	*count = list.count;
	store_list_clear(&list);
	return EXIT_DONE;
}

bool cli_ask(const struct fleet_options *options, const char *question)
{
	char answer[16] = "";

	if (options->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "iommucfg fleet: %s Without a terminal, say --yes.\n", question);
		return false;
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	return !strcmp(answer, "y\n") || !strcmp(answer, "yes\n");
}

static bool take_number(const char *text, long min, long max, long *to)
{
	char *end;

	*to = strtol(text, &end, 10);
	if (end != text && !*end && *to >= min && *to <= max)
		return true;
	fprintf(stderr, "iommucfg fleet: \"%s\" is not %ld to %ld\n", text, min, max);
	return false;
}

static bool take_waves(const char *text, struct doc_rollout *rollout)
{
	const char *from = text;
	long number;
	char *end;

	for (rollout->wave_count = 0; rollout->wave_count < DOC_WAVES_MAX;) {
		number = strtol(from, &end, 10);
		if (end == from || number < 1 || number > (*end == '%' ? 100 : 1000000))
			break;
		if (*end == '%') {
			number = -number;
			end++;
		}
		rollout->waves[rollout->wave_count++] = number;
		if (!*end)
			return true;
		if (*end != ',')
			break;
		from = end + 1;
	}
	fprintf(stderr, "iommucfg fleet: waves are as 1,10%%,100%%, not \"%s\"\n", text);
	return false;
}

enum {
	OPT_JSON = 256, OPT_NOW, OPT_YES, OPT_WAVES, OPT_CHANGING, OPT_FAILURES, OPT_LOST,
	OPT_ATTEMPTS, OPT_SOAK, OPT_TIMEOUT, OPT_EMPTY,
};

static bool take_option(int option, struct fleet_options *o)
{
	switch (option) {
	case 'p':
		o->pool = optarg;
		return true;
	case OPT_JSON:
		o->json = true;
		return true;
	case OPT_NOW:
		o->now = true;
		return true;
	case OPT_YES:
		o->yes = true;
		return true;
	case OPT_WAVES:
		return take_waves(optarg, &o->rollout);
	case OPT_CHANGING:
		return take_number(optarg, 1, 100000, &o->rollout.max_changing);
	case OPT_FAILURES:
		return take_number(optarg, 1, 100000, &o->rollout.max_failures);
	case OPT_LOST:
		return take_number(optarg, 1, 100000, &o->rollout.max_lost);
	case OPT_ATTEMPTS:
		return take_number(optarg, 1, 10, &o->rollout.attempts);
	case OPT_SOAK:
		return take_number(optarg, 0, 604800, &o->rollout.soak);
	case OPT_TIMEOUT:
		return take_number(optarg, 90, 604800, &o->rollout.confirm_timeout);
	case OPT_EMPTY:
		o->rollout.allow_empty_canary = true;
		return true;
	default:
		fputs(usage, stderr);
		return false;
	}
}

static int run(struct conf *conf, const struct fleet_options *options, int count, char **words)
{
	if (count == 1 && !strcmp(words[0], "status"))
		return cmd_status(conf, options);
	if (count == 2 && !strcmp(words[0], "start"))
		return cmd_start(conf, options, words[1]);
	if (count == 1 && !strcmp(words[0], "rollback"))
		return cmd_rollback(conf, options);
	if (count == 2 && !strcmp(words[0], "forget"))
		return cmd_change(conf, options, words[0], words[1]);
	if (count == 1 && (!strcmp(words[0], "pause") || !strcmp(words[0], "halt") ||
			   !strcmp(words[0], "resume")))
		return cmd_change(conf, options, words[0], NULL);
	fputs(usage, stderr);
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "allow-empty-canary", no_argument, NULL, OPT_EMPTY },
		{ "attempts", required_argument, NULL, OPT_ATTEMPTS },
		{ "config", required_argument, NULL, 'c' },
		{ "confirm-timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "max-changing", required_argument, NULL, OPT_CHANGING },
		{ "max-failures", required_argument, NULL, OPT_FAILURES },
		{ "max-lost", required_argument, NULL, OPT_LOST },
		{ "now", no_argument, NULL, OPT_NOW },
		{ "pool", required_argument, NULL, 'p' },
		{ "soak", required_argument, NULL, OPT_SOAK },
		{ "waves", required_argument, NULL, OPT_WAVES },
		{ "yes", no_argument, NULL, OPT_YES },
		{ NULL, 0, NULL, 0 }
	};
	struct fleet_options options = { 0 };
	const char *file = CONF_DEFAULT;
	struct conf conf;
	int option, code;

	while ((option = getopt_long(argc, argv, "c:hp:", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == 'c')
			file = optarg;
		else if (!take_option(option, &options))
			return EXIT_ERROR;
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return EXIT_ERROR;
	}
	if (!conf_open(&conf, file))
		return EXIT_ERROR;
	if (!options.pool)
		options.pool = conf.pools[0];
	code = run(&conf, &options, argc - optind, argv + optind);
	conf_close(&conf);
	return code;
}
