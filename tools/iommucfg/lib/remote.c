// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems and disks that come over a network: where the server is, and which
 * devices the packets to it leave by. Of a server whose address is not known, as of
 * one by name alone, they go where the default route goes.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "remote.h"

void ic_remote_clear(struct ic_remote *remote)
{
	free(remote->devices.v);
	memset(&remote->devices, 0, sizeof(remote->devices));
}

static void add_over(struct ic_remote *remote, const char *ifname)
{
	size_t used = strlen(remote->over);

	snprintf(remote->over + used, sizeof(remote->over) - used, "%s%s", used ? ", " : "", ifname);
}

static int add_interface(const struct ic_netinfo *info, const char *ifname,
			 struct ic_remote *remote)
{
	size_t before = remote->devices.n;
	char path[PATH_MAX], *syspath;
	int ret = 0;

	snprintf(path, sizeof(path), "class/net/%s", ifname);
	syspath = ic_sys_link(info->topology->ctx->sysfd, path, "class/net");
	if (syspath)
		ret = ic_devices_above(info->topology, syspath, &remote->devices);
	free(syspath);
	if (remote->devices.n > before)
		add_over(remote, ifname);
	return ret;
}

static int add_carriers(const struct ic_netinfo *info, const bool *carries,
			struct ic_remote *remote)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < info->num_interfaces && !ret; i++)
		if (carries[i])
			ret = add_interface(info, info->interfaces[i].name, remote);
	return ret;
}

/* All that packets to @to leave by; NULL for an address that is not known. */
static int add_way(const struct ic_netinfo *info, const struct ic_address *to,
		   struct ic_remote *remote)
{
	bool *carries = calloc(info->num_interfaces + 1, sizeof(*carries));
	int ret;

	if (!carries)
		return -ENOMEM;
	ret = ic_netgraph_way(info, to, carries);
	if (!ret)
		ret = add_carriers(info, carries, remote);
	free(carries);
	return ret;
}

static int add_by_name(const struct ic_netinfo *info, const char *ifname,
		       struct ic_remote *remote)
{
	bool *carries = calloc(info->num_interfaces + 1, sizeof(*carries));
	int ret = 0;

	if (!carries)
		return -ENOMEM;
	if (!ic_netgraph_carriers(info, ifname, carries))
		ret = add_carriers(info, carries, remote);
	free(carries);
	return ret;
}

/*
 * The ways to all addresses in a text, whatever stands between them: "192.0.2.1:/srv",
 * "[2001:db8::1]:6789,192.0.2.3:6789". A name has no address here: nobody is asked for it.
 */
static int add_addresses(const struct ic_netinfo *info, const char *text, size_t length,
			 struct ic_remote *remote, bool *any)
{
	const char *p = text, *end = text + length;
	struct ic_address address;
	int ret = 0;
	size_t n;

	while (p < end && !ret) {
		n = strspn(p, "0123456789abcdefABCDEF.:[]%");
		if (n > (size_t)(end - p))
			n = end - p;
		if (!n) {
			p++;
			continue;
		}
		/* A whole word, or as much of it as comes before a port or path. */
		if ((p == text || !isalnum((unsigned char)p[-1]))) {
			size_t m = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":");
			bool found = ic_address_parse(p, n, &address) ||
				     (m <= n && ic_address_parse(p, m, &address));

			/* "2001:db8::1:/srv" */
			found = found || (p[n - 1] == ':' && ic_address_parse(p, n - 1, &address));
			if (found) {
				*any = true;
				ret = add_way(info, &address, remote);
			}
		}
		p += n;
	}
	return ret;
}

static int add_server(const struct ic_netinfo *info, const char *text, size_t length,
		      struct ic_remote *remote)
{
	bool any = false;
	int ret;

	ret = add_addresses(info, text, length, remote, &any);
	return ret || any ? ret : add_way(info, NULL, remote);
}

/* The value of an option in a list with commas, or NULL. */
static const char *find_option(const char *options, const char *key, size_t *length)
{
	size_t n = strlen(key);

	for (; options && *options; options += strcspn(options, ",")) {
		options += *options == ',';
		if (!strncmp(options, key, n) && strchr("=,", options[n])) {
			*length = strcspn(options + n, ",");
			*length -= *length > 0;
			return options + n + (options[n] == '=');
		}
	}
	return NULL;
}

/* "user@host:/dir", "bucket:dir", "https://…": what comes from this machine has no colon. */
static bool is_network_fuse(const char *type, const char *source)
{
	return !strncmp(type, "fuse", 4) && (!type[4] || type[4] == '.') &&
	       source[strcspn(source, "/:")] == ':';
}

/* Not those of the kernel that are in memory, nor 9p and virtiofs from a hypervisor. */
static bool is_network(const char *type, const char *source, const char *options)
{
	static const char *const types[] = {
		"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "ncpfs", "ncp", "coda",
		"lustre", "glusterfs", "pvfs2", "orangefs", "beegfs", "gpfs",
		"fuse.glusterfs", "fuse.sshfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs",
		"fuse.davfs", "fuse.curlftpfs", "fuse.rclone", "fuse.moosefs", "fuse.mfs",
		"fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2", "fuse.goofys",
		"fuse.mount-s3", "fuse.juicefs", "fuse.lizardfs", "fuse.saunafs", "fuse.s3ql",
	};
	size_t i, length = 0;
	const char *trans;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(type, types[i]))
			return true;
	if (strcmp(type, "9p"))
		return is_network_fuse(type, source);
	trans = find_option(options, "trans", &length);
	return trans ? !strncmp(trans, "tcp", 3) || !strncmp(trans, "rdma", 4) :
		       isdigit((unsigned char)*source);
}

/* @server: Lustre has its network there, as in "192.0.2.1@o2ib:192.0.2.2@o2ib:". */
static bool is_rdma(const char *server, const char *options)
{
	static const char *const keys[] = { "proto", "trans", "transport" };
	const char *value;
	size_t i, length;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		value = find_option(options, keys[i], &length);
		if (value && !strncmp(value, "rdma", 4))
			return true;
	}
	return find_option(options, "rdma", &length) || strstr(server, "@o2ib");
}

/*
 * Does a file system come over a network? Then @server is set to what is known of where
 * from, to be released with free(); NULL where memory is short.
 */
bool ic_remote_server(const char *type, const char *source, const char *options, char **server)
{
	static const char *const keys[] = { "addr", "mon_addr", "ip" };
	const char *value;
	size_t length, i;

	if (!is_network(type, source, options))
		return false;
	/* "https://server/dir" */
	value = strstr(source, "://");
	source = value ? value + strlen("://") : source + strspn(source, "/");
	/* What was asked for may be a name, what was found out is an address. */
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		value = find_option(options, keys[i], &length);
		if (value) {
			source = value;
			break;
		}
	}
	if (i == sizeof(keys) / sizeof(*keys)) {
		length = *source == '[' ? strcspn(source, "]") : 0;
		length += strcspn(source + length, "/");
	}
	*server = strndup(source, length);
	return true;
}

/* Returns 0 or a negative errno. */
int ic_remote_mount(const struct ic_netinfo *info, const char *server, const char *options,
		    struct ic_remote *remote)
{
	*remote = (struct ic_remote){ .rdma = is_rdma(server, options) };
	snprintf(remote->what, sizeof(remote->what), "%.120s", server);
	return add_server(info, server, strlen(server), remote);
}

/* An attribute of sysfs, "" where there is none. */
static void attr(const struct ic_netinfo *info, char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void attr(const struct ic_netinfo *info, char *buf, size_t size, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (ic_read_attr(info->topology->ctx->sysfd, path, buf, size) <= 0)
		*buf = '\0';
}

/* "traddr=192.0.2.1,trsvcid=4420,host_iface=eth0" */
static int add_controller(const struct ic_netinfo *info, const char *syspath,
			  struct ic_remote *remote, bool *any)
{
	char transport[16], address[512];
	const char *value;
	size_t length;
	int ret;

	attr(info, transport, sizeof(transport), "%s/transport", syspath);
	attr(info, address, sizeof(address), "%s/address", syspath);
	if (strcmp(transport, "tcp") && strcmp(transport, "rdma"))
		return 0;
	*any = true;
	remote->rdma |= !strcmp(transport, "rdma");
	value = find_option(address, "traddr", &length);
	snprintf(remote->what, sizeof(remote->what), "NVMe over %s from %.*s",
		 remote->rdma ? "RDMA" : "TCP", value ? (int)(length < 64 ? length : 64) : 1,
		 value ? value : "?");
	ret = value ? add_server(info, value, length, remote) : add_way(info, NULL, remote);
	value = find_option(address, "host_iface", &length);
	if (!ret && value && length < IFNAMSIZ) {
		snprintf(transport, sizeof(transport), "%.*s", (int)length, value);
		ret = add_by_name(info, transport, remote);
	}
	return ret;
}

/* A namespace by the controller above it, or the head of several by all of them. */
static int nvme(const struct ic_netinfo *info, const char *syspath, struct ic_remote *remote,
		bool *any)
{
	char *top = strdup(syspath), *controller;
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	if (!top)
		return -ENOMEM;
	/* "nvme1n1" is below "nvme1", and a partition below that. */
	while (!strncmp(ic_basename(top), "nvme", 4) && strchr(ic_basename(top) + 4, 'n'))
		*strrchr(top, '/') = '\0';
	if (strstr(top, "/nvme-fabrics/")) {
		ret = add_controller(info, top, remote, any);
	} else if (strstr(top, "/nvme-subsystem/")) {
		dir = ic_opendirat(info->topology->ctx->sysfd, top);
		while (dir && !ret && (e = readdir(dir))) {
			controller = strncmp(e->d_name, "nvme", 4) ? NULL :
				     ic_sys_link(dirfd(dir), e->d_name, top);
			if (controller)
				ret = add_controller(info, controller, remote, any);
			free(controller);
		}
		if (dir)
			closedir(dir);
	}
	free(top);
	return ret;
}

/* A disk of a session that the kernel runs, and not a card. */
static int iscsi(const struct ic_netinfo *info, const char *syspath, struct ic_remote *remote,
		 bool *any)
{
	const char *p = strstr(syspath, "/session");
	unsigned int session, host;
	char address[64], proc[32];

	if (!p || sscanf(p, "/session%u/", &session) != 1)
		return 0;
	*any = true;
	attr(info, address, sizeof(address), "class/iscsi_connection/connection%u:0/address",
	     session);
	if (!*address)
		attr(info, address, sizeof(address),
		     "class/iscsi_connection/connection%u:0/persistent_address", session);
	p = strstr(syspath, "/host");
	if (p && sscanf(p, "/host%u/", &host) == 1) {
		attr(info, proc, sizeof(proc), "class/scsi_host/host%u/proc_name", host);
		remote->rdma = strstr(proc, "iser");
	}
	snprintf(remote->what, sizeof(remote->what), "%s from %s", remote->rdma ? "iSER" : "iSCSI",
		 *address ? address : "?");
	return add_server(info, address, strlen(address), remote);
}

/* The kernel does not tell where the server of an nbd device is, its client's words may. */
static int nbd(const struct ic_netinfo *info, const char *disk, struct ic_remote *remote,
	       bool *any)
{
	char pid[32], size[32], path[64], *text = NULL;
	struct iommucfg *ctx = info->topology->ctx;
	struct ic_address address;
	bool found = false;
	const char *p;
	size_t length = 0;
	int fd, ret = 0;

	attr(info, pid, sizeof(pid), "class/block/%s/pid", disk);
	attr(info, size, sizeof(size), "class/block/%s/size", disk);
	if (!*pid && (!*size || !strcmp(size, "0")))
		return 0;
	*any = true;
	snprintf(remote->what, sizeof(remote->what), "nbd");
	snprintf(path, sizeof(path), "proc/%.20s/cmdline", pid);
	fd = *pid ? ic_open_file(ctx->rootfd, path, O_RDONLY) : -1;
	if (fd >= 0) {
		if (ic_slurp(fd, 1 << 20, &text, &length))
			length = 0;
		close(fd);
	}
	for (p = text; p && p < text + length && !ret; p += strlen(p) + 1)
		if (ic_address_parse(p, strlen(p), &address)) {
			found = true;
			snprintf(remote->what, sizeof(remote->what), "nbd from %.64s", p);
			ret = add_way(info, &address, remote);
		}
	free(text);
	return ret || found ? ret : add_way(info, NULL, remote);
}

/* The monitors are in what the mapping was made with. */
static int rbd(const struct ic_netinfo *info, unsigned int id, struct ic_remote *remote,
	       bool *any)
{
	char config[1024];

	*any = true;
	attr(info, config, sizeof(config), "bus/rbd/devices/%u/config_info", id);
	snprintf(remote->what, sizeof(remote->what), "rbd");
	return add_server(info, config, strcspn(config, " "), remote);
}

static bool has_slaves(const struct ic_netinfo *info, const char *syspath)
{
	struct dirent *e = NULL;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/slaves", syspath);
	dir = ic_opendirat(info->topology->ctx->sysfd, path);
	while (dir && (e = readdir(dir)) && *e->d_name == '.')
		;
	if (dir)
		closedir(dir);
	return e;
}

/* A DRBD device without a local disk is read over the network; no file in sysfs names its peers. */
static int drbd(const struct ic_netinfo *info, const char *disk, const char *syspath,
		struct ic_remote *remote, bool *any)
{
	char size[32];

	attr(info, size, sizeof(size), "class/block/%s/size", disk);
	if (!strcmp(size, "0") || has_slaves(info, syspath))
		return 0;
	*any = true;
	snprintf(remote->what, sizeof(remote->what), "DRBD");
	return add_way(info, NULL, remote);
}

/* FCoE on a VLAN: "devices/virtual/net/eth0.100/ctlr_0/host7/…". */
static int fcoe(const struct ic_netinfo *info, const char *syspath, struct ic_remote *remote,
		bool *any)
{
	const char *p = strstr(syspath, "/virtual/net/");
	char ifname[IFNAMSIZ];

	if (!p || sscanf(p, "/virtual/net/%15[^/]/", ifname) != 1)
		return 0;
	*any = true;
	snprintf(remote->what, sizeof(remote->what), "Fibre Channel");
	return add_by_name(info, ifname, remote);
}

/* 1 for a disk, or a partition of one, that comes over a network, else 0. */
int ic_remote_disk(const struct ic_netinfo *info, const char *name, const char *syspath,
		   struct ic_remote *remote)
{
	char netif[IFNAMSIZ], disk[64];
	bool any = false;
	unsigned int id;
	int ret = 0;

	*remote = (struct ic_remote){ 0 };
	snprintf(disk, sizeof(disk), "%s", name);
	if (sscanf(name, "nbd%u", &id) == 1) {
		snprintf(disk, sizeof(disk), "nbd%u", id);
		ret = nbd(info, disk, remote, &any);
	} else if (sscanf(name, "rbd%u", &id) == 1) {
		ret = rbd(info, id, remote, &any);
	} else if (sscanf(name, "drbd%u", &id) == 1) {
		ret = drbd(info, disk, syspath, remote, &any);
	} else if (!strncmp(name, "etherd!", 7)) {
		disk[strcspn(disk, "p")] = '\0';
		attr(info, netif, sizeof(netif), "class/block/%s/netif", disk);
		snprintf(remote->what, sizeof(remote->what), "ATA over Ethernet");
		any = true;
		ret = *netif ? add_by_name(info, netif, remote) : add_way(info, NULL, remote);
	} else if (!strncmp(name, "nvme", 4)) {
		ret = nvme(info, syspath, remote, &any);
	} else {
		ret = iscsi(info, syspath, remote, &any);
		if (!ret && !any)
			ret = fcoe(info, syspath, remote, &any);
	}
	if (ret)
		ic_remote_clear(remote);
	return ret ? ret : any;
}
