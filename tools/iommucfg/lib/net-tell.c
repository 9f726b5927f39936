// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of the network is not as before a change, as problems. */
#include <errno.h>
#include <stdio.h>

#include "net-snapshot.h"

static struct ic_where where_of(const struct iommucfg_network *before,
				const struct ic_net_link *link)
{
	struct ic_where where = IC_NOWHERE;

	if (link->device >= 0) {
		where.group = before->devices[link->device].group;
		where.device = before->devices[link->device].name;
	}
	return where;
}

/* What a manager is asked to do by hand. */
static void cure(struct iommucfg_problems *problems, const struct ic_net_link *link,
		 const char *name)
{
	switch (link->manager) {
	case IC_MANAGER_NETWORKMANAGER:
		ic_problem_cure(problems, "address-missing", "nmcli device connect %s", name);
		break;
	case IC_MANAGER_NETWORKD:
		ic_problem_cure(problems, "address-missing", "networkctl reconfigure %s", name);
		break;
	case IC_MANAGER_IFUPDOWN:
		ic_problem_cure(problems, "address-missing", "ifup --force %s", name);
		break;
	default:
		ic_problem_cure(problems, "address-missing", NULL);
	}
}

static void tell_missing(const struct iommucfg_network *before, const struct ic_net *now,
			 const struct ic_net_link *link, bool refuse,
			 struct iommucfg_problems *problems)
{
	const struct ic_net_link *is = link->now ? ic_net_link(now, link->now) : NULL;
	const char *manager = ic_manager_name(link->manager);
	struct ic_where where = where_of(before, link);
	char *text, why[128] = "";

	if (ic_net_missing_text(before, now, link, &text) || !*text) {
		free(text);
		return;
	}
	if (link->manager == IC_MANAGER_UNKNOWN)
		snprintf(why, sizeof(why), "; what manages it cannot be asked");
	else if (manager)
		snprintf(why, sizeof(why), "; %s manages it and has not brought it back", manager);
	else if (link->error)
		snprintf(why, sizeof(why), "; nothing manages it, and putting it back failed: %s",
			 strerror(link->error));
	else
		snprintf(why, sizeof(why), "; nothing manages it");
	where.error = ENODEV;
	ic_problem(problems, refuse && link->vital ? IOMMUCFG_REFUSED : IOMMUCFG_WARNING, "settle",
		   &where, "%s has not what it had before the change: %s%s",
		   is ? is->name : link->name, text, why);
	cure(problems, link, is ? is->name : link->name);
	free(text);
}

static void tell_name(const struct iommucfg_network *before, const struct ic_net *now,
		      const struct ic_net_link *link, struct iommucfg_problems *problems)
{
	const struct ic_net_link *is = link->now ? ic_net_link(now, link->now) : NULL;
	const struct ic_net_link *other = NULL;
	struct ic_where where = where_of(before, link);
	size_t i;

	if (!is || !strcmp(is->name, link->name))
		return;
	for (i = 0; i < now->num_links; i++)
		if (!strcmp(now->links[i].name, link->name))
			other = &now->links[i];
	ic_problem(problems, IOMMUCFG_WARNING, "settle", &where,
		   "the interface %s is %s now%s%s", link->name, is->name,
		   other ? ", and another one is " : "", other ? link->name : "");
	ic_problem_cure(problems, "name-changed", NULL);
}

/* A bridge or bond that had members of the snapshot, and has not got them all. */
static void tell_members(const struct iommucfg_network *before, const struct ic_net *now,
			 const struct ic_net_link *master, struct iommucfg_problems *problems)
{
	const struct ic_net_link *link, *is;
	bool any = false;
	size_t i;

	if (!master->now)
		return;
	for (i = 0; i < now->num_links; i++)
		any |= now->links[i].master == master->now;
	for (i = 0; i < before->net.num_links; i++) {
		link = &before->net.links[i];
		is = link->now ? ic_net_link(now, link->now) : NULL;
		if (link->master != master->index || (is && is->master == master->now))
			continue;
		ic_problem(problems, IOMMUCFG_WARNING, "settle",
			   &(struct ic_where){ .line = -1, .group = -1, .error = ENODEV },
			   "%s is without its member %s%s", master->name, link->name,
			   any ? "" : ", and has no other one");
		ic_problem_cure(problems, "member-missing", NULL);
	}
}

/* An interface of a changed device that was not here before. */
static void tell_newcomer(const struct iommucfg_network *before, const struct ic_net_link *link,
			  struct iommucfg_problems *problems)
{
	const struct ic_net_device *device;
	struct ic_where where = IC_NOWHERE;
	size_t i, length;

	for (i = 0; i < before->net.num_links; i++)
		if (before->net.links[i].now == link->index)
			return;
	for (i = 0; i < before->num_devices && link->path; i++) {
		device = &before->devices[i];
		length = strlen(device->path);
		if (strncmp(link->path, device->path, length) ||
		    (link->path[length] && link->path[length] != '/'))
			continue;
		where.group = device->group;
		where.device = device->name;
		ic_problem(problems, IOMMUCFG_WARNING, "settle", &where,
			   "%s of %s is in this network namespace now, where it was not before: if it was in another one it has left that, with its addresses",
			   link->name, device->name);
		ic_problem_cure(problems, "left-namespace", NULL);
		return;
	}
}

/*
 * Tells of all that differs, by a comparison that was made before. @refuse: what is missing on
 * an interface with the default route or the ssh session is why the change goes back.
 */
void ic_net_tell(const struct iommucfg_network *before, const struct ic_net *now, bool refuse,
		 struct iommucfg_problems *problems)
{
	size_t i;

	for (i = 0; i < before->net.num_links; i++) {
		tell_missing(before, now, &before->net.links[i], refuse, problems);
		tell_name(before, now, &before->net.links[i], problems);
		tell_members(before, now, &before->net.links[i], problems);
	}
	for (i = 0; i < now->num_links; i++)
		tell_newcomer(before, &now->links[i], problems);
}
