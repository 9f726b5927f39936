// SPDX-License-Identifier: GPL-2.0
/*
 * Names come from the kernel, from files and from other programs, with any bytes. A
 * terminal must not obey them, and a message is one line.
 */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "cli.h"

/* What the locale cannot print becomes \n, \t or \xNN. */
void cli_put(FILE *f, const char *text)
{
	mbstate_t state = { 0 };
	size_t n, i;
	wchar_t c;

	for (; *text; text += n) {
		n = mbrtowc(&c, text, strlen(text), &state);
		if (n == (size_t)-1 || n == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			n = 1;
			c = L'\0';
		}
		if (c && iswprint(c))
			fwrite(text, 1, n, f);
		else if (*text == '\n' || *text == '\t')
			fputs(*text == '\n' ? "\\n" : "\\t", f);
		else
			for (i = 0; i < n; i++)
				fprintf(f, "\\x%02x", (unsigned char)text[i]);
	}
}

/* As vfprintf(), of which cli_put() prints the result. */
void cli_vput(FILE *f, const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		return;
	cli_put(f, text);
	free(text);
}

/* For a table, which takes care of all but newlines: they begin a new line of a cell. */
void cli_put_line(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else
			fputc(*text, f);
	}
}
