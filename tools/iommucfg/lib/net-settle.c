// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After a change, or after it went back: puts back what nothing manages, waits for what a
 * network manager brings back, and tells of what is missing when its time is over.
 */
#include <errno.h>
#include <poll.h>

#include "net-snapshot.h"

/* One thing can need another one: a route its address, an address its VLAN. */
#define MAX_PASSES	8
#define PAUSE		100

/* Of all groups that are given, by number; without what is in use. */
int iommucfg_network_new(struct iommucfg *ctx, const unsigned int *groups, size_t count,
			 struct iommucfg_network **network)
{
	struct iommucfg_topology *topology = NULL;
	struct iommucfg_group **found;
	size_t i, n = 0;
	int ret;

	*network = NULL;
	if (*ctx->root)
		return 0;
	ret = iommucfg_topology_scan(ctx, &topology, NULL);
	if (ret)
		return ret;
	found = calloc(count + 1, sizeof(*found));
	for (i = 0; found && i < count; i++) {
		found[n] = iommucfg_topology_find_group(topology, groups[i]);
		n += !!found[n];
	}
	ret = found ? ic_net_snapshot_take(topology, found, n, network) : -ENOMEM;
	free(found);
	iommucfg_topology_unref(topology);
	return ret;
}

/*
 * Puts back what can be; @now is how it is after that, to be cleared in any case. Returns on
 * how many interfaces something is missing, or a negative errno.
 */
static int put_back(struct iommucfg_network *network, struct ic_net *now, bool patient)
{
	int ret, passes = 0;
	size_t n;

	do {
		ret = ic_net_read(network->ctx, now);
		if (ret)
			return ret;
		n = ic_net_compare(network, now);
		ret = n ? ic_net_restore(network, now, patient) : 0;
		if (ret <= 0 || ++passes == MAX_PASSES)
			return ret < 0 ? ret : (int)n;
		ic_net_clear(now);
	} while (true);
}

/* For a run that does not wait. */
void ic_net_put_back(struct iommucfg_network *network)
{
	struct ic_net now;

	put_back(network, &now, false);
	ic_net_clear(&now);
}

static bool has_missing(struct iommucfg_network *network, const struct ic_net *now,
			bool (*wanted)(const struct ic_net_link *link, const void *data),
			const void *data)
{
	const struct ic_net_link *link;
	size_t i;

	for (i = 0; i < network->net.num_links; i++) {
		link = &network->net.links[i];
		if (wanted(link, data) && ic_net_is_missing(network, now, link))
			return true;
	}
	return false;
}

static bool is_vital(const struct ic_net_link *link, const void *data)
{
	(void)data;
	return link->vital;
}

/* What is left of the limits. */
static bool has_time(const struct ic_net_link *link, const void *data)
{
	const struct ic_net_limits *left = data;

	return (link->manager == IC_MANAGER_NONE ? left->own : left->manager) > 0;
}

/*
 * One look, @elapsed seconds after the devices were bound. Without @refuse the change has
 * gone back.
 */
enum ic_net_outcome ic_net_settle(struct iommucfg_network *network, long elapsed,
				  const struct ic_net_limits *limits, bool refuse,
				  struct iommucfg_problems *problems)
{
	struct ic_net_limits left = { limits->own - elapsed, limits->manager - elapsed };
	enum ic_net_outcome outcome = IC_NET_SAME;
	struct ic_net now;
	int n;

	/* After a rollback nothing else brings it back, so where a manager has not, this does. */
	network->takes_over = !refuse && limits->manager > 0 && left.manager <= 0;
	if (!refuse && limits->manager > 0)
		left.manager += limits->own;
	/* udev has half of the time to name an interface, before it is up. */
	n = put_back(network, &now, elapsed < (limits->own + 1) / 2);
	if (n < 0 ? left.own > 0 : n && has_missing(network, &now, has_time, &left)) {
		outcome = IC_NET_AGAIN;
	} else if (n < 0) {
		iommucfg_problems_add(problems, IOMMUCFG_WARNING, "settle", -n,
				      "addresses and routes cannot be read or put back: %s",
				      strerror(-n));
		ic_problem_cure(problems, "network-unread", NULL);
		outcome = IC_NET_DIFFERS;
	} else {
		if (n)
			outcome = refuse && has_missing(network, &now, is_vital, NULL) ?
				  IC_NET_VITAL : IC_NET_DIFFERS;
		ic_net_tell(network, &now, refuse, problems);
	}
	ic_net_clear(&now);
	return outcome;
}

int iommucfg_network_restore(struct iommucfg_network *network,
			     struct iommucfg_problems *problems)
{
	const struct ic_net_limits limits = { IC_NET_SECONDS, IC_NET_MANAGER_SECONDS };
	enum ic_net_outcome outcome;
	struct timespec begun, now;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		outcome = ic_net_settle(network, now.tv_sec - begun.tv_sec, &limits, false,
					problems);
	} while (outcome == IC_NET_AGAIN && poll(NULL, 0, PAUSE) <= 0);
	return outcome != IC_NET_SAME;
}
