/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the etcd backend share. */
#ifndef FLEET_STORE_ETCD_PRIVATE_H
#define FLEET_STORE_ETCD_PRIVATE_H

#include "backend.h"
#include "etcd.pb-c.h"
#include "grpc.h"

struct etcd {
	struct store store;
	char **endpoints;
	bool *known;		/* the member is of the cluster that we know */
	size_t count, current;
	char *ca, *cert, *key;
	struct grpc_tls tls;	/* the three above */
	long timeout_ms, check_ms, spread_ms;
	int64_t until;		/* when the present call must be over; 0: no limit */
	size_t answer_max;
	size_t page;		/* keys in one answer to a list */
	struct grpc_call call;
};

/* Every answer begins like this. */
struct etcd_answer {
	ProtobufCMessage base;
	Etcd__ResponseHeader *header;
};

#define ETCD_URL_MAX 512

bool etcd_url(const struct etcd *e, size_t member, const char *method, char *url);

/* What a status means, other than GRPC_OK; STORE_UNKNOWN: try a read elsewhere. */
enum store_result etcd_classify(const struct grpc_call *call);

/* Whether this is the cluster that we know, and no older than @rev; 0: not looked at. */
enum store_result etcd_check_header(struct etcd *e, const Etcd__ResponseHeader *header,
				    int64_t rev, char message[256]);

/* The end of the range of all keys with this prefix; @end has the prefix's length. */
ProtobufCBinaryData etcd_range_end(const char *prefix, uint8_t *end);

enum store_result etcd_watch(struct store *store, const char *prefix, bool exact, int64_t from,
			     struct store_watch **watch);
enum store_result etcd_watch_next(struct store_watch *watch, int timeout_ms,
				  struct store_item *item);
void etcd_watch_free(struct store_watch *watch);

/* A time that only grows, in milliseconds; stands still in no suspend. */
int64_t etcd_now(void);

#endif
