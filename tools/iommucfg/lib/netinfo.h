/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces, addresses and routes: from netlink, or from the files of a saved tree. */
#ifndef IOMMUCFG_NETINFO_H
#define IOMMUCFG_NETINFO_H

#include <net/if.h>
#include <netinet/in.h>

#include "internal.h"

/* An address of either family; IPv4 is in the first four bytes. */
struct ic_address {
	int family;
	unsigned char bytes[16];
};

struct ic_own_address {
	char ifname[IFNAMSIZ];
	char text[INET6_ADDRSTRLEN + 8];
};

/* One leg of a route that packets can take. */
struct ic_route {
	char ifname[IFNAMSIZ];
	struct ic_address to;
	int prefix;
	bool gateway;
};

/* What packets of an interface are known to leave by, and what makes that important. */
struct ic_interface {
	char name[IFNAMSIZ];
	bool is_virtual;
	bool is_switch;		/* of Open vSwitch: its ports are not linked to each other */
	bool is_vrf;		/* or may be one: its routes are in no file */
	bool default_route;
	bool peer;		/* of the ssh session that this runs in */
	size_t *lower;		/* indices of those below it */
	size_t num_lower, cap_lower;
};

struct ic_netinfo {
	struct iommucfg_topology *topology;
	struct ic_own_address *addresses;
	size_t num_addresses, cap_addresses;
	struct ic_route *routes;
	size_t num_routes, cap_routes;
	struct ic_interface *interfaces;
	size_t num_interfaces, cap_interfaces;
	const char *unread;	/* what has routes and could not be read */
	int error;
};

/* netinfo.c */
struct ic_netinfo *ic_netinfo_read(struct iommucfg_topology *topology);
void ic_netinfo_free(struct ic_netinfo *info);
const char *ic_netinfo_unread(const struct ic_netinfo *info, int *error);
const char *ic_netinfo_address(const struct ic_netinfo *info, const char *ifname, size_t index);
int ic_netinfo_add_address(struct ic_netinfo *info, const char *ifname, int family,
			   const void *address, int prefix);
int ic_netinfo_add_route(struct ic_netinfo *info, const struct ic_route *route);
bool ic_address_parse(const char *text, size_t length, struct ic_address *address);
bool ic_address_within(const struct ic_address *address, const struct ic_address *net,
		       int prefix);

/* net-saved.c, net-live.c */
int ic_netinfo_saved(struct ic_netinfo *info);
int ic_netinfo_live(struct ic_netinfo *info);
int ic_netinfo_ask(const struct ic_address *to, char ifname[IFNAMSIZ]);

/* net-graph.c */
int ic_netgraph_read(struct ic_netinfo *info);
int ic_netgraph_add_lower(struct ic_netinfo *info, struct ic_interface *upper,
			  const struct ic_interface *lower);
struct ic_interface *ic_netgraph_find(const struct ic_netinfo *info, const char *name);
int ic_netgraph_judge(struct ic_netinfo *info);
int ic_netgraph_carriers(const struct ic_netinfo *info, const char *ifname, bool *carries);
int ic_netgraph_way(const struct ic_netinfo *info, const struct ic_address *to, bool *carries);

/* net-peer.c */
bool ic_ssh_peer(struct ic_address *peer);

#endif
