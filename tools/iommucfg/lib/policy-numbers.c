// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What libconfig must not see, as its versions read it differently. It is looked
 * for in the text, which is taken apart as libconfig's scanner does it:
 *
 *  - Numbers that do not fit. 1.5 reads one without an L into an int, and drops the
 *    bits that do not fit: 0x1000010de is 0x10de then, and nothing tells. 1.7 makes
 *    64 bits of it.
 *  - Binary and octal numbers, which only 1.8 has.
 *  - @include. The directory that it is looked for in does not hold up an absolute
 *    path from 1.7 on, and 1.5 exits the process where it cannot read the file.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "policy-parse.h"

/* A comment or a word in quotes begins here: its end, else NULL. */
static char *skip_opaque(char *p)
{
	char *end;

	if (*p == '#' || (p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*') {
		end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	if (*p != '"')
		return NULL;
	for (p++; *p && *p != '"'; p++)
		p += *p == '\\' && p[1];
	return *p ? p + 1 : p;
}

/* Keys have digits in them, too: the end of one that begins here, else NULL. */
static char *skip_name(char *p)
{
	if (!isalpha((unsigned char)*p) && *p != '*')
		return NULL;
	while (isalnum((unsigned char)*p) || (*p && strchr("-_*", *p)))
		p++;
	return p;
}

/* A number with a fraction or exponent: its end, else NULL. No key takes one. */
static char *skip_float(char *p)
{
	char *digits, *end, *exponent;
	bool point;

	digits = p + (*p == '-' || *p == '+');
	end = digits + strspn(digits, "0123456789");
	point = *end == '.';
	if (point)
		end += 1 + strspn(end + 1, "0123456789");
	else if (end == digits)
		return NULL;
	if (*end == 'e' || *end == 'E') {
		exponent = end + 1;
		exponent += *exponent == '-' || *exponent == '+';
		/* Without digits the letter begins a key. */
		if (isdigit((unsigned char)*exponent))
			return exponent + strspn(exponent, "0123456789");
	}
	return point ? end : NULL;
}

/* A whole number: its end, else NULL. *@why is set to what is wrong with it. */
static char *skip_number(char *p, const char **why)
{
	bool sign = *p == '-' || *p == '+', hex, is_long;
	unsigned long long n;
	char *digits, *end;

	digits = p + sign;
	if (!isdigit((unsigned char)*digits))
		return NULL;
	hex = !sign && *p == '0' && (p[1] == 'x' || p[1] == 'X') && isxdigit((unsigned char)p[2]);
	if (!sign && *p == '0' && p[1] && strchr("bBoOqQ", p[1]) && isdigit((unsigned char)p[2])) {
		*why = "is neither decimal nor hexadecimal";
		return p + 3 + strspn(p + 3, "0123456789L");
	}
	errno = 0;
	n = strtoull(digits, &end, hex ? 16 : 10);
	is_long = *end == 'L';
	if (errno || n > (is_long ? LLONG_MAX : INT_MAX) + (unsigned long long)(*p == '-'))
		*why = "is out of range";
	if (is_long)
		end += end[1] == 'L' ? 2 : 1;
	return end;
}

/*
 * Reports the numbers that are wrong, and makes them 0, so that reading the text
 * afterwards reports nothing about values that are not in it. Reports @include,
 * after which nothing of the text may be read: -EINVAL.
 */
int ic_policy_numbers(struct ic_parse *p, char *text)
{
	unsigned int line = 1;
	const char *why;
	char *s, *end;
	int ret = 0;

	for (s = text; *s; s = end) {
		why = NULL;
		end = skip_opaque(s);
		if (!end)
			end = skip_name(s);
		if (!end)
			end = skip_float(s);
		if (!end)
			end = skip_number(s, &why);
		if (!end)
			end = s + 1;
		if (why)
			ic_parse_error(p, line, "the number %.*s%s %s",
				       (int)(end - s > 40 ? 40 : end - s), s,
				       end - s > 40 ? "..." : "", why);
		if (*s == '@') {
			ic_parse_error(p, line, "@include is not supported: give several files, or put them into /etc/iommucfg.d");
			ret = -EINVAL;
		}
		if (why) {
			*s = '0';
			memset(s + 1, ' ', end - s - 1);
		}
		for (; s < end; s++)
			line += *s == '\n';
	}
	return ret;
}
