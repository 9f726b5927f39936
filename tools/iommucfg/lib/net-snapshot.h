/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is on interfaces before a change, to be compared with what is there after it.
 * Kept as the kernel's own messages: what has to be put back is sent as it was told.
 */
#ifndef IOMMUCFG_NET_SNAPSHOT_H
#define IOMMUCFG_NET_SNAPSHOT_H

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <time.h>

#include "internal.h"
#include "netlink.h"

struct json_object;

/* What brings an interface back by itself. */
enum ic_manager {
	IC_MANAGER_NONE,
	IC_MANAGER_NETWORKMANAGER,
	IC_MANAGER_NETWORKD,
	IC_MANAGER_IFUPDOWN,
	IC_MANAGER_UNKNOWN,	/* could not be asked */
};

struct ic_net_link {
	struct nlmsghdr *nlh;
	/* of the message */
	int index;
	char name[IFNAMSIZ];
	const char *kind;		/* of a virtual one, else NULL */
	const struct nlattr *data;	/* what its kind has to say, or NULL */
	const struct nlattr *mac, *permanent_mac;
	int master, lower;		/* 0: none */
	uint32_t mtu;
	bool up;
	/* of sysfs */
	char *path;			/* of its device below /sys, NULL: virtual */
	unsigned long port;
	/* of a snapshot only */
	int device;			/* the one that changes; -1: stacked on others */
	enum ic_manager manager;
	bool vital;			/* carries the default route, or the ssh session */
	int now;			/* its index after the change, 0: not there */
	int error;			/* why something could not be put back */
};

/* An address or a route. */
struct ic_net_message {
	struct nlmsghdr *nlh;
	int index;		/* of the interface that it is on; of a route, of one of them */
	bool missing;
};

struct ic_net_messages {
	struct ic_net_message *v;
	size_t n, cap;
};

/* All interfaces, addresses and routes, or those of a snapshot. */
struct ic_net {
	struct ic_net_link *links;
	size_t num_links, cap_links;
	struct ic_net_messages addresses, routes;
};

/* A device of a group that changes. */
struct ic_net_device {
	char *name;
	char *path;		/* below /sys */
	long group;
};

/* A snapshot. */
struct iommucfg_network {
	unsigned int refs;
	struct iommucfg *ctx;
	struct ic_net net;
	struct ic_net_device *devices;
	size_t num_devices, cap_devices;
	bool takes_over;	/* puts back what managers should have brought back as well */
	struct timespec taken;	/* by CLOCK_BOOTTIME, as lifetimes of addresses go on in suspend */
};

/* net-snapshot.c */
int ic_net_read(struct iommucfg *ctx, struct ic_net *net);
void ic_net_clear(struct ic_net *net);
struct ic_net_link *ic_net_link(const struct ic_net *net, int index);
int ic_net_snapshot_take(struct iommucfg_topology *topology,
			 struct iommucfg_group *const *groups, size_t count,
			 struct iommucfg_network **out);
int ic_net_snapshot_again(struct iommucfg_network *before, struct iommucfg_network **out);

/* net-message.c: of the kernel's messages */
struct nlmsghdr *ic_net_copy(const struct nlmsghdr *nlh, size_t header, const uint16_t *wanted,
			     size_t count);
int ic_net_link_parse(struct ic_net_link *link);
const struct nlattr *ic_net_attr(const struct nlmsghdr *nlh, size_t header, int type);
bool ic_net_address_counts(const struct nlmsghdr *nlh);
bool ic_net_address_expired(const struct nlmsghdr *nlh, long elapsed);
bool ic_net_address_same(const struct nlmsghdr *a, const struct nlmsghdr *b);
bool ic_net_route_counts(const struct nlmsghdr *nlh);
uint32_t ic_net_route_table(const struct nlmsghdr *nlh);

/* A leg of a route: by which interface, and to which gateway. */
struct ic_net_leg {
	int index;
	const struct nlattr *gateway;	/* RTA_GATEWAY or RTA_VIA, or NULL */
};

typedef bool (*ic_net_leg_fn)(const struct ic_net_leg *leg, void *data);
bool ic_net_route_any(const struct nlmsghdr *nlh, ic_net_leg_fn fn, void *data);
bool ic_net_route_same(const struct nlmsghdr *a, const struct nlmsghdr *b);
void ic_net_address_text(const struct nlmsghdr *nlh, char *buf, size_t size);
void ic_net_route_text(const struct nlmsghdr *nlh, char *buf, size_t size);

/* net-find.c */
void ic_net_find(struct iommucfg_network *before, const struct ic_net *now);
int ic_net_now(const struct iommucfg_network *before, int index);

/* net-compare.c */
size_t ic_net_compare(struct iommucfg_network *before, const struct ic_net *now);
bool ic_net_is_missing(const struct iommucfg_network *before, const struct ic_net *now,
		       const struct ic_net_link *link);
int ic_net_missing_text(const struct iommucfg_network *before, const struct ic_net *now,
			const struct ic_net_link *link, char **text);

/* net-tell.c */
void ic_net_tell(const struct iommucfg_network *before, const struct ic_net *now, bool refuse,
		 struct iommucfg_problems *problems);

/* net-restore.c */
int ic_net_restore(struct iommucfg_network *before, const struct ic_net *now, bool patient);

/* net-settle.c */
enum ic_net_outcome {
	IC_NET_SAME,
	IC_NET_DIFFERS,
	IC_NET_VITAL,		/* so that the change cannot stay */
	IC_NET_AGAIN,		/* wait a moment and ask again */
};

/* For how many seconds what is missing is waited for: what nothing manages, and the rest. */
struct ic_net_limits {
	long own, manager;
};

#define IC_NET_SECONDS		10
#define IC_NET_MANAGER_SECONDS	60

enum ic_net_outcome ic_net_settle(struct iommucfg_network *network, long elapsed,
				  const struct ic_net_limits *limits, bool refuse,
				  struct iommucfg_problems *problems);
void ic_net_put_back(struct iommucfg_network *network);

/* net-manager.c */
struct ic_managers;
struct ic_managers *ic_managers_open(struct iommucfg *ctx);
enum ic_manager ic_managers_ask(struct ic_managers *managers, const char *name, int index);
void ic_managers_close(struct ic_managers *managers);
const char *ic_manager_name(enum ic_manager manager);

/* net-json.c */
struct json_object *ic_net_snapshot_to_json(const struct iommucfg_network *snapshot);
int ic_net_snapshot_from_json(struct iommucfg *ctx, struct json_object *o,
			      struct iommucfg_network **out);

#endif
