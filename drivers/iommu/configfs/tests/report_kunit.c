// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the report writer.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "../icfg.h"

/* What report.c keeps of a report, and of a page for the last line. */
#define LINES_MAX	4096
#define TAIL		64

struct fixture {
	struct icfg_report report;
	char page[ICFG_TEXT_MAX + 16];
};

static int report_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	icfg_report_init(&f->report);
	test->priv = f;
	return 0;
}

static void report_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	icfg_report_clear(&f->report);
}

/* Show it, and see that nothing is written beyond what is used. */
static const char *show(struct kunit *test, int group, size_t at)
{
	struct fixture *f = test->priv;
	ssize_t used;

	memset(f->page + at, 'x', sizeof(f->page) - at);
	used = icfg_report_show(&f->report, group, f->page, at);
	KUNIT_ASSERT_GE(test, used, at);
	KUNIT_ASSERT_LE(test, used, ICFG_TEXT_MAX);
	/* scnprintf() ends its line with a NUL, still within the page. */
	KUNIT_EXPECT_NULL(test, memchr_inv(f->page + ICFG_TEXT_MAX, 'x', 16));
	f->page[used] = '\0';
	KUNIT_EXPECT_EQ(test, strlen(f->page), used);
	return f->page;
}

static unsigned int count_lines(const char *page)
{
	unsigned int count = 0;

	for (; *page; page++)
		count += *page == '\n';
	return count;
}

/* How many lines the last line of a page counts as left out. */
static unsigned int left_out(struct kunit *test, const char *page)
{
	const char *tail = strstr(page, "... ");
	unsigned int left = 0;
	char again[48];
	int found;

	if (!tail)
		return 0;
	found = sscanf(tail, "... %u", &left);
	KUNIT_EXPECT_EQ(test, found, 1);
	KUNIT_EXPECT_NE(test, left, 0);
	snprintf(again, sizeof(again), "... %u more lines left out\n", left);
	KUNIT_EXPECT_STREQ(test, tail, again);
	KUNIT_EXPECT_TRUE(test, tail == page || tail[-1] == '\n');
	return left;
}

static void empty(struct kunit *test)
{
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0), "");
	KUNIT_EXPECT_STREQ(test, show(test, 5, 0), "");
}

static void lines(struct kunit *test)
{
	struct fixture *f = test->priv;

	icfg_report_add(&f->report, 5, "0000:00:02.0", ICFG_RELEASE, -EBUSY,
			"%s is %d", "it", 7);
	icfg_report_add(&f->report, ICFG_NO_GROUP, NULL, ICFG_CHECK, -EINVAL,
			"nothing is staged");
	icfg_report_add(&f->report, 0, NULL, ICFG_VERIFY, -EOPNOTSUPP, "no");
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0),
			   "5 0000:00:02.0 release EBUSY it is 7\n"
			   "- - check EINVAL nothing is staged\n"
			   "0 - verify EOPNOTSUPP no\n");
}

#define NAMED(err)	{ -(err), "1 - switch " #err " -\n" }

static void errno_names(struct kunit *test)
{
	static const struct {
		int err;
		const char *line;
	} cases[] = {
		NAMED(EPERM), NAMED(ENOENT), NAMED(EIO), NAMED(EAGAIN),
		NAMED(ENOMEM), NAMED(EBUSY), NAMED(EEXIST), NAMED(ENODEV),
		NAMED(EINVAL), NAMED(ETIMEDOUT), NAMED(ESTALE),
		NAMED(ECANCELED), NAMED(EOPNOTSUPP), NAMED(EPROBE_DEFER),
		/* Not one that has a name: its number will do. */
		{ -4000, "1 - switch 4000 -\n" },
	};
	struct fixture *f = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		icfg_report_clear(&f->report);
		icfg_report_add(&f->report, 1, NULL, ICFG_SWITCH, cases[i].err,
				"-");
		KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0),
				   cases[i].line);
	}
}

static void by_group(struct kunit *test)
{
	struct fixture *f = test->priv;

	icfg_report_add(&f->report, 1, NULL, ICFG_CHECK, -EBUSY, "first");
	icfg_report_add(&f->report, 11, NULL, ICFG_CHECK, -EBUSY, "other");
	icfg_report_add(&f->report, ICFG_NO_GROUP, NULL, ICFG_CHECK, -EBUSY,
			"nobody's");
	icfg_report_add(&f->report, 1, NULL, ICFG_CHECK, -EBUSY, "second");
	KUNIT_EXPECT_STREQ(test, show(test, 1, 0),
			   "1 - check EBUSY first\n1 - check EBUSY second\n");
	KUNIT_EXPECT_STREQ(test, show(test, 11, 0), "11 - check EBUSY other\n");
	KUNIT_EXPECT_STREQ(test, show(test, 2, 0), "");

	/* After what is in the page already. */
	memcpy(f->page, "failed\n", 7);
	KUNIT_EXPECT_STREQ(test, show(test, 11, 7),
			   "failed\n11 - check EBUSY other\n");
}

static void cleared(struct kunit *test)
{
	struct fixture *f = test->priv;
	int i;

	for (i = 0; i < LINES_MAX + 1; i++)
		icfg_report_add(&f->report, 1, NULL, ICFG_CHECK, -EBUSY, "x");
	icfg_report_clear(&f->report);
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0), "");
	icfg_report_add(&f->report, 1, NULL, ICFG_CHECK, -EBUSY, "y");
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0),
			   "1 - check EBUSY y\n");
}

/* A line of @size bytes, its newline included. */
static void add_line(struct icfg_report *report, int group, size_t size)
{
	char head[32];
	int len = snprintf(head, sizeof(head), "%d - check EBUSY ", group);

	icfg_report_add(report, group, NULL, ICFG_CHECK, -EBUSY, "%*s",
			(int)size - 1 - len, "end");
}

/* As many lines as fit, to the byte, and not one more. */
static void page_limit(struct kunit *test)
{
	const size_t room = ICFG_TEXT_MAX - TAIL;
	struct fixture *f = test->priv;
	const char *page;
	size_t at = 0;

	for (at = 0; at < room; at += 64)
		add_line(&f->report, 1, 64);
	KUNIT_ASSERT_EQ(test, at, room);

	page = show(test, ICFG_NO_GROUP, 0);
	KUNIT_EXPECT_EQ(test, strlen(page), room);
	KUNIT_EXPECT_EQ(test, count_lines(page), room / 64);
	KUNIT_EXPECT_EQ(test, left_out(test, page), 0);

	/* One byte less to begin with, and the last one does not fit. */
	memcpy(f->page, "\n", 1);
	page = show(test, ICFG_NO_GROUP, 1);
	KUNIT_EXPECT_EQ(test, left_out(test, page), 1);
	KUNIT_EXPECT_EQ(test, count_lines(page), 1 + room / 64 - 1 + 1);

	add_line(&f->report, 1, 64);
	add_line(&f->report, 1, 64);
	page = show(test, ICFG_NO_GROUP, 0);
	KUNIT_EXPECT_EQ(test, left_out(test, page), 2);
	KUNIT_EXPECT_EQ(test, count_lines(page), room / 64 + 1);
}

/* Lines of a length between nothing and a page: none is cut, none forgotten. */
static void page_sizes(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int added, size;
	const char *page, *line;

	for (size = 24; size <= ICFG_TEXT_MAX + 8; size = size * 5 / 3 + 1) {
		icfg_report_clear(&f->report);
		for (added = 0; added * size <= ICFG_TEXT_MAX; added++)
			add_line(&f->report, 1, size);
		page = show(test, ICFG_NO_GROUP, 0);
		KUNIT_EXPECT_EQ_MSG(test, left_out(test, page) +
				    count_lines(page) -
				    !!left_out(test, page), added,
				    "%u lines of %u", added, size);
		for (line = page; *line == '1'; line += size)
			KUNIT_ASSERT_EQ(test, line[size - 1], '\n');
	}
}

/* The oldest go. */
static void only_the_newest(struct kunit *test)
{
	struct fixture *f = test->priv;
	int i;

	icfg_report_keep(&f->report, 0);
	for (i = 0; i < 5; i++)
		icfg_report_add(&f->report, i, NULL, ICFG_CHECK, -EBUSY, "why");
	icfg_report_keep(&f->report, 5);
	KUNIT_EXPECT_EQ(test, count_lines(show(test, ICFG_NO_GROUP, 0)), 5);
	icfg_report_keep(&f->report, 2);
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0),
			   "3 - check EBUSY why\n4 - check EBUSY why\n");
	icfg_report_keep(&f->report, 0);
	KUNIT_EXPECT_STREQ(test, show(test, ICFG_NO_GROUP, 0), "");

	/* And the oldest, where they do not fit a page. */
	for (i = 0; i < 50; i++)
		icfg_report_add(&f->report, i, NULL, ICFG_CHECK, -EBUSY,
				"%0100d", i);
	icfg_report_keep(&f->report, 50);
	/* Each is 118 bytes with its newline. */
	KUNIT_EXPECT_EQ(test, count_lines(show(test, ICFG_NO_GROUP, 0)),
			(ICFG_TEXT_MAX - TAIL) / 118);
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->page, "\n49 - "));
	KUNIT_EXPECT_NULL(test, strstr(f->page, "left out"));
}

/* A short line after one that did not fit is left out too: order is kept. */
static void order(struct kunit *test)
{
	struct fixture *f = test->priv;
	const char *page;

	add_line(&f->report, 1, 30);
	add_line(&f->report, 1, ICFG_TEXT_MAX);
	add_line(&f->report, 2, 30);
	page = show(test, ICFG_NO_GROUP, 0);
	KUNIT_EXPECT_EQ(test, count_lines(page), 2);
	KUNIT_EXPECT_EQ(test, left_out(test, page), 2);
	KUNIT_EXPECT_EQ(test, left_out(test, show(test, 2, 0)), 0);
	KUNIT_EXPECT_EQ(test, left_out(test, show(test, 1, 0)), 1);
}

/* Lines that were not kept count for each reader: their group is not known. */
static void too_many(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i, shown;
	const char *page;

	for (i = 0; i < LINES_MAX + 3; i++)
		icfg_report_add(&f->report, i & 1, NULL, ICFG_CHECK, -EBUSY,
				"%u", i);
	page = show(test, ICFG_NO_GROUP, 0);
	shown = count_lines(page) - 1;
	KUNIT_EXPECT_EQ(test, left_out(test, page) + shown, LINES_MAX + 3);
	page = show(test, 1, 0);
	shown = count_lines(page) - 1;
	KUNIT_EXPECT_EQ(test, left_out(test, page) + shown,
			LINES_MAX / 2 + 3);
	KUNIT_EXPECT_STREQ(test, show(test, 2, 0),
			   "... 3 more lines left out\n");
}

static struct kunit_case report_cases[] = {
	KUNIT_CASE(only_the_newest),
	KUNIT_CASE(empty),
	KUNIT_CASE(lines),
	KUNIT_CASE(errno_names),
	KUNIT_CASE(by_group),
	KUNIT_CASE(cleared),
	KUNIT_CASE(page_limit),
	KUNIT_CASE(page_sizes),
	KUNIT_CASE(order),
	KUNIT_CASE(too_many),
	{}
};

static struct kunit_suite report_suite = {
	.name		= "iommu-configfs-report",
	.init		= report_test_init,
	.exit		= report_test_exit,
	.test_cases	= report_cases,
};

kunit_test_suite(report_suite);
