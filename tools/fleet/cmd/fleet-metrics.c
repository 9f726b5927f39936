// SPDX-License-Identifier: GPL-2.0
/* What the coordinator's pools are at, for node_exporter's textfile collector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fleet.h"

/* One value of one metric of a pool. */
static void value(FILE *f, const struct pool *pool, const char *name, const char *label,
		  const char *word, double number)
{
	fprintf(f, "iommucfg_fleet_%s{pool=\"%s\"", name, pool->name);
	if (label)
		fprintf(f, ",%s=\"%s\"", label, word);
	fprintf(f, "} %.0f\n", number);
}

static void lead(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	(void)r;
	value(f, pool, "lead", NULL, NULL, pool->lead != NULL);
}

static void hosts(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	enum doc_phase phase;

	(void)r;
	for (phase = PHASE_IDLE; phase <= PHASE_ENDED; phase++)
		value(f, pool, "hosts", "phase", doc_phase_name(phase),
		      coordinator_hosts(pool->coordinator, phase));
}

static void silent(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	(void)r;
	value(f, pool, "silent", NULL, NULL, coordinator_silent(pool->coordinator, now_ms()));
}

static void generation(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	value(f, pool, "generation", NULL, NULL, r ? r->generation : 0);
}

static void slots(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	size_t i, silent = 0;

	for (i = 0; r && i < r->changing_count; i++)
		silent += r->changing[i].lost;
	value(f, pool, "slots", "state", "changing", r ? r->changing_count - silent : 0);
	value(f, pool, "slots", "state", "silent", silent);
	value(f, pool, "slots", "state", "hook", r ? r->hook_count : 0);
}

static void rollout_state(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	enum doc_state state;

	for (state = 0; r && state <= STATE_SUPERSEDED; state++)
		value(f, pool, "rollout_state", "state", doc_state_name(state), state == r->state);
}

static void ended(FILE *f, const struct pool *pool, const struct doc_rollout *r)
{
	enum doc_end end;

	for (end = END_DONE; r && end < DOC_ENDS; end++)
		value(f, pool, "ended", "end", doc_end_name(end), r->ended[end]);
}

static const struct {
	const char *name, *help;
	void (*write)(FILE *f, const struct pool *pool, const struct doc_rollout *r);
} gauges[] = {
	{ "lead", "Whether this instance leads the pool.", lead },
	{ "hosts", "Hosts that have reported, by what they are at.", hosts },
	{ "silent", "Hosts among these whose reports have ceased.", silent },
	{ "generation", "Of the pool's policy.", generation },
	{ "slots", "Hosts that are changing, are silent meanwhile, or wait for a hook.", slots },
	{ "rollout_state", "1 for the state that the rollout is in.", rollout_state },
	{ "ended", "Attempts of the rollout by their end.", ended },
};

void metrics_write(const char *path, const struct pool *pools, size_t count)
{
	char *new = NULL;
	size_t i, k;
	FILE *f;
	bool ok;

	if (!path || asprintf(&new, "%s.new", path) < 0)
		return;
	f = fopen(new, "we");
	for (k = 0; f && k < sizeof(gauges) / sizeof(*gauges); k++) {
		fprintf(f, "# HELP iommucfg_fleet_%s %s\n# TYPE iommucfg_fleet_%s gauge\n",
			gauges[k].name, gauges[k].help, gauges[k].name);
		for (i = 0; i < count; i++)
			gauges[k].write(f, &pools[i], coordinator_rollout(pools[i].coordinator));
	}
	ok = f && !ferror(f) && !fchmod(fileno(f), 0644);
	if ((f && fclose(f)) || !ok || rename(new, path))
		fprintf(stderr, SD_WARNING "%s: %m\n", path);
	free(new);
}
