/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands of "iommucfg fleet" share. Each returns an exit status. */
#ifndef FLEET_CLI_H
#define FLEET_CLI_H

#include <json.h>

#include "conf.h"
#include "doc.h"
#include "step.h"
#include "words.h"

/* As those of iommucfg. */
enum {
	EXIT_DONE = 0,		/* and all in force */
	EXIT_ERROR = 1,
	EXIT_DIFFERS = 2,	/* in progress */
	EXIT_REFUSED = 3,	/* halted */
	EXIT_PERSON = 5,	/* failed or lost hosts */
};

struct fleet_options {
	const char *pool, *command;
	struct doc_rollout rollout;	/* for start; numbers that were not given are 0 */
	const char *fingerprint, *output, *why;
	long to;			/* generation; -1: not given */
	bool json, now, yes, watch, hosts, back, skip_incapable;
	uint64_t given;			/* options, see cli.c */
};

struct fleet_pool {
	struct doc_pool pool;
	struct doc_rollout rollout;
	int64_t pool_rev, rollout_rev;
	bool has_rollout;
	bool rollout_gone;		/* the pool names one that does not exist */
};

/* No host has as many. */
#define GROUPS_MAX 1000000

/* A host as it says of itself. */
struct fleet_host {
	char name[DOC_HOST_MAX + 1];
	struct doc_status status;
	bool bad;			/* the status cannot be read, see @problem */
	struct json_object *facts;	/* all of the status, or NULL */
	char kernel[65], module[33], problem[DOC_REASON_MAX + 32];
	long drift;			/* groups; -1: not known */
	struct json_object *in_use;	/* an array of what is in use, or NULL: not known */
	int64_t in_use_more;		/* groups that had no room in it */
};

struct fleet_hosts {
	struct fleet_host *hosts;
	size_t count;
};

struct plan_count {
	size_t change, nothing, cannot, too_old;
};

/* What is wrong, to standard error, and into the document of --json if there is no other. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints what the store says, and returns the status that goes with it. */
int cli_failed(struct conf *conf, const char *what, enum store_result result);

/* Whether that was for a store that may be there again later. */
bool cli_unreachable(void);

void cli_key(const struct conf *conf, char *key, const char *kind, const char *first,
	     const char *second);

/* Is there a document? EXIT_DONE or what cli_failed() says. */
int cli_exists(struct conf *conf, const char *key, bool *exists);

/* Reads pool and rollout; EXIT_DONE or what cli_failed() says. For doc_rollout_clear(). */
int cli_read(struct conf *conf, const char *pool, struct fleet_pool *into);

/* Asks on a terminal; without one the answer is no. */
bool cli_ask(const struct fleet_options *options, const char *question);

/* Those that the selector of @options takes. EXIT_DONE or what cli_failed() says. */
int cli_hosts(struct conf *conf, const struct fleet_options *options, struct fleet_hosts *hosts);
/* EXIT_ERROR, with a message, for a pool of which there is neither a setting nor a document. */
int cli_pool_exists(struct conf *conf, const struct fleet_options *options,
		    const struct fleet_hosts *hosts);
void cli_hosts_clear(struct fleet_hosts *hosts);
/* What a rollout of this policy would be to a host: "change", "nothing", "cannot". */
const char *cli_would(const struct fleet_host *host, const char *policy, const char **why);
void cli_plan_count(const struct fleet_hosts *hosts, const char *policy, struct plan_count *count);
/* The same in words; @text has PLAN_TEXT_MAX bytes, and is what is returned. */
#define PLAN_TEXT_MAX 128
const char *cli_plan_text(const struct plan_count *count, char *text);
/* Of what a plan says of each host. */
void cli_fingerprint(const struct fleet_hosts *hosts, const char *policy,
		     char fingerprint[DOC_HASH_MAX + 1]);
/* All of a pool, the oldest first. */
int cli_rollouts(struct conf *conf, const char *pool, struct doc_rollout **rollouts,
		 size_t *count);
void cli_rollouts_free(struct doc_rollout *rollouts, size_t count);
struct json_object *cli_json_host(const struct fleet_host *host);
/* Prints and frees it. */
void cli_print(struct json_object *o);
/* "1 host", "2 hosts"; @text has COUNT_MAX bytes, and is what is returned. */
#define COUNT_MAX 64
const char *cli_count(char *text, size_t n, const char *one);
/*
 * The document of a policy's file as it is stored, to be freed, and its name. NULL: it is
 * wrong, the reason was printed.
 */
char *cli_policy(const char *file, char name[DOC_HASH_MAX + 1]);
/* With --json, what was done: the document of a command that changes something. */
void cli_done(const struct fleet_options *options, const char *rollout, const char *result);
/* Who asks, for people. */
void cli_who(char who[DOC_WHO_MAX]);

int cmd_plan(struct conf *conf, const struct fleet_options *options, const char *file);
int cmd_drift(struct conf *conf, const struct fleet_options *options);
int cmd_history(struct conf *conf, const struct fleet_options *options);
int cmd_report(struct conf *conf, const struct fleet_options *options);
int cmd_status(struct conf *conf, const struct fleet_options *options);
int cmd_start(struct conf *conf, const struct fleet_options *options, const char *file);
int cmd_rollback(struct conf *conf, const struct fleet_options *options);
int cmd_change(struct conf *conf, const struct fleet_options *options, const char *verb,
	       const char *host);

#endif
