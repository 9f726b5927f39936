/* SPDX-License-Identifier: GPL-2.0 */
/*
 * iommucfgd, what its parts share.
 *
 * The daemon holds no capability. What changes the machine is the command iommucfg, run by
 * "iommucfgd --run ACTION NAME" (run.c): where systemd is at work, in a separate unit for
 * each call, so that it does not end with the daemon; elsewhere as a child in a separate
 * session. Both sides know the same directory, /var/lib/iommucfg/fleet:
 *
 *	journal		see journal.h
 *	candidate.conf	the policy of the attempt
 *	change		the attempt: files, groups with their types before and after, links
 *	result		what the last call of --run came to
 *	lock		held while a call of --run, or a command that it has started, is at
 *			work, and while the agent judges what they have left
 *	in-force	the policy that was installed last, by its name in the store; and what
 *			the groups were that the fleet has changed, before that
 */
#ifndef FLEET_DAEMON_H
#define FLEET_DAEMON_H

#include <json.h>
#include <limits.h>

#include "agent.h"
#include "settings.h"
#include "words.h"

#define STATE_DIR	"/var/lib/iommucfg/fleet"
#define POLICY_FILE	"/etc/iommucfg.d/50-fleet.conf"
#define PROBE_DIR	"/etc/iommucfg/fleet.d"
#define PRE_DIR		"/etc/iommucfg/fleet-pre.d"
#define POST_DIR	"/etc/iommucfg/fleet-post.d"
#define NAME_MAX_TXN	(IOMMUCFG_TXN_NAME_MAX + 1)

struct host {
	struct iommucfg *ctx;
	char root[PATH_MAX / 2];
	char machine[DOC_MACHINE_MAX + 1], boot[DOC_MACHINE_MAX + 1];
	char kernel[65];
};

struct daemon {
	struct settings settings;
	struct conf conf;
	struct host host;
	struct agent *agent;
	struct store_watch *watch;
	const char *config, *runner;	/* runner: a program instead of ourselves */
	char problem[DOC_REASON_MAX];	/* of the attempt; "" where there is none */
	int lock;			/* see look(); -1: not held */
	/* for the report and the metrics */
	long planned_groups, planned_devices, planned_in_use;
	long drift;			/* groups; -1: not known */
	bool connected;
	int64_t proof_at;		/* wall clock, for metrics only; 0: none yet */
	long ended[DOC_ENDS];
};

/* host.c */
bool host_open(struct host *host, const char *root);
void host_close(struct host *host);
/* @path: PATH_MAX bytes */
void host_path(const struct host *host, char *path, const char *what);
void host_state(const struct host *host, char *path, const char *file);
/*
 * Takes the lock of a call of --run, whose file is @path then. To be closed; or -1 with errno,
 * EWOULDBLOCK where another has it.
 */
int host_lock(const struct host *host, char *path);
/* A file as a text of at most @max bytes, to be freed; NULL: there is none, or it is larger. */
char *host_read(const char *path, size_t max);
bool host_write(const char *path, const char *text, size_t size);

/* fetch.c: the text of a policy of the store, to be freed; NULL with the @code in its place */
char *policy_fetch(struct daemon *d, const char *name, int *code);
/* The fleet's file is to go. */
bool policy_is_way_back(const struct daemon *d);
/* Whether the fleet may ask for this here; else the reason is in d->problem. */
bool policy_allowed(struct daemon *d, const char *text);

/* plan.c: an enum agent_plan */
int plan_attempt(struct daemon *d);
/* What the system's files would change now, and of which rules; d->drift. A JSON object. */
struct json_object *plan_drift(struct daemon *d);
/* Whether the system's files ask for nothing that is not so. */
bool plan_in_force(struct daemon *d);

/*
 * use.c: adds to a report which groups are in use, in "in_use", and in "in_use_more" how many had
 * no room there; nothing in the middle of a change, or where it cannot be told.
 */
void use_report(struct daemon *d, struct json_object *o);

/* before.c: what there was before the fleet's first change. Whether there is a fleet's file. */
bool before_exists(const struct host *host);
/* A policy that is the way back, to be freed; NULL without memory. */
char *before_policy(const struct host *host);
/*
 * The attempt's policy is installed, or removed: remembers groups that were not changed by the
 * fleet until now, or forgets all. Once more is as good as once.
 */
bool before_keep(const struct host *host, const struct doc_journal *journal);
/* Whether what was installed last has this name in the store. */
bool before_is(const struct host *host, const char *policy);

/*
 * look.c: where the kernel is with the attempt. No call of --run begins before look_over(): one
 * that is started late would find a journal that says that it is to be applied, until the end
 * that follows from the look is saved.
 */
void look(struct daemon *d, struct agent_result *result);
void look_over(struct daemon *d);
/* Whether the fleet's file is the one of the attempt. */
bool look_installed(const struct daemon *d);
/* Whether a call of --run, or its command, is at work. */
bool look_running(const struct host *host);

/* links.c: links and routes, before and after */
struct json_object *links_now(const struct host *host);
/*
 * Whether packets by @upper may go over @lower: they are the same, or a bond, a bridge or a
 * VLAN is in between, or it is a virtual interface of which that cannot be told.
 */
bool links_stands_on(const struct host *host, const char *upper, const char *lower);
/* Adds a name to an array in which it is not yet. */
void links_add_once(struct json_object *array, const char *name);
/* Waits at most @ms until all of @before is there; else what is missing is in @what. */
bool links_wait(const struct host *host, struct json_object *before, int64_t ms, char *what,
		size_t size);

/* reach.c: interfaces that have a way to a member now, as the keys of an object */
struct json_object *reach_ways(const struct conf *conf);
/* Of the addresses in the settings those that answer, as an array. */
struct json_object *reach_addresses(struct daemon *d);
/* Waits at most @ms until all of @before answer; else one that does not is in d->problem. */
bool reach_wait(struct daemon *d, struct json_object *before, int64_t ms);
/*
 * The write of @step over each interface of the attempt; it follows over any with step->rev.
 * @first: when the first one was answered; left alone where there is none
 */
enum store_result reach_prove(struct daemon *d, struct step *step, int64_t *first);

/* main.c: an enum agent_confirmed; without groups that change it installs the policy alone */
int act_confirm(struct daemon *d);

/* act.c: calls of --run; the exit status, or -1 where it is not known */
int act(struct daemon *d, const char *action, struct json_object **document);
void attempt_name(const struct doc_journal *journal, char *name);

/* run.c: "iommucfgd --run ACTION NAME" */
int run_action(const char *action, const char *name);

/* report.c */
bool report(struct daemon *d);
void metrics_write(struct daemon *d);

/* main.c */
bool stopping(void);
void alive(void);	/* for systemd's watchdog */
void note(const char *priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t now_ms(void);

#endif
