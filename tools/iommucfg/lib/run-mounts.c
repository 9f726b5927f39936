// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mounts on the disks of a change that it was not permitted to end: are they still there? */
#include <errno.h>

#include "run.h"
#include "use.h"

static int add(struct ic_names *names, const struct iommucfg_use *use)
{
	const char *end = strstr(use->detail, " over ");
	char *where;
	size_t i;

	if (strcmp(use->kind, "mount") || *use->detail != '/')
		return 0;
	where = strndup(use->detail, end ? (size_t)(end - use->detail) : strlen(use->detail));
	if (!where || IC_GROW(names->v, names->n, names->cap)) {
		free(where);
		return -ENOMEM;
	}
	for (i = 0; i < names->n; i++)
		if (!strcmp(names->v[i], where)) {
			free(where);
			return 0;
		}
	names->v[names->n++] = where;
	return 0;
}

/* Right before the commit. */
int ic_run_mounts_take(struct iommucfg_run *run)
{
	const struct ic_changes *changes = &run->plan->changes;
	const struct iommucfg_device *device;
	size_t i, j, k;
	int ret = 0;

	if (run->options.allow_in_use & IOMMUCFG_WORD_MOUNTED)
		return 0;
	for (i = 0; i < changes->n && !ret; i++)
		for (j = 0; j < changes->v[i]->group->num_devices && !ret; j++) {
			device = changes->v[i]->group->devices[j];
			for (k = 0; k < device->num_uses && !ret; k++)
				ret = add(&run->mounts, &device->uses[k]);
		}
	return ret;
}

static bool is_mounted(const struct ic_mounts *mounts, const char *where)
{
	size_t i;

	for (i = 0; i < mounts->n; i++)
		if (!strcmp(mounts->v[i].target, where))
			return true;
	return false;
}

/* Tells of those that are gone; are there any? */
bool ic_run_mounts_missing(struct iommucfg_run *run)
{
	struct ic_scan scan = { .topology = run->topology };
	bool any = false;
	size_t i;

	if (!run->mounts.n)
		return false;
	/* A table that cannot be read tells of none. */
	if (!ic_mounts_read(&scan, "proc/1/mountinfo", NULL) ||
	    !ic_mounts_read(&scan, "proc/self/mountinfo", NULL))
		for (i = 0; i < run->mounts.n; i++) {
			if (is_mounted(&scan.mounts, run->mounts.v[i]))
				continue;
			any = true;
			iommucfg_problems_add(run->problems, IOMMUCFG_WARNING, "settle", ENOENT,
					      "nothing is mounted on %s any more, as it was before the change",
					      run->mounts.v[i]);
			ic_problem_cure(run->problems, "mount-missing", NULL);
		}
	ic_mounts_free(&scan.mounts);
	return any;
}

void ic_run_mounts_free(struct iommucfg_run *run)
{
	size_t i;

	for (i = 0; i < run->mounts.n; i++)
		free(run->mounts.v[i]);
	free(run->mounts.v);
	run->mounts = (struct ic_names){ 0 };
}
