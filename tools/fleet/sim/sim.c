// SPDX-License-Identifier: GPL-2.0
/*
 * fleet-sim FIRST COUNT [HOSTS [VARIANT [-v]]]: simulates a rollout for each of COUNT
 * seeds, the first of which is FIRST.
 *
 * Two coordinators and HOSTS agents, the real state machines, over the store in memory.
 * What surrounds them is made up: kernels, disks, networks, a person who pauses, halts,
 * resumes and forgets dead hosts. Between any two steps answers are lost, writes come
 * late, programs crash, hosts reboot, die or lie. An observer, which sees each write to the
 * store and each step of a kernel, checks at every one:
 *
 *   1 at most max_changing hosts between begin and end
 *   2 confirmed only after a proof through a connection from after the commit
 *   3 no slot is taken once a rule or a person has halted the rollout
 *   5 at most one commit for each host and attempt
 *   6 a host begins only with a live grant for its machine
 *
 * and in the end, when the faults have ceased:
 *
 *   4 each host has all old or all new types, the file that says so, and reports it
 *   - the rollout is over
 *
 * A seed decides everything: a failing one fails again. With VARIANT something is broken
 * on purpose, and must be found.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "coordinator.h"
#include "memory.h"

#define PREFIX "/fleet"
#define POOL "pool"
#define COORDINATORS 2

static const char *const variants[] = {
	"none", "blind-grant", "blind-take", "blind-revoke", "blind-begin", "slot-lease",
	"old-connection", "no-journal", "confirm-unproven",
};
enum variant {
	NOT_BROKEN, BLIND_GRANT, BLIND_TAKE, BLIND_REVOKE, BLIND_BEGIN, SLOT_LEASE,
	OLD_CONNECTION, NO_JOURNAL, CONFIRM_UNPROVEN,
};
#define VARIANTS (sizeof(variants) / sizeof(*variants))

struct sim_host {
	char name[32], machine[32], boot[24];
	int boots;
	struct agent *agent;
	struct doc_journal disk;
	struct agent_action action;
	bool acting, applying, dead, liar;
	int64_t wake;
	int64_t grant_seen;		/* revision at which it began to wait */

	/* What kind of host it is. */
	bool cut, nothing, refuses, unwell, apply_fails;

	/* The kernel. Types and file: is it the new policy? */
	bool types, file;
	enum agent_txn txn;
	int64_t attempt, done_at, deadline;

	/* The observer's. */
	bool changing, proven;
	int64_t commits_attempt;
	struct doc_grant grant;
};

struct sim_coordinator {
	struct coordinator *c;
	struct store_watch *watch;
	struct step step;
	bool acting;
	int64_t wake;
};

/* A write that comes late. */
struct late {
	struct late *next;
	struct step step;
	int64_t at;
};

static struct {
	uint64_t random;
	int64_t now;
	enum variant variant;
	bool verbose, faults;
	size_t count;
	struct sim_host *hosts;
	struct sim_coordinator coordinators[COORDINATORS];
	struct store_memory *memory;
	struct store *store;
	struct store_watch *observer;
	struct late *late;
	struct doc_rollout rollout;
	char why[256];			/* what was violated; "": nothing */
} sim;

static void __attribute__((format(printf, 1, 2))) violated(const char *format, ...)
{
	va_list ap;

	if (*sim.why)
		return;
	va_start(ap, format);
	vsnprintf(sim.why, sizeof(sim.why), format, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list ap;

	if (!sim.verbose)
		return;
	printf("%8.1f ", sim.now / 1000.0);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* xorshift64* */
static uint64_t roll(uint64_t sides)
{
	sim.random ^= sim.random >> 12;
	sim.random ^= sim.random << 25;
	sim.random ^= sim.random >> 27;
	return (sim.random * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

static bool fault(uint64_t one_in)
{
	return sim.faults && !roll(one_in);
}

static void must(bool ok)
{
	if (!ok) {
		fprintf(stderr, "fleet-sim: out of memory, or a bug of the simulator\n");
		exit(2);
	}
}

/* The observer ------------------------------------------------------------ */

static struct sim_host *host_of_key(const char *key, const char *kind)
{
	char prefix[64];
	size_t i;

	snprintf(prefix, sizeof(prefix), PREFIX "/%s/" POOL "/", kind);
	if (strncmp(key, prefix, strlen(prefix)))
		return NULL;
	for (i = 0; i < sim.count; i++) {
		if (!strcmp(sim.hosts[i].name, key + strlen(prefix)))
			return &sim.hosts[i];
	}
	return NULL;
}

static void observe_rollout(const struct store_item *item)
{
	struct doc_rollout next;
	char why[DOC_REASON_MAX];
	size_t i, taken = 0;
	long limit;

	if (!doc_rollout_parse(&next, item->value, item->size, why)) {
		violated("a rollout that cannot be read: %s", why);
		return;
	}
	for (i = 0; i < next.changing_count; i++)
		taken += !doc_slot_of(&sim.rollout, next.changing[i].host);
	limit = next.wave == 0 && next.wave_count > 1 ? 1 : next.max_failures;
	if (taken && (next.state != STATE_RUNNING || sim.rollout.state != STATE_RUNNING ||
		      sim.rollout.leg_failures >= limit))
		violated("3: a slot was taken in a rollout that is %s with %ld failures",
			 doc_state_name(sim.rollout.state), sim.rollout.leg_failures);
	for (i = 0; i < sim.count; i++) {
		if (sim.hosts[i].changing && !sim.hosts[i].dead &&
		    !doc_slot_of(&next, sim.hosts[i].name))
			violated("1: %s changes without a slot", sim.hosts[i].name);
	}
	if ((long)next.changing_count > next.max_changing)
		violated("1: %zu slots are taken", next.changing_count);
	if (next.leg_failures >= limit && next.state == STATE_RUNNING)
		violated("3: %ld failures do not halt", next.leg_failures);
	doc_rollout_clear(&sim.rollout);
	sim.rollout = next;
}

static void observe_status(struct sim_host *host, const struct store_item *item)
{
	struct doc_status status;
	char why[DOC_REASON_MAX];
	long changing = 0;
	size_t i;
	bool was = host->changing;

	if (!doc_status_parse(&status, item->value, item->size, why)) {
		if (host->liar)
			return;
		violated("a status that cannot be read: %s", why);
		return;
	}
	if (host->liar)
		return;
	host->changing = status.phase == PHASE_CHANGING || status.phase == PHASE_UNCONFIRMED;
	for (i = 0; i < sim.count; i++)
		changing += sim.hosts[i].changing;
	if (changing > sim.rollout.max_changing)
		violated("1: %ld hosts are changing", changing);
	if (host->changing && !was &&
	    (!host->grant.live || host->grant.attempt != status.attempt ||
	     strcmp(host->grant.machine, status.machine)))
		violated("6: %s began without a grant", host->name);
}

static void observe_grant(struct sim_host *host, const struct store_item *item)
{
	struct doc_grant grant;
	char why[DOC_REASON_MAX];

	if (!doc_grant_parse(&grant, item->value, item->size, why)) {
		violated("a grant that cannot be read: %s", why);
		return;
	}
	if (grant.attempt < host->grant.attempt)
		violated("the attempt of %s went from %" PRId64 " to %" PRId64, host->name,
			 host->grant.attempt, grant.attempt);
	if (grant.attempt == host->grant.attempt && grant.live && !host->grant.live)
		violated("a grant of %s came back to life", host->name);
	host->grant = grant;
}

static void observe(void)
{
	struct store_item item;
	struct sim_host *host;

	while (!store_watch_next(sim.observer, 0, &item)) {
		say("  store: %s %s", item.key, item.value ? item.value : "deleted");
		if (!strncmp(item.key, PREFIX "/rollout/", strlen(PREFIX "/rollout/")))
			observe_rollout(&item);
		host = host_of_key(item.key, "status");
		if (host)
			observe_status(host, &item);
		host = host_of_key(item.key, "grant");
		if (host)
			observe_grant(host, &item);
		store_item_clear(&item);
	}
}

/* The store, with faults ----------------------------------------------------- */

/* What a broken variant does to a step. */
static void break_step(struct step *step)
{
	bool grant = strstr(step->key, "/grant/");

	if (step->kind != STEP_PUT)
		return;
	if (sim.variant == BLIND_GRANT && grant && !*step->guard)
		step->rev = STORE_ANY;
	if (sim.variant == BLIND_REVOKE && grant)
		*step->guard = '\0';
	if (sim.variant == BLIND_TAKE && strstr(step->key, "/rollout/"))
		step->rev = STORE_ANY;
	if (sim.variant == BLIND_BEGIN && strstr(step->key, "/status/"))
		*step->guard = '\0';
}

static enum store_result at_store(struct step *step, bool reachable, struct store_item *item)
{
	enum store_result result;
	struct late *late;

	*item = (struct store_item){ 0 };
	break_step(step);
	if (!reachable || fault(25))
		return STORE_UNREACHABLE;
	if (step->kind == STEP_PUT && fault(25)) {
		/* It is done later, when its sender has gone on. */
		late = calloc(1, sizeof(*late));
		must(late);
		late->step = *step;
		late->step.value = strdup(step->value);
		late->at = sim.now + roll(20000);
		late->next = sim.late;
		sim.late = late;
		return STORE_UNKNOWN;
	}
	result = step_run(sim.store, step, item);
	if (step->kind == STEP_PUT && fault(25)) {
		store_item_clear(item);
		return STORE_UNKNOWN;
	}
	return result;
}

static void late_writes(void)
{
	struct late **p = &sim.late, *late;
	struct store_item item;

	while ((late = *p)) {
		if (late->at > sim.now) {
			p = &late->next;
			continue;
		}
		*p = late->next;
		say("a late write to %s: %s", late->step.key,
		    store_result_name(step_run(sim.store, &late->step, &item)));
		store_item_clear(&item);
		step_clear(&late->step);
		free(late);
	}
}

/* Hosts ------------------------------------------------------------------------ */

static void start_agent(struct sim_host *host)
{
	const struct agent_options options = {
		.prefix = PREFIX, .pool = POOL, .host = host->name, .machine = host->machine,
		.boot = host->boot,
	};

	if (host->acting)
		step_clear(&host->action.step);
	host->acting = host->applying = false;
	host->wake = 0;
	agent_free(host->agent);
	host->agent = agent_new(&options, &host->disk);
	must(host->agent);
}

static void boot(struct sim_host *host)
{
	snprintf(host->boot, sizeof(host->boot), "boot-%d", ++host->boots);
	host->types = host->file;
	host->txn = TXN_NONE;
	host->attempt = 0;
	start_agent(host);
}

/* What its kernel does by itself. */
static void kernel(struct sim_host *host)
{
	if (host->dead)
		return;
	if (host->txn == TXN_RUNNING && sim.now >= host->done_at) {
		host->txn = host->apply_fails ? TXN_NONE : TXN_UNCONFIRMED;
		host->apply_fails = false;
		host->types = host->txn == TXN_UNCONFIRMED;
		host->proven = false;
		host->deadline = sim.now + host->disk.confirm_timeout * 1000;
		say("%s: applied", host->name);
	}
	if (host->txn == TXN_UNCONFIRMED && sim.now >= host->deadline) {
		say("%s: not confirmed in time", host->name);
		host->txn = TXN_NONE;
		host->types = false;
	}
}

static void commit(struct sim_host *host)
{
	int64_t attempt = agent_journal(host->agent)->attempt;

	if (host->commits_attempt == attempt)
		violated("5: a second commit of %s in attempt %" PRId64, host->name, attempt);
	if (!host->changing)
		violated("6: %s commits without having begun", host->name);
	host->commits_attempt = attempt;
	host->attempt = attempt;
	host->txn = TXN_RUNNING;
	host->done_at = sim.now + roll(10000);
	host->applying = true;
}

static void look(const struct sim_host *host, struct agent_result *result)
{
	result->installed = host->file && host->types;
	if (host->attempt == agent_journal(host->agent)->attempt && host->txn != TXN_NONE)
		result->code = host->txn;
	else if (host->types)
		result->code = host->file ? TXN_KEPT : TXN_ODD;
	else
		result->code = TXN_NONE;
	result->remaining_ms = host->deadline - sim.now;
}

static void confirm(struct sim_host *host, struct agent_result *result)
{
	if (fault(20)) {
		result->code = CONFIRM_AGAIN;
		return;
	}
	result->code = CONFIRM_GONE;
	if (host->txn == TXN_UNCONFIRMED) {
		if (!host->proven)
			violated("2: %s is confirmed without a proof", host->name);
		host->txn = TXN_KEPT;
		result->code = CONFIRM_KEPT;
	} else if (host->txn == TXN_KEPT) {
		result->code = CONFIRM_KEPT;
	}
}

/* A connection that was there before the change may go on working, a new one not. */
static bool reachable(const struct sim_host *host, bool fresh)
{
	return !(host->cut && host->types) || (!fresh && roll(2));
}

static void host_store(struct sim_host *host, struct agent_result *result,
		       struct store_item *item)
{
	struct step *step = &host->action.step;
	bool fresh = step->fresh, cut;

	if (sim.variant == OLD_CONNECTION)
		fresh = false;
	cut = host->cut && host->types;
	result->store = at_store(step, reachable(host, fresh), item);
	result->item = item;
	if (!result->store && step->fresh && !cut && host->txn == TXN_UNCONFIRMED)
		host->proven = true;
	if (sim.variant == CONFIRM_UNPROVEN && step->fresh && result->store == STORE_UNREACHABLE) {
		/* As if an attempt to prove were a proof. */
		result->store = STORE_OK;
		item->key = strdup(step->key);
		item->value = strdup(step->value);
		item->size = strlen(step->value);
	}
}

static void host_act(struct sim_host *host)
{
	struct agent_result result = { 0 };
	const struct doc_journal *j;
	struct store_item item = { 0 };

	if (host->applying) {
		if (host->txn == TXN_RUNNING)
			return;
		result.code = host->txn == TXN_UNCONFIRMED ? APPLIED_UNCONFIRMED :
			      APPLIED_REVERTED;
		host->applying = false;
		if (fault(10))
			result.code = APPLIED_UNKNOWN;
		goto done;
	}
	switch (host->action.what) {
	case AGENT_WAIT:
		break;
	case AGENT_STORE:
		host_store(host, &result, &item);
		break;
	case AGENT_SAVE:
		j = agent_journal(host->agent);
		if (sim.variant != NO_JOURNAL || j->phase != JOURNAL_APPLY)
			host->disk = *j;
		break;
	case AGENT_PLAN:
		result.code = host->refuses ? PLAN_REFUSED :
			      host->types || host->nothing ? PLAN_NOTHING : PLAN_CHANGES;
		break;
	case AGENT_APPLY:
		commit(host);
		return;
	case AGENT_PROBE:
		result.code = !host->unwell;
		break;
	case AGENT_LOOK:
		look(host, &result);
		break;
	case AGENT_CONFIRM:
		confirm(host, &result);
		break;
	case AGENT_ROLLBACK:
		if (host->txn == TXN_UNCONFIRMED) {
			host->txn = TXN_NONE;
			host->types = false;
		}
		result.code = 1;
		break;
	case AGENT_INSTALL:
		result.code = !fault(20);
		if (result.code)
			host->file = true;
		break;
	}
	if (fault(60)) {
		/* Done, and what came of it is not known. */
		say("%s: the agent crashes", host->name);
		store_item_clear(&item);
		start_agent(host);
		return;
	}
done:
	agent_done(host->agent, &host->action, &result, sim.now);
	store_item_clear(&item);
	step_clear(&host->action.step);
	host->acting = false;
}

static const char *const verbs[] = {
	"wait", "store", "save", "plan", "apply", "probe", "look", "confirm", "roll back",
	"install",
};

/* What a stolen key of a host can write: anything, below the host's name. */
static void lie(const struct sim_host *host)
{
	static const char *const nonsense[] = {
		"", "{", "[]", "{\"attempt\":-1}", "\"\\u0000\"", "{\"machine\":{}}",
	};
	struct doc_status status = {
		.rollout = "r1", .boot = "boot-0", .phase = roll(PHASE_ENDED + 1),
	};
	struct store_put put = { .rev = STORE_ANY };
	char key[64], *text = NULL;

	snprintf(key, sizeof(key), PREFIX "/status/" POOL "/%s", host->name);
	put.key = key;
	put.value = nonsense[roll(sizeof(nonsense) / sizeof(*nonsense))];
	if (roll(2)) {
		snprintf(status.machine, sizeof(status.machine), "machine-%d",
			 (int)roll(sim.count));
		status.attempt = roll(2) ? DOC_ATTEMPT_MAX - roll(3) :
				 host->grant.attempt + roll(2);
		if (status.phase == PHASE_ENDED)
			status.end = 1 + roll(END_FAILED);
		put.value = text = doc_status_print(&status);
	}
	put.size = strlen(put.value);
	must(!store_put(sim.store, &put, NULL));
	free(text);
}

static void host_step(struct sim_host *host)
{
	if (host->liar && fault(20))
		lie(host);
	if (host->dead || host->liar)
		return;
	if (fault(400)) {
		say("%s: dies", host->name);
		host->dead = true;
		return;
	}
	if (fault(150)) {
		say("%s: reboots", host->name);
		boot(host);
		return;
	}
	if (fault(100)) {
		say("%s: the agent crashes", host->name);
		start_agent(host);
		return;
	}
	if (host->acting) {
		host_act(host);
		return;
	}
	/* The watch on its grant, or the time. */
	if (sim.now < host->wake && roll(4))
		return;
	if (host->wake && host->action.what == AGENT_WAIT) {
		struct agent_result result = { 0 };

		agent_done(host->agent, &host->action, &result, sim.now);
		host->wake = 0;
	}
	must(agent_next(host->agent, sim.now, &host->action));
	if (host->action.what == AGENT_WAIT) {
		host->wake = sim.now + host->action.wait_ms;
		return;
	}
	say("%s: %s %s", host->name, verbs[host->action.what],
	    host->action.what == AGENT_STORE ? host->action.step.what : "");
	host->acting = true;
}

/* Coordinators --------------------------------------------------------------- */

static void start_coordinator(struct sim_coordinator *s)
{
	const struct coordinator_options options = {
		.prefix = PREFIX, .pool = POOL, .lost_after_ms = 120000,
	};
	struct store_list list;
	size_t i;

	coordinator_free(s->c);
	store_watch_free(s->watch);
	if (s->acting)
		step_clear(&s->step);
	*s = (struct sim_coordinator){ .c = coordinator_new(&options) };
	must(s->c);
	must(!store_list(sim.store, PREFIX "/pool/", &list));
	for (i = 0; i < list.count; i++)
		must(coordinator_see(s->c, &list.items[i], sim.now));
	store_list_clear(&list);
	must(!store_list(sim.store, PREFIX "/", &list));
	for (i = 0; i < list.count; i++)
		must(coordinator_see(s->c, &list.items[i], sim.now));
	must(!store_watch(sim.store, PREFIX "/", false, list.rev + 1, &s->watch));
	store_list_clear(&list);
}

static void coordinator_step(struct sim_coordinator *s, int number)
{
	enum store_result result;
	struct store_item item;
	int events;

	if (fault(150)) {
		say("coordinator %d: crashes", number);
		start_coordinator(s);
		return;
	}
	if (s->acting) {
		/* It stood still since it decided. */
		if (fault(4))
			return;
		result = at_store(&s->step, true, &item);
		say("coordinator %d: %s %s: %s", number, s->step.what, s->step.key,
		    store_result_name(result));
		must(coordinator_done(s->c, &s->step, result, &item, sim.now));
		store_item_clear(&item);
		step_clear(&s->step);
		s->acting = false;
		return;
	}
	/* Its watch is behind. */
	for (events = sim.faults ? roll(8) : 1000; events; events--) {
		if (store_watch_next(s->watch, 0, &item))
			break;
		must(coordinator_see(s->c, &item, sim.now));
		store_item_clear(&item);
	}
	must(coordinator_next(s->c, sim.now, &s->step));
	if (s->step.kind == STEP_WAIT)
		step_clear(&s->step);
	else
		s->acting = true;
}

/* The person --------------------------------------------------------------------- */

static bool read_rollout(struct doc_rollout *rollout, int64_t *rev)
{
	struct store_item item;
	char why[DOC_REASON_MAX];

	must(!store_get(sim.store, PREFIX "/rollout/" POOL "/r1", &item));
	*rev = item.rev;
	must(doc_rollout_parse(rollout, item.value, item.size, why));
	store_item_clear(&item);
	return true;
}

static void write_rollout(struct doc_rollout *rollout, int64_t rev)
{
	struct store_put put = { .key = PREFIX "/rollout/" POOL "/r1", .rev = rev };
	char *text = doc_rollout_print(rollout);

	must(text);
	put.value = text;
	put.size = strlen(text);
	must(!store_put(sim.store, &put, NULL));
	free(text);
}

static bool is_over(const struct doc_rollout *rollout)
{
	return rollout->state == STATE_COMPLETE;
}

/* @quiet: the faults are over, and the rollout is to come to its end. */
static void person(bool quiet)
{
	struct doc_rollout rollout;
	bool changed = false;
	int64_t rev;
	size_t i, j;

	read_rollout(&rollout, &rev);
	/* Hosts that are known to be off. */
	for (i = 0; i < rollout.changing_count; i++) {
		for (j = 0; j < sim.count; j++) {
			if (strcmp(sim.hosts[j].name, rollout.changing[i].host))
				continue;
			if (sim.variant == SLOT_LEASE ? !roll(20) :
			    (sim.hosts[j].dead || sim.hosts[j].liar) && (quiet || !roll(10))) {
				say("person: forget %s", sim.hosts[j].name);
				sim.hosts[j].changing &= !sim.hosts[j].dead;
				must(doc_rollout_forget(&rollout, sim.hosts[j].name));
				changed = true;
				i--;
				break;
			}
		}
	}
	if ((rollout.state == STATE_HALTED || rollout.state == STATE_PAUSED) &&
	    (quiet || !roll(4))) {
		rollout.state = STATE_RUNNING;
		rollout.now = false;
		rollout.leg_failures = rollout.leg_lost = 0;
		rollout.allow_empty_canary |= quiet;
		changed = true;
	} else if ((rollout.state == STATE_RUNNING || rollout.state == STATE_SOAKING) && !quiet &&
		   !roll(4)) {
		rollout.state = roll(2) ? STATE_PAUSED : STATE_HALTED;
		rollout.now = roll(2);
		changed = true;
	}
	if (changed) {
		say("person: %s%s", doc_state_name(rollout.state), rollout.now ? " now" : "");
		write_rollout(&rollout, rev);
	}
	doc_rollout_clear(&rollout);
}

/* One seed ------------------------------------------------------------------------ */

static void put_first(const char *key, char *text)
{
	struct store_put put = { .key = key, .value = text, .size = strlen(text) };

	must(!store_put(sim.store, &put, NULL));
	free(text);
}

static void begin(uint64_t seed)
{
	struct doc_rollout rollout = {
		.id = "r1", .policy = "new", .generation = 1,
		.attempts = 2, .confirm_timeout = 90,
	};
	struct doc_pool pool = { .rollout = "r1", .policy = "new", .generation = 1 };
	struct doc_status status = { .boot = "boot-0" };
	struct sim_host *host;
	char key[64];
	bool poison;
	size_t i;

	sim.random = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (i = 0; i < 8; i++)
		roll(2);
	sim.now = 1000000;
	sim.faults = true;
	sim.memory = store_memory_new();
	must(sim.memory);
	sim.store = store_memory_open(sim.memory);
	must(sim.store && !store_watch(sim.store, "", false, 1, &sim.observer));
	rollout.wave_count = 1 + roll(3);
	rollout.waves[0] = rollout.wave_count > 1 ? 1 : -100;
	rollout.waves[1] = rollout.wave_count > 2 ? -30 : -100;
	rollout.waves[2] = -100;
	rollout.max_changing = 1 + roll(sim.count / 4 + 1);
	rollout.max_failures = 1 + roll(sim.count);
	rollout.max_lost = 1 + roll(sim.count);
	rollout.soak = roll(2) * 60;
	put_first(PREFIX "/rollout/" POOL "/r1", doc_rollout_print(&rollout));
	put_first(PREFIX "/pool/" POOL, doc_pool_print(&pool));
	/* A policy that is bad for all, or for some hosts. */
	poison = !roll(5);
	sim.hosts = calloc(sim.count, sizeof(*sim.hosts));
	must(sim.hosts);
	for (i = 0; i < sim.count; i++) {
		host = &sim.hosts[i];
		snprintf(host->name, sizeof(host->name), "host-%zu", i);
		snprintf(host->machine, sizeof(host->machine), "machine-%zu", i);
		host->cut = poison || !roll(10);
		host->nothing = !roll(10);
		host->refuses = !roll(15);
		host->unwell = !roll(20);
		host->apply_fails = !roll(20);
		host->liar = !roll(15);
		memcpy(status.machine, host->machine, sizeof(host->machine));
		snprintf(key, sizeof(key), PREFIX "/status/" POOL "/%s", host->name);
		put_first(key, doc_status_print(&status));
		boot(host);
	}
	for (i = 0; i < COORDINATORS; i++)
		start_coordinator(&sim.coordinators[i]);
	observe();
}

static void finish(void)
{
	struct late *late;
	size_t i;

	for (i = 0; i < COORDINATORS; i++) {
		coordinator_free(sim.coordinators[i].c);
		store_watch_free(sim.coordinators[i].watch);
		if (sim.coordinators[i].acting)
			step_clear(&sim.coordinators[i].step);
		sim.coordinators[i] = (struct sim_coordinator){ 0 };
	}
	for (i = 0; i < sim.count; i++) {
		if (sim.hosts[i].acting)
			step_clear(&sim.hosts[i].action.step);
		agent_free(sim.hosts[i].agent);
	}
	free(sim.hosts);
	while ((late = sim.late)) {
		sim.late = late->next;
		step_clear(&late->step);
		free(late);
	}
	store_watch_free(sim.observer);
	store_free(sim.store);
	store_memory_unref(sim.memory);
	doc_rollout_clear(&sim.rollout);
	sim.rollout = (struct doc_rollout){ 0 };
}

/* Invariant 4, and that what was reported is so. */
static void check_end(void)
{
	struct doc_status status;
	struct store_item item;
	char key[64], why[DOC_REASON_MAX];
	struct sim_host *host;
	size_t i;

	if (!is_over(&sim.rollout) || sim.rollout.changing_count)
		violated("the rollout does not end: it is %s with %zu slots",
			 doc_state_name(sim.rollout.state), sim.rollout.changing_count);
	for (i = 0; i < sim.count && !*sim.why; i++) {
		host = &sim.hosts[i];
		if (host->dead || host->liar)
			continue;
		if (host->txn == TXN_UNCONFIRMED || host->txn == TXN_RUNNING)
			violated("4: %s is left in the middle", host->name);
		if (host->types != host->file)
			violated("4: %s has %s types and %s file", host->name,
				 host->types ? "new" : "old", host->file ? "a new" : "an old");
		snprintf(key, sizeof(key), PREFIX "/status/" POOL "/%s", host->name);
		must(!store_get(sim.store, key, &item));
		must(doc_status_parse(&status, item.value, item.size, why));
		store_item_clear(&item);
		if (status.phase != PHASE_ENDED)
			violated("%s ends %s", host->name, doc_phase_name(status.phase));
		else if ((status.end == END_DONE) != host->types &&
			 !(status.end == END_NOTHING && host->types))
			violated("4: %s reports %s with %s types", host->name,
				 doc_end_name(status.end), host->types ? "new" : "old");
	}
}

static bool run_seed(uint64_t seed)
{
	long steps = 300 * (long)(sim.count + COORDINATORS), quiet = 20 * steps, i;
	size_t actor, h;

	*sim.why = '\0';
	begin(seed);
	for (i = 0; i < steps + quiet && !*sim.why; i++) {
		sim.faults = i < steps;
		sim.now += sim.faults ? roll(400) : roll(2000);
		late_writes();
		for (h = 0; h < sim.count; h++)
			kernel(&sim.hosts[h]);
		actor = roll(sim.count + 4 * COORDINATORS);
		if (actor < sim.count)
			host_step(&sim.hosts[actor]);
		else
			coordinator_step(&sim.coordinators[actor % COORDINATORS],
					 actor % COORDINATORS);
		if (!roll(sim.faults ? 400 : 50))
			person(!sim.faults);
		observe();
		if (!sim.faults && is_over(&sim.rollout) && !sim.rollout.changing_count &&
		    !sim.late)
			break;
	}
	if (!*sim.why)
		check_end();
	finish();
	return !*sim.why;
}

int main(int argc, char **argv)
{
	uint64_t seed, first, count;
	size_t v;

	if (argc < 3) {
		fprintf(stderr, "usage: %s FIRST COUNT [HOSTS [VARIANT [-v]]]\n", argv[0]);
		return 2;
	}
	first = strtoull(argv[1], NULL, 10);
	count = strtoull(argv[2], NULL, 10);
	sim.count = argc > 3 ? strtoul(argv[3], NULL, 10) : 8;
	for (v = 0; argc > 4 && strcmp(argv[4], variants[v]);) {
		if (++v == VARIANTS) {
			fprintf(stderr, "fleet-sim: no variant %s\n", argv[4]);
			return 2;
		}
	}
	sim.variant = argc > 4 ? v : NOT_BROKEN;
	sim.verbose = argc > 5;
	if (!sim.count)
		return 2;
	for (seed = first; seed < first + count; seed++) {
		if (!run_seed(seed)) {
			printf("seed %" PRIu64 ": %s\n", seed, sim.why);
			return 1;
		}
	}
	printf("%" PRIu64 " seeds of %zu hosts\n", count, sim.count);
	return 0;
}
