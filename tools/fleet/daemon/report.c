// SPDX-License-Identifier: GPL-2.0
/* What the host says of itself: in its status, and in a file for node_exporter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#define TEXT_MAX (1024 * 1024)

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

/* The name in the store of what is in the fleet's file, while that is as it was installed. */
static void add_in_force(const struct host *host, struct json_object *o)
{
	struct json_object *kept, *policy, *text;
	char path[PATH_MAX], *file;

	host_state(host, path, "in-force");
	kept = json_object_from_file(path);
	host_path(host, path, POLICY_FILE);
	file = host_read(path, TEXT_MAX);
	if (file && json_object_object_get_ex(kept, "policy", &policy) &&
	    json_object_object_get_ex(kept, "text", &text) &&
	    !strcmp(json_object_get_string(text), file))
		json_object_object_add(o, "policy_in_force", json_object_get(policy));
	free(file);
	json_object_put(kept);
}

static struct json_object *agent_of(void)
{
	static const char *const schemas[] = { DOC_GRANT_SCHEMA, "iommucfg/fleet-policy/1" };
	struct json_object *o = json_object_new_object(), *array = json_object_new_array();
	size_t i;

	add_text(o, "version", iommucfg_version());
	for (i = 0; i < sizeof(schemas) / sizeof(*schemas); i++)
		json_object_array_add(array, json_object_new_string(schemas[i]));
	json_object_object_add(o, "schemas", array);
	return o;
}

static struct json_object *plan_of(const struct daemon *d)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "groups", json_object_new_int64(d->planned_groups));
	json_object_object_add(o, "devices", json_object_new_int64(d->planned_devices));
	json_object_object_add(o, "in_use", json_object_new_int64(d->planned_in_use));
	return o;
}

static void add_problem(struct json_object *problems, const char *text)
{
	char line[DOC_REASON_MAX + 64];
	size_t i;

	if (!*text)
		return;
	/* A value that goes through the store is to be UTF-8, and one line. */
	for (i = 0; text[i] && i < sizeof(line) - 1; i++)
		line[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	line[i] = '\0';
	json_object_array_add(problems, json_object_new_string(line));
}

bool report(struct daemon *d)
{
	struct json_object *o = json_object_new_object(), *problems = json_object_new_array();
	char path[PATH_MAX], *abi;
	const char *text;
	bool ok;

	json_object_object_add(o, "agent", agent_of());
	json_object_object_add(o, "labels", json_object_get(d->settings.labels));
	add_text(o, "kernel", d->host.kernel);
	host_path(&d->host, path, "/sys/kernel/config/iommu/abi");
	abi = host_read(path, 64);
	if (abi) {
		abi[strcspn(abi, "\n")] = '\0';
		add_text(o, "module", abi);
	}
	free(abi);
	add_in_force(&d->host, o);
	json_object_object_add(o, "drift", plan_drift(d));
	json_object_object_add(o, "plan", plan_of(d));
	use_report(d, o);
	add_problem(problems, d->problem);
	add_problem(problems, agent_message(d->agent));
	json_object_object_add(o, "problems", problems);
	json_object_object_add(o, "report_interval",
			       json_object_new_int(d->settings.report_interval));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE);
	ok = text && agent_report(d->agent, text);
	json_object_put(o);
	return ok;
}

void metrics_write(struct daemon *d)
{
	char text[4096];
	size_t n = 0;
	int i;

	if (!d->settings.metrics)
		return;
	n += snprintf(text + n, sizeof(text) - n,
		      "# HELP iommucfg_agent_store_connected Whether the store answered last.\n"
		      "# TYPE iommucfg_agent_store_connected gauge\n"
		      "iommucfg_agent_store_connected %d\n"
		      "# HELP iommucfg_agent_last_proof_seconds When a change was proven last.\n"
		      "# TYPE iommucfg_agent_last_proof_seconds gauge\n"
		      "iommucfg_agent_last_proof_seconds %lld\n"
		      "# HELP iommucfg_agent_attempt The number of the last attempt.\n"
		      "# TYPE iommucfg_agent_attempt counter\n"
		      "iommucfg_agent_attempt %lld\n"
		      "# HELP iommucfg_agent_generation The pool's generation of that attempt.\n"
		      "# TYPE iommucfg_agent_generation gauge\n"
		      "iommucfg_agent_generation %lld\n"
		      "# HELP iommucfg_agent_drift_groups Groups that are not as the policy says.\n"
		      "# TYPE iommucfg_agent_drift_groups gauge\n"
		      "iommucfg_agent_drift_groups %ld\n"
		      "# HELP iommucfg_agent_attempts_total Attempts by their end, since the start.\n"
		      "# TYPE iommucfg_agent_attempts_total counter\n",
		      d->connected, (long long)d->proof_at,
		      (long long)agent_journal(d->agent)->attempt,
		      (long long)agent_journal(d->agent)->generation, d->drift);
	for (i = END_DONE; i < END_LOST; i++)
		n += snprintf(text + n, sizeof(text) - n,
			      "iommucfg_agent_attempts_total{end=\"%s\"} %ld\n", doc_end_name(i),
			      d->ended[i]);
	host_write(d->settings.metrics, text, n);
}
