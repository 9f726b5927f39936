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

#include "internal.h"

#define MAX_STACK	8	/* of a bridge on a VLAN on a bond ... */

/* What is on an interface and on those above it, as text. */
struct face {
	struct iommucfg *ctx;
	const struct ic_netinfo *info;
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

static void look(struct face *face, const char *name, int depth)
{
	const char *address;
	char path[PATH_MAX];
	struct dirent *e;
	size_t i;
	DIR *dir;

	for (i = 0; (address = ic_netinfo_address(face->info, name, i)); i++)
		say(face, "", address);
	if (ic_netinfo_default_route(face->info, name))
		face->default_route = true;
	if (depth > MAX_STACK)
		return;
	snprintf(path, sizeof(path), "class/net/%s", name);
	dir = ic_opendirat(face->ctx->sysfd, path);
	if (!dir)
		return;
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, "upper_", 6)) {
			say(face, "below ", e->d_name + 6);
			look(face, e->d_name + 6, depth + 1);
		}
	closedir(dir);
}

static int use_interface(struct iommucfg_topology *topology, const struct ic_netinfo *info,
			 int dirfd, const char *name)
{
	struct face face = { .ctx = topology->ctx, .info = info };
	struct ic_devices above = { 0 };
	char path[PATH_MAX], buf[32];
	unsigned long flags = 0;
	char *syspath;
	size_t i;
	int ret;

	syspath = ic_sys_link(dirfd, name, "class/net");
	if (!syspath)
		return 0;
	ret = ic_devices_above(topology, syspath, &above);
	free(syspath);
	if (ret || !above.n)
		goto out;
	snprintf(path, sizeof(path), "%s/flags", name);
	if (ic_read_attr(dirfd, path, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 16, ULONG_MAX, &flags) || !(flags & IFF_UP))
		goto out;
	say(&face, "up", "");
	look(&face, name, 0);
	if (face.default_route)
		say(&face, "default route", "");
	for (i = 0; i < above.n && !ret; i++)
		ret = ic_use_add(above.v[i], "net", name, IOMMUCFG_GUARD_NET, face.default_route,
				 "%s", face.text);
out:
	free(above.v);
	return ret;
}

int ic_use_net(struct iommucfg_topology *topology)
{
	struct ic_netinfo *info;
	struct dirent *e;
	DIR *dir;
	int ret = 0;

	dir = ic_opendirat(topology->ctx->sysfd, "class/net");
	if (!dir)
		return errno == ENOMEM ? -ENOMEM : 0;
	info = ic_netinfo_read(topology->ctx);
	if (!info)
		ret = -ENOMEM;
	while (!ret && (e = readdir(dir)))
		if (*e->d_name != '.')
			ret = use_interface(topology, info, dirfd(dir), e->d_name);
	ic_netinfo_free(info);
	closedir(dir);
	return ret;
}
