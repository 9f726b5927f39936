// SPDX-License-Identifier: GPL-2.0
/*
 * What is in use now, for "iommucfg fleet plan". It is what can be seen without a capability:
 * mounts, swap, holders, interfaces; not the files that other processes have open. Whether a
 * change is refused for it is judged by the command at the time of the change.
 */
#include <stdio.h>
#include <string.h>

#include "daemon.h"

/* All entries of a status together. A status is written by each host every ten minutes. */
#define IN_USE_BYTES 1500

static void add_text(struct json_object *o, const char *name, char *text)
{
	json_object_object_add(o, name, json_object_new_string(doc_line(text)));
}

/* The words that all uses of the group need together, each once. */
static void join_words(struct iommucfg_group *group, char words[DOC_WORDS_MAX])
{
	const struct iommucfg_use *use;
	struct iommucfg_device *device;
	enum iommucfg_word word;
	size_t i, j, length = 0;
	bool never = false;
	int seen = 0;

	words[0] = '\0';
	for (i = 0; i < iommucfg_group_num_devices(group); i++) {
		device = iommucfg_group_device(group, i);
		for (j = 0; j < iommucfg_device_num_uses(device); j++) {
			use = iommucfg_device_use(device, j);
			word = iommucfg_use_word(use);
			if (word == IOMMUCFG_WORD_NEVER ? never : (seen & word) != 0)
				continue;
			never |= word == IOMMUCFG_WORD_NEVER;
			seen |= word;
			length += snprintf(words + length, DOC_WORDS_MAX - length, "%s%s",
					   length ? "," : "", iommucfg_word_name(word));
		}
	}
}

/* NULL: the group is not in use. */
static struct json_object *group_in_use(struct iommucfg_group *group)
{
	char words[DOC_WORDS_MAX], name[DOC_USE_MAX], what[DOC_USE_MAX];
	struct iommucfg_device *device = NULL;
	const struct iommucfg_use *use;
	struct json_object *o;
	size_t i;

	for (i = 0; i < iommucfg_group_num_devices(group) && !device; i++) {
		if (iommucfg_device_num_uses(iommucfg_group_device(group, i)))
			device = iommucfg_group_device(group, i);
	}
	if (!device)
		return NULL;
	use = iommucfg_device_use(device, 0);
	join_words(group, words);
	snprintf(name, sizeof(name), "%s", iommucfg_device_name(device));
	snprintf(what, sizeof(what), "%s%s%s", iommucfg_use_kind(use),
		 iommucfg_use_name(use) ? " " : "",
		 iommucfg_use_name(use) ? iommucfg_use_name(use) : "");
	o = json_object_new_object();
	json_object_object_add(o, "group", json_object_new_int64(iommucfg_group_number(group)));
	add_text(o, "device", name);
	add_text(o, "words", words);
	add_text(o, "what", what);
	return o;
}

void use_report(struct daemon *d, struct json_object *o)
{
	struct iommucfg_topology *topology = NULL;
	struct json_object *array, *each;
	size_t i, size = 0;
	long more = 0;

	/* A look at everything is not to take time from a change. */
	if (agent_journal(d->agent)->phase == JOURNAL_APPLY ||
	    agent_journal(d->agent)->phase == JOURNAL_CONFIRM)
		return;
	if (iommucfg_topology_scan(d->host.ctx, &topology, NULL) ||
	    iommucfg_topology_scan_use(topology, NULL)) {
		iommucfg_topology_unref(topology);
		return;
	}
	array = json_object_new_array();
	for (i = 0; i < iommucfg_topology_num_groups(topology); i++) {
		each = group_in_use(iommucfg_topology_group(topology, i));
		if (!each)
			continue;
		size += strlen(json_object_to_json_string_ext(each, JSON_C_TO_STRING_PLAIN)) + 1;
		if (more || size > IN_USE_BYTES) {
			json_object_put(each);
			more++;
		} else {
			json_object_array_add(array, each);
		}
	}
	iommucfg_topology_unref(topology);
	json_object_object_add(o, "in_use", array);
	if (more)
		json_object_object_add(o, "in_use_more", json_object_new_int64(more));
}
