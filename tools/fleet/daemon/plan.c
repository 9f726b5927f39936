// SPDX-License-Identifier: GPL-2.0
/*
 * Plans of the policy that would be in force: the system's files with the candidate in the
 * place of the fleet's file. Written down before anything is begun: which groups change, and
 * what the network was like, as a restart has to know what "as before" is.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

/* A policy, and what it would change here. */
struct planned {
	struct iommucfg_problems *problems;
	struct iommucfg_policy *policy;
	struct iommucfg_topology *topology;
	struct iommucfg_plan *plan;
};

static void planned_clear(struct planned *p)
{
	iommucfg_plan_unref(p->plan);
	iommucfg_topology_unref(p->topology);
	iommucfg_policy_unref(p->policy);
	iommucfg_problems_unref(p->problems);
}

static int is_fragment(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return *entry->d_name != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_file(struct json_object *files, const char *path)
{
	json_object_array_add(files, json_object_new_string(path));
}

/* In reading order. */
static struct json_object *list_files(const struct host *host)
{
	const char *own = strrchr(POLICY_FILE, '/') + 1;
	struct json_object *files = json_object_new_array();
	char path[PATH_MAX], candidate[PATH_MAX], dir[PATH_MAX];
	struct dirent **entries = NULL;
	bool added = false;
	int i, n, order;

	host_state(host, candidate, "candidate.conf");
	host_path(host, path, "/etc/iommucfg.conf");
	if (!access(path, F_OK))
		add_file(files, path);
	host_path(host, dir, "/etc/iommucfg.d");
	n = scandir(dir, &entries, is_fragment, by_bytes);
	for (i = 0; i < n; i++) {
		order = strcmp(entries[i]->d_name, own);
		if (order >= 0 && !added) {
			add_file(files, candidate);
			added = true;
		}
		if (order && snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name) <
			     (int)sizeof(path))
			add_file(files, path);
		free(entries[i]);
	}
	free(entries);
	if (!added)
		add_file(files, candidate);
	return files;
}

/* @words: in the place of the policy's; -1: none are. */
static struct iommucfg_plan_options *options_of(const struct iommucfg_policy *policy,
						long confirm_timeout, int disruption, int words)
{
	struct iommucfg_plan_options *options = iommucfg_plan_options_new();

	if (words < 0)
		words = iommucfg_policy_allow_in_use(policy);
	if (!options)
		return NULL;
	/* Whether it can be told what is in use is for the command, which may look everywhere. */
	iommucfg_plan_options_set_only_look(options, true);
	iommucfg_plan_options_set_confirm_timeout(options, confirm_timeout);
	if (words >= 0)
		iommucfg_plan_options_set_allow_in_use(options, words);
	if (iommucfg_policy_disruption(policy) > disruption)
		disruption = iommucfg_policy_disruption(policy);
	iommucfg_plan_options_set_disruption(options, disruption);
	iommucfg_plan_options_set_strict(options, iommucfg_policy_strict(policy) > 0);
	return options;
}

/* @files: NULL for the system's. 0 or a negative errno; p->problems may say more. */
static int make_plan(struct daemon *d, struct json_object *files, struct planned *p)
{
	struct iommucfg_plan_options *options = NULL;
	long timeout = files ? agent_journal(d->agent)->confirm_timeout : 0;
	int disruption = files ? (int)d->settings.disruption : 0;
	int ret, words = -1;
	size_t i;

	if (files)
		words_parse(agent_grant(d->agent)->allow_in_use, &words);
	*p = (struct planned){ .problems = iommucfg_problems_new() };
	ret = p->problems ? iommucfg_policy_new(d->host.ctx, &p->policy) : -ENOMEM;
	if (!ret && !files)
		ret = iommucfg_policy_read_system(p->policy, p->problems);
	for (i = 0; !ret && files && i < json_object_array_length(files); i++)
		ret = iommucfg_policy_read_file(p->policy, json_object_get_string(
			json_object_array_get_idx(files, i)), p->problems);
	if (!ret)
		ret = iommucfg_topology_scan(d->host.ctx, &p->topology, p->problems);
	if (!ret && files)
		ret = iommucfg_topology_scan_use(p->topology, p->problems);
	if (!ret) {
		options = options_of(p->policy, timeout, disruption, words);
		ret = options ? iommucfg_plan_policy(p->topology, p->policy, options, &p->plan) :
				-ENOMEM;
	}
	iommucfg_plan_options_unref(options);
	return ret;
}

static void explain(struct daemon *d, const struct iommucfg_problems *problems,
		    enum iommucfg_severity severity)
{
	const struct iommucfg_problem *p;
	size_t i;

	for (i = 0; i < iommucfg_problems_count(problems) && !*d->problem; i++) {
		p = iommucfg_problems_get(problems, i);
		if (iommucfg_problem_severity(p) >= severity)
			snprintf(d->problem, sizeof(d->problem), "%s",
				 iommucfg_problem_message(p));
	}
}

/*
 * What is in use, and what takes more disruption than is allowed, is judged by the command: it
 * may ask the kernel how each group would be changed, and look at the files of all processes.
 */
static bool is_refused(struct daemon *d, const struct planned *p)
{
	explain(d, iommucfg_plan_conflicts(p->plan), IOMMUCFG_WARNING);
	explain(d, iommucfg_plan_problems(p->plan), IOMMUCFG_ERROR);
	return *d->problem;
}

static struct json_object *groups_of(struct daemon *d, const struct planned *p)
{
	struct json_object *groups = json_object_new_array(), *each;
	const struct iommucfg_change *change;
	struct iommucfg_group *group;
	size_t i, j;

	d->planned_groups = iommucfg_plan_num_changes(p->plan);
	d->planned_devices = d->planned_in_use = 0;
	for (i = 0; i < iommucfg_plan_num_changes(p->plan); i++) {
		change = iommucfg_plan_change(p->plan, i);
		group = iommucfg_change_group(change);
		each = json_object_new_object();
		json_object_object_add(each, "group",
				       json_object_new_int64(iommucfg_group_number(group)));
		json_object_object_add(each, "from",
				       json_object_new_string(iommucfg_group_type_text(group)));
		json_object_object_add(each, "to", json_object_new_string(
			iommucfg_type_name(iommucfg_change_to(change))));
		if (iommucfg_group_num_devices(group))
			json_object_object_add(each, "device", json_object_new_string(
				iommucfg_device_name(iommucfg_group_device(group, 0))));
		json_object_array_add(groups, each);
		for (j = 0; j < iommucfg_group_num_devices(group); j++) {
			d->planned_devices++;
			d->planned_in_use +=
				iommucfg_device_num_uses(iommucfg_group_device(group, j)) > 0;
		}
	}
	return groups;
}

/* The ways of @ways that go over an interface of @device. */
static void reach_over(struct daemon *d, struct iommucfg_device *device, struct json_object *ways,
		       struct json_object *array)
{
	size_t i;

	for (i = 0; i < iommucfg_device_num_interfaces(device); i++) {
		json_object_object_foreach(ways, way, unused) {
			(void)unused;
			if (links_stands_on(&d->host, way, iommucfg_device_interface(device, i)))
				links_add_once(array, way);
		}
	}
}

/*
 * Interfaces over which a member of the store is reached now, and which are those of changed
 * groups or stand on one. The address of a bond's members is on the bond, and so is the proof.
 */
static struct json_object *reach_of(struct daemon *d, const struct planned *p)
{
	struct json_object *array = json_object_new_array(), *ways = reach_ways(&d->conf);
	struct iommucfg_group *group;
	size_t i, j;

	for (i = 0; i < iommucfg_plan_num_changes(p->plan); i++) {
		group = iommucfg_change_group(iommucfg_plan_change(p->plan, i));
		for (j = 0; j < iommucfg_group_num_devices(group); j++)
			reach_over(d, iommucfg_group_device(group, j), ways, array);
	}
	json_object_put(ways);
	return array;
}

static bool write_change(struct daemon *d, struct json_object *files, const struct planned *p)
{
	const struct doc_journal *journal = agent_journal(d->agent);
	const struct doc_grant *grant = agent_grant(d->agent);
	struct json_object *o = json_object_new_object();
	char name[NAME_MAX_TXN], path[PATH_MAX];
	const char *text;
	bool ok;

	attempt_name(journal, name);
	json_object_object_add(o, "name", json_object_new_string(name));
	json_object_object_add(o, "confirm_timeout",
			       json_object_new_int64(journal->confirm_timeout));
	if (grant->settle)
		json_object_object_add(o, "settle", json_object_new_int64(grant->settle));
	if (*grant->allow_in_use)
		json_object_object_add(o, "allow_in_use",
				       json_object_new_string(grant->allow_in_use));
	if (d->settings.disruption != IOMMUCFG_DISRUPTION_REBIND &&
	    iommucfg_policy_disruption(p->policy) < (int)d->settings.disruption)
		json_object_object_add(o, "disruption", json_object_new_string(
			iommucfg_disruption_name(d->settings.disruption)));
	json_object_object_add(o, "files", json_object_get(files));
	json_object_object_add(o, "groups", groups_of(d, p));
	json_object_object_add(o, "links", links_now(&d->host));
	json_object_object_add(o, "reach", reach_of(d, p));
	json_object_object_add(o, "addresses", reach_addresses(d));
	if (policy_is_way_back(d))
		json_object_object_add(o, "remove", json_object_new_boolean(true));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	host_state(&d->host, path, "change");
	ok = text && host_write(path, text, strlen(text));
	json_object_put(o);
	return ok;
}

/*
 * The next boot, and devices to come, are to have a policy that changes nothing now, or not to
 * have it any more. No group changes, so that there is nothing to be proven.
 */
static int keep_nothing(struct daemon *d, struct json_object *files, const struct planned *p)
{
	const struct doc_journal *journal = agent_journal(d->agent);

	if (look_installed(d) && before_is(&d->host, journal->policy))
		return PLAN_NOTHING;
	if (write_change(d, files, p) && act_confirm(d) == CONFIRM_KEPT &&
	    before_keep(&d->host, journal))
		return PLAN_NOTHING;
	if (!*d->problem)
		snprintf(d->problem, sizeof(d->problem), POLICY_FILE " cannot be written");
	return PLAN_BLOCKED;
}

static int plan_candidate(struct daemon *d)
{
	struct json_object *files = list_files(&d->host);
	int ret, code = PLAN_REFUSED;
	struct planned p;

	ret = make_plan(d, files, &p);
	if (ret) {
		explain(d, p.problems, IOMMUCFG_REFUSED);
		if (!*d->problem)
			snprintf(d->problem, sizeof(d->problem), "no plan: %s", strerror(-ret));
	} else if (is_refused(d, &p)) {
		code = PLAN_REFUSED;
	} else if (!iommucfg_plan_num_changes(p.plan)) {
		code = keep_nothing(d, files, &p);
	} else {
		code = write_change(d, files, &p) ? PLAN_CHANGES : PLAN_BLOCKED;
	}
	planned_clear(&p);
	json_object_put(files);
	return code;
}

/* What the attempt would install, to be freed; NULL with @code. */
static char *text_of(struct daemon *d, int *code)
{
	char *text;

	if (policy_is_way_back(d)) {
		*code = PLAN_NOTHING;
		text = before_exists(&d->host) ? before_policy(&d->host) : NULL;
	} else {
		text = policy_fetch(d, agent_journal(d->agent)->policy, code);
	}
	if (!text || policy_allowed(d, text))
		return text;
	*code = PLAN_REFUSED;
	free(text);
	return NULL;
}

int plan_attempt(struct daemon *d)
{
	char path[PATH_MAX], *text;
	int code;

	d->problem[0] = '\0';
	d->planned_groups = d->planned_devices = d->planned_in_use = 0;
	if (*agent_grant(d->agent)->requires) {
		snprintf(d->problem, sizeof(d->problem),
			 "the grant requires what this agent does not have: %s",
			 agent_grant(d->agent)->requires);
		return PLAN_REFUSED;
	}
	text = text_of(d, &code);
	if (!text)
		return code;
	host_state(&d->host, path, "candidate.conf");
	code = host_write(path, text, strlen(text)) ? plan_candidate(d) : PLAN_BLOCKED;
	if (code == PLAN_BLOCKED && !*d->problem)
		snprintf(d->problem, sizeof(d->problem), STATE_DIR " cannot be written");
	free(text);
	return code;
}

bool plan_in_force(struct daemon *d)
{
	struct planned p;
	bool ok;

	ok = !make_plan(d, NULL, &p) && !iommucfg_plan_num_changes(p.plan) &&
	     !iommucfg_problems_count(iommucfg_plan_conflicts(p.plan));
	planned_clear(&p);
	return ok;
}

#define RULES_MAX 16

struct json_object *plan_drift(struct daemon *d)
{
	struct json_object *o = json_object_new_object(), *rules = json_object_new_object(), *n;
	const struct iommucfg_change *change;
	const char *file, *name;
	struct planned p;
	int line, ret;
	size_t i;

	ret = make_plan(d, NULL, &p);
	d->drift = !ret ? (long)iommucfg_plan_num_changes(p.plan) : ret == -ENOENT ? 0 : -1;
	for (i = 0; !ret && i < iommucfg_plan_num_changes(p.plan); i++) {
		change = iommucfg_plan_change(p.plan, i);
		name = iommucfg_change_origin(change, &file, &line);
		if (!json_object_object_get_ex(rules, name ? name : "", &n) &&
		    json_object_object_length(rules) >= RULES_MAX)
			continue;
		json_object_object_add(rules, name ? name : "",
				       json_object_new_int64(json_object_get_int64(n) + 1));
	}
	planned_clear(&p);
	json_object_object_add(o, "groups", d->drift < 0 ? NULL : json_object_new_int64(d->drift));
	json_object_object_add(o, "rules", rules);
	return o;
}
