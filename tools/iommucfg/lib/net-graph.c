// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which interfaces carry what: the packets of a bridge leave by its ports, those of
 * a tunnel by whatever leads to its other end. Where that cannot be told all that
 * it may be are taken.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netinfo.h"

static int by_name(const void *a, const void *b)
{
	const struct ic_interface *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Once all have been added. */
struct ic_interface *ic_netgraph_find(const struct ic_netinfo *info, const char *name)
{
	struct ic_interface key = { 0 };

	if (strlen(name) >= sizeof(key.name) || !info->num_interfaces)
		return NULL;
	strcpy(key.name, name);
	return bsearch(&key, info->interfaces, info->num_interfaces, sizeof(key), by_name);
}

static bool has_file(const struct ic_netinfo *info, const char *name, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "class/net/%s/%s", name, file);
	return !faccessat(info->topology->ctx->sysfd, path, F_OK, 0);
}

/*
 * In a saved tree the routes of a VRF are in no file, nor is what kind an interface is.
 * One that has others below it, and is not known to be of another kind, may be one.
 */
static bool may_be_vrf(const struct ic_netinfo *info, const char *name)
{
	static const char *const prefixes[] = { "br", "vmbr", "bond", "team", "vlan", "ovs", "virbr" };
	char path[PATH_MAX], buf[4096];
	size_t i;

	if (strstr(name, "vrf"))
		return true;
	for (i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return false;
	if (strchr(name, '.') || has_file(info, name, "bridge") || has_file(info, name, "bonding"))
		return false;
	snprintf(path, sizeof(path), "class/net/%s/uevent", name);
	return ic_read_attr(info->topology->ctx->sysfd, path, buf, sizeof(buf)) <= 0 ||
	       !strstr(buf, "DEVTYPE=");
}

static int add_interface(struct ic_netinfo *info, int dirfd, const char *name)
{
	struct ic_interface *interface;
	char *syspath;
	int ret;

	syspath = ic_sys_link(dirfd, name, "class/net");
	if (!syspath || strlen(name) >= IFNAMSIZ) {
		free(syspath);
		return 0;
	}
	ret = IC_GROW(info->interfaces, info->num_interfaces, info->cap_interfaces);
	if (!ret) {
		interface = &info->interfaces[info->num_interfaces++];
		*interface = (struct ic_interface){
			.is_virtual = strstr(syspath, "/virtual/net/"),
			.is_switch = !strcmp(name, "ovs-system"),
		};
		memcpy(interface->name, name, strlen(name));
	}
	free(syspath);
	return ret;
}

int ic_netgraph_add_lower(struct ic_netinfo *info, struct ic_interface *upper,
			  const struct ic_interface *lower)
{
	size_t i, index = lower ? lower - info->interfaces : 0;

	if (!upper || !lower || upper == lower)
		return 0;
	for (i = 0; i < upper->num_lower; i++)
		if (upper->lower[i] == index)
			return 0;
	if (IC_GROW(upper->lower, upper->num_lower, upper->cap_lower))
		return -ENOMEM;
	upper->lower[upper->num_lower++] = index;
	return 0;
}

static int read_links(struct ic_netinfo *info, struct ic_interface *interface)
{
	char path[PATH_MAX];
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "class/net/%s", interface->name);
	dir = ic_opendirat(info->topology->ctx->sysfd, path);
	while (dir && !ret && (e = readdir(dir))) {
		if (!strncmp(e->d_name, "upper_", 6))
			ret = ic_netgraph_add_lower(info, ic_netgraph_find(info, e->d_name + 6),
						    interface);
		else if (!strncmp(e->d_name, "lower_", 6))
			ret = ic_netgraph_add_lower(info, interface,
						    ic_netgraph_find(info, e->d_name + 6));
	}
	if (dir)
		closedir(dir);
	return ret;
}

static int number_of(const struct ic_netinfo *info, const struct ic_interface *interface,
		     const char *file)
{
	unsigned long number = 0;
	char path[PATH_MAX], buf[32];

	snprintf(path, sizeof(path), "class/net/%s/%s", interface->name, file);
	if (ic_read_attr(info->topology->ctx->sysfd, path, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 10, INT_MAX, &number))
		return 0;
	return number;
}

/*
 * What a tunnel was told to leave by, in a saved tree. The number that one of a pair of
 * virtual interfaces has there is that of the other one, maybe in another namespace.
 */
static int join_by_number(struct ic_netinfo *info)
{
	struct ic_interface *upper;
	int *numbers, link, ret = 0;
	size_t i, j;

	numbers = calloc(info->num_interfaces + 1, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	for (i = 0; i < info->num_interfaces; i++)
		numbers[i] = number_of(info, &info->interfaces[i], "ifindex");
	for (i = 0; i < info->num_interfaces; i++) {
		upper = &info->interfaces[i];
		if (!upper->is_virtual || upper->num_lower || !strncmp(upper->name, "veth", 4))
			continue;
		link = number_of(info, upper, "iflink");
		for (j = 0; j < info->num_interfaces && link && link != numbers[i] && !ret; j++)
			if (numbers[j] == link)
				ret = ic_netgraph_add_lower(info, upper, &info->interfaces[j]);
	}
	free(numbers);
	return ret;
}

/* "000000BA 00:11:22:33:44:55 eth1": which ppp interface is whose is in no file. */
static int join_pppoe(struct ic_netinfo *info)
{
	char *text, *p, *save, name[IFNAMSIZ];
	int ret = 0;
	size_t i;

	text = ic_read_text(info->topology->ctx->rootfd, "proc/net/pppoe", NULL);
	for (p = text ? strtok_r(text, "\n", &save) : NULL; p; p = strtok_r(NULL, "\n", &save)) {
		if (sscanf(p, "%*x %*s %15s", name) != 1)
			continue;
		for (i = 0; i < info->num_interfaces && !ret; i++)
			if (!strncmp(info->interfaces[i].name, "ppp", 3))
				ret = ic_netgraph_add_lower(info, &info->interfaces[i],
							    ic_netgraph_find(info, name));
	}
	free(text);
	return ret;
}

/* What cannot be read the scan of what is in use has told. */
int ic_netgraph_read(struct ic_netinfo *info)
{
	struct dirent *e;
	int ret = 0;
	size_t i;
	DIR *dir;

	dir = ic_opendirat(info->topology->ctx->sysfd, "class/net");
	while (dir && !ret && (e = readdir(dir)))
		if (*e->d_name != '.')
			ret = add_interface(info, dirfd(dir), e->d_name);
	if (dir)
		closedir(dir);
	if (info->num_interfaces)
		qsort(info->interfaces, info->num_interfaces, sizeof(*info->interfaces), by_name);
	for (i = 0; i < info->num_interfaces && !ret; i++)
		ret = read_links(info, &info->interfaces[i]);
	for (i = 0; i < info->num_interfaces && !ret; i++)
		info->interfaces[i].is_vrf = info->interfaces[i].is_virtual &&
			info->interfaces[i].num_lower &&
			may_be_vrf(info, info->interfaces[i].name);
	if (!ret && *info->topology->ctx->root)
		ret = join_by_number(info);
	return ret ? ret : join_pppoe(info);
}

static void carry(const struct ic_netinfo *info, const struct ic_interface *interface,
		  bool *carries);

/* The ports of a switch, whose interfaces in the host are not linked to them. */
static bool carry_ports(const struct ic_netinfo *info, bool *carries)
{
	const struct ic_interface *s;
	bool any = false;
	size_t i, j;

	for (i = 0; i < info->num_interfaces; i++) {
		s = &info->interfaces[i];
		for (j = 0; s->is_switch && j < s->num_lower; j++) {
			any = true;
			carry(info, &info->interfaces[s->lower[j]], carries);
		}
	}
	return any;
}

/* Is it an interface of a switch? Of a saved tree it is not known which ones are. */
static bool leaves_by_switch(const struct ic_netinfo *info, const struct ic_interface *interface)
{
	size_t i;

	if (!*info->topology->ctx->root)
		return interface->is_switch;
	for (i = 0; i < info->num_interfaces; i++)
		if (info->interfaces[i].is_switch && info->interfaces[i].num_lower)
			return true;
	return false;
}

/* A tunnel's packets go to another host: by an interface with a gateway, if there is one. */
static void carry_underlay(const struct ic_netinfo *info, const struct ic_interface *tunnel,
			   bool *carries)
{
	const struct ic_interface *interface;
	bool any;
	size_t i;

	any = carry_ports(info, carries);
	if (any && tunnel->is_switch && !*info->topology->ctx->root)
		return;
	for (i = 0; i < info->num_routes; i++) {
		interface = info->routes[i].gateway ?
			    ic_netgraph_find(info, info->routes[i].ifname) : NULL;
		if (!interface || interface == tunnel)
			continue;
		any = true;
		carry(info, interface, carries);
	}
	for (i = 0; i < info->num_interfaces && !any; i++)
		carries[i] |= !info->interfaces[i].is_virtual;
}

/* Marks an interface and all that carry it. */
static void carry(const struct ic_netinfo *info, const struct ic_interface *interface,
		  bool *carries)
{
	size_t i, index = interface - info->interfaces;

	if (carries[index])
		return;
	carries[index] = true;
	for (i = 0; i < interface->num_lower; i++)
		carry(info, &info->interfaces[interface->lower[i]], carries);
	if (!interface->num_lower && interface->is_virtual && strcmp(interface->name, "lo"))
		carry_underlay(info, interface, carries);
}

/* @carries has a place for each interface. */
int ic_netgraph_carriers(const struct ic_netinfo *info, const char *ifname, bool *carries)
{
	const struct ic_interface *interface = ic_netgraph_find(info, ifname);

	if (!interface)
		return -ENODEV;
	carry(info, interface, carries);
	return 0;
}

/*
 * 0/1 and 128/1, or more and smaller parts, are a default route in all but name; what
 * a site routes has 8 bits at least, and of IPv6 more than the 3 of all that is global.
 */
static bool is_default(const struct ic_route *route)
{
	if (route->to.family == AF_INET6)
		return route->prefix <= 3;
	return !route->prefix || (route->prefix < 8 && route->to.bytes[0] < 224);
}

static bool has_route(const struct ic_netinfo *info, const char *ifname)
{
	size_t i;

	for (i = 0; i < info->num_routes; i++)
		if (!strcmp(info->routes[i].ifname, ifname))
			return true;
	return false;
}

static bool is_own(const struct ic_netinfo *info, const struct ic_address *to)
{
	struct ic_address own;
	size_t i;

	for (i = 0; i < info->num_addresses; i++)
		if (ic_address_parse(info->addresses[i].text,
				     strcspn(info->addresses[i].text, "/"), &own) &&
		    own.family == to->family && !memcmp(own.bytes, to->bytes, sizeof(own.bytes)))
			return true;
	return to->family == AF_INET ? to->bytes[0] == 127 :
	       IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)to->bytes);
}

/* All legs of the most specific routes to @to, of whatever table; false where there is none. */
static bool way_by_routes(const struct ic_netinfo *info, const struct ic_address *to,
			  bool *carries)
{
	const struct ic_route *r;
	int best = -1;
	size_t i;

	for (i = 0; i < info->num_routes; i++) {
		r = &info->routes[i];
		if (r->prefix > best && ic_address_within(to, &r->to, r->prefix))
			best = r->prefix;
	}
	for (i = 0; i < info->num_routes && best >= 0; i++) {
		r = &info->routes[i];
		if (r->prefix == best && ic_address_within(to, &r->to, r->prefix))
			ic_netgraph_carriers(info, r->ifname, carries);
	}
	return best >= 0;
}

/* The interfaces that packets to @to leave by; with NULL, to where nothing is known of. */
int ic_netgraph_way(const struct ic_netinfo *info, const struct ic_address *to, bool *carries)
{
	char ifname[IFNAMSIZ] = "";
	bool found = false;
	size_t i;

	if (to && is_own(info, to))
		return 0;
	if (to && !*info->topology->ctx->root && !ic_netinfo_ask(to, ifname) && *ifname) {
		ic_netgraph_carriers(info, ifname, carries);
		found = true;
	}
	if (to)
		found |= way_by_routes(info, to, carries);
	for (i = 0; i < info->num_interfaces && !found; i++)
		if (info->interfaces[i].default_route) {
			carries[i] = true;
			found = true;
		}
	for (i = 0; i < info->num_interfaces && !found; i++)
		carries[i] |= !info->interfaces[i].is_virtual;
	return 0;
}

/* Marks an interface and all that are linked below it. */
static void mark_below(const struct ic_netinfo *info, const struct ic_interface *interface,
		       bool *marks)
{
	size_t i, index = interface - info->interfaces;

	if (marks[index])
		return;
	marks[index] = true;
	for (i = 0; i < interface->num_lower; i++)
		mark_below(info, &info->interfaces[interface->lower[i]], marks);
}

static bool any_device(const struct ic_netinfo *info, const bool *marks)
{
	size_t i;

	for (i = 0; i < info->num_interfaces; i++)
		if (marks[i] && !info->interfaces[i].is_virtual)
			return true;
	return false;
}

/* Every running interface has one to its own link, and to groups of receivers there. */
static bool is_of_link(const struct ic_route *route)
{
	return route->to.family == AF_INET6 ?
	       (route->to.bytes[0] == 0xfe && (route->to.bytes[1] & 0xc0) == 0x80) ||
	       route->to.bytes[0] == 0xff : route->to.bytes[0] >= 224;
}

/*
 * The other end of a tunnel with the default route may be reached without a gateway:
 * it may be any interface that has a route.
 */
static int carry_default(const struct ic_netinfo *info, const struct ic_interface *interface,
			 bool *carries)
{
	bool *below = calloc(info->num_interfaces + 1, sizeof(*below));
	const struct ic_interface *other;
	size_t i;

	if (!below)
		return -ENOMEM;
	carry(info, interface, carries);
	mark_below(info, interface, below);
	if (any_device(info, below) || leaves_by_switch(info, interface))
		goto out;
	for (i = 0; i < info->num_routes; i++) {
		other = is_of_link(&info->routes[i]) ? NULL :
			ic_netgraph_find(info, info->routes[i].ifname);
		if (other)
			mark_below(info, other, below);
	}
	for (i = 0; i < info->num_interfaces; i++)
		carries[i] |= below[i] && !info->interfaces[i].is_virtual;
out:
	free(below);
	return 0;
}

/* Marks what the default route and the peer of this session go over. */
int ic_netgraph_judge(struct ic_netinfo *info)
{
	bool *carries = calloc(info->num_interfaces + 1, sizeof(*carries));
	const struct ic_interface *interface;
	struct ic_address peer;
	int ret = 0;
	size_t i;

	if (!carries)
		return -ENOMEM;
	for (i = 0; i < info->num_routes && !ret; i++) {
		interface = is_default(&info->routes[i]) ?
			    ic_netgraph_find(info, info->routes[i].ifname) : NULL;
		if (interface && strcmp(interface->name, "lo"))
			ret = carry_default(info, interface, carries);
	}
	for (i = 0; i < info->num_interfaces; i++)
		if (info->interfaces[i].is_vrf && !has_route(info, info->interfaces[i].name))
			carry(info, &info->interfaces[i], carries);
	for (i = 0; i < info->num_interfaces; i++)
		info->interfaces[i].default_route = carries[i];
	if (!*info->topology->ctx->root && ic_ssh_peer(&peer)) {
		memset(carries, 0, info->num_interfaces * sizeof(*carries));
		ic_netgraph_way(info, &peer, carries);
		for (i = 0; i < info->num_interfaces; i++)
			info->interfaces[i].peer = carries[i];
	}
	free(carries);
	return ret;
}
