// SPDX-License-Identifier: GPL-2.0
/*
 * What the types of groups were before the fleet changed them first. To take the fleet's first
 * policy back is to give them these types again, by a policy that names a device of each, and
 * to remove the fleet's file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

#define CANDIDATE_MAX (1024 * 1024)

static struct json_object *kept(const struct host *host)
{
	char path[PATH_MAX];

	host_state(host, path, "in-force");
	return json_object_from_file(path);
}

bool before_exists(const struct host *host)
{
	char path[PATH_MAX];

	host_path(host, path, POLICY_FILE);
	return !access(path, F_OK);
}

/* What changed the groups needs the same words to change them back. */
static void print_options(const struct host *host, const char *text, FILE *f)
{
	const char *const *word = iommucfg_word_names(), *separator = "";
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_policy *policy = NULL;
	int words, disruption;

	if (!problems || iommucfg_policy_new(host->ctx, &policy) ||
	    iommucfg_policy_read_buffer(policy, "policy", text, strlen(text), problems))
		goto out;
	words = iommucfg_policy_allow_in_use(policy);
	disruption = iommucfg_policy_disruption(policy);
	fputs("options = {", f);
	if (words >= 0) {
		fputs("\n\tallow_in_use = [", f);
		for (; *word; word++) {
			if (!(words & iommucfg_word_parse(*word)))
				continue;
			fprintf(f, "%s \"%s\"", separator, *word);
			separator = ",";
		}
		fputs(" ];", f);
	}
	if (disruption >= 0)
		fprintf(f, "\n\tdisruption = \"%s\";", iommucfg_disruption_name(disruption));
	fputs("\n};\n", f);
out:
	iommucfg_policy_unref(policy);
	iommucfg_problems_unref(problems);
}

char *before_policy(const struct host *host)
{
	struct json_object *o = kept(host), *before = NULL, *in_force;
	const char *separator = "";
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f) {
		fputs("# The types before the fleet's first change.\nrules = (", f);
		json_object_object_get_ex(o, "before", &before);
		if (json_object_is_type(before, json_type_object)) {
			json_object_object_foreach(before, device, type) {
				fprintf(f, "%s\n\t{ name = \"before-%s\"; match = { device = \"%s\"; }; "
					"type = \"%s\"; required = false; }", separator, device, device,
					json_object_get_string(type));
				separator = ",";
			}
		}
		fputs("\n);\n", f);
		if (json_object_object_get_ex(o, "text", &in_force))
			print_options(host, json_object_get_string(in_force), f);
		if (fclose(f)) {
			free(text);
			text = NULL;
		}
	}
	json_object_put(o);
	return text;
}

bool before_is(const struct host *host, const char *policy)
{
	struct json_object *o = kept(host), *name;
	bool is = json_object_object_get_ex(o, "policy", &name) &&
		  !strcmp(json_object_get_string(name), policy);

	json_object_put(o);
	return is;
}

/* Groups of the attempt, by a device of each, if they are not there already. */
static void add_groups(const struct host *host, struct json_object *before)
{
	struct json_object *change, *groups, *each, *device, *from;
	char path[PATH_MAX];
	size_t i, count;

	host_state(host, path, "change");
	change = json_object_from_file(path);
	if (!json_object_object_get_ex(change, "groups", &groups))
		groups = NULL;
	count = groups ? json_object_array_length(groups) : 0;
	for (i = 0; i < count; i++) {
		each = json_object_array_get_idx(groups, i);
		if (json_object_object_get_ex(each, "device", &device) &&
		    json_object_object_get_ex(each, "from", &from) &&
		    iommucfg_type_parse(json_object_get_string(from)) != IOMMUCFG_TYPE_OTHER &&
		    !json_object_object_get_ex(before, json_object_get_string(device), NULL))
			json_object_object_add(before, json_object_get_string(device),
					       json_object_get(from));
	}
	json_object_put(change);
}

static bool forget(const struct host *host)
{
	char path[PATH_MAX];

	host_state(host, path, "in-force");
	if (!unlink(path) || errno == ENOENT)
		return true;
	note("<3>", "%s: %m", path);
	return false;
}

bool before_keep(const struct host *host, const struct doc_journal *journal)
{
	struct json_object *o, *was, *before;
	char path[PATH_MAX], *text;
	const char *out;
	bool ok;

	if (!strcmp(journal->policy, DOC_NO_POLICY))
		return forget(host);
	host_state(host, path, "candidate.conf");
	text = host_read(path, CANDIDATE_MAX);
	if (!text) {
		note("<3>", "%s: %m", path);
		return false;
	}
	o = json_object_new_object();
	was = kept(host);
	if (json_object_object_get_ex(was, "before", &before) &&
	    json_object_is_type(before, json_type_object))
		json_object_get(before);
	else
		before = json_object_new_object();
	add_groups(host, before);
	json_object_object_add(o, "policy", json_object_new_string(journal->policy));
	json_object_object_add(o, "text", json_object_new_string(text));
	json_object_object_add(o, "before", before);
	out = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	host_state(host, path, "in-force");
	ok = out && host_write(path, out, strlen(out));
	json_object_put(o);
	json_object_put(was);
	free(text);
	return ok;
}
