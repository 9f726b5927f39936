/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the command share. */
#ifndef IOMMUCFG_CLI_H
#define IOMMUCFG_CLI_H

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "iommucfg.h"
#include "../lib/history.h"
#include "../lib/json.h"
#include "../lib/state.h"

struct command;
struct json_object;

/* Exit codes. Of several the first in the order 5, 4, 1, 3, 2, 0 counts. */
enum {
	EXIT_DONE	= 0,
	EXIT_BAD	= 1,	/* usage, policy, input, system */
	EXIT_CHANGE	= 2,	/* there is something to change */
	EXIT_REFUSED	= 3,	/* nothing was touched */
	EXIT_RESTORED	= 4,	/* tried, failed, as before */
	EXIT_BROKEN	= 5,	/* needs a person */
};

struct cli {
	const struct command *commands;	/* all that there are, for --help */
	const char *command;
	const char *document;	/* where its name is not the command's */
	char **argv;		/* as it was given */
	const char *root;
	bool json, quiet, color_off;
	int verbose;
	/* of tables */
	const char *columns;
	bool raw, noheadings, list;
	struct iommucfg *ctx;
	struct iommucfg_problems *problems;
	size_t told;		/* how many of them standard error has had */
};

/* A row of the table of commands, which ends with a name of NULL. */
struct command {
	const char *name;
	const char *args;
	const char *summary;
	int (*run)(struct cli *cli, int argc, char **argv);
	const char *help;
};

/* cli.c */
/* Codes of long options; those of one letter are that letter. */
enum {
	OPT_ROOT = 256, OPT_JSON, OPT_NO_COLOR, OPT_RAW, OPT_NOHEADINGS,
	OPT_CONFIRM_TIMEOUT, OPT_ALLOW_IN_USE, OPT_SKIP_IN_USE, OPT_YES, OPT_DETACH,
	OPT_SETTLE, OPT_NAME, OPT_FORGET, OPT_TO, OPT_BOOT,
	OPT_DISRUPTION, OPT_ONLY, OPT_TRIES, OPT_INITRAMFS, OPT_STRICT, OPT_SAVE, OPT_PLAN,
	OPT_CHECK_COMMAND, OPT_DATA_ONLY, OPT_INSTALL, OPT_PRIVATE,
};

#define CLI_SHORT	"hqvV"
#define CLI_LONG \
	{ "help", no_argument, NULL, 'h' }, \
	{ "json", no_argument, NULL, OPT_JSON }, \
	{ "no-color", no_argument, NULL, OPT_NO_COLOR }, \
	{ "quiet", no_argument, NULL, 'q' }, \
	{ "root", required_argument, NULL, OPT_ROOT }, \
	{ "verbose", no_argument, NULL, 'v' }, \
	{ "version", no_argument, NULL, 'V' }

#define CLI_TABLE_SHORT	"lo:"
#define CLI_TABLE_LONG \
	{ "list", no_argument, NULL, 'l' }, \
	{ "noheadings", no_argument, NULL, OPT_NOHEADINGS }, \
	{ "output", required_argument, NULL, 'o' }, \
	{ "raw", no_argument, NULL, OPT_RAW }

/* usage.c */
void usage_document(struct cli *cli, int error, const char *message);

/* cli-unknown.c */
int cli_unknown_option(struct cli *cli, char **argv, const struct option *options);

/* An option that all commands know; -1 to go on, else the exit code. */
int cli_getopt(struct cli *cli, int argc, char **argv, const char *shorts,
	       const struct option *options, int *opt);
int cli_option(struct cli *cli, int opt, char **argv, const struct option *options);
int cli_plain_options(struct cli *cli, int argc, char **argv);
int cli_unknown_command(struct cli *cli, const char *word);
const struct command *cli_command(const struct cli *cli, const char *word);
/*
 * Reads the options of a command: those that all commands have, and those of @own,
 * which returns 0 for an option that it took, 1 for a wrong value, and -1 for an option
 * that it does not know. Returns -1 when the command can go on, else the exit code.
 */
typedef int (*cli_option_fn)(struct cli *cli, int opt, void *data);
int cli_options(struct cli *cli, int argc, char **argv, const char *shorts,
		const struct option *options, cli_option_fn own, void *data);
int cli_table_option(struct cli *cli, int opt, void *unused);
int cli_file_option(struct cli *cli, int opt, void *file);
int cli_table_options(struct cli *cli, int argc, char **argv);
int cli_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_open(struct cli *cli);
void cli_tell(struct cli *cli);
void cli_tell_list(struct cli *cli, const struct iommucfg_problems *problems);
void cli_note(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_debug(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_worse(int a, int b);
int cli_number(struct cli *cli, const char *what, const char *text, long min, long max,
	       long *value);
bool cli_color(const struct cli *cli, FILE *f);
int cli_need_kernel(struct cli *cli);
int cli_need_root(struct cli *cli);
int cli_read_policy(struct cli *cli, struct iommucfg_policy *policy, int argc, char **argv);
int cli_scan_use(struct cli *cli, struct iommucfg_topology *topology);
int cli_nomem(void);
struct recorder cli_recorder(struct cli *cli);

/* wrap.c */
void cli_put_message(const char *text);
void cli_vmessage(const char *prefix, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* printable.c */
void cli_put(FILE *f, const char *text);
void cli_vput(FILE *f, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void cli_put_line(FILE *f, const char *text);

/* table.c */
struct column {
	const char *name;
	bool tree, right;
	bool wrap;		/* has lines of its own */
	int drop;		/* what does not fit goes, 1 first, unless asked for by name */
	int cut;		/* what does not fit then is shortened, 1 first */
};

struct table;
struct libscols_line;
struct table *table_new(struct cli *cli, const struct column *columns, size_t n,
			const char *tree_default, const char *list_default);
struct libscols_line *table_line(struct table *t, struct libscols_line *parent);
void table_set(struct table *t, struct libscols_line *line, size_t column, const char *text);
void table_color(struct table *t, struct libscols_line *line, size_t column, const char *color);
bool table_has(const struct table *t, size_t column);
bool table_flat(const struct table *t);
int terminal_width(int fd);
int table_print(struct table *t);
const char *type_color(const char *type);

/* json-document.c */
struct json_object *json_document(struct cli *cli);
struct json_object *json_plan(struct cli *cli, const struct iommucfg_plan *plan,
			      const char *transaction, const char *result);
int json_print(struct json_object *document, bool pretty);

/* describe.c */
char *describe_device(struct iommucfg_device *device);
char *describe_names(struct iommucfg_device *device, size_t most);
char *describe_uses(const struct iommucfg_device *device);
char *describe_plural(size_t n, const char *one);
const char *describe_policy_type(enum iommucfg_type type);

/* plan-print.c */
int plan_print(struct cli *cli, const struct iommucfg_plan *plan);
void plan_print_verdict(struct cli *cli, const struct iommucfg_plan *plan);

/* signals.c */
void signals_catch(void);
int signals_seen(void);
int signals_last(void);
void signals_forget(void);
int signals_fd(void);
void signals_drain(void);
bool signals_wait(int milliseconds);

/* ask.c */
bool ask_possible(void);
/* 1 yes, 0 no or end of file, -1 a signal came. */
int ask_once(const char *question);
enum iommucfg_run_answer ask_to_keep(long seconds);
void ask_close(void);

/* progress.c */
void progress_show(struct cli *cli, unsigned long done, unsigned long all);
void progress_clear(void);

/* run.c */
#define DEFAULT_SETTLE	(-1)	/* the library's */
#define DEFAULT_TIMEOUT	90	/* at a terminal */

/* As the library's. */
struct run_options {
	long confirm_timeout, default_timeout;
	int allow_in_use;
	bool skip_in_use, only_look, strict;
	enum iommucfg_disruption disruption;
};

struct run {
	struct cli *cli;
	struct iommucfg_run *run;
	/* the library's, as soon as there are any */
	struct iommucfg_topology *topology;
	struct iommucfg_plan *plan;
	/* asked for */
	struct run_options options;
	const char *name;
	long settle;
	bool yes, detach;
	bool early;		/* in the initramfs */
	bool allow_set, disruption_set, timeout_set, settle_set;	/* by the command line */
	char *check_path[2];	/* --check-command */
	char *const *check_command;	/* or NULL */
	long check_timeout;	/* 0: the library's */
	bool check_set;		/* by the command line */
	bool faults_warn;	/* only */
	bool dry;		/* the plan alone, by plan_dry() */
	/*
	 * Makes the plan of run->topology. With @again what it is made of is read anew. An
	 * exit code; the plan may be there with an error as well.
	 */
	int (*make)(struct run *run, bool again);
	void *make_data;
	int (*accept)(struct run *run);	/* once it is staged, or NULL; an exit code */
	bool locked;
	bool hooks;		/* there are some, to be called */
};

int run_lock(struct run *run);
struct iommucfg_plan_options *run_plan_options(const struct run *run);
int run_prepare(struct run *run);
int run_plan_policy(struct run *run, const struct iommucfg_policy *policy);
int run_plan_targets(struct run *run, const struct iommucfg_target *targets, size_t n);
void run_default_timeout(struct run *run);
void run_policy_options(struct run *run, const struct iommucfg_policy *policy);
void run_verdict_options(struct run *run, const struct iommucfg_policy *policy);
void run_nothing(struct run *run);
void run_undoes(struct run *run, long entry);
int run_interrupted(struct run *run);
bool run_asks(const struct run *run);
bool run_plans_twice(const struct run *run);
void run_find_hooks(struct run *run);
int run_judge(struct run *run, int code);
int run_finish(struct run *run, int code);
const char *run_result(const struct run *run);
int run_option(struct cli *cli, int opt, void *run);

/* plan.c */
int plan_dry(struct run *run);
int plan_end(struct run *run, int code, bool quiet);
/* Has the kernel judge the plan, where it is there; an exit code. */
int plan_judge(struct run *run, int code);

/* plan-file.c */
int plan_file_save(struct run *run, const char *file, const struct iommucfg_policy *policy,
		   int num_files, char **files);
int plan_file_load(struct cli *cli, const char *file, struct json_object **out);
void plan_file_options(struct run *run, struct json_object *file);
int plan_file_files(struct json_object *file, char ***files);
const char *plan_file_policy(struct json_object *file);
int plan_file_compare(struct run *run, struct json_object *file,
		      const struct iommucfg_policy *policy);

/* run-standing.c */
void run_standing(struct run *run, const struct iommucfg_policy *policy, int code);

#define RUN_DRY_SHORT	"n"
#define RUN_MORE_LONG \
	{ "check-command", required_argument, NULL, OPT_CHECK_COMMAND }, \
	{ "dry-run", no_argument, NULL, 'n' }, \
	{ "detach", no_argument, NULL, OPT_DETACH }, \
	{ "name", required_argument, NULL, OPT_NAME }, \
	{ "settle", required_argument, NULL, OPT_SETTLE }, \
	{ "yes", no_argument, NULL, OPT_YES }

#define RUN_STRICT_LONG	{ "strict", no_argument, NULL, OPT_STRICT }

#define RUN_LONG \
	{ "allow-in-use", required_argument, NULL, OPT_ALLOW_IN_USE }, \
	{ "confirm-timeout", required_argument, NULL, OPT_CONFIRM_TIMEOUT }, \
	{ "disruption", required_argument, NULL, OPT_DISRUPTION }, \
	{ "skip-in-use", no_argument, NULL, OPT_SKIP_IN_USE }

/* a file per verb */
int cmd_help(struct cli *cli, int argc, char **argv);
int cmd_version(struct cli *cli, int argc, char **argv);
int cmd_show(struct cli *cli, int argc, char **argv);
int cmd_check(struct cli *cli, int argc, char **argv);
int cmd_plan(struct cli *cli, int argc, char **argv);
int cmd_assert(struct cli *cli, int argc, char **argv);
int cmd_apply(struct cli *cli, int argc, char **argv);
int cmd_set(struct cli *cli, int argc, char **argv);
int cmd_confirm(struct cli *cli, int argc, char **argv);
int cmd_rollback(struct cli *cli, int argc, char **argv);
int cmd_standing(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_save(struct cli *cli, int argc, char **argv);
int cmd_monitor(struct cli *cli, int argc, char **argv);
int cmd_history(struct cli *cli, int argc, char **argv);
int cmd_undo(struct cli *cli, int argc, char **argv);
int cmd_extend(struct cli *cli, int argc, char **argv);
int cmd_metrics(struct cli *cli, int argc, char **argv);
int cmd_dump(struct cli *cli, int argc, char **argv);
int cmd_clean(struct cli *cli, int argc, char **argv);
int cmd_fleet(struct cli *cli, int argc, char **argv);

/* ../boot/image-check.c */
void image_check(struct cli *cli);

/* rollback-to.c */
int rollback_to(struct run *run, const char *entry);

/* confirm.c, txn-past.c: transactions by name */
struct iommucfg_txn *txn_find(struct cli *cli, const char *name);
enum iommucfg_state txn_settled(struct iommucfg_txn *txn);
int txn_too_late(struct cli *cli, struct iommucfg_txn *txn);
int txn_broken(struct cli *cli, struct iommucfg_txn *txn);
int txn_not_committed(struct cli *cli, struct iommucfg_txn *txn);
int txn_past(struct cli *cli, const char *name, bool tells);
bool txn_is_second(struct cli *cli, const char *name);
int undo_unconfirmed(struct cli *cli, const char *name, int allow);

#endif
