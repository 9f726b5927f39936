// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which interface is which after a change. A probe gives names and indices anew, and two
 * that run side by side may swap them; the place of the device and the port on it stay.
 */
#include <ctype.h>

#include "net-snapshot.h"

/* How much speaks for it that two interfaces are the same one. */
#define SAME_NAME	1
#define SAME_MAC	2
#define SAME_PATH	4
#define SAME_ALL	(SAME_NAME | SAME_MAC | SAME_PATH)

/* "…/virtio1" and "…/virtio3": numbers that a bus gives out anew. */
static bool is_alike(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			a += strspn(a, "0123456789");
			b += strspn(b, "0123456789");
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b;
}

static bool same_mac(const struct ic_net_link *a, const struct ic_net_link *b)
{
	const struct nlattr *x = a->permanent_mac ? a->permanent_mac : a->mac;
	const struct nlattr *y = b->permanent_mac ? b->permanent_mac : b->mac;

	return x && y && mnl_attr_get_payload_len(x) == mnl_attr_get_payload_len(y) &&
	       !memcmp(mnl_attr_get_payload(x), mnl_attr_get_payload(y),
		       mnl_attr_get_payload_len(x));
}

/* -1 where they cannot be the same. */
static int score(const struct iommucfg_network *before, const struct ic_net_link *old,
		 const struct ic_net_link *new)
{
	const char *device = before->devices[old->device].path;
	size_t length = strlen(device);

	if (!new->path || old->port != new->port)
		return -1;
	if (strcmp(old->path, new->path) &&
	    (strncmp(old->path, device, length) || strncmp(new->path, device, length) ||
	     !is_alike(old->path + length, new->path + length)))
		return -1;
	return (!strcmp(old->name, new->name) ? SAME_NAME : 0) |
	       (same_mac(old, new) ? SAME_MAC : 0) |
	       (!strcmp(old->path, new->path) ? SAME_PATH : 0);
}

static bool is_taken(const struct iommucfg_network *before, int index)
{
	size_t i;

	for (i = 0; i < before->net.num_links; i++)
		if (before->net.links[i].now == index)
			return true;
	return false;
}

static void find_by_device(struct iommucfg_network *before, const struct ic_net *now, int wanted)
{
	struct ic_net_link *link;
	size_t i, j;

	for (i = 0; i < before->net.num_links; i++) {
		link = &before->net.links[i];
		for (j = 0; j < now->num_links && link->device >= 0 && !link->now; j++)
			if (!is_taken(before, now->links[j].index) &&
			    score(before, link, &now->links[j]) == wanted)
				link->now = now->links[j].index;
	}
}

static bool same_kind(const struct ic_net_link *a, const struct ic_net_link *b)
{
	return !b->path && !strcmp(a->kind ? a->kind : "", b->kind ? b->kind : "");
}

/* A virtual one is what it was, or was made anew with its name. */
static int find_virtual(const struct ic_net_link *link, const struct ic_net *now)
{
	const struct ic_net_link *other = ic_net_link(now, link->index);
	size_t i;

	if (other && same_kind(link, other))
		return other->index;
	for (i = 0; i < now->num_links; i++)
		if (!strcmp(now->links[i].name, link->name) && same_kind(link, &now->links[i]))
			return now->links[i].index;
	return 0;
}

/* Sets link->now of each interface of the snapshot. */
void ic_net_find(struct iommucfg_network *before, const struct ic_net *now)
{
	int wanted;
	size_t i;

	for (i = 0; i < before->net.num_links; i++)
		before->net.links[i].now = 0;
	for (wanted = SAME_ALL; wanted >= 0; wanted--)
		find_by_device(before, now, wanted);
	for (i = 0; i < before->net.num_links; i++)
		if (before->net.links[i].device < 0)
			before->net.links[i].now = find_virtual(&before->net.links[i], now);
}

/* The index that an interface has now; 0 where it is not there. */
int ic_net_now(const struct iommucfg_network *before, int index)
{
	const struct ic_net_link *link = ic_net_link(&before->net, index);

	return link ? link->now : index;
}
