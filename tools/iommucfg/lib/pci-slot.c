// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Slots by the label on the chassis, as a hotplug driver or pci_slot has them
 * below /sys/bus/pci/slots. In a slot are all functions at its address, and
 * every device below them.
 */
#include <stdio.h>

#include "internal.h"

#define SLOTS_DIR	"bus/pci/slots"

/* "0000:3b:00", or "0000:3b" where a slot has a bus to itself. */
static void read_slot(struct iommucfg_topology *topology, const char *label)
{
	char path[sizeof(SLOTS_DIR) + 300], address[32];
	struct ic_slot *slot;

	snprintf(path, sizeof(path), SLOTS_DIR "/%s/address", label);
	if (ic_read_attr(topology->ctx->sysfd, path, address, sizeof(address)) <= 0 ||
	    IC_GROW(topology->slots, topology->num_slots, topology->cap_slots))
		return;
	slot = &topology->slots[topology->num_slots];
	slot->label = strdup(label);
	slot->address = strdup(address);
	if (slot->label && slot->address) {
		topology->num_slots++;
		return;
	}
	free(slot->label);
	free(slot->address);
}

static void read_slots(struct iommucfg_topology *topology)
{
	struct dirent *e;
	DIR *dir;

	topology->slots_read = true;
	dir = ic_opendirat(topology->ctx->sysfd, SLOTS_DIR);
	while (dir && (e = readdir(dir)))
		if (*e->d_name != '.')
			read_slot(topology, e->d_name);
	if (dir)
		closedir(dir);
}

/* Does the device, or a bridge above it, have this address? */
static bool is_at(const struct iommucfg_device *device, const char *address)
{
	size_t n = strlen(address);
	const char *p, *devfn;
	size_t length;

	for (p = device->syspath; *p; p += length + (p[length] == '/')) {
		length = strcspn(p, "/");
		if (length > n && !strncmp(p, address, n) && (p[n] == '.' || p[n] == ':') &&
		    ic_pci_address(p, length, &devfn))
			return true;
	}
	return false;
}

/* 1 or 0, or -1 where no slot of this machine has a label. */
int ic_slot_matches(struct iommucfg_device *device, const char *label)
{
	struct iommucfg_topology *topology = device->topology;
	size_t i;

	/* A device by itself has no machine. */
	if (!topology)
		return -1;
	if (!topology->slots_read)
		read_slots(topology);
	for (i = 0; i < topology->num_slots; i++)
		if (!strcmp(topology->slots[i].label, label) &&
		    is_at(device, topology->slots[i].address))
			return 1;
	return topology->num_slots ? 0 : -1;
}

void ic_slots_free(struct iommucfg_topology *topology)
{
	size_t i;

	for (i = 0; i < topology->num_slots; i++) {
		free(topology->slots[i].label);
		free(topology->slots[i].address);
	}
	free(topology->slots);
}
