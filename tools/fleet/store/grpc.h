/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gRPC over libcurl's HTTP/2: a call sends one message, and gets one message or a stream
 * of them, and a status. A call can run by itself (grpc_run()) or in a multi handle of
 * the caller's.
 */
#ifndef FLEET_GRPC_H
#define FLEET_GRPC_H

#include <curl/curl.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of gRPC's status codes those that mean something here. */
enum grpc_status {
	GRPC_NONE = -1,		/* no status came */
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_NOT_FOUND = 5,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

struct grpc_tls {
	const char *ca, *cert, *key;
};

struct grpc_call {
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];

	uint8_t *request;	/* with its frame */
	size_t request_size, request_sent;

	uint8_t *answer;	/* frames; those that were taken are gone */
	size_t answer_size, answer_room, answer_taken;
	size_t answer_max;	/* the largest message that is accepted */
	bool too_large;
	bool no_memory;

	int status;
	char message[160];	/* of the status, or of the connection */
};

/* A call that is made again and again keeps its connection. False without memory. */
bool grpc_init(struct grpc_call *call, const struct grpc_tls *tls, size_t answer_max);
void grpc_destroy(struct grpc_call *call);

/*
 * Makes the call ready to be sent: @url with the method. @timeout_ms: 0 for a stream
 * without an end. False without memory.
 */
bool grpc_prepare(struct grpc_call *call, const char *url, const ProtobufCMessage *request,
		  long timeout_ms);

/* Sends it and waits for the end. */
CURLcode grpc_run(struct grpc_call *call);

/* To be called with what curl says at the end of a call; fills in the message. */
void grpc_finish(struct grpc_call *call, CURLcode code);

/* Whether the server can have seen anything of the request. */
bool grpc_was_sent(const struct grpc_call *call);

/*
 * The next whole message that came, or NULL; valid until data comes again. Too large a
 * message, or one that is compressed, sets too_large, and none follows.
 */
const uint8_t *grpc_next(struct grpc_call *call, size_t *size);

#endif
