// SPDX-License-Identifier: LGPL-2.1-or-later
/* Text that is safe on a terminal and in JSON. */
#include "internal.h"

/*
 * How many bytes the first character has if it is valid UTF-8 that a terminal shows: no
 * control, no separator of lines, nothing that turns the direction of writing; else 0.
 */
static size_t character(const unsigned char *p)
{
	unsigned int c;
	size_t n, i;

	if (*p < 0x80)
		return *p >= 0x20 && *p != 0x7f;
	if (*p < 0xc2 || *p > 0xf4)
		return 0;
	n = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	c = *p & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	/* Overlong forms, halves of surrogate pairs, what is above Unicode. */
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c < 0xe000))
		return 0;
	if (c < 0xa0 || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return n;
}

/* A copy of @text with each byte that is none of that as "\\x1b". */
char *ic_printable(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)text;
	char *copy, *to;
	size_t n;

	copy = malloc(4 * strlen(text) + 1);
	for (to = copy; copy && *p; p += n) {
		n = character(p);
		if (n) {
			memcpy(to, p, n);
			to += n;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = digits[*p >> 4];
		*to++ = digits[*p & 15];
		n = 1;
	}
	if (copy)
		*to = '\0';
	return copy;
}
