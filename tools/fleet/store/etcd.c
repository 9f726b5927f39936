// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The store in etcd: reads, writes and leads. Watches are in etcd-watch.c.
 *
 * A call goes to one member. Where that member certainly did nothing the next one is
 * tried, until each had its turn. A read is tried at the next one in any case. A write
 * that a member may have seen is not tried again: it could be done twice, and the second
 * time would look like a conflict.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "etcd-private.h"
#include "etcd.h"

#define PAGE 500

struct method {
	const char *path;
	const ProtobufCMessageDescriptor *answer;
	bool write;
	bool applied;	/* the header's revision is not older than what was seen before */
};

static const struct method range_method = {
	"/etcdserverpb.KV/Range", &etcd__range_response__descriptor, false, true,
};

static const struct method txn_method = {
	"/etcdserverpb.KV/Txn", &etcd__txn_response__descriptor, true, true,
};

static const struct method grant_method = {
	"/etcdserverpb.Lease/LeaseGrant", &etcd__lease_grant_response__descriptor, true, false,
};

static const struct method revoke_method = {
	/* Of this answer only the header is of interest. */
	"/etcdserverpb.Lease/LeaseRevoke", &etcd__status_response__descriptor, true, false,
};

/* Twice does no harm. */
static const struct method keep_method = {
	"/etcdserverpb.Lease/LeaseKeepAlive", &etcd__lease_keep_alive_response__descriptor,
	false, false,
};

static const struct method status_method = {
	"/etcdserverpb.Maintenance/Status", &etcd__status_response__descriptor, false, false,
};

int64_t etcd_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

bool etcd_url(const struct etcd *e, size_t member, const char *method, char *url)
{
	return snprintf(url, ETCD_URL_MAX, "%s%s", e->endpoints[member], method) < ETCD_URL_MAX;
}

enum store_result etcd_classify(const struct grpc_call *call)
{
	switch (call->status) {
	case GRPC_PERMISSION_DENIED:
	case GRPC_UNAUTHENTICATED:
		return STORE_DENIED;
	case GRPC_INVALID_ARGUMENT:
		/* With authentication on, and a certificate that names no user. */
		if (strstr(call->message, "user name is empty"))
			return STORE_DENIED;
		/* Users or roles changed while the call was under way. */
		if (strstr(call->message, "revision of auth store is old"))
			return STORE_UNREACHABLE;
		return STORE_REFUSED;
	case GRPC_OUT_OF_RANGE:
		return STORE_GONE;
	case GRPC_NOT_FOUND:
		return STORE_ENDED;
	case GRPC_RESOURCE_EXHAUSTED:
	case GRPC_FAILED_PRECONDITION:
	case GRPC_UNIMPLEMENTED:
		return STORE_REFUSED;
	case GRPC_UNAVAILABLE:
		/* The member's answer to "hasleader", before it looks at the request. */
		if (strstr(call->message, "no leader"))
			return STORE_UNREACHABLE;
		return STORE_UNKNOWN;
	default:
		if (call->no_memory)
			return STORE_NOMEM;
		return grpc_was_sent(call) ? STORE_UNKNOWN : STORE_UNREACHABLE;
	}
}

enum store_result etcd_check_header(struct etcd *e, const Etcd__ResponseHeader *header,
				    int64_t rev, char message[256])
{
	if (!header || !header->cluster_id) {
		snprintf(message, 256, "an answer without the number of a cluster");
		return STORE_FOREIGN;
	}
	if (!e->store.cluster)
		e->store.cluster = header->cluster_id;
	if (header->cluster_id != e->store.cluster) {
		snprintf(message, 256, "this is the cluster %llx, not %llx",
			 (unsigned long long)header->cluster_id,
			 (unsigned long long)e->store.cluster);
		return STORE_FOREIGN;
	}
	if (rev && header->revision < rev) {
		snprintf(message, 256, "the store went back in time, from revision %lld to %lld",
			 (long long)rev, (long long)header->revision);
		return STORE_FOREIGN;
	}
	return STORE_OK;
}

/* One call at one member. */
static enum store_result call_member(struct etcd *e, size_t member, const struct method *method,
				     const void *request, ProtobufCMessage **answer)
{
	struct grpc_call *call = &e->call;
	enum store_result result;
	long timeout_ms = e->timeout_ms;
	int64_t left = e->until ? e->until - etcd_now() : timeout_ms;
	struct etcd_answer *a;
	char url[ETCD_URL_MAX];
	const uint8_t *data;
	size_t size;

	if (left <= 0)
		return store_fail(&e->store, STORE_UNREACHABLE, "no member answered in time");
	if (left < timeout_ms)
		timeout_ms = left;

	if (!etcd_url(e, member, method->path, url))
		return store_fail(&e->store, STORE_REFUSED, "an address that is too long");
	if (!grpc_prepare(call, url, request, timeout_ms))
		return STORE_NOMEM;
	grpc_run(call);
	if (call->status != GRPC_OK) {
		result = etcd_classify(call);
		if (call->too_large && !method->write)
			result = STORE_REFUSED;
		return store_fail(&e->store, result, "%s: %s", e->endpoints[member],
				  call->message);
	}
	data = grpc_next(call, &size);
	a = data ? (void *)protobuf_c_message_unpack(method->answer, NULL, size, data) : NULL;
	if (!a)
		return store_fail(&e->store, method->write ? STORE_UNKNOWN : STORE_UNREACHABLE,
				  "%s: an answer that cannot be read", e->endpoints[member]);
	result = etcd_check_header(e, a->header, method->applied ? e->store.rev : 0,
				   e->store.message);
	if (result) {
		protobuf_c_message_free_unpacked(&a->base, NULL);
		return result;
	}
	if (method->applied)
		e->store.rev = a->header->revision;
	e->known[member] = true;
	*answer = &a->base;
	return STORE_OK;
}

/*
 * Before the first write at a member: that it is of our cluster, and that it has a
 * leader. A write would be done before its answer could say so.
 */
static enum store_result know_member(struct etcd *e, size_t member)
{
	Etcd__StatusRequest request = ETCD__STATUS_REQUEST__INIT;
	Etcd__StatusResponse *status;
	ProtobufCMessage *answer;
	enum store_result result;
	uint64_t leader;

	if (e->known[member])
		return STORE_OK;
	result = call_member(e, member, &status_method, &request, &answer);
	if (result == STORE_UNKNOWN)
		return STORE_UNREACHABLE;
	if (result)
		return result;
	status = (Etcd__StatusResponse *)answer;
	leader = status->leader;
	protobuf_c_message_free_unpacked(answer, NULL);
	if (!leader) {
		e->known[member] = false;
		return store_fail(&e->store, STORE_UNREACHABLE, "%s: it has no leader",
				  e->endpoints[member]);
	}
	return STORE_OK;
}

static enum store_result call(struct etcd *e, const struct method *method, const void *request,
			      ProtobufCMessage **answer)
{
	enum store_result result = STORE_UNREACHABLE;
	size_t i;

	e->until = e->store.limit_ms ? etcd_now() + e->store.limit_ms : 0;
	for (i = 0; i < e->count; i++) {
		result = method->write ? know_member(e, e->current) : STORE_OK;
		if (!result)
			result = call_member(e, e->current, method, request, answer);
		if (result == STORE_UNKNOWN && !method->write)
			result = STORE_UNREACHABLE;
		if (result == STORE_UNREACHABLE || result == STORE_UNKNOWN)
			e->current = (e->current + 1) % e->count;
		/* Those that this call has no time for are for the next one. */
		if (result != STORE_UNREACHABLE || (e->until && etcd_now() >= e->until))
			break;
	}
	return result;
}

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
}

ProtobufCBinaryData etcd_range_end(const char *prefix, uint8_t *end)
{
	size_t n = strlen(prefix);

	memcpy(end, prefix, n);
	while (n && end[n - 1] == 0xff)
		n--;
	if (!n) {
		/* All keys that follow. */
		end[0] = '\0';
		return (ProtobufCBinaryData){ .len = 1, .data = end };
	}
	end[n - 1]++;
	return (ProtobufCBinaryData){ .len = n, .data = end };
}

static bool take_item(struct store_item *item, const Etcd__KeyValue *kv)
{
	return store_item_set(item, (char *)kv->key.data, kv->key.len,
			      kv->value.len ? kv->value.data : (uint8_t *)"", kv->value.len,
			      kv->mod_revision);
}

static enum store_result etcd_get(struct store *store, const char *key, struct store_item *item)
{
	Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *range;
	enum store_result result;
	ProtobufCMessage *answer;
	bool ok;

	request.key = bytes(key);
	result = call((struct etcd *)store, &range_method, &request, &answer);
	if (result)
		return result;
	range = (Etcd__RangeResponse *)answer;
	if (range->n_kvs)
		ok = take_item(item, range->kvs[0]);
	else
		ok = store_item_set(item, key, strlen(key), NULL, 0, 0);
	protobuf_c_message_free_unpacked(answer, NULL);
	return ok ? STORE_OK : STORE_NOMEM;
}

/* Whether @key is @from or behind it. */
static bool is_from(const ProtobufCBinaryData *key, const ProtobufCBinaryData *from)
{
	size_t shorter = key->len < from->len ? key->len : from->len;
	int order = shorter ? memcmp(key->data, from->data, shorter) : 0;

	return order ? order > 0 : key->len >= from->len;
}

/* One page, from @from on; @more: where the next one begins, or NULL. */
static enum store_result list_page(struct etcd *e, Etcd__RangeRequest *request,
				   struct store_list *list, char **more)
{
	Etcd__RangeResponse *range;
	const Etcd__KeyValue *last;
	enum store_result result;
	ProtobufCMessage *answer;
	struct store_item *item;
	size_t i;

	*more = NULL;
	result = call(e, &range_method, request, &answer);
	if (result)
		return result;
	range = (Etcd__RangeResponse *)answer;
	if (!request->revision)
		request->revision = range->header->revision;
	list->rev = request->revision;
	for (i = 0; i < range->n_kvs && !result; i++) {
		item = store_list_add(list);
		if (!item || !take_item(item, range->kvs[i]))
			result = STORE_NOMEM;
	}
	last = range->n_kvs ? range->kvs[range->n_kvs - 1] : NULL;
	if (!result && range->more && last && !is_from(&last->key, &request->key)) {
		/* It would be asked for again and again. */
		result = store_fail(&e->store, STORE_UNREACHABLE, "%s: keys that were not asked for",
				    e->endpoints[e->current]);
	} else if (!result && range->more && last) {
		/* The first key behind the last one is that with a NUL more. */
		*more = calloc(1, last->key.len + 1);
		if (*more)
			memcpy(*more, last->key.data, last->key.len);
		else
			result = STORE_NOMEM;
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return result;
}

static enum store_result list_once(struct etcd *e, const char *prefix, struct store_list *list)
{
	Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
	uint8_t *end = malloc(strlen(prefix) + 1);
	enum store_result result;
	char *from = NULL, *more;

	if (!end)
		return STORE_NOMEM;
	request.key = bytes(prefix);
	request.range_end = etcd_range_end(prefix, end);
	request.limit = e->page;
	for (;;) {
		result = list_page(e, &request, list, &more);
		if (result == STORE_REFUSED && e->call.too_large && request.limit > 1) {
			request.limit /= 2;
			continue;
		}
		free(from);
		from = more;
		if (!from)
			break;
		request.key.len = strlen(from) + 1;
		request.key.data = (uint8_t *)from;
	}
	free(end);
	return result;
}

static enum store_result etcd_list(struct store *store, const char *prefix,
				   struct store_list *list)
{
	enum store_result result;
	int tries = 3;

	/* What the first page was read from may be compacted before the last one. */
	do {
		store_list_clear(list);
		result = list_once((struct etcd *)store, prefix, list);
	} while (result == STORE_GONE && --tries);
	return result == STORE_GONE ? STORE_UNREACHABLE : result;
}

static void compare_rev(Etcd__Compare *compare, const char *key, int64_t rev)
{
	*compare = (Etcd__Compare)ETCD__COMPARE__INIT;
	compare->result = ETCD__COMPARE__COMPARE_RESULT__EQUAL;
	compare->target = ETCD__COMPARE__COMPARE_TARGET__MOD;
	compare->key = bytes(key);
	compare->target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
	compare->mod_revision = rev;
}

static enum store_result txn(struct etcd *e, const Etcd__TxnRequest *request, const char *key,
			     int64_t *rev)
{
	enum store_result result;
	ProtobufCMessage *answer;

	result = call(e, &txn_method, request, &answer);
	if (result)
		return result;
	if (((Etcd__TxnResponse *)answer)->succeeded)
		*rev = ((Etcd__TxnResponse *)answer)->header->revision;
	else
		result = store_fail(&e->store, STORE_CONFLICT, "%s: it has changed", key);
	protobuf_c_message_free_unpacked(answer, NULL);
	return result;
}

static enum store_result put_with_lease(struct etcd *e, const struct store_put *put,
					int64_t lease, int64_t *rev)
{
	Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
	Etcd__RequestOp op = ETCD__REQUEST_OP__INIT;
	Etcd__TxnRequest all = ETCD__TXN_REQUEST__INIT;
	Etcd__Compare compare[2], *compares[2] = { &compare[0], &compare[1] };
	Etcd__RequestOp *ops[1] = { &op };

	request.key = bytes(put->key);
	request.value.len = put->size;
	request.value.data = (uint8_t *)put->value;
	request.lease = lease;
	op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
	op.request_put = &request;
	all.success = ops;
	all.n_success = 1;
	all.compare = compares;
	if (put->rev != STORE_ANY)
		compare_rev(&compare[all.n_compare++], put->key, put->rev);
	if (put->guard)
		compare_rev(&compare[all.n_compare++], put->guard, put->guard_rev);
	return txn(e, &all, put->key, rev);
}

static enum store_result etcd_put(struct store *store, const struct store_put *put, int64_t *rev)
{
	struct etcd *e = (struct etcd *)store;
	bool fresh = put->fresh || put->interface;
	enum store_result result;
	char interface[64];

	if (put->interface) {
		/* "if!": an interface, never the name of a host. */
		snprintf(interface, sizeof(interface), "if!%.50s", put->interface);
		curl_easy_setopt(e->call.easy, CURLOPT_INTERFACE, interface);
	}
	curl_easy_setopt(e->call.easy, CURLOPT_FRESH_CONNECT, (long)fresh);
	curl_easy_setopt(e->call.easy, CURLOPT_FORBID_REUSE, (long)fresh);
	result = put_with_lease(e, put, 0, rev);
	curl_easy_setopt(e->call.easy, CURLOPT_INTERFACE, NULL);
	curl_easy_setopt(e->call.easy, CURLOPT_FRESH_CONNECT, 0L);
	curl_easy_setopt(e->call.easy, CURLOPT_FORBID_REUSE, 0L);
	return result;
}

static enum store_result etcd_delete(struct store *store, const char *key, int64_t rev)
{
	Etcd__DeleteRangeRequest request = ETCD__DELETE_RANGE_REQUEST__INIT;
	Etcd__RequestOp op = ETCD__REQUEST_OP__INIT, *ops[1] = { &op };
	Etcd__TxnRequest all = ETCD__TXN_REQUEST__INIT;
	Etcd__Compare compare, *compares[1] = { &compare };

	if (!rev)
		return store_fail(store, STORE_CONFLICT, "%s: it does not exist", key);
	request.key = bytes(key);
	op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
	op.request_delete_range = &request;
	all.success = ops;
	all.n_success = 1;
	all.compare = compares;
	all.n_compare = 1;
	compare_rev(&compare, key, rev);
	return txn((struct etcd *)store, &all, key, &rev);
}

/* Leads: a key that is bound to a lease. */

struct etcd_lead {
	struct store_lead lead;
	struct etcd *etcd;
	char *key;
	int64_t id;		/* of the lease */
	int64_t rev;		/* of the key */
};

static enum store_result revoke(struct etcd *e, int64_t id)
{
	Etcd__LeaseRequest request = ETCD__LEASE_REQUEST__INIT;
	enum store_result result;
	ProtobufCMessage *answer;

	request.id = id;
	result = call(e, &revoke_method, &request, &answer);
	if (!result)
		protobuf_c_message_free_unpacked(answer, NULL);
	return result == STORE_ENDED ? STORE_OK : result;
}

static enum store_result etcd_lead(struct store *store, const char *key, const char *value,
				   int ttl, struct store_lead **lead)
{
	const struct store_put put = { .key = key, .value = value, .size = strlen(value) };
	Etcd__LeaseGrantRequest request = ETCD__LEASE_GRANT_REQUEST__INIT;
	struct etcd *e = (struct etcd *)store;
	char message[sizeof(store->message)];
	struct etcd_lead *l = calloc(1, sizeof(*l));
	enum store_result result = STORE_NOMEM;
	ProtobufCMessage *answer;

	if (!l)
		return STORE_NOMEM;
	l->lead.ops = store->ops;
	l->etcd = e;
	l->key = strdup(key);
	if (!l->key)
		goto out;
	request.ttl = ttl;
	result = call(e, &grant_method, &request, &answer);
	if (result)
		goto out;
	l->id = ((Etcd__LeaseGrantResponse *)answer)->id;
	protobuf_c_message_free_unpacked(answer, NULL);
	result = put_with_lease(e, &put, l->id, &l->rev);
	if (!result) {
		*lead = &l->lead;
		return STORE_OK;
	}
	/* Also where the put may have been done; else the lease ends by itself. */
	memcpy(message, store->message, sizeof(message));
	revoke(e, l->id);
	memcpy(store->message, message, sizeof(message));
	if (result == STORE_UNKNOWN)
		result = STORE_UNREACHABLE;
out:
	free(l->key);
	free(l);
	return result;
}

static enum store_result etcd_lead_keep(struct store_lead *lead)
{
	struct etcd_lead *l = (struct etcd_lead *)lead;
	Etcd__LeaseRequest request = ETCD__LEASE_REQUEST__INIT;
	enum store_result result;
	ProtobufCMessage *answer;
	struct store_item item;

	request.id = l->id;
	result = call(l->etcd, &keep_method, &request, &answer);
	if (!result) {
		if (((Etcd__LeaseKeepAliveResponse *)answer)->ttl <= 0)
			result = STORE_ENDED;
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	/* The lease may live on without the key, which a person can delete. */
	if (!result)
		result = etcd_get(&l->etcd->store, l->key, &item);
	if (!result) {
		if (item.rev != l->rev)
			result = STORE_ENDED;
		store_item_clear(&item);
	}
	if (result == STORE_ENDED)
		store_fail(&l->etcd->store, result, "%s: the lead is lost", l->key);
	return result;
}

static enum store_result etcd_lead_leave(struct store_lead *lead)
{
	struct etcd_lead *l = (struct etcd_lead *)lead;
	enum store_result result = revoke(l->etcd, l->id);

	free(l->key);
	free(l);
	return result;
}

static void etcd_free(struct store *store)
{
	struct etcd *e = (struct etcd *)store;
	size_t i;

	for (i = 0; i < e->count; i++)
		free(e->endpoints[i]);
	free(e->endpoints);
	free(e->known);
	free(e->ca);
	free(e->cert);
	free(e->key);
	grpc_destroy(&e->call);
	free(e);
}

static const struct store_ops etcd_ops = {
	.free = etcd_free,
	.get = etcd_get,
	.list = etcd_list,
	.put = etcd_put,
	.delete = etcd_delete,
	.watch = etcd_watch,
	.watch_next = etcd_watch_next,
	.watch_free = etcd_watch_free,
	.lead = etcd_lead,
	.lead_keep = etcd_lead_keep,
	.lead_leave = etcd_lead_leave,
};

static bool take_endpoints(struct etcd *e, const struct store_etcd_options *options)
{
	size_t i, length;

	e->endpoints = calloc(options->count, sizeof(*e->endpoints));
	e->known = calloc(options->count, sizeof(*e->known));
	if (!e->endpoints || !e->known)
		return false;
	for (i = 0; i < options->count; i++) {
		length = strlen(options->endpoints[i]);
		while (length && options->endpoints[i][length - 1] == '/')
			length--;
		e->endpoints[i] = strndup(options->endpoints[i], length);
		if (!e->endpoints[i])
			return false;
		e->count++;
	}
	return true;
}

enum store_result store_etcd_open(const struct store_etcd_options *options, struct store **store,
				  char *message)
{
	unsigned int seed;
	struct etcd *e;
	size_t i;

	*store = NULL;
	if (!options->count || !options->ca || !options->cert || !options->key) {
		snprintf(message, 256, "etcd needs endpoints, ca, cert and key");
		return STORE_REFUSED;
	}
	for (i = 0; i < options->count; i++) {
		if (strncmp(options->endpoints[i], "https://", 8)) {
			snprintf(message, 256, "%.200s: an endpoint begins with https://",
				 options->endpoints[i]);
			return STORE_REFUSED;
		}
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		goto no_memory;
	e->store.ops = &etcd_ops;
	e->store.cluster = options->cluster;
	e->store.rev = options->rev;
	e->timeout_ms = options->timeout_ms ? options->timeout_ms : 10000;
	e->check_ms = options->check_ms ? options->check_ms : 60000;
	e->spread_ms = options->spread_ms;
	e->answer_max = options->answer_max ? options->answer_max : 16 << 20;
	e->page = PAGE;
	e->ca = strdup(options->ca);
	e->cert = strdup(options->cert);
	e->key = strdup(options->key);
	e->tls = (struct grpc_tls){ e->ca, e->cert, e->key };
	if (!take_endpoints(e, options) || !e->ca || !e->cert || !e->key ||
	    !grpc_init(&e->call, &e->tls, e->answer_max)) {
		etcd_free(&e->store);
		goto no_memory;
	}
	/* Hosts spread over the members. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		e->current = seed % e->count;
	*store = &e->store;
	return STORE_OK;

no_memory:
	snprintf(message, 256, "out of memory");
	return STORE_NOMEM;
}
