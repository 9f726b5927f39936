// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the changes of a plan take off interfaces while drivers are unbound, and what brings
 * it back. Of the running system or of a saved tree, as far as that has it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "net-snapshot.h"
#include "netinfo.h"
#include "plan-losses.h"

struct search {
	struct ic_losses *losses;
	struct iommucfg_topology *topology;
	struct ic_netinfo *info;
	struct ic_managers *managers;
	const struct ic_interface **stacked;
	size_t num_stacked;
};

static int add_name(struct ic_names *names, const char *text)
{
	if (IC_GROW(names->v, names->n, names->cap))
		return -ENOMEM;
	names->v[names->n] = strdup(text);
	return names->v[names->n] ? (names->n++, 0) : -ENOMEM;
}

static void free_names(struct ic_names *names)
{
	while (names->n)
		free(names->v[--names->n]);
	free(names->v);
}

static bool is_link_local(const struct ic_address *address)
{
	return address->family == AF_INET6 ?
	       IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)address->bytes) :
	       address->bytes[0] == 169 && address->bytes[1] == 254;
}

static int add_addresses(const struct ic_netinfo *info, struct iommucfg_loss *loss)
{
	struct ic_address address;
	const char *text;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && (text = ic_netinfo_address(info, loss->interface, i)); i++)
		if (ic_address_parse(text, strcspn(text, "/"), &address) &&
		    !is_link_local(&address))
			ret = add_name(&loss->addresses, text);
	return ret;
}

/* The kernel makes that to the network of an address by itself. */
static bool is_by_itself(const struct iommucfg_loss *loss, const struct ic_route *route)
{
	struct ic_address address;
	size_t i;

	if (is_link_local(&route->to) || (route->to.family == AF_INET6 && route->to.bytes[0] == 0xff))
		return true;
	for (i = 0; i < loss->addresses.n && !route->gateway; i++)
		if (ic_address_parse(loss->addresses.v[i], strcspn(loss->addresses.v[i], "/"),
				     &address) &&
		    ic_address_within(&address, &route->to, route->prefix))
			return true;
	return false;
}

static int add_routes(const struct ic_netinfo *info, struct iommucfg_loss *loss)
{
	char text[INET6_ADDRSTRLEN + 8], address[INET6_ADDRSTRLEN];
	const struct ic_route *route;
	int ret = 0;
	size_t i;

	for (i = 0; i < info->num_routes && !ret; i++) {
		route = &info->routes[i];
		if (strcmp(route->ifname, loss->interface) || is_by_itself(loss, route) ||
		    !inet_ntop(route->to.family, route->to.bytes, address, sizeof(address)))
			continue;
		snprintf(text, sizeof(text), "%s/%d", address, route->prefix);
		ret = add_name(&loss->routes, route->prefix ? text : "default");
	}
	return ret;
}

static char *master_of(struct iommucfg *ctx, const char *name)
{
	char path[64], *link, *master = NULL;

	snprintf(path, sizeof(path), "class/net/%s/master", name);
	link = ic_sys_link(ctx->sysfd, path, NULL);
	if (link)
		master = strdup(ic_basename(link));
	free(link);
	return master;
}

static int index_of(struct iommucfg *ctx, const char *name)
{
	unsigned long index = 0;
	char path[64], buf[32];

	snprintf(path, sizeof(path), "class/net/%s/ifindex", name);
	if (ic_read_attr(ctx->sysfd, path, buf, sizeof(buf)) > 0)
		ic_parse_number(buf, 10, INT_MAX, &index);
	return index;
}

static void loss_clear(struct iommucfg_loss *loss)
{
	free(loss->interface);
	free(loss->master);
	free_names(&loss->addresses);
	free_names(&loss->routes);
}

/* What is on one interface that goes away with @device. */
static int add(struct search *s, const struct iommucfg_device *device, const char *name)
{
	struct ic_losses *losses = s->losses;
	struct iommucfg_loss *loss;
	size_t i;
	int ret;

	for (i = 0; i < losses->n; i++)
		if (!strcmp(losses->v[i].interface, name))
			return 0;
	if (IC_GROW(losses->v, losses->n, losses->cap))
		return -ENOMEM;
	loss = &losses->v[losses->n];
	*loss = (struct iommucfg_loss){ .device = device };
	ret = ic_strdup(&loss->interface, name);
	if (!ret)
		ret = add_addresses(s->info, loss);
	if (!ret)
		ret = add_routes(s->info, loss);
	loss->master = master_of(s->topology->ctx, name);
	if (ret || (!loss->addresses.n && !loss->routes.n && !loss->master)) {
		loss_clear(loss);
		return ret;
	}
	loss->manager = ic_managers_ask(s->managers, name, index_of(s->topology->ctx, name));
	losses->n++;
	return 0;
}

/* Is it of a kind that the kernel removes with the one below it? */
static bool goes_along(struct iommucfg *ctx, const char *name)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap" };
	char path[64], buf[1024], *type;
	size_t i;

	snprintf(path, sizeof(path), "class/net/%s/uevent", name);
	if (ic_read_attr(ctx->sysfd, path, buf, sizeof(buf)) <= 0)
		return false;
	type = strstr(buf, "DEVTYPE=");
	if (!type)
		return false;
	type += strlen("DEVTYPE=");
	type[strcspn(type, "\n")] = '\0';
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(type, kinds[i]))
			return true;
	return false;
}

static int add_stack(struct search *s, const struct iommucfg_device *device,
		     const struct ic_interface *lower)
{
	const struct ic_netinfo *info = s->info;
	const struct ic_interface *upper;
	size_t i, j;
	int ret;

	ret = add(s, device, lower->name);
	for (i = 0; i < s->num_stacked && !ret; i++) {
		upper = s->stacked[i];
		for (j = 0; j < upper->num_lower && !ret; j++)
			if (&info->interfaces[upper->lower[j]] == lower && upper != lower &&
			    goes_along(s->topology->ctx, upper->name))
				ret = add_stack(s, device, upper);
	}
	return ret;
}

/* Interfaces that stand on others: few, where there are thousands of cards. */
static int find_stacked(struct search *s)
{
	size_t i;

	s->stacked = calloc(s->info->num_interfaces + 1, sizeof(*s->stacked));
	if (!s->stacked)
		return -ENOMEM;
	for (i = 0; i < s->info->num_interfaces; i++)
		if (s->info->interfaces[i].num_lower)
			s->stacked[s->num_stacked++] = &s->info->interfaces[i];
	return 0;
}

static int add_change(struct search *s, const struct iommucfg_change *change)
{
	struct iommucfg_device *device;
	const struct ic_interface *interface;
	size_t i, j;
	int ret = 0;

	if (change->in_place || !strcmp(change->method, "pause"))
		return 0;
	for (i = 0; i < change->group->num_devices && !ret; i++) {
		device = change->group->devices[i];
		for (j = 0; ic_is_released(device) && !ret &&
			    j < iommucfg_device_num_interfaces(device); j++) {
			interface = ic_netgraph_find(s->info, iommucfg_device_interface(device, j));
			if (interface)
				ret = add_stack(s, device, interface);
		}
	}
	return ret;
}

static void find(const struct iommucfg_plan *plan)
{
	struct search s = { .losses = plan->losses, .topology = plan->topology };
	int ret = 0;
	size_t i;

	plan->losses->found = true;
	if (!plan->changes.n)
		return;
	s.info = ic_netinfo_read(plan->topology);
	s.managers = ic_managers_open(plan->topology->ctx);
	/* It is for a person to read: without memory the list is shorter. */
	if (s.info && s.managers)
		ret = find_stacked(&s);
	for (i = 0; i < plan->changes.n && s.stacked && !ret; i++)
		ret = add_change(&s, plan->changes.v[i]);
	free(s.stacked);
	ic_managers_close(s.managers);
	ic_netinfo_free(s.info);
}

struct ic_losses *ic_losses_new(void)
{
	return calloc(1, sizeof(struct ic_losses));
}

void ic_losses_free(struct ic_losses *losses)
{
	if (!losses)
		return;
	while (losses->n)
		loss_clear(&losses->v[--losses->n]);
	free(losses->v);
	free(losses);
}

size_t iommucfg_plan_num_losses(const struct iommucfg_plan *plan)
{
	if (!plan->losses->found)
		find(plan);
	return plan->losses->n;
}

const struct iommucfg_loss *iommucfg_plan_loss(const struct iommucfg_plan *plan, size_t index)
{
	return &plan->losses->v[index];
}

const struct iommucfg_device *iommucfg_loss_device(const struct iommucfg_loss *loss)
{
	return loss->device;
}

const char *iommucfg_loss_interface(const struct iommucfg_loss *loss)
{
	return loss->interface;
}

const char *iommucfg_loss_address(const struct iommucfg_loss *loss, size_t index)
{
	return index < loss->addresses.n ? loss->addresses.v[index] : NULL;
}

const char *iommucfg_loss_route(const struct iommucfg_loss *loss, size_t index)
{
	return index < loss->routes.n ? loss->routes.v[index] : NULL;
}

const char *iommucfg_loss_master(const struct iommucfg_loss *loss)
{
	return loss->master;
}

const char *iommucfg_loss_manager(const struct iommucfg_loss *loss)
{
	return ic_manager_name(loss->manager);
}
