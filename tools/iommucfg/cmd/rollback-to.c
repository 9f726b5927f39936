// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg rollback --to ENTRY: the types from before an entry of the history.
 *
 * Of every device whose group this entry or a later one has changed, the type
 * before the first of these changes is what its group shall have again. It is
 * found by the way down to it and by what it is: groups may have other numbers
 * by now, and another card in the same slot is another device. Where devices
 * that were in different groups are in one now and want different types, the
 * plan says so, and nothing is guessed.
 *
 * iommucfg undo ENTRY: the same for what this entry alone has changed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct search {
	struct run *run;
	struct iommucfg_target *targets;
	size_t n, cap;
	struct json_object *seen;	/* a key for each device met already */
	int missing;
	int (*plan)(struct search *search, struct json_object *entries);
	long id;			/* of an entry */
	bool again;			/* it was planned before */
};

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	const char *value = json_object_get_string(get(o, key));

	return value ? value : "";
}

static long number(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_int64(value) : -1;
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static bool is_it(struct iommucfg_device *device, struct json_object *o)
{
	const char *bus = iommucfg_device_bus(device);

	return !strcmp(bus ? bus : "", text(o, "bus")) &&
	       !strcmp(iommucfg_device_path(device), text(o, "path")) &&
	       iommucfg_device_vendor(device) == number(o, "vendor") &&
	       iommucfg_device_id(device) == number(o, "device");
}

static struct iommucfg_group *find_group(struct search *search, struct json_object *device)
{
	const struct iommucfg_topology *topology = search->run->topology;
	struct iommucfg_group *group;
	size_t i, j;

	for (i = 0; i < iommucfg_topology_num_groups(topology); i++) {
		group = iommucfg_topology_group(topology, i);
		for (j = 0; j < iommucfg_group_num_devices(group); j++)
			if (is_it(iommucfg_group_device(group, j), device))
				return group;
	}
	return NULL;
}

static int add_target(struct search *search, struct iommucfg_group *group,
		      enum iommucfg_type type)
{
	struct iommucfg_target *p;

	if (search->n == search->cap) {
		search->cap = search->cap ? search->cap * 2 : 16;
		p = reallocarray(search->targets, search->cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		search->targets = p;
	}
	search->targets[search->n].group = group;
	search->targets[search->n++].type = type;
	return 0;
}

/* A device of an entry: the first time that it is met counts. */
static int take_device(struct search *search, struct json_object *device, const char *from,
		       long id)
{
	struct iommucfg_problems *problems = search->run->cli->problems;
	enum iommucfg_type type = iommucfg_type_parse(from);
	struct iommucfg_group *group;
	int ret = 0;
	char *key;

	if (asprintf(&key, "%s %s %ld %ld", text(device, "bus"), text(device, "path"),
		     number(device, "vendor"), number(device, "device")) < 0)
		return -ENOMEM;
	if (get(search->seen, key))
		goto out;
	json_object_object_add(search->seen, key, json_object_new_boolean(true));
	group = find_group(search, device);
	if (!group) {
		search->missing++;
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", ENODEV,
				      "entry %ld has a device that is not there now, so its group is left as it is: %s (%s)",
				      id, text(device, "path"), text(device, "name"));
	} else if (type == IOMMUCFG_TYPE_OTHER) {
		search->missing++;
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "history", EOPNOTSUPP,
				      "group %u is left as it is: its type before entry %ld, \"%s\", cannot be asked for",
				      iommucfg_group_number(group), id, from);
	} else {
		ret = add_target(search, group, type);
	}
out:
	free(key);
	return ret;
}

/* Has it changed a group, or may it have? */
static bool changed(struct json_object *entry)
{
	static const char *const words[] = {
		"committed", "unconfirmed", "rolled-back", "failed", "left", NULL
	};
	const char *result = text(entry, "result");
	size_t i;

	for (i = 0; words[i]; i++)
		if (!strcmp(result, words[i]))
			return true;
	return false;
}

static int take_entry(struct search *search, struct json_object *entry)
{
	struct json_object *changes = get(get(entry, "plan"), "changes"), *c, *devices;
	size_t i, j;
	int ret = 0;

	for (i = 0; changed(entry) && i < length(changes) && !ret; i++) {
		c = json_object_array_get_idx(changes, i);
		devices = get(c, "devices");
		for (j = 0; j < length(devices) && !ret; j++)
			ret = take_device(search, json_object_array_get_idx(devices, j),
					  text(c, "from"), history_id(entry));
	}
	return ret;
}

static int plan_back(struct search *search, struct json_object *entries)
{
	struct run *run = search->run;
	size_t i, n = length(entries);
	long to = search->id;
	int ret = 0;

	for (i = 0; i < n && history_id(json_object_array_get_idx(entries, i)) != to; i++)
		;
	if (i == n) {
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no entry %ld: \"iommucfg history\" lists them", to);
		return EXIT_BAD;
	}
	for (; i < n && !ret; i++)
		ret = take_entry(search, json_object_array_get_idx(entries, i));
	if (ret) {
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "system", -ret,
				      "no plan could be made: %s", strerror(-ret));
		return EXIT_BAD;
	}
	return run_plan_targets(run, search->targets, search->n);
}

/* Written by iommucfg-watch: confirm_timeout ran out, and the kernel has rolled the change back. */
static bool ran_out(struct json_object *entry)
{
	return !strcmp(text(entry, "action"), "rollback") &&
	       !strcmp(text(entry, "result"), "restored");
}

/* A change that takes back another one. */
static bool is_reverse(struct json_object *entry)
{
	return number(entry, "undoes") > 0 || !strcmp(text(entry, "result"), "rolled-back") ||
	       ran_out(entry);
}

static size_t index_of(struct json_object *entries, long id)
{
	size_t i, n = length(entries);

	for (i = 0; i < n && history_id(json_object_array_get_idx(entries, i)) != id; i++)
		;
	return i;
}

/* What is known of an entry besides what it says. */
struct fate {
	bool undone;		/* taken back since */
	size_t takes_back;	/* index of the entry, or the number of entries */
};

/* A rollback by name takes back the last change that had it, which may be an undo. */
static size_t index_of_same(struct json_object *entries, size_t i)
{
	const char *name = text(json_object_array_get_idx(entries, i), "transaction");
	struct json_object *e;

	while (i--) {
		e = json_object_array_get_idx(entries, i);
		if (changed(e) && (!is_reverse(e) || number(e, "undoes") > 0) &&
		    !strcmp(text(e, "transaction"), name))
			return i;
	}
	return length(entries);
}

/* Which entries have been taken back since; an undo that was undone counts no more. */
static void find_fates(struct json_object *entries, struct fate *fates)
{
	size_t i, j, n = length(entries);
	struct json_object *e;

	for (i = 0; i < n; i++) {
		e = json_object_array_get_idx(entries, i);
		fates[i].takes_back = n;
		if (!is_reverse(e) || !(changed(e) || ran_out(e)))
			continue;
		j = number(e, "undoes") > 0 ? index_of(entries, number(e, "undoes")) :
					      index_of_same(entries, i);
		if (j >= i)
			continue;
		fates[i].takes_back = j;
		fates[j].undone = true;
		if (fates[j].takes_back < n)
			fates[fates[j].takes_back].undone = false;
	}
}

static bool same_device(struct json_object *a, struct json_object *b)
{
	return !strcmp(text(a, "bus"), text(b, "bus")) &&
	       !strcmp(text(a, "path"), text(b, "path")) &&
	       number(a, "vendor") == number(b, "vendor") &&
	       number(a, "device") == number(b, "device");
}

/* Calls @visit for each device of an entry's changes, until it returns true. */
static bool any_device(struct json_object *entry,
		       bool (*visit)(struct json_object *change, struct json_object *device,
				     void *data), void *data)
{
	struct json_object *changes = get(get(entry, "plan"), "changes"), *c, *devices;
	size_t i, j;

	for (i = 0; i < length(changes); i++) {
		c = json_object_array_get_idx(changes, i);
		devices = get(c, "devices");
		for (j = 0; j < length(devices); j++)
			if (visit(c, json_object_array_get_idx(devices, j), data))
				return true;
	}
	return false;
}

static bool is_that_device(struct json_object *change, struct json_object *device, void *data)
{
	(void)change;
	return same_device(device, data);
}

static bool is_in_entry(struct json_object *change, struct json_object *device, void *data)
{
	(void)change;
	return any_device(data, is_that_device, device);
}

struct force {
	struct search *search;
	bool any;
};

static bool is_other(struct json_object *change, struct json_object *device, void *data)
{
	struct force *force = data;
	struct iommucfg_group *group = find_group(force->search, device);

	if (!group)
		return false;
	force->any = true;
	/* Of "auto" any type is right. */
	return strcmp(text(change, "to"), "auto") &&
	       strcmp(text(change, "to"), iommucfg_group_type_text(group));
}

/* Do the groups of its devices, as far as these are there, have the types that it gave? */
static bool in_force(struct search *search, struct json_object *entry)
{
	struct force force = { .search = search };

	return !any_device(entry, is_other, &force) && force.any;
}

/* The entry to take back: @id, or the newest that can be. -1 where there is none. */
static int choose(struct search *search, struct json_object *entries, const struct fate *fates,
		  long *chosen)
{
	struct iommucfg_problems *problems = search->run->cli->problems;
	size_t i = length(entries), k, n = i;
	struct json_object *e, *later;
	long id = search->id;

	if (!id) {
		while (i--) {
			e = json_object_array_get_idx(entries, i);
			if (changed(e) && !fates[i].undone && !is_reverse(e) && in_force(search, e))
				break;
		}
		*chosen = i < n ? (long)i : -1;
		return EXIT_DONE;
	}
	i = index_of(entries, id);
	if (i == n) {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "usage", ENOENT,
				      "there is no entry %ld: \"iommucfg history\" lists them", id);
		return EXIT_BAD;
	}
	e = json_object_array_get_idx(entries, i);
	*chosen = changed(e) && !fates[i].undone ? (long)i : -1;
	for (k = i + 1; *chosen >= 0 && k < n; k++) {
		later = json_object_array_get_idx(entries, k);
		/* What took back a change that was later itself has left this one's. */
		if (!changed(later) || fates[k].undone ||
		    (is_reverse(later) && fates[k].takes_back > i) ||
		    !any_device(later, is_in_entry, e))
			continue;
		iommucfg_problems_add(problems, IOMMUCFG_REFUSED, "history", EBUSY,
				      "entry %ld is not undone alone: entry %ld changed one of its groups later; \"iommucfg undo %ld\" first, or \"iommucfg rollback --to %ld\" for both",
				      id, history_id(later), history_id(later), id);
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

static int plan_undo(struct search *search, struct json_object *entries)
{
	struct fate *fates = calloc(length(entries) + 1, sizeof(*fates));
	struct run *run = search->run;
	struct json_object *entry;
	long chosen = -1;
	bool undone;
	int code, ret;

	if (!fates)
		return cli_nomem();
	find_fates(entries, fates);
	code = choose(search, entries, fates, &chosen);
	undone = !code && search->id && fates[index_of(entries, search->id)].undone;
	free(fates);
	if (code)
		return code;
	if (chosen < 0) {
		if (undone)
			cli_note(run->cli, "entry %ld is undone already", search->id);
		else if (search->id)
			cli_note(run->cli, "entry %ld has changed nothing that could be undone",
				 search->id);
		else
			cli_note(run->cli, "there is nothing to undo");
		if (run->dry)
			return run_plan_targets(run, NULL, 0);
		run_nothing(run);
		return EXIT_DONE;
	}
	entry = json_object_array_get_idx(entries, chosen);
	if (!search->again)
		cli_note(run->cli, "undoing entry %ld of %s", history_id(entry), text(entry, "time"));
	run_undoes(run, history_id(entry));
	ret = take_entry(search, entry);
	if (ret) {
		iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "system", -ret,
				      "no plan could be made: %s", strerror(-ret));
		return EXIT_BAD;
	}
	return run_plan_targets(run, search->targets, search->n);
}

static int make_plan(struct run *run, bool again)
{
	struct search *search = run->make_data;
	struct json_object *entries = history_read(run->cli->ctx, run->cli->problems);
	int code;

	free(search->targets);
	search->targets = NULL;
	search->n = search->cap = 0;
	search->missing = 0;
	search->again = again;
	search->seen = json_object_new_object();
	code = entries ? search->plan(search, entries) : EXIT_BAD;
	json_object_put(search->seen);
	json_object_put(entries);
	return code;
}

/* By plan and apply, whatever @plan makes of the history. */
static int go_back(struct run *run, long id,
		   int (*plan)(struct search *search, struct json_object *entries))
{
	struct search search = { .run = run, .plan = plan, .id = id };
	int code;

	/* To go back from what a policy allowed; a disk in use is asked for by name. */
	run->options.allow_in_use |= IOMMUCFG_WORD_NET | IOMMUCFG_WORD_OTHER;
	run_default_timeout(run);
	run->make = make_plan;
	run->make_data = &search;
	if (run->dry) {
		code = plan_dry(run);
		free(search.targets);
		return !code && search.missing ? EXIT_CHANGE : code;
	}
	signals_catch();
	run_find_hooks(run);
	code = run_plans_twice(run) ? EXIT_DONE : run_lock(run);
	if (code)
		return run_finish(run, code);
	code = run_prepare(run);
	if (run->topology)
		code = cli_worse(code, make_plan(run, false));
	code = run_judge(run, code);
	/* As when something is skipped: the rest is done. */
	if (!code && search.missing)
		code = EXIT_CHANGE;
	code = run_finish(run, code);
	free(search.targets);
	return code;
}

int rollback_to(struct run *run, const char *entry)
{
	struct cli *cli = run->cli;
	char *end;
	long to;
	int code;

	to = strtol(entry, &end, 10);
	if (*entry < '1' || *entry > '9' || *end)
		return cli_usage(cli, "--to takes the number of an entry, not \"%s\"", entry);
	code = cli_open(cli);
	if (code >= 0)
		return code;
	/* Another document than that of a rollback by name: that of a plan. */
	cli->document = "rollback-to";
	return go_back(run, to, plan_back);
}

/* The one transaction that is unconfirmed, to be released; NULL where there is none. */
static char *unconfirmed(struct cli *cli, int *count)
{
	struct iommucfg_txn *txn;
	char **names, *found = NULL;
	int n, i;

	*count = 0;
	n = iommucfg_txn_list(cli->ctx, &names);
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		if (iommucfg_txn_state(txn) == IOMMUCFG_STATE_UNCONFIRMED &&
		    !txn_is_second(cli, names[i])) {
			free(found);
			found = strdup(names[i]);
			++*count;
		}
		iommucfg_txn_unref(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
	return found;
}

int cmd_undo(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, RUN_LONG, RUN_MORE_LONG, { NULL, 0, NULL, 0 }
	};
	struct run run = { .cli = cli, .settle = DEFAULT_SETTLE };
	int code, count;
	char *name;
	long id = 0;

	code = cli_options(cli, argc, argv, ":" RUN_DRY_SHORT CLI_SHORT, options, run_option,
			   &run);
	if (code >= 0)
		return code;
	if (argc - optind > 1)
		return cli_usage(cli, "undo takes the number of one entry");
	if (argv[optind] && cli_number(cli, "undo", argv[optind], 1, LONG_MAX, &id))
		return EXIT_BAD;
	code = cli_open(cli);
	if (code >= 0)
		return code;
	/* Its entry is the newest, so that the plan alone is the same. */
	name = id || geteuid() || run.dry ? NULL : unconfirmed(cli, &count);
	if (name && count == 1) {
		code = undo_unconfirmed(cli, name, run.options.allow_in_use);
		free(name);
		return code;
	}
	free(name);
	return go_back(&run, id, plan_undo);
}
