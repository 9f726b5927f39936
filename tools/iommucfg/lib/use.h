/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files share that look for uses: disks, mounts, nodes of devices. */
#ifndef IOMMUCFG_USE_H
#define IOMMUCFG_USE_H

#include <sys/types.h>

#include "internal.h"

struct ic_netinfo;
struct ic_remote;

/* A disk, partition or volume. */
struct ic_block {
	char *name;
	char *syspath;
	char *dm_name;		/* or NULL */
	char *udev;		/* its record in udev's database, see ic_block_udev() */
	dev_t number;
	bool udev_read;
	unsigned long told;	/* in which of the scan's tales */
	struct ic_devices above;
	const struct ic_set *set;	/* that it is, or a partition of; or NULL */
	const struct ic_set *told_over;	/* the last one that it was told over; or NULL */
	struct ic_remote *remote;	/* where it comes from over a network, or NULL */
	bool remote_read;
};

struct ic_blocks {
	struct ic_block *v;
	size_t n, cap;
	struct ic_block **by_name, **by_number;
};

/* Blocks, each once. */
struct ic_stack {
	struct ic_block **v;
	size_t n, cap;
};

/* A file system: what it stands on, and where it is mounted. */
struct ic_fs {
	struct ic_stack blocks;
	struct ic_devices devices;	/* of virtiofs and 9p */
	char *pool;			/* of ZFS, or NULL */
	bool guessed;			/* its blocks may be another one's */
	bool told;
	size_t *mounts, num_mounts, cap_mounts;
};

struct ic_mount {
	dev_t number;		/* of the file system */
	const char *target, *type, *source, *options;
	const char *owner;	/* of another mount namespace: "PID 900 (postgres)"; else NULL */
	const char *never;	/* which mount point makes it one never to be taken, or NULL */
	size_t fs;
};

struct ic_mounts {
	struct ic_mount *v;
	size_t n, cap;
	char **texts;		/* that the mounts point into */
	size_t num_texts, cap_texts;
	void *numbers;		/* a tree of those that are known */
};

/* One of a mount's options, in the list. */
struct ic_option {
	const char *key, *value;
	size_t key_length, length;
};

/* Something below a device that is no disk and no interface of this network namespace. */
struct ic_node {
	enum ic_node_kind {
		IC_NODE_CHAR, IC_NODE_WATCHDOG, IC_NODE_MDEV, IC_NODE_VDPA, IC_NODE_SUBFUNCTION,
		IC_NODE_NET_AWAY,
	} kind;
	char *syspath;
	char *file;		/* of IC_NODE_CHAR: its name below /dev */
};

struct ic_nodes {
	struct ic_node *v;
	size_t n, cap;
};

/* A node in /dev that processes have open. */
struct ic_open {
	char *path;
	dev_t number;
	bool is_block;
	char *holders;		/* "PID 1 (init), PID 2 (x)" */
	size_t num_holders;
	long last_pid;
};

struct ic_opens {
	struct ic_open *v;
	size_t n, cap;
};

struct ic_scan {
	struct iommucfg_topology *topology;
	struct ic_blocks blocks;
	struct ic_mounts mounts;
	struct ic_nodes nodes;
	struct ic_opens opens;
	struct ic_netinfo *net;
	struct ic_fs *fs;
	size_t num_fs, cap_fs;
	unsigned long tale;
};

/* How many of one kind are told one by one. */
#define IC_MAX_TOLD	3

static inline bool ic_is_live(const struct ic_scan *scan)
{
	return !*scan->topology->ctx->root;
}

/* block.c */
int ic_blocks_read(struct ic_scan *scan);
void ic_blocks_free(struct ic_blocks *blocks);
struct ic_block *ic_block_by_number(const struct ic_blocks *blocks, dev_t number);
struct ic_block *ic_block_by_name(const struct ic_blocks *blocks, const char *name);
struct ic_block *ic_block_by_source(struct ic_scan *scan, const char *source);
const char *ic_block_udev(struct ic_scan *scan, struct ic_block *block, const char *key,
			  size_t *length);
struct ic_block *ic_block_whole(struct ic_scan *scan, const struct ic_block *block);
int ic_stack_add(struct ic_stack *stack, struct ic_block *block);
int ic_tell(struct ic_scan *scan, struct ic_block *block, const char *kind,
	    enum iommucfg_word word, const char *detail);

/* mounts.c */
int ic_mounts_read(struct ic_scan *scan, const char *path, const char *owner);
void ic_mounts_free(struct ic_mounts *mounts);
bool ic_mount_has(const struct ic_mount *mount, const char *path);
struct ic_mount *ic_mount_at(const struct ic_mounts *mounts, const char *path,
			     const struct ic_mount *but);
bool ic_option_next(const char **options, struct ic_option *option);
bool ic_option_is(const struct ic_option *option, const char *key);

/* use-fs.c */
int ic_fs_read(struct ic_scan *scan);
void ic_fs_free(struct ic_scan *scan);

/* nodes.c */
int ic_nodes_read(struct ic_scan *scan);
void ic_nodes_free(struct ic_nodes *nodes);

/* use-open.c */
int ic_opens_read(struct ic_scan *scan);
void ic_opens_free(struct ic_opens *opens);
int ic_use_open(struct ic_scan *scan);

/* use-zfs.c */
bool ic_is_zvol(const struct ic_block *block);
int ic_zfs_members(struct ic_scan *scan, const char *pool, size_t length,
		   struct ic_stack *members);
int ic_zvol_members(struct ic_scan *scan, struct ic_block *volume, struct ic_stack *members);

/* use-class.c */
int ic_mtd_above(struct ic_scan *scan, unsigned int number, struct ic_devices *devices);
int ic_ubi_above(struct ic_scan *scan, unsigned int number, struct ic_devices *devices);
int ic_flash_above(struct ic_scan *scan, const char *source, struct ic_devices *devices);

/* use-mount.c */
void ic_mark_targets(struct ic_mounts *mounts);
int ic_disks_unknown(struct ic_scan *scan, int maybe, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* use-nodes.c */
bool ic_is_running_watchdog(struct ic_scan *scan, const char *syspath, bool is_open);

/* use-remote.c */
int ic_tell_remote(struct ic_scan *scan, struct ic_block *block, const char *kind, bool never,
		   const char *detail);
void ic_block_remote_free(struct ic_block *block);

/* sets.c, sets-dm.c */
int ic_sets_read(struct ic_scan *scan);
int ic_set_legs(struct ic_scan *scan, struct ic_set *set, const struct ic_block *block);
int ic_use_comes_over(struct iommucfg_device *device, const struct ic_set *const *sets, size_t n);
int ic_use_comes_over_port(struct iommucfg_device *device);
const struct ic_set *ic_set_of_interface(const struct iommucfg_topology *topology,
					 const char *name);
int ic_sets_read_dm(struct ic_scan *scan);

/* use-*.c */
int ic_use_mounts(struct ic_scan *scan);
int ic_use_swaps(struct ic_scan *scan);
int ic_use_holders(struct ic_scan *scan);
int ic_use_exports(struct ic_scan *scan);
int ic_use_nodes(struct ic_scan *scan);
int ic_use_classes(struct ic_scan *scan);
int ic_use_pools(struct ic_scan *scan);
int ic_use_remote(struct ic_scan *scan);
int ic_use_net(struct ic_scan *scan);

#endif /* IOMMUCFG_USE_H */
