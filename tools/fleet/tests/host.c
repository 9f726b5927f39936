// SPDX-License-Identifier: GPL-2.0
/*
 * host CONF POOL NAME DIR SPEED: a host for the test of the whole. The agent's state
 * machine at the real store; the kernel, the planner and the probes are made up. Time runs
 * SPEED times as fast, but for the store.
 *
 * Below DIR there are, and outlive this process:
 *	NAME.journal, NAME.kernel
 *	NAME.log	a line for each commit, proof, confirm, revert
 *	NAME.cut	if it is there, the host is cut off from new connections with any
 *			policy that is not confirmed yet
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "conf.h"
#include "journal.h"

struct kernel {
	enum agent_txn txn;
	int64_t attempt, deadline;
	char types[DOC_HASH_MAX + 1], before[DOC_HASH_MAX + 1], file[DOC_HASH_MAX + 1];
};

static struct conf conf;
static const char *pool, *name, *dir;
static long speed;
static struct kernel kernel;
static struct agent *agent;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (now.tv_sec * 1000LL + now.tv_nsec / 1000000) * speed;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s: %s: %m\n", name, what);
		exit(1);
	}
}

static void path_of(char *path, const char *what)
{
	snprintf(path, 512, "%s/%s.%s", dir, name, what);
}

/* Whole or not at all, and on the disk. */
static void keep(const char *what, const void *data, size_t size)
{
	char path[512], new[520];
	int fd;

	path_of(path, what);
	snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && !fsync(fd) && !close(fd) &&
	     !rename(new, path), path);
}

static void recall(const char *what, void *data, size_t size)
{
	char path[512];
	int fd;

	path_of(path, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return;
	must(fd >= 0 && read(fd, data, size) == (ssize_t)size, path);
	close(fd);
}

static void note(const char *what)
{
	char path[512];
	FILE *f;

	path_of(path, "log");
	f = fopen(path, "ae");
	must(f && fprintf(f, "%s %" PRId64 "\n", what, kernel.attempt) > 0 && !fclose(f), path);
}

static bool is_cut(void)
{
	char path[512];

	path_of(path, "cut");
	return kernel.txn == TXN_UNCONFIRMED && !access(path, F_OK);
}

static void revert(void)
{
	kernel.txn = TXN_NONE;
	memcpy(kernel.types, kernel.before, sizeof(kernel.types));
	note("revert");
	keep("kernel", &kernel, sizeof(kernel));
}

static void timer(void)
{
	if (kernel.txn == TXN_UNCONFIRMED && now_ms() >= kernel.deadline)
		revert();
}

static void act(const struct agent_action *action, struct agent_result *result,
		struct store_item *item)
{
	const struct doc_journal *journal = agent_journal(agent);
	char path[512];

	timer();
	switch (action->what) {
	case AGENT_WAIT:
		break;
	case AGENT_STORE:
		result->store = STORE_UNREACHABLE;
		if (!action->step.fresh || !is_cut())
			result->store = step_run(conf.store, &action->step, item);
		result->item = item;
		if (action->step.fresh && !result->store)
			note("proof");
		break;
	case AGENT_SAVE:
		path_of(path, "journal");
		must(!journal_save(path, journal), path);
		break;
	case AGENT_PLAN:
		result->code = strcmp(kernel.types, journal->policy) ? PLAN_CHANGES : PLAN_NOTHING;
		break;
	case AGENT_APPLY:
		memcpy(kernel.before, kernel.types, sizeof(kernel.before));
		memcpy(kernel.types, journal->policy, sizeof(kernel.types));
		kernel.attempt = journal->attempt;
		kernel.txn = TXN_UNCONFIRMED;
		kernel.deadline = now_ms() + journal->confirm_timeout * 1000;
		note("commit");
		keep("kernel", &kernel, sizeof(kernel));
		usleep(200000);
		result->code = APPLIED_UNCONFIRMED;
		break;
	case AGENT_PRE:
	case AGENT_POST:
	case AGENT_PROBE:
		result->code = 1;
		break;
	case AGENT_LOOK:
		result->code = kernel.attempt == journal->attempt ? kernel.txn : TXN_NONE;
		result->remaining_ms = kernel.deadline - now_ms();
		result->installed = !strcmp(kernel.file, kernel.types);
		break;
	case AGENT_CONFIRM:
		result->code = CONFIRM_UNKNOWN;
		if (kernel.txn == TXN_NONE)
			break;
		if (kernel.txn == TXN_UNCONFIRMED) {
			kernel.txn = TXN_KEPT;
			note("confirm");
			keep("kernel", &kernel, sizeof(kernel));
		}
		memcpy(kernel.file, journal->policy, sizeof(kernel.file));
		keep("kernel", &kernel, sizeof(kernel));
		result->code = CONFIRM_KEPT;
		break;
	case AGENT_ROLLBACK:
		if (kernel.txn == TXN_UNCONFIRMED)
			revert();
		result->code = 1;
		break;
	}
}

/* The first status of a new host. */
static void introduce(const char *machine)
{
	struct doc_status status = { .boot = "boot" };
	char key[STEP_KEY_MAX], *text;
	struct store_put put = { .key = key };

	snprintf(key, sizeof(key), "%s/status/%s/%s", conf.prefix, pool, name);
	snprintf(status.machine, sizeof(status.machine), "%s", machine);
	text = doc_status_print(&status, NULL);
	put.value = text;
	put.size = strlen(text);
	while (store_put(conf.store, &put, NULL) == STORE_UNREACHABLE)
		usleep(100000);
	free(text);
}

static void wait_for_grant(struct store_watch **watch, int64_t ms)
{
	char key[STEP_KEY_MAX];
	enum store_result result;
	struct store_item item;
	uint64_t cluster;
	int64_t rev;

	snprintf(key, sizeof(key), "%s/grant/%s/%s", conf.prefix, pool, name);
	if (!*watch) {
		result = store_get(conf.store, key, &item);
		store_identity(conf.store, &cluster, &rev);
		must(result || !store_watch(conf.store, key, true, rev + 1, watch), key);
		store_item_clear(&item);
	}
	if (!*watch) {
		usleep(100000);
		return;
	}
	result = store_watch_next(*watch, ms / speed, &item);
	store_item_clear(&item);
	if (result && result != STORE_UNREACHABLE) {
		store_watch_free(*watch);
		*watch = NULL;
	}
}

int main(int argc, char **argv)
{
	struct doc_journal journal = { 0 };
	struct agent_options options = { .boot = "boot" };
	struct store_watch *watch = NULL;
	struct agent_action action;
	char machine[32], path[512], why[DOC_REASON_MAX] = "the journal";

	if (argc != 6)
		return 1;
	pool = argv[2];
	name = argv[3];
	dir = argv[4];
	speed = atol(argv[5]);
	must(speed > 0 && conf_open(&conf, argv[1]), argv[1]);
	snprintf(machine, sizeof(machine), "machine-%.20s", name);
	options.prefix = conf.prefix;
	options.pool = pool;
	options.host = name;
	options.machine = machine;
	path_of(path, "journal");
	must(!journal_load(path, &journal, why), why);
	recall("kernel", &kernel, sizeof(kernel));
	introduce(machine);
	agent = agent_new(&options, &journal);
	must(agent, "memory");
	for (;;) {
		struct agent_result result = { 0 };
		struct store_item item = { 0 };

		must(agent_next(agent, now_ms(), &action), "memory");
		if (action.what == AGENT_WAIT)
			wait_for_grant(&watch, action.wait_ms);
		else
			act(&action, &result, &item);
		agent_done(agent, &action, &result, now_ms());
		store_item_clear(&item);
		step_clear(&action.step);
	}
}
