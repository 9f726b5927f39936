/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a state machine asks of the store: one step at a time. */
#ifndef FLEET_STEP_H
#define FLEET_STEP_H

#include "store.h"

enum step_kind {
	STEP_WAIT,	/* nothing to do until something changes, or @wait_ms have passed */
	STEP_GET,
	STEP_PUT,
	STEP_HOOK,	/* no step at the store: start the hook @what (@rev) for @key, with @value */
};

#define STEP_KEY_MAX 1024	/* half of it for the prefix */

struct step {
	enum step_kind kind;
	char key[STEP_KEY_MAX];
	char guard[STEP_KEY_MAX];	/* "": none */
	char *value;			/* of STEP_PUT; step_clear() frees it */
	int64_t rev, guard_rev;
	bool fresh;
	int64_t limit_ms;		/* of a step at the store; 0: the store's */
	int64_t wait_ms;
	const char *what;		/* for messages */
};

void step_clear(struct step *step);

/* Carries out a step that is no STEP_WAIT. @item: what was read or written; to be cleared. */
enum store_result step_run(struct store *store, const struct step *step, struct store_item *item);

#endif
