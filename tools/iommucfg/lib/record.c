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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "history.h"
#include "json.h"

struct record {
	struct recorder by;
	struct iommucfg_topology *before;
	unsigned int *groups;
	int n;
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
	fd = open(path, O_RDONLY | O_CLOEXEC);
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
				  bool in_place, const char *rule, const char *file, int line)
{
	struct json_object *o = json_object_new_object(), *r = json_object_new_object();

	json_object_object_add(r, "name", json_text(rule));
	json_object_object_add(r, "file", json_text(file));
	json_object_object_add(r, "line", json_number(line));
	json_object_object_add(o, "group", json_number(iommucfg_group_number(group)));
	json_object_object_add(o, "from", json_text(iommucfg_group_type_text(group)));
	json_object_object_add(o, "to", json_text(to));
	json_object_object_add(o, "in_place", json_object_new_boolean(in_place));
	json_object_object_add(o, "rule", r);
	json_object_object_add(o, "devices", devices(group));
	return o;
}

static struct json_object *planned(const struct iommucfg_change *c)
{
	const char *file, *rule;
	int line;

	rule = iommucfg_change_origin(c, &file, &line);
	return change(iommucfg_change_group(c), iommucfg_type_name(iommucfg_change_to(c)),
		      iommucfg_change_in_place(c), rule, file, line);
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

/* Writes an entry; takes over @plan and @problems. */
static void put(const struct recorder *by, struct json_object *plan, struct json_object *problems,
		const char *transaction, const char *result, int code)
{
	struct json_object *o = json_object_new_object(), *command = json_object_new_array();
	char *const *arg;
	int ret;

	for (arg = by->command; *arg; arg++)
		json_object_array_add(command, json_text(*arg));
	/* Its number comes when it is written; here it takes its place. */
	json_object_object_add(o, "id", NULL);
	json_object_object_add(o, "time", now());
	json_object_object_add(o, "uid", json_object_new_int64(getuid()));
	json_object_object_add(o, "user", name_of(getuid()));
	json_object_object_add(o, "login", login(by->ctx));
	json_object_object_add(o, "sudo", json_text(getenv("SUDO_USER")));
	json_object_object_add(o, "command", command);
	json_object_object_add(o, "action", json_text(by->action));
	json_object_object_add(o, "transaction", json_text(transaction));
	json_object_object_add(o, "result", json_text(result));
	json_object_object_add(o, "exit", json_object_new_int(code));
	json_object_object_add(o, "plan", plan);
	json_object_object_add(o, "problems", problems);
	ret = history_append(by->ctx, o);
	journal_entry(by->ctx, o);
	json_object_put(o);
	if (ret)
		iommucfg_problems_add(by->problems, IOMMUCFG_WARNING, "history", -ret,
				      "this is not in the history: %s/var/lib/iommucfg: %s",
				      iommucfg_root(by->ctx), strerror(-ret));
}

/* What apply and set came to; only where there was something to do. */
void record_plan(const struct recorder *by, const struct iommucfg_plan *plan,
		 const char *transaction, const char *result, int code)
{
	struct json_object *problems;

	/* Nothing can have been done, and nothing could be written. */
	if (geteuid() || !strcmp(result, "nothing-to-do"))
		return;
	problems = json_problems(by->problems);
	if (plan) {
		json_add_problems(problems, iommucfg_plan_conflicts(plan));
		json_add_problems(problems, iommucfg_plan_problems(plan));
	}
	put(by, plan ? plan_of(plan) : NULL, problems, transaction, result, code);
}

/* What concerns no group. */
void record_other(const struct recorder *by, const char *result, int code)
{
	if (!geteuid())
		put(by, NULL, json_problems(by->problems), NULL, result, code);
}

/* Takes down the types of a transaction's groups before something is done to it. */
struct record *record_begin(const struct recorder *by, struct iommucfg_txn *txn)
{
	struct record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->by = *by;
	record->n = iommucfg_txn_groups(txn, &record->groups);
	if (iommucfg_topology_scan(by->ctx, &record->before, NULL))
		record->before = NULL;
	return record;
}

/* Writes what has become of them, and releases the record. */
void record_end(struct record *record, const char *name, const char *result, int code)
{
	struct json_object *o, *changes, *plan = NULL;
	struct iommucfg_topology *after = NULL;
	struct iommucfg_group *a, *b;
	int i;

	if (!record)
		return;
	if (record->before && !iommucfg_topology_scan(record->by.ctx, &after, NULL)) {
		plan = json_object_new_object();
		changes = json_object_new_array();
		for (i = 0; i < record->n; i++) {
			a = iommucfg_topology_find_group(record->before, record->groups[i]);
			b = iommucfg_topology_find_group(after, record->groups[i]);
			if (!a || !b || !strcmp(iommucfg_group_type_text(a),
						iommucfg_group_type_text(b)))
				continue;
			o = change(a, iommucfg_group_type_text(b), false, NULL, NULL, -1);
			json_object_array_add(changes, o);
		}
		json_object_object_add(plan, "changes", changes);
		json_object_object_add(plan, "skipped", json_object_new_array());
	}
	if (!geteuid())
		put(&record->by, plan, json_problems(record->by.problems), name, result, code);
	else
		json_object_put(plan);
	iommucfg_topology_free(after);
	iommucfg_topology_free(record->before);
	free(record->groups);
	free(record);
}
