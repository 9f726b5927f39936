// SPDX-License-Identifier: LGPL-2.1-or-later
/* A rollout's lists: slots, failures, hooks; and its audit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

void doc_audit_add(struct doc_audit *audit, const struct doc_act *act)
{
	if (audit->count == DOC_AUDIT_MAX)
		memmove(audit->acts, audit->acts + 1, --audit->count * sizeof(*audit->acts));
	audit->acts[audit->count++] = *act;
}

void doc_rollout_clear(struct doc_rollout *rollout)
{
	free(rollout->changing);
	free(rollout->failures);
	free(rollout->hooks);
	rollout->changing = NULL;
	rollout->failures = NULL;
	rollout->hooks = NULL;
	rollout->changing_count = rollout->failure_count = rollout->hook_count = 0;
}

/* NULL without memory, or for nothing. */
static void *copy_of(const void *from, size_t count, size_t size)
{
	void *to = count ? malloc(count * size) : NULL;

	if (to)
		memcpy(to, from, count * size);
	return to;
}

bool doc_rollout_copy(struct doc_rollout *to, const struct doc_rollout *from)
{
	*to = *from;
	to->changing = copy_of(from->changing, from->changing_count, sizeof(*to->changing));
	to->failures = copy_of(from->failures, from->failure_count, sizeof(*to->failures));
	to->hooks = copy_of(from->hooks, from->hook_count, sizeof(*to->hooks));
	if ((to->changing || !to->changing_count) && (to->failures || !to->failure_count) &&
	    (to->hooks || !to->hook_count))
		return true;
	doc_rollout_clear(to);
	return false;
}

/* A place for one more at the end of a list, all zero. */
static void *one_more(void *list, size_t *count, size_t size)
{
	char **entries = list, *more = realloc(*entries, (*count + 1) * size);

	if (!more)
		return NULL;
	*entries = more;
	return memset(more + (*count)++ * size, 0, size);
}

struct doc_slot *doc_slot_of(const struct doc_rollout *rollout, const char *host)
{
	size_t i;

	for (i = 0; i < rollout->changing_count; i++) {
		if (!strcmp(rollout->changing[i].host, host))
			return &rollout->changing[i];
	}
	return NULL;
}

struct doc_slot *doc_slot_add(struct doc_rollout *rollout, const char *host, const char *machine,
			      int64_t attempt)
{
	struct doc_slot *slot = one_more(&rollout->changing, &rollout->changing_count,
					 sizeof(*slot));

	if (!slot)
		return NULL;
	slot->attempt = attempt;
	snprintf(slot->host, sizeof(slot->host), "%s", host);
	snprintf(slot->machine, sizeof(slot->machine), "%s", machine);
	return slot;
}

void doc_slot_remove(struct doc_rollout *rollout, const char *host)
{
	struct doc_slot *slot = doc_slot_of(rollout, host);

	if (slot)
		*slot = rollout->changing[--rollout->changing_count];
}

struct doc_failure *doc_failure_of(const struct doc_rollout *rollout, const char *host)
{
	size_t i = rollout->failure_count;

	while (i--) {
		if (!strcmp(rollout->failures[i].host, host))
			return &rollout->failures[i];
	}
	return NULL;
}

struct doc_failure *doc_failure_append(struct doc_rollout *rollout)
{
	return one_more(&rollout->failures, &rollout->failure_count, sizeof(*rollout->failures));
}

/* Whether there is room for one more. */
static bool has_room(const struct doc_rollout *rollout)
{
	size_t i, size = 0;

	for (i = 0; i < rollout->failure_count; i++)
		size += strlen(rollout->failures[i].host) + 64;
	return size < DOC_FAILURES_MAX;
}

bool doc_failure_add(struct doc_rollout *rollout, const char *host, enum doc_end end,
		     const char *why)
{
	struct doc_failure *before = doc_failure_of(rollout, host), *failure;
	struct doc_failure entry = { .end = end, .attempts = 1 };

	snprintf(entry.host, sizeof(entry.host), "%s", host);
	snprintf(entry.why, sizeof(entry.why), "%s", why);
	if (before) {
		entry.attempts += before->attempts;
		failure = &rollout->failures[rollout->failure_count - 1];
		memmove(before, before + 1, (failure - before) * sizeof(*failure));
		*failure = entry;
		return true;
	}
	if (!has_room(rollout)) {
		rollout->unlisted++;
		return true;
	}
	failure = doc_failure_append(rollout);
	if (failure)
		*failure = entry;
	return failure;
}

struct doc_hook *doc_hook_of(const struct doc_rollout *rollout, const char *host)
{
	size_t i;

	for (i = 0; i < rollout->hook_count; i++) {
		if (!strcmp(rollout->hooks[i].host, host))
			return &rollout->hooks[i];
	}
	return NULL;
}

struct doc_hook *doc_hook_add(struct doc_rollout *rollout, const char *host, const char *machine,
			      bool after, enum doc_end end)
{
	struct doc_hook *hook = one_more(&rollout->hooks, &rollout->hook_count, sizeof(*hook));

	if (!hook)
		return NULL;
	hook->serial = ++rollout->hook_serial;
	hook->after = after;
	hook->end = end;
	snprintf(hook->host, sizeof(hook->host), "%s", host);
	snprintf(hook->machine, sizeof(hook->machine), "%s", machine);
	return hook;
}

void doc_hook_remove(struct doc_rollout *rollout, const char *host)
{
	struct doc_hook *hook = doc_hook_of(rollout, host);

	if (hook)
		*hook = rollout->hooks[--rollout->hook_count];
}

bool doc_rollout_forget(struct doc_rollout *rollout, const char *host, int64_t seq)
{
	struct doc_slot *slot = doc_slot_of(rollout, host);

	if (slot) {
		if (slot->forgotten && slot->seq == seq)
			return false;
		slot->forgotten = true;
		slot->seq = seq;
		return true;
	}
	if (!doc_hook_of(rollout, host))
		return false;
	doc_hook_remove(rollout, host);
	return true;
}

void doc_rollout_resume(struct doc_rollout *rollout)
{
	bool was_halted = rollout->state == STATE_HALTED;
	size_t i;

	rollout->state = STATE_RUNNING;
	rollout->now = false;
	rollout->reason[0] = '\0';
	if (!was_halted)
		return;
	rollout->leg_failures = rollout->leg_lost = rollout->leg_refused = 0;
	for (i = 0; i < rollout->failure_count; i++)
		rollout->failures[i].earlier = true;
}
