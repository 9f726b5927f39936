// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces, addresses and routes as rtnetlink describes them: which of them count in a
 * comparison, which two are the same, and what they are in words.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>

#include "net-snapshot.h"

/* Linux 5.18 has these first. */
#ifndef IFAPROT_KERNEL_LO
#define IFAPROT_KERNEL_LO	1
#endif
#ifndef IFAPROT_KERNEL_LL
#define IFAPROT_KERNEL_LL	3
#endif
#define ATTR_IFA_PROTO		11

#define ADDRESS_HEADER	sizeof(struct ifaddrmsg)
#define ROUTE_HEADER	sizeof(struct rtmsg)

/* A copy of a message, with all attributes where @wanted is NULL. */
struct nlmsghdr *ic_net_copy(const struct nlmsghdr *nlh, size_t header, const uint16_t *wanted,
			     size_t count)
{
	struct nlmsghdr *copy = calloc(1, NLMSG_ALIGN(nlh->nlmsg_len));
	struct nlattr *attr;
	size_t i;

	if (!copy)
		return NULL;
	if (!wanted)
		return memcpy(copy, nlh, nlh->nlmsg_len);
	memcpy(copy, nlh, MNL_NLMSG_HDRLEN + MNL_ALIGN(header));
	copy->nlmsg_len = MNL_NLMSG_HDRLEN + MNL_ALIGN(header);
	mnl_attr_for_each(attr, nlh, header)
		for (i = 0; i < count; i++)
			if (mnl_attr_get_type(attr) == wanted[i])
				mnl_attr_put(copy, attr->nla_type,
					     mnl_attr_get_payload_len(attr),
					     mnl_attr_get_payload(attr));
	return copy;
}

const struct nlattr *ic_net_attr(const struct nlmsghdr *nlh, size_t header, int type)
{
	struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, header)
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static bool same_attr(const struct nlattr *a, const struct nlattr *b)
{
	if (!a || !b)
		return !a && !b;
	return mnl_attr_get_type(a) == mnl_attr_get_type(b) &&
	       mnl_attr_get_payload_len(a) == mnl_attr_get_payload_len(b) &&
	       !memcmp(mnl_attr_get_payload(a), mnl_attr_get_payload(b),
		       mnl_attr_get_payload_len(a));
}

static bool same(const struct nlmsghdr *a, const struct nlmsghdr *b, size_t header, int type)
{
	return same_attr(ic_net_attr(a, header, type), ic_net_attr(b, header, type));
}

static uint32_t number(const struct nlmsghdr *nlh, size_t header, int type, uint32_t otherwise)
{
	const struct nlattr *attr = ic_net_attr(nlh, header, type);

	return attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ?
	       mnl_attr_get_u32(attr) : otherwise;
}

static bool is_link_local(int family, const void *address)
{
	const unsigned char *bytes = address;

	return family == AF_INET6 ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 :
				    bytes[0] == 169 && bytes[1] == 254;
}

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Interfaces -------------------------------------------------------------------- */

/* Fills in what link->nlh says. */
int ic_net_link_parse(struct ic_net_link *link)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(link->nlh);
	struct nlattr *attr, *nested;
	bool elsewhere = false;

	link->index = ifi->ifi_index;
	link->up = ifi->ifi_flags & IFF_UP;
	mnl_attr_for_each(attr, link->nlh, sizeof(*ifi)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(link->name, sizeof(link->name), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_MASTER:
			link->master = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK:
			link->lower = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			elsewhere = true;
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_ADDRESS:
			link->mac = attr;
			break;
		case IFLA_PERM_ADDRESS:
			link->permanent_mac = attr;
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested(nested, attr) {
				if (mnl_attr_get_type(nested) == IFLA_INFO_KIND)
					link->kind = mnl_attr_get_str(nested);
				else if (mnl_attr_get_type(nested) == IFLA_INFO_DATA)
					link->data = nested;
			}
			break;
		}
	}
	/* The other one of a pair is not below it. */
	if (elsewhere || link->lower == link->index || (link->kind && !strcmp(link->kind, "veth")))
		link->lower = 0;
	return *link->name ? 0 : -EINVAL;
}

/* Addresses --------------------------------------------------------------------- */

static const struct nlattr *own_address(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr = ic_net_attr(nlh, ADDRESS_HEADER, IFA_LOCAL);

	/* Of a point-to-point interface the other one is the peer's. */
	return attr ? attr : ic_net_attr(nlh, ADDRESS_HEADER, IFA_ADDRESS);
}

static uint32_t address_flags(const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);

	return number(nlh, ADDRESS_HEADER, IFA_FLAGS, ifa->ifa_flags);
}

/* Is it one that has to be there again? Not what the kernel makes by itself. */
bool ic_net_address_counts(const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *own = own_address(nlh), *proto;

	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return false;
	if (!own || mnl_attr_get_payload_len(own) < address_size(ifa->ifa_family) ||
	    is_link_local(ifa->ifa_family, mnl_attr_get_payload(own)))
		return false;
	/* The same bit means another thing for IPv4. */
	if (ifa->ifa_family == AF_INET6 && address_flags(nlh) & IFA_F_TEMPORARY)
		return false;
	proto = ic_net_attr(nlh, ADDRESS_HEADER, ATTR_IFA_PROTO);
	return !proto || mnl_attr_get_u8(proto) < IFAPROT_KERNEL_LO ||
	       mnl_attr_get_u8(proto) > IFAPROT_KERNEL_LL;
}

bool ic_net_address_expired(const struct nlmsghdr *nlh, long elapsed)
{
	const struct nlattr *attr = ic_net_attr(nlh, ADDRESS_HEADER, IFA_CACHEINFO);
	const struct ifa_cacheinfo *info = attr ? mnl_attr_get_payload(attr) : NULL;

	return info && info->ifa_valid != UINT32_MAX && info->ifa_valid <= elapsed;
}

/* Is what was before in @a there as @b? One that another host has too is not. */
bool ic_net_address_same(const struct nlmsghdr *a, const struct nlmsghdr *b)
{
	const struct ifaddrmsg *x = mnl_nlmsg_get_payload(a), *y = mnl_nlmsg_get_payload(b);

	return x->ifa_family == y->ifa_family && x->ifa_prefixlen == y->ifa_prefixlen &&
	       same(a, b, ADDRESS_HEADER, IFA_ADDRESS) && same(a, b, ADDRESS_HEADER, IFA_LOCAL) &&
	       !(address_flags(b) & IFA_F_DADFAILED & ~address_flags(a));
}

/* "10.0.0.1/24" */
void ic_net_address_text(const struct nlmsghdr *nlh, char *buf, size_t size)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(ifa->ifa_family, mnl_attr_get_payload(own_address(nlh)), text,
		       sizeof(text)))
		strcpy(text, "?");
	snprintf(buf, size, "%s/%u", text, ifa->ifa_prefixlen);
}

/* Routes ------------------------------------------------------------------------ */

/* Made by the kernel, or by what is told of changes and makes them anew. */
static bool is_made_by_itself(unsigned char protocol)
{
	static const unsigned char protocols[] = {
		RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_GATED, RTPROT_RA, RTPROT_MRT, RTPROT_ZEBRA,
		RTPROT_BIRD, RTPROT_DNROUTED, RTPROT_XORP, RTPROT_NTK, RTPROT_MROUTED,
		RTPROT_KEEPALIVED, RTPROT_BABEL, RTPROT_OPENR, RTPROT_BGP, RTPROT_ISIS,
		RTPROT_OSPF, RTPROT_RIP, RTPROT_EIGRP,
	};

	return memchr(protocols, protocol, sizeof(protocols));
}

/* One that has to be there again. */
bool ic_net_route_counts(const struct nlmsghdr *nlh)
{
	const struct nlattr *to = ic_net_attr(nlh, ROUTE_HEADER, RTA_DST), *cache;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct rta_cacheinfo *info;

	if ((rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6) ||
	    rtm->rtm_flags & RTM_F_CLONED || is_made_by_itself(rtm->rtm_protocol))
		return false;
	if (to && (mnl_attr_get_payload_len(to) < address_size(rtm->rtm_family) ||
		   is_link_local(rtm->rtm_family, mnl_attr_get_payload(to))))
		return false;
	/* One with a lifetime is of a router's announcement. */
	cache = ic_net_attr(nlh, ROUTE_HEADER, RTA_CACHEINFO);
	info = cache ? mnl_attr_get_payload(cache) : NULL;
	return !info || !info->rta_expires;
}

uint32_t ic_net_route_table(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	return number(nlh, ROUTE_HEADER, RTA_TABLE, rtm->rtm_table);
}

/* Does @fn return true for any leg? It is not asked for more then. */
bool ic_net_route_any(const struct nlmsghdr *nlh, ic_net_leg_fn fn, void *data)
{
	struct ic_net_leg leg = { 0 };
	const struct nlattr *legs;
	struct rtnexthop *hop;
	struct nlattr *attr;
	int left;

	legs = ic_net_attr(nlh, ROUTE_HEADER, RTA_MULTIPATH);
	if (!legs) {
		leg.index = number(nlh, ROUTE_HEADER, RTA_OIF, 0);
		leg.gateway = ic_net_attr(nlh, ROUTE_HEADER, RTA_GATEWAY);
		if (!leg.gateway)
			leg.gateway = ic_net_attr(nlh, ROUTE_HEADER, RTA_VIA);
		return leg.index && fn(&leg, data);
	}
	hop = mnl_attr_get_payload(legs);
	left = mnl_attr_get_payload_len(legs);
	/* RTNH_OK() alone reads behind the last one. */
	for (; left >= (int)sizeof(*hop) && RTNH_OK(hop, left);
	     left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		leg = (struct ic_net_leg){ .index = hop->rtnh_ifindex };
		mnl_attr_for_each_payload((void *)RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop))
			if (mnl_attr_get_type(attr) == RTA_GATEWAY ||
			    mnl_attr_get_type(attr) == RTA_VIA)
				leg.gateway = attr;
		if (fn(&leg, data))
			return true;
	}
	return false;
}

/* To the same place in the same table; by which interfaces is not looked at. */
bool ic_net_route_same(const struct nlmsghdr *a, const struct nlmsghdr *b)
{
	const struct rtmsg *x = mnl_nlmsg_get_payload(a), *y = mnl_nlmsg_get_payload(b);

	return x->rtm_family == y->rtm_family && x->rtm_dst_len == y->rtm_dst_len &&
	       x->rtm_src_len == y->rtm_src_len && x->rtm_tos == y->rtm_tos &&
	       x->rtm_type == y->rtm_type && ic_net_route_table(a) == ic_net_route_table(b) &&
	       same(a, b, ROUTE_HEADER, RTA_DST) && same(a, b, ROUTE_HEADER, RTA_SRC) &&
	       same(a, b, ROUTE_HEADER, RTA_PRIORITY);
}

static bool write_gateway(const struct ic_net_leg *leg, void *data)
{
	char text[INET6_ADDRSTRLEN] = "";
	const struct rtvia *via;

	if (!leg->gateway)
		return false;
	via = mnl_attr_get_payload(leg->gateway);
	if (mnl_attr_get_type(leg->gateway) == RTA_VIA)
		inet_ntop(via->rtvia_family, via->rtvia_addr, text, sizeof(text));
	else
		inet_ntop(mnl_attr_get_payload_len(leg->gateway) == 4 ? AF_INET : AF_INET6,
			  mnl_attr_get_payload(leg->gateway), text, sizeof(text));
	fprintf(data, " via %s", text);
	return false;
}

/* "default via 10.0.0.2 table 100" */
void ic_net_route_text(const struct nlmsghdr *nlh, char *buf, size_t size)
{
	const struct nlattr *to = ic_net_attr(nlh, ROUTE_HEADER, RTA_DST);
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint32_t table = ic_net_route_table(nlh);
	char text[INET6_ADDRSTRLEN];
	FILE *f;

	*buf = '\0';
	f = fmemopen(buf, size, "w");
	if (!f)
		return;
	if (to && inet_ntop(rtm->rtm_family, mnl_attr_get_payload(to), text, sizeof(text)))
		fprintf(f, "%s/%u", text, rtm->rtm_dst_len);
	else
		fputs(rtm->rtm_family == AF_INET6 ? "default (IPv6)" : "default", f);
	ic_net_route_any(nlh, write_gateway, f);
	if (table != RT_TABLE_MAIN)
		fprintf(f, " table %u", table);
	fclose(f);
	buf[size - 1] = '\0';
}
