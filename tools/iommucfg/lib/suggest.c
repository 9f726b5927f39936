// SPDX-License-Identifier: LGPL-2.1-or-later
/* "did you mean": the known word at the smallest edit distance. */
#include <stdint.h>
#include <strings.h>

#include "internal.h"

#define LONGEST	32

/* Levenshtein with transpositions of neighbours; case counts for nothing. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[3][LONGEST + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;
	unsigned int best, cost;

	if (la > LONGEST || lb > LONGEST)
		return UINT32_MAX;
	for (j = 0; j <= lb; j++)
		row[0][j] = j;
	for (i = 1; i <= la; i++) {
		row[i % 3][0] = i;
		for (j = 1; j <= lb; j++) {
			cost = !!strncasecmp(&a[i - 1], &b[j - 1], 1);
			best = row[(i - 1) % 3][j - 1] + cost;
			if (row[(i - 1) % 3][j] + 1 < best)
				best = row[(i - 1) % 3][j] + 1;
			if (row[i % 3][j - 1] + 1 < best)
				best = row[i % 3][j - 1] + 1;
			if (i > 1 && j > 1 && !strncasecmp(&a[i - 1], &b[j - 2], 1) &&
			    !strncasecmp(&a[i - 2], &b[j - 1], 1) &&
			    row[(i - 2) % 3][j - 2] + 1 < best)
				best = row[(i - 2) % 3][j - 2] + 1;
			row[i % 3][j] = best;
		}
	}
	return row[la % 3][lb];
}

const char *iommucfg_suggest(const char *word, const char *const *words)
{
	const char *best = NULL;
	unsigned int least = UINT32_MAX, d, limit;

	for (; *words; words++) {
		d = distance(word, *words);
		/* A third of the letters may be wrong, one in any case. */
		limit = strlen(*words) / 3;
		if (limit < 1)
			limit = 1;
		if (d <= limit && d < least) {
			least = d;
			best = *words;
		}
	}
	return best;
}
