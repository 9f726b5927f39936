// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses and routes of a saved tree, from proc/net. There is the main table
 * alone, and of a route of IPv4 with several legs the first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/route.h>
#include <stdio.h>

#include "netinfo.h"

/* Calls @line for each line of a file; or sets *@error where it cannot be read. */
static int each_line(struct ic_netinfo *info, const char *path,
		     int (*line)(struct ic_netinfo *info, const char *text), int *error)
{
	char *text, *p, *save;
	int ret = 0;

	text = ic_read_text(info->topology->ctx->rootfd, path, error);
	if (!text)
		return 0;
	for (p = strtok_r(text, "\n", &save); p && !ret; p = strtok_r(NULL, "\n", &save))
		ret = line(info, p);
	free(text);
	return ret;
}

/* Numbers of IPv4 are written in the machine's byte order. */
static int line_route(struct ic_netinfo *info, const char *text)
{
	struct ic_route route = { .to.family = AF_INET };
	unsigned int to, gateway, flags, mask;
	in_addr_t address;

	if (sscanf(text, "%15s %x %x %x %*d %*u %*d %x", route.ifname, &to, &gateway, &flags,
		   &mask) != 5 || !(flags & RTF_UP) || flags & RTF_REJECT)
		return 0;
	address = to;
	memcpy(route.to.bytes, &address, sizeof(address));
	route.prefix = __builtin_popcount(mask);
	route.gateway = flags & RTF_GATEWAY || gateway;
	return ic_netinfo_add_route(info, &route);
}

static bool parse_hex(const char *hex, unsigned char *bytes)
{
	unsigned int byte;
	size_t i;

	if (strlen(hex) != 32)
		return false;
	for (i = 0; i < 16; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		bytes[i] = byte;
	}
	return true;
}

static int line_route6(struct ic_netinfo *info, const char *text)
{
	struct ic_route route = { .to.family = AF_INET6 };
	char to[33], gateway[33];
	unsigned int prefix, flags;

	if (sscanf(text, "%32s %x %*s %*x %32s %*x %*x %*x %x %15s", to, &prefix, gateway, &flags,
		   route.ifname) != 5 || prefix > 128 || !parse_hex(to, route.to.bytes) ||
	    !(flags & RTF_UP) || flags & RTF_REJECT || !strcmp(route.ifname, "lo"))
		return 0;
	route.prefix = prefix;
	route.gateway = strspn(gateway, "0") != 32;
	return ic_netinfo_add_route(info, &route);
}

static int line_inet6(struct ic_netinfo *info, const char *text)
{
	char hex[33], ifname[IFNAMSIZ];
	unsigned char address[16];
	unsigned int prefix;

	if (sscanf(text, "%32s %*x %x %*x %*x %15s", hex, &prefix, ifname) != 3 ||
	    !parse_hex(hex, address))
		return 0;
	return ic_netinfo_add_address(info, ifname, AF_INET6, address, prefix);
}

/* fib_trie has our addresses, but not on which interface: routes tell. */
static int own_address(struct ic_netinfo *info, const struct ic_address *address)
{
	const struct ic_route *r, *best = NULL;
	char text[INET_ADDRSTRLEN];
	size_t i;

	for (i = 0; i < info->num_routes; i++) {
		r = &info->routes[i];
		if (!r->gateway && r->prefix && ic_address_within(address, &r->to, r->prefix) &&
		    (!best || r->prefix > best->prefix))
			best = r;
	}
	inet_ntop(AF_INET, address->bytes, text, sizeof(text));
	for (i = 0; i < info->num_addresses && best; i++)
		/* The trie has it once per table. */
		if (!strncmp(info->addresses[i].text, text, strlen(text)) &&
		    info->addresses[i].text[strlen(text)] == '/')
			best = NULL;
	return best ? ic_netinfo_add_address(info, best->ifname, AF_INET, address->bytes,
					     best->prefix) : 0;
}

static int read_addresses(struct ic_netinfo *info)
{
	struct iommucfg_topology *topology = info->topology;
	struct ic_address address = { 0 };
	char *text, *p, *save, word[32];
	bool known = false;
	int ret, error;

	ret = each_line(info, "proc/net/if_inet6", line_inet6, &error);
	if (!ret && error)
		ret = ic_unread(topology, NULL, 0, error, "proc/net/if_inet6");
	if (ret)
		return ret;
	text = ic_read_text(topology->ctx->rootfd, "proc/net/fib_trie", &error);
	if (!text)
		return ic_unread(topology, NULL, 0, error, "proc/net/fib_trie");
	for (p = strtok_r(text, "\n", &save); p && !ret; p = strtok_r(NULL, "\n", &save)) {
		if (sscanf(p, " |-- %31s", word) == 1)
			known = ic_address_parse(word, strlen(word), &address);
		else if (known && strstr(p, "/32 host LOCAL"))
			ret = own_address(info, &address);
	}
	free(text);
	return ret;
}

static int read_routes(struct ic_netinfo *info, const char *path,
		       int (*line)(struct ic_netinfo *info, const char *text))
{
	int ret, error;

	ret = each_line(info, path, line, &error);
	if (!ret && error && !ic_is_gone(error)) {
		info->unread = path;
		info->error = error;
	}
	return ret;
}

int ic_netinfo_saved(struct ic_netinfo *info)
{
	int ret;

	ret = read_routes(info, "proc/net/route", line_route);
	if (!ret)
		ret = read_routes(info, "proc/net/ipv6_route", line_route6);
	return ret ? ret : read_addresses(info);
}
