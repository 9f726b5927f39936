// SPDX-License-Identifier: GPL-2.0
/* What the coordinator's pools are at, for node_exporter's textfile collector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fleet.h"

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP iommucfg_fleet_%s %s\n# TYPE iommucfg_fleet_%s %s\n", name, help, name,
		type);
}

struct gauge {
	const char *name, *type, *help;
	double (*value)(const struct pool *pool, const struct doc_rollout *r);
};

static double leads(const struct pool *pool, const struct doc_rollout *r)
{
	(void)r;
	return pool->lead != NULL;
}

static double hosts(const struct pool *pool, const struct doc_rollout *r)
{
	(void)r;
	return coordinator_hosts(pool->coordinator);
}

static double generation(const struct pool *pool, const struct doc_rollout *r)
{
	(void)pool;
	return r ? r->generation : 0;
}

static double changing(const struct pool *pool, const struct doc_rollout *r)
{
	(void)pool;
	return r ? r->changing_count : 0;
}

static double silent(const struct pool *pool, const struct doc_rollout *r)
{
	double n = 0;
	size_t i;

	(void)pool;
	for (i = 0; r && i < r->changing_count; i++)
		n += r->changing[i].lost;
	return n;
}

static double hooks(const struct pool *pool, const struct doc_rollout *r)
{
	(void)pool;
	return r ? r->hook_count : 0;
}

static const struct gauge gauges[] = {
	{ "leads", "gauge", "Whether this instance leads the pool.", leads },
	{ "hosts", "gauge", "Hosts that have reported.", hosts },
	{ "generation", "gauge", "Of the pool's policy.", generation },
	{ "changing", "gauge", "Hosts that have a slot.", changing },
	{ "silent", "gauge", "Hosts with a slot that are silent.", silent },
	{ "hooks", "gauge", "Hosts that wait for a hook.", hooks },
};

static void write_rollouts(FILE *f, const struct pool *pools, size_t count)
{
	const struct doc_rollout *r;
	size_t i, k;

	head(f, "rollout_state", "gauge", "1 for the state that the rollout is in.");
	for (i = 0; i < count; i++) {
		r = coordinator_rollout(pools[i].coordinator);
		for (k = 0; r && k <= STATE_SUPERSEDED; k++)
			fprintf(f, "iommucfg_fleet_rollout_state{pool=\"%s\",state=\"%s\"} %d\n",
				pools[i].name, doc_state_name(k), k == r->state);
	}
	head(f, "ended", "gauge", "Attempts of the rollout by their end.");
	for (i = 0; i < count; i++) {
		r = coordinator_rollout(pools[i].coordinator);
		for (k = END_DONE; r && k < DOC_ENDS; k++)
			fprintf(f, "iommucfg_fleet_ended{pool=\"%s\",end=\"%s\"} %ld\n",
				pools[i].name, doc_end_name(k), r->ended[k]);
	}
}

void metrics_write(const char *path, const struct pool *pools, size_t count)
{
	char *new = NULL;
	const struct gauge *g;
	size_t i;
	FILE *f;
	bool ok;

	if (!path || asprintf(&new, "%s.new", path) < 0)
		return;
	f = fopen(new, "we");
	for (g = gauges; f && g < gauges + sizeof(gauges) / sizeof(*gauges); g++) {
		head(f, g->name, g->type, g->help);
		for (i = 0; i < count; i++)
			fprintf(f, "iommucfg_fleet_%s{pool=\"%s\"} %.0f\n", g->name,
				pools[i].name,
				g->value(&pools[i], coordinator_rollout(pools[i].coordinator)));
	}
	if (f)
		write_rollouts(f, pools, count);
	ok = f && !ferror(f) && !fchmod(fileno(f), 0644);
	if ((f && fclose(f)) || !ok || rename(new, path))
		fprintf(stderr, SD_WARNING "%s: %m\n", path);
	free(new);
}
