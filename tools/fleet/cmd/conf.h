/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The configuration that coordinator and command share, in libconfig's syntax:
 *
 *	store = {
 *		kind = "etcd";
 *		endpoints = [ "https://e1:2379", "https://e2:2379" ];
 *		ca = "/etc/iommucfg/fleet/ca.crt"; cert = "..."; key = "...";
 *		prefix = "/iommucfg/v1";
 *	};
 *	pools = [ "default" ];
 *
 * prefix and pools may be left out.
 */
#ifndef FLEET_CONF_H
#define FLEET_CONF_H

#include <libconfig.h>

#include "doc.h"
#include "store.h"

#define CONF_DEFAULT "/etc/iommucfg/fleet.conf"

struct conf {
	struct store *store;
	char prefix[256];
	char **endpoints;
	size_t endpoint_count;
	char **pools;
	size_t pool_count;
	/* See etcd.h; 0 if they are not set before the store is opened. */
	long spread_ms, check_ms;
};

/* Opens the store as well. False: the reason was written to standard error. */
bool conf_open(struct conf *conf, const char *file);
void conf_close(struct conf *conf);

typedef bool conf_take(struct conf *conf, config_t *config, const char *file, void *data);

/* The same for a file that has more, which @take reads: besides pools, or instead of them. */
bool conf_open_pools(struct conf *conf, const char *file, conf_take *take, void *data);
bool conf_open_with(struct conf *conf, const char *file, conf_take *take, void *data);

/* The time in UTC, for people. */
void conf_now(char at[DOC_AT_MAX]);

/* An array of texts, to be freed; NULL: there is none, or something else. */
const char **conf_texts(config_t *config, const char *path, size_t *count);

/* Says where in @file the setting @at is, and @what is wrong with it. False. */
bool conf_complain(const char *file, const config_setting_t *at, const char *what);

/* One of @names that @name may have been meant to be, or NULL. */
typedef const char *conf_suggest(const char *name, const char *const *names);

/* Whether @group (NULL: there is none) has only settings of @names; else the first other is said. */
bool conf_only_known(const char *file, config_setting_t *group, const char *const *names,
		     conf_suggest *suggest);
/* Those that "store" has. */
extern const char *const conf_store_words[];

/* What may become a part of a key. */
bool conf_is_name(const char *name);

#endif
