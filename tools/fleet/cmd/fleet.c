// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg-fleet: the coordinator. For each of its pools it tries to lead; leading, it
 * carries out what coordinator_next() says. Several may run; one that does not lead sees
 * everything, and does nothing.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "fleet.h"

#define LEAD_SECONDS	15
#define KEEP_MS		(LEAD_SECONDS * 1000 / 3)
#define LOST_AFTER_MS	(15 * 60 * 1000)
/* Steps of one pool before the others, the lead and the watch have their turn. */
#define STEPS_MAX	50
#define METRICS_MS	15000

struct fleet {
	struct conf conf;
	struct pool *pools;
	struct store_watch *watch;
	const char *file;
	struct hook_config hooks;
	struct hook_run *runs;
	int64_t metrics_at;
	char instance[256];
	int64_t lost_after_ms;
	bool verbose;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The prefixes are what systemd's journal takes for priorities. */
static void say_once(char said[SAID_MAX], const struct pool *pool, const char *priority,
		     const char *what, const char *detail)
{
	char line[SAID_MAX];

	snprintf(line, sizeof(line), "%s%s: %s%s%s", priority, pool->name, what,
		 *detail ? ": " : "", detail);
	if (strcmp(line, said))
		fprintf(stderr, "%s\n", line);
	memcpy(said, line, sizeof(line));
}

/* Once for each new state. */
static void say(struct pool *pool, const char *priority, const char *what, const char *detail)
{
	say_once(pool->said, pool, priority, what, detail);
}

/* What is wrong with a document goes on beside whatever else happens. */
static void say_document(struct pool *pool)
{
	const char *message = coordinator_message(pool->coordinator);

	if (*message)
		say_once(pool->said_document, pool, SD_WARNING, "a document", message);
	else
		pool->said_document[0] = '\0';
}

static bool see_all(struct fleet *fleet, const struct store_item *item)
{
	size_t i;

	for (i = 0; i < fleet->conf.pool_count; i++) {
		if (!coordinator_see(fleet->pools[i].coordinator, item, now_ms()))
			return false;
	}
	return true;
}

/* Reads everything, and watches from there on. */
static enum store_result look(struct fleet *fleet)
{
	/* A rollout counts once its pool is known. */
	static const char *const kinds[] = { "pool", "rollout", "grant", "status" };
	char prefix[STEP_KEY_MAX / 2];
	enum store_result result;
	struct store_list list;
	int64_t rev = 0;
	size_t i, j;

	store_watch_free(fleet->watch);
	fleet->watch = NULL;
	for (i = 0; i < fleet->conf.pool_count; i++) {
		const struct coordinator_options options = {
			.prefix = fleet->conf.prefix, .pool = fleet->pools[i].name,
			.lost_after_ms = fleet->lost_after_ms,
			.has_before = fleet->hooks.before, .has_after = fleet->hooks.after,
		};

		coordinator_free(fleet->pools[i].coordinator);
		fleet->pools[i].coordinator = coordinator_new(&options);
		if (!fleet->pools[i].coordinator)
			return STORE_NOMEM;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		snprintf(prefix, sizeof(prefix), "%s/%s/", fleet->conf.prefix, kinds[i]);
		result = store_list(fleet->conf.store, prefix, &list);
		if (result)
			return result;
		if (!rev)
			rev = list.rev;
		for (j = 0; j < list.count && !result; j++) {
			if (!see_all(fleet, &list.items[j]))
				result = STORE_NOMEM;
		}
		store_list_clear(&list);
		if (result)
			return result;
	}
	snprintf(prefix, sizeof(prefix), "%s/", fleet->conf.prefix);
	return store_watch(fleet->conf.store, prefix, false, rev + 1, &fleet->watch);
}

/* Another one may lead by now: its hooks are not to run beside ours. */
static void lose_lead(struct fleet *fleet, struct pool *pool)
{
	hooks_stop(fleet->runs, pool);
	say(pool, SD_WARNING, "leads no longer", "");
	coordinator_unhook(pool->coordinator);
	store_lead_leave(pool->lead);
	pool->lead = NULL;
}

static void keep_on(struct fleet *fleet, struct pool *pool, int64_t begun)
{
	int64_t left = pool->kept_at + LEAD_SECONDS * 1000 - begun;
	enum store_result result = STORE_ENDED;

	if (left > 0) {
		/* That are two calls. */
		store_set_limit(fleet->conf.store, left / 2 < KEEP_MS ? left / 2 + 1 : KEEP_MS);
		result = store_lead_keep(pool->lead);
		store_set_limit(fleet->conf.store, KEEP_MS);
	}
	if (!result)
		pool->kept_at = begun;
	else if (result != STORE_ENDED)
		say(pool, SD_WARNING, "cannot keep the lead", store_message(fleet->conf.store));
	if (result == STORE_ENDED || now_ms() - pool->kept_at >= LEAD_SECONDS * 1000)
		lose_lead(fleet, pool);
}

static void keep_lead(struct fleet *fleet, struct pool *pool)
{
	struct store *store = fleet->conf.store;
	int64_t begun = now_ms();
	char key[STEP_KEY_MAX / 2];
	enum store_result result;

	if (begun < pool->keep_at)
		return;
	pool->keep_at = begun + KEEP_MS;
	if (pool->lead) {
		keep_on(fleet, pool, begun);
		return;
	}
	snprintf(key, sizeof(key), "%s/lead/%s", fleet->conf.prefix, pool->name);
	result = store_lead(store, key, fleet->instance, LEAD_SECONDS, &pool->lead);
	pool->kept_at = begun;
	if (!result)
		say(pool, SD_NOTICE, "leads", "");
	else if (result == STORE_CONFLICT)
		say(pool, SD_INFO, "another one leads", "");
	else
		say(pool, SD_WARNING, "cannot lead", store_message(store));
}

/* What there is to do now; the result is of the last step. */
static enum store_result steps(struct fleet *fleet, struct pool *pool)
{
	enum store_result result = STORE_OK;
	struct store_item item;
	char at[DOC_AT_MAX];
	struct step step;
	int i;

	conf_now(at);
	coordinator_at(pool->coordinator, at);
	for (i = 0; i < STEPS_MAX && !result && !stop && now_ms() < pool->keep_at; i++) {
		if (!coordinator_next(pool->coordinator, now_ms(), &step))
			return STORE_NOMEM;
		if (step.kind == STEP_WAIT)
			break;
		if (step.kind == STEP_HOOK) {
			coordinator_done(pool->coordinator, &step, STORE_OK, NULL, now_ms());
			hooks_start(&fleet->runs, &fleet->hooks, pool, &step, now_ms());
			step_clear(&step);
			continue;
		}
		result = step_run(fleet->conf.store, &step, &item);
		if (fleet->verbose)
			fprintf(stderr, SD_DEBUG "%s: %s %s: %s\n", pool->name, step.what,
				step.key, store_result_name(result));
		if (result && result != STORE_CONFLICT)
			say(pool, SD_WARNING, step.what, store_message(fleet->conf.store));
		if (!coordinator_done(pool->coordinator, &step, result, &item, now_ms()))
			result = STORE_NOMEM;
		store_item_clear(&item);
		step_clear(&step);
		if (result == STORE_CONFLICT)
			result = STORE_OK;
	}
	say_document(pool);
	return result;
}

/* Everything that came within @timeout_ms. */
static enum store_result follow(struct fleet *fleet, int timeout_ms)
{
	enum store_result result;
	struct store_item item;
	bool ok;

	for (;;) {
		result = store_watch_next(fleet->watch, timeout_ms, &item);
		if (result)
			return result == STORE_UNREACHABLE ? STORE_OK : result;
		ok = see_all(fleet, &item);
		store_item_clear(&item);
		if (!ok)
			return STORE_NOMEM;
		timeout_ms = 0;
	}
}

static bool halt_pool(struct fleet *fleet, struct pool *pool, const char *why)
{
	struct store_item item;
	enum store_result result;
	char at[DOC_AT_MAX];
	struct step step;
	int i;

	conf_now(at);
	coordinator_at(pool->coordinator, at);
	for (i = 0; i < STEPS_MAX && coordinator_halt(pool->coordinator, why, &step); i++) {
		if (step.kind == STEP_WAIT)
			return true;
		result = step_run(fleet->conf.store, &step, &item);
		coordinator_done(pool->coordinator, &step, result, &item, now_ms());
		store_item_clear(&item);
		step_clear(&step);
	}
	return false;
}

/*
 * The store is not the one that it was, or an older state of it. What it says of slots may not
 * be so any more: a person has to look before anything goes on.
 */
static void halt_all(struct fleet *fleet, const char *message)
{
	struct conf was = fleet->conf, now;
	char why[DOC_REASON_MAX];
	size_t i;

	snprintf(why, sizeof(why), "store went back in time, or is another one: %.110s", message);
	for (i = 0; i < was.pool_count; i++) {
		store_lead_leave(fleet->pools[i].lead);
		fleet->pools[i].lead = NULL;
	}
	store_watch_free(fleet->watch);
	fleet->watch = NULL;
	if (!conf_open(&now, fleet->file))
		return;
	/* The file may have been edited. */
	if (now.pool_count != was.pool_count) {
		conf_close(&now);
		return;
	}
	fleet->conf = now;
	for (i = 0; i < was.pool_count; i++)
		fleet->pools[i].name = fleet->conf.pools[i];
	conf_close(&was);
	store_set_limit(fleet->conf.store, KEEP_MS);
	if (look(fleet)) {
		fprintf(stderr, SD_ERR "cannot halt: %s\n", store_message(fleet->conf.store));
		return;
	}
	for (i = 0; i < fleet->conf.pool_count; i++)
		say(&fleet->pools[i], SD_ERR, halt_pool(fleet, &fleet->pools[i], why) ?
		    "halted" : "cannot halt", why);
}

/* The status to end with; 0: it makes sense to go on. After a 5 systemd does not start it anew. */
static int fatal(struct fleet *fleet, enum store_result result)
{
	char message[256];

	if (result == STORE_NOMEM) {
		fprintf(stderr, SD_ERR "out of memory\n");
		return 1;
	}
	if (result != STORE_FOREIGN)
		return 0;
	snprintf(message, sizeof(message), "%s",
		 fleet->watch && *store_watch_message(fleet->watch) ?
		 store_watch_message(fleet->watch) : store_message(fleet->conf.store));
	fprintf(stderr, SD_ERR "%s\n", message);
	halt_all(fleet, message);
	return 5;
}

static int run(struct fleet *fleet)
{
	enum store_result result;
	struct pool *pool;
	size_t i;
	int code;

	while (!stop) {
		sd_notify(0, "WATCHDOG=1");
		if (!fleet->watch) {
			result = look(fleet);
			code = fatal(fleet, result);
			if (code)
				return code;
			if (result) {
				say(&fleet->pools[0], SD_WARNING, "cannot read the store",
				    store_message(fleet->conf.store));
				store_watch_free(fleet->watch);
				fleet->watch = NULL;
			} else {
				sd_notify(0, "READY=1");
			}
		}
		for (i = 0; i < fleet->conf.pool_count && !stop; i++) {
			pool = &fleet->pools[i];
			keep_lead(fleet, pool);
			hooks_collect(&fleet->runs, now_ms());
			if (!fleet->watch || !pool->lead || now_ms() < pool->step_at)
				continue;
			result = steps(fleet, pool);
			code = fatal(fleet, result);
			if (code)
				return code;
			if (result)
				pool->step_at = now_ms() + 1000;
		}
		if (now_ms() >= fleet->metrics_at) {
			metrics_write(fleet->hooks.metrics, fleet->pools, fleet->conf.pool_count);
			fleet->metrics_at = now_ms() + METRICS_MS;
		}
		if (!fleet->watch) {
			/* Not all at once when the store is back. */
			usleep(500000 + random() % 1000000);
			continue;
		}
		result = follow(fleet, 500);
		code = fatal(fleet, result);
		if (code)
			return code;
		if (result) {
			/* Compacted: what was missed is read. */
			store_watch_free(fleet->watch);
			fleet->watch = NULL;
			if (result != STORE_GONE)
				usleep(1000000);
		}
	}
	return 0;
}

static const char usage[] =
	"usage: iommucfg-fleet [-c FILE] [-v] [--lost-after SECONDS]\n"
	"\n"
	"Rolls policies over the hosts of its pools. Several may run.\n"
	"\n"
	"  -c, --config FILE       instead of " CONF_DEFAULT "\n"
	"  -v, --verbose           each step\n"
	"      --lost-after SECONDS  a changing host that is silent for so long is lost (900)\n"
	"  -h, --help              this text\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "lost-after", required_argument, NULL, 'l' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	struct fleet fleet = { .lost_after_ms = LOST_AFTER_MS };
	struct sigaction action = { .sa_handler = on_signal };
	const char *file = CONF_DEFAULT;
	char host[200] = "";
	int option, code;
	long seconds;
	char *end;
	size_t i;

	while ((option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'l':
			seconds = strtol(optarg, &end, 10);
			if (*end || seconds < 1 || seconds > 604800) {
				fprintf(stderr, "iommucfg-fleet: 1 to 604800 seconds\n");
				return 1;
			}
			fleet.lost_after_ms = seconds * 1000;
			break;
		case 'v':
			fleet.verbose = true;
			break;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* As libcurl wants it; and the guard of the hooks may be gone. */
	signal(SIGPIPE, SIG_IGN);
	srandom(getpid() ^ time(NULL));
	if (!conf_open_pools(&fleet.conf, file, hooks_take, &fleet.hooks)) {
		hooks_config_clear(&fleet.hooks);
		return 1;
	}
	fleet.file = file;
	/* A store that does not answer is not waited for until the lead is over. */
	store_set_limit(fleet.conf.store, KEEP_MS);
	gethostname(host, sizeof(host) - 1);
	snprintf(fleet.instance, sizeof(fleet.instance), "%s %d", host, getpid());
	fleet.pools = calloc(fleet.conf.pool_count, sizeof(*fleet.pools));
	if (!fleet.pools)
		return 1;
	for (i = 0; i < fleet.conf.pool_count; i++)
		fleet.pools[i].name = fleet.conf.pools[i];
	code = run(&fleet);
	hooks_end(fleet.runs);
	if (fleet.hooks.metrics)
		unlink(fleet.hooks.metrics);
	for (i = 0; i < fleet.conf.pool_count; i++) {
		store_lead_leave(fleet.pools[i].lead);
		coordinator_free(fleet.pools[i].coordinator);
	}
	free(fleet.pools);
	store_watch_free(fleet.watch);
	hooks_config_clear(&fleet.hooks);
	conf_close(&fleet.conf);
	return code;
}
