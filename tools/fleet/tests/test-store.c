// SPDX-License-Identifier: GPL-2.0
/*
 * What store.h promises, for each backend: "test-store memory", "test-store etcd" (below
 * with-etcd). Tests that only etcd can fail are in test-etcd.c.
 */
#include <unistd.h>

#include "store-test.h"

static struct store *store;

static void put_ok(const char *key, const char *value, int64_t rev, int64_t *now)
{
	const struct store_put put = {
		.key = key, .value = value, .size = strlen(value), .rev = rev,
	};

	assert_store(store, STORE_OK, store_put(store, &put, now));
}

static void put_conflicts(const char *key, int64_t rev, const char *guard, int64_t guard_rev)
{
	const struct store_put put = {
		.key = key, .value = "wrong", .size = 5, .rev = rev,
		.guard = guard, .guard_rev = guard_rev,
	};

	assert_store(store, STORE_CONFLICT, store_put(store, &put, NULL));
}

static void expect(const char *key, const char *value, int64_t rev)
{
	struct store_item item;

	assert_store(store, STORE_OK, store_get(store, key, &item));
	assert_string_equal(item.key, key);
	if (value) {
		assert_non_null(item.value);
		assert_string_equal(item.value, value);
	} else {
		assert_null(item.value);
	}
	assert_int_equal(item.rev, rev);
	store_item_clear(&item);
}

static void test_absent(void **state)
{
	(void)state;
	expect("absent/key", NULL, 0);
	assert_store(store, STORE_CONFLICT, store_delete(store, "absent/key", 0));
	assert_store(store, STORE_CONFLICT, store_delete(store, "absent/key", 1));
}

static void test_compare(void **state)
{
	int64_t first, second, third;

	(void)state;
	put_conflicts("compare/key", 12345, NULL, 0);
	put_ok("compare/key", "1", 0, &first);
	expect("compare/key", "1", first);
	put_conflicts("compare/key", 0, NULL, 0);
	put_ok("compare/key", "2", first, &second);
	assert_true(second > first);
	put_conflicts("compare/key", first, NULL, 0);
	expect("compare/key", "2", second);
	put_ok("compare/key", "3", STORE_ANY, &third);
	assert_true(third > second);
	expect("compare/key", "3", third);
}

static void test_same_value(void **state)
{
	int64_t first, second;

	(void)state;
	put_ok("same/key", "1", 0, &first);
	put_ok("same/key", "1", first, &second);
	assert_true(second > first);
}

static void test_guard(void **state)
{
	struct store_put put = { .key = "guard/key", .value = "in", .size = 2 };
	int64_t guard, rev, next;

	(void)state;
	put_conflicts("guard/key", 0, "guard/guard", 7);
	put_ok("guard/guard", "1", 0, &guard);
	put_conflicts("guard/key", 0, "guard/guard", 0);
	expect("guard/key", NULL, 0);
	put.guard = "guard/guard";
	put.guard_rev = guard;
	assert_store(store, STORE_OK, store_put(store, &put, &rev));
	expect("guard/key", "in", rev);
	/* The guard was not written. */
	expect("guard/guard", "1", guard);

	put_ok("guard/guard", "2", guard, &next);
	put_conflicts("guard/key", rev, "guard/guard", guard);
	put_conflicts("guard/key", 0, "guard/guard", next);
	put.rev = rev;
	put.guard = "guard/none";
	put.guard_rev = 0;
	put.value = "it";
	assert_store(store, STORE_OK, store_put(store, &put, &rev));
	expect("guard/key", "it", rev);
}

static void test_values(void **state)
{
	struct store_put put = { .key = "values/odd", .value = "a\0b\n\xff", .size = 5 };
	struct store_item item;
	int64_t rev;
	char *large;

	(void)state;
	assert_store(store, STORE_OK, store_put(store, &put, NULL));
	assert_store(store, STORE_OK, store_get(store, put.key, &item));
	assert_int_equal(item.size, 5);
	assert_memory_equal(item.value, "a\0b\n\xff", 6);
	store_item_clear(&item);

	put_ok("values/empty", "", 0, &rev);
	expect("values/empty", "", rev);

	large = test_calloc(1, STORE_VALUE_MAX + 1);
	memset(large, 'x', STORE_VALUE_MAX + 1);
	put = (struct store_put){ .key = "values/large", .value = large };
	put.size = STORE_VALUE_MAX + 1;
	assert_store(store, STORE_REFUSED, store_put(store, &put, NULL));
	expect("values/large", NULL, 0);
	put.size = STORE_VALUE_MAX;
	assert_store(store, STORE_OK, store_put(store, &put, &rev));
	assert_store(store, STORE_OK, store_get(store, put.key, &item));
	assert_int_equal(item.size, STORE_VALUE_MAX);
	assert_memory_equal(item.value, large, STORE_VALUE_MAX);
	store_item_clear(&item);
	test_free(large);
}

static void test_list(void **state)
{
	static const char *const keys[] = { "list/b", "list/a", "list0", "lis", "list/a/x" };
	static const char *const sorted[] = { "list/a", "list/a/x", "list/b" };
	struct store_list list;
	int64_t rev = 0;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		put_ok(keys[i], keys[i], 0, &rev);
	assert_store(store, STORE_OK, store_list(store, "list/", &list));
	assert_int_equal(list.count, 3);
	assert_int_equal(list.rev, rev);
	for (i = 0; i < 3; i++) {
		assert_string_equal(list.items[i].key, sorted[i]);
		assert_string_equal(list.items[i].value, sorted[i]);
		assert_true(list.items[i].rev > 0 && list.items[i].rev <= rev);
	}
	store_list_clear(&list);
	assert_store(store, STORE_OK, store_list(store, "list/c", &list));
	assert_int_equal(list.count, 0);
	assert_int_equal(list.rev, rev);
	store_list_clear(&list);
}

/* More than etcd's backend reads at once. */
static void test_long_list(void **state)
{
	struct store_list list;
	int64_t rev = 0;
	char key[32];
	int i;

	(void)state;
	for (i = 0; i < 601; i++) {
		snprintf(key, sizeof(key), "long/%03d", i);
		put_ok(key, key, 0, &rev);
	}
	assert_store(store, STORE_OK, store_list(store, "long/", &list));
	assert_int_equal(list.count, 601);
	assert_int_equal(list.rev, rev);
	for (i = 0; i < 601; i++) {
		snprintf(key, sizeof(key), "long/%03d", i);
		assert_string_equal(list.items[i].key, key);
		assert_string_equal(list.items[i].value, key);
	}
	store_list_clear(&list);
}

static void next_is(struct store_watch *watch, const char *key, const char *value, int64_t rev)
{
	struct store_item item;

	next_event(watch, &item);
	assert_string_equal(item.key, key);
	assert_int_equal(item.rev, rev);
	if (value)
		assert_string_equal(item.value, value);
	else
		assert_null(item.value);
	store_item_clear(&item);
}

static void test_watch(void **state)
{
	struct store_watch *all, *one;
	struct store_item item;
	struct store_list list;
	int64_t rev[6];

	(void)state;
	put_ok("watch/a", "old", 0, &rev[0]);
	assert_store(store, STORE_OK, store_list(store, "watch/", &list));
	assert_store(store, STORE_OK, store_watch(store, "watch/", false, list.rev + 1, &all));
	assert_store(store, STORE_OK, store_watch(store, "watch/a", true, list.rev + 1, &one));
	store_list_clear(&list);
	put_ok("watch/a", "1", rev[0], &rev[1]);
	put_ok("watch0", "not below", 0, &rev[2]);
	put_ok("watch/ab", "2", 0, &rev[3]);
	put_ok("watch/a", "", rev[1], &rev[4]);
	next_is(all, "watch/a", "1", rev[1]);
	next_is(all, "watch/ab", "2", rev[3]);
	next_is(all, "watch/a", "", rev[4]);
	assert_true(store_watch_alive(all));
	next_is(one, "watch/a", "1", rev[1]);
	next_is(one, "watch/a", "", rev[4]);
	assert_store(store, STORE_OK, store_delete(store, "watch/a", rev[4]));
	expect("watch/a", NULL, 0);
	next_is(all, "watch/a", NULL, rev[4] + 1);
	next_is(one, "watch/a", NULL, rev[4] + 1);
	assert_int_equal(store_watch_next(one, 0, &item), STORE_UNREACHABLE);
	put_ok("watch/a", "anew", 0, &rev[5]);
	next_is(one, "watch/a", "anew", rev[5]);
	store_watch_free(one);
	store_watch_free(all);
}

static void test_resume(void **state)
{
	struct store_watch *watch;
	struct store_item item;
	int64_t rev[4];

	(void)state;
	put_ok("resume/a", "1", 0, &rev[0]);
	put_ok("resume/b", "2", 0, &rev[1]);
	put_ok("resume/a", "3", rev[0], &rev[2]);
	assert_store(store, STORE_OK, store_watch(store, "resume/", false, rev[1], &watch));
	next_is(watch, "resume/b", "2", rev[1]);
	next_is(watch, "resume/a", "3", rev[2]);
	store_watch_free(watch);

	pass->compact(rev[1]);
	assert_store(store, STORE_OK, store_watch(store, "resume/", false, rev[1] + 1, &watch));
	next_is(watch, "resume/a", "3", rev[2]);
	put_ok("resume/a", "4", rev[2], &rev[3]);
	next_is(watch, "resume/a", "4", rev[3]);
	store_watch_free(watch);

	assert_store(store, STORE_OK, store_watch(store, "resume/", false, rev[0], &watch));
	assert_int_equal(next_result(watch, &item), STORE_GONE);
	assert_int_equal(next_result(watch, &item), STORE_GONE);
	store_watch_free(watch);
}

static void test_lead(void **state)
{
	struct store_lead *first, *second;
	struct store_item item;

	(void)state;
	assert_store(store, STORE_OK, store_lead(store, "lead/a", "one", 2, &first));
	assert_store(store, STORE_CONFLICT, store_lead(store, "lead/a", "two", 2, &second));
	assert_null(second);
	assert_store(store, STORE_OK, store_get(store, "lead/a", &item));
	assert_string_equal(item.value, "one");
	store_item_clear(&item);
	assert_store(store, STORE_OK, store_lead_leave(first));
	expect("lead/a", NULL, 0);

	/* Kept, it lives on; silent, it ends. */
	assert_store(store, STORE_OK, store_lead(store, "lead/a", "two", 2, &second));
	pass->time(1500);
	assert_store(store, STORE_OK, store_lead_keep(second));
	pass->time(1500);
	assert_store(store, STORE_OK, store_lead_keep(second));
	pass->time(6000);
	expect("lead/a", NULL, 0);
	assert_store(store, STORE_ENDED, store_lead_keep(second));
	assert_store(store, STORE_OK, store_lead(store, "lead/a", "three", 60, &first));
	assert_store(store, STORE_ENDED, store_lead_keep(second));
	/* One that is over takes nothing from the next. */
	assert_store(store, STORE_OK, store_lead_leave(second));
	assert_store(store, STORE_OK, store_lead_keep(first));

	/* Taken away by hand. */
	assert_store(store, STORE_OK, store_get(store, "lead/a", &item));
	assert_store(store, STORE_OK, store_delete(store, "lead/a", item.rev));
	store_item_clear(&item);
	assert_store(store, STORE_ENDED, store_lead_keep(first));
	assert_store(store, STORE_OK, store_lead_leave(first));
	assert_store(store, STORE_OK, store_lead_leave(NULL));
}

static void test_identity(void **state)
{
	uint64_t cluster, again;
	int64_t rev, seen;

	(void)state;
	put_ok("identity/a", "1", 0, &rev);
	store_identity(store, &cluster, &seen);
	assert_true(cluster);
	assert_int_equal(seen, rev);
	put_ok("identity/a", "2", rev, &rev);
	store_identity(store, &again, &seen);
	assert_true(again == cluster);
	assert_int_equal(seen, rev);
}

static int open_store(void **state)
{
	(void)state;
	store = pass->open();
	return store ? 0 : -1;
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
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_same_value),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_lead),
		cmocka_unit_test(test_identity),
	};

	if (argc != 2 || !store_backend(argv[1])) {
		fprintf(stderr, "usage: %s memory|etcd\n", argv[0]);
		return 1;
	}
	return cmocka_run_group_tests_name(argv[1], tests, open_store, close_store);
}
