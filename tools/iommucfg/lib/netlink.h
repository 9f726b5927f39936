/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to the kernel's rtnetlink. */
#ifndef IOMMUCFG_NETLINK_H
#define IOMMUCFG_NETLINK_H

#include <libmnl/libmnl.h>
#include <stddef.h>

struct ic_netlink {
	struct mnl_socket *socket;
	unsigned int sequence;
};

int ic_netlink_open(struct ic_netlink *netlink);
void ic_netlink_close(struct ic_netlink *netlink);
int ic_netlink_request(struct ic_netlink *netlink, struct nlmsghdr *nlh, mnl_cb_t callback,
		       void *data);
int ic_netlink_dump(struct ic_netlink *netlink, int type, int family, size_t size,
		    mnl_cb_t callback, void *data);
int ic_netlink_stop(int ret);

#endif
