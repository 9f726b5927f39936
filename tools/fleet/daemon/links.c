// SPDX-License-Identifier: GPL-2.0
/* Network links that work, and interfaces with a default route, as sysfs and /proc say. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

#define FILE_MAX (4 * 1024 * 1024)
#define LAYERS_MAX 8

void links_add_once(struct json_object *array, const char *name)
{
	size_t i;

	for (i = 0; i < json_object_array_length(array); i++) {
		if (!strcmp(json_object_get_string(json_object_array_get_idx(array, i)), name))
			return;
	}
	json_object_array_add(array, json_object_new_string(name));
}

/*
 * Only an adapter's interface, or a bond of them, goes and comes back with a change. The
 * interface of a container or a virtual machine goes with that.
 */
static bool counts(const char *dir, const char *name)
{
	char path[PATH_MAX + 300];

	snprintf(path, sizeof(path), "%s/%s/device", dir, name);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "%s/%s/bonding", dir, name);
	return !access(path, F_OK);
}

/*
 * Whether @upper is a bond, a bridge, a VLAN over @lower, over as many layers as @depth. What a
 * tunnel, or the port of a virtual switch, goes over is not told there: it may be that.
 */
static bool is_over(const char *dir, const char *upper, const char *lower, int depth)
{
	char path[PATH_MAX + 300];
	bool found = false, stacked = false;
	struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, upper);
	d = opendir(path);
	while (d && !found && (entry = readdir(d))) {
		if (strncmp(entry->d_name, "lower_", 6))
			continue;
		stacked = true;
		found = !strcmp(entry->d_name + 6, lower) ||
			(depth && is_over(dir, entry->d_name + 6, lower, depth - 1));
	}
	if (d)
		closedir(d);
	if (stacked)
		return found;
	snprintf(path, sizeof(path), "%s/%s/device", dir, upper);
	return strcmp(upper, "lo") && access(path, F_OK);
}

bool links_stands_on(const struct host *host, const char *upper, const char *lower)
{
	char dir[PATH_MAX];

	host_path(host, dir, "/sys/class/net");
	return !strcmp(upper, lower) || is_over(dir, upper, lower, LAYERS_MAX);
}

static struct json_object *links_up(const struct host *host)
{
	struct json_object *up = json_object_new_array();
	char dir[PATH_MAX], path[PATH_MAX + 300], *state;
	struct dirent *entry;
	DIR *d;

	host_path(host, dir, "/sys/class/net");
	d = opendir(dir);
	while (d && (entry = readdir(d))) {
		if (*entry->d_name == '.' || !counts(dir, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s/operstate", dir, entry->d_name);
		state = host_read(path, 64);
		if (state && !strcmp(state, "up\n"))
			json_object_array_add(up, json_object_new_string(entry->d_name));
		free(state);
	}
	if (d)
		closedir(d);
	return up;
}

/* Of IPv4, then of IPv6, which has other columns. */
static void default_routes(const char *text, bool six, struct json_object *routes)
{
	const char *line = text;
	char name[32], to[40];

	for (; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (six && sscanf(line, "%32s 00 %*s %*s %*s %*s %*s %*s %*s %31s", to, name) == 2 &&
		    strspn(to, "0") == 32 && strcmp(name, "lo"))
			links_add_once(routes, name);
		else if (!six && sscanf(line, "%31s %39s", name, to) == 2 && !strcmp(to, "00000000"))
			links_add_once(routes, name);
	}
}

static struct json_object *routes_of(const struct host *host)
{
	static const char *const files[] = { "/proc/net/route", "/proc/net/ipv6_route" };
	struct json_object *routes = json_object_new_array();
	char path[PATH_MAX], *text;
	int i;

	for (i = 0; i < 2; i++) {
		host_path(host, path, files[i]);
		text = host_read(path, FILE_MAX);
		if (text)
			default_routes(text, i, routes);
		free(text);
	}
	return routes;
}

struct json_object *links_now(const struct host *host)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "up", links_up(host));
	json_object_object_add(o, "default_route", routes_of(host));
	return o;
}

/* What of @before is not in @now; NULL: nothing. */
static const char *missing_of(struct json_object *before, struct json_object *now,
			      const char *member)
{
	struct json_object *was, *is;
	const char *name;
	size_t i, j;

	if (!json_object_object_get_ex(before, member, &was) ||
	    !json_object_object_get_ex(now, member, &is))
		return NULL;
	for (i = 0; i < json_object_array_length(was); i++) {
		name = json_object_get_string(json_object_array_get_idx(was, i));
		for (j = 0; j < json_object_array_length(is); j++) {
			if (!strcmp(name, json_object_get_string(json_object_array_get_idx(is, j))))
				break;
		}
		if (j == json_object_array_length(is))
			return name;
	}
	return NULL;
}

bool links_wait(const struct host *host, struct json_object *before, int64_t ms, char *what,
		size_t size)
{
	int64_t until = now_ms() + ms;
	const char *link, *route;
	struct json_object *now;

	for (;;) {
		now = links_now(host);
		link = missing_of(before, now, "up");
		route = missing_of(before, now, "default_route");
		json_object_put(now);
		if (!link && !route)
			return true;
		if (now_ms() >= until || stopping())
			break;
		alive();
		poll(NULL, 0, 500);
	}
	snprintf(what, size, link ? "interface %s is not up again" :
		 "the default route over %s has not come back", link ? link : route);
	return false;
}
