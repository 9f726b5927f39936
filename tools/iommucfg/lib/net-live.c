// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses, routes and kinds of interfaces of the running system, by netlink:
 * the routes of all tables, with all their legs, also those of nexthop objects.
 */
#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <unistd.h>

#include "netinfo.h"
#include "netlink.h"

/* The number of an interface, and its index in info->interfaces. */
struct link {
	int number;
	int other;	/* below it, or of a pair its peer, where that is in this namespace */
	bool is_pair;
	size_t index;
};

struct nexthop {
	uint32_t id;
	int oif;
	bool gateway;
	uint32_t *members;	/* of a group */
	size_t num_members;
};

struct dump {
	struct ic_netinfo *info;
	struct ic_netlink netlink;
	struct link *links;
	size_t num_links, cap_links;
	struct nexthop *nexthops;
	size_t num_nexthops, cap_nexthops;
	char ifname[IFNAMSIZ];	/* what the kernel answers to a question */
};

static const char *name_of(const struct dump *dump, int number)
{
	size_t i;

	for (i = 0; i < dump->num_links; i++)
		if (dump->links[i].number == number)
			return dump->info->interfaces[dump->links[i].index].name;
	return NULL;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const char *name = NULL, *kind = NULL;
	struct ic_interface *interface;
	bool elsewhere = false;
	int other = 0;
	struct dump *dump = data;
	struct nlattr *attr, *nested;

	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) {
		if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			name = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == IFLA_LINK)
			other = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_LINK_NETNSID)
			elsewhere = true;
		if (mnl_attr_get_type(attr) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(nested, attr)
			if (mnl_attr_get_type(nested) == IFLA_INFO_KIND)
				kind = mnl_attr_get_str(nested);
	}
	interface = name ? ic_netgraph_find(dump->info, name) : NULL;
	if (!interface)
		return MNL_CB_OK;
	/* Its routes are known, whatever it may look like. */
	interface->is_vrf = false;
	interface->is_switch = kind && !strcmp(kind, "openvswitch");
	if (IC_GROW(dump->links, dump->num_links, dump->cap_links))
		return ic_netlink_stop(-ENOMEM);
	dump->links[dump->num_links++] = (struct link){
		.number = ifi->ifi_index, .index = interface - dump->info->interfaces,
		.other = elsewhere ? 0 : other, .is_pair = kind && !strcmp(kind, "veth"),
	};
	return MNL_CB_OK;
}

/*
 * A tunnel may say what it leaves by. What goes into one of a pair comes out of the
 * other, and into the bridge above that.
 */
static int join_links(struct dump *dump)
{
	struct ic_netinfo *info = dump->info;
	struct ic_interface *one, *other;
	const char *name;
	size_t i, j, k;
	int ret = 0;

	for (i = 0; i < dump->num_links && !ret; i++) {
		name = dump->links[i].other ? name_of(dump, dump->links[i].other) : NULL;
		other = name ? ic_netgraph_find(info, name) : NULL;
		if (!other)
			continue;
		one = &info->interfaces[dump->links[i].index];
		for (j = 0; j < info->num_interfaces && dump->links[i].is_pair && !ret; j++)
			for (k = 0; k < info->interfaces[j].num_lower && !ret; k++)
				if (&info->interfaces[info->interfaces[j].lower[k]] == other &&
				    &info->interfaces[j] != one)
					ret = ic_netgraph_add_lower(info, one,
								    &info->interfaces[j]);
		if (!ret)
			ret = ic_netgraph_add_lower(info, one, other);
	}
	return ret;
}

static int on_nexthop(const struct nlmsghdr *nlh, void *data)
{
	const struct nhmsg *nhm = mnl_nlmsg_get_payload(nlh);
	const struct nexthop_grp *group;
	struct nexthop nexthop = { 0 };
	struct dump *dump = data;
	struct nlattr *attr;
	size_t i, n;

	mnl_attr_for_each(attr, nlh, sizeof(*nhm)) {
		switch (mnl_attr_get_type(attr)) {
		case NHA_ID:
			nexthop.id = mnl_attr_get_u32(attr);
			break;
		case NHA_OIF:
			nexthop.oif = mnl_attr_get_u32(attr);
			break;
		case NHA_GATEWAY:
			nexthop.gateway = true;
			break;
		case NHA_GROUP:
			n = mnl_attr_get_payload_len(attr) / sizeof(*group);
			group = mnl_attr_get_payload(attr);
			free(nexthop.members);
			nexthop.members = calloc(n + 1, sizeof(*nexthop.members));
			if (!nexthop.members)
				return ic_netlink_stop(-ENOMEM);
			for (i = 0; i < n; i++)
				nexthop.members[i] = group[i].id;
			nexthop.num_members = n;
			break;
		}
	}
	if (IC_GROW(dump->nexthops, dump->num_nexthops, dump->cap_nexthops)) {
		free(nexthop.members);
		return ic_netlink_stop(-ENOMEM);
	}
	dump->nexthops[dump->num_nexthops++] = nexthop;
	return MNL_CB_OK;
}

static const struct nexthop *find_nexthop(const struct dump *dump, uint32_t id)
{
	size_t i;

	for (i = 0; i < dump->num_nexthops; i++)
		if (dump->nexthops[i].id == id)
			return &dump->nexthops[i];
	return NULL;
}

static int add_leg(struct dump *dump, struct ic_route *route, int oif, bool gateway)
{
	const char *name = name_of(dump, oif);

	if (!name)
		return 0;
	snprintf(route->ifname, sizeof(route->ifname), "%s", name);
	route->gateway = gateway;
	return ic_netinfo_add_route(dump->info, route);
}

static int add_nexthop(struct dump *dump, struct ic_route *route, uint32_t id)
{
	const struct nexthop *nexthop = find_nexthop(dump, id), *member;
	size_t i;
	int ret;

	if (!nexthop)
		return 0;
	ret = nexthop->oif ? add_leg(dump, route, nexthop->oif, nexthop->gateway) : 0;
	/* A group has no groups in it. */
	for (i = 0; i < nexthop->num_members && !ret; i++) {
		member = find_nexthop(dump, nexthop->members[i]);
		if (member && member->oif)
			ret = add_leg(dump, route, member->oif, member->gateway);
	}
	return ret;
}

static int add_legs(struct dump *dump, struct ic_route *route, const struct nlattr *attr)
{
	const struct rtnexthop *leg = mnl_attr_get_payload(attr);
	int left = mnl_attr_get_payload_len(attr), ret = 0;

	for (; RTNH_OK(leg, left) && !ret; left -= RTNH_ALIGN(leg->rtnh_len), leg = RTNH_NEXT(leg))
		ret = add_leg(dump, route, leg->rtnh_ifindex,
			      leg->rtnh_len > sizeof(*leg));
	return ret;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct ic_route route = { .to.family = rtm->rtm_family, .prefix = rtm->rtm_dst_len };
	uint32_t table = rtm->rtm_table, id = 0;
	const struct nlattr *legs = NULL;
	struct dump *dump = data;
	bool gateway = false;
	struct nlattr *attr;
	int oif = 0, ret;
	size_t size;

	if (rtm->rtm_type != RTN_UNICAST || rtm->rtm_flags & RTM_F_CLONED ||
	    (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_TABLE:
			table = mnl_attr_get_u32(attr);
			break;
		case RTA_DST:
			size = mnl_attr_get_payload_len(attr);
			memcpy(route.to.bytes, mnl_attr_get_payload(attr), size < 16 ? size : 16);
			break;
		case RTA_OIF:
			oif = mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
			gateway = true;
			break;
		case RTA_MULTIPATH:
			legs = attr;
			break;
		case RTA_NH_ID:
			id = mnl_attr_get_u32(attr);
			break;
		}
	}
	if (table == RT_TABLE_LOCAL)
		return MNL_CB_OK;
	/* The kernel tells legs and interface of a nexthop object as well, unless asked not to. */
	if (legs)
		ret = add_legs(dump, &route, legs);
	else if (oif)
		ret = add_leg(dump, &route, oif, gateway);
	else
		ret = add_nexthop(dump, &route, id);
	return ic_netlink_stop(ret);
}

static int on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const void *address = NULL, *local = NULL;
	struct dump *dump = data;
	struct nlattr *attr;
	const char *name;

	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			address = mnl_attr_get_payload(attr);
		if (mnl_attr_get_type(attr) == IFA_LOCAL)
			local = mnl_attr_get_payload(attr);
	}
	/* Of a point-to-point interface the other one is the peer's. */
	if (local)
		address = local;
	name = name_of(dump, ifa->ifa_index);
	if (!name || !address || (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return MNL_CB_OK;
	return ic_netlink_stop(ic_netinfo_add_address(dump->info, name, ifa->ifa_family, address,
						 ifa->ifa_prefixlen));
}

static int on_answer(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct dump *dump = data;
	struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
		if (mnl_attr_get_type(attr) == RTA_OIF &&
		    !if_indextoname(mnl_attr_get_u32(attr), dump->ifname))
			*dump->ifname = '\0';
	return MNL_CB_STOP;
}

/* A kernel before 5.3 has no nexthop objects, and says EOPNOTSUPP. */
static int read_nexthops(struct dump *dump)
{
	int ret = ic_netlink_dump(&dump->netlink, RTM_GETNEXTHOP, AF_UNSPEC,
				  sizeof(struct nhmsg), on_nexthop, dump);

	return ret == -ENOMEM ? ret : 0;
}

static int read_routes(struct dump *dump, int family)
{
	return ic_netlink_dump(&dump->netlink, RTM_GETROUTE, family, sizeof(struct rtmsg),
			       on_route, dump);
}

static int read_all(struct dump *dump)
{
	int ret;

	ret = ic_netlink_dump(&dump->netlink, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg),
			      on_link, dump);
	if (!ret)
		ret = join_links(dump);
	if (!ret)
		ret = ic_netlink_dump(&dump->netlink, RTM_GETADDR, AF_UNSPEC,
				      sizeof(struct ifaddrmsg), on_address, dump);
	if (!ret)
		ret = read_nexthops(dump);
	if (!ret)
		ret = read_routes(dump, AF_INET);
	/* A kernel without IPv6 has no routes of it. */
	if (!ret)
		ret = read_routes(dump, AF_INET6);
	return ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

static int read_once(struct ic_netinfo *info)
{
	struct dump dump = { .info = info };
	size_t i;
	int ret;

	info->num_routes = info->num_addresses = 0;
	ret = ic_netlink_open(&dump.netlink);
	if (!ret) {
		ret = read_all(&dump);
		ic_netlink_close(&dump.netlink);
	}
	for (i = 0; i < dump.num_nexthops; i++)
		free(dump.nexthops[i].members);
	free(dump.nexthops);
	free(dump.links);
	return ret;
}

int ic_netinfo_live(struct ic_netinfo *info)
{
	int ret, tries = 0;

	/* A dump during which something changed says so. */
	do {
		ret = read_once(info);
	} while (ret == -EINTR && ++tries < 5);
	if (ret && ret != -ENOMEM) {
		info->unread = "proc/net (by netlink)";
		info->error = ret;
		ret = 0;
	}
	return ret;
}

/* Which interface the kernel would send to @to by, with all its rules; "" for none. */
int ic_netinfo_ask(const struct ic_address *to, char ifname[IFNAMSIZ])
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int size = to->family == AF_INET ? 4 : 16, ret;
	struct dump dump = { 0 };
	struct rtmsg *rtm;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = to->family;
	rtm->rtm_dst_len = 8 * size;
	mnl_attr_put(nlh, RTA_DST, size, to->bytes);
	ret = ic_netlink_open(&dump.netlink);
	if (!ret) {
		ret = ic_netlink_request(&dump.netlink, nlh, on_answer, &dump);
		ic_netlink_close(&dump.netlink);
	}
	snprintf(ifname, IFNAMSIZ, "%s", ret ? "" : dump.ifname);
	return ret;
}
