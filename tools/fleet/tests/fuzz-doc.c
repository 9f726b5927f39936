// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes the documents: each text is read or refused, and what was
 * read is the same after it was written and read again.
 */
#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define CHECK(kind, clear) do {								\
	struct doc_##kind first, second;						\
	char *text, *again;								\
											\
	if (!doc_##kind##_parse(&first, data, size, why))				\
		break;									\
	text = doc_##kind##_print(&first);						\
	if (!doc_##kind##_parse(&second, text, strlen(text), why))			\
		abort();								\
	again = doc_##kind##_print(&second);						\
	if (strcmp(text, again))							\
		abort();								\
	free(text);									\
	free(again);									\
	clear(&first);									\
	clear(&second);									\
} while (0)

#define nothing(doc) ((void)(doc))
#define doc_status_print(status) doc_status_print(status, NULL)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes;
	char why[DOC_REASON_MAX];

	CHECK(grant, nothing);
	CHECK(status, nothing);
	CHECK(journal, nothing);
	CHECK(pool, nothing);
	CHECK(rollout, doc_rollout_clear);
	return 0;
}
