// SPDX-License-Identifier: GPL-2.0
/*
 * Interfaces over which the store is reached, and other addresses of the host's settings. A
 * proof says that the store is reached, perhaps
 * by another interface than the one that was changed: so each interface of a changed group
 * that had the way to a member has to prove it as well, on a socket that is bound to it. An
 * address that answered before the change has to answer after it.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	if (!a || a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr, 4);
	return a->sa_family == AF_INET6 &&
	       !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, 16);
}

/* The interface that has the address from which packets to @to would come. */
static void way_to(const struct addrinfo *to, struct json_object *names)
{
	int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *all = NULL, *each;
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);

	/* Nothing is sent by that. */
	if (fd >= 0 && !connect(fd, to->ai_addr, to->ai_addrlen) &&
	    !getsockname(fd, (struct sockaddr *)&from, &size) && !getifaddrs(&all)) {
		for (each = all; each; each = each->ifa_next) {
			if (same_address(each->ifa_addr, (struct sockaddr *)&from))
				json_object_object_add(names, each->ifa_name, NULL);
		}
		freeifaddrs(all);
	}
	if (fd >= 0)
		close(fd);
}

/* "https://HOST:PORT" or "https://[ADDRESS]:PORT" */
static void ways_to(const char *endpoint, struct json_object *names)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	const char *begin = strstr(endpoint, "://"), *colon;
	struct addrinfo *list, *each;
	char host[256];

	begin = begin ? begin + 3 : endpoint;
	colon = strrchr(begin, ':');
	if (!colon || strchr(colon, ']'))
		return;
	if (*begin == '[')
		snprintf(host, sizeof(host), "%.*s", (int)(strcspn(begin, "]") - 1), begin + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)(colon - begin), begin);
	if (getaddrinfo(host, colon + 1, &hints, &list))
		return;
	for (each = list; each; each = each->ai_next)
		way_to(each, names);
	freeaddrinfo(list);
}

struct json_object *reach_ways(const struct conf *conf)
{
	struct json_object *names = json_object_new_object();
	size_t i;

	for (i = 0; i < conf->endpoint_count; i++)
		ways_to(conf->endpoints[i], names);
	return names;
}

enum store_result reach_prove(struct daemon *d, struct step *step, int64_t *first)
{
	int64_t until = step->limit_ms ? now_ms() + step->limit_ms : INT64_MAX;
	enum store_result result = STORE_OK;
	struct json_object *change, *reach;
	char path[PATH_MAX];
	int64_t limit_ms;
	size_t i;

	host_state(&d->host, path, "change");
	change = json_object_from_file(path);
	if (!json_object_object_get_ex(change, "reach", &reach))
		reach = NULL;
	limit_ms = store_set_limit(d->conf.store, step->limit_ms);
	for (i = 0; reach && !result && i < json_object_array_length(reach); i++) {
		struct store_put put = {
			.key = step->key, .value = step->value, .size = strlen(step->value),
			.rev = step->rev, .guard = step->guard, .guard_rev = step->guard_rev,
			.interface = json_object_get_string(json_object_array_get_idx(reach, i)),
		};

		result = store_put(d->conf.store, &put, &step->rev);
		if (!i)
			*first = now_ms();
		note("<7>", "prove over %s: %s", put.interface, store_result_name(result));
		/* The last one may have had no time: then what was found before it holds. */
		if ((result == STORE_UNREACHABLE || result == STORE_UNKNOWN) &&
		    (!*d->problem || now_ms() < until))
			snprintf(d->problem, sizeof(d->problem),
				 "store unreachable over %.16s", put.interface);
		/* The status is not as it was before the first of them. */
		if (result == STORE_UNREACHABLE && i)
			result = STORE_UNKNOWN;
	}
	store_set_limit(d->conf.store, limit_ms);
	json_object_put(change);
	return result;
}

/* Each answers within so long. */
#define ANSWER_MS	3000

/* A connection that is under way; -1: it cannot be made now. */
static int connect_to(const char *address)
{
	struct sockaddr_storage to;
	socklen_t size;
	int fd;

	if (!settings_address(address, &to, &size))
		return -1;
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&to, size) || errno == EINPROGRESS ||
	    errno == ECONNREFUSED)
		return fd;
	close(fd);
	return -1;
}

/* A refusal is an answer as well. */
static bool answers(int fd)
{
	struct pollfd poll_fd = { .fd = fd };
	socklen_t size = sizeof(int);
	int error = 0;

	if (fd < 0)
		return false;
	poll_fd.events = POLLOUT;
	return poll(&poll_fd, 1, 0) > 0 && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) &&
	       (!error || error == ECONNREFUSED);
}

/* All of @count at once. */
static void try_all(char *const *addresses, size_t count, bool *well)
{
	int64_t until = now_ms() + ANSWER_MS;
	int fds[ADDRESSES_MAX];
	size_t i, left = count;

	for (i = 0; i < count; i++) {
		well[i] = false;
		fds[i] = connect_to(addresses[i]);
		left -= fds[i] < 0;
	}
	while (left && now_ms() < until) {
		for (i = 0; i < count; i++) {
			if (fds[i] >= 0 && !well[i] && answers(fds[i])) {
				well[i] = true;
				left--;
			}
		}
		if (left)
			poll(NULL, 0, 20);
	}
	for (i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

struct json_object *reach_addresses(struct daemon *d)
{
	struct json_object *array = json_object_new_array();
	bool well[ADDRESSES_MAX];
	size_t i;

	try_all(d->settings.reach, d->settings.reach_count, well);
	for (i = 0; i < d->settings.reach_count; i++) {
		if (well[i])
			json_object_array_add(array, json_object_new_string(d->settings.reach[i]));
		else
			note("<4>", "%s does not answer, before anything is changed",
			     d->settings.reach[i]);
	}
	return array;
}

bool reach_wait(struct daemon *d, struct json_object *before, int64_t ms)
{
	int64_t until = now_ms() + ms;
	char *addresses[ADDRESSES_MAX];
	bool well[ADDRESSES_MAX];
	size_t i, count;

	do {
		alive();
		count = json_object_array_length(before);
		for (i = 0; i < count && i < ADDRESSES_MAX; i++)
			addresses[i] = (char *)json_object_get_string(
				json_object_array_get_idx(before, i));
		count = i;
		try_all(addresses, count, well);
		for (i = 0; i < count && well[i]; i++)
			;
		if (i == count)
			return true;
		poll(NULL, 0, 200);
	} while (now_ms() < until && !stopping());
	snprintf(d->problem, sizeof(d->problem), "%s is not reached any more", addresses[i]);
	return false;
}
