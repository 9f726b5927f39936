// SPDX-License-Identifier: GPL-2.0
/* The backends, for the tests of the store. */
#include <time.h>
#include <unistd.h>

#include "store-test.h"

const struct store_backend *pass;

/* A hung test ends here. */
#define PATIENCE_MS 60000

enum store_result next_result(struct store_watch *watch, struct store_item *item)
{
	time_t until = time(NULL) + PATIENCE_MS / 1000;
	enum store_result result;

	do {
		result = store_watch_next(watch, 1000, item);
	} while (result == STORE_UNREACHABLE && time(NULL) < until);
	return result;
}

void next_event(struct store_watch *watch, struct store_item *item)
{
	enum store_result result = next_result(watch, item);

	if (result)
		fail_msg("a watch without an event: %s: %s", store_result_name(result),
			 store_watch_message(watch));
}

static struct store_memory *memory;

static struct store *memory_open(void)
{
	struct store *store;

	memory = store_memory_new();
	store = store_memory_open(memory);
	store_memory_unref(memory);
	return store;
}

static void memory_time(int ms)
{
	store_memory_pass(memory, ms);
}

static void memory_compact(int64_t rev)
{
	store_memory_compact(memory, rev);
}

static const char *endpoints[8];

struct store_etcd_options etcd_options(const char *user)
{
	static char list[1024], paths[3][512];
	const char *where = getenv("FLEET_ETCD_DIR");
	struct store_etcd_options options = {
		.endpoints = endpoints, .timeout_ms = 8000, .check_ms = 1000,
		.ca = paths[0], .cert = paths[1], .key = paths[2],
	};
	char *save, *word;

	snprintf(list, sizeof(list), "%s", getenv("FLEET_ETCD"));
	for (word = strtok_r(list, ",", &save); word && options.count < 8;
	     word = strtok_r(NULL, ",", &save))
		endpoints[options.count++] = word;
	snprintf(paths[0], sizeof(paths[0]), "%s/ca.crt", where);
	snprintf(paths[1], sizeof(paths[1]), "%s/%s.crt", where, user);
	snprintf(paths[2], sizeof(paths[2]), "%s/%s.key", where, user);
	return options;
}

struct store *etcd_open_as(const char *user)
{
	struct store_etcd_options options = etcd_options(user);
	struct store *store;
	char message[256];

	if (store_etcd_open(&options, &store, message)) {
		fprintf(stderr, "%s\n", message);
		return NULL;
	}
	return store;
}

static struct store *etcd_open(void)
{
	return etcd_open_as("root");
}

static void etcd_time(int ms)
{
	usleep(ms * 1000);
}

static void etcd_compact(int64_t rev)
{
	char command[64];

	snprintf(command, sizeof(command), "etcdctl compact %lld >/dev/null", (long long)rev);
	assert_int_equal(system(command), 0);
}

bool store_backend(const char *name)
{
	static const struct store_backend in_memory = {
		memory_open, memory_time, memory_compact,
	};
	static const struct store_backend in_etcd = { etcd_open, etcd_time, etcd_compact };

	if (!strcmp(name, "memory"))
		pass = &in_memory;
	else if (!strcmp(name, "etcd") && getenv("FLEET_ETCD"))
		pass = &in_etcd;
	return pass;
}
