/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of the store share. */
#ifndef FLEET_STORE_TEST_H
#define FLEET_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "etcd.h"
#include "memory.h"
#include "store.h"

/* What a test does besides the calls that it tests. */
struct store_backend {
	struct store *(*open)(void);
	void (*time)(int ms);
	void (*compact)(int64_t rev);
};

extern const struct store_backend *pass;

/* Sets pass; false if there is none of this name. */
bool store_backend(const char *name);

/* A user's options for the cluster of with-etcd; timeouts are short. */
struct store_etcd_options etcd_options(const char *user);
struct store *etcd_open_as(const char *user);

/* The next event, or result; waits until there is one. */
enum store_result next_result(struct store_watch *watch, struct store_item *item);
void next_event(struct store_watch *watch, struct store_item *item);

#define assert_store(store, expected, call) do {					\
	enum store_result result_ = (call);						\
	if (result_ != (expected))							\
		fail_msg("%s: %s instead of %s: %s", #call, store_result_name(result_),	\
			 store_result_name(expected), store_message(store));		\
} while (0)

#endif
