// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Uses by watchdogs, consoles, mediated and vDPA devices, subfunctions, and
 * interfaces in other network namespaces.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "use.h"

/* The open node of a watchdog, or NULL. /dev/watchdog is another node of watchdog0. */
static const struct ic_open *holder(const struct ic_scan *scan, const char *name)
{
	const char *base;
	size_t i;

	for (i = 0; i < scan->opens.n; i++) {
		base = ic_basename(scan->opens.v[i].path);
		if (scan->opens.v[i].num_holders && !scan->opens.v[i].is_block &&
		    (!strcmp(base, name) ||
		     (!strcmp(base, "watchdog") && !strcmp(name, "watchdog0"))))
			return &scan->opens.v[i];
	}
	return NULL;
}

#define STOP_SYSTEMD	"busctl set-property org.freedesktop.systemd1 " \
			"/org/freedesktop/systemd1 org.freedesktop.systemd1.Manager " \
			"RuntimeWatchdogUSec t 0"

/* Has the name of a unit no character that is special in a shell? */
static bool is_plain(const char *unit)
{
	return !unit[strspn(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789:_.@-")];
}

/* How to stop a watchdog: one line for sh. */
static char *stop_watchdog(struct ic_scan *scan, const struct ic_open *o, const char *name)
{
	char path[64], cgroup[PATH_MAX], *text, *unit;
	const char *end;

	if (!o)
		return asprintf(&text, "echo V >/dev/%s", name) < 0 ? NULL : text;
	if (o->last_pid == 1)
		return strdup(STOP_SYSTEMD);
	snprintf(path, sizeof(path), "proc/%ld/cgroup", o->last_pid);
	if (ic_read_attr(scan->topology->ctx->rootfd, path, cgroup, sizeof(cgroup)) > 0) {
		unit = strrchr(cgroup, '/');
		end = unit ? strstr(unit, ".service") : NULL;
		if (end && is_plain(unit + 1))
			return asprintf(&text, "systemctl stop %s", unit + 1) < 0 ? NULL : text;
	}
	return asprintf(&text, "kill %ld", o->last_pid) < 0 ? NULL : text;
}

/* Without the file "state" a watchdog that is open counts as running. */
bool ic_is_running_watchdog(struct ic_scan *scan, const char *syspath, bool is_open)
{
	char path[PATH_MAX], state[32];

	if (strncmp(ic_basename(syspath), "watchdog", 8))
		return false;
	snprintf(path, sizeof(path), "%s/state", syspath);
	if (ic_read_attr(scan->topology->ctx->sysfd, path, state, sizeof(state)) < 0)
		return is_open;
	return !strcmp(state, "active");
}

static int use_watchdog(struct ic_scan *scan, const struct ic_node *node)
{
	const char *name = ic_basename(node->syspath);
	const struct ic_open *o = holder(scan, name);
	int sysfd = scan->topology->ctx->sysfd, ret;
	struct ic_devices devices = { 0 };
	char path[PATH_MAX], seconds[32], nowayout[32];
	bool forever;
	char *fix;
	size_t i;

	if (!ic_is_running_watchdog(scan, node->syspath, o))
		return 0;
	snprintf(path, sizeof(path), "%s/timeout", node->syspath);
	if (ic_read_attr(sysfd, path, seconds, sizeof(seconds)) <= 0)
		strcpy(seconds, "?");
	snprintf(path, sizeof(path), "%s/nowayout", node->syspath);
	forever = ic_read_attr(sysfd, path, nowayout, sizeof(nowayout)) > 0 && *nowayout == '1';
	ret = ic_devices_above(scan->topology, node->syspath, &devices);
	for (i = 0; i < devices.n && !ret; i++) {
		ret = ic_use_add(devices.v[i], "watchdog", name, IOMMUCFG_WORD_NEVER, false,
				 "active, resets the machine after %s s%s%s%s", seconds,
				 o ? ", held by " : "", o ? o->holders : "",
				 forever ? ", cannot be stopped (nowayout)" : "");
		fix = ret || forever ? NULL : stop_watchdog(scan, o, name);
		if (!ret)
			ic_use_fix(devices.v[i], fix);
		free(fix);
	}
	free(devices.v);
	return ret;
}

static int use_away(struct ic_scan *scan, const struct ic_node *node)
{
	struct ic_devices devices = { 0 };
	size_t i;
	int ret;

	ret = ic_devices_above(scan->topology, node->syspath, &devices);
	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], "net", ic_basename(node->syspath),
				 IOMMUCFG_WORD_NET, false,
				 "its interface is in another network namespace");
	free(devices.v);
	return ret;
}

/* Counts what users created on a device and the release of its driver would destroy. */
static int use_made(struct ic_scan *scan, enum ic_node_kind kind, const char *word,
		    const char *one, const char *many)
{
	struct iommucfg_topology *topology = scan->topology;
	const struct ic_node *node;
	struct ic_devices all = { 0 }, devices = { 0 };
	size_t i, k, n;
	char *parent;
	int ret = 0;

	/* @all has each device once for each thing created on it. */
	for (i = 0; i < scan->nodes.n && !ret; i++) {
		node = &scan->nodes.v[i];
		if (node->kind != kind)
			continue;
		parent = strndup(node->syspath, ic_basename(node->syspath) - node->syspath - 1);
		devices.n = 0;
		ret = parent ? ic_devices_above(topology, parent, &devices) : -ENOMEM;
		free(parent);
		for (k = 0; k < devices.n && !ret; k++) {
			ret = IC_GROW(all.v, all.n, all.cap);
			if (!ret)
				all.v[all.n++] = devices.v[k];
		}
	}
	for (i = 0; i < all.n && !ret; i++) {
		for (k = 0, n = 0; k < all.n; k++) {
			if (all.v[k] != all.v[i])
				continue;
			if (k < i)
				break;
			n++;
		}
		if (k == all.n)
			ret = ic_use_add(all.v[i], word, all.v[i]->name, IOMMUCFG_WORD_NEVER, false,
					 "%zu %s", n, n == 1 ? one : many);
	}
	free(all.v);
	free(devices.v);
	return ret;
}

static int tell_console(struct ic_scan *scan, const char *class, const char *name,
			const char *detail)
{
	struct ic_devices devices = { 0 };
	char path[PATH_MAX], base[32], *syspath;
	size_t i;
	int ret;

	snprintf(base, sizeof(base), "class/%s", class);
	snprintf(path, sizeof(path), "class/%s/%s", class, name);
	syspath = ic_sys_link(scan->topology->ctx->sysfd, path, base);
	ret = syspath ? ic_devices_above(scan->topology, syspath, &devices) : 0;
	free(syspath);
	for (i = 0; i < devices.n && !ret; i++)
		ret = ic_use_add(devices.v[i], "console", name, IOMMUCFG_WORD_OTHER, false, "%s",
				 detail);
	free(devices.v);
	return ret;
}

/* "ttyS4                -W- (EC p a)    4:68" */
static int use_serial_consoles(struct ic_scan *scan)
{
	char *text, *line, *save;
	int ret = 0;

	text = ic_read_text(scan->topology->ctx->rootfd, "proc/consoles", NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line && !ret;
	     line = strtok_r(NULL, "\n", &save)) {
		line[strcspn(line, " ")] = '\0';
		if (*line && !strchr(line, '/'))
			ret = tell_console(scan, "tty", line, "the kernel's console");
	}
	free(text);
	return ret;
}

static bool is_text_on_frame_buffer(struct ic_scan *scan, const char *vtcon)
{
	int sysfd = scan->topology->ctx->sysfd;
	char path[PATH_MAX], buf[64];

	snprintf(path, sizeof(path), "class/vtconsole/%s/name", vtcon);
	if (ic_read_attr(sysfd, path, buf, sizeof(buf)) <= 0 || !strstr(buf, "frame buffer"))
		return false;
	snprintf(path, sizeof(path), "class/vtconsole/%s/bind", vtcon);
	return ic_read_attr(sysfd, path, buf, sizeof(buf)) > 0 && *buf == '1';
}

/* The console on a screen is on the frame buffer with the lowest number. */
static int use_screen(struct ic_scan *scan)
{
	int sysfd = scan->topology->ctx->sysfd, lowest = INT_MAX, number;
	bool is_text = false;
	struct dirent *e;
	char name[32];
	DIR *dir;

	dir = ic_opendirat(sysfd, "class/vtconsole");
	while (dir && !is_text && (e = readdir(dir)))
		is_text = *e->d_name != '.' && is_text_on_frame_buffer(scan, e->d_name);
	if (dir)
		closedir(dir);
	dir = is_text ? ic_opendirat(sysfd, "class/graphics") : NULL;
	while (dir && (e = readdir(dir)))
		if (sscanf(e->d_name, "fb%d", &number) == 1 && number < lowest)
			lowest = number;
	if (dir)
		closedir(dir);
	if (lowest == INT_MAX)
		return 0;
	snprintf(name, sizeof(name), "fb%d", lowest);
	return tell_console(scan, "graphics", name, "the console on the screen");
}

int ic_use_nodes(struct ic_scan *scan)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < scan->nodes.n && !ret; i++) {
		if (scan->nodes.v[i].kind == IC_NODE_WATCHDOG)
			ret = use_watchdog(scan, &scan->nodes.v[i]);
		else if (scan->nodes.v[i].kind == IC_NODE_NET_AWAY)
			ret = use_away(scan, &scan->nodes.v[i]);
	}
	if (!ret)
		ret = use_made(scan, IC_NODE_MDEV, "mdev", "mediated device",
			       "mediated devices");
	if (!ret)
		ret = use_made(scan, IC_NODE_VDPA, "vdpa", "vDPA device", "vDPA devices");
	if (!ret)
		ret = use_made(scan, IC_NODE_SUBFUNCTION, "subfunction", "subfunction",
			       "subfunctions");
	if (!ret)
		ret = use_serial_consoles(scan);
	return ret ? ret : use_screen(scan);
}
