// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was there before a change, to see from outside whether it came back.
 * Block devices and interfaces are counted below each device: their names are
 * given out anew by probes that run side by side.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

struct tally {
	const struct iommucfg_device *device;
	char *driver;
	size_t blocks, interfaces;	/* before */
	size_t blocks_now, interfaces_now;
};

struct iommucfg_witness {
	unsigned int refs;
	struct iommucfg_plan *plan;
	struct tally *tallies;		/* sorted by device */
	size_t n;
};

static int by_device(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return (x->device > y->device) - (x->device < y->device);
}

static int count_class(struct iommucfg_witness *w, const char *class, size_t offset)
{
	struct iommucfg_topology *topology = w->plan->topology;
	struct ic_devices above = { 0 };
	struct tally key, *found;
	struct dirent *e;
	char *syspath;
	size_t i;
	DIR *dir;
	int ret = 0;

	for (i = 0; i < w->n; i++)
		*(size_t *)((char *)&w->tallies[i] + offset) = 0;
	dir = ic_opendirat(topology->ctx->sysfd, class);
	if (!dir)
		return errno == ENOMEM ? -ENOMEM : 0;
	while (!ret && (e = readdir(dir))) {
		syspath = *e->d_name == '.' ? NULL : ic_sys_link(dirfd(dir), e->d_name, class);
		if (!syspath)
			continue;
		above.n = 0;
		ret = ic_devices_above(topology, syspath, &above);
		for (i = 0; i < above.n; i++) {
			key.device = above.v[i];
			found = bsearch(&key, w->tallies, w->n, sizeof(key), by_device);
			if (found)
				++*(size_t *)((char *)found + offset);
		}
		free(syspath);
	}
	closedir(dir);
	free(above.v);
	return ret;
}

static char *driver_now(const struct iommucfg_device *device)
{
	char *path, *link = NULL, *name = NULL;

	if (asprintf(&path, "%s/driver", device->syspath) < 0)
		return NULL;
	link = ic_sys_link(device->ctx->sysfd, path, NULL);
	if (link)
		name = strdup(ic_basename(link));
	free(link);
	free(path);
	return name;
}

int iommucfg_witness_new(struct iommucfg_plan *plan, struct iommucfg_witness **out)
{
	struct iommucfg_witness *w;
	const struct iommucfg_group *group;
	size_t i, j, n = 0;
	int ret;

	for (i = 0; i < plan->changes.n; i++)
		n += plan->changes.v[i]->group->num_devices;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->refs = 1;
	w->plan = iommucfg_plan_ref(plan);
	w->tallies = calloc(n + 1, sizeof(*w->tallies));
	ret = w->tallies ? ic_links_read(plan->topology) : -ENOMEM;
	for (i = 0; i < plan->changes.n && !ret; i++) {
		group = plan->changes.v[i]->group;
		for (j = 0; j < group->num_devices; j++) {
			w->tallies[w->n].device = group->devices[j];
			w->tallies[w->n++].driver = driver_now(group->devices[j]);
		}
	}
	if (!ret)
		qsort(w->tallies, w->n, sizeof(*w->tallies), by_device);
	if (!ret)
		ret = count_class(w, "class/block", offsetof(struct tally, blocks));
	if (!ret)
		ret = count_class(w, "class/net", offsetof(struct tally, interfaces));
	if (ret)
		iommucfg_witness_unref(w);
	else
		*out = w;
	return ret;
}

struct iommucfg_witness *iommucfg_witness_ref(struct iommucfg_witness *w)
{
	w->refs++;
	return w;
}

void iommucfg_witness_unref(struct iommucfg_witness *w)
{
	size_t i;

	if (!w || --w->refs)
		return;
	for (i = 0; i < w->n; i++)
		free(w->tallies[i].driver);
	free(w->tallies);
	iommucfg_plan_unref(w->plan);
	free(w);
}

static void type_now(const struct iommucfg_group *group, struct iommucfg *ctx, char *buf,
		     size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "kernel/iommu_groups/%u/type", group->number);
	if (ic_read_attr(ctx->sysfd, path, buf, size) < 0)
		snprintf(buf, size, "unknown");
}

static int missing(struct iommucfg_problems *problems, const struct iommucfg_device *device,
		   const char *what, size_t now, size_t before)
{
	struct ic_where where = {
		.line = -1, .group = device->group->number, .device = device->name,
		.error = ENODEV,
	};

	return ic_problem(problems, IOMMUCFG_REFUSED, "settle", &where,
			  "group %u: %s has %zu %s, had %zu before", device->group->number,
			  device->name, now, what, before);
}

static int missing_driver(struct iommucfg_problems *problems, const struct tally *t,
			  const char *now)
{
	struct ic_where where = {
		.line = -1, .group = t->device->group->number, .device = t->device->name,
		.error = ENODEV,
	};

	return ic_problem(problems, IOMMUCFG_REFUSED, "settle", &where,
			  "group %u: %s has %s%s, had driver %s before",
			  t->device->group->number, t->device->name, now ? "driver " : "no driver",
			  now ? now : "", t->driver);
}

int iommucfg_witness_missing(struct iommucfg_witness *w, struct iommucfg_problems *problems)
{
	struct iommucfg *ctx = w->plan->topology->ctx;
	const struct iommucfg_change *change;
	struct tally *t;
	char type[64], *driver;
	int ret, n = 0;
	size_t i;

	ret = count_class(w, "class/block", offsetof(struct tally, blocks_now));
	if (!ret)
		ret = count_class(w, "class/net", offsetof(struct tally, interfaces_now));
	for (i = 0; i < w->plan->changes.n && !ret; i++) {
		change = w->plan->changes.v[i];
		type_now(change->group, ctx, type, sizeof(type));
		if (change->to == IOMMUCFG_TYPE_AUTO ||
		    !strcmp(type, iommucfg_type_name(change->to)))
			continue;
		n++;
		ret = ic_problem(problems, IOMMUCFG_REFUSED, "settle",
				 &(struct ic_where){ .line = -1, .group = change->group->number,
						     .error = ENODEV },
				 "group %u reads %s, not %s", change->group->number, type,
				 iommucfg_type_name(change->to));
	}
	for (i = 0; i < w->n && !ret; i++) {
		t = &w->tallies[i];
		driver = driver_now(t->device);
		if (t->driver && (!driver || strcmp(driver, t->driver))) {
			n++;
			ret = missing_driver(problems, t, driver);
		}
		free(driver);
		if (!ret && t->blocks_now < t->blocks) {
			n++;
			ret = missing(problems, t->device, "block devices", t->blocks_now,
				      t->blocks);
		}
		if (!ret && t->interfaces_now < t->interfaces) {
			n++;
			ret = missing(problems, t->device, "network interfaces",
				      t->interfaces_now, t->interfaces);
		}
	}
	return ret ? ret : n;
}

bool iommucfg_witness_unmade(struct iommucfg_witness *w)
{
	const struct iommucfg_change *change;
	bool told = false;
	char type[64];
	size_t i;

	for (i = 0; i < w->plan->changes.n; i++) {
		change = w->plan->changes.v[i];
		/* May have come out as what was there before, so tells nothing. */
		if (change->to == IOMMUCFG_TYPE_AUTO)
			continue;
		told = true;
		type_now(change->group, w->plan->topology->ctx, type, sizeof(type));
		if (strcmp(type, iommucfg_group_type_text(change->group)))
			return false;
	}
	return told;
}
