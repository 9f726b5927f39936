// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes the answers of etcd: headers, frames and messages of unary calls, and the stream of a
 * watch. What is read is used as the programs do. The connection alone is left out.
 */
#define grpc_run grpc_run_curl
#include "../store/grpc.c"
#undef grpc_run
#include "../store/etcd-watch.c"

#include "etcd.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is left of the input. */
static const uint8_t *input;
static size_t input_size;

static unsigned int take_byte(void)
{
	if (!input_size)
		return 0;
	input_size--;
	return *input++;
}

/* A message that etcd could send, or one that lacks something; to be freed. */
static uint8_t *message(size_t *size)
{
	Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
	Etcd__WatchResponse watch = ETCD__WATCH_RESPONSE__INIT;
	Etcd__RangeResponse range = ETCD__RANGE_RESPONSE__INIT;
	Etcd__KeyValue kvs[3], *kv_list[3];
	Etcd__Event events[3], *event_list[3];
	const ProtobufCMessage *all = &watch.base;
	unsigned int what = take_byte(), i, n;
	uint8_t *packed;

	header.cluster_id = what & 1 ? take_byte() : 7;
	header.revision = take_byte();
	watch.header = range.header = what & 2 && !(take_byte() & 3) ? NULL : &header;
	watch.created = what & 4;
	watch.canceled = what & 8 && take_byte() & 1;
	watch.fragment = what & 16;
	watch.compact_revision = watch.canceled ? take_byte() : 0;
	n = take_byte() % 4;
	for (i = 0; i < n; i++) {
		etcd__key_value__init(&kvs[i]);
		kvs[i].key.data = (uint8_t *)input;
		kvs[i].key.len = input_size < 3 ? input_size : 3;
		kvs[i].value = kvs[i].key;
		kvs[i].mod_revision = take_byte();
		etcd__event__init(&events[i]);
		events[i].kv = take_byte() & 15 ? &kvs[i] : NULL;
		events[i].type = take_byte() & 1;
		event_list[i] = &events[i];
		kv_list[i] = &kvs[i];
	}
	watch.events = event_list;
	range.kvs = kv_list;
	watch.n_events = range.n_kvs = n;
	range.more = what & 32;
	if (what & 64)
		all = &range.base;
	*size = protobuf_c_message_get_packed_size(all);
	packed = malloc(*size + 1);
	if (packed)
		protobuf_c_message_pack(all, packed);
	return packed;
}

/* In its frame. */
static void answer_packed(struct grpc_call *call)
{
	size_t size;
	uint8_t *packed = message(&size), frame[FRAME] = { 0 };

	frame[3] = size >> 8;
	frame[4] = size;
	if (packed) {
		take_body((char *)frame, 1, FRAME, call);
		take_body((char *)packed, 1, size, call);
	}
	free(packed);
}

/*
 * One answer. Mostly the frame is right and the status is good, so that its message is
 * reached; the message comes in two parts.
 */
static void answer(struct grpc_call *call)
{
	unsigned int how = take_byte();
	char good[] = "grpc-status: 0\r\n";
	uint8_t frame[FRAME] = { 0 };
	size_t n, part;

	if (how & 8) {
		answer_packed(call);
		take_header(good, 1, strlen(good), call);
		return;
	}
	n = take_byte() << 8;
	n |= take_byte();
	if (n > input_size)
		n = input_size;
	if (!(how & 1)) {
		frame[3] = n >> 8;
		frame[4] = n;
		take_body((char *)frame, 1, FRAME, call);
	}
	part = how & 2 ? n / 2 : n;
	take_body((char *)input, 1, part, call);
	take_body((char *)input + part, 1, n - part, call);
	input += n;
	input_size -= n;
	if (how & 4) {
		n = take_byte();
		if (n > input_size)
			n = input_size;
		take_header((char *)input, 1, n, call);
		input += n;
		input_size -= n;
	} else {
		take_header(good, 1, strlen(good), call);
	}
}

CURLcode grpc_run(struct grpc_call *call)
{
	CURLcode code = input_size ? CURLE_OK : CURLE_COULDNT_CONNECT;

	call->request_sent = call->request_size;
	answer(call);
	grpc_finish(call, code);
	return code;
}

static void use(struct store_item *item)
{
	if (item->key && item->value && strlen(item->key) + item->size == (size_t)-1)
		abort();
	store_item_clear(item);
}

static void fuzz_watch(struct store *store)
{
	struct store_watch *watch;
	struct store_item item;
	struct etcd_watch *w;

	if (store_watch(store, "/p/", take_byte() & 1, 1, &watch))
		return;
	w = (struct etcd_watch *)watch;
	while (input_size && !w->over) {
		if (take_byte() & 1) {
			/* The check beside it. */
			w->checking = true;
			curl_multi_add_handle(w->multi, w->check.easy);
			w->check.answer_size = w->check.answer_taken = 0;
			answer(&w->check);
			end_check(w, CURLE_OK);
			continue;
		}
		answer(&w->call);
		while (!w->over && (w->response || take_response(w))) {
			if (w->response && !give_event(w, &item))
				use(&item);
		}
		/* As a new call would. */
		w->call.answer_size = w->call.answer_taken = 0;
		w->call.too_large = false;
	}
	store_watch_free(watch);
}

static void fuzz_calls(struct store *store)
{
	struct store_put put = { .key = "/p/k", .value = "v", .size = 1, .rev = 3 };
	struct store_lead *lead;
	struct store_item item;
	struct store_list list;
	int64_t rev;
	int i;

	for (i = 0; i < 4 && input_size; i++) {
		switch (take_byte() % 5) {
		case 0:
			if (!store_get(store, "/p/k", &item))
				use(&item);
			break;
		case 1:
			if (!store_list(store, "/p/", &list))
				store_list_clear(&list);
			break;
		case 2:
			store_put(store, &put, &rev);
			break;
		case 3:
			store_delete(store, "/p/k", 3);
			break;
		default:
			if (!store_lead(store, "/p/lead", "me", 15, &lead)) {
				store_lead_keep(lead);
				store_lead_leave(lead);
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const endpoints[] = { "https://127.0.0.1:1", "https://127.0.0.1:2" };
	const struct store_etcd_options options = {
		.endpoints = endpoints, .count = 2, .ca = "ca", .cert = "cert", .key = "key",
		.answer_max = 65536,
	};
	struct store *store;
	char message[256];

	input = bytes;
	input_size = size;
	if (store_etcd_open(&options, &store, message))
		return 0;
	if (take_byte() & 1)
		fuzz_watch(store);
	else
		fuzz_calls(store);
	store_free(store);
	return 0;
}
