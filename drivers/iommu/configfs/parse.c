// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of the ABI: to print them, and to take them from user space.
 *
 * Owns no data and takes no lock. Everything here is exact on purpose: a word
 * may be followed by one newline and by nothing else, a number is decimal and
 * canonical, so that no two spellings name the same thing.
 */
#include <linux/bits.h>
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "icfg.h"

static const char * const type_words[] = {
	[ICFG_NONE]	= "none",
	[ICFG_AUTO]	= "auto",
	[ICFG_IDENTITY]	= "identity",
	[ICFG_DMA]	= "DMA",
	[ICFG_DMA_FQ]	= "DMA-FQ",
	[ICFG_OTHER]	= "unknown",
};

static const char * const state_words[] = {
	[ICFG_STAGED]		= "staged",
	[ICFG_COMMITTING]	= "committing",
	[ICFG_COMMITTED]	= "committed",
	[ICFG_UNCONFIRMED]	= "unconfirmed",
	[ICFG_ROLLING_BACK]	= "rolling-back",
	[ICFG_ROLLED_BACK]	= "rolled-back",
	[ICFG_FAILED]		= "failed",
};

static const char * const status_words[] = {
	[ICFG_S_STAGED]		= "staged",
	[ICFG_S_UNCHANGED]	= "unchanged",
	[ICFG_S_IN_PLACE]	= "in-place",
	[ICFG_S_CHANGED]	= "changed",
	[ICFG_S_RESTORED]	= "restored",
	[ICFG_S_FAILED]		= "failed",
};

static const char * const phase_words[] = {
	[ICFG_CHECK]	= "check",
	[ICFG_RELEASE]	= "release",
	[ICFG_PAUSE]	= "pause",
	[ICFG_SWITCH]	= "switch",
	[ICFG_RESUME]	= "resume",
	[ICFG_PROBE]	= "probe",
	[ICFG_VERIFY]	= "verify",
	[ICFG_RESTORE]	= "restore",
};

static const char * const method_words[] = {
	[ICFG_METHOD_NONE]	= "none",
	[ICFG_METHOD_UNCHANGED]	= "unchanged",
	[ICFG_METHOD_IN_PLACE]	= "in-place",
	[ICFG_METHOD_PAUSE]	= "pause",
	[ICFG_METHOD_REBIND]	= "rebind",
};

static const char * const disruption_words[] = {
	[ICFG_DISRUPT_NONE]	= "none",
	[ICFG_DISRUPT_PAUSE]	= "pause",
	[ICFG_DISRUPT_REBIND]	= "rebind",
};

const char *icfg_type_word(enum icfg_type type)
{
	return type_words[type];
}

const char *icfg_state_word(enum icfg_state state)
{
	return state_words[state];
}

const char *icfg_status_word(enum icfg_status status)
{
	return status_words[status];
}

const char *icfg_phase_word(enum icfg_phase phase)
{
	return phase_words[phase];
}

const char *icfg_method_word(enum icfg_method method)
{
	return method_words[method];
}

const char *icfg_disruption_word(enum icfg_disruption disruption)
{
	return disruption_words[disruption];
}

/* True if the @count bytes of @buf are @word, and no more. */
bool icfg_is_word(const char *buf, size_t count, const char *word)
{
	return count == strlen(word) && !memcmp(buf, word, count);
}

/* Which of @n words the @count bytes of @buf are; or -EINVAL. */
int icfg_word_index(const char * const *words, int n, const char *buf, size_t count)
{
	int i;

	for (i = 0; i < n; i++)
		if (icfg_is_word(buf, count, words[i]))
			return i;
	return -EINVAL;
}

/* The length of a line without the newline that may end it. */
size_t icfg_line_len(const char *buf, size_t count)
{
	return count && buf[count - 1] == '\n' ? count - 1 : count;
}

/**
 * icfg_type_from_word - the type that a word stands for
 * @buf: the word, with or without a newline
 * @count: bytes in @buf
 *
 * Returns ICFG_OTHER for every word that is not a type one can ask for.
 */
enum icfg_type icfg_type_from_word(const char *buf, size_t count)
{
	size_t len = icfg_line_len(buf, count);
	enum icfg_type type;

	for (type = ICFG_AUTO; type < ICFG_OTHER; type++)
		if (icfg_is_word(buf, len, type_words[type]))
			return type;
	return ICFG_OTHER;
}

/* 0 if @buf is the "1" that starts an action, else -EINVAL. */
int icfg_parse_one(const char *buf, size_t count)
{
	return icfg_is_word(buf, icfg_line_len(buf, count), "1") ? 0 : -EINVAL;
}

/* A type for a group: not "none", which only a new group has. */
int icfg_parse_type(const char *buf, size_t count, enum icfg_type *type)
{
	*type = icfg_type_from_word(buf, count);
	return *type == ICFG_OTHER ? -EINVAL : 0;
}

/* The words of ICFG_ALLOW_*, by bit. */
static const char * const allow_words[] = { "net", "block", "other" };

/* Any of the words, separated by spaces; a bare newline for none. */
int icfg_parse_allow(const char *buf, size_t count, unsigned int *allow)
{
	unsigned int bits = 0;
	size_t len;
	int bit;

	for (count = icfg_line_len(buf, count); count; buf += len, count -= len) {
		const char *space = memchr(buf, ' ', count);

		len = space ? space - buf : count;
		if (!len) {
			len = 1;
			continue;
		}
		bit = icfg_word_index(allow_words, ARRAY_SIZE(allow_words), buf, len);
		if (bit < 0)
			return bit;
		bits |= BIT(bit);
	}

	*allow = bits;
	return 0;
}

/* The same the other way around. Returns how long the line is, 0 without a word. */
ssize_t icfg_print_allow(unsigned int allow, char *page)
{
	ssize_t len = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(allow_words); i++)
		if (allow & BIT(i))
			len += sprintf(page + len, "%s%s", len ? " " : "",
				       allow_words[i]);
	return len ? len + sprintf(page + len, "\n") : 0;
}

/* The most disruptive method that is allowed. */
int icfg_parse_disruption(const char *buf, size_t count,
			  enum icfg_disruption *disruption)
{
	int i = icfg_word_index(disruption_words, ARRAY_SIZE(disruption_words), buf,
				icfg_line_len(buf, count));

	if (i < 0)
		return i;
	*disruption = i;
	return 0;
}

/* A decimal number from 0 to @max, digits only. */
int icfg_parse_number(const char *buf, size_t count, u64 max, u64 *value)
{
	/* kstrtou64() would forgive a sign and hide a NUL. */
	if (!count || !isdigit(buf[0]) || strlen(buf) != count ||
	    kstrtou64(buf, 10, value) || *value > max)
		return -EINVAL;
	return 0;
}

/*
 * configfs takes "5" and "05" for two directories, and they would be the same
 * group: insist on the canonical form. A number too large for any group is one
 * that no group has.
 */
int icfg_parse_group_id(const char *name, unsigned int *id)
{
	size_t len = strspn(name, "0123456789");

	if (!len || name[len] || (name[0] == '0' && len > 1))
		return -EINVAL;
	if (kstrtouint(name, 10, id))
		*id = UINT_MAX;
	return 0;
}

bool icfg_name_ok(const char *name)
{
	size_t len = 0;

	for (; name[len]; len++)
		if (!isascii(name[len]) ||
		    (!isalnum(name[len]) && !strchr("._-", name[len])))
			return false;

	/* "standing" is a directory of its own. */
	return len && len <= ICFG_NAME_MAX && strcmp(name, "standing");
}
