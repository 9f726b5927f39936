// SPDX-License-Identifier: GPL-2.0
/* Where the kernel is with the attempt, whatever has become of those who began it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon.h"

#define CHANGE_MAX (8 * 1024 * 1024)

/* A call of --run is at work. */
bool look_running(const struct host *host)
{
	char path[PATH_MAX];
	bool running;
	int fd;

	host_state(host, path, "lock");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	running = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return running;
}

/*
 * How many groups of the attempt have the new type, the old one, another one. -ENOENT where
 * nothing is written down of them, -EAGAIN where the groups cannot be read now.
 */
static int types_of(struct daemon *d, long counts[3])
{
	struct json_object *change, *groups = NULL, *each, *value;
	struct iommucfg_topology *topology = NULL;
	char path[PATH_MAX], name[NAME_MAX_TXN];
	struct iommucfg_group *group;
	const char *from, *to, *is;
	size_t i;
	int ret;

	counts[0] = counts[1] = counts[2] = 0;
	host_state(&d->host, path, "change");
	change = json_object_from_file(path);
	attempt_name(agent_journal(d->agent), name);
	ret = json_object_object_get_ex(change, "name", &value) &&
	      !strcmp(json_object_get_string(value), name) &&
	      json_object_object_get_ex(change, "groups", &groups) ? 0 : -ENOENT;
	if (!ret && iommucfg_topology_scan(d->host.ctx, &topology, NULL))
		ret = -EAGAIN;
	for (i = 0; !ret && i < json_object_array_length(groups); i++) {
		each = json_object_array_get_idx(groups, i);
		from = json_object_get_string(json_object_object_get(each, "from"));
		to = json_object_get_string(json_object_object_get(each, "to"));
		group = iommucfg_topology_find_group(topology, json_object_get_int(
			json_object_object_get(each, "group")));
		is = group ? iommucfg_group_type_text(group) : NULL;
		counts[is && to && !strcmp(is, to) ? 0 : is && from && !strcmp(is, from) ? 1 : 2]++;
	}
	iommucfg_topology_unref(topology);
	json_object_put(change);
	return ret;
}

/* The transaction is gone, and this is still the boot in which it was. */
static int by_types(struct daemon *d)
{
	long counts[3];
	int ret = types_of(d, counts);

	/* That passes, and what is judged is final. */
	if (ret == -EAGAIN)
		return TXN_RUNNING;
	if (ret || counts[2])
		return TXN_ODD;
	if (!counts[0])
		return TXN_NONE;
	return counts[1] ? TXN_ODD : TXN_KEPT;
}

bool look_installed(const struct daemon *d)
{
	char path[PATH_MAX], *candidate, *file;
	bool same;

	if (!*agent_journal(d->agent)->policy)
		return false;
	if (!strcmp(agent_journal(d->agent)->policy, DOC_NO_POLICY))
		return !before_exists(&d->host);
	host_state(&d->host, path, "candidate.conf");
	candidate = host_read(path, CHANGE_MAX);
	host_path(&d->host, path, POLICY_FILE);
	file = host_read(path, CHANGE_MAX);
	same = candidate && file && !strcmp(candidate, file);
	free(candidate);
	free(file);
	return same;
}

/* The worse of two parts of one change comes first. */
static int rank(enum iommucfg_state state)
{
	static const enum iommucfg_state order[] = {
		IOMMUCFG_STATE_FAILED, IOMMUCFG_STATE_COMMITTING, IOMMUCFG_STATE_ROLLING_BACK,
		IOMMUCFG_STATE_UNKNOWN, IOMMUCFG_STATE_UNCONFIRMED, IOMMUCFG_STATE_STAGED,
		IOMMUCFG_STATE_ROLLED_BACK, IOMMUCFG_STATE_COMMITTED,
	};
	int i, count = sizeof(order) / sizeof(*order);

	for (i = 0; i < count && order[i] != state; i++)
		;
	return i;
}

static void look_at(struct daemon *d, struct iommucfg_txn *txn, struct agent_result *result)
{
	enum iommucfg_state state = iommucfg_txn_state(txn), second;
	struct iommucfg_txn *other = NULL;
	long left = 0, left2;

	if (iommucfg_txn_remaining(txn, &left))
		left = 0;
	if (!iommucfg_txn_open_other(txn, &other, NULL)) {
		second = iommucfg_txn_state(other);
		if (!iommucfg_txn_remaining(other, &left2) &&
		    second == IOMMUCFG_STATE_UNCONFIRMED &&
		    (state != IOMMUCFG_STATE_UNCONFIRMED || left2 < left))
			left = left2;
		if (second != IOMMUCFG_STATE_GONE && rank(second) < rank(state))
			state = second;
	}
	iommucfg_txn_unref(other);
	result->remaining_ms = left * 1000;
	switch (state) {
	case IOMMUCFG_STATE_FAILED:
		result->code = TXN_ODD;
		break;
	case IOMMUCFG_STATE_UNCONFIRMED:
		result->code = TXN_UNCONFIRMED;
		break;
	case IOMMUCFG_STATE_COMMITTED:
		result->code = TXN_KEPT;
		break;
	case IOMMUCFG_STATE_STAGED:		/* the process that made it is gone */
	case IOMMUCFG_STATE_ROLLED_BACK:
	case IOMMUCFG_STATE_GONE:
		result->code = by_types(d);
		/* Kept types without a transaction are of a change after this one. */
		if (result->code == TXN_KEPT && state != IOMMUCFG_STATE_GONE)
			result->code = TXN_ODD;
		break;
	default:
		result->code = TXN_RUNNING;
	}
}

/* False: a call of --run is at work, or that cannot be told. */
static bool take_lock(struct daemon *d)
{
	char path[PATH_MAX];

	look_over(d);
	d->lock = host_lock(&d->host, path);
	if (d->lock < 0 && errno != EWOULDBLOCK)
		note("<4>", "%s: %m", path);
	return d->lock >= 0;
}

void look_over(struct daemon *d)
{
	if (d->lock >= 0)
		close(d->lock);
	d->lock = -1;
}

void look(struct daemon *d, struct agent_result *result)
{
	const struct doc_journal *journal = agent_journal(d->agent);
	struct iommucfg_txn *txn = NULL;
	char name[NAME_MAX_TXN];
	int error;

	attempt_name(journal, name);
	result->code = TXN_RUNNING;
	if (!take_lock(d))
		return;
	if (strcmp(journal->boot, d->host.boot)) {
		/* What this boot has is what the files say, and those before the attempt. */
		result->installed = look_installed(d) && plan_in_force(d);
		result->code = result->installed ? TXN_KEPT : TXN_NONE;
		return;
	}
	error = iommucfg_txn_open(d->host.ctx, name, &txn);
	if (!error) {
		look_at(d, txn, result);
	} else if (error == -ENOENT || error == -ENODEV || error == -ENOTDIR) {
		result->code = by_types(d);
	} else {
		note("<4>", "transaction %s: %s", name, strerror(-error));
	}
	iommucfg_txn_unref(txn);
}
