// SPDX-License-Identifier: GPL-2.0
/* The agent's configuration. */
#include <json.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

/* An agent asks for its grant each minute in any case, over another connection. */
#define CHECK_MS	300000

static const char *const known[] = {
	"store", "name", "pool", "labels", "limits", "start_jitter", "report_interval", "metrics",
	"reach", NULL
};
static const char *const known_limits[] = {
	"allow_in_use", "types", "disruption", "faults", "confirm_timeout_min", NULL
};

static bool only_known(const char *file, config_setting_t *group, const char *const *names)
{
	return conf_only_known(file, group, names, iommucfg_suggest);
}

/* Stays as it is where the file does not have it. */
static bool take_number(config_t *config, const char *file, const char *path, int min, int max,
			int *to)
{
	config_setting_t *at = config_lookup(config, path);
	char what[64];

	if (!at)
		return true;
	*to = config_setting_get_int(at);
	if (config_setting_type(at) == CONFIG_TYPE_INT && *to >= min && *to <= max)
		return true;
	snprintf(what, sizeof(what), "it is no number from %d to %d", min, max);
	return conf_complain(file, at, what);
}

static bool take_string(config_t *config, const char *file, const char *path, const char **to)
{
	config_setting_t *at = config_lookup(config, path);

	if (!at)
		return true;
	*to = config_setting_get_string(at);
	return *to || conf_complain(file, at, "it is no text");
}

static bool take_labels(struct settings *s, config_t *config, const char *file)
{
	config_setting_t *group = config_lookup(config, "labels"), *each;
	const char *value;
	int i;

	s->labels = json_object_new_object();
	if (!s->labels)
		return false;
	if (!group)
		return true;
	if (!config_setting_is_group(group) || config_setting_length(group) > DOC_LABELS)
		return conf_complain(file, group, "it is no group of at most 16 labels");
	for (i = 0; i < config_setting_length(group); i++) {
		each = config_setting_get_elem(group, i);
		value = config_setting_get_string(each);
		if (!value || !conf_is_name(value) || !conf_is_name(config_setting_name(each)))
			return conf_complain(file, each,
					     "a label is letters, digits, \"-\", \"_\", \".\"");
		json_object_object_add(s->labels, config_setting_name(each),
				       json_object_new_string(value));
	}
	return true;
}

static bool take_words(struct settings *s, config_t *config, const char *file)
{
	config_setting_t *at = config_lookup(config, "limits.allow_in_use");
	const char *word;
	int i, mask;

	for (i = 0; at && i < config_setting_length(at); i++) {
		word = config_setting_get_string_elem(at, i);
		mask = word ? iommucfg_word_parse(word) : IOMMUCFG_WORD_NEVER;
		if (mask == IOMMUCFG_WORD_NEVER)
			return conf_complain(file, at, "a word is not known, see iommucfg.conf(5)");
		s->allow_in_use |= mask;
	}
	return !at || config_setting_is_array(at) || conf_complain(file, at, "it is no array [ ]");
}

static bool take_types(struct settings *s, config_t *config, const char *file)
{
	config_setting_t *at = config_lookup(config, "limits.types");
	enum iommucfg_type type;
	const char *word;
	int i;

	if (!at) {
		s->types = ~0U;
		return true;
	}
	for (i = 0; i < config_setting_length(at); i++) {
		word = config_setting_get_string_elem(at, i);
		type = word ? iommucfg_type_parse(word) : IOMMUCFG_TYPE_OTHER;
		if (type == IOMMUCFG_TYPE_OTHER || type == IOMMUCFG_TYPE_AUTO)
			return conf_complain(file, at, "a type is identity, DMA or DMA-FQ");
		s->types |= 1U << type;
	}
	return config_setting_is_array(at) || conf_complain(file, at, "it is no array [ ]");
}

static bool take_limits(struct settings *s, config_t *config, const char *file)
{
	const char *disruption = "rebind", *faults = "rollback";
	int word;

	s->confirm_timeout_min = 90;
	if (!only_known(file, config_lookup(config, "limits"), known_limits) ||
	    !take_words(s, config, file) || !take_types(s, config, file) ||
	    !take_string(config, file, "limits.disruption", &disruption) ||
	    !take_string(config, file, "limits.faults", &faults) ||
	    !take_number(config, file, "limits.confirm_timeout_min", 90, 604800,
			 &s->confirm_timeout_min))
		return false;
	word = iommucfg_disruption_parse(disruption);
	if (word < 0)
		return conf_complain(file, config_lookup(config, "limits.disruption"),
				"it is none, pause or rebind");
	s->disruption = word;
	s->faults_warn = !strcmp(faults, "warn");
	return s->faults_warn || !strcmp(faults, "rollback") ||
	       conf_complain(file, config_lookup(config, "limits.faults"),
			     "it is rollback or warn");
}

static bool take_names(struct settings *s, config_t *config, const char *file)
{
	const char *name = "", *pool = "default", *metrics = NULL;
	char host[DOC_HOST_MAX + 1] = "";

	if (!take_string(config, file, "name", &name) ||
	    !take_string(config, file, "pool", &pool) ||
	    !take_string(config, file, "metrics", &metrics))
		return false;
	if (!*name) {
		gethostname(host, sizeof(host) - 1);
		name = host;
	}
	if (!doc_is_host(name)) {
		fprintf(stderr, "%s: \"%s\" is no name of a host\n", file, name);
		return false;
	}
	if (!conf_is_name(pool)) {
		fprintf(stderr, "%s: \"%s\" is no name of a pool\n", file, pool);
		return false;
	}
	snprintf(s->name, sizeof(s->name), "%s", name);
	snprintf(s->pool, sizeof(s->pool), "%s", pool);
	s->metrics = metrics ? strdup(metrics) : NULL;
	return !metrics || s->metrics;
}

bool settings_address(const char *text, struct sockaddr_storage *to, socklen_t *size)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	const char *colon = strrchr(text, ':');
	bool brackets = *text == '[' && colon && colon > text && colon[-1] == ']';
	struct addrinfo *found;
	char host[128];

	if (!colon || (!brackets && strchr(text, ':') != colon) ||
	    colon - text >= (long)sizeof(host))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
	if (getaddrinfo(host, colon + 1, &hints, &found))
		return false;
	*size = found->ai_addrlen;
	memcpy(to, found->ai_addr, *size);
	freeaddrinfo(found);
	return true;
}

static bool take_reach(struct settings *s, config_t *config, const char *file)
{
	config_setting_t *at = config_lookup(config, "reach");
	struct sockaddr_storage to;
	const char *text;
	socklen_t size;
	int i;

	if (!at)
		return true;
	if (!config_setting_is_array(at) || config_setting_length(at) > ADDRESSES_MAX)
		return conf_complain(file, at, "it is no array [ ] of at most 16");
	for (i = 0; i < config_setting_length(at); i++) {
		text = config_setting_get_string_elem(at, i);
		if (!text || !settings_address(text, &to, &size))
			return conf_complain(file, at,
					     "it is as \"192.0.2.1:22\" or \"[2001:db8::1]:22\"");
		s->reach[i] = strdup(text);
		if (!s->reach[i])
			return false;
		s->reach_count++;
	}
	return true;
}

static bool take(struct conf *conf, config_t *config, const char *file, void *data)
{
	struct settings *s = data;
	bool ok;

	conf->check_ms = CHECK_MS;
	s->start_jitter = 60;
	s->report_interval = 600;
	ok = only_known(file, config_root_setting(config), known) &&
	       only_known(file, config_lookup(config, "store"), conf_store_words) &&
	       take_names(s, config, file) && take_labels(s, config, file) &&
	       take_limits(s, config, file) && take_reach(s, config, file) &&
	       take_number(config, file, "start_jitter", 0, 3600, &s->start_jitter) &&
	       take_number(config, file, "report_interval", 1, 86400, &s->report_interval);
	/* All agents lose their watches at once where a member or its network goes. */
	conf->spread_ms = s->start_jitter * 1000L;
	return ok;
}

bool settings_open(struct settings *settings, struct conf *conf, const char *file)
{
	*settings = (struct settings){ 0 };
	if (conf_open_with(conf, file, take, settings))
		return true;
	settings_clear(settings);
	return false;
}

void settings_clear(struct settings *settings)
{
	json_object_put(settings->labels);
	free(settings->metrics);
	while (settings->reach_count)
		free(settings->reach[--settings->reach_count]);
	*settings = (struct settings){ 0 };
}
