// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is mounted over a network, and disks that come over one, told of the devices
 * that the packets leave by. There may be thousands of mounts of one server.
 */
#include <errno.h>
#include <stdio.h>

#include "remote.h"
#include "use.h"

/* Of one device and word, one by one. With their count they are as many as use.c keeps. */
#define MAX_TOLD	7

struct tally {
	struct iommucfg_device *device;
	enum iommucfg_word word;
	size_t told, more;
};

struct tallies {
	struct tally *v;
	size_t n, cap;
};

static struct tally *find_tally(struct tallies *tallies, struct iommucfg_device *device,
				enum iommucfg_word word)
{
	size_t i;

	for (i = 0; i < tallies->n; i++)
		if (tallies->v[i].device == device && tallies->v[i].word == word)
			return &tallies->v[i];
	if (IC_GROW(tallies->v, tallies->n, tallies->cap))
		return NULL;
	tallies->v[tallies->n] = (struct tally){ .device = device, .word = word };
	return &tallies->v[tallies->n++];
}

static enum iommucfg_word word_of(const struct ic_remote *remote, bool never)
{
	return never ? IOMMUCFG_WORD_NEVER : remote->rdma ? IOMMUCFG_WORD_MOUNTED :
						IOMMUCFG_WORD_DEFAULT_ROUTE;
}

static int tell_mount(struct tallies *tallies, const struct ic_remote *remote,
		      const struct ic_mount *mount)
{
	enum iommucfg_word word = word_of(remote, mount->never);
	struct tally *tally;
	int ret = 0;
	size_t i;

	for (i = 0; i < remote->devices.n && !ret; i++) {
		tally = find_tally(tallies, remote->devices.v[i], word);
		if (!tally)
			return -ENOMEM;
		if (tally->told == MAX_TOLD) {
			tally->more++;
			continue;
		}
		tally->told++;
		ret = ic_use_add(tally->device, "mount", remote->over, word, false,
				 "%s%s%s, %s from %s", mount->target,
				 mount->owner ? " in the mount namespace of " : "",
				 mount->owner ? mount->owner : "", mount->type, mount->source);
		if (!ret)
			ret = ic_use_comes_over_port(tally->device);
	}
	return ret;
}

static int tell_more(const struct tallies *tallies)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < tallies->n && !ret; i++) {
		if (!tallies->v[i].more)
			continue;
		ret = ic_use_add(tallies->v[i].device, "mount", "network", tallies->v[i].word,
				 false, "%zu more mount points", tallies->v[i].more);
		if (!ret)
			ret = ic_use_comes_over_port(tallies->v[i].device);
	}
	return ret;
}

static int use_mounts(struct ic_scan *scan)
{
	struct ic_remote remote = { 0 };
	struct tallies tallies = { 0 };
	char *last = NULL, *server;
	int ret = 0, found = 0;
	const struct ic_mount *m;
	size_t i;

	for (i = 0; i < scan->mounts.n && !ret; i++) {
		m = &scan->mounts.v[i];
		if (!ic_remote_server(m->type, m->source, m->options, &server))
			continue;
		if (!server) {
			ret = -ENOMEM;
			break;
		}
		/* Mounts of one server stand together. */
		if (!last || strcmp(last, server)) {
			ic_remote_clear(&remote);
			found = ic_remote_mount(scan->net, server, m->options, &remote);
		}
		free(last);
		last = server;
		ret = found < 0 ? found : tell_mount(&tallies, &remote, m);
	}
	if (!ret)
		ret = tell_more(&tallies);
	ic_remote_clear(&remote);
	free(tallies.v);
	free(last);
	return ret;
}

/* Where a disk comes from, or NULL for one that comes over no network. */
static int find_remote(struct ic_scan *scan, struct ic_block *block)
{
	struct ic_remote remote;
	int ret;

	if (block->remote_read)
		return 0;
	block->remote_read = true;
	ret = ic_remote_disk(scan->net, block->name, block->syspath, &remote);
	if (ret <= 0)
		return ret;
	block->remote = malloc(sizeof(remote));
	if (!block->remote) {
		ic_remote_clear(&remote);
		return -ENOMEM;
	}
	*block->remote = remote;
	return 0;
}

/* Tells of a use of a disk that hangs off no device: nothing if it comes over no network. */
int ic_tell_remote(struct ic_scan *scan, struct ic_block *block, const char *kind, bool never,
		   const char *detail)
{
	const struct ic_remote *remote;
	size_t i;
	int ret;

	ret = find_remote(scan, block);
	remote = block->remote;
	for (i = 0; remote && i < remote->devices.n && !ret; i++) {
		ret = ic_use_add(remote->devices.v[i], kind, block->name, word_of(remote, never),
				 false, "%s, %s over %s", detail, remote->what, remote->over);
		if (!ret)
			ret = ic_use_comes_over_port(remote->devices.v[i]);
	}
	return ret;
}

void ic_block_remote_free(struct ic_block *block)
{
	if (block->remote)
		ic_remote_clear(block->remote);
	free(block->remote);
}

int ic_use_remote(struct ic_scan *scan)
{
	struct ic_block *block;
	size_t i;
	int ret;

	ret = use_mounts(scan);
	for (i = 0; i < scan->blocks.n && !ret; i++) {
		block = &scan->blocks.v[i];
		if (!block->above.n && !ic_block_whole(scan, block))
			ret = ic_tell_remote(scan, block, "disk", false, "connected");
	}
	return ret;
}
