// SPDX-License-Identifier: GPL-2.0
/*
 * Interfaces over which the store is reached. A proof says that the store is reached, perhaps
 * by another interface than the one that was changed: so each interface of a changed group
 * that had the way to a member has to prove it as well, on a socket that is bound to it.
 */
#include <ifaddrs.h>
#include <netdb.h>
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

enum store_result reach_prove(struct daemon *d, struct step *step)
{
	enum store_result result = STORE_OK;
	struct json_object *change, *reach;
	char path[PATH_MAX];
	size_t i;

	host_state(&d->host, path, "change");
	change = json_object_from_file(path);
	if (!json_object_object_get_ex(change, "reach", &reach))
		reach = NULL;
	store_set_limit(d->conf.store, step->limit_ms);
	for (i = 0; reach && !result && i < json_object_array_length(reach); i++) {
		struct store_put put = {
			.key = step->key, .value = step->value, .size = strlen(step->value),
			.rev = step->rev, .guard = step->guard, .guard_rev = step->guard_rev,
			.interface = json_object_get_string(json_object_array_get_idx(reach, i)),
		};

		result = store_put(d->conf.store, &put, &step->rev);
		note("<7>", "prove over %s: %s", put.interface, store_result_name(result));
		if (result == STORE_UNREACHABLE || result == STORE_UNKNOWN)
			snprintf(d->problem, sizeof(d->problem),
				 "store unreachable over %.16s", put.interface);
		/* The status is not as it was before the first of them. */
		if (result == STORE_UNREACHABLE && i)
			result = STORE_UNKNOWN;
	}
	store_set_limit(d->conf.store, 0);
	json_object_put(change);
	return result;
}
