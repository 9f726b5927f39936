// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses and routes by interface. The running system is asked by netlink; a
 * saved tree has them in proc/net, as far as files can tell.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "netinfo.h"

int ic_netinfo_add_address(struct ic_netinfo *info, const char *ifname, int family,
			   const void *address, int prefix)
{
	char text[INET6_ADDRSTRLEN];
	struct ic_own_address *a;

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

int ic_netinfo_add_route(struct ic_netinfo *info, const struct ic_route *route)
{
	if (IC_GROW(info->routes, info->num_routes, info->cap_routes))
		return -ENOMEM;
	info->routes[info->num_routes++] = *route;
	return 0;
}

/* An address in text of that length, with or without the brackets of IPv6. */
bool ic_address_parse(const char *text, size_t length, struct ic_address *address)
{
	char buf[INET6_ADDRSTRLEN + IFNAMSIZ + 2];

	if (length > 1 && *text == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= sizeof(buf))
		return false;
	memcpy(buf, text, length);
	buf[length] = '\0';
	buf[strcspn(buf, "%")] = '\0';
	memset(address, 0, sizeof(*address));
	address->family = strchr(buf, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(address->family, buf, address->bytes) != 1)
		return false;
	/* ::ffff:192.0.2.1, as a server that listens on IPv6 has it. */
	if (address->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)address->bytes)) {
		address->family = AF_INET;
		memmove(address->bytes, address->bytes + 12, 4);
	}
	return true;
}

bool ic_address_within(const struct ic_address *address, const struct ic_address *net, int prefix)
{
	int i;

	if (address->family != net->family)
		return false;
	for (i = 0; i < prefix; i++)
		if ((address->bytes[i / 8] ^ net->bytes[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

struct ic_netinfo *ic_netinfo_read(struct iommucfg_topology *topology)
{
	struct ic_netinfo *info;
	int ret;

	info = calloc(1, sizeof(*info));
	if (!info)
		return NULL;
	info->topology = topology;
	ret = ic_netgraph_read(info);
	if (!ret)
		ret = *topology->ctx->root ? ic_netinfo_saved(info) : ic_netinfo_live(info);
	if (!ret)
		ret = ic_netgraph_judge(info);
	if (ret) {
		ic_netinfo_free(info);
		return NULL;
	}
	return info;
}

void ic_netinfo_free(struct ic_netinfo *info)
{
	size_t i;

	if (!info)
		return;
	for (i = 0; i < info->num_interfaces; i++)
		free(info->interfaces[i].lower);
	free(info->interfaces);
	free(info->addresses);
	free(info->routes);
	free(info);
}

/* What has routes and could not be read, or NULL if all could. */
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
