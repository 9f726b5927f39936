// SPDX-License-Identifier: GPL-2.0
/* iommucfg-fleet-cli, which is "iommucfg fleet": options, and what the subcommands share. */
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char usage[] =
	"usage: iommucfg fleet [OPTION...] COMMAND\n"
	"\n"
	"  status [POOL]         what becomes of the rollout; --hosts, --watch\n"
	"  plan POLICY           what hosts would do with a policy, as they have reported\n"
	"  start POLICY          roll a policy out over the hosts of the pool\n"
	"  pause                 take no more hosts; --now: nor those that have not begun\n"
	"  halt                  the same, for a policy that is wrong; --now: hosts that are\n"
	"                        not confirmed go back\n"
	"  resume                go on\n"
	"  rollback              a new rollout, of the policy before this one\n"
	"  forget HOST           give back the slot of a host that is off\n"
	"  history [POOL]        rollouts, and who did what\n"
	"  drift [POOL]          hosts that are not as the policy in force says\n"
	"  report -o FILE        all of it as one HTML file\n"
	"\n"
	"  -c, --config FILE     instead of " CONF_DEFAULT "\n"
	"  -p, --pool POOL       instead of the first one in the configuration\n"
	"      --select LIST     only hosts with these labels: NAME=VALUE,NAME!=VALUE\n"
	"      --json            one JSON document\n"
	"      --now             see pause and halt\n"
	"      --why TEXT        for the history\n"
	"      --yes             do not ask\n"
	"  -h, --help            this text\n"
	"report:\n"
	"  -o, --output FILE     write FILE, as a whole or not at all\n"
	"rollback:\n"
	"      --to GENERATION   instead of the policy before this one; and as for start\n"
	"status:\n"
	"      --hosts           each host\n"
	"      --watch           until the rollout is over; with --json a document a line\n"
	"start:\n"
	"      --fingerprint F   only if the plan is still the one that \"plan\" has shown\n"
	"      --skip-incapable  although hosts have an agent that is too old\n"
	"      --wait            until the rollout is over; then the status of \"status\"\n"
	"      --waves LIST      hosts that are done when each wave is over (1,1%,10%,100%)\n"
	"      --max-changing N  at most so many at once (1)\n"
	"      --max-failures N  halt at so many (2, or a hundredth of the hosts)\n"
	"      --max-lost N      halt when so many are silent (--max-changing)\n"
	"      --max-refused N   halt when so many refuse (10, or a hundredth of the hosts)\n"
	"      --attempts N      for each host (2)\n"
	"      --soak SECONDS    between waves (0)\n"
	"      --confirm-timeout SECONDS  after which a host that is cut off goes back (180)\n"
	"      --settle SECONDS  for devices to be there again, instead of the policy's\n"
	"      --allow-in-use WORDS  instead of the policy's, as net,block\n"
	"      --allow-empty-canary  a first wave in which nothing was to change will do\n";

static char said[512];
static bool printed, unreachable;

void cli_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	fprintf(stderr, "iommucfg fleet: %s\n", said);
}

void cli_print(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	printed = true;
}

const char *cli_count(char *text, size_t n, const char *one)
{
	snprintf(text, COUNT_MAX, "%zu %s%s", n, one, n == 1 ? "" : "s");
	return text;
}

/* With --json each exit has a document. */
static void print_error(const struct fleet_options *options, int code)
{
	struct json_object *o;

	if (!options->json || printed || (code != EXIT_ERROR && code != EXIT_REFUSED))
		return;
	o = json_object_new_object();
	json_object_object_add(o, "schema", json_object_new_string("iommucfg/fleet-error/1"));
	json_object_object_add(o, "command", json_object_new_string(options->command));
	json_object_object_add(o, "pool", options->pool ?
			       json_object_new_string(options->pool) : NULL);
	json_object_object_add(o, "result", json_object_new_string(
		code == EXIT_REFUSED ? "refused" : "error"));
	json_object_object_add(o, "message", json_object_new_string(said));
	cli_print(o);
}

void cli_who(char who[64])
{
	const char *sudo = getenv("SUDO_USER");
	struct passwd *user = getpwuid(getuid());
	char host[40] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(who, 64, "%.20s@%s", sudo ? sudo : user ? user->pw_name : "?", host);
}

void cli_done(const struct fleet_options *options, const char *rollout, const char *result)
{
	struct json_object *o;
	char schema[64];

	if (!options->json)
		return;
	o = json_object_new_object();
	snprintf(schema, sizeof(schema), "iommucfg/fleet-%s/1", options->command);
	json_object_object_add(o, "schema", json_object_new_string(schema));
	json_object_object_add(o, "pool", json_object_new_string(options->pool));
	json_object_object_add(o, "rollout", json_object_new_string(rollout));
	json_object_object_add(o, "result", json_object_new_string(result));
	cli_print(o);
}

int cli_failed(struct conf *conf, const char *what, enum store_result result)
{
	unreachable = result == STORE_UNREACHABLE;
	cli_say("%s: %s: %s", what, store_result_name(result),
		result == STORE_NOMEM ? "" : store_message(conf->store));
	return EXIT_ERROR;
}

bool cli_unreachable(void)
{
	return unreachable;
}

void cli_key(const struct conf *conf, char *key, const char *kind, const char *first,
	     const char *second)
{
	snprintf(key, STEP_KEY_MAX, "%s/%s/%s%s%s", conf->prefix, kind, first, second ? "/" : "",
		 second ? second : "");
}

static int bad_document(const char *key, const char *why)
{
	cli_say("%s: %s", key, why);
	return EXIT_ERROR;
}

int cli_exists(struct conf *conf, const char *key, bool *exists)
{
	enum store_result result;
	struct store_item item;

	result = store_get(conf->store, key, &item);
	if (result)
		return cli_failed(conf, key, result);
	*exists = item.value;
	store_item_clear(&item);
	return EXIT_DONE;
}

int cli_read(struct conf *conf, const char *pool, struct fleet_pool *into)
{
	char key[STEP_KEY_MAX], why[DOC_REASON_MAX];
	enum store_result result;
	struct store_item item;
	bool ok;

	*into = (struct fleet_pool){ 0 };
	unreachable = false;
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
	into->rollout_gone = !item.value;
	snprintf(why, sizeof(why), "it does not exist");
	ok = item.value && doc_rollout_parse(&into->rollout, item.value, item.size, why);
	into->has_rollout = ok;
	store_item_clear(&item);
	return ok ? EXIT_DONE : bad_document(key, why);
}

bool cli_ask(const struct fleet_options *options, const char *question)
{
	char answer[16] = "";

	if (options->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		cli_say("%s Without a terminal, say --yes.", question);
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
	cli_say("\"%s\" is not %ld to %ld", text, min, max);
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
	cli_say("waves are as 1,10%%,100%%, not \"%s\"", text);
	return false;
}

static bool take_words(const char *text, struct doc_rollout *rollout)
{
	int words;

	if (strlen(text) >= sizeof(rollout->allow_in_use) || !*text || !words_parse(text, &words)) {
		cli_say("--allow-in-use takes words as net,block, see iommucfg.conf(5), not \"%s\"",
			text);
		return false;
	}
	strcpy(rollout->allow_in_use, text);
	return true;
}

enum {
	OPT_JSON = 256, OPT_NOW, OPT_YES, OPT_WAVES, OPT_CHANGING, OPT_FAILURES, OPT_LOST, OPT_REFUSED,
	OPT_ATTEMPTS, OPT_SOAK, OPT_TIMEOUT, OPT_EMPTY, OPT_SELECT, OPT_WHY, OPT_HOSTS, OPT_WATCH,
	OPT_FINGERPRINT, OPT_WAIT, OPT_INCAPABLE, OPT_TO, OPT_SETTLE, OPT_IN_USE, OPT_OUTPUT,
};

static const struct option known[] = {
	{ "allow-empty-canary", no_argument, NULL, OPT_EMPTY },
	{ "allow-in-use", required_argument, NULL, OPT_IN_USE },
	{ "attempts", required_argument, NULL, OPT_ATTEMPTS },
	{ "config", required_argument, NULL, 'c' },
	{ "confirm-timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "fingerprint", required_argument, NULL, OPT_FINGERPRINT },
	{ "help", no_argument, NULL, 'h' },
	{ "hosts", no_argument, NULL, OPT_HOSTS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "max-changing", required_argument, NULL, OPT_CHANGING },
	{ "max-failures", required_argument, NULL, OPT_FAILURES },
	{ "max-lost", required_argument, NULL, OPT_LOST },
	{ "max-refused", required_argument, NULL, OPT_REFUSED },
	{ "now", no_argument, NULL, OPT_NOW },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "pool", required_argument, NULL, 'p' },
	{ "select", required_argument, NULL, OPT_SELECT },
	{ "settle", required_argument, NULL, OPT_SETTLE },
	{ "skip-incapable", no_argument, NULL, OPT_INCAPABLE },
	{ "soak", required_argument, NULL, OPT_SOAK },
	{ "to", required_argument, NULL, OPT_TO },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "watch", no_argument, NULL, OPT_WATCH },
	{ "waves", required_argument, NULL, OPT_WAVES },
	{ "why", required_argument, NULL, OPT_WHY },
	{ "yes", no_argument, NULL, OPT_YES },
	{ NULL, 0, NULL, 0 }
};

/* Options of all commands, and those of other commands than start and rollback. */
static const struct {
	int option;
	const char *verbs;
} fits[] = {
	{ OPT_JSON, NULL }, { OPT_YES, NULL },
	{ OPT_EMPTY, "start rollback resume" },
	{ OPT_HOSTS, "status" }, { OPT_WATCH, "status" },
	{ OPT_NOW, "pause resume halt" },
	{ OPT_OUTPUT, "report" },
	{ OPT_SELECT, "status plan start rollback drift report" },
	{ OPT_TO, "rollback" },
	{ OPT_WHY, "start rollback pause halt resume forget" },
};

static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);
	const char *at = words;

	while ((at = strstr(at, word))) {
		if ((at == words || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
		at += length;
	}
	return false;
}

/* What is ignored would be missed too late. */
static bool options_fit(const struct fleet_options *o, const char *verb)
{
	const char *verbs;
	size_t i, j;

	for (i = 0; known[i].name; i++) {
		if (known[i].val < OPT_JSON || !(o->given & 1ULL << (known[i].val - OPT_JSON)))
			continue;
		verbs = "start rollback";
		for (j = 0; j < sizeof(fits) / sizeof(*fits); j++) {
			if (fits[j].option == known[i].val)
				verbs = fits[j].verbs;
		}
		if (verbs && !has_word(verbs, verb)) {
			cli_say("\"%s\" does not take --%s", verb, known[i].name);
			return false;
		}
	}
	return true;
}

static bool take_option(int option, struct fleet_options *o)
{
	switch (option) {
	case 'p':
		o->pool = optarg;
		return true;
	case OPT_OUTPUT:
		o->output = optarg;
		return true;
	case OPT_SELECT:
		if (strlen(optarg) < sizeof(o->rollout.selector) && doc_is_selector(optarg)) {
			strcpy(o->rollout.selector, optarg);
			return true;
		}
		cli_say("labels are as NAME=VALUE,NAME!=VALUE, not \"%s\"",
			optarg);
		return false;
	case OPT_INCAPABLE:
		o->skip_incapable = true;
		return true;
	case OPT_WHY:
		o->why = optarg;
		return true;
	case OPT_HOSTS:
		o->hosts = true;
		return true;
	case OPT_WATCH:
	case OPT_WAIT:
		o->watch = true;
		return true;
	case OPT_FINGERPRINT:
		if (strlen(optarg) >= 16 && strlen(optarg) <= DOC_HASH_MAX) {
			o->fingerprint = optarg;
			return true;
		}
		cli_say("\"%s\" is no fingerprint of a plan", optarg);
		return false;
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
		return take_number(optarg, 1, DOC_SLOTS_MAX, &o->rollout.max_changing);
	case OPT_FAILURES:
		return take_number(optarg, 1, 100000, &o->rollout.max_failures);
	case OPT_LOST:
		return take_number(optarg, 1, 100000, &o->rollout.max_lost);
	case OPT_REFUSED:
		return take_number(optarg, 1, 100000, &o->rollout.max_refused);
	case OPT_ATTEMPTS:
		return take_number(optarg, 1, 10, &o->rollout.attempts);
	case OPT_SOAK:
		return take_number(optarg, 0, 604800, &o->rollout.soak);
	case OPT_TIMEOUT:
		return take_number(optarg, 90, 604800, &o->rollout.confirm_timeout);
	case OPT_SETTLE:
		return take_number(optarg, 1, 3600, &o->rollout.settle);
	case OPT_IN_USE:
		return take_words(optarg, &o->rollout);
	case OPT_TO:
		return take_number(optarg, 0, INT32_MAX, &o->to);
	case OPT_EMPTY:
		o->rollout.allow_empty_canary = true;
		return true;
	default:
		fputs(usage, stderr);
		return false;
	}
}

/* What was begun, until it is over. */
static int follow(struct conf *conf, const struct fleet_options *options, int code)
{
	struct fleet_options show = { .pool = options->pool, .json = options->json, .watch = true };

	return code || !options->watch ? code : cmd_status(conf, &show);
}

static int run(struct conf *conf, struct fleet_options *options, int count, char **words)
{
	const char *verb = words[0];

	options->command = verb;
	if (!options_fit(options, verb))
		return EXIT_ERROR;
	if (count == 2 && !strcmp(verb, "plan"))
		return cmd_plan(conf, options, words[1]);
	if (count == 2 && !strcmp(verb, "start"))
		return follow(conf, options, cmd_start(conf, options, words[1]));
	if (count == 2 && !strcmp(verb, "forget"))
		return cmd_change(conf, options, verb, words[1]);
	/* For the others it is the pool. */
	if (count == 2 && conf_is_name(words[1]))
		options->pool = words[1];
	else if (count > 1)
		verb = "";
	if (!strcmp(verb, "status"))
		return cmd_status(conf, options);
	if (!strcmp(verb, "history"))
		return cmd_history(conf, options);
	if (!strcmp(verb, "drift"))
		return cmd_drift(conf, options);
	if (!strcmp(verb, "report"))
		return cmd_report(conf, options);
	if (!strcmp(verb, "rollback"))
		return follow(conf, options, cmd_rollback(conf, options));
	if (!strcmp(verb, "pause") || !strcmp(verb, "halt") || !strcmp(verb, "resume"))
		return cmd_change(conf, options, verb, NULL);
	fputs(usage, stderr);
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	struct fleet_options options = { .to = -1 };
	const char *file = CONF_DEFAULT;
	struct conf conf;
	int option, code;

	while ((option = getopt_long(argc, argv, "c:ho:p:", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == 'o')
			option = OPT_OUTPUT;
		if (option >= OPT_JSON)
			options.given |= 1ULL << (option - OPT_JSON);
		if (option == 'c')
			file = optarg;
		else if (!take_option(option, &options))
			return EXIT_ERROR;
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return EXIT_ERROR;
	}
	if (!conf_open(&conf, file)) {
		cli_say("%s cannot be used", file);
		options.command = argv[optind];
		print_error(&options, EXIT_ERROR);
		return EXIT_ERROR;
	}
	if (!options.pool)
		options.pool = conf.pools[0];
	code = run(&conf, &options, argc - optind, argv + optind);
	print_error(&options, code);
	conf_close(&conf);
	return code;
}
