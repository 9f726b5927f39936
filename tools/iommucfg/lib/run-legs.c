// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A run in steps, as legs of a redundant set do not go together: each step is a transaction
 * that is judged and final before the next one, which comes when the sets are as whole again as
 * they were. Where a step fails the earlier ones are rolled back, the last one first, again
 * only while their sets are whole.
 *
 * During a step the plan has only the changes of that step; the rest is kept in run->rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/major.h>
#include <linux/raid/md_p.h>
#include <linux/raid/md_u.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <json-c/json.h>

#include "json.h"
#include "run.h"

/* How long a link or a path may take to come back; a resync takes as long as it goes on. */
#define WHOLE_SECONDS	60
#define LOOK_MSEC	500

/* A member of an md array: where it was, and which one it is to the array. */
struct member {
	char *device;		/* its path below /sys */
	char partition[16];
	int slot;		/* -1: a spare */
	unsigned int flags;	/* bits of mdu_disk_info_t's state that are to be as before */
};

/* A set as it was before the step. */
struct ic_whole {
	char *kind, *name;
	size_t healthy;
	bool degraded;
	struct member *members;
	size_t num_members, cap_members;
	/* of an md array, where its superblocks could be read */
	bool has_uuid;
	unsigned char uuid[16];
	char version[16];
};

/* Steps ------------------------------------------------------------------- */

static int by_group(const void *a, const void *b)
{
	const struct iommucfg_change *const *x = a, *const *y = b;

	return ((*x)->group->number > (*y)->group->number) -
	       ((*x)->group->number < (*y)->group->number);
}

/* Leaves only the changes of the run's step in the plan. */
void ic_run_narrow(struct iommucfg_run *run)
{
	struct ic_changes *changes = run->plan ? &run->plan->changes : NULL;
	struct iommucfg_change *change;
	size_t i = 0;

	if (run->num_steps < 2 || !changes)
		return;
	while (i < changes->n) {
		change = changes->v[i];
		if (change->step == run->step || ic_change_add(&run->rest, change))
			i++;
		else
			ic_change_drop(changes, i);
	}
}

/* All of them again. */
void ic_run_widen(struct iommucfg_run *run)
{
	struct ic_changes *changes = run->plan ? &run->plan->changes : NULL;

	if (!run->rest.n || !changes)
		return;
	while (run->rest.n && !ic_change_add(changes, run->rest.v[run->rest.n - 1]))
		run->rest.n--;
	qsort(changes->v, changes->n, sizeof(*changes->v), by_group);
}

static void put_step(struct iommucfg_run *run)
{
	struct ic_step *step = &run->steps[run->step];

	step->txn = run->txn;
	step->second = run->second;
	step->second_part = run->second_part;
	step->self_timeout = run->self_timeout;
	run->txn = run->second = run->working = NULL;
	run->self_timeout = 0;
}

static void take_step(struct iommucfg_run *run, unsigned int number)
{
	struct ic_step *step = &run->steps[number];

	run->step = number;
	run->txn = step->txn;
	run->second = step->second;
	run->second_part = step->second_part;
	run->self_timeout = step->self_timeout;
	run->working = run->txn;
	run->after = 0;
	step->txn = step->second = NULL;
	if (run->txn)
		snprintf(run->transaction, sizeof(run->transaction), "%s",
			 iommucfg_txn_name(run->txn));
}

/* For those who find the transaction of a step when this process is gone. */
static void name_steps(struct iommucfg_run *run)
{
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < run->num_steps; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "first", json_text(iommucfg_txn_name(run->steps[0].txn)));
		json_object_object_add(o, "number", json_object_new_int(i + 1));
		json_object_object_add(o, "of", json_object_new_int(run->num_steps));
		ic_creator_set(run->ctx, iommucfg_txn_name(run->steps[i].txn), "step", o);
	}
}

/* Which step of which change a transaction is; @first: the name of the first step's. */
static bool read_step(struct iommucfg_txn *txn, char first[IOMMUCFG_TXN_NAME_MAX + 1],
		      int *number, int *of)
{
	struct json_object *o = ic_creator_read(txn);
	struct json_object *step = o ? json_object_object_get(o, "step") : NULL;

	if (step) {
		*number = json_object_get_int(json_object_object_get(step, "number"));
		*of = json_object_get_int(json_object_object_get(step, "of"));
		snprintf(first, IOMMUCFG_TXN_NAME_MAX + 1, "%s",
			 json_object_get_string(json_object_object_get(step, "first")));
	}
	json_object_put(o);
	return step;
}

/* How many steps of the change are committed; @open: is one of them not over? */
static int count_committed(struct iommucfg *ctx, const char *change, bool *open)
{
	char first[IOMMUCFG_TXN_NAME_MAX + 1], **names;
	enum iommucfg_state state;
	struct iommucfg_txn *txn;
	int n, i, number, of, count = 0;

	*open = false;
	n = iommucfg_txn_list(ctx, &names);
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(ctx, names[i], &txn))
			continue;
		if (read_step(txn, first, &number, &of) && !strcmp(first, change)) {
			state = iommucfg_txn_state(txn);
			count += state == IOMMUCFG_STATE_COMMITTED;
			*open |= state == IOMMUCFG_STATE_UNCONFIRMED ||
				 state == IOMMUCFG_STATE_COMMITTING ||
				 state == IOMMUCFG_STATE_ROLLING_BACK ||
				 state == IOMMUCFG_STATE_UNKNOWN;
		}
		iommucfg_txn_unref(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
	return count;
}

/* Is a step of the change with that name not over? */
bool ic_steps_are_open(struct iommucfg *ctx, const char *change)
{
	bool open;

	count_committed(ctx, change, &open);
	return open;
}

/* A command was killed between two steps, or in a later one: says so. */
void ic_run_tell_killed_steps(struct iommucfg_run *run, struct iommucfg_txn *txn)
{
	char first[IOMMUCFG_TXN_NAME_MAX + 1];
	int number, of, count;
	bool open;

	if (!read_step(txn, first, &number, &of) || number != 1 || iommucfg_txn_held(txn) ||
	    iommucfg_txn_state(txn) != IOMMUCFG_STATE_COMMITTED)
		return;
	count = count_committed(run->ctx, first, &open);
	if (count >= of)
		return;
	iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "transaction", 0,
			      "the command that made change \"%s\" in %d steps, one leg after the other, was killed: %d of them %s final and %s; \"iommucfg history\" says which",
			      first, of, count, count == 1 ? "is" : "are",
			      count == 1 ? "stays" : "stay");
	ic_problem_cure(run->problems, "steps-killed", "iommucfg undo");
}

/* A check may have left out the only change of a step. */
static void drop_empty_steps(struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	unsigned int i, n = 0;
	size_t j;

	for (i = 0; i < run->num_steps; i++) {
		if (!run->steps[i].txn)
			continue;
		for (j = 0; j < changes->n; j++)
			if (changes->v[j]->step == i)
				changes->v[j]->step = n;
		run->steps[n++] = run->steps[i];
	}
	memset(run->steps + n, 0, (run->num_steps - n) * sizeof(*run->steps));
	run->num_steps = n;
	run->plan->num_steps = n;
}

/* Stages every step, so that what the kernel refuses is refused before anything is touched. */
int ic_run_stage_steps(struct iommucfg_run *run)
{
	char *name = run->name, *own = NULL;
	int code = IOMMUCFG_RUN_DONE;

	run->num_steps = run->plan->num_steps;
	if (run->num_steps < 2)
		return ic_run_stage_parts(run);
	run->steps = calloc(run->num_steps, sizeof(*run->steps));
	if (!run->steps)
		return ic_run_refused(run, "the steps cannot be set up", -ENOMEM);
	for (run->step = 0; run->step < run->num_steps && !code; run->step++) {
		if (run->step && name && asprintf(&own, "%.*s-step%u", IOMMUCFG_TXN_NAME_MAX - 8,
						  name, run->step + 1) < 0)
			own = NULL;
		run->name = own ? own : name;
		ic_run_narrow(run);
		code = ic_run_stage_parts(run);
		ic_run_widen(run);
		run->name = name;
		free(own);
		own = NULL;
		put_step(run);
	}
	if (!code) {
		drop_empty_steps(run);
		name_steps(run);
	}
	take_step(run, 0);
	return code;
}

/* Those that are not at hand. */
void ic_run_forget_steps(struct iommucfg_run *run)
{
	unsigned int i;

	for (i = 0; run->steps && i < run->num_steps; i++) {
		ic_run_forget_txn(run, run->steps[i].txn);
		ic_run_forget_txn(run, run->steps[i].second);
	}
	free(run->steps);
	run->steps = NULL;
	run->num_steps = 0;
	run->step = 0;
}

/* The change of a step is final: the next one, if there is one. */
bool ic_run_next_step(struct iommucfg_run *run)
{
	if (run->step + 1 >= run->num_steps)
		return false;
	ic_run_widen(run);
	put_step(run);
	take_step(run, run->step + 1);
	ic_run_narrow(run);
	ic_run_step_clear(run);
	/* What the steps before have raised is no other's change. */
	iommucfg_kernel_generation(run->ctx, &run->generation);
	if (run->txn)
		iommucfg_txn_set_generation(run->txn, run->generation);
	return true;
}

/* A change in steps goes by the name of its first transaction. */
void ic_run_name_first(struct iommucfg_run *run)
{
	if (ic_run_has_earlier(run) && run->steps[0].txn)
		snprintf(run->transaction, sizeof(run->transaction), "%s",
			 iommucfg_txn_name(run->steps[0].txn));
}

/* Is there a step whose change is final? */
bool ic_run_has_earlier(const struct iommucfg_run *run)
{
	return run->num_steps > 1 && run->step;
}

/* Whole sets -------------------------------------------------------------- */

static void whole_clear(struct ic_whole *whole)
{
	size_t i;

	for (i = 0; i < whole->num_members; i++)
		free(whole->members[i].device);
	free(whole->members);
	free(whole->kind);
	free(whole->name);
}

void ic_run_legs_free(struct iommucfg_run *run)
{
	while (run->num_whole)
		whole_clear(&run->whole[--run->num_whole]);
	free(run->whole);
	run->whole = NULL;
	run->cap_whole = 0;
}

static int read_number(struct iommucfg *ctx, const char *path, int *number)
{
	char word[32];
	unsigned long value;
	ssize_t n = ic_read_attr(ctx->sysfd, path, word, sizeof(word));

	if (n < 0)
		return n;
	if (ic_parse_number(word, 10, INT_MAX, &value))
		return -EPROTO;
	*number = value;
	return 0;
}

/* What it takes to find a member of an array again under another name. */
static int add_member(struct iommucfg_run *run, struct ic_whole *whole, const struct ic_leg *leg)
{
	char path[PATH_MAX], state[128];
	struct member *member;
	int slot = -1;

	snprintf(path, sizeof(path), "class/block/%s/md/dev-%s/slot", whole->name, leg->name);
	if (!leg->devices.n || ic_read_attr(run->ctx->sysfd, path, state, sizeof(state)) <= 0)
		return 0;
	if (read_number(run->ctx, path, &slot))
		slot = -1;
	snprintf(path, sizeof(path), "class/block/%s/md/dev-%s/state", whole->name, leg->name);
	if (ic_read_attr(run->ctx->sysfd, path, state, sizeof(state)) <= 0)
		*state = '\0';
	/* What is broken already is not what it was before. */
	if (strstr(state, "faulty") || strstr(state, "journal"))
		return 0;
	if (IC_GROW(whole->members, whole->num_members, whole->cap_members))
		return -ENOMEM;
	member = &whole->members[whole->num_members];
	*member = (struct member){
		.device = strdup(leg->devices.v[0]->syspath), .slot = slot,
		.flags = (strstr(state, "write_mostly") ? 1 << MD_DISK_WRITEMOSTLY : 0) |
			 (strstr(state, "failfast") ? 1 << MD_DISK_FAILFAST : 0),
	};
	whole->num_members++;
	snprintf(path, sizeof(path), "class/block/%s/partition", leg->name);
	if (ic_read_attr(run->ctx->sysfd, path, member->partition, sizeof(member->partition)) < 0)
		*member->partition = '\0';
	return member->device ? 0 : -ENOMEM;
}

/* Of formats that are kept by mdadm alone the superblocks are not known. */
static void take_uuid(struct iommucfg_run *run, struct ic_whole *whole, const struct ic_set *set)
{
	char path[PATH_MAX];
	size_t i;

	snprintf(path, sizeof(path), "class/block/%s/md/metadata_version", set->name);
	if (ic_read_attr(run->ctx->sysfd, path, whole->version, sizeof(whole->version)) <= 0)
		return;
	for (i = 0; i < set->num_legs && !whole->has_uuid; i++)
		whole->has_uuid = set->legs[i].healthy &&
				  ic_md_uuid(run->ctx, set->legs[i].name, whole->version,
					     whole->uuid);
}

static bool concerns(const struct iommucfg_run *run, const struct iommucfg_topology *topology,
		     const struct ic_set *set)
{
	const struct ic_changes *changes = &run->plan->changes;
	const struct iommucfg_group *group;
	size_t i, j;

	for (i = 0; i < changes->n; i++) {
		group = iommucfg_topology_find_group(topology, changes->v[i]->group->number);
		for (j = 0; group && j < set->num_legs; j++)
			if (ic_change_needs(changes->v[i], run->plan->options.confirm_timeout) ==
			    IOMMUCFG_DISRUPTION_REBIND && ic_leg_is_of(&set->legs[j], group))
				return true;
	}
	return false;
}

static int take_set(struct iommucfg_run *run, const struct ic_set *set)
{
	struct ic_whole *whole;
	size_t i;
	int ret = 0;

	if (IC_GROW(run->whole, run->num_whole, run->cap_whole))
		return -ENOMEM;
	whole = &run->whole[run->num_whole++];
	*whole = (struct ic_whole){
		.kind = strdup(set->kind), .name = strdup(set->name),
		.healthy = ic_set_healthy(set), .degraded = set->degraded,
	};
	if (!whole->kind || !whole->name)
		return -ENOMEM;
	if (strcmp(set->kind, "md"))
		return 0;
	take_uuid(run, whole, set);
	for (i = 0; i < set->num_legs && !ret; i++)
		ret = add_member(run, whole, &set->legs[i]);
	return ret;
}

/* Right before a step begins, or goes back: the sets whose legs go, by the names of now. */
int ic_run_legs_take(struct iommucfg_run *run)
{
	struct iommucfg_topology *topology = NULL;
	size_t i;
	int ret;

	ic_run_legs_free(run);
	ret = iommucfg_topology_scan(run->ctx, &topology, NULL);
	if (!ret)
		ret = ic_sets_scan(topology);
	for (i = 0; topology && i < topology->num_sets && !ret; i++)
		if (topology->sets[i]->num_legs > 1 && concerns(run, topology, topology->sets[i]))
			ret = take_set(run, topology->sets[i]);
	iommucfg_topology_unref(topology);
	return ret;
}

static const struct ic_set *find_set(const struct iommucfg_topology *topology,
				     const struct ic_whole *whole)
{
	size_t i;

	for (i = 0; i < topology->num_sets; i++)
		if (!strcmp(topology->sets[i]->kind, whole->kind) &&
		    !strcmp(topology->sets[i]->name, whole->name))
			return topology->sets[i];
	return NULL;
}

/* md: takes out of the array what its disk is gone of. */
static void remove_gone(struct iommucfg_run *run, const struct ic_whole *whole)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "class/block/%s/md", whole->name);
	dir = ic_opendirat(run->ctx->sysfd, path);
	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/block", e->d_name);
		if (strncmp(e->d_name, "dev-", 4) || !faccessat(dirfd(dir), path, F_OK, 0))
			continue;
		snprintf(path, sizeof(path), "%s/state", e->d_name);
		ic_write_attr(dirfd(dir), path, "faulty");
		ic_write_attr(dirfd(dir), path, "remove");
	}
	if (dir)
		closedir(dir);
}

static int add_new_disk(struct iommucfg_run *run, const struct ic_whole *whole,
			mdu_disk_info_t *info)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/dev/%s", run->ctx->root, whole->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, ADD_NEW_DISK, info))
		ret = -errno;
	close(fd);
	return ret;
}

/* In its place if it has all but what the bitmap tells of; else what it has is copied anew. */
static int add_disk(struct iommucfg_run *run, const struct ic_whole *whole,
		    const struct member *member, unsigned int maj, unsigned int min)
{
	mdu_disk_info_t info = {
		.number = member->slot, .major = maj, .minor = min, .raid_disk = member->slot,
		.state = member->flags | 1 << MD_DISK_ACTIVE | 1 << MD_DISK_SYNC,
	};
	int ret = member->slot < 0 ? -EINVAL : add_new_disk(run, whole, &info);

	if (ret != -EINVAL)
		return ret;
	info.number = info.raid_disk = -1;
	info.state = member->flags;
	ret = add_new_disk(run, whole, &info);
	if (!ret && member->slot >= 0)
		ic_run_say(run, IOMMUCFG_RUN_NOTE,
			   "%s has no write-intent bitmap that tells what its member has missed: all of it is copied anew, which is waited for",
			   whole->name);
	return ret;
}

/* The kernel does not compare the UUID of what is added to an array that runs. */
static bool is_of_array(struct iommucfg_run *run, const struct ic_whole *whole, const char *disk)
{
	unsigned char uuid[sizeof(whole->uuid)];

	return whole->has_uuid && ic_md_uuid(run->ctx, disk, whole->version, uuid) &&
	       !memcmp(uuid, whole->uuid, sizeof(uuid));
}

/*
 * Tries the disks that the member's device has now. The array takes only the one whose
 * superblock says that it was in the member's place.
 */
static void add_again(struct iommucfg_run *run, const struct ic_whole *whole,
		      const struct member *member)
{
	char path[PATH_MAX], word[32], *syspath;
	size_t length = strlen(member->device);
	unsigned int maj, min;
	struct dirent *e;
	bool done = false;
	DIR *dir;

	dir = ic_opendirat(run->ctx->sysfd, "class/block");
	while (dir && !done && (e = readdir(dir))) {
		syspath = *e->d_name == '.' ? NULL :
			  ic_sys_link(dirfd(dir), e->d_name, "class/block");
		if (!syspath || strncmp(syspath, member->device, length) ||
		    syspath[length] != '/') {
			free(syspath);
			continue;
		}
		free(syspath);
		snprintf(path, sizeof(path), "%s/partition", e->d_name);
		if (ic_read_attr(dirfd(dir), path, word, sizeof(word)) < 0)
			*word = '\0';
		snprintf(path, sizeof(path), "%s/dev", e->d_name);
		if (strcmp(word, member->partition) ||
		    ic_read_attr(dirfd(dir), path, word, sizeof(word)) < 0 ||
		    sscanf(word, "%u:%u", &maj, &min) != 2 || !is_of_array(run, whole, e->d_name))
			continue;
		done = !add_disk(run, whole, member, maj, min);
		if (done)
			ic_run_say(run, IOMMUCFG_RUN_DEBUG, "%s is a member of %s again", e->d_name,
				   whole->name);
	}
	if (dir)
		closedir(dir);
}

/* Is a disk of the member's device, or its partition, in the array? */
static bool has_disk_of(struct iommucfg_run *run, const struct ic_whole *whole,
			const struct member *member)
{
	char path[PATH_MAX], word[32], *syspath;
	size_t length = strlen(member->device);
	struct dirent *e;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "class/block/%s/md", whole->name);
	dir = ic_opendirat(run->ctx->sysfd, path);
	while (dir && !has && (e = readdir(dir))) {
		if (strncmp(e->d_name, "dev-", 4))
			continue;
		snprintf(path, sizeof(path), "class/block/%s", e->d_name + 4);
		syspath = ic_sys_link(run->ctx->sysfd, path, "class/block");
		has = syspath && !strncmp(syspath, member->device, length) &&
		      syspath[length] == '/';
		free(syspath);
		snprintf(path, sizeof(path), "class/block/%s/partition", e->d_name + 4);
		if (ic_read_attr(run->ctx->sysfd, path, word, sizeof(word)) < 0)
			*word = '\0';
		has = has && !strcmp(word, member->partition);
	}
	if (dir)
		closedir(dir);
	return has;
}

static bool is_missing(struct iommucfg_run *run, const struct ic_whole *whole,
		       const struct member *member)
{
	char path[PATH_MAX], word[32];

	if (member->slot < 0)
		return !has_disk_of(run, whole, member);
	snprintf(path, sizeof(path), "class/block/%s/md/rd%d/state", whole->name, member->slot);
	return ic_read_attr(run->ctx->sysfd, path, word, sizeof(word)) < 0 ||
	       strstr(word, "faulty");
}

static bool is_resyncing(struct iommucfg_run *run, const struct ic_whole *whole)
{
	char path[PATH_MAX], word[32];

	snprintf(path, sizeof(path), "class/block/%s/md/sync_action", whole->name);
	return ic_read_attr(run->ctx->sysfd, path, word, sizeof(word)) > 0 &&
	       (!strcmp(word, "recover") || !strcmp(word, "resync"));
}

static bool look(struct iommucfg_run *run, const struct iommucfg_topology *topology,
		 const struct ic_whole *whole)
{
	const struct ic_set *set = find_set(topology, whole);
	bool missing = false;
	size_t i;

	if (whole->num_members && !is_resyncing(run, whole))
		remove_gone(run, whole);
	for (i = 0; i < whole->num_members && !is_resyncing(run, whole); i++)
		if (is_missing(run, whole, &whole->members[i]))
			add_again(run, whole, &whole->members[i]);
	/* A spare is none that the array needs to be whole. */
	for (i = 0; i < whole->num_members; i++)
		missing |= whole->members[i].slot < 0 &&
			   is_missing(run, whole, &whole->members[i]);
	return set && !missing && ic_set_healthy(set) >= whole->healthy &&
	       set->degraded <= whole->degraded;
}

/* Are all as whole as they were? @which: the first one that is not. */
static bool all_whole(struct iommucfg_run *run, const struct ic_whole **which)
{
	struct iommucfg_topology *topology = NULL;
	size_t i;
	int ret;

	*which = NULL;
	ret = iommucfg_topology_scan(run->ctx, &topology, NULL);
	if (!ret)
		ret = ic_sets_scan(topology);
	for (i = 0; i < run->num_whole && !ret; i++)
		if (!look(run, topology, &run->whole[i]) && !*which)
			*which = &run->whole[i];
	/* What cannot be read is not known to be whole. */
	if (ret && run->num_whole)
		*which = run->whole;
	iommucfg_topology_unref(topology);
	return !*which;
}

/*
 * In IC_PHASE_SETTLE and IC_PHASE_RESTORE, once the devices are there: 1 while something is
 * waited for, 0 where the sets are whole, -1 after a problem where they are not.
 */
int ic_run_legs_wait(struct iommucfg_run *run)
{
	const struct ic_whole *which;
	bool late;
	long long now = ic_run_elapsed_msec(run);
	long limit = run->settle >= 0 ? run->settle : WHOLE_SECONDS;

	if (!run->num_whole)
		return 0;
	if (run->legs_looked && now - run->legs_looked < LOOK_MSEC)
		return 1;
	run->legs_looked = now ? now : 1;
	ic_run_self_extend(run);
	if (all_whole(run, &which))
		return 0;
	late = run->phase == IC_PHASE_SETTLE && ic_run_is_late(run);
	if (!ic_run_cancelled(run) && !late && (now / 1000 < limit || is_resyncing(run, which)))
		return 1;
	ic_run_forget_cancel(run);
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "settle", EAGAIN,
			      "%s is not as whole as it was before the change: a leg has not come back",
			      which->name);
	if (which->num_members && !which->has_uuid)
		ic_problem_cure(run->problems, "not-whole", "mdadm /dev/%s --re-add missing",
				which->name);
	else
		ic_problem_cure(run->problems, "not-whole", NULL);
	return -1;
}

/* Going back -------------------------------------------------------------- */

/*
 * A step came to @code, and what it had done has gone back: so do the earlier ones, if their
 * sets can do without a leg. AGAIN, or the outcome of the run.
 */
int ic_run_earlier_goes_back(struct iommucfg_run *run, int code)
{
	if (!ic_run_has_earlier(run) || code == IOMMUCFG_RUN_FAILED ||
	    code == IOMMUCFG_RUN_LEFT)
		return code;
	run->undoing = true;
	ic_run_widen(run);
	put_step(run);
	take_step(run, run->step - 1);
	ic_run_narrow(run);
	ic_run_say(run, IOMMUCFG_RUN_NOTE, "undoing transaction \"%s\", which was final",
		   run->transaction);
	ic_run_network_take(run);
	return ic_run_roll_back(run);
}
