// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts back what came off interfaces that nothing manages, or whose manager has not brought
 * it back after a rollback: an interface in its bridge or bond, its MTU, up, VLANs and the
 * like on it, addresses, routes. One pass does what can be done now; a comparison tells whether
 * another one is needed.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <stdio.h>
#include <unistd.h>

#include "net-snapshot.h"

struct restore {
	struct iommucfg_network *before;
	const struct ic_net *now;
	struct ic_netlink netlink;
	bool patient;
	long elapsed;
	int done;
};

/* The kernel says that it sets all bits, and takes those alone that it knows. */
#define VLAN_FLAGS	(VLAN_FLAG_REORDER_HDR | VLAN_FLAG_GVRP | VLAN_FLAG_LOOSE_BINDING | \
			 VLAN_FLAG_MVRP | VLAN_FLAG_BRIDGE_BINDING)

/* A request, with room for what one message of the kernel's takes. */
struct request {
	alignas(struct nlmsghdr) char buf[16384];
	struct nlmsghdr *nlh;
};

static void *begin(struct request *request, int type, int flags, size_t size)
{
	request->nlh = mnl_nlmsg_put_header(request->buf);
	request->nlh->nlmsg_type = type;
	request->nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return mnl_nlmsg_put_extra_header(request->nlh, size);
}

/* Sends it for an interface, which keeps the error. */
static void end(struct restore *restore, struct request *request, struct ic_net_link *link)
{
	int ret = ic_netlink_request(&restore->netlink, request->nlh, NULL, NULL);

	if (!ret)
		restore->done++;
	else if (ret != -EEXIST)
		link->error = -ret;
}

static void copy_attr(struct nlmsghdr *nlh, const struct nlattr *attr)
{
	mnl_attr_put(nlh, attr->nla_type, mnl_attr_get_payload_len(attr),
		     mnl_attr_get_payload(attr));
}

static bool fits(const struct nlmsghdr *nlh)
{
	/* With what is added to it. */
	return nlh->nlmsg_len < sizeof(((struct request *)0)->buf) - 256;
}

/* Interfaces -------------------------------------------------------------------- */

/* udev gives an interface its name while it is down. */
static bool is_udev_done(const struct restore *restore, const struct ic_net_link *link)
{
	int rootfd = restore->before->ctx->rootfd;
	char path[64];

	if (!restore->patient || link->device < 0 || link->now == link->index ||
	    faccessat(rootfd, "run/udev/control", F_OK, 0))
		return true;
	snprintf(path, sizeof(path), "run/udev/data/n%d", link->now);
	return !faccessat(rootfd, path, F_OK, 0);
}

static bool is_left_to_us(const struct restore *restore, const struct ic_net_link *link)
{
	return link->manager == IC_MANAGER_NONE || restore->before->takes_over;
}

static bool is_ours(const struct restore *restore, const struct ic_net_link *link)
{
	return link && link->now && is_left_to_us(restore, link) && is_udev_done(restore, link);
}

static struct ifinfomsg *begin_link(struct request *request, int index, int flags)
{
	struct ifinfomsg *ifi = begin(request, RTM_NEWLINK, flags, sizeof(*ifi));

	ifi->ifi_index = index;
	return ifi;
}

static void set_up(struct restore *restore, struct ic_net_link *link, bool up)
{
	struct request request;
	struct ifinfomsg *ifi = begin_link(&request, link->now, 0);

	ifi->ifi_change = IFF_UP;
	ifi->ifi_flags = up ? IFF_UP : 0;
	end(restore, &request, link);
}

static void set_number(struct restore *restore, struct ic_net_link *link, int type,
		       uint32_t number)
{
	struct request request;

	begin_link(&request, link->now, 0);
	mnl_attr_put_u32(request.nlh, type, number);
	end(restore, &request, link);
}

/* These take a member only while it is down. */
static bool wants_down(const struct ic_net_link *master)
{
	return master->kind && (!strcmp(master->kind, "bond") || !strcmp(master->kind, "team"));
}

static void restore_link(struct restore *restore, struct ic_net_link *link)
{
	const struct ic_net_link *is = ic_net_link(restore->now, link->now), *master;
	bool up = is->up;

	master = ic_net_link(&restore->before->net, link->master);
	if (is->mtu != link->mtu)
		set_number(restore, link, IFLA_MTU, link->mtu);
	/* Another master was given to it meanwhile, which it keeps. */
	if (master && master->now && !is->master) {
		if (up && wants_down(master)) {
			set_up(restore, link, false);
			up = false;
		}
		set_number(restore, link, IFLA_MASTER, master->now);
	}
	if (link->up && !up)
		set_up(restore, link, true);
}

/* What a kind says of itself, as far as and in the form that it takes it. */
static void put_data(struct nlmsghdr *nlh, const char *kind, const struct nlattr *attr)
{
	bool is_macvlan = !strncmp(kind, "macv", 4), is_vlan = !strcmp(kind, "vlan");
	int type = mnl_attr_get_type(attr);
	struct ifla_vlan_flags flags;

	if (is_macvlan && type != IFLA_MACVLAN_MODE && type != IFLA_MACVLAN_FLAGS)
		return;
	if (!is_vlan || type != IFLA_VLAN_FLAGS) {
		copy_attr(nlh, attr);
		return;
	}
	memcpy(&flags, mnl_attr_get_payload(attr), sizeof(flags));
	flags.mask = VLAN_FLAGS;
	mnl_attr_put(nlh, IFLA_VLAN_FLAGS, sizeof(flags), &flags);
}

static void put_kind(struct request *request, const struct ic_net_link *link)
{
	struct nlattr *info, *data, *attr;

	info = mnl_attr_nest_start(request->nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(request->nlh, IFLA_INFO_KIND, link->kind);
	if (link->data) {
		data = mnl_attr_nest_start(request->nlh, IFLA_INFO_DATA);
		mnl_attr_for_each_nested(attr, link->data)
			put_data(request->nlh, link->kind, attr);
		mnl_attr_nest_end(request->nlh, data);
	}
	mnl_attr_nest_end(request->nlh, info);
}

static bool same_mac(const struct ic_net_link *a, const struct ic_net_link *b)
{
	return a->mac && b->mac && a->mac->nla_len == b->mac->nla_len &&
	       !memcmp(a->mac, b->mac, a->mac->nla_len);
}

/* One of those that the kernel removes together with the interface below. */
static void make_link(struct restore *restore, struct ic_net_link *link)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap" };
	const struct ic_net_link *lower = ic_net_link(&restore->before->net, link->lower);
	struct request request;
	bool known = false;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		known |= link->kind && !strcmp(link->kind, kinds[i]);
	if (!known || !fits(link->nlh) || !is_ours(restore, lower))
		return;
	begin_link(&request, 0, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_u32(request.nlh, IFLA_LINK, lower->now);
	mnl_attr_put_strz(request.nlh, IFLA_IFNAME, link->name);
	/* It has that of the interface below by itself. */
	if (link->mac && !same_mac(link, lower) && strncmp(link->kind, "ipv", 3))
		copy_attr(request.nlh, link->mac);
	put_kind(&request, link);
	end(restore, &request, link);
}

/* Addresses --------------------------------------------------------------------- */

/* The flags that were set by a person, not those that say what became of it. */
#define ADDRESS_FLAGS	(IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | \
			 IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)

static uint32_t life_left(uint32_t seconds, long elapsed)
{
	return seconds == UINT32_MAX ? seconds : seconds > elapsed ? seconds - elapsed : 0;
}

/*
 * "eth0:1", of an interface that may have another name now. The name alone is left to the
 * kernel: udev may rename the interface right now, and a label that is given would stay.
 */
static void put_label(struct nlmsghdr *nlh, const struct nlattr *attr,
		      const struct ic_net_link *link, const struct ic_net_link *is)
{
	const char *label = mnl_attr_get_str(attr);
	size_t length = strlen(link->name);
	char text[2 * IFNAMSIZ];

	if (strncmp(label, link->name, length) || label[length] != ':')
		return;
	snprintf(text, sizeof(text), "%s%s", is->name, label + length);
	if (strlen(text) < IFNAMSIZ)
		mnl_attr_put_strz(nlh, IFA_LABEL, text);
}

static void restore_address(struct restore *restore, const struct ic_net_message *address,
			    struct ic_net_link *link)
{
	const struct ifaddrmsg *old = mnl_nlmsg_get_payload(address->nlh);
	struct ifa_cacheinfo info;
	struct request request;
	struct ifaddrmsg *new;
	struct nlattr *attr;

	new = begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*new));
	*new = *old;
	new->ifa_index = link->now;
	new->ifa_flags = old->ifa_flags & ADDRESS_FLAGS;
	mnl_attr_for_each(attr, address->nlh, sizeof(*old)) {
		switch (mnl_attr_get_type(attr)) {
		case IFA_FLAGS:
			mnl_attr_put_u32(request.nlh, IFA_FLAGS,
					 mnl_attr_get_u32(attr) & ADDRESS_FLAGS);
			break;
		case IFA_CACHEINFO:
			memcpy(&info, mnl_attr_get_payload(attr), sizeof(info));
			info.ifa_valid = life_left(info.ifa_valid, restore->elapsed);
			info.ifa_prefered = life_left(info.ifa_prefered, restore->elapsed);
			mnl_attr_put(request.nlh, IFA_CACHEINFO, sizeof(info), &info);
			break;
		case IFA_LABEL:
			put_label(request.nlh, attr, link, ic_net_link(restore->now, link->now));
			break;
		default:
			copy_attr(request.nlh, attr);
		}
	}
	end(restore, &request, link);
}

/* Routes ------------------------------------------------------------------------ */

static bool is_not_there(const struct ic_net_leg *leg, void *before)
{
	return !ic_net_now(before, leg->index);
}

static bool has_gateway(const struct ic_net_leg *leg, void *data)
{
	(void)data;
	return leg->gateway;
}

static void put_legs(struct restore *restore, struct nlmsghdr *nlh, const struct nlattr *legs)
{
	struct rtnexthop *leg;
	struct nlattr *copy;
	int left;

	copy = mnl_nlmsg_get_payload_tail(nlh);
	copy_attr(nlh, legs);
	leg = mnl_attr_get_payload(copy);
	left = mnl_attr_get_payload_len(copy);
	for (; left >= (int)sizeof(*leg) && RTNH_OK(leg, left);
	     left -= RTNH_ALIGN(leg->rtnh_len), leg = RTNH_NEXT(leg)) {
		leg->rtnh_ifindex = ic_net_now(restore->before, leg->rtnh_ifindex);
		leg->rtnh_flags &= RTNH_F_ONLINK;
	}
}

static void restore_route(struct restore *restore, const struct ic_net_message *route,
			  struct ic_net_link *link)
{
	const struct rtmsg *old = mnl_nlmsg_get_payload(route->nlh);
	bool has_legs = ic_net_attr(route->nlh, sizeof(*old), RTA_MULTIPATH);
	struct request request;
	struct nlattr *attr;
	struct rtmsg *new;

	/* Of IPv6 some of the legs are still there, as a route. */
	new = begin(&request, RTM_NEWROUTE, NLM_F_CREATE |
		    (has_legs && old->rtm_family == AF_INET6 ? NLM_F_REPLACE : NLM_F_APPEND),
		    sizeof(*new));
	*new = *old;
	new->rtm_flags = old->rtm_flags & RTNH_F_ONLINK;
	mnl_attr_for_each(attr, route->nlh, sizeof(*old)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_CACHEINFO:
		/* The nexthop object went with its interface; its legs are told as well. */
		case RTA_NH_ID:
			break;
		case RTA_OIF:
			mnl_attr_put_u32(request.nlh, RTA_OIF,
					 ic_net_now(restore->before, mnl_attr_get_u32(attr)));
			break;
		case RTA_MULTIPATH:
			put_legs(restore, request.nlh, attr);
			break;
		default:
			copy_attr(request.nlh, attr);
		}
	}
	end(restore, &request, link);
}

static void restore_routes(struct restore *restore, bool gateways)
{
	struct iommucfg_network *before = restore->before;
	const struct ic_net_message *m;
	struct ic_net_link *link;
	size_t i;

	for (i = 0; i < before->net.routes.n; i++) {
		m = &before->net.routes.v[i];
		link = ic_net_link(&before->net, m->index);
		if (m->missing && is_ours(restore, link) && fits(m->nlh) &&
		    ic_net_route_any(m->nlh, has_gateway, NULL) == gateways &&
		    !ic_net_route_any(m->nlh, is_not_there, before))
			restore_route(restore, m, link);
	}
}

/*
 * Does what can be done now, by a comparison of @before with @now that was made before.
 * @patient: leaves alone what udev has not seen. Returns how much was done, or a negative errno.
 */
int ic_net_restore(struct iommucfg_network *before, const struct ic_net *now, bool patient)
{
	struct restore restore = { .before = before, .now = now, .patient = patient };
	struct ic_net_message *m;
	struct ic_net_link *link;
	struct timespec time;
	size_t i;
	int ret;

	ret = ic_netlink_open(&restore.netlink);
	if (ret)
		return ret;
	clock_gettime(CLOCK_BOOTTIME, &time);
	restore.elapsed = time.tv_sec - before->taken.tv_sec;
	for (i = 0; i < before->net.num_links; i++)
		before->net.links[i].error = 0;
	/* Those of devices are below all others. */
	for (i = 0; i < before->net.num_links; i++)
		if (before->net.links[i].device >= 0 && is_ours(&restore, &before->net.links[i]))
			restore_link(&restore, &before->net.links[i]);
	for (i = 0; i < before->net.num_links; i++) {
		link = &before->net.links[i];
		if (link->device >= 0)
			continue;
		if (is_ours(&restore, link))
			restore_link(&restore, link);
		else if (!link->now && is_left_to_us(&restore, link))
			make_link(&restore, link);
	}
	for (i = 0; i < before->net.addresses.n; i++) {
		m = &before->net.addresses.v[i];
		link = ic_net_link(&before->net, m->index);
		if (m->missing && is_ours(&restore, link) && fits(m->nlh))
			restore_address(&restore, m, link);
	}
	/* A gateway has to be reached by a route that is there. */
	restore_routes(&restore, false);
	restore_routes(&restore, true);
	ic_netlink_close(&restore.netlink);
	return restore.done;
}
