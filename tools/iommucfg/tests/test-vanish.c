// SPDX-License-Identifier: GPL-2.0
/*
 * Groups and devices that go while they are read. The kernel says ENODEV where a
 * file goes between being found and being opened, or between that and a read. And what a
 * verdict comes to without memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"
#include "run.h"

int __real_openat(int dirfd, const char *path, int flags, mode_t mode);
int __wrap_openat(int dirfd, const char *path, int flags, mode_t mode);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);

/* What fails: the files whose names end so, at the one or at the other. */
static struct {
	const char *end;
	int error;
	bool in_read;
	int fd, hits;
} fault;

int __wrap_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	size_t length = strlen(path), n = fault.end ? strlen(fault.end) : 0;
	bool hit = n && length >= n && !strcmp(path + length - n, fault.end);
	int fd;

	if (hit && !fault.in_read) {
		fault.hits++;
		errno = fault.error;
		return -1;
	}
	fd = __real_openat(dirfd, path, flags, mode);
	if (hit)
		fault.fd = fd;
	return fd;
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	if (fault.in_read && fd == fault.fd) {
		fault.fd = -1;
		fault.hits++;
		errno = fault.error;
		return -1;
	}
	return __real_read(fd, buf, size);
}

static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
	return no_memory ? NULL : __real_strdup(text);
}

static int scan(const char *end, bool in_read, int error, struct iommucfg **ctx,
		struct iommucfg_topology **topology, struct iommucfg_problems *problems)
{
	int ret;

	*topology = NULL;
	assert_int_equal(iommucfg_new(ctx, tree("host")), 0);
	memset(&fault, 0, sizeof(fault));
	fault.end = end;
	fault.error = error;
	fault.in_read = in_read;
	fault.fd = -1;
	ret = iommucfg_topology_scan(*ctx, topology, problems);
	fault.end = NULL;
	fault.in_read = false;
	assert_true(fault.hits);
	return ret;
}

static const struct {
	const char *end;
	bool in_read;
	const char *device;
} cases[] = {
	{ "/1/type", false, NULL },
	{ "/1/type", true, NULL },
	{ "/1/devices", false, NULL },
	{ "/0000:01:00.1", false, "0000:01:00.1" },
};

/* The others are read, and so is what is left of it. */
static void test_gone(void **state)
{
	struct iommucfg_topology *topology;
	struct iommucfg_problems *problems;
	struct iommucfg_group *group;
	struct iommucfg *ctx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		problems = iommucfg_problems_new();
		assert_int_equal(scan(cases[i].end, cases[i].in_read, ENODEV, &ctx, &topology,
				      problems), 0);
		assert_int_equal(iommucfg_problems_count(problems), 0);
		assert_int_equal(iommucfg_topology_num_groups(topology), 11);
		assert_non_null(iommucfg_topology_find_device(topology, "0000:00:1c.4"));
		group = iommucfg_topology_find_group(topology, 1);
		assert_non_null(group);
		assert_int_equal(iommucfg_group_num_devices(group),
				 cases[i].device ? 1 : strstr(cases[i].end, "type") ? 2 : 0);
		iommucfg_topology_unref(topology);
		iommucfg_problems_unref(problems);
		iommucfg_unref(ctx);
	}
}

/* What is there and cannot be read is named. */
static void test_unreadable(void **state)
{
	const struct iommucfg_problem *p;
	struct iommucfg_topology *topology;
	struct iommucfg_problems *problems;
	struct iommucfg *ctx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		problems = iommucfg_problems_new();
		assert_int_equal(scan(cases[i].end, cases[i].in_read, ENOTDIR, &ctx, &topology,
				      problems), -ENOTDIR);
		assert_null(topology);
		assert_int_equal(iommucfg_problems_count(problems), 1);
		p = iommucfg_problems_get(problems, 0);
		assert_non_null(strstr(iommucfg_problem_message(p), cases[i].end));
		assert_string_equal(iommucfg_problem_errno(p), "ENOTDIR");
		assert_int_equal(iommucfg_problem_group(p), 1);
		if (cases[i].device)
			assert_string_equal(iommucfg_problem_device(p), cases[i].device);
		iommucfg_problems_unref(problems);
		iommucfg_unref(ctx);
	}
}

/* An interface that goes is not in use; one that cannot be looked at may be. */
static void test_interface(void **state)
{
	static const struct {
		int error, warnings;
	} errors[] = { { ENODEV, 0 }, { EINVAL, 0 }, { EIO, 1 }, { ENOMEM, 1 } };
	struct iommucfg_topology *topology;
	struct iommucfg_problems *problems;
	struct iommucfg *ctx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		problems = iommucfg_problems_new();
		assert_int_equal(iommucfg_new(&ctx, tree("host")), 0);
		assert_int_equal(iommucfg_topology_scan(ctx, &topology, NULL), 0);
		memset(&fault, 0, sizeof(fault));
		fault.end = "eth0/flags";
		fault.error = errors[i].error;
		fault.in_read = true;
		fault.fd = -1;
		assert_int_equal(iommucfg_topology_scan_use(topology, problems), 0);
		fault.end = NULL;
		fault.in_read = false;
		assert_int_equal(fault.hits, 1);
		assert_int_equal(iommucfg_problems_count(problems), errors[i].warnings);
		iommucfg_topology_unref(topology);
		iommucfg_problems_unref(problems);
		iommucfg_unref(ctx);
	}
}

/* Whether the devices are back is not known: that is no yes. */
static void test_settle_without_memory(void **state)
{
	struct iommucfg_run *run;
	struct iommucfg_txn txn = { .name = (char *)"a" };
	char dir[] = "/tmp/iommucfg-vanish.XXXXXX", path[64], *text;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("unconfirmed\n", f);
	fclose(f);
	txn.fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(txn.fd >= 0);
	memset(&fault, 0, sizeof(fault));
	fault.fd = -1;
	assert_int_equal(iommucfg_new(&txn.ctx, tree("host")), 0);
	assert_int_equal(iommucfg_run_new(txn.ctx, iommucfg_problems_new(), &run), 0);
	iommucfg_problems_unref(run->problems);
	assert_int_equal(iommucfg_topology_scan(txn.ctx, &run->topology, NULL), 0);
	assert_int_equal(iommucfg_plan_targets(run->topology, NULL, 0, NULL, &run->plan), 0);
	assert_int_equal(iommucfg_witness_new(run->plan, &run->witness), 0);
	run->txn = &txn;
	run->settle = 1000;
	ic_run_enter(run, IC_PHASE_SETTLE);
	fault.end = "class/block";
	fault.error = ENOMEM;
	assert_int_equal(ic_run_settle_step(run), IOMMUCFG_RUN_AGAIN);
	assert_int_equal(run->phase, IC_PHASE_SETTLE);
	run->settle = 0;
	assert_int_equal(ic_run_settle_step(run), IOMMUCFG_RUN_AGAIN);
	assert_int_equal(run->phase, IC_PHASE_ROLLBACK);
	text = text_of(run->problems);
	assert_non_null(strstr(text, "whether the devices are back is not known"));
	free(text);
	fault.end = NULL;
	while (waitpid(run->child, NULL, 0) < 0 && errno == EINTR)
		;
	run->settle = 1000;
	ic_run_enter(run, IC_PHASE_SETTLE);
	assert_int_equal(ic_run_settle_step(run), IOMMUCFG_RUN_DONE);
	run->txn = NULL;
	iommucfg_run_unref(run);
	iommucfg_unref(txn.ctx);
	close(txn.fd);
	unlink(path);
	rmdir(dir);
}

/* Nor is it that no faults are seen. */
static void test_watch_without_memory(void **state)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct ic_watch watch = { .log.fd = -1, .trace.fd = -1 };
	struct iommucfg_topology *topology;
	struct iommucfg_device *device;
	struct iommucfg *ctx;

	(void)state;
	assert_int_equal(iommucfg_new(&ctx, tree("host")), 0);
	assert_int_equal(iommucfg_topology_scan(ctx, &topology, NULL), 0);
	device = iommucfg_topology_find_device(topology, "0000:01:00.0");
	assert_non_null(device);
	assert_int_equal(ic_watch_add(&watch, device), 0);
	assert_false(ic_watch_judge(&watch, problems));
	assert_int_equal(iommucfg_problems_count(problems), 0);
	no_memory = true;
	assert_int_equal(ic_watch_add(&watch, device), -ENOMEM);
	no_memory = false;
	assert_false(ic_watch_judge(&watch, problems));
	assert_int_equal(iommucfg_problems_count(problems), 1);
	assert_string_equal(iommucfg_problem_code(iommucfg_problems_get(problems, 0)), "faults-unseen");
	/* Once. */
	assert_false(ic_watch_judge(&watch, problems));
	assert_int_equal(iommucfg_problems_count(problems), 1);
	ic_source_clear(&watch.v[0].source);
	free(watch.v);
	iommucfg_topology_unref(topology);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone), cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_interface), cmocka_unit_test(test_settle_without_memory),
		cmocka_unit_test(test_watch_without_memory),
	};

	return cmocka_run_group_tests_name("vanish", tests, NULL, NULL);
}
