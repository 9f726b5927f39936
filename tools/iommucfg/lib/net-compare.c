// SPDX-License-Identifier: LGPL-2.1-or-later
/* What was on the interfaces before a change, and is not there now. */
#include <stdio.h>

#include "net-snapshot.h"

static bool has_address(const struct ic_net *now, const struct ic_net_message *address, int index)
{
	size_t i;

	for (i = 0; i < now->addresses.n; i++)
		if (now->addresses.v[i].index == index &&
		    ic_net_address_same(address->nlh, now->addresses.v[i].nlh))
			return true;
	return false;
}

/* A leg of a route that was there. */
struct sought {
	const struct iommucfg_network *before;
	const struct ic_net *now;
	const struct nlmsghdr *route;
	struct ic_net_leg leg;
};

static bool is_sought(const struct ic_net_leg *leg, void *data)
{
	const struct sought *sought = data;
	const struct nlattr *a = leg->gateway, *b = sought->leg.gateway;

	if (leg->index != sought->leg.index || !a != !b)
		return false;
	return !a || (a->nla_type == b->nla_type && a->nla_len == b->nla_len &&
		      !memcmp(mnl_attr_get_payload(a), mnl_attr_get_payload(b),
			      mnl_attr_get_payload_len(a)));
}

/* Legs of one route may be several routes now. */
static bool is_gone(const struct ic_net_leg *leg, void *data)
{
	struct sought *sought = data;
	const struct ic_net_messages *routes = &sought->now->routes;
	size_t i;

	sought->leg = *leg;
	sought->leg.index = ic_net_now(sought->before, leg->index);
	for (i = 0; i < routes->n; i++)
		if (ic_net_route_same(sought->route, routes->v[i].nlh) &&
		    ic_net_route_any(routes->v[i].nlh, is_sought, sought))
			return false;
	return true;
}

/*
 * Finds the interfaces of the snapshot, and marks its addresses and routes that are missing.
 * Returns on how many interfaces something is.
 */
size_t ic_net_compare(struct iommucfg_network *before, const struct ic_net *now)
{
	struct sought sought = { .before = before, .now = now };
	struct timespec time;
	struct ic_net_message *m;
	size_t i, n = 0;
	long elapsed;

	clock_gettime(CLOCK_BOOTTIME, &time);
	elapsed = time.tv_sec - before->taken.tv_sec;
	ic_net_find(before, now);
	for (i = 0; i < before->net.addresses.n; i++) {
		m = &before->net.addresses.v[i];
		m->missing = !ic_net_address_expired(m->nlh, elapsed) &&
			     !has_address(now, m, ic_net_now(before, m->index));
	}
	for (i = 0; i < before->net.routes.n; i++) {
		m = &before->net.routes.v[i];
		sought.route = m->nlh;
		m->missing = ic_net_route_any(m->nlh, is_gone, &sought);
	}
	for (i = 0; i < before->net.num_links; i++)
		n += ic_net_is_missing(before, now, &before->net.links[i]);
	return n;
}

static void write_message(FILE *f, const struct ic_net_messages *messages, int index, bool routes)
{
	char text[256];
	size_t i;

	for (i = 0; i < messages->n; i++) {
		if (!messages->v[i].missing || messages->v[i].index != index)
			continue;
		if (routes)
			ic_net_route_text(messages->v[i].nlh, text, sizeof(text));
		else
			ic_net_address_text(messages->v[i].nlh, text, sizeof(text));
		fprintf(f, ", %s%s", routes ? "route " : "", text);
	}
}

static void write_missing(FILE *f, const struct iommucfg_network *before, const struct ic_net *now,
			  const struct ic_net_link *link)
{
	const struct ic_net_link *is = link->now ? ic_net_link(now, link->now) : NULL;
	const struct ic_net_link *master = ic_net_link(&before->net, link->master);

	if (!is)
		fputs(", the interface", f);
	if (master && (!is || !master->now || is->master != master->now))
		fprintf(f, ", its place in %s", master->name);
	if (is && is->mtu != link->mtu)
		fprintf(f, ", an MTU of %u", link->mtu);
	if (is && link->up && !is->up)
		fputs(", up", f);
	write_message(f, &before->net.addresses, link->index, false);
	write_message(f, &before->net.routes, link->index, true);
}

/* As a list, "10.0.0.1/24, route default via 10.0.0.2", to be released; "": nothing is. */
int ic_net_missing_text(const struct iommucfg_network *before, const struct ic_net *now,
			const struct ic_net_link *link, char **text)
{
	size_t length;
	FILE *f;

	*text = NULL;
	f = open_memstream(text, &length);
	if (!f)
		return -1;
	write_missing(f, before, now, link);
	if (fclose(f))
		return -1;
	if (length)
		memmove(*text, *text + 2, length - 1);
	return 0;
}

bool ic_net_is_missing(const struct iommucfg_network *before, const struct ic_net *now,
		       const struct ic_net_link *link)
{
	bool missing = true;
	char *text;

	/* Without memory it is not known to be there. */
	if (!ic_net_missing_text(before, now, link, &text))
		missing = *text;
	free(text);
	return missing;
}
