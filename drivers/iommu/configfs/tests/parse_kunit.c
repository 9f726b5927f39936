// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the words that go to and come from user space.
 */
#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/string.h>

#include "../icfg.h"

struct text_case {
	const char *text;
	int ret;
	u64 value;
};

#define EXPECT_WORDS(test, word_of, ...) do {				\
	static const char * const words[] = { __VA_ARGS__ };		\
	int i;								\
									\
	for (i = 0; i < ARRAY_SIZE(words); i++)				\
		KUNIT_EXPECT_STREQ(test, word_of(i), words[i]);		\
} while (0)

static void words(struct kunit *test)
{
	EXPECT_WORDS(test, icfg_type_word,
		     "none", "auto", "identity", "DMA", "DMA-FQ", "unknown");
	EXPECT_WORDS(test, icfg_state_word, "staged", "committing", "committed",
		     "unconfirmed", "rolling-back", "rolled-back", "failed");
	EXPECT_WORDS(test, icfg_status_word, "staged", "unchanged", "in-place",
		     "changed", "restored", "failed");
	EXPECT_WORDS(test, icfg_phase_word, "check", "release", "pause", "switch",
		     "resume", "probe", "verify", "restore");
}

/* What came of a text; the value of a bad one does not count. */
static void expect_case(struct kunit *test, const struct text_case *c, int ret,
			u64 value)
{
	KUNIT_EXPECT_EQ_MSG(test, ret, c->ret, "\"%s\"", c->text);
	if (!c->ret)
		KUNIT_EXPECT_EQ_MSG(test, value, c->value, "\"%s\"", c->text);
}

static void new(struct kunit *test)
{
	static const struct text_case cases[] = {
		{ "auto", 0, ICFG_AUTO },
		{ "identity", 0, ICFG_IDENTITY },
		{ "DMA", 0, ICFG_DMA },
		{ "DMA-FQ", 0, ICFG_DMA_FQ },
		{ "DMA-FQ\n", 0, ICFG_DMA_FQ },
		{ "", -EINVAL },
		{ "\n", -EINVAL },
		{ "none", -EINVAL },
		{ "unknown", -EINVAL },
		{ "blocked", -EINVAL },
		{ "dma", -EINVAL },
		{ "DMA ", -EINVAL },
		{ " DMA", -EINVAL },
		{ "DMA\n\n", -EINVAL },
		{ "DMA-", -EINVAL },
		{ "DMA-FQ2", -EINVAL },
		{ "identit", -EINVAL },
		{}
	};
	const struct text_case *c;
	enum icfg_type type = 0;
	int ret;

	for (c = cases; c->text; c++) {
		ret = icfg_parse_type(c->text, strlen(c->text), &type);
		expect_case(test, c, ret, type);
	}

	/* A NUL is not the end of the text. */
	KUNIT_EXPECT_EQ(test, icfg_parse_type("DMA", 4, &type), -EINVAL);
	/* Words that have a type of their own read back as it, no other. */
	KUNIT_EXPECT_EQ(test, icfg_type_from_word("blocked\n", 8), ICFG_OTHER);
	KUNIT_EXPECT_EQ(test, icfg_type_from_word("none", 4), ICFG_OTHER);
}

static void one(struct kunit *test)
{
	static const struct text_case cases[] = {
		{ "1", 0 }, { "1\n", 0 }, { "", -EINVAL }, { "\n", -EINVAL },
		{ "0", -EINVAL }, { "11", -EINVAL }, { "1 ", -EINVAL },
		{ "01", -EINVAL }, { "1\n\n", -EINVAL },
		{}
	};
	const struct text_case *c;
	int ret;

	for (c = cases; c->text; c++) {
		ret = icfg_parse_one(c->text, strlen(c->text));
		expect_case(test, c, ret, 0);
	}
	/* A NUL is not the end of the text. */
	KUNIT_EXPECT_EQ(test, icfg_parse_one("1", 2), -EINVAL);
}

static void allow(struct kunit *test)
{
	static const struct text_case cases[] = {
		{ "", 0, 0 },
		{ "\n", 0, 0 },
		{ " ", 0, 0 },
		{ "net", 0, ICFG_ALLOW_NET },
		{ "block\n", 0, ICFG_ALLOW_BLOCK },
		{ "net block", 0, ICFG_ALLOW_NET | ICFG_ALLOW_BLOCK },
		{ "  block  net \012", 0, ICFG_ALLOW_NET | ICFG_ALLOW_BLOCK },
		{ "net net", 0, ICFG_ALLOW_NET },
		{ "other", 0, ICFG_ALLOW_OTHER },
		{ "other net\n", 0, ICFG_ALLOW_NET | ICFG_ALLOW_OTHER },
		{ "Net", -EINVAL },
		{ "net,block", -EINVAL },
		{ "net\nblock", -EINVAL },
		{ "netblock", -EINVAL },
		{ "others", -EINVAL },
		{ "ne", -EINVAL },
		{ "net 1", -EINVAL },
		{}
	};
	const struct text_case *c;
	unsigned int bits = 0;
	int ret;

	for (c = cases; c->text; c++) {
		ret = icfg_parse_allow(c->text, strlen(c->text), &bits);
		expect_case(test, c, ret, bits);
	}
	/* What is wrong changes nothing. */
	bits = BIT(7);
	KUNIT_EXPECT_EQ(test, icfg_parse_allow("net 1", 5, &bits), -EINVAL);
	KUNIT_EXPECT_EQ(test, bits, BIT(7));
}

static void allow_is_printed(struct kunit *test)
{
	char *page = kunit_kzalloc(test, ICFG_TEXT_MAX, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, icfg_print_allow(0, page), 0);
	KUNIT_EXPECT_EQ(test, icfg_print_allow(ICFG_ALLOW_OTHER, page), 6);
	KUNIT_EXPECT_STREQ(test, page, "other\n");
	KUNIT_EXPECT_EQ(test, icfg_print_allow(ICFG_ALL_WORDS, page), 16);
	KUNIT_EXPECT_STREQ(test, page, "net block other\n");
}

static void numbers(struct kunit *test)
{
	static const struct text_case cases[] = {
		{ "0", 0, 0 },
		{ "7\n", 0, 7 },
		{ "604800", 0, 604800 },
		{ "604801", -EINVAL },
		{ "18446744073709551616", -EINVAL },
		{ "", -EINVAL },
		{ "\n", -EINVAL },
		{ "+1", -EINVAL },
		{ "-1", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 ", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1s", -EINVAL },
		{ "1\n\n", -EINVAL },
		{}
	};
	const struct text_case *c;
	u64 value = 0;
	int ret;

	for (c = cases; c->text; c++) {
		ret = icfg_parse_number(c->text, strlen(c->text), 604800, &value);
		expect_case(test, c, ret, value);
	}

	KUNIT_EXPECT_EQ(test, icfg_parse_number("18446744073709551615", 20,
						U64_MAX, &value), 0);
	KUNIT_EXPECT_EQ(test, value, U64_MAX);
	/* A NUL is not the end of the text. */
	KUNIT_EXPECT_EQ(test, icfg_parse_number("1\0002", 3, 604800, &value),
			-EINVAL);
}

static void group_ids(struct kunit *test)
{
	static const struct text_case cases[] = {
		{ "0", 0, 0 },
		{ "5", 0, 5 },
		{ "1234567890", 0, 1234567890 },
		/* No group has these numbers, but they are numbers. */
		{ "4294967295", 0, UINT_MAX },
		{ "4294967296", 0, UINT_MAX },
		{ "99999999999999999999999", 0, UINT_MAX },
		{ "", -EINVAL },
		{ "05", -EINVAL },
		{ "00", -EINVAL },
		{ "+5", -EINVAL },
		{ "-5", -EINVAL },
		{ "5 ", -EINVAL },
		{ "5\n", -EINVAL },
		{ "0x5", -EINVAL },
		{ "x", -EINVAL },
		{}
	};
	const struct text_case *c;
	unsigned int id = 0;
	int ret;

	for (c = cases; c->text; c++) {
		ret = icfg_parse_group_id(c->text, &id);
		expect_case(test, c, ret, id);
	}
}

static void names(struct kunit *test)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const char * const good[] = {
		"a", "A-z_0.9", ".", "-", "Standing", "standing2", long_name,
	};
	static const char * const bad[] = {
		"", "standing", "a b", "a/b", "a\n", "\xc3\xa9", "a+", "a:",
	};
	char longer[sizeof(long_name) + 1];
	int i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		KUNIT_EXPECT_TRUE_MSG(test, icfg_name_ok(good[i]), "\"%s\"",
				      good[i]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_FALSE_MSG(test, icfg_name_ok(bad[i]), "\"%s\"",
				       bad[i]);

	snprintf(longer, sizeof(longer), "%s4", long_name);
	KUNIT_EXPECT_FALSE(test, icfg_name_ok(longer));
}

static struct kunit_case words_cases[] = {
	KUNIT_CASE(words),
	KUNIT_CASE(new),
	KUNIT_CASE(one),
	KUNIT_CASE(allow),
	KUNIT_CASE(allow_is_printed),
	KUNIT_CASE(numbers),
	KUNIT_CASE(group_ids),
	KUNIT_CASE(names),
	{}
};

static struct kunit_suite words_suite = {
	.name		= "iommu-configfs-words",
	.test_cases	= words_cases,
};

kunit_test_suite(words_suite);
