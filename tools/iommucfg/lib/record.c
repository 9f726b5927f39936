// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An entry of the history: who did what when, and what came of it. Devices are
 * named by the way down to them and by what they are, too, so that an entry
 * still means something when buses and groups are numbered anew. Whatever
 * fails here is worth a warning and no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "history.h"
#include "json.h"
#include "run.h"
#include "state.h"

struct record {
	struct recorder by;
	struct iommucfg_topology *before;
	unsigned int *groups;
	int n;
	long id;
	int begun;
};

static struct json_object *name_of(uid_t uid)
{
	struct passwd *pw = getpwuid(uid);

	return pw ? json_text(pw->pw_name) : NULL;
}

/* Who logged in: that survives su and sudo. */
static struct json_object *login(struct iommucfg *ctx)
{
	struct json_object *o = NULL;
	char *path, *end, buf[32];
	unsigned long uid;
	ssize_t n;
	int fd;

	if (asprintf(&path, "%s/proc/self/loginuid", iommucfg_root(ctx)) < 0)
		return NULL;
	fd = ic_open_file(AT_FDCWD, path, O_RDONLY);
	free(path);
	if (fd < 0)
		return NULL;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	uid = strtoul(buf, &end, 10);
	/* Nobody did: started by the system. */
	if (end == buf || uid >= (uid_t)-1)
		return NULL;
	o = name_of(uid);
	return o ? o : json_text(strtok(buf, "\n"));
}

static struct json_object *now(void)
{
	time_t t = time(NULL);
	char date[32] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_text(date);
}

static struct json_object *boot(struct iommucfg *ctx)
{
	char *id = state_boot_id(ctx);
	struct json_object *o = id && *id ? json_text(id) : NULL;

	free(id);
	return o;
}

static struct json_object *devices(const struct iommucfg_group *group)
{
	struct json_object *array = json_object_new_array(), *o;
	struct iommucfg_device *device;
	size_t i;

	for (i = 0; i < iommucfg_group_num_devices(group); i++) {
		device = iommucfg_group_device(group, i);
		o = json_object_new_object();
		json_object_object_add(o, "name", json_text(iommucfg_device_name(device)));
		json_object_object_add(o, "bus", json_text(iommucfg_device_bus(device)));
		json_object_object_add(o, "driver", json_text(iommucfg_device_driver(device)));
		json_object_object_add(o, "path", json_text(iommucfg_device_path(device)));
		json_object_object_add(o, "vendor", json_number(iommucfg_device_vendor(device)));
		json_object_object_add(o, "device", json_number(iommucfg_device_id(device)));
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *change(const struct iommucfg_group *group, const char *to,
				  bool in_place, const char *method, const char *rule,
				  const char *file, int line)
{
	struct json_object *o = json_object_new_object(), *r = json_object_new_object();

	json_object_object_add(r, "name", json_text(rule));
	json_object_object_add(r, "file", json_text(file));
	json_object_object_add(r, "line", json_number(line));
	json_object_object_add(o, "group", json_number(iommucfg_group_number(group)));
	json_object_object_add(o, "from", json_text(iommucfg_group_type_text(group)));
	json_object_object_add(o, "to", json_text(to));
	json_object_object_add(o, "in_place", json_object_new_boolean(in_place));
	json_object_object_add(o, "method", json_text(method));
	json_object_object_add(o, "rule", r);
	json_object_object_add(o, "devices", devices(group));
	return o;
}

static struct json_object *planned(const struct iommucfg_change *c)
{
	struct json_object *o;
	const char *file, *rule;
	int line;

	rule = iommucfg_change_origin(c, &file, &line);
	o = change(iommucfg_change_group(c), iommucfg_type_name(iommucfg_change_to(c)),
		   iommucfg_change_in_place(c), iommucfg_change_method(c), rule, file, line);
	json_object_object_add(o, "step", json_object_new_int(iommucfg_change_step(c) + 1));
	return o;
}

static struct json_object *plan_of(const struct iommucfg_plan *plan)
{
	struct json_object *o = json_object_new_object();
	struct json_object *changes = json_object_new_array(), *skipped = json_object_new_array();
	size_t i;

	for (i = 0; i < iommucfg_plan_num_changes(plan); i++)
		json_object_array_add(changes, planned(iommucfg_plan_change(plan, i)));
	for (i = 0; i < iommucfg_plan_num_skipped(plan); i++)
		json_object_array_add(skipped, planned(iommucfg_plan_skipped(plan, i)));
	json_object_object_add(o, "changes", changes);
	json_object_object_add(o, "skipped", skipped);
	return o;
}

/* An entry without its number; takes over @plan and @problems. */
static struct json_object *entry_of(const struct recorder *by, struct json_object *plan,
				    struct json_object *problems, const char *transaction,
				    const char *result, int code)
{
	struct json_object *o = json_object_new_object(), *command = json_object_new_array();
	char *const *arg;

	for (arg = by->command; *arg; arg++)
		json_object_array_add(command, json_text(*arg));
	/* Its number comes when it is written; here it takes its place. */
	json_object_object_add(o, "id", NULL);
	json_object_object_add(o, "time", now());
	json_object_object_add(o, "boot_id", boot(by->ctx));
	json_object_object_add(o, "uid", json_object_new_int64(getuid()));
	json_object_object_add(o, "user", name_of(getuid()));
	json_object_object_add(o, "login", login(by->ctx));
	json_object_object_add(o, "sudo", json_text(getenv("SUDO_USER")));
	json_object_object_add(o, "command", command);
	json_object_object_add(o, "action", json_text(by->action));
	json_object_object_add(o, "undoes", json_number(by->undoes ? by->undoes : -1));
	json_object_object_add(o, "transaction", json_text(transaction));
	json_object_object_add(o, "result", json_text(result));
	json_object_object_add(o, "exit", json_object_new_int(code));
	json_object_object_add(o, "plan", plan);
	json_object_object_add(o, "problems", problems);
	return o;
}

static bool is_error(struct json_object *entry)
{
	return json_object_get_int(json_object_object_get(entry, "exit")) == IOMMUCFG_RUN_ERROR;
}

/*
 * Writes an entry and releases it. An error before anything was begun is no reason to begin a
 * history. @id is the number that the entry was begun with, or 0. Returns the number that it
 * has got, or 0.
 */
static long put(const struct recorder *by, struct json_object *o, long id)
{
	bool skip = id <= 0 && is_error(o) && !history_is_begun(by->ctx);
	long number;
	int ret;

	if (id > 0)
		json_object_object_add(o, "id", json_object_new_int64(id));
	ret = skip ? 0 : history_append(by->ctx, o);
	journal_entry(by->ctx, o);
	number = ret || skip ? 0 : history_id(o);
	json_object_put(o);
	if (ret && id > 0)
		history_drop(by->ctx, id);
	if (ret)
		iommucfg_problems_add(by->problems, IOMMUCFG_WARNING, "history", -ret,
				      "this is not in the history: %s/var/lib/iommucfg/history: %s",
				      iommucfg_root(by->ctx), strerror(-ret));
	return number;
}

/* What is to be read if the command is killed before it has written more. */
#define KILLED_RESULT	"left"
#define KILLED_EXIT	(128 + SIGKILL)

/* Before the kernel is asked for anything. Returns what keeps it; *@id is its number, or 0. */
static int begin(const struct recorder *by, struct json_object *o, long *id)
{
	int fd = history_begin(by->ctx, o);

	/* That it cannot be written will be said at the end. */
	*id = fd < 0 ? 0 : history_id(o);
	json_object_put(o);
	return fd;
}

/* What apply and set are about to do. Returns what keeps the entry, for record_plan_end(). */
int record_plan_begin(const struct recorder *by, const struct iommucfg_plan *plan,
		      const char *transaction, long *id)
{
	return begin(by, entry_of(by, plan_of(plan), json_problems(by->problems), transaction,
				  KILLED_RESULT, KILLED_EXIT), id);
}

/* The transaction that a killed command has left, as a result and an exit status. */
static const char *end_of(enum iommucfg_state state, int *code)
{
	*code = IOMMUCFG_RUN_DONE;
	switch (state) {
	case IOMMUCFG_STATE_COMMITTED:
		return "committed";
	case IOMMUCFG_STATE_UNCONFIRMED:
		return "unconfirmed";
	case IOMMUCFG_STATE_ROLLED_BACK:
		*code = IOMMUCFG_RUN_RESTORED;
		return "restored";
	case IOMMUCFG_STATE_FAILED:
		*code = IOMMUCFG_RUN_FAILED;
		return "failed";
	case IOMMUCFG_STATE_STAGED:
		/* The commit did not begin, or was undone. */
		*code = IOMMUCFG_RUN_RESTORED;
		return "restored";
	default:
		*code = KILLED_EXIT;
		return KILLED_RESULT;
	}
}

/* Killed between the two transactions of a change: what is done of it does not stay by half. */
static void take_back_half(struct iommucfg_txn *txn, enum iommucfg_state *state)
{
	struct iommucfg_txn *other;

	if ((*state != IOMMUCFG_STATE_COMMITTED && *state != IOMMUCFG_STATE_UNCONFIRMED) ||
	    iommucfg_txn_open_other(txn, &other, NULL))
		return;
	if (iommucfg_txn_state(other) == IOMMUCFG_STATE_STAGED && !iommucfg_txn_held(other)) {
		iommucfg_txn_allow_way_back(txn);
		iommucfg_txn_rollback(txn);
		iommucfg_txn_read_state(txn, state);
		iommucfg_txn_forget(other);
	}
	iommucfg_txn_unref(other);
}

static int number(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_int(value) : -1;
}

static bool is_made(const struct iommucfg_topology *topology, struct json_object *change)
{
	const struct iommucfg_group *group =
		iommucfg_topology_find_group(topology, number(change, "group"));

	return group && (!strcmp(history_text(change, "to"), "auto") ||
			 !strcmp(history_text(change, "to"), iommucfg_group_type_text(group)));
}

/* Moves what has not been done from the changes of a plan in steps to what was skipped. */
static void split_plan(const struct recorder *by, struct json_object *plan,
		       struct iommucfg_problems *problems)
{
	struct json_object *changes, *all, *skipped, *c;
	struct iommucfg_topology *topology;
	size_t i, n, made = 0, steps = 1;

	if (!json_object_object_get_ex(plan, "changes", &all) ||
	    !json_object_object_get_ex(plan, "skipped", &skipped) ||
	    iommucfg_topology_scan(by->ctx, &topology, NULL))
		return;
	n = json_object_array_length(all);
	for (i = 0; i < n; i++) {
		c = json_object_array_get_idx(all, i);
		made += is_made(topology, c);
		if (number(c, "step") > (int)steps)
			steps = number(c, "step");
	}
	changes = steps > 1 && made && made < n ? json_object_new_array() : NULL;
	for (i = 0; changes && i < n; i++) {
		c = json_object_array_get_idx(all, i);
		json_object_array_add(is_made(topology, c) ? changes : skipped,
				      json_object_get(c));
	}
	if (changes) {
		json_object_object_add(plan, "changes", changes);
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "transaction", 0,
				      "of %zu groups, one leg after the other, %zu had been changed, and stay so; the others are under \"skipped\"",
				      n, made);
		iommucfg_problems_cure(problems, "steps-killed", "iommucfg undo");
	}
	iommucfg_topology_unref(topology);
}

/* Completes the entry of a killed command by what its transaction says. */
static void complete(const struct recorder *by, struct json_object *o)
{
	enum iommucfg_state state = IOMMUCFG_STATE_GONE;
	struct iommucfg_problems *problems;
	struct iommucfg_txn *txn;
	struct json_object *array;
	const char *result;
	int code;

	if (!iommucfg_txn_open(by->ctx, history_text(o, "transaction"), &txn)) {
		iommucfg_txn_read_state(txn, &state);
		take_back_half(txn, &state);
		iommucfg_txn_unref(txn);
	}
	/* Not over, or not to be read: later. */
	if (state == IOMMUCFG_STATE_COMMITTING || state == IOMMUCFG_STATE_ROLLING_BACK ||
	    state == IOMMUCFG_STATE_UNKNOWN ||
	    ic_steps_are_open(by->ctx, history_text(o, "transaction")))
		return;
	result = end_of(state, &code);
	if (!strcmp(history_text(o, "action"), "rollback") && state == IOMMUCFG_STATE_ROLLED_BACK) {
		result = "rolled-back";
		code = IOMMUCFG_RUN_DONE;
	}
	problems = iommucfg_problems_new();
	iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", 0,
			      "the command was killed; what came of it is what a later one has found");
	if (state == IOMMUCFG_STATE_COMMITTED && json_object_object_get_ex(o, "plan", &array))
		split_plan(by, array, problems);
	if (json_object_object_get_ex(o, "problems", &array) &&
	    json_object_is_type(array, json_type_array))
		json_add_problems(array, problems);
	iommucfg_problems_unref(problems);
	json_object_object_add(o, "result", json_text(result));
	json_object_object_add(o, "exit", json_object_new_int(code));
	put(by, json_object_get(o), 0);
}

/*
 * Before anything is done to transactions that killed commands have left. Returns the
 * entries that were completed, to be released by json_object_put(), or NULL.
 */
struct json_object *record_killed(const struct recorder *by)
{
	struct json_object *entries = geteuid() ? NULL : history_killed(by->ctx);
	size_t i;

	for (i = 0; entries && i < json_object_array_length(entries); i++)
		complete(by, json_object_array_get_idx(entries, i));
	return entries;
}

/*
 * A transaction that is removed now, as its process is gone. @killed: entries that have
 * been completed say what became of theirs.
 */
void record_removed(const struct recorder *by, struct json_object *killed, const char *transaction,
		    enum iommucfg_state state)
{
	struct json_object *o;
	size_t i;
	int code;

	/* Of one that is staged no group was touched. */
	if (geteuid() || state == IOMMUCFG_STATE_STAGED)
		return;
	for (i = 0; killed && i < json_object_array_length(killed); i++)
		if (!strcmp(history_text(json_object_array_get_idx(killed, i), "transaction"),
			    transaction))
			return;
	o = entry_of(by, NULL, json_problems(NULL), transaction, end_of(state, &code), 0);
	json_object_object_add(o, "action", json_text("clean"));
	put(by, o, 0);
}

/*
 * What apply and set came to; only where there was something to do. @id: the number that
 * the entry was begun with, or 0. Returns its number, or 0.
 */
long record_plan_end(const struct recorder *by, const struct iommucfg_plan *plan,
		     const char *transaction, const char *result, int code, long id)
{
	struct json_object *problems;

	/* Nothing can have been done, and nothing could be written. */
	if (geteuid() || !strcmp(result, "nothing-to-do"))
		return 0;
	problems = json_problems(by->problems);
	if (plan) {
		json_add_problems(problems, iommucfg_plan_conflicts(plan));
		json_add_problems(problems, iommucfg_plan_problems(plan));
	}
	return put(by, entry_of(by, plan ? plan_of(plan) : NULL, problems, transaction, result,
				code), id);
}

/* What concerns no group. Returns its number, or 0. */
long record_other(const struct recorder *by, const char *result, int code)
{
	if (geteuid())
		return 0;
	return put(by, entry_of(by, NULL, json_problems(by->problems), NULL, result, code), 0);
}

static void take_groups(struct record *record, struct iommucfg_txn *txn)
{
	unsigned int *groups = NULL, *all;
	int n = iommucfg_txn_groups(txn, &groups);

	all = n > 0 ? reallocarray(record->groups, record->n + n, sizeof(*all)) : NULL;
	if (all) {
		memcpy(all + record->n, groups, n * sizeof(*all));
		record->groups = all;
		record->n += n;
	}
	free(groups);
}

/*
 * Takes down the types of a transaction's groups, and of the other part's where the change
 * is two of them, before something is done to it.
 */
/* @blocks: it may take its time, so there is to be an entry before. */
struct record *record_begin(const struct recorder *by, struct iommucfg_txn *txn, bool blocks)
{
	struct record *record = calloc(1, sizeof(*record));
	struct iommucfg_txn *other;

	if (!record)
		return NULL;
	record->by = *by;
	take_groups(record, txn);
	if (!iommucfg_txn_open_other(txn, &other, NULL)) {
		take_groups(record, other);
		iommucfg_txn_unref(other);
	}
	if (iommucfg_topology_scan(by->ctx, &record->before, NULL))
		record->before = NULL;
	if (blocks && !geteuid())
		record->begun = begin(by, entry_of(by, NULL, json_problems(by->problems),
						    iommucfg_txn_name(txn), KILLED_RESULT,
						    KILLED_EXIT), &record->id);
	return record;
}

/* Writes what has become of them, and releases the record. Returns its number, or 0. */
long record_end(struct record *record, const char *name, const char *result, int code)
{
	struct json_object *o, *changes, *plan = NULL;
	struct iommucfg_topology *after = NULL;
	struct iommucfg_group *a, *b;
	long id = 0;
	int i;

	if (!record)
		return 0;
	if (record->before && !iommucfg_topology_scan(record->by.ctx, &after, NULL)) {
		plan = json_object_new_object();
		changes = json_object_new_array();
		for (i = 0; i < record->n; i++) {
			a = iommucfg_topology_find_group(record->before, record->groups[i]);
			b = iommucfg_topology_find_group(after, record->groups[i]);
			if (!a || !b || !strcmp(iommucfg_group_type_text(a),
						iommucfg_group_type_text(b)))
				continue;
			o = change(a, iommucfg_group_type_text(b), false, NULL, NULL, NULL,
				   -1);
			json_object_array_add(changes, o);
		}
		json_object_object_add(plan, "changes", changes);
		json_object_object_add(plan, "skipped", json_object_new_array());
	}
	if (!geteuid())
		id = put(&record->by, entry_of(&record->by, plan, json_problems(record->by.problems),
					  name, result, code), record->id);
	else
		json_object_put(plan);
	if (record->id > 0)
		close(record->begun);
	iommucfg_topology_unref(after);
	record_drop(record);
	return id;
}

/* Releases it; nothing is written. */
void record_drop(struct record *record)
{
	if (!record)
		return;
	iommucfg_topology_unref(record->before);
	free(record->groups);
	free(record);
}
