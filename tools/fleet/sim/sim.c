// SPDX-License-Identifier: GPL-2.0
/*
 * fleet-sim FIRST COUNT [HOSTS [VARIANT [-v]]]: simulates a rollout for each of COUNT
 * seeds, the first of which is FIRST.
 *
 * Two coordinators and HOSTS agents, the real state machines, over the store in memory.
 * What surrounds them is made up: kernels, disks, networks, a person who pauses, halts,
 * resumes and forgets dead hosts, some of which come back later. Between any two steps answers
 * are lost, writes come late, programs crash, hosts reboot, die or lie. An observer, which
 * sees each write to the store and each step of a kernel, checks at every one:
 *
 *   1 at most max_changing hosts between begin and end
 *   2 confirmed only after a proof through a connection from after the commit
 *   3 no slot is taken once a rule or a person has halted the rollout
 *   5 at most one commit for each host and attempt
 *   6 a host begins only with a live grant for its machine
 *
 *   7 with hooks, a host commits only after its hook "before" has ended well
 *
 * and in the end, when the faults have ceased:
 *
 *   4 each host has all old or all new types, the file that says so, and reports it
 *   7 with hooks, each is back in service, unless it failed
 *   - the rollout is over
 *
 * A seed decides everything: a failing one fails again. With VARIANT something is broken
 * on purpose, and must be found.
 */
#include <stdarg.h>

#include "sim.h"

static const char *const variants[] = {
	"none", "blind-grant", "blind-take", "blind-revoke", "blind-begin", "slot-lease",
	"old-connection", "no-journal", "confirm-unproven", "hook-later",
	"forget-at-once",
};
#define VARIANTS (sizeof(variants) / sizeof(*variants))

struct sim sim;

void violated(const char *format, ...)
{
	va_list ap;

	if (*sim.why)
		return;
	va_start(ap, format);
	vsnprintf(sim.why, sizeof(sim.why), format, ap);
	va_end(ap);
}

void say(const char *format, ...)
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
uint64_t roll(uint64_t sides)
{
	sim.random ^= sim.random >> 12;
	sim.random ^= sim.random << 25;
	sim.random ^= sim.random >> 27;
	return (sim.random * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

bool fault(uint64_t one_in)
{
	return sim.faults && !roll(one_in);
}

void must(bool ok)
{
	if (!ok) {
		fprintf(stderr, "fleet-sim: out of memory, or a bug of the simulator\n");
		exit(2);
	}
}

static void start_coordinator(struct sim_coordinator *s)
{
	const struct coordinator_options options = {
		.prefix = PREFIX, .pool = POOL, .lost_after_ms = 120000,
		.has_before = sim.hooks && sim.variant != HOOK_LATER,
		.has_after = sim.hooks,
	};
	struct store_list list;
	size_t i;

	hook_stop(s);
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
	hook_step(s);
	/* Its watch is behind. */
	for (events = sim.faults ? roll(8) : 1000; events; events--) {
		if (store_watch_next(s->watch, 0, &item))
			break;
		must(coordinator_see(s->c, &item, sim.now));
		store_item_clear(&item);
	}
	must(coordinator_next(s->c, sim.now, &s->step));
	if (s->step.kind == STEP_HOOK && number == sim.leader) {
		hook_start(s);
		must(coordinator_done(s->c, &s->step, STORE_OK, NULL, sim.now));
	}
	if (s->step.kind == STEP_WAIT || s->step.kind == STEP_HOOK)
		step_clear(&s->step);
	else
		s->acting = true;
}

/* Another one leads; the hooks of the one before are killed. */
static void change_leader(void)
{
	hook_stop(&sim.coordinators[sim.leader]);
	coordinator_unhook(sim.coordinators[sim.leader].c);
	sim.leader = (sim.leader + 1) % COORDINATORS;
}

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

/* Of the status of a host; 0: it cannot be read. */
static int64_t read_seq(const struct sim_host *host)
{
	struct doc_status status;
	struct store_item item;
	char key[64], why[DOC_REASON_MAX];

	snprintf(key, sizeof(key), PREFIX "/status/" POOL "/%s", host->name);
	must(!store_get(sim.store, key, &item));
	doc_status_parse(&status, item.value, item.size, why);
	store_item_clear(&item);
	return status.seq;
}

static bool is_over(const struct doc_rollout *rollout)
{
	return rollout->state == STATE_COMPLETE;
}

/* @quiet: the faults are over, and the rollout is to come to its end. */
static void person(bool quiet)
{
	struct doc_rollout rollout;
	struct sim_host *host;
	bool changed = false;
	int64_t rev;
	size_t i;

	read_rollout(&rollout, &rev);
	for (i = 0; i < sim.count; i++) {
		host = &sim.hosts[i];
		if (!doc_slot_of(&rollout, host->name))
			continue;
		if (sim.variant == SLOT_LEASE && !roll(20)) {
			doc_slot_remove(&rollout, host->name);
			changed = true;
		}
		/* They are known to be off. */
		if ((host->dead || host->liar) && (quiet || !roll(10)) &&
		    doc_rollout_forget(&rollout, host->name, read_seq(host))) {
			say("person: forget %s", host->name);
			host->changing &= !host->dead;
			host->forgotten = true;
			if (sim.variant == FORGET_AT_ONCE) {
				must(doc_failure_add(&rollout, host->name, END_LOST, ""));
				doc_slot_remove(&rollout, host->name);
			}
			changed = true;
		}
	}
	if ((rollout.state == STATE_HALTED || rollout.state == STATE_PAUSED) &&
	    (quiet || !roll(4))) {
		doc_rollout_resume(&rollout);
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
	rollout.max_refused = roll(sim.count);
	rollout.soak = roll(2) * 60;
	put_first(PREFIX "/rollout/" POOL "/r1", doc_rollout_print(&rollout));
	put_first(PREFIX "/pool/" POOL, doc_pool_print(&pool));
	sim.hooks = roll(2);
	sim.leader = 0;
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
		host->pre_fails = !roll(20);
		memcpy(status.machine, host->machine, sizeof(host->machine));
		snprintf(key, sizeof(key), PREFIX "/status/" POOL "/%s", host->name);
		put_first(key, doc_status_print(&status, NULL));
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
		hook_stop(&sim.coordinators[i]);
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

/* It was forgotten, or the hook before its change did not go. */
static bool was_left_out(const struct sim_host *host)
{
	size_t i;

	for (i = 0; i < sim.rollout.failure_count; i++) {
		if (!strcmp(sim.rollout.failures[i].host, host->name) &&
		    sim.rollout.failures[i].end == END_REFUSED)
			return true;
	}
	return host->forgotten;
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
		if (host->ready)
			violated("7: %s is not put back by its own hook", host->name);
		if (host->prepared && status.end != END_FAILED && !host->forgotten)
			violated("7: %s is not back in service", host->name);
		if (status.phase != PHASE_ENDED &&
		    (status.phase != PHASE_IDLE || !was_left_out(host)))
			violated("%s ends %s", host->name, doc_phase_name(status.phase));
		else if (status.phase == PHASE_ENDED && (status.end == END_DONE) != host->types &&
			 !(status.end == END_NOTHING && host->types))
			violated("4: %s reports %s with %s types", host->name,
				 doc_end_name(status.end), host->types ? "new" : "old");
	}
}

/*
 * Whose turn it is. Towards the end of a large fleet only a few hosts still have a slot: when
 * the faults are over these have every other turn, so that the number of steps until the end
 * grows with the number of hosts and not with its square.
 */
static size_t next_actor(void)
{
	const struct doc_rollout *r = &sim.rollout;
	size_t i, slot;

	if (sim.faults || !r->changing_count || !roll(2))
		return roll(sim.count + 4 * COORDINATORS);
	slot = roll(r->changing_count + COORDINATORS);
	if (slot >= r->changing_count)
		return sim.count + slot - r->changing_count;
	for (i = 0; i < sim.count && strcmp(sim.hosts[i].name, r->changing[slot].host); i++)
		;
	return i;
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
		actor = next_actor();
		if (actor < sim.count)
			host_step(&sim.hosts[actor]);
		else
			coordinator_step(&sim.coordinators[actor % COORDINATORS],
					 actor % COORDINATORS);
		if (fault(500))
			change_leader();
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
