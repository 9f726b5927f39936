// SPDX-License-Identifier: GPL-2.0
/* What monitor tells of transactions, which have no uevents: their states, looked at. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

/* So long before the end there is a last warning. */
#define DEADLINE_SECONDS	30

static struct seen *find(struct seen *seen, const char *name)
{
	for (; seen; seen = seen->next)
		if (!strcmp(seen->name, name))
			return seen;
	return NULL;
}

static struct seen *add(struct seen **seen, const char *name)
{
	struct seen *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = *seen;
	*seen = s;
	return s;
}

/* What has become of one that was unconfirmed. */
static const char *end_of(struct cli *cli, const char *name, enum iommucfg_state state)
{
	switch (state) {
	case IOMMUCFG_STATE_COMMITTED:
		return "committed";
	case IOMMUCFG_STATE_ROLLED_BACK:
		return "undone";
	case IOMMUCFG_STATE_FAILED:
		return "failed";
	case IOMMUCFG_STATE_GONE:
		/* The command that ended it has removed it, and the history says so. */
		switch (txn_past(cli, name, false)) {
		case EXIT_DONE:
			return "committed";
		case EXIT_BROKEN:
			return "failed";
		default:
			return "undone";
		}
	default:
		return NULL;
	}
}

static int look_at(struct cli *cli, struct seen *s, enum iommucfg_state state, long remaining)
{
	const char *event = NULL;

	if (state == IOMMUCFG_STATE_UNCONFIRMED && s->state != state)
		event = "unconfirmed";
	else if (state == s->state)
		event = NULL;
	else if (s->state == IOMMUCFG_STATE_UNCONFIRMED ||
		 s->state == IOMMUCFG_STATE_ROLLING_BACK)
		event = end_of(cli, s->name, state);
	else if (state == IOMMUCFG_STATE_FAILED)
		event = "failed";
	s->state = state;
	if (event && monitor_txn(cli, event, s->name))
		return -1;
	if (state != IOMMUCFG_STATE_UNCONFIRMED || !remaining || remaining > DEADLINE_SECONDS) {
		s->warned = false;
		return 0;
	}
	if (s->warned)
		return 0;
	s->warned = true;
	return monitor_txn(cli, "deadline", s->name);
}

/* Has it been written since? It is too long to be read again and again. */
static bool is_newer(struct cli *cli, struct timespec *when)
{
	int dirfd = state_open(cli->ctx, false);
	struct stat st;
	bool newer;

	if (dirfd < 0)
		return false;
	newer = !fstatat(dirfd, "history", &st, 0) &&
		(st.st_mtim.tv_sec != when->tv_sec || st.st_mtim.tv_nsec != when->tv_nsec);
	if (newer)
		*when = st.st_mtim;
	close(dirfd);
	return newer;
}

/* The newest entry's number; tells of refusals after @last. */
static int refusals(struct cli *cli, long *last, bool quiet)
{
	struct json_object *entries = history_read(cli->ctx, NULL), *e, *result, *name;
	size_t i, n = entries ? json_object_array_length(entries) : 0;
	long newest = *last;
	int ret = 0;

	for (i = 0; i < n && !ret; i++) {
		e = json_object_array_get_idx(entries, i);
		if (history_id(e) <= *last)
			continue;
		if (history_id(e) > newest)
			newest = history_id(e);
		if (quiet || !json_object_object_get_ex(e, "result", &result) ||
		    strcmp(json_object_get_string(result), "refused"))
			continue;
		json_object_object_get_ex(e, "transaction", &name);
		ret = monitor_txn(cli, "refused", name ? json_object_get_string(name) : NULL);
	}
	*last = newest;
	json_object_put(entries);
	return ret;
}

/* @first: takes down what is there, and tells of nothing that is over. */
int monitor_look(struct cli *cli, struct monitor_state *m, bool first)
{
	enum iommucfg_state state;
	struct iommucfg_txn *txn;
	char **names = NULL;
	int n, i, ret = 0;
	struct seen *s;
	long remaining;

	n = iommucfg_txn_list(cli->ctx, &names);
	for (s = m->seen; s; s = s->next)
		s->there = false;
	for (i = 0; i < n && !ret; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		remaining = 0;
		if (!iommucfg_txn_read_state(txn, &state)) {
			iommucfg_txn_remaining(txn, &remaining);
			s = find(m->seen, names[i]);
			if (!s)
				s = add(&m->seen, names[i]);
			if (s) {
				s->there = true;
				ret = look_at(cli, s, state, remaining);
			}
		}
		iommucfg_txn_unref(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
	for (s = m->seen; s && !ret && n >= 0; s = s->next)
		if (!s->there)
			ret = look_at(cli, s, IOMMUCFG_STATE_GONE, 0);
	if (ret || !is_newer(cli, &m->history))
		return ret;
	return refusals(cli, &m->last_entry, first);
}

void monitor_forget(struct monitor_state *m)
{
	struct seen *s;

	while ((s = m->seen)) {
		m->seen = s->next;
		free(s);
	}
}
