// SPDX-License-Identifier: LGPL-2.1-or-later
/* Parts of JSON documents. Every key is always there; what is not known is null. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "json.h"

/* How many bytes the first character of a text has; 0 where it is no UTF-8. */
static size_t character(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n, i;

	n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 :
	    *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
	for (i = 1; i < n && (p[i] & 0xc0) == 0x80; i++)
		;
	/* Overlong forms and halves of surrogate pairs. */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n && i == n ? n : 0;
}

/* What follows after @length bytes must be a NUL or newline. */
bool json_is_utf8(const char *text, size_t length)
{
	size_t at, n;

	for (at = 0; at < length; at += n) {
		n = character(text + at);
		if (!n)
			return false;
	}
	return at == length;
}

/*
 * Kernel and files may give any bytes, JSON takes UTF-8 alone: a byte that is
 * no part of it becomes a question mark.
 */
struct json_object *json_text(const char *text)
{
	struct json_object *string;
	char *copy, *p;
	size_t n;

	if (!text)
		return NULL;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (p = copy; *p; p += n) {
		n = character(p);
		if (!n) {
			*p = '?';
			n = 1;
		}
	}
	string = json_object_new_string(copy);
	free(copy);
	return string;
}

struct json_object *json_number(long number)
{
	return number < 0 ? NULL : json_object_new_int64(number);
}

static const char *word_of(enum iommucfg_word word)
{
	switch (word) {
	case IOMMUCFG_WORD_NET:
		return "net";
	case IOMMUCFG_WORD_BLOCK:
		return "block";
	case IOMMUCFG_WORD_DEFAULT_ROUTE:
		return "default-route";
	case IOMMUCFG_WORD_MOUNTED:
		return "mounted";
	case IOMMUCFG_WORD_OTHER:
		return "other";
	default:
		return NULL;
	}
}

/* The mount point, of what is mounted: what stands in between is told after it. */
static struct json_object *where_of(const struct iommucfg_use *use)
{
	const char *detail = iommucfg_use_detail(use), *end;
	struct json_object *o;
	char *path;

	if (strcmp(iommucfg_use_kind(use), "mount") || !detail || *detail != '/')
		return NULL;
	end = strstr(detail, " over ");
	path = strndup(detail, end ? (size_t)(end - detail) : strlen(detail));
	o = json_text(path);
	free(path);
	return o;
}

/* What a device is, as numbers. */
static struct json_object *names_of(struct iommucfg_device *device, size_t n,
				    const char *(*name)(struct iommucfg_device *, size_t))
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(array, json_text(name(device, i)));
	return array;
}

/* What a device is, in numbers and in the names of what is on it. */
void json_add_ids(struct json_object *o, struct iommucfg_device *device)
{
	long class = iommucfg_device_class(device);
	char digits[16];

	snprintf(digits, sizeof(digits), "%06lx", class & 0xffffff);
	json_object_object_add(o, "vendor", json_number(iommucfg_device_vendor(device)));
	json_object_object_add(o, "device_id", json_number(iommucfg_device_id(device)));
	json_object_object_add(o, "class", json_text(class < 0 ? NULL : digits));
	json_object_object_add(o, "removable",
			       json_object_new_boolean(iommucfg_device_removable(device)));
	/* That a device is trusted nothing says. */
	json_object_object_add(o, "untrusted", iommucfg_device_untrusted(device) ?
			       json_object_new_boolean(true) : NULL);
	json_object_object_add(o, "interfaces",
			       names_of(device, iommucfg_device_num_interfaces(device),
					iommucfg_device_interface));
	json_object_object_add(o, "disks", names_of(device, iommucfg_device_num_disks(device),
						    iommucfg_device_disk));
}

struct json_object *json_uses(const struct iommucfg_device *device)
{
	struct json_object *array = json_object_new_array(), *o;
	const struct iommucfg_use *use;
	size_t i;

	for (i = 0; i < iommucfg_device_num_uses(device); i++) {
		use = iommucfg_device_use(device, i);
		o = json_object_new_object();
		json_object_object_add(o, "kind", json_text(iommucfg_use_kind(use)));
		json_object_object_add(o, "name", json_text(iommucfg_use_name(use)));
		json_object_object_add(o, "detail", json_text(iommucfg_use_detail(use)));
		json_object_object_add(o, "where", where_of(use));
		json_object_object_add(o, "word", json_text(word_of(iommucfg_use_word(use))));
		json_object_object_add(o, "default_route", json_object_new_boolean(
				       iommucfg_use_default_route(use)));
		json_object_array_add(array, o);
	}
	return array;
}

static const char *const severities[] = {
	[IOMMUCFG_WARNING] = "warning",
	[IOMMUCFG_REFUSED] = "refused",
	[IOMMUCFG_ERROR] = "error",
};

void json_add_problems(struct json_object *array, const struct iommucfg_problems *problems)
{
	const struct iommucfg_problem *p;
	struct json_object *o;
	size_t i;

	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		o = json_object_new_object();
		json_object_object_add(o, "kind", json_text(iommucfg_problem_kind(p)));
		json_object_object_add(o, "severity",
				       json_text(severities[iommucfg_problem_severity(p)]));
		json_object_object_add(o, "code", json_text(iommucfg_problem_code(p)));
		json_object_object_add(o, "message", json_text(iommucfg_problem_message(p)));
		json_object_object_add(o, "file", json_text(iommucfg_problem_file(p)));
		json_object_object_add(o, "line", json_number(iommucfg_problem_line(p)));
		json_object_object_add(o, "rule", json_text(iommucfg_problem_rule(p)));
		json_object_object_add(o, "group", json_number(iommucfg_problem_group(p)));
		json_object_object_add(o, "device", json_text(iommucfg_problem_device(p)));
		json_object_object_add(o, "errno", json_text(iommucfg_problem_errno(p)));
		json_object_object_add(o, "fix", json_text(iommucfg_problem_fix(p)));
		json_object_array_add(array, o);
	}
}

/* The same problems, worst first, else in their order. Releases @array. */
struct json_object *json_worst_first(struct json_object *array)
{
	size_t i, n = json_object_array_length(array);
	struct json_object *sorted = json_object_new_array(), *o, *severity;
	int s;

	for (s = IOMMUCFG_ERROR; s >= IOMMUCFG_WARNING; s--) {
		for (i = 0; i < n; i++) {
			o = json_object_array_get_idx(array, i);
			if (json_object_object_get_ex(o, "severity", &severity) &&
			    !strcmp(json_object_get_string(severity), severities[s]))
				json_object_array_add(sorted, json_object_get(o));
		}
	}
	json_object_put(array);
	return sorted;
}

struct json_object *json_problems(const struct iommucfg_problems *problems)
{
	struct json_object *array = json_object_new_array();

	json_add_problems(array, problems);
	return json_worst_first(array);
}

/* The lines of a report of the kernel's, as problems have them. */
struct json_object *json_report(const struct iommucfg_problems *report)
{
	struct json_object *array = json_object_new_array(), *o;
	const struct iommucfg_problem *p;
	size_t i;

	for (i = 0; i < iommucfg_problems_count(report); i++) {
		p = iommucfg_problems_get(report, i);
		o = json_object_new_object();
		json_object_object_add(o, "group", json_number(iommucfg_problem_group(p)));
		json_object_object_add(o, "device", json_text(iommucfg_problem_device(p)));
		json_object_object_add(o, "phase", json_text(iommucfg_problem_phase(p)));
		json_object_object_add(o, "errno", json_text(iommucfg_problem_errno(p)));
		json_object_object_add(o, "message", json_text(iommucfg_problem_message(p)));
		json_object_array_add(array, o);
	}
	return array;
}

struct json_object *json_rules(const struct iommucfg_plan *plan)
{
	struct json_object *array = json_object_new_array(), *o;
	const struct iommucfg_rule *rule;
	size_t i;

	for (i = 0; plan && i < iommucfg_plan_num_rules(plan); i++) {
		rule = iommucfg_plan_rule(plan, i);
		o = json_object_new_object();
		json_object_object_add(o, "name", json_text(iommucfg_rule_name(rule)));
		json_object_object_add(o, "file", json_text(iommucfg_rule_file(rule)));
		json_object_object_add(o, "line", json_number(iommucfg_rule_line(rule)));
		json_object_object_add(o, "type",
				       json_text(ic_policy_type_name(iommucfg_rule_type(rule))));
		json_object_object_add(o, "matched",
				       json_number(iommucfg_plan_rule_matched(plan, i)));
		json_object_object_add(o, "won", json_number(iommucfg_plan_rule_won(plan, i)));
		json_object_array_add(array, o);
	}
	return array;
}

struct json_object *json_change(const struct iommucfg_plan *plan,
				const struct iommucfg_change *change)
{
	const struct iommucfg_group *group = iommucfg_change_group(change);
	struct json_object *o = json_object_new_object(), *rule, *devices, *d;
	struct iommucfg_device *device;
	const char *name, *file;
	size_t i;
	int line;

	name = iommucfg_change_origin(change, &file, &line);
	rule = json_object_new_object();
	json_object_object_add(rule, "name", json_text(name));
	json_object_object_add(rule, "file", json_text(file));
	json_object_object_add(rule, "line", json_number(line));
	devices = json_object_new_array();
	for (i = 0; i < iommucfg_group_num_devices(group); i++) {
		device = iommucfg_group_device(group, i);
		d = json_object_new_object();
		json_object_object_add(d, "name", json_text(iommucfg_device_name(device)));
		json_object_object_add(d, "bus", json_text(iommucfg_device_bus(device)));
		json_object_object_add(d, "driver", json_text(iommucfg_device_driver(device)));
		json_object_object_add(d, "follows", json_object_new_boolean(
				       iommucfg_plan_follows(plan, change, device)));
		json_add_ids(d, device);
		json_object_object_add(d, "silent_us",
				       json_number(iommucfg_device_silent(device) ?
						   iommucfg_device_silent(device) : -1));
		json_object_object_add(d, "in_use", json_uses(device));
		json_object_array_add(devices, d);
	}
	json_object_object_add(o, "group", json_number(iommucfg_group_number(group)));
	json_object_object_add(o, "from", json_text(iommucfg_group_type_text(group)));
	json_object_object_add(o, "to", json_text(iommucfg_type_name(iommucfg_change_to(change))));
	json_object_object_add(o, "in_place",
			       json_object_new_boolean(iommucfg_change_in_place(change)));
	json_object_object_add(o, "method", json_text(iommucfg_change_method(change)));
	json_object_object_add(o, "rule", rule);
	json_object_object_add(o, "devices", devices);
	json_object_object_add(o, "step", json_number(iommucfg_change_step(change) + 1));
	return o;
}

static struct json_object *json_texts(const char *(*text)(const struct iommucfg_loss *loss,
							  size_t index),
				      const struct iommucfg_loss *loss)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; text(loss, i); i++)
		json_object_array_add(array, json_text(text(loss, i)));
	return array;
}

/* What interfaces lose by the plan; @plan may be NULL. */
struct json_object *json_losses(const struct iommucfg_plan *plan)
{
	struct json_object *array = json_object_new_array(), *o;
	const struct iommucfg_device *device;
	const struct iommucfg_loss *loss;
	size_t i;

	for (i = 0; plan && i < iommucfg_plan_num_losses(plan); i++) {
		loss = iommucfg_plan_loss(plan, i);
		device = iommucfg_loss_device(loss);
		o = json_object_new_object();
		json_object_object_add(o, "interface", json_text(iommucfg_loss_interface(loss)));
		json_object_object_add(o, "group", json_number(iommucfg_group_number(
				       iommucfg_device_group(device))));
		json_object_object_add(o, "device", json_text(iommucfg_device_name(device)));
		json_object_object_add(o, "addresses", json_texts(iommucfg_loss_address, loss));
		json_object_object_add(o, "routes", json_texts(iommucfg_loss_route, loss));
		json_object_object_add(o, "master", json_text(iommucfg_loss_master(loss)));
		json_object_object_add(o, "manager", json_text(iommucfg_loss_manager(loss)));
		json_object_array_add(array, o);
	}
	return array;
}
