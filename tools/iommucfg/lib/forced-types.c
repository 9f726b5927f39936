// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which types the IOMMU drivers force on devices. Only the kernel knows, and
 * tells it of groups that are in a transaction: so one is made, asked, and
 * removed again. It stages nothing and touches no group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "txn.h"

static const char *const words[] = { "any", "identity", "DMA" };

/*
 * "<bus> <device> <driver|-> <any|identity|DMA>" a line. Blanks in a driver's name are
 * written \040; modules before that wrote them as they are, so the last word counts.
 */
static void read_line(struct iommucfg_topology *topology, char *line)
{
	char *bus, *name, *word, *save;
	struct iommucfg_device *device;
	size_t i;

	word = strrchr(line, ' ');
	if (!word)
		return;
	*word++ = '\0';
	bus = strtok_r(line, " ", &save);
	name = strtok_r(NULL, " ", &save);
	if (!bus || !name || !strtok_r(NULL, " ", &save))
		return;
	ic_unescape(name);
	device = iommucfg_topology_find_device(topology, name);
	/* Another bus may have a device of that name. */
	while (device && device->bus && strcmp(device->bus, bus))
		device = iommucfg_topology_next_device(topology, device);
	for (i = 0; device && i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i]))
			device->required = words[i];
}

static int read_devices(struct iommucfg_topology *topology, struct iommucfg_txn *txn,
			unsigned int group)
{
	char path[64], *text, *line, *save;

	snprintf(path, sizeof(path), "%u/devices", group);
	text = ic_read_text(txn->fd, path, NULL);
	if (!text)
		return -ENOENT;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_line(topology, line);
	free(text);
	return 0;
}

static bool is_known(const struct iommucfg_group *group)
{
	size_t i;

	for (i = 0; i < group->num_devices; i++)
		if (!group->devices[i]->required)
			return false;
	return true;
}

/* What others have staged tells as much, and needs no rights. */
static void read_staged(struct iommucfg_topology *topology)
{
	unsigned int *groups;
	struct iommucfg_txn *txn;
	char **names;
	int n, i, count, j;

	n = iommucfg_txn_list(topology->ctx, &names);
	if (n < 0)
		return;
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(topology->ctx, names[i], &txn))
			continue;
		groups = NULL;
		count = iommucfg_txn_groups(txn, &groups);
		for (j = 0; j < count; j++)
			read_devices(topology, txn, groups[j]);
		free(groups);
		iommucfg_txn_unref(txn);
	}
	iommucfg_txn_list_free(names);
}

static void ask(struct iommucfg_topology *topology)
{
	struct iommucfg_txn *txn;
	struct iommucfg_group *group;
	char name[32];
	size_t i;
	int ret = 0;

	if (iommucfg_txn_create(topology->ctx, NULL, &txn, NULL))
		return;
	/* A directory of a saved tree is no transaction. */
	if (iommucfg_txn_state(txn) != IOMMUCFG_STATE_STAGED)
		goto out;
	for (i = 0; i < topology->num_groups && !ret; i++) {
		group = topology->groups[i];
		if (!group->num_devices || is_known(group))
			continue;
		snprintf(name, sizeof(name), "%u", group->number);
		if (mkdirat(txn->fd, name, 0755))
			continue;
		ret = read_devices(topology, txn, group->number);
		iommucfg_txn_unstage(txn, group->number);
	}
out:
	iommucfg_txn_forget(txn);
	iommucfg_txn_unref(txn);
}

int iommucfg_topology_scan_required(struct iommucfg_topology *topology)
{
	if (topology->required_read)
		return 0;
	topology->required_read = true;
	if (iommucfg_kernel_probe(topology->ctx, NULL))
		return 0;
	read_staged(topology);
	if (!faccessat(topology->ctx->rootfd, CONFIGFS_DIR, W_OK, AT_EACCESS))
		ask(topology);
	return 0;
}
