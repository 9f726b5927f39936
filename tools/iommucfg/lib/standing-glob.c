// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Patterns as the files of a standing rule take them: separated by blanks, and
 * matched by the kernel's lib/glob.c, which knows less than fnmatch().
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

#include "standing.h"

/* Takes over @word; NULL stands for want of memory. */
int ic_words_add(struct ic_words *words, char *word)
{
	if (!word || IC_GROW(words->v, words->n, words->cap)) {
		free(word);
		return -ENOMEM;
	}
	words->v[words->n++] = word;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* In the order of their bytes, each once: the same set is the same text. */
void ic_words_sort(struct ic_words *words)
{
	size_t i, n = 0;

	if (words->n)
		qsort(words->v, words->n, sizeof(*words->v), compare);
	for (i = 0; i < words->n; i++) {
		if (n && !strcmp(words->v[n - 1], words->v[i]))
			free(words->v[i]);
		else
			words->v[n++] = words->v[i];
	}
	words->n = n;
}

/* Joins them into as few texts as a file takes. No word is longer than that. */
int ic_words_pieces(const struct ic_words *words, struct ic_words *pieces)
{
	size_t i = 0, length, total;
	char *piece, *end;

	while (i < words->n) {
		piece = malloc(IC_PATTERNS_MAX + 1);
		if (!piece)
			return -ENOMEM;
		end = piece;
		for (total = 0; i < words->n; i++) {
			length = strlen(words->v[i]);
			if (total + !!total + length > IC_PATTERNS_MAX)
				break;
			if (total)
				*end++ = ' ';
			memcpy(end, words->v[i], length);
			end += length;
			total = end - piece;
		}
		*end = '\0';
		if (ic_words_add(pieces, piece))
			return -ENOMEM;
	}
	return 0;
}

void ic_words_clear(struct ic_words *words)
{
	size_t i;

	for (i = 0; i < words->n; i++)
		free(words->v[i]);
	free(words->v);
	*words = (struct ic_words){ 0 };
}

void ic_said_clear(struct ic_said *said)
{
	ic_words_clear(&said->words);
	ic_words_clear(&said->wide);
	said->part = false;
}

void ic_gap_set(struct ic_gap *gap, const char *format, ...)
{
	va_list args;

	if (*gap->why)
		return;
	va_start(args, format);
	vsnprintf(gap->why, sizeof(gap->why), format, args);
	va_end(args);
}

/* The character after a class that begins at @p, or NULL where there is no end. */
static const char *class_end(const char *p)
{
	p++;
	if (*p == '!' || *p == '^')
		p++;
	/* There it is one of the class. */
	if (*p == ']')
		p++;
	p = strchr(p, ']');
	return p ? p + 1 : NULL;
}

/* The kernel negates with '!' alone, and has no '\' and no names in a class. */
static bool put_class(char **to, const char *p, const char *end, bool lower)
{
	*(*to)++ = *p++;
	if (*p == '!' || *p == '^') {
		*(*to)++ = '!';
		p++;
	}
	for (; p < end; p++) {
		if (*p == '\\' || *p == '[' || isspace((unsigned char)*p))
			return false;
		*(*to)++ = lower ? tolower((unsigned char)*p) : *p;
	}
	return true;
}

/*
 * A pattern for fnmatch() as the kernel takes it. With @lower it is for names that
 * have no capitals, and had its case ignored; with @dashes it is out of a table
 * of modules, where each "-" has become "_". NULL with errno EINVAL where the
 * kernel has nothing like it.
 */
char *ic_kernel_glob(const char *glob, bool lower, bool dashes)
{
	char *text = malloc(4 * strlen(glob) + 1), *to = text;
	const char *p = glob, *end;

	if (!text)
		return NULL;
	while (*p) {
		end = *p == '[' ? class_end(p) : NULL;
		if (end) {
			if (!put_class(&to, p, end, lower))
				goto none;
			p = end;
		} else if (isspace((unsigned char)*p) || *p == '[' || (*p == '\\' && !p[1])) {
			/* Of what is not closed the two think differently. */
			goto none;
		} else if (dashes && *p == '_') {
			to = stpcpy(to, "[-_]");
			p++;
		} else {
			if (*p == '\\')
				*to++ = *p++;
			if (isspace((unsigned char)*p))
				goto none;
			*to++ = lower ? tolower((unsigned char)*p) : *p;
			p++;
		}
	}
	*to = '\0';
	if (to == text || to - text > IC_PATTERNS_MAX)
		goto none;
	return text;
none:
	free(text);
	errno = EINVAL;
	return NULL;
}
