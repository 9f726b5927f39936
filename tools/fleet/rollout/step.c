// SPDX-License-Identifier: LGPL-2.1-or-later
/* Steps at the store. */
#include <stdlib.h>
#include <string.h>

#include "step.h"

void step_clear(struct step *step)
{
	free(step->value);
	*step = (struct step){ 0 };
}

enum store_result step_run(struct store *store, const struct step *step, struct store_item *item)
{
	struct store_put put = {
		.key = step->key, .rev = step->rev, .fresh = step->fresh,
	};
	enum store_result result;
	int64_t limit_ms = store_set_limit(store, 0);

	*item = (struct store_item){ 0 };
	store_set_limit(store, step->limit_ms ? step->limit_ms : limit_ms);
	if (step->kind == STEP_GET) {
		result = store_get(store, step->key, item);
		store_set_limit(store, limit_ms);
		return result;
	}
	put.value = step->value;
	put.size = strlen(step->value);
	if (*step->guard) {
		put.guard = step->guard;
		put.guard_rev = step->guard_rev;
	}
	result = store_put(store, &put, &item->rev);
	store_set_limit(store, limit_ms);
	if (result)
		return result;
	item->key = strdup(step->key);
	item->value = strdup(step->value);
	item->size = put.size;
	return item->key && item->value ? STORE_OK : STORE_UNKNOWN;
}
