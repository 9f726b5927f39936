// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An entry of the history as messages of systemd's journal: one for the command,
 * one for each group that it changed. A person reads the text, a program asks for
 * the fields: journalctl IOMMUCFG_GROUP=14. Without libsystemd there is none.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "history.h"

#ifdef HAVE_LIBSYSTEMD

#include <systemd/sd-journal.h>

/* Of all our messages, as journalctl's MESSAGE_ID. */
#define ID_COMMAND	"964d8866b8c64bc986541ceea7494212"
#define ID_GROUP	"8f36298fc9ee4e2c851efb6898bfddd9"

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, key, &value) ? value : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_string(value) : "";
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void send_group(struct json_object *entry, struct json_object *change)
{
	struct json_object *devices = get(change, "devices"), *d;
	char *names = NULL;
	size_t i, size;
	FILE *f;

	f = open_memstream(&names, &size);
	if (!f)
		return;
	for (i = 0; i < length(devices); i++) {
		d = json_object_array_get_idx(devices, i);
		fprintf(f, "%s%s", i ? " " : "", text(d, "name"));
	}
	if (!fclose(f))
		sd_journal_send("MESSAGE=group %s: %s to %s (%s)", text(change, "group"),
				text(change, "from"), text(change, "to"), names,
				"PRIORITY=%d", LOG_INFO, "MESSAGE_ID=" ID_GROUP,
				"IOMMUCFG_TRANSACTION=%s", text(entry, "transaction"),
				"IOMMUCFG_GROUP=%s", text(change, "group"),
				"IOMMUCFG_FROM=%s", text(change, "from"),
				"IOMMUCFG_TO=%s", text(change, "to"),
				"IOMMUCFG_DEVICES=%s", names,
				"IOMMUCFG_RULE=%s", text(get(change, "rule"), "name"), NULL);
	free(names);
}

void journal_entry(struct iommucfg *ctx, struct json_object *entry)
{
	struct json_object *changes = get(get(entry, "plan"), "changes");
	const char *result = text(entry, "result");
	bool done = !strcmp(result, "committed") || !strcmp(result, "unconfirmed") ||
		    !strcmp(result, "rolled-back");
	size_t i, n = length(changes);

	/* What happens in a tree somewhere is not this machine's. */
	if (*iommucfg_root(ctx))
		return;
	sd_journal_send("MESSAGE=%s: %s, %zu group%s planned", text(entry, "action"), result, n,
			n == 1 ? "" : "s",
			"PRIORITY=%d", done ? LOG_NOTICE :
				       !strcmp(result, "failed") ? LOG_CRIT : LOG_ERR,
			"MESSAGE_ID=" ID_COMMAND,
			"IOMMUCFG_ACTION=%s", text(entry, "action"),
			"IOMMUCFG_RESULT=%s", result,
			"IOMMUCFG_EXIT=%s", text(entry, "exit"),
			"IOMMUCFG_TRANSACTION=%s", text(entry, "transaction"),
			"IOMMUCFG_HISTORY=%s", text(entry, "id"), NULL);
	for (i = 0; done && i < n; i++)
		send_group(entry, json_object_array_get_idx(changes, i));
}

#else

void journal_entry(struct iommucfg *ctx, struct json_object *entry)
{
	(void)ctx, (void)entry;
}

#endif
