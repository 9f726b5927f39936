// SPDX-License-Identifier: GPL-2.0
/* Words of allow_in_use. */
#include <iommucfg.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "words.h"

bool words_parse(const char *text, int *words)
{
	char copy[DOC_WORDS_MAX], *at = copy, *word;
	int mask;

	*words = *text ? 0 : -1;
	snprintf(copy, sizeof(copy), "%s", text);
	while (*text && (word = strsep(&at, ","))) {
		mask = iommucfg_word_parse(word);
		if (mask == IOMMUCFG_WORD_NEVER)
			return false;
		*words |= mask;
	}
	return true;
}
