/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the coordinator share. */
#ifndef FLEET_COORDINATOR_PRIVATE_H
#define FLEET_COORDINATOR_PRIVATE_H

#include <openssl/sha.h>

#include "coordinator.h"
#include "doc.h"

/* A host that has booted so often within so long is not taken. */
#define BOOTS_MAX	4
#define BOOTS_MS	(60 * 60 * 1000LL)
/* Besides two reports, each of which may take half as long again as the host says. */
#define SILENT_MS	(2 * 60 * 1000LL)
/* For a host to reach the store and to report when its kernel has gone back. */
#define BACK_MS		(2 * 60 * 1000LL)

enum hook_state { HOOK_IDLE, HOOK_RUNS, HOOK_OK, HOOK_NO };

struct host {
	char name[DOC_HOST_MAX + 1];
	struct doc_grant grant;
	struct doc_status status;
	int64_t grant_rev, status_rev;	/* 0: there is none */
	int64_t grant_seen, status_seen;	/* the last write or deletion that was seen */
	bool grant_bad, status_bad;	/* there, and not to be read */
	bool grant_dirty, status_dirty;	/* to be read before anything is decided on it */
	bool grant_read, status_read;	/* read for the slot that is about to be taken */
	int64_t reported;		/* when the status changed last, as far as seen */
	/* The slot that was seen last, and since when its machine is silent. */
	int64_t slot_attempt, slot_since;
	bool slot_lost;
	/* What the rollout as it was seen last has of it, so that it need not be looked for. */
	bool has_slot;			/* or a hook that is due */
	bool given_up;
	long failures;
	/* The last boots that were seen; 0: none. */
	int64_t boots[BOOTS_MAX];
	/* Of the rollout's hook for this host with that serial; 0: none was called. */
	int64_t hook_serial;
	enum hook_state hook;
	int hook_tries;
	int64_t hook_at;		/* not before */
	char hook_why[DOC_WHY_MAX];
	unsigned char order[SHA256_DIGEST_LENGTH];
};

struct coordinator {
	char prefix[STEP_KEY_MAX / 2];
	char pool[64];
	int64_t lost_after_ms;
	bool has_before, has_after;	/* hooks */
	char at[DOC_AT_MAX];
	struct doc_pool doc;
	int64_t pool_rev;
	bool pool_known;
	struct doc_rollout rollout;
	int64_t rollout_rev;
	bool rollout_known, rollout_bad;
	struct host **hosts;		/* by name */
	size_t count;
	int64_t soak_since;		/* -1: not soaking, as far as seen */
	int64_t waits_since;		/* for hosts that have booted too often; -1: it does not */
	char message[DOC_REASON_MAX + 64];
	char about[STEP_KEY_MAX];	/* the key of which the next revision may end it */
};

/* What is wrong with the document at @key, or with what follows from it. */
void coordinator_say(struct coordinator *c, const char *key, const char *what, const char *why);
/* see.c: what is known */
void coordinator_key(const struct coordinator *c, const char *kind, const char *host, char *key);
void coordinator_pool_key(const struct coordinator *c, char *key);
void coordinator_rollout_key(const struct coordinator *c, char *key);
/* The host of a key of this kind, or NULL. */
struct host *coordinator_host(const struct coordinator *c, const char *kind, const char *key);
/* The host of this name, or NULL; @place (or NULL): where it would be. */
struct host *host_find(const struct coordinator *c, const char *name, size_t *place);
/* For how long a host that has a slot may be silent. */
int64_t coordinator_lost_after(const struct coordinator *c);
/* Whether its reports have ceased; one that was there at the start counts as of then. */
bool host_silent(const struct host *host, int64_t now);
/* Whether it has booted too often of late. */
bool host_flaps(const struct host *host, int64_t now);
/* A key is to be read again before anything is decided on it. */
void coordinator_forget(struct coordinator *c, const char *key);

/* coordinator.c: one step, the rest of it is in @step. False without memory. */
bool coordinator_put(struct coordinator *c, struct doc_rollout *next, const char *what,
		     struct step *step);
bool coordinator_take(struct coordinator *c, struct host *host, struct step *step);

/* hook.c: what is to be done for the rollout's hooks; @step stays as it is for nothing */
bool coordinator_hooks(struct coordinator *c, int64_t now, struct step *step);
bool coordinator_begin_hook(struct coordinator *c, struct host *host, struct step *step);

#endif
