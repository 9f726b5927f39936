/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the coordinator's program share. Its configuration has, besides what
 * conf.h says:
 *
 *	hooks = {
 *		before = "/etc/iommucfg/fleet/drain";	// before a host gets its slot
 *		after = "/etc/iommucfg/fleet/uncordon";	// after it has given it back
 *		timeout = 600;				// seconds for each call
 *	};
 *	metrics = "/run/iommucfg-fleet/iommucfg-fleet.prom";
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "conf.h"
#include "coordinator.h"

#define HOOK_SECONDS	600
#define SAID_MAX	256

struct hook_config {
	char *before, *after;
	int timeout;
	char *metrics;
};

struct pool {
	const char *name;
	struct coordinator *coordinator;
	struct store_lead *lead;
	int64_t keep_at;	/* when to keep the lead, or to try to lead */
	int64_t kept_at;	/* when the lead was kept last */
	int64_t step_at;	/* no step before */
	char said[SAID_MAX], said_document[SAID_MAX];
};

/* Of a clock that goes on while the machine sleeps. */
int64_t now_ms(void);

/* fleet-hooks.c: calls of hooks */
struct hook_run;

/* Takes what @config has; data: struct hook_config. As conf_open_with() wants it. */
bool hooks_take(struct conf *conf, config_t *config, const char *file, void *data);
void hooks_config_clear(struct hook_config *config);
/* Starts what @step of @pool says, unless it is at work. */
void hooks_start(struct hook_run **runs, const struct hook_config *config, struct pool *pool,
		 const struct step *step, int64_t now);
/* Reports those that are over to the coordinators of their pools. */
void hooks_collect(struct hook_run **runs, int64_t now);
/* Ends those of @pool: another coordinator calls them again. */
void hooks_stop(struct hook_run *runs, const struct pool *pool);
/* Ends all of them, and frees @runs. */
void hooks_end(struct hook_run *runs);

/* fleet-metrics.c: the file for node_exporter's textfile collector */
void metrics_write(const char *path, const struct pool *pools, size_t count);

#endif
