// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Running interfaces, with their addresses and whether a default route runs
 * over them: also over a bond, bridge or VLAN that they carry.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "netinfo.h"
#include "use.h"

#define MAX_STACK	8	/* of a bridge on a VLAN on a bond ... */

/* What is on an interface and on those above it, as text. */
struct face {
	struct iommucfg_topology *topology;
	const struct ic_netinfo *info;
	const struct ic_devices *above;
	char text[512];
	size_t length;
	bool default_route;
};

static void say(struct face *face, const char *what, const char *word)
{
	int n;

	n = snprintf(face->text + face->length, sizeof(face->text) - face->length, "%s%s%s",
		     face->length ? ", " : "", what, word);
	if (n > 0)
		face->length += n;
	if (face->length >= sizeof(face->text)) {
		/* Never cut short without saying so. */
		strcpy(face->text + sizeof(face->text) - 4, "...");
		face->length = sizeof(face->text) - 1;
	}
}

static int look(struct face *face, const char *name, int depth)
{
	int ret = 0, error = 0;
	const char *address;
	char path[PATH_MAX];
	struct dirent *e;
	size_t i;
	DIR *dir;

	for (i = 0; (address = ic_netinfo_address(face->info, name, i)); i++)
		say(face, "", address);
	if (depth > MAX_STACK)
		return 0;
	snprintf(path, sizeof(path), "class/net/%s", name);
	dir = ic_opendirat(face->topology->ctx->sysfd, path);
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (!strncmp(e->d_name, "upper_", 6)) {
			say(face, "below ", e->d_name + 6);
			ret = look(face, e->d_name + 6, depth + 1);
		}
	if (dir)
		closedir(dir);
	/* The default route may be that of one above it. */
	return ret || !error ? ret :
	       ic_unread(face->topology, face->above, IC_MAYBE_DEFAULT_ROUTE, error, "sys/%s",
			 path);
}

/* It is known to run, but not whether a default route goes over it. */
static int unread_routes(struct face *face)
{
	const char *file;
	int error;

	file = face->default_route ? NULL : ic_netinfo_unread(face->info, &error);
	return file ? ic_unread(face->topology, face->above, IC_MAYBE_DEFAULT_ROUTE, error, "%s",
				file) : 0;
}

static int use_interface(struct iommucfg_topology *topology, const struct ic_netinfo *info,
			 int dirfd, const char *name)
{
	struct ic_devices above = { 0 };
	struct face face = { .topology = topology, .info = info, .above = &above };
	char path[PATH_MAX], buf[32];
	const struct ic_interface *known;
	const struct ic_set *set;
	unsigned long flags = 0;
	char *syspath;
	size_t i;
	int ret;

	syspath = ic_sys_link(dirfd, name, "class/net");
	/* bonding_masters, for one, is no link. */
	if (!syspath)
		return errno == EINVAL ? 0 :
		       ic_unread(topology, NULL, IC_MAYBE_NET | IC_MAYBE_DEFAULT_ROUTE, -errno,
				 "sys/class/net/%s", name);
	ret = ic_devices_above(topology, syspath, &above);
	free(syspath);
	if (ret || !above.n)
		goto out;
	snprintf(path, sizeof(path), "%s/flags", name);
	ret = ic_read_attr(dirfd, path, buf, sizeof(buf));
	/* The kernel says EINVAL of an interface that is on its way out. */
	if (ret < 0) {
		ret = ret == -EINVAL ? 0 :
		      ic_unread(topology, &above, IC_MAYBE_NET | IC_MAYBE_DEFAULT_ROUTE, ret,
				"sys/class/net/%s", path);
		goto out;
	}
	if (!ret || ic_parse_number(buf, 16, ULONG_MAX, &flags) || !(flags & IFF_UP)) {
		ret = 0;
		goto out;
	}
	say(&face, "up", "");
	known = ic_netgraph_find(info, name);
	face.default_route = known && (known->default_route || known->peer);
	ret = look(&face, name, 0);
	if (!ret)
		ret = unread_routes(&face);
	if (known && known->default_route)
		say(&face, "default route", "");
	if (known && known->peer)
		say(&face, "this ssh session", "");
	set = ic_set_of_interface(topology, name);
	for (i = 0; i < above.n && !ret; i++) {
		ret = ic_use_add(above.v[i], "net", name,
				 face.default_route ? IOMMUCFG_WORD_DEFAULT_ROUTE :
						      IOMMUCFG_WORD_NET,
				 face.default_route, "%s", face.text);
		if (!ret && set)
			ic_use_comes_over(above.v[i], &set, 1);
	}
out:
	free(above.v);
	return ret;
}

int ic_use_net(struct ic_scan *scan)
{
	struct iommucfg_topology *topology = scan->topology;
	int ret = 0, error = 0;
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(topology->ctx->sysfd, "class/net");
	if (!dir)
		error = -errno;
	while (dir && !ret && (e = ic_readdir(dir, &error)))
		if (*e->d_name != '.')
			ret = use_interface(topology, scan->net, dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	return ret || !error ? ret :
	       ic_unread(topology, NULL, IC_MAYBE_NET | IC_MAYBE_DEFAULT_ROUTE, error,
			 "sys/class/net");
}
