// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses and default routes by interface. The running system is asked
 * through getifaddrs(); a saved tree has them in proc/net.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>

#include "internal.h"

struct address {
	char ifname[IFNAMSIZ];
	char text[INET6_ADDRSTRLEN + 8];
};

struct route {
	char ifname[IFNAMSIZ];
	in_addr_t to, mask;
	bool gateway, def;
};

struct ic_netinfo {
	struct address *addresses;
	size_t num_addresses, cap_addresses;
	struct route *routes;
	size_t num_routes, cap_routes;
	const char *unread;	/* the file with routes that could not be read */
	int error;
};

static int add_address(struct ic_netinfo *info, const char *ifname, int family,
		       const void *address, int prefix)
{
	struct address *a;
	char text[INET6_ADDRSTRLEN];

	if (IC_GROW(info->addresses, info->num_addresses, info->cap_addresses))
		return -ENOMEM;
	a = &info->addresses[info->num_addresses];
	if (!inet_ntop(family, address, text, sizeof(text)))
		return 0;
	snprintf(a->ifname, sizeof(a->ifname), "%s", ifname);
	snprintf(a->text, sizeof(a->text), "%s/%d", text, prefix);
	info->num_addresses++;
	return 0;
}

static int prefix_of(const unsigned char *mask, size_t size)
{
	int bits = 0;
	size_t i;

	for (i = 0; i < size; i++)
		bits += __builtin_popcount(mask[i]);
	return bits;
}

static int live_addresses(struct iommucfg_topology *topology, struct ic_netinfo *info)
{
	const struct sockaddr_in6 *in6, *mask6;
	const struct sockaddr_in *in, *mask;
	struct ifaddrs *list, *i;
	int ret = 0;

	if (getifaddrs(&list))
		return ic_unread(topology, NULL, 0, -errno, "proc/net (by netlink)");
	for (i = list; i && !ret; i = i->ifa_next) {
		if (!i->ifa_addr || !i->ifa_netmask)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			in = (const void *)i->ifa_addr;
			mask = (const void *)i->ifa_netmask;
			ret = add_address(info, i->ifa_name, AF_INET, &in->sin_addr,
					  prefix_of((const void *)&mask->sin_addr, 4));
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			in6 = (const void *)i->ifa_addr;
			mask6 = (const void *)i->ifa_netmask;
			ret = add_address(info, i->ifa_name, AF_INET6, &in6->sin6_addr,
					  prefix_of((const void *)&mask6->sin6_addr, 16));
		}
	}
	freeifaddrs(list);
	return ret;
}

/* Calls @line for each line of a file; or sets *@error where it cannot be read. */
static int each_line(struct iommucfg *ctx, const char *path, struct ic_netinfo *info,
		     int (*line)(struct ic_netinfo *info, const char *text), int *error)
{
	char *text, *p, *save;
	int ret = 0;

	text = ic_read_text(ctx->rootfd, path, error);
	if (!text)
		return 0;
	for (p = strtok_r(text, "\n", &save); p && !ret; p = strtok_r(NULL, "\n", &save))
		ret = line(info, p);
	free(text);
	return ret;
}

static int add_route(struct ic_netinfo *info, const struct route *route)
{
	if (IC_GROW(info->routes, info->num_routes, info->cap_routes))
		return -ENOMEM;
	info->routes[info->num_routes++] = *route;
	return 0;
}

static int line_route(struct ic_netinfo *info, const char *text)
{
	unsigned int to, gateway, flags, mask;
	struct route route = { 0 };

	if (sscanf(text, "%15s %x %x %x %*d %*u %*d %x", route.ifname, &to, &gateway, &flags,
		   &mask) != 5 || !(flags & RTF_UP) || flags & RTF_REJECT)
		return 0;
	route.to = to;
	route.mask = mask;
	route.gateway = gateway;
	route.def = !to && !mask;
	return add_route(info, &route);
}

static int line_route6(struct ic_netinfo *info, const char *text)
{
	struct route route = { .def = true, .gateway = true };
	char to[33];
	unsigned int prefix, flags;

	if (sscanf(text, "%32s %x %*s %*x %*s %*x %*x %*x %x %15s", to, &prefix, &flags,
		   route.ifname) != 4 || prefix || strspn(to, "0") != 32 ||
	    !(flags & RTF_UP) || flags & RTF_REJECT || !strcmp(route.ifname, "lo"))
		return 0;
	return add_route(info, &route);
}

static int line_inet6(struct ic_netinfo *info, const char *text)
{
	char hex[33], ifname[IFNAMSIZ];
	struct in6_addr address;
	unsigned int prefix, byte, i;

	if (sscanf(text, "%32s %*x %x %*x %*x %15s", hex, &prefix, ifname) != 3 ||
	    strlen(hex) != 32)
		return 0;
	for (i = 0; i < 16; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return 0;
		address.s6_addr[i] = byte;
	}
	return add_address(info, ifname, AF_INET6, &address, prefix);
}

/* fib_trie has our addresses, but not on which interface: routes tell. */
static int own_address(struct ic_netinfo *info, in_addr_t address)
{
	const struct route *r, *best = NULL;
	size_t i;

	for (i = 0; i < info->num_routes; i++) {
		r = &info->routes[i];
		if (r->gateway || !r->mask || (address & r->mask) != r->to)
			continue;
		if (!best || ntohl(r->mask) > ntohl(best->mask))
			best = r;
	}
	for (i = 0; i < info->num_addresses && best; i++) {
		char text[INET_ADDRSTRLEN];

		/* The trie has it once per table. */
		inet_ntop(AF_INET, &address, text, sizeof(text));
		if (!strncmp(info->addresses[i].text, text, strlen(text)) &&
		    info->addresses[i].text[strlen(text)] == '/')
			best = NULL;
	}
	return best ? add_address(info, best->ifname, AF_INET, &address,
				  __builtin_popcount(best->mask)) : 0;
}

static int saved_addresses(struct iommucfg_topology *topology, struct ic_netinfo *info)
{
	struct iommucfg *ctx = topology->ctx;
	struct in_addr address = { 0 };
	char *text, *p, *save, word[32];
	int ret, error;

	ret = each_line(ctx, "proc/net/if_inet6", info, line_inet6, &error);
	if (!ret && error)
		ret = ic_unread(topology, NULL, 0, error, "proc/net/if_inet6");
	if (ret)
		return ret;
	text = ic_read_text(ctx->rootfd, "proc/net/fib_trie", &error);
	if (!text)
		return ic_unread(topology, NULL, 0, error, "proc/net/fib_trie");
	for (p = strtok_r(text, "\n", &save); p && !ret; p = strtok_r(NULL, "\n", &save)) {
		if (sscanf(p, " |-- %31s", word) == 1) {
			if (!inet_aton(word, &address))
				address.s_addr = 0;
		} else if (strstr(p, "/32 host LOCAL") && address.s_addr) {
			ret = own_address(info, address.s_addr);
		}
	}
	free(text);
	return ret;
}

static int read_routes(struct iommucfg *ctx, const char *path, struct ic_netinfo *info,
		       int (*line)(struct ic_netinfo *info, const char *text))
{
	int ret, error;

	ret = each_line(ctx, path, info, line, &error);
	if (!ret && error && !ic_is_gone(error)) {
		info->unread = path;
		info->error = error;
	}
	return ret;
}

struct ic_netinfo *ic_netinfo_read(struct iommucfg_topology *topology)
{
	struct iommucfg *ctx = topology->ctx;
	struct ic_netinfo *info;
	int ret;

	info = calloc(1, sizeof(*info));
	if (!info)
		return NULL;
	ret = read_routes(ctx, "proc/net/route", info, line_route);
	if (!ret)
		ret = read_routes(ctx, "proc/net/ipv6_route", info, line_route6);
	if (!ret)
		ret = *ctx->root ? saved_addresses(topology, info) :
				   live_addresses(topology, info);
	if (ret) {
		ic_netinfo_free(info);
		return NULL;
	}
	return info;
}

void ic_netinfo_free(struct ic_netinfo *info)
{
	if (!info)
		return;
	free(info->addresses);
	free(info->routes);
	free(info);
}

bool ic_netinfo_default_route(const struct ic_netinfo *info, const char *ifname)
{
	size_t i;

	for (i = 0; i < info->num_routes; i++)
		if (info->routes[i].def && !strcmp(info->routes[i].ifname, ifname))
			return true;
	return false;
}

/* The file with routes that could not be read, or NULL if all could. */
const char *ic_netinfo_unread(const struct ic_netinfo *info, int *error)
{
	*error = info->error;
	return info->unread;
}

/* The address at an index among those of @ifname, or NULL. */
const char *ic_netinfo_address(const struct ic_netinfo *info, const char *ifname, size_t index)
{
	size_t i;

	for (i = 0; i < info->num_addresses; i++)
		if (!strcmp(info->addresses[i].ifname, ifname) && !index--)
			return info->addresses[i].text;
	return NULL;
}
