// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Takes what is on the interfaces of the groups that change, and on those stacked on them:
 * bridges, bonds, VLANs. Of addresses and routes what has to be there again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "net-snapshot.h"
#include "netinfo.h"

/* Reading everything ------------------------------------------------------------ */

struct reader {
	struct iommucfg *ctx;
	struct ic_net *net;
};

/* Where its device is, and which of its ports it is. */
static int read_sysfs(struct iommucfg *ctx, struct ic_net_link *link)
{
	char path[64], buf[32], *below;

	snprintf(path, sizeof(path), "class/net/%s", link->name);
	link->path = ic_sys_link(ctx->sysfd, path, "class/net");
	below = link->path ? strstr(link->path, "/net/") : NULL;
	if (!below || strstr(link->path, "/virtual/net/")) {
		free(link->path);
		link->path = NULL;
		return 0;
	}
	*below = '\0';
	snprintf(path, sizeof(path), "class/net/%s/dev_port", link->name);
	if (ic_read_attr(ctx->sysfd, path, buf, sizeof(buf)) > 0)
		ic_parse_number(buf, 10, ULONG_MAX, &link->port);
	return 0;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	static const uint16_t wanted[] = {
		IFLA_IFNAME, IFLA_MASTER, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_MTU, IFLA_ADDRESS,
		IFLA_PERM_ADDRESS, IFLA_LINKINFO,
	};
	struct reader *reader = data;
	struct ic_net *net = reader->net;
	struct ic_net_link *link;

	if (IC_GROW(net->links, net->num_links, net->cap_links))
		return ic_netlink_stop(-ENOMEM);
	link = &net->links[net->num_links];
	*link = (struct ic_net_link){ .device = -1 };
	link->nlh = ic_net_copy(nlh, sizeof(struct ifinfomsg), wanted,
				sizeof(wanted) / sizeof(*wanted));
	if (!link->nlh)
		return ic_netlink_stop(-ENOMEM);
	net->num_links++;
	if (ic_net_link_parse(link))
		return MNL_CB_OK;
	return ic_netlink_stop(read_sysfs(reader->ctx, link));
}

static int add_message(struct ic_net_messages *messages, const struct nlmsghdr *nlh, int index)
{
	struct ic_net_message *m;

	if (IC_GROW(messages->v, messages->n, messages->cap))
		return ic_netlink_stop(-ENOMEM);
	m = &messages->v[messages->n];
	*m = (struct ic_net_message){ ic_net_copy(nlh, 0, NULL, 0), index, false };
	if (!m->nlh)
		return ic_netlink_stop(-ENOMEM);
	messages->n++;
	return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct reader *reader = data;

	return ic_net_address_counts(nlh) ?
	       add_message(&reader->net->addresses, nlh, ifa->ifa_index) : MNL_CB_OK;
}

static bool first_leg(const struct ic_net_leg *leg, void *index)
{
	*(int *)index = leg->index;
	return true;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	struct reader *reader = data;
	int index = 0;

	if (!ic_net_route_counts(nlh) || !ic_net_route_any(nlh, first_leg, &index))
		return MNL_CB_OK;
	return add_message(&reader->net->routes, nlh, index);
}

static int read_routes(struct ic_netlink *netlink, int family, struct reader *reader)
{
	return ic_netlink_dump(netlink, RTM_GETROUTE, family, sizeof(struct rtmsg), on_route,
			       reader);
}

static int read_once(struct ic_netlink *netlink, struct reader *reader)
{
	int ret;

	ret = ic_netlink_dump(netlink, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), on_link,
			      reader);
	if (!ret)
		ret = ic_netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg),
				      on_address, reader);
	if (!ret)
		ret = read_routes(netlink, AF_INET, reader);
	/* A kernel without IPv6 has no routes of it. */
	if (!ret)
		ret = read_routes(netlink, AF_INET6, reader);
	return ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

/* All that is there now. Released with ic_net_clear(), after an error too. */
int ic_net_read(struct iommucfg *ctx, struct ic_net *net)
{
	struct reader reader = { .ctx = ctx, .net = net };
	struct ic_netlink netlink;
	int ret, tries = 0;

	*net = (struct ic_net){ 0 };
	/* A dump during which something changed says so. */
	do {
		ic_net_clear(net);
		ret = ic_netlink_open(&netlink);
		if (ret)
			return ret;
		ret = read_once(&netlink, &reader);
		ic_netlink_close(&netlink);
	} while (ret == -EINTR && ++tries < 5);
	return ret;
}

static void clear_link(struct ic_net_link *link)
{
	free(link->nlh);
	free(link->path);
}

static void clear_messages(struct ic_net_messages *messages)
{
	size_t i;

	for (i = 0; i < messages->n; i++)
		free(messages->v[i].nlh);
	free(messages->v);
}

void ic_net_clear(struct ic_net *net)
{
	size_t i;

	for (i = 0; i < net->num_links; i++)
		clear_link(&net->links[i]);
	free(net->links);
	clear_messages(&net->addresses);
	clear_messages(&net->routes);
	*net = (struct ic_net){ 0 };
}

struct ic_net_link *ic_net_link(const struct ic_net *net, int index)
{
	size_t i;

	for (i = 0; i < net->num_links; i++)
		if (net->links[i].index == index)
			return &net->links[i];
	return NULL;
}

/* A snapshot -------------------------------------------------------------------- */

static int add_devices(struct iommucfg_network *s, const struct iommucfg_group *group)
{
	struct ic_net_device *device;
	size_t i;

	for (i = 0; i < group->num_devices; i++) {
		if (!ic_is_released(group->devices[i]))
			continue;
		if (IC_GROW(s->devices, s->num_devices, s->cap_devices))
			return -ENOMEM;
		device = &s->devices[s->num_devices];
		*device = (struct ic_net_device){ .group = group->number };
		if (ic_strdup(&device->name, group->devices[i]->name))
			return -ENOMEM;
		s->num_devices++;
		if (ic_strdup(&device->path, group->devices[i]->syspath))
			return -ENOMEM;
	}
	return 0;
}

/* Of the devices of the snapshot the one that an interface goes away with, or -1. */
static int device_of(const struct iommucfg_network *s, struct iommucfg_topology *topology,
		     const struct ic_net_link *link, int *found)
{
	struct ic_devices above = { 0 };
	size_t i, j;
	int ret;

	*found = -1;
	ret = ic_devices_above(topology, link->path, &above);
	for (i = 0; i < above.n && *found < 0; i++)
		for (j = 0; j < s->num_devices && *found < 0; j++)
			if (!strcmp(above.v[i]->syspath, s->devices[j].path))
				*found = j;
	free(above.v);
	return ret;
}

static bool is_above(const struct ic_net *net, const bool *kept, const struct ic_net_link *link)
{
	const struct ic_net_link *other;
	size_t i;

	for (i = 0; i < net->num_links; i++) {
		other = &net->links[i];
		if (kept[i] && (other->master == link->index || link->lower == other->index))
			return true;
	}
	return false;
}

/* Marks the interfaces of the devices, and all that are stacked on them. */
static int choose(struct iommucfg_network *s, struct iommucfg_topology *topology, bool *kept)
{
	struct ic_net *net = &s->net;
	bool more = true;
	size_t i;
	int ret;

	for (i = 0; i < net->num_links; i++) {
		if (!net->links[i].path)
			continue;
		ret = device_of(s, topology, &net->links[i], &net->links[i].device);
		if (ret)
			return ret;
		kept[i] = net->links[i].device >= 0;
	}
	while (more) {
		more = false;
		for (i = 0; i < net->num_links; i++) {
			if (kept[i] || !is_above(net, kept, &net->links[i]))
				continue;
			kept[i] = true;
			more = true;
		}
	}
	return 0;
}

/* A leg by one of the interfaces, and by which. */
struct leg_by {
	const struct ic_net *net;
	int index;
};

static bool is_by(const struct ic_net_leg *leg, void *data)
{
	struct leg_by *by = data;

	by->index = leg->index;
	return ic_net_link(by->net, leg->index);
}

/* Of addresses and routes those of the interfaces that are kept. */
static void keep_messages(const struct ic_net *net, struct ic_net_messages *messages,
			  bool are_routes)
{
	struct leg_by by = { .net = net };
	struct ic_net_message *m;
	size_t i, n = 0;

	for (i = 0; i < messages->n; i++) {
		m = &messages->v[i];
		if (are_routes ? ic_net_route_any(m->nlh, is_by, &by) :
				 !!ic_net_link(net, m->index)) {
			if (are_routes)
				m->index = by.index;
			messages->v[n++] = *m;
		} else {
			free(m->nlh);
		}
	}
	messages->n = n;
}

static void keep_links(struct ic_net *net, const bool *kept)
{
	size_t i, n = 0;

	for (i = 0; i < net->num_links; i++) {
		if (kept[i])
			net->links[n++] = net->links[i];
		else
			clear_link(&net->links[i]);
	}
	net->num_links = n;
}

/* As it was in an earlier snapshot; what has come since nothing manages. */
static enum ic_manager manager_of(const struct iommucfg_network *before, int index)
{
	size_t i;

	for (i = 0; i < before->net.num_links; i++)
		if (before->net.links[i].now == index)
			return before->net.links[i].manager;
	return IC_MANAGER_NONE;
}

/* What brings it back; and do the default route or this ssh session go over it? */
static int ask_about(struct iommucfg_network *s, struct iommucfg_topology *topology,
		     struct iommucfg_network *before)
{
	struct ic_netinfo *info = ic_netinfo_read(topology);
	struct ic_managers *managers = before ? NULL : ic_managers_open(s->ctx);
	const struct ic_interface *interface;
	struct ic_net_link *link;
	size_t i;

	if (before)
		ic_net_find(before, &s->net);
	for (i = 0; info && (managers || before) && i < s->net.num_links; i++) {
		link = &s->net.links[i];
		interface = ic_netgraph_find(info, link->name);
		link->vital = interface && (interface->default_route || interface->peer);
		link->manager = before ? manager_of(before, link->index) :
				ic_managers_ask(managers, link->name, link->index);
	}
	if (managers)
		ic_managers_close(managers);
	ic_netinfo_free(info);
	return info && (managers || before) ? 0 : -ENOMEM;
}

/* NULL in *@out where no driver is unbound. */
static int take(struct iommucfg_topology *topology, struct iommucfg_group *const *groups,
		size_t count, struct iommucfg_network *before,
		struct iommucfg_network **out)
{
	struct iommucfg_network *s = calloc(1, sizeof(*s));
	bool *kept = NULL;
	size_t i;
	int ret = 0;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->ctx = iommucfg_ref(topology->ctx);
	clock_gettime(CLOCK_BOOTTIME, &s->taken);
	for (i = 0; i < count && !ret; i++)
		ret = add_devices(s, groups[i]);
	if (!ret)
		ret = ic_links_read(topology);
	if (!ret)
		ret = ic_net_read(s->ctx, &s->net);
	if (!ret) {
		kept = calloc(s->net.num_links + 1, sizeof(*kept));
		ret = kept ? choose(s, topology, kept) : -ENOMEM;
	}
	if (!ret) {
		keep_links(&s->net, kept);
		keep_messages(&s->net, &s->net.addresses, false);
		keep_messages(&s->net, &s->net.routes, true);
		ret = s->net.num_links ? ask_about(s, topology, before) : 0;
	}
	free(kept);
	if (ret || !s->num_devices)
		iommucfg_network_unref(s);
	else
		*out = s;
	return ret;
}

int ic_net_snapshot_take(struct iommucfg_topology *topology,
			 struct iommucfg_group *const *groups, size_t count,
			 struct iommucfg_network **out)
{
	return take(topology, groups, count, NULL, out);
}

/* The same devices later, without asking what manages them. */
int ic_net_snapshot_again(struct iommucfg_network *before, struct iommucfg_network **out)
{
	struct iommucfg_topology *topology = NULL;
	struct iommucfg_group **groups;
	size_t i, j, n = 0;
	int ret;

	*out = NULL;
	ret = iommucfg_topology_scan(before->ctx, &topology, NULL);
	if (ret)
		return ret;
	groups = calloc(before->num_devices + 1, sizeof(*groups));
	for (i = 0; groups && i < before->num_devices; i++) {
		groups[n] = iommucfg_topology_find_group(topology, before->devices[i].group);
		for (j = 0; j < n && groups[j] != groups[n]; j++)
			;
		n += groups[n] && j == n;
	}
	ret = groups ? take(topology, groups, n, before, out) : -ENOMEM;
	free(groups);
	iommucfg_topology_unref(topology);
	return ret;
}

struct iommucfg_network *iommucfg_network_ref(struct iommucfg_network *s)
{
	s->refs++;
	return s;
}

void iommucfg_network_unref(struct iommucfg_network *s)
{
	size_t i;

	if (!s || --s->refs)
		return;
	for (i = 0; i < s->num_devices; i++) {
		free(s->devices[i].name);
		free(s->devices[i].path);
	}
	free(s->devices);
	ic_net_clear(&s->net);
	iommucfg_unref(s->ctx);
	free(s);
}
