// SPDX-License-Identifier: GPL-2.0
/* The hosts of the simulator: kernels and disks that are made up, and real agents. */
#include "sim.h"

/* Each turn is one of all hosts: with more of them a report takes longer. */
static int interval(void)
{
	return sim.count < 700 ? 600 + 120 * sim.count : 86400;
}

static void report(struct sim_host *host, int attempt)
{
	char facts[96];

	snprintf(facts, sizeof(facts), "{\"attempt\":%d,\"labels\":{},\"report_interval\":%d}",
		 attempt, interval());
	must(agent_report(host->agent, facts));
	host->report_at = sim.now + interval() * 1000;
}

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
	report(host, 0);
}

void boot(struct sim_host *host)
{
	snprintf(host->boot, sizeof(host->boot), "boot-%d", ++host->boots);
	host->types = host->file;
	host->txn = TXN_NONE;
	host->attempt = 0;
	start_agent(host);
}

/* What its kernel does by itself. */
void kernel(struct sim_host *host)
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
	if (!host->ready)
		violated("7: %s commits without its own hook", host->name);
	if (sim.hooks && !host->prepared)
		violated("7: %s commits without its hook", host->name);
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
	result->code = CONFIRM_UNKNOWN;
	if (host->txn == TXN_UNCONFIRMED) {
		if (!host->proven)
			violated("2: %s is confirmed without a proof", host->name);
		host->txn = TXN_KEPT;
	}
	/* The file may not be written; or it is, and the command dies before it says so. */
	if (host->txn == TXN_KEPT && !fault(20)) {
		host->file = true;
		if (!fault(20))
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
		result.code = fault(10) ? PLAN_AGAIN : host->refuses ? PLAN_REFUSED :
			      host->types || host->nothing ? PLAN_NOTHING : PLAN_CHANGES;
		break;
	case AGENT_PRE:
		host->ready = true;
		result.code = !host->pre_fails;
		break;
	case AGENT_POST:
		host->ready = false;
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
	"wait", "store", "save", "plan", "hook pre", "hook post", "apply", "probe", "look", "confirm",
	"roll back",
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
		put.value = text = doc_status_print(&status, NULL);
	}
	put.size = strlen(put.value);
	must(!store_put(sim.store, &put, NULL));
	free(text);
}

void host_step(struct sim_host *host)
{
	if (host->liar && fault(20))
		lie(host);
	if (host->dead && fault(50)) {
		say("%s: comes back", host->name);
		host->dead = host->changing = false;
		boot(host);
	}
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
	/* No member of it may replace one of the agent's. */
	if (fault(60) || sim.now >= host->report_at)
		report(host, 7);
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
