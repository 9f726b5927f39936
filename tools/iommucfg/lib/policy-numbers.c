// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Numbers of a policy that libconfig cannot hold. It reads one without an L
 * into an int, one with it into 64 bits, and drops the bits that do not fit:
 * 0x1000010de is 0x10de then, and nothing tells. So they are looked for before,
 * in the text, which is taken apart as libconfig's scanner does it.
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

/* A whole number: its end, else NULL. */
static char *skip_number(char *p, bool *fits)
{
	bool sign = *p == '-' || *p == '+', hex, is_long;
	unsigned long long n;
	char *digits, *end;

	digits = p + sign;
	if (!isdigit((unsigned char)*digits))
		return NULL;
	hex = !sign && *p == '0' && (p[1] == 'x' || p[1] == 'X') && isxdigit((unsigned char)p[2]);
	errno = 0;
	n = strtoull(digits, &end, hex ? 16 : 10);
	is_long = *end == 'L';
	*fits = !errno && n <= (is_long ? LLONG_MAX : INT_MAX) + (unsigned long long)(*p == '-');
	if (is_long)
		end += end[1] == 'L' ? 2 : 1;
	return end;
}

/*
 * Says which numbers do not fit, and makes them 0, so that what is read from
 * the text afterwards says nothing of a value that nobody wrote.
 */
void ic_policy_numbers(struct ic_parse *p, char *text)
{
	unsigned int line = 1;
	char *s, *end;
	bool fits;

	for (s = text; *s; s = end) {
		fits = true;
		end = skip_opaque(s);
		if (!end)
			end = skip_name(s);
		if (!end)
			end = skip_float(s);
		if (!end)
			end = skip_number(s, &fits);
		if (!end)
			end = s + 1;
		if (!fits)
			ic_parse_error(p, line, "the number %.*s%s is out of range",
				       (int)(end - s > 40 ? 40 : end - s), s,
				       end - s > 40 ? "..." : "");
		for (; s < end; s++) {
			line += *s == '\n';
			if (!fits && isxdigit((unsigned char)*s))
				*s = '0';
		}
	}
}
