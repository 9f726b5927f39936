// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * gRPC over HTTP/2: POST, "application/grpc", each message behind a byte that says whether
 * it is compressed and four bytes with its length; the status comes in the trailers.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "grpc.h"

#define FRAME 5

static size_t frame_length(const uint8_t *frame)
{
	return (size_t)frame[1] << 24 | frame[2] << 16 | frame[3] << 8 | frame[4];
}

static size_t send_body(char *to, size_t size, size_t count, void *data)
{
	struct grpc_call *call = data;
	size_t n = call->request_size - call->request_sent;

	if (n > size * count)
		n = size * count;
	memcpy(to, call->request + call->request_sent, n);
	call->request_sent += n;
	return n;
}

/*
 * libcurl sends a request again when a connection that was in use before breaks without
 * an answer. The first one may have been carried out, and then the answer to the second
 * says that the key has changed: so nothing is sent twice.
 */
static int seek_body(void *data, curl_off_t offset, int origin)
{
	struct grpc_call *call = data;

	(void)origin;
	if (call->request_sent || offset)
		return CURL_SEEKFUNC_FAIL;
	return CURL_SEEKFUNC_OK;
}

static size_t take_body(char *from, size_t size, size_t count, void *data)
{
	struct grpc_call *call = data;
	size_t n = size * count, need;
	uint8_t *larger;

	if (!n)
		return 0;
	if (call->answer_taken) {
		call->answer_size -= call->answer_taken;
		memmove(call->answer, call->answer + call->answer_taken, call->answer_size);
		call->answer_taken = 0;
	}
	/* A message has announced its length before there is room for all of it. */
	if (call->answer_size >= FRAME && frame_length(call->answer) > call->answer_max) {
		call->too_large = true;
		return 0;
	}
	need = call->answer_size + n;
	if (need > call->answer_room) {
		if (need < 2 * call->answer_room)
			need = 2 * call->answer_room;
		larger = realloc(call->answer, need);
		if (!larger) {
			call->no_memory = true;
			return 0;
		}
		call->answer = larger;
		call->answer_room = need;
	}
	memcpy(call->answer + call->answer_size, from, n);
	call->answer_size += n;
	return n;
}

/* The value of a header, or NULL if it is another one. */
static const char *header_value(const char *line, size_t *size, const char *name)
{
	size_t length = strlen(name);

	if (*size <= length || strncasecmp(line, name, length) || line[length] != ':')
		return NULL;
	line += length + 1;
	*size -= length + 1;
	while (*size && isspace((unsigned char)*line)) {
		line++;
		--*size;
	}
	while (*size && isspace((unsigned char)line[*size - 1]))
		--*size;
	return line;
}

/* A status message is percent-encoded; what cannot be printed becomes "?". */
static void take_message(struct grpc_call *call, const char *from, size_t size)
{
	size_t i, n = 0;
	unsigned int c;

	for (i = 0; i < size && n < sizeof(call->message) - 1; i++) {
		c = (unsigned char)from[i];
		if (c == '%' && i + 2 < size && sscanf(from + i + 1, "%2x", &c) == 1)
			i += 2;
		call->message[n++] = c >= ' ' && c < 0x7f ? c : '?';
	}
	call->message[n] = '\0';
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
	struct grpc_call *call = data;
	size_t length = size * count, left;
	char number[8];
	const char *value;

	left = length;
	value = header_value(line, &left, "grpc-status");
	if (value && left < sizeof(number)) {
		memcpy(number, value, left);
		number[left] = '\0';
		call->status = atoi(number);
	}
	left = length;
	value = header_value(line, &left, "grpc-message");
	if (value)
		take_message(call, value, left);
	return length;
}

bool grpc_init(struct grpc_call *call, const struct grpc_tls *tls, size_t answer_max)
{
	static const char *const headers[] = {
		"content-type: application/grpc", "te: trailers", "expect:",
		/* A member without a leader says so instead of keeping silent (etcd). */
		"hasleader: true",
	};
	struct curl_slist *longer;
	CURL *easy;
	size_t i;

	*call = (struct grpc_call){ .answer_max = answer_max, .status = GRPC_NONE };
	call->easy = easy = curl_easy_init();
	if (!easy)
		return false;
	for (i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		longer = curl_slist_append(call->headers, headers[i]);
		if (!longer) {
			grpc_destroy(call);
			return false;
		}
		call->headers = longer;
	}
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 20L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
	curl_easy_setopt(easy, CURLOPT_READDATA, call);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	return true;
}

void grpc_destroy(struct grpc_call *call)
{
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	free(call->request);
	free(call->answer);
	*call = (struct grpc_call){ 0 };
}

bool grpc_prepare(struct grpc_call *call, const char *url, const ProtobufCMessage *request,
		  long timeout_ms)
{
	size_t length = protobuf_c_message_get_packed_size(request);
	uint8_t *frame;

	frame = realloc(call->request, FRAME + length);
	if (!frame)
		return false;
	call->request = frame;
	frame[0] = 0;
	frame[1] = length >> 24;
	frame[2] = length >> 16;
	frame[3] = length >> 8;
	frame[4] = length;
	protobuf_c_message_pack(request, frame + FRAME);
	call->request_size = FRAME + length;
	call->request_sent = 0;
	call->answer_size = call->answer_taken = 0;
	call->too_large = call->no_memory = false;
	call->status = GRPC_NONE;
	call->message[0] = call->error[0] = '\0';
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request_size);
	curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	return curl_easy_setopt(call->easy, CURLOPT_URL, url) == CURLE_OK;
}

void grpc_finish(struct grpc_call *call, CURLcode code)
{
	long http = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http);
	if (call->status != GRPC_NONE && !code)
		return;
	/* A status counts only where the answer came to its end. */
	call->status = GRPC_NONE;
	if (call->too_large)
		snprintf(call->message, sizeof(call->message), "the answer is too large");
	else if (code)
		snprintf(call->message, sizeof(call->message), "%.150s",
			 *call->error ? call->error : curl_easy_strerror(code));
	else
		snprintf(call->message, sizeof(call->message), "HTTP status %ld without a gRPC one",
			 http);
}

CURLcode grpc_run(struct grpc_call *call)
{
	CURLcode code = curl_easy_perform(call->easy);

	grpc_finish(call, code);
	return code;
}

bool grpc_was_sent(const struct grpc_call *call)
{
	return call->request_sent > 0;
}

const uint8_t *grpc_next(struct grpc_call *call, size_t *size)
{
	size_t left = call->answer_size - call->answer_taken;
	const uint8_t *frame;

	if (call->too_large || left < FRAME)
		return NULL;
	frame = call->answer + call->answer_taken;
	*size = frame_length(frame);
	/* Nothing said that compression would be understood. */
	if (*size > call->answer_max || frame[0]) {
		call->too_large = true;
		return NULL;
	}
	if (left < FRAME + *size)
		return NULL;
	call->answer_taken += FRAME + *size;
	return frame + FRAME;
}
