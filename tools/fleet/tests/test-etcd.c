// SPDX-License-Identifier: GPL-2.0
/*
 * What only etcd can do wrong: members that hang, die or are of another cluster,
 * certificates, limits. Below with-etcd. The last test kills a member for good.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store-test.h"

static struct store *store;
static pid_t members[3];

static enum store_result put(struct store *s, const char *key, const char *value)
{
	const struct store_put put = {
		.key = key, .value = value, .size = strlen(value), .rev = STORE_ANY,
	};

	return store_put(s, &put, NULL);
}

static void put_ok(const char *key, const char *value)
{
	assert_store(store, STORE_OK, put(store, key, value));
}

static void expect(struct store *s, const char *key, const char *value)
{
	enum store_result result;
	struct store_item item;
	int tries;

	/* An election may be under way. */
	for (tries = 0; tries < 30; tries++) {
		result = store_get(s, key, &item);
		if (result != STORE_UNREACHABLE)
			break;
		usleep(500000);
	}
	if (result)
		fail_msg("%s: %s: %s", key, store_result_name(result), store_message(s));
	if (value)
		assert_string_equal(item.value, value);
	else
		assert_null(item.value);
	store_item_clear(&item);
}

static void stop(int i)
{
	char path[64], state;
	FILE *f;

	assert_int_equal(kill(members[i], SIGSTOP), 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", members[i]);
	do {
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
		fclose(f);
	} while (state != 'T');
}

static void go_on(int i)
{
	assert_int_equal(kill(members[i], SIGCONT), 0);
}

static struct store *open_ok(const struct store_etcd_options *options)
{
	char message[256] = "";
	struct store *s;

	if (store_etcd_open(options, &s, message))
		fail_msg("%s", message);
	return s;
}

/* Until each of the members answers, and knows a leader. */
static void wait_for_all(void)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_item item;
	struct store *s;
	int i, tries;

	options.count = 1;
	for (i = 0; i < 3; i++)
		kill(members[i], SIGCONT);
	for (i = 0; i < 3; i++) {
		s = open_ok(&options);
		for (tries = 0; store_get(s, "settled", &item); tries++) {
			assert_true(tries < 60);
			usleep(500000);
		}
		store_item_clear(&item);
		store_free(s);
		options.endpoints++;
	}
}

static void test_options(void **state)
{
	static const char *const plain[] = { "http://127.0.0.1:1" };
	struct store_etcd_options options = etcd_options("root");
	char message[256] = "";
	struct store *s;

	(void)state;
	options.count = 0;
	assert_int_equal(store_etcd_open(&options, &s, message), STORE_REFUSED);
	assert_non_null(strstr(message, "endpoints"));
	options.endpoints = plain;
	options.count = 1;
	assert_int_equal(store_etcd_open(&options, &s, message), STORE_REFUSED);
	assert_non_null(strstr(message, "http://127.0.0.1:1: "));
	assert_null(s);
}

static void test_roles(void **state)
{
	struct store *host = etcd_open_as("host-a"), *no_role = etcd_open_as("nobody");
	struct store_watch *watch;
	struct store_item item;

	(void)state;
	put_ok("grant/a", "grant");
	put_ok("status/host-b", "b");
	expect(host, "grant/a", "grant");
	assert_int_equal(put(host, "grant/a", "mine"), STORE_DENIED);
	assert_non_null(strstr(store_message(host), "permission denied"));
	assert_int_equal(put(host, "status/host-b", "mine"), STORE_DENIED);
	assert_int_equal(store_get(host, "status/host-b", &item), STORE_DENIED);
	assert_int_equal(put(host, "status/host-a", "mine"), STORE_OK);
	expect(store, "grant/a", "grant");
	expect(store, "status/host-a", "mine");
	expect(store, "status/host-b", "b");

	assert_int_equal(store_watch(host, "grant/a", true, 1, &watch), STORE_OK);
	next_event(watch, &item);
	assert_string_equal(item.value, "grant");
	store_item_clear(&item);
	store_watch_free(watch);
	assert_int_equal(store_watch(host, "status/host-b", true, 1, &watch), STORE_OK);
	assert_int_equal(next_result(watch, &item), STORE_DENIED);
	assert_non_null(strstr(store_watch_message(watch), "permission denied"));
	store_watch_free(watch);

	assert_int_equal(store_get(no_role, "grant/a", &item), STORE_DENIED);
	assert_int_equal(put(no_role, "grant/a", "mine"), STORE_DENIED);
	store_free(no_role);
	store_free(host);
}

/* Neither a server that another authority signed for, nor a client without a key. */
static void test_certificates(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_item item;
	struct store *s;

	(void)state;
	options.ca = options.cert;
	s = open_ok(&options);
	assert_int_equal(store_get(s, "any", &item), STORE_UNREACHABLE);
	assert_int_equal(put(s, "any", "value"), STORE_UNREACHABLE);
	assert_non_null(strstr(store_message(s), "certificate"));
	store_free(s);

	options = etcd_options("root");
	options.cert = "/none.crt";
	s = open_ok(&options);
	assert_int_equal(store_get(s, "any", &item), STORE_UNREACHABLE);
	store_free(s);
	expect(store, "any", NULL);
}

static void test_foreign(void **state)
{
	const char *other[] = { getenv("FLEET_ETCD_FOREIGN") };
	struct store_etcd_options options = etcd_options("root");
	struct store_watch *watch;
	struct store_item item;
	uint64_t cluster;
	struct store *s;
	int64_t rev;

	(void)state;
	put_ok("foreign/a", "here");
	store_identity(store, &cluster, &rev);
	options.endpoints = other;
	options.count = 1;
	options.cluster = cluster;
	s = open_ok(&options);
	assert_int_equal(put(s, "foreign/a", "there"), STORE_FOREIGN);
	assert_int_equal(store_get(s, "foreign/a", &item), STORE_FOREIGN);
	assert_int_equal(store_watch(s, "foreign/", false, 1, &watch), STORE_OK);
	assert_int_equal(next_result(watch, &item), STORE_FOREIGN);
	store_watch_free(watch);
	store_free(s);

	/* The other cluster was not written to. */
	options.cluster = 0;
	s = open_ok(&options);
	expect(s, "foreign/a", NULL);
	store_free(s);

	/* The same cluster, but older than it was. */
	options = etcd_options("root");
	options.cluster = cluster;
	options.rev = rev + 1000000;
	s = open_ok(&options);
	assert_int_equal(store_get(s, "foreign/a", &item), STORE_FOREIGN);
	assert_non_null(strstr(store_message(s), "back in time"));
	assert_int_equal(store_watch(s, "foreign/", false, rev + 1000000, &watch), STORE_OK);
	assert_int_equal(next_result(watch, &item), STORE_FOREIGN);
	store_watch_free(watch);
	store_free(s);
}

/* An event that comes during a check is newer than what that says: nothing is wrong. */
static void test_check_beside_events(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_watch *watch;
	struct store_item item;
	struct store *s;
	pid_t writer;
	int i;

	(void)state;
	options.check_ms = 1;
	s = open_ok(&options);
	assert_int_equal(store_watch(s, "beside/", false, 1, &watch), STORE_OK);
	fflush(NULL);
	writer = fork();
	if (!writer) {
		store = open_ok(&options);
		for (i = 0; i < 500 && !put(store, "beside/a", "value"); i++)
			;
		_exit(i < 500);
	}
	for (i = 0; i < 500; i++) {
		next_event(watch, &item);
		store_item_clear(&item);
	}
	assert_int_equal(waitpid(writer, &i, 0), writer);
	assert_int_equal(i, 0);
	store_watch_free(watch);
	store_free(s);
}

static void test_answer_max(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_list list;
	struct store_item item;
	char *value, key[32];
	struct store *s;
	int i;

	(void)state;
	value = test_calloc(1, 50001);
	memset(value, 'x', 20000);
	for (i = 0; i < 9; i++) {
		snprintf(key, sizeof(key), "answer/%d", i);
		put_ok(key, value);
	}
	options.answer_max = 45000;
	s = open_ok(&options);
	assert_int_equal(store_list(s, "answer/", &list), STORE_OK);
	assert_int_equal(list.count, 9);
	for (i = 0; i < 9; i++) {
		assert_int_equal(list.items[i].key[7], '0' + i);
		assert_int_equal(list.items[i].size, 20000);
	}
	store_list_clear(&list);

	memset(value, 'x', 50000);
	put_ok("answer/5", value);
	assert_int_equal(store_get(s, "answer/5", &item), STORE_REFUSED);
	assert_non_null(strstr(store_message(s), "too large"));
	assert_int_equal(store_list(s, "answer/", &list), STORE_REFUSED);
	expect(s, "answer/4", value + 30000);
	store_free(s);
	test_free(value);
}

static void copy_file(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

/*
 * With the certificate gone, a connection that is there goes on working and a new one
 * cannot be made: so it shows which of the two was used.
 */
static void test_fresh(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_put fresh = {
		.key = "fresh/a", .value = "2", .size = 1, .rev = STORE_ANY, .fresh = true,
	};
	char cert[512];
	struct store *s;

	(void)state;
	snprintf(cert, sizeof(cert), "%s/fresh.crt", getenv("FLEET_ETCD_DIR"));
	copy_file(options.cert, cert);
	options.cert = cert;
	options.count = 1;
	s = open_ok(&options);
	assert_int_equal(put(s, "fresh/a", "1"), STORE_OK);
	assert_int_equal(store_put(s, &fresh, NULL), STORE_OK);
	assert_int_equal(unlink(cert), 0);
	assert_int_equal(put(s, "fresh/a", "3"), STORE_OK);
	assert_int_equal(store_put(s, &fresh, NULL), STORE_UNREACHABLE);
	expect(s, "fresh/a", "3");
	store_free(s);
}

static void test_interface(void **state)
{
	struct store_put through = {
		.key = "interface/a", .value = "1", .size = 1, .rev = STORE_ANY,
		.interface = "lo",
	};

	(void)state;
	assert_store(store, STORE_OK, store_put(store, &through, NULL));
	through.value = "2";
	through.interface = "none0";
	assert_store(store, STORE_UNREACHABLE, store_put(store, &through, NULL));
	expect(store, "interface/a", "1");
	put_ok("interface/a", "3");
}

static void test_member_hangs(void **state)
{
	struct store *each[3];
	struct store_etcd_options options = etcd_options("root");
	struct store_watch *watch;
	struct store_item item;
	struct store_list list;
	char value[16];
	int i;

	(void)state;
	options.timeout_ms = 3000;
	options.count = 1;
	for (i = 0; i < 3; i++) {
		each[i] = open_ok(&options);
		options.endpoints++;
	}
	options = etcd_options("root");
	options.timeout_ms = 3000;
	store_free(store);
	store = open_ok(&options);
	assert_store(store, STORE_OK, store_list(store, "hangs/", &list));
	assert_store(store, STORE_OK,
		     store_watch(store, "hangs/", false, list.rev + 1, &watch));
	store_list_clear(&list);
	for (i = 0; i < 3; i++) {
		stop(i);
		/* No answer of this member, and nothing is claimed for it. */
		assert_int_equal(store_get(each[i], "hangs/a", &item), STORE_UNREACHABLE);
		/* The others, once they have a leader, take it; so does a watch that sat there. */
		snprintf(value, sizeof(value), "%d", i);
		while (put(store, "hangs/a", value) != STORE_OK)
			usleep(200000);
		do {
			next_event(watch, &item);
			if (strcmp(item.value, value))
				store_item_clear(&item);
		} while (!item.value);
		store_item_clear(&item);
		expect(store, "hangs/a", value);
		go_on(i);
		store_free(each[i]);
	}
	store_watch_free(watch);
	wait_for_all();
}

/* A call whose time is over at a member that hangs leaves the next one to another member. */
static void test_limit_moves_on(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_item item;
	struct store *s;
	int i, tries;

	(void)state;
	s = open_ok(&options);
	expect(s, "limit/a", NULL);
	store_set_limit(s, 1000);
	for (i = 0; i < 3; i++) {
		stop(i);
		/* An election may be under way at first. */
		for (tries = 0; store_get(s, "limit/a", &item); tries++) {
			if (tries == 30)
				fail_msg("%s", store_message(s));
			usleep(200000);
		}
		store_item_clear(&item);
		wait_for_all();
	}
	store_free(s);
}

/* Hosts do not come back all at once. */
static void test_spread(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_watch *soon, *later;
	struct store *s, *spread;
	struct store_item item;
	int i;

	(void)state;
	options.timeout_ms = 3000;
	options.count = 1;
	s = open_ok(&options);
	options.spread_ms = 1000000000;
	spread = open_ok(&options);
	assert_int_equal(store_watch(s, "spread/", false, 1, &soon), STORE_OK);
	assert_int_equal(store_watch(spread, "spread/", false, 1, &later), STORE_OK);
	put_ok("spread/a", "1");
	next_event(soon, &item);
	store_item_clear(&item);
	next_event(later, &item);
	store_item_clear(&item);
	stop(0);
	while (store_watch_alive(soon) || store_watch_alive(later)) {
		assert_int_equal(store_watch_next(soon, 100, &item), STORE_UNREACHABLE);
		assert_int_equal(store_watch_next(later, 100, &item), STORE_UNREACHABLE);
	}
	wait_for_all();
	put_ok("spread/a", "2");
	next_event(soon, &item);
	store_item_clear(&item);
	for (i = 0; i < 20; i++)
		assert_int_equal(store_watch_next(later, 100, &item), STORE_UNREACHABLE);
	store_watch_free(soon);
	store_watch_free(later);
	store_free(s);
	store_free(spread);
}

static void test_write_unanswered(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	enum store_result result;
	struct store *s;

	(void)state;
	options.timeout_ms = 2000;
	options.count = 1;
	s = open_ok(&options);
	assert_int_equal(put(s, "unanswered/a", "1"), STORE_OK);
	/* Over a connection that is there, the member may have got it. */
	stop(0);
	result = put(s, "unanswered/a", "2");
	assert_int_equal(result, STORE_UNKNOWN);
	go_on(0);
	wait_for_all();
	store_free(s);
}

static void test_no_majority(void **state)
{
	struct store_etcd_options options = etcd_options("root");
	struct store_watch *watch;
	struct store_item item;
	enum store_result result;
	struct store *s;

	(void)state;
	put_ok("majority/a", "1");
	options.timeout_ms = 12000;
	options.count = 1;
	s = open_ok(&options);
	assert_int_equal(put(s, "majority/a", "2"), STORE_OK);
	assert_int_equal(store_watch(s, "majority/b", true, 1, &watch), STORE_OK);
	stop(1);
	stop(2);
	/* Answers of the two may still be under way. */
	do {
		result = store_get(s, "majority/a", &item);
		store_item_clear(&item);
	} while (!result);
	assert_int_equal(result, STORE_UNREACHABLE);
	result = put(s, "majority/a", "3");
	if (result != STORE_UNKNOWN)
		assert_int_equal(result, STORE_UNREACHABLE);
	wait_for_all();
	/* What was sent may have been done. */
	assert_int_equal(store_get(s, "majority/a", &item), STORE_OK);
	assert_true(!strcmp(item.value, "2") || !strcmp(item.value, "3"));
	store_item_clear(&item);
	put_ok("majority/b", "4");
	next_event(watch, &item);
	assert_string_equal(item.value, "4");
	store_item_clear(&item);
	store_watch_free(watch);
	store_free(s);
}

/*
 * On a quiet key the store says now and then how far it is, so that a watch can be
 * resumed although the history of other keys is gone.
 */
static void test_progress(void **state)
{
	struct store_watch *watch;
	struct store_item item;
	uint64_t cluster;
	int64_t rev;
	int i;

	(void)state;
	put_ok("progress/other", "1");
	store_identity(store, &cluster, &rev);
	assert_store(store, STORE_OK, store_watch(store, "progress/a", true, rev + 1, &watch));
	assert_int_equal(store_watch_next(watch, 2000, &item), STORE_UNREACHABLE);
	put_ok("progress/other", "2");
	put_ok("progress/other", "3");
	store_identity(store, &cluster, &rev);
	/* with-etcd has it said each second. */
	assert_int_equal(store_watch_next(watch, 5000, &item), STORE_UNREACHABLE);
	pass->compact(rev);
	for (i = 0; i < 3; i++) {
		stop(i);
		assert_int_equal(store_watch_next(watch, 6000, &item), STORE_UNREACHABLE);
		go_on(i);
	}
	wait_for_all();
	put_ok("progress/a", "4");
	next_event(watch, &item);
	assert_string_equal(item.value, "4");
	store_item_clear(&item);
	store_watch_free(watch);
}

static void test_member_dies(void **state)
{
	struct store_watch *watches[6];
	struct store *stores[6];
	struct store_item item;
	struct store_list list;
	int i;

	(void)state;
	assert_store(store, STORE_OK, store_list(store, "dies/", &list));
	for (i = 0; i < 6; i++) {
		/* Each begins at some member. */
		stores[i] = etcd_open_as("root");
		assert_int_equal(store_watch(stores[i], "dies/", false, list.rev + 1, &watches[i]),
				 STORE_OK);
	}
	store_list_clear(&list);
	put_ok("dies/a", "1");
	for (i = 0; i < 6; i++) {
		next_event(watches[i], &item);
		assert_string_equal(item.value, "1");
		store_item_clear(&item);
	}
	assert_int_equal(kill(members[1], SIGKILL), 0);
	for (i = 0; put(store, "dies/a", "2") != STORE_OK; i++) {
		assert_true(i < 60);
		usleep(500000);
	}
	for (i = 0; i < 6; i++) {
		do {
			next_event(watches[i], &item);
			if (strcmp(item.value, "2"))
				store_item_clear(&item);
		} while (!item.value);
		store_item_clear(&item);
		store_watch_free(watches[i]);
		store_free(stores[i]);
	}
	expect(store, "dies/a", "2");
}

static int open_store(void **state)
{
	const char *pids = getenv("FLEET_ETCD_PIDS");

	(void)state;
	store_backend("etcd");
	store = etcd_open_as("root");
	if (!store || !pids ||
	    sscanf(pids, "%d,%d,%d", &members[0], &members[1], &members[2]) != 3)
		return -1;
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_free(store);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_check_beside_events),
		cmocka_unit_test(test_answer_max),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_interface),
		cmocka_unit_test(test_member_hangs),
		cmocka_unit_test(test_limit_moves_on),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_write_unanswered),
		cmocka_unit_test(test_no_majority),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_member_dies),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("etcd", tests, open_store, close_store);
}
