/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems and disks that come over a network, and over which devices. */
#ifndef IOMMUCFG_REMOTE_H
#define IOMMUCFG_REMOTE_H

#include "netinfo.h"

struct ic_remote {
	char what[128];		/* "iSCSI 192.0.2.1" */
	char over[64];		/* "eth0, eth1" */
	bool rdma;
	struct ic_devices devices;
};

bool ic_remote_server(const char *type, const char *source, const char *options, char **server);
int ic_remote_mount(const struct ic_netinfo *info, const char *server, const char *options,
		    struct ic_remote *remote);
int ic_remote_disk(const struct ic_netinfo *info, const char *name, const char *syspath,
		   struct ic_remote *remote);
void ic_remote_clear(struct ic_remote *remote);

#endif
