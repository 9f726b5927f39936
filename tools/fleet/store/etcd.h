/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in etcd, version 3 of its protocol, over TLS with client certificates. */
#ifndef FLEET_STORE_ETCD_H
#define FLEET_STORE_ETCD_H

#include "store.h"

/**
 * struct store_etcd_options
 * @endpoints, @count: "https://HOST:PORT" of each member; the one to begin with is chosen
 *	at random
 * @ca, @cert, @key: PEM files
 * @cluster, @rev: what store_identity() said earlier; 0: not known
 * @timeout_ms: how long one member may take for an answer (10 s). etcd itself takes 7 s
 *	where a majority of the members is away.
 * @check_ms: how often a watch makes sure that it still hears the store (60 s +- 20 %)
 * @spread_ms: a watch whose member is gone is opened again at some moment within so long, so
 *	that not all hosts connect to the next member at once (0: at once)
 * @answer_max: the largest answer that is accepted (16 MiB)
 *
 * Zero: the default that is named.
 */
struct store_etcd_options {
	const char *const *endpoints;
	size_t count;
	const char *ca, *cert, *key;
	uint64_t cluster;
	int64_t rev;
	long timeout_ms;
	long check_ms;
	long spread_ms;
	size_t answer_max;
};

/*
 * Does not connect yet. @message gets the reason for STORE_REFUSED; needs 256 bytes.
 * curl_global_init() is for the caller.
 */
enum store_result store_etcd_open(const struct store_etcd_options *options, struct store **store,
				  char *message);

#endif
