// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * IOMMU faults of the devices of a run, from right before the commit to its end; and what
 * another process must know to look for them later: in /run/iommucfg/txn/NAME as
 *
 *	"faults": { "rollback": true, "time": 5140900, "began": 1217, "from": { "5": 1220 } }
 *
 * with numbers of records of the kernel's log: the first one after the commit began, and for
 * each group the first one that counts.
 */
#include <json-c/json.h>

#include "run.h"

static void tell_others(struct iommucfg_run *run, struct iommucfg_txn *txn)
{
	const struct ic_watch *watch = run->watch;
	struct json_object *o = json_object_new_object(), *from = json_object_new_object();
	char number[24];
	size_t i;

	for (i = 0; i < watch->n; i++) {
		snprintf(number, sizeof(number), "%ld", watch->v[i].group);
		if (watch->v[i].from != IC_WATCH_NOT_YET)
			json_object_object_add(from, number,
					       json_object_new_int64(watch->v[i].from));
	}
	json_object_object_add(o, "rollback", json_object_new_boolean(watch->rollback));
	json_object_object_add(o, "time", json_object_new_int64(watch->time));
	json_object_object_add(o, "began", json_object_new_int64(watch->began));
	json_object_object_add(o, "from", from);
	ic_creator_set(run->ctx, iommucfg_txn_name(txn), "faults", o);
}

static void tell_all(struct iommucfg_run *run)
{
	tell_others(run, run->txn);
	if (run->second)
		tell_others(run, run->second);
}

/* Right before the commit. */
void ic_run_faults_begin(struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	size_t i, j;

	run->watch = ic_watch_new(run->ctx, !run->faults_warn, run->problems);
	for (i = 0; run->watch && i < changes->n; i++)
		for (j = 0; j < changes->v[i]->group->num_devices; j++)
			ic_watch_add(run->watch, changes->v[i]->group->devices[j]);
	if (!run->watch)
		return;
	ic_watch_begin(run->watch, run->ctx, run->problems);
	tell_all(run);
}

static bool is_switched(const struct iommucfg_run *run, long number)
{
	const struct ic_changes *changes = &run->plan->changes;
	const struct iommucfg_group *group;
	char path[64], type[64];
	size_t i;

	for (i = 0; i < changes->n; i++) {
		group = changes->v[i]->group;
		if (group->number != number)
			continue;
		snprintf(path, sizeof(path), "kernel/iommu_groups/%ld/type", number);
		return ic_read_attr(run->ctx->sysfd, path, type, sizeof(type)) >= 0 &&
		       strcmp(type, group->type_text);
	}
	return false;
}

static void count_from(struct ic_watch *watch, size_t i, uint64_t record, unsigned long round)
{
	watch->v[i].from = record;
	watch->v[i].from_round = round;
}

/*
 * What was read before a group was seen to be switched came before that; what is read from
 * then on counts for it.
 */
void ic_run_faults_meanwhile(struct iommucfg_run *run)
{
	struct ic_watch *watch = run->watch;
	uint64_t next;
	size_t i;

	if (!watch || run->child_reverts)
		return;
	next = watch->next > watch->began ? watch->next : watch->began;
	ic_watch_read(watch);
	for (i = 0; i < watch->n; i++)
		if (watch->v[i].from == IC_WATCH_NOT_YET &&
		    is_switched(run, watch->v[i].group))
			count_from(watch, i, next, watch->round);
}

/* Every group is switched, and every device probed. */
void ic_run_faults_committed(struct iommucfg_run *run)
{
	struct ic_watch *watch = run->watch;
	uint64_t next;
	size_t i;

	if (!watch)
		return;
	next = watch->next > watch->began ? watch->next : watch->began;
	for (i = 0; i < watch->n; i++)
		if (watch->v[i].from == IC_WATCH_NOT_YET)
			count_from(watch, i, next, watch->round + 1);
	tell_all(run);
}

/* After the commit: is there a fault that says no? Then there is a problem. */
bool ic_run_faulted(struct iommucfg_run *run)
{
	if (!run->watch)
		return false;
	ic_watch_read(run->watch);
	return ic_watch_judge(run->watch, run->problems);
}

static struct json_object *get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ?
	       value : NULL;
}

static void add_group(struct ic_watch *watch, const struct iommucfg_group *group,
		      struct json_object *faults)
{
	struct json_object *from = get(faults, "from", json_type_object), *value;
	char number[24];
	size_t i;

	snprintf(number, sizeof(number), "%u", group->number);
	value = from ? get(from, number, json_type_int) : NULL;
	for (i = 0; i < group->num_devices; i++)
		if (!ic_watch_add(watch, group->devices[i]))
			watch->v[watch->n - 1].from = value ? (uint64_t)json_object_get_int64(value) :
						      watch->began;
}

static bool look_back(struct iommucfg_txn *txn, struct json_object *faults,
		      struct iommucfg_problems *problems)
{
	struct json_object *time = get(faults, "time", json_type_int);
	struct json_object *began = get(faults, "began", json_type_int);
	struct iommucfg_topology *topology = NULL;
	struct iommucfg_group *group;
	struct ic_watch *watch;
	unsigned int *groups;
	int n, ret, i;
	bool no;

	if (!time || !began)
		return false;
	watch = ic_watch_new(txn->ctx, json_object_get_boolean(get(faults, "rollback",
								    json_type_boolean)), problems);
	if (!watch)
		return false;
	n = iommucfg_txn_groups(txn, &groups);
	ret = n < 0 ? n : iommucfg_topology_scan(txn->ctx, &topology, problems);
	if (ret < 0)
		watch->error = ret;
	if (!ret) {
		watch->time = json_object_get_int64(time);
		watch->began = json_object_get_int64(began);
		for (i = 0; i < n; i++) {
			group = iommucfg_topology_find_group(topology, groups[i]);
			if (group)
				add_group(watch, group, faults);
		}
		ic_watch_read(watch);
		/* 0: the log was empty. */
		if (watch->began && (!watch->log.any || watch->log.oldest > watch->began))
			watch->log.lost = true;
	}
	no = ic_watch_judge(watch, problems);
	if (n >= 0)
		free(groups);
	iommucfg_topology_unref(topology);
	ic_watch_free(watch);
	return no;
}

bool iommucfg_txn_faulted(struct iommucfg_txn *txn, struct iommucfg_problems *problems)
{
	struct json_object *o = ic_creator_read(txn), *faults;
	bool no;

	faults = o ? get(o, "faults", json_type_object) : NULL;
	no = faults && look_back(txn, faults, problems);
	json_object_put(o);
	return no;
}
