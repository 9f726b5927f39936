// SPDX-License-Identifier: GPL-2.0
/*
 * plan --save and apply --plan: a file with what was planned, so that what is carried out
 * later, perhaps by another person, is that and nothing else. What is in use is not in it:
 * that is asked for anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define SCHEMA		"iommucfg/plan-file/1"

static struct json_object *get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ?
	       value : NULL;
}

static const char *plain(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* FNV-1a of 128 bits over all that the document has but its hash. */
static void hash_of(struct json_object *o, char *buf, size_t size)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	unsigned __int128 h = ((unsigned __int128)0x6c62272e07bb0142 << 64) + 0x62b821756295c58d;
	const char *p;

	json_object_object_foreach(o, key, value) {
		if (!strcmp(key, "hash"))
			continue;
		for (p = key; *p; p++)
			h = (h ^ (unsigned char)*p) * prime;
		for (p = value ? plain(value) : "null"; *p; p++)
			h = (h ^ (unsigned char)*p) * prime;
	}
	snprintf(buf, size, "%016llx%016llx", (unsigned long long)(h >> 64),
		 (unsigned long long)h);
}

static struct json_object *change_of(const struct iommucfg_change *change, bool methods)
{
	const struct iommucfg_group *group = iommucfg_change_group(change);
	struct json_object *o = json_object_new_object(), *devices = json_object_new_array(), *d;
	size_t i;

	for (i = 0; i < iommucfg_group_num_devices(group); i++) {
		d = json_object_new_object();
		json_object_object_add(d, "name", json_text(iommucfg_device_name(
				       iommucfg_group_device(group, i))));
		json_object_object_add(d, "driver", json_text(iommucfg_device_driver(
				       iommucfg_group_device(group, i))));
		json_object_array_add(devices, d);
	}
	json_object_object_add(o, "group", json_number(iommucfg_group_number(group)));
	json_object_object_add(o, "from", json_text(iommucfg_group_type_text(group)));
	json_object_object_add(o, "to", json_text(iommucfg_type_name(iommucfg_change_to(change))));
	json_object_object_add(o, "method", methods ? json_text(iommucfg_change_method(change)) :
						      NULL);
	json_object_object_add(o, "devices", devices);
	return o;
}

static struct json_object *changes_of(const struct iommucfg_plan *plan, bool methods)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < iommucfg_plan_num_changes(plan); i++)
		json_object_array_add(array, change_of(iommucfg_plan_change(plan, i), methods));
	return array;
}

static struct json_object *policy_of(const struct iommucfg_policy *policy)
{
	struct json_object *o;
	char *text;

	if (iommucfg_policy_text(policy, &text))
		return NULL;
	o = json_text(text);
	free(text);
	return o;
}

static struct json_object *options_of(const struct run *run)
{
	struct json_object *o = json_object_new_object(), *words = json_object_new_array();
	const char *const *word;

	for (word = iommucfg_word_names(); *word; word++)
		if (run->options.allow_in_use & iommucfg_word_parse(*word))
			json_object_array_add(words, json_text(*word));
	json_object_object_add(o, "allow_in_use", words);
	json_object_object_add(o, "confirm_timeout",
			       json_number(iommucfg_plan_confirm_timeout(run->plan)));
	json_object_object_add(o, "disruption",
			       json_text(iommucfg_disruption_name(run->options.disruption)));
	json_object_object_add(o, "skip_in_use", json_object_new_boolean(run->options.skip_in_use));
	json_object_object_add(o, "strict", json_object_new_boolean(run->options.strict));
	return o;
}

/* Where the policy was read: null for the system's own. */
static struct json_object *files_of(int n, char **files)
{
	struct json_object *array = n ? json_object_new_array() : NULL;
	char *path;
	int i;

	for (i = 0; i < n; i++) {
		path = strcmp(files[i], "-") ? realpath(files[i], NULL) : NULL;
		json_object_array_add(array, json_text(path ? path : files[i]));
		free(path);
	}
	return array;
}

int plan_file_save(struct run *run, const char *file, const struct iommucfg_policy *policy,
		   int num_files, char **files)
{
	struct json_object *o = json_object_new_object();
	const char *text;
	char hash[40];
	int ret;

	json_object_object_add(o, "schema", json_text(SCHEMA));
	json_object_object_add(o, "files", files_of(num_files, files));
	json_object_object_add(o, "policy", policy_of(policy));
	json_object_object_add(o, "options", options_of(run));
	json_object_object_add(o, "changes", changes_of(run->plan, true));
	hash_of(o, hash, sizeof(hash));
	json_object_object_add(o, "hash", json_text(hash));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	ret = text ? iommucfg_write_atomic(file, text, strlen(text)) : -ENOMEM;
	json_object_put(o);
	if (!ret)
		return EXIT_DONE;
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_ERROR, "system", -ret,
			      "the plan is not saved, and %s is left as it is: %s", file,
			      strerror(-ret));
	return EXIT_BAD;
}

/* Plans that were saved before there was this option may unbind drivers. */
static int disruption_of(struct json_object *options)
{
	struct json_object *word;

	if (!json_object_object_get_ex(options, "disruption", &word))
		return IOMMUCFG_DISRUPTION_REBIND;
	return json_object_is_type(word, json_type_string) ?
	       iommucfg_disruption_parse(json_object_get_string(word)) : -1;
}

static bool is_plan(struct json_object *o)
{
	struct json_object *schema = get(o, "schema", json_type_string), *options, *changes, *c;
	struct json_object *hash = get(o, "hash", json_type_string);
	char buf[40];
	size_t i;

	options = get(o, "options", json_type_object);
	changes = get(o, "changes", json_type_array);
	if (!schema || strcmp(json_object_get_string(schema), SCHEMA) || !options || !changes ||
	    !hash || !get(o, "policy", json_type_string) ||
	    !get(options, "allow_in_use", json_type_array) ||
	    !get(options, "confirm_timeout", json_type_int) ||
	    disruption_of(options) < 0 || !get(options, "skip_in_use", json_type_boolean) ||
	    !get(options, "strict", json_type_boolean))
		return false;
	for (i = 0; i < json_object_array_length(changes); i++) {
		c = json_object_array_get_idx(changes, i);
		if (!json_object_is_type(c, json_type_object))
			return false;
	}
	/* A file that was edited is no plan. */
	hash_of(o, buf, sizeof(buf));
	return !strcmp(buf, json_object_get_string(hash));
}

int plan_file_load(struct cli *cli, const char *file, struct json_object **out)
{
	struct json_object *o;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", errno,
				      "the plan %s cannot be read: %s", file, strerror(errno));
		return EXIT_BAD;
	}
	o = json_object_from_fd(fd);
	close(fd);
	if (json_object_is_type(o, json_type_object) && is_plan(o)) {
		*out = o;
		return EXIT_DONE;
	}
	json_object_put(o);
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "usage", EINVAL,
			      "%s is no plan that \"iommucfg plan --save\" has written, or was changed since",
			      file);
	return EXIT_BAD;
}

/* How it was to be carried out; a confirm timeout on the command line counts more. */
void plan_file_options(struct run *run, struct json_object *file)
{
	struct json_object *options = get(file, "options", json_type_object);
	struct json_object *words = get(options, "allow_in_use", json_type_array);
	const char *word;
	size_t i;

	run->options.allow_in_use = 0;
	for (i = 0; i < json_object_array_length(words); i++) {
		word = json_object_get_string(json_object_array_get_idx(words, i));
		run->options.allow_in_use |= word ? iommucfg_word_parse(word) : 0;
	}
	run->options.disruption = disruption_of(options);
	run->options.skip_in_use = json_object_get_boolean(get(options, "skip_in_use",
							       json_type_boolean));
	run->options.strict = json_object_get_boolean(get(options, "strict", json_type_boolean));
	if (!run->timeout_set)
		run->options.confirm_timeout =
			json_object_get_int64(get(options, "confirm_timeout", json_type_int));
}

/* The files to read the policy from, ended by NULL and released by free(); 0: the system's. */
int plan_file_files(struct json_object *file, char ***files)
{
	struct json_object *array = get(file, "files", json_type_array);
	size_t i, n = array ? json_object_array_length(array) : 0;
	const char *name;

	*files = calloc(n + 1, sizeof(**files));
	for (i = 0; *files && i < n; i++) {
		name = json_object_get_string(json_object_array_get_idx(array, i));
		(*files)[i] = (char *)(name ? name : "");
	}
	return *files ? (int)n : -1;
}

const char *plan_file_policy(struct json_object *file)
{
	return json_object_get_string(get(file, "policy", json_type_string));
}

static bool same(struct json_object *a, struct json_object *b)
{
	bool equal = a && b && json_object_equal(a, b);

	json_object_put(a);
	return equal;
}

/* Where the kernel was not asked when the plan was made, its answer is not compared. */
static bool has_methods(struct json_object *changes)
{
	struct json_object *method;

	return json_object_array_length(changes) &&
	       json_object_object_get_ex(json_object_array_get_idx(changes, 0), "method",
					 &method) && method;
}

/* Is run->plan what was saved? Else refuses it. */
int plan_file_compare(struct run *run, struct json_object *file,
		      const struct iommucfg_policy *policy)
{
	struct json_object *changes = get(file, "changes", json_type_array);
	const char *what = NULL;

	if (!same(policy_of(policy), get(file, "policy", json_type_string)))
		what = "the policy is another one by now";
	else if (run->plan && !same(changes_of(run->plan, has_methods(changes)), changes))
		what = "other groups would change by now, or these have other types, devices, drivers or methods";
	if (!what)
		return EXIT_DONE;
	iommucfg_problems_add(run->cli->problems, IOMMUCFG_REFUSED, "transaction", ESTALE,
			      "this is not what was planned: %s; nothing was touched", what);
	iommucfg_problems_cure(run->cli->problems, "plan-differs", NULL);
	return EXIT_REFUSED;
}
