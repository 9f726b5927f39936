// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests to the kernel's rtnetlink: one at a time, each with all of its answer. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <sys/socket.h>

#include "netlink.h"

int ic_netlink_open(struct ic_netlink *netlink)
{
	int error;

	netlink->sequence = 0;
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink->socket)
		return -errno;
	if (!mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID))
		return 0;
	error = -errno;
	ic_netlink_close(netlink);
	return error;
}

void ic_netlink_close(struct ic_netlink *netlink)
{
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	netlink->socket = NULL;
}

/* What a callback returns: keeps going, or ends the request with the negative errno @ret. */
int ic_netlink_stop(int ret)
{
	errno = -ret;
	return ret ? MNL_CB_ERROR : MNL_CB_OK;
}

/*
 * Sends a request, and has @callback look at each message of the answer. Returns 0, or the
 * negative errno of the kernel, of the socket, or of the callback.
 */
int ic_netlink_request(struct ic_netlink *netlink, struct nlmsghdr *nlh, mnl_cb_t callback,
		       void *data)
{
	unsigned int port = mnl_socket_get_portid(netlink->socket);
	alignas(struct nlmsghdr) char buf[32768];
	ssize_t n;
	int ret;

	nlh->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(netlink->socket, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		ret = mnl_cb_run(buf, n, nlh->nlmsg_seq, port, callback, data);
		if (ret < 0)
			return -errno;
	} while (ret > 0);
	return 0;
}

/* All objects of a kind. @size: of the struct that the request begins with. */
int ic_netlink_dump(struct ic_netlink *netlink, int type, int family, size_t size,
		    mnl_cb_t callback, void *data)
{
	alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* Each of these structs begins with the family. */
	*(unsigned char *)mnl_nlmsg_put_extra_header(nlh, size) = family;
	return ic_netlink_request(netlink, nlh, callback, data);
}
