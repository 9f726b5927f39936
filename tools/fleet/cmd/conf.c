// SPDX-License-Identifier: GPL-2.0
/* The configuration that coordinator and command share. */
#include <curl/curl.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "etcd.h"

static const char *text(config_t *config, const char *file, const char *path,
			const char *otherwise)
{
	const char *value = otherwise;

	if (!config_lookup_string(config, path, &value) && !otherwise)
		fprintf(stderr, "%s: there is no text \"%s\"\n", file, path);
	return value;
}

const char **conf_texts(config_t *config, const char *path, size_t *count)
{
	config_setting_t *array = config_lookup(config, path);
	const char **all;
	size_t i;

	if (!array || !config_setting_is_array(array) || !config_setting_length(array))
		return NULL;
	*count = config_setting_length(array);
	all = calloc(*count, sizeof(*all));
	for (i = 0; all && i < *count; i++) {
		all[i] = config_setting_get_string_elem(array, i);
		if (!all[i]) {
			free(all);
			return NULL;
		}
	}
	return all;
}

static bool open_store(struct conf *conf, config_t *config, const char *file)
{
	struct store_etcd_options options = { 0 };
	const char **endpoints, *kind;
	enum store_result result;
	char message[256] = "out of memory";
	size_t i;

	kind = text(config, file, "store.kind", NULL);
	options.ca = text(config, file, "store.ca", NULL);
	options.cert = text(config, file, "store.cert", NULL);
	options.key = text(config, file, "store.key", NULL);
	if (!kind || !options.ca || !options.cert || !options.key)
		return false;
	if (strcmp(kind, "etcd")) {
		fprintf(stderr, "%s: a store of kind \"%s\" is not known\n", file, kind);
		return false;
	}
	endpoints = conf_texts(config, "store.endpoints", &options.count);
	if (!endpoints) {
		fprintf(stderr, "%s: \"store.endpoints\" is no array of texts\n", file);
		return false;
	}
	options.endpoints = endpoints;
	options.spread_ms = conf->spread_ms;
	options.check_ms = conf->check_ms;
	result = store_etcd_open(&options, &conf->store, message);
	conf->endpoints = calloc(options.count, sizeof(*conf->endpoints));
	for (i = 0; conf->endpoints && i < options.count; i++) {
		conf->endpoints[i] = strdup(endpoints[i]);
		conf->endpoint_count++;
		if (!conf->endpoints[i])
			result = STORE_NOMEM;
	}
	free(endpoints);
	if (result)
		fprintf(stderr, "%s: %s\n", file, message);
	return !result && conf->endpoints;
}

const char *const conf_store_words[] = {
	"kind", "endpoints", "ca", "cert", "key", "prefix", NULL
};

bool conf_complain(const char *file, const config_setting_t *at, const char *what)
{
	fprintf(stderr, "%s:%u: %s: %s\n", file, config_setting_source_line(at),
		config_setting_name(at) ? config_setting_name(at) : "", what);
	return false;
}

bool conf_only_known(const char *file, config_setting_t *group, const char *const *names,
		     conf_suggest *suggest)
{
	config_setting_t *each;
	const char *near;
	char what[128];
	int i, n;

	if (!group)
		return true;
	if (!config_setting_is_group(group))
		return conf_complain(file, group, "it is no group { }");
	for (i = 0; i < config_setting_length(group); i++) {
		each = config_setting_get_elem(group, i);
		for (n = 0; names[n] && strcmp(names[n], config_setting_name(each)); n++)
			;
		if (names[n])
			continue;
		near = suggest(config_setting_name(each), names);
		snprintf(what, sizeof(what), "there is no such setting%s%s%s",
			 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
		return conf_complain(file, each, what);
	}
	return true;
}

bool conf_is_name(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789-_.");

	return length && length < 64 && !name[length];
}

/* And what else the caller wants of the file. */
struct more {
	conf_take *take;
	void *data;
};

static bool take_pools(struct conf *conf, config_t *config, const char *file, void *data)
{
	const struct more *more = data;
	static const char *const otherwise[] = { "default" };
	const char *const *from = otherwise;
	const char **pools = NULL;
	size_t i, count = 1;

	if (config_lookup(config, "pools")) {
		from = pools = conf_texts(config, "pools", &count);
		if (!pools) {
			fprintf(stderr, "%s: \"pools\" is no array of texts\n", file);
			return false;
		}
	}
	conf->pools = calloc(count, sizeof(*conf->pools));
	for (i = 0; conf->pools && i < count; i++) {
		if (!conf_is_name(from[i])) {
			fprintf(stderr, "%s: \"%s\" is no name of a pool\n", file, from[i]);
			break;
		}
		conf->pools[i] = strdup(from[i]);
		if (!conf->pools[i])
			break;
		conf->pool_count++;
	}
	free(pools);
	return conf->pool_count == count &&
	       (!more->take || more->take(conf, config, file, more->data));
}

bool conf_open(struct conf *conf, const char *file)
{
	return conf_open_pools(conf, file, NULL, NULL);
}

bool conf_open_pools(struct conf *conf, const char *file, conf_take *take, void *data)
{
	struct more more = { take, data };

	return conf_open_with(conf, file, take_pools, &more);
}

void conf_now(char at[DOC_AT_MAX])
{
	time_t now = time(NULL);
	struct tm tm;

	at[0] = '\0';
	if (gmtime_r(&now, &tm))
		strftime(at, DOC_AT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool conf_open_with(struct conf *conf, const char *file, conf_take *take, void *data)
{
	const char *prefix;
	config_t config;
	bool ok = false;

	*conf = (struct conf){ 0 };
	curl_global_init(CURL_GLOBAL_DEFAULT);
	config_init(&config);
	if (!config_read_file(&config, file)) {
		if (config_error_line(&config))
			fprintf(stderr, "%s:%d: %s\n", file, config_error_line(&config),
				config_error_text(&config));
		else
			fprintf(stderr, "%s: it cannot be read: %m\n", file);
		goto out;
	}
	prefix = text(&config, file, "store.prefix", "/iommucfg/v1");
	if (snprintf(conf->prefix, sizeof(conf->prefix), "%s", prefix) >=
	    (int)sizeof(conf->prefix)) {
		fprintf(stderr, "%s: \"store.prefix\" is too long\n", file);
		goto out;
	}
	ok = take(conf, &config, file, data) && open_store(conf, &config, file);
out:
	config_destroy(&config);
	if (!ok)
		conf_close(conf);
	return ok;
}

void conf_close(struct conf *conf)
{
	size_t i;

	store_free(conf->store);
	for (i = 0; i < conf->endpoint_count; i++)
		free(conf->endpoints[i]);
	free(conf->endpoints);
	for (i = 0; i < conf->pool_count; i++)
		free(conf->pools[i]);
	free(conf->pools);
	*conf = (struct conf){ 0 };
	curl_global_cleanup();
}
