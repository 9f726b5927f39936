/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands of "iommucfg fleet" share. Each returns an exit status. */
#ifndef FLEET_CLI_H
#define FLEET_CLI_H

#include "conf.h"
#include "doc.h"
#include "step.h"

/* As those of iommucfg. */
enum {
	EXIT_DONE = 0,		/* and all in force */
	EXIT_ERROR = 1,
	EXIT_DIFFERS = 2,	/* in progress */
	EXIT_REFUSED = 3,
	EXIT_REVERTED = 4,	/* halted */
	EXIT_PERSON = 5,	/* failed or lost hosts */
};

struct fleet_options {
	const char *pool;
	struct doc_rollout rollout;	/* for start; numbers that were not given are 0 */
	bool json, now, yes;
};

struct fleet_pool {
	struct doc_pool pool;
	struct doc_rollout rollout;
	int64_t pool_rev, rollout_rev;
	bool has_rollout;
};

/* Prints what the store says, and returns the status that goes with it. */
int cli_failed(struct conf *conf, const char *what, enum store_result result);

void cli_key(const struct conf *conf, char *key, const char *kind, const char *first,
	     const char *second);

/* Reads pool and rollout; EXIT_DONE or what cli_failed() says. For doc_rollout_clear(). */
int cli_read(struct conf *conf, const char *pool, struct fleet_pool *into);

/* How many hosts have a status. */
int cli_count_hosts(struct conf *conf, const char *pool, size_t *count);

/* Asks on a terminal; without one the answer is no. */
bool cli_ask(const struct fleet_options *options, const char *question);

int cmd_status(struct conf *conf, const struct fleet_options *options);
int cmd_start(struct conf *conf, const struct fleet_options *options, const char *file);
int cmd_rollback(struct conf *conf, const struct fleet_options *options);
int cmd_change(struct conf *conf, const struct fleet_options *options, const char *verb,
	       const char *host);

#endif
