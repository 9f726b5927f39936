// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Watches of the etcd backend.
 *
 * A watch is one call whose answer does not end. A member that hangs, or that is cut off,
 * says nothing on it, as one where nothing happens. So each check_ms the newest key of the
 * watched range is read at the same member, linearizably and over the same connection: an
 * answer that does not come in time, or that shows a change which the watch did not bring
 * within its grace, ends the call. It is opened anew at the next member, from the first
 * revision that was not seen.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "etcd-private.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define GRACE_MS 5000

enum watch_state { CLOSED, OPENING, OPEN };

struct etcd_watch {
	struct store_watch watch;
	struct etcd *etcd;
	char *prefix;
	uint8_t *end;		/* NULL: one key */
	ProtobufCBinaryData range_end;
	int64_t next;		/* the first revision that was not seen */

	CURLM *multi;
	struct grpc_call call;	/* the watch */
	struct grpc_call check;
	bool checking;
	int64_t check_from;	/* what had been seen when the check began */
	enum watch_state state;
	bool ended;		/* by the other side; what came before is given out first */
	CURLcode ended_code;
	size_t member;
	int64_t open_at;	/* when to open it again */
	int64_t open_by;	/* when it must have been opened */
	long backoff_ms;
	int64_t check_at;
	int64_t due_rev, due_by;	/* change that must have come by a time; 0: none */
	enum store_result over;	/* nothing more will come, for this reason */

	Etcd__WatchResponse *response;	/* what is being given out */
	size_t given;
};

/* @ms, and up to a fifth more or less. */
static int64_t about(long ms)
{
	return ms - ms / 5 + (ms ? random() % (2 * (ms / 5) + 1) : 0);
}

static void drop_response(struct etcd_watch *w)
{
	if (w->response)
		etcd__watch_response__free_unpacked(w->response, NULL);
	w->response = NULL;
	w->given = 0;
}

static void hang_up(struct etcd_watch *w)
{
	if (w->state != CLOSED)
		curl_multi_remove_handle(w->multi, w->call.easy);
	if (w->checking)
		curl_multi_remove_handle(w->multi, w->check.easy);
	w->checking = w->ended = false;
	w->state = CLOSED;
	w->watch.alive = false;
	w->due_rev = 0;
	drop_response(w);
}

/* Ends the call for now; goes on at the next member. */
static void interrupt(struct etcd_watch *w, const char *why)
{
	long spread = w->etcd->spread_ms, within;

	snprintf(w->watch.message, sizeof(w->watch.message), "%.60s: %.180s",
		 w->etcd->endpoints[w->member], why);
	hang_up(w);
	w->member = (w->member + 1) % w->etcd->count;
	/* Soon at the first other member; more slowly where that has not helped. */
	within = w->backoff_ms > spread ? w->backoff_ms : spread;
	w->open_at = etcd_now() + (within ? random() % within + 1 : 0);
	w->backoff_ms = w->backoff_ms ? 2 * w->backoff_ms : BACKOFF_MIN_MS;
	if (w->backoff_ms > BACKOFF_MAX_MS)
		w->backoff_ms = BACKOFF_MAX_MS;
}

static void give_up(struct etcd_watch *w, enum store_result result)
{
	hang_up(w);
	w->over = result;
}

static void open_watch(struct etcd_watch *w)
{
	Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
	Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
	char url[ETCD_URL_MAX];

	create.key.data = (uint8_t *)w->prefix;
	create.key.len = strlen(w->prefix);
	create.range_end = w->range_end;
	create.start_revision = w->next;
	create.progress_notify = true;
	create.fragment = true;
	request.request_union_case = ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	request.create_request = &create;
	if (!etcd_url(w->etcd, w->member, "/etcdserverpb.Watch/Watch", url) ||
	    !grpc_prepare(&w->call, url, &request.base, 0)) {
		give_up(w, STORE_NOMEM);
		return;
	}
	curl_multi_add_handle(w->multi, w->call.easy);
	w->state = OPENING;
	w->open_by = etcd_now() + w->etcd->timeout_ms;
}

static void start_check(struct etcd_watch *w)
{
	Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
	char url[ETCD_URL_MAX];

	request.key.data = (uint8_t *)w->prefix;
	request.key.len = strlen(w->prefix);
	request.range_end = w->range_end;
	request.limit = 1;
	request.sort_order = ETCD__RANGE_REQUEST__SORT_ORDER__DESCEND;
	request.sort_target = ETCD__RANGE_REQUEST__SORT_TARGET__MOD;
	request.keys_only = true;
	if (!etcd_url(w->etcd, w->member, "/etcdserverpb.KV/Range", url) ||
	    !grpc_prepare(&w->check, url, &request.base, w->etcd->timeout_ms)) {
		give_up(w, STORE_NOMEM);
		return;
	}
	curl_multi_add_handle(w->multi, w->check.easy);
	w->checking = true;
	/* Events that come during the check may be newer than its answer. */
	w->check_from = w->next - 1;
	w->check_at = etcd_now() + about(w->etcd->check_ms);
}

static void end_check(struct etcd_watch *w, CURLcode code)
{
	Etcd__RangeResponse *range;
	enum store_result result;
	const uint8_t *data;
	size_t size;

	curl_multi_remove_handle(w->multi, w->check.easy);
	w->checking = false;
	grpc_finish(&w->check, code);
	if (w->check.status != GRPC_OK) {
		result = etcd_classify(&w->check);
		interrupt(w, w->check.message);
		if (result == STORE_DENIED)
			give_up(w, result);
		return;
	}
	data = grpc_next(&w->check, &size);
	range = data ? etcd__range_response__unpack(NULL, size, data) : NULL;
	if (!range) {
		interrupt(w, "an answer that cannot be read");
		return;
	}
	result = etcd_check_header(w->etcd, range->header, w->check_from, w->watch.message);
	if (result) {
		give_up(w, result);
	} else {
		w->watch.alive = true;
		w->backoff_ms = 0;
		if (range->n_kvs && range->kvs[0]->mod_revision >= w->next) {
			w->due_rev = range->kvs[0]->mod_revision;
			w->due_by = etcd_now() + GRACE_MS;
		}
	}
	etcd__range_response__free_unpacked(range, NULL);
}

static void end_watch(struct etcd_watch *w, CURLcode code)
{
	enum store_result result;

	grpc_finish(&w->call, code);
	if (w->call.status == GRPC_OK)
		snprintf(w->call.message, sizeof(w->call.message), "the watch was ended");
	result = w->call.status == GRPC_OK ? STORE_UNREACHABLE : etcd_classify(&w->call);
	interrupt(w, w->call.message);
	if (result == STORE_DENIED || result == STORE_NOMEM)
		give_up(w, result);
}

/* What was canceled says why; the stream itself stays open. */
static void canceled(struct etcd_watch *w, const Etcd__WatchResponse *response)
{
	if (response->compact_revision) {
		snprintf(w->watch.message, sizeof(w->watch.message),
			 "the history before revision %lld is no longer kept",
			 (long long)response->compact_revision);
		give_up(w, STORE_GONE);
		return;
	}
	snprintf(w->call.message, sizeof(w->call.message), "canceled: %.140s",
		 response->cancel_reason);
	if (strstr(response->cancel_reason, "permission denied")) {
		interrupt(w, w->call.message);
		give_up(w, STORE_DENIED);
	} else {
		interrupt(w, w->call.message);
	}
}

/* Looks at the next message, if one is there; it is in w->response if it has events. */
static bool take_response(struct etcd_watch *w)
{
	Etcd__WatchResponse *response;
	enum store_result result;
	const uint8_t *data;
	size_t size;

	data = grpc_next(&w->call, &size);
	if (!data) {
		if (w->call.too_large)
			interrupt(w, "a message that is too large");
		return false;
	}
	response = etcd__watch_response__unpack(NULL, size, data);
	if (!response) {
		interrupt(w, "a message that cannot be read");
		return false;
	}
	result = etcd_check_header(w->etcd, response->header, 0, w->watch.message);
	if (result) {
		give_up(w, result);
	} else if (response->canceled) {
		canceled(w, response);
	} else if (response->created) {
		w->state = OPEN;
		/* That the watch is there does not mean that the member hears the others. */
		if (!w->checking)
			start_check(w);
	} else if (response->n_events) {
		w->watch.alive = true;
		w->response = response;
		w->given = 0;
		return true;
	} else if (response->header->revision >= w->next) {
		/* Progress: all that happened until then has been sent. */
		w->next = response->header->revision + 1;
	}
	etcd__watch_response__free_unpacked(response, NULL);
	return true;
}

static enum store_result give_event(struct etcd_watch *w, struct store_item *item)
{
	const Etcd__WatchResponse *response = w->response;
	const Etcd__Event *event = response->events[w->given];
	const Etcd__KeyValue *kv = event->kv;
	bool last = ++w->given == response->n_events;
	const void *value = NULL;
	bool ok = false;

	if (kv) {
		if (event->type == ETCD__EVENT__EVENT_TYPE__PUT)
			value = kv->value.len ? kv->value.data : (uint8_t *)"";
		ok = store_item_set(item, (char *)kv->key.data, kv->key.len, value,
				    value ? kv->value.len : 0, kv->mod_revision);
		/*
		 * More of the same revision may follow in the next fragment, or in this
		 * message: resumed in between, they come again.
		 */
		w->next = kv->mod_revision;
		if (last ? !response->fragment : response->events[w->given]->kv &&
		    response->events[w->given]->kv->mod_revision > kv->mod_revision)
			w->next++;
		if (w->due_rev && kv->mod_revision >= w->due_rev)
			w->due_rev = 0;
	}
	if (last)
		drop_response(w);
	return ok ? STORE_OK : kv ? STORE_NOMEM : STORE_UNREACHABLE;
}

/* What there is to do without waiting. */
static void work(struct etcd_watch *w)
{
	int64_t now = etcd_now();
	CURLMsg *message;
	int running, left;

	if (w->state == CLOSED && now >= w->open_at)
		open_watch(w);
	if (w->state == OPENING && now >= w->open_by)
		interrupt(w, "no answer in time");
	if (w->state == OPEN && !w->checking && now >= w->check_at)
		start_check(w);
	if (w->due_rev && now >= w->due_by)
		interrupt(w, "the watch is behind the store");
	curl_multi_perform(w->multi, &running);
	while (!w->over && (message = curl_multi_info_read(w->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		if (message->easy_handle == w->check.easy && w->checking) {
			end_check(w, message->data.result);
		} else if (message->easy_handle == w->call.easy && w->state != CLOSED) {
			w->ended = true;
			w->ended_code = message->data.result;
		}
	}
}

/* How long nothing will happen by itself. */
static int64_t quiet(const struct etcd_watch *w, int64_t until)
{
	if (w->state == CLOSED && w->open_at < until)
		until = w->open_at;
	if (w->state == OPENING && w->open_by < until)
		until = w->open_by;
	if (w->state == OPEN && !w->checking && w->check_at < until)
		until = w->check_at;
	if (w->due_rev && w->due_by < until)
		until = w->due_by;
	return until;
}

enum store_result etcd_watch_next(struct store_watch *watch, int timeout_ms,
				  struct store_item *item)
{
	struct etcd_watch *w = (struct etcd_watch *)watch;
	int64_t until = etcd_now() + timeout_ms, wait;
	enum store_result result;

	for (;;) {
		if (w->response) {
			result = give_event(w, item);
			if (result != STORE_UNREACHABLE)
				return result;
			continue;
		}
		if (w->over)
			return w->over;
		if (w->state != CLOSED && take_response(w))
			continue;
		if (w->ended) {
			end_watch(w, w->ended_code);
			continue;
		}
		work(w);
		if (w->over || (w->state != CLOSED && take_response(w)) || w->ended)
			continue;
		wait = quiet(w, until) - etcd_now();
		if (etcd_now() >= until)
			return STORE_UNREACHABLE;
		curl_multi_poll(w->multi, NULL, 0, wait > 0 ? wait : 0, NULL);
	}
}

enum store_result etcd_watch(struct store *store, const char *prefix, bool exact, int64_t from,
			     struct store_watch **watch)
{
	struct etcd_watch *w = calloc(1, sizeof(*w));
	struct etcd *e = (struct etcd *)store;

	if (!w)
		return STORE_NOMEM;
	w->watch.ops = store->ops;
	w->etcd = e;
	w->member = e->current;
	w->next = from;
	w->prefix = strdup(prefix);
	if (!exact)
		w->end = malloc(strlen(prefix) + 1);
	w->multi = curl_multi_init();
	if (!w->prefix || (!exact && !w->end) || !w->multi ||
	    !grpc_init(&w->call, &e->tls, e->answer_max) ||
	    !grpc_init(&w->check, &e->tls, e->answer_max)) {
		etcd_watch_free(&w->watch);
		return STORE_NOMEM;
	}
	if (!exact)
		w->range_end = etcd_range_end(prefix, w->end);
	*watch = &w->watch;
	return STORE_OK;
}

void etcd_watch_free(struct store_watch *watch)
{
	struct etcd_watch *w = (struct etcd_watch *)watch;

	hang_up(w);
	grpc_destroy(&w->call);
	grpc_destroy(&w->check);
	curl_multi_cleanup(w->multi);
	free(w->prefix);
	free(w->end);
	free(w);
}
