// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Redundant sets: bonds, teams, md arrays, mirrors of LVM, multipath maps and NVMe subsystems.
 * Each goes on without one of its legs, if another one is healthy. What is used over a set
 * needs only the word for a leg then, whatever the use itself would need.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "use.h"

#define MAX_DEPTH	8

struct ic_set *ic_set_new(struct ic_set ***sets, size_t *n, size_t *cap, const char *kind,
			  const char *name)
{
	struct ic_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->kind = kind;
	set->name = strdup(name);
	if (!set->name || IC_GROW(*sets, *n, *cap)) {
		free(set->name);
		free(set);
		return NULL;
	}
	(*sets)[(*n)++] = set;
	return set;
}

struct ic_leg *ic_set_leg(struct ic_set *set, const char *name)
{
	struct ic_leg *leg;

	if (IC_GROW(set->legs, set->num_legs, set->cap_legs))
		return NULL;
	leg = &set->legs[set->num_legs];
	*leg = (struct ic_leg){ .name = strdup(name) };
	if (!leg->name)
		return NULL;
	set->num_legs++;
	return leg;
}

void ic_set_free(struct ic_set *set)
{
	size_t i;

	for (i = 0; i < set->num_legs; i++) {
		free(set->legs[i].name);
		free(set->legs[i].devices.v);
	}
	free(set->legs);
	free(set->name);
	free(set);
}

void ic_sets_free(struct ic_set **sets, size_t n)
{
	while (n)
		ic_set_free(sets[--n]);
	free(sets);
}

size_t ic_set_healthy(const struct ic_set *set)
{
	size_t i, n = 0;

	for (i = 0; i < set->num_legs; i++)
		n += set->legs[i].healthy;
	return n;
}

/* Does the leg go when the drivers of the group are unbound? */
bool ic_leg_is_of(const struct ic_leg *leg, const struct iommucfg_group *group)
{
	size_t i;

	for (i = 0; i < leg->devices.n; i++)
		if (leg->devices.v[i]->group == group && ic_is_released(leg->devices.v[i]))
			return true;
	return false;
}

/* Interfaces -------------------------------------------------------------- */

static int devices_of_interface(struct iommucfg_topology *topology, const char *name,
				struct ic_devices *devices, int depth)
{
	char *syspath, path[PATH_MAX];
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "class/net/%s", name);
	syspath = ic_sys_link(topology->ctx->sysfd, path, "class/net");
	if (!syspath)
		return 0;
	ret = ic_devices_above(topology, syspath, devices);
	free(syspath);
	dir = ret || devices->n || depth > MAX_DEPTH ? NULL :
	      ic_opendirat(topology->ctx->sysfd, path);
	/* A VLAN on a port can be a leg, too. */
	while (dir && !ret && (e = readdir(dir)))
		if (!strncmp(e->d_name, "lower_", 6))
			ret = devices_of_interface(topology, e->d_name + 6, devices, depth + 1);
	if (dir)
		closedir(dir);
	return ret;
}

/* "MII Status: up" of one slave in /proc/net/bonding/BOND, for trees without the slave's file. */
static bool proc_says_up(struct iommucfg_topology *topology, const char *bond, const char *name)
{
	char path[64], key[64], *text, *p;
	bool up = false;

	snprintf(path, sizeof(path), "proc/net/bonding/%.20s", bond);
	snprintf(key, sizeof(key), "Slave Interface: %.20s\n", name);
	text = ic_read_text(topology->ctx->rootfd, path, NULL);
	p = text ? strstr(text, key) : NULL;
	p = p ? strstr(p, "MII Status: ") : NULL;
	if (p)
		up = !strncmp(p, "MII Status: up\n", 15);
	free(text);
	return up;
}

static bool is_up(struct iommucfg_topology *topology, const struct ic_set *set, const char *name)
{
	bool bond = !strcmp(set->kind, "bond");
	char path[PATH_MAX], word[32];
	int ret;

	/* A bond without MII monitoring takes all for up; of what is down there is no carrier. */
	snprintf(path, sizeof(path), "class/net/%s/carrier", name);
	ret = ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word));
	if (ret == -EINVAL || (ret > 0 && strcmp(word, "1")))
		return false;
	snprintf(path, sizeof(path), bond ? "class/net/%s/bonding_slave/mii_status" :
		 "class/net/%s/operstate", name);
	if (ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word)) >= 0)
		return !strcmp(word, "up");
	return bond && proc_says_up(topology, set->name, name);
}

static int add_port(struct iommucfg_topology *topology, struct ic_set *set, const char *name)
{
	struct ic_leg *leg = ic_set_leg(set, name);

	if (!leg)
		return -ENOMEM;
	leg->healthy = is_up(topology, set, name);
	return devices_of_interface(topology, name, &leg->devices, 0);
}

static struct ic_set *add_set(struct iommucfg_topology *topology, const char *kind,
			      const char *name, enum iommucfg_word word)
{
	struct ic_set *set = ic_set_new(&topology->sets, &topology->num_sets,
					&topology->cap_sets, kind, name);

	if (set)
		set->word = word;
	return set;
}

static int read_bond(struct iommucfg_topology *topology, const char *name)
{
	char path[PATH_MAX], slaves[4096], *word, *save;
	struct ic_set *set;
	int ret = 0;

	snprintf(path, sizeof(path), "class/net/%s/bonding/slaves", name);
	if (ic_read_attr(topology->ctx->sysfd, path, slaves, sizeof(slaves)) <= 0)
		return 0;
	set = add_set(topology, "bond", name, IOMMUCFG_WORD_NET);
	if (!set)
		return -ENOMEM;
	for (word = strtok_r(slaves, " \n", &save); word && !ret;
	     word = strtok_r(NULL, " \n", &save))
		ret = add_port(topology, set, word);
	return ret;
}

/*
 * Not every kernel says of a team that it is one: then its name does, as systemd and
 * NetworkManager give it. Bridges and VLANs always have their type.
 */
static bool is_team(struct iommucfg_topology *topology, const char *name)
{
	char path[PATH_MAX], uevent[512];

	snprintf(path, sizeof(path), "class/net/%s/uevent", name);
	if (ic_read_attr(topology->ctx->sysfd, path, uevent, sizeof(uevent)) > 0 &&
	    strstr(uevent, "DEVTYPE="))
		return strstr(uevent, "DEVTYPE=team");
	return !strncmp(name, "team", 4);
}

static int read_team(struct iommucfg_topology *topology, const char *name)
{
	char path[PATH_MAX];
	struct ic_set *set;
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	if (!is_team(topology, name))
		return 0;
	snprintf(path, sizeof(path), "class/net/%s", name);
	dir = ic_opendirat(topology->ctx->sysfd, path);
	if (!dir)
		return 0;
	set = add_set(topology, "team", name, IOMMUCFG_WORD_NET);
	ret = set ? 0 : -ENOMEM;
	while (!ret && (e = readdir(dir)))
		if (!strncmp(e->d_name, "lower_", 6))
			ret = add_port(topology, set, e->d_name + 6);
	closedir(dir);
	return ret;
}

/* An interface of a device, of which there can be thousands, is no bond or team. */
static bool is_port(int dirfd, const char *name)
{
	char *syspath = ic_sys_link(dirfd, name, "class/net");
	bool is = syspath && !strstr(syspath, "/virtual/");

	free(syspath);
	return is;
}

static int read_interfaces(struct iommucfg_topology *topology)
{
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	dir = ic_opendirat(topology->ctx->sysfd, "class/net");
	while (dir && !ret && (e = readdir(dir))) {
		if (*e->d_name == '.' || is_port(dirfd(dir), e->d_name))
			continue;
		ret = read_bond(topology, e->d_name);
		if (!ret)
			ret = read_team(topology, e->d_name);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* The set that an interface is a leg of, if nothing else is stacked on it. */
const struct ic_set *ic_set_of_interface(const struct iommucfg_topology *topology,
					 const char *name)
{
	const struct ic_set *set, *found = NULL;
	char path[PATH_MAX];
	struct dirent *e;
	size_t i, j, n = 0;
	DIR *dir;

	for (i = 0; i < topology->num_sets && !found; i++) {
		set = topology->sets[i];
		for (j = 0; j < set->num_legs && set->word == IOMMUCFG_WORD_NET; j++)
			if (!strcmp(set->legs[j].name, name))
				found = set;
	}
	if (!found)
		return NULL;
	snprintf(path, sizeof(path), "class/net/%s", name);
	dir = ic_opendirat(topology->ctx->sysfd, path);
	while (dir && (e = readdir(dir)))
		n += !strncmp(e->d_name, "upper_", 6);
	if (dir)
		closedir(dir);
	return n > 1 ? NULL : found;
}

/* Disks ------------------------------------------------------------------- */

/* Adds the devices that a disk, partition or volume stands on. */
static int devices_of_block(struct ic_scan *scan, const struct ic_block *block,
			    struct ic_devices *devices, int depth)
{
	struct ic_block *below;
	char path[PATH_MAX];
	struct dirent *e;
	int ret = 0;
	size_t i;
	DIR *dir;

	for (i = 0; i < block->above.n && !ret; i++)
		ret = ic_devices_add(devices, block->above.v[i]);
	if (ret || block->above.n || depth > MAX_DEPTH)
		return ret;
	snprintf(path, sizeof(path), "%s/slaves", block->syspath);
	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	while (dir && !ret && (e = readdir(dir))) {
		below = *e->d_name == '.' ? NULL : ic_block_by_name(&scan->blocks, e->d_name);
		if (below)
			ret = devices_of_block(scan, below, devices, depth + 1);
	}
	if (dir)
		closedir(dir);
	below = ic_block_whole(scan, block);
	return ret || !below ? ret : devices_of_block(scan, below, devices, depth + 1);
}

/* Each of the blocks below a volume is a leg; whether it is healthy is for the caller. */
int ic_set_legs(struct ic_scan *scan, struct ic_set *set, const struct ic_block *block)
{
	struct ic_block *below;
	char path[PATH_MAX];
	struct ic_leg *leg;
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/slaves", block->syspath);
	dir = ic_opendirat(scan->topology->ctx->sysfd, path);
	while (dir && !ret && (e = readdir(dir))) {
		below = *e->d_name == '.' ? NULL : ic_block_by_name(&scan->blocks, e->d_name);
		if (!below)
			continue;
		leg = ic_set_leg(set, e->d_name);
		ret = leg ? devices_of_block(scan, below, &leg->devices, 0) : -ENOMEM;
	}
	if (dir)
		closedir(dir);
	return ret;
}

static bool md_has_bitmap(struct ic_scan *scan, const struct ic_block *block)
{
	char path[PATH_MAX], word[64], *text, *p, *end;
	bool has = false;

	snprintf(path, sizeof(path), "%s/md/bitmap/location", block->syspath);
	if (ic_read_attr(scan->topology->ctx->sysfd, path, word, sizeof(word)) > 0)
		return strcmp(word, "none");
	/* An entry ends with an empty line. */
	text = ic_read_text(scan->topology->ctx->rootfd, "proc/mdstat", NULL);
	for (p = text; p && !has; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, block->name, strlen(block->name)) || p[strlen(block->name)] != ' ')
			continue;
		end = strstr(p, "\n\n");
		if (end)
			*end = '\0';
		has = strstr(p, "bitmap:");
		break;
	}
	free(text);
	return has;
}

/* Are its superblocks md's own? Of others (imsm, ddf) members are not put back by us. */
static bool md_is_foreign(struct ic_scan *scan, const struct ic_block *block)
{
	static const char *const known[] = { "0.90", "1.0", "1.1", "1.2", NULL };
	char path[PATH_MAX], word[64];
	size_t i;

	snprintf(path, sizeof(path), "%s/md/metadata_version", block->syspath);
	if (ic_read_attr(scan->topology->ctx->sysfd, path, word, sizeof(word)) <= 0)
		return false;
	for (i = 0; known[i]; i++)
		if (!strcmp(word, known[i]))
			return false;
	return true;
}

static int read_md(struct ic_scan *scan, struct ic_block *block)
{
	struct iommucfg_topology *topology = scan->topology;
	char path[PATH_MAX], level[32], word[64];
	struct ic_set *set;
	size_t i;
	int ret;

	if (strncmp(block->name, "md", 2))
		return 0;
	snprintf(path, sizeof(path), "%s/md/level", block->syspath);
	if (ic_read_attr(topology->ctx->sysfd, path, level, sizeof(level)) <= 0 ||
	    strncmp(level, "raid", 4) || !strcmp(level, "raid0"))
		return 0;
	set = add_set(topology, "md", block->name, IOMMUCFG_WORD_BLOCK);
	if (!set)
		return -ENOMEM;
	block->set = set;
	/* Two legs of a raid10 may be the two copies of the same data. */
	set->may_miss = !strcmp(level, "raid1") ? 0 : !strcmp(level, "raid6") ? 2 : 1;
	snprintf(path, sizeof(path), "%s/md/degraded", block->syspath);
	set->degraded = ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word)) <= 0 ||
			strcmp(word, "0");
	/* Until a resync is over one leg has what the others have not. */
	snprintf(path, sizeof(path), "%s/md/sync_action", block->syspath);
	if (ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word)) > 0)
		set->degraded |= !strcmp(word, "resync") || !strcmp(word, "recover");
	set->no_bitmap = !md_has_bitmap(scan, block);
	set->foreign = md_is_foreign(scan, block);
	ret = ic_set_legs(scan, set, block);
	for (i = 0; i < set->num_legs; i++) {
		snprintf(path, sizeof(path), "%s/md/dev-%s/state", block->syspath,
			 set->legs[i].name);
		set->legs[i].healthy = ic_read_attr(topology->ctx->sysfd, path, word,
						    sizeof(word)) < 0 || strstr(word, "in_sync");
	}
	return ret;
}

/* Can I/O go by this controller? Where native multipath is on it has a path for each namespace. */
static bool is_live_path(struct iommucfg_topology *topology, const char *subsystem,
			 const char *name)
{
	char path[PATH_MAX], word[64];
	struct dirent *e;
	bool live;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s/state", subsystem, name);
	live = ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word)) > 0 &&
	       !strcmp(word, "live");
	snprintf(path, sizeof(path), "%s/%s", subsystem, name);
	dir = live ? ic_opendirat(topology->ctx->sysfd, path) : NULL;
	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, "nvme", 4))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s/ana_state", subsystem, name, e->d_name);
		if (ic_read_attr(topology->ctx->sysfd, path, word, sizeof(word)) > 0 &&
		    strcmp(word, "optimized") && strcmp(word, "non-optimized"))
			live = false;
	}
	if (dir)
		closedir(dir);
	return live;
}

static int add_controller(struct iommucfg_topology *topology, struct ic_set *set,
			  const char *subsystem, const char *name)
{
	char path[PATH_MAX], *syspath;
	struct ic_leg *leg;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", subsystem, name);
	syspath = ic_sys_link(topology->ctx->sysfd, path, subsystem);
	/* A head is no link. */
	if (!syspath)
		return 0;
	leg = ic_set_leg(set, name);
	ret = leg ? ic_devices_above(topology, syspath, &leg->devices) : -ENOMEM;
	if (leg)
		leg->healthy = is_live_path(topology, subsystem, name);
	free(syspath);
	return ret;
}

static int read_subsystem(struct ic_scan *scan, struct ic_block *block)
{
	struct iommucfg_topology *topology = scan->topology;
	char *subsystem = strdup(block->syspath), *p;
	struct ic_set *set = NULL;
	struct dirent *e;
	int ret = 0;
	size_t i;
	DIR *dir;

	p = subsystem ? strstr(subsystem, "/nvme-subsystem/") : NULL;
	if (!p) {
		ret = subsystem ? 0 : -ENOMEM;
		goto out;
	}
	p = strchr(p + strlen("/nvme-subsystem/"), '/');
	if (p)
		*p = '\0';
	for (i = 0; i < topology->num_sets && !set; i++)
		if (!strcmp(topology->sets[i]->name, ic_basename(subsystem)))
			set = topology->sets[i];
	block->set = set;
	if (set)
		goto out;
	set = add_set(topology, "nvme", ic_basename(subsystem), IOMMUCFG_WORD_BLOCK);
	block->set = set;
	ret = set ? 0 : -ENOMEM;
	dir = ic_opendirat(topology->ctx->sysfd, subsystem);
	while (dir && !ret && (e = readdir(dir)))
		if (!strncmp(e->d_name, "nvme", 4))
			ret = add_controller(topology, set, subsystem, e->d_name);
	if (dir)
		closedir(dir);
out:
	free(subsystem);
	return ret;
}

/* After the blocks. */
int ic_sets_read(struct ic_scan *scan)
{
	size_t i;
	int ret = read_interfaces(scan->topology);

	for (i = 0; i < scan->blocks.n && !ret; i++) {
		ret = read_md(scan, &scan->blocks.v[i]);
		if (!ret)
			ret = read_subsystem(scan, &scan->blocks.v[i]);
	}
	return ret ? ret : ic_sets_read_dm(scan);
}

/* The sets alone, without what is in use. */
int ic_sets_scan(struct iommucfg_topology *topology)
{
	struct ic_scan scan = { .topology = topology };
	int ret = ic_links_read(topology);

	if (!ret)
		ret = ic_blocks_read(&scan);
	if (!ret)
		ret = ic_sets_read(&scan);
	ic_blocks_free(&scan.blocks);
	return ret;
}

/* Uses -------------------------------------------------------------------- */

static bool has_set(const struct ic_set *const *sets, size_t n, const struct ic_set *set)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (sets[i] == set)
			return true;
	return false;
}

/* The use that was added last is by these sets; if it was there already, by those of both alone. */
int ic_use_comes_over(struct iommucfg_device *device, const struct ic_set *const *sets, size_t n)
{
	struct iommucfg_use *use;
	size_t i, kept = 0;

	if (!device->num_uses)
		return 0;
	use = &device->uses[device->last_use];
	if (device->last_is_new) {
		for (i = 0; i < n && i < IC_MAX_SETS; i++)
			use->sets[i] = sets[i];
		return 0;
	}
	for (i = 0; i < IC_MAX_SETS && use->sets[i]; i++)
		if (has_set(sets, n, use->sets[i]))
			use->sets[kept++] = use->sets[i];
	for (; kept < IC_MAX_SETS; kept++)
		use->sets[kept] = NULL;
	return 0;
}

/* What comes over a network, and was added last, goes by the only interface of the device. */
int ic_use_comes_over_port(struct iommucfg_device *device)
{
	const struct ic_set *set = NULL;

	if (iommucfg_device_num_interfaces(device) == 1)
		set = ic_set_of_interface(device->topology, iommucfg_device_interface(device, 0));
	return ic_use_comes_over(device, &set, !!set);
}

/* Are there enough healthy legs left when the drivers of the group are unbound? */
static bool stays(const struct ic_set *set, const struct iommucfg_group *group)
{
	size_t i, gone = 0;
	bool rest = false;

	for (i = 0; i < set->num_legs; i++) {
		if (ic_leg_is_of(&set->legs[i], group))
			gone++;
		else if (set->legs[i].healthy && set->legs[i].devices.n)
			rest = true;
	}
	return rest && !set->degraded && !set->foreign && (!set->may_miss || gone <= set->may_miss);
}

/*
 * Which uses need the word for a leg only? Two groups with legs of one set never change
 * together, so that each can be judged by itself.
 */
void ic_sets_judge(struct iommucfg_topology *topology)
{
	struct iommucfg_device *device;
	struct iommucfg_use *use;
	size_t i, j, k;

	for (i = 0; i < topology->num_devices; i++) {
		device = topology->by_path[i];
		for (j = 0; j < device->num_uses; j++) {
			use = &device->uses[j];
			for (k = 0; k < IC_MAX_SETS && use->sets[k] && !use->is_leg; k++) {
				use->is_leg = stays(use->sets[k], device->group);
				if (use->is_leg)
					use->word = use->sets[k]->word;
			}
		}
	}
}
