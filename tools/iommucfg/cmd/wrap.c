// SPDX-License-Identifier: GPL-2.0
/* Messages on standard error: at a terminal in lines of its width, else each in one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define INDENT	"  "

/* The end of the word at @p, and the cells that it takes: colours take none. */
static const char *word_end(const char *p, size_t *width)
{
	for (*width = 0; *p && *p != ' '; p++) {
		if (*p == '\033') {
			while (p[1] && *p != 'm')
				p++;
			continue;
		}
		/* The first byte of a character in UTF-8. */
		*width += (*p & 0xc0) != 0x80;
	}
	return p;
}

static void put_lines(const char *text, size_t columns)
{
	size_t used = 0, width;
	const char *end;

	for (; *text; text = end + (*end == ' ')) {
		end = word_end(text, &width);
		if (used && used + 1 + width > columns) {
			fputs("\n" INDENT, stderr);
			used = strlen(INDENT);
		} else if (used) {
			fputc(' ', stderr);
			used++;
		}
		fwrite(text, 1, end - text, stderr);
		used += width;
	}
}

/* One message, with a newline after it. */
void cli_put_message(const char *text)
{
	if (isatty(STDERR_FILENO)) {
		put_lines(text, terminal_width(STDERR_FILENO));
		fputc('\n', stderr);
	} else {
		fprintf(stderr, "%s\n", text);
	}
}

void cli_vmessage(const char *prefix, const char *format, va_list args)
{
	char *text = NULL;
	size_t length;
	FILE *f;

	f = open_memstream(&text, &length);
	if (!f) {
		cli_nomem();
		return;
	}
	fputs(prefix, f);
	cli_vput(f, format, args);
	if (!fclose(f))
		cli_put_message(text);
	free(text);
}
